//! Quantities of resources: `1500m`, `2Gi` (k8s.io/apimachinery, pkg/api/resource).
//!
//! Here: parsing, comparison, sums. Not here: which fields are quantities.
//! Invariant: a quantity is a whole number of billionths; finer ones are rounded away from zero.

use super::{Opaque, Outcome, Row, fail, no_overload};
use crate::value::Value;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "quantity", run: to_quantity, overloads: &[("string_to_quantity", "(string) -> quantity")] },
    Row { name: "isQuantity", run: is_quantity, overloads: &[("is_quantity_string", "(string) -> bool")] },
    Row { name: "sign", run: sign, overloads: &[("quantity_sign", "(quantity) -> int")] },
    Row { name: "isGreaterThan", run: |a| holds(a, Ordering::is_gt), overloads: &[("quantity_is_greater_than", "quantity.(quantity) -> bool")] },
    Row { name: "isLessThan", run: |a| holds(a, Ordering::is_lt), overloads: &[("quantity_is_less_than", "quantity.(quantity) -> bool")] },
    Row { name: "compareTo", run: compare_to, overloads: &[("quantity_compare_to", "quantity.(quantity) -> int")] },
    Row { name: "asApproximateFloat", run: as_float, overloads: &[("quantity_get_float", "quantity.() -> double")] },
    Row { name: "asInteger", run: as_integer, overloads: &[("quantity_get_int", "quantity.() -> int")] },
    Row { name: "isInteger", run: is_integer, overloads: &[("quantity_is_integer", "quantity.() -> bool")] },
    Row { name: "add", run: |a| sum(a, 1), overloads: &[("quantity_add", "quantity.(quantity) -> quantity"), ("quantity_add_int", "quantity.(int) -> quantity")] },
    Row { name: "sub", run: |a| sum(a, -1), overloads: &[("quantity_sub", "quantity.(quantity) -> quantity"), ("quantity_sub_int", "quantity.(int) -> quantity")] },
];

/// Billionths of one.
const ONE: i128 = 1_000_000_000;

/// More digits than any quantity keeps.
const DIGITS_LIMIT: i128 = 1_000_000_000_000_000_000_000_000_000;

/// How a quantity was written, and so how it is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    /// `Ki`, `Mi`.
    Binary,
    /// `m`, `k`, `M`.
    Decimal,
    /// `1e3`.
    Exponent,
}

/// A quantity.
#[derive(Clone, Debug)]
pub struct Quantity {
    /// In billionths.
    nanos: i128,
    notation: Notation,
    /// The power of ten of its last digit, when it is kept as 64 bits and that power; only then
    /// it may be read as a whole number.
    scale: Option<i32>,
    /// The power of ten of its last digit, when it is kept as a decimal of any length.
    finest: i32,
    /// It was computed.
    sum: bool,
    /// As it was written, where apimachinery takes that for its canonical form.
    written: Option<Arc<str>>,
}

const SUFFIXES: &[(&str, Notation, i32)] = &[
    ("Ki", Notation::Binary, 10),
    ("Mi", Notation::Binary, 20),
    ("Gi", Notation::Binary, 30),
    ("Ti", Notation::Binary, 40),
    ("Pi", Notation::Binary, 50),
    ("Ei", Notation::Binary, 60),
    ("n", Notation::Decimal, -9),
    ("u", Notation::Decimal, -6),
    ("m", Notation::Decimal, -3),
    ("", Notation::Decimal, 0),
    ("k", Notation::Decimal, 3),
    ("M", Notation::Decimal, 6),
    ("G", Notation::Decimal, 9),
    ("T", Notation::Decimal, 12),
    ("P", Notation::Decimal, 15),
    ("E", Notation::Decimal, 18),
];

/// Why a text is no quantity, in the words of apimachinery.
const WRONG_FORMAT: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const WRONG_NUMBER: &str = "unable to parse numeric part of quantity";
const WRONG_SUFFIX: &str = "unable to parse quantity's suffix";

impl Quantity {
    /// Reads a quantity.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let number_end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at_checked(number_end).ok_or(WRONG_FORMAT)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if text.is_empty() || fraction.contains('.') {
            return Err(WRONG_FORMAT);
        }
        if !is_suffix(suffix) {
            return Err(WRONG_FORMAT);
        }
        let known = SUFFIXES.iter().find(|(name, _, _)| *name == suffix);
        let (notation, power) = if let Some((_, notation, power)) = known {
            (*notation, *power)
        } else {
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or(WRONG_SUFFIX)?;
            let exponent: i32 = exponent.parse().map_err(|_| WRONG_SUFFIX)?;
            (Notation::Exponent, exponent)
        };
        if !number.bytes().any(|b| b.is_ascii_digit()) {
            return Err(WRONG_NUMBER);
        }
        let whole_digits = whole.trim_start_matches('0');
        let fraction_digits = fraction.trim_end_matches('0');
        let nanos = scaled(whole_digits, fraction_digits, notation, power);
        // Only powers of two are capped (apimachinery, pkg/api/resource/quantity.go).
        let most = i128::from(i64::MAX).saturating_mul(ONE);
        let is_capped = notation == Notation::Binary && nanos > most;
        let nanos = if is_capped { most } else { nanos };
        let scale = small(whole_digits, fraction, notation, power);
        Ok(Self {
            nanos: if negative {
                nanos.saturating_neg()
            } else {
                nanos
            },
            notation,
            scale,
            finest: if is_capped { 0 } else { -9 },
            sum: false,
            written: scale
                .is_some_and(|scale| is_kept(whole_digits, fraction, notation, power, scale))
                .then(|| text.into()),
        })
    }

    pub(crate) fn of_int(value: i64) -> Self {
        Self {
            nanos: i128::from(value).saturating_mul(ONE),
            notation: Notation::Exponent,
            scale: Some(0),
            finest: 0,
            sum: false,
            written: None,
        }
    }

    /// Whether it was computed from others.
    pub(crate) fn is_sum(&self) -> bool {
        self.sum
    }

    /// The order of two.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }

    /// The power of ten of the last digit that is kept.
    fn last_power(&self) -> i32 {
        self.scale.unwrap_or(self.finest)
    }

    /// As a whole number, where it is kept as one.
    fn whole(&self) -> Option<i64> {
        self.scale.filter(|scale| *scale >= 0)?;
        i64::try_from(self.nanos.wrapping_div(ONE)).ok()
    }

    fn plus(&self, other: &Self, sign: i128) -> Self {
        // apimachinery negates within 64 bits, where the least number stays what it is.
        let least = i128::from(i64::MIN).saturating_mul(ONE);
        let kept = sign < 0 && other.nanos == least && other.scale == Some(0);
        let fits = self.scale.is_some_and(|scale| scale >= 0) && self.nanos >= 0;
        let sign = if kept && fits { 1 } else { sign };
        let nanos = self.nanos.saturating_add(other.nanos.saturating_mul(sign));
        let scale = match (self.scale, other.scale) {
            // What is nothing does not make the sum finer.
            (Some(a), Some(_)) if other.nanos == 0 => Some(a),
            (Some(_), Some(b)) if self.nanos == 0 => Some(b),
            (Some(a), Some(b)) => Some(a.min(b)),
            _ => None,
        };
        Self {
            nanos,
            notation: if self.nanos == 0 {
                other.notation
            } else {
                self.notation
            },
            finest: self.last_power().min(other.last_power()),
            scale: scale.filter(|_| i64::try_from(nanos.wrapping_div(ONE)).is_ok()),
            sum: true,
            written: None,
        }
    }
}

/// Whether a suffix is of the right form, if not a known one.
fn is_suffix(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    rest.bytes().all(|b| b.is_ascii_digit())
}

/// A number in billionths, rounded away from zero.
fn scaled(whole: &str, fraction: &str, notation: Notation, power: i32) -> i128 {
    let digits: String = whole.chars().chain(fraction.chars()).collect();
    let mut value: i128 = 0;
    let mut exponent = i32::try_from(fraction.len())
        .unwrap_or(i32::MAX)
        .saturating_neg();
    let mut lost = false;
    for digit in digits.bytes() {
        let next = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(i128::from(digit.wrapping_sub(b'0'))))
            .filter(|v| *v < DIGITS_LIMIT);
        if let Some(next) = next {
            value = next;
        } else {
            // More digits than any quantity keeps.
            lost = lost || digit != b'0';
            exponent = exponent.saturating_add(1);
        }
    }
    if notation == Notation::Binary {
        let shift = u32::try_from(power).unwrap_or(0);
        value = value
            .checked_shl(shift)
            .filter(|v| v >> shift == value)
            .unwrap_or(i128::MAX);
    } else {
        exponent = exponent.saturating_add(power);
    }
    // To billionths.
    exponent = exponent.saturating_add(9);
    for _ in 0..exponent.clamp(0, 40) {
        value = value.saturating_mul(10);
    }
    for _ in 0..exponent.saturating_neg().clamp(0, 80) {
        lost = lost || value.wrapping_rem(10) != 0;
        value = value.wrapping_div(10);
    }
    value.saturating_add(i128::from(lost))
}

/// The power of ten of the last digit, for what apimachinery keeps in 64 bits.
fn small(whole: &str, fraction: &str, notation: Notation, power: i32) -> Option<i32> {
    let length = |text: &str| i32::try_from(text.len()).unwrap_or(i32::MAX);
    let (precision, scale) = match notation {
        Notation::Binary if fraction.is_empty() => {
            let bits = power.saturating_mul(3).wrapping_div(10);
            (14_i32.saturating_sub(length(whole)).saturating_sub(bits), 0)
        }
        Notation::Binary => return None,
        Notation::Decimal | Notation::Exponent => {
            let digits = length(whole).saturating_add(length(fraction));
            (18_i32.saturating_sub(digits), power)
        }
    };
    let scale = scale.saturating_sub(length(fraction));
    (precision >= 0 && scale >= -9).then_some(scale)
}

/// Whether the text that was read is printed again (apimachinery, pkg/api/resource/quantity.go,
/// `ParseQuantity`), which is not always the shortest.
fn is_kept(whole: &str, fraction: &str, notation: Notation, power: i32, scale: i32) -> bool {
    let digits = || whole.bytes().chain(fraction.bytes());
    match notation {
        Notation::Binary => {
            let last = digits().fold(0_u64, |value, digit| {
                value
                    .wrapping_mul(10)
                    .wrapping_add(u64::from(digit.wrapping_sub(b'0')))
            });
            power.wrapping_rem(10) == 0 && last & 7 != 0
        }
        Notation::Decimal | Notation::Exponent => {
            let zeros = digits().rev().take_while(|digit| *digit == b'0').count();
            scale.wrapping_rem(3) == 0 && zeros < 3 && digits().next().is_some_and(|d| d != b'0')
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(written) = &self.written {
            return f.write_str(written);
        }
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos.wrapping_div(ONE);
        let binary = self.notation == Notation::Binary
            && self.nanos.wrapping_rem(ONE) == 0
            && whole.unsigned_abs() >= 1024;
        if binary {
            let shift = |power: i32| u32::try_from(power).unwrap_or(0);
            let mut largest = SUFFIXES.iter().take(6).rev();
            return match largest.find(|(_, _, power)| whole.trailing_zeros() >= shift(*power)) {
                Some((name, _, power)) => write!(f, "{}{name}", whole >> shift(*power)),
                None => write!(f, "{whole}"),
            };
        }
        // The largest power of a thousand that leaves a whole number; from 10^21 on it has no name,
        // and apimachinery leaves it out.
        let (mut value, mut power) = (self.nanos, -9_i32);
        while value.wrapping_rem(1000) == 0 {
            value = value.wrapping_div(1000);
            power = power.saturating_add(3);
        }
        if self.notation == Notation::Exponent {
            return match power {
                0 => write!(f, "{value}"),
                power => write!(f, "{value}e{power}"),
            };
        }
        let name = SUFFIXES
            .iter()
            .skip(6)
            .find(|(_, _, p)| *p == power)
            .map_or("", |s| s.0);
        write!(f, "{value}{name}")
    }
}

fn quantity<'v>(value: &'v Value<'_>) -> Option<&'v Quantity> {
    match value {
        Value::Opaque(value) => match &**value {
            Opaque::Quantity(quantity) => Some(quantity),
            _ => None,
        },
        _ => None,
    }
}

fn one<'v>(arguments: &'v [Value<'_>]) -> Option<&'v Quantity> {
    match arguments {
        [value] => quantity(value),
        _ => None,
    }
}

fn two<'v>(arguments: &'v [Value<'_>]) -> Option<(&'v Quantity, &'v Quantity)> {
    match arguments {
        [a, b] => Some((quantity(a)?, quantity(b)?)),
        _ => None,
    }
}

fn to_quantity<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => match Quantity::parse(text) {
            Ok(quantity) => Ok(Value::opaque(Opaque::Quantity(quantity))),
            Err(error) => fail(error),
        },
        _ => no_overload(),
    }
}

fn is_quantity<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => Ok(Value::Bool(Quantity::parse(text).is_ok())),
        _ => no_overload(),
    }
}

fn sign<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    one(arguments).map_or_else(no_overload, |q| {
        Ok(Value::Int(i64::try_from(q.nanos.signum()).unwrap_or(0)))
    })
}

fn holds<'a>(arguments: &[Value<'a>], test: fn(Ordering) -> bool) -> Outcome<'a> {
    two(arguments).map_or_else(no_overload, |(a, b)| Ok(Value::Bool(test(a.compare(b)))))
}

fn compare_to<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    two(arguments).map_or_else(no_overload, |(a, b)| {
        Ok(Value::Int(match a.compare(b) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }))
    })
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "an approximation is what is asked for"
)]
fn as_float<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    one(arguments).map_or_else(no_overload, |q| {
        // As Go multiplies, with what that loses.
        let power = q.last_power();
        if power == 0 {
            return Ok(Value::Double(q.nanos.wrapping_div(ONE) as f64));
        }
        let mut unscaled = q.nanos;
        for _ in 0..power.saturating_add(9).clamp(0, 38) {
            unscaled = unscaled.wrapping_div(10);
        }
        let factor: f64 = format!("1e{power}").parse().unwrap_or(1.0);
        Ok(Value::Double(unscaled as f64 * factor))
    })
}

fn as_integer<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match one(arguments) {
        Some(quantity) => match quantity.whole() {
            Some(whole) => Ok(Value::Int(whole)),
            None => fail("cannot convert value to integer"),
        },
        None => no_overload(),
    }
}

fn is_integer<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    one(arguments).map_or_else(no_overload, |q| Ok(Value::Bool(q.whole().is_some())))
}

fn sum<'a>(arguments: &[Value<'a>], sign: i128) -> Outcome<'a> {
    let made = match arguments {
        [a, Value::Int(b)] => quantity(a).map(|a| a.plus(&Quantity::of_int(*b), sign)),
        other => two(other).map(|(a, b)| a.plus(b, sign)),
    };
    made.map_or_else(no_overload, |q| Ok(Value::opaque(Opaque::Quantity(q))))
}
