//! Paths from the root.
//!
//! Here: joining a path to the working directory that it begins in. Not here: reading either
//! (`sensor`).
//! Invariant: links are not followed, as a container's files must not be read; a beginning that is
//! not known stays marked as `…`, and nothing leads above it.

/// What a directory begins with whose beginning is not known.
const UNKNOWN: char = '…';

/// A path from the root, without `.` and `..`, in time that grows with the length of both. A
/// relative one begins in this directory, which is one from the root already.
#[must_use]
pub fn path_from_root(directory: &str, path: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::path_from_root;

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
