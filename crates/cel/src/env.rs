//! An environment: declared variables, functions of a release, named expressions.
//!
//! Here: what is declared, the way from text to program. Not here: each step of it (`parse`, `check`,
//! `plan`), what a name means (`names`).
//! Invariant: an expression with a fault makes no program.

mod names;

use crate::ast::Expr;
use crate::check::{Checked, check};
use crate::cost::{self, Range, Sizes};
use crate::diagnostic::{CompileError, Diagnostic};
use crate::eval::ComputedPatterns;
use crate::library::{Function, Library, Overload};
use crate::parse::{Macros, parse};
use crate::plan::plan;
use crate::print::Expression;
use crate::program::Program;
use crate::stack;
use crate::types::Type;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub(crate) use names::type_of;

/// The newest minor release of Kubernetes 1 whose environment is known.
pub const NEWEST_RELEASE: u32 = 37;
/// The oldest one.
pub const OLDEST_RELEASE: u32 = 30;

/// How deep the values of named expressions may be in all; the API server's engine has no such
/// limit, and ends with its stack.
const WRAPPED_LIMIT: u32 = 1000;

/// The name that named expressions are used by.
pub(crate) const VARIABLES: &str = "variables";

/// Declared variables, and expressions that have a name.
#[expect(
    clippy::struct_excessive_bools,
    reason = "options of the language, each on its own"
)]
#[derive(Debug)]
pub struct Env {
    variables: Vec<(String, Type)>,
    named_types: Vec<(String, Type)>,
    named: Vec<Named>,
    library: Arc<Library>,
    macros: Macros,
    /// Where names are looked for first.
    pub(crate) container: String,
    /// Whether lists and maps that stand in an expression must have one type of elements.
    pub(crate) homogeneous: bool,
    composed: bool,
    /// The specification's own environment: keys of maps are checked, and asking for a field of
    /// what has none is an error.
    pub(crate) strict: bool,
    /// Whether a field that is called like a word of the language may be written so
    /// (k8s.io/apiserver v0.37.2, pkg/cel/environment/environment.go).
    pub(crate) keyword_fields: bool,
    /// Whether there are the types of a `MutatingAdmissionPolicy`.
    pub(crate) mutation: bool,
    declared: HashMap<&'static str, Function>,
    /// How many lists, maps and optionals are within each other at most in the value of a named
    /// expression.
    pub(crate) wrapped: u32,
    /// Patterns that evaluations computed.
    pub(crate) computed_patterns: ComputedPatterns,
    /// The types that variables are made of, by their names.
    structures: OnceLock<HashMap<String, Type>>,
}

/// A named expression; one with a fault fails when it is used.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) program: Result<Program, String>,
    /// As [`Env::wrapped`], of this one.
    wrapped: u32,
}

impl Env {
    /// The newest environment of Kubernetes with these variables; a variable's place is the slot
    /// that [`crate::Activation::variable`] is asked for.
    #[must_use]
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, Type)>) -> Self {
        Self::for_release(NEWEST_RELEASE, variables)
    }

    /// The environment of a minor release of Kubernetes 1: 37 is that of 1.37. Releases before
    /// [`OLDEST_RELEASE`] have the functions of that one, later ones than [`NEWEST_RELEASE`]
    /// those of the newest.
    #[must_use]
    pub fn for_release<'a>(
        minor: u32,
        variables: impl IntoIterator<Item = (&'a str, Type)>,
    ) -> Self {
        static LIBRARIES: [OnceLock<Arc<Library>>; 8] = [const { OnceLock::new() }; 8];
        let minor = minor.clamp(OLDEST_RELEASE, NEWEST_RELEASE);
        let place = usize::try_from(minor.saturating_sub(OLDEST_RELEASE)).unwrap_or_default();
        let made = || Arc::new(Library::of(minor, false));
        let library = LIBRARIES
            .get(place)
            .map_or_else(made, |l| Arc::clone(l.get_or_init(made)));
        let macros = Macros {
            optionals: true,
            two_variables: minor >= 32,
            sort_by: minor >= 34,
            bind: false,
            quoted_fields: true,
        };
        let mut env = Self::with(library, macros, variables);
        env.keyword_fields = minor >= 31;
        env
    }

    /// The environment of the language's own conformance tests: lists of mixed types, `math`,
    /// `base64`, `cel.bind`, and a container that names are looked for in first.
    #[must_use]
    pub fn specification<'a>(
        container: &str,
        variables: impl IntoIterator<Item = (&'a str, Type)>,
    ) -> Self {
        static LIBRARY: OnceLock<Arc<Library>> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| Arc::new(Library::of(NEWEST_RELEASE, true)));
        let macros = Macros {
            optionals: true,
            two_variables: true,
            sort_by: true,
            bind: true,
            quoted_fields: true,
        };
        let mut env = Self::with(Arc::clone(library), macros, variables);
        container.clone_into(&mut env.container);
        env.homogeneous = false;
        env.composed = false;
        env.strict = true;
        env
    }

    fn with<'a>(
        library: Arc<Library>,
        macros: Macros,
        variables: impl IntoIterator<Item = (&'a str, Type)>,
    ) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, ty)| (name.to_owned(), ty))
                .collect(),
            named_types: Vec::new(),
            named: Vec::new(),
            library,
            macros,
            container: String::new(),
            homogeneous: true,
            composed: true,
            strict: false,
            keyword_fields: true,
            mutation: false,
            declared: HashMap::new(),
            wrapped: 0,
            computed_patterns: ComputedPatterns::default(),
            structures: OnceLock::new(),
        }
    }

    /// Compiles an expression.
    ///
    /// # Errors
    /// Every fault, with its position. A syntax error is found alone.
    pub fn compile(&self, source: &str) -> Result<Program, CompileError> {
        self.compiled(source, true)
    }

    /// Compiles an expression without looking at types: everything is chosen at run time.
    ///
    /// # Errors
    /// A syntax error.
    pub fn compile_unchecked(&self, source: &str) -> Result<Program, CompileError> {
        self.compiled(source, false)
    }

    /// Parses an expression; nothing is looked up, so names need not be declared.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(&self, source: &str) -> Result<Expression, CompileError> {
        Ok(Expression::new(parse(source, self.macros)?))
    }

    fn compiled(&self, source: &str, strict: bool) -> Result<Program, CompileError> {
        let tree = parse(source, self.macros)?;
        tree.walk(|expr| {
            let mut checked = check(source, expr, tree.nodes, self);
            if strict && !checked.faults.is_empty() {
                return Err(checked.faults.into_error());
            }
            let result = checked.types.get(expr.id).cloned().unwrap_or(Type::Dyn);
            let node = plan(source, expr, &checked, self, strict)?;
            Ok(Program {
                source: source.to_owned(),
                result,
                mentions: std::mem::take(&mut checked.mentions),
                node,
                locals: checked.locals,
                levels: stack::levels(expr.depth.saturating_add(expr.wrapped)),
                wrapped: expr.wrapped,
            })
        })
    }

    /// The type of an expression, without a program of it: constants are not computed.
    ///
    /// # Errors
    /// Every fault, with its position. A syntax error is found alone.
    pub fn check(&self, source: &str) -> Result<Type, CompileError> {
        self.checked(source, |expr, checked| {
            checked.types.get(expr.id).cloned().unwrap_or(Type::Dyn)
        })
    }

    /// What an expression costs at least and at most, as far as sizes are known; the API server's
    /// estimate. What named expressions cost is not part of it.
    ///
    /// ```
    /// use bailiff_cel::cost::{Range, SizesByPath, Unknown};
    /// use bailiff_cel::{Env, Type};
    ///
    /// let env = Env::new([("names", Type::list(Type::String))]);
    /// let all = "names.all(name, name != 'root')";
    /// let unknown = env.estimate(all, &Unknown)?;
    /// assert_eq!((unknown.min, unknown.max), (2, u64::MAX));
    /// let sizes = SizesByPath::default().at_most("names", 100).at_most("names.@items", 63);
    /// assert_eq!(env.estimate(all, &sizes)?, Range { min: 2, max: 502 });
    /// # Ok::<(), bailiff_cel::CompileError>(())
    /// ```
    ///
    /// # Errors
    /// Every fault, with its position. A syntax error is found alone.
    pub fn estimate(&self, source: &str, sizes: &dyn Sizes) -> Result<Range, CompileError> {
        self.checked(source, |expr, checked| {
            cost::estimate(expr, &checked.types, &checked.references, self, sizes)
        })
    }

    /// What is made of an expression whose types are right.
    fn checked<T>(
        &self,
        source: &str,
        make: impl FnOnce(&Expr, &Checked) -> T,
    ) -> Result<T, CompileError> {
        let tree = parse(source, self.macros)?;
        tree.walk(|expr| {
            let checked = check(source, expr, tree.nodes, self);
            if !checked.faults.is_empty() {
                return Err(checked.faults.into_error());
            }
            Ok(make(expr, &checked))
        })
    }

    /// Gives an expression a name for checks of others; where it has a fault it is `dyn` to them.
    pub(crate) fn define_type(&mut self, name: &str, source: &str) {
        let ty = self
            .check(source)
            .map_or(Type::Dyn, |found| found.of_named());
        self.named_types.retain(|(known, _)| known != name);
        self.named_types.push((name.to_owned(), ty));
    }

    /// Gives an expression a name: later ones use it as `variables.NAME`. It is computed when
    /// first used and at most once in an [`crate::Evaluation`]. One that does not compile has
    /// type `dyn` for those that use it, so that a fault is said once, and fails when it is used.
    ///
    /// # Errors
    /// Every fault, with its position; and where the values of named expressions would be deeper within
    /// each other than can be gone through.
    pub fn define(&mut self, name: &str, source: &str) -> Result<(), CompileError> {
        let mutation = std::mem::take(&mut self.mutation);
        let mut compiled = self.compile(source);
        self.mutation = mutation;
        let wrapped = compiled
            .as_ref()
            .map_or(0, |program| self.wrapped_by(program));
        if wrapped > WRAPPED_LIMIT {
            let message = format!(
                "lists, maps and optionals would be nested more than {WRAPPED_LIMIT} levels in variables"
            );
            compiled = Err(Diagnostic::of_whole(message).into());
        }
        // One that is defined anew is what those in between use.
        self.wrapped = if self.named.iter().any(|named| named.name == name) {
            self.wrapped.saturating_add(wrapped)
        } else {
            self.wrapped.max(wrapped)
        };
        let ty = compiled
            .as_ref()
            .map_or(Type::Dyn, |program| program.result.of_named());
        let error = compiled.as_ref().err().cloned();
        // Of two with one name the later counts.
        self.named_types.retain(|(known, _)| known != name);
        self.named_types.push((name.to_owned(), ty));
        self.named.push(Named {
            name: name.to_owned(),
            program: compiled.map_err(|error| error.of_named()),
            wrapped,
        });
        error.map_or(Ok(()), Err)
    }

    /// How deep the value of a program may be, with the named expressions that it uses.
    fn wrapped_by(&self, program: &Program) -> u32 {
        let deepest = program.mentions.iter().filter_map(|mentioned| {
            let name = mentioned.strip_prefix(VARIABLES)?;
            match name.strip_prefix('.') {
                Some(name) => {
                    let mut found = self.named.iter().filter(|named| named.name == name);
                    found.next_back().map(|named| named.wrapped)
                }
                None => Some(self.wrapped),
            }
        });
        program.wrapped.saturating_add(deepest.max().unwrap_or(0))
    }

    /// Declares a function that expressions may be checked with; it can't be evaluated. What is
    /// [`Type::Param`] is a type parameter, numbered from 0. It hides the functions that have the
    /// name already.
    pub fn declare(
        &mut self,
        name: &'static str,
        id: &'static str,
        arguments: &[Type],
        result: &Type,
    ) {
        let function = self.declared.entry(name).or_insert_with(|| Function {
            name,
            runs: Vec::new(),
            overloads: Vec::new(),
        });
        function
            .overloads
            .push(Overload::declared(id, arguments, result));
    }

    #[cfg(test)]
    pub(crate) fn macros(&self) -> Macros {
        self.macros
    }

    /// The named expressions that compiled, in the order of their definition.
    pub fn named(&self) -> impl Iterator<Item = &Program> {
        self.named
            .iter()
            .filter_map(|named| named.program.as_ref().ok())
    }

    pub(crate) fn all_named(&self) -> &[Named] {
        &self.named
    }
}
