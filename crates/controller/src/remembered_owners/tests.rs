//! Owners that are remembered, and that are not.

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn reference(uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: "web".to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    }
}

fn owner_with(uid: &str, selector: &Value) -> DirectOwner {
    DirectOwner::of(
        &reference(uid),
        &json!({"spec": {"selector": {"matchLabels": selector}}}),
    )
    .unwrap()
}

fn owner(uid: &str) -> DirectOwner {
    owner_with(uid, &json!({"app": "web"}))
}

fn workload(uid: &str) -> WorkloadReference {
    WorkloadReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "web".to_owned(),
        uid: uid.to_owned(),
    }
}

fn pod(owner_uid: &str) -> Pod {
    let mut pod: Pod =
        serde_json::from_value(json!({"metadata": {"labels": {"app": "web"}}})).unwrap();
    pod.metadata.owner_references = Some(vec![reference(owner_uid)]);
    pod
}

fn labels(app: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), app.to_owned())])
}

#[test]
fn an_owner_is_remembered_in_its_namespace_for_seconds_after_it_was_read() {
    let mut owners = RememberedOwners::default();
    let web = || Some(workload("web-uid"));
    owners.remember("shop", owner("set"), workload("web-uid"), now());
    for (namespace, owner_uid, at, want) in [
        ("shop", "set", now(), web()),
        ("shop", "set", now() + seconds(4), web()),
        ("shop", "set", now() + seconds(5), None),
        // A clock that was set back.
        ("shop", "set", now() - seconds(1), None),
        ("bank", "set", now(), None),
        ("shop", "another", now(), None),
    ] {
        let found = owners.workload(namespace, &pod(owner_uid), at);
        assert_eq!(found, want, "{namespace} {owner_uid} {at}");
    }
    assert!(owners.expects_wait("shop", &labels("web"), now()));
    assert!(!owners.expects_wait("shop", &labels("db"), now()));
    assert!(!owners.expects_wait("bank", &labels("web"), now()));
    assert!(!owners.expects_wait("shop", &labels("web"), now() + seconds(5)));
    // Only a read makes it last longer.
    owners.remember(
        "shop",
        owner("set"),
        workload("web-uid"),
        now() + seconds(4),
    );
    assert_eq!(
        owners.workload("shop", &pod("set"), now() + seconds(8)),
        web()
    );
}

#[test]
fn a_workload_that_did_not_wait_is_forgotten_with_all_its_owners() {
    let mut owners = RememberedOwners::default();
    owners.remember("shop", owner("old-set"), workload("web-uid"), now());
    owners.remember("shop", owner("new-set"), workload("web-uid"), now());
    owners.remember("shop", owner("other-set"), workload("other"), now());
    owners.forget("bank", "web-uid");
    assert!(owners.workload("shop", &pod("old-set"), now()).is_some());
    owners.forget("shop", "web-uid");
    let found = ["old-set", "new-set", "other-set"].map(|uid| {
        let found = owners.workload("shop", &pod(uid), now());
        found.map(|workload| workload.uid)
    });
    assert_eq!(found, [None, None, Some("other".to_owned())]);
}

/// A tenant can create any number of owners of any size.
#[test]
fn a_namespace_takes_the_places_of_no_other_and_large_owners_take_none() {
    let mut owners = RememberedOwners::default();
    for number in 0..1000 {
        owners.remember(
            "flood",
            owner(&format!("set-{number}")),
            workload("w"),
            now(),
        );
    }
    let of = |owners: &RememberedOwners, namespace: &str| {
        owners.owners.get(namespace).map_or(0, BTreeMap::len)
    };
    assert_eq!(of(&owners, "flood"), NAMESPACE_LIMIT);
    owners.remember("shop", owner("set"), workload("web-uid"), now());
    assert_eq!(of(&owners, "shop"), 1);
    for number in 0..1000 {
        let namespace = format!("ns-{number}");
        owners.remember(&namespace, owner("set"), workload("w"), now());
    }
    let all: usize = owners.owners.values().map(BTreeMap::len).sum();
    assert_eq!(all, LIMIT);
    // One that is remembered already can be read again.
    owners.remember("shop", owner("set"), workload("newer"), now());
    let found = owners.workload("shop", &pod("set"), now()).unwrap();
    assert_eq!(found.uid, "newer");
    // All places are free again once they are old.
    owners.remember("late", owner("set"), workload("w"), now() + seconds(5));
    let all: usize = owners.owners.values().map(BTreeMap::len).sum();
    assert_eq!((all, of(&owners, "late")), (1, 1));

    let labels: serde_json::Map<_, _> = (0..40).map(|n| (format!("k{n}"), json!("v"))).collect();
    let large = owner_with("large", &Value::Object(labels));
    assert!(large.bytes() > OWNER_BYTES);
    owners.remember("large", large, workload("w"), now());
    assert_eq!(of(&owners, "large"), 0);
}
