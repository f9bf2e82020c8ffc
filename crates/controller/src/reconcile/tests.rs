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

mod audit;
mod remembered;
mod unanswered;
mod writes;

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

fn responded_and(status: &str, reason: &str, recovered: &str) -> Vec<Call> {
    vec![write(json!({"status": {"conditions": [
        {"type": "Responded", "status": status, "reason": reason},
        {"type": "Recovered", "status": recovered}]}}))]
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
    let job = Job {
        key: key.clone(),
        fresh: brought.is_some(),
    };
    let ended = Box::pin(controller.reconcile_job(&job, brought)).await;
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
    assert!(recovering.try_recv().is_err(), "no replacement is awaited");
    assert!(controller.work().controls.ledger.contains("pod-uid"));
    // One that was released before the violation belongs to no workload.
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
