//! Tasks that begin, end and fail.

use super::*;
use crate::config::Config;
use crate::testing::{EVENTS, INCIDENT, STATUS, World, incident, incident_json};
use bailiff_kube::serve::Health;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

const AGAIN: Duration = Duration::from_secs(30);

fn pulse() -> Pulse {
    Health::default().watch("answering", Duration::from_mins(1))
}

/// Not answered for want of protection, at second 10; violated again at second `seen`.
fn closed(seen: &str) -> Value {
    json!({
        "conditions": [{"type": "Responded", "status": "False", "reason": "IncidentsNotProtected", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:10Z"}],
        "series": {"count": 2, "lastObservedTime": format!("2026-01-01T00:00:{seen}.000000Z"),
            "policyGeneration": 1, "bindingRefs": [{"name": "a", "uid": "a-uid"}]},
    })
}

fn controller(client: kube::Client, stopping: &CancellationToken) -> Arc<Controller> {
    let config = Config {
        protection_timeout: Duration::ZERO,
        ..Config::default()
    };
    Arc::new(Controller::new(
        client,
        config,
        Metrics::default(),
        stopping.clone(),
    ))
}

/// Runs the loop while `feeding` sends what the watch brings; then it is stopped.
async fn fed<F, Fut>(rounds: Vec<Vec<Call>>, feeding: F)
where
    F: FnOnce(futures::channel::mpsc::UnboundedSender<watcher::Result<Event<Incident>>>) -> Fut,
    Fut: Future<Output = ()>,
{
    let (server, client) = ApiServer::playing(rounds);
    let stopping = CancellationToken::new();
    let (send, events) = futures::channel::mpsc::unbounded();
    let running = dispatch(
        controller(client, &stopping),
        events,
        AGAIN,
        Metrics::default(),
        pulse(),
        stopping.clone(),
    );
    let feeding = async {
        feeding(send.clone()).await;
        stopping.cancel();
    };
    tokio::join!(running, feeding);
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_single_violation_after_an_answer_is_looked_at_when_its_time_has_come() {
    let unconfined = World::new().with(|w| w.protection = Value::Null);
    let scenario = vec![
        unconfined.reads(),
        vec![Call::patch(STATUS).gives(incident_json(&Value::Null))],
        vec![Call::post(EVENTS)],
        vec![Call::post(EVENTS)],
        // Half a minute later; it was settled meanwhile, by whomever.
        vec![Call::get(INCIDENT).gives(incident_json(&closed("05")))],
    ];
    fed(scenario, |send| async move {
        let send = |event| send.unbounded_send(Ok(event)).unwrap();
        send(Event::Init);
        send(Event::InitApply(incident(&Value::Null)));
        send(Event::InitDone);
        tokio::time::sleep(Duration::from_secs(1)).await;
        send(Event::Apply(incident(&closed("15"))));
        // Nothing else comes.
        tokio::time::sleep(3 * AGAIN).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_answered_before_all_past_answers_are_learned() {
    fed(Vec::new(), |send| async move {
        let send = |event| send.unbounded_send(Ok(event)).unwrap();
        send(Event::Init);
        send(Event::InitApply(incident(&Value::Null)));
        tokio::time::sleep(AGAIN).await;
    })
    .await;
}

#[tokio::test]
async fn a_first_list_that_begins_anew_is_learned_once() {
    let (server, client) = ApiServer::playing([]);
    let controller = controller(client, &CancellationToken::new());
    let evicted = incident(&json!({
        "response": {"action": "Evict", "bindingName": "a", "time": "2026-01-01T00:00:00.000000Z"},
    }));
    let (mut listing, mut work) = (Listing::default(), Work::new(AGAIN));
    let mut learn = |event| listing.learn(event, &controller, &mut work).len();
    learn(Event::Init);
    learn(Event::InitApply(evicted.clone()));
    // Page two could not be read.
    learn(Event::Init);
    learn(Event::InitApply(evicted));
    assert_eq!(learn(Event::InitDone), 1);
    let answers = controller.ledger().history(None, &["a"]).by_binding;
    assert_eq!(answers[0].1.len(), 1, "{answers:?}");
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn who_stops_waits_for_what_was_begun() {
    let slow = Duration::from_secs(3);
    let mut reads = World::new().reads();
    let pod = reads.remove(0).after(slow);
    reads.push(pod);
    let begun = Instant::now();
    fed(vec![reads], |send| async move {
        let apply = Event::Apply(incident(&Value::Null));
        send.unbounded_send(Ok(apply)).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    })
    .await;
    assert_eq!(begun.elapsed(), slow);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_is_ended_and_its_incident_looked_at_again() {
    let (server, client) = ApiServer::playing([]);
    let stopping = CancellationToken::new();
    let mut tasks = Tasks {
        controller: controller(client, &stopping),
        running: JoinSet::new(),
        keys: BTreeMap::new(),
        work: Work::new(AGAIN),
    };
    let open = incident(&Value::Null);
    let key = Key::of(&open).unwrap();
    assert_ne!(tasks.work.learn(&open, Instant::now()), Need::Nothing);
    tasks.run(key.clone(), async { panic!("as a defect would") });
    let ended = tasks.running.join_next_with_id().await.unwrap();
    tasks.ended(ended);
    assert!(tasks.keys.is_empty());
    assert!(tasks.work.due(Instant::now()).is_empty());
    tokio::time::advance(AGAIN).await;
    assert_eq!(tasks.work.due(Instant::now()), [key]);
    server.finish();
}
