//! Writing to an API server that answers, fails, or does neither; time is the test's.
//!
//! The server here answers by rules and says when it was asked: in a flood the order of requests is not
//! known before, which a scenario of `bailiff_testing` would need.

mod away;
mod fairness;
mod limited;
mod rejected;

use super::*;
use crate::incident::evidence::tests::finding;
use crate::metrics::NotRecordedLabels;
use bailiff_api::IncidentLimits;
use bailiff_kube::serve::Health;
use bailiff_testing::ApiServer;
use http::{Method, Request as HttpRequest, Response};
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// What was asked, when, where, and of which pod.
#[derive(Clone, Debug)]
struct Asked {
    at: Duration,
    method: Method,
    namespace: String,
    pod: String,
    count: i64,
    body: Value,
}

/// How the server answers a request about a pod; none: never.
type Answer = fn(&Method, &str) -> Option<u16>;

/// How the server answers a request.
enum Reply {
    Never,
    Code(u16),
    Status(u16, &'static str, &'static str),
    Object(Value),
}

fn config(interval: Duration) -> WriterConfig {
    WriterConfig {
        node: "node".to_owned(),
        fallback_namespace: "bailiff-system".to_owned(),
        interval,
    }
}

struct Server {
    asked: Arc<Mutex<Vec<Asked>>>,
    health: Health,
    metrics: Metrics,
    /// Pods by the name of their Incident, which requests for a series do not have.
    names: Arc<Mutex<BTreeMap<String, String>>>,
    limits: watch::Sender<IncidentLimits>,
    unrecorded: watch::Receiver<Unrecorded>,
    sender: mpsc::Sender<Finding>,
    writer: JoinHandle<usize>,
}

/// An Incident as the API server has it.
fn existing() -> Value {
    let found = finding(&BTreeMap::new(), &[]);
    let incident = crate::incident::evidence::incident(&found, "node", found.time);
    serde_json::to_value(incident).unwrap()
}

impl Server {
    fn new(answer: Answer, interval: Duration) -> Self {
        Self::with(interval, move |asked| {
            match answer(&asked.method, &asked.pod) {
                None => Reply::Never,
                Some(code) => Reply::Code(code),
            }
        })
    }

    fn with(interval: Duration, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        // Names of Incidents are made of the pod's UID; the requests for a series have only them.
        let names: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let known = Arc::clone(&names);
        let start = Instant::now();
        let service = tower::service_fn(move |request: HttpRequest<Body>| {
            let (log, names, answer) = (Arc::clone(&log), Arc::clone(&names), Arc::clone(&answer));
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
                    names
                        .lock()
                        .unwrap()
                        .get(&name)
                        .cloned()
                        .unwrap_or_else(|| name.clone())
                };
                let asked = Asked {
                    at: start.elapsed(),
                    method: parts.method.clone(),
                    namespace: path.split('/').nth(5).unwrap().to_owned(),
                    pod: pod.clone(),
                    count: body["status"]["series"]["count"]
                        .as_i64()
                        .unwrap_or_default(),
                    body,
                };
                log.lock().unwrap().push(asked.clone());
                let failure = |code: u16, reason: &str, message: &str| {
                    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": message, "reason": reason, "code": code})
                };
                let (code, object) = match answer(&asked) {
                    Reply::Never => return std::future::pending().await,
                    Reply::Object(object) => (200, object),
                    Reply::Code(code) if code < 300 => (code, existing()),
                    Reply::Code(code) => (code, failure(code, "No", "no")),
                    Reply::Status(code, reason, message) => (code, failure(code, reason, message)),
                };
                let response = Response::builder().status(code);
                let body = Body::from(serde_json::to_vec(&object).unwrap());
                Ok::<_, std::convert::Infallible>(response.body(body).unwrap())
            }
        });
        let client = kube::Client::new(service, "default");
        let (sender, incoming) = mpsc::channel(1000);
        let metrics = Metrics::default();
        let (limits, limited) = crate::cluster::limits::limits();
        let health = Health::default();
        let (reporting, unrecorded) = watch::channel(Unrecorded::default());
        let writer = tokio::spawn(write(
            client,
            config(interval),
            metrics.clone(),
            limited,
            reporting,
            health.register_loop("writing", WRITER_LONGEST),
            incoming,
        ));
        Self {
            asked,
            health,
            metrics,
            names: known,
            limits,
            unrecorded,
            sender,
            writer,
        }
    }

    fn not_recorded(&self, reason: NotRecorded) -> u64 {
        let family = &self.metrics.not_recorded;
        family.get_or_create(&NotRecordedLabels { reason }).get()
    }

    async fn violation(&self, pod: &str) {
        self.violation_in("shop", pod).await;
    }

    async fn violation_in(&self, namespace: &str, pod: &str) {
        self.send(violation(namespace, pod)).await;
    }

    async fn send(&self, finding: Finding) {
        self.sender.send(finding).await.unwrap();
        // All that can be written now is written.
        tokio::task::yield_now().await;
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

fn violation(namespace: &str, pod: &str) -> Finding {
    let mut violation = finding(&BTreeMap::new(), &[]);
    let mut facts = (*violation.pod).clone();
    pod.clone_into(&mut facts.uid);
    namespace.clone_into(&mut facts.namespace);
    violation.pod = Arc::new(facts);
    violation
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
async fn a_flood_is_written_at_a_bounded_rate_and_counted_whole() {
    let server = Server::new(|_, _| Some(201), Duration::from_secs(1));
    for _ in 0..10 {
        for pod in 0..20 {
            server.violation(&format!("pod-{pod}")).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for second in 0..10 {
        let within = |asked: &&Asked| asked.at.as_secs() == second;
        let asked = server.asked().iter().filter(within).count();
        assert!(asked <= 10, "{asked} in second {second}");
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    let asked = server.asked();
    assert_eq!(created(&asked), 20);
    for pod in 0..20 {
        let pod = format!("pod-{pod}");
        let last = asked.iter().rfind(|asked| asked.pod == pod).unwrap();
        assert_eq!(last.count, 10, "{pod}");
    }
}

/// When the series of the only pod was written, in seconds since the Incident was created.
fn updates(asked: &[Asked]) -> Vec<u64> {
    let created = asked[0].at;
    let updates = asked.iter().filter(|asked| asked.method == Method::PATCH);
    updates
        .map(|asked| asked.at.saturating_sub(created).as_secs())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn updates_of_an_incident_come_at_growing_intervals() {
    let server = Server::new(|_, _| Some(201), Duration::from_secs(1));
    for _ in 0..1500 {
        server.violation("pod").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // 1, 2, 4 … 256, then 300 seconds after the one before.
    assert_eq!(
        updates(&server.asked()),
        [1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111, 1411]
    );
    let (left, asked) = server.end().await;
    assert_eq!((left, asked.last().unwrap().count), (0, 1500));
}

#[tokio::test(start_paused = true)]
async fn what_the_controller_acts_on_is_written_soon_and_each_once() {
    let server = Server::new(|_, _| Some(201), Duration::from_secs(1));
    let of = |generation: i64, binding: &str| {
        let mut violation = violation("shop", "pod");
        violation.policy.generation = generation;
        violation.bindings[0].uid = binding.to_owned();
        violation
    };
    let both = ["a", "b"];
    for second in 0..200 {
        // A tenant changes a label all the time, and with it the binding that matches.
        let generation = if second < 150 { 1 } else { 2 };
        server.send(of(generation, both[second % 2])).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let updates = updates(&server.asked());
    assert_eq!(
        updates,
        [1, 2, 4, 8, 16, 32, 64, 128, 150, 151, 153, 157, 165, 181]
    );
    let asked = server.asked();
    let series = |at: usize| {
        &asked
            .iter()
            .filter(|a| a.method == Method::PATCH)
            .nth(at)
            .unwrap()
            .body["status"]["series"]
    };
    assert_eq!(series(7)["policyGeneration"], 1);
    assert_eq!(series(8)["policyGeneration"], 2);
}

#[tokio::test(start_paused = true)]
async fn evaluation_errors_of_an_hour_are_one_incident_for_all_pods() {
    let server = Server::new(|_, _| Some(201), Duration::from_secs(1));
    let error = |namespace: &str, pod: &str, hour: i64, generation: i64| {
        let mut error = violation(namespace, pod);
        error.type_ = bailiff_api::IncidentType::EvaluationFailed;
        error.policy.generation = generation;
        error.time =
            jiff::Timestamp::from_second(1_800_000_000 / 3600 * 3600 + hour * 3600).unwrap();
        error
    };
    for (namespace, pod) in [("shop", "a"), ("shop", "b"), ("other", "c")] {
        server.send(error(namespace, pod, 0, 1)).await;
    }
    server.send(error("other", "d", 1, 1)).await;
    server.send(error("other", "e", 1, 2)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = server.asked();
    let what: Vec<_> = asked
        .iter()
        .map(|a| (a.namespace.as_str(), a.pod.as_str(), a.count))
        .collect();
    let mut what = what;
    what.sort_unstable();
    assert_eq!(
        what,
        [
            ("other", "d", 0),
            ("other", "e", 0),
            ("shop", "a", 0),
            ("shop", "a", 3)
        ]
    );
    assert!(
        asked[0].body["metadata"]["name"]
            .as_str()
            .unwrap()
            .starts_with("inc-evaluation-failed-")
    );
}

#[tokio::test(start_paused = true)]
async fn a_sensor_that_restarts_continues_the_series_that_is_there() {
    let process = |name: &str, count: i64| {
        json!({"executable": format!("/bin/{name}"), "args": [],
        "origin": "Exec", "count": count, "firstObservedTime": "2026-01-01T00:00:00.000000Z",
        "lastObservedTime": "2026-01-01T00:00:00.000000Z"})
    };
    let server = Server::with(Duration::from_secs(1), move |asked| {
        if asked.method == Method::POST {
            return Reply::Status(409, "AlreadyExists", "incidents.bailiff.dev already exists");
        }
        let mut found = existing();
        found["status"] = json!({"series": {"count": 7, "policyGeneration": 1,
            "lastObservedTime": "2026-01-01T00:00:00.000000Z", "bindingRefs": found["spec"]["bindingRefs"],
            "firstProcesses": [process("a", 2), process("b", 1), process("c", 1)],
            "lastProcesses": [process("d", 2)]}});
        Reply::Object(found)
    });
    for name in ["new", "a", "d"] {
        let mut violation = violation("shop", "pod");
        let mut process = (*violation.process).clone();
        process.executable = format!("/bin/{name}");
        process.args = Vec::new();
        violation.process = Arc::new(process);
        server.send(violation).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = server.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(
        asked[1].body,
        json!({}),
        "the response to an update without a change is the Incident"
    );
    let series = &asked[2].body["status"]["series"];
    assert_eq!(series["count"], 10);
    let names = |list: &str| -> Vec<_> {
        let list = series[list].as_array().unwrap().iter();
        list.map(|p| {
            (
                p["executable"].as_str().unwrap().to_owned(),
                p["count"].as_i64().unwrap(),
            )
        })
        .collect()
    };
    let of = |list: &[(&str, i64)]| -> Vec<_> {
        list.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect()
    };
    assert_eq!(
        names("firstProcesses"),
        of(&[("/bin/a", 3), ("/bin/b", 1), ("/bin/c", 1)])
    );
    assert_eq!(
        names("lastProcesses"),
        of(&[("/bin/new", 1), ("/bin/d", 3)])
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_newer_version_wrote_is_no_failure() {
    let server = Server::with(Duration::from_secs(1), |asked| {
        if asked.method == Method::POST && asked.pod == "restarted" {
            return Reply::Status(409, "AlreadyExists", "incidents.bailiff.dev already exists");
        }
        let mut newer = existing();
        newer["spec"]["severity"] = json!("Unheard");
        newer["status"] = json!({"phase": "Unheard", "series": {"count": 7, "more": []}});
        Reply::Object(newer)
    });
    for pod in ["new", "restarted"] {
        server.violation(pod).await;
        server.violation(pod).await;
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    let what: Vec<_> = server
        .asked()
        .into_iter()
        .map(|asked| (asked.pod, asked.method, asked.count))
        .collect();
    let of = |pod: &str| -> Vec<_> {
        let of_pod = what.iter().filter(|(of, ..)| of == pod);
        of_pod.map(|(_, m, count)| (m.as_str(), *count)).collect()
    };
    assert_eq!(of("new"), [("POST", 0), ("PATCH", 2)]);
    assert_eq!(of("restarted"), [("POST", 0), ("PATCH", 0), ("PATCH", 9)]);
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_was_deleted_is_created_again() {
    let server = Server::with(Duration::from_secs(1), |asked| {
        if asked.method == Method::PATCH {
            Reply::Status(404, "NotFound", "incidents.bailiff.dev \"inc-1\" not found")
        } else {
            Reply::Code(201)
        }
    });
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
async fn a_writer_makes_progress_without_an_api_server_and_is_reported_if_it_does_not() {
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
            assert_eq!(server.health.stalled(), None, "{name}");
        }
    }
    let health = Health::default();
    let pulse = health.register_loop("writing", WRITER_LONGEST);
    let (_sender, incoming) = mpsc::channel(1);
    let interval = Duration::from_secs(1);
    let client = ApiServer::silent();
    let writer = write(
        client,
        config(interval),
        Metrics::default(),
        crate::cluster::limits::limits().1,
        watch::Sender::default(),
        pulse,
        incoming,
    );
    let mut writer = Box::pin(writer);
    assert!(futures::poll!(&mut writer).is_pending());
    // Nothing lets it go on from here.
    tokio::time::advance(WRITER_LONGEST + Duration::from_secs(1)).await;
    assert_eq!(
        health.stalled().as_deref(),
        Some("writing has made no progress for 61 seconds\n")
    );
}

#[tokio::test(start_paused = true)]
async fn an_incident_whose_response_was_lost_counts_once() {
    let created = Arc::new(Mutex::new(Value::Null));
    let server = Server::with(Duration::from_secs(1), move |asked| {
        let mut created = created.lock().unwrap();
        if asked.method == Method::PATCH {
            return Reply::Object(created.clone());
        }
        if created.is_null() {
            // The API server persists it, and the connection breaks.
            *created = asked.body.clone();
            return Reply::Code(503);
        }
        Reply::Status(409, "AlreadyExists", "incidents.bailiff.dev already exists")
    });
    server.violation("pod").await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let what = |server: &Server| -> Vec<_> {
        let asked = server.asked().into_iter();
        asked.map(|a| (a.method.to_string(), a.count)).collect()
    };
    let of = |list: &[(&str, i64)]| -> Vec<_> {
        list.iter()
            .map(|(m, count)| ((*m).to_owned(), *count))
            .collect()
    };
    let until_found = [("POST", 0), ("POST", 0), ("PATCH", 0)];
    assert_eq!(what(&server), of(&until_found));
    // The next one is the second.
    server.violation("pod").await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(what(&server)[3..], of(&[("PATCH", 2)]));
}
