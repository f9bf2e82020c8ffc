//! Lists and watches of an API server that answers, ends and fails.

use super::*;
use bailiff_testing::{ApiServer, Call};
use http_body_util::Full;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/pods?&fieldSelector=spec.nodeName%3Dn";
const WATCH: &str = "/api/v1/pods?&watch=true&timeoutSeconds=290&fieldSelector=spec.nodeName%3Dn&allowWatchBookmarks=true";

fn pods() -> ListWatch {
    ListWatch::new("/api/v1/pods", Some("spec.nodeName=n".to_owned()))
}

fn pod(name: &str, version: &str) -> Value {
    json!({"metadata": {"name": name, "resourceVersion": version}})
}

fn list(version: &str, items: &[Value]) -> Value {
    json!({"kind": "PodList", "metadata": {"resourceVersion": version}, "items": items})
}

fn event(type_: &str, object: &Value) -> Value {
    json!({"type": type_, "object": object})
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// So many items of a stream, each in a word.
async fn take(stream: &mut BoxStream<'static, Item>, number: usize) -> Vec<String> {
    let named = |verb: &str, object: &[u8]| {
        let object: Value = serde_json::from_slice(object).unwrap();
        format!("{verb} {}", object["metadata"]["name"].as_str().unwrap())
    };
    let mut words = Vec::new();
    for _ in 0..number {
        words.push(match stream.next().await.unwrap() {
            Ok(ObjectEvent::Listing) => "list".to_owned(),
            Ok(ObjectEvent::Listed(object)) => named("has", &object),
            Ok(ObjectEvent::Complete) => "complete".to_owned(),
            Ok(ObjectEvent::Applied(object)) => named("applied", &object),
            Ok(ObjectEvent::Deleted(object)) => named("deleted", &object),
            Ok(ObjectEvent::TooLarge) => "too large".to_owned(),
            Err(error) => error.to_string(),
        });
    }
    words
}

#[tokio::test(start_paused = true)]
async fn a_list_is_followed_by_watches_from_where_it_ended() {
    let (server, client) = ApiServer::playing([
        vec![
            Call::get(&format!("{PODS}&resourceVersion=0"))
                .gives(list("5", &[pod("a", "1"), pod("b", "2")])),
        ],
        vec![
            Call::get(&format!("{WATCH}&resourceVersion=5"))
                .gives(event("MODIFIED", &pod("a", "6"))),
        ],
        vec![
            Call::get(&format!("{WATCH}&resourceVersion=6"))
                .gives(event("DELETED", &pod("b", "7"))),
        ],
        // A bookmark says nothing, and moves the watch on.
        vec![
            Call::get(&format!("{WATCH}&resourceVersion=7"))
                .gives(event("BOOKMARK", &pod("", "9"))),
        ],
        vec![
            Call::get(&format!("{WATCH}&resourceVersion=9")).gives(event("ADDED", &pod("c", "10"))),
        ],
    ]);
    let mut stream = pods().stream(client);
    assert_eq!(
        take(&mut stream, 7).await,
        [
            "list",
            "has a",
            "has b",
            "complete",
            "applied a",
            "deleted b",
            "applied c"
        ]
    );
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_too_old_is_followed_by_a_list_that_is_not_older() {
    let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"});
    let (server, client) = ApiServer::playing([
        vec![Call::get(&format!("{PODS}&resourceVersion=0")).gives(list("5", &[]))],
        vec![Call::get(&format!("{WATCH}&resourceVersion=5")).gives(event("ERROR", &gone))],
        vec![Call::get(&format!("{PODS}&resourceVersion=5")).fails(410, "Expired", "too old")],
        // From etcd, as it is now.
        vec![Call::get(PODS).gives(list("8", &[pod("a", "7")]))],
        vec![Call::get(&format!("{WATCH}&resourceVersion=8")).fails(410, "Expired", "too old")],
        vec![Call::get(&format!("{PODS}&resourceVersion=8")).gives(list("9", &[]))],
    ]);
    let mut stream = pods().stream(client);
    assert_eq!(
        take(&mut stream, 10).await,
        [
            "list",
            "complete",
            "the API server ended the watch: too old",
            "cannot list",
            "list",
            "has a",
            "complete",
            "cannot watch",
            "list",
            "complete",
        ]
    );
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_repeated_and_what_was_listed_stays() {
    let half: Value = json!({"metadata": {"resourceVersion": "5"}, "items": [pod("a", "1")]});
    let (server, client) = ApiServer::playing([
        vec![Call::get(&format!("{PODS}&resourceVersion=0")).is_cut()],
        vec![Call::get(&format!("{PODS}&resourceVersion=0")).fails(403, "Forbidden", "no")],
        vec![Call::get(&format!("{PODS}&resourceVersion=0")).gives(json!({"items": []}))],
        vec![Call::get(&format!("{PODS}&resourceVersion=0")).gives(half)],
        vec![Call::get(&format!("{WATCH}&resourceVersion=5")).fails(
            503,
            "ServiceUnavailable",
            "no",
        )],
        vec![
            Call::get(&format!("{WATCH}&resourceVersion=5")).gives(event("ADDED", &pod("b", "6"))),
        ],
    ]);
    let mut stream = pods().stream(client);
    assert_eq!(
        take(&mut stream, 9).await,
        [
            "cannot list",
            "cannot list",
            "list",
            "the response to list is not one of the Kubernetes API: it has no resourceVersion",
            "list",
            "has a",
            "complete",
            "cannot watch",
            "applied b",
        ]
    );
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_as_long_as_the_api_server_asks_for() {
    let details = json!({"kind": "Status", "code": 429, "reason": "TooManyRequests",
        "message": "no", "details": {"retryAfterSeconds": 20}});
    for (header, body, seconds) in [
        (Some("30"), b"Too many requests".to_vec(), 30),
        (None, bytes(&details), 20),
        (Some("100000"), Vec::new(), RETRY_AFTER_LIMIT.as_secs()),
    ] {
        let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let log = Arc::clone(&asked);
        let service = tower::service_fn(move |_: Request<Body>| {
            log.lock().unwrap().push(Instant::now());
            let mut response = http::Response::builder().status(429);
            if let Some(header) = header {
                response = response.header("Retry-After", header);
            }
            let response = response.body(Body::from(body.clone())).unwrap();
            std::future::ready(Ok::<_, std::convert::Infallible>(response))
        });
        let mut stream = pods().stream(Client::new(service, "default"));
        assert_eq!(take(&mut stream, 2).await, ["cannot list", "cannot list"]);
        let asked = asked.lock().unwrap();
        let pause = asked[1].duration_since(asked[0]).as_secs();
        assert!((seconds..seconds + 2).contains(&pause), "{pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_is_opened_again_with_longer_and_longer_pauses() {
    let opened: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let log = Arc::clone(&opened);
    // A proxy that answers and closes; the fifth watch lasts longer.
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_watch = request.uri().query().unwrap().contains("watch=true");
        let watches = {
            let mut log = log.lock().unwrap();
            if is_watch {
                log.push(Instant::now());
            }
            log.len()
        };
        async move {
            let body = match (is_watch, watches) {
                (false, _) => bytes(&list("5", &[])),
                (true, 6) => bytes(&event("ADDED", &pod("a", "6"))),
                (true, _) => Vec::new(),
            };
            let lasts = is_watch && watches == 5;
            let body = Full::from(body).with_trailers(async move {
                if lasts {
                    tokio::time::sleep(SHORTEST_WATCH).await;
                }
                None::<Result<http::HeaderMap, std::convert::Infallible>>
            });
            Ok::<_, std::convert::Infallible>(http::Response::new(body))
        }
    });
    let mut stream = pods().stream(Client::new(service, "default"));
    let ended = "the watch ended at once, without an event";
    assert_eq!(
        take(&mut stream, 7).await,
        ["list", "complete", ended, ended, ended, ended, "applied a"]
    );
    let opened = opened.lock().unwrap();
    let pauses: Vec<_> = opened.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(pauses.len(), 5);
    assert!(
        pauses[..4].iter().all(|pause| !pause.is_zero()),
        "{pauses:?}"
    );
    assert!(pauses[3] > pauses[0], "{pauses:?}");
    assert_eq!(pauses[4], SHORTEST_WATCH);
}

#[tokio::test]
async fn a_response_that_is_cut_off_is_an_error() {
    let whole = bytes(&list("5", &[pod("a", "1")]));
    for end in 1..whole.len() {
        let cut: Lines = Box::pin(futures::io::Cursor::new(whole[..end].to_vec()));
        let mut cut = cut;
        let mut splitter = Splitter::new(1000);
        let mut ended = listed(&mut cut, &mut splitter).await;
        if matches!(ended, Ok(ListPiece::Item(_))) {
            ended = listed(&mut cut, &mut splitter).await;
        }
        assert!(matches!(ended, Err(ListWatchError::Cut { .. })), "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_metadata_alone_the_api_server_sends_nothing_else() {
    let accepted: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&accepted);
    let service = tower::service_fn(move |request: Request<Body>| {
        let accept = request.headers()[http::header::ACCEPT].to_str().unwrap();
        log.lock().unwrap().push(accept.to_owned());
        let body = Body::from(bytes(&list("5", &[pod("a", "1")])));
        let is_list = log.lock().unwrap().len() == 1;
        async move {
            if !is_list {
                std::future::pending::<()>().await;
            }
            Ok::<_, std::convert::Infallible>(http::Response::new(body))
        }
    });
    let mut stream = pods()
        .metadata_only()
        .stream(Client::new(service, "default"));
    assert_eq!(take(&mut stream, 3).await, ["list", "has a", "complete"]);
    let watching = tokio::time::timeout(Duration::from_secs(1), stream.next());
    assert!(watching.await.is_err());
    assert_eq!(
        *accepted.lock().unwrap(),
        [
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_read_once_is_neither_watched_nor_repeated() {
    let path = format!("{PODS}&resourceVersion=0");
    let (server, client) = ApiServer::playing([
        vec![Call::get(&path).gives(list("5", &[pod("a", "1"), pod("b", "2")]))],
        vec![Call::get(&path).fails(403, "Forbidden", "pods is forbidden")],
    ]);
    let mut found = Vec::new();
    let mut read = async || {
        let add = |object: Option<&[u8]>| found.push(object.map(<[u8]>::to_vec));
        let read = pods().list_once(client.clone(), add).await;
        read.map_err(|error| error.to_string())
    };
    assert_eq!(read().await, Ok(()));
    assert_eq!(read().await, Err("cannot list".to_owned()));
    let both = [pod("a", "1"), pod("b", "2")].map(|pod| Some(bytes(&pod)));
    assert_eq!(found, both);
    server.finish();
}

#[test]
fn a_time_out_is_no_version_that_is_too_old() {
    let is_too_old = |code: u16, cause: &str| {
        let status = json!({"status": "Failure", "message": "no", "reason": "Timeout", "code": code,
            "details": {"causes": [{"reason": cause, "message": "no", "field": ""}]}});
        let status: Status = serde_json::from_value(status).unwrap();
        is_expired(&ListWatchError::Request {
            verb: "list",
            source: Box::new(kube::Error::Api(Box::new(status))),
        })
    };
    assert!(is_too_old(410, ""));
    assert!(is_too_old(504, "ResourceVersionTooLarge"));
    assert!(!is_too_old(504, "UnexpectedServerResponse"));
    assert!(!is_too_old(429, "ResourceVersionTooLarge"));
}
