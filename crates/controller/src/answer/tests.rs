//! Scenarios with a mock API server: which requests an answer makes, in which order.

use super::*;
use crate::recovery::Queue;
use crate::testing::{
    DEPLOYMENT, EVENTS, EVICTION, INCIDENT, POD, STATUS, World, binding, incident, incident_json,
};
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

fn controller(client: Client, config: Config) -> Controller {
    let stopping = CancellationToken::new();
    Controller::new(client, config, Metrics::default(), stopping)
}

/// Plays a scenario for an Incident that nobody has looked at.
async fn play(rounds: Vec<Vec<Call>>) -> Result<(), End> {
    let (server, client) = ApiServer::playing(rounds);
    let controller = controller(client, Config::default());
    let ended = controller.answer(incident(&Value::Null), true).await;
    server.finish();
    let workload =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"});
    let queue = Queue::of(&incident(&json!({ "workloadRef": workload }))).unwrap();
    let waiting = controller.counted().earlier(&queue, Timestamp::MAX, "");
    assert_eq!(waiting, 0, "who came to an end waits for nothing");
    ended
}

fn evict() -> Call {
    Call::post(EVICTION).with(json!({
        "metadata": {"name": "web-5d8f-x7k2p", "namespace": "shop"},
        "deleteOptions": {"preconditions": {"uid": "pod-uid"}},
    }))
}

/// The status is written with this condition `Responded`.
fn answered(status: &str, reason: &str) -> Vec<Call> {
    let written = json!({"status": {"conditions": [{"type": "Responded", "status": status, "reason": reason}]}});
    vec![
        Call::patch(STATUS)
            .with(written)
            .gives(incident_json(&Value::Null)),
    ]
}

/// The status is written after the pod was taken away.
fn evicted() -> Vec<Call> {
    let written = json!({"status": {
        "phase": "Recovering",
        "conditions": [
            {"type": "Responded", "status": "True", "reason": "Evicted"},
            {"type": "Recovered", "status": "Unknown", "reason": "WaitingForReplacement"},
        ],
        "response": {"action": "Evict", "bindingName": "a"},
        "workloadRef": {"kind": "Deployment", "name": "web", "uid": "web-uid"},
    }});
    vec![
        Call::patch(STATUS)
            .with(written)
            .gives(incident_json(&Value::Null)),
    ]
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

/// The Deployment makes no new pod, so the workload is not whole again.
fn not_replaced() -> Vec<Vec<Call>> {
    let written = json!({"status": {"conditions": [
        {"type": "Responded"}, {"type": "Recovered", "status": "False", "reason": "NoReplacementExpected"},
    ]}});
    vec![
        vec![Call::get(DEPLOYMENT).gives(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "uid": "web-uid"}, "spec": {"replicas": 0},
        }))],
        vec![
            Call::patch(STATUS)
                .with(written)
                .gives(incident_json(&Value::Null)),
        ],
    ]
}

fn read_again(status: &Value) -> Vec<Call> {
    vec![Call::get(INCIDENT).gives(incident_json(status))]
}

fn held(reason: &str) -> Value {
    json!({"conditions": [{"type": "Responded", "status": "Unknown", "reason": reason,
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
}

fn rounds(parts: impl IntoIterator<Item = Vec<Vec<Call>>>) -> Vec<Vec<Call>> {
    parts.into_iter().flatten().collect()
}

/// The end of every scenario in which the pod was taken away.
fn the_end() -> Vec<Vec<Call>> {
    rounds([vec![evicted()], events("EvictedByPolicy"), not_replaced()])
}

/// What is held for a reason is read again, and then nothing stands in the way.
fn evicted_after(reason: &str) -> Vec<Vec<Call>> {
    rounds([
        vec![
            read_again(&held(reason)),
            World::new().reads(),
            vec![evict()],
        ],
        the_end(),
    ])
}

#[tokio::test(start_paused = true)]
async fn a_fresh_incident_is_answered_after_one_round_of_reads() {
    play(rounds([
        vec![World::new().reads(), vec![evict()]],
        the_end(),
    ]))
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_pod_is_taken_away_by_its_uid_within_the_bindings_grace_period() {
    let options = json!({"gracePeriodSeconds": 5, "preconditions": {"uid": "pod-uid"}});
    let whole = json!({"deleteOptions": options});
    for (action, call) in [
        ("Evict", Call::post(EVICTION).with(whole)),
        ("Delete", Call::delete(POD).with(options)),
    ] {
        let mut asking = binding("a", action);
        asking["spec"]["gracePeriodSeconds"] = json!(5);
        let world = World::new().with(|w| w.bindings = vec![("a", asking)]);
        let (told, reason) = match action {
            "Evict" => ("Evicted", "EvictedByPolicy"),
            _ => ("Deleted", "DeletedByPolicy"),
        };
        let written = json!({"status": {
            "conditions": [{"type": "Responded", "reason": told}, {"type": "Recovered"}],
            "response": {"action": action, "bindingName": "a"},
        }});
        let write = Call::patch(STATUS).with(written);
        let write = write.gives(incident_json(&Value::Null));
        play(rounds([
            vec![world.reads(), vec![call], vec![write]],
            events(reason),
            not_replaced(),
        ]))
        .await
        .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_eviction_without_a_clear_answer_is_told_once_the_pod_is_seen_to_go() {
    let going = World::new()
        .with(|w| w.pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    let gone = World::new().with(|w| w.pod = Value::Null);
    let unclear = [
        evict().is_cut(),
        evict().fails(500, "InternalError", "etcd is away"),
        evict().fails(504, "Timeout", "request timed out"),
    ];
    for (call, after) in unclear.into_iter().zip([&going, &gone, &going]) {
        play(rounds([
            vec![World::new().reads(), vec![call]],
            vec![answered("Unknown", "APIRequestFailed")],
            events("ResponseDelayed"),
            vec![read_again(&held("APIRequestFailed")), after.reads()],
            the_end(),
        ]))
        .await
        .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_a_pod_that_another_evicted_says_when_and_claims_nothing() {
    let condition = |reason: &str| {
        json!([{"type": "Ready", "status": "True", "reason": "EvictionByEvictionAPI"},
            {"type": "DisruptionTarget", "status": "True", "reason": reason,
                "lastTransitionTime": "2026-01-01T00:00:01Z"}])
    };
    for (reason, want) in [
        (
            "EvictionByEvictionAPI",
            "the pod was already ending: the Eviction API was asked to take it away at 2026-01-01T00:00:01Z, and does not keep by whom",
        ),
        (
            "PreemptionByScheduler",
            "the pod was already ending or had ended",
        ),
    ] {
        let evicted = World::new().with(|w| {
            w.pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:31Z");
            w.pod["status"]["conditions"] = condition(reason);
        });
        let written = json!({"status": {"phase": "Resolved", "conditions": [
            {"type": "Responded", "status": "True", "reason": "AlreadyTerminating", "message": want},
            {"type": "Recovered", "status": "True", "reason": "NothingToReplace"},
        ]}});
        let taken = Call::patch(STATUS).with(written);
        let taken = vec![taken.gives(incident_json(&Value::Null))];
        play(vec![evicted.reads(), taken]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_was_not_done_is_asked_for_again() {
    play(rounds([
        vec![World::new().reads(), vec![evict().is_cut()]],
        vec![answered("Unknown", "APIRequestFailed")],
        events("ResponseDelayed"),
        // Its own place of before does not hold it back.
        evicted_after("APIRequestFailed"),
    ]))
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_done_counts_for_the_cooldown() {
    let (server, client) = ApiServer::playing(rounds([
        vec![World::new().reads(), vec![evict().is_cut()]],
        vec![answered("Unknown", "APIRequestFailed")],
        events("ResponseDelayed"),
    ]));
    let controller = controller(client, Config::default());
    let answering = controller.answer(incident(&Value::Null), true);
    assert!(
        tokio::time::timeout(Duration::from_millis(900), answering)
            .await
            .is_err()
    );
    let history = controller.ledger().history(Some("web-uid"), &["a"]);
    assert!(history.last_of_workload.is_some());
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_looked_into_and_closes_nothing() {
    let conflict = || evict().fails(409, "Conflict", "the object has been modified");
    // The same pod is there still: it is evicted.
    play(rounds([
        vec![World::new().reads(), vec![conflict()]],
        vec![
            read_again(&Value::Null),
            World::new().reads(),
            vec![evict()],
        ],
        the_end(),
    ]))
    .await
    .unwrap();
    // Another pod has its name.
    let recreated = World::new().with(|w| w.pod["metadata"]["uid"] = json!("other"));
    play(rounds([
        vec![World::new().reads(), vec![conflict()]],
        vec![read_again(&Value::Null), recreated.reads()],
        vec![
            Call::patch(STATUS)
                .with(json!({"status": {"conditions": [
                    {"type": "Responded", "status": "True", "reason": "PodNotFound"},
                    {"type": "Recovered", "reason": "NothingToReplace"},
                ]}}))
                .gives(incident_json(&Value::Null)),
        ]
        .into_iter()
        .map(|call| vec![call])
        .collect(),
    ]))
    .await
    .unwrap();
}

/// A budget that allows no disruption.
fn blocked() -> Call {
    evict().fails_with(
        429,
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 429,
            "reason": "TooManyRequests", "message": "Cannot evict pod",
            "details": {"causes": [{"reason": "DisruptionBudget",
                "message": "The disruption budget web needs 2 healthy pods"}]}}),
    )
}

fn waiting_for_a_budget() -> Vec<Vec<Call>> {
    rounds([
        vec![World::new().reads(), vec![blocked()]],
        vec![answered("Unknown", "WaitingForDisruptionBudget")],
        events("ResponseDelayed"),
    ])
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_is_deleted_while_it_waits_is_not_answered() {
    let gone = vec![Call::get(INCIDENT).is_missing()];
    let ended = play(rounds([waiting_for_a_budget(), vec![gone]])).await;
    assert_eq!(ended, Err(End::Gone));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_reads_the_series_again() {
    let mut now = held("WaitingForDisruptionBudget");
    now["series"] = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z",
        "policyGeneration": 2, "bindingRefs": [{"name": "b", "uid": "b-uid"}]});
    let changed = World::new().with(|w| {
        w.policy["metadata"]["generation"] = json!(2);
        w.bindings = vec![("b", binding("b", "Audit"))];
    });
    let written = json!({"status": {
        "conditions": [{"type": "Responded", "status": "True", "reason": "AuditOnly"}, {}],
        "dryRunResponse": {"action": "Evict", "reason": "Evicted"},
    }});
    let audited = vec![
        Call::patch(STATUS)
            .with(written)
            .gives(incident_json(&Value::Null)),
    ];
    play(rounds([
        waiting_for_a_budget(),
        vec![read_again(&now), changed.reads(), audited],
        events("PolicyViolation"),
    ]))
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_the_protection_to_be_back() {
    let upgrading = World::new().with(|w| w.protection = Value::Null);
    play(rounds([
        vec![
            upgrading.reads(),
            answered("Unknown", "IncidentsNotProtected"),
        ],
        events("ResponseDelayed"),
        evicted_after("IncidentsNotProtected"),
    ]))
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn that_a_wait_is_given_up_is_told_though_its_reason_is_the_same() {
    let upgrading = World::new().with(|w| w.protection = Value::Null);
    let (server, client) = ApiServer::playing(rounds([
        vec![
            upgrading.reads(),
            answered("Unknown", "IncidentsNotProtected"),
        ],
        events("ResponseDelayed"),
        vec![
            read_again(&held("IncidentsNotProtected")),
            upgrading.reads(),
            answered("False", "IncidentsNotProtected"),
        ],
        events("PolicyViolation"),
    ]));
    let config = Config {
        protection_timeout: Duration::from_secs(1),
        ..Config::default()
    };
    let controller = controller(client, config);
    controller
        .answer(incident(&Value::Null), true)
        .await
        .unwrap();
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn without_protection_it_ends_after_the_timeout() {
    let upgrading = World::new().with(|w| w.protection = Value::Null);
    let (server, client) = ApiServer::playing(rounds([
        vec![
            upgrading.reads(),
            answered("False", "IncidentsNotProtected"),
        ],
        events("PolicyViolation"),
    ]));
    let config = Config {
        protection_timeout: Duration::ZERO,
        ..Config::default()
    };
    let answering = controller(client, config);
    answering
        .answer(incident(&Value::Null), true)
        .await
        .unwrap();
    server.finish();
}

/// Plays a scenario, and asks the controller to stop after a time.
async fn stopped(after: Duration, rounds: Vec<Vec<Call>>) -> Result<(), End> {
    let (server, client) = ApiServer::playing(rounds);
    let controller = controller(client, Config::default());
    let stopping = async {
        tokio::time::sleep(after).await;
        controller.stopping.cancel();
    };
    let (ended, ()) = tokio::join!(controller.answer(incident(&Value::Null), true), stopping);
    let history = controller.ledger().history(Some("web-uid"), &["a"]);
    server.finish();
    if ended == Err(End::Stopping) && after == Duration::from_secs(1) {
        assert_eq!(history.last_of_workload, None, "nothing was asked for");
    }
    ended
}

#[tokio::test(start_paused = true)]
async fn who_no_longer_leads_begins_nothing_and_tells_what_was_done() {
    let slow = Duration::from_secs(3);
    // While it reads: nothing is evicted.
    let mut reads = World::new().reads();
    let pod = reads.remove(0).after(slow);
    reads.push(pod);
    let ended = stopped(Duration::from_secs(1), vec![reads]).await;
    assert_eq!(ended, Err(End::Stopping));

    // While the API server evicts: that is told before the end.
    let ended = stopped(
        Duration::from_secs(2),
        rounds([
            vec![World::new().reads(), vec![evict().after(slow)]],
            vec![evicted()],
            events("EvictedByPolicy"),
        ]),
    )
    .await;
    assert_eq!(ended, Err(End::Stopping));

    // While nobody knows whether it was done: it is looked up and told.
    let going = World::new()
        .with(|w| w.pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    let ended = stopped(
        Duration::from_millis(500),
        rounds([
            vec![World::new().reads(), vec![evict().is_cut()]],
            vec![answered("Unknown", "APIRequestFailed")],
            events("ResponseDelayed"),
            vec![going.reads(), evicted()],
            events("EvictedByPolicy"),
        ]),
    )
    .await;
    assert_eq!(ended, Err(End::Stopping));

    // The same while the Incident can't be read either: the pause is another one.
    let unread = Call::get(INCIDENT).fails(500, "InternalError", "etcd is away");
    let ended = stopped(
        Duration::from_millis(1500),
        rounds([
            vec![World::new().reads(), vec![evict().is_cut()]],
            vec![answered("Unknown", "APIRequestFailed")],
            events("ResponseDelayed"),
            vec![vec![unread], going.reads(), evicted()],
            events("EvictedByPolicy"),
        ]),
    )
    .await;
    assert_eq!(ended, Err(End::Stopping));

    // While it waits: it ends at once.
    let ended = stopped(Duration::from_millis(500), waiting_for_a_budget()).await;
    assert_eq!(ended, Err(End::Stopping));
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_until_it_is_taken() {
    let refused = vec![Call::patch(STATUS).fails(500, "InternalError", "etcd is away")];
    play(rounds([
        vec![World::new().reads(), vec![evict()], refused],
        the_end(),
    ]))
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_holds_nothing_up() {
    let refused = || vec![Call::post(EVENTS).fails(403, "Forbidden", "no")];
    let (server, client) = ApiServer::playing(rounds([
        vec![World::new().reads(), vec![evict()], evicted()],
        vec![refused(), refused()],
        not_replaced(),
    ]));
    let controller = controller(client, Config::default());
    controller
        .answer(incident(&Value::Null), true)
        .await
        .unwrap();
    assert_eq!(controller.metrics.event_failures.get(), 2);
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_is_looked_at_again_and_settled_makes_no_request_more() {
    let settled = json!({"conditions": [{"type": "Responded", "status": "True", "reason": "AuditOnly",
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let (server, client) = ApiServer::playing([read_again(&settled)]);
    let controller = controller(client, Config::default());
    let key = Key::of(&incident(&Value::Null)).unwrap();
    controller.look(&key).await.unwrap();
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_waited_for_its_turn_is_read_again() {
    let gone = vec![Call::get(INCIDENT).is_missing()];
    let (server, client) = ApiServer::playing([gone]);
    let controller = controller(client, Config::default());
    let lock = controller.pod_lock("pod-uid");
    let other = lock.lock().await;
    let others_turn = async {
        tokio::time::sleep(2 * FRESH_FOR).await;
        drop(other);
    };
    let answering = controller.answer(incident(&Value::Null), true);
    let (ended, ()) = tokio::join!(answering, others_turn);
    assert_eq!(ended, Err(End::Gone));
    server.finish();
}
