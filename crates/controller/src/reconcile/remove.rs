//! Requests removals of pods.
//!
//! Here: the requests, and the question whether a permission is missing. Not here: whether to request
//! one, the cause of a rejection and what it comes to (`bailiff_response`).
//! Invariant: a request names the pod's UID as its only precondition; no request leaves without the
//! switch having been read within half a second; only a 2xx is accepted.

use super::{Controller, PendingRemoval, Stop};
use crate::gather::why;
use crate::switch::{self, FRESH_FOR, SwitchRead};
use bailiff_api::{Incident, ResponseAction};
use bailiff_kube::decode::Decoded;
use bailiff_response::{
    Facts, Forbidden, Outcome, Rejection, Shortening, Switch, WaitReason, rejected, unanswered,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    DeleteOptions, ObjectMeta, Preconditions, Status,
};
use kube::api::{DeleteParams, PostParams};
use kube::client::Body;
use kube::core::Request;
use kube::{Api, Client, Resource as _};

/// The response of the API server.
#[derive(Debug)]
pub(super) enum Answer {
    Accepted,
    Rejected(Box<Status>, Option<SignedDuration>),
    /// There was none.
    None,
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
                let namespace = &facts.violation.namespace;
                (self.cause(namespace, action, &status).await, retry_after)
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
        // Whether it was done is not known: it is tried again until the deadline.
        let unknown = |rejection| {
            let (waiting, deadline) = (&facts.waiting, shortening.eviction_deadline_seconds);
            let given_up = unanswered(at, waiting.as_ref());
            given_up.unwrap_or_else(|| rejected(rejection, deadline, waiting.as_ref(), at))
        };
        match self.evict(incident, shortening.grace_period_seconds).await {
            Answer::Accepted => {}
            Answer::None => return Ok(Some((unknown(unavailable()), None))),
            Answer::Rejected(status, retry_after) => {
                let action = ResponseAction::Evict;
                let outcome = rejected(
                    self.cause(namespace, action, &status).await,
                    shortening.eviction_deadline_seconds,
                    facts.waiting.as_ref(),
                    Timestamp::now(),
                );
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
            Err(error) => {
                let why = why("the pod", &error);
                return Ok(Some((unknown(Rejection::Unknown(why)), None)));
            }
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
        let request = Request::new(Pod::url_path(&(), Some(&pod.namespace)));
        let Ok(request) = request.delete(&pod.name, &params) else {
            return Answer::None;
        };
        send(&self.client, request).await
    }

    /// The cause of a rejection.
    async fn cause(&self, namespace: &str, action: ResponseAction, status: &Status) -> Rejection {
        match Rejection::of(status) {
            Ok(rejection) => rejection,
            Err(forbidden) => self.forbidden(namespace, action, forbidden).await,
        }
    }

    /// Distinguishes a missing permission from a denial of admission, with a request to the API server.
    async fn forbidden(
        &self,
        namespace: &str,
        action: ResponseAction,
        forbidden: Forbidden,
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
                forbidden.by_admission()
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
    if status.code.is_none() {
        status.code = Some(head.status.as_u16().into());
        status.message = Some(String::from_utf8_lossy(&body).into_owned());
    }
    let header = head
        .headers
        .get("retry-after")
        .and_then(|v| v.to_str().ok()?.parse().ok());
    let details = status.details.as_ref().and_then(|d| d.retry_after_seconds);
    let seconds = header
        .or(details.map(i64::from))
        .filter(|seconds: &i64| *seconds > 0);
    Answer::Rejected(Box::new(status), seconds.map(SignedDuration::from_secs))
}

fn unavailable() -> Rejection {
    Rejection::Unknown("the API server is unavailable".to_owned())
}
