//! Previews of a mock API server, word for word.

use super::{PreviewArgs, show};
use crate::Error;
use bailiff_api::protection;
use bailiff_testing::{ApiServer, Call};
use clap::Parser as _;
use serde_json::{Value as Json, json};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    preview: PreviewArgs,
}

/// The objects of a cluster, and what the API server says about the eviction.
struct Scenario {
    pod: Json,
    environment: Json,
    switch: Json,
    binding: Json,
    policy: Json,
    incidents: Vec<Json>,
    /// Whether the user can evict pods; `None`: it is not asked.
    allowed: Option<bool>,
    /// The Deployment of the controller exists.
    is_installed: bool,
    /// The response to the dry run; `None`: there is none.
    eviction: Option<Call>,
    /// All pods, if they are counted, and whether the user can list them.
    counted: Option<Result<Vec<Json>, ()>>,
}

const PODS: &str = "/api/v1/namespaces/shop/pods";

fn eviction() -> Call {
    // Nothing is evicted: the request and its options are a dry run.
    Call::post(&format!("{PODS}/db-0/eviction?&dryRun=All")).with(json!({
        "deleteOptions": {"dryRun": ["All"], "preconditions": {"uid": "pod"}},
    }))
}

fn scenario() -> Scenario {
    Scenario {
        pod: json!({
            "metadata": {"name": "db-0", "namespace": "shop", "uid": "pod", "labels": {"app": "db"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db",
                    "uid": "set", "controller": true}]},
            "spec": {"nodeName": "node-1", "containers": [{"name": "db"}],
                "terminationGracePeriodSeconds": 60},
        }),
        environment: json!([{"name": "BAILIFF_RESPONSE_MAX_GRACE_PERIOD_SECONDS", "value": "20"}]),
        switch: json!({"mode": "Enforce"}),
        binding: json!({
            "metadata": {"name": "shop", "uid": "binding", "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"policyName": "only-db", "responseActions": ["Evict"],
                "matchResources": {"objectSelector": {"matchLabels": {"app": "db"}}}},
        }),
        policy: json!({
            "metadata": {"name": "only-db", "uid": "policy", "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"validations": [{"expression": "'db' in process.names"}]},
        }),
        incidents: Vec::new(),
        allowed: Some(true),
        is_installed: true,
        eviction: Some(eviction()),
        counted: None,
    }
}

/// Runs the command with these flags; its output and its warnings.
async fn run(scenario: Scenario, target: &str, flags: &[&str]) -> (String, String) {
    let (result, out, err) = outcome(scenario, target, flags).await;
    result.unwrap();
    (out, err)
}

/// Runs the command with these flags; its result, its output and its warnings.
async fn outcome(
    scenario: Scenario,
    target: &str,
    flags: &[&str],
) -> (Result<(), Error>, String, String) {
    let list = |items: Vec<Json>| json!({"metadata": {}, "items": items});
    let set = json!({"metadata": {"name": "db", "namespace": "shop", "uid": "set"},
        "spec": {"selector": {"matchLabels": {"app": "db"}}}});
    let sets = "/apis/apps/v1/namespaces/shop/statefulsets/db";
    let crds = "/apis/bailiff.dev/v1alpha1";
    let admission = "/apis/admissionregistration.k8s.io/v1";
    let deployment = "/apis/apps/v1/namespaces/bailiff-system/deployments/bailiff-controller";
    let object = |object: &dyn erased::Json| object.json();
    let mut rounds = Vec::new();
    if target.starts_with("pod/") {
        rounds.push(vec![Call::get(&format!("{PODS}/db-0")).gives(scenario.pod)]);
    } else {
        rounds.push(vec![Call::get(sets).gives(set.clone())]);
        // The pods are found with the selector of the workload.
        let path = format!("{PODS}?&labelSelector=app%3Ddb&limit=100");
        rounds.push(vec![Call::get(&path).gives(list(vec![scenario.pod]))]);
    }
    rounds.push(vec![Call::get(sets).gives(set)]);
    rounds.push(vec![
        Call::get("/api/v1/namespaces/shop").gives(json!({"metadata": {"name": "shop"}})),
        if scenario.is_installed {
            Call::get(deployment).gives(json!({"metadata": {}, "spec": {"selector": {},
                "template": {"spec": {"containers": [
                    {"name": "controller", "env": scenario.environment}]}}}}))
        } else {
            let message = "deployments.apps \"bailiff-controller\" not found";
            Call::get(deployment).fails(404, "NotFound", message)
        },
        Call::get("/api/v1/namespaces/bailiff-system/configmaps/bailiff-response")
            .gives(json!({"metadata": {}, "data": scenario.switch})),
        Call::get(&format!(
            "{admission}/validatingadmissionpolicies/bailiff-incident-protection"
        ))
        .gives(object(&protection::policy("bailiff-system"))),
        Call::get(&format!(
            "{admission}/validatingadmissionpolicybindings/bailiff-incident-protection"
        ))
        .gives(object(&protection::binding())),
        Call::get(&format!("{crds}/runtimepolicies")).gives(list(vec![scenario.policy])),
        Call::get(&format!("{crds}/runtimepolicybindings")).gives(list(vec![scenario.binding])),
        Call::get(&format!("{crds}/incidents")).gives(list(scenario.incidents)),
    ]);
    if let Some(pods) = scenario.counted {
        let namespaces = list(vec![json!({"metadata": {"name": "shop"}})]);
        rounds.push(vec![
            Call::get("/api/v1/namespaces?&limit=100").gives(namespaces),
        ]);
        let call = Call::get("/api/v1/pods?&limit=100");
        rounds.push(vec![match pods {
            Ok(pods) => call.gives(list(pods)),
            Err(()) => call.fails(403, "Forbidden", "pods is forbidden"),
        }]);
    }
    if let Some(allowed) = scenario.allowed {
        let review = Call::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
        rounds.push(vec![review.gives(
            json!({"metadata": {}, "spec": {}, "status": {"allowed": allowed}}),
        )]);
    }
    rounds.extend(scenario.eviction.map(|call| vec![call]));
    let (server, client) = ApiServer::playing(rounds);
    let line = Line::try_parse_from([&["preview", target], flags].concat()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result = show(&line.preview, &client, "shop", &mut out, &mut err).await;
    server.finish();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (result, text(out), text(err))
}

mod erased {
    /// An object of any kind as JSON.
    pub(super) trait Json {
        fn json(&self) -> serde_json::Value;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> serde_json::Value {
            serde_json::to_value(self).unwrap()
        }
    }
}

/// The first result of the only pod.
async fn result(scenario: Scenario) -> Json {
    let (out, err) = run(scenario, "pod/db-0", &["-o", "json"]).await;
    assert_eq!(err, "");
    let out: Json = serde_json::from_str(&out).unwrap();
    out["pods"][0]["policies"][0].clone()
}

#[tokio::test]
async fn a_workload_has_a_row_for_each_pod_and_the_details() {
    let (out, err) = run(scenario(), "statefulset/db", &[]).await;
    assert_eq!(err, "");
    assert_eq!(
        out,
        "\
POD    POLICY    ACTION   REASON    GRACE PERIOD   BINDINGS
db-0   only-db   Evict    Evicted   20s            shop

At a violation of policy only-db (Evicted), for example in pod db-0, you would see:
  Responded    Bailiff evicted pod db-0, as RuntimePolicyBinding shop requires.
  Binding      shop
  Replacement  StatefulSet db creates a replacement.
  Queue        No response waits for a limit before this one.
  Guard        RuntimePolicyBinding shop and its policy are older than 24 hours, so the binding is not paused.
  Event        Process /bin/sh, started through exec in this pod, violates policy only-db. Bailiff evicted this pod. If a controller owns it, the controller creates a replacement. If you started this process, use another approach or ask the policy owner for an exemption. Details: kubectl describe incident inc-b32e86fed9716fdf-node-1 -n shop
"
    );
}

#[tokio::test]
async fn the_api_server_decides_about_the_eviction() {
    let mut blocked = scenario();
    blocked.eviction = Some(eviction().fails_with(
        429,
        json!({"status": "Failure", "code": 429, "message": "Cannot evict pod",
            "details": {"causes": [{"reason": "DisruptionBudget",
                "message": "The disruption budget db needs 1 healthy pods and has 1 currently"}]}}),
    ));
    let blocked = result(blocked).await;
    assert_eq!(blocked["action"], "Wait");
    assert_eq!(blocked["reason"], "WaitingForDisruptionBudget");
    assert!(blocked["deadline"].is_string(), "{blocked}");
    // A webhook chooses the code, and has the same cause in a preview as in enforcement.
    let webhook = "admission webhook \"deny.example.com\" denied the request: not on Sundays";
    let calling = "Internal error occurred: failed calling webhook \"deny.example.com\": timeout";
    let plugin = "pods \"db-0\" is forbidden: not on Sundays";
    for (code, message) in [
        (429, webhook),
        (404, webhook),
        (500, calling),
        (403, plugin),
    ] {
        let mut denied = scenario();
        denied.eviction = Some(eviction().fails(code, "Any", message));
        let result = result(denied).await;
        assert_eq!(result["reason"], "BlockedByWebhook", "{code} {message}");
    }
}

#[tokio::test]
async fn what_the_user_cannot_check_is_reported_as_not_checked() {
    let mut scenario = scenario();
    (scenario.allowed, scenario.eviction) = (Some(false), None);
    let result = result(scenario).await;
    assert_eq!(result["action"], "Evict");
    assert_eq!(
        result["notChecked"],
        "you do not have the permission to create pods/eviction in namespace shop"
    );
}

/// An Incident of another pod of the same workload that was removed a moment ago.
fn removed_before() -> Json {
    let now = jiff::Timestamp::now();
    json!({
        "metadata": {"name": "inc-1", "namespace": "shop", "uid": "incident", "generation": 1,
            "creationTimestamp": now.to_string()},
        "spec": {
            "type": "Violation", "severity": "High",
            "policyRef": {"name": "only-db", "uid": "policy", "generation": 1},
            "bindingRefs": [{"name": "shop", "uid": "binding"}],
            "nodeName": "node-1",
            "pod": {"name": "db-1", "namespace": "shop", "uid": "other"},
            "container": {},
            "process": {"executable": "/bin/sh", "invokedPath": "/bin/sh", "names": ["sh"],
                "executableSource": "Image", "origin": "Exec", "uid": 0, "gid": 0, "pid": 42,
                "startTime": now.to_string()},
            "violations": [{"expressionIndex": 0, "message": "m"}],
            "execTime": now.to_string(),
        },
        "status": {
            "conditions": [{"type": "Responded", "status": "True", "reason": "Evicted",
                "message": "", "lastTransitionTime": now.to_string()}],
            "response": {"action": "Evict", "bindingName": "shop", "time": now.to_string()},
            "workloadRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "set"},
        },
    })
}

#[tokio::test]
async fn each_guardrail_has_its_reason() {
    type Change = fn(&mut Scenario);
    let cases: [(&str, &str, Change); 7] = [
        ("Wait", "ResponsesSwitchedOff", |s| {
            s.switch = json!({"mode": "Audit"});
        }),
        ("Wait", "ResponsesSwitchedOff", |s| s.switch = json!({})),
        ("None", "ExemptNamespace", |s| {
            s.environment = json!([{"name": "BAILIFF_EXEMPT_NAMESPACES", "value": "shop"}]);
        }),
        ("None", "CriticalPod", |s| {
            s.pod["spec"]["priorityClassName"] = json!("system-node-critical");
            s.environment = json!([{"name": "BAILIFF_CRITICAL_NAMESPACES", "value": "shop"}]);
        }),
        ("Wait", "Cooldown", |s| s.incidents = vec![removed_before()]),
        ("Wait", "RateLimited", |s| {
            s.incidents = vec![removed_before()];
            s.binding["spec"]["guardrails"] = json!({"cooldownPeriodSeconds": 0});
            s.environment = json!([{
                "name": "BAILIFF_RESPONSE_MAX_EVICTIONS_PER_MINUTE", "value": "1"}]);
        }),
        ("None", "AlreadyTerminating", |s| {
            s.pod["status"] = json!({"phase": "Succeeded"});
        }),
    ];
    for (action, reason, change) in cases {
        let mut scenario = scenario();
        (scenario.allowed, scenario.eviction) = (None, None);
        change(&mut scenario);
        let result = result(scenario).await;
        assert_eq!(
            (&result["action"], &result["reason"]),
            (&json!(action), &json!(reason)),
            "{result}"
        );
    }
}

#[tokio::test]
async fn an_audit_has_the_decision_of_the_api_server() {
    let budget = json!({"status": "Failure", "code": 429, "message": "Cannot evict pod",
        "details": {"causes": [{"reason": "DisruptionBudget",
            "message": "The disruption budget db needs 1 healthy pods and has 1 currently"}]}});
    let unsupported = "admission webhook \"deny.example.com\" does not support dry run";
    // Delete without the permission to delete pods is Audit.
    for actions in ["Audit", "Delete"] {
        for (call, reason, not_checked) in [
            (eviction(), "Evicted", Json::Null),
            (
                eviction().fails_with(429, budget.clone()),
                "WaitingForDisruptionBudget",
                Json::Null,
            ),
            (
                eviction().fails(400, "BadRequest", unsupported),
                "APIRequestFailed",
                json!("admission webhook \"deny.example.com\" does not support dry runs"),
            ),
        ] {
            let mut scenario = scenario();
            scenario.binding["spec"]["responseActions"] = json!([actions]);
            scenario.eviction = Some(call);
            let result = result(scenario).await;
            assert_eq!(result["action"], "None", "{result}");
            assert_eq!(result["reason"], "AuditOnly", "{result}");
            assert_eq!(result["dryRunResponse"]["reason"], reason, "{result}");
            assert_eq!(result["notChecked"], not_checked, "{result}");
        }
    }
}

/// Incidents of so many other workloads that wait.
fn waiting(workloads: usize) -> Vec<Json> {
    let now = jiff::Timestamp::now();
    let waits = |number: usize| {
        let mut incident = removed_before();
        incident["metadata"]["name"] = json!(format!("inc-{number}"));
        incident["metadata"]["uid"] = json!(format!("incident-{number}"));
        incident["spec"]["process"]["origin"] = json!("Entrypoint");
        incident["status"] = json!({
            "conditions": [{"type": "Responded", "status": "Unknown", "reason": "RateLimited",
                "message": "", "lastTransitionTime": now.to_string()}],
            "waiting": {"reason": "RateLimited", "startTime": now.to_string(), "enforced": true},
            "workloadRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db",
                "uid": format!("set-{number}")},
        });
        incident
    };
    (0..workloads).map(waits).collect()
}

#[tokio::test]
async fn the_guard_counts_the_workloads_that_a_young_binding_matches() {
    let pod = |number: usize| {
        json!({"metadata": {"name": format!("p{number}"), "namespace": "shop", "labels": {"app": "db"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db",
                "uid": format!("set-{number}"), "controller": true}]},
            "spec": {"nodeName": "node-1", "containers": []}})
    };
    // At most 100 of a namespace count, so 10 % of them are 10.
    let pods: Vec<_> = (0..120).map(pod).collect();
    let paused = json!([{"bindingName": "shop", "state": "Paused", "until": null, "workloads": 11,
        "maxWorkloads": 10, "message": "RuntimePolicyBinding shop is paused: it would remove pods of 11 workloads instead of at most 10 within 10 minutes."}]);
    let forbidden = json!(
        "cannot list pods: pods is forbidden; counting the workloads that a binding matches requires permission to list pods and namespaces of the cluster"
    );
    for (counted, reason, guards, guard_not_checked) in [
        (Ok(pods), "PolicyPaused", paused, Json::Null),
        (Err(()), "Evicted", json!([]), forbidden),
    ] {
        let mut scenario = scenario();
        let is_evicted = reason == "Evicted";
        if !is_evicted {
            (scenario.allowed, scenario.eviction) = (None, None);
        }
        scenario.binding["metadata"]["creationTimestamp"] =
            json!((jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1)).to_string());
        scenario.binding["spec"]["guardrails"] = json!({"maxEvictionsPerMinute": 100});
        scenario.incidents = waiting(11);
        scenario.counted = Some(counted);
        let result = result(scenario).await;
        assert_eq!(result["reason"], reason, "{result}");
        assert_eq!(result["guards"], guards, "{result}");
        assert_eq!(result["guardNotChecked"], guard_not_checked, "{result}");
        assert_eq!(result["ahead"]["namespace"], 11, "{result}");
    }
}

#[tokio::test]
async fn an_installation_that_is_not_found_has_the_flag_for_its_namespace() {
    let mut scenario = scenario();
    (scenario.allowed, scenario.eviction) = (None, None);
    scenario.is_installed = false;
    let (result, out, _) = outcome(scenario, "pod/db-0", &[]).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "cannot read Deployment bailiff-controller in namespace bailiff-system: deployments.apps \"bailiff-controller\" not found; if Bailiff is installed in another namespace, set --bailiff-namespace"
    );
    assert_eq!(out, "");
}

#[tokio::test]
async fn a_pod_without_a_policy_and_what_cannot_be_used_are_named() {
    let mut scenario = scenario();
    (scenario.allowed, scenario.eviction) = (None, None);
    scenario.policy["spec"]["validations"] = json!([{"expression": "proces.names"}]);
    let mut bad = removed_before();
    bad["spec"]["nodeName"] = json!(7);
    scenario.incidents = vec![bad];
    let (out, err) = run(scenario, "pod/db-0", &[]).await;
    assert_eq!(
        out,
        "\
POD    POLICY   ACTION   REASON   GRACE PERIOD   BINDINGS
db-0   -

Pods without a policy (-): no policy applies to them, so Bailiff would not respond.
"
    );
    assert!(
        err.starts_with("warning: cannot decode incident inc-1 in namespace shop: spec.nodeName: "),
        "{err}"
    );
    assert!(
        err.ends_with(
            "\nwarning: runtimepolicy only-db does not compile, so it is not evaluated\n"
        ),
        "{err}"
    );
}
