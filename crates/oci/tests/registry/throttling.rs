//! Registries that limit requests.

use super::server::{Server, answer};
use super::{INDEX, LONG, SHA256, SHORT, client, digest_of, failure, lookup};
use bailiff_oci::Failure;
use bailiff_oci::registry::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn a_registry_that_limits_requests_gets_one_at_a_time() {
    let limits_now = Arc::new(AtomicBool::new(true));
    let hangs = Arc::clone(&limits_now);
    let server = Server::start(move |request| {
        if request.path.ends_with("/slow") {
            return vec![super::server::Act::Hang];
        }
        if hangs.swap(false, Ordering::SeqCst) {
            return answer(429, &[], "");
        }
        answer(
            200,
            &[("Content-Type", INDEX), ("Docker-Content-Digest", SHA256)],
            "",
        )
    })
    .await;
    let client = client(&server.plain_entry(), LONG);
    let limited = lookup(&client, &server, ":1").await;
    assert_eq!(failure(limited), Failure::RateLimited { retry_after: None });
    // One holds the turn, so another does not reach the registry.
    let slow = {
        let (client, reference) = (
            client.clone(),
            super::parse(&format!("{}/a:slow", server.host())),
        );
        tokio::spawn(async move { client.lookup(&reference, false, None).await })
    };
    while server.requests().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let mut waits = Box::pin(lookup(&client, &server, ":1"));
    let early = tokio::time::timeout(SHORT, &mut waits).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(server.requests().len(), 2);
    slow.abort();
    assert_eq!(digest_of(&waits.await), SHA256);
}

#[tokio::test]
async fn a_turn_that_does_not_come_is_the_registry_limiting() {
    let server = Server::start(|request| {
        if request.path.ends_with("/slow") {
            return vec![super::server::Act::Hang];
        }
        answer(429, &[], "")
    })
    .await;
    let limits = Limits {
        lookup: SHORT,
        ..LONG
    };
    let client = client(&server.plain_entry(), limits);
    lookup(&client, &server, ":1").await;
    let (slow, waits) = tokio::join!(
        lookup(&client, &server, ":slow"),
        lookup(&client, &server, ":1")
    );
    assert_eq!(failure(slow), Failure::Timeout);
    assert_eq!(failure(waits), Failure::RateLimited { retry_after: None });
    assert_eq!(server.requests().len(), 2);
}
