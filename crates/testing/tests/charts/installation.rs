//! Installing the chart: under any name, by any tool, on the oldest release of Kubernetes.
//!
//! Here: what a cluster or a `GitOps` tool makes of the rendered objects. Not here: values (`values`), a
//! cluster (`e2e/tests/lifecycle`).
//! Invariant: an install that would work is not rejected, and rendering twice gives the same.

use crate::{bailiff, root};
use std::process::Command;

/// Helm and `GitOps` tools change only the fields that a chart renders, so the operator's key must not
/// be among them. What replaces the object is denied by a policy instead, which `e2e` tests.
#[test]
fn the_chart_sets_only_the_default_of_the_switch() {
    let data =
        |values: &[&str]| bailiff(values).unwrap()["ConfigMap/bailiff-response"]["data"].clone();
    assert_eq!(data(&[]), serde_json::json!({"defaultMode": "Enforce"}));
    assert_eq!(
        data(&["--set", "response.mode=Audit"]),
        serde_json::json!({"defaultMode": "Audit"})
    );
}

#[test]
fn the_requests_of_each_component_have_a_priority_level() {
    let objects = bailiff(&[]).unwrap();
    // What Kubernetes configures by default: the schema service-accounts has 9000.
    for (name, level, account, precedence) in [
        ("bailiff-sensor", "bailiff-sensor", "bailiff-sensor", 1000),
        (
            "bailiff-controller",
            "bailiff-controller",
            "bailiff-controller",
            1000,
        ),
        (
            "bailiff-leader-election",
            "leader-election",
            "bailiff-controller",
            200,
        ),
    ] {
        let schema = &objects[&format!("FlowSchema/{name}")];
        assert_eq!(schema["apiVersion"], "flowcontrol.apiserver.k8s.io/v1");
        let spec = &schema["spec"];
        assert_eq!(spec["priorityLevelConfiguration"]["name"], level);
        assert_eq!(spec["matchingPrecedence"], precedence);
        assert_eq!(
            spec["rules"][0]["subjects"],
            serde_json::json!([{
                "kind": "ServiceAccount",
                "serviceAccount": {"name": account, "namespace": "security"},
            }])
        );
        let rule = &spec["rules"][0]["resourceRules"][0];
        let leases = rule["resources"][0] == "leases";
        assert_eq!(leases, name == "bailiff-leader-election");
    }
    // All sensors have one account, so that their user does not tell them apart.
    let sensor = &objects["FlowSchema/bailiff-sensor"]["spec"];
    assert_eq!(sensor["distinguisherMethod"]["type"], "ByNamespace");
    let limited = |name: &str| {
        objects[&format!("PriorityLevelConfiguration/{name}")]["spec"]["limited"].clone()
    };
    assert_eq!(limited("bailiff-sensor")["borrowingLimitPercent"], 100);
    for name in ["bailiff-sensor", "bailiff-controller"] {
        assert_eq!(limited(name)["nominalConcurrencyShares"], 10, "{name}");
        assert_eq!(limited(name)["limitResponse"]["type"], "Queue", "{name}");
    }
}

#[test]
fn a_controller_that_is_not_ready_blocks_no_drain() {
    let objects = bailiff(&[]).unwrap();
    let spec = &objects["PodDisruptionBudget/bailiff-controller"]["spec"];
    assert_eq!(spec["minAvailable"], 1);
    assert_eq!(spec["unhealthyPodEvictionPolicy"], "AlwaysAllow");
}

/// A `GitOps` tool compares what a chart renders with what the API server returns: what Kubernetes 1.30
/// drops, or what changes from one rendering to the next, would differ for ever.
#[test]
fn kubernetes_1_30_keeps_what_the_chart_renders() {
    let values = [
        "--kube-version",
        "1.30",
        "--set",
        "podMonitor.enabled=true,prometheusRule.enabled=true",
    ];
    let objects = bailiff(&values).unwrap();
    assert_eq!(objects, bailiff(&values).unwrap());
    for (name, object) in &objects {
        // On by default since 1.31.
        assert!(!object.to_string().contains("selectableFields"), "{name}");
        assert!(object["status"].is_null(), "{name}");
    }
    let refused = bailiff(&["--kube-version", "1.29"]).unwrap_err();
    assert!(refused.contains("1.30"), "{refused}");
}

/// The names of the objects are fixed, so any release name works: Helm itself rejects a second release
/// in the cluster.
#[test]
fn the_release_can_have_any_name() {
    let output = Command::new("helm")
        .args(["template", "security-bailiff", "charts/bailiff"])
        .current_dir(root())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

/// Helm passes a dependency the values under its name, and by convention the condition `enabled` is one of
/// them.
#[test]
fn the_charts_can_be_dependencies_that_a_condition_switches() {
    let folder = tempfile::tempdir().unwrap();
    let charts = folder.path().join("charts");
    std::fs::create_dir(&charts).unwrap();
    let mut dependencies = String::new();
    for name in ["bailiff", "bailiff-policies"] {
        let chart = root().join("charts").join(name);
        let chart = chart.canonicalize().unwrap();
        std::os::unix::fs::symlink(chart, charts.join(name)).unwrap();
        let dependency = format!("- {{name: {name}, version: '*', condition: {name}.enabled}}\n");
        dependencies.push_str(&dependency);
    }
    let about =
        format!("apiVersion: v2\nname: parent\nversion: 1.0.0\ndependencies:\n{dependencies}");
    std::fs::write(folder.path().join("Chart.yaml"), about).unwrap();
    let rendered = |policies: bool| {
        let values = format!("bailiff.enabled=true,bailiff-policies.enabled={policies},global.a=b");
        let output = Command::new("helm")
            .args(["template", "parent", "--set", &values])
            .arg(folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (both, one) = (rendered(true), rendered(false));
    for text in [&both, &one] {
        assert!(text.contains("\nkind: DaemonSet\n"), "{text}");
    }
    assert!(both.contains("\nkind: RuntimePolicy\n"), "{both}");
    assert!(!one.contains("\nkind: RuntimePolicy\n"), "{one}");
}
