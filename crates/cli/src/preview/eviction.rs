//! The API server's decision about an eviction, with a dry run.
//!
//! Here: the permission and the request. Not here: what a rejection leads to (`bailiff_response`).
//! Invariant: nothing is evicted: every request has `dryRun: All`; what could not be checked is an
//! error.

use bailiff_response::{Forbidden, Rejection};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client};

/// An eviction that does not happen.
pub(super) struct DryRun<'a> {
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) uid: &'a str,
    pub(super) grace_period_seconds: Option<u32>,
}

impl DryRun<'_> {
    /// Sends the request. `Ok(None)`: the API server would accept the eviction.
    ///
    /// # Errors
    /// Why the decision is not known, for people.
    pub(super) async fn send(&self, client: &Client) -> Result<Option<Rejection>, String> {
        let namespace = self.namespace;
        // The rejection of a user without the permission says nothing about the controller's request.
        if !may_evict(client, namespace).await? {
            return Err(format!(
                "you do not have the permission to create pods/eviction in namespace {namespace}"
            ));
        }
        let dry_run = Some(vec!["All".to_owned()]);
        let eviction = Eviction {
            metadata: ObjectMeta {
                name: Some(self.pod.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                dry_run,
                grace_period_seconds: self.grace_period_seconds.map(i64::from),
                preconditions: Some(Preconditions {
                    uid: Some(self.uid.to_owned()),
                    resource_version: None,
                }),
                ..DeleteOptions::default()
            }),
        };
        let parameters = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let sent: Result<Status, _> = pods
            .create_subresource("eviction", self.pod, &parameters, &eviction)
            .await;
        match sent {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) => {
                let status = serde_json::to_value(&status).and_then(serde_json::from_value);
                let status =
                    status.map_err(|error| format!("cannot decode the response: {error}"))?;
                // The user has the permission, and so a 403 is of admission.
                let rejection = Rejection::of(&status);
                Ok(Some(rejection.unwrap_or_else(Forbidden::by_admission)))
            }
            Err(error) => Err(format!("the API server is unavailable: {error}")),
        }
    }
}

/// Whether the user can evict pods in a namespace.
async fn may_evict(client: &Client, namespace: &str) -> Result<bool, String> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some("create".to_owned()),
                resource: Some("pods".to_owned()),
                subresource: Some("eviction".to_owned()),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let reviewed = reviews.create(&PostParams::default(), &review).await;
    let reviewed = reviewed.map_err(|error| format!("cannot check your permissions: {error}"))?;
    Ok(reviewed.status.is_some_and(|status| status.allowed))
}
