//! Lists and maps that were read through a schema.
//!
//! Here: their equality and `+`, which are by the kind of the list (k8s.io/apiserver v0.37.2,
//! pkg/cel/common/valuesunstructured.go, valuesreflect.go). Not here: reading (`schema`), equality
//! of all else (`compare`).
//! Invariant: sets and maps are compared by keys, so the time is that of their length.

use super::compare::{Same, equality, unlike};
use super::{List, Map, Value};
use crate::eval::EvalError;
use crate::schema::{ListKind, Schema};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A set or a map that an expression made of one of a schema: it goes on as one.
#[derive(Clone, Debug)]
pub struct Merged<'a> {
    pub(super) elements: Vec<Value<'a>>,
    kind: ListKind,
}

impl Merged<'_> {
    pub(crate) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(crate) fn kind(&self) -> &ListKind {
        &self.kind
    }
}

/// What elements are the same by.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Nothing,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(u64),
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
    Duration(i64),
    /// A point in time with its offset: two offsets are two keys.
    Time(i64, u32, i32),
    Other(String),
}

fn double<'a>(value: f64) -> Key<'a> {
    // Both zeros are one.
    Key::Double((value + 0.0).to_bits())
}

impl<'a> Key<'a> {
    fn of(value: &Value<'a>) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Uint(value) => Self::Uint(*value),
            Value::Double(value) => double(*value),
            Value::String(super::Text::Borrowed(text)) => Self::Text(Cow::Borrowed(text)),
            Value::String(text) => Self::Text(Cow::Owned(text.to_string())),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            Value::Duration(span) => Self::Duration(*span),
            Value::Timestamp(time) => Self::Time(time.seconds, time.nanos, time.offset),
            other => Self::Other(other.to_json().to_string()),
        }
    }

    fn of_json(json: Option<&'a Json>) -> Self {
        match json {
            None | Some(Json::Null) => Self::Nothing,
            Some(Json::Bool(value)) => Self::Bool(*value),
            Some(Json::Number(number)) => match number.as_i64() {
                Some(value) => Self::Int(value),
                None => double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Some(Json::String(text)) => Self::Text(Cow::Borrowed(text)),
            Some(other) => Self::Other(other.to_string()),
        }
    }
}

/// The key of an element of a set, which is a scalar.
fn set_key<'a>(element: &Value<'a>) -> Result<Key<'a>, Box<EvalError>> {
    match element {
        Value::List(_) | Value::Map(_) => Err(Box::new(EvalError::new(
            "listSet operations are only supported on lists of scalar values",
        ))),
        Value::Fault(error) => Err(Box::new((**error).clone())),
        scalar => Ok(Key::of(scalar)),
    }
}

/// The key of an element of a map that was read: the fields as they are in JSON. Absent for what
/// is no object there, and so is the same as nothing.
fn json_key<'a>(element: &Value<'a>, names: &[String]) -> Option<Vec<Key<'a>>> {
    let entries = match element {
        Value::Map(Map::Json(entries) | Map::Typed(entries, _)) => *entries,
        Value::Preserved(Json::Object(entries)) => entries,
        _ => return None,
    };
    Some(
        names
            .iter()
            .map(|name| Key::of_json(entries.get(name)))
            .collect(),
    )
}

/// The key of an element of a map that an expression made.
fn value_key<'a>(element: &Value<'a>, names: &[String]) -> Vec<Key<'a>> {
    let part = |name: &String| match element {
        Value::Map(map) => match map.field(name) {
            None | Some(Value::Fault(_)) => Key::Nothing,
            Some(value) => Key::of(&value),
        },
        _ => Key::Nothing,
    };
    names.iter().map(part).collect()
}

/// Whether a list of a schema is equal to another value.
pub(super) fn lists(list: &List<'_>, kind: &ListKind, other: &Value<'_>) -> Same {
    let Value::List(other) = other else {
        return unlike(other);
    };
    if list.len() != other.len() {
        return Ok(false);
    }
    match kind {
        ListKind::Atomic | ListKind::Unknown(_) => {
            for (a, b) in list.iter().zip(other.iter()) {
                if !element(&a, &b)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        ListKind::Set => sets(list, other),
        ListKind::Map(names) => match list {
            List::Typed(..) => maps_by(list, other, |element| json_key(element, names)),
            _ => maps_by(list, other, |element| Some(value_key(element, names))),
        },
    }
}

/// Whether an element is equal to another value; here a null can't be compared with a list or an
/// object.
pub(crate) fn element(a: &Value<'_>, b: &Value<'_>) -> Same {
    match (a, b) {
        (Value::List(_) | Value::Map(Map::Typed(..)), Value::Null) => unlike(b),
        _ => equality(a, b),
    }
}

fn sets(list: &List<'_>, other: &List<'_>) -> Same {
    let mut known = HashSet::with_capacity(list.len());
    for element in list.iter() {
        known.insert(set_key(&element)?);
    }
    let mut seen = HashSet::with_capacity(known.len());
    for element in other.iter() {
        let key = set_key(&element)?;
        if !known.contains(&key) {
            return Ok(false);
        }
        seen.insert(key);
    }
    Ok(seen.len() == known.len())
}

fn maps_by<'a>(
    list: &List<'a>,
    other: &List<'a>,
    key: impl Fn(&Value<'a>) -> Option<Vec<Key<'a>>>,
) -> Same {
    let mut known = HashMap::with_capacity(list.len());
    for element in list.iter() {
        if let Some(key) = key(&element) {
            // Of two elements with one key the last counts.
            known.insert(key, element);
        }
    }
    let mut seen = HashSet::with_capacity(known.len());
    for theirs in other.iter() {
        let Some(key) = key(&theirs) else {
            return Ok(false);
        };
        let Some(ours) = known.get(&key) else {
            return Ok(false);
        };
        if !element(ours, &theirs)? {
            return Ok(false);
        }
        seen.insert(key);
    }
    Ok(seen.len() == known.len())
}

/// Whether an object of a schema is equal to another value.
pub(super) fn objects(
    entries: &serde_json::Map<String, Json>,
    schema: &Schema,
    other: &Value<'_>,
) -> Same {
    let Value::Map(map) = other else {
        return unlike(other);
    };
    if entries.len() != map.len() {
        return Ok(false);
    }
    for (name, json) in entries {
        if schema.describes(name) {
            match (schema.entry(entries, name), map.field(name)) {
                (None, None) => {}
                (Some(_), None) | (None, Some(_)) => return Ok(false),
                (Some(ours), Some(theirs)) => {
                    if !element(&ours, &theirs)? {
                        return Ok(false);
                    }
                }
            }
            continue;
        }
        // What the schema does not describe is compared as it is, with its like alone.
        let Map::Typed(theirs, _) = map else {
            return unlike(other);
        };
        if theirs.get(name).is_some_and(|theirs| theirs != json) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether what a schema keeps without describing it is equal to another value.
pub(super) fn preserved(json: &Json, other: &Value<'_>) -> bool {
    match other {
        Value::Preserved(other) => json == *other,
        Value::Map(Map::Typed(entries, _) | Map::Json(entries)) => {
            json.as_object().is_some_and(|own| own == *entries)
        }
        Value::List(List::Typed(elements, _)) => {
            json.as_array().is_some_and(|own| own == *elements)
        }
        Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::String(_) => {
            equality(&Value::from_json(json), other) == Ok(true)
        }
        _ => false,
    }
}

/// A list of a schema and another one: a set has no element twice, in a map the later element of
/// a key takes the place of the earlier.
pub(crate) fn added<'a>(
    list: &List<'a>,
    kind: &ListKind,
    other: &List<'a>,
) -> Result<List<'a>, EvalError> {
    let mut elements: Vec<_> = list.iter().collect();
    match kind {
        ListKind::Atomic | ListKind::Unknown(_) => {
            elements.extend(other.iter());
            return Ok(List::of(elements));
        }
        ListKind::Set => {
            let mut known = HashSet::with_capacity(elements.len());
            for element in &elements {
                known.insert(set_key(element).map_err(|error| *error)?);
            }
            for element in other.iter() {
                if known.insert(set_key(&element).map_err(|error| *error)?) {
                    elements.push(element);
                }
            }
        }
        ListKind::Map(names) => {
            let mut places = HashMap::with_capacity(elements.len());
            for (place, element) in elements.iter().enumerate() {
                places.insert(value_key(element, names), place);
            }
            for element in other.iter() {
                let place = places.get(&value_key(&element, names));
                match place.and_then(|place| elements.get_mut(*place)) {
                    Some(before) => *before = element,
                    None => elements.push(element),
                }
            }
        }
    }
    Ok(List::Merged(Arc::new(Merged {
        elements,
        kind: kind.clone(),
    })))
}
