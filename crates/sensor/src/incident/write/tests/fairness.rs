//! What namespaces share, and what gives way.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_delays_no_other() {
    let server = Server::new(|_, pod| (pod != "silent").then_some(201), HOUR);
    server.violation("silent").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for pod in ["silent", "a", "b"] {
        server.violation(pod).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let pods: Vec<_> = server.asked().into_iter().map(|asked| asked.pod).collect();
    assert_eq!(pods, ["silent", "a", "b"], "and it is sent once");
}

#[tokio::test(start_paused = true)]
async fn a_new_incident_does_not_wait_behind_those_that_fail() {
    let server = Server::new(|_, pod| Some(if pod == "new" { 201 } else { 500 }), HOUR);
    for pod in 0..30 {
        server.violation(&format!("failing-{pod}")).await;
    }
    // By then all of them were tried, and wait for their turn again.
    let now = Duration::from_secs(7);
    tokio::time::sleep(now).await;
    server.violation("new").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = server.asked();
    let new = asked
        .iter()
        .find(|asked| asked.pod == "new")
        .expect("it is written");
    assert!(
        new.at <= now + Duration::from_millis(400),
        "{:?} after {now:?}",
        new.at
    );
}

#[tokio::test(start_paused = true)]
async fn namespaces_take_turns() {
    let server = Server::new(|_, _| Some(201), Duration::from_secs(1));
    for pod in 0..200 {
        server
            .violation_in("greedy", &format!("greedy-{pod}"))
            .await;
    }
    for pod in ["one", "two"] {
        server.violation_in("shop", pod).await;
        server.violation_in("shop", pod).await;
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let of_shop: Vec<_> = server
        .asked()
        .into_iter()
        .filter(|asked| asked.namespace == "shop")
        .map(|asked| asked.method)
        .collect();
    // Created at once, and updated in spite of all that are still to be created.
    assert_eq!(
        of_shop,
        [Method::POST, Method::POST, Method::PATCH, Method::PATCH]
    );
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_answers_has_few_requests_on_their_way() {
    let server = Server::new(|_, pod| (pod == "web").then_some(201), HOUR);
    for pod in 0..100 {
        server
            .violation_in("silent", &format!("silent-{pod}"))
            .await;
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(created(&server.asked()), OF_A_NAMESPACE_LIMIT);
    server.violation_in("shop", "web").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.asked().last().unwrap().pod, "web");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_and_the_namespace_that_has_most_gives_way() {
    let server = Server::new(|_, _| None, HOUR);
    let large = |namespace: &str, pod: &str| {
        let mut violation = violation(namespace, pod);
        violation.args = Arc::new(vec![vec![b'x'; 4000]]);
        violation
    };
    for pod in 0..3 {
        server.send(large("shop", &format!("shop-{pod}"))).await;
    }
    for pod in 0..1500 {
        server.send(large("greedy", &format!("greedy-{pod}"))).await;
    }
    tokio::time::sleep(Duration::from_mins(5)).await;
    let dropped = server.not_recorded(NotRecorded::QueueFull);
    assert!((200..600).contains(&dropped), "{dropped}");
    let note = server.unrecorded.borrow().note("node").unwrap();
    assert!(
        note.contains("too many Incidents waited to be written: pod greedy/"),
        "{note}"
    );
    let pods: Vec<_> = server.asked().into_iter().map(|asked| asked.pod).collect();
    assert!(
        (0..3).all(|pod| pods.contains(&format!("shop-{pod}"))),
        "{pods:?}"
    );
    let (metrics, (left, _)) = (server.metrics.clone(), server.end().await);
    let reason = NotRecorded::Shutdown;
    let at_the_end = metrics
        .not_recorded
        .get_or_create(&NotRecordedLabels { reason })
        .get();
    assert_eq!(u64::try_from(left).unwrap(), at_the_end);
    assert_eq!(dropped + at_the_end, 1503);
}
