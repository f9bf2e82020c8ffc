//! Why an expression has no value.
//!
//! Here: the error and its kinds. Not here: which is said when (`library`, `eval`).
//! Invariant: an exhausted budget is told apart from every other error, and nothing absorbs it.

use crate::library;
use crate::value::Value;
use std::fmt;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Other(String),
    NoOverload,
    Aborted(String),
    Limit,
    Budget,
}

impl EvalError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Other(message.into()),
        }
    }

    /// A function is not for its values.
    pub(crate) const fn no_overload() -> Self {
        Self {
            kind: Kind::NoOverload,
        }
    }

    /// A part of a list or a map that may be absent is given by a value that may not.
    pub(crate) fn no_optional(part: &str, value: &Value<'_>) -> Self {
        let value = library::go_text(value);
        Self::new(format!(
            "cannot initialize optional {part} from non-optional value {value}"
        ))
    }

    /// The expression cost more than one may.
    pub(crate) const fn limit() -> Self {
        Self { kind: Kind::Limit }
    }

    /// All expressions together cost more than they may.
    pub(crate) const fn budget() -> Self {
        Self { kind: Kind::Budget }
    }

    /// The API server's engine would have ended the evaluation here.
    pub(crate) fn aborted(words: String) -> Self {
        Self {
            kind: Kind::Aborted(words),
        }
    }

    pub(crate) fn is_no_overload(&self) -> bool {
        self.kind == Kind::NoOverload
    }

    /// Whether it ended the evaluation, most often because it cost too much; nothing absorbs it.
    #[must_use]
    pub fn is_budget(&self) -> bool {
        matches!(self.kind, Kind::Limit | Kind::Budget | Kind::Aborted(_))
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Other(message) => message,
            Kind::NoOverload => "no such overload",
            Kind::Aborted(words) => words,
            // The words of the API server.
            Kind::Limit => "operation cancelled: actual cost limit exceeded",
            Kind::Budget => {
                "validation failed due to running out of cost budget, no further validation rules will be run"
            }
        })
    }
}

impl std::error::Error for EvalError {}
