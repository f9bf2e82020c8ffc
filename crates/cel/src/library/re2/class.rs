//! Characters, escapes and classes of characters.
//!
//! Here: `\x41`, `\d`, `\pL`, `[[:alpha:]a-z]`. Not here: what they are part of (`re2`).
//! Invariant: Perl's and POSIX' classes are ASCII; what is no scalar value matches nothing.

use super::{Fault, names, until};
use std::cmp::Ordering;

/// A class that matches nothing.
const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// A character as a pattern of its own.
pub(super) fn literal(c: u32, any_case: bool) -> String {
    let Some(c) = char::from_u32(c) else {
        return NOTHING.to_owned();
    };
    let mut buffer = [0; 4];
    let text = regex::escape(c.encode_utf8(&mut buffer));
    let folds = c.is_alphabetic() || !c.is_ascii();
    if any_case && folds && !is_alone(c) {
        format!("(?i:{text})")
    } else {
        text
    }
}

/// Characters that Go's Unicode 15 knows no other case of, and the regex crate's Unicode 16 does: those
/// that came later, what they are the other case of, and ligatures.
const ALONE: &[(u32, u32)] = &[
    (0x19b, 0x19b),
    (0x264, 0x264),
    (0x390, 0x390),
    (0x3b0, 0x3b0),
    (0x1c89, 0x1c8a),
    (0x1fd3, 0x1fd3),
    (0x1fe3, 0x1fe3),
    (0xa7cb, 0xa7cd),
    (0xa7da, 0xa7dc),
    (0xfb05, 0xfb06),
    (0x10d50, 0x10d65),
    (0x10d70, 0x10d85),
];

fn is_alone(c: char) -> bool {
    let c = u32::from(c);
    ALONE.iter().any(|(low, high)| (*low..=*high).contains(&c))
}

/// A set as a pattern of its own. In any case it is its other cases as well, but for those that only
/// the regex crate knows: of these characters it has the ones that it has by itself.
pub(super) fn alone(set: &str, any_case: bool) -> String {
    if !any_case {
        return set.to_owned();
    }
    // Of ASCII alone there is nothing to leave out.
    if set.is_ascii() && !set.contains(r"\x{") && !set.contains(r"\p") {
        return format!("(?i:{set})");
    }
    let mut lonely = String::new();
    for (low, high) in ALONE {
        push_range(&mut lonely, *low, *high);
    }
    format!("(?:(?i:[{set}--[{lonely}]])|[{set}&&[{lonely}]])")
}

/// `\d`, `\pL` and their like at the start of a text, as a bracketed set, and what follows.
pub(super) fn set(text: &str) -> Result<Option<(String, &str)>, Fault> {
    let mut letters = text.chars();
    if letters.next() != Some('\\') {
        return Ok(None);
    }
    let Some(letter) = letters.next() else {
        return Ok(None);
    };
    let rest = letters.as_str();
    let set = match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => r"[\t\n\x0c\r ]",
        'S' => r"[^\t\n\x0c\r ]",
        'p' | 'P' => return unicode(text, rest, letter == 'P'),
        _ => return Ok(None),
    };
    Ok(Some((set.to_owned(), rest)))
}

/// `\pL`, `\p{Greek}`, `\P{^Lu}`.
fn unicode<'a>(
    text: &'a str,
    rest: &'a str,
    mut negated: bool,
) -> Result<Option<(String, &'a str)>, Fault> {
    let mut letters = rest.chars();
    let (name, rest) = match letters.next() {
        // As Go has it: no name is read as one of no letters.
        None => ("", ""),
        Some('{') => match letters.as_str().split_once('}') {
            Some(found) => found,
            None => return Err(Fault::new("invalid character class range", text)),
        },
        Some(_) => (until(rest, letters.as_str()), letters.as_str()),
    };
    let wrong = || Fault::new("invalid character class range", until(text, rest));
    let name = match name.strip_prefix('^') {
        Some(name) => {
            negated = !negated;
            name
        }
        None => name,
    };
    let name = names::known(name).ok_or_else(wrong)?;
    let negation = if negated { "^" } else { "" };
    // Go has the characters of Unicode 15, the regex crate those of 16, which has one of these in
    // another category.
    let set = match name {
        "Cs" => r"&&[^\x{0}-\x{10FFFF}]".to_owned(),
        "Any" | "ASCII" => format!(r"\p{{{name}}}"),
        "C" | "Cn" => format!(r"\p{{{name}}}\P{{Age:15.0}}"),
        "Mc" => r"[[\p{Mc}&&\p{Age:15.0}]--\x{1171e}]".to_owned(),
        "Mn" => r"[\p{Mn}&&\p{Age:15.0}]\x{1171e}".to_owned(),
        name => format!(r"[\p{{{name}}}&&\p{{Age:15.0}}]"),
    };
    Ok(Some((format!("[{negation}{set}]"), rest)))
}

/// The character that an escape stands for, and what follows.
pub(super) fn escaped(text: &str) -> Result<(u32, &str), Fault> {
    let mut letters = text.chars();
    letters.next();
    let Some(letter) = letters.next() else {
        return Err(Fault::new("trailing backslash at end of expression", ""));
    };
    let rest = letters.as_str();
    let octal = |text: &str| text.starts_with(|c: char| c.is_digit(8));
    let code = match letter {
        '1'..='7' if !octal(rest) => None,
        '0'..='7' => {
            let mut value = letter.to_digit(8).unwrap_or_default();
            for _ in 1..3 {
                if let Some(digit) = letters.clone().next().and_then(|c| c.to_digit(8)) {
                    letters.next();
                    value = value.saturating_mul(8).saturating_add(digit);
                } else {
                    break;
                }
            }
            Some(value)
        }
        'x' => hexadecimal(&mut letters),
        'a' => Some(7),
        'f' => Some(12),
        'n' => Some(10),
        'r' => Some(13),
        't' => Some(9),
        'v' => Some(11),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c.into()),
        _ => None,
    };
    let rest = letters.as_str();
    code.map(|code| (code, rest))
        .ok_or_else(|| Fault::new("invalid escape sequence", until(text, rest)))
}

/// `41` or `{263A}`; nothing where it is neither.
fn hexadecimal(letters: &mut std::str::Chars<'_>) -> Option<u32> {
    let first = letters.next()?;
    if first != '{' {
        let second = letters.next()?.to_digit(16)?;
        return Some(
            first
                .to_digit(16)?
                .saturating_mul(16)
                .saturating_add(second),
        );
    }
    let mut value: Option<u32> = None;
    loop {
        let c = letters.next()?;
        if c == '}' {
            return value;
        }
        let digit = c.to_digit(16)?;
        let before = value.unwrap_or_default().saturating_mul(16);
        value = Some(before.saturating_add(digit)).filter(|value| *value <= 0x0010_ffff);
        value?;
    }
}

/// A class in brackets at the start of a text, and what follows.
pub(super) fn bracketed(text: &str, any_case: bool) -> Result<(String, &str), Fault> {
    let inside = text.strip_prefix('[').unwrap_or(text);
    let (negation, mut rest) = match inside.strip_prefix('^') {
        Some(rest) => ("^", rest),
        None => ("", inside),
    };
    let mut made = String::new();
    let mut first = true;
    loop {
        if !first && let Some(after) = rest.strip_prefix(']') {
            let set = match (made.is_empty(), negation) {
                (true, "") => NOTHING.to_owned(),
                (true, _) => r"[\x{0}-\x{10FFFF}]".to_owned(),
                (false, negation) => format!("[{negation}{made}]"),
            };
            return Ok((alone(&set, any_case), after));
        }
        first = false;
        if let Some((set, after)) = posix(rest)? {
            made.push_str(&set);
            rest = after;
            continue;
        }
        if let Some((set, after)) = set(rest)? {
            made.push_str(&set);
            rest = after;
            continue;
        }
        let (low, after) = character(rest, text)?;
        let mut high = low;
        let range = rest;
        rest = after;
        // A dash before the closing bracket is itself.
        if let Some(after) = rest.strip_prefix('-')
            && !after.is_empty()
            && !after.starts_with(']')
        {
            (high, rest) = character(after, text)?;
            if high < low {
                let range = until(range, rest);
                return Err(Fault::new("invalid character class range", range));
            }
        }
        push_range(&mut made, low, high);
    }
}

fn character<'a>(text: &'a str, whole: &str) -> Result<(u32, &'a str), Fault> {
    let mut letters = text.chars();
    match letters.next() {
        None => Err(Fault::new("missing closing ]", whole)),
        Some('\\') => escaped(text),
        Some(c) => Ok((c.into(), letters.as_str())),
    }
}

/// Adds a range without the surrogates, which no text has.
fn push_range(made: &mut String, low: u32, high: u32) {
    for (low, high) in [(low, high.min(0xd7ff)), (low.max(0xe000), high)] {
        let range = match low.cmp(&high) {
            Ordering::Less => format!(r"\x{{{low:x}}}-\x{{{high:x}}}"),
            Ordering::Equal => format!(r"\x{{{low:x}}}"),
            Ordering::Greater => continue,
        };
        made.push_str(&range);
    }
}

/// `[:alpha:]` at the start of a text.
fn posix(text: &str) -> Result<Option<(String, &str)>, Fault> {
    let Some((name, rest)) = text
        .strip_prefix("[:")
        .and_then(|inside| inside.split_once(":]"))
    else {
        return Ok(None);
    };
    let (negation, plain) = match name.strip_prefix('^') {
        Some(plain) => ("^", plain),
        None => ("", name),
    };
    let set = match plain {
        "alnum" => "0-9A-Za-z",
        "alpha" => "A-Za-z",
        "ascii" => r"\x00-\x7f",
        "blank" => r"\t ",
        "cntrl" => r"\x00-\x1f\x7f",
        "digit" => "0-9",
        "graph" => "!-~",
        "lower" => "a-z",
        "print" => " -~",
        "punct" => r"!-/:-@\[-`{-~",
        "space" => r"\t\n\x0b\x0c\r ",
        "upper" => "A-Z",
        "word" => "0-9A-Za-z_",
        "xdigit" => "0-9A-Fa-f",
        _ => {
            let name = until(text, rest);
            return Err(Fault::new("invalid character class range", name));
        }
    };
    Ok(Some((format!("[{negation}{set}]"), rest)))
}
