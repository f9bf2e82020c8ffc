//! How many bytes something takes where the API server stores it.
//!
//! Here: JSON as Go's encoder writes it, which escapes more than `serde_json`. Not here: what is
//! left out for it (`evidence`).
//! Invariant: a size is never less than what is stored.

use serde::Serialize;
use std::collections::BTreeMap;

/// Bytes of a character in a JSON text: `\"`, `\\` and `\n` are 2, `\u0000` is 6. Go escapes what
/// HTML and JavaScript would read as their own, too (`encoding/json`, `HTMLEscape`).
fn size_of(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
        other => other.len_utf8(),
    }
}

/// Bytes of a value as JSON; a text with its quotes.
pub(crate) fn stored_size<T: Serialize + ?Sized>(value: &T) -> usize {
    // What can't be written is too large for any limit.
    serde_json::to_string(value).map_or(usize::MAX, |json| {
        // The escapes of serde_json are there already, and are plain characters by now.
        let plain = |c: char| match c {
            '"' | '\\' => 1,
            other => size_of(other),
        };
        json.chars().map(plain).sum()
    })
}

/// Bytes that `managedFields` takes for the keys of a map: `"f:key":{},` each.
pub(crate) fn managed_size(map: &BTreeMap<String, String>) -> usize {
    map.keys()
        .map(|key| stored_size(key.as_str()).saturating_add(6))
        .sum()
}

/// The beginning of a text, of at most so many bytes where it is stored, cut between characters.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let mut size = 0_usize;
    let over = text.char_indices().find(|(_, character)| {
        size = size.saturating_add(size_of(*character));
        size > limit
    });
    over.map_or(text, |(end, _)| text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_long_as_it_is_stored() {
        for (text, size) in [
            ("", 2),
            ("abc", 5),
            ("ä€", 7),
            ("a\"b\\", 8),
            ("\u{1}", 8),
            ("<&>", 20),
            ("\u{2028}", 8),
            ("\u{fffd}", 5),
        ] {
            assert_eq!(stored_size(text), size, "{text:?}");
            assert_eq!(cut(text, size - 2), text);
            if size > 2 {
                assert!(cut(text, size - 3).len() < text.len(), "{text:?}");
            }
        }
        assert_eq!(cut("a\u{1}b", 6), "a");
        assert_eq!(cut("a\u{1}b", 7), "a\u{1}");
    }
}
