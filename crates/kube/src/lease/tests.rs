//! Who leads, when, and for how long. Time is paused: what is waited for is exact.

use super::*;
use crate::serve::Health;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/bailiff-system/leases/bailiff";
const RETRY: Duration = Duration::from_secs(2);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);

fn settings() -> Settings {
    Settings {
        namespace: "bailiff-system".to_owned(),
        name: "bailiff".to_owned(),
        identity: "a".to_owned(),
        duration: Duration::from_secs(15),
        renew_deadline: RENEW_DEADLINE,
        retry: RETRY,
    }
}

fn lease(holder: &str, version: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "bailiff", "resourceVersion": version},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}})
}

/// The Lease is read, found held by `holder`, and taken.
fn taken(holder: &str) -> [Vec<Call>; 2] {
    let written = json!({"spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}});
    [
        vec![Call::get(PATH).gives(lease(holder, "1"))],
        vec![Call::put(PATH).with(written).gives(lease("a", "2"))],
    ]
}

/// The Lease is read as ours and given back.
fn given_back() -> [Vec<Call>; 2] {
    let written = json!({"spec": {"leaseDurationSeconds": 15, "leaseTransitions": 0}});
    [
        vec![Call::get(PATH).gives(lease("a", "2"))],
        vec![Call::put(PATH).with(written).gives(lease("", "3"))],
    ]
}

/// Notes, by the time since the start, what becomes of the leader's work.
#[derive(Clone)]
struct Told(Arc<Mutex<Vec<(Duration, &'static str)>>>, Instant);

impl Told {
    fn new() -> Self {
        Self(Arc::default(), Instant::now())
    }

    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push((self.1.elapsed(), what));
    }

    fn all(&self) -> Vec<(Duration, &'static str)> {
        self.0.lock().unwrap().clone()
    }
}

/// Work that notes its begin, that it was told to end, and its end `after` that.
fn work(told: &Told, after: Duration) -> impl Fn(CancellationToken) -> Work {
    let told = told.clone();
    move |token| {
        let told = told.clone();
        Box::pin(async move {
            told.note("leads");
            token.cancelled().await;
            told.note("told");
            tokio::time::sleep(after).await;
            told.note("ended");
        })
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn heartbeat() -> Heartbeat {
    Health::default().register_loop("election", Duration::from_mins(1))
}

#[test]
fn a_lease_is_taken_only_when_free_ours_or_over() {
    let held_by = |holder: &str| LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        ..LeaseSpec::default()
    };
    let s = Duration::from_secs;
    assert_eq!(decide(None, "a", s(0)), Decision::Acquire);
    assert_eq!(decide(Some(&held_by("")), "a", s(0)), Decision::Acquire);
    assert_eq!(decide(Some(&held_by("a")), "a", s(0)), Decision::Acquire);
    assert_eq!(decide(Some(&held_by("b")), "a", s(14)), Decision::Follow);
    assert_eq!(decide(Some(&held_by("b")), "a", s(15)), Decision::Acquire);
}

#[test]
fn a_part_of_a_second_counts_as_a_whole_one_for_others() {
    let now = MicroTime("2026-01-01T00:00:00Z".parse().unwrap());
    for (millis, want) in [(15_000, 15), (1_500, 2), (1_001, 2), (300, 1)] {
        let settings = Settings {
            duration: Duration::from_millis(millis),
            ..settings()
        };
        let spec = renewed(&settings, None, &now, false);
        assert_eq!(spec.lease_duration_seconds, Some(want), "{millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_the_work_end_and_gives_the_lease_back() {
    let rounds: Vec<_> = taken("").into_iter().chain(given_back()).collect();
    let (server, client) = ApiServer::playing(rounds);
    let (told, shutdown) = (Told::new(), CancellationToken::new());
    let stop = shutdown.clone();
    let lead = work(&told, Duration::from_secs(3));
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    };
    let (elected, ()) = tokio::join!(
        elect(client, settings(), heartbeat(), shutdown, lead),
        stopping
    );
    elected.unwrap();
    let s = Duration::from_secs;
    assert_eq!(
        told.all(),
        [(s(0), "leads"), (s(1), "told"), (s(4), "ended")]
    );
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_cut_off() {
    let rounds: Vec<_> = taken("").into_iter().chain(given_back()).collect();
    let (server, client) = ApiServer::playing(rounds);
    let (told, shutdown) = (Told::new(), CancellationToken::new());
    let stop = shutdown.clone();
    let begun = Instant::now();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    };
    let lead = work(&told, Duration::from_hours(1));
    let (elected, ()) = tokio::join!(
        elect(client, settings(), heartbeat(), shutdown, lead),
        stopping
    );
    elected.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(1) + GRACE);
    assert_eq!(told.all().len(), 2, "{:?}", told.all());
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_can_not_renew_gives_up_at_its_deadline_and_not_later() {
    // Renewed once; from then on the API server is silent.
    let mut rounds: Vec<_> = taken("").into_iter().collect();
    rounds.extend((0..5).map(|_| vec![Call::get(PATH).is_silent()]));
    let (server, client) = ApiServer::playing(rounds);
    let (told, shutdown) = (Told::new(), CancellationToken::new());
    let lead = work(&told, Duration::ZERO);
    let stop = shutdown.clone();
    let stopping = async {
        tokio::time::sleep(RENEW_DEADLINE + Duration::from_millis(500)).await;
        stop.cancel();
    };
    let (elected, ()) = tokio::join!(
        elect(client, settings(), heartbeat(), shutdown, lead),
        stopping
    );
    elected.unwrap();
    assert_eq!(told.all()[1], (RENEW_DEADLINE, "told"));
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_took_ends_the_work_at_once() {
    let mut rounds: Vec<_> = taken("").into_iter().collect();
    rounds.push(vec![Call::get(PATH).gives(lease("b", "9"))]);
    let (server, client) = ApiServer::playing(rounds);
    let (told, shutdown) = (Told::new(), CancellationToken::new());
    let lead = work(&told, Duration::ZERO);
    let stop = shutdown.clone();
    let stopping = async {
        tokio::time::sleep(RETRY + Duration::from_millis(500)).await;
        stop.cancel();
    };
    let (elected, ()) = tokio::join!(
        elect(client, settings(), heartbeat(), shutdown, lead),
        stopping
    );
    elected.unwrap();
    assert_eq!(told.all()[1], (RETRY, "told"));
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_by_itself_gives_the_lease_to_others() {
    for panics in [false, true] {
        let rounds: Vec<_> = taken("").into_iter().chain(given_back()).collect();
        let (server, client) = ApiServer::playing(rounds);
        let lead = move |_| async move {
            assert!(!panics, "as a defect would");
        };
        let elected = elect(
            client,
            settings(),
            heartbeat(),
            CancellationToken::new(),
            lead,
        )
        .await;
        let error = elected.unwrap_err().to_string();
        let want = if panics {
            "the leader's work panicked; report it with the log"
        } else {
            "the leader's work returned; report it with the log"
        };
        assert_eq!(error, want);
        server.finish();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_over_when_it_did_not_change_for_its_duration() {
    // Looked at every two seconds: after 16 the 15 are over.
    let mut rounds: Vec<_> = (0..8)
        .map(|_| vec![Call::get(PATH).gives(lease("b", "1"))])
        .collect();
    rounds.extend(taken("b"));
    rounds.extend(given_back());
    let (server, client) = ApiServer::playing(rounds);
    let (told, shutdown) = (Told::new(), CancellationToken::new());
    let lead = work(&told, Duration::ZERO);
    let stop = shutdown.clone();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(17)).await;
        stop.cancel();
    };
    let (elected, ()) = tokio::join!(
        elect(client, settings(), heartbeat(), shutdown, lead),
        stopping
    );
    elected.unwrap();
    assert_eq!(told.all()[0], (Duration::from_secs(16), "leads"));
    server.finish();
}
