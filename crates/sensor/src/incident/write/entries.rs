//! The Incidents of a sensor: those that wait to be written, and those that violations are counted for.
//!
//! Here: what all of them may take, and what gives way. Not here: what is kept of each (`entry`), when one is written
//! (`write`).
//! Invariant: all of them take at most [`Bounds::all`] bytes and those of a pod at most [`Bounds::pod`], but for what
//! is on its way. A pod that is full takes nothing from another one. Where all is full, the pod that has most in the
//! namespace that has most gives way. Of a pod, the first violation of each policy goes last, and the next violation
//! of the same policy counts what was dropped.

use super::entry::{Entry, Holder, Way};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Most bytes of memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Of everything.
    pub(super) all: usize,
    /// Of a pod, or of the evaluation errors of a policy in a namespace.
    pub(super) pod: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            all: 8 << 20,
            pod: 64 << 10,
        }
    }
}

/// Most Incidents of a pod whose dropped violations are counted by themselves.
const DROPPED_LIMIT: usize = 32;
/// Bytes of the places that maps have for such a number, beside the name.
const DROPPED_BYTES: usize = 160;

/// The name of an Incident.
pub(super) type Name = Arc<str>;

/// What was dropped from an Incident, because there was no room.
#[derive(Debug)]
pub(super) struct Dropped {
    pub(super) name: Name,
    pub(super) pod_namespace: String,
    pub(super) pod: String,
    pub(super) policy: String,
    /// The Incident exists; only violations after it are dropped.
    pub(super) exists: bool,
    /// How many violations.
    pub(super) violations: i64,
}

/// What the Incidents of one holder take.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    names: BTreeSet<Name>,
    /// Violations that were dropped, by Incident.
    dropped: BTreeMap<Name, i64>,
}

/// The same for a namespace, by the UID of the holder.
#[derive(Debug, Default)]
struct Shares {
    bytes: usize,
    by_uid: BTreeMap<String, Share>,
}

/// An entry, with what it was counted as.
struct Kept {
    entry: Entry,
    bytes: usize,
    settled: bool,
}

/// Entries by the name of their Incident, which is one of all namespaces.
#[derive(Default)]
pub(super) struct Entries {
    bounds: Bounds,
    by_name: HashMap<Name, Kept>,
    by_namespace: BTreeMap<String, Shares>,
    bytes: usize,
    /// How many are settled.
    settled: usize,
    /// Those that may have changed since they were counted.
    touched: BTreeSet<Name>,
    /// Violations that were dropped and that no Incident will count.
    uncounted: i64,
}

impl Entries {
    #[cfg(test)]
    pub(super) fn within(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|kept| &kept.entry)
    }

    /// What is changed counts with the next [`Entries::enforce`].
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        let (name, _) = self.by_name.get_key_value(name)?;
        self.touched.insert(Arc::clone(name));
        let name = Arc::clone(name);
        self.by_name.get_mut(&name).map(|kept| &mut kept.entry)
    }

    /// Must have no entry of this name.
    pub(super) fn insert(&mut self, name: &str, entry: Entry) {
        let name: Name = name.into();
        let share = share(&mut self.by_namespace, &entry.holder);
        share.names.insert(Arc::clone(&name));
        self.touched.insert(Arc::clone(&name));
        let kept = Kept {
            entry,
            bytes: 0,
            settled: false,
        };
        self.by_name.insert(name, kept);
    }

    /// How many violations of this Incident were dropped, which are counted from here on by the caller.
    pub(super) fn take_dropped(&mut self, holder: &Holder, name: &str) -> i64 {
        let of_namespace = self.by_namespace.get_mut(&holder.namespace);
        let share = of_namespace.and_then(|shares| shares.by_uid.get_mut(&holder.uid));
        let Some(number) = share.and_then(|share| share.dropped.remove(name)) else {
            return 0;
        };
        self.count(holder, dropped_bytes(name), 0);
        self.forget_empty(holder);
        number
    }

    /// Counts one more violation of an Incident that was dropped before, where there is still no room for it.
    pub(super) fn drop_again(&mut self, holder: &Holder, name: &str, room: usize) -> bool {
        let full = self.bytes.saturating_add(room) > self.bounds.all
            && self.fullest().is_some_and(|most| *most == holder.namespace);
        let pod_limit = self.bounds.pod;
        let of_namespace = self.by_namespace.get_mut(&holder.namespace);
        let Some(share) = of_namespace.and_then(|shares| shares.by_uid.get_mut(&holder.uid)) else {
            return false;
        };
        let full = full || share.bytes.saturating_add(room) > pod_limit;
        match share.dropped.get_mut(name) {
            Some(number) if full => {
                *number = number.saturating_add(1);
                true
            }
            Some(_) | None => false,
        }
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.by_name.iter().map(|(name, kept)| (name, &kept.entry))
    }

    /// All of them. Nothing may be changed that takes memory.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.by_name.values_mut().map(|kept| &mut kept.entry)
    }

    /// Those that may be written, as far as their namespaces have fewer requests on their way than this.
    pub(super) fn idle(&self, of_a_namespace: usize) -> impl Iterator<Item = (&Name, &Entry)> {
        let mut in_flight: HashMap<&str, usize> = HashMap::new();
        for (_, entry) in self.all().filter(|(_, entry)| entry.in_flight) {
            let requests = in_flight.entry(&entry.pod_namespace).or_default();
            *requests = requests.saturating_add(1);
        }
        self.all().filter(move |(_, entry)| {
            let requests = in_flight.get(entry.pod_namespace.as_str());
            entry.is_due()
                && !entry.in_flight
                && requests.is_none_or(|requests| *requests < of_a_namespace)
        })
    }

    /// Whether one is about a pod of this namespace.
    pub(super) fn has(&self, namespace: &str) -> bool {
        self.by_namespace.contains_key(namespace)
    }

    /// How many Incidents are not written as they are known.
    pub(super) fn left(&self) -> usize {
        let left = |(_, entry): &(&Name, &Entry)| entry.is_due() || entry.in_flight;
        self.all().filter(left).count()
    }

    /// Incidents that do not exist and were to be created.
    pub(super) fn unrecorded(&self) -> Vec<Name> {
        let unrecorded = self.all().filter(|(_, e)| !e.exists() && e.is_due());
        let mut names: Vec<_> = unrecorded.map(|(name, _)| Arc::clone(name)).collect();
        names.sort_unstable();
        names
    }

    /// Makes room; what was dropped for it.
    pub(super) fn enforce(&mut self) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        let mut changed = BTreeSet::new();
        for name in std::mem::take(&mut self.touched) {
            changed.extend(self.recount(&name));
        }
        for holder in changed {
            while self.taken(&holder) > self.bounds.pod && self.give_way(&holder, &mut dropped) {}
        }
        if self.bytes > self.bounds.all && self.settled > 0 {
            self.forget_settled();
        }
        while self.bytes > self.bounds.all {
            let Some(most) = self.fullest_holder() else {
                break;
            };
            if !self.give_way(&most, &mut dropped) {
                break;
            }
        }
        dropped
    }

    /// Counts an entry as it is now; its holder.
    fn recount(&mut self, name: &str) -> Option<Holder> {
        let kept = self.by_name.get_mut(name)?;
        let (before, bytes) = (kept.bytes, kept.entry.bytes());
        let settled = kept.entry.way() == Some(Way::Settled);
        let was_settled = std::mem::replace(&mut kept.settled, settled);
        kept.bytes = bytes;
        let holder = kept.entry.holder.clone();
        self.settled = self
            .settled
            .saturating_add(usize::from(settled))
            .saturating_sub(usize::from(was_settled));
        self.count(&holder, before, bytes);
        Some(holder)
    }

    /// Something of a holder takes so many bytes and took so many before.
    fn count(&mut self, holder: &Holder, before: usize, now: usize) {
        let change = |bytes: &mut usize| *bytes = bytes.saturating_add(now).saturating_sub(before);
        change(&mut self.bytes);
        if let Some(shares) = self.by_namespace.get_mut(&holder.namespace) {
            change(&mut shares.bytes);
            if let Some(share) = shares.by_uid.get_mut(&holder.uid) {
                change(&mut share.bytes);
            }
        }
    }

    fn taken(&self, holder: &Holder) -> usize {
        let shares = self.by_namespace.get(&holder.namespace);
        let share = shares.and_then(|shares| shares.by_uid.get(&holder.uid));
        share.map_or(0, |share| share.bytes)
    }

    /// The namespace that has most.
    fn fullest(&self) -> Option<&String> {
        let namespaces = self.by_namespace.iter();
        let most = namespaces.max_by_key(|(_, shares)| shares.bytes)?;
        Some(most.0)
    }

    /// The holder that has most in the namespace that has most.
    fn fullest_holder(&self) -> Option<Holder> {
        let namespace = self.fullest()?;
        let holders = self.by_namespace.get(namespace)?.by_uid.iter();
        let (uid, _) = holders.max_by_key(|(_, share)| share.bytes)?;
        Some(Holder {
            namespace: namespace.clone(),
            uid: uid.clone(),
        })
    }

    /// A holder does without something; false: there is nothing that it can do without.
    fn give_way(&mut self, holder: &Holder, dropped: &mut Vec<Dropped>) -> bool {
        let shares = self.by_namespace.get(&holder.namespace);
        let Some(share) = shares.and_then(|shares| shares.by_uid.get(&holder.uid)) else {
            return false;
        };
        let ways = share.names.iter().filter_map(|name| {
            let kept = self.by_name.get(name)?;
            let way = kept.entry.way()?;
            let last = kept.entry.last().as_nanosecond();
            // Of what is missed equally, what takes most, else what is oldest; of first violations the newest.
            let order = match way {
                Way::Processes | Way::EvidenceAgain => (Reverse(kept.bytes), last),
                Way::Settled | Way::Idle | Way::Count => (Reverse(0), last),
                Way::Audited | Way::Enforced => (Reverse(0), last.saturating_neg()),
            };
            Some((way, order, name))
        });
        let Some((way, _, name)) = ways.min() else {
            return self.forget_dropped(holder);
        };
        let name = Arc::clone(name);
        match way {
            Way::Processes => self.change(&name, Entry::shed_processes),
            Way::EvidenceAgain => self.change(&name, |entry| entry.evidence = None),
            Way::Settled | Way::Idle | Way::Count | Way::Audited | Way::Enforced => {
                self.remove(&name, way, dropped);
            }
        }
        true
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(kept) = self.by_name.get_mut(name) {
            change(&mut kept.entry);
        }
        let _holder = self.recount(name);
    }

    /// Removes an entry. What its Incident lacks is remembered as a number.
    fn remove(&mut self, name: &str, way: Way, dropped: &mut Vec<Dropped>) {
        let Some((name, kept)) = self.by_name.remove_entry(name) else {
            return;
        };
        let Kept {
            entry,
            bytes,
            settled,
        } = kept;
        self.settled = self.settled.saturating_sub(usize::from(settled));
        let holder = entry.holder.clone();
        self.count(&holder, bytes, 0);
        let share = share(&mut self.by_namespace, &holder);
        share.names.remove(&name);
        let violations = entry.unwritten();
        if violations > 0 {
            if share.dropped.len() < DROPPED_LIMIT {
                share.dropped.insert(Arc::clone(&name), violations);
                self.count(&holder, 0, dropped_bytes(&name));
            } else {
                self.uncounted = self.uncounted.saturating_add(violations);
            }
        }
        // What was given up is reported already.
        if violations > 0 && way != Way::Idle {
            dropped.push(Dropped {
                name,
                exists: entry.exists(),
                pod_namespace: entry.pod_namespace,
                pod: entry.pod,
                policy: entry.policy,
                violations,
            });
        }
        self.forget_empty(&holder);
    }

    /// Forgets what is found again, the oldest first, until there is room.
    fn forget_settled(&mut self) {
        let settled = self.by_name.iter().filter(|(_, kept)| kept.settled);
        let mut oldest: Vec<_> = settled
            .map(|(name, kept)| (kept.entry.last(), Arc::clone(name)))
            .collect();
        oldest.sort_unstable();
        for (_, name) in oldest {
            if self.bytes <= self.bounds.all {
                return;
            }
            self.remove(&name, Way::Settled, &mut Vec::new());
        }
    }

    /// Forgets how much of a holder's Incidents was dropped; false: nothing was.
    fn forget_dropped(&mut self, holder: &Holder) -> bool {
        let shares = self.by_namespace.get_mut(&holder.namespace);
        let Some(share) = shares.and_then(|shares| shares.by_uid.get_mut(&holder.uid)) else {
            return false;
        };
        let dropped = std::mem::take(&mut share.dropped);
        if dropped.is_empty() {
            return false;
        }
        for (name, number) in dropped {
            self.uncounted = self.uncounted.saturating_add(number);
            self.count(holder, dropped_bytes(&name), 0);
        }
        self.forget_empty(holder);
        true
    }

    fn forget_empty(&mut self, holder: &Holder) {
        let Some(shares) = self.by_namespace.get_mut(&holder.namespace) else {
            return;
        };
        if let Some(share) = shares.by_uid.get(&holder.uid)
            && share.names.is_empty()
            && share.dropped.is_empty()
        {
            shares.by_uid.remove(&holder.uid);
        }
        if shares.by_uid.is_empty() {
            self.by_namespace.remove(&holder.namespace);
        }
    }
}

fn share<'a>(namespaces: &'a mut BTreeMap<String, Shares>, holder: &Holder) -> &'a mut Share {
    let shares = namespaces.entry(holder.namespace.clone()).or_default();
    shares.by_uid.entry(holder.uid.clone()).or_default()
}

/// Bytes that the number of dropped violations of an Incident takes.
fn dropped_bytes(name: &str) -> usize {
    name.len().saturating_add(DROPPED_BYTES)
}

#[cfg(test)]
mod model;
