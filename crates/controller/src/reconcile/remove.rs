//! Requests removals of pods.
//!
//! Here: the requests, dry runs too, and the question whether a permission is missing. Not here: whether to
//! request one, the cause of a rejection and what it comes to (`bailiff_response`).
//! Invariant: a request names the pod's UID as its only precondition; none that changes a pod leaves
//! without the switch having been read within half a second; only a 2xx is accepted.

use super::{Controller, Stop};
use crate::gather::why;
use crate::switch::{self, FRESH_FOR, SwitchRead};
use bailiff_api::{Incident, ResponseAction};
use bailiff_kube::decode::Decoded;
use bailiff_response::{
    DryRun, Facts, Forbidden, Lookup, Outcome, PodRemoval, Rejection, RemovalRequest, Shortening,
    Switch, WaitReason, is_of_terminating_namespace,
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
use std::time::Duration;

/// Timeout of a dry run: no admission webhook holds the slot of a response for longer with one.
const DRY_RUN_LIMIT: Duration = Duration::from_secs(2);

/// Whether an eviction takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evict {
    Now,
    DryRun,
}

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
        request: RemovalRequest,
        switch: SwitchRead,
    ) -> Result<(Outcome, Option<SignedDuration>), Stop> {
        let release = || {
            let pod_uid = &incident.spec.pod.uid;
            self.work().controls.ledger.release(pod_uid);
        };
        if let Some(outcome) = self.switched_off(switch).await {
            release();
            return Ok((outcome, None));
        }
        if self.stopping.is_cancelled() {
            release();
            return Err(Stop::Stopping);
        }
        let (action, grace) = (request.action, request.removal.grace_period_seconds);
        let answer = match action {
            ResponseAction::Delete => self.delete(incident, grace).await,
            ResponseAction::Evict | ResponseAction::Audit => {
                self.evict(incident, grace, Evict::Now).await
            }
        };
        let namespace = &facts.violation.namespace;
        let (response, retry_after) = self.response(namespace, action, answer).await;
        let mut work = self.work();
        let now = Timestamp::now();
        let outcome = work.controls.responded(facts, request, response, now);
        Ok((outcome, retry_after))
    }

    /// Requests a dry run of the removal that Evict would request. It is made once: what is not known
    /// then is reported as not known.
    pub(super) async fn dry_run(
        &self,
        incident: &Incident,
        facts: &Facts,
        removal: &PodRemoval,
    ) -> Result<Outcome, Stop> {
        if self.stopping.is_cancelled() {
            return Err(Stop::Stopping);
        }
        let uid = incident.metadata.uid.as_deref().unwrap_or_default();
        let now = Timestamp::now();
        let claim = &removal.claim;
        let reserved = self.work().controls.reserve_dry_run(uid, claim, now);
        let result = if reserved {
            let request = self.request_dry_run(incident, facts, removal.grace_period_seconds);
            let result = tokio::time::timeout(DRY_RUN_LIMIT, Box::pin(request)).await;
            result.unwrap_or_else(|_| {
                DryRun::NotChecked("the API server did not respond within 2 seconds".to_owned())
            })
        } else {
            DryRun::NotChecked("the limit of dry runs in a minute is reached".to_owned())
        };
        Ok(result.outcome(removal, Timestamp::now()))
    }

    async fn request_dry_run(&self, incident: &Incident, facts: &Facts, grace: u32) -> DryRun {
        match self.evict(incident, grace, Evict::DryRun).await {
            Answer::Accepted => DryRun::Accepted,
            Answer::None => DryRun::NotChecked("the API server is unavailable".to_owned()),
            Answer::Rejected(status, _) => match DryRun::of(&status) {
                Ok(result) => result,
                Err(forbidden) => {
                    let (namespace, action) = (&facts.violation.namespace, ResponseAction::Evict);
                    DryRun::Rejected(self.forbidden(namespace, action, forbidden).await)
                }
            },
        }
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
        let (mut action, grace) = (ResponseAction::Evict, shortening.grace_period_seconds);
        let mut answer = self.evict(incident, grace, Evict::Now).await;
        if let Answer::Rejected(status, _) = &answer
            && self.config.allow_pod_deletion
            && is_of_terminating_namespace(status)
        {
            // Otherwise, who deletes the namespace makes its pods immune for as long as they asked to run on.
            let read = switch::read(&self.client, &self.config.namespace).await;
            if let Some(outcome) = self.switched_off(read).await {
                return Ok(Some((outcome, None)));
            }
            action = ResponseAction::Delete;
            answer = self.delete(incident, grace).await;
        }
        let (response, retry_after) = self.response(namespace, action, answer).await;
        let response = match response {
            Ok(()) => Ok(self.read_metadata(incident).await),
            Err(rejection) => Err(rejection),
        };
        let outcome = shortening.responded(facts, response, at, Timestamp::now());
        match &outcome {
            None | Some(Outcome::Shortened { .. }) => {
                self.shortened().insert(incident.spec.pod.uid.clone(), at);
            }
            Some(Outcome::Removed { .. } | Outcome::Waiting { .. } | Outcome::NoAction { .. }) => {}
        }
        Ok(outcome.map(|outcome| (outcome, retry_after)))
    }

    /// The metadata of the pod as they are now.
    async fn read_metadata(&self, incident: &Incident) -> Lookup<ObjectMeta> {
        let pod = &incident.spec.pod;
        let pods = Api::<Decoded<Pod>>::namespaced(self.client.clone(), &pod.namespace);
        match pods.get_opt(&pod.name).await {
            Ok(None) => Lookup::NotFound,
            Ok(Some(found)) => Lookup::Found(found.meta().clone()),
            Err(error) => Lookup::Failed(why("the pod", &error)),
        }
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
    async fn evict(&self, incident: &Incident, grace_period_seconds: u32, how: Evict) -> Answer {
        let is_dry_run = how == Evict::DryRun;
        let pod = &incident.spec.pod;
        let eviction = Eviction {
            metadata: ObjectMeta {
                name: Some(pod.name.clone()),
                namespace: Some(pod.namespace.clone()),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                dry_run: is_dry_run.then(|| vec!["All".to_owned()]),
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
        let params = PostParams {
            dry_run: is_dry_run,
            ..PostParams::default()
        };
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

    /// What the API server responded, and the least pause that it asked for.
    async fn response(
        &self,
        namespace: &str,
        action: ResponseAction,
        answer: Answer,
    ) -> (Result<(), Rejection>, Option<SignedDuration>) {
        match answer {
            Answer::Accepted => (Ok(()), None),
            Answer::None => {
                let unavailable = "the API server is unavailable".to_owned();
                (Err(Rejection::Unknown(unavailable)), None)
            }
            Answer::Rejected(status, retry_after) => {
                let cause = self.cause(namespace, action, &status).await;
                (Err(cause), retry_after)
            }
        }
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
