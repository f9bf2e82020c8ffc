//! Policies as compiled and checked: what their specs say by themselves.
//!
//! Here: what is kept of a policy for statuses, for as long as its spec stays. Not here: what statuses
//! say of it (`policy_status`).
//! Invariant: what is kept is of the spec that is there now; each spec is compiled once.

use bailiff_api::{RuntimePolicy, TypeChecking};
use bailiff_policy::{MatchResources, compile, type_check};
use std::collections::BTreeMap;

/// A policy whose expressions were compiled.
#[derive(Debug)]
pub(crate) struct Checked {
    uid: Option<String>,
    generation: Option<i64>,
    /// What the policy is about, or why it does not compile: a line for each fault.
    pub(crate) compiled: Result<MatchResources, String>,
    /// What its expressions are warned of; none: it does not compile, or the Pod's schema can't be
    /// read, and then nothing is said of it.
    pub(crate) type_checking: Option<TypeChecking>,
}

impl Checked {
    /// Compiles and checks a policy.
    pub(crate) fn new(policy: &RuntimePolicy) -> Self {
        let compiled = match compile(policy) {
            Ok(policy) => Ok(policy.constraints),
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
    /// same name begins to count again.
    fn is_of(&self, policy: &RuntimePolicy) -> bool {
        self.generation.is_some()
            && self.generation == policy.metadata.generation
            && self.uid == policy.metadata.uid
    }
}

/// Policies by name.
#[derive(Debug, Default)]
pub(crate) struct Policies(BTreeMap<String, Checked>);

impl Policies {
    /// Compiles what is new or was changed, and forgets what is gone.
    pub(crate) fn learn(&mut self, policies: &BTreeMap<String, RuntimePolicy>) {
        self.0.retain(|name, checked| {
            policies
                .get(name)
                .is_some_and(|policy| checked.is_of(policy))
        });
        for (name, policy) in policies {
            if !self.0.contains_key(name) {
                self.0.insert(name.clone(), Checked::new(policy));
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Checked> {
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policies(uid: &str, generation: i64, expression: &str) -> BTreeMap<String, RuntimePolicy> {
        let policy = serde_json::from_value(json!({
            "metadata": {"name": "p", "uid": uid, "generation": generation},
            "spec": {"validations": [{"expression": expression}]},
        }));
        BTreeMap::from([("p".to_owned(), policy.unwrap())])
    }

    #[test]
    fn a_spec_is_compiled_once_and_again_when_it_is_another() {
        let mut known = Policies::default();
        let compiles = |known: &Policies| known.get("p").map(|p| p.compiled.is_ok());
        known.learn(&policies("a", 1, "true"));
        assert_eq!(compiles(&known), Some(true));
        // The same spec by its generation: nobody looks at the text again.
        known.learn(&policies("a", 1, "1 +"));
        assert_eq!(compiles(&known), Some(true));
        known.learn(&policies("a", 2, "1 +"));
        assert_eq!(compiles(&known), Some(false));
        known.learn(&policies("b", 2, "true"));
        assert_eq!(compiles(&known), Some(true));
        known.learn(&BTreeMap::new());
        assert_eq!(compiles(&known), None);
    }

    #[test]
    fn what_has_no_generation_is_compiled_each_time() {
        let mut known = Policies::default();
        for (expression, compiles) in [("true", true), ("1 +", false)] {
            let mut of = policies("a", 1, expression);
            for policy in of.values_mut() {
                policy.metadata.generation = None;
            }
            known.learn(&of);
            assert!(
                known
                    .get("p")
                    .is_some_and(|p| p.compiled.is_ok() == compiles)
            );
        }
    }
}
