//! Lists of packages that people and other programs write.
//!
//! Here: a JSON list, and a list of package URLs. Not here: packages of an image.
//! Invariant: an entry that cannot be read is reported with its number, and hides no other.

use crate::ecosystem::Ecosystem;
use crate::json::{self, JsonError};
use crate::package::{NAME_LIMIT, Package, Source, VERSION_LIMIT};
use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Packages of a list.
pub const PACKAGES_LIMIT: usize = 100_000;
/// Bytes of a list.
pub const LIST_LIMIT: usize = 64 << 20;
/// Bytes of a path.
const PATH_LIMIT: usize = 4096;

/// Errors that are kept. Further ones are counted.
const ERRORS_LIMIT: usize = 100;

/// The packages of a list, and what could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageList {
    /// The packages, in the order of the list.
    pub packages: Vec<Package>,
    /// Why an entry is no package, or not what advisories name, up to a limit. Each one names the entry.
    pub errors: Vec<EntryError>,
    /// The number of all errors.
    pub failed: usize,
}

/// Why an entry is no package, or not what advisories name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry}: {cause}")]
pub struct EntryError {
    /// The entry, such as `line 1`.
    pub entry: String,
    /// What is wrong with it, and what to write.
    pub cause: String,
}

impl PackageList {
    fn add(&mut self, entry: impl FnOnce() -> String, package: Result<Package, String>) {
        let cause = match package {
            Ok(package) => {
                let cause = without_source(&package);
                self.packages.push(package);
                cause
            }
            Err(cause) => Some(cause),
        };
        if let Some(cause) = cause {
            self.failed += 1;
            if self.errors.len() < ERRORS_LIMIT {
                self.errors.push(EntryError {
                    entry: entry(),
                    cause,
                });
            }
        }
    }
}

/// Why a list could not be read, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It begins as a JSON list and is none.
    #[error("it is no JSON list: {0}; see `bailiff scan --help` for the format")]
    Json(JsonError),
    /// It is larger than what is read.
    #[error("it has {0} bytes, more than the {LIST_LIMIT} that are read; split it")]
    TooLarge(usize),
    /// It is a document of `CycloneDX`.
    #[error(
        "CycloneDX is not supported; make a list of package URLs from it with `jq -r '.components[].purl // empty'`"
    )]
    CycloneDx,
    /// It is a document of SPDX.
    #[error(
        "SPDX is not supported; make a list of package URLs from it with `jq -r '.packages[].externalRefs[]? | select(.referenceType == \"purl\").referenceLocator'`"
    )]
    Spdx,
    /// It is another JSON object.
    #[error(
        "it is a JSON object; write a JSON list, as `bailiff scan --help` shows it, or a package URL on each line"
    )]
    Object,
    /// It is no text.
    #[error("it is not UTF-8; write it as UTF-8")]
    NoText,
    /// It has too many entries.
    #[error("it has {0} packages, more than the {PACKAGES_LIMIT} that are read; split it")]
    TooMany(usize),
}

/// The entries of a JSON list, each as text.
struct Entries<'a> {
    /// The first ones, up to [`PACKAGES_LIMIT`].
    first: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut count = 0;
        let first = json::items(from, usize::MAX, |entry: &'de RawValue| {
            count += 1;
            (count <= PACKAGES_LIMIT).then_some(entry)
        })?;
        Ok(Self { first, count })
    }
}

/// Reads a list: a JSON list if it begins with `[`, otherwise a package URL on each line. Empty lines and lines that
/// begin with `#` are skipped, and so is a byte order mark.
///
/// # Errors
/// If it exceeds a limit, or is neither.
pub fn read(bytes: &[u8]) -> Result<PackageList, ListError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.len() > LIST_LIMIT {
        return Err(ListError::TooLarge(bytes.len()));
    }
    let mut list = PackageList::default();
    match bytes.trim_ascii_start().first() {
        Some(b'[') => {
            let entries: Entries<'_> = json::decode(bytes, LIST_LIMIT).map_err(ListError::Json)?;
            if entries.count > PACKAGES_LIMIT {
                return Err(ListError::TooMany(entries.count));
            }
            for (index, entry) in entries.first.iter().enumerate() {
                let package = json::decode::<Entry>(entry.get().as_bytes(), LIST_LIMIT);
                let package = package.map_err(|error| error.to_string());
                let entry = || format!("package {}", index + 1);
                list.add(entry, package.and_then(Entry::package));
            }
        }
        Some(b'{') => return Err(of_object(bytes)),
        Some(_) | None => {
            let text = str::from_utf8(bytes).map_err(|_utf8| ListError::NoText)?;
            let is_entry = |(_, line): &(usize, &str)| !line.is_empty() && !line.starts_with('#');
            let lines = || text.lines().map(str::trim).enumerate().filter(is_entry);
            let count = lines().count();
            if count > PACKAGES_LIMIT {
                return Err(ListError::TooMany(count));
            }
            for (index, line) in lines() {
                list.add(|| format!("line {}", index + 1), of_url(line));
            }
        }
    }
    Ok(list)
}

/// What a JSON object is instead of a list.
fn of_object(bytes: &[u8]) -> ListError {
    #[derive(Deserialize)]
    struct Document {
        #[serde(rename = "bomFormat")]
        bom_format: Option<IgnoredAny>,
        #[serde(rename = "spdxVersion")]
        spdx_version: Option<IgnoredAny>,
    }
    match json::decode::<Document>(bytes, LIST_LIMIT) {
        Ok(document) if document.bom_format.is_some() => ListError::CycloneDx,
        Ok(document) if document.spdx_version.is_some() => ListError::Spdx,
        Ok(_) | Err(_) => ListError::Object,
    }
}

#[derive(Deserialize)]
struct Entry {
    ecosystem: String,
    name: String,
    version: String,
    source: Option<EntrySource>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct EntrySource {
    name: String,
    version: Option<String>,
}

impl Entry {
    fn package(self) -> Result<Package, String> {
        let ecosystem = Ecosystem::of_package(&self.ecosystem)
            .map_err(|error| format!("ecosystem: {error}"))?;
        check("name", &self.name, NAME_LIMIT)?;
        check("version", &self.version, VERSION_LIMIT)?;
        let source = match self.source {
            Some(source) => {
                check("source.name", &source.name, NAME_LIMIT)?;
                let version = source.version.unwrap_or_else(|| self.version.clone());
                check("source.version", &version, VERSION_LIMIT)?;
                let name = ecosystem.normal_name(&source.name).into_owned();
                Some(Source { name, version })
            }
            None => None,
        };
        if let Some(path) = &self.path {
            check("path", path, PATH_LIMIT)?;
        }
        Ok(Package {
            name: ecosystem.normal_name(&self.name).into_owned(),
            ecosystem,
            version: self.version,
            source,
            path: self.path,
        })
    }
}

/// Why advisories might not name a package although it is there. None if they would.
fn without_source(package: &Package) -> Option<String> {
    let has_sources = match package.ecosystem {
        Ecosystem::Debian(_) | Ecosystem::Ubuntu { .. } | Ecosystem::Alpine(_) => true,
        Ecosystem::PyPi
        | Ecosystem::Npm
        | Ecosystem::Go
        | Ecosystem::CratesIo
        | Ecosystem::Maven => false,
    };
    (has_sources && package.source.is_none()).then(|| {
        "source: must name the source package, because advisories do; the package is matched by its own name"
            .to_owned()
    })
}

fn check(field: &str, value: &str, limit: usize) -> Result<(), String> {
    if (1..=limit).contains(&value.len()) {
        return Ok(());
    }
    Err(format!("{field}: must have 1 to {limit} bytes"))
}

/// The package of a package URL, such as `pkg:npm/%40angular/core@16.0.0`.
fn of_url(url: &str) -> Result<Package, String> {
    const FORM: &str = "must be a package URL such as pkg:pypi/django@3.2.1";
    let rest = url.strip_prefix("pkg:").ok_or(FORM)?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (kind, rest) = rest.trim_start_matches('/').split_once('/').ok_or(FORM)?;
    // A scope of npm can be written as it is: there the @ is at the beginning.
    let is_version = |(path, _): &(&str, &str)| !path.is_empty() && !path.ends_with('/');
    let (path, version) = rest.rsplit_once('@').filter(is_version).ok_or(
        "it has no version, so it cannot be compared; write one after @, such as pkg:pypi/django@3.2.1",
    )?;
    let decoded = |text: &str| -> Result<String, String> {
        let text = percent_decode_str(text).decode_utf8();
        Ok(text.map_err(|_utf8| "must be UTF-8")?.into_owned())
    };
    let path = decoded(path)?;
    let (ecosystem, name) = match kind.to_ascii_lowercase().as_str() {
        "pypi" => (Ecosystem::PyPi, path),
        "npm" => (Ecosystem::Npm, path),
        "golang" => (Ecosystem::Go, path),
        "cargo" => (Ecosystem::CratesIo, path),
        "maven" => {
            let (group, artifact) = path
                .rsplit_once('/')
                .ok_or("must have a group and an artifact")?;
            (Ecosystem::Maven, format!("{group}:{artifact}"))
        }
        "deb" | "apk" => {
            return Err(
                "must be an entry of a JSON list, which names the release and the source package"
                    .to_owned(),
            );
        }
        _ => {
            return Err("must have the type pypi, npm, golang, cargo or maven".to_owned());
        }
    };
    let entry = Entry {
        ecosystem: ecosystem.to_string(),
        name,
        version: decoded(version)?,
        source: None,
        path: None,
    };
    entry.package()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (Vec<String>, Vec<String>) {
        let list = read(text.as_bytes()).unwrap();
        let packages = list.packages.iter().map(|p| {
            let source = p
                .source
                .as_ref()
                .map(|s| format!(" of {} {}", s.name, s.version));
            let path = p.path.as_ref().map(|path| format!(" in {path}"));
            let (source, path) = (source.unwrap_or_default(), path.unwrap_or_default());
            format!("{}/{} {}{source}{path}", p.ecosystem, p.name, p.version)
        });
        let errors = list.errors.iter().map(ToString::to_string);
        (packages.collect(), errors.collect())
    }

    #[test]
    fn a_json_list_is_read_entry_by_entry() {
        let text = r#" [
            {"ecosystem": "PyPI", "name": "Zope.Interface", "version": "5.0", "more": 1},
            {"ecosystem": "Debian:12", "name": "libssl3", "version": "3.0.1-1+b1", "source": {"name": "openssl", "version": "3.0.1-1"}},
            {"ecosystem": "Alpine:v3.18", "name": "libssl3", "version": "3.1.0-r0", "source": {"name": "openssl"}, "path": "lib/apk/db/installed"},
            {"ecosystem": "NuGet", "name": "a", "version": "1"},
            {"ecosystem": "npm", "name": "a"},
            {"ecosystem": "npm", "name": "", "version": "1"},
            "a", null,
            {"ecosystem": "npm", "name": "b", "version": "1.0.0"},
            {"ecosystem": "Debian:12", "name": "libssl3", "version": "3.0.1-1"}
        ]"#;
        let (packages, errors) = shown(text);
        assert_eq!(
            packages,
            [
                "PyPI/zope-interface 5.0",
                "Debian:12/libssl3 3.0.1-1+b1 of openssl 3.0.1-1",
                "Alpine:v3.18/libssl3 3.1.0-r0 of openssl 3.1.0-r0 in lib/apk/db/installed",
                "npm/b 1.0.0",
                "Debian:12/libssl3 3.0.1-1",
            ]
        );
        assert_eq!(
            errors,
            [
                "package 4: ecosystem: \"NuGet\" is not supported; it must be Debian:12, Ubuntu:22.04:LTS, Alpine:v3.18, PyPI, npm, Go, crates.io or Maven",
                "package 5: missing field `version` at line 1 column 33",
                "package 6: name: must have 1 to 1024 bytes",
                "package 7: invalid type: string \"a\", expected struct Entry at line 1 column 3",
                "package 8: invalid type: null, expected struct Entry at line 1 column 4",
                // It is matched: a source package often has the name of one that is built from it.
                "package 10: source: must name the source package, because advisories do; the package is matched by its own name",
            ]
        );
    }

    #[test]
    fn package_urls_are_read_line_by_line() {
        let text = "\
# comment

pkg:pypi/Django@3.2.1
pkg:npm/%40angular/core@16.0.0?a=b#c
pkg:npm/@angular/cli@16.0.0
pkg:golang/golang.org/x/net@v0.1.0
pkg:cargo/time@0.1.43
pkg:maven/io.netty/netty-codec-http@4.1.76.Final
pkg:deb/debian/openssl@3.0.1-1
pkg:gem/rails@1
pkg:pypi/django
pkg:npm/@angular/cli
pkg:maven/netty@1
django==3.2.1
pkg:pypi/%ff@1
";
        let (packages, errors) = shown(text);
        assert_eq!(
            packages,
            [
                "PyPI/django 3.2.1",
                "npm/@angular/core 16.0.0",
                "npm/@angular/cli 16.0.0",
                "Go/golang.org/x/net v0.1.0",
                "crates.io/time 0.1.43",
                "Maven/io.netty:netty-codec-http 4.1.76.Final",
            ]
        );
        assert_eq!(
            errors,
            [
                "line 9: must be an entry of a JSON list, which names the release and the source package",
                "line 10: must have the type pypi, npm, golang, cargo or maven",
                "line 11: it has no version, so it cannot be compared; write one after @, such as pkg:pypi/django@3.2.1",
                "line 12: it has no version, so it cannot be compared; write one after @, such as pkg:pypi/django@3.2.1",
                "line 13: must have a group and an artifact",
                "line 14: must be a package URL such as pkg:pypi/django@3.2.1",
                "line 15: must be UTF-8",
            ]
        );
    }

    #[test]
    fn a_list_that_is_too_long_is_not_read() {
        let line = "pkg:npm/a@1\n".repeat(PACKAGES_LIMIT + 1);
        let error = read(line.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error,
            "it has 100001 packages, more than the 100000 that are read; split it"
        );
        let items = format!("[{}0]", "0,".repeat(PACKAGES_LIMIT));
        assert_eq!(
            read(items.as_bytes()),
            Err(ListError::TooMany(PACKAGES_LIMIT + 1))
        );
        let large = vec![b' '; LIST_LIMIT + 1];
        assert_eq!(
            read(&large).unwrap_err().to_string(),
            "it has 67108865 bytes, more than the 67108864 that are read; split it"
        );
    }

    #[test]
    fn what_is_no_list_has_one_error_with_its_remedy() {
        for (text, want) in [
            (&b"[1"[..], "it is no JSON list: EOF while parsing a list at line 1 column 2; see `bailiff scan --help` for the format"),
            (b"\xff", "it is not UTF-8; write it as UTF-8"),
            (
                b"\xef\xbb\xbf {\"bomFormat\": \"CycloneDX\", \"components\": [{\"purl\": \"pkg:npm/a@1\"}]}",
                "CycloneDX is not supported; make a list of package URLs from it with `jq -r '.components[].purl // empty'`",
            ),
            (
                b"{\"packages\": [],\n \"spdxVersion\": \"SPDX-2.3\"}",
                "SPDX is not supported; make a list of package URLs from it with `jq -r '.packages[].externalRefs[]? | select(.referenceType == \"purl\").referenceLocator'`",
            ),
            (
                b"{\"ecosystem\": \"npm\", \"name\": \"a\", \"version\": \"1\"}",
                "it is a JSON object; write a JSON list, as `bailiff scan --help` shows it, or a package URL on each line",
            ),
            (
                b"{",
                "it is a JSON object; write a JSON list, as `bailiff scan --help` shows it, or a package URL on each line",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        for text in [
            "\u{feff}pkg:npm/a@1.0.0\r\n",
            "\u{feff}[{\"ecosystem\": \"npm\", \"name\": \"a\", \"version\": \"1.0.0\"}]",
        ] {
            assert_eq!(shown(text), (vec!["npm/a 1.0.0".to_owned()], Vec::new()));
        }
    }

    #[test]
    fn errors_are_kept_up_to_a_limit_and_counted_beyond() {
        let list = read(format!("{}pkg:npm/a@1", "x\n".repeat(150)).as_bytes()).unwrap();
        assert_eq!(
            (list.packages.len(), list.errors.len(), list.failed),
            (1, 100, 150)
        );
        assert_eq!(list.errors[99].entry, "line 100");
    }
}
