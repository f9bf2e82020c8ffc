//! Values that the API server keeps as Go's own types: the request and the namespace.
//!
//! Here: which type a field is of, and equality, which fails where other values are just not equal
//! (k8s.io/apiserver v0.37.2, pkg/cel/common/valuesschemalesstyped.go). Not here: equality of all else
//! (`compare`), values that are read through a schema (`typed`).
//! Invariant: what is read of such a value is one again, but for what Go keeps as JSON there.

use super::compare::{Same, equality, unlike};
use super::{List, Map, Value};
use serde_json::{Map as JsonMap, Value as Json};

/// A type of Go that the request or the namespace is made of (k8s.io/api v0.37.2, admission/v1,
/// authentication/v1, core/v1; k8s.io/apimachinery v0.37.2, pkg/apis/meta/v1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoType {
    /// An admission request.
    Request,
    /// A group, a version and a kind.
    GroupVersionKind,
    /// A group, a version and a resource.
    GroupVersionResource,
    /// Who asks.
    UserInfo,
    /// What else is known of who asks.
    Extra,
    /// One of these.
    ExtraValue,
    /// A namespace.
    Namespace,
    /// Its metadata.
    ObjectMeta,
    /// Who owns it.
    OwnerReferences,
    /// One of these.
    OwnerReference,
    /// Who manages its fields.
    ManagedFields,
    /// One of these.
    ManagedFieldsEntry,
    /// Its spec.
    NamespaceSpec,
    /// What is waited for before it goes.
    Finalizers,
    /// Its status.
    NamespaceStatus,
    /// Its conditions.
    Conditions,
    /// One of these.
    Condition,
    /// Any other list.
    Strings,
    /// Any other map.
    Map,
}

impl GoType {
    /// As errors quote it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Request => "v1.AdmissionRequest",
            Self::GroupVersionKind => "v1.GroupVersionKind",
            Self::GroupVersionResource => "v1.GroupVersionResource",
            Self::UserInfo => "v1.UserInfo",
            Self::Extra => "map[string]v1.ExtraValue",
            Self::ExtraValue => "v1.ExtraValue",
            Self::Namespace => "v1.Namespace",
            Self::ObjectMeta => "v1.ObjectMeta",
            Self::OwnerReferences => "[]v1.OwnerReference",
            Self::OwnerReference => "v1.OwnerReference",
            Self::ManagedFields => "[]v1.ManagedFieldsEntry",
            Self::ManagedFieldsEntry => "v1.ManagedFieldsEntry",
            Self::NamespaceSpec => "v1.NamespaceSpec",
            Self::Finalizers => "[]v1.FinalizerName",
            Self::NamespaceStatus => "v1.NamespaceStatus",
            Self::Conditions => "[]v1.NamespaceCondition",
            Self::Condition => "v1.NamespaceCondition",
            Self::Strings => "[]string",
            Self::Map => "map[string]string",
        }
    }

    /// Whether it is one of maps; others have fields.
    pub(crate) const fn is_map(self) -> bool {
        matches!(self, Self::Extra | Self::Map)
    }

    /// Data of this type.
    pub(crate) fn value(self, json: &Json) -> Value<'_> {
        match json {
            Json::Array(elements) => Value::List(List::Go(elements, self)),
            Json::Object(entries) => Value::Map(Map::Go(entries, self)),
            scalar => Value::from_json(scalar),
        }
    }

    /// An element of a list of this type.
    pub(super) fn element(self, json: &Json) -> Value<'_> {
        let element = match self {
            Self::OwnerReferences => Self::OwnerReference,
            Self::ManagedFields => Self::ManagedFieldsEntry,
            Self::Conditions => Self::Condition,
            other => other,
        };
        element.value(json)
    }

    /// A field of something of this type.
    pub(super) fn field<'a>(self, name: &str, json: &'a Json) -> Value<'a> {
        let of = match (self, name) {
            // These are kept as they came.
            (Self::Request, "object" | "oldObject" | "options")
            | (Self::ManagedFieldsEntry, "fieldsV1") => return Value::from_json(json),
            (Self::Request, "kind" | "requestKind") => Self::GroupVersionKind,
            (Self::Request, "resource" | "requestResource") => Self::GroupVersionResource,
            (Self::Request, "userInfo") => Self::UserInfo,
            (Self::UserInfo, "extra") => Self::Extra,
            (Self::Extra, _) => Self::ExtraValue,
            (Self::Namespace, "metadata") => Self::ObjectMeta,
            (Self::Namespace, "spec") => Self::NamespaceSpec,
            (Self::Namespace, "status") => Self::NamespaceStatus,
            (Self::NamespaceSpec, "finalizers") => Self::Finalizers,
            (Self::NamespaceStatus, "conditions") => Self::Conditions,
            (Self::ObjectMeta, "ownerReferences") => Self::OwnerReferences,
            (Self::ObjectMeta, "managedFields") => Self::ManagedFields,
            _ if json.is_array() => Self::Strings,
            _ => Self::Map,
        };
        of.value(json)
    }
}

/// Whether a list of Go is equal to another value.
pub(super) fn lists(list: &List<'_>, other: &Value<'_>) -> Same {
    let Value::List(other) = other else {
        return unlike(other);
    };
    let mut pairs = list.iter().zip(other.iter());
    Ok(list.len() == other.len() && pairs.all(|(a, b)| within(&a, &b) == Ok(true)))
}

/// Whether a map or a structure of Go is equal to another value.
pub(super) fn objects(entries: &JsonMap<String, Json>, of: GoType, other: &Value<'_>) -> Same {
    let Value::Map(map) = other else {
        return unlike(other);
    };
    let is_structure = !of.is_map();
    if is_structure
        && let Map::Go(theirs, theirs_of) = map
        && !theirs_of.is_map()
    {
        return Ok(of == *theirs_of && entries == *theirs);
    }
    if entries.len() != map.len() {
        return Ok(false);
    }
    for (name, json) in entries {
        let Some(theirs) = map.field(name) else {
            return Ok(false);
        };
        match within(&of.field(name, json), &theirs) {
            Ok(true) => {}
            // Of a structure it is told why it can't be compared, of a map not.
            Err(error) if is_structure => return Err(error),
            Ok(false) | Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether something within is equal to another value; a list or a map can't be compared with null
/// there.
fn within(a: &Value<'_>, b: &Value<'_>) -> Same {
    match (a, b) {
        (Value::List(List::Go(..)) | Value::Map(Map::Go(..)), Value::Null) => unlike(b),
        _ => equality(a, b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values are handed on for each step of an evaluation: what they grow by, every step pays.
    #[test]
    fn a_value_is_four_words() {
        assert_eq!(size_of::<Value<'_>>(), 4 * size_of::<usize>());
    }
}
