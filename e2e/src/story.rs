//! A story: a namespace of its own with workloads, policies and what became of them.
//!
//! Here: making objects and finding the Incident of a pod. Not here: what is expected.
//! Invariant: names of cluster-wide objects end in the namespace's name, so stories can run at
//! the same time; all of it goes when the story ends well and stays to be looked at when not.

use crate::cluster::{Cluster, Output};
use crate::installation::ensure_installed;
use bailiff_api::incident_name;
use serde_json::Value;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A namespace with what a test made in it.
#[derive(Debug)]
pub struct Story {
    #[expect(dead_code, reason = "held until the story ends")]
    turn: Turn,
    /// The cluster it happens on.
    pub cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
}

/// Stories share the cluster, but for those that change the installation itself.
static TURNS: RwLock<()> = RwLock::new(());

#[derive(Debug)]
enum Turn {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

/// How often a command is run that does not begin.
const ATTEMPTS: u32 = 5;

/// How often a command is run until a sensor has caught up. Each time takes half a second at least, so
/// one that never does has lost its watch: how soon a watch begins anew is told by the sensor's own
/// tests, in which no other program takes time.
const ASKED: u32 = 200;

/// Between two runs of a command.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether kubectl's error says that nothing was run: a command that may have run is counted.
fn never_began(error: &str) -> bool {
    [
        "error dialing backend",
        "connection refused",
        "TLS handshake timeout",
    ]
    .iter()
    .any(|part| error.contains(part))
        || error.contains("dial tcp") && error.contains("i/o timeout")
}

/// `name` with a suffix that no earlier run used.
#[must_use]
pub fn unique(name: &str) -> String {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    format!("{name}-{:x}", nanos & 0xff_ffff_ffff)
}

impl Story {
    /// Installs Bailiff where it is not, and makes a namespace.
    #[must_use]
    pub fn begin(name: &str) -> Self {
        // A story that failed poisons the lock, and is reported by itself.
        let turn = TURNS.read().unwrap_or_else(PoisonError::into_inner);
        Self::start(name, Turn::Shared(turn))
    }

    /// The same, with no other story of this test program at the same time.
    #[must_use]
    pub fn begin_alone(name: &str) -> Self {
        let turn = TURNS.write().unwrap_or_else(PoisonError::into_inner);
        Self::start(name, Turn::Alone(turn))
    }

    fn start(name: &str, turn: Turn) -> Self {
        let cluster = Cluster::connect();
        ensure_installed(&cluster);
        let namespace = unique(name);
        let _created = cluster.kubectl(&["create", "namespace", &namespace]);
        let story = Self {
            turn,
            cluster,
            namespace,
        };
        story.wait("create", &["serviceaccount/default"]);
        story
    }

    /// kubectl in the story's namespace.
    #[must_use]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut all = vec!["-n", self.namespace.as_str()];
        all.extend_from_slice(arguments);
        self.cluster.kubectl(&all)
    }

    /// Waits in the story's namespace.
    pub fn wait(&self, for_: &str, arguments: &[&str]) {
        let mut all = vec!["-n", self.namespace.as_str()];
        all.extend_from_slice(arguments);
        self.cluster.wait(for_, &all);
    }

    /// Reads one object of the story's namespace.
    #[must_use]
    pub fn get(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["-n", self.namespace.as_str()];
        all.extend_from_slice(arguments);
        self.cluster.get(&all)
    }

    /// Applies manifests; `NAMESPACE` in them is replaced by the story's.
    pub fn apply(&self, yaml: &str) {
        self.cluster
            .apply(&yaml.replace("NAMESPACE", &self.namespace));
    }

    /// Makes a policy of one validation for this namespace, and waits until it is Ready.
    pub fn policy(&self, name: &str, expression: &str) {
        self.apply(&format!(
            r"
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicy
metadata: {{name: {name}-NAMESPACE}}
spec:
  severity: High
  validations:
  - expression: {}
    message: {name} is not allowed here
",
            Value::from(expression)
        ));
        self.cluster.wait(
            "condition=Ready",
            &[&format!("runtimepolicy/{name}-{}", self.namespace)],
        );
    }

    /// Binds a policy to this namespace. `more` is added to the spec, indented by two.
    pub fn bind(&self, policy: &str, actions: &str, more: &str) {
        self.apply(&format!(
            r"
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicyBinding
metadata: {{name: {policy}-NAMESPACE}}
spec:
  policyName: {policy}-NAMESPACE
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: NAMESPACE}}}}}}
  responseActions: {actions}
  {more}
"
        ));
        let name = format!("runtimepolicybinding/{policy}-{}", self.namespace);
        self.cluster.wait("condition=Ready", &[&name]);
    }

    /// The one pod that a label selects, Ready.
    #[must_use]
    pub fn ready_pod(&self, selector: &str) -> Value {
        self.wait("create", &["pod", "-l", selector]);
        self.wait("condition=Ready", &["pod", "-l", selector]);
        let pods = self.get(&["pods", "-l", selector]);
        pods["items"][0].clone()
    }

    /// Waits until a `PodDisruptionBudget` counts the one pod that it is about.
    pub fn budget_counts(&self, name: &str) {
        let budget = format!("poddisruptionbudget/{name}");
        self.wait("jsonpath={.status.expectedPods}=1", &[&budget]);
    }

    /// Runs a command in a pod once, as a person does. It may be cut off by an eviction.
    ///
    /// What did not begin, because a busy machine refused the connection, is tried again.
    #[must_use]
    pub fn exec(&self, pod: &Value, command: &[&str]) -> Output {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let mut all = vec!["-n", self.namespace.as_str(), "exec", name, "--"];
        all.extend_from_slice(command);
        let mut output = self.cluster.try_kubectl(&all);
        for _ in 1..ATTEMPTS {
            if output.success || !never_began(&output.stderr) {
                break;
            }
            std::thread::sleep(PAUSE);
            output = self.cluster.try_kubectl(&all);
        }
        output
    }

    /// Runs a command in a pod again and again until `is_so`: what a policy or a binding says reaches
    /// each sensor by a watch of its own, which nothing else tells of.
    pub fn exec_until(&self, pod: &Value, command: &[&str], mut is_so: impl FnMut() -> bool) {
        for _ in 0..ASKED {
            let _ran = self.exec(pod, command);
            if is_so() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        self.cluster.report(&["-n", &self.namespace]);
        let node = &pod["spec"]["nodeName"];
        panic!("{command:?} ran {ASKED} times on {node}, and what is waited for did not come");
    }

    /// Waits for an Event of a reason about an object of this name: it is written after the status of
    /// the Incident.
    pub fn event(&self, reason: &str, regarding: &str) {
        let fields = format!("reason={reason},regarding.name={regarding}");
        self.wait(
            "create",
            &["events.events.k8s.io", "--field-selector", &fields],
        );
    }

    /// The name of the Incident of a policy in a pod.
    #[must_use]
    pub fn incident_name(&self, pod: &Value, policy: &str) -> String {
        let policy = self
            .cluster
            .get(&["runtimepolicy", &format!("{policy}-{}", self.namespace)]);
        incident_name(
            pod["metadata"]["uid"].as_str().unwrap(),
            policy["metadata"]["uid"].as_str().unwrap(),
            pod["spec"]["nodeName"].as_str().unwrap(),
        )
    }

    /// Waits for an Incident about evaluation errors of a policy in this namespace; `incident/NAME`.
    ///
    /// Its name holds the hour, which can change while a story runs.
    #[must_use]
    pub fn evaluation_error(&self, policy: &Value) -> String {
        let name = policy["metadata"]["name"].as_str().unwrap();
        let selector = format!("bailiff.dev/policy={name}");
        self.wait("create", &["incident", "-l", &selector]);
        let found = self.get(&["incidents", "-l", &selector]);
        let items = found["items"].as_array().unwrap();
        let of_type = |i: &&Value| i["spec"]["type"] == "EvaluationFailed";
        let incident = items.iter().find(of_type).unwrap();
        format!(
            "incident/{}",
            incident["metadata"]["name"].as_str().unwrap()
        )
    }

    /// Waits for the Incident of a policy in a pod to have a condition with a reason; the Incident.
    #[must_use]
    pub fn incident(&self, pod: &Value, policy: &str, condition: &str, reason: &str) -> Value {
        let name = format!("incident/{}", self.incident_name(pod, policy));
        self.wait("create", &[&name]);
        self.wait(
            &format!("jsonpath={{.status.conditions[?(@.type==\"{condition}\")].reason}}={reason}"),
            &[&name],
        );
        self.get(&[&name])
    }

    /// Ends the story: what it made goes.
    pub fn end(self) {
        self.end_of_cluster_objects();
        let _deleted =
            self.cluster
                .kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }

    /// Removes the policies and bindings that the story made, and leaves its namespace.
    pub fn end_of_cluster_objects(&self) {
        for kind in ["runtimepolicybindings", "runtimepolicies"] {
            let names = self.cluster.kubectl(&["get", kind, "-o", "name"]);
            for name in names.lines().filter(|name| name.ends_with(&self.namespace)) {
                let _deleted = self.cluster.kubectl(&["delete", name]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::never_began;

    #[test]
    fn only_a_command_that_cannot_have_run_is_run_again() {
        for error in [
            "Error from server: error dialing backend: dial tcp 10.203.0.2:10250: connect: no route to host",
            "The connection to the server 10.203.0.1:6443 was refused: connect: connection refused",
            "Unable to connect to the server: net/http: TLS handshake timeout",
            "Unable to connect to the server: dial tcp 10.203.0.1:6443: i/o timeout",
        ] {
            assert!(never_began(error), "{error}");
        }
        for error in [
            "",
            "command terminated with exit code 137",
            "error: read tcp 10.203.0.1:44444->10.203.0.1:6443: i/o timeout",
            "Error from server: unexpected EOF",
        ] {
            assert!(!never_began(error), "{error}");
        }
    }
}
