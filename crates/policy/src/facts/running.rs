//! A process that was found running, as policies see it.
//!
//! Here: which facts are known only from the exec. Not here: what follows from an expression that reads them (`evaluate`).
//! Invariant: such a fact has no value, and no expression learns whether it is there: neither "no script" nor "no
//! arguments" is true of a process that nobody saw start.

use super::{PROCESS, Process};
use crate::messages;
use bailiff_cel::{Object, Value};

/// What the kernel does not keep, or what may have changed since the exec.
const UNKNOWN: [&str; 9] = [
    "invokedPath",
    "args",
    "argsTruncated",
    "argPaths",
    "workingDirectory",
    "executableDeleted",
    "script",
    "stdio",
    "secureExec",
];

/// A process of which only this is known: its executable and names, user, group, capabilities, start, origin and
/// ancestors.
pub(crate) struct RunningProcess<'a>(pub(crate) &'a Process);

impl Object for RunningProcess<'_> {
    fn field(&self, index: usize) -> Option<Value<'_>> {
        let name = PROCESS.get(index)?;
        if UNKNOWN.contains(name) {
            return Some(Value::unknown(messages::unknown_of_running(name)));
        }
        self.0.field(index)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.0.index(name)
    }
}

/// Whether an error is about a fact that is unknown.
pub(crate) fn is_of_unknown_fact(error: &str) -> bool {
    error.contains(messages::UNKNOWN_OF_RUNNING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Container;
    use crate::tests::{policy, shell};
    use crate::{EvaluationError, FailedValidation, Input, Verdict, compile, evaluate_running};
    use serde_json::{Value as Json, json};

    fn verdict(spec: Json) -> Verdict {
        let compiled = compile(&policy(spec)).unwrap();
        let input = Input {
            process: &shell(),
            container: &Container::default(),
            object: None,
            namespace_object: None,
        };
        evaluate_running(&compiled, &input)
    }

    fn rules(expressions: &[&str]) -> Json {
        let rule = |expression: &&str| json!({"expression": expression, "message": "no"});
        json!({"validations": expressions.iter().map(rule).collect::<Vec<_>>()})
    }

    fn unknown(validation: usize, field: &str) -> EvaluationError {
        EvaluationError {
            validation: Some(validation),
            message: format!(
                "validations[{validation}]: process.{field} is unknown, because the process already ran when the policy was evaluated"
            ),
        }
    }

    fn violated(validation: usize) -> FailedValidation {
        FailedValidation {
            validation,
            message: "no".to_owned(),
        }
    }

    #[test]
    fn what_nobody_saw_is_neither_there_nor_absent() {
        for field in UNKNOWN {
            for expression in [
                format!("process.{field} == process.{field}"),
                format!("has(process.{field})"),
                format!("!has(process.{field})"),
                format!("process.?{field}.hasValue()"),
                format!("dyn(process).{field} == 1"),
            ] {
                let verdict = verdict(rules(&[&expression]));
                assert_eq!(
                    verdict,
                    Verdict::Unknown(vec![unknown(0, field)]),
                    "{expression}"
                );
            }
        }
    }

    #[test]
    fn what_the_kernel_keeps_is_evaluated() {
        for expression in [
            "process.executable == '/bin/busybox' && 'sh' in process.names",
            "process.uid == 0 && process.gid == 0 && 'NET_RAW' in process.capabilities",
            "process.origin == 'Exec' && process.executableSource == 'Image' && !process.leftPodCgroup",
            "!has(process.parent) && process.ancestors.size() == 0",
            "process.startTime > timestamp('2025-01-01T00:00:00Z')",
            // What is read decides, and not what is written.
            "process.uid == 0 || process.args.size() == 0",
            "process.args.size() == 0 || process.uid == 0",
        ] {
            assert_eq!(
                verdict(rules(&[expression])),
                Verdict::Allowed,
                "{expression}"
            );
        }
    }

    #[test]
    fn a_violation_counts_beside_what_is_unknown() {
        let both = ["process.args.size() == 0", "process.uid != 0"];
        assert_eq!(
            verdict(rules(&both)),
            Verdict::Violated(vec![violated(1)], Vec::new())
        );
    }

    #[test]
    fn an_error_of_the_policy_stays_one() {
        let both = ["process.script.path == ''", "process.names[7] == ''"];
        let error = EvaluationError {
            validation: Some(1),
            message: "validations[1]: index out of bounds: 7".to_owned(),
        };
        assert_eq!(
            verdict(rules(&both)),
            Verdict::EvaluationFailed(vec![error])
        );
    }

    #[test]
    fn a_variable_is_unknown_wherever_it_is_read() {
        let mut spec = rules(&["variables.first != 'x'", "variables.first != 'y'", "true"]);
        spec["variables"] = json!([{"name": "first", "expression": "process.args[0]"}]);
        let error = |validation: usize| EvaluationError {
            validation: Some(validation),
            message: format!(
                "validations[{validation}]: composited variable \"first\" fails to evaluate: process.args is unknown, because the process already ran when the policy was evaluated"
            ),
        };
        assert_eq!(verdict(spec), Verdict::Unknown(vec![error(0), error(1)]));
    }

    #[test]
    fn a_condition_that_reads_it_leaves_the_policy_undecided() {
        let mut spec = rules(&["false"]);
        spec["matchConditions"] = json!([{"name": "c", "expression": "process.args.size() > 1"}]);
        let error = EvaluationError {
            validation: None,
            message: "matchConditions[c]: process.args is unknown, because the process already ran when the policy was evaluated".to_owned(),
        };
        assert_eq!(verdict(spec.clone()), Verdict::Unknown(vec![error]));
        let other = json!({"name": "d", "expression": "process.uid == 5"});
        spec["matchConditions"].as_array_mut().unwrap().push(other);
        assert_eq!(verdict(spec), Verdict::NotMatched);
    }

    #[test]
    fn what_is_printed_has_what_is_known() {
        let json = shell().to_json_of_running();
        let whole = shell().to_json();
        for (field, value) in whole.as_object().unwrap() {
            let want = (!UNKNOWN.contains(&field.as_str())).then_some(value);
            assert_eq!(json.get(field), want, "{field}");
        }
    }
}
