//! Values as Go prints them, where an error of the API server quotes one.
//!
//! Here: what `%v` makes of each. Not here: what `string()` makes (`conversions`), quotes
//! (`quoting`).
//! Invariant: data that nothing was read of yet is printed as Go's own lists and maps.

use super::conversions::{double_text, text_of};
use super::times::duration_text;
use crate::value::{List, Time, Value};
use serde_json::Value as Json;

/// A value as `%v` prints it.
pub(crate) fn go_text(value: &Value<'_>) -> String {
    match value {
        // The number that stands for null in Go.
        Value::Null => "0".to_owned(),
        Value::Double(value) => double_text(*value),
        Value::Bytes(bytes) => {
            let numbers: Vec<_> = bytes.iter().map(ToString::to_string).collect();
            format!("[{}]", numbers.join(" "))
        }
        Value::Duration(span) => duration_text(*span),
        Value::Timestamp(time) => time_text(*time),
        Value::Optional(None) => "optional.none()".to_owned(),
        Value::Optional(Some(value)) => format!("optional({})", go_text(value)),
        Value::Type("list") => "list(dyn)".to_owned(),
        Value::Type("map") => "map(dyn, dyn)".to_owned(),
        Value::Type("optional_type") => "optional_type(dyn)".to_owned(),
        Value::List(List::Json(elements)) => {
            let parts: Vec<_> = elements.iter().map(data_text).collect();
            format!("[{}]", parts.join(", "))
        }
        Value::List(list) => {
            let parts: Vec<_> = list.iter().map(|element| go_text(&element)).collect();
            format!("[{}]", parts.join(", "))
        }
        Value::Map(map) => {
            let parts: Vec<_> = map
                .entries()
                .map(|(key, value)| format!("{}: {}", go_text(&key), go_text(&value)))
                .collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Message(message) => {
            let parts: Vec<_> = message
                .fields()
                .map(|(name, value)| format!("{name}: {}", go_text(value)))
                .collect();
            format!("{}{{{}}}", message.kind().name(), parts.join(", "))
        }
        other => text_of(other),
    }
}

/// `1970-01-01 00:00:00 +0000 UTC`.
fn time_text(time: Time) -> String {
    let text = time.to_string();
    let (date, rest) = text.split_once('T').unwrap_or((&text, ""));
    let zone_at = rest.rfind(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at_checked(zone_at).unwrap_or((rest, ""));
    match zone {
        "Z" => format!("{date} {clock} +0000 UTC"),
        zone => {
            let zone = zone.replace(':', "");
            format!("{date} {clock} {zone} {zone}")
        }
    }
}

/// Data as Go's own lists and maps print it.
fn data_text(json: &Json) -> String {
    match json {
        Json::Null => "<nil>".to_owned(),
        Json::Array(elements) => {
            let parts: Vec<_> = elements.iter().map(data_text).collect();
            format!("[{}]", parts.join(" "))
        }
        Json::Object(fields) => {
            let mut parts: Vec<_> = fields
                .iter()
                .map(|(name, field)| format!("{name}:{}", data_text(field)))
                .collect();
            parts.sort();
            format!("map[{}]", parts.join(" "))
        }
        scalar => text_of(&Value::from_json(scalar)),
    }
}
