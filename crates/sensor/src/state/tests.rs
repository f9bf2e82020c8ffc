//! Processes that start while pods, policies and statuses come and go.

mod away;
mod crio;
mod descent;
mod facts;
mod kept;
mod running;
mod runtimes;
mod sandbox;
mod shares;

use super::*;
use crate::kernel::record::tests::joined;
use crate::kernel::record::{Found, ProcessKey, Root};
use crate::metrics::{
    FindingLabels, FindingSeverity, FindingType, KindLabels, NotEvaluatedLabels, Policy,
    SkippedLabels,
};
use bailiff_api::{IncidentType, Origin, Severity};
use bailiff_kube::list_watch::ObjectEvent as Watched;
use serde_json::json;

pub(super) const ID: &str = "8a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f08a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f0";

pub(super) fn config(pod_lookup_timeout: Duration) -> Config {
    Config {
        namespace: "bailiff-system".to_owned(),
        node_name: "node".to_owned(),
        ring_buffer_bytes: 4096,
        pod_lookup_timeout,
        incident_update_interval: Duration::ZERO,
        sandbox_runtime_classes: BTreeSet::from(["gvisor".to_owned()]),
        address: ([127, 0, 0, 1], 0).into(),
        identity: "sensor".to_owned(),
        pod_uid: "own".to_owned(),
    }
}

/// A sensor's state without kernel and API server.
struct Sensor {
    state: State,
    violations: mpsc::Receiver<Finding>,
}

impl Sensor {
    /// It has seen a program of its own, and everything was listed: the policies `any`, which
    /// every process violates, and `web`, which asks for the container, both bound everywhere.
    async fn new(pod_lookup_timeout: Duration) -> Self {
        let policies = [("any", "false"), ("web", "container.name != 'web'")];
        Self::with(pod_lookup_timeout, policies).await
    }

    /// The same with other policies.
    async fn with(pod_lookup_timeout: Duration, policies: [(&str, &str); 2]) -> Self {
        let config = config(pod_lookup_timeout);
        let (sender, violations) = mpsc::channel(10_000);
        let metrics = Metrics::default();
        let mut state = State::new(&config, metrics, sender, 0);
        for (name, expression) in policies {
            state.policy(Ok(Watched::Listed(policy(name, 1, expression))));
            state.binding(Ok(Watched::Listed(binding(name))));
        }
        state.policy(Ok(Watched::Complete));
        state.binding(Ok(Watched::Complete));
        assert!(state.take_must_list());
        state.namespace(Ok(Watched::Listed(namespace("shop"))));
        state.namespace(Ok(Watched::Complete));
        state.pod(Ok(Watched::Complete)).await;
        let mut sensor = Self { state, violations };
        sensor.pod(running("own", ID)).await;
        sensor.exec(sensor.own_program(1)).await;
        sensor.found();
        assert!(sensor.state.synced());
        sensor
    }

    /// What the sensor itself starts.
    fn own_program(&self, pid: u32) -> Exec {
        Exec {
            args: [self.state.own_name(), "version"].iter().collect(),
            ..exec(pid, "own")
        }
    }

    async fn exec(&mut self, exec: Exec) {
        self.state.event(Event::Exec(Box::new(exec))).await;
    }

    /// The pod is there, or its containers have this status.
    async fn pod(&mut self, pod: serde_json::Value) {
        self.state.pod(Ok(Watched::Applied(bytes(&pod)))).await;
    }

    /// What violated, by policy and process.
    fn found(&mut self) -> Vec<(String, u32)> {
        self.findings()
            .into_iter()
            .map(|found| (found.policy.name, found.pid))
            .collect()
    }

    fn findings(&mut self) -> Vec<Finding> {
        std::iter::from_fn(|| self.violations.try_recv().ok()).collect()
    }

    fn not_evaluated(&self, reason: NotEvaluated) -> u64 {
        let counters = &self.state.metrics.not_evaluated;
        counters.get_or_create(&NotEvaluatedLabels { reason }).get()
    }

    fn skipped(&self, reason: Skipped) -> u64 {
        let counters = &self.state.metrics.skipped;
        counters.get_or_create(&SkippedLabels { reason }).get()
    }

    fn counted(&self, r#type: FindingType) -> u64 {
        let counters = &self.state.metrics.violations;
        let severity = FindingSeverity(Severity::Medium);
        let labels = FindingLabels { r#type, severity };
        counters.get_or_create(&labels).get()
    }
}

pub(super) fn bytes(object: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(object).unwrap()
}

pub(super) fn policy(name: &str, generation: i64, expression: &str) -> Vec<u8> {
    bytes(&json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
        "metadata": {"name": name, "uid": name, "generation": generation},
        "spec": {"validations": [{"expression": expression, "message": "no"}]},
    }))
}

pub(super) fn binding(name: &str) -> Vec<u8> {
    bytes(&json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicyBinding",
        "metadata": {"name": name, "uid": name},
        "spec": {"policyName": name, "responseActions": ["Audit"]},
    }))
}

pub(super) fn namespace(name: &str) -> Vec<u8> {
    bytes(&json!({"metadata": {"name": name}}))
}

fn key(pid: u32) -> ProcessKey {
    ProcessKey { pid, start: 1 }
}

/// A program that joined a container of this pod.
pub(super) fn exec(pid: u32, pod: &str) -> Exec {
    Exec {
        parent: key(0),
        mount_namespace: pod.bytes().map(u64::from).sum(),
        cgroup: format!("/kubepods/besteffort/pod{pod}/{ID}"),
        args: ["cat", "/ready"].iter().collect(),
        ..joined(key(pid), "/bin/cat")
    }
}

/// The pod's sandbox, with the namespaces that `in_sandbox` has.
fn sandbox(pid: u32, pod: &str) -> Exec {
    Exec {
        cgroup: format!("/kubepods/besteffort/pod{pod}/{}", "5".repeat(64)),
        mount_namespace: 1000 + u64::from(pid),
        pod_namespaces: NAMESPACES,
        ..joined(key(pid), "/pause")
    }
}

/// A program in a container that shares the sandbox's namespaces.
fn in_sandbox(pid: u32, pod: &str) -> Exec {
    Exec {
        pod_namespaces: NAMESPACES,
        ..exec(pid, pod)
    }
}

const NAMESPACES: [u64; 3] = [71, 72, 73];

fn pod(uid: &str) -> serde_json::Value {
    json!({
        "metadata": {"name": uid, "namespace": "shop", "uid": uid},
        "spec": {"containers": [{
            "name": "web",
            "readinessProbe": {"exec": {"command": ["cat", "/ready"]}},
        }]},
    })
}

pub(super) fn running(uid: &str, id: &str) -> serde_json::Value {
    let mut pod = pod(uid);
    pod["status"] = json!({"containerStatuses": [{
        "name": "web", "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
        "containerID": format!("containerd://{id}"),
    }]});
    pod
}

fn any(pid: u32) -> (String, u32) {
    ("any".to_owned(), pid)
}

fn web(pid: u32) -> (String, u32) {
    ("web".to_owned(), pid)
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn each_policy_is_evaluated_once_for_a_process() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.exec(sandbox(9, "a")).await;
    sensor.exec(in_sandbox(10, "a")).await;
    assert_eq!(sensor.found(), [], "the pod is not known");
    sensor.pod(pod("a")).await;
    assert_eq!(
        sensor.found(),
        [any(10)],
        "the other policy waits for the container"
    );
    for _ in 0..3 {
        sensor.pod(pod("a")).await;
        sensor.state.tick(Counters::default()).await;
    }
    assert_eq!(sensor.found(), [], "once is enough");
    sensor.pod(running("a", ID)).await;
    assert_eq!(sensor.found(), [web(10)]);
    assert_eq!(sensor.state.pending.len(), 1, "the sandbox");
}

#[tokio::test]
async fn an_evaluation_error_is_found_with_either_failure_policy_and_is_no_violation() {
    for failure_policy in ["Fail", "Ignore"] {
        let mut sensor = Sensor::new(MINUTE).await;
        let failing = bytes(&json!({
            "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
            "metadata": {"name": "any", "uid": "any", "generation": 2},
            "spec": {"failurePolicy": failure_policy,
                "validations": [{"expression": "object.metadata.labels['none'] == ''"}]},
        }));
        sensor.state.policy(Ok(Watched::Applied(failing.clone())));
        assert!(sensor.state.take_must_list(), "it reads what was not kept");
        sensor.pod(running("a", ID)).await;
        sensor
            .state
            .namespace(Ok(Watched::Applied(namespace("shop"))));
        let before = sensor.counted(FindingType::Violation);
        sensor.exec(exec(10, "a")).await;
        let found = sensor.findings();
        let types: Vec<_> = found
            .iter()
            .map(|f| (f.policy.name.as_str(), f.type_))
            .collect();
        let want = [
            ("any", IncidentType::EvaluationFailed),
            ("web", IncidentType::Violation),
        ];
        assert_eq!(types, want, "{failure_policy}");
        assert_eq!(sensor.counted(FindingType::EvaluationFailed), 1);
        assert_eq!(sensor.counted(FindingType::Violation), before + 1);
        let counted = |sensor: &Sensor| {
            let policy = "any".to_owned();
            let family = &sensor.state.metrics.evaluation_errors;
            family.get(&Policy { policy }).map(|count| count.get())
        };
        assert_eq!(counted(&sensor), Some(1));
        sensor.state.policy(Ok(Watched::Deleted(failing)));
        assert_eq!(counted(&sensor), None);
    }
}

#[tokio::test]
async fn a_container_that_is_not_known_in_time_is_evaluated_as_it_is() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    sensor.pod(pod("a")).await;
    sensor.exec(sandbox(9, "a")).await;
    sensor.exec(in_sandbox(10, "a")).await;
    let found = sensor.findings();
    let types: Vec<_> = found
        .iter()
        .map(|j| (j.policy.name.as_str(), j.type_))
        .collect();
    let failed = IncidentType::EvaluationFailed;
    let violation = IncidentType::Violation;
    assert_eq!(types, [("any", violation), ("web", failed)]);
}

#[tokio::test]
async fn a_process_of_the_container_before_a_restart_is_evaluated() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    sensor.pod(running("a", &"1".repeat(64))).await;
    sensor.exec(exec(10, "a")).await;
    assert_eq!(sensor.found(), [any(10), web(10)]);
}

#[tokio::test]
async fn policies_see_where_a_program_was_started_and_where_its_script_lies() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    for (filename, interpreter, script) in [
        ("../x.sh", Some("/bin/sh"), Some("/tmp/x.sh")),
        ("/app/x.sh", Some("/bin/sh"), Some("/app/x.sh")),
        ("../x", None, None),
    ] {
        sensor
            .exec(Exec {
                filename: filename.to_owned(),
                interpreter: interpreter.map(str::to_owned),
                working_directory: "/tmp/a".to_owned(),
                ..exec(10, "a")
            })
            .await;
        let process = Arc::clone(&sensor.findings()[0].process);
        assert_eq!(process.working_directory, "/tmp/a", "{filename}");
        let found = process.script.as_ref().map(|script| script.path.as_str());
        assert_eq!(found, script, "{filename}");
    }
}

#[tokio::test]
async fn only_a_runtime_is_skipped() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    let went = |pid, parent, root| Exec {
        root,
        parent: key(parent),
        parent_outside_cgroup: false,
        mount_namespace: 4_026_531_840,
        ..exec(pid, "a")
    };
    // A runtime joins the cgroup with the machine's root; its hooks are below it.
    sensor
        .exec(Exec {
            root: Root::Machine,
            ..exec(10, "a")
        })
        .await;
    sensor.exec(went(11, 10, Root::Machine)).await;
    sensor
        .exec(Exec {
            root: Root::Unknown,
            ..exec(12, "a")
        })
        .await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.skipped(Skipped::ContainerRuntime), 3);
    // What a container's process runs on the machine's root, or far below others, is not that.
    sensor.exec(exec(20, "a")).await;
    sensor.exec(went(20, 0, Root::Machine)).await;
    sensor.exec(went(21, 20, Root::Machine)).await;
    sensor.exec(went(22, 20, Root::Unknown)).await;
    // None of its ancestors is known, and yet it is none that joined.
    sensor
        .exec(Exec {
            mount_namespace: u64::from(b'a'),
            ..went(23, 9999, Root::Unknown)
        })
        .await;
    let policies: Vec<_> = sensor
        .found()
        .into_iter()
        .filter(|f| f.0 == "any")
        .collect();
    assert_eq!(policies, [any(20), any(20), any(21), any(22), any(23)]);
    assert_eq!(sensor.skipped(Skipped::ContainerRuntime), 3);
}

#[tokio::test]
async fn a_process_that_leaves_the_cgroups_of_its_pod_stays_the_pods() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    sensor.exec(exec(10, "a")).await;
    sensor.found();
    let left = |pid, parent| Exec {
        cgroup: "/system.slice".to_owned(),
        left_pod_cgroup: true,
        parent: key(parent),
        parent_outside_cgroup: false,
        mount_namespace: 4_026_531_840,
        root: Root::Machine,
        ..exec(pid, "a")
    };
    sensor.exec(left(11, 10)).await;
    let found = sensor.findings();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].pod.uid, "a");
    assert_eq!(found[0].container_id.as_deref(), Some(ID));
    assert!(found[0].process.left_pod_cgroup);
    let incident = crate::incident::evidence::incident(&found[0], "node-1", Timestamp::now());
    assert!(incident.spec.process.left_pod_cgroup);
    // Its pod cannot be determined.
    sensor.exec(left(12, 9999)).await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 1);
    // It went into the cgroup of another pod: which of them it is of is not clear.
    sensor.exec(exec(11, "b")).await;
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 2);
}

#[tokio::test]
async fn processes_that_are_older_than_the_sensor_are_the_parents_of_others() {
    let mut sensor = Sensor::new(MINUTE).await;
    for pod in ["a", "b"] {
        sensor.pod(running(pod, ID)).await;
    }
    let found = |pid, parent, pod: &str| {
        let exec = exec(pid, pod);
        Event::Found(Box::new(Found {
            process: exec.process,
            parent: key(parent),
            forked: None,
            time: exec.time,
            mount_namespace: exec.mount_namespace,
            cgroup: exec.cgroup,
            cgroup_number: exec.cgroup_number,
            capabilities: 0,
            uid: 0,
            gid: 0,
            executable: "/bin/busybox".to_owned(),
            name: "sh".to_owned(),
            init_session: true,
            membership: Membership::Unknown,
        }))
    };
    let below = |pid, parent, pod| Exec {
        parent: key(parent),
        parent_outside_cgroup: false,
        ..exec(pid, pod)
    };
    sensor.state.event(found(10, 5, "a")).await;
    assert_eq!(sensor.found(), [any(10), web(10)]);
    sensor.exec(below(11, 10, "a")).await;
    let process = Arc::clone(&sensor.findings()[0].process);
    assert_eq!(process.origin, Origin::Entrypoint);
    assert_eq!(process.ancestors.0[0].executable, "/bin/busybox");
    assert_eq!(process.ancestors.0[0].names, ["busybox", "sh"]);
    // It came from one pod and is in the cgroup of another: so is what it executes.
    sensor.state.event(found(20, 10, "b")).await;
    sensor.exec(below(21, 20, "b")).await;
    assert_eq!(sensor.found(), []);
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 2);
    // Of another node on the same kernel: nothing is kept of it.
    let mut other = found(30, 5, "a");
    if let Event::Found(found) = &mut other {
        found.cgroup.insert_str(0, "/other-node");
    }
    sensor.state.event(other).await;
    assert_eq!(sensor.state.tree.place_of(key(30), key(0)), None);
}

#[tokio::test]
async fn who_a_process_is_has_to_be_clear() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.pod(running("a", ID)).await;
    sensor.pod(running("b", ID)).await;
    sensor.exec(exec(10, "a")).await;
    sensor.found();
    // It came into the cgroup of one pod and has the mount namespace of another.
    sensor
        .exec(Exec {
            mount_namespace: u64::from(b'a'),
            ..exec(11, "b")
        })
        .await;
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 1);
    // A process of one pod went into the cgroup of another.
    let went = Exec {
        parent: key(10),
        forked: Some(2),
        ..exec(12, "b")
    };
    sensor.exec(went).await;
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 2);
    // A mount namespace that can't be told apart.
    sensor
        .exec(Exec {
            mount_namespace: 0,
            ..exec(13, "a")
        })
        .await;
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 3);
    let cgroup = "/kubepods/besteffort/evil".to_owned();
    sensor
        .exec(Exec {
            cgroup,
            ..exec(14, "a")
        })
        .await;
    assert_eq!(sensor.not_evaluated(NotEvaluated::UnrecognizedCgroup), 1);
    let cgroup = format!("/other-node/kubepods/poda/{ID}");
    sensor
        .exec(Exec {
            cgroup: cgroup.clone(),
            cgroup_number: 15,
            ..exec(15, "a")
        })
        .await;
    assert_eq!(sensor.skipped(Skipped::OtherNode), 1);
    assert_eq!(sensor.found(), []);
    let others = sensor.state.take_cgroups_of_others();
    assert_eq!(others, BTreeSet::from([15]), "nothing more is told of it");
    // A process of a pod of this node went there: it is not the other node's.
    let went = Exec {
        cgroup: cgroup.replace("poda", "podc"),
        cgroup_number: 16,
        parent: key(10),
        forked: Some(2),
        ..exec(16, "a")
    };
    sensor.exec(went).await;
    assert_eq!(sensor.skipped(Skipped::OtherNode), 1);
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 4);
    assert!(sensor.state.take_cgroups_of_others().is_empty());
}

#[tokio::test]
async fn who_claims_the_namespace_or_the_cgroup_of_another_pod_neither_hides_it_nor_accuses_it() {
    let mut sensor = Sensor::new(MINUTE).await;
    for pod in ["a", "b"] {
        sensor.pod(running(pod, ID)).await;
    }
    let of_b = |pid, membership| Exec {
        membership,
        ..exec(pid, "b")
    };
    // A process of pod `a`, older than the sensor, has the mount namespace of `b` before any process of `b` is seen.
    let claims = Exec {
        mount_namespace: u64::from(b'b'),
        ..exec(10, "a")
    };
    sensor.exec(claims).await;
    assert_eq!(sensor.found(), [any(10), web(10)]);
    sensor.exec(of_b(20, Membership::Proven)).await;
    assert_eq!(sensor.found(), [any(20), web(20)], "it is not hidden");
    // Another one has the cgroup of `b` before the first process of `b` is started.
    let claims = Exec {
        mount_namespace: u64::from(b'c'),
        ..of_b(11, Membership::Unproven)
    };
    sensor.exec(claims).await;
    assert_eq!(sensor.found(), [], "it is not one of `b`");
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 1);
    // The same where nothing was started there yet: it is older than the container.
    sensor.state.attached = 2;
    let claims = Exec {
        mount_namespace: u64::from(b'c'),
        ..of_b(13, Membership::NotStarted)
    };
    sensor.exec(claims).await;
    assert_eq!(sensor.not_evaluated(NotEvaluated::AmbiguousPod), 2);
    sensor.state.attached = 0;
    // As one that is found there: what it starts is not one of `b`, too.
    let started = exec(12, "b");
    let found = Found {
        process: started.process,
        parent: key(5),
        forked: None,
        time: started.time,
        mount_namespace: u64::from(b'd'),
        cgroup: started.cgroup,
        cgroup_number: started.cgroup_number,
        capabilities: 0,
        uid: 0,
        gid: 0,
        executable: "/bin/busybox".to_owned(),
        name: "sh".to_owned(),
        init_session: true,
        membership: Membership::Unproven,
    };
    sensor.state.event(Event::Found(Box::new(found))).await;
    assert_eq!(sensor.state.tree.place_of(key(12), key(0)), None);
    sensor.exec(of_b(21, Membership::Proven)).await;
    assert_eq!(sensor.found(), [any(21), web(21)]);
}

#[tokio::test]
async fn a_process_that_entered_the_machines_namespaces_takes_them_from_no_pod() {
    let mut sensor = Sensor::new(MINUTE).await;
    for (pod, pid) in [("a", 10), ("b", 20)] {
        sensor.pod(running(pod, ID)).await;
        sensor.exec(exec(pid, pod)).await;
        sensor.found();
        let machine = Exec {
            mount_namespace: 7,
            root: Root::Machine,
            ..exec(pid, pod)
        };
        sensor.exec(machine).await;
        assert_eq!(sensor.found(), [any(pid), web(pid)], "{pod}");
    }
}

#[tokio::test]
async fn a_static_pod_is_evaluated_as_its_copy_in_the_api() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.exec(exec(10, "3a1f5f6f7a8b3a1f")).await;
    let mut copy = running("mirror", ID);
    copy["metadata"]["annotations"] = json!({
        "kubernetes.io/config.hash": "3a1f5f6f7a8b3a1f",
        "kubernetes.io/config.mirror": "3a1f5f6f7a8b3a1f",
    });
    sensor.pod(copy).await;
    let found = sensor.findings();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].pod.uid, "mirror");
}

#[tokio::test]
async fn what_exited_before_its_pod_was_known_is_evaluated_and_forgotten() {
    let mut sensor = Sensor::new(MINUTE).await;
    sensor.exec(exec(10, "a")).await;
    sensor
        .exec(Exec {
            parent_outside_cgroup: false,
            parent: key(10),
            ..exec(11, "a")
        })
        .await;
    sensor.state.event(Event::Exit(key(10))).await;
    sensor.state.event(Event::Exit(key(11))).await;
    sensor.pod(running("a", ID)).await;
    let found = sensor.findings();
    let of = |pid| found.iter().find(|found| found.pid == pid).unwrap();
    assert_eq!(
        of(10).process.origin,
        Origin::Probe,
        "by the pod that came later"
    );
    assert_eq!(of(11).process.origin, Origin::Probe);
    assert_eq!(of(11).process.ancestors.0.len(), 1);
    for pid in [10, 11] {
        assert_eq!(
            sensor.state.tree.place_of(key(pid), key(0)),
            None,
            "{pid} ended"
        );
    }
}

#[tokio::test]
async fn what_is_given_up_is_counted() {
    let mut sensor = Sensor::new(Duration::ZERO).await;
    sensor.exec(exec(10, "a")).await;
    assert_eq!(sensor.not_evaluated(NotEvaluated::PodUnknown), 1);
    let mut sensor = Sensor::new(MINUTE).await;
    for pid in 100..10_000 {
        sensor.exec(exec(pid, "a")).await;
        if sensor.not_evaluated(NotEvaluated::QueueFull) > 0 {
            break;
        }
    }
    assert_eq!(sensor.not_evaluated(NotEvaluated::QueueFull), 1);
    sensor.exec(exec(1, "b")).await;
    assert_eq!(
        sensor.not_evaluated(NotEvaluated::QueueFull),
        1,
        "another pod has room"
    );
    let counters = Counters {
        execs_lost: 3,
        execs: 9,
        not_tracked: 4,
        process_events_lost: 5,
        cgroup_too_deep: 6,
        execs_of_others: 7,
    };
    for _ in 0..2 {
        sensor.state.tick(counters).await;
        assert_eq!(
            sensor.not_evaluated(NotEvaluated::RingBufferFull),
            3,
            "programs alone"
        );
        assert_eq!(sensor.not_evaluated(NotEvaluated::CgroupTooDeep), 6);
        assert_eq!(sensor.state.metrics.execs.get(), 9);
        assert_eq!(sensor.skipped(Skipped::OtherNode), 7);
        assert_eq!(sensor.state.metrics.untracked_processes.get(), 4);
        assert_eq!(sensor.state.metrics.process_events_lost.get(), 5);
    }
}
