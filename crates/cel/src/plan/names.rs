//! The names that Go has for kinds of values, because errors of the API server quote them.
//!
//! Here: the names. Not here: names of types, which people know (`value`).
//! Invariant: every kind has one.

use crate::library::{Authorization, Opaque};
use crate::schema::ListKind;
use crate::value::{List, Map, MessageKind, Value};

/// Of a value that nothing can be looked up by, the name that Go has for it.
pub(crate) fn not_a_key(value: &Value<'_>) -> Option<&'static str> {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::String(_) => {
            None
        }
        other => Some(go_name(other)),
    }
}

/// The name that Go has for the kind of a value; some errors of the API server quote it.
pub(crate) fn go_name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Bool(_) => "types.Bool",
        Value::Int(_) => "types.Int",
        Value::Uint(_) => "types.Uint",
        Value::Double(_) => "types.Double",
        Value::String(_) => "types.String",
        Value::Null => "types.Null",
        Value::Bytes(_) => "types.Bytes",
        Value::Duration(_) => "types.Duration",
        Value::Timestamp(_) => "types.Timestamp",
        Value::List(List::Go(..)) => "*common.reflectSchemalessTypedList",
        Value::List(List::Joined(_)) => "*types.concatList",
        Value::List(list) => match (list, list.kind()) {
            (_, None) => "*types.baseList",
            (List::Typed(..), Some(ListKind::Set)) => "*common.unstructuredSetList",
            (List::Typed(..), Some(ListKind::Map(_))) => "*common.unstructuredMapList",
            (List::Typed(..), Some(_)) => "*common.unstructuredList",
            (_, Some(ListKind::Set)) => "*common.refValSetList",
            (_, Some(_)) => "*common.refValMapList",
        },
        Value::Map(Map::Typed(..)) => "*common.unstructuredMap",
        Value::Map(Map::Go(_, of)) if of.is_map() => "*common.reflectSchemalessTypedMap",
        Value::Map(Map::Go(..)) => "*common.reflectSchemalessTypedStruct",
        Value::Map(_) => "*types.baseMap",
        Value::Preserved(_) => "*common.unknownPreserved",
        Value::Fault(_) => "*types.Err",
        Value::Type(_) => "*types.Type",
        Value::Optional(_) => "*types.Optional",
        Value::Object(_) => "object",
        Value::Message(message) => match message.kind() {
            MessageKind::Object(_) => "*dynamic.ObjectVal",
            MessageKind::Patch => "*mutation.JSONPatchVal",
            MessageKind::Empty | MessageKind::FieldsEntry => "*types.protoObj",
        },
        Value::Authorization(value) => match &**value {
            Authorization::Authorizer(_) => "library.authorizerVal",
            Authorization::Path(..) => "library.pathCheckVal",
            Authorization::Group(..) => "library.groupCheckVal",
            Authorization::Resource(..) => "library.resourceCheckVal",
            Authorization::Decision(_) => "library.decisionVal",
        },
        Value::Opaque(opaque) => match opaque.type_name() {
            crate::types::IP => "cel.IP",
            crate::types::CIDR => "cel.CIDR",
            crate::types::QUANTITY => match &**opaque {
                Opaque::Quantity(quantity) if quantity.is_sum() => "*cel.Quantity",
                _ => "cel.Quantity",
            },
            crate::types::URL => "cel.URL",
            crate::types::SEMVER => "cel.Semver",
            _ => "cel.Format",
        },
    }
}
