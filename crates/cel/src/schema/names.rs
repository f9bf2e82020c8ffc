//! Names of properties as names of fields.
//!
//! Here: what a property is called in an expression, and back (k8s.io/apiserver v0.37.2,
//! pkg/cel/escaping.go). Not here: which properties there are (`read`, `declaration`).
//! Invariant: the field of a property reads back as that property.

use crate::parse::{KEYWORDS, RESERVED};
use std::borrow::Cow;

/// What stands for the letters that a name of the language can't have.
const SEQUENCES: [(&str, &str); 4] = [
    ("__", "__underscores__"),
    (".", "__dot__"),
    ("-", "__dash__"),
    ("/", "__slash__"),
];

/// Whether the language has a word for itself, so that a property of this name is written with
/// underscores (k8s.io/apiserver v0.37.2, pkg/cel/escaping.go).
pub(crate) fn is_reserved(name: &str) -> bool {
    KEYWORDS.contains(&name) || RESERVED.contains(&name)
}

/// The field of a property; absent where the property can't be named.
pub(crate) fn escaped(property: &str) -> Option<Cow<'_, str>> {
    if property.is_empty() || property.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if is_reserved(property) {
        return Some(Cow::Owned(format!("__{property}__")));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if !property.chars().all(allowed) {
        return None;
    }
    let mut made = String::new();
    let mut rest = property;
    while let Some(letter) = rest.chars().next() {
        if let Some((letters, sequence)) = SEQUENCES.iter().find(|(l, _)| rest.starts_with(l)) {
            made.push_str(sequence);
            rest = rest.strip_prefix(letters).unwrap_or_default();
        } else {
            made.push(letter);
            rest = rest.strip_prefix(letter).unwrap_or_default();
        }
    }
    Some(if made == property {
        Cow::Borrowed(property)
    } else {
        Cow::Owned(made)
    })
}

/// The property of a field; absent where the field stands for none.
pub(crate) fn unescaped(field: &str) -> Option<Cow<'_, str>> {
    if !field.contains("__") {
        return Some(Cow::Borrowed(field));
    }
    let mut made = String::new();
    let mut rest = field;
    while let Some(at) = rest.find("__") {
        let (before, after) = rest.split_at_checked(at)?;
        let after = after.strip_prefix("__")?;
        // A sequence is two underscores, letters without any, and two underscores.
        let word = after.split('_').next().unwrap_or_default();
        let end = after.strip_prefix(word).and_then(|t| t.strip_prefix("__"));
        let (Some(end), false) = (end, word.is_empty()) else {
            made.push_str(before);
            made.push('_');
            rest = rest.get(at.saturating_add(1)..)?;
            continue;
        };
        made.push_str(before);
        let letters = SEQUENCES
            .iter()
            .find(|(_, sequence)| sequence.trim_matches('_') == word)
            .map(|(letters, _)| *letters);
        match letters {
            Some(letters) => made.push_str(letters),
            // A reserved word is escaped as a whole, never within a name.
            None if is_reserved(word) && before.is_empty() && end.is_empty() => {
                if rest.len() != field.len() {
                    return None;
                }
                made.push_str(word);
            }
            None => return None,
        }
        rest = end;
    }
    made.push_str(rest);
    Some(Cow::Owned(made))
}

#[cfg(test)]
mod tests {
    use super::{escaped, unescaped};

    #[test]
    fn properties_have_the_fields_that_the_api_server_gives_them() {
        for (property, field) in [
            ("replicas", Some("replicas")),
            ("namespace", Some("__namespace__")),
            ("in", Some("__in__")),
            ("a-b", Some("a__dash__b")),
            ("app.io/x", Some("app__dot__io__slash__x")),
            ("a__b", Some("a__underscores__b")),
            ("a___b", Some("a__underscores___b")),
            ("_a_b", Some("_a_b")),
            ("$ref", None),
            ("9a", None),
            ("", None),
            ("größe", None),
        ] {
            assert_eq!(escaped(property).as_deref(), field, "{property}");
            if let Some(field) = field {
                assert_eq!(unescaped(field).as_deref(), Some(property), "{field}");
            }
        }
    }

    #[test]
    fn fields_that_stand_for_no_property_are_none() {
        for (field, property) in [
            ("a__nothing__", None),
            ("__namespace__x", None),
            ("x__namespace__", None),
            ("a__b", Some("a__b")),
            ("__", Some("__")),
        ] {
            assert_eq!(unescaped(field).as_deref(), property, "{field}");
        }
    }
}
