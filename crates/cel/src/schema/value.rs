//! JSON read through a schema.
//!
//! Here: what each value is to expressions (k8s.io/apiserver v0.37.2,
//! pkg/cel/common/valuesunstructured.go, `UnstructuredToVal`). Not here: equality and `+` of such
//! lists and maps (`value::typed`).
//! Invariant: lists, maps and texts are borrowed; what does not fit its schema is a fault where it
//! is read, not before.

use super::{Format, ListKind, Schema, Shape, formats, unescaped};
use crate::eval::EvalError;
use crate::value::{Bytes, List, Map, Value};
use serde_json::Value as Json;
use std::sync::Arc;

impl Schema {
    /// A JSON value as this schema describes it, borrowed.
    #[must_use]
    pub fn value<'a>(&'a self, json: &'a Json) -> Value<'a> {
        self.read(json)
            .unwrap_or_else(|words| fault(EvalError::new(words)))
    }

    fn read<'a>(&'a self, json: &'a Json) -> Result<Value<'a>, String> {
        if json.is_null() {
            return if self.nullable {
                Ok(Value::Null)
            } else {
                Err("invalid data, got null for schema with nullable=false".to_owned())
            };
        }
        let wrong = |wanted: &str| format!("invalid data, expected {wanted}");
        let got = |wanted: &str| format!("invalid data, expected {wanted}, got {}", go_type(json));
        match &self.shape {
            Shape::Object(_) => match json {
                Json::Object(entries) => Ok(Value::Map(Map::Typed(entries, self))),
                _ => Err(wrong("a map for the provided schema with type=object")),
            },
            Shape::Array { items, kind, .. } => {
                let Json::Array(elements) = json else {
                    return Err(wrong("an array for the provided schema with type=array"));
                };
                if items.is_none() {
                    return Err(
                        "invalid array type, expected Items with a non-empty Schema".to_owned()
                    );
                }
                if let ListKind::Unknown(kind) = kind {
                    return Err(format!(
                        "invalid x-kubernetes-list-type, expected 'map', 'set' or 'atomic' but got {kind}"
                    ));
                }
                Ok(Value::List(List::Typed(elements, self)))
            }
            Shape::String { format, .. } => match json {
                Json::String(text) => formatted(*format, text),
                _ => Err(got("string")),
            },
            #[expect(
                clippy::as_conversions,
                clippy::cast_precision_loss,
                reason = "a whole number becomes the nearest double"
            )]
            Shape::Number => match Value::from_json(json) {
                Value::Int(whole) => Ok(Value::Double(whole as f64)),
                double @ Value::Double(_) => Ok(double),
                _ => Err(got("float")),
            },
            Shape::Integer => match Value::from_json(json) {
                whole @ Value::Int(_) => Ok(whole),
                _ => Err(got("int")),
            },
            Shape::Boolean => match json {
                Json::Bool(value) => Ok(Value::Bool(*value)),
                _ => Err(got("bool")),
            },
            Shape::IntOrString { .. } => match Value::from_json(json) {
                value @ (Value::String(_) | Value::Int(_)) => Ok(value),
                _ => Err(wrong("XIntOrString value to be either a string or integer")),
            },
            Shape::Other {
                preserved: true, ..
            } => Ok(Value::Preserved(json)),
            Shape::Other { name, .. } => Err(format!(
                "invalid type, expected object, array, number, integer, boolean or string, or no \
                 type with x-kubernetes-int-or-string or x-kubernetes-preserve-unknown-fields is \
                 true, got {name}"
            )),
        }
    }

    /// What stands under a key or a field of an object of this schema.
    pub(crate) fn entry<'a>(
        &'a self,
        entries: &'a serde_json::Map<String, Json>,
        name: &str,
    ) -> Option<Value<'a>> {
        if !self.has_properties() {
            return Some(self.property(name)?.value(entries.get(name)?));
        }
        let name = unescaped(name)?;
        let json = entries.get(&*name)?;
        // A field that is null is one that is not there.
        if json.is_null() {
            return None;
        }
        Some(self.property(&name)?.value(json))
    }

    /// The name by which an entry of an object of this schema is seen; absent where it is not.
    pub(crate) fn entry_name<'a>(&self, name: &'a str) -> Option<Value<'a>> {
        self.property(name)?;
        if !self.has_properties() {
            return Some(Value::from(name));
        }
        Some(match super::escaped(name) {
            Some(std::borrow::Cow::Owned(escaped)) => Value::from(escaped),
            _ => Value::from(name),
        })
    }

    /// Whether a schema describes what stands under a key of an object.
    pub(crate) fn describes(&self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// An element of a list of this schema.
    pub(crate) fn element<'a>(&'a self, json: &'a Json) -> Value<'a> {
        match &self.shape {
            Shape::Array {
                items: Some(items), ..
            } => items.value(json),
            _ => fault(EvalError::no_overload()),
        }
    }

    /// How lists of this schema are compared and added.
    pub(crate) fn list_kind(&self) -> &ListKind {
        match &self.shape {
            Shape::Array { kind, .. } => kind,
            _ => &ListKind::Atomic,
        }
    }
}

/// A value that is an error where it is used.
pub(crate) fn fault<'a>(error: EvalError) -> Value<'a> {
    Value::Fault(Arc::new(error))
}

fn formatted(format: Format, text: &str) -> Result<Value<'_>, String> {
    match format {
        Format::Plain => Ok(Value::from(text)),
        Format::Duration => formats::duration(text)
            .map(Value::Duration)
            .map_err(|error| format!("Invalid duration {text}: {error}")),
        Format::Date => formats::date(text)
            .map(Value::Timestamp)
            .map_err(|error| format!("Invalid date formatted string {text}: {error}")),
        Format::DateTime => formats::date_time(text)
            .map(Value::Timestamp)
            .map_err(|error| format!("Invalid date-time formatted string {text}: {error}")),
        Format::Byte => formats::bytes(text)
            .map(|bytes| Value::Bytes(Bytes::Shared(bytes.into())))
            .map_err(|error| format!("Invalid byte formatted string {text}: {error}")),
    }
}

/// The name that Go has for the kind of a value.
fn go_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.as_i64().is_some() => "int64",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    }
}
