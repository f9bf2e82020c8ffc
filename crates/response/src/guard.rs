//! The bad-policy guard: a new policy or binding that would remove pods of too many workloads at
//! once waits until a user resumes it.
//!
//! Here: which removals count, and when a binding is paused. Not here: counting their workloads
//! (`guard/workloads`), what is planned then (`plan`) and the sentences (`messages`).
//! Invariant: only removals that were requested or wait count, each once, by the controller's clock;
//! what a tenant can make up does not count: processes that were started through exec, owners that
//! are not verified. No namespace makes the limit larger by more than what is always allowed. A binding
//! that was paused stays so until it is resumed or changed.

mod workloads;

use crate::facts::{BindingFacts, PolicyFacts, is_by_itself, last_verdict, origins};
use crate::incident_state::is_final;
use crate::ledger::later;
use crate::workload::WorkloadKey;
use bailiff_api::condition::types;
use bailiff_api::{Incident, IncidentType, PausedStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use std::collections::{BTreeMap, BTreeSet};
use workloads::Workloads;

/// The guard watches a generation for so long.
const YOUNG: SignedDuration = SignedDuration::from_hours(24);
/// Removals within this time count together.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Pods of so many workloads can always be removed.
const ALWAYS: usize = 10;
/// Pods of one part in so many of the matched workloads can be removed.
const SHARE: usize = 10;
/// Most workloads of a namespace among the matched ones. Owners of all pods cannot be verified, and
/// a user who may create pods could create Deployments as well; but with decoys, or with a large
/// namespace, the limit of all is larger only by what is always allowed.
const NAMESPACE_WORKLOADS: usize = ALWAYS * SHARE;

/// A binding that the guard pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Name of the binding.
    pub binding: String,
    /// How many workloads it would remove pods of within 10 minutes.
    pub workloads: usize,
    /// Pods of how many workloads it can remove within 10 minutes.
    pub max_workloads: usize,
    /// Generation of the policy that is paused.
    pub policy_generation: i64,
    /// Generation of the binding that is paused.
    pub binding_generation: i64,
}

impl Paused {
    /// The pause that a status records for a binding of this name.
    #[must_use]
    pub fn recorded(binding: &str, paused: &PausedStatus) -> Self {
        let count = |number| usize::try_from(number).unwrap_or_default();
        Self {
            binding: binding.to_owned(),
            workloads: count(paused.workloads),
            max_workloads: count(paused.max_workloads),
            policy_generation: paused.policy_generation,
            binding_generation: paused.binding_generation,
        }
    }

    /// What the status records of it from now on. `before`: what it records until now.
    #[must_use]
    pub fn record(
        &self,
        policy: &PolicyFacts,
        before: Option<&PausedStatus>,
        now: Timestamp,
    ) -> PausedStatus {
        let count = |number| i32::try_from(number).unwrap_or(i32::MAX);
        let new = PausedStatus {
            policy_uid: policy.uid.clone(),
            policy_generation: self.policy_generation,
            binding_generation: self.binding_generation,
            start_time: Time(now),
            workloads: count(self.workloads),
            max_workloads: count(self.max_workloads),
        };
        match before.filter(|before| is_of(before, policy, self.binding_generation)) {
            Some(before) => PausedStatus {
                start_time: before.start_time.clone(),
                ..new
            },
            None => new,
        }
    }

    /// The value of the annotation `bailiff.dev/resume` that resumes it.
    #[must_use]
    pub fn resume(&self) -> String {
        resume(self.policy_generation, self.binding_generation)
    }
}

/// What the guard comes to for a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Name of the binding.
    pub binding: String,
    /// Whether and why it is watched.
    pub watch: Watch,
}

/// Whether the guard watches generations of a policy and a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    /// A user resumed them, so they are not paused.
    Resumed,
    /// They are paused.
    Paused(Paused),
    /// They are young.
    Watched {
        /// When they are no longer.
        until: Timestamp,
        /// Of how many workloads they remove pods at most within 10 minutes.
        workloads: usize,
        /// Of how many workloads they can. None: the workloads that they match were not counted, so it is
        /// at least 10.
        max_workloads: Option<usize>,
    },
    /// They are so old that no removal counts any more.
    Ended,
}

/// What one Incident tells the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    policy: (String, i64),
    bindings: Vec<String>,
    workload: WorkloadKey,
    /// When a removal was first planned or requested under this generation.
    first: Timestamp,
    /// When one was last.
    last: Timestamp,
}

impl Record {
    /// When it counts for generations that began at a time: what was planned before a change can be
    /// removed under it.
    fn time(&self, since: Timestamp) -> Timestamp {
        if self.first >= since {
            self.first
        } else {
            self.last
        }
    }
}

/// The removals by a binding under a generation of a policy.
#[derive(Clone, Debug, Default)]
struct Removals {
    /// UIDs of Incidents.
    incidents: BTreeSet<String>,
    /// What was counted of them. None: something changed since.
    counted: Option<Workloads>,
}

impl Removals {
    /// Something is known of an Incident that was not, or was `before`.
    fn learned(&mut self, before: Option<&Record>, record: &Record) {
        let Some(counted) = &mut self.counted else {
            return;
        };
        let since = counted.since();
        let time = record.time(since);
        let kept = match before.map(|before| before.time(since)) {
            Some(before) if before == time => true,
            // Where it counted then, it would have to be taken back.
            Some(before) if counted.counts(before) => false,
            Some(_) | None => counted.add(time, &record.workload),
        };
        if !kept {
            self.counted = None;
        }
    }

    /// An Incident is forgotten.
    fn forgotten(&mut self, record: &Record) {
        let counted = self.counted.as_ref();
        if counted.is_some_and(|counted| counted.counts(record.time(counted.since()))) {
            self.counted = None;
        }
    }
}

/// What is known of all removals.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    records: BTreeMap<String, Record>,
    /// By the UIDs of binding and policy, and the policy's generation.
    by_binding: BTreeMap<(String, String, i64), Removals>,
}

impl Guards {
    /// Learns what an Incident's status records.
    pub fn observe(&mut self, incident: &Incident) {
        let Some(status) = &incident.status else {
            return;
        };
        let removed = status.response.as_ref().map(|r| r.time.0);
        let waits = status.waiting.as_ref();
        let waits = waits.filter(|w| w.enforced).map(|w| w.start_time.0);
        match removed.or(waits) {
            Some(at) => {
                let workload = WorkloadKey::of_incident(incident);
                self.learn(incident, workload.as_ref(), at);
            }
            // What was planned since the watch saw it still counts.
            None if !is_final(incident, types::RESPONDED) => {}
            None => self.deleted(incident.metadata.uid.as_deref().unwrap_or_default()),
        }
    }

    /// Learns that a pod is about to be removed, before the status records it.
    pub(crate) fn planned(
        &mut self,
        incident: &Incident,
        workload: Option<&WorkloadKey>,
        now: Timestamp,
    ) {
        self.learn(incident, workload, now);
    }

    fn learn(&mut self, incident: &Incident, workload: Option<&WorkloadKey>, at: Timestamp) {
        let (Some(uid), Some(workload)) = (&incident.metadata.uid, workload) else {
            return;
        };
        if !workload.is_verified() || !origins(incident).any(is_by_itself) {
            return;
        }
        match incident.spec.type_ {
            IncidentType::Violation => {}
            IncidentType::FoundRunning | IncidentType::EvaluationFailed => return,
        }
        let (generation, bindings) = last_verdict(incident);
        let policy = (incident.spec.policy_ref.uid.clone(), generation);
        // What waits for a limit is removed later, and counts at one of the two times.
        let known = self.records.get(uid).filter(|known| known.policy == policy);
        let (first, last) = known.map_or((at, at), |k| (k.first.min(at), k.last.max(at)));
        let record = Record {
            policy,
            bindings: bindings.iter().map(|b| b.uid.clone()).collect(),
            workload: workload.clone(),
            first,
            last,
        };
        let known = self.records.get(uid);
        if known == Some(&record) {
            return;
        }
        let same = |known: &&Record| {
            let of = |r: &Record| (r.policy.clone(), r.bindings.clone(), r.workload.clone());
            of(known) == of(&record)
        };
        let before = known.filter(same).cloned();
        if before.is_none() {
            self.deleted(uid);
        }
        for key in keys(&record) {
            let of_binding = self.by_binding.entry(key).or_default();
            of_binding.incidents.insert(uid.clone());
            of_binding.learned(before.as_ref(), &record);
        }
        self.records.insert(uid.clone(), record);
    }

    /// Forgets an Incident that was deleted, by UID.
    pub fn deleted(&mut self, incident_uid: &str) {
        let Some(record) = self.records.remove(incident_uid) else {
            return;
        };
        for key in keys(&record) {
            if let Some(of_binding) = self.by_binding.get_mut(&key) {
                of_binding.incidents.remove(incident_uid);
                of_binding.forgotten(&record);
                if of_binding.incidents.is_empty() {
                    self.by_binding.remove(&key);
                }
            }
        }
    }

    /// All Incidents that exist, by UID: the others are forgotten.
    pub fn relisted(&mut self, present: &BTreeSet<String>) {
        let gone = self.records.keys().filter(|uid| !present.contains(*uid));
        let gone: Vec<_> = gone.cloned().collect();
        for uid in gone {
            self.deleted(&uid);
        }
    }

    /// Whether the guard pauses a binding of a policy. None also where `is_undecided`.
    #[must_use]
    pub fn assess(&mut self, policy: &PolicyFacts, binding: &BindingFacts) -> Option<Paused> {
        if is_resumed(policy, binding) {
            return None;
        }
        let recorded = was_paused(policy, binding);
        let recorded = recorded.map(|paused| Paused::recorded(&binding.name, paused));
        let workloads = self.most_at_once(policy, binding);
        let max_workloads = binding.matched_workloads.map(limit);
        match max_workloads.filter(|max| workloads > *max) {
            // Incidents are deleted, so that later fewer can be known.
            Some(_) if recorded.as_ref().is_some_and(|r| r.workloads >= workloads) => recorded,
            Some(max_workloads) => Some(Paused {
                binding: binding.name.clone(),
                workloads,
                max_workloads,
                policy_generation: policy.generation,
                binding_generation: binding.generation,
            }),
            None => recorded,
        }
    }

    /// Whether it cannot be told yet if the guard pauses a binding of a policy: it would remove pods of
    /// more workloads than can always be removed, and it is not known how many it matches.
    #[must_use]
    pub(crate) fn is_undecided(&mut self, policy: &PolicyFacts, binding: &BindingFacts) -> bool {
        binding.matched_workloads.is_none()
            && was_paused(policy, binding).is_none()
            && !is_resumed(policy, binding)
            && self.most_at_once(policy, binding) > ALWAYS
    }

    /// What comes of a binding of a policy at a time.
    #[must_use]
    pub fn outlook(
        &mut self,
        policy: &PolicyFacts,
        binding: &BindingFacts,
        now: Timestamp,
    ) -> Outlook {
        let until = later(policy.changed.max(binding.changed), YOUNG);
        let watch = if is_resumed(policy, binding) {
            Watch::Resumed
        } else if let Some(paused) = self.assess(policy, binding) {
            Watch::Paused(paused)
        } else if now > until {
            Watch::Ended
        } else {
            Watch::Watched {
                until,
                workloads: self.most_at_once(policy, binding),
                max_workloads: binding.matched_workloads.map(limit),
            }
        };
        Outlook {
            binding: binding.name.clone(),
            watch,
        }
    }

    /// Of how many workloads pods were or would be removed at most within the window, while the
    /// generations were young.
    fn most_at_once(&mut self, policy: &PolicyFacts, binding: &BindingFacts) -> usize {
        let since = policy.changed.max(binding.changed);
        let key = (binding.uid.clone(), policy.uid.clone(), policy.generation);
        let Some(of_binding) = self.by_binding.get_mut(&key) else {
            return 0;
        };
        let Removals { incidents, counted } = of_binding;
        if let Some(counted) = counted.as_ref().filter(|counted| counted.since() == since) {
            return counted.most();
        }
        let records = incidents.iter().filter_map(|uid| self.records.get(uid));
        let removals = records.map(|record| (record.time(since), record.workload.clone()));
        let counted = counted.insert(Workloads::count(since, removals));
        counted.most()
    }
}

/// How many workloads a binding matches, from the namespace and the workload of each pod that it matches;
/// `None` for a pod that the guard never counts, as it has no workload. At most 100 of each namespace
/// count.
pub fn matched_workloads<'a>(pods: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> usize {
    let mut by_namespace: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (namespace, workload) in pods {
        if let Some(workload) = workload {
            by_namespace.entry(namespace).or_default().insert(workload);
        }
    }
    let counted = by_namespace.values().map(BTreeSet::len);
    counted.map(|of_one| of_one.min(NAMESPACE_WORKLOADS)).sum()
}

/// Pods of how many workloads a binding can remove within the window, by how many it matches.
pub(crate) fn limit(matched_workloads: usize) -> usize {
    ALWAYS.max(matched_workloads / SHARE)
}

/// The value of the annotation that resumes these generations of a policy and a binding.
fn resume(policy_generation: i64, binding_generation: i64) -> String {
    format!("{policy_generation}/{binding_generation}")
}

/// Whether a user resumed a binding for these generations.
#[must_use]
pub fn is_resumed(policy: &PolicyFacts, binding: &BindingFacts) -> bool {
    binding.resume.as_deref() == Some(&resume(policy.generation, binding.generation))
}

/// The pause of these generations of a policy and a binding that the status of the binding records: after
/// a change of leader, or when the Incidents are deleted, it stays paused.
#[must_use]
pub fn was_paused<'a>(policy: &PolicyFacts, binding: &'a BindingFacts) -> Option<&'a PausedStatus> {
    let paused = binding.paused.as_ref();
    paused.filter(|paused| is_of(paused, policy, binding.generation))
}

/// Whether a pause is of this policy and of these generations.
fn is_of(paused: &PausedStatus, policy: &PolicyFacts, binding_generation: i64) -> bool {
    paused.policy_uid == policy.uid
        && paused.policy_generation == policy.generation
        && paused.binding_generation == binding_generation
}

fn keys(record: &Record) -> impl Iterator<Item = (String, String, i64)> + '_ {
    let (policy, generation) = &record.policy;
    let bindings = record.bindings.iter();
    bindings.map(|binding| (binding.clone(), policy.clone(), *generation))
}

/// When the spec of an object was last changed, by the API server's clock: from its managed fields,
/// else its creation. A change of labels or annotations can make it later, which only makes the
/// guard more careful.
#[must_use]
pub fn changed(metadata: &ObjectMeta) -> Timestamp {
    let created = crate::facts::created(metadata);
    if metadata.generation.unwrap_or(1) <= 1 {
        return created;
    }
    let fields = metadata.managed_fields.iter().flatten();
    fields
        .filter(|entry| entry.subresource.is_none())
        .filter_map(|entry| Some(entry.time.as_ref()?.0))
        .fold(created, Timestamp::max)
}

#[cfg(test)]
mod tests;
