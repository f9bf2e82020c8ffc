//! The requests that write an Incident.
//!
//! Here: creating one, its series, and what an answer means. Not here: when they are sent
//! (`write`).
//! Invariant: an answer that does not say what became of the Incident is a failure, and the
//! request is sent again.

use super::Entry;
use crate::incident::evidence::{incident, named_bindings};
use crate::judge::Judged;
use bailiff_api::{Incident, Series};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, Patch, PatchParams, PostParams};

/// What is asked of the API server.
pub(super) enum Request {
    Create(Box<Incident>),
    Series(Series),
}

/// What became of it.
pub(super) enum Outcome {
    /// The Incident exists.
    Created,
    /// It was there, and had been counted so often: this sensor was started again.
    WasThere(i64),
    /// Its series says so many.
    Series(i64),
    /// The namespace or its pod is going: nobody is left to be told, the log has it.
    NobodyLeft,
    /// Somebody deleted the Incident: the next violation makes it anew.
    Gone,
    Failed(kube::Error),
}

impl Request {
    pub(super) fn create(judged: &Judged, node: &str) -> Self {
        tracing::info!(
            policy = judged.policy.name, namespace = judged.pod.namespace, pod = judged.pod.name,
            uid = judged.pod.uid, container = judged.container.name, executable = ?judged.process.executable,
            origin = judged.process.origin.as_str(), "violation"
        );
        Self::Create(Box::new(incident(judged, node, judged.time)))
    }

    pub(super) fn series(entry: &Entry) -> Self {
        Self::Series(Series {
            count: entry.count,
            last_observed_time: MicroTime(entry.last),
            policy_generation: entry.policy_generation,
            binding_refs: named_bindings(&entry.bindings),
            first_processes: Vec::new(),
            last_processes: Vec::new(),
        })
    }

    pub(super) async fn send(self, client: kube::Client, namespace: &str, name: &str) -> Outcome {
        let api: Api<Incident> = Api::namespaced(client, namespace);
        match self {
            Self::Create(incident) => create(&api, name, &incident).await,
            Self::Series(series) => write_series(&api, name, &series).await,
        }
    }
}

async fn create(api: &Api<Incident>, name: &str, incident: &Incident) -> Outcome {
    match api.create(&PostParams::default(), incident).await {
        Ok(_) => Outcome::Created,
        Err(kube::Error::Api(status)) if status.code == 409 => {
            // A sensor may not read Incidents; the answer to a write that says nothing is the object.
            let nothing = Patch::Merge(serde_json::json!({}));
            match api
                .patch_status(name, &PatchParams::default(), &nothing)
                .await
            {
                Ok(found) => {
                    let series = found.status.and_then(|status| status.series);
                    Outcome::WasThere(series.map_or(1, |series| series.count))
                }
                Err(error) => Outcome::Failed(error),
            }
        }
        Err(kube::Error::Api(status))
            if status.code == 404
                || status.code == 403 && status.message.contains("being terminated") =>
        {
            Outcome::NobodyLeft
        }
        Err(error) => Outcome::Failed(error),
    }
}

async fn write_series(api: &Api<Incident>, name: &str, series: &Series) -> Outcome {
    let patch = serde_json::json!({"status": {"series": series}});
    match api
        .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(_) => Outcome::Series(series.count),
        Err(kube::Error::Api(status)) if status.code == 404 => Outcome::Gone,
        Err(error) => Outcome::Failed(error),
    }
}
