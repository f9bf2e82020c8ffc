//! Policies and bindings that come, change and go.

use super::*;
use bailiff_api::RuntimePolicySpec;
use serde_json::json;

fn policy(name: &str, generation: i64, constraints: &serde_json::Value) -> RuntimePolicy {
    let spec: RuntimePolicySpec = serde_json::from_value(json!({
        "matchConstraints": constraints,
        "validations": [{"expression": "process.origin != 'Exec'"}],
    }))
    .unwrap();
    let mut policy = RuntimePolicy::new(name, spec);
    policy.metadata.uid = Some(format!("{name}-uid"));
    policy.metadata.generation = Some(generation);
    policy
}

fn binding(name: &str, policy: &str, resources: &serde_json::Value) -> RuntimePolicyBinding {
    serde_json::from_value(json!({
        "apiVersion": "bailiff.dev/v1alpha1",
        "kind": "RuntimePolicyBinding",
        "metadata": {"name": name, "uid": format!("{name}-uid")},
        "spec": {"policyName": policy, "matchResources": resources, "responseActions": ["Audit"]},
    }))
    .unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// Policies that are about a pod with these labels, each with its bindings.
fn matching(index: &mut PolicyIndex, pod: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
    let named = |rule: &MatchedPolicy| {
        let bindings = rule.bindings.iter().map(|binding| binding.name.clone());
        (rule.policy.name.clone(), bindings.collect())
    };
    let found = index.matching(&Labels::new(), &labels(pod));
    found.iter().map(named).collect()
}

#[test]
fn a_policy_applies_where_it_and_one_of_its_bindings_match() {
    let mut index = PolicyIndex::default();
    let tier = json!({"objectSelector": {"matchLabels": {"tier": "web"}}});
    index.apply_policy(&policy("a", 1, &tier));
    index.apply_policy(&policy("unbound", 1, &json!({})));
    assert_eq!(
        matching(&mut index, &[("tier", "web")]),
        [],
        "nothing is bound"
    );
    let team = json!({"objectSelector": {"matchExpressions": [
        {"key": "team", "operator": "In", "values": ["shop"]},
        {"key": "quiet", "operator": "DoesNotExist"},
    ]}});
    index.apply_binding(&binding("b1", "a", &team));
    index.apply_binding(&binding("b2", "a", &json!({})));
    index.apply_binding(&binding("b3", "gone", &json!({})));
    let all = ("a".to_owned(), vec!["b1".to_owned(), "b2".to_owned()]);
    let shop = [("tier", "web"), ("team", "shop")];
    assert_eq!(matching(&mut index, &shop), [all]);
    let one = ("a".to_owned(), vec!["b2".to_owned()]);
    assert_eq!(matching(&mut index, &[("tier", "web")]), [one]);
    assert_eq!(matching(&mut index, &[("team", "shop")]), []);

    let found = index.matching(&Labels::new(), &labels(&shop));
    let selected: Vec<_> = found[0].selected.iter().map(String::as_str).collect();
    assert_eq!(
        selected,
        ["quiet", "team", "tier"],
        "what the response depends on"
    );

    index.delete_binding("b2");
    assert_eq!(matching(&mut index, &[("tier", "web")]), []);
    index.keep_policies(&std::collections::HashSet::from(["unbound".to_owned()]));
    assert_eq!(matching(&mut index, &shop), []);
}

#[test]
fn what_cannot_be_compiled_is_not_evaluated() {
    let mut index = PolicyIndex::default();
    index.apply_policy(&policy("a", 1, &json!({})));
    index.apply_binding(&binding("b", "a", &json!({})));
    assert_eq!(matching(&mut index, &[]).len(), 1);
    let mut broken = policy("a", 2, &json!({}));
    broken.spec.validations[0].expression = "process.orgin".to_owned();
    index.apply_policy(&broken);
    assert_eq!(matching(&mut index, &[]), [], "nor is what it was before");
    index.apply_policy(&policy("a", 3, &json!({})));
    assert_eq!(matching(&mut index, &[]).len(), 1);
    let invalid = json!({"objectSelector": {"matchExpressions": [{"key": "x", "operator": "Is"}]}});
    index.apply_binding(&binding("b", "a", &invalid));
    assert_eq!(matching(&mut index, &[]), []);
    index.apply_binding(&binding("b", "a", &json!({})));
    index.keep_bindings(&std::collections::HashSet::new());
    assert_eq!(matching(&mut index, &[]), []);
}

#[test]
fn a_policy_is_compiled_again_when_its_generation_or_itself_is_another() {
    let mut index = PolicyIndex::default();
    index.apply_binding(&binding("b", "a", &json!({})));
    let compiled = |index: &mut PolicyIndex| {
        Arc::clone(&index.matching(&Labels::new(), &Labels::new())[0].policy)
    };
    index.apply_policy(&policy("a", 1, &json!({})));
    let first = compiled(&mut index);
    index.apply_policy(&policy("a", 1, &json!({})));
    assert!(Arc::ptr_eq(&first, &compiled(&mut index)));
    index.apply_policy(&policy("a", 2, &json!({})));
    assert_eq!(compiled(&mut index).generation, 2);
    let mut recreated = policy("a", 2, &json!({}));
    recreated.metadata.uid = Some("another".to_owned());
    index.apply_policy(&recreated);
    assert_eq!(compiled(&mut index).uid, "another");
}

#[test]
fn only_policies_with_a_binding_need_something() {
    let mut index = PolicyIndex::default();
    let mut reading = policy(
        "a",
        1,
        &json!({"objectSelector": {"matchLabels": {"tier": "web"}}}),
    );
    reading.spec.validations[0].expression = "has(object.spec.nodeName)".to_owned();
    index.apply_policy(&reading);
    assert_eq!(index.needs(), Needs::default());
    let team = json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}});
    index.apply_binding(&binding("b", "a", &team));
    let needs = index.needs();
    let labels = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    assert_eq!(labels(&needs.pod_labels), ["tier"]);
    assert_eq!(labels(&needs.namespace_labels), ["team"]);
    assert!(needs.object.as_ref().unwrap().field("spec").is_some() && !needs.namespace_object);
    assert!(needs.covers(&needs_of(&compile(&reading).unwrap())));
    reading.spec.validations[0].expression = "namespaceObject.metadata.name == 'x'".to_owned();
    reading.metadata.generation = Some(2);
    index.apply_policy(&reading);
    assert!(index.needs().namespace_object && !needs.covers(&index.needs()));
}
