//! What a stolen token can't say of a policy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::token::{administrator, sensor_on, sensor_token};
use bailiff_e2e::{Output, Story};
use serde_json::{Value, json};

/// A policy, and what the sensor of a node may say of it.
struct Said {
    story: Story,
    policy: String,
    node: Value,
    condition: Value,
}

impl Said {
    fn of_a_policy(name: &str) -> Self {
        let story = Story::begin(name);
        story.policy("rule", "true");
        let policy = format!("rule-{}", story.namespace);
        let nodes = story.cluster.get(&["nodes"]);
        let node = nodes["items"][0]["metadata"]["name"].clone();
        let condition = json!({
            "type": "EvaluationFailed", "status": "True", "reason": "FailureIgnored",
            "message": format!("on node {}: spec.validations[0] failed", node.as_str().unwrap()),
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        Self {
            story,
            policy,
            node,
            condition,
        }
    }

    /// The token of the sensor on the node, or of one elsewhere.
    fn token(&self, of_the_node: bool) -> String {
        let sensor = sensor_on(&self.story, &self.node, of_the_node);
        sensor_token(&self.story, Some(&sensor))
    }

    /// Tries to have a status, or with `whole` an object, as the bearer of a token.
    fn applied(&self, token: &str, whole: bool, content: &Value) -> Output {
        let mut object = json!({
            "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
            "metadata": {"name": self.policy},
        });
        let field = if whole { "spec" } else { "status" };
        object[field] = content.clone();
        let mut arguments = vec!["apply", "--server-side", "--force-conflicts"];
        arguments.extend(["--field-manager=stolen", "-f", "-"]);
        if !whole {
            arguments.push("--subresource=status");
        }
        let cluster = &self.story.cluster;
        cluster.try_pipe_as(token, &arguments, &object.to_string())
    }

    fn refused(&self, token: &str, status: &Value, words: &str) {
        let output = self.applied(token, false, status);
        assert!(
            !output.success && output.stderr.contains(words),
            "{status}: {}{}",
            output.stdout,
            output.stderr
        );
    }

    /// The status with the condition alone, one field of it changed.
    fn with(&self, field: &str, value: Value) -> Value {
        let mut condition = self.condition.clone();
        condition[field] = value;
        json!({"conditions": [condition]})
    }

    /// The message with more after it.
    fn longer(&self, more: &str) -> Value {
        let message = self.condition["message"].as_str().unwrap();
        self.with("message", json!(format!("{message}{more}")))
    }

    fn read(&self) -> Value {
        let policy = format!("runtimepolicy/{}", self.policy);
        self.story.cluster.get(&[&policy])
    }
}

const MORE: &str = "a sensor changes nothing of a RuntimePolicy but the condition EvaluationFailed";
const FORM: &str = "a sensor says that expressions failed in one line that names its own node";
const ONCE: &str = "is said once for each generation of it";

#[test]
fn a_sensor_says_one_thing_of_a_policy_and_by_the_name_of_its_node() {
    let said = Said::of_a_policy("said");
    let own = said.token(true);
    let failed = &said.condition;
    let ready = json!({"type": "Ready", "status": "False", "reason": "CompileError",
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    for status in [
        json!({"conditions": [ready]}),
        json!({"conditions": [ready, failed]}),
        json!({"conditions": [failed], "coverage": {"matchingNodes": 9, "monitoredNodes": 9}}),
        json!({"conditions": [failed], "observedGeneration": 7}),
    ] {
        said.refused(&own, &status, MORE);
    }
    for status in [
        json!({"conditions": []}),
        said.with("observedGeneration", json!(7)),
        said.with("status", json!("False")),
        said.with("reason", json!("Other")),
        said.with("message", json!("spec.validations[0] failed")),
        said.longer("\u{1b}[31m"),
        said.longer(&"x".repeat(512)),
    ] {
        said.refused(&own, &status, FORM);
    }
    let status = json!({"conditions": [failed]});
    said.refused(&said.token(false), &status, FORM);
    said.refused(&sensor_token(&said.story, None), &status, FORM);
    said.story.end();
}

#[test]
fn what_a_sensor_said_of_a_policy_stays_and_is_not_said_twice() {
    let said = Said::of_a_policy("stays");
    let own = said.token(true);
    let before = said.read();
    let status = json!({"conditions": [said.condition]});
    let output = said.applied(&own, false, &status);
    assert!(output.success, "{}", output.stderr);
    let after = said.read();
    assert_eq!(after["spec"], before["spec"]);
    let conditions = after["status"]["conditions"].as_array().unwrap();
    assert!(
        conditions.contains(&before["status"]["conditions"][0])
            && conditions.contains(&said.condition),
        "{conditions:?}"
    );
    said.refused(&own, &status, ONCE);
    said.refused(&own, &said.longer(" again"), ONCE);
    said.refused(&own, &json!({"conditions": []}), FORM);
    said.story.end();
}

#[test]
fn a_policys_spec_is_out_of_a_sensors_reach_and_all_of_it_out_of_a_tenants() {
    let said = Said::of_a_policy("reach");
    let spec = json!({"validations": [{"expression": "false"}]});
    let status = json!({"conditions": [said.condition]});
    let tenant = administrator(&said.story);
    for (token, whole, content) in [
        (&said.token(true), true, &spec),
        (&tenant, true, &spec),
        (&tenant, false, &status),
    ] {
        let output = said.applied(token, whole, content);
        assert!(
            !output.success && output.stderr.contains("cannot patch resource"),
            "{content}: {}{}",
            output.stdout,
            output.stderr
        );
    }
    said.story.end();
}
