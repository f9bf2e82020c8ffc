//! When all pods are listed.

use super::*;
use crate::testing::World;
use bailiff_kube::serve::Health;
use bailiff_kube::watch::Event;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

const RUNNING_PODS: &str =
    "/api/v1/pods?&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";

fn pod(uid: &str, node: &Value) -> Value {
    json!({"metadata": {"name": uid, "uid": uid, "namespace": "shop", "labels": {"app": "web", "tier": "a"}},
        "spec": {"nodeName": node}})
}

fn list(version: &str, items: &[Value]) -> Vec<Call> {
    let list = json!({"metadata": {"resourceVersion": "5"}, "items": items});
    vec![Call::get(&format!("{RUNNING_PODS}&resourceVersion={version}")).gives(list)]
}

fn watch(version: &str) -> Call {
    let fields = "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
    Call::get(&format!(
        "/api/v1/pods?&watch=true&timeoutSeconds=290&{fields}&allowWatchBookmarks=true&resourceVersion={version}"
    ))
}

fn open(version: &str) -> Vec<Call> {
    vec![watch(version).is_silent()]
}

fn brings(version: &str, type_: &str, next: &str, mut object: Value) -> Vec<Call> {
    object["metadata"]["resourceVersion"] = json!(next);
    vec![watch(version).gives(json!({"type": type_, "object": object}))]
}

/// Follows pods for so long, with changes of the cache in between.
async fn followed(
    cache: &Cache,
    rounds: Vec<Vec<Call>>,
    meanwhile: impl Future<Output = ()>,
) -> Arc<Pods> {
    let (server, client) = ApiServer::playing(rounds);
    let pods = Arc::new(Pods::default());
    let heartbeat = Health::default().register_loop("pods", Duration::from_mins(1));
    let following = follow(client, cache.clone(), Arc::clone(&pods), heartbeat);
    tokio::select! {
        () = following => panic!("it ended"),
        () = meanwhile => {}
    }
    server.finish();
    pods
}

fn count(pods: &Pods) -> (usize, i32) {
    let matching = pods.matching(&std::collections::BTreeMap::new(), &[], &BTreeSet::new());
    let matching = matching.unwrap();
    (matching.pods, matching.coverage.matching_nodes)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn pods_are_listed_once_and_then_watched() {
    let node = json!("node-1");
    let rounds = vec![
        list("0", &[pod("a", &node), pod("b", &node)]),
        brings("5", "ADDED", "6", pod("c", &json!("node-2"))),
        brings("6", "MODIFIED", "7", pod("c", &json!("node-3"))),
        brings("7", "DELETED", "8", pod("a", &node)),
        open("8"),
    ];
    let cache = World::new().cache();
    let pods = followed(&cache, rounds, tokio::time::sleep(secs(3600))).await;
    assert_eq!(count(&pods), (2, 2));
    assert_eq!(*pods.lists().borrow(), 1);
}

fn policy(name: &str, label: &str) -> bailiff_api::RuntimePolicy {
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": name, "generation": 1},
        "spec": {"validations": [{"expression": "true"}],
            "matchConstraints": {"objectSelector": {"matchLabels": {label: "a"}}}},
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_new_label_is_listed_and_one_that_is_known_is_not() {
    let one = [pod("a", &json!("node-1"))];
    let rounds = vec![list("0", &one), open("5"), list("5", &one), open("5")];
    let cache = World::new().cache();
    let changes = async {
        tokio::time::sleep(secs(60)).await;
        for (name, label) in [("one", "tier"), ("two", "tier")] {
            let policy = policy(name, label);
            cache.rules().policies.apply(Event::Apply(policy));
            cache.changed();
            tokio::time::sleep(secs(60)).await;
        }
    };
    let pods = followed(&cache, rounds, changes).await;
    let of = policy("one", "tier").spec.match_constraints;
    let of = MatchResources::compile(&of).unwrap();
    let none = std::collections::BTreeMap::new();
    let matching = pods.matching(&none, &[&of], &BTreeSet::new()).unwrap();
    assert_eq!(matching.pods, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_cannot_be_decoded_stops_no_other_and_is_listed_again() {
    let (good, bad) = (pod("a", &json!("node-1")), pod("bad", &json!(7)));
    let mut nameless = pod("c", &json!("node-1"));
    nameless["metadata"]["uid"] = Value::Null;
    let rounds = vec![
        list("0", &[bad, good.clone()]),
        open("5"),
        list("5", &[nameless, good.clone()]),
        open("5"),
        list("5", &[good]),
        open("5"),
    ];
    let cache = World::new().cache();
    let meanwhile = tokio::time::sleep(5 * UNKNOWN_RETRY);
    let pods = followed(&cache, rounds, meanwhile).await;
    // With the third list every pod is known, and no other follows.
    assert_eq!(count(&pods), (1, 1));
    assert_eq!(*pods.lists().borrow(), 3);
}

#[test]
fn lists_take_a_part_of_the_time() {
    let mut lists = Lists::new();
    let after = |lists: &Lists| lists.next.map(|next| next - lists.begun);
    lists.request(UNKNOWN_RETRY);
    assert_eq!(after(&lists), Some(UNKNOWN_RETRY));
    lists.request(LABELS_RETRY);
    assert_eq!(after(&lists), Some(LABELS_RETRY), "what is due earlier");
    lists.request(UNKNOWN_RETRY);
    assert_eq!(after(&lists), Some(LABELS_RETRY));
    lists.next = None;
    lists.took = secs(10);
    lists.request(LABELS_RETRY);
    assert_eq!(after(&lists), Some(secs(40)));
}

#[tokio::test]
async fn a_pod_that_is_too_large_is_unknown_until_the_next_list() {
    let pods = Pods::default();
    let reader = Reader::new(BTreeSet::new());
    let mut lists = Lists::new();
    for event in [ObjectEvent::Listing, ObjectEvent::Complete] {
        apply(&pods, &reader, &mut lists, event);
    }
    assert_eq!((count(&pods), lists.next), ((0, 0), None));
    apply(&pods, &reader, &mut lists, ObjectEvent::TooLarge);
    assert_eq!(count(&pods), (0, 1));
    assert_eq!(lists.next, Some(lists.begun + UNKNOWN_RETRY));
    // Nor is one of which it is not known that it was deleted.
    for event in [ObjectEvent::Listing, ObjectEvent::Complete] {
        apply(&pods, &reader, &mut lists, event);
    }
    assert_eq!(count(&pods), (0, 0));
    apply(
        &pods,
        &reader,
        &mut lists,
        ObjectEvent::Deleted(b"{".to_vec()),
    );
    assert_eq!(count(&pods), (0, 1));
}
