//! Equality and order of values.
//!
//! Here: `==` for all types, `<` within them and between kinds of numbers (cel-spec, "Equality"
//! and "Numbers"). Not here: lists and maps of a schema (`typed`), which comparisons compile
//! (`check`).
//! Invariant: equality fails only where one side was read through a schema; numbers of different
//! kinds compare as doubles.

use super::{List, Map, Value, typed};
use crate::eval::EvalError;
use std::cmp::Ordering;

/// Whether two values are equal, or why that is not known.
pub(crate) type Same = Result<bool, Box<EvalError>>;

/// Whether two values are equal. Values of different types are not; a NaN equals nothing.
pub(crate) fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    matches!(equality(a, b), Ok(true))
}

/// Whether two values are equal, as the first one knows it.
pub(crate) fn equality(a: &Value<'_>, b: &Value<'_>) -> Same {
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => **a == **b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => return equality(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        },
        (Value::Opaque(a), Value::Opaque(b)) => a == b,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::List(list), other) => match (list.kind(), other) {
            (Some(kind), other) => return typed::lists(list, kind, other),
            (None, Value::List(other)) => lists(list, other),
            (None, _) => false,
        },
        (Value::Map(Map::Typed(entries, schema)), other) => {
            return typed::objects(entries, schema, other);
        }
        (Value::Map(a), Value::Map(b)) => maps(a, b),
        (Value::Preserved(json), other) => typed::preserved(json, other),
        (Value::Fault(error), _) => return Err(Box::new((**error).clone())),
        _ => order(a, b) == Some(Ordering::Equal),
    })
}

/// The error of a value that can't be compared with another.
pub(super) fn unlike(other: &Value<'_>) -> Same {
    Err(Box::new(match other {
        Value::Fault(error) => (**error).clone(),
        _ => EvalError::no_overload(),
    }))
}

/// Two elements that can't be compared do not keep their lists from being equal, as in cel-go.
fn lists(a: &List<'_>, b: &List<'_>) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b.iter())
            .all(|(a, b)| !matches!(equality(&a, &b), Ok(false)))
}

fn maps(a: &Map<'_>, b: &Map<'_>) -> bool {
    a.len() == b.len()
        && a.entries().into_iter().all(|(key, value)| {
            b.get(&key)
                .is_some_and(|other| !matches!(equality(&value, &other), Ok(false)))
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
