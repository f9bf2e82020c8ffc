//! Asks the API server to take a pod away, and reads what it says.
//!
//! Here: the two requests and the meaning of their results. Not here: whether to ask, and how
//! often (`answer`).
//! Invariant: a request names the pod's UID; only a 2xx is `Accepted`.

use super::Controller;
use bailiff_api::Incident;
use bailiff_response::{Answer, NothingReason};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::core::Status;

/// What the API server said to an eviction.
pub(super) enum Said {
    Accepted(Timestamp),
    Budget(Option<String>),
    Final(NothingReason),
    Unclear(String),
}

impl Controller {
    /// kube's own `evict` spells the delete options so that the API server ignores them, and
    /// with them the UID.
    pub(super) async fn evict(&self, incident: &Incident, answer: &Answer) -> Said {
        let name = &incident.spec.pod.name;
        let eviction = Eviction {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: incident.metadata.namespace.clone(),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                grace_period_seconds: answer.grace_period_seconds.map(i64::from),
                preconditions: Some(Preconditions {
                    uid: Some(incident.spec.pod.uid.clone()),
                    resource_version: None,
                }),
                ..DeleteOptions::default()
            }),
        };
        let sent: Result<Status, _> = self
            .pods(incident)
            .create_subresource("eviction", name, &PostParams::default(), &eviction)
            .await;
        said(sent.map(drop))
    }

    pub(super) async fn delete(&self, incident: &Incident, answer: &Answer) -> Said {
        let params = DeleteParams {
            grace_period_seconds: answer.grace_period_seconds,
            preconditions: Some(kube::api::Preconditions {
                uid: Some(incident.spec.pod.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let sent = self
            .pods(incident)
            .delete(&incident.spec.pod.name, &params)
            .await;
        said(sent.map(drop))
    }

    fn pods(&self, incident: &Incident) -> Api<Pod> {
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn said(sent: Result<(), kube::Error>) -> Said {
    let status = match sent {
        Ok(()) => return Said::Accepted(Timestamp::now()),
        Err(kube::Error::Api(status)) => status,
        Err(_) => return Said::Unclear("the API server does not answer".to_owned()),
    };
    match status.code {
        404 | 409 | 410 => Said::Final(NothingReason::PodGone),
        429 => {
            let causes = status.details.iter().flat_map(|d| &d.causes);
            let mut budgets = causes.filter(|c| c.reason == "DisruptionBudget").peekable();
            if budgets.peek().is_none() {
                return Said::Unclear("the API server is busy".to_owned());
            }
            Said::Budget(budgets.find_map(|c| budget_name(&c.message)))
        }
        // The words of the API server's eviction handler, which has no reason for this.
        500 if status.message.contains("more than one PodDisruptionBudget") => {
            Said::Final(NothingReason::SeveralDisruptionBudgets)
        }
        400..=499 => Said::Final(NothingReason::Refused(status.message)),
        _ => Said::Unclear(format!("the API server failed: {}", status.message)),
    }
}

/// From `The disruption budget NAME needs …`.
fn budget_name(text: &str) -> Option<String> {
    let rest = text.split_once("disruption budget ")?.1;
    rest.split_whitespace().next().map(str::to_owned)
}
