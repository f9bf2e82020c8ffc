//! Writes the condition `EvaluationFailed` of policies.
//!
//! Here: the request, and when it is sent again. Not here: whether it is to be written (`super`).
//! Invariant: one request at a time and at most one in [`PAUSE`]; the message never quotes the
//! error, which may quote arguments of a process, while everybody may read a policy.

use super::Report;
use bailiff_api::condition::{evaluation_failed, types};
use bailiff_api::protection::policy_status::{ALREADY_REPORTED, INVALID_CONDITION, message_start};
use bailiff_api::{GROUP, RuntimePolicy, VERSION, keys};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// Least time between two requests.
const PAUSE: Duration = Duration::from_secs(1);
/// How often one is sent before it is given up until the next failure; each pause is twice the
/// one before.
const TRIES: u32 = 6;

/// What became of a report.
enum Wrote {
    Done,
    /// It stands there by another sensor, or its policy is gone or changed.
    NotNeeded,
    Failed(kube::Error),
}

/// Writes what it receives until the channel is closed.
pub(super) async fn say(client: kube::Client, node: String, mut reports: mpsc::Receiver<Report>) {
    let policies = Api::all(client);
    while let Some(report) = reports.recv().await {
        let mut pause = PAUSE;
        for tried in 1..=TRIES {
            match write(&policies, &node, &report).await {
                Wrote::Done => {
                    tracing::info!(policy = report.policy, "the policy's status says so now");
                    break;
                }
                Wrote::NotNeeded => break,
                Wrote::Failed(error) => {
                    tracing::warn!(policy = report.policy, %error, "cannot write the condition EvaluationFailed");
                    if tried == TRIES {
                        report.said.store(false, Ordering::Relaxed);
                        break;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Server-side apply, so that the conditions of others stay as they are.
async fn write(policies: &Api<RuntimePolicy>, node: &str, report: &Report) -> Wrote {
    let condition = condition(node, report, Timestamp::now());
    let manager = PatchParams::apply(keys::SENSOR_FIELD_MANAGER).force();
    let patch = Patch::Apply(patch(&report.policy, &condition));
    match policies
        .patch_status(&report.policy, &manager, &patch)
        .await
    {
        Ok(_) => Wrote::Done,
        Err(kube::Error::Api(status)) if status.code == 404 => Wrote::NotNeeded,
        Err(kube::Error::Api(status))
            if status.code == 403
                && [ALREADY_REPORTED, INVALID_CONDITION]
                    .iter()
                    .any(|words| status.message.contains(words)) =>
        {
            Wrote::NotNeeded
        }
        Err(error) => Wrote::Failed(error),
    }
}

fn patch(name: &str, condition: &Condition) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "RuntimePolicy",
        "metadata": {"name": name},
        "status": {"conditions": [condition]},
    })
}

pub(super) fn condition(node: &str, report: &Report, now: Timestamp) -> Condition {
    let what = report.validation.map_or_else(
        || "one of spec.matchConditions".to_owned(),
        |index| format!("spec.validations[{index}]"),
    );
    let start = message_start(node);
    Condition {
        type_: types::EVALUATION_FAILED.to_owned(),
        status: "True".to_owned(),
        reason: evaluation_failed::FAILURE_IGNORED.to_owned(),
        message: format!(
            "{start}{what} failed for a process, which was left alone, as failurePolicy is Ignore; the log of the sensor there has the error"
        ),
        observed_generation: Some(report.generation),
        last_transition_time: Time(now),
    }
}
