//! The bad-policy guard: a new policy or binding that would remove pods of too many workloads at
//! once only audits until somebody resumes it.
//!
//! Here: which workloads count, and when a binding is paused. Not here: what is planned then
//! (`plan`) and the sentences (`messages`).
//! Invariant: only removals that were requested or wait count, by the controller's clock; a binding
//! that was paused stays so until it is resumed or changed.

use crate::facts::{BindingFacts, PolicyFacts, last_verdict};
use crate::incident_state::is_final;
use crate::messages;
use bailiff_api::condition::types;
use bailiff_api::{Incident, IncidentType, RuntimePolicyBinding};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::{BTreeMap, BTreeSet};

/// The guard watches a generation for so long.
const YOUNG: SignedDuration = SignedDuration::from_hours(24);
/// Removals within this time count together.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Pods of so many workloads can always be removed.
const ALWAYS: usize = 10;
/// Pods of one part in so many of the matched workloads can be removed.
const SHARE: usize = 10;

/// A binding that the guard pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Name of the binding.
    pub binding: String,
    /// How many workloads it would remove pods of within 10 minutes; none: it is not known any more.
    pub workloads: Option<usize>,
    /// How many workloads it matches.
    pub matched_workloads: usize,
    /// Generation of the policy that is paused.
    pub policy_generation: i64,
    /// Generation of the binding that is paused.
    pub binding_generation: i64,
}

impl Paused {
    /// The value of the annotation `bailiff.dev/resume` that resumes it.
    #[must_use]
    pub fn resume(&self) -> String {
        format!("{}/{}", self.policy_generation, self.binding_generation)
    }
}

/// What one Incident tells the guard.
#[derive(Clone, Debug)]
struct Record {
    policy: (String, i64),
    bindings: Vec<String>,
    /// UID of the workload, or of the pod if it has none.
    workload: String,
    at: Timestamp,
}

/// What is known of all removals.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    records: BTreeMap<String, Record>,
    /// By the UIDs of binding and policy, and the policy's generation.
    by_binding: BTreeMap<(String, String, i64), BTreeSet<(Timestamp, String)>>,
}

impl Guards {
    /// Learns what an Incident's status records.
    pub fn observe(&mut self, incident: &Incident) {
        let Some(status) = &incident.status else {
            return;
        };
        let removed = status.response.as_ref().map(|r| r.time.0);
        let waits = status.waiting.as_ref();
        let waits = waits
            .filter(|w| crate::reason::enforces(&w.reason))
            .map(|w| w.start_time.0);
        match removed.or(waits) {
            Some(at) => {
                let workload = status.workload_ref.as_ref();
                self.learn(incident, workload.map(|w| w.uid.as_str()), at);
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
        workload_uid: Option<&str>,
        now: Timestamp,
    ) {
        let uid = incident.metadata.uid.as_deref().unwrap_or_default();
        let at = self.records.get(uid).map_or(now, |known| known.at.min(now));
        self.learn(incident, workload_uid, at);
    }

    fn learn(&mut self, incident: &Incident, workload_uid: Option<&str>, at: Timestamp) {
        let Some(uid) = &incident.metadata.uid else {
            return;
        };
        match incident.spec.type_ {
            IncidentType::Violation => {}
            IncidentType::EvaluationFailed => return,
        }
        self.deleted(uid);
        let (generation, bindings) = last_verdict(incident);
        let record = Record {
            policy: (incident.spec.policy_ref.uid.clone(), generation),
            bindings: bindings.iter().map(|b| b.uid.clone()).collect(),
            workload: workload_uid.unwrap_or(&incident.spec.pod.uid).to_owned(),
            at,
        };
        for key in keys(&record) {
            let of_binding = self.by_binding.entry(key).or_default();
            of_binding.insert((at, uid.clone()));
        }
        self.records.insert(uid.clone(), record);
    }

    /// Forgets an Incident that was deleted, by UID.
    pub fn deleted(&mut self, incident_uid: &str) {
        let Some(record) = self.records.remove(incident_uid) else {
            return;
        };
        let entry = (record.at, incident_uid.to_owned());
        for key in keys(&record) {
            if let Some(of_binding) = self.by_binding.get_mut(&key) {
                of_binding.remove(&entry);
                if of_binding.is_empty() {
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

    /// Whether the guard pauses a binding of a policy.
    #[must_use]
    pub fn assess(&self, policy: &PolicyFacts, binding: &BindingFacts) -> Option<Paused> {
        let paused = Paused {
            binding: binding.name.clone(),
            workloads: None,
            matched_workloads: binding.matched_workloads,
            policy_generation: policy.generation,
            binding_generation: binding.generation,
        };
        if binding.resume.as_deref() == Some(&paused.resume()) {
            return None;
        }
        let since = policy.changed.max(binding.changed);
        let most = self.most_at_once(policy, binding, since);
        let matched = binding.matched_workloads;
        if most > ALWAYS && most.saturating_mul(SHARE) > matched {
            return Some(Paused {
                workloads: Some(most),
                ..paused
            });
        }
        binding.was_paused.then_some(paused)
    }

    /// Of how many workloads pods were or would be removed at most within the window, while the
    /// generations were young.
    fn most_at_once(
        &self,
        policy: &PolicyFacts,
        binding: &BindingFacts,
        since: Timestamp,
    ) -> usize {
        let key = (binding.uid.clone(), policy.uid.clone(), policy.generation);
        let all = self.by_binding.get(&key).into_iter().flatten();
        let times: Vec<_> = all
            .filter(|(at, _)| *at >= since && at.duration_since(since) <= YOUNG)
            .filter_map(|(at, uid)| Some((*at, self.records.get(uid)?.workload.as_str())))
            .collect();
        let mut most = 0;
        let mut first = 0;
        let mut within: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, workload) in &times {
            *within.entry(workload).or_default() += 1;
            while let Some((earliest, leaves)) = times.get(first)
                && at.duration_since(*earliest) > WINDOW
            {
                if let Some(count) = within.get_mut(leaves) {
                    *count -= 1;
                    if *count == 0 {
                        within.remove(leaves);
                    }
                }
                first += 1;
            }
            most = most.max(within.len());
        }
        most
    }
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

/// Whether the status of a binding records that it is paused for its generation and this one of its
/// policy: after a change of leader, or when the Incidents are deleted, it stays so.
#[must_use]
pub fn was_paused(binding: &RuntimePolicyBinding, policy_generation: i64) -> bool {
    let generation = binding.metadata.generation.unwrap_or_default();
    let paused = Paused {
        binding: binding.metadata.name.clone().unwrap_or_default(),
        workloads: None,
        matched_workloads: 0,
        policy_generation,
        binding_generation: generation,
    };
    let conditions = binding.status.iter().flat_map(|s| &s.conditions);
    conditions.into_iter().any(|c| {
        c.type_ == types::PAUSED
            && c.status == "True"
            && c.message.contains(&messages::resume_command(&paused))
    })
}

#[cfg(test)]
mod tests;
