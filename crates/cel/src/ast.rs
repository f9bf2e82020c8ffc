//! The tree that the parser makes.
//!
//! Here: its shape; macros are expanded already. Not here: types and slots (`check`, `plan`), its
//! text (`print`).
//! Invariant: each node has a number of its own, and the byte offset that it is reported at.

use crate::stack;
use std::sync::Arc;

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    /// Index into the tables of the checker.
    pub(crate) id: usize,
    /// Byte offset in the source.
    pub(crate) at: usize,
    pub(crate) kind: Kind,
    /// The macro whose call this was before it was expanded; its arguments are in the expansion.
    pub(crate) macro_name: Option<&'static str>,
    /// How many operators, fields, methods and indexes are within each other here, as the API
    /// server counts them: before macros are expanded.
    pub(crate) nesting: u16,
    /// How many nodes are within each other here; a leaf is 1.
    pub(crate) depth: u32,
    /// How many lists, maps, messages and optionals are within each other at most in its value, beside
    /// those of the values that it is given.
    pub(crate) wrapped: u32,
}

/// Two nodes are the same when they mean the same and were written by the same macros, wherever
/// they stand.
impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.macro_name == other.macro_name && self.kind == other.kind
    }
}

impl Expr {
    /// A node that counts for nothing but what is in it.
    pub(crate) fn new(id: usize, at: usize, kind: Kind) -> Self {
        let (mut nesting, mut depth) = (0, 0);
        let (mut deepest, mut all) = (0, 0_u32);
        kind.each(&mut |part| {
            nesting = part.nesting.max(nesting);
            depth = part.depth.max(depth);
            deepest = part.wrapped.max(deepest);
            all = all.saturating_add(part.wrapped);
        });
        let wrapped = match &kind {
            Kind::Literal(_) | Kind::Ident(_) => 0,
            Kind::Select { .. } => deepest,
            Kind::Call { function, .. } => deepest.saturating_add(u32::from(op::wraps(function))),
            Kind::List(_) | Kind::Map(_) | Kind::Message { .. } => deepest.saturating_add(1),
            // What a loop goes over may be in what each of its turns makes.
            Kind::Comprehension(_) => all.saturating_add(1),
        };
        Self {
            id,
            at,
            kind,
            macro_name: None,
            nesting,
            depth: depth.saturating_add(1),
            wrapped,
        }
    }

    /// How many nodes there are from here on.
    pub(crate) fn count(&self) -> usize {
        let mut count = 1_usize;
        self.kind
            .each(&mut |part| count = count.saturating_add(part.count()));
        count
    }

    /// Whether it is a call of this function, without a target.
    pub(crate) fn is_call(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Call { function, target: None, .. } if function == name)
    }
}

/// A whole expression. Walking it and letting go of it takes no more stack than there is.
pub(crate) struct Tree {
    /// Absent only while it is dropped.
    expr: Option<Expr>,
    /// How many nodes there are.
    pub(crate) nodes: usize,
}

impl Tree {
    pub(crate) fn new(expr: Expr, nodes: usize) -> Self {
        let expr = Some(expr);
        Self { expr, nodes }
    }

    /// Gives the tree to something that recurses through it.
    pub(crate) fn walk<T>(&self, walk: impl FnOnce(&Expr) -> T) -> T {
        let nothing = Expr::new(0, 0, Kind::Literal(Literal::Null));
        let expr = self.expr.as_ref().unwrap_or(&nothing);
        stack::with(stack::levels(expr.depth), || walk(expr))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Some(expr) = self.expr.take() {
            stack::with(stack::levels(expr.depth), || drop(expr));
        }
    }
}

/// A value that stands in the source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Literal(Literal),
    Ident(String),
    /// `operand.field`; with `test` it is `has(operand.field)`.
    Select {
        operand: Box<Expr>,
        field: String,
        test: bool,
    },
    /// A function, a method or an operator; operators are called as in cel-go, `_+_`.
    Call {
        function: String,
        target: Option<Box<Expr>>,
        arguments: Vec<Expr>,
    },
    /// Elements, each with whether it is optional (`[?x]`).
    List(Vec<(Expr, bool)>),
    /// Entries, each with whether it is optional (`{?k: v}`).
    Map(Vec<(Expr, Expr, bool)>),
    /// `a.b.C{field: value}`; it is reported at its opening brace.
    Message {
        name: String,
        fields: Vec<Field>,
    },
    /// What macros become.
    Comprehension(Box<Comprehension>),
}

/// A field of a message that is made.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Byte offset of its colon, where it is reported.
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) value: Expr,
    /// Whether it is optional (`?field: value`).
    pub(crate) optional: bool,
}

/// As nodes are: wherever it stands.
impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.optional == other.optional && self.value == other.value
    }
}

impl Kind {
    /// Gives each part, in the order of the text where there is one.
    fn each(&self, visit: &mut dyn FnMut(&Expr)) {
        match self {
            Self::Literal(_) | Self::Ident(_) => {}
            Self::Select { operand, .. } => visit(operand),
            Self::Call {
                target, arguments, ..
            } => target.iter().map(|t| &**t).chain(arguments).for_each(visit),
            Self::List(elements) => elements.iter().for_each(|(element, _)| visit(element)),
            Self::Map(entries) => {
                for (key, value, _) in entries {
                    visit(key);
                    visit(value);
                }
            }
            Self::Message { fields, .. } => fields.iter().for_each(|field| visit(&field.value)),
            Self::Comprehension(c) => {
                for part in [&c.range, &c.init, &c.condition, &c.step, &c.result] {
                    visit(part);
                }
            }
        }
    }
}

/// A loop over a list or a map with an accumulator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comprehension {
    pub(crate) range: Expr,
    /// The element or the key; with a second variable the index or the key.
    pub(crate) variable: String,
    /// The element or the value.
    pub(crate) second: Option<String>,
    pub(crate) accumulator: String,
    pub(crate) init: Expr,
    /// Goes on while this is not false.
    pub(crate) condition: Expr,
    pub(crate) step: Expr,
    pub(crate) result: Expr,
}

/// Names of operators, as in cel-go (common/operators/operators.go).
pub(crate) mod op {
    pub(crate) const CONDITIONAL: &str = "_?_:_";
    pub(crate) const AND: &str = "_&&_";
    pub(crate) const OR: &str = "_||_";
    pub(crate) const NOT: &str = "!_";
    pub(crate) const NEGATE: &str = "-_";
    pub(crate) const ADD: &str = "_+_";
    pub(crate) const EQUALS: &str = "_==_";
    pub(crate) const NOT_EQUALS: &str = "_!=_";
    pub(crate) const IN: &str = "@in";
    pub(crate) const INDEX: &str = "_[_]";
    pub(crate) const OPT_INDEX: &str = "_[?_]";
    pub(crate) const OPT_SELECT: &str = "_?._";
    pub(crate) const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
    pub(crate) const MAP_INSERT: &str = "cel.@mapInsert";

    /// Whether a function may make an optional or a list of what it is given. Operators do not, but
    /// for those of optionals.
    pub(crate) fn wraps(function: &str) -> bool {
        matches!(function, OPT_INDEX | OPT_SELECT)
            || function.starts_with(|c: char| c.is_alphabetic())
    }
}
