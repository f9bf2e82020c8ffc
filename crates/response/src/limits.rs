//! Which limits on the number of Incidents are reached.
//!
//! Here: what an Incident counts as, when a namespace or the cluster is full and when it is free again,
//! whom that limits. Not here: deleting Incidents (`retention`), publishing (`controller`), and what
//! sensors then do.
//! Invariant: a limit never concerns an enforced violation or an evaluation error; what no live pod
//! confirmed fills nothing, what has less than its share is not limited, namespace or node, so that
//! neither a tenant nor a stolen sensor token silences others.

use crate::incident_state::is_open;
use crate::retention::RetentionSettings;
use bailiff_api::condition::{responded, types};
use bailiff_api::keys::FALLBACK_LIMIT;
use bailiff_api::{
    FullNamespace, Incident, IncidentLimits, LIMITED_NAMESPACES_LIMIT, LIMITED_NODES_LIMIT,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What an Incident counts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Namespace of the pod.
    pub namespace: String,
    /// Node whose sensor created it.
    pub node: String,
    /// Whether it is in Bailiff's namespace instead of the pod's.
    pub fallback: bool,
    /// What is left to do about it.
    pub standing: Standing,
}

/// What is left to do about an Incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To respond, or to wait for the replacement.
    Open,
    /// Nothing, and no live pod confirmed it.
    Unconfirmed,
    /// Nothing.
    Closed,
}

impl Counted {
    /// What an Incident counts as.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        let conditions = incident.status.iter().flat_map(|s| &s.conditions);
        let unconfirmed = conditions.into_iter().any(|c| {
            let reasons = [responded::POD_NOT_FOUND, responded::POD_MISMATCH];
            c.type_ == types::RESPONDED && reasons.contains(&c.reason.as_str())
        });
        let spec = &incident.spec;
        Self {
            namespace: spec.pod.namespace.clone(),
            node: spec.node_name.clone(),
            fallback: incident.metadata.namespace.as_ref() != Some(&spec.pod.namespace),
            standing: match (is_open(incident), unconfirmed) {
                (true, _) => Standing::Open,
                (false, true) => Standing::Unconfirmed,
                (false, false) => Standing::Closed,
            },
        }
    }
}

/// A namespace of pods that is at a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Full {
    /// It is at its own limit, not only at its share of the cluster's.
    itself: bool,
    /// How many fewer Incidents make it free again.
    excess: usize,
    total: usize,
    nodes: Vec<String>,
}

/// What Bailiff's namespace has of the pods of another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fallback {
    total: usize,
    open: usize,
    full: bool,
    /// The nodes that have more than their share of what is open.
    nodes: Vec<String>,
}

/// The limits that are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    cluster_full: bool,
    namespaces: BTreeMap<String, Full>,
    fallback: BTreeMap<String, Fallback>,
}

#[derive(Default)]
struct Count<'a> {
    total: usize,
    by_node: BTreeMap<&'a str, usize>,
}

impl<'a> Count<'a> {
    fn add(&mut self, node: &'a str) {
        self.total += 1;
        *self.by_node.entry(node).or_default() += 1;
    }
}

/// How many may be left of a limit for it to be free again: nine tenths.
const fn free_at(limit: usize) -> usize {
    let tenth = limit / 10;
    limit.saturating_sub(if tenth == 0 { 1 } else { tenth })
}

/// The largest level for which the sum of `min(count, level)` is at most `target`.
fn level(counts: impl Iterator<Item = usize>, target: usize) -> usize {
    let mut counts: Vec<_> = counts.collect();
    counts.sort_unstable();
    let mut left = target;
    let mut number = counts.len();
    for count in counts {
        if count.saturating_mul(number) > left {
            return left.checked_div(number).unwrap_or_default();
        }
        left = left.saturating_sub(count);
        number = number.saturating_sub(1);
    }
    usize::MAX
}

impl Limits {
    /// The limits that all Incidents reach. What was full before stays so until it is free again.
    #[must_use]
    pub fn reached<'a>(
        incidents: impl IntoIterator<Item = &'a Counted>,
        settings: &RetentionSettings,
        before: &Self,
    ) -> Self {
        let mut counts: BTreeMap<&str, Count<'_>> = BTreeMap::new();
        let mut fallback: BTreeMap<&str, (usize, Count<'_>)> = BTreeMap::new();
        for incident in incidents {
            if incident.fallback {
                let (total, open) = fallback.entry(&incident.namespace).or_default();
                *total += 1;
                if incident.standing == Standing::Open {
                    open.add(&incident.node);
                }
            }
            match incident.standing {
                Standing::Open | Standing::Unconfirmed => {}
                Standing::Closed => {
                    let count = counts.entry(&incident.namespace).or_default();
                    count.add(&incident.node);
                }
            }
        }
        let fallback = fallback.into_iter().map(|(name, (total, open))| {
            let was = before.fallback.get(name).is_some_and(|f| f.full);
            let full = is_full(open.total, FALLBACK_LIMIT, was);
            let excess = open.total.saturating_sub(free_at(FALLBACK_LIMIT));
            let found = Fallback {
                total,
                open: open.total,
                full,
                nodes: if full {
                    above_share(&open, excess)
                } else {
                    Vec::new()
                },
            };
            (name.to_owned(), found)
        });
        let most = settings.max_per_namespace;
        // What a namespace has above its limit displaces nothing of others.
        let shares = || counts.values().map(|count| count.total.min(most));
        let in_cluster = shares().fold(0, usize::saturating_add);
        let cluster_full = is_full(in_cluster, settings.max_in_cluster, before.cluster_full);
        let share = if cluster_full {
            level(shares(), free_at(settings.max_in_cluster))
        } else {
            usize::MAX
        };
        let full = counts.iter().filter_map(|(name, count)| {
            let was = before.namespaces.get(*name).is_some_and(|full| full.itself);
            let itself = is_full(count.total, most, was);
            let of_itself = if itself {
                count.total.saturating_sub(free_at(most))
            } else {
                0
            };
            let excess = of_itself.max(count.total.min(most).saturating_sub(share));
            (excess > 0).then(|| {
                let full = Full {
                    itself,
                    excess,
                    total: count.total,
                    nodes: above_share(count, excess),
                };
                ((*name).to_owned(), full)
            })
        });
        Self {
            cluster_full,
            namespaces: full.collect(),
            fallback: fallback.collect(),
        }
    }

    /// What sensors are told: of more namespaces than there is room for, those that have most.
    #[must_use]
    pub fn published(&self) -> IncidentLimits {
        let own = self.namespaces.iter();
        let own = own.map(|(name, full)| (full.total, name, &full.nodes));
        let fallback = self.fallback.iter().filter(|(_, found)| found.full);
        let fallback = fallback.map(|(name, found)| (found.open, name, &found.nodes));
        IncidentLimits {
            cluster_full: self.cluster_full,
            namespaces: those_with_most(own.collect()),
            fallback_namespaces: those_with_most(fallback.collect()),
        }
    }

    /// How many namespaces are at a limit.
    #[must_use]
    pub fn full_namespaces(&self) -> usize {
        let fallback = self.fallback.iter().filter(|(_, found)| found.full);
        let names = fallback.map(|(name, _)| name).chain(self.namespaces.keys());
        names.collect::<BTreeSet<_>>().len()
    }

    /// How many fewer closed Incidents make a namespace of pods free again.
    pub(crate) fn excess(&self, namespace: &str) -> usize {
        self.namespaces.get(namespace).map_or(0, |full| full.excess)
    }

    /// How many Incidents of a namespace of pods are too many in Bailiff's.
    pub(crate) fn fallback_excess(&self, namespace: &str) -> usize {
        let found = self.fallback.get(namespace);
        found.map_or(0, |found| found.total.saturating_sub(FALLBACK_LIMIT))
    }
}

/// Namespaces with their number and nodes, as many as are published, sorted by name.
fn those_with_most(mut full: Vec<(usize, &String, &Vec<String>)>) -> Vec<FullNamespace> {
    full.sort_by_key(|(number, name, _)| (Reverse(*number), *name));
    full.truncate(LIMITED_NAMESPACES_LIMIT);
    full.sort_by_key(|(_, name, _)| *name);
    full.into_iter()
        .map(|(_, name, nodes)| FullNamespace {
            name: name.clone(),
            nodes: nodes.clone(),
        })
        .collect()
}

fn is_full(count: usize, limit: usize, was: bool) -> bool {
    count >= limit || (was && count > free_at(limit))
}

/// The nodes that have more than their share of a namespace, if they are few; none means all.
fn above_share(count: &Count<'_>, excess: usize) -> Vec<String> {
    let target = count.total.saturating_sub(excess);
    let share = level(count.by_node.values().copied(), target);
    let above = count.by_node.iter().filter(|(_, has)| **has > share);
    let nodes: Vec<_> = above.map(|(node, _)| (*node).to_owned()).collect();
    if nodes.len() > LIMITED_NODES_LIMIT {
        Vec::new()
    } else {
        nodes
    }
}

#[cfg(test)]
mod tests;
