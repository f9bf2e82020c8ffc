//! Pods that come, restart, change and go.

use super::*;
use bailiff_api::ContainerType;
use serde_json::json;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn pod(uid: &str, status: &Value) -> Vec<u8> {
    bytes(&value(uid, status))
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// Puts a pod where expressions read all of it.
fn apply(pods: &mut Pods, pod: &[u8], now: Timestamp) {
    pods.apply(pod, &whole(), now).unwrap();
}

fn whole() -> Arc<Needs> {
    Arc::new(Needs {
        object: Some(bailiff_policy::Reads::everything()),
        pod_labels: ["team".to_owned()].into(),
        ..Needs::default()
    })
}

fn value(uid: &str, status: &Value) -> Value {
    json!({
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
    })
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
fn copy(uid: &str, static_uid: &str, created: i64) -> Vec<u8> {
    bytes(&copied(uid, static_uid, created))
}

fn copied(uid: &str, static_uid: &str, created: i64) -> Value {
    let mut copy = value(uid, &json!({}));
    copy["metadata"]["creationTimestamp"] = json!(at(created).to_string());
    copy["metadata"]["annotations"] = json!({
        "kubernetes.io/config.mirror": static_uid,
        "kubernetes.io/config.hash": static_uid,
    });
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
    apply(&mut pods, &pod("u", &statuses), at(0));
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
    apply(&mut pods, &pod("u", &running("first")), at(0));
    apply(&mut pods, &pod("u", &running("second")), at(10));
    assert!(knows(&pods, "first") && knows(&pods, "second"));
    apply(&mut pods, &pod("u", &running("third")), at(69));
    assert!(knows(&pods, "first") && knows(&pods, "second"));
    apply(&mut pods, &pod("u", &running("third")), at(70));
    assert!(!knows(&pods, "first"), "a minute is over");
    assert!(knows(&pods, "second"), "not yet");
}

#[test]
fn the_status_tells_of_the_last_container_also_to_a_sensor_that_starts() {
    let mut pods = Pods::default();
    let mut again = status("web", "second");
    again["lastState"] = json!({"terminated": {"exitCode": 1, "containerID": "cri-o://first"}});
    apply(
        &mut pods,
        &pod("u", &json!({"containerStatuses": [again]})),
        at(0),
    );
    let found = &pods.get("u").unwrap().containers;
    assert_eq!(found["first"], found["second"]);
}

#[test]
fn a_static_pod_is_known_by_its_copy_in_the_api() {
    let mut pods = Pods::default();
    apply(&mut pods, &copy("mirror", "hash", 5), at(5));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("mirror"));
    assert_eq!(uid_of(&pods, "mirror").as_deref(), Some("mirror"));
    // The kubelet makes the copy anew, under the same hash.
    pods.delete(&copy("mirror", "hash", 5), at(10));
    apply(&mut pods, &copy("anew", "hash", 10), at(10));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("anew"));
    pods.forget(at(70));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("anew"));
    assert_eq!(uid_of(&pods, "mirror"), None);
    pods.delete(&copy("anew", "hash", 10), at(80));
    pods.forget(at(140));
    assert_eq!(uid_of(&pods, "hash"), None);
    assert_eq!((pods.copies.len(), pods.len()), (0, 0));
}

#[test]
fn a_pod_can_not_claim_the_processes_of_another() {
    let mut pods = Pods::default();
    apply(&mut pods, &pod("victim", &json!({})), at(0));
    apply(&mut pods, &copy("mirror", "hash", 0), at(0));
    // The UID of a pod, and the hash of a static one, in the annotations of a pod made later.
    apply(&mut pods, &copy("evil", "victim", 9), at(9));
    apply(&mut pods, &copy("evil2", "hash", 9), at(9));
    assert_eq!(uid_of(&pods, "victim").as_deref(), Some("victim"));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("mirror"));
    // However they are listed.
    let mut pods = Pods::default();
    apply(&mut pods, &copy("evil2", "hash", 9), at(9));
    apply(&mut pods, &copy("mirror", "hash", 0), at(9));
    assert_eq!(uid_of(&pods, "hash").as_deref(), Some("mirror"));
    // The hash alone makes no static pod.
    let mut plain = copied("evil3", "other", 0);
    let annotations = plain["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove("kubernetes.io/config.mirror");
    apply(&mut pods, &bytes(&plain), at(9));
    assert_eq!(uid_of(&pods, "other"), None);
}

#[test]
fn a_deleted_pod_is_known_for_a_minute() {
    let mut pods = Pods::default();
    apply(&mut pods, &pod("a", &json!({})), at(0));
    apply(&mut pods, &pod("b", &json!({})), at(0));
    pods.delete(&pod("a", &json!({})), at(0));
    // A new listing names neither; it is not the beginning of another minute for the first.
    pods.keep(&HashSet::new(), at(30));
    pods.forget(at(59));
    assert_eq!(pods.len(), 2);
    pods.forget(at(60));
    assert_eq!((uid_of(&pods, "a"), pods.len()), (None, 1));
    pods.forget(at(90));
    assert_eq!(pods.len(), 0);
}

/// A pod with a text of so many bytes where its tenant likes.
fn large(uid: &str, change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut pod = value(uid, &running("id"));
    pod["metadata"]["labels"] = json!({"team": "shop"});
    change(&mut pod);
    bytes(&pod)
}

/// A change of a pod.
type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;

/// What makes a pod large, and what of it is left out for that: the object; other labels; commands.
fn ways_to_be_large<'a>(
    text: &'a str,
    labels: &'a serde_json::Map<String, Value>,
) -> [(&'static str, Change<'a>, [bool; 3]); 8] {
    let many = |one: &Value| json!(vec![one.clone(); 5000]);
    [
        ("nothing", Box::new(|_| {}), [false, false, false]),
        (
            "an annotation",
            Box::new(move |pod| pod["metadata"]["annotations"] = json!({"a": text})),
            [true, false, false],
        ),
        (
            "annotations of the kubelet's names",
            Box::new(move |pod| {
                pod["metadata"]["annotations"] =
                    json!({"kubernetes.io/config.mirror": text, "kubernetes.io/config.hash": text});
            }),
            [true, false, false],
        ),
        (
            "a variable",
            Box::new(move |pod| {
                pod["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": text}]);
            }),
            [true, false, false],
        ),
        (
            "labels",
            Box::new(move |pod| {
                pod["metadata"]["labels"]
                    .as_object_mut()
                    .unwrap()
                    .extend(labels.clone());
            }),
            [true, true, false],
        ),
        (
            "a probe",
            Box::new(move |pod| {
                pod["spec"]["containers"][0]["livenessProbe"] =
                    json!({"exec": {"command": ["sh", text]}});
            }),
            [true, true, true],
        ),
        (
            "a variable that a probe names many times",
            Box::new(move |pod| {
                let container = &mut pod["spec"]["containers"][0];
                container["env"] = json!([{"name": "A", "value": &text[..900_000]}]);
                container["livenessProbe"] = json!({"exec": {"command": ["$(A)".repeat(1000)]}});
            }),
            [true, false, true],
        ),
        (
            "containers",
            Box::new(move |pod| {
                let one = pod["spec"]["containers"][0].clone();
                pod["spec"]["containers"] = many(&one);
            }),
            [true, true, true],
        ),
    ]
}

#[test]
fn no_pod_is_unknown_for_its_size_and_what_is_too_large_is_left_out() {
    let text = "x".repeat(1 << 20);
    let labels: serde_json::Map<String, Value> =
        (0..20_000).map(|n| (format!("l{n}"), json!("v"))).collect();
    for (name, change, [object, others, commands]) in ways_to_be_large(&text, &labels) {
        let mut pods = Pods::default();
        let json = large("u", |pod| {
            pod["metadata"]["labels"]["other"] = json!("x");
            change(pod);
        });
        apply(&mut pods, &json, at(0));
        let facts = pods.get("u").unwrap();
        assert_eq!(facts.labels["team"], "shop", "{name}");
        assert_eq!(facts.labels.contains_key("other"), !others, "{name}");
        assert_eq!(facts.object_left_out(), object, "{name}");
        assert_eq!(facts.commands_left_out(), commands, "{name}");
        assert!(!facts.containers_left_out(), "{name}");
        assert_eq!(
            facts.containers["id"].name.as_deref(),
            Some("web"),
            "{name}"
        );
        assert!(facts.bytes + facts.object_bytes <= 128 * 1024, "{name}");
    }
}

#[test]
fn a_text_that_is_too_large_is_unknown_for_its_own_container_alone() {
    let mut pods = Pods::default();
    let json = large("u", |pod| {
        let text = "x".repeat(70_000);
        // One that is never started, one whose image is nonsense, and many that are long.
        let containers = pod["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({"name": "waits", "image": text}));
        containers.push(json!({"name": "odd", "image": text}));
        let mut odd = status("odd", "odd");
        odd["image"] = json!(text);
        let statuses = pod["status"]["containerStatuses"].as_array_mut().unwrap();
        statuses.push(json!({"name": "waits", "image": text, "imageID": ""}));
        statuses.push(odd);
    });
    apply(&mut pods, &json, at(0));
    let facts = pods.get("u").unwrap();
    let known = |id: &str| {
        let container = &facts.containers[id];
        (
            container.name.as_deref().unwrap(),
            container.image.as_deref(),
        )
    };
    assert_eq!(known("id"), ("web", Some("web:1")));
    assert_eq!(known("odd"), ("odd", None));
    assert_eq!(facts.containers.len(), 2);
    assert!(!facts.containers_left_out());
}

#[test]
fn containers_of_a_pod_have_a_bounded_room() {
    let json = large("u", |pod| {
        let many = |of: &dyn Fn(usize) -> Value| (0..2000).map(of).collect::<Vec<_>>();
        pod["spec"]["containers"] =
            json!(many(&|n| json!({"name": format!("c{n}"), "image": "i"})));
        pod["status"]["containerStatuses"] =
            json!(many(&|n| status(&format!("c{n}"), &format!("id{n}"))));
    });
    let mut pods = Pods::default();
    apply(&mut pods, &json, at(0));
    let facts = pods.get("u").unwrap();
    assert!(facts.containers_left_out());
    assert!((10..500).contains(&facts.containers.len()));
    assert!(facts.bytes <= 128 * 1024, "{}", facts.bytes);
    let fetched = PodFacts::fetched(&json, &whole()).unwrap();
    assert_eq!(fetched.containers.len(), 2000);
    assert!(!fetched.containers_left_out());
}

#[test]
fn what_no_expression_reads_is_not_kept() {
    let mut pods = Pods::default();
    pods.apply(&large("u", |_| {}), &Arc::default(), at(0))
        .unwrap();
    let facts = pods.get("u").unwrap();
    assert!(facts.object.is_none() && !facts.object_left_out());
}

#[test]
fn a_probe_has_the_variables_of_its_container() {
    let probed = |variables: usize| {
        large("u", |pod| {
            let mut env = vec![json!({"name": "PORT", "value": "80"})];
            env.extend(
                (0..variables).map(|n| json!({"name": format!("V{n}"), "value": "x".repeat(100)})),
            );
            let container = &mut pod["spec"]["containers"][0];
            container["env"] = json!(env);
            container["livenessProbe"] = json!({"exec": {"command": ["check", "$(PORT)"]}});
        })
    };
    let commands = |json: &[u8]| {
        let mut pods = Pods::default();
        apply(&mut pods, json, at(0));
        let facts = pods.get("u").unwrap();
        (format!("{:?}", facts.commands), facts.commands_left_out())
    };
    let (few, left_out) = commands(&probed(0));
    assert!(few.contains(r#"["check", "80"]"#) && !left_out, "{few}");
    assert_eq!(commands(&probed(1000)), (few, false));
    let (none, left_out) = commands(&probed(20_000));
    assert!(!none.contains("check") && left_out, "{none}");
}

#[test]
fn the_namespace_that_has_most_gives_way() {
    let mut pods = Pods::default();
    let of = |uid: &str, namespace: &str, phase: &str| {
        large(uid, |pod| {
            pod["metadata"]["namespace"] = json!(namespace);
            pod["metadata"]["annotations"] = json!({"a": "x".repeat(60_000)});
            pod["status"]["phase"] = json!(phase);
        })
    };
    apply(&mut pods, &of("other", "other", "Running"), at(0));
    apply(&mut pods, &of("ended", "greedy", "Failed"), at(0));
    for number in 0..1000 {
        apply(
            &mut pods,
            &of(&format!("p{number}"), "greedy", "Running"),
            at(0),
        );
    }
    assert!(pods.get("other").unwrap().object.is_some());
    assert!(pods.get("ended").unwrap().object.is_none());
    let kept = pods
        .by_uid
        .values()
        .filter(|pod| pod.object.is_some())
        .count();
    let bytes: usize = pods
        .by_uid
        .values()
        .map(|pod| pod.bytes + pod.object_bytes)
        .sum();
    assert!(
        (200..300).contains(&kept) && bytes <= 16 << 20,
        "{kept} {bytes}"
    );
    let reduced: HashSet<_> = pods.take_reduced().into_iter().collect();
    assert_eq!(reduced.len(), 1002 - kept);
    // All of them are known by what identifies them, and so is what bounds them.
    assert_eq!(pods.len(), 1002);
    pods.keep(&HashSet::new(), at(1));
    pods.forget(at(100));
    assert_eq!(
        (pods.len(), format!("{:?}", pods.budget)),
        (0, format!("{:?}", Budget::default()))
    );
}

#[test]
fn what_is_no_pod_is_an_error() {
    for json in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"metadata": {"name": "a"}}"#,
        r#"{"metadata": {"name": "a",
        "namespace": "n", "uid": "u", "creationTimestamp": "yesterday"}}"#,
    ] {
        Pods::default()
            .apply(json.as_bytes(), &whole(), at(0))
            .unwrap_err();
    }
    assert_eq!(
        name_of(br#"{"metadata": {"name": "a", "namespace": "n"}}"#).as_deref(),
        Some("n/a")
    );
}

#[test]
fn the_controller_is_what_the_owner_references_name_within_the_limits_of_an_incident() {
    let owner = |name: &str, uid: &str, controller: bool| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": controller});
    let known = |owners: Value| {
        let mut pod: Value = serde_json::from_slice(&pod("u", &running("a"))).unwrap();
        pod["metadata"]["ownerReferences"] = owners;
        let mut pods = Pods::default();
        apply(&mut pods, &serde_json::to_vec(&pod).unwrap(), at(0));
        let known = pods.get("u").unwrap();
        assert!(!known.containers.is_empty());
        known.controller.clone()
    };
    let both = json!([owner("other", "1", false), owner("web-5d8f", "2", true)]);
    let found = known(both).unwrap();
    let parts = [&found.api_version, &found.kind, &found.name, &found.uid];
    assert_eq!(parts, ["apps/v1", "ReplicaSet", "web-5d8f", "2"]);
    assert_eq!(known(json!([])), None);
    assert_eq!(known(json!([owner("web", "1", false)])), None);
    assert_eq!(known(json!([owner("web", &"u".repeat(65), true)])), None);
    let long = known(json!([owner(&"n".repeat(3000), "2", true)])).unwrap();
    assert_eq!(long.name.len(), 253);
    // The pod is known also with owners that are not kept.
    let many: Vec<_> = (0..900)
        .map(|n| owner(&"n".repeat(200), &n.to_string(), true))
        .collect();
    assert_eq!(known(json!(many)), None);
}
