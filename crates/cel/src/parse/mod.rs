//! From text to a tree.
//!
//! Here: tokens (`lexer`) and grammar (`grammar`). Not here: what names mean (`check`).
//! Invariant: a tree is at most [`DEPTH_LIMIT`] deep, so whatever walks it may recurse.

mod grammar;
mod lexer;

pub(crate) use grammar::parse;

/// How deep an expression may be nested. cel-go's parser allows 250; each level costs several
/// calls here, and 100 keeps them all within the smallest stack of a thread (2 MiB).
pub(crate) const DEPTH_LIMIT: usize = 100;
