//! Agrees on a leader by a Lease (coordination.k8s.io/v1).
//!
//! Here: the decision as a pure function, and the loop that reads and writes the Lease. Not
//! here: what a leader does.
//! Invariant: leadership is given up, and its token cancelled, before the Lease ends for
//! others; a Lease is written only over the version that was read.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How a leader is agreed on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// This replica.
    pub identity: String,
    /// How long the Lease holds without renewal.
    pub duration: Duration,
    /// How long a leader that can't renew goes on; less than `duration`.
    pub renew_deadline: Duration,
    /// How often it is looked at.
    pub retry: Duration,
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

/// Runs `lead` whenever this replica leads, with a token that is cancelled when it no longer
/// does. Returns when `shutdown` is cancelled, with the Lease given back.
pub async fn elect<F, Fut>(
    client: kube::Client,
    settings: Settings,
    shutdown: CancellationToken,
    lead: F,
) where
    F: Fn(CancellationToken) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let api: kube::Api<Lease> = kube::Api::namespaced(client, &settings.namespace);
    let mut seen: (Option<String>, Instant) = (None, Instant::now());
    let mut leading: Option<(CancellationToken, tokio::task::JoinHandle<()>, Instant)> = None;
    while !shutdown.is_cancelled() {
        let asked = Instant::now();
        let attempt = tokio::time::timeout(settings.retry, take(&api, &settings, &mut seen, false));
        let held = match attempt.await {
            Ok(Ok(held)) => Some(held),
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "cannot renew the lease");
                None
            }
            Err(_) => None,
        };
        match (held, &mut leading) {
            (Some(true), Some((_, _, renewed))) => *renewed = asked,
            (Some(true), None) => {
                tracing::info!(identity = settings.identity, "leading");
                let token = shutdown.child_token();
                let task = tokio::spawn(lead(token.clone()));
                leading = Some((token, task, asked));
            }
            (None, Some((_, _, renewed))) if renewed.elapsed() < settings.renew_deadline => {}
            (Some(false) | None, Some(_)) => stop(&mut leading).await,
            (Some(false) | None, None) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(settings.retry) => {}
        }
    }
    if leading.is_some() {
        stop(&mut leading).await;
        if let Err(error) = take(&api, &settings, &mut seen, true).await {
            tracing::warn!(error = %error, "cannot give the lease back: it ends by itself");
        }
    }
}

async fn stop(leading: &mut Option<(CancellationToken, tokio::task::JoinHandle<()>, Instant)>) {
    if let Some((token, task, _)) = leading.take() {
        tracing::warn!("no longer leading");
        token.cancel();
        // Cancelled tasks end at their next await: nothing is asked for after this.
        task.abort();
        if let Err(error) = task.await
            && error.is_panic()
        {
            tracing::error!(error = %error, "the leader's work ended in a panic");
        }
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
    let ours = old.and_then(|s| s.holder_identity.as_ref()) == Some(&settings.identity);
    let transitions = old.and_then(|s| s.lease_transitions).unwrap_or(0);
    let spec = LeaseSpec {
        holder_identity: (!give_back).then(|| settings.identity.clone()),
        lease_duration_seconds: Some(
            i32::try_from(settings.duration.as_secs().max(1)).unwrap_or(i32::MAX),
        ),
        acquire_time: if ours {
            old.and_then(|s| s.acquire_time.clone())
        } else {
            Some(now.clone())
        },
        renew_time: Some(now),
        lease_transitions: Some(if ours {
            transitions
        } else {
            transitions.saturating_add(1)
        }),
        ..LeaseSpec::default()
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_only_when_free_ours_or_over() {
        let held_by = |holder: &str| LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        let s = Duration::from_secs;
        assert_eq!(decide(None, "a", s(0)), Decision::Take);
        assert_eq!(decide(Some(&held_by("")), "a", s(0)), Decision::Take);
        assert_eq!(decide(Some(&held_by("a")), "a", s(0)), Decision::Take);
        assert_eq!(decide(Some(&held_by("b")), "a", s(14)), Decision::Follow);
        assert_eq!(decide(Some(&held_by("b")), "a", s(15)), Decision::Take);
    }
}
