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

fn coverage(matching_nodes: i32, monitored_nodes: i32) -> Coverage {
    Coverage {
        matching_nodes,
        monitored_nodes,
    }
}

fn matching(pods: usize, workloads: usize) -> Matching {
    Matching {
        pods,
        workloads,
        coverage: coverage(2, 1),
    }
}

fn status_of(policy: &RuntimePolicy, failures: &Failures, now: Timestamp) -> RuntimePolicyStatus {
    let checked = Checked::new(policy);
    of_policy(policy, &checked, failures, Some(coverage(2, 1)), now)
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
fn a_policy_says_whether_it_compiles_and_where_it_is_covered() {
    let good = policy(GOOD);
    let status = of(&good);
    assert_eq!(
        said(&status.conditions),
        ["Ready True Compiled: Every expression compiles."]
    );
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(status.coverage, Some(coverage(2, 1)));

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
    matching: Option<Matching>,
) -> RuntimePolicyBindingStatus {
    let (_server, client) = bailiff_testing::ApiServer::playing([]);
    let (responder, _recovering) = crate::testing::World::new().controller(client, config.clone());
    let policy = policy.map(|p| (Arc::new(p.clone()), Arc::new(Checked::new(&p))));
    let guarded = Guarded {
        responder: &responder,
        config,
    };
    of_binding(binding, policy.as_ref(), &guarded, matching, now())
}

const READY: &str = "Ready True PolicyReady: RuntimePolicy no-shells exists and compiles.";
const FOUND: &str = "PodsMatched True MatchingPodsFound: The selectors match at least one pod.";

#[tokio::test]
async fn a_binding_says_whether_it_works_and_whether_a_pod_matches() {
    let none = "PodsMatched False NoMatchingPods: No pod matches now. Check the selectors of the binding and of its policy.";
    let cases = [
        (Some(GOOD), json!({}), 2, vec![READY, FOUND]),
        (Some(GOOD), json!({}), 0, vec![READY, none]),
        (
            None,
            json!({}),
            2,
            vec![
                "Ready False PolicyNotFound: RuntimePolicy no-shells not found. Create it, or correct spec.policyName.",
            ],
        ),
        (
            Some("1 +"),
            json!({}),
            2,
            vec![
                "Ready False PolicyNotReady: RuntimePolicy no-shells does not compile. See its condition Ready for the position.",
            ],
        ),
        (
            Some(GOOD),
            json!({"objectSelector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}),
            2,
            vec![
                "Ready False InvalidSelector: spec.matchResources.objectSelector: the operator In for the label \"app\" needs at least one value",
            ],
        ),
    ];
    for (expression, selectors, pods, want) in cases {
        let binding = binding("no-shells", &selectors);
        let counted = Some(matching(pods, 1));
        let policy = expression.map(policy);
        let status = binding_status(&binding, policy, &Config::default(), counted);
        assert_eq!(said(&status.conditions), want);
        let coverage = (want.len() == 2).then_some(coverage(2, 1));
        assert_eq!(status.coverage, coverage);
        assert_eq!(status.observed_generation, Some(2));
    }
}

#[tokio::test]
async fn what_pods_decide_stays_for_the_generation_until_they_were_counted() {
    let config = Config::default();
    let mut binding = binding("no-shells", &json!({}));
    let of = |binding: &RuntimePolicyBinding, counted| {
        binding_status(binding, Some(policy(GOOD)), &config, counted)
    };
    let status = of(&binding, None);
    assert_eq!(said(&status.conditions), [READY]);
    assert_eq!(status.coverage, None);
    let counted = of(&binding, Some(matching(2, 1)));
    binding.status = Some(counted.clone());
    assert_eq!(of(&binding, None), counted);
    binding.metadata.generation = Some(3);
    let status = of(&binding, None);
    assert_eq!(said(&status.conditions), [READY]);
    assert_eq!(status.coverage, None);

    let mut good = policy(GOOD);
    let without = |policy: &RuntimePolicy| {
        let failures = Failures::default();
        of_policy(policy, &Checked::new(policy), &failures, None, now())
    };
    assert_eq!(without(&good).coverage, None);
    good.status = Some(status_of(&good, &Failures::default(), now()));
    assert_eq!(without(&good).coverage, Some(coverage(2, 1)));
    good.metadata.generation = Some(4);
    assert_eq!(without(&good).coverage, None);
}

const PAUSED: &str = "Paused True TooManyWorkloads: This binding would remove pods of 12 workloads instead of at most 10 within 10 minutes, so its responses wait. Check the policy and the Incidents. To resume, run: kubectl annotate runtimepolicybinding b bailiff.dev/resume=3/2 --overwrite";
const RESUMED: &str = "Paused False Resumed: Annotation bailiff.dev/resume=3/2 resumed the responses of this binding.";

/// A binding whose status records a pause, and says nothing else.
fn paused_binding() -> RuntimePolicyBinding {
    let mut binding = binding("no-shells", &json!({}));
    let status = json!({"observedGeneration": 2, "paused": {"policyUID": "", "policyGeneration": 3,
        "bindingGeneration": 2, "startTime": now(), "workloads": 12, "maxWorkloads": 10}});
    binding.status = Some(serde_json::from_value(status).unwrap());
    binding
}

fn resume(binding: &mut RuntimePolicyBinding) {
    let annotations = json!({"bailiff.dev/resume": "3/2"});
    binding.metadata.annotations = serde_json::from_value(annotations).unwrap();
}

#[tokio::test]
async fn a_binding_stays_paused_until_it_is_resumed_for_its_generations() {
    let config = Config::default();
    let of = |binding: &RuntimePolicyBinding, policy, counted| {
        let status = binding_status(binding, Some(policy), &config, counted);
        let before = binding.status.as_ref().unwrap();
        let paused = status.paused.is_some();
        assert!(!paused || status.paused == before.paused);
        (said(&status.conditions), paused)
    };
    let counted = Some(matching(2, 40));
    let says = |lines: &[&str], paused| (lines.iter().map(|l| (*l).to_owned()).collect(), paused);
    let mut binding = paused_binding();
    let paused = says(&[READY, FOUND, PAUSED], true);
    assert_eq!(of(&binding, policy(GOOD), counted), paused);
    assert_eq!(
        of(&binding, policy(GOOD), None),
        says(&[READY, PAUSED], true)
    );
    // The pause was of another generation of the policy.
    let mut changed = policy(GOOD);
    changed.metadata.generation = Some(4);
    for (counted, want) in [(counted, vec![READY, FOUND]), (None, vec![READY])] {
        assert_eq!(of(&binding, changed.clone(), counted), says(&want, false));
    }

    resume(&mut binding);
    let resumed = says(&[READY, FOUND, RESUMED], false);
    assert_eq!(of(&binding, policy(GOOD), counted), resumed);
    let status = binding_status(&binding, Some(policy(GOOD)), &config, counted);
    binding.status = Some(status);
    assert_eq!(of(&binding, policy(GOOD), counted), resumed, "it stays");
    assert_eq!(of(&binding, changed, counted), says(&[READY, FOUND], false));
}

#[tokio::test]
async fn what_a_condition_says_pauses_nothing() {
    let mut binding = paused_binding();
    let status = binding.status.as_mut().unwrap();
    status.paused = None;
    let message = PAUSED.trim_start_matches("Paused True TooManyWorkloads: ");
    let condition = json!({"type": "Paused", "status": "True", "reason": "TooManyWorkloads",
        "message": message, "lastTransitionTime": now()});
    status.conditions = vec![serde_json::from_value(condition).unwrap()];
    let counted = Some(matching(2, 40));
    let status = binding_status(&binding, Some(policy(GOOD)), &Config::default(), counted);
    assert_eq!(said(&status.conditions), [READY, FOUND]);
}

#[tokio::test]
async fn a_pause_outlives_a_policy_that_cannot_be_read_for_a_time() {
    let mut binding = paused_binding();
    let config = Config::default();
    let of = |binding: &RuntimePolicyBinding| {
        let status = binding_status(binding, None, &config, None);
        (said(&status.conditions)[1..].to_vec(), status.paused)
    };
    let before = binding.status.clone().unwrap();
    assert_eq!(of(&binding), (vec![PAUSED.to_owned()], before.paused));
    resume(&mut binding);
    assert_eq!(of(&binding), (vec![], None));
    let mut changed = paused_binding();
    changed.metadata.generation = Some(3);
    assert_eq!(of(&changed), (vec![], None));
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
        let status = binding_status(&binding, Some(policy(GOOD)), &config, Some(matching(1, 1)));
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
    let conditions = Conditions {
        before: &[],
        generation: None,
        now: now(),
    };
    let condition = conditions.of("Ready", false, "R", "é".repeat(40_000));
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
