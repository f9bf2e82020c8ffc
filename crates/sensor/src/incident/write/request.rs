//! The requests that write an Incident.
//!
//! Here: creating one, its series, and what an answer means. Not here: when they are sent
//! (`write`).
//! Invariant: an answer that does not tell what became of the Incident is a failure, and the
//! request is sent again; one that will not change is a rejection, and it is not.

use super::entries::Entry;
use crate::incident::evidence::{incident, process_room};
use crate::incident::processes::Room;
use bailiff_api::{Incident, IncidentSpec, Series};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::Status;

/// What is asked of the API server.
pub(super) enum Request {
    Create(Box<Incident>),
    Update(Box<Series>),
}

/// What became of it.
pub(super) enum Outcome {
    /// The Incident exists with this spec, and has this room for further processes.
    Created {
        written: Box<IncidentSpec>,
        room: Room,
    },
    /// It existed: this sensor was started again.
    AlreadyExists(Box<Incident>),
    /// Its series has this count.
    Updated(i64),
    /// Somebody deleted the Incident: the next violation creates it anew.
    NotFound,
    /// The API server does not accept an Incident in this namespace: a quota, a webhook, a namespace
    /// that is terminating or gone, missing permissions, a field that is not valid.
    Rejected(Box<kube::Error>),
    /// It may be accepted later.
    Failed(Box<kube::Error>),
}

impl Request {
    /// What brings the Incident of an entry up to date; none where nothing does.
    pub(super) fn of(entry: &Entry, node: &str) -> Option<Self> {
        if entry.exists() {
            return Some(Self::Update(Box::new(entry.series())));
        }
        let finding = entry.evidence.as_ref()?;
        let mut created = incident(finding, node, finding.time);
        created.metadata.namespace = Some(entry.namespace.clone());
        Some(Self::Create(Box::new(created)))
    }

    pub(super) async fn send(self, client: kube::Client, namespace: &str, name: &str) -> Outcome {
        let api: Api<Incident> = Api::namespaced(client, namespace);
        match self {
            Self::Create(incident) => create(&api, name, *incident).await,
            Self::Update(series) => update(&api, name, &series).await,
        }
    }
}

async fn create(api: &Api<Incident>, name: &str, incident: Incident) -> Outcome {
    match api.create(&PostParams::default(), &incident).await {
        Ok(_) => Outcome::Created {
            room: process_room(&incident.spec),
            written: Box::new(incident.spec),
        },
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
            // A sensor cannot read Incidents; the response to an update without a change is the object.
            let nothing = Patch::Merge(serde_json::json!({}));
            match api
                .patch_status(name, &PatchParams::default(), &nothing)
                .await
            {
                Ok(found) if found.spec.node_name == incident.spec.node_name => {
                    Outcome::AlreadyExists(Box::new(found))
                }
                Ok(_) => Outcome::Rejected(Box::new(kube::Error::Api(status))),
                Err(error) => Outcome::Failed(Box::new(error)),
            }
        }
        Err(kube::Error::Api(status)) if is_rejection(&status) => {
            Outcome::Rejected(Box::new(kube::Error::Api(status)))
        }
        Err(error) => Outcome::Failed(Box::new(error)),
    }
}

/// Whether the same request would be answered alike. The codes of a webhook are its own; one that does
/// not answer, and fails for that, holds up nothing either.
fn is_rejection(status: &Status) -> bool {
    let by_webhook = status.message.contains("admission webhook")
        || status.message.contains("failed calling webhook");
    by_webhook || matches!(status.code, 400 | 403 | 404 | 405 | 410 | 413 | 422)
}

async fn update(api: &Api<Incident>, name: &str, series: &Series) -> Outcome {
    let patch = serde_json::json!({"status": {"series": series}});
    match api
        .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(_) => Outcome::Updated(series.count),
        Err(kube::Error::Api(status)) if status.code == 404 => Outcome::NotFound,
        Err(error) => Outcome::Failed(Box::new(error)),
    }
}
