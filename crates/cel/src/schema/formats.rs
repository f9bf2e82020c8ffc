//! Texts that a schema gives a format: spans, points in time, dates, bytes.
//!
//! Here: how each is read, and the words where it can't be (k8s.io/kube-openapi,
//! pkg/validation/strfmt; Go 1.26, time/format.go, encoding/base64). Not here: which format a
//! schema has (`read`), the same texts as arguments of functions (`library::times`).
//! Invariant: what is no value of its format is an error, never a value near it.

use crate::library::times::parse_duration;
use crate::value::{Time, days_from_civil};

/// Units that spans may be written in beside Go's own, the longest name of each last: that one
/// may go on with other letters.
const UNITS: [(&[&str], i64); 8] = [
    (&["ns", "nano"], 1),
    (&["us", "µs", "micro"], 1_000),
    (&["ms", "milli"], 1_000_000),
    (&["s", "sec"], 1_000_000_000),
    (&["m", "min"], 60_000_000_000),
    (&["h", "hr", "hour"], 3_600_000_000_000),
    (&["d", "day"], 86_400_000_000_000),
    (&["w", "wk", "week"], 604_800_000_000_000),
];

/// Reads a span: `1h30m` as Go writes it, or `2 days`.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    if let Some(span) = parse_duration(text) {
        return Ok(span);
    }
    let mut span = 0_i64;
    let mut known = false;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let from = rest.get(start..).unwrap_or_default();
        let (digits, after) = split(from, |c| c.is_ascii_digit());
        let (_, after_space) = split(after, |c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}'));
        let (unit, next) = split(after_space, |c| c.is_ascii_alphabetic() || c == 'µ');
        rest = next;
        if unit.is_empty() {
            continue;
        }
        let Ok(factor) = digits.parse::<i64>() else {
            return Err(format!(
                "strconv.Atoi: parsing {}: value out of range",
                quoted(digits)
            ));
        };
        let unit = unit.to_lowercase();
        for (names, nanos) in UNITS {
            let last = names.last().is_some_and(|name| unit.starts_with(name));
            if last || names.contains(&unit.as_str()) {
                known = true;
                span = span.wrapping_add(factor.wrapping_mul(nanos));
            }
        }
    }
    if known {
        return Ok(span);
    }
    Err(format!("unable to parse {text} as duration"))
}

fn split(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Reads a date.
pub(super) fn date(text: &str) -> Result<Time, String> {
    Layout::DATE.parse(text)
}

/// Reads a point in time; without a zone it is UTC, and no text at all is the start of 1970.
pub(super) fn date_time(text: &str) -> Result<Time, String> {
    if text.is_empty() {
        return Ok(Time {
            seconds: 0,
            nanos: 0,
            offset: 0,
        });
    }
    // The last layout words the error.
    Layout::ZONED
        .parse(text)
        .or_else(|_| Layout::LOCAL.parse(text))
}

/// A layout of Go's `time.Parse`.
struct Layout {
    text: &'static str,
    /// What stands before each part, and the part.
    parts: &'static [(&'static str, Part)],
    zone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

const TIME: &[(&str, Part)] = &[
    ("", Part::Year),
    ("-", Part::Month),
    ("-", Part::Day),
    ("T", Part::Hour),
    (":", Part::Minute),
    (":", Part::Second),
];

impl Layout {
    const DATE: Self = Self {
        text: "2006-01-02",
        parts: &[("", Part::Year), ("-", Part::Month), ("-", Part::Day)],
        zone: false,
    };
    const ZONED: Self = Self {
        text: "2006-01-02T15:04:05Z07:00",
        parts: TIME,
        zone: true,
    };
    const LOCAL: Self = Self {
        text: "2006-01-02T15:04:05",
        parts: TIME,
        zone: false,
    };

    fn parse(&self, text: &str) -> Result<Time, String> {
        let cannot = |rest: &str, part: &str| {
            let (text, layout) = (quoted(text), quoted(self.text));
            let (rest, part) = (quoted(rest), quoted(part));
            format!("parsing time {text} as {layout}: cannot parse {rest} as {part}")
        };
        let out_of_range =
            |what: &str| format!("parsing time {}: {what} out of range", quoted(text));
        let mut found = [0_i64; 6];
        let mut rest = text;
        for ((before, part), place) in self.parts.iter().zip(&mut found) {
            let from = rest
                .strip_prefix(before)
                .ok_or_else(|| cannot(rest, before))?;
            let (number, after) = part.read(from).ok_or_else(|| cannot(from, part.layout()))?;
            if !part.range().contains(&number) {
                return Err(out_of_range(part.name()));
            }
            *place = number;
            rest = after;
        }
        let (nanos, after) = fraction(rest);
        if self.parts.len() == TIME.len() {
            rest = after;
        }
        let mut offset = 0;
        if self.zone {
            (offset, rest) = zone(rest).ok_or_else(|| cannot(rest, "Z07:00"))?;
        }
        if !rest.is_empty() {
            let (text, rest) = (quoted(text), quoted(rest));
            return Err(format!("parsing time {text}: extra text: {rest}"));
        }
        let [year, month, day, hour, minute, second] = found;
        if !(1..=days_of(year, month)).contains(&day) {
            return Err(out_of_range("day"));
        }
        let seconds = days_from_civil(year, month, day)
            .saturating_mul(86_400)
            .saturating_add(hour.saturating_mul(3600))
            .saturating_add(minute.saturating_mul(60))
            .saturating_add(second)
            .saturating_sub(offset.into());
        Ok(Time {
            seconds,
            nanos,
            offset,
        })
    }
}

impl Part {
    fn layout(self) -> &'static str {
        match self {
            Self::Year => "2006",
            Self::Month => "01",
            Self::Day => "02",
            Self::Hour => "15",
            Self::Minute => "04",
            Self::Second => "05",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        }
    }

    /// What is looked at at once; whether a month has a day is known only at the end.
    fn range(self) -> std::ops::RangeInclusive<i64> {
        match self {
            Self::Year | Self::Day => 0..=9999,
            Self::Month => 1..=12,
            Self::Hour => 0..=23,
            Self::Minute | Self::Second => 0..=59,
        }
    }

    /// The number, and what follows it.
    fn read(self, text: &str) -> Option<(i64, &str)> {
        let (digits, _) = split(text, |c| c.is_ascii_digit());
        let length = match self {
            Self::Year => 4,
            // An hour may have one digit.
            Self::Hour => digits.len().min(2),
            Self::Month | Self::Day | Self::Minute | Self::Second => 2,
        };
        let (number, rest) = text.split_at_checked(length)?;
        let whole = length > 0 && number.bytes().all(|b| b.is_ascii_digit());
        whole.then(|| Some((number.parse().ok()?, rest))).flatten()
    }
}

/// A fraction of a second in nanoseconds, cut after nine digits.
fn fraction(text: &str) -> (u32, &str) {
    let Some(after) = text.strip_prefix(['.', ',']) else {
        return (0, text);
    };
    let (digits, rest) = split(after, |c| c.is_ascii_digit());
    if digits.is_empty() {
        return (0, text);
    }
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    (nine.parse().unwrap_or(0), rest)
}

/// Seconds east of UTC.
fn zone(text: &str) -> Option<(i32, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let (zone, rest) = text.split_at_checked(6)?;
    Some((crate::library::times::zone_offset(zone)?, rest))
}

fn days_of(year: i64, month: i64) -> i64 {
    let next = if month == 12 {
        (year.saturating_add(1), 1)
    } else {
        (year, month.saturating_add(1))
    };
    days_from_civil(next.0, next.1, 1).saturating_sub(days_from_civil(year, month, 1))
}

/// A text as Go's errors of times quote it.
fn quoted(text: &str) -> String {
    let mut made = String::from("\"");
    for letter in text.chars() {
        if letter.is_ascii() && letter >= ' ' {
            if matches!(letter, '"' | '\\') {
                made.push('\\');
            }
            made.push(letter);
            continue;
        }
        for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
            made.push_str("\\x");
            for digit in [byte.wrapping_shr(4), byte & 15] {
                made.extend(char::from_digit(digit.into(), 16));
            }
        }
    }
    made.push('"');
    made
}

/// Reads bytes in base64 with the letters for URLs, padded.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let corrupt = |at: usize| format!("illegal base64 data at input byte {at}");
    let mut made = Vec::with_capacity(text.len());
    // Line ends count for the place of an error, and for nothing else.
    let letters: Vec<_> = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| !matches!(byte, b'\n' | b'\r'))
        .collect();
    for quantum in letters.chunks(4) {
        let mut bits = 0_u32;
        let mut known = 0_usize;
        for (_, letter) in quantum {
            let Some(value) = sextet(*letter) else { break };
            bits = (bits << 6) | value;
            known = known.saturating_add(1);
        }
        let rest = quantum.get(known..).unwrap_or_default();
        match (known, rest) {
            (4, _) => {}
            (2, [(_, b'='), (_, b'=')]) | (3, [(_, b'=')]) => {}
            (_, []) => return Err(corrupt(text.len().saturating_sub(known))),
            (2, [(_, b'=')]) => return Err(corrupt(text.len())),
            (2, [(_, b'='), (at, _)]) => return Err(corrupt(at.saturating_sub(1))),
            (_, [(at, _), ..]) => return Err(corrupt(*at)),
        }
        let missing = 4_usize.saturating_sub(known);
        let bits = bits << missing.saturating_mul(6);
        let [_, a, b, c] = bits.to_be_bytes();
        made.extend([a, b, c].into_iter().take(known.saturating_sub(1)));
        if known < 4
            && let Some((last, _)) = quantum.last()
            && let Some((next, _)) = letters.iter().find(|(at, _)| at > last)
        {
            return Err(corrupt(*next));
        }
    }
    Ok(made)
}

fn sextet(letter: u8) -> Option<u32> {
    let from = |first: u8, base: u32| u32::from(letter.wrapping_sub(first)).saturating_add(base);
    match letter {
        b'A'..=b'Z' => Some(from(b'A', 0)),
        b'a'..=b'z' => Some(from(b'a', 26)),
        b'0'..=b'9' => Some(from(b'0', 52)),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}
