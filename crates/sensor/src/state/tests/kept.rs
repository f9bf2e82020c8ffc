//! What is kept of objects, what is fetched, and what cannot be decoded.

use super::*;
use crate::metrics::Kind;

#[tokio::test]
async fn a_policy_waits_until_what_it_reads_of_the_pod_is_kept() {
    let mut sensor = Sensor::new(MINUTE).await;
    let labelled = |uid: &str| {
        let mut pod = running(uid, ID);
        pod["metadata"]["labels"] = json!({"tier": "web"});
        pod
    };
    sensor.pod(labelled("a")).await;
    let reading = policy("any", 2, "object.metadata.labels.tier != 'web'");
    sensor.state.policy(Ok(Watched::Applied(reading)));
    sensor.exec(exec(10, "a")).await;
    assert_eq!(
        sensor.found(),
        [web(10)],
        "the other one would read what was left out"
    );
    assert!(sensor.state.take_must_list());
    sensor
        .state
        .namespace(Ok(Watched::Listed(namespace("shop"))));
    sensor.pod(labelled("a")).await;
    assert_eq!(sensor.found(), [any(10)]);
    // A policy that reads less leads to no list.
    let reading = policy("any", 3, "has(object.metadata.labels)");
    sensor.state.policy(Ok(Watched::Applied(reading)));
    assert!(!sensor.state.take_must_list());
}

#[tokio::test]
async fn what_a_policy_reads_and_is_not_kept_in_time_is_counted() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    sensor.pod(running("a", ID)).await;
    let reading = policy("any", 2, "has(object.metadata.labels)");
    sensor.state.policy(Ok(Watched::Applied(reading)));
    sensor.exec(exec(10, "a")).await;
    assert_eq!(sensor.found(), [web(10)]);
    assert_eq!(sensor.not_evaluated(NotEvaluated::PodUnknown), 1);
}

#[tokio::test]
async fn what_is_too_large_is_fetched_for_the_policies_that_read_it_and_forgotten() {
    let mut sensor = Sensor::new(MINUTE).await;
    let reading = policy(
        "any",
        2,
        "object.metadata.annotations.all(k, k != 'annotation-7')",
    );
    sensor.state.policy(Ok(Watched::Applied(reading)));
    sensor
        .state
        .namespace(Ok(Watched::Applied(namespace("shop"))));
    let mut large = running("a", ID);
    large["metadata"]["annotations"] = (0..2000)
        .map(|n| (format!("annotation-{n}"), json!("")))
        .collect();
    sensor.pod(large.clone()).await;
    sensor.exec(exec(10, "a")).await;
    sensor.exec(exec(11, "a")).await;
    assert_eq!(sensor.found(), [web(10), web(11)], "others do not wait");
    let fetch = sensor.state.next_fetch(Instant::now()).unwrap();
    assert_eq!(
        (fetch.namespace.as_str(), fetch.name.as_str()),
        ("shop", "a")
    );
    // What cannot be fetched is tried again, and a pod that only has its name is another.
    sensor.state.fetched(fetch.clone(), None).await;
    let another = bytes(&running("b", ID));
    sensor.state.fetched(fetch.clone(), Some(another)).await;
    assert!(sensor.found().is_empty());
    sensor.state.fetched(fetch, Some(bytes(&large))).await;
    let found = sensor.findings();
    let types: Vec<_> = found.iter().map(|f| (f.pid, f.type_)).collect();
    assert_eq!(
        types,
        [(10, IncidentType::Violation), (11, IncidentType::Violation)]
    );
    assert!(found.iter().all(|found| found.pod.object.is_none()));
    assert!(sensor.state.pending.is_empty());
}

#[tokio::test]
async fn a_container_that_has_no_room_is_fetched() {
    let mut sensor = Sensor::new(MINUTE).await;
    let mut large = running("a", ID);
    let web_status = large["status"]["containerStatuses"][0].clone();
    let others = (0..2000).map(|n| {
        let mut other = web_status.clone();
        other["name"] = json!(format!("c{n}"));
        other["containerID"] = json!(format!("containerd://c{n}"));
        other
    });
    large["status"]["containerStatuses"] = others.chain([web_status.clone()]).collect();
    sensor.pod(large.clone()).await;
    sensor.exec(exec(10, "a")).await;
    assert!(sensor.found().is_empty());
    let fetch = sensor.state.next_fetch(Instant::now()).unwrap();
    sensor.state.fetched(fetch, Some(bytes(&large))).await;
    assert_eq!(sensor.found(), [any(10), web(10)]);
}

#[tokio::test]
async fn what_is_too_large_and_not_fetched_in_time_is_reported_and_never_evaluated_in_part() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    let reading = policy("any", 2, "object.metadata.annotations.all(k, k != 'x')");
    sensor.state.policy(Ok(Watched::Applied(reading)));
    sensor
        .state
        .namespace(Ok(Watched::Applied(namespace("shop"))));
    let mut large = running("a", ID);
    large["metadata"]["annotations"] = (0..2000)
        .map(|n| (format!("annotation-{n}"), json!("")))
        .collect();
    sensor.pod(large).await;
    sensor.exec(exec(10, "a")).await;
    let found = sensor.findings();
    assert_eq!(found[0].type_, IncidentType::EvaluationFailed);
    assert_eq!(
        found[0].violations[0].message,
        "validations[0]: no such attribute(s): object; the parts of the object that policies read are too large to be kept; make the object smaller, or read fewer of its fields"
    );
    assert_eq!(
        found[1].type_,
        IncidentType::Violation,
        "others are evaluated as always"
    );
    let reports = sensor.state.gaps_report();
    sensor.state.tick(Counters::default()).await;
    let report = reports.borrow().clone().unwrap();
    assert!(
        report.ends_with("make the objects smaller: pod shop/a."),
        "{report}"
    );
    sensor.pod(running("a", ID)).await;
    sensor.state.tick(Counters::default()).await;
    assert_eq!(*reports.borrow(), None);
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_stops_no_other() {
    let mut sensor = Sensor::new(MINUTE).await;
    for broken in [
        json!({"metadata": {"name": "any", "uid": "any", "generation": 2}, "spec": {"validations": 7}}),
        json!({"metadata": {"name": "any", "uid": "any", "generation": 2},
            "spec": {"validations": [{"expression": "false"}], "failurePolicy": 7}}),
    ] {
        sensor.state.policy(Ok(Watched::Applied(bytes(&broken))));
        sensor.state.binding(Ok(Watched::Applied(bytes(
            &json!({"metadata": {"name": "b"}, "spec": 1}),
        ))));
        sensor.state.namespace(Ok(Watched::Applied(b"{".to_vec())));
        sensor
            .pod(
                json!({"metadata": {"name": "bad", "namespace": "shop", "uid": "bad",
            "creationTimestamp": "never"}}),
            )
            .await;
        sensor.pod(running("a", ID)).await;
        sensor.exec(exec(10, "a")).await;
        assert_eq!(
            sensor.found(),
            [web(10)],
            "what cannot be decoded is not evaluated"
        );
    }
    // What a status says is nothing to a sensor.
    let mut fine: serde_json::Value = serde_json::from_slice(&policy("any", 3, "false")).unwrap();
    fine["status"] = json!({"conditions": [{"lastTransitionTime": "2026-01-01T00:00:00+99:99"}]});
    sensor.state.policy(Ok(Watched::Applied(bytes(&fine))));
    sensor.exec(exec(11, "a")).await;
    assert_eq!(sensor.found(), [any(11), web(11)]);
    let reports = sensor.state.gaps_report();
    sensor.state.tick(Counters::default()).await;
    let report = reports.borrow().clone().unwrap();
    for kind in [Kind::Pod, Kind::Namespace, Kind::RuntimePolicyBinding] {
        let family = &sensor.state.metrics.undecodable_objects;
        let count = family.get_or_create(&KindLabels { kind }).get();
        assert_eq!(count, 1, "{kind:?}");
    }
    for object in [
        "RuntimePolicyBinding b",
        "namespace of unknown name",
        "pod shop/bad",
    ] {
        assert!(report.contains(object), "{report}");
    }
    // The pod is deleted, and a new list of bindings and namespaces names none that is broken.
    let bad = json!({"metadata": {"name": "bad", "namespace": "shop", "uid": "bad"}});
    let deleted = Ok(Watched::Deleted(bytes(&bad)));
    sensor.state.pod(deleted).await;
    for event in [Watched::Listing, Watched::Complete] {
        sensor.state.binding(Ok(event.clone()));
        sensor.state.namespace(Ok(event));
    }
    sensor.state.tick(Counters::default()).await;
    assert_eq!(*reports.borrow(), None);
}

#[tokio::test]
async fn a_pod_in_a_sandbox_is_reported_as_long_as_it_runs() {
    let mut sensor = Sensor::new(MINUTE).await;
    let reports = sensor.state.gaps_report();
    let of = |uid: &str, class: &str, phase: &str| {
        let mut pod = running(uid, ID);
        pod["metadata"]["name"] = json!("web-0");
        pod["spec"]["runtimeClassName"] = json!(class);
        pod["status"]["phase"] = json!(phase);
        pod
    };
    for (class, phase, reported) in [
        ("gvisor", "Running", 1),
        ("runc", "Running", 0),
        ("gvisor", "Pending", 1),
        ("gvisor", "Succeeded", 0),
    ] {
        sensor.pod(of("a", class, phase)).await;
        sensor.state.tick(Counters::default()).await;
        let count = sensor.state.metrics.sandboxed_pods.get();
        assert_eq!(count, reported, "{class} {phase}");
        let want = (reported == 1).then_some(
            "Bailiff does not evaluate everything on this node. Processes of these pods are not monitored, because their RuntimeClass runs them in a sandbox with its own kernel (sensor.sandboxRuntimeClasses); run the pods that policies must cover with another RuntimeClass: pod shop/web-0.",
        );
        assert_eq!(reports.borrow().as_deref(), want);
    }
    // It is also known of a pod that is too large to be kept as a whole.
    let mut large = of("a", "gvisor", "Running");
    let labels = (0..20_000).map(|n| (format!("label-{n}"), json!("")));
    large["metadata"]["labels"] = labels.collect();
    sensor.pod(large).await;
    sensor.state.tick(Counters::default()).await;
    assert_eq!(sensor.state.metrics.sandboxed_pods.get(), 1);
}
