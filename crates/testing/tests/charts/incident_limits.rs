//! The `ConfigMap` of the limits on Incidents: without data, and accessible by name alone.
//!
//! Here: what is rendered. Not here: what the limits do (`e2e/tests/limits.rs`).
//! Invariant: no permission on `ConfigMaps` is without a name.

use super::render;
use serde_json::{Value, json};

/// Every object of the chart, also those of one name in several namespaces.
fn rendered() -> Vec<Value> {
    let output = render("bailiff", &["-n", "security"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_yaml_ng::Deserializer::from_slice(&output.stdout)
        .map(|document| <Value as serde::Deserialize>::deserialize(document).unwrap())
        .collect()
}

#[test]
fn the_chart_writes_no_data_of_the_limits() {
    let objects = rendered();
    let is = |object: &&Value| {
        object["kind"] == "ConfigMap" && object["metadata"]["name"] == "bailiff-incident-limits"
    };
    let config_map = objects.iter().find(is).unwrap();
    assert_eq!(config_map["metadata"]["namespace"], "security");
    assert!(config_map["data"].is_null(), "{config_map}");
}

#[test]
fn only_the_controller_writes_the_limits_and_sensors_read_them_by_name() {
    let objects = rendered();
    let mut found: Vec<(String, String, Value)> = Vec::new();
    for binding in &objects {
        let kind = binding["kind"].as_str().unwrap_or_default();
        if kind != "RoleBinding" && kind != "ClusterRoleBinding" {
            continue;
        }
        let role = objects.iter().find(|role| {
            role["kind"] == binding["roleRef"]["kind"]
                && role["metadata"]["name"] == binding["roleRef"]["name"]
                && role["metadata"]["namespace"] == binding["metadata"]["namespace"]
        });
        let rules = role.unwrap()["rules"].as_array().unwrap().clone();
        for rule in rules {
            let resources = rule["resources"].as_array().unwrap();
            if resources.iter().any(|r| r == "configmaps" || r == "*") {
                assert_eq!(binding["metadata"]["namespace"], "security", "{binding}");
                let account = binding["subjects"][0]["name"].as_str().unwrap();
                let names = rule["resourceNames"].clone();
                let of_limits = names.as_array().is_some_and(|names| {
                    names.iter().any(|name| name == "bailiff-incident-limits")
                });
                // Every rule is about names.
                assert!(names.is_array(), "{account}: {rule}");
                if of_limits {
                    found.push((account.to_owned(), names.to_string(), rule["verbs"].clone()));
                }
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let name = r#"["bailiff-incident-limits"]"#.to_owned();
    let of_status =
        r#"["bailiff-response","bailiff-incident-limits","bailiff-registries"]"#.to_owned();
    assert_eq!(
        found,
        [
            (
                "bailiff-controller".to_owned(),
                name.clone(),
                json!(["patch"])
            ),
            ("bailiff-sensor".to_owned(), name, json!(["list", "watch"])),
            ("bailiff-status".to_owned(), of_status, json!(["get"])),
        ]
    );
}
