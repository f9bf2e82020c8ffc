//! Regular expressions as RE2 has them.
//!
//! Here: `matches`, `find`, `findAll`. Not here: the syntax of patterns (`re2`), caching of patterns
//! that stand in an expression (`plan`).
//! Invariant: classes such as `\d` and word boundaries are ASCII, as in RE2; time is linear in
//! the text.

use super::{Outcome, Row, no_overload, re2};
use crate::eval::EvalError;
use crate::value::{Text, Value};
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

/// Most steps of compiling all patterns that stand in an expression: as many as make some 64 MiB of
/// automata.
pub(crate) const PATTERNS_LIMIT: u64 = 40_000_000;

/// Compiles a pattern, with a bound on the memory of its automaton: a class of Unicode may be repeated
/// some 400 times.
///
/// # Errors
/// As Go's `regexp` words them.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let said = |words: &dyn std::fmt::Display| format!("error parsing regexp: {words}");
    let translated = re2::translated(pattern).map_err(|fault| said(&fault.0))?;
    regex::RegexBuilder::new(&translated)
        .size_limit(1 << 24)
        .dfa_size_limit(1 << 21)
        .nest_limit(NEST)
        .build()
        .map_err(|error| said(&error))
}

/// The steps of compiling a pattern, as far as its text tells: each expression costs some, as often
/// as it is repeated, and a class of Unicode is hundreds of them.
pub(crate) fn effort(pattern: &str) -> u64 {
    const BASE: u64 = 5_000;
    const EXPRESSION: u64 = 60;
    // As many as the bound on the automaton's memory lets be made.
    const MOST: u64 = 160_000;
    let mut groups: Vec<u64> = Vec::new();
    let (mut sum, mut last) = (0_u64, 0_u64);
    let mut letters = pattern.chars();
    while let Some(c) = letters.next() {
        last = match c {
            '\\' => match letters.next() {
                Some('p' | 'P') => {
                    // Its name is no repetition.
                    if letters.next() == Some('{') {
                        letters.find(|c| *c == '}');
                    }
                    400
                }
                _ => 4,
            },
            '.' | '[' => 16,
            '(' => {
                groups.push(sum);
                sum = 0;
                0
            }
            ')' => {
                let inside = sum;
                sum = groups.pop().unwrap_or(0);
                inside
            }
            '{' => {
                let times = repetitions(letters.as_str());
                last.saturating_mul(times.saturating_sub(1))
            }
            _ => 1,
        };
        sum = sum.saturating_add(last);
    }
    let all = groups
        .iter()
        .fold(sum, |sum, group| sum.saturating_add(*group));
    all.min(MOST)
        .saturating_mul(EXPRESSION)
        .saturating_add(BASE)
}

/// The largest number between brackets.
fn repetitions(rest: &str) -> u64 {
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ','));
    let inside = rest.get(..end.unwrap_or(rest.len())).unwrap_or("");
    let numbers = inside
        .split(',')
        .map(|number| number.parse().unwrap_or(u64::from(!number.is_empty())));
    numbers.fold(1, |most: u64, number: u64| most.max(number))
}

/// What a function says of a pattern that is none.
pub(crate) fn illegal(function: &str, fault: &str) -> EvalError {
    EvalError::new(match function {
        "matches" => fault.to_owned(),
        _ => format!("Illegal regex: {fault}"),
    })
}

/// Whether a pattern matches.
pub(super) fn matches<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern)] = arguments else {
        return no_overload();
    };
    match compile(pattern) {
        Ok(regex) => Ok(Value::Bool(regex.is_match(text))),
        Err(fault) => Err(illegal("matches", &fault)),
    }
}

fn find<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern)] = arguments else {
        return no_overload();
    };
    match compile(pattern) {
        Ok(regex) => Ok(found(&regex, text)),
        Err(fault) => Err(illegal("find", &fault)),
    }
}

/// The first match, or nothing.
pub(crate) fn found<'a>(regex: &Regex, text: &Text<'a>) -> Value<'a> {
    match text {
        Text::Borrowed(text) => Value::from(regex.find(text).map_or("", |part| part.as_str())),
        Text::Shared(text) => {
            let found = regex.find(text).map_or("", |part| part.as_str());
            Value::from(found.to_owned())
        }
    }
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
        Err(fault) => Err(illegal("findAll", &fault)),
    }
}

/// All matches, at most so many; a negative limit is none. Of borrowed text they are borrowed.
pub(crate) fn all_found<'a>(regex: &Regex, text: &Text<'a>, limit: i64) -> Value<'a> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    Value::list(match text {
        Text::Borrowed(text) => {
            let found = regex.find_iter(text).take(most);
            found.map(|part| Value::from(part.as_str())).collect()
        }
        Text::Shared(text) => {
            let found = regex.find_iter(text).take(most);
            let owned = found.map(|part| part.as_str().to_owned());
            owned.map(Value::from).collect()
        }
    })
}
