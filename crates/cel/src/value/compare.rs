//! Equality and order of values.
//!
//! Here: `==` for all types, `<` within them and between kinds of numbers (cel-spec, "Equality"
//! and "Numbers"). Not here: lists and maps of a schema (`typed`) and of Go
//! (`go`), which comparisons compile (`check`).
//! Invariant: equality fails only where one side was read through a schema, is of a type of Go, or is a
//! value that only its own functions know; numbers of different kinds compare as doubles.

use super::{List, Map, Value, go, typed};
use crate::eval::EvalError;
use crate::library::Opaque;
use std::cmp::Ordering;

/// Whether two values are equal, or why that is not known.
pub(crate) type Same = Result<bool, Box<EvalError>>;

/// Whether two values are equal. Values of different types are not; a NaN equals nothing; what
/// can't be compared is not.
pub(crate) fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    matches!(equality(a, b), Ok(true))
}

/// Whether two values are equal, as the first one knows it. Values that only their own functions
/// know are compared with their like alone.
pub(crate) fn equality(a: &Value<'_>, b: &Value<'_>) -> Same {
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => **a == **b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Null, _) | (_, Value::Null) => matches!((a, b), (Value::Null, Value::Null)),
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => return held(a, b),
        (Value::Optional(a), Value::Optional(b)) => a.is_none() && b.is_none(),
        (Value::Opaque(a), Value::Opaque(other)) => {
            // The API server can't compare with a sum of quantities.
            let sum = matches!(&**other, Opaque::Quantity(quantity) if quantity.is_sum());
            if a.type_name() != other.type_name() || sum {
                return unlike(b);
            }
            a == other
        }
        (Value::Opaque(_) | Value::Authorization(_), other) => return unlike(other),
        (Value::List(list @ List::Go(..)), other) => return go::lists(list, other),
        (Value::List(list), other) => match (list.kind(), other) {
            (Some(kind), other) => return typed::lists(list, kind, other),
            (None, Value::List(other)) => lists(list, other),
            (None, _) => false,
        },
        (Value::Map(Map::Typed(entries, schema)), other) => {
            return typed::objects(entries, schema, other);
        }
        (Value::Map(Map::Go(entries, of)), other) => return go::objects(entries, *of, other),
        (Value::Map(a), Value::Map(b)) => maps(a, b),
        (Value::Message(a), Value::Message(b)) => return super::message::messages(a, b),
        (Value::Preserved(json), other) => typed::preserved(json, other),
        (Value::Fault(error), _) => return Err(Box::new((**error).clone())),
        _ => order(a, b) == Some(Ordering::Equal),
    })
}

/// Whether two values are equal that something else holds: there nothing looks for null before.
pub(super) fn held(a: &Value<'_>, b: &Value<'_>) -> Same {
    match (a, b) {
        (Value::Opaque(_) | Value::Authorization(_), Value::Null) => unlike(b),
        (a, b) => equality(a, b),
    }
}

/// The error of a value that can't be compared with another.
pub(super) fn unlike(other: &Value<'_>) -> Same {
    Err(Box::new(match other {
        Value::Fault(error) => (**error).clone(),
        _ => EvalError::no_overload(),
    }))
}

/// Within lists and maps what can't be compared makes no difference, as in the API server (cel-go
/// v0.29.2, common/types/list.go, map.go).
fn may_be_equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    !matches!(equality(a, b), Ok(false))
}

fn lists(a: &List<'_>, b: &List<'_>) -> bool {
    a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| may_be_equal(&a, &b))
}

fn maps(a: &Map<'_>, b: &Map<'_>) -> bool {
    a.len() == b.len()
        && a.entries().all(|(key, value)| {
            b.get(&key)
                .is_some_and(|other| may_be_equal(&value, &other))
        })
}

/// The order of two values; absent where there is none.
pub(crate) fn order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Int(a), Value::Double(b)) => whole_and_double(i128::from(*a), *b, INT),
        (Value::Uint(a), Value::Double(b)) => whole_and_double(i128::from(*a), *b, UINT),
        (Value::Double(a), Value::Int(b)) => {
            whole_and_double(i128::from(*b), *a, INT).map(Ordering::reverse)
        }
        (Value::Double(a), Value::Uint(b)) => {
            whole_and_double(i128::from(*b), *a, UINT).map(Ordering::reverse)
        }
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some((**a).cmp(&**b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some((**a).cmp(&**b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// First and last number of a kind, as doubles.
const INT: (f64, f64) = (-9_223_372_036_854_775_808.0, 9_223_372_036_854_775_808.0);
const UINT: (f64, f64) = (0.0, 18_446_744_073_709_551_616.0);

/// Compares as doubles, as cel-go does: above 2^53 neighbours are equal.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "the nearest double is meant"
)]
fn whole_and_double(whole: i128, double: f64, (first, last): (f64, f64)) -> Option<Ordering> {
    if double < first {
        Some(Ordering::Greater)
    } else if double > last {
        Some(Ordering::Less)
    } else {
        (whole as f64).partial_cmp(&double)
    }
}
