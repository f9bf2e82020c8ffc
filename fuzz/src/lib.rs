//! What the targets have in common: the data that expressions are run over, and their bounds.
//!
//! Here: variables of every type, a policy's environment, what an input may take. Not here: the
//! laws (`fuzz_targets`).
//! Invariant: a bound that is broken is a panic, so the fuzzer keeps the input.

use bailiff_cel::{Activation, Env, List, Map, Time, Type, Value};
use std::sync::{Arc, OnceLock};

/// The most memory that one input may hold while it is compiled and evaluated, in bytes: what the
/// largest string that a budget of one expression allows takes, several times.
pub const MEMORY: u64 = 512 << 20;

/// A variable of each type, so that nothing has to be `dyn`.
pub fn typed() -> &'static Env {
    static ENV: OnceLock<Env> = OnceLock::new();
    ENV.get_or_init(|| {
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
            (
                "k",
                Type::Map(Arc::new(Type::Int), Arc::new(Type::list(Type::String))),
            ),
        ])
    })
}

/// The values of [`typed`].
pub struct Typed;

impl Activation for Typed {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        let words = || Value::List(List::of(vec![Value::from("a"), Value::from("bc")]));
        Some(match slot {
            0 => Value::Int(7),
            1 => Value::Uint(3),
            2 => Value::Double(1.5),
            3 => Value::from("web"),
            4 => Value::Bytes(bailiff_cel::Bytes::Borrowed(b"ab")),
            5 => Value::Bool(true),
            6 => Value::List(List::of(vec![Value::Int(1), Value::Int(-2), Value::Int(3)])),
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

/// Runs a piece of work, and panics when it held more memory than [`MEMORY`].
pub fn bounded(work: impl FnOnce()) {
    let taken = allocation_counter::measure(work);
    assert!(
        taken.bytes_max < MEMORY,
        "{} bytes were held at once",
        taken.bytes_max
    );
}
