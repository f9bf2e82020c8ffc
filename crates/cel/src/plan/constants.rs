//! What is known before anything is evaluated.
//!
//! Here: literals, lists and maps of them, the sets behind `in`. Not here: calls of functions with
//! constants (`plan`).
//! Invariant: what is made here costs at run time what it would cost if it were computed there.

use super::Node;
use crate::ast::Literal;
use crate::eval::EvalError;
use crate::library::go_text;
use crate::value::{Bytes, List, MadeMap, Map, Text, Value, equal};
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
pub(super) fn membership(node: Node, list: List<'static>) -> Result<Node, (Node, List<'static>)> {
    if list.is_empty() {
        return Ok(Node::Constant(Value::Bool(false)));
    }
    let scalar = |value: &Value<'_>| {
        matches!(
            value,
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::String(_)
        )
    };
    if !list.iter().all(|value| scalar(&value)) {
        return Err((node, list));
    }
    let mut values: Vec<Value<'static>> = list.iter().collect();
    // Text is looked up by halves; a few values of other types are looked at one by one.
    if values.iter().all(|value| matches!(value, Value::String(_))) {
        values.sort_by(|a, b| crate::value::order(a, b).unwrap_or(std::cmp::Ordering::Equal));
    }
    Ok(Node::InSet(Box::new(node), values))
}

/// Whether a value is one of those of [`Node::InSet`].
pub(crate) fn is_member(values: &[Value<'static>], wanted: &Value<'_>) -> bool {
    if let (Value::String(text), [Value::String(_), ..]) = (wanted, values) {
        return values
            .binary_search_by(|value| match value {
                Value::String(known) => (**known).cmp(&**text),
                _ => std::cmp::Ordering::Less,
            })
            .is_ok();
    }
    values.iter().any(|value| equal(value, wanted))
}
