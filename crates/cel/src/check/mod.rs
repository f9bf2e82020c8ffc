//! From a tree to a typed tree with every name resolved.
//!
//! Here: scopes, types of nodes, fields and variables by their place. Not here: rules for
//! functions and operators (`call`).
//! Invariant: a checked tree refers to nothing by name but keys of data; all faults are found,
//! not the first alone.

mod call;

use crate::ast::{Expr, Fold, Kind};
use crate::diagnostic::{Diagnostic, near};
use crate::eval::Function;
use crate::types::Type;
use crate::value::Value;

/// A node that can be evaluated.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    /// A variable of the environment, by its place.
    Variable(usize),
    /// A named expression of the environment, by its place.
    Named(usize),
    /// A variable of a macro, by its distance from the bottom of the stack.
    Local(usize),
    /// A field of a declared structure, by its place; the name is for errors.
    Field {
        operand: Box<Node>,
        index: usize,
        name: String,
        optional: bool,
    },
    /// A key of data.
    Key {
        operand: Box<Node>,
        name: String,
        optional: bool,
    },
    /// Whether a field of a declared structure is there.
    HasField {
        operand: Box<Node>,
        index: usize,
    },
    /// Whether a key of data is there.
    HasKey {
        operand: Box<Node>,
        name: String,
    },
    Index {
        operand: Box<Node>,
        index: Box<Node>,
        optional: bool,
    },
    Call {
        function: Function,
        arguments: Vec<Node>,
    },
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Conditional(Box<Node>, Box<Node>, Box<Node>),
    Fold {
        fold: Fold,
        range: Box<Node>,
        filter: Option<Box<Node>>,
        body: Box<Node>,
    },
}

/// What names mean.
pub(crate) struct Scope<'a> {
    pub(crate) variables: &'a [(String, Type)],
    pub(crate) named: &'a [(String, Type)],
}

/// A node with its type.
pub(crate) type Typed = (Node, Type);

/// Checks a tree; the node, its type, and which variables and fields it mentions.
pub(crate) fn check(
    source: &str,
    expr: &Expr,
    scope: &Scope<'_>,
) -> Result<(Node, Type, Vec<String>), Vec<Diagnostic>> {
    let mut checker = Checker {
        source,
        scope,
        locals: Vec::new(),
        faults: Vec::new(),
        mentions: Vec::new(),
    };
    let (node, ty) = checker.node(expr);
    if checker.faults.is_empty() {
        checker.mentions.sort();
        checker.mentions.dedup();
        Ok((node, ty, checker.mentions))
    } else {
        Err(checker.faults)
    }
}

struct Checker<'a> {
    source: &'a str,
    scope: &'a Scope<'a>,
    locals: Vec<(String, Type)>,
    faults: Vec<Diagnostic>,
    mentions: Vec<String>,
}

impl Checker<'_> {
    /// Notes a fault; the value that stands in fits everywhere, so one fault is said once.
    fn fault(&mut self, at: usize, message: String, help: Option<String>) -> Typed {
        self.faults
            .push(Diagnostic::new(self.source, at, message).with_help(help));
        (Node::Constant(Value::Null), Type::Dyn)
    }

    fn node(&mut self, expr: &Expr) -> Typed {
        match &expr.kind {
            Kind::Null => (Node::Constant(Value::Null), Type::Null),
            Kind::Bool(value) => (Node::Constant(Value::Bool(*value)), Type::Bool),
            Kind::Int(value) => (Node::Constant(Value::Int(*value)), Type::Int),
            Kind::Uint(value) => (Node::Constant(Value::Uint(*value)), Type::Uint),
            Kind::Double(value) => (Node::Constant(Value::Double(*value)), Type::Double),
            Kind::String(value) => (Node::Constant(Value::from(value.clone())), Type::String),
            Kind::Bytes(value) => (
                Node::Constant(Value::Bytes(value.clone().into())),
                Type::Bytes,
            ),
            Kind::Ident(name) => self.identifier(expr.at, name),
            Kind::Select {
                operand,
                field,
                optional,
            } => self.select(expr.at, operand, field, *optional),
            Kind::Has { operand, field } => self.has(expr.at, operand, field),
            Kind::Index {
                operand,
                index,
                optional,
            } => self.index(expr.at, operand, index, *optional),
            Kind::Call {
                function,
                target,
                arguments,
            } => self.call(expr.at, function, target.as_deref(), arguments),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::And(a, b) => (
                Node::And(self.bool(a, "_&&_"), self.bool(b, "_&&_")),
                Type::Bool,
            ),
            Kind::Or(a, b) => (
                Node::Or(self.bool(a, "_||_"), self.bool(b, "_||_")),
                Type::Bool,
            ),
            Kind::Conditional(condition, then, otherwise) => {
                let condition = self.bool(condition, "_?_:_");
                let (then, a) = self.node(then);
                let (otherwise, b) = self.node(otherwise);
                if !a.fits(&b) {
                    let message = format!(
                        "found no matching overload for '_?_:_' applied to '(bool, {a}, {b})'"
                    );
                    return self.fault(expr.at, message, None);
                }
                (
                    Node::Conditional(condition, Box::new(then), Box::new(otherwise)),
                    a.join(&b),
                )
            }
            Kind::Comprehension {
                fold,
                range,
                variable,
                filter,
                body,
            } => self.comprehension(*fold, range, variable, filter.as_deref(), body),
        }
    }

    /// A node that must be a bool.
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "every caller stores the box"
    )]
    fn bool(&mut self, expr: &Expr, function: &str) -> Box<Node> {
        let (node, ty) = self.node(expr);
        if !ty.fits(&Type::Bool) {
            self.fault(
                expr.at,
                format!("expected type 'bool' but found '{ty}'"),
                Some(format!("'{function}' takes bool")),
            );
        }
        Box::new(node)
    }

    fn identifier(&mut self, at: usize, name: &str) -> Typed {
        if let Some((index, (_, ty))) = self
            .locals
            .iter()
            .enumerate()
            .rev()
            .find(|(_, local)| local.0 == name)
        {
            return (Node::Local(index), ty.clone());
        }
        if let Some((slot, (_, ty))) = self
            .scope
            .variables
            .iter()
            .enumerate()
            .find(|(_, variable)| variable.0 == name)
        {
            self.mentions.push(name.to_owned());
            return (Node::Variable(slot), ty.clone());
        }
        if let Some(name) = call::type_value(name) {
            return (Node::Constant(Value::Type(name)), Type::Type);
        }
        let names = self
            .locals
            .iter()
            .chain(self.scope.variables)
            .map(|(name, _)| name.as_str());
        let help = near(name, names);
        self.fault(
            at,
            format!("undeclared reference to '{name}' (in container '')"),
            help,
        )
    }

    /// The path that a chain of fields spells, for [`crate::Program::mentions`].
    fn path(&self, expr: &Expr) -> Option<String> {
        match &expr.kind {
            Kind::Ident(name) if !self.locals.iter().any(|local| local.0 == *name) => {
                Some(name.clone())
            }
            Kind::Select { operand, field, .. } => Some(format!("{}.{field}", self.path(operand)?)),
            _ => None,
        }
    }

    fn mention(&mut self, operand: &Expr, field: &str) {
        if let Some(path) = self.path(operand) {
            self.mentions.push(format!("{path}.{field}"));
        }
    }

    fn select(&mut self, at: usize, operand: &Expr, field: &str, optional: bool) -> Typed {
        if let Kind::Ident(name) = &operand.kind
            && name == "variables"
            && !self.locals.iter().any(|local| local.0 == *name)
        {
            return self.named(at, field);
        }
        self.mention(operand, field);
        let (operand, ty) = self.node(operand);
        let (ty, through) = match ty {
            Type::Optional(inner) => (*inner, true),
            ty => (ty, false),
        };
        let operand = Box::new(operand);
        let wrap = |ty: Type| {
            if optional || through {
                Type::optional(ty)
            } else {
                ty
            }
        };
        match &ty {
            Type::Object(object) => {
                if let Some((index, ty)) = object.field(field) {
                    (
                        Node::Field {
                            operand,
                            index,
                            name: field.to_owned(),
                            optional: optional || through,
                        },
                        wrap(ty.clone()),
                    )
                } else {
                    let help = near(field, object.names());
                    self.fault(at, format!("undefined field '{field}'"), help)
                }
            }
            Type::Map(_, value) => (
                Node::Key {
                    operand,
                    name: field.to_owned(),
                    optional: optional || through,
                },
                wrap((**value).clone()),
            ),
            Type::Dyn => (
                Node::Key {
                    operand,
                    name: field.to_owned(),
                    optional: optional || through,
                },
                wrap(Type::Dyn),
            ),
            other => self.fault(
                at,
                format!("type '{other}' does not support field selection"),
                None,
            ),
        }
    }

    fn named(&mut self, at: usize, name: &str) -> Typed {
        if let Some((index, (_, ty))) = self
            .scope
            .named
            .iter()
            .enumerate()
            .find(|(_, named)| named.0 == name)
        {
            (Node::Named(index), ty.clone())
        } else {
            let help = near(name, self.scope.named.iter().map(|(name, _)| name.as_str()));
            self.fault(at, format!("undefined field '{name}'"), help)
        }
    }

    fn has(&mut self, at: usize, operand: &Expr, field: &str) -> Typed {
        self.mention(operand, field);
        let (operand, ty) = self.node(operand);
        let ty = if let Type::Optional(inner) = ty {
            *inner
        } else {
            ty
        };
        match &ty {
            Type::Object(object) => {
                if let Some((index, _)) = object.field(field) {
                    (
                        Node::HasField {
                            operand: Box::new(operand),
                            index,
                        },
                        Type::Bool,
                    )
                } else {
                    let help = near(field, object.names());
                    self.fault(at, format!("undefined field '{field}'"), help)
                }
            }
            Type::Map(..) | Type::Dyn => (
                Node::HasKey {
                    operand: Box::new(operand),
                    name: field.to_owned(),
                },
                Type::Bool,
            ),
            other => self.fault(
                at,
                format!("type '{other}' does not support field selection"),
                None,
            ),
        }
    }

    fn index(&mut self, at: usize, operand: &Expr, index: &Expr, optional: bool) -> Typed {
        let (operand, ty) = self.node(operand);
        let (index, key) = self.node(index);
        let (ty, through) = match ty {
            Type::Optional(inner) => (*inner, true),
            ty => (ty, false),
        };
        let found = match &ty {
            Type::List(element) if key.fits(&Type::Int) => (**element).clone(),
            Type::Map(wanted, value) if key.fits(wanted) => (**value).clone(),
            Type::Dyn => Type::Dyn,
            _ => {
                return self.fault(
                    at,
                    format!("found no matching overload for '_[_]' applied to '({ty}, {key})'"),
                    None,
                );
            }
        };
        let optional = optional || through;
        let ty = if optional {
            Type::optional(found)
        } else {
            found
        };
        (
            Node::Index {
                operand: Box::new(operand),
                index: Box::new(index),
                optional,
            },
            ty,
        )
    }

    fn list(&mut self, elements: &[(Expr, bool)]) -> Typed {
        let mut joined: Option<Type> = None;
        let mut nodes = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            let (node, ty) = self.node(element);
            let ty = match ty {
                Type::Optional(inner) if *optional => *inner,
                ty => ty,
            };
            joined = Some(match joined {
                None => ty,
                Some(before) => before.join(&ty),
            });
            nodes.push((node, *optional));
        }
        (Node::List(nodes), Type::list(joined.unwrap_or(Type::Dyn)))
    }

    fn map(&mut self, entries: &[(Expr, Expr, bool)]) -> Typed {
        let mut joined: Option<(Type, Type)> = None;
        let mut nodes = Vec::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let (key, key_type) = self.node(key);
            let (value, value_type) = self.node(value);
            let value_type = match value_type {
                Type::Optional(inner) if *optional => *inner,
                ty => ty,
            };
            joined = Some(match joined {
                None => (key_type, value_type),
                Some((keys, values)) => (keys.join(&key_type), values.join(&value_type)),
            });
            nodes.push((key, value, *optional));
        }
        let (keys, values) = joined.unwrap_or((Type::Dyn, Type::Dyn));
        (
            Node::Map(nodes),
            Type::Map(Box::new(keys), Box::new(values)),
        )
    }

    fn comprehension(
        &mut self,
        fold: Fold,
        range: &Expr,
        variable: &str,
        filter: Option<&Expr>,
        body: &Expr,
    ) -> Typed {
        let at = range.at;
        let (range, ty) = self.node(range);
        let element = match &ty {
            Type::List(element) => (**element).clone(),
            Type::Map(key, _) => (**key).clone(),
            Type::Dyn => Type::Dyn,
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                return self.fault(at, message, None);
            }
        };
        self.locals.push((variable.to_owned(), element.clone()));
        let filter = filter.map(|filter| self.bool(filter, "map"));
        let (body_node, result) = match fold {
            Fold::All | Fold::Exists | Fold::ExistsOne => {
                (self.bool(body, "all, exists"), Type::Bool)
            }
            Fold::Filter => (self.bool(body, "filter"), Type::list(element)),
            Fold::Map => {
                let (node, ty) = self.node(body);
                (Box::new(node), Type::list(ty))
            }
        };
        self.locals.pop();
        (
            Node::Fold {
                fold,
                range: Box::new(range),
                filter,
                body: body_node,
            },
            result,
        )
    }
}
