//! Which release of which distribution the packages of a database are of.
//!
//! Here: what files and packages say about the release, and whether they agree. Not here: when a release ends.
//! Invariant: a derivative is not its parent. If two files disagree, the packages count for each release that is named,
//! because one of the two files is forged.

#[cfg(test)]
mod tests;

use super::files::{Files, Found};
use crate::content::Fact;
use crate::content::release::{Lsb, Os, Release};
use crate::ecosystem::Ecosystem;
use std::collections::BTreeMap;
use std::fmt;

/// A kind of database of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Database {
    /// That of dpkg.
    Dpkg,
    /// That of apk.
    Apk,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dpkg => "dpkg",
            Self::Apk => "apk",
        })
    }
}

/// What a file or a package says about the release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The path of the file, or the package.
    pub source: String,
    /// The distribution and its release, such as `Debian 12`.
    pub release: String,
}

/// Where the packages of a database are from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Distribution {
    /// The releases that the packages are matched with: one, or several that are named by files that disagree.
    pub(super) ecosystems: Vec<Ecosystem>,
    /// What is said, if it does not agree.
    pub(super) conflict: Option<Vec<Statement>>,
    /// Why the packages cannot be matched.
    pub(super) not_covered: Option<String>,
}

/// A release that is named. None if it is unknown, or has no number yet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Debian(Option<String>),
    Ubuntu(Option<String>),
    Alpine(Option<String>),
    /// Another distribution.
    Other(String),
}

impl Named {
    fn database(&self) -> Option<Database> {
        match self {
            Self::Debian(_) | Self::Ubuntu(_) => Some(Database::Dpkg),
            Self::Alpine(_) => Some(Database::Apk),
            Self::Other(_) => None,
        }
    }

    fn ecosystem(&self) -> Option<Ecosystem> {
        let name = match self {
            Self::Debian(release) => format!("Debian:{}", release.as_ref()?),
            Self::Ubuntu(release) => {
                let release = release.as_ref()?;
                let term = if is_long_term(release) { ":LTS" } else { "" };
                format!("Ubuntu:{release}{term}")
            }
            Self::Alpine(release) => format!("Alpine:{}", release.as_ref()?),
            Self::Other(_) => return None,
        };
        Ecosystem::parse(&name)
    }

    fn agrees(&self, other: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        match (self, other) {
            (Self::Debian(a), Self::Debian(b))
            | (Self::Ubuntu(a), Self::Ubuntu(b))
            | (Self::Alpine(a), Self::Alpine(b)) => same(a, b),
            (Self::Other(a), Self::Other(b)) => a == b,
            (Self::Debian(_) | Self::Ubuntu(_) | Self::Alpine(_) | Self::Other(_), _) => false,
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, release) = match self {
            Self::Debian(release) => ("Debian", release),
            Self::Ubuntu(release) => ("Ubuntu", release),
            Self::Alpine(release) => ("Alpine", release),
            Self::Other(name) => return f.write_str(name),
        };
        match release {
            Some(release) => write!(f, "{name} {release}"),
            None => f.write_str(name),
        }
    }
}

/// Whether a release of Ubuntu, such as `22.04`, has long-term support: that of April of an even year.
fn is_long_term(release: &str) -> bool {
    let year = release.strip_suffix(".04");
    year.and_then(|year| year.parse::<u32>().ok())
        .is_some_and(|year| year % 2 == 0)
}

/// Where the packages of a database are from. `version_of` has the version of a package of the database, `versions` those
/// of all but the one that has the files about the release.
pub(super) fn distribution(
    database: Database,
    files: &dyn Files,
    version_of: &dyn Fn(&str) -> Option<String>,
    versions: &[&str],
) -> Distribution {
    let statements = statements(database, files, version_of, versions);
    if let Some(Named::Other(name)) = statements.first().map(|(_, named)| named) {
        let cause = format!(
            "the packages are of {name}; advisories of the distribution that it is derived from do not cover them"
        );
        return Distribution {
            not_covered: Some(cause),
            ..Distribution::default()
        };
    }
    let mut ecosystems: Vec<Ecosystem> = Vec::new();
    let of_database = statements
        .iter()
        .filter(|(_, named)| named.database() == Some(database));
    for ecosystem in of_database.filter_map(|(_, named)| named.ecosystem()) {
        if !ecosystems.contains(&ecosystem) {
            ecosystems.push(ecosystem);
        }
    }
    let agree = statements.iter().all(|(_, named)| {
        named.database() == Some(database)
            && statements.iter().all(|(_, other)| named.agrees(other))
    });
    let conflict = (!agree).then(|| {
        let statements = statements.iter().map(|(source, named)| Statement {
            source: source.clone(),
            release: named.to_string(),
        });
        statements.collect()
    });
    let not_covered = ecosystems
        .is_empty()
        .then(|| "no file names a release of Debian, Ubuntu or Alpine that fits".to_owned());
    Distribution {
        ecosystems,
        conflict,
        not_covered,
    }
}

/// The release that `os-release` names. None if there is none.
pub(super) fn release(files: &dyn Files) -> Option<Statement> {
    let statements = of_os_release(files).into_iter();
    let mut shown = statements.map(|(source, named)| Statement {
        source,
        release: named.to_string(),
    });
    shown.next()
}

/// What is said about the release. `os-release` is first.
fn statements(
    database: Database,
    files: &dyn Files,
    version_of: &dyn Fn(&str) -> Option<String>,
    versions: &[&str],
) -> Vec<(String, Named)> {
    let mut statements = of_os_release(files);
    let first = statements.first().map(|(_, named)| named.clone());
    // Derivatives keep files of the distribution that they are derived from.
    if matches!(first, Some(Named::Other(_))) {
        return statements;
    }
    let is_ubuntu = matches!(first, Some(Named::Ubuntu(_)));
    for path in [
        "etc/debian_version",
        "etc/alpine-release",
        "etc/lsb-release",
    ] {
        for release in releases(files, path) {
            let named = match release {
                Release::Os(_) => None,
                // Ubuntu names the release of Debian that it was made from without a number.
                Release::Debian(text) => match leading_number(text) {
                    None if is_ubuntu => None,
                    number => Some(Named::Debian(number)),
                },
                Release::Alpine(text) => Some(Named::Alpine(alpine(text))),
                Release::Lsb(lsb) => of_lsb(lsb),
            };
            statements.extend(named.map(|named| (path.to_owned(), named)));
        }
    }
    statements.extend(of_package(database, version_of));
    if database == Database::Dpkg {
        let named = of_versions(versions);
        statements.extend(named.map(|named| ("versions of most packages".to_owned(), named)));
    }
    statements
}

/// What `os-release` says.
fn of_os_release(files: &dyn Files) -> Vec<(String, Named)> {
    let mut statements: Vec<(String, Named)> = Vec::new();
    // The file in etc is the one that counts, and usually a link to the other one.
    for path in ["etc/os-release", "usr/lib/os-release"] {
        for release in releases(files, path) {
            if let Release::Os(os) = release {
                let named = of_os(os);
                if !statements.iter().any(|(_, other)| *other == named) {
                    statements.push((path.to_owned(), named));
                }
            }
        }
    }
    statements
}

/// What a file says about the release.
fn releases<'a>(files: &'a dyn Files, path: &str) -> impl Iterator<Item = &'a Release> + use<'a> {
    let id = files.resolve(path.as_bytes()).and_then(Found::file);
    let facts = id.map(|id| files.facts(id)).unwrap_or_default();
    facts.iter().filter_map(|fact| {
        let Fact::Release(release) = fact else {
            return None;
        };
        Some(release)
    })
}

fn of_os(os: &Os) -> Named {
    let version = os.version_id.as_deref();
    match os.id.as_deref() {
        Some("debian") => Named::Debian(version.and_then(leading_number)),
        Some("ubuntu") => Named::Ubuntu(version.map(str::to_owned)),
        Some("alpine") => Named::Alpine(version.and_then(alpine)),
        id => {
            let name = os.pretty_name.as_deref().or(id);
            Named::Other(name.unwrap_or("a distribution without a name").to_owned())
        }
    }
}

fn of_lsb(lsb: &Lsb) -> Option<Named> {
    let release = lsb.release.as_deref();
    match lsb.id.as_deref()? {
        "Ubuntu" => Some(Named::Ubuntu(release.map(str::to_owned))),
        "Debian" => Some(Named::Debian(release.and_then(leading_number))),
        _ => None,
    }
}

/// What the version of the package says that has the files about the release.
fn of_package(
    database: Database,
    version_of: &dyn Fn(&str) -> Option<String>,
) -> Option<(String, Named)> {
    let (package, named) = match database {
        Database::Dpkg => {
            let version = version_of("base-files")?;
            let named = if version.contains("ubuntu") {
                Named::Ubuntu(None)
            } else {
                Named::Debian(leading_number(&version))
            };
            ("base-files", named)
        }
        Database::Apk => {
            // Before Alpine 3.17, the file was part of alpine-base.
            let packages = ["alpine-release", "alpine-base"];
            let mut found = packages.iter().filter_map(|package| {
                let version = version_of(package)?;
                Some((*package, Named::Alpine(alpine(&version))))
            });
            found.next()?
        }
    };
    Some((format!("package {package}"), named))
}

/// The release that most of those versions name that name one. None if they are less than a tenth of all: a single package
/// can be built for another release.
fn of_versions(versions: &[&str]) -> Option<Named> {
    let mut counts: BTreeMap<(bool, String), usize> = BTreeMap::new();
    let (mut naming, mut of_ubuntu) = (0_usize, 0_usize);
    for version in versions {
        let debian = ["+deb", "~deb"].iter().find_map(|mark| {
            let (_, rest) = version.rsplit_once(mark)?;
            leading_number(rest)
        });
        let ubuntu = version.rsplit_once("ubuntu").map(|(_, rest)| rest);
        // A version such as `1ubuntu1.10` is of Ubuntu and names no release.
        of_ubuntu = of_ubuntu.saturating_add(ubuntu.is_some().into());
        let named = match (ubuntu, debian) {
            (Some(rest), _) => month(rest).map(|release| (true, release)),
            (None, release) => release.map(|release| (false, release)),
        };
        if let Some(named) = named {
            naming = naming.saturating_add(1);
            let count = counts.entry(named).or_default();
            *count = count.saturating_add(1);
        }
    }
    let ((is_ubuntu, release), count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let is_most = count.saturating_mul(2) > naming
        && count.saturating_mul(10) >= versions.len()
        && (is_ubuntu || count > of_ubuntu);
    let named = if is_ubuntu {
        Named::Ubuntu
    } else {
        Named::Debian
    };
    is_most.then(|| named(Some(release)))
}

/// The release of Ubuntu in what follows its name in a version, such as `22.04` in `0.22.04.1` and in `22.04.1`.
fn month(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('.').take(3).collect();
    let pairs = parts.windows(2);
    let mut releases = pairs.filter_map(|pair| {
        let [year, month] = pair else {
            return None;
        };
        let is_year = year.len() == 2 && year.bytes().all(|byte| byte.is_ascii_digit());
        let month = month
            .get(..2)
            .filter(|month| ["04", "10"].contains(month))?;
        is_year.then(|| format!("{year}.{month}"))
    });
    releases.next()
}

/// The number at the start of a text, such as 12 of `12.4+deb12u5`.
fn leading_number(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number = text.get(..end).filter(|number| !number.is_empty());
    number.map(str::to_owned)
}

/// The release of Alpine, such as `v3.18`, of a version such as `3.18.4-r0`. None for `edge`, which has no release.
fn alpine(text: &str) -> Option<String> {
    let major = leading_number(text)?;
    let rest = text.get(major.len()..)?.strip_prefix('.')?;
    let minor = leading_number(rest)?;
    (!text.contains("_alpha")).then(|| format!("v{major}.{minor}"))
}
