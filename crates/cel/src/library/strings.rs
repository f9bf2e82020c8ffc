//! Text functions (cel-go, ext/strings.go).
//!
//! Here: search, parts, case, lists of text. Not here: `format` (`formatting`), patterns
//! (`regexes`).
//! Invariant: places are counted in characters.

use super::formatting::format;
use super::quoting::escape;
use super::{Outcome, Row, count, fail, no_overload, text_of};
use crate::value::Value;

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

/// The place of `part` in `text`, not before `from`.
fn find(text: &[char], part: &[char], from: usize) -> Option<usize> {
    let last = text.len().checked_sub(part.len())?;
    (from..=last).find(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(part)))
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
    let text: Vec<char> = text.chars().collect();
    let part: Vec<char> = part.chars().collect();
    if part.is_empty() {
        return Ok(count(start.min(text.len())));
    }
    Ok(find(&text, &part, start).map_or(Value::Int(-1), count))
}

fn last_index_of<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, from) = match arguments {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, Some(*from)),
        _ => return no_overload(),
    };
    let text: Vec<char> = text.chars().collect();
    let part: Vec<char> = part.chars().collect();
    let start = match from.map(|from| (from, usize::try_from(from))) {
        None => text.len(),
        Some((_, Ok(start))) => start,
        Some((from, Err(_))) => return out_of_range(from),
    };
    if part.is_empty() {
        return Ok(count(start.min(text.len())));
    }
    if from.is_some() && start >= text.len() {
        return Ok(Value::Int(-1));
    }
    let Some(last) = text.len().checked_sub(part.len()) else {
        return Ok(Value::Int(-1));
    };
    let found = (0..=start.min(last))
        .rev()
        .find(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(&part)));
    Ok(found.map_or(Value::Int(-1), count))
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
    match arguments {
        [Value::String(text), Value::String(old), Value::String(new)] => {
            Ok(Value::from(text.replace(&**old, new)))
        }
        [
            Value::String(text),
            Value::String(old),
            Value::String(new),
            Value::Int(times),
        ] => Ok(Value::from(match usize::try_from(*times) {
            Ok(times) => text.replacen(&**old, new, times),
            Err(_) => text.replace(&**old, new),
        })),
        _ => no_overload(),
    }
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
    let made = |part: &str| Value::from(part.to_owned());
    if most == 0 {
        return Ok(Value::list(Vec::new()));
    }
    if !separator.is_empty() {
        return Ok(Value::list(
            text.splitn(most, &**separator).map(made).collect(),
        ));
    }
    // Into characters; the last part has the rest.
    let mut parts = Vec::new();
    let mut rest: &str = text;
    while let Some(c) = rest.chars().next() {
        if parts.len().saturating_add(1) == most {
            parts.push(made(rest));
            break;
        }
        let (first, after) = rest.split_at(c.len_utf8());
        parts.push(made(first));
        rest = after;
    }
    Ok(Value::list(parts))
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
    for (place, element) in list.iter().enumerate() {
        let Value::String(part) = &element else {
            let found = match &element {
                // Go prints it as the number that stands for it.
                Value::Null => "0".to_owned(),
                other => text_of(other),
            };
            return fail(format!("join: invalid input: {found}"));
        };
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
