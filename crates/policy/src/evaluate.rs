//! From a compiled policy and facts to a verdict.
//!
//! Here: match conditions, validations, messages. Not here: whether the policy is bound to the
//! pod (`selector`).
//! Invariant: all validations run, and each that is false or fails is named.

use crate::compile::{CompiledPolicy, CompiledValidation, VARIABLES};
use crate::facts::{Container, Process};
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
    /// Its Pod.
    pub object: &'a Json,
    /// The Pod's Namespace.
    pub namespace_object: &'a Json,
}

impl Activation for Input<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        match *VARIABLES.get(slot)? {
            "process" => Some(Value::Object(self.process)),
            "container" => Some(Value::Object(self.container)),
            "object" => Some(Value::from_json(self.object)),
            "namespaceObject" => Some(namespace_object(self.namespace_object)),
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
    Violated(Vec<ViolationFound>, Vec<Failure>),
    /// No validation is false, and at least one expression failed.
    CouldNotBeChecked(Vec<Failure>),
}

/// A validation that is false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViolationFound {
    /// Its place in `spec.validations`.
    pub validation: usize,
    /// What the policy says about it.
    pub message: String,
}

/// An expression that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The place of the validation; absent for a match condition.
    pub validation: Option<usize>,
    /// The field and the error.
    pub message: String,
}

/// Evaluates a policy.
#[must_use]
pub fn evaluate(policy: &CompiledPolicy, input: &Input<'_>) -> Verdict {
    let mut evaluation = Evaluation::new(&policy.env, input, BUDGET);
    let mut failures = Vec::new();
    // As in admission: one condition that is false decides, also over others that fail
    // (k8s.io/apiserver v0.37.2, pkg/admission/plugin/webhook/matchconditions/matcher.go).
    for (name, program) in &policy.conditions {
        match evaluation.run(program) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => return Verdict::NotMatched,
            Ok(_) => failures.push(failure(
                None,
                format!("matchConditions[{name}]: {}", messages::NOT_BOOL),
            )),
            Err(error) => failures.push(failure(None, format!("matchConditions[{name}]: {error}"))),
        }
    }
    if !failures.is_empty() {
        return Verdict::CouldNotBeChecked(failures);
    }
    let mut violations = Vec::new();
    for (index, validation) in policy.validations.iter().enumerate() {
        match evaluation.run(&validation.program) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => {
                violations.push(ViolationFound {
                    validation: index,
                    message: message(&mut evaluation, validation),
                });
            }
            Ok(_) => failures.push(failure(
                Some(index),
                format!("validations[{index}]: {}", messages::NOT_BOOL),
            )),
            Err(error) => failures.push(failure(
                Some(index),
                format!("validations[{index}]: {error}"),
            )),
        }
    }
    match (violations.is_empty(), failures.is_empty()) {
        (true, true) => Verdict::Allowed,
        (true, false) => Verdict::CouldNotBeChecked(failures),
        (false, _) => Verdict::Violated(violations, failures),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every caller made the text for it"
)]
fn failure(validation: Option<usize>, message: String) -> Failure {
    Failure {
        validation,
        message: bounded(&message),
    }
}

/// What is said about a violation: the message expression's text if it has one, else the
/// message, else the expression.
fn message<'a>(evaluation: &mut Evaluation<'a>, validation: &'a CompiledValidation) -> String {
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
