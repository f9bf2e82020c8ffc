//! The text of a double.
//!
//! Here: reading it as Go's `strconv.ParseFloat` (go1.26). Not here: writing it (`conversions`), literals
//! of the language, which have a form of their own (`parse::lexer`).
//! Invariant: a number is rounded once, to the nearest double, of two the even one.

/// Bits of a double's mantissa, with the one that is not written.
const BITS: i64 = 53;
/// The powers of two that normal doubles lie between.
const POWERS: (i64, i64) = (-1022, 1023);

/// A double; nothing where the text is none or the number is beyond the range.
pub(super) fn parse(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let lower = unsigned.to_ascii_lowercase();
    let magnitude = match lower.as_str() {
        // Not a number has no sign.
        "nan" if unsigned.len() == text.len() => return Some(f64::NAN),
        "inf" | "infinity" => f64::INFINITY,
        _ => {
            let digits = without_underscores(&lower)?;
            match digits.strip_prefix("0x") {
                Some(digits) => hexadecimal(digits)?,
                None => decimal(&digits)?,
            }
        }
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// A number without the underscores between its digits; one may stand after `0x` as well.
fn without_underscores(lower: &str) -> Option<String> {
    let hexadecimal = lower.starts_with("0x");
    let is_digit = |c: char| c.is_ascii_digit() || hexadecimal && matches!(c, 'a'..='f');
    let mut made = String::with_capacity(lower.len());
    let (mut after_digit, mut after_underscore) = (false, false);
    for (place, c) in lower.chars().enumerate() {
        if c == '_' {
            if !after_digit {
                return None;
            }
            (after_digit, after_underscore) = (false, true);
            continue;
        }
        let is_prefix = hexadecimal && place == 1;
        after_digit = is_prefix || is_digit(c);
        if after_underscore && !after_digit {
            return None;
        }
        after_underscore = false;
        made.push(c);
    }
    (!after_underscore).then_some(made)
}

fn decimal(text: &str) -> Option<f64> {
    let is_plain = !text.is_empty()
        && !text.starts_with(['+', '-'])
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || "+-.e".contains(c));
    let value: f64 = text.parse().ok().filter(|_| is_plain)?;
    value.is_finite().then_some(value)
}

/// Digits with a point somewhere and a power of two, which there has to be: `1.8p-1`.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, power) = text.split_once('p')?;
    let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // What is beyond the range is so by far.
    let power: i64 = power.parse().unwrap_or(if power.starts_with('-') {
        i64::MIN / 4
    } else {
        i64::MAX / 4
    });
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (mut mantissa, mut exponent, mut rest) = (0_u64, power, false);
    for (place, c) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(c.to_digit(16)?);
        let is_whole = place < whole.len();
        // As many digits as fit; of the others only counts whether they are all zero.
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent = exponent.saturating_sub(if is_whole { 0 } else { 4 });
        } else {
            rest |= digit != 0;
            exponent = exponent.saturating_add(if is_whole { 4 } else { 0 });
        }
    }
    rounded(mantissa, exponent, rest)
}

/// The double nearest to a number times a power of two, with a rest below its last bit; nothing beyond
/// the range.
fn rounded(mantissa: u64, exponent: i64, rest: bool) -> Option<f64> {
    if mantissa == 0 {
        return Some(0.0);
    }
    let bits = i64::from(u64::BITS.saturating_sub(mantissa.leading_zeros()));
    // The power of two of the first bit.
    let first = exponent.saturating_add(bits).saturating_sub(1);
    if first > POWERS.1 {
        return None;
    }
    let missing = POWERS.0.saturating_sub(first).max(0);
    let kept = BITS.saturating_sub(missing);
    let dropped = bits.saturating_sub(kept);
    let wide = u128::from(mantissa);
    let shifted = match u32::try_from(dropped) {
        Ok(dropped) if dropped < 100 => {
            let half = 1_u128.checked_shl(dropped).unwrap_or(0) >> 1;
            let below = wide & half.wrapping_mul(2).wrapping_sub(1);
            let quotient = wide.checked_shr(dropped).unwrap_or(0);
            let is_odd = quotient & 1 == 1;
            let up = dropped > 0 && (below > half || below == half && (rest || is_odd));
            quotient.saturating_add(u128::from(up))
        }
        Ok(_) => 0,
        Err(_) => wide
            .checked_shl(u32::try_from(dropped.saturating_neg()).unwrap_or(u32::MAX))
            .unwrap_or(0),
    };
    let shifted = u64::try_from(shifted).unwrap_or(0);
    // Rounding up may give a bit more, which then is the next power: adding does both.
    let biased = if missing > 0 {
        shifted
    } else {
        let power = u64::try_from(first.saturating_sub(POWERS.0)).unwrap_or(0);
        (power << 52).saturating_add(shifted)
    };
    Some(f64::from_bits(biased)).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn doubles_are_read_as_go_reads_them() {
        for (text, wanted) in [
            ("0x1p4", Some(16.0)),
            ("-0X1.8P-1", Some(-0.75)),
            ("0x.8p1", Some(1.0)),
            ("0x_1p4", Some(16.0)),
            ("0x1_0p0_1", Some(32.0)),
            ("0x1", None),
            ("0xp1", None),
            ("0x1p", None),
            ("0x1p+", None),
            ("0x1__0p1", None),
            ("0x1p1_", None),
            ("1_000", Some(1000.0)),
            ("1_0.5e1_0", Some(10.5e10)),
            ("_1", None),
            ("1_.5", None),
            ("1._5", None),
            ("1e_5", None),
            ("0b1_1", None),
            ("+inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("-nan", None),
            ("+nan", None),
            ("--1", None),
            ("", None),
            ("1e400", None),
            ("1e-400", Some(0.0)),
            ("0x1p1023", Some(2f64.powi(1023))),
            ("0x1p1024", None),
            ("0x1.fffffffffffffp1023", Some(f64::MAX)),
            // Halfway to what is beyond is beyond, because the other is odd.
            ("0x1.fffffffffffff8p1023", None),
            ("0x1.fffffffffffff7p1023", Some(f64::MAX)),
            ("0x1p-1074", Some(f64::from_bits(1))),
            ("0x1p-1075", Some(0.0)),
            ("0x1.000001p-1075", Some(f64::from_bits(1))),
            ("0x1.8p-1074", Some(f64::from_bits(2))),
            ("0x0.fffffffffffff8p-1022", Some(f64::MIN_POSITIVE)),
            ("0x1.00000000000008p0", Some(1.0)),
            (
                "0x1.00000000000008000000000000000001p0",
                Some(1.0 + f64::EPSILON),
            ),
            (
                "0x1.00000000000018p0",
                Some(2.0f64.mul_add(f64::EPSILON, 1.0)),
            ),
            ("0x10000000000000000000000p-88", Some(1.0)),
            ("0x1p99999999999999999999", None),
            ("0x1p-99999999999999999999", Some(0.0)),
            ("-0x0p0", Some(-0.0)),
        ] {
            let found = parse(text);
            assert_eq!(found.map(f64::to_bits), wanted.map(f64::to_bits), "{text}");
        }
        assert!(parse("NaN").unwrap().is_nan());
    }
}
