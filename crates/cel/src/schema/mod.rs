//! Schemas of objects: what their fields are called, which types they have, and how their JSON
//! is read.
//!
//! Here: a schema with its references resolved, and the ways to one. Not here: reading a schema
//! (`read`), finding one in a document (`document`), its type (`declaration`), values through it
//! (`value`).
//! Invariant: a schema is finite, whatever it was read from.
//!
//! ```
//! use bailiff_cel::schema::Schema;
//! use bailiff_cel::{Env, Type};
//!
//! let json = serde_json::json!({"type": "object", "properties": {
//!     "replicas": {"type": "integer"},
//!     "app.io/name": {"type": "string", "maxLength": 10},
//! }});
//! let schema = Schema::of(&json)?;
//! let declaration = schema.declaration("Web").expect("an object has a type");
//! let name = declaration.field("app__dot__io__slash__name").expect("it is declared");
//! assert_eq!((name.ty(), name.max_elements()), (&Type::String, 40));
//!
//! let env = Env::new([("object", declaration.ty().clone())]);
//! assert!(env.compile("object.replicas > 3").is_ok());
//! let error = env.compile("object.replica > 3").expect_err("there is no such field");
//! assert!(error.to_string().contains("undefined field 'replica'; did you mean 'replicas'?"));
//! # Ok::<(), bailiff_cel::schema::SchemaError>(())
//! ```

mod declaration;
mod document;
mod formats;
mod names;
mod read;
#[cfg(test)]
mod tests;
mod value;

pub use declaration::Declaration;
pub use document::{Document, GroupVersionKind};
pub(crate) use names::{escaped, is_reserved, unescaped};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How many kinds an error lists.
const LISTED: usize = 12;

/// A schema whose references are resolved.
#[derive(Clone, Debug)]
pub struct Schema {
    nullable: bool,
    has_default: bool,
    shape: Shape,
}

/// What a schema is of.
#[derive(Clone, Debug)]
enum Shape {
    Object(Fields),
    Array {
        items: Option<Box<Schema>>,
        kind: ListKind,
        max_items: Option<i64>,
    },
    String {
        format: Format,
        max_length: Option<i64>,
        /// Bytes of the longest value that is allowed, where they are listed.
        longest: Option<i64>,
    },
    Number,
    Integer,
    Boolean,
    /// Text or a whole number, whatever its type says.
    IntOrString {
        max_length: Option<i64>,
    },
    /// Of a type that it does not say, or that nobody knows.
    Other {
        name: String,
        /// Whether what it does not describe is kept.
        preserved: bool,
    },
}

#[derive(Clone, Debug, Default)]
struct Fields {
    properties: Option<BTreeMap<String, Schema>>,
    additional: Option<Box<Schema>>,
    required: Vec<String>,
    max_properties: Option<i64>,
}

/// What a text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Byte,
    Date,
    DateTime,
    Duration,
    Plain,
}

/// How lists of a schema are compared and added (`x-kubernetes-list-type`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// By place.
    Atomic,
    /// As a set of scalars.
    Set,
    /// As a map from the fields of these names.
    Map(Arc<[String]>),
    /// By a kind that nobody knows.
    Unknown(String),
}

impl Schema {
    /// Whether its objects have fields of their own, not only keys.
    fn has_properties(&self) -> bool {
        matches!(&self.shape, Shape::Object(fields) if fields.properties.is_some())
    }

    /// The schema of what stands under a property or a key; absent where it is not described.
    fn property(&self, name: &str) -> Option<&Self> {
        let Shape::Object(fields) = &self.shape else {
            return None;
        };
        match &fields.properties {
            Some(properties) => properties.get(name),
            None => fields.additional.as_deref(),
        }
    }
}

/// Why there is no schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaError {
    /// It refers to what is not there.
    Unresolved(String),
    /// It describes more than this many values, or nests deeper than this.
    TooLarge {
        /// How many are allowed.
        limit: usize,
        /// Whether it is too deep, not too many.
        deep: bool,
    },
    /// The document is neither an OpenAPI v3 document nor a `CustomResourceDefinition`.
    UnknownDocument,
    /// The document has no schema of a kind; those that it has.
    NoKind {
        /// The kind that was asked for.
        wanted: GroupVersionKind,
        /// What there is, sorted.
        there: Vec<GroupVersionKind>,
    },
    /// A version of a `CustomResourceDefinition` without a schema.
    NoSchema(GroupVersionKind),
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(name) => {
                write!(f, "the schema refers to {name:?}, which is not there")
            }
            Self::TooLarge { limit, deep: false } => {
                write!(f, "the schema describes more than {limit} values")
            }
            Self::TooLarge { limit, deep: true } => {
                write!(f, "the schema nests deeper than {limit} levels")
            }
            Self::UnknownDocument => f.write_str(
                "it is neither a CustomResourceDefinition nor an OpenAPI v3 document, as \
                 `kubectl get --raw /openapi/v3/apis/apps/v1` prints it",
            ),
            Self::NoKind { wanted, there } => {
                write!(f, "there is no schema of {}", wanted.path())?;
                let is_near =
                    |kind: &&GroupVersionKind| kind.kind.eq_ignore_ascii_case(&wanted.kind);
                if let Some(near) = there.iter().find(is_near) {
                    return write!(f, "; did you mean {}?", near.path());
                }
                let names = there.iter().map(GroupVersionKind::path);
                let names: Vec<_> = names.take(LISTED).collect();
                let more = there.len().saturating_sub(LISTED);
                match (names.as_slice(), more) {
                    ([], _) => f.write_str("; there is none of any kind"),
                    (names, 0) => write!(f, "; there are {}", names.join(", ")),
                    (names, more) => write!(f, "; there are {} and {more} more", names.join(", ")),
                }
            }
            Self::NoSchema(kind) => write!(f, "{} has no schema", kind.path()),
        }
    }
}

impl std::error::Error for SchemaError {}
