//! What this process may do, and what the kernel answered to it, when the programs could not be loaded.
//!
//! Here: reading `/proc` and the errors of the loader's library. Not here: what follows from it (`refusal`).
//! Invariant: what can't be read is absent, and stops nothing.

use crate::kernel::refusal::{Answer, Process, Refusal, refusal};
use aya::EbpfError;
use aya::programs::ProgramError;
use std::error::Error;

/// Why the programs or their maps could not be loaded.
pub(super) fn of_load(error: &EbpfError) -> Refusal {
    if let EbpfError::ProgramError(error) = error {
        return of_program(error);
    }
    let answer = Answer {
        errno: errno(error),
        verifier: "",
    };
    refusal(answer, process())
}

/// Why a program could not be loaded or attached.
pub(super) fn of_program(error: &ProgramError) -> Refusal {
    let log = match error {
        ProgramError::LoadError { verifier_log, .. } => verifier_log.to_string(),
        _ => String::new(),
    };
    let answer = Answer {
        errno: errno(error),
        verifier: log.trim(),
    };
    refusal(answer, process())
}

/// The error number of the innermost cause that has one.
fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    std::iter::successors(Some(error), source)
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error())
        .last()
}

fn source<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    (*error).source()
}

fn process() -> Process {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
    };
    let user_ids = std::fs::read_to_string("/proc/self/uid_map").ok();
    Process {
        capabilities: value("CapEff:").and_then(|text| u64::from_str_radix(text, 16).ok()),
        seccomp: value("Seccomp:").map(|mode| mode != "0"),
        // The first user namespace maps each number to itself (user_namespaces(7)).
        own_user_namespace: user_ids.map(|map| map.split_whitespace().ne(["0", "0", "4294967295"])),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .ok()
            .and_then(|release| version(&release)),
    }
}

/// Major and minor version of a release such as `6.1.0-13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_releases_of_distributions() {
        for (release, want) in [
            ("6.1.0-13-amd64", Some((6, 1))),
            ("5.14.0-427.el9.x86_64", Some((5, 14))),
            ("6.18-rc1", Some((6, 18))),
            ("6", None),
            ("", None),
        ] {
            assert_eq!(version(release), want, "{release}");
        }
    }

    #[test]
    fn the_error_number_of_the_library_is_found() {
        let error = aya::maps::MapError::CreateError {
            name: "records".to_owned(),
            io_error: std::io::Error::from_raw_os_error(13),
        };
        let error = EbpfError::MapError(error);
        assert_eq!(errno(&error), Some(13));
        assert_eq!(errno(&EbpfError::NoBTF), None);
    }
}
