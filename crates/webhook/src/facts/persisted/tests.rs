//! What a restart leaves, and who it is for.

mod credentials;
mod writes;

use super::super::answers::Room;
use super::super::key::Wanted;
use super::super::queue::Limits;
use super::super::state::{Asked, State};
use super::*;
use bailiff_oci::persisted::{FACTS_LIMIT, read};
use bailiff_oci::{Digest, ManifestKind, Missing, Reference, ShortNames};
use std::sync::Arc;

const STALE: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// 2027-01-15.
const START: i64 = 1_800_000_000;
const TAG: &str = "ghcr.io/acme/web:1";

fn digest(content: u8) -> Digest {
    Digest::parse(&format!("sha256:{}", format!("{content:02x}").repeat(32))).unwrap()
}

fn found(content: u8) -> Lookup {
    Lookup::Found {
        facts: ImageFacts {
            digest: digest(content),
            kind: ManifestKind::Index,
        },
        source: Source::Registry,
    }
}

fn key(image: &str, credential: &str) -> Arc<Key> {
    let wanted = Wanted::<()> {
        reference: Reference::parse(image, ShortNames::DockerHub).unwrap(),
        namespace: String::new(),
        named_by_policy: false,
        credential: None,
        credential_key: credential.to_owned(),
    };
    Arc::new(Key::new("https://ghcr.io", &wanted))
}

/// The `ConfigMaps`, and a process that reads and writes them.
struct World {
    state: State<()>,
    begun: Instant,
    stale: Duration,
    data: [BTreeMap<String, String>; CONFIG_MAPS.len()],
}

impl World {
    fn new(stale: Duration) -> Self {
        let begun = Instant::now();
        let mut world = Self {
            state: state(stale, begun),
            begun,
            stale,
            data: Default::default(),
        };
        world.load(begun);
        world
    }

    fn load(&mut self, now: Instant) {
        let clock = self.clock(now);
        for (number, data) in self.data.iter().enumerate() {
            let observed = match read(number, Some(data), clock.seconds) {
                Ok(read) => Observed::Read {
                    read,
                    bytes: bytes(data),
                },
                Err(_) => Observed::Corrupt,
            };
            self.state.persisted.observe(number, observed, clock);
        }
    }

    fn clock(&self, at: Instant) -> Clock {
        let seconds = START + i64::try_from((at - self.begun).as_secs()).unwrap();
        Clock { at, seconds }
    }

    /// Writes what is due; how many `ConfigMaps`.
    fn write(&mut self, is_last: bool, now: Instant) -> usize {
        let mut written = 0;
        for (number, data) in self.data.iter_mut().enumerate() {
            if let Some(write) = self.state.persisted.to_write(number, is_last, now).unwrap() {
                *data = write.data.clone();
                self.state.persisted.written(number, write);
                written += 1;
            }
        }
        written
    }

    fn restart(&mut self, now: Instant) {
        self.state = state(self.stale, self.begun);
        self.load(now);
    }

    /// What the namespace shop gets that asks when the registry answers with this.
    fn ask(&mut self, key: &Arc<Key>, answer: Lookup, now: Instant) -> Lookup {
        self.ask_as("shop", key, answer, now)
    }

    fn ask_as(&mut self, namespace: &str, key: &Arc<Key>, answer: Lookup, now: Instant) -> Lookup {
        let lookup = match self.state.ask(key, namespace, || (), now) {
            Asked::Overloaded(lookup) => return lookup,
            Asked::Known(lookup) => lookup,
            Asked::Waiting => {
                self.state.start(now).unwrap();
                self.state.finish(key, answer, now)
            }
        };
        self.state.told(key, namespace, lookup, now)
    }

    /// A tag is admitted, and its pod by the digest.
    fn admit(&mut self, key: &Arc<Key>, content: u8, now: Instant) -> Arc<Key> {
        self.admit_as("shop", key, content, now)
    }

    fn admit_as(&mut self, namespace: &str, key: &Arc<Key>, content: u8, now: Instant) -> Arc<Key> {
        let mut ask = |key| self.ask_as(namespace, key, found(content), now);
        assert_eq!(ask(key), found(content));
        let of_digest = Arc::new(key.with_digest(&digest(content)).unwrap());
        assert_eq!(ask(&of_digest), found(content));
        for key in [key, &of_digest] {
            self.state.admitted(key, namespace, now);
        }
        of_digest
    }
}

fn state(stale: Duration, begun: Instant) -> State<()> {
    let room = Room {
        entries: 1024,
        bytes: 1 << 20,
    };
    let limits = Limits {
        places: 64,
        waiting: 64,
        waiting_per_namespace: 64,
    };
    let clock = Clock {
        at: begun,
        seconds: START,
    };
    State::new(room, limits, stale, clock)
}

fn down() -> Lookup {
    Lookup::Failed(Failure::Connect)
}

/// Age and last admission of an answer that is the last known one with this content.
fn last_known(lookup: &Lookup, content: u8) -> Option<(Duration, Option<i64>)> {
    match lookup {
        Lookup::Found {
            facts,
            source: Source::LastKnown {
                age, last_admitted, ..
            },
        } => {
            assert_eq!(facts.digest, digest(content));
            Some((*age, *last_admitted))
        }
        Lookup::Found { .. } | Lookup::NotFound(_) | Lookup::Failed(_) | Lookup::Pending => None,
    }
}

#[test]
fn after_a_restart_with_the_registry_down_what_was_admitted_is_known_and_nothing_else() {
    let mut world = World::new(STALE);
    let (tag, start) = (key(TAG, ""), world.begun);
    let of_digest = world.admit(&tag, 1, start);
    let only_asked = key("ghcr.io/acme/web:2", "");
    world.ask(&only_asked, found(2), start);
    assert_eq!(world.write(false, start), 2, "the tag's and the digest's");
    for (after, tag_is_known, digest_is_known) in [
        (HOUR, true, true),
        (STALE, true, true),
        (STALE + Duration::from_secs(1), false, true),
        (30 * DAY, false, true),
        (30 * DAY + Duration::from_secs(1), false, false),
    ] {
        let now = start + after;
        world.restart(now);
        for (key, is_known) in [(&tag, tag_is_known), (&of_digest, digest_is_known)] {
            let found = last_known(&world.ask(key, down(), now), 1);
            assert_eq!(found, is_known.then_some((after, Some(START))), "{key:?}");
        }
        assert_eq!(world.ask(&only_asked, down(), now), down());
    }
}

#[test]
fn a_review_that_cannot_wait_gets_what_is_persisted() {
    let mut world = World::new(STALE);
    let (tag, start) = (key(TAG, ""), world.begun);
    world.admit(&tag, 1, start);
    world.write(false, start);
    let now = start + HOUR;
    world.restart(now);
    // The registry is silent.
    assert_eq!(world.state.ask(&tag, "shop", || (), now), Asked::Waiting);
    world.state.start(now).unwrap();
    let late = world.state.late(&tag, "shop", now);
    assert_eq!(last_known(&late, 1), Some((HOUR, Some(START))));
    let unknown = key("ghcr.io/acme/web:2", "");
    assert_eq!(
        world.state.ask(&unknown, "shop", || (), now),
        Asked::Waiting
    );
    assert_eq!(world.state.late(&unknown, "shop", now), Lookup::Pending);
}

#[test]
fn that_the_registry_was_not_asked_is_no_reason_for_what_is_persisted() {
    let mut world = World::new(STALE);
    let (tag, start) = (key(TAG, ""), world.begun);
    let of_digest = world.admit(&tag, 1, start);
    world.write(false, start);
    let now = start + HOUR;
    world.restart(now);
    // A registry holds as many places as it can have, so those that come wait for one.
    let mut state = |key: &Arc<Key>| world.state.ask(key, "shop", || (), now);
    for n in 0..32 {
        let image = format!("ghcr.io/acme/flood:{n}");
        assert_eq!(state(&key(&image, "")), Asked::Waiting);
    }
    while world.state.start(now).is_some() {}
    for key in [&tag, &of_digest] {
        assert_eq!(world.state.ask(key, "shop", || (), now), Asked::Waiting);
    }
    while world.state.start(now).is_some() {}
    for n in 32..1000 {
        let image = key(&format!("ghcr.io/acme/flood:{n}"), "");
        world.state.ask(&image, &format!("hostile-{n}"), || (), now);
    }
    for key in [&tag, &of_digest] {
        assert!(!world.state.queue.is_running(key));
        assert_eq!(world.state.late(key, "shop", now), Lookup::Pending);
    }
    // With no room to wait either.
    world.restart(now);
    for n in 0..1000 {
        let image = key(&format!("ghcr.io/acme/flood:{n}"), "");
        world.state.ask(&image, "shop", || (), now);
    }
    let overloaded = Lookup::Failed(Failure::Overloaded);
    for key in [&tag, &of_digest] {
        let asked = world.state.ask(key, "shop", || (), now);
        assert_eq!(asked, Asked::Overloaded(overloaded.clone()));
    }
    // Of what this process learned the last answer is used.
    let mut world = World::new(STALE);
    world.admit(&tag, 1, world.begun);
    let now = world.begun + HOUR;
    for n in 0..1000 {
        let image = key(&format!("ghcr.io/acme/flood:{n}"), "");
        world.state.ask(&image, "shop", || (), now);
    }
    match world.state.ask(&tag, "shop", || (), now) {
        Asked::Overloaded(lookup) => assert_eq!(last_known(&lookup, 1), Some((HOUR, None))),
        asked @ (Asked::Known(_) | Asked::Waiting) => panic!("{asked:?}"),
    }
}

/// What one replica removes does not come back with what another one did not write yet.
#[test]
fn what_another_replica_or_an_operator_removed_comes_back_only_with_a_later_admission() {
    for (how, is_contradicted) in [("contradicted", true), ("removed", false)] {
        let mut one = World::new(STALE);
        let (tag, start) = (key(TAG, ""), one.begun);
        let number = tag.of_fact().config_map();
        one.admit(&tag, 1, start);
        one.write(false, start);
        let mut other = World::new(STALE);
        other.begun = start;
        other.data = one.data.clone();
        other.restart(start);
        // Not worth a write yet.
        let now = start + HOUR;
        other.admit(&tag, 1, now);
        assert_eq!(other.write(false, now), 0);
        let later = now + Duration::from_mins(1);
        if is_contradicted {
            let missing = Lookup::NotFound(Missing::Manifest);
            assert_eq!(one.ask(&tag, missing.clone(), later), missing);
            assert_eq!(one.write(false, later), 1);
        } else {
            one.data[number] = BTreeMap::new();
        }
        // What the read of the write at the end brings is what the watch brings.
        other.data = one.data.clone();
        other.load(later);
        assert_eq!(other.write(false, later), 0, "{how}");
        other.write(true, later);
        assert_eq!(other.data[number], one.data[number], "{how}");
        other.restart(later);
        assert_eq!(other.ask(&tag, down(), later), down(), "{how}");

        let later = later + HOUR;
        other.admit(&tag, 1, later);
        other.write(false, later);
        other.restart(later);
        let lookup = other.ask(&tag, down(), later);
        assert!(last_known(&lookup, 1).is_some(), "{how}");
    }
}

#[test]
fn an_answer_of_the_registry_counts_more_than_what_is_persisted() {
    for answer in [
        found(2),
        Lookup::NotFound(Missing::Manifest),
        Lookup::Failed(Failure::Unauthorized),
        Lookup::Failed(Failure::Forbidden),
        Lookup::Failed(Failure::Certificate),
    ] {
        let mut world = World::new(STALE);
        let (tag, start) = (key(TAG, ""), world.begun);
        world.admit(&tag, 1, start);
        world.write(false, start);
        let now = start + HOUR;
        world.restart(now);
        assert_eq!(world.ask(&tag, answer.clone(), now), answer);
    }
}

#[test]
fn what_the_registry_contradicted_does_not_come_back_when_it_is_down() {
    for denial in [
        Lookup::NotFound(Missing::Manifest),
        Lookup::Failed(Failure::Unauthorized),
        Lookup::Failed(Failure::Forbidden),
    ] {
        let mut world = World::new(STALE);
        let (tag, start) = (key(TAG, ""), world.begun);
        world.admit(&tag, 1, start);
        world.write(false, start);
        let before = world.data.clone();
        let now = start + HOUR;
        world.restart(now);
        assert_eq!(world.ask(&tag, denial.clone(), now), denial);
        assert_eq!(world.write(false, now), 1);
        // Another replica that did not learn of it wrote at the same time, and the watch brings that.
        let after = std::mem::replace(&mut world.data, before);
        world.load(now);
        let later = now + HOUR;
        assert_eq!(world.ask(&tag, down(), later), down(), "{denial:?}");
        world.data = after;
        world.restart(later);
        assert_eq!(world.ask(&tag, down(), later), down(), "{denial:?}");
    }
}

#[test]
fn without_stale_if_error_nothing_persisted_is_used() {
    let mut world = World::new(Duration::ZERO);
    let (tag, start) = (key(TAG, ""), world.begun);
    let of_digest = world.admit(&tag, 1, start);
    world.write(false, start);
    world.restart(start);
    for key in [tag, of_digest] {
        assert_eq!(world.ask(&key, down(), start), down());
    }
}
