//! Points in time, spans of time, and zones.
//!
//! Here: their text as Go reads and writes it, arithmetic, calendar fields (cel-go,
//! common/types/timestamp.go, duration.go, overflow.go). Not here: the calendar itself
//! (`value::time`).
//! Invariant: a point stays within the years 1 to 9999, a span within 64 bits of nanoseconds.

use super::quoting::quoted;
use super::{Outcome, fail, no_overload};
use crate::value::{Time, Value};
use std::borrow::Cow;

const SECOND: i64 = 1_000_000_000;

/// Reads a span as Go's `time.ParseDuration`: `1h30m`, `-1.5s`.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let whole = digits(rest);
        rest = rest.get(whole.len()..)?;
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            fraction = digits(after);
            rest = after.get(fraction.len()..)?;
        }
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = rest
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end)?;
        rest = after;
        let unit: u64 = match name {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let nanos = whole.checked_mul(unit)?.checked_add(part(fraction, unit))?;
        total = total.checked_add(nanos)?;
        if total > 1 << 63 {
            return None;
        }
    }
    if negative {
        return Some(0_i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).ok()
}

fn digits(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// A fraction of a unit, cut: digits beyond 64 bits do not count.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Go computes it as a double, and so the last digit depends on it"
)]
fn part(fraction: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1.0_f64);
    for digit in fraction.bytes() {
        let next = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(u64::from(digit.wrapping_sub(b'0'))))
            .filter(|v| *v <= 1 << 63);
        let Some(next) = next else { break };
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

/// A span as `string()` writes it: seconds with as many digits as are needed.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "Go's Seconds() is a double"
)]
pub(crate) fn duration_seconds(span: i64) -> String {
    let (seconds, nanos) = (span.wrapping_div(SECOND), span.wrapping_rem(SECOND));
    format!("{}s", seconds as f64 + nanos as f64 / 1e9)
}

/// A span as Go prints it: `1h30m0s`.
#[must_use]
pub(crate) fn duration_text(span: i64) -> String {
    let total = span.unsigned_abs();
    let sign = if span < 0 { "-" } else { "" };
    let decimal = |value: u64, unit: u64| {
        let whole = value.checked_div(unit).unwrap_or(0);
        let width = unit.ilog10();
        let width = usize::try_from(width).unwrap_or(9);
        let fraction = format!("{:0width$}", value.checked_rem(unit).unwrap_or(0));
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() {
            whole.to_string()
        } else {
            format!("{whole}.{fraction}")
        }
    };
    match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(total, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(total, 1_000_000)),
        _ => {
            let minutes = total.wrapping_div(60_000_000_000);
            let seconds = decimal(total.wrapping_rem(60_000_000_000), 1_000_000_000);
            let (hours, rest) = (minutes.wrapping_div(60), minutes.wrapping_rem(60));
            match (hours, rest) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, _) => format!("{sign}{rest}m{seconds}s"),
                _ => format!("{sign}{hours}h{rest}m{seconds}s"),
            }
        }
    }
}

/// Why a text is no point in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoTime {
    /// It is not RFC 3339.
    Format,
    /// It is outside the years 1 to 9999.
    Range,
}

/// Whether so many seconds after 1970 are a point in time.
pub(crate) fn is_timestamp(seconds: i64) -> bool {
    Time::new(seconds, 0).is_some()
}

/// Reads RFC 3339, as Go does: the fraction is cut after nine digits.
pub(crate) fn parse_timestamp(text: &str) -> Result<Time, NoTime> {
    // Go's parser, which the language uses, takes an hour of one digit as well.
    match text.split_at_checked(11) {
        Some((date, clock)) if clock.get(1..2) == Some(":") => {
            parse_strict_timestamp(&format!("{date}0{clock}"))
        }
        _ => parse_strict_timestamp(text),
    }
}

/// A point in time in RFC 3339, every number with all of its digits.
///
/// # Errors
/// It is none, or it is out of range.
pub(super) fn parse_strict_timestamp(text: &str) -> Result<Time, NoTime> {
    let number = |from: usize, to: usize| -> Result<i64, NoTime> {
        let part = text.get(from..to).ok_or(NoTime::Format)?;
        if part.bytes().all(|b| b.is_ascii_digit()) {
            part.parse().map_err(|_| NoTime::Format)
        } else {
            Err(NoTime::Format)
        }
    };
    let expect = |at: usize, letters: &str| {
        let found = text.get(at..at.saturating_add(1)).ok_or(NoTime::Format)?;
        if letters.contains(found) {
            Ok(())
        } else {
            Err(NoTime::Format)
        }
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    for (at, letters) in [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")] {
        expect(at, letters)?;
    }
    let mut rest = text.get(19..).ok_or(NoTime::Format)?;
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let found = digits(fraction);
        if found.is_empty() {
            return Err(NoTime::Format);
        }
        let nine: String = found.chars().chain("000000000".chars()).take(9).collect();
        nanos = nine.parse().map_err(|_| NoTime::Format)?;
        rest = fraction.get(found.len()..).ok_or(NoTime::Format)?;
    }
    let offset = match rest {
        "Z" => 0,
        _ => zone_offset(rest).ok_or(NoTime::Format)?,
    };
    let days = days_of(year, month).ok_or(NoTime::Format)?;
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return Err(NoTime::Format);
    }
    let seconds = crate::value::days_from_civil(year, month, day)
        .saturating_mul(86_400)
        .saturating_add(hour.saturating_mul(3600))
        .saturating_add(minute.saturating_mul(60))
        .saturating_add(second)
        .saturating_sub(offset.into());
    let time = Time::new(seconds, nanos).ok_or(NoTime::Range)?;
    Ok(time.at(offset))
}

/// How many days a month has; nothing where it is none.
pub(super) fn days_of(year: i64, month: i64) -> Option<i64> {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    })
}

/// `+02:00` as seconds.
pub(crate) fn zone_offset(text: &str) -> Option<i32> {
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let two = |part: &str| -> Option<i32> {
        let valid = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if valid { part.parse().ok() } else { None }
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    if hours > 24 || minutes > 60 {
        return None;
    }
    let seconds = hours
        .checked_mul(3600)?
        .checked_add(minutes.checked_mul(60)?)?;
    seconds.checked_mul(sign)
}

/// A point so much later.
pub(super) fn later<'a>(time: Time, span: i64) -> Outcome<'a> {
    let nanos = i64::from(time.nanos).saturating_add(span.wrapping_rem(SECOND));
    let seconds = time
        .seconds
        .saturating_add(span.wrapping_div(SECOND))
        .saturating_add(nanos.div_euclid(SECOND));
    let nanos = u32::try_from(nanos.rem_euclid(SECOND)).unwrap_or(0);
    match Time::new(seconds, nanos) {
        Some(sum) => Ok(Value::Timestamp(sum.at(time.offset))),
        None => fail("timestamp overflow"),
    }
}

/// The span between two points.
pub(super) fn between<'a>(a: Time, b: Time) -> Outcome<'a> {
    let nanos = i64::from(a.nanos).saturating_sub(b.nanos.into());
    let span = a
        .seconds
        .checked_sub(b.seconds)
        .and_then(|seconds| seconds.checked_mul(SECOND))
        .and_then(|span| span.checked_add(nanos));
    span.map_or_else(
        || fail("integer overflow"),
        |span| Ok(Value::Duration(span)),
    )
}

pub(super) fn to_duration<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value @ Value::Duration(_)] => Ok(value.clone()),
        [Value::String(text)] => match parse_duration(text) {
            Some(span) => Ok(Value::Duration(span)),
            None => fail("type conversion error from 'string' to 'google.protobuf.Duration'"),
        },
        _ => no_overload(),
    }
}

pub(super) fn to_timestamp<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value @ Value::Timestamp(_)] => Ok(value.clone()),
        [Value::Int(seconds)] => match Time::new(*seconds, 0) {
            Some(time) => Ok(Value::Timestamp(time)),
            None => fail("timestamp overflow"),
        },
        [Value::String(text)] => match parse_timestamp(text) {
            Ok(time) => Ok(Value::Timestamp(time)),
            Err(NoTime::Range) => fail("timestamp overflow"),
            Err(NoTime::Format) => {
                fail("type conversion error from 'string' to 'google.protobuf.Timestamp'")
            }
        },
        _ => no_overload(),
    }
}

/// Seconds east of UTC of a zone at a point: `-08:00`, `02:30`, or a name of the tz database.
fn offset_of(zone: &str, time: Time) -> Result<i64, String> {
    if let Some((hours, minutes)) = zone.split_once(':') {
        let (hours, minutes) = (go_number(hours)?, go_number(minutes)?);
        let hours = hours.wrapping_mul(60);
        return Ok(east(if zone.starts_with('-') {
            hours.wrapping_sub(minutes)
        } else {
            hours.wrapping_add(minutes)
        }));
    }
    // "Local" is the zone of the API server, which is in a container as a rule.
    if matches!(zone, "" | "UTC" | "Local") {
        return Ok(0);
    }
    if zone.contains("..") || zone.starts_with(['/', '\\']) {
        return Err("time: invalid location name".to_owned());
    }
    if zone.contains('\0') {
        return Err("invalid argument".to_owned());
    }
    let unknown = || format!("unknown time zone {zone}");
    // Names are files for Go, so case counts, and `Asia//Tokyo` is `Asia/Tokyo`.
    let name = plain_path(zone);
    let found = jiff::tz::TimeZone::get(&name).map_err(|_| unknown())?;
    if found.iana_name() != Some(&*name) {
        return Err(unknown());
    }
    let (first, last) = (
        jiff::Timestamp::MIN.as_second(),
        jiff::Timestamp::MAX.as_second(),
    );
    let at =
        jiff::Timestamp::from_second(time.seconds.clamp(first, last)).map_err(|_| unknown())?;
    Ok(found.to_offset(at).seconds().into())
}

/// A number as Go's `strconv.Atoi` reads it.
fn go_number(text: &str) -> Result<i64, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse::<i64>().map_err(|error| {
        let why = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.Atoi: parsing {}: {why}", quoted(text))
    })
}

/// Minutes as seconds. Go makes a span of nanoseconds of them, which begins anew where it is too long,
/// and a double of that (src/time/time.go, `Seconds`).
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "rounded as there"
)]
fn east(minutes: i64) -> i64 {
    let span = minutes.wrapping_mul(60 * SECOND);
    let (seconds, nanos) = (span.wrapping_div(SECOND), span.wrapping_rem(SECOND));
    (seconds as f64 + nanos as f64 / 1e9) as i64
}

/// A path without parts that lead nowhere; one that ends in `/` is no file.
fn plain_path(path: &str) -> Cow<'_, str> {
    let is_idle = |part: &str| matches!(part, "" | ".");
    if path.ends_with('/') || !path.split('/').any(is_idle) {
        return Cow::Borrowed(path);
    }
    let parts: Vec<_> = path.split('/').filter(|part| !is_idle(part)).collect();
    Cow::Owned(parts.join("/"))
}

fn field<'a>(
    arguments: &[Value<'a>],
    read: fn(Time, i64) -> i64,
    span: Option<fn(i64) -> i64>,
) -> Outcome<'a> {
    match (arguments, span) {
        ([Value::Timestamp(time)], _) => Ok(Value::Int(read(*time, 0))),
        ([Value::Timestamp(time), Value::String(zone)], _) => match offset_of(zone, *time) {
            Ok(offset) => Ok(Value::Int(read(*time, offset))),
            Err(error) => fail(error),
        },
        ([Value::Duration(length)], Some(span)) => Ok(Value::Int(span(*length))),
        _ => no_overload(),
    }
}

pub(super) fn full_year<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    field(arguments, |time, offset| time.civil(offset).year, None)
}

pub(super) fn month<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    field(
        arguments,
        |time, offset| time.civil(offset).month.saturating_sub(1),
        None,
    )
}

pub(super) fn day_of_year<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    field(
        arguments,
        |time, offset| time.civil(offset).day_of_year,
        None,
    )
}

pub(super) fn day_of_month<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    field(
        arguments,
        |time, offset| time.civil(offset).day.saturating_sub(1),
        None,
    )
}

pub(super) fn date<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    field(arguments, |time, offset| time.civil(offset).day, None)
}

pub(super) fn day_of_week<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    field(arguments, |time, offset| time.civil(offset).weekday, None)
}

/// How many whole units of so many nanoseconds a span has. Go computes it as a double, in which what
/// is missing of a unit may be lost (src/time/time.go, `Hours`, `Minutes`, `Seconds`).
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "rounded as there; what is rounded is not greater than what was given"
)]
fn whole(span: i64, unit: i64) -> i64 {
    let units = span.checked_div(unit).unwrap_or_default();
    let rest = span.checked_rem(unit).unwrap_or_default();
    (units as f64 + rest as f64 / unit as f64) as i64
}

pub(super) fn hours<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let span: fn(i64) -> i64 = |span| whole(span, 3600 * SECOND);
    field(
        arguments,
        |time, offset| time.civil(offset).hour,
        Some(span),
    )
}

pub(super) fn minutes<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let span: fn(i64) -> i64 = |span| whole(span, 60 * SECOND);
    field(
        arguments,
        |time, offset| time.civil(offset).minute,
        Some(span),
    )
}

pub(super) fn seconds<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let span: fn(i64) -> i64 = |span| whole(span, SECOND);
    field(
        arguments,
        |time, offset| time.civil(offset).second,
        Some(span),
    )
}

pub(super) fn milliseconds<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let span: fn(i64) -> i64 = |span| span.wrapping_div(1_000_000);
    field(
        arguments,
        |time, _| i64::from(time.nanos.wrapping_div(1_000_000)),
        Some(span),
    )
}
