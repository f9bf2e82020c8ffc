//! Text functions (cel-go, ext/strings.go).
//!
//! Here: search, parts, case, lists of text. Not here: `format` (`formatting`), patterns
//! (`regexes`).
//! Invariant: places are counted in characters.

use super::formatting::format;
use super::quoting::escape;
use super::{Outcome, Row, count, fail, no_overload, text_of};
use crate::eval::EvalError;
use crate::value::{TEXT_LIMIT, Text, Value};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "charAt", run: char_at, overloads: &[("string_char_at_int", "string.(int) -> string")] },
    Row { name: "indexOf", run: index_of, overloads: &[
        ("string_index_of_string", "string.(string) -> int"), ("string_index_of_string_int", "string.(string, int) -> int"),
    ] },
    Row { name: "lastIndexOf", run: last_index_of, overloads: &[
        ("string_last_index_of_string", "string.(string) -> int"), ("string_last_index_of_string_int", "string.(string, int) -> int"),
    ] },
    Row { name: "lowerAscii", run: lower, overloads: &[("string_lower_ascii", "string.() -> string")] },
    Row { name: "upperAscii", run: upper, overloads: &[("string_upper_ascii", "string.() -> string")] },
    Row { name: "replace", run: replace, overloads: &[
        ("string_replace_string_string", "string.(string, string) -> string"), ("string_replace_string_string_int", "string.(string, string, int) -> string"),
    ] },
    Row { name: "split", run: split, overloads: &[
        ("string_split_string", "string.(string) -> list(string)"), ("string_split_string_int", "string.(string, int) -> list(string)"),
    ] },
    Row { name: "substring", run: substring, overloads: &[
        ("string_substring_int", "string.(int) -> string"), ("string_substring_int_int", "string.(int, int) -> string"),
    ] },
    Row { name: "trim", run: trim, overloads: &[("string_trim", "string.() -> string")] },
    Row { name: "format", run: format, overloads: &[("string_format", "string.(list(dyn)) -> string")] },
    Row { name: "strings.quote", run: quote, overloads: &[("strings_quote", "(string) -> string")] },
    Row { name: "join", run: join, overloads: &[
        ("list_join", "list(string).() -> string"), ("list_join_string", "list(string).(string) -> string"),
    ] },
];

#[rustfmt::skip]
pub(super) const SPECIFICATION: &[Row] = &[
    Row { name: "format", run: super::formatting::format_as_specified, overloads: &[] },
    Row { name: "indexOf", run: in_range, overloads: &[] },
    Row { name: "lastIndexOf", run: in_range, overloads: &[] },
    Row { name: "reverse", run: reverse, overloads: &[("string_reverse", "string.() -> string")] },
];

/// The specification refuses a place behind the end, where Kubernetes finds nothing.
fn in_range<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text), Value::String(_), Value::Int(from)]
            if usize::try_from(*from).is_ok_and(|from| from > text.characters()) =>
        {
            out_of_range(*from)
        }
        _ => no_overload(),
    }
}

fn out_of_range<'a>(place: i64) -> Outcome<'a> {
    fail(format!("index out of range: {place}"))
}

fn char_at<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::Int(place)] = arguments else {
        return no_overload();
    };
    let at = usize::try_from(*place).ok();
    match at.map(|at| (at, text.chars().nth(at))) {
        Some((_, Some(c))) => Ok(Value::from(c.to_string())),
        Some((at, None)) if at == text.characters() => Ok(Value::from("")),
        _ => out_of_range(*place),
    }
}

/// Where the character at this place begins; the end where there are fewer.
fn byte_of(text: &str, place: usize) -> usize {
    text.char_indices()
        .nth(place)
        .map_or(text.len(), |(at, _)| at)
}

/// The place of the character that begins here.
fn place_of<'a>(text: &str, at: Option<usize>) -> Value<'a> {
    at.and_then(|at| text.get(..at))
        .map_or(Value::Int(-1), |before| count(before.chars().count()))
}

fn index_of<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, from) = match arguments {
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, *from),
        _ => return no_overload(),
    };
    let Ok(start) = usize::try_from(from) else {
        return out_of_range(from);
    };
    if part.is_empty() {
        return Ok(count(start.min(text.characters())));
    }
    let first = byte_of(text, start);
    let found = text.get(first..).and_then(|rest| rest.find(&**part));
    Ok(place_of(text, found.map(|at| at.saturating_add(first))))
}

fn last_index_of<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, from) = match arguments {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, Some(*from)),
        _ => return no_overload(),
    };
    let length = text.characters();
    let start = match from.map(|from| (from, usize::try_from(from))) {
        None => length,
        Some((_, Ok(start))) => start,
        Some((from, Err(_))) => return out_of_range(from),
    };
    if part.is_empty() {
        return Ok(count(start.min(length)));
    }
    if from.is_some() && start >= length {
        return Ok(Value::Int(-1));
    }
    // The last one that may begin at the start.
    let end = byte_of(text, start).saturating_add(part.len());
    let end = end.min(text.len());
    // No part ends within a character.
    let whole = (0..=end).rev().find(|end| text.is_char_boundary(*end));
    let within = whole.and_then(|end| text.get(..end));
    Ok(place_of(text, within.and_then(|text| text.rfind(&**part))))
}

fn lower<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => Ok(Value::from(text.to_ascii_lowercase())),
        _ => no_overload(),
    }
}

fn upper<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => Ok(Value::from(text.to_ascii_uppercase())),
        _ => no_overload(),
    }
}

fn replace<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, old, new, times) = match arguments {
        [Value::String(text), Value::String(old), Value::String(new)] => (text, old, new, -1),
        [
            Value::String(text),
            Value::String(old),
            Value::String(new),
            Value::Int(times),
        ] => (text, old, new, *times),
        _ => return no_overload(),
    };
    let times = usize::try_from(times).unwrap_or(usize::MAX);
    // It is paid for by the length of the text, but what is put in may be as long.
    if new.len() > old.len() {
        let found = text.matches(&**old).take(times).count();
        if found.saturating_mul(new.len()) > TEXT_LIMIT {
            return Err(EvalError::limit());
        }
    }
    Ok(Value::from(text.replacen(&**old, new, times)))
}

fn split<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, separator, limit) = match arguments {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [
            Value::String(text),
            Value::String(separator),
            Value::Int(limit),
        ] => (text, separator, *limit),
        _ => return no_overload(),
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Value::list(match text {
        // Parts of what is borrowed are borrowed.
        Text::Borrowed(text) => parts(text, separator, most).map(Value::from).collect(),
        Text::Shared(text) => parts(text, separator, most)
            .map(|part| Value::from(part.to_owned()))
            .collect(),
    }))
}

/// The parts between separators, at most so many; the last one has the rest. Without a separator
/// each character is a part.
fn parts<'t>(
    text: &'t str,
    separator: &str,
    most: usize,
) -> Box<dyn Iterator<Item = &'t str> + 't> {
    if !separator.is_empty() {
        let separator = separator.to_owned();
        let mut rest = Some(text).filter(|_| most > 0);
        let mut left = most;
        return Box::new(std::iter::from_fn(move || {
            let text = rest?;
            left = left.saturating_sub(1);
            let split = if left == 0 {
                None
            } else {
                text.split_once(separator.as_str())
            };
            rest = split.map(|(_, after)| after);
            Some(split.map_or(text, |(part, _)| part))
        }));
    }
    let mut rest = text;
    let mut left = most;
    Box::new(std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        let first = rest.chars().next()?;
        let end = if left == 0 {
            rest.len()
        } else {
            first.len_utf8()
        };
        let (part, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(part)
    }))
}

fn substring<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, start, end) = match arguments {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return no_overload(),
    };
    if let Some(end) = end.filter(|end| start > *end) {
        return fail(format!(
            "invalid substring range. start: {start}, end: {end}"
        ));
    }
    let length = text.characters();
    let place = |at: i64| usize::try_from(at).ok().filter(|at| *at <= length);
    let Some(first) = place(start) else {
        return out_of_range(start);
    };
    let last = match end.map(|end| (end, place(end))) {
        None => length,
        Some((_, Some(last))) => last,
        Some((end, None)) => return out_of_range(end),
    };
    let part = text.chars().skip(first).take(last.saturating_sub(first));
    Ok(Value::from(part.collect::<String>()))
}

fn trim<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => Ok(Value::from(text.trim().to_owned())),
        _ => no_overload(),
    }
}

fn quote<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else {
        return no_overload();
    };
    let mut made = String::from("\"");
    for c in text.chars() {
        match escape(c) {
            Some(escape) => made.push_str(escape),
            None => made.push(c),
        }
    }
    made.push('"');
    Ok(Value::from(made))
}

fn join<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (list, separator) = match arguments {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return no_overload(),
    };
    let mut joined = String::new();
    let more = |joined: &String, part: &str| joined.len().saturating_add(part.len()) > TEXT_LIMIT;
    for (place, element) in list.iter().enumerate() {
        let Value::String(part) = &element else {
            let found = match &element {
                // Go prints it as the number that stands for it.
                Value::Null => "0".to_owned(),
                other => text_of(other),
            };
            return fail(format!("join: invalid input: {found}"));
        };
        if more(&joined, separator) || more(&joined, part) {
            return Err(EvalError::limit());
        }
        if place > 0 {
            joined.push_str(separator);
        }
        joined.push_str(part);
    }
    Ok(Value::from(joined))
}

fn reverse<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => Ok(Value::from(text.chars().rev().collect::<String>())),
        _ => no_overload(),
    }
}
