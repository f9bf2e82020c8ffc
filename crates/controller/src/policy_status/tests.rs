//! What statuses say, word for word.

use super::*;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn policy(expression: &str) -> RuntimePolicy {
    serde_json::from_value(json!({
        "metadata": {"name": "no-shells", "generation": 3},
        "spec": {
            "matchConstraints": {"namespaceSelector": {"matchLabels": {"team": "shop"}}},
            "validations": [{"expression": expression}],
        },
    }))
    .unwrap()
}

fn binding(policy: &str, matching: &Value) -> RuntimePolicyBinding {
    serde_json::from_value(json!({
        "metadata": {"name": "b", "generation": 2},
        "spec": {"policyName": policy, "responseActions": ["Evict"], "matchResources": matching},
    }))
    .unwrap()
}

/// Two pods in a namespace of the policy, on two nodes of which one is covered; one elsewhere.
fn cluster() -> Cluster {
    let pod = |namespace: &str, app: &str, node: &str| PodSeen {
        namespace: namespace.to_owned(),
        labels: Labels::from([("app".to_owned(), app.to_owned())]),
        node: Some(node.to_owned()),
    };
    let team = |name: &str| Labels::from([("team".to_owned(), name.to_owned())]);
    Cluster {
        namespaces: BTreeMap::from([
            ("shop".to_owned(), team("shop")),
            ("other".to_owned(), team("other")),
        ]),
        pods: vec![
            pod("shop", "web", "node-1"),
            pod("shop", "db", "node-2"),
            pod("other", "web", "node-3"),
        ],
        covered: BTreeSet::from(["node-1".to_owned()]),
    }
}

const GOOD: &str = "process.origin != 'Exec'";

/// Type, status, reason and message of conditions.
fn said(conditions: &[Condition]) -> Vec<String> {
    conditions
        .iter()
        .map(|c| format!("{} {} {}: {}", c.type_, c.status, c.reason, c.message))
        .collect()
}

#[test]
fn a_policy_says_whether_it_compiles_and_where_it_is_covered() {
    let good = policy(GOOD);
    let status = of_policy(&good, &Checked::new(&good), &cluster(), now());
    assert_eq!(
        said(&status.conditions),
        ["Ready True Compiled: every expression compiles"]
    );
    assert_eq!(status.observed_generation, Some(3));
    let coverage = status.coverage.unwrap();
    assert_eq!((coverage.matching_nodes, coverage.monitored_nodes), (2, 1));

    let bad = policy("process.nothing == 1");
    let status = of_policy(&bad, &Checked::new(&bad), &cluster(), now());
    let text = said(&status.conditions).join("\n");
    assert!(text.starts_with("Ready False CompileError: "), "{text}");
    assert!(text.contains("spec.validations[0].expression"), "{text}");
    assert_eq!(status.coverage, None, "it runs nowhere");
}

#[test]
fn what_a_sensor_said_stays_until_the_spec_changes() {
    let mut good = policy(GOOD);
    let by_sensor = |generation| Condition {
        type_: "EvaluationFailed".to_owned(),
        status: "True".to_owned(),
        reason: "FailureIgnored".to_owned(),
        message: "on node n: …".to_owned(),
        observed_generation: Some(generation),
        last_transition_time: Time(now()),
    };
    for (generation, want) in [(3, vec!["Ready", "EvaluationFailed"]), (2, vec!["Ready"])] {
        // A list keeps the order in which the API server merged it.
        good.status = Some(RuntimePolicyStatus {
            conditions: vec![by_sensor(generation)],
            ..RuntimePolicyStatus::default()
        });
        let status = of_policy(&good, &Checked::new(&good), &cluster(), now());
        let types: Vec<_> = status.conditions.iter().map(|c| &c.type_).collect();
        assert_eq!(types, want, "generation {generation}");
        for condition in status.conditions.iter().skip(1) {
            assert_eq!(*condition, by_sensor(generation));
        }
    }
}

#[test]
fn a_binding_says_whether_it_works_and_whether_a_pod_matches() {
    let policies = |expression: &str| {
        let mut policies = Policies::default();
        policies.learn(&BTreeMap::from([(
            "no-shells".to_owned(),
            policy(expression),
        )]));
        policies
    };
    let ready = "Ready True PolicyReady: RuntimePolicy no-shells is there and compiles";
    let selects = |app: &str| json!({"objectSelector": {"matchLabels": {"app": app}}});
    let cases = [
        (
            "no-shells",
            GOOD,
            selects("web"),
            vec![ready, "PodsMatched True MatchingPodsFound: pods match"],
        ),
        (
            "no-shells",
            GOOD,
            selects("nothing"),
            vec![
                ready,
                "PodsMatched False NoMatchingPods: no pod matches now; check the selectors of the binding and of its policy",
            ],
        ),
        (
            "gone",
            GOOD,
            json!({}),
            vec![
                "Ready False PolicyNotFound: no RuntimePolicy is called gone; make one, or correct spec.policyName",
            ],
        ),
        (
            "no-shells",
            "1 +",
            json!({}),
            vec![
                "Ready False PolicyNotReady: RuntimePolicy no-shells does not compile; its condition Ready says where",
            ],
        ),
        (
            "no-shells",
            GOOD,
            json!({"objectSelector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}),
            vec![
                "Ready False InvalidSelector: spec.matchResources.objectSelector: the operator In for the label \"app\" needs at least one value",
            ],
        ),
    ];
    for (name, expression, matching, want) in cases {
        let binding = binding(name, &matching);
        let status = of_binding(&binding, &policies(expression), &cluster(), now());
        assert_eq!(said(&status.conditions), want);
        assert_eq!(status.coverage.is_some(), want.len() == 2);
    }
}

#[test]
fn a_status_that_says_nothing_new_is_equal_to_the_one_before() {
    let mut good = policy(GOOD);
    let first = of_policy(&good, &Checked::new(&good), &cluster(), now());
    good.status = Some(first.clone());
    let later = now() + jiff::SignedDuration::from_secs(60);
    assert_eq!(
        of_policy(&good, &Checked::new(&good), &cluster(), later),
        first
    );
    let mut bad = policy("1 +");
    bad.status = Some(first);
    let changed = of_policy(&bad, &Checked::new(&bad), &cluster(), later);
    assert_eq!(changed.conditions[0].last_transition_time.0, later);
}

#[test]
fn a_message_stays_within_the_limit_of_the_api() {
    let condition = condition(&[], "Ready", false, "R", "é".repeat(40_000), None, now());
    assert!(condition.message.len() <= MESSAGE_LIMIT);
    assert!(condition.message.ends_with('é'));
}

fn type_checking(expression: &str) -> Option<Value> {
    let policy = policy(expression);
    let checked = Checked::new(&policy);
    let status = of_policy(&policy, &checked, &cluster(), now());
    assert_eq!(
        checked.compiled.is_ok(),
        status.conditions[0].status == "True"
    );
    let status = serde_json::to_value(status).unwrap();
    status.get("typeChecking").cloned()
}

#[test]
fn a_policy_that_does_not_fit_a_pod_is_ready_and_warned_of() {
    assert_eq!(
        type_checking("object.spec.hostNetwrk == true"),
        Some(json!({"expressionWarnings": [{
            "fieldRef": "spec.validations[0].expression",
            "warning": "/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'hostNetwrk'\n | object.spec.hostNetwrk == true\n | ...........^\n",
        }]}))
    );
}

#[test]
fn nothing_found_is_told_from_not_checked() {
    assert_eq!(
        type_checking("object.spec.hostNetwork == true"),
        Some(json!({}))
    );
    assert_eq!(type_checking("object.spec.hostNetwork =="), None);
}
