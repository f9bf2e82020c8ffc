//! What goes if there is no room, and that there is enough.

use super::*;

#[test]
fn a_flood_of_unknown_images_removes_nothing_that_is_known() {
    let now = std::time::Instant::now();
    let room = Room {
        entries: 64,
        bytes: 1 << 20,
    };
    let mut state = with_room(room);
    let known: Vec<_> = (0..32).map(|n| digest_of("ghcr.io", n)).collect();
    for image in &known {
        resolved(&mut state, &key(image), found(image), now);
    }
    for number in 1000..2000 {
        let unknown = key(&digest_of("ghcr.io", number));
        resolved(
            &mut state,
            &unknown,
            Lookup::NotFound(Missing::Manifest),
            now,
        );
    }
    // Of the room, a quarter is for tags, and one for what is not found.
    assert_eq!(state.answers.size().entries, 48);
    for image in &known {
        assert!(
            state.answers.get(&key(image), "shop", now).is_some(),
            "{image}"
        );
    }
    // Of those known the least recently used goes first: all but the first were used after the last one.
    assert!(state.answers.get(&key(&known[0]), "shop", now).is_some());
    let another = digest_of("ghcr.io", 32);
    resolved(&mut state, &key(&another), found(&another), now);
    assert!(state.answers.get(&key(&known[0]), "shop", now).is_some());
    assert!(state.answers.get(&key(&known[1]), "shop", now).is_none());
}

#[test]
fn a_flood_of_found_images_of_one_namespace_removes_nothing_that_others_know() {
    let (mut state, now) = (state(), std::time::Instant::now());
    let tag = |n: usize| format!("ghcr.io/acme/web:{n}");
    let known: Vec<_> = (0..100)
        .flat_map(|n| [tag(n), digest_of("ghcr.io", n)])
        .collect();
    // The tenant asks first for what others use then.
    let first = tag(0);
    resolved_for(&mut state, "hostile", &key(&first), found(&first), now);
    assert!(state.answers.get(&key(&first), "shop", now).is_some());
    for image in &known[1..] {
        resolved(&mut state, &key(image), found(image), now);
    }
    // A registry of the tenant confirms whatever it is asked for.
    for n in 0..20_000 {
        for image in [digest_of("liar.test", n), format!("liar.test/app:{n}")] {
            resolved_for(&mut state, "hostile", &key(&image), found(&image), now);
            // It uses what others know, too, which does not make it of its share.
            if n == 10 {
                for image in &known[..10] {
                    let known = state.answers.get(&key(image), "hostile", now);
                    assert!(known.is_some(), "{image}");
                }
            }
        }
    }
    for image in &known {
        let known = state.answers.get(&key(image), "shop", now);
        assert!(known.is_some(), "{image}");
    }
    // The tenant has all other room, and keeps what it asked for last.
    assert!(state.answers.size().entries > 11_000);
    let last = digest_of("liar.test", 19_999);
    assert!(state.answers.get(&key(&last), "hostile", now).is_some());
}

#[test]
fn what_is_asked_for_again_stays_while_somebody_waits_for_it() {
    let now = std::time::Instant::now();
    let room = Room {
        entries: 8,
        bytes: 1 << 20,
    };
    let mut state = with_room(room);
    resolved(&mut state, &key(TAG), found(TAG), now);
    let later = now + 60 * SECOND;
    assert_eq!(state.ask(&key(TAG), "shop", || (), later), Asked::Waiting);
    state.start(later);
    for number in 0..100 {
        let image = format!("ghcr.io/acme/web:of-{number}");
        resolved(&mut state, &key(&image), found(&image), later);
    }
    let told = state.finish(&key(TAG), Lookup::Failed(Failure::Connect), later);
    assert!(matches!(told, Lookup::Found { .. }), "{told:?}");
}

#[test]
fn sixteen_mebibytes_hold_what_is_remembered() {
    let long = "a/".repeat(100);
    let mut state = state();
    let now = std::time::Instant::now();
    let mut most = 0;
    let used = measure(|| {
        for number in 0..20_000 {
            let image = format!("ghcr.io/{long}app-{number}:{}", "t".repeat(100));
            resolved(&mut state, &key(&image), found(&image), now);
            let image = digest_of("ghcr.io", number);
            let unknown = Lookup::NotFound(Missing::Manifest);
            resolved(&mut state, &key(&image), unknown, now);
            most = most.max(state.answers.size().bytes);
        }
    });
    let size = state.answers.size();
    println!("{size:?}, {} bytes at most", used.bytes_max);
    assert!(size.entries <= ROOM.entries && most <= ROOM.bytes);
    assert!(used.bytes_max <= 16 << 20, "{}", used.bytes_max);
}
