//! Answers one Incident: plan, evict, tell.
//!
//! Here: the calls and the translation of their results. Not here: the plan itself.
//! Invariant: a pod is taken away with its UID as precondition, and before anything is written
//! about it; every result is on the Incident with its reason.

use crate::config::Config;
use crate::gather::gather;
use crate::metrics::{Metrics, Reason};
use crate::recovery::{Counted, look};
use bailiff_api::{Incident, IncidentStatus, OwnerObject, ResponseAction, condition::types, keys};
use bailiff_kube::events::{Notice, Publisher};
use bailiff_response::messages::{self, Regarding};
use bailiff_response::{
    Answer, Ledger, Live, NothingReason, Outcome, Owner, Plan, Recovery, WaitReason, is_overtaken,
    is_settled, plan, recovered, settle,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::Status;
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// What the API server said to an eviction.
enum Said {
    Accepted(Timestamp),
    Budget(Option<String>),
    Final(NothingReason),
    Unclear(String),
}

/// First and longest pause before a status is written again.
const WRITE_RETRY: Duration = Duration::from_millis(250);
const WRITE_RETRY_MAX: Duration = Duration::from_secs(30);

/// The Incident is no longer there: nobody is left to be told.
#[derive(Debug)]
pub(crate) struct Gone;

/// Answers Incidents.
pub(crate) struct Controller {
    client: Client,
    config: Config,
    publisher: Publisher,
    metrics: Metrics,
    ledger: Mutex<Ledger>,
    counted: Mutex<Counted>,
    pods: Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Controller {
    /// A controller that has learned nothing yet.
    #[must_use]
    pub(crate) fn new(client: Client, config: Config, metrics: Metrics) -> Self {
        let publisher = Publisher::new(
            client.clone(),
            keys::REPORTING_CONTROLLER,
            config.identity.clone(),
        );
        Self {
            client,
            config,
            publisher,
            metrics,
            ledger: Mutex::default(),
            counted: Mutex::default(),
            pods: Mutex::default(),
        }
    }

    /// Notes what an Incident says was done, as after a restart.
    pub(crate) fn learn(&self, incident: &Incident) {
        self.ledger().learn(incident);
        let replacement = incident
            .status
            .as_ref()
            .and_then(|s| s.replacement.as_ref());
        if let Some(replacement) = replacement {
            self.count(incident, &replacement.uid);
        }
    }

    /// The Incident as it is now; none: it is gone.
    pub(crate) async fn read(&self, incident: &Incident) -> Result<Option<Incident>, kube::Error> {
        let name = incident.metadata.name.as_deref().unwrap_or_default();
        let now = self.incidents(incident).get_opt(name).await?;
        Ok(now.filter(|now| now.metadata.uid == incident.metadata.uid))
    }

    /// Answers an Incident to its end, waiting where it has to, until its workload is whole.
    ///
    /// # Errors
    /// When the Incident was deleted meanwhile.
    pub(crate) async fn answer(&self, mut incident: Incident) -> Result<(), Gone> {
        let mut blocked: Option<(tokio::time::Instant, Duration)> = None;
        let mut overtaken = is_overtaken(&incident);
        while overtaken || !is_settled(&incident, types::ANSWERED) {
            overtaken = false;
            // Of two Incidents of a pod the second reads it after the first was answered, and does
            // not wait for a cooldown of a pod that is gone.
            let pod = self.pod_lock(&incident.spec.pod.uid);
            let turn = pod.lock().await;
            let (plan, owner, noted) = self.plan(&incident).await;
            let (outcome, pause) = match plan {
                Plan::Evict(answer) => {
                    self.take_away(&incident, &answer, ResponseAction::Evict, &mut blocked)
                        .await
                }
                Plan::Delete(answer) => {
                    self.take_away(&incident, &answer, ResponseAction::Delete, &mut blocked)
                        .await
                }
                Plan::Wait { reason, until } => {
                    let pause = Duration::try_from(until.duration_since(Timestamp::now()));
                    // The pod may end by itself long before the time.
                    let pause = pause.unwrap_or_default().min(self.config.answer_again);
                    (Outcome::Held(reason), pause)
                }
                Plan::Nothing { reason, would } => {
                    (Outcome::Nothing { reason, would }, Duration::ZERO)
                }
            };
            if let (Some((binding, at)), false) = (noted, matches!(outcome, Outcome::Done { .. })) {
                self.ledger().take_back(uid(&owner), &binding, at);
            }
            drop(turn);
            self.tell(&mut incident, workload(&owner), &outcome).await?;
            tokio::time::sleep(pause).await;
        }
        self.recover(incident).await
    }

    /// Waits for the replacement of a pod that was taken away.
    async fn recover(&self, incident: Incident) -> Result<(), Gone> {
        let status = incident.status.clone().unwrap_or_default();
        let Some(since) = status.response.map(|r| r.time.0) else {
            return Ok(());
        };
        if is_settled(&incident, types::RECOVERED) {
            return Ok(());
        }
        let timeout = self.config.replacement_timeout;
        let recovery = loop {
            let count = |uid: &str| self.count(&incident, uid);
            match look(&self.client, &incident, since, timeout, count).await {
                Ok(Recovery::Waiting) => {}
                Ok(recovery) => break recovery,
                Err(error) => {
                    tracing::warn!(%error, incident = incident.metadata.name, "cannot look for the replacement");
                }
            }
            tokio::time::sleep(self.config.replacement_poll).await;
        };
        let now = Timestamp::now();
        let after = recovered(&incident, &recovery, now);
        self.write(&incident, &after).await?;
        let reason = condition(Some(&after), types::RECOVERED).unwrap_or_default();
        tracing::info!(
            incident = incident.metadata.name,
            namespace = incident.metadata.namespace,
            pod = incident.spec.pod.name,
            outcome = reason,
            "recovery",
        );
        let reason = recovery.reason();
        self.metrics
            .recoveries
            .get_or_create(&Reason { reason })
            .inc();
        if let (Some(note), Some(w)) = (
            messages::recovered_note(&incident, &recovery),
            &after.workload,
        ) {
            let owner = reference(&w.api_version, &w.kind, &w.name, &w.uid, &incident);
            self.send(&incident, note, reason, owner, None, now).await;
        }
        Ok(())
    }

    /// The lock of a pod; it lives as long as somebody holds it.
    fn pod_lock(&self, uid: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = pods.get(uid).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        pods.insert(uid.to_owned(), Arc::downgrade(&lock));
        lock
    }

    fn count(&self, incident: &Incident, pod_uid: &str) -> bool {
        let uid = incident.metadata.uid.as_deref().unwrap_or_default();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.count(pod_uid, uid, Timestamp::now())
    }

    /// Plans, and notes the answer in the same breath, so that no two use one place.
    async fn plan(&self, incident: &Incident) -> (Plan, Owner, Option<(String, Timestamp)>) {
        let mut facts = gather(&self.client, &self.config, incident).await;
        let now = Timestamp::now();
        let mut ledger = self.ledger();
        ledger.forget(now);
        if let Live::Found(bindings) = &facts.bindings {
            let names: Vec<_> = bindings.iter().map(|b| b.name.as_str()).collect();
            facts.history = ledger.history(uid(&facts.owner), &names);
        }
        let plan = plan(&facts, now);
        let noted = match &plan {
            Plan::Evict(answer) | Plan::Delete(answer) => {
                ledger.note(uid(&facts.owner), &answer.binding, now);
                Some((answer.binding.clone(), now))
            }
            Plan::Wait { .. } | Plan::Nothing { .. } => None,
        };
        (plan, facts.owner, noted)
    }

    async fn take_away(
        &self,
        incident: &Incident,
        answer: &Answer,
        action: ResponseAction,
        blocked: &mut Option<(tokio::time::Instant, Duration)>,
    ) -> (Outcome, Duration) {
        let said = match action {
            ResponseAction::Delete => self.delete(incident, answer).await,
            ResponseAction::Evict | ResponseAction::Audit => self.evict(incident, answer).await,
        };
        let nothing = |reason| {
            (
                Outcome::Nothing {
                    reason,
                    would: None,
                },
                Duration::ZERO,
            )
        };
        let budget = match said {
            Said::Accepted(at) => {
                let binding = answer.binding.clone();
                return (
                    Outcome::Done {
                        action,
                        binding,
                        at,
                    },
                    Duration::ZERO,
                );
            }
            Said::Final(reason) => return nothing(reason),
            Said::Unclear(why) => {
                return (
                    Outcome::Held(WaitReason::CouldNotCheck(why)),
                    self.config.eviction_backoff_initial,
                );
            }
            Said::Budget(name) => name,
        };
        let first = (
            tokio::time::Instant::now(),
            self.config.eviction_backoff_initial,
        );
        let (since, pause) = blocked.get_or_insert(first);
        let timeout = Duration::from_secs(answer.eviction_timeout_seconds.into());
        let left = timeout.saturating_sub(since.elapsed());
        if left.is_zero() {
            return nothing(NothingReason::DisruptionBudget(budget));
        }
        let now = (*pause).min(left);
        *pause = pause
            .saturating_mul(2)
            .min(self.config.eviction_backoff_max);
        (Outcome::Held(WaitReason::DisruptionBudget(budget)), now)
    }

    /// kube's own `evict` spells the delete options so that the API server ignores them, and
    /// with them the UID.
    async fn evict(&self, incident: &Incident, answer: &Answer) -> Said {
        let name = &incident.spec.pod.name;
        let eviction = Eviction {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: incident.metadata.namespace.clone(),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                grace_period_seconds: answer.grace_period_seconds.map(i64::from),
                preconditions: Some(Preconditions {
                    uid: Some(incident.spec.pod.uid.clone()),
                    resource_version: None,
                }),
                ..DeleteOptions::default()
            }),
        };
        let sent: Result<Status, _> = self
            .pods(incident)
            .create_subresource("eviction", name, &PostParams::default(), &eviction)
            .await;
        said(sent.map(drop))
    }

    async fn delete(&self, incident: &Incident, answer: &Answer) -> Said {
        let params = DeleteParams {
            grace_period_seconds: answer.grace_period_seconds,
            preconditions: Some(kube::api::Preconditions {
                uid: Some(incident.spec.pod.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let sent = self
            .pods(incident)
            .delete(&incident.spec.pod.name, &params)
            .await;
        said(sent.map(drop))
    }

    /// Status first, then Events; an Event that fails is logged and holds nothing up.
    async fn tell(
        &self,
        incident: &mut Incident,
        workload: Option<&OwnerObject>,
        outcome: &Outcome,
    ) -> Result<(), Gone> {
        let now = Timestamp::now();
        let status = settle(incident, workload, outcome, now);
        // A wait that goes on for the same reason is told once.
        let before = condition(incident.status.as_ref(), types::ANSWERED);
        let first = before.is_none();
        if before != Some(outcome.reason()) {
            self.write(incident, &status).await?;
            self.measure(incident, outcome, first);
            tracing::info!(
                incident = incident.metadata.name,
                namespace = incident.metadata.namespace,
                pod = incident.spec.pod.name,
                uid = incident.spec.pod.uid,
                policy = incident.spec.policy.name,
                outcome = outcome.reason(),
                "incident",
            );
            let pod = reference(
                "v1",
                "Pod",
                &incident.spec.pod.name,
                &incident.spec.pod.uid,
                incident,
            );
            self.publish(incident, outcome, Regarding::Pod, &pod, None, now)
                .await;
            if let Some(w) = workload {
                let owner = reference(&w.api_version, &w.kind, &w.name, &w.uid, incident);
                self.publish(
                    incident,
                    outcome,
                    Regarding::Workload(&w.kind),
                    &owner,
                    Some(pod),
                    now,
                )
                .await;
            }
        }
        incident.status = Some(status);
        Ok(())
    }

    async fn publish(
        &self,
        incident: &Incident,
        outcome: &Outcome,
        about: Regarding<'_>,
        regarding: &ObjectReference,
        related: Option<ObjectReference>,
        now: Timestamp,
    ) {
        if let Some(note) = messages::note(incident, outcome, about) {
            self.send(
                incident,
                note,
                outcome.reason(),
                regarding.clone(),
                related,
                now,
            )
            .await;
        }
    }

    fn measure(&self, incident: &Incident, outcome: &Outcome, first: bool) {
        let reason = outcome.reason();
        self.metrics.answers.get_or_create(&Reason { reason }).inc();
        if let (Outcome::Done { at, .. }, true) = (outcome, first) {
            let took = at.duration_since(incident.spec.detected_time.0);
            self.metrics.answer_seconds.observe(took.as_secs_f64());
        }
    }

    async fn send(
        &self,
        incident: &Incident,
        note: messages::Note,
        action: &'static str,
        regarding: ObjectReference,
        related: Option<ObjectReference>,
        now: Timestamp,
    ) {
        let notice = Notice {
            reason: note.reason,
            action,
            warning: note.warning,
            note: note.text,
            regarding,
            related,
        };
        if let Err(error) = self.publisher.publish(&notice, now).await {
            self.metrics.event_failures.inc();
            tracing::warn!(error = %error, incident = incident.metadata.name, "cannot write an event");
        }
    }

    /// A merge patch without `series`, which the sensor owns. It is tried until it is taken: what
    /// was done must not be lost because the API server was away for a moment.
    async fn write(&self, incident: &Incident, status: &IncidentStatus) -> Result<(), Gone> {
        let name = incident.metadata.name.as_deref().unwrap_or_default();
        let ours = IncidentStatus {
            series: None,
            ..status.clone()
        };
        let patch = Patch::Merge(serde_json::json!({ "status": ours }));
        let mut pause = WRITE_RETRY;
        loop {
            let written = self
                .incidents(incident)
                .patch_status(name, &PatchParams::default(), &patch)
                .await;
            match written {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => return Err(Gone),
                Err(error) => {
                    tracing::warn!(%error, incident = name, "cannot write a status; it is tried again");
                }
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(WRITE_RETRY_MAX);
        }
    }

    fn incidents(&self, incident: &Incident) -> Api<Incident> {
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.client.clone(), namespace)
    }

    fn pods(&self, incident: &Incident) -> Api<Pod> {
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.client.clone(), namespace)
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(sent: Result<(), kube::Error>) -> Said {
    let status = match sent {
        Ok(()) => return Said::Accepted(Timestamp::now()),
        Err(kube::Error::Api(status)) => status,
        Err(_) => return Said::Unclear("the API server does not answer".to_owned()),
    };
    match status.code {
        404 | 409 | 410 => Said::Final(NothingReason::PodGone),
        429 => {
            let causes = status.details.iter().flat_map(|d| &d.causes);
            let mut budgets = causes.filter(|c| c.reason == "DisruptionBudget").peekable();
            if budgets.peek().is_none() {
                return Said::Unclear("the API server is busy".to_owned());
            }
            Said::Budget(budgets.find_map(|c| budget_name(&c.message)))
        }
        // The words of the API server's eviction handler, which has no reason for this.
        500 if status.message.contains("more than one PodDisruptionBudget") => {
            Said::Final(NothingReason::SeveralDisruptionBudgets)
        }
        400..=499 => Said::Final(NothingReason::Refused(status.message)),
        _ => Said::Unclear(format!("the API server failed: {}", status.message)),
    }
}

/// From `The disruption budget NAME needs …`.
fn budget_name(text: &str) -> Option<String> {
    let rest = text.split_once("disruption budget ")?.1;
    rest.split_whitespace().next().map(str::to_owned)
}

fn workload(owner: &Owner) -> Option<&OwnerObject> {
    match owner {
        Owner::Workload(workload) => Some(workload),
        Owner::None | Owner::Unknown(_) => None,
    }
}

fn uid(owner: &Owner) -> Option<&str> {
    workload(owner).map(|w| w.uid.as_str())
}

/// The reason of a condition.
fn condition<'a>(status: Option<&'a IncidentStatus>, type_: &str) -> Option<&'a str> {
    let conditions = &status?.conditions;
    let found = conditions.iter().find(|c| c.type_ == type_)?;
    Some(&found.reason)
}

fn reference(
    version: &str,
    kind: &str,
    name: &str,
    uid: &str,
    incident: &Incident,
) -> ObjectReference {
    ObjectReference {
        api_version: Some(version.to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        namespace: incident.metadata.namespace.clone(),
        ..ObjectReference::default()
    }
}
