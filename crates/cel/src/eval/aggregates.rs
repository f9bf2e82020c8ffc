//! Making lists, maps and messages.
//!
//! Here: their parts one after the other (cel-go v0.29.2, interpreter/interpretable.go, `evalList`,
//! `evalMap`, `evalObj`) and what that costs. Not here: what the fields of a message make (`message`).
//! Invariant: what is kept or converted is metered before.

use super::{ENTRY, EvalError, Evaluated, Evaluation};
use crate::library;
use crate::message::Maker;
use crate::plan::Node;
use crate::value::{List, Map, Value, weight};
use std::sync::Arc;

/// What a message costs beside its fields (cel-go v0.29.2, common/cost.go, `StructCreateBaseCost`).
const COST: u64 = 40;

impl<'a> Evaluation<'a> {
    pub(super) fn list(&mut self, elements: &'a [(Node, bool)]) -> Evaluated<'a> {
        // It costs the same with however many constants.
        self.meter
            .make_all(elements.len(), size_of::<Value<'_>>())?;
        let mut made = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            match (self.node(element), optional) {
                (Ok(Value::Optional(value)), true) => made.extend(value.map(|v| (*v).clone())),
                (Ok(value), true) => {
                    self.pay(10)?;
                    self.meter.step(weight(&value, self.meter.left()))?;
                    return Err(EvalError::no_optional("list element", &value));
                }
                (Ok(value), false) => made.push(value),
                (Err(error), _) if error.is_budget() => return Err(error),
                (Err(error), _) => {
                    self.pay(10)?;
                    return Err(error);
                }
            }
        }
        self.pay(10)?;
        Ok(Value::List(List::of(made)))
    }

    pub(super) fn map(&mut self, entries: &'a [(Node, Node, bool)], strict: bool) -> Evaluated<'a> {
        let made = self.entries(entries, strict);
        if let Err(error) = &made
            && error.is_budget()
        {
            return made;
        }
        self.pay(30)?;
        made
    }

    fn entries(&mut self, entries: &'a [(Node, Node, bool)], strict: bool) -> Evaluated<'a> {
        self.meter.make_all(entries.len(), ENTRY)?;
        let mut made = crate::value::MadeMap::default();
        for (key, value, optional) in entries {
            let key = self.node(key)?;
            if strict {
                checked_key(&made, &key)?;
            }
            match (self.node(value)?, optional) {
                (Value::Optional(None), true) => {
                    // The others move up, and are then found elsewhere.
                    self.meter.make_all(made.len().saturating_mul(16), 0)?;
                    made.remove(&key);
                }
                (Value::Optional(Some(value)), true) => {
                    made.insert(key, (*value).clone());
                }
                (value, true) => {
                    self.meter.step(weight(&value, self.meter.left()))?;
                    let entry = format!("entry '{}'", library::go_text(&key));
                    return Err(EvalError::no_optional(&entry, &value));
                }
                (value, false) => {
                    made.insert(key, value);
                }
            }
        }
        Ok(Value::Map(Map::Made(Arc::new(made))))
    }

    pub(super) fn message(
        &mut self,
        maker: &Maker,
        fields: &'a [(String, Node, bool)],
    ) -> Evaluated<'a> {
        let made = self
            .fields_of(maker, fields)
            .and_then(|set| maker.make(set));
        if let Err(error) = &made
            && error.is_budget()
        {
            return made;
        }
        self.pay(COST)?;
        made
    }

    /// The fields that are set; a later value takes the place of an earlier one, and one that is absent
    /// takes it away.
    fn fields_of(
        &mut self,
        maker: &Maker,
        fields: &'a [(String, Node, bool)],
    ) -> Result<Vec<(&'a str, Value<'a>)>, EvalError> {
        self.meter.make_all(fields.len(), ENTRY)?;
        let mut set: Vec<(&str, Value<'a>)> = Vec::with_capacity(fields.len());
        for (name, node, optional) in fields {
            let value = match (self.node(node)?, optional) {
                (value, false) => Some(value),
                (Value::Optional(value), true) => value.map(|value| (*value).clone()),
                (value, true) => {
                    self.meter.step(weight(&value, self.meter.left()))?;
                    let entry = format!("entry '{name}'");
                    return Err(EvalError::no_optional(&entry, &value));
                }
            };
            let place = set.iter().position(|(known, _)| known == name);
            match (place, value) {
                (None, None) => {}
                (Some(place), None) => drop(set.remove(place)),
                (Some(place), Some(value)) => {
                    if let Some(before) = set.get_mut(place) {
                        before.1 = value;
                    }
                }
                (None, Some(value)) => set.push((name, value)),
            }
        }
        if maker.converts() {
            for (_, value) in &set {
                self.copied(value)?;
            }
        }
        Ok(set)
    }

    /// Meters going through a value and making one like it.
    pub(super) fn copied(&mut self, value: &Value<'_>) -> Result<(), EvalError> {
        let steps = weight(value, self.meter.left());
        self.meter.step(steps)?;
        let parts = usize::try_from(steps).unwrap_or(usize::MAX);
        self.meter.make_all(parts, size_of::<Value<'_>>())
    }
}

/// A key as the specification has it: a scalar that is not there yet.
fn checked_key(made: &crate::value::MadeMap<'_>, key: &Value<'_>) -> Result<(), EvalError> {
    match key {
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_) => {}
        _ => return Err(EvalError::new("unsupported key type")),
    }
    if made.contains(key) {
        let key = library::text_of(key);
        return Err(EvalError::new(format!("Failed with repeated key: {key}")));
    }
    Ok(())
}
