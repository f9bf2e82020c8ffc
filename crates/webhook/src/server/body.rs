//! Reads the body of a request.
//!
//! Here: how much of it, for how long, and the memory for it. Not here: what it says (`review`).
//! Invariant: of a body that is not read as a whole, the start stays, which names the request.

use super::Limits;
use super::connections::{Connection, Room};
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
    _room: Option<Room>,
}

/// Reads a body. What is too large is read and dropped, because a client that still writes might not
/// read the response.
pub(crate) async fn read(
    mut incoming: Incoming,
    connection: &Connection,
    limits: Limits,
    deadlines: Deadlines,
) -> Body {
    let end = deadlines.response.min(Instant::now() + limits.body);
    let length = incoming.size_hint().upper();
    let length = length.and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::new();
    let cut = |mut bytes: Vec<u8>, fault| {
        bytes.truncate(START_BYTES);
        Body {
            bytes,
            fault: Some(fault),
            _room: None,
        }
    };
    let fault = match timeout_at(end, append(&mut incoming, &mut bytes, START_BYTES)).await {
        Err(_) => return cut(bytes, NotEvaluated::TimedOut),
        Ok(Some(fault)) => Some(fault),
        Ok(None) if length.is_some_and(|length| length > limits.body_bytes) => {
            Some(NotEvaluated::TooLarge)
        }
        Ok(None) => None,
    };
    if let Some(fault) = fault {
        drain(&mut incoming, end).await;
        return cut(bytes, fault);
    }
    let wanted = length.unwrap_or(limits.body_bytes);
    let Ok(Some(room)) = timeout_at(end.min(deadlines.lookups), connection.room(wanted)).await
    else {
        drain(&mut incoming, end).await;
        return cut(bytes, NotEvaluated::Overloaded);
    };
    let rest = append(
        &mut incoming,
        &mut bytes,
        limits.body_bytes.saturating_add(1),
    );
    match timeout_at(end, rest).await {
        Err(_) => cut(bytes, NotEvaluated::TimedOut),
        Ok(Some(fault)) => cut(bytes, fault),
        Ok(None) if bytes.len() > limits.body_bytes => {
            drain(&mut incoming, end).await;
            cut(bytes, NotEvaluated::TooLarge)
        }
        Ok(None) => Body {
            bytes,
            fault: None,
            _room: Some(room),
        },
    }
}

/// Appends what arrives until there are at least so many bytes, or the body ends.
async fn append(
    incoming: &mut Incoming,
    bytes: &mut Vec<u8>,
    enough: usize,
) -> Option<NotEvaluated> {
    while bytes.len() < enough {
        match incoming.frame().await {
            None => return None,
            Some(Err(error)) => {
                tracing::debug!(%error, "A body was cut off");
                return Some(NotEvaluated::Cut);
            }
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    bytes.extend_from_slice(data);
                }
            }
        }
    }
    None
}

/// Reads and drops the rest.
async fn drain(incoming: &mut Incoming, end: Instant) {
    let rest = async { while let Some(Ok(_)) = incoming.frame().await {} };
    drop(timeout_at(end, rest).await);
}
