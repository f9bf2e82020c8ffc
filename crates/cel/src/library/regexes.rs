//! Regular expressions as RE2 has them.
//!
//! Here: `matches`, `find`, `findAll`. Not here: the syntax of patterns (`re2`), caching of patterns
//! that stand in an expression (`plan`).
//! Invariant: classes such as `\d` and word boundaries are ASCII, as in RE2; time is linear in
//! the text.

use super::{Outcome, Row, fail, no_overload, re2};
use crate::value::Value;
use regex::Regex;

/// How deep the regex crate may nest: each of RE2's levels is at most two of its own.
const NEST: u32 = 2100;

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
/// As Go's `regexp` words them.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let said = |words: &dyn std::fmt::Display| format!("error parsing regexp: {words}");
    let translated = re2::translated(pattern).map_err(|fault| said(&fault.0))?;
    regex::RegexBuilder::new(&translated)
        .size_limit(1 << 22)
        .dfa_size_limit(1 << 21)
        .nest_limit(NEST)
        .build()
        .map_err(|error| said(&error))
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
