//! Writes Events (events.k8s.io/v1).
//!
//! Here: the object, and the limit on equal Events. Not here: their notes, Events that replicas write together
//! (`shared`).
//! Invariant: at most one Event a second has the same object, reason and note; the others are counted,
//! and reported as a series at the end of the second. An Event with another note is written at once.

mod shared;

pub use shared::{Shared, Told};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const GAP: Duration = Duration::from_secs(1);
/// Most Events that are remembered, which bounds the memory; beyond it every Event is written.
const REMEMBERED_LIMIT: usize = 4096;

/// What an Event reports.
#[derive(Clone, Debug)]
pub struct EventSpec {
    /// Upper camel case.
    pub reason: &'static str,
    /// What was attempted, as one word.
    pub action: &'static str,
    /// Warning, else Normal.
    pub warning: bool,
    /// The message, at most 1,024 bytes.
    pub note: String,
    /// The object that the Event is about.
    pub regarding: ObjectReference,
    /// Another object that is involved.
    pub related: Option<ObjectReference>,
}

/// UID of the object, reason and note.
type EventKey = (String, &'static str, String);

/// When an Event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admitted {
    /// At once.
    Now,
    /// An equal one was written less than a second ago: it is counted, and written after the pause.
    After(Duration),
    /// It is counted with others that wait.
    Counted,
}

/// Decides which Events are written; a function of the Events and the time.
#[derive(Debug, Default)]
struct Deduplicator {
    /// When each was last written, and how many were counted since.
    last: BTreeMap<EventKey, (Timestamp, i32)>,
    /// When old entries were last dropped.
    pruned: Option<Timestamp>,
}

impl Deduplicator {
    fn admit(&mut self, key: &EventKey, now: Timestamp) -> Admitted {
        let gap = SignedDuration::try_from(GAP).unwrap_or(SignedDuration::MAX);
        let over = |at: Timestamp| now.duration_since(at) >= gap;
        if self.pruned.is_none_or(over) {
            self.last
                .retain(|_, (at, counted)| *counted > 0 || !over(*at));
            self.pruned = Some(now);
        }
        match self.last.get_mut(key) {
            Some((at, counted)) if *counted > 0 || !over(*at) => {
                *counted = counted.saturating_add(1);
                if *counted > 1 {
                    return Admitted::Counted;
                }
                let left = gap - now.duration_since(*at);
                Admitted::After(Duration::try_from(left).unwrap_or_default())
            }
            Some(_) | None => {
                if self.last.len() < REMEMBERED_LIMIT {
                    self.last.insert(key.clone(), (now, 0));
                }
                Admitted::Now
            }
        }
    }

    /// The number of counted Events, which are written now.
    fn flush(&mut self, key: &EventKey, now: Timestamp) -> i32 {
        let Some((at, counted)) = self.last.get_mut(key) else {
            return 0;
        };
        *at = now;
        std::mem::take(counted)
    }
}

/// Writes Events.
#[derive(Clone)]
pub struct Recorder {
    client: kube::Client,
    controller: &'static str,
    instance: String,
    deduplicator: Arc<Mutex<Deduplicator>>,
}

impl Recorder {
    /// Writes as a component (`reportingController`) and one of its replicas (`reportingInstance`).
    #[must_use]
    pub fn new(client: kube::Client, controller: &'static str, instance: String) -> Self {
        Self {
            client,
            controller,
            instance,
            deduplicator: Arc::default(),
        }
    }

    /// Writes an Event. If an equal one was written less than a second ago, it is counted and written
    /// at the end of the second, in a series.
    ///
    /// # Errors
    /// If the API server does not accept it.
    pub async fn publish(&self, spec: &EventSpec, now: Timestamp) -> Result<(), kube::Error> {
        let key = (
            spec.regarding.uid.clone().unwrap_or_default(),
            spec.reason,
            spec.note.clone(),
        );
        let admitted = self.deduplicator().admit(&key, now);
        match admitted {
            Admitted::Now => self.publish_series(spec, 1, now).await,
            Admitted::Counted => Ok(()),
            Admitted::After(pause) => {
                let (recorder, spec) = (self.clone(), spec.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    let now = Timestamp::now();
                    let count = recorder.deduplicator().flush(&key, now);
                    if count > 0
                        && let Err(error) = recorder.publish_series(&spec, count, now).await
                    {
                        tracing::warn!(%error, reason = spec.reason, "Cannot write an Event");
                    }
                });
                Ok(())
            }
        }
    }

    fn deduplicator(&self) -> MutexGuard<'_, Deduplicator> {
        self.deduplicator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an Event that counts for `count` equal ones, also after an equal one.
    ///
    /// # Errors
    /// If the API server does not accept it.
    pub async fn publish_series(
        &self,
        spec: &EventSpec,
        count: i32,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        self.create(&self.event(spec, count, now)).await.map(drop)
    }

    async fn create(&self, event: &Event) -> Result<Event, kube::Error> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let api: kube::Api<Event> = kube::Api::namespaced(self.client.clone(), namespace);
        api.create(&PostParams::default(), event).await
    }

    fn event(&self, spec: &EventSpec, count: i32, now: Timestamp) -> Event {
        let name = spec.regarding.name.as_deref().unwrap_or("object");
        // A name can have 253 characters; the time takes 17 of them.
        let name: String = name.chars().take(230).collect();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace_of(spec).to_owned()),
                ..ObjectMeta::default()
            },
            action: Some(spec.action.to_owned()),
            reason: Some(spec.reason.to_owned()),
            note: Some(spec.note.clone()),
            type_: Some(if spec.warning { "Warning" } else { "Normal" }.to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(spec.regarding.clone()),
            related: spec.related.clone(),
            reporting_controller: Some(self.controller.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            series: (count > 1).then_some(EventSeries {
                count,
                last_observed_time: MicroTime(now),
            }),
            ..Event::default()
        }
    }
}

/// The reference to a Node in an Event about it. Its UID is its name, as in the Events of the kubelet:
/// `kubectl describe node` searches for Events by this UID.
#[must_use]
pub fn node_reference(name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Node".to_owned()),
        name: Some(name.to_owned()),
        uid: Some(name.to_owned()),
        ..ObjectReference::default()
    }
}

/// The reference to a Pod in an Event about it.
#[must_use]
pub fn pod_reference(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// The API requires that Events about objects without a namespace are in `default`.
fn namespace_of(spec: &EventSpec) -> &str {
    spec.regarding.namespace.as_deref().unwrap_or("default")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn key(uid: &str, note: &str) -> EventKey {
        (uid.to_owned(), "R", note.to_owned())
    }

    #[test]
    fn an_equal_event_is_written_once_a_second_and_all_are_counted() {
        let mut deduplicator = Deduplicator::default();
        let same = key("web", "pod web-1");
        let at = |millis| start() + SignedDuration::from_millis(millis);
        assert_eq!(deduplicator.admit(&same, at(0)), Admitted::Now);
        let left = Duration::from_millis(900);
        assert_eq!(deduplicator.admit(&same, at(100)), Admitted::After(left));
        for millis in 101..1000 {
            assert_eq!(deduplicator.admit(&same, at(millis)), Admitted::Counted);
        }
        assert_eq!(deduplicator.flush(&same, at(1000)), 900);
        assert_eq!(deduplicator.admit(&same, at(2000)), Admitted::Now);
    }

    #[test]
    fn another_pod_or_policy_of_the_same_workload_is_reported_at_once() {
        let mut deduplicator = Deduplicator::default();
        for (uid, note) in [
            ("web", "pod web-1"),
            ("web", "pod web-2"),
            ("web", "pod web-1, another policy"),
            ("db", "pod web-1"),
        ] {
            assert_eq!(
                deduplicator.admit(&key(uid, note), start()),
                Admitted::Now,
                "{note}"
            );
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_dropped() {
        let mut deduplicator = Deduplicator::default();
        for number in 0..2 * REMEMBERED_LIMIT {
            let same = key("web", &number.to_string());
            assert_eq!(deduplicator.admit(&same, start()), Admitted::Now);
        }
        assert_eq!(deduplicator.last.len(), REMEMBERED_LIMIT);
        // One was counted and written; a second later nothing is remembered.
        let same = key("web", "0");
        assert!(matches!(
            deduplicator.admit(&same, start()),
            Admitted::After(_)
        ));
        deduplicator.flush(&same, start());
        let later = start() + SignedDuration::from_secs(1);
        deduplicator.admit(&key("web", "new"), later);
        assert_eq!(deduplicator.last.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn counted_events_are_written_at_the_end_of_the_second() {
        let path = "/apis/events.k8s.io/v1/namespaces/shop/events";
        let event = json!({"reason": "R", "note": "pod web-1", "type": "Warning",
            "regarding": {"kind": "Deployment", "name": "web", "uid": "web"},
            "reportingController": "bailiff.dev/controller", "reportingInstance": "a"});
        let mut series = event.clone();
        series["series"] = json!({"count": 2});
        let (server, client) = ApiServer::playing([
            vec![Call::post(path).with(event)],
            vec![Call::post(path).with(json!({"note": "pod web-2"}))],
            vec![Call::post(path).with(series)],
        ]);
        let recorder = Recorder::new(client, "bailiff.dev/controller", "a".to_owned());
        let spec = EventSpec {
            reason: "R",
            action: "A",
            warning: true,
            note: "pod web-1".to_owned(),
            regarding: ObjectReference {
                kind: Some("Deployment".to_owned()),
                name: Some("web".to_owned()),
                namespace: Some("shop".to_owned()),
                uid: Some("web".to_owned()),
                ..ObjectReference::default()
            },
            related: None,
        };
        let other = EventSpec {
            note: "pod web-2".to_owned(),
            ..spec.clone()
        };
        for spec in [&spec, &other, &spec, &spec] {
            recorder.publish(spec, start()).await.unwrap();
        }
        tokio::time::sleep(2 * GAP).await;
        server.finish();
    }
}
