//! What is kept of a denied pod.
//!
//! Here: its controller, bounded. Not here: reading that (`owners`).
//! Invariant: a tenant wrote all of it and the API server has not validated it. What no object can have
//! is no reference; a value takes at most 16 KiB.

use bailiff_kube::owner::is_name;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;
use std::collections::BTreeMap;

/// Most labels, and most bytes of them. A pod with more gets no Event.
const LABELS_LIMIT: usize = 64;
const LABEL_BYTES_LIMIT: usize = 4096;
/// Most bytes of a message; the note has at most 1,024.
const MESSAGE_LIMIT: usize = 1024;

/// A denied pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Denied {
    /// The namespace of the request.
    pub(super) namespace: String,
    /// Its controller.
    pub(super) owner: OwnerReference,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) message: String,
}

impl Denied {
    /// None: it has no controller, or names one that no object can be.
    pub(super) fn of(namespace: &str, pod: &Value, message: &str) -> Option<Self> {
        let references = pod.pointer("/metadata/ownerReferences")?.as_array()?;
        let owner = references.iter().find(|r| r["controller"] == true)?;
        let text = |name: &str, limit: usize| {
            let text = owner[name].as_str()?;
            (!text.is_empty() && text.len() <= limit).then(|| text.to_owned())
        };
        let owner = OwnerReference {
            api_version: text("apiVersion", 317)?,
            kind: text("kind", 63)?,
            name: text("name", 253)?,
            uid: text("uid", 64)?,
            controller: Some(true),
            block_owner_deletion: None,
        };
        let is_valid = owner.kind.chars().all(|c| c.is_ascii_alphanumeric())
            && owner.api_version.split('/').count() <= 2
            && owner.api_version.split('/').all(is_name)
            && is_name(&owner.name)
            && owner
                .uid
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-');
        let mut labels = BTreeMap::new();
        let mut bytes = 0;
        let written = pod.pointer("/metadata/labels").and_then(Value::as_object);
        for (key, value) in written.into_iter().flatten() {
            let value = value.as_str()?;
            bytes += key.len() + value.len();
            if bytes > LABEL_BYTES_LIMIT || labels.len() == LABELS_LIMIT {
                return None;
            }
            labels.insert(key.clone(), value.to_owned());
        }
        let end = message.floor_char_boundary(MESSAGE_LIMIT);
        is_valid.then(|| Self {
            namespace: namespace.to_owned(),
            owner,
            labels,
            message: message[..end].to_owned(),
        })
    }
}
