//! Reads from the JSON of an object what expressions can read of it.
//!
//! Here: which parts those are, and a bound on what is kept of them. Not here: where the JSON comes
//! from (`sensor`), which parts an expression reads (`cel`).
//! Invariant: what is kept takes no more memory than the limit, whatever the JSON is; an object that
//! would take more is not kept at all, as an expression must never be evaluated on a part of what it
//! reads.

use bailiff_cel::Reads;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// Bytes of memory of a JSON value itself, and of what a map keeps beside each key.
const VALUE_BYTES: usize = size_of::<Value>();
const ENTRY_BYTES: usize = size_of::<(String, Value)>() + 16;

/// Why the parts of an object are not kept.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// It is no JSON.
    #[error("it is not valid JSON")]
    Invalid(#[source] serde_json::Error),
    /// It would take more memory.
    #[error("it takes more than {limit} bytes")]
    TooLarge {
        /// Bytes of memory.
        limit: usize,
    },
}

/// The parts of an object that these expressions read, and how many bytes of memory they take.
/// `metadata.managedFields` is among them only where it is named.
///
/// # Errors
/// When it is not valid JSON, or the parts take more memory than `limit` bytes.
pub fn project(
    json: &[u8],
    reads: &Reads,
    limit: usize,
) -> Result<(Value, usize), ProjectionError> {
    let projection = Projection::new(reads, limit);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = projection
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match read {
        Ok(value) => Ok((value, projection.bytes())),
        Err(_) if projection.is_exceeded() => Err(ProjectionError::TooLarge { limit }),
        Err(error) => Err(ProjectionError::Invalid(error)),
    }
}

/// What [`project`] does, for an object within a document that is decoded in one pass. By reference it reads one object.
#[derive(Debug)]
pub struct Projection<'a> {
    reads: &'a Reads,
    limit: usize,
    left: Cell<usize>,
    exceeded: Cell<bool>,
}

impl<'a> Projection<'a> {
    /// Reads these parts, if they take at most `limit` bytes of memory.
    #[must_use]
    pub const fn new(reads: &'a Reads, limit: usize) -> Self {
        Self {
            reads,
            limit,
            left: Cell::new(limit),
            exceeded: Cell::new(false),
        }
    }

    /// Bytes of memory that the parts take that were read.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.limit.saturating_sub(self.left.get())
    }

    /// Whether the parts take more memory than the limit, which is an error of the document then.
    #[must_use]
    pub const fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }
}

impl<'de> DeserializeSeed<'de> for &Projection<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let managed = self.reads.field("metadata");
        let managed = managed.and_then(|metadata| metadata.field("managedFields"));
        let part = Part {
            reads: self.reads,
            place: Place::Object,
            managed_fields: managed.is_some(),
            left: &self.left,
            exceeded: &self.exceeded,
        };
        part.deserialize(deserializer)
    }
}

/// Where a value stands, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Object,
    Metadata,
    Other,
}

/// What is read of a value.
#[derive(Clone, Copy)]
struct Part<'a> {
    reads: &'a Reads,
    place: Place,
    managed_fields: bool,
    left: &'a Cell<usize>,
    exceeded: &'a Cell<bool>,
}

impl<'a> Part<'a> {
    fn take<E: Error>(&self, bytes: usize) -> Result<(), E> {
        if let Some(left) = self.left.get().checked_sub(bytes) {
            self.left.set(left);
            return Ok(());
        }
        self.exceeded.set(true);
        Err(E::custom("too large"))
    }

    fn of(&self, part: Option<&'a Reads>, place: Place) -> Option<Self> {
        let reads = if self.reads.is_whole() {
            self.reads
        } else {
            part?
        };
        Some(Self {
            reads,
            place,
            ..*self
        })
    }

    fn element(&self) -> Option<Self> {
        self.of(self.reads.elements(), Place::Other)
    }

    /// What is read of a key's value.
    fn value(&self, key: &str) -> Option<Self> {
        if self.place == Place::Metadata && key == "managedFields" && !self.managed_fields {
            return None;
        }
        let place = match (self.place, key) {
            (Place::Object, "metadata") => Place::Metadata,
            _ => Place::Other,
        };
        self.of(self.reads.field(key).or(self.reads.values()), place)
    }

    fn scalar<E: Error>(self, value: Value) -> Result<Value, E> {
        self.take(VALUE_BYTES)?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.scalar(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        if !self.reads.is_content() {
            return self.scalar(String::new().into());
        }
        self.take(VALUE_BYTES.saturating_add(value.len()))?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.take(VALUE_BYTES)?;
        let mut list = Vec::new();
        let Some(element) = self.element() else {
            while access.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(list.into());
        };
        while let Some(value) = access.next_element_seed(element)? {
            // A list that grows has room for twice as many.
            self.take(VALUE_BYTES)?;
            list.push(value);
        }
        list.shrink_to_fit();
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.take(VALUE_BYTES)?;
        let mut map = Map::new();
        while let Some(Key(key)) = access.next_key()? {
            match self.value(&key) {
                None => {
                    access.next_value::<IgnoredAny>()?;
                }
                Some(part) => {
                    self.take(ENTRY_BYTES.saturating_add(key.len()))?;
                    let value = access.next_value_seed(part)?;
                    map.insert(key.into_owned(), value);
                }
            }
        }
        Ok(map.into())
    }
}

/// A key; most are borrowed from the JSON, and most are skipped. That of the standard library's `Cow` is always
/// copied.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}

#[cfg(test)]
mod tests;
