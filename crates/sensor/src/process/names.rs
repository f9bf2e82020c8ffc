//! The names that a process goes by.
//!
//! Here: `process.names` as policies see it. Not here: paths.
//! Invariant: a program can hide its own name behind a link or another first argument, but not
//! the name of the file that is executed; so all of them count. What a dynamic loader loads, and what a multi-call
//! binary does, count too.

/// How the names of programs begin that are many in one, and look at their first arguments to know which. Builds of
/// them have suffixes, such as busybox-x86_64.
const MULTI_CALL: [&str; 2] = ["busybox", "toybox"];

/// Options by which coreutils as one binary are told which program to be.
const COREUTILS: [&str; 2] = ["--coreutils-prog=", "--coreutils-prog-shebang="];

/// Loaders that load loaders: more of them are not followed.
const STEPS_LIMIT: usize = 8;

/// The options of dynamic loaders that take a value in the next argument (glibc's `elf/rtld.c`, musl's
/// `ldso/dynlink.c`).
const LOADER_OPTIONS_WITH_VALUE: [&str; 7] = [
    "--argv0",
    "--audit",
    "--glibc-hwcaps-mask",
    "--glibc-hwcaps-prepend",
    "--inhibit-rpath",
    "--library-path",
    "--preload",
];

/// The last part of a path, without the dash that marks a login shell.
fn basename(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_prefix('-')
        .filter(|name| !name.is_empty())
        .unwrap_or(name)
}

/// Whether a dynamic loader has this name: `ld-linux*.so.*`, `ld64.so.*`, `ld-2.31.so`, `ld.so*`, `ld-musl-*`,
/// `libc.musl-*` and `libc.so`.
fn is_loader(name: &str) -> bool {
    let version = name
        .strip_prefix("ld-")
        .and_then(|rest| rest.strip_suffix(".so"));
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    name == "libc.so"
        || name.starts_with("ld.so")
        || name.starts_with("ld64.so.")
        || name.starts_with("ld-musl-")
        || name.starts_with("libc.musl-")
        || (name.starts_with("ld-linux") && name.contains(".so."))
        || version.is_some_and(|version| !version.is_empty() && version.chars().all(is_number))
}

/// What a dynamic loader was told.
struct Loaded<'a, T> {
    /// The path of the program.
    path: &'a str,
    /// The first argument that the program gets.
    first: &'a str,
    /// Its other arguments.
    rest: &'a [T],
}

/// What a loader loads by its arguments, without its own name. None if it loads nothing.
fn loaded<T: AsRef<str>>(mut args: &[T]) -> Option<Loaded<'_, T>> {
    let mut argv0 = None;
    loop {
        let (next, rest) = args.split_first()?;
        let next = next.as_ref();
        args = rest;
        if next == "--" {
            break;
        }
        if !next.starts_with("--") {
            return Some(Loaded {
                path: next,
                first: argv0.unwrap_or(next),
                rest,
            });
        }
        if let Some(value) = next.strip_prefix("--argv0=") {
            argv0 = Some(value);
        } else if LOADER_OPTIONS_WITH_VALUE.contains(&next) {
            let (value, rest) = args.split_first()?;
            args = rest;
            if next == "--argv0" {
                argv0 = Some(value.as_ref());
            }
        }
    }
    let (path, rest) = args.split_first()?;
    let path = path.as_ref();
    Some(Loaded {
        path,
        first: argv0.unwrap_or(path),
        rest,
    })
}

/// The distinct names of a process: of the file, of the path asked for, of the first argument; of a dynamic loader
/// also what it loads, and of a multi-call binary the program that it is. `without_loader` says that the kernel mapped
/// no loader beside the program.
pub(crate) fn names(
    executable: &str,
    invoked_path: &str,
    args: &[impl AsRef<str>],
    without_loader: bool,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(4);
    let mut add = |name: &str| {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    add(basename(executable));
    add(basename(invoked_path));
    let Some((first, rest)) = args.split_first() else {
        return names;
    };
    let (mut first, mut rest) = (first.as_ref(), rest);
    add(basename(first));
    let mut file = basename(executable);
    for _ in 0..STEPS_LIMIT {
        if !(without_loader && is_loader(file)) {
            break;
        }
        let Some(program) = loaded(rest) else {
            return names;
        };
        add(basename(program.path));
        add(basename(program.first));
        file = basename(program.path);
        (first, rest) = (program.first, program.rest);
    }
    // `busybox busybox sh -c …`: the program is what follows the last of them, however many there are.
    let mut program = None;
    while MULTI_CALL.iter().any(|of| basename(first).starts_with(of))
        && let Some((next, after)) = rest.split_first()
    {
        program = Some(next.as_ref());
        (first, rest) = (next.as_ref(), after);
    }
    add(program.map_or("", basename));
    if let Some(next) = rest.first() {
        for option in COREUTILS {
            if let Some(program) = next.as_ref().strip_prefix(option) {
                add(basename(program));
            }
        }
    }
    names
}

/// Most bytes of the name that the kernel has for a process (`TASK_COMM_LEN` without its NUL).
const TASK_NAME_BYTES: usize = 15;

/// The names of a process that was found running: of its file, and the one that the kernel has for
/// it, which is the beginning of that of the path asked for, or what the process calls itself.
pub(crate) fn names_of_found(executable: &str, task_name: &str) -> Vec<String> {
    let mut names = names(executable, task_name, &[""; 0], false);
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
                &["cat", "busybox", "sh"],
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
                names(executable, invoked, &args, false),
                want,
                "{executable} {invoked} {args:?}"
            );
        }
    }

    fn of(executable: &str, args: &str, without_loader: bool) -> Vec<String> {
        let args: Vec<_> = args.split_whitespace().map(str::to_owned).collect();
        names(executable, executable, &args, without_loader)
    }

    #[test]
    fn a_multi_call_binary_has_the_names_of_its_program_whatever_its_file_is_called() {
        for (executable, args, want) in [
            (
                "/tmp/busybox-x86_64",
                "/tmp/busybox-x86_64 sh",
                &["busybox-x86_64", "sh"][..],
            ),
            (
                "/bin/busybox",
                "busybox busybox sh -c id",
                &["busybox", "sh"],
            ),
            ("/vol/x", "busybox sh", &["x", "busybox", "sh"]),
            ("/vol/x", "toybox", &["x", "toybox"]),
            (
                "/usr/bin/coreutils",
                "coreutils --coreutils-prog=cat x",
                &["coreutils", "cat"],
            ),
            (
                "/usr/bin/coreutils",
                "x --coreutils-prog-shebang=nc x",
                &["coreutils", "x", "nc"],
            ),
            // Not the first argument: a value of the program.
            (
                "/usr/bin/printf",
                "printf x --coreutils-prog=cat",
                &["printf"],
            ),
        ] {
            assert_eq!(of(executable, args, false), want, "{executable} {args}");
        }
        let deep = "busybox ".repeat(500) + "sh";
        assert_eq!(of("/bin/busybox", &deep, false), ["busybox", "sh"]);
    }

    #[test]
    fn what_a_loader_loads_is_among_the_names() {
        let glibc = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
        let glibc_name = "ld-linux-x86-64.so.2";
        for (executable, args, want) in [
            (
                glibc,
                "/lib64/ld-linux-x86-64.so.2 /bin/bash -c id",
                &[glibc_name, "bash"][..],
            ),
            (
                glibc,
                "x --argv0 nginx --library-path /a /bin/bash",
                &[glibc_name, "x", "bash", "nginx"],
            ),
            (
                glibc,
                "x --inhibit-cache -- /bin/sh",
                &[glibc_name, "x", "sh"],
            ),
            (
                glibc,
                "x /bin/busybox sh",
                &[glibc_name, "x", "busybox", "sh"],
            ),
            (
                glibc,
                "x /lib/ld.so /tmp/dropped",
                &[glibc_name, "x", "ld.so", "dropped"],
            ),
            // It loads nothing that runs.
            (glibc, "x", &[glibc_name, "x"]),
            (glibc, "x --argv0", &[glibc_name, "x"]),
            (glibc, "x --", &[glibc_name, "x"]),
            (
                "/lib/ld-musl-x86_64.so.1",
                "a --argv0=b --preload=c /bin/sh",
                &["ld-musl-x86_64.so.1", "a", "sh", "b"],
            ),
            ("/usr/lib/libc.so", "libc.so /bin/sh", &["libc.so", "sh"]),
            ("/lib/ld-2.31.so", "l /bin/sh", &["ld-2.31.so", "l", "sh"]),
            ("/lib64/ld64.so.2", "l /bin/sh", &["ld64.so.2", "l", "sh"]),
            // Other programs.
            ("/usr/bin/ld", "ld /bin/sh", &["ld"]),
            ("/usr/bin/ld-x.so", "l /bin/sh", &["ld-x.so", "l"]),
        ] {
            assert_eq!(of(executable, args, true), want, "{executable} {args}");
        }
        // A program that a loader was mapped for is none.
        assert_eq!(
            of("/bin/ld.so.check", "c /bin/sh", false),
            ["ld.so.check", "c"]
        );
    }
}
