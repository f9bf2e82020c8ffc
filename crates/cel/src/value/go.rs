//! Values that the API server keeps as Go's own types: the request and the namespace.
//!
//! Here: which type a field is of, and equality, which fails where other values are just not equal
//! (k8s.io/apiserver v0.37.2, pkg/cel/common/valuesschemalesstyped.go). Not here: equality of all else
//! (`compare`), values that are read through a schema (`typed`).
//! Invariant: what is read of such a value is one again, but for what Go keeps as JSON there.

use super::compare::{Same, equality, unlike};
use super::{List, Map, Value};
use serde_json::{Map as JsonMap, Value as Json};

/// The name of a type of Go, as errors quote it.
pub(crate) type GoType = &'static str;

/// The type of an admission request.
pub(crate) const REQUEST: GoType = "v1.AdmissionRequest";
/// The type of a namespace.
pub(crate) const NAMESPACE: GoType = "v1.Namespace";
/// What a user is known by beside a name.
const EXTRA: GoType = "map[string]v1.ExtraValue";

/// Data of a type.
pub(crate) fn value(json: &Json, of: GoType) -> Value<'_> {
    match json {
        Json::Array(elements) => Value::List(List::Go(elements, of)),
        Json::Object(entries) => Value::Map(Map::Go(entries, of)),
        scalar => Value::from_json(scalar),
    }
}

/// An element of a list of a type.
pub(super) fn element(of: GoType, json: &Json) -> Value<'_> {
    value(json, of.strip_prefix("[]").unwrap_or(of))
}

/// A field of something of a type (k8s.io/api v0.37.2, admission/v1, authentication/v1, core/v1;
/// k8s.io/apimachinery v0.37.2, pkg/apis/meta/v1).
pub(super) fn field<'a>(of: GoType, name: &str, json: &'a Json) -> Value<'a> {
    let of = match (of, name) {
        // These are kept as they came.
        (REQUEST, "object" | "oldObject" | "options") | ("v1.ManagedFieldsEntry", "fieldsV1") => {
            return Value::from_json(json);
        }
        (REQUEST, "kind" | "requestKind") => "v1.GroupVersionKind",
        (REQUEST, "resource" | "requestResource") => "v1.GroupVersionResource",
        (REQUEST, "userInfo") => "v1.UserInfo",
        ("v1.UserInfo", "extra") => EXTRA,
        (EXTRA, _) => "v1.ExtraValue",
        (NAMESPACE, "metadata") => "v1.ObjectMeta",
        (NAMESPACE, "spec") => "v1.NamespaceSpec",
        ("v1.NamespaceSpec", "finalizers") => "[]v1.FinalizerName",
        (NAMESPACE, "status") => "v1.NamespaceStatus",
        ("v1.ObjectMeta", "ownerReferences") => "[]v1.OwnerReference",
        ("v1.ObjectMeta", "managedFields") => "[]v1.ManagedFieldsEntry",
        ("v1.NamespaceStatus", "conditions") => "[]v1.NamespaceCondition",
        _ if json.is_array() => "[]string",
        _ => "map[string]string",
    };
    value(json, of)
}

/// Whether a type is one of maps; others have fields.
pub(crate) fn is_map(of: GoType) -> bool {
    of.starts_with("map[")
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
    let is_structure = !is_map(of);
    if is_structure
        && let Map::Go(theirs, theirs_of) = map
        && !is_map(theirs_of)
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
        match within(&field(of, name, json), &theirs) {
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
