//! Reads the body of a request.
//!
//! Here: how much of it, and for how long. Not here: the memory for it (`memory`), what it says (`review`).
//! Invariant: of a body that is not read as a whole, the start stays, which names the request. The time for a
//! body is one for all of it, which no sender stretches.

use super::Limits;
use super::connections::Connection;
use super::memory::BodyPermit;
use crate::deadlines::Deadlines;
use crate::entries::NotEvaluated;
use crate::review::START_BYTES;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

/// A body, as far as it was read.
pub(crate) struct Body {
    /// The bytes; of a body that is not whole, the start.
    pub(crate) bytes: Vec<u8>,
    /// Why it is not whole.
    pub(crate) fault: Option<NotEvaluated>,
    permit: Option<BodyPermit>,
}

impl Body {
    /// Drops the bytes, of which so many bytes of memory were kept.
    pub(crate) fn release(&mut self, kept_bytes: usize) {
        self.bytes = Vec::new();
        if let Some(permit) = &mut self.permit {
            permit.shrink(kept_bytes);
        }
    }
}

/// Reads a body. What is too large is read and dropped, because a client that still writes might not
/// read the response. One that writes slowly is not waited for.
pub(crate) async fn read(
    mut incoming: Incoming,
    connection: &Connection,
    limits: Limits,
    deadlines: Deadlines,
) -> Body {
    let end = deadlines.response.min(Instant::now() + limits.body);
    let mut bytes = Vec::new();
    let mut permit = connection.permit();
    let gives_way = permit.gives_way();
    let reading = Reading {
        limit: limits.body_bytes,
        memory: end.min(deadlines.lookups),
    };
    let read = reading.append(&mut incoming, &mut bytes, &mut permit);
    let (fault, is_slow) = tokio::select! {
        biased;
        read = timeout_at(end, read) => match read {
            Ok(fault) => (fault, false),
            Err(_) => (Some(NotEvaluated::TimedOut), true),
        },
        () = gives_way.cancelled() => (Some(NotEvaluated::Overloaded), true),
    };
    let Some(fault) = fault else {
        permit.arrived();
        return Body {
            bytes,
            fault: None,
            permit: Some(permit),
        };
    };
    bytes.truncate(START_BYTES);
    bytes.shrink_to_fit();
    drop(permit);
    if !is_slow {
        drain(&mut incoming, end).await;
    }
    Body {
        bytes,
        fault: Some(fault),
        permit: None,
    }
}

/// The limits of a body.
struct Reading {
    /// Most bytes.
    limit: usize,
    /// Until when it waits for memory.
    memory: Instant,
}

impl Reading {
    /// Appends what arrives until the body ends; why it is not whole.
    async fn append(
        &self,
        incoming: &mut Incoming,
        bytes: &mut Vec<u8>,
        permit: &mut BodyPermit,
    ) -> Option<NotEvaluated> {
        let announced = incoming.size_hint().upper();
        let announced = announced.and_then(|length| usize::try_from(length).ok());
        let is_too_large = announced.is_some_and(|length| length > self.limit);
        while let Some(frame) = incoming.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    tracing::debug!(%error, "A body was cut off");
                    return Some(NotEvaluated::Cut);
                }
            };
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let length = bytes.len().saturating_add(data.len());
            if length <= START_BYTES {
                bytes.extend_from_slice(data);
                continue;
            }
            // The rest of the start first: it names the request of a body that goes no further.
            let missing = START_BYTES.saturating_sub(bytes.len()).min(data.len());
            let (start, rest) = data.split_at(missing);
            bytes.extend_from_slice(start);
            if is_too_large || length > self.limit {
                return Some(NotEvaluated::TooLarge);
            }
            if timeout_at(self.memory, permit.grow(length)).await.is_err() {
                return Some(NotEvaluated::Overloaded);
            }
            bytes.extend_from_slice(rest);
        }
        let has_room = timeout_at(self.memory, permit.grow(bytes.len())).await;
        has_room.is_err().then_some(NotEvaluated::Overloaded)
    }
}

/// Reads and drops the rest.
async fn drain(incoming: &mut Incoming, end: Instant) {
    let rest = async { while let Some(Ok(_)) = incoming.frame().await {} };
    drop(timeout_at(end, rest).await);
}
