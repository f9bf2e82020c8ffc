//! The path of a script.
//!
//! Here: making one path of what was asked for and the working folder. Not here: reading either
//! (`record`).
//! Invariant: links are not followed; nobody may read a container's files. A beginning that the
//! kernel side cut stays marked as `…`.

use crate::record::Exec;

/// The script that an interpreter was started for, from the root; absent: it is no script.
pub(crate) fn script_path(exec: &Exec) -> Option<String> {
    exec.interpreter.as_ref()?;
    Some(from_root(
        exec.working_folder.as_deref().unwrap_or_default(),
        &exec.filename,
    ))
}

/// A path from the root, without `.` and `..`.
fn from_root(folder: &str, path: &str) -> String {
    let from = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            // What lies above a beginning that was cut is not known.
            ".." if parts.last() == Some(&"…") => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if joined.starts_with("…/") {
        joined
    } else {
        format!("/{joined}")
    }
}

#[cfg(test)]
mod tests {
    use super::from_root;

    #[test]
    fn a_script_has_one_path_however_it_was_asked_for() {
        for (folder, path, want) in [
            ("", "/tmp/x.sh", "/tmp/x.sh"),
            ("/tmp", "./x.sh", "/tmp/x.sh"),
            ("/tmp", "x.sh", "/tmp/x.sh"),
            ("/tmp/a", "../x.sh", "/tmp/x.sh"),
            ("/", "x.sh", "/x.sh"),
            ("/", "../../x.sh", "/x.sh"),
            ("/app", "/usr/.././tmp//x.sh", "/tmp/x.sh"),
            ("…/a/b", "x.sh", "…/a/b/x.sh"),
            ("…/a", "../../../x.sh", "…/x.sh"),
            ("", "", "/"),
        ] {
            assert_eq!(from_root(folder, path), want, "{folder} {path}");
        }
    }
}
