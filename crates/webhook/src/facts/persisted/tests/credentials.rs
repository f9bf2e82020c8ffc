//! Who learns what is persisted.

use super::*;

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
