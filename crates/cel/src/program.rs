//! A compiled expression.
//!
//! Here: what is kept of one. Not here: how it is compiled (`env`), how it runs (`eval`).
//! Invariant: a program is only run with the environment that compiled it.

use crate::plan::Node;
use crate::stack;
use crate::types::Type;
use crate::value::Value;

/// A compiled expression.
pub struct Program {
    pub(crate) source: String,
    pub(crate) result: Type,
    pub(crate) mentions: Vec<String>,
    pub(crate) node: Node,
    /// How many variables of loops it has.
    pub(crate) locals: usize,
    /// How deep evaluation recurses at most, for [`stack::with`]; not counted is how deep values are
    /// that it is given.
    pub(crate) levels: usize,
    /// As [`crate::ast::Expr::wrapped`].
    pub(crate) wrapped: u32,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("source", &self.source)
            .field("result", &self.result)
            .finish_non_exhaustive()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let nothing = Node::Constant(Value::Null);
        let node = std::mem::replace(&mut self.node, nothing);
        stack::with(self.levels, || drop(node));
    }
}

impl Program {
    /// The type of the result.
    #[must_use]
    pub fn result_type(&self) -> &Type {
        &self.result
    }

    /// The text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Which variables and fields it mentions, as `process` and `process.names`; sorted.
    #[must_use]
    pub fn mentions(&self) -> &[String] {
        &self.mentions
    }
}
