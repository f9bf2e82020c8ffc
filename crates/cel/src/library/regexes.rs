//! Regular expressions as RE2 has them.
//!
//! Here: patterns, `matches`, `find`, `findAll`. Not here: caching of patterns that stand in an
//! expression (`plan`).
//! Invariant: classes such as `\d` and word boundaries are ASCII, as in RE2; time is linear in
//! the text.

use super::{Outcome, Row, fail, no_overload};
use crate::value::Value;
use regex::Regex;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "find",
        run: find,
        overloads: &[("string_find_string", "string.(string) -> string")],
    },
    Row {
        name: "findAll",
        run: find_all,
        overloads: &[
            ("string_find_all_string", "string.(string) -> list(string)"),
            (
                "string_find_all_string_int",
                "string.(string, int) -> list(string)",
            ),
        ],
    },
];

/// Compiles a pattern, with a bound on the memory of its automaton.
///
/// # Errors
/// As Go's `regexp` begins its errors.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(&as_re2(pattern))
        .size_limit(1 << 22)
        .dfa_size_limit(1 << 21)
        .build()
        .map_err(|error| match error {
            regex::Error::Syntax(_) => format!("error parsing regexp: {}", fault(pattern)),
            error => format!("error parsing regexp: {error}"),
        })
}

/// Whether `3}`, `3,}` or `3,5}` follows an opening bracket.
fn is_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else {
        return false;
    };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && number(least) && number(most)
}

/// What is wrong with a pattern, in the words of Go's regexp/syntax.
fn fault(pattern: &str) -> String {
    let mut depth = 0_usize;
    let mut letters = pattern.char_indices();
    let mut before = None;
    while let Some((at, c)) = letters.next() {
        let rest = pattern.get(at..).unwrap_or("");
        match c {
            '\\' => match letters.next() {
                None => return "trailing backslash at end of expression: ``".to_owned(),
                Some((_, letter))
                    if letter.is_ascii_alphanumeric()
                        && !r"aAbBCdDfnQEpPrsStvwWxz01234567".contains(letter) =>
                {
                    return format!("invalid escape sequence: `\\{letter}`");
                }
                Some(_) => {}
            },
            '[' => {
                let inside = rest.get(1..).unwrap_or("");
                let negated = usize::from(inside.starts_with('^'));
                let first = inside.get(negated..).unwrap_or("");
                let skip = usize::from(first.starts_with(']'));
                match first.get(skip..).and_then(|text| text.find(']')) {
                    None => return format!("missing closing ]: `{rest}`"),
                    Some(end) => {
                        let taken = negated.saturating_add(skip).saturating_add(end);
                        let until = at.saturating_add(taken).saturating_add(1);
                        while letters
                            .clone()
                            .next()
                            .is_some_and(|(place, _)| place <= until)
                        {
                            letters.next();
                        }
                    }
                }
            }
            '(' => depth = depth.saturating_add(1),
            ')' if depth == 0 => return format!("unexpected ): `{pattern}`"),
            ')' => depth = depth.saturating_sub(1),
            '*' | '+' | '?'
                if matches!(before, None | Some('(' | '|'))
                    && !(c == '?' && before == Some('(')) =>
            {
                return format!("missing argument to repetition operator: `{c}`");
            }
            _ => {}
        }
        before = Some(c);
    }
    if depth > 0 {
        return format!("missing closing ): `{pattern}`");
    }
    format!("invalid pattern: `{pattern}`")
}

/// Rewrites what means something else in RE2: Perl's classes and `\b` are ASCII there, `\z` is
/// the end, `\Q…\E` is literal.
fn as_re2(pattern: &str) -> String {
    let mut made = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    let mut in_class = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('d') if in_class => made.push_str("0-9"),
                Some('w') if in_class => made.push_str("0-9A-Za-z_"),
                Some('s') if in_class => made.push_str(r"\t\n\x0c\r "),
                Some('d') => made.push_str("[0-9]"),
                Some('D') => made.push_str("[^0-9]"),
                Some('w') => made.push_str("[0-9A-Za-z_]"),
                Some('W') => made.push_str("[^0-9A-Za-z_]"),
                Some('s') => made.push_str(r"[\t\n\x0c\r ]"),
                Some('S') => made.push_str(r"[^\t\n\x0c\r ]"),
                Some('b') => made.push_str(r"(?-u:\b)"),
                Some('B') => made.push_str(r"(?-u:\B)"),
                Some('Q') => {
                    let literal: String = rest.as_str().split(r"\E").next().unwrap_or("").into();
                    made.push_str(&regex::escape(&literal));
                    let taken = literal.chars().count();
                    rest = rest.as_str().get(literal.len()..).unwrap_or("").chars();
                    if taken > 0 || rest.as_str().starts_with(r"\E") {
                        rest = rest
                            .as_str()
                            .strip_prefix(r"\E")
                            .unwrap_or(rest.as_str())
                            .chars();
                    }
                }
                Some(other) => {
                    made.push('\\');
                    made.push(other);
                }
                None => made.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                made.push('[');
                let after = rest.as_str();
                let negated = after.starts_with('^');
                if negated {
                    rest.next();
                    made.push('^');
                }
                // A closing bracket that comes first is itself.
                if rest.as_str().starts_with(']') {
                    rest.next();
                    made.push_str(r"\]");
                }
            }
            '[' if !rest.as_str().starts_with(':') => made.push_str(r"\["),
            '[' => {
                let end = rest
                    .as_str()
                    .find(":]")
                    .map_or(0, |at| at.saturating_add(2));
                made.push('[');
                made.push_str(rest.as_str().get(..end).unwrap_or(""));
                rest = rest.as_str().get(end..).unwrap_or("").chars();
            }
            ']' if in_class => {
                in_class = false;
                made.push(']');
            }
            // Set operations of the regex crate.
            '&' | '~' if in_class => {
                made.push('\\');
                made.push(c);
            }
            // A bracket that begins no repetition is itself.
            '{' if !in_class && !is_repetition(rest.as_str()) => made.push_str(r"\{"),
            other => made.push(other),
        }
    }
    made
}

/// Whether a pattern matches.
pub(super) fn matches<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern)] = arguments else {
        return no_overload();
    };
    match compile(pattern) {
        Ok(regex) => Ok(Value::Bool(regex.is_match(text))),
        Err(error) => fail(error),
    }
}

fn find<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern)] = arguments else {
        return no_overload();
    };
    match compile(pattern) {
        Ok(regex) => Ok(found(&regex, text)),
        Err(error) => fail(format!("Illegal regex: {error}")),
    }
}

/// The first match, or nothing.
pub(crate) fn found<'a>(regex: &Regex, text: &str) -> Value<'a> {
    Value::from(
        regex
            .find(text)
            .map_or("", |found| found.as_str())
            .to_owned(),
    )
}

fn find_all<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, pattern, limit) = match arguments {
        [Value::String(text), Value::String(pattern)] => (text, pattern, -1),
        [
            Value::String(text),
            Value::String(pattern),
            Value::Int(limit),
        ] => (text, pattern, *limit),
        _ => return no_overload(),
    };
    match compile(pattern) {
        Ok(regex) => Ok(all_found(&regex, text, limit)),
        Err(error) => fail(format!("Illegal regex: {error}")),
    }
}

/// All matches, at most so many; a negative limit is none.
pub(crate) fn all_found<'a>(regex: &Regex, text: &str, limit: i64) -> Value<'a> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = regex.find_iter(text).take(most);
    Value::list(
        found
            .map(|part| Value::from(part.as_str().to_owned()))
            .collect(),
    )
}
