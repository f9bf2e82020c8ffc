//! Dry runs of audited violations.

use super::*;

fn world() -> World {
    World::new().with(|w| w.bindings = vec![("a", binding("a", "Audit"))])
}

/// The eviction that Evict would request, which changes nothing.
fn dry_run() -> Call {
    Call::post(&format!("{EVICTION}?&dryRun=All")).with(json!({
        "deleteOptions": {"dryRun": ["All"], "gracePeriodSeconds": 30,
            "preconditions": {"uid": "pod-uid"}},
    }))
}

/// The end of the pass, with this dry-run response.
fn audited(response: &Value) -> Vec<Vec<Call>> {
    let audited = vec![write(json!({"status": {
        "phase": "Audited",
        "conditions": [{"type": "Responded", "status": "True", "reason": "AuditOnly"},
            {"type": "Recovered", "status": "True"}],
        "dryRunResponse": response,
    }}))];
    rounds([vec![audited], events("PolicyViolation")])
}

fn not_checked(why: &str) -> Value {
    json!({"action": null, "reason": "APIRequestFailed", "message": format!(
        "With Evict in RuntimePolicyBinding a, Bailiff would request the eviction of pod web-5d8f-x7k2p. Whether PodDisruptionBudgets and admission webhooks allow it was not checked ({why}).")})
}

#[tokio::test]
async fn an_audit_reports_what_the_api_server_decides_about_a_dry_run() {
    let world = world();
    let message = "admission webhook \"deny.example.com\" denied the request: not on Sundays";
    let budget = json!({"status": "Failure", "code": 429, "message": "Cannot evict pod",
        "details": {"causes": [{"reason": "DisruptionBudget",
            "message": "The disruption budget web needs 2 healthy pods and has 2 currently"}]}});
    let unsupported = "admission webhook \"deny.example.com\" does not support dry run";
    for (call, response) in [
        (dry_run(), json!({"action": "Evict", "reason": "Evicted"})),
        (
            dry_run().fails_with(429, budget),
            json!({"action": null, "reason": "WaitingForDisruptionBudget"}),
        ),
        (
            dry_run().fails(403, "Forbidden", message),
            json!({"action": null, "reason": "BlockedByWebhook"}),
        ),
        (
            dry_run().fails(400, "BadRequest", unsupported),
            not_checked("admission webhook \"deny.example.com\" does not support dry runs"),
        ),
        (
            dry_run().is_cut(),
            not_checked("the API server is unavailable"),
        ),
    ] {
        let scenario = rounds([vec![world.reads(), vec![call]], audited(&response)]);
        assert_eq!(
            play(&world, scenario).await,
            Ok(Finished::Final),
            "{response}"
        );
    }
}

#[tokio::test]
async fn a_webhook_that_hangs_in_a_dry_run_holds_no_slot() {
    let world = world();
    let silent = not_checked("the API server did not respond within 2 seconds");
    let scenario = rounds([
        vec![world.reads(), vec![dry_run().is_silent()]],
        audited(&silent),
    ]);
    assert_eq!(play(&world, scenario).await, Ok(Finished::Final));
}

#[tokio::test]
async fn a_flood_of_audited_violations_requests_as_many_dry_runs_as_there_may_be_evictions() {
    let world = world();
    let limited = not_checked("the limit of dry runs in a minute is reached");
    let (server, client) = ApiServer::playing(rounds([
        vec![world.reads(), vec![dry_run()]],
        audited(&json!({"action": "Evict"})),
        vec![world.reads()],
        audited(&limited),
    ]));
    let config = Config {
        max_evictions_per_minute_per_namespace: 1,
        ..Config::default()
    };
    let (controller, _recovering) = world.controller(client, config);
    let mut second = incident_json(&Value::Null);
    second["metadata"]["uid"] = json!("inc-2");
    let second: Incident = serde_json::from_value(second).unwrap();
    for incident in [incident(&Value::Null), second] {
        let key = Key::of(&incident).unwrap();
        let ended = pass(&controller, &key, Some(incident)).await;
        assert_eq!(ended, Ok(Finished::Final));
    }
    server.finish();
}

#[tokio::test]
async fn who_no_longer_leads_requests_no_dry_run() {
    let world = world();
    let (server, client) = ApiServer::playing([world.reads()]);
    let (controller, _recovering) = world.controller(client, Config::default());
    controller.stopping().cancel();
    let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(ended, Err(Stop::Stopping));
    server.finish();
}
