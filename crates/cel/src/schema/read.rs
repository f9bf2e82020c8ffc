//! From JSON to a schema.
//!
//! Here: what each word of a schema means, references (k8s.io/apiserver v0.37.2,
//! pkg/cel/openapi/resolver/refs.go), the fields that every resource has (pkg/cel/common/schemas.go,
//! `WithTypeAndObjectMeta`). Not here: which schema of a document is meant (`document`).
//! Invariant: a schema that refers to itself ends with an object without fields where it would
//! begin again; one that is larger than the limits is an error.

use super::{Fields, Format, ListKind, Schema, SchemaError, Shape, escaped};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most values that a schema may describe; the largest kinds of Kubernetes have about 5,000.
const MAX_NODES: usize = 200_000;
/// Deepest nesting; a Pod has about 15 levels.
const MAX_DEPTH: usize = 100;

/// What a custom resource's metadata is, also where its schema does not say so: the fields of
/// `io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta` (k8s.io/apimachinery v0.37.2).
const OBJECT_META: &str = include_str!("object_meta.json");

/// Longest name of an object, and of one that gets a suffix (k8s.io/apiextensions-apiserver
/// v0.37.2, pkg/apiserver/schema/cel/model/schemas.go).
const NAME: i64 = 253;
const GENERATED_NAME: i64 = 252;

/// What metadata a resource has whose schema does not describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metadata {
    /// Its name alone.
    Name,
    /// Its name alone, which is not longer than names are.
    CappedName,
    /// All of it, as the API server publishes the schemas of custom resources.
    Published,
}

impl Schema {
    /// A schema that refers to nothing, of a resource: `apiVersion`, `kind` and `metadata.name`
    /// are there in any case.
    ///
    /// # Errors
    /// Where it refers to another schema, or is too large.
    pub fn of(json: &Json) -> Result<Self, SchemaError> {
        Reader::new(None, Metadata::Name).root(json)
    }

    /// The schema of a version of a custom resource (`openAPIV3Schema`), as the rules in it see
    /// it: of the metadata there are `name` and `generateName` alone.
    ///
    /// # Errors
    /// Where it refers to another schema, or is too large.
    pub fn structural(json: &Json) -> Result<Self, SchemaError> {
        Reader::new(None, Metadata::CappedName).root(json)
    }

    /// An object without a description of its fields.
    pub(super) fn object(fields: Fields) -> Self {
        Self::plain(Shape::Object(fields))
    }

    fn plain(shape: Shape) -> Self {
        Self {
            nullable: false,
            has_default: false,
            shape,
        }
    }

    fn text(max_length: Option<i64>) -> Self {
        Self::plain(Shape::String {
            format: Format::Plain,
            max_length,
            longest: None,
        })
    }

    fn is_text(&self) -> bool {
        matches!(self.shape, Shape::String { .. })
    }
}

/// Reads one schema with all that it refers to.
pub(super) struct Reader<'d> {
    components: Option<&'d serde_json::Map<String, Json>>,
    metadata: Metadata,
    /// References that are being read, the outermost first.
    within: Vec<&'d str>,
    nodes: usize,
    depth: usize,
}

impl<'d> Reader<'d> {
    pub(super) fn new(
        components: Option<&'d serde_json::Map<String, Json>>,
        metadata: Metadata,
    ) -> Self {
        Self {
            components,
            metadata,
            within: Vec::new(),
            nodes: 0,
            depth: 0,
        }
    }

    /// The schema of a resource.
    pub(super) fn root(mut self, json: &'d Json) -> Result<Schema, SchemaError> {
        let mut schema = self.schema(json)?;
        self.complete(&mut schema)?;
        Ok(schema)
    }

    /// The schema of a resource that is one of the document's.
    pub(super) fn component(mut self, name: &'d str) -> Result<Schema, SchemaError> {
        let json = self.referred(name)?;
        self.within.push(name);
        self.root(json)
    }

    fn referred(&self, name: &str) -> Result<&'d Json, SchemaError> {
        self.components
            .and_then(|components| components.get(name))
            .ok_or_else(|| SchemaError::Unresolved(name.to_owned()))
    }

    fn schema(&mut self, json: &'d Json) -> Result<Schema, SchemaError> {
        self.nodes = self.nodes.saturating_add(1);
        self.depth = self.depth.saturating_add(1);
        for (is, limit, deep) in [
            (self.nodes, MAX_NODES, false),
            (self.depth, MAX_DEPTH, true),
        ] {
            if is > limit {
                return Err(SchemaError::TooLarge { limit, deep });
            }
        }
        let schema = match reference(json) {
            Some(name) if self.within.contains(&name) => Schema::object(Fields::default()),
            Some(name) => {
                self.within.push(name);
                let referred = self.referred(name)?;
                let schema = self.described(referred)?;
                self.within.pop();
                schema
            }
            None => self.described(json)?,
        };
        self.depth = self.depth.saturating_sub(1);
        Ok(schema)
    }

    /// A schema by its own words.
    fn described(&mut self, json: &'d Json) -> Result<Schema, SchemaError> {
        let flag = |name: &str| json.get(name).and_then(Json::as_bool).unwrap_or_default();
        let mut schema = Schema {
            nullable: flag("nullable"),
            has_default: json.get("default").is_some_and(|value| !value.is_null()),
            shape: self.shape(json)?,
        };
        if flag("x-kubernetes-embedded-resource") {
            self.complete(&mut schema)?;
        }
        Ok(schema)
    }

    fn shape(&mut self, json: &'d Json) -> Result<Shape, SchemaError> {
        let name = match json.get("type") {
            Some(Json::Array(names)) => names.first().and_then(Json::as_str),
            Some(name) => name.as_str(),
            None => None,
        };
        let flag = |name: &str| json.get(name).and_then(Json::as_bool).unwrap_or_default();
        let format = json.get("format").and_then(Json::as_str);
        let max_length = number(json, "maxLength");
        // Built-in types have the format, custom resources the extension.
        if format == Some("int-or-string") || flag("x-kubernetes-int-or-string") {
            return Ok(Shape::IntOrString { max_length });
        }
        Ok(match name.unwrap_or_default() {
            "object" => Shape::Object(self.fields(json)?),
            "array" => Shape::Array {
                items: match json.get("items") {
                    Some(items @ Json::Object(_)) => Some(Box::new(self.schema(items)?)),
                    _ => None,
                },
                kind: list_kind(json),
                max_items: number(json, "maxItems"),
            },
            "string" => Shape::String {
                format: match format.unwrap_or_default() {
                    "byte" => Format::Byte,
                    "date" => Format::Date,
                    "date-time" => Format::DateTime,
                    "duration" => Format::Duration,
                    _ => Format::Plain,
                },
                max_length,
                longest: longest(json),
            },
            "number" => Shape::Number,
            "integer" => Shape::Integer,
            "boolean" => Shape::Boolean,
            other => Shape::Other {
                name: other.to_owned(),
                preserved: flag("x-kubernetes-preserve-unknown-fields"),
            },
        })
    }

    fn fields(&mut self, json: &'d Json) -> Result<Fields, SchemaError> {
        let mut fields = Fields {
            max_properties: number(json, "maxProperties"),
            required: texts(json, "required").map(str::to_owned).collect(),
            ..Fields::default()
        };
        if let Some(Json::Object(properties)) = json.get("properties") {
            let mut read = BTreeMap::new();
            for (name, property) in properties {
                read.insert(name.clone(), self.schema(property)?);
            }
            fields.properties = Some(read);
        }
        if let Some(additional @ Json::Object(_)) = json.get("additionalProperties") {
            fields.additional = Some(Box::new(self.schema(additional)?));
        }
        Ok(fields)
    }

    /// Adds what every resource has, where the schema does not describe it already.
    fn complete(&self, schema: &mut Schema) -> Result<(), SchemaError> {
        let Shape::Object(fields) = &mut schema.shape else {
            return Ok(());
        };
        let published = self.metadata == Metadata::Published;
        let embedded = self.depth > 0;
        let described = fields.properties.as_ref().is_some_and(describes_resource);
        if described && !published {
            return Ok(());
        }
        let properties = fields.properties.get_or_insert_default();
        let capped = |limit: i64| {
            let own = |name: &str| {
                let metadata = properties.get("metadata")?.property(name)?;
                match metadata.shape {
                    Shape::String { max_length, .. } => max_length,
                    _ => None,
                }
            };
            move |name: &str| match self.metadata {
                Metadata::CappedName => Some(own(name).map_or(limit, |own| own.min(limit))),
                Metadata::Name | Metadata::Published => None,
            }
        };
        let (name, generated) = (capped(NAME)("name"), capped(GENERATED_NAME)("generateName"));
        let metadata = if published {
            object_meta()?
        } else {
            Schema::object(Fields {
                properties: Some(BTreeMap::from([
                    ("name".to_owned(), Schema::text(name)),
                    ("generateName".to_owned(), Schema::text(generated)),
                ])),
                ..Fields::default()
            })
        };
        for name in ["apiVersion", "kind"] {
            properties.insert(name.to_owned(), Schema::text(None));
            if published && embedded && !fields.required.iter().any(|known| known == name) {
                fields.required.push(name.to_owned());
            }
        }
        properties.insert("metadata".to_owned(), metadata);
        Ok(())
    }
}

/// Whether a schema says already what every resource has.
fn describes_resource(properties: &BTreeMap<String, Schema>) -> bool {
    let text = |name: &str| properties.get(name).is_some_and(Schema::is_text);
    let metadata = |name: &str| {
        properties
            .get("metadata")
            .is_some_and(|m| m.has_properties() && m.property(name).is_some_and(Schema::is_text))
    };
    text("kind") && text("apiVersion") && metadata("name") && metadata("generateName")
}

fn object_meta() -> Result<Schema, SchemaError> {
    let json: Json = serde_json::from_str(OBJECT_META).map_err(|_| SchemaError::UnknownDocument)?;
    Reader::new(None, Metadata::Name).schema(&json)
}

/// The schema that this one stands for; `allOf` wraps a reference so that it can be described.
fn reference(json: &Json) -> Option<&str> {
    if let Some(reference) = json.get("$ref").and_then(Json::as_str) {
        return Some(reference.rsplit('/').next().unwrap_or(reference));
    }
    let all = json.get("allOf").and_then(Json::as_array)?;
    all.iter().find_map(reference)
}

fn number(json: &Json, name: &str) -> Option<i64> {
    let number = json.get(name)?;
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "a limit written as 5.0 is 5"
    )]
    number
        .as_i64()
        .or_else(|| number.as_f64().map(|double| double as i64))
}

fn texts<'d>(json: &'d Json, name: &str) -> impl Iterator<Item = &'d str> {
    json.get(name)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
}

fn list_kind(json: &Json) -> ListKind {
    let kind = json.get("x-kubernetes-list-type").and_then(Json::as_str);
    match kind.unwrap_or_default() {
        "" | "atomic" => ListKind::Atomic,
        "set" => ListKind::Set,
        "map" => {
            let keys: Arc<[String]> = texts(json, "x-kubernetes-list-map-keys")
                .map(|key| escaped(key).map_or_else(|| key.to_owned(), Into::into))
                .collect();
            ListKind::Map(keys)
        }
        other => ListKind::Unknown(other.to_owned()),
    }
}

/// Bytes of the longest text that is allowed, where texts are listed.
fn longest(json: &Json) -> Option<i64> {
    let listed = json.get("enum").and_then(Json::as_array)?;
    if listed.is_empty() {
        return None;
    }
    let lengths = listed.iter().filter_map(Json::as_str).map(str::len);
    Some(i64::try_from(lengths.max().unwrap_or(0)).unwrap_or(i64::MAX))
}
