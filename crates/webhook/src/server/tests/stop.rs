//! A server that stops loses no review.

use super::*;

#[tokio::test]
async fn what_arrives_while_the_server_leaves_is_answered_on_connections_that_end() {
    let (running, client) = Running::start(Limits::default()).await;
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
    running.phases.enter(Phase::Draining);
    running.served.await.unwrap();
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
