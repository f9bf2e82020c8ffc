//! From a compiled policy and facts to a verdict.
//!
//! Here: match conditions, validations, messages. Not here: whether the policy is bound to the
//! pod (`selector`).
//! Invariant: all validations run, and each that is false or fails is named. A process that was found running is
//! allowed only by expressions that read nothing which is unknown of it.

use crate::compile::{CompiledPolicy, CompiledValidation, VARIABLES};
use crate::facts::{Container, Process, RunningProcess, is_of_unknown_fact};
use crate::messages;
use bailiff_cel::admission::{BUDGET, namespace_object};
use bailiff_cel::{Activation, Evaluation, Value};
use serde_json::Value as Json;

/// Longest message of a violation, in bytes; the schema of an Incident has the same bound.
const MESSAGE_LIMIT: usize = 1024;

/// What a policy is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The process.
    pub process: &'a Process,
    /// Its container.
    pub container: &'a Container,
    /// The parts of its Pod that the policy reads. Absent: they are too large to be kept.
    pub object: Option<&'a Json>,
    /// The Pod's Namespace. Absent: it is too large to be kept.
    pub namespace_object: Option<&'a Json>,
}

impl Activation for Input<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        match *VARIABLES.get(slot)? {
            "process" => Some(Value::Object(self.process)),
            "container" => Some(Value::Object(self.container)),
            "object" => self.object.map(Value::from_json),
            "namespaceObject" => self.namespace_object.map(namespace_object),
            _ => None,
        }
    }
}

/// What a policy says about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A match condition is false: the policy is not about this process.
    NotMatched,
    /// Every validation is true.
    Allowed,
    /// At least one validation is false. Others may have failed; they are named as well.
    Violated(Vec<FailedValidation>, Vec<EvaluationError>),
    /// No validation is false, and at least one expression failed.
    EvaluationFailed(Vec<EvaluationError>),
    /// No validation is false, and at least one expression reads what is not known of a process that was found
    /// running: the process is neither allowed nor a violation. The policy has no error.
    Unknown(Vec<EvaluationError>),
}

/// A validation that is false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedValidation {
    /// Its place in `spec.validations`.
    pub validation: usize,
    /// What the policy says about it.
    pub message: String,
}

/// An expression that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationError {
    /// The place of the validation; absent for a match condition.
    pub validation: Option<usize>,
    /// The field and the error.
    pub message: String,
}

/// Evaluates a policy. An expression that reads what is absent from the input cannot be evaluated.
#[must_use]
pub fn evaluate(policy: &CompiledPolicy, input: &Input<'_>) -> Verdict {
    with_causes(policy, input, verdict(policy, input))
}

/// Evaluates a policy for a process that was found running, of which only what the kernel keeps is known. An expression
/// that reads anything else cannot be evaluated; that alone is [`Verdict::Unknown`].
#[must_use]
pub fn evaluate_running(policy: &CompiledPolicy, input: &Input<'_>) -> Verdict {
    let process = RunningProcess(input.process);
    let running = RunningInput { input, process };
    let (violations, mut errors) = match verdict(policy, &running) {
        Verdict::Violated(violations, errors) => (violations, errors),
        Verdict::EvaluationFailed(errors) | Verdict::Unknown(errors) => (Vec::new(), errors),
        verdict @ (Verdict::NotMatched | Verdict::Allowed) => return verdict,
    };
    let unknown: Vec<_> = errors
        .extract_if(.., |error| is_of_unknown_fact(&error.message))
        .collect();
    let verdict = match (violations.is_empty(), errors.is_empty()) {
        (true, true) => Verdict::Unknown(unknown),
        (true, false) => Verdict::EvaluationFailed(errors),
        (false, _) => Verdict::Violated(violations, errors),
    };
    with_causes(policy, input, verdict)
}

/// What a policy is asked about a process that was found running.
struct RunningInput<'a> {
    input: &'a Input<'a>,
    process: RunningProcess<'a>,
}

impl Activation for RunningInput<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        match *VARIABLES.get(slot)? {
            "process" => Some(Value::Object(&self.process)),
            _ => self.input.variable(slot),
        }
    }
}

fn with_causes(policy: &CompiledPolicy, input: &Input<'_>, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Violated(violations, errors) => {
            Verdict::Violated(violations, explained(policy, input, errors))
        }
        Verdict::EvaluationFailed(errors) => {
            Verdict::EvaluationFailed(explained(policy, input, errors))
        }
        verdict @ (Verdict::NotMatched | Verdict::Allowed | Verdict::Unknown(_)) => verdict,
    }
}

/// Adds to errors that a part of the input is absent, where that can be the cause.
fn explained(
    policy: &CompiledPolicy,
    input: &Input<'_>,
    mut errors: Vec<EvaluationError>,
) -> Vec<EvaluationError> {
    let absent = [
        (input.object.is_none() && policy.needs_object(), "object"),
        (
            input.namespace_object.is_none() && policy.needs_namespace_object(),
            "namespaceObject",
        ),
    ];
    for (_, variable) in absent.into_iter().filter(|(absent, _)| *absent) {
        for error in &mut errors {
            if error
                .message
                .ends_with(&format!("attribute(s): {variable}"))
            {
                error.message = bounded(&format!("{}; {}", error.message, messages::NOT_KEPT));
            }
        }
    }
    errors
}

fn verdict(policy: &CompiledPolicy, input: &dyn Activation) -> Verdict {
    let mut evaluation = Evaluation::new(&policy.env, input, BUDGET);
    let mut errors = Vec::new();
    // As in admission: one condition that is false decides, also over others that fail
    // (k8s.io/apiserver v0.37.2, pkg/admission/plugin/webhook/matchconditions/matcher.go).
    for (name, program) in &policy.conditions {
        match evaluation.run(program) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => return Verdict::NotMatched,
            Ok(_) => errors.push(evaluation_error(
                None,
                format!("matchConditions[{name}]: {}", messages::NOT_BOOL),
            )),
            Err(error) => errors.push(evaluation_error(
                None,
                format!("matchConditions[{name}]: {error}"),
            )),
        }
    }
    if !errors.is_empty() {
        return Verdict::EvaluationFailed(errors);
    }
    let mut violations = Vec::new();
    for (index, validation) in policy.validations.iter().enumerate() {
        match evaluation.run(&validation.program) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => {
                violations.push(FailedValidation {
                    validation: index,
                    message: message(&mut evaluation, validation),
                });
            }
            Ok(_) => errors.push(evaluation_error(
                Some(index),
                format!("validations[{index}]: {}", messages::NOT_BOOL),
            )),
            Err(error) => errors.push(evaluation_error(
                Some(index),
                format!("validations[{index}]: {error}"),
            )),
        }
    }
    match (violations.is_empty(), errors.is_empty()) {
        (true, true) => Verdict::Allowed,
        (true, false) => Verdict::EvaluationFailed(errors),
        (false, _) => Verdict::Violated(violations, errors),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every caller made the text for it"
)]
fn evaluation_error(validation: Option<usize>, message: String) -> EvaluationError {
    EvaluationError {
        validation,
        message: bounded(&message),
    }
}

/// What is said about a violation: the message expression's text if it has one, else the
/// message, else the expression.
pub(crate) fn message<'a>(
    evaluation: &mut Evaluation<'a>,
    validation: &'a CompiledValidation,
) -> String {
    if let Some(program) = &validation.message_program
        && let Ok(Value::String(text)) = evaluation.run(program)
        && !text.trim().is_empty()
        && !text.contains(['\n', '\r'])
    {
        return bounded(text.trim());
    }
    match &validation.message {
        Some(message) => bounded(message.trim()),
        None => bounded(&messages::failed_expression(validation.program.source())),
    }
}

/// A text of at most [`MESSAGE_LIMIT`] bytes, cut between characters.
fn bounded(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_LIMIT);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned()
}
