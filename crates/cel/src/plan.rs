//! From a checked tree to one that is evaluated: every name has its place, what is constant is
//! computed.
//!
//! Here: the nodes, and the choices that the API server's planner makes as well (cel-go,
//! interpreter/planner.go, decorators.go), because costs follow from them. Not here: evaluation.
//! Invariant: a planned tree refers to nothing by name but keys of data, and a node that stands for
//! another means and costs what that would. What has to hold for it is said where it is made, under
//! "Precondition"; `tests` has an expression for each that is wrong without it.

mod attribute;
mod constants;
mod loops;
mod names;

use crate::ast::{Expr, Kind, Literal, op};
use crate::check::{Checked, Reference, qualified};
use crate::diagnostic::Diagnostic;
use crate::env::Env;
use crate::eval::EvalError;
use crate::library::{Cost, Effort, Run, regexes};
use crate::message::Maker;
use crate::types::{ObjectType, Type};
use crate::value::Value;
use attribute::attribute;
use constants::{constant, list, map, membership};
use regex::Regex;
use std::cell::RefCell;
use std::collections::HashMap;

pub(crate) use attribute::{Attribute, Field, Key, Qualifier, Root};
pub(crate) use constants::Members;
pub(crate) use loops::{Fold, Quantifier};
pub(crate) use names::{go_name, not_a_key};

/// A node that can be evaluated.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    /// A variable or a value, and what is read of it.
    Attribute(Box<Attribute>),
    Call(Box<Call>),
    /// A call whose pattern stands in the expression.
    Pattern(Box<Call>, Regex),
    /// `in` with a list that stands in the expression.
    InSet(Box<Node>, Members),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    /// `!`, with its operand.
    Not(Box<Call>),
    /// `==` or `!=`, with both operands and what they give for equal values.
    Equality(Box<Call>, bool),
    NotStrictlyFalse(Box<Node>),
    /// `or` and `orValue` of optionals; with the second the value itself is given.
    OptionalOr(Box<Node>, Box<Node>, bool),
    List(Vec<(Node, bool)>),
    /// Entries, each with whether it is optional; whether keys are checked.
    Map(Vec<(Node, Node, bool)>, bool),
    /// Fields by their names, each with whether it is optional.
    Message(Maker, Vec<(String, Node, bool)>),
    /// Adds an element to the list of a loop, which it takes out of its place (`loops::in_place`).
    Append {
        slot: usize,
        element: Box<Node>,
        cost: u64,
    },
    /// Adds an entry to the map of a loop, or all entries of a map; as `Append`.
    Insert {
        slot: usize,
        key: Option<Box<Node>>,
        value: Box<Node>,
    },
    Fold(Box<Fold>),
    /// `all` and `exists`.
    Quantifier(Box<Quantifier>),
    /// What compiles only without a check.
    Fail(String),
    /// A constant that can't be made: it costs nothing to find that out.
    Broken(EvalError),
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<Run>,
    pub(crate) cost: Cost,
    pub(crate) effort: Effort,
    pub(crate) arguments: Vec<Node>,
    /// Which overload is meant is known only at run time, and then arguments are evaluated up to
    /// the first error.
    pub(crate) by_number: bool,
    /// The types that the meant overloads are for, and what each gives: data may be of others.
    pub(crate) guards: Option<Vec<(Vec<Type>, Type)>>,
}

/// Plans a tree.
///
/// # Errors
/// What is constant and has no value, such as `int('a')`.
pub(crate) fn plan(
    source: &str,
    expr: &Expr,
    checked: &Checked,
    env: &Env,
    strict: bool,
) -> Result<Node, Diagnostic> {
    let planner = Planner {
        source,
        checked,
        env,
        strict,
        patterns: RefCell::default(),
    };
    planner.node(expr)
}

struct Planner<'a> {
    source: &'a str,
    checked: &'a Checked,
    env: &'a Env,
    strict: bool,
    patterns: RefCell<Patterns>,
}

/// The patterns of an expression so far.
#[derive(Default)]
struct Patterns {
    known: HashMap<String, Regex>,
    /// What compiling them took, as `regexes::effort` counts it.
    steps: u64,
}

type Planned = Result<Node, Diagnostic>;

/// Functions that turn one type into another; of a constant they are computed at once.
const CONVERSIONS: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "string",
    "timestamp",
    "type",
    "uint",
];

impl Planner<'_> {
    fn reference(&self, expr: &Expr) -> Option<&Reference> {
        self.checked.references.get(expr.id)?.as_ref()
    }

    fn named(&self, expr: &Expr) -> Option<Node> {
        let root = match self.reference(expr)? {
            Reference::Variable(place) => Root::Variable(*place),
            Reference::Local(place) => Root::Local(*place),
            Reference::Named => Root::Named,
            Reference::Type(name) => return Some(Node::Constant(Value::Type(name))),
            Reference::Constant(_, number) => return Some(Node::Constant(Value::Int(*number))),
            Reference::UnknownType | Reference::Message(_) | Reference::Function { .. } => {
                return None;
            }
        };
        let mut attribute = Attribute::of(root);
        attribute.hidden = self.checked.hidden.contains(&expr.id);
        Some(Node::Attribute(attribute))
    }

    /// The API server's planner takes a variable whose value is a type for the name of one, and
    /// does not know all names of types that its checker knows (cel-go v0.29.2,
    /// interpreter/planner.go, `planCheckedIdent`).
    fn is_taken_for_type(&self, expr: &Expr) -> bool {
        let unknown = match self.reference(expr) {
            Some(Reference::Local(_) | Reference::UnknownType) => true,
            Some(Reference::Type(name)) => {
                matches!(*name, "timestamp" | "duration") || self.checked.hidden.contains(&expr.id)
            }
            _ => false,
        };
        let is_type = matches!(self.checked.types.get(expr.id), Some(Type::Type(_)));
        self.strict && !self.env.strict && unknown && is_type
    }

    fn node(&self, expr: &Expr) -> Planned {
        match &expr.kind {
            Kind::Literal(literal) => Ok(Node::Constant(constant(literal))),
            Kind::Ident(name) if self.is_taken_for_type(expr) => {
                // Of one that a variable of a loop hides the dot is looked for as well.
                let name = match name.strip_prefix('.') {
                    Some(plain) if !self.checked.hidden.contains(&expr.id) => plain,
                    _ => name,
                };
                let message = format!("reference to undefined type: {name}");
                Err(Diagnostic::of_constant(self.source, expr.at, message))
            }
            Kind::Ident(name) => Ok(self.named(expr).unwrap_or_else(|| {
                let name = name.strip_prefix('.').unwrap_or(name);
                Node::Fail(format!("no such attribute(s): {name}"))
            })),
            Kind::Select {
                operand,
                field,
                test,
            } => {
                if self.is_taken_for_type(expr)
                    && let Some(Reference::UnknownType) = self.reference(expr)
                    && let Some(name) = qualified(expr)
                {
                    let name = name.strip_prefix('.').unwrap_or(&name);
                    let name = name.strip_prefix('.').unwrap_or(name);
                    let message = format!("reference to undefined type: {name}");
                    return Err(Diagnostic::of_constant(self.source, expr.at, message));
                }
                if let Some(node) = self.named(expr) {
                    return Ok(node);
                }
                let key = self.field(operand, field);
                let mut attribute = attribute(self.node(operand)?);
                attribute.push(key, false);
                attribute.test = *test;
                Ok(Node::Attribute(attribute))
            }
            Kind::Call {
                function,
                target,
                arguments,
            } => self.call(expr, function, target.as_deref(), arguments),
            Kind::List(elements) => {
                let mut nodes = Vec::with_capacity(elements.len());
                for (element, optional) in elements {
                    nodes.push((self.node(element)?, *optional));
                }
                Ok(list(nodes))
            }
            Kind::Map(entries) => {
                let mut nodes = Vec::with_capacity(entries.len());
                for (key, value, optional) in entries {
                    nodes.push((self.node(key)?, self.node(value)?, *optional));
                }
                Ok(map(nodes, self.env.strict))
            }
            Kind::Message { name, fields } => {
                let Some(Reference::Message(whole)) = self.reference(expr) else {
                    let message = format!("unknown type: {name}");
                    return Err(Diagnostic::of_constant(self.source, expr.at, message));
                };
                let maker = Maker::of(whole, self.env.mutation);
                let mut nodes = Vec::with_capacity(fields.len());
                for field in fields {
                    nodes.push((field.name.clone(), self.node(&field.value)?, field.optional));
                }
                Ok(Node::Message(maker, nodes))
            }
            Kind::Comprehension(comprehension) => self.fold(comprehension),
        }
    }

    fn field(&self, operand: &Expr, name: &str) -> Key {
        let declared = match self.checked.types.get(operand.id) {
            Some(Type::Object(object)) if is_message(object) => return Key::Typed(name.to_owned()),
            Some(Type::Object(object)) => object.field(name).map(|(place, _)| place),
            _ => None,
        };
        Key::Field(Field::new(name, declared))
    }

    fn call(
        &self,
        expr: &Expr,
        function: &str,
        target: Option<&Expr>,
        arguments: &[Expr],
    ) -> Planned {
        if function == op::OPT_SELECT
            && let [operand, field] = arguments
            && let Kind::Literal(Literal::String(name)) = &field.kind
        {
            let key = match self.field(operand, name) {
                Key::Typed(name) => Key::Field(Field::new(name, None)),
                key => key,
            };
            let mut attribute = attribute(self.node(operand)?);
            attribute.push(key, true);
            return Ok(Node::Attribute(attribute));
        }
        let (name, overload) =
            if let Some(Reference::Function { name, overloads }) = self.reference(expr) {
                let only = match overloads.as_slice() {
                    [one] => Some(*one),
                    _ => None,
                };
                (*name, only)
            } else {
                let message = format!("no such overload: {function}");
                return Ok(Node::Fail(message));
            };
        let takes_target = !name.contains('.') || name.starts_with("cel.@");
        let mut nodes = Vec::with_capacity(arguments.len().saturating_add(1));
        for argument in target.filter(|_| takes_target).into_iter().chain(arguments) {
            nodes.push(self.node(argument)?);
        }
        self.special(expr, name, overload, nodes)
    }

    /// Operators that do not evaluate all of their operands, and what is known already.
    fn special(
        &self,
        expr: &Expr,
        name: &'static str,
        overload: Option<&'static str>,
        mut nodes: Vec<Node>,
    ) -> Planned {
        let (third, second, first) = match nodes.len() {
            1 => (None, None, nodes.pop()),
            2 => (None, nodes.pop(), nodes.pop()),
            3 => (nodes.pop(), nodes.pop(), nodes.pop()),
            _ => (None, None, None),
        };
        match (name, first, second, third) {
            (op::AND, Some(a), Some(b), None) => Ok(Node::And(Box::new(a), Box::new(b))),
            (op::OR, Some(a), Some(b), None) => Ok(Node::Or(Box::new(a), Box::new(b))),
            (op::NOT_STRICTLY_FALSE, Some(a), None, None) => {
                Ok(Node::NotStrictlyFalse(Box::new(a)))
            }
            (op::CONDITIONAL, Some(a), Some(b), Some(c)) => {
                Ok(Node::Attribute(Attribute::of(Root::Conditional(a, b, c))))
            }
            (op::INDEX | op::OPT_INDEX, Some(a), Some(b), None) => {
                let key = match b {
                    Node::Constant(Value::String(text)) => Key::Field(Field::new(&*text, None)),
                    Node::Constant(value) => {
                        if self.strict
                            && !self.env.strict
                            && let Some(kind) = not_a_key(&value)
                        {
                            let message = format!("invalid qualifier type: {kind}");
                            return Err(Diagnostic::of_constant(self.source, expr.at, message));
                        }
                        Key::Constant(value)
                    }
                    other => Key::Computed(other),
                };
                let mut attribute = attribute(a);
                attribute.push(key, name == op::OPT_INDEX);
                Ok(Node::Attribute(attribute))
            }
            ("or", Some(a), Some(b), None)
                if overload.is_none_or(|o| o == "optional_or_optional") =>
            {
                Ok(Node::OptionalOr(Box::new(a), Box::new(b), false))
            }
            ("orValue", Some(a), Some(b), None) => {
                Ok(Node::OptionalOr(Box::new(a), Box::new(b), true))
            }
            (op::IN, Some(a), Some(Node::Constant(Value::List(list))), None)
                if overload == Some("in_list") =>
            {
                Ok(membership(a, list).unwrap_or_else(|(a, list)| {
                    let nodes = vec![a, Node::Constant(Value::List(list))];
                    self.plain(name, overload, nodes)
                }))
            }
            (name, Some(Node::Constant(value)), None, None) if CONVERSIONS.contains(&name) => {
                self.converted(expr, name, overload, &value)
            }
            (name @ ("matches" | "find" | "findAll"), Some(a), Some(b), third) => {
                let regex = match &b {
                    Node::Constant(Value::String(pattern)) => match self.pattern(pattern) {
                        Ok(regex) => Some(regex),
                        Err(error) if self.strict => {
                            return Err(Diagnostic::of_constant(self.source, expr.at, error));
                        }
                        Err(_) => None,
                    },
                    _ => None,
                };
                let nodes = [Some(a), Some(b), third].into_iter().flatten().collect();
                let call = self.made(name, overload, nodes);
                Ok(match regex {
                    Some(regex) => Node::Pattern(Box::new(call), regex),
                    None => Node::Call(Box::new(call)),
                })
            }
            (name, first, second, third) => {
                let few = [first, second, third].into_iter().flatten();
                let nodes = few.chain(nodes).collect();
                Ok(self.plain(name, overload, nodes))
            }
        }
    }

    /// A pattern that stands in the expression, compiled once however often it does.
    ///
    /// Precondition: the pattern is a constant, so the call's other arguments decide nothing about it.
    fn pattern(&self, pattern: &str) -> Result<Regex, String> {
        let mut patterns = self.patterns.borrow_mut();
        if let Some(regex) = patterns.known.get(pattern) {
            return Ok(regex.clone());
        }
        patterns.steps = patterns.steps.saturating_add(regexes::effort(pattern));
        if patterns.steps > regexes::PATTERNS_LIMIT {
            return Err("the patterns of this expression would take too much memory".to_owned());
        }
        let regex = regexes::compile(pattern)?;
        patterns.known.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }

    fn made(&self, name: &'static str, overload: Option<&str>, arguments: Vec<Node>) -> Call {
        let function = self.env.function(name);
        let singleton = !name.starts_with(|c: char| c.is_ascii_alphabetic())
            || matches!(
                name,
                "size"
                    | "sort"
                    | "type"
                    | "dyn"
                    | "contains"
                    | "startsWith"
                    | "endsWith"
                    | "matches"
            )
            || name.contains('.');
        let lists = matches!(name, "isSorted" | "sum" | "max" | "min" | "join");
        let guarded = lists || (overload.is_some() && !singleton && name != "flatten");
        let guards = function.filter(|_| guarded).map(|function| {
            let meant = function
                .overloads
                .iter()
                .filter(|o| overload.is_none_or(|id| id == o.id));
            meant
                .map(|o| (o.arguments.clone(), o.result.clone()))
                .collect()
        });
        Call {
            name,
            runs: function.map_or_else(Vec::new, |function| function.runs.clone()),
            cost: Cost::of(name, overload),
            effort: Effort::of(name),
            arguments,
            // `format` is bound as a function of any number of arguments.
            by_number: overload.is_none() && !singleton || name == "format",
            guards,
        }
    }

    fn plain(&self, name: &'static str, overload: Option<&str>, arguments: Vec<Node>) -> Node {
        let call = Box::new(self.made(name, overload, arguments));
        match (name, call.arguments.as_slice()) {
            (op::NOT, [_]) => Node::Not(call),
            (op::EQUALS, [_, _]) => Node::Equality(call, true),
            (op::NOT_EQUALS, [_, _]) => Node::Equality(call, false),
            _ => Node::Call(call),
        }
    }

    fn converted(
        &self,
        expr: &Expr,
        name: &'static str,
        overload: Option<&str>,
        value: &Value<'static>,
    ) -> Planned {
        let call = self.made(name, overload, Vec::new());
        match crate::eval::apply(&call, std::slice::from_ref(value)) {
            Ok(value) => Ok(Node::Constant(value)),
            Err(error) if self.strict => Err(Diagnostic::of_constant(
                self.source,
                expr.at,
                error.to_string(),
            )),
            Err(error) => Ok(Node::Fail(error.to_string())),
        }
    }
}

/// Whether fields of a type are read by the type, and not by the value: those of an object of a
/// `MutatingAdmissionPolicy`, and of protobuf's messages.
fn is_message(object: &ObjectType) -> bool {
    object.has_any_field() || object.name().starts_with("google.protobuf.")
}

/// The place of a loop's variable, when a node is nothing else.
fn accumulator(node: &Node) -> Option<usize> {
    match node {
        Node::Attribute(attribute) => match &**attribute {
            Attribute {
                root: Root::Local(slot),
                qualifiers,
                test: false,
                ..
            } if qualifiers.is_empty() => Some(*slot),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
