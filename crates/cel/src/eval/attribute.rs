//! Reading: variables, fields, keys, elements, optionals.
//!
//! Here: what is read of a value and what that costs (cel-go, interpreter/attributes.go). Not
//! here: computing (`eval`).
//! Invariant: a name costs one, each field, key or element costs one, whether it is there or not;
//! what is looked for by `?` costs only where it is there.

use super::{EvalError, Evaluated, Evaluation, Slot, State};
use crate::library::text_of;
use crate::plan::{Attribute, Field, Key, Node, Qualifier, Root, go_name, not_a_key};
use crate::value::{List, Map, Value, no_field};
use std::sync::Arc;

impl<'a> Evaluation<'a> {
    pub(super) fn attribute(&mut self, attribute: &'a Attribute) -> Evaluated<'a> {
        let value = self.resolve(attribute, attribute.test);
        self.settle(attribute, value)
    }

    /// Pays for an attribute that was read.
    pub(super) fn settle(
        &mut self,
        attribute: &'a Attribute,
        value: Evaluated<'a>,
    ) -> Evaluated<'a> {
        if let Err(error) = &value
            && error.is_budget()
        {
            return value;
        }
        // A condition costs what its parts cost, and asking whether something is there costs
        // nothing beside the way to it.
        match (
            attribute.test,
            matches!(attribute.root, Root::Conditional(..)),
        ) {
            (false, false) => self.pay(1)?,
            // The API server takes the one off that it never counted.
            (true, true) => self.cost = self.cost.saturating_sub(1),
            (true, false) | (false, true) => {}
        }
        value
    }

    /// A value without the cost of its name, as within a condition or as an index. Of `has()` with
    /// `.?` in it the API server takes what is there, not whether it is.
    fn raw(&mut self, node: &'a Node) -> Evaluated<'a> {
        match node {
            Node::Attribute(attribute)
                if !attribute.test || attribute.qualifiers.iter().any(|q| q.optional) =>
            {
                self.resolve(attribute, false)
            }
            other => self.node(other),
        }
    }

    /// What an attribute is, or, for a test, whether it is there.
    fn resolve(&mut self, attribute: &'a Attribute, test: bool) -> Evaluated<'a> {
        let before = self.cost;
        let found = self.resolved(attribute, test);
        if attribute.is_read_for_free() && !matches!(&found, Err(error) if error.is_budget()) {
            self.cost = before;
        }
        found
    }

    fn resolved(&mut self, attribute: &'a Attribute, test: bool) -> Evaluated<'a> {
        let mut qualifiers = attribute.qualifiers.as_slice();
        let mut fields = attribute.fields;
        let root = match &attribute.root {
            Root::Local(place) if let Some(map) = self.local_object(*place) => {
                return self.read(map, qualifiers, fields, test);
            }
            Root::Variable(place) => self.activation.0.variable(*place).ok_or_else(|| {
                let name = self.env.variable_name(*place);
                EvalError::new(format!("no such attribute(s): {name}"))
            })?,
            Root::Local(place) => self.local(*place)?,
            Root::Conditional(condition, then, otherwise) => match self.node(condition)? {
                Value::Bool(true) => self.raw(then)?,
                Value::Bool(false) => self.raw(otherwise)?,
                _ => return Err(EvalError::no_overload()),
            },
            Root::Value(node) => self.node(node)?,
            Root::Named => {
                let Some((first, rest)) = qualifiers.split_first() else {
                    return Err(EvalError::new("variables cannot be used without a name"));
                };
                qualifiers = rest;
                fields = fields.saturating_sub(1);
                if test && rest.is_empty() {
                    self.named(first)?;
                    return Ok(Value::Bool(true));
                }
                let value = self.named(first)?;
                if first.optional {
                    return self.followed(value, qualifiers, test, true);
                }
                if matches!(value, Value::Optional(_)) {
                    // It is not looked into, as it is not what the reading begins with.
                    return self.followed(value, qualifiers, test, false);
                }
                value
            }
        };
        match root {
            Value::Map(Map::Json(map)) => self.read(map, qualifiers, fields, test),
            Value::Fault(error) => Err((*error).clone()),
            root => self.qualified(root, qualifiers, test),
        }
    }

    pub(super) fn qualified(
        &mut self,
        value: Value<'a>,
        qualifiers: &'a [Qualifier],
        test: bool,
    ) -> Evaluated<'a> {
        if qualifiers.is_empty() {
            return Ok(value);
        }
        if let Value::Optional(inner) = value {
            return match inner {
                Some(inner) => self.followed((*inner).clone(), qualifiers, test, true),
                None if test => Ok(Value::Bool(false)),
                None => Ok(Value::Optional(None)),
            };
        }
        self.followed(value, qualifiers, test, false)
    }

    /// Reads one qualifier after the other; `optional` once one of them may be missing.
    fn followed(
        &mut self,
        mut value: Value<'a>,
        qualifiers: &'a [Qualifier],
        test: bool,
        mut optional: bool,
    ) -> Evaluated<'a> {
        let last = qualifiers.len().saturating_sub(1);
        for (place, qualifier) in qualifiers.iter().enumerate() {
            optional = optional || qualifier.optional;
            let tested = test && place == last;
            let lenient = optional || tested;
            let scalar = !matches!(
                value,
                Value::Map(_)
                    | Value::List(_)
                    | Value::Object(_)
                    | Value::Optional(_)
                    | Value::Message(_)
            );
            let lenient = lenient && !(scalar && self.env.strict);
            if let Value::Fault(error) = &value {
                return Err((**error).clone());
            }
            // A list of Go has an element for what is no place: an error, which an optional may hold, and
            // so may a list.
            let is_held = lenient && matches!(value, Value::List(List::Go(..) | List::Made(_)));
            let (found, unreadable) = match self.qualify(&value, qualifier, lenient) {
                Ok(Some(Value::Fault(error))) if !is_held => (Err((*error).clone()), true),
                found => (found, false),
            };
            if let Err(error) = &found
                && error.is_budget()
            {
                return Err(error.clone());
            }
            if matches!(found, Ok(Some(_))) || !optional {
                self.pay(1)?;
            }
            // An object's field that can't be read is found, and is an error for what reads on.
            if unreadable
                && matches!(qualifier.key, Key::Typed(_))
                && let Some(next) = qualifiers.get(place.saturating_add(1))
                && !next.optional
            {
                self.pay(1)?;
            }
            match found? {
                Some(found) if tested => {
                    drop(found);
                    return Ok(Value::Bool(true));
                }
                Some(found) => value = found,
                None if test => return Ok(Value::Bool(false)),
                None => return Ok(Value::Optional(None)),
            }
        }
        Ok(if optional { Value::some(value) } else { value })
    }

    /// What a qualifier finds; nothing only where that is allowed.
    fn qualify(
        &mut self,
        value: &Value<'a>,
        qualifier: &'a Qualifier,
        lenient: bool,
    ) -> Result<Option<Value<'a>>, EvalError> {
        let computed;
        let key = match &qualifier.key {
            Key::Field(Field { name, place, .. }) => return field(value, name, *place, lenient),
            Key::Typed(name) => {
                return match value {
                    Value::Message(message) => {
                        // It is converted as a whole.
                        self.copied(value)?;
                        message.read_typed(name, lenient)
                    }
                    _ if lenient => Ok(None),
                    _ => Err(no_field(name)),
                };
            }
            Key::Constant(key) => key,
            Key::Computed(node) => {
                computed = self.raw(node)?;
                match &computed {
                    Value::String(name) => return field(value, name, None, lenient),
                    // What is read of data is null in another way than what is computed.
                    Value::Null if matches!(node, Node::Attribute(_)) => {
                        return Err(EvalError::new("invalid qualifier type: <nil>"));
                    }
                    other => {
                        if let Some(kind) = not_a_key(other) {
                            return Err(EvalError::new(format!("invalid qualifier type: {kind}")));
                        }
                    }
                }
                &computed
            }
        };
        match value {
            Value::List(list) => element(list, key, lenient),
            Value::Map(map) => missing(map.get(key), key, lenient),
            Value::Message(message) => missing(message.read_key(key, lenient)?, key, lenient),
            _ => missing(None, key, lenient),
        }
    }

    pub(super) fn local(&mut self, place: usize) -> Evaluated<'a> {
        let pending = match self.slot(place) {
            Some(Slot::Value(Value::Fault(error))) => return Err((**error).clone()),
            Some(Slot::Value(value)) => return Ok(value.clone()),
            Some(Slot::Json(json)) => return Ok(Value::from_json(json)),
            Some(Slot::Failed(error)) => return Err(error.clone()),
            Some(Slot::Pending(node)) => *node,
            Some(Slot::Empty) | None => {
                return Err(EvalError::new("no such attribute(s): @result"));
            }
        };
        let computed = self.node(pending);
        let slot = match &computed {
            Ok(value) => Slot::Value(value.clone()),
            Err(error) => Slot::Failed(error.clone()),
        };
        self.set(place, slot);
        computed
    }

    fn named_place(&self, qualifier: &Qualifier) -> Option<usize> {
        let Key::Field(Field { name, .. }) = &qualifier.key else {
            return None;
        };
        // Of two with one name the later counts.
        self.env
            .all_named()
            .iter()
            .rposition(|named| named.name == *name)
    }

    /// What a named expression is; one that is asked for as an optional costs nothing where it fails.
    fn named(&mut self, qualifier: &'a Qualifier) -> Evaluated<'a> {
        if !qualifier.optional {
            self.pay(1)?;
        }
        let found = self.computed(qualifier)?;
        if qualifier.optional {
            self.pay(1)?;
        }
        Ok(found)
    }

    /// A named expression: computed when first asked for, with a limit of its own.
    fn computed(&mut self, qualifier: &'a Qualifier) -> Evaluated<'a> {
        let Some(place) = self.named_place(qualifier) else {
            return Err(EvalError::new("no such key: variables"));
        };
        match self.named.get(place) {
            Some(State::Done(done)) => return done.clone(),
            // Two have one name, and the later uses it.
            Some(State::Running) => {
                return Err(EvalError::new(format!(
                    "variable {:?} is defined by itself",
                    named_name(qualifier)
                )));
            }
            Some(State::Waiting) | None => {}
        }
        if let Some(state) = self.named.get_mut(place) {
            *state = State::Running;
        }
        let env = self.env;
        let Some(named) = env.all_named().get(place) else {
            return Err(EvalError::new("no such key: variables"));
        };
        let name = &named.name;
        let done = match &named.program {
            Err(error) => Err(EvalError::new(format!(
                "composited variable \"{name}\" fails to compile: {error}"
            ))),
            Ok(program) => {
                let (outcome, cost) = self.program(program, |found| found);
                self.named_cost = self.named_cost.saturating_add(cost);
                outcome.map_err(|error| {
                    EvalError::new(format!(
                        "composited variable \"{name}\" fails to evaluate: {error}"
                    ))
                })
            }
        };
        if let Some(state) = self.named.get_mut(place) {
            *state = State::Done(done.clone());
        }
        done
    }
}

pub(super) fn named_name(qualifier: &Qualifier) -> &str {
    match &qualifier.key {
        Key::Field(Field { name, .. }) | Key::Typed(name) => name,
        Key::Constant(_) | Key::Computed(_) => "",
    }
}

fn missing<'a>(
    found: Option<Value<'a>>,
    key: &Value<'_>,
    lenient: bool,
) -> Result<Option<Value<'a>>, EvalError> {
    if found.is_none() && !lenient {
        let key = text_of(key);
        return Err(EvalError::new(format!("no such key: {key}")));
    }
    Ok(found)
}

/// A field of a structure or a key of data.
fn field<'a>(
    value: &Value<'a>,
    name: &str,
    place: Option<usize>,
    lenient: bool,
) -> Result<Option<Value<'a>>, EvalError> {
    let found = match value {
        Value::Map(map) => map.field(name),
        Value::Message(message) => message.read(name, lenient)?,
        Value::Object(object) => place
            .or_else(|| object.index(name))
            .and_then(|place| object.field(place)),
        Value::List(_) => {
            return Err(EvalError::new("unsupported index type 'string' in list"));
        }
        _ => None,
    };
    if found.is_none() && !lenient {
        return Err(EvalError::new(format!("no such key: {name}")));
    }
    Ok(found)
}

/// An element of a list; numbers of all kinds are places where they are whole.
fn element<'a>(
    list: &List<'a>,
    key: &Value<'_>,
    lenient: bool,
) -> Result<Option<Value<'a>>, EvalError> {
    /// From here on a whole number is no place.
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "within the range of places, as checked"
    )]
    let place = match key {
        Value::Int(place) => Some(*place),
        Value::Uint(place) => i64::try_from(*place).ok(),
        Value::Double(place) => {
            (place.fract() == 0.0 && place.abs() < TWO_TO_63).then_some(*place as i64)
        }
        other => {
            let found = other.type_name();
            return Err(EvalError::new(format!(
                "unsupported index type '{found}' in list"
            )));
        }
    };
    let Some(place) = place else {
        let key = text_of(key);
        return Err(EvalError::new(format!(
            "unsupported index value {key} in list"
        )));
    };
    let found = usize::try_from(place)
        .ok()
        .and_then(|place| list.get(place));
    if let (Some(_), Value::Uint(_) | Value::Double(_)) = (&found, key) {
        let words = match list {
            List::Typed(..) => Some(format!("unsupported index: {}", text_of(key))),
            List::Go(..) => Some(format!("unsupported index type: {}", go_name(key))),
            _ => None,
        };
        if let Some(error) = words.map(EvalError::new) {
            return match list {
                List::Go(..) if lenient => Ok(Some(Value::Fault(Arc::new(error)))),
                _ => Err(error),
            };
        }
    }
    if found.is_none() && !lenient {
        let key = text_of(key);
        return Err(EvalError::new(format!("index out of bounds: {key}")));
    }
    Ok(found)
}
