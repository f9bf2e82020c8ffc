//! The alerts of the chart.
//!
//! Here: their rules, evaluated by Prometheus' own tool, and their runbook. Not here: the metrics (each
//! component).
//! Invariant: each alert has a test in `alerts.yaml` and a section in `docs/runbook.md`.

use crate::{bailiff, root};
use std::process::Command;

#[test]
fn alerts_fire_when_they_should_and_have_a_runbook() {
    let values = [
        "--set",
        "prometheusRule.enabled=true,prometheusRule.labels.release=main",
    ];
    let objects = bailiff(&values).unwrap();
    let rule = &objects["PrometheusRule/bailiff"];
    assert_eq!(rule["metadata"]["labels"]["release"], "main");

    let runbook = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let tests =
        std::fs::read_to_string(root().join("crates/testing/tests/charts/alerts.yaml")).unwrap();
    let rules = rule["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 19);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(runbook.contains(&format!("\n## {name}\n")), "{name}");
        assert!(tests.contains(&format!("alertname: {name}")), "{name}");
        let annotations = &rule["annotations"];
        for annotation in ["summary", "description"] {
            assert!(annotations[annotation].is_string(), "{name}: {annotation}");
        }
        assert_eq!(
            annotations["runbook_url"],
            format!("https://bailiff.dev/docs/runbook#{}", name.to_lowercase())
        );
    }

    // Prometheus' own tool has the last word: syntax, and when each alert fires.
    let output = Command::new(root().join("hack/promtool.sh"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let promtool = String::from_utf8(output.stdout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let written = serde_yaml_ng::to_string(&rule["spec"]).unwrap();
    std::fs::write(folder.path().join("rules.yaml"), written).unwrap();
    std::fs::write(folder.path().join("alerts.yaml"), tests).unwrap();
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "alerts.yaml"],
    ] {
        let output = Command::new(promtool.trim())
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
