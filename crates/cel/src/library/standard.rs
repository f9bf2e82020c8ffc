//! Operators and sizes: the language's own functions.
//!
//! Here: the standard declarations (cel-go, common/stdlib) and the map insertion of loops with
//! two variables. Not here: operators that do not evaluate all of their operands (`eval`), from
//! one type to another (`conversions`), points in time (`times`), `optionals`.
//! Invariant: arithmetic is checked; what does not fit is the error of the specification.

use super::{Outcome, Row, conversions, count, fail, no_overload, times};
use crate::eval::EvalError;
use crate::value::{Bytes, List, Map, Value, added, element_is, equal, equality, order};
use std::cmp::Ordering;
use std::sync::Arc;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "_?_:_", run: never, overloads: &[("conditional", "(bool, A, A) -> A")] },
    Row { name: "_&&_", run: never, overloads: &[("logical_and", "(bool, bool) -> bool")] },
    Row { name: "_||_", run: never, overloads: &[("logical_or", "(bool, bool) -> bool")] },
    Row { name: "_==_", run: equals, overloads: &[("equals", "(A, A) -> bool")] },
    Row { name: "_!=_", run: not_equals, overloads: &[("not_equals", "(A, A) -> bool")] },
    Row { name: "_[_]", run: never, overloads: &[
        ("index_list", "(list(A), int) -> A"), ("index_map", "(map(A, B), A) -> B"),
        ("optional_list_index_int", "(optional(list(A)), int) -> optional(A)"),
        ("optional_map_index_value", "(optional(map(A, B)), A) -> optional(B)"),
    ] },
    Row { name: "_[?_]", run: never, overloads: &[
        ("list_optindex_optional_int", "(list(A), int) -> optional(A)"),
        ("optional_list_optindex_optional_int", "(optional(list(A)), int) -> optional(A)"),
        ("map_optindex_optional_value", "(map(A, B), A) -> optional(B)"),
        ("optional_map_optindex_optional_value", "(optional(map(A, B)), A) -> optional(B)"),
    ] },
    Row { name: "@not_strictly_false", run: never, overloads: &[("not_strictly_false", "(bool) -> bool")] },
    Row { name: "!_", run: not, overloads: &[("logical_not", "(bool) -> bool")] },
    Row { name: "-_", run: negate, overloads: &[("negate_double", "(double) -> double"), ("negate_int64", "(int) -> int")] },
    Row { name: "_+_", run: add, overloads: &[
        ("add_bytes", "(bytes, bytes) -> bytes"), ("add_double", "(double, double) -> double"),
        ("add_duration_duration", "(duration, duration) -> duration"),
        ("add_duration_timestamp", "(duration, timestamp) -> timestamp"),
        ("add_timestamp_duration", "(timestamp, duration) -> timestamp"),
        ("add_int64", "(int, int) -> int"), ("add_list", "(list(A), list(A)) -> list(A)"),
        ("add_string", "(string, string) -> string"), ("add_uint64", "(uint, uint) -> uint"),
    ] },
    Row { name: "_-_", run: subtract, overloads: &[
        ("subtract_double", "(double, double) -> double"),
        ("subtract_duration_duration", "(duration, duration) -> duration"),
        ("subtract_int64", "(int, int) -> int"),
        ("subtract_timestamp_duration", "(timestamp, duration) -> timestamp"),
        ("subtract_timestamp_timestamp", "(timestamp, timestamp) -> duration"),
        ("subtract_uint64", "(uint, uint) -> uint"),
    ] },
    Row { name: "_*_", run: multiply, overloads: &[
        ("multiply_double", "(double, double) -> double"), ("multiply_int64", "(int, int) -> int"),
        ("multiply_uint64", "(uint, uint) -> uint"),
    ] },
    Row { name: "_/_", run: divide, overloads: &[
        ("divide_double", "(double, double) -> double"), ("divide_int64", "(int, int) -> int"),
        ("divide_uint64", "(uint, uint) -> uint"),
    ] },
    Row { name: "_%_", run: modulo, overloads: &[("modulo_int64", "(int, int) -> int"), ("modulo_uint64", "(uint, uint) -> uint")] },
    Row { name: "_<_", run: less, overloads: &[
        ("less_bool", "(bool, bool) -> bool"), ("less_int64", "(int, int) -> bool"),
        ("less_int64_double", "(int, double) -> bool"), ("less_int64_uint64", "(int, uint) -> bool"),
        ("less_uint64", "(uint, uint) -> bool"), ("less_uint64_double", "(uint, double) -> bool"),
        ("less_uint64_int64", "(uint, int) -> bool"), ("less_double", "(double, double) -> bool"),
        ("less_double_int64", "(double, int) -> bool"), ("less_double_uint64", "(double, uint) -> bool"),
        ("less_string", "(string, string) -> bool"), ("less_bytes", "(bytes, bytes) -> bool"),
        ("less_timestamp", "(timestamp, timestamp) -> bool"), ("less_duration", "(duration, duration) -> bool"),
    ] },
    Row { name: "_<=_", run: less_or_equal, overloads: &[
        ("less_equals_bool", "(bool, bool) -> bool"), ("less_equals_int64", "(int, int) -> bool"),
        ("less_equals_int64_double", "(int, double) -> bool"), ("less_equals_int64_uint64", "(int, uint) -> bool"),
        ("less_equals_uint64", "(uint, uint) -> bool"), ("less_equals_uint64_double", "(uint, double) -> bool"),
        ("less_equals_uint64_int64", "(uint, int) -> bool"), ("less_equals_double", "(double, double) -> bool"),
        ("less_equals_double_int64", "(double, int) -> bool"), ("less_equals_double_uint64", "(double, uint) -> bool"),
        ("less_equals_string", "(string, string) -> bool"), ("less_equals_bytes", "(bytes, bytes) -> bool"),
        ("less_equals_timestamp", "(timestamp, timestamp) -> bool"), ("less_equals_duration", "(duration, duration) -> bool"),
    ] },
    Row { name: "_>_", run: greater, overloads: &[
        ("greater_bool", "(bool, bool) -> bool"), ("greater_int64", "(int, int) -> bool"),
        ("greater_int64_double", "(int, double) -> bool"), ("greater_int64_uint64", "(int, uint) -> bool"),
        ("greater_uint64", "(uint, uint) -> bool"), ("greater_uint64_double", "(uint, double) -> bool"),
        ("greater_uint64_int64", "(uint, int) -> bool"), ("greater_double", "(double, double) -> bool"),
        ("greater_double_int64", "(double, int) -> bool"), ("greater_double_uint64", "(double, uint) -> bool"),
        ("greater_string", "(string, string) -> bool"), ("greater_bytes", "(bytes, bytes) -> bool"),
        ("greater_timestamp", "(timestamp, timestamp) -> bool"), ("greater_duration", "(duration, duration) -> bool"),
    ] },
    Row { name: "_>=_", run: greater_or_equal, overloads: &[
        ("greater_equals_bool", "(bool, bool) -> bool"), ("greater_equals_int64", "(int, int) -> bool"),
        ("greater_equals_int64_double", "(int, double) -> bool"), ("greater_equals_int64_uint64", "(int, uint) -> bool"),
        ("greater_equals_uint64", "(uint, uint) -> bool"), ("greater_equals_uint64_double", "(uint, double) -> bool"),
        ("greater_equals_uint64_int64", "(uint, int) -> bool"), ("greater_equals_double", "(double, double) -> bool"),
        ("greater_equals_double_int64", "(double, int) -> bool"), ("greater_equals_double_uint64", "(double, uint) -> bool"),
        ("greater_equals_string", "(string, string) -> bool"), ("greater_equals_bytes", "(bytes, bytes) -> bool"),
        ("greater_equals_timestamp", "(timestamp, timestamp) -> bool"), ("greater_equals_duration", "(duration, duration) -> bool"),
    ] },
    Row { name: "@in", run: is_in, overloads: &[("in_list", "(A, list(A)) -> bool"), ("in_map", "(A, map(A, B)) -> bool")] },
    Row { name: "size", run: size, overloads: &[
        ("size_bytes", "(bytes) -> int"), ("bytes_size", "bytes.() -> int"),
        ("size_list", "(list(A)) -> int"), ("list_size", "list(A).() -> int"),
        ("size_map", "(map(A, B)) -> int"), ("map_size", "map(A, B).() -> int"),
        ("size_string", "(string) -> int"), ("string_size", "string.() -> int"),
    ] },
    Row { name: "type", run: type_of, overloads: &[("type", "(A) -> type(A)")] },
    Row { name: "dyn", run: same, overloads: &[("to_dyn", "(A) -> dyn")] },
    Row { name: "bool", run: conversions::to_bool, overloads: &[("bool_to_bool", "(bool) -> bool"), ("string_to_bool", "(string) -> bool")] },
    Row { name: "bytes", run: conversions::to_bytes, overloads: &[("bytes_to_bytes", "(bytes) -> bytes"), ("string_to_bytes", "(string) -> bytes")] },
    Row { name: "double", run: conversions::to_double, overloads: &[
        ("double_to_double", "(double) -> double"), ("int64_to_double", "(int) -> double"),
        ("string_to_double", "(string) -> double"), ("uint64_to_double", "(uint) -> double"),
    ] },
    Row { name: "int", run: conversions::to_int, overloads: &[
        ("int64_to_int64", "(int) -> int"), ("double_to_int64", "(double) -> int"),
        ("duration_to_int64", "(duration) -> int"), ("string_to_int64", "(string) -> int"),
        ("timestamp_to_int64", "(timestamp) -> int"), ("uint64_to_int64", "(uint) -> int"),
    ] },
    Row { name: "uint", run: conversions::to_uint, overloads: &[
        ("uint64_to_uint64", "(uint) -> uint"), ("double_to_uint64", "(double) -> uint"),
        ("int64_to_uint64", "(int) -> uint"), ("string_to_uint64", "(string) -> uint"),
    ] },
    Row { name: "string", run: conversions::to_string, overloads: &[
        ("string_to_string", "(string) -> string"), ("bool_to_string", "(bool) -> string"),
        ("bytes_to_string", "(bytes) -> string"), ("double_to_string", "(double) -> string"),
        ("duration_to_string", "(duration) -> string"), ("int64_to_string", "(int) -> string"),
        ("timestamp_to_string", "(timestamp) -> string"), ("uint64_to_string", "(uint) -> string"),
    ] },
    Row { name: "duration", run: times::to_duration, overloads: &[("duration_to_duration", "(duration) -> duration"), ("string_to_duration", "(string) -> duration")] },
    Row { name: "timestamp", run: times::to_timestamp, overloads: &[
        ("timestamp_to_timestamp", "(timestamp) -> timestamp"), ("int64_to_timestamp", "(int) -> timestamp"),
        ("string_to_timestamp", "(string) -> timestamp"),
    ] },
    Row { name: "contains", run: contains, overloads: &[("contains_string", "string.(string) -> bool")] },
    Row { name: "startsWith", run: starts_with, overloads: &[("starts_with_string", "string.(string) -> bool")] },
    Row { name: "endsWith", run: ends_with, overloads: &[("ends_with_string", "string.(string) -> bool")] },
    Row { name: "matches", run: super::regexes::matches, overloads: &[("matches", "(string, string) -> bool"), ("matches_string", "string.(string) -> bool")] },
    Row { name: "getFullYear", run: times::full_year, overloads: &[("timestamp_to_year", "timestamp.() -> int"), ("timestamp_to_year_with_tz", "timestamp.(string) -> int")] },
    Row { name: "getMonth", run: times::month, overloads: &[("timestamp_to_month", "timestamp.() -> int"), ("timestamp_to_month_with_tz", "timestamp.(string) -> int")] },
    Row { name: "getDayOfYear", run: times::day_of_year, overloads: &[("timestamp_to_day_of_year", "timestamp.() -> int"), ("timestamp_to_day_of_year_with_tz", "timestamp.(string) -> int")] },
    Row { name: "getDayOfMonth", run: times::day_of_month, overloads: &[("timestamp_to_day_of_month", "timestamp.() -> int"), ("timestamp_to_day_of_month_with_tz", "timestamp.(string) -> int")] },
    Row { name: "getDate", run: times::date, overloads: &[("timestamp_to_day_of_month_1_based", "timestamp.() -> int"), ("timestamp_to_day_of_month_1_based_with_tz", "timestamp.(string) -> int")] },
    Row { name: "getDayOfWeek", run: times::day_of_week, overloads: &[("timestamp_to_day_of_week", "timestamp.() -> int"), ("timestamp_to_day_of_week_with_tz", "timestamp.(string) -> int")] },
    Row { name: "getHours", run: times::hours, overloads: &[
        ("timestamp_to_hours", "timestamp.() -> int"), ("timestamp_to_hours_with_tz", "timestamp.(string) -> int"), ("duration_to_hours", "duration.() -> int"),
    ] },
    Row { name: "getMinutes", run: times::minutes, overloads: &[
        ("timestamp_to_minutes", "timestamp.() -> int"), ("timestamp_to_minutes_with_tz", "timestamp.(string) -> int"), ("duration_to_minutes", "duration.() -> int"),
    ] },
    Row { name: "getSeconds", run: times::seconds, overloads: &[
        ("timestamp_to_seconds", "timestamp.() -> int"), ("timestamp_to_seconds_tz", "timestamp.(string) -> int"), ("duration_to_seconds", "duration.() -> int"),
    ] },
    Row { name: "getMilliseconds", run: times::milliseconds, overloads: &[
        ("timestamp_to_milliseconds", "timestamp.() -> int"), ("timestamp_to_milliseconds_with_tz", "timestamp.(string) -> int"), ("duration_to_milliseconds", "duration.() -> int"),
    ] },
];

#[rustfmt::skip]
pub(super) const TWO_VARIABLES: &[Row] = &[
    Row { name: "cel.@mapInsert", run: map_insert, overloads: &[
        ("@mapInsert_key_value", "(map(A, B), A, B) -> map(A, B)"), ("@mapInsert_map", "(map(A, B), map(A, B)) -> map(A, B)"),
    ] },
];

/// Of operators that the evaluation does itself.
pub(super) fn never<'a>(_: &[Value<'a>]) -> Outcome<'a> {
    no_overload()
}

fn same<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    arguments.first().cloned().map_or_else(no_overload, Ok)
}

fn compared(arguments: &[Value<'_>]) -> Result<bool, Box<EvalError>> {
    match arguments {
        [a, b] => equality(a, b),
        _ => Err(Box::new(EvalError::no_overload())),
    }
}

fn equals<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    compared(arguments).map(Value::Bool).map_err(|error| *error)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a function of the table, which may fail"
)]
fn not_equals<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    // What can't be compared is not the same (cel-go, interpreter/interpretable.go, `evalNe`).
    Ok(Value::Bool(!matches!(compared(arguments), Ok(true))))
}

fn not<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Bool(value)] => Ok(Value::Bool(!value)),
        _ => no_overload(),
    }
}

fn whole<'a, T>(result: Option<T>, wrap: fn(T) -> Value<'a>, kind: &str) -> Outcome<'a> {
    result.map_or_else(|| fail(format!("{kind} overflow")), |value| Ok(wrap(value)))
}

pub(super) fn int<'a>(result: Option<i64>) -> Outcome<'a> {
    whole(result, Value::Int, "integer")
}

pub(super) fn uint<'a>(result: Option<u64>) -> Outcome<'a> {
    whole(result, Value::Uint, "unsigned integer")
}

/// Durations are counted as whole numbers, and overflow with their words.
fn span<'a>(result: Option<i64>) -> Outcome<'a> {
    whole(result, Value::Duration, "integer")
}

fn negate<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(value)] => int(value.checked_neg()),
        [Value::Double(value)] => Ok(Value::Double(-value)),
        [Value::Duration(value)] => span(value.checked_neg()),
        _ => no_overload(),
    }
}

fn add<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => int(a.checked_add(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_add(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a + b)),
        [Value::String(a), Value::String(b)] => {
            let mut made = String::with_capacity(a.len().saturating_add(b.len()));
            made.push_str(a);
            made.push_str(b);
            Ok(Value::from(made))
        }
        [Value::Bytes(a), Value::Bytes(b)] => {
            Ok(Value::Bytes(Bytes::Shared([&**a, &**b].concat().into())))
        }
        [Value::List(a), Value::List(b)] => match a.kind() {
            Some(kind) => Ok(Value::List(added(a, kind, b)?)),
            None if matches!(a, List::Go(..)) => {
                Ok(Value::List(List::of(a.iter().chain(b.iter()).collect())))
            }
            None => match a.joined(b) {
                Some(joined) => Ok(Value::List(joined)),
                None => Err(EvalError::limit()),
            },
        },
        [Value::Duration(a), Value::Duration(b)] => span(a.checked_add(*b)),
        [Value::Timestamp(time), Value::Duration(span)]
        | [Value::Duration(span), Value::Timestamp(time)] => times::later(*time, *span),
        _ => no_overload(),
    }
}

fn subtract<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => int(a.checked_sub(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_sub(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a - b)),
        [Value::Duration(a), Value::Duration(b)] => span(a.checked_sub(*b)),
        [Value::Timestamp(time), Value::Duration(span)] => match span.checked_neg() {
            Some(span) => times::later(*time, span),
            None => fail("integer overflow"),
        },
        [Value::Timestamp(a), Value::Timestamp(b)] => times::between(*a, *b),
        _ => no_overload(),
    }
}

fn multiply<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => int(a.checked_mul(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_mul(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a * b)),
        _ => no_overload(),
    }
}

fn divide<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            fail("division by zero")
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_div(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_div(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a / b)),
        _ => no_overload(),
    }
}

fn modulo<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            fail("modulus by zero")
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_rem(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_rem(*b)),
        _ => no_overload(),
    }
}

fn ordered<'a>(arguments: &[Value<'a>], holds: fn(Ordering) -> bool) -> Outcome<'a> {
    let [a, b] = arguments else {
        return no_overload();
    };
    if let Some(order) = order(a, b) {
        return Ok(Value::Bool(holds(order)));
    }
    let number =
        |value: &Value<'_>| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    let is_nan = matches!(a, Value::Double(a) if a.is_nan());
    if is_nan || number(a) && number(b) {
        return fail("NaN values cannot be ordered");
    }
    no_overload()
}

fn less<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    ordered(arguments, Ordering::is_lt)
}

fn less_or_equal<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    ordered(arguments, Ordering::is_le)
}

fn greater<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    ordered(arguments, Ordering::is_gt)
}

fn greater_or_equal<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    ordered(arguments, Ordering::is_ge)
}

fn is_in<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [wanted, Value::List(list)] => has_element(list, wanted).map(Value::Bool),
        [wanted, Value::Map(Map::Made(made))] => Ok(Value::Bool(made.contains(wanted))),
        [wanted, Value::Map(map)] => match map.get(wanted) {
            Some(Value::Fault(error)) => Err((*error).clone()),
            found => Ok(Value::Bool(found.is_some())),
        },
        _ => no_overload(),
    }
}

/// Whether a list has an element. Elements of a list of a schema that can't be compared are an
/// error, unless another is the wanted one.
pub(super) fn has_element(list: &List<'_>, wanted: &Value<'_>) -> Result<bool, EvalError> {
    if !matches!(list, List::Typed(..)) {
        return Ok(list.iter().any(|element| equal(wanted, &element)));
    }
    if let Value::Fault(error) = wanted {
        return Err((**error).clone());
    }
    let mut failed = None;
    for element in list.iter() {
        match element_is(&element, wanted) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(false), |error| Err(*error))
}

fn size<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    Ok(match arguments {
        [Value::String(text)] => count(text.characters()),
        [Value::Bytes(bytes)] => count(bytes.len()),
        [Value::List(list)] => count(list.len()),
        [Value::Map(map)] => count(map.len()),
        _ => return no_overload(),
    })
}

fn type_of<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value] => Ok(Value::Type(value.type_value())),
        _ => no_overload(),
    }
}

fn texts<'v>(arguments: &'v [Value<'_>]) -> Option<(&'v str, &'v str)> {
    match arguments {
        [Value::String(a), Value::String(b)] => Some((a, b)),
        _ => None,
    }
}

fn contains<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    texts(arguments).map_or_else(no_overload, |(a, b)| Ok(Value::Bool(a.contains(b))))
}

fn starts_with<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    texts(arguments).map_or_else(no_overload, |(a, b)| Ok(Value::Bool(a.starts_with(b))))
}

fn ends_with<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    texts(arguments).map_or_else(no_overload, |(a, b)| Ok(Value::Bool(a.ends_with(b))))
}

fn map_insert<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (map, added) = match arguments {
        [Value::Map(map), key, value] => (map, vec![(key.clone(), value.clone())]),
        [Value::Map(map), Value::Map(more)] => (map, more.entries().collect()),
        _ => return no_overload(),
    };
    let mut made = match map {
        Map::Made(made) => (**made).clone(),
        other => match Map::of(other.entries()) {
            Map::Made(made) => (*made).clone(),
            Map::Json(_) | Map::Strings(_) | Map::Typed(..) | Map::Go(..) => return no_overload(),
        },
    };
    for (key, value) in added {
        if made.contains(&key) {
            return fail(format!(
                "insert failed: key {} already exists",
                conversions::text_of(&key)
            ));
        }
        made.insert(key, value);
    }
    Ok(Value::Map(Map::Made(Arc::new(made))))
}
