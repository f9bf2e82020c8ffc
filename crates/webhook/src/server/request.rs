//! Responds to a request.
//!
//! Here: paths, methods, and that whatever happens becomes a response. Not here: reading a body (`body`),
//! evaluating a review (`entries`).
//! Invariant: a request with a UID has status 200 and a response with that UID. The API server takes
//! everything else for an outage of the webhook.

use super::body::{self, Body};
use super::connections::{Connection, PendingRequest};
use super::phase::{Phase, Phases};
use super::{Limits, Respond};
use crate::compute::on_own_thread;
use crate::deadlines::Deadlines;
use crate::entries::{Entry, Evaluate, NotEvaluated};
use crate::metrics::Metrics;
use crate::response::AdmissionResponse;
use crate::review::{self, Identity, START_BYTES};
use futures::FutureExt as _;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode, Version};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use prometheus_client::metrics::gauge::Gauge;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Bytes of a body whose decoding takes so long that other tasks of the thread must not wait for it.
const LARGE: usize = 256 << 10;

/// Responds to requests.
pub(crate) struct Requests {
    evaluate: Arc<dyn Evaluate>,
    metrics: Metrics,
    phases: Phases,
    limits: Limits,
}

impl Respond for Requests {
    async fn respond(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Response<Full<Bytes>> {
        let pending = connection.begin();
        let is_http1 = request.version() < Version::HTTP_2;
        let path = request.uri().path();
        let entry = Entry::ALL.into_iter().find(|entry| entry.path() == path);
        let mut response = match entry {
            None => text(StatusCode::NOT_FOUND, "not found\n"),
            Some(_) if request.method() != Method::POST => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n");
                let post = HeaderValue::from_static("POST");
                response.headers_mut().insert(ALLOW, post);
                response
            }
            Some(entry) => self.review(entry, request, connection, pending).await,
        };
        if is_http1 && self.phases.is(Phase::Leaving) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}

impl Requests {
    pub(crate) fn new(
        evaluate: Arc<dyn Evaluate>,
        metrics: Metrics,
        phases: Phases,
        limits: Limits,
    ) -> Self {
        Self {
            evaluate,
            metrics,
            phases,
            limits,
        }
    }

    async fn review(
        &self,
        entry: Entry,
        request: Request<Incoming>,
        connection: &Connection,
        mut pending: PendingRequest<'_>,
    ) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let deadlines = Deadlines::of(request.uri().query(), started);
        let mut body = body::read(request.into_body(), connection, self.limits, deadlines).await;
        pending.arrived();
        let (identity, response, result) = match &body.fault {
            None => self.evaluate(entry, &mut body, deadlines).await,
            Some(fault) => {
                let identity = review::identity(&body.bytes);
                let (response, result) = self.without_verdict(entry, &identity, fault);
                (identity, response, result)
            }
        };
        if identity.uid.is_empty() {
            return text(StatusCode::BAD_REQUEST, "not an AdmissionReview\n");
        }
        pending.is_review();
        self.metrics.reviewed(entry, result, started.elapsed());
        let encoded = Bytes::from(response.encode(&identity.uid));
        let mut response = Response::new(Full::new(encoded));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }

    /// The response to a body, whose request it is, and the result for metrics. Of the body, what was decoded of it
    /// stays in memory meanwhile: a lookup takes seconds.
    async fn evaluate(
        &self,
        entry: Entry,
        body: &mut Body,
        deadlines: Deadlines,
    ) -> (Identity, AdmissionResponse, &'static str) {
        let mut identity = Identity::default();
        let evaluation = AssertUnwindSafe(async {
            let keep = self.evaluate.keep(entry);
            let bytes = body.bytes.as_slice();
            let decode = || {
                if review::has_too_many_values(bytes) {
                    return Err(NotEvaluated::TooManyValues);
                }
                Ok(review::decode(bytes, keep)?)
            };
            let review = if bytes.len() > LARGE {
                on_own_thread(decode)
            } else {
                decode()
            }?;
            identity.clone_from(&review.identity);
            if !identity.uid.is_empty() {
                body.release(review.kept_bytes);
            }
            self.evaluate.evaluate(entry, review, deadlines).await
        });
        let _in_progress = InProgress::new(&self.metrics.evaluating);
        // Most evaluations end when they are first polled: then there is no timer, and nothing waits for the phase.
        let evaluated = tokio::select! {
            biased;
            evaluated = evaluation.catch_unwind() => evaluated.unwrap_or(Err(NotEvaluated::Panicked)),
            () = sleep_until(deadlines.response) => Err(NotEvaluated::TimedOut),
            () = self.phases.reached(Phase::Ending) => Err(NotEvaluated::Stopping),
        };
        if identity.uid.is_empty() {
            let start = body.bytes.get(..START_BYTES).unwrap_or(&body.bytes);
            identity = review::identity(start);
        }
        match evaluated {
            Ok(response) => {
                let result = if response.denied.is_some() {
                    "denied"
                } else {
                    "allowed"
                };
                (identity, response, result)
            }
            Err(cause) => {
                let (response, result) = self.without_verdict(entry, &identity, &cause);
                (identity, response, result)
            }
        }
    }

    fn without_verdict(
        &self,
        entry: Entry,
        identity: &Identity,
        cause: &NotEvaluated,
    ) -> (AdmissionResponse, &'static str) {
        let Identity { uid, namespace } = identity;
        let entry_label = entry.label();
        if cause.is_of_caller() {
            // Whoever reaches the port can cause these; the metric counts them.
            tracing::debug!(entry = entry_label, uid, namespace, %cause, "Did not evaluate a review");
        } else {
            tracing::warn!(entry = entry_label, uid, namespace, %cause, "Did not evaluate a review");
        }
        let respond = AssertUnwindSafe(|| self.evaluate.not_evaluated(entry, identity, cause));
        let response = std::panic::catch_unwind(respond).unwrap_or_else(|_| match entry {
            Entry::ValidatePods => AdmissionResponse::denied(format!(
                "Bailiff did not check the images of the pod, because {cause}."
            )),
            Entry::MutatePods | Entry::ValidateWorkloads | Entry::ValidatePolicies => {
                AdmissionResponse::allowed()
            }
        });
        (response, cause.label())
    }
}

/// A review that is being evaluated.
struct InProgress<'a>(&'a Gauge);

impl<'a> InProgress<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
