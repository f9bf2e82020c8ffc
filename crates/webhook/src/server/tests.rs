//! The server, over real TLS connections.

mod callers;
pub(crate) mod client;
mod faults;
mod stop;

use super::*;
use crate::certificate::{self, Certificate};
use crate::deadlines::Deadlines;
use crate::entries::{Entry, NotEvaluated};
use crate::response::AdmissionResponse;
use crate::review::{Identity, Keep, Review};
use crate::rules::Snapshot;
use client::{Client, Http1, review};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use std::net::SocketAddr;
use tokio::task::JoinHandle;

/// Evaluates by the name of the pod.
struct ByName;

impl Evaluate for ByName {
    fn keep(&self, entry: Entry) -> Keep {
        Snapshot::default().keep(entry)
    }

    fn evaluate(
        &self,
        _: Entry,
        review: Review,
        _: Deadlines,
    ) -> BoxFuture<'_, Result<AdmissionResponse, NotEvaluated>> {
        async move {
            let name = review.object["metadata"]["name"].as_str();
            match name.unwrap_or_default() {
                "panics" => panic!("as the test wants"),
                "hangs" => std::future::pending().await,
                "denied" => Ok(AdmissionResponse::denied("No.".to_owned())),
                "unknown" => Err(NotEvaluated::NamespaceUnknown("x".to_owned())),
                _ => Ok(AdmissionResponse::allowed()),
            }
        }
        .boxed()
    }

    fn not_evaluated(
        &self,
        entry: Entry,
        identity: &Identity,
        cause: &NotEvaluated,
    ) -> AdmissionResponse {
        assert_ne!(identity.namespace, "panics", "as the test wants");
        AdmissionResponse::denied(format!("{}: {cause}", entry.label()))
    }
}

/// A server that runs.
struct Running {
    address: SocketAddr,
    phases: Phases,
    certificate: Arc<Certificate>,
    metrics: Metrics,
    served: JoinHandle<()>,
}

impl Running {
    /// A server, and a client that trusts its certificate.
    async fn start(limits: Limits) -> (Self, Client) {
        Self::start_for(CallerVerification::default(), limits).await
    }

    /// The same for some callers.
    async fn start_for(callers: CallerVerification, limits: Limits) -> (Self, Client) {
        let certificate = Arc::new(Certificate::default());
        let (secret, trusted) = certificate::tests::secret();
        certificate.replace(&secret).unwrap();
        let tls = certificate::server_config(Arc::clone(&certificate), &callers).unwrap();
        let (phases, metrics) = (Phases::new(), Metrics::default());
        let server = Server::new(
            Arc::new(tls),
            callers,
            Arc::new(ByName),
            metrics.clone(),
            phases.clone(),
            limits,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Self {
            address,
            phases,
            certificate,
            metrics,
            served: tokio::spawn(Arc::new(server).run(listener)),
        };
        (running, Client::new(address, trusted))
    }

    /// How many reviews of pods had a result.
    fn count(&self, result: &'static str) -> u64 {
        let entry = Entry::ValidatePods.label();
        let labels = crate::metrics::ReviewLabels { entry, result };
        self.metrics.reviews.get_or_create(&labels).get()
    }
}

#[tokio::test]
async fn a_review_has_a_response_over_http1_and_http2() {
    let (running, client) = Running::start(Limits::default()).await;
    let mut http1 = client.http1().await;
    let mut http2 = client.http2().await;
    for (name, allowed) in [("web", true), ("denied", false), ("web", true)] {
        let body = review("u-1", name);
        for (status, response) in [
            http1.post("/validate/pods?timeout=5s", body.clone()).await,
            http2.post("/validate/pods?timeout=5s", body).await,
        ] {
            assert_eq!(status, 200, "{name}");
            assert_eq!(response["apiVersion"], "admission.k8s.io/v1");
            assert_eq!(response["kind"], "AdmissionReview");
            assert_eq!(response["response"]["uid"], "u-1");
            assert_eq!(response["response"]["allowed"], allowed);
            if !allowed {
                assert_eq!(
                    response["response"]["status"],
                    json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "No."})
                );
            }
        }
    }
    assert_eq!((running.count("allowed"), running.count("denied")), (4, 2));
    assert_eq!(running.metrics.connections.get(), 2);
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_closes_none() {
    let (running, client) = Running::start(Limits::default()).await;
    let mut before = client.http1().await;
    assert_eq!(
        before.post("/validate/pods", review("u", "web")).await.0,
        200
    );
    let (secret, trusted) = certificate::tests::secret();
    running.certificate.replace(&secret).unwrap();
    assert_eq!(
        before.post("/validate/pods", review("u", "web")).await.0,
        200
    );
    let error = client.tls("http/1.1").await.unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    let mut after = Client::new(running.address, trusted).http1().await;
    assert_eq!(
        after.post("/validate/pods", review("u", "web")).await.0,
        200
    );
    assert!(running.certificate.replace(&Secret::default()).is_err());
    assert_eq!(
        before.post("/validate/pods", review("u", "web")).await.0,
        200
    );
}

#[tokio::test]
async fn what_is_no_review_has_another_status() {
    let (_running, client) = Running::start(Limits::default()).await;
    let mut http: Http1 = client.http1().await;
    assert_eq!(http.status("POST", "/", "").await, 404);
    assert_eq!(http.status("POST", "/validate/pods/", "").await, 404);
    assert_eq!(http.status("GET", "/validate/pods", "").await, 405);
    for entry in Entry::ALL {
        assert_eq!(http.status("POST", entry.path(), "").await, 400);
        assert_eq!(
            http.status("POST", entry.path(), "{\"request\":{}}").await,
            400
        );
    }
}
