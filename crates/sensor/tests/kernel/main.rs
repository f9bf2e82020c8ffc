//! The BPF programs on the kernel that runs the tests.
//!
//! They need root, BTF and a cgroup hierarchy, and fail without them. A cgroup named like a
//! pod's stands for a pod; no cluster is needed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

mod args;
mod cgroups;
mod compiled;
mod container;
mod descent;
mod directory;
mod node;
mod pod;
mod refused;
mod ring;
mod running;
mod runtime;
mod script;
mod source;
mod stdio;
mod threads;
mod tracked;

use bailiff_sensor::{Event, Records, Root};
use pod::{ID, Pod, events, execs, load, write_program};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

fn canonical(path: &str) -> String {
    std::fs::canonicalize(path).unwrap().display().to_string()
}

#[tokio::test]
async fn a_program_is_seen_with_what_it_is() {
    let pod = Pod::new("seen");
    let mut records = load();
    pod.run(
        "exec cat \"$@\"",
        &[OsStr::new("/dev/null"), OsStr::new("two words")],
    );
    let execs = execs(&mut records, &pod);
    let [cat] = execs.as_slice() else {
        panic!("{execs:#?}")
    };
    assert_eq!(cat.executable, canonical("/usr/bin/cat"));
    assert_eq!(
        cat.args,
        [
            b"cat".to_vec(),
            b"/dev/null".to_vec(),
            b"two words".to_vec()
        ]
    );
    assert!(
        cat.cgroup.ends_with(&format!("/kubepods/podtest/{ID}")),
        "{}",
        cat.cgroup
    );
    assert_eq!((cat.uid, cat.gid), (0, 0));
    assert!(
        cat.capabilities & (1 << 21) != 0,
        "SYS_ADMIN is one of root's capabilities"
    );
    assert!(!cat.args_cut && !cat.left_pod_cgroup && cat.interpreter.is_none());
    assert_eq!(cat.root, Root::Machine);
}

#[tokio::test]
async fn what_is_outside_of_pods_is_not_told() {
    let pod = Pod::new("outside");
    // A program that no other test executes.
    let program = std::env::temp_dir().join(format!("bailiff-outside-{}", std::process::id()));
    write_program(&program, &std::fs::read("/bin/true").unwrap());
    let mut records = load();
    assert!(Command::new(&program).status().unwrap().success());
    let inside = pod.run("exec \"$1\"", &[program.as_os_str()]);
    assert!(inside.status.success(), "{inside:?}");
    std::fs::remove_file(&program).unwrap();
    let mut told = Vec::new();
    for event in events(&mut records) {
        match event {
            Event::Exec(exec) if exec.filename == program.to_str().unwrap() => told.push(exec),
            Event::Exec(_) | Event::Exit(_) | Event::Found(_) => {}
        }
    }
    let [told] = told.as_slice() else {
        panic!("told is what the pod executes, alone: {told:#?}")
    };
    assert!(pod.has(told), "{told:#?}");
}

#[tokio::test]
async fn pods_of_every_cgroup_driver_are_seen_and_nothing_else_is() {
    for (path, seen) in [
        ("kubepods.slice/kubepods-podtest.slice", true),
        (
            "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podtest.slice",
            true,
        ),
        ("system.slice/my-kubepods", false),
        ("x-kubepods.slices", false),
    ] {
        let pod = Pod::below("drivers", path);
        let mut records = load();
        pod.run("exec cat /dev/null", &[]);
        assert_eq!(execs(&mut records, &pod).len(), usize::from(seen), "{path}");
    }
}

#[tokio::test]
async fn a_script_is_told_with_its_interpreter() {
    let pod = Pod::new("script");
    let folder = std::env::temp_dir().join(format!("bailiff-script-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let script = folder.join("run.sh");
    write_program(&script, b"#!/bin/sh\n:\n");
    let mut records = load();
    pod.run("exec \"$@\"", &[script.as_os_str()]);
    std::fs::remove_dir_all(&folder).unwrap();
    let execs = execs(&mut records, &pod);
    let [exec] = execs.as_slice() else {
        panic!("{execs:#?}")
    };
    assert_eq!(exec.filename, script.display().to_string());
    assert_eq!(exec.interpreter.as_deref(), Some("/bin/sh"));
    assert_eq!(exec.executable, canonical("/bin/sh"));
}

#[tokio::test]
async fn a_loader_that_is_executed_is_told_from_a_program_that_is_loaded() {
    let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .unwrap();
    let pod = Pod::new("loader");
    let mut records = load();
    let [loader_path, busybox] = [OsStr::new(loader), OsStr::new("/bin/busybox")];
    pod.run(
        "\"$1\" /bin/true; \"$2\" true; exec cat /dev/null",
        &[loader_path, busybox],
    );
    let told: Vec<_> = execs(&mut records, &pod)
        .into_iter()
        .map(|exec| (exec.executable, exec.without_loader))
        .collect();
    assert_eq!(
        told,
        [
            (canonical(loader), true),
            // It is static.
            (canonical("/bin/busybox"), true),
            (canonical("/usr/bin/cat"), false),
        ]
    );
}

#[tokio::test]
async fn hostile_arguments_are_read_as_they_are() {
    let pod = Pod::new("hostile");
    let mut records = load();
    // Bytes that are no UTF-8, a line break, an escape sequence, an empty argument.
    let strange: [&[u8]; 4] = [b"\xff\xfe", b"a\nb", b"\x1b[31m", b""];
    let arguments: Vec<_> = strange
        .iter()
        .map(|bytes| OsStr::from_bytes(bytes))
        .collect();
    pod.run("exec true \"$@\"", &arguments);
    let found = execs(&mut records, &pod);
    let following: Vec<_> = found[0].args.iter().skip(1).collect();
    assert_eq!(following, strange);

    // 2 MiB of arguments, which the kernel allows for a large stack; each at most 128 KiB.
    let long = "x".repeat(120 * 1024);
    let many: Vec<_> = (0..14).map(|_| OsStr::new(&long)).collect();
    pod.run("exec true \"$@\"", &many);
    let found = execs(&mut records, &pod);
    assert!(found[0].args_cut);
    assert_eq!(
        found[0].args.iter().map(|arg| arg.len() + 1).sum::<usize>(),
        4096 + 1
    );
    assert_eq!(found[0].args_tail, [vec![b'x'; 1023]]);
}

#[tokio::test]
async fn no_arguments_at_all_are_no_surprise() {
    let pod = Pod::new("none");
    let mut records = load();
    // Linux puts an empty first argument where there is none (since 5.18, dcd46d897adb).
    // The system call itself: perl's `exec` always gives a first argument.
    let call = nix::libc::SYS_execve;
    let line = format!("exec perl -e '$_ = \"/bin/true\"; syscall({call}, $_, 0, 0); exit 1'");
    pod.run(&line, &[]);
    let found = execs(&mut records, &pod);
    let last = found.last().unwrap();
    assert_eq!(last.filename, "/bin/true");
    assert_eq!(last.args, [b"".to_vec()]);
}

#[tokio::test]
async fn a_file_in_memory_is_told_apart() {
    let pod = Pod::new("memory");
    let mut records = load();
    // memfd_create and write have other numbers on each architecture.
    let (create, write) = if cfg!(target_arch = "x86_64") {
        (319, 1)
    } else {
        (279, 64)
    };
    let script = format!(
        r#"my $name = "hidden"; my $fd = syscall({create}, $name, 0);
           open(my $in, "<", "/bin/true"); binmode $in; my $bytes = do {{ local $/; <$in> }};
           syscall({write}, $fd, $bytes, length $bytes);
           exec {{ "/proc/self/fd/$fd" }} "innocent""#
    );
    pod.run("exec perl -e \"$1\"", &[OsStr::new(&script)]);
    let found = execs(&mut records, &pod);
    let last = found.last().unwrap();
    assert_eq!(last.source.as_str(), "Memory");
    assert!(
        last.executable.starts_with("memfd:hidden"),
        "{}",
        last.executable
    );
    assert!(!last.executable_deleted, "it never had a name");
}

#[tokio::test]
async fn what_is_lost_is_counted() {
    let pod = Pod::new("lost");
    // 64 KiB, which some hundred records fill. What was told of before ends when they are full; there is room for
    // it beside the records of tests that run at the same time.
    let mut records = Records::load(1 << 16).unwrap();
    let line = "exec bash -c 'for i in $(seq 12); do sleep 1000 & done;
        for i in $(seq 500); do cat /dev/null; done; kill $(jobs -p); wait'";
    pod.run(line, &[]);
    let counters = records.counters().unwrap();
    let seen = events(&mut records).len();
    assert!(counters.execs >= 500, "{counters:?}");
    // What ran without a record, and what ended without one, are told apart.
    assert!(
        counters.execs_lost > 0 && counters.process_events_lost > 0,
        "{counters:?}"
    );
    assert!(
        counters.execs_lost <= counters.execs,
        "no end counts as a program: {counters:?}"
    );
    assert!(seen > 0 && seen < 500, "{seen}");
}

#[tokio::test]
async fn a_mount_namespace_has_a_number_of_its_own() {
    let pod = Pod::new("namespaces");
    let mut records = load();
    let line = "cat /dev/null; unshare --mount cat /dev/null; cat /dev/null";
    assert!(pod.run(line, &[]).status.success());
    let numbers: Vec<_> = execs(&mut records, &pod)
        .iter()
        .filter(|exec| exec.executable.ends_with("/cat"))
        .map(|exec| exec.mount_namespace)
        .collect();
    let [first, unshared, last] = numbers.as_slice() else {
        panic!("{numbers:?}")
    };
    assert_eq!(first, last, "processes of one namespace");
    assert_ne!(first, unshared, "a namespace of its own");
    assert_ne!(*unshared, 0, "no number");
}

#[tokio::test]
async fn who_sleeps_is_woken_by_an_exec_and_not_before() {
    let pod = Pod::new("burst");
    let mut records = Records::load(1 << 23).unwrap();
    // What was told of before is there at once.
    pod.run(
        "exec sh -c 'for i in $(seq 50); do cat /dev/null; done'",
        &[],
    );
    let started = Instant::now();
    records.sleep(LONG).unwrap();
    assert!(started.elapsed() < LONG, "it slept with records to read");
    let read = std::iter::from_fn(|| records.try_next()).count();
    assert!(read >= 100, "{read}");
    // Other tests can wake it, but then something is there to read.
    let (woken, wakes) = std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let started = Instant::now();
            records.sleep(LONG).unwrap();
            (started.elapsed(), records.try_next().is_some())
        });
        std::thread::sleep(Duration::from_millis(50));
        pod.run("exec true", &[]);
        sleeper.join().unwrap()
    });
    assert!(woken < LONG && wakes, "{woken:?} {wakes}");
}

/// Who sleeps so long was not woken.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_cgroup_made_far_below_a_pods_hides_nothing() {
    for (depth, seen) in [(20, true), (300, true), (600, false)] {
        let pod = Pod::new("deep");
        let mut records = load();
        let before = records.counters().unwrap();
        // One after the other, as a path for one call would be too long.
        let line = format!(
            "top=$PWD; cd {}; i=0; while [ $i -lt {depth} ]; do mkdir d; cd d; i=$((i+1)); done;              echo $$ > cgroup.procs; cat /dev/null; echo $$ > {}/cgroup.procs;              while [ $i -gt 0 ]; do cd -P ..; rmdir d; i=$((i-1)); done; cd $top",
            pod.leaf.display(),
            pod.leaf.display()
        );
        let output = pod.run(&line, &[]);
        assert!(output.status.success(), "{output:?}");
        let found = execs(&mut records, &pod);
        let cat = found.iter().find(|exec| exec.executable.ends_with("/cat"));
        let after = records.counters().unwrap();
        if seen {
            let cat = cat.unwrap_or_else(|| panic!("{depth}: {found:#?}"));
            assert!(
                cat.cgroup.contains(&format!("/kubepods/podtest/{ID}")),
                "{}",
                cat.cgroup
            );
        } else {
            assert!(cat.is_none(), "{cat:#?}");
            assert!(after.cgroup_too_deep > before.cgroup_too_deep, "{after:?}");
        }
    }
}

#[tokio::test]
async fn many_forks_do_not_make_a_process_the_runtime() {
    let pod = Pod::new("nested");
    let mut records = load();
    // 40 shells, each a child of the one before.
    let line =
        "nest() { if [ $1 -gt 0 ]; then (nest $(($1 - 1)); :); else cat /dev/null; fi; }; nest 40";
    pod.run(line, &[]);
    let found = execs(&mut records, &pod);
    let cat = found.iter().find(|exec| exec.executable.ends_with("/cat"));
    let cat = cat.unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(cat.root, Root::Unknown);
    assert!(!cat.parent_outside_cgroup, "its parent is in the pod");
}
