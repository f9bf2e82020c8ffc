//! An `Object` of a `MutatingAdmissionPolicy` as JSON.
//!
//! Here: its two conversions, of its fields alone and of all that is in them, as the API server makes
//! them one after the other. Not here: JSON of any other value, and what a field of protobuf's types
//! takes (`native`).
//! Invariant: what can't be converted is refused in the words of the API server, where it is there.

use super::native::{finite, scalar, too_deep};
use super::{go_type, text};
use crate::eval::EvalError;
use crate::library::go_text;
use crate::plan::go_name;
use crate::stack;
use crate::value::{DEPTH, List, Map, Message, MessageKind, Value};
use std::sync::Arc;

type Converted<'a> = Result<Value<'a>, String>;

pub(super) fn is_object(value: &Value<'_>) -> bool {
    matches!(value, Value::Message(message) if matches!(message.kind(), MessageKind::Object(_)))
}

/// An object of a `MutatingAdmissionPolicy` as the API server converts it (k8s.io/apiserver v0.37.2,
/// pkg/cel/mutation/dynamic/objects.go, `convertField`): an object is a map, a type its name, an
/// optional what it holds or null.
///
/// # Errors
/// A key of a map that is no text, in the words of the API server.
pub(crate) fn object<'a>(message: &Message<'a>) -> Converted<'a> {
    stack::with(DEPTH, || fields(message, DEPTH))
}

fn plain<'a>(value: &Value<'a>, depth: usize) -> Converted<'a> {
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    Ok(match value {
        Value::Type(name) => Value::from(*name),
        Value::Optional(None) => Value::Null,
        Value::Optional(Some(inner)) => plain(inner, depth)?,
        Value::List(List::Made(elements)) => {
            let elements: Result<Vec<_>, _> = elements.iter().map(|e| element(e, depth)).collect();
            Value::List(List::of(elements?))
        }
        Value::Map(map @ Map::Made(_)) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.entries() {
                let name = plain(&key, depth)?;
                if !matches!(name, Value::String(_)) {
                    let (shown, ty) = (go_text(&key), go_name(&key));
                    return Err(format!("map key {shown} is of type {ty}, not string"));
                }
                entries.push((name, element(&value, depth)?));
            }
            Value::Map(Map::of(entries))
        }
        Value::Message(message) if is_object(value) => {
            // What is wrong within stays there.
            fields(message, depth)
                .unwrap_or_else(|words| Value::Fault(Arc::new(EvalError::new(words))))
        }
        Value::Message(message) => {
            let fields = message.fields();
            let mut checked = fields.map(|(_, value)| finite(value, depth));
            match checked.find_map(Result::err) {
                Some(words) => Value::Fault(Arc::new(EvalError::new(words))),
                None => value.clone(),
            }
        }
        other => other.clone(),
    })
}

pub(super) fn fields<'a>(message: &Message<'a>, depth: usize) -> Converted<'a> {
    let mut entries = Vec::new();
    for (name, value) in message.fields() {
        let value = plain(value, depth)
            .map_err(|words| format!("fail to convert field {name:?}: {words}"))?;
        entries.push((text(name.to_owned()), value));
    }
    Ok(Value::Map(Map::of(entries)))
}

/// What is within a list or a map: of lists and maps there nothing is converted.
fn element<'a>(value: &Value<'a>, depth: usize) -> Converted<'a> {
    match value {
        Value::List(_) | Value::Map(_) => Ok(value.clone()),
        Value::Optional(Some(inner)) => element(inner, depth.checked_sub(1).ok_or_else(too_deep)?),
        other => plain(other, depth),
    }
}

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a field, or in data that is there: each part is converted.
    Field,
    /// In a list or a map that the expression made: nothing more is converted.
    Within,
    /// In data that lies there.
    Data,
}

impl Place {
    /// The place of what is in data at this place.
    fn in_data(self) -> Self {
        match self {
            Self::Field => Self::Field,
            Self::Within | Self::Data => Self::Data,
        }
    }
}

/// A value in an object as `structpb.NewValue` makes JSON of it (google.golang.org/protobuf v1.36,
/// types/known/structpb), after `convertField` (k8s.io/apiserver v0.37.2,
/// pkg/cel/mutation/dynamic/objects.go).
pub(super) fn structured<'a>(value: &Value<'a>, place: Place, depth: usize) -> Converted<'a> {
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    let invalid = |ty: &str| Err(format!("proto: invalid type: {ty}"));
    Ok(match value {
        Value::Null if place != Place::Data => return invalid(go_type(value)),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::String(_)
        | Value::Bytes(_) => scalar(value),
        Value::Type(name) => Value::from(*name),
        Value::Optional(None) => Value::Null,
        Value::Optional(Some(inner)) => structured(inner, place, depth)?,
        Value::List(List::Made(_)) | Value::Map(Map::Made(_)) if place != Place::Field => {
            return invalid(go_type(value));
        }
        Value::List(List::Go(..)) | Value::Map(Map::Go(..)) if place == Place::Within => {
            return invalid(go_type(value));
        }
        Value::List(list) => {
            let place = match list {
                List::Made(_) | List::Joined(_) if place != Place::Field => Place::Within,
                List::Made(_) => Place::Within,
                _ => place.in_data(),
            };
            let elements = list.iter();
            let elements: Result<Vec<_>, _> = elements
                .map(|element| structured(&element, place, depth))
                .collect();
            Value::List(List::of(elements?))
        }
        Value::Map(map) => {
            let place = match map {
                Map::Made(_) => Place::Within,
                _ => place.in_data(),
            };
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.entries() {
                entries.push((plain(&key, depth)?, structured(&value, place, depth)?));
            }
            Value::Map(Map::of(entries))
        }
        Value::Message(message) if is_object(value) => {
            if fields(message, depth).is_err() {
                return invalid("*types.Err");
            }
            let mut entries = Vec::new();
            for (name, value) in message.fields() {
                entries.push((
                    text(name.to_owned()),
                    structured(value, Place::Field, depth)?,
                ));
            }
            Value::Map(Map::of(entries))
        }
        other => return invalid(go_type(other)),
    })
}
