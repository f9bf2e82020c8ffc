//! Checks of image policies, their bindings, and the renderer, which writes them for the API server.
//!
//! Here: the requests, the results and their messages. Not here: the webhook.
//! Invariant: a policy is OK only if the API server has its current generation; what could not be read is
//! `Unknown`.

use super::checks::{Check, CheckStatus, HasConditions, Lookup, check, name_of, ready, unknown};
use crate::cause;
use crate::objects::{self, Objects};
use bailiff_api::condition::{ready as reasons, types};
use bailiff_api::keys::RENDERED_OWNER;
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{Api, Client};

/// What was read.
pub(super) struct ImagePolicies {
    pub(super) renderer: Lookup<Deployment>,
    /// What owns the rendered bindings: the chart creates it with the renderer.
    pub(super) owner: Lookup<ValidatingWebhookConfiguration>,
    pub(super) policies: Result<Objects<ImageAdmissionPolicy>, String>,
    pub(super) bindings: Result<Objects<ImageAdmissionPolicyBinding>, String>,
}

impl ImagePolicies {
    /// Reads all of it at once.
    pub(super) async fn read(client: &Client, namespace: &str) -> Self {
        let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
        let owners = Api::<ValidatingWebhookConfiguration>::all(client.clone());
        let (renderer, owner, policies, bindings) = futures::join!(
            deployments.get_opt("bailiff-renderer"),
            owners.get_opt(RENDERED_OWNER),
            objects::list_all(client),
            objects::list_all(client),
        );
        Self {
            renderer: renderer.map_err(|error| cause(&error)),
            owner: owner.map_err(|error| cause(&error)),
            policies: policies.map_err(|error| cause(&error)),
            bindings: bindings.map_err(|error| cause(&error)),
        }
    }

    /// Whether there may be policies that need the renderer.
    fn is_used(&self) -> bool {
        match &self.policies {
            Ok(policies) => !(policies.items.is_empty() && policies.problems.is_empty()),
            Err(_) => true,
        }
    }
}

impl HasConditions for ImageAdmissionPolicy {
    const WRITER: &str = "renderer";
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
}

impl HasConditions for ImageAdmissionPolicyBinding {
    const WRITER: &str = "renderer";
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
}

/// All checks of image policies.
pub(super) fn checks(images: &ImagePolicies, has_webhook: bool, namespace: &str) -> Vec<Check> {
    let mut checks = vec![renderer(images, has_webhook, namespace)];
    if let (Ok(None), Ok(None)) = (&images.renderer, &images.owner) {
        // Nothing updates their conditions.
        return checks;
    }
    let (policies, bindings) = ("imageadmissionpolicy", "imageadmissionpolicybinding");
    checks.extend(ready("image-policies", policies, &images.policies));
    checks.extend(not_rendered(&images.policies));
    checks.extend(ready("image-bindings", bindings, &images.bindings));
    checks
}

fn renderer(images: &ImagePolicies, has_webhook: bool, namespace: &str) -> Check {
    let name = "renderer";
    let deployment = match (&images.renderer, &images.owner) {
        (Ok(Some(deployment)), Ok(Some(_owner))) => deployment,
        (Ok(Some(_)), Ok(None)) => {
            let message = format!(
                "ValidatingWebhookConfiguration {RENDERED_OWNER} not found, so the API server does not enforce image policies. Restore it with `helm upgrade`."
            );
            return check(name, CheckStatus::Failed, &message);
        }
        (Ok(None), Ok(Some(_owner))) => {
            let message = format!(
                "Deployment bailiff-renderer not found in namespace {namespace}. The API server enforces image policies as they were; changes have no effect. Restore it with `helm upgrade`."
            );
            return check(name, CheckStatus::Failed, &message);
        }
        (Ok(None), Ok(None)) => return disabled(images.is_used(), has_webhook),
        (Err(cause), _) | (_, Err(cause)) => return unknown(name, cause),
    };
    let status = deployment.status.as_ref();
    let ready = status.and_then(|s| s.ready_replicas).unwrap_or(0);
    let desired = deployment.spec.replicas.unwrap_or(1);
    let noun = if desired == 1 {
        "replica is"
    } else {
        "replicas are"
    };
    let counted = format!("{ready} of {desired} {noun} ready.");
    if ready >= desired && desired > 0 {
        return check(name, CheckStatus::Ok, &counted);
    }
    let message = format!(
        "{counted} The API server enforces image policies as they were; changes have no effect. Check the pod with `kubectl -n {namespace} describe pods -l app.kubernetes.io/component=renderer`."
    );
    check(name, CheckStatus::Failed, &message)
}

/// The row without the renderer.
fn disabled(is_used: bool, has_webhook: bool) -> Check {
    let (status, message) = match (is_used, has_webhook) {
        (false, _) => (
            CheckStatus::Ok,
            "It is disabled, and no image policies exist.",
        ),
        (true, true) => (
            CheckStatus::Warning,
            "It is disabled (renderer.enabled=false). While the webhook is down, no image policy is enforced, and the conditions of image policies are not updated. Set the value renderer.enabled to change that.",
        ),
        (true, false) => (
            CheckStatus::Failed,
            "It is disabled (renderer.enabled=false), and so is the webhook, so image policies are not enforced. Set the value renderer.enabled or webhook.enabled, or delete the policies.",
        ),
    };
    check("renderer", status, message)
}

/// A row for each Ready policy whose current generation the API server does not have. A policy that is not
/// Ready has a row with its cause already.
fn not_rendered(policies: &Result<Objects<ImageAdmissionPolicy>, String>) -> Vec<Check> {
    let policies = policies.iter().flat_map(|policies| &policies.items);
    let rows = policies.filter_map(|policy| {
        let condition = |kind| {
            let mut all = policy.conditions().iter();
            all.find(|condition| condition.type_ == kind)
        };
        let is_reported = condition(types::READY).is_none_or(|ready| {
            ready.status != "True" && ready.reason != reasons::WEBHOOK_DISABLED
        });
        if is_reported {
            return None;
        }
        let name = format!("imageadmissionpolicy/{}", name_of(&policy.metadata));
        let rendered = condition(types::RENDERED)
            .filter(|condition| condition.observed_generation == policy.metadata.generation);
        match rendered {
            Some(rendered) if rendered.status == "True" => None,
            Some(rendered) => Some(check(name, CheckStatus::Failed, &rendered.message)),
            None => Some(check(
                name,
                CheckStatus::Unknown,
                "The renderer has not processed the current generation.",
            )),
        }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, from_value, json};

    fn condition(kind: &str, status: &str, generation: i64, message: &str) -> Json {
        json!({"type": kind, "status": status, "reason": "R", "message": message,
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn policy(conditions: &[Json]) -> ImageAdmissionPolicy {
        from_value(json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": "ImageAdmissionPolicy",
            "metadata": {"name": "p", "generation": 2},
            "spec": {"allowedRepositories": ["a.example/**"]}, "status": {"conditions": conditions}}))
        .unwrap()
    }

    fn deployment(ready: i32) -> Deployment {
        from_value(json!({"metadata": {}, "status": {"readyReplicas": ready},
            "spec": {"replicas": 1, "selector": {}, "template": {}}}))
        .unwrap()
    }

    fn objects<K>(items: Vec<K>) -> Objects<K> {
        Objects {
            items,
            problems: Vec::new(),
        }
    }

    /// What is said about this renderer and these policies.
    fn lines(
        renderer: Lookup<Deployment>,
        policies: Result<Objects<ImageAdmissionPolicy>, String>,
    ) -> Vec<String> {
        lines_with(renderer, Ok(Some(owner())), policies, true)
    }

    fn owner() -> ValidatingWebhookConfiguration {
        ValidatingWebhookConfiguration::default()
    }

    /// The same with what the chart creates for the renderer, and with the webhook or without.
    fn lines_with(
        renderer: Lookup<Deployment>,
        owner: Lookup<ValidatingWebhookConfiguration>,
        policies: Result<Objects<ImageAdmissionPolicy>, String>,
        has_webhook: bool,
    ) -> Vec<String> {
        let images = ImagePolicies {
            renderer,
            owner,
            policies,
            bindings: Ok(objects(Vec::new())),
        };
        let line = |c: Check| format!("{} | {} | {}", c.name, c.status.as_str(), c.message);
        let checks = checks(&images, has_webhook, "bailiff-system");
        checks.into_iter().map(line).collect()
    }

    #[test]
    fn the_renderer_is_needed_only_for_policies() {
        let none = "image-policies | OK | None exist.";
        let bindings = "image-bindings | OK | None exist.";
        let disabled = |policies, has_webhook| {
            let policies = Ok(objects(policies));
            lines_with(Ok(None), Ok(None), policies, has_webhook)
        };
        for has_webhook in [true, false] {
            assert_eq!(
                disabled(Vec::new(), has_webhook),
                ["renderer | OK | It is disabled, and no image policies exist."]
            );
        }
        assert_eq!(
            disabled(vec![policy(&[])], true),
            [
                "renderer | Warning | It is disabled (renderer.enabled=false). While the webhook is down, no image policy is enforced, and the conditions of image policies are not updated. Set the value renderer.enabled to change that."
            ]
        );
        assert_eq!(
            disabled(vec![policy(&[])], false),
            [
                "renderer | Failed | It is disabled (renderer.enabled=false), and so is the webhook, so image policies are not enforced. Set the value renderer.enabled or webhook.enabled, or delete the policies."
            ]
        );
        assert_eq!(
            lines(Ok(Some(deployment(1))), Ok(objects(Vec::new()))),
            ["renderer | OK | 1 of 1 replica is ready.", none, bindings]
        );
        assert_eq!(
            lines(Ok(Some(deployment(0))), Ok(objects(Vec::new())))[0],
            "renderer | Failed | 0 of 1 replica is ready. The API server enforces image policies as they were; changes have no effect. Check the pod with `kubectl -n bailiff-system describe pods -l app.kubernetes.io/component=renderer`."
        );
        assert_eq!(
            lines(Ok(None), Ok(objects(Vec::new())))[0],
            "renderer | Failed | Deployment bailiff-renderer not found in namespace bailiff-system. The API server enforces image policies as they were; changes have no effect. Restore it with `helm upgrade`."
        );
        let without_owner = lines_with(
            Ok(Some(deployment(1))),
            Ok(None),
            Ok(objects(Vec::new())),
            true,
        );
        assert_eq!(
            without_owner[0],
            "renderer | Failed | ValidatingWebhookConfiguration bailiff-renderer not found, so the API server does not enforce image policies. Restore it with `helm upgrade`."
        );
        let unread = Err("forbidden".to_owned());
        assert_eq!(
            lines_with(Ok(None), unread, Ok(objects(Vec::new())), true)[0],
            "renderer | Unknown | The check cannot run. forbidden"
        );
        assert_eq!(
            lines(Err("forbidden".to_owned()), Err("forbidden".to_owned())),
            [
                "renderer | Unknown | The check cannot run. forbidden",
                "image-policies | Unknown | The check cannot run. forbidden",
                bindings
            ]
        );
    }

    #[test]
    fn a_policy_is_ok_only_if_the_api_server_has_its_current_generation() {
        let of = |conditions: &[Json]| {
            let mut lines = lines(
                Ok(Some(deployment(1))),
                Ok(objects(vec![policy(conditions)])),
            );
            lines.pop();
            lines.split_off(1)
        };
        let ready = condition("Ready", "True", 2, "");
        assert_eq!(
            of(&[ready.clone(), condition("Rendered", "True", 2, "")]),
            ["image-policies | OK | 1 exists and is Ready."]
        );
        assert_eq!(
            of(&[
                ready.clone(),
                condition("Rendered", "False", 2, "Rejected.")
            ]),
            [
                "image-policies | OK | 1 exists and is Ready.",
                "imageadmissionpolicy/p | Failed | Rejected."
            ]
        );
        for conditions in [
            vec![ready.clone()],
            vec![ready, condition("Rendered", "True", 1, "")],
        ] {
            assert_eq!(
                of(&conditions)[1],
                "imageadmissionpolicy/p | Unknown | The renderer has not processed the current generation."
            );
        }
        // The cause is the one of Ready, and said once.
        let faulty = [
            condition("Ready", "False", 2, "spec: must have a rule"),
            condition("Rendered", "False", 2, "The policy is not Ready."),
        ];
        assert_eq!(
            of(&faulty),
            ["imageadmissionpolicy/p | Failed | spec: must have a rule"]
        );
        assert_eq!(
            of(&[]),
            ["imageadmissionpolicy/p | Unknown | The renderer has not processed it yet."]
        );
    }
}
