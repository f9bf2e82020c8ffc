//! Builds clients.
//!
//! Here: clients of components, from the pod's service account, and of commands, as kubectl does it. Not
//! here: reading flags, the transport of components (`http2`), timeouts of requests (`limit`).
//! Invariant: components never read a kubeconfig; a command uses a pod's service account only if
//! no kubeconfig exists, as kubectl does; each request of any client has a timeout.

mod http2;
mod limit;

pub use http2::client as with_one_connection;
pub use limit::REQUEST_TIMEOUT;
pub(crate) use limit::Streamed;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::Path;
use std::time::Duration;

/// Timeout of a new connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Why a client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not in a pod.
    #[error(
        "cannot use the service account of this pod; this command must run in a pod, as the chart starts it"
    )]
    InCluster(#[source] kube::config::InClusterError),
    /// The kubeconfig.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// Its path, or where it was searched for.
        path: String,
        /// The cause.
        source: kube::config::KubeconfigError,
    },
    /// The client's configuration.
    #[error("cannot build a client; check the certificates of the configuration")]
    Build(#[source] kube::Error),
}

/// The client of the pod's service account.
///
/// # Errors
/// If this is no pod, or its certificates cannot be used.
pub fn in_cluster() -> Result<kube::Client, ClientError> {
    let config = kube::Config::incluster().map_err(ClientError::InCluster)?;
    component(&config)
}

/// The client of a component with this configuration.
///
/// # Errors
/// If its certificates cannot be used.
pub fn component(config: &kube::Config) -> Result<kube::Client, ClientError> {
    http2::client(config).map_err(ClientError::Build)
}

/// kube has no timeout for a whole response.
fn build(mut config: kube::Config) -> Result<kube::Client, ClientError> {
    config.connect_timeout = Some(CONNECT_LIMIT);
    // A 429 can be the response of a PodDisruptionBudget: it is reported, and not retried.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config).map_err(ClientError::Build)?;
    Ok(builder.with_layer(&limit::layer()).build())
}

/// A client for a command, with the namespace of the context.
#[derive(Clone)]
pub struct KubeconfigClient {
    /// The client.
    pub client: kube::Client,
    /// Namespace of the context; `default` if it names none.
    pub namespace: String,
}

/// The client that kubectl would use: from the given kubeconfig, otherwise from KUBECONFIG, otherwise
/// from `~/.kube/config`, otherwise from the pod that the command runs in; with the given context,
/// otherwise with the current one.
///
/// # Errors
/// If the file or the context cannot be used.
pub async fn from_kubeconfig(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<KubeconfigClient, ClientError> {
    let unusable = |source| ClientError::Kubeconfig {
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
        (read, _) => kube::Config::from_custom_kubeconfig(read.map_err(unusable)?, &options)
            .await
            .map_err(unusable)?,
    };
    let namespace = config.default_namespace.clone();
    let client = build(config)?;
    Ok(KubeconfigClient { client, namespace })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Namespace;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_and_is_silent_is_an_error_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                open.push(connection);
            }
        });
        let uri = format!("http://{address}").parse().unwrap();
        let client = build(kube::Config::new(uri)).unwrap();
        let asked = Instant::now();
        let read = kube::Api::<Namespace>::all(client).get("shop").await;
        assert!(read.is_err());
        assert!(asked.elapsed() <= REQUEST_TIMEOUT, "{:?}", asked.elapsed());
        accepting.abort();
    }
}
