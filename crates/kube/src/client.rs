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
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError};
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
    #[error("cannot {action}: {cause}; {remedy}")]
    Kubeconfig {
        /// What was attempted, with the path of the kubeconfig if it is known.
        action: String,
        /// The cause.
        cause: String,
        /// The next step.
        remedy: &'static str,
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
    let unusable = |error| kubeconfig_error(kubeconfig, &error);
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

/// What cannot be done with a kubeconfig, why, and the next step. `given`: the path that was passed.
fn kubeconfig_error(given: Option<&Path>, error: &KubeconfigError) -> ClientError {
    let kubeconfig = given.map_or_else(
        || "the kubeconfig".to_owned(),
        |path| format!("kubeconfig {}", path.display()),
    );
    let in_use = format!("use {kubeconfig}");
    let (action, cause, remedy) = match error {
        KubeconfigError::ReadConfig(cause, path) => (
            format!("read kubeconfig {}", path.display()),
            file_error(cause),
            "set --kubeconfig or KUBECONFIG",
        ),
        KubeconfigError::FindPath => (
            format!("read {kubeconfig}"),
            "the home directory is unknown".to_owned(),
            "set --kubeconfig or KUBECONFIG",
        ),
        KubeconfigError::CurrentContextNotSet => (
            in_use,
            "it has no current context".to_owned(),
            "set --context, or run `kubectl config use-context NAME`",
        ),
        KubeconfigError::LoadContext(name) => (
            in_use,
            format!("context {name} not found"),
            "`kubectl config get-contexts` lists the contexts",
        ),
        KubeconfigError::LoadClusterOfContext(name) => (
            in_use,
            format!("cluster {name}, which the context refers to, not found"),
            "`kubectl config get-clusters` lists the clusters",
        ),
        KubeconfigError::LoadCertificateAuthority(LoadDataError::ReadFile(cause, path)) => (
            in_use,
            format!("cannot read {}: {}", path.display(), file_error(cause)),
            "fix the path in the kubeconfig",
        ),
        other => {
            // The error of the YAML parser has several lines.
            let cause = other
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            (in_use, cause, "fix the kubeconfig")
        }
    };
    ClientError::Kubeconfig {
        action,
        cause,
        remedy,
    }
}

fn file_error(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
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

    /// A kubeconfig with a context `shop` of the cluster `shop`.
    fn kubeconfig(change: (&str, &str)) -> std::path::PathBuf {
        let text = "\
apiVersion: v1
kind: Config
current-context: shop
clusters: [{name: shop, cluster: {server: 'https://127.0.0.1:1'}}]
contexts: [{name: shop, context: {cluster: shop, user: jane}}]
users: [{name: jane, user: {}}]
";
        assert!(text.contains(change.0), "{change:?}");
        let name = change.1.replace(|c: char| !c.is_alphanumeric(), "-");
        let name = format!("bailiff-kubeconfig-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text.replace(change.0, change.1)).unwrap();
        path
    }

    #[tokio::test]
    async fn an_error_of_the_kubeconfig_names_its_cause_once_and_the_remedy() {
        let missing = Path::new("/nope/config");
        let error = from_kubeconfig(Some(missing), None).await.err().unwrap();
        assert_eq!(
            format!(
                "{:?}",
                std::error::Error::source(&error).map(ToString::to_string)
            ),
            "None"
        );
        assert_eq!(
            error.to_string(),
            "cannot read kubeconfig /nope/config: no such file; set --kubeconfig or KUBECONFIG"
        );
        for (change, context, want) in [
            (
                ("shop", "shop"),
                Some("zz"),
                "context zz not found; `kubectl config get-contexts` lists the contexts",
            ),
            (
                ("current-context: shop\n", ""),
                None,
                "it has no current context; set --context, or run `kubectl config use-context NAME`",
            ),
            (
                ("cluster: shop", "cluster: other"),
                None,
                "cluster other, which the context refers to, not found; `kubectl config get-clusters` lists the clusters",
            ),
            (
                ("{server:", "{certificate-authority: /nope/a, server:"),
                None,
                "cannot read /nope/a: no such file; fix the path in the kubeconfig",
            ),
            (
                ("server: 'https://127.0.0.1:1'", "tls-server-name: a"),
                None,
                "cluster url is missing on selected cluster; fix the kubeconfig",
            ),
        ] {
            let path = kubeconfig(change);
            let error = from_kubeconfig(Some(&path), context).await.err();
            std::fs::remove_file(&path).unwrap();
            let want = format!("cannot use kubeconfig {}: {want}", path.display());
            assert_eq!(error.map(|e| e.to_string()), Some(want), "{change:?}");
        }
        let path = kubeconfig(("apiVersion: v1", ": : :"));
        let error = from_kubeconfig(Some(&path), None).await.err().unwrap();
        std::fs::remove_file(&path).unwrap();
        let text = error.to_string();
        assert!(
            text.contains(": failed to parse kubeconfig YAML: "),
            "{text}"
        );
        assert!(text.ends_with("; fix the kubeconfig"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
