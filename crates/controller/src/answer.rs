//! Answers one Incident: plan, evict, tell.
//!
//! Here: the order of calls. Not here: the plan itself, the eviction (`evict`), the words and
//! where they are written (`tell`).
//! Invariant: a pod is taken away with its UID as precondition, and before anything is written
//! about it; every result is on the Incident with its reason.

mod evict;
mod tell;

use crate::config::Config;
use crate::gather::gather;
use crate::metrics::{Metrics, Reason};
use crate::recovery::{Counted, look};
use bailiff_api::{Incident, IncidentStatus, OwnerObject, ResponseAction, condition::types, keys};
use bailiff_kube::events::Publisher;
use bailiff_response::messages;
use bailiff_response::{
    Answer, Ledger, Live, NothingReason, Outcome, Owner, Plan, Recovery, WaitReason, is_overtaken,
    is_settled, plan, recovered,
};
use evict::Said;
use jiff::Timestamp;
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tell::reference;

/// The Incident is no longer there: nobody is left to be told.
#[derive(Debug)]
pub(crate) struct Gone;

/// How long the steps of an answer took, for the log: whoever finds answers slow sees which.
struct Took {
    last: tokio::time::Instant,
    read: Duration,
    request: Duration,
}

impl Took {
    fn begin() -> Self {
        Self {
            last: tokio::time::Instant::now(),
            read: Duration::ZERO,
            request: Duration::ZERO,
        }
    }

    fn lap(&mut self) -> Duration {
        let now = tokio::time::Instant::now();
        now.duration_since(std::mem::replace(&mut self.last, now))
    }

    /// Everything that the plan depends on was read.
    fn read(&mut self) {
        self.read = self.lap();
    }

    /// The API server answered to the eviction.
    fn asked(&mut self) {
        self.request = self.lap();
    }
}

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
            let mut took = Took::begin();
            let (plan, owner, noted) = self.plan(&incident).await;
            took.read();
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
            took.asked();
            self.tell(&mut incident, workload(&owner), &outcome, &took)
                .await?;
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
        let mut facts = Box::pin(gather(&self.client, &self.config, incident)).await;
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

    fn incidents(&self, incident: &Incident) -> Api<Incident> {
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.client.clone(), namespace)
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
