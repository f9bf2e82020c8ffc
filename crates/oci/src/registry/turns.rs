//! One lookup at a time at registries that limit requests.
//!
//! Here: whose turn it is. Not here: when an image is looked up again (`webhook`).
//! Invariant: a registry that answered 429 gets one lookup at a time for a while, however many wait.

use super::endpoint::Origin;
use super::tokens::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long that lasts at least.
const AT_LEAST: Duration = Duration::from_mins(1);

/// The most registries for which it is remembered.
const MAX_REGISTRIES: usize = 256;

/// The registries that limit requests.
#[derive(Debug, Default)]
pub(super) struct Turns {
    limited: Mutex<BTreeMap<Origin, (Instant, Arc<Semaphore>)>>,
}

/// The turn did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoTurn;

impl Turns {
    /// Waits for the turn of a lookup until `deadline`. It lasts until the permit is dropped; there is
    /// none for a registry that does not limit requests.
    pub(super) async fn wait(
        &self,
        registry: &Origin,
        deadline: Instant,
    ) -> Result<Option<OwnedSemaphorePermit>, NoTurn> {
        let turn = lock(&self.limited)
            .get(registry)
            .filter(|(until, _)| *until > Instant::now())
            .map(|(_, turn)| Arc::clone(turn));
        let Some(turn) = turn else {
            return Ok(None);
        };
        match tokio::time::timeout_at(deadline, turn.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            // It is never closed.
            Ok(Err(_)) => Ok(None),
            Err(_) => Err(NoTurn),
        }
    }

    /// Remembers that a registry limits requests.
    pub(super) fn limit(&self, registry: &Origin, retry_after: Option<Duration>) {
        let now = Instant::now();
        let pause = retry_after.unwrap_or_default().max(AT_LEAST);
        let until = now.checked_add(pause).unwrap_or(now);
        let mut limited = lock(&self.limited);
        if let Some((end, _)) = limited.get_mut(registry) {
            *end = until.max(*end);
            return;
        }
        if limited.len() >= MAX_REGISTRIES {
            limited.retain(|_, (end, _)| *end > now);
        }
        if limited.len() >= MAX_REGISTRIES {
            limited.pop_first();
        }
        limited.insert(registry.clone(), (until, Arc::new(Semaphore::new(1))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::of(&text.parse().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_registry_that_limits_requests_gets_one_lookup_at_a_time() {
        let turns = Turns::default();
        let (limited, other) = (origin("https://r.test"), origin("https://s.test"));
        let far = Instant::now().checked_add(Duration::from_hours(1)).unwrap();
        assert!(turns.wait(&limited, far).await.unwrap().is_none());
        turns.limit(&limited, None);
        let first = turns.wait(&limited, far).await.unwrap();
        assert!(first.is_some());
        let second = turns.wait(&limited, Instant::now()).await;
        assert_eq!(second.unwrap_err(), NoTurn);
        assert!(turns.wait(&other, far).await.unwrap().is_none());
        drop(first);
        assert!(turns.wait(&limited, far).await.unwrap().is_some());
    }
}
