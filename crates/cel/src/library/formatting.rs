//! `format`: text with values put in.
//!
//! Here: clauses such as `%s` and `%.2f`, as Kubernetes has them (cel-go, ext/formatting.go) and
//! as the specification has them by now (`formatting_v2.go`). Not here: other text functions (`strings`).
//! Invariant: a clause that is not valid for its value is an error that names both.

use super::{Outcome, conversions, fail, no_overload, quoted, times};
use crate::eval::EvalError;
use crate::types::Type;
use crate::value::{List, TEXT_LIMIT, Value};

/// How many digits are made at most. There is no such bound in the API server's engine.
const MOST_DIGITS: usize = 1000;

/// Which of the two is spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Kubernetes,
    Specification,
}

pub(super) fn format<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    with(arguments, Dialect::Kubernetes)
}

pub(super) fn format_as_specified<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    with(arguments, Dialect::Specification)
}

fn with<'a>(arguments: &[Value<'a>], dialect: Dialect) -> Outcome<'a> {
    let [Value::String(text), Value::List(list)] = arguments else {
        return no_overload();
    };
    match formatted(text, list, dialect) {
        Ok(Some(text)) => Ok(Value::from(text)),
        Ok(None) => Err(EvalError::limit()),
        Err(error) => fail(error),
    }
}

/// The text with the values; nothing where it is longer than one may be.
fn formatted(text: &str, list: &List<'_>, dialect: Dialect) -> Result<Option<String>, String> {
    let mut made = String::new();
    let mut used = 0_usize;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            made.push(c);
            continue;
        }
        if rest.next_if_eq(&'%').is_some() {
            made.push('%');
            continue;
        }
        let Some(value) = list.get(used) else {
            return Err(format!("index {used} out of range"));
        };
        used = used.saturating_add(1);
        let (verb, precision) = clause_head(&mut rest)?;
        made.push_str(&clause(verb, precision, &value, dialect)?);
        // It is paid for by the length of the format, whatever is put in.
        if made.len() > TEXT_LIMIT {
            return Ok(None);
        }
    }
    Ok(Some(made))
}

/// What follows a `%`: the letter of the clause, and its precision.
///
/// # Errors
/// When the text ends before.
pub(crate) fn clause_head(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<(char, Option<usize>), String> {
    let Some(mut verb) = rest.next() else {
        return Err("unexpected end of string".to_owned());
    };
    let mut precision = None;
    if verb == '.' {
        let mut digits = String::new();
        while let Some(digit) = rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let fault = |words: &str| {
            format!("could not parse formatting clause: error while parsing precision: {words}")
        };
        let Some(next) = rest.next() else {
            return Err(fault("could not find end of precision specifier"));
        };
        verb = next;
        let number: i64 = digits.parse().map_err(|_| {
            let why = if digits.is_empty() {
                "invalid syntax"
            } else {
                "value out of range"
            };
            fault(&format!(
                "error while converting precision to integer: strconv.Atoi: parsing \"{digits}\": {why}"
            ))
        })?;
        precision = Some(
            usize::try_from(number)
                .unwrap_or(MOST_DIGITS)
                .min(MOST_DIGITS),
        );
    }
    Ok((verb, precision))
}

fn wrong(clause: &str, found: &str, verb: &str) -> String {
    format!(
        "error during formatting: {verb} clause can only be used on {clause}, was given {found}"
    )
}

fn clause(
    verb: char,
    precision: Option<usize>,
    value: &Value<'_>,
    dialect: Dialect,
) -> Result<String, String> {
    let kubernetes = dialect == Dialect::Kubernetes;
    match verb {
        's' if kubernetes => quoting(value, false),
        's' => text(value),
        'd' => match value {
            Value::Int(value) => Ok(value.to_string()),
            Value::Uint(value) => Ok(value.to_string()),
            Value::Double(value) if !kubernetes && !value.is_finite() => Ok(named(*value)),
            other => Err(wrong("integers", other.type_name(), "decimal")),
        },
        'f' => number(value, "fixed-point", dialect).map(|double| match dialect {
            Dialect::Kubernetes if double.is_finite() => {
                // Zero has no sign, but what is rounded to it has.
                let double = if double == 0.0 { 0.0 } else { double };
                grouped(&format!("{double:.*}", precision.unwrap_or(6)))
            }
            _ if double.is_finite() => format!("{double:.*}", precision.unwrap_or(6)),
            Dialect::Kubernetes => symbol(double).to_owned(),
            Dialect::Specification => named(double),
        }),
        'e' => number(value, "scientific", dialect).map(|double| {
            // Kubernetes' engine takes the precision for the width.
            let width = precision.unwrap_or(6);
            if !double.is_finite() {
                return match dialect {
                    Dialect::Kubernetes => format!("{:>width$}", symbol(double)),
                    Dialect::Specification => named(double),
                };
            }
            let digits = if kubernetes { 6 } else { width };
            let double = if kubernetes && double == 0.0 {
                0.0
            } else {
                double
            };
            let made = format!("{double:.digits$e}");
            let (digits, power) = made.split_once('e').unwrap_or((&made, "0"));
            let power: i32 = power.parse().unwrap_or(0);
            let (minus, two) = (power < 0, format!("{:02}", power.unsigned_abs()));
            if kubernetes {
                // As golang.org/x/text writes it for English.
                let sign = if minus { "\u{207b}" } else { "" };
                let raised: String = two.chars().map(superscript).collect();
                let text = format!("{digits}\u{d7}10{sign}{raised}");
                format!("{text:>width$}")
            } else {
                format!("{digits}e{}{two}", if minus { '-' } else { '+' })
            }
        }),
        'b' => match value {
            Value::Bool(value) => Ok(u8::from(*value).to_string()),
            Value::Int(value) => Ok(radix(*value < 0, &format!("{:b}", value.unsigned_abs()))),
            Value::Uint(value) => Ok(format!("{value:b}")),
            other if kubernetes => Err(not_binary(other.type_name())),
            other => Err(wrong("integers and bools", other.type_name(), "binary")),
        },
        'o' => match value {
            Value::Int(value) => Ok(radix(*value < 0, &format!("{:o}", value.unsigned_abs()))),
            Value::Uint(value) => Ok(format!("{value:o}")),
            other => Err(wrong("integers", other.type_name(), "octal")),
        },
        'x' => hexadecimal(value, dialect),
        'X' => hexadecimal(value, dialect).map(|text| text.to_uppercase()),
        other => Err(unknown_clause(other)),
    }
}

/// The words for a clause that there is none of: its first byte is taken for a letter.
fn unknown_clause(verb: char) -> String {
    let mut buffer = [0; 4];
    let first = verb.encode_utf8(&mut buffer).bytes().next().map(char::from);
    let verb = first.unwrap_or(verb);
    format!("could not parse formatting clause: unrecognized formatting clause \"{verb}\"")
}

fn radix(negative: bool, digits: &str) -> String {
    format!("{}{digits}", if negative { "-" } else { "" })
}

fn hexadecimal(value: &Value<'_>, dialect: Dialect) -> Result<String, String> {
    let bytes = |bytes: &[u8]| {
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or('0');
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect()
    };
    match value {
        Value::Int(value) => Ok(radix(*value < 0, &format!("{:x}", value.unsigned_abs()))),
        Value::Uint(value) => Ok(format!("{value:x}")),
        Value::String(text) => Ok(bytes(text.as_bytes())),
        Value::Bytes(found) => Ok(bytes(found)),
        other if dialect == Dialect::Kubernetes => Err(not_hexadecimal(other.type_name())),
        other => Err(wrong(
            "integers, byte buffers, and strings",
            other.type_name(),
            "hex",
        )),
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a whole number is written as the nearest double"
)]
fn number(value: &Value<'_>, verb: &str, dialect: Dialect) -> Result<f64, String> {
    match value {
        Value::Double(value) => Ok(*value),
        Value::String(text) if dialect == Dialect::Kubernetes => match &**text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(wrong("doubles", value.type_name(), verb)),
        },
        Value::Int(value) if dialect == Dialect::Specification => Ok(*value as f64),
        Value::Uint(value) if dialect == Dialect::Specification => Ok(*value as f64),
        other => Err(wrong("doubles", other.type_name(), verb)),
    }
}

/// A number as it is written in English, with a comma before each three digits.
fn grouped(number: &str) -> String {
    let (sign, digits) = number
        .strip_prefix('-')
        .map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut made = String::from(sign);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && whole.len().saturating_sub(place) % 3 == 0 {
            made.push(',');
        }
        made.push(digit);
    }
    made.push_str(fraction);
    made
}

fn superscript(digit: char) -> char {
    match digit {
        '1' => '\u{b9}',
        '2' => '\u{b2}',
        '3' => '\u{b3}',
        other => other
            .to_digit(10)
            .and_then(|digit| char::from_u32(digit.saturating_add(0x2070)))
            .unwrap_or(other),
    }
}

fn symbol(double: f64) -> &'static str {
    match double {
        double if double.is_nan() => "NaN",
        double if double > 0.0 => "\u{221e}",
        _ => "-\u{221e}",
    }
}

/// Kubernetes' `%s`: within lists and maps values look as in an expression.
fn quoting(value: &Value<'_>, inner: bool) -> Result<String, String> {
    match value {
        Value::Timestamp(time) if !inner => return Ok(time.to_string()),
        Value::Double(double) if !inner => return Ok(conversions::double_text(*double)),
        Value::List(_) | Value::Map(_) => {}
        Value::Bytes(bytes) if !inner => return valid_text(bytes).map(str::to_owned),
        other if !inner => return text(other),
        _ => {}
    }
    Ok(match value {
        Value::String(text) => quoted(text),
        Value::Bytes(bytes) => format!("b{}", quoted(valid_text(bytes)?)),
        Value::Double(double) if double.is_finite() => format!("{double:.6}"),
        Value::Double(double) => format!("\"{}\"", conversions::double_text(*double)),
        Value::Duration(span) => format!("duration(\"{}\")", times::duration_seconds(*span)),
        Value::Timestamp(time) => format!("timestamp(\"{}\")", time.at(0)),
        Value::List(list) => {
            let parts: Result<Vec<_>, _> = list.iter().map(|part| quoting(&part, true)).collect();
            format!("[{}]", parts?.join(", "))
        }
        Value::Map(map) => {
            let mut parts = Vec::new();
            for (key, value) in map.entries() {
                let known = matches!(
                    key,
                    Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::Uint(_)
                );
                if !known {
                    return Err(format!(
                        "error during formatting: no formatting function for map key of type {}",
                        key.type_name()
                    ));
                }
                parts.push((quoting(&key, true)?, quoting(&value, true)?));
            }
            parts.sort_by(|(a, _), (b, _)| a.cmp(b));
            let parts: Vec<_> = parts.iter().map(|(k, v)| format!("{k}:{v}")).collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Object(_)
        | Value::Message(_)
        | Value::Optional(_)
        | Value::Opaque(_)
        | Value::Authorization(_)
        | Value::Preserved(_)
        | Value::Fault(_) => {
            return Err(format!(
                "error during formatting: no formatting function for {}",
                value.type_name()
            ));
        }
        other => text(other)?,
    })
}

/// Bytes as the text that they are.
fn valid_text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| {
        "error during formatting: could not convert argument \"invalid UTF-8 in bytes, cannot convert to string\" to string".to_owned()
    })
}

/// What is wrong with a clause for values of a type; nothing where only running it tells.
pub(crate) fn static_fault(verb: char, ty: &Type) -> Option<String> {
    let bare = ty.bare();
    let whole = matches!(bare, Type::Int | Type::Uint);
    let fits = match verb {
        's' => !matches!(
            bare,
            Type::Any
                | Type::Optional(_)
                | Type::Object(_)
                | Type::Opaque(..)
                | Type::Error
                | Type::Missing
                | Type::Param(_)
        ),
        'd' | 'o' => whole,
        // Text may name what is no number, such as `NaN`.
        'f' | 'e' => matches!(bare, Type::Double | Type::String),
        'b' => whole || *bare == Type::Bool,
        'x' | 'X' => whole || matches!(bare, Type::String | Type::Bytes),
        other => return Some(unknown_clause(other)),
    };
    if fits || *ty == Type::Dyn {
        return None;
    }
    let name = ty.name();
    Some(match verb {
        's' => no_text(&name),
        'd' => wrong("integers", &name, "decimal"),
        'o' => wrong("integers", &name, "octal"),
        'f' => wrong("doubles", &name, "fixed-point"),
        'e' => wrong("doubles", &name, "scientific"),
        'b' => not_binary(&name),
        _ => not_hexadecimal(&name),
    })
}

fn not_binary(found: &str) -> String {
    format!(
        "error during formatting: only integers and bools can be formatted as binary, was given {found}"
    )
}

fn not_hexadecimal(found: &str) -> String {
    format!(
        "error during formatting: only integers, byte buffers, and strings can be formatted as hex, was given {found}"
    )
}

fn named(double: f64) -> String {
    match double {
        double if double.is_nan() => "NaN",
        double if double > 0.0 => "Infinity",
        _ => "-Infinity",
    }
    .to_owned()
}

fn text(value: &Value<'_>) -> Result<String, String> {
    Ok(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) if value.is_finite() => format!("{value}"),
        Value::Double(value) => named(*value),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Duration(span) => times::duration_seconds(*span),
        Value::Timestamp(time) => time.at(0).to_string(),
        Value::Type(name) => (*name).to_owned(),
        Value::List(list) => {
            let parts: Result<Vec<_>, _> = list.iter().map(|element| text(&element)).collect();
            format!("[{}]", parts?.join(", "))
        }
        Value::Map(map) => {
            let mut parts = Vec::new();
            for (key, value) in map.entries() {
                parts.push((text(&key)?, text(&value)?));
            }
            parts.sort();
            let parts: Vec<_> = parts
                .into_iter()
                .map(|(k, v)| format!("{k}: {v}"))
                .collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Object(_)
        | Value::Message(_)
        | Value::Optional(_)
        | Value::Opaque(_)
        | Value::Authorization(_)
        | Value::Preserved(_)
        | Value::Fault(_) => {
            let known = value.type_name();
            return Err(no_text(known));
        }
    })
}

fn no_text(found: &str) -> String {
    format!(
        "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given {found}"
    )
}
