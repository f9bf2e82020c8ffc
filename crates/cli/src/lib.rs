//! The commands for people and CI.
//!
//! Here: their flags, the requests that they need, and their output. Not here: decisions, and how the
//! binary starts (`crates/bailiff`).
//! Invariant: text from processes and tenants is escaped before it reaches a terminal.

pub mod eval;
pub mod incidents;
mod objects;
pub mod preview;
pub mod status;
mod table;
pub mod version;

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
    /// The API server rejected the request.
    #[error("cannot {action}: {cause}; {remedy}")]
    Rejected {
        /// What was requested.
        action: String,
        /// The message of the API server.
        cause: String,
        /// The next step.
        remedy: &'static str,
    },
    /// The API server is unavailable.
    #[error("cannot {action}")]
    Unavailable {
        /// What was requested.
        action: String,
        /// The cause.
        source: Box<kube::Error>,
    },
    /// The watch failed before it listed anything.
    #[error("cannot watch incidents")]
    Watch(#[source] Box<kube::runtime::watcher::Error>),
    /// Checks of `bailiff status` failed or could not run.
    #[error("{failed} of {all} checks failed")]
    ChecksFailed {
        /// Checks that failed or could not run.
        failed: usize,
        /// All checks.
        all: usize,
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
    fn from_request(action: String, forbidden: &'static str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Rejected {
                action,
                cause: status.message.clone(),
                remedy: match status.code {
                    401 => "log in to the cluster again",
                    403 => forbidden,
                    404 => {
                        "check the name and the namespace, and that Bailiff is installed (`kubectl get crd incidents.bailiff.dev`)"
                    }
                    _ => "retry, or check the API server",
                },
            },
            source => Self::Unavailable {
                action,
                source: Box::new(source),
            },
        }
    }
}
