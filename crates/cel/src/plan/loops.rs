//! Loops.
//!
//! Here: their parts, and which of them are `all` and `exists`. Not here: what macros become
//! (`parse::macros`), how loops run (`eval::fold`).
//! Invariant: a quantifier means and costs what its loop does.

use super::{Node, Planned, Planner, accumulator};
use crate::ast::Comprehension;
use crate::value::Value;

/// Any loop.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) range: Node,
    /// Place of the accumulator; the variables follow.
    pub(crate) slot: usize,
    pub(crate) two: bool,
    pub(crate) init: Node,
    pub(crate) condition: Node,
    pub(crate) step: Node,
    pub(crate) result: Node,
}

/// A loop that asks the same of each element until one decides.
#[derive(Debug)]
pub(crate) struct Quantifier {
    pub(crate) range: Node,
    /// Place of the accumulator, which is not used; the variables follow.
    pub(crate) slot: usize,
    pub(crate) two: bool,
    /// What ends the loop: false for `all`, true for `exists`.
    pub(crate) deciding: bool,
    pub(crate) predicate: Node,
}

impl Planner<'_> {
    pub(super) fn fold(&self, c: &Comprehension) -> Planned {
        let fold = Fold {
            init: self.node(&c.init)?,
            range: self.node(&c.range)?,
            condition: self.node(&c.condition)?,
            step: self.node(&c.step)?,
            result: self.node(&c.result)?,
            slot: self
                .checked
                .slots
                .get(&c.init.id)
                .copied()
                .unwrap_or_default(),
            two: c.second.is_some(),
        };
        Ok(quantifier(fold).map_or_else(Node::Fold, |quantifier| {
            Node::Quantifier(Box::new(quantifier))
        }))
    }
}

/// A loop as `all` or `exists`, where it is one.
fn quantifier(fold: Fold) -> Result<Quantifier, Box<Fold>> {
    let is_ours = |node: &Node| accumulator(node) == Some(fold.slot);
    let deciding = match (&fold.init, &fold.condition, &fold.step) {
        (
            Node::Constant(Value::Bool(true)),
            Node::NotStrictlyFalse(going),
            Node::And(before, _),
        ) if is_ours(going) && is_ours(before) => false,
        (
            Node::Constant(Value::Bool(false)),
            Node::NotStrictlyFalse(going),
            Node::Or(before, _),
        ) if is_negated(going, is_ours) && is_ours(before) => true,
        _ => return Err(Box::new(fold)),
    };
    if !is_ours(&fold.result) {
        return Err(Box::new(fold));
    }
    match fold.step {
        Node::And(_, predicate) | Node::Or(_, predicate) => Ok(Quantifier {
            range: fold.range,
            slot: fold.slot,
            two: fold.two,
            deciding,
            predicate: *predicate,
        }),
        step => Err(Box::new(Fold { step, ..fold })),
    }
}

fn is_negated(node: &Node, inner: impl Fn(&Node) -> bool) -> bool {
    match node {
        Node::Not(call) => matches!(call.arguments.as_slice(), [one] if inner(one)),
        _ => false,
    }
}
