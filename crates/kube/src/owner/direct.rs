//! The controller directly above a pod, without its object.
//!
//! Here: what verifies another pod of it. Not here: reading it (`super`), and for how long it is remembered
//! (`bailiff_controller`).
//! Invariant: it controls a pod only if a read of the same object would have verified the pod: the name, kind, group
//! and UID are those of the pod's reference, and its selector matches the pod's labels.

use super::{Labels, controller, known, selector};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{Selector, SelectorExt as _};
use serde_json::Value;

/// Bytes that a part of a selector takes beside its text: the text's own allocation, and a place in a map.
const PART_BYTES: usize = 64;

/// A controller that was read, and controls at least one pod.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectOwner {
    group: String,
    kind: String,
    name: String,
    uid: String,
    selector: Selector,
    bytes: usize,
}

impl DirectOwner {
    /// The owner that a reference names, from its object as it was read. None: it is of a kind that is not read, or
    /// has no selector.
    #[must_use]
    pub fn of(reference: &OwnerReference, object: &Value) -> Option<Self> {
        let resource = known(&reference.api_version, &reference.kind)?;
        let texts = [
            &resource.group,
            &reference.kind,
            &reference.name,
            &reference.uid,
        ];
        let texts: usize = texts.iter().map(|text| PART_BYTES + text.len()).sum();
        Some(Self {
            selector: selector(&reference.kind, object)?,
            bytes: texts + bytes(object.pointer("/spec/selector")?),
            group: resource.group,
            kind: reference.kind.clone(),
            name: reference.name.clone(),
            uid: reference.uid.clone(),
        })
    }

    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Bytes that it takes, estimated from above. A tenant wrote its selector, which has no limit of its own.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether its selector matches labels.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.selector.matches(labels)
    }

    /// Whether it controls a pod of its namespace.
    #[must_use]
    pub fn controls(&self, pod: &Pod) -> bool {
        let Some(reference) = controller(pod.metadata.owner_references.as_deref()) else {
            return false;
        };
        let is_of_kind = known(&reference.api_version, &reference.kind)
            .is_some_and(|known| known.group == self.group && known.kind == self.kind);
        let labels = pod.metadata.labels.as_ref();
        is_of_kind
            && reference.name == self.name
            && reference.uid == self.uid
            && labels.is_some_and(|labels| self.selects(labels))
    }
}

fn bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => PART_BYTES,
        Value::String(text) => PART_BYTES + text.len(),
        Value::Array(values) => PART_BYTES + values.iter().map(bytes).sum::<usize>(),
        Value::Object(fields) => {
            let fields = fields.iter();
            PART_BYTES
                + fields
                    .map(|(key, value)| PART_BYTES + key.len() + bytes(value))
                    .sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reference(api_version: &str, kind: &str, name: &str, uid: &str) -> OwnerReference {
        OwnerReference {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        }
    }

    fn pod(reference: OwnerReference, app: &str) -> Pod {
        let mut pod: Pod =
            serde_json::from_value(json!({"metadata": {"labels": {"app": app}}})).unwrap();
        pod.metadata.owner_references = Some(vec![reference]);
        pod
    }

    #[test]
    fn it_controls_the_pods_that_a_read_would_verify() {
        let set = || reference("apps/v1", "ReplicaSet", "web-5d8f", "set");
        let object = json!({"spec": {"selector": {"matchLabels": {"app": "web"}}}});
        let owner = DirectOwner::of(&set(), &object).unwrap();
        assert!(owner.controls(&pod(set(), "web")));
        // A tenant chooses the version, and it is one object.
        let other_version = reference("apps/v1beta1", "ReplicaSet", "web-5d8f", "set");
        assert!(owner.controls(&pod(other_version, "web")));
        for other in [
            reference("apps/v1", "ReplicaSet", "web-5d8f", "another"),
            reference("apps/v1", "ReplicaSet", "web", "set"),
            reference("apps/v1", "StatefulSet", "web-5d8f", "set"),
            reference("example.com/v1", "ReplicaSet", "web-5d8f", "set"),
            OwnerReference {
                controller: None,
                ..set()
            },
        ] {
            assert!(!owner.controls(&pod(other.clone(), "web")), "{other:?}");
        }
        assert!(!owner.controls(&pod(set(), "db")));
        let mut without_labels = pod(set(), "web");
        without_labels.metadata.labels = None;
        assert!(!owner.controls(&without_labels));
    }

    #[test]
    fn what_controls_no_pod_with_a_selector_is_none() {
        let everything = json!({"spec": {"selector": {}}});
        let set = reference("apps/v1", "ReplicaSet", "web", "set");
        assert_eq!(DirectOwner::of(&set, &everything), None);
        assert_eq!(DirectOwner::of(&set, &json!({})), None);
        let selected = json!({"spec": {"selector": {"matchLabels": {"app": "web"}}}});
        let custom = reference("example.com/v1", "WebShop", "web", "uid");
        assert_eq!(DirectOwner::of(&custom, &selected), None);
    }

    #[test]
    fn its_bytes_grow_with_all_that_a_tenant_can_write() {
        let set = reference("apps/v1", "ReplicaSet", "web", "set");
        let bytes = |selector: Value| {
            let object = json!({"spec": {"selector": selector}});
            DirectOwner::of(&set, &object).unwrap().bytes()
        };
        let few = bytes(json!({"matchLabels": {"app": "web"}}));
        assert!(few < 1024, "{few}");
        let values: Vec<_> = (0..1000).map(|value| value.to_string()).collect();
        let many =
            json!({"matchExpressions": [{"key": "app", "operator": "In", "values": values}]});
        assert!(bytes(many) > 1000 * PART_BYTES);
        let labels: serde_json::Map<_, _> =
            (0..1000).map(|n| (format!("k{n}"), json!("v"))).collect();
        assert!(bytes(json!({"matchLabels": labels})) > 2000 * PART_BYTES);
    }
}
