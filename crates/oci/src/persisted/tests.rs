//! What is written is what is read, merges that have no order, and bounds whatever the facts are.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is the report of a test"
)]

use super::content::{LINE_LIMIT, hash_of, line};
use super::*;
use crate::digest::Digest;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 3600;
const REFRESH: Refresh = Refresh {
    tag: 6 * 3600,
    digest: DAY,
};

fn key(image: &str) -> FactKey {
    FactKey {
        endpoint: "https://ghcr.io".into(),
        image: image.into(),
        named_by_policy: false,
        credential: "".into(),
    }
}

fn digest(content: u32) -> Digest {
    Digest::parse(&format!("sha256:{content:064x}")).unwrap()
}

fn fact(content: u32, namespace: &str, at: i64) -> Fact {
    Fact {
        facts: ImageFacts {
            digest: digest(content),
            kind: ManifestKind::Index,
        },
        credential_version: "".into(),
        confirmed: at,
        first_admitted: at,
        last_admitted: at,
        users: Users::One(namespace.into()),
    }
}

fn several(namespaces: &[&str]) -> Users {
    Users::Several(namespaces.iter().map(|&name| name.into()).collect())
}

/// An image of a `ConfigMap`.
fn image_of(number: usize, nth: usize) -> FactKey {
    let mut images = (0..).map(|n| key(&format!("ghcr.io/acme/app-{n}:1")));
    images
        .by_ref()
        .filter(|key| key.config_map() == number)
        .nth(nth)
        .unwrap()
}

/// So many images of the first `ConfigMap`.
fn images(count: usize) -> Vec<FactKey> {
    let images = (0..).map(|n| key(&format!("ghcr.io/acme/app-{n}:1")));
    images
        .filter(|key| key.config_map() == 0)
        .take(count)
        .collect()
}

fn bytes(data: &BTreeMap<String, String>) -> usize {
    data.iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

#[test]
fn what_is_written_is_what_is_read() {
    let mut facts = Facts::new();
    let of_digest = format!("ghcr.io/acme/web@{}", digest(7));
    for (image, named_by_policy, credential) in [
        ("ghcr.io/acme/web:1", false, ""),
        ("ghcr.io/acme/web:1", true, ""),
        ("ghcr.io/acme/web:1", false, "pull@8f3b"),
        (of_digest.as_str(), false, ""),
    ] {
        let key = FactKey {
            named_by_policy,
            credential: credential.into(),
            ..key(image)
        };
        let mut of_tag = fact(7, "shop", NOW - DAY);
        of_tag.last_admitted = NOW;
        if credential.is_empty() {
            of_tag.users = several(&["bank", "shop"]);
            of_tag.facts.kind = ManifestKind::Manifest;
        } else {
            of_tag.credential_version = "71".into();
            of_tag.users = several(&[]);
        }
        facts.insert(key, of_tag);
    }
    let mut found = Facts::new();
    for number in 0..CONFIG_MAPS.len() {
        let of_map = |key: &FactKey| key.config_map() == number;
        let mut part = facts.clone();
        part.retain(|key, _| of_map(key));
        let (data, kept) = encode(part.clone(), &[], NOW);
        assert_eq!(kept, part);
        let read = read(number, Some(&data), NOW).unwrap();
        assert_eq!(read.faults, []);
        found.extend(read.facts);
    }
    assert_eq!(found, facts);
    assert_eq!(read(0, None, NOW), Ok(Read::default()));
    assert_eq!(read(0, Some(&BTreeMap::new()), NOW), Ok(Read::default()));
}

#[test]
fn the_text_of_a_fact_is_as_it_was() {
    let mut of_tag = fact(1, "shop", NOW);
    let mut credential = key("ghcr.io/acme/web:1");
    credential.credential = "pull@1".into();
    credential.named_by_policy = true;
    of_tag.credential_version = "2".into();
    assert_eq!(
        line(&credential, &of_tag).unwrap(),
        format!(
            "{{\"endpoint\":\"https://ghcr.io\",\"image\":\"ghcr.io/acme/web:1\",\"digest\":\"{}\",\"kind\":\"Index\",\"namedByPolicy\":true,\"credential\":\"pull@1\",\"credentialVersion\":\"2\",\"namespace\":\"shop\",\"confirmed\":{NOW},\"firstAdmitted\":{NOW},\"lastAdmitted\":{NOW}}}\n",
            digest(1)
        )
    );
    of_tag.users = several(&["shop", "bank"]);
    let text = line(&credential, &of_tag).unwrap();
    assert!(
        text.contains(",\"namespaces\":[\"bank\",\"shop\"],"),
        "{text}"
    );
    assert!(!text.contains("\"namespace\""), "{text}");
    of_tag.users = several(&[]);
    of_tag.credential_version = "".into();
    let text = line(&key("ghcr.io/acme/web:1"), &of_tag).unwrap();
    for absent in ["namedByPolicy", "credential", "namespace"] {
        assert!(!text.contains(absent), "{text}");
    }
}

/// A version that does not know the namespaces writes lines without them, and one that wrote many is bounded.
#[test]
fn the_namespaces_of_a_line_are_bounded_and_can_be_missing() {
    let image = image_of(0, 0);
    let mut fact = fact(1, "shop", NOW);
    fact.users = several(&[]);
    let none = line(&image, &fact).unwrap();
    let names: Vec<_> = (0..20).map(|n| format!("\"ns-{n:02}\"")).collect();
    let times = format!(",\"confirmed\":{NOW}");
    let many = format!(",\"namespaces\":[{}]{times}", names.join(","));
    for (text, known) in [
        (none.clone(), 0),
        (none.replace(&times, &many), USERS_LIMIT),
    ] {
        let data = with_lines(&[text.trim_end().to_owned()]);
        let found = read(0, Some(&data), NOW).unwrap();
        assert_eq!(found.faults, []);
        let users = &found.facts[&image].users;
        assert_eq!((users.only(), users.known().count()), (None, known));
    }
}

#[test]
fn facts_with_another_hash_are_not_used() {
    let facts = Facts::from([(image_of(0, 0), fact(1, "shop", NOW))]);
    let (data, _) = encode(facts, &[], NOW);
    let with = |name: &str, value: Option<String>| {
        let mut data = data.clone();
        match value {
            Some(value) => data.insert(name.to_owned(), value),
            None => data.remove(name),
        };
        read(0, Some(&data), NOW)
    };
    let text = data["facts"].replace(digest(1).as_str(), digest(2).as_str());
    assert_eq!(with("facts", Some(text)), Err(Corrupt::Hash));
    assert_eq!(with("sha256", Some("0".repeat(64))), Err(Corrupt::Hash));
    assert_eq!(with("sha256", None), Err(Corrupt::Incomplete));
    assert_eq!(with("facts", None), Err(Corrupt::Incomplete));
    assert_eq!(
        with("facts", Some("a".repeat(BYTES_LIMIT))),
        Err(Corrupt::TooLarge)
    );
    for (cause, text) in [
        (Corrupt::Incomplete, "the key facts or sha256 is missing"),
        (
            Corrupt::Hash,
            "the hash of the facts is not that of the key sha256",
        ),
        (Corrupt::TooLarge, "the data has more than 512 KiB"),
    ] {
        assert_eq!(cause.to_string(), text);
    }
}

/// Data with these lines and their hash.
fn with_lines(lines: &[String]) -> BTreeMap<String, String> {
    let text = lines.join("\n") + "\n";
    let hash = hash_of(&text);
    BTreeMap::from([("facts".to_owned(), text), ("sha256".to_owned(), hash)])
}

#[test]
fn one_bad_fact_hides_no_other() {
    let (first, second) = (image_of(0, 0), image_of(0, 1));
    let good = |key: &FactKey| {
        line(key, &fact(1, "shop", NOW))
            .unwrap()
            .trim_end()
            .to_owned()
    };
    let of_digest = (0..1000)
        .map(|n| key(&format!("ghcr.io/acme/app-{n}@{}", digest(9))))
        .find(|key| key.config_map() == 0)
        .unwrap();
    for (bad, what) in [
        ("no JSON".to_owned(), "it is not a fact"),
        (String::new(), "it is not a fact"),
        (good(&key("nginx")), "its image is not in the normal form"),
        (good(&key("ghcr.io/A/b")), "its image is invalid"),
        (good(&image_of(1, 0)), "it belongs to another ConfigMap"),
        (good(&of_digest), "its digest is not that of its image"),
        (
            good(&first).replace("sha256:", "md5:"),
            "its digest is invalid",
        ),
        (
            good(&first).replace(&NOW.to_string(), "-1"),
            "a time of it is not possible",
        ),
        (
            good(&first).replace(&NOW.to_string(), &(NOW + 301).to_string()),
            "a time of it is in the future",
        ),
        ("a".repeat(LINE_LIMIT + 1), "it has more than 4 KiB"),
    ] {
        let data = with_lines(&[good(&first), bad, good(&second)]);
        let read = read(0, Some(&data), NOW).unwrap();
        assert_eq!(read.facts.keys().count(), 2, "{what}");
        let fault = Fault { line: 2, what };
        assert_eq!(read.faults, [fault]);
        assert_eq!(fault.to_string(), format!("line 2: {what}"));
    }
    let many: Vec<_> = images(FACTS_LIMIT + 7).iter().map(good).collect();
    let read = read(0, Some(&with_lines(&many)), NOW).unwrap();
    assert_eq!(read.facts.len(), FACTS_LIMIT);
    let fault = Fault {
        line: FACTS_LIMIT + 1,
        what: "there are more than 512 facts",
    };
    assert_eq!(read.faults, [fault]);
}

#[test]
fn a_clock_that_is_ahead_makes_no_answer_younger_and_removes_none() {
    let (first, second) = (image_of(0, 0), image_of(0, 1));
    let near = line(&first, &fact(1, "shop", NOW + 300)).unwrap();
    let far = line(&second, &fact(2, "shop", NOW + 301)).unwrap();
    let data = with_lines(&[near.trim_end().to_owned(), far.trim_end().to_owned()]);
    let found = read(0, Some(&data), NOW).unwrap();
    let confirmed = found.facts.values().map(|fact| fact.confirmed);
    assert_eq!(confirmed.collect::<Vec<_>>(), [NOW]);
    assert_eq!(found.faults.len(), 1);
    let keys: Vec<_> = found.carried.iter().map(|line| line.key.clone()).collect();
    assert_eq!(keys, [Some(second.clone())]);
    let (written, _) = encode(found.facts, &found.carried, NOW);
    assert!(written["facts"].ends_with(&far), "{}", written["facts"]);
    let later = read(0, Some(&written), NOW + 1).unwrap();
    assert_eq!(later.faults, []);
    assert_eq!(later.facts.into_keys().collect::<Vec<_>>(), [first, second]);
}

#[test]
fn lines_of_a_newer_version_stay_within_bounds_and_while_they_count() {
    let of = |last: i64, kind: &str| format!("{{\"kind\":\"{kind}\",\"lastAdmitted\":{last}}}");
    let stays = of(NOW, "Artifact");
    let data = with_lines(&[
        stays.clone(),
        of(NOW - RETENTION_SECONDS - 1, "Artifact"),
        of(NOW + 301, "Artifact"),
        "{}".to_owned(),
        "no JSON".to_owned(),
    ]);
    let found = read(0, Some(&data), NOW).unwrap();
    assert_eq!(found.faults.len(), 5);
    let (written, _) = encode(Facts::new(), &found.carried, NOW);
    assert_eq!(written["facts"], format!("{stays}\n"));

    let many: Vec<_> = (0..FACTS_LIMIT)
        .map(|n| of(NOW, &format!("Kind{n}")))
        .collect();
    let found = read(0, Some(&with_lines(&many)), NOW).unwrap();
    assert_eq!(found.carried.len(), 64);
    let long: Vec<_> = (0..60).map(|_| of(NOW, &"a".repeat(4000))).collect();
    let long = read(0, Some(&with_lines(&long)), NOW).unwrap();
    let carried: usize = encode(Facts::new(), &long.carried, NOW).0["facts"].len();
    assert!((60 << 10..=64 << 10).contains(&carried), "{carried}");
    // They have room beside the facts.
    let facts: Facts = images(FACTS_LIMIT)
        .into_iter()
        .map(|key| (key, fact(1, "shop", NOW)))
        .collect();
    let (written, kept) = encode(facts, &found.carried, NOW);
    assert_eq!(kept.len(), FACTS_LIMIT - 64);
    assert_eq!(written["facts"].lines().count(), FACTS_LIMIT);
}

#[test]
fn a_namespace_with_many_images_removes_only_its_own() {
    let images = images(FACTS_LIMIT + 200);
    let mut facts = Facts::new();
    for (at, key) in images.iter().enumerate() {
        // The others were admitted long before.
        let (namespace, admitted) = match at {
            0..50 => ("shop", NOW - 20 * DAY),
            50..100 => ("bank", NOW - 29 * DAY),
            _ => ("hostile", NOW - i64::try_from(at).unwrap()),
        };
        facts.insert(key.clone(), fact(1, namespace, admitted));
    }
    let (_, kept) = encode(facts, &[], NOW);
    assert_eq!(kept.len(), FACTS_LIMIT);
    for key in &images[..100] {
        assert!(kept.contains_key(key), "{key:?}");
    }
    // Of the others those that were admitted last.
    for (at, key) in images.iter().enumerate().skip(100) {
        assert_eq!(kept.contains_key(key), at < FACTS_LIMIT, "{at}");
    }
}

/// Namespaces that work together: their facts are all of several, and they use what others use, too.
#[test]
fn namespaces_that_share_a_flood_remove_nothing_that_others_share() {
    let images = images(FACTS_LIMIT + 200);
    let mut facts = Facts::new();
    for (at, key) in images.iter().enumerate() {
        let flood = NOW - i64::try_from(at).unwrap();
        let (users, admitted) = match at {
            0..50 => (several(&["bank", "shop"]), NOW - 20 * DAY),
            50..100 => (several(&["bank", "hostile-1", "hostile-2"]), NOW - 29 * DAY),
            // Of a version that did not write who they are.
            100..120 => (several(&[]), NOW - 29 * DAY),
            _ => (several(&["hostile-1", "hostile-2"]), flood),
        };
        let mut fact = fact(1, "", admitted);
        fact.users = users;
        facts.insert(key.clone(), fact);
    }
    let (_, kept) = encode(facts, &[], NOW);
    assert_eq!(kept.len(), FACTS_LIMIT);
    for key in &images[..120] {
        assert!(kept.contains_key(key), "{key:?}");
    }
    // What they gave up stays for the one that uses it.
    assert_eq!(kept[&images[60]].users, several(&["bank"]));
    assert_eq!(kept[&images[10]].users, several(&["bank", "shop"]));
}

#[test]
fn what_is_merged_is_the_newer_answer_with_its_version_and_the_users_of_both() {
    let (mut shop, mut bank) = (fact(1, "shop", NOW - 5), fact(2, "bank", NOW));
    shop.credential_version = "9".into();
    bank.credential_version = "10".into();
    assert_eq!(shop.clone().merged(shop.clone(), "a"), shop);
    let want = Fact {
        users: several(&["bank", "shop"]),
        first_admitted: NOW - 5,
        ..bank.clone()
    };
    assert_eq!(shop.clone().merged(bank.clone(), "a"), want);
    assert_eq!(bank.merged(shop, "a"), want);
}

#[test]
fn what_was_not_admitted_for_thirty_days_goes() {
    let images = images(2);
    let facts = Facts::from([
        (images[0].clone(), fact(1, "shop", NOW - RETENTION_SECONDS)),
        (
            images[1].clone(),
            fact(1, "shop", NOW - RETENTION_SECONDS - 1),
        ),
    ]);
    let (_, kept) = encode(facts, &[], NOW);
    assert_eq!(kept.keys().collect::<Vec<_>>(), [&images[0]]);
}

#[test]
fn a_write_is_due_for_what_is_new_moved_contradicted_or_old() {
    let tag = image_of(0, 0);
    let of_digest = key(&format!("ghcr.io/acme/web@{}", digest(1)));
    let stored = Facts::from([
        (tag.clone(), fact(1, "shop", NOW - REFRESH.tag)),
        (of_digest.clone(), fact(1, "shop", NOW - REFRESH.digest)),
    ]);
    let admitted = |key: &FactKey, fact: Fact| {
        let mut changes = Changes::default();
        changes.admit(key.clone(), fact, NOW);
        changes.are_due(&stored, REFRESH)
    };
    assert!(!Changes::default().are_due(&stored, REFRESH));
    assert!(admitted(&image_of(0, 1), fact(1, "shop", NOW)), "new");
    assert!(admitted(&tag, fact(2, "shop", NOW - 60)), "moved");
    assert!(admitted(&tag, fact(1, "shop", NOW)), "old");
    assert!(!admitted(&tag, fact(1, "shop", NOW - 1)), "not old yet");
    assert!(!admitted(&tag, fact(1, "bank", NOW - 1)), "not old yet");
    assert!(admitted(&of_digest, fact(1, "shop", NOW)), "old");
    assert!(
        !admitted(&of_digest, fact(1, "shop", NOW - 1)),
        "not old yet"
    );
    let contradicted = |key: &FactKey, at: i64| {
        let mut changes = Changes::default();
        changes.contradict(key.clone(), at);
        changes.are_due(&stored, REFRESH)
    };
    assert!(contradicted(&tag, NOW));
    assert!(
        !contradicted(&tag, NOW - REFRESH.tag - 1),
        "it was found since"
    );
    assert!(!contradicted(&image_of(0, 1), NOW), "it is not known");
}

#[test]
fn a_change_that_is_due_names_who_caused_it() {
    let [new, old, gone] = [0, 1, 2].map(|nth| image_of(0, nth));
    let stored = Facts::from([
        (old.clone(), fact(1, "shop", NOW - REFRESH.tag)),
        (gone.clone(), fact(1, "shop", NOW)),
    ]);
    let mut changes = Changes::default();
    changes.admit(new.clone(), fact(1, "bank", NOW), NOW);
    changes.admit(new.clone(), fact(1, "mail", NOW), NOW);
    changes.admit(old.clone(), fact(1, "bank", NOW), NOW);
    changes.contradict(gone.clone(), NOW);
    let users = [several(&["bank", "mail"]), Users::One("bank".into())];
    let mut want = [(new, Some(&users[0])), (old, Some(&users[1])), (gone, None)];
    want.sort_by(|one, other| one.0.cmp(&other.0));
    let due = changes.due(&stored, REFRESH);
    let due: Vec<_> = due.map(|due| (due.key.clone(), due.users)).collect();
    assert_eq!(due, want);
}

#[test]
fn what_was_contradicted_comes_back_only_with_a_newer_answer() {
    let tag = image_of(0, 0);
    let stored = Facts::from([(tag.clone(), fact(1, "shop", NOW))]);
    let mut changes = Changes::default();
    changes.admit(tag.clone(), fact(1, "shop", NOW + 5), NOW);
    changes.contradict(tag.clone(), NOW + 10);
    assert_eq!(changes.applied(&stored), Facts::new());
    assert_eq!(changes.applied_to(&tag, stored.get(&tag)), None);
    // An answer from before, that a replica reports late.
    changes.admit(tag.clone(), fact(1, "shop", NOW + 10), NOW);
    assert_eq!(changes.applied(&stored), Facts::new());
    let newer = fact(2, "shop", NOW + 11);
    changes.admit(tag.clone(), newer.clone(), NOW);
    assert_eq!(changes.applied(&stored), Facts::from([(tag, newer)]));
}

#[test]
fn what_came_during_a_write_stays() {
    let mut changes = Changes::default();
    let [one, other, third] = [0, 1, 2].map(|nth| image_of(0, nth));
    changes.admit(one, fact(1, "shop", NOW), NOW);
    changes.admit(other.clone(), fact(1, "shop", NOW), NOW);
    let written = changes.clone();
    changes.admit(other.clone(), fact(1, "shop", NOW + 1), NOW);
    changes.admit(third.clone(), fact(1, "shop", NOW), NOW);
    changes.remove(&written);
    let left = changes.applied(&Facts::new());
    assert_eq!(left.into_keys().collect::<Vec<_>>(), [other, third]);
}

#[test]
fn changes_are_bounded_while_nothing_can_be_written() {
    let mut changes = Changes::default();
    for n in 0..20_000_i64 {
        let image = key(&format!("ghcr.io/acme/flood-{n}:1"));
        if n % 3 == 0 {
            changes.contradict(image, NOW + n);
        } else {
            changes.admit(image, fact(1, "hostile", NOW + n), NOW + n);
        }
    }
    let found = format!("{changes:?}").matches("FactKey").count();
    assert!(found <= 2 * FACTS_LIMIT, "{found}");
}

fn facts_of(images: u32, limit: usize) -> impl Strategy<Value = Vec<(FactKey, Fact)>> {
    let one = (
        0..images,
        0..4_u32,
        any::<bool>(),
        prop_oneof![
            Just(None),
            proptest::collection::btree_set(0..6_u8, 0..4).prop_map(Some),
        ],
        (0..40_i64, 0..40_i64, 0..40_i64),
        prop_oneof![5 => 1..50_usize, 1 => 50..700_usize],
    );
    let one = one.prop_map(|(image, content, is_index, users, times, long)| {
        let mut key = key(&format!("ghcr.io/acme/{}/app-{image}:1", "a".repeat(long)));
        key.credential = if image % 5 == 0 {
            "pull@1".into()
        } else {
            "".into()
        };
        let mut fact = fact(content, "", NOW);
        if !is_index {
            fact.facts.kind = ManifestKind::Manifest;
        }
        let name = |n: u8| format!("ns-{n}").into();
        fact.users = match users {
            None => Users::One("alone".into()),
            Some(users) => Users::Several(users.into_iter().map(name).collect()),
        };
        fact.confirmed = NOW - times.0 * DAY;
        fact.first_admitted = NOW - times.1 * DAY;
        fact.last_admitted = NOW - times.2 * DAY;
        (key, fact)
    });
    proptest::collection::vec(one, 0..limit)
}

fn together(all: impl IntoIterator<Item = (FactKey, Fact)>) -> Facts {
    let mut facts = Facts::new();
    for (key, fact) in all {
        add(&mut facts, key, fact);
    }
    facts
}

proptest! {
    #![proptest_config(Config {
        cases: 48,
        rng_seed: RngSeed::Fixed(14),
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    })]

    #[test]
    fn a_merge_does_not_depend_on_order_or_number(
        one in facts_of(40, 60), other in facts_of(40, 60), third in facts_of(40, 60),
    ) {
        let all = |parts: [&Vec<(FactKey, Fact)>; 3]| {
            together(parts.into_iter().flat_map(|part| together(part.clone())))
        };
        let merged = all([&one, &other, &third]);
        prop_assert_eq!(&merged, &all([&third, &one, &other]));
        let each = one.iter().chain(&other).chain(&third).cloned();
        prop_assert_eq!(&merged, &together(each.clone().chain(each)));
    }

    #[test]
    fn changes_that_are_applied_twice_are_applied_once(
        stored in facts_of(40, 60), admitted in facts_of(40, 60),
        contradicted in proptest::collection::vec((0..40_u32, 0..40_i64), 0..20),
    ) {
        let stored = together(stored);
        let mut changes = Changes::default();
        for (key, fact) in admitted {
            changes.admit(key, fact, NOW);
        }
        for (image, days) in contradicted {
            changes.contradict(key(&format!("ghcr.io/acme/a/app-{image}:1")), NOW - days * DAY);
        }
        let once = changes.applied(&stored);
        prop_assert_eq!(&changes.applied(&once), &once);
        for key in stored.keys().chain(once.keys()) {
            let of_key = changes.applied_to(key, stored.get(key));
            prop_assert_eq!(of_key.as_ref(), once.get(key));
        }
        prop_assert!(!changes.are_due(&once, REFRESH));
    }

    #[test]
    fn whatever_the_facts_are_the_data_has_its_bounds_and_a_smaller_share_loses_nothing(
        facts in facts_of(4000, 800),
    ) {
        let facts = together(facts);
        let (data, kept) = encode(facts.clone(), &[], NOW);
        prop_assert!(bytes(&data) <= BYTES_LIMIT, "{}", bytes(&data));
        prop_assert!(kept.len() <= FACTS_LIMIT, "{}", kept.len());
        // A second time nothing goes.
        let (again, left) = encode(kept.clone(), &[], NOW);
        prop_assert_eq!((&again, &left), (&data, &kept));
        let young: Facts = facts.into_iter().filter(|(_, fact)| fact.is_kept(NOW)).collect();
        let size = |key: &FactKey, fact: &Fact| line(key, fact).unwrap().len();
        let whole: usize = young.iter().map(|(key, fact)| size(key, fact)).sum();
        if young.len() <= FACTS_LIMIT && whole + 75 <= BYTES_LIMIT {
            prop_assert_eq!(&kept, &young);
        }
        // Who gave up some has, with the last of them, at least as much as anybody else has.
        let mut shares: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        let mut lost: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for (key, fact) in &young {
            let size = size(key, fact);
            let known: Vec<_> = fact.users.known().map(Some).collect();
            let holders = if known.is_empty() { vec![None] } else { known };
            let left = kept.get(key).map(|fact| &fact.users);
            for holder in holders {
                let has = left.is_some_and(|users| holder.is_none_or(|name| users.has(name)));
                if has {
                    *shares.entry(holder).or_default() += size;
                } else {
                    let longest = lost.entry(holder).or_default();
                    *longest = size.max(*longest);
                }
            }
            // A fact stays for those that use it.
            if let Some(users) = left {
                prop_assert_eq!(users.only(), fact.users.only());
                prop_assert!(fact.users.known().count() == 0 || users.known().count() > 0);
            }
        }
        let largest = shares.values().max().copied().unwrap_or_default();
        for (holder, longest) in lost {
            let of_it = shares.get(&holder).copied().unwrap_or_default();
            prop_assert!(of_it + longest >= largest, "{holder:?}");
        }
    }
}
