//! Whether a fact is one that a reader of files can have made.
//!
//! Here: the lengths of names and versions, and how many there are. Not here: what facts mean, and which readers keep
//! to more than that.
//! Invariant: each fact that this crate reads is valid. One that is not was made by a process that a file took over.

use super::paths::{PATH_LIMIT, Paths};
use super::{Fact, PACKAGES_LIMIT, dpkg, go};
use crate::package::{NAME_LIMIT, VERSION_LIMIT};

/// Bytes of a path in an archive, which ends in the name of its last entry.
const ARCHIVE_PATH_LIMIT: usize = 2 * PATH_LIMIT;

impl Fact {
    /// Whether its names, versions and paths are within the limits of what is read.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match self {
            Self::NotRead { .. } | Self::Release(_) | Self::Elf(_) => true,
            Self::Dpkg(of) => {
                is_name(&of.name)
                    && is_version(&of.version)
                    && of.architecture.as_deref().is_none_or(is_version)
                    && of.source.as_ref().is_none_or(is_source)
            }
            Self::DpkgFiles(of) => {
                is_name(&of.package)
                    && of.architecture.as_deref().is_none_or(is_version)
                    && are_paths(&of.paths)
            }
            Self::DpkgDiversion(of) => of.package.as_deref().is_none_or(is_name),
            Self::Apk(of) => {
                is_name(&of.name)
                    && is_version(&of.version)
                    && of.architecture.as_deref().is_none_or(is_version)
                    && of.origin.as_deref().is_none_or(is_name)
                    && are_paths(&of.paths)
            }
            Self::Go(of) => {
                is_version(&of.go)
                    && of.dependencies.len() <= PACKAGES_LIMIT
                    && of.main.iter().chain(&of.dependencies).all(is_module)
            }
            Self::Rust(crates) => {
                let mut all = crates.iter();
                crates.len() <= PACKAGES_LIMIT
                    && all.all(|of| is_name(&of.name) && is_version(&of.version))
            }
            Self::Python(of) => {
                is_name(&of.name)
                    && is_version(&of.version)
                    && are_paths(&of.files)
                    && of.path_in_archive.len() <= ARCHIVE_PATH_LIMIT
            }
            Self::Npm(of) => {
                is_name(&of.name)
                    && is_version(&of.version)
                    && of.path_in_archive.len() <= ARCHIVE_PATH_LIMIT
            }
            Self::Packed(of) => of.path.len() <= ARCHIVE_PATH_LIMIT,
            Self::Java(of) => {
                let mut artifacts = of.artifacts.iter();
                of.path.len() <= ARCHIVE_PATH_LIMIT
                    && of.artifacts.len() <= PACKAGES_LIMIT
                    && artifacts.all(|of| {
                        of.group.as_deref().is_none_or(is_name)
                            && is_name(&of.artifact)
                            && is_version(&of.version)
                    })
            }
        }
    }
}

fn is_source(of: &dpkg::Source) -> bool {
    is_name(&of.name) && of.version.as_deref().is_none_or(is_version)
}

fn is_module(of: &go::Module) -> bool {
    is_name(&of.path) && is_version(&of.version) && of.replaces.as_deref().is_none_or(is_name)
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_LIMIT
}

fn is_version(text: &str) -> bool {
    text.len() <= VERSION_LIMIT
}

fn are_paths(paths: &Paths) -> bool {
    paths.iter().all(|path| path.len() <= PATH_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::java::{Archive, Artifact, Source};

    #[test]
    fn names_and_versions_beyond_their_limits_are_not_valid() {
        let long = |limit: usize| ["a".repeat(limit), "a".repeat(limit + 1)];
        let [name, long_name] = long(NAME_LIMIT);
        let [version, long_version] = long(VERSION_LIMIT);
        let module = |path: &str, version: &str| go::Module {
            path: path.to_owned(),
            version: version.to_owned(),
            replaces: None,
        };
        let facts = |name: &str, version: &str, count: usize| {
            let dpkg = dpkg::Package {
                name: "a".to_owned(),
                version: "1".to_owned(),
                architecture: None,
                source: Some(dpkg::Source {
                    name: name.to_owned(),
                    version: Some(version.to_owned()),
                }),
            };
            let artifact = Artifact {
                group: None,
                artifact: name.to_owned(),
                version: version.to_owned(),
                source: Source::FileName,
            };
            [
                Fact::Dpkg(dpkg),
                Fact::Go(go::BuildInfo {
                    go: "go1.20".to_owned(),
                    main: None,
                    dependencies: vec![module(name, version); count],
                }),
                Fact::Java(Archive {
                    path: String::new(),
                    artifacts: vec![artifact; count],
                }),
            ]
        };
        assert!(facts(&name, &version, 1).iter().all(Fact::is_valid));
        assert!(!facts(&long_name, &version, 1).iter().any(Fact::is_valid));
        assert!(!facts(&name, &long_version, 1).iter().any(Fact::is_valid));
        let many = |count| facts("a", "1", count).map(|fact| fact.is_valid());
        assert_eq!(many(PACKAGES_LIMIT), [true; 3]);
        assert_eq!(many(PACKAGES_LIMIT + 1), [true, false, false]);
    }
}
