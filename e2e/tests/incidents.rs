//! `bailiff incidents`, as a person runs it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::workload::{BUSYBOX, deployment};
use bailiff_e2e::{Cluster, Story};
use serde_json::Value;
use std::time::{Duration, Instant};

fn bailiff(story: &Story, arguments: &[&str]) -> (bool, String, String) {
    let output = story.cluster.bailiff(arguments);
    (output.success, output.stdout, output.stderr)
}

#[test]
fn incidents_are_listed_and_shown_in_every_shape() {
    let story = Story::begin("listed");
    let namespace = story.namespace.clone();
    let (done, out, err) = bailiff(&story, &["incidents", "-n", &namespace]);
    assert!(done && out.is_empty(), "{out}{err}");
    assert_eq!(err, format!("No incidents in namespace {namespace}.\n"));

    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Evict]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _cut_off = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    let name = incident["metadata"]["name"].as_str().unwrap();
    let pod_name = pod["metadata"]["name"].as_str().unwrap();

    let (done, out, err) = bailiff(&story, &["incidents", "-n", &namespace]);
    assert!(done, "{err}");
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        [
            "NAME",
            "SEVERITY",
            "POLICY",
            "POD",
            "EXECUTABLE",
            "PHASE",
            "REASON",
            "AGE"
        ]
    );
    let policy = format!("no-cat-{namespace}");
    assert_eq!(rows[1][0], name);
    assert_eq!(
        rows[1][1..7],
        [
            "High",
            &policy,
            pod_name,
            "/bin/busybox",
            "Resolved",
            "Evicted"
        ]
    );

    let (done, out, err) = bailiff(&story, &["incidents", "-n", &namespace, name]);
    assert!(done, "{err}");
    for words in [
        format!("{name} in namespace {namespace}"),
        format!("{policy} (severity High), applied by {policy}"),
        "no-cat is not allowed here".to_owned(),
        "Deployment web".to_owned(),
        "cat /etc/hostname".to_owned(),
    ] {
        assert!(out.contains(&words), "{words} is missing in:\n{out}");
    }
    assert!(
        !out.contains('\u{1b}'),
        "colours without a terminal:\n{out}"
    );

    let (_, out, _) = bailiff(&story, &["incidents", "-n", &namespace, "-o", "json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed["items"][0]["metadata"]["name"], name);
    let (_, out, _) = bailiff(&story, &["incidents", "-n", &namespace, "-o", "name"]);
    assert_eq!(out, format!("incident.bailiff.dev/{name}\n"));

    let (done, out, err) = bailiff(&story, &["incidents", "-n", &namespace, "nobody"]);
    assert!(!done && out.is_empty(), "{out}");
    assert!(
        err.contains(&format!("read incident nobody in namespace {namespace}")),
        "{err}"
    );
    story.end();
}

#[test]
fn incidents_are_watched_by_the_plugin_and_printed_as_yaml() {
    use std::io::BufRead as _;
    let story = Story::begin("plugin");
    let namespace = story.namespace.clone();
    let program = Cluster::program();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(program, folder.path().join("kubectl-bailiff")).unwrap();
    let path = std::env::join_paths(
        std::iter::once(folder.path().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let plugin = || {
        let mut command = story.cluster.command("kubectl");
        command.env("PATH", &path).arg("bailiff");
        command
    };
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let mut watching = plugin()
        .args(["incidents", "-n", &namespace, "--watch"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "AuditOnly");
    let name = incident["metadata"]["name"].as_str().unwrap();
    let lines = std::io::BufReader::new(watching.stdout.take().unwrap()).lines();
    let (tell, told) = std::sync::mpsc::channel();
    // It ends with the watch.
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .try_for_each(|line| tell.send(line))
    });
    let deadline = Instant::now() + Duration::from_mins(5);
    let audited = std::iter::from_fn(|| {
        let left = deadline.saturating_duration_since(Instant::now());
        told.recv_timeout(left).ok()
    })
    .any(|line| line.starts_with(name) && line.contains("Audited"));
    watching.kill().unwrap();
    assert!(audited, "the watch ended or paused without the Incident");
    let _status = watching.wait().unwrap();

    let output = plugin()
        .args(["incidents", "-n", &namespace, name, "-o", "yaml"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let yaml = String::from_utf8(output.stdout).unwrap();
    assert!(yaml.contains(&format!("  name: {name}\n")), "{yaml}");
    let refused = plugin().args(["incidents", "--nonsense"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    story.end();
}
