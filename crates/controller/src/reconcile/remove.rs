//! Requests removals of pods, and classifies the responses of the API server.
//!
//! Here: the requests, and the cause of a rejection. Not here: whether to request one, and what a
//! rejection comes to (`bailiff_response`).
//! Invariant: a request names the pod's UID as its only precondition; no request leaves without the
//! switch having been read within half a second; only a 2xx is accepted. A cause comes from the
//! answer's structure or a question to the API server, and only where it has neither from its text.

use super::{Controller, PendingRemoval, Stop};
use crate::gather::why;
use crate::switch::{self, FRESH_FOR, SwitchRead};
use bailiff_api::{Incident, ResponseAction};
use bailiff_kube::decode::Decoded;
use bailiff_response::{
    Facts, NoActionReason, Outcome, Rejection, Shortening, Switch, WaitReason, rejected,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{DeleteParams, PostParams};
use kube::client::Body;
use kube::core::{Request, Status};
use kube::{Api, Client, Resource as _};

/// The shipped policy that keeps the controller out of exempt namespaces.
const EVICTION_PROTECTION: &str = "ValidatingAdmissionPolicy 'bailiff-eviction-protection'";

/// The response of the API server.
#[derive(Debug)]
pub(super) enum Answer {
    Accepted,
    Rejected(Box<Status>, Option<SignedDuration>),
    /// There was none.
    None,
}

/// A rejection, as far as the response alone shows its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    Known(Rejection),
    /// The policy that keeps the controller out of exempt namespaces denied it; its message.
    ExemptNamespace(String),
    /// A permission is missing, or admission denied it; its message.
    Forbidden(String),
}

impl Controller {
    /// Requests the removal of a pod that was noted in the limits.
    pub(super) async fn remove_pod(
        &self,
        incident: &Incident,
        facts: &Facts,
        pending: PendingRemoval,
        switch: SwitchRead,
    ) -> Result<(Outcome, Option<SignedDuration>), Stop> {
        let pod_uid = &incident.spec.pod.uid;
        let release = || self.work().controls.ledger.release(pod_uid);
        if let Some(outcome) = self.switched_off(switch).await {
            release();
            return Ok((outcome, None));
        }
        if self.stopping.is_cancelled() {
            release();
            return Err(Stop::Stopping);
        }
        let (action, grace) = (pending.action, pending.removal.grace_period_seconds);
        let answer = match action {
            ResponseAction::Delete => self.delete(incident, grace).await,
            ResponseAction::Evict | ResponseAction::Audit => self.evict(incident, grace).await,
        };
        let (rejection, retry_after) = match answer {
            Answer::Accepted => return Ok((pending.done(Timestamp::now()), None)),
            Answer::None => (unavailable(), None),
            Answer::Rejected(status, retry_after) => {
                match self
                    .cause(&facts.violation.namespace, action, &status)
                    .await
                {
                    Ok(rejection) => (rejection, retry_after),
                    Err(outcome) => {
                        release();
                        return Ok((outcome, None));
                    }
                }
            }
        };
        let deadline = pending.removal.eviction_deadline_seconds;
        match &rejection {
            // It may have been done: what was noted stays until that is known.
            Rejection::Unknown(_) => {
                let now = Timestamp::now();
                self.work().controls.ledger.unanswered(pod_uid, now);
                self.pending().insert(pod_uid.clone(), pending);
            }
            Rejection::DisruptionBudget(_)
            | Rejection::MultipleDisruptionBudgets
            | Rejection::Webhook(_)
            | Rejection::Permission(_)
            | Rejection::PodNotFound
            | Rejection::Retry(_)
            | Rejection::Invalid(_) => release(),
        }
        let outcome = rejected(
            rejection,
            deadline,
            facts.waiting.as_ref(),
            Timestamp::now(),
        );
        Ok((outcome, retry_after))
    }

    /// Requests a shorter grace period for a terminating pod. None: the API server accepted it, and
    /// the grace period is not shorter.
    pub(super) async fn shorten(
        &self,
        incident: &Incident,
        facts: &Facts,
        shortening: &Shortening,
    ) -> Result<Option<(Outcome, Option<SignedDuration>)>, Stop> {
        if self.stopping.is_cancelled() {
            return Err(Stop::Stopping);
        }
        let read = switch::read(&self.client, &self.config.namespace).await;
        if let Some(outcome) = self.switched_off(read).await {
            return Ok(Some((outcome, None)));
        }
        let namespace = &facts.violation.namespace;
        let at = Timestamp::now();
        let wait = |why| Outcome::waiting(WaitReason::ApiRequestFailed(why));
        match self.evict(incident, shortening.grace_period_seconds).await {
            Answer::Accepted => {}
            Answer::None => {
                return Ok(Some((
                    wait("the API server is unavailable".to_owned()),
                    None,
                )));
            }
            Answer::Rejected(status, retry_after) => {
                let action = ResponseAction::Evict;
                let outcome = match self.cause(namespace, action, &status).await {
                    Ok(rejection) => rejected(
                        rejection,
                        shortening.eviction_deadline_seconds,
                        facts.waiting.as_ref(),
                        Timestamp::now(),
                    ),
                    Err(outcome) => outcome,
                };
                return Ok(Some((outcome, retry_after)));
            }
        }
        let pods = Api::<Decoded<Pod>>::namespaced(self.client.clone(), namespace);
        let shorter = match pods.get_opt(&incident.spec.pod.name).await {
            Ok(None) => true,
            Ok(Some(pod)) => {
                let metadata = pod.meta();
                metadata.uid.as_ref() != Some(&incident.spec.pod.uid)
                    || metadata
                        .deletion_grace_period_seconds
                        .is_some_and(|now| now < shortening.before_seconds)
            }
            Err(error) => return Ok(Some((wait(why("the pod", &error)), None))),
        };
        self.shortened().insert(incident.spec.pod.uid.clone(), at);
        Ok(shorter.then(|| {
            let outcome = Outcome::Shortened {
                binding: shortening.binding.clone(),
                at,
                grace_period_seconds: shortening.grace_period_seconds,
            };
            (outcome, None)
        }))
    }

    /// What it comes to that responses are switched off; none: they are on.
    async fn switched_off(&self, mut read: SwitchRead) -> Option<Outcome> {
        if read.at.elapsed() > FRESH_FOR {
            read = switch::read(&self.client, &self.config.namespace).await;
        }
        let off = |why| Some(Outcome::waiting(WaitReason::ResponsesSwitchedOff(why)));
        match read.switch {
            Switch::Enforce => None,
            Switch::Audit => off(None),
            Switch::Unavailable(why) => off(Some(why)),
        }
    }

    /// kube's own `evict` spells the delete options so that the API server ignores them, and with
    /// them the UID; and it does not tell the header `Retry-After`.
    async fn evict(&self, incident: &Incident, grace_period_seconds: u32) -> Answer {
        let pod = &incident.spec.pod;
        let eviction = Eviction {
            metadata: ObjectMeta {
                name: Some(pod.name.clone()),
                namespace: Some(pod.namespace.clone()),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                grace_period_seconds: Some(grace_period_seconds.into()),
                preconditions: Some(Preconditions {
                    uid: Some(pod.uid.clone()),
                    resource_version: None,
                }),
                ..DeleteOptions::default()
            }),
        };
        let Ok(eviction) = serde_json::to_vec(&eviction) else {
            return Answer::None;
        };
        let request = Request::new(Pod::url_path(&(), Some(&pod.namespace)));
        let params = PostParams::default();
        let request = request.create_subresource("eviction", &pod.name, &params, eviction);
        let Ok(request) = request else {
            return Answer::None;
        };
        send(&self.client, request).await
    }

    async fn delete(&self, incident: &Incident, grace_period_seconds: u32) -> Answer {
        let pod = &incident.spec.pod;
        let params = DeleteParams {
            grace_period_seconds: Some(grace_period_seconds),
            preconditions: Some(kube::api::Preconditions {
                uid: Some(pod.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self.pods(&pod.namespace).delete(&pod.name, &params).await {
            // The response is the pod, which might be undecodable.
            Ok(_) | Err(kube::Error::SerdeError(_)) => Answer::Accepted,
            Err(kube::Error::Api(status)) => {
                let details = status
                    .details
                    .as_ref()
                    .map(|d| i64::from(d.retry_after_seconds));
                let seconds = details.filter(|seconds| *seconds > 0);
                Answer::Rejected(status, seconds.map(SignedDuration::from_secs))
            }
            Err(_) => Answer::None,
        }
    }

    /// The cause of a rejection.
    ///
    /// # Errors
    /// The outcome, where the cause itself decides it.
    async fn cause(
        &self,
        namespace: &str,
        action: ResponseAction,
        status: &Status,
    ) -> Result<Rejection, Outcome> {
        match cause(status) {
            Cause::Known(rejection) => Ok(rejection),
            Cause::ExemptNamespace(message) => {
                // A text alone exempts nothing.
                let exempt = &self.config.exempt_namespaces;
                if !exempt.iter().any(|name| name == namespace) {
                    return Ok(Rejection::Webhook(message));
                }
                Err(Outcome::NoAction {
                    reason: NoActionReason::ExemptNamespace,
                    would: None,
                })
            }
            Cause::Forbidden(message) => Ok(self.forbidden(namespace, action, message).await),
        }
    }

    /// Distinguishes a missing permission from a denial of admission, with a request to the API server.
    async fn forbidden(
        &self,
        namespace: &str,
        action: ResponseAction,
        message: String,
    ) -> Rejection {
        let (verb, subresource) = match action {
            ResponseAction::Delete => ("delete", None),
            ResponseAction::Evict | ResponseAction::Audit => ("create", Some("eviction")),
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(namespace.to_owned()),
                    verb: Some(verb.to_owned()),
                    resource: Some("pods".to_owned()),
                    subresource: subresource.map(str::to_owned),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api = Api::<SelfSubjectAccessReview>::all(self.client.clone());
        match api.create(&PostParams::default(), &review).await {
            Ok(review) if review.status.as_ref().is_some_and(|s| s.allowed) => {
                Rejection::Webhook(message)
            }
            Ok(_) => {
                let resource = subresource.map_or("pods".to_owned(), |s| format!("pods/{s}"));
                Rejection::Permission(format!("{verb} {resource} in namespace {namespace}"))
            }
            Err(error) => Rejection::Retry(why("the permissions of the controller", &error)),
        }
    }
}

/// Sends a request. kube's methods do not return the header `Retry-After`.
pub(super) async fn send(client: &Client, request: http::Request<Vec<u8>>) -> Answer {
    let Ok(response) = client.send(request.map(Body::from)).await else {
        return Answer::None;
    };
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect_bytes().await else {
        return Answer::None;
    };
    if head.status.is_success() {
        return Answer::Accepted;
    }
    let mut status: Status = serde_json::from_slice(&body).unwrap_or_default();
    // API Priority and Fairness responds in plain text.
    if status.code == 0 {
        status.code = head.status.as_u16();
        status.message = String::from_utf8_lossy(&body).into_owned();
    }
    let header = head
        .headers
        .get("retry-after")
        .and_then(|v| v.to_str().ok()?.parse().ok());
    let details = status
        .details
        .as_ref()
        .map(|d| i64::from(d.retry_after_seconds));
    let seconds = header.or(details).filter(|seconds: &i64| *seconds > 0);
    Answer::Rejected(Box::new(status), seconds.map(SignedDuration::from_secs))
}

fn unavailable() -> Rejection {
    Rejection::Unknown("the API server is unavailable".to_owned())
}

/// What an answer alone tells. A webhook chooses code and details of its answer, so its name is looked
/// for first (k8s.io/apiserver v0.37, pkg/admission/plugin/webhook/errors/statuserror.go).
fn cause(status: &Status) -> Cause {
    let message = &status.message;
    if message.starts_with("admission webhook \"") || message.contains("failed calling webhook \"")
    {
        return Cause::Known(Rejection::Webhook(message.clone()));
    }
    if message.contains(EVICTION_PROTECTION) {
        return Cause::ExemptNamespace(message.clone());
    }
    if message.contains("ValidatingAdmissionPolicy '") {
        return Cause::Known(Rejection::Webhook(message.clone()));
    }
    let details = status.details.as_ref();
    let budget = details.filter(|d| d.kind.eq_ignore_ascii_case("poddisruptionbudget"));
    Cause::Known(match status.code {
        404 | 410 => Rejection::PodNotFound,
        // Another UID, but also a live pod that was changed too often meanwhile
        // (k8s.io/kubernetes v1.37, pkg/registry/core/pod/storage/eviction.go): reading it again
        // tells which.
        409 => Rejection::Retry("the pod was changed by another client".to_owned()),
        401 | 408 => Rejection::Retry(format!("the API server rejected the request: {message}")),
        429 => {
            let causes = details.into_iter().flat_map(|d| &d.causes);
            let mut budgets = causes.filter(|c| c.reason == "DisruptionBudget").peekable();
            if budgets.peek().is_none() {
                Rejection::Retry("the API server limits the requests of the controller".to_owned())
            } else {
                Rejection::DisruptionBudget(budgets.find_map(|c| budget_name(&c.message)))
            }
        }
        // A budget whose status allows nothing, as it is negative or has too many evictions that are
        // not confirmed.
        403 if budget.is_some() => {
            let name = budget
                .map(|d| d.name.clone())
                .filter(|name| !name.is_empty());
            Rejection::DisruptionBudget(name)
        }
        403 => return Cause::Forbidden(message.clone()),
        // The API server has no reason or detail for this.
        500 if message.contains("more than one PodDisruptionBudget") => {
            Rejection::MultipleDisruptionBudgets
        }
        400..=499 => Rejection::Invalid(message.clone()),
        _ => Rejection::Unknown(format!("the API server failed: {message}")),
    })
}

/// From `The disruption budget NAME needs …`.
fn budget_name(text: &str) -> Option<String> {
    let rest = text.split_once("disruption budget ")?.1;
    rest.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(code: u16, message: &str, details: &Value) -> Cause {
        let status =
            json!({"status": "Failure", "message": message, "code": code, "details": details});
        cause(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_rejection_is_classified_by_its_cause() {
        let causes =
            |message: &str| json!({"causes": [{"reason": "DisruptionBudget", "message": message}]});
        let budget = causes("The disruption budget web needs 2 healthy pods and has 2 currently");
        let none = json!({});
        let pdb = json!({"kind": "poddisruptionbudget", "group": "policy", "name": "web"});
        let retry = |why: &str| Rejection::Retry(why.to_owned());
        for (code, message, details, want) in [
            (404, "not found", &none, Rejection::PodNotFound),
            (410, "gone", &none, Rejection::PodNotFound),
            (
                409,
                "the UID in the precondition",
                &none,
                retry("the pod was changed by another client"),
            ),
            (
                401,
                "Unauthorized",
                &none,
                retry("the API server rejected the request: Unauthorized"),
            ),
            (
                429,
                "x",
                &budget,
                Rejection::DisruptionBudget(Some("web".to_owned())),
            ),
            (
                429,
                "x",
                &causes("in other words"),
                Rejection::DisruptionBudget(None),
            ),
            (
                429,
                "x",
                &none,
                retry("the API server limits the requests of the controller"),
            ),
            (
                403,
                "negative",
                &pdb,
                Rejection::DisruptionBudget(Some("web".to_owned())),
            ),
            (
                500,
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                &none,
                Rejection::MultipleDisruptionBudgets,
            ),
            (
                500,
                "etcd is away",
                &none,
                Rejection::Unknown("the API server failed: etcd is away".to_owned()),
            ),
            (
                504,
                "too slow",
                &none,
                Rejection::Unknown("the API server failed: too slow".to_owned()),
            ),
            (
                422,
                "no such field",
                &none,
                Rejection::Invalid("no such field".to_owned()),
            ),
        ] {
            assert_eq!(
                of(code, message, details),
                Cause::Known(want),
                "{code} {message}"
            );
        }
        assert_eq!(of(403, "no", &none), Cause::Forbidden("no".to_owned()));
        let own = "pods \"web\" is forbidden: ValidatingAdmissionPolicy 'bailiff-eviction-protection' with binding 'bailiff-eviction-protection' denied request: exempt";
        assert_eq!(of(422, own, &none), Cause::ExemptNamespace(own.to_owned()));
    }

    #[test]
    fn a_webhook_cannot_pass_itself_off_as_another_cause() {
        let webhook = "admission webhook \"deny.example.com\" denied the request: not on Sundays";
        let own = "admission webhook \"deny.example.com\" denied the request: ValidatingAdmissionPolicy 'bailiff-eviction-protection' denied request: exempt";
        let called =
            "Internal error occurred: failed calling webhook \"deny.example.com\": timeout";
        let budget = json!({"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 2"}]});
        let none = json!({});
        let pdb = json!({"kind": "poddisruptionbudget", "group": "policy", "name": "web"});
        for (code, message, details) in [
            (429, webhook, &budget),
            (429, webhook, &none),
            (404, webhook, &none),
            (403, webhook, &pdb),
            (500, called, &none),
            (422, own, &none),
        ] {
            let want = Cause::Known(Rejection::Webhook(message.to_owned()));
            assert_eq!(of(code, message, details), want, "{code} {message}");
        }
    }
}
