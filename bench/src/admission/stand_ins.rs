//! What the webhook talks to: an API server and a registry, on loopback.
//!
//! Here: their answers, from tables. Not here: the webhook, which has its own clients for both.
//! Invariant: they run in another process than the webhook, so that its CPU time is its own.

use crate::cases::{ABSENT, NAMESPACE, NEW_TAGS, digest, objects};
use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// How long each answer of the registry takes.
pub(crate) const REGISTRY_ANSWER: Duration = Duration::from_millis(20);

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Answer = BoxFuture<'static, Response<Body>>;

/// What the registry was asked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
}

impl Asked {
    /// Connections and requests.
    pub(crate) fn now(&self) -> (u64, u64) {
        let (connections, requests) = (&self.connections, &self.requests);
        (
            connections.load(Ordering::SeqCst),
            requests.load(Ordering::SeqCst),
        )
    }
}

/// Serves until the process ends; the URL.
async fn serve(
    answer: impl Fn(Request<Incoming>) -> Answer + Send + Sync + 'static,
    accepted: impl Fn() + Send + 'static,
) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepted();
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(format!("http://{address}"))
}

fn answer(status: u16, kind: &str, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert("content-type", kind);
    }
    response
}

/// An API server with the policies, their bindings, a namespace and the Secret of the certificate; what it
/// has never changes. Everything else does not exist.
pub(crate) async fn api_server(secret: &Json) -> Result<String> {
    let (policies, bindings) = objects();
    let namespace =
        json!({"metadata": {"name": NAMESPACE, "uid": "n", "labels": {"team": NAMESPACE}}});
    let list = |kind: &str, items: &[Json]| {
        json!({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items})
            .to_string()
    };
    let lists = [
        (
            "imageadmissionpolicies",
            list("ImageAdmissionPolicyList", &policies),
        ),
        (
            "imageadmissionpolicybindings",
            list("ImageAdmissionPolicyBindingList", &bindings),
        ),
        ("namespaces", list("NamespaceList", &[namespace])),
        ("secrets", list("SecretList", std::slice::from_ref(secret))),
    ];
    let lists = Arc::new(lists);
    let answer = move |request: Request<Incoming>| -> Answer {
        let lists = Arc::clone(&lists);
        Box::pin(async move {
            let is_watch = request
                .uri()
                .query()
                .is_some_and(|query| query.contains("watch=true"));
            let resource = request.uri().path().rsplit('/').next();
            let found = lists.iter().find(|(name, _)| resource == Some(*name));
            match found {
                Some(_) if is_watch => {
                    let silence = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
                    Response::new(StreamBody::new(silence).boxed_unsync())
                }
                Some((_, text)) => answer(200, "application/json", text.clone()),
                None => {
                    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                        "reason": "NotFound", "code": 404, "message": "not found"});
                    answer(404, "application/json", status.to_string())
                }
            }
        })
    };
    serve(answer, || {}).await
}

/// The digest that a reference of a manifest names, if the registry has it.
fn manifest(path: &str) -> Option<String> {
    let (repository, reference) = path.strip_prefix("/v2/")?.split_once("/manifests/")?;
    if let Some(hex) = reference.strip_prefix("sha256:") {
        let number = u64::from_str_radix(hex, 16).ok()?;
        return (!(ABSENT..NEW_TAGS).contains(&number)).then(|| reference.to_owned());
    }
    let number = repository.rsplit('-').next()?.parse().ok()?;
    Some(digest(number))
}

/// A registry that has every image but those whose numbers say otherwise.
pub(crate) async fn registry() -> Result<(String, Arc<Asked>)> {
    let asked = Arc::new(Asked::default());
    let (on_request, on_connection) = (Arc::clone(&asked), Arc::clone(&asked));
    let answer = move |request: Request<Incoming>| -> Answer {
        on_request.requests.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            tokio::time::sleep(REGISTRY_ANSWER).await;
            let is_read = [Method::GET, Method::HEAD].contains(request.method());
            let Some(digest) = manifest(request.uri().path()).filter(|_| is_read) else {
                let errors = json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]});
                return answer(404, "application/json", errors.to_string());
            };
            let kind = "application/vnd.oci.image.index.v1+json";
            let mut response = answer(200, kind, "{}".to_owned());
            if let Ok(digest) = digest.parse() {
                let headers = response.headers_mut();
                headers.insert("docker-content-digest", digest);
            }
            response
        })
    };
    let url = serve(answer, move || {
        on_connection.connections.fetch_add(1, Ordering::SeqCst);
    });
    let url = url.await.context("cannot start the registry")?;
    Ok((url, asked))
}
