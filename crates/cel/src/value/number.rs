//! Numbers of different kinds that are one number.
//!
//! Here: which number of another kind is the same, for what is looked up. Not here: comparing, which
//! takes whole numbers for doubles (`compare`).
//! Invariant: two numbers of one kind are the same only where they are equal.

use super::Value;

/// Whether two numbers are of one kind and equal.
#[expect(clippy::float_cmp, reason = "the same double is meant")]
pub(crate) fn is_same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Uint(a), Value::Uint(b)) => a == b,
        (Value::Double(a), Value::Double(b)) => a == b,
        _ => false,
    }
}

/// A double as an `int`, where it is the same number. Both ends of the range are beyond it, as in
/// cel-go (v0.29.2, common/types/overflow.go, `doubleToInt64Lossless`).
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "within the range, as checked; what is lost is looked for"
)]
fn int(double: f64) -> Option<i64> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    let whole = double as i64;
    (double > -BOUND && double < BOUND && whole as f64 == double).then_some(whole)
}

/// A double as a `uint`, where it is the same number.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "within the range, as checked; what is lost is looked for"
)]
fn uint(double: f64) -> Option<u64> {
    const BOUND: f64 = 18_446_744_073_709_551_616.0;
    let whole = double as u64;
    ((0.0..BOUND).contains(&double) && whole as f64 == double).then_some(whole)
}

/// The whole numbers of other kinds that are the same number as this one.
pub(crate) fn whole(number: &Value<'_>) -> impl Iterator<Item = Value<'static>> + use<> {
    let found = match number {
        Value::Int(number) => [u64::try_from(*number).ok().map(Value::Uint), None],
        Value::Uint(number) => [i64::try_from(*number).ok().map(Value::Int), None],
        Value::Double(number) => [int(*number).map(Value::Int), uint(*number).map(Value::Uint)],
        _ => [None, None],
    };
    found.into_iter().flatten()
}

/// The same number in the other kinds, and of a whole one the nearest double.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "the nearest double is meant"
)]
pub(crate) fn nearest(number: &Value<'_>) -> impl Iterator<Item = Value<'static>> + use<> {
    let double = match number {
        Value::Int(number) => Some(Value::Double(*number as f64)),
        Value::Uint(number) => Some(Value::Double(*number as f64)),
        _ => None,
    };
    whole(number).chain(double)
}
