//! Changes that are not written yet.

use super::*;

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
