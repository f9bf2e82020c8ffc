//! What is read at the start, and writes that conflict, fail, or find nothing.

use super::*;
use crate::facts::Wanted;
use bailiff_oci::persisted::{Fact, FactKey, Users, encode};
use bailiff_oci::{
    Digest, Failure, ImageFacts, Lookup, ManifestKind, Reference, ShortNames, Source,
};
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MAPS: &str = "/api/v1/namespaces/security/configmaps";
const TAG: &str = "ghcr.io/acme/web:1";

/// A registry that has every image, or is down.
#[derive(Debug, Default)]
struct Sometimes {
    is_down: Arc<AtomicBool>,
}

impl Registry for Sometimes {
    type Credential = String;

    fn endpoint(&self, registry: &str) -> Arc<str> {
        format!("https://{registry}").into()
    }

    async fn lookup(&self, _: &Reference, _: bool, _: Option<&String>) -> Lookup {
        if self.is_down.load(Ordering::Relaxed) {
            return Lookup::Failed(Failure::Connect);
        }
        Lookup::Found {
            facts: image_facts(),
            source: Source::Registry,
        }
    }
}

fn image_facts() -> ImageFacts {
    ImageFacts {
        digest: Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap(),
        kind: ManifestKind::Index,
    }
}

fn wanted(image: &str) -> Wanted<String> {
    Wanted {
        reference: Reference::parse(image, ShortNames::DockerHub).unwrap(),
        namespace: "shop".to_owned(),
        named_by_policy: false,
        credential: None,
        credential_key: String::new(),
    }
}

fn key(image: &str) -> FactKey {
    FactKey {
        endpoint: "https://ghcr.io".into(),
        image: image.into(),
        named_by_policy: false,
        credential: "".into(),
    }
}

/// The data of the `ConfigMap` of an image that was admitted an hour ago.
fn data(image: &str) -> BTreeMap<String, String> {
    let admitted = Timestamp::now().as_second() - 3600;
    let fact = Fact {
        facts: image_facts(),
        credential_version: "".into(),
        confirmed: admitted,
        first_admitted: admitted,
        last_admitted: admitted,
        users: Users::One("shop".into()),
    };
    encode([(key(image), fact)].into(), &[], admitted).0
}

fn config_map(number: usize, version: &str, data: &BTreeMap<String, String>) -> Json {
    json!({
        "metadata": {
            "name": name(number), "namespace": "security", "resourceVersion": version,
            "labels": {"app.kubernetes.io/component": "webhook"},
        },
        "data": data,
    })
}

/// The lists of the `ConfigMaps`, and watches that bring nothing.
fn listed(of: impl Fn(usize) -> Vec<Json>) -> [Vec<Call>; 2] {
    let lists = (0..CONFIG_MAPS.len()).map(|number| {
        let path = format!(
            "{MAPS}?&fieldSelector=metadata.name%3D{}&resourceVersion=0",
            name(number)
        );
        let list = json!({"metadata": {"resourceVersion": "7"}, "items": of(number)});
        Call::get(&path).gives(list)
    });
    let watches = (0..CONFIG_MAPS.len()).map(|_| Call::get(MAPS).is_silent());
    [lists.collect(), watches.collect()]
}

fn persistence(client: Client) -> (Persistence<Sometimes>, Arc<AtomicBool>) {
    let registry = Sometimes::default();
    let is_down = Arc::clone(&registry.is_down);
    let facts = Facts::new(registry, Duration::from_hours(24));
    (
        Persistence::new(facts, client, "security", "webhook-1"),
        is_down,
    )
}

async fn lookup(facts: &Facts<Sometimes>, image: &str) -> Lookup {
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut answers = facts.lookup(vec![wanted(image)], deadline).await;
    answers.remove(image).unwrap()
}

fn metric(facts: &Facts<Sometimes>, name: &str) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    facts.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let of = |line: &str| {
        line.strip_prefix(name)?
            .strip_prefix(' ')
            .map(str::to_owned)
    };
    text.lines().find_map(of).unwrap()
}

#[tokio::test(start_paused = true)]
async fn at_the_start_each_config_map_is_read_or_reported() {
    let number = key(TAG).config_map();
    let (missing, corrupt) = ((number + 1) % 8, (number + 2) % 8);
    let (server, client) = ApiServer::playing(listed(|at| match at {
        at if at == missing => Vec::new(),
        at if at == number => vec![config_map(at, "3", &data(TAG))],
        at if at == corrupt => {
            let mut data = data(TAG);
            data.insert("sha256".to_owned(), "0".repeat(64));
            vec![config_map(at, "4", &data)]
        }
        // As the chart creates it.
        at => vec![json!({"metadata": {"name": name(at), "resourceVersion": "5"}})],
    }));
    let (persistence, is_down) = persistence(client);
    is_down.store(true, Ordering::Relaxed);
    let running = tokio::spawn({
        let persistence = persistence.clone();
        async move { persistence.run().await }
    });
    let begun = Instant::now();
    persistence.loaded().await;
    assert!(begun.elapsed() < LOAD_LIMIT);
    let facts = &persistence.facts;
    let number_of = |name: &str| metric(facts, name);
    assert_eq!(number_of("persisted_facts"), "1");
    assert_eq!(number_of("persisted_facts_unusable"), "0");
    assert_eq!(number_of("persisted_facts_unusable_config_maps"), "2");
    // Asked for, and then known. Another namespace does not learn when it was admitted.
    for (namespace, is_told) in [("shop", true), ("bank", false), ("shop", true)] {
        let mut wanted = wanted(TAG);
        wanted.namespace = namespace.to_owned();
        let deadline = Instant::now() + Duration::from_secs(3);
        match facts.lookup(vec![wanted], deadline).await.remove(TAG) {
            Some(Lookup::Found {
                source: Source::LastKnown { last_admitted, .. },
                ..
            }) => assert_eq!(last_admitted.is_some(), is_told, "{namespace}"),
            other => panic!("{other:?}"),
        }
    }
    let unknown = lookup(facts, "ghcr.io/acme/web:2").await;
    assert_eq!(unknown, Lookup::Failed(Failure::Connect));
    // The watches begin.
    tokio::time::sleep(Duration::from_millis(1)).await;
    running.abort();
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_delays_the_start_for_a_while_only() {
    let (persistence, _) = persistence(ApiServer::silent());
    let begun = Instant::now();
    tokio::select! {
        () = persistence.run() => panic!("it ended"),
        () = persistence.loaded() => {}
    }
    assert_eq!(begun.elapsed(), LOAD_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_conflicts_is_repeated_with_what_another_replica_wrote() {
    let number = key(TAG).config_map();
    let other = (2..).map(|n| format!("ghcr.io/acme/web:{n}"));
    let mut other = other.filter(|image| key(image).config_map() == number);
    let other = other.next().unwrap();
    let path = format!("{MAPS}/{}", name(number));
    let [lists, watches] = listed(|at| vec![config_map(at, "5", &BTreeMap::new())]);
    let theirs = config_map(number, "6", &data(&other));
    let put = |version: &str| {
        let labels = json!({"app.kubernetes.io/component": "webhook"});
        let metadata = json!({"resourceVersion": version, "labels": labels});
        Call::put(&path).with(json!({"metadata": metadata}))
    };
    let (server, client) = ApiServer::playing([
        lists,
        watches,
        vec![Call::get(&path).gives(config_map(number, "5", &BTreeMap::new()))],
        vec![put("5").fails(409, "Conflict", "the object has been modified")],
        vec![Call::get(&path).gives(theirs.clone())],
        vec![put("6").gives(theirs)],
    ]);
    let (persistence, is_down) = persistence(client);
    let facts = &persistence.facts;
    assert!(matches!(lookup(facts, TAG).await, Lookup::Found { .. }));
    facts.admitted(&[wanted(TAG)]);
    let running = tokio::spawn({
        let persistence = persistence.clone();
        async move { persistence.run().await }
    });
    // At its time in each minute, once: nothing changes then.
    tokio::time::sleep(3 * WRITE_INTERVAL).await;
    assert_eq!(metric(facts, "persisted_facts"), "2");
    assert_eq!(metric(facts, "persisted_facts_write_errors_total"), "0");
    is_down.store(true, Ordering::Relaxed);
    assert!(matches!(lookup(facts, &other).await, Lookup::Found { .. }));
    running.abort();
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_counted_and_written_at_the_end() {
    let number = key(TAG).config_map();
    let path = format!("{MAPS}/{}", name(number));
    let map = config_map(number, "5", &BTreeMap::new());
    let [lists, watches] = listed(|at| vec![config_map(at, "5", &BTreeMap::new())]);
    let (server, client) = ApiServer::playing([
        lists,
        watches,
        vec![Call::get(&path).gives(map.clone())],
        vec![Call::put(&path).fails(403, "Forbidden", "no")],
        vec![Call::get(&path).gives(map.clone())],
        vec![Call::put(&path).is_silent()],
        vec![Call::get(&path).gives(map.clone())],
        vec![Call::put(&path).gives(map)],
    ]);
    let (persistence, _) = persistence(client);
    let facts = &persistence.facts;
    lookup(facts, TAG).await;
    facts.admitted(&[wanted(TAG)]);
    let running = tokio::spawn({
        let persistence = persistence.clone();
        async move { persistence.run().await }
    });
    let at = offset("webhook-1", number);
    tokio::time::sleep(at + WRITE_INTERVAL + 2 * WRITE_LIMIT).await;
    assert_eq!(metric(facts, "persisted_facts_write_errors_total"), "2");
    assert_eq!(metric(facts, "persisted_facts"), "0");
    persistence.save().await;
    assert_eq!(metric(facts, "persisted_facts_write_errors_total"), "2");
    assert_eq!(metric(facts, "persisted_facts"), "1");
    running.abort();
    server.finish();
}

#[test]
fn replicas_write_at_different_times() {
    let of = |replica: &str| -> Vec<_> {
        (0..CONFIG_MAPS.len())
            .map(|number| offset(replica, number))
            .collect()
    };
    let all: BTreeSet<_> = ["a", "b", "c"].into_iter().flat_map(of).collect();
    assert_eq!(all.len(), 24);
    assert!(all.iter().all(|offset| *offset < WRITE_INTERVAL));
    assert_eq!(of("a"), of("a"));
}
