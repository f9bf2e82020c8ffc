//! The names that a process goes by.
//!
//! Here: `process.names` as policies see it. Not here: paths.
//! Invariant: a program can hide its own name behind a link or another first argument, but not
//! the name of the file that is executed; so all of them count.

/// Programs that are many in one, and look at their first argument to know which.
const MULTI_CALL: [&str; 2] = ["busybox", "toybox"];

/// The last part of a path, without the dash that marks a login shell.
fn basename(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_prefix('-')
        .filter(|name| !name.is_empty())
        .unwrap_or(name)
}

/// The distinct names of a process: of the file, of the path asked for, of the first argument;
/// for busybox and toybox also the applet.
pub(crate) fn names(executable: &str, invoked_path: &str, args: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(4);
    let mut add = |name: &str| {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    let first = args.first().map(|arg| basename(arg));
    add(basename(executable));
    add(basename(invoked_path));
    if let Some(first) = first {
        add(first);
        // `busybox sh -c …`: the applet is the next argument.
        if MULTI_CALL.contains(&basename(executable))
            && MULTI_CALL.contains(&first)
            && let Some(applet) = args.get(1)
        {
            add(basename(applet));
        }
    }
    names
}

/// Most bytes of the name that the kernel has for a process (`TASK_COMM_LEN` without its NUL).
const TASK_NAME_BYTES: usize = 15;

/// The names of a process that was found running: of its file, and the one that the kernel has for
/// it, which is the beginning of that of the path asked for, or what the process calls itself.
pub(crate) fn names_of_found(executable: &str, task_name: &str) -> Vec<String> {
    let mut names = names(executable, task_name, &[]);
    let cut = |name: &String| task_name.len() >= TASK_NAME_BYTES && name.starts_with(task_name);
    if names.first().is_some_and(cut) {
        names.truncate(1);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{names, names_of_found};

    #[test]
    fn a_found_process_goes_by_its_file_and_its_task() {
        for (executable, task, want) in [
            ("/bin/busybox", "sh", &["busybox", "sh"][..]),
            ("/usr/bin/bash", "bash", &["bash"]),
            (
                "/usr/bin/unattended-upgrade",
                "unattended-upgr",
                &["unattended-upgrade"],
            ),
            (
                "/usr/bin/unattended-upgrade",
                "unattended",
                &["unattended-upgrade", "unattended"],
            ),
            (
                "/usr/sbin/nginx",
                "nginx: worker",
                &["nginx", "nginx: worker"],
            ),
            ("/usr/bin/cat", "", &["cat"]),
        ] {
            assert_eq!(
                names_of_found(executable, task),
                want,
                "{executable} {task}"
            );
        }
    }

    #[test]
    fn all_names_count_once() {
        for (executable, invoked, args, want) in [
            (
                "/bin/busybox",
                "/bin/sh",
                &["sh", "-c", "id"][..],
                &["busybox", "sh"][..],
            ),
            (
                "/bin/busybox",
                "/bin/busybox",
                &["busybox", "sh", "-c"],
                &["busybox", "sh"],
            ),
            (
                "/bin/busybox",
                "/tmp/innocent",
                &["/bin/wget"],
                &["busybox", "innocent", "wget"],
            ),
            ("/usr/bin/bash", "/bin/sh", &["-bash"], &["bash", "sh"]),
            (
                "/tmp/x",
                "/tmp/x",
                &["nginx: worker"],
                &["x", "nginx: worker"],
            ),
            ("/usr/bin/cat", "cat", &[], &["cat"]),
            ("/usr/bin/cat", "", &["", "sh"], &["cat"]),
            (
                "/usr/bin/cat",
                "cat",
                &["busybox", "sh"],
                &["cat", "busybox"],
            ),
            (
                "/bin/toybox",
                "/bin/toybox",
                &["toybox", "nc"],
                &["toybox", "nc"],
            ),
            ("memfd:x", "/proc/self/fd/3", &["-"], &["memfd:x", "3", "-"]),
        ] {
            let args: Vec<_> = args.iter().map(ToString::to_string).collect();
            assert_eq!(
                names(executable, invoked, &args),
                want,
                "{executable} {invoked} {args:?}"
            );
        }
    }
}
