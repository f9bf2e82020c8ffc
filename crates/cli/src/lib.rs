//! The commands that people and CI run.
//!
//! Here: their flags, reading what they show, and its shape. Not here: any decision, and how the
//! program starts (`crates/bailiff`).
//! Invariant: text that a process or a tenant chose is escaped before it reaches a terminal.

pub mod eval;
pub mod incidents;
pub mod status;
mod table;
pub mod version;

use std::path::PathBuf;

/// Which cluster is asked, as with kubectl.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster, as with kubectl")]
pub struct ClusterArgs {
    /// Path of the kubeconfig [default: as kubectl]
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,
}

/// When output has colours.
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
    /// Whether output has colours; `terminal` is whether it goes to one.
    #[must_use]
    pub fn is_on(self, terminal: bool, no_color: bool) -> bool {
        match self {
            Self::Auto => terminal && !no_color,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Why a command did not do its work. Its exit code is 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no client.
    #[error(transparent)]
    Client(#[from] bailiff_kube::client::ClientError),
    /// The API server refuses.
    #[error("cannot {what}: {said}; {remedy}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The API server's words.
        said: String,
        /// What helps.
        remedy: &'static str,
    },
    /// The API server does not answer.
    #[error("cannot {what}")]
    Unreachable {
        /// What was asked for.
        what: String,
        /// The cause.
        source: Box<kube::Error>,
    },
    /// A watch can't go on.
    #[error("cannot watch incidents")]
    Watch(#[source] Box<kube::runtime::watcher::Error>),
    /// A check of `bailiff status` did not pass.
    #[error("{failed} of {all} checks did not pass")]
    NotWell {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// What was given can't be used.
    #[error("{0}")]
    Input(String),
    /// The output can't be written.
    #[error("cannot write the output")]
    Output(#[from] std::io::Error),
    /// The output can't be made.
    #[error("cannot make YAML of it")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// The output can't be made.
    #[error("cannot make JSON of it")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Sorts an answer of the API server.
    fn of(what: String, error: kube::Error) -> Self {
        let remedy = match &error {
            kube::Error::Api(status) => match status.code {
                401 => "log in to the cluster again",
                403 => "ask for the role `edit` in that namespace: incidents may quote passwords",
                404 => {
                    "check the name and the namespace, and that Bailiff is installed (`kubectl get crd incidents.bailiff.dev`)"
                }
                _ => "try again, or look at the API server",
            },
            _ => "",
        };
        match error {
            kube::Error::Api(status) => Self::Refused {
                what,
                said: status.message.clone(),
                remedy,
            },
            source => Self::Unreachable {
                what,
                source: Box::new(source),
            },
        }
    }
}
