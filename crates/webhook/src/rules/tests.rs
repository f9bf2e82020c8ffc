use super::*;
use bailiff_policy::image::Actions;
use serde_json::{Value as Json, json};

fn policy(uid: &str, patterns: &Json) -> Vec<u8> {
    json!({"metadata": {"name": "p", "uid": uid}, "spec": {"allowedRepositories": patterns}})
        .to_string()
        .into_bytes()
}

fn binding(name: &str, actions: &Json) -> Vec<u8> {
    let spec = json!({"policyName": "p", "validationActions": actions,
        "matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}});
    json!({"metadata": {"name": name, "uid": name}, "spec": spec})
        .to_string()
        .into_bytes()
}

/// The first registry that the policy in force allows, and the actions, in a namespace with a label.
fn in_force(rules: &Rules) -> Option<(String, Actions)> {
    let snapshot = rules.snapshot();
    let labels: Labels = [("a".to_owned(), "b".to_owned())].into();
    let bound = snapshot.bound(&PodLabels {
        namespace: &labels,
        pod: &Labels::new(),
        old: None,
    });
    let other = snapshot.possibly_bound(Some(&Labels::new()));
    assert!(other.is_empty(), "{other:?}");
    assert_eq!(snapshot.possibly_bound(None).is_empty(), bound.is_empty());
    let bound = bound.first()?;
    let registry = bound.policy.allowed_registries().next()?.to_owned();
    Some((registry, bound.actions))
}

fn listed(rules: &Rules, policies: Vec<Vec<u8>>) {
    rules.policy(&ObjectEvent::Listing);
    for policy in policies {
        rules.policy(&ObjectEvent::Listed(policy));
    }
    rules.policy(&ObjectEvent::Complete);
}

fn registry(rules: &Rules) -> Option<String> {
    in_force(rules).map(|(registry, _)| registry)
}

#[test]
fn a_policy_that_cannot_be_used_leaves_the_generation_before_in_force() {
    let rules = Rules::new(Mode::Enforce, Metrics::default());
    let bad = json!(["not a pattern"]);
    listed(&rules, vec![policy("1", &bad)]);
    assert!(!rules.are_listed(), "the bindings are not");
    rules.binding(&ObjectEvent::Listing);
    rules.binding(&ObjectEvent::Listed(binding("b", &json!(["Deny"]))));
    assert_eq!(registry(&rules), None);
    rules.binding(&ObjectEvent::Complete);
    assert!(rules.are_listed());
    assert_eq!(registry(&rules), None, "there is no generation before");
    assert_eq!(rules.metrics.faulty.get(), 1);
    rules.policy(&ObjectEvent::Applied(policy("1", &json!(["a.example/**"]))));
    assert_eq!(registry(&rules).as_deref(), Some("a.example"));
    assert_eq!(rules.metrics.faulty.get(), 0);
    for bad in [bad, json!(7)] {
        rules.policy(&ObjectEvent::Applied(policy("1", &bad)));
        assert_eq!(registry(&rules).as_deref(), Some("a.example"), "{bad}");
        assert_eq!(rules.metrics.faulty.get(), 1);
    }
    // A new list has the same fault.
    listed(&rules, vec![policy("1", &json!(7))]);
    assert_eq!(registry(&rules).as_deref(), Some("a.example"));
    // Another object of that name never had a generation that could be used.
    listed(&rules, vec![policy("2", &json!(7))]);
    assert_eq!(registry(&rules), None);
    rules.policy(&ObjectEvent::Applied(policy("2", &json!(["b.example/**"]))));
    assert_eq!(registry(&rules).as_deref(), Some("b.example"));
    rules.policy(&ObjectEvent::Deleted(policy("2", &json!(7))));
    assert_eq!(registry(&rules), None);
    assert_eq!(rules.metrics.faulty.get(), 0);
}

#[test]
fn a_list_takes_effect_as_a_whole_and_removes_what_it_does_not_name() {
    let rules = Rules::new(Mode::Enforce, Metrics::default());
    rules.binding(&ObjectEvent::Applied(binding("b", &json!(["Deny"]))));
    let good = policy("1", &json!(["a.example/**"]));
    rules.policy(&ObjectEvent::Listing);
    rules.policy(&ObjectEvent::Listed(good));
    assert_eq!(registry(&rules), None);
    rules.policy(&ObjectEvent::Complete);
    assert!(registry(&rules).is_some());
    // One that could not be read can be this one.
    rules.policy(&ObjectEvent::Listing);
    rules.policy(&ObjectEvent::TooLarge);
    rules.policy(&ObjectEvent::Complete);
    assert!(registry(&rules).is_some());
    listed(&rules, Vec::new());
    assert_eq!(registry(&rules), None);
}

#[test]
fn the_mode_turns_every_binding_into_one_that_audits() {
    let actions = |mode| {
        let rules = Rules::new(mode, Metrics::default());
        rules.policy(&ObjectEvent::Applied(policy("1", &json!(["a.example/**"]))));
        rules.binding(&ObjectEvent::Applied(binding("b", &json!(["Deny"]))));
        in_force(&rules).map(|(_, actions)| actions)
    };
    let (deny, audit) = (
        Actions {
            deny: true,
            ..Actions::default()
        },
        Actions {
            audit: true,
            ..Actions::default()
        },
    );
    assert_eq!(actions(Mode::Enforce), Some(deny));
    assert_eq!(actions(Mode::Audit), Some(audit));
}

#[test]
fn a_namespace_has_the_labels_that_the_watch_brought_last() {
    let namespaces = Namespaces::default();
    let namespace = |name: &str, label: Json| {
        json!({"metadata": {"name": name, "labels": {"a": label}}})
            .to_string()
            .into_bytes()
    };
    let label = |name: &str| namespaces.get(name).map(|labels| labels["a"].clone());
    namespaces.apply(&ObjectEvent::Listing);
    namespaces.apply(&ObjectEvent::Listed(namespace("x", json!("1"))));
    namespaces.apply(&ObjectEvent::Listed(namespace("bad", json!(7))));
    assert!(!namespaces.are_listed());
    namespaces.apply(&ObjectEvent::Complete);
    assert!(namespaces.are_listed());
    assert_eq!(label("x").as_deref(), Some("1"));
    assert_eq!(label("bad"), None, "it is not one without labels");
    namespaces.apply(&ObjectEvent::Applied(namespace("y", json!("2"))));
    namespaces.apply(&ObjectEvent::Applied(namespace("x", json!("3"))));
    assert_eq!(
        (label("x").as_deref(), label("y").as_deref()),
        (Some("3"), Some("2"))
    );
    namespaces.apply(&ObjectEvent::Deleted(namespace("y", json!("2"))));
    assert_eq!(label("y"), None);
    namespaces.apply(&ObjectEvent::Listing);
    namespaces.apply(&ObjectEvent::Complete);
    assert_eq!(label("x"), None);
}
