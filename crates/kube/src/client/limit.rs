//! Timeouts of requests and watches.
//!
//! Here: the layer of the client that enforces them. Not here: what follows from a timeout (each
//! caller).
//! Invariant: the response to a request that is no watch is complete within [`REQUEST_TIMEOUT`], or it is
//! an error; a watch has begun by then, and is an error once it was silent for [`WATCH_IDLE_TIMEOUT`].

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

/// Timeout of any request but a watch. It is longer than the default timeout of an admission webhook (10
/// seconds), so the response to an eviction that is slow for that reason still arrives.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Time after which a silent watch ends. The API server sends a bookmark a minute (k8s.io/apiserver
/// v0.37, pkg/storage/cacher, `defaultBookmarkFrequency`), so only an interrupted watch is silent for
/// longer, no matter what a proxy reports about the connection. Without bookmarks, the watch is opened again.
const WATCH_IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Marks a request whose response is read as a stream and is never in memory as a whole. Like a watch,
/// it can take any time, but must not be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streamed;

/// The API server did not respond in time. It might have executed the request.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not respond within {} seconds", REQUEST_TIMEOUT.as_secs())]
struct TooSlow(#[from] tokio::time::error::Elapsed);

/// A complete response, or the stream of a watch.
type Whole<B> = Either<Full<Bytes>, TimeoutBody<B>>;

/// The layer.
pub(super) fn layer<S>() -> LayerFn<fn(S) -> Limited<S>> {
    tower::layer::layer_fn(|inner| Limited { inner })
}

/// A service with timeouts.
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
        let response = self.inner.call(request);
        Box::pin(async move {
            let whole = async {
                let (head, body) = response.await.map_err(Into::into)?.into_parts();
                if streamed {
                    let body = TimeoutBody::new(WATCH_IDLE_TIMEOUT, body);
                    return Ok(Response::from_parts(head, Either::Right(body)));
                }
                let bytes = body.collect().await.map_err(Into::into)?.to_bytes();
                Ok(Response::from_parts(head, Either::Left(Full::new(bytes))))
            };
            tokio::time::timeout(REQUEST_TIMEOUT, whole)
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
    async fn a_response_that_does_not_come_is_an_error_in_time() {
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
        assert_eq!(asked.elapsed(), REQUEST_TIMEOUT);
        assert!(
            matches!(&error, kube::Error::Service(cause) if cause.to_string() == "the API server did not respond within 15 seconds"),
            "{error:?}"
        );
        server.finish();
    }

    /// The response of a server that sends the head, and then nothing.
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
    async fn a_body_that_stops_is_an_error_and_a_watch_can_be_silent_for_longer() {
        assert!(head_alone("").await.is_err());
        let watch = head_alone("?labelSelector=x&watch=true").await.unwrap();
        let begun = Instant::now();
        let ended = tokio::time::timeout(
            REQUEST_TIMEOUT + WATCH_IDLE_TIMEOUT,
            watch.into_body().collect(),
        );
        assert!(ended.await.unwrap().is_err());
        assert_eq!(begun.elapsed(), WATCH_IDLE_TIMEOUT);
    }
}
