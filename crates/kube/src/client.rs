//! Builds clients.
//!
//! Here: in a pod from its service account, elsewhere from a kubeconfig and a context that were
//! named. Not here: reading flags.
//! Invariant: KUBECONFIG and the current context are never used: everyone has production there.

use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::Path;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not in a pod.
    #[error("cannot use the service account of this pod: run in a pod, or name a kubeconfig")]
    InCluster(#[source] kube::config::InClusterError),
    /// The kubeconfig.
    #[error("cannot use kubeconfig {path:?} with context {context:?}")]
    Kubeconfig {
        /// Its path.
        path: String,
        /// The context that was named.
        context: String,
        /// The cause.
        source: kube::config::KubeconfigError,
    },
    /// The client's own set-up.
    #[error("cannot build a client: check the certificates of the configuration")]
    Build(#[source] kube::Error),
}

/// The client of the pod's service account.
///
/// # Errors
/// When this is no pod, or its certificates can't be used.
pub fn in_cluster() -> Result<kube::Client, ClientError> {
    let config = kube::Config::incluster().map_err(ClientError::InCluster)?;
    kube::Client::try_from(config).map_err(ClientError::Build)
}

/// The client of a context of a kubeconfig.
///
/// # Errors
/// When the file or the context can't be used.
pub async fn from_kubeconfig(path: &Path, context: &str) -> Result<kube::Client, ClientError> {
    let fault = |source| ClientError::Kubeconfig {
        path: path.display().to_string(),
        context: context.to_owned(),
        source,
    };
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(fault)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(fault)?;
    kube::Client::try_from(config).map_err(ClientError::Build)
}
