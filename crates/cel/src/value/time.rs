//! A point in time, with the offset that it was written with.
//!
//! Here: the point, its calendar fields, its text. Not here: parsing and zones
//! (`library::times`).
//! Invariant: years 1 to 9999, but for what an expression makes as a message: that may be any second.

use std::cmp::Ordering;
use std::fmt;

/// First second: 0001-01-01T00:00:00Z.
pub(crate) const FIRST_SECOND: i64 = -62_135_596_800;
/// Last second: 9999-12-31T23:59:59Z.
pub(crate) const LAST_SECOND: i64 = 253_402_300_799;
const DAY: i64 = 86_400;

/// A point in time. Two are equal when they are the same point, whatever their offsets.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub(crate) seconds: i64,
    /// Nanoseconds of that second, below 1,000,000,000.
    pub(crate) nanos: u32,
    /// Seconds east of UTC that it is written with.
    pub(crate) offset: i32,
}

/// Date and time of day at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    /// 0 (Sunday) to 6.
    pub(crate) weekday: i64,
    /// 0 to 365.
    pub(crate) day_of_year: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 {
        year.saturating_sub(1)
    } else {
        year
    };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = month.saturating_add(9).rem_euclid(12);
    let of_year = shifted
        .saturating_mul(153)
        .saturating_add(2)
        .div_euclid(5)
        .saturating_add(day)
        .saturating_sub(1);
    let days = of_era
        .saturating_mul(365)
        .saturating_add(of_era.div_euclid(4))
        .saturating_sub(of_era.div_euclid(100))
        .saturating_add(of_year);
    era.saturating_mul(146_097)
        .saturating_add(days)
        .saturating_sub(719_468)
}

impl Time {
    /// The second that Go takes for no time at all: 0001-01-01T00:00:00Z.
    pub(crate) const ZERO_SECONDS: i64 = FIRST_SECOND;

    /// A point in UTC; absent outside the years 1 to 9999.
    #[must_use]
    pub fn new(seconds: i64, nanos: u32) -> Option<Self> {
        let valid = (FIRST_SECOND..=LAST_SECOND).contains(&seconds) && nanos < 1_000_000_000;
        valid.then_some(Self {
            seconds,
            nanos,
            offset: 0,
        })
    }

    pub(crate) fn at(self, offset: i32) -> Self {
        Self { offset, ..self }
    }

    /// The calendar at an offset.
    pub(crate) fn civil(self, offset: i64) -> Civil {
        let local = self.seconds.saturating_add(offset);
        let (days, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let shifted = days.saturating_add(719_468);
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = of_era
            .saturating_sub(of_era.div_euclid(1460))
            .saturating_add(of_era.div_euclid(36_524))
            .saturating_sub(of_era.div_euclid(146_096))
            .div_euclid(365);
        let before = year_of_era
            .saturating_mul(365)
            .saturating_add(year_of_era.div_euclid(4))
            .saturating_sub(year_of_era.div_euclid(100));
        let of_year = of_era.saturating_sub(before);
        let shifted_month = of_year.saturating_mul(5).saturating_add(2).div_euclid(153);
        let day = of_year
            .saturating_sub(
                shifted_month
                    .saturating_mul(153)
                    .saturating_add(2)
                    .div_euclid(5),
            )
            .saturating_add(1);
        let month = if shifted_month < 10 {
            shifted_month.saturating_add(3)
        } else {
            shifted_month.saturating_sub(9)
        };
        let year = era
            .saturating_mul(400)
            .saturating_add(year_of_era)
            .saturating_add(i64::from(month <= 2));
        Civil {
            year,
            month,
            day,
            weekday: days.saturating_add(4).rem_euclid(7),
            day_of_year: days.saturating_sub(days_from_civil(year, 1, 1)),
            hour: second.div_euclid(3600),
            minute: second.rem_euclid(3600).div_euclid(60),
            second: second.rem_euclid(60),
        }
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos))
    }
}

impl From<jiff::Timestamp> for Time {
    fn from(timestamp: jiff::Timestamp) -> Self {
        let nanos = timestamp.as_nanosecond();
        let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(LAST_SECOND);
        Self {
            seconds: seconds.clamp(FIRST_SECOND, LAST_SECOND),
            nanos: u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0),
            offset: 0,
        }
    }
}

/// RFC 3339 with as many digits of a second as are needed.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil(self.offset.into());
        let (year, month, day) = (c.year, c.month, c.day);
        let (hour, minute, second) = (c.hour, c.minute, c.second);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if self.nanos > 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.unsigned_abs().div_euclid(60);
        let (hours, minutes) = (minutes.div_euclid(60), minutes.rem_euclid(60));
        write!(f, "{sign}{hours:02}:{minutes:02}")
    }
}
