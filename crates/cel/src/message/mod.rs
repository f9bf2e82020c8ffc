//! Messages that expressions make: which there are, their fields, what making one gives.
//!
//! Here: protobuf's well-known types (cel-go v0.29.2, common/types/pb/pb.go registers their files) as
//! values of the language. Not here: values as what a field holds (`native`), `google.protobuf.Any`
//! (`any`), the types of a `MutatingAdmissionPolicy` (`mutation`) and its `Object` as JSON (`object`),
//! whether it can be applied (`application`), a message as a value (`value::message`).
//! Invariant: what is made is a plain value wherever protobuf's type stands for one.

mod any;
mod application;
mod mutation;
mod native;
mod object;

use crate::eval::EvalError;
use crate::types::{ObjectType, Type};
use crate::value::{Bytes, List, Map, Message, MessageKind, Time, Value};
use native::Native;
use std::sync::Arc;

pub use application::mutation_fault;
pub(crate) use mutation::{ESCAPE, PATCH, ROWS, go_type, type_of as type_of_mutation};
pub(crate) use object::object;

type Made<'a> = Result<Value<'a>, EvalError>;

/// A type of protobuf.
#[derive(Debug)]
pub(crate) struct Proto {
    pub(crate) name: &'static str,
    /// The fields, each with what it holds.
    fields: &'static [(&'static str, Native)],
    make: Make,
}

/// What fields that were set make.
#[derive(Clone, Copy, Debug)]
enum Make {
    /// The value of the only field, or its zero.
    Wrapper,
    Duration,
    Timestamp,
    Struct,
    ListValue,
    Value,
    Any,
    Empty,
    FieldsEntry,
}

macro_rules! wrapper {
    ($name:literal, $native:ident) => {
        Proto {
            name: concat!("google.protobuf.", $name),
            fields: &[("value", Native::$native)],
            make: Make::Wrapper,
        }
    };
}

const TIME: &[(&str, Native)] = &[("seconds", Native::Int64), ("nanos", Native::Int32)];

/// The types of any.proto, duration.proto, empty.proto, struct.proto, timestamp.proto and
/// wrappers.proto.
const PROTOS: &[Proto] = &[
    wrapper!("BoolValue", Bool),
    wrapper!("BytesValue", Bytes),
    wrapper!("DoubleValue", Double),
    wrapper!("FloatValue", Float),
    wrapper!("Int32Value", Int32),
    wrapper!("Int64Value", Int64),
    wrapper!("StringValue", String),
    wrapper!("UInt32Value", Uint32),
    wrapper!("UInt64Value", Uint64),
    Proto {
        name: "google.protobuf.Any",
        fields: &[("type_url", Native::String), ("value", Native::Bytes)],
        make: Make::Any,
    },
    Proto {
        name: "google.protobuf.Duration",
        fields: TIME,
        make: Make::Duration,
    },
    Proto {
        name: "google.protobuf.Empty",
        fields: &[],
        make: Make::Empty,
    },
    Proto {
        name: "google.protobuf.ListValue",
        fields: &[("values", Native::Values)],
        make: Make::ListValue,
    },
    Proto {
        name: "google.protobuf.Struct",
        fields: &[("fields", Native::Fields)],
        make: Make::Struct,
    },
    Proto {
        name: "google.protobuf.Struct.FieldsEntry",
        fields: &[("key", Native::String), ("value", Native::Json)],
        make: Make::FieldsEntry,
    },
    Proto {
        name: "google.protobuf.Timestamp",
        fields: TIME,
        make: Make::Timestamp,
    },
    Proto {
        name: "google.protobuf.Value",
        fields: &[
            ("null_value", Native::Enum),
            ("number_value", Native::Double),
            ("string_value", Native::String),
            ("bool_value", Native::Bool),
            ("struct_value", Native::Struct),
            ("list_value", Native::List),
        ],
        make: Make::Value,
    },
];

/// The only value of the only enumeration in those files, and its number.
pub(crate) const NULL_VALUE: (&str, i64) = ("google.protobuf.NullValue.NULL_VALUE", 0);

/// A type of protobuf by its name.
pub(crate) fn proto(name: &str) -> Option<&'static Proto> {
    if !name.starts_with("google.protobuf.") {
        return None;
    }
    PROTOS.iter().find(|proto| proto.name == name)
}

/// The names of all of them.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROTOS.iter().map(|proto| proto.name)
}

impl Proto {
    /// What the checker takes a message of this type for (cel-go v0.29.2, common/types/types.go,
    /// `checkedWellKnowns`).
    pub(crate) fn ty(&self) -> Type {
        match self.make {
            Make::Wrapper => {
                let inner = self.fields.first().map(|(_, native)| native.ty());
                Type::wrapper(inner.unwrap_or(Type::Dyn))
            }
            Make::Duration => Type::Duration,
            Make::Timestamp => Type::Timestamp,
            Make::Struct => Type::map(Type::Dyn),
            Make::ListValue => Type::list(Type::Dyn),
            Make::Value => Type::Dyn,
            Make::Any => Type::Any,
            Make::Empty | Make::FieldsEntry => {
                let fields = self
                    .fields
                    .iter()
                    .map(|(name, native)| (*name, native.ty()));
                ObjectType::new(self.name, fields)
            }
        }
    }

    /// Whether the API server's planner knows the name as a type; of the others only the checker does.
    pub(crate) fn is_value(&self) -> bool {
        matches!(
            self.make,
            Make::Empty | Make::FieldsEntry | Make::Duration | Make::Timestamp
        )
    }

    /// The type of a field.
    pub(crate) fn field(&self, name: &str) -> Option<Type> {
        self.find(name).map(Native::ty)
    }

    fn find(&self, name: &str) -> Option<Native> {
        let (_, native) = self.fields.iter().find(|(known, _)| *known == name)?;
        Some(*native)
    }

    /// Makes a message; of two values of a field the later counts.
    fn make<'a>(&self, fields: Vec<(&str, Value<'a>)>) -> Made<'a> {
        let mut set: Vec<(&str, Value<'a>)> = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let Some(native) = self.find(name) else {
                return Err(EvalError::new(format!("no such field: {name}")));
            };
            let value = native.of(value, self.name, name)?;
            set.push((name, value));
        }
        let field = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        let int = |name: &str| match field(name) {
            Some(Value::Int(value)) => value,
            _ => 0,
        };
        Ok(match self.make {
            Make::Wrapper => field("value")
                .or_else(|| self.find("value").map(Native::zero))
                .unwrap_or(Value::Null),
            Make::Duration => duration(int("seconds"), int("nanos")),
            Make::Timestamp => timestamp(int("seconds"), int("nanos")),
            Make::Struct => field("fields").unwrap_or_else(|| Value::Map(Map::structure([]))),
            Make::ListValue => field("values").unwrap_or_else(|| Value::List(List::of(Vec::new()))),
            // One of them alone can be set.
            Make::Value => match set.pop() {
                None | Some(("null_value", _)) => Value::Null,
                Some((_, value)) => value,
            },
            Make::Any => {
                let (url, content) = (field("type_url"), field("value"));
                let url = match &url {
                    Some(Value::String(text)) => text,
                    _ => "",
                };
                let content: &[u8] = match &content {
                    Some(Value::Bytes(bytes)) => bytes,
                    _ => &[],
                };
                any::unpacked(url, content)?
            }
            Make::Empty => Value::Message(Arc::new(Message::new(MessageKind::Empty, Vec::new()))),
            Make::FieldsEntry => {
                let fields = set
                    .into_iter()
                    // An empty key is as if it were not set.
                    .filter(|(name, value)| {
                        *name != "key" || !matches!(value, Value::String(text) if text.is_empty())
                    })
                    .map(|(name, value)| (Arc::from(name), value))
                    .collect();
                Value::Message(Arc::new(Message::new(MessageKind::FieldsEntry, fields)))
            }
        })
    }
}

/// A span of seconds and nanoseconds; the longest one where it is longer
/// (google.golang.org/protobuf v1.36, types/known/durationpb, `AsDuration`).
fn duration<'a>(seconds: i64, nanos: i64) -> Value<'a> {
    let span = i128::from(seconds)
        .saturating_mul(1_000_000_000)
        .saturating_add(i128::from(nanos));
    let most = if span < 0 { i64::MIN } else { i64::MAX };
    Value::Duration(i64::try_from(span).unwrap_or(most))
}

fn timestamp<'a>(seconds: i64, nanos: i64) -> Value<'a> {
    let more = nanos.div_euclid(1_000_000_000);
    let nanos = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default();
    Value::Timestamp(Time {
        seconds: seconds.wrapping_add(more),
        nanos,
        offset: 0,
    })
}

/// What makes the messages of a type.
#[derive(Clone, Debug)]
pub(crate) enum Maker {
    Proto(&'static Proto),
    /// Of a `MutatingAdmissionPolicy`: an object, or a part of one, by its type.
    Object(Arc<str>),
    /// Of a `MutatingAdmissionPolicy`.
    Patch,
    /// Of a type that is declared, and that nothing makes messages of.
    Unknown(Arc<str>),
}

impl Maker {
    /// What makes messages of the type with this whole name; with `mutation` those of a
    /// `MutatingAdmissionPolicy` as well.
    pub(crate) fn of(name: &Arc<str>, mutation: bool) -> Self {
        if mutation && **name == *PATCH {
            return Self::Patch;
        }
        if mutation && mutation::is_object(name) {
            return Self::Object(Arc::clone(name));
        }
        proto(name).map_or_else(|| Self::Unknown(Arc::clone(name)), Self::Proto)
    }

    /// Whether values are made into others; else they are kept as they are.
    pub(crate) fn converts(&self) -> bool {
        matches!(self, Self::Proto(_))
    }

    /// Makes a message of fields, each once.
    ///
    /// # Errors
    /// What a field can't hold, or that there are no messages of this type.
    pub(crate) fn make<'a>(&self, fields: Vec<(&str, Value<'a>)>) -> Made<'a> {
        match self {
            Self::Proto(proto) => proto.make(fields),
            Self::Object(name) => Ok(mutation::object(name, fields)),
            Self::Patch => mutation::patch(fields),
            Self::Unknown(name) => Err(EvalError::new(format!("unknown type '{name}'"))),
        }
    }
}

/// Text of a message's field.
fn text<'a>(text: String) -> Value<'a> {
    Value::from(text)
}

/// Bytes of a message's field.
fn bytes<'a>(bytes: &[u8]) -> Value<'a> {
    Value::Bytes(Bytes::Shared(bytes.into()))
}
