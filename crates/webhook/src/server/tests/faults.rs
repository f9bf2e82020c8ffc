//! Whatever is wrong with a review, it has a response with its UID.

use super::client::padded;
use super::*;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The message of a rejection that has the UID `u-1`.
fn message(response: (u16, serde_json::Value)) -> String {
    let (status, response) = response;
    assert_eq!(status, 200, "{response}");
    let response = &response["response"];
    assert_eq!(response["uid"], "u-1");
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 403);
    response["status"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_fault_has_a_response_with_the_uid() {
    let limits = Limits {
        body: Duration::from_mins(1),
        ..Limits::default()
    };
    let (running, client) = Running::start(limits).await;
    let mut http1 = client.http1().await;
    let mut http2 = client.http2().await;
    let cut = review("u-1", "web").replace("\"operation\"", "operation");
    let in_panics = review("u-1", "panics").replace("\"shop\"", "\"panics\"");
    let other = review("u-1", "web").replace("admission.k8s.io/v1", "admission.k8s.io/v2");
    for (body, result, want) in [
        (
            cut,
            "malformed",
            "validate-pods: the review is malformed: key must be a string at line 1 column 104. Report this as a bug",
        ),
        (
            other,
            "malformed",
            "validate-pods: the review is malformed: it is not an AdmissionReview of admission.k8s.io/v1 with a request. Report this as a bug",
        ),
        (
            padded("u-1", "web", 9 << 20),
            "too_large",
            "validate-pods: the review is larger than 8 MiB. Reduce the size of the object",
        ),
        (
            review("u-1", "panics"),
            "panicked",
            "validate-pods: of an internal error. Report this as a bug, with the log of the webhook",
        ),
        (
            in_panics,
            "panicked",
            "Bailiff did not check the images of the pod, because of an internal error. Report this as a bug, with the log of the webhook.",
        ),
        (
            review("u-1", "hangs"),
            "timed_out",
            "validate-pods: that took too long. Retry",
        ),
        (
            review("u-1", "unknown"),
            "namespace_unknown",
            "validate-pods: namespace x cannot be read. Retry",
        ),
    ] {
        let before = running.count(result);
        // Nothing else depends on the time that a busy machine takes.
        let seconds = if result == "timed_out" { 1 } else { 30 };
        let path = &format!("/validate/pods?timeout={seconds}s");
        assert_eq!(message(http1.post(path, body.clone()).await), want);
        assert_eq!(message(http2.post(path, body).await), want);
        assert_eq!(running.count(result), before + 2, "{result}");
    }
    // The connections and the server are as before.
    assert_eq!(
        http1.post("/validate/pods", review("u", "web")).await.0,
        200
    );
    assert_eq!(
        http2.post("/validate/pods", review("u", "web")).await.0,
        200
    );
    assert_eq!(running.metrics.connections.get(), 2);
}

/// The response to what a client sends that then is silent.
async fn response_to_part(client: &Client, part: &str) -> String {
    let mut stream = client.tls("http/1.1").await.unwrap();
    stream.write_all(part.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    // The server closes the connection, without a TLS alert if it dropped it.
    drop(stream.read_to_end(&mut response).await);
    String::from_utf8(response).unwrap()
}

/// The start of the response to the same; the server waits for more of the request.
async fn start_of_response(client: &Client, part: &str) -> String {
    let mut stream = client.tls("http/1.1").await.unwrap();
    stream.write_all(part.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut response = vec![0; 4096];
    let length = stream.read(&mut response).await.unwrap();
    String::from_utf8_lossy(&response[..length]).into_owned()
}

#[tokio::test]
async fn a_client_that_stops_in_a_body_has_a_response_by_its_start() {
    let limits = Limits {
        body: Duration::from_millis(200),
        ..Limits::default()
    };
    let (running, client) = Running::start(limits).await;
    let body = padded("u-1", "web", 8192);
    let head = "POST /validate/pods HTTP/1.1\r\nhost: localhost\r\n";
    for sent in [200, 6000] {
        let part = format!(
            "{head}content-length: {}\r\n\r\n{}",
            body.len(),
            &body[..sent]
        );
        let response = response_to_part(&client, &part).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("\"uid\":\"u-1\""), "{response}");
        assert!(response.contains("that took too long"), "{response}");
    }
    assert_eq!(running.count("timed_out"), 2);
    // Without a UID there is nothing to respond to.
    let part = format!("{head}content-length: 900\r\n\r\n{{\"request\":{{\"uid\":\"u");
    let response = response_to_part(&client, &part).await;
    assert!(
        response.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{response}"
    );
}

#[tokio::test]
async fn a_body_of_unknown_length_has_the_same_limit() {
    let (running, client) = Running::start(Limits::default()).await;
    let head =
        "POST /validate/pods HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = |body: &str| format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let mut stream = client.tls("http/1.1").await.unwrap();
    let large = chunked(&padded("u-1", "web", 9 << 20));
    let small = chunked(&review("u-1", "web"));
    for (request, want) in [(large, "larger than 8 MiB"), (small, "\"allowed\":true")] {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = vec![0; 4096];
        let length = stream.read(&mut response).await.unwrap();
        let response = String::from_utf8_lossy(&response[..length]).into_owned();
        assert!(response.contains("\"uid\":\"u-1\""), "{response}");
        assert!(response.contains(want), "{response}");
    }
    assert_eq!(
        (running.count("too_large"), running.count("allowed")),
        (1, 1)
    );
}

#[tokio::test]
async fn a_connection_without_a_handshake_or_headers_is_closed() {
    let limits = Limits {
        handshake: Duration::from_millis(200),
        headers: Duration::from_millis(200),
        ..Limits::default()
    };
    let (_running, client) = Running::start(limits).await;
    let mut silent = client.tcp().await;
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap(), 0);
    let response = response_to_part(&client, "POST /validate/pods HTTP/1.1\r\nhost:").await;
    assert!(!response.starts_with("HTTP/1.1 200"), "{response}");
}

#[tokio::test]
async fn a_review_for_which_there_is_no_memory_has_a_response() {
    let limits = Limits {
        bodies_bytes: 64 << 10,
        ..Limits::default()
    };
    let (running, client) = Running::start(limits).await;
    let mut first = client.http1().await;
    let body = padded("u-1", "hangs", 20 << 10);
    // Annotations are kept.
    let holding = tokio::spawn(async move { first.post("/validate/pods?timeout=30s", body).await });
    let mut second = client.http1().await;
    // The first one has its memory once the second has none.
    loop {
        let path = "/validate/pods?timeout=2s";
        let (status, response) = second.post(path, padded("u-1", "web", 20 << 10)).await;
        assert_eq!(status, 200);
        if response["response"]["allowed"] == false {
            let message = message((status, response));
            assert_eq!(
                message,
                "validate-pods: too many reviews are in progress. Retry"
            );
            break;
        }
    }
    assert!(running.count("overloaded") > 0);
    // A small one needs less.
    let (_, response) = second.post("/validate/pods", review("u-1", "web")).await;
    assert_eq!(response["response"]["allowed"], true);
    running.phases.enter(Phase::Ending);
    let stopping = "validate-pods: this replica of the webhook stops. Retry";
    assert_eq!(message(holding.await.unwrap()), stopping);
}

#[tokio::test]
async fn a_review_in_progress_holds_memory_for_what_is_kept_alone() {
    let limits = Limits {
        bodies_bytes: 64 << 10,
        ..Limits::default()
    };
    let (running, client) = Running::start(limits).await;
    let mut held = Vec::new();
    for evaluating in 1..=4 {
        let mut http = client.http1().await;
        let body = padded("u-1", "hangs", 20 << 10).replace("annotations", "managedFields");
        held.push(tokio::spawn(async move {
            http.post("/validate/pods?timeout=30s", body).await
        }));
        while running.metrics.evaluating.get() < evaluating {
            assert_eq!(running.count("overloaded"), 0);
            tokio::task::yield_now().await;
        }
    }
    running.phases.enter(Phase::Ending);
    let stopping = "validate-pods: this replica of the webhook stops. Retry";
    for held in held {
        assert_eq!(message(held.await.unwrap()), stopping);
    }
}

/// The start of a request with a body of which a part is sent.
fn part(announced: usize, sent: usize) -> String {
    let body = padded("u-1", "web", announced);
    format!(
        "POST /validate/pods HTTP/1.1\r\nhost: localhost\r\ncontent-length: {announced}\r\n\r\n{}",
        &body[..sent]
    )
}

#[tokio::test]
async fn a_body_that_is_only_announced_takes_no_memory_of_others() {
    let limits = Limits {
        body: Duration::from_mins(1),
        ..Limits::default()
    };
    let (_running, client) = Running::start(limits).await;
    let mut announced = Vec::new();
    for last in [2, 3] {
        let pod = client.clone().from(IpAddr::from([127, 0, 0, last]));
        let mut stream = pod.tls("http/1.1").await.unwrap();
        let part = part(8 << 20, 6000);
        stream.write_all(part.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // A whole one from the same address has room, too, and is read after the other.
        let mut other = pod.http1().await;
        for _ in 0..10 {
            let body = padded("u-1", "web", 100 << 10);
            let (_, response) = other.post("/validate/pods?timeout=30s", body).await;
            assert_eq!(response["response"]["allowed"], true, "{response}");
        }
        announced.push(stream);
    }
    let mut http = client.http1().await;
    let body = padded("u-1", "web", 1 << 20);
    let (_, response) = http.post("/validate/pods?timeout=30s", body).await;
    assert_eq!(response["response"]["allowed"], true, "{response}");
}

#[tokio::test]
async fn a_body_that_arrives_slowly_gives_way_and_has_a_response() {
    let limits = Limits {
        body: Duration::from_mins(1),
        bodies_bytes: 64 << 10,
        ..Limits::default()
    };
    let (_running, client) = Running::start(limits).await;
    let slow = tokio::spawn({
        let client = client.clone();
        async move { start_of_response(&client, &part(60 << 10, 30 << 10)).await }
    });
    let mut http = client.http1().await;
    while !slow.is_finished() {
        let body = padded("u-1", "web", 20 << 10);
        let (status, _) = http.post("/validate/pods?timeout=30s", body).await;
        assert_eq!(status, 200);
    }
    let response = slow.await.unwrap();
    assert!(response.contains("\"uid\":\"u-1\""), "{response}");
    assert!(
        response.contains("too many reviews are in progress"),
        "{response}"
    );
    let body = padded("u-1", "web", 20 << 10);
    let (_, response) = http.post("/validate/pods", body).await;
    assert_eq!(response["response"]["allowed"], true, "{response}");
}

#[tokio::test]
async fn headers_take_bounded_memory() {
    let (_running, client) = Running::start(Limits::default()).await;
    let large = "x".repeat(128 << 10);
    let request = format!("POST /validate/pods HTTP/1.1\r\nhost: localhost\r\nx: {large}\r\n\r\n");
    let response = response_to_part(&client, &request).await;
    assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
}

#[tokio::test]
async fn a_connection_with_a_review_in_progress_is_closed_for_no_other() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let (running, client) = Running::start(limits).await;
    let mut first = client.http1().await;
    let body = review("u-1", "hangs");
    let held = tokio::spawn(async move { first.post("/validate/pods?timeout=30s", body).await });
    while running.metrics.evaluating.get() == 0 {
        tokio::task::yield_now().await;
    }
    for other in [[127, 0, 0, 2], [127, 0, 0, 1]] {
        let other = client.clone().from(IpAddr::from(other));
        assert!(other.try_review().await.is_err());
    }
    let reason = "no_room";
    let label = crate::metrics::RejectedLabel { reason };
    let rejected = running.metrics.rejected_connections.get_or_create(&label);
    assert_eq!(rejected.get(), 2);
    running.phases.enter(Phase::Ending);
    let stopping = "validate-pods: this replica of the webhook stops. Retry";
    assert_eq!(message(held.await.unwrap()), stopping);
}
