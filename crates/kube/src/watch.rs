//! Watches with a short backoff.
//!
//! Here: opening a watch, its events, and the backoff after a failure. Not here: what is watched, and
//! decoding it (`decode`).
//! Invariant: after an outage, a watch is current within a few seconds; the client detects an
//! interrupted watch (`client`, about a minute).

use crate::decode::{Decoded, Listing, UndecodableObjects};
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Resource as _};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// First pause after a failure.
const FIRST: Duration = Duration::from_millis(250);
/// Longest pause. That of kube is 30 seconds, and for so long after an outage of the API server a sensor
/// would evaluate old policies. The pauses have jitter, so that the sensors of a cluster do not
/// reconnect at the same time.
const LONGEST: Duration = Duration::from_secs(4);

/// Most objects of a page of a list: an object can have more than a megabyte.
pub const PAGE_LIMIT: u32 = 100;

/// An event of a list or watch.
#[derive(Clone, Debug)]
pub enum Event<K> {
    /// A list begins. Objects that it does not name do not exist when it is complete.
    Init,
    /// An object of the list.
    InitApply(K),
    /// The list is complete.
    InitDone,
    /// An object was created or updated.
    Apply(K),
    /// An object was deleted, or can no longer be decoded. Has its name, namespace and UID.
    Delete(Box<ObjectMeta>),
}

/// The events of a watch.
pub type Watch<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// Watches objects until the stream is dropped. A failure is an item of the stream, and the watch is
/// opened again. Each object is decoded by itself: one that cannot be decoded counts as deleted here,
/// and `undecodable` has the error. A page of a list has at most [`PAGE_LIMIT`] objects.
#[must_use]
pub fn objects<K>(
    api: Api<Decoded<K>>,
    config: watcher::Config,
    undecodable: &UndecodableObjects,
) -> Watch<K>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + DeserializeOwned
        + 'static,
{
    objects_of(api, config, undecodable, K::kind(&()).into_owned())
}

/// Watches objects of a kind that is known only at run time.
#[must_use]
pub fn objects_of<K>(
    api: Api<Decoded<K>>,
    mut config: watcher::Config,
    undecodable: &UndecodableObjects,
    kind: String,
) -> Watch<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + DeserializeOwned + 'static,
{
    let page = config.page_size.unwrap_or(PAGE_LIMIT).min(PAGE_LIMIT);
    config.page_size = Some(page);
    let mut listing = undecodable.follow(kind);
    watcher(api, config)
        .backoff(Pauses::default())
        .filter_map(move |event| {
            let sorted = event.map(|event| sort(event, &mut listing)).transpose();
            std::future::ready(sorted)
        })
        .boxed()
}

/// The event without an undecodable object; none if nothing is left.
fn sort<K: kube::Resource>(
    event: watcher::Event<Decoded<K>>,
    listing: &mut Listing,
) -> Option<Event<K>> {
    match event {
        watcher::Event::Init => {
            listing.begin();
            Some(Event::Init)
        }
        watcher::Event::InitApply(object) => listing.sort(object, true).ok().map(Event::InitApply),
        watcher::Event::InitDone => {
            listing.end();
            Some(Event::InitDone)
        }
        watcher::Event::Apply(object) => Some(match listing.sort(object, false) {
            Ok(object) => Event::Apply(object),
            Err(metadata) => Event::Delete(metadata),
        }),
        watcher::Event::Delete(object) => {
            let metadata = object.meta();
            listing.deleted(metadata);
            Some(Event::Delete(Box::new(ObjectMeta {
                name: metadata.name.clone(),
                namespace: metadata.namespace.clone(),
                uid: metadata.uid.clone(),
                ..ObjectMeta::default()
            })))
        }
    }
}

/// The backoff between attempts to open a watch. An event resets it.
#[derive(Debug)]
pub(crate) struct Pauses(ExponentialBackoff);

impl Default for Pauses {
    fn default() -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .with_jitter()
            .without_max_times();
        Self(pauses.build())
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_api::RuntimePolicy;
    use bailiff_testing::{ApiServer, Call};
    use kube::ResourceExt as _;
    use serde_json::{Value, json};

    fn policy(name: &str, expression: &Value, time: &str) -> Value {
        json!({
            "metadata": {"name": name, "uid": name, "resourceVersion": "7"},
            "spec": {"validations": [{"expression": expression}]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "",
                "lastTransitionTime": time}]},
        })
    }

    #[tokio::test]
    async fn an_object_that_cannot_be_decoded_stops_no_other() {
        let path = "/apis/bailiff.dev/v1alpha1/runtimepolicies";
        let (good, bad) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+99:99");
        let list = json!({"metadata": {"resourceVersion": "9"}, "items": [
            policy("bad-status", &json!("true"), bad),
            policy("bad-spec", &json!(7), good),
            policy("good", &json!("true"), good),
        ]});
        let (server, client) = ApiServer::playing([vec![Call::get(path).gives(list)]]);
        let undecodable = UndecodableObjects::default();
        let config = watcher::Config::default();
        let watch = objects::<RuntimePolicy>(Api::all(client), config, &undecodable);
        let brought: Vec<_> = watch
            .take(4)
            .map(|event| match event.unwrap() {
                Event::Init => "begin".to_owned(),
                Event::InitApply(policy) => policy.name_any(),
                Event::InitDone => "end".to_owned(),
                Event::Apply(_) | Event::Delete(_) => "too many".to_owned(),
            })
            .collect()
            .await;
        assert_eq!(brought, ["begin", "bad-status", "good", "end"]);
        let told: Vec<_> = undecodable
            .of_kind("RuntimePolicy")
            .into_iter()
            .map(|problem| {
                (
                    problem.metadata.name.unwrap(),
                    problem.error,
                    problem.usable,
                )
            })
            .collect();
        let cause =
            "status.conditions[0].lastTransitionTime: failed to parse hours in UTC numeric offset";
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0].0, "bad-spec");
        assert_eq!(
            told[0].1,
            "spec.validations[0].expression: invalid type: integer `7`, expected a string"
        );
        assert!(!told[0].2);
        assert_eq!(told[1].0, "bad-status");
        assert!(told[1].1.starts_with(cause), "{}", told[1].1);
        assert!(told[1].2);
        server.finish();
    }

    #[test]
    fn what_can_no_longer_be_decoded_is_gone_until_it_can_be_again() {
        let undecodable = UndecodableObjects::default();
        let mut listing = undecodable.follow("RuntimePolicy".to_owned());
        let time = "2026-01-01T00:00:00Z";
        let mut brings = |expression: Value| {
            let text = policy("p", &expression, time).to_string();
            sort(
                watcher::Event::Apply(Decoded::<RuntimePolicy>::from_text(&text)),
                &mut listing,
            )
        };
        let count = || undecodable.of_kind("RuntimePolicy").len();
        assert!(matches!(brings(json!("true")), Some(Event::Apply(_))));
        assert_eq!(count(), 0);
        let gone = brings(json!(7));
        assert!(
            matches!(&gone, Some(Event::Delete(m)) if m.name.as_deref() == Some("p")),
            "{gone:?}"
        );
        assert_eq!(count(), 1);
        assert!(matches!(brings(json!("true")), Some(Event::Apply(_))));
        assert_eq!(count(), 0);
        // One that is deleted while it cannot be decoded, and one that a new list does not name.
        drop((brings(json!(7)), count()));
        drop(sort::<RuntimePolicy>(watcher::Event::Init, &mut listing));
        drop(sort::<RuntimePolicy>(
            watcher::Event::InitDone,
            &mut listing,
        ));
        assert_eq!(undecodable.of_kind("RuntimePolicy").len(), 0);
    }

    #[test]
    fn the_metric_counts_by_kind() {
        let undecodable = UndecodableObjects::default();
        let mut listing = undecodable.follow("RuntimePolicy".to_owned());
        drop(undecodable.follow("Pod".to_owned()));
        let text = policy("p", &json!(7), "2026-01-01T00:00:00Z").to_string();
        drop(sort(
            watcher::Event::InitApply(Decoded::<RuntimePolicy>::from_text(&text)),
            &mut listing,
        ));
        let mut registry = prometheus_client::registry::Registry::default();
        let prefixed = registry.sub_registry_with_prefix("bailiff_sensor");
        prefixed.register_collector(Box::new(undecodable));
        let mut shown = String::new();
        prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
        for line in [
            "bailiff_sensor_undecodable_objects{kind=\"Pod\"} 0\n",
            "bailiff_sensor_undecodable_objects{kind=\"RuntimePolicy\"} 1\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }

    #[test]
    fn pauses_grow_never_end_and_stay_within_seconds() {
        let mut pauses = Pauses::default();
        assert!(pauses.next().unwrap() < 3 * FIRST);
        let later: Vec<_> = pauses.by_ref().skip(20).take(20).collect();
        assert_eq!(later.len(), 20);
        assert!(
            later
                .iter()
                .all(|pause| LONGEST <= *pause && *pause <= 2 * LONGEST),
            "{later:?}"
        );
        pauses.reset();
        assert!(pauses.next().unwrap() < 3 * FIRST);
    }
}
