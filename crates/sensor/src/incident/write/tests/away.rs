//! An API server that accepts nothing for a while, and one that has no definition of Incidents.

use super::*;
use bailiff_policy::Container;
use std::sync::atomic::{AtomicBool, Ordering};

const NO_KIND: &str = "the server could not find the requested resource";

/// A server that answers so until it is `back`.
fn away(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Server, Arc<AtomicBool>) {
    let back = Arc::new(AtomicBool::new(false));
    let is_back = Arc::clone(&back);
    let server = Server::with(Duration::from_secs(1), move |asked| {
        if is_back.load(Ordering::Relaxed) {
            Reply::Code(201)
        } else {
            reply(asked)
        }
    });
    (server, back)
}

fn requests_since(server: &Server, at: Duration) -> Vec<Asked> {
    let asked = server.asked().into_iter();
    asked.filter(|asked| asked.at >= at).collect()
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_written_soon_after_an_outage_and_as_it_was_seen() {
    let (server, back) = away(|_| Reply::Code(503));
    for pod in 0..20 {
        let mut found = violation("shop", &format!("pod-{pod}"));
        found.container = Container {
            name: Some("web".to_owned()),
            image: Some("registry.example/web:1".to_owned()),
            image_id: Some("registry.example/web@sha256:1".to_owned()),
            ..Container::default()
        };
        let mut facts = (*found.pod).clone();
        facts.controller = Some(bailiff_api::WorkloadReference {
            api_version: "apps/v1".to_owned(),
            kind: "StatefulSet".to_owned(),
            name: "web".to_owned(),
            uid: "set".to_owned(),
        });
        found.pod = Arc::new(facts);
        let pod = Arc::downgrade(&found.pod);
        server.send(found).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(
            pod.upgrade().is_none(),
            "nothing of a pod that is gone stays"
        );
    }
    for _ in 0..4 {
        server.violation("pod-7").await;
    }
    tokio::time::sleep(HOUR).await;
    // Each was tried once. Then one request at a time finds out whether the API server is back.
    let first: std::collections::BTreeSet<_> =
        server.asked().into_iter().map(|asked| asked.pod).collect();
    assert_eq!(first.len(), 20);
    let late = requests_since(&server, HOUR / 2);
    assert!(
        (150..=181).contains(&late.len()),
        "{} in half an hour",
        late.len()
    );
    back.store(true, Ordering::Relaxed);
    let from = server.asked().len();
    tokio::time::sleep(link::LONGEST_PAUSE + Duration::from_secs(6)).await;
    let asked: Vec<_> = server.asked().into_iter().skip(from).collect();
    let created: Vec<_> = asked.iter().filter(|a| a.method == Method::POST).collect();
    assert_eq!(created.len(), 20, "{asked:?}");
    for asked in created {
        let spec = &asked.body["spec"];
        assert_eq!(spec["container"]["name"], "web");
        assert_eq!(spec["container"]["image"], "registry.example/web:1");
        assert_eq!(
            spec["container"]["imageID"],
            "registry.example/web@sha256:1"
        );
        assert_eq!(spec["pod"]["uid"], asked.pod.as_str());
        let controller =
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "set"});
        assert_eq!(spec["pod"]["controllerRef"], controller);
    }
    let series: Vec<_> = asked.iter().filter(|a| a.method == Method::PATCH).collect();
    assert_eq!(series.len(), 1);
    assert_eq!((series[0].pod.as_str(), series[0].count), ("pod-7", 5));
    assert_eq!(server.not_recorded(NotRecorded::QueueFull), 0);
    let (left, _) = server.end().await;
    assert_eq!(left, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_found_during_an_outage_is_tried_at_once() {
    let (server, back) = away(|_| Reply::Code(503));
    server.violation("early").await;
    tokio::time::sleep(HOUR).await;
    // It is back, and that will be known within seconds.
    back.store(true, Ordering::Relaxed);
    let from = server.asked().len();
    server.violation("late").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let pods = |server: &Server| -> Vec<_> {
        let asked = server.asked().into_iter().skip(from);
        asked.map(|asked| asked.pod).collect()
    };
    assert_eq!(pods(&server), ["late", "early"]);
}

#[tokio::test(start_paused = true)]
async fn incidents_wait_for_their_definition_and_are_no_rejection() {
    for (code, reason, message) in [
        (404, "NotFound", NO_KIND),
        (404, "", "404 page not found\n"),
        (
            405,
            "MethodNotAllowed",
            "create is not supported on resources of kind \"incidents.bailiff.dev\"",
        ),
    ] {
        let (server, back) = away(move |_| Reply::Status(code, reason, message));
        server.violation("pod").await;
        server.violation("pod").await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        back.store(true, Ordering::Relaxed);
        let from = server.asked().len();
        tokio::time::sleep(2 * link::LONGEST_PAUSE).await;
        let asked: Vec<_> = server.asked().into_iter().collect();
        assert!(asked.iter().all(|a| a.namespace == "shop"), "{message}");
        let after = asked[from..].iter().map(|a| (a.method.as_str(), a.count));
        let after: Vec<_> = after.collect();
        assert_eq!(after, [("POST", 0), ("PATCH", 2)], "{message}");
        assert_eq!(server.not_recorded(NotRecorded::Rejected), 0);
        assert_eq!(server.metrics.fallbacks.get(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_was_deleted_with_its_definition_is_created_again() {
    static THERE: AtomicBool = AtomicBool::new(true);
    static EXISTS: AtomicBool = AtomicBool::new(false);
    let server = Server::with(Duration::from_secs(1), |asked| {
        if !THERE.load(Ordering::Relaxed) {
            return Reply::Status(404, "NotFound", NO_KIND);
        }
        let create = asked.method == Method::POST;
        if EXISTS.fetch_or(create, Ordering::Relaxed) || create {
            return Reply::Code(201);
        }
        Reply::Status(404, "NotFound", "incidents.bailiff.dev \"inc-1\" not found")
    });
    server.violation("pod").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    THERE.store(false, Ordering::Relaxed);
    EXISTS.store(false, Ordering::Relaxed);
    for _ in 0..2 {
        server.violation("pod").await;
    }
    tokio::time::sleep(Duration::from_mins(2)).await;
    let during = server.asked().len();
    assert!((3..30).contains(&during), "{during}");
    assert_eq!(created(&server.asked()), 1, "nothing is created meanwhile");
    THERE.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_mins(1)).await;
    let asked = server.asked();
    assert_eq!(created(&asked), 2);
    let last = asked.last().unwrap();
    let what = (last.method.as_str(), last.count);
    assert_eq!(what, ("PATCH", 2), "with what it lacked");
    assert_eq!(server.not_recorded(NotRecorded::Rejected), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_violations_a_second_of_twenty_pods_lead_to_few_writes() {
    let server = Server::new(|_, _| Some(201), Duration::from_secs(1));
    for number in 0..3000 {
        server.violation(&format!("pod-{}", number % 20)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let asked = server.asked();
    for second in 0..3 {
        let within = asked.iter().filter(|asked| asked.at.as_secs() == second);
        assert!(within.count() <= 10, "in second {second}");
    }
    assert!(asked.len() <= 20, "{} writes in 3 seconds", asked.len());
    assert_eq!(created(&asked), asked.len(), "new ones first");
    tokio::time::sleep(Duration::from_mins(10)).await;
    let asked = server.asked();
    for pod in 0..20 {
        let pod = format!("pod-{pod}");
        let writes: Vec<_> = asked.iter().filter(|asked| asked.pod == pod).collect();
        assert_eq!(writes.last().unwrap().count, 150, "{pod}");
        let pairs = writes.iter().zip(writes.iter().skip(1));
        for (before, after) in pairs {
            assert!(after.at >= before.at + Duration::from_secs(1), "{pod}");
        }
    }
    assert!(asked.len() <= 60, "{} writes in all", asked.len());
    assert_eq!(server.not_recorded(NotRecorded::QueueFull), 0);
}
