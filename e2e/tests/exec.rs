//! Which processes are seen, and who reads what about them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::token::sensor_on;
use bailiff_e2e::workload::{BUSYBOX, DEBIAN, deployment};
use bailiff_e2e::{NAMESPACE, Story};
use std::io::{BufRead as _, BufReader, Read};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

const NO_SHELLS: &str =
    "process.origin != 'Exec' || !process.names.exists(n, n in ['sh', 'bash', 'dash', 'ash'])";

/// The whole way: a shell by exec, the eviction, the new pod, and the reason where people look.
fn a_shell_by_exec_is_answered(name: &str, image: &str, command: &[&str], executable: &str) {
    let story = Story::begin(name);
    story.policy("no-shells", NO_SHELLS);
    story.bind("no-shells", "[Evict]", "");
    story.apply(&deployment("web", image));
    let pod = story.ready_pod("app=web");
    let _cut_off = story.exec(&pod, command);

    let incident = story.incident(&pod, "no-shells", "Responded", "Evicted");
    assert_eq!(incident["spec"]["type"], "Violation");
    assert_eq!(incident["spec"]["process"]["executable"], executable);
    assert_eq!(incident["spec"]["process"]["origin"], "Exec");
    assert_eq!(incident["spec"]["pod"]["uid"], pod["metadata"]["uid"]);
    assert_eq!(incident["spec"]["nodeName"], pod["spec"]["nodeName"]);
    assert_eq!(
        incident["spec"]["violations"][0]["message"],
        "no-shells is not allowed here"
    );
    assert!(
        incident["metadata"]["ownerReferences"].is_null(),
        "it would be collected with the pod"
    );

    let incident = story.incident(&pod, "no-shells", "Recovered", "ReplacementReady");
    let replacement = incident["status"]["replacement"]["name"].as_str().unwrap();
    assert_ne!(replacement, pod["metadata"]["name"].as_str().unwrap());
    assert_eq!(incident["status"]["workloadRef"]["kind"], "Deployment");
    assert_eq!(incident["status"]["workloadRef"]["name"], "web");

    // The developer looks at the Deployment, and finds what ran, why, and what to do.
    story.event("EvictedByPolicy", "web");
    let described = story.kubectl(&["describe", "deployment", "web"]);
    let event = described
        .lines()
        .find(|line| line.contains("EvictedByPolicy"))
        .unwrap_or_else(|| panic!("no Event:\n{described}"));
    for part in [executable, "no-shells", "kubectl describe incident"] {
        assert!(event.contains(part), "{part} is missing in: {event}");
    }
    assert!(
        !event.contains("s3cret"),
        "Events never carry arguments: {event}"
    );
    let listed = story.kubectl(&["get", "incidents"]);
    assert!(
        listed.contains("no-shells") && listed.contains("Evicted"),
        "{listed}"
    );
    story.end();
}

#[test]
fn a_busybox_shell_by_exec() {
    a_shell_by_exec_is_answered(
        "busybox",
        BUSYBOX,
        &["sh", "-c", "echo s3cret; sleep 30"],
        "/bin/busybox",
    );
}

#[test]
fn a_debian_shell_by_exec() {
    a_shell_by_exec_is_answered(
        "debian",
        DEBIAN,
        &["bash", "-c", "echo s3cret; sleep 30"],
        "/usr/bin/bash",
    );
}

#[test]
fn a_copy_of_a_shell_under_another_name_is_no_file_of_the_image() {
    let story = Story::begin("copy");
    story.policy("image-only", "process.executableSource == 'Image'");
    story.bind("image-only", "[Evict]", "");
    story.apply(&deployment("web", DEBIAN));
    let pod = story.ready_pod("app=web");
    let copied = story.exec(&pod, &["cp", "/bin/bash", "/tmp/innocent"]);
    assert!(copied.success, "{}", copied.stderr);
    let _cut_off = story.exec(&pod, &["/tmp/innocent", "-c", "sleep 30"]);
    let incident = story.incident(&pod, "image-only", "Responded", "Evicted");
    assert_eq!(incident["spec"]["process"]["executable"], "/tmp/innocent");
    assert_eq!(
        incident["spec"]["process"]["executableSource"],
        "WritableLayer"
    );
    story.end();
}

/// The pod's sandbox, whose program no list names, and the container runtime start with each pod.
#[test]
fn an_allow_list_evicts_nobody_until_a_process_runs_that_is_not_on_it() {
    let story = Story::begin("allow");
    story.policy("only-busybox", "process.executable in ['/bin/busybox']");
    story.bind("only-busybox", "[Evict]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let copied = story.exec(&pod, &["cp", "/bin/busybox", "/tmp/other"]);
    assert!(copied.success, "{}", copied.stderr);
    let _not_found = story.exec(&pod, &["/tmp/other"]);
    let incident = story.incident(&pod, "only-busybox", "Recovered", "ReplacementReady");
    assert_eq!(
        incident["spec"]["process"]["executable"], "/tmp/other",
        "the first process that is not on the list"
    );
    // Neither the pod before nor the new one was evicted for how it starts.
    let incidents = story.get(&["incidents"]);
    let count = incidents["items"].as_array().unwrap().len();
    assert_eq!(count, 1, "{incidents:#}");
    let replacement = story.ready_pod("app=web");
    assert_eq!(
        replacement["metadata"]["name"],
        incident["status"]["replacement"]["name"]
    );
    story.end();
}

#[test]
fn a_script_by_a_relative_path_is_found_where_it_lies() {
    let story = Story::begin("relative");
    story.policy(
        "no-tmp",
        "process.argPaths.size() < 2 || !process.argPaths[1].startsWith('/tmp/')",
    );
    story.bind("no-tmp", "[Audit]", "");
    story.apply(&deployment("web", DEBIAN));
    let pod = story.ready_pod("app=web");
    let line = "cd /tmp && echo : > x.sh && sh x.sh";
    let ran = story.exec(&pod, &["sh", "-c", line]);
    assert!(ran.success, "{}", ran.stderr);
    let incident = story.incident(&pod, "no-tmp", "Responded", "AuditOnly");
    let process = &incident["spec"]["process"];
    assert_eq!(process["args"], serde_json::json!(["sh", "x.sh"]));
    assert_eq!(process["workingDirectory"], "/tmp");
    story.end();
}

#[test]
fn what_the_application_itself_starts_has_the_origin_entrypoint() {
    let story = Story::begin("own");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Audit]", "");
    story.apply(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: NAMESPACE}, spec: {replicas: 1, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: app, image: 'bailiff.dev/testbed/debian:1', imagePullPolicy: Never, command: [bash, -c, 'while :; do cat /etc/hostname; sleep 1; done']}]}}}}",
    );
    let pod = story.ready_pod("app=web");
    let incident = story.incident(&pod, "no-cat", "Responded", "AuditOnly");
    assert_eq!(incident["spec"]["process"]["origin"], "Entrypoint");
    let ancestors = incident["spec"]["process"]["ancestors"].as_array().unwrap();
    assert!(
        ancestors.iter().any(|a| a["executable"] == "/usr/bin/bash"),
        "{ancestors:?}"
    );
    assert_eq!(
        incident["status"]["dryRunResponse"]["action"], "Evict",
        "what enforcement would have done"
    );
    story.end();
}

#[test]
fn hostile_arguments_are_evidence_and_do_no_harm() {
    let story = Story::begin("hostile");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Audit]", "");
    story.apply(&deployment("web", DEBIAN));
    let pod = story.ready_pod("app=web");
    let _ran = story.exec(
        &pod,
        &["bash", "-c", r"exec cat $'/nothing\n\e[31mred' $'\xff\xfe'"],
    );
    let incident = story.incident(&pod, "no-cat", "Responded", "AuditOnly");
    let process = &incident["spec"]["process"];
    assert_eq!(process["args"][1], "/nothing\n\u{1b}[31mred");
    assert_eq!(process["args"][2], "\u{fffd}\u{fffd}");
    assert!(
        process["argsBase64"].is_array(),
        "the bytes themselves are kept: {process}"
    );
    story.end();
}

/// A response after a quiet time would begin with a handshake for each of its reads, if they were not all
/// made over the connection that the watches keep open. The controller has one more for the Lease, one for
/// the watches of pods and nodes, and one for those of recovering workloads.
#[test]
fn a_component_uses_few_connections() {
    // A story that removes a component's pod would do it here, too.
    let story = Story::begin_alone("connections");
    story.policy("no-shells", NO_SHELLS);
    story.bind("no-shells", "[Evict]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _cut_off = story.exec(&pod, &["sh", "-c", "true"]);
    let _incident = story.incident(&pod, "no-shells", "Responded", "Evicted");

    let components = story.cluster.get(&["pods", "-n", NAMESPACE]);
    let components = components["items"].as_array().unwrap();
    assert!(components.len() > 2, "{} pods", components.len());
    for pod in components {
        let address = pod["status"]["podIP"].as_str().unwrap();
        let established = || {
            let sockets = story
                .cluster
                .command("ss")
                .args(["-tnH", "state", "established", "sport", "=", ":6443"])
                .args(["dst", address])
                .output()
                .unwrap();
            String::from_utf8(sockets.stdout).unwrap()
        };
        let name = &pod["metadata"]["name"];
        let component = &pod["metadata"]["labels"]["app.kubernetes.io/component"];
        let most = if component == "controller" { 4 } else { 1 };
        let few = |sockets: &str| (1..=most).contains(&sockets.lines().count());
        // A connection that is replaced stays for a moment beside the new one.
        let mut sockets = established();
        for _ in 0..60 {
            if few(&sockets) {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
            sockets = established();
        }
        assert!(few(&sockets), "{name}:\n{sockets}");
    }
    story.end();
}

/// Each line of a stream, as it comes.
fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn observe_shows_each_process_of_a_pod_with_the_verdicts() {
    let story = Story::begin("observe");
    story.policy("no-shells", NO_SHELLS);
    story.bind("no-shells", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _ran = story.exec(&pod, &["sh", "-c", "true"]);
    // From now on the sensor knows the policy and its binding.
    let _known = story.incident(&pod, "no-shells", "Responded", "AuditOnly");

    let name = pod["metadata"]["name"].as_str().unwrap();
    let named = format!("{}/{name}", story.namespace);
    let sensor = sensor_on(&story, &pod["spec"]["nodeName"], true);
    let sensor = sensor["metadata"]["name"].as_str().unwrap();
    let arguments = ["exec", "-n", NAMESPACE, sensor, "--", "bailiff", "observe"];
    let mut observing = story.cluster.command("kubectl");
    observing.args(arguments).args(["--pod", &named]);
    observing.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut observing = observing.spawn().unwrap();
    let said = lines(observing.stderr.take().unwrap());
    let processes = lines(observing.stdout.take().unwrap());
    let longest = Duration::from_mins(3);
    let node = pod["spec"]["nodeName"].as_str().unwrap();
    assert_eq!(
        said.recv_timeout(longest).unwrap(),
        format!("bailiff: processes of pod {named} on node {node}:")
    );

    let _ran = story.exec(&pod, &["sh", "-c", "exec cat /etc/hostname"]);
    let seen = || -> serde_json::Value {
        serde_json::from_str(&processes.recv_timeout(longest).unwrap()).unwrap()
    };
    let shell = seen();
    assert_eq!(shell["process"]["args"][0], "sh", "{shell}");
    assert_eq!(shell["process"]["origin"], "Exec", "{shell}");
    assert_eq!(shell["container"]["name"], "app", "{shell}");
    let policy = format!("no-shells-{}", story.namespace);
    let message = "no-shells is not allowed here";
    assert_eq!(
        shell["policies"],
        serde_json::json!([{"name": policy, "verdict": "Violated", "messages": [message]}])
    );
    let cat = seen();
    assert_eq!(cat["process"]["args"][0], "cat", "{cat}");
    assert_eq!(
        cat["policies"],
        serde_json::json!([{"name": policy, "verdict": "Allowed"}])
    );
    observing.kill().unwrap();
    observing.wait().unwrap();
    story.end();
}
