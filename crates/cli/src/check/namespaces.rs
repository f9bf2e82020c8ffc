//! The labels of namespaces, which selectors of policies and bindings match.
//!
//! Here: where the labels of each namespace are from. Not here: selectors (`bailiff_policy`).
//! Invariant: a namespace always has the label with its name, which the API server sets.

use crate::Error;
use bailiff_response::messages::escaped;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use std::collections::BTreeMap;

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// The label that the API server sets.
const NAME: &str = "kubernetes.io/metadata.name";
/// Characters of a message.
const TEXT_LIMIT: usize = 400;
/// The remedy for missing permissions.
const FORBIDDEN: &str = "a check with the policies of the cluster requires permission to get the namespaces of the manifests";

/// Where the labels of a namespace are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelSource {
    /// The cluster has the namespace.
    Cluster,
    /// The manifests have a Namespace of the name, and no cluster has.
    Manifests,
    /// Neither has it: only its name is known.
    Name,
}

impl LabelSource {
    /// The word for programs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Manifests => "Manifests",
            Self::Name => "Name",
        }
    }
}

/// The namespaces of a run.
pub(super) struct Namespaces {
    client: Option<Client>,
    /// An API server that does not respond ends the command.
    is_required: bool,
    manifests: BTreeMap<String, Labels>,
    read: BTreeMap<String, (Labels, LabelSource)>,
    failed: Option<String>,
}

impl Namespaces {
    pub(super) fn new(client: Option<Client>, is_required: bool) -> Self {
        Self {
            client,
            is_required,
            manifests: BTreeMap::new(),
            read: BTreeMap::new(),
            failed: None,
        }
    }

    /// Learns a Namespace of the manifests.
    pub(super) fn learn(&mut self, name: String, labels: Labels) {
        self.manifests.insert(name, labels);
    }

    /// Reads the labels of a namespace.
    ///
    /// # Errors
    /// If the request fails and the policies are those of the cluster.
    pub(super) async fn read(&mut self, name: &str) -> Result<(), Error> {
        if self.read.contains_key(name) {
            return Ok(());
        }
        let mut found = None;
        // A name that is none makes another path.
        if let Some(client) = self.client.clone().filter(|_| is_name(name)) {
            match Api::<Namespace>::all(client).get_opt(name).await {
                Ok(namespace) => found = namespace.map(|n| n.metadata.labels.unwrap_or_default()),
                Err(error) if self.is_required => {
                    let action = format!("read Namespace {name}");
                    return Err(Error::from_request(action, FORBIDDEN, &error));
                }
                Err(error) => {
                    self.failed = Some(format!("Namespace {name}: {}", crate::cause(&error)));
                    self.client = None;
                }
            }
        }
        let (mut labels, source) = match (found, self.manifests.get(name)) {
            (Some(labels), _) => (labels, LabelSource::Cluster),
            (None, Some(labels)) => (labels.clone(), LabelSource::Manifests),
            (None, None) => (Labels::new(), LabelSource::Name),
        };
        labels.insert(NAME.to_owned(), name.to_owned());
        self.read.insert(name.to_owned(), (labels, source));
        Ok(())
    }

    /// Why labels are not those of the cluster.
    pub(super) fn note(&self) -> Option<String> {
        let cause = self.failed.as_ref()?;
        Some(format!(
            "cannot read {}; labels of namespaces are from the manifests",
            escaped(cause, TEXT_LIMIT)
        ))
    }

    /// The labels of a namespace that was read.
    pub(super) fn labels(&self, name: &str) -> &Labels {
        static NONE: Labels = Labels::new();
        self.read.get(name).map_or(&NONE, |(labels, _)| labels)
    }

    /// Where the labels of a namespace that was read are from.
    pub(super) fn source(&self, name: &str) -> LabelSource {
        self.read
            .get(name)
            .map_or(LabelSource::Name, |(_, source)| *source)
    }
}

/// Whether a text can be the name of a namespace.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 63 && name.bytes().all(allowed)
}
