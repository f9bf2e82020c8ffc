//! Scenarios with a mock API server: which requests a response makes, in which order, and how its
//! slot ends.

use super::*;
use crate::testing::{
    EVENTS, EVICTION, INCIDENT, POD, STATUS, SWITCH, World, binding, incident, incident_json,
};
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn key() -> Key {
    Key::of(&incident(&Value::Null)).unwrap()
}

fn evict() -> Call {
    Call::post(EVICTION).with(json!({
        "metadata": {"name": "web-5d8f-x7k2p", "namespace": "shop"},
        "deleteOptions": {"gracePeriodSeconds": 30, "preconditions": {"uid": "pod-uid"}},
    }))
}

/// The status is written with this condition `Responded`.
fn responded(status: &str, reason: &str) -> Vec<Call> {
    let written = json!({"status": {"conditions": [
        {"type": "Responded", "status": status, "reason": reason}]}});
    vec![write(written)]
}

fn write(status: Value) -> Call {
    Call::patch(&format!("{STATUS}?&fieldManager=bailiff-controller"))
        .with(status)
        .gives(incident_json(&Value::Null))
}

/// The status is written after the pod was removed.
fn evicted() -> Vec<Call> {
    vec![write(json!({"status": {
        "phase": "Recovering",
        "conditions": [
            {"type": "Responded", "status": "True", "reason": "Evicted"},
            {"type": "Recovered", "status": "Unknown", "reason": "WaitingForReplacement"},
        ],
        "response": {"action": "Evict", "bindingName": "a", "gracePeriodSeconds": 30},
        "waiting": null,
        "workloadRef": {"kind": "Deployment", "name": "web", "uid": "web-uid"},
    }}))]
}

/// Events of one reason on the pod, then on its Deployment.
fn events(reason: &str) -> Vec<Vec<Call>> {
    let about = |version: &str, kind: &str, name: &str, uid: &str| {
        let regarding = json!({"apiVersion": version, "kind": kind, "name": name,
            "namespace": "shop", "uid": uid});
        let event = json!({"reason": reason, "type": "Warning", "regarding": regarding});
        vec![Call::post(EVENTS).with(event)]
    };
    vec![
        about("v1", "Pod", "web-5d8f-x7k2p", "pod-uid"),
        about("apps/v1", "Deployment", "web", "web-uid"),
    ]
}

fn rounds(parts: impl IntoIterator<Item = Vec<Vec<Call>>>) -> Vec<Vec<Call>> {
    parts.into_iter().flatten().collect()
}

/// The end of every scenario in which the pod was removed.
fn the_end() -> Vec<Vec<Call>> {
    rounds([vec![evicted()], events("EvictedByPolicy")])
}

/// One pass, and the Events after it.
async fn pass(
    controller: &Controller,
    key: &Key,
    brought: Option<Incident>,
) -> Result<Finished, Stop> {
    let ended = Box::pin(controller.reconcile_key(key, brought)).await;
    controller.finish_events().await;
    ended
}

/// Plays one pass over an Incident that the watch brought.
async fn play(world: &World, rounds: Vec<Vec<Call>>) -> Result<Finished, Stop> {
    play_incident(world, incident(&Value::Null), rounds).await
}

async fn play_incident(
    world: &World,
    incident: Incident,
    rounds: Vec<Vec<Call>>,
) -> Result<Finished, Stop> {
    let (server, client) = ApiServer::playing(rounds);
    let (controller, _recovering) = world.controller(client, Config::default());
    let ended = pass(&controller, &key(), Some(incident)).await;
    server.finish();
    ended
}

/// The reason of a wait, and whether it is retried with backoff.
fn waits(ended: &Result<Finished, Stop>) -> (&str, bool) {
    match ended {
        Ok(Finished::Backoff { reason, .. }) => (reason, true),
        Ok(Finished::Wait { reason, .. }) => (reason, false),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_violation_is_responded_to_in_one_round_of_reads_and_one_request() {
    let world = World::new();
    let (server, client) =
        ApiServer::playing(rounds([vec![world.reads(), vec![evict()]], the_end()]));
    let (controller, mut recovering) = world.controller(client, Config::default());
    let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(ended, Ok(Finished::Removed));
    server.finish();
    let to_recover = recovering.try_recv().unwrap();
    assert!(to_recover.status.unwrap().response.is_some());
    assert!(controller.work().controls.ledger.contains("pod-uid"));
}

#[tokio::test]
async fn an_incident_that_is_not_brought_is_read_and_one_that_is_gone_ends() {
    let world = World::new();
    for (answer, want) in [
        (Call::get(INCIDENT).is_missing(), Err(Stop::NotFound)),
        (Call::get(INCIDENT).fails(500, "InternalError", "etcd is away"), Ok(Finished::failed())),
        (
            Call::get(INCIDENT).gives(incident_json(&json!({"conditions": [{"type": "Responded",
                "status": "True", "reason": "Evicted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}))),
            Ok(Finished::Final),
        ),
    ] {
        let (server, client) = ApiServer::playing([vec![answer]]);
        let (controller, _recovering) = world.controller(client, Config::default());
        let ended = pass(&controller, &key(), None).await;
        assert_eq!(ended, want);
        server.finish();
    }
}

#[tokio::test]
async fn nothing_is_removed_while_the_switch_is_not_on() {
    for switch in [
        json!({"data": {"mode": "Audit"}}),
        json!({"data": {"mode": "?"}}),
        Value::Null,
    ] {
        let world = World::new().with(|w| w.switch = switch.clone());
        let off = responded("Unknown", "ResponsesSwitchedOff");
        let scenario = rounds([vec![world.reads(), off], events("ResponseDelayed")]);
        let ended = play(&world, scenario).await;
        assert_eq!(waits(&ended), ("ResponsesSwitchedOff", false), "{switch}");
    }
}

#[tokio::test]
async fn a_switch_that_is_turned_during_slow_reads_is_noticed_before_the_request() {
    let world = World::new();
    let mut reads = world.reads();
    let slow = reads
        .remove(0)
        .after(crate::switch::FRESH_FOR + Duration::from_millis(200));
    reads.push(slow);
    let turned = Call::get(SWITCH).gives(json!({"data": {"mode": "Audit"}}));
    let off = responded("Unknown", "ResponsesSwitchedOff");
    let scenario = rounds([vec![reads, vec![turned], off], events("ResponseDelayed")]);
    let (server, client) = ApiServer::playing(scenario);
    let (controller, _recovering) = world.controller(client, Config::default());
    let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(waits(&ended), ("ResponsesSwitchedOff", true));
    assert!(
        !controller.work().controls.ledger.contains("pod-uid"),
        "its place is for another"
    );
    server.finish();
}

fn budget() -> Call {
    evict().fails_with(
        429,
        json!({"status": "Failure", "reason": "TooManyRequests", "code": 429,
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": {"retryAfterSeconds": 10, "causes": [{"reason": "DisruptionBudget",
                "message": "The disruption budget web needs 2 healthy pods and has 2 currently"}]}}),
    )
}

#[tokio::test]
async fn a_budget_is_waited_for_until_the_persisted_deadline() {
    let world = World::new();
    let waiting = vec![write(json!({"status": {
        "conditions": [{"type": "Responded", "status": "Unknown", "reason": "WaitingForDisruptionBudget"}],
        "waiting": {"reason": "WaitingForDisruptionBudget"},
    }}))];
    let scenario = rounds([
        vec![world.reads(), vec![budget()], waiting],
        events("ResponseDelayed"),
    ]);
    let ended = play(&world, scenario).await;
    let Ok(Finished::Backoff {
        at_least,
        not_after,
        ..
    }) = ended
    else {
        panic!("{ended:?}")
    };
    assert_eq!(
        at_least,
        Some(SignedDuration::from_secs(10)),
        "Retry-After is honored"
    );
    assert!(not_after.is_some());
    // A new leader goes on with the deadline that the old one wrote, which is over.
    let over = incident(&json!({
        "conditions": [{"type": "Responded", "status": "Unknown", "reason": "WaitingForDisruptionBudget",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "waiting": {"reason": "WaitingForDisruptionBudget", "startTime": "2026-01-01T00:00:00.000000Z",
            "deadline": "2026-01-01T00:10:00.000000Z"},
    }));
    let given_up = responded("False", "EvictionDeadlineExceeded");
    let scenario = rounds([
        vec![world.reads(), vec![budget()], given_up],
        events("PolicyViolation"),
    ]);
    assert_eq!(
        play_incident(&world, over, scenario).await,
        Ok(Finished::Final)
    );
}

#[tokio::test]
async fn a_forbidden_eviction_is_told_apart_by_asking_for_the_permission() {
    const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let asks = json!({"spec": {"resourceAttributes": {"namespace": "shop", "verb": "create",
        "resource": "pods", "subresource": "eviction"}}});
    for (allowed, reason) in [(false, "PermissionMissing"), (true, "BlockedByWebhook")] {
        let world = World::new();
        let review = json!({"spec": {}, "status": {"allowed": allowed}});
        let scenario = rounds([
            vec![
                world.reads(),
                vec![evict().fails(403, "Forbidden", "no")],
                vec![Call::post(REVIEWS).with(asks.clone()).gives(review)],
                responded("Unknown", reason),
            ],
            events("ResponseDelayed"),
        ]);
        let ended = play(&world, scenario).await;
        assert_eq!(waits(&ended), (reason, true));
    }
}

#[tokio::test]
async fn a_webhook_that_answers_as_if_it_was_busy_is_waited_for_only_so_long() {
    let world = World::new();
    let said = "admission webhook \"deny.example.com\" denied the request: not on Sundays";
    let denied = || evict().fails(429, "TooManyRequests", said);
    let waiting = vec![write(json!({"status": {
        "conditions": [{"type": "Responded", "status": "Unknown", "reason": "BlockedByWebhook"}],
        "waiting": {"reason": "BlockedByWebhook"},
    }}))];
    let scenario = rounds([
        vec![world.reads(), vec![denied()], waiting],
        events("ResponseDelayed"),
    ]);
    let ended = play(&world, scenario).await;
    assert!(
        matches!(
            ended,
            Ok(Finished::Backoff {
                not_after: Some(_),
                ..
            })
        ),
        "{ended:?}"
    );
}

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
        // It was not done either, and nobody claims that Bailiff did it.
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
        // The deadline passed while nobody asked: it is requested once more.
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

/// A pod of 36,000 seconds that somebody else has deleted.
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

fn responded_and(status: &str, reason: &str, recovered: &str) -> Vec<Call> {
    vec![write(json!({"status": {"conditions": [
        {"type": "Responded", "status": status, "reason": reason},
        {"type": "Recovered", "status": recovered}]}}))]
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_rejected_for_good_is_not_written_forever() {
    let world = World::new();
    let invalid = || write(json!({})).fails(422, "Invalid", "status.workloadRef.kind: too long");
    let scenario = rounds([
        vec![world.reads(), vec![evict()], vec![invalid()]],
        events("EvictedByPolicy"),
    ]);
    let (server, client) = ApiServer::playing(scenario);
    let (controller, _recovering) = world.controller(client, Config::default());
    let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(ended, Ok(Finished::Removed));
    assert_eq!(controller.metrics.status_writes_rejected.get(), 1);
    server.finish();
}

/// Passes over the Incident until its slot ends with a result; so many that ended without.
async fn play_slots(rounds: Vec<Vec<Call>>) -> (Result<Finished, Stop>, usize, Arc<Controller>) {
    let world = World::new();
    let (server, client) = ApiServer::playing(rounds);
    let (controller, _recovering) = world.controller(client, Config::default());
    let mut brought = Some(incident(&Value::Null));
    let mut slots = 0;
    let ended = loop {
        let ended = pass(&controller, &key(), brought.take()).await;
        match ended {
            Err(Stop::Unwritten(_)) => slots += 1,
            ended => break ended,
        }
    };
    server.finish();
    (ended, slots, controller)
}

fn read_again() -> Vec<Call> {
    vec![Call::get(INCIDENT).gives(incident_json(&Value::Null))]
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_now_frees_the_slot_and_is_written_later() {
    let world = World::new();
    let begin = || vec![world.reads(), vec![evict()]];
    let away = |code| vec![write(json!({})).fails(code, "Any", "not now")];
    for twice in [
        vec![away(503), away(503)],
        vec![away(409), away(429)],
        vec![
            vec![write(json!({})).is_cut()],
            vec![write(json!({})).is_silent()],
        ],
    ] {
        let scenario = rounds([begin(), twice, vec![read_again()], the_end()]);
        let (ended, slots, controller) = play_slots(scenario).await;
        assert_eq!((ended, slots), (Ok(Finished::Removed), 1));
        assert!(controller.unwritten().all().is_empty());
    }
    // Whoever asks for time gets it.
    let busy = write(json!({})).fails_with(
        429,
        json!({"status": "Failure", "code": 429,
        "message": "too many requests", "details": {"retryAfterSeconds": 7}}),
    );
    let asked = Some(SignedDuration::from_secs(7));
    let ended = play(&world, rounds([begin(), vec![vec![busy]]])).await;
    assert_eq!(ended, Err(Stop::Unwritten(asked)));
    let want = Finished::Backoff {
        reason: "APIRequestFailed",
        at_least: asked,
        not_after: None,
    };
    assert_eq!(Finished::not_written(asked), want);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_denied_is_written_a_few_times_and_given_up() {
    let world = World::new();
    let webhook = "admission webhook \"deny.example.com\" denied the request: no";
    let called = "Internal error occurred: failed calling webhook \"deny.example.com\": timeout";
    for (code, message) in [(403, "no"), (429, webhook), (404, webhook), (500, called)] {
        let denied = || vec![write(json!({})).fails(code, "Any", message)];
        let mut scenario = vec![world.reads(), vec![evict()], denied()];
        for _ in 1..8 {
            scenario.extend([read_again(), denied()]);
        }
        scenario.extend(events("EvictedByPolicy"));
        let (ended, slots, controller) = play_slots(scenario).await;
        assert_eq!((ended, slots), (Ok(Finished::Removed), 7));
        assert_eq!(controller.metrics.status_writes_rejected.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_not_answered_holds_no_slot() {
    let world = World::new();
    let silent = || vec![Call::post(EVENTS).is_silent()];
    let (server, client) = ApiServer::playing(rounds([
        vec![world.reads(), vec![evict()], vec![evicted().remove(0)]],
        vec![silent(), silent()],
    ]));
    let (controller, _recovering) = world.controller(client, Config::default());
    let begun = tokio::time::Instant::now();
    let brought = Some(incident(&Value::Null));
    let ended = Box::pin(controller.reconcile_key(&key(), brought)).await;
    assert_eq!(
        (ended, begun.elapsed()),
        (Ok(Finished::Removed), Duration::ZERO)
    );
    controller.finish_events().await;
    assert_eq!(controller.metrics.event_failures.get(), 2);
    server.finish();
}

#[tokio::test]
async fn a_text_of_the_eviction_protection_exempts_nothing() {
    let world = World::new();
    let message = "pods \"web\" is forbidden: ValidatingAdmissionPolicy 'bailiff-eviction-protection' with binding 'bailiff-eviction-protection' denied request: exempt";
    let denied = evict().fails(422, "Invalid", message);
    let blocked = responded("Unknown", "BlockedByWebhook");
    let scenario = rounds([
        vec![world.reads(), vec![denied], blocked],
        events("ResponseDelayed"),
    ]);
    assert_eq!(
        waits(&play(&world, scenario).await),
        ("BlockedByWebhook", true)
    );
}

#[tokio::test]
async fn a_pod_that_is_released_from_its_workload_during_a_wait_is_removed_and_replaced_by_nothing()
{
    let world = World::new();
    let relabeled = world
        .clone()
        .with(|w| w.pod["metadata"]["labels"]["app"] = json!("mine"));
    // The first status of the wait names the workload.
    let off = world
        .clone()
        .with(|w| w.switch = json!({"data": {"mode": "Audit"}}));
    let workload =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"});
    let delayed = write(json!({"status": {"workloadRef": workload,
        "conditions": [{"type": "Responded", "status": "Unknown", "reason": "ResponsesSwitchedOff"}]}}));
    let scenario = rounds([vec![off.reads(), vec![delayed]], events("ResponseDelayed")]);
    let ended = play(&off, scenario).await;
    assert_eq!(waits(&ended), ("ResponsesSwitchedOff", false));
    let waiting = incident(&json!({"workloadRef": workload,
        "conditions": [{"type": "Responded", "status": "Unknown", "reason": "Cooldown",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "waiting": {"reason": "Cooldown", "startTime": "2026-01-01T00:00:00.000000Z"}}));
    let removed = vec![write(
        json!({"status": {"phase": "Unresolved", "workloadRef": workload,
        "conditions": [{"type": "Responded", "status": "True", "reason": "Evicted"},
            {"type": "Recovered", "status": "False", "reason": "NoReplacementExpected"}]}}),
    )];
    let scenario = rounds([
        vec![relabeled.reads(), vec![evict()], removed],
        events("EvictedByPolicy"),
    ]);
    let (server, client) = ApiServer::playing(scenario);
    let (controller, mut recovering) = relabeled.controller(client, Config::default());
    let ended = pass(&controller, &key(), Some(waiting)).await;
    assert_eq!(ended, Ok(Finished::Removed));
    server.finish();
    assert!(
        recovering.try_recv().is_err(),
        "nobody waits for a replacement"
    );
    assert!(controller.work().controls.ledger.contains("pod-uid"));
    // One that was released before the violation is nobody's.
    let unmanaged = vec![
        relabeled.reads(),
        responded("False", "Unmanaged"),
        events("PolicyViolation").remove(0),
    ];
    assert_eq!(play(&relabeled, unmanaged).await, Ok(Finished::Final));
}

#[tokio::test]
async fn two_pods_of_a_workload_wait_for_its_cooldown() {
    let world = World::new();
    let other = world
        .clone()
        .with(|w| w.pod["metadata"]["uid"] = json!("pod-2"));
    let mut second = incident_json(&Value::Null);
    second["metadata"]["uid"] = json!("inc-2");
    second["spec"]["pod"]["uid"] = json!("pod-2");
    let scenario = rounds([
        vec![world.reads(), vec![evict()]],
        the_end(),
        vec![other.reads(), responded("Unknown", "Cooldown")],
    ]);
    let (server, client) = ApiServer::playing(rounds([
        scenario,
        vec![vec![Call::post(EVENTS)], vec![Call::post(EVENTS)]],
    ]));
    let (controller, _recovering) = world.controller(client, Config::default());
    let first = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(first, Ok(Finished::Removed));
    let second: Incident = serde_json::from_value(second).unwrap();
    let of = Key::of(&second).unwrap();
    let ended = pass(&controller, &of, Some(second)).await;
    assert!(matches!(ended, Ok(Finished::Limited { .. })), "{ended:?}");
    server.finish();
}

#[tokio::test]
async fn a_binding_that_audits_says_what_enforcement_would_do() {
    let world = World::new().with(|w| w.bindings = vec![("a", binding("a", "Audit"))]);
    let audited = vec![write(json!({"status": {
        "phase": "Audited",
        "conditions": [{"type": "Responded", "status": "True", "reason": "AuditOnly"},
            {"type": "Recovered", "status": "True"}],
        "dryRunResponse": {"action": "Evict", "reason": "Evicted"},
    }}))];
    let scenario = rounds([vec![world.reads(), audited], events("PolicyViolation")]);
    assert_eq!(play(&world, scenario).await, Ok(Finished::Final));
}

#[tokio::test]
async fn a_binding_may_delete_where_the_chart_allows_it() {
    let world = World::new().with(|w| w.bindings = vec![("a", binding("a", "Delete"))]);
    let config = Config {
        allow_pod_deletion: true,
        ..Config::default()
    };
    let delete = Call::delete(POD)
        .with(json!({"gracePeriodSeconds": 30, "preconditions": {"uid": "pod-uid"}}))
        .gives(world.pod.clone());
    let deleted = responded_and("True", "Deleted", "Unknown");
    let scenario = rounds([
        vec![world.reads(), vec![delete], deleted],
        events("DeletedByPolicy"),
    ]);
    let (server, client) = ApiServer::playing(scenario);
    let (controller, _recovering) = world.controller(client, config);
    let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(ended, Ok(Finished::Removed));
    server.finish();
}
