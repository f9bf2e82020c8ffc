//! Loops.
//!
//! Here: the order of a loop's parts (cel-go, interpreter/interpretable.go, `evalFold`), and lists
//! and maps that a loop makes in place. Not here: what macros become (`parse::macros`).
//! Invariant: a loop ends with its range; what it makes is moved, not copied, for each element.

use super::{EvalError, Evaluated, Evaluation, Slot};
use crate::library::{ENTRY, text_of};
use crate::plan::{Fold, Node, Quantifier, go_name};
use crate::value::{List, Map, Value};
use std::sync::Arc;

impl<'a> Evaluation<'a> {
    fn set(&mut self, place: usize, slot: Slot<'a>) {
        if let Some(found) = self.locals.get_mut(place) {
            *found = slot;
        }
    }

    pub(super) fn fold(&mut self, fold: &'a Fold) -> Evaluated<'a> {
        let range = self.node(&fold.range)?;
        self.set(fold.slot, Slot::Pending(&fold.init));
        self.each(range, fold.two, |this, first, second| {
            this.step(fold, first, second)
        })?;
        self.node(&fold.result)
    }

    /// Steps through a list or a map, until a step says that it is enough.
    fn each(
        &mut self,
        range: Value<'a>,
        two: bool,
        mut step: impl FnMut(&mut Self, Value<'a>, Option<Value<'a>>) -> Result<bool, EvalError>,
    ) -> Result<(), EvalError> {
        match range {
            Value::List(list) => {
                for place in 0..list.len() {
                    let Some(element) = list.get(place) else {
                        break;
                    };
                    let going = if two {
                        let index = i64::try_from(place).unwrap_or(i64::MAX);
                        step(self, Value::Int(index), Some(element))?
                    } else {
                        step(self, element, None)?
                    };
                    if !going {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.entries() {
                    if !step(self, key, Some(value))? {
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
    pub(super) fn quantifier(&mut self, quantifier: &'a Quantifier) -> Evaluated<'a> {
        let deciding = quantifier.deciding;
        let asking = if deciding { 3 } else { 2 };
        let range = self.node(&quantifier.range)?;
        let mut so_far: Evaluated<'a> = Ok(Value::Bool(!deciding));
        self.each(range, quantifier.two, |this, first, second| {
            this.bind(quantifier.slot, first, second);
            this.pay_steps(asking)?;
            if matches!(so_far, Ok(Value::Bool(value)) if value == deciding) {
                return Ok(false);
            }
            this.pay(1)?;
            let found = this.node(&quantifier.predicate);
            match (&so_far, &found) {
                (_, Err(error)) if error.is_budget() => return found.map(|_| false),
                (_, Ok(Value::Bool(value))) if *value == deciding => so_far = found,
                (Ok(_), Ok(Value::Bool(_)) | Err(_)) => so_far = found,
                (Err(_), _) => {}
                (Ok(_), Ok(_)) => so_far = Err(EvalError::no_overload()),
            }
            Ok(true)
        })?;
        self.pay(1)?;
        so_far
    }

    fn bind(&mut self, place: usize, first: Value<'a>, second: Option<Value<'a>>) {
        self.set(place.saturating_add(1), Slot::Value(first));
        if let Some(second) = second {
            self.set(place.saturating_add(2), Slot::Value(second));
        }
    }

    /// One element; whether the loop goes on.
    fn step(
        &mut self,
        fold: &'a Fold,
        first: Value<'a>,
        second: Option<Value<'a>>,
    ) -> Result<bool, EvalError> {
        self.bind(fold.slot, first, second);
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
