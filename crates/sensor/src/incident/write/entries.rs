//! The Incidents of a sensor: those that wait to be written, and those that violations are counted for.
//!
//! Here: what is kept of each, and a bound on all. Not here: when one is written (`write`).
//! Invariant: all of them are bounded in number and bytes. What has no room is what can be found again:
//! an Incident that is written as it is known; then the newest of the namespace that has most.

use super::LONGEST_INTERVAL;
use crate::incident::evidence::{named_bindings, process_room};
use crate::incident::processes::{Processes, Room};
use crate::judge::Finding;
use bailiff_api::{BindingReference, IncidentSpec, Series};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// Most Incidents that are kept, and most bytes of them.
const ENTRIES_LIMIT: usize = 2048;
const LIMIT_BYTES: usize = 12 << 20;
/// Most bindings of an Incident that are remembered as reported.
const REPORTED_LIMIT: usize = 64;

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

/// One Incident on its way into the API.
pub(super) struct Entry {
    /// Where the Incident is, or is created.
    pub(super) namespace: String,
    pub(super) pod_namespace: String,
    pub(super) pod: String,
    pub(super) policy: String,
    /// The Incident exists.
    exists: bool,
    limited: Limited,
    /// What it is created from: the first violation; later the last one that is not written yet.
    pub(super) evidence: Option<Box<Finding>>,
    processes: Processes,
    /// How often a process violated the policy, in all and as written.
    pub(super) count: i64,
    written: i64,
    last: Timestamp,
    /// What the last verdict was by.
    policy_generation: i64,
    bindings: Vec<BindingReference>,
    /// Generation and bindings that made the next write come soon.
    reported: (i64, BTreeSet<String>),
    /// Time to the write after the next one.
    interval: Duration,
    last_write: Option<Instant>,
    /// No write before.
    pub(super) not_before: Instant,
    pub(super) failures: u32,
    /// The last update was rejected.
    held_back: bool,
    /// Generation and bindings that the Incident has.
    known: (i64, BTreeSet<String>),
    pub(super) in_flight: bool,
    /// It could not be recorded; until then nothing is tried.
    given_up: Option<Instant>,
}

impl Entry {
    pub(super) fn new(finding: Finding, now: Instant, interval: Duration) -> Self {
        let uids = finding.bindings.iter().map(|binding| binding.uid.clone());
        Self {
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
            count: 1,
            written: 0,
            last: finding.time,
            policy_generation: finding.policy.generation,
            reported: (finding.policy.generation, uids.collect()),
            bindings: finding.bindings.clone(),
            evidence: Some(Box::new(finding)),
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
    pub(super) fn add(&mut self, finding: Finding, now: Instant, interval: Duration) {
        self.count = self.count.saturating_add(1);
        let was_logged = self.limited == Limited::Logged;
        if !finding.is_audited() {
            self.limited = Limited::Never;
        }
        self.last = finding.time;
        self.policy_generation = finding.policy.generation;
        self.bindings.clone_from(&finding.bindings);
        // What the controller acts on is written soon, each once: labels of a pod that change all the
        // time lead to no more writes.
        let (generation, uids) = &mut self.reported;
        let mut is_new = *generation < finding.policy.generation;
        *generation = (*generation).max(finding.policy.generation);
        for binding in &finding.bindings {
            is_new |= uids.len() < REPORTED_LIMIT && uids.insert(binding.uid.clone());
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
            self.processes.add(&finding);
        }
        if self.exists || self.evidence.is_none() {
            self.evidence = Some(Box::new(finding));
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
            binding_refs: named_bindings(&self.bindings),
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
        if let Some(first) = self.evidence.take() {
            // It was to be the Incident's own.
            let mut processes = Processes::of(None, Room::UNKNOWN);
            processes.add(&first);
            let (more_first, more_last) = self.processes.lists();
            processes.extend(more_first.into_iter().chain(more_last));
            self.processes = processes;
            self.evidence = Some(first);
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
                uids.insert(binding.uid.clone());
            }
        }
    }

    /// Whether what is not written is by a generation or a binding that the Incident does not have, so
    /// that the controller would decide anew.
    pub(super) fn has_news(&self) -> bool {
        let (generation, uids) = &self.known;
        let is_new = |binding: &BindingReference| !uids.contains(&binding.uid);
        self.evidence.is_some()
            && (self.policy_generation > *generation
                || uids.len() < REPORTED_LIMIT && named_bindings(&self.bindings).iter().any(is_new))
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

    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        let evidence = self.evidence.as_ref().map_or(0, |finding| finding.bytes());
        evidence
            .saturating_add(self.processes.bytes())
            .saturating_add(1024)
    }
}

/// Entries by the name of their Incident, which is one of all namespaces.
#[derive(Default)]
pub(super) struct Entries {
    by_name: HashMap<String, Entry>,
}

impl Entries {
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.by_name.get_mut(name)
    }

    pub(super) fn insert(&mut self, name: String, entry: Entry) {
        self.by_name.insert(name, entry);
    }

    /// Those that may be written, as far as their namespaces have fewer requests on their way than this.
    pub(super) fn idle(&self, of_a_namespace: usize) -> impl Iterator<Item = (&String, &Entry)> {
        let mut in_flight: HashMap<&str, usize> = HashMap::new();
        for entry in self.by_name.values().filter(|entry| entry.in_flight) {
            let requests = in_flight.entry(&entry.pod_namespace).or_default();
            *requests = requests.saturating_add(1);
        }
        self.by_name.iter().filter(move |(_, entry)| {
            let requests = in_flight.get(entry.pod_namespace.as_str());
            entry.is_due()
                && !entry.in_flight
                && requests.is_none_or(|requests| *requests < of_a_namespace)
        })
    }

    /// Whether one is about a pod of this namespace.
    pub(super) fn has(&self, namespace: &str) -> bool {
        self.by_name
            .values()
            .any(|entry| entry.pod_namespace == namespace)
    }

    /// How many Incidents are not written as they are known.
    pub(super) fn left(&self) -> usize {
        let left = |entry: &&Entry| entry.is_due() || entry.in_flight;
        self.by_name.values().filter(left).count()
    }

    /// Incidents that do not exist and were to be created.
    pub(super) fn unrecorded(&self) -> Vec<String> {
        let unrecorded = self.by_name.iter().filter(|(_, e)| !e.exists && e.is_due());
        let mut names: Vec<_> = unrecorded.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    fn is_full(&self) -> bool {
        self.by_name.len() > ENTRIES_LIMIT
            || self.by_name.values().map(Entry::bytes).sum::<usize>() > LIMIT_BYTES
    }

    /// Makes room; the Incidents that are not created for it.
    pub(super) fn enforce(&mut self) -> Vec<(String, Entry)> {
        let mut dropped = Vec::new();
        while self.is_full() {
            // An Incident that exists is found again by the next violation; first those that are
            // written as they are known.
            let found_again = self
                .by_name
                .iter()
                .filter(|(_, e)| !e.in_flight && (e.exists || e.evidence.is_none()))
                .min_by_key(|(name, e)| (e.is_due(), e.last, (*name).clone()));
            if let Some(name) = found_again.map(|(name, _)| name.clone()) {
                self.by_name.remove(&name);
                continue;
            }
            let mut by_namespace: BTreeMap<&str, usize> = BTreeMap::new();
            for entry in self.by_name.values().filter(|e| !e.in_flight) {
                let bytes = by_namespace.entry(&entry.pod_namespace).or_default();
                *bytes = bytes.saturating_add(entry.bytes());
            }
            let most = by_namespace.into_iter().max_by_key(|(_, bytes)| *bytes);
            let newest = most.and_then(|(namespace, _)| {
                let of_namespace = self.by_name.iter();
                let of_namespace =
                    of_namespace.filter(|(_, e)| !e.in_flight && e.pod_namespace == namespace);
                let newest = of_namespace.max_by_key(|(name, e)| (e.last, (*name).clone()));
                newest.map(|(name, _)| name.clone())
            });
            let Some(entry) = newest.and_then(|name| self.by_name.remove_entry(&name)) else {
                break;
            };
            dropped.push(entry);
        }
        dropped
    }
}
