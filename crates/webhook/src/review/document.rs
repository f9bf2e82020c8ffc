//! Decodes an `AdmissionReview` in one pass.
//!
//! Here: its fields, and of its objects the parts that are kept. Not here: which parts these are (`object`), what
//! the fields mean (`super`).
//! Invariant: what is not kept is skipped without recursion and without memory. A tenant can send managed
//! fields with any nesting, which the API server takes and the decoder of JSON rejects; a list of a million
//! empty objects would take fifty times its bytes. Each byte is read once: objects are most of a review.

use super::Malformed;
use super::object::Keep;
use bailiff_policy::Projection;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use std::fmt;

/// What reads the objects of a request.
pub(super) struct Objects<'a> {
    object: Projection<'a>,
    old_object: Projection<'a>,
}

/// The fields of a review.
#[derive(Default)]
pub(super) struct Document {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) request: Option<Request>,
}

/// The fields of a request.
#[derive(Default)]
pub(super) struct Request {
    pub(super) uid: String,
    pub(super) resource: Resource,
    pub(super) subresource: String,
    pub(super) namespace: String,
    pub(super) operation: String,
    pub(super) user_info: UserInfo,
    /// The kept parts of the object; null if there is none.
    pub(super) object: Json,
    pub(super) old_object: Json,
    pub(super) dry_run: bool,
}

#[derive(Default, Deserialize)]
pub(super) struct Resource {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) group: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) resource: String,
}

#[derive(Default, Deserialize)]
pub(super) struct UserInfo {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) groups: Vec<String>,
}

/// Go writes an empty list as null.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl<'a> Objects<'a> {
    /// Keeps these parts of each object, if they take at most so many bytes of memory.
    pub(super) fn new(keep: &'a Keep, limit: usize) -> Self {
        let projection = || Projection::new(keep.reads(), limit);
        Self {
            object: projection(),
            old_object: projection(),
        }
    }

    /// Decodes a body.
    ///
    /// # Errors
    /// If it is no JSON, a field has an unexpected type, or what is kept of an object takes too much memory.
    pub(super) fn decode(&self, body: &[u8]) -> Result<Document, Malformed> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        // As a struct and not as a map, which a list would be no value of.
        let document = deserializer.deserialize_struct("AdmissionReview", &[], InDocument(self));
        let document = document.and_then(|document| deserializer.end().map(|()| document));
        document.map_err(|error| {
            if self.object.is_exceeded() || self.old_object.is_exceeded() {
                Malformed::TooLarge
            } else {
                Malformed::Json(error)
            }
        })
    }

    /// Bytes of memory that the objects of a request take; none of what is null.
    pub(super) fn kept_bytes(&self, request: &Request) -> usize {
        let bytes = |object: &Json, read: &Projection<'_>| {
            if object.is_null() { 0 } else { read.bytes() }
        };
        bytes(&request.object, &self.object)
            .saturating_add(bytes(&request.old_object, &self.old_object))
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum DocumentField {
    ApiVersion,
    Kind,
    Request,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum RequestField {
    Uid,
    Resource,
    SubResource,
    Namespace,
    Operation,
    UserInfo,
    Object,
    OldObject,
    DryRun,
    #[serde(other)]
    Other,
}

/// Sets a field. Whoever wrote two of one name could mean either.
fn set<T, E: Error>(field: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}

/// A value that Go writes as null if it is empty.
fn value<'de, A: MapAccess<'de>, T: Deserialize<'de> + Default>(
    map: &mut A,
) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

/// Reads the document.
struct InDocument<'a>(&'a Objects<'a>);

impl<'de> Visitor<'de> for InDocument<'_> {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let (mut api_version, mut kind, mut request) = (None, None, None);
        while let Some(field) = map.next_key()? {
            match field {
                DocumentField::ApiVersion => {
                    set(&mut api_version, "apiVersion", value(&mut map)?)?;
                }
                DocumentField::Kind => set(&mut kind, "kind", value(&mut map)?)?,
                DocumentField::Request => {
                    set(
                        &mut request,
                        "request",
                        map.next_value_seed(InRequest(self.0))?,
                    )?;
                }
                DocumentField::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Document {
            api_version: api_version.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            request: request.flatten(),
        })
    }

    /// A list is another object, which is the fault that is named.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Document, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Document::default())
    }
}

/// Reads the request, if there is one.
struct InRequest<'a>(&'a Objects<'a>);

impl<'de> DeserializeSeed<'de> for InRequest<'_> {
    type Value = Option<Request>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for InRequest<'_> {
    type Value = Option<Request>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut uid, mut resource, mut subresource) = (None, None, None);
        let (mut namespace, mut operation, mut user_info) = (None, None, None);
        let (mut object, mut old_object, mut dry_run) = (None, None, None);
        while let Some(field) = map.next_key()? {
            match field {
                RequestField::Uid => set(&mut uid, "uid", value(&mut map)?)?,
                RequestField::Resource => set(&mut resource, "resource", value(&mut map)?)?,
                RequestField::SubResource => {
                    set(&mut subresource, "subResource", value(&mut map)?)?;
                }
                RequestField::Namespace => set(&mut namespace, "namespace", value(&mut map)?)?,
                RequestField::Operation => set(&mut operation, "operation", value(&mut map)?)?,
                RequestField::UserInfo => set(&mut user_info, "userInfo", value(&mut map)?)?,
                RequestField::Object => {
                    set(&mut object, "object", map.next_value_seed(&self.0.object)?)?;
                }
                RequestField::OldObject => {
                    let value = map.next_value_seed(&self.0.old_object)?;
                    set(&mut old_object, "oldObject", value)?;
                }
                RequestField::DryRun => set(&mut dry_run, "dryRun", value(&mut map)?)?,
                RequestField::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(Request {
            uid: uid.unwrap_or_default(),
            resource: resource.unwrap_or_default(),
            subresource: subresource.unwrap_or_default(),
            namespace: namespace.unwrap_or_default(),
            operation: operation.unwrap_or_default(),
            user_info: user_info.unwrap_or_default(),
            object: object.unwrap_or_default(),
            old_object: old_object.unwrap_or_default(),
            dry_run: dry_run.unwrap_or_default(),
        }))
    }
}
