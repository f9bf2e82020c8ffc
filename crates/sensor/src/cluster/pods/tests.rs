//! Pods that come, restart, change and go.

use super::*;
use serde_json::json;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn pod(uid: &str, status: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("{uid}-name"), "namespace": "shop", "uid": uid,
            "creationTimestamp": at(0).to_string(),
        },
        "spec": {
            "containers": [{"name": "web", "image": "web:1"}],
            "initContainers": [
                {"name": "setup", "image": "setup:1"},
                {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"},
            ],
        },
        "status": status,
    }))
    .unwrap()
}

fn running(id: &str) -> Value {
    json!({"containerStatuses": [status("web", id)]})
}

fn status(name: &str, id: &str) -> Value {
    json!({
        "name": name, "image": "docker.io/x", "imageID": "sha256:1", "ready": true,
        "restartCount": 0, "containerID": format!("containerd://{id}"),
    })
}

/// A pod of the API that says it is the copy of this static pod.
fn copy(uid: &str, static_uid: &str, created: i64) -> Pod {
    let mut copy = pod(uid, &json!({}));
    copy.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        at(created),
    ));
    copy.metadata.annotations = Some(BTreeMap::from([
        (
            "kubernetes.io/config.mirror".to_owned(),
            static_uid.to_owned(),
        ),
        (
            "kubernetes.io/config.hash".to_owned(),
            static_uid.to_owned(),
        ),
    ]));
    copy
}

fn uid_of(pods: &Pods, uid: &str) -> Option<String> {
    pods.get(uid).map(|pod| pod.uid.clone())
}

#[test]
fn containers_have_the_role_that_the_pod_gives_them() {
    let mut pods = Pods::default();
    let statuses = json!({
        "containerStatuses": [status("web", "a")],
        "initContainerStatuses": [status("setup", "b"), status("proxy", "c")],
        "ephemeralContainerStatuses": [status("debug", "d")],
    });
    pods.apply(&pod("u", &statuses), at(0));
    let found = &pods.get("u").unwrap().containers;
    for (id, name, image, type_) in [
        ("a", "web", "web:1", ContainerType::App),
        ("b", "setup", "setup:1", ContainerType::Init),
        ("c", "proxy", "proxy:1", ContainerType::Sidecar),
        ("d", "debug", "docker.io/x", ContainerType::Ephemeral),
    ] {
        let container = &found[id];
        assert_eq!(container.name.as_deref(), Some(name));
        assert_eq!(container.image.as_deref(), Some(image), "{name}");
        assert_eq!(container.type_, Some(type_), "{name}");
        assert_eq!(container.image_id.as_deref(), Some("sha256:1"));
    }
}

#[test]
fn a_container_that_was_replaced_is_known_for_a_minute() {
    let mut pods = Pods::default();
    let knows = |pods: &Pods, id: &str| pods.get("u").unwrap().containers.contains_key(id);
    pods.apply(&pod("u", &running("first")), at(0));
    pods.apply(&pod("u", &running("second")), at(10));
    assert!(knows(&pods, "first") && knows(&pods, "second"));
    pods.apply(&pod("u", &running("third")), at(69));
    assert!(knows(&pods, "first") && knows(&pods, "second"));
    pods.apply(&pod("u", &running("third")), at(70));
    assert!(!knows(&pods, "first"), "a minute is over");
    assert!(knows(&pods, "second"), "not yet");
}

#[test]
fn the_status_tells_of_the_last_container_also_to_a_sensor_that_starts() {
    let mut pods = Pods::default();
    let mut again = status("web", "second");
    again["lastState"] = json!({"terminated": {"exitCode": 1, "containerID": "cri-o://first"}});
    pods.apply(&pod("u", &json!({"containerStatuses": [again]})), at(0));
    let found = &pods.get("u").unwrap().containers;
    assert_eq!(found["first"], found["second"]);
}

#[test]
fn a_static_pod_is_known_by_its_copy_in_the_api() {
    let mut pods = Pods::default();
    pods.apply(&copy("mirror", "hash", 5), at(5));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("mirror"));
    assert_eq!(uid_of(&pods, "mirror").as_deref(), Some("mirror"));
    // The kubelet makes the copy anew, under the same hash.
    pods.delete(&copy("mirror", "hash", 5).metadata, at(10));
    pods.apply(&copy("anew", "hash", 10), at(10));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("anew"));
    pods.forget(at(70));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("anew"));
    assert_eq!(uid_of(&pods, "mirror"), None);
    pods.delete(&copy("anew", "hash", 10).metadata, at(80));
    pods.forget(at(140));
    assert_eq!(uid_of(&pods, "hash"), None);
    assert_eq!((pods.copies.len(), pods.len()), (0, 0));
}

#[test]
fn a_pod_can_not_claim_the_processes_of_another() {
    let mut pods = Pods::default();
    pods.apply(&pod("victim", &json!({})), at(0));
    pods.apply(&copy("mirror", "hash", 0), at(0));
    // The UID of a pod, and the hash of a static one, in the annotations of a pod made later.
    pods.apply(&copy("evil", "victim", 9), at(9));
    pods.apply(&copy("evil2", "hash", 9), at(9));
    assert_eq!(uid_of(&pods, "victim").as_deref(), Some("victim"));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("mirror"));
    // However they are listed.
    let mut pods = Pods::default();
    pods.apply(&copy("evil2", "hash", 9), at(9));
    pods.apply(&copy("mirror", "hash", 0), at(9));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("mirror"));
    // The hash alone makes no static pod.
    let mut plain = copy("evil3", "other", 0);
    let annotations = plain.metadata.annotations.as_mut().unwrap();
    annotations.remove("kubernetes.io/config.mirror");
    pods.apply(&plain, at(9));
    assert_eq!(uid_of(&pods, "other"), None);
}

#[test]
fn a_deleted_pod_is_known_for_a_minute() {
    let mut pods = Pods::default();
    pods.apply(&pod("a", &json!({})), at(0));
    pods.apply(&pod("b", &json!({})), at(0));
    pods.delete(&pod("a", &json!({})).metadata, at(0));
    // A new listing names neither; it is not the beginning of another minute for the first.
    pods.keep(&HashSet::new(), at(30));
    pods.forget(at(59));
    assert_eq!(pods.len(), 2);
    pods.forget(at(60));
    assert_eq!((uid_of(&pods, "a"), pods.len()), (None, 1));
    pods.forget(at(90));
    assert_eq!(pods.len(), 0);
}
