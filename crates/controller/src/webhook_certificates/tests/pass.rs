//! A pass against a mock API server.
//!
//! Here: requests, conflicts and errors. Not here: what is planned (`super`).
//! Invariant: each test names every request of the pass.

use super::world::{NAMESPACE, World};
use crate::webhook_certificates::apply::causes;
use crate::webhook_certificates::authority::SecretData;
use crate::webhook_certificates::plan::Kind;
use crate::webhook_certificates::run::pass;
use bailiff_testing::{ApiServer, Call};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

const OWN: &str = "/api/v1/namespaces/bailiff-system";
const CA: &str = "/api/v1/namespaces/bailiff-system/secrets/bailiff-webhook-ca";
const TLS: &str = "/api/v1/namespaces/bailiff-system/secrets/bailiff-webhook-tls";
const MUTATING: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/bailiff";
const VALIDATING: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/bailiff";

const RENDERED: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/bailiff-renderer";

/// A world in which nothing has to change.
fn settled() -> World {
    let mut world = World::new();
    world.pass(Timestamp::now());
    world
}

fn bytes(text: &str) -> Json {
    serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap()
}

fn secret(data: &SecretData) -> Json {
    json!({"metadata": {"name": "s", "resourceVersion": "7"}, "data": data.0})
}

fn configuration(world: &World, kind: Kind) -> Json {
    let mut configurations = world.state.configurations.iter();
    let found = configurations.find(|found| found.kind == kind).unwrap();
    let entry = |name: &str, (service, namespace): (&str, &str), bundle: &str| {
        let service = json!({"name": service, "namespace": namespace});
        json!({"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": service, "caBundle": bytes(bundle)}})
    };
    let entries = found.entries.iter();
    let own = ("bailiff-webhook", NAMESPACE);
    let ours = entries.map(|(name, bundle)| entry(name, own, bundle));
    let others = [
        entry("other-service", ("other", NAMESPACE), ""),
        entry("other-namespace", ("bailiff-webhook", "other"), ""),
    ];
    let entries: Vec<_> = ours.chain(others).collect();
    let expires = found.expires.iter();
    let annotations: BTreeMap<_, _> = expires
        .map(|expires| ("bailiff.dev/certificate-expires", expires))
        .collect();
    json!({
        "metadata": {"name": "bailiff", "uid": format!("{kind}-uid"), "resourceVersion": "8",
            "annotations": annotations},
        "webhooks": entries,
    })
}

/// The one round of reads of a plan.
fn reads(world: &World) -> Vec<Call> {
    vec![
        Call::get(OWN).gives(json!({"metadata": {"name": NAMESPACE}})),
        Call::get(CA).gives(secret(&world.state.authority)),
        Call::get(TLS).gives(secret(&world.state.served)),
        Call::get(MUTATING).gives(configuration(world, Kind::Mutating)),
        Call::get(VALIDATING).gives(configuration(world, Kind::Validating)),
    ]
}

#[tokio::test]
async fn what_is_current_is_read_and_not_written() {
    let world = settled();
    let (server, client) = ApiServer::playing([reads(&world)]);
    let pass = pass(&client, NAMESPACE).await.unwrap();
    assert!(!pass.wrote);
    assert!(pass.plan.due.is_some() && pass.plan.served_ends.is_some());
    server.finish();
}

#[tokio::test]
async fn a_lost_bundle_is_written_into_our_entries_alone() {
    let world = settled();
    let mut lost = settled();
    lost.state = world.state.clone();
    for (_, bundle) in &mut lost.state.configurations[1].entries {
        bundle.clear();
    }
    let bundle = &world.state.configurations[1].entries[0].1;
    let entry = |name: &str| json!({"name": name, "clientConfig": {"caBundle": bytes(bundle)}});
    let entries = ["pods.bailiff.dev", "policies.bailiff.dev"].map(entry);
    let write = Call::patch(VALIDATING)
        .with(json!({"metadata": {"resourceVersion": "8"}, "webhooks": entries}))
        .gives(configuration(&world, Kind::Validating));
    let (server, client) = ApiServer::playing([reads(&lost), vec![write], reads(&world)]);
    assert!(pass(&client, NAMESPACE).await.unwrap().wrote);
    server.finish();
}

#[tokio::test]
async fn a_conflict_is_read_again() {
    let world = settled();
    let mut empty = settled();
    empty.state = world.state.clone();
    empty.state.served = SecretData::default();
    for configuration in &mut empty.state.configurations {
        configuration.expires = None;
    }
    let conflict = Call::patch(TLS)
        .with(json!({"metadata": {"resourceVersion": "7"}}))
        .fails(409, "Conflict", "the object has been modified");
    let (server, client) = ApiServer::playing([reads(&empty), vec![conflict], reads(&world)]);
    assert!(pass(&client, NAMESPACE).await.unwrap().wrote);
    server.finish();
}

/// The deletion of a configuration that was read.
fn delete(path: &str, kind: Kind) -> Call {
    let uid = json!({"preconditions": {"uid": format!("{kind}-uid")}});
    Call::delete(path).with(uid)
}

#[tokio::test]
async fn what_cannot_be_read_or_deleted_in_a_terminating_namespace_stops_no_other() {
    let terminating = || {
        let mut round = reads(&settled());
        round[0] = Call::get(OWN).gives(json!({"metadata":
            {"name": NAMESPACE, "deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        round
    };
    let mut undecodable = terminating();
    undecodable[3] = Call::get(MUTATING).gives(json!({
        "metadata": {"name": "bailiff", "uid": format!("{}-uid", Kind::Mutating)}, "webhooks": "all"}));
    let mut unreadable = terminating();
    unreadable[3] = Call::get(MUTATING).fails(403, "Forbidden", "no");
    let [mutating, validating] = [
        delete(MUTATING, Kind::Mutating),
        delete(VALIDATING, Kind::Validating),
    ];
    let owner = Call::delete(RENDERED);
    let no = |call: &Call| call.clone().fails(403, "Forbidden", "no");
    for (reads, deletes, want) in [
        (
            undecodable,
            vec![mutating.clone(), validating.clone(), owner.clone()],
            None,
        ),
        (
            unreadable,
            vec![validating.clone(), owner.clone()],
            Some("cannot read MutatingWebhookConfiguration bailiff"),
        ),
        (
            terminating(),
            vec![no(&mutating), no(&validating), owner.clone()],
            Some("cannot write MutatingWebhookConfiguration bailiff"),
        ),
        (
            terminating(),
            vec![mutating, validating, no(&owner)],
            Some("cannot write ValidatingWebhookConfiguration bailiff-renderer"),
        ),
    ] {
        let (server, client) = ApiServer::playing([reads, deletes]);
        let passed = pass(&client, NAMESPACE).await;
        server.finish();
        let error = passed.err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), want);
    }
}

#[tokio::test]
async fn a_terminating_namespace_leaves_no_configuration() {
    let mut round = reads(&settled());
    round[0] = Call::get(OWN).gives(json!({"metadata":
        {"name": NAMESPACE, "deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    // Secrets can be gone first.
    round[1] = Call::get(CA).is_missing();
    let gone = vec![
        delete(MUTATING, Kind::Mutating),
        delete(VALIDATING, Kind::Validating),
        Call::delete(RENDERED),
    ];
    let (server, client) = ApiServer::playing([round, gone]);
    let passed = pass(&client, NAMESPACE).await.unwrap();
    assert_eq!(passed.plan.due, None);
    server.finish();

    // Afterwards, nothing is left to be deleted.
    let mut round = reads(&settled());
    round[0] = Call::get(OWN).gives(json!({"metadata":
        {"name": NAMESPACE, "deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    round[3] = Call::get(MUTATING).is_missing();
    round[4] = Call::get(VALIDATING).is_missing();
    let nothing = vec![Call::delete(RENDERED).is_missing()];
    let (server, client) = ApiServer::playing([round, nothing]);
    assert!(!pass(&client, NAMESPACE).await.unwrap().wrote);
    server.finish();
}

#[tokio::test]
async fn without_configurations_nothing_is_needed() {
    let mut round = reads(&settled());
    for (at, path) in [CA, TLS, MUTATING, VALIDATING].into_iter().enumerate() {
        round[at + 1] = Call::get(path).is_missing();
    }
    let (server, client) = ApiServer::playing([round]);
    assert!(!pass(&client, NAMESPACE).await.unwrap().wrote);
    server.finish();
}

#[tokio::test]
async fn an_error_names_the_object_and_shows_no_key() {
    let world = settled();
    let mut empty = settled();
    empty.state = world.state.clone();
    empty.state.authority = SecretData::default();
    let mut missing = reads(&world);
    missing[1] = Call::get(CA).is_missing();
    let mut junk = reads(&world);
    junk[2] =
        Call::get(TLS).gives(json!({"metadata": {"name": "s"}, "data": {"tls.key": ["KEY"]}}));
    let rejected = Call::patch(CA).fails(403, "Forbidden", "no");
    for (rounds, want) in [
        (
            vec![missing],
            "Secret bailiff-system/bailiff-webhook-ca not found; restore it with `helm upgrade`",
        ),
        (
            vec![junk],
            "cannot decode Secret bailiff-system/bailiff-webhook-tls",
        ),
        (
            vec![reads(&empty), vec![rejected]],
            "cannot write Secret bailiff-system/bailiff-webhook-ca: ApiError: no: Forbidden",
        ),
    ] {
        let (server, client) = ApiServer::playing(rounds);
        let error = pass(&client, NAMESPACE).await.unwrap_err();
        let shown = causes(&error);
        assert!(shown.as_str().unwrap().starts_with(want), "{shown}");
        assert!(!format!("{error:?}{shown}").contains("KEY"), "{shown}");
        server.finish();
    }
}
