//! Policies as compiled and type checked.
//!
//! Here: what depends on the spec of a policy only. Not here: its status (`policy_status`), evaluating it
//! again (`reevaluate`).
//! Invariant: what is kept is of the spec that exists now; each spec is compiled once.

use bailiff_api::{RuntimePolicy, TypeChecking};
use bailiff_policy::{CompiledPolicy, compile, type_check};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A policy whose expressions were compiled.
#[derive(Debug)]
pub(crate) struct Checked {
    uid: Option<String>,
    generation: Option<i64>,
    /// The policy, or why it does not compile: a line for each error.
    pub(crate) compiled: Result<CompiledPolicy, String>,
    /// Warnings about its expressions; none: it does not compile, or the Pod's schema cannot be read.
    pub(crate) type_checking: Option<TypeChecking>,
}

impl Checked {
    /// Compiles and checks a policy.
    pub(crate) fn new(policy: &RuntimePolicy) -> Self {
        let compiled = match compile(policy) {
            Ok(policy) => Ok(policy),
            Err(faults) => {
                let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                Err(faults.join("\n"))
            }
        };
        let type_checking = compiled.as_ref().ok();
        Self {
            uid: policy.metadata.uid.clone(),
            generation: policy.metadata.generation,
            type_checking: type_checking.and_then(|_| type_check(policy).ok()),
            compiled,
        }
    }

    /// Whether this is of the spec that a policy has. A generation is of one object: another of the
    /// same name counts from the beginning.
    fn is_of(&self, policy: &RuntimePolicy) -> bool {
        self.generation.is_some()
            && self.generation == policy.metadata.generation
            && self.uid == policy.metadata.uid
    }
}

/// Policies by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct PolicyCache(BTreeMap<String, Arc<Checked>>);

impl PolicyCache {
    /// Compiles a policy that is new or was changed.
    pub(crate) fn apply(&mut self, name: &str, policy: &RuntimePolicy) {
        if !self
            .0
            .get(name)
            .is_some_and(|checked| checked.is_of(policy))
        {
            self.0
                .insert(name.to_owned(), Arc::new(Checked::new(policy)));
        }
    }

    /// Forgets policies that no longer exist.
    pub(crate) fn retain(&mut self, exists: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| exists(name));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Checked>> {
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(uid: &str, generation: Option<i64>, expression: &str) -> RuntimePolicy {
        let policy = json!({
            "metadata": {"name": "p", "uid": uid, "generation": generation},
            "spec": {"validations": [{"expression": expression}]},
        });
        serde_json::from_value(policy).unwrap()
    }

    #[test]
    fn a_spec_is_compiled_once_and_again_when_it_is_another() {
        let mut cache = PolicyCache::default();
        let mut compiles = |uid: &str, generation: i64, expression: &str| {
            cache.apply("p", &policy(uid, Some(generation), expression));
            cache.get("p").map(|p| p.compiled.is_ok())
        };
        assert_eq!(compiles("a", 1, "true"), Some(true));
        // The generation has this spec: the expression is not read again.
        assert_eq!(compiles("a", 1, "1 +"), Some(true));
        assert_eq!(compiles("a", 2, "1 +"), Some(false));
        assert_eq!(compiles("b", 2, "true"), Some(true));
        cache.retain(|name| name != "p");
        assert!(cache.get("p").is_none());
    }

    #[test]
    fn what_has_no_generation_is_compiled_each_time() {
        let mut cache = PolicyCache::default();
        for (expression, compiles) in [("true", true), ("1 +", false)] {
            cache.apply("p", &policy("a", None, expression));
            assert_eq!(cache.get("p").map(|p| p.compiled.is_ok()), Some(compiles));
        }
    }
}
