//! The text of facts, and texts that others wrote.

use super::super::content::{LINE_LIMIT, hash_of, line};
use super::*;

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
