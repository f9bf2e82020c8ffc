//! What the charts hold that is made from the source is as the source makes it now, and the
//! library's chart renders what its values ask for.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn what_the_charts_hold_is_made_from_this_source() {
    let made = tempfile::tempdir().unwrap();
    let output = Command::new(root().join("charts/generate.sh"))
        .arg(made.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let fresh = files(made.path());
    assert_eq!(fresh.len(), 9, "{:?}", fresh.keys());
    for (name, want) in &fresh {
        let path = root().join("charts").join(name);
        let have = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(have == *want, "charts/{name} is stale: run `make generate`");
    }
    // What is no longer made must not stay.
    for folder in ["bailiff/templates/crds", "bailiff-policies/policies"] {
        for name in files(&root().join("charts").join(folder)).keys() {
            let name = format!("{folder}/{name}");
            assert!(fresh.contains_key(&name), "charts/{name} is made by nobody");
        }
    }
}

#[test]
fn durations_of_the_lease_that_contradict_each_other_are_refused() {
    let render = |renew: &str, duration: &str, retry: &str| {
        let set = format!(
            "controller.leaseRenewDeadline={renew},controller.leaseDuration={duration},controller.leaseRetry={retry}"
        );
        let output = render("bailiff", &["--set", &set]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    for (renew, duration, retry) in [
        ("10s", "15s", "2s"),
        ("1499ms", "1500ms", "500ms"),
        ("59m", "1h 30m", "1m"),
    ] {
        let (rendered, said) = render(renew, duration, retry);
        assert!(rendered, "{renew} {duration} {retry}: {said}");
    }
    for (renew, duration, retry, want) in [
        (
            "15s",
            "15s",
            "2s",
            "controller.leaseRenewDeadline (15s) must be less than controller.leaseDuration (15s), or two replicas could lead at once",
        ),
        (
            "1501ms",
            "1500ms",
            "2ms",
            "controller.leaseRenewDeadline (1501ms) must be less than",
        ),
        (
            "10s",
            "1m",
            "10s",
            "controller.leaseRetry (10s) must be less than controller.leaseRenewDeadline (10s), or a leader gives up before it tries again",
        ),
    ] {
        let (rendered, said) = render(renew, duration, retry);
        assert!(!rendered && said.contains(want), "{said}");
    }
}

fn policies(values: &[&str]) -> Output {
    render("bailiff-policies", values)
}

fn render(chart: &str, values: &[&str]) -> Output {
    Command::new("helm")
        .args(["template", chart])
        .arg(format!("charts/{chart}"))
        .args(values)
        .current_dir(root())
        .output()
        .unwrap()
}

#[test]
fn the_library_renders_what_its_values_ask_for() {
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let all = text(&policies(&[]));
    assert_eq!(all.matches("kind: RuntimePolicy").count(), 5, "{all}");
    assert_eq!(all.matches("- kube-system").count(), 5, "{all}");
    assert!(!all.contains("RuntimePolicyBinding"), "{all}");

    let fewer = text(&policies(&["--set", "exclude={no-cryptominers}"]));
    assert_eq!(fewer.matches("kind: RuntimePolicy").count(), 4, "{fewer}");
    assert!(!fewer.contains("no-cryptominers"), "{fewer}");

    let everywhere = text(&policies(&["--set-json", "excludedNamespaces=[]"]));
    assert!(!everywhere.contains("matchConstraints"), "{everywhere}");

    let typo = policies(&["--set", "exclude={no-miners}"]);
    assert!(!typo.status.success());
    let said = String::from_utf8_lossy(&typo.stderr);
    assert!(
        said.contains("exclude names the policy no-miners, which is not in this chart; there are:"),
        "{said}"
    );
}

/// What the chart of Bailiff renders: its documents by kind and name, or what helm says.
fn bailiff(values: &[&str]) -> Result<BTreeMap<String, serde_json::Value>, String> {
    let output = Command::new("helm")
        .args(["template", "bailiff", "charts/bailiff", "-n", "security"])
        .args(values)
        .current_dir(root())
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut found = BTreeMap::new();
    for document in serde_yaml_ng::Deserializer::from_slice(&output.stdout) {
        let object = <serde_json::Value as serde::Deserialize>::deserialize(document).unwrap();
        if let (Some(kind), Some(name)) =
            (object["kind"].as_str(), object["metadata"]["name"].as_str())
        {
            found.insert(format!("{kind}/{name}"), object.clone());
        }
    }
    Ok(found)
}

const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
fn the_chart_renders_what_its_values_ask_for() {
    let default = bailiff(&[]).unwrap();
    let has =
        |objects: &BTreeMap<String, serde_json::Value>, name: &str| objects.contains_key(name);
    for name in [
        "CustomResourceDefinition/incidents.bailiff.dev",
        "PodDisruptionBudget/bailiff-controller",
        "NetworkPolicy/bailiff-sensor",
        "PriorityClass/bailiff-sensor",
        "ValidatingAdmissionPolicy/bailiff-incident-protection",
        "ValidatingAdmissionPolicyBinding/bailiff-incident-protection",
    ] {
        assert!(has(&default, name), "{name}: {:?}", default.keys());
    }
    assert!(!default.keys().any(|name| name.starts_with("PodMonitor")));
    for (kind, component) in [("Deployment", "controller"), ("DaemonSet", "sensor")] {
        let class = &default[&format!("{kind}/bailiff-{component}")]["spec"]["template"]["spec"];
        assert_eq!(class["priorityClassName"], format!("bailiff-{component}"));
    }

    let digest = format!("sha256:{}", "0".repeat(64));
    let image = format!("image.digest={digest}");
    let changed = bailiff(&[
        "--set",
        "podMonitor.enabled=true,controller.replicas=1,crds.enabled=false",
        "--set",
        "networkPolicy.enabled=false,priorityClasses.create=false,sensor.priorityClassName=mine",
        "--set",
        &image,
    ])
    .unwrap();
    for name in [
        "CustomResourceDefinition/incidents.bailiff.dev",
        "PodDisruptionBudget/bailiff-controller",
        "NetworkPolicy/bailiff-sensor",
        "PriorityClass/bailiff-sensor",
    ] {
        assert!(!has(&changed, name), "{name}");
    }
    assert!(has(&changed, "PodMonitor/bailiff-sensor"));
    let sensor = &changed["DaemonSet/bailiff-sensor"];
    let container = sensor.pointer(CONTAINER).unwrap();
    assert_eq!(container["image"], format!("bailiff.dev/bailiff@{digest}"));
    assert_eq!(
        sensor["spec"]["template"]["spec"]["priorityClassName"],
        "mine"
    );
    let controller = &changed["Deployment/bailiff-controller"];
    assert!(controller["spec"]["template"]["spec"]["priorityClassName"].is_null());
}

/// The sensor's rights are those that docs/operating.md and the design name, and no more.
#[test]
fn the_sensor_runs_with_two_capabilities_and_sees_nothing_of_the_node() {
    let objects = bailiff(&[]).unwrap();
    let sensor = &objects["DaemonSet/bailiff-sensor"];
    let context = &sensor.pointer(CONTAINER).unwrap()["securityContext"];
    assert_eq!(
        *context,
        serde_json::json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
            "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        })
    );
    let pod = &sensor["spec"]["template"]["spec"];
    for absent in ["hostPID", "hostNetwork", "hostIPC", "volumes"] {
        assert!(pod[absent].is_null(), "{absent}");
    }
}

#[test]
fn a_value_that_is_not_known_or_makes_no_sense_is_refused_with_its_name() {
    for (value, words) in [
        ("sensor.ringByte=1", "ringByte"),
        ("sensor.ringBufferBytes=5000", "ringBufferBytes"),
        ("controller.leaseDuration=soon", "leaseDuration"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("priorityClasses.value=5", "value"),
    ] {
        let said = bailiff(&["--set", value]).unwrap_err();
        assert!(said.contains(words), "{value}: {said}");
    }
}
