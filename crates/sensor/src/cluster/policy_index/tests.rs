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
fn applying(rules: &Rules, pod: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
    let named = |rule: Applying| {
        let bindings = rule.bindings.into_iter().map(|binding| binding.name);
        (rule.policy.name.clone(), bindings.collect())
    };
    let found = rules.applying(&Labels::new(), &labels(pod));
    found.into_iter().map(named).collect()
}

#[test]
fn a_policy_holds_where_it_and_one_of_its_bindings_say() {
    let mut rules = Rules::default();
    let tier = json!({"objectSelector": {"matchLabels": {"tier": "web"}}});
    rules.apply_policy(&policy("a", 1, &tier));
    rules.apply_policy(&policy("unbound", 1, &json!({})));
    assert_eq!(applying(&rules, &[("tier", "web")]), [], "nothing is bound");
    let team = json!({"objectSelector": {"matchExpressions": [
        {"key": "team", "operator": "In", "values": ["shop"]},
        {"key": "quiet", "operator": "DoesNotExist"},
    ]}});
    rules.apply_binding(&binding("b1", "a", &team));
    rules.apply_binding(&binding("b2", "a", &json!({})));
    rules.apply_binding(&binding("b3", "gone", &json!({})));
    let all = ("a".to_owned(), vec!["b1".to_owned(), "b2".to_owned()]);
    let shop = [("tier", "web"), ("team", "shop")];
    assert_eq!(applying(&rules, &shop), [all]);
    let one = ("a".to_owned(), vec!["b2".to_owned()]);
    assert_eq!(applying(&rules, &[("tier", "web")]), [one]);
    assert_eq!(applying(&rules, &[("team", "shop")]), []);

    let found = rules.applying(&Labels::new(), &labels(&shop));
    let selected: Vec<_> = found[0].selected.iter().map(String::as_str).collect();
    assert_eq!(
        selected,
        ["quiet", "team", "tier"],
        "what the answer depends on"
    );

    rules.delete_binding("b2");
    assert_eq!(applying(&rules, &[("tier", "web")]), []);
    rules.keep_policies(&std::collections::HashSet::from(["unbound".to_owned()]));
    assert_eq!(applying(&rules, &shop), []);
}

#[test]
fn what_can_not_be_compiled_is_not_run() {
    let mut rules = Rules::default();
    rules.apply_policy(&policy("a", 1, &json!({})));
    rules.apply_binding(&binding("b", "a", &json!({})));
    assert_eq!(applying(&rules, &[]).len(), 1);
    let mut broken = policy("a", 2, &json!({}));
    broken.spec.validations[0].expression = "process.orgin".to_owned();
    rules.apply_policy(&broken);
    assert_eq!(applying(&rules, &[]), [], "nor is what it was before");
    rules.apply_policy(&policy("a", 3, &json!({})));
    assert_eq!(applying(&rules, &[]).len(), 1);
    let invalid = json!({"objectSelector": {"matchExpressions": [{"key": "x", "operator": "Is"}]}});
    rules.apply_binding(&binding("b", "a", &invalid));
    assert_eq!(applying(&rules, &[]), []);
    rules.apply_binding(&binding("b", "a", &json!({})));
    rules.keep_bindings(&std::collections::HashSet::new());
    assert_eq!(applying(&rules, &[]), []);
}

#[test]
fn a_policy_is_compiled_again_when_its_generation_or_itself_is_another() {
    let mut rules = Rules::default();
    rules.apply_binding(&binding("b", "a", &json!({})));
    let compiled =
        |rules: &Rules| Arc::clone(&rules.applying(&Labels::new(), &Labels::new())[0].policy);
    rules.apply_policy(&policy("a", 1, &json!({})));
    let first = compiled(&rules);
    rules.apply_policy(&policy("a", 1, &json!({})));
    assert!(Arc::ptr_eq(&first, &compiled(&rules)));
    rules.apply_policy(&policy("a", 2, &json!({})));
    assert_eq!(compiled(&rules).generation, 2);
    let mut recreated = policy("a", 2, &json!({}));
    recreated.metadata.uid = Some("another".to_owned());
    rules.apply_policy(&recreated);
    assert_eq!(compiled(&rules).uid, "another");
}
