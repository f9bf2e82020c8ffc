//! From a tree to text.
//!
//! Here: how each node is written, and where brackets are needed (cel-go, parser/unparser.go is the
//! peer). A macro is written as the call that it was. Not here: reading text (`parse`).
//! Invariant: what is written parses to the same tree, as long as it is within the limits of a text;
//! brackets stand only where the tree would be another without them.

use crate::ast::{Comprehension, Expr, Kind, Literal, Tree, op};
use crate::parse::KEYWORDS;
use std::fmt::{self, Write as _};

/// A parsed expression. As text it is written in one way: double quotes, a space around operators,
/// no brackets but those that are needed, no comments. Two are equal when they are the same tree,
/// wherever their parts stand in their texts.
///
/// ```
/// # use bailiff_cel::Env;
/// let env = Env::new([]);
/// let expression = env.parse("( a+b )*c == d.map(x,x.y['z'])")?;
/// assert_eq!(expression.to_string(), r#"(a + b) * c == d.map(x, x.y["z"])"#);
/// assert_eq!(env.parse(&expression.to_string())?, expression);
/// # Ok::<(), bailiff_cel::CompileError>(())
/// ```
pub struct Expression(Tree);

impl Expression {
    pub(crate) fn new(tree: Tree) -> Self {
        Self(tree)
    }

    pub(crate) const fn tree(&self) -> &Tree {
        &self.0
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.walk(|ours| other.0.walk(|theirs| *ours == *theirs))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.walk(|expr| node(f, expr, Level::Conditional))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({self})")
    }
}

/// How tight a node holds together; a looser one needs brackets where a tighter one is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Conditional,
    Or,
    And,
    Relation,
    Sum,
    Product,
    Unary,
    Member,
}

/// The binary operators but `&&` and `||`, each with how it is written.
const BINARY: &[(&str, &str, Level)] = &[
    (op::EQUALS, "==", Level::Relation),
    (op::NOT_EQUALS, "!=", Level::Relation),
    ("_<_", "<", Level::Relation),
    ("_<=_", "<=", Level::Relation),
    ("_>_", ">", Level::Relation),
    ("_>=_", ">=", Level::Relation),
    (op::IN, "in", Level::Relation),
    (op::ADD, "+", Level::Sum),
    ("_-_", "-", Level::Sum),
    ("_*_", "*", Level::Product),
    ("_/_", "/", Level::Product),
    ("_%_", "%", Level::Product),
];

fn binary(function: &str) -> Option<(&'static str, Level)> {
    BINARY
        .iter()
        .find(|(name, ..)| *name == function)
        .map(|(_, text, level)| (*text, *level))
}

impl Level {
    fn of(expr: &Expr) -> Self {
        if expr.macro_name.is_some() {
            return Self::Member;
        }
        match &expr.kind {
            Kind::Call {
                function,
                target: None,
                ..
            } => match function.as_str() {
                op::CONDITIONAL => Self::Conditional,
                op::OR => Self::Or,
                op::AND => Self::And,
                op::NOT | op::NEGATE => Self::Unary,
                other => binary(other).map_or(Self::Member, |(_, level)| level),
            },
            _ => Self::Member,
        }
    }

    /// The next tighter one.
    fn tighter(self) -> Self {
        match self {
            Self::Conditional => Self::Or,
            Self::Or => Self::And,
            Self::And => Self::Relation,
            Self::Relation => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product => Self::Unary,
            Self::Unary | Self::Member => Self::Member,
        }
    }
}

type Written = fmt::Result;
type To<'a, 'b> = &'a mut fmt::Formatter<'b>;

/// Writes a node, in brackets when it is looser than asked for.
fn node(f: To<'_, '_>, expr: &Expr, wanted: Level) -> Written {
    if Level::of(expr) < wanted {
        f.write_char('(')?;
        whole(f, expr)?;
        return f.write_char(')');
    }
    whole(f, expr)
}

fn whole(f: To<'_, '_>, expr: &Expr) -> Written {
    if let Some(name) = expr.macro_name {
        return expanded(f, name, expr);
    }
    match &expr.kind {
        Kind::Literal(value) => literal(f, value),
        Kind::Ident(name) => f.write_str(name),
        Kind::Select {
            operand,
            field: name,
            test,
        } => {
            f.write_str(if *test { "has(" } else { "" })?;
            node(f, operand, Level::Member)?;
            f.write_char('.')?;
            field(f, name)?;
            f.write_str(if *test { ")" } else { "" })
        }
        Kind::Call {
            function,
            target: Some(target),
            arguments,
        } => {
            node(f, target, Level::Member)?;
            write!(f, ".{function}")?;
            list(f, arguments)
        }
        Kind::Call {
            function,
            target: None,
            arguments,
        } => call(f, expr, function, arguments),
        Kind::List(elements) => {
            f.write_char('[')?;
            for (place, (element, optional)) in elements.iter().enumerate() {
                comma(f, place)?;
                f.write_str(if *optional { "?" } else { "" })?;
                node(f, element, Level::Conditional)?;
            }
            f.write_char(']')
        }
        Kind::Map(entries) => {
            f.write_char('{')?;
            for (place, (key, value, optional)) in entries.iter().enumerate() {
                comma(f, place)?;
                f.write_str(if *optional { "?" } else { "" })?;
                node(f, key, Level::Conditional)?;
                f.write_str(": ")?;
                node(f, value, Level::Conditional)?;
            }
            f.write_char('}')
        }
        Kind::Message { name, fields } => {
            write!(f, "{name}{{")?;
            for (place, part) in fields.iter().enumerate() {
                comma(f, place)?;
                f.write_str(if part.optional { "?" } else { "" })?;
                field(f, &part.name)?;
                f.write_str(": ")?;
                node(f, &part.value, Level::Conditional)?;
            }
            f.write_char('}')
        }
        // Only macros make loops.
        Kind::Comprehension(_) => Err(fmt::Error),
    }
}

fn comma(f: To<'_, '_>, place: usize) -> Written {
    f.write_str(if place == 0 { "" } else { ", " })
}

fn list(f: To<'_, '_>, arguments: &[Expr]) -> Written {
    f.write_char('(')?;
    for (place, argument) in arguments.iter().enumerate() {
        comma(f, place)?;
        node(f, argument, Level::Conditional)?;
    }
    f.write_char(')')
}

fn call(f: To<'_, '_>, expr: &Expr, function: &str, arguments: &[Expr]) -> Written {
    match (function, arguments) {
        (op::CONDITIONAL, [condition, then, otherwise]) => {
            node(f, condition, Level::Or)?;
            f.write_str(" ? ")?;
            node(f, then, Level::Or)?;
            f.write_str(" : ")?;
            node(f, otherwise, Level::Conditional)
        }
        (op::AND, [_, _]) => chain(f, expr, function, " && ", Level::And),
        (op::OR, [_, _]) => chain(f, expr, function, " || ", Level::Or),
        (op::NOT, [operand]) => {
            f.write_char('!')?;
            node(f, operand, Level::Member)
        }
        (op::NEGATE, [operand]) => {
            f.write_char('-')?;
            // Of a number it would be the sign.
            if first(operand).starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
                f.write_char('(')?;
                whole(f, operand)?;
                return f.write_char(')');
            }
            node(f, operand, Level::Member)
        }
        (op::INDEX | op::OPT_INDEX, [operand, index]) => {
            node(f, operand, Level::Member)?;
            f.write_str(if function == op::INDEX { "[" } else { "[?" })?;
            node(f, index, Level::Conditional)?;
            f.write_char(']')
        }
        (op::OPT_SELECT, [operand, name]) => {
            node(f, operand, Level::Member)?;
            f.write_str(".?")?;
            match &name.kind {
                Kind::Literal(Literal::String(name)) => field(f, name),
                _ => Err(fmt::Error),
            }
        }
        (name, arguments) => {
            if let (Some((text, level)), [left, right]) = (binary(name), arguments) {
                node(f, left, level)?;
                write!(f, " {text} ")?;
                return node(f, right, level.tighter());
            }
            f.write_str(name)?;
            list(f, arguments)
        }
    }
}

/// `&&` and `||`: the parser makes a tree of least depth of a chain, so a tree that is one is
/// written as a chain, and every other with brackets.
fn chain(f: To<'_, '_>, expr: &Expr, function: &str, text: &str, level: Level) -> Written {
    let mut terms = Vec::new();
    flatten(expr, function, &mut terms);
    if !is_balanced(expr, function, terms.len()) {
        terms = operands(expr, function).into_iter().flatten().collect();
    }
    for (place, term) in terms.iter().enumerate() {
        f.write_str(if place == 0 { "" } else { text })?;
        node(f, term, level.tighter())?;
    }
    Ok(())
}

/// The operands of a binary call of a function, when a node is one.
fn operands<'a>(expr: &'a Expr, function: &str) -> Option<&'a [Expr; 2]> {
    match &expr.kind {
        Kind::Call {
            function: called,
            target: None,
            arguments,
        } if called == function && expr.macro_name.is_none() => {
            arguments.as_slice().try_into().ok()
        }
        _ => None,
    }
}

fn flatten<'a>(expr: &'a Expr, function: &str, terms: &mut Vec<&'a Expr>) {
    match operands(expr, function) {
        Some([left, right]) => {
            flatten(left, function, terms);
            flatten(right, function, terms);
        }
        None => terms.push(expr),
    }
}

/// Whether a tree has the shape that the parser gives to a chain of so many terms
/// (`parse::grammar`, `balance`).
fn is_balanced(expr: &Expr, function: &str, terms: usize) -> bool {
    match operands(expr, function) {
        None => terms == 1,
        Some([left, right]) => {
            let before = (terms.saturating_sub(1) / 2).saturating_add(1);
            let after = terms.saturating_sub(before);
            after > 0 && is_balanced(left, function, before) && is_balanced(right, function, after)
        }
    }
}

/// A macro, by its name and what it became (`parse::macros`).
fn expanded(f: To<'_, '_>, name: &str, expr: &Expr) -> Written {
    match (name, &expr.kind) {
        ("optMap" | "optFlatMap", Kind::Call { arguments, .. }) => {
            let [has, mapped, _] = arguments.as_slice() else {
                return Err(fmt::Error);
            };
            let (
                Kind::Call {
                    target: Some(target),
                    ..
                },
                Some(bound),
            ) = (&has.kind, bound(mapped))
            else {
                return Err(fmt::Error);
            };
            let parts = [&bound.result];
            written(f, target, name, &[&bound.accumulator], &parts)
        }
        ("bind", Kind::Comprehension(c)) => {
            write!(f, "cel.bind({}, ", c.accumulator)?;
            node(f, &c.init, Level::Conditional)?;
            f.write_str(", ")?;
            node(f, &c.result, Level::Conditional)?;
            f.write_char(')')
        }
        ("sortBy", Kind::Comprehension(c)) => {
            let keys = match &c.result.kind {
                Kind::Call { arguments, .. } => arguments.first(),
                _ => None,
            };
            match keys.map(|keys| &keys.kind) {
                Some(Kind::Comprehension(keys)) => {
                    let parts = parts("map", keys).ok_or(fmt::Error)?;
                    written(f, &c.init, name, &[&keys.variable], &parts)
                }
                _ => Err(fmt::Error),
            }
        }
        (_, Kind::Comprehension(c)) => {
            let parts = parts(name, c).ok_or(fmt::Error)?;
            let variables = [Some(&c.variable), c.second.as_ref()];
            let variables: Vec<_> = variables.into_iter().flatten().collect();
            written(f, &c.range, name, &variables, &parts)
        }
        _ => Err(fmt::Error),
    }
}

/// The loop over nothing within `optMap` and `optFlatMap`.
fn bound(mapped: &Expr) -> Option<&Comprehension> {
    match &mapped.kind {
        Kind::Comprehension(bound) => Some(bound),
        Kind::Call { arguments, .. } => match arguments.first().map(|inner| &inner.kind) {
            Some(Kind::Comprehension(bound)) => Some(bound),
            _ => None,
        },
        _ => None,
    }
}

/// The arguments of a macro after its variables.
fn parts<'a>(name: &str, c: &'a Comprehension) -> Option<Vec<&'a Expr>> {
    let Kind::Call {
        function,
        arguments,
        ..
    } = &c.step.kind
    else {
        return None;
    };
    let conditional = function == op::CONDITIONAL;
    match (name, arguments.as_slice()) {
        ("all" | "exists", [_, body]) => Some(vec![body]),
        ("exists_one" | "existsOne" | "filter", [body, _, _]) if conditional => Some(vec![body]),
        (_, [filter, step, _]) if conditional => Some(vec![filter, last(step)?]),
        (_, _) => Some(vec![last(&c.step)?]),
    }
}

/// What a step adds to the accumulator.
fn last(step: &Expr) -> Option<&Expr> {
    let Kind::Call { arguments, .. } = &step.kind else {
        return None;
    };
    let added = arguments.last()?;
    match (&added.kind, step.is_call(op::ADD)) {
        (Kind::List(elements), true) => elements.first().map(|(element, _)| element),
        _ => Some(added),
    }
}

fn written(
    f: To<'_, '_>,
    target: &Expr,
    name: &str,
    variables: &[&String],
    parts: &[&Expr],
) -> Written {
    node(f, target, Level::Member)?;
    write!(f, ".{name}(")?;
    for (place, variable) in variables.iter().enumerate() {
        comma(f, place)?;
        f.write_str(variable)?;
    }
    for part in parts {
        f.write_str(", ")?;
        node(f, part, Level::Conditional)?;
    }
    f.write_char(')')
}

/// The first characters of a literal, or of the one that a node begins with.
fn first(expr: &Expr) -> &'static str {
    match &expr.kind {
        Kind::Literal(Literal::Int(value)) if *value < 0 => "-",
        Kind::Literal(Literal::Double(value)) if value.is_sign_negative() => "-",
        Kind::Literal(Literal::Int(_) | Literal::Double(_)) => "0",
        _ => leftmost(expr).map_or("", first),
    }
}

/// The node that the text of a node begins with.
fn leftmost(expr: &Expr) -> Option<&Expr> {
    if let Some(name) = expr.macro_name {
        return match (name, &expr.kind) {
            ("bind", _) => None,
            ("sortBy", Kind::Comprehension(c)) => Some(&c.init),
            (_, Kind::Comprehension(c)) => Some(&c.range),
            (_, Kind::Call { arguments, .. }) => match arguments.first().map(|has| &has.kind) {
                Some(Kind::Call { target, .. }) => target.as_deref(),
                _ => None,
            },
            _ => None,
        };
    }
    match &expr.kind {
        Kind::Select {
            operand,
            test: false,
            ..
        } => Some(operand),
        Kind::Call {
            target: Some(target),
            ..
        } => Some(target),
        Kind::Call {
            function,
            arguments,
            ..
        } if matches!(
            function.as_str(),
            op::INDEX | op::OPT_INDEX | op::OPT_SELECT
        ) =>
        {
            arguments.first()
        }
        _ => None,
    }
}

/// A field, in backquotes where it is no name.
fn field(f: To<'_, '_>, name: &str) -> Written {
    let plain = name
        .chars()
        .enumerate()
        .all(|(place, c)| c == '_' || c.is_ascii_alphabetic() || place > 0 && c.is_ascii_digit());
    if plain && !KEYWORDS.contains(&name) {
        f.write_str(name)
    } else {
        write!(f, "`{name}`")
    }
}

fn literal(f: To<'_, '_>, value: &Literal) -> Written {
    match value {
        Literal::Null => f.write_str("null"),
        Literal::Bool(value) => write!(f, "{value}"),
        Literal::Int(value) => write!(f, "{value}"),
        Literal::Uint(value) => write!(f, "{value}u"),
        // The fewest digits that are this number, with a point or an exponent.
        Literal::Double(value) => write!(f, "{value:?}"),
        Literal::String(text) => {
            f.write_char('"')?;
            for c in text.chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            f.write_char('"')
        }
        Literal::Bytes(bytes) => {
            f.write_str("b\"")?;
            for byte in bytes.iter() {
                match byte {
                    b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                    b' '..=b'~' => f.write_char(char::from(*byte))?,
                    byte => write!(f, "\\x{byte:02x}")?,
                }
            }
            f.write_char('"')
        }
    }
}
