//! What is true or false, and known without making a value of it.
//!
//! Here: `&&`, `||`, `!`, `==`, `!=`, `in` with a constant list, `all` and `exists`, which most of a
//! policy is. Not here: loops (`fold`), everything that gives other values (`eval`).
//! Invariant: a node is the same true or false whether its truth is asked for or its value.

use super::{EvalError, Evaluated, Evaluation};
use crate::plan::{Call, Node};
use crate::value::{Value, equal, reading};

/// True or false, or why it is neither. That is boxed, because it is rare and the rest fits into two
/// registers.
pub(super) type Truth<'a> = Result<bool, Box<Neither<'a>>>;

/// What is neither true nor false.
pub(super) enum Neither<'a> {
    Failed(EvalError),
    Other(Value<'a>),
}

impl Neither<'_> {
    /// What it is for an operator that is for true and false alone.
    pub(super) fn into_error(self) -> EvalError {
        match self {
            Self::Failed(error) => error,
            Self::Other(_) => EvalError::no_overload(),
        }
    }
}

impl From<EvalError> for Box<Neither<'_>> {
    fn from(error: EvalError) -> Self {
        Self::new(Neither::Failed(error))
    }
}

/// What has a value, as true or false.
pub(super) fn truth(found: Evaluated<'_>) -> Truth<'_> {
    match found {
        Ok(Value::Bool(value)) => Ok(value),
        Ok(other) => Err(Box::new(Neither::Other(other))),
        Err(error) => Err(error.into()),
    }
}

/// What is true or false, as a value.
pub(super) fn value(found: Truth<'_>) -> Evaluated<'_> {
    match found {
        Ok(value) => Ok(Value::Bool(value)),
        Err(neither) => match *neither {
            Neither::Failed(error) => Err(error),
            Neither::Other(value) => Ok(value),
        },
    }
}

/// Whether it ended the evaluation.
pub(super) fn is_budget(found: &Truth<'_>) -> bool {
    match found {
        Ok(_) => false,
        Err(neither) => match &**neither {
            Neither::Failed(error) => error.is_budget(),
            Neither::Other(_) => false,
        },
    }
}

impl<'a> Evaluation<'a> {
    /// Whether a node is true.
    pub(super) fn truth(&mut self, node: &'a Node) -> Truth<'a> {
        match node {
            Node::And(a, b) => self.junction(a, b, false),
            Node::Or(a, b) => self.junction(a, b, true),
            Node::Not(call) => self.negation(call),
            Node::Equality(call, wanted) => self.equality(call, *wanted),
            Node::InSet(node, members) => {
                let wanted = self.node(node)?;
                Ok(members.contain(&wanted))
            }
            Node::Quantifier(quantifier) => self.quantifier(quantifier),
            Node::NotStrictlyFalse(node) => {
                let found = self.truth(node);
                if is_budget(&found) {
                    return found;
                }
                self.pay(1)?;
                Ok(!matches!(found, Ok(false)))
            }
            Node::Attribute(attribute) => self.attribute_truth(attribute),
            other => truth(self.node(other)),
        }
    }

    /// `&&` and `||`: a deciding value wins over an error on either side (cel-spec, "Logical
    /// operators"); an exhausted limit wins over everything.
    fn junction(&mut self, a: &'a Node, b: &'a Node, deciding: bool) -> Truth<'a> {
        let first = self.truth(a);
        if matches!(first, Ok(value) if value == deciding) || is_budget(&first) {
            return first;
        }
        let second = self.truth(b);
        match (first, second) {
            (_, Ok(value)) if value == deciding => Ok(value),
            (_, second) if is_budget(&second) => second,
            (Ok(_), Ok(value)) => Ok(value),
            (Ok(_), Err(neither)) | (Err(neither), _) => Err(neither.into_error().into()),
        }
    }

    fn negation(&mut self, call: &'a Call) -> Truth<'a> {
        let [operand] = call.arguments.as_slice() else {
            return truth(self.call(call, None));
        };
        match self.truth(operand) {
            Ok(value) => {
                self.pay(1)?;
                Ok(!value)
            }
            Err(neither) => self.unlikely_negation(call, *neither),
        }
    }

    #[cold]
    fn unlikely_negation(&mut self, call: &'a Call, operand: Neither<'a>) -> Truth<'a> {
        let operand = match operand {
            Neither::Failed(error) if error.is_budget() => return Err(error.into()),
            Neither::Failed(error) => Err(error),
            Neither::Other(value) => Ok(value),
        };
        truth(self.applied(call, None, [operand]))
    }

    /// Scalars are compared here, because their equality is never an error.
    #[inline(never)]
    fn equality(&mut self, call: &'a Call, wanted: bool) -> Truth<'a> {
        let [a, b] = call.arguments.as_slice() else {
            return truth(self.call(call, None));
        };
        let a = self.operand(a)?;
        let b = self.operand(b)?;
        if let (Ok(a), Ok(b)) = (&a, &b)
            && is_scalar(a)
            && is_scalar(b)
        {
            if let (Value::String(a), Value::String(b)) = (a, b) {
                self.meter.step(reading(a.len().min(b.len())))?;
            }
            self.pay(call.cost.count(&[Some(a), Some(b)], None))?;
            return Ok(equal(a, b) == wanted);
        }
        truth(self.applied(call, None, [a, b]))
    }
}

/// Whether a value is one whose equality is never an error.
fn is_scalar(value: &Value<'_>) -> bool {
    matches!(
        value,
        Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::String(_)
    )
}
