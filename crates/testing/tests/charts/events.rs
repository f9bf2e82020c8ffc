//! The protection of Events that `bailiff status` believes, as the API server evaluates it.
//!
//! Here: what a sensor and the controller can write. Not here: roles (`permissions`), a real API server (`e2e`).
//! Invariant: a request of any other account does not match.

use crate::BY_DEFAULT;
use crate::facts::violated;
use bailiff_api::keys;
use bailiff_cel::admission::{Bindings, Optional, environment};
use bailiff_cel::{Evaluation, NEWEST_RELEASE, OLDEST_RELEASE, Value};
use serde_json::{Value as Json, json};

const POLICY: &str = "ValidatingAdmissionPolicy/bailiff-event-protection";
const NAME: &str = "the sensor and the controller of Bailiff can create and update only Events with their own reportingController";
const OBJECT: &str = "a sensor of Bailiff can write only Events about its own Node and its own Pod, which its token names";
const BOUNDED: &str = "a sensor of Bailiff can write only Events without related objects, finalizers and ownerReferences, and with at most 2 KiB of labels and annotations";

/// A request with a token that is bound to these: the names of a node and a pod, and the UID of the pod.
fn request(operation: &str, account: &str, bound: Option<[&str; 3]>) -> Json {
    let mut user = json!({"username": format!("system:serviceaccount:security:bailiff-{account}")});
    if let Some([node, pod, uid]) = bound {
        user["extra"] = json!({
            "authentication.kubernetes.io/credential-id": ["JTI=1"],
            "authentication.kubernetes.io/node-name": [node],
            "authentication.kubernetes.io/pod-name": [pod],
            "authentication.kubernetes.io/pod-uid": [uid],
        });
    }
    json!({"operation": operation, "userInfo": user})
}

fn event(reporter: &str, regarding: &Json) -> Json {
    json!({
        "metadata": {"name": "e"}, "reason": "R", "regarding": regarding,
        "reportingController": format!("bailiff.dev/{reporter}"),
    })
}

fn node(name: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": name})
}

fn pod(namespace: &str, name: &str, uid: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid})
}

const BOUND: [&str; 3] = ["node-1", "bailiff-sensor-x", "u-1"];

#[test]
fn a_sensor_writes_events_about_its_own_node_and_its_own_pod() {
    let of_sensor = |regarding: &Json| event("sensor", regarding);
    let own_node = of_sensor(&node("node-1"));
    let own_pod = of_sensor(&pod("security", "bailiff-sensor-x", "u-1"));
    let nothing = json!({"metadata": {}, "reportingController": "bailiff.dev/sensor"});
    for (what, object, want) in [
        ("its node", &own_node, &[][..]),
        ("its pod", &own_pod, &[]),
        ("another node", &of_sensor(&node("node-2")), &[OBJECT]),
        ("no node", &of_sensor(&node("")), &[OBJECT]),
        ("no object", &nothing, &[OBJECT]),
        (
            "another pod",
            &of_sensor(&pod("security", "bailiff-sensor-y", "u-1")),
            &[OBJECT],
        ),
        (
            "a pod that had its name",
            &of_sensor(&pod("security", "bailiff-sensor-x", "u-0")),
            &[OBJECT],
        ),
        (
            "a pod elsewhere",
            &of_sensor(&pod("shop", "bailiff-sensor-x", "u-1")),
            &[OBJECT],
        ),
        (
            "in the name of the controller",
            &event("controller", &node("node-1")),
            &[NAME],
        ),
    ] {
        let request = request("CREATE", "sensor", Some(BOUND));
        let found = violated("bailiff-event-protection", &request, object, None);
        assert_eq!(found, want, "{what}");
    }
    // Neither what is changed nor what comes of it may be another's.
    for (old, new, want) in [
        (&own_node, &own_node, &[][..]),
        (&of_sensor(&node("node-2")), &own_node, &[OBJECT]),
        (&own_node, &of_sensor(&node("node-2")), &[OBJECT]),
        (&event("controller", &node("node-1")), &own_node, &[NAME]),
    ] {
        let request = request("UPDATE", "sensor", Some(BOUND));
        let found = violated("bailiff-event-protection", &request, new, Some(old));
        assert_eq!(found, want, "{old} {new}");
    }
    let delete = request("DELETE", "sensor", Some(BOUND));
    let found = violated(
        "bailiff-event-protection",
        &delete,
        &Json::Null,
        Some(&own_node),
    );
    assert_eq!(found, [NAME]);
    // A token that is bound to no node and no pod, also where an Event names none.
    for bound in [None, Some([""; 3])] {
        let request = request("CREATE", "sensor", bound);
        for regarding in [node("node-1"), node(""), pod("security", "", "")] {
            let found = violated(
                "bailiff-event-protection",
                &request,
                &of_sensor(&regarding),
                None,
            );
            assert_eq!(found, [OBJECT], "{regarding}");
        }
    }
}

#[test]
fn an_event_of_a_sensor_is_small_and_keeps_nothing() {
    let with = |change: &dyn Fn(&mut Json)| {
        let mut object = event("sensor", &node("node-1"));
        change(&mut object);
        let request = request("CREATE", "sensor", Some(BOUND));
        violated("bailiff-event-protection", &request, &object, None)
    };
    let many: serde_json::Map<_, _> = (0..65).map(|n| (n.to_string(), json!(""))).collect();
    assert_eq!(with(&|_| ()), [""; 0]);
    let texts = |bytes: usize| json!({"c": "d".repeat(bytes - 1)});
    assert_eq!(
        with(&|e| e["metadata"]["annotations"] = texts(2048)),
        [""; 0]
    );
    assert_eq!(
        with(&|e| e["metadata"]["annotations"] = texts(2049)),
        [BOUNDED]
    );
    assert_eq!(with(&|e| e["metadata"]["labels"] = json!(many)), [BOUNDED]);
    assert_eq!(
        with(&|e| e["metadata"]["finalizers"] = json!(["a.example/b"])),
        [BOUNDED]
    );
    let owners = json!([{"kind": "Pod", "name": "a"}]);
    assert_eq!(
        with(&|e| e["metadata"]["ownerReferences"] = owners.clone()),
        [BOUNDED]
    );
    assert_eq!(with(&|e| e["related"] = node("node-2")), [BOUNDED]);
}

#[test]
fn the_controller_writes_events_in_its_own_name() {
    let request = request("CREATE", "controller", None);
    for (reporter, want) in [("controller", &[][..]), ("sensor", &[NAME])] {
        let object = event(reporter, &pod("shop", "web", "u"));
        let found = violated("bailiff-event-protection", &request, &object, None);
        assert_eq!(found, want, "{reporter}");
    }
}

#[test]
fn events_of_other_accounts_do_not_depend_on_it() {
    let objects = &*BY_DEFAULT;
    let policy = &objects[POLICY]["spec"];
    assert_eq!(policy["failurePolicy"], "Fail");
    let rules = json!([{
        "apiGroups": ["events.k8s.io"], "apiVersions": ["*"], "resources": ["events"],
        "operations": ["CREATE", "UPDATE", "DELETE"], "scope": "Namespaced",
    }]);
    assert_eq!(policy["matchConstraints"]["resourceRules"], rules);
    let binding = &objects["ValidatingAdmissionPolicyBinding/bailiff-event-protection"]["spec"];
    let want = json!({"policyName": keys::EVENT_PROTECTION, "validationActions": ["Deny"]});
    assert_eq!(*binding, want);
    let conditions = policy["matchConditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 1);
    let condition = conditions[0]["expression"].as_str().unwrap();
    for release in [OLDEST_RELEASE, NEWEST_RELEASE] {
        let env = environment(release, Optional::default());
        let program = env.compile(condition).unwrap();
        let matches = |user: &Json| {
            let request = json!({"userInfo": user});
            let bindings = Bindings {
                request: Some(&request),
                ..Bindings::default()
            };
            let met = Evaluation::new(&env, &bindings, 1000)
                .run(&program)
                .unwrap();
            met == Value::Bool(true)
        };
        for (user, want) in [
            ("system:serviceaccount:security:bailiff-sensor", true),
            ("system:serviceaccount:security:bailiff-controller", true),
            ("system:serviceaccount:security:bailiff-webhook", false),
            ("system:serviceaccount:shop:bailiff-sensor", false),
            ("system:node:node-1", false),
            ("jane", false),
        ] {
            let found = matches(&json!({"username": user}));
            assert_eq!(found, want, "{user}");
        }
    }
}
