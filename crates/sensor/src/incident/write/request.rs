//! The requests that write an Incident.
//!
//! Here: creating one, its series, and what an answer means. Not here: when they are sent
//! (`write`).
//! Invariant: an answer that does not tell what became of the Incident is a failure, and the
//! request is sent again; one that will not change is a rejection, and it is not. That the kind does not exist, or is
//! terminating, can change: its definition can be installed again.

use super::entry::Entry;
use crate::incident::evidence::process_room;
use crate::incident::processes::Room;
use bailiff_api::{Incident, IncidentSpec, Series};
use bailiff_kube::decode::Decoded;
use kube::Resource as _;
use kube::api::{self, Patch, PatchParams, PostParams};
use kube::core::Status;
use serde::de::Error as _;
use serde_json::Value;

/// What is asked of the API server.
pub(super) enum Request {
    Create(Box<Incident>),
    /// Whether it exists: a sensor that was restarted does not know.
    Find(Box<Incident>),
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
    AlreadyExists {
        spec: Box<IncidentSpec>,
        count: i64,
        series: Option<Box<Series>>,
    },
    /// It does not exist, or is another sensor's.
    Absent,
    /// Whether it exists cannot be determined.
    Unfindable(Box<kube::Error>),
    /// It has this series.
    Updated(Box<Series>),
    /// The Incident was deleted: the next violation creates it again.
    NotFound,
    /// The API server does not accept an Incident in this namespace: a quota, a webhook, a namespace
    /// that is terminating or gone, missing permissions, a field that is not valid.
    Rejected(Box<kube::Error>),
    /// It does not accept this update; the Incident stays as it is.
    UpdateRejected(Box<kube::Error>),
    /// It may be accepted later.
    Failed(Box<kube::Error>),
}

impl Request {
    /// What brings the Incident of an entry up to date, of which something is not written. Where its namespace
    /// is `full`, an audited one is not created.
    ///
    /// # Errors
    /// If its evidence is none, by a defect.
    pub(super) fn of(entry: &Entry, full: bool) -> Result<Self, serde_json::Error> {
        if entry.exists() {
            return Ok(Self::Update(Box::new(entry.series())));
        }
        let evidence = entry.evidence.as_ref();
        let evidence = evidence.ok_or_else(|| serde_json::Error::custom("it has no evidence"))?;
        let mut created = evidence.decode()?;
        created.metadata.namespace = Some(entry.namespace.clone());
        let created = Box::new(created);
        Ok(if full && entry.gives_way() {
            Self::Find(created)
        } else {
            Self::Create(created)
        })
    }

    pub(super) async fn send(self, client: kube::Client, namespace: &str, name: &str) -> Outcome {
        match self {
            Self::Create(incident) => create(&client, namespace, *incident).await,
            Self::Find(incident) => find(&client, namespace, name, &incident.spec).await,
            Self::Update(series) => update(&client, namespace, name, series).await,
        }
    }
}

async fn create(client: &kube::Client, namespace: &str, incident: Incident) -> Outcome {
    let name = incident.metadata.name.as_deref().unwrap_or_default();
    let sent = serde_json::to_vec(&incident).map_err(kube::Error::SerdeError);
    let request = sent.and_then(|body| {
        let request = incidents(namespace).create(&PostParams::default(), body);
        request.map_err(kube::Error::BuildRequest)
    });
    match send(client, request).await {
        Ok(_) => Outcome::Created {
            room: process_room(&incident.spec),
            written: Box::new(incident.spec),
        },
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
            match read(client, namespace, name).await {
                Ok(text) => match already_exists(&text, &incident.spec) {
                    Some(found) => found,
                    None => Outcome::Rejected(Box::new(kube::Error::Api(status))),
                },
                Err(error) => Outcome::Failed(Box::new(error)),
            }
        }
        Err(kube::Error::Api(status)) if is_rejection(&status) => {
            Outcome::Rejected(Box::new(kube::Error::Api(status)))
        }
        Err(error) => Outcome::Failed(Box::new(error)),
    }
}

/// Whether this sensor has the Incident already.
async fn find(client: &kube::Client, namespace: &str, name: &str, ours: &IncidentSpec) -> Outcome {
    match read(client, namespace, name).await {
        Ok(text) => already_exists(&text, ours).unwrap_or(Outcome::Absent),
        Err(kube::Error::Api(status)) if is_object_missing(&status) => Outcome::Absent,
        Err(kube::Error::Api(status)) if is_rejection(&status) => {
            Outcome::Unfindable(Box::new(kube::Error::Api(status)))
        }
        Err(error) => Outcome::Failed(Box::new(error)),
    }
}

/// The text of an Incident. A sensor cannot read Incidents; the response to an update without a change
/// is the object.
async fn read(client: &kube::Client, namespace: &str, name: &str) -> Result<String, kube::Error> {
    let nothing = serde_json::json!({});
    send(client, patch_status(namespace, name, &nothing)).await
}

/// What is known of an Incident that exists; none where it is of another sensor. A newer version of Bailiff
/// may have written what this one cannot decode: that counts as what this one would have written.
fn already_exists(text: &str, ours: &IncidentSpec) -> Option<Outcome> {
    let raw: Value = serde_json::from_str(text).unwrap_or_default();
    if raw["spec"]["nodeName"].as_str() != Some(ours.node_name.as_str()) {
        return None;
    }
    let found = Decoded::<Incident>::from_text(text).into_result();
    let series = &raw["status"]["series"];
    if series.is_null()
        && let Ok(found) = &found
        && (&found.spec.exec_time, &found.spec.process) == (&ours.exec_time, &ours.process)
    {
        // An earlier request created it, whose response was lost.
        return Some(Outcome::Created {
            room: process_room(ours),
            written: Box::new(ours.clone()),
        });
    }
    let spec = found.map_or_else(|_| ours.clone(), |found| found.spec);
    Some(Outcome::AlreadyExists {
        spec: Box::new(spec),
        count: series["count"].as_i64().unwrap_or(1),
        series: serde_json::from_value(series.clone()).ok(),
    })
}

/// Whether the same request would be answered alike. The codes of a webhook are its own; one that does
/// not answer, and fails for that, holds up nothing either.
fn is_rejection(status: &Status) -> bool {
    let by_webhook = status.message.contains("admission webhook")
        || status.message.contains("failed calling webhook");
    // 405: the kind's definition is being deleted (k8s.io/apiextensions-apiserver v0.37,
    // `pkg/apiserver/customresource_handler.go`). No other request of a sensor has this answer.
    by_webhook || matches!(status.code, 400 | 403 | 410 | 413 | 422) || is_object_missing(status)
}

/// Whether a namespace or an Incident does not exist. Another 404 is about the kind, which no definition has.
fn is_object_missing(status: &Status) -> bool {
    let objects = ["namespaces \"", "incidents.bailiff.dev \""];
    let named = objects
        .iter()
        .any(|object| status.message.starts_with(object));
    let details = status.details.as_ref();
    let kind = details.map(|details| details.kind.as_str());
    status.code == 404 && (named || matches!(kind, Some("namespaces" | "incidents")))
}

async fn update(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    series: Box<Series>,
) -> Outcome {
    let patch = serde_json::json!({"status": {"series": series}});
    match send(client, patch_status(namespace, name, &patch)).await {
        Ok(_) => Outcome::Updated(series),
        Err(kube::Error::Api(status)) if is_object_missing(&status) => Outcome::NotFound,
        Err(kube::Error::Api(status)) if is_rejection(&status) => {
            Outcome::UpdateRejected(Box::new(kube::Error::Api(status)))
        }
        Err(error) => Outcome::Failed(Box::new(error)),
    }
}

fn incidents(namespace: &str) -> api::Request {
    api::Request::new(Incident::url_path(&(), Some(namespace)))
}

type Built = Result<http::Request<Vec<u8>>, kube::Error>;

fn patch_status(namespace: &str, name: &str, patch: &Value) -> Built {
    let patch = Patch::Merge(patch);
    incidents(namespace)
        .patch_subresource("status", name, &PatchParams::default(), &patch)
        .map_err(kube::Error::BuildRequest)
}

/// The text of what the API server accepted: that it did counts, and not what the object is.
async fn send(client: &kube::Client, request: Built) -> Result<String, kube::Error> {
    client.request_text(request?).await
}
