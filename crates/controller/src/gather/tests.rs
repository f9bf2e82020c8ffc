//! Facts from what the API server and the cache say.

use super::*;
use crate::testing::{World, binding, incident, incident_json, owner};
use bailiff_api::ResponseAction;
use bailiff_response::Protection;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

async fn facts_of(world: &World, incident: &Incident, reads: Vec<Call>) -> Facts {
    facts_after(world, incident, vec![reads]).await
}

async fn facts_after(world: &World, incident: &Incident, rounds: Vec<Vec<Call>>) -> Facts {
    let (server, client) = ApiServer::playing(rounds);
    let (cache, config) = (world.cache(), Config::default());
    let gathered = gather(&client, &cache, &config, incident);
    let facts = Box::pin(gathered).await.facts;
    server.finish();
    facts
}

async fn facts(world: &World) -> Facts {
    facts_of(world, &incident(&Value::Null), world.reads()).await
}

#[tokio::test]
async fn everything_is_read_in_one_round() {
    let facts = facts(&World::new()).await;
    let Owner::Workload(owner) = &facts.owner else {
        panic!("{:?}", facts.owner)
    };
    assert_eq!(
        (owner.kind.as_str(), owner.name.as_str()),
        ("Deployment", "web")
    );
    assert!(matches!(&facts.pod, Lookup::Found(pod) if pod.uid == "pod-uid"));
    assert!(matches!(&facts.policy, Lookup::Found(policy) if policy.matches));
    assert!(matches!(&facts.bindings, Lookup::Found(all) if all.len() == 1 && all[0].matches));
    assert_eq!(facts.protection, Protection::Unmodified);
}

#[tokio::test]
async fn managed_fields_that_cannot_be_decoded_hide_no_object() {
    let world = World::new();
    let mut namespace = world.namespace.clone();
    namespace["metadata"]["managedFields"] =
        json!([{"manager": "m", "time": "10000-01-01T00:00:00Z"}]);
    let mut reads = world.reads();
    let read = reads.remove(3).gives(namespace);
    reads.push(read);
    let facts = facts_of(&world, &incident(&Value::Null), reads).await;
    assert!(
        matches!(&facts.namespace, Lookup::Found(_)),
        "{:?}",
        facts.namespace
    );
}

#[tokio::test]
async fn what_is_no_name_is_asked_for_nowhere() {
    let mut forged = incident(&Value::Null);
    let spec = &mut forged.spec;
    spec.pod.name = "../../other/pods/web-5d8f-x7k2p".to_owned();
    spec.policy_ref.name = "no-shells?dryRun=All".to_owned();
    spec.binding_refs[0].name = "a/status".to_owned();
    let mut reads = World::new().reads();
    let reads = [7, 6, 5, 3].map(|index| reads.remove(index)).to_vec();
    let facts = facts_of(&World::new(), &forged, reads).await;
    assert_eq!(facts.pod, Lookup::NotFound);
    assert_eq!(facts.policy, Lookup::NotFound);
    assert_eq!(facts.bindings, Lookup::Found(Vec::new()));
}

#[tokio::test]
async fn what_can_not_be_read_is_not_known_and_what_is_missing_is_gone() {
    let world = World::new();
    for (index, what) in [
        (0, "cannot read the pod: etcd is away"),
        (3, "cannot read Namespace shop: etcd is away"),
        (4, "cannot read RuntimePolicy no-shells: etcd is away"),
        (
            5,
            "cannot read ValidatingAdmissionPolicy bailiff-incident-protection: etcd is away",
        ),
        (
            6,
            "cannot read ValidatingAdmissionPolicyBinding bailiff-incident-protection: etcd is away",
        ),
        (
            7,
            "cannot read ConfigMap bailiff-system/bailiff-response: etcd is away",
        ),
        (8, "cannot read RuntimePolicyBinding a: etcd is away"),
    ] {
        let mut reads = world.reads();
        let failing = reads
            .remove(index)
            .fails(500, "InternalError", "etcd is away");
        reads.push(failing);
        let facts = facts_of(&world, &incident(&Value::Null), reads).await;
        let said = format!("{facts:?}");
        assert!(
            ["Failed", "Unknown", "Unavailable"]
                .iter()
                .any(|kind| said.contains(&format!("{kind}({what:?})"))),
            "{what}: {said}"
        );
    }
    let none = World::new().with(|w| {
        (w.pod, w.namespace, w.policy) = (Value::Null, Value::Null, Value::Null);
        w.protection = Value::Null;
        w.bindings = vec![("a", Value::Null)];
    });
    let facts = facts(&none).await;
    assert_eq!(facts.pod, Lookup::NotFound);
    assert_eq!(facts.namespace, Lookup::NotFound);
    assert_eq!(facts.policy, Lookup::NotFound);
    assert_eq!(facts.bindings, Lookup::Found(vec![]));
    assert_eq!(facts.protection, Protection::Missing);
}

#[tokio::test]
async fn the_bindings_of_the_last_verdict_are_read() {
    let series = &json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z",
        "policyGeneration": 1,
        "bindingRefs": [{"name": "a", "uid": "a-uid"}, {"name": "b", "uid": "b-uid"}]}});
    let world = World::new().with(|w| w.bindings.push(("b", binding("b", "Evict"))));
    let facts = facts_of(&world, &incident(series), world.reads()).await;
    let Lookup::Found(bindings) = facts.bindings else {
        panic!("they were read")
    };
    let names: Vec<_> = bindings.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn a_binding_that_cannot_be_read_could_be_the_one_that_removes() {
    let series = &json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z",
        "policyGeneration": 1,
        "bindingRefs": [{"name": "a", "uid": "a-uid"}, {"name": "b", "uid": "b-uid"}]}});
    for (action, is_decided) in [("Audit", false), ("Evict", true)] {
        let world = World::new().with(|w| {
            w.bindings = vec![("a", binding("a", action)), ("b", binding("b", "Evict"))];
        });
        let mut reads = world.reads();
        let last = reads.pop().unwrap();
        reads.push(last.fails(500, "InternalError", "etcd is away"));
        let facts = facts_of(&world, &incident(series), reads).await;
        let why = "cannot read RuntimePolicyBinding b: etcd is away";
        match facts.bindings {
            Lookup::Found(found) => assert!(is_decided && found.len() == 1, "{action}"),
            failed => {
                assert_eq!(failed, Lookup::Failed(why.to_owned()));
                assert!(!is_decided, "{action}");
            }
        }
    }
}

#[tokio::test]
async fn the_selectors_of_policy_and_binding_are_both_asked_about_pod_and_namespace() {
    let selects = |key: &str, value: &str| json!({"matchLabels": {key: value}});
    for (field, selector, want) in [
        ("namespaceSelector", selects("team", "shop"), true),
        ("namespaceSelector", selects("team", "other"), false),
        ("objectSelector", selects("app", "web"), true),
        ("objectSelector", selects("app", "db"), false),
        (
            "objectSelector",
            json!({"matchExpressions": [{"key": "app", "operator": "Near"}]}),
            false,
        ),
    ] {
        let world = World::new().with(|w| {
            w.policy["spec"]["matchConstraints"] = json!({field: selector});
            w.bindings[0].1["spec"]["matchResources"] = json!({field: selector});
        });
        let facts = facts(&world).await;
        assert!(
            matches!(&facts.policy, Lookup::Found(p) if p.matches == want),
            "{selector}"
        );
        assert!(
            matches!(&facts.bindings, Lookup::Found(b) if b[0].matches == want),
            "{selector}"
        );
    }
}

#[tokio::test]
async fn labels_that_an_incident_had_no_room_for_are_read_from_the_pod() {
    let world = World::new().with(|w| {
        w.pod["metadata"]["labels"]["zone"] = json!("x");
        w.pod["metadata"]["labels"]["app"] = json!("changed-since");
        w.bindings[0].1["spec"]["matchResources"] =
            json!({"objectSelector": {"matchLabels": {"zone": "x", "app": "web"}}});
    });
    let matches = |facts: &Facts| matches!(&facts.bindings, Lookup::Found(b) if b[0].matches);
    // Two labels are all that there were: the later one does not count.
    assert!(!matches(&facts(&world).await));
    let mut full = incident_json(&Value::Null);
    for number in 0..30 {
        full["spec"]["pod"]["labels"][format!("a{number}")] = json!("x");
    }
    let full: Incident = serde_json::from_value(full).unwrap();
    assert!(matches(&facts_of(&world, &full, world.reads()).await));
    // One that was added since takes no response away, also if the selector asks for more.
    let relabeled = world.clone().with(|w| {
        w.pod["metadata"]["labels"]["skip"] = json!("yes");
        w.bindings[0].1["spec"]["matchResources"]["objectSelector"]["matchExpressions"] =
            json!([{"key": "skip", "operator": "DoesNotExist"}]);
    });
    assert!(matches(
        &facts_of(&relabeled, &full, relabeled.reads()).await
    ));
    // Another pod of the name has nothing to say.
    let other = world
        .clone()
        .with(|w| w.pod["metadata"]["uid"] = json!("other"));
    assert!(!matches(&facts_of(&other, &full, other.reads()).await));
}

#[tokio::test]
async fn a_static_pod_has_no_owner_that_makes_it_again() {
    let world = World::new().with(|w| {
        w.pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        w.pod["metadata"]["ownerReferences"] = json!([owner("Node", "node-1", "n")]);
    });
    assert_eq!(facts(&world).await.owner, Owner::None);
}

#[tokio::test(start_paused = true)]
async fn what_the_cache_has_in_another_version_is_read_again_and_never_believed() {
    let world = World::new();
    let newer = world
        .clone()
        .with(|w| w.policy["metadata"]["resourceVersion"] = json!("99"));
    // It has come meanwhile.
    let rounds = vec![newer.reads(), world.reads()];
    let facts = facts_after(&world, &incident(&Value::Null), rounds).await;
    assert!(matches!(facts.policy, Lookup::Found(_)));
    // It does not come.
    let rounds = (0..=BEHIND.len()).map(|_| newer.reads()).collect();
    let facts = facts_after(&world, &incident(&Value::Null), rounds).await;
    let why = "the watch has not brought the current RuntimePolicy no-shells yet";
    assert_eq!(facts.policy, Lookup::Failed(why.to_owned()));
}

#[tokio::test]
async fn a_pod_with_a_status_that_cannot_be_decoded_is_as_another() {
    let world = World::new().with(|w| {
        w.pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True",
            "lastTransitionTime": "10000-01-01T00:00:00Z"}]);
    });
    let facts = facts(&world).await;
    assert!(matches!(facts.pod, Lookup::Found(pod) if pod.uid == "pod-uid"));
}

#[tokio::test]
async fn an_incident_names_a_pod_of_another_namespace_only_from_bailiffs_own() {
    let mut elsewhere = incident_json(&Value::Null);
    elsewhere["metadata"]["namespace"] = json!("bailiff-system");
    let fallback: Incident = serde_json::from_value(elsewhere.clone()).unwrap();
    let world = World::new();
    let facts = facts_of(&world, &fallback, world.reads()).await;
    assert!(matches!(facts.pod, Lookup::Found(_)));
    elsewhere["metadata"]["namespace"] = json!("other");
    let forged: Incident = serde_json::from_value(elsewhere).unwrap();
    let mut reads = world.reads();
    // Neither pod nor owners nor namespace are asked for.
    reads.drain(0..4);
    let facts = facts_of(&world, &forged, reads).await;
    assert_eq!(
        (facts.pod, facts.namespace),
        (Lookup::NotFound, Lookup::NotFound)
    );
}

#[tokio::test]
async fn a_binding_that_may_not_delete_only_audits() {
    let world = World::new().with(|w| w.bindings = vec![("a", binding("a", "Delete"))]);
    let facts = facts(&world).await;
    assert!(matches!(&facts.bindings, Lookup::Found(b) if b[0].actions == [ResponseAction::Audit]));
}
