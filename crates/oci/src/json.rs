//! JSON that others wrote, for documents that container runtimes read too.
//!
//! Here: objects whose fields have one reading. Not here: what the fields mean (`image`).
//! Invariant: a field that two readers can understand differently is an error. Container runtimes are written in Go,
//! whose decoder takes the last of several fields of a name and ignores the case of names; a document that has a
//! field twice could otherwise show Bailiff other layers than run.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// Levels of arrays and objects.
pub(crate) const DEPTH_LIMIT: usize = 64;

/// Why JSON could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// It is larger than its limit.
    #[error("it has {bytes} bytes, more than the {limit} that are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most bytes.
        limit: usize,
    },
    /// It is nested too deeply.
    #[error("it is nested deeper than {DEPTH_LIMIT} levels")]
    TooDeep,
    /// It is not a JSON object in UTF-8.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// A field has another type.
    #[error("{field} must be {expected}")]
    Type {
        /// The name of the field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// A field is written twice, or in another case, so that readers differ.
    #[error("{field} is written twice or in other letters, which readers understand differently")]
    Ambiguous {
        /// The name of the field.
        field: &'static str,
    },
    /// A list has too many entries.
    #[error("{field} has more than {limit} entries")]
    TooMany {
        /// The name of the list.
        field: &'static str,
        /// The most entries.
        limit: usize,
    },
}

/// An object with its fields in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A list whose length is checked before it is kept.
struct List<'a, const LIMIT: usize>(Vec<&'a RawValue>);

/// What the error of a list that is too long says, which nothing else does.
const TOO_MANY: &str = "too many entries";

impl<'de: 'a, 'a, const LIMIT: usize> Deserialize<'de> for List<'a, LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<const LIMIT: usize>;
        impl<'de, const LIMIT: usize> Visitor<'de> for Entries<LIMIT> {
            type Value = List<'de, LIMIT>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    if entries.len() >= LIMIT {
                        return Err(A::Error::custom(TOO_MANY));
                    }
                    entries.push(entry);
                }
                Ok(List(entries))
            }
        }
        deserializer.deserialize_seq(Entries::<LIMIT>)
    }
}

/// The objects of the list that a document of at most `limit` bytes is, at most `LIMIT`.
pub(crate) fn objects<'a, const LIMIT: usize>(
    bytes: &'a [u8],
    limit: usize,
    what: &'static str,
) -> Result<Vec<Object<'a>>, InvalidJson> {
    check(bytes, limit)?;
    let entries = match serde_json::from_slice::<List<'_, LIMIT>>(bytes) {
        Ok(List(entries)) => entries,
        Err(error) if error.to_string().starts_with(TOO_MANY) => {
            let field = what;
            return Err(InvalidJson::TooMany {
                field,
                limit: LIMIT,
            });
        }
        Err(_) => {
            let (field, expected) = (what, "a list");
            return Err(InvalidJson::Type { field, expected });
        }
    };
    let objects = entries.into_iter().map(|entry| Object::of(entry, what));
    objects.collect()
}

fn check(bytes: &[u8], limit: usize) -> Result<(), InvalidJson> {
    if bytes.len() > limit {
        let bytes = bytes.len();
        return Err(InvalidJson::TooLarge { bytes, limit });
    }
    if depth(bytes) > DEPTH_LIMIT {
        return Err(InvalidJson::TooDeep);
    }
    Ok(())
}

impl<'a> Object<'a> {
    /// The object that a document of at most `limit` bytes is.
    pub(crate) fn read(bytes: &'a [u8], limit: usize) -> Result<Self, InvalidJson> {
        check(bytes, limit)?;
        serde_json::from_slice(bytes)
            .ok()
            .ok_or(InvalidJson::NotAnObject)
    }

    /// The object that an entry of a list of `field` is.
    pub(crate) fn of(entry: &'a RawValue, field: &'static str) -> Result<Self, InvalidJson> {
        let expected = "a list of objects";
        serde_json::from_str(entry.get())
            .ok()
            .ok_or(InvalidJson::Type { field, expected })
    }

    /// The value of a field; none: it is missing or null.
    fn raw(&self, field: &'static str) -> Result<Option<&'a RawValue>, InvalidJson> {
        let mut found = None;
        for (name, value) in &self.0 {
            if !is_same(name, field) {
                continue;
            }
            if name != field || found.is_some() {
                return Err(InvalidJson::Ambiguous { field });
            }
            found = Some(*value);
        }
        Ok(found.filter(|value| value.get() != "null"))
    }

    fn decoded<T: Deserialize<'a>>(
        &self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, InvalidJson> {
        let Some(value) = self.raw(field)? else {
            return Ok(None);
        };
        let value = serde_json::from_str(value.get()).ok();
        value.map(Some).ok_or(InvalidJson::Type { field, expected })
    }

    /// Whether a field has a value other than null, an empty list and an empty object.
    pub(crate) fn has(&self, field: &'static str) -> Result<bool, InvalidJson> {
        let is_empty = |value: &RawValue| {
            let mut text = value.get().chars().filter(|c| !c.is_whitespace());
            matches!(
                (text.next(), text.next(), text.next()),
                (Some('['), Some(']'), None) | (Some('{'), Some('}'), None)
            )
        };
        Ok(self.raw(field)?.is_some_and(|value| !is_empty(value)))
    }

    /// A text.
    pub(crate) fn text(&self, field: &'static str) -> Result<Option<String>, InvalidJson> {
        self.decoded(field, "a string")
    }

    /// A number from 0.
    pub(crate) fn number(&self, field: &'static str) -> Result<Option<u64>, InvalidJson> {
        self.decoded(field, "a number that is not negative")
    }

    /// True or false.
    pub(crate) fn flag(&self, field: &'static str) -> Result<Option<bool>, InvalidJson> {
        self.decoded(field, "true or false")
    }

    /// An object.
    pub(crate) fn object(&self, field: &'static str) -> Result<Option<Object<'a>>, InvalidJson> {
        self.decoded(field, "an object")
    }

    /// Texts by their names. Of two with one name, the last counts, as for Go.
    pub(crate) fn texts(
        &self,
        field: &'static str,
    ) -> Result<BTreeMap<String, String>, InvalidJson> {
        let texts = self.decoded::<BTreeMap<String, Option<String>>>(field, "a map of strings")?;
        let texts = texts.unwrap_or_default().into_iter();
        Ok(texts
            .filter_map(|(name, text)| Some((name, text?)))
            .collect())
    }

    /// The texts of a list of at most `LIMIT`.
    pub(crate) fn text_list<const LIMIT: usize>(
        &self,
        field: &'static str,
    ) -> Result<Vec<String>, InvalidJson> {
        let expected = "a list of strings";
        let text = |value: &RawValue| {
            let text = serde_json::from_str(value.get()).ok();
            text.ok_or(InvalidJson::Type { field, expected })
        };
        self.list::<LIMIT>(field)?.into_iter().map(text).collect()
    }

    /// The entries of a list of at most `LIMIT`.
    pub(crate) fn list<const LIMIT: usize>(
        &self,
        field: &'static str,
    ) -> Result<Vec<&'a RawValue>, InvalidJson> {
        let Some(value) = self.raw(field)? else {
            return Ok(Vec::new());
        };
        match serde_json::from_str::<List<'_, LIMIT>>(value.get()) {
            Ok(List(entries)) => Ok(entries),
            Err(error) if error.to_string().starts_with(TOO_MANY) => Err(InvalidJson::TooMany {
                field,
                limit: LIMIT,
            }),
            Err(_) => {
                let expected = "a list";
                Err(InvalidJson::Type { field, expected })
            }
        }
    }
}

/// Whether Go takes two names for the same: it ignores case, and folds two letters that are not ASCII.
fn is_same(one: &str, other: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    one.chars().map(fold).eq(other.chars().map(fold))
}

/// The most arrays and objects that are open at once.
fn depth(bytes: &[u8]) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let mut in_string = false;
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            // The next byte is part of the string, also if it is a quote.
            b'\\' if in_string => drop(bytes.next()),
            b'[' | b'{' if !in_string => {
                open = open.saturating_add(1);
                most = most.max(open);
            }
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object<'_> {
        Object::read(text.as_bytes(), 1 << 20).unwrap()
    }

    #[test]
    fn a_field_that_readers_understand_differently_is_an_error() {
        for text in [
            r#"{"layers": [], "layers": []}"#,
            r#"{"layers": [], "Layers": []}"#,
            r#"{"LAYERS": []}"#,
            "{\"layer\u{17f}\": []}",
            r#"{"layer\u0073": [], "layers": []}"#,
        ] {
            let ambiguous = InvalidJson::Ambiguous { field: "layers" };
            assert_eq!(object(text).has("layers"), Err(ambiguous), "{text}");
            assert_eq!(object(text).has("config"), Ok(false), "{text}");
        }
        let escaped = object(r#"{"layer\u0073": [1]}"#);
        assert_eq!(escaped.has("layers"), Ok(true));
    }

    #[test]
    fn what_is_missing_null_or_empty_is_not_there() {
        let text = r#"{"a": null, "b": [ ], "c": {}, "d": [0], "e": ""}"#;
        let has = |field| object(text).has(field).unwrap();
        assert!(!has("a") && !has("b") && !has("c") && !has("f"));
        assert!(has("d") && has("e"));
    }

    #[test]
    fn a_limit_is_an_error_with_its_name() {
        let nested =
            |levels: usize| format!(r#"{{"a": {}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let of = |text: &str| Object::read(text.as_bytes(), 200).map(drop);
        assert_eq!(of(&nested(63)), Ok(()));
        assert_eq!(of(&nested(64)), Err(InvalidJson::TooDeep));
        let long = format!(r#"{{"a": "{}"}}"#, "[".repeat(200));
        let too_large = InvalidJson::TooLarge {
            bytes: 209,
            limit: 200,
        };
        assert_eq!(of(&long), Err(too_large));
        let list = object(r#"{"a": [1, 2, 3], "b": 1}"#);
        assert_eq!(list.list::<3>("a").unwrap().len(), 3);
        let too_many = InvalidJson::TooMany {
            field: "a",
            limit: 2,
        };
        assert_eq!(list.list::<2>("a").unwrap_err(), too_many);
        assert_eq!(
            list.list::<2>("b").unwrap_err().to_string(),
            "b must be a list"
        );
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for bytes in [&b""[..], b"[]", b"1", b"{", b"{} x", b"{\"a\": \"\xff\"}"] {
            let read = Object::read(bytes, 100).map(drop);
            assert_eq!(read, Err(InvalidJson::NotAnObject), "{bytes:?}");
        }
    }
}
