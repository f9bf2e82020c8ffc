//! What holds an answer back, and what lets it go on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::Story;
use bailiff_e2e::workload::{BUSYBOX, deployment, disruption_budget};

fn begin(name: &str, more: &str) -> Story {
    let story = Story::begin(name);
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Evict]", more);
    story
}

#[test]
fn a_disruption_budget_holds_and_then_yields() {
    let story = begin("budget", "");
    story.apply(&disruption_budget("web", 0));
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    story.budget_counts("web");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "WaitingForDisruptionBudget");
    assert_eq!(incident["status"]["phase"], "Waiting");
    story.apply(&disruption_budget("web", 1));
    let _incident = story.incident(&pod, "no-cat", "Responded", "Evicted");
    let _incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    story.end();
}

#[test]
fn a_disruption_budget_that_never_yields_ends_the_wait_with_its_name() {
    let story = begin("budget-never", "guardrails: {evictionDeadlineSeconds: 2}");
    story.apply(&disruption_budget("holds-on", 0).replace("app: holds-on", "app: web"));
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    story.budget_counts("holds-on");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "EvictionDeadlineExceeded");
    assert!(
        incident["status"]["conditions"]
            .to_string()
            .contains("holds-on"),
        "{incident}"
    );
    story.end();
}

#[test]
fn two_disruption_budgets_on_a_pod_are_said_at_once() {
    let story = begin("budgets", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    for name in ["one", "two"] {
        story.apply(&disruption_budget(name, 1).replace(&format!("app: {name}"), "app: web"));
    }
    for name in ["one", "two"] {
        story.budget_counts(name);
    }
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let _incident = story.incident(&pod, "no-cat", "Responded", "MultipleDisruptionBudgets");
    story.end();
}

#[test]
fn a_workload_in_its_cooldown_waits_and_is_answered_afterwards() {
    let story = begin("cooldown", "guardrails: {cooldownPeriodSeconds: 60}");
    story.apply(&deployment("web", BUSYBOX));
    let first = story.ready_pod("app=web");
    let _cut_off = story.exec(&first, &["cat", "/etc/hostname"]);
    let incident = story.incident(&first, "no-cat", "Recovered", "ReplacementReady");
    let second = story.get(&[
        "pod",
        incident["status"]["replacement"]["name"].as_str().unwrap(),
    ]);
    let _ran = story.exec(&second, &["cat", "/etc/hostname"]);
    let _held = story.incident(&second, "no-cat", "Responded", "Cooldown");
    let _answered = story.incident(&second, "no-cat", "Responded", "Evicted");
    story.end();
}

#[test]
fn an_exempt_namespace_is_reported_and_left_alone() {
    // kube-system is exempt by the chart's defaults; nothing of the cluster's own is touched.
    let story = Story::begin("exempt");
    story.policy("no-cat", "!('cat' in process.names)");
    story.apply(
        r"
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicyBinding
metadata: {name: no-cat-NAMESPACE}
spec:
  policyName: no-cat-NAMESPACE
  matchResources: {objectSelector: {matchLabels: {app: NAMESPACE}}}
  responseActions: [Evict]
  guardrails: {unmanagedPodPolicy: Respond}
",
    );
    let pod = bailiff_e2e::workload::pod(&story.namespace, BUSYBOX, None)
        .replace("namespace: NAMESPACE", "namespace: kube-system");
    story.cluster.apply(&pod);
    let name = format!("pod/{}", story.namespace);
    story
        .cluster
        .wait("condition=Ready", &[&name, "-n", "kube-system"]);
    let pod = story.cluster.get(&[&name, "-n", "kube-system"]);
    let _ran = story.cluster.kubectl(&[
        "exec",
        "-n",
        "kube-system",
        &story.namespace,
        "--",
        "cat",
        "/etc/hostname",
    ]);
    let incident = format!("incident/{}", story.incident_name(&pod, "no-cat"));
    story
        .cluster
        .wait("create", &[&incident, "-n", "kube-system"]);
    story.cluster.wait(
        "jsonpath={.status.conditions[?(@.type==\"Responded\")].reason}=ExemptNamespace",
        &[&incident, "-n", "kube-system"],
    );
    let _deleted = story
        .cluster
        .kubectl(&["delete", &name, &incident, "-n", "kube-system"]);
    story.end();
}

#[test]
fn a_binding_that_used_up_its_evictions_of_the_minute_waits() {
    let story = begin(
        "rate",
        "guardrails: {cooldownPeriodSeconds: 0, maxEvictionsPerMinute: 1}",
    );
    for app in ["one", "two"] {
        story.apply(&deployment(app, BUSYBOX));
    }
    let (one, two) = (story.ready_pod("app=one"), story.ready_pod("app=two"));
    let _cut_off = story.exec(&one, &["cat", "/etc/hostname"]);
    let _answered = story.incident(&one, "no-cat", "Responded", "Evicted");
    let _ran = story.exec(&two, &["cat", "/etc/hostname"]);
    let incident = story.incident(&two, "no-cat", "Responded", "RateLimited");
    assert_eq!(incident["status"]["phase"], "Waiting");
    story.event("ResponseDelayed", "two");
    let described = story.kubectl(&["describe", "deployment", "two"]);
    assert!(described.contains("ResponseDelayed"), "{described}");
    // It is held, not dropped: within the minute it is answered.
    let _answered = story.incident(&two, "no-cat", "Responded", "Evicted");
    story.end();
}

#[test]
fn a_deletion_passes_a_disruption_budget_and_shortens_the_grace_period() {
    let story = Story::begin("delete");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Delete]", "gracePeriodSeconds: 1");
    story.apply(&disruption_budget("web", 0));
    // An application that does not end when it is asked to.
    story.apply(
        &deployment("web", BUSYBOX)
            .replace(
                "terminationGracePeriodSeconds: 0",
                "terminationGracePeriodSeconds: 3600",
            )
            .replace(
                "[sleep, '100000']",
                "[sh, -c, 'trap : TERM; while :; do sleep 1; done']",
            ),
    );
    let pod = story.ready_pod("app=web");
    story.budget_counts("web");
    let _cut_off = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "Deleted");
    assert_eq!(incident["status"]["response"]["action"], "Delete");
    // Who waits for the pod's own hour waits in vain.
    let name = format!("pod/{}", pod["metadata"]["name"].as_str().unwrap());
    story.wait("delete", &[&name]);
    story.end();
}

#[test]
fn no_grace_period_makes_a_pod_immune() {
    let story = begin("grace", "");
    let own = "terminationGracePeriodSeconds: 36000";
    for app in ["evicted", "deleted"] {
        // As process 1 of the container, sleep does not end when it is asked to.
        let app = deployment(app, BUSYBOX).replace("terminationGracePeriodSeconds: 0", own);
        story.apply(&app);
    }
    let (evicted, deleted) = (
        story.ready_pod("app=evicted"),
        story.ready_pod("app=deleted"),
    );
    let name = |pod: &serde_json::Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
    let grace_period = |pod: &serde_json::Value| {
        let pod = story.get(&["pod", &name(pod)]);
        pod["metadata"]["deletionGracePeriodSeconds"].as_i64()
    };
    // The default of response.maxGracePeriodSeconds.
    let cap = 300;
    let _ran = story.exec(&evicted, &["cat", "/etc/hostname"]);
    let _evicted = story.incident(&evicted, "no-cat", "Responded", "Evicted");
    assert_eq!(grace_period(&evicted), Some(cap));
    // Its user deletes the other one before it violates the policy.
    let _deleted = story.kubectl(&["delete", "pod", &name(&deleted), "--wait=false"]);
    assert_eq!(grace_period(&deleted), Some(36000));
    let _ran = story.exec(&deleted, &["cat", "/etc/hostname"]);
    let _shortened = story.incident(&deleted, "no-cat", "Responded", "GracePeriodShortened");
    let shortened = grace_period(&deleted);
    assert!(
        shortened.is_some_and(|seconds| seconds <= cap),
        "{shortened:?}"
    );
    for pod in [evicted, deleted] {
        let name = name(&pod);
        let _gone = story.kubectl(&["delete", "pod", &name, "--force", "--grace-period=0"]);
    }
    story.end();
}
