//! How much a value is, as whoever goes through all of it finds.
//!
//! Here: steps of a walk. Not here: what a walk may take (`eval::meter`), sizes as costs are counted by
//! (`Value::size`).
//! Invariant: weighing ends at a bound, also where lists share their elements so often that a walk
//! would not end.

use super::{List, Map, Value};
use serde_json::Value as Json;

/// How deep a value may be that is gone through: what does so calls itself for each level.
pub(crate) const DEPTH: usize = 256;

/// Bytes of text that are one step.
const BYTES: usize = 16;

/// The steps of a walk through a value: one for each element, one more for each 16 bytes of text.
/// More than `most` where it takes more, or where it is too deep.
pub(crate) fn weight(value: &Value<'_>, most: u64) -> u64 {
    let mut left = most;
    match value_within(value, &mut left, DEPTH) {
        Some(()) => most.saturating_sub(left),
        None => most.saturating_add(1),
    }
}

/// The steps of reading so many bytes.
pub(crate) fn reading(bytes: usize) -> u64 {
    u64::try_from(bytes.wrapping_div(BYTES)).unwrap_or(u64::MAX)
}

fn take(left: &mut u64, steps: u64) -> Option<()> {
    *left = left.checked_sub(steps)?;
    Some(())
}

fn value_within(value: &Value<'_>, left: &mut u64, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    take(left, 1)?;
    match value {
        Value::String(text) => take(left, reading(text.len())),
        Value::Bytes(bytes) => take(left, reading(bytes.len())),
        Value::List(List::Json(elements)) => all_within(elements, left, depth),
        Value::List(List::Typed(elements, _) | List::Go(elements, _)) => {
            all_within(elements, left, depth)
        }
        Value::List(List::Joined(joined)) => joined
            .parts()
            .try_for_each(|part| value_within(&part, left, depth)),
        Value::List(list) => list
            .iter()
            .try_for_each(|element| value_within(&element, left, depth)),
        Value::Map(Map::Json(entries) | Map::Typed(entries, _) | Map::Go(entries, _)) => {
            entries_within(entries, left, depth)
        }
        Value::Preserved(json) => json_within(json, left, depth),
        Value::Map(map) => map.entries().try_for_each(|(key, value)| {
            value_within(&key, left, depth)?;
            value_within(&value, left, depth)
        }),
        Value::Message(message) => message.fields().try_for_each(|(name, value)| {
            take(left, reading(name.len()).saturating_add(1))?;
            value_within(value, left, depth)
        }),
        Value::Optional(Some(inner)) => value_within(inner, left, depth),
        Value::Opaque(opaque) => take(left, reading(opaque.bytes())),
        _ => Some(()),
    }
}

fn json_within(json: &Json, left: &mut u64, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    take(left, 1)?;
    match json {
        Json::String(text) => take(left, reading(text.len())),
        Json::Array(elements) => all_within(elements, left, depth),
        Json::Object(entries) => entries_within(entries, left, depth),
        Json::Null | Json::Bool(_) | Json::Number(_) => Some(()),
    }
}

fn all_within(elements: &[Json], left: &mut u64, depth: usize) -> Option<()> {
    elements
        .iter()
        .try_for_each(|element| json_within(element, left, depth))
}

fn entries_within(
    entries: &serde_json::Map<String, Json>,
    left: &mut u64,
    depth: usize,
) -> Option<()> {
    entries.iter().try_for_each(|(key, value)| {
        take(left, reading(key.len()).saturating_add(1))?;
        json_within(value, left, depth)
    })
}
