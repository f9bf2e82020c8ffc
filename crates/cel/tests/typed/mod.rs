//! An environment with a variable of each type, none of them `dyn`, and a value for each.
//!
//! Here: what the law needs that what type-checks raises no error of types. Not here: the
//! expressions: the property makes them (`properties.rs`), and the fuzz target of the same law
//! (`fuzz/fuzz_targets/check.rs`) reads them.
//! Invariant: a variable's place in the environment is the slot of its value.

use bailiff_cel::{Activation, Bytes, Env, List, Map, Time, Type, Value};
use std::sync::Arc;

/// The words of errors that a check of types is there to keep out.
pub const ERRORS_OF_TYPES: &[&str] = &[
    "no such overload",
    "unsupported index type",
    "expected iterable type",
    "unsupported comprehension range type",
    "invalid qualifier type",
    "no such attribute",
];

/// The variables.
pub fn environment() -> Env {
    let lists = Type::Map(Arc::new(Type::Int), Arc::new(Type::list(Type::String)));
    Env::new([
        ("i", Type::Int),
        ("u", Type::Uint),
        ("d", Type::Double),
        ("s", Type::String),
        ("y", Type::Bytes),
        ("b", Type::Bool),
        ("l", Type::list(Type::Int)),
        ("m", Type::map(Type::Int)),
        ("w", Type::list(Type::String)),
        ("t", Type::Timestamp),
        ("e", Type::Duration),
        ("o", Type::optional(Type::Int)),
        ("k", lists),
    ])
}

/// Their values.
pub struct Values;

impl Activation for Values {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        let words = || Value::List(List::of(vec![Value::from("a"), Value::from("1Gi")]));
        Some(match slot {
            0 => Value::Int(1),
            1 => Value::Uint(3),
            2 => Value::Double(1.5),
            3 => Value::from("10.0.0.1"),
            4 => Value::Bytes(Bytes::Borrowed(b"ab")),
            5 => Value::Bool(true),
            6 => Value::List(List::of(vec![Value::Int(1), Value::Int(-2)])),
            7 => Value::Map(Map::of([(Value::from("a"), Value::Int(1))])),
            8 => words(),
            9 => Value::Timestamp(Time::new(1_709_210_096, 0)?),
            10 => Value::Duration(90_000_000_000),
            11 => Value::Optional(Some(Arc::new(Value::Int(5)))),
            12 => Value::Map(Map::of([(Value::Int(1), words())])),
            _ => return None,
        })
    }
}
