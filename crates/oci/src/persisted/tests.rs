//! Merges that have no order, who loses what there is no room for, and bounds whatever the facts are.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is the report of a test"
)]

mod changes;
mod content;

use super::content::line;
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
