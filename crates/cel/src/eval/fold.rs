//! Loops.
//!
//! Here: the order of a loop's parts (cel-go, interpreter/interpretable.go, `evalFold`), and lists
//! and maps that a loop makes in place. Not here: what macros become (`parse::macros`).
//! Invariant: a loop ends with its range; what it makes is moved, not copied, for each element.

use super::{EvalError, Evaluated, Evaluation, Slot};
use crate::library::text_of;
use crate::plan::{Fold, Node, go_name};
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
        match range {
            Value::List(list) => {
                for place in 0..list.len() {
                    let Some(element) = list.get(place) else {
                        break;
                    };
                    let going = if fold.two {
                        let index = i64::try_from(place).unwrap_or(i64::MAX);
                        self.step(fold, Value::Int(index), Some(element))?
                    } else {
                        self.step(fold, element, None)?
                    };
                    if !going {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.entries() {
                    if !self.step(fold, key, Some(value))? {
                        break;
                    }
                }
            }
            other => {
                let found = go_name(&other);
                return Err(EvalError::new(if fold.two {
                    format!("unsupported comprehension range type: {found}")
                } else {
                    format!("got '{found}', expected iterable type")
                }));
            }
        }
        self.node(&fold.result)
    }

    /// One element; whether the loop goes on.
    fn step(
        &mut self,
        fold: &'a Fold,
        first: Value<'a>,
        second: Option<Value<'a>>,
    ) -> Result<bool, EvalError> {
        self.set(fold.slot.saturating_add(1), Slot::Value(first));
        if let Some(second) = second {
            self.set(fold.slot.saturating_add(2), Slot::Value(second));
        }
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
        self.pay(cost.saturating_sub(1))?;
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
        let before = self.local(place)?;
        drop(before);
        let entries = match key {
            Some(key) => vec![(self.node(key)?, self.node(value)?)],
            None => match self.node(value)? {
                Value::Map(map) => map.entries(),
                _ => return Err(EvalError::no_overload()),
            },
        };
        self.pay(1)?;
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
