//! Decodes each object by itself.
//!
//! Here: an object or the reason why it cannot be decoded, and which objects cannot be decoded now.
//! Not here: the watch that brings them (`watch`), what follows for each kind (each component).
//! Invariant: an object that cannot be decoded is a value, never an error of the list or watch that
//! brought it; managed fields and parts of the status that cannot be decoded count as absent, and the
//! rest of the object stands. A policy or binding whose spec cannot be decoded does not exist for Bailiff.

mod parts;
mod registry;

pub use registry::{Problem, UndecodableObjects};

pub(crate) use registry::Listing;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use parts::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Most bytes of an error's message: it quotes what clients wrote.
const MESSAGE_LIMIT_BYTES: usize = 512;
/// Most parts of one status that are left out one by one; beyond them the whole status is.
const IGNORED_LIMIT: usize = 16;

/// Why an object, or a part of its status, cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct DecodeError {
    /// The field, as `spec.responseActions[0]`; `.` for the object as a whole.
    pub path: String,
    /// The cause, at most 512 bytes. It can quote what the object says.
    pub message: String,
}

impl DecodeError {
    fn new(path: String, error: &serde_json::Error) -> Self {
        let mut message = error.to_string();
        // The position is one in a text that readers of the message do not have.
        if let Some(end) = message.rfind(" at line ") {
            message.truncate(end);
        }
        let end = (0..=MESSAGE_LIMIT_BYTES.min(message.len()))
            .rev()
            .find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
        Self { path, message }
    }
}

/// An object that was decoded by itself: a list or a watch of these never fails because of one.
#[derive(Clone, Debug)]
pub struct Decoded<K>(Result<Whole<K>, Undecodable>);

#[derive(Clone, Debug)]
struct Whole<K> {
    object: K,
    ignored: Vec<DecodeError>,
}

/// An object that cannot be decoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct Undecodable {
    /// Name, namespace, UID, generation and resource version, as far as they can be decoded.
    pub metadata: Box<ObjectMeta>,
    /// The cause.
    pub error: DecodeError,
}

impl<K> Decoded<K> {
    /// The object.
    ///
    /// # Errors
    /// When it cannot be decoded.
    pub fn into_result(self) -> Result<K, Undecodable> {
        self.0.map(|whole| whole.object)
    }

    /// Managed fields and parts of the status that cannot be decoded and are absent in the object.
    #[must_use]
    pub fn ignored(&self) -> &[DecodeError] {
        self.0.as_ref().map_or(&[], |whole| &whole.ignored)
    }
}

impl<K: DeserializeOwned + Resource> Decoded<K> {
    /// Decodes the JSON text of one object.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(match serde_json::from_str::<K>(text) {
            Ok(object) => Ok(Whole {
                object,
                ignored: Vec::new(),
            }),
            Err(_) => without_bad_parts(text),
        })
    }
}

/// Decodes again, without the managed fields and the parts of the status that cannot be decoded.
fn without_bad_parts<K: DeserializeOwned>(text: &str) -> Result<Whole<K>, Undecodable> {
    let undecodable = |error| Undecodable {
        metadata: Box::new(parts::identity(text)),
        error,
    };
    let mut parts =
        Parts::of(text).map_err(|error| undecodable(DecodeError::new(".".to_owned(), &error)))?;
    let mut ignored = Vec::new();
    loop {
        let text = parts
            .text()
            .map_err(|error| undecodable(DecodeError::new(".".to_owned(), &error)))?;
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let error = match serde_path_to_error::deserialize::<_, K>(&mut deserializer) {
            Ok(object) => return Ok(Whole { object, ignored }),
            Err(error) => error,
        };
        let removed = parts.remove(error.path(), ignored.len() < IGNORED_LIMIT);
        let error = DecodeError::new(error.path().to_string(), error.inner());
        if !removed {
            return Err(undecodable(error));
        }
        ignored.push(error);
    }
}

impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Decoded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::from_text(text.get()))
    }
}

impl<K: Resource> Resource for Decoded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(whole) => whole.object.meta(),
            Err(undecodable) => &undecodable.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(whole) => whole.object.meta_mut(),
            Err(undecodable) => &mut undecodable.metadata,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

#[cfg(test)]
mod tests;
