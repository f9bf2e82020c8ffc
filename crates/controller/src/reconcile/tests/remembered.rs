//! Incidents that wait for a limit, of a workload whose owners were read a moment ago.

use super::*;
use crate::testing::SET;
use bailiff_kube::watch::Event;
use bailiff_response::{
    Claim, Limit, Outcome, WaitReason, WorkloadClaim, WorkloadKey, apply_outcome,
};

/// As many Incidents, each of which would read everything.
const INCIDENTS: usize = 50;

fn workload() -> bailiff_api::WorkloadReference {
    let workload =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"});
    serde_json::from_value(workload).unwrap()
}

/// An earlier pod of the workload was removed just now.
fn cool_down(controller: &Controller) {
    let now = Timestamp::now();
    let claim = Claim {
        workload: Some(WorkloadClaim {
            key: WorkloadKey::of("shop", &workload()),
            cooldown: SignedDuration::from_mins(1),
        }),
        binding: "a".to_owned(),
        binding_per_minute: 10,
        namespace: "shop".to_owned(),
    };
    let mut work = controller.work();
    work.controls.ledger.reserve("earlier-pod", &claim, now);
    work.controls.ledger.confirm("earlier-pod", now);
}

/// An Incident that waits for the cooldown period already, so that nothing is left to report.
fn waiting(number: usize) -> Incident {
    let mut incident = incident(&Value::Null);
    incident.metadata.uid = Some(format!("inc-{number}"));
    let verified = Verified {
        workload: Some(workload()),
        started: None,
    };
    let outcome = Outcome::waiting(WaitReason::Cooldown);
    let status = apply_outcome(&incident, &verified, &outcome, Timestamp::now());
    incident.status = Some(status);
    incident
}

/// What is read where an owner is remembered.
fn few_reads(world: &World) -> Vec<Call> {
    vec![
        Call::get(POD).gives(world.pod.clone()),
        Call::get(SWITCH).gives(world.switch.clone()),
    ]
}

fn waits_for_cooldown(ended: &Result<Finished, Stop>) -> bool {
    matches!(
        ended,
        Ok(Finished::Limited {
            limit: Limit::Workload(_),
            ..
        })
    )
}

/// A controller whose memory has the owner of the pod, and what comes after that is played.
async fn remembering(world: &World, scenario: Vec<Vec<Call>>) -> (ApiServer, Arc<Controller>) {
    let (server, client) = ApiServer::playing(rounds([vec![world.reads()], scenario]));
    let (controller, _recovering) = world.controller(client, Config::default());
    cool_down(&controller);
    let ended = pass(&controller, &key(), Some(waiting(0))).await;
    assert!(waits_for_cooldown(&ended), "{ended:?}");
    (server, controller)
}

#[tokio::test]
async fn incidents_that_wait_with_their_workload_share_the_reads_of_its_owners() {
    let world = World::new();
    let shared = (1..INCIDENTS).map(|_| few_reads(&world)).collect();
    let (server, controller) = remembering(&world, shared).await;
    for number in 1..INCIDENTS {
        let ended = pass(&controller, &key(), Some(waiting(number))).await;
        assert!(waits_for_cooldown(&ended), "{number}: {ended:?}");
    }
    server.finish();
    let requests = world.reads().len() + (INCIDENTS - 1) * few_reads(&world).len();
    assert_eq!((requests, INCIDENTS * world.reads().len()), (107, 450));
}

#[tokio::test]
async fn a_new_incident_has_the_status_and_events_of_one_that_read_everything() {
    let world = World::new();
    let delayed = write(json!({"status": {"phase": "Waiting",
        "workloadRef": {"kind": "Deployment", "name": "web", "uid": "web-uid"},
        "conditions": [{"type": "Responded", "status": "Unknown", "reason": "Cooldown"}],
        "waiting": {"reason": "Cooldown"}}}));
    let scenario = rounds([
        vec![few_reads(&world), vec![delayed]],
        events("ResponseDelayed"),
    ]);
    let (server, controller) = remembering(&world, scenario).await;
    let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert!(waits_for_cooldown(&ended), "{ended:?}");
    server.finish();
}

#[tokio::test]
async fn nothing_is_removed_before_everything_is_read() {
    let world = World::new();
    let other = world
        .clone()
        .with(|w| w.pod["metadata"]["uid"] = json!("pod-2"));
    let removed = rounds([
        vec![few_reads(&world), world.reads(), vec![evict()]],
        the_end(),
        // The workload did not wait, so it is no longer expected to.
        vec![other.reads()],
    ]);
    let (server, controller) = remembering(&world, removed).await;
    controller.work().controls.ledger.release("earlier-pod");
    let ended = pass(&controller, &key(), Some(waiting(1))).await;
    assert_eq!(ended, Ok(Finished::Removed));
    let mut second = waiting(2);
    second.spec.pod.uid = "pod-2".to_owned();
    let ended = pass(&controller, &key(), Some(second)).await;
    assert!(waits_for_cooldown(&ended), "{ended:?}");
    server.finish();
}

#[tokio::test]
async fn a_pod_that_is_not_of_the_remembered_owner_is_read_with_its_owners() {
    let world = World::new();
    let other_owner = json!([crate::testing::owner("ReplicaSet", "web-5d8f", "other-uid")]);
    let read_again = vec![Call::get(SET).is_missing()];
    for (changed, owners) in [
        (
            world
                .clone()
                .with(|w| w.pod["metadata"]["ownerReferences"] = other_owner),
            vec![read_again],
        ),
        (
            world
                .clone()
                .with(|w| w.pod["metadata"]["labels"]["app"] = json!("mine")),
            vec![],
        ),
        (
            world
                .clone()
                .with(|w| w.pod["metadata"]["ownerReferences"] = json!([])),
            vec![],
        ),
    ] {
        let scenario = rounds([
            vec![few_reads(&changed), changed.reads()],
            owners,
            vec![responded("False", "Unmanaged")],
            events("PolicyViolation").drain(..1).collect(),
        ]);
        // The pod was as it is in this world when its owner was read.
        let (server, controller) = remembering(&world, scenario).await;
        let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
        assert_eq!(ended, Ok(Finished::Final), "{:?}", changed.pod);
        server.finish();
    }
}

#[tokio::test]
async fn a_switch_that_is_off_and_rules_that_are_not_known_are_read() {
    let world = World::new();
    let off = world
        .clone()
        .with(|w| w.switch = json!({"data": {"mode": "Audit"}}));
    let switched_off = responded("Unknown", "ResponsesSwitchedOff");
    let scenario = rounds([
        vec![few_reads(&off), off.reads(), switched_off],
        events("ResponseDelayed"),
    ]);
    let (server, controller) = remembering(&world, scenario).await;
    let ended = pass(&controller, &key(), Some(waiting(1))).await;
    assert_eq!(waits(&ended), ("ResponsesSwitchedOff", false));
    server.finish();

    let unknown = world
        .clone()
        .with(|w| w.bindings = vec![("a", Value::Null)]);
    let changed = responded("False", "PolicyChanged");
    let scenario = rounds([
        vec![few_reads(&unknown), unknown.reads(), changed],
        events("PolicyViolation"),
    ]);
    let (server, controller) = remembering(&world, scenario).await;
    let binding = bailiff_api::RuntimePolicyBinding::clone(
        controller.cache.rules().bindings.get("a").unwrap(),
    );
    let deleted = Event::Delete(Box::new(binding.metadata));
    controller.cache.rules().bindings.apply(deleted);
    let ended = pass(&controller, &key(), Some(waiting(1))).await;
    assert_eq!(ended, Ok(Finished::Final));
    server.finish();
}

#[tokio::test]
async fn an_incident_whose_turn_has_come_reads_everything() {
    let world = World::new();
    let again = json!(waiting(1));
    let scenario = vec![vec![Call::get(INCIDENT).gives(again)], world.reads()];
    let (server, controller) = remembering(&world, scenario).await;
    let key = Key::of(&waiting(1)).unwrap();
    let ended = pass(&controller, &key, None).await;
    assert!(waits_for_cooldown(&ended), "{ended:?}");
    server.finish();
}
