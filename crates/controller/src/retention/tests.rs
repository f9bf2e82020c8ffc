//! Deletions and the limits that sensors are told; time is the test's.

use super::*;
use crate::config::Config;
use crate::testing::{INCIDENT, World, incident};
use bailiff_testing::{ApiServer, Call};
use http::{Method, Response};
use kube::client::Body;
use serde_json::json;
use std::sync::{Arc, Mutex};

const LIMITS: &str = "/api/v1/namespaces/bailiff-system/configmaps/bailiff-incident-limits";

/// An Incident that only records, and is an hour older with each number.
fn audited(number: usize) -> Incident {
    let time = "2026-01-01T00:00:00Z";
    let mut incident = incident(&json!({"conditions": [
        {"type": "Responded", "status": "True", "reason": "AuditOnly", "message": "",
            "lastTransitionTime": time},
        {"type": "Recovered", "status": "True", "reason": "NothingToReplace", "message": "",
            "lastTransitionTime": time},
    ]}));
    if number > 0 {
        incident.metadata.uid = Some(format!("uid-{number}"));
        incident.metadata.name = Some(format!("inc-{number}"));
    }
    incident
}

fn none() -> Call {
    let text = r#"{"clusterFull":false,"namespaces":[],"fallbackNamespaces":[]}"#;
    Call::patch(LIMITS).with(json!({"data": {"limits": text}}))
}

fn full() -> Call {
    let text = r#"{"clusterFull":false,"namespaces":[{"name":"shop","nodes":["node-1"]}],"fallbackNamespaces":[]}"#;
    Call::patch(LIMITS).with(json!({"data": {"limits": text}}))
}

impl Retention {
    /// Ticks once a second.
    async fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tick();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_expired_is_deleted_by_its_uid_and_what_is_open_is_not() {
    let delete = Call::delete(INCIDENT).with(json!({"preconditions": {"uid": "inc-uid"}}));
    let (server, client) = ApiServer::playing([vec![none()], vec![delete]]);
    let (controller, _recovering) = World::new().controller(client, Config::default());
    let metrics = Metrics::default();
    let mut retention = Retention::new(&controller, metrics.clone());
    let mut open = incident(&json!({}));
    open.metadata.uid = Some("open".to_owned());
    retention.observe(&audited(0));
    retention.observe(&open);
    retention.tick();
    assert!(retention.running.is_none(), "not at once");
    retention.run_for(INTERVAL + RETRY).await;
    server.finish();
    assert_eq!(metrics.incidents_deleted.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn sensors_are_told_what_changed_and_a_write_that_failed_is_repeated() {
    let (server, client) = ApiServer::playing([
        vec![none()],
        vec![full().fails(404, "NotFound", "configmaps not found")],
        vec![full()],
        vec![none()],
    ]);
    let config = Config {
        retention_max_incidents_per_namespace: 2,
        retention_max_age: Duration::from_hours(1_000_000),
        ..Config::default()
    };
    let (controller, _recovering) = World::new().controller(client, config);
    let metrics = Metrics::default();
    let mut retention = Retention::new(&controller, metrics.clone());
    retention.observe(&audited(1));
    retention.run_for(Duration::from_secs(12)).await;
    retention.observe(&audited(2));
    retention.run_for(Duration::from_secs(40)).await;
    assert_eq!(metrics.namespaces_at_limit.get(), 1);
    retention.deleted("uid-1");
    retention.run_for(Duration::from_secs(12)).await;
    assert_eq!(metrics.namespaces_at_limit.get(), 0);
    server.finish();
}

/// A client whose deletions are answered after a time, and when each came.
type Asked = Arc<Mutex<Vec<(Duration, String)>>>;

fn slow(
    time: Duration,
    answer: impl Fn(usize) -> u16 + Send + Sync + 'static,
) -> (Asked, Arc<Mutex<(usize, usize)>>, Client) {
    let asked: Asked = Arc::default();
    let flying: Arc<Mutex<(usize, usize)>> = Arc::default();
    let (log, at_once, start) = (Arc::clone(&asked), Arc::clone(&flying), Instant::now());
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (log, at_once) = (Arc::clone(&log), Arc::clone(&at_once));
        let answer = Arc::clone(&answer);
        async move {
            let mut code = 200;
            if request.method() == Method::DELETE {
                let number = {
                    let mut log = log.lock().unwrap();
                    let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
                    log.push((start.elapsed(), name));
                    log.len()
                };
                code = answer(number);
                {
                    let mut flying = at_once.lock().unwrap();
                    flying.0 += 1;
                    flying.1 = flying.1.max(flying.0);
                }
                tokio::time::sleep(time).await;
                at_once.lock().unwrap().0 -= 1;
            }
            let status = if code == 200 { "Success" } else { "Failure" };
            let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": status,
                "code": code, "reason": "No", "message": "no"});
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            let response = Response::builder().status(code).body(body).unwrap();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    (asked, flying, Client::new(service, "default"))
}

#[tokio::test(start_paused = true)]
async fn a_large_backlog_is_deleted_at_once_at_a_bounded_rate_and_several_at_a_time() {
    let (asked, flying, client) = slow(Duration::from_millis(100), |_| 200);
    let (controller, _recovering) = World::new().controller(client, Config::default());
    let mut retention = Retention::new(&controller, Metrics::default());
    let backlog = RUN_LIMIT + 500;
    for number in 1..=backlog {
        retention.observe(&audited(number));
    }
    let end = Instant::now() + 4 * INTERVAL;
    let mut seen = 0;
    while Instant::now() < end {
        retention.tick();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let new: Vec<_> = asked.lock().unwrap().iter().skip(seen).cloned().collect();
        seen += new.len();
        // The watch brings what was deleted.
        for (_, name) in new {
            retention.deleted(&name.replace("inc-", "uid-"));
        }
    }
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), backlog);
    let (first, last) = (asked.first().unwrap().0, asked.last().unwrap().0);
    assert_eq!(first, INTERVAL);
    // Two runs, one after the other.
    let took = (last - first).as_secs();
    assert!((69..=72).contains(&took), "{took}");
    for (index, (at, _)) in asked.iter().enumerate().skip(60) {
        let within = *at - asked[index - 60].0;
        assert!(within >= Duration::from_secs(1), "{within:?}");
    }
    let most = flying.lock().unwrap().1;
    assert!((2..=IN_FLIGHT_LIMIT).contains(&most), "{most}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_ends_and_is_repeated_soon() {
    let (asked, _, client) = slow(
        Duration::ZERO,
        |number| if number <= 15 { 500 } else { 200 },
    );
    let (controller, _recovering) = World::new().controller(client, Config::default());
    let metrics = Metrics::default();
    let mut retention = Retention::new(&controller, metrics.clone());
    for number in 1..=30 {
        retention.observe(&audited(number));
    }
    retention.run_for(INTERVAL + Duration::from_secs(5)).await;
    let first = asked.lock().unwrap().len();
    assert!((10..20).contains(&first), "{first}");
    retention.run_for(2 * RETRY).await;
    let deleted = metrics.incidents_deleted.get();
    assert!(deleted >= 15, "{deleted}");
    assert!(asked.lock().unwrap().len() >= 30);
}
