//! Deletes closed Incidents by age and number.
//!
//! Here: what is known of closed Incidents, and deleting them. Not here: which are deleted
//! (`bailiff_response::retention`).
//! Invariant: one deletion run at a time; each names the UID, and so never deletes a newer Incident.

use crate::reconcile::Controller;
use bailiff_api::Incident;
use bailiff_response::Key;
use bailiff_response::retention::{Closed, RetentionSettings, expired};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Interval between searches for closed Incidents to delete.
const INTERVAL: Duration = Duration::from_mins(1);
/// Most Incidents that one run deletes: the API server has other things to do.
const RUN_LIMIT: usize = 500;

/// What is known of closed Incidents.
pub(crate) struct Retention {
    client: Client,
    settings: RetentionSettings,
    closed: BTreeMap<String, Closed>,
    next: Instant,
    running: Option<JoinHandle<()>>,
}

impl Retention {
    pub(crate) fn new(controller: &Controller) -> Self {
        let config = controller.config();
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Self {
            client: controller.client().clone(),
            settings: RetentionSettings {
                max_age: SignedDuration::try_from(config.retention_max_age)
                    .unwrap_or(SignedDuration::MAX),
                max_per_namespace: number(config.retention_max_incidents_per_namespace),
                max_in_cluster: number(config.retention_max_incidents),
            },
            closed: BTreeMap::new(),
            next: Instant::now() + INTERVAL,
            running: None,
        }
    }

    /// Learns of an Incident as the watch brings it, with its managed fields.
    pub(crate) fn observe(&mut self, incident: &Incident) {
        let uid = incident.metadata.uid.clone().unwrap_or_default();
        match Closed::of(incident) {
            Some(closed) => {
                self.closed.insert(uid, closed);
            }
            None => self.deleted(&uid),
        }
    }

    /// An Incident was deleted, by UID.
    pub(crate) fn deleted(&mut self, uid: &str) {
        self.closed.remove(uid);
    }

    /// All Incidents that exist, by UID.
    pub(crate) fn relisted(&mut self, present: &BTreeSet<String>) {
        self.closed.retain(|uid, _| present.contains(uid));
    }

    /// Begins to delete what is expired, now and then.
    pub(crate) fn tick(&mut self) {
        let busy = self.running.as_ref().is_some_and(|run| !run.is_finished());
        if busy || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + INTERVAL;
        let closed: Vec<_> = self.closed.values().cloned().collect();
        let mut keys = expired(&closed, &self.settings, Timestamp::now());
        keys.truncate(RUN_LIMIT);
        if !keys.is_empty() {
            self.running = Some(tokio::spawn(delete(self.client.clone(), keys)));
        }
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

async fn delete(client: Client, keys: Vec<Key>) {
    let mut deleted = 0_u32;
    for key in keys {
        let api = Api::<Incident>::namespaced(client.clone(), &key.namespace);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(key.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api.delete(&key.name, &params).await {
            Ok(_) | Err(kube::Error::SerdeError(_)) => deleted += 1,
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => {
                tracing::warn!(%error, incident = key.name, namespace = key.namespace, "Cannot delete an expired Incident");
            }
        }
    }
    tracing::info!(deleted, "Deleted expired Incidents");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::testing::{INCIDENT, World, incident};
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn what_is_expired_is_deleted_by_its_uid_and_what_is_open_is_not() {
        let delete = Call::delete(INCIDENT).with(json!({"preconditions": {"uid": "inc-uid"}}));
        let (server, client) = ApiServer::playing([vec![delete]]);
        let (controller, _recovering) = World::new().controller(client, Config::default());
        let mut retention = Retention::new(&controller);
        let closed = incident(&json!({"conditions": [
            {"type": "Responded", "status": "True", "reason": "AuditOnly", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Recovered", "status": "True", "reason": "NothingToReplace", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ]}));
        let mut open = incident(&json!({}));
        open.metadata.uid = Some("open".to_owned());
        retention.observe(&closed);
        retention.observe(&open);
        retention.tick();
        assert!(retention.running.is_none(), "not at once");
        tokio::time::advance(INTERVAL).await;
        retention.tick();
        retention.running.take().unwrap().await.unwrap();
        server.finish();
    }
}
