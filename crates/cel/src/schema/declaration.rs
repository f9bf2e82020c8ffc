//! From a schema to a type, and how large its values can be.
//!
//! Here: which type each schema has and which bounds follow from it (k8s.io/apiserver v0.37.2,
//! pkg/cel/common/schemas.go, `SchemaDeclType`, and pkg/cel/types.go). Not here: what the bounds
//! are used for, values (`value`).
//! Invariant: what a schema does not describe has no field in the type.

use super::{Format, Schema, Shape, escaped};
use crate::types::{ObjectType, Type};
use std::collections::BTreeMap;

/// Largest request that the API server takes, in bytes (pkg/apis/cel/config.go,
/// `MaxRequestSizeBytes`).
const MAX_REQUEST: i64 = 3 * 1024 * 1024;
/// Longest text in a request: its quotes are no part of it.
const MAX_TEXT: i64 = MAX_REQUEST - 2;
/// Bytes of the longest span and the longest point in time, with quotes (pkg/cel/limits.go).
const MAX_TIME: i64 = 32;
/// Bytes of a date, with quotes.
const DATE: i64 = 12;
/// Bytes of the shortest point in time, with quotes.
const MIN_DATE_TIME: i64 = 21;
/// Bytes of the shortest span, with quotes.
const MIN_DURATION: i64 = 3;
/// Bytes of `""`, `[]` and `{}`.
const EMPTY: i64 = 2;
/// Bytes of `true`.
const TRUE: i64 = 4;
/// Bytes of `0`, and of anything.
const ONE: i64 = 1;

/// The type of a schema, with the bounds of its values.
#[derive(Clone, Debug)]
pub struct Declaration {
    ty: Type,
    max_elements: i64,
    min_serialized_size: i64,
    parts: Parts,
}

/// What a declaration is made of.
#[derive(Clone, Debug)]
enum Parts {
    None,
    Element(Box<Declaration>),
    Entries {
        key: Box<Declaration>,
        value: Box<Declaration>,
    },
    Fields(BTreeMap<String, Declaration>),
}

impl Declaration {
    fn simple(ty: Type, max_elements: i64, min_serialized_size: i64) -> Self {
        Self {
            ty,
            max_elements,
            min_serialized_size,
            parts: Parts::None,
        }
    }

    /// The type, as a variable of an [`crate::Env`] is declared with it.
    #[must_use]
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The most bytes, elements or entries that a value can have; 0 where that is not bounded by
    /// a size, as of numbers and objects.
    #[must_use]
    pub fn max_elements(&self) -> i64 {
        self.max_elements
    }

    /// The bytes that a value has at least as JSON.
    #[must_use]
    pub fn min_serialized_size(&self) -> i64 {
        self.min_serialized_size
    }

    /// What a field is, by the name that it has in expressions.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        match &self.parts {
            Parts::Fields(fields) => fields.get(name),
            Parts::None | Parts::Element(_) | Parts::Entries { .. } => None,
        }
    }

    /// Its fields, by the names that they have in expressions.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        let fields = match &self.parts {
            Parts::Fields(fields) => Some(fields),
            Parts::None | Parts::Element(_) | Parts::Entries { .. } => None,
        };
        let fields = fields.into_iter().flatten();
        fields.map(|(name, field)| (name.as_str(), field))
    }

    /// What an element of a list or a value of a map is.
    #[must_use]
    pub fn element(&self) -> Option<&Self> {
        match &self.parts {
            Parts::Element(element) | Parts::Entries { value: element, .. } => Some(element),
            Parts::None | Parts::Fields(_) => None,
        }
    }

    /// What a key of a map is.
    #[must_use]
    pub fn key(&self) -> Option<&Self> {
        match &self.parts {
            Parts::Entries { key, .. } => Some(key),
            Parts::None | Parts::Element(_) | Parts::Fields(_) => None,
        }
    }
}

impl Schema {
    /// The type of what this schema describes; absent where expressions can't see it. Objects
    /// within are named after the way to them: `Deployment.spec`, `Deployment.spec.items.@idx`.
    #[must_use]
    pub fn declaration(&self, name: &str) -> Option<Declaration> {
        Some(match &self.shape {
            Shape::Object(_) => return self.object_declaration(name),
            Shape::Array {
                items, max_items, ..
            } => {
                let element = items.as_ref()?.declaration(&format!("{name}.@idx"))?;
                // Brackets, and a comma after each element.
                let fit = fitting(element.min_serialized_size.saturating_add(1));
                Declaration {
                    ty: Type::list(element.ty.clone()),
                    max_elements: max_items.map_or(fit, |max| max.max(0)),
                    min_serialized_size: EMPTY,
                    parts: Parts::Element(Box::new(element)),
                }
            }
            Shape::String {
                format,
                max_length,
                longest,
            } => text(*format, *max_length, *longest),
            Shape::IntOrString { max_length } => {
                let max = max_length.map_or(MAX_TEXT, characters);
                Declaration::simple(Type::Dyn, max, ONE)
            }
            Shape::Boolean => Declaration::simple(Type::Bool, 0, TRUE),
            Shape::Number => Declaration::simple(Type::Double, 0, ONE),
            Shape::Integer => Declaration::simple(Type::Int, 0, ONE),
            Shape::Other { .. } => return None,
        })
    }

    fn object_declaration(&self, name: &str) -> Option<Declaration> {
        let Shape::Object(fields) = &self.shape else {
            return None;
        };
        if let Some(additional) = &fields.additional {
            let value = additional.declaration(&format!("{name}.@elem"))?;
            // A key of two bytes with its quotes and the colon, and a comma.
            let fit = fitting(value.min_serialized_size.saturating_add(6));
            return Some(Declaration {
                ty: Type::map(value.ty.clone()),
                max_elements: fields.max_properties.map_or(fit, |max| max.max(0)),
                min_serialized_size: EMPTY,
                parts: Parts::Entries {
                    key: Box::new(Declaration::simple(Type::String, 0, EMPTY)),
                    value: Box::new(value),
                },
            });
        }
        let mut declared = BTreeMap::new();
        let mut size = EMPTY;
        for (property, schema) in fields.properties.iter().flatten() {
            let field = escaped(property);
            let path = format!("{name}.{}", field.as_deref().unwrap_or(property));
            let Some(declaration) = schema.declaration(&path) else {
                continue;
            };
            if !schema.has_default && fields.required.iter().any(|name| name == property) {
                let length = i64::try_from(property.len()).unwrap_or(i64::MAX);
                // Its quotes, the colon and a comma.
                size = size
                    .saturating_add(length)
                    .saturating_add(declaration.min_serialized_size)
                    .saturating_add(4);
            }
            if let Some(field) = field {
                declared.insert(field.into_owned(), declaration);
            }
        }
        let types = declared
            .iter()
            .map(|(name, field)| (name.as_str(), field.ty.clone()));
        Some(Declaration {
            ty: ObjectType::new(name, types),
            max_elements: 0,
            min_serialized_size: size,
            parts: Parts::Fields(declared),
        })
    }
}

fn text(format: Format, max_length: Option<i64>, longest: Option<i64>) -> Declaration {
    match format {
        Format::Byte => {
            let max = max_length.map_or(MAX_TEXT, |max| max.max(0));
            Declaration::simple(Type::Bytes, max, EMPTY)
        }
        Format::Duration => Declaration::simple(Type::Duration, MAX_TIME, MIN_DURATION),
        Format::Date => Declaration::simple(Type::Timestamp, DATE, DATE),
        Format::DateTime => Declaration::simple(Type::Timestamp, MAX_TIME, MIN_DATE_TIME),
        Format::Plain => {
            let max = max_length.map_or(longest.unwrap_or(MAX_TEXT), characters);
            Declaration::simple(Type::String, max, EMPTY)
        }
    }
}

/// Bytes of so many characters, which have four bytes at most.
fn characters(max_length: i64) -> i64 {
    max_length.max(0).saturating_mul(4)
}

/// How many of this size a request has room for.
fn fitting(size: i64) -> i64 {
    MAX_TEXT.checked_div(size).unwrap_or(MAX_TEXT)
}
