//! Text in quotes, as errors and `format` write it.
//!
//! Here: what Go's `%q` makes of text (strconv.Quote), and the escapes that `strings.quote` has as
//! well. Not here: that function, which escapes nothing else (`strings`).
//! Invariant: what is not printed is escaped, so a quoted text is one line.

use regex::Regex;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// How a character is written within quotes where it has an escape of its own.
pub(super) fn escape(c: char) -> Option<&'static str> {
    Some(match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\x07' => "\\a",
        '\x08' => "\\b",
        '\x0c' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\x0b' => "\\v",
        _ => return None,
    })
}

/// A text in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut made = String::with_capacity(text.len().saturating_add(2));
    made.push('"');
    for c in text.chars() {
        match (escape(c), c) {
            (Some(escape), _) => made.push_str(escape),
            (None, ' '..='~') => made.push(c),
            (None, c) if is_printed(c) => made.push(c),
            (None, c) => push_code(&mut made, c),
        }
    }
    made.push('"');
    made
}

fn push_code(made: &mut String, c: char) {
    let code = u32::from(c);
    let written = match code {
        0..0x80 => write!(made, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(made, "\\u{code:04x}"),
        _ => write!(made, "\\U{code:08x}"),
    };
    // Writing into text can't fail.
    debug_assert!(written.is_ok());
}

/// Letters, marks, numbers, punctuation and symbols.
fn is_printed(c: char) -> bool {
    static PRINTED: OnceLock<Option<Regex>> = OnceLock::new();
    let class = PRINTED.get_or_init(|| Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S}]$").ok());
    let mut buffer = [0; 4];
    let text = c.encode_utf8(&mut buffer);
    class.as_ref().is_some_and(|class| class.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printed_is_escaped() {
        assert_eq!(
            quoted("a\"\\\n\0\u{7f}é☺\u{a0}\u{301}\u{e000}\u{10ffff}"),
            "\"a\\\"\\\\\\n\\x00\\x7fé☺\\u00a0\u{301}\\ue000\\U0010ffff\""
        );
    }
}
