//! Processes that the process table dropped, or never had, and that the kernel side remembers.

use super::*;
use crate::kernel::record::Descent;

/// The cgroup of a pod's container.
fn cgroup(pod: &str) -> String {
    format!("/kubepods/besteffort/pod{pod}/{ID}")
}

/// A process that the kernel side remembers as one of this pod, in the machine's root and mount namespace, whose parent
/// is outside, and which the process table does not have.
fn remembered(pid: u32, home: Option<&str>) -> Exec {
    Exec {
        root: Root::Machine,
        mount_namespace: 4_026_531_840,
        descent: Descent::Pod {
            home: home.map(str::to_owned),
        },
        ..exec(pid, "a")
    }
}

#[tokio::test]
async fn a_process_that_the_table_dropped_is_not_the_runtimes() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    sensor.exec(exec(20, "a")).await;
    assert_eq!(sensor.found(), [any(20), web(20)]);
    // Each starts the next one, and all of them have long paths.
    let long = format!("/{}", "d/".repeat(2000));
    for pid in 1000..1450 {
        let deep = Exec {
            executable: long.clone(),
            parent: key(pid - 1),
            forked: Some(u64::from(pid)),
            parent_outside_cgroup: false,
            ..exec(pid, "a")
        };
        sensor.exec(deep).await;
        sensor.found();
    }
    assert_eq!(sensor.state.tree.place_of(key(20), key(0)), None);
    sensor.exec(remembered(20, Some(&cgroup("a")))).await;
    assert_eq!(sensor.found(), [any(20), web(20)]);
    assert_eq!(sensor.skipped(Skipped::ContainerRuntime), 0);
}

#[tokio::test]
async fn what_the_kernel_side_remembers_tells_the_pod_that_a_process_left() {
    let mut sensor = Sensor::new(MINUTE).await;
    for pod in ["a", "b"] {
        sensor.pod(running(pod, ID)).await;
    }
    let left = |pid, home: Option<&str>| Exec {
        cgroup: "/system.slice".to_owned(),
        left_pod_cgroup: true,
        parent_outside_cgroup: false,
        ..remembered(pid, home)
    };
    sensor.exec(left(20, Some(&cgroup("a")))).await;
    let found = sensor.findings();
    let pods: Vec<_> = found.iter().map(|found| found.pod.uid.as_str()).collect();
    assert_eq!(pods, ["a", "a"]);
    assert_eq!(found[0].container_id.as_deref(), Some(ID));
    assert_eq!(found[0].process.origin, Origin::Unknown);
    // It is of a pod, and of which is not known any more.
    sensor.exec(left(23, None)).await;
    sensor.exec(remembered(21, None)).await;
    // It came into the cgroup of another pod, whose namespaces it may have.
    let came = Exec {
        descent: Descent::Pod {
            home: Some(cgroup("a")),
        },
        ..exec(22, "b")
    };
    sensor.exec(came).await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 3);
    assert_eq!(sensor.skipped(Skipped::ContainerRuntime), 0);
}

#[tokio::test]
async fn what_the_kernel_side_remembers_is_no_proof_without_the_namespaces() {
    let mut sensor = Sensor::new(MINUTE).await;
    for (pod, pid) in [("a", 10), ("b", 20)] {
        sensor.pod(running(pod, ID)).await;
        sensor.exec(exec(pid, pod)).await;
    }
    sensor.found();
    // It was told of first in the cgroup of a pod whose namespaces it does not have.
    let claimed = Exec {
        mount_namespace: u64::from(b'a'),
        descent: Descent::Pod {
            home: Some(cgroup("b")),
        },
        ..exec(30, "b")
    };
    sensor.exec(claimed).await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 1);
}

#[tokio::test]
async fn a_process_of_this_node_is_not_another_nodes_wherever_it_goes() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    let other = format!("/other-node{}", cgroup("c"));
    let went = |pid, home: &str| Exec {
        cgroup: other.clone(),
        cgroup_number: u64::from(pid),
        ..remembered(pid, Some(home))
    };
    sensor.exec(went(30, &cgroup("a"))).await;
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 1);
    assert_eq!(sensor.skipped(Skipped::OtherNode), 0);
    assert!(
        sensor.state.take_cgroups_of_others().is_empty(),
        "it is told on"
    );
    // One that is of the other node is that node's.
    sensor.exec(went(31, &other)).await;
    assert_eq!(sensor.skipped(Skipped::OtherNode), 1);
    assert_eq!(
        sensor.state.take_cgroups_of_others(),
        BTreeSet::from([31]),
        "it is told no more"
    );
    assert_eq!(sensor.found(), []);
}

#[tokio::test]
async fn who_may_be_one_that_there_was_no_room_for_is_not_taken_for_the_runtime() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    for root in [Root::Machine, Root::Unknown] {
        let unknown = Exec {
            root,
            descent: Descent::Unknown,
            ..exec(40, "a")
        };
        sensor.exec(unknown.clone()).await;
        // The same process where all of pods are remembered.
        sensor
            .exec(Exec {
                descent: Descent::NoPod,
                ..unknown
            })
            .await;
    }
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 2);
    assert_eq!(sensor.skipped(Skipped::ContainerRuntime), 2);
    // A root of its own shows that the runtime is done with it.
    let own = Exec {
        descent: Descent::Unknown,
        ..exec(41, "a")
    };
    sensor.exec(own).await;
    assert_eq!(sensor.found(), [any(41), web(41)]);
}

#[tokio::test]
async fn a_process_that_moves_beside_the_cgroups_of_pods_stays_its_pods() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    sensor.exec(exec(10, "a")).await;
    sensor.found();
    for (pid, cgroup) in [
        (11, "/kubepods/beside"),
        (12, "/kubepodsx"),
        (13, "/kubepods"),
    ] {
        let moved = Exec {
            cgroup: cgroup.to_owned(),
            parent: key(10),
            parent_outside_cgroup: false,
            ..exec(pid, "a")
        };
        sensor.exec(moved).await;
        assert_eq!(sensor.found(), [any(pid), web(pid)], "{cgroup}");
    }
    assert_eq!(sensor.not_evaluated(NotEvaluated::UnrecognizedCgroup), 0);
}
