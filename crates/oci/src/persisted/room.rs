//! What goes first if a `ConfigMap` has no room.
//!
//! Here: the order. Not here: the text (`content`).
//! Invariant: a namespace loses a fact only while none has more bytes than it. So images of one namespace,
//! however many, remove none of a namespace that holds less than its share.
//!
//! The share is that of the namespace that had the image admitted, and not that of its registry: a tenant gets
//! no namespace by itself, and names any number of repositories. Facts of several namespaces have a share
//! together.

use super::content::line;
use super::{BYTES_LIMIT, FACTS_LIMIT, FactKey, Facts};
use std::collections::{BTreeMap, BTreeSet};

/// What a namespace has, the least recently admitted first.
#[derive(Default)]
struct Share {
    bytes: usize,
    by_admission: BTreeSet<(i64, FactKey, usize)>,
}

/// Removes facts that are too old, and those for which there is no room beside so many lines and bytes.
pub(super) fn fit(facts: &mut Facts, lines: usize, bytes: usize, now: i64) {
    facts.retain(|_, fact| fact.is_kept(now));
    let mut shares: BTreeMap<Option<Box<str>>, Share> = BTreeMap::new();
    let (mut count, mut bytes) = (lines, bytes);
    facts.retain(|key, fact| {
        let Some(size) = line(key, fact).map(|line| line.len()) else {
            return false;
        };
        let share = shares.entry(fact.namespace.clone()).or_default();
        share.bytes = share.bytes.saturating_add(size);
        share
            .by_admission
            .insert((fact.last_admitted, key.clone(), size));
        count = count.saturating_add(1);
        bytes = bytes.saturating_add(size);
        true
    });
    while count > FACTS_LIMIT || bytes > BYTES_LIMIT {
        let largest = shares.values_mut().max_by_key(|share| share.bytes);
        let least = largest.and_then(|share| {
            let least = share.by_admission.pop_first()?;
            share.bytes = share.bytes.saturating_sub(least.2);
            Some(least)
        });
        let Some((_, key, size)) = least else {
            return;
        };
        facts.remove(&key);
        count = count.saturating_sub(1);
        bytes = bytes.saturating_sub(size);
    }
}
