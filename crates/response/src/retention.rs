//! Which closed Incidents are deleted.
//!
//! Here: the choice, by age and number. Not here: deleting (`controller`).
//! Invariant: an open Incident is never chosen, and one whose pod was removed never within a day;
//! of those that are too many the least telling go first, and a namespace that has too many
//! displaces its own first; what it has above its limit displaces nothing of others. To make room for
//! new ones, only audited ones and evaluation errors go; in the namespace of Bailiff also others.

use crate::facts::last_recorded;
use crate::incident_state::{is_open, needs_reevaluation};
use crate::limits::Limits;
use crate::queue::Key;
use crate::workload::WorkloadKey;
use bailiff_api::Incident;
use bailiff_api::condition::{responded, types};
use jiff::{SignedDuration, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

/// A pod's removal is recorded at least so long.
const REMOVAL_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Closed Incidents that are older are deleted, those with a removed pod not within a day.
    pub max_age: SignedDuration,
    /// Most closed Incidents in a namespace. At this number, sensors create no more audited ones.
    pub max_per_namespace: usize,
    /// Most closed Incidents in the cluster; the same applies to namespaces with more than their share.
    pub max_in_cluster: usize,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            max_age: SignedDuration::from_hours(7 * 24),
            max_per_namespace: 1000,
            max_in_cluster: 20_000,
        }
    }
}

/// What a closed Incident records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// A violation that was only audited, or an evaluation error.
    Audit,
    /// A violation that no live pod confirmed: a stolen sensor can report as many as it wants.
    Unconfirmed,
    /// A violation for which Bailiff took no action, or whose pod ended otherwise.
    NoAction,
    /// A removed pod.
    Removal,
}

/// What a closed Incident is about. Several about the same tell less than the last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The workload. None: the pod has none.
    pub workload: Option<WorkloadKey>,
    /// UID of the pod, if it has no workload.
    pub pod_uid: Option<String>,
    /// UID of the policy.
    pub policy_uid: String,
}

/// The summary of a closed Incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The Incident.
    pub key: Key,
    /// Namespace of the pod: that of the Incident can be Bailiff's.
    pub namespace: String,
    /// What it records.
    pub record: Record,
    /// When it was closed or last updated, by the clock of the controller or the API server.
    pub at: Timestamp,
    /// What it is about.
    pub subject: Subject,
}

impl Closed {
    /// The summary of an Incident with its managed fields. None: it is open.
    #[must_use]
    pub fn of(incident: &Incident) -> Option<Self> {
        if is_open(incident) || needs_reevaluation(incident) {
            return None;
        }
        let status = incident.status.as_ref()?;
        let reason = status
            .conditions
            .iter()
            .find(|c| c.type_ == types::RESPONDED)?;
        let record = match reason.reason.as_str() {
            _ if status.response.is_some() => Record::Removal,
            responded::AUDIT_ONLY | responded::EVALUATION_FAILED | responded::FOUND_RUNNING => {
                Record::Audit
            }
            responded::POD_NOT_FOUND | responded::POD_MISMATCH => Record::Unconfirmed,
            _ => Record::NoAction,
        };
        let at = status.conditions.iter().map(|c| c.last_transition_time.0);
        let workload = WorkloadKey::of_incident(incident);
        let spec = &incident.spec;
        Some(Self {
            key: Key::of(incident)?,
            namespace: spec.pod.namespace.clone(),
            record,
            at: at.fold(last_recorded(&incident.metadata), Timestamp::max),
            subject: Subject {
                pod_uid: workload.is_none().then(|| spec.pod.uid.clone()),
                workload,
                policy_uid: spec.policy_ref.uid.clone(),
            },
        })
    }
}

/// The Incidents of the pods of a namespace.
#[derive(Default)]
struct Namespace<'a> {
    /// How many are kept, as far as they count in the cluster.
    count: usize,
    /// Those that can be deleted, in order.
    candidates: VecDeque<&'a Closed>,
}

/// The closed Incidents to delete, those that tell least first. A namespace that is at a limit gives way
/// until it is free again, as far as it has audited ones.
#[must_use]
pub fn expired(
    closed: &[Closed],
    settings: &RetentionSettings,
    limits: &Limits,
    now: Timestamp,
) -> Vec<Key> {
    let age = |c: &Closed| now.duration_since(c.at);
    let protected = |c: &Closed| c.record == Record::Removal && age(c) < REMOVAL_KEPT;
    let is_old = |c: &&Closed| age(c) >= settings.max_age && !protected(c);
    let (old, mut kept): (Vec<_>, Vec<_>) = closed.iter().partition(is_old);
    let mut newest: BTreeMap<_, (Timestamp, &Key)> = BTreeMap::new();
    for c in &kept {
        let last = newest.entry(&c.subject).or_insert((c.at, &c.key));
        *last = (*last).max((c.at, &c.key));
    }
    let repeats = |c: &Closed| {
        newest
            .get(&c.subject)
            .is_some_and(|(_, key)| **key != c.key)
    };
    let order = |c: &Closed| {
        let class = match c.record {
            Record::Audit | Record::Unconfirmed => 0,
            Record::NoAction | Record::Removal if repeats(c) => 1,
            Record::NoAction | Record::Removal => 2,
        };
        (class, c.at, c.key.clone())
    };
    kept.sort_by_cached_key(|c| order(c));
    let mut namespaces: BTreeMap<&str, Namespace<'_>> = BTreeMap::new();
    for c in &kept {
        let namespace = namespaces.entry(&c.namespace).or_default();
        namespace.count += 1;
        if !protected(c) {
            namespace.candidates.push_back(c);
        }
    }
    let mut chosen = BTreeSet::new();
    for namespace in namespaces.values_mut() {
        while namespace.count > settings.max_per_namespace
            && let Some(c) = namespace.candidates.pop_front()
        {
            namespace.count -= 1;
            chosen.insert(&c.key);
        }
        // What is protected above the limit counts for no other namespace.
        namespace.count = namespace.count.min(settings.max_per_namespace);
    }
    let mut in_cluster: usize = namespaces.values().map(|n| n.count).sum();
    // The namespace that holds most gives way first.
    let place = |name, n: &Namespace<'_>| {
        let next = order(n.candidates.front()?);
        Some((n.count, Reverse(next), name))
    };
    let mut largest: BinaryHeap<_> = namespaces
        .iter()
        .filter_map(|(name, n)| place(*name, n))
        .collect();
    while in_cluster > settings.max_in_cluster
        && let Some((_, _, name)) = largest.pop()
    {
        let Some(namespace) = namespaces.get_mut(name) else {
            continue;
        };
        if let Some(c) = namespace.candidates.pop_front() {
            in_cluster -= 1;
            namespace.count = namespace.count.saturating_sub(1);
            chosen.insert(&c.key);
        }
        largest.extend(place(name, namespace));
    }
    make_room(&kept, limits, &mut chosen);
    let of_fallback = old.iter().filter(|c| is_fallback(c));
    let mut gone: BTreeMap<&str, usize> = BTreeMap::new();
    for c in of_fallback {
        *gone.entry(&c.namespace).or_default() += 1;
    }
    make_room_in_fallback(&kept, limits, protected, gone, &mut chosen);
    let many = kept
        .iter()
        .map(|c| &c.key)
        .filter(|key| chosen.contains(key));
    old.iter().map(|c| &c.key).chain(many).cloned().collect()
}

fn is_fallback(closed: &Closed) -> bool {
    closed.key.namespace != closed.namespace
}

/// Of the namespaces that are at a limit the oldest audited ones, until they are free again.
fn make_room<'a>(kept: &[&'a Closed], limits: &Limits, chosen: &mut BTreeSet<&'a Key>) {
    let mut freed: BTreeMap<&str, usize> = BTreeMap::new();
    let counts = |c: &Closed| c.record != Record::Unconfirmed;
    for c in kept.iter().filter(|c| counts(c) && chosen.contains(&c.key)) {
        *freed.entry(&c.namespace).or_default() += 1;
    }
    for c in kept.iter().filter(|c| c.record == Record::Audit) {
        let freed = freed.entry(&c.namespace).or_default();
        if *freed < limits.excess(&c.namespace) && chosen.insert(&c.key) {
            *freed += 1;
        }
    }
}

/// Of what Bailiff's namespace has of others more than it takes: audited ones and evaluation errors,
/// then the oldest.
fn make_room_in_fallback<'a>(
    kept: &[&'a Closed],
    limits: &Limits,
    protected: impl Fn(&Closed) -> bool,
    mut gone: BTreeMap<&'a str, usize>,
    chosen: &mut BTreeSet<&'a Key>,
) {
    let mut fallback: Vec<&Closed> = kept.iter().copied().filter(|c| is_fallback(c)).collect();
    for c in fallback.iter().filter(|c| chosen.contains(&c.key)) {
        *gone.entry(&c.namespace).or_default() += 1;
    }
    fallback.sort_by_key(|c| match c.record {
        Record::Audit | Record::Unconfirmed => (0, c.at),
        Record::NoAction | Record::Removal => (1, c.at),
    });
    for c in fallback {
        let gone = gone.entry(&c.namespace).or_default();
        let too_many = *gone < limits.fallback_excess(&c.namespace);
        if too_many && !protected(c) && chosen.insert(&c.key) {
            *gone += 1;
        }
    }
}

#[cfg(test)]
mod tests;
