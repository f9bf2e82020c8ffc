//! JSON that others wrote.
//!
//! Here: the limits that apply before it is decoded, and objects of which each member is decoded by itself. Not here: what
//! it means.
//! Invariant: nothing is decoded that is larger or nested deeper than its limit.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

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
    let value = serde_path_to_error::deserialize(&mut from)
        .map_err(|error| JsonError::Invalid(error.to_string()))?;
    from.end()
        .map_err(|error| JsonError::Invalid(error.to_string()))?;
    Ok(value)
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
    fn brackets_in_strings_are_not_levels() {
        let text = format!(r#"{{"a": "\"{}\\"}}"#, "[".repeat(100));
        assert_eq!(decode::<Value>(text.as_bytes(), 200).map(drop), Ok(()));
        // After the escaped backslash the string ends, so these are levels.
        let text = format!(r#"["\\", {}"#, "[".repeat(64));
        let error = decode::<Value>(text.as_bytes(), 200).unwrap_err();
        assert_eq!(error, JsonError::TooDeep);
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
