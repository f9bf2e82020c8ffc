//! Statuses and Events that are rejected or not answered.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_status_that_is_rejected_for_good_is_not_written_forever() {
    let world = World::new();
    let invalid = || write(json!({})).fails(422, "Invalid", "status.workloadRef.kind: too long");
    let scenario = rounds([
        vec![world.reads(), vec![evict()], vec![invalid()]],
        events("EvictedByPolicy"),
    ]);
    let (server, client) = ApiServer::playing(scenario);
    let (controller, _recovering) = world.controller(client, Config::default());
    let ended = pass(&controller, &key(), Some(incident(&Value::Null))).await;
    assert_eq!(ended, Ok(Finished::Removed));
    assert_eq!(controller.metrics.status_writes_rejected.get(), 1);
    server.finish();
}

/// Passes over the Incident until its slot ends with a result; so many that ended without.
async fn play_slots(rounds: Vec<Vec<Call>>) -> (Result<Finished, Stop>, usize, Arc<Controller>) {
    let world = World::new();
    let (server, client) = ApiServer::playing(rounds);
    let (controller, _recovering) = world.controller(client, Config::default());
    let mut brought = Some(incident(&Value::Null));
    let mut slots = 0;
    let ended = loop {
        let ended = pass(&controller, &key(), brought.take()).await;
        match ended {
            Err(Stop::Unwritten(_)) => slots += 1,
            ended => break ended,
        }
    };
    server.finish();
    (ended, slots, controller)
}

fn read_again() -> Vec<Call> {
    vec![Call::get(INCIDENT).gives(incident_json(&Value::Null))]
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_now_frees_the_slot_and_is_written_later() {
    let world = World::new();
    let begin = || vec![world.reads(), vec![evict()]];
    let away = |code| vec![write(json!({})).fails(code, "Any", "not now")];
    for twice in [
        vec![away(503), away(503)],
        vec![away(409), away(429)],
        vec![
            vec![write(json!({})).is_cut()],
            vec![write(json!({})).is_silent()],
        ],
    ] {
        let scenario = rounds([begin(), twice, vec![read_again()], the_end()]);
        let (ended, slots, controller) = play_slots(scenario).await;
        assert_eq!((ended, slots), (Ok(Finished::Removed), 1));
        assert!(controller.unwritten().all().is_empty());
    }
    // An API server that asks for time gets it.
    let busy = write(json!({})).fails_with(
        429,
        json!({"status": "Failure", "code": 429,
        "message": "too many requests", "details": {"retryAfterSeconds": 7}}),
    );
    let asked = Some(SignedDuration::from_secs(7));
    let ended = play(&world, rounds([begin(), vec![vec![busy]]])).await;
    assert_eq!(ended, Err(Stop::Unwritten(asked)));
    let want = Finished::Backoff {
        reason: "APIRequestFailed",
        at_least: asked,
        not_after: None,
    };
    assert_eq!(Finished::not_written(asked), want);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_denied_is_written_a_few_times_and_given_up() {
    let world = World::new();
    let webhook = "admission webhook \"deny.example.com\" denied the request: no";
    let called = "Internal error occurred: failed calling webhook \"deny.example.com\": timeout";
    for (code, message) in [(403, "no"), (429, webhook), (404, webhook), (500, called)] {
        let denied = || vec![write(json!({})).fails(code, "Any", message)];
        let mut scenario = vec![world.reads(), vec![evict()], denied()];
        for _ in 1..8 {
            scenario.extend([read_again(), denied()]);
        }
        scenario.extend(events("EvictedByPolicy"));
        let (ended, slots, controller) = play_slots(scenario).await;
        assert_eq!((ended, slots), (Ok(Finished::Removed), 7));
        assert_eq!(controller.metrics.status_writes_rejected.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_not_answered_holds_no_slot() {
    let world = World::new();
    let silent = || vec![Call::post(EVENTS).is_silent()];
    let (server, client) = ApiServer::playing(rounds([
        vec![world.reads(), vec![evict()], vec![evicted().remove(0)]],
        vec![silent(), silent()],
    ]));
    let (controller, _recovering) = world.controller(client, Config::default());
    let begun = tokio::time::Instant::now();
    let brought = Some(incident(&Value::Null));
    let job = Job {
        key: key(),
        fresh: true,
    };
    let ended = Box::pin(controller.reconcile_job(&job, brought)).await;
    assert_eq!(
        (ended, begun.elapsed()),
        (Ok(Finished::Removed), Duration::ZERO)
    );
    controller.finish_events().await;
    assert_eq!(controller.metrics.event_failures.get(), 2);
    server.finish();
}
