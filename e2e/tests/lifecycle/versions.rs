//! An upgrade to a newer version and the way back, with open Incidents.
//!
//! Here: what a newer version wrote and an older one does not know. Not here: the same version
//! (`super`).
//! Invariant: the newer version is the chart with another appVersion, and kinds with values and a field
//! that this source does not know; what it writes is written with the tokens of its accounts.

use super::must;
use bailiff_api::incident_name;
use bailiff_e2e::token::{controller_token, sensor_on, sensor_token};
use bailiff_e2e::workload::{BUSYBOX, deployment, disruption_budget};
use bailiff_e2e::{NAMESPACE, Story, helm, install_arguments, upgrade};
use serde_json::{Value, json};
use std::path::Path;

/// The version of this source, and of its chart.
const OLDER: &str = env!("CARGO_PKG_VERSION");
/// A version that this source does not know.
const NEWER: &str = "99.0.0";

/// Workloads of the story. A budget blocks the evictions of the first three.
const WEB: &str = "web";
const DB: &str = "db";
const API: &str = "api";
const KEPT: &str = "kept";

/// The files of a directory, copied to another.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            let _bytes = std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Writes lines after each line of a file that says `after`, as far indented as that one.
fn insert(file: &Path, after: &str, lines: &[&str]) {
    let text = std::fs::read_to_string(file).unwrap();
    let mut changed = Vec::new();
    for line in text.lines() {
        changed.push(line.to_owned());
        if line.trim_start() == after {
            let indent = line.len() - line.trim_start().len();
            changed.extend(lines.iter().map(|new| format!("{:indent$}{new}", "")));
        }
    }
    let count = text.lines().count();
    assert!(
        changed.len() > count,
        "no line of {} says {after}",
        file.display()
    );
    std::fs::write(file, changed.join("\n") + "\n").unwrap();
}

/// The chart of a newer version, in a new directory.
fn newer_chart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path();
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/bailiff"),
        chart,
    );
    let about = chart.join("Chart.yaml");
    let text = std::fs::read_to_string(&about).unwrap();
    std::fs::write(&about, text.replace(OLDER, NEWER)).unwrap();
    let kinds = chart.join("templates/crds");
    insert(
        &kinds.join("runtimepolicybindings.yaml"),
        "- Delete",
        &["- Isolate"],
    );
    let incidents = kinds.join("incidents.yaml");
    insert(&incidents, "- Delete", &["- Isolate"]);
    insert(&incidents, "- Unresolved", &["- Suspended"]);
    insert(&incidents, "- Lifecycle", &["- Debugger"]);
    insert(&incidents, "- EvaluationFailed", &["- Anomaly"]);
    // Before the field phase of the status.
    let text = std::fs::read_to_string(&incidents).unwrap();
    let field = "              phase:\n";
    assert_eq!(text.matches(field).count(), 1);
    let more = format!(
        "              approval: {{type: object, properties: {{group: {{type: string}}}}}}\n{field}"
    );
    std::fs::write(&incidents, text.replace(field, &more)).unwrap();
    folder
}

/// Upgrades to the newer version. It is the same binary, which retries no eviction while the story
/// lasts, so that what is written in its name stays.
fn upgrade_to_newer(story: &Story, chart: &Path) {
    let mut arguments = install_arguments();
    let ours = arguments.iter().position(|a| a.ends_with("charts/bailiff"));
    arguments[ours.unwrap()] = chart.display().to_string();
    let tag = format!("image.tag={OLDER}");
    let more = [
        "--set",
        &tag,
        "--set",
        "controller.replicas=1,controller.evictionInitialBackoff=1h,controller.evictionMaxBackoff=1h",
    ];
    arguments.extend(more.iter().map(ToString::to_string));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let _said = must(&helm(&story.cluster, &arguments));
}

/// Waits until the one replica of a version leads; its name.
fn leads(story: &Story, version: &str) -> String {
    let selector =
        format!("app.kubernetes.io/component=controller,app.kubernetes.io/version={version}");
    let pods = story
        .cluster
        .get(&["pods", "-n", NAMESPACE, "-l", &selector]);
    let pods = pods["items"].as_array().unwrap();
    let mut pods = pods
        .iter()
        .filter(|p| p["metadata"]["deletionTimestamp"].is_null());
    let name = pods.next().unwrap()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(pods.next().is_none(), "one replica was asked for");
    let holder = format!("jsonpath={{.spec.holderIdentity}}={name}");
    story
        .cluster
        .wait(&holder, &["lease/bailiff-controller", "-n", NAMESPACE]);
    name
}

/// A violation in a workload that nothing protects is responded to by this replica, to the end. What was
/// due before it in the queue has had its turn then.
fn responds(story: &Story, app: &str, leader: &str) {
    story.apply(&deployment(app, BUSYBOX));
    let pod = story.ready_pod(&format!("app={app}"));
    let _cut_off = story.exec(&pod, &["cat", "/etc/hostname"]);
    let _incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    let evicted = evictions(story, app);
    assert_eq!(evicted.len(), 1, "{evicted:?}");
    assert_eq!(evicted[0]["reportingInstance"], leader, "{evicted:?}");
}

/// The Events of a Deployment that say that Bailiff evicted a pod of it.
fn evictions(story: &Story, app: &str) -> Vec<Value> {
    let events = story.get(&["events.events.k8s.io"]);
    let events = events["items"].as_array().unwrap().iter();
    let of_app = |e: &&Value| {
        e["reason"] == "EvictedByPolicy"
            && e["regarding"]["kind"] == "Deployment"
            && e["regarding"]["name"] == app
    };
    events.filter(of_app).cloned().collect()
}

/// The name of the one pod of a workload, which is not terminating.
fn pod_of(story: &Story, app: &str) -> String {
    let pods = story.get(&["pods", "-l", &format!("app={app}")]);
    let pods = pods["items"].as_array().unwrap();
    assert_eq!(pods.len(), 1, "{app}");
    let metadata = &pods[0]["metadata"];
    assert!(metadata["deletionTimestamp"].is_null(), "{app}");
    metadata["name"].as_str().unwrap().to_owned()
}

/// Writes the status of the Incident of a pod, as a controller of the newer version does.
fn write_status(story: &Story, pod: &Value, status: &Value) {
    let object = json!({
        "apiVersion": "bailiff.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {"name": story.incident_name(pod, "no-cat"), "namespace": story.namespace},
        "status": status,
    });
    // Server-side, so that kubectl requests nothing that the controller cannot read.
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--subresource=status",
        "--field-manager=newer",
        "-f",
        "-",
    ];
    let token = controller_token(story);
    let output = story
        .cluster
        .try_pipe_as(&token, &apply, &object.to_string());
    assert!(output.success, "{}", output.stderr);
}

/// Creates an Incident about a pod, as a sensor of the newer version does.
fn create_incident(story: &Story, pod: &Value, type_: &str, origin: &str) {
    let node = &pod["spec"]["nodeName"];
    let uid = &pod["metadata"]["uid"];
    let policy = story
        .cluster
        .get(&["runtimepolicy", &format!("no-cat-{}", story.namespace)]);
    let binding = story.cluster.get(&[
        "runtimepolicybinding",
        &format!("no-cat-{}", story.namespace),
    ]);
    let (policy, binding) = (&policy["metadata"], &binding["metadata"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    // Of the last minutes, by the clock of the API server.
    let time = &pod["metadata"]["creationTimestamp"];
    let incident = json!({
        "apiVersion": "bailiff.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {
            "name": incident_name(&text(uid), &text(&policy["uid"]), &text(node)),
            "namespace": story.namespace,
        },
        "spec": {
            "type": type_,
            "severity": "High",
            "policyRef": {"name": policy["name"], "uid": policy["uid"], "generation": policy["generation"]},
            "bindingRefs": [{"name": binding["name"], "uid": binding["uid"]}],
            "nodeName": node,
            "pod": {"name": pod["metadata"]["name"], "namespace": story.namespace, "uid": uid},
            "container": {"name": "app", "type": "App"},
            "process": {
                "executable": "/bin/busybox", "invokedPath": "/bin/cat", "names": ["busybox", "cat"],
                "args": ["cat"], "executableSource": "Image", "origin": origin, "uid": 0, "gid": 0,
                "pid": 1, "startTime": time,
            },
            "violations": [{"expressionIndex": 0, "message": "no-cat is not allowed here"}],
            "execTime": time,
        },
    });
    let token = sensor_token(story, Some(&sensor_on(story, node, true)));
    let output = story.cluster.try_create_as(&token, &incident.to_string());
    assert!(output.success, "{}", output.stderr);
}

fn condition(status: &str, reason: &str) -> Value {
    json!([{
        "type": "Responded", "status": status, "reason": reason,
        "message": "A message of a newer version.", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }])
}

/// A `Deployment` whose one pod runs and, for all but `kept`, a budget that blocks its eviction.
fn begin(story: &Story, app: &str) -> Value {
    if app != KEPT {
        story.apply(&disruption_budget(app, 0));
    }
    story.apply(&deployment(app, BUSYBOX));
    let pod = story.ready_pod(&format!("app={app}"));
    if app != KEPT {
        story.budget_counts(app);
    }
    pod
}

/// What the newer version writes while it leads.
fn newer_writes(story: &Story, pods: &Pods) {
    create_incident(story, &pods.db, "Violation", "Debugger");
    let _incident = story.incident(
        &pods.db,
        "no-cat",
        "Responded",
        "WaitingForDisruptionBudget",
    );
    create_incident(story, &pods.kept, "Anomaly", "Exec");
    story.policy("no-ls", "!('ls' in process.names)");
    story.apply(
        r"
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicyBinding
metadata: {name: no-ls-NAMESPACE}
spec:
  policyName: no-ls-NAMESPACE
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}
  responseActions: [Isolate]
",
    );
    write_status(
        story,
        &pods.web,
        &json!({
            "phase": "Suspended",
            "conditions": condition("Unknown", "WaitingForApproval"),
            "waiting": {"reason": "WaitingForApproval"},
            "approval": {"group": "security"},
        }),
    );
    write_status(
        story,
        &pods.api,
        &json!({
            "phase": "Suspended",
            "conditions": condition("True", "Isolated"),
            "response": {"action": "Isolate", "bindingName": "no-cat", "time": "2026-01-01T00:00:00.000000Z"},
        }),
    );
    for pod in [&pods.web, &pods.api] {
        let incident = story.get(&["incident", &story.incident_name(pod, "no-cat")]);
        assert_eq!(incident["status"]["phase"], "Suspended", "{incident}");
    }
}

struct Pods {
    web: Value,
    db: Value,
    api: Value,
    kept: Value,
}

impl Pods {
    /// Fails unless each pod still runs.
    fn all_run(&self, story: &Story) {
        for (app, pod) in [
            (WEB, &self.web),
            (DB, &self.db),
            (API, &self.api),
            (KEPT, &self.kept),
        ] {
            assert_eq!(
                pod_of(story, app),
                pod["metadata"]["name"].as_str().unwrap(),
                "{app}"
            );
        }
    }
}

/// What `bailiff status` prints.
fn status(story: &Story) -> String {
    let status = ["status", "--namespace", NAMESPACE];
    story.cluster.bailiff(&status).stdout
}

/// What the older version does not know is reported by name, with the field.
fn unknown_values_are_reported(story: &Story, pods: &Pods) {
    let namespace = story.namespace.as_str();
    let name = format!("runtimepolicybinding/no-ls-{namespace}");
    let unknown = "spec.responseActions[0]: unknown variant `Isolate`, expected one of `Audit`, `Evict`, `Delete`";
    story.cluster.wait(
        "jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=DecodeError",
        &[&name],
    );
    let binding = story.cluster.get(&[&name]);
    let conditions = binding["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|c| c["type"] == "Ready").unwrap();
    assert_eq!(
        ready["message"],
        format!(
            "This version of Bailiff cannot decode the object, so it never enforces. {unknown}. Correct the field, or upgrade Bailiff."
        )
    );
    let said = status(story);
    let incident = story.incident_name(&pods.kept, "no-cat");
    for want in [
        format!("The object cannot be decoded, so Bailiff ignores it. {unknown}."),
        format!("incident/{incident}"),
        "spec.type: unknown variant `Anomaly`".to_owned(),
    ] {
        assert!(said.contains(&want), "{want} is missing in:\n{said}");
    }
}

/// Goes back to the version before, kinds included; who leads then.
fn roll_back(story: &Story) -> String {
    let back = [
        "rollback",
        "bailiff",
        "-n",
        NAMESPACE,
        "--wait",
        "--timeout",
        "120s",
    ];
    let _back = must(&helm(&story.cluster, &back));
    let kind = ["get", "crd", "incidents.bailiff.dev", "-o", "json"];
    let kind = story.cluster.kubectl(&kind);
    assert!(!kind.contains("Suspended"), "{kind}");
    leads(story, OLDER)
}

/// The budgets allow the evictions that wait. The pod of each workload afterwards, by name.
fn removed_once(story: &Story, pods: &Pods) -> Vec<(&'static str, String)> {
    for app in [WEB, DB, API] {
        story.apply(&disruption_budget(app, 1));
    }
    let name = |object: &Value| object["name"].as_str().unwrap().to_owned();
    let replaced = [(WEB, &pods.web), (DB, &pods.db)].map(|(app, pod)| {
        let incident = story.incident(pod, "no-cat", "Recovered", "ReplacementReady");
        (app, name(&incident["status"]["replacement"]))
    });
    let untouched = [(API, &pods.api), (KEPT, &pods.kept)];
    let untouched = untouched.map(|(app, pod)| (app, name(&pod["metadata"])));
    replaced.into_iter().chain(untouched).collect()
}

#[test]
fn a_rollback_with_open_incidents_removes_each_pod_once() {
    let story = Story::begin_alone("versions");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind(
        "no-cat",
        "[Evict]",
        "guardrails: {cooldownPeriodSeconds: 0}",
    );
    let _said = upgrade(&story.cluster, &["--set", "controller.replicas=1"]);
    let leader = leads(&story, OLDER);
    let pods = Pods {
        web: begin(&story, WEB),
        db: begin(&story, DB),
        api: begin(&story, API),
        kept: begin(&story, KEPT),
    };
    for pod in [&pods.web, &pods.api] {
        let _ran = story.exec(pod, &["cat", "/etc/hostname"]);
        let _waits = story.incident(pod, "no-cat", "Responded", "WaitingForDisruptionBudget");
    }
    responds(&story, "first", &leader);

    let chart = newer_chart();
    upgrade_to_newer(&story, chart.path());
    let leader = leads(&story, NEWER);
    responds(&story, "second", &leader);
    newer_writes(&story, &pods);

    let leader = roll_back(&story);
    unknown_values_are_reported(&story, &pods);
    // It goes on with what the newer version left open.
    let incident = story.incident(
        &pods.web,
        "no-cat",
        "Responded",
        "WaitingForDisruptionBudget",
    );
    assert_eq!(incident["status"]["phase"], "Waiting", "{incident}");
    let _ran = story.exec(&pods.kept, &["ls", "/"]);
    responds(&story, "third", &leader);
    pods.all_run(&story);

    let left = removed_once(&story, &pods);
    upgrade_to_newer(&story, chart.path());
    let leader = leads(&story, NEWER);
    responds(&story, "fourth", &leader);
    for (app, name) in &left {
        assert_eq!(pod_of(&story, app), *name, "{app}");
    }
    for (app, times) in [(WEB, 1), (DB, 1), (API, 0), (KEPT, 0)] {
        assert_eq!(evictions(&story, app).len(), times, "{app}");
    }
    let incident = story.get(&["incident", &story.incident_name(&pods.api, "no-cat")]);
    assert_eq!(
        incident["status"]["conditions"][0]["reason"], "Isolated",
        "{incident}"
    );

    let _said = upgrade(&story.cluster, &[]);
    story.end();
}
