//! Releases of distributions, and until when they get fixes.
//!
//! Here: a table with its sources. Not here: which release an image is of.
//! Invariant: a release that the table does not have is `Unknown`, and never supported.

use crate::ecosystem::Ecosystem;
use jiff::civil::{Date, date};

/// Where the days of Debian and Ubuntu are from.
const DISTRO_INFO: &str = "distro-info-data 0.58+deb12u6";
/// Where the days of Alpine are from: the page <https://alpinelinux.org/releases/>, read by hand.
const ALPINE_RELEASES: &str = "alpinelinux.org/releases";

/// Whether a release gets fixes for vulnerabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It gets fixes until this day. None if no day is set yet.
    Supported(Option<Date>),
    /// It gets no more fixes.
    Ended(End),
    /// The table does not have the release.
    Unknown,
    /// The ecosystem has no releases.
    NoReleases,
}

/// The end of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The last day on which it got fixes for everybody.
    pub day: Date,
    /// The last day on which it gets fixes with a subscription. None if there is no subscription, or that day is over too.
    pub with_subscription: Option<Date>,
    /// Where the days are from.
    pub source: &'static str,
}

/// The last day of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    On(Date),
    NotSet,
}

/// Whether the release of an ecosystem gets fixes on this day, in UTC.
#[must_use]
pub fn support(ecosystem: &Ecosystem, today: Date) -> Support {
    let (last, with_subscription, source) = match ecosystem {
        Ecosystem::Debian(release) => match debian(release) {
            Some(last) => (last, None, DISTRO_INFO),
            None => return Support::Unknown,
        },
        Ecosystem::Ubuntu { release, pro } => match ubuntu(release) {
            Some((_, Some(esm))) if *pro => (Last::On(esm), None, DISTRO_INFO),
            Some((last, esm)) => (Last::On(last), esm, DISTRO_INFO),
            None => return Support::Unknown,
        },
        Ecosystem::Alpine(release) => match alpine(release) {
            Some(last) => (last, None, ALPINE_RELEASES),
            None => return Support::Unknown,
        },
        Ecosystem::PyPi
        | Ecosystem::Npm
        | Ecosystem::Go
        | Ecosystem::CratesIo
        | Ecosystem::Maven => return Support::NoReleases,
    };
    match last {
        Last::On(day) if today > day => Support::Ended(End {
            day,
            with_subscription: with_subscription.filter(|day| today <= *day),
            source,
        }),
        Last::On(day) => Support::Supported(Some(day)),
        Last::NotSet => Support::Supported(None),
    }
}

/// The end of a release that gets no more fixes. None if it gets fixes, or the table does not have it: see [`support`].
#[must_use]
pub fn end_of_life(ecosystem: &Ecosystem, today: Date) -> Option<End> {
    match support(ecosystem, today) {
        Support::Ended(end) => Some(end),
        Support::Supported(_) | Support::Unknown | Support::NoReleases => None,
    }
}

impl End {
    /// What that means for a release, for people.
    #[must_use]
    pub fn message(&self, ecosystem: &Ecosystem) -> String {
        let Self { day, source, .. } = self;
        match self.with_subscription {
            Some(until) => format!(
                "{ecosystem} gets no more fixes since {day} ({source}), and fixes of a subscription until {until}. Upgrade to a supported release."
            ),
            None => format!(
                "{ecosystem} gets no more fixes since {day} ({source}). Upgrade to a supported release."
            ),
        }
    }
}

/// The number of a release of Debian, such as `12` for `bookworm`, as OSV writes it. `sid` has none and is its own name.
/// None if the table does not have it.
#[must_use]
pub fn debian_number(codename: &str) -> Option<&'static str> {
    let found = DEBIAN.iter().find(|(_, name, _)| *name == codename);
    found.map(|(number, _, _)| *number)
}

/// The releases of Alpine, such as `v3.18`, the oldest first. Those that have ended are among them, and `edge`, which
/// never is released, is not.
pub fn alpine_releases() -> impl Iterator<Item = &'static str> {
    ALPINE.iter().map(|(name, _)| *name)
}

/// The last day of a release of Debian. Debian's own team and then the team of long-term support write fixes.
fn debian(release: &str) -> Option<Last> {
    let normal = |release: &str| release.strip_suffix(".0").unwrap_or(release).to_owned();
    let release = normal(release);
    let found = DEBIAN
        .iter()
        .find(|(number, _, _)| normal(number) == release);
    found.map(|(_, _, last)| *last)
}

/// The last days of a release of Ubuntu: without and with a subscription.
fn ubuntu(release: &str) -> Option<(Date, Option<Date>)> {
    let release = release.strip_suffix(":LTS").unwrap_or(release);
    let found = UBUNTU.iter().find(|(number, _, _)| *number == release);
    found.map(|(_, last, esm)| (*last, *esm))
}

/// The last day of a release of Alpine.
fn alpine(release: &str) -> Option<Last> {
    if release == "edge" {
        return Some(Last::NotSet);
    }
    let found = ALPINE.iter().find(|(name, _)| *name == release);
    found.map(|(_, last)| Last::On(*last))
}

const fn on(year: i16, month: i8, day: i8) -> Last {
    Last::On(date(year, month, day))
}

/// Number, code name, and the last day of support: that of long-term support, if there is one.
const DEBIAN: &[(&str, &str, Last)] = &[
    ("1.1", "buzz", on(1997, 6, 5)),
    ("1.2", "rex", on(1998, 6, 5)),
    ("1.3", "bo", on(1999, 3, 9)),
    ("2.0", "hamm", on(2000, 3, 9)),
    ("2.1", "slink", on(2000, 10, 30)),
    ("2.2", "potato", on(2003, 6, 30)),
    ("3.0", "woody", on(2006, 6, 30)),
    ("3.1", "sarge", on(2008, 3, 31)),
    ("4.0", "etch", on(2010, 2, 15)),
    ("5.0", "lenny", on(2012, 2, 6)),
    ("6.0", "squeeze", on(2016, 2, 29)),
    ("7", "wheezy", on(2018, 5, 31)),
    ("8", "jessie", on(2020, 6, 30)),
    ("9", "stretch", on(2022, 6, 30)),
    ("10", "buster", on(2024, 6, 30)),
    ("11", "bullseye", on(2026, 8, 31)),
    ("12", "bookworm", on(2028, 6, 30)),
    ("13", "trixie", on(2030, 6, 30)),
    ("14", "forky", Last::NotSet),
    ("15", "duke", Last::NotSet),
    ("sid", "sid", Last::NotSet),
];

/// Number, last day of support, and last day of support with Ubuntu Pro.
const UBUNTU: &[(&str, Date, Option<Date>)] = &[
    ("4.10", date(2006, 4, 30), None),
    ("5.04", date(2006, 10, 31), None),
    ("5.10", date(2007, 4, 13), None),
    ("6.06", date(2011, 6, 1), None),
    ("6.10", date(2008, 4, 25), None),
    ("7.04", date(2008, 10, 19), None),
    ("7.10", date(2009, 4, 18), None),
    ("8.04", date(2013, 5, 9), None),
    ("8.10", date(2010, 4, 30), None),
    ("9.04", date(2010, 10, 23), None),
    ("9.10", date(2011, 4, 30), None),
    ("10.04", date(2015, 4, 30), None),
    ("10.10", date(2012, 4, 10), None),
    ("11.04", date(2012, 10, 28), None),
    ("11.10", date(2013, 5, 9), None),
    ("12.04", date(2017, 4, 28), Some(date(2019, 4, 26))),
    ("12.10", date(2014, 5, 16), None),
    ("13.04", date(2014, 1, 27), None),
    ("13.10", date(2014, 7, 17), None),
    ("14.04", date(2019, 4, 25), Some(date(2024, 4, 25))),
    ("14.10", date(2015, 7, 23), None),
    ("15.04", date(2016, 2, 4), None),
    ("15.10", date(2016, 7, 28), None),
    ("16.04", date(2021, 4, 30), Some(date(2026, 4, 23))),
    ("16.10", date(2017, 7, 20), None),
    ("17.04", date(2018, 1, 13), None),
    ("17.10", date(2018, 7, 19), None),
    ("18.04", date(2023, 5, 31), Some(date(2028, 4, 26))),
    ("18.10", date(2019, 7, 18), None),
    ("19.04", date(2020, 1, 23), None),
    ("19.10", date(2020, 7, 17), None),
    ("20.04", date(2025, 5, 29), Some(date(2030, 4, 23))),
    ("20.10", date(2021, 7, 22), None),
    ("21.04", date(2022, 1, 20), None),
    ("21.10", date(2022, 7, 14), None),
    ("22.04", date(2027, 6, 1), Some(date(2032, 4, 21))),
    ("22.10", date(2023, 7, 20), None),
    ("23.04", date(2024, 1, 25), None),
    ("23.10", date(2024, 7, 11), None),
    ("24.04", date(2029, 5, 31), Some(date(2034, 4, 25))),
    ("24.10", date(2025, 7, 10), None),
    ("25.04", date(2026, 1, 15), None),
    ("25.10", date(2026, 7, 9), None),
    ("26.04", date(2031, 5, 29), Some(date(2036, 4, 23))),
];

/// Name and last day of support.
const ALPINE: &[(&str, Date)] = &[
    ("v2.1", date(2012, 11, 1)),
    ("v2.2", date(2013, 5, 1)),
    ("v2.3", date(2013, 11, 1)),
    ("v2.4", date(2014, 5, 1)),
    ("v2.5", date(2014, 11, 1)),
    ("v2.6", date(2015, 5, 1)),
    ("v2.7", date(2015, 11, 1)),
    ("v3.0", date(2016, 5, 1)),
    ("v3.1", date(2016, 11, 1)),
    ("v3.2", date(2017, 5, 1)),
    ("v3.3", date(2017, 11, 1)),
    ("v3.4", date(2018, 5, 1)),
    ("v3.5", date(2018, 11, 1)),
    ("v3.6", date(2019, 5, 1)),
    ("v3.7", date(2019, 11, 1)),
    ("v3.8", date(2020, 5, 1)),
    ("v3.9", date(2020, 11, 1)),
    ("v3.10", date(2021, 5, 1)),
    ("v3.11", date(2021, 11, 1)),
    ("v3.12", date(2022, 5, 1)),
    ("v3.13", date(2022, 11, 1)),
    ("v3.14", date(2023, 5, 1)),
    ("v3.15", date(2023, 11, 1)),
    ("v3.16", date(2024, 5, 23)),
    ("v3.17", date(2024, 11, 22)),
    ("v3.18", date(2025, 5, 9)),
    ("v3.19", date(2025, 11, 1)),
    ("v3.20", date(2026, 4, 1)),
    ("v3.21", date(2026, 11, 1)),
    ("v3.22", date(2027, 5, 1)),
    ("v3.23", date(2027, 11, 1)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ecosystem: &str, now: &str) -> String {
        let ecosystem = Ecosystem::parse(ecosystem).unwrap();
        let today = now.parse().unwrap();
        let support = support(&ecosystem, today);
        let end = end_of_life(&ecosystem, today);
        assert_eq!(end.is_some(), matches!(support, Support::Ended(_)));
        match support {
            Support::Supported(Some(day)) => format!("until {day}"),
            Support::Supported(None) => "supported".to_owned(),
            Support::Ended(end) => end.message(&ecosystem),
            Support::Unknown => "unknown".to_owned(),
            Support::NoReleases => "no releases".to_owned(),
        }
    }

    #[test]
    fn a_release_is_supported_up_to_its_last_day() {
        for (ecosystem, now, want) in [
            ("Debian:10", "2024-06-30", "until 2024-06-30"),
            (
                "Debian:10",
                "2024-07-01",
                "Debian:10 gets no more fixes since 2024-06-30 (distro-info-data 0.58+deb12u6). Upgrade to a supported release.",
            ),
            ("Debian:13", "2026-11-30", "until 2030-06-30"),
            ("Debian:14", "2026-11-30", "supported"),
            ("Debian:sid", "2026-11-30", "supported"),
            ("Ubuntu:24.04:LTS", "2026-11-30", "until 2029-05-31"),
            (
                "Ubuntu:18.04:LTS",
                "2026-11-30",
                "Ubuntu:18.04:LTS gets no more fixes since 2023-05-31 (distro-info-data 0.58+deb12u6), and fixes of a subscription until 2028-04-26. Upgrade to a supported release.",
            ),
            ("Ubuntu:Pro:18.04:LTS", "2026-11-30", "until 2028-04-26"),
            (
                "Ubuntu:14.04:LTS",
                "2026-11-30",
                "Ubuntu:14.04:LTS gets no more fixes since 2019-04-25 (distro-info-data 0.58+deb12u6). Upgrade to a supported release.",
            ),
            (
                "Ubuntu:25.10",
                "2026-11-30",
                "Ubuntu:25.10 gets no more fixes since 2026-07-09 (distro-info-data 0.58+deb12u6). Upgrade to a supported release.",
            ),
            ("Alpine:v3.22", "2026-11-30", "until 2027-05-01"),
            (
                "Alpine:v3.11",
                "2026-11-30",
                "Alpine:v3.11 gets no more fixes since 2021-11-01 (alpinelinux.org/releases). Upgrade to a supported release.",
            ),
            ("Alpine:edge", "2026-11-30", "supported"),
            ("PyPI", "2026-11-30", "no releases"),
        ] {
            assert_eq!(shown(ecosystem, now), want);
        }
    }

    #[test]
    fn a_release_that_the_table_does_not_have_is_unknown() {
        for ecosystem in ["Debian:99", "Ubuntu:99.04", "Alpine:v9.9", "Alpine:3.18"] {
            assert_eq!(shown(ecosystem, "2026-11-30"), "unknown", "{ecosystem}");
        }
    }

    #[test]
    fn old_releases_of_debian_have_two_spellings() {
        assert_eq!(debian("6"), Some(on(2016, 2, 29)));
        assert_eq!(debian("6"), debian("6.0"));
        assert_eq!(debian_number("squeeze"), Some("6.0"));
        assert_eq!(debian_number("bookworm"), Some("12"));
        assert_eq!(debian_number("experimental"), None);
    }
}
