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
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError};
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
    #[error("cannot {action}: {cause}; {remedy}")]
    Kubeconfig {
        /// What was attempted, with the path of the kubeconfig if it is known.
        action: String,
        /// The cause.
        cause: String,
        /// The next step.
        remedy: &'static str,
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
    let fault = |error| kubeconfig_error(kubeconfig, &error);
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
        let error = as_kubectl(Some(missing), None).await.err().unwrap();
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
            let error = as_kubectl(Some(&path), context).await.err();
            std::fs::remove_file(&path).unwrap();
            let want = format!("cannot use kubeconfig {}: {want}", path.display());
            assert_eq!(error.map(|e| e.to_string()), Some(want), "{change:?}");
        }
        let path = kubeconfig(("apiVersion: v1", ": : :"));
        let error = as_kubectl(Some(&path), None).await.err().unwrap();
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
