//! What goes first if a `ConfigMap` has no room.
//!
//! Here: the order. Not here: the text (`content`).
//! Invariant: a namespace gives up a fact only while none has more bytes than it, and a fact goes when each namespace
//! that had the image gave it up. So images of some namespaces, however many, remove none that another one uses which
//! holds less than its share.
//!
//! The share is that of the namespaces that had the image admitted, and not that of its registry: a tenant gets
//! no namespace by itself, and names any number of repositories. A fact of several namespaces counts in the share of
//! each. So namespaces that work together gain no share, and have no fact removed that others use, too. Facts of
//! several namespaces of which none is known have a share together.

use super::content::line;
use super::{BYTES_LIMIT, FACTS_LIMIT, FactKey, Facts, Users};
use std::collections::{BTreeMap, BTreeSet};

/// Whose share it is; none: of several namespaces of which none is known.
type Holder = Option<Box<str>>;

/// What a namespace has, the least recently admitted first.
#[derive(Default)]
struct Share {
    bytes: usize,
    by_admission: BTreeSet<(i64, FactKey, usize)>,
}

/// Removes facts that are too old, and those for which there is no room beside so many lines and bytes.
pub(super) fn fit(facts: &mut Facts, lines: usize, bytes: usize, now: i64) {
    facts.retain(|_, fact| fact.is_kept(now));
    let mut shares: BTreeMap<Holder, Share> = BTreeMap::new();
    let (mut count, mut bytes) = (lines, bytes);
    facts.retain(|key, fact| {
        let Some(size) = line(key, fact).map(|line| line.len()) else {
            return false;
        };
        for holder in holders(&fact.users) {
            let share = shares.entry(holder).or_default();
            share.bytes = share.bytes.saturating_add(size);
            let admitted = (fact.last_admitted, key.clone(), size);
            share.by_admission.insert(admitted);
        }
        count = count.saturating_add(1);
        bytes = bytes.saturating_add(size);
        true
    });
    let by_bytes = shares.iter();
    let by_bytes = by_bytes.map(|(holder, share)| (share.bytes, holder.clone()));
    let mut by_bytes: BTreeSet<_> = by_bytes.collect();
    while count > FACTS_LIMIT || bytes > BYTES_LIMIT {
        let Some((_, holder)) = by_bytes.pop_last() else {
            return;
        };
        let Some(share) = shares.get_mut(&holder) else {
            return;
        };
        let Some((_, key, size)) = share.by_admission.pop_first() else {
            continue;
        };
        share.bytes = share.bytes.saturating_sub(size);
        by_bytes.insert((share.bytes, holder.clone()));
        let Some(fact) = facts.get_mut(&key) else {
            continue;
        };
        let before = line(&key, fact).map_or(0, |line| line.len());
        let after = if fact.users.give_up(holder.as_deref()) {
            line(&key, fact).map_or(0, |line| line.len())
        } else {
            facts.remove(&key);
            count = count.saturating_sub(1);
            0
        };
        bytes = bytes.saturating_sub(before.saturating_sub(after));
    }
}

fn holders(users: &Users) -> Vec<Holder> {
    let known: Vec<_> = users.known().map(|name| Some(name.into())).collect();
    if known.is_empty() { vec![None] } else { known }
}
