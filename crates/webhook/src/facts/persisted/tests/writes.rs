//! When a change is worth a write, and what becomes of what cannot be used.

use super::*;

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
