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

/// Two pods in a namespace of the policy, on two nodes of which one is covered; one elsewhere. And two that
/// cost nothing to create, which the guard does not count: one without a node, one without a workload.
fn cluster() -> Cluster {
    let pod = |namespace: &str, app: &str, node: &str| PodSeen {
        namespace: namespace.to_owned(),
        labels: Labels::from([("app".to_owned(), app.to_owned())]),
        node: Some(node.to_owned()),
        workload: Some(format!("{namespace}/{app}")),
    };
    let pending = PodSeen {
        node: None,
        workload: Some("decoy".to_owned()),
        ..pod("shop", "web", "")
    };
    let bare = PodSeen {
        workload: None,
        ..pod("shop", "web", "node-1")
    };
    Cluster {
        pods: vec![
            pending,
            bare,
            pod("shop", "web", "node-1"),
            pod("shop", "db", "node-2"),
            pod("other", "web", "node-3"),
        ],
        sensors: BTreeMap::from([("node-1".to_owned(), true), ("node-2".to_owned(), false)]),
        ..Cluster::default()
    }
}

fn namespaces() -> Namespaces {
    let team = |name: &str| Labels::from([("team".to_owned(), name.to_owned())]);
    ["shop", "other"]
        .map(|name| (name.to_owned(), team(name)))
        .into()
}

fn status_of(policy: &RuntimePolicy, failures: &Failures, now: Timestamp) -> RuntimePolicyStatus {
    let checked = Checked::new(policy);
    of_policy(policy, &checked, failures, (&cluster(), &namespaces()), now)
}

fn of(policy: &RuntimePolicy) -> RuntimePolicyStatus {
    status_of(policy, &Failures::default(), now())
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
fn a_pod_of_which_nothing_is_known_is_never_counted_as_monitored() {
    let good = policy(GOOD);
    let unknown = Cluster {
        unknown: 2,
        ..cluster()
    };
    let checked = Checked::new(&good);
    let seen = (&unknown, &namespaces());
    let status = of_policy(&good, &checked, &Failures::default(), seen, now());
    let coverage = status.coverage.unwrap();
    assert_eq!((coverage.matching_nodes, coverage.monitored_nodes), (3, 1));
}

#[test]
fn a_policy_says_whether_it_compiles_and_where_it_is_covered() {
    let good = policy(GOOD);
    let status = of(&good);
    assert_eq!(
        said(&status.conditions),
        ["Ready True Compiled: Every expression compiles."]
    );
    assert_eq!(status.observed_generation, Some(3));
    let coverage = status.coverage.unwrap();
    assert_eq!((coverage.matching_nodes, coverage.monitored_nodes), (2, 1));

    let bad = policy("process.nothing == 1");
    let status = of(&bad);
    let text = said(&status.conditions).join("\n");
    assert!(text.starts_with("Ready False CompileError: "), "{text}");
    assert!(text.contains("spec.validations[0].expression"), "{text}");
    assert_eq!(status.coverage, None, "it runs nowhere");
}

#[test]
fn evaluation_errors_of_incidents_are_told_by_the_failure_policy_and_stay_for_the_generation() {
    let nodes = |names: &[&str]| Failures {
        nodes: names.iter().map(|n| (*n).to_owned()).collect(),
    };
    let tail = "and Bailiff took no action. See the Incidents of type EvaluationFailed for the error, and fix the expression.";
    let mut good = policy(GOOD);
    let status = status_of(&good, &nodes(&["node-1"]), now());
    let want = format!(
        "EvaluationFailed True FailureReported: The policy could not be evaluated for a process on node node-1, {tail}"
    );
    assert_eq!(said(&status.conditions)[1], want);
    good.spec.failure_policy = FailurePolicy::Ignore;
    let status = status_of(&good, &nodes(&["node-1", "node-2", "node-3"]), now());
    let want = format!(
        "EvaluationFailed True FailureIgnored: The policy could not be evaluated for a process on node node-1 and 2 other nodes, {tail}"
    );
    assert_eq!(said(&status.conditions)[1], want);
    // The Incidents were deleted by age.
    good.status = Some(status);
    assert_eq!(said(&of(&good).conditions)[1], want);
    good.metadata.generation = Some(4);
    assert_eq!(of(&good).conditions.len(), 1, "the spec is another");
}

fn binding_status(
    binding: &RuntimePolicyBinding,
    policy: Option<RuntimePolicy>,
    config: &Config,
) -> (RuntimePolicyBindingStatus, usize) {
    let (_server, client) = bailiff_testing::ApiServer::playing([]);
    let (responder, _recovering) = crate::testing::World::new().controller(client, config.clone());
    let policy = policy.map(|p| (Arc::new(p.clone()), Arc::new(Checked::new(&p))));
    let guarded = Guarded {
        responder: &responder,
        config,
    };
    of_binding(
        binding,
        policy.as_ref(),
        &guarded,
        (&cluster(), &namespaces()),
        now(),
    )
}

#[tokio::test]
async fn a_binding_says_whether_it_works_and_whether_a_pod_matches() {
    let ready = "Ready True PolicyReady: RuntimePolicy no-shells exists and compiles.";
    let selects = |app: &str| json!({"objectSelector": {"matchLabels": {"app": app}}});
    let cases = [
        (
            Some(GOOD),
            selects("web"),
            vec![
                ready,
                "PodsMatched True MatchingPodsFound: The selectors match at least one pod.",
            ],
            1,
        ),
        (
            Some(GOOD),
            selects("nothing"),
            vec![
                ready,
                "PodsMatched False NoMatchingPods: No pod matches now. Check the selectors of the binding and of its policy.",
            ],
            0,
        ),
        (
            None,
            json!({}),
            vec![
                "Ready False PolicyNotFound: RuntimePolicy no-shells not found. Create it, or correct spec.policyName.",
            ],
            0,
        ),
        (
            Some("1 +"),
            json!({}),
            vec![
                "Ready False PolicyNotReady: RuntimePolicy no-shells does not compile. See its condition Ready for the position.",
            ],
            0,
        ),
        (
            Some(GOOD),
            json!({"objectSelector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}),
            vec![
                "Ready False InvalidSelector: spec.matchResources.objectSelector: the operator In for the label \"app\" needs at least one value",
            ],
            0,
        ),
    ];
    for (expression, matching, want, workloads) in cases {
        let binding = binding("no-shells", &matching);
        let (status, found) = binding_status(&binding, expression.map(policy), &Config::default());
        assert_eq!(said(&status.conditions), want);
        assert_eq!(status.coverage.is_some(), want.len() == 2);
        assert_eq!(found, workloads);
    }
}

#[tokio::test]
async fn a_binding_that_may_not_delete_says_so() {
    let mut binding = binding("no-shells", &json!({}));
    binding.spec.response_actions = vec![ResponseAction::Delete];
    for (allow_pod_deletion, want) in [
        (
            false,
            "Ready False PodDeletionNotAllowed: The action Delete is not allowed. Set the chart value response.allowPodDeletion to true, or use Evict.",
        ),
        (
            true,
            "Ready True PolicyReady: RuntimePolicy no-shells exists and compiles.",
        ),
    ] {
        let config = Config {
            allow_pod_deletion,
            ..Config::default()
        };
        let (status, _) = binding_status(&binding, Some(policy(GOOD)), &config);
        assert_eq!(said(&status.conditions)[0], want);
    }
}

#[test]
fn a_status_that_says_nothing_new_is_equal_to_the_one_before() {
    let mut good = policy(GOOD);
    let first = of(&good);
    good.status = Some(first.clone());
    let later = now() + jiff::SignedDuration::from_secs(60);
    assert_eq!(status_of(&good, &Failures::default(), later), first);
    let mut bad = policy("1 +");
    bad.status = Some(first);
    let changed = status_of(&bad, &Failures::default(), later);
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
    let status = of(&policy);
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
