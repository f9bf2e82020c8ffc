//! Who asks, from the start of a review.
//!
//! Here: the UID and the namespace of a request that cannot be decoded as a whole. Not here: the request
//! (`super`).
//! Invariant: what stands before the first fault is found, whatever follows.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// What identifies a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// UID of the request; empty if it is unknown.
    pub uid: String,
    /// Namespace of the object; empty if it has none or it is unknown.
    pub namespace: String,
}

/// What the start of a review tells about the request.
#[must_use]
pub fn identity(start: &[u8]) -> Identity {
    let mut found = Identity::default();
    // The start of a document is no document: the error says where it ends.
    drop(serde_json::Deserializer::from_slice(start).deserialize_map(Document(&mut found)));
    found
}

/// The document; notes what it meets.
struct Document<'a>(&'a mut Identity);

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "request" {
                map.next_value_seed(Request(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The request; notes what it meets.
struct Request<'a>(&'a mut Identity);

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "uid" => self.0.uid = map.next_value()?,
                "namespace" => self.0.namespace = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}
