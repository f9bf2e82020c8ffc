//! Values that may be absent.
//!
//! Here: how they are made and opened (cel-go, cel/library.go). Not here: `or`, `orValue` and the
//! choice of a field, which do not evaluate all of their operands (`eval`).
//! Invariant: what is absent is never null.

use super::go_text::go_text;
use super::standard::never;
use super::{Outcome, Row, fail, no_overload};
use crate::value::{List, Value};
use std::sync::Arc;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "optional.of", run: optional_of, overloads: &[("optional_of", "(A) -> optional(A)")] },
    Row { name: "optional.ofNonZeroValue", run: optional_of_non_zero, overloads: &[("optional_ofNonZeroValue", "(A) -> optional(A)")] },
    Row { name: "optional.none", run: optional_none, overloads: &[("optional_none", "() -> optional(A)")] },
    Row { name: "value", run: optional_value, overloads: &[("optional_value", "optional(A).() -> A")] },
    Row { name: "hasValue", run: has_value, overloads: &[("optional_hasValue", "optional(A).() -> bool")] },
    Row { name: "or", run: never, overloads: &[("optional_or_optional", "optional(A).(optional(A)) -> optional(A)")] },
    Row { name: "orValue", run: never, overloads: &[("optional_orValue_value", "optional(A).(A) -> A")] },
    Row { name: "_?._", run: never, overloads: &[("select_optional_field", "(dyn, string) -> optional(A)")] },
    Row { name: "first", run: first, overloads: &[("list_first", "list(A).() -> optional(A)")] },
    Row { name: "last", run: last, overloads: &[("list_last", "list(A).() -> optional(A)")] },
    Row { name: "optional.unwrap", run: unwrap, overloads: &[("optional_unwrap", "(list(optional(A))) -> list(A)")] },
    Row { name: "unwrapOpt", run: unwrap, overloads: &[("optional_unwrapOpt", "list(optional(A)).() -> list(A)")] },
];

fn optional_of<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value] => Ok(Value::some(value.clone())),
        _ => no_overload(),
    }
}

fn optional_of_non_zero<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [value] = arguments else {
        return no_overload();
    };
    let zero = match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(value) | Value::Duration(value) => *value == 0,
        Value::Uint(value) => *value == 0,
        Value::Double(value) => *value == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        // Lists and maps of a schema and of Go have no zero.
        Value::List(list) => list.is_empty() && list.is_plain(),
        Value::Map(map) => map.is_empty() && map.is_plain(),
        Value::Timestamp(time) => {
            time.seconds == crate::value::Time::ZERO_SECONDS && time.nanos == 0
        }
        Value::Message(message) => message.is_zero(),
        Value::Object(_)
        | Value::Optional(_)
        | Value::Type(_)
        | Value::Opaque(_)
        | Value::Authorization(_)
        | Value::Preserved(_)
        | Value::Fault(_) => false,
    };
    Ok(if zero {
        Value::Optional(None)
    } else {
        Value::some(value.clone())
    })
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a function of the table, which may fail"
)]
fn optional_none<'a>(_: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Optional(None))
}

fn optional_value<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None)] => fail("optional.none() dereference"),
        _ => no_overload(),
    }
}

fn has_value<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => no_overload(),
    }
}

fn end<'a>(list: &List<'a>, place: Option<usize>) -> Value<'a> {
    let found = place.and_then(|place| list.get(place));
    Value::Optional(found.map(Arc::new))
}

fn first<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(list)] => Ok(end(list, Some(0))),
        _ => no_overload(),
    }
}

fn last<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(list)] => Ok(end(list, list.len().checked_sub(1))),
        _ => no_overload(),
    }
}

fn unwrap<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = arguments else {
        return no_overload();
    };
    let mut found = Vec::new();
    for element in list.iter() {
        match element {
            Value::Optional(value) => found.extend(value.map(|value| (*value).clone())),
            other => return fail(format!("value {} is not optional", go_text(&other))),
        }
    }
    Ok(Value::list(found))
}
