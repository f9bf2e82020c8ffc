//! List functions of Kubernetes (k8s.io/apiserver, pkg/cel/library/lists.go) and of cel-go
//! (ext/lists.go).
//!
//! Here: order, sums, places, parts. Not here: macros.
//! Invariant: a list is never changed, a new one is made.

use super::{Outcome, Row, count, fail, no_overload, sorting};
use crate::eval::EvalError;
use crate::value::{ELEMENTS_LIMIT, List, Value, equal, order};
use std::cmp::Ordering;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "isSorted", run: is_sorted, overloads: &[
        ("list_int_is_sorted_bool", "list(int).() -> bool"), ("list_uint_is_sorted_bool", "list(uint).() -> bool"),
        ("list_double_is_sorted_bool", "list(double).() -> bool"), ("list_bool_is_sorted_bool", "list(bool).() -> bool"),
        ("list_duration_is_sorted_bool", "list(duration).() -> bool"), ("list_timestamp_is_sorted_bool", "list(timestamp).() -> bool"),
        ("list_string_is_sorted_bool", "list(string).() -> bool"), ("list_bytes_is_sorted_bool", "list(bytes).() -> bool"),
    ] },
    Row { name: "sum", run: sum, overloads: &[
        ("list_int_sum_int", "list(int).() -> int"), ("list_uint_sum_uint", "list(uint).() -> uint"),
        ("list_double_sum_double", "list(double).() -> double"), ("list_duration_sum_duration", "list(duration).() -> duration"),
    ] },
    Row { name: "max", run: max, overloads: &[
        ("list_int_max_int", "list(int).() -> int"), ("list_uint_max_uint", "list(uint).() -> uint"),
        ("list_double_max_double", "list(double).() -> double"), ("list_bool_max_bool", "list(bool).() -> bool"),
        ("list_duration_max_duration", "list(duration).() -> duration"), ("list_timestamp_max_timestamp", "list(timestamp).() -> timestamp"),
        ("list_string_max_string", "list(string).() -> string"), ("list_bytes_max_bytes", "list(bytes).() -> bytes"),
    ] },
    Row { name: "min", run: min, overloads: &[
        ("list_int_min_int", "list(int).() -> int"), ("list_uint_min_uint", "list(uint).() -> uint"),
        ("list_double_min_double", "list(double).() -> double"), ("list_bool_min_bool", "list(bool).() -> bool"),
        ("list_duration_min_duration", "list(duration).() -> duration"), ("list_timestamp_min_timestamp", "list(timestamp).() -> timestamp"),
        ("list_string_min_string", "list(string).() -> string"), ("list_bytes_min_bytes", "list(bytes).() -> bytes"),
    ] },
    Row { name: "indexOf", run: index_of, overloads: &[("list_a_index_of_int", "list(A).(A) -> int")] },
    Row { name: "lastIndexOf", run: last_index_of, overloads: &[("list_a_last_index_of_int", "list(A).(A) -> int")] },
];

#[rustfmt::skip]
pub(super) const INCLUDES: &[Row] = &[
    Row { name: "includes", run: includes, overloads: &[("list_includes_dyn_dyn", "dyn.(dyn) -> bool")] },
];

#[rustfmt::skip]
pub(super) const EXTENDED: &[Row] = &[
    Row { name: "slice", run: slice, overloads: &[("list_slice", "list(A).(int, int) -> list(A)")] },
    Row { name: "flatten", run: flatten, overloads: &[
        ("list_flatten", "list(list(A)).() -> list(A)"), ("list_flatten_int", "list(dyn).(int) -> list(dyn)"),
    ] },
    Row { name: "sort", run: sort, overloads: &[
        ("list_int_sort", "list(int).() -> list(int)"), ("list_uint_sort", "list(uint).() -> list(uint)"),
        ("list_double_sort", "list(double).() -> list(double)"), ("list_bool_sort", "list(bool).() -> list(bool)"),
        ("list_duration_sort", "list(duration).() -> list(duration)"), ("list_timestamp_sort", "list(timestamp).() -> list(timestamp)"),
        ("list_string_sort", "list(string).() -> list(string)"), ("list_bytes_sort", "list(bytes).() -> list(bytes)"),
    ] },
    Row { name: "@sortByAssociatedKeys", run: sort_by_keys, overloads: &[
        ("list_int_sortByAssociatedKeys", "list(A).(list(int)) -> list(A)"), ("list_uint_sortByAssociatedKeys", "list(A).(list(uint)) -> list(A)"),
        ("list_double_sortByAssociatedKeys", "list(A).(list(double)) -> list(A)"), ("list_bool_sortByAssociatedKeys", "list(A).(list(bool)) -> list(A)"),
        ("list_duration_sortByAssociatedKeys", "list(A).(list(duration)) -> list(A)"), ("list_timestamp_sortByAssociatedKeys", "list(A).(list(timestamp)) -> list(A)"),
        ("list_string_sortByAssociatedKeys", "list(A).(list(string)) -> list(A)"), ("list_bytes_sortByAssociatedKeys", "list(A).(list(bytes)) -> list(A)"),
    ] },
    Row { name: "lists.range", run: range, overloads: &[("lists_range", "(int) -> list(int)")] },
    Row { name: "reverse", run: reverse, overloads: &[("list_reverse", "list(A).() -> list(A)")] },
    Row { name: "distinct", run: distinct, overloads: &[("list_distinct", "list(A).() -> list(A)")] },
];

/// Most elements that `lists.range` makes: each of them costs one, and an expression may cost a
/// million.
const RANGE_LIMIT: i64 = 1_000_000;

fn list<'v, 'a>(arguments: &'v [Value<'a>]) -> Option<&'v List<'a>> {
    match arguments {
        [Value::List(list), ..] => Some(list),
        _ => None,
    }
}

/// Fails for a value that no other is greater or less than.
fn ordered(element: &Value<'_>) -> Result<(), EvalError> {
    match element {
        Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Duration(_)
        | Value::Timestamp(_) => Ok(()),
        Value::Fault(error) => Err((**error).clone()),
        Value::Null
        | Value::List(_)
        | Value::Map(_)
        | Value::Type(_)
        | Value::Optional(_)
        | Value::Opaque(_)
        | Value::Authorization(_)
        | Value::Message(_)
        | Value::Object(_)
        | Value::Preserved(_) => Err(EvalError::no_overload()),
    }
}

fn is_sorted<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let Some(list) = list(arguments) else {
        return no_overload();
    };
    let mut previous: Option<Value<'_>> = None;
    for element in list.iter() {
        ordered(&element)?;
        if previous.is_some_and(|before| order(&before, &element) == Some(Ordering::Greater)) {
            return Ok(Value::Bool(false));
        }
        previous = Some(element);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let Some(list) = list(arguments) else {
        return no_overload();
    };
    let mut total: Option<Value<'a>> = None;
    for element in list.iter() {
        let next = match (total, element) {
            (None, first @ (Value::Int(_) | Value::Uint(_) | Value::Duration(_))) => first,
            // A sum begins with zero, which takes the sign off a negative one.
            (None, Value::Double(first)) => Value::Double(0.0 + first),
            (Some(Value::Int(a)), Value::Int(b)) => match a.checked_add(b) {
                Some(sum) => Value::Int(sum),
                None => return fail("integer overflow"),
            },
            (Some(Value::Uint(a)), Value::Uint(b)) => match a.checked_add(b) {
                Some(sum) => Value::Uint(sum),
                None => return fail("unsigned integer overflow"),
            },
            (Some(Value::Double(a)), Value::Double(b)) => Value::Double(a + b),
            (Some(Value::Duration(a)), Value::Duration(b)) => match a.checked_add(b) {
                Some(sum) => Value::Duration(sum),
                None => return fail("integer overflow"),
            },
            _ => return no_overload(),
        };
        total = Some(next);
    }
    // Nothing tells of what kind the elements of an empty list would be.
    Ok(total.unwrap_or(Value::Int(0)))
}

fn extreme<'a>(arguments: &[Value<'a>], name: &str, wanted: Ordering) -> Outcome<'a> {
    let Some(list) = list(arguments) else {
        return no_overload();
    };
    let mut best: Option<Value<'a>> = None;
    for element in list.iter() {
        ordered(&element)?;
        best = match best {
            Some(best) if order(&element, &best) != Some(wanted) => Some(best),
            _ => Some(element),
        };
    }
    best.map_or_else(|| fail(format!("{name} called on empty list")), Ok)
}

fn max<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    extreme(arguments, "max", Ordering::Greater)
}

fn min<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    extreme(arguments, "min", Ordering::Less)
}

fn index_of<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), wanted] = arguments else {
        return no_overload();
    };
    let found = list.iter().position(|element| equal(&element, wanted));
    Ok(found.map_or(Value::Int(-1), count))
}

fn last_index_of<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), wanted] = arguments else {
        return no_overload();
    };
    let found = (0..list.len()).rev().find(|place| {
        list.get(*place)
            .is_some_and(|element| equal(&element, wanted))
    });
    Ok(found.map_or(Value::Int(-1), count))
}

fn includes<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(list), wanted] => Ok(Value::Bool(
            list.iter().any(|element| equal(&element, wanted)),
        )),
        [target, wanted] => Ok(Value::Bool(equal(target, wanted))),
        _ => no_overload(),
    }
}

fn slice<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = arguments else {
        return no_overload();
    };
    let cannot = format!("cannot slice({start}, {end}),");
    let (Ok(first), Ok(until)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return fail(format!("{cannot} negative indexes not supported"));
    };
    if first > until {
        return fail(format!(
            "{cannot} start index must be less than or equal to end index"
        ));
    }
    if list.len() < until {
        return fail(format!("{cannot} list is length {}", list.len()));
    }
    Ok(Value::list(
        (first..until).filter_map(|place| list.get(place)).collect(),
    ))
}

fn flatten<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (list, depth) = match arguments {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(depth)] => (list, *depth),
        _ => return no_overload(),
    };
    let Ok(depth) = u64::try_from(depth) else {
        return fail("level must be non-negative");
    };
    let mut made = Vec::new();
    // An own stack: lists may be nested deeper than calls.
    let mut pending: Vec<(List<'a>, usize, u64)> = vec![(list.clone(), 0, depth)];
    while let Some((list, place, depth)) = pending.pop() {
        let Some(element) = list.get(place) else {
            continue;
        };
        pending.push((list, place.saturating_add(1), depth));
        match element {
            Value::List(inner) if depth > 0 => pending.push((inner, 0, depth.saturating_sub(1))),
            // It is paid for by the length of the outer list, whatever the inner ones hold.
            _ if made.len() >= ELEMENTS_LIMIT => return Err(EvalError::limit()),
            other => made.push(other),
        }
    }
    Ok(Value::list(made))
}

fn sorted<'a>(list: &List<'a>, keys: &List<'a>) -> Outcome<'a> {
    let (have, want) = (list.len(), keys.len());
    if have != want {
        return fail(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {have} and {want} elements respectively"
        ));
    }
    let Some(first) = keys.get(0) else {
        return Ok(Value::List(list.clone()));
    };
    if order(&first, &first).is_none() && !matches!(first, Value::Double(_)) {
        return fail("list elements must be comparable");
    }
    if keys.iter().any(|key| key.type_name() != first.type_name()) {
        return fail("list elements must have the same type");
    }
    let keys: Vec<_> = keys.iter().collect();
    let less = |a, b| match (keys.get(a), keys.get(b)) {
        (Some(a), Some(b)) => order(a, b) == Some(Ordering::Less),
        _ => false,
    };
    let places = sorting::sorted(keys.len(), &less);
    Ok(Value::list(
        places
            .into_iter()
            .filter_map(|place| list.get(place))
            .collect(),
    ))
}

fn sort<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(list)] => sorted(list, list),
        _ => no_overload(),
    }
}

fn sort_by_keys<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(list), Value::List(keys)] => sorted(list, keys),
        _ => no_overload(),
    }
}

fn range<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(size)] if *size < 0 => fail(format!(
            "lists.range: size must be non-negative, got {size}"
        )),
        [Value::Int(size)] if *size > RANGE_LIMIT => fail(format!(
            "lists.range: size {size} exceeds maximum allowed ({RANGE_LIMIT})"
        )),
        [Value::Int(size)] => Ok(Value::list((0..*size).map(Value::Int).collect())),
        _ => no_overload(),
    }
}

fn reverse<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(list)] => {
            let places = (0..list.len()).rev();
            Ok(Value::list(
                places.filter_map(|place| list.get(place)).collect(),
            ))
        }
        _ => no_overload(),
    }
}

fn distinct<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let Some(list) = list(arguments) else {
        return no_overload();
    };
    let mut made: Vec<Value<'a>> = Vec::new();
    for element in list.iter() {
        if !made.iter().any(|before| equal(before, &element)) {
            made.push(element);
        }
    }
    Ok(Value::list(made))
}
