//! The pod sandbox and the containers that share its namespaces.

use super::*;

#[tokio::test]
async fn the_sandbox_of_a_pod_is_skipped_under_any_name() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    sensor.pod(pod("a")).await;
    sensor.exec(sandbox(9, "a")).await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.skipped(Skipped::Sandbox), 1);
    // The runtime keeps some in the pod's own cgroup.
    let beside = Exec {
        cgroup: "/kubepods/besteffort/poda".to_owned(),
        ..sandbox(19, "a")
    };
    sensor.exec(beside).await;
    assert_eq!(
        sensor.found(),
        [any(19), web(19)],
        "an earlier container had its namespaces"
    );
    // It was restarted, and its containers with it.
    let restarted = |exec: Exec, id: &str| Exec {
        cgroup: format!("/kubepods/besteffort/poda/{}", id.repeat(64)),
        pod_namespaces: [81, 82, 83],
        mount_namespace: 2000 + u64::from(exec.process.pid),
        ..exec
    };
    sensor.exec(restarted(sandbox(20, "a"), "6")).await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.skipped(Skipped::Sandbox), 2);
    sensor.exec(restarted(exec(21, "a"), "7")).await;
    assert_eq!(sensor.found(), [any(21), web(21)]);
    assert_eq!(sensor.skipped(Skipped::Sandbox), 2);
}

#[tokio::test]
async fn without_namespaces_of_its_own_a_container_waits_for_the_status() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(pod("a")).await;
    // All of the node's, as with `hostNetwork` and `hostIPC`: the sandbox has the same.
    let shared = [0; 3];
    let sandbox = Exec {
        pod_namespaces: shared,
        ..sandbox(9, "a")
    };
    sensor.exec(sandbox).await;
    sensor.exec(exec(10, "a")).await;
    let child = Exec {
        parent: key(10),
        parent_outside_cgroup: false,
        ..exec(11, "a")
    };
    sensor.exec(child).await;
    // The second process in a container is not the sandbox's, but which container it is has to be known for some policies.
    assert_eq!(sensor.found(), [any(11)]);
    sensor.pod(running("a", ID)).await;
    assert_eq!(sensor.found(), [any(10), web(10), web(11)]);
    assert_eq!(sensor.state.pending.len(), 1, "the sandbox");
    assert_eq!(sensor.skipped(Skipped::Sandbox), 0, "its time is not over");
}

/// The kubelet names a container in the status once its postStart hook has ended, which can take days.
#[tokio::test]
async fn without_namespaces_of_its_own_only_the_first_process_of_a_container_can_be_the_sandbox() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    sensor.pod(pod("a")).await;
    let shared = |exec: Exec| Exec {
        pod_namespaces: [0; 3],
        ..exec
    };
    sensor.exec(shared(sandbox(9, "a"))).await;
    sensor.exec(shared(exec(10, "a"))).await;
    assert_eq!(
        (sensor.found(), sensor.skipped(Skipped::Sandbox)),
        (vec![], 2)
    );
    // A script of the sandbox's image, which executes another program.
    sensor.exec(shared(sandbox(9, "a"))).await;
    assert_eq!(
        (sensor.found(), sensor.skipped(Skipped::Sandbox)),
        (vec![], 3)
    );
    // From outside, and by what the container started.
    sensor.exec(shared(exec(11, "a"))).await;
    let child = Exec {
        parent: key(10),
        parent_outside_cgroup: false,
        ..exec(12, "a")
    };
    sensor.exec(shared(child)).await;
    assert_eq!(sensor.found(), [any(11), web(11), any(12), web(12)]);
    assert_eq!(sensor.skipped(Skipped::Sandbox), 3);
}

#[tokio::test]
async fn what_a_container_of_the_application_starts_is_evaluated_before_the_status_is_there() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(pod("a")).await;
    sensor.exec(sandbox(9, "a")).await;
    sensor.exec(in_sandbox(10, "a")).await;
    let child = Exec {
        parent: key(10),
        parent_outside_cgroup: false,
        ..exec(11, "a")
    };
    sensor.exec(child).await;
    assert_eq!(sensor.found(), [any(10), any(11)]);
}

#[tokio::test]
async fn a_cgroup_of_its_own_making_does_not_make_a_process_the_sandbox() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    sensor.pod(running("a", ID)).await;
    sensor.exec(exec(10, "a")).await;
    sensor.found();
    for cgroup in [
        format!("/kubepods/besteffort/poda/{}", "e".repeat(64)),
        "/kubepods/besteffort/poda".to_owned(),
    ] {
        let moved = Exec {
            cgroup,
            parent: key(10),
            parent_outside_cgroup: false,
            ..exec(11, "a")
        };
        sensor.exec(moved).await;
        let found = sensor.findings();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].container.name.as_deref(), Some("web"));
        assert_eq!(found[1].container_id.as_deref(), Some(ID));
        sensor.state.event(Event::Exit(key(11))).await;
    }
    assert_eq!(sensor.skipped(Skipped::Sandbox), 0);
}

#[tokio::test]
async fn a_pod_that_is_made_too_large_is_not_taken_for_its_sandbox() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    let mut large = running("a", ID);
    let web = large["status"]["containerStatuses"][0].clone();
    let others = (0..2000).map(|n| {
        let mut other = web.clone();
        other["name"] = json!(format!("c{n}"));
        other["containerID"] = json!(format!("containerd://c{n}"));
        other
    });
    large["status"]["containerStatuses"] = others.chain([web.clone()]).collect();
    sensor.pod(large).await;
    sensor.exec(exec(10, "a")).await;
    assert_eq!(sensor.skipped(Skipped::Sandbox), 0);
    let found = sensor.findings();
    let types: Vec<_> = found
        .iter()
        .map(|f| (f.policy.name.as_str(), f.type_))
        .collect();
    assert_eq!(
        types,
        [
            ("any", IncidentType::Violation),
            ("web", IncidentType::EvaluationFailed)
        ]
    );
    let reports = sensor.state.gaps_report();
    sensor.state.tick(Counters::default()).await;
    let report = reports.borrow().clone().unwrap();
    assert!(
        report.contains("because they are too large to keep; make the pods smaller: pod shop/a."),
        "{report}"
    );
}
