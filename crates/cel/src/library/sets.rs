//! Lists as sets (cel-go, ext/sets.go).
//!
//! Here: `sets.contains`, `sets.equivalent`, `sets.intersects`. Not here: `in`.
//! Invariant: order and repetition do not count.

use super::{Outcome, Row, no_overload};
use crate::value::{List, Value, equal};

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

fn has(list: &List<'_>, wanted: &Value<'_>) -> bool {
    list.iter().any(|element| equal(&element, wanted))
}

fn all(list: &List<'_>, of: &List<'_>) -> bool {
    of.iter().all(|element| has(list, &element))
}

fn contains<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(a), Value::List(b)] => Ok(Value::Bool(all(a, b))),
        _ => no_overload(),
    }
}

fn equivalent<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(a), Value::List(b)] => Ok(Value::Bool(all(a, b) && all(b, a))),
        _ => no_overload(),
    }
}

fn intersects<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(a), Value::List(b)] => {
            Ok(Value::Bool(a.iter().any(|element| has(b, &element))))
        }
        _ => no_overload(),
    }
}
