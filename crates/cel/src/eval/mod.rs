//! From a planned tree and data to a value.
//!
//! Here: walking the tree, absorbing errors, counting cost as the API server counts it (cel-go,
//! interpreter/interpretable.go, runtimecost.go). Not here: reading of values (`attribute`),
//! single functions (`library`).
//! Invariant: every step is paid for or metered before it is made, so time and memory are bounded.

mod aggregates;
mod attribute;
mod error;
mod fields;
mod fold;
mod lookup;
mod meter;
mod patterns;
mod truth;

use crate::env::Env;
use crate::library::{self, ENTRY, Effort};
use crate::plan::{Call, Node};
use crate::program::Program;
use crate::stack;
use crate::types::Type;
use crate::value::{Activation, ELEMENTS_LIMIT, Text, Value, weight};
use regex::Regex;
use smallvec::SmallVec;

use lookup::Lookups;
use meter::Meter;

pub use error::EvalError;
pub(crate) use patterns::ComputedPatterns;

/// What one expression may cost (k8s.io/apiserver v0.37.2, pkg/apis/cel/config.go,
/// `PerCallLimit`).
pub const LIMIT: u64 = 1_000_000;

type Evaluated<'a> = Result<Value<'a>, EvalError>;

/// The evaluation of several programs over the same data, with one budget.
#[derive(Debug)]
pub struct Evaluation<'a> {
    env: &'a Env,
    activation: Host<'a>,
    /// Of the program that runs.
    cost: u64,
    /// Of named expressions that the program used.
    named_cost: u64,
    /// Of all programs before.
    spent: u64,
    left: u64,
    meter: Meter,
    lookups: Lookups<'a>,
    /// Patterns that were computed, with what they were compiled to.
    patterns: SmallVec<[(Box<str>, Regex); 0]>,
    /// Variables of loops, of the program that runs after those of the programs that asked for it.
    locals: SmallVec<[Slot<'a>; 6]>,
    /// Where those of the program that runs begin.
    first_local: usize,
    named: SmallVec<[State<'a>; 2]>,
}

struct Host<'a>(&'a dyn Activation);

impl std::fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("host")
    }
}

/// A variable of a loop.
#[derive(Clone, Debug)]
enum Slot<'a> {
    Empty,
    /// It is computed when first asked for.
    Pending(&'a Node),
    Value(Value<'a>),
    /// An element of a list of JSON.
    Json(&'a serde_json::Value),
    Failed(EvalError),
}

/// A named expression.
#[derive(Clone, Debug)]
enum State<'a> {
    Waiting,
    /// It is being computed.
    Running,
    Done(Evaluated<'a>),
}

impl<'a> Evaluation<'a> {
    /// An evaluation over this data, with a budget for all programs together.
    #[must_use]
    pub fn new(env: &'a Env, activation: &'a dyn Activation, budget: u64) -> Self {
        Self {
            env,
            activation: Host(activation),
            cost: 0,
            named_cost: 0,
            spent: 0,
            left: budget,
            meter: Meter::full(),
            lookups: Lookups::default(),
            patterns: SmallVec::new(),
            locals: SmallVec::new(),
            first_local: 0,
            named: SmallVec::from_elem(State::Waiting, env.all_named().len()),
        }
    }

    /// Goes on with other data, and with what is left of the budget and of all limits.
    ///
    /// ```
    /// # use bailiff_cel::{Activation, Env, Evaluation, Type, Value};
    /// struct Number(i64);
    /// impl Activation for Number {
    ///     fn variable(&self, slot: usize) -> Option<Value<'_>> {
    ///         (slot == 0).then_some(Value::Int(self.0))
    ///     }
    /// }
    ///
    /// let env = Env::new([("number", Type::Int)]);
    /// let program = env.compile("number > 1")?;
    /// let (one, two) = (Number(1), Number(2));
    /// let mut evaluation = Evaluation::new(&env, &one, 100);
    /// assert_eq!(evaluation.run(&program), Ok(Value::Bool(false)));
    /// let spent = evaluation.spent();
    /// evaluation.continue_with(&two);
    /// assert_eq!(evaluation.run(&program), Ok(Value::Bool(true)));
    /// assert_eq!(evaluation.spent(), 2 * spent);
    /// # Ok::<(), bailiff_cel::CompileError>(())
    /// ```
    pub fn continue_with(&mut self, activation: &'a dyn Activation) {
        self.activation = Host(activation);
        // What named expressions gave is of the data before.
        self.forget_named();
        self.named = SmallVec::from_elem(State::Waiting, self.env.all_named().len());
    }

    fn forget_named(&mut self) {
        let named = std::mem::take(&mut self.named);
        stack::with(stack::levels(self.env.wrapped), || drop(named));
    }

    /// Evaluates a program of the same environment.
    ///
    /// # Errors
    /// What went wrong at run time, or that the limit or the budget is used up.
    pub fn run(&mut self, program: &'a Program) -> Evaluated<'a> {
        self.named_cost = 0;
        let (outcome, cost) = self.program(program, |found| found.and_then(bounded));
        let cost = cost.saturating_add(self.named_cost);
        self.spent = self.spent.saturating_add(cost);
        if let Some(left) = self.left.checked_sub(cost) {
            self.left = left;
            outcome
        } else {
            self.left = 0;
            Err(EvalError::budget())
        }
    }

    /// What was spent so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Runs a program with a cost and variables of its own; with what it gives is dealt where the
    /// stack is as large as it takes.
    fn program(
        &mut self,
        program: &'a Program,
        finish: fn(Evaluated<'a>) -> Evaluated<'a>,
    ) -> (Evaluated<'a>, u64) {
        let cost = std::mem::take(&mut self.cost);
        let outer = std::mem::replace(&mut self.first_local, self.locals.len());
        let end = self.first_local.saturating_add(program.locals);
        self.locals.resize(end, Slot::Empty);
        let levels = program
            .levels
            .saturating_add(stack::levels(self.env.wrapped));
        let outcome = stack::with(levels, || finish(self.node(&program.node)));
        self.locals.truncate(self.first_local);
        self.first_local = outer;
        (outcome, std::mem::replace(&mut self.cost, cost))
    }

    fn pay(&mut self, cost: u64) -> Result<(), EvalError> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > LIMIT {
            return Err(EvalError::limit());
        }
        Ok(())
    }

    /// Several steps that cost one each: the first that is too much ends the evaluation.
    fn pay_steps(&mut self, steps: u64) -> Result<(), EvalError> {
        self.pay(steps)
            .inspect_err(|_| self.cost = LIMIT.saturating_add(1))
    }

    fn node(&mut self, node: &'a Node) -> Evaluated<'a> {
        match node {
            Node::Constant(value) => Ok(value.lent()),
            Node::Attribute(attribute) => self.attribute(attribute),
            Node::Call(call) => self.call(call, None),
            Node::Pattern(call, regex) => self.call(call, Some(regex)),
            Node::InSet(..)
            | Node::And(..)
            | Node::Or(..)
            | Node::Not(_)
            | Node::Equality(..)
            | Node::NotStrictlyFalse(_)
            | Node::Quantifier(_) => truth::value(self.truth(node)),
            Node::OptionalOr(a, b, value) => match self.node(a)? {
                Value::Optional(None) => self.node(b),
                Value::Optional(Some(found)) if *value => match &*found {
                    Value::Fault(error) => Err((**error).clone()),
                    found => Ok(found.clone()),
                },
                found @ Value::Optional(_) => Ok(found),
                _ => Err(EvalError::no_overload()),
            },
            Node::List(elements) => self.list(elements),
            Node::Map(entries, strict) => self.map(entries, *strict),
            Node::Message(maker, fields) => self.message(maker, fields),
            Node::Append {
                slot,
                element,
                cost,
            } => self.append(*slot, element, *cost),
            Node::Insert { slot, key, value } => self.insert(*slot, key.as_deref(), value),
            Node::Fold(fold) => self.fold(fold),
            Node::Fail(message) => Err(EvalError::new(message.as_str())),
            Node::Broken(error) => Err(error.clone()),
        }
    }

    /// All arguments of a call with at most two are evaluated, of one with more only those up to
    /// the first error.
    pub(super) fn call(&mut self, call: &'a Call, regex: Option<&'a Regex>) -> Evaluated<'a> {
        // A call whose pattern is compiled is called as one with any number of arguments.
        let many = regex.is_some() || call.by_number;
        match call.arguments.as_slice() {
            [] => {
                self.pay(1)?;
                apply(call, &[])
            }
            [a] if !many => {
                let a = self.operand(a)?;
                self.applied(call, regex, [a])
            }
            [a, b] if !many => {
                let a = self.operand(a)?;
                let b = self.operand(b)?;
                self.applied(call, regex, [a, b])
            }
            many => {
                let mut values: SmallVec<[Value<'a>; 4]> = SmallVec::new();
                let last = many.len().saturating_sub(1);
                for (place, node) in many.iter().enumerate() {
                    match self.node(node) {
                        Ok(value) => values.push(value),
                        Err(error) => {
                            // Only when all arguments were evaluated the call is paid for.
                            if place == last && !error.is_budget() {
                                let parts: SmallVec<[_; 4]> =
                                    values.iter().map(Some).chain([None]).collect();
                                self.pay(call.cost.count(&parts, None))?;
                            }
                            return Err(error);
                        }
                    }
                }
                let parts: SmallVec<[_; 4]> = values.iter().map(Some).collect();
                self.finish(call, regex, &values, &parts)
            }
        }
    }

    /// Pays for a call and makes it; in this order, unless its result tells what it costs.
    fn finish(
        &mut self,
        call: &'a Call,
        regex: Option<&Regex>,
        values: &[Value<'a>],
        parts: &[Option<&Value<'a>>],
    ) -> Evaluated<'a> {
        let steps = call.effort.steps(parts, self.meter.left());
        self.meter.step(steps)?;
        let after = call.cost.needs_result();
        if !after {
            self.pay(call.cost.count(parts, None))?;
        }
        let outcome = match (regex, call.effort, values) {
            (None, Effort::Pattern, [Value::String(_), Value::String(pattern), ..]) => {
                match self.pattern(pattern)? {
                    Ok(regex) => applied(call, Some(&regex), values),
                    Err(fault) => Err(library::regexes::illegal(call.name, &fault)),
                }
            }
            _ => applied(call, regex, values),
        };
        if let Ok(result) = &outcome {
            self.meter.make(Effort::made(call.name, result))?;
        }
        if after {
            self.pay(call.cost.count(parts, outcome.as_ref().ok()))?;
        }
        outcome
    }

    /// A pattern that was computed, or what is wrong with it. The last ones are kept, because the
    /// same are most often asked for again: in a loop, those of the loop around it. What they take is
    /// bounded by the steps that compiling them takes. Some are kept for the next evaluation, too, and are paid for there as
    /// well: what was evaluated before decides nothing.
    fn pattern(&mut self, pattern: &str) -> Result<Result<Regex, String>, EvalError> {
        const KEPT: usize = 64;
        if let Some((_, regex)) = self.patterns.iter().find(|(known, _)| **known == *pattern) {
            return Ok(Ok(regex.clone()));
        }
        let steps = library::regexes::effort(pattern);
        self.meter.step(steps)?;
        let compiled = self.env.computed_patterns.compiled(pattern, steps);
        if let Ok(regex) = &compiled {
            if self.patterns.len() >= KEPT {
                self.patterns.remove(0);
            }
            self.patterns.push((pattern.into(), regex.clone()));
        }
        Ok(compiled)
    }

    /// An operand whose error does not keep the other from being evaluated.
    pub(super) fn operand(&mut self, node: &'a Node) -> Result<Evaluated<'a>, EvalError> {
        match self.node(node) {
            Err(error) if error.is_budget() => Err(error),
            other => Ok(other),
        }
    }

    pub(super) fn applied<const N: usize>(
        &mut self,
        call: &'a Call,
        regex: Option<&'a Regex>,
        operands: [Evaluated<'a>; N],
    ) -> Evaluated<'a> {
        if let Some(words) = call.cost.panics(&operands) {
            return Err(EvalError::aborted(words));
        }
        if let Some(error) = operands.iter().find_map(|operand| operand.as_ref().err()) {
            let error = error.clone();
            let parts: [Option<&Value<'_>>; N] =
                std::array::from_fn(|at| operands.get(at).and_then(|o| o.as_ref().ok()));
            self.pay(call.cost.count(&parts, None))?;
            return Err(error);
        }
        let values = operands.map(|operand| operand.unwrap_or(Value::Null));
        let parts: [Option<&Value<'_>>; N] = std::array::from_fn(|at| values.get(at));
        self.finish(call, regex, &values, &parts)
    }
}

impl Drop for Evaluation<'_> {
    fn drop(&mut self) {
        self.forget_named();
    }
}

/// A result that whoever gets it may go through.
fn bounded(result: Value<'_>) -> Evaluated<'_> {
    let most = u64::try_from(ELEMENTS_LIMIT).unwrap_or(u64::MAX);
    match &result {
        Value::List(_) | Value::Map(_) | Value::Optional(_) | Value::Message(_)
            if weight(&result, most) > most =>
        {
            Err(EvalError::limit())
        }
        _ => Ok(result),
    }
}

/// The text of a value for a call whose pattern is compiled already: also the name of a type, and
/// the text in an optional.
fn plain_text<'a>(value: &Value<'a>) -> Option<Text<'a>> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Type(name) => Some(Text::Borrowed(name)),
        Value::Optional(Some(value)) => plain_text(value),
        _ => None,
    }
}

/// What a call gives, with a pattern that is compiled already.
fn applied<'a>(call: &Call, regex: Option<&Regex>, values: &[Value<'a>]) -> Evaluated<'a> {
    let Some(regex) = regex else {
        return apply(call, values);
    };
    let Some(text) = values.first().and_then(plain_text) else {
        return Err(EvalError::no_overload());
    };
    match (call.name, values.get(2)) {
        ("matches", None) => Ok(Value::Bool(regex.is_match(&text))),
        ("find", None) => Ok(library::regexes::found(regex, &text)),
        ("findAll", None) => Ok(library::regexes::all_found(regex, &text, -1)),
        ("findAll", Some(Value::Int(limit))) => {
            Ok(library::regexes::all_found(regex, &text, *limit))
        }
        _ => Err(EvalError::no_overload()),
    }
}

/// What a call gives: the first library that has a function for these values decides.
pub(crate) fn apply<'a>(call: &Call, values: &[Value<'a>]) -> Evaluated<'a> {
    if let Some(guards) = &call.guards {
        let fits = |types: &[Type]| values.iter().zip(types).all(|(value, ty)| is_of(value, ty));
        let Some((_, result)) = guards.iter().find(|(types, _)| fits(types)) else {
            return Err(EvalError::new(no_overload(call.name, values)));
        };
        if call.name == "sum" && matches!(values, [Value::List(list)] if list.is_empty()) {
            return Ok(match result {
                Type::Uint => Value::Uint(0),
                Type::Double => Value::Double(0.0),
                Type::Duration => Value::Duration(0),
                _ => Value::Int(0),
            });
        }
    }
    for run in &call.runs {
        match run(values) {
            Err(error) if error.is_no_overload() => {}
            Ok(Value::Fault(error)) => return Err((*error).clone()),
            other => return other,
        }
    }
    if call.guards.is_some() {
        // The values fit, and what they hold does not.
        return Err(EvalError::no_overload());
    }
    Err(EvalError::new(no_overload(call.name, values)))
}

/// Whether a value is of a type, as far as the first element of a list tells.
fn is_of(value: &Value<'_>, ty: &Type) -> bool {
    match (value, ty) {
        (Value::List(list), Type::List(element)) => {
            list.get(0).is_none_or(|first| is_of(&first, element))
        }
        (_, Type::Dyn | Type::Param(_)) | (Value::Object(_), _) => true,
        (Value::Map(_), Type::Map(..))
        | (Value::Optional(_), Type::Optional(_))
        | (Value::Type(_), Type::Type(_))
        | (Value::Null, Type::Null)
        | (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Int)
        | (Value::Uint(_), Type::Uint)
        | (Value::Double(_), Type::Double)
        | (Value::String(_), Type::String)
        | (Value::Bytes(_), Type::Bytes)
        | (Value::Duration(_), Type::Duration)
        | (Value::Timestamp(_), Type::Timestamp) => true,
        (Value::Opaque(value), Type::Object(object)) => value.type_name() == object.name(),
        (Value::Message(value), Type::Object(object)) => value.kind().name() == object.name(),
        (Value::Authorization(value), Type::Object(object)) => value.type_name() == object.name(),
        (Value::Opaque(value), Type::Opaque(name, _)) => value.type_name() == *name,
        _ => false,
    }
}

/// The words for values that a function is not for: an operator names itself where the first
/// value is of no type that it is for at all, a function names the types that it was given.
fn no_overload(name: &str, values: &[Value<'_>]) -> String {
    use Value::{Bool, Bytes, Double, Duration, Int, List, Map, String, Timestamp, Uint};
    let plain = || "no such overload".to_owned();
    let first = values.first().unwrap_or(&Value::Null);
    let has_trait = match name {
        "_+_" => matches!(
            first,
            Bytes(_)
                | Double(_)
                | Duration(_)
                | Int(_)
                | List(_)
                | String(_)
                | Timestamp(_)
                | Uint(_)
        ),
        "_-_" => matches!(
            first,
            Double(_) | Duration(_) | Int(_) | Timestamp(_) | Uint(_)
        ),
        "_*_" | "_/_" => matches!(first, Double(_) | Int(_) | Uint(_)),
        "_%_" => matches!(first, Int(_) | Uint(_)),
        "-_" => matches!(first, Double(_) | Int(_) | Duration(_) | Bool(_)),
        "_<_" | "_<=_" | "_>_" | "_>=_" => matches!(
            first,
            Bool(_)
                | Bytes(_)
                | Double(_)
                | Duration(_)
                | Int(_)
                | String(_)
                | Timestamp(_)
                | Uint(_)
        ),
        "matches" => matches!(first, String(_)),
        "sort" | "@sortByAssociatedKeys" => matches!(first, List(_)),
        "size" => matches!(first, String(_) | Bytes(_) | List(_) | Map(_)),
        "!_" | "@in" | "contains" | "startsWith" | "endsWith" | "_==_" | "_!=_" => true,
        "flatten" => {
            // It names types as the compiler does.
            let types: Vec<_> = values.iter().map(|v| v.type_of().declared_name()).collect();
            let (target, arguments) = types.split_first().map_or(("", &[][..]), |(t, a)| (t, a));
            return format!(
                "no such overload: {target}.flatten({})",
                arguments.join(", ")
            );
        }
        _ => {
            let types: Vec<_> = values.iter().map(Value::type_name).collect();
            return format!("no such overload: {name}({})", types.join(", "));
        }
    };
    // Text and times are receivers, which say less.
    if has_trait || matches!(first, String(_) | Timestamp(_) | Duration(_)) {
        return plain();
    }
    format!("no such overload: {name}")
}
