//! The Common Expression Language as Kubernetes speaks it: parse, check, evaluate.
//!
//! Here: the language, its functions and its costs as the API server has them. Not here: what an
//! expression is about; whoever uses the crate declares its variables and their types. The crate
//! knows nothing of Bailiff.
//! Invariant: an expression that compiled can not panic, loop or exceed its budget, whatever it
//! is given.
//!
//! ```
//! use bailiff_cel::{Activation, Env, Evaluation, Type, Value};
//!
//! struct Pod { replicas: i64 }
//! impl Activation for Pod {
//!     fn variable(&self, slot: usize) -> Option<Value<'_>> {
//!         (slot == 0).then_some(Value::Int(self.replicas))
//!     }
//! }
//!
//! let env = Env::new([("replicas", Type::Int)]);
//! let program = env.compile("replicas > 3")?;
//! assert_eq!(program.result_type(), &Type::Bool);
//! let pod = Pod { replicas: 5 };
//! let mut evaluation = Evaluation::new(&env, &pod, 1_000);
//! assert_eq!(evaluation.run(&program), Ok(Value::Bool(true)));
//! # Ok::<(), bailiff_cel::CompileError>(())
//! ```
//!
//! # JSON is read where it lies
//!
//! ```
//! # use bailiff_cel::{Activation, Env, Evaluation, Type, Value};
//! struct Object(serde_json::Value);
//! impl Activation for Object {
//!     fn variable(&self, slot: usize) -> Option<Value<'_>> {
//!         (slot == 0).then(|| Value::from_json(&self.0))
//!     }
//! }
//!
//! let env = Env::new([("object", Type::Dyn)]);
//! let program = env.compile("object.metadata.?labels.?app.orValue('none') == 'web'")?;
//! let object = Object(serde_json::json!({"metadata": {"labels": {"app": "web"}}}));
//! let mut evaluation = Evaluation::new(&env, &object, 1_000);
//! assert_eq!(evaluation.run(&program), Ok(Value::Bool(true)));
//! # Ok::<(), bailiff_cel::CompileError>(())
//! ```
//!
//! # What is wrong is said with its place
//!
//! ```
//! # use bailiff_cel::{Env, Type};
//! let env = Env::new([("replicas", Type::Int)]);
//! let Err(error) = env.compile("replica > 3") else { panic!() };
//! assert_eq!(
//!     error.to_string(),
//!     "1:1: undeclared reference to 'replica' (in container ''); did you mean 'replicas'?\n \
//!      | replica > 3\n | ^"
//! );
//! ```
//!
//! # What costs too much ends with an error
//!
//! ```
//! # use bailiff_cel::{Activation, Env, Evaluation, Value};
//! # struct Nothing;
//! # impl Activation for Nothing {
//! #     fn variable(&self, _: usize) -> Option<Value<'_>> { None }
//! # }
//! let env = Env::new([]);
//! let program = env.compile("[1, 2, 3].all(x, x > 0)")?;
//! let mut evaluation = Evaluation::new(&env, &Nothing, 10);
//! assert!(evaluation.run(&program).is_err());
//! # Ok::<(), bailiff_cel::CompileError>(())
//! ```
#![allow(
    clippy::map_err_ignore,
    reason = "an error of the standard library says less than the position and the words of ours"
)]
#![allow(
    clippy::match_same_arms,
    clippy::too_many_lines,
    reason = "tables of the language: one arm for each of its rules"
)]
#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice
)]

pub mod admission;
mod ast;
pub mod authorizer;
mod check;
pub mod cost;
mod diagnostic;
mod env;
mod eval;
mod library;
mod message;
mod parse;
mod plan;
mod print;
mod program;
mod reads;
pub mod schema;
mod stack;
mod types;
mod value;

pub use diagnostic::{CompileError, Diagnostic};
pub use env::{Env, NEWEST_RELEASE, OLDEST_RELEASE};
pub use eval::{EvalError, Evaluation, LIMIT};
pub use library::{Authorization, Opaque};
pub use print::Expression;
pub use program::Program;
pub use reads::{Reads, reads};
pub use types::{ObjectType, Type};
pub use value::{
    Activation, Bytes, GoType, Joined, List, MadeMap, Map, Merged, Message, MessageKind, Object,
    Sequence, Text, Time, Value,
};

#[cfg(test)]
mod tests;
