//! The mock itself: it must not let anything through.

use crate::{ApiServer, Call};
use http::Request;
use kube::Client;
use serde_json::{Value, json};

async fn get(client: &Client, path: &str) -> Result<Value, kube::Error> {
    client
        .request(Request::get(path).body(Vec::new()).expect("a request"))
        .await
}

/// What a request panics with, which it must.
async fn panic_of(
    request: impl Future<Output = Result<Value, kube::Error>> + Send + 'static,
) -> String {
    let ended = tokio::spawn(request).await.expect_err("it panics");
    *ended.into_panic().downcast::<String>().expect("a text")
}

fn fault(server: ApiServer) -> String {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.finish()));
    *ended
        .expect_err("it fails")
        .downcast::<String>()
        .expect("a text")
}

#[tokio::test(start_paused = true)]
async fn a_round_is_answered_when_all_of_it_has_come() {
    let round = || vec![Call::get("/a").gives(json!({"is": "a"})), Call::get("/b")];
    let (server, client) = ApiServer::playing([round()]);
    let (a, b) = tokio::join!(get(&client, "/a"), get(&client, "/b"));
    assert_eq!((a.unwrap()["is"].as_str(), b.is_ok()), (Some("a"), true));
    server.finish();

    // One after the other they do not get through.
    let (server, client) = ApiServer::playing([round()]);
    let text = panic_of(async move { get(&client, "/a").await }).await;
    assert_eq!(
        text,
        "not as expected: GET /a came alone, not with its round"
    );
    assert!(fault(server).contains("/b"));
}

#[tokio::test]
async fn a_request_too_many_too_few_or_other_fails_the_test() {
    let (server, client) = ApiServer::playing([vec![Call::get("/a?x=1")], vec![Call::get("/b")]]);
    let other = client.clone();
    let text = panic_of(async move { get(&other, "/a?x=2").await }).await;
    assert_eq!(text, "not as expected: GET /a?x=2 is too many");
    get(&client, "/a?x=1").await.unwrap();
    let text = fault(server);
    assert!(text.contains("GET /a?x=2 is too many"), "{text}");
    assert!(text.contains("\"/b\""), "{text}");

    let wanted = json!({"spec": {"a": 1, "list": [{"b": 2}]}});
    for (sent, want) in [
        (
            json!({"spec": {"a": 1, "more": 1, "list": [{"b": 2, "c": 3}]}}),
            None,
        ),
        (
            json!({"spec": {"a": 2, "list": [{"b": 2}]}}),
            Some(".spec.a is 2, not 1"),
        ),
        (
            json!({"spec": {"list": [{"b": 2}]}}),
            Some(".spec.a is missing"),
        ),
        (
            json!({"spec": {"a": 1, "list": []}}),
            Some(".spec.list is [], not"),
        ),
    ] {
        let (server, client) = ApiServer::playing([vec![Call::post("/a").with(wanted.clone())]]);
        let request = Request::post("/a")
            .body(serde_json::to_vec(&sent).unwrap())
            .unwrap();
        let asking = async move { client.request::<Value>(request).await };
        if let Some(want) = want {
            let text = panic_of(asking).await;
            assert!(text.contains(want), "{sent}: {text}");
            assert!(fault(server).contains(want));
        } else {
            asking.await.unwrap();
            server.finish();
        }
    }
}
