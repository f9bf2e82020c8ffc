//! Writes Events (events.k8s.io/v1).
//!
//! Here: the object and the limit on how many are written. Not here: their sentences.
//! Invariant: at most one Event a second says the same of the same object; what is left out is
//! counted, and told when the second is over. What says something else is an Event of its own.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const GAP: Duration = Duration::from_secs(1);
/// Most Events that are remembered, so that memory has a bound; beyond it none is left out.
const REMEMBERED_LIMIT: usize = 4096;

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

/// What an Event says: about which object (by UID), with which reason and note.
type Said = (String, &'static str, String);

/// What is done with an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admitted {
    /// It is written now.
    Now,
    /// The same was written just now: it is counted, and told after the pause.
    After(Duration),
    /// It is counted with others that are told anyway.
    Counted,
}

/// Decides which Events are written; a function of what it is told and the time.
#[derive(Debug, Default)]
struct Limit {
    /// When each was written last, and how many were left out since.
    last: BTreeMap<Said, (Timestamp, i32)>,
    /// When what is over was last forgotten.
    pruned: Option<Timestamp>,
}

impl Limit {
    fn admit(&mut self, said: &Said, now: Timestamp) -> Admitted {
        let gap = SignedDuration::try_from(GAP).unwrap_or(SignedDuration::MAX);
        let over = |at: Timestamp| now.duration_since(at) >= gap;
        if self.pruned.is_none_or(over) {
            self.last
                .retain(|_, (at, left_out)| *left_out > 0 || !over(*at));
            self.pruned = Some(now);
        }
        match self.last.get_mut(said) {
            Some((at, left_out)) if *left_out > 0 || !over(*at) => {
                *left_out = left_out.saturating_add(1);
                if *left_out > 1 {
                    return Admitted::Counted;
                }
                let left = gap - now.duration_since(*at);
                Admitted::After(Duration::try_from(left).unwrap_or_default())
            }
            Some(_) | None => {
                if self.last.len() < REMEMBERED_LIMIT {
                    self.last.insert(said.clone(), (now, 0));
                }
                Admitted::Now
            }
        }
    }

    /// How many were left out, which are told now.
    fn flush(&mut self, said: &Said, now: Timestamp) -> i32 {
        let Some((at, left_out)) = self.last.get_mut(said) else {
            return 0;
        };
        *at = now;
        std::mem::take(left_out)
    }
}

/// Writes Events.
#[derive(Clone)]
pub struct Publisher {
    client: kube::Client,
    controller: &'static str,
    instance: String,
    limit: Arc<Mutex<Limit>>,
}

impl Publisher {
    /// Writes in the name of a component (`reportingController`) and of one of its replicas.
    #[must_use]
    pub fn new(client: kube::Client, controller: &'static str, instance: String) -> Self {
        Self {
            client,
            controller,
            instance,
            limit: Arc::default(),
        }
    }

    /// Writes an Event; one that says what was said less than a second ago is told with others
    /// like it when the second is over.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn publish(&self, notice: &Notice, now: Timestamp) -> Result<(), kube::Error> {
        let said = (
            notice.regarding.uid.clone().unwrap_or_default(),
            notice.reason,
            notice.note.clone(),
        );
        let admitted = self.limit().admit(&said, now);
        match admitted {
            Admitted::Now => self.publish_series(notice, 1, now).await,
            Admitted::Counted => Ok(()),
            Admitted::After(pause) => {
                let (publisher, notice) = (self.clone(), notice.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    let now = Timestamp::now();
                    let count = publisher.limit().flush(&said, now);
                    if count > 0
                        && let Err(error) = publisher.publish_series(&notice, count, now).await
                    {
                        tracing::warn!(%error, reason = notice.reason, "cannot write an event");
                    }
                });
                Ok(())
            }
        }
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
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
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn said(uid: &str, note: &str) -> Said {
        (uid.to_owned(), "R", note.to_owned())
    }

    #[test]
    fn the_same_is_said_once_a_second_and_nothing_is_uncounted() {
        let mut limit = Limit::default();
        let same = said("web", "pod web-1");
        let at = |millis| start() + SignedDuration::from_millis(millis);
        assert_eq!(limit.admit(&same, at(0)), Admitted::Now);
        let left = Duration::from_millis(900);
        assert_eq!(limit.admit(&same, at(100)), Admitted::After(left));
        for millis in 101..1000 {
            assert_eq!(limit.admit(&same, at(millis)), Admitted::Counted);
        }
        assert_eq!(limit.flush(&same, at(1000)), 900);
        assert_eq!(limit.admit(&same, at(2000)), Admitted::Now);
    }

    #[test]
    fn another_pod_or_policy_of_the_same_workload_is_told_at_once() {
        let mut limit = Limit::default();
        for (uid, note) in [
            ("web", "pod web-1"),
            ("web", "pod web-2"),
            ("web", "pod web-1, another policy"),
            ("db", "pod web-1"),
        ] {
            assert_eq!(
                limit.admit(&said(uid, note), start()),
                Admitted::Now,
                "{note}"
            );
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let mut limit = Limit::default();
        for number in 0..2 * REMEMBERED_LIMIT {
            let same = said("web", &number.to_string());
            assert_eq!(limit.admit(&same, start()), Admitted::Now);
        }
        assert_eq!(limit.last.len(), REMEMBERED_LIMIT);
        // One was left out and told; a second later nothing is remembered.
        let same = said("web", "0");
        assert!(matches!(limit.admit(&same, start()), Admitted::After(_)));
        limit.flush(&same, start());
        let later = start() + SignedDuration::from_secs(1);
        limit.admit(&said("web", "new"), later);
        assert_eq!(limit.last.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_left_out_is_written_when_its_second_is_over() {
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
        let publisher = Publisher::new(client, "bailiff.dev/controller", "a".to_owned());
        let notice = Notice {
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
        let other = Notice {
            note: "pod web-2".to_owned(),
            ..notice.clone()
        };
        for notice in [&notice, &other, &notice, &notice] {
            publisher.publish(notice, start()).await.unwrap();
        }
        tokio::time::sleep(2 * GAP).await;
        server.finish();
    }
}
