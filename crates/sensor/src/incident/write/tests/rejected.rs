//! Writes that the API server rejects, and what is recorded elsewhere.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_a_namespace_does_not_accept_is_recorded_in_bailiffs() {
    let quota = (
        403,
        "Forbidden",
        "incidents.bailiff.dev \"inc-1\" is forbidden: exceeded quota: q, requested: count/incidents.bailiff.dev=1, used: 0, limited: 0",
    );
    let terminating = (
        403,
        "Forbidden",
        "incidents.bailiff.dev \"inc-1\" is forbidden: unable to create new content in namespace shop because it is being terminated",
    );
    let webhook = (
        429,
        "TooManyRequests",
        "admission webhook \"w.example.com\" denied the request: no",
    );
    let broken = (
        500,
        "InternalError",
        "Internal error occurred: failed calling webhook \"w.example.com\": context deadline exceeded",
    );
    let gone = (404, "NotFound", "namespaces \"shop\" not found");
    for (code, reason, message) in [quota, terminating, webhook, broken, gone] {
        let server = Server::with(Duration::from_secs(1), move |asked| {
            if asked.namespace == "shop" {
                Reply::Status(code, reason, message)
            } else {
                Reply::Code(201)
            }
        });
        for _ in 0..3 {
            server.violation("pod").await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let asked = server.asked();
        let what: Vec<_> = asked
            .iter()
            .map(|a| (a.method.as_str(), a.namespace.as_str(), a.count))
            .collect();
        assert_eq!(
            what,
            [
                ("POST", "shop", 0),
                ("POST", "bailiff-system", 0),
                ("PATCH", "bailiff-system", 3)
            ],
            "{message}"
        );
        assert_eq!(asked[1].body["metadata"]["namespace"], "bailiff-system");
        assert_eq!(asked[1].body["spec"]["pod"]["namespace"], "shop");
        assert_eq!(
            asked[1].body["metadata"]["name"],
            asked[0].body["metadata"]["name"]
        );
        assert_eq!(server.not_recorded(NotRecorded::Rejected), 0);
        assert_eq!(server.metrics.fallbacks.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_rejected_everywhere_is_reported_and_nothing_waits_for_it() {
    let server = Server::with(Duration::from_secs(1), |asked| {
        if asked.pod == "bad" {
            Reply::Status(422, "Invalid", "spec.pod.labels: Too many")
        } else {
            Reply::Code(201)
        }
    });
    server.violation("bad").await;
    for _ in 0..100 {
        server.violation("bad").await;
        server.violation("good").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let bad = |server: &Server| {
        server
            .asked()
            .into_iter()
            .filter(|a| a.pod == "bad")
            .count()
    };
    assert_eq!(
        (bad(&server), server.not_recorded(NotRecorded::Rejected)),
        (2, 1)
    );
    tokio::time::sleep(LONGEST_INTERVAL).await;
    assert_eq!(bad(&server), 2, "it is not retried");
    let mut one = Unrecorded::default();
    let found = violation("shop", "bad");
    one.add(
        NotRecorded::Rejected,
        "shop",
        &found.pod.name,
        &found.policy.name,
    );
    assert_eq!(*server.unrecorded.borrow(), one);
    server.violation("bad").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        (bad(&server), server.not_recorded(NotRecorded::Rejected)),
        (4, 2),
        "but with a new violation"
    );
    let (left, asked) = server.end().await;
    let good = asked.iter().rfind(|asked| asked.pod == "good").unwrap();
    assert_eq!((left, good.count), (0, 100));
}

#[tokio::test(start_paused = true)]
async fn one_namespace_has_a_bounded_number_of_incidents_in_bailiffs() {
    let server = Server::with(Duration::from_secs(1), |asked| {
        if asked.namespace == "bailiff-system" {
            Reply::Code(201)
        } else {
            Reply::Status(403, "Forbidden", "exceeded quota")
        }
    });
    for pod in 0..fallback::LIMIT + 20 {
        server.violation(&format!("pod-{pod}")).await;
    }
    tokio::time::sleep(Duration::from_mins(2)).await;
    let recorded = |server: &Server| {
        let asked = server.asked();
        asked
            .iter()
            .filter(|a| a.namespace == "bailiff-system")
            .count()
    };
    assert_eq!(recorded(&server), fallback::LIMIT);
    assert_eq!(server.not_recorded(NotRecorded::NamespaceLimit), 20);
    server.violation_in("other", "pod").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        recorded(&server),
        fallback::LIMIT + 1,
        "another namespace has its own"
    );
    tokio::time::sleep(fallback::PERIOD).await;
    server.violation("pod-new").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(recorded(&server), fallback::LIMIT + 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_new_and_rejected_as_an_update_is_recorded_in_bailiffs() {
    let server = Server::with(Duration::from_secs(1), |asked| {
        if asked.method == Method::PATCH && asked.namespace == "shop" {
            let message = "admission webhook \"w.example.com\" denied the request: no";
            return Reply::Status(403, "Forbidden", message);
        }
        Reply::Code(201)
    });
    let asked = |server: &Server| -> Vec<_> {
        let asked = server.asked();
        asked
            .iter()
            .map(|a| {
                (
                    a.method.as_str().to_owned(),
                    a.namespace.clone(),
                    a.at.as_secs(),
                )
            })
            .collect()
    };
    let of = |list: &[(&str, &str, u64)]| -> Vec<_> {
        list.iter()
            .map(|(m, n, at)| ((*m).to_owned(), (*n).to_owned(), *at))
            .collect()
    };
    for _ in 0..100 {
        server.violation("pod").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Nothing new: tried again at growing intervals.
    let mut expected = of(&[
        ("POST", "shop", 0),
        ("PATCH", "shop", 1),
        ("PATCH", "shop", 3),
        ("PATCH", "shop", 7),
        ("PATCH", "shop", 15),
        ("PATCH", "shop", 31),
        ("PATCH", "shop", 63),
    ]);
    assert_eq!(asked(&server), expected);
    let mut new = violation("shop", "pod");
    new.policy.generation = 2;
    new.bindings[0].uid = "new".to_owned();
    server.send(new.clone()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    expected.extend(of(&[
        ("PATCH", "shop", 100),
        ("POST", "bailiff-system", 100),
    ]));
    assert_eq!(asked(&server), expected);
    let created = server.asked().pop().unwrap().body;
    assert_eq!(created["spec"]["policyRef"]["generation"], 2);
    assert_eq!(created["spec"]["bindingRefs"][0]["uid"], "new");
    assert_eq!(server.metrics.fallbacks.get(), 1);
    server.send(new).await;
    let (_, asked) = server.end().await;
    let last = asked.last().unwrap();
    assert_eq!(
        (last.method.as_str(), last.namespace.as_str()),
        ("PATCH", "bailiff-system")
    );
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_is_no_incident_is_retried() {
    static TRIES: Mutex<u32> = Mutex::new(0);
    let server = Server::with(Duration::from_secs(1), |_| {
        let mut tries = TRIES.lock().unwrap();
        *tries += 1;
        if *tries == 1 {
            Reply::Status(
                409,
                "Conflict",
                "Operation cannot be fulfilled on resourcequotas \"q\"",
            )
        } else {
            Reply::Code(201)
        }
    });
    server.violation("pod").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let methods: Vec<_> = server
        .asked()
        .into_iter()
        .map(|asked| asked.method)
        .collect();
    assert_eq!(methods, [Method::POST, Method::POST]);
}
