//! Removals and shortenings that are not answered, and those of who no longer leads.

use super::*;

#[tokio::test]
async fn a_removal_without_a_known_result_is_looked_into_first() {
    let world = World::new();
    // Its user deleted it.
    let deleted = world.clone().with(|w| {
        w.pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        w.pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    });
    // An eviction leaves a mark.
    let evicted_pod = deleted.clone().with(|w| {
        w.pod["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True",
            "reason": "EvictionByEvictionAPI", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    });
    let not_by_us = responded_and("True", "AlreadyTerminating", "True");
    let failed = responded("Unknown", "APIRequestFailed");
    for (then, after, want, counts) in [
        // It was done: nothing is requested a second time.
        (evicted_pod.reads(), the_end(), Finished::Removed, true),
        // It was not done.
        (
            world.reads(),
            rounds([vec![vec![evict()]], the_end()]),
            Finished::Removed,
            true,
        ),
        // It was not done either, and Bailiff does not claim it.
        (deleted.reads(), vec![not_by_us], Finished::Final, false),
    ] {
        let scenario = rounds([
            vec![world.reads(), vec![evict().is_cut()], failed.clone()],
            events("ResponseDelayed"),
            vec![then],
            after,
        ]);
        let (server, client) = ApiServer::playing(scenario);
        let (controller, _recovering) = world.controller(client, Config::default());
        let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
        assert_eq!(waits(&ended), ("APIRequestFailed", true));
        assert!(
            controller.work().controls.ledger.contains("pod-uid"),
            "it still counts"
        );
        let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
        assert_eq!(ended, Ok(want));
        assert_eq!(
            controller.work().controls.ledger.contains("pod-uid"),
            counts
        );
        server.finish();
    }
}

#[tokio::test]
async fn an_eviction_that_is_never_answered_is_given_up_after_its_deadline() {
    let world = World::new();
    let late = || {
        incident(&json!({
            "conditions": [{"type": "Responded", "status": "Unknown", "reason": "APIRequestFailed",
                "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "waiting": {"reason": "APIRequestFailed", "startTime": "2026-01-01T00:00:00.000000Z",
                "deadline": "2026-01-01T00:10:00.000000Z"},
        }))
    };
    let failed = responded("Unknown", "APIRequestFailed");
    let given_up = responded("False", "EvictionDeadlineExceeded");
    let scenario = rounds([
        // The deadline passed while no leader asked: it is requested once more.
        vec![world.reads(), vec![evict().is_cut()], failed],
        vec![world.reads(), given_up],
        events("PolicyViolation"),
    ]);
    let (server, client) = ApiServer::playing(scenario);
    let (controller, _recovering) = world.controller(client, Config::default());
    let waits_first = pass(&controller, &key(), Some(late())).await;
    assert_eq!(waits(&waits_first), ("APIRequestFailed", true));
    let ended = pass(&controller, &key(), Some(late())).await;
    assert_eq!(ended, Ok(Finished::Final));
    assert!(!controller.work().controls.ledger.contains("pod-uid"));
    server.finish();
}

#[tokio::test]
async fn who_no_longer_leads_reports_a_removal_that_was_done() {
    let world = World::new();
    let gone = world.clone().with(|w| w.pod = Value::Null);
    let failed = responded("Unknown", "APIRequestFailed");
    // The ReplicaSet was read by name, which leads to no workload without the pod.
    let scenario = rounds([
        vec![world.reads(), vec![evict().is_cut()], failed],
        events("ResponseDelayed"),
        vec![
            vec![Call::get(INCIDENT).gives(incident_json(&Value::Null))],
            gone.reads(),
        ],
        the_end(),
    ]);
    let (server, client) = ApiServer::playing(scenario);
    let (controller, _recovering) = world.controller(client, Config::default());
    let first = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(waits(&first), ("APIRequestFailed", true));
    controller.stopping().cancel();
    Box::pin(controller.last_look()).await;
    controller.finish_events().await;
    server.finish();
}

#[tokio::test]
async fn who_no_longer_leads_requests_nothing() {
    let world = World::new();
    let (server, client) = ApiServer::playing([world.reads()]);
    let (controller, _recovering) = world.controller(client, Config::default());
    controller.stopping().cancel();
    let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(ended, Err(Stop::Stopping));
    assert!(!controller.work().controls.ledger.contains("pod-uid"));
    server.finish();
}

/// A pod of 36,000 seconds that a user has deleted.
fn terminating(grace: i64) -> World {
    World::new().with(|w| {
        w.pod["metadata"]["deletionTimestamp"] = json!("2999-01-01T00:00:00Z");
        w.pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    })
}

#[tokio::test]
async fn a_termination_is_shortened_and_believed_only_when_it_is_read_back() {
    let world = terminating(36_000);
    let shorten = || {
        Call::post(EVICTION).with(json!({"deleteOptions": {"gracePeriodSeconds": 300,
        "preconditions": {"uid": "pod-uid"}}}))
    };
    let read = |grace: i64| vec![Call::get(POD).gives(terminating(grace).pod)];
    let switch = || vec![Call::get(SWITCH).gives(world.switch.clone())];
    let done = responded_and("True", "GracePeriodShortened", "True");
    let scenario = rounds([
        vec![world.reads(), switch(), vec![shorten()], read(300), done],
        events("EvictedByPolicy"),
    ]);
    assert_eq!(play(&world, scenario).await, Ok(Finished::Removed));
    // The API server accepts it, and nothing changes: then it is as it is.
    let as_it_is = responded_and("True", "AlreadyTerminating", "True");
    let scenario = vec![
        world.reads(),
        switch(),
        vec![shorten()],
        read(36_000),
        as_it_is,
    ];
    assert_eq!(play(&world, scenario).await, Ok(Finished::Final));
}

/// The API server rejects each Eviction in a terminating namespace, and no deletion.
#[tokio::test]
async fn in_a_terminating_namespace_a_termination_is_shortened_where_the_chart_allows_deletions() {
    let world = terminating(36_000);
    let rejected = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "metadata": {},
        "code": 403, "reason": "Forbidden",
        "message": "pods \"web-1\" is forbidden: unable to create new content in namespace shop because it is being terminated",
        "details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace",
            "message": "namespace shop is being terminated"}]}});
    let evict = || Call::post(EVICTION).fails_with(403, rejected.clone());
    let delete = Call::delete(POD)
        .with(json!({"gracePeriodSeconds": 300, "preconditions": {"uid": "pod-uid"}}))
        .gives(world.pod.clone());
    let read = Call::get(POD).gives(terminating(300).pod);
    let switch = || vec![Call::get(SWITCH).gives(world.switch.clone())];
    let done = responded_and("True", "GracePeriodShortened", "True");
    let scenario = rounds([
        vec![world.reads(), switch(), vec![evict()], switch()],
        vec![vec![delete], vec![read], done],
        events("EvictedByPolicy"),
    ]);
    let (server, client) = ApiServer::playing(scenario);
    let config = Config {
        allow_pod_deletion: true,
        ..Config::default()
    };
    let (controller, _recovering) = world.controller(client, config);
    let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(ended, Ok(Finished::Removed));
    server.finish();
}

#[tokio::test]
async fn a_shortening_that_is_never_answered_is_given_up_after_its_deadline() {
    let world = terminating(36_000);
    let reads = || {
        vec![
            world.reads(),
            vec![Call::get(SWITCH).gives(world.switch.clone())],
        ]
    };
    let cut = || vec![Call::post(EVICTION).is_cut()];
    // It is accepted, and cannot be read back.
    let unread = || vec![Call::get(POD).fails(500, "InternalError", "etcd is away")];
    for unknown in [vec![cut()], vec![vec![Call::post(EVICTION)], unread()]] {
        let failed = responded("Unknown", "APIRequestFailed");
        let scenario = rounds([
            reads(),
            unknown.clone(),
            vec![failed],
            events("ResponseDelayed"),
        ]);
        let ended = play(&world, scenario).await;
        let Ok(Finished::Backoff { not_after, .. }) = ended else {
            panic!("{ended:?}")
        };
        assert!(not_after.is_some(), "it has a deadline");
        let late = incident(&json!({
            "conditions": [{"type": "Responded", "status": "Unknown", "reason": "APIRequestFailed",
                "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "waiting": {"reason": "APIRequestFailed", "startTime": "2026-01-01T00:00:00.000000Z",
                "deadline": "2026-01-01T00:10:00.000000Z"},
        }));
        let given_up = responded("False", "EvictionDeadlineExceeded");
        let scenario = rounds([reads(), unknown, vec![given_up], events("PolicyViolation")]);
        assert_eq!(
            play_incident(&world, late, scenario).await,
            Ok(Finished::Final)
        );
    }
}
