//! What the controller knows of the rules of the cluster without asking.
//!
//! Here: policies, bindings, namespaces, the protection of Incidents and the switch, from watches.
//! Not here: whether what is known is current (`gather` compares versions).
//! Invariant: policies are compiled outside of the lock; a policy or binding that cannot be decoded is
//! not in the cache.

use crate::policy_cache::{Checked, PolicyCache};
use crate::store::{Change, Store};
use crate::waits::HEARTBEAT_INTERVAL;
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding, condition::responded, keys};
use bailiff_kube::decode::UndecodableObjects;
use bailiff_kube::serve::Heartbeat;
use bailiff_kube::watch::{Event, objects};
use futures::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::runtime::watcher;
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// What waiting Incidents may have waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A policy, by UID, or a binding of it.
    Policy(String),
    /// What Incidents wait for with this reason.
    Reason(&'static str),
    /// Anything.
    All,
}

/// The rules of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) policies: Store<RuntimePolicy>,
    pub(crate) compiled: PolicyCache,
    pub(crate) bindings: Store<RuntimePolicyBinding>,
    pub(crate) namespaces: Store<Namespace>,
    pub(crate) protection: Store<ValidatingAdmissionPolicy>,
    pub(crate) protection_binding: Store<ValidatingAdmissionPolicyBinding>,
    /// How many workloads have pods that a binding matches, by its name. Absent: not counted yet.
    pub(crate) matched_workloads: BTreeMap<String, usize>,
}

impl Rules {
    /// A policy with what was compiled of it.
    pub(crate) fn policy(&self, name: &str) -> Option<(Arc<RuntimePolicy>, Arc<Checked>)> {
        let policy = self.policies.get(name)?;
        Some((Arc::clone(policy), Arc::clone(self.compiled.get(name)?)))
    }

    fn is_complete(&self) -> bool {
        self.policies.is_listed()
            && self.bindings.is_listed()
            && self.namespaces.is_listed()
            && self.protection.is_listed()
            && self.protection_binding.is_listed()
    }
}

/// The rules, shared.
#[derive(Clone)]
pub(crate) struct Cache {
    rules: Arc<Mutex<Rules>>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
    pub(crate) undecodable: UndecodableObjects,
}

impl Cache {
    pub(crate) fn new(undecodable: UndecodableObjects) -> Self {
        Self {
            rules: Arc::default(),
            changes: watch::Sender::new(0),
            undecodable,
        }
    }

    /// The rules as they are known now. Hold it for a moment only.
    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the changes; the first value is the number of changes up to now.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until everything was listed once.
    pub(crate) async fn complete(&self) {
        let mut changes = self.changes();
        while !self.rules().is_complete() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The same in a loop that makes progress while it waits.
    pub(crate) async fn complete_with(&self, heartbeat: &Heartbeat) {
        let complete = self.complete();
        tokio::pin!(complete);
        loop {
            heartbeat.beat();
            tokio::select! {
                () = &mut complete => return,
                () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
            }
        }
    }

    /// Something changed.
    pub(crate) fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Compiles the policies that are new or changed, without the lock.
    fn compile(&self, of: &Change) {
        let (policies, mut compiled) = {
            let rules = self.rules();
            let policies: Vec<_> = match of {
                Change::None => return,
                Change::Of(name) => rules.policies.get(name).cloned().into_iter().collect(),
                Change::Any => rules.policies.all().values().cloned().collect(),
            };
            (policies, rules.compiled.clone())
        };
        for policy in policies {
            let name = policy.metadata.name.clone().unwrap_or_default();
            compiled.apply(&name, &policy);
        }
        let mut rules = self.rules();
        compiled.retain(|name| rules.policies.get(name).is_some());
        rules.compiled = compiled;
    }

    fn policy(&self, event: Event<RuntimePolicy>) -> Vec<News> {
        let uid = |name: &str| {
            let rules = self.rules();
            rules
                .policies
                .get(name)
                .and_then(|p| p.metadata.uid.clone())
        };
        let before = match &event {
            Event::Delete(metadata) => metadata.uid.clone(),
            Event::Apply(policy) => uid(policy.metadata.name.as_deref().unwrap_or_default()),
            Event::Init | Event::InitApply(_) | Event::InitDone => None,
        };
        let change = self.rules().policies.apply(event);
        self.compile(&change);
        match change {
            Change::None => Vec::new(),
            Change::Any => vec![News::All],
            Change::Of(name) => {
                let uids = before.into_iter().chain(uid(&name));
                uids.map(News::Policy).collect()
            }
        }
    }

    fn binding(&self, event: Event<RuntimePolicyBinding>) -> Vec<News> {
        let mut rules = self.rules();
        let name = match &event {
            Event::Delete(metadata) => metadata.name.clone(),
            _ => None,
        };
        let policy_of = |rules: &Rules, name: &str| {
            let binding = rules.bindings.get(name)?;
            let policy = rules.policies.get(&binding.spec.policy_name)?;
            policy.metadata.uid.clone()
        };
        let before = name.and_then(|name| policy_of(&rules, &name));
        match rules.bindings.apply(event) {
            Change::None => Vec::new(),
            Change::Any => vec![News::All],
            Change::Of(name) => {
                let uid = before.or_else(|| policy_of(&rules, &name));
                uid.map(News::Policy).into_iter().collect()
            }
        }
    }
}

fn protection(change: &Change) -> Vec<News> {
    match change {
        Change::None => Vec::new(),
        Change::Of(_) | Change::Any => vec![News::Reason(responded::INCIDENTS_NOT_PROTECTED)],
    }
}

fn switched(event: &Event<ConfigMap>) -> Vec<News> {
    match event {
        Event::Init | Event::InitApply(_) => Vec::new(),
        Event::InitDone | Event::Apply(_) | Event::Delete(_) => {
            vec![News::Reason(responded::RESPONSES_SWITCHED_OFF)]
        }
    }
}

/// Keeps the cache current until it is dropped.
pub(crate) async fn run(
    cache: Cache,
    client: Client,
    namespace: String,
    news: mpsc::UnboundedSender<News>,
    heartbeat: Heartbeat,
) {
    let bad = &cache.undecodable;
    let all = watcher::Config::default;
    let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
    let protected = || named(keys::INCIDENT_PROTECTION);
    let mut policies = objects::<RuntimePolicy>(Api::all(client.clone()), all(), bad);
    let mut bindings = objects::<RuntimePolicyBinding>(Api::all(client.clone()), all(), bad);
    let mut namespaces = objects::<Namespace>(Api::all(client.clone()), all(), bad);
    let mut protections =
        objects::<ValidatingAdmissionPolicy>(Api::all(client.clone()), protected(), bad);
    let mut protection_bindings =
        objects::<ValidatingAdmissionPolicyBinding>(Api::all(client.clone()), protected(), bad);
    let mut switch = objects::<ConfigMap>(
        Api::namespaced(client, &namespace),
        named(keys::RESPONSE_SWITCH),
        bad,
    );
    loop {
        heartbeat.beat();
        let (what, brought) = tokio::select! {
            Some(event) = policies.next() => ("policies", event.map(|e| cache.policy(e))),
            Some(event) = bindings.next() => ("bindings", event.map(|e| cache.binding(e))),
            // What waits is decided again before anything is done, by the labels of then.
            Some(event) = namespaces.next() => ("namespaces", event.map(|e| {
                cache.rules().namespaces.apply(without_managed_fields(e));
                Vec::new()
            })),
            Some(event) = protections.next() => ("the protection of Incidents", event.map(|e| {
                protection(&cache.rules().protection.apply(e))
            })),
            Some(event) = protection_bindings.next() => ("the protection of Incidents", event.map(|e| {
                protection(&cache.rules().protection_binding.apply(e))
            })),
            Some(event) = switch.next() => ("the switch", event.map(|e| switched(&e))),
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => continue,
        };
        match brought {
            Ok(brought) => {
                cache.changed();
                for item in brought {
                    // The receiver is gone only at the end.
                    if news.send(item).is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(what, %error, "A watch failed and is retried; what was known stays");
            }
        }
    }
}

fn without_managed_fields(event: Event<Namespace>) -> Event<Namespace> {
    let trim = |mut namespace: Namespace| {
        namespace.metadata.managed_fields = None;
        namespace
    };
    match event {
        Event::InitApply(namespace) => Event::InitApply(trim(namespace)),
        Event::Apply(namespace) => Event::Apply(trim(namespace)),
        Event::Init | Event::InitDone | Event::Delete(_) => event,
    }
}

#[cfg(test)]
mod tests;
