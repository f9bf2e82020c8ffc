//! From text to a tree.
//!
//! Here: tokens (`lexer`), grammar (`grammar`, `aggregates`), what macros become (`macros`). Not here: what
//! names mean (`check`).
//! Invariant: a tree knows its depth, so whoever walks it can ask for the stack that it takes
//! (`stack`).

mod aggregates;
mod grammar;
mod lexer;
mod macros;

pub(crate) use grammar::{KEYWORDS, RESERVED, parse};
pub(crate) use macros::{ACCUMULATOR, Macros};

/// How deep an expression may be nested (cel-go v0.29.2, parser/parser.go, `maxRecursionDepth`). It
/// holds twice: for the rules of one kind that the parser is within at a time, and for the
/// operators, fields, methods and indexes that are within each other in the text.
pub(crate) const DEPTH_LIMIT: usize = 250;

/// Most characters of an expression (cel-go v0.29.2, parser/parser.go,
/// `expressionSizeCodePointLimit`).
pub(crate) const SIZE_LIMIT: usize = 100_000;

/// Most nodes of a tree with its macros expanded. The API server has no such limit, and takes twice
/// the memory for each `optMap` more in a chain; no text without a chain of them comes near.
pub(crate) const NODES_LIMIT: usize = 1_000_000;
