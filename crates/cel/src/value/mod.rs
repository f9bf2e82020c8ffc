//! Values, and how the host's data is seen as values without copying it.
//!
//! Here: the value, lists and maps over borrowed data, the traits of the host. Not here:
//! operations on them (`library`); comparison is in `compare`, text and bytes in `text`, points
//! in time in `time`.
//! Invariant: reading borrowed data allocates nothing; what is made while evaluating is shared,
//! never copied.

mod compare;
mod go;
mod joined;
mod json;
mod map;
mod message;
pub(crate) mod number;
mod text;
mod time;
mod typed;
mod weight;

use crate::eval::EvalError;
use crate::library::{Authorization, Opaque};
use crate::schema::{ListKind, Schema};
use crate::types::{ObjectType, Type};
use std::fmt;
use std::sync::Arc;

pub(crate) use compare::{equal, equality, order};
pub use go::GoType;
pub use joined::Joined;
pub use map::{MadeMap, Map};
pub(crate) use message::no_field;
pub use message::{Message, MessageKind};
pub use text::{Bytes, Text};
pub use time::Time;
pub(crate) use time::days_from_civil;
pub use typed::Merged;
pub(crate) use typed::{added, element as element_is};
pub(crate) use weight::{DEPTH, reading, weight};

/// Most elements of a list that a function makes at once. The API server sets no bound; there more
/// memory is used.
pub(crate) const ELEMENTS_LIMIT: usize = 1 << 22;

/// Most bytes of text that a function makes at once, in the same way.
pub(crate) const TEXT_LIMIT: usize = 1 << 25;

/// A value.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A floating point number.
    Double(f64),
    /// Text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Bytes<'a>),
    /// A span of time, in nanoseconds.
    Duration(i64),
    /// A point in time.
    Timestamp(Time),
    /// A list.
    List(List<'a>),
    /// A map.
    Map(Map<'a>),
    /// A structure of the host.
    Object(&'a dyn Object),
    /// A value that may be absent.
    Optional(Option<Arc<Value<'a>>>),
    /// A type, by its name.
    Type(&'static str),
    /// A quantity, an address, a version and the like.
    Opaque(Arc<Opaque>),
    /// A message that an expression made and that is no other value.
    Message(Arc<Message<'a>>),
    /// A question about rights, or its answer.
    Authorization(Arc<Authorization<'a>>),
    /// Data that its schema keeps without describing it: it can be compared, and nothing else.
    Preserved(&'a serde_json::Value),
    /// Data that does not fit its schema: an error where it is used.
    Fault(Arc<EvalError>),
}

/// A structure of the host, with the fields of its [`crate::ObjectType`].
pub trait Object: Sync {
    /// The field at this place of the declaration; absent when the structure does not have it.
    fn field(&self, index: usize) -> Option<Value<'_>>;

    /// The places of fields by name, for access where the type is not known before.
    fn index(&self, name: &str) -> Option<usize>;
}

impl fmt::Debug for dyn Object + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("object")
    }
}

/// A list of the host.
pub trait Sequence: Sync {
    /// How many elements there are.
    fn len(&self) -> usize;

    /// The element at this place.
    fn get(&self, index: usize) -> Option<Value<'_>>;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for dyn Sequence + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "list of {}", self.len())
    }
}

impl Sequence for [String] {
    fn len(&self) -> usize {
        <[String]>::len(self)
    }

    fn get(&self, index: usize) -> Option<Value<'_>> {
        <[String]>::get(self, index).map(|text| Value::from(text.as_str()))
    }
}

impl Sequence for Vec<String> {
    fn len(&self) -> usize {
        Self::as_slice(self).len()
    }

    fn get(&self, index: usize) -> Option<Value<'_>> {
        Sequence::get(self.as_slice(), index)
    }
}

/// What an expression may use: each variable by its place in the environment's list.
pub trait Activation: Sync {
    /// The variable at this place; absent when it has no value now.
    fn variable(&self, slot: usize) -> Option<Value<'_>>;
}

/// A list, wherever its elements are.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// Made by an expression.
    Made(Arc<Vec<Value<'a>>>),
    /// An array of JSON.
    Json(&'a [serde_json::Value]),
    /// A list of the host.
    Host(&'a dyn Sequence),
    /// An array of JSON, read through its schema.
    Typed(&'a Vec<serde_json::Value>, &'a Schema),
    /// An array of JSON that the API server keeps as this type of Go.
    Go(&'a Vec<serde_json::Value>, GoType),
    /// A set or a map that was made of one of a schema.
    Merged(Arc<Merged<'a>>),
    /// The sum of two lists, which errors of the API server name in another way.
    Joined(Arc<Joined<'a>>),
}

impl<'a> List<'a> {
    /// A list of these elements.
    #[must_use]
    pub fn of(elements: Vec<Value<'a>>) -> Self {
        Self::Made(Arc::new(elements))
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Made(elements) => elements.len(),
            Self::Json(elements) => elements.len(),
            Self::Host(elements) => elements.len(),
            Self::Joined(joined) => joined.len(),
            Self::Typed(elements, _) | Self::Go(elements, _) => elements.len(),
            Self::Merged(merged) => merged.len(),
        }
    }

    /// How it is compared and added, where a schema says so.
    pub(crate) fn kind(&self) -> Option<&ListKind> {
        match self {
            Self::Typed(_, schema) => Some(schema.list_kind()),
            Self::Merged(merged) => Some(merged.kind()),
            Self::Made(_) | Self::Joined(_) | Self::Json(_) | Self::Host(_) | Self::Go(..) => None,
        }
    }

    /// Whether it is neither read through a schema nor of a type of Go: those are other values there,
    /// which are not converted and have no zero.
    pub(crate) fn is_plain(&self) -> bool {
        self.kind().is_none() && !matches!(self, Self::Go(..))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at a place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Made(elements) => elements.get(index).cloned(),
            Self::Json(elements) => elements.get(index).map(Value::from_json),
            Self::Host(elements) => elements.get(index),
            Self::Joined(joined) => joined.get(index),
            Self::Typed(elements, schema) => elements.get(index).map(|json| schema.element(json)),
            Self::Go(elements, of) => elements.get(index).map(|json| of.element(json)),
            Self::Merged(merged) => merged.elements.get(index).cloned(),
        }
    }

    /// The elements in their order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Value<'a> {
    /// A field of the host that exists and whose value is not known: an error with this message for whatever reads it or
    /// asks whether it is there.
    #[must_use]
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::Fault(Arc::new(EvalError::new(message)))
    }

    /// A JSON value, borrowed. A whole number is an int where it fits.
    #[must_use]
    pub fn from_json(json: &'a serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(value) => Self::Int(value),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(elements) => Self::List(List::Json(elements)),
            serde_json::Value::Object(entries) => Self::Map(Map::Json(entries)),
        }
    }

    /// The same value, borrowed where it is text: no count of its users changes hands.
    pub(crate) fn lent(&'a self) -> Self {
        match self {
            Self::String(text) => Self::String(Text::Borrowed(text)),
            other => other.clone(),
        }
    }

    /// A list of these elements.
    pub(crate) fn list(elements: Vec<Self>) -> Self {
        Self::List(List::of(elements))
    }

    /// A value that is there.
    pub(crate) fn some(value: Self) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// A value that only its own functions know.
    pub(crate) fn opaque(value: Opaque) -> Self {
        Self::Opaque(Arc::new(value))
    }

    /// The type of a value, as far as the value alone tells.
    #[must_use]
    pub fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::Duration(_) => Type::Duration,
            Self::Timestamp(_) => Type::Timestamp,
            Self::List(_) => Type::list(Type::Dyn),
            Self::Map(_) => Type::Map(Arc::new(Type::Dyn), Arc::new(Type::Dyn)),
            Self::Object(_) | Self::Preserved(_) | Self::Fault(_) => Type::Dyn,
            Self::Optional(_) => Type::optional(Type::Dyn),
            Self::Type(_) => Type::Type(None),
            Self::Opaque(value) => Type::opaque(value.type_name()),
            Self::Message(message) => ObjectType::abstract_type(message.kind().name()),
            Self::Authorization(value) => ObjectType::abstract_type(value.type_name()),
        }
    }

    /// The name of a value's type, for errors.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::Message(message) => message.kind().name(),
            other => other.type_value(),
        }
    }

    /// The name of the type that `type()` gives.
    pub(crate) fn type_value(&self) -> &'static str {
        match self {
            Self::Message(message) => message.kind().type_value(),
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Object(_) => "object",
            Self::Preserved(_) => "unknown",
            Self::Fault(_) => "error",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Opaque(value) => value.type_name(),
            Self::Authorization(value) => value.type_name(),
        }
    }

    /// How many characters, bytes, elements or entries it has; 1 for what has no size. Costs are
    /// counted by it.
    pub(crate) fn size(&self) -> u64 {
        let size = match self {
            Self::String(text) => text.characters(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Optional(Some(inner)) => return inner.size(),
            Self::Opaque(value) => return value.size(),
            _ => 1,
        };
        u64::try_from(size).unwrap_or(u64::MAX)
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        equal(self, other)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Text::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::String(Text::Shared(text.into()))
    }
}
