//! What registries said about admitted images, as it outlives the webhook.
//!
//! Here: one such fact, and how two are merged. Not here: the `ConfigMaps` (`content`), what goes first if there
//! is no room (`room`), what changed since they were read (`changes`), and requests (`webhook`).
//! Invariant: a function of its arguments. The merge of facts does not depend on their order or number, so
//! replicas that write at the same time lose nothing of each other.

mod changes;
mod content;
mod room;
#[cfg(test)]
mod tests;
mod users;

pub use changes::{Changes, Due, Refresh};
pub use content::{Carried, Corrupt, Fault, Read, encode, read};
pub use users::{USERS_LIMIT, Users};

use crate::lookup::{ImageFacts, ManifestKind};
use sha2::{Digest as _, Sha256};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Names of the `ConfigMaps` that hold the facts, in Bailiff's namespace. The chart creates them without data.
pub const CONFIG_MAPS: [&str; 8] = [
    "bailiff-facts-0",
    "bailiff-facts-1",
    "bailiff-facts-2",
    "bailiff-facts-3",
    "bailiff-facts-4",
    "bailiff-facts-5",
    "bailiff-facts-6",
    "bailiff-facts-7",
];
/// Most facts of a `ConfigMap`; 4,096 of all together.
pub const FACTS_LIMIT: usize = 512;
/// Most bytes of the data of a `ConfigMap`, with keys.
pub const BYTES_LIMIT: usize = 512 << 10;
/// How long after its last admission a fact is kept, in seconds.
pub const RETENTION_SECONDS: i64 = 30 * 24 * 3600;

/// What a fact is about. Two are equal only if the registry gives both the same answer, as far as the versions of a
/// credential can see the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactKey {
    /// Where the registry's requests go: the registry or its mirror.
    pub endpoint: Box<str>,
    /// The normal form of the reference: repository, and digest or else tag.
    pub image: Box<str>,
    /// Whether a policy in force named the registry literally.
    pub named_by_policy: bool,
    /// Name and UID of the Secret of the credential that the registry was asked with; empty without one. A namespace
    /// that does not ask with this credential has another key.
    pub credential: Box<str>,
}

impl FactKey {
    /// The number of the `ConfigMap` of [`CONFIG_MAPS`] that has the fact.
    #[must_use]
    pub fn config_map(&self) -> usize {
        let mut hash = Sha256::new();
        for part in [&self.endpoint, &self.image, &self.credential] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update([u8::from(self.named_by_policy)]);
        let first = hash.finalize().first().copied().unwrap_or_default();
        usize::from(first)
            .checked_rem(CONFIG_MAPS.len())
            .unwrap_or_default()
    }

    /// Whether it is about a tag.
    #[must_use]
    pub fn is_tag(&self) -> bool {
        !self.image.contains('@')
    }
}

/// What a registry said about an image that was admitted. Times are in seconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What the registry said last.
    pub facts: ImageFacts,
    /// The version of the credential that it said so with, never its content; empty without one.
    pub credential_version: Box<str>,
    /// When it said so last.
    pub confirmed: i64,
    /// When a pod with the image was admitted first.
    pub first_admitted: i64,
    /// When one was admitted last.
    pub last_admitted: i64,
    /// The namespaces of these pods.
    pub users: Users,
}

/// The facts of a `ConfigMap`.
pub type Facts = BTreeMap<FactKey, Fact>;

impl Fact {
    /// What both say together about an image: the newer answer of the registry, and all admissions.
    #[must_use]
    pub fn merged(self, other: Self, image: &str) -> Self {
        let newer = match self.answer().cmp(&other.answer()) {
            Ordering::Less => (other.facts, other.credential_version, other.confirmed),
            Ordering::Equal | Ordering::Greater => {
                (self.facts, self.credential_version, self.confirmed)
            }
        };
        Self {
            facts: newer.0,
            credential_version: newer.1,
            confirmed: newer.2,
            first_admitted: self.first_admitted.min(other.first_admitted),
            last_admitted: self.last_admitted.max(other.last_admitted),
            users: self.users.merged(other.users, image),
        }
    }

    /// The answer, in an order in which the newest is the greatest.
    fn answer(&self) -> (i64, &str, bool, &str) {
        let is_index = match self.facts.kind {
            ManifestKind::Manifest => false,
            ManifestKind::Index => true,
        };
        let digest = self.facts.digest.as_str();
        (self.confirmed, digest, is_index, &self.credential_version)
    }

    /// Whether the fact is still kept.
    #[must_use]
    pub const fn is_kept(&self, now: i64) -> bool {
        now.saturating_sub(self.last_admitted) <= RETENTION_SECONDS
    }
}

/// Adds a fact to those that are known.
pub(crate) fn add(facts: &mut Facts, key: FactKey, fact: Fact) {
    let fact = match facts.remove(&key) {
        Some(before) => before.merged(fact, &key.image),
        None => fact,
    };
    facts.insert(key, fact);
}
