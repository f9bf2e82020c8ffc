//! Evaluates reviews.
//!
//! Here: from a review to a response, with the policies, namespaces and registries of the cluster. Not
//! here: HTTP (`server`), what each entry responds (`entries`).
//! Invariant: a review is evaluated with one snapshot of the policies. What could not be evaluated is
//! rejected if a policy that can apply says so (`onError`).

use crate::callers::Callers;
use crate::compute::on_own_thread;
use crate::deadlines::Deadlines;
use crate::entries::{Entry, Evaluate, NotEvaluated, pods, policies, workloads};
use crate::lookups::{Lookups, Wanted};
use crate::metrics::Metrics;
use crate::namespace_objects::NamespaceObjects;
use crate::reports::{Reports, Templates};
use crate::response::AdmissionResponse;
use crate::review::{Identity, Keep, Review};
use crate::rules::{Labels, Namespaces, Rules};
use crate::text;
use bailiff_api::Unchecked;
use bailiff_oci::Lookup;
use bailiff_policy::image::{
    BoundPolicy, Decision, PodLabels, PodReview, Stage, Violation, decide, images, pod_of_template,
    references_to_look_up,
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
use tokio::time::Instant;

/// Timeout of reading a namespace that the watch did not bring yet.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(1);
/// Most images of a pod. More than a pod that the API server accepts can have in practice.
const IMAGES_LIMIT: usize = 1024;
/// Most kept bytes and most images of a pod whose decision other reviews of the thread can wait for: it takes
/// less than a millisecond. To hand them to another thread costs as much as the decision about a usual pod.
const SHORT_BYTES: usize = 64 << 10;
const SHORT_IMAGES: usize = 32;
/// Most namespaces that are read at the same time.
const NAMESPACES_LIMIT: usize = 8;

/// Evaluates reviews.
pub(crate) struct Admission {
    pub(crate) rules: Arc<Rules>,
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) exempt: BTreeSet<String>,
    pub(crate) callers: Callers,
    pub(crate) lookups: Arc<dyn Lookups>,
    pub(crate) reports: Arc<dyn Reports>,
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
    pub(crate) reads: Semaphore,
    pub(crate) namespace_objects: NamespaceObjects,
    /// One policy is compiled at a time, so that callers that send policies leave processor time for pods.
    pub(crate) compiles: Semaphore,
}

/// What a decision about a pod needs besides the pod.
#[derive(Clone, Copy)]
struct Context<'a> {
    namespace: &'a str,
    entry: Entry,
    /// The parts of the pod that are kept, and how many bytes of memory they take.
    kept: &'a Keep,
    kept_bytes: usize,
}

impl<'a> Context<'a> {
    fn of(entry: Entry, review: &'a Review) -> Self {
        Self {
            namespace: &review.identity.namespace,
            entry,
            kept: &review.kept,
            kept_bytes: review.kept_bytes,
        }
    }
}

impl Admission {
    /// Permits for reading namespaces.
    pub(crate) fn reads() -> Semaphore {
        Semaphore::new(NAMESPACES_LIMIT)
    }

    /// Permits for compiling policies.
    pub(crate) fn compiles() -> Semaphore {
        Semaphore::new(1)
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
        let (decision, found) = self
            .decide(pod, Context::of(entry, review), deadlines)
            .await?;
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
        self.count(stage, &decision);
        Ok(match stage {
            Stage::Validating => pods::validated(&decision),
            Stage::Mutating => pods::mutated(&review.object, &decision),
        })
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
        let context = Context::of(Entry::ValidateWorkloads, review);
        let (decision, _) = self.decide(pod, context, deadlines).await?;
        Ok(workloads::response(review, &decision))
    }

    async fn policies(
        &self,
        review: &Review,
        deadlines: Deadlines,
    ) -> Result<AdmissionResponse, NotEvaluated> {
        let permit = tokio::time::timeout_at(deadlines.lookups, self.compiles.acquire());
        let Ok(Ok(_permit)) = permit.await else {
            return Err(NotEvaluated::Overloaded);
        };
        on_own_thread(|| policies::response(review))
    }

    /// The decision about a pod, and the images that registries had for it.
    async fn decide(
        &self,
        mut pod_review: PodReview<'_>,
        context: Context<'_>,
        deadlines: Deadlines,
    ) -> Result<(Decision, Option<Found>), NotEvaluated> {
        let namespace = context.namespace;
        let snapshot = self.rules.snapshot();
        if snapshot.is_empty() {
            return Ok((decide(&[], &pod_review, &BTreeMap::new()), None));
        }
        if !context.kept.covers(&snapshot.keep(context.entry)) {
            return Err(NotEvaluated::PoliciesChanged);
        }
        let of_namespace = match (self.namespaces.get(namespace), self.callers) {
            (Some(labels), _) => labels,
            (None, Callers::Verified) => self.read_namespace(namespace).await?,
            (None, Callers::Unverified) => self.new_namespace(namespace).await?,
        };
        let (pod, old) = (labels(pod_review.pod), pod_review.old.map(labels));
        let bound = snapshot.bound(&PodLabels {
            namespace: &of_namespace,
            pod: &pod,
            old: old.as_ref(),
        });
        let namespace_object;
        if bound.iter().any(|bound| bound.policy.reads_namespace()) {
            // The watch keeps its labels alone.
            let read = self.namespace_objects.read(namespace, NAMESPACE_TIMEOUT);
            let unknown = || NotEvaluated::NamespaceUnknown(text::ascii(namespace, 63));
            namespace_object = read.await.ok_or_else(unknown)?;
            pod_review.namespace = Some(&namespace_object);
        }
        let images = images(pod_review.pod, pod_review.old).len();
        if images > IMAGES_LIMIT {
            return Err(NotEvaluated::TooManyImages);
        }
        let references = references_to_look_up(&bound, &pod_review);
        let (lookups, found) = if references.is_empty() {
            (BTreeMap::new(), None)
        } else {
            let is_named = |registry: &str| {
                let mut policies = bound.iter().map(|bound| bound.policy);
                policies.any(|policy| policy.names_registry(registry))
            };
            let wanted = references.into_iter().map(|(name, reference)| {
                let named_by_policy = is_named(reference.registry());
                let wanted = Wanted {
                    reference,
                    named_by_policy,
                };
                (name, wanted)
            });
            let (names, wanted): (Vec<_>, Vec<_>) = wanted.unzip();
            let lookups = self
                .lookups
                .lookup(wanted.clone(), namespace, &of_namespace, deadlines.lookups)
                .await;
            let is_found = |name: &String| matches!(lookups.get(name), Some(Lookup::Found { .. }));
            let wanted = names.iter().zip(wanted);
            let wanted: Vec<_> = wanted
                .filter_map(|(name, wanted)| is_found(name).then_some(wanted))
                .collect();
            let labels = Arc::clone(&of_namespace);
            let found = (!wanted.is_empty()).then_some(Found { wanted, labels });
            (lookups, found)
        };
        let decide = || decide(&bound, &pod_review, &lookups);
        let is_long = context.kept_bytes > SHORT_BYTES || images > SHORT_IMAGES;
        let decision = if is_long {
            on_own_thread(decide)
        } else {
            decide()
        };
        Ok((decision, found))
    }

    /// The labels of a namespace that the watch is going to bring: it is new. Nothing is asked about it, because
    /// a caller that is not verified can invent any number of them; except while the watch does not work. Whatever
    /// comes first counts, so that invented ones, which take the permits to read, do not keep what the watch brings.
    async fn new_namespace(&self, name: &str) -> Result<Arc<Labels>, NotEvaluated> {
        let brought = tokio::time::timeout(NAMESPACE_TIMEOUT, self.namespaces.wait(name));
        let unknown = |_| NotEvaluated::NamespaceUnknown(text::ascii(name, 63));
        let brought = brought.map(|brought| brought.map_err(unknown));
        if !self.namespaces.are_behind() {
            return brought.await;
        }
        let both = [brought.boxed(), self.read_namespace(name).boxed()];
        let (labels, _) = futures::future::select_ok(both).await?;
        Ok(labels)
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

    fn is_exempt(&self, identity: &Identity) -> bool {
        self.exempt.contains(&identity.namespace)
    }

    /// Counts what was decided, at the step of admission that reports it.
    fn count(&self, stage: Stage, decision: &Decision) {
        let policies = |violations: &[Violation]| -> BTreeSet<String> {
            violations.iter().map(|v| v.policy.clone()).collect()
        };
        let metrics = &self.metrics;
        let denied = policies(&decision.denied);
        if pods::is_reported(stage, decision) {
            for policy in &denied {
                metrics.denied.get_or_create(&metrics.policy(policy)).inc();
            }
        }
        if !denied.is_empty() {
            return;
        }
        let (warned, audited) = pods::admitted(stage, decision);
        let mut allowed = policies(warned);
        allowed.extend(policies(audited));
        for policy in &allowed {
            let label = metrics.policy(policy);
            metrics.violations_allowed.get_or_create(&label).inc();
        }
        if stage == Stage::Validating {
            let uncovered = u64::try_from(decision.uncovered.len()).unwrap_or(u64::MAX);
            metrics.uncovered_images.inc_by(uncovered);
        }
    }
}

impl Evaluate for Admission {
    fn keep(&self, entry: Entry) -> Keep {
        self.rules.snapshot().keep(entry)
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
                Entry::ValidatePolicies => self.policies(&review, deadlines).await,
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

impl Templates for Admission {
    fn denial<'a>(
        &'a self,
        namespace: &'a str,
        template: &'a Json,
    ) -> BoxFuture<'a, Option<String>> {
        async move {
            let pod = pod_of_template(namespace, template);
            let review = PodReview {
                pod: &pod,
                old: None,
                namespace: None,
                only: None,
                stage: Stage::Mutating,
            };
            // A review has asked about its images just now; nothing waits for other answers.
            let deadlines = Deadlines {
                lookups: Instant::now(),
                ..Deadlines::of(None, Instant::now())
            };
            let context = Context {
                namespace,
                entry: Entry::MutatePods,
                kept: &Keep::Everything,
                kept_bytes: usize::MAX,
            };
            let (decision, _) = self.decide(review, context, deadlines).await.ok()?;
            pods::denial(&decision)
        }
        .boxed()
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
