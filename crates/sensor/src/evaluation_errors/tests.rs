//! What is counted and said of expressions that fail, and what is written of it.

use super::*;
use crate::metrics::Policy;
use bailiff_api::protection::policy_status::{
    ALREADY_REPORTED, INVALID_CONDITION, MESSAGE_LIMIT_BYTES, message_start,
};
use bailiff_policy::compile;
use bailiff_testing::{ApiServer, Call};
use serde_json::json;

const STATUS: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicies/p/status";

/// A policy as the watch brings it; `said`: the generation that its condition is about.
fn policy(name: &str, generation: i64, said: Option<i64>) -> RuntimePolicy {
    let conditions: Vec<_> = said
        .map(|observed| {
            json!({"type": "EvaluationFailed", "status": "True", "reason": "FailureIgnored",
                "message": "", "observedGeneration": observed,
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        })
        .into_iter()
        .collect();
    serde_json::from_value(json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
        "metadata": {"name": name, "uid": format!("{name}-uid"), "generation": generation},
        "spec": {"failurePolicy": "Ignore", "validations": [{"expression": "true"}]},
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

fn failure() -> Failure {
    Failure {
        validation: Some(2),
        message: "validations[2]: no such key: SECRET".to_owned(),
    }
}

struct Sensor {
    ignored: Ignored,
    reports: mpsc::Receiver<Report>,
    metrics: Metrics,
}

impl Sensor {
    fn new() -> Self {
        let metrics = Metrics::default();
        let (ignored, reports) = Ignored::new(metrics.clone());
        Self {
            ignored,
            reports,
            metrics,
        }
    }

    fn fail(&mut self, name: &str, generation: i64) {
        let compiled = compile(&policy(name, generation, None)).unwrap();
        self.ignored.failed(&compiled, &[failure()], Instant::now());
    }

    fn reported(&mut self) -> Vec<(String, i64)> {
        std::iter::from_fn(|| self.reports.try_recv().ok())
            .map(|report| (report.policy, report.generation))
            .collect()
    }

    fn counted(&self, policy: &str) -> u64 {
        let policy = policy.to_owned();
        let family = &self.metrics.evaluation_failures;
        family.get(&Policy { policy }).map_or(0, |c| c.get())
    }
}

fn of(generation: i64) -> Vec<(String, i64)> {
    vec![("p".to_owned(), generation)]
}

#[tokio::test]
async fn a_generation_is_reported_once_and_again_when_it_was_taken_away() {
    let mut sensor = Sensor::new();
    for _ in 0..3 {
        sensor.fail("p", 1);
    }
    assert_eq!(sensor.reported(), of(1));
    assert_eq!(sensor.counted("p"), 3, "each is counted");
    sensor.ignored.learn(&policy("p", 1, Some(1)));
    sensor.fail("p", 1);
    assert_eq!(sensor.reported(), [], "it stands there");
    sensor.ignored.learn(&policy("p", 1, None));
    sensor.fail("p", 1);
    assert_eq!(sensor.reported(), of(1), "somebody took it away");
    // What the condition says of the generation before is nothing of this one.
    sensor.ignored.learn(&policy("p", 2, Some(1)));
    sensor.fail("p", 2);
    assert_eq!(sensor.reported(), of(2));
}

#[tokio::test]
async fn what_another_sensor_said_is_not_said_again() {
    let mut sensor = Sensor::new();
    sensor.ignored.learn(&policy("p", 4, Some(4)));
    sensor.fail("p", 4);
    assert_eq!(sensor.reported(), []);
    assert_eq!(sensor.counted("p"), 1);
}

#[tokio::test]
async fn a_report_that_finds_no_room_is_made_at_the_next_failure() {
    let mut sensor = Sensor::new();
    for index in 0..=REPORTS_LIMIT {
        sensor.fail(&format!("p{index}"), 1);
    }
    assert_eq!(sensor.reported().len(), REPORTS_LIMIT);
    let last = format!("p{REPORTS_LIMIT}");
    sensor.fail(&last, 1);
    assert_eq!(sensor.reported(), [(last, 1)]);
}

#[tokio::test]
async fn no_more_names_than_the_limit_become_labels_and_those_of_the_deleted_go() {
    let mut sensor = Sensor::new();
    for index in 0..=NAMED_LIMIT {
        sensor.fail(&format!("p{index}"), 1);
    }
    let last = format!("p{NAMED_LIMIT}");
    assert_eq!((sensor.counted(&last), sensor.counted(OTHERS)), (0, 1));
    sensor.fail("p0", 1);
    assert_eq!(sensor.counted("p0"), 2, "who has a label keeps it");
    let listed = (1..=NAMED_LIMIT).map(|index| format!("p{index}")).collect();
    sensor.ignored.keep(&listed);
    assert_eq!(sensor.counted("p0"), 0);
    sensor.fail(&last, 1);
    assert_eq!(sensor.counted(&last), 1, "there is room for it now");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_fails_all_the_time_makes_a_line_of_the_log_a_minute() {
    let mut sensor = Sensor::new();
    let logged = |sensor: &Sensor| sensor.ignored.known["p"].logged.unwrap();
    sensor.fail("p", 1);
    let first = logged(&sensor);
    let moment = Duration::from_millis(1);
    tokio::time::advance(LOGGED_EVERY.saturating_sub(moment)).await;
    sensor.fail("p", 1);
    assert_eq!(logged(&sensor), first);
    tokio::time::advance(moment).await;
    sensor.fail("p", 1);
    assert_eq!(logged(&sensor), first + LOGGED_EVERY);
}

/// Plays to the writer a failure of policy p; whether it is taken for said then.
async fn write(rounds: Vec<Vec<Call>>) -> bool {
    let (server, client) = ApiServer::playing(rounds);
    let mut sensor = Sensor::new();
    sensor.fail("p", 7);
    drop(sensor.ignored.reports);
    let said = Arc::clone(&sensor.ignored.known["p"].said);
    say::say(client, "node-1".to_owned(), sensor.reports).await;
    server.finish();
    said.load(Ordering::Relaxed)
}

fn written() -> Call {
    Call::patch(&format!("{STATUS}?&force=true&fieldManager=bailiff-sensor")).with(json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy", "metadata": {"name": "p"},
        "status": {"conditions": [{
            "type": "EvaluationFailed", "status": "True", "reason": "FailureIgnored",
            "observedGeneration": 7,
            "message": "on node node-1: spec.validations[2] failed for a process, which was left alone, as failurePolicy is Ignore; the log of the sensor there has the error",
        }]},
    }))
}

#[tokio::test(start_paused = true)]
async fn the_condition_is_applied_by_a_manager_of_its_own_until_it_is_taken() {
    let refused = || written().fails(500, "InternalError", "etcd is away");
    let taken = written().gives(serde_json::to_value(policy("p", 7, Some(7))).unwrap());
    assert!(write(vec![vec![refused()], vec![taken]]).await);
    // What is there already, or has nowhere to be, is not tried again.
    for words in [ALREADY_REPORTED, INVALID_CONDITION] {
        let there = format!("ValidatingAdmissionPolicy … denied request: {words}");
        assert!(write(vec![vec![written().fails(403, "Forbidden", &there)]]).await);
    }
    assert!(write(vec![vec![written().is_missing()]]).await);
    // Given up: the next failure tries again.
    let rounds = (0..6).map(|_| vec![refused()]).collect();
    assert!(!write(rounds).await);
}

#[test]
fn the_longest_name_of_a_node_leaves_room_for_the_message() {
    let node = "n".repeat(253);
    let report = |validation| Report {
        policy: "p".to_owned(),
        generation: 1,
        validation,
        said: Arc::default(),
    };
    for validation in [None, Some(63)] {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let condition = say::condition(&node, &report(validation), now);
        let message = condition.message;
        assert!(message.len() <= MESSAGE_LIMIT_BYTES, "{}", message.len());
        assert!(message.starts_with(&message_start(&node)), "{message}");
        assert!(message.bytes().all(|b| (b' '..=b'~').contains(&b)));
    }
}
