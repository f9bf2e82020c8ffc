//! Namespaces that have as many Incidents as are kept.

use super::*;
use bailiff_api::{FullNamespace, IncidentType};

/// The namespace `shop` is full, for the sensors of these nodes.
fn full(nodes: &[&str]) -> IncidentLimits {
    IncidentLimits {
        namespaces: vec![FullNamespace {
            name: "shop".to_owned(),
            nodes: nodes.iter().map(ToString::to_string).collect(),
        }],
        ..IncidentLimits::default()
    }
}

fn audited(namespace: &str, pod: &str) -> Finding {
    Finding {
        enforced: false,
        ..violation(namespace, pod)
    }
}

impl Server {
    /// Sends a violation whose pod is known also for requests that have only the Incident's name.
    async fn find(&self, finding: Finding) {
        let pod = finding.pod.uid.clone();
        let name = name(&finding, "node");
        self.names.lock().unwrap().insert(name, pod);
        self.send(finding).await;
    }
}

/// Method, pod and count of each request.
fn requests(server: &Server) -> Vec<(String, String, i64)> {
    let asked = server.asked().into_iter();
    asked
        .map(|a| (a.method.to_string(), a.pod, a.count))
        .collect()
}

fn of(list: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    list.iter()
        .map(|(method, pod, count)| ((*method).to_owned(), (*pod).to_owned(), *count))
        .collect()
}

/// A server on which nothing exists that was not created.
fn empty() -> Server {
    let created: Mutex<Vec<String>> = Mutex::default();
    Server::with(Duration::from_secs(1), move |asked| {
        let mut created = created.lock().unwrap();
        if asked.method == Method::POST {
            created.push(asked.pod.clone());
            Reply::Code(201)
        } else if created.contains(&asked.pod) {
            Reply::Code(200)
        } else {
            Reply::Status(404, "NotFound", "incidents.bailiff.dev \"inc-1\" not found")
        }
    })
}

#[tokio::test(start_paused = true)]
async fn new_audited_incidents_of_a_full_namespace_become_log_entries() {
    let server = empty();
    server.find(audited("shop", "before")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.limits.send(full(&[])).unwrap();
    server.find(audited("shop", "before")).await;
    for _ in 0..50 {
        server.find(audited("shop", "new")).await;
    }
    server.find(audited("other", "elsewhere")).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut asked = requests(&server);
    asked.sort_unstable();
    let want = of(&[
        ("PATCH", "before", 2),
        ("PATCH", "new", 0),
        ("POST", "before", 0),
        ("POST", "elsewhere", 0),
    ]);
    assert_eq!(asked, want, "an Incident that exists is updated");
    assert_eq!(server.metrics.incidents_logged.get(), 1);
    // The same pod and policy is looked for again after a while alone.
    tokio::time::sleep(LONGEST_INTERVAL).await;
    server.find(audited("shop", "new")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.metrics.incidents_logged.get(), 2);
    // When there is room, it is recorded, with all of its violations.
    server.limits.send(IncidentLimits::default()).unwrap();
    tokio::time::sleep(LONGEST_INTERVAL).await;
    server.find(audited("shop", "new")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = requests(&server);
    let last: Vec<_> = asked.iter().rev().take(2).rev().cloned().collect();
    assert_eq!(last, of(&[("POST", "new", 0), ("PATCH", "new", 52)]));
    assert_eq!(server.not_recorded(NotRecorded::Rejected), 0);
    let (left, _) = server.end().await;
    assert_eq!(left, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_enforced_or_an_evaluation_error_is_always_recorded() {
    let server = empty();
    server.limits.send(full(&["node"])).unwrap();
    server.send(violation("shop", "enforced")).await;
    let mut error = audited("shop", "error");
    error.type_ = IncidentType::EvaluationFailed;
    server.send(error).await;
    // A binding that enforces matches later: while the first violation waits for its turn, and after it
    // became a log entry.
    for pod in 0..5 {
        server.violation_in("other", &format!("other-{pod}")).await;
    }
    server.find(audited("shop", "early")).await;
    server.send(violation("shop", "early")).await;
    server.find(audited("shop", "late")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.send(violation("shop", "late")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = requests(&server);
    let created: Vec<_> = asked
        .iter()
        .filter(|(method, pod, _)| method == "POST" && !pod.starts_with("other"))
        .collect();
    let mut created: Vec<_> = created
        .into_iter()
        .map(|(_, pod, _)| pod.as_str())
        .collect();
    created.sort_unstable();
    assert_eq!(created, ["early", "enforced", "error", "late"]);
    assert_eq!(server.metrics.incidents_logged.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_with_its_share_is_not_limited() {
    let server = empty();
    server.limits.send(full(&["other", "others"])).unwrap();
    server.find(audited("shop", "pod")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(requests(&server), of(&[("POST", "pod", 0)]));
    assert_eq!(server.metrics.incidents_logged.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sensor_that_restarts_continues_what_exists_also_in_a_full_namespace() {
    let server = Server::with(Duration::from_secs(1), |_| {
        let mut found = existing();
        found["status"] = json!({"series": {"count": 7, "policyGeneration": 1,
            "lastObservedTime": "2026-01-01T00:00:00.000000Z",
            "bindingRefs": found["spec"]["bindingRefs"]}});
        Reply::Object(found)
    });
    server.limits.send(full(&[])).unwrap();
    server.find(audited("shop", "pod")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        requests(&server),
        of(&[("PATCH", "pod", 0), ("PATCH", "pod", 8)])
    );
    assert_eq!(server.metrics.incidents_logged.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_for_is_created_and_what_fails_is_retried() {
    static TRIES: Mutex<u32> = Mutex::new(0);
    let server = Server::with(Duration::from_secs(1), |asked| {
        let by_webhook = "admission webhook \"w.example.com\" denied the request: no";
        match (asked.method == Method::POST, asked.pod.as_str()) {
            (true, _) => Reply::Code(201),
            (false, "webhook") => Reply::Status(403, "Forbidden", by_webhook),
            (false, _) => {
                let mut tries = TRIES.lock().unwrap();
                *tries += 1;
                if *tries < 3 {
                    return Reply::Code(500);
                }
                Reply::Status(404, "NotFound", "incidents.bailiff.dev \"inc-1\" not found")
            }
        }
    });
    server.limits.send(full(&[])).unwrap();
    for pod in ["webhook", "broken"] {
        server.find(audited("shop", pod)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut asked = requests(&server);
    asked.sort_unstable();
    let want = of(&[
        ("PATCH", "broken", 0),
        ("PATCH", "broken", 0),
        ("PATCH", "broken", 0),
        ("PATCH", "webhook", 0),
        ("POST", "webhook", 0),
    ]);
    assert_eq!(asked, want);
    assert_eq!(server.metrics.incidents_logged.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_becomes_log_entries_at_a_bounded_rate() {
    let server = empty();
    server.limits.send(full(&[])).unwrap();
    for pod in 0..600 {
        server.find(audited("shop", &format!("pod-{pod}"))).await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    let logged = server.metrics.incidents_logged.get();
    assert!((90..=106).contains(&logged), "{logged}");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(server.metrics.incidents_logged.get(), 600);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_to_bailiffs_namespace_when_it_is_full_for_the_pods() {
    let server = Server::with(Duration::from_secs(1), |asked| {
        if asked.namespace == "bailiff-system" {
            Reply::Code(201)
        } else {
            Reply::Status(403, "Forbidden", "exceeded quota")
        }
    });
    let limits = IncidentLimits {
        fallback_namespaces: full(&["node"]).namespaces,
        ..IncidentLimits::default()
    };
    server.limits.send(limits).unwrap();
    server.violation_in("shop", "a").await;
    server.violation_in("other", "b").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let recorded: Vec<_> = server
        .asked()
        .into_iter()
        .filter(|a| a.namespace == "bailiff-system")
        .map(|a| a.pod)
        .collect();
    assert_eq!(recorded, ["b"]);
    assert_eq!(server.not_recorded(NotRecorded::NamespaceLimit), 1);
    server.limits.send(IncidentLimits::default()).unwrap();
    tokio::time::sleep(LONGEST_INTERVAL).await;
    server.violation_in("shop", "a").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(server.metrics.fallbacks.get(), 2);
}
