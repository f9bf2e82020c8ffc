//! Text that others wrote, for people who read messages.
//!
//! Here: which characters stay, and how many. Not here: the sentences around it.
//! Invariant: printable ASCII, so that nobody's text controls a terminal or hides what follows.

/// What is put where a text was cut.
const CUT: &str = "...";

/// The text in printable ASCII, at most `limit` characters. One that is longer ends in `...`.
#[must_use]
pub fn ascii(text: &str, limit: usize) -> String {
    let mut found: String = text
        .chars()
        .take(limit.saturating_add(1))
        .map(printable)
        .collect();
    if found.len() > limit {
        found.truncate(limit.saturating_sub(CUT.len()));
        found.push_str(CUT);
    }
    found
}

/// The text in printable ASCII and line breaks, because positions in it depend on them; at most `limit` characters.
#[must_use]
pub fn ascii_lines(text: &str, limit: usize) -> String {
    let shown = |c: char| if c == '\n' { c } else { printable(c) };
    text.chars().map(shown).take(limit).collect()
}

/// The text in printable ASCII, with spaces for line breaks and tabs.
#[must_use]
pub(crate) fn ascii_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c => printable(c),
    };
    text.chars().map(shown).collect()
}

const fn printable(c: char) -> char {
    if c == ' ' || c.is_ascii_graphic() {
        c
    } else {
        '?'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_replaced_and_what_is_too_long_is_cut() {
        let text = "a\u{1b}[31m\n\u{202e}\u{e9}b\tc";
        assert_eq!(ascii(text, 80), "a?[31m???b?c");
        assert_eq!(ascii_line(text), "a?[31m ??b c");
        assert_eq!(ascii_lines(text, 80), "a?[31m\n??b?c");
        assert_eq!(ascii("abcdef", 6), "abcdef");
        assert_eq!(ascii("abcdefg", 6), "abc...");
        assert_eq!(ascii_lines("abcdefg", 6), "abcdef");
        assert_eq!(ascii("\u{20ac}\u{20ac}\u{20ac}\u{20ac}", 3), "...");
        assert_eq!(ascii("", 6), "");
    }
}
