//! Keeps the running pods current.
//!
//! Here: the watch, and when everything is listed again. Not here: what is kept of a pod (`super`).
//! Invariant: every pod is listed again only if a selector names a new label or a pod is unknown, and for
//! a part of the time; a list keeps nothing from statuses of policies whose labels are known, and nothing
//! from Events about Nodes.

use super::{Pods, Reader};
use crate::cache::Cache;
use crate::waits::{HEARTBEAT_INTERVAL, until};
use bailiff_kube::list_watch::{ListWatch, ObjectEvent};
use bailiff_kube::serve::Heartbeat;
use bailiff_policy::MatchResources;
use futures::StreamExt as _;
use kube::Client;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Statuses count no finished pods, and Jobs leave many.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// Least time between two lists because a selector names a new label.
const LABELS_RETRY: Duration = Duration::from_secs(1);
/// Least time between two lists because a pod is unknown.
const UNKNOWN_RETRY: Duration = Duration::from_mins(5);
/// Lists take at most one part in so many of the time.
const LISTS_SHARE: u32 = 4;

/// When everything was and is listed.
struct Lists {
    begun: Instant,
    took: Duration,
    next: Option<Instant>,
}

impl Lists {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            took: Duration::ZERO,
            next: None,
        }
    }

    /// A list is due, at least so long after the last one.
    fn request(&mut self, pause: Duration) {
        let pause = pause.max(self.took.saturating_mul(LISTS_SHARE));
        let at = self.begun + pause;
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// Follows the pods until it is dropped.
pub(crate) async fn follow(client: Client, cache: Cache, pods: Arc<Pods>, heartbeat: Heartbeat) {
    let mut changes = cache.changes();
    cache.complete_with(&heartbeat).await;
    let running = ListWatch::new("/api/v1/pods", Some(RUNNING.to_owned()));
    let mut reader = Reader::new(named_labels(&cache));
    let mut events = running.stream(client.clone());
    let mut lists = Lists::new();
    loop {
        heartbeat.beat();
        tokio::select! {
            biased;
            Ok(()) = changes.changed() => {
                if !named_labels(&cache).is_subset(&reader.label_keys) {
                    lists.request(LABELS_RETRY);
                }
            }
            () = until(lists.next) => {
                lists.next = None;
                reader = Reader::new(named_labels(&cache));
                events = running.stream(client.clone());
            }
            Some(event) = events.next() => match event {
                Ok(event) => apply(&pods, &reader, &mut lists, event),
                Err(error) => {
                    tracing::warn!(%error, "The watch of the pods failed and is retried; what was known stays");
                }
            },
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
        }
    }
}

fn apply(pods: &Pods, reader: &Reader, lists: &mut Lists, event: ObjectEvent) {
    // A list tells at its end whether a pod is unknown.
    let is_listing = matches!(event, ObjectEvent::Listing | ObjectEvent::Listed(_));
    match event {
        ObjectEvent::Listing => {
            lists.begun = Instant::now();
            pods.begin(&reader.label_keys);
        }
        ObjectEvent::Listed(json) | ObjectEvent::Applied(json) => match reader.read(&json) {
            Ok(pod) => {
                if !pods.apply(pod) {
                    unknown(pods, "there is no memory for it");
                }
            }
            Err(error) => unknown(pods, &error),
        },
        ObjectEvent::Deleted(json) => match reader.read(&json) {
            Ok(pod) => pods.delete(pod.metadata.uid.as_deref().unwrap_or_default()),
            Err(error) => unknown(pods, &error),
        },
        ObjectEvent::TooLarge => unknown(pods, "it has more than 10 MiB"),
        ObjectEvent::Complete => {
            lists.took = lists.begun.elapsed();
            pods.complete(&reader.label_keys);
        }
    }
    if !is_listing && lists.next.is_none() && pods.has_unknown() {
        lists.request(UNKNOWN_RETRY);
    }
}

/// A pod is unknown. The first one of a list is logged: tenants can make many.
fn unknown(pods: &Pods, error: &str) {
    if pods.unknown() {
        tracing::warn!(error, "Cannot keep a pod; it does not count as monitored");
    }
}

/// The labels that selectors of policies and bindings name; no others are kept.
fn named_labels(cache: &Cache) -> BTreeSet<String> {
    let rules = cache.rules();
    let policies = rules.policies.all().values();
    let policies = policies.map(|policy| &policy.spec.match_constraints);
    let bindings = rules.bindings.all().values();
    let bindings = bindings.map(|binding| &binding.spec.match_resources);
    let compiled = policies
        .chain(bindings)
        .filter_map(|of| MatchResources::compile(of).ok());
    compiled
        .flat_map(|of| of.object_labels().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests;
