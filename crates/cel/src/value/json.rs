//! Values as JSON, for people and programs.
//!
//! Here: what each kind becomes. Not here: reading JSON (`Value::from_json`).
//! Invariant: nothing is left out; what JSON has no kind for is text.

use super::{Message, MessageKind, Value};
use crate::library::{duration_text, text_of};
use crate::message::object;
use base64::Engine as _;
use serde_json::{Map as Object, Value as Json, json};

impl Value<'_> {
    /// This value as JSON: bytes in base64, points in time in RFC 3339, spans as `1h30m0s`, NaN and
    /// infinities as text, optionals as `{"optional": [v]}`, keys of maps as text, types,
    /// quantities, addresses, versions and URLs as their text, questions about rights as the name of
    /// their type, messages as their fields.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => json!(value),
            Self::Int(value) => json!(value),
            Self::Uint(value) => json!(value),
            Self::Double(value) if value.is_finite() => json!(value),
            Self::Double(value) if value.is_nan() => json!("NaN"),
            Self::Double(value) if *value > 0.0 => json!("Infinity"),
            Self::Double(_) => json!("-Infinity"),
            Self::String(text) => json!(&**text),
            Self::Bytes(bytes) => {
                json!(base64::engine::general_purpose::STANDARD.encode(&**bytes))
            }
            Self::Duration(span) => json!(duration_text(*span)),
            Self::Timestamp(time) => json!(time.to_string()),
            Self::List(list) => Json::Array(list.iter().map(|element| element.to_json()).collect()),
            Self::Map(map) => {
                let mut made = Object::new();
                for (key, value) in map.entries() {
                    let name = match &key {
                        Self::List(_) | Self::Map(_) | Self::Optional(_) => {
                            key.type_name().to_owned()
                        }
                        key => text_of(key),
                    };
                    made.insert(name, value.to_json());
                }
                Json::Object(made)
            }
            Self::Optional(None) => json!({ "optional": [] }),
            Self::Optional(Some(value)) => json!({ "optional": [value.to_json()] }),
            Self::Type(name) => json!(name),
            Self::Opaque(value) => json!(value.to_string()),
            Self::Authorization(value) => json!(value.type_name()),
            Self::Message(message) => message_json(message),
            Self::Object(_) => json!("object"),
            Self::Preserved(json) => (*json).clone(),
            Self::Fault(error) => json!(error.to_string()),
        }
    }
}

fn message_json(message: &Message<'_>) -> Json {
    if let MessageKind::Object(_) = message.kind() {
        let made = object(message).map(|object| object.to_json());
        return made.unwrap_or_else(|words| json!(words));
    }
    let fields = message.fields();
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_json()));
    Json::Object(fields.collect())
}
