//! Elects a leader with a Lease (coordination.k8s.io/v1).
//!
//! Here: the decision as a pure function, and the loop that reads and writes the Lease. Not
//! here: what a leader does.
//! Invariant: a leader steps down, and its token is cancelled, before the Lease expires for
//! others; a Lease is renewed only while the leader's work runs, and written only over the version
//! that was read.

use crate::serve::Heartbeat;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Time that the leader's work has to complete what it began, after its token was cancelled; never
/// beyond the expiry of the Lease.
const GRACE: Duration = Duration::from_secs(5);

/// Settings of the election.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Identity of this replica; its pod's name.
    pub identity: String,
    /// Time after which a Lease that is not renewed expires. The Lease has whole seconds, so it is
    /// rounded up.
    pub duration: Duration,
    /// Time that a leader retries to renew before it steps down. Must be less than `duration`.
    pub renew_deadline: Duration,
    /// Interval between attempts to acquire or renew. Must be less than `renew_deadline`.
    pub retry: Duration,
}

/// Why the election ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The work panicked.
    #[error("the leader's work panicked; report it with the log")]
    Panic(#[source] JoinError),
    /// The work returned before its token was cancelled.
    #[error("the leader's work returned; report it with the log")]
    Ended,
}

/// What follows for a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Acquire or renew it: it has no holder, has expired, or this replica holds it.
    Acquire,
    /// Another replica holds it.
    Follow,
}

/// Decides about a Lease that did not change for `unchanged`, by the clock of this replica: the
/// holder's clock is not trusted.
#[must_use]
pub fn decide(spec: Option<&LeaseSpec>, identity: &str, unchanged: Duration) -> Decision {
    let Some(spec) = spec else {
        return Decision::Acquire;
    };
    match spec.holder_identity.as_deref() {
        None | Some("") => Decision::Acquire,
        Some(holder) if holder == identity => Decision::Acquire,
        Some(_) => {
            let seconds = spec
                .lease_duration_seconds
                .unwrap_or(0)
                .max(0)
                .unsigned_abs();
            if unchanged >= Duration::from_secs(seconds.into()) {
                Decision::Acquire
            } else {
                Decision::Follow
            }
        }
    }
}

/// The leader's work.
struct Leadership {
    token: CancellationToken,
    task: JoinHandle<()>,
    /// When the last accepted renewal was requested.
    renewed: Instant,
}

impl Leadership {
    /// Ends the work: cancels its token, and aborts it if it takes too long.
    async fn stop(self, settings: &Settings) {
        tracing::warn!(identity = settings.identity, "Stepped down as the leader");
        self.token.cancel();
        let end = self.renewed + settings.duration;
        let mut task = self.task;
        let ended = tokio::time::timeout_at(end.min(Instant::now() + GRACE), &mut task).await;
        let ended = if let Ok(ended) = ended {
            ended
        } else {
            tracing::warn!("The leader's work did not end in time and was aborted");
            task.abort();
            task.await
        };
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "The leader's work panicked");
        }
    }
}

/// What happened before the next attempt.
enum Woken {
    Shutdown,
    /// The leader's work ended, which is a defect.
    Ended(Result<(), JoinError>),
    /// The Lease could not be renewed in time.
    Overdue,
}

/// Resolves when something other than an attempt is due.
async fn woken(
    shutdown: &CancellationToken,
    leadership: &mut Option<Leadership>,
    settings: &Settings,
) -> Woken {
    let Some(leadership) = leadership else {
        shutdown.cancelled().await;
        return Woken::Shutdown;
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => Woken::Shutdown,
        ended = &mut leadership.task => Woken::Ended(ended),
        () = tokio::time::sleep_until(leadership.renewed + settings.renew_deadline) => Woken::Overdue,
    }
}

/// Runs `lead` while this replica is the leader, with a token that is cancelled when it steps down;
/// `lead` must then end soon. Releases the Lease and returns when `shutdown` is cancelled.
///
/// # Errors
/// If `lead` ends before its token was cancelled; the Lease is released for another replica.
pub async fn elect<F, Fut>(
    client: kube::Client,
    settings: Settings,
    heartbeat: Heartbeat,
    shutdown: CancellationToken,
    lead: F,
) -> Result<(), Error>
where
    F: Fn(CancellationToken) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let api: kube::Api<Lease> = kube::Api::namespaced(client, &settings.namespace);
    let mut seen: (Option<String>, Instant) = (None, Instant::now());
    let mut leadership: Option<Leadership> = None;
    let mut next = Instant::now();
    let outcome = loop {
        heartbeat.beat();
        let attempt = async {
            tokio::time::sleep_until(next).await;
            let asked = Instant::now();
            let acquired = acquire_or_renew(&api, &settings, &mut seen, false);
            (asked, tokio::time::timeout(settings.retry, acquired).await)
        };
        let (asked, attempt) = tokio::select! {
            biased;
            woken = woken(&shutdown, &mut leadership, &settings) => match woken {
                Woken::Shutdown => break Ok(()),
                Woken::Ended(ended) => {
                    leadership = None;
                    break Err(ended.err().map_or(Error::Ended, Error::Panic));
                }
                Woken::Overdue => {
                    if let Some(leadership) = leadership.take() {
                        leadership.stop(&settings).await;
                    }
                    continue;
                }
            },
            attempt = attempt => attempt,
        };
        next = asked + settings.retry;
        let held = match attempt {
            Ok(Ok(held)) => held,
            Ok(Err(error)) => {
                tracing::warn!(%error, "Cannot acquire or renew the Lease");
                continue;
            }
            Err(_) => {
                tracing::warn!("Cannot acquire or renew the Lease: the API server is unavailable");
                continue;
            }
        };
        match (held, &mut leadership) {
            (true, Some(leadership)) => leadership.renewed = asked,
            (true, None) => {
                tracing::info!(identity = settings.identity, "Became the leader");
                let token = CancellationToken::new();
                leadership = Some(Leadership {
                    task: tokio::spawn(lead(token.clone())),
                    token,
                    renewed: asked,
                });
            }
            (false, _) => {
                if let Some(leadership) = leadership.take() {
                    leadership.stop(&settings).await;
                }
            }
        }
    };
    let ours = leadership.is_some() || outcome.is_err();
    if let Some(leadership) = leadership.take() {
        leadership.stop(&settings).await;
    }
    if ours {
        release(&api, &settings, &mut seen).await;
    }
    outcome
}

/// Lets another replica acquire the Lease at once.
async fn release(
    api: &kube::Api<Lease>,
    settings: &Settings,
    seen: &mut (Option<String>, Instant),
) {
    let released = acquire_or_renew(api, settings, seen, true);
    match tokio::time::timeout(settings.retry, released).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "Cannot release the Lease; it expires");
        }
        Err(_) => tracing::warn!("Cannot release the Lease in time; it expires"),
    }
}

async fn acquire_or_renew(
    api: &kube::Api<Lease>,
    settings: &Settings,
    seen: &mut (Option<String>, Instant),
    release: bool,
) -> Result<bool, kube::Error> {
    let now = MicroTime(Timestamp::now());
    let found = api.get_opt(&settings.name).await?;
    let version = found
        .as_ref()
        .and_then(|l| l.metadata.resource_version.clone());
    if version != seen.0 {
        *seen = (version, Instant::now());
    }
    let old = found.as_ref().and_then(|l| l.spec.as_ref());
    if decide(old, &settings.identity, seen.1.elapsed()) == Decision::Follow {
        return Ok(false);
    }
    let spec = renewed(settings, old, &now, release);
    let written = if let Some(mut lease) = found {
        lease.spec = Some(spec);
        api.replace(&settings.name, &PostParams::default(), &lease)
            .await
    } else {
        let metadata = ObjectMeta {
            name: Some(settings.name.clone()),
            ..ObjectMeta::default()
        };
        let lease = Lease {
            metadata,
            spec: Some(spec),
        };
        api.create(&PostParams::default(), &lease).await
    };
    match written {
        Ok(_) => Ok(true),
        // Another replica wrote it first.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is written over a Lease to acquire, renew or release it.
fn renewed(
    settings: &Settings,
    old: Option<&LeaseSpec>,
    now: &MicroTime,
    release: bool,
) -> LeaseSpec {
    let ours = old.and_then(|s| s.holder_identity.as_ref()) == Some(&settings.identity);
    let transitions = old.and_then(|s| s.lease_transitions).unwrap_or(0);
    // Rounded up: others must not acquire it before this replica steps down.
    let seconds = settings.duration.as_millis().div_ceil(1000).max(1);
    LeaseSpec {
        holder_identity: (!release).then(|| settings.identity.clone()),
        lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
        acquire_time: if ours {
            old.and_then(|s| s.acquire_time.clone())
        } else {
            Some(now.clone())
        },
        renew_time: Some(now.clone()),
        lease_transitions: Some(if ours {
            transitions
        } else {
            transitions.saturating_add(1)
        }),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests;
