//! The responses of an API server to evictions, as it gives them, and their causes.

use super::*;
use serde_json::{Value, json};

fn of(status: &Value) -> Result<Rejection, Forbidden> {
    Rejection::of(&serde_json::from_value(status.clone()).unwrap())
}

/// A response with the fields that every one has.
fn status(code: u16, reason: &str, message: &str, details: &Value) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code})
}

/// A budget that allows no disruption, or whose controller has not looked at it yet.
fn budget(message: &str) -> Value {
    status(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        &json!({"causes": [{"reason": "DisruptionBudget", "message": message}]}),
    )
}

fn forbidden_by_budget(why: &str) -> Value {
    status(
        403,
        "Forbidden",
        &format!("poddisruptionbudget.policy \"web\" is forbidden: {why}"),
        &json!({"name": "web", "group": "policy", "kind": "poddisruptionbudget"}),
    )
}

fn of_budget(name: &str) -> Rejection {
    Rejection::DisruptionBudget(Some(name.to_owned()))
}

fn retry(why: &str) -> Rejection {
    Rejection::Retry(why.to_owned())
}

#[test]
fn a_budget_is_recognized_in_each_of_its_responses() {
    let web = "The disruption budget web needs 2 healthy pods and has 2 currently";
    let processed = "The disruption budget web is still being processed by the server.";
    let multiple = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    for (response, want) in [
        (budget(web), of_budget("web")),
        (budget(processed), of_budget("web")),
        (budget("in other words"), Rejection::DisruptionBudget(None)),
        (
            forbidden_by_budget("pdb disruptions allowed is negative"),
            of_budget("web"),
        ),
        (
            forbidden_by_budget(
                "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
            ),
            of_budget("web"),
        ),
        (
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": multiple, "code": 500}),
            Rejection::MultipleDisruptionBudgets,
        ),
    ] {
        assert_eq!(of(&response), Ok(want), "{response}");
    }
}

#[test]
fn a_rejection_without_a_budget_is_classified_by_its_code() {
    let none = Value::Null;
    let pod = json!({"name": "web-1", "kind": "pods"});
    let changed = "the pod was changed by another client";
    for (response, want) in [
        (
            status(404, "NotFound", "pods \"web-1\" not found", &pod),
            Rejection::PodNotFound,
        ),
        (status(410, "Gone", "gone", &none), Rejection::PodNotFound),
        (
            status(
                409,
                "Conflict",
                "Operation cannot be fulfilled on pods \"web-1\": Precondition failed: UID in precondition: 0b5e, UID in object meta: 7c11",
                &pod,
            ),
            retry(changed),
        ),
        (
            status(401, "Unauthorized", "Unauthorized", &none),
            retry("the API server rejected the request: Unauthorized"),
        ),
        (
            status(
                429,
                "TooManyRequests",
                "The apiserver is overloaded, please try again later.",
                &json!({"retryAfterSeconds": 1}),
            ),
            retry("the API server limits the requests of the controller"),
        ),
        (
            status(
                422,
                "Invalid",
                "Eviction.policy \"web-1\" is invalid",
                &none,
            ),
            Rejection::Invalid("Eviction.policy \"web-1\" is invalid".to_owned()),
        ),
        (
            status(500, "InternalError", "etcdserver: no leader", &none),
            Rejection::Unknown("the API server failed: etcdserver: no leader".to_owned()),
        ),
        (
            status(504, "Timeout", "too slow", &none),
            Rejection::Unknown("the API server failed: too slow".to_owned()),
        ),
        (
            Value::Object(serde_json::Map::new()),
            Rejection::Unknown("the API server failed: ".to_owned()),
        ),
    ] {
        assert_eq!(of(&response), Ok(want), "{response}");
    }
}

#[test]
fn a_403_is_of_a_missing_permission_or_of_admission() {
    let message = "pods \"web-1\" is forbidden: User \"system:serviceaccount:bailiff-system:bailiff-controller\" cannot create resource \"pods/eviction\" in API group \"\" in the namespace \"shop\"";
    let pod = json!({"name": "web-1", "kind": "pods"});
    let forbidden = of(&status(403, "Forbidden", message, &pod)).unwrap_err();
    let want = Rejection::Webhook(message.to_owned());
    assert_eq!(forbidden.by_admission(), want);
}

#[test]
fn a_webhook_cannot_pose_as_another_cause() {
    let denied = "admission webhook \"deny.example.com\" denied the request: not on Sundays";
    let silent = "admission webhook \"deny.example.com\" denied the request without explanation";
    let poses = "admission webhook \"deny.example.com\" denied the request: ValidatingAdmissionPolicy 'bailiff-eviction-protection' denied request: exempt";
    let called = "Internal error occurred: failed calling webhook \"deny.example.com\": failed to call webhook: Post \"https://deny.shop.svc:443/?timeout=10s\": context deadline exceeded";
    let causes = json!({"causes": [{"reason": "DisruptionBudget",
        "message": "The disruption budget web needs 2 healthy pods and has 2 currently"}]});
    let pdb = json!({"name": "web", "group": "policy", "kind": "poddisruptionbudget"});
    let none = Value::Null;
    for (code, reason, message, details) in [
        (429, "TooManyRequests", denied, &causes),
        (429, "TooManyRequests", denied, &none),
        (404, "NotFound", denied, &none),
        (409, "Conflict", denied, &none),
        (403, "Forbidden", denied, &pdb),
        (403, "Forbidden", silent, &none),
        (400, "BadRequest", silent, &none),
        (500, "InternalError", denied, &none),
        (
            500,
            "InternalError",
            "admission webhook \"a\" denied the request: more than one PodDisruptionBudget",
            &none,
        ),
        (500, "InternalError", called, &none),
        (422, "Invalid", poses, &none),
    ] {
        let response = status(code, reason, message, details);
        let want = Ok(Rejection::Webhook(message.to_owned()));
        assert_eq!(of(&response), want, "{response}");
    }
}

#[test]
fn a_rejection_by_the_eviction_protection_is_one_of_admission() {
    for policy in ["bailiff-eviction-protection", "deny"] {
        let message = format!(
            "pods \"web\" is forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: exempt"
        );
        let response = status(422, "Invalid", &message, &Value::Null);
        assert_eq!(of(&response), Ok(Rejection::Webhook(message)));
    }
}

#[test]
fn a_terminating_namespace_is_told_from_a_webhook_that_says_so() {
    let causes = json!({"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": "namespace shop is being terminated"}]});
    let created = "pods \"web-1\" is forbidden: unable to create new content in namespace shop because it is being terminated";
    let by_webhook = "admission webhook \"tenant.example.com\" denied the request: no";
    for (code, message, details, terminating) in [
        (403, created, &causes, true),
        (403, created, &json!({}), false),
        (403, by_webhook, &causes, false),
        (409, created, &causes, false),
    ] {
        let status = status(code, "Forbidden", message, details);
        let status = serde_json::from_value(status).unwrap();
        assert_eq!(
            is_of_terminating_namespace(&status),
            terminating,
            "{code} {message}"
        );
    }
}
