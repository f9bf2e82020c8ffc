//! Values that the API server keeps as Go's own types: the request and the namespace.
//!
//! Here: which type a field is of, which fields are there whether they were given or not, and equality, which fails where other values are just not equal
//! (k8s.io/apiserver v0.37.2, pkg/cel/common/valuesschemalesstyped.go). Not here: equality of all else
//! (`compare`), values that are read through a schema (`typed`).
//! Invariant: what is read of such a value is one again, but for what Go keeps as JSON there.

use super::compare::{Same, equality, unlike};
use super::{List, Map, Value};
use serde_json::{Map as JsonMap, Value as Json};
use std::slice;
use std::sync::OnceLock;

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
            Json::Null if self.fields().is_some() => Value::Map(Map::Go(nothing(), self)),
            scalar => Value::from_json(scalar),
        }
    }

    /// The fields of a structure, each with when it is there; nothing for a list or a map.
    const fn fields(self) -> Option<&'static [(&'static str, Field)]> {
        use Field::{Filled, Null, Pointer, Structure, Text};
        Some(match self {
            Self::Request => &[
                ("uid", Text),
                ("kind", Structure(Self::GroupVersionKind)),
                ("resource", Structure(Self::GroupVersionResource)),
                ("subResource", Filled),
                ("requestKind", Pointer),
                ("requestResource", Pointer),
                ("requestSubResource", Filled),
                ("name", Filled),
                ("namespace", Filled),
                ("operation", Text),
                ("userInfo", Structure(Self::UserInfo)),
                ("object", Null),
                ("oldObject", Null),
                ("dryRun", Pointer),
                ("options", Null),
            ],
            Self::GroupVersionKind => &[("group", Text), ("version", Text), ("kind", Text)],
            Self::GroupVersionResource => &[("group", Text), ("version", Text), ("resource", Text)],
            Self::UserInfo => &[
                ("username", Filled),
                ("uid", Filled),
                ("groups", Filled),
                ("extra", Filled),
            ],
            Self::Namespace => &[
                ("kind", Filled),
                ("apiVersion", Filled),
                ("metadata", Structure(Self::ObjectMeta)),
                ("spec", Structure(Self::NamespaceSpec)),
                ("status", Structure(Self::NamespaceStatus)),
            ],
            Self::ObjectMeta => &[
                ("name", Filled),
                ("generateName", Filled),
                ("namespace", Filled),
                ("selfLink", Filled),
                ("uid", Filled),
                ("resourceVersion", Filled),
                ("generation", Filled),
                ("creationTimestamp", Filled),
                ("deletionTimestamp", Pointer),
                ("deletionGracePeriodSeconds", Pointer),
                ("labels", Filled),
                ("annotations", Filled),
                ("ownerReferences", Filled),
                ("finalizers", Filled),
                ("managedFields", Filled),
            ],
            Self::OwnerReference => &[
                ("apiVersion", Text),
                ("kind", Text),
                ("name", Text),
                ("uid", Text),
                ("controller", Pointer),
                ("blockOwnerDeletion", Pointer),
            ],
            Self::ManagedFieldsEntry => &[
                ("manager", Filled),
                ("operation", Filled),
                ("apiVersion", Filled),
                ("time", Pointer),
                ("fieldsType", Filled),
                ("fieldsV1", Pointer),
                ("subresource", Filled),
            ],
            Self::NamespaceSpec => &[("finalizers", Filled)],
            Self::NamespaceStatus => &[("phase", Filled), ("conditions", Filled)],
            Self::Condition => &[
                ("type", Text),
                ("status", Text),
                ("lastTransitionTime", Null),
                ("reason", Filled),
                ("message", Filled),
            ],
            Self::Extra
            | Self::ExtraValue
            | Self::OwnerReferences
            | Self::ManagedFields
            | Self::Finalizers
            | Self::Conditions
            | Self::Strings
            | Self::Map => return None,
        })
    }

    /// What a name finds in something of this type, whether it was given or not. A structure has the
    /// fields that it always has, and no others than its own.
    pub(super) fn find<'a>(
        self,
        entries: &'a JsonMap<String, Json>,
        name: &str,
    ) -> Option<Value<'a>> {
        let given = entries.get(name);
        let Some(fields) = self.fields() else {
            return given.map(|json| self.field(name, json));
        };
        let (_, field) = fields.iter().find(|(known, _)| *known == name)?;
        match (given, field) {
            (None | Some(Json::Null), Field::Filled | Field::Pointer) => None,
            (Some(given), Field::Filled) if is_zero(given) => None,
            (None | Some(Json::Null), Field::Text) => Some(Value::from("")),
            (None | Some(Json::Null), Field::Null) => Some(Value::Null),
            (None | Some(Json::Null), Field::Structure(of)) => {
                Some(Value::Map(Map::Go(nothing(), *of)))
            }
            (Some(given), _) => Some(self.field(name, given)),
        }
    }

    /// How many entries something of this type has; known without looking at each that was given.
    pub(super) fn len(self, entries: &JsonMap<String, Json>) -> usize {
        let Some(fields) = self.fields() else {
            return entries.len();
        };
        let is_there = |(name, _): &&(&str, Field)| self.find(entries, name).is_some();
        fields.iter().filter(is_there).count()
    }

    /// The entries of something of this type: as they were given, then the other fields that it always
    /// has.
    pub(super) fn entries(self, entries: &JsonMap<String, Json>) -> Entries<'_> {
        Entries {
            given: entries.keys(),
            fields: self.fields().unwrap_or_default().iter(),
            all: entries,
            of: self,
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

/// The entries of a map or a structure of Go.
pub(super) struct Entries<'a> {
    given: serde_json::map::Keys<'a>,
    fields: slice::Iter<'static, (&'static str, Field)>,
    all: &'a JsonMap<String, Json>,
    of: GoType,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (entries, of) = (self.all, self.of);
        let found = |name: &'a str| Some((name, of.find(entries, name)?));
        let given = self.given.by_ref().map(String::as_str);
        let fields = self.fields.by_ref().map(|(name, _)| *name);
        let missing = fields.filter(|name| !entries.contains_key(*name));
        given.chain(missing).find_map(found)
    }
}

/// When a structure of Go has a field, and what it is where nothing was given (encoding/json, `omitempty`).
#[derive(Clone, Copy)]
enum Field {
    /// Unless it is empty text, zero, an empty list or map.
    Filled,
    /// Where it was given.
    Pointer,
    /// Always; else empty text.
    Text,
    /// Always; else null.
    Null,
    /// Always; else one without what may be missing.
    Structure(GoType),
}

/// Whether JSON is what Go leaves out.
fn is_zero(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Bool(value) => !value,
        Json::Number(number) => number.as_i64() == Some(0),
        Json::String(text) => text.is_empty(),
        Json::Array(elements) => elements.is_empty(),
        Json::Object(entries) => entries.is_empty(),
    }
}

/// What a structure was given that was not given at all.
fn nothing() -> &'static JsonMap<String, Json> {
    static NOTHING: OnceLock<JsonMap<String, Json>> = OnceLock::new();
    NOTHING.get_or_init(JsonMap::new)
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
        let fields = of.fields().unwrap_or_default().iter();
        let mut pairs = fields.map(|(name, _)| (of.find(entries, name), of.find(theirs, name)));
        let is_same = |pair| match pair {
            (Some(a), Some(b)) => equality(&a, &b) == Ok(true),
            (a, b) => a.is_none() && b.is_none(),
        };
        return Ok(of == *theirs_of && pairs.all(is_same));
    }
    if of.len(entries) != map.len() {
        return Ok(false);
    }
    for (name, ours) in of.entries(entries) {
        let Some(theirs) = map.field(name) else {
            return Ok(false);
        };
        match within(&ours, &theirs) {
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

    /// However many fields were given that none is called like, and however many labels there are.
    #[test]
    fn a_structure_has_its_own_fields_and_a_map_has_all() {
        let given = serde_json::json!({"a": "", "b": 1, "spec": {}, "kind": ""});
        let given = given.as_object().unwrap();
        assert_eq!(GoType::Map.len(given), 4);
        assert_eq!(GoType::Namespace.len(given), 3);
        for of in [GoType::Map, GoType::Namespace, GoType::Request] {
            assert_eq!(of.entries(given).count(), of.len(given), "{of:?}");
        }
    }
}
