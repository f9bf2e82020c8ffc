//! The objects that are watched: pods of the node, namespaces, policies, bindings.
//!
//! Here: decoding each by itself, and what an event of a watch changes. Not here: the watches (`run`).
//! Invariant: after a list is complete exactly what it named is known; a watch that fails takes
//! nothing away; an object that cannot be decoded does not exist for the sensor, and stops no other.

use super::State;
use super::watches::{BINDINGS, KINDS, NAMESPACES, PODS, POLICIES};
use crate::cluster::gaps::Gap;
use crate::cluster::pods::name_of;
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding};
use bailiff_kube::list_watch::{ListWatchError, ObjectEvent};
use bailiff_policy::{Reads, project};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::sync::Arc;

/// Most bytes of memory of a policy or a binding; the API server takes 1.5 MiB.
const POLICY_LIMIT_BYTES: usize = 8 << 20;

/// What a watch brings.
pub(crate) type Watched = Result<ObjectEvent, ListWatchError>;

impl State {
    pub(crate) async fn pod(&mut self, event: Watched) {
        match event {
            Ok(ObjectEvent::Listing) => self.begin_list(PODS),
            Ok(ObjectEvent::Listed(json) | ObjectEvent::Applied(json)) => {
                self.apply_pod(&json).await;
            }
            Ok(ObjectEvent::Complete) => {
                self.pods.keep(&self.listing[PODS], Timestamp::now());
                self.done(PODS);
                self.retry(None).await;
            }
            Ok(ObjectEvent::Deleted(json)) => {
                self.pods.delete(&json, Timestamp::now());
                // One that is known has its gaps for as long as it is remembered.
                let name = name_of(&json).unwrap_or_default();
                let known = name.split_once('/');
                if known.is_some_and(|(namespace, name)| !self.pods.contains(namespace, name)) {
                    self.gaps.set(&format!("pod {name}"), &[]);
                }
            }
            Ok(ObjectEvent::TooLarge) => {
                self.gaps
                    .add(Gap::ContainersTooLarge, "pod of more than 10 MiB");
            }
            Err(error) => self.watches.failed(PODS, &error),
        }
    }

    async fn apply_pod(&mut self, json: &[u8]) {
        match self.pods.apply(json, &self.needs, Timestamp::now()) {
            Ok(uid) => {
                self.listing[PODS].insert(uid.clone());
                let mut changed = self.pods.take_reduced();
                changed.push(uid.clone());
                for uid in changed {
                    if let Some(pod) = self.pods.get(&uid) {
                        let name = format!("pod {}/{}", pod.namespace, pod.name);
                        let mut gaps = Vec::new();
                        gaps.extend(pod.object_left_out().then_some(Gap::ObjectTooLarge));
                        let left_out = pod.containers_left_out() || pod.commands_left_out();
                        gaps.extend(left_out.then_some(Gap::ContainersTooLarge));
                        let class = pod.runtime_class();
                        let is_sandboxed =
                            class.is_some_and(|class| self.sandbox_runtime_classes.contains(class));
                        gaps.extend(is_sandboxed.then_some(Gap::Sandboxed));
                        self.gaps.set(&name, &gaps);
                    }
                }
                self.retry(Some(&uid)).await;
            }
            Err(error) => {
                let name = name_of(json).unwrap_or_else(|| "of unknown name".to_owned());
                tracing::error!(
                    pod = name,
                    error = crate::coverage::with_sources(&error),
                    "Pod cannot be decoded"
                );
                self.gaps.set(&format!("pod {name}"), &[Gap::DecodeError]);
            }
        }
    }

    pub(crate) fn namespace(&mut self, event: Watched) {
        match event {
            Ok(ObjectEvent::Listing) => self.begin_list(NAMESPACES),
            Ok(ObjectEvent::Listed(json) | ObjectEvent::Applied(json)) => {
                match self.namespaces.apply(&json, &self.needs) {
                    Ok(applied) => {
                        let gaps: &[Gap] = if applied.too_large {
                            &[Gap::ObjectTooLarge]
                        } else {
                            &[]
                        };
                        self.gaps.set(&format!("namespace {}", applied.name), gaps);
                        self.listing[NAMESPACES].insert(applied.name);
                    }
                    Err(error) => {
                        let name = cluster_name(&json);
                        tracing::error!(
                            namespace = name,
                            error = crate::coverage::with_sources(&error),
                            "Namespace cannot be decoded"
                        );
                        self.gaps
                            .set(&format!("namespace {name}"), &[Gap::DecodeError]);
                    }
                }
            }
            Ok(ObjectEvent::Complete) => {
                for name in self.namespaces.keep(&self.listing[NAMESPACES]) {
                    self.gaps.set(&format!("namespace {name}"), &[]);
                }
                self.done(NAMESPACES);
            }
            Ok(ObjectEvent::Deleted(json)) => {
                let name = cluster_name(&json);
                self.namespaces.delete(&name);
                self.gaps.set(&format!("namespace {name}"), &[]);
            }
            Ok(ObjectEvent::TooLarge) => {
                self.gaps
                    .add(Gap::DecodeError, "namespace of more than 10 MiB");
            }
            Err(error) => self.watches.failed(NAMESPACES, &error),
        }
    }

    pub(crate) fn policy(&mut self, event: Watched) {
        match event {
            Ok(ObjectEvent::Listing) => self.begin_list(POLICIES),
            Ok(ObjectEvent::Listed(json) | ObjectEvent::Applied(json)) => {
                let name = cluster_name(&json);
                match self.decoded::<RuntimePolicy>("RuntimePolicy", &name, &json) {
                    Some(policy) => {
                        self.listing[POLICIES].insert(name);
                        let asks = self.index.apply_policy(&policy);
                        self.ask(asks);
                    }
                    None => self.index.delete_policy(&name),
                }
            }
            Ok(ObjectEvent::Complete) => {
                self.index.keep_policies(&self.listing[POLICIES]);
                self.errors.keep(&self.listing[POLICIES]);
                self.done(POLICIES);
            }
            Ok(ObjectEvent::Deleted(json)) => {
                let name = cluster_name(&json);
                self.index.delete_policy(&name);
                self.errors.forget(&name);
                self.gaps.set(&format!("RuntimePolicy {name}"), &[]);
            }
            Ok(ObjectEvent::TooLarge) => {
                self.gaps
                    .add(Gap::DecodeError, "RuntimePolicy of more than 10 MiB");
            }
            Err(error) => self.watches.failed(POLICIES, &error),
        }
        self.update_needs();
    }

    pub(crate) fn binding(&mut self, event: Watched) {
        match event {
            Ok(ObjectEvent::Listing) => self.begin_list(BINDINGS),
            Ok(ObjectEvent::Listed(json) | ObjectEvent::Applied(json)) => {
                let name = cluster_name(&json);
                match self.decoded::<RuntimePolicyBinding>("RuntimePolicyBinding", &name, &json) {
                    Some(binding) => {
                        self.listing[BINDINGS].insert(name);
                        let asks = self.index.apply_binding(&binding);
                        self.ask(asks);
                    }
                    None => self.index.delete_binding(&name),
                }
            }
            Ok(ObjectEvent::Complete) => {
                self.index.keep_bindings(&self.listing[BINDINGS]);
                self.done(BINDINGS);
            }
            Ok(ObjectEvent::Deleted(json)) => {
                let name = cluster_name(&json);
                self.index.delete_binding(&name);
                self.gaps.set(&format!("RuntimePolicyBinding {name}"), &[]);
            }
            Ok(ObjectEvent::TooLarge) => {
                self.gaps
                    .add(Gap::DecodeError, "RuntimePolicyBinding of more than 10 MiB");
            }
            Err(error) => self.watches.failed(BINDINGS, &error),
        }
        self.update_needs();
    }

    /// A policy or a binding without its status, which the sensor does not read; none where it cannot
    /// be decoded.
    fn decoded<K: DeserializeOwned>(&mut self, kind: &str, name: &str, json: &[u8]) -> Option<K> {
        let mut reads = Reads::path(&["apiVersion"]);
        for path in [
            &["kind"][..],
            &["spec"],
            &["metadata", "name"],
            &["metadata", "uid"],
            &["metadata", "generation"],
        ] {
            reads.merge(&Reads::path(path));
        }
        let found = project(json, &reads, POLICY_LIMIT_BYTES)
            .map_err(|error| crate::coverage::with_sources(&error))
            .and_then(|(value, _)| serde_json::from_value(value).map_err(|e| e.to_string()));
        let object = format!("{kind} {name}");
        match found {
            Ok(found) => {
                self.gaps.set(&object, &[]);
                Some(found)
            }
            Err(error) => {
                tracing::error!(object, error, "Object cannot be decoded");
                self.gaps.set(&object, &[Gap::DecodeError]);
                None
            }
        }
    }

    /// What has to be kept of pods and namespaces, once policies and bindings are known. Where it is
    /// more than before, they are listed again.
    fn update_needs(&mut self) {
        if !self.watches.are_complete(&[POLICIES, BINDINGS]) {
            return;
        }
        let needs = self.index.needs();
        if self.needs_known && self.needs.covers(&needs) {
            return;
        }
        let mut all = (*self.needs).clone();
        all.merge(&needs);
        self.needs = Arc::new(all);
        self.needs_known = true;
        self.must_list = true;
    }

    /// Whether pods and namespaces have to be listed, for the first time or again.
    pub(crate) fn take_must_list(&mut self) -> bool {
        std::mem::take(&mut self.must_list)
    }

    fn begin_list(&mut self, what: usize) {
        self.listing[what].clear();
        self.gaps.begin_list(KINDS[what]);
    }

    fn done(&mut self, what: usize) {
        self.gaps.end_list(KINDS[what]);
        self.watches.complete(what);
        self.listing[what] = HashSet::new();
    }
}

/// The name of an object without a namespace.
fn cluster_name(json: &[u8]) -> String {
    let reads = Reads::path(&["metadata", "name"]);
    let found = project(json, &reads, 64 * 1024).ok();
    let name = found.and_then(|(value, _)| Some(value["metadata"]["name"].as_str()?.to_owned()));
    name.unwrap_or_else(|| "of unknown name".to_owned())
}
