//! Regular expressions as RE2 has them.
//!
//! Here: patterns, `matches`, `find`, `findAll`. Not here: caching of patterns that stand in an
//! expression (`plan`).
//! Invariant: classes such as `\d` and word boundaries are ASCII, as in RE2; time is linear in
//! the text.

use super::{Outcome, Row, no_overload};
use crate::eval::EvalError;
use crate::value::{Text, Value};
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

/// The steps of compiling a pattern, as far as its text tells: each expression costs some, as often
/// as it is repeated, and a class of Unicode is hundreds of them.
pub(crate) fn effort(pattern: &str) -> u64 {
    const BASE: u64 = 5_000;
    const EXPRESSION: u64 = 100;
    // As many as the bound on the automaton's memory lets be made.
    const MOST: u64 = 40_000;
    let mut groups: Vec<u64> = Vec::new();
    let (mut sum, mut last) = (0_u64, 0_u64);
    let mut letters = pattern.chars();
    while let Some(c) = letters.next() {
        last = match c {
            '\\' => match letters.next() {
                Some('p' | 'P') => 400,
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

/// Whether `3}`, `3,}` or `3,5}` follows an opening bracket.
fn is_repetition(rest: &str) -> bool {
    // What follows may be long, and there may be many brackets.
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ','));
    let Some((inside, after)) = end.and_then(|end| rest.split_at_checked(end)) else {
        return false;
    };
    if !after.starts_with('}') {
        return false;
    }
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
                // No class has a longer name.
                let name = rest.as_str().char_indices().nth(16).map(|(at, _)| at);
                let near = rest.as_str().get(..name.unwrap_or(rest.as_str().len()));
                let end = near
                    .and_then(|near| near.find(":]"))
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
