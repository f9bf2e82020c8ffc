//! Builds clients.
//!
//! Here: in a pod from its service account; for a person's command as kubectl does it. Not here:
//! reading flags, the transport of components (`http2`), how long one answer may take (`limit`).
//! Invariant: components never read a kubeconfig; a command uses a pod's service account only
//! where there is no kubeconfig, as kubectl does; no request of any client waits for ever.

mod http2;
mod limit;

pub use http2::client as with_one_connection;
pub use limit::ANSWER_LIMIT;
pub(crate) use limit::Streamed;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::Path;
use std::time::Duration;

/// How long a connection may take to stand.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

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
    let config = kube::Config::incluster().map_err(ClientError::InCluster)?;
    component(&config)
}

/// The client of a component with this configuration.
///
/// # Errors
/// When its certificates cannot be used.
pub fn component(config: &kube::Config) -> Result<kube::Client, ClientError> {
    http2::client(config).map_err(ClientError::Build)
}

/// kube has no limit of its own on how long an answer takes.
fn build(mut config: kube::Config) -> Result<kube::Client, ClientError> {
    config.connect_timeout = Some(CONNECT_LIMIT);
    // A 429 is the answer of a PodDisruptionBudget: it is shown, and not waited for.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config).map_err(ClientError::Build)?;
    Ok(builder.with_layer(&limit::layer()).build())
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
    let client = build(config)?;
    Ok(ForPerson { client, namespace })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Namespace;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_and_is_silent_is_given_up_in_time() {
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
        assert!(asked.elapsed() <= ANSWER_LIMIT, "{:?}", asked.elapsed());
        accepting.abort();
    }
}
