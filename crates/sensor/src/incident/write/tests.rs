//! Writing to an API server that answers, fails, or does neither; time is the test's.
//!
//! The server here answers by rules and says when it was asked: in a flood nobody knows the order of
//! requests before, which a scenario of `bailiff_testing` would need.

use super::*;
use crate::incident::evidence::tests::judged;
use bailiff_kube::serve::Health;
use bailiff_testing::ApiServer;
use http::{Method, Request as HttpRequest, Response};
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What was asked, when, and of which pod.
#[derive(Clone, Debug)]
struct Asked {
    at: Duration,
    method: Method,
    pod: String,
    count: i64,
}

/// How the server answers a request about a pod; none: never.
type Answer = fn(&Method, &str) -> Option<u16>;

struct Server {
    asked: Arc<Mutex<Vec<Asked>>>,
    health: Health,
    sender: mpsc::Sender<Judged>,
    writer: JoinHandle<usize>,
}

impl Server {
    fn new(answer: Answer, interval: Duration) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        // Names of Incidents are made of the pod's UID; the requests for a series have only them.
        let names: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let start = Instant::now();
        let service = tower::service_fn(move |request: HttpRequest<Body>| {
            let (log, names) = (Arc::clone(&log), Arc::clone(&names));
            async move {
                let (parts, body) = request.into_parts();
                let body: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap())
                    .unwrap_or_default();
                let path = parts.uri.path().trim_end_matches("/status").to_owned();
                let name = path.rsplit('/').next().unwrap().to_owned();
                let pod = if parts.method == Method::POST {
                    let pod = body["spec"]["pod"]["uid"].as_str().unwrap().to_owned();
                    let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                    names.lock().unwrap().insert(name, pod.clone());
                    pod
                } else {
                    names.lock().unwrap()[&name].clone()
                };
                log.lock().unwrap().push(Asked {
                    at: start.elapsed(),
                    method: parts.method.clone(),
                    pod: pod.clone(),
                    count: body["status"]["series"]["count"]
                        .as_i64()
                        .unwrap_or_default(),
                });
                let Some(code) = answer(&parts.method, &pod) else {
                    return std::future::pending().await;
                };
                let answer = if code < 300 {
                    serde_json::to_value(crate::incident::evidence::incident(
                        &judged(&BTreeMap::new(), &[]),
                        "node",
                        Timestamp::UNIX_EPOCH,
                    ))
                    .unwrap()
                } else {
                    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": "no", "reason": "No", "code": code})
                };
                let response = Response::builder().status(code);
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, std::convert::Infallible>(response.body(body).unwrap())
            }
        });
        let client = kube::Client::new(service, "default");
        let (sender, incoming) = mpsc::channel(1000);
        let metrics = Metrics::default();
        let health = Health::default();
        let writer = tokio::spawn(write(
            client,
            "node".to_owned(),
            interval,
            metrics,
            health.watch("writing", WRITER_LONGEST),
            incoming,
        ));
        Self {
            asked,
            health,
            sender,
            writer,
        }
    }

    async fn violation(&self, pod: &str) {
        let mut violation = judged(&BTreeMap::new(), &[]);
        let mut facts = (*violation.pod).clone();
        pod.clone_into(&mut facts.uid);
        violation.pod = Arc::new(facts);
        self.sender.send(violation).await.unwrap();
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Nothing more comes; how many Incidents could not be written, and what was asked.
    async fn end(self) -> (usize, Vec<Asked>) {
        drop(self.sender);
        let left = self.writer.await.unwrap();
        let asked = self.asked.lock().unwrap().clone();
        (left, asked)
    }
}

fn created(asked: &[Asked]) -> usize {
    asked
        .iter()
        .filter(|asked| asked.method == Method::POST)
        .count()
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn what_was_held_back_is_written_at_the_end() {
    let server = Server::new(|_, _| Some(201), HOUR);
    for pod in 0..12 {
        server.violation(&format!("pod-{pod}")).await;
    }
    server.violation("pod-3").await;
    server.violation("pod-3").await;
    let (left, asked) = server.end().await;
    assert_eq!((left, created(&asked)), (0, 12));
    let series: Vec<_> = asked
        .iter()
        .filter(|asked| asked.method == Method::PATCH)
        .collect();
    assert_eq!(
        series.len(),
        1,
        "the interval does not hold it back at the end"
    );
    assert_eq!((series[0].pod.as_str(), series[0].count), ("pod-3", 3));
    // A burst of five, then five a second.
    let at = asked.iter().map(|asked| asked.at).max().unwrap();
    assert!(at >= Duration::from_millis(1500), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_also_at_the_end() {
    static TRIES: Mutex<u32> = Mutex::new(0);
    let answer: Answer = |_, _| {
        let mut tries = TRIES.lock().unwrap();
        *tries += 1;
        Some(if *tries < 3 { 500 } else { 201 })
    };
    let server = Server::new(answer, HOUR);
    server.violation("pod").await;
    let (left, asked) = server.end().await;
    assert_eq!((left, created(&asked)), (0, 3));
    assert!(asked[1].at >= asked[0].at + FIRST_RETRY, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_and_says_what_is_left() {
    let server = Server::new(|_, pod| (pod != "silent").then_some(201), HOUR);
    for pod in ["silent", "pod"] {
        server.violation(pod).await;
    }
    let start = Instant::now();
    let (left, asked) = server.end().await;
    assert_eq!((left, created(&asked)), (1, 2));
    assert_eq!(start.elapsed().as_secs(), FLUSH.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_holds_up_nobody_else() {
    let server = Server::new(|_, pod| (pod != "silent").then_some(201), HOUR);
    server.violation("silent").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for pod in ["silent", "a", "b"] {
        server.violation(pod).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let pods: Vec<_> = server.asked().into_iter().map(|asked| asked.pod).collect();
    assert_eq!(pods, ["silent", "a", "b"], "and it is sent once");
}

#[tokio::test(start_paused = true)]
async fn a_new_incident_does_not_wait_behind_those_that_fail() {
    let server = Server::new(|_, pod| Some(if pod == "new" { 201 } else { 500 }), HOUR);
    for pod in 0..30 {
        server.violation(&format!("failing-{pod}")).await;
    }
    // By then all of them were tried, and wait for their turn again.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let now = server.asked().last().unwrap().at;
    server.violation("new").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = server.asked();
    let new = asked
        .iter()
        .find(|asked| asked.pod == "new")
        .expect("it is written");
    assert!(
        new.at <= now + Duration::from_millis(400),
        "{:?} after {now:?}",
        new.at
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_written_at_a_bounded_rate_and_counted_whole() {
    let server = Server::new(|_, _| Some(201), Duration::from_secs(1));
    for _ in 0..10 {
        for pod in 0..20 {
            server.violation(&format!("pod-{pod}")).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let asked = server.asked();
    assert!((50..=56).contains(&asked.len()), "{} in 10 s", asked.len());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let asked = server.asked();
    assert_eq!(created(&asked), 20);
    for pod in 0..20 {
        let pod = format!("pod-{pod}");
        let last = asked.iter().rfind(|asked| asked.pod == pod).unwrap();
        assert_eq!(last.count, 10, "{pod}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_somebody_deleted_is_made_anew() {
    let answer: Answer = |method, _| Some(if *method == Method::PATCH { 404 } else { 201 });
    let server = Server::new(answer, Duration::from_secs(1));
    server.violation("pod").await;
    server.violation("pod").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let methods: Vec<_> = server
        .asked()
        .into_iter()
        .map(|asked| asked.method)
        .collect();
    assert_eq!(methods, [Method::POST, Method::PATCH, Method::POST]);
}

#[tokio::test(start_paused = true)]
async fn a_writer_turns_whatever_the_api_server_does_and_is_told_of_when_it_does_not() {
    for (name, answer) in [
        ("nothing to write", (|_, _| Some(201)) as Answer),
        ("failures", |_, _| Some(503)),
        ("no answer", |_, _| None),
    ] {
        let server = Server::new(answer, Duration::from_secs(1));
        if name != "nothing to write" {
            server.violation("a").await;
        }
        for _ in 0..10 {
            tokio::time::sleep(WRITER_LONGEST).await;
            assert_eq!(server.health.stuck(), None, "{name}");
        }
    }
    let health = Health::default();
    let pulse = health.watch("writing", WRITER_LONGEST);
    let (_sender, incoming) = mpsc::channel(1);
    let interval = Duration::from_secs(1);
    let client = ApiServer::silent();
    let writer = write(
        client,
        "node".to_owned(),
        interval,
        Metrics::default(),
        pulse,
        incoming,
    );
    let mut writer = Box::pin(writer);
    assert!(futures::poll!(&mut writer).is_pending());
    // Nothing lets it go on from here.
    tokio::time::advance(WRITER_LONGEST + Duration::from_secs(1)).await;
    assert_eq!(
        health.stuck().as_deref(),
        Some("writing stands still for 61 seconds\n")
    );
}
