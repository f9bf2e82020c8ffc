//! How the server stops.
//!
//! Here: the phases. Not here: how long each lasts (`run`), what is done in it (`server`).
//! Invariant: a phase is never left for an earlier one.

use tokio::sync::watch;

/// A phase of the server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything is answered.
    Serving,
    /// Everything is still answered, on connections that end with the response: API servers do not know
    /// yet that this replica stops.
    Leaving,
    /// No connection is accepted; what arrived is answered.
    Draining,
    /// What is still being evaluated is answered without a verdict.
    Ending,
}

/// The phase that the server is in.
#[derive(Clone, Debug)]
pub(crate) struct Phases(watch::Sender<Phase>);

impl Phases {
    /// The server serves.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    /// Enters a phase, unless a later one was entered.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.send_modify(|now| *now = phase.max(*now));
    }

    /// Whether a phase was entered.
    pub(crate) fn is(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Waits until a phase is entered.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut phases = self.0.subscribe();
        // The sender is in self, so it never ends.
        drop(phases.wait_for(|now| *now >= phase).await);
    }
}
