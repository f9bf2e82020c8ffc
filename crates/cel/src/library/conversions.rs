//! From one type to another: `bool()`, `bytes()`, `double()`, `int()`, `uint()`, `string()`.
//!
//! Here: what each reads and writes (cel-go, common/types). Not here: their declarations
//! (`standard`), `timestamp()` and `duration()` (`times`).
//! Invariant: what does not fit is an error, never a value near it.

use super::standard::{int, uint};
use super::{Outcome, doubles, fail, no_overload, times};
use crate::value::{Bytes, Text, Value};

fn not_converted<'a>(value: &Value<'_>, to: &str) -> Outcome<'a> {
    let from = value.type_name();
    fail(format!("type conversion error from '{from}' to '{to}'"))
}

pub(super) fn to_bool<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value @ Value::Bool(_)] => Ok(value.clone()),
        [value @ Value::String(text)] => match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => not_converted(value, "bool"),
        },
        _ => no_overload(),
    }
}

pub(super) fn to_bytes<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value @ Value::Bytes(_)] => Ok(value.clone()),
        [Value::String(Text::Borrowed(text))] => Ok(Value::Bytes(Bytes::Borrowed(text.as_bytes()))),
        [Value::String(text)] => Ok(Value::Bytes(Bytes::Shared(text.as_bytes().into()))),
        _ => no_overload(),
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a whole number becomes the nearest double, as the specification says"
)]
pub(super) fn to_double<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value @ Value::Double(_)] => Ok(value.clone()),
        [Value::Int(value)] => Ok(Value::Double(*value as f64)),
        [Value::Uint(value)] => Ok(Value::Double(*value as f64)),
        [value @ Value::String(text)] => match doubles::parse(text) {
            Some(double) => Ok(Value::Double(double)),
            None => not_converted(value, "double"),
        },
        _ => no_overload(),
    }
}

pub(super) fn to_int<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value @ Value::Int(_)] => Ok(value.clone()),
        [Value::Uint(value)] => int(i64::try_from(*value).ok()),
        [Value::Double(value)] => {
            // 2^63; both ends themselves are out of range, as in cel-go.
            let bound = 9_223_372_036_854_775_808.0;
            #[expect(
                clippy::as_conversions,
                clippy::cast_possible_truncation,
                reason = "within the range, as checked"
            )]
            int((*value > -bound && *value < bound).then_some(*value as i64))
        }
        [Value::Duration(value)] => Ok(Value::Int(*value)),
        [Value::Timestamp(time)] => Ok(Value::Int(time.seconds)),
        [value @ Value::String(text)] => match text.parse() {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) => not_converted(value, "int"),
        },
        _ => no_overload(),
    }
}

pub(super) fn to_uint<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value @ Value::Uint(_)] => Ok(value.clone()),
        [Value::Int(value)] => uint(u64::try_from(*value).ok()),
        [Value::Double(value)] => {
            // 2^64.
            let bound = 18_446_744_073_709_551_616.0;
            #[expect(
                clippy::as_conversions,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within the range, as checked"
            )]
            uint((*value >= 0.0 && *value < bound).then_some(*value as u64))
        }
        [value @ Value::String(text)] => match text.parse::<u64>() {
            Ok(number) if !text.starts_with('+') => Ok(Value::Uint(number)),
            Ok(_) | Err(_) => not_converted(value, "uint"),
        },
        _ => no_overload(),
    }
}

pub(super) fn to_string<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [value] = arguments else {
        return no_overload();
    };
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::from(text.to_owned())),
            Err(_) => fail("invalid UTF-8 in bytes, cannot convert to string"),
        },
        Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Duration(_)
        | Value::Timestamp(_) => Ok(Value::from(text_of(value))),
        _ => no_overload(),
    }
}

/// A scalar as `string()` writes it, and as errors quote it.
pub(crate) fn text_of(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => double_text(*value),
        Value::String(text) => text.to_string(),
        Value::Duration(span) => times::duration_seconds(*span),
        Value::Timestamp(time) => time.to_string(),
        Value::Opaque(value) => value.to_string(),
        Value::Type(name) => (*name).to_owned(),
        Value::List(list) => {
            let parts: Vec<_> = list.iter().map(|element| text_of(&element)).collect();
            format!("[{}]", parts.join(", "))
        }
        other => other.type_name().to_owned(),
    }
}

/// As Go's `%g`: the fewest digits, with an exponent below -4 and from 6 on.
pub(crate) fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&power) {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", power.unsigned_abs());
    }
    format!("{value}")
}
