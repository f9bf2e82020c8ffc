//! One Incident on its way into the API, and what is kept of it.
//!
//! Here: its counts, its evidence, and when it is written next. Not here: a bound on all of them (`entries`), the
//! requests (`request`).
//! Invariant: what violated the policy is kept as the Incident is sent, with the facts that were known of pod and
//! container then: nothing of it changes or stays in memory when the pod is gone. An entry without its further
//! processes has at most [`LEAST_BYTES`].

use super::LONGEST_INTERVAL;
use crate::incident::evidence::{incident, named_bindings, process_room};
use crate::incident::processes::{Processes, Room};
use crate::judge::Finding;
use bailiff_api::{BindingReference, Incident, IncidentSpec, IncidentType, Series};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use tokio::time::Instant;

/// Most bindings of an Incident that are remembered as reported.
const REPORTED_LIMIT: usize = 64;
/// Most bytes of an entry without its further processes: 11 KiB of evidence with its metadata, the bindings that are
/// named, the texts and the numbers.
#[cfg(test)]
pub(super) const LEAST_BYTES: usize = 16 << 10;
/// Bytes of the places that maps have for an entry, and of its name.
const PLACES_BYTES: usize = 640;

/// Whether a limit on the number of Incidents applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limited {
    /// No limit applies: a violation is enforced.
    Never,
    /// Each violation is only audited, so a limit applies.
    Audited,
    /// The same, and it became a log entry.
    Logged,
    /// Each is only audited, but whether the Incident exists cannot be determined.
    Unfindable,
}

/// A violation as it is recorded: the Incident in JSON, which is compact. Decoded, short arguments take ten times as
/// much.
#[derive(Debug)]
pub(super) struct Evidence(Box<[u8]>);

impl Evidence {
    fn of(finding: &Finding, node: &str) -> Self {
        let incident = incident(finding, node, finding.time);
        // What cannot be encoded cannot be decoded either, which is reported.
        Self(serde_json::to_vec(&incident).unwrap_or_default().into())
    }

    /// The Incident.
    ///
    /// # Errors
    /// If it is not one, by a defect.
    pub(super) fn decode(&self) -> Result<Incident, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whose memory an entry takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder {
    /// Of the pod.
    pub(super) namespace: String,
    /// UID of the pod; of evaluation errors, which are of all pods, that of the policy.
    pub(super) uid: String,
}

impl Holder {
    pub(super) fn of(finding: &Finding) -> Self {
        Self {
            namespace: finding.pod.namespace.clone(),
            uid: match finding.type_ {
                IncidentType::Violation | IncidentType::FoundRunning => finding.pod.uid.clone(),
                IncidentType::EvaluationFailed => finding.policy.uid.clone(),
            },
        }
    }
}

/// What an entry can do without, from what is missed least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// All of it: the Incident is written as it is known, and is found again.
    Settled,
    /// Its further processes.
    Processes,
    /// What an Incident that exists would be created again from.
    EvidenceAgain,
    /// All of it: nothing of it waits.
    Idle,
    /// All of it: the Incident exists, and the next violation counts what is dropped.
    Count,
    /// The first violation of a policy that is only audited.
    Audited,
    /// The first violation of another one.
    Enforced,
}

/// One Incident on its way into the API.
pub(super) struct Entry {
    pub(super) holder: Holder,
    /// Where the Incident is, or is created.
    pub(super) namespace: String,
    pub(super) pod_namespace: String,
    pub(super) pod: String,
    pub(super) policy: String,
    /// The Incident exists.
    exists: bool,
    limited: Limited,
    /// What it is created from: the first violation; later the last one that is not written yet.
    pub(super) evidence: Option<Evidence>,
    processes: Processes,
    /// How often a process violated the policy, in all and as written.
    pub(super) count: i64,
    written: i64,
    last: Timestamp,
    /// What the last verdict was by.
    policy_generation: i64,
    bindings: Vec<BindingReference>,
    /// Generation and bindings that made the next write come soon.
    reported: (i64, BTreeSet<u64>),
    /// Time to the write after the next one.
    interval: Duration,
    last_write: Option<Instant>,
    /// No write before.
    pub(super) not_before: Instant,
    pub(super) failures: u32,
    /// The last update was rejected.
    held_back: bool,
    /// Generation and bindings that the Incident has.
    known: (i64, BTreeSet<u64>),
    pub(super) in_flight: bool,
    /// It could not be recorded; until then nothing is tried.
    given_up: Option<Instant>,
}

impl Entry {
    /// Of a violation on this node, before which so many of the same Incident were dropped.
    pub(super) fn new(
        finding: &Finding,
        node: &str,
        dropped: i64,
        now: Instant,
        interval: Duration,
    ) -> Self {
        let uids = finding.bindings.iter().map(key).take(REPORTED_LIMIT);
        Self {
            holder: Holder::of(finding),
            namespace: finding.pod.namespace.clone(),
            pod_namespace: finding.pod.namespace.clone(),
            pod: finding.pod.name.clone(),
            policy: finding.policy.name.clone(),
            exists: false,
            limited: if finding.is_audited() {
                Limited::Audited
            } else {
                Limited::Never
            },
            processes: Processes::of(None, Room::UNKNOWN),
            count: dropped.saturating_add(1),
            written: 0,
            last: finding.time,
            policy_generation: finding.policy.generation,
            reported: (finding.policy.generation, uids.collect()),
            bindings: named_bindings(&finding.bindings),
            evidence: Some(Evidence::of(finding, node)),
            interval,
            last_write: None,
            not_before: now,
            failures: 0,
            held_back: false,
            known: (0, BTreeSet::new()),
            in_flight: false,
            given_up: None,
        }
    }

    /// Another process violated the policy.
    pub(super) fn add(&mut self, finding: &Finding, node: &str, now: Instant, interval: Duration) {
        self.count = self.count.saturating_add(1);
        let was_logged = self.limited == Limited::Logged;
        if !finding.is_audited() {
            self.limited = Limited::Never;
        }
        self.last = finding.time;
        self.policy_generation = finding.policy.generation;
        if self.bindings != finding.bindings {
            self.bindings = named_bindings(&finding.bindings);
        }
        // What the controller acts on is written soon, each once: labels of a pod that change all the
        // time lead to no more writes.
        let (generation, uids) = &mut self.reported;
        let mut is_new = *generation < finding.policy.generation;
        *generation = (*generation).max(finding.policy.generation);
        for binding in &finding.bindings {
            is_new |= uids.len() < REPORTED_LIMIT && uids.insert(key(binding));
        }
        if is_new && self.exists && self.failures == 0 {
            self.interval = interval;
            let soon = self.last_write.map_or(now, |at| at + interval);
            self.not_before = self.not_before.min(soon);
        }
        // A log entry is enough only for what is audited.
        let has_to_be_created = was_logged && self.limited == Limited::Never;
        if self.given_up.is_some_and(|until| now < until) && !has_to_be_created {
            return;
        }
        if self.given_up.take().is_some() {
            self.namespace.clone_from(&self.pod_namespace);
            self.not_before = now;
            self.failures = 0;
            if self.limited == Limited::Logged {
                self.limited = Limited::Audited;
            }
        }
        if self.exists || self.evidence.is_some() {
            self.processes.add(finding);
        }
        // An Incident that exists would be created again from the first violation that it does not have, or from the
        // first one that the controller would decide anew for.
        if self.evidence.is_none() || self.exists && is_new {
            self.evidence = Some(Evidence::of(finding, node));
        }
    }

    /// Whether it exists cannot be determined, so it is created also at a limit.
    pub(super) fn cannot_be_found(&mut self) {
        if self.limited != Limited::Never {
            self.limited = Limited::Unfindable;
        }
    }

    /// Whether something is not written.
    pub(super) fn is_due(&self) -> bool {
        if self.exists {
            self.count > self.written
        } else {
            self.evidence.is_some()
        }
    }

    /// Which of a namespace is written first: new Incidents, as the controller responds to them, and none of them behind
    /// one that failed before.
    pub(super) fn rank(&self) -> (bool, bool, Instant) {
        (self.exists, self.failures > 0, self.not_before)
    }

    pub(super) const fn exists(&self) -> bool {
        self.exists
    }

    /// Whether it becomes a log entry where its namespace is at its limit, unless it exists.
    pub(super) const fn gives_way(&self) -> bool {
        let applies = match self.limited {
            Limited::Audited | Limited::Logged => true,
            Limited::Never | Limited::Unfindable => false,
        };
        applies && !self.exists
    }

    /// Its last violation went into the log, and nothing is written until a later one.
    pub(super) fn logged(&mut self, now: Instant) {
        self.give_up(now);
        self.limited = Limited::Logged;
    }

    pub(super) fn series(&self) -> Series {
        let (first_processes, last_processes) = self.processes.lists();
        Series {
            count: self.count,
            last_observed_time: MicroTime(self.last),
            policy_generation: self.policy_generation,
            binding_refs: self.bindings.clone(),
            first_processes,
            last_processes,
        }
    }

    /// The API server has the Incident with this spec.
    pub(super) fn created(&mut self, spec: &IncidentSpec, room: Room) {
        self.exists = true;
        if self.limited == Limited::Unfindable {
            self.limited = Limited::Audited;
        }
        self.written = 1;
        self.know(spec.policy_ref.generation, &spec.binding_refs);
        self.processes.continue_from(&spec.process, room, None);
        self.settle();
    }

    /// The API server had the Incident already: this sensor was started again.
    pub(super) fn found(&mut self, spec: &IncidentSpec, before: i64, series: Option<&Series>) {
        let first = self.evidence.as_ref().and_then(|e| e.decode().ok());
        if let Some(first) = first {
            // It was to be the Incident's own.
            let mut processes = Processes::of(None, Room::UNKNOWN);
            processes.add_first(&first.spec);
            let (more_first, more_last) = self.processes.lists();
            processes.extend(more_first.into_iter().chain(more_last));
            self.processes = processes;
        }
        self.processes
            .continue_from(&spec.process, process_room(spec), series);
        self.know(spec.policy_ref.generation, &spec.binding_refs);
        if let Some(series) = series {
            self.know(series.policy_generation, &series.binding_refs);
        }
        self.exists = true;
        self.written = before;
        self.count = before.saturating_add(self.count);
    }

    /// The API server has this series.
    pub(super) fn updated(&mut self, series: &Series) {
        self.written = series.count;
        self.know(series.policy_generation, &series.binding_refs);
        self.settle();
    }

    fn know(&mut self, generation: i64, bindings: &[BindingReference]) {
        let (known, uids) = &mut self.known;
        *known = (*known).max(generation);
        for binding in bindings {
            if uids.len() < REPORTED_LIMIT {
                uids.insert(key(binding));
            }
        }
    }

    /// Whether what is not written is by a generation or a binding that the Incident does not have, so
    /// that the controller would decide anew.
    pub(super) fn has_news(&self) -> bool {
        let (generation, uids) = &self.known;
        let is_new = |binding: &BindingReference| !uids.contains(&key(binding));
        self.evidence.is_some()
            && (self.policy_generation > *generation
                || uids.len() < REPORTED_LIMIT && self.bindings.iter().any(is_new))
    }

    /// An update was rejected, and the Incident stays as it is: the next one waits, longer each time.
    pub(super) fn hold_back(&mut self, now: Instant) {
        self.succeeded(now);
        self.held_back = true;
    }

    /// What is not written is recorded in an Incident of its own in this namespace.
    pub(super) fn record_anew_in(&mut self, namespace: &str, now: Instant, interval: Duration) {
        self.deleted(now, interval);
        self.not_before = now;
        namespace.clone_into(&mut self.namespace);
    }

    /// Whether a write waits also where nothing more comes.
    pub(super) const fn waits(&self) -> bool {
        self.failures > 0 || self.held_back
    }

    fn settle(&mut self) {
        if self.count <= self.written {
            self.evidence = None;
        }
    }

    /// A request was accepted: the next one has to wait, longer each time.
    pub(super) fn succeeded(&mut self, now: Instant) {
        self.failures = 0;
        self.held_back = false;
        self.last_write = Some(now);
        self.not_before = now + self.interval;
        self.interval = self.interval.saturating_mul(2).min(LONGEST_INTERVAL);
    }

    /// The Incident was deleted.
    pub(super) fn deleted(&mut self, now: Instant, interval: Duration) {
        self.exists = false;
        self.held_back = false;
        self.failures = 0;
        self.known = (0, BTreeSet::new());
        self.count = self.count.saturating_sub(self.written).max(1);
        self.written = 0;
        self.processes = Processes::of(None, Room::UNKNOWN);
        self.interval = interval;
        self.not_before = now + interval;
        self.namespace.clone_from(&self.pod_namespace);
    }

    /// It cannot be recorded: nothing of it waits, and a later violation tries again.
    pub(super) fn give_up(&mut self, now: Instant) {
        self.evidence = None;
        self.processes = Processes::of(None, Room::UNKNOWN);
        self.given_up = Some(now + LONGEST_INTERVAL);
    }

    /// How many violations the Incident does not have.
    pub(super) const fn unwritten(&self) -> i64 {
        self.count.saturating_sub(self.written)
    }

    /// What it can do without next; none: nothing, because a request is on its way.
    pub(super) fn way(&self) -> Option<Way> {
        if self.exists && !self.is_due() && !self.in_flight {
            return Some(Way::Settled);
        }
        if !self.processes.is_empty() {
            return Some(Way::Processes);
        }
        if self.exists && self.evidence.is_some() {
            return Some(Way::EvidenceAgain);
        }
        if self.in_flight {
            return None;
        }
        Some(match (self.exists, self.evidence.is_some()) {
            (false, false) => Way::Idle,
            (true, _) => Way::Count,
            (false, true) if self.limited == Limited::Never => Way::Enforced,
            (false, true) => Way::Audited,
        })
    }

    /// Forgets some of its further processes.
    pub(super) fn shed_processes(&mut self) {
        self.processes.shed();
    }

    /// When the last violation was.
    pub(super) const fn last(&self) -> Timestamp {
        self.last
    }

    /// It is tried again at once, because the API server accepts something again. What fails by itself then waits as
    /// long as before.
    pub(super) fn retry_now(&mut self, now: Instant) {
        if self.failures > 0 {
            self.not_before = self.not_before.min(now);
        }
    }

    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = [
            &self.holder.namespace,
            &self.holder.uid,
            &self.namespace,
            &self.pod_namespace,
            &self.pod,
            &self.policy,
        ];
        let texts = texts.into_iter().map(String::len);
        let bindings = self.bindings.iter().map(|binding| {
            let texts = binding.name.len().saturating_add(binding.uid.len());
            texts.saturating_add(size_of::<BindingReference>())
        });
        let uids = self.reported.1.len().saturating_add(self.known.1.len());
        let evidence = self.evidence.as_ref().map_or(0, Evidence::len);
        texts
            .chain(bindings)
            .fold(evidence, usize::saturating_add)
            .saturating_add(uids.saturating_mul(2 * size_of::<u64>()))
            .saturating_add(self.processes.bytes())
            .saturating_add(size_of::<Self>() + PLACES_BYTES)
    }
}

/// What is remembered of a binding: a UID is longer.
fn key(binding: &BindingReference) -> u64 {
    let mut hash = DefaultHasher::new();
    binding.uid.hash(&mut hash);
    hash.finish()
}
