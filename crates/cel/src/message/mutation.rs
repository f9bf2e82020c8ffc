//! The types of a `MutatingAdmissionPolicy`.
//!
//! Here: `Object`, `Object.spec` and so on, `JSONPatch`, and `jsonpatch.escapeKey`
//! (k8s.io/apiserver v0.37.2, pkg/cel/mutation, pkg/cel/library/jsonpatch.go; the same in each
//! release). Not here: which environment has them (`admission`), what reading a field gives
//! (`value::message`).
//! Invariant: every field of an object is there to be set; of a patch only its four.

use super::Made;
use crate::eval::EvalError;
use crate::library::{Outcome, Row, no_overload};
use crate::types::{ObjectType, Type};
use crate::value::{List, Map, Message, MessageKind, Text, Value};
use std::sync::Arc;

/// The type of an object.
pub(crate) const OBJECT: &str = "Object";
/// The type of one operation of a JSON patch.
pub(crate) const PATCH: &str = "JSONPatch";
/// The function that makes a part of a path of a key.
pub(crate) const ESCAPE: &str = "jsonpatch.escapeKey";

pub(crate) const ROWS: &[Row] = &[Row {
    name: ESCAPE,
    run: escape,
    overloads: &[("string_jsonpatch_escapeKey_string", "(string) -> string")],
}];

/// Whether a name is that of an object's type, or of a part of one.
pub(super) fn is_object(name: &str) -> bool {
    name.strip_prefix(OBJECT)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The type with a name.
pub(crate) fn type_of(name: &str) -> Option<Type> {
    if name == PATCH {
        let text = ["op", "from", "path"].map(|field| (field, Type::String));
        return Some(ObjectType::new(
            PATCH,
            text.into_iter().chain([("value", Type::Dyn)]),
        ));
    }
    is_object(name).then(|| ObjectType::of_any_fields(name))
}

pub(super) fn object<'a>(name: &Arc<str>, fields: Vec<(&str, Value<'a>)>) -> Value<'a> {
    let kind = MessageKind::Object(Arc::clone(name));
    message(kind, fields)
}

fn message<'a>(kind: MessageKind, fields: Vec<(&str, Value<'a>)>) -> Value<'a> {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (Arc::from(name), value))
        .collect();
    Value::Message(Arc::new(Message::new(kind, fields)))
}

pub(super) fn patch<'a>(fields: Vec<(&str, Value<'a>)>) -> Made<'a> {
    let mut set = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        match name {
            "op" | "path" | "from" => {
                let Some(text) = text(&value) else {
                    let found = go_type(&value);
                    return Err(EvalError::new(format!(
                        "unexpected type {found} for JSONPatchType '{name}' field"
                    )));
                };
                // An empty text is as if it were not set.
                if !text.is_empty() {
                    set.push((name, Value::String(text)));
                }
            }
            "value" => set.push((name, value)),
            other => {
                return Err(EvalError::new(format!(
                    "unexpected JSONPatchType field: {other}"
                )));
            }
        }
    }
    Ok(message(MessageKind::Patch, set))
}

/// What Go takes for text: also the name of a type, and what is in an optional.
fn text<'a>(value: &Value<'a>) -> Option<Text<'a>> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Type(name) => Some(Text::Borrowed(name)),
        Value::Optional(Some(inner)) => text(inner),
        _ => None,
    }
}

/// The type of Go that a value is of there, as an error quotes it.
pub(crate) fn go_type(value: &Value<'_>) -> &'static str {
    use crate::library::Opaque;
    match value {
        Value::Null => "structpb.NullValue",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Uint(_) => "uint64",
        Value::Double(_) => "float64",
        Value::String(_) | Value::Type(_) => "string",
        Value::Bytes(_) => "[]uint8",
        Value::Duration(_) => "time.Duration",
        Value::Timestamp(_) => "time.Time",
        Value::List(List::Go(_, of)) | Value::Map(Map::Go(_, of)) => of.name(),
        Value::List(List::Made(_)) => "[]ref.Val",
        Value::List(_) => "[]interface {}",
        Value::Map(Map::Made(_)) => "map[ref.Val]ref.Val",
        Value::Map(_) => "map[string]interface {}",
        Value::Optional(None) => "<nil>",
        Value::Optional(Some(inner)) => go_type(inner),
        Value::Opaque(opaque) => match &**opaque {
            Opaque::Quantity(_) => "*resource.Quantity",
            Opaque::Url(_) => "*url.URL",
            Opaque::Ip(_) => "netip.Addr",
            Opaque::Cidr(_) => "netip.Prefix",
            Opaque::Semver(_) => "semver.Version",
            Opaque::Format(_) => "cel.Format",
        },
        Value::Message(message) => match message.kind() {
            MessageKind::Object(_) if super::object(message).is_err() => "*types.Err",
            _ => message.go_type(),
        },
        Value::Authorization(_) | Value::Object(_) | Value::Preserved(_) | Value::Fault(_) => {
            "interface {}"
        }
    }
}

fn escape<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(key)] => Ok(Value::from(key.replace('~', "~0").replace('/', "~1"))),
        _ => no_overload(),
    }
}
