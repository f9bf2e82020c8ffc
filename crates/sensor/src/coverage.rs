//! Says where people look that the processes of a node are not seen.
//!
//! Here: the Event on the Node, and when it is repeated. Not here: finding out (`kernel`, `run`).
//! Invariant: as long as nothing is seen, an Event that is not older than [`REPEATED`] says so,
//! or the API server takes none.

use bailiff_api::keys;
use bailiff_kube::events::{Notice, Publisher};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use std::time::Duration;

/// When it is said again; the API server keeps an Event for an hour.
const REPEATED: Duration = Duration::from_mins(10);
/// When an Event is tried again that could not be written: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(1);

/// Most characters of a note: the API server takes 1,024 bytes, and a kernel's refusal of a program
/// is long (k8s.io/kubernetes v1.37, `pkg/apis/core/validation/events.go`).
const NOTE_LIMIT: usize = 900;

/// An error with everything that led to it.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        cause = format!("{cause}: {inner}");
        source = inner.source();
    }
    cause
}

/// Says it in the log, and in Events for as long as this is waited for.
pub(crate) async fn not_seen(node: &str, identity: &str, client: kube::Client, cause: &str) {
    tracing::error!(node, error = cause, "processes of this node are not seen");
    let notice = notice(node, cause);
    let publisher = Publisher::new(client, keys::REPORTING_SENSOR, identity.to_owned());
    let mut count = 1;
    let mut retry = FIRST_RETRY;
    loop {
        let written = publisher.publish_series(&notice, count, Timestamp::now());
        let pause = match written.await {
            Ok(()) => {
                count = count.saturating_add(1);
                retry = FIRST_RETRY;
                REPEATED
            }
            Err(error) => {
                tracing::warn!(%error, "cannot write an event; it is tried again");
                let pause = retry;
                retry = retry.saturating_mul(2).min(LAST_RETRY);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn notice(node: &str, cause: &str) -> Notice {
    Notice {
        reason: bailiff_api::event::NODE_NOT_MONITORED,
        action: "Watching",
        warning: true,
        note: format!(
            "Bailiff does not see the processes of this node, so no policy is checked on it: {cause}"
        )
        .chars()
        .take(NOTE_LIMIT)
        .collect(),
        regarding: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            // As the kubelet does: `kubectl describe node` looks for Events by the name as UID.
            uid: Some(node.to_owned()),
            ..ObjectReference::default()
        },
        related: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    #[test]
    fn a_long_cause_makes_no_note_that_is_refused() {
        assert!(notice("node-1", &"x".repeat(5000)).note.len() <= 1024);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_said_until_it_is_heard_and_said_again() {
        let note = "Bailiff does not see the processes of this node, so no policy is checked on it: no BTF";
        let said = || {
            let event = json!({
                "reason": "NodeNotMonitored", "regarding": {"uid": "node-1"}, "note": note,
            });
            Call::post("/apis/events.k8s.io/v1/namespaces/default/events").with(event)
        };
        let refused = || said().fails(503, "ServiceUnavailable", "not now");
        let again = |count: i32| said().with(json!({"series": {"count": count}}));
        let rounds = [refused(), refused(), said(), again(2), again(3)];
        let (server, client) = ApiServer::playing(rounds.map(|call| vec![call]));
        // Whatever is asked for too early is too many, and what is too late does not come.
        let told = not_seen("node-1", "sensor-x", client, "no BTF");
        let time = REPEATED * 2 + Duration::from_secs(4);
        tokio::time::timeout(time, told).await.unwrap_err();
        server.finish();
    }
}
