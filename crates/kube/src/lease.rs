//! Agrees on a leader by a Lease (coordination.k8s.io/v1).
//!
//! Here: the decision as a pure function, and the loop that reads and writes the Lease. Not
//! here: what a leader does.
//! Invariant: leadership is given up, and its token cancelled, before the Lease ends for
//! others; a Lease is renewed only while the leader's work goes on, and written only over the
//! version that was read.

use crate::serve::Pulse;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long the leader's work may go on to end what it has begun, after its token was cancelled;
/// never beyond the end of the Lease.
const GRACE: Duration = Duration::from_secs(5);

/// How a leader is agreed on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// This replica.
    pub identity: String,
    /// How long the Lease holds without renewal. The Lease has whole seconds: a part of one
    /// counts as a whole.
    pub duration: Duration,
    /// How long a leader that can't renew goes on; less than `duration`.
    pub renew_deadline: Duration,
    /// How often it is looked at; less than `renew_deadline`.
    pub retry: Duration,
}

/// Why nobody is agreed on any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The work panicked.
    #[error("the leader's work ended in a panic: report it with the log")]
    Panic(#[source] JoinError),
    /// The work returned without being asked to.
    #[error("the leader's work ended by itself: report it with the log")]
    Ended,
}

/// What is done with a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write it: it is free, has ended, or is ours.
    Take,
    /// Another holds it.
    Follow,
}

/// Decides about a Lease that was unchanged for `unchanged`, measured by our own clock: the
/// holder's clock is not trusted.
#[must_use]
pub fn decide(spec: Option<&LeaseSpec>, identity: &str, unchanged: Duration) -> Decision {
    let Some(spec) = spec else {
        return Decision::Take;
    };
    match spec.holder_identity.as_deref() {
        None | Some("") => Decision::Take,
        Some(holder) if holder == identity => Decision::Take,
        Some(_) => {
            let seconds = spec
                .lease_duration_seconds
                .unwrap_or(0)
                .max(0)
                .unsigned_abs();
            if unchanged >= Duration::from_secs(seconds.into()) {
                Decision::Take
            } else {
                Decision::Follow
            }
        }
    }
}

/// The leader's work.
struct Leading {
    token: CancellationToken,
    task: JoinHandle<()>,
    /// When the renewal was asked for that was granted last.
    renewed: Instant,
}

impl Leading {
    /// Ends the work: it is told, and cut off when it takes too long.
    async fn stop(self, settings: &Settings) {
        tracing::warn!(identity = settings.identity, "no longer leading");
        self.token.cancel();
        let end = self.renewed + settings.duration;
        let mut task = self.task;
        let ended = tokio::time::timeout_at(end.min(Instant::now() + GRACE), &mut task).await;
        let ended = if let Ok(ended) = ended {
            ended
        } else {
            tracing::warn!("the leader's work did not end in time and is cut off");
            task.abort();
            task.await
        };
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "the leader's work ended in a panic");
        }
    }
}

/// What happened while the Lease was waited for.
enum Woken {
    Shutdown,
    /// The leader's work ended, which it should not.
    Ended(Result<(), JoinError>),
    /// It could not be renewed in time.
    Overdue,
}

/// Resolves when something other than the Lease needs attention.
async fn woken(
    shutdown: &CancellationToken,
    leading: &mut Option<Leading>,
    settings: &Settings,
) -> Woken {
    let Some(leading) = leading else {
        shutdown.cancelled().await;
        return Woken::Shutdown;
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => Woken::Shutdown,
        ended = &mut leading.task => Woken::Ended(ended),
        () = tokio::time::sleep_until(leading.renewed + settings.renew_deadline) => Woken::Overdue,
    }
}

/// Runs `lead` whenever this replica leads, with a token that is cancelled when it no longer
/// does; `lead` must then end soon. Returns when `shutdown` is cancelled, with the Lease given
/// back.
///
/// # Errors
/// When `lead` ends without being asked to; the Lease is given back, so that another can lead.
pub async fn elect<F, Fut>(
    client: kube::Client,
    settings: Settings,
    pulse: Pulse,
    shutdown: CancellationToken,
    lead: F,
) -> Result<(), Error>
where
    F: Fn(CancellationToken) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let api: kube::Api<Lease> = kube::Api::namespaced(client, &settings.namespace);
    let mut seen: (Option<String>, Instant) = (None, Instant::now());
    let mut leading: Option<Leading> = None;
    let mut next = Instant::now();
    let outcome = loop {
        pulse.beat();
        let looked = async {
            tokio::time::sleep_until(next).await;
            let asked = Instant::now();
            let taken = take(&api, &settings, &mut seen, false);
            (asked, tokio::time::timeout(settings.retry, taken).await)
        };
        let (asked, attempt) = tokio::select! {
            biased;
            woken = woken(&shutdown, &mut leading, &settings) => match woken {
                Woken::Shutdown => break Ok(()),
                Woken::Ended(ended) => {
                    leading = None;
                    break Err(ended.err().map_or(Error::Ended, Error::Panic));
                }
                Woken::Overdue => {
                    if let Some(leading) = leading.take() {
                        leading.stop(&settings).await;
                    }
                    continue;
                }
            },
            looked = looked => looked,
        };
        next = asked + settings.retry;
        let held = match attempt {
            Ok(Ok(held)) => held,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot renew the lease");
                continue;
            }
            Err(_) => {
                tracing::warn!("cannot renew the lease: the API server does not answer");
                continue;
            }
        };
        match (held, &mut leading) {
            (true, Some(leading)) => leading.renewed = asked,
            (true, None) => {
                tracing::info!(identity = settings.identity, "leading");
                let token = CancellationToken::new();
                leading = Some(Leading {
                    task: tokio::spawn(lead(token.clone())),
                    token,
                    renewed: asked,
                });
            }
            (false, _) => {
                if let Some(leading) = leading.take() {
                    leading.stop(&settings).await;
                }
            }
        }
    };
    let ours = leading.is_some() || outcome.is_err();
    if let Some(leading) = leading.take() {
        leading.stop(&settings).await;
    }
    if ours {
        give_back(&api, &settings, &mut seen).await;
    }
    outcome
}

/// Lets another replica lead at once.
async fn give_back(
    api: &kube::Api<Lease>,
    settings: &Settings,
    seen: &mut (Option<String>, Instant),
) {
    let given = take(api, settings, seen, true);
    match tokio::time::timeout(settings.retry, given).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot give the lease back: it ends by itself");
        }
        Err(_) => tracing::warn!("cannot give the lease back in time: it ends by itself"),
    }
}

async fn take(
    api: &kube::Api<Lease>,
    settings: &Settings,
    seen: &mut (Option<String>, Instant),
    give_back: bool,
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
    let spec = renewed(settings, old, &now, give_back);
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
        // Another replica was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is written over a Lease to take it, or to give it back.
fn renewed(
    settings: &Settings,
    old: Option<&LeaseSpec>,
    now: &MicroTime,
    give_back: bool,
) -> LeaseSpec {
    let ours = old.and_then(|s| s.holder_identity.as_ref()) == Some(&settings.identity);
    let transitions = old.and_then(|s| s.lease_transitions).unwrap_or(0);
    // Rounded up: others must not take it before we have let it go.
    let seconds = settings.duration.as_millis().div_ceil(1000).max(1);
    LeaseSpec {
        holder_identity: (!give_back).then(|| settings.identity.clone()),
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
