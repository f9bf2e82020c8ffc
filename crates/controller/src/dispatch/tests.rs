//! Slots that begin and end.

use super::*;
use crate::config::Config;
use crate::testing::{EVENTS, EVICTION, INCIDENT, STATUS, World, incident, incident_json};
use bailiff_kube::serve::Health;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

type Send = futures::channel::mpsc::UnboundedSender<watcher::Result<Event<Incident>>>;

/// Runs the loop while `feeding` sends what the watch brings; then it is stopped.
async fn fed<F, Fut>(world: World, rounds: Vec<Vec<Call>>, feeding: F)
where
    F: FnOnce(Send, Arc<Controller>) -> Fut,
    Fut: Future<Output = ()>,
{
    let (server, client) = ApiServer::playing(rounds);
    let (controller, _recovering) = world.controller(client, Config::default());
    let (send, events) = futures::channel::mpsc::unbounded();
    let (_news, news) = mpsc::unbounded_channel();
    let stopping = controller.stopping().clone();
    let heartbeat = Health::default().register_loop("responses", Duration::from_mins(1));
    let running = dispatch(
        Arc::clone(&controller),
        world.cache(),
        events,
        news,
        Metrics::default(),
        heartbeat,
        stopping.clone(),
    );
    let feeding = async {
        feeding(send.clone(), controller).await;
        stopping.cancel();
    };
    tokio::join!(Box::pin(running), feeding);
    server.finish();
}

fn brings(send: &Send, event: Event<Incident>) {
    send.unbounded_send(Ok(event)).unwrap();
}

/// Waits until the queue holds nothing.
async fn idle(controller: &Controller) {
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let stats = controller.work().queue.stats();
        if stats.running + stats.due == 0 {
            return;
        }
    }
}

fn response(world: &World) -> Vec<Vec<Call>> {
    let written = Call::patch(STATUS).gives(incident_json(&Value::Null));
    vec![
        world.reads(),
        vec![Call::post(EVICTION)],
        vec![written],
        vec![Call::post(EVENTS)],
        vec![Call::post(EVENTS)],
    ]
}

#[tokio::test]
async fn nothing_begins_before_the_first_list_is_complete() {
    let world = World::new();
    // What a list brings is read first: it can be older than it looks.
    let mut rounds = vec![vec![Call::get(INCIDENT).gives(incident_json(&Value::Null))]];
    rounds.extend(response(&world));
    fed(world, rounds, |send, controller| async move {
        brings(&send, Event::Init);
        brings(&send, Event::InitApply(incident(&Value::Null)));
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert_eq!(controller.work().queue.stats().running, 0);
        }
        brings(&send, Event::InitDone);
        tokio::time::sleep(Duration::from_millis(5)).await;
        idle(&controller).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_watch_brings_is_responded_to_without_reading_it_again() {
    let world = World::new();
    fed(
        world.clone(),
        response(&world),
        |send, controller| async move {
            brings(&send, Event::Init);
            brings(&send, Event::InitDone);
            brings(&send, Event::Apply(incident(&Value::Null)));
            tokio::time::sleep(Duration::from_millis(5)).await;
            idle(&controller).await;
        },
    )
    .await;
}

#[tokio::test]
async fn what_had_a_slot_is_read_before_the_next_one() {
    let world = World::new();
    let mut off = World::new().with(|w| w.switch = Value::Null);
    off.policy = world.policy.clone();
    let mut rounds = vec![
        off.reads(),
        vec![Call::patch(STATUS).gives(incident_json(&Value::Null))],
        vec![Call::post(EVENTS)],
        vec![Call::post(EVENTS)],
        // The watch can be behind what the first slot wrote.
        vec![Call::get(INCIDENT).gives(incident_json(&Value::Null))],
    ];
    rounds.extend(response(&world));
    fed(world, rounds, |send, controller| async move {
        brings(&send, Event::Init);
        brings(&send, Event::InitDone);
        brings(&send, Event::Apply(incident(&Value::Null)));
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if controller.work().queue.stats().waiting.len() == 1 {
                break;
            }
        }
        controller.finish_events().await;
        controller.work().queue.wake(Wake::All);
        brings(&send, Event::Apply(incident(&Value::Null)));
        tokio::time::sleep(Duration::from_millis(5)).await;
        idle(&controller).await;
    })
    .await;
}

#[tokio::test]
async fn an_incident_that_is_deleted_is_forgotten() {
    let world = World::new();
    let mut waiting = World::new().with(|w| w.switch = Value::Null);
    waiting.policy = world.policy.clone();
    let rounds = vec![
        waiting.reads(),
        vec![Call::patch(STATUS).gives(incident_json(&Value::Null))],
        vec![Call::post(EVENTS)],
        vec![Call::post(EVENTS)],
    ];
    fed(world, rounds, |send, controller| async move {
        brings(&send, Event::Init);
        brings(&send, Event::InitDone);
        let incident = incident(&Value::Null);
        brings(&send, Event::Apply(incident.clone()));
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if controller.work().queue.stats().waiting.len() == 1 {
                break;
            }
        }
        brings(&send, Event::Delete(Box::new(incident.metadata)));
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if controller.work().queue.stats().waiting.is_empty() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_response_that_panics_is_retried_and_stops_no_other() {
    let world = World::new();
    let (server, client) = ApiServer::playing([]);
    let (controller, _recovering) = world.controller(client, Config::default());
    let mut tasks = Tasks {
        retention: Retention::new(&controller, Metrics::default()),
        controller: Arc::clone(&controller),
        running: JoinSet::new(),
        keys: BTreeMap::new(),
        brought: BTreeMap::new(),
        listing: BTreeSet::new(),
        listed: true,
        fallback: BTreeSet::new(),
    };
    let incident = incident(&json!({}));
    let key = Key::of(&incident).unwrap();
    tasks.observe(incident);
    {
        let mut work = controller.work();
        let Work { queue, controls } = &mut *work;
        assert!(queue.next(&controls.ledger, Timestamp::now()).is_some());
    }
    let handle = tasks.running.spawn(async { panic!("a defect") });
    tasks.keys.insert(handle.id(), key);
    let ended = tasks.running.join_next_with_id().await.unwrap();
    tasks.ended(ended);
    let stats = controller.work().queue.stats();
    assert_eq!((stats.running, stats.waiting.len()), (0, 1));
    server.finish();
}

#[tokio::test]
async fn a_new_list_forgets_everywhere_what_it_does_not_name() {
    let world = World::new();
    let (server, client) = ApiServer::playing([]);
    let (controller, _recovering) = world.controller(client, Config::default());
    let mut tasks = Tasks {
        retention: Retention::new(&controller, Metrics::default()),
        controller: Arc::clone(&controller),
        running: JoinSet::new(),
        keys: BTreeMap::new(),
        brought: BTreeMap::new(),
        listing: BTreeSet::new(),
        listed: true,
        fallback: BTreeSet::new(),
    };
    let mut failed = incident_json(&json!({}));
    failed["spec"]["type"] = json!("EvaluationFailed");
    failed["spec"]["policyRef"]["generation"] = json!(1);
    let policy = serde_json::from_value(world.policy).unwrap();
    let scope = crate::recovery::ClaimScope::of(&incident(&json!({"workloadRef": {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"}})))
    .unwrap();
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let later = "2026-01-01T00:00:01Z".parse().unwrap();
    let learn = |tasks: &mut Tasks| {
        tasks.observe(serde_json::from_value(failed.clone()).unwrap());
        controller.claims().wait(&scope, at, "inc-uid");
    };
    let known = || {
        let failures = controller.evaluation_failures(&policy).nodes.len();
        (
            failures,
            controller.claims().earlier(&scope, later, "other"),
        )
    };
    learn(&mut tasks);
    assert_eq!(known(), (1, 1));
    tasks.learn(Event::Init);
    tasks.learn(Event::InitDone);
    assert_eq!(known(), (0, 0));
    // As when it is deleted.
    learn(&mut tasks);
    tasks.learn(Event::Delete(Box::new(incident(&json!({})).metadata)));
    assert_eq!(known(), (0, 0));
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_incidents_does_not_keep_deletions_from_their_turn() {
    let closed = |uid: &str, time: &str| {
        let mut incident = incident(&json!({"conditions": [
            {"type": "Responded", "status": "True", "reason": "AuditOnly", "message": "",
                "lastTransitionTime": time},
        ]}));
        incident.metadata.uid = Some(uid.to_owned());
        incident
    };
    let limits = "/api/v1/namespaces/bailiff-system/configmaps/bailiff-incident-limits";
    let rounds = vec![
        vec![Call::patch(limits)],
        vec![Call::delete(INCIDENT).with(json!({"preconditions": {"uid": "old"}}))],
    ];
    fed(World::new(), rounds, |send, _controller| async move {
        brings(&send, Event::Init);
        brings(
            &send,
            Event::InitApply(closed("old", "2026-01-01T00:00:00Z")),
        );
        brings(&send, Event::InitDone);
        for _ in 0..100 {
            brings(&send, Event::Apply(closed("new", "2999-01-01T00:00:00Z")));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
}
