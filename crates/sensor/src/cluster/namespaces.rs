//! The namespaces, as the API server reports them.
//!
//! Here: what is kept of each. Not here: watching (`run`).
//! Invariant: of labels those are kept that selectors name; all objects together take at most
//! [`TOTAL_LIMIT_BYTES`].

use crate::cluster::needs::Needs;
use bailiff_policy::{ProjectionError, Reads, project};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Most bytes of memory of a Namespace for expressions, and of all of them.
const OBJECT_LIMIT_BYTES: usize = 64 * 1024;
const TOTAL_LIMIT_BYTES: usize = 4 << 20;
/// Most bytes of the labels that selectors name: their values have at most 63.
const LABELS_LIMIT_BYTES: usize = 256 * 1024;

/// A namespace, as far as it matters here.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceFacts {
    /// Those that selectors name.
    pub(crate) labels: BTreeMap<String, String>,
    /// The whole object, for expressions. Absent: none reads it, or it is too large.
    pub(crate) object: Option<Value>,
    /// What was needed of it when it was read.
    pub(crate) complete_for: std::sync::Arc<Needs>,
    bytes: usize,
}

/// Namespaces by name.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    by_name: HashMap<String, NamespaceFacts>,
    bytes: usize,
}

/// What became of a namespace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) name: String,
    /// Expressions read the object, and it is too large.
    pub(crate) too_large: bool,
}

impl Namespaces {
    pub(crate) fn get(&self, name: &str) -> Option<&NamespaceFacts> {
        self.by_name.get(name)
    }

    /// A namespace exists or was changed.
    ///
    /// # Errors
    /// When it cannot be decoded.
    pub(crate) fn apply(
        &mut self,
        json: &[u8],
        needs: &std::sync::Arc<Needs>,
    ) -> Result<Applied, ProjectionError> {
        let mut reads = Reads::path(&["metadata", "name"]);
        for label in &needs.namespace_labels {
            reads.merge(&Reads::path(&["metadata", "labels", label]));
        }
        let (found, _) = project(json, &reads, LABELS_LIMIT_BYTES)?;
        let metadata = &found["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        let labels = metadata["labels"].as_object().into_iter().flatten();
        let labels =
            labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        self.delete(&name);
        let object = if needs.namespace_object {
            let left = TOTAL_LIMIT_BYTES.saturating_sub(self.bytes);
            let limit = OBJECT_LIMIT_BYTES.min(left);
            project(json, &Reads::everything(), limit).ok()
        } else {
            None
        };
        let bytes = object.as_ref().map_or(0, |(_, bytes)| *bytes);
        let too_large = needs.namespace_object && object.is_none();
        self.bytes = self.bytes.saturating_add(bytes);
        let facts = NamespaceFacts {
            labels: labels.collect(),
            object: object.map(|(object, _)| object),
            complete_for: std::sync::Arc::clone(needs),
            bytes,
        };
        self.by_name.insert(name.clone(), facts);
        Ok(Applied { name, too_large })
    }

    /// A namespace was deleted.
    pub(crate) fn delete(&mut self, name: &str) {
        if let Some(facts) = self.by_name.remove(name) {
            self.bytes = self.bytes.saturating_sub(facts.bytes);
        }
    }

    /// Keeps those that a new listing names; the names of the others.
    pub(crate) fn keep(&mut self, listed: &HashSet<String>) -> Vec<String> {
        let gone = self.by_name.keys().filter(|name| !listed.contains(*name));
        let gone: Vec<_> = gone.cloned().collect();
        for name in &gone {
            self.delete(name);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn needs(namespace_object: bool) -> Arc<Needs> {
        Arc::new(Needs {
            namespace_labels: ["team".to_owned()].into(),
            namespace_object,
            ..Needs::default()
        })
    }

    fn namespace(name: &str, text: usize) -> Vec<u8> {
        serde_json::to_vec(&json!({"metadata": {"name": name,
            "labels": {"team": "shop", "other": "x"}, "annotations": {"text": "x".repeat(text)}}}))
        .unwrap()
    }

    #[test]
    fn labels_that_selectors_name_are_kept_and_the_object_where_it_is_read() {
        let mut known = Namespaces::default();
        known.apply(&namespace("a", 10), &needs(false)).unwrap();
        let facts = known.get("a").unwrap();
        assert_eq!(
            facts.labels,
            BTreeMap::from([("team".to_owned(), "shop".to_owned())])
        );
        assert_eq!(facts.object, None);
        let applied = known.apply(&namespace("a", 10), &needs(true)).unwrap();
        assert!(!applied.too_large && known.get("a").unwrap().object.is_some());
        let applied = known
            .apply(&namespace("a", OBJECT_LIMIT_BYTES), &needs(true))
            .unwrap();
        assert!(applied.too_large);
        assert_eq!((known.get("a").unwrap().labels.len(), known.bytes), (1, 0));
        known.apply(b"{", &needs(true)).unwrap_err();
    }

    #[test]
    fn all_namespaces_together_take_a_bounded_number_of_bytes() {
        let mut known = Namespaces::default();
        let kept = (0..200)
            .filter(|index| {
                let text = namespace(&format!("n{index}"), OBJECT_LIMIT_BYTES / 2);
                !known.apply(&text, &needs(true)).unwrap().too_large
            })
            .count();
        assert!(
            (100..130).contains(&kept) && known.bytes <= TOTAL_LIMIT_BYTES,
            "{kept}"
        );
        assert_eq!(known.keep(&HashSet::new()).len(), 200);
        assert_eq!(known.bytes, 0);
    }
}
