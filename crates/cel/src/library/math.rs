//! Functions that the specification's environment has and Kubernetes has not: `math`, `base64`.
//!
//! Here: cel-go's ext/math.go and ext/encoders.go. Not here: operators (`standard`).
//! Invariant: no function is here that an environment of Kubernetes has.

use super::{Outcome, Row, fail, no_overload};
use crate::value::{Bytes, Value, order};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::cmp::Ordering;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "math.greatest", run: greatest, overloads: &[
        ("math_max_1", "(dyn) -> dyn"), ("math_max_2", "(dyn, dyn) -> dyn"), ("math_max_3", "(dyn, dyn, dyn) -> dyn"),
        ("math_max_4", "(dyn, dyn, dyn, dyn) -> dyn"), ("math_max_5", "(dyn, dyn, dyn, dyn, dyn) -> dyn"),
        ("math_max_6", "(dyn, dyn, dyn, dyn, dyn, dyn) -> dyn"), ("math_max_7", "(dyn, dyn, dyn, dyn, dyn, dyn, dyn) -> dyn"),
    ] },
    Row { name: "math.least", run: least, overloads: &[
        ("math_min_1", "(dyn) -> dyn"), ("math_min_2", "(dyn, dyn) -> dyn"), ("math_min_3", "(dyn, dyn, dyn) -> dyn"),
        ("math_min_4", "(dyn, dyn, dyn, dyn) -> dyn"), ("math_min_5", "(dyn, dyn, dyn, dyn, dyn) -> dyn"),
        ("math_min_6", "(dyn, dyn, dyn, dyn, dyn, dyn) -> dyn"), ("math_min_7", "(dyn, dyn, dyn, dyn, dyn, dyn, dyn) -> dyn"),
    ] },
    Row { name: "math.ceil", run: |a| double(a, f64::ceil), overloads: &[("math_ceil_double", "(double) -> double")] },
    Row { name: "math.floor", run: |a| double(a, f64::floor), overloads: &[("math_floor_double", "(double) -> double")] },
    Row { name: "math.round", run: |a| double(a, f64::round), overloads: &[("math_round_double", "(double) -> double")] },
    Row { name: "math.trunc", run: |a| double(a, f64::trunc), overloads: &[("math_trunc_double", "(double) -> double")] },
    Row { name: "math.isNaN", run: |a| test(a, f64::is_nan), overloads: &[("math_isNaN_double", "(double) -> bool")] },
    Row { name: "math.isInf", run: |a| test(a, f64::is_infinite), overloads: &[("math_isInf_double", "(double) -> bool")] },
    Row { name: "math.isFinite", run: |a| test(a, f64::is_finite), overloads: &[("math_isFinite_double", "(double) -> bool")] },
    Row { name: "math.abs", run: abs, overloads: &[("math_abs_double", "(double) -> double"), ("math_abs_int", "(int) -> int"), ("math_abs_uint", "(uint) -> uint")] },
    Row { name: "math.sign", run: sign, overloads: &[("math_sign_double", "(double) -> double"), ("math_sign_int", "(int) -> int"), ("math_sign_uint", "(uint) -> uint")] },
    Row { name: "math.sqrt", run: sqrt, overloads: &[("math_sqrt_double", "(double) -> double"), ("math_sqrt_int", "(int) -> double"), ("math_sqrt_uint", "(uint) -> double")] },
    Row { name: "math.bitAnd", run: |a| bits(a, |x, y| x & y), overloads: &[("math_bitAnd_int_int", "(int, int) -> int"), ("math_bitAnd_uint_uint", "(uint, uint) -> uint")] },
    Row { name: "math.bitOr", run: |a| bits(a, |x, y| x | y), overloads: &[("math_bitOr_int_int", "(int, int) -> int"), ("math_bitOr_uint_uint", "(uint, uint) -> uint")] },
    Row { name: "math.bitXor", run: |a| bits(a, |x, y| x ^ y), overloads: &[("math_bitXor_int_int", "(int, int) -> int"), ("math_bitXor_uint_uint", "(uint, uint) -> uint")] },
    Row { name: "math.bitNot", run: bit_not, overloads: &[("math_bitNot_int_int", "(int) -> int"), ("math_bitNot_uint_uint", "(uint) -> uint")] },
    Row { name: "math.bitShiftLeft", run: |a| shift(a, true), overloads: &[("math_bitShiftLeft_int_int", "(int, int) -> int"), ("math_bitShiftLeft_uint_int", "(uint, int) -> uint")] },
    Row { name: "math.bitShiftRight", run: |a| shift(a, false), overloads: &[("math_bitShiftRight_int_int", "(int, int) -> int"), ("math_bitShiftRight_uint_int", "(uint, int) -> uint")] },
    Row { name: "base64.encode", run: encode, overloads: &[("base64_encode_bytes", "(bytes) -> string")] },
    Row { name: "base64.decode", run: decode, overloads: &[("base64_decode_string", "(string) -> bytes")] },
];

fn extreme<'a>(arguments: &[Value<'a>], wanted: Ordering) -> Outcome<'a> {
    let listed: Vec<Value<'a>>;
    let values = match arguments {
        [Value::List(list)] => {
            listed = list.iter().collect();
            &listed
        }
        other => other,
    };
    let mut best: Option<&Value<'a>> = None;
    for value in values {
        if !matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_)) {
            return no_overload();
        }
        if best.is_none_or(|best| order(value, best) == Some(wanted)) {
            best = Some(value);
        }
    }
    best.cloned()
        .map_or_else(|| fail("math.@max(list) argument must not be empty"), Ok)
}

fn greatest<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    extreme(arguments, Ordering::Greater)
}

fn least<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    extreme(arguments, Ordering::Less)
}

fn double<'a>(arguments: &[Value<'a>], apply: fn(f64) -> f64) -> Outcome<'a> {
    match arguments {
        [Value::Double(value)] => Ok(Value::Double(apply(*value))),
        _ => no_overload(),
    }
}

fn test<'a>(arguments: &[Value<'a>], apply: fn(f64) -> bool) -> Outcome<'a> {
    match arguments {
        [Value::Double(value)] => Ok(Value::Bool(apply(*value))),
        _ => no_overload(),
    }
}

fn abs<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Double(value)] => Ok(Value::Double(value.abs())),
        [Value::Int(value)] => value
            .checked_abs()
            .map_or_else(|| fail("integer overflow"), |v| Ok(Value::Int(v))),
        [Value::Uint(value)] => Ok(Value::Uint(*value)),
        _ => no_overload(),
    }
}

fn sign<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Double(value)] if value.is_nan() || *value == 0.0 => Ok(Value::Double(*value)),
        [Value::Double(value)] => Ok(Value::Double(value.signum())),
        [Value::Int(value)] => Ok(Value::Int(value.signum())),
        [Value::Uint(value)] => Ok(Value::Uint(u64::from(*value > 0))),
        _ => no_overload(),
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "the root is of the nearest double"
)]
fn sqrt<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let value = match arguments {
        [Value::Double(value)] => *value,
        [Value::Int(value)] => *value as f64,
        [Value::Uint(value)] => *value as f64,
        _ => return no_overload(),
    };
    Ok(Value::Double(value.sqrt()))
}

fn bits<'a>(arguments: &[Value<'a>], apply: fn(u64, u64) -> u64) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => {
            let made = apply(a.cast_unsigned(), b.cast_unsigned());
            Ok(Value::Int(made.cast_signed()))
        }
        [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(apply(*a, *b))),
        _ => no_overload(),
    }
}

fn bit_not<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(value)] => Ok(Value::Int(!value)),
        [Value::Uint(value)] => Ok(Value::Uint(!value)),
        _ => no_overload(),
    }
}

fn shift<'a>(arguments: &[Value<'a>], left: bool) -> Outcome<'a> {
    let moved = |value: u64, by: i64| -> Result<u64, crate::eval::EvalError> {
        if by < 0 {
            let name = if left {
                "math.bitShiftLeft()"
            } else {
                "math.bitShiftRight()"
            };
            return Err(crate::eval::EvalError::new(format!(
                "{name} negative offset: {by}"
            )));
        }
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        let made = if left {
            value.checked_shl(by)
        } else {
            value.checked_shr(by)
        };
        Ok(made.unwrap_or(0))
    };
    match arguments {
        [Value::Int(value), Value::Int(by)] => {
            Ok(Value::Int(moved(value.cast_unsigned(), *by)?.cast_signed()))
        }
        [Value::Uint(value), Value::Int(by)] => Ok(Value::Uint(moved(*value, *by)?)),
        _ => no_overload(),
    }
}

fn encode<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Bytes(bytes)] => Ok(Value::from(STANDARD.encode(&**bytes))),
        _ => no_overload(),
    }
}

fn decode<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else {
        return no_overload();
    };
    let decoded = STANDARD
        .decode(text.as_bytes())
        .or_else(|_| STANDARD_NO_PAD.decode(text.as_bytes()));
    match decoded {
        Ok(bytes) => Ok(Value::Bytes(Bytes::Shared(bytes.into()))),
        Err(_) => fail("illegal base64 data"),
    }
}
