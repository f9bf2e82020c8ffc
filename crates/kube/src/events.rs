//! Writes Events (events.k8s.io/v1).
//!
//! Here: the object and the limit on how many are written. Not here: their sentences.
//! Invariant: at most one Event a second is written for each object and reason; what is left
//! out is counted in the next one's series.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

const GAP: SignedDuration = SignedDuration::from_secs(1);

/// What is told.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Upper camel case.
    pub reason: &'static str,
    /// What was done, as a word.
    pub action: &'static str,
    /// Warning, else Normal.
    pub warning: bool,
    /// The sentence.
    pub note: String,
    /// The object that it is about.
    pub regarding: ObjectReference,
    /// Another that matters.
    pub related: Option<ObjectReference>,
}

/// Decides which Events are written; a function of what it is told and the time.
#[derive(Debug, Default)]
pub struct Limit {
    last: BTreeMap<(String, String), (Timestamp, i32)>,
}

impl Limit {
    /// Whether an Event about the object with the reason may be written now, and how many it
    /// stands for.
    pub fn admit(&mut self, uid: &str, reason: &str, now: Timestamp) -> Option<i32> {
        self.last
            .retain(|_, (at, left_out)| *left_out > 0 || now.duration_since(*at) < GAP);
        let key = (uid.to_owned(), reason.to_owned());
        let entry = self.last.get_mut(&key);
        if let Some((at, left_out)) = entry {
            if now.duration_since(*at) < GAP {
                *left_out = left_out.saturating_add(1);
                return None;
            }
            let count = left_out.saturating_add(1);
            (*at, *left_out) = (now, 0);
            return Some(count);
        }
        self.last.insert(key, (now, 0));
        Some(1)
    }
}

/// Writes Events.
pub struct Publisher {
    client: kube::Client,
    controller: &'static str,
    instance: String,
    limit: Mutex<Limit>,
}

impl Publisher {
    /// Writes in the name of a component (`reportingController`) and of one of its replicas.
    #[must_use]
    pub fn new(client: kube::Client, controller: &'static str, instance: String) -> Self {
        Self {
            client,
            controller,
            instance,
            limit: Mutex::default(),
        }
    }

    /// Writes an Event, or counts it for the next.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn publish(&self, notice: &Notice, now: Timestamp) -> Result<(), kube::Error> {
        let uid = notice.regarding.uid.clone().unwrap_or_default();
        let admitted = self
            .limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(&uid, notice.reason, now);
        let Some(count) = admitted else {
            return Ok(());
        };
        self.publish_series(notice, count, now).await
    }

    /// Writes an Event that stands for so many, whatever was written before.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn publish_series(
        &self,
        notice: &Notice,
        count: i32,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let event = self.event(notice, count, now);
        let api: kube::Api<Event> =
            kube::Api::namespaced(self.client.clone(), namespace_of(notice));
        api.create(&PostParams::default(), &event).await.map(drop)
    }

    fn event(&self, notice: &Notice, count: i32, now: Timestamp) -> Event {
        let name = notice.regarding.name.as_deref().unwrap_or("object");
        // A name may have 253 characters, the time takes 17 of them.
        let name: String = name.chars().take(230).collect();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace_of(notice).to_owned()),
                ..ObjectMeta::default()
            },
            action: Some(notice.action.to_owned()),
            reason: Some(notice.reason.to_owned()),
            note: Some(notice.note.clone()),
            type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(notice.regarding.clone()),
            related: notice.related.clone(),
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

/// Events about objects without a namespace live in `default`, by the API.
fn namespace_of(notice: &Notice) -> &str {
    notice.regarding.namespace.as_deref().unwrap_or("default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_event_a_second_and_nothing_is_uncounted() {
        let mut limit = Limit::default();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let counts: Vec<_> = (0..2001)
            .filter_map(|i| limit.admit("pod", "R", start + SignedDuration::from_millis(i)))
            .collect();
        assert_eq!(counts, [1, 1000, 1000]);
        assert_eq!(limit.admit("other", "R", start), Some(1));
    }
}
