//! The objects that are watched: pods of the node, namespaces, policies, bindings.
//!
//! Here: what an event of a watch changes. Not here: the watches (`run`).
//! Invariant: after a list is complete exactly what it named is known; a watch that fails takes
//! nothing away.

use super::State;
use crate::cluster::pods::namespace_facts;
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding};
use bailiff_kube::watch::Event as Watched;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::runtime::watcher;
use std::collections::HashSet;

const PODS: usize = 0;
const NAMESPACES: usize = 1;
const POLICIES: usize = 2;
const BINDINGS: usize = 3;

impl State {
    pub(crate) async fn pod(&mut self, event: watcher::Result<Watched<Pod>>) {
        match event {
            Ok(Watched::Init) => self.listing[PODS].clear(),
            Ok(Watched::InitApply(pod) | Watched::Apply(pod)) => {
                if let Some(uid) = self.pods.apply(&pod, Timestamp::now()) {
                    self.listing[PODS].insert(uid.clone());
                    self.retry(Some(&uid)).await;
                }
            }
            Ok(Watched::InitDone) => {
                self.pods.keep(&self.listing[PODS], Timestamp::now());
                self.done(PODS);
                self.retry(None).await;
            }
            Ok(Watched::Delete(pod)) => self.pods.delete(&pod, Timestamp::now()),
            Err(error) => watch_failed("pods", &error),
        }
    }

    pub(crate) fn namespace(&mut self, event: watcher::Result<Watched<Namespace>>) {
        match event {
            Ok(Watched::Init) => self.listing[NAMESPACES].clear(),
            Ok(Watched::InitApply(namespace) | Watched::Apply(namespace)) => {
                let name = namespace.metadata.name.clone().unwrap_or_default();
                self.listing[NAMESPACES].insert(name.clone());
                self.namespaces.insert(name, namespace_facts(&namespace));
            }
            Ok(Watched::InitDone) => {
                let listed = &self.listing[NAMESPACES];
                self.namespaces.retain(|name, _| listed.contains(name));
                self.done(NAMESPACES);
            }
            Ok(Watched::Delete(namespace)) => {
                self.namespaces
                    .remove(namespace.name.as_deref().unwrap_or_default());
            }
            Err(error) => watch_failed("namespaces", &error),
        }
    }

    pub(crate) fn policy(&mut self, event: watcher::Result<Watched<RuntimePolicy>>) {
        match event {
            Ok(Watched::Init) => self.listing[POLICIES].clear(),
            Ok(Watched::InitApply(policy) | Watched::Apply(policy)) => {
                self.listing[POLICIES].insert(policy.metadata.name.clone().unwrap_or_default());
                self.rules.apply_policy(&policy);
                self.ignored.learn(&policy);
            }
            Ok(Watched::InitDone) => {
                self.rules.keep_policies(&self.listing[POLICIES]);
                self.ignored.keep(&self.listing[POLICIES]);
                self.done(POLICIES);
            }
            Ok(Watched::Delete(policy)) => {
                let name = policy.name.as_deref().unwrap_or_default();
                self.rules.delete_policy(name);
                self.ignored.forget(name);
            }
            Err(error) => watch_failed("policies", &error),
        }
    }

    pub(crate) fn binding(&mut self, event: watcher::Result<Watched<RuntimePolicyBinding>>) {
        match event {
            Ok(Watched::Init) => self.listing[BINDINGS].clear(),
            Ok(Watched::InitApply(binding) | Watched::Apply(binding)) => {
                self.listing[BINDINGS].insert(binding.metadata.name.clone().unwrap_or_default());
                self.rules.apply_binding(&binding);
            }
            Ok(Watched::InitDone) => {
                self.rules.keep_bindings(&self.listing[BINDINGS]);
                self.done(BINDINGS);
            }
            Ok(Watched::Delete(binding)) => self
                .rules
                .delete_binding(binding.name.as_deref().unwrap_or_default()),
            Err(error) => watch_failed("bindings", &error),
        }
    }

    fn done(&mut self, what: usize) {
        self.synced[what] = true;
        self.listing[what] = HashSet::new();
    }
}

fn watch_failed(what: &str, error: &watcher::Error) {
    tracing::warn!(what, %error, "a watch failed and is tried again; what was known stays");
}
