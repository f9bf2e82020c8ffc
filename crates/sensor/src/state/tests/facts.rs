//! What policies see of a process, and what is built of it.

use super::*;
use crate::kernel::args::Args;
use crate::kernel::record::ScriptFile;
use bailiff_api::{DescriptorType, ExecutableSource};

/// The policy `any`, with another expression.
async fn with_policy(expression: &str) -> Sensor {
    let mut sensor = Sensor::new(MINUTE).await;
    let changed = policy("any", 2, expression);
    sensor.state.policy(Ok(Watched::Applied(changed)));
    assert!(!sensor.state.take_must_list(), "it reads no object");
    sensor.pod(running("a", ID)).await;
    sensor
}

#[tokio::test]
async fn an_argument_behind_much_padding_violates_a_policy() {
    let mut sensor = with_policy("!('--telling' in process.args)").await;
    let padding = "x".repeat(4000);
    let behind = Exec {
        args: ["sh", "-c", &padding].iter().collect(),
        args_tail: [&padding[..1000], "--telling"].iter().collect(),
        args_cut: true,
        ..exec(10, "a")
    };
    let before = Exec {
        args_tail: [&padding[..1000], "--other"].iter().collect(),
        ..behind.clone()
    };
    sensor.exec(before).await;
    assert_eq!(sensor.found(), [web(10)]);
    sensor.exec(behind).await;
    let found = sensor.findings();
    let [any, _] = found.as_slice() else {
        panic!("{found:#?}")
    };
    let incident = crate::incident::evidence::incident(any, "node-1", Timestamp::now());
    let process = incident.spec.process;
    assert!(process.args_truncated);
    assert_eq!(process.args.last().map(String::as_str), Some("--telling"));
}

#[tokio::test]
async fn that_arguments_are_missing_can_be_asked_for() {
    let mut sensor = with_policy("!process.argsTruncated").await;
    sensor.exec(exec(10, "a")).await;
    assert_eq!(sensor.found(), [web(10)]);
    // They could not be read.
    let unreadable = Exec {
        args: Args::default(),
        args_cut: true,
        ..exec(10, "a")
    };
    sensor.exec(unreadable).await;
    assert_eq!(sensor.found(), [any(10), web(10)]);
}

#[tokio::test]
async fn a_shell_on_a_connection_violates_a_policy() {
    let expression = "!(process.stdio.exists(s, s == 'Socket') && 'sh' in process.names)";
    let mut sensor = with_policy(expression).await;
    let shell = |descriptors| Exec {
        filename: "/bin/sh".to_owned(),
        descriptors,
        ..exec(10, "a")
    };
    let (pipe, socket) = (DescriptorType::Pipe, DescriptorType::Socket);
    for (descriptors, violates) in [
        ([DescriptorType::Terminal; 3], false),
        ([DescriptorType::Unknown; 3], false),
        ([pipe; 3], false),
        ([pipe, pipe, socket], true),
        ([socket; 3], true),
    ] {
        sensor.exec(shell(descriptors)).await;
        let found = sensor.found().contains(&any(10));
        assert_eq!(found, violates, "{descriptors:?}");
    }
}

#[tokio::test]
async fn rights_and_a_name_that_was_taken_away_can_be_asked_for() {
    type Change = fn(&mut Exec);
    let fields: [(&str, Change); 2] = [
        ("secureExec", |exec| exec.secure_exec = true),
        ("executableDeleted", |exec| exec.executable_deleted = true),
    ];
    for (field, change) in fields {
        let mut sensor = with_policy(&format!("!process.{field}")).await;
        let mut changed = exec(10, "a");
        sensor.exec(changed.clone()).await;
        assert_eq!(sensor.found(), [web(10)], "{field}");
        change(&mut changed);
        sensor.exec(changed).await;
        assert_eq!(sensor.found(), [any(10), web(10)], "{field}");
    }
}

#[tokio::test]
async fn a_script_is_the_file_that_was_seen_else_what_was_asked_for() {
    let mut sensor = with_policy("false").await;
    let unknown = ExecutableSource::Unknown;
    let seen = Some(ScriptFile {
        path: "/tmp/x.sh".to_owned(),
        source: ExecutableSource::Volume,
    });
    let long = format!("/{}", "a".repeat(510));
    let cut = format!("…{long}");
    for (script, filename, filename_cut, want) in [
        (
            seen.clone(),
            "/proc/self/root/tmp/x.sh",
            false,
            ("/tmp/x.sh", ExecutableSource::Volume),
        ),
        (
            seen,
            long.as_str(),
            true,
            ("/tmp/x.sh", ExecutableSource::Volume),
        ),
        (
            None,
            "/proc/self/root/tmp/x.sh",
            false,
            ("…/tmp/x.sh", unknown),
        ),
        (None, long.as_str(), true, (cut.as_str(), unknown)),
        (None, "x.sh", false, ("/srv/x.sh", unknown)),
    ] {
        let exec = Exec {
            filename: filename.to_owned(),
            filename_cut,
            script,
            interpreter: Some("/bin/sh".to_owned()),
            working_directory: "/srv".to_owned(),
            ..exec(10, "a")
        };
        sensor.exec(exec).await;
        let process = Arc::clone(&sensor.findings()[0].process);
        let found = process.script.as_ref().unwrap();
        assert_eq!((found.path.as_str(), found.source), want, "{filename}");
    }
}

#[tokio::test]
async fn a_finding_has_the_whole_process_whatever_the_policy_reads() {
    let mut sensor = with_policy("process.uid != 0").await;
    sensor.exec(exec(10, "a")).await;
    sensor.found();
    let child = Exec {
        capabilities: 1 << 13,
        parent: key(10),
        forked: Some(2),
        parent_outside_cgroup: false,
        ..exec(11, "a")
    };
    sensor.exec(child).await;
    for finding in sensor.findings() {
        let process = &finding.process;
        assert_eq!(process.args, ["cat", "/ready"], "{}", finding.policy.name);
        assert_eq!(process.capabilities, ["NET_RAW"]);
        assert_eq!(process.ancestors.0.len(), 1);
        assert_eq!(*finding.args, [b"cat".to_vec(), b"/ready".to_vec()]);
    }
}

#[tokio::test]
async fn a_policy_that_is_evaluated_later_has_the_parts_that_it_reads() {
    let mut sensor = Sensor::new(MINUTE).await;
    let later = "container.name == 'web' && process.args == ['cat', '/ready'] && \
        has(process.parent) && process.capabilities == ['NET_RAW']";
    for (name, expression) in [("any", "process.uid == 0"), ("web", later)] {
        let changed = policy(name, 2, expression);
        sensor.state.policy(Ok(Watched::Applied(changed)));
    }
    sensor.exec(sandbox(9, "a")).await;
    sensor.exec(in_sandbox(10, "a")).await;
    let child = Exec {
        capabilities: 1 << 13,
        parent: key(10),
        forked: Some(2),
        parent_outside_cgroup: false,
        ..in_sandbox(11, "a")
    };
    sensor.exec(child).await;
    sensor.pod(pod("a")).await;
    assert_eq!(
        sensor.state.pending.len(),
        3,
        "one policy waits for the container"
    );
    assert_eq!(sensor.found(), []);
    sensor.pod(running("a", ID)).await;
    // The first has no parent in the pod.
    assert_eq!(sensor.found(), [web(10)], "nothing is missing that is read");
}
