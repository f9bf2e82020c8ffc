//! What is kept of pods, and how they are counted.

use super::*;
use allocation_counter::measure;
use serde_json::{Value, json};

fn pod(uid: &str, namespace: &str, app: &str, node: &str, owner: &str) -> Value {
    json!({
        "metadata": {"name": uid, "uid": uid, "namespace": namespace, "labels": {"app": app, "zone": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Other", "name": "other", "uid": "other"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true}]},
        "spec": {"nodeName": node, "containers": []},
    })
}

/// Four pods of three workloads and one without a workload, on three nodes; and one that is not scheduled.
fn all() -> Vec<Value> {
    let mut lone = pod("lone", "shop", "web", "node-2", "");
    lone["metadata"]["ownerReferences"] = Value::Null;
    let mut pending = pod("pending", "shop", "web", "", "web");
    pending["spec"] = json!({});
    vec![
        pod("web-1", "shop", "web", "node-1", "web"),
        pod("web-2", "shop", "web", "node-1", "web"),
        pod("db-1", "shop", "db", "node-2", "db"),
        pod("web-3", "other", "web", "node-3", "web-of-other"),
        lone,
        pending,
    ]
}

fn labels(labels: &[&str]) -> BTreeSet<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

fn list(pods: &Pods, keys: &[&str], objects: &[Value]) {
    let reader = Reader::new(labels(keys));
    pods.begin(&reader.label_keys);
    for object in objects {
        assert!(pods.apply(reader.read(object.to_string().as_bytes()).unwrap()));
    }
    pods.complete(&reader.label_keys);
}

fn namespaces() -> Namespaces {
    let team = |name: &str| Labels::from([("team".to_owned(), name.to_owned())]);
    ["shop", "other"]
        .map(|name| (name.to_owned(), team(name)))
        .into()
}

fn selectors(selectors: &Value) -> MatchResources {
    let spec = serde_json::from_value(selectors.clone()).unwrap();
    MatchResources::compile(&spec).unwrap()
}

fn app(name: &str) -> MatchResources {
    selectors(&json!({"objectSelector": {"matchLabels": {"app": name}}}))
}

fn in_shop() -> MatchResources {
    selectors(&json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}}))
}

/// Pods, workloads, matching nodes and monitored nodes.
fn count(pods: &Pods, of: &[&MatchResources]) -> Option<(usize, usize, i32, i32)> {
    let monitored = BTreeSet::from(["node-1", "node-3", "node-9"].map(str::to_owned));
    let m = pods.matching(&namespaces(), of, &monitored)?;
    let nodes = (m.coverage.matching_nodes, m.coverage.monitored_nodes);
    Some((m.pods, m.workloads, nodes.0, nodes.1))
}

#[test]
fn pods_are_counted_by_node() {
    use RunningPods::{AtLeast, Exactly, Unknown};
    let pods = Pods::default();
    let nodes = ["node-2", "node-1", "node-9"];
    assert_eq!(pods.on_nodes(&nodes), [Unknown; 3]);
    list(&pods, &["app"], &all());
    let counted = [2, 2, 0].map(Exactly);
    assert_eq!(pods.on_nodes(&nodes), counted);
    pods.delete("web-1");
    let counted = [2, 1, 0].map(Exactly);
    assert_eq!(pods.on_nodes(&nodes), counted);
    assert!(pods.unknown());
    let counted = [2, 1, 0].map(AtLeast);
    assert_eq!(pods.on_nodes(&nodes), counted);
}

#[test]
fn pods_are_counted_that_every_selector_matches() {
    let pods = Pods::default();
    list(&pods, &["app"], &all());
    assert_eq!(count(&pods, &[]), Some((6, 3, 3, 2)));
    assert_eq!(count(&pods, &[&app("web")]), Some((5, 2, 3, 2)));
    assert_eq!(count(&pods, &[&in_shop()]), Some((5, 2, 2, 1)));
    assert_eq!(count(&pods, &[&in_shop(), &app("web")]), Some((4, 1, 2, 1)));
    assert_eq!(count(&pods, &[&app("nothing")]), Some((0, 0, 0, 0)));
}

#[test]
fn the_guard_counts_workloads_of_verified_kinds_on_a_node() {
    let pods = Pods::default();
    let counted = |change: &dyn Fn(&mut Value)| {
        let mut object = pod("a", "shop", "web", "node-1", "web");
        change(&mut object);
        list(&pods, &[], &[object]);
        count(&pods, &[]).unwrap().1
    };
    let owner = |version: &'static str, kind: &'static str| {
        move |pod: &mut Value| {
            pod["metadata"]["ownerReferences"][1]["apiVersion"] = json!(version);
            pod["metadata"]["ownerReferences"][1]["kind"] = json!(kind);
        }
    };
    assert_eq!(counted(&owner("apps/v1", "ReplicaSet")), 1);
    assert_eq!(counted(&owner("batch/v1", "Job")), 1);
    assert_eq!(counted(&owner("x.example/v1", "ReplicaSet")), 0);
    assert_eq!(counted(&owner("v1", "Node")), 0);
    let no_controller =
        |pod: &mut Value| pod["metadata"]["ownerReferences"][1]["controller"] = json!(false);
    assert_eq!(counted(&no_controller), 0);
    // A pod without a node counts when it is scheduled.
    assert_eq!(counted(&|pod: &mut Value| pod["spec"] = json!({})), 0);
    assert_eq!(counted(&|pod| pod["spec"]["nodeName"] = json!("")), 0);
    let reader = Reader::new(BTreeSet::new());
    let scheduled = pod("a", "shop", "web", "node-1", "web").to_string();
    assert!(pods.apply(reader.read(scheduled.as_bytes()).unwrap()));
    assert_eq!(count(&pods, &[]), Some((1, 1, 1, 1)));
}

#[test]
fn the_guard_counts_at_most_100_workloads_of_a_namespace() {
    let pods = Pods::default();
    let many = |namespace: &'static str, number: usize| {
        let of = move |n: usize| {
            let uid = format!("{namespace}-{n}");
            // Owners in two namespaces have equal UIDs: a tenant wrote those of one.
            pod(&uid, namespace, "web", "node-1", &format!("owner-{n}"))
        };
        (0..number).map(of)
    };
    let mut objects: Vec<_> = many("shop", 120).chain(many("other", 3)).collect();
    objects.extend(many("third", 99));
    list(&pods, &["app"], &objects);
    assert_eq!(count(&pods, &[]), Some((222, 100 + 3 + 99, 1, 1)));
    assert_eq!(count(&pods, &[&in_shop()]), Some((120, 100, 1, 1)));
}

#[test]
fn a_namespace_that_is_not_known_has_no_labels() {
    let pods = Pods::default();
    list(&pods, &[], &[pod("a", "elsewhere", "web", "node-1", "web")]);
    let none = selectors(&json!({"namespaceSelector": {"matchExpressions": [
        {"key": "team", "operator": "DoesNotExist"}]}}));
    assert_eq!(count(&pods, &[&none]), Some((1, 1, 1, 1)));
    assert_eq!(count(&pods, &[&in_shop()]), Some((0, 0, 0, 0)));
}

#[test]
fn nothing_is_counted_before_a_list_is_complete_that_kept_the_label() {
    let pods = Pods::default();
    let reader = Reader::new(labels(&["app"]));
    pods.begin(&reader.label_keys);
    assert_eq!(count(&pods, &[]), None);
    list(&pods, &["app"], &all());
    let zone = selectors(&json!({"objectSelector": {"matchLabels": {"zone": "x"}}}));
    assert_eq!(count(&pods, &[&app("web"), &zone]), None);
    // While the next list is on its way, pods of both lists are there.
    let next = Reader::new(labels(&["zone"]));
    pods.begin(&next.label_keys);
    assert_eq!(
        (count(&pods, &[&app("web")]), count(&pods, &[&zone])),
        (None, None)
    );
    assert!(count(&pods, &[&in_shop()]).is_some());
    list(&pods, &["zone"], &all());
    assert_eq!(count(&pods, &[&zone]), Some((6, 3, 3, 2)));
    assert_eq!(count(&pods, &[&app("web")]), None);
}

#[test]
fn a_pod_that_a_new_list_does_not_name_does_not_exist() {
    let pods = Pods::default();
    list(&pods, &["app"], &all());
    let reader = Reader::new(labels(&["app"]));
    pods.begin(&reader.label_keys);
    assert_eq!(
        count(&pods, &[]),
        Some((6, 3, 3, 2)),
        "what was known stays"
    );
    let read = |object: &Value| reader.read(object.to_string().as_bytes()).unwrap();
    assert!(pods.apply(read(&all()[2])));
    pods.complete(&reader.label_keys);
    assert_eq!(count(&pods, &[]), Some((1, 1, 1, 0)));
    // It moves to another workload, label and node.
    assert!(pods.apply(read(&pod("db-1", "shop", "web", "node-1", "web"))));
    assert_eq!(count(&pods, &[&app("web")]), Some((1, 1, 1, 1)));
    pods.delete("db-1");
    assert_eq!(count(&pods, &[]), Some((0, 0, 0, 0)));
    assert_eq!(pods.lock().bytes(), 0);
}

#[test]
fn an_unknown_pod_might_match_and_is_never_monitored() {
    let pods = Pods::default();
    list(&pods, &["app"], &all());
    assert!(pods.unknown());
    assert!(!pods.unknown(), "the first one is logged");
    assert_eq!(count(&pods, &[&in_shop()]), Some((5, 2, 3, 1)));
    assert_eq!(count(&pods, &[&app("nothing")]), Some((0, 0, 1, 0)));
    // Known again with the next list, unless that has one.
    list(&pods, &["app"], &all());
    assert_eq!(count(&pods, &[&app("nothing")]), Some((0, 0, 0, 0)));
    let keys = labels(&["app"]);
    pods.begin(&keys);
    assert!(pods.unknown());
    pods.complete(&keys);
    assert!(pods.has_unknown());
}

#[test]
fn a_pod_has_no_more_than_selectors_need() {
    let mut large = pod("large", "shop", "web", "node-1", "web");
    for number in 0..1_000 {
        large["metadata"]["labels"][format!("a{number}")] = json!("x".repeat(63));
    }
    large["spec"]["containers"] = json!([{"name": "a", "env": vec![json!({"name": "A"}); 10_000]}]);
    large["metadata"]["annotations"] = json!({"a": "x".repeat(100_000)});
    let reader = Reader::new(labels(&["app"]));
    let read = |object: &Value| reader.read(object.to_string().as_bytes());
    let kept = read(&large).unwrap();
    let app = ("app".to_owned(), "web".to_owned());
    assert_eq!(kept.metadata.labels, Some(Labels::from([app])));
    assert_eq!(kept.metadata.annotations, None);
    // A pod with more owners than there is memory for has no workload.
    let owner = json!({"apiVersion": "v1", "kind": "x".repeat(20_000), "name": "o", "uid": "o", "controller": true});
    large["metadata"]["ownerReferences"] = json!([owner]);
    assert_eq!(read(&large).unwrap().metadata.owner_references, None);
    let unreadable = json!({"metadata": {"name": "bad", "uid": "bad"}, "spec": {"nodeName": 7}});
    assert!(read(&unreadable).is_err());
}

#[test]
fn what_no_api_server_creates_is_unknown() {
    let pods = Pods::default();
    let reader = Reader::new(BTreeSet::new());
    let read = |object: &Value| reader.read(object.to_string().as_bytes()).unwrap();
    let long = "x".repeat(UID_LIMIT + 1);
    assert!(!pods.apply(read(&pod(&long, "shop", "web", "node-1", "web"))));
    assert!(!pods.apply(read(&json!({"metadata": {"name": "no-uid"}}))));
    // A tenant writes the UID of an owner.
    let twins = [
        pod("a", "shop", "web", "node-1", &long),
        pod("b", "shop", "web", "node-1", &long),
    ];
    list(&pods, &[], &twins);
    assert_eq!(count(&pods, &[]), Some((2, 0, 1, 1)));
}

/// Pods of so many workloads, each label value its own if `unique`.
fn many(number: usize, workloads: usize, unique: bool) -> Vec<Vec<u8>> {
    let of = |n: usize| {
        let uid = format!("00000000-0000-4000-8000-{n:012}");
        let owner = format!("00000000-0000-4000-9000-{:012}", n % workloads);
        let app = if unique {
            format!("{n:063}")
        } else {
            "web".to_owned()
        };
        let node = format!("node-{:04}", n % 100);
        pod(&uid, "shop", &app, &node, &owner)
            .to_string()
            .into_bytes()
    };
    (0..number).map(of).collect()
}

#[test]
fn the_memory_of_pods_is_what_is_counted_and_stated() {
    // Bytes a pod: those that are stated, with 5 pods of a workload; and the worst that tenants can do.
    for (workloads, unique, most) in [(800, false, 200), (4_000, true, 1_400)] {
        let objects = many(4_000, workloads, unique);
        let pods = Pods::default();
        let taken = measure(|| {
            let reader = Reader::new(labels(&["app"]));
            for object in &objects {
                assert!(pods.apply(reader.read(object).unwrap()));
            }
        });
        let taken = usize::try_from(taken.bytes_current).unwrap();
        let counted = pods.lock().bytes();
        assert!(taken <= counted, "{taken} of {counted}");
        assert!(counted <= 4_000 * most, "{} bytes a pod", counted / 4_000);
    }
}

#[test]
fn pods_beyond_the_limit_are_unknown_and_known_when_there_is_memory() {
    const LIMIT: usize = 100_000;
    let pods = Pods::with_limit(LIMIT);
    let objects = many(1_000, 1_000, true);
    let reader = Reader::new(labels(&["app"]));
    let kept = objects
        .iter()
        .filter(|object| pods.apply(reader.read(object).unwrap()));
    let kept = kept.count();
    assert!((50..500).contains(&kept), "{kept}");
    assert!(pods.lock().bytes() <= LIMIT);
    pods.delete("00000000-0000-4000-8000-000000000000");
    let last = reader.read(&objects[999]).unwrap();
    assert!(pods.apply(last));
}
