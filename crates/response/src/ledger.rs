//! Which responses were requested, as far as they limit the next.
//!
//! Here: the limits per workload, binding, namespace and cluster; noting, forgetting, taking back.
//! Not here: who goes first when a limit has room again (`queue`).
//! Invariant: a removal is noted before it is requested, so that two that are planned at once
//! cannot both use the last place; it counts as one of this moment until it is known when it
//! happened, but without an answer for other workloads no longer than a minute, and is taken back only when it is known that no pod was removed; the ledger can be
//! rebuilt from the statuses of Incidents.

use crate::workload::WorkloadKey;
use bailiff_api::Incident;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The longest cooldown period that a binding can ask for.
const LONGEST_COOLDOWN: SignedDuration = SignedDuration::from_hours(24);
/// The window of every limit "per minute".
pub(crate) const RATE_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// A removal whose result is not known counts as one of this moment for so long.
const LONGEST_REQUEST: SignedDuration = SignedDuration::from_mins(5);

/// What limits removals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// The cooldown period of a workload.
    Workload(WorkloadKey),
    /// `maxEvictionsPerMinute` of a binding, by name.
    Binding(String),
    /// The limit of a namespace, by name.
    Namespace(String),
    /// The limit of the cluster.
    Cluster,
}

/// Most removals in a minute, each at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// In one namespace.
    pub namespace_per_minute: u32,
    /// In the cluster.
    pub cluster_per_minute: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            namespace_per_minute: 10,
            cluster_per_minute: 60,
        }
    }
}

/// The cooldown period that a removal must respect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadClaim {
    /// The workload.
    pub key: WorkloadKey,
    /// Least time since the workload's last removal.
    pub cooldown: SignedDuration,
}

/// One place that a removal takes in each limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The pod's workload. Absent: the pod has no controller.
    pub workload: Option<WorkloadClaim>,
    /// Name of the binding that asks for the removal.
    pub binding: String,
    /// The binding's `maxEvictionsPerMinute`.
    pub binding_per_minute: u32,
    /// Namespace of the pod.
    pub namespace: String,
}

impl Claim {
    /// The limits that it takes a place in.
    pub fn limits(&self) -> impl Iterator<Item = Limit> + '_ {
        let workload = self.workload.as_ref();
        workload
            .map(|w| Limit::Workload(w.key.clone()))
            .into_iter()
            .chain([
                Limit::Binding(self.binding.clone()),
                Limit::Namespace(self.namespace.clone()),
                Limit::Cluster,
            ])
    }
}

/// Past removals that limit the next one, and the limits that others wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When a pod of the workload was last removed.
    pub last_of_workload: Option<Timestamp>,
    /// Names of bindings with the times of their removals, oldest first.
    pub by_binding: Vec<(String, Vec<Timestamp>)>,
    /// Times of the removals in the namespace, oldest first.
    pub in_namespace: Vec<Timestamp>,
    /// Times of the removals in the cluster, oldest first.
    pub in_cluster: Vec<Timestamp>,
    /// Limits that other Incidents wait for, which come first.
    pub contended: Vec<Limit>,
}

impl History {
    /// The limit that a claim must wait for, and until when; none: it can go now. A limit that
    /// others wait for has no place for a newcomer, even if it has room at this moment.
    #[must_use]
    pub(crate) fn blocked(
        &self,
        claim: &Claim,
        rates: RateLimits,
        now: Timestamp,
    ) -> Option<(Limit, Timestamp)> {
        let times = self.by_binding.iter().find(|(n, _)| *n == claim.binding);
        let full = blocked(
            claim,
            rates,
            self.last_of_workload,
            [
                times.map_or(&[], |(_, times)| times),
                &self.in_namespace,
                &self.in_cluster,
            ],
            now,
        );
        full.or_else(|| {
            let contended = claim.limits().find(|l| self.contended.contains(l))?;
            Some((contended, now))
        })
    }
}

/// The places that a removal has taken.
#[derive(Clone, Debug)]
struct Taken {
    /// When it happened, or when it was noted.
    at: Timestamp,
    /// Whether it is not known yet when it happened.
    pending: bool,
    /// When its request ended without an answer.
    unanswered: Option<Timestamp>,
    limits: Vec<Limit>,
}

/// Past removals by workload, binding, namespace, and all.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    rates: RateLimits,
    /// What the removal of each pod has taken, by the pod's UID.
    taken: BTreeMap<String, Taken>,
    times: BTreeMap<Limit, BTreeSet<(Timestamp, String)>>,
    /// Counts what made room before its time.
    releases: u64,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(rates: RateLimits) -> Self {
        Self {
            rates,
            ..Self::default()
        }
    }

    /// What limits a removal of a pod of a workload in a namespace by one of these
    /// bindings (by name).
    #[must_use]
    pub(crate) fn history(
        &self,
        workload: Option<&WorkloadKey>,
        namespace: &str,
        bindings: &[&str],
        now: Timestamp,
    ) -> History {
        let times = |limit: &Limit| -> Vec<Timestamp> {
            let times = self.times.get(limit).into_iter().flatten();
            let mut times: Vec<_> = times
                .filter_map(|(at, pod)| self.counts_at(limit, *at, pod, now))
                .collect();
            times.sort_unstable();
            times
        };
        History {
            last_of_workload: workload.and_then(|key| {
                let removals = self.removals_of(key, now);
                removals.map(|(_, at)| at).max()
            }),
            by_binding: bindings
                .iter()
                .map(|name| {
                    (
                        (*name).to_owned(),
                        times(&Limit::Binding((*name).to_owned())),
                    )
                })
                .filter(|(_, times)| !times.is_empty())
                .collect(),
            in_namespace: times(&Limit::Namespace(namespace.to_owned())),
            in_cluster: times(&Limit::Cluster),
            contended: Vec::new(),
        }
    }

    /// The removed pods of a workload, by UID, and when each removal was requested. One that is being
    /// requested counts as one of this moment.
    pub(crate) fn removals_of(
        &self,
        workload: &WorkloadKey,
        now: Timestamp,
    ) -> impl Iterator<Item = (&str, Timestamp)> {
        let limit = Limit::Workload(workload.clone());
        let times = self.times.get(&limit).into_iter().flatten();
        times.filter_map(move |(at, pod)| {
            Some((pod.as_str(), self.counts_at(&limit, *at, pod, now)?))
        })
    }

    /// When a removal counts in a limit. None: it no longer does. A webhook of a tenant can delay the
    /// answer at will, which must not take the places of others for longer than the window.
    fn counts_at(
        &self,
        limit: &Limit,
        at: Timestamp,
        pod_uid: &str,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let Some(taken) = self.taken.get(pod_uid).filter(|taken| taken.pending) else {
            return Some(at);
        };
        let counts = match limit {
            Limit::Workload(_) => true,
            Limit::Binding(_) | Limit::Namespace(_) | Limit::Cluster => taken
                .unanswered
                .is_none_or(|ended| now.duration_since(ended) < RATE_WINDOW),
        };
        counts.then(|| now.max(at))
    }

    /// Notes the removal of a pod that is about to be requested. A second one of the same pod
    /// replaces the first.
    pub fn reserve(&mut self, pod_uid: &str, claim: &Claim, at: Timestamp) {
        self.note(pod_uid, claim.limits().collect(), at, true);
    }

    /// Notes when a pod was removed that was noted before. Without this it counts as being removed
    /// until the Incident's status tells, or some minutes have passed.
    pub fn confirm(&mut self, pod_uid: &str, at: Timestamp) {
        if let Some(taken) = self.taken.get(pod_uid)
            && taken.pending
        {
            let limits = taken.limits.clone();
            self.note(pod_uid, limits, at, false);
        }
    }

    /// Notes that the request to remove a pod ended without an answer: for other workloads its places
    /// count for a minute from then on.
    pub fn unanswered(&mut self, pod_uid: &str, at: Timestamp) {
        if let Some(taken) = self.taken.get_mut(pod_uid) {
            taken.unanswered = Some(at);
        }
    }

    /// Takes back what was noted for a pod: it was not removed.
    pub fn release(&mut self, pod_uid: &str) {
        if self.forget(pod_uid) {
            self.releases += 1;
        }
    }

    /// Whether the removal of a pod is noted, and it is not known when it happened.
    pub(crate) fn is_pending(&self, pod_uid: &str) -> bool {
        self.taken.get(pod_uid).is_some_and(|taken| taken.pending)
    }

    /// Whether the removal of a pod is noted.
    #[must_use]
    pub fn contains(&self, pod_uid: &str) -> bool {
        self.taken.contains_key(pod_uid)
    }

    /// Notes what an Incident's status records, as after a change of leader. Doing so twice is
    /// harmless.
    pub fn restore(&mut self, incident: &Incident) {
        let Some(status) = &incident.status else {
            return;
        };
        let Some(response) = &status.response else {
            return;
        };
        let uid = &incident.spec.pod.uid;
        if self.contains(uid) {
            self.confirm(uid, response.time.0);
            return;
        }
        let claim = Claim {
            workload: WorkloadKey::of_incident(incident).map(|key| WorkloadClaim {
                key,
                cooldown: LONGEST_COOLDOWN,
            }),
            binding: response.binding_name.clone(),
            binding_per_minute: 1,
            namespace: incident.spec.pod.namespace.clone(),
        };
        self.note(uid, claim.limits().collect(), response.time.0, false);
    }

    /// Forgets what no longer limits anything.
    pub fn prune(&mut self, now: Timestamp) {
        let lost = self
            .taken
            .iter()
            .filter(|(_, taken)| taken.pending && now.duration_since(taken.at) >= LONGEST_REQUEST);
        let lost: Vec<_> = lost.map(|(uid, _)| uid.clone()).collect();
        for uid in lost {
            self.confirm(&uid, now);
        }
        let old = self.taken.iter().filter(|(_, taken)| {
            let longest = match taken.limits.first() {
                Some(Limit::Workload(_)) => LONGEST_COOLDOWN,
                Some(Limit::Binding(_) | Limit::Namespace(_) | Limit::Cluster) | None => {
                    RATE_WINDOW
                }
            };
            !taken.pending && now.duration_since(taken.at) >= longest
        });
        let old: Vec<_> = old.map(|(uid, _)| uid.clone()).collect();
        for uid in old {
            self.forget(&uid);
        }
        // What is kept for a cooldown period no longer counts for a minute.
        let taken = &self.taken;
        self.times.retain(|limit, times| {
            if !matches!(limit, Limit::Workload(_)) {
                times.retain(|(at, pod)| {
                    now.duration_since(*at) < RATE_WINDOW
                        || taken.get(pod).is_some_and(|taken| taken.pending)
                });
            }
            !times.is_empty()
        });
    }

    /// The limit that a claim must wait for, and until when; none: it can go now. `held` are the
    /// places that others are about to take.
    pub(crate) fn blocked(
        &self,
        claim: &Claim,
        held: &BTreeMap<Limit, usize>,
        now: Timestamp,
    ) -> Option<(Limit, Timestamp)> {
        let mut history = self.history(
            claim.workload.as_ref().map(|w| &w.key),
            &claim.namespace,
            &[&claim.binding],
            now,
        );
        for limit in claim.limits() {
            let held = held.get(&limit).copied().unwrap_or_default();
            let taken = std::iter::repeat_n(now, held);
            match &limit {
                Limit::Workload(_) | Limit::Binding(_) if held == 0 => {}
                Limit::Workload(_) => history.last_of_workload = Some(now),
                Limit::Binding(name) => {
                    match history.by_binding.iter_mut().find(|(n, _)| n == name) {
                        Some((_, times)) => times.extend(taken),
                        None => history.by_binding.push((name.clone(), taken.collect())),
                    }
                }
                Limit::Namespace(_) => history.in_namespace.extend(taken),
                Limit::Cluster => history.in_cluster.extend(taken),
            }
        }
        history.blocked(claim, self.rates, now)
    }

    /// It changes when a place became free before its time.
    pub(crate) const fn releases(&self) -> u64 {
        self.releases
    }

    fn note(&mut self, pod_uid: &str, limits: Vec<Limit>, at: Timestamp, pending: bool) {
        self.forget(pod_uid);
        for limit in &limits {
            let times = self.times.entry(limit.clone()).or_default();
            times.insert((at, pod_uid.to_owned()));
        }
        let taken = Taken {
            at,
            pending,
            unanswered: None,
            limits,
        };
        self.taken.insert(pod_uid.to_owned(), taken);
    }

    fn forget(&mut self, pod_uid: &str) -> bool {
        let Some(taken) = self.taken.remove(pod_uid) else {
            return false;
        };
        let entry = (taken.at, pod_uid.to_owned());
        for limit in taken.limits {
            if let Some(times) = self.times.get_mut(&limit) {
                times.remove(&entry);
                if times.is_empty() {
                    self.times.remove(&limit);
                }
            }
        }
        true
    }
}

/// The limit that is used up and has room again last, and when.
fn blocked(
    claim: &Claim,
    rates: RateLimits,
    last_of_workload: Option<Timestamp>,
    [of_binding, in_namespace, in_cluster]: [&[Timestamp]; 3],
    now: Timestamp,
) -> Option<(Limit, Timestamp)> {
    let cooldown = claim.workload.as_ref().and_then(|workload| {
        let over = later(last_of_workload?, workload.cooldown);
        (over > now).then(|| (Limit::Workload(workload.key.clone()), over))
    });
    let rate = |limit: Limit, times: &[Timestamp], most: u32| {
        full_until(times, most, now).map(|until| (limit, until))
    };
    let binding = Limit::Binding(claim.binding.clone());
    let namespace = Limit::Namespace(claim.namespace.clone());
    [
        cooldown,
        rate(binding, of_binding, claim.binding_per_minute),
        rate(namespace, in_namespace, rates.namespace_per_minute),
        rate(Limit::Cluster, in_cluster, rates.cluster_per_minute),
    ]
    .into_iter()
    .flatten()
    // Of two that end at once the first is named.
    .rev()
    .max_by_key(|(_, until)| *until)
}

/// When a limit of `most` in a minute has room again; none: it has room now.
fn full_until(times: &[Timestamp], most: u32, now: Timestamp) -> Option<Timestamp> {
    let most = usize::try_from(most.max(1)).unwrap_or(usize::MAX);
    let recent = times.partition_point(|t| now.duration_since(*t) >= RATE_WINDOW);
    let recent = times.get(recent..)?;
    // The one that must leave the window before there is room for another.
    let leaves = recent.get(recent.len().checked_sub(most)?)?;
    Some(later(*leaves, RATE_WINDOW))
}

/// A time after another; the end of time if there is none.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
