//! The answers that are remembered.
//!
//! Here: how long each is used. Not here: asking (`queue`), and which goes first when there is no room
//! (`room`).
//! Invariant: an answer is used only within its time. An image counts as found only if the registry said
//! so last, or, within `stale_if_error`, if it has not answered since. Tags, digests, and what was not found
//! have room of their own, and in it each namespace has a share. So neither a flood of unknown images removes
//! anything that is known, nor one of digests that a registry confirms at will.

mod room;

pub(super) use room::Room;

use super::key::Key;
use bailiff_oci::{Failure, ImageFacts, Lookup, Missing, Source};
use room::{Part, SHARED};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a tag's answer is used.
pub(super) const TAG_FOUND: Duration = Duration::from_secs(30);
/// How long it is known that a repository has a digest.
pub(super) const DIGEST_FOUND: Duration = Duration::from_hours(24);
/// How long the first "not found" is used. Each further one is used twice as long as the one before it.
pub(super) const NOT_FOUND: Duration = Duration::from_secs(15);
/// The least time between two requests about an image that could not be checked.
pub(super) const FAILED: Duration = Duration::from_secs(5);
/// The longest time that "not found" or a failure is used, whatever the registry asks for.
pub(super) const LONGEST: Duration = Duration::from_mins(5);
/// Bytes of an entry besides its texts: itself, its key, and its places in the maps.
const ENTRY_BYTES: usize = 512;

/// What is remembered.
#[derive(Debug)]
pub(super) struct Answers {
    stale_if_error: Duration,
    entries: HashMap<Arc<Key>, Entry>,
    parts: Parts,
    uses: u64,
}

/// The room, in parts.
#[derive(Debug)]
struct Parts {
    /// Tags that name an image, as far as it is known.
    tags: Part,
    /// Digests that a repository has, as far as it is known.
    digests: Part,
    /// The others.
    absent: Part,
}

impl Parts {
    const fn of(&mut self, key: &Key, entry: &Entry) -> &mut Part {
        match (entry.found.is_some(), key.is_tag) {
            (true, true) => &mut self.tags,
            (true, false) => &mut self.digests,
            (false, _) => &mut self.absent,
        }
    }

    /// A namespace uses an answer, which from then on is one of several if it was another's. One that is being
    /// asked for stays, whoever uses it.
    fn use_now(&mut self, entry: &mut Entry, namespace: &str, now: u64) {
        let Some(used) = entry.used else {
            return;
        };
        let part = self.of(&entry.key, entry);
        entry.used = Some(now);
        if *entry.namespace != *namespace && *entry.namespace != *SHARED {
            part.remove(&entry.namespace, entry.bytes, Some(used));
            entry.namespace = part.name(SHARED);
            part.add(&entry.namespace, entry.bytes);
            part.use_now(&entry.namespace, None, now, &entry.key);
        } else {
            part.use_now(&entry.namespace, Some(used), now, &entry.key);
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// The key as it is kept.
    key: Arc<Key>,
    /// What the registry said last of an image that it has, and when.
    found: Option<(ImageFacts, Instant)>,
    /// What came since, if it is something else.
    without: Option<Without>,
    /// The answer is used before this time.
    until: Instant,
    /// How often "not found" came since the image was found.
    misses: u32,
    /// When the registry last said that there is no such image, or not for this credential, if it did not say
    /// since that there is.
    contradicted: Option<Instant>,
    /// The namespace whose share it is of.
    namespace: Arc<str>,
    /// Its last use; none while it is being asked for, so that it stays.
    used: Option<u64>,
    bytes: usize,
}

#[derive(Clone, Debug)]
enum Without {
    NotFound(Missing),
    Failed(Failure),
}

impl Answers {
    /// Nothing yet. Digests have half of the room.
    pub(super) fn new(room: Room, stale_if_error: Duration) -> Self {
        let part = |quarters: usize| {
            Part::new(Room {
                entries: room.entries / 4 * quarters,
                bytes: room.bytes / 4 * quarters,
            })
        };
        Self {
            stale_if_error,
            entries: HashMap::new(),
            parts: Parts {
                tags: part(1),
                digests: part(2),
                absent: part(1),
            },
            uses: 0,
        }
    }

    /// The answer for a namespace, if there is one that can be used now.
    pub(super) fn get(&mut self, key: &Key, namespace: &str, now: Instant) -> Option<Lookup> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        self.parts.use_now(entry, namespace, self.uses);
        if now >= entry.until {
            return None;
        }
        match (&entry.without, &entry.found) {
            (None, Some((facts, _))) => Some(Lookup::Found {
                facts: facts.clone(),
                source: Source::Registry,
            }),
            (Some(Without::NotFound(missing)), _) => Some(Lookup::NotFound(*missing)),
            (Some(Without::Failed(failure)), _) => Some(Lookup::Failed(failure.clone())),
            (None, None) => None,
        }
    }

    /// The last answer, because there is no new one; none: the cause is that of an answer, the last answer is
    /// too old, or it is not that the image is there.
    pub(super) fn last_known(&self, key: &Key, cause: &Failure, now: Instant) -> Option<Lookup> {
        if !cause.is_without_answer() {
            return None;
        }
        let (facts, at) = self.entries.get(key)?.found.as_ref()?;
        let age = now.saturating_duration_since(*at);
        // A digest that a tag had is one of the pod that is pinned to it, as long as the tag's answer counts.
        let fresh = if key.is_tag {
            Duration::ZERO
        } else {
            DIGEST_FOUND
        };
        let is_young = !self.stale_if_error.is_zero() && age <= self.stale_if_error + fresh;
        is_young.then(|| Lookup::Found {
            facts: facts.clone(),
            source: Source::LastKnown {
                age,
                last_admitted: None,
                cause: cause.clone(),
            },
        })
    }

    /// What the registry said last of an image that it has, and when; none: it has none, or did not say.
    pub(super) fn found(&self, key: &Key) -> Option<&(ImageFacts, Instant)> {
        self.entries.get(key)?.found.as_ref()
    }

    /// When the registry last said that there is no such image, or not for this credential, if it did not say
    /// since that there is.
    pub(super) fn contradicted(&self, key: &Key) -> Option<Instant> {
        self.entries.get(key)?.contradicted
    }

    /// An entry stays until it is recorded again, because it is being asked for.
    pub(super) fn hold(&mut self, key: &Key) {
        if let Some(entry) = self.entries.get_mut(key)
            && let Some(used) = entry.used.take()
        {
            self.parts.of(key, entry).hold(&entry.namespace, used);
        }
    }

    /// Remembers an answer that came now, of a request for a namespace.
    pub(super) fn record(
        &mut self,
        key: &Arc<Key>,
        lookup: &Lookup,
        namespace: &str,
        now: Instant,
    ) {
        let before = self.remove(key);
        let mut entry = before.unwrap_or_else(|| Entry {
            key: Arc::clone(key),
            found: None,
            without: None,
            until: now,
            misses: 0,
            contradicted: None,
            namespace: namespace.into(),
            used: None,
            bytes: 0,
        });
        match lookup {
            Lookup::Found { facts, .. } => {
                let time = if key.is_tag { TAG_FOUND } else { DIGEST_FOUND };
                entry.found = Some((facts.clone(), now));
                entry.without = None;
                entry.contradicted = None;
                entry.misses = 0;
                entry.until = now + time;
            }
            Lookup::NotFound(missing) => {
                // 2^8 times the first time is above the longest one.
                let factor = 1 << entry.misses.min(8);
                entry.misses = entry.misses.saturating_add(1);
                entry.found = None;
                entry.contradicted = Some(now);
                entry.without = Some(Without::NotFound(*missing));
                entry.until = now + (NOT_FOUND * factor).min(LONGEST);
            }
            Lookup::Failed(failure) => {
                if denies(failure) {
                    entry.found = None;
                    entry.contradicted = Some(now);
                }
                let time = failure.retry_after().unwrap_or(FAILED);
                entry.without = Some(Without::Failed(failure.clone()));
                entry.until = now + time.clamp(FAILED, LONGEST);
            }
            // No answer: what was known before is as old as it was.
            Lookup::Pending => {}
        }
        self.insert(key, entry);
    }

    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        let part = self.parts.of(key, &entry);
        part.remove(&entry.namespace, entry.bytes, entry.used);
        Some(entry)
    }

    fn insert(&mut self, key: &Arc<Key>, mut entry: Entry) {
        let digest = |(facts, _): &(ImageFacts, Instant)| facts.digest.as_str().len();
        // An excerpt that a failure quotes is short; it counts as its printed form.
        let quoted = match &entry.without {
            Some(Without::Failed(Failure::UnexpectedAnswer(what))) => what.to_string().len(),
            Some(Without::Failed(_) | Without::NotFound(_)) | None => 0,
        };
        entry.bytes =
            ENTRY_BYTES + key.text_bytes() + quoted + entry.found.as_ref().map_or(0, digest);
        self.uses += 1;
        entry.used = Some(self.uses);
        entry.key = Arc::clone(key);
        let part = self.parts.of(key, &entry);
        entry.namespace = part.name(&entry.namespace);
        part.add(&entry.namespace, entry.bytes);
        part.use_now(&entry.namespace, None, self.uses, key);
        self.entries.insert(Arc::clone(key), entry);
        while let Some(next) = part.next()
            && let Some(removed) = self.entries.remove(&next)
        {
            part.remove(&removed.namespace, removed.bytes, removed.used);
        }
    }

    /// How many are remembered, and the bytes that they take.
    pub(super) const fn size(&self) -> Room {
        let Parts {
            tags,
            digests,
            absent,
        } = &self.parts;
        Room {
            entries: tags.entries + digests.entries + absent.entries,
            bytes: tags.bytes + digests.bytes + absent.bytes,
        }
    }
}

/// Whether a failure contradicts that the image is there for this credential, so that the answer before
/// it must not come back when the registry stops answering.
pub(super) const fn denies(failure: &Failure) -> bool {
    match failure {
        Failure::Unauthorized
        | Failure::Forbidden
        | Failure::CredentialUnusable
        | Failure::RegistryNotAllowed
        | Failure::AddressNotAllowed
        | Failure::DigestMismatch => true,
        Failure::RedirectNotAllowed
        | Failure::TokenServerNotAllowed
        | Failure::RateLimited { .. }
        | Failure::Unavailable { .. }
        | Failure::Connect
        | Failure::Certificate
        | Failure::Timeout
        | Failure::UnexpectedAnswer(_)
        | Failure::LimitExceeded(_)
        | Failure::CredentialNotRead
        | Failure::Overloaded => false,
    }
}
