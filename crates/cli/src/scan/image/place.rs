//! What the argument IMAGE names.
//!
//! Here: its forms. Not here: opening anything (`layout`, `docker_archive`, `directory`, `registry`).
//! Invariant: a text has one meaning, whatever files exist; only where a path ends depends on them.

use bailiff_oci::{Digest, Reference, ShortNames};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Sources of other programs, which are not the names of images in practice.
const OTHERS: [&str; 9] = [
    "containers-storage",
    "docker-daemon",
    "docker-dir",
    "oci-archive",
    "oci-dir",
    "ostree",
    "podman",
    "sif",
    "tarball",
];

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a registry.
    Registry(Reference),
    /// In an OCI layout: a directory or an archive.
    Layout {
        /// The path.
        path: PathBuf,
        /// Which image.
        name: Name,
    },
    /// In an archive of `docker save`.
    DockerArchive {
        /// The path.
        path: PathBuf,
        /// The reference of the image; none: the only one.
        name: Option<String>,
    },
    /// A root file system.
    Directory(PathBuf),
}

/// Which image of a layout is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The only one.
    Only,
    /// The one with this tag.
    Tag(String),
    /// The one with this digest.
    Digest(Digest),
}

impl Place {
    /// What a text names. The error is a cause and a remedy.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        for (scheme, example) in [
            ("oci:", "image.tar"),
            ("docker-archive:", "image.tar"),
            ("dir:", "rootfs"),
        ] {
            if text == scheme {
                return Err(format!(
                    "there is no path; write one, such as {scheme}{example}"
                ));
            }
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (path, name) = split(rest, |path| path.symlink_metadata().is_ok());
            let name = match name {
                None => Name::Only,
                Some((':', tag)) => Name::Tag(tag.to_owned()),
                Some((_, digest)) => {
                    let digest = Digest::parse(digest).map_err(|error| error.to_string())?;
                    Name::Digest(digest)
                }
            };
            return Ok(Self::Layout { path, name });
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (path, name) = split(rest, |path| path.symlink_metadata().is_ok());
            let name = match name {
                None => None,
                Some((':', name)) => Some(name.to_owned()),
                Some(_) => {
                    return Err(
                        "an archive of Docker has no digests of images; write docker-archive:PATH:REFERENCE"
                            .to_owned(),
                    );
                }
            };
            return Ok(Self::DockerArchive { path, name });
        }
        if let Some(path) = text.strip_prefix("dir:") {
            return Ok(Self::Directory(path.into()));
        }
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        if let Some(scheme) = scheme.filter(|scheme| OTHERS.contains(scheme)) {
            return Err(format!(
                "images of {scheme} are not read; write oci:PATH for a layout or an archive of one, docker-archive:PATH for what `docker save` or `podman save` writes, or dir:PATH for a root file system"
            ));
        }
        if let Some(error) = other_form(text) {
            return Err(error);
        }
        match Reference::parse(text, ShortNames::DockerHub) {
            Ok(reference) => Ok(Self::Registry(reference)),
            Err(_) if text.starts_with("docker:") && !text.starts_with("docker:/") => {
                let name = text.trim_start_matches("docker:");
                Err(format!(
                    "\"docker:\" is no form of an image; write {name} to pull it, or save it with `docker save -o image.tar {name}` and write docker-archive:image.tar"
                ))
            }
            Err(_) if text.starts_with("registry:") && !text.starts_with("registry:/") => {
                let name = text.trim_start_matches("registry:");
                Err(format!(
                    "\"registry:\" is no form of an image; write {name}"
                ))
            }
            Err(error) if is_path(text) => Err(format!(
                "{error}; for a file or a directory, write oci:{text}, docker-archive:{text} or dir:{text}"
            )),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What to write instead of a text in a form of another program. None if it is none. The registry of short names has
/// no images `file`, `sbom` and `pkg`, but `docker` and `registry`.
fn other_form(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    match scheme {
        "file" => {
            let path = match rest.strip_prefix("//") {
                Some(path) => path,
                None => rest,
            };
            Some(format!(
                "\"file:\" is no form of an image; write docker-archive:{path} for what `docker save` writes, oci:{path} for a layout or an archive of one, or dir:{path} for a root file system"
            ))
        }
        "sbom" => Some(format!(
            "\"sbom:\" is no form of an image; make a list of package URLs with `jq -r '.components[].purl // empty' {rest} > packages.txt`, and set --packages to it"
        )),
        "pkg" => Some(
            "a package URL is no image; write it to a file, and set --packages to it".to_owned(),
        ),
        _ => None,
    }
}

/// What else a text could mean that is a reference, with a remedy. None if nothing.
pub(super) fn meant(text: &str) -> Option<String> {
    if let Some(name) = text
        .strip_prefix("docker:")
        .or(text.strip_prefix("registry:"))
    {
        return Some(format!("for the image {name}, write {name}"));
    }
    let metadata = std::fs::metadata(text).ok()?;
    Some(if metadata.is_dir() {
        format!("for the directory here, write oci:{text} or dir:{text}")
    } else {
        format!("for the file here, write docker-archive:{text}")
    })
}

/// Whether a text that is no reference is probably meant as a path.
fn is_path(text: &str) -> bool {
    let is_archive = |end: &OsStr| end.eq_ignore_ascii_case("tar");
    text.starts_with(['/', '.']) || Path::new(text).extension().is_some_and(is_archive)
}

/// A path, and what follows it after a colon or an at sign: the longest path that exists, or else all before the
/// first of them.
fn split(text: &str, exists: impl Fn(&Path) -> bool) -> (PathBuf, Option<(char, &str)>) {
    if exists(Path::new(text)) {
        return (text.into(), None);
    }
    let at = |(place, separator): (usize, char)| {
        let (path, rest) = (text.get(..place)?, text.get(place..)?);
        Some((Path::new(path), (separator, rest.get(1..)?)))
    };
    let separators = text.char_indices().filter(|(_, c)| matches!(c, ':' | '@'));
    let splits: Vec<_> = separators.filter_map(at).collect();
    let existing = splits.iter().rev().find(|(path, _)| exists(path));
    match existing.or(splits.first()) {
        Some((path, name)) => (path.to_path_buf(), Some(*name)),
        None => (text.into(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_where_the_longest_existing_one_does() {
        let existing = ["a", "a:b", "/x/y.tar"];
        let exists = |path: &Path| existing.iter().any(|known| Path::new(known) == path);
        for (text, path, name) in [
            ("a", "a", None),
            ("a:b", "a:b", None),
            ("a:c", "a", Some((':', "c"))),
            ("a:b:c", "a:b", Some((':', "c"))),
            ("a@sha256:0", "a", Some(('@', "sha256:0"))),
            (
                "/x/y.tar:docker.io/library/nginx:1",
                "/x/y.tar",
                Some((':', "docker.io/library/nginx:1")),
            ),
            ("none:c:d", "none", Some((':', "c:d"))),
            ("none", "none", None),
            ("é:c", "é", Some((':', "c"))),
        ] {
            assert_eq!(split(text, exists), (path.into(), name), "{text}");
        }
    }

    #[test]
    fn an_argument_has_one_meaning() {
        let registry =
            |text| Place::Registry(Reference::parse(text, ShortNames::DockerHub).unwrap());
        let missing = |name| Place::Layout {
            path: "/none/x".into(),
            name,
        };
        for (text, want) in [
            ("nginx", registry("docker.io/library/nginx")),
            ("docker:27", registry("docker.io/library/docker:27")),
            ("localhost:5000/a", registry("localhost:5000/a")),
            ("oci:/none/x", missing(Name::Only)),
            ("oci:/none/x:1", missing(Name::Tag("1".to_owned()))),
            ("dir:/none/x:1", Place::Directory("/none/x:1".into())),
            (
                "docker-archive:/none/x:nginx:1",
                Place::DockerArchive {
                    path: "/none/x".into(),
                    name: Some("nginx:1".to_owned()),
                },
            ),
        ] {
            assert_eq!(Place::parse(text).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn what_a_reference_could_mean_is_said() {
        // Of the directory of this crate.
        for (text, want) in [
            (
                "Cargo.toml",
                Some("for the file here, write docker-archive:Cargo.toml"),
            ),
            (
                "src",
                Some("for the directory here, write oci:src or dir:src"),
            ),
            ("docker:nginx", Some("for the image nginx, write nginx")),
            ("registry:nginx", Some("for the image nginx, write nginx")),
            ("nginx:1.27", None),
        ] {
            assert_eq!(meant(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn an_argument_without_a_meaning_has_a_remedy() {
        for (text, want) in [
            (
                "docker-daemon:nginx:1",
                "images of docker-daemon are not read; write oci:PATH for a layout or an archive of one, docker-archive:PATH for what `docker save` or `podman save` writes, or dir:PATH for a root file system",
            ),
            (
                "docker:nginx:1.27",
                "\"docker:\" is no form of an image; write nginx:1.27 to pull it, or save it with `docker save -o image.tar nginx:1.27` and write docker-archive:image.tar",
            ),
            (
                "registry:ghcr.io/a/b:1",
                "\"registry:\" is no form of an image; write ghcr.io/a/b:1",
            ),
            (
                "file:web",
                "\"file:\" is no form of an image; write docker-archive:web for what `docker save` writes, oci:web for a layout or an archive of one, or dir:web for a root file system",
            ),
            (
                "sbom:bom.json",
                "\"sbom:\" is no form of an image; make a list of package URLs with `jq -r '.components[].purl // empty' bom.json > packages.txt`, and set --packages to it",
            ),
            (
                "pkg:npm/a@1",
                "a package URL is no image; write it to a file, and set --packages to it",
            ),
            (
                "docker://nginx",
                "image reference starts with the scheme \"docker\"; remove it and \"://\"",
            ),
            (
                "./image.tar",
                "registry host \".\" is malformed; use a DNS name of at most 253 bytes, an IPv4 address or an IPv6 address in brackets; for a file or a directory, write oci:./image.tar, docker-archive:./image.tar or dir:./image.tar",
            ),
            (
                "oci:/none/x@sha256:0",
                "sha256 digest \"0\" is malformed; write exactly 64 lowercase hexadecimal digits",
            ),
            (
                "docker-archive:/none/x@sha256:0",
                "an archive of Docker has no digests of images; write docker-archive:PATH:REFERENCE",
            ),
        ] {
            assert_eq!(Place::parse(text).unwrap_err(), want);
        }
    }
}
