//! Reading fields of objects of JSON, which is most of what policies do.
//!
//! Here: the way through objects from one field to the next. Not here: everything else that is read,
//! and of other values (`attribute`).
//! Invariant: what is found and what it costs is the same as by `attribute`; no value is made for an
//! object on the way.

use super::attribute::named_name;
use super::truth::{Truth, truth};
use super::{EvalError, Evaluated, Evaluation, Slot};
use crate::plan::{Attribute, Key, Qualifier, Root};
use crate::value::{Map, Value};
use serde_json::Value as Json;

pub(super) type JsonMap = serde_json::Map<String, Json>;

/// What the last of several fields finds, or what the whole is where the way is no object. That is
/// boxed, because it is rare and the rest fits into two registers.
type Followed<'a> = Result<Option<&'a Json>, Box<Evaluated<'a>>>;

impl<'a> Evaluation<'a> {
    /// Whether an attribute is true.
    pub(super) fn attribute_truth(&mut self, attribute: &'a Attribute) -> Truth<'a> {
        let Some(map) = self.plain(attribute) else {
            return truth(self.attribute(attribute));
        };
        let value = match self.follow(map, &attribute.qualifiers, attribute.fields, attribute.test)
        {
            Ok(found) if attribute.test => return Ok(found.is_some()),
            Ok(Some(Json::Bool(value))) => {
                self.pay(1)?;
                return Ok(*value);
            }
            Ok(Some(found)) => Ok(Value::from_json(found)),
            Ok(None) => Err(not_there(&attribute.qualifiers)),
            Err(otherwise) => *otherwise,
        };
        truth(self.settle(attribute, value))
    }

    /// The object of JSON that an attribute begins with, where nothing but fields is read of it.
    ///
    /// Precondition: all of them have to be there and are paid for. What may be missing, keys, elements
    /// and what is read for free are read by `attribute`.
    fn plain(&self, attribute: &Attribute) -> Option<&'a JsonMap> {
        if attribute.fields == 0
            || attribute.fields != attribute.qualifiers.len()
            || attribute.hidden
        {
            return None;
        }
        match attribute.root {
            Root::Local(place) => self.local_object(place),
            Root::Variable(place) => match self.activation.0.variable(place)? {
                Value::Map(Map::Json(map)) => Some(map),
                _ => None,
            },
            Root::Named | Root::Conditional(..) | Root::Value(_) => None,
        }
    }

    /// The object of JSON that a variable of a loop is.
    pub(super) fn local_object(&self, place: usize) -> Option<&'a JsonMap> {
        match self.slot(place)? {
            Slot::Json(Json::Object(map)) => Some(map),
            Slot::Value(Value::Map(Map::Json(map))) => Some(*map),
            _ => None,
        }
    }

    /// What is read of an object by all of these qualifiers, of which so many begin it that are fields.
    pub(super) fn read(
        &mut self,
        map: &'a JsonMap,
        qualifiers: &'a [Qualifier],
        fields: usize,
        test: bool,
    ) -> Evaluated<'a> {
        let Some((before, rest)) = qualifiers.split_at_checked(fields).filter(|_| fields > 0)
        else {
            return self.qualified(Value::Map(Map::Json(map)), qualifiers, test);
        };
        match self.follow(map, qualifiers, fields, test) {
            Ok(found) if test && rest.is_empty() => Ok(Value::Bool(found.is_some())),
            Ok(Some(found)) if rest.is_empty() => Ok(Value::from_json(found)),
            Ok(Some(found)) => self.qualified(Value::from_json(found), rest, test),
            Ok(None) => Err(not_there(before)),
            Err(otherwise) => *otherwise,
        }
    }

    /// Follows the fields that begin these qualifiers, of which there is one at least.
    fn follow(
        &mut self,
        mut map: &'a JsonMap,
        mut qualifiers: &'a [Qualifier],
        fields: usize,
        test: bool,
    ) -> Followed<'a> {
        let mut left = fields;
        while let Some((qualifier, rest)) = qualifiers.split_first()
            && let Key::Field(field) = &qualifier.key
        {
            if let Err(error) = self.pay(1) {
                return Err(Box::new(Err(error)));
            }
            left = left.saturating_sub(1);
            let found = self.lookups.find(map, field);
            match found {
                _ if left == 0 => return Ok(found),
                Some(Json::Object(found)) => map = found,
                Some(found) => {
                    let found = self.qualified(Value::from_json(found), rest, test);
                    return Err(Box::new(found));
                }
                None => {
                    let error = EvalError::new(format!("no such key: {}", field.name));
                    return Err(Box::new(Err(error)));
                }
            }
            qualifiers = rest;
        }
        let found = self.qualified(Value::Map(Map::Json(map)), qualifiers, test);
        Err(Box::new(found))
    }
}

/// The last of these fields is not there.
fn not_there(fields: &[Qualifier]) -> EvalError {
    let name = fields.last().map_or("", named_name);
    EvalError::new(format!("no such key: {name}"))
}
