//! The pods of this node, as the API server reports them.
//!
//! Here: what is kept of each, and for how long. Not here: watching (`run`), reading one from its JSON
//! (`pods/read`), a bound on all of them (`pods/budget`).
//! Invariant: a pod that was deleted and a container that was replaced are remembered for a
//! minute, for processes that are reported later; nothing else of them stays. Every pod is known by
//! its identity, however large it is.

mod budget;
mod containers;
mod read;

pub(crate) use read::name as name_of;

use crate::cluster::needs::Needs;
use crate::process::commands::KubeletCommands;
use bailiff_api::WorkloadReference;
use bailiff_policy::{Container, ProjectionError};
use budget::Budget;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// How long a deleted pod is remembered, and a container that another took the place of.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(1);

/// A pod, as far as it matters here.
#[derive(Clone, Debug)]
pub(crate) struct PodFacts {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    /// Of a static pod's copy in the API: the hash that the pod itself has for a UID.
    static_uid: Option<String>,
    created: Option<Timestamp>,
    /// Those that selectors name, and others as far as they are few.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) service_account: Option<String>,
    runtime_class: Option<String>,
    /// What its owner references name as its controller; none, too, where they are too large to be kept.
    pub(crate) controller: Option<WorkloadReference>,
    pub(crate) commands: KubeletCommands,
    /// Containers by the ID that the runtime gave them.
    pub(crate) containers: BTreeMap<String, Container>,
    /// Those of them that the pod's status does not name any more, and since when.
    replaced: BTreeMap<String, Timestamp>,
    /// What expressions read of the object. Absent: nothing, or it is too large.
    pub(crate) object: Option<Value>,
    /// What was needed of it when it was read.
    pub(crate) complete_for: Arc<Needs>,
    /// All processes of it ended for good.
    finished: bool,
    /// Containers that were started were too large to be kept.
    containers_left_out: bool,
    /// Commands of probes and hooks were too large to be kept.
    commands_left_out: bool,
    /// Bytes of memory of the object, and of the rest.
    object_bytes: usize,
    bytes: usize,
}

/// Pods by UID.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    by_uid: HashMap<String, Arc<PodFacts>>,
    /// UIDs of the API's copies by those of the static pods themselves.
    copies: HashMap<String, String>,
    deleted: Vec<(Timestamp, String)>,
    budget: Budget,
}

impl Pods {
    /// A pod exists or was changed; its UID.
    ///
    /// # Errors
    /// When its JSON is not that of a Pod.
    pub(crate) fn apply(
        &mut self,
        json: &[u8],
        needs: &Arc<Needs>,
        now: Timestamp,
    ) -> Result<String, ProjectionError> {
        let mut facts = read::facts(json, needs)?;
        let uid = facts.uid.clone();
        if let Some(before) = self.by_uid.get(&uid) {
            facts.keep_replaced(before, now);
        }
        if let Some(static_uid) = &facts.static_uid
            && self.is_copy(static_uid, &facts)
        {
            self.copies.insert(static_uid.clone(), uid.clone());
        }
        self.budget.add(&facts);
        if let Some(before) = self.by_uid.insert(uid.clone(), Arc::new(facts)) {
            self.budget.remove(&before);
        }
        self.budget.enforce(&mut self.by_uid);
        Ok(uid)
    }

    /// Whether a pod is the copy of this static pod. Tenants can write the same annotations to
    /// a pod of their own, so the oldest one counts; the kubelet made its copy when it started.
    fn is_copy(&self, static_uid: &str, facts: &PodFacts) -> bool {
        let known = self.copies.get(static_uid);
        known.filter(|uid| !self.is_deleted(uid)).is_none_or(|uid| {
            let created = self.by_uid.get(uid).and_then(|known| known.created);
            *uid == facts.uid || facts.created < created
        })
    }

    fn is_deleted(&self, uid: &str) -> bool {
        self.deleted.iter().any(|(_, known)| known == uid)
    }

    /// A pod was deleted.
    pub(crate) fn delete(&mut self, json: &[u8], now: Timestamp) {
        if let Some(uid) = read::uid(json)
            && !self.is_deleted(&uid)
            && self.by_uid.contains_key(&uid)
        {
            self.deleted.push((now, uid));
        }
    }

    /// Forgets pods that were deleted long enough ago; these pods.
    pub(crate) fn forget(&mut self, now: Timestamp) -> Vec<Arc<PodFacts>> {
        let mut gone = Vec::new();
        let (by_uid, copies, budget) = (&mut self.by_uid, &mut self.copies, &mut self.budget);
        self.deleted.retain(|(since, uid)| {
            let keep = now.duration_since(*since) < REMEMBERED;
            if !keep {
                if let Some(facts) = by_uid.remove(uid) {
                    budget.remove(&facts);
                    gone.push(facts);
                }
                copies.retain(|_, copy| copy != uid);
            }
            keep
        });
        gone
    }

    /// The pod with this UID, or the copy of the static pod with it.
    pub(crate) fn get(&self, uid: &str) -> Option<&Arc<PodFacts>> {
        let by_copy = || self.by_uid.get(self.copies.get(uid)?);
        self.by_uid.get(uid).or_else(by_copy)
    }

    /// Whether a pod with this name is known.
    pub(crate) fn contains(&self, namespace: &str, name: &str) -> bool {
        let mut pods = self.by_uid.values();
        pods.any(|pod| pod.namespace == namespace && pod.name == name)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// Keeps those that a new listing names; the others were deleted meanwhile.
    pub(crate) fn keep(&mut self, listed: &HashSet<String>, now: Timestamp) {
        let gone: Vec<_> = self
            .by_uid
            .keys()
            .filter(|uid| !listed.contains(*uid) && !self.is_deleted(uid))
            .cloned()
            .collect();
        self.deleted.extend(gone.into_iter().map(|uid| (now, uid)));
    }

    /// Pods of which less is kept than is needed, since this was last asked.
    pub(crate) fn take_reduced(&mut self) -> Vec<String> {
        self.budget.take_reduced()
    }
}

impl PodFacts {
    /// Whether expressions read the object, and it is too large to be kept.
    pub(crate) fn object_left_out(&self) -> bool {
        self.complete_for.object.is_some() && self.object.is_none()
    }

    /// Whether containers that were started are too large to be kept.
    pub(crate) const fn containers_left_out(&self) -> bool {
        self.containers_left_out
    }

    /// Whether probes and hooks are too large to be kept.
    pub(crate) const fn commands_left_out(&self) -> bool {
        self.commands_left_out
    }

    /// Its `RuntimeClass`, as long as processes of it can run. None: the default runtime of the node, or it ended.
    pub(crate) fn runtime_class(&self) -> Option<&str> {
        self.runtime_class.as_deref().filter(|_| !self.finished)
    }

    /// With this as the object, for one evaluation.
    pub(crate) fn with_object(&self, object: Value) -> Self {
        Self {
            object: Some(object),
            ..self.clone()
        }
    }

    /// Of a pod that is fetched for one evaluation.
    ///
    /// # Errors
    /// When its JSON is not that of a Pod.
    pub(crate) fn fetched(json: &[u8], needs: &Arc<Needs>) -> Result<Self, ProjectionError> {
        read::fetched(json, needs)
    }

    /// Takes over containers that were replaced a short time ago.
    fn keep_replaced(&mut self, before: &Self, now: Timestamp) {
        for (id, container) in &before.containers {
            let since = before.replaced.get(id).copied().unwrap_or(now);
            if self.containers.contains_key(id) || now.duration_since(since) >= REMEMBERED {
                continue;
            }
            self.containers.insert(id.clone(), container.clone());
            self.replaced.insert(id.clone(), since);
        }
    }
}

#[cfg(test)]
mod tests;
