//! A message that an expression made and that is no other value.
//!
//! Here: its fields, what reading one gives, equality. Not here: how it is made, which fields there may
//! be (`message`).
//! Invariant: a field is set once; what was not set is not there.

use super::compare::{Same, held};
use super::{DEPTH, List, Map, Value};
use crate::eval::EvalError;
use crate::library::{Opaque, go_text};
use crate::message::{PATCH, go_type, object};
use crate::stack;
use std::sync::Arc;

/// A message.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    kind: MessageKind,
    /// Whether a `google.protobuf.Any` held it, which errors of the API server tell.
    unpacked: bool,
    fields: Vec<(Arc<str>, Value<'a>)>,
}

/// What it is a message of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// `google.protobuf.Empty`.
    Empty,
    /// `google.protobuf.Struct.FieldsEntry`.
    FieldsEntry,
    /// An object of a `MutatingAdmissionPolicy`, or a part of one, by its type: `Object.spec`.
    Object(Arc<str>),
    /// An operation of a JSON patch.
    Patch,
}

impl MessageKind {
    /// The name of the type.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Empty => "google.protobuf.Empty",
            Self::FieldsEntry => "google.protobuf.Struct.FieldsEntry",
            Self::Object(name) => name,
            Self::Patch => PATCH,
        }
    }

    /// What `type()` gives: of a policy's own types that it is a type (k8s.io/apiserver v0.37.2,
    /// pkg/cel/mutation/dynamic/objects.go, jsonpatch.go, `ConvertToType`).
    pub(crate) fn type_value(&self) -> &'static str {
        match self {
            Self::Empty => "google.protobuf.Empty",
            Self::FieldsEntry => "google.protobuf.Struct.FieldsEntry",
            Self::Object(_) | Self::Patch => "type",
        }
    }
}

/// A field that was asked for; nothing where it is not there.
type Found<'a> = Result<Option<Value<'a>>, EvalError>;

impl<'a> Message<'a> {
    pub(crate) fn new(kind: MessageKind, fields: Vec<(Arc<str>, Value<'a>)>) -> Self {
        Self {
            kind,
            unpacked: false,
            fields,
        }
    }

    /// A message of `google.protobuf.Empty` that an `Any` held.
    pub(crate) fn unpacked() -> Self {
        Self {
            unpacked: true,
            ..Self::new(MessageKind::Empty, Vec::new())
        }
    }

    /// The type of Go that it is of there, as errors quote it.
    pub(crate) fn go_type(&self) -> &'static str {
        match &self.kind {
            MessageKind::Object(_) => "map[string]interface {}",
            MessageKind::Patch => "*mutation.JSONPatchVal",
            MessageKind::Empty if self.unpacked => "*emptypb.Empty",
            MessageKind::Empty | MessageKind::FieldsEntry => "*dynamicpb.Message",
        }
    }

    /// What it is a message of.
    #[must_use]
    pub fn kind(&self) -> &MessageKind {
        &self.kind
    }

    /// The fields that were set, in the order of the text.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.fields.iter().map(|(name, value)| (&**name, value))
    }

    /// A field that was set.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value<'a>> {
        let found = self.fields.iter().find(|(known, _)| **known == *name);
        found.map(|(_, value)| value)
    }

    /// What a field is; where a test is made, whether it was set.
    pub(crate) fn read(&self, name: &str, test: bool) -> Found<'a> {
        let set = self.field(name).cloned();
        let known: &[&str] = match &self.kind {
            // Its fields are read by its type alone (`read_typed`).
            MessageKind::Object(_) => return Ok(None),
            MessageKind::Patch => &["op", "path", "from", "value"],
            MessageKind::Empty => &[],
            MessageKind::FieldsEntry => &["key", "value"],
        };
        if !known.contains(&name) {
            return Err(EvalError::new(match (&self.kind, test) {
                (MessageKind::Patch, true) => format!("unsupported field: {name}"),
                (MessageKind::Patch, false) => format!("unsupported indexer: {name}"),
                _ => format!("no such field '{name}'"),
            }));
        }
        Ok(match set {
            None if !test && name == "value" => Some(Value::Null),
            None if !test => Some(Value::from("")),
            set => set,
        })
    }

    /// What is read by a key that is no text.
    pub(crate) fn read_key(&self, key: &Value<'_>, test: bool) -> Found<'a> {
        match &self.kind {
            MessageKind::Object(_) => Ok(None),
            MessageKind::Patch => {
                let what = if test { "field" } else { "indexer" };
                let (kind, shown) = (crate::plan::go_name(key), go_text(key));
                Err(EvalError::new(format!(
                    "unsupported {what}: %!s({kind}={shown})"
                )))
            }
            MessageKind::Empty | MessageKind::FieldsEntry => Err(EvalError::no_overload()),
        }
    }

    /// What a field is where the type is known before: of an object as the API server converts it
    /// (k8s.io/apiserver v0.37.2, pkg/cel/mutation/dynamic/objects.go, `Field`), and null where it was
    /// not set.
    pub(crate) fn read_typed(&self, name: &str, test: bool) -> Found<'a> {
        let MessageKind::Object(_) = self.kind else {
            return self.read(name, test);
        };
        let Ok(Value::Map(whole)) = object(self) else {
            return if test { Ok(None) } else { Err(no_field(name)) };
        };
        match whole.field(name) {
            None if !test => Ok(Some(Value::Null)),
            // Also what can't be converted is there.
            Some(_) if test => Ok(Some(Value::Null)),
            found => Ok(found.map(|value| stack::with(DEPTH, || converted_back(value)))),
        }
    }

    /// Whether it is what nothing was set in.
    pub(crate) fn is_zero(&self) -> bool {
        self.fields.is_empty() && self.kind != MessageKind::Patch
    }
}

/// A value of Go as one of the language again: what the language has nothing for is a fault, wherever it
/// is.
fn converted_back(value: Value<'_>) -> Value<'_> {
    match value {
        Value::List(List::Made(elements)) => {
            let elements = elements.iter().cloned();
            Value::List(List::of(elements.map(converted_back).collect()))
        }
        Value::Map(map @ Map::Made(_)) if !map.is_struct() => {
            let entries = map.entries();
            Value::Map(Map::of(
                entries.map(|(key, value)| (key, converted_back(value))),
            ))
        }
        Value::Opaque(_) if !is_format(&value) => {
            let (kind, shown) = (go_type(&value), go_text(&value));
            let words = format!("unsupported conversion to ref.Val: ({kind}){shown}");
            Value::Fault(Arc::new(EvalError::new(words)))
        }
        other => other,
    }
}

fn is_format(value: &Value<'_>) -> bool {
    matches!(value, Value::Opaque(opaque) if matches!(**opaque, Opaque::Format(_)))
}

/// The error of a field of what is no message although its type is one.
pub(crate) fn no_field(name: &str) -> EvalError {
    EvalError::new(format!("cannot get field {name:?}"))
}

/// Whether two messages are equal.
pub(super) fn messages(a: &Message<'_>, b: &Message<'_>) -> Same {
    if a.kind != b.kind {
        return Ok(false);
    }
    match a.kind {
        MessageKind::Object(_) => Ok(same_fields(a, b)),
        MessageKind::Patch => {
            for name in ["op", "from", "path"] {
                if a.field(name).is_some() != b.field(name).is_some() {
                    return Ok(false);
                }
                if let (Some(a), Some(b)) = (a.field(name), b.field(name))
                    && !super::equal(a, b)
                {
                    return Ok(false);
                }
            }
            match (a.field("value"), b.field("value")) {
                (None, None) => Ok(true),
                (Some(a), Some(b)) => held(a, b),
                _ => Ok(false),
            }
        }
        MessageKind::Empty | MessageKind::FieldsEntry => {
            let equal = |(name, value): (&str, &Value<'_>)| {
                b.field(name)
                    .is_some_and(|other| super::equal(value, other))
            };
            Ok(a.fields.len() == b.fields.len() && a.fields().all(equal))
        }
    }
}

fn same_fields(a: &Message<'_>, b: &Message<'_>) -> bool {
    a.fields.len() == b.fields.len()
        && a.fields()
            .all(|(name, value)| b.field(name).is_some_and(|other| same(value, other)))
}

/// Whether two values are the same to Go (reflect.DeepEqual), by which the API server compares what is
/// in objects: numbers of one kind alone, lists only where they are one.
fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::List(List::Made(a)), Value::List(List::Made(b))) => Arc::ptr_eq(a, b),
        (Value::List(List::Go(a, _)), Value::List(List::Go(b, _))) => std::ptr::eq(*a, *b),
        (Value::List(_), _) => false,
        (Value::Map(Map::Json(a)), Value::Map(Map::Json(b))) => a == b,
        (Value::Map(Map::Go(a, _)), Value::Map(Map::Go(b, _))) => std::ptr::eq(*a, *b),
        (Value::Map(Map::Made(x)), Value::Map(Map::Made(y))) if Arc::ptr_eq(x, y) => true,
        (Value::Map(a @ Map::Made(_)), Value::Map(b @ Map::Made(_))) => {
            a.len() == b.len()
                && a.is_struct() == b.is_struct()
                && a.entries()
                    .all(|(key, value)| b.get(&key).is_some_and(|other| same(&value, &other)))
        }
        (Value::Map(_), _) => false,
        (Value::Message(a), Value::Message(b)) => {
            Arc::ptr_eq(a, b)
                || a.kind == b.kind
                    && (matches!(a.kind, MessageKind::Empty | MessageKind::FieldsEntry)
                        && matches!(messages(a, b), Ok(true))
                        || same_fields(a, b))
        }
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => same(a, b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b && a.offset == b.offset,
        (Value::Opaque(a), Value::Opaque(b)) => a.is_same(b),
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b) && super::equal(a, b),
    }
}
