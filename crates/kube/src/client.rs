//! Builds clients.
//!
//! Here: in a pod from its service account; for a person's command as kubectl does it. Not here:
//! reading flags.
//! Invariant: components never read a kubeconfig; a command uses a pod's service account only
//! where there is no kubeconfig, as kubectl does.

use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::Path;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not in a pod.
    #[error(
        "cannot use the service account of this pod: this command runs in a pod, as the chart starts it"
    )]
    InCluster(#[source] kube::config::InClusterError),
    /// The kubeconfig.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// Its path, or where it was looked for.
        path: String,
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
    let mut config = kube::Config::incluster().map_err(ClientError::InCluster)?;
    // A 429 is an answer (a PodDisruptionBudget that holds), and every caller has its own way to
    // try again, which it can tell of; a layer below that waits in silence hides both.
    config.default_retry = false;
    kube::Client::try_from(config).map_err(ClientError::Build)
}

/// A client for a person's command, with the namespace that the context names.
#[derive(Clone)]
pub struct ForPerson {
    /// The client.
    pub client: kube::Client,
    /// Namespace of the context; `default` where it names none.
    pub namespace: String,
}

/// The client that kubectl would use: of the kubeconfig given, else of KUBECONFIG, else of
/// `~/.kube/config`, else of the pod that the command runs in; with the context given, else with
/// the current one.
///
/// # Errors
/// When the file or the context can't be used.
pub async fn as_kubectl(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<ForPerson, ClientError> {
    let fault = |source| ClientError::Kubeconfig {
        path: kubeconfig.map_or_else(
            || "KUBECONFIG or ~/.kube/config".to_owned(),
            |path| path.display().to_string(),
        ),
        source,
    };
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let read = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let config = match (read, kube::Config::incluster()) {
        (Err(_), Ok(pod)) if kubeconfig.is_none() && context.is_none() => pod,
        (read, _) => kube::Config::from_custom_kubeconfig(read.map_err(fault)?, &options)
            .await
            .map_err(fault)?,
    };
    let namespace = config.default_namespace.clone();
    let client = kube::Client::try_from(config).map_err(ClientError::Build)?;
    Ok(ForPerson { client, namespace })
}
