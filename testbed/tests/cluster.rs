//! The test cluster itself: it comes up, takes faults, survives an abort, and leaves nothing.
//!
//! One test, because there is one cluster on a machine.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a panic is the report of a test"
)]

use bailiff_testbed::{Cluster, NODES, Owner, STATE};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Everything of a cluster that is on the machine now.
fn traces() -> Vec<String> {
    let mut found = Vec::new();
    if Path::new(STATE).exists() {
        found.push(STATE.to_owned());
    }
    for folder in ["/sys/class/net", "/run/netns"] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("bt-") {
                found.push(entry.path().display().to_string());
            }
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(STATE))
            .map(ToOwned::to_owned),
    );
    for root in mounts.lines().filter(|line| {
        line.split(' ')
            .nth(2)
            .is_some_and(|kind| kind.starts_with("cgroup"))
    }) {
        for node in NODES {
            let folder = Path::new(root.split(' ').nth(1).unwrap()).join(format!("bt-{node}"));
            if folder.exists() {
                found.push(folder.display().to_string());
            }
        }
    }
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(STATE) {
            found.push(format!("{}: {command}", entry.path().display()));
        }
    }
    found
}

/// Asks up to so many times, a second apart, until there is an answer.
fn eventually(times: u32, ask: impl Fn() -> anyhow::Result<String>) {
    for _ in 1..times {
        if ask().is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    ask().unwrap();
}

fn registry_serves_what_is_pushed(cluster: &Cluster) {
    let registry = cluster.registry().unwrap();
    let mut image = bailiff_testbed::busybox().unwrap();
    let first = registry.push(&image, "tests/web", "1").unwrap();
    image.label("version", "2");
    let second = registry.push_index(&image, "tests/web", "2").unwrap();
    assert_ne!(first, second);
    let digest = |reference: &str| registry.digest("tests/web", reference).unwrap();
    assert_eq!(digest("1").as_ref(), Some(&first));
    assert_eq!(digest(&second).as_ref(), Some(&second));
    assert_eq!(registry.digest("tests/other", &first).unwrap(), None);

    // The nodes pull an index and run the image of their platform.
    let name = format!("{}/tests/web:2", registry.host());
    let run = [
        "run",
        "pulled",
        "--image",
        &name,
        "--command",
        "--",
        "sleep",
        "100000",
    ];
    cluster.kubectl(&run).unwrap();
    let ready = [
        "wait",
        "--for=condition=Ready",
        "pod/pulled",
        "--timeout=300s",
    ];
    cluster.kubectl(&ready).unwrap();
    let id = "jsonpath={.status.containerStatuses[0].imageID}";
    let id = cluster
        .kubectl(&["get", "pod", "pulled", "-o", id])
        .unwrap();
    assert_eq!(id, format!("{}/tests/web@{second}", registry.host()));

    // A pod reaches it, too.
    let open = "exec 3<>/dev/tcp/10.203.0.1/5000";
    let reach = ["exec", "deploy/web", "--", "bash", "-c", open];
    cluster.kubectl(&reach).unwrap();

    assert_eq!(registry.retag("tests/web", &second, "1").unwrap(), second);
    assert_eq!(digest("1").as_ref(), Some(&second));
    registry.delete("tests/web", "1").unwrap();
    assert_eq!(digest("1"), None);
    registry.delete("tests/web", &first).unwrap();
    assert_eq!(digest(&first), None);

    cluster.freeze_registry().unwrap();
    let mut connection = std::net::TcpStream::connect(registry.host()).unwrap();
    connection
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    std::io::Write::write_all(&mut connection, b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let read = std::io::Read::read(&mut connection, &mut [0; 1]);
    let timeout = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
    assert!(
        timeout.contains(&read.unwrap_err().kind()),
        "a frozen registry answers"
    );
    cluster.thaw_registry().unwrap();
    assert_eq!(digest("2").as_ref(), Some(&second));
    cluster.stop_registry().unwrap();
    let stopped = registry.digest("tests/web", "2").unwrap_err();
    assert!(format!("{stopped:#}").contains("refused"), "{stopped:#}");
    cluster.start_registry().unwrap();
    assert_eq!(digest("2").as_ref(), Some(&second));
}

fn private_registry_requires_its_account(cluster: &Cluster) {
    let registry = cluster.private_registry().unwrap();
    let account = registry.account().unwrap();
    let image = bailiff_testbed::busybox().unwrap();
    let _digest = registry.push(&image, "tests/web", "1").unwrap();
    let server = format!("--docker-server={}", registry.host());
    let username = format!("--docker-username={}", account.username);
    let password = format!("--docker-password={}", account.password);
    let create = ["create", "secret", "docker-registry", "account"];
    let secret = [&create[..], &[&server, &username, &password]].concat();
    cluster.kubectl(&secret).unwrap();
    let reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull";
    for (pod, overrides, until) in [
        ("without", "{}", reason),
        (
            "with",
            r#"{"spec":{"imagePullSecrets":[{"name":"account"}]}}"#,
            "condition=Ready",
        ),
    ] {
        let image = format!("--image={}/tests/web:1", registry.host());
        let overrides = format!("--overrides={overrides}");
        let run = ["run", pod, &image, &overrides, "--command", "--", "sleep"];
        cluster.kubectl(&[&run[..], &["100000"]].concat()).unwrap();
        let until = format!("--for={until}");
        let wait = ["wait", &until, "pod", pod, "--timeout=300s"];
        cluster.kubectl(&wait).unwrap();
    }
}

#[test]
fn a_cluster_comes_up_takes_faults_survives_an_abort_and_leaves_nothing() {
    let say = |line: &str| println!("{line}");
    let cluster = Cluster::start(Owner::Test, &say).unwrap();
    cluster.load(&bailiff_testbed::debian().unwrap()).unwrap();
    cluster
        .kubectl(&[
            "create",
            "deployment",
            "web",
            "--image=bailiff.dev/testbed/debian:1",
            "--replicas=4",
            "--",
            "sleep",
            "100000",
        ])
        .unwrap();
    cluster
        .kubectl(&[
            "wait",
            "--for=condition=Available",
            "deployment/web",
            "--timeout=300s",
        ])
        .unwrap();
    let nodes = cluster
        .kubectl(&["get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"])
        .unwrap();
    for node in NODES {
        assert!(nodes.contains(node), "no pod runs on {node}: {nodes}");
    }
    // A pod reaches the API server at its Service's address, so kube-proxy works.
    cluster
        .kubectl(&[
            "exec",
            "deploy/web",
            "--",
            "bash",
            "-c",
            "exec 3<>/dev/tcp/$KUBERNETES_SERVICE_HOST/443",
        ])
        .unwrap();

    registry_serves_what_is_pushed(&cluster);
    private_registry_requires_its_account(&cluster);

    // Another owner's cluster is not taken away.
    let refused = Cluster::start(Owner::Demo, &say).unwrap_err().to_string();
    assert!(
        refused.contains("for the test") && refused.contains("make cluster-down"),
        "{refused}"
    );
    let refused = Cluster::stop(Some(Owner::Demo)).unwrap_err().to_string();
    assert!(refused.contains("for the test"), "{refused}");
    cluster.kubectl(&["get", "nodes"]).unwrap();

    let ask =
        |cluster: &Cluster| cluster.kubectl(&["get", "--raw", "/readyz", "--request-timeout=1s"]);
    cluster.freeze_api_server().unwrap();
    assert!(ask(&cluster).is_err(), "a frozen API server answers");
    cluster.thaw_api_server().unwrap();
    // It notices that it stood still, and may not be ready for a moment.
    eventually(60, || cluster.kubectl(&["get", "--raw", "/readyz"]));
    let slow = cluster
        .slow_down_api_server(Duration::from_millis(20), Duration::from_millis(200))
        .unwrap();
    eventually(5, || cluster.kubectl(&["get", "nodes"]));
    drop(slow);
    cluster.stop_api_server().unwrap();
    assert!(ask(&cluster).unwrap_err().to_string().contains("refused"));
    cluster.start_api_server().unwrap();

    // The kubelet answers `kubectl exec`, by way of the node's network.
    let pod = cluster
        .kubectl(&[
            "get",
            "pods",
            "-o",
            "jsonpath={.items[?(@.spec.nodeName==\"node2\")].metadata.name}",
        ])
        .unwrap();
    let pod = pod.split(' ').next().unwrap().to_owned();
    let exec = || cluster.kubectl(&["exec", &pod, "--request-timeout=30s", "--", "true"]);
    exec().unwrap();
    cluster.stop_kubelet("node2").unwrap();
    assert!(exec().is_err(), "a stopped kubelet answers");
    cluster.start_kubelet("node2").unwrap();
    cluster
        .wait_for_node("node2", Duration::from_mins(5))
        .unwrap();
    cluster.cut_network("node2").unwrap();
    let ping = || {
        Command::new("nsenter")
            .args([
                "--net=/run/netns/bt-node2",
                "bash",
                "-c",
                "timeout 1 bash -c 'exec 3<>/dev/tcp/10.203.0.1/6443'",
            ])
            .status()
            .unwrap()
            .success()
    };
    assert!(!ping(), "a node that is cut off reaches the API server");
    cluster.restore_network("node2").unwrap();
    // Neighbours find each other anew, which takes a moment.
    let deadline = Instant::now() + Duration::from_mins(2);
    while !ping() {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "a node that is back does not reach the API server"
        );
    }

    // An aborted run: nothing is taken down, and the next one starts all the same.
    drop(cluster);
    let cluster = Cluster::start(Owner::Test, &say).unwrap();
    let pods = cluster
        .kubectl(&["get", "pods", "-A", "-o", "name"])
        .unwrap();
    assert_eq!(pods, "", "the second cluster has the first one's pods");

    assert!(
        traces().len() > 10,
        "what is left is looked for in the wrong places"
    );
    Cluster::stop(Some(Owner::Test)).unwrap();
    assert_eq!(traces(), Vec::<String>::new());
    // And again, with nothing there.
    Cluster::stop(None).unwrap();
}
