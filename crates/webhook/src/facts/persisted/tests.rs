//! What a restart leaves, and who it is for.

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
fn a_namespace_without_the_credential_learns_nothing() {
    let mut world = World::new(STALE);
    let start = world.begun;
    let of_digest = world.admit(&key(TAG, "pull@1.7"), 1, start);
    assert_eq!(world.write(false, start), 2);
    let now = start + HOUR;
    world.restart(now);
    let digest = format!("ghcr.io/acme/web@{}", digest(1));
    for (namespace, credential, is_known) in [
        ("shop", "", false),
        ("shop", "other@1.7", false),
        // The Secret was deleted and created again.
        ("shop", "pull@2.7", false),
        ("shop", "pull@1.7", true),
        ("bank", "pull@1.7", true),
        // It changed.
        ("bank", "pull@1.8", false),
        ("shop", "pull@1.8", true),
    ] {
        for image in [TAG, &digest] {
            let lookup = world.ask_as(namespace, &key(image, credential), down(), now);
            let found = last_known(&lookup, 1).is_some();
            assert_eq!(found, is_known, "{namespace} {image} {credential}");
        }
    }
    assert!(last_known(&world.ask(&of_digest, down(), now), 1).is_some());
}

/// Some registries give tokens that end after 12 hours.
#[test]
fn a_new_version_of_a_credential_has_for_a_while_what_its_namespaces_had() {
    let mut world = World::new(STALE);
    let start = world.begun;
    world.admit(&key(TAG, "pull@1.7"), 1, start);
    world.write(false, start);
    let digest = format!("ghcr.io/acme/web@{}", digest(1));
    for (after, is_known) in [
        (HOUR, true),
        (STALE, true),
        (STALE + Duration::from_secs(1), false),
    ] {
        let now = start + after;
        world.restart(now);
        for image in [TAG, &digest] {
            let found = last_known(&world.ask(&key(image, "pull@1.8"), down(), now), 1);
            assert_eq!(found, is_known.then_some((after, Some(START))), "{image}");
        }
        // The version that asked has the digest for longer.
        let lookup = world.ask(&key(&digest, "pull@1.7"), down(), now);
        assert!(last_known(&lookup, 1).is_some());
    }
    // What the new one found is for all that ask with it.
    let now = start + HOUR;
    world.restart(now);
    world.admit_as("bank", &key(TAG, "pull@1.8"), 2, now);
    world.write(true, now);
    let later = now + HOUR;
    world.restart(later);
    for (namespace, credential, is_known) in [
        ("other", "pull@1.8", true),
        ("other", "pull@1.7", false),
        ("shop", "pull@1.9", true),
        ("bank", "pull@1.9", true),
        ("other", "pull@1.9", false),
    ] {
        let lookup = world.ask_as(namespace, &key(TAG, credential), down(), later);
        let found = last_known(&lookup, 2).is_some();
        assert_eq!(found, is_known, "{namespace} {credential}");
    }
}

#[test]
fn what_the_registry_denies_to_a_new_version_is_not_known_of_an_earlier_one() {
    for denial in [
        Lookup::NotFound(Missing::Manifest),
        Lookup::Failed(Failure::Unauthorized),
        Lookup::Failed(Failure::Forbidden),
    ] {
        let mut world = World::new(STALE);
        let start = world.begun;
        let (before, after) = (key(TAG, "pull@1.7"), key(TAG, "pull@1.8"));
        world.admit(&before, 1, start);
        world.write(false, start);
        let now = start + HOUR;
        world.restart(now);
        assert_eq!(world.ask(&after, denial.clone(), now), denial);
        let later = now + HOUR;
        for key in [&after, &before] {
            assert_eq!(world.ask(key, down(), later), down(), "{denial:?}");
        }
        assert_eq!(world.write(false, later), 1);
        world.restart(later);
        for key in [&after, &before] {
            assert_eq!(world.ask(key, down(), later), down(), "{denial:?}");
        }
    }
}

/// One request is for both.
#[test]
fn of_those_that_wait_together_each_is_told_what_is_for_it() {
    let mut world = World::new(STALE);
    let start = world.begun;
    world.admit(&key(TAG, "pull@1.7"), 1, start);
    world.write(false, start);
    let now = start + HOUR;
    world.restart(now);
    let tag = key(TAG, "pull@1.8");
    for namespace in ["shop", "bank"] {
        let asked = world.state.ask(&tag, namespace, || (), now);
        assert_eq!(asked, Asked::Waiting);
    }
    world.state.start(now).unwrap();
    let late = |world: &mut World, namespace: &str| world.state.late(&tag, namespace, now);
    assert!(last_known(&late(&mut world, "shop"), 1).is_some());
    assert_eq!(late(&mut world, "bank"), Lookup::Pending);
    let result = world.state.finish(&tag, down(), now);
    assert_eq!(result, down());
    let told = |namespace| world.state.told(&tag, namespace, result.clone(), now);
    assert_eq!(last_known(&told("shop"), 1), Some((HOUR, Some(START))));
    assert_eq!(told("bank"), down());
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

#[test]
fn yesterdays_tag_is_known_although_little_is_written() {
    let mut world = World::new(STALE);
    let (tag, start) = (key(TAG, ""), world.begun);
    let mut written = 0;
    // A pod each quarter of an hour for a day, and no orderly end.
    let mut now = start;
    for _ in 0..96 {
        now += HOUR / 4;
        world.admit(&tag, 1, now);
        written += world.write(false, now);
    }
    assert!(written <= 6, "{written} writes");
    let later = now + 18 * HOUR;
    world.restart(later);
    let found = last_known(&world.ask(&tag, down(), later), 1);
    assert!(found.is_some(), "18 hours after the last admission");
}

/// A namespace whose quota allows no pod has its images admitted, too.
#[test]
fn a_namespace_causes_few_writes_and_delays_none_of_others() {
    let mut world = World::new(STALE);
    let start = world.begun;
    let (mut written, mut now) = (0, start);
    for minute in 0..60 {
        now = start + Duration::from_mins(minute);
        for n in 0..8 {
            let image = format!("ghcr.io/acme/flood-{minute}-{n}:1");
            world.admit_as("hostile", &key(&image, ""), 1, now);
        }
        written += world.write(false, now);
    }
    let most = 16 + 30;
    assert!((16..=most).contains(&written), "{written} writes");
    // That of another one, with what waits for the same ConfigMap.
    let tag = key(TAG, "");
    world.admit(&tag, 2, now);
    assert!((1..=2).contains(&world.write(false, now)));
    world.restart(now);
    assert!(last_known(&world.ask(&tag, down(), now), 2).is_some());
    // What a registry contradicts goes at once.
    let missing = Lookup::NotFound(Missing::Manifest);
    let later = now + HOUR;
    assert_eq!(world.ask(&tag, missing.clone(), later), missing);
    assert_eq!(world.write(false, later), 1);
}

#[test]
fn what_has_no_room_causes_no_write() {
    let mut world = World::new(STALE);
    let start = world.begun;
    let images = (0..).map(|n| key(&format!("ghcr.io/acme/web:{n}"), ""));
    let mut images = images.filter(|key| key.of_fact().config_map() == 0);
    // Of another replica, which is a minute ahead.
    let ahead = start + Duration::from_mins(1);
    for image in images.by_ref().take(FACTS_LIMIT) {
        world.ask(&image, found(1), ahead);
        world.state.admitted(&image, "shop", ahead);
    }
    assert_eq!(world.write(false, ahead), 1);
    let full = world.data[0].clone();
    world.restart(start);
    let image = images.next().unwrap();
    world.ask(&image, found(1), start);
    world.state.admitted(&image, "shop", start);
    for is_last in [false, true] {
        assert_eq!(world.write(is_last, start), 0);
    }
    assert_eq!(world.data[0], full);
    // It is known as long as this replica runs.
    let now = start + HOUR;
    assert!(last_known(&world.ask(&image, down(), now), 1).is_some());
    // That of a namespace with less has room.
    let now = now + HOUR;
    world.admit_as("bank", &image, 1, now);
    assert!(world.write(false, now) >= 1);
    assert_ne!(world.data[0], full);
}

#[test]
fn an_orderly_end_writes_everything() {
    let mut world = World::new(STALE);
    let (tag, start) = (key(TAG, ""), world.begun);
    world.admit(&tag, 1, start);
    world.write(false, start);
    let now = start + HOUR;
    world.admit(&tag, 1, now);
    assert_eq!(world.write(false, now), 0);
    assert_eq!(world.write(true, now), 2);
    assert_eq!(world.write(true, now), 0);
    world.restart(now + STALE);
    let lookup = world.ask(&tag, down(), now + STALE);
    let admitted = START + 3600;
    assert_eq!(last_known(&lookup, 1), Some((STALE, Some(admitted))));
}

#[test]
fn admissions_by_what_is_persisted_make_it_no_younger() {
    let mut world = World::new(STALE);
    let (tag, start) = (key(TAG, ""), world.begun);
    world.admit(&tag, 1, start);
    world.write(false, start);
    let now = start + 20 * HOUR;
    world.restart(now);
    assert!(last_known(&world.ask(&tag, down(), now), 1).is_some());
    world.state.admitted(&tag, "shop", now);
    assert_eq!(world.write(true, now), 1);
    let later = start + STALE;
    world.restart(later);
    let admitted = START + 20 * 3600;
    let lookup = world.ask(&tag, down(), later);
    assert_eq!(last_known(&lookup, 1), Some((STALE, Some(admitted))));
    let later = later + Duration::from_secs(1);
    world.restart(later);
    assert_eq!(world.ask(&tag, down(), later), down());
}

#[test]
fn a_corrupt_or_missing_config_map_is_counted_and_written_with_the_next_admission() {
    let mut world = World::new(STALE);
    let (tag, start) = (key(TAG, ""), world.begun);
    assert_eq!(world.state.persisted.size().unusable, 0);
    world.admit(&tag, 1, start);
    world.write(false, start);
    let number = tag.of_fact().config_map();
    world.data[number].insert("sha256".to_owned(), "0".repeat(64));
    world.restart(start);
    let size = world.state.persisted.size();
    assert_eq!((size.facts, size.unusable), (1, 1));
    assert_eq!(world.write(false, start), 0, "it stays reported");
    assert_eq!(world.ask(&tag, down(), start), down());
    let now = start + HOUR;
    world.admit(&tag, 1, now);
    assert_eq!(world.write(false, now), 1);
    assert_eq!(world.state.persisted.size().unusable, 0);
    world.restart(now);
    assert!(last_known(&world.ask(&tag, down(), now), 1).is_some());

    let clock = world.clock(now);
    world
        .state
        .persisted
        .observe(number, Observed::Missing, clock);
    assert_eq!(world.state.persisted.size().unusable, 1);
    let now = now + HOUR;
    world.admit(&tag, 1, now);
    assert_eq!(world.write(true, now), 1, "the digest's alone");
    let fresh = state(STALE, world.begun);
    assert_eq!(fresh.persisted.size().unusable, CONFIG_MAPS.len());
    assert!(
        fresh
            .persisted
            .to_write(number, true, now)
            .unwrap()
            .is_none()
    );
}

/// A replica whose clock is a month ahead, and one whose clock is right.
#[test]
fn a_clock_that_is_ahead_removes_nothing() {
    let mut world = World::new(STALE);
    let start = world.begun;
    let images = (0..).map(|n| key(&format!("ghcr.io/acme/web:{n}"), ""));
    let mut images = images.filter(|key| key.of_fact().config_map() == 0);
    let known: Vec<_> = images.by_ref().take(OLD_MIN).collect();
    let new = images.next().unwrap();
    for key in &known {
        world.ask(key, found(1), start);
        world.state.admitted(key, "shop", start);
    }
    assert_eq!(world.write(false, start), 1);
    let before = world.data[0].clone();
    let ahead = start + 30 * DAY + HOUR;
    world.restart(ahead);
    world.ask(&new, found(1), ahead);
    world.state.admitted(&new, "shop", ahead);
    for is_last in [false, true] {
        let refused = world.state.persisted.to_write(0, is_last, ahead);
        assert!(matches!(refused, Err(Aged)), "{refused:?}");
    }
    assert_eq!(
        Aged.to_string(),
        "by the clock of this node, more than half of its answers are older than 30 days, and it is left as it is. Correct the clock. If it is right, remove the data of the ConfigMap"
    );
    // Without the data it is written.
    world.data[0] = BTreeMap::new();
    world.load(ahead);
    assert_eq!(world.write(false, ahead), 1);

    // The other one leaves in it what is of the future, and uses none of it.
    let of_future = world.data[0]["facts"].clone();
    assert_eq!(of_future.lines().count(), 1);
    world.restart(start);
    assert_eq!(world.state.persisted.size().faults, 1);
    assert_eq!(world.ask(&new, down(), start), down());
    world.ask(&known[0], found(1), start);
    world.state.admitted(&known[0], "shop", start);
    assert_eq!(world.write(false, start), 1);
    assert!(world.data[0]["facts"].ends_with(&of_future));
    assert_eq!(world.data[0]["facts"].lines().count(), 2);
    assert_ne!(world.data[0], before);
    // What the registry contradicts goes.
    let now = start + HOUR;
    let missing = Lookup::NotFound(Missing::Manifest);
    assert_eq!(world.ask(&new, missing.clone(), now), missing);
    assert_eq!(world.write(false, now), 1);
    assert!(!world.data[0]["facts"].contains(&of_future));
}
