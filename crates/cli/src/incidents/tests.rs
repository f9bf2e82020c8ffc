//! The table and the page, word for word.

use super::list::{self, Columns};
use super::show;
use bailiff_api::{DescriptorType, ExecutableSource, Incident, IncidentType};
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
                {"type": "Responded", "status": "True", "reason": "Evicted", "message": "RuntimePolicyBinding shop evicted pod web-1.", "lastTransitionTime": "2026-01-01T00:00:01Z"},
                {"type": "Recovered", "status": "True", "reason": "ReplacementReady", "message": "Replacement web-2 on node node-2 is Ready.", "lastTransitionTime": "2026-01-01T00:00:03Z"},
            ],
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:03:00.000000Z", "policyGeneration": 1, "bindingRefs": []},
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d"},
            "replacement": {"name": "web-2", "uid": "v", "nodeName": "node-2", "readyTime": "2026-01-01T00:00:03Z"},
        },
    }))
    .unwrap()
}

#[test]
fn a_page_has_the_process_and_the_response() {
    let page = show::page(&incident(), false, now()).join("\n");
    assert_eq!(
        page,
        r"Incident     inc-1 in namespace shop
Exec time    2026-01-01T00:00:00Z (3m5s ago)
Count        3, last at 2026-01-01T00:03:00Z (5s ago)
Policy       no-shells (severity High), applied by everywhere, shop
Message      a shell was started
             as root
Pod          web-1 on node node-1
Workload     Deployment web
Container    app, image registry.example/web:1
Origin       Exec (started through exec, such as kubectl exec)
User         0, group 0 (in the host user namespace)
Capabilities CAP_CHOWN CAP_KILL
Processes
  /app --serve  (pid 40)
  └─ /usr/bin/curl: curl  (pid 41)
     └─ /bin/busybox: sh -c 'echo '\''\u{1b}[31mred'\''' …  (pid 42)
Responded    Evicted: RuntimePolicyBinding shop evicted pod web-1.
Recovered    ReplacementReady: Replacement web-2 on node node-2 is Ready."
    );
}

#[test]
fn a_page_has_the_later_processes_and_a_dry_run() {
    let mut incident = incident();
    incident.spec.process.left_pod_cgroup = true;
    incident.spec.type_ = IncidentType::FoundRunning;
    let status = incident.status.as_mut().unwrap();
    status.series.as_mut().unwrap().first_processes = serde_json::from_value(json!([{
        "executable": "/bin/nc", "args": ["nc", "-e", "\u{7}"], "argsTruncated": true, "origin": "Exec",
        "count": 2, "firstObservedTime": "2026-01-01T00:00:01.000000Z",
        "lastObservedTime": "2026-01-01T00:00:02.000000Z",
    }]))
    .unwrap();
    status.dry_run_response = Some(
        serde_json::from_value(
            json!({"reason": "Evicted", "message": "With Evict, Bailiff would evict the pod."}),
        )
        .unwrap(),
    );
    let page = show::page(&incident, false, now());
    let has = |line: &str| assert!(page.iter().any(|l| l == line), "{line}: {page:#?}");
    has("Cgroup       The process left the cgroups of the pod and can outlive it on the node.");
    has("Found        2026-01-01T00:00:00Z (3m5s ago)");
    has("Later processes");
    has(r"  /bin/nc: nc -e '\u{7}' …  (origin Exec, count 2, last at 2026-01-01T00:00:02Z)");
    has("Dry run      With Evict, Bailiff would evict the pod.");
}

#[test]
fn a_page_has_what_came_with_the_exec() {
    let mut incident = incident();
    let process = &mut incident.spec.process;
    process.script_path = Some("/tmp/\u{1b}x.sh".to_owned());
    process.script_source = Some(ExecutableSource::Volume);
    process.stdio = vec![
        DescriptorType::Socket,
        DescriptorType::Pipe,
        DescriptorType::Closed,
    ];
    process.secure_exec = true;
    process.executable_deleted = true;
    process.args = ["sh", "-c…id", "--end"].map(str::to_owned).to_vec();
    let page = show::page(&incident, false, now());
    let has = |line: &str| assert!(page.iter().any(|l| l == line), "{line}: {page:#?}");
    has(r"Script       /tmp/\u{1b}x.sh (source Volume)");
    has("Descriptors  0 Socket, 1 Pipe, 2 Closed");
    has("Privileges   The process gained privileges with the exec.");
    has("Executable   The executable was deleted or replaced before the exec.");
    has("     └─ /bin/busybox: sh '-c…id' --end  (pid 42)");
}

#[test]
fn a_page_without_a_response_refers_to_the_controller() {
    let mut incident = incident();
    incident.status = None;
    let page = show::page(&incident, false, now());
    assert_eq!(
        page.last().unwrap(),
        "Responded    Pending. If this persists, check the controller with `bailiff status`."
    );
}

#[test]
fn a_table_has_a_row_for_each_incident() {
    let columns = |namespaces, wide, color| Columns {
        namespaces,
        wide,
        headers: true,
        color,
    };
    assert_eq!(
        list::lines(&[incident()], columns(false, false, false), now()),
        [
            "NAME    SEVERITY   POLICY      POD     EXECUTABLE     PHASE      REASON    AGE",
            "inc-1   High       no-shells   web-1   /bin/busybox   Resolved   Evicted   3m5s",
        ]
    );
    assert_eq!(
        list::lines(&[incident()], columns(true, true, false), now())[1],
        "shop        inc-1   High       no-shells   web-1   /bin/busybox   Resolved   Evicted   3       node-1   web-2         3m5s"
    );
    let colored = list::lines(&[incident()], columns(false, false, true), now());
    assert!(colored[1].starts_with("\u{1b}[33m") && colored[1].ends_with("\u{1b}[0m"));
    let none = list::lines(&[], columns(false, false, false), now());
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
