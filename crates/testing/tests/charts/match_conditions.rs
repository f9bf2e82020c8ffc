//! The match conditions of the webhook configurations, as the API server evaluates them.
//!
//! Here: which requests reach the webhook, and the cost of finding out. Not here: the rest of an entry
//! (`webhook`), the engine's conformance (`crates/cel`).
//! Invariant: no condition is an error, because under failurePolicy Ignore that is an admission without a
//! review; a pod that is not reviewed has no image that its previous version does not have.

use crate::bailiff;
use bailiff_cel::admission::{Bindings, Optional, environment};
use bailiff_cel::{Evaluation, NEWEST_RELEASE, OLDEST_RELEASE, Value};
use bailiff_policy::image::{NOT_A_MIRROR_POD, images};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::sync::LazyLock;

/// The cost that no condition exceeds. The API server's limit for all conditions of an entry is 2,500,000
/// (k8s.io/apiserver v0.37.2, pkg/apis/cel/config.go, `RuntimeCELCostBudgetMatchConditions`).
const COST_LIMIT: u64 = 300_000;

/// The names and expressions of the conditions of an entry.
fn conditions(kind: &str, entry: &str) -> Vec<(String, String)> {
    let objects = bailiff(&[]).unwrap();
    let entries = objects[&format!("{kind}/bailiff")]["webhooks"].clone();
    let mut entries = entries.as_array().unwrap().iter();
    let entry = entries.find(|e| e["name"] == entry).unwrap();
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let conditions = entry["matchConditions"].as_array().unwrap().iter();
    conditions
        .map(|c| (text(&c["name"]), text(&c["expression"])))
        .collect()
}

static PODS: LazyLock<Vec<(String, String)>> =
    LazyLock::new(|| conditions("ValidatingWebhookConfiguration", "pods.bailiff.dev"));
static WORKLOADS: LazyLock<Vec<(String, String)>> =
    LazyLock::new(|| conditions("ValidatingWebhookConfiguration", "workloads.bailiff.dev"));

/// The names of the conditions that keep a request away from the webhook, which are the same in each release.
fn unmet(
    conditions: &[(String, String)],
    object: &Json,
    old: Option<&Json>,
    user: &Json,
) -> Vec<String> {
    let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
    let request = json!({"operation": operation, "userInfo": user});
    let bindings = Bindings {
        object: Some(object),
        old_object: old,
        request: Some(&request),
        ..Bindings::default()
    };
    let found = [OLDEST_RELEASE, NEWEST_RELEASE].map(|release| {
        let env = environment(release, Optional::default());
        let unmet = conditions.iter().filter(|(name, expression)| {
            let program = env.compile(expression).unwrap();
            let mut evaluation = Evaluation::new(&env, &bindings, COST_LIMIT);
            let met = evaluation.run(&program);
            let is_known = matches!(met, Ok(Value::Bool(_)));
            assert!(is_known, "1.{release}: {name}: {met:?}");
            met == Ok(Value::Bool(false))
        });
        unmet.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    });
    let [oldest, newest] = found;
    assert_eq!(oldest, newest);
    newest
}

fn jane() -> Json {
    json!({"username": "jane", "groups": ["system:authenticated"]})
}

fn pod(references: &[&str]) -> Json {
    let containers = references.iter().enumerate();
    let containers: Vec<_> = containers
        .map(|(at, image)| json!({"name": format!("c{at}"), "image": image}))
        .collect();
    json!({"metadata": {"name": "web"}, "spec": {"containers": containers}})
}

#[test]
fn both_entries_of_pods_have_the_same_conditions() {
    let mutating = conditions("MutatingWebhookConfiguration", "pods.bailiff.dev");
    assert_eq!(mutating, *PODS);
    let names: Vec<_> = PODS.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["not-a-mirror-pod", "changes-images"]);
    // Rendered policies leave out the same pods.
    assert_eq!(PODS[0].1, NOT_A_MIRROR_POD);
}

#[test]
fn labels_and_finalizers_of_a_violating_pod_do_not_reach_the_webhook() {
    let old = pod(&["nginx", "busybox"]);
    let mut new = old.clone();
    new["metadata"] = json!({"name": "web", "labels": {"a": "b"}, "finalizers": []});
    new["spec"]["activeDeadlineSeconds"] = 5.into();
    new["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    assert_eq!(unmet(&PODS, &new, Some(&old), &jane()), ["changes-images"]);
    // Whatever is absent in one and null in the other.
    new["spec"]["volumes"] = Json::Null;
    assert_eq!(unmet(&PODS, &new, Some(&old), &jane()), ["changes-images"]);
    assert_eq!(unmet(&PODS, &old, Some(&new), &jane()), ["changes-images"]);
}

/// Before Kubernetes 1.33, an update of the pod itself can be a resize. Since then it is one of `pods/resize`,
/// which no rule names.
#[test]
fn an_in_place_resize_does_not_reach_the_webhook() {
    let resized = |containers: usize| {
        let references = vec!["nginx"; containers];
        let mut old = pod(&references);
        old["spec"]["initContainers"] = old["spec"]["containers"].clone();
        old["spec"]["ephemeralContainers"] = old["spec"]["containers"].clone();
        let mut new = old.clone();
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for container in new["spec"][list].as_array_mut().unwrap() {
                container["resources"] = json!({"limits": {"cpu": "2"}});
            }
        }
        (old, new)
    };
    for containers in [1, 500] {
        let (old, mut new) = resized(containers);
        assert_eq!(unmet(&PODS, &new, Some(&old), &jane()), ["changes-images"]);
        new["spec"]["initContainers"][containers - 1]["image"] = "other".into();
        assert_eq!(unmet(&PODS, &new, Some(&old), &jane()), [""; 0]);
    }
    // More are compared as a whole, so that the cost is bounded.
    let (old, new) = resized(501);
    assert_eq!(unmet(&PODS, &new, Some(&old), &jane()), [""; 0]);
    for kind in [
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
    ] {
        let objects = bailiff(&[]).unwrap();
        let rules = objects[&format!("{kind}/bailiff")]["webhooks"].to_string();
        assert!(rules.contains("pods/ephemeralcontainers") && !rules.contains("resize"));
    }
}

#[test]
fn a_new_pod_and_each_changed_image_reach_the_webhook() {
    let old = pod(&["nginx"]);
    assert_eq!(unmet(&PODS, &old, None, &jane()), [""; 0]);
    for (field, entry) in [
        ("containers", json!({"name": "c", "image": "b"})),
        ("initContainers", json!({"name": "c", "image": "b"})),
        ("ephemeralContainers", json!({"name": "c", "image": "b"})),
        ("volumes", json!({"name": "v", "image": {"reference": "b"}})),
    ] {
        let mut new = old.clone();
        new["spec"][field] = json!([entry]);
        assert_eq!(unmet(&PODS, &new, Some(&old), &jane()), [""; 0], "{field}");
    }
}

#[test]
fn only_a_kubelet_reports_a_mirror_pod() {
    let mut mirror = pod(&["nginx"]);
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "abc"});
    let node = json!({"username": "system:node:a", "groups": ["system:nodes"]});
    let reviewed = |pod: &Json, user: &Json| unmet(&PODS, pod, None, user).is_empty();
    assert!(!reviewed(&mirror, &node));
    assert!(reviewed(&mirror, &jane()));
    assert!(reviewed(&pod(&["nginx"]), &node));
    // Users without groups, and pods without annotations.
    for user in [json!({}), json!({"username": "a"})] {
        assert!(reviewed(&mirror, &user), "{user}");
    }
    for metadata in [json!({}), json!({"annotations": null})] {
        mirror["metadata"] = metadata;
        assert!(reviewed(&mirror, &node), "{mirror}");
    }
}

#[test]
fn a_workload_reaches_the_webhook_with_a_new_pod_template_only() {
    for field in ["template", "jobTemplate"] {
        let workload = |replicas: u32, image: &str| json!({"metadata": {}, "spec": {"replicas": replicas, field: pod(&[image])}});
        let (old, scaled, changed) = (workload(3, "a"), workload(0, "a"), workload(3, "b"));
        assert_eq!(unmet(&WORKLOADS, &old, None, &jane()), [""; 0]);
        let name = "changes-the-pod-template";
        assert_eq!(unmet(&WORKLOADS, &scaled, Some(&old), &jane()), [name]);
        assert_eq!(unmet(&WORKLOADS, &changed, Some(&old), &jane()), [""; 0]);
    }
    // The template of a ReplicationController can be missing.
    let none = json!({"metadata": {}, "spec": {"replicas": 1}});
    let name = "changes-the-pod-template";
    assert_eq!(unmet(&WORKLOADS, &none, Some(&none), &jane()), [name]);
}

/// As many containers as fit into the 1.5 MiB of an object, each with a name, an image and the defaults.
#[test]
fn the_largest_pod_is_within_the_limit() {
    let references: Vec<_> = (0..33_000).map(|at| format!("i{at}")).collect();
    let references: Vec<_> = references.iter().map(String::as_str).collect();
    let mut old = pod(&references);
    for field in ["initContainers", "ephemeralContainers"] {
        old["spec"][field] = old["spec"]["containers"].clone();
    }
    let volumes = references.iter();
    let volumes: Vec<_> = volumes
        .map(|image| json!({"name": image, "image": {"reference": image}}))
        .collect();
    old["spec"]["volumes"] = volumes.into();
    let groups: Vec<_> = (0..10_000).map(|at| format!("group-{at}")).collect();
    let user = json!({"username": "jane", "groups": groups});
    assert_eq!(unmet(&PODS, &old, Some(&old), &user), ["changes-images"]);
    let mut new = old.clone();
    new["spec"]["volumes"][32_999]["image"]["reference"] = "other".into();
    assert_eq!(unmet(&PODS, &new, Some(&old), &user), [""; 0]);
}

/// A list of a pod: absent, null, or with entries, some of them without an image.
fn list(volumes: bool) -> impl Strategy<Value = Option<Json>> {
    let reference = proptest::option::weighted(0.9, "[ab]");
    let entry = reference.prop_map(move |reference| match (volumes, reference) {
        (false, Some(image)) => json!({"name": "c", "image": image}),
        (true, Some(image)) => json!({"name": "v", "image": {"reference": image}}),
        (true, None) => json!({"name": "v", "emptyDir": {}}),
        (false, None) => json!({"name": "c"}),
    });
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Json::Null)),
        4 => proptest::collection::vec(entry, 0..3).prop_map(|entries| Some(entries.into())),
    ]
}

fn any_pod() -> impl Strategy<Value = Json> {
    (list(false), list(false), list(false), list(true)).prop_map(
        |(containers, init, ephemeral, volumes)| {
            let mut pod = json!({"metadata": {"name": "web"}, "spec": {}});
            for (field, list) in [
                ("containers", containers),
                ("initContainers", init),
                ("ephemeralContainers", ephemeral),
                ("volumes", volumes),
            ] {
                if let Some(list) = list {
                    pod["spec"][field] = list;
                }
            }
            pod
        },
    )
}

/// The images of the entries of a pod, in order.
fn images_of(pod: &mut Json) -> Vec<&mut Json> {
    let spec = pod["spec"].as_object_mut().unwrap();
    let entries = spec.values_mut().filter_map(Json::as_array_mut).flatten();
    let images = entries.filter_map(|entry| entry.get_mut("image"));
    images
        .map(|image| {
            if image.is_object() {
                &mut image["reference"]
            } else {
                image
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_not_reviewed_has_no_new_image(new in any_pod(), old in any_pod()) {
        let changed = images(&new, Some(&old));
        if !unmet(&PODS, &new, Some(&old), &jane()).is_empty() {
            prop_assert_eq!(changed, []);
        }
        // An entry without an image has an empty one, which is an image of the list of all.
        prop_assert_eq!(unmet(&PODS, &new, None, &jane()), [""; 0]);
    }

    /// The API server lets an update change images and nothing else of a container.
    #[test]
    fn an_update_is_reviewed_exactly_if_it_has_a_new_image(
        old in any_pod(),
        changed in proptest::collection::vec(any::<bool>(), 12),
    ) {
        let mut new = old.clone();
        for (image, _) in images_of(&mut new).into_iter().zip(changed).filter(|(_, changed)| *changed) {
            *image = "new".into();
        }
        let reviewed = unmet(&PODS, &new, Some(&old), &jane()).is_empty();
        prop_assert_eq!(reviewed, !images(&new, Some(&old)).is_empty());
    }
}
