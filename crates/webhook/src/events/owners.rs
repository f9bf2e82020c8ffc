//! The workload of a denied pod.
//!
//! Here: reading it, and what a caller that is not verified can say about it. Not here: which owner counts
//! (`bailiff_kube::owner`), the decision about a pod template (`admission`).
//! Invariant: a workload that Bailiff reads is verified by its UID. One of a kind that it does not read is
//! taken as written if the API server serves that kind in namespaces; otherwise there is none. Of a caller that
//! is not verified only the reference to the owner is used: whether and why pods are rejected follows from the
//! template that the owner has in the API server. What is remembered is bounded.

use super::WriteError;
use super::denied::Denied;
use super::recent::Recent;
use crate::callers::Callers;
use crate::reports::Templates;
use bailiff_api::WorkloadReference;
use bailiff_kube::owner::{self, Prefetch, Workload};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResourceList, ObjectMeta};
use serde_json::Value;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long a workload, or the scope of a kind, is remembered, because a ReplicaSet retries often.
const REMEMBERED: Duration = Duration::from_mins(1);
/// The same for what was decided about the template, which can change.
const REMEMBERED_DECISION: Duration = Duration::from_secs(10);

/// What an Event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Confirmed {
    pub(super) workload: WorkloadReference,
    /// Why pods of the workload are rejected.
    pub(super) message: String,
}

/// What is known about the workload of a denied pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// It has the Event.
    Confirmed(Confirmed),
    /// No object of the namespace counts as one.
    NoWorkload,
    /// The caller is not verified, and pods of its template would be admitted, or this cannot be told.
    Unconfirmed,
}

/// Decides about pod templates; empty until the webhook starts.
pub(super) type Decides = Arc<OnceLock<Weak<dyn Templates>>>;

/// Reads workloads.
pub(super) struct Owners {
    client: kube::Client,
    callers: Callers,
    decides: Decides,
    /// By namespace, and API version, kind, name and UID of the controller. The message is none if that of each
    /// denial counts. What is not confirmed is not remembered: others can have sent it.
    workloads: Recent<[String; 5], (WorkloadReference, Option<String>)>,
    /// Whether objects are in namespaces, by API version and kind.
    namespaced: Recent<[String; 2], bool>,
}

impl Owners {
    pub(super) const fn new(client: kube::Client, callers: Callers, decides: Decides) -> Self {
        let remembered = match callers {
            Callers::Verified => REMEMBERED,
            Callers::Unverified => REMEMBERED_DECISION,
        };
        Self {
            client,
            callers,
            decides,
            workloads: Recent::new(remembered),
            namespaced: Recent::new(REMEMBERED),
        }
    }

    /// The workload of a denied pod, and what its Event says.
    pub(super) async fn confirm(&mut self, denied: &Denied) -> Result<Confirmation, WriteError> {
        let owner = &denied.owner;
        let key = [
            &denied.namespace,
            &owner.api_version,
            &owner.kind,
            &owner.name,
            &owner.uid,
        ]
        .map(Clone::clone);
        let known = self.workloads.get(&key, Instant::now()).cloned();
        let (workload, message) = match known {
            Some(known) => known,
            None => match self.read(denied).await? {
                Ok(read) => {
                    self.workloads.put(key, read.clone(), Instant::now());
                    read
                }
                Err(without) => return Ok(without),
            },
        };
        Ok(Confirmation::Confirmed(Confirmed {
            workload,
            message: message.unwrap_or_else(|| denied.message.clone()),
        }))
    }

    async fn read(
        &mut self,
        denied: &Denied,
    ) -> Result<Result<(WorkloadReference, Option<String>), Confirmation>, WriteError> {
        let owner = &denied.owner;
        let is_read = owner::known(&owner.api_version, &owner.kind).is_some();
        match self.callers {
            // Nothing is asked about a kind that whoever sends the review can invent.
            Callers::Unverified if !is_read => return Ok(Err(Confirmation::Unconfirmed)),
            Callers::Unverified | Callers::Verified => {}
        }
        let pod = Pod {
            metadata: ObjectMeta {
                namespace: Some(denied.namespace.clone()),
                labels: Some(denied.labels.clone()),
                owner_references: Some(vec![owner.clone()]),
                ..ObjectMeta::default()
            },
            ..Pod::default()
        };
        let read = owner::workload_with_template(&self.client, &pod, Prefetch::default()).await?;
        let Some(Workload {
            reference,
            template,
            direct: _,
        }) = read
        else {
            return Ok(Err(Confirmation::NoWorkload));
        };
        if !is_read && !self.is_namespaced(&owner.api_version, &owner.kind).await? {
            return Ok(Err(Confirmation::NoWorkload));
        }
        let message = match self.callers {
            Callers::Verified => None,
            Callers::Unverified => match self.denial(&denied.namespace, template).await {
                Some(message) => Some(message),
                None => return Ok(Err(Confirmation::Unconfirmed)),
            },
        };
        Ok(Ok((reference, message)))
    }

    /// Why pods of a template are rejected.
    async fn denial(&self, namespace: &str, template: Option<Value>) -> Option<String> {
        let (decides, template) = (self.decides.get()?.upgrade()?, template?);
        let namespace = namespace.to_owned();
        // Apart, because the decision takes processor time, and connections are accepted by this task.
        let decision =
            tokio::spawn(async move { decides.denial(&namespace, &template).await }).await;
        decision.ok().flatten()
    }

    /// Whether the API server serves a kind, in namespaces.
    async fn is_namespaced(&mut self, api_version: &str, kind: &str) -> Result<bool, WriteError> {
        let key = [api_version.to_owned(), kind.to_owned()];
        if let Some(is_namespaced) = self.namespaced.get(&key, Instant::now()) {
            return Ok(*is_namespaced);
        }
        // The parts of the version are names (`denied`), so they lead to no other path.
        let read = if api_version.contains('/') {
            self.client.list_api_group_resources(api_version).await
        } else {
            self.client.list_core_api_resources(api_version).await
        };
        let resources = match read {
            Ok(list) => list,
            Err(kube::Error::Api(status)) if status.code == 404 => APIResourceList::default(),
            Err(error) => return Err(error.into()),
        };
        let is_namespaced = resources
            .resources
            .iter()
            .any(|resource| resource.kind == kind && resource.namespaced);
        self.namespaced.put(key, is_namespaced, Instant::now());
        Ok(is_namespaced)
    }
}
