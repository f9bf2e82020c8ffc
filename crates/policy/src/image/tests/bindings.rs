//! Which policies apply to a pod, and which registries they name.

use super::*;
use std::collections::BTreeMap;
use std::sync::Arc;

#[test]
fn a_policy_applies_once_with_the_strongest_action_and_by_the_labels_of_either_version() {
    let policies = BTreeMap::from([(
        "our-registry".to_owned(),
        Arc::new(compiled(&json!({"digest": {"pin": true}}))),
    )]);
    let binding = |selector: Json, actions: Json| {
        let binding: ImageAdmissionPolicyBinding = serde_json::from_value(json!({
            "metadata": {"name": "b"},
            "spec": {"policyName": "our-registry", "matchResources": selector, "validationActions": actions},
        }))
        .unwrap();
        compile_binding(&binding).unwrap()
    };
    let bindings = [
        binding(json!({}), json!(["Warn"])),
        binding(
            json!({"objectSelector": {"matchLabels": {"tier": "web"}}}),
            json!(["Deny", "Audit"]),
        ),
    ];
    let (none, web) = (
        BTreeMap::new(),
        BTreeMap::from([("tier".to_owned(), "web".to_owned())]),
    );
    let of = |pod, old, mode| {
        let labels = PodLabels {
            namespace: &none,
            pod,
            old,
        };
        bound(&policies, &bindings, &labels, mode)
            .iter()
            .map(|bound| (bound.actions.deny, bound.actions.warn, bound.actions.audit))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&none, None, Mode::Enforce), [(false, true, false)]);
    assert_eq!(of(&web, None, Mode::Enforce), [(true, false, true)]);
    assert_eq!(of(&none, Some(&web), Mode::Enforce), [(true, false, true)]);
    assert_eq!(of(&web, None, Mode::Audit), [(false, false, true)]);
}

#[test]
fn a_policy_applies_once_in_whatever_order_its_bindings_come() {
    let policies = ["b", "a", "c"].map(|name| {
        let spec = json!({"allowedRepositories": ["ghcr.io/acme/**"]});
        let mut source = source(&spec);
        source.metadata.name = Some(name.to_owned());
        (name.to_owned(), Arc::new(compile(&source).unwrap()))
    });
    let policies = BTreeMap::from(policies);
    let bindings = [
        ("b", "Warn"),
        ("a", "Audit"),
        ("b", "Deny"),
        ("gone", "Deny"),
        ("b", "Audit"),
    ];
    let bindings = bindings.map(|(policy, action)| {
        let binding = json!({"metadata": {"name": "x"},
            "spec": {"policyName": policy, "matchResources": {}, "validationActions": [action]}});
        compile_binding(&serde_json::from_value(binding).unwrap()).unwrap()
    });
    let none = BTreeMap::new();
    let labels = PodLabels {
        namespace: &none,
        pod: &none,
        old: None,
    };
    let of = |bound: Vec<BoundPolicy<'_>>| {
        let of = |bound: BoundPolicy<'_>| (bound.policy.name.clone(), bound.actions);
        bound.into_iter().map(of).collect::<Vec<_>>()
    };
    let audit = Actions {
        audit: true,
        ..Actions::default()
    };
    let want = [
        ("a".to_owned(), audit),
        (
            "b".to_owned(),
            Actions {
                deny: true,
                ..audit
            },
        ),
    ];
    let found = bound(&policies, &bindings, &labels, Mode::Enforce);
    assert_eq!(of(found), want);
    let found = bound(&policies, bindings.iter().rev(), &labels, Mode::Enforce);
    assert_eq!(of(found), want);
}

#[test]
fn a_policy_names_the_registries_whose_hosts_it_allows_literally() {
    let policy = compiled(&json!({"allowedRepositories": [
        "quay.io:443/acme/web", "ghcr.io/acme/**", "*.example.com/acme", "ghcr.io/other/*"]}));
    let named: Vec<_> = policy.allowed_registries().collect();
    assert_eq!(named, ["ghcr.io", "quay.io:443"]);
    for (registry, is_named) in [
        ("ghcr.io", true),
        ("quay.io:443", true),
        ("quay.io", false),
        ("a.example.com", false),
        ("", false),
    ] {
        assert_eq!(policy.names_registry(registry), is_named, "{registry}");
    }
}
