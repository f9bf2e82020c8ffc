//! Times, shared requests, deadlines, and floods of requests.

mod room;

use super::*;
use allocation_counter::measure;
use bailiff_oci::{Digest, ImageFacts, ManifestKind, Missing, ShortNames, Source};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::sleep;

const STALE_IF_ERROR: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);

fn reference(text: &str) -> Reference {
    Reference::parse(text, ShortNames::DockerHub).unwrap()
}

fn digest_of(host: &str, number: usize) -> String {
    format!("{host}/app@sha256:{number:064x}")
}

fn wanted(namespace: &str, image: &str) -> Wanted<String> {
    Wanted {
        reference: reference(image),
        namespace: namespace.to_owned(),
        named_by_policy: false,
        credential: None,
        credential_key: String::new(),
    }
}

fn facts(digest: &str) -> ImageFacts {
    ImageFacts {
        digest: Digest::parse(digest).unwrap(),
        kind: ManifestKind::Index,
    }
}

fn found(image: &str) -> Lookup {
    let any = format!("sha256:{}", "a".repeat(64));
    let digest = image.split_once('@').map_or(&*any, |(_, digest)| digest);
    Lookup::Found {
        facts: facts(digest),
        source: Source::Registry,
    }
}

fn key(image: &str) -> Arc<Key> {
    Arc::new(Key::new("endpoint", &wanted("shop", image)))
}

fn state() -> State<()> {
    with_room(ROOM)
}

fn with_room(room: Room) -> State<()> {
    State::new(room, LIMITS, STALE_IF_ERROR, clock())
}

/// Asks, and answers at once what the registry says.
fn resolved(state: &mut State<()>, key: &Arc<Key>, lookup: Lookup, now: std::time::Instant) {
    resolved_for(state, "shop", key, lookup, now);
}

fn resolved_for(
    state: &mut State<()>,
    namespace: &str,
    key: &Arc<Key>,
    lookup: Lookup,
    now: std::time::Instant,
) {
    assert_eq!(state.ask(key, namespace, || (), now), Asked::Waiting);
    assert_eq!(state.start(now).map(|(key, ())| key).as_ref(), Some(key));
    state.finish(key, lookup, now);
}

const TAG: &str = "ghcr.io/acme/web:1";

#[test]
fn each_answer_has_its_time() {
    let digest = digest_of("ghcr.io", 1);
    let failed = |failure: &Failure| Lookup::Failed(failure.clone());
    let limited = |seconds| Failure::RateLimited {
        retry_after: Some(Duration::from_secs(seconds)),
    };
    let missing = Lookup::NotFound(Missing::Manifest);
    for (name, image, lookup, seconds) in [
        ("a tag", TAG, found(TAG), 30),
        ("a digest", &*digest, found(&digest), 24 * 3600),
        ("not found", TAG, missing.clone(), 15),
        ("not found", &*digest, missing, 15),
        ("failed", TAG, failed(&Failure::Forbidden), 5),
        (
            "no hint",
            TAG,
            failed(&Failure::RateLimited { retry_after: None }),
            5,
        ),
        ("a hint", TAG, failed(&limited(70)), 70),
        ("too short a hint", TAG, failed(&limited(0)), 5),
        ("too long a hint", TAG, failed(&limited(86_400)), 300),
        ("longer than time", TAG, failed(&limited(u64::MAX)), 300),
    ] {
        let (mut state, key, start) = (state(), key(image), std::time::Instant::now());
        resolved(&mut state, &key, lookup.clone(), start);
        let time = Duration::from_secs(seconds);
        let last = start + time.saturating_sub(Duration::from_nanos(1));
        assert_eq!(
            state.ask(&key, "shop", || (), last),
            Asked::Known(lookup),
            "{name}"
        );
        assert_eq!(
            state.ask(&key, "shop", || (), start + time),
            Asked::Waiting,
            "{name}"
        );
    }
}

#[test]
fn not_found_is_asked_for_less_and_less_often_until_it_is_found() {
    let (mut state, key, mut now) = (state(), key(TAG), std::time::Instant::now());
    let missing = Lookup::NotFound(Missing::Repository);
    let mut times = Vec::new();
    for round in 0..9 {
        let lookup = if round == 7 {
            found(TAG)
        } else {
            missing.clone()
        };
        resolved(&mut state, &key, lookup, now);
        let asked = now;
        while state.answers.get(&key, "shop", now).is_some() {
            now += SECOND;
        }
        times.push((now - asked).as_secs());
        // A failure says nothing about it.
        resolved(&mut state, &key, Lookup::Failed(Failure::Connect), now);
        now += 10 * SECOND;
    }
    assert_eq!(times, [15, 30, 60, 120, 240, 300, 300, 30, 15]);
}

#[test]
fn the_last_answer_stands_in_for_none_and_for_nothing_else() {
    const DAY: Duration = Duration::from_hours(24);
    let unavailable = Failure::Unavailable {
        status: 503,
        retry_after: None,
    };
    let limited = Failure::RateLimited { retry_after: None };
    for (failure, age, stands_in) in [
        (Failure::Connect, 24 * 3600, true),
        // A digest is known for a day longer: that of a tag that was asked about since.
        (Failure::Connect, 24 * 3600 + 1, false),
        (Failure::Timeout, 60, true),
        (unavailable, 60, true),
        (limited, 60, true),
        (Failure::Unauthorized, 60, false),
        (Failure::Forbidden, 60, false),
        (Failure::Certificate, 60, false),
        (Failure::RegistryNotAllowed, 60, false),
        (Failure::DigestMismatch, 60, false),
    ] {
        let age = Duration::from_secs(age);
        for (image, is_tag) in [(TAG, true), (&*digest_of("ghcr.io", 1), false)] {
            let (mut state, key, start) = (state(), key(image), std::time::Instant::now());
            resolved(&mut state, &key, found(image), start);
            let now = start + age;
            state.answers.hold(&key);
            let told = state.finish(&key, Lookup::Failed(failure.clone()), now);
            let failed = Lookup::Failed(failure.clone());
            let last_known = match found(image) {
                Lookup::Found { facts, .. } if stands_in || (age > DAY && !is_tag) => {
                    Lookup::Found {
                        facts,
                        source: Source::LastKnown {
                            age,
                            last_admitted: None,
                            cause: failure.clone(),
                        },
                    }
                }
                _ => failed,
            };
            assert_eq!(told, last_known, "{image} {failure:?} after {age:?}");
        }
    }
}

#[test]
fn what_the_registry_denied_does_not_come_back_when_it_is_silent() {
    for denial in [
        Lookup::NotFound(Missing::Manifest),
        Lookup::Failed(Failure::Unauthorized),
        Lookup::Failed(Failure::Forbidden),
        Lookup::Failed(Failure::DigestMismatch),
    ] {
        let (mut state, key, mut now) = (state(), key(TAG), std::time::Instant::now());
        resolved(&mut state, &key, found(TAG), now);
        now += 60 * SECOND;
        resolved(&mut state, &key, denial.clone(), now);
        now += 60 * SECOND;
        assert_eq!(state.ask(&key, "shop", || (), now), Asked::Waiting);
        let told = state.finish(&key, Lookup::Failed(Failure::Connect), now);
        assert_eq!(told, Lookup::Failed(Failure::Connect), "{denial:?}");
    }
}

#[test]
fn a_namespace_that_asks_many_registries_leaves_places_to_others() {
    let (mut state, now) = (state(), std::time::Instant::now());
    let mut start = |namespace: &str, registries: usize| {
        for number in 0..registries {
            let endpoint = format!("{namespace}-{number}");
            let key = Arc::new(Key::new(endpoint.as_str(), &wanted(namespace, TAG)));
            assert_eq!(state.ask(&key, namespace, || (), now), Asked::Waiting);
        }
        std::iter::from_fn(|| state.start(now)).count()
    };
    let hostile = ["a", "b", "c", "d", "e"];
    let places = hostile.map(|namespace| start(namespace, 100));
    assert_eq!(places, [32, 16, 8, 4, 2]);
    assert_eq!(start("shop", 1), 1);
}

/// A registry whose answers and time are set: slowness and silence cannot be had of a real one on time.
#[derive(Default)]
struct Scripted {
    requests: Arc<AtomicUsize>,
}

impl Registry for Scripted {
    type Credential = String;

    fn endpoint(&self, registry: &str) -> Arc<str> {
        format!("https://{registry}").into()
    }

    async fn lookup(
        &self,
        reference: &Reference,
        named_by_policy: bool,
        credential: Option<&String>,
    ) -> Lookup {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let image = reference.to_string();
        match reference.registry() {
            "silent.test" => futures::future::pending().await,
            "slow.test" => {
                sleep(10 * SECOND).await;
                Lookup::NotFound(Missing::Manifest)
            }
            "panics.test" => panic!("a hostile answer"),
            "lies.test" => found(TAG),
            "listed.test" if named_by_policy => found(&image),
            "listed.test" => Lookup::Failed(Failure::RegistryNotAllowed),
            "private.test" if credential.is_some() => found(&image),
            "private.test" => Lookup::Failed(Failure::Unauthorized),
            // It works once.
            "fading.test" if self.requests.load(Ordering::Relaxed) > 1 => {
                futures::future::pending().await
            }
            _ => {
                sleep(SECOND / 10).await;
                found(&image)
            }
        }
    }
}

fn scripted() -> (Facts<Scripted>, Arc<AtomicUsize>) {
    let registry = Scripted::default();
    let requests = Arc::clone(&registry.requests);
    (Facts::new(registry, STALE_IF_ERROR), requests)
}

fn deadline() -> Instant {
    Instant::now() + 3 * SECOND
}

/// The answer about one image.
async fn asked(facts: &Facts<Scripted>, wanted: Wanted<String>) -> Lookup {
    let name = wanted.reference.to_string();
    let mut answers = facts.lookup(vec![wanted], deadline()).await;
    assert_eq!(answers.len(), 1);
    answers.remove(&name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_image_waits_for_the_same_request() {
    let (facts, requests) = scripted();
    let one = facts.lookup(vec![wanted("shop", TAG), wanted("shop", TAG)], deadline());
    let (a, b) = futures::join!(one, asked(&facts, wanted("bank", TAG)));
    assert_eq!(a, BTreeMap::from([(TAG.to_owned(), found(TAG))]));
    assert_eq!(b, found(TAG));
    assert_eq!(requests.load(Ordering::Relaxed), 1);
    assert_eq!(asked(&facts, wanted("other", TAG)).await, found(TAG));
    assert_eq!(requests.load(Ordering::Relaxed), 1, "it is remembered");
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_deadline_is_known_the_next_time() {
    let (facts, requests) = scripted();
    let image = digest_of("slow.test", 1);
    let begun = Instant::now();
    assert_eq!(asked(&facts, wanted("shop", &image)).await, Lookup::Pending);
    assert_eq!(begun.elapsed(), 3 * SECOND);
    sleep(7 * SECOND).await;
    let begun = Instant::now();
    let missing = Lookup::NotFound(Missing::Manifest);
    assert_eq!(asked(&facts, wanted("shop", &image)).await, missing);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_known_tag_of_a_silent_registry_is_the_last_one_that_is_known() {
    let (facts, _) = scripted();
    let tag = "fading.test/app:1";
    assert_eq!(asked(&facts, wanted("shop", tag)).await, found(tag));
    sleep(3600 * SECOND).await;
    let Lookup::Found { source, .. } = asked(&facts, wanted("shop", tag)).await else {
        panic!("the last answer is known");
    };
    let Source::LastKnown { age, cause, .. } = source else {
        panic!("{source:?} is not the last answer");
    };
    assert_eq!((age.as_secs(), cause), (3603, Failure::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_panics_or_never_ends_gives_its_place_back() {
    let (facts, _) = scripted();
    let panics: Vec<_> = (0..20)
        .map(|number| wanted("shop", &digest_of("panics.test", number)))
        .collect();
    let failed = Lookup::Failed(Failure::Timeout);
    let answers = facts.lookup(panics, deadline()).await;
    assert_eq!(answers.len(), 20);
    assert!(
        answers.values().all(|lookup| *lookup == failed),
        "{answers:?}"
    );
    assert_eq!(facts.shared.load().running, 0);
    let silent = digest_of("silent.test", 1);
    assert_eq!(
        asked(&facts, wanted("shop", &silent)).await,
        Lookup::Pending
    );
    assert_eq!(facts.shared.load().running, 1);
    sleep(REQUEST_LIMIT).await;
    assert_eq!(facts.shared.load().running, 0);
    assert_eq!(asked(&facts, wanted("shop", &silent)).await, failed);
}

#[tokio::test(start_paused = true)]
async fn another_credential_or_policy_has_another_answer() {
    let (facts, requests) = scripted();
    let private = "private.test/app:1";
    let with = |key: &str| Wanted {
        credential: Some(Arc::new("password".to_owned())),
        credential_key: key.to_owned(),
        ..wanted("shop", private)
    };
    let unauthorized = Lookup::Failed(Failure::Unauthorized);
    assert_eq!(asked(&facts, with("shop/pull/1")).await, found(private));
    assert_eq!(asked(&facts, wanted("bank", private)).await, unauthorized);
    assert_eq!(asked(&facts, with("shop/pull/1")).await, found(private));
    assert_eq!(requests.load(Ordering::Relaxed), 2);
    assert_eq!(asked(&facts, with("shop/pull/2")).await, found(private));
    assert_eq!(requests.load(Ordering::Relaxed), 3, "another version");
    let listed = "listed.test/app:1";
    let named = Wanted {
        named_by_policy: true,
        ..wanted("shop", listed)
    };
    assert_eq!(asked(&facts, named).await, found(listed));
    let not_allowed = Lookup::Failed(Failure::RegistryNotAllowed);
    assert_eq!(asked(&facts, wanted("shop", listed)).await, not_allowed);
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_never_another_one() {
    let (facts, _) = scripted();
    let image = digest_of("lies.test", 1);
    let lookup = asked(&facts, wanted("shop", &image)).await;
    assert_eq!(lookup, Lookup::Failed(Failure::DigestMismatch));
}

/// A tenant asks for ten thousand digests that a slow registry does not have.
async fn flood(facts: &Facts<Scripted>) -> BTreeMap<String, Lookup> {
    let unknown = (0..10_000)
        .map(|number| wanted("hostile", &digest_of("slow.test", number)))
        .collect();
    facts.lookup(unknown, deadline()).await
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_unknown_digests_of_a_slow_registry_delays_no_other() {
    let (facts, _) = scripted();
    let others = async {
        sleep(SECOND).await;
        let load = facts.shared.load();
        assert_eq!((load.running, load.waiting), (16, 240));
        // Of another registry: as if there were no flood.
        let begun = Instant::now();
        assert_eq!(asked(&facts, wanted("shop", TAG)).await, found(TAG));
        assert_eq!(begun.elapsed(), SECOND / 10);
        // Of the same one: it is asked at once, and answers when it does.
        let image = digest_of("slow.test", 10_001);
        let begun = Instant::now();
        let mut answer = Lookup::Pending;
        while answer == Lookup::Pending {
            answer = asked(&facts, wanted("shop", &image)).await;
        }
        assert_eq!(begun.elapsed(), 10 * SECOND);
        // Of those that the tenant waits for: at the other namespace's turn, not after all of them.
        let image = digest_of("slow.test", 255);
        let begun = Instant::now();
        while asked(&facts, wanted("shop", &image)).await == Lookup::Pending {}
        assert!(begun.elapsed() <= 20 * SECOND, "{:?}", begun.elapsed());
    };
    let (answers, ()) = futures::join!(flood(&facts), others);
    let count = |lookup: &Lookup| answers.values().filter(|other| *other == lookup).count();
    assert_eq!(count(&Lookup::Pending), 256);
    assert_eq!(count(&Lookup::Failed(Failure::Overloaded)), 10_000 - 256);
}

#[test]
fn ten_thousand_unknown_digests_take_little_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (facts, _) = scripted();
    let used = measure(|| {
        runtime.block_on(async {
            for round in 0..100 {
                for number in 0..100 {
                    let image = digest_of("slow.test", round * 100 + number);
                    let question = vec![wanted("hostile", &image)];
                    facts.lookup(question, Instant::now()).await;
                }
                sleep(SECOND).await;
            }
        });
    });
    println!("{} bytes at most", used.bytes_max);
    assert!(used.bytes_max < 1 << 20, "{}", used.bytes_max);
}

#[tokio::test(start_paused = true)]
async fn lookups_are_counted() {
    let (facts, _) = scripted();
    asked(&facts, wanted("shop", TAG)).await;
    asked(&facts, wanted("shop", TAG)).await;
    asked(&facts, wanted("shop", "listed.test/app:1")).await;
    asked(&facts, wanted("shop", "silent.test/app:1")).await;
    flood(&facts).await;
    let mut registry = prometheus_client::registry::Registry::default();
    facts.register(registry.sub_registry_with_prefix("bailiff_webhook"));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "bailiff_webhook_lookups_total{result=\"Found\"} 2",
        "bailiff_webhook_lookups_total{result=\"RegistryNotAllowed\"} 1",
        "bailiff_webhook_lookups_total{result=\"Pending\"} 257",
        "bailiff_webhook_lookups_total{result=\"Overloaded\"} 9744",
        "bailiff_webhook_lookup_hits_total 1",
        "bailiff_webhook_lookup_misses_total 259",
        "bailiff_webhook_registry_requests_running 17",
        "bailiff_webhook_registry_requests_waiting 240",
        "bailiff_webhook_oldest_registry_request_waiting_seconds 3",
        "bailiff_webhook_remembered_answers 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn a_pod_that_is_pinned_by_the_last_answer_is_validated_by_it() {
    let (mut state, tag, start) = (state(), key(TAG), std::time::Instant::now());
    resolved(&mut state, &tag, found(TAG), start);
    let Lookup::Found { facts, .. } = found(TAG) else {
        unreachable!()
    };
    let repository = TAG.rsplit_once(':').unwrap().0;
    let digest = key(&format!("{repository}@{}", facts.digest));
    assert_eq!(
        state.ask(&digest, "shop", || (), start),
        Asked::Known(found(TAG))
    );
    // A day later, the registry is down.
    let later = start + Duration::from_hours(24) + SECOND;
    assert_eq!(state.ask(&digest, "shop", || (), later), Asked::Waiting);
    let told = state.finish(&digest, Lookup::Failed(Failure::Connect), later);
    assert!(matches!(told, Lookup::Found { .. }), "{told:?}");
}
