//! Quantities as text.
//!
//! Here: the canonical form (k8s.io/apimachinery v0.37.2, pkg/api/resource/quantity.go,
//! `CanonicalizeBytes`). Not here: arithmetic (`amount`).
//! Invariant: a power that has no suffix is left out, as apimachinery does.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers of any length do not overflow, and no divisor is zero"
)]

use super::amount::{Amount, Decimal};
use super::{Notation, Quantity, SUFFIXES};
use num_bigint::{BigInt, Sign};
use std::cmp::Ordering;
use std::fmt;

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(written) = &self.written {
            return f.write_str(written);
        }
        if self.amount.is_zero() {
            return f.write_str("0");
        }
        if let Some(whole) = self.binary() {
            let (digits, factors) = without_factors(whole, 1024);
            let suffix = suffix(Notation::Binary, factors.saturating_mul(10));
            return write!(f, "{digits}{suffix}");
        }
        let decimal = self.amount.decimal();
        let (mut digits, factors) = without_factors(decimal.digits, 10);
        let mut power = decimal.power.wrapping_add(factors);
        while power.wrapping_rem(3) != 0 {
            digits *= 10;
            power = power.wrapping_sub(1);
        }
        match (self.notation, power) {
            (Notation::Exponent, 0) => write!(f, "{digits}"),
            (Notation::Exponent, power) => write!(f, "{digits}e{power}"),
            _ => write!(f, "{digits}{}", suffix(Notation::Decimal, power)),
        }
    }
}

impl Quantity {
    /// The whole number that is written with a binary suffix, where that is so.
    fn binary(&self) -> Option<BigInt> {
        if self.notation != Notation::Binary {
            return None;
        }
        let is_within = |bound: i64, order: Ordering| {
            let bound = Amount::Small {
                value: bound,
                power: 0,
            };
            self.amount.compare(&bound) == order
        };
        if is_within(-1024, Ordering::Greater) && is_within(1024, Ordering::Less) {
            return None;
        }
        let decimal = self.amount.decimal();
        if decimal.power >= 0 {
            return decimal.rescaled(0).ok();
        }
        let (whole, is_exact) = Decimal::rounded(&decimal, 0).ok()?;
        is_exact.then_some(whole)
    }
}

/// A number without what it has of a factor, and how often that was there.
fn without_factors(mut digits: BigInt, factor: u32) -> (BigInt, i32) {
    let mut times = 0_i32;
    if digits.sign() == Sign::NoSign {
        return (digits, times);
    }
    while (&digits % factor).sign() == Sign::NoSign {
        digits /= factor;
        times = times.saturating_add(1);
    }
    (digits, times)
}

fn suffix(notation: Notation, power: i32) -> &'static str {
    let known = SUFFIXES
        .iter()
        .find(|(_, known, of)| *known == notation && *of == power);
    known.map_or("", |(name, _, _)| *name)
}
