//! Loops.
//!
//! Here: the order of a loop's parts (cel-go, interpreter/interpretable.go, `evalFold`), and lists
//! and maps that a loop makes in place. Not here: what macros become (`parse::macros`).
//! Invariant: a loop ends with its range; what it makes is moved, not copied, for each element.

use super::truth::Truth;
use super::{EvalError, Evaluated, Evaluation, Slot};
use crate::library::{ENTRY, text_of};
use crate::plan::{Fold, Node, Quantifier, go_name};
use crate::value::{List, Map, Value};
use std::sync::Arc;

impl<'a> Evaluation<'a> {
    #[inline]
    pub(super) fn set(&mut self, place: usize, slot: Slot<'a>) {
        if let Some(found) = self.locals.get_mut(self.first_local.saturating_add(place)) {
            *found = slot;
        }
    }

    pub(super) fn slot(&self, place: usize) -> Option<&Slot<'a>> {
        self.locals.get(self.first_local.saturating_add(place))
    }

    pub(super) fn fold(&mut self, fold: &'a Fold) -> Evaluated<'a> {
        let range = self.node(&fold.range)?;
        self.set(fold.slot, Slot::Pending(&fold.init));
        self.each(range, fold.slot, fold.two, |this| this.step(fold))?;
        self.node(&fold.result)
    }

    /// Steps through a list or a map, with the variables after this place, until a step says that it is
    /// enough.
    fn each(
        &mut self,
        range: Value<'a>,
        place: usize,
        two: bool,
        mut step: impl FnMut(&mut Self) -> Result<bool, EvalError>,
    ) -> Result<(), EvalError> {
        let first = place.saturating_add(1);
        let second = place.saturating_add(2);
        match range {
            Value::List(list) => {
                let variable = if two { second } else { first };
                for place in 0..list.len() {
                    let element = match &list {
                        List::Json(elements) => elements.get(place).map(Slot::Json),
                        list => list.get(place).map(Slot::Value),
                    };
                    let Some(element) = element else {
                        break;
                    };
                    if two {
                        let index = i64::try_from(place).unwrap_or(i64::MAX);
                        self.set(first, Slot::Value(Value::Int(index)));
                    }
                    self.set(variable, element);
                    if !step(self)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.entries() {
                    self.set(first, Slot::Value(key));
                    if two {
                        self.set(second, Slot::Value(value));
                    }
                    if !step(self)? {
                        break;
                    }
                }
            }
            other => {
                let found = go_name(&other);
                return Err(EvalError::new(if two {
                    format!("unsupported comprehension range type: {found}")
                } else {
                    format!("got '{found}', expected iterable type")
                }));
            }
        }
        Ok(())
    }

    /// `all` and `exists`: the loop that they stand for, without an accumulator in a slot. It is
    /// paid for as that loop: reading the accumulator, negating it where it is, asking whether to
    /// go on; reading it again before the predicate, and as the result.
    #[inline(never)]
    pub(super) fn quantifier(&mut self, quantifier: &'a Quantifier) -> Truth<'a> {
        let deciding = quantifier.deciding;
        let asking = if deciding { 3 } else { 2 };
        let range = self.node(&quantifier.range)?;
        let mut so_far: Truth<'a> = Ok(!deciding);
        self.each(range, quantifier.slot, quantifier.two, |this| {
            this.pay_steps(asking)?;
            if matches!(so_far, Ok(value) if value == deciding) {
                return Ok(false);
            }
            this.pay(1)?;
            match this.truth(&quantifier.predicate) {
                Ok(value) if value == deciding => so_far = Ok(value),
                Ok(_) => {}
                Err(neither) => match (*neither).into_error() {
                    error if error.is_budget() => return Err(error),
                    error if so_far.is_ok() => so_far = Err(error.into()),
                    _ => {}
                },
            }
            Ok(true)
        })?;
        self.pay(1)?;
        so_far
    }

    /// One element; whether the loop goes on.
    fn step(&mut self, fold: &'a Fold) -> Result<bool, EvalError> {
        match self.node(&fold.condition) {
            Ok(Value::Bool(false)) => return Ok(false),
            Err(error) if error.is_budget() => return Err(error),
            Ok(_) | Err(_) => {}
        }
        let slot = match self.node(&fold.step) {
            Ok(value) => Slot::Value(value),
            Err(error) if error.is_budget() => return Err(error),
            Err(error) => Slot::Failed(error),
        };
        self.set(fold.slot, slot);
        Ok(true)
    }

    /// The accumulator, taken out so that it can be changed in place.
    fn take(&mut self, place: usize) -> Evaluated<'a> {
        let value = self.local(place)?;
        self.set(place, Slot::Empty);
        Ok(value)
    }

    pub(super) fn append(&mut self, place: usize, element: &'a Node, cost: u64) -> Evaluated<'a> {
        // The accumulator is read before the element, and an error of it does not keep the element
        // from being evaluated.
        let before = self.local(place);
        if let Err(error) = &before
            && error.is_budget()
        {
            return before;
        }
        let failed = before.err();
        self.pay(1)?;
        let element = self.node(element);
        if let Err(error) = &element
            && error.is_budget()
        {
            return element;
        }
        // The list of the element, then the sum of both lists.
        self.pay(cost.saturating_sub(2))?;
        self.pay(1)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let element = element?;
        match self.take(place)? {
            Value::List(List::Made(mut made)) => {
                Arc::make_mut(&mut made).push(element);
                Ok(Value::List(List::Made(made)))
            }
            Value::List(list) => {
                let made = list.iter().chain([element]).collect();
                Ok(Value::List(List::of(made)))
            }
            _ => Err(EvalError::no_overload()),
        }
    }

    pub(super) fn insert(
        &mut self,
        place: usize,
        key: Option<&'a Node>,
        value: &'a Node,
    ) -> Evaluated<'a> {
        self.pay(1)?;
        let failed = self.local(place).err();
        if let (Some(_), Some(error)) = (key, &failed) {
            return Err(error.clone());
        }
        // The call is paid for when its last argument was evaluated, whatever that gave.
        let key = key.map(|key| self.node(key)).transpose()?;
        let value = self.operand(value)?;
        self.pay(1)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let entries = match (key, value?) {
            (Some(key), value) => vec![(key, value)],
            (None, Value::Map(map)) => {
                self.meter.make_all(map.len(), ENTRY)?;
                map.entries().collect()
            }
            (None, _) => return Err(EvalError::no_overload()),
        };
        let Value::Map(Map::Made(mut made)) = self.take(place)? else {
            return Err(EvalError::no_overload());
        };
        let map = Arc::make_mut(&mut made);
        for (key, value) in entries {
            if map.contains(&key) {
                let key = text_of(&key);
                return Err(EvalError::new(format!(
                    "insert failed: key {key} already exists"
                )));
            }
            map.insert(key, value);
        }
        Ok(Value::Map(Map::Made(made)))
    }
}
