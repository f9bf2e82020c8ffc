//! Pods as CRI-O lays them out.
//!
//! Here: records as they are on such a node. Its cgroups are those of cri-o v1.36, `internal/config/cgmgr`: a container
//! has `crio-<id>.scope`, in which crun makes `container`; its monitor, conmon, has `crio-conmon-<id>.scope`, in the
//! pod's slice with `monitor_cgroup = "pod"`, or is in the container's for an exec. With `drop_infra_ctr`, the default,
//! only a pod whose containers share their processes has a sandbox with a process
//! (`internal/lib/sandbox/sandbox_linux.go`, `NeedsInfra`). Not here: paths of cgroups alone (`process/identity`).
//! Invariant: no process of a container is taken for a sandbox that is not there, while its status can still come.

use super::*;

/// The IDs of the pod's other container, of a sandbox, and of a container after a restart.
const SIDECAR: &str = "5c4e0c6e2b1f4f5fa7a0a1d5c3b2e1f08a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f0";
const SANDBOX: &str = "9f4e0c6e2b1f4f5fa7a0a1d5c3b2e1f08a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f0";
const RESTARTED: &str = "6d4e0c6e2b1f4f5fa7a0a1d5c3b2e1f08a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f0";

/// A cgroup of a pod, as systemd has them.
fn of_pod(pod: &str, unit: &str) -> String {
    format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod}.slice/{unit}")
}

/// The first process of a container, which the runtime starts.
fn first(pid: u32, pod: &str, id: &str, namespaces: [u64; 3]) -> Exec {
    Exec {
        cgroup: of_pod(pod, &format!("crio-{id}.scope")),
        init_session: true,
        membership: Membership::Proven,
        pod_namespaces: namespaces,
        mount_namespace: 3000 + u64::from(pid),
        ..exec(pid, pod)
    }
}

/// What a process of the container executes.
fn child(pid: u32, parent: &Exec) -> Exec {
    Exec {
        process: key(pid),
        parent: parent.process,
        parent_outside_cgroup: false,
        pod_namespaces: [0; 3],
        ..parent.clone()
    }
}

/// What conmon executes: the runtime, with the node's root directory and namespaces.
fn by_conmon(pid: u32, cgroup: String) -> Exec {
    Exec {
        cgroup,
        root: Root::Machine,
        membership: Membership::NotStarted,
        mount_namespace: 4_026_531_840,
        own_pid_namespace: false,
        ..joined(key(pid), "/usr/bin/crun")
    }
}

/// The pod with containers of this name and ID in its status.
fn with_status(uid: &str, containers: &[(&str, &str)]) -> serde_json::Value {
    let mut pod = pod(uid);
    let status = |(name, id): &(&str, &str)| {
        json!({
            "name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
            "containerID": format!("cri-o://{id}"),
        })
    };
    pod["status"] = json!({"containerStatuses": containers.iter().map(status).collect::<Vec<_>>()});
    pod
}

#[tokio::test]
async fn the_monitor_of_a_container_is_skipped_wherever_crio_puts_it() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    sensor.pod(with_status("a", &[("web", ID)])).await;
    for (pid, unit) in [
        (20, format!("crio-conmon-{ID}.scope")),
        // The cgroup manager cgroupfs has no units.
        (21, format!("crio-conmon-{ID}")),
        // With `monitor_exec_cgroup = "container"`.
        (22, format!("crio-{ID}.scope")),
        (23, format!("crio-{ID}.scope/container")),
    ] {
        sensor.exec(by_conmon(pid, of_pod("a", &unit))).await;
    }
    assert_eq!(sensor.skipped(Skipped::ContainerRuntime), 4);
    // What it starts in the container is the container's.
    let exec = Exec {
        parent: key(20),
        init_session: false,
        joined_container: true,
        ..first(30, "a", ID, NAMESPACES)
    };
    sensor.exec(exec).await;
    let found = sensor.findings();
    let origins: Vec<_> = found
        .iter()
        .map(|found| (found.process.origin, found.container_id.as_deref()))
        .collect();
    // `cat /ready` is the probe of the pod.
    assert_eq!(origins, [(Origin::Probe, Some(ID)); 2]);
    assert_eq!(sensor.skipped(Skipped::ContainerRuntime), 4);
    assert_eq!(sensor.skipped(Skipped::Sandbox), 0);
}

#[tokio::test]
async fn a_process_that_goes_where_a_monitor_or_a_sandbox_would_be_stays_its_containers() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    sensor.pod(with_status("a", &[("web", ID)])).await;
    let of_web = first(10, "a", ID, NAMESPACES);
    sensor.exec(of_web.clone()).await;
    sensor.found();
    for (pid, unit) in [
        (20, format!("crio-conmon-{ID}.scope")),
        // The cgroup that CRI-O makes for a sandbox that it drops: no process is ever there.
        (21, format!("crio-{SANDBOX}")),
    ] {
        for root in [Root::Container, Root::Machine] {
            let moved = Exec {
                cgroup: of_pod("a", &unit),
                root,
                membership: Membership::NotStarted,
                ..child(pid, &of_web)
            };
            sensor.exec(moved).await;
            let found = sensor.findings();
            let ids: Vec<_> = found
                .iter()
                .map(|found| found.container_id.as_deref())
                .collect();
            assert_eq!(ids, [Some(ID); 2], "{unit}");
        }
    }
    assert_eq!(sensor.skipped(Skipped::ContainerRuntime), 0);
    assert_eq!(sensor.skipped(Skipped::Sandbox), 0);
}

#[tokio::test]
async fn without_a_sandbox_the_first_container_waits_for_its_status_and_no_other_does() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(pod("a")).await;
    let of_web = first(10, "a", ID, NAMESPACES);
    sensor.exec(of_web.clone()).await;
    sensor.exec(child(11, &of_web)).await;
    assert_eq!(
        sensor.found(),
        [any(11)],
        "the first process could be the sandbox"
    );
    sensor.exec(first(20, "a", SIDECAR, NAMESPACES)).await;
    assert_eq!(
        sensor.found(),
        [any(20)],
        "an earlier container has its namespaces; the other policy waits for the name"
    );
    let both = [("web", ID), ("sidecar", SIDECAR)];
    sensor.pod(with_status("a", &both)).await;
    let mut found = sensor.found();
    found.sort();
    assert_eq!(found, [any(10), web(10), web(11)]);
    assert_eq!(sensor.skipped(Skipped::Sandbox), 0);
    assert_eq!(sensor.state.pending.len(), 0);
}

#[tokio::test]
async fn a_sandbox_that_was_restarted_has_other_namespaces_and_its_containers_other_ids() {
    let again = [81, 82, 83];
    for with_sandbox in [false, true] {
        let mut sensor = Sensor::new(MINUTE).await;
        sensor.pod(pod("a")).await;
        if with_sandbox {
            sensor.exec(first(9, "a", SANDBOX, NAMESPACES)).await;
        }
        sensor.exec(first(10, "a", ID, NAMESPACES)).await;
        let at_once = if with_sandbox { vec![any(10)] } else { vec![] };
        assert_eq!(sensor.found(), at_once, "with a sandbox: {with_sandbox}");
        sensor.pod(with_status("a", &[("web", ID)])).await;
        let late = if with_sandbox {
            vec![web(10)]
        } else {
            vec![any(10), web(10)]
        };
        assert_eq!(sensor.found(), late, "with a sandbox: {with_sandbox}");
        // It ended with all of its containers. The status still has the old ones.
        if with_sandbox {
            let sandbox = first(19, "a", &"3".repeat(64), again);
            sensor.exec(sandbox).await;
        }
        sensor.exec(first(20, "a", RESTARTED, again)).await;
        let at_once = if with_sandbox { vec![any(20)] } else { vec![] };
        assert_eq!(sensor.found(), at_once, "with a sandbox: {with_sandbox}");
        sensor.pod(with_status("a", &[("web", RESTARTED)])).await;
        let late = if with_sandbox {
            vec![web(20)]
        } else {
            vec![any(20), web(20)]
        };
        assert_eq!(sensor.found(), late, "with a sandbox: {with_sandbox}");
        // A process of the container before, which is told late.
        sensor.exec(first(30, "a", ID, NAMESPACES)).await;
        assert_eq!(sensor.found(), [any(30), web(30)]);
        assert_eq!(sensor.skipped(Skipped::Sandbox), 0);
        // The sandboxes wait, as no status names them.
        let waiting = if with_sandbox { 2 } else { 0 };
        assert_eq!(sensor.state.pending.len(), waiting);
    }
}

/// After the time for the status, nothing tells the first container from a sandbox.
#[tokio::test]
async fn without_a_status_in_time_the_first_container_is_counted_as_the_sandbox() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    sensor.pod(pod("a")).await;
    sensor.exec(first(10, "a", ID, NAMESPACES)).await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.skipped(Skipped::Sandbox), 1);
    sensor.pod(with_status("a", &[("web", ID)])).await;
    sensor.exec(first(11, "a", ID, NAMESPACES)).await;
    assert_eq!(sensor.found(), [any(11), web(11)]);
    assert_eq!(sensor.skipped(Skipped::Sandbox), 1);
}
