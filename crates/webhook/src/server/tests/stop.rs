//! A server that stops loses no review.

use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn what_arrives_while_the_server_leaves_is_answered_on_connections_that_end() {
    let (running, client) = Running::start(Limits::default()).await;
    let mut multiplexed = client.http2().await;
    let body = review("u", "web");
    assert_eq!(multiplexed.post("/validate/pods", body).await.0, 200);
    let mut kept = client.http1().await;
    let response = kept
        .send("/validate/pods", review("u", "web"))
        .await
        .unwrap();
    assert_eq!(response.headers().get("connection"), None);
    drop(client::body(response).await);
    running.phases.enter(Phase::Leaving);
    // On the connection that was open, and on a new one.
    for mut http in [kept, client.http1().await] {
        let response = http
            .send("/validate/pods", review("u", "web"))
            .await
            .unwrap();
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(client::body(response).await["response"]["allowed"], true);
        assert!(
            http.send("/validate/pods", review("u", "web"))
                .await
                .is_err()
        );
    }
    let (status, response) = client
        .http2()
        .await
        .post("/validate/pods", review("u", "web"))
        .await;
    assert_eq!(
        (status, &response["response"]["allowed"]),
        (200, &json!(true))
    );
    // Of HTTP/2, the server says it to connections that are idle, too.
    while running.metrics.connections.get() > 0 {
        tokio::task::yield_now().await;
    }
    running.phases.enter(Phase::Draining);
    running.served.await.unwrap();
    drop(multiplexed);
    assert!(client.tls("http/1.1").await.is_err());
}

#[tokio::test]
async fn reviews_in_progress_are_waited_for_and_then_answered_without_a_verdict() {
    let (running, client) = Running::start(Limits::default()).await;
    let (mut http1, mut http2) = (client.http1().await, client.http2().await);
    let idle = client.http1().await;
    let reviews = [
        tokio::spawn(async move {
            http1
                .post("/validate/pods?timeout=30s", review("u-1", "hangs"))
                .await
        }),
        tokio::spawn(async move {
            http2
                .post("/validate/pods?timeout=30s", review("u-1", "hangs"))
                .await
        }),
    ];
    while running.metrics.evaluating.get() < 2 {
        tokio::task::yield_now().await;
    }
    running.phases.enter(Phase::Draining);
    while running.metrics.connections.get() > 2 {
        tokio::task::yield_now().await;
    }
    drop(idle);
    assert!(reviews.iter().all(|review| !review.is_finished()));
    assert!(!running.served.is_finished());
    running.phases.enter(Phase::Ending);
    for review in reviews {
        let (status, response) = review.await.unwrap();
        assert_eq!(status, 200);
        assert_eq!(response["response"]["uid"], "u-1");
        let message = &response["response"]["status"]["message"];
        assert_eq!(
            message,
            "validate-pods: this replica of the webhook stops. Retry"
        );
    }
    running.served.await.unwrap();
}

/// What kube-proxy does: the servers that new connections go to, the first one first.
type Endpoints = Arc<Mutex<Vec<Arc<Client>>>>;

/// Sends reviews as an API server does, on a connection that it keeps until a response ends it, until the
/// test is over. Counts the responses.
async fn send_reviews(endpoints: Endpoints, sent: Arc<AtomicUsize>, over: CancellationToken) {
    let mut connection: Option<Http1> = None;
    while !over.is_cancelled() {
        let mut http = if let Some(http) = connection.take() {
            http
        } else {
            let first = Arc::clone(endpoints.lock().unwrap().first().unwrap());
            first.http1().await
        };
        let response = http.send("/validate/pods", review("u", "web")).await;
        let response = response.expect("no review is lost");
        let is_last = response.headers().contains_key("connection");
        assert_eq!(client::body(response).await["response"]["allowed"], true);
        sent.fetch_add(1, Ordering::Relaxed);
        if !is_last {
            connection = Some(http);
        }
    }
}

#[tokio::test]
async fn a_rolling_update_under_load_loses_no_review() {
    let endpoints = Endpoints::default();
    let over = CancellationToken::new();
    let counts: Vec<_> = (0..4).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let (mut old, first) = Running::start(Limits::default()).await;
    endpoints.lock().unwrap().push(Arc::new(first));
    let senders: Vec<_> = counts
        .iter()
        .map(|count| send_reviews(Arc::clone(&endpoints), Arc::clone(count), over.clone()))
        .map(tokio::spawn)
        .collect();
    // Each sender has so many responses more.
    let progress = async |more: usize| {
        let before: Vec<_> = counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        for (count, before) in counts.iter().zip(before) {
            while count.load(Ordering::Relaxed) < before + more {
                assert!(
                    !senders.iter().any(JoinHandle::is_finished),
                    "a review was lost"
                );
                tokio::task::yield_now().await;
            }
        }
    };
    for _ in 0..3 {
        progress(10).await;
        let (new, client) = Running::start(Limits::default()).await;
        endpoints.lock().unwrap().push(Arc::new(client));
        old.phases.enter(Phase::Leaving);
        // Nobody knows it yet.
        progress(3).await;
        endpoints.lock().unwrap().remove(0);
        progress(3).await;
        old.phases.enter(Phase::Draining);
        old.served.await.unwrap();
        old = new;
    }
    over.cancel();
    for sender in senders {
        sender.await.unwrap();
    }
}
