//! What the process that reads can do.

use super::*;
use bailiff_image::Sandboxed;
use bailiff_image::sandbox::Landlock;
use std::os::fd::AsRawFd as _;
use std::process::Command;

/// Attacks that a system call performs, which succeed in a process without a sandbox.
const ATTACKS: &[&str] = &[
    "open",
    "list",
    "stat",
    "socket",
    "pair",
    "clone",
    "kill",
    "limits",
    "sleep",
    "dup",
    "write-blob",
];

fn attack(attack: &str, sandbox: &Sandbox) -> ImageContent {
    let archive = Archive::of(&[
        ("before.fact", b"before"),
        (&format!("attack/{attack}"), b""),
        ("z.fact", b"after"),
    ]);
    read(&[archive.layer()], sandbox)
}

/// What is known once an attack has ended the process.
fn before(attack: &str) -> Vec<(String, String)> {
    pairs(&[
        (&format!("attack/{attack}"), "attackbegins"),
        ("before.fact", "before"),
    ])
}

#[test]
fn a_process_in_a_sandbox_dies_of_each_forbidden_system_call_and_what_it_said_counts() {
    let sandbox = confined();
    for name in ATTACKS.iter().chain(&["execve"]) {
        let content = attack(name, &sandbox);
        assert_eq!(
            incomplete(&content),
            [
                "layer 1: the process that reads the layer was killed for a forbidden system call; the layer might \
                 have taken over the process"
            ],
            "{name}"
        );
        assert_eq!(facts(&content), before(name), "{name}");
        assert!(matches!(content.sandboxed, Sandboxed::Yes(_)), "{name}");
    }
}

#[test]
fn without_a_sandbox_the_same_attacks_succeed() {
    let sandbox = sandbox(SandboxMode::Off, Limits::default());
    for name in ATTACKS {
        let content = attack(name, &sandbox);
        assert_eq!(incomplete(&content), Vec::<String>::new(), "{name}");
        let path = format!("attack/{name}");
        let expected = pairs(&[
            (&path, "attackbegins"),
            (&path, "attacksucceeded"),
            ("before.fact", "before"),
            ("z.fact", "after"),
        ]);
        assert_eq!(facts(&content), expected, "{name}");
        assert_eq!(content.sandboxed, Sandboxed::Off, "{name}");
    }
    // It runs another program, which answers nothing.
    let content = attack("execve", &sandbox);
    assert_eq!(
        incomplete(&content),
        ["layer 1: the process that reads the layer ended before it had read everything"]
    );
    assert_eq!(facts(&content), before("execve"));
}

#[test]
fn landlock_alone_denies_files() {
    let output = Command::new(env!("CARGO_BIN_EXE_bailiff-image-child"))
        .arg("landlock")
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let denied = "Some(PermissionDenied) Some(PermissionDenied)\n";
    // A kernel without Landlock must be reported as one. The layer that is read says the same about it.
    let content = read(&[Archive::new().layer()], &confined());
    match content.sandboxed {
        Sandboxed::Yes(Landlock::Full) => assert_eq!(output, format!("Full {denied}")),
        Sandboxed::Yes(Landlock::Partial) => assert_eq!(output, format!("Partial {denied}")),
        Sandboxed::Yes(Landlock::Unavailable) => assert_eq!(output, "Unavailable None None\n"),
        other @ (Sandboxed::Nothing | Sandboxed::Off) => panic!("{other:?}"),
    }
}

#[test]
fn a_process_without_its_sandbox_reads_nothing() {
    let layer = || [Archive::of(&[("a.fact", b"said")]).layer()];
    let mut required = confined();
    required.program = program(&["without", "seccomp"]);
    let content = read(&layer(), &required);
    assert_eq!(
        incomplete(&content),
        [
            "layer 1: cannot start the sandbox of the process that reads the layer: the kernel did not accept its seccomp filter: \
             Function not implemented (os error 38); use --no-sandbox to read it without a sandbox"
        ]
    );
    assert_eq!(facts(&content), []);
    assert_eq!(content.sandboxed, Sandboxed::Nothing);

    let off = Sandbox {
        mode: SandboxMode::Off,
        ..required
    };
    let content = read(&layer(), &off);
    assert_eq!(incomplete(&content), Vec::<String>::new());
    assert_eq!(facts(&content), pairs(&[("a.fact", "said")]));
    assert_eq!(content.sandboxed, Sandboxed::Off);
    assert_eq!(
        content.sandboxed.to_string(),
        "the layers were read without a sandbox"
    );
}

#[test]
fn without_landlock_the_sandbox_is_the_filter_alone() {
    let mut sandbox = confined();
    sandbox.program = program(&["without", "landlock"]);
    let content = attack("open", &sandbox);
    assert_eq!(
        content.sandboxed,
        Sandboxed::Yes(Landlock::Unavailable),
        "which the output has to say"
    );
    assert_eq!(
        content.sandboxed.to_string(),
        "the layers were read in a sandbox without Landlock, which the kernel does not support"
    );
    assert_eq!(facts(&content), before("open"));
    assert_eq!(incomplete(&content).len(), 1);
}

#[test]
fn a_fault_of_a_reader_has_its_own_cause() {
    let after = |name: &str, fault: &str| {
        let path = format!("attack/{name}");
        pairs(&[
            (&path, "attackbegins"),
            (&path, fault),
            ("before.fact", "before"),
            ("z.fact", "after"),
        ])
    };
    for mode in [SandboxMode::Required, SandboxMode::Off] {
        let limits = Limits {
            cpu_seconds: 0,
            address_space: 256 << 20,
            ..Limits::default()
        };
        let sandbox = sandbox(mode, limits);
        let content = attack("panic", &sandbox);
        // A panic ends the reading of its file alone.
        assert_eq!(incomplete(&content), Vec::<String>::new());
        assert_eq!(facts(&content), after("panic", "fileits reader failed"));
        for name in ["memory", "overflow"] {
            let content = attack(name, &sandbox);
            assert_eq!(
                incomplete(&content),
                ["layer 1: the process that reads the layer exceeded its memory or its stack"],
                "{name}"
            );
            assert_eq!(facts(&content), before(name), "{name}");
        }
        // A second, which any blob has.
        let content = attack("spin", &sandbox);
        assert_eq!(
            incomplete(&content),
            ["layer 1: the process that reads the layer exceeded its CPU time"]
        );
        assert_eq!(facts(&content), before("spin"));
    }
}

#[test]
fn the_process_has_three_descriptors_and_no_environment() {
    // A descriptor that started programs inherit, as a job of a CI system leaves them open.
    let left_open = nix::unistd::dup(file(b"secret")).unwrap();
    let number = left_open.as_raw_fd().to_string();
    let inherited = Command::new("ls").arg("/proc/self/fd").output().unwrap();
    let inherited = String::from_utf8(inherited.stdout).unwrap();
    assert!(inherited.lines().any(|line| line == number), "{inherited}");

    let sandbox = sandbox(SandboxMode::Off, Limits::default());
    for (name, expected) in [
        // The last one reads the list.
        ("descriptors", "attack0 1 2 3"),
        ("environment", "attackMALLOC_ARENA_MAX"),
        ("directory", "attack/"),
    ] {
        let content = attack(name, &sandbox);
        assert_eq!(incomplete(&content), Vec::<String>::new());
        let path = format!("attack/{name}");
        assert!(
            facts(&content).contains(&(path, expected.to_owned())),
            "{:?}",
            facts(&content)
        );
    }
}

#[test]
fn a_program_that_is_missing_is_reported() {
    let mut sandbox = confined();
    sandbox.program.path = "/nonexistent".into();
    let content = read(&[Archive::of(&[("a.fact", b"a")]).layer()], &sandbox);
    assert_eq!(
        incomplete(&content),
        [
            "layer 1: cannot start the process that reads the layer: No such file or directory (os error 2)"
        ]
    );
    assert_eq!(content.sandboxed, Sandboxed::Nothing);
    assert_eq!(content.tree.layers(), 1);
}
