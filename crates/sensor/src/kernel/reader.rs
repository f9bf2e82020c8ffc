//! Reads the ring, in a thread of its own.
//!
//! Here: when it is read, and how records are handed on. Not here: the ring (`loader`) and what records mean (`record`).
//! Invariant: records are handed on in their order, in batches of bounded size; whoever takes none lets the ring fill,
//! which the kernel counts. The thread ends with its receiver.

use crate::kernel::loader::{LoadError, Record, Ring};
use crate::kernel::record::{DecodeError, Event};
use std::time::Duration;
use tokio::sync::mpsc;

/// Records that came one after the other.
pub(crate) type Batch = Vec<Result<Event, DecodeError>>;

/// Most records of a batch.
const BATCH: usize = 256;
/// A batch gets no further record when it has so many bytes of the ring. Decoded, they are at most about four times as
/// many: a byte of a path that is no text takes three, and arguments take what they have in the ring.
const BATCH_BYTES: usize = 256 << 10;
/// Most batches that wait.
const BATCHES: usize = 4;
/// While programs start, the ring is read at this interval, and nobody has to wake the thread.
const AWAKE: Duration = Duration::from_millis(1);
/// A record of a program that saw the thread awake just before it slept waits so long at most.
const ASLEEP: Duration = Duration::from_millis(5);

/// Starts the thread. An error is the last that comes; without one, the channel ends by a defect.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn read(ring: Ring) -> std::io::Result<mpsc::Receiver<Result<Batch, LoadError>>> {
    let (batches, receiver) = mpsc::channel(BATCHES);
    std::thread::Builder::new()
        .name("records".to_owned())
        .spawn(move || {
            if let Err(error) = hand_on(ring, &batches) {
                // Without a receiver nobody waits for it.
                drop(batches.blocking_send(Err(error)));
            }
        })?;
    Ok(receiver)
}

/// Hands records on until there is nobody who takes them.
fn hand_on(
    mut ring: Ring,
    batches: &mpsc::Sender<Result<Batch, LoadError>>,
) -> Result<(), LoadError> {
    while !batches.is_closed() {
        let (batch, is_full) = next_batch(|| ring.next());
        if batch.is_empty() {
            ring.sleep(ASLEEP)?;
            continue;
        }
        if batches.blocking_send(Ok(batch)).is_err() {
            return Ok(());
        }
        if !is_full {
            std::thread::sleep(AWAKE);
        }
    }
    Ok(())
}

/// The records that are there now, as many as a batch has, and whether it is full.
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
