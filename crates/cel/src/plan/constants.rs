//! What is known before anything is evaluated.
//!
//! Here: literals, lists and maps of them, the sets behind `in`. Not here: calls of functions with
//! constants (`plan`).
//! Invariant: what is made here costs at run time what it would cost if it were computed there.

use super::Node;
use crate::ast::Literal;
use crate::value::{Bytes, List, Map, Text, Value, equal};

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
    let values: Option<Vec<_>> = nodes
        .iter()
        .map(|(node, optional)| match node {
            Node::Constant(value) if !optional => Some(value.clone()),
            _ => None,
        })
        .collect();
    values.map_or(Node::List(nodes), |values| {
        Node::Constant(Value::list(values))
    })
}

pub(super) fn map(nodes: Vec<(Node, Node, bool)>, strict: bool) -> Node {
    if strict {
        return Node::Map(nodes, true);
    }
    let entries: Option<Vec<_>> = nodes
        .iter()
        .map(|node| match node {
            (Node::Constant(key), Node::Constant(value), false) => {
                Some((key.clone(), value.clone()))
            }
            _ => None,
        })
        .collect();
    entries.map_or(Node::Map(nodes, false), |entries| {
        Node::Constant(Value::Map(Map::of(entries)))
    })
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
