//! The schema as the API server will see it, and the laws of names and sizes.

use crate::*;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::CustomResourceExt as _;
use std::collections::BTreeSet;

/// Calls `visit` with the path of every property below `schema`.
fn walk(path: &str, schema: &JSONSchemaProps, visit: &mut dyn FnMut(&str, &JSONSchemaProps)) {
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        visit(&path, property);
        walk(&path, property, visit);
    }
    if let Some(items) = &schema.items {
        let json = serde_json::to_value(items).unwrap();
        if let Ok(items) = serde_json::from_value::<JSONSchemaProps>(json) {
            walk(&format!("{path}[]"), &items, visit);
        }
    }
}

fn root(
    crd: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
) -> JSONSchemaProps {
    crd.spec.versions[0]
        .schema
        .clone()
        .unwrap()
        .open_api_v3_schema
        .unwrap()
}

#[test]
fn every_field_is_documented() {
    let mut missing = Vec::new();
    for crd in crds() {
        let root = root(&crd);
        for part in ["spec", "status"] {
            let properties = root.properties.as_ref().unwrap();
            walk(
                &format!("{}.{part}", crd.spec.names.kind),
                &properties[part],
                &mut |path, property| {
                    if property
                        .description
                        .as_deref()
                        .is_none_or(|text| text.trim().is_empty())
                    {
                        missing.push(path.to_owned());
                    }
                },
            );
        }
    }
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "`kubectl explain` has nothing to say about these"
    );
}

#[test]
fn label_selectors_are_merged_as_a_whole_as_in_kubernetes() {
    let mut selectors = Vec::new();
    for crd in crds() {
        walk(&crd.spec.names.kind, &root(&crd), &mut |path, property| {
            if path.ends_with("Selector") {
                selectors.push((path.to_owned(), property.x_kubernetes_map_type.clone()));
            }
        });
    }
    let want: Vec<_> = [
        "ImageAdmissionPolicy.spec.matchConstraints",
        "ImageAdmissionPolicyBinding.spec.matchResources",
        "RuntimePolicy.spec.matchConstraints",
        "RuntimePolicyBinding.spec.matchResources",
    ]
    .iter()
    .flat_map(|of| ["namespaceSelector", "objectSelector"].map(|name| format!("{of}.{name}")))
    .map(|path| (path, Some("atomic".to_owned())))
    .collect();
    assert_eq!(selectors, want);
}

#[test]
fn kinds_have_short_names_a_category_and_columns() {
    for (crd, short) in crds().iter().zip(["iap", "iapb", "inc", "rtp", "rtpb"]) {
        let names = &crd.spec.names;
        assert_eq!(
            names.short_names.as_deref(),
            Some(&[short.to_owned()][..]),
            "{}",
            names.kind
        );
        assert_eq!(
            names.categories.as_deref(),
            Some(&["bailiff".to_owned()][..]),
            "{}",
            names.kind
        );
        let columns = crd.spec.versions[0]
            .additional_printer_columns
            .as_ref()
            .unwrap();
        assert!(
            columns.len() >= 4 && columns.last().unwrap().name == "Age",
            "{}",
            names.kind
        );
        assert!(
            columns.iter().all(|c| c.json_path.starts_with('.')),
            "{}",
            names.kind
        );
    }
}

#[test]
fn a_list_of_bindings_shows_those_that_are_paused() {
    let crd = RuntimePolicyBinding::crd();
    let columns = crd.spec.versions[0].additional_printer_columns.iter();
    let columns: Vec<_> = columns
        .flatten()
        .map(|c| (c.name.as_str(), c.json_path.as_str()))
        .collect();
    let paused = ("Paused", ".status.conditions[?(@.type=='Paused')].status");
    assert!(columns.contains(&paused), "{columns:?}");
}

#[test]
fn defaults_stand_in_the_schema() {
    let policy = serde_json::to_value(RuntimePolicy::crd()).unwrap();
    let spec = &policy["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    assert_eq!(spec["severity"]["default"], "Medium");
    assert_eq!(spec["failurePolicy"]["default"], "Fail");
    let binding = serde_json::to_value(RuntimePolicyBinding::crd()).unwrap();
    let spec = &binding["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let guardrails = &spec["guardrails"]["properties"];
    assert_eq!(guardrails["cooldownPeriodSeconds"]["default"], 60);
    assert_eq!(guardrails["maxEvictionsPerMinute"]["default"], 10);
    assert_eq!(guardrails["unmanagedPodPolicy"]["default"], "Skip");
    assert_eq!(guardrails["evictionDeadlineSeconds"]["default"], 600);
}

#[test]
fn an_incidents_evidence_can_not_be_changed() {
    let incident = serde_json::to_value(Incident::crd()).unwrap();
    let spec = &incident["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(
        spec["x-kubernetes-validations"][0]["rule"],
        "self == oldSelf"
    );
}

#[test]
fn an_incidents_name_is_made_of_pod_policy_and_node_alone() {
    let name = incident_name("6f1c", "a0b1", "node-1");
    assert_eq!(name, incident_name("6f1c", "a0b1", "node-1"));
    let digest = name.strip_prefix("inc-").unwrap();
    let digest = digest.strip_suffix("-node-1").unwrap();
    assert_eq!(digest.len(), 16);
    assert!(digest.chars().all(|c| c.is_ascii_hexdigit()));
    let others = [
        ("6f1", "ca0b1"),
        ("6f1ca", "0b1"),
        ("6f1d", "a0b1"),
        ("6f1c", "a0b2"),
        ("a0b1", "6f1c"),
    ];
    let names: BTreeSet<_> = others
        .iter()
        .map(|(pod, policy)| incident_name(pod, policy, "node-1"))
        .collect();
    assert_eq!(names.len(), others.len());
    assert!(!names.contains(&name));
}

#[test]
fn evaluation_errors_have_a_name_for_each_generation_and_hour() {
    let name = evaluation_error_name("a0b1", 3, 490_000, "node-1");
    let digest = name.strip_prefix("inc-evaluation-failed-").unwrap();
    assert_eq!(digest.strip_suffix("-node-1").unwrap().len(), 16);
    for (uid, generation, hour) in [
        ("a0b2", 3, 490_000),
        ("a0b1", 4, 490_000),
        ("a0b1", 3, 490_001),
    ] {
        assert_ne!(name, evaluation_error_name(uid, generation, hour, "node-1"));
    }
}

#[test]
fn what_was_found_running_shares_no_name_with_a_violation() {
    let name = found_running_name("6f1c", "a0b1", "node-1");
    let violation = incident_name("6f1c", "a0b1", "node-1");
    let digest = violation.strip_prefix("inc-").unwrap();
    assert_eq!(name, format!("inc-found-running-{digest}"));
}

#[test]
fn the_longest_name_of_a_node_leaves_a_name_that_kubernetes_takes() {
    assert_eq!(name_suffix("ip-10-0-0-1.internal"), "-ip-10-0-0-1.internal");
    // 253 bytes, with a point where it is cut.
    let node = format!("{}.{}", "a".repeat(53), "b".repeat(199));
    let name = evaluation_error_name("a0b1", i64::MAX, i64::MAX, &node);
    assert!(name.len() <= 253, "{}", name.len());
    assert!(name.ends_with(&format!("-x.{}", "b".repeat(199))), "{name}");
}

#[test]
fn a_policy_written_as_in_the_documentation_is_read() {
    let policy: RuntimePolicy = serde_yaml_ng::from_str(
        r"
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicy
metadata: {name: no-shells-through-exec}
spec:
  validations:
  - expression: process.origin != 'Exec'
",
    )
    .unwrap();
    assert_eq!(policy.spec.severity, Severity::Medium);
    assert_eq!(policy.spec.failure_policy, FailurePolicy::Fail);
    assert_eq!(policy.spec.match_constraints, MatchResources::default());
    let binding: RuntimePolicyBinding = serde_yaml_ng::from_str(
        "{apiVersion: bailiff.dev/v1alpha1, kind: RuntimePolicyBinding, metadata: {name: b}, spec: {policyName: p, responseActions: [Evict]}}",
    )
    .unwrap();
    assert_eq!(binding.spec.guardrails, Guardrails::default());
    assert_eq!(binding.spec.grace_period_seconds, None);
}

#[test]
fn a_policy_for_images_written_as_in_the_documentation_is_read() {
    let policy: ImageAdmissionPolicy = serde_yaml_ng::from_str(
        r"
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicy
metadata: {name: our-registry}
spec:
  allowedRepositories: [registry.example.com/**]
  digest: {required: true}
",
    )
    .unwrap();
    assert_eq!(policy.spec.match_constraints, MatchResources::default());
    assert_eq!(policy.spec.match_images, MatchImages::default());
    let digest = policy.spec.digest.unwrap();
    assert!(digest.required && !digest.pin && digest.verifies_repository());
    assert_eq!(policy.spec.on_error, Unchecked::Deny);
    let binding: ImageAdmissionPolicyBinding = serde_yaml_ng::from_str(
        "{apiVersion: bailiff.dev/v1alpha1, kind: ImageAdmissionPolicyBinding, metadata: {name: b}, spec: {policyName: our-registry, validationActions: [Audit, Deny]}}",
    )
    .unwrap();
    let actions = [ValidationAction::Audit, ValidationAction::Deny];
    assert_eq!(binding.spec.validation_actions, actions);
}
