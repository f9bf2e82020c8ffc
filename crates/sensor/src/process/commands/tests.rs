//! Commands of pods, and what the kernel tells of programs.

use super::*;
use crate::kernel::record::ProcessKey;
use crate::kernel::record::tests::joined;

/// A program that joined a container from outside.
fn exec(filename: &str, interpreter: Option<&str>, args: &[&str]) -> Exec {
    Exec {
        executable: "/usr/bin/dash".to_owned(),
        interpreter: interpreter.map(str::to_owned),
        args: args.iter().collect(),
        ..joined(ProcessKey { pid: 1, start: 1 }, filename)
    }
}

fn probe(command: &[&str]) -> KubeletCommands {
    let spec = serde_json::json!({"containers": [{
        "name": "web",
        "env": [
            {"name": "PORT", "value": "80"},
            {"name": "PORT", "value": "8080"},
            {"name": "SECRET", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "livenessProbe": {"exec": {"command": command}},
        "lifecycle": {"postStart": {"exec": {"command": ["warm", "$(PORT)"]}}},
    }]});
    KubeletCommands::of(&serde_json::from_value(spec).unwrap()).unwrap()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of commands")]
fn a_probe_is_known_by_all_of_its_command() {
    let sh = Some("/bin/sh");
    for (name, command, filename, interpreter, args, want) in [
        (
            "a program",
            &["cat", "/ready"][..],
            "/bin/cat",
            None,
            &["cat", "/ready"][..],
            Origin::Probe,
        ),
        (
            "fewer",
            &["cat", "/ready"],
            "/bin/cat",
            None,
            &["cat"],
            Origin::Exec,
        ),
        (
            "more",
            &["cat", "/ready"],
            "/bin/cat",
            None,
            &["cat", "/ready", "/etc/shadow"],
            Origin::Exec,
        ),
        (
            "a script",
            &["/health.sh"],
            "/health.sh",
            sh,
            &["/bin/sh", "/health.sh"],
            Origin::Probe,
        ),
        (
            "a script with arguments",
            &["/health.sh", "-q"],
            "/health.sh",
            sh,
            &["/bin/sh", "/health.sh", "-q"],
            Origin::Probe,
        ),
        (
            "#!/bin/sh -e",
            &["/health.sh", "-q"],
            "/health.sh",
            sh,
            &["/bin/sh", "-e", "/health.sh", "-q"],
            Origin::Probe,
        ),
        (
            "a script in PATH",
            &["health.sh"],
            "/usr/bin/health.sh",
            sh,
            &["/bin/sh", "/usr/bin/health.sh"],
            Origin::Probe,
        ),
        (
            "a relative script",
            &["./health.sh"],
            "./health.sh",
            sh,
            &["/bin/sh", "./health.sh"],
            Origin::Probe,
        ),
        (
            "a relative script, as crun asks for it",
            &["./health.sh"],
            "/app/health.sh",
            sh,
            &["/bin/sh", "/app/health.sh"],
            Origin::Probe,
        ),
        (
            "an interpreter that is a script",
            &["/a", "x"],
            "/a",
            sh,
            &["/bin/sh", "/b", "/a", "x"],
            Origin::Probe,
        ),
        (
            "another script of the name",
            &["/health.sh"],
            "/tmp/health.sh",
            sh,
            &["/bin/sh", "/tmp/health.sh"],
            Origin::Exec,
        ),
        (
            "a script whose name only ends alike",
            &["health.sh"],
            "/tmp/xhealth.sh",
            sh,
            &["/bin/sh", "/tmp/xhealth.sh"],
            Origin::Exec,
        ),
        (
            "a script with other arguments",
            &["/health.sh"],
            "/health.sh",
            sh,
            &["/bin/sh", "/health.sh", "evil"],
            Origin::Exec,
        ),
        (
            "its name as the last argument",
            &["/health.sh"],
            "/health.sh",
            sh,
            &["/bin/sh", "/health.sh", "evil", "/health.sh"],
            Origin::Exec,
        ),
        (
            "its name twice",
            &["/health.sh"],
            "/health.sh",
            sh,
            &["/bin/sh", "/health.sh", "/health.sh"],
            Origin::Exec,
        ),
        (
            "the interpreter on another script",
            &["/health.sh"],
            "/bin/sh",
            None,
            &["/bin/sh", "/health.sh"],
            Origin::Exec,
        ),
        (
            "a variable",
            &["curl", "localhost:$(PORT)/"],
            "/bin/curl",
            None,
            &["curl", "localhost:8080/"],
            Origin::Probe,
        ),
        (
            "a variable of elsewhere",
            &["echo", "<$(SECRET)>"],
            "/bin/echo",
            None,
            &["echo", "<>"],
            Origin::Probe,
        ),
        (
            "an unknown variable",
            &["echo", "$(NONE)"],
            "/bin/echo",
            None,
            &["echo", "$(NONE)"],
            Origin::Probe,
        ),
        (
            "an escaped variable",
            &["echo", "$$(PORT) $x $"],
            "/bin/echo",
            None,
            &["echo", "$(PORT) $x $"],
            Origin::Probe,
        ),
        (
            "an open reference",
            &["echo", "$(PORT"],
            "/bin/echo",
            None,
            &["echo", "$(PORT"],
            Origin::Probe,
        ),
        (
            "a variable as it is written",
            &["echo", "$(PORT)"],
            "/bin/echo",
            None,
            &["echo", "$(PORT)"],
            Origin::Exec,
        ),
        (
            "a hook is not expanded",
            &["true"],
            "/bin/warm",
            None,
            &["warm", "$(PORT)"],
            Origin::Lifecycle,
        ),
        (
            "a hook as if it were",
            &["true"],
            "/bin/warm",
            None,
            &["warm", "8080"],
            Origin::Exec,
        ),
    ] {
        assert_eq!(
            probe(command).origin_of(&exec(filename, interpreter, args), Some("web")),
            want,
            "{name}"
        );
    }
}

#[test]
fn a_command_that_was_cut_agrees_as_far_as_it_was_read() {
    let long = "x".repeat(5000);
    let commands = probe(&["sh", "-c", &long, "end"]);
    let cut = |args: &[&str], tail: &[&str]| Exec {
        args_cut: true,
        args_tail: tail.iter().collect(),
        ..exec("/bin/sh", None, args)
    };
    let read = &long[..4088];
    let rest = &long[..1019];
    for (name, head, tail, want) in [
        (
            "both ends",
            &["sh", "-c", read][..],
            &[rest, "end"][..],
            Origin::Probe,
        ),
        (
            "another beginning",
            &["sh", "-x", read],
            &[rest, "end"],
            Origin::Exec,
        ),
        (
            "another end",
            &["sh", "-c", read],
            &[rest, "other"],
            Origin::Exec,
        ),
        (
            "one more word",
            &["sh", "-c", read],
            &[rest, "end", "x"],
            Origin::Exec,
        ),
        (
            "another piece",
            &["sh", "-c", read],
            &["xy", "end"],
            Origin::Exec,
        ),
        (
            "more words than there are",
            &["sh", "-c", read],
            &["c", "d", "sh", "-c", rest, "end"],
            Origin::Exec,
        ),
        (
            "no end that can be read",
            &["sh", "-c", read],
            &[],
            Origin::Exec,
        ),
        ("nothing that can be read", &[], &[], Origin::Exec),
    ] {
        assert_eq!(
            commands.origin_of(&cut(head, tail), Some("web")),
            want,
            "{name}"
        );
    }
    assert_eq!(
        commands.origin_of(&exec("/bin/sh", None, &["sh", "-c", read]), Some("web")),
        Origin::Exec,
        "not cut"
    );

    let script = probe(&["/health.sh", &long]);
    let read = &long[..4075];
    let run = |args: &[&str]| Exec {
        args_cut: true,
        args_tail: [&long[..1023]].iter().collect(),
        ..exec("/health.sh", Some("/bin/sh"), args)
    };
    assert_eq!(
        script.origin_of(&run(&["/bin/sh", "/health.sh", read]), Some("web")),
        Origin::Probe
    );
    assert_eq!(
        script.origin_of(&run(&["/bin/sh", "/health.sh", "y"]), Some("web")),
        Origin::Exec
    );
}

#[test]
fn no_command_is_no_program() {
    let commands = probe(&[]);
    assert_eq!(
        commands.origin_of(&exec("", None, &[]), Some("web")),
        Origin::Exec
    );
}

#[test]
fn commands_are_those_of_the_container_that_a_program_joined() {
    let spec = serde_json::json!({
        "containers": [
            {"name": "web", "livenessProbe": {"exec": {"command": ["sh", "/web.sh"]}}},
            {"name": "db", "lifecycle": {"preStop": {"exec": {"command": ["sh", "/stop.sh"]}}}},
            {"name": "none"},
        ],
        "initContainers": [
            {"name": "proxy", "startupProbe": {"exec": {"command": ["sh", "/proxy.sh"]}}},
        ],
    });
    let commands = KubeletCommands::of(&serde_json::from_value(spec).unwrap()).unwrap();
    for (script, own, want) in [
        ("/web.sh", "web", Origin::Probe),
        ("/stop.sh", "db", Origin::Lifecycle),
        ("/proxy.sh", "proxy", Origin::Probe),
    ] {
        let exec = exec("/bin/sh", None, &["sh", script]);
        for container in ["web", "db", "none", "proxy", "other"] {
            let want = if container == own { want } else { Origin::Exec };
            let found = commands.origin_of(&exec, Some(container));
            assert_eq!(found, want, "{script} in {container}");
        }
        assert_eq!(commands.origin_of(&exec, None), want, "{script}");
    }
}
