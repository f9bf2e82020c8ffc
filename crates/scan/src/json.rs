//! JSON that others wrote.
//!
//! Here: the limits that apply before it is decoded, and objects of which each member is decoded by itself. Not here: what
//! it means.
//! Invariant: nothing is decoded that is larger or nested deeper than its limit.

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// Levels of arrays and objects.
pub const DEPTH_LIMIT: usize = 64;

/// Members of an object of which each is decoded by itself.
pub const MEMBERS_LIMIT: usize = 1_000_000;

/// Why JSON could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is too large.
    #[error("it has {size} bytes, more than the {limit} that are read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It is nested too deeply.
    #[error("it is nested deeper than {DEPTH_LIMIT} levels")]
    TooDeep,
    /// It is not JSON, or a field has another type.
    #[error("{0}")]
    Invalid(String),
}

/// Decodes JSON of at most `limit` bytes and [`DEPTH_LIMIT`] levels.
///
/// # Errors
/// If a limit is exceeded, if it is not JSON, or if a field has another type; the error names the field.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], limit: usize) -> Result<T, JsonError> {
    if bytes.len() > limit {
        let size = bytes.len();
        return Err(JsonError::TooLarge { size, limit });
    }
    if depth(bytes) > DEPTH_LIMIT {
        return Err(JsonError::TooDeep);
    }
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value =
        serde_path_to_error::deserialize(&mut from).map_err(|error| invalid(&error.to_string()))?;
    from.end().map_err(|error| invalid(&error.to_string()))?;
    Ok(value)
}

/// The error with this message, on one line: it names members as they are written, which can have control characters.
fn invalid(message: &str) -> JsonError {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    JsonError::Invalid(line)
}

/// The members of an object in their order, those with the same name too, up to [`MEMBERS_LIMIT`]. None of their values
/// is decoded yet, so that one that cannot be decoded hides no other.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfObject;
        impl<'de> Visitor<'de> for OfObject {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    if members.len() == MEMBERS_LIMIT {
                        let rule = format!("must have at most {MEMBERS_LIMIT} members");
                        return Err(A::Error::custom(rule));
                    }
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(OfObject)
    }
}

/// Decodes a list item by item, and keeps what is made of each item: a list of empty items takes many times the memory
/// of its text otherwise.
///
/// # Errors
/// If it is no list, an item has another type, or more than `limit` items are kept.
pub fn items<'de, D, R, T>(
    from: D,
    limit: usize,
    keep: impl FnMut(R) -> Option<T>,
) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    R: Deserialize<'de>,
{
    let of = PhantomData;
    from.deserialize_seq(Items { limit, keep, of })
}

/// As [`items`]. Null is an empty list.
///
/// # Errors
/// As [`items`].
pub fn items_or_null<'de, D, R, T>(
    from: D,
    limit: usize,
    keep: impl FnMut(R) -> Option<T>,
) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    R: Deserialize<'de>,
{
    let of = PhantomData;
    from.deserialize_option(Items { limit, keep, of })
}

struct Items<F, R> {
    limit: usize,
    keep: F,
    of: PhantomData<R>,
}

impl<'de, R, T, F> Visitor<'de> for Items<F, R>
where
    R: Deserialize<'de>,
    F: FnMut(R) -> Option<T>,
{
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_none<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Vec<T>, D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut kept = Vec::new();
        while let Some(item) = list.next_element()? {
            let Some(item) = (self.keep)(item) else {
                continue;
            };
            if kept.len() == self.limit {
                let limit = self.limit;
                return Err(A::Error::custom(format!("must have at most {limit} items")));
            }
            kept.push(item);
        }
        Ok(kept)
    }
}

/// The most arrays and objects that are open at once. For what is not JSON, at least what a decoder enters.
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
                open += 1;
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
    use serde_json::Value;

    #[test]
    fn what_exceeds_a_limit_is_not_decoded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let of = |text: &str| decode::<Value>(text.as_bytes(), 200).map(drop);
        assert_eq!(of(&nested(64)), Ok(()));
        assert_eq!(of(&nested(65)), Err(JsonError::TooDeep));
        let long = format!("\"{}\"", "a".repeat(199));
        let error = of(&long).unwrap_err().to_string();
        assert_eq!(error, "it has 201 bytes, more than the 200 that are read");
    }

    #[test]
    fn members_with_the_same_name_are_kept() {
        let text = br#"{"a": 1, "b": [}, "a": {"x": 2}}"#;
        assert!(decode::<Members<'_>>(text, 200).is_err());
        let text = br#"{"a": 1, "b": [], "a": {"x": 2}}"#;
        let Members(members) = decode(text, 200).unwrap();
        let shown: Vec<_> = members.iter().map(|(n, v)| (n.as_str(), v.get())).collect();
        assert_eq!(shown, [("a", "1"), ("b", "[]"), ("a", r#"{"x": 2}"#)]);
        let error = decode::<Members<'_>>(b"[]", 200).unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid type: sequence, expected an object at line 1 column 0"
        );
    }

    #[test]
    fn an_object_has_a_bounded_number_of_members() {
        let of = |count: usize| {
            let text = format!("{{{}}}", vec![r#""":1"#; count].join(","));
            let members = decode::<Members<'_>>(text.as_bytes(), text.len());
            members.map(|Members(members)| members.len())
        };
        assert_eq!(of(MEMBERS_LIMIT), Ok(MEMBERS_LIMIT));
        let error = of(MEMBERS_LIMIT + 1).unwrap_err().to_string();
        assert!(
            error.starts_with("must have at most 1000000 members"),
            "{error}"
        );
    }

    #[test]
    fn brackets_in_strings_are_not_levels() {
        let text = format!(r#"{{"a": "\"{}\\"}}"#, "[".repeat(100));
        assert_eq!(decode::<Value>(text.as_bytes(), 200).map(drop), Ok(()));
        // After the escaped backslash the string ends, so these are levels.
        let text = format!(r#"["\\", {}"#, "[".repeat(64));
        let error = decode::<Value>(text.as_bytes(), 200).unwrap_err();
        assert_eq!(error, JsonError::TooDeep);
    }

    #[test]
    fn of_a_list_only_what_is_kept_counts() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Numbers(#[serde(deserialize_with = "even")] Vec<u8>);
        fn even<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
            items_or_null(from, 2, |number: u8| {
                number.is_multiple_of(2).then_some(number)
            })
        }
        let of = |text: &str| decode::<Numbers>(text.as_bytes(), 200);
        assert_eq!(of("[1, 2, 3, 4, 5]"), Ok(Numbers(vec![2, 4])));
        assert_eq!(of("null"), Ok(Numbers(Vec::new())));
        for (text, want) in [
            ("[2, 4, 6]", "must have at most 2 items at line 1 column 9"),
            (
                "[2, \"x\"]",
                "[1]: invalid type: string \"x\", expected u8 at line 1 column 7",
            ),
            (
                "{}",
                "invalid type: map, expected a sequence at line 1 column 0",
            ),
        ] {
            assert_eq!(of(text).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn an_error_is_one_line_whatever_members_are_called() {
        let error = decode::<std::collections::BTreeMap<String, u8>>(b"{\"a\\nb\": {}}", 100);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("a\\nb: invalid type: map"), "{error}");
    }

    #[test]
    fn an_error_names_the_field() {
        #[derive(Debug, serde::Deserialize)]
        struct Named {
            #[serde(rename = "a")]
            _a: Vec<u8>,
        }
        let error = decode::<Named>(br#"{"a": [1, "x"]}"#, 200).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a[1]: invalid type: string \"x\", expected u8 at line 1 column 13"
        );
        let error = decode::<Value>(b"{} x", 200).unwrap_err();
        assert_eq!(error.to_string(), "trailing characters at line 1 column 4");
    }
}
