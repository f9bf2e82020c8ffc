//! What is known before anything is evaluated.
//!
//! Here: literals, lists and maps of them, the sets behind `in`. Not here: calls of functions with
//! constants (`plan`).
//! Invariant: what is made here costs at run time what it would cost if it were computed there.

use super::Node;
use crate::ast::Literal;
use crate::eval::EvalError;
use crate::library::go_text;
use crate::value::{Bytes, List, MadeMap, Map, Text, Value, number};
use std::sync::Arc;

pub(super) fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Uint(value) => Value::Uint(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::String(text) => Value::String(Text::Shared(text.clone())),
        Literal::Bytes(bytes) => Value::Bytes(Bytes::Shared(bytes.clone())),
    }
}

/// A list, made at once where it can be.
///
/// Precondition: every element is known. One that can't be made is an error where it is evaluated, and
/// not before: something else may decide without it.
pub(super) fn list(nodes: Vec<(Node, bool)>) -> Node {
    let is_known = |node: &Node| matches!(node, Node::Constant(_) | Node::Broken(_));
    if !nodes.iter().all(|(node, _)| is_known(node)) {
        return Node::List(nodes);
    }
    let mut values = Vec::with_capacity(nodes.len());
    for (node, optional) in &nodes {
        match (node, optional) {
            (Node::Constant(Value::Optional(value)), true) => {
                values.extend(value.iter().map(|value| (**value).clone()));
            }
            (Node::Constant(value), true) => {
                return Node::Broken(EvalError::no_optional("list element", value));
            }
            (Node::Constant(value), false) => values.push(value.clone()),
            (Node::Broken(error), _) => return Node::Broken(error.clone()),
            _ => return Node::List(nodes),
        }
    }
    Node::Constant(Value::list(values))
}

/// A map, made at once where it can be.
///
/// Precondition: every key and every value is known, as in a list, and keys need no check.
pub(super) fn map(nodes: Vec<(Node, Node, bool)>, strict: bool) -> Node {
    let is_known = |node: &Node| matches!(node, Node::Constant(_) | Node::Broken(_));
    let known = |(key, value, _): &(Node, Node, bool)| is_known(key) && is_known(value);
    if strict || !nodes.iter().all(known) {
        return Node::Map(nodes, strict);
    }
    let mut made = MadeMap::default();
    for node in &nodes {
        match node {
            (Node::Constant(key), Node::Constant(Value::Optional(value)), true) => match value {
                Some(value) => drop(made.insert(key.clone(), (**value).clone())),
                None => made.remove(key),
            },
            (Node::Constant(key), Node::Constant(value), true) => {
                let entry = format!("entry '{}'", go_text(key));
                return Node::Broken(EvalError::no_optional(&entry, value));
            }
            (Node::Constant(key), Node::Constant(value), false) => {
                made.insert(key.clone(), value.clone());
            }
            (Node::Broken(error), _, _) | (_, Node::Broken(error), _) => {
                return Node::Broken(error.clone());
            }
            _ => return Node::Map(nodes, strict),
        }
    }
    Node::Constant(Value::Map(Map::Made(Arc::new(made))))
}

/// `in` with a constant list of scalars; of an empty one nothing is evaluated.
///
/// Precondition: all elements are scalars, which are equal or not and never an error. Null, times, lists
/// and the like are compared one by one by the call.
pub(super) fn membership(node: Node, list: List<'static>) -> Result<Node, (Node, List<'static>)> {
    if list.is_empty() {
        return Ok(Node::Constant(Value::Bool(false)));
    }
    match Members::of(&list) {
        Some(members) => Ok(Node::InSet(Box::new(node), members)),
        None => Err((node, list)),
    }
}

/// What is in a list that stands in the expression.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Sorted, because it is looked up by halves.
    texts: Vec<Text<'static>>,
    /// A few values of other types, which are looked at one by one.
    others: Vec<Value<'static>>,
}

impl Members {
    /// The members that these elements stand for. A number stands for its like of the other kinds as
    /// well, where converting makes one: of an `int` the nearest `double`, of a `double` a whole number
    /// only where it is the same (cel-go v0.29.2, interpreter/decorators.go, `maybeOptimizeSetMembership`).
    fn of(list: &List<'static>) -> Option<Self> {
        let mut members = Self::default();
        for element in list.iter() {
            match &element {
                Value::String(text) => {
                    members.texts.push(text.clone());
                    continue;
                }
                Value::Bool(_) => {}
                Value::Int(_) | Value::Uint(_) | Value::Double(_) => {
                    members.others.extend(number::nearest(&element));
                }
                _ => return None,
            }
            members.others.push(element);
        }
        members.texts.sort_unstable_by(|a, b| str::cmp(a, b));
        Some(members)
    }

    /// Whether a value is one of them, of the same type.
    pub(crate) fn contain(&self, wanted: &Value<'_>) -> bool {
        if let Value::String(text) = wanted {
            let found = self.texts.binary_search_by(|known| (**known).cmp(&**text));
            return found.is_ok();
        }
        self.others.iter().any(|known| match (known, wanted) {
            (Value::Bool(known), Value::Bool(wanted)) => known == wanted,
            (known, wanted) => number::is_same(known, wanted),
        })
    }
}
