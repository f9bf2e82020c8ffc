//! When the ring buffer is read.
//!
//! Here: how long the loop waits for records, and how many it takes at a time. Not here: the ring buffer (`loader`) and
//! what records mean (`record`).
//! Invariant: records come in their order, in batches of bounded size; while nobody asks for one the ring buffer fills,
//! which the kernel counts. A wait that is dropped loses no record.

use crate::kernel::loader::{LoadError, Record, Ring};
use crate::kernel::record::{DecodeError, Event};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// Records that came one after the other.
pub(crate) type Batch = Vec<Result<Event, DecodeError>>;

/// Most records of a batch.
const BATCH: usize = 256;
/// A batch gets no further record when it has so many bytes of the ring. Decoded, they are at most about four times as
/// many: a byte of a path that is no text takes three, and arguments take what they have in the ring.
const BATCH_BYTES: usize = 256 << 10;
/// While processes start, the ring buffer is read at this interval, and nobody has to wake the thread.
const AWAKE: Duration = Duration::from_millis(1);
/// A record of a program that saw the thread awake just before it slept waits so long at most.
const ASLEEP: Duration = Duration::from_millis(5);

/// The ring buffer, and when it is read next.
pub(crate) struct Reader {
    ring: AsyncFd<Ring>,
    /// The kernel wakes this earlier if it is asleep.
    next: Instant,
    is_asleep: bool,
}

impl Reader {
    /// In the runtime that waits for the records.
    ///
    /// # Errors
    /// When the ring buffer cannot be waited for.
    pub(crate) fn new(ring: Ring) -> Result<Self, LoadError> {
        Ok(Self {
            ring: ring.in_runtime()?,
            next: Instant::now(),
            is_asleep: false,
        })
    }

    /// Waits for records. There is at least one.
    ///
    /// # Errors
    /// When the ring buffer cannot be waited for.
    pub(crate) async fn batch(&mut self) -> Result<Batch, LoadError> {
        loop {
            if self.is_asleep {
                tokio::select! {
                    woken = self.ring.readable() => woken.map_err(LoadError::Wait)?.clear_ready(),
                    () = tokio::time::sleep_until(self.next) => {}
                }
                self.set_asleep(false)?;
            } else {
                tokio::time::sleep_until(self.next).await;
            }
            let (mut batch, mut is_full) = self.take();
            if batch.is_empty() {
                self.set_asleep(true)?;
                // What came before the programs could see that.
                (batch, is_full) = self.take();
            }
            if batch.is_empty() {
                self.next = Instant::now() + ASLEEP;
                continue;
            }
            if self.is_asleep {
                self.set_asleep(false)?;
            }
            if !is_full {
                self.next = Instant::now() + AWAKE;
            }
            return Ok(batch);
        }
    }

    /// The records that are there now, as many as a batch has, and whether it is full.
    pub(crate) fn take(&mut self) -> (Batch, bool) {
        next_batch(|| self.ring.get_mut().next())
    }

    fn set_asleep(&mut self, asleep: bool) -> Result<(), LoadError> {
        self.ring.get_mut().set_asleep(asleep)?;
        self.is_asleep = asleep;
        Ok(())
    }
}

/// As many records as a batch has, and whether it is full.
fn next_batch(mut next: impl FnMut() -> Option<Record>) -> (Batch, bool) {
    let mut batch = Batch::new();
    let mut bytes = 0_usize;
    loop {
        let is_full = batch.len() >= BATCH || bytes >= BATCH_BYTES;
        let record = if is_full { None } else { next() };
        let Some(record) = record else {
            return (batch, is_full);
        };
        bytes = bytes.saturating_add(record.bytes);
        batch.push(record.event);
    }
}

#[cfg(test)]
mod tests;
