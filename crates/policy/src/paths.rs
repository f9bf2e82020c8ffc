//! Paths from the root.
//!
//! Here: joining a path to the working directory that it begins in, and what of it is not known. Not here:
//! reading either (`sensor`).
//! Invariant: links are not followed, as a container's files must not be read; a beginning that is
//! not known stays marked as `…`, and nothing leads above it.

/// What a directory begins with whose beginning is not known.
const UNKNOWN: char = '…';

/// A path from the root, without `.` and `..`, in time that grows with the length of both. A
/// relative one begins in this directory, which is one from the root already.
pub(crate) fn path_from_root(directory: &str, path: &str) -> String {
    let mut whole = String::with_capacity(directory.len().saturating_add(path.len()));
    if !path.starts_with('/') {
        whole.push_str(directory.trim_end_matches('/'));
    }
    let top = if whole.starts_with(UNKNOWN) {
        UNKNOWN.len_utf8()
    } else {
        0
    };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => whole.truncate(whole.rfind('/').unwrap_or(top)),
            part => {
                whole.push('/');
                whole.push_str(part);
            }
        }
    }
    if whole.len() == top {
        whole.push('/');
    }
    whole
}

/// The path of a script from the root, without `.` and `..`, from what was passed to exec; a relative one begins in
/// this directory. Below a link of procfs, which leads to a file whatever its path is, and where its end is cut, its
/// beginning is not known.
#[must_use]
pub fn script_path(directory: &str, path: &str, is_cut: bool) -> String {
    let below = if path.starts_with('/') { "" } else { directory };
    let mut parts: Vec<&str> = Vec::new();
    let mut is_known = !is_cut && !below.starts_with(UNKNOWN);
    let below = below.trim_start_matches(UNKNOWN);
    for part in below.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
        if is_magic_link(&parts) {
            parts.clear();
            is_known = false;
        }
    }
    let beginning = if is_known { "/" } else { "…/" };
    format!("{beginning}{}", parts.join("/"))
}

/// Whether a path leads through a link of procfs, or to procfs by one of the links that each container has in `/dev`
/// (OCI runtime specification v1.3, config-linux.md, "Default Devices").
fn is_magic_link(parts: &[&str]) -> bool {
    let of_process = match parts {
        ["proc", _, "task", _, rest @ ..] | ["proc", _, rest @ ..] => rest,
        ["dev", "fd", _] | ["dev", "stdin" | "stdout" | "stderr"] => return true,
        _ => return false,
    };
    matches!(
        of_process,
        ["root" | "cwd" | "exe"] | ["fd" | "map_files", _]
    )
}

/// The path of an argument of which an unknown part is missing: what follows the gap, whose beginning is not known.
pub(crate) fn path_after_gap(arg: &str) -> String {
    let known = arg.rsplit(UNKNOWN).next().unwrap_or_default();
    // A slash at its start is one in the middle of a path.
    path_from_root("…/", known.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::{path_after_gap, path_from_root, script_path};

    #[test]
    fn a_script_by_a_plain_path_has_the_path_of_any_other_file() {
        for (directory, path) in [
            ("/", "/tmp/x.sh"),
            ("/tmp/a", "../x.sh"),
            ("/", "../../x.sh"),
            ("…/a", "../../x.sh"),
            ("…/a", "/x.sh"),
            ("/…", "x.sh"),
            ("/app", "/proc/x.sh"),
            ("/proc/1", "../x.sh"),
            ("/app/proc/1", "root/x.sh"),
            ("/", "/dev/fd"),
            ("/", "/proc/self/fd"),
        ] {
            let whole = path_from_root(directory, path);
            assert_eq!(
                script_path(directory, path, false),
                whole,
                "{directory} {path}"
            );
        }
    }

    #[test]
    fn a_script_through_a_link_of_procfs_has_an_unknown_beginning() {
        for (directory, path, want) in [
            ("/", "/proc/self/root/tmp/x.sh", "…/tmp/x.sh"),
            ("/app", "/proc/1/root/app/x.sh", "…/app/x.sh"),
            ("/app", "/proc/thread-self/root/x.sh", "…/x.sh"),
            ("/app", "/proc/1/task/2/root/x.sh", "…/x.sh"),
            ("/app", "/proc/1/task/2/cwd/x.sh", "…/x.sh"),
            ("/app", "/proc/self/cwd/x.sh", "…/x.sh"),
            ("/app", "//proc/./self/../self/cwd//x.sh", "…/x.sh"),
            ("/app", "../proc/self/root/x.sh", "…/x.sh"),
            ("/proc/self", "root/x.sh", "…/x.sh"),
            ("/proc/7", "./cwd/../x.sh", "…/x.sh"),
            ("/app", "/proc/self/fd/3", "…/"),
            ("/app", "/proc/self/fd/3/x.sh", "…/x.sh"),
            ("/app", "/proc/self/task/7/fd/3/x.sh", "…/x.sh"),
            ("/app", "/proc/self/map_files/400000-401000", "…/"),
            ("/app", "/dev/fd/3", "…/"),
            ("/dev", "fd/3/a/x.sh", "…/a/x.sh"),
            ("/app", "/dev/stdin", "…/"),
            ("/app", "/proc/self/root/proc/self/root/x.sh", "…/x.sh"),
            ("/app", "/proc/self/root/../../../x.sh", "…/x.sh"),
        ] {
            assert_eq!(
                script_path(directory, path, false),
                want,
                "{directory} {path}"
            );
        }
    }

    #[test]
    fn a_script_whose_path_is_cut_has_an_unknown_beginning() {
        assert_eq!(script_path("/tmp", "/app/aaa", true), "…/app/aaa");
        assert_eq!(script_path("/tmp", "aaa", true), "…/tmp/aaa");
    }

    #[test]
    fn an_argument_with_a_gap_has_an_unknown_path() {
        for (arg, want) in [
            ("/app/a…b/x.sh", "…/b/x.sh"),
            ("/app/a…", "…/"),
            ("…/x.sh", "…/x.sh"),
            // The argument itself may have such characters, before the gap and after it.
            ("…/app…b/../../tmp/…/x.sh", "…/x.sh"),
            ("a…b/../../../tmp/x.sh", "…/tmp/x.sh"),
        ] {
            assert_eq!(path_after_gap(arg), want, "{arg}");
        }
    }

    #[test]
    fn a_file_has_one_path_however_it_was_asked_for() {
        for (directory, path, want) in [
            ("/", "/tmp/x.sh", "/tmp/x.sh"),
            ("/tmp", "./x.sh", "/tmp/x.sh"),
            ("/tmp", "x.sh", "/tmp/x.sh"),
            ("/tmp/a", "../x.sh", "/tmp/x.sh"),
            ("/tmp/a", "b/../../x.sh", "/tmp/x.sh"),
            ("/", "x.sh", "/x.sh"),
            ("/", "../../x.sh", "/x.sh"),
            ("/app", "/usr/.././tmp//x.sh", "/tmp/x.sh"),
            ("/app", "../tmp/x.sh", "/tmp/x.sh"),
            ("/tmp", "", "/tmp"),
            ("/", "", "/"),
            ("/tmp", "..", "/"),
        ] {
            assert_eq!(path_from_root(directory, path), want, "{directory} {path}");
        }
    }

    #[test]
    fn nothing_leads_above_a_beginning_that_is_not_known() {
        for (directory, path, want) in [
            ("…/a/b", "x.sh", "…/a/b/x.sh"),
            ("…/a", "../../../x.sh", "…/x.sh"),
            ("…/", "x.sh", "…/x.sh"),
            ("…/a", "..", "…/"),
            ("…/a", "/x.sh", "/x.sh"),
            // A directory of this name, and a path that pretends.
            ("/…", "x.sh", "/…/x.sh"),
            ("/…", "../x.sh", "/x.sh"),
            ("/tmp", "…/../x.sh", "/tmp/x.sh"),
        ] {
            assert_eq!(path_from_root(directory, path), want, "{directory} {path}");
        }
    }
}
