//! What an evaluation may do and make beside what is counted as cost.
//!
//! Here: two more limits, because the API server's costs do not tell all of what a function does:
//! the length of a text costs nothing to ask for, a `replace` may make much more than it reads, a
//! pattern may be slow to compile. Not here: how much a call does (`library::Effort`).
//! Invariant: neither limit is ever come near by an expression that does what policies do; one that
//! exceeds them ends as one that cost too much.

use super::EvalError;

/// Elements gone through, each 16 bytes of text read; for all programs of an evaluation. As many as
/// the API server lets a policy cost.
const STEPS_LIMIT: u64 = 10_000_000;

/// Bytes of texts, lists and maps that functions made, also where they are gone again.
const BYTES_LIMIT: u64 = 1 << 27;

/// What is left of both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    steps: u64,
    bytes: u64,
}

impl Meter {
    pub(super) const fn full() -> Self {
        Self {
            steps: STEPS_LIMIT,
            bytes: BYTES_LIMIT,
        }
    }

    /// Steps that are left.
    pub(super) const fn left(self) -> u64 {
        self.steps
    }

    pub(super) fn step(&mut self, steps: u64) -> Result<(), EvalError> {
        take(&mut self.steps, steps)
    }

    /// So many elements, each of this many bytes.
    pub(super) fn make_all(&mut self, count: usize, bytes: usize) -> Result<(), EvalError> {
        let long = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.step(long(count))?;
        self.make(long(count.saturating_mul(bytes)))
    }

    pub(super) fn make(&mut self, bytes: u64) -> Result<(), EvalError> {
        take(&mut self.bytes, bytes)
    }
}

fn take(left: &mut u64, amount: u64) -> Result<(), EvalError> {
    let Some(rest) = left.checked_sub(amount) else {
        *left = 0;
        return Err(EvalError::limit());
    };
    *left = rest;
    Ok(())
}
