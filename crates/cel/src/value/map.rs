//! Maps, wherever their entries are.
//!
//! Here: lookup and iteration. Not here: equality of maps (`compare`).
//! Invariant: a lookup in a large map does not look at each entry.

use super::{GoType, List, Text, Value, equal, go, number};
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

/// A key as it is looked up in a large map: two are equal where [`is_key`] says so. Text is not copied
/// for it, however long it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(u64),
    Text(Text<'a>),
    Duration(i64),
    Timestamp(i64, u32, i32),
    Type(&'a str),
    /// Of what is told apart by its text.
    Named(&'static str, String),
    /// Of what is told apart by where it was made.
    Place(usize),
}

impl<'a> Key<'a> {
    /// The key of a value; nothing where no other is the same key, as for NaN, and for what Go can't
    /// look up, as bytes.
    fn of(value: &Value<'a>) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Uint(value) => Self::Uint(*value),
            Value::String(text) => Self::Text(text.clone()),
            Value::Double(value) if value.is_nan() => return None,
            // Adding zero makes one of both zeros.
            Value::Double(value) => Self::Double((*value + 0.0).to_bits()),
            Value::Duration(span) => Self::Duration(*span),
            Value::Timestamp(time) => Self::Timestamp(time.seconds, time.nanos, time.offset),
            Value::Type(name) => Self::Type(name),
            Value::Opaque(value) => match &**value {
                Opaque::Quantity(_) | Opaque::Url(_) => Self::place(value),
                Opaque::Ip(_) | Opaque::Cidr(_) => {
                    Self::Named(value.type_name(), value.to_string())
                }
                Opaque::Format(format) => Self::Named(value.type_name(), format.name.to_owned()),
                Opaque::Semver(_) => return None,
            },
            Value::List(List::Made(list)) => Self::place(list),
            Value::List(List::Joined(list)) => Self::place(list),
            Value::Map(Map::Made(map)) => Self::place(map),
            Value::Optional(Some(value)) => Self::place(value),
            Value::Message(message) => Self::place(message),
            _ => return None,
        })
    }

    fn place<T>(value: &Arc<T>) -> Self {
        Self::Place(Arc::as_ptr(value).addr())
    }
}

/// Whether a key is this one, as Go tells: a number is no key of another kind, and a point in time none
/// with another offset. Quantities, URLs, lists, maps and optionals are told apart by where they were
/// made, as Go does with what it refers to.
fn is_key(made: &Value<'_>, key: &Value<'_>) -> bool {
    match (made, key) {
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), _) => number::is_same(made, key),
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b && a.offset == b.offset,
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
    /// The place of what a key is looked up by: this key, else the whole number of another kind that is
    /// the same. No key is found that is a double, but by itself (cel-go v0.29.2, common/types/map.go,
    /// `refValMapAccessor`).
    fn find(&self, key: &Value<'_>) -> Option<usize> {
        self.find_same(key)
            .or_else(|| number::whole(key).find_map(|whole| self.find_same(&whole)))
    }

    /// The place of this very key.
    fn find_same(&self, key: &Value<'_>) -> Option<usize> {
        if self.entries.len() < INDEX_FROM {
            return self.entries.iter().position(|(made, _)| is_key(made, key));
        }
        self.index.get(&Key::of(key)?).copied()
    }

    /// Sets the value of a key, and says whether it was there before.
    pub(crate) fn insert(&mut self, key: Value<'a>, value: Value<'a>) -> bool {
        if let Some(place) = self.find_same(&key) {
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
        if let Some(place) = self.find_same(key) {
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

    /// Whether something is found by a key.
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
            Self::Json(entries) | Self::Typed(entries, _) => entries.len(),
            Self::Go(entries, of) => of.len(entries),
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
            Self::Go(entries, of) => of.find(entries, key),
        }
    }

    /// All entries, in the map's own order; of one with a schema those that it describes.
    pub fn entries(&self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> + '_ {
        match self {
            Self::Made(made) => Entries::Made(made.entries.iter()),
            Self::Json(entries) => Entries::Json(entries.iter()),
            Self::Strings(entries) => Entries::Strings(entries.iter()),
            Self::Typed(entries, schema) => Entries::Typed(entries.keys(), entries, schema),
            Self::Go(entries, of) => Entries::Go(of.entries(entries)),
        }
    }
}

/// The entries of a map.
enum Entries<'m, 'a> {
    Made(slice::Iter<'m, (Value<'a>, Value<'a>)>),
    Json(serde_json::map::Iter<'a>),
    Strings(btree_map::Iter<'a, String, String>),
    Go(go::Entries<'a>),
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
            Self::Go(entries) => {
                let (key, value) = entries.next()?;
                Some((Value::from(key), value))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Time;

    /// Keys that are equal as values and no two of them the same key, as Go has it.
    fn keys() -> Vec<Value<'static>> {
        let time = Time::new(0, 0).unwrap();
        vec![
            Value::Int(1),
            Value::Uint(1),
            Value::Double(1.0),
            Value::Double(0.5),
            Value::Timestamp(time),
            Value::Timestamp(time.at(3600)),
            Value::Duration(1),
            Value::Bool(true),
            Value::Null,
            Value::from("1"),
        ]
    }

    /// In a small map and in one with an index: a key is replaced by itself, and found by itself.
    #[test]
    fn keys_of_each_kind_are_their_own() {
        for others in [0, INDEX_FROM] {
            let mut map = MadeMap::default();
            for number in 0..others {
                map.insert(Value::from(format!("k{number}")), Value::Null);
            }
            for key in keys() {
                assert!(!map.insert(key, Value::Int(0)), "{others}");
            }
            for (place, key) in keys().into_iter().enumerate() {
                assert!(map.insert(key.clone(), Value::from(place.to_string())));
                assert_eq!(map.find(&key), Some(others + place), "{key:?}");
            }
            assert_eq!(map.len(), others + keys().len());
            for not_there in [Value::Double(f64::NAN), Value::Int(2), Value::Duration(2)] {
                assert!(!map.contains(&not_there), "{not_there:?}");
            }
        }
    }

    /// A number finds a whole number of another kind, and nothing but a double finds a double.
    #[test]
    fn whole_numbers_are_found_by_their_like() {
        for others in [0, INDEX_FROM] {
            let map = |key: Value<'static>| {
                let fill =
                    (0..others).map(|number| (Value::from(format!("k{number}")), Value::Null));
                Map::of(fill.chain([(key, Value::Bool(true))]))
            };
            let found = |key: Value<'static>, by: Value<'static>| map(key).get(&by).is_some();
            assert!(
                found(Value::Int(1), Value::Uint(1)) && found(Value::Int(1), Value::Double(1.0))
            );
            assert!(
                found(Value::Uint(1), Value::Int(1)) && found(Value::Uint(1), Value::Double(1.0))
            );
            assert!(!found(Value::Double(1.0), Value::Int(1)));
            assert!(!found(Value::Double(1.0), Value::Uint(1)));
            assert!(!found(Value::Int(-1), Value::Uint(u64::MAX)));
            assert!(!found(
                Value::Int(i64::MAX),
                Value::Double(9_223_372_036_854_775_808.0)
            ));
            assert!(found(Value::Double(-0.0), Value::Double(0.0)));
        }
    }
}
