//! Facts of objects, as far as they follow from the objects alone.
//!
//! Here: the translation of policies, bindings and the switch, for the controller and for a preview.
//! Not here: reading them (`controller`, `cli`), and facts of a pod (`facts`).
//! Invariant: what an object does not say is never taken as permission.

use crate::facts::{BindingFacts, NamespaceFacts, PolicyFacts, Switch};
use crate::guard;
use bailiff_api::keys::{
    ALWAYS_EXEMPT_NAMESPACE, ANNOTATION_RESUME, RESPONSE_SWITCH, RESPONSE_SWITCH_DEFAULT_MODE,
    RESPONSE_SWITCH_MODE,
};
use bailiff_api::{ResponseAction, RuntimePolicy, RuntimePolicyBinding};
use k8s_openapi::api::core::v1::ConfigMap;

impl PolicyFacts {
    /// The facts of a policy. `matches`: its selectors match the pod and its namespace. The policy is
    /// not evaluated again.
    #[must_use]
    pub fn of(policy: &RuntimePolicy, matches: bool) -> Self {
        let metadata = &policy.metadata;
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            changed: guard::changed(metadata),
            matches,
            reevaluation: None,
        }
    }
}

impl BindingFacts {
    /// The facts of a binding. `matches`: its selectors match the pod and its namespace.
    /// `matched_workloads`: workloads with pods that it and its policy match; none: not known yet.
    /// `allow_pod_deletion`: the controller has the permission; without it, Delete only audits.
    #[must_use]
    pub fn of(
        binding: &RuntimePolicyBinding,
        matches: bool,
        matched_workloads: Option<usize>,
        allow_pod_deletion: bool,
    ) -> Self {
        let (metadata, spec) = (&binding.metadata, &binding.spec);
        let annotations = metadata.annotations.as_ref();
        let may_delete =
            allow_pod_deletion || !spec.response_actions.contains(&ResponseAction::Delete);
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            policy_name: spec.policy_name.clone(),
            matches,
            actions: if may_delete {
                spec.response_actions.clone()
            } else {
                vec![ResponseAction::Audit]
            },
            guardrails: spec.guardrails.clone(),
            grace_period_seconds: spec.grace_period_seconds,
            generation: metadata.generation.unwrap_or_default(),
            changed: guard::changed(metadata),
            matched_workloads,
            resume: annotations.and_then(|a| a.get(ANNOTATION_RESUME)).cloned(),
            paused: binding.status.as_ref().and_then(|s| s.paused.clone()),
        }
    }
}

impl NamespaceFacts {
    /// The facts of a namespace, by its name and what the configuration lists. `kube-system` is always
    /// exempt.
    #[must_use]
    pub fn of(name: &str, exempt: &[String], critical: &[String]) -> Self {
        let is_in = |names: &[String]| names.iter().any(|n| n == name);
        Self {
            exempt: name == ALWAYS_EXEMPT_NAMESPACE || is_in(exempt),
            critical: is_in(critical),
        }
    }
}

impl Switch {
    /// The switch as its `ConfigMap` in a namespace sets it; none: it does not exist. The key that an
    /// operator sets takes precedence over the default, which the chart sets.
    #[must_use]
    pub fn of(namespace: &str, config_map: Option<&ConfigMap>) -> Self {
        let object = format!("ConfigMap {namespace}/{RESPONSE_SWITCH}");
        let Some(config_map) = config_map else {
            return Self::Unavailable(format!("{object} does not exist"));
        };
        let set = |key: &'static str| {
            let data = config_map.data.as_ref();
            data.and_then(|data| data.get(key))
                .map(|mode| (key, mode.as_str()))
        };
        match set(RESPONSE_SWITCH_MODE).or_else(|| set(RESPONSE_SWITCH_DEFAULT_MODE)) {
            Some((_, "Enforce")) => Self::Enforce,
            Some((_, "Audit")) => Self::Audit,
            Some((key, _)) => Self::Unavailable(format!(
                "{object} has a {key} that is neither Enforce nor Audit"
            )),
            None => Self::Unavailable(format!("{object} has no key {RESPONSE_SWITCH_MODE}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn binding(change: impl FnOnce(&mut Value)) -> RuntimePolicyBinding {
        let mut binding = json!({
            "metadata": {"name": "b", "uid": "u", "generation": 2,
                "annotations": {"bailiff.dev/resume": "1/2"}},
            "spec": {"policyName": "p", "responseActions": ["Audit", "Evict"]},
        });
        change(&mut binding);
        from_value(binding).unwrap()
    }

    #[test]
    fn a_binding_keeps_its_actions_and_its_annotation() {
        let facts = BindingFacts::of(&binding(|_| ()), true, Some(3), false);
        assert_eq!(
            facts.actions,
            [ResponseAction::Audit, ResponseAction::Evict]
        );
        assert_eq!(facts.resume.as_deref(), Some("1/2"));
        assert_eq!((facts.generation, facts.matched_workloads), (2, Some(3)));
        assert_eq!(facts.paused, None);
    }

    #[test]
    fn delete_without_the_permission_only_audits() {
        let delete = |b: &mut Value| b["spec"]["responseActions"] = json!(["Delete"]);
        for (allowed, want) in [
            (true, ResponseAction::Delete),
            (false, ResponseAction::Audit),
        ] {
            let facts = BindingFacts::of(&binding(delete), true, Some(3), allowed);
            assert_eq!(facts.actions, [want]);
        }
    }

    #[test]
    fn kube_system_is_exempt_with_any_configuration() {
        let listed = ["payments".to_owned()];
        for (name, exempt, critical) in [
            ("kube-system", true, false),
            ("payments", true, false),
            ("shop", false, false),
        ] {
            let facts = NamespaceFacts::of(name, &listed, &[]);
            assert_eq!((facts.exempt, facts.critical), (exempt, critical), "{name}");
        }
        let critical = NamespaceFacts::of("payments", &[], &listed);
        assert!(critical.critical && !critical.exempt);
    }

    #[test]
    fn only_enforce_turns_the_switch_on() {
        let of = |data: Value| {
            let map = from_value(json!({"metadata": {}, "data": data})).unwrap();
            Switch::of("bailiff-system", Some(&map))
        };
        let name = "ConfigMap bailiff-system/bailiff-response";
        assert_eq!(of(json!({"mode": "Enforce"})), Switch::Enforce);
        assert_eq!(of(json!({"mode": "Audit"})), Switch::Audit);
        // The operator's key takes precedence, even if it has an invalid value.
        let both = |mode: &str| of(json!({"mode": mode, "defaultMode": "Enforce"}));
        assert_eq!(of(json!({"defaultMode": "Enforce"})), Switch::Enforce);
        assert_eq!(both("Audit"), Switch::Audit);
        assert_eq!(
            both(""),
            Switch::Unavailable(format!(
                "{name} has a mode that is neither Enforce nor Audit"
            ))
        );
        assert_eq!(
            of(json!({"mode": "enforce"})),
            Switch::Unavailable(format!(
                "{name} has a mode that is neither Enforce nor Audit"
            ))
        );
        assert_eq!(
            of(json!({})),
            Switch::Unavailable(format!("{name} has no key mode"))
        );
        assert_eq!(
            Switch::of("bailiff-system", None),
            Switch::Unavailable(format!("{name} does not exist"))
        );
    }
}
