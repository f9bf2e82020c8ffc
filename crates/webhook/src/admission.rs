//! Evaluates reviews.
//!
//! Here: from a review to a response, with the policies, namespaces and registries of the cluster. Not
//! here: HTTP (`server`), what each entry responds (`entries`).
//! Invariant: a review is evaluated with one snapshot of the policies. What could not be evaluated is
//! rejected if a policy that can apply says so (`onError`).

use crate::deadlines::Deadlines;
use crate::entries::{Entry, Evaluate, NotEvaluated, pods, policies, workloads};
use crate::lookups::{Lookups, Wanted};
use crate::metrics::Metrics;
use crate::reports::Reports;
use crate::response::AdmissionResponse;
use crate::review::{Identity, Keep, Review};
use crate::rules::{Labels, Namespaces, Rules};
use crate::text;
use bailiff_api::Unchecked;
use bailiff_oci::Lookup;
use bailiff_policy::image::{
    BoundPolicy, Decision, PodLabels, PodReview, Stage, decide, images, references_to_look_up,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Timeout of reading a namespace that the watch did not bring yet.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(1);
/// Most images of a pod. More than a pod that the API server accepts can have in practice.
const IMAGES_LIMIT: usize = 1024;
/// Most namespaces that are read at the same time.
const NAMESPACES_LIMIT: usize = 8;

/// Evaluates reviews.
pub(crate) struct Admission {
    pub(crate) rules: Arc<Rules>,
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) exempt: BTreeSet<String>,
    pub(crate) lookups: Arc<dyn Lookups>,
    pub(crate) reports: Arc<dyn Reports>,
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
    pub(crate) reads: Semaphore,
    /// Apart from `reads`, so that expressions of one namespace keep no new namespace waiting.
    pub(crate) object_reads: Semaphore,
}

impl Admission {
    /// Permits for reading namespaces.
    pub(crate) fn reads() -> Semaphore {
        Semaphore::new(NAMESPACES_LIMIT)
    }

    async fn pods(
        &self,
        entry: Entry,
        review: &Review,
        deadlines: Deadlines,
    ) -> Result<AdmissionResponse, NotEvaluated> {
        match (
            review.group.as_str(),
            review.resource.as_str(),
            review.subresource.as_str(),
        ) {
            ("", "pods", "" | "ephemeralcontainers") => {}
            _ => return Err(NotEvaluated::UnexpectedResource(review.to_string())),
        }
        if self.is_exempt(&review.identity) || !pods::is_reviewed(review) {
            return Ok(AdmissionResponse::allowed());
        }
        let stage = match entry {
            Entry::MutatePods => Stage::Mutating,
            Entry::ValidatePods | Entry::ValidateWorkloads | Entry::ValidatePolicies => {
                Stage::Validating
            }
        };
        let pod = PodReview {
            pod: &review.object,
            old: review.previous(),
            namespace: None,
            only: None,
            stage,
        };
        let (decision, found) = self.decide(pod, review, deadlines).await?;
        if let Some(found) = found
            && decision.denied.is_empty()
            && !review.dry_run
        {
            let namespace = &review.identity.namespace;
            self.lookups
                .admitted(found.wanted, namespace, &found.labels);
        }
        if let Some(message) = pods::denial(&decision)
            && pods::is_reported(stage, &decision)
            && !review.dry_run
            && review.previous().is_none()
        {
            let namespace = &review.identity.namespace;
            self.reports.denied(namespace, &review.object, &message);
        }
        if stage == Stage::Validating {
            self.count(&decision);
            return Ok(pods::validated(&decision));
        }
        Ok(pods::mutated(&review.object, &decision))
    }

    async fn workloads(
        &self,
        review: &Review,
        deadlines: Deadlines,
    ) -> Result<AdmissionResponse, NotEvaluated> {
        if !workloads::is_workload(review) {
            return Err(NotEvaluated::UnexpectedResource(review.to_string()));
        }
        let pod = workloads::pod(review).filter(|_| !self.is_exempt(&review.identity));
        let Some(pod) = pod else {
            return Ok(AdmissionResponse::allowed());
        };
        let pod = PodReview {
            pod: &pod,
            old: None,
            namespace: None,
            only: None,
            stage: Stage::Mutating,
        };
        let (decision, _) = self.decide(pod, review, deadlines).await?;
        Ok(workloads::response(review, &decision))
    }

    /// The decision about a pod in the namespace of a review, and the images that registries had for it.
    async fn decide(
        &self,
        mut pod_review: PodReview<'_>,
        review: &Review,
        deadlines: Deadlines,
    ) -> Result<(Decision, Option<Found>), NotEvaluated> {
        let snapshot = self.rules.snapshot();
        if snapshot.is_empty() {
            return Ok((decide(&[], &pod_review, &BTreeMap::new()), None));
        }
        if snapshot.has_expressions() && review.kept != Keep::Everything {
            return Err(NotEvaluated::PoliciesChanged);
        }
        let namespace = review.identity.namespace.as_str();
        let of_namespace = match self.namespaces.get(namespace) {
            Some(labels) => labels,
            None => self.read_namespace(namespace).await?,
        };
        let (pod, old) = (labels(pod_review.pod), pod_review.old.map(labels));
        let bound = snapshot.bound(&PodLabels {
            namespace: &of_namespace,
            pod: &pod,
            old: old.as_ref(),
        });
        let namespace_object;
        if bound.iter().any(|bound| bound.policy.reads_namespace()) {
            namespace_object = self.read_namespace_object(namespace).await?;
            pod_review.namespace = Some(&namespace_object);
        }
        if images(pod_review.pod, pod_review.old).len() > IMAGES_LIMIT {
            return Err(NotEvaluated::TooManyImages);
        }
        let references = references_to_look_up(&bound, &pod_review);
        let (lookups, found) = if references.is_empty() {
            (BTreeMap::new(), None)
        } else {
            let named: BTreeSet<_> = bound
                .iter()
                .flat_map(|bound| bound.policy.allowed_registries())
                .collect();
            let wanted = references.into_values().map(|reference| Wanted {
                named_by_policy: named.contains(reference.registry()),
                reference,
            });
            let mut wanted: Vec<_> = wanted.collect();
            let asked = wanted.clone();
            let lookups = self
                .lookups
                .lookup(asked, namespace, &of_namespace, deadlines.lookups)
                .await;
            let is_found = |wanted: &Wanted| {
                let answer = lookups.get(&wanted.reference.to_string());
                matches!(answer, Some(Lookup::Found { .. }))
            };
            wanted.retain(is_found);
            let labels = Arc::clone(&of_namespace);
            let found = (!wanted.is_empty()).then_some(Found { wanted, labels });
            (lookups, found)
        };
        // It can take long for a large pod; other reviews go on meanwhile.
        let decision = on_own_thread(|| decide(&bound, &pod_review, &lookups));
        Ok((decision, found))
    }

    /// The labels of a namespace that the watch did not bring yet: it is new.
    async fn read_namespace(&self, name: &str) -> Result<Arc<Labels>, NotEvaluated> {
        let unknown = || NotEvaluated::NamespaceUnknown(text::ascii(name, 63));
        if !bailiff_kube::owner::is_name(name) {
            return Err(unknown());
        }
        let _permit = self.reads.try_acquire().ok().ok_or_else(unknown)?;
        let read = bailiff_kube::metadata::get::<Namespace>(&self.client, name);
        let read = tokio::time::timeout(NAMESPACE_TIMEOUT, read).await;
        let found = match read {
            Ok(Ok(Some(decoded))) => decoded.into_result().ok(),
            Ok(Ok(None) | Err(_)) | Err(_) => None,
        };
        let namespace = found.ok_or_else(unknown)?;
        Ok(Arc::new(namespace.metadata.labels.unwrap_or_default()))
    }

    /// The whole namespace, for expressions: the watch keeps its labels alone.
    async fn read_namespace_object(&self, name: &str) -> Result<Json, NotEvaluated> {
        let unknown = || NotEvaluated::NamespaceUnknown(text::ascii(name, 63));
        if !bailiff_kube::owner::is_name(name) {
            return Err(unknown());
        }
        let path = format!("/api/v1/namespaces/{name}");
        let read = async {
            let _permit = self.object_reads.acquire().await.ok()?;
            let request = http::Request::get(path).body(Vec::new()).ok()?;
            self.client.request::<Json>(request).await.ok()
        };
        let read = tokio::time::timeout(NAMESPACE_TIMEOUT, read).await;
        read.ok().flatten().ok_or_else(unknown)
    }

    fn is_exempt(&self, identity: &Identity) -> bool {
        self.exempt.contains(&identity.namespace)
    }

    /// Counts what the validating entry decided.
    fn count(&self, decision: &Decision) {
        let policies = |violations: &[bailiff_policy::image::Violation]| -> BTreeSet<String> {
            violations.iter().map(|v| v.policy.clone()).collect()
        };
        let denied = policies(&decision.denied);
        for policy in &denied {
            let label = self.metrics.policy(policy);
            self.metrics.denied.get_or_create(&label).inc();
        }
        if denied.is_empty() {
            let mut allowed = policies(&decision.warned);
            allowed.extend(policies(&decision.audited));
            for policy in &allowed {
                let label = self.metrics.policy(policy);
                self.metrics.violations_allowed.get_or_create(&label).inc();
            }
            let uncovered = u64::try_from(decision.uncovered.len()).unwrap_or(u64::MAX);
            self.metrics.uncovered_images.inc_by(uncovered);
        }
    }
}

impl Evaluate for Admission {
    fn keep(&self, entry: Entry) -> Keep {
        entry.keep(self.rules.snapshot().has_expressions())
    }

    fn evaluate(
        &self,
        entry: Entry,
        review: Review,
        deadlines: Deadlines,
    ) -> BoxFuture<'_, Result<AdmissionResponse, NotEvaluated>> {
        async move {
            match entry {
                Entry::MutatePods | Entry::ValidatePods => {
                    self.pods(entry, &review, deadlines).await
                }
                Entry::ValidateWorkloads => self.workloads(&review, deadlines).await,
                Entry::ValidatePolicies => policies::response(&review),
            }
        }
        .boxed()
    }

    fn not_evaluated(
        &self,
        entry: Entry,
        identity: &Identity,
        cause: &NotEvaluated,
    ) -> AdmissionResponse {
        match entry {
            Entry::ValidatePods => {}
            // The validating entry decides.
            Entry::MutatePods => return AdmissionResponse::allowed(),
            Entry::ValidateWorkloads => {
                let text = format!("Bailiff did not check the pod template, because {cause}.");
                return AdmissionResponse::warned(text::ascii(&text, text::WARNING_LIMIT));
            }
            Entry::ValidatePolicies => {
                let text = format!("Bailiff did not check the policy, because {cause}.");
                return AdmissionResponse::warned(text::ascii(&text, text::WARNING_LIMIT));
            }
        }
        if self.is_exempt(identity) {
            return AdmissionResponse::allowed();
        }
        let snapshot = self.rules.snapshot();
        let namespace = self.namespaces.get(&identity.namespace);
        let bound = snapshot.possibly_bound(namespace.as_deref());
        // What the sender of a pod can cause is no way around a policy.
        let denies = |bound: &&BoundPolicy<'_>| {
            let is_error = !cause.is_of_pod() && bound.policy.on_error() == Unchecked::Allow;
            bound.actions.deny && !is_error
        };
        let text = format!("Bailiff did not check the images of the pod, because {cause}.");
        if let Some(bound) = bound.iter().find(denies) {
            let name = &bound.policy.name;
            let text =
                format!("{text} ImageAdmissionPolicy {name} requires images that were checked.");
            AdmissionResponse::denied(text::ascii(&text, text::DENIAL_LIMIT))
        } else if bound.is_empty() {
            AdmissionResponse::allowed()
        } else {
            AdmissionResponse::warned(text::ascii(&text, text::WARNING_LIMIT))
        }
    }
}

/// Images that registries have.
struct Found {
    wanted: Vec<Wanted>,
    /// Labels of the namespace.
    labels: Arc<Labels>,
}

/// Runs what computes without other tasks of the thread waiting for it.
fn on_own_thread<T>(compute: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(compute),
        // The runtime of a test has one thread, which cannot hand over its tasks.
        _ => compute(),
    }
}

/// The labels of an object.
fn labels(object: &Json) -> Labels {
    let labels = object["metadata"]["labels"].as_object();
    let labels = labels.into_iter().flatten();
    labels
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests;
