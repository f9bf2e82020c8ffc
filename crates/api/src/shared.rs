//! Values that more than one kind uses.
//!
//! Here: severities, what is known about a process and its container, coverage. Not here: the
//! kinds themselves.
//! Invariant: what could not be found out is `Unknown`, a value of its own. So is a value that a newer
//! version wrote: after a rollback an object stays readable.

use schemars::JsonSchema;
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};

/// Severity of a violation. Informational: it does not affect the response.
#[derive(
    Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth a look.
    #[default]
    Medium,
    /// Most likely an attack or a grave mistake.
    High,
    /// Wakes somebody.
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

/// Where a process comes from; its descendants inherit it.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Origin {
    /// It descends from the first process of its container.
    Entrypoint,
    /// It was started from outside the running container, as `kubectl exec` does.
    Exec,
    /// It was started from outside with the command of one of the container's exec probes.
    Probe,
    /// It was started from outside with the command of a lifecycle hook.
    Lifecycle,
    /// It was not seen to start, or its start can't be explained.
    #[serde(other)]
    Unknown,
}

/// Where the file that a process executes comes from.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum ExecutableSource {
    /// A file of the image, unchanged.
    Image,
    /// A file of the image that was changed in the container.
    ImageModified,
    /// A file written in the container.
    WritableLayer,
    /// A file on a volume.
    Volume,
    /// No file: memory of a process.
    Memory,
    /// It could not be found out.
    #[serde(other)]
    Unknown,
}

/// What role a container has in its pod.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum ContainerType {
    /// One of `spec.containers`.
    App,
    /// One of `spec.initContainers` that runs to its end.
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

/// On how many of the nodes that matter processes are seen.
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

/// The words of an enum, as the API spells them.
macro_rules! words {
    ($($kind:ident { $($variant:ident),+ $(,)? })+) => {$(
        impl $kind {
            /// Every value, for tables and tests.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that the API uses for it.
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
    ContainerType { App, Init, Sidecar, Ephemeral }
}
