//! Checks of image policies, their bindings, and the renderer, which writes them for the API server.
//!
//! Here: the requests, the results and their messages. Not here: the webhook.
//! Invariant: a policy is OK only if the API server has its current generation; what could not be read is
//! `Unknown`.

use super::checks::{Check, CheckStatus, HasConditions, Lookup, check, name_of, ready, unknown};
use crate::cause;
use crate::objects::{self, Objects};
use bailiff_api::condition::{ready as reasons, types};
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{Api, Client};

/// What was read.
pub(super) struct ImagePolicies {
    pub(super) renderer: Lookup<Deployment>,
    pub(super) policies: Result<Objects<ImageAdmissionPolicy>, String>,
    pub(super) bindings: Result<Objects<ImageAdmissionPolicyBinding>, String>,
}

impl ImagePolicies {
    /// Reads all of it at once.
    pub(super) async fn read(client: &Client, namespace: &str) -> Self {
        let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
        let (renderer, policies, bindings) = futures::join!(
            deployments.get_opt("bailiff-renderer"),
            objects::list_all(client),
            objects::list_all(client),
        );
        Self {
            renderer: renderer.map_err(|error| cause(&error)),
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
pub(super) fn checks(images: &ImagePolicies, namespace: &str) -> Vec<Check> {
    let mut checks = vec![renderer(images, namespace)];
    let (policies, bindings) = ("imageadmissionpolicy", "imageadmissionpolicybinding");
    checks.extend(ready("image-policies", policies, &images.policies));
    checks.extend(not_rendered(&images.policies));
    checks.extend(ready("image-bindings", bindings, &images.bindings));
    checks
}

fn renderer(images: &ImagePolicies, namespace: &str) -> Check {
    let name = "renderer";
    let deployment = match &images.renderer {
        Ok(Some(deployment)) => deployment,
        Ok(None) if images.is_used() => {
            let message = format!(
                "Deployment bailiff-renderer not found in namespace {namespace}, so the API server does not enforce image policies. Set the value renderer.enabled, or delete the policies."
            );
            return check(name, CheckStatus::Failed, &message);
        }
        Ok(None) => {
            let message = "It is disabled, and no image policies exist.";
            return check(name, CheckStatus::Ok, message);
        }
        Err(cause) => return unknown(name, cause),
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
        let images = ImagePolicies {
            renderer,
            policies,
            bindings: Ok(objects(Vec::new())),
        };
        let line = |c: Check| format!("{} | {} | {}", c.name, c.status.as_str(), c.message);
        let checks = checks(&images, "bailiff-system");
        checks.into_iter().map(line).collect()
    }

    #[test]
    fn the_renderer_is_needed_only_for_policies() {
        let none = "image-policies | OK | None exist.";
        let bindings = "image-bindings | OK | None exist.";
        assert_eq!(
            lines(Ok(None), Ok(objects(Vec::new()))),
            [
                "renderer | OK | It is disabled, and no image policies exist.",
                none,
                bindings
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
            lines(Ok(None), Ok(objects(vec![policy(&[])])))[0],
            "renderer | Failed | Deployment bailiff-renderer not found in namespace bailiff-system, so the API server does not enforce image policies. Set the value renderer.enabled, or delete the policies."
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
