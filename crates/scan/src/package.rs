//! A package, and the packages that advisories know as one.
//!
//! Here: a package as it is installed, and what of it is looked up. Not here: lists of packages (`package_list`).
//! Invariant: names are in the normal form of their ecosystem.

use crate::ecosystem::Ecosystem;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a version. Longer ones are not read.
pub const VERSION_LIMIT: usize = 256;
/// Bytes of a name. Longer ones are not read.
pub const NAME_LIMIT: usize = 1024;

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Where it comes from.
    pub ecosystem: Ecosystem,
    /// Its name, in the normal form of the ecosystem.
    pub name: String,
    /// Its version, as the ecosystem writes it.
    pub version: String,
    /// The source package that it was built from. If unset, advisories name the package itself.
    pub source: Option<Source>,
    /// Where it is installed. If unset, that is unknown.
    pub path: Option<String>,
}

/// The source package that a distribution builds packages from. Advisories of distributions name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What advisories are looked up for: packages of one source package and version, or one package and version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Where it comes from.
    pub ecosystem: Ecosystem,
    /// The name that advisories have.
    pub name: String,
    /// The version that advisories are compared with.
    pub version: String,
    /// The names of the installed packages, sorted.
    pub packages: Vec<String>,
    /// The paths at which they are installed, sorted. Empty if they are unknown.
    pub paths: Vec<String>,
}

impl Package {
    /// What advisories are looked up for: the ecosystem, the name and the version of the source package, otherwise its
    /// own.
    #[must_use]
    pub fn looked_up(&self) -> (&Ecosystem, &str, &str) {
        let (name, version) = match &self.source {
            Some(source) => (&source.name, &source.version),
            None => (&self.name, &self.version),
        };
        (&self.ecosystem, name, version)
    }
}

impl Subject {
    /// What advisories are looked up for: the ecosystem, the name and the version.
    #[must_use]
    pub fn looked_up(&self) -> (&Ecosystem, &str, &str) {
        (&self.ecosystem, &self.name, &self.version)
    }
}

/// What to look up for packages, sorted. Each package is part of exactly one subject.
pub fn subjects<'a>(packages: impl IntoIterator<Item = &'a Package>) -> Vec<Subject> {
    let mut grouped: BTreeMap<_, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for package in packages {
        let (names, paths) = grouped.entry(package.looked_up()).or_default();
        names.insert(&package.name);
        paths.extend(package.path.as_deref());
    }
    let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
    grouped
        .into_iter()
        .map(|((ecosystem, name, version), (names, paths))| Subject {
            ecosystem: ecosystem.clone(),
            name: name.to_owned(),
            version: version.to_owned(),
            packages: owned(names),
            paths: owned(paths),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_one_source_and_copies_of_one_package_are_looked_up_once() {
        let debian = || Ecosystem::Debian("12".to_owned());
        let source = |version: &str| {
            Some(Source {
                name: "openssl".to_owned(),
                version: version.to_owned(),
            })
        };
        let package = |name: &str, version: &str, source, path: Option<&str>| Package {
            ecosystem: debian(),
            name: name.to_owned(),
            version: version.to_owned(),
            source,
            path: path.map(str::to_owned),
        };
        let packages = [
            package("openssl", "3.0.1-1+b1", source("3.0.1-1"), Some("b")),
            package("libssl3", "3.0.1-1+b1", source("3.0.1-1"), Some("a")),
            package("libssl3", "3.0.2-1", source("3.0.2-1"), None),
            package("openssl", "3.0.1-1", None, Some("b")),
        ];
        let of = subjects(&packages);
        let shown: Vec<_> = of
            .iter()
            .map(|s| {
                (
                    &*s.name,
                    &*s.version,
                    s.packages.join(","),
                    s.paths.join(","),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "openssl",
                    "3.0.1-1",
                    "libssl3,openssl".to_owned(),
                    "a,b".to_owned()
                ),
                ("openssl", "3.0.2-1", "libssl3".to_owned(), String::new()),
            ]
        );
    }
}
