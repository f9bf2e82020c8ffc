//! From policies and a process to a verdict.
//!
//! Here: label selectors, compiling a `RuntimePolicy`, evaluating it over plain facts. Not here:
//! where facts come from (`sensor`) and what follows from a verdict (`response`).
//! Invariant: a verdict is a function of its arguments; "could not be checked" is a verdict of
//! its own and never "allowed".
#![warn(clippy::wildcard_enum_match_arm, clippy::disallowed_methods)]

mod compile;
mod evaluate;
mod facts;
mod mentions;
mod messages;
mod paths;
mod projection;
mod selector;
mod type_check;

pub use bailiff_cel::Reads;
pub use compile::{CompiledPolicy, FieldError, compile};
pub use evaluate::{EvaluationError, FailedValidation, Input, Verdict, evaluate};
pub use facts::{Ancestor, Ancestors, Container, Process, Script};
pub use paths::path_from_root;
pub use projection::{ProjectionError, project};
pub use selector::{MatchResources, Selector, SelectorError};
pub use type_check::type_check;

#[cfg(test)]
mod tests;
