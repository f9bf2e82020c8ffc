//! The answers that are remembered.
//!
//! Here: how long each is used, and which goes first when there is no room. Not here: asking (`queue`).
//! Invariant: an answer is used only within its time. An image counts as found only if the registry said
//! so last, or, within `stale_if_error`, if it has not answered since. What was found and what was not
//! have room of their own, so that a flood of unknown images removes nothing that is known.

use super::key::Key;
use bailiff_oci::{Failure, ImageFacts, Lookup, Missing, Source};
use std::collections::{BTreeMap, HashMap};
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
const ENTRY_BYTES: usize = 448;

/// The most that is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Answers.
    pub(super) entries: usize,
    /// Bytes of them, with keys.
    pub(super) bytes: usize,
}

/// What is remembered.
#[derive(Debug)]
pub(super) struct Answers {
    stale_if_error: Duration,
    entries: HashMap<Arc<Key>, Entry>,
    parts: Parts,
    uses: u64,
}

/// The room, in two parts.
#[derive(Debug)]
struct Parts {
    /// Images that are there, as far as it is known.
    found: Part,
    /// The others.
    absent: Part,
}

impl Parts {
    const fn of(&mut self, entry: &Entry) -> &mut Part {
        if entry.found.is_some() {
            &mut self.found
        } else {
            &mut self.absent
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// What the registry said last of an image that it has, and when.
    found: Option<(ImageFacts, Instant)>,
    /// What came since, if it is something else.
    without: Option<Without>,
    /// The answer is used before this time.
    until: Instant,
    /// How often "not found" came since the image was found.
    misses: u32,
    /// Its last use; none while it is being asked for, so that it stays.
    used: Option<u64>,
    bytes: usize,
}

#[derive(Clone, Debug)]
enum Without {
    NotFound(Missing),
    Failed(Failure),
}

/// Entries that share room, the least recently used first.
#[derive(Debug)]
struct Part {
    room: Room,
    entries: usize,
    bytes: usize,
    by_use: BTreeMap<u64, Arc<Key>>,
}

impl Part {
    const fn new(room: Room) -> Self {
        Self {
            room,
            entries: 0,
            bytes: 0,
            by_use: BTreeMap::new(),
        }
    }

    const fn is_over(&self) -> bool {
        self.entries > self.room.entries || self.bytes > self.room.bytes
    }
}

impl Answers {
    /// Nothing yet. Found images have three quarters of the room.
    pub(super) fn new(room: Room, stale_if_error: Duration) -> Self {
        let part = |quarters: usize| Room {
            entries: room.entries / 4 * quarters,
            bytes: room.bytes / 4 * quarters,
        };
        Self {
            stale_if_error,
            entries: HashMap::new(),
            parts: Parts {
                found: Part::new(part(3)),
                absent: Part::new(part(1)),
            },
            uses: 0,
        }
    }

    /// The answer, if there is one that can be used now.
    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Option<Lookup> {
        let entry = self.entries.get_mut(key)?;
        if let Some(used) = entry.used {
            let part = self.parts.of(entry);
            if let Some(key) = part.by_use.remove(&used) {
                self.uses += 1;
                part.by_use.insert(self.uses, key);
                entry.used = Some(self.uses);
            }
        }
        if now >= entry.until {
            return None;
        }
        Some(match (&entry.without, &entry.found) {
            (None, Some((facts, _))) => Lookup::Found {
                facts: facts.clone(),
                source: Source::Registry,
            },
            (Some(Without::NotFound(missing)), _) => Lookup::NotFound(*missing),
            (Some(Without::Failed(failure)), _) => {
                let failure = failure.clone();
                self.last_known(key, &failure, now)
                    .unwrap_or(Lookup::Failed(failure))
            }
            (None, None) => return None,
        })
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
                cause: cause.clone(),
            },
        })
    }

    /// An entry stays until it is recorded again, because it is being asked for.
    pub(super) fn hold(&mut self, key: &Key) {
        if let Some(entry) = self.entries.get_mut(key)
            && let Some(used) = entry.used.take()
        {
            self.parts.of(entry).by_use.remove(&used);
        }
    }

    /// Remembers an answer that came now.
    pub(super) fn record(&mut self, key: &Arc<Key>, lookup: &Lookup, now: Instant) {
        let before = self.remove(key);
        let mut entry = before.unwrap_or(Entry {
            found: None,
            without: None,
            until: now,
            misses: 0,
            used: None,
            bytes: 0,
        });
        match lookup {
            Lookup::Found { facts, .. } => {
                let time = if key.is_tag { TAG_FOUND } else { DIGEST_FOUND };
                entry.found = Some((facts.clone(), now));
                entry.without = None;
                entry.misses = 0;
                entry.until = now + time;
            }
            Lookup::NotFound(missing) => {
                // 2^8 times the first time is above the longest one.
                let factor = 1 << entry.misses.min(8);
                entry.misses = entry.misses.saturating_add(1);
                entry.found = None;
                entry.without = Some(Without::NotFound(*missing));
                entry.until = now + (NOT_FOUND * factor).min(LONGEST);
            }
            Lookup::Failed(failure) => {
                if denies(failure) {
                    entry.found = None;
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
        let part = self.parts.of(&entry);
        part.entries -= 1;
        part.bytes -= entry.bytes;
        if let Some(used) = entry.used {
            part.by_use.remove(&used);
        }
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
        let part = self.parts.of(&entry);
        part.entries += 1;
        part.bytes += entry.bytes;
        part.by_use.insert(self.uses, Arc::clone(key));
        self.entries.insert(Arc::clone(key), entry);
        while part.is_over()
            && let Some((_, least)) = part.by_use.pop_first()
            && let Some(removed) = self.entries.remove(&least)
        {
            part.entries -= 1;
            part.bytes -= removed.bytes;
        }
    }

    /// How many are remembered, and the bytes that they take.
    pub(super) const fn size(&self) -> Room {
        Room {
            entries: self.parts.found.entries + self.parts.absent.entries,
            bytes: self.parts.found.bytes + self.parts.absent.bytes,
        }
    }
}

/// Whether a failure contradicts that the image is there for this credential, so that the answer before
/// it must not come back when the registry stops answering.
const fn denies(failure: &Failure) -> bool {
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
        | Failure::Overloaded => false,
    }
}
