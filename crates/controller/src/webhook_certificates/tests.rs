//! The plan in a world of two years, and a pass against a mock API server.

mod pass;
mod world;

use super::authority::{Authority, Change, SecretData};
use super::certificate::KeyedCertificate;
use super::plan::{Action, plan};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use proptest::prelude::*;
use world::{NAMESPACE, World, start};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn set(data: &mut SecretData, key: &str, text: &str) {
    let text = ByteString(text.as_bytes().to_vec());
    data.0.insert(key.to_owned(), text);
}

fn text<'a>(data: &'a SecretData, key: &str) -> &'a str {
    data.0
        .get(key)
        .map_or("", |bytes| std::str::from_utf8(&bytes.0).unwrap())
}

#[test]
fn without_an_entry_that_calls_the_webhook_nothing_happens() {
    let mut world = World::new();
    world.state.configurations.clear();
    assert_eq!(plan(start(), &world.state).actions, []);
    assert_eq!(plan(start(), &world.state).due, None);
    let mut world = World::new();
    for configuration in &mut world.state.configurations {
        configuration.entries.clear();
    }
    assert_eq!(plan(start(), &world.state).actions, []);
}

#[test]
fn at_first_the_authority_is_trusted_before_its_certificate_is_served() {
    let mut world = World::new();
    let steps = world.pass(start());
    let names: Vec<_> = steps.iter().map(world::name).collect();
    assert_eq!(
        names,
        [
            "Replace", "publish", "publish", "issue", "publish", "publish"
        ]
    );
    world.verify(start());
    // Half of the life of a certificate of 30 days, which began an hour ago.
    let due = plan(start(), &world.state).due;
    assert_eq!(due, Some(start() + DAY * 15 - MINUTE * 30));
    for configuration in &world.state.configurations {
        assert_eq!(
            configuration.expires.as_deref(),
            Some("2026-01-31T00:00:00Z")
        );
    }
}

#[test]
fn a_new_authority_is_trusted_for_ten_minutes_and_the_old_one_until_its_certificates_end() {
    let mut world = World::new();
    world.pass(start());
    let mut now = start();
    let mut seen = Vec::new();
    while now < start() + DAY * 365 {
        let due = plan(now, &world.state).due.unwrap();
        assert!(due > now, "{due} {now}");
        now = due;
        for step in world.pass(now) {
            if let Action::ChangeAuthority(change) = step {
                seen.push((now.duration_since(start()), change));
            }
        }
        world.verify(now);
    }
    let half = (DAY * 365 + MINUTE * 60) / 2 - MINUTE * 60;
    let promoted = half + MINUTE * 10;
    let want = [
        (half, Change::AddNext),
        (half, Change::Published(Some(start() + half))),
        (promoted, Change::Promote),
        (promoted + DAY * 30, Change::ForgetPrevious),
    ];
    assert_eq!(seen[..4], want);
    // The second authority began with `half`.
    assert_eq!(seen.get(4).map(|(at, _)| *at), Some(half * 2));
}

/// The record of ten minutes begins anew when an entry lost the authority.
#[test]
fn an_entry_without_the_new_authority_delays_it() {
    let mut world = World::new();
    world.pass(start());
    let half = start() + DAY * 183;
    world.pass(half);
    let later = half + MINUTE * 9;
    world.state.configurations[1].entries[0].1.clear();
    let names: Vec<_> = world.pass(later).iter().map(world::name).collect();
    assert_eq!(names, ["forget published", "publish", "published"]);
    assert_eq!(plan(half + MINUTE * 18, &world.state).actions, []);
    let promoted = world.pass(later + MINUTE * 10);
    assert_eq!(world::name(&promoted[0]), "Promote");
    world.verify(later + MINUTE * 10);
}

/// What somebody wrote into an object, by a name.
fn tamper(world: &mut World, how: usize, now: Timestamp) -> &'static str {
    let foreign = || KeyedCertificate::authority(now).unwrap();
    let state = &mut world.state;
    match how {
        0 => {
            state.authority = SecretData::default();
            "no authority"
        }
        1 => {
            set(&mut state.authority, "ca.key", &foreign().key_text());
            "key of another authority"
        }
        2 => {
            set(&mut state.authority, "ca.crt", "junk");
            "junk as an authority"
        }
        3 => {
            let leaf = state.served.served().unwrap();
            set(&mut state.authority, "ca.crt", &leaf.certificate.text);
            set(&mut state.authority, "ca.key", &leaf.key_text());
            "a certificate that is no authority"
        }
        4 => {
            state.served = SecretData::default();
            "no certificate"
        }
        5 => {
            state.served = world::serving(&foreign().issue(now, NAMESPACE).unwrap());
            "certificate of a foreign authority"
        }
        6 => {
            let current = Authority::read(&state.authority, now).current.unwrap();
            state.served = world::serving(&current.issue(now, "other").unwrap());
            "certificate for other names"
        }
        7 => {
            set(&mut state.served, "tls.key", &foreign().key_text());
            "key of another certificate"
        }
        8 => {
            state.configurations[0].entries[0].1.clear();
            "no bundle"
        }
        9 => {
            state.configurations[1].entries[1].1 = foreign().certificate.text;
            "bundle of others"
        }
        10 => {
            set(
                &mut state.authority,
                "next.published",
                "9999-01-01T00:00:00Z",
            );
            set(&mut state.authority, "previous.until", "soon");
            "times that are none"
        }
        11 => {
            let expired = KeyedCertificate::authority(now - DAY * 366).unwrap();
            set(&mut state.authority, "ca.crt", &expired.certificate.text);
            set(&mut state.authority, "ca.key", &expired.key_text());
            "expired authority"
        }
        12 => {
            let current = Authority::read(&state.authority, now).current.unwrap();
            let expired = current.issue(now - DAY * 31, NAMESPACE).unwrap();
            state.served = world::serving(&expired);
            "expired certificate"
        }
        13 => {
            let future = foreign().issue(now + DAY, NAMESPACE).unwrap();
            state.served = world::serving(&future);
            "certificate of the future"
        }
        _ => {
            let both = format!("{0}{0}", text(&state.authority, "ca.crt"));
            set(&mut state.authority, "ca.crt", &both);
            "two certificates"
        }
    }
}

const WAYS: usize = 15;

#[test]
fn whatever_somebody_wrote_is_replaced_at_once() {
    for how in 0..WAYS {
        let mut world = World::new();
        world.pass(start());
        let now = start() + DAY;
        let what = tamper(&mut world, how, now);
        let steps = world.pass(now);
        assert!(what == "times that are none" || !steps.is_empty(), "{what}");
        world.verify(now);
        for key in ["ca.crt", "ca.key"] {
            let known = text(&world.state.authority, key);
            assert_eq!(known.matches("-----BEGIN").count(), 1, "{what}: {key}");
        }
    }
}

#[test]
fn a_replica_with_the_old_certificate_is_trusted_while_a_lost_key_is_replaced() {
    let mut world = World::new();
    world.pass(start());
    let old = world.state.served.clone();
    tamper(&mut world, 1, start());
    world.pass(start());
    assert_ne!(old, world.state.served);
    world.verify_served(&old, start());
}

#[test]
fn a_certificate_ends_with_its_authority_and_is_not_renewed_without_end() {
    let mut world = World::new();
    world.pass(start());
    // Nobody could publish the next authority for a year.
    let authority = Authority::read(&world.state.authority, start());
    let current = authority.current.unwrap();
    let end = current.certificate.not_after;
    let now = end - MINUTE * 5;
    let issued = current.issue(now, NAMESPACE).unwrap();
    assert_eq!(issued.certificate.not_after, end);
    world.state.served = world::serving(&issued);
    let names: Vec<_> = world.pass(now).iter().map(world::name).collect();
    assert!(!names.contains(&"issue"), "{names:?}");
}

#[test]
fn nothing_shows_a_key() {
    let mut world = World::new();
    world.pass(start());
    let authority = Authority::read(&world.state.authority, start());
    let shown = format!(
        "{:?} {:?} {:?}",
        world.state,
        authority,
        world.state.served.served()
    );
    for (data, key) in [
        (&world.state.authority, "ca.key"),
        (&world.state.served, "tls.key"),
    ] {
        let secret = text(data, key);
        let line = secret.lines().nth(1).unwrap();
        assert!(line.len() > 40 && !shown.contains(line), "{key}");
        // Bytes as a list of numbers.
        let bytes = format!("{:?}", &line.as_bytes()[..8]);
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{key}");
    }
    assert!(shown.contains("ca.key"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 3, failure_persistence: None, ..ProptestConfig::with_cases(4) })]

    /// Two years, in which nobody leads for up to three days at a time, with a clock that is off by up to half an
    /// hour, and a replica and an API server that learn of each change up to ten minutes late.
    #[test]
    fn what_is_served_is_trusted_at_every_moment(
        pauses in proptest::collection::vec(6 * 60_i64..72 * 60, 1..40),
        skew in -30_i64..=30,
    ) {
        let mut world = World::new();
        world.skew = SignedDuration::from_mins(skew);
        let mut now = start();
        world.pass(now);
        let mut pauses = pauses.into_iter().cycle();
        let mut passes = 0;
        while now < start() + DAY * 730 {
            let due = plan(now + world.skew, &world.state).due.unwrap() - world.skew;
            let resumed = now + SignedDuration::from_mins(pauses.next().unwrap());
            now = due.max(now + MINUTE).min(resumed);
            world.verify_late(now);
            world.pass(now);
            world.verify_late(now);
            passes += 1;
            prop_assert!(passes < 5_000, "what is due is never done");
        }
        // Authorities and certificates were in fact replaced.
        prop_assert!(world.promoted >= 3, "{}", world.promoted);
        prop_assert!(world.issued >= 40, "{}", world.issued);
    }

    #[test]
    fn a_pass_repairs_everything_whatever_somebody_writes_and_when(
        edits in proptest::collection::vec((1_i64..60 * 24 * 40, 0..WAYS), 1..12),
    ) {
        let mut world = World::new();
        let mut now = start();
        world.pass(now);
        for (minutes, how) in edits {
            now += SignedDuration::from_mins(minutes);
            world.pass(now);
            tamper(&mut world, how, now);
            world.pass(now);
            world.verify(now);
            prop_assert_eq!(plan(now, &world.state).actions, []);
        }
    }
}
