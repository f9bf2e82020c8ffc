//! The loop with the kernel's records, and an API server that does not answer.

mod away;

use super::*;
use bailiff_testing::ApiServer;

fn config() -> Config {
    Config {
        namespace: "bailiff-system".to_owned(),
        node_name: "node".to_owned(),
        ring_buffer_bytes: 1 << 16,
        pod_lookup_timeout: Duration::ZERO,
        incident_update_interval: Duration::ZERO,
        sandbox_runtime_classes: BTreeSet::from(["gvisor".to_owned()]),
        address: ([127, 0, 0, 1], 0).into(),
        identity: "sensor".to_owned(),
        pod_uid: "own".to_owned(),
    }
}

fn state() -> State {
    let (violations, _) = mpsc::channel(1);
    State::new(&config(), Metrics::default(), violations, 0)
}

/// The loop with a writer, as after a program of its own was seen; it is over when this is dropped.
async fn follow_with(writer: JoinHandle<usize>, health: Health) -> Result<(), Error> {
    let mut state = state();
    state.kubelet_cgroup = Some(String::new());
    follow_from(state, ApiServer::silent(), writer, health).await
}

async fn follow_from(
    state: State,
    client: kube::Client,
    writer: JoinHandle<usize>,
    health: Health,
) -> Result<(), Error> {
    let config = config();
    let records = Records::load(config.ring_buffer_bytes)?;
    let shutdown = CancellationToken::new();
    let elsewhere = Elsewhere {
        runtime: Handle::current(),
        client,
        writer,
    };
    let following = follow(&config, elsewhere, records, state, &health, &shutdown);
    Box::pin(following).await
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_stands_still_is_told_of_until_it_ends() {
    let health = Health::default();
    let writer = tokio::spawn(std::future::pending());
    let mut following = Box::pin(follow_with(writer, health.clone()));
    let turning = tokio::time::timeout(2 * LONGEST, &mut following);
    turning.await.unwrap_err();
    assert_eq!(health.stalled(), None);
    // Nothing lets it go on from here.
    tokio::time::advance(LONGEST + Duration::from_secs(1)).await;
    assert_eq!(
        health.stalled().as_deref(),
        Some("watching has made no progress for 61 seconds\n")
    );
    drop(following);
    assert_eq!(health.stalled(), None);
}

#[tokio::test(start_paused = true)]
async fn it_does_not_go_on_without_its_writer() {
    let writer = tokio::spawn(async { panic!("a defect") });
    let following = follow_with(writer, Health::default());
    let ended = tokio::time::timeout(LONGEST, following).await;
    assert!(matches!(ended, Ok(Err(Error::WriterEnded))), "{ended:?}");
}

/// The programs of this test are in no pod's cgroup.
#[tokio::test(start_paused = true)]
async fn a_sensor_that_does_not_see_its_own_programs_says_so_and_keeps_trying() {
    let state = state();
    let mut reports = state.gaps_report();
    let writer = tokio::spawn(std::future::pending());
    let following = follow_from(state, ApiServer::silent(), writer, Health::default());
    let told = async {
        reports.changed().await.unwrap();
        reports.borrow_and_update().clone().unwrap()
    };
    tokio::select! {
        ended = following => panic!("{ended:?}"),
        note = told => assert!(note.starts_with(
            "Bailiff cannot monitor processes on this node and evaluates no policies here: programs that the sensor starts itself are not seen."
        ), "{note}"),
    }
}
