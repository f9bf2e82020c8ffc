//! From policies and a process, or the images of a pod, to a verdict.
//!
//! Here: label selectors, compiling a `RuntimePolicy` and evaluating it over plain facts, the same for
//! images (`image`). Not here: where facts come from (`sensor`) and what follows from a verdict (`response`).
//! Invariant: a verdict is a function of its arguments; "could not be checked" is a verdict of
//! its own and never "allowed".
#![warn(clippy::wildcard_enum_match_arm, clippy::disallowed_methods)]

mod compile;
mod evaluate;
mod facts;
pub mod image;
mod mentions;
mod messages;
mod parts;
mod paths;
mod projection;
mod selector;
pub mod text;
mod type_check;

pub use bailiff_cel::Reads;
pub use compile::{CompiledPolicy, FieldError, compile};
pub use evaluate::{EvaluationError, FailedValidation, Input, Verdict, evaluate, evaluate_running};
pub use facts::{Ancestor, Ancestors, Container, Process, Script, Stdio};
pub use parts::ProcessParts;
pub use paths::script_path;
pub use projection::{Projection, ProjectionError, project};
pub use selector::{MatchResources, Selector, SelectorError};
pub use type_check::type_check;

#[cfg(test)]
mod tests;
