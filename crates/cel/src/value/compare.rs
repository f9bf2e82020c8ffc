//! Equality and order of values.
//!
//! Here: `==` for all types, `<` within them and between kinds of numbers (cel-spec, "Equality"
//! and "Numbers"). Not here: which comparisons compile (`check`).
//! Invariant: equality is defined for every pair and never fails; numbers of different kinds compare as
//! doubles.

use super::{List, Map, Value};
use std::cmp::Ordering;

/// Whether two values are equal. Values of different types are not; a NaN equals nothing.
pub(crate) fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => **a == **b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => equal(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        },
        (Value::Opaque(a), Value::Opaque(b)) => a == b,
        (Value::List(a), Value::List(b)) => lists(a, b),
        (Value::Map(a), Value::Map(b)) => maps(a, b),
        _ => order(a, b) == Some(Ordering::Equal),
    }
}

fn lists(a: &List<'_>, b: &List<'_>) -> bool {
    a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(&a, &b))
}

fn maps(a: &Map<'_>, b: &Map<'_>) -> bool {
    a.len() == b.len()
        && a.entries()
            .all(|(key, value)| b.get(&key).is_some_and(|other| equal(&value, &other)))
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
