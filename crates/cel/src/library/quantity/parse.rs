//! Quantities from text.
//!
//! Here: the grammar with its leniencies and the choice between the two forms (k8s.io/apimachinery
//! v0.37.2, pkg/api/resource/quantity.go, `ParseQuantity`; suffix.go). Not here: arithmetic
//! (`amount`).
//! Invariant: what is refused is refused in the words of apimachinery, but for what is too long.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers of any length do not overflow, and no divisor is zero"
)]

use super::amount::{Amount, DIGITS_LIMIT, Decimal};
use super::{Notation, Quantity, SUFFIXES};
use num_bigint::{BigInt, Sign};

/// Why a text is no quantity, in the words of apimachinery.
const WRONG_FORMAT: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const WRONG_NUMBER: &str = "unable to parse numeric part of quantity";
const WRONG_SUFFIX: &str = "unable to parse quantity's suffix";
/// The API server's engine has no such limit.
const TOO_LONG: &str = "a quantity has more than 2000 digits";

/// The power of ten of the last digit that is kept.
const FINEST: i32 = -9;

/// The parts of a text.
struct Parts<'t> {
    negative: bool,
    /// Digits before the point, without leading zeros; at least one.
    whole: &'t str,
    /// Digits after it.
    fraction: &'t str,
    suffix: &'t str,
    /// Whether there is a digit at all.
    has_digit: bool,
}

fn digits_end(text: &str) -> usize {
    let end = text.find(|c: char| !c.is_ascii_digit());
    end.unwrap_or(text.len())
}

fn parts(text: &str) -> Result<Parts<'_>, &'static str> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = unsigned.trim_start_matches('0');
    let (whole, rest) = number
        .split_at_checked(digits_end(number))
        .ok_or(WRONG_FORMAT)?;
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest
            .split_at_checked(digits_end(rest))
            .ok_or(WRONG_FORMAT)?,
        None => ("", rest),
    };
    // Letters, a sign, digits; each part may be missing.
    let exponent = suffix.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG_FORMAT);
    }
    Ok(Parts {
        negative,
        whole: if whole.is_empty() { "0" } else { whole },
        fraction,
        suffix,
        has_digit: number.len() < unsigned.len() || !whole.is_empty() || !fraction.is_empty(),
    })
}

/// The notation of a suffix and its power, of two for the binary one and else of ten.
fn interpreted(suffix: &str) -> Result<(Notation, i32), &'static str> {
    let known = SUFFIXES.iter().find(|(name, _, _)| *name == suffix);
    if let Some((_, notation, power)) = known {
        return Ok((*notation, *power));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(WRONG_SUFFIX)?;
    let exponent: i64 = exponent.parse().map_err(|_| WRONG_SUFFIX)?;
    // Go keeps the lower 32 bits.
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "what is lost there is lost here"
    )]
    let power = exponent as i32;
    Ok((Notation::Exponent, power))
}

impl Quantity {
    /// Reads a quantity.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err(WRONG_FORMAT);
        }
        let parts = parts(text)?;
        let (notation, power) = interpreted(parts.suffix)?;
        if let Some((amount, is_kept)) = small(&parts, notation, power) {
            return Ok(Self {
                amount,
                notation,
                sum: false,
                written: (is_kept || text == "0").then(|| text.into()),
            });
        }
        if !parts.has_digit {
            return Err(WRONG_NUMBER);
        }
        let (amount, notation) = large(&parts, notation, power)?;
        Ok(Self {
            amount,
            notation,
            sum: false,
            written: None,
        })
    }
}

/// The form of 64 bits, and whether the text itself is the canonical one.
fn small(parts: &Parts<'_>, notation: Notation, power: i32) -> Option<(Amount, bool)> {
    let length = |text: &str| i32::try_from(text.len()).unwrap_or(i32::MAX);
    let (whole, fraction) = (length(parts.whole), length(parts.fraction));
    let (room, power, shift) = match notation {
        Notation::Binary if fraction == 0 => {
            let bits = power.wrapping_mul(3).wrapping_div(10);
            (14_i32.saturating_sub(whole).saturating_sub(bits), 0, power)
        }
        Notation::Binary => return None,
        Notation::Decimal | Notation::Exponent => {
            let digits = whole.saturating_add(fraction);
            (
                18_i32.saturating_sub(digits),
                power.wrapping_sub(fraction),
                0,
            )
        }
    };
    if room < 0 || power < FINEST {
        return None;
    }
    let digits = || parts.whole.bytes().chain(parts.fraction.bytes());
    let number = digits().try_fold(0_i64, |number, digit| {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        number.checked_mul(10)?.checked_add(digit)
    })?;
    let times = 1_i64.checked_shl(u32::try_from(shift).ok()?)?;
    let value = number.checked_mul(times)?;
    let is_kept = match notation {
        Notation::Binary => number & 7 != 0,
        Notation::Decimal | Notation::Exponent => {
            let zeros = digits().rev().take_while(|digit| *digit == b'0').count();
            power.wrapping_rem(3) == 0 && zeros < 3 && digits().next() != Some(b'0')
        }
    };
    let value = if parts.negative {
        value.wrapping_neg()
    } else {
        value
    };
    Some((Amount::Small { value, power }, is_kept))
}

/// The form of any length: to billionths, away from zero; powers of two up to 2^63 - 1.
fn large(
    parts: &Parts<'_>,
    notation: Notation,
    power: i32,
) -> Result<(Amount, Notation), &'static str> {
    let text = [parts.whole, parts.fraction].concat();
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > DIGITS_LIMIT {
        return Err(TOO_LONG);
    }
    let digits = BigInt::parse_bytes(text.as_bytes(), 10).ok_or(WRONG_NUMBER)?;
    let fraction = i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX);
    let mut decimal = if notation == Notation::Binary {
        let digits = digits << u32::try_from(power).unwrap_or(0);
        let power = fraction.wrapping_neg();
        Decimal { digits, power }
    } else {
        let power = power.wrapping_sub(fraction);
        Decimal { digits, power }
    };
    if decimal.digits.sign() != Sign::NoSign {
        let (digits, _) = decimal.rounded(FINEST).map_err(|_| TOO_LONG)?;
        decimal = Decimal {
            digits,
            power: FINEST,
        };
    }
    let mut notation = notation;
    if notation == Notation::Binary && decimal.digits.sign() != Sign::NoSign {
        let one = BigInt::from(10_u64.pow(FINEST.unsigned_abs()));
        if decimal.digits > BigInt::from(i64::MAX) * &one {
            decimal = Decimal {
                digits: BigInt::from(i64::MAX),
                power: 0,
            };
        } else if decimal.digits < one {
            // What is less than one is written with other suffixes.
            notation = Notation::Decimal;
        }
    }
    if parts.negative {
        decimal.digits = -decimal.digits;
    }
    Ok((Amount::Large(Box::new(decimal)), notation))
}
