//! The sentences of conditions, word for word.

use super::*;
use bailiff_policy::FieldError;
use bailiff_policy::image::platform::{Platform, PlatformKind};
use serde_json::json;

fn live() -> ValidatingAdmissionPolicy {
    serde_json::from_value(json!({
        "metadata": {"name": "bailiff-image.ours", "annotations": {GENERATION: "3"}},
    }))
    .unwrap()
}

fn line(said: &[(&'static str, Said)]) -> Vec<String> {
    said.iter()
        .map(|(type_, (value, reason, message))| format!("{type_}={value} {reason}: {message}"))
        .collect()
}

#[test]
fn a_policy_tells_whether_it_is_valid_and_what_is_enforced() {
    let faulty = || {
        PolicyState::Faulty(vec![FieldError {
            field: "spec.allowedRepositories[0]".to_owned(),
            message: "\"nginx\" is not a pattern".to_owned(),
        }])
    };
    let ready = "Ready=true Compiled: All patterns, selectors and expressions are valid.";
    let not_ready =
        "Ready=false CompileError: spec.allowedRepositories[0]: \"nginx\" is not a pattern";
    let of = |state: &PolicyState, live: Option<&ValidatingAdmissionPolicy>, rejected| {
        line(&policy("ours", state, Some(3), live, rejected, true))
    };
    let live = live();
    assert_eq!(
        of(&PolicyState::Compiled, Some(&live), None),
        [
            ready,
            "Rendered=true Rendered: The API server has ValidatingAdmissionPolicy bailiff-image.ours."
        ]
    );
    assert_eq!(
        of(&PolicyState::WithoutWebhook, Some(&live), None),
        [
            "Ready=false WebhookDisabled: spec.digest.pin, spec.digest.verifyRepository and spec.validations have no effect, because the webhook of Bailiff is disabled. Set the value webhook.enabled, or set verifyRepository to false and remove pin and validations.",
            "Rendered=true Rendered: The API server has ValidatingAdmissionPolicy bailiff-image.ours."
        ]
    );
    assert_eq!(
        of(&PolicyState::Compiled, Some(&live), Some("no")),
        [
            ready,
            "Rendered=false RequestRejected: The API server rejected ValidatingAdmissionPolicy bailiff-image.ours: no. Bailiff retries automatically."
        ]
    );
    let mut older = live.clone();
    older
        .annotations_mut()
        .insert(GENERATION.to_owned(), "2".to_owned());
    assert_eq!(
        of(&PolicyState::Compiled, Some(&older), None),
        [
            ready,
            "Rendered=false RequestRejected: ValidatingAdmissionPolicy bailiff-image.ours changed meanwhile. Bailiff retries automatically."
        ]
    );
    assert_eq!(
        of(&faulty(), Some(&live), None),
        [
            not_ready,
            "Rendered=false PolicyNotReady: The API server still enforces generation 3 of the policy. Correct the policy."
        ]
    );
    assert_eq!(
        of(&faulty(), None, None),
        [
            not_ready,
            "Rendered=false PolicyNotReady: The API server does not enforce the policy. Correct the policy."
        ]
    );
}

#[test]
fn without_the_owner_policies_and_bindings_say_that_nothing_is_enforced() {
    let not_found = "OwnerNotFound: ValidatingWebhookConfiguration bailiff-renderer not found. Kubernetes deletes the ValidatingAdmissionPolicyBindings that it owns, so the API server does not enforce image policies. Restore it with `helm upgrade`.";
    let live = live();
    for live in [Some(&live), None] {
        let said = policy("ours", &PolicyState::Compiled, Some(3), live, None, false);
        assert_eq!(
            line(&said),
            [
                "Ready=true Compiled: All patterns, selectors and expressions are valid.",
                &format!("Rendered=false {not_found}"),
            ]
        );
    }
    for is_rendered in [true, false] {
        let said = binding("ours", is_rendered, &BindingState::OwnerNotFound, None);
        assert_eq!(line(&said).concat(), format!("Ready=false {not_found}"));
    }
}

#[test]
fn a_binding_tells_what_the_api_server_does() {
    let of =
        |state: &BindingState, rejected| line(&binding("ours", true, state, rejected)).concat();
    assert_eq!(
        line(&binding("ours", false, &BindingState::Rendered, None)).concat(),
        "Ready=false PolicyNotReady: ImageAdmissionPolicy ours is not Rendered. Its condition Rendered contains the cause."
    );
    assert_eq!(
        of(&BindingState::Rendered, None),
        "Ready=true PolicyReady: The API server enforces ImageAdmissionPolicy ours for matching pods."
    );
    assert_eq!(
        of(&BindingState::WithoutWebhook, None),
        "Ready=false WebhookDisabled: The API server enforces only a part of ImageAdmissionPolicy ours for matching pods. The condition Ready of the policy contains the cause."
    );
    assert_eq!(
        of(&BindingState::Rendered, Some("no")),
        "Ready=false RequestRejected: The API server rejected the ValidatingAdmissionPolicyBinding: no. Bailiff retries automatically."
    );
    assert_eq!(
        of(&BindingState::PolicyNotFound, None),
        "Ready=false PolicyNotFound: ImageAdmissionPolicy ours not found. Create it, or create a binding with the correct spec.policyName."
    );
    assert_eq!(
        of(&BindingState::PolicyNotReady, None),
        "Ready=false PolicyNotReady: ImageAdmissionPolicy ours is not Ready. Its condition Ready contains the errors."
    );
    assert_eq!(
        of(&BindingState::InvalidSelector("no".to_owned()), None),
        "Ready=false InvalidSelector: spec.matchResources: no. What the API server enforces of an earlier generation stays."
    );
}

#[test]
fn a_condition_is_written_once_and_keeps_the_time_of_its_status() {
    let then: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    let said = |message: &str| vec![(types::READY, (true, ready::COMPILED, message.to_owned()))];
    let first = changed(said("good"), &[], Some(1), then).unwrap();
    assert_eq!(changed(said("good"), &first, Some(1), now), None);
    let second = changed(said("better\u{1b}"), &first, Some(2), now).unwrap();
    assert_eq!(second[0].last_transition_time, Time(then));
    assert_eq!(second[0].message, "better?");
    let mut third = said("worse");
    third[0].1.0 = false;
    let third = changed(third, &second, Some(2), now).unwrap();
    assert_eq!(third[0].last_transition_time, Time(now));
}

/// What the condition says about a cluster that needs what is in a namespace, with this failure policy.
fn about_platform(namespace: &str, failure_policy: &str) -> Reading {
    let mut platform = Platform::default();
    let agent = json!({"metadata": {"namespace": namespace, "name": "calico-node"},
        "spec": {"template": {"spec": {"priorityClassName": "system-node-critical"}}}});
    let exempt =
        json!([{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["cni"]}]);
    let own = json!({"metadata": {"name": "bailiff"}, "webhooks": [{"failurePolicy": failure_policy,
        "namespaceSelector": {"matchExpressions": exempt},
        "clientConfig": {"service": {"name": "bailiff-webhook", "namespace": "bailiff-system"}}}]});
    for (kind, object) in [
        (PlatformKind::DaemonSet, agent),
        (PlatformKind::ValidatingWebhookConfiguration, own),
    ] {
        platform.add(kind, object.to_string().as_bytes()).unwrap();
    }
    Reading::Read(platform)
}

#[test]
fn a_binding_with_deny_tells_what_an_outage_of_the_webhook_locks_out() {
    let then: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    let of = |reading: &Reading| {
        let found = platform(reading, true, &[], Some(3), then);
        found.map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message))
    };
    assert_eq!(
        of(&about_platform("cni", "Fail")).unwrap(),
        "PlatformExempt=True NothingLockedOut: Each namespace that Bailiff knows the cluster to need is exempt."
    );
    assert_eq!(
        of(&about_platform("calico-system", "Fail")).unwrap(),
        "PlatformExempt=False LockedOut: failurePolicy is Fail. While the webhook is down, no pod starts in these namespaces, which the cluster can need: calico-system (DaemonSet calico-node). Add those that are part of the platform to the value exemptNamespaces."
    );
    assert_eq!(
        of(&about_platform("calico-system", "Ignore")).unwrap(),
        "PlatformExempt=False WouldBeLockedOut: failurePolicy is Ignore. With Fail, no pod would start in these namespaces while the webhook is down, and the cluster can need them: calico-system (DaemonSet calico-node). Before you set it, add those that are part of the platform to the value exemptNamespaces."
    );
    let failed = |cause: &str| of(&Reading::Failed(cause.to_owned())).unwrap();
    assert_eq!(
        failed("cannot list objects of kind DaemonSet: daemonsets.apps is forbidden"),
        "PlatformExempt=Unknown APIRequestFailed: Bailiff cannot determine which namespaces the cluster needs to start: cannot list objects of kind DaemonSet: daemonsets.apps is forbidden. Bailiff retries automatically."
    );
    let long = failed(&"\u{1b}x".repeat(10_000));
    assert!(long.contains("?x?x"), "{long}");
    assert!(
        long.ends_with("... Bailiff retries automatically."),
        "{long}"
    );
    // Without a webhook, nothing is locked out, and before the first reading nothing is known.
    assert_eq!(of(&Reading::Read(Platform::default())), None);
    assert_eq!(of(&Reading::NotRead), None);
    let before = platform(&about_platform("cni", "Fail"), true, &[], Some(3), then);
    let before = [before.unwrap()];
    let of = |reading: &Reading| platform(reading, true, &before, Some(3), now).unwrap();
    assert_eq!(of(&Reading::NotRead), before[0]);
    assert_eq!(of(&about_platform("cni", "Fail")), before[0]);
    let failed = of(&Reading::Failed("no".to_owned()));
    assert_eq!(failed.last_transition_time, Time(now));
}

#[test]
fn a_binding_that_denies_nothing_tells_what_fail_locks_out() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let of = |reading: &Reading, before: &[Condition]| {
        let found = platform(reading, false, before, Some(3), now);
        found.map(|c| format!("{} {}", c.status, c.reason))
    };
    let locked_out = Some("False LockedOut".to_owned());
    assert_eq!(
        of(&about_platform("calico-system", "Fail"), &[]),
        locked_out
    );
    let failed = Reading::Failed("no".to_owned());
    for (namespace, failure_policy) in [("cni", "Fail"), ("calico-system", "Ignore")] {
        assert_eq!(of(&about_platform(namespace, failure_policy), &[]), None);
    }
    assert_eq!(of(&failed, &[]), None);
    // What was known is not taken back without another reading.
    let before = platform(
        &about_platform("calico-system", "Fail"),
        false,
        &[],
        Some(3),
        now,
    );
    let before = [before.unwrap()];
    assert_eq!(of(&Reading::NotRead, &before), locked_out);
    assert_eq!(
        of(&failed, &before),
        Some("Unknown APIRequestFailed".to_owned())
    );
    assert_eq!(of(&about_platform("cni", "Fail"), &before), None);
}

/// A policy with this expression.
fn with_expression(expression: &str) -> ImageAdmissionPolicy {
    serde_json::from_value(json!({
        "metadata": {"name": "ours"}, "spec": {"validations": [{"expression": expression}]},
    }))
    .unwrap()
}

#[test]
fn warnings_about_expressions_are_written_once_and_removed_with_their_cause() {
    let checked = |expression: &str| {
        type_checking(&with_expression(expression), &PolicyState::WithoutWebhook).unwrap()
    };
    let (typo, fine) = (
        checked("object.spec.hostNetwrk == true"),
        checked("object.spec.hostNetwork == true"),
    );
    let warned = json!({"observedGeneration": 3, "typeChecking": {"expressionWarnings": [{
        "fieldRef": "spec.validations[0].expression",
        "warning": "/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'hostNetwrk'\n | object.spec.hostNetwrk == true\n | ...........^\n",
    }]}});
    let of = |before, now| patch(None, [before, now], Some(3));
    assert_eq!(of(None, Some(&typo)), Some(warned));
    assert_eq!(of(Some(&typo), Some(&typo)), None);
    assert_eq!(
        of(Some(&typo), Some(&fine)),
        Some(json!({"observedGeneration": 3, "typeChecking": {"expressionWarnings": null}}))
    );
    assert_eq!(
        of(Some(&fine), None),
        Some(json!({"observedGeneration": 3, "typeChecking": null}))
    );
    // A policy that does not compile was not checked, and one without expressions has nothing to check.
    let faulty = PolicyState::Faulty(Vec::new());
    assert_eq!(type_checking(&with_expression("image.nam"), &faulty), None);
    let mut none = with_expression("true");
    none.spec.validations.clear();
    assert_eq!(type_checking(&none, &PolicyState::Compiled), None);
}

#[test]
fn conditions_are_written_without_what_stays() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let said = vec![(types::READY, (true, ready::COMPILED, "good".to_owned()))];
    let conditions = changed(said, &[], Some(3), now).unwrap();
    let checked = TypeChecking::default();
    assert_eq!(
        patch(Some(&conditions), [Some(&checked), Some(&checked)], Some(3)),
        Some(json!({"observedGeneration": 3, "conditions": conditions}))
    );
}
