//! The mock itself: it must not let anything through.

use crate::{ApiServer, Call};
use http::Request;
use kube::Client;
use serde_json::{Value, json};
use std::time::Duration;

async fn get(client: &Client, path: &str) -> Result<Value, kube::Error> {
    client
        .request(Request::get(path).body(Vec::new()).expect("a request"))
        .await
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

    // One after the other they wait for ever.
    let (server, client) = ApiServer::playing([round()]);
    let alone = tokio::time::timeout(Duration::from_mins(1), get(&client, "/a")).await;
    assert!(alone.is_err());
    assert!(fault(server).contains("/b"));
}

#[tokio::test]
async fn a_request_too_many_too_few_or_other_fails_the_test() {
    let (server, client) = ApiServer::playing([vec![Call::get("/a?x=1")], vec![Call::get("/b")]]);
    assert!(get(&client, "/a?x=2").await.is_err());
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
        client.request::<Value>(request).await.unwrap();
        match want {
            None => server.finish(),
            Some(want) => {
                let text = fault(server);
                assert!(text.contains(want), "{sent}: {text}");
            }
        }
    }
}
