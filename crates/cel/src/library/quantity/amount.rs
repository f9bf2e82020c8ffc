//! How much a quantity is.
//!
//! Here: its two forms, order and sums, as apimachinery has them (k8s.io/apimachinery v0.37.2,
//! pkg/api/resource/amount.go, math.go; gopkg.in/inf.v0, dec.go). Not here: text (`parse`, `print`).
//! Invariant: no number has more digits than [`DIGITS_LIMIT`], so each step takes a bounded time.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers of any length do not overflow, and no divisor is zero"
)]

use num_bigint::{BigInt, Sign};
use std::cmp::Ordering;

/// Digits of a number that are kept at most. The API server's engine has no such limit: there an
/// exponent of nine digits takes minutes and gigabytes.
pub(super) const DIGITS_LIMIT: u64 = 2_000;

/// A number and the power of ten that it is multiplied with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// The form that can be read as a whole number.
    Small { value: i64, power: i32 },
    /// The form for all else, which nothing turns back.
    Large(Box<Decimal>),
}

/// A decimal of any length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) digits: BigInt,
    pub(super) power: i32,
}

/// There would be more digits than are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// So many zeros behind a one.
pub(super) fn ten_to(power: u64) -> Result<BigInt, TooLong> {
    match u32::try_from(power) {
        Ok(power) if u64::from(power) <= DIGITS_LIMIT => Ok(BigInt::from(10).pow(power)),
        _ => Err(TooLong),
    }
}

/// How many digits a number has, or one more.
fn length(digits: &BigInt) -> i64 {
    // A digit takes a little more than 3.3 bits.
    let bits = i64::try_from(digits.bits()).unwrap_or(i64::MAX);
    bits.saturating_mul(1000)
        .wrapping_div(3321)
        .saturating_add(1)
}

impl Decimal {
    /// The same number with a smaller power.
    pub(super) fn rescaled(&self, power: i32) -> Result<BigInt, TooLong> {
        let zeros = i64::from(self.power).saturating_sub(power.into());
        Ok(&self.digits * ten_to(u64::try_from(zeros).unwrap_or(0))?)
    }

    /// The nearest number with this power, away from zero, and whether it is the same.
    pub(super) fn rounded(&self, power: i32) -> Result<(BigInt, bool), TooLong> {
        let lost = i64::from(power).saturating_sub(self.power.into());
        if lost <= 0 {
            return Ok((self.rescaled(power)?, true));
        }
        if self.digits.sign() == Sign::NoSign {
            return Ok((BigInt::ZERO, true));
        }
        let one = if self.digits.sign() == Sign::Minus {
            -1
        } else {
            1
        };
        if lost > length(&self.digits) {
            return Ok((BigInt::from(one), false));
        }
        let divisor = ten_to(u64::try_from(lost).unwrap_or(0))?;
        let (whole, rest) = (&self.digits / &divisor, &self.digits % &divisor);
        if rest.sign() == Sign::NoSign {
            return Ok((whole, true));
        }
        Ok((whole + one, false))
    }

    fn compare(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.digits, &other.digits);
        if a.sign() != b.sign() || a.sign() == Sign::NoSign {
            return a.sign().cmp(&b.sign());
        }
        let power = self.power.min(other.power);
        if let (Ok(a), Ok(b)) = (self.rescaled(power), other.rescaled(power)) {
            return a.cmp(&b);
        }
        // So many powers are between them that the digits make no difference.
        let nearer = self.power.cmp(&other.power);
        if a.sign() == Sign::Minus {
            nearer.reverse()
        } else {
            nearer
        }
    }

    fn plus(&self, other: &Self, sign: i8) -> Result<Self, TooLong> {
        let power = self.power.min(other.power);
        let (a, b) = (self.rescaled(power)?, other.rescaled(power)?);
        let digits = if sign < 0 { a - b } else { a + b };
        if length(&digits) > i64::try_from(DIGITS_LIMIT).unwrap_or(i64::MAX) {
            return Err(TooLong);
        }
        Ok(Self { digits, power })
    }
}

impl Amount {
    pub(super) fn decimal(&self) -> Decimal {
        match self {
            Self::Small { value, power } => Decimal {
                digits: BigInt::from(*value),
                power: *power,
            },
            Self::Large(decimal) => (**decimal).clone(),
        }
    }

    /// Bytes beside the amount itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Small { .. } => 0,
            Self::Large(decimal) => {
                usize::try_from(decimal.digits.bits().wrapping_div(8)).unwrap_or(usize::MAX)
            }
        }
    }

    /// The nearest double, but for what Go loses when it multiplies (`AsApproximateFloat64`).
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "an approximation is what is asked for"
    )]
    pub(super) fn approximately(&self) -> f64 {
        let (base, power) = match self {
            Self::Small { value, power } => (*value as f64, *power),
            Self::Large(decimal) => {
                let base = decimal.digits.to_string().parse();
                (base.unwrap_or(f64::NAN), decimal.power)
            }
        };
        if power == 0 {
            base
        } else {
            base * float_ten_to(power)
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.sign() == 0
    }

    /// -1, 0 or 1.
    pub(super) fn sign(&self) -> i64 {
        match self {
            Self::Small { value, .. } => value.signum(),
            Self::Large(decimal) => match decimal.digits.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            },
        }
    }

    /// As a whole number, where it is kept as one.
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            Self::Small { value, power } => raised(*value, *power),
            Self::Large(_) => None,
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        if let (Self::Small { value: a, power: x }, Self::Small { value: b, power: y }) =
            (self, other)
        {
            let between = i64::from(*x).saturating_sub((*y).into());
            if let Some(zeros) = wide_ten_to(between.unsigned_abs()) {
                // Less than 2^63 times 10^18.
                let scaled = |value: i64, times: i128| i128::from(value).saturating_mul(times);
                return if between >= 0 {
                    scaled(*a, zeros).cmp(&(*b).into())
                } else {
                    i128::from(*a).cmp(&scaled(*b, zeros))
                };
            }
        }
        self.decimal().compare(&other.decimal())
    }

    /// The sum of two, or their difference where the sign is negative.
    pub(super) fn plus(&self, other: &Self, sign: i8) -> Result<Self, TooLong> {
        if let (Self::Small { value: a, power: x }, Self::Small { value: b, power: y }) =
            (self, other)
        {
            // Within 64 bits the least number negated is itself.
            let b = if sign < 0 { b.wrapping_neg() } else { *b };
            if let Some(small) = small_sum((*a, *x), (b, *y)) {
                return Ok(small);
            }
        }
        let sum = self.decimal().plus(&other.decimal(), sign)?;
        Ok(Self::Large(Box::new(sum)))
    }
}

/// A sum that is kept in 64 bits, with the smaller of both powers.
fn small_sum((a, x): (i64, i32), (b, y): (i64, i32)) -> Option<Amount> {
    if b == 0 {
        return Some(Amount::Small { value: a, power: x });
    }
    if a == 0 {
        return Some(Amount::Small { value: b, power: y });
    }
    let power = x.min(y);
    let a = raised(a, x.checked_sub(power)?)?;
    let b = raised(b, y.checked_sub(power)?)?;
    let value = a.checked_add(b)?;
    Some(Amount::Small { value, power })
}

/// A number with so many zeros behind it, within 64 bits.
fn raised(value: i64, zeros: i32) -> Option<i64> {
    if zeros == 0 || (value == 0 && zeros > 0) {
        return Some(value);
    }
    let times = 10_i64.checked_pow(u32::try_from(zeros).ok()?)?;
    value.checked_mul(times)
}

fn wide_ten_to(power: u64) -> Option<i128> {
    let power = u32::try_from(power).ok().filter(|power| *power <= 18)?;
    Some(10_i128.pow(power))
}

/// A power of ten as Go's `math.Pow10` has it: of two factors.
fn float_ten_to(power: i32) -> f64 {
    let exactly = |power: i32| format!("1e{power}").parse().unwrap_or(f64::NAN);
    let (large, small) = (
        power.wrapping_div(32).wrapping_mul(32),
        power.wrapping_rem(32),
    );
    match power {
        ..=-324 => 0.0,
        -323..=0 => exactly(large) / exactly(small.wrapping_neg()),
        1..=308 => exactly(large) * exactly(small),
        _ => f64::INFINITY,
    }
}
