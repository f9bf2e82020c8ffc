//! The `ConfigMaps` that keep the answers about admitted images.
//!
//! Here: reading, watching and writing them. Not here: what is in them (`bailiff_oci::persisted`), and what is
//! written when (`facts`).
//! Invariant: no review waits for them, and nothing that they have, or lack, stops the webhook. A write
//! replaces only the version that it was made from. A replica writes a `ConfigMap` at most once a minute, but for
//! conflicts and its end.

use crate::facts::{Aged, Condition, Facts, Observed, Registry, bytes};
use bailiff_kube::decode::Decoded;
use bailiff_kube::list_watch::{ListWatch, ListWatchError, Named, NamedObject, ObjectEvent};
use bailiff_oci::persisted::{CONFIG_MAPS, read};
use futures::stream::{SelectAll, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client, Resource as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How often a replica writes a `ConfigMap` at most.
const WRITE_INTERVAL: Duration = Duration::from_mins(1);
/// How long a write can take, with its conflicts.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How often a write that conflicts is tried.
const ATTEMPTS: usize = 3;
/// How long the webhook waits for them at its start.
const LOAD_LIMIT: Duration = Duration::from_secs(10);
/// How many lines that cannot be used are logged of a `ConfigMap`.
const FAULTS_LOGGED: usize = 5;
/// What the API server reports as the writer.
const MANAGER: &str = "bailiff-webhook";

/// Why a `ConfigMap` was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Aged(#[from] Aged),
}

/// Keeps the `ConfigMaps`. Clones share what is known.
pub(crate) struct Persistence<R: Registry> {
    facts: Facts<R>,
    client: Client,
    namespace: String,
    /// When in each minute this replica writes each `ConfigMap`.
    offsets: [Duration; CONFIG_MAPS.len()],
    read: CancellationToken,
}

impl<R: Registry> Clone for Persistence<R> {
    fn clone(&self) -> Self {
        Self {
            facts: self.facts.clone(),
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            offsets: self.offsets,
            read: self.read.clone(),
        }
    }
}

impl<R: Registry> Persistence<R> {
    /// Nothing is read yet.
    pub(crate) fn new(facts: Facts<R>, client: Client, namespace: &str, replica: &str) -> Self {
        Self {
            facts,
            client,
            namespace: namespace.to_owned(),
            offsets: std::array::from_fn(|number| offset(replica, number)),
            read: CancellationToken::new(),
        }
    }

    /// Ends when each `ConfigMap` was read, or is known to be missing or corrupt, and after [`LOAD_LIMIT`] at the
    /// latest.
    pub(crate) async fn loaded(&self) {
        if timeout(LOAD_LIMIT, self.read.cancelled()).await.is_err() {
            tracing::warn!(
                "Did not read every ConfigMap with answers of registries in time, and starts without them"
            );
        }
    }

    /// Watches the `ConfigMaps` and writes into them, until it is dropped.
    pub(crate) async fn run(&self) {
        let path = ConfigMap::url_path(&(), Some(&self.namespace));
        let watches = CONFIG_MAPS.iter().enumerate().map(|(number, name)| {
            let selector = Some(format!("metadata.name={name}"));
            let events = ListWatch::new(&path, selector).stream(self.client.clone());
            Box::pin(events.map(move |event| (number, event)))
        });
        let mut events: SelectAll<_> = watches.collect();
        let begun = Instant::now();
        let mut next = self.offsets.map(|offset| begun + offset);
        let mut objects = [NamedObject::default(); CONFIG_MAPS.len()];
        loop {
            let due = next.iter().enumerate().min_by_key(|(_, at)| **at);
            let Some((number, at)) = due.map(|(number, at)| (number, *at)) else {
                return;
            };
            tokio::select! {
                Some((number, event)) = events.next() => self.event(number, event, &mut objects),
                () = sleep_until(at) => {
                    self.write(number, false).await;
                    if let Some(next) = next.get_mut(number) {
                        *next = Instant::now() + WRITE_INTERVAL;
                    }
                }
            }
        }
    }

    /// Writes what was not written yet.
    pub(crate) async fn save(&self) {
        let all = (0..CONFIG_MAPS.len()).map(|number| self.write(number, true));
        futures::future::join_all(all).await;
    }

    fn event(
        &self,
        number: usize,
        event: Result<ObjectEvent, ListWatchError>,
        objects: &mut [NamedObject; CONFIG_MAPS.len()],
    ) {
        let (object, event) = match (objects.get_mut(number), event) {
            (Some(object), Ok(event)) => (object, event),
            (None, _) => return,
            (Some(_), Err(error)) => {
                let name = name(number);
                tracing::warn!(name, %error, "A watch failed and is retried; what was known stays");
                return;
            }
        };
        let observed = match object.apply(&event) {
            Some(Named::Found(object)) => decoded(number, object),
            Some(Named::TooLarge) => corrupt(number, "it is too large"),
            Some(Named::Missing) => Observed::Missing,
            None => return,
        };
        self.observe(number, observed);
    }

    fn observe(&self, number: usize, observed: Observed) {
        let is_missing = matches!(observed, Observed::Missing);
        let before = self.facts.observe(number, observed);
        if is_missing && before != Condition::Missing {
            let name = name(number);
            tracing::warn!(
                name,
                "The ConfigMap is missing, so its answers of registries are lost with the memory of the webhook. Restore it with `helm upgrade`"
            );
        }
        if self.facts.are_observed() {
            self.read.cancel();
        }
    }

    async fn write(&self, number: usize, is_last: bool) {
        let problem = match timeout(WRITE_LIMIT, self.try_write(number, is_last)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the API server did not respond".to_owned(),
        };
        self.facts.not_written();
        let name = name(number);
        tracing::warn!(
            name,
            error = problem,
            "Could not write the ConfigMap with answers of registries; the next write has them, too"
        );
    }

    async fn try_write(&self, number: usize, is_last: bool) -> Result<(), WriteError> {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        for attempt in 1..=ATTEMPTS {
            // By what the watch brought last, most of the time there is nothing to write.
            if self.facts.to_write(number, is_last)?.is_none() {
                return Ok(());
            }
            let Some(mut map) = maps.get_opt(name(number)).await? else {
                self.observe(number, Observed::Missing);
                return Ok(());
            };
            self.observe(number, observed(number, &map));
            let Some(write) = self.facts.to_write(number, is_last)? else {
                return Ok(());
            };
            map.data = Some(write.data.clone());
            map.binary_data = None;
            let parameters = PostParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PostParams::default()
            };
            match maps.replace(name(number), &parameters, &map).await {
                Ok(_) => {
                    self.facts.written(number, write);
                    return Ok(());
                }
                // Another replica was faster: what it wrote is added to.
                Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn name(number: usize) -> &'static str {
    CONFIG_MAPS.get(number).copied().unwrap_or_default()
}

/// When in each minute a replica writes a `ConfigMap`: replicas and `ConfigMaps` have different times, which are
/// always the same.
fn offset(replica: &str, number: usize) -> Duration {
    let mut hash = DefaultHasher::new();
    (replica, number).hash(&mut hash);
    let interval = u64::try_from(WRITE_INTERVAL.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(hash.finish() % interval)
}

/// What an object has that the watch brought.
fn decoded(number: usize, object: &[u8]) -> Observed {
    let decoded = Decoded::<ConfigMap>::from_text(&String::from_utf8_lossy(object));
    match decoded.into_result() {
        Ok(map) => observed(number, &map),
        // The error of the decoder quotes what it read.
        Err(_) => corrupt(number, "it cannot be decoded"),
    }
}

fn observed(number: usize, map: &ConfigMap) -> Observed {
    let now = Timestamp::now().as_second();
    match read(number, map.data.as_ref(), now) {
        Ok(read) => {
            let name = name(number);
            for fault in read.faults.iter().take(FAULTS_LOGGED) {
                tracing::warn!(name, %fault, "An answer in the ConfigMap cannot be used; others are");
            }
            Observed::Read {
                bytes: map.data.as_ref().map_or(0, bytes),
                read,
            }
        }
        Err(cause) => corrupt(number, &cause.to_string()),
    }
}

fn corrupt(number: usize, cause: &str) -> Observed {
    let name = name(number);
    tracing::error!(
        name,
        cause,
        "The ConfigMap with answers of registries is corrupt and is not used. The next write replaces its data. Find out who changed it"
    );
    Observed::Corrupt
}

#[cfg(test)]
mod tests;
