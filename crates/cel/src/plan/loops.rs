//! Loops.
//!
//! Here: their parts, which of them are `all` and `exists`, and which steps add to what they made. Not here: what macros become
//! (`parse::macros`), how loops run (`eval::fold`).
//! Invariant: a quantifier, and a step that adds in place, mean and cost what their loop does.

use super::{Node, Planned, Planner, Root, accumulator};
use crate::ast::{Comprehension, op};
use crate::parse::ACCUMULATOR;
use crate::value::{List, Value};

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
        Ok(match quantifier(fold, &c.accumulator) {
            Ok(quantifier) => Node::Quantifier(Box::new(quantifier)),
            Err(fold) => Node::Fold(Box::new(Fold {
                step: in_place(fold.step, fold.slot),
                ..*fold
            })),
        })
    }
}

/// A loop as `all` or `exists`, where it is one.
///
/// Precondition: the predicate does not read the accumulator, which has no value then. That holds for
/// the name that macros give it, because no source can write it; any other name may be read.
fn quantifier(fold: Fold, accumulator_name: &str) -> Result<Quantifier, Box<Fold>> {
    if accumulator_name != ACCUMULATOR {
        return Err(Box::new(fold));
    }
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

/// A step that adds to the loop's list or map, as one that does so without copying it.
///
/// Precondition: what is added to is the accumulator of this very loop, and what the node gives is what
/// the step gives, or a branch of the condition that the step is. Then its value takes the place of
/// the accumulator that was emptied for it before anything reads that. `x + [e]` of any other variable,
/// or within a larger step, is a call.
fn in_place(step: Node, slot: usize) -> Node {
    match step {
        Node::Attribute(mut attribute) if attribute.qualifiers.is_empty() && !attribute.test => {
            if let Root::Conditional(_, then, otherwise) = &mut attribute.root {
                for branch in [then, otherwise] {
                    let before = std::mem::replace(branch, Node::Constant(Value::Null));
                    *branch = in_place(before, slot);
                }
            }
            Node::Attribute(attribute)
        }
        Node::Call(mut call) if call.arguments.first().and_then(accumulator) == Some(slot) => {
            let arguments = std::mem::take(&mut call.arguments);
            added(call.name, slot, arguments).unwrap_or_else(|arguments| {
                call.arguments = arguments;
                Node::Call(call)
            })
        }
        other => other,
    }
}

/// A call that adds something to this variable, as a node that does so in place; else its arguments.
///
/// Precondition: one element that is there in any case; `[?e]` may have none.
fn added(name: &str, slot: usize, mut arguments: Vec<Node>) -> Result<Node, Vec<Node>> {
    let append = |element: Node, cost| Node::Append {
        slot,
        element: Box::new(element),
        cost,
    };
    match (name, arguments.as_mut_slice()) {
        (op::ADD, [_, Node::List(elements)]) if matches!(elements.as_slice(), [(_, false)]) => {
            match elements.pop() {
                // The list costs ten, reading the accumulator and adding to it one each.
                Some((element, _)) => Ok(append(element, 12)),
                None => Err(arguments),
            }
        }
        (op::ADD, [_, Node::Constant(Value::List(List::Made(made)))]) if made.len() == 1 => {
            match made.first() {
                Some(element) => Ok(append(Node::Constant(element.clone()), 2)),
                None => Err(arguments),
            }
        }
        (op::MAP_INSERT, [_, _] | [_, _, _]) => {
            let value = arguments.pop();
            let key = if arguments.len() > 1 {
                arguments.pop()
            } else {
                None
            };
            match value {
                Some(value) => Ok(Node::Insert {
                    slot,
                    key: key.map(Box::new),
                    value: Box::new(value),
                }),
                None => Err(arguments),
            }
        }
        _ => Err(arguments),
    }
}

fn is_negated(node: &Node, inner: impl Fn(&Node) -> bool) -> bool {
    match node {
        Node::Not(call) => matches!(call.arguments.as_slice(), [one] if inner(one)),
        _ => false,
    }
}
