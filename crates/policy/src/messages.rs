//! Every sentence that this crate can say.
//!
//! Here: wording. Not here: when it is said.
//! Invariant: each names what is wrong, where, and what would be right.

/// A selector's operator is not known.
pub(crate) fn selector_operator(key: &str, operator: &str) -> String {
    format!(
        "the operator {operator:?} for the label {key:?} is not known: use In, NotIn, Exists or DoesNotExist"
    )
}

/// A selector's operator has no values.
pub(crate) fn selector_needs_values(key: &str, operator: &str) -> String {
    format!("the operator {operator} for the label {key:?} needs at least one value")
}

/// A selector's operator has values.
pub(crate) fn selector_takes_no_values(key: &str, operator: &str) -> String {
    format!("the operator {operator} for the label {key:?} takes no values")
}

/// An expression has another type than it must have.
pub(crate) fn wrong_type(found: &str, wanted: &str) -> String {
    format!("must evaluate to {wanted}, and evaluates to {found}")
}

/// A violation for which the policy has no words; as the API server says it
/// (k8s.io/apiserver v0.37.2, pkg/admission/plugin/policy/validating/validator.go).
pub(crate) fn failed_expression(expression: &str) -> String {
    format!("failed expression: {}", expression.trim())
}

/// An expression has a value of another type than was declared.
pub(crate) const NOT_BOOL: &str = "did not evaluate to a bool";

/// A fact about a process that was found running.
pub(crate) fn unknown_of_running(field: &str) -> String {
    format!("process.{field} {UNKNOWN_OF_RUNNING}")
}

/// What is said of such a fact.
pub(crate) const UNKNOWN_OF_RUNNING: &str =
    "is unknown, because the process already ran when the policy was evaluated";

/// What an expression reads of an object is larger than what is kept.
pub(crate) const NOT_KEPT: &str = "the parts of the object that policies read are too large to be kept; make the object smaller, or read fewer of its fields";
