//! Events that the replicas of a component write together.
//!
//! Here: their names and counts. Not here: the objects (`events`), which of them a replica remembers.
//! Invariant: equal Events of a component about an object are one Event with a count, whichever replica writes
//! it. Whoever can write Events can create another one of its name, which is not changed and hides none.

use super::{EventSpec, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Most requests that change an Event, while other replicas change it, too.
const ATTEMPTS: usize = 5;

/// An Event that exists, as a replica last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    name: String,
    version: Option<String>,
    count: i32,
}

/// What became of an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was created.
    Created(Shared),
    /// One that existed counts it.
    Counted(Shared),
}

/// What has the name of an Event.
enum Seen {
    /// The Event.
    Same(Shared),
    /// Another one.
    Other,
    /// Nothing any more.
    Gone,
}

impl Shared {
    fn of(event: &Event) -> Self {
        let series = event.series.as_ref();
        Self {
            name: event.metadata.name.clone().unwrap_or_default(),
            version: event.metadata.resource_version.clone(),
            count: series.map_or(1, |series| series.count),
        }
    }
}

impl Recorder {
    /// Creates an Event, or counts one more if it exists, whichever replica created it. `known` is the Event as
    /// this replica last saw it, which saves a request.
    ///
    /// # Errors
    /// If the API server does not accept it, or if other replicas change it each time.
    pub async fn tell(
        &self,
        spec: &EventSpec,
        known: Option<Shared>,
        now: Timestamp,
    ) -> Result<Told, kube::Error> {
        let mut event = self.event(spec, 1, now);
        let own_name = event.metadata.name.replace(self.shared_name(spec));
        let mut known = known;
        let mut attempt = 1;
        loop {
            let failed = match &known {
                None => match self.create(&event).await {
                    Ok(created) => {
                        let name = event.metadata.name.clone().unwrap_or_default();
                        return Ok(Told::Created(Shared {
                            name,
                            ..Shared::of(&created)
                        }));
                    }
                    Err(error) => error,
                },
                Some(shared) => match self.count(&event, shared, now).await {
                    Ok(counted) => return Ok(Told::Counted(counted)),
                    Err(error) => error,
                },
            };
            let code = match &failed {
                kube::Error::Api(status) => status.code,
                _ => 0,
            };
            attempt += 1;
            known = match (code, known) {
                _ if attempt > ATTEMPTS => return Err(failed),
                // It expired, or somebody deleted it.
                (404, Some(_)) => None,
                // It exists already, or was changed meanwhile.
                (409, known) => {
                    let name = match &known {
                        Some(shared) => &shared.name,
                        None => event.metadata.name.as_deref().unwrap_or_default(),
                    };
                    match self.see(&event, name).await? {
                        Seen::Same(shared) => Some(shared),
                        Seen::Gone => None,
                        Seen::Other => {
                            event.metadata.name.clone_from(&own_name);
                            None
                        }
                    }
                }
                _ => return Err(failed),
            };
        }
    }

    /// Counts one more, if the Event is still as it was seen.
    async fn count(
        &self,
        event: &Event,
        shared: &Shared,
        now: Timestamp,
    ) -> Result<Shared, kube::Error> {
        let count = shared.count.max(1).saturating_add(1);
        let series = EventSeries {
            count,
            last_observed_time: MicroTime(now),
        };
        let mut patch = json!({"series": series});
        if let Some(version) = &shared.version {
            patch["metadata"] = json!({"resourceVersion": version});
        }
        let patched = self.patch(event, &shared.name, &patch).await?;
        Ok(Shared {
            name: shared.name.clone(),
            version: patched.metadata.resource_version,
            count,
        })
    }

    /// What has a name now. The response to a patch that changes nothing has it, so that the component needs no
    /// permission to read Events.
    async fn see(&self, event: &Event, name: &str) -> Result<Seen, kube::Error> {
        match self.patch(event, name, &json!({})).await {
            Ok(found) if is_same(&found, event) => Ok(Seen::Same(Shared {
                name: name.to_owned(),
                ..Shared::of(&found)
            })),
            Ok(_) => Ok(Seen::Other),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Seen::Gone),
            // The protection of the chart admits no change to an Event of others, an empty one neither.
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Seen::Other),
            Err(error) => Err(error),
        }
    }

    async fn patch(&self, event: &Event, name: &str, patch: &Value) -> Result<Event, kube::Error> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let api: kube::Api<Event> = kube::Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams::default();
        api.patch(name, &params, &Patch::Merge(patch)).await
    }

    /// The name that an Event has in each replica.
    fn shared_name(&self, spec: &EventSpec) -> String {
        let uid = spec.regarding.uid.as_deref().unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [self.controller, uid, spec.reason, spec.note.as_str()] {
            hash.update(part);
            hash.update([0]);
        }
        let name = spec.regarding.name.as_deref().unwrap_or("object");
        let name: String = name.chars().take(230).collect();
        let hash = hash.finalize();
        let digits = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
        format!("{name}.{}", digits.collect::<String>())
    }
}

/// Whether two Events say the same about the same object. The API server lets nobody change it later.
fn is_same(found: &Event, event: &Event) -> bool {
    let said = |event: &Event| {
        let regarding = event.regarding.clone().unwrap_or_default();
        (
            event.reporting_controller.clone(),
            event.reason.clone(),
            event.note.clone(),
            event.type_.clone(),
            (regarding.kind, regarding.name, regarding.uid),
        )
    };
    said(found) == said(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_testing::{ApiServer, Call};
    use k8s_openapi::api::core::v1::ObjectReference;

    const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";
    /// It must stay: replicas of two versions write the same Event while a Deployment is updated.
    const NAME: &str = "web.2e86fa9802d2119d";

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn spec() -> EventSpec {
        EventSpec {
            reason: "R",
            action: "A",
            warning: true,
            note: "N".to_owned(),
            regarding: ObjectReference {
                kind: Some("Deployment".to_owned()),
                name: Some("web".to_owned()),
                namespace: Some("shop".to_owned()),
                uid: Some("u".to_owned()),
                ..ObjectReference::default()
            },
            related: None,
        }
    }

    fn path() -> String {
        format!("{EVENTS}/{NAME}")
    }

    /// The Event as the API server has it.
    fn stored(version: &str, count: i32) -> Value {
        let mut event = json!({"metadata": {"name": NAME, "namespace": "shop", "resourceVersion": version},
            "reason": "R", "note": "N", "type": "Warning", "eventTime": null,
            "reportingController": "bailiff.dev/webhook",
            "regarding": {"kind": "Deployment", "name": "web", "namespace": "shop", "uid": "u"}});
        if count > 1 {
            event["series"] =
                json!({"count": count, "lastObservedTime": "2026-01-01T00:00:00.000000Z"});
        }
        event
    }

    fn shared(version: &str, count: i32) -> Shared {
        Shared {
            name: NAME.to_owned(),
            version: Some(version.to_owned()),
            count,
        }
    }

    fn creates() -> Call {
        Call::post(EVENTS).with(json!({"metadata": {"name": NAME}, "note": "N"}))
    }

    fn counts(version: &str, count: i32) -> Call {
        Call::patch(&path())
            .with(json!({"metadata": {"resourceVersion": version}, "series": {"count": count}}))
    }

    fn exists(call: Call) -> Call {
        call.fails(409, "AlreadyExists", "exists")
    }

    fn conflicts(call: Call) -> Call {
        call.fails(409, "Conflict", "changed")
    }

    async fn told(known: Option<Shared>, calls: Vec<Call>) -> Result<Told, String> {
        let (server, client) = ApiServer::playing(calls.into_iter().map(|call| vec![call]));
        let recorder = Recorder::new(client, "bailiff.dev/webhook", "pod-b".to_owned());
        let told = recorder.tell(&spec(), known, now()).await;
        server.finish();
        told.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_first_replica_creates_an_event_and_each_counts_it() {
        let created = told(None, vec![creates().gives(stored("1", 1))]).await;
        assert_eq!(created, Ok(Told::Created(shared("1", 1))));
        let calls = vec![counts("1", 2).gives(stored("2", 2))];
        let counted = told(Some(shared("1", 1)), calls).await;
        assert_eq!(counted, Ok(Told::Counted(shared("2", 2))));
        // Another replica, which does not know of it.
        let calls = vec![
            exists(creates()),
            Call::patch(&path()).gives(stored("2", 2)),
            counts("2", 3).gives(stored("3", 3)),
        ];
        let counted = told(None, calls).await;
        assert_eq!(counted, Ok(Told::Counted(shared("3", 3))));
    }

    #[tokio::test]
    async fn no_count_of_another_replica_is_lost() {
        let calls = vec![
            conflicts(counts("1", 2)),
            Call::patch(&path()).gives(stored("5", 7)),
            counts("5", 8).gives(stored("6", 8)),
        ];
        let counted = told(Some(shared("1", 1)), calls).await;
        assert_eq!(counted, Ok(Told::Counted(shared("6", 8))));
    }

    #[tokio::test]
    async fn an_event_that_expired_is_created_again() {
        let calls = vec![counts("1", 2).is_missing(), creates().gives(stored("9", 1))];
        let created = told(Some(shared("1", 1)), calls).await;
        assert_eq!(created, Ok(Told::Created(shared("9", 1))));
    }

    #[tokio::test]
    async fn an_event_of_others_with_the_name_is_not_changed_and_hides_none() {
        for (field, other) in [
            ("/note", json!("Everything is fine.")),
            ("/regarding/uid", json!("another")),
            ("/reportingController", json!("example.com/other")),
        ] {
            let mut found = stored("1", 1);
            *found.pointer_mut(field).unwrap() = other;
            let name = format!("web.{:x}", now().as_nanosecond());
            let own = Call::post(EVENTS).with(json!({"metadata": {"name": name}, "note": "N"}));
            let calls = vec![
                exists(creates()),
                Call::patch(&path()).with(json!({})).gives(found),
                own,
            ];
            let Ok(Told::Created(created)) = told(None, calls).await else {
                panic!("{field}");
            };
            assert_eq!(created.name, name, "{field}");
        }
    }

    #[tokio::test]
    async fn an_event_of_others_that_must_not_be_seen_hides_none() {
        let name = format!("web.{:x}", now().as_nanosecond());
        for (known, first) in [
            (None, exists(creates())),
            (Some(shared("1", 1)), conflicts(counts("1", 2))),
        ] {
            let seen = Call::patch(&path()).with(json!({}));
            let own = Call::post(EVENTS).with(json!({"metadata": {"name": name}, "note": "N"}));
            let calls = vec![first, seen.fails(403, "Forbidden", "denied"), own];
            let told = told(known, calls).await;
            let Ok(Told::Created(created)) = told else {
                panic!("{told:?}");
            };
            assert_eq!(created.name, name);
        }
    }

    #[tokio::test]
    async fn replicas_that_always_change_it_are_an_error_in_the_end() {
        let mut calls = vec![conflicts(counts("1", 2))];
        for _ in 1..ATTEMPTS {
            calls.push(Call::patch(&path()).gives(stored("1", 1)));
            calls.push(conflicts(counts("1", 2)));
        }
        assert!(told(Some(shared("1", 1)), calls).await.is_err());
    }
}
