//! Lists as sets (cel-go, ext/sets.go).
//!
//! Here: `sets.contains`, `sets.equivalent`, `sets.intersects`. Not here: `in`.
//! Invariant: order and repetition do not count.

use super::standard::has_element;
use super::{Outcome, Row, no_overload};
use crate::eval::EvalError;
use crate::value::{List, Value};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "sets.contains",
        run: contains,
        overloads: &[("list_sets_contains_list", "(list(A), list(A)) -> bool")],
    },
    Row {
        name: "sets.equivalent",
        run: equivalent,
        overloads: &[("list_sets_equivalent_list", "(list(A), list(A)) -> bool")],
    },
    Row {
        name: "sets.intersects",
        run: intersects,
        overloads: &[("list_sets_intersects_list", "(list(A), list(A)) -> bool")],
    },
];

fn all(list: &List<'_>, of: &List<'_>) -> Result<bool, EvalError> {
    for element in of.iter() {
        if !has_element(list, &element)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn contains<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(a), Value::List(b)] => all(a, b).map(Value::Bool),
        _ => no_overload(),
    }
}

fn equivalent<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(a), Value::List(b)] => Ok(Value::Bool(all(a, b)? && all(b, a)?)),
        _ => no_overload(),
    }
}

fn intersects<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(a), Value::List(b)] => {
            let mut elements = a.iter();
            let is_there = |element| matches!(has_element(b, &element), Ok(true));
            Ok(Value::Bool(elements.any(is_there)))
        }
        _ => no_overload(),
    }
}
