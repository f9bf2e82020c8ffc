//! Records made by hand.

#![allow(clippy::indexing_slicing, reason = "a panic is the report of a test")]

use super::*;

/// A program that joined a container with a PID namespace of its own, as `kubectl exec` starts it.
pub(crate) fn joined(process: ProcessKey, path: &str) -> Exec {
    Exec {
        time: 1,
        process,
        parent: ProcessKey { pid: 1, start: 10 },
        forked: None,
        capabilities: 0,
        uid: 0,
        gid: 0,
        source: ExecutableSource::Image,
        mount_namespace: 1,
        pod_namespaces: [0; 3],
        left_pod_cgroup: false,
        cgroup: String::new(),
        cgroup_number: 0,
        share: 0,
        executable: path.to_owned(),
        executable_deleted: false,
        filename: path.to_owned(),
        filename_cut: false,
        working_directory: "/".to_owned(),
        interpreter: None,
        script: None,
        args: Args::default(),
        args_tail: Args::default(),
        args_cut: false,
        descriptors: [DescriptorType::Null; 3],
        secure_exec: false,
        descent: Descent::NoPod,
        root: Root::Container,
        parent_outside_cgroup: true,
        own_pid_namespace: true,
        without_loader: false,
        init_session: false,
        membership: Membership::Unknown,
        joined_container: false,
    }
}

/// The header of an exec: kind, flags, time, process, parent, when it was forked, cgroup, capabilities, namespaces of
/// mounts, network, IPC and UTS, home, share, uid, gid, source, eight lengths, source of the script, three descriptors.
fn header(kind: u32, flags: u32, source: u32, lengths: [u32; 8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut word = |value: u32| bytes.extend(value.to_ne_bytes());
    word(kind);
    word(flags);
    for value in [
        77_u64,
        12,
        34,
        11,
        33,
        22,
        44,
        1 << 13,
        4_026_531_840,
        5,
        6,
        7,
        45,
        46,
    ] {
        // The pid and its padding make one 64-bit word on a little-endian machine.
        for half in value.to_ne_bytes().chunks(4) {
            word(u32::from_ne_bytes(half.try_into().unwrap()));
        }
    }
    // A script on a volume; a pipe, a socket, and nothing.
    let last = [4, 0o010_600, 0, 0o140_777, 0, 1 << 16, 0];
    for value in [1000, 1001, source].into_iter().chain(lengths).chain(last) {
        word(value);
    }
    bytes
}

pub(crate) fn record(flags: u32, source: u32, texts: [&[u8]; 8]) -> Vec<u8> {
    let [
        cgroup,
        path,
        filename,
        interp,
        directory,
        script,
        args,
        tail,
    ] = texts;
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap();
    let mut bytes = header(
        1,
        flags | flag::CGROUP_PATH,
        source,
        [
            length(path),
            length(cgroup),
            length(filename),
            length(interp),
            length(args),
            length(directory),
            length(script),
            length(tail),
        ],
    );
    for text in texts {
        bytes.extend_from_slice(text);
    }
    bytes
}

fn decoded(bytes: &[u8]) -> Result<Event, DecodeError> {
    decode(bytes, &mut Cgroups::default())
}

fn exec_of(flags: u32, source: u32, texts: [&[u8]; 8]) -> Exec {
    match decoded(&record(flags, source, texts)).unwrap() {
        Event::Exec(exec) => *exec,
        other => panic!("{other:?}"),
    }
}

pub(crate) const TEXTS: [&[u8]; 8] = [
    b"abc\0podx\0kubepods\0",
    b"busybox\0bin\0",
    b"/bin/sh\0",
    b"/bin/sh\0",
    b"srv\0",
    b"",
    b"sh\0-c\0id\0",
    b"",
];

#[test]
fn an_exec_is_read_field_by_field() {
    let exec = exec_of(0b1001_1100, 1, TEXTS);
    assert_eq!(exec.time, 77);
    assert_eq!(exec.process, ProcessKey { pid: 12, start: 34 });
    assert_eq!(exec.parent, ProcessKey { pid: 11, start: 33 });
    assert_eq!(exec.forked, Some(22));
    assert_eq!(
        (exec.uid, exec.gid, exec.capabilities),
        (1000, 1001, 1 << 13)
    );
    assert_eq!(exec.cgroup, "/kubepods/podx");
    assert_eq!(exec.executable, "/bin/busybox");
    assert_eq!(exec.filename, "/bin/sh");
    assert_eq!(exec.interpreter, None);
    assert_eq!(exec.args, [b"sh".to_vec(), b"-c".to_vec(), b"id".to_vec()]);
    assert_eq!(exec.source, ExecutableSource::Image);
    assert_eq!(exec.root, Root::Container);
    assert_eq!(exec.working_directory, "/srv");
    assert_eq!(exec.mount_namespace, 4_026_531_840);
    assert_eq!(exec.pod_namespaces, [5, 6, 7]);
    assert_eq!((exec.cgroup_number, exec.share), (44, 46));
    assert!(exec.parent_outside_cgroup && exec.init_session);
    assert!(!exec.own_pid_namespace && !exec.left_pod_cgroup && !exec.args_cut);
    let exec = exec_of(0b0110_0000, 1, TEXTS);
    assert!(exec.own_pid_namespace && exec.left_pod_cgroup);
    assert!(!exec.parent_outside_cgroup && !exec.init_session);
    let (pipe, socket, closed) = (
        DescriptorType::Pipe,
        DescriptorType::Socket,
        DescriptorType::Closed,
    );
    assert_eq!(exec.descriptors, [pipe, socket, closed]);
    let flags = |exec: &Exec| {
        let cut = (exec.args_cut, exec.filename_cut);
        (cut, exec.secure_exec, exec.executable_deleted)
    };
    for (bit, want) in [
        (0, ((true, false), false, false)),
        (11, ((false, true), false, false)),
        (12, ((false, false), true, false)),
        (13, ((false, false), false, true)),
    ] {
        assert_eq!(flags(&exec_of(1 << bit, 1, TEXTS)), want, "{bit}");
    }
}

#[test]
fn a_script_is_told_with_its_file_only_where_that_was_seen() {
    let mut texts = TEXTS;
    texts[3] = b"/bin/bash\0";
    texts[5] = b"x.sh\0tmp\0";
    let file = |path: &str| {
        Some(ScriptFile {
            path: path.to_owned(),
            source: ExecutableSource::Volume,
        })
    };
    for (flags, want) in [
        (0, None),
        (1 << 14, file("/tmp/x.sh")),
        (1 << 14 | 1 << 15, file("…/tmp/x.sh")),
    ] {
        let exec = exec_of(flags, 1, texts);
        assert_eq!(exec.script, want, "{flags:b}");
        assert_eq!(exec.interpreter.as_deref(), Some("/bin/bash"));
        // What follows it is read from its place.
        assert_eq!(exec.args, [b"sh".to_vec(), b"-c".to_vec(), b"id".to_vec()]);
    }
}

#[test]
fn the_end_of_long_arguments_is_read_apart() {
    let mut texts = TEXTS;
    texts[6] = b"sh\0-c\0xxx";
    texts[7] = b"xx\0--end\0";
    let exec = exec_of(1, 1, texts);
    assert_eq!(exec.args, [b"sh".to_vec(), b"-c".to_vec(), b"xxx".to_vec()]);
    assert_eq!(exec.args_tail, [b"xx".to_vec(), b"--end".to_vec()]);
    assert!(exec.args_cut);
}

#[test]
fn unusual_texts_are_read_as_they_are() {
    let with = |at: usize, text: &'static [u8]| {
        let mut texts = TEXTS;
        texts[at] = text;
        texts
    };
    assert_eq!(exec_of(2, 1, with(1, b"x\0y\0")).executable, "…/y/x");
    assert_eq!(exec_of(0, 1, with(1, b"")).executable, "/");
    assert_eq!(
        exec_of(0, 5, with(1, b"memfd:runc\0")).executable,
        "memfd:runc"
    );
    assert_eq!(
        exec_of(0, 1, with(1, b"\xff\0bin\0")).executable,
        "/bin/\u{fffd}"
    );
    assert_eq!(
        exec_of(0, 1, with(3, b"/bin/bash\0"))
            .interpreter
            .as_deref(),
        Some("/bin/bash")
    );
    assert!(exec_of(0, 1, with(6, b"")).args.is_empty());
    assert_eq!(
        exec_of(0, 1, with(6, b"\0\0")).args,
        [b"".to_vec(), b"".to_vec()]
    );
    assert_eq!(
        exec_of(1, 1, with(6, b"a\0cut of")).args,
        [b"a".to_vec(), b"cut of".to_vec()]
    );
    assert!(exec_of(1, 1, TEXTS).args_cut && exec_of(1 << 8, 1, TEXTS).args_cut);
}

#[test]
fn a_root_that_can_not_be_told_is_unknown() {
    for (flags, want) in [
        (1 << 7 | 1 << 2, Root::Container),
        (1 << 7, Root::Machine),
        (0, Root::Unknown),
        (1 << 2, Root::Unknown),
    ] {
        assert_eq!(exec_of(flags, 1, TEXTS).root, want, "{flags:b}");
    }
}

#[test]
fn what_the_kernel_side_remembers_of_a_process_is_read() {
    let mut cgroups = Cgroups::default();
    let mut descent = |flags, bytes: &dyn Fn(&mut Vec<u8>)| {
        let mut record = record(flags, 1, TEXTS);
        bytes(&mut record);
        match decode(&record, &mut cgroups).unwrap() {
            Event::Exec(exec) => exec.descent,
            other => panic!("{other:?}"),
        }
    };
    let pod = |home: Option<&str>| Descent::Pod {
        home: home.map(str::to_owned),
    };
    let as_it_is = |_: &mut Vec<u8>| {};
    assert_eq!(descent(0, &as_it_is), Descent::NoPod);
    assert_eq!(descent(1 << 17, &as_it_is), Descent::Unknown);
    // No record had the path of cgroup 45.
    assert_eq!(descent(1 << 16, &as_it_is), pod(None));
    assert_eq!(descent(1 << 16 | 1 << 17, &as_it_is), pod(None));
    // The home is the cgroup of the record, number 44.
    let at = exec_header::HOME;
    let at_home = |record: &mut Vec<u8>| record[at..at + 8].copy_from_slice(&44_u64.to_ne_bytes());
    // Its path is kept up to the pod, because `abc` is the name of no container.
    let path = Some("/kubepods/podx");
    assert_eq!(descent(1 << 16, &at_home), pod(path));
}

#[test]
fn the_working_directory_says_whether_its_beginning_is_known() {
    let mut texts = TEXTS;
    for (flags, text, want) in [
        (0, &b"a\0tmp\0"[..], "/tmp/a"),
        (0, b"", "/"),
        (1 << 9, b"a\0tmp\0", "…/tmp/a"),
        // Not `…` alone: a path that is joined to it goes on after a slash.
        (1 << 9, b"", "…/"),
    ] {
        texts[4] = text;
        assert_eq!(exec_of(flags, 1, texts).working_directory, want);
    }
}

#[test]
fn a_record_without_a_path_has_that_of_an_earlier_one() {
    let mut cgroups = Cgroups::default();
    let mut read = |bytes: &[u8]| match decode(bytes, &mut cgroups) {
        Ok(Event::Exec(exec)) => Ok((exec.cgroup, exec.cgroup_number)),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    let mut texts = TEXTS;
    let with_path = record(0, 1, texts);
    texts[0] = b"";
    let mut without = record(0, 1, texts);
    without[4..8].fill(0);
    assert_eq!(read(&without), Err(DecodeError::Cgroup(44)));
    let path = "/kubepods/podx".to_owned();
    assert_eq!(read(&with_path), Ok((path.clone(), 44)));
    assert_eq!(read(&without), Ok((path, 44)));
    // Another cgroup's number.
    without[56] = 45;
    assert_eq!(read(&without), Err(DecodeError::Cgroup(45)));
    // A path without a part, which is that of the hierarchy's root.
    let root = record(0, 1, texts);
    assert_eq!(read(&root), Ok(("/".to_owned(), 44)));
}

#[test]
fn exits_are_read() {
    let bytes = header(3, 0, 0, [0; 8]);
    assert_eq!(
        decoded(&bytes[..64]),
        Ok(Event::Exit(ProcessKey { pid: 12, start: 34 }))
    );
    assert_eq!(decoded(&bytes[..63]), Err(DecodeError::Short));
}

#[test]
fn a_parent_that_the_kernel_has_needs_no_time_of_a_fork() {
    let mut bytes = record(0, 1, TEXTS);
    bytes[48..56].fill(0);
    let Event::Exec(exec) = decoded(&bytes).unwrap() else {
        panic!("an exec")
    };
    assert_eq!(exec.forked, None);
    assert_eq!(exec.parent, ProcessKey { pid: 11, start: 33 });
}

#[test]
fn a_found_process_is_read_field_by_field() {
    let mut bytes = record(
        1 << 29 | 1 << 26 | 1 << 3 | 1 << 1,
        0,
        [
            b"abc\0podx\0kubepods\0",
            b"busybox\0bin\0",
            b"sh\0",
            b"",
            b"",
            b"",
            b"",
            b"",
        ],
    );
    bytes[..4].copy_from_slice(&4_u32.to_ne_bytes());
    let want = Found {
        process: ProcessKey { pid: 12, start: 34 },
        parent: ProcessKey { pid: 11, start: 33 },
        forked: Some(22),
        time: 77,
        mount_namespace: 4_026_531_840,
        cgroup: "/kubepods/podx".to_owned(),
        cgroup_number: 44,
        capabilities: 1 << 13,
        uid: 1000,
        gid: 1001,
        executable: "…/bin/busybox".to_owned(),
        name: "sh".to_owned(),
        init_session: true,
        membership: Membership::Unproven,
    };
    assert_eq!(decoded(&bytes), Ok(Event::Found(Box::new(want))));
    for end in 0..bytes.len() {
        assert_eq!(decoded(&bytes[..end]), Err(DecodeError::Short), "{end}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = record(0, 1, TEXTS);
    for end in 0..whole.len() {
        assert_eq!(
            decoded(&whole[..end]),
            Err(DecodeError::Short),
            "{end} of {} bytes",
            whole.len()
        );
    }
    assert_eq!(decoded(&header(9, 0, 0, [0; 8])), Err(DecodeError::Kind(9)));
    assert_eq!(
        decoded(&header(1, 0, 1, [u32::MAX; 8])),
        Err(DecodeError::Short)
    );
}

#[test]
fn a_process_is_of_its_container_where_both_were_seen() {
    for (flags, membership, joined) in [
        (0, Membership::Unknown, false),
        (1 << 28, Membership::Unknown, false),
        (1 << 28 | 1 << 26, Membership::Unknown, false),
        (1 << 29, Membership::NotStarted, false),
        (1 << 29 | 1 << 26, Membership::Unproven, false),
        (1 << 29 | 1 << 28 | 1 << 26, Membership::Proven, false),
        (
            1 << 29 | 1 << 28 | 1 << 27 | 1 << 26,
            Membership::Proven,
            true,
        ),
    ] {
        let exec = exec_of(flags, 1, TEXTS);
        assert_eq!(
            (exec.membership, exec.joined_container),
            (membership, joined)
        );
    }
}
