//! From text to a tree.
//!
//! Here: tokens (`lexer`), grammar (`grammar`), what macros become (`macros`). Not here: what
//! names mean (`check`).
//! Invariant: a tree is at most a few times [`DEPTH_LIMIT`] deep, so whatever walks it may
//! recurse.

mod grammar;
mod lexer;
mod macros;

pub(crate) use grammar::{KEYWORDS, parse};
pub(crate) use macros::Macros;

/// How deep an expression may be nested. cel-go's parser allows 250; each level costs several
/// calls here, and 100 keeps them all within the smallest stack of a thread (2 MiB).
pub(crate) const DEPTH_LIMIT: usize = 100;

/// Most characters of an expression (cel-go, parser/options.go,
/// `defaultExpressionSizeCodePointLimit`).
pub(crate) const SIZE_LIMIT: usize = 100_000;
