//! What functions and operators do.
//!
//! Here: one match over all of them, by the types that the values have. Not here: which calls
//! compile (`check::call`).
//! Invariant: arithmetic is checked; what does not fit is the error of the specification
//! (cel-spec, "Numeric values": overflow is an error).

use super::{EvalError, Evaluation};
use crate::value::{List, Value, equal, order};
use jiff::{SignedDuration, Timestamp};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// A function or an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Not,
    Negate,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    LowerAscii,
    UpperAscii,
    Trim,
    Replace,
    Split,
    Join,
    Substring,
    IndexOf,
    LastIndexOf,
    ToBool,
    ToInt,
    ToUint,
    ToDouble,
    ToString,
    Dyn,
    TypeOf,
    ToDuration,
    ToTimestamp,
    OrValue,
    HasValue,
    OptionalValue,
    OptionalOf,
    OptionalNone,
}

type Applied<'a> = Result<Value<'a>, EvalError>;

fn fail<'a>(message: impl Into<String>) -> Applied<'a> {
    Err(EvalError::new(message))
}

fn no_overload<'a>() -> Applied<'a> {
    fail("no such overload")
}

/// A tenth of a length, as the API server counts strings that are read through
/// (cel-go, `common.StringTraversalCostFactor`).
fn tenth(length: usize) -> u64 {
    u64::try_from(length.div_ceil(10)).unwrap_or(u64::MAX)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an arm beside others that can fail"
)]
fn count<'a>(length: usize) -> Applied<'a> {
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// Compiles a pattern, with a bound on the memory of its automaton.
pub(crate) fn pattern(text: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .build()
        .map_err(|error| match error {
            regex::Error::Syntax(_) => "error parsing regexp".to_owned(),
            error => error.to_string(),
        })
}

/// A value as text, for messages.
pub(super) fn text(value: &Value<'_>) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        other => other.type_name().to_owned(),
    }
}

impl Function {
    /// Applies it to its first `given` arguments.
    pub(super) fn apply<'a>(
        self,
        evaluation: &mut Evaluation<'a>,
        arguments: [Value<'a>; 3],
        given: usize,
    ) -> Applied<'a> {
        let [a, b, c] = arguments;
        evaluation.pay(self.cost(&a, &b))?;
        match self {
            Self::Not => match a {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                _ => no_overload(),
            },
            Self::Negate => match a {
                Value::Int(value) => value
                    .checked_neg()
                    .map(Value::Int)
                    .map_or_else(|| fail("integer overflow"), Ok),
                Value::Double(value) => Ok(Value::Double(-value)),
                _ => no_overload(),
            },
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Modulo => {
                arithmetic(self, a, b)
            }
            Self::Equal => Ok(Value::Bool(equal(&a, &b))),
            Self::NotEqual => Ok(Value::Bool(!equal(&a, &b))),
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => {
                compare(self, &a, &b)
            }
            Self::In => match &b {
                Value::List(list) => {
                    Ok(Value::Bool(list.iter().any(|element| equal(&element, &a))))
                }
                Value::Map(map) => Ok(Value::Bool(map.get(&a).is_some())),
                _ => no_overload(),
            },
            Self::Size => match &a {
                Value::String(text) => count(text.chars().count()),
                Value::Bytes(bytes) => count(bytes.len()),
                Value::List(list) => count(list.len()),
                Value::Map(map) => count(map.len()),
                _ => no_overload(),
            },
            Self::Dyn => Ok(a),
            Self::TypeOf => Ok(Value::Type(a.type_name())),
            Self::Contains
            | Self::StartsWith
            | Self::EndsWith
            | Self::Matches
            | Self::LowerAscii
            | Self::UpperAscii
            | Self::Trim
            | Self::Replace
            | Self::Split
            | Self::Substring
            | Self::IndexOf
            | Self::LastIndexOf => self.on_text(evaluation, a, b, &c, given),
            Self::Join => join(evaluation, &a, &b),
            Self::ToBool
            | Self::ToInt
            | Self::ToUint
            | Self::ToDouble
            | Self::ToString
            | Self::ToDuration
            | Self::ToTimestamp => convert(self, a),
            Self::OrValue => match a {
                Value::Optional(Some(value)) => Ok(*value),
                Value::Optional(None) => Ok(b),
                _ => no_overload(),
            },
            Self::HasValue => Ok(Value::Bool(matches!(a, Value::Optional(Some(_))))),
            Self::OptionalValue => match a {
                Value::Optional(Some(value)) => Ok(*value),
                _ => fail("optional.none() dereference"),
            },
            Self::OptionalOf => Ok(Value::Optional(Some(Box::new(a)))),
            Self::OptionalNone => Ok(Value::Optional(None)),
        }
    }

    /// What it costs beyond the call itself: what it reads through, and what it makes.
    fn cost(self, a: &Value<'_>, b: &Value<'_>) -> u64 {
        let length = |value: &Value<'_>| match value {
            Value::String(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.len().saturating_mul(10),
            Value::Map(map) => map.len().saturating_mul(10),
            _ => 0,
        };
        match self {
            Self::Equal | Self::NotEqual => tenth(length(a).min(length(b))),
            Self::In => tenth(length(b)),
            Self::Add => tenth(length(a).saturating_add(length(b))),
            Self::Contains => tenth(length(a)).saturating_mul(tenth(length(b)).max(1)),
            Self::StartsWith | Self::EndsWith => tenth(length(b)),
            // cel-go's RegexStringLengthCostFactor is a quarter.
            Self::Matches => tenth(length(a).saturating_add(1))
                .saturating_mul(tenth(length(b).saturating_mul(5) / 2).max(1)),
            Self::LowerAscii
            | Self::UpperAscii
            | Self::Trim
            | Self::Replace
            | Self::Split
            | Self::Substring
            | Self::IndexOf
            | Self::LastIndexOf
            | Self::Join
            | Self::ToInt
            | Self::ToUint
            | Self::ToDouble
            | Self::ToString
            | Self::Size => tenth(length(a)),
            _ => 0,
        }
    }

    fn on_text<'a>(
        self,
        evaluation: &mut Evaluation<'a>,
        a: Value<'a>,
        b: Value<'a>,
        c: &Value<'a>,
        given: usize,
    ) -> Applied<'a> {
        let Value::String(subject) = a else {
            return no_overload();
        };
        match (self, b) {
            (Self::Contains, Value::String(part)) => {
                Ok(Value::Bool(subject.contains(part.as_ref())))
            }
            (Self::StartsWith, Value::String(part)) => {
                Ok(Value::Bool(subject.starts_with(part.as_ref())))
            }
            (Self::EndsWith, Value::String(part)) => {
                Ok(Value::Bool(subject.ends_with(part.as_ref())))
            }
            (Self::Matches, Value::String(part)) => match pattern(&part) {
                Ok(regex) => Ok(Value::Bool(regex.is_match(&subject))),
                Err(error) => fail(error),
            },
            (Self::LowerAscii, _) => Ok(Value::from(subject.to_ascii_lowercase())),
            (Self::UpperAscii, _) => Ok(Value::from(subject.to_ascii_uppercase())),
            (Self::Trim, _) => Ok(Value::from(subject.trim().to_owned())),
            (Self::Replace, Value::String(part)) => match c {
                Value::String(with) => {
                    // The result may be longer than both together.
                    let times = subject.matches(part.as_ref()).count();
                    evaluation.pay(tenth(times.saturating_mul(with.len())))?;
                    Ok(Value::from(subject.replace(part.as_ref(), with)))
                }
                _ => no_overload(),
            },
            (Self::Split, Value::String(part)) => {
                let parts = if part.is_empty() {
                    subject
                        .chars()
                        .map(|letter| Value::from(letter.to_string()))
                        .collect()
                } else {
                    subject
                        .split(part.as_ref())
                        .map(|part| Value::from(part.to_owned()))
                        .collect()
                };
                Ok(Value::List(List::of(parts)))
            }
            (Self::Substring, Value::Int(start)) => {
                let end = match c {
                    Value::Int(end) if given > 2 => Some(*end),
                    _ => None,
                };
                substring(&subject, start, end)
            }
            (Self::IndexOf, Value::String(part)) => {
                Ok(position(&subject, subject.find(part.as_ref())))
            }
            (Self::LastIndexOf, Value::String(part)) => {
                Ok(position(&subject, subject.rfind(part.as_ref())))
            }
            _ => no_overload(),
        }
    }
}

/// A byte offset as a number of characters; -1 for none.
fn position<'a>(subject: &str, at: Option<usize>) -> Value<'a> {
    let characters = at
        .and_then(|at| subject.get(..at))
        .map(|before| before.chars().count());
    Value::Int(
        characters
            .and_then(|count| i64::try_from(count).ok())
            .unwrap_or(-1),
    )
}

fn substring<'a>(subject: &str, start: i64, end: Option<i64>) -> Applied<'a> {
    let length = subject.chars().count();
    let place = |at: i64| usize::try_from(at).ok().filter(|at| *at <= length);
    let Some(first) = place(start) else {
        return fail(format!("index out of range: {start}"));
    };
    let last = match end {
        None => length,
        Some(end) => match place(end) {
            Some(last) => last,
            None => return fail(format!("index out of range: {end}")),
        },
    };
    match last.checked_sub(first) {
        Some(taken) => Ok(Value::from(
            subject.chars().skip(first).take(taken).collect::<String>(),
        )),
        None => fail(format!(
            "invalid substring range. start: {start}, end: {}",
            end.unwrap_or_default()
        )),
    }
}

fn join<'a>(evaluation: &mut Evaluation<'a>, a: &Value<'a>, b: &Value<'a>) -> Applied<'a> {
    let Value::List(list) = a else {
        return no_overload();
    };
    let separator: Cow<'_, str> = match b {
        Value::String(text) => text.clone(),
        _ => Cow::Borrowed(""),
    };
    let mut joined = String::new();
    for (place, element) in list.iter().enumerate() {
        let Value::String(part) = element else {
            return no_overload();
        };
        evaluation.pay(tenth(part.len().saturating_add(separator.len())))?;
        if place > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&part);
    }
    Ok(Value::from(joined))
}

fn compare<'a>(function: Function, a: &Value<'a>, b: &Value<'a>) -> Applied<'a> {
    let nan = |value: &Value<'_>| matches!(value, Value::Double(double) if double.is_nan());
    let Some(order) = order(a, b) else {
        // A NaN is neither less nor greater; everything else has no order.
        return if nan(a) || nan(b) {
            Ok(Value::Bool(false))
        } else {
            no_overload()
        };
    };
    Ok(Value::Bool(match function {
        Function::Less => order == Ordering::Less,
        Function::LessOrEqual => order != Ordering::Greater,
        Function::Greater => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }))
}

fn whole<'a, T>(result: Option<T>, wrap: fn(T) -> Value<'a>, kind: &str) -> Applied<'a> {
    result
        .map(wrap)
        .map_or_else(|| fail(format!("{kind} overflow")), Ok)
}

fn arithmetic<'a>(function: Function, a: Value<'a>, b: Value<'a>) -> Applied<'a> {
    let zero = matches!(b, Value::Int(0) | Value::Uint(0));
    match function {
        Function::Divide if zero => return fail("division by zero"),
        Function::Modulo if zero => return fail("modulus by zero"),
        _ => {}
    }
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => {
            let result = match function {
                Function::Add => a.checked_add(b),
                Function::Subtract => a.checked_sub(b),
                Function::Multiply => a.checked_mul(b),
                Function::Divide => a.checked_div(b),
                _ => a.checked_rem(b),
            };
            whole(result, Value::Int, "integer")
        }
        (Value::Uint(a), Value::Uint(b)) => {
            let result = match function {
                Function::Add => a.checked_add(b),
                Function::Subtract => a.checked_sub(b),
                Function::Multiply => a.checked_mul(b),
                Function::Divide => a.checked_div(b),
                _ => a.checked_rem(b),
            };
            whole(result, Value::Uint, "unsigned integer")
        }
        (Value::Double(a), Value::Double(b)) => match function {
            Function::Add => Ok(Value::Double(a + b)),
            Function::Subtract => Ok(Value::Double(a - b)),
            Function::Multiply => Ok(Value::Double(a * b)),
            Function::Divide => Ok(Value::Double(a / b)),
            _ => no_overload(),
        },
        (a, b) => match function {
            Function::Add => add(a, b),
            Function::Subtract => subtract(a, b),
            _ => no_overload(),
        },
    }
}

fn add<'a>(a: Value<'a>, b: Value<'a>) -> Applied<'a> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => {
            let mut joined = a.into_owned();
            joined.push_str(&b);
            Ok(Value::from(joined))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            let mut joined = a.into_owned();
            joined.extend_from_slice(&b);
            Ok(Value::Bytes(joined.into()))
        }
        (Value::List(a), Value::List(b)) => Ok(Value::List(List::Made(Arc::new(
            a.iter().chain(b.iter()).collect(),
        )))),
        (Value::Timestamp(time), Value::Duration(span))
        | (Value::Duration(span), Value::Timestamp(time)) => {
            whole(time.checked_add(span).ok(), Value::Timestamp, "timestamp")
        }
        (Value::Duration(a), Value::Duration(b)) => {
            whole(a.checked_add(b), Value::Duration, "duration")
        }
        _ => no_overload(),
    }
}

fn subtract<'a>(a: Value<'a>, b: Value<'a>) -> Applied<'a> {
    match (a, b) {
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(Value::Duration(a.duration_since(b))),
        (Value::Timestamp(time), Value::Duration(span)) => {
            whole(time.checked_sub(span).ok(), Value::Timestamp, "timestamp")
        }
        (Value::Duration(a), Value::Duration(b)) => {
            whole(a.checked_sub(b), Value::Duration, "duration")
        }
        _ => no_overload(),
    }
}

fn convert(function: Function, value: Value<'_>) -> Applied<'_> {
    match function {
        Function::ToBool => match value {
            Value::Bool(value) => Ok(Value::Bool(value)),
            Value::String(text) => match text.as_ref() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
                _ => fail("type conversion error from 'string' to 'bool'"),
            },
            _ => no_overload(),
        },
        Function::ToInt => match value {
            Value::Int(value) => Ok(Value::Int(value)),
            Value::Uint(value) => whole(i64::try_from(value).ok(), Value::Int, "integer"),
            Value::Double(value) => whole(double_to_int(value), Value::Int, "integer"),
            Value::String(text) => text
                .parse()
                .map(Value::Int)
                .or_else(|_| fail("type conversion error from 'string' to 'int'")),
            Value::Timestamp(time) => Ok(Value::Int(time.as_second())),
            _ => no_overload(),
        },
        Function::ToUint => match value {
            Value::Uint(value) => Ok(Value::Uint(value)),
            Value::Int(value) => whole(u64::try_from(value).ok(), Value::Uint, "unsigned integer"),
            Value::String(text) => text
                .parse()
                .map(Value::Uint)
                .or_else(|_| fail("type conversion error from 'string' to 'uint'")),
            _ => no_overload(),
        },
        Function::ToDouble => match value {
            Value::Double(value) => Ok(Value::Double(value)),
            #[expect(
                clippy::as_conversions,
                clippy::cast_precision_loss,
                reason = "the nearest double is what is asked for"
            )]
            Value::Int(value) => Ok(Value::Double(value as f64)),
            #[expect(
                clippy::as_conversions,
                clippy::cast_precision_loss,
                reason = "the nearest double is what is asked for"
            )]
            Value::Uint(value) => Ok(Value::Double(value as f64)),
            Value::String(text) => text
                .parse()
                .map(Value::Double)
                .or_else(|_| fail("type conversion error from 'string' to 'double'")),
            _ => no_overload(),
        },
        Function::ToString => match value {
            Value::String(_) => Ok(value),
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => {
                Ok(Value::from(text(&value)))
            }
            Value::Bytes(bytes) => String::from_utf8(bytes.into_owned())
                .map(Value::from)
                .or_else(|_| fail("invalid UTF-8 in bytes, cannot convert to string")),
            Value::Timestamp(time) => Ok(Value::from(time.to_string())),
            Value::Duration(span) => Ok(Value::from(format!("{}s", span.as_secs_f64()))),
            _ => no_overload(),
        },
        Function::ToDuration => match value {
            Value::Duration(span) => Ok(Value::Duration(span)),
            Value::String(text) => {
                text.parse::<SignedDuration>()
                    .map(Value::Duration)
                    .or_else(|_| {
                        fail("type conversion error from 'string' to 'google.protobuf.Duration'")
                    })
            }
            _ => no_overload(),
        },
        _ => {
            match value {
                Value::Timestamp(time) => Ok(Value::Timestamp(time)),
                Value::String(text) => text.parse::<Timestamp>().map(Value::Timestamp).or_else(
                    |_| fail("type conversion error from 'string' to 'google.protobuf.Timestamp'"),
                ),
                _ => no_overload(),
            }
        }
    }
}

fn double_to_int(value: f64) -> Option<i64> {
    // Exactly 2^63 does not fit any more.
    let bound = 9_223_372_036_854_775_808.0;
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "within the range, as checked"
    )]
    (value > -bound && value < bound).then(|| value.trunc() as i64)
}
