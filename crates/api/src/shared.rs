//! Values that more than one kind uses.
//!
//! Here: selectors, severities, properties of a process and its container, coverage. Not here: the kinds
//! themselves.
//! Invariant: a value without evidence is `Unknown`, a value of its own. So is a value that a newer
//! version wrote: after a rollback, an object stays readable.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};

/// Selects pods. Both selectors must match.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MatchResources {
    /// Selects namespaces by their labels. If unset or empty, it matches every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Selects pods by their labels. If unset or empty, it matches every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
}

/// Severity of a violation. Informational: it does not affect the response.
#[derive(
    Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Severity {
    /// Low.
    Low,
    /// Medium.
    #[default]
    Medium,
    /// High: most likely an attack or a serious mistake.
    High,
    /// Critical: requires attention at once.
    Critical,
}

impl<'de> Deserialize<'de> for Severity {
    /// A severity of a newer version counts as the default: it only informs.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = Self::ALL.iter().find(|severity| severity.as_str() == word);
        Ok(known.copied().unwrap_or_default())
    }
}

/// Origin of a process. Its descendants inherit it.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Origin {
    /// The process descends from the first process of its container.
    Entrypoint,
    /// The process was started through exec, as `kubectl exec` does.
    Exec,
    /// The process was started with the command of an exec probe of the container.
    Probe,
    /// The process was started with the command of a lifecycle hook of the container.
    Lifecycle,
    /// The origin cannot be determined.
    #[serde(other)]
    Unknown,
}

/// Source of an executable or a script.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum ExecutableSource {
    /// An unmodified file of the image.
    Image,
    /// A file of the image that was modified in the container.
    ImageModified,
    /// A file created in the container.
    WritableLayer,
    /// A file on a volume.
    Volume,
    /// Memory, without a file.
    Memory,
    /// The source cannot be determined.
    #[serde(other)]
    Unknown,
}

/// What a file descriptor of a process refers to.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum DescriptorType {
    /// A terminal: a pseudo-terminal, a console or a serial line.
    Terminal,
    /// A pipe, with or without a name.
    Pipe,
    /// A socket of any kind.
    Socket,
    /// A regular file or a directory.
    File,
    /// The device /dev/null.
    Null,
    /// Anything else, such as another device or an eventfd.
    Other,
    /// Nothing: the descriptor is closed.
    Closed,
    /// The type cannot be determined.
    #[serde(other)]
    Unknown,
}

/// Type of a container in its pod.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum ContainerType {
    /// One of `spec.containers`.
    App,
    /// One of `spec.initContainers` that runs to completion.
    Init,
    /// One of `spec.initContainers` with `restartPolicy: Always`.
    Sidecar,
    /// One of `spec.ephemeralContainers`, as `kubectl debug` adds.
    Ephemeral,
}

/// The value; none where it is absent or of a newer version.
pub(crate) fn known<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = Option::<String>::deserialize(deserializer)?;
    Ok(value.and_then(|value| {
        let value: serde::de::value::StringDeserializer<serde::de::value::Error> =
            value.into_deserializer();
        T::deserialize(value).ok()
    }))
}

/// Coverage of a policy or binding: monitored nodes out of matching nodes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Nodes that run matching pods.
    #[schemars(range(min = 0))]
    pub matching_nodes: i32,
    /// Matching nodes that are monitored. If it is less than `matchingNodes`, violations on the
    /// other nodes are not detected.
    #[schemars(range(min = 0))]
    pub monitored_nodes: i32,
}

/// The values of an enum, as the API spells them.
macro_rules! words {
    ($($kind:ident { $($variant:ident),+ $(,)? })+) => {$(
        impl $kind {
            /// Every value, for tables and tests.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The value as the API spells it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }

        impl core::fmt::Display for $kind {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

words! {
    Severity { Low, Medium, High, Critical }
    Origin { Entrypoint, Exec, Probe, Lifecycle, Unknown }
    ExecutableSource { Image, ImageModified, WritableLayer, Volume, Memory, Unknown }
    DescriptorType { Terminal, Pipe, Socket, File, Null, Other, Closed, Unknown }
    ContainerType { App, Init, Sidecar, Ephemeral }
}
