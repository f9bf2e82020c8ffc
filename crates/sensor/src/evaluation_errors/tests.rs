//! What is counted and logged of expressions that could not be evaluated.

use super::*;
use crate::metrics::Policy;
use bailiff_policy::compile;
use serde_json::json;

struct Sensor {
    errors: EvaluationErrors,
    metrics: Metrics,
}

impl Sensor {
    fn new() -> Self {
        let metrics = Metrics::default();
        let errors = EvaluationErrors::new(metrics.clone());
        Self { errors, metrics }
    }

    fn fail(&mut self, name: &str) {
        let policy = serde_json::from_value(json!({
            "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
            "metadata": {"name": name, "uid": format!("{name}-uid"), "generation": 1},
            "spec": {"validations": [{"expression": "true"}]},
        }));
        let error = EvaluationError {
            validation: Some(2),
            message: "validations[2]: no such key: SECRET".to_owned(),
        };
        let compiled = compile(&policy.unwrap()).unwrap();
        self.errors.add(&compiled, &[error], Instant::now());
    }

    fn counted(&self, policy: &str) -> u64 {
        let policy = policy.to_owned();
        let family = &self.metrics.evaluation_errors;
        family.get(&Policy { policy }).map_or(0, |c| c.get())
    }
}

#[tokio::test]
async fn no_more_names_than_the_limit_become_labels_and_those_of_the_deleted_go() {
    let mut sensor = Sensor::new();
    for index in 0..=NAMED_LIMIT {
        sensor.fail(&format!("p{index}"));
    }
    let last = format!("p{NAMED_LIMIT}");
    assert_eq!((sensor.counted(&last), sensor.counted(OTHERS)), (0, 1));
    sensor.fail("p0");
    assert_eq!(sensor.counted("p0"), 2, "what has a label keeps it");
    let listed = (1..=NAMED_LIMIT).map(|index| format!("p{index}")).collect();
    sensor.errors.keep(&listed);
    assert_eq!(sensor.counted("p0"), 0);
    sensor.fail(&last);
    assert_eq!(sensor.counted(&last), 1, "a label is free now");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_fails_all_the_time_makes_a_line_of_the_log_a_minute() {
    let mut sensor = Sensor::new();
    let logged = |sensor: &Sensor| sensor.errors.known["p"].logged.unwrap();
    sensor.fail("p");
    let first = logged(&sensor);
    let moment = Duration::from_millis(1);
    tokio::time::advance(LOGGED_EVERY.saturating_sub(moment)).await;
    sensor.fail("p");
    assert_eq!(logged(&sensor), first);
    tokio::time::advance(moment).await;
    sensor.fail("p");
    assert_eq!(logged(&sensor), first + LOGGED_EVERY);
}
