//! The schemas of `--schema`.
//!
//! Here: which schema applies to an object. Not here: the content of a schema (`bailiff_cel::schema`).
//! Invariant: the schema is that of the object's own kind or of `--kind`; it is never guessed.

use super::{EvalArgs, cannot_read, documents};
use crate::Error;
use bailiff_cel::schema::{Document, GroupVersionKind, Schema, SchemaError};
use serde_json::Value as Json;
use std::io::Read;
use std::path::PathBuf;

pub(super) struct Schemas {
    path: PathBuf,
    documents: Vec<Document>,
    wanted: Option<GroupVersionKind>,
}

impl Schemas {
    /// Reads the file; `None` if there is no `--schema`.
    pub(super) fn read(args: &EvalArgs, input: &mut impl Read) -> Result<Option<Self>, Error> {
        let Some(path) = &args.schema else {
            return Ok(None);
        };
        let wanted = match args.kind.as_deref() {
            Some(text) => Some(GroupVersionKind::parse(text).ok_or_else(|| {
                Error::Input(format!(
                    "cannot use kind {text:?}: must have the form GROUP/VERSION/KIND, such as apps/v1/Deployment or v1/Pod"
                ))
            })?),
            None => None,
        };
        let mut read = Vec::new();
        for document in documents(path, input)? {
            let document = Document::new(document).map_err(|error| cannot_read(path, &error))?;
            read.push(document);
        }
        if read.is_empty() {
            return Err(cannot_read(
                path,
                &"the file contains no schema; use a CustomResourceDefinition or an OpenAPI v3 document",
            ));
        }
        Ok(Some(Self {
            path: path.clone(),
            documents: read,
            wanted,
        }))
    }

    /// The kind of an object, and its schema.
    pub(super) fn of(&self, object: Option<&Json>) -> Result<(GroupVersionKind, Schema), Error> {
        let kind = match (&self.wanted, object) {
            (Some(wanted), _) => wanted.clone(),
            (None, Some(object)) => GroupVersionKind::of(object).ok_or_else(|| {
                self.ambiguous("the object has no apiVersion and kind; set --kind")
            })?,
            (None, None) => self.only_kind()?,
        };
        let there: Vec<_> = self.documents.iter().flat_map(Document::kinds).collect();
        let document = self.documents.iter().find(|d| d.kinds().contains(&kind));
        let schema = match document {
            Some(document) => document.schema(&kind),
            None => Err(SchemaError::NoKind {
                wanted: kind.clone(),
                there,
            }),
        };
        let schema = schema.map_err(|error| {
            Error::Input(format!("cannot use {}: {error}", self.path.display()))
        })?;
        Ok((kind, schema))
    }

    /// The kind of a file that contains exactly one.
    fn only_kind(&self) -> Result<GroupVersionKind, Error> {
        let mut kinds = self.documents.iter().flat_map(Document::kinds);
        match (kinds.next(), kinds.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(self.ambiguous(
                "the file contains several kinds; set --kind, or provide an object with -f",
            )),
        }
    }

    fn ambiguous(&self, cause: &str) -> Error {
        let path = self.path.display();
        Error::Input(format!("cannot choose a schema from {path}: {cause}"))
    }
}
