//! Documents that hold schemas: OpenAPI v3 as the API server publishes it, and
//! `CustomResourceDefinition`s.
//!
//! Here: which kinds a document describes, and where. Not here: what a schema says (`read`).
//! Invariant: a kind is asked for by group, version and name; none is guessed.

use super::read::{Metadata, Reader};
use super::{Schema, SchemaError};
use serde_json::Value as Json;
use std::fmt;

/// Where an OpenAPI v3 document has its schemas.
const SCHEMAS: &str = "/components/schemas";

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// The group; empty for the core one.
    pub group: String,
    /// The version within the group.
    pub version: String,
    /// The kind.
    pub kind: String,
}

impl GroupVersionKind {
    /// The kind of an object; absent where it has none.
    #[must_use]
    pub fn of(object: &Json) -> Option<Self> {
        let text = |name: &str| object.get(name).and_then(Json::as_str);
        let version = text("apiVersion")?;
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text("kind")?.to_owned(),
        })
    }

    /// Reads `apps/v1/Deployment`, or `v1/Pod` for the core group.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (rest, kind) = path.rsplit_once('/')?;
        let (group, version) = rest.split_once('/').unwrap_or(("", rest));
        let complete = !version.is_empty() && !kind.is_empty() && !version.contains('/');
        complete.then(|| Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        })
    }

    /// As [`Self::parse`] reads it.
    #[must_use]
    pub fn path(&self) -> String {
        let (group, version, kind) = (&self.group, &self.version, &self.kind);
        if group.is_empty() {
            return format!("{version}/{kind}");
        }
        format!("{group}/{version}/{kind}")
    }
}

/// As the API server writes it: `apps/v1, Kind=Deployment`.
impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// A document that holds schemas.
#[derive(Clone, Debug)]
pub struct Document(Form);

#[derive(Clone, Debug)]
enum Form {
    OpenApi(Json),
    CustomResource(Json),
}

impl Document {
    /// A document, which is either of the two.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn new(json: Json) -> Result<Self, SchemaError> {
        if text(&json, "/kind") == "CustomResourceDefinition" {
            return Ok(Self(Form::CustomResource(json)));
        }
        if json.pointer(SCHEMAS).is_some_and(Json::is_object) {
            return Ok(Self(Form::OpenApi(json)));
        }
        Err(SchemaError::UnknownDocument)
    }

    /// The kinds that it has schemas of, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<GroupVersionKind> {
        let mut kinds: Vec<_> = match &self.0 {
            Form::OpenApi(json) => components(json).flat_map(|(_, s)| marked(s)).collect(),
            Form::CustomResource(json) => versions(json).map(|(kind, _)| kind).collect(),
        };
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// The schema of a kind, as the API server publishes it.
    ///
    /// # Errors
    /// Where it has none of this kind, or the schema can't be read.
    pub fn schema(&self, wanted: &GroupVersionKind) -> Result<Schema, SchemaError> {
        let missing = || SchemaError::NoKind {
            wanted: wanted.clone(),
            there: self.kinds(),
        };
        match &self.0 {
            Form::OpenApi(json) => {
                let (name, _) = components(json)
                    .find(|(_, schema)| marked(schema).any(|kind| kind == *wanted))
                    .ok_or_else(missing)?;
                let all = json.pointer(SCHEMAS).and_then(Json::as_object);
                Reader::new(all, Metadata::Name).component(name)
            }
            Form::CustomResource(json) => {
                let (_, version) = versions(json)
                    .find(|(kind, _)| kind == wanted)
                    .ok_or_else(missing)?;
                match version.pointer("/schema/openAPIV3Schema") {
                    Some(schema) => Reader::new(None, Metadata::Published).root(schema),
                    None => Err(SchemaError::NoSchema(wanted.clone())),
                }
            }
        }
    }
}

fn components(json: &Json) -> impl Iterator<Item = (&String, &Json)> {
    let all = json.pointer(SCHEMAS).and_then(Json::as_object);
    all.into_iter().flatten()
}

/// The kinds that a schema says it is of.
fn marked(schema: &Json) -> impl Iterator<Item = GroupVersionKind> {
    let kinds = schema.get("x-kubernetes-group-version-kind");
    let kinds = kinds.and_then(Json::as_array).into_iter().flatten();
    kinds.filter_map(|kind| {
        let text = |name: &str| kind.get(name).and_then(Json::as_str).map(str::to_owned);
        Some(GroupVersionKind {
            group: text("group")?,
            version: text("version")?,
            kind: text("kind")?,
        })
    })
}

/// The versions of a custom resource.
fn versions(json: &Json) -> impl Iterator<Item = (GroupVersionKind, &Json)> {
    let versions = json.pointer("/spec/versions").and_then(Json::as_array);
    versions.into_iter().flatten().map(|version| {
        let kind = GroupVersionKind {
            group: text(json, "/spec/group").to_owned(),
            version: text(version, "/name").to_owned(),
            kind: text(json, "/spec/names/kind").to_owned(),
        };
        (kind, version)
    })
}

/// A text at a place; empty where there is none.
fn text<'d>(json: &'d Json, place: &str) -> &'d str {
    json.pointer(place)
        .and_then(Json::as_str)
        .unwrap_or_default()
}
