//! Documents of YAML and JSON as JSON.
//!
//! Here: separating documents, and decoding each with limits. Not here: what an object means.
//! Invariant: what a document expands to is bounded, whatever its anchors are; a key that is there twice is
//! an error, because readers differ in which one counts.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};
use std::cell::Cell;
use std::fmt;

/// Bytes of all documents of a run, after aliases were replaced.
const EXPANDED_LIMIT: usize = 128 << 20;
/// Bytes of a value besides its text.
const VALUE_BYTES: usize = 32;
/// Brackets that are open at the same time. The parser takes time that is quadratic in them.
const BRACKETS_LIMIT: usize = 1000;
/// The remedy for YAML that is not valid.
const FIX: &str = "fix the document";

/// What remains of the bytes of all documents.
pub(super) struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(EXPANDED_LIMIT))
    }
}

impl Budget {
    fn spend<E: Error>(&self, bytes: usize) -> Result<(), E> {
        match self.0.get().checked_sub(bytes.saturating_add(VALUE_BYTES)) {
            Some(rest) => {
                self.0.set(rest);
                Ok(())
            }
            None => Err(E::custom(format!(
                "the documents expand to more than {} MiB",
                EXPANDED_LIMIT >> 20
            ))),
        }
    }
}

/// A document: the line that it starts at, which JSON does not tell, and its content or why it cannot be
/// decoded.
pub(super) type Decoded = (Option<usize>, Result<Json, String>);

/// The documents of a text as JSON: objects one after the other.
///
/// # Errors
/// The same, if one of them cannot be decoded; what follows it is lost.
pub(super) fn json(text: &str, budget: &Budget) -> Result<Vec<Decoded>, Vec<Decoded>> {
    let mut documents = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    while deserializer.end().is_err() {
        let tree = Tree {
            budget,
            merges: false,
        };
        match tree.deserialize(&mut deserializer) {
            Ok(value) => documents.push((None, Ok(value))),
            Err(error) => {
                documents.push((None, Err(format!("{error}; {FIX}"))));
                return Err(documents);
            }
        }
    }
    Ok(documents)
}

/// The documents of a text as YAML, each decoded by itself.
pub(super) fn yaml(text: &str, budget: &Budget) -> Vec<Decoded> {
    let decode = |(line, text)| (Some(line), decode(line, text, budget));
    split(text).into_iter().map(decode).collect()
}

/// Separates documents at their markers, as the parser would, so that it finds the next one after an error.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first) = (0, 1);
    let mut at = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let is_marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker {
            let before = &text[start..at];
            if !before.trim().is_empty() {
                documents.push((first, before));
            }
            (start, first) = (at, number);
        }
        at += line.len();
    }
    documents.push((first, &text[start..]));
    documents
}

/// Decodes a document that starts at this line of its file.
fn decode(first: usize, text: &str, budget: &Budget) -> Result<Json, String> {
    if open_brackets(text) > BRACKETS_LIMIT {
        return Err(format!(
            "more than {BRACKETS_LIMIT} brackets are open; {FIX}"
        ));
    }
    let mut documents = serde_yaml_ng::Deserializer::from_str(text);
    let Some(document) = documents.next() else {
        return Ok(Json::Null);
    };
    let tree = Tree {
        budget,
        merges: true,
    };
    let value = tree
        .deserialize(document)
        .map_err(|error| format!("{}; {FIX}", in_file(first, &error)))?;
    match documents.next() {
        None => Ok(value),
        // A document can end with `...`, and nothing can follow it here.
        Some(_) => Err(format!(
            "another document follows it without a line ---; add one, or {FIX}"
        )),
    }
}

/// The error with the line of the file instead of the document.
fn in_file(first: usize, error: &serde_yaml_ng::Error) -> String {
    let text = error.to_string();
    let Some(line) = error.location().map(|location| location.line()) else {
        return text;
    };
    let (own, file) = (format!("at line {line} "), first + line - 1);
    text.replace(&own, &format!("at line {file} "))
}

/// The largest number of brackets that are open at the same time. Those in text count too.
fn open_brackets(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Decodes a value within a budget.
#[derive(Clone, Copy)]
struct Tree<'a> {
    budget: &'a Budget,
    /// Whether the key `<<` merges maps, as in the YAML that kubectl reads.
    merges: bool,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        self.budget.spend(0)?;
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        self.budget.spend(0)?;
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        self.budget.spend(0)?;
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        self.budget.spend(0)?;
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        self.budget.spend(value.len())?;
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        self.budget.spend(0)?;
        Ok(Json::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Json, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        self.budget.spend(0)?;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            list.push(element);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        self.budget.spend(0)?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(Key(self.budget))? {
            let value = entries.next_value_seed(self)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} is there twice")));
            }
            map.insert(key, value);
        }
        if self.merges
            && let Some(merged) = map.remove("<<")
        {
            merge(&mut map, merged)?;
        }
        Ok(map.into())
    }
}

/// Adds what the value of a key `<<` says, where the map has no such key itself.
fn merge<E: Error>(map: &mut Map<String, Json>, merged: Json) -> Result<(), E> {
    let all = match merged {
        Json::Array(all) => all,
        one => vec![one],
    };
    for one in all {
        let Json::Object(one) = one else {
            return Err(E::custom("the value of the key << is no map"));
        };
        for (key, value) in one {
            map.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// Decodes a key. Numbers and booleans count as their text, as for kubectl.
struct Key<'a>(&'a Budget);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text as the key")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<String, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<String, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<String, E> {
        self.0.spend(value.len())?;
        Ok(value.to_owned())
    }
}
