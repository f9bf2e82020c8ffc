//! What files state about packages.
//!
//! Here: which names and versions are kept as they are stated, values that a file states several times, and lines. Not
//! here: the formats of files.
//! Invariant: a value that is kept is printable ASCII within its limit, so no file controls a terminal. Of a file that
//! states several values, each one is kept up to a limit, because programs differ in which one they use.

use super::not_read;
use super::{FAULTS_LIMIT, Fact};
use crate::package::{NAME_LIMIT, VERSION_LIMIT};

/// Different values of one field that are kept.
const VALUES_LIMIT: usize = 4;
/// Bytes of a name in a message.
const SHOWN_LIMIT: usize = 120;
/// Bytes of a message.
const CAUSE_LIMIT: usize = 300;

/// A version without the white space around it.
///
/// # Errors
/// If it has no byte or too many, or something else than printable ASCII.
pub(super) fn version(text: &str) -> Result<String, String> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if text.is_empty() {
        return Err("its version is empty".to_owned());
    }
    if text.len() > VERSION_LIMIT {
        return Err(format!(
            "its version has more than the {VERSION_LIMIT} bytes that are read"
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its version is not printable ASCII without spaces".to_owned());
    }
    Ok(text.to_owned())
}

/// A name without the white space around it, of letters, digits and these punctuation characters.
///
/// # Errors
/// If it has no byte or too many, or another character.
pub(super) fn name(text: &str, punctuation: &str) -> Result<String, String> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if text.is_empty() {
        return Err("its name is empty".to_owned());
    }
    if text.len() > NAME_LIMIT {
        return Err(format!(
            "its name has more than the {NAME_LIMIT} bytes that are read"
        ));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || punctuation.contains(c);
    if !text.chars().all(is_allowed) {
        return Err(format!("its name is {}", shown(text)));
    }
    Ok(text.to_owned())
}

/// A text that a stranger wrote, for messages: printable ASCII between quotation marks, cut if it is long.
pub(super) fn shown(text: &str) -> String {
    let text = printable(text, SHOWN_LIMIT, |c| !matches!(c, '"' | '\\'));
    format!("\"{text}\"")
}

/// The start of a text as printable ASCII. Other characters than those that are shown are escaped.
fn printable(text: &str, limit: usize, is_shown: impl Fn(char) -> bool) -> String {
    let mut printable = String::new();
    for c in text.chars() {
        if printable.len() > limit {
            printable.push_str("...");
            break;
        }
        if (c == ' ' || c.is_ascii_graphic()) && is_shown(c) {
            printable.push(c);
        } else {
            printable.extend(c.escape_default());
        }
    }
    printable
}

/// The different values that a file states for one field, in their order.
#[derive(Debug, Default)]
pub(super) struct Values {
    kept: Vec<String>,
    /// Whether there are more than are kept.
    pub(super) has_more: bool,
}

impl Values {
    pub(super) fn push(&mut self, value: String) {
        if self.kept.contains(&value) {
            return;
        }
        if self.kept.len() == VALUES_LIMIT {
            self.has_more = true;
        } else {
            self.kept.push(value);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(String::as_str)
    }

    /// Those that can be kept as they are stated, in the form that `check` gives them. The others are faults.
    pub(super) fn checked(
        &self,
        check: impl Fn(&str) -> Result<String, String>,
        mut fault: impl FnMut(String),
    ) -> Vec<String> {
        let mut checked = Vec::new();
        for value in self.iter() {
            match check(value) {
                Ok(value) if checked.contains(&value) => {}
                Ok(value) => checked.push(value),
                Err(cause) => fault(cause),
            }
        }
        if self.has_more {
            fault(format!(
                "it states more than {VALUES_LIMIT} names or versions"
            ));
        }
        checked
    }
}

/// Lines without their ends: a line feed, a carriage return, or both.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        let after = after.strip_prefix(b"\r\n").or_else(|| after.get(1..));
        rest = after.unwrap_or_default();
        Some(line)
    })
}

/// Where the facts of a file go. The faults after the first ones are counted alone.
pub(super) struct Facts<'a> {
    sink: &'a mut dyn FnMut(Fact),
    what: &'static str,
    faults: usize,
}

impl<'a> Facts<'a> {
    pub(super) fn of(what: &'static str, sink: &'a mut dyn FnMut(Fact)) -> Self {
        let faults = 0;
        Self { sink, what, faults }
    }

    pub(super) fn add(&mut self, fact: Fact) {
        if let Fact::NotRead { .. } = &fact {
            self.faults = self.faults.saturating_add(1);
            if self.faults > FAULTS_LIMIT {
                return;
            }
        }
        (self.sink)(fact);
    }

    /// Says that a part could not be read.
    pub(super) fn fault(&mut self, cause: impl AsRef<str>) {
        // Libraries quote what they read.
        let cause = printable(cause.as_ref(), CAUSE_LIMIT, |_| true);
        self.add(not_read(self.what, cause));
    }

    /// Says how many faults were counted alone.
    pub(super) fn end(self) {
        if let Some(more) = self
            .faults
            .checked_sub(FAULTS_LIMIT)
            .filter(|more| *more > 0)
        {
            let cause = format!("{more} further parts could not be read");
            (self.sink)(not_read(self.what, cause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_kept_only_if_it_can_be_printed() {
        let long = "1".repeat(VERSION_LIMIT);
        assert_eq!(version(" 1.0\t"), Ok("1.0".to_owned()));
        assert_eq!(version(&long), Ok(long.clone()));
        let error = |text: &str| version(text).unwrap_err();
        assert_eq!(error(" "), "its version is empty");
        assert_eq!(
            error(&format!("{long}1")),
            "its version has more than the 256 bytes that are read"
        );
        for text in ["1.0\u{1b}[2J", "1 0", "1.0\u{202e}"] {
            assert_eq!(
                error(text),
                "its version is not printable ASCII without spaces"
            );
        }
    }

    #[test]
    fn a_name_in_a_message_is_printable_and_bounded() {
        assert_eq!(shown("a\u{1b}\"b\\ c"), r#""a\u{1b}\"b\\ c""#);
        let long = shown(&"\u{1b}".repeat(1000));
        assert!(long.len() < 140 && long.ends_with("...\""), "{long}");
        let mut all = Vec::new();
        let mut sink = |fact| all.push(fact);
        Facts::of("file", &mut sink).fault("\u{1b} \"a\"");
        assert_eq!(all, [not_read("file", r#"\u{1b} "a""#)]);
    }

    #[test]
    fn lines_end_in_three_ways() {
        let of: Vec<_> = lines(b"a\nb\r\nc\rd\r\r\n\ne").collect();
        assert_eq!(of, [&b"a"[..], b"b", b"c", b"d", b"", b"", b"e"]);
    }

    #[test]
    fn values_are_kept_up_to_a_limit() {
        let mut values = Values::default();
        for value in ["1", "2", "1", "\u{1b}", "4", "5"] {
            values.push(value.to_owned());
        }
        let mut faults = Vec::new();
        let checked = values.checked(version, |fault| faults.push(fault));
        assert_eq!(checked, ["1", "2", "4"]);
        assert_eq!(
            faults,
            [
                "its version is not printable ASCII without spaces",
                "it states more than 4 names or versions"
            ]
        );
    }

    #[test]
    fn faults_after_the_first_ones_are_counted() {
        let mut all = Vec::new();
        let mut sink = |fact| all.push(fact);
        let mut facts = Facts::of("file", &mut sink);
        for number in 0..FAULTS_LIMIT + 2 {
            facts.fault(number.to_string());
        }
        facts.end();
        assert_eq!(all.len(), FAULTS_LIMIT + 1);
        let last = not_read("file", "2 further parts could not be read");
        assert_eq!(all.last(), Some(&last));
    }
}
