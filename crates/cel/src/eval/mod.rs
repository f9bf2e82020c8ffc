//! From a checked tree and data to a value.
//!
//! Here: walking the tree, absorbing errors, counting cost. Not here: single functions
//! (`function`).
//! Invariant: every step and every byte that a function touches is paid from the budget first,
//! so time and memory are bounded by it.

mod function;

use crate::ast::Fold;
use crate::check::Node;
use crate::env::{Env, Program};
use crate::value::{Activation, List, Map, Value};

pub(crate) use function::{Function, pattern};

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(pub(crate) String);

impl EvalError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Whether the budget ran out. Nothing absorbs this error.
    #[must_use]
    pub fn is_budget(&self) -> bool {
        self.0 == BUDGET
    }
}

/// As the API server words it (k8s.io/apiserver v0.37.2, pkg/admission/plugin/cel).
const BUDGET: &str = "operation cancelled: actual cost limit exceeded";

type Evaluated<'a> = Result<Value<'a>, EvalError>;

/// The evaluation of several programs over the same data, with one budget.
#[derive(Debug)]
pub struct Evaluation<'a> {
    env: &'a Env,
    activation: Data<'a>,
    locals: Vec<Value<'a>>,
    named: Vec<State<'a>>,
    left: u64,
    spent: u64,
}

/// What a named expression has come to.
#[derive(Clone, Debug)]
enum State<'a> {
    New,
    Done(Evaluated<'a>),
}

/// The host's data, which has no debug form.
struct Data<'a>(&'a dyn Activation);

impl std::fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("data")
    }
}

impl<'a> Evaluation<'a> {
    /// An evaluation that may cost this much in all.
    #[must_use]
    pub fn new(env: &'a Env, activation: &'a dyn Activation, budget: u64) -> Self {
        let named = vec![State::New; env.named().len()];
        Self {
            env,
            activation: Data(activation),
            locals: Vec::new(),
            named,
            left: budget,
            spent: 0,
        }
    }

    /// Evaluates a program of the same environment.
    ///
    /// # Errors
    /// What went wrong at run time, or that the budget is used up.
    pub fn run(&mut self, program: &'a Program) -> Evaluated<'a> {
        self.locals.clear();
        self.node(&program.node)
    }

    /// What was spent so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Pays from the budget.
    pub(crate) fn pay(&mut self, cost: u64) -> Result<(), EvalError> {
        self.spent = self.spent.saturating_add(cost);
        if let Some(left) = self.left.checked_sub(cost) {
            self.left = left;
            Ok(())
        } else {
            self.left = 0;
            Err(EvalError::new(BUDGET))
        }
    }

    fn node(&mut self, node: &'a Node) -> Evaluated<'a> {
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Variable(slot) => {
                self.pay(1)?;
                self.activation
                    .0
                    .variable(*slot)
                    .ok_or_else(|| EvalError::new("no such attribute"))
            }
            Node::Named(index) => self.named(*index),
            Node::Local(index) => {
                self.pay(1)?;
                self.locals
                    .get(*index)
                    .cloned()
                    .ok_or_else(|| EvalError::new("no such attribute"))
            }
            Node::Field {
                operand,
                index,
                name,
                optional,
            } => {
                self.pay(1)?;
                let operand = self.node(operand)?;
                let found = field(&operand, Some(*index), name, *optional)?;
                finish(found, name, *optional)
            }
            Node::Key {
                operand,
                name,
                optional,
            } => {
                self.pay(1)?;
                let operand = self.node(operand)?;
                let found = field(&operand, None, name, *optional)?;
                finish(found, name, *optional)
            }
            Node::HasField { operand, index } => {
                self.pay(1)?;
                let operand = self.node(operand)?;
                Ok(Value::Bool(
                    field(&operand, Some(*index), "", true)?.is_some(),
                ))
            }
            Node::HasKey { operand, name } => {
                self.pay(1)?;
                let operand = self.node(operand)?;
                Ok(Value::Bool(field(&operand, None, name, true)?.is_some()))
            }
            Node::Index {
                operand,
                index,
                optional,
            } => {
                self.pay(1)?;
                let operand = self.node(operand)?;
                let index = self.node(index)?;
                self.index(operand, &index, *optional)
            }
            Node::Call {
                function,
                arguments,
            } => self.call(*function, arguments),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::And(a, b) => self.junction(a, b, false),
            Node::Or(a, b) => self.junction(a, b, true),
            Node::Conditional(condition, then, otherwise) => {
                self.pay(1)?;
                match self.node(condition)? {
                    Value::Bool(true) => self.node(then),
                    Value::Bool(false) => self.node(otherwise),
                    _ => Err(EvalError::new("no such overload")),
                }
            }
            Node::Fold {
                fold,
                range,
                filter,
                body,
            } => self.fold(*fold, range, filter.as_deref(), body),
        }
    }

    /// A named expression: computed when first asked for.
    fn named(&mut self, index: usize) -> Evaluated<'a> {
        self.pay(1)?;
        if let Some(State::Done(done)) = self.named.get(index) {
            return done.clone();
        }
        let env: &'a Env = self.env;
        let program = env
            .named()
            .get(index)
            .ok_or_else(|| EvalError::new("no such attribute"))?;
        // A named expression sees none of the macro variables around its use.
        let locals = std::mem::take(&mut self.locals);
        let done = self.node(&program.node);
        self.locals = locals;
        if let Some(state) = self.named.get_mut(index) {
            *state = State::Done(done.clone());
        }
        done
    }

    /// `&&` and `||`: a deciding value wins over an error on either side (cel-spec, "Logical
    /// operators"); an exhausted budget wins over everything.
    fn junction(&mut self, a: &'a Node, b: &'a Node, deciding: bool) -> Evaluated<'a> {
        let first = self.node(a);
        match &first {
            Ok(Value::Bool(value)) if *value == deciding => return first,
            Err(error) if error.is_budget() => return first,
            _ => {}
        }
        let second = self.node(b);
        match (&first, &second) {
            (_, Ok(Value::Bool(value))) if *value == deciding => second,
            (_, Err(error)) if error.is_budget() => second,
            (Ok(Value::Bool(_)), Ok(Value::Bool(_)) | Err(_)) => second,
            (Err(_), _) => first,
            _ => Err(EvalError::new("no such overload")),
        }
    }

    fn call(&mut self, function: Function, arguments: &'a [Node]) -> Evaluated<'a> {
        self.pay(1)?;
        let mut values: [Value<'a>; 3] = [Value::Null, Value::Null, Value::Null];
        for (place, argument) in values.iter_mut().zip(arguments) {
            *place = self.node(argument)?;
        }
        function.apply(self, values, arguments.len())
    }

    #[expect(
        clippy::unused_self,
        reason = "beside the other ways to read, which need it"
    )]
    fn index(&mut self, operand: Value<'a>, index: &Value<'a>, optional: bool) -> Evaluated<'a> {
        let operand = match operand {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => *inner,
            operand => operand,
        };
        let found = match &operand {
            Value::List(list) => {
                let place = match index {
                    Value::Int(place) => usize::try_from(*place).ok(),
                    Value::Uint(place) => usize::try_from(*place).ok(),
                    _ => return Err(EvalError::new("no such overload")),
                };
                let found = place.and_then(|place| list.get(place));
                if found.is_none() && !optional {
                    return Err(EvalError::new(format!(
                        "index out of bounds: {}",
                        function::text(index)
                    )));
                }
                found
            }
            Value::Map(map) => map.get(index),
            Value::Object(_) => match index {
                Value::String(name) => field(&operand, None, name, true)?,
                _ => None,
            },
            _ => return Err(EvalError::new("no such overload")),
        };
        finish(found, &function::text(index), optional)
    }

    fn list(&mut self, elements: &'a [(Node, bool)]) -> Evaluated<'a> {
        self.pay(10)?;
        let mut made = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            match (self.node(element)?, optional) {
                (Value::Optional(value), true) => made.extend(value.map(|value| *value)),
                (value, _) => made.push(value),
            }
        }
        Ok(Value::List(List::of(made)))
    }

    fn map(&mut self, entries: &'a [(Node, Node, bool)]) -> Evaluated<'a> {
        self.pay(30)?;
        let mut made: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let key = self.node(key)?;
            let value = match (self.node(value)?, optional) {
                (Value::Optional(None), true) => continue,
                (Value::Optional(Some(value)), true) => *value,
                (value, _) => value,
            };
            // A key is looked for among those before it.
            self.pay(made.len().try_into().unwrap_or(u64::MAX))?;
            if made.iter().any(|(before, _)| *before == key) {
                return Err(EvalError::new(format!(
                    "insert failed: key {} already exists",
                    function::text(&key)
                )));
            }
            made.push((key, value));
        }
        Ok(Value::Map(Map::Made(std::sync::Arc::new(made))))
    }

    fn fold(
        &mut self,
        fold: Fold,
        range: &'a Node,
        filter: Option<&'a Node>,
        body: &'a Node,
    ) -> Evaluated<'a> {
        self.pay(1)?;
        let range = match self.node(range)? {
            Value::List(list) => list,
            Value::Map(map) => List::of(map.keys()),
            _ => return Err(EvalError::new("no such overload")),
        };
        let (mut made, mut matched, mut error) = (Vec::new(), 0_u64, None);
        for place in 0..range.len() {
            self.pay(1)?;
            let Some(element) = range.get(place) else {
                continue;
            };
            self.locals.push(element.clone());
            let outcome = self.step(filter, body);
            self.locals.pop();
            match (fold, outcome) {
                (_, Err(failed)) if failed.is_budget() => return Err(failed),
                (Fold::All, Ok(Some(Value::Bool(false)))) => return Ok(Value::Bool(false)),
                (Fold::Exists, Ok(Some(Value::Bool(true)))) => return Ok(Value::Bool(true)),
                (Fold::ExistsOne, Ok(Some(Value::Bool(true)))) => {
                    matched = matched.saturating_add(1);
                }
                (Fold::Filter, Ok(Some(Value::Bool(true)))) => made.push(element),
                (
                    Fold::All | Fold::Exists | Fold::ExistsOne | Fold::Filter,
                    Ok(Some(Value::Bool(_))),
                ) => {}
                (Fold::Map, Ok(Some(value))) => made.push(value),
                (_, Ok(None)) => {}
                (Fold::All | Fold::Exists, Err(failed)) => error = error.or(Some(failed)),
                (_, Err(failed)) => return Err(failed),
                (_, Ok(Some(_))) => {
                    error = error.or_else(|| Some(EvalError::new("no such overload")));
                }
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        Ok(match fold {
            Fold::All => Value::Bool(true),
            Fold::Exists => Value::Bool(false),
            Fold::ExistsOne => Value::Bool(matched == 1),
            Fold::Map | Fold::Filter => Value::List(List::of(made)),
        })
    }

    /// The body for one element; absent when the filter leaves it out.
    fn step(
        &mut self,
        filter: Option<&'a Node>,
        body: &'a Node,
    ) -> Result<Option<Value<'a>>, EvalError> {
        match filter.map(|filter| self.node(filter)).transpose()? {
            None | Some(Value::Bool(true)) => self.node(body).map(Some),
            Some(Value::Bool(false)) => Ok(None),
            Some(_) => Err(EvalError::new("no such overload")),
        }
    }
}

/// A field of a structure or a key of data. With `lenient` an absent operand gives nothing.
fn field<'a>(
    operand: &Value<'a>,
    index: Option<usize>,
    name: &str,
    lenient: bool,
) -> Result<Option<Value<'a>>, EvalError> {
    match operand {
        Value::Object(object) => Ok(match index {
            Some(index) => object.field(index),
            None => object.index(name).and_then(|index| object.field(index)),
        }),
        Value::Map(map) => Ok(map.get(&Value::from(name))),
        Value::Optional(inner) => match inner {
            None => Ok(None),
            Some(inner) => field(inner, index, name, lenient),
        },
        Value::Null if lenient => Ok(None),
        _ => Err(EvalError::new(format!("no such key: {name}"))),
    }
}

/// What is found, or the error that it is not; wrapped where the access is optional.
fn finish<'a>(found: Option<Value<'a>>, name: &str, optional: bool) -> Evaluated<'a> {
    match (found, optional) {
        (Some(value @ Value::Optional(_)), true) => Ok(value),
        (found, true) => Ok(Value::Optional(found.map(Box::new))),
        (Some(value), false) => Ok(value),
        (None, false) => Err(EvalError::new(format!("no such key: {name}"))),
    }
}
