//! The object of a review.
//!
//! Here: decoding the parts of it that a review needs. Not here: what they mean (`entries`).
//! Invariant: what is not needed is skipped without recursion and without memory. A tenant can send managed
//! fields with any nesting, which the API server takes and the decoder of JSON rejects; a list of a million
//! empty objects would take fifty times its bytes.

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};
use std::fmt;

/// The parts of an object that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What the verdict about a pod or a pod template depends on: its images, its labels, annotations and
    /// owners.
    Images,
    /// Everything but managed fields.
    Everything,
}

/// A part of an object that is not kept as a whole.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// An object of which everything is kept.
    Whole,
    /// Its metadata, without managed fields.
    Metadata,
    /// A pod, a workload, a template.
    Object,
    /// The metadata of these.
    Identity,
    /// The spec of these.
    Spec,
    /// Containers or volumes.
    List,
    /// A container or volume.
    Entry,
}

impl From<Keep> for Part {
    fn from(keep: Keep) -> Self {
        match keep {
            Keep::Images => Self::Object,
            Keep::Everything => Self::Whole,
        }
    }
}

/// What happens to a field.
enum Field {
    Skip,
    Part(Part),
    All,
}

impl Part {
    fn field(self, key: &str) -> Field {
        match (self, key) {
            (Self::Whole, "metadata") => Field::Part(Self::Metadata),
            (Self::Metadata, "managedFields") => Field::Skip,
            (Self::Whole | Self::Metadata, _)
            | (Self::Object, "apiVersion" | "kind")
            | (
                Self::Identity,
                "name" | "generateName" | "namespace" | "uid" | "labels" | "annotations"
                | "ownerReferences",
            )
            | (Self::Entry, "name" | "image") => Field::All,
            (Self::Object, "metadata") => Field::Part(Self::Identity),
            (Self::Object, "spec") => Field::Part(Self::Spec),
            (Self::Spec, "containers" | "initContainers" | "ephemeralContainers" | "volumes") => {
                Field::Part(Self::List)
            }
            // Of a workload, and of a CronJob.
            (Self::Spec, "template" | "jobTemplate") => Field::Part(Self::Object),
            (Self::Object | Self::Identity | Self::Spec | Self::List | Self::Entry, _) => {
                Field::Skip
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "a list",
            Self::Whole
            | Self::Metadata
            | Self::Object
            | Self::Identity
            | Self::Spec
            | Self::Entry => "an object",
        })
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        if matches!(self, Self::List) {
            return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
        }
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = match self.field(&key) {
                Field::Skip => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Field::Part(part) => map.next_value_seed(part)?,
                Field::All => map.next_value()?,
            };
            fields.insert(key, value);
        }
        Ok(Json::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        if !matches!(self, Self::List) {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element_seed(Self::Entry)? {
            entries.push(entry);
        }
        Ok(Json::Array(entries))
    }
}
