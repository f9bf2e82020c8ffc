//! Bounds how long the API server may take to answer.
//!
//! Here: the layer of the client that does it. Not here: what follows from an answer that did
//! not come (each caller).
//! Invariant: what is no watch is there as a whole within [`ANSWER_LIMIT`], or it is an error; a
//! watch has begun by then, and is an error once it was silent for [`SILENCE_LIMIT`].

use http::{Request, Response};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body as HttpBody, Bytes};
use kube::client::Body;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::layer::LayerFn;
use tower::{BoxError, Service};
use tower_http::timeout::TimeoutBody;

/// How long the answer to any request but a watch may take. Longer than the API server lets an admission webhook take by default (10 seconds): an
/// eviction that is slow for that reason is still heard of.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// How long a watch may be silent. The API server sends each a bookmark a minute (k8s.io/apiserver
/// v0.37, pkg/storage/cacher, `defaultBookmarkFrequency`), so only one that nothing comes of any more
/// is silent for longer, whatever a proxy between says of the connection; where no bookmarks come, the
/// watch is opened anew.
const SILENCE_LIMIT: Duration = Duration::from_secs(75);

/// Marks a request whose answer is read as it comes, and never is in memory as a whole. As a watch it
/// may take as long as it likes, and may not be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streamed;

/// The API server did not answer in time. What was asked for may have been done.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer within {} seconds", ANSWER_LIMIT.as_secs())]
struct TooSlow(#[from] tokio::time::error::Elapsed);

/// Answers as a whole, or what a watch brings.
type Whole<B> = Either<Full<Bytes>, TimeoutBody<B>>;

/// The layer.
pub(super) fn layer<S>() -> LayerFn<fn(S) -> Limited<S>> {
    tower::layer::layer_fn(|inner| Limited { inner })
}

/// A service whose answers are bounded in time.
#[derive(Clone, Debug)]
pub(super) struct Limited<S> {
    inner: S,
}

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Whole<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let streamed = request.extensions().get::<Streamed>().is_some()
            || query.split('&').any(|parameter| parameter == "watch=true");
        let answered = self.inner.call(request);
        Box::pin(async move {
            let whole = async {
                let (head, body) = answered.await.map_err(Into::into)?.into_parts();
                if streamed {
                    let body = TimeoutBody::new(SILENCE_LIMIT, body);
                    return Ok(Response::from_parts(head, Either::Right(body)));
                }
                let bytes = body.collect().await.map_err(Into::into)?.to_bytes();
                Ok(Response::from_parts(head, Either::Left(Full::new(bytes))))
            };
            tokio::time::timeout(ANSWER_LIMIT, whole)
                .await
                .map_err(TooSlow)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_testing::{ApiServer, Call};
    use k8s_openapi::api::core::v1::Namespace;
    use kube::{Api, Client};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_an_error_in_time() {
        let silent = Call::get("/api/v1/namespaces/shop").is_silent();
        let (server, client) = ApiServer::playing([vec![silent]]);
        let server_side = tower::service_fn(move |request| {
            let client = client.clone();
            async move { client.send(request).await }
        });
        let limited = tower::Layer::layer(&layer(), server_side);
        let client = Client::new(limited, "default");
        let asked = Instant::now();
        let error = Api::<Namespace>::all(client).get("shop").await.unwrap_err();
        assert_eq!(asked.elapsed(), ANSWER_LIMIT);
        assert!(
            matches!(&error, kube::Error::Service(cause) if cause.to_string() == "the API server did not answer within 15 seconds"),
            "{error:?}"
        );
        server.finish();
    }

    /// What a server answers that sends the head of an answer, and then nothing.
    async fn head_alone(
        query: &str,
    ) -> Result<Response<impl HttpBody<Error = BoxError>>, BoxError> {
        let stuck = tower::service_fn(|_: Request<Body>| async {
            let never = futures::stream::pending::<Result<hyper::body::Frame<Bytes>, BoxError>>();
            Ok::<_, BoxError>(Response::new(http_body_util::StreamBody::new(never)))
        });
        let mut limited = tower::Layer::layer(&layer(), stuck);
        let request = Request::get(format!("/api/v1/pods{query}")).body(Body::empty())?;
        limited.call(request).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_an_error_and_a_watch_may_be_silent_for_longer() {
        assert!(head_alone("").await.is_err());
        let watch = head_alone("?labelSelector=x&watch=true").await.unwrap();
        let begun = Instant::now();
        let ended = tokio::time::timeout(ANSWER_LIMIT + SILENCE_LIMIT, watch.into_body().collect());
        assert!(ended.await.unwrap().is_err());
        assert_eq!(begun.elapsed(), SILENCE_LIMIT);
    }
}
