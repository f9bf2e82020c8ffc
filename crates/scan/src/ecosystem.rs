//! Where packages come from, and what that says about their names and versions.
//!
//! Here: the ecosystems that Bailiff knows, as OSV names them, with the order of their versions and the normal form
//! of their names. Not here: the orders (`version`).
//! Invariant: two spellings of one package have one normal form. An ecosystem that is not known is none, and never
//! a similar one.

use crate::version::Scheme;
use std::borrow::Cow;
use std::fmt;

/// Where a package comes from, as in the field `ecosystem` of OSV.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ecosystem {
    /// A release of Debian, such as `12`.
    Debian(String),
    /// A release of Ubuntu.
    Ubuntu {
        /// The release as OSV writes it, such as `22.04:LTS` or `25.10`.
        release: String,
        /// Whether these are the packages of a subscription to Ubuntu Pro.
        pro: bool,
    },
    /// A release of Alpine, such as `v3.18`.
    Alpine(String),
    /// The Python Package Index.
    PyPi,
    /// The npm registry.
    Npm,
    /// Go modules, the standard library (`stdlib`) and the toolchain (`toolchain`).
    Go,
    /// The crates of crates.io.
    CratesIo,
    /// Maven repositories; names are `group:artifact`.
    Maven,
}

/// Characters of a text that is no ecosystem, in a message.
const SHOWN_LIMIT: usize = 64;

impl Ecosystem {
    /// The names that [`parse`](Self::parse) accepts, for messages.
    pub const EXAMPLES: &str =
        "Debian:12, Ubuntu:22.04:LTS, Alpine:v3.18, PyPI, npm, Go, crates.io or Maven";

    /// The ecosystem with this name. None if Bailiff does not know it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, release) = match text.split_once(':') {
            Some((name, release)) => (name, Some(release)),
            None => (text, None),
        };
        let is_release = |text: &str| {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            (1..=32).contains(&text.len()) && text.chars().all(is_allowed)
        };
        Some(match (name, release) {
            ("PyPI", None) => Self::PyPi,
            ("npm", None) => Self::Npm,
            ("Go", None) => Self::Go,
            ("crates.io", None) => Self::CratesIo,
            ("Maven", None) => Self::Maven,
            ("Debian", Some(release)) if is_release(release) => Self::Debian(release.to_owned()),
            ("Alpine", Some(release)) if is_release(release) => Self::Alpine(release.to_owned()),
            ("Ubuntu", Some(release)) => {
                let (pro, release) = match release.strip_prefix("Pro:") {
                    Some(release) => (true, release),
                    None => (false, release),
                };
                if !is_release(release.strip_suffix(":LTS").unwrap_or(release)) {
                    return None;
                }
                let release = release.to_owned();
                Self::Ubuntu { release, pro }
            }
            _ => return None,
        })
    }

    /// The ecosystem that a person wrote for a package. Spellings that no advisory has are no ecosystem here: a package of
    /// them would match nothing.
    ///
    /// # Errors
    /// If Bailiff does not know it, or advisories write it in another way.
    pub fn of_package(text: &str) -> Result<Self, NotAnEcosystem> {
        let error = |remedy| NotAnEcosystem {
            text: text.chars().take(SHOWN_LIMIT).collect(),
            remedy,
        };
        let write = |usual: String| error(format!("write {usual}"));
        let languages = [Self::PyPi, Self::Npm, Self::Go, Self::CratesIo, Self::Maven];
        let Some(parsed) = Self::parse(text) else {
            let is_usual = |name: &str| name.eq_ignore_ascii_case(text);
            let mut names = languages.iter().map(ToString::to_string);
            return Err(match names.find(|name| is_usual(name)) {
                Some(usual) => write(usual),
                None => error(format!("it must be {}", Self::EXAMPLES)),
            });
        };
        let number = |text: &str| text.parse::<u16>().ok();
        match &parsed {
            // Releases have a number. What follows it is the state of that release.
            Self::Debian(release) => match release.split_once('.') {
                None if number(release).is_some() => {}
                Some((major, _)) if number(major).is_some() => {
                    return Err(write(format!("Debian:{major}")));
                }
                None | Some(_) => {
                    return Err(error(
                        "write the number of the release, as in Debian:12".to_owned(),
                    ));
                }
            },
            Self::Alpine(release) => {
                let parts: Vec<_> = release.trim_start_matches('v').split('.').collect();
                if let [major, minor, ..] = parts[..]
                    && number(major).is_some()
                    && number(minor).is_some()
                {
                    let usual = format!("v{major}.{minor}");
                    if usual != *release {
                        return Err(write(format!("Alpine:{usual}")));
                    }
                }
            }
            Self::Ubuntu { release, pro } => {
                let plain = release.strip_suffix(":LTS").unwrap_or(release);
                let mut parts = plain.split('.');
                let (year, month) = (parts.next().unwrap_or_default(), parts.next());
                let (Some(of_year), Some(month)) = (number(year), month) else {
                    let usual = "write the number of the release, as in Ubuntu:22.04:LTS";
                    return Err(error(usual.to_owned()));
                };
                // Each April of an even year has a release that is supported for long.
                let is_lts = of_year % 2 == 0 && month == "04";
                let usual = format!("{year}.{month}{}", if is_lts { ":LTS" } else { "" });
                if usual != *release {
                    let pro = if *pro { "Pro:" } else { "" };
                    return Err(write(format!("Ubuntu:{pro}{usual}")));
                }
            }
            Self::PyPi | Self::Npm | Self::Go | Self::CratesIo | Self::Maven => {}
        }
        Ok(parsed)
    }

    /// The order of the versions.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Debian(_) | Self::Ubuntu { .. } => Scheme::Dpkg,
            Self::Alpine(_) => Scheme::Apk,
            Self::PyPi => Scheme::Pep440,
            Self::Npm => Scheme::Npm,
            Self::Go => Scheme::Go,
            Self::CratesIo => Scheme::Cargo,
            Self::Maven => Scheme::Maven,
        }
    }

    /// The name in the form in which spellings of one package are equal: for `PyPI` that of PEP 503. Other ecosystems
    /// distinguish every spelling.
    #[must_use]
    pub fn normal_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self {
            Self::PyPi => pep503(name),
            Self::Debian(_)
            | Self::Ubuntu { .. }
            | Self::Alpine(_)
            | Self::Npm
            | Self::Go
            | Self::CratesIo
            | Self::Maven => Cow::Borrowed(name),
        }
    }

    /// The same release with the packages of a subscription. None if there is no such ecosystem, or this is it.
    #[must_use]
    pub fn with_subscription(&self) -> Option<Self> {
        match self {
            Self::Ubuntu {
                release,
                pro: false,
            } => Some(Self::Ubuntu {
                release: release.clone(),
                pro: true,
            }),
            Self::Ubuntu { pro: true, .. }
            | Self::Debian(_)
            | Self::Alpine(_)
            | Self::PyPi
            | Self::Npm
            | Self::Go
            | Self::CratesIo
            | Self::Maven => None,
        }
    }

    /// Whether these are the packages of a subscription.
    #[must_use]
    pub fn is_of_subscription(&self) -> bool {
        self.without_subscription() != *self
    }

    /// The same release with the packages that need no subscription.
    #[must_use]
    pub fn without_subscription(&self) -> Self {
        match self {
            Self::Ubuntu { release, pro: _ } => Self::Ubuntu {
                release: release.clone(),
                pro: false,
            },
            Self::Debian(_)
            | Self::Alpine(_)
            | Self::PyPi
            | Self::Npm
            | Self::Go
            | Self::CratesIo
            | Self::Maven => self.clone(),
        }
    }
}

/// Why a text is no ecosystem of a package, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not supported; {remedy}")]
pub struct NotAnEcosystem {
    /// Its first characters.
    text: String,
    remedy: String,
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian(release) => write!(f, "Debian:{release}"),
            Self::Ubuntu {
                release,
                pro: false,
            } => write!(f, "Ubuntu:{release}"),
            Self::Ubuntu { release, pro: true } => write!(f, "Ubuntu:Pro:{release}"),
            Self::Alpine(release) => write!(f, "Alpine:{release}"),
            Self::PyPi => f.write_str("PyPI"),
            Self::Npm => f.write_str("npm"),
            Self::Go => f.write_str("Go"),
            Self::CratesIo => f.write_str("crates.io"),
            Self::Maven => f.write_str("Maven"),
        }
    }
}

/// Lower case, and each run of `-`, `_` and `.` is one `-`.
fn pep503(name: &str) -> Cow<'_, str> {
    let separates = |c: char| matches!(c, '-' | '_' | '.');
    let is_normal = |c: char| !c.is_ascii_uppercase() && !matches!(c, '_' | '.');
    if name.chars().all(is_normal) && !name.contains("--") {
        return Cow::Borrowed(name);
    }
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        if !separates(c) {
            normal.push(c.to_ascii_lowercase());
        } else if !normal.ends_with('-') {
            normal.push('-');
        }
    }
    Cow::Owned(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_ecosystem_is_printed_as_it_is_written() {
        for name in [
            "Debian:12",
            "Ubuntu:22.04:LTS",
            "Ubuntu:25.10",
            "Ubuntu:Pro:16.04:LTS",
            "Alpine:v3.18",
            "PyPI",
            "npm",
            "Go",
            "crates.io",
            "Maven",
        ] {
            let parsed = Ecosystem::parse(name).map(|ecosystem| ecosystem.to_string());
            assert_eq!(parsed.as_deref(), Some(name));
        }
    }

    #[test]
    fn an_unknown_ecosystem_is_none() {
        for name in [
            "",
            "Debian",
            "Debian:",
            "Debian:12:LTS",
            "Ubuntu",
            "Ubuntu:Pro:FIPS:22.04:LTS",
            "Ubuntu::LTS",
            "pypi",
            "PyPI:1",
            "Go:",
            "NuGet",
            "Alpine:v3\u{1b}[2J",
        ] {
            assert_eq!(Ecosystem::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn an_ecosystem_that_no_advisory_has_is_rejected_with_the_one_to_write() {
        let must = "it must be Debian:12, Ubuntu:22.04:LTS, Alpine:v3.18, PyPI, npm, Go, crates.io or Maven";
        for (text, want) in [
            ("Alpine:3.18", "write Alpine:v3.18"),
            ("Alpine:v3.18.4", "write Alpine:v3.18"),
            ("Ubuntu:22.04", "write Ubuntu:22.04:LTS"),
            ("Ubuntu:22.04.3", "write Ubuntu:22.04:LTS"),
            ("Ubuntu:Pro:16.04", "write Ubuntu:Pro:16.04:LTS"),
            ("Ubuntu:23.10:LTS", "write Ubuntu:23.10"),
            (
                "Ubuntu:jammy",
                "write the number of the release, as in Ubuntu:22.04:LTS",
            ),
            ("Debian:12.5", "write Debian:12"),
            (
                "Debian:bookworm",
                "write the number of the release, as in Debian:12",
            ),
            ("pypi", "write PyPI"),
            ("Crates.io", "write crates.io"),
            ("Debian", must),
            ("NuGet", must),
        ] {
            let error = Ecosystem::of_package(text).unwrap_err().to_string();
            assert_eq!(error, format!("\"{text}\" is not supported; {want}"));
        }
        let error = Ecosystem::of_package(&"\u{1b}".repeat(100)).unwrap_err();
        let shown = "\\u{1b}".repeat(64);
        assert_eq!(
            error.to_string(),
            format!("\"{shown}\" is not supported; {must}")
        );
        for text in [
            "Debian:12",
            "Ubuntu:22.04:LTS",
            "Ubuntu:25.10",
            "Ubuntu:25.04",
            "Ubuntu:Pro:16.04:LTS",
            "Alpine:v3.18",
            "Alpine:edge",
            "Maven",
        ] {
            assert_eq!(Ecosystem::of_package(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn spellings_of_a_python_package_are_one_name() {
        for spelling in [
            "zope.interface",
            "Zope_Interface",
            "zope--interface",
            "zope-._interface",
        ] {
            assert_eq!(Ecosystem::PyPi.normal_name(spelling), "zope-interface");
        }
        assert_eq!(
            Ecosystem::Go.normal_name("github.com/A/b_c"),
            "github.com/A/b_c"
        );
    }

    #[test]
    fn only_ubuntu_has_packages_of_a_subscription() {
        let of = |name: &str| {
            let ecosystem = Ecosystem::parse(name).unwrap();
            ecosystem.with_subscription().map(|pro| pro.to_string())
        };
        assert_eq!(
            of("Ubuntu:22.04:LTS").as_deref(),
            Some("Ubuntu:Pro:22.04:LTS")
        );
        assert_eq!(of("Ubuntu:Pro:22.04:LTS"), None);
        assert_eq!(of("Debian:12"), None);
        let without = |name: &str| {
            let ecosystem = Ecosystem::parse(name).unwrap();
            let without = ecosystem.without_subscription().to_string();
            (without, ecosystem.is_of_subscription())
        };
        let release = "Ubuntu:22.04:LTS".to_owned();
        assert_eq!(without("Ubuntu:Pro:22.04:LTS"), (release.clone(), true));
        assert_eq!(without("Ubuntu:22.04:LTS"), (release, false));
        assert_eq!(without("Go"), ("Go".to_owned(), false));
    }
}
