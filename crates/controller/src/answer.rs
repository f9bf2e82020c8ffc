//! Answers one Incident: plan, evict, tell.
//!
//! Here: who may look at an Incident when, and for how long. Not here: one look and what follows
//! from it (`round`), the eviction (`evict`), what is remembered from one round to the next
//! (`memory`), the words and where they are written (`tell`), the end of it (`recover`).
//! Invariant: a pod is taken away with its UID as precondition, and before anything is written
//! about it; after a wait the Incident is read again first; what was asked for is remembered
//! until it is known whether it was done; every result is on the Incident with its reason.

mod evict;
mod memory;
mod recover;
mod round;
mod tell;
#[cfg(test)]
mod tests;

use crate::config::Config;
use crate::gather::gather;
use crate::metrics::Metrics;
use crate::recovery::Counted;
use crate::turns::{Place, Turns};
use crate::work::Key;
use bailiff_api::{Incident, IncidentStatus, WorkloadReference, condition::types, keys};
use bailiff_kube::decode::Decoded;
use bailiff_kube::events::Publisher;
use bailiff_response::{Ledger, Lookup, Owner, is_final, needs_reevaluation, pod_removed};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Client};
use memory::Memory;
use round::{Step, Took};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Most first answers that use the API server at once; each makes about nine requests.
const FIRST_PLACES: usize = 16;
/// Most other looks that do: at what is held, and at what is to be replaced.
const LATER_PLACES: usize = 8;

/// How long an Incident may wait for its turn and count as just read.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Why an answer ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The Incident is no longer there: nobody is left to be told.
    Gone,
    /// This replica no longer leads; nothing that was begun was left half done.
    Stopping,
}

/// The right to read a pod and act on it: nobody else does, and not too many do elsewhere.
struct Turn {
    _pod: tokio::sync::OwnedMutexGuard<()>,
    _place: Place,
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
    first: Turns,
    later: Turns,
    stopping: CancellationToken,
}

impl Controller {
    /// A controller that has learned nothing yet. Once `stopping` is cancelled it begins nothing
    /// new, and only tells of what it has done.
    #[must_use]
    pub(crate) fn new(
        client: Client,
        config: Config,
        metrics: Metrics,
        stopping: CancellationToken,
    ) -> Self {
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
            first: Turns::new(FIRST_PLACES),
            later: Turns::new(LATER_PLACES),
            stopping,
        }
    }

    /// Notes what an Incident says was done, as after a restart.
    pub(crate) fn learn(&self, incident: &Incident) {
        self.ledger().restore(incident);
        let replacement = incident
            .status
            .as_ref()
            .and_then(|s| s.replacement.as_ref());
        if let Some(replacement) = replacement {
            let uid = incident.metadata.uid.as_deref().unwrap_or_default();
            self.counted()
                .learn(&replacement.uid, uid, Timestamp::now());
        }
    }

    /// The Incident as it is now; none: it is gone.
    async fn read(&self, key: &Key) -> Result<Option<Incident>, kube::Error> {
        let api = Api::<Decoded<Incident>>::namespaced(self.client.clone(), &key.namespace);
        // The watch tells of one that cannot be decoded.
        let now = api
            .get_opt(&key.name)
            .await?
            .and_then(|now| now.into_result().ok());
        Ok(now.filter(|now| now.metadata.uid.as_ref() == Some(&key.uid)))
    }

    /// Reads an Incident, and answers it if something is left to be done.
    ///
    /// # Errors
    /// When it is not there, or this replica no longer leads.
    pub(crate) async fn look(&self, key: &Key) -> Result<(), End> {
        let mut memory = Memory::new(&self.config);
        let incident = loop {
            match self.read(key).await {
                Ok(Some(incident)) => break incident,
                Ok(None) => return Err(End::Gone),
                Err(error) => {
                    tracing::warn!(%error, incident = key.name, "cannot read an incident; it is tried again");
                    self.pause(memory.longer_pause()).await?;
                }
            }
        };
        self.follow(incident, true, false).await
    }

    /// Answers an Incident to its end, waiting where it has to, until its workload is whole. One
    /// that is not `fresh` is read first.
    ///
    /// # Errors
    /// When the Incident was deleted meanwhile, or this replica no longer leads.
    pub(crate) async fn answer(&self, incident: Incident, fresh: bool) -> Result<(), End> {
        self.follow(incident, fresh, fresh).await
    }

    /// `known`: the Incident need not be read before the first round; `first`: nobody has looked
    /// at it yet.
    async fn follow(&self, mut incident: Incident, known: bool, first: bool) -> Result<(), End> {
        let mut memory = Memory::new(&self.config);
        match self.rounds(&mut incident, &mut memory, known, first).await {
            Ok(()) => self.recover(incident).await,
            Err(End::Stopping) => {
                Box::pin(self.last_look(incident, memory)).await?;
                Err(End::Stopping)
            }
            Err(End::Gone) => Err(End::Gone),
        }
    }

    /// Round after round until the Incident is answered.
    async fn rounds(
        &self,
        incident: &mut Incident,
        memory: &mut Memory,
        mut known: bool,
        first: bool,
    ) -> Result<(), End> {
        let key = Key::of(incident).ok_or(End::Gone)?;
        let mut answered = false;
        loop {
            let waiting = Instant::now();
            let turn = self.turn(incident, first && !answered).await?;
            if !known || waiting.elapsed() > FRESH_FOR {
                match self.read(&key).await {
                    Ok(Some(now)) => *incident = now,
                    Ok(None) => return Err(End::Gone),
                    Err(error) => {
                        drop(turn);
                        tracing::warn!(%error, incident = key.name, "cannot read an incident; it is tried again");
                        self.pause(memory.longer_pause()).await?;
                        continue;
                    }
                }
            }
            known = false;
            let overtaken = !answered && needs_reevaluation(incident);
            if is_final(incident, types::RESPONDED) && !overtaken {
                return Ok(());
            }
            let mut took = Took::begin();
            // On the heap only while it lasts: many Incidents wait at once.
            let step = Box::pin(self.round(incident, memory, &mut took)).await?;
            answered = true;
            drop(turn);
            let pause = match step {
                Step::Quiet(pause) => pause,
                Step::Tell(outcome, owner, pause) => {
                    Box::pin(self.tell(incident, workload(&owner), &outcome, &took)).await?;
                    let Some(pause) = pause else { return Ok(()) };
                    pause
                }
            };
            self.pause(pause).await?;
        }
    }

    /// Before the end: what was asked for without a clear answer is told if it was done. Who
    /// leads next would find a pod that ends, and not know why.
    async fn last_look(&self, mut incident: Incident, memory: Memory) -> Result<(), End> {
        let Some(asked) = memory.asked else {
            return Ok(());
        };
        let mut took = Took::begin();
        let facts = gather(&self.client, &self.config, &incident).await;
        took.read();
        match pod_removed(&facts) {
            Lookup::Found(true) | Lookup::NotFound => {
                let owner = asked.owner.clone();
                let outcome = asked.done();
                self.tell(&mut incident, workload(&owner), &outcome, &took)
                    .await
            }
            Lookup::Found(false) | Lookup::Failed(_) => Ok(()),
        }
    }

    /// Waits for the turn of an Incident. Of two of a pod the second reads it after the first was
    /// answered, and does not wait for a cooldown of a pod that is gone.
    async fn turn(&self, incident: &Incident, first: bool) -> Result<Turn, End> {
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        let places = if first { &self.first } else { &self.later };
        let pod = self.pod_lock(&incident.spec.pod.uid);
        let entering = async {
            Turn {
                _pod: pod.lock_owned().await,
                _place: places.enter(namespace).await,
            }
        };
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(End::Stopping),
            turn = entering => Ok(turn),
        }
    }

    async fn pause(&self, pause: Duration) -> Result<(), End> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(End::Stopping),
            () = tokio::time::sleep(pause) => Ok(()),
        }
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

    fn incidents(&self, incident: &Incident) -> Api<Incident> {
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn workload(owner: &Owner) -> Option<&WorkloadReference> {
    match owner {
        Owner::Workload(workload) => Some(workload),
        Owner::None | Owner::Unknown(_) => None,
    }
}

/// A condition of a status.
fn condition<'a>(status: Option<&'a IncidentStatus>, type_: &str) -> Option<&'a Condition> {
    let conditions = &status?.conditions;
    conditions.iter().find(|c| c.type_ == type_)
}
