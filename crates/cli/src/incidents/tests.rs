//! The list and the page, word for word.

use super::list::{self, Shape};
use super::show;
use bailiff_api::Incident;
use jiff::Timestamp;
use serde_json::json;

fn now() -> Timestamp {
    "2026-01-01T00:03:05Z".parse().unwrap()
}

fn incident() -> Incident {
    serde_json::from_value(json!({
        "apiVersion": "bailiff.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {"name": "inc-1", "namespace": "shop"},
        "spec": {
            "type": "Violation",
            "severity": "High",
            "policyRef": {"name": "no-shells", "uid": "p", "generation": 1},
            "bindingRefs": [{"name": "everywhere", "uid": "b"}, {"name": "shop", "uid": "c"}],
            "nodeName": "node-1",
            "pod": {"name": "web-1", "namespace": "shop", "uid": "u", "labels": {}},
            "container": {"name": "app", "image": "registry.example/web:1"},
            "process": {
                "executable": "/bin/busybox",
                "invokedPath": "/bin/sh",
                "names": ["busybox", "sh"],
                "args": ["sh", "-c", "echo '\u{1b}[31mred'"],
                "argsTruncated": true,
                "executableSource": "Image",
                "origin": "Exec",
                "uid": 0,
                "gid": 0,
                "capabilities": ["CAP_CHOWN", "CAP_KILL"],
                "pid": 42,
                "startTime": "2026-01-01T00:00:00.000000Z",
                "ancestors": [
                    {"executable": "/usr/bin/curl", "args": ["curl"], "pid": 41, "startTime": "2026-01-01T00:00:00.000000Z"},
                    {"executable": "/app", "args": ["/app", "--serve"], "pid": 40, "startTime": "2026-01-01T00:00:00.000000Z"},
                ],
            },
            "violations": [{"expressionIndex": 0, "message": "a shell was started"}, {"expressionIndex": 1, "message": "as root"}],
            "execTime": "2026-01-01T00:00:00.000000Z",
        },
        "status": {
            "phase": "Resolved",
            "conditions": [
                {"type": "Responded", "status": "True", "reason": "Evicted", "message": "pod web-1 was evicted", "lastTransitionTime": "2026-01-01T00:00:01Z"},
                {"type": "Recovered", "status": "True", "reason": "ReplacementReady", "message": "pod web-2 on node node-2 took its place and is Ready", "lastTransitionTime": "2026-01-01T00:00:03Z"},
            ],
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:03:00.000000Z", "policyGeneration": 1, "bindingRefs": []},
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d"},
            "replacement": {"name": "web-2", "uid": "v", "nodeName": "node-2", "readyTime": "2026-01-01T00:00:03Z"},
        },
    }))
    .unwrap()
}

#[test]
fn a_page_says_what_ran_and_what_became_of_it() {
    let page = show::page(&incident(), false, now()).join("\n");
    assert_eq!(
        page,
        r"Incident     inc-1 in namespace shop
Detected     2026-01-01T00:00:00Z (3m5s ago)
Seen         3 times, last 2026-01-01T00:03:00Z (5s ago)
Policy       no-shells (High), bound by everywhere, shop
Says         a shell was started
             as root
Pod          web-1 on node node-1
Workload     Deployment web
Container    app, image registry.example/web:1
Started by   somebody from outside, as kubectl exec does
User         0, group 0 (as the node sees them)
Capabilities CAP_CHOWN CAP_KILL
Processes
  /app --serve  (pid 40)
  └─ /usr/bin/curl: curl  (pid 41)
     └─ /bin/busybox: sh -c 'echo '\''\u{1b}[31mred'\''' …  (pid 42)
Answered     Evicted: pod web-1 was evicted
Recovered    ReplacementReady: pod web-2 on node node-2 took its place and is Ready"
    );
}

#[test]
fn a_page_of_an_unanswered_incident_asks_for_the_controller() {
    let mut incident = incident();
    incident.status = None;
    let page = show::page(&incident, false, now());
    assert_eq!(
        page.last().unwrap(),
        "Answered     not yet; is a controller of Bailiff running?"
    );
}

#[test]
fn a_list_has_a_row_for_each_incident() {
    let shape = |namespaces, wide, color| Shape {
        namespaces,
        wide,
        headers: true,
        color,
    };
    assert_eq!(
        list::lines(&[incident()], shape(false, false, false), now()),
        [
            "NAME    AGE    SEVERITY   POLICY      POD     PROGRAM        PHASE       REASON",
            "inc-1   3m5s   High       no-shells   web-1   /bin/busybox   Recovered   Evicted",
        ]
    );
    assert_eq!(
        list::lines(&[incident()], shape(true, true, false), now())[1],
        "shop        inc-1   3m5s   High       no-shells   web-1   /bin/busybox   Recovered   Evicted   3       node-1   web-2"
    );
    let colored = list::lines(&[incident()], shape(false, false, true), now());
    assert!(colored[1].starts_with("\u{1b}[33m") && colored[1].ends_with("\u{1b}[0m"));
    let none = list::lines(&[], shape(false, false, false), now());
    assert_eq!(none.len(), 1, "{none:?}");
}

#[test]
fn the_newest_is_first() {
    let mut older = incident();
    older.metadata.name = Some("older".to_owned());
    older.spec.exec_time.0 = "2025-01-01T00:00:00Z".parse().unwrap();
    let names: Vec<_> = list::newest_first(vec![older, incident()])
        .into_iter()
        .map(|incident| incident.metadata.name.unwrap())
        .collect();
    assert_eq!(names, ["inc-1", "older"]);
}
