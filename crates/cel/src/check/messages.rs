//! The types of messages that are made.
//!
//! Here: which type a name means, which field may hold what (cel-go v0.29.2, checker/checker.go,
//! `checkCreateStruct`, `lookupFieldType`). Not here: which messages of protobuf there are (`message`).
//! Invariant: the fields of a message whose type is not known are not looked at.

use super::{Checker, Reference, unwrapped};
use crate::ast::{Expr, Field};
use crate::env::type_of;
use crate::message;
use crate::types::Type;
use std::sync::Arc;

impl Checker<'_> {
    pub(super) fn message(&mut self, expr: &Expr, name: &str, fields: &[Field]) -> Type {
        let Some((whole, ty)) = self.message_type(name) else {
            let help = self.near(name, message::names());
            self.undeclared(expr.at, name, help);
            return Type::Error;
        };
        self.refer(expr, Reference::Message(Arc::from(whole.as_str())));
        let mut made = ty.clone();
        let structure = match (&ty, well_known(&ty)) {
            (_, Some(known)) => known.to_owned(),
            (Type::Object(object), None) => object.name().to_owned(),
            _ => {
                let found = ty.name();
                let words = format!("'{found}' is not a message type");
                self.fault(expr.at, words, None);
                made = Type::Error;
                whole
            }
        };
        for field in fields {
            self.message_field(&structure, field);
        }
        made
    }

    /// The type that a name means, with its whole name.
    fn message_type(&self, name: &str) -> Option<(String, Type)> {
        self.env.candidates(name).into_iter().find_map(|name| {
            // What else has these names is known to the API server as types that functions have.
            let simple = || type_of(&name).map(|(_, ty)| ty);
            let ty = simple().or_else(|| self.env.structure(&name))?;
            Some((name, ty))
        })
    }

    fn message_field(&mut self, structure: &str, field: &Field) {
        self.node(&field.value);
        let wanted = self.field_type(structure, field);
        let mut found = self.type_of(&field.value);
        if field.optional {
            let (inner, is_optional) = unwrapped(&found);
            if !is_optional && !inner.is_dynamic() {
                let optional = Type::optional(inner.clone());
                self.mismatch(field.value.at, &optional, &inner);
            }
            found = inner;
        }
        if !self.known.assign(&wanted, &found) {
            let name = &field.name;
            let words = format!(
                "expected type of field '{name}' is '{wanted}' but provided type is '{found}'"
            );
            self.fault(field.at, words, None);
        }
    }

    /// The type of a field. Of what a patch does not have it is missing (k8s.io/apiserver v0.37.2,
    /// pkg/cel/mutation/jsonpatch.go, `Field`).
    fn field_type(&mut self, structure: &str, field: &Field) -> Type {
        let name = &field.name;
        let known = self.env.structure(structure).or_else(|| {
            // The API server's types have these names as well, without a field.
            let scalar = type_of(structure).map(|(_, ty)| ty);
            let is_declared = |ty: &Type| {
                !matches!(ty, Type::Type(_) | Type::Optional(_) | Type::Opaque(..))
                    && !self.env.strict
            };
            scalar.filter(is_declared)
        });
        let found = match known {
            None => {
                let words = format!("unexpected failed resolution of '{structure}'");
                self.fault(field.at, words, None);
                return Type::Error;
            }
            Some(Type::Object(object)) if object.has_any_field() => Some(Type::Dyn),
            Some(Type::Object(object)) => {
                let found = self.declared_field(&object, name).map(|(_, ty)| ty.clone());
                if found.is_none() && self.env.mutation && structure == message::PATCH {
                    return Type::Missing;
                }
                let help = if found.is_none() {
                    self.near(name, object.names())
                } else {
                    None
                };
                return found.unwrap_or_else(|| {
                    self.fault(field.at, format!("undefined field '{name}'"), help);
                    Type::Error
                });
            }
            Some(ty) => match message::proto(structure) {
                Some(proto) => proto.field(name),
                None => match ty {
                    // Every name is a key of a map.
                    Type::Map(_, value) => Some((*value).clone()),
                    _ => None,
                },
            },
        };
        found.unwrap_or_else(|| {
            self.fault(field.at, format!("undefined field '{name}'"), None);
            Type::Error
        })
    }
}

/// The message of protobuf that a type stands for (cel-go v0.29.2, checker/checker.go,
/// `isWellKnownType`, `getWellKnownTypeName`).
fn well_known(ty: &Type) -> Option<&'static str> {
    let name = match ty {
        Type::Any => "google.protobuf.Any",
        Type::Dyn => "google.protobuf.Value",
        Type::Null => "google.protobuf.NullValue",
        Type::Duration => "google.protobuf.Duration",
        Type::Timestamp => "google.protobuf.Timestamp",
        Type::List(element) if **element == Type::Dyn => "google.protobuf.ListValue",
        Type::Map(key, value) if **key == Type::String && **value == Type::Dyn => {
            "google.protobuf.Struct"
        }
        Type::Wrapper(inner) => match &**inner {
            Type::Bool => "google.protobuf.BoolValue",
            Type::Bytes => "google.protobuf.BytesValue",
            Type::Double => "google.protobuf.DoubleValue",
            Type::Int => "google.protobuf.Int64Value",
            Type::String => "google.protobuf.StringValue",
            _ => "google.protobuf.UInt64Value",
        },
        _ => return None,
    };
    Some(name)
}
