//! The commands for people and CI.
//!
//! Here: their flags, the requests that they need, and their output. Not here: decisions, and how the
//! binary starts (`crates/bailiff`).
//! Invariant: text from processes and tenants is escaped before it reaches a terminal.

mod admission;
pub mod check;
pub mod eval;
pub mod feed;
pub mod images;
pub mod incidents;
mod manifests;
mod objects;
pub mod observe;
mod pipe;
pub mod preview;
mod progress;
mod replace;
pub mod scan;
#[cfg(test)]
mod scratch;
pub mod status;
mod table;
mod verdicts;
pub mod version;

pub use admission::{Outcome, RegistryArgs};

use std::path::PathBuf;

/// Selects the cluster, as kubectl does.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster, as with kubectl")]
pub struct ClusterArgs {
    /// Path of the kubeconfig file. Defaults to that of kubectl
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig file. Defaults to the current context
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,
}

/// Which Bailiff a command reads the configuration of.
#[derive(Clone, Debug, clap::Args)]
pub struct InstallationArgs {
    /// Namespace that Bailiff is installed in
    #[arg(long, value_name = "NAME", default_value = "bailiff-system")]
    pub bailiff_namespace: String,
}

/// When the output is colored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether the output is colored. `terminal`: it goes to a terminal. `no_color`: the variable
    /// `NO_COLOR` is set.
    #[must_use]
    pub fn is_on(self, terminal: bool, no_color: bool) -> bool {
        match self {
            Self::Auto => terminal && !no_color,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Why a command failed. Its exit code is 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be built.
    #[error(transparent)]
    Client(#[from] bailiff_kube::client::ClientError),
    /// The API server rejected the request or is unavailable.
    #[error("cannot {action}: {cause}; {remedy}")]
    Request {
        /// What was requested.
        action: String,
        /// The message of the API server, or why there is no response.
        cause: String,
        /// The next step.
        remedy: &'static str,
    },
    /// Checks of `bailiff status` failed or could not run.
    #[error("{failed} of {all} checks are Failed or Unknown")]
    ChecksFailed {
        /// Checks that failed or could not run.
        failed: usize,
        /// All checks.
        all: usize,
    },
    /// Files, documents or policies could not be read. Each was reported.
    #[error("the result is incomplete (errors: {failed}); fix the errors and retry")]
    Incomplete {
        /// Number of errors.
        failed: usize,
    },
    /// The input is invalid.
    #[error("{0}")]
    Input(String),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[from] std::io::Error),
    /// The output cannot be encoded.
    #[error("cannot encode the output as YAML")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// The output cannot be encoded.
    #[error("cannot encode the output as JSON")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Classifies a failed request. `action` completes "cannot …"; `forbidden` is the remedy for
    /// missing permissions.
    fn from_request(action: String, forbidden: &'static str, error: &kube::Error) -> Self {
        let remedy = match error {
            kube::Error::Api(status) => match status.code {
                401 => "log in to the cluster again",
                403 => forbidden,
                404 => {
                    "check the name and the namespace, and that Bailiff is installed (`kubectl get crd incidents.bailiff.dev`)"
                }
                _ => "retry, or check the API server",
            },
            kube::Error::SerdeError(_) => "use the version of bailiff that runs in the cluster",
            _ => UNAVAILABLE,
        };
        Self::Request {
            action,
            cause: cause(error),
            remedy,
        }
    }
}

/// The remedy if a request gets no response.
const UNAVAILABLE: &str = "check with `kubectl cluster-info` that the API server is available";

/// Why a request failed: the message of the API server, or the errors that led to the failure.
fn cause(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Service(source) => causes(source.as_ref()),
        kube::Error::HyperError(source) => causes(source),
        other => other.to_string(),
    }
}

/// An error and its sources, without those that name no cause.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        next = error.source();
        let is_vague = (text.starts_with("client error (") && next.is_some())
            || (text == "deadline has elapsed" && !texts.is_empty());
        if !is_vague && texts.last() != Some(&text) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> kube::Error {
        let status = serde_json::json!({"status": "Failure", "code": code, "message": message});
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_failed_request_has_its_cause_and_a_remedy() {
        for (error, want) in [
            (
                status(401, "Unauthorized"),
                "cannot list incidents: Unauthorized; log in to the cluster again",
            ),
            (
                status(403, "forbidden"),
                "cannot list incidents: forbidden; ask for a role",
            ),
            (
                status(404, "not found"),
                "cannot list incidents: not found; check the name and the namespace, and that Bailiff is installed (`kubectl get crd incidents.bailiff.dev`)",
            ),
            (
                status(500, "etcd"),
                "cannot list incidents: etcd; retry, or check the API server",
            ),
        ] {
            let error = Error::from_request("list incidents".to_owned(), "ask for a role", &error);
            assert_eq!(error.to_string(), want);
        }
    }

    #[tokio::test]
    async fn an_unavailable_api_server_is_reported_with_the_first_cause() {
        // A port that was free a moment ago, so connections are rejected.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let config = kube::Config::new(uri.parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        let failed = client.apiserver_version().await.unwrap_err();
        let error = Error::from_request("read the version".to_owned(), "", &failed);
        assert_eq!(
            error.to_string(),
            "cannot read the version: tcp connect error: Connection refused (os error 111); check with `kubectl cluster-info` that the API server is available"
        );
    }

    #[test]
    fn the_time_limit_of_a_request_is_reported_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Failed(&'static str, #[source] Option<Box<Failed>>);
        let chain = |texts: &[&'static str]| {
            let texts = texts.iter().rev();
            texts.fold(None, |source, text| Some(Box::new(Failed(text, source))))
        };
        for (texts, want) in [
            (&["too slow", "deadline has elapsed"][..], "too slow"),
            (&["deadline has elapsed"], "deadline has elapsed"),
            (&["client error (Connect)"], "client error (Connect)"),
            (
                &["client error (Connect)", "dns error", "dns error"],
                "dns error",
            ),
        ] {
            assert_eq!(causes(chain(texts).unwrap().as_ref()), want);
        }
    }
}
