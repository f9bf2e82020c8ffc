//! The part of an invalid text that an error quotes.
//!
//! Here: cutting and escaping. Not here: which part is quoted (`reference`, `pattern`, `digest`).
//! Invariant: an excerpt is printable ASCII of at most [`LIMIT`] bytes and two quotation marks,
//! however long and whatever the text is, because tenants write it and people read it in a terminal.

use std::fmt;

/// The most bytes between the quotation marks.
const LIMIT: usize = 64;

/// What stands for the part that was cut off.
const CUT: &str = "...";

/// A quoted part of an invalid text: cut, and escaped to printable ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// The beginning of `text`. Reads no further than it quotes.
    pub(crate) fn of(text: &str) -> Self {
        let mut shown = String::with_capacity(LIMIT);
        // How much of `shown` is left if the text has to be cut.
        let mut kept = 0_usize;
        for c in text.chars() {
            shown.extend(c.escape_default());
            if shown.len() > LIMIT {
                shown.truncate(kept);
                shown.push_str(CUT);
                break;
            }
            if shown.len() <= LIMIT.saturating_sub(CUT.len()) {
                kept = shown.len();
            }
        }
        Self(shown.into_boxed_str())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_printable_ascii() {
        let at_limit = "a".repeat(64);
        for (name, text, want) in [
            ("plain", "Foo", "\"Foo\"".to_owned()),
            ("empty", "", "\"\"".to_owned()),
            ("at the limit", &at_limit, format!("\"{at_limit}\"")),
            (
                "one more",
                &"a".repeat(65),
                format!("\"{}...\"", "a".repeat(61)),
            ),
            (
                "escapes of a terminal",
                "\u{1b}[31m\u{202e}é\n\"",
                "\"\\u{1b}[31m\\u{202e}\\u{e9}\\n\\\"\"".to_owned(),
            ),
            (
                "no half of an escape",
                &"\u{10ffff}".repeat(100),
                format!("\"{}...\"", "\\u{10ffff}".repeat(6)),
            ),
        ] {
            assert_eq!(Excerpt::of(text).to_string(), want, "{name}");
        }
    }
}
