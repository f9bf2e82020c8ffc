//! Which variables and fields the expressions of a policy mention.
//!
//! Here: the answer for a whole policy. Not here: what follows from it (`controller`).
//! Invariant: what an expression reads is mentioned, also where it reads it through a variable.

use crate::compile::CompiledPolicy;
use std::collections::BTreeSet;

impl CompiledPolicy {
    /// The variables and fields that any of its expressions mentions, as `process` and
    /// `process.names`.
    #[must_use]
    pub fn mentioned(&self) -> BTreeSet<&str> {
        let conditions = self.conditions.iter().map(|(_, program)| program);
        let validations = self.validations.iter().map(|v| &v.program);
        conditions
            .chain(validations)
            .chain(self.env.named())
            .flat_map(|program| program.mentions().iter().map(String::as_str))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::compile;
    use serde_json::json;

    #[test]
    fn what_a_variable_reads_is_mentioned() {
        let policy = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {
                "matchConditions": [{"name": "c", "expression": "container.name != 'x'"}],
                "variables": [{"name": "first", "expression": "process.args[0]"}],
                "validations": [{"expression": "variables.first != 'sh'"}],
            },
        }));
        let policy = compile(&policy.unwrap()).unwrap();
        let mentioned = policy.mentioned();
        for name in ["container.name", "process.args"] {
            assert!(mentioned.contains(name), "{name} in {mentioned:?}");
        }
        assert!(!mentioned.contains("object"), "{mentioned:?}");
    }
}
