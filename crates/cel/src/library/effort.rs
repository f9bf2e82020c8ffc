//! What a call does beside what it is paid for.
//!
//! Here: which functions go through all of their operands, or make values that may be large, for
//! the same cost. Not here: costs (`cost`), what an evaluation may do altogether (`eval::meter`).
//! Invariant: a function whose time does not grow with its operands has no steps.

use crate::value::{Bytes, List, Map, Text, Value, reading, weight};

/// What a call goes through; chosen when an expression is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Text alone; lists and maps are handed on.
    Text,
    /// Each element of lists and maps, but not what is in them.
    Elements,
    /// Everything in lists and maps.
    Everything,
    /// Two values, until they differ.
    Comparison,
    /// Text, and everything in lists that are merged by their keys.
    Sum,
    /// A list, each element of which is compared with another operand.
    Search { list: usize },
    /// Each element of a list with each of another, which may be the same.
    Pairs,
    /// Everything, and all of it becomes text.
    Writing,
    /// Text, letter by letter.
    Parsing,
    /// Text, by a pattern; compiling it is counted where it is done (`regexes::effort`).
    Pattern,
}

impl Effort {
    /// What a function goes through.
    pub(crate) fn of(function: &str) -> Self {
        match function {
            "_==_" | "_!=_" => Self::Comparison,
            "_+_" => Self::Sum,
            "@in" => Self::Search { list: 1 },
            "includes" | "indexOf" | "lastIndexOf" => Self::Search { list: 0 },
            "distinct" | "sets.contains" | "sets.intersects" | "sets.equivalent" => Self::Pairs,
            "slice"
            | "reverse"
            | "sort"
            | "@sortByAssociatedKeys"
            | "cel.@mapInsert"
            | "optional.unwrap"
            | "unwrapOpt" => Self::Elements,
            "isSorted" | "sum" | "min" | "max" | "flatten" => Self::Everything,
            "join" | "format" => Self::Writing,
            "url" | "isURL" | "getQuery" => Self::Parsing,
            "matches" | "find" | "findAll" => Self::Pattern,
            _ => Self::Text,
        }
    }

    /// The steps that a call takes at most; no more than a little over `most` are looked for.
    pub(crate) fn steps(self, operands: &[Option<&Value<'_>>], most: u64) -> u64 {
        let each = || operands.iter().flatten().copied();
        let weigh = |value: &Value<'_>| weight(value, most);
        let sum = |steps: &dyn Fn(&Value<'_>) -> u64| {
            each().fold(0, |sum: u64, value| sum.saturating_add(steps(value)))
        };
        let operand = |index: usize| operands.get(index).copied().flatten();
        match self {
            Self::Text | Self::Pattern => sum(&text),
            Self::Sum => match operand(0) {
                Some(Value::List(list)) if list.kind().is_some() => sum(&weigh),
                _ => sum(&text),
            },
            Self::Elements => sum(&|value| text(value).saturating_add(elements(value))),
            Self::Everything => sum(&weigh),
            Self::Writing => sum(&weigh).saturating_mul(WRITING),
            Self::Parsing => sum(&text).saturating_mul(PARSING),
            Self::Comparison => match (operand(0), operand(1)) {
                (Some(a), Some(b)) if is_container(a) && is_container(b) => {
                    let least = weight(a, most);
                    least.min(weight(b, least))
                }
                (Some(a), Some(b)) => text(a).min(text(b)),
                _ => 0,
            },
            Self::Search { list } => match (operand(list), operand(usize::from(list == 0))) {
                (Some(list), Some(wanted)) if is_container(wanted) => weigh(list),
                (Some(list @ Value::List(_)), Some(wanted)) => {
                    elements(list).saturating_mul(text(wanted).saturating_add(1))
                }
                _ => sum(&text),
            },
            Self::Pairs => {
                let first = operand(0).map_or(0, elements);
                operand(1)
                    .or(operand(0))
                    .map_or(0, |other| first.saturating_mul(weigh(other)))
            }
        }
    }

    /// Bytes of what a call made. It is not told whether a value was there before, so functions
    /// that hand on an operand or an element are left out.
    pub(crate) fn made(function: &str, result: &Value<'_>) -> u64 {
        let bytes = match (result, function) {
            (_, "dyn" | "value" | "first" | "last" | "min" | "max") => 0,
            (Value::String(Text::Shared(text)), _) => text.len(),
            (Value::Bytes(Bytes::Shared(bytes)), _) => bytes.len(),
            (Value::List(List::Made(made)), "split" | "findAll") => {
                let own = |value: &Value<'_>| match value {
                    Value::String(Text::Shared(text)) => text.len().saturating_add(ALLOCATION),
                    _ => 0,
                };
                let texts = made.iter().map(own);
                let list = made.len().saturating_mul(size_of::<Value<'_>>());
                texts.fold(list, usize::saturating_add)
            }
            (Value::List(List::Merged(merged)), _) => {
                merged.len().saturating_mul(size_of::<Value<'_>>())
            }
            (Value::List(List::Made(made)), _) => made.len().saturating_mul(size_of::<Value<'_>>()),
            (Value::Map(map @ Map::Made(_)), _) => map.len().saturating_mul(ENTRY),
            _ => 0,
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// Bytes that a text of its own takes beside its letters.
const ALLOCATION: usize = 32;

/// Bytes of an entry of a map, with its place in the index.
pub(crate) const ENTRY: usize = 192;

/// Reading a byte is little beside writing one,
const WRITING: u64 = 4;
/// or looking at one for itself.
const PARSING: u64 = 16;

fn is_container(value: &Value<'_>) -> bool {
    matches!(
        value,
        Value::List(_) | Value::Map(_) | Value::Optional(_) | Value::Message(_)
    )
}

fn text(value: &Value<'_>) -> u64 {
    match value {
        Value::String(text) => reading(text.len()),
        Value::Bytes(bytes) => reading(bytes.len()),
        Value::Opaque(opaque) => reading(opaque.bytes()),
        _ => 0,
    }
}

fn elements(value: &Value<'_>) -> u64 {
    let count = match value {
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => 0,
    };
    u64::try_from(count).unwrap_or(u64::MAX)
}
