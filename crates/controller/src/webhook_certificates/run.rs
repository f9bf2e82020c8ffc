//! When a pass is made: after each change of an object that it is about, and when something is due.
//!
//! Here: watches, pauses, metrics. Not here: what a pass changes (`plan`).
//! Invariant: nothing is polled; a pass reads everything again, so that it never depends on the order of events;
//! with a tool that undoes what it writes, passes get rarer.

use super::apply::{PassError, Seen, Written, causes, delete, delete_rendered_owner, read, write};
use super::plan::{Kind, Plan, plan};
use crate::metrics::Metrics;
use crate::waits::{HEARTBEAT_INTERVAL, until};
use bailiff_api::keys::{WEBHOOK_CA_SECRET, WEBHOOK_CONFIGURATION, WEBHOOK_TLS_SECRET};
use bailiff_kube::list_watch::{ListWatch, ListWatchError, ObjectEvent};
use bailiff_kube::serve::Heartbeat;
use futures::future::join_all;
use futures::stream::{BoxStream, StreamExt as _, select_all};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Client, Resource};
use std::time::Duration;
use tokio::time::Instant;

/// Pause after a pass, at least and at most. It doubles with each pass that writes or fails.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_LIMIT: Duration = Duration::from_mins(1);
/// After how long without a write the pause is the shortest again.
const CALM: Duration = Duration::from_mins(2);
/// Most plans of a pass. A new authority takes four.
const PLANS_LIMIT: usize = 12;

/// What a watch brings.
#[derive(Clone, Copy, Debug)]
enum Trigger {
    /// An object may have changed.
    Changed,
    /// The namespace is being deleted.
    Terminating,
}

/// Keeps the certificates current until it is dropped.
pub(crate) async fn run(client: Client, namespace: String, metrics: Metrics, heartbeat: Heartbeat) {
    let mut triggers = triggers(&client, &namespace);
    let mut due = None;
    let mut schedule = Schedule::new(Instant::now());
    loop {
        heartbeat.beat();
        tokio::select! {
            Some(trigger) = triggers.next() => {
                schedule.triggered(trigger, Instant::now());
                continue;
            }
            () = until(schedule.next) => {}
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {
                // By the clock that the certificates are about, which can be set.
                if due.is_some_and(|due| due <= Timestamp::now()) {
                    schedule.triggered(Trigger::Changed, Instant::now());
                }
                continue;
            }
        }
        let passed = pass(&client, &namespace).await;
        let end = match passed {
            Ok(Pass { wrote: false, .. }) => End::Quiet,
            Ok(Pass { wrote: true, .. }) => End::Wrote,
            Err(_) => End::Failed,
        };
        schedule.passed(end, Instant::now());
        match passed {
            Ok(pass) => {
                due = pass.plan.due;
                let seconds = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_second);
                let ends = seconds(pass.plan.served_ends);
                metrics.webhook_certificate_expiry.set(ends);
                let ends = seconds(pass.plan.authority_ends);
                metrics.webhook_ca_expiry.set(ends);
            }
            Err(error) => {
                tracing::warn!(error = %causes(&error), "Cannot keep the certificates of the webhook current; it is retried");
                metrics.webhook_certificate_failures.inc();
            }
        }
    }
}

/// How a pass ended, for what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing was written.
    Quiet,
    /// Something was written.
    Wrote,
    /// It failed, and is repeated.
    Failed,
}

/// When the next pass is made.
#[derive(Debug)]
struct Schedule {
    /// The next pass; none: after a change.
    next: Option<Instant>,
    /// Changes make no pass before.
    earliest: Instant,
    pause: Duration,
    /// When a pass wrote or failed last.
    busy: Instant,
}

impl Schedule {
    /// The first pass is at once.
    const fn new(now: Instant) -> Self {
        Self {
            next: Some(now),
            earliest: now,
            pause: PAUSE,
            busy: now,
        }
    }

    /// Something happened.
    fn triggered(&mut self, trigger: Trigger, now: Instant) {
        let at = match trigger {
            Trigger::Changed => self.earliest.max(now),
            // After it, nothing can be restored.
            Trigger::Terminating => now,
        };
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// A pass ended.
    fn passed(&mut self, end: End, now: Instant) {
        match end {
            End::Wrote | End::Failed => {
                self.busy = now;
                self.pause = PAUSE_LIMIT.min(self.pause * 2);
            }
            End::Quiet if now.duration_since(self.busy) > CALM => self.pause = PAUSE,
            End::Quiet => {}
        }
        self.earliest = now + self.pause;
        self.next = (end == End::Failed).then_some(self.earliest);
    }
}

/// What a pass came to.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) plan: Plan,
    pub(super) wrote: bool,
}

/// Makes one pass: until nothing has to change.
///
/// # Errors
/// When something cannot be read or written, or others change it as fast.
pub(super) async fn pass(client: &Client, namespace: &str) -> Result<Pass, PassError> {
    let mut wrote = false;
    for _ in 0..PLANS_LIMIT {
        let (state, versions) = match read(client, namespace).await? {
            Seen::State(state, versions) => (state, versions),
            Seen::Terminating(configurations) => {
                let wrote = delete_all(client, namespace, configurations).await?;
                let plan = Plan::default();
                return Ok(Pass { plan, wrote });
            }
        };
        let now = Timestamp::now();
        let plan = plan(now, &state);
        if plan.actions.is_empty() {
            return Ok(Pass { plan, wrote });
        }
        wrote = true;
        for action in &plan.actions {
            match write(client, &state, &versions, action, now).await? {
                Written::Done => {}
                Written::Stale => break,
            }
        }
    }
    Err(PassError::Contended)
}

/// Deletes what outlives a terminating namespace. One that cannot be read or deleted stops no other. Whether something
/// was deleted.
///
/// # Errors
/// The first of all, after everything was tried.
async fn delete_all(
    client: &Client,
    namespace: &str,
    configurations: Vec<Result<(Kind, Option<String>), PassError>>,
) -> Result<bool, PassError> {
    let configurations = configurations.into_iter().map(|found| async {
        let (kind, uid) = found?;
        tracing::info!(%kind, namespace, "Deleting the webhook configuration of a terminating namespace");
        delete(client, kind, uid).await
    });
    let (configurations, owner) =
        futures::join!(join_all(configurations), delete_rendered_owner(client));
    let mut deleted = false;
    for one in configurations {
        one?;
        deleted = true;
    }
    Ok(owner? || deleted)
}

/// Watches the metadata alone: a change of the data has a new version, and no key comes into memory for it.
fn triggers(client: &Client, namespace: &str) -> BoxStream<'static, Trigger> {
    let secrets = Secret::url_path(&(), Some(namespace));
    let streams = [
        (secrets.clone(), WEBHOOK_CA_SECRET),
        (secrets, WEBHOOK_TLS_SECRET),
        (
            MutatingWebhookConfiguration::url_path(&(), None),
            WEBHOOK_CONFIGURATION,
        ),
        (
            ValidatingWebhookConfiguration::url_path(&(), None),
            WEBHOOK_CONFIGURATION,
        ),
        (Namespace::url_path(&(), None), namespace),
    ];
    let streams = streams.map(|(path, name)| {
        let named = format!("metadata.name={name}");
        ListWatch::new(&path, Some(named))
            .metadata_only()
            .stream(client.clone())
            .filter_map(move |event| std::future::ready(trigger(event, &path)))
            .boxed()
    });
    select_all(streams).boxed()
}

/// What an event of a watch of this path means; none: nothing.
fn trigger(event: Result<ObjectEvent, ListWatchError>, path: &str) -> Option<Trigger> {
    match event {
        Ok(ObjectEvent::Listed(object) | ObjectEvent::Applied(object)) => {
            let is_namespace = path == Namespace::url_path(&(), None);
            Some(if is_namespace && is_terminating(&object) {
                Trigger::Terminating
            } else {
                Trigger::Changed
            })
        }
        Ok(ObjectEvent::Complete | ObjectEvent::Deleted(_) | ObjectEvent::TooLarge) => {
            Some(Trigger::Changed)
        }
        Ok(ObjectEvent::Listing) => None,
        Err(error) => {
            tracing::warn!(path, %error, "A watch failed and is retried");
            None
        }
    }
}

fn is_terminating(object: &[u8]) -> bool {
    let object: serde_json::Value = serde_json::from_slice(object).unwrap_or_default();
    object["metadata"]["deletionTimestamp"].is_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    #[test]
    fn what_undoes_a_pass_makes_passes_rarer_and_a_terminating_namespace_does_not_wait() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        assert_eq!(schedule.next, Some(start));
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            schedule.passed(End::Wrote, now);
            assert_eq!(schedule.next, None);
            schedule.triggered(Trigger::Changed, now);
            let next = schedule.next.unwrap();
            pauses.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(
            pauses,
            [
                500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000
            ]
        );
        schedule.triggered(Trigger::Terminating, now);
        assert_eq!(schedule.next, Some(now));
        // A quiet pass shortens the pause only once there was no write for a while.
        schedule.passed(End::Quiet, now);
        schedule.triggered(Trigger::Changed, now);
        assert_eq!(schedule.next, Some(now + PAUSE_LIMIT));
        let later = now + CALM + Duration::from_secs(1);
        schedule.passed(End::Quiet, later);
        assert_eq!(schedule.next, None);
        schedule.triggered(Trigger::Changed, later);
        assert_eq!(schedule.next, Some(later + PAUSE));
        schedule.passed(End::Failed, later);
        assert_eq!(schedule.next, Some(later + PAUSE * 2));
    }

    #[test]
    fn only_the_namespace_that_is_being_deleted_is_terminating() {
        let terminating = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        let is_terminating = |event: fn(Vec<u8>) -> ObjectEvent, object: &Json, path: &str| {
            let event = event(object.to_string().into_bytes());
            matches!(trigger(Ok(event), path), Some(Trigger::Terminating))
        };
        let own = "/api/v1/namespaces";
        for event in [ObjectEvent::Listed, ObjectEvent::Applied] {
            assert!(is_terminating(event, &terminating, own));
            assert!(!is_terminating(event, &json!({"metadata": {}}), own));
            let secrets = "/api/v1/namespaces/bailiff-system/secrets";
            assert!(!is_terminating(event, &terminating, secrets));
        }
        // A namespace that is gone has nothing left to be deleted.
        assert!(!is_terminating(ObjectEvent::Deleted, &terminating, own));
    }
}
