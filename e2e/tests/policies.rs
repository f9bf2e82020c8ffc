//! Policies and bindings over their lives: several, changed, deleted, broken.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::Story;
use bailiff_e2e::workload::{BUSYBOX, deployment};
use jiff::Timestamp;
use serde_json::Value;
use std::time::{Duration, Instant};

const NO_CAT: &str = "!('cat' in process.names)";

#[test]
fn two_policies_at_once_evict_once_and_both_are_on_record() {
    let story = Story::begin("two");
    story.policy("no-cat", NO_CAT);
    story.policy("no-exec", "process.origin != 'Exec'");
    story.bind("no-cat", "[Evict]", "");
    story.bind("no-exec", "[Evict]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _cut_off = story.exec(&pod, &["cat", "/etc/hostname"]);
    let mut reasons = Vec::new();
    for policy in ["no-cat", "no-exec"] {
        let name = format!("incident/{}", story.incident_name(&pod, policy));
        story.wait("create", &[&name]);
        story.wait("condition=Responded", &[&name]);
        let incident = story.get(&[&name]);
        let conditions = incident["status"]["conditions"].as_array().unwrap();
        let responded = conditions
            .iter()
            .find(|c| c["type"] == "Responded")
            .unwrap();
        reasons.push(responded["reason"].as_str().unwrap().to_owned());
    }
    assert!(reasons.contains(&"Evicted".to_owned()), "{reasons:?}");
    assert!(
        reasons
            .iter()
            .all(|r| ["Evicted", "AlreadyTerminating", "PodNotFound"].contains(&r.as_str())),
        "{reasons:?}"
    );
    story.end();
}

#[test]
fn a_policy_without_a_binding_does_nothing() {
    let story = Story::begin("unbound");
    story.policy("no-cat", NO_CAT);
    story.policy("witness", NO_CAT);
    story.bind("witness", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    assert!(ran.success, "{}", ran.stderr);
    // The witness sees the same process, so when it is answered the other would have been.
    let _incident = story.incident(&pod, "witness", "Responded", "AuditOnly");
    let incidents = story.get(&["incidents"]);
    assert_eq!(incidents["items"].as_array().unwrap().len(), 1);
    story.end();
}

#[test]
fn under_audit_the_pod_stays_and_the_incident_says_what_would_have_been_done() {
    let story = Story::begin("audit");
    story.policy("no-cat", NO_CAT);
    story.bind("no-cat", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "AuditOnly");
    assert_eq!(incident["status"]["dryRunResponse"]["action"], "Evict");
    assert_eq!(incident["status"]["phase"], "Audited");
    let still = story.get(&["pod", pod["metadata"]["name"].as_str().unwrap()]);
    assert!(still["metadata"]["deletionTimestamp"].is_null());
    story.end();
}

#[test]
fn a_changed_policy_is_the_one_that_counts() {
    let story = Story::begin("changed");
    story.policy("rule", "!('tac' in process.names)");
    story.bind("rule", "[Audit]", "");
    story.policy("witness", NO_CAT);
    story.bind("witness", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let _seen = story.incident(&pod, "witness", "Responded", "AuditOnly");
    let name = story.incident_name(&pod, "rule");
    assert!(
        !story
            .kubectl(&["get", "incidents", "-o", "name"])
            .contains(&name)
    );

    story.policy("rule", NO_CAT);
    story.cluster.wait(
        "jsonpath={.status.observedGeneration}=2",
        &[&format!("runtimepolicy/rule-{}", story.namespace)],
    );
    // The sensor learns of the change by its watch, as the controller did by another.
    let listed = || story.kubectl(&["get", "incidents", "-o", "name"]);
    story.exec_until(&pod, &["cat", "/etc/hostname"], || listed().contains(&name));
    let incident = story.incident(&pod, "rule", "Responded", "AuditOnly");
    assert_eq!(incident["spec"]["policyRef"]["generation"], 2);
    story.end();
}

#[test]
fn a_policy_that_does_not_compile_says_where_and_never_runs() {
    let story = Story::begin_alone("broken");
    let policy = format!(
        "{{apiVersion: bailiff.dev/v1alpha1, kind: RuntimePolicy, metadata: {{name: broken-{}}}, spec: {{validations: [{{expression: 'process.nmaes == 1'}}]}}}}",
        story.namespace
    );
    let rejected = story.cluster.try_apply(&policy);
    let why = "spec.validations[0].expression: 1:8: undefined field 'nmaes'; did you mean 'names'?";
    assert!(
        !rejected.success && rejected.stderr.contains(why),
        "{}",
        rejected.stderr
    );
    // While the webhook is down, the policy is stored, and its condition says the same.
    let down = story.scale_webhook(0);
    story.cluster.apply(&policy);
    drop(down);
    let policy = format!("runtimepolicy/broken-{}", story.namespace);
    story.cluster.wait("condition=Ready=false", &[&policy]);
    let object = story.cluster.get(&[&policy]);
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|c| c["type"] == "Ready").unwrap();
    assert_eq!(ready["reason"], "CompileError");
    let message = ready["message"].as_str().unwrap();
    assert!(
        message.contains("spec.validations[0].expression") && message.contains("nmaes"),
        "{message}"
    );
    story.apply(
        "{apiVersion: bailiff.dev/v1alpha1, kind: RuntimePolicyBinding, metadata: {name: broken-NAMESPACE}, spec: {policyName: broken-NAMESPACE, responseActions: [Evict]}}",
    );
    story.cluster.wait(
        "condition=Ready=false",
        &[&format!("runtimepolicybinding/broken-{}", story.namespace)],
    );
    story.end();
}

#[test]
fn a_binding_without_its_policy_says_so() {
    let story = Story::begin("orphan");
    story.apply(
        "{apiVersion: bailiff.dev/v1alpha1, kind: RuntimePolicyBinding, metadata: {name: orphan-NAMESPACE}, spec: {policyName: nowhere-NAMESPACE, responseActions: [Audit]}}",
    );
    let name = format!("runtimepolicybinding/orphan-{}", story.namespace);
    story.cluster.wait(
        "jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=PolicyNotFound",
        &[&name],
    );
    story.end();
}

#[test]
fn a_deleted_policy_evicts_nobody_and_a_deleted_namespace_stays_deleted() {
    let story = Story::begin("deleted");
    story.policy("rule", NO_CAT);
    story.bind("rule", "[Evict]", "");
    story.policy("witness", NO_CAT);
    story.bind("witness", "[Audit]", "");
    let _deleted = story.cluster.kubectl(&[
        "delete",
        "runtimepolicy",
        &format!("rule-{}", story.namespace),
    ]);
    story.cluster.wait(
        "jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=PolicyNotFound",
        &[&format!("runtimepolicybinding/rule-{}", story.namespace)],
    );
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    assert!(ran.success, "{}", ran.stderr);
    let _incident = story.incident(&pod, "witness", "Responded", "AuditOnly");
    assert_eq!(
        story.get(&["incidents"])["items"].as_array().unwrap().len(),
        1
    );
    let _deleted =
        story
            .cluster
            .kubectl(&["delete", "namespace", &story.namespace, "--timeout=300s"]);
    story.end_of_cluster_objects();
}

#[test]
fn the_api_server_refuses_what_makes_no_sense() {
    let story = Story::begin("schema");
    for (actions, refusal) in [
        ("[Evict, Delete]", "must not contain both Evict and Delete"),
        ("[]", "should have at least 1 items"),
        (
            "[Kill]",
            "supported values: \"Audit\", \"Evict\", \"Delete\"",
        ),
    ] {
        let output = story.cluster.try_apply(&format!(
            "{{apiVersion: bailiff.dev/v1alpha1, kind: RuntimePolicyBinding, metadata: {{name: {}}}, spec: {{policyName: p, responseActions: {actions}}}}}",
            story.namespace
        ));
        assert!(
            !output.success && output.stderr.contains(refusal),
            "{actions}: {}",
            output.stderr
        );
    }
    story.end();
}

#[test]
fn a_binding_that_begins_to_enforce_answers_what_goes_on() {
    let story = Story::begin("enforce");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "AuditOnly");
    assert_eq!(incident["status"]["phase"], "Audited", "{incident}");
    assert_eq!(
        incident["status"]["dryRunResponse"]["action"], "Evict",
        "{incident}"
    );
    story.bind("no-cat", "[Evict]", "");
    // The sensor learns of the change by its watch, as of a policy: what it judged before that is
    // an audit still.
    let name = story.incident_name(&pod, "no-cat");
    story.exec_until(&pod, &["cat", "/etc/hostname"], || {
        story.get(&["incident", &name])["status"]["phase"] != "Audited"
    });
    let incident = story.incident(&pod, "no-cat", "Responded", "Evicted");
    assert!(incident["status"]["dryRunResponse"].is_null(), "{incident}");
    story.end();
}

#[test]
fn an_expression_that_fails_at_run_time_only_reports() {
    let story = Story::begin("fails");
    story.policy(
        "fails",
        "!('cat' in process.names) || object.metadata.annotations['nobody-has-this'] == ''",
    );
    story.bind("fails", "[Evict]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    assert!(ran.success, "{}", ran.stderr);
    let policy = story
        .cluster
        .get(&["runtimepolicy", &format!("fails-{}", story.namespace)]);
    let name = story.evaluation_error(&policy);
    story.wait("create", &[&name]);
    story.wait(
        "jsonpath={.status.conditions[?(@.type==\"Responded\")].reason}=EvaluationFailed",
        &[&name],
    );
    let incident = story.get(&[&name]);
    let message = incident["spec"]["violations"][0]["message"]
        .as_str()
        .unwrap();
    assert!(message.contains("no such key"), "{message}");
    let still = story.get(&["pod", pod["metadata"]["name"].as_str().unwrap()]);
    assert!(still["metadata"]["deletionTimestamp"].is_null());
    story.end();
}

#[test]
fn an_evaluation_error_that_a_policy_ignores_is_an_incident_and_a_condition_of_this_generation() {
    let story = Story::begin("ignores");
    let fails = |label: &str| {
        story.apply(&format!(
            "{{apiVersion: bailiff.dev/v1alpha1, kind: RuntimePolicy, metadata: {{name: ignores-NAMESPACE}}, spec: {{failurePolicy: Ignore, validations: [{{expression: \"!('cat' in process.names) || object.metadata.labels[process.args[1]] == '{label}'\"}}]}}}}"
        ));
    };
    let name = format!("runtimepolicy/ignores-{}", story.namespace);
    fails("a");
    story.cluster.wait("condition=Ready", &[&name]);
    story.bind("ignores", "[Evict]", "");
    story.policy("witness", NO_CAT);
    story.bind("witness", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    assert!(ran.success, "{}", ran.stderr);
    story.cluster.wait("condition=EvaluationFailed", &[&name]);
    let of = |type_: &str| {
        let policy = story.cluster.get(&[&name]);
        let conditions = policy["status"]["conditions"].as_array().unwrap().clone();
        conditions.into_iter().find(|c| c["type"] == type_)
    };
    let failed = of("EvaluationFailed").unwrap();
    assert_eq!(failed["reason"], "FailureIgnored");
    assert_eq!(failed["observedGeneration"], 1);
    let message = failed["message"].as_str().unwrap();
    // Everybody reads policies, and arguments may be passwords.
    assert!(!message.contains("hostname"), "{message}");
    assert_eq!(of("Ready").unwrap()["status"], "True");
    // The Incident has the error; the witness saw the same process.
    let _incident = story.incident(&pod, "witness", "Responded", "AuditOnly");
    let error = story.evaluation_error(&story.cluster.get(&[&name]));
    let error = story.get(&[&error]);
    assert_eq!(error["spec"]["type"], "EvaluationFailed");
    assert_eq!(error["spec"]["policyRef"]["generation"], 1);
    let still = story.get(&["pod", pod["metadata"]["name"].as_str().unwrap()]);
    assert!(still["metadata"]["deletionTimestamp"].is_null());

    // It is not reported of a spec that nobody has tried yet …
    fails("b");
    story
        .cluster
        .wait("jsonpath={.status.observedGeneration}=2", &[&name]);
    assert_eq!(of("EvaluationFailed"), None);
    // … and again when that fails, too, which each sensor learns by its watch.
    story.exec_until(&pod, &["cat", "/etc/hostname"], || {
        of("EvaluationFailed").is_some()
    });
    assert_eq!(of("EvaluationFailed").unwrap()["observedGeneration"], 2);
    story.end();
}

/// Waits for the Incident of a pod in Bailiff's namespace to have a condition with a reason; the Incident.
fn in_bailiffs_namespace(story: &Story, pod: &Value, condition: &str, reason: &str) -> Value {
    let name = format!("incident/{}", story.incident_name(pod, "no-cat"));
    let incident = [name.as_str(), "-n", bailiff_e2e::NAMESPACE];
    story.cluster.wait("create", &incident);
    let reached =
        format!("jsonpath={{.status.conditions[?(@.type==\"{condition}\")].reason}}={reason}");
    story.cluster.wait(&reached, &incident);
    let incident = story.cluster.get(&incident);
    assert_eq!(incident["spec"]["pod"]["namespace"], story.namespace);
    let here = story.get(&["incidents"]);
    assert_eq!(here["items"].as_array().unwrap().len(), 0, "{here}");
    incident
}

/// An admission webhook that nobody serves. It is called for Incidents of the story's pods alone, in the namespaces that
/// a selector names.
fn rejecting_webhook(selector: &str) -> String {
    format!(
        r"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: NAMESPACE}}
webhooks:
- name: incidents.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 1
  clientConfig: {{service: {{name: nobody, namespace: NAMESPACE}}}}
  namespaceSelector: {{matchExpressions: [{{key: kubernetes.io/metadata.name, operator: In, values: {selector}}}]}}
  rules:
  - {{apiGroups: [bailiff.dev], apiVersions: ['*'], operations: [CREATE], resources: [incidents]}}
  matchConditions:
  - {{name: of-the-story, expression: object.spec.pod.namespace == 'NAMESPACE'}}
"
    )
}

#[test]
fn neither_a_quota_nor_a_webhook_of_a_tenant_suppresses_the_response() {
    let story = Story::begin("quota");
    story.policy("no-cat", NO_CAT);
    story.bind("no-cat", "[Evict]", "");
    story.apply(
        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: none, namespace: NAMESPACE}, spec: {hard: {count/incidents.bailiff.dev: '0'}}}",
    );
    story.wait("jsonpath={.status.hard}", &["resourcequota/none"]);
    let violate = |app: &str| {
        story.apply(&deployment(app, BUSYBOX));
        let pod = story.ready_pod(&format!("app={app}"));
        let _cut_off = story.exec(&pod, &["cat", "/etc/hostname"]);
        pod
    };
    let limited = violate("limited");
    let _deleted = story.kubectl(&["delete", "resourcequota", "none"]);
    let recovered = |pod: &Value| {
        let incident = in_bailiffs_namespace(&story, pod, "Recovered", "ReplacementReady");
        assert_eq!(incident["status"]["response"]["action"], "Evict");
        let name = incident["metadata"]["name"].as_str().unwrap();
        let of = ["incident", name, "-n", bailiff_e2e::NAMESPACE];
        let _deleted = story.cluster.kubectl(&[&["delete"], &of[..]].concat());
    };
    recovered(&limited);
    // The API server knows the webhook before the pod is Ready.
    story.apply(&rejecting_webhook("[NAMESPACE]"));
    recovered(&violate("rejected"));

    // If it is rejected in Bailiff's namespace too, people learn of it.
    story.apply(&rejecting_webhook("[NAMESPACE, bailiff-system]"));
    let pod = violate("lost");
    let sensor = bailiff_e2e::token::sensor_on(&story, &pod["spec"]["nodeName"], true);
    let sensor = sensor["metadata"]["name"].as_str().unwrap();
    let fields = format!("reason=IncidentsNotRecorded,involvedObject.name={sensor}");
    let select = [
        "events",
        "-n",
        bailiff_e2e::NAMESPACE,
        "--field-selector",
        &fields,
    ];
    story.cluster.wait("create", &select);
    let status = story.cluster.bailiff(&["status"]);
    let row = format!("incidents-not-recorded/{sensor}");
    let row = status.stdout.lines().find(|line| line.starts_with(&row));
    let row = row.unwrap_or_else(|| panic!("{}", status.stdout));
    assert!(!status.success && row.contains("Failed"), "{row}");
    let webhook = ["validatingwebhookconfiguration", &story.namespace];
    let _deleted = story.cluster.kubectl(&[&["delete"], &webhook[..]].concat());
    // `bailiff status` reports it for an hour, and other stories ask whether all is well.
    let _deleted = story.cluster.kubectl(&[&["delete"], &select[..]].concat());
    story.end();
}

/// Bytes of memory of a sensor that count against its limit, measured after a time.
fn memory_after(story: &Story, sensor: &Value, time: Timestamp) -> u64 {
    let node = sensor["spec"]["nodeName"].as_str().unwrap();
    let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let summary = story.cluster.kubectl(&["get", "--raw", &path]);
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let mut pods = summary["pods"].as_array().unwrap().iter();
        let pod = pods.find(|pod| pod["podRef"]["uid"] == sensor["metadata"]["uid"]);
        // The kubelet's working set is memory.current without inactive file pages.
        let memory = pod.map(|pod| &pod["containers"][0]["memory"]);
        if let Some(memory) = memory
            && let (Some(measured), Some(bytes)) =
                (memory["time"].as_str(), memory["workingSetBytes"].as_u64())
            && measured.parse::<Timestamp>().unwrap() > time
        {
            return bytes;
        }
        assert!(Instant::now() < deadline, "{memory:?}");
        std::thread::sleep(Duration::from_secs(2));
    }
}

#[test]
fn many_large_pods_do_not_blind_a_node() {
    // It removes a sensor, which other stories depend on.
    let story = Story::begin_alone("large");
    story.policy("no-cat", NO_CAT);
    story.bind("no-cat", "[Evict]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let node = pod["spec"]["nodeName"].as_str().unwrap();
    let sensor = || bailiff_e2e::token::sensor_on(&story, &pod["spec"]["nodeName"], true);
    let restarts = |sensor: &Value| {
        let statuses = &sensor["status"]["containerStatuses"];
        statuses[0]["restartCount"].as_u64().unwrap()
    };
    let before = sensor();
    // They need not start: that they name the node is enough.
    let value = "x".repeat(1 << 20);
    let namespace = &story.namespace;
    for number in 0..110 {
        story.cluster.create(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: large-{number}, namespace: {namespace}}}, spec: {{nodeName: {node}, nodeSelector: {{none: none}}, containers: [{{name: none, image: {BUSYBOX}, env: [{{name: A, value: {value}}}]}}]}}}}"
        ));
    }
    // The sensor that saw them come is the same as before.
    let after = sensor();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(restarts(&after), restarts(&before));
    // One that starts lists all of them.
    let name = before["metadata"]["name"].as_str().unwrap();
    let namespace = ["-n", bailiff_e2e::NAMESPACE];
    let _deleted = story
        .cluster
        .kubectl(&["delete", "pod", name, namespace[0], namespace[1]]);
    let on = format!("spec.nodeName={node}");
    let label = "app.kubernetes.io/component=sensor";
    let select = ["pod", "-l", label, "--field-selector", &on];
    for state in ["create", "condition=Ready"] {
        story
            .cluster
            .wait(state, &[&select[..], &namespace].concat());
    }
    let started = sensor();
    let _cut_off = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "Evicted");
    let created = incident["metadata"]["creationTimestamp"].as_str().unwrap();
    let bytes = memory_after(&story, &started, created.parse().unwrap());
    assert!(bytes < 64 << 20, "{bytes} bytes");
    let after = sensor();
    assert_eq!(after["metadata"]["uid"], started["metadata"]["uid"]);
    assert_eq!(restarts(&after), 0);
    story.end();
}

#[test]
fn the_library_installs_and_its_policies_answer_when_they_are_bound() {
    let story = Story::begin("library");
    let helm = |arguments: &[&str]| {
        let output = bailiff_e2e::helm(&story.cluster, arguments);
        assert!(output.success, "{}{}", output.stdout, output.stderr);
    };
    helm(&[
        "install",
        "bailiff-policies",
        "../charts/bailiff-policies",
        "-n",
        bailiff_e2e::NAMESPACE,
    ]);
    let names = story.cluster.kubectl(&[
        "get",
        "runtimepolicies",
        "-l",
        "app.kubernetes.io/name=bailiff-policies",
        "-o",
        "name",
    ]);
    assert_eq!(names.lines().count(), 6, "{names}");
    for name in names.lines() {
        story.cluster.wait("condition=Ready", &[name]);
    }
    let names = story.cluster.kubectl(&[
        "get",
        "imageadmissionpolicies",
        "-l",
        "app.kubernetes.io/name=bailiff-policies",
        "-o",
        "name",
    ]);
    assert_eq!(names.lines().count(), 3, "{names}");
    for name in names.lines() {
        story.cluster.wait("condition=Rendered", &[name]);
    }
    story.apply(
        "{apiVersion: bailiff.dev/v1alpha1, kind: RuntimePolicyBinding, metadata: {name: library-NAMESPACE}, spec: {policyName: no-shells-through-exec, matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}, responseActions: [Evict]}}",
    );
    let binding = format!("runtimepolicybinding/library-{}", story.namespace);
    story.cluster.wait("condition=Ready", &[&binding]);
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _cut_off = story.exec(&pod, &["sh", "-c", "sleep 5"]);
    let policy = story
        .cluster
        .get(&["runtimepolicy", "no-shells-through-exec"]);
    let name = bailiff_api::incident_name(
        pod["metadata"]["uid"].as_str().unwrap(),
        policy["metadata"]["uid"].as_str().unwrap(),
        pod["spec"]["nodeName"].as_str().unwrap(),
    );
    let name = format!("incident/{name}");
    story.wait("create", &[&name]);
    story.wait("condition=Recovered", &[&name]);
    helm(&[
        "uninstall",
        "bailiff-policies",
        "-n",
        bailiff_e2e::NAMESPACE,
    ]);
    story.end();
}

#[test]
fn a_namespace_that_is_deleted_while_a_response_waits_is_gone() {
    let story = Story::begin("going");
    story.policy("no-cat", NO_CAT);
    story.bind("no-cat", "[Evict]", "gracePeriodSeconds: 10");
    story.apply(&bailiff_e2e::workload::disruption_budget("web", 0));
    story.apply(&deployment("web", BUSYBOX));
    // As process 1 of the container, sleep does not end when it is asked to.
    let late = bailiff_e2e::workload::pod("late", BUSYBOX, None);
    // Kubelets shorten no termination that they began (kubernetes/kubernetes#113606), so the namespace waits so long.
    let own = "terminationGracePeriodSeconds: 60";
    story.apply(&late.replace("terminationGracePeriodSeconds: 0", own));
    let (pod, late) = (story.ready_pod("app=web"), story.ready_pod("app=late"));
    story.budget_counts("web");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let _held = story.incident(&pod, "no-cat", "Responded", "WaitingForDisruptionBudget");
    let of_namespace = format!("namespace/{}", story.namespace);
    let _deleted = story
        .cluster
        .kubectl(&["delete", &of_namespace, "--wait=false"]);
    // What runs on in it is not immune: nothing can be created there, and the Incident goes to Bailiff's.
    story.wait("jsonpath={.metadata.deletionTimestamp}", &["pod/late"]);
    let _ran = story.exec(&late, &["cat", "/etc/hostname"]);
    let name = format!("incident/{}", story.incident_name(&late, "no-cat"));
    let incident = [name.as_str(), "-n", bailiff_e2e::NAMESPACE];
    story.cluster.wait("create", &incident);
    story.cluster.wait(
        "jsonpath={.status.conditions[?(@.type==\"Responded\")].reason}=GracePeriodShortened",
        &incident,
    );
    story.cluster.wait("delete", &[&of_namespace]);
    story.end_of_cluster_objects();
}
