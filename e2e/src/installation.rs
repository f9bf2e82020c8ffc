//! Bailiff on the cluster, installed as a user would: by its chart.
//!
//! Here: namespace, `helm upgrade --install`, waiting until both components are ready. Not here:
//! loading the image into the nodes (`hack/e2e.sh`).
//! Invariant: what a story finds is the chart's defaults with the times of a test, and with what its test
//! program adds.

use crate::cluster::{Cluster, Output, run};
use crate::registry::pull_secret;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::OnceLock;

/// The namespace that Bailiff is installed in.
pub const NAMESPACE: &str = "bailiff-system";

/// The Secret in [`NAMESPACE`] with the account of the private registry.
const PULL_SECRET: &str = "private-registry";

/// The repositories of the private registry, below a story's namespace, for which Bailiff has the account.
pub const SHARED: &str = "shared";

static INSTALLED: OnceLock<()> = OnceLock::new();

/// Arguments of `helm` that this test program adds.
static OWN: OnceLock<Vec<String>> = OnceLock::new();

/// Runs helm on the cluster of the tests.
#[must_use]
pub fn helm(cluster: &Cluster, arguments: &[&str]) -> Output {
    run(cluster.command("helm").args(arguments), None)
}

/// The folder of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Arguments of `helm` that install the chart with the times of a test.
#[must_use]
pub fn install_arguments() -> Vec<String> {
    let chart = root().join("charts/bailiff");
    let mut arguments: Vec<String> = ["upgrade", "--install", "bailiff"]
        .iter()
        .map(ToString::to_string)
        .collect();
    arguments.push(chart.display().to_string());
    for argument in ["--namespace", NAMESPACE, "--wait", "--timeout", "600s"] {
        arguments.push(argument.to_owned());
    }
    arguments.push("--values".to_owned());
    arguments.push(root().join("e2e/values.yaml").display().to_string());
    arguments.push("--set-json".to_owned());
    arguments.push(format!("registries={}", registries(None)));
    // What is set last counts.
    arguments.extend(OWN.get().into_iter().flatten().cloned());
    arguments
}

/// Installs Bailiff with more arguments of `helm` for all stories of this test program, each of which calls
/// this before it begins.
pub fn install_with(arguments: impl FnOnce() -> Vec<String>) {
    let _arguments = OWN.get_or_init(arguments);
}

/// The value `registries`: those of the test cluster, whose certificates are signed with its own authority.
/// `selector` selects the namespaces that use the account of the private one; none: all do.
#[must_use]
pub fn registries(selector: Option<&Value>) -> Value {
    let cluster = bailiff_testbed::Cluster::running().unwrap();
    let (open, private) = (cluster.registry(), cluster.private_registry());
    let (open, private) = (open.unwrap(), private.unwrap());
    let mut credential = json!({
        "secret": PULL_SECRET,
        "repositories": [format!("{}/*/{SHARED}", private.host())],
    });
    if let Some(selector) = selector {
        credential["namespaceSelector"] = selector.clone();
    }
    json!({
        open.host(): {"caBundle": open.ca_bundle()},
        private.host(): {"caBundle": private.ca_bundle(), "credentials": [credential]},
    })
}

/// `helm upgrade --install` with more arguments, which must succeed; what helm printed.
pub fn upgrade(cluster: &Cluster, more: &[&str]) -> String {
    let arguments = install_arguments();
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.extend_from_slice(more);
    let Output {
        success,
        stdout,
        stderr,
    } = helm(cluster, &arguments);
    assert!(success, "{stdout}{stderr}");
    format!("{stdout}{stderr}")
}

/// Creates the namespace that Bailiff is installed in, with the account of the private registry.
pub fn create_namespace(cluster: &Cluster) {
    cluster.apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}, labels: {{pod-security.kubernetes.io/enforce: privileged}}}}}}"
    ));
    cluster.apply(&pull_secret(PULL_SECRET, NAMESPACE));
}

/// Installs Bailiff once for each run of a test program, and waits until it is ready.
pub fn ensure_installed(cluster: &Cluster) {
    INSTALLED.get_or_init(|| {
        create_namespace(cluster);
        let arguments = install_arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = helm(cluster, &arguments);
        if !output.success {
            cluster.report(&[]);
            panic!(
                "helm {}\n{}{}",
                arguments.join(" "),
                output.stdout,
                output.stderr
            );
        }
    });
}
