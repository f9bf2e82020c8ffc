//! Which findings do not count, and why.
//!
//! Here: the reasons. Not here: the findings.
//! Invariant: a finding of which one advisory says that it matters counts, whatever others say. A package that is more
//! than header files of the kernel has the findings of the kernel.

use crate::advisory::{Affected, Kind, Note};
use crate::ecosystem::Ecosystem;
use crate::package::Subject;
use std::fmt;

/// Why a finding does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotCounted {
    /// It is information about the package and no vulnerability, in the publisher's word.
    Informational(String),
    /// Everybody who publishes it calls it unimportant, as Debian does if the effect is not a matter of security.
    Unimportant,
    /// It is a finding of the kernel, and the packages are its header files.
    KernelHeaders,
}

impl NotCounted {
    /// The name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Informational(_) => "Informational",
            Self::Unimportant => "Unimportant",
            Self::KernelHeaders => "KernelHeaders",
        }
    }
}

impl fmt::Display for NotCounted {
    /// Completes "not counted, because …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Informational(_) => "the advisory is information and no vulnerability",
            Self::Unimportant => "Debian rates the effect as unimportant",
            Self::KernelHeaders => "the packages are header files of the kernel and not the kernel",
        })
    }
}

/// Why a finding of a kind does not count. `entries` has what each advisory of it says about the package. None if it
/// counts.
pub(super) fn not_counted<'a>(
    kind: &Kind,
    subject: &Subject,
    entries: impl IntoIterator<Item = &'a Affected>,
) -> Option<NotCounted> {
    match kind {
        Kind::Malicious => return None,
        Kind::Informational(word) => return Some(NotCounted::Informational(word.clone())),
        Kind::Vulnerability => {}
    }
    if is_kernel_headers(subject) {
        return Some(NotCounted::KernelHeaders);
    }
    let mut entries = entries.into_iter().peekable();
    let is_unimportant =
        entries.peek().is_some() && entries.all(|entry| entry.notes.contains(&Note::Unimportant));
    is_unimportant.then_some(NotCounted::Unimportant)
}

/// Whether all packages of a source package of the kernel are header files. Source packages are `linux`, and others with
/// its name before theirs, such as `linux-6.1` of Debian and `linux-hwe-5.15` of Ubuntu.
fn is_kernel_headers(subject: &Subject) -> bool {
    let has_kernel = match &subject.ecosystem {
        Ecosystem::Debian(_) | Ecosystem::Ubuntu { .. } | Ecosystem::Alpine(_) => true,
        Ecosystem::PyPi
        | Ecosystem::Npm
        | Ecosystem::Go
        | Ecosystem::CratesIo
        | Ecosystem::Maven => false,
    };
    let is_kernel = subject.name == "linux" || subject.name.starts_with("linux-");
    let is_headers = |name: &String| {
        let Some(name) = name.strip_prefix("linux-") else {
            return false;
        };
        let is_library = name == "libc-dev" || name.starts_with("libc-dev-");
        // `linux-headers-6.1.0-18-amd64`, `linux-aws-headers-5.15.0-1051`, `linux-api-headers`.
        let mut parts = name.split('-');
        is_library || parts.any(|part| part == "headers")
    };
    has_kernel
        && is_kernel
        && !subject.packages.is_empty()
        && subject.packages.iter().all(is_headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_headers(ecosystem: &str, source: &str, packages: &[&str]) -> bool {
        is_kernel_headers(&Subject {
            ecosystem: Ecosystem::parse(ecosystem).unwrap(),
            name: source.to_owned(),
            version: "1".to_owned(),
            packages: packages.iter().map(|name| (*name).to_owned()).collect(),
            paths: Vec::new(),
        })
    }

    #[test]
    fn header_files_of_the_kernel_are_not_the_kernel() {
        for (ecosystem, source, packages, want) in [
            ("Debian:12", "linux", &["linux-libc-dev"][..], true),
            (
                "Debian:12",
                "linux",
                &[
                    "linux-headers-6.1.0-18-amd64",
                    "linux-headers-6.1.0-18-common",
                    "linux-libc-dev",
                ],
                true,
            ),
            ("Debian:13", "linux", &["linux-libc-dev-amd64-cross"], true),
            (
                "Ubuntu:22.04:LTS",
                "linux-aws",
                &[
                    "linux-aws-headers-5.15.0-1051",
                    "linux-headers-5.15.0-1051-aws",
                ],
                true,
            ),
            ("Alpine:v3.18", "linux-headers", &["linux-headers"], true),
            ("Debian:12", "linux", &["linux-api-headers"], true),
            // One package of the kernel is enough.
            (
                "Debian:12",
                "linux",
                &["linux-image-6.1.0-18-amd64", "linux-libc-dev"],
                false,
            ),
            ("Debian:12", "linux", &["linux-perf"], false),
            ("Debian:12", "linux", &[], false),
            // Other source packages have no packages of the kernel, whatever these are called.
            ("Debian:12", "openssl", &["linux-libc-dev"], false),
            ("npm", "linux", &["linux-libc-dev"], false),
        ] {
            let is = is_headers(ecosystem, source, packages);
            assert_eq!(is, want, "{ecosystem} {source} {packages:?}");
        }
    }
}
