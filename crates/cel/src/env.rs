//! An environment: declared variables, named expressions; and compiled programs.
//!
//! Here: the way from text to program. Not here: each step of it (`parse`, `check`).
//! Invariant: a program is only run with the environment that compiled it.

use crate::check::{Node, Scope, check};
use crate::diagnostic::CompileError;
use crate::parse::parse;
use crate::types::Type;

/// Declared variables, and expressions that have a name.
#[derive(Debug)]
pub struct Env {
    variables: Vec<(String, Type)>,
    named_types: Vec<(String, Type)>,
    named: Vec<Program>,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    source: String,
    result: Type,
    mentions: Vec<String>,
    pub(crate) node: Node,
}

impl Env {
    /// An environment with these variables; a variable's place is the slot that
    /// [`crate::Activation::variable`] is asked for.
    #[must_use]
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, Type)>) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, ty)| (name.to_owned(), ty))
                .collect(),
            named_types: Vec::new(),
            named: Vec::new(),
        }
    }

    /// Compiles an expression.
    ///
    /// # Errors
    /// Every fault, with its position. A syntax error is found alone.
    pub fn compile(&self, source: &str) -> Result<Program, CompileError> {
        let expr = parse(source).map_err(|fault| CompileError {
            diagnostics: vec![fault],
        })?;
        let scope = Scope {
            variables: &self.variables,
            named: &self.named_types,
        };
        let (node, result, mentions) =
            check(source, &expr, &scope).map_err(|diagnostics| CompileError { diagnostics })?;
        Ok(Program {
            source: source.to_owned(),
            result,
            mentions,
            node,
        })
    }

    /// Gives an expression a name: later ones use it as `variables.NAME`. It is computed when
    /// first used and at most once in an [`crate::Evaluation`]. One that does not compile has
    /// type `dyn` for those that use it, so that a fault is said once.
    ///
    /// # Errors
    /// Every fault, with its position.
    pub fn define(&mut self, name: &str, source: &str) -> Result<(), CompileError> {
        let compiled = self.compile(source);
        let (program, result) = match compiled {
            Ok(program) => (program, Ok(())),
            Err(error) => {
                let node = Node::Constant(crate::Value::Null);
                let stand_in = Program {
                    source: source.to_owned(),
                    result: Type::Dyn,
                    mentions: Vec::new(),
                    node,
                };
                (stand_in, Err(error))
            }
        };
        self.named_types
            .push((name.to_owned(), program.result.clone()));
        self.named.push(program);
        result
    }

    /// The named expressions, in the order of their definition.
    #[must_use]
    pub fn named(&self) -> &[Program] {
        &self.named
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
