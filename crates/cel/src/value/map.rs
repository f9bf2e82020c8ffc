//! Maps, wherever their entries are.
//!
//! Here: lookup and iteration. Not here: equality of maps (`compare`).
//! Invariant: a lookup in a large map does not look at each entry.

use super::{GoType, List, Text, Value, equal};
use crate::eval::EvalError;
use crate::library::Opaque;
use crate::plan::go_name;
use crate::schema::Schema;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap, btree_map};
use std::slice;
use std::sync::Arc;

/// From how many entries on an index is kept.
const INDEX_FROM: usize = 12;

/// A map.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// Made by an expression.
    Made(Arc<MadeMap<'a>>),
    /// An object of JSON.
    Json(&'a serde_json::Map<String, serde_json::Value>),
    /// Labels and the like.
    Strings(&'a BTreeMap<String, String>),
    /// An object of JSON, read through its schema.
    Typed(&'a serde_json::Map<String, serde_json::Value>, &'a Schema),
    /// An object of JSON that the API server keeps as this type of Go.
    Go(&'a serde_json::Map<String, serde_json::Value>, GoType),
}

/// A map that an expression made; entries in the order of making.
#[derive(Clone, Debug, Default)]
pub struct MadeMap<'a> {
    entries: Vec<(Value<'a>, Value<'a>)>,
    index: HashMap<Key<'a>, usize>,
    /// Whether it is a `google.protobuf.Struct`, which Go tells from other maps.
    is_struct: bool,
}

/// A key by which equal keys are found: numbers of all kinds that are equal are one. Text is not
/// copied for it, however long it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key<'a> {
    Bool(bool),
    Whole(i128),
    Double(u64),
    Text(Text<'a>),
}

impl<'a> Key<'a> {
    fn of(value: &Value<'a>) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Whole((*value).into()),
            Value::Uint(value) => Self::Whole((*value).into()),
            Value::String(text) => Self::Text(text.clone()),
            #[expect(
                clippy::as_conversions,
                clippy::cast_possible_truncation,
                clippy::float_cmp,
                reason = "a double of less than 2^64 without a fraction is a whole number"
            )]
            Value::Double(value) if value.trunc() == *value && value.abs() < 2e19 => {
                Self::Whole(*value as i128)
            }
            Value::Double(value) => Self::Double(value.to_bits()),
            _ => return None,
        })
    }
}

/// Whether a key is this one. Quantities, URLs, lists, maps and optionals are told apart by where
/// they were made, as Go does with what it refers to.
fn is_key(made: &Value<'_>, key: &Value<'_>) -> bool {
    match (made, key) {
        (Value::Opaque(a), Value::Opaque(b))
            if matches!(**a, Opaque::Quantity(_) | Opaque::Url(_)) =>
        {
            Arc::ptr_eq(a, b)
        }
        (Value::List(a), Value::List(b)) => match (a, b) {
            (List::Made(a), List::Made(b)) => Arc::ptr_eq(a, b),
            (List::Joined(a), List::Joined(b)) => Arc::ptr_eq(a, b),
            _ => false,
        },
        (Value::Map(Map::Made(a)), Value::Map(Map::Made(b))) => Arc::ptr_eq(a, b),
        (Value::Map(_), Value::Map(_)) => false,
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => Arc::ptr_eq(a, b),
        (Value::Message(a), Value::Message(b)) => Arc::ptr_eq(a, b),
        _ => equal(made, key),
    }
}

impl<'a> MadeMap<'a> {
    /// The place of a key.
    fn find(&self, key: &Value<'_>) -> Option<usize> {
        if self.entries.len() < INDEX_FROM {
            return self.entries.iter().position(|(made, _)| is_key(made, key));
        }
        self.index.get(&Key::of(key)?).copied()
    }

    /// Sets the value of a key, and says whether it was there before.
    pub(crate) fn insert(&mut self, key: Value<'a>, value: Value<'a>) -> bool {
        if let Some(place) = self.find(&key) {
            if let Some(entry) = self.entries.get_mut(place) {
                entry.1 = value;
            }
            return true;
        }
        self.entries.push((key, value));
        if self.entries.len() == INDEX_FROM {
            self.index = self
                .entries
                .iter()
                .enumerate()
                .filter_map(|(place, (key, _))| Some((Key::of(key)?, place)))
                .collect();
        } else if self.entries.len() > INDEX_FROM
            && let Some((key, _)) = self.entries.last()
            && let Some(key) = Key::of(key)
        {
            self.index.insert(key, self.entries.len().saturating_sub(1));
        }
        false
    }

    /// Takes a key away.
    pub(crate) fn remove(&mut self, key: &Value<'_>) {
        if let Some(place) = self.find(key) {
            self.entries.remove(place);
            let Self {
                entries, is_struct, ..
            } = std::mem::take(self);
            self.is_struct = is_struct;
            for (key, value) in entries {
                self.insert(key, value);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a key is there.
    pub(crate) fn contains(&self, key: &Value<'_>) -> bool {
        self.find(key).is_some()
    }
}

impl<'a> Map<'a> {
    /// A map of these entries; of two with one key the last counts.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = (Value<'a>, Value<'a>)>) -> Self {
        let mut made = MadeMap::default();
        for (key, value) in entries {
            made.insert(key, value);
        }
        Self::Made(Arc::new(made))
    }

    /// A `google.protobuf.Struct` of these entries.
    pub(crate) fn structure(entries: impl IntoIterator<Item = (Value<'a>, Value<'a>)>) -> Self {
        match Self::of(entries) {
            Self::Made(mut made) => {
                if let Some(made) = Arc::get_mut(&mut made) {
                    made.is_struct = true;
                }
                Self::Made(made)
            }
            other => other,
        }
    }

    /// As [`List::is_plain`].
    pub(crate) fn is_plain(&self) -> bool {
        !matches!(self, Self::Typed(..) | Self::Go(..))
    }

    /// Whether it was made as one.
    pub(crate) fn is_struct(&self) -> bool {
        matches!(self, Self::Made(made) if made.is_struct)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Made(made) => made.entries.len(),
            Self::Json(entries) | Self::Typed(entries, _) | Self::Go(entries, _) => entries.len(),
            Self::Strings(entries) => entries.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Made(made), _) => {
                let place = made.find(key)?;
                made.entries.get(place).map(|(_, value)| value.clone())
            }
            (_, Value::String(key)) => self.field(key),
            (Self::Json(_) | Self::Strings(_), _) => None,
            // Asking by what is no name is an error there.
            (Self::Typed(..), _) => Some(Value::Fault(Arc::new(EvalError::no_overload()))),
            (Self::Go(..), key) => Some(Value::Fault(Arc::new(EvalError::new(format!(
                "unsupported map key type: {}",
                go_name(key)
            ))))),
        }
    }

    /// The value of a key that is text.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Self::Made(_) => self.get(&Value::from(key)),
            Self::Json(entries) => entries.get(key).map(Value::from_json),
            Self::Strings(entries) => entries.get(key).map(|text| Value::from(text.as_str())),
            Self::Typed(entries, schema) => schema.entry(entries, key),
            Self::Go(entries, of) => entries.get(key).map(|json| of.field(key, json)),
        }
    }

    /// All entries, in the map's own order; of one with a schema those that it describes.
    pub fn entries(&self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> + '_ {
        match self {
            Self::Made(made) => Entries::Made(made.entries.iter()),
            Self::Json(entries) => Entries::Json(entries.iter()),
            Self::Strings(entries) => Entries::Strings(entries.iter()),
            Self::Typed(entries, schema) => Entries::Typed(entries.keys(), entries, schema),
            Self::Go(entries, of) => Entries::Go(entries.iter(), *of),
        }
    }
}

/// The entries of a map.
enum Entries<'m, 'a> {
    Made(slice::Iter<'m, (Value<'a>, Value<'a>)>),
    Json(serde_json::map::Iter<'a>),
    Strings(btree_map::Iter<'a, String, String>),
    Go(serde_json::map::Iter<'a>, GoType),
    Typed(
        serde_json::map::Keys<'a>,
        &'a serde_json::Map<String, Json>,
        &'a Schema,
    ),
}

impl<'a> Iterator for Entries<'_, 'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Made(entries) => entries.next().cloned(),
            Self::Json(entries) => entries.next().map(json_entry),
            Self::Strings(entries) => {
                let (key, value) = entries.next()?;
                Some((Value::from(key.as_str()), Value::from(value.as_str())))
            }
            Self::Go(entries, of) => {
                let (key, json) = entries.next()?;
                Some((Value::from(key.as_str()), of.field(key, json)))
            }
            Self::Typed(keys, entries, schema) => {
                let (key, name) = keys.find_map(|key| Some((key, schema.entry_name(key)?)))?;
                let value = match &name {
                    Value::String(name) => schema.entry(entries, name),
                    _ => None,
                };
                // A field that is null has a name, and asking for it fails.
                let value = value.unwrap_or_else(|| {
                    let error = format!("no such key: {key}");
                    Value::Fault(Arc::new(EvalError::new(error)))
                });
                Some((name, value))
            }
        }
    }
}

fn json_entry<'a>((key, value): (&'a String, &'a Json)) -> (Value<'a>, Value<'a>) {
    (Value::from(key.as_str()), Value::from_json(value))
}
