//! Lists and watches objects one at a time, as the bytes of each.
//!
//! Here: the requests, their order, when they are repeated, and what events say about one object
//! (`list_watch/named`) and about all of a kind (`list_watch/listed`). Not here: cutting a response into objects (`list_watch/split`), decoding one, and watches that keep decoded objects (`watch`).
//! Invariant: of a list or a watch no more is in memory than one object and what the connection
//! holds of it, however many there are; an object of more than [`OBJECT_LIMIT_BYTES`] is reported and
//! nothing is kept of it.

mod listed;
mod named;
mod split;

pub use listed::{ListedObjects, ObjectsByName};
pub use named::{Named, NamedObject};

use crate::client::Streamed;
use crate::watch::Pauses;
use futures::stream::{self, BoxStream, StreamExt as _};
use futures::{AsyncBufRead, AsyncBufReadExt as _, TryStreamExt as _};
use http::Request;
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::api::{self, ListParams, WatchParams};
use kube::client::Body;
use kube::core::Status;
use kube::runtime::utils::Backoff as _;
use serde::Deserialize;
use split::{Piece, Splitter};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Most bytes of an object. etcd takes 1.5 MiB, of which JSON makes at most six times as many: Go
/// escapes `<` as `\u003c` (etcd `--max-request-bytes`; `encoding/json`, `HTMLEscape`).
pub const OBJECT_LIMIT_BYTES: usize = 10 << 20;

/// What a list and the watch after it bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectEvent {
    /// A list begins; what it does not name does not exist.
    Listing,
    /// The list names this object.
    Listed(Vec<u8>),
    /// The list is complete.
    Complete,
    /// An object was created or changed.
    Applied(Vec<u8>),
    /// An object was deleted; as it was last.
    Deleted(Vec<u8>),
    /// An object has more than [`OBJECT_LIMIT_BYTES`].
    TooLarge,
}

/// Why a list or a watch ended. It is repeated.
#[derive(Debug, thiserror::Error)]
pub enum ListWatchError {
    /// The API server rejected the request, or gave no response.
    #[error("cannot {verb}")]
    Request {
        /// `list` or `watch`.
        verb: &'static str,
        /// The cause.
        source: Box<kube::Error>,
    },
    /// The connection was cut.
    #[error("the response to {verb} was cut off")]
    Cut {
        /// `list` or `watch`.
        verb: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The response is not what the API server sends.
    #[error("the response to {verb} is not one of the Kubernetes API: {what}")]
    Malformed {
        /// `list` or `watch`.
        verb: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The API server ended the watch with an error.
    #[error("the API server ended the watch: {0}")]
    Ended(String),
    /// The watch ended as soon as it began, as with a proxy that closes connections.
    #[error("the watch ended at once, without an event")]
    EndedAtOnce,
}

/// A kind of objects, or some of them.
#[derive(Clone, Debug)]
pub struct ListWatch {
    path: String,
    selector: Option<String>,
    labels: Option<String>,
    metadata_only: bool,
    /// What was seen last, so that a new list is not older.
    seen: Arc<Mutex<Option<String>>>,
}

/// Longest pause that the API server can ask for.
const RETRY_AFTER_LIMIT: Duration = Duration::from_mins(1);
/// A watch that ends so soon without an event has failed.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);
/// Most bytes of the message of an error.
const ERROR_LIMIT_BYTES: usize = 64 * 1024;

type Lines = Pin<Box<dyn AsyncBufRead + Send>>;
type Item = Result<ObjectEvent, ListWatchError>;

enum Step {
    List,
    Listing(Lines, Box<Splitter>),
    Watch(String),
    Watching(Lines, Box<Splitter>, String),
}

struct Run {
    client: Client,
    kind: ListWatch,
    step: Step,
    pauses: Pauses,
    pause: Option<Duration>,
    /// What the API server asked for, when it rejected the last request.
    retry_after: Option<Duration>,
    /// The version that a list asked for is too old.
    expired: bool,
    /// When the watch began; none: it brought an event.
    began: Option<Instant>,
}

impl ListWatch {
    /// The objects at this path of the API, as `/api/v1/pods`; with a field selector some of them.
    #[must_use]
    pub fn new(path: &str, field_selector: Option<String>) -> Self {
        Self {
            path: path.to_owned(),
            selector: field_selector,
            labels: None,
            metadata_only: false,
            seen: Arc::default(),
        }
    }

    /// Of these objects those that a label selector selects.
    #[must_use]
    pub fn with_labels(mut self, label_selector: String) -> Self {
        self.labels = Some(label_selector);
        self
    }

    /// Of each object only the metadata.
    #[must_use]
    pub const fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }

    /// All objects, and then what happens to them, for as long as the stream lives. A failure is an
    /// item, and the request is repeated after a pause.
    #[must_use]
    pub fn stream(&self, client: Client) -> BoxStream<'static, Item> {
        let run = Run {
            client,
            kind: self.clone(),
            step: Step::List,
            pauses: Pauses::default(),
            pause: None,
            retry_after: None,
            expired: false,
            began: None,
        };
        stream::unfold(run, |mut run| async {
            let item = run.next().await;
            Some((item, run))
        })
        .boxed()
    }

    /// Lists all objects once, from the API server's memory. `visit` gets each; none: it has more than
    /// [`OBJECT_LIMIT_BYTES`].
    ///
    /// # Errors
    /// If the API server rejects the request, gives no response or cuts it off. It is not repeated, and `visit` can
    /// have got some objects.
    pub async fn list_once(
        &self,
        client: Client,
        mut visit: impl FnMut(Option<&[u8]>),
    ) -> Result<(), ListWatchError> {
        let mut events = self.stream(client);
        while let Some(event) = events.next().await {
            match event? {
                ObjectEvent::Listed(object) => visit(Some(&object)),
                ObjectEvent::TooLarge => visit(None),
                ObjectEvent::Complete => break,
                // The watch begins after the list.
                ObjectEvent::Listing | ObjectEvent::Applied(_) | ObjectEvent::Deleted(_) => {}
            }
        }
        Ok(())
    }

    fn list(
        &self,
        version: Option<String>,
    ) -> Result<Request<Vec<u8>>, kube::core::request::Error> {
        let parameters = ListParams {
            field_selector: self.selector.clone(),
            label_selector: self.labels.clone(),
            resource_version: version,
            ..ListParams::default()
        };
        let request = api::Request::new(&self.path);
        if self.metadata_only {
            request.list_metadata(&parameters)
        } else {
            request.list(&parameters)
        }
    }

    fn watch(&self, version: &str) -> Result<Request<Vec<u8>>, kube::core::request::Error> {
        let parameters = WatchParams {
            field_selector: self.selector.clone(),
            label_selector: self.labels.clone(),
            ..WatchParams::default()
        };
        let request = api::Request::new(&self.path);
        if self.metadata_only {
            request.watch_metadata(&parameters, version)
        } else {
            request.watch(&parameters, version)
        }
    }

    fn seen(&self) -> Option<String> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn see(&self, version: &str) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.to_owned());
    }
}

/// What a piece of a response leads to.
enum Outcome {
    Event(ObjectEvent),
    /// A bookmark, which only moves the watch on.
    Moved,
    Ended,
    Failed(ListWatchError),
}

impl Run {
    async fn next(&mut self) -> Item {
        loop {
            if let Some(pause) = self.pause.take() {
                tokio::time::sleep(pause).await;
            }
            let step = std::mem::replace(&mut self.step, Step::List);
            match step {
                Step::List => match self.list().await {
                    Ok(lines) => {
                        self.step =
                            Step::Listing(lines, Box::new(Splitter::new(OBJECT_LIMIT_BYTES)));
                        return Ok(ObjectEvent::Listing);
                    }
                    Err(error) => return self.failed(error),
                },
                Step::Listing(mut lines, mut splitter) => {
                    match listed(&mut lines, &mut splitter).await {
                        Err(error) => return self.failed(error),
                        Ok(ListPiece::Item(item)) => {
                            self.step = Step::Listing(lines, splitter);
                            return Ok(item.map_or(ObjectEvent::TooLarge, ObjectEvent::Listed));
                        }
                        Ok(ListPiece::End(version)) => {
                            self.kind.see(&version);
                            self.expired = false;
                            self.pauses.reset();
                            self.step = Step::Watch(version);
                            return Ok(ObjectEvent::Complete);
                        }
                    }
                }
                Step::Watch(version) => match self.watch(&version).await {
                    Ok(lines) => {
                        let splitter = Box::new(Splitter::new(OBJECT_LIMIT_BYTES));
                        self.began = Some(Instant::now());
                        self.step = Step::Watching(lines, splitter, version);
                    }
                    Err(error) => {
                        if !is_expired(&error) {
                            self.step = Step::Watch(version);
                        }
                        return self.failed(error);
                    }
                },
                Step::Watching(mut lines, mut splitter, mut version) => {
                    match watched(&mut lines, &mut splitter, &mut version).await {
                        Outcome::Event(event) => {
                            self.kind.see(&version);
                            self.pauses.reset();
                            self.began = None;
                            self.step = Step::Watching(lines, splitter, version);
                            return Ok(event);
                        }
                        Outcome::Moved => {
                            self.began = None;
                            self.step = Step::Watching(lines, splitter, version);
                        }
                        Outcome::Ended => {
                            self.step = Step::Watch(version);
                            let began = self.began.take();
                            if began.is_some_and(|began| began.elapsed() < SHORTEST_WATCH) {
                                return self.failed(ListWatchError::EndedAtOnce);
                            }
                        }
                        Outcome::Failed(error) => {
                            if !matches!(error, ListWatchError::Ended(_)) {
                                self.step = Step::Watch(version);
                            }
                            return self.failed(error);
                        }
                    }
                }
            }
        }
    }

    fn failed(&mut self, error: ListWatchError) -> Item {
        // With the jitter of the pauses, so that not all come back at once.
        let pause = self.pauses.next().unwrap_or_default();
        let asked = self.retry_after.take().unwrap_or_default();
        self.pause = Some(pause.saturating_add(asked));
        Err(error)
    }

    /// From the API server's memory, and not older than what was seen; where it has that no more, from
    /// etcd.
    async fn list(&mut self) -> Result<Lines, ListWatchError> {
        let version = self.kind.seen().unwrap_or_else(|| "0".to_owned());
        let request = self.kind.list((!self.expired).then_some(version));
        let lines = self.send("list", request).await;
        if let Err(error) = &lines {
            self.expired = is_expired(error);
        }
        lines
    }

    async fn watch(&mut self, version: &str) -> Result<Lines, ListWatchError> {
        self.send("watch", self.kind.watch(version)).await
    }

    async fn send(
        &mut self,
        verb: &'static str,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Lines, ListWatchError> {
        let failed = |source| ListWatchError::Request {
            verb,
            source: Box::new(source),
        };
        let mut request = request.map_err(|error| failed(kube::Error::BuildRequest(error)))?;
        request.extensions_mut().insert(Streamed);
        let response = self.client.send(request.map(Body::from)).await;
        let response = response.map_err(failed)?;
        if !response.status().is_success() {
            let (error, retry_after) = rejection(response).await;
            self.retry_after = retry_after;
            return Err(failed(error));
        }
        let body = response.into_body().into_data_stream();
        Ok(Box::pin(
            body.map_err(std::io::Error::other).into_async_read(),
        ))
    }
}

/// What the API server rejected a request with, and how long it asks to wait. Its priority and fairness
/// says that in the header alone, with a plain text.
async fn rejection(response: http::Response<Body>) -> (kube::Error, Option<Duration>) {
    let code = response.status().as_u16();
    let header = response.headers().get(http::header::RETRY_AFTER);
    let in_header = header.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let body = Limited::new(response.into_body(), ERROR_LIMIT_BYTES);
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return (kube::Error::Service(error), None),
    };
    let status = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&bytes);
        Status::failure(text.trim(), "Unknown").with_code(code)
    });
    let in_body = status
        .details
        .as_ref()
        .map(|d| u64::from(d.retry_after_seconds));
    let seconds = in_header.max(in_body).unwrap_or_default();
    let asked = Duration::from_secs(seconds).min(RETRY_AFTER_LIMIT);
    (kube::Error::Api(status.boxed()), Some(asked))
}

/// Whether the version that was asked for is too old, or newer than what the API server has (k8s.io/apimachinery v0.37,
/// `pkg/api/errors/errors.go`, `IsTooLargeResourceVersion`). Another 504 is a time-out: a list from etcd for each would
/// come when the API server has most to do.
fn is_expired(error: &ListWatchError) -> bool {
    let ListWatchError::Request { source, .. } = error else {
        return false;
    };
    let too_large = |status: &Status| {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .into_iter()
            .any(|cause| cause.reason == "ResourceVersionTooLarge")
    };
    matches!(&**source, kube::Error::Api(status)
        if status.code == 410 || status.code == 504 && too_large(status))
}

/// The next piece; none when the response is over.
async fn piece(
    lines: &mut Lines,
    splitter: &mut Splitter,
    verb: &'static str,
) -> Result<Option<Piece>, ListWatchError> {
    loop {
        let bytes = lines.fill_buf().await;
        let bytes = bytes.map_err(|source| ListWatchError::Cut { verb, source })?;
        if bytes.is_empty() {
            return if splitter.is_between() {
                Ok(None)
            } else {
                let source = std::io::ErrorKind::UnexpectedEof.into();
                Err(ListWatchError::Cut { verb, source })
            };
        }
        let (used, piece) = splitter.push(bytes);
        lines.as_mut().consume(used);
        if piece.is_some() {
            return Ok(piece);
        }
    }
}

enum ListPiece {
    /// An object; none: it is too large.
    Item(Option<Vec<u8>>),
    /// The version of the list.
    End(String),
}

async fn listed(lines: &mut Lines, splitter: &mut Splitter) -> Result<ListPiece, ListWatchError> {
    let malformed = |what: &str| ListWatchError::Malformed {
        verb: "list",
        what: what.to_owned(),
    };
    match piece(lines, splitter, "list").await? {
        None => Err(malformed("it is empty")),
        Some(Piece::Item(item)) => Ok(ListPiece::Item(item)),
        Some(Piece::End(fields)) => {
            let metadata: Option<Versioned> = fields
                .metadata
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let version = metadata.and_then(|metadata| metadata.resource_version);
            let version = version.ok_or_else(|| malformed("it has no resourceVersion"))?;
            Ok(ListPiece::End(version))
        }
    }
}

#[derive(Deserialize)]
struct Versioned {
    #[serde(rename = "resourceVersion")]
    resource_version: Option<String>,
}

#[derive(Deserialize)]
struct WithMetadata {
    metadata: Versioned,
}

async fn watched(lines: &mut Lines, splitter: &mut Splitter, version: &mut String) -> Outcome {
    loop {
        let fields = match piece(lines, splitter, "watch").await {
            Err(error) => return Outcome::Failed(error),
            Ok(None) => return Outcome::Ended,
            // Events have no items.
            Ok(Some(Piece::Item(_))) => continue,
            Ok(Some(Piece::End(fields))) => fields,
        };
        let Some(object) = fields.object else {
            return Outcome::Event(ObjectEvent::TooLarge);
        };
        let type_ = fields.type_.as_deref().unwrap_or_default();
        if type_ == br#""ERROR""# {
            let status: Result<Status, _> = serde_json::from_slice(&object);
            let message = status.map_or_else(|error| error.to_string(), |status| status.message);
            return Outcome::Failed(ListWatchError::Ended(message));
        }
        if let Ok(found) = serde_json::from_slice::<WithMetadata>(&object)
            && let Some(found) = found.metadata.resource_version
        {
            *version = found;
        }
        return Outcome::Event(match type_ {
            br#""ADDED""# | br#""MODIFIED""# => ObjectEvent::Applied(object),
            br#""DELETED""# => ObjectEvent::Deleted(object),
            _ => return Outcome::Moved,
        });
    }
}

#[cfg(test)]
mod tests;
