//! Quantities of resources: `1500m`, `2Gi` (k8s.io/apimachinery, pkg/api/resource).
//!
//! Here: its functions. Not here: which fields are quantities, numbers (`amount`), text (`parse`,
//! `print`).
//! Invariant: of two equal quantities one may be a whole number and the other not, by the form that
//! apimachinery keeps them in.

mod amount;
mod parse;
mod print;

use super::{Opaque, Outcome, Row, fail, no_overload};
use crate::eval::EvalError;
use crate::value::Value;
use amount::{Amount, TooLong};
use std::cmp::Ordering;
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
    amount: Amount,
    notation: Notation,
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

impl Quantity {
    pub(crate) fn of_int(value: i64) -> Self {
        Self {
            amount: Amount::Small { value, power: 0 },
            notation: Notation::Exponent,
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
        self.amount.compare(&other.amount)
    }

    /// Whether two are kept in the same form.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let forms = (self.sum, self.notation, &self.written);
        forms == (other.sum, other.notation, &other.written) && self.amount == other.amount
    }

    /// The bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let written = self.written.as_ref().map_or(0, |text| text.len());
        written.saturating_add(self.amount.bytes())
    }

    fn plus(&self, other: &Self, sign: i8) -> Result<Self, TooLong> {
        Ok(Self {
            amount: self.amount.plus(&other.amount, sign)?,
            notation: if self.amount.is_zero() {
                other.notation
            } else {
                self.notation
            },
            sum: true,
            written: None,
        })
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
    one(arguments).map_or_else(no_overload, |q| Ok(Value::Int(q.amount.sign())))
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

fn as_float<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    one(arguments).map_or_else(no_overload, |q| Ok(Value::Double(q.amount.approximately())))
}

fn as_integer<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match one(arguments) {
        Some(quantity) => match quantity.amount.whole() {
            Some(whole) => Ok(Value::Int(whole)),
            None => fail("cannot convert value to integer"),
        },
        None => no_overload(),
    }
}

fn is_integer<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    one(arguments).map_or_else(no_overload, |q| Ok(Value::Bool(q.amount.whole().is_some())))
}

fn sum<'a>(arguments: &[Value<'a>], sign: i8) -> Outcome<'a> {
    let made = match arguments {
        [a, Value::Int(b)] => quantity(a).map(|a| a.plus(&Quantity::of_int(*b), sign)),
        other => two(other).map(|(a, b)| a.plus(b, sign)),
    };
    match made {
        Some(Ok(quantity)) => Ok(Value::opaque(Opaque::Quantity(quantity))),
        Some(Err(TooLong)) => Err(EvalError::limit()),
        None => no_overload(),
    }
}
