//! Asks the API server to take a pod away, and reads what it says.
//!
//! Here: the two requests and the meaning of their results. Not here: whether to ask, and how
//! often (`answer`).
//! Invariant: a request names the pod's UID; only a 2xx is `Accepted`.

use super::Controller;
use super::memory::Asked;
use bailiff_api::{Incident, ResponseAction};
use bailiff_response::{NoActionReason, PodRemoval};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::core::Status;

/// What the API server said to an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Accepted(Timestamp),
    Budget(Option<String>),
    Final(NoActionReason),
    /// Something else changed the pod at the same time, or another pod has its name now.
    Conflict,
    /// It was not done, and is to be tried again; why.
    Busy(String),
    /// It may have been done; what is known.
    Unclear(String),
}

impl Controller {
    pub(super) async fn ask(&self, incident: &Incident, asked: &Asked) -> Said {
        match asked.action {
            ResponseAction::Delete => self.delete(incident, &asked.answer).await,
            ResponseAction::Evict | ResponseAction::Audit => {
                self.evict(incident, &asked.answer).await
            }
        }
    }

    /// kube's own `evict` spells the delete options so that the API server ignores them, and
    /// with them the UID.
    async fn evict(&self, incident: &Incident, answer: &PodRemoval) -> Said {
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

    async fn delete(&self, incident: &Incident, answer: &PodRemoval) -> Said {
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
        404 | 410 => Said::Final(NoActionReason::PodNotFound),
        // Another UID, but also a live pod that was changed too often meanwhile
        // (k8s.io/kubernetes v1.37, pkg/registry/core/pod/storage/eviction.go): reading it again
        // tells which.
        409 => Said::Conflict,
        401 | 408 => Said::Busy(format!("the API server refused: {}", status.message)),
        429 => {
            let causes = status.details.iter().flat_map(|d| &d.causes);
            let mut budgets = causes.filter(|c| c.reason == "DisruptionBudget").peekable();
            if budgets.peek().is_none() {
                return Said::Busy("the API server is busy".to_owned());
            }
            Said::Budget(budgets.find_map(|c| budget_name(&c.message)))
        }
        // The words of the API server's eviction handler, which has no reason for this.
        500 if status.message.contains("more than one PodDisruptionBudget") => {
            Said::Final(NoActionReason::MultipleDisruptionBudgets)
        }
        400..=499 => Said::Final(NoActionReason::RequestRejected(status.message)),
        _ => Said::Unclear(format!("the API server failed: {}", status.message)),
    }
}

/// From `The disruption budget NAME needs …`.
fn budget_name(text: &str) -> Option<String> {
    let rest = text.split_once("disruption budget ")?.1;
    rest.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn failed(code: u16, message: &str, causes: &Value) -> Said {
        let status: Status = serde_json::from_value(json!({
            "status": "Failure", "message": message, "code": code, "details": {"causes": causes},
        }))
        .unwrap();
        said(Err(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn what_the_api_server_says_is_understood() {
        let budget = json!([{"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods and has 2 currently"}]);
        let other = json!([{"reason": "DisruptionBudget", "message": "in other words"}]);
        let none = json!([]);
        for (code, message, causes, want) in [
            (
                404,
                "not found",
                &none,
                Said::Final(NoActionReason::PodNotFound),
            ),
            (410, "gone", &none, Said::Final(NoActionReason::PodNotFound)),
            (409, "the UID in the precondition", &none, Said::Conflict),
            (
                401,
                "Unauthorized",
                &none,
                Said::Busy("the API server refused: Unauthorized".to_owned()),
            ),
            (429, "x", &budget, Said::Budget(Some("web".to_owned()))),
            (429, "x", &other, Said::Budget(None)),
            (
                429,
                "x",
                &none,
                Said::Busy("the API server is busy".to_owned()),
            ),
            (
                500,
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                &none,
                Said::Final(NoActionReason::MultipleDisruptionBudgets),
            ),
            (
                500,
                "etcd is away",
                &none,
                Said::Unclear("the API server failed: etcd is away".to_owned()),
            ),
            (
                504,
                "too slow",
                &none,
                Said::Unclear("the API server failed: too slow".to_owned()),
            ),
            (
                403,
                "no",
                &none,
                Said::Final(NoActionReason::RequestRejected("no".to_owned())),
            ),
        ] {
            assert_eq!(failed(code, message, causes), want, "{code} {message}");
        }
        let cut = said(Err(kube::Error::Service("cut".into())));
        let want = Said::Unclear("the API server does not answer".to_owned());
        assert_eq!(cut, want);
    }
}
