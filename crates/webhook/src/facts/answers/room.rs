//! Room for answers, in a share for each namespace.
//!
//! Here: which answer goes first. Not here: the answers (`answers`).
//! Invariant: an answer goes only from the namespace whose answers take most bytes, its least recently used
//! first. So what a namespace asks for removes nothing of one that has less. What several use has a share of its
//! own, else one could take over what others use, and have it removed with its own. What is being asked for stays.

use super::super::key::Key;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The share of answers that several namespaces use. No namespace has this name.
pub(super) const SHARED: &str = "";
/// Bytes of a namespace besides its name: itself, and its places in the maps.
const NAMESPACE_BYTES: usize = 512;

/// The most that is remembered.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Room {
    /// Answers.
    pub(in super::super) entries: usize,
    /// Bytes of them, with keys.
    pub(in super::super) bytes: usize,
}

/// Answers that share room.
#[derive(Debug)]
pub(super) struct Part {
    room: Room,
    pub(super) entries: usize,
    /// With those of the namespaces.
    pub(super) bytes: usize,
    namespaces: HashMap<Arc<str>, Share>,
    /// Namespaces by the bytes of their answers.
    by_bytes: BTreeSet<(usize, Arc<str>)>,
}

/// The answers of a namespace.
#[derive(Debug, Default)]
struct Share {
    entries: usize,
    bytes: usize,
    /// The least recently used first.
    by_use: BTreeMap<u64, Arc<Key>>,
}

impl Part {
    pub(super) fn new(room: Room) -> Self {
        Self {
            room,
            entries: 0,
            bytes: 0,
            namespaces: HashMap::new(),
            by_bytes: BTreeSet::new(),
        }
    }

    /// A name as it is kept, so that answers share it.
    pub(super) fn name(&self, namespace: &str) -> Arc<str> {
        match self.namespaces.get_key_value(namespace) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(namespace),
        }
    }

    /// An answer of a namespace comes, with its bytes.
    pub(super) fn add(&mut self, namespace: &Arc<str>, bytes: usize) {
        self.entries += 1;
        self.bytes += bytes;
        if !self.namespaces.contains_key(namespace) {
            self.bytes += NAMESPACE_BYTES + namespace.len();
        }
        let share = self.namespaces.entry(Arc::clone(namespace)).or_default();
        self.by_bytes.remove(&(share.bytes, Arc::clone(namespace)));
        share.entries += 1;
        share.bytes += bytes;
        self.by_bytes.insert((share.bytes, Arc::clone(namespace)));
    }

    /// An answer of a namespace goes, with its bytes and its last use.
    pub(super) fn remove(&mut self, namespace: &Arc<str>, bytes: usize, used: Option<u64>) {
        let Some(share) = self.namespaces.get_mut(namespace) else {
            return;
        };
        self.entries -= 1;
        self.bytes -= bytes;
        self.by_bytes.remove(&(share.bytes, Arc::clone(namespace)));
        share.entries -= 1;
        share.bytes -= bytes;
        if let Some(used) = used {
            share.by_use.remove(&used);
        }
        if share.entries == 0 {
            self.namespaces.remove(namespace);
            self.bytes -= NAMESPACE_BYTES + namespace.len();
        } else {
            self.by_bytes.insert((share.bytes, Arc::clone(namespace)));
        }
    }

    /// An answer is used; from now on it can go.
    pub(super) fn use_now(
        &mut self,
        namespace: &Arc<str>,
        before: Option<u64>,
        now: u64,
        key: &Arc<Key>,
    ) {
        if let Some(share) = self.namespaces.get_mut(namespace) {
            if let Some(before) = before {
                share.by_use.remove(&before);
            }
            share.by_use.insert(now, Arc::clone(key));
        }
    }

    /// An answer stays until its next use.
    pub(super) fn hold(&mut self, namespace: &Arc<str>, used: u64) {
        if let Some(share) = self.namespaces.get_mut(namespace) {
            share.by_use.remove(&used);
        }
    }

    /// The answer that goes next; none: there is room.
    pub(super) fn next(&self) -> Option<Arc<Key>> {
        if self.entries <= self.room.entries && self.bytes <= self.room.bytes {
            return None;
        }
        // Of the largest one everything can be being asked for.
        self.by_bytes.iter().rev().find_map(|(_, name)| {
            let share = self.namespaces.get(name)?;
            share
                .by_use
                .first_key_value()
                .map(|(_, key)| Arc::clone(key))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::key::Wanted;
    use super::*;
    use bailiff_oci::{Reference, ShortNames};
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    fn key(number: usize) -> Arc<Key> {
        let image = format!("ghcr.io/acme/web:{number}");
        let wanted = Wanted::<()> {
            reference: Reference::parse(&image, ShortNames::DockerHub).unwrap(),
            namespace: String::new(),
            named_by_policy: false,
            credential: None,
            credential_key: String::new(),
        };
        Arc::new(Key::new("endpoint", &wanted))
    }

    /// An answer: its namespace, bytes and last use; none: it is being asked for.
    type Answer = (Arc<str>, usize, Option<u64>);

    proptest! {
        #![proptest_config(Config {
            cases: 128,
            rng_seed: RngSeed::Fixed(14),
            failure_persistence: None,
            ..Config::default()
        })]

        #[test]
        fn what_goes_is_the_least_recently_used_of_the_largest_share(
            steps in proptest::collection::vec((0..4_u8, 0..40_usize, 1..900_usize, 0..4_u8), 1..200),
        ) {
            let room = Room { entries: 16, bytes: 8 << 10 };
            let mut part = Part::new(room);
            let mut answers: BTreeMap<usize, Answer> = BTreeMap::new();
            for (at, (what, number, bytes, namespace)) in steps.into_iter().enumerate() {
                let now = u64::try_from(at).unwrap();
                match (what, answers.get_mut(&number)) {
                    (0, Some((namespace, bytes, used))) => {
                        part.remove(namespace, *bytes, *used);
                        answers.remove(&number);
                    }
                    (1, Some((namespace, _, used))) => {
                        if let Some(used) = used.take() {
                            part.hold(namespace, used);
                        }
                    }
                    (_, Some((namespace, _, used))) => {
                        part.use_now(namespace, *used, now, &key(number));
                        *used = Some(now);
                    }
                    (_, None) => {
                        let namespace = part.name(&format!("ns-{namespace}"));
                        part.add(&namespace, bytes);
                        part.use_now(&namespace, None, now, &key(number));
                        answers.insert(number, (namespace, bytes, Some(now)));
                    }
                }
                let share = |answers: &BTreeMap<usize, Answer>, namespace: &str| -> usize {
                    let of = answers.values().filter(|(of, _, _)| **of == *namespace);
                    of.map(|(_, bytes, _)| bytes).sum()
                };
                while let Some(next) = part.next() {
                    let found = answers.iter().find(|(number, _)| key(**number) == next);
                    let (&number, (namespace, bytes, used)) = found.unwrap();
                    let of_it = share(&answers, namespace);
                    for (other, _, other_used) in answers.values() {
                        prop_assert!(other_used.is_none() || of_it >= share(&answers, other));
                        prop_assert!(other != namespace || other_used.is_none() || other_used >= used);
                    }
                    part.remove(&Arc::clone(namespace), *bytes, *used);
                    answers.remove(&number);
                }
                let is_asked = |answer: &Answer| answer.2.is_none();
                prop_assert!(part.entries <= room.entries || answers.values().all(is_asked));
                prop_assert_eq!(part.entries, answers.len());
                let names: BTreeSet<_> = answers.values().map(|(name, _, _)| name).collect();
                let of_names: usize = names.iter().map(|name| NAMESPACE_BYTES + name.len()).sum();
                let bytes: usize = answers.values().map(|(_, bytes, _)| bytes).sum();
                prop_assert_eq!(part.bytes, bytes + of_names);
            }
        }
    }
}
