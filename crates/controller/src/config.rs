//! What can be set from outside.
//!
//! Here: values and their defaults. Not here: flags and environment (`crates/bailiff`).
//! Invariant: a leader steps down (`lease_renew`) before others acquire the Lease (`lease_duration`).

use std::net::SocketAddr;
use std::time::Duration;

/// The controller's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Namespace that Bailiff runs in.
    pub namespace: String,
    /// Name of this replica; its pod's name.
    pub identity: String,
    /// Namespaces whose pods are never removed.
    pub exempt_namespaces: Vec<String>,
    /// Namespaces in which pods of critical priority classes are never removed.
    pub critical_namespaces: Vec<String>,
    /// Address of metrics and health.
    pub address: SocketAddr,
    /// Time after which a Lease that is not renewed expires.
    pub lease_duration: Duration,
    /// Time that a leader retries to renew before it steps down. Must be less than `lease_duration`.
    pub lease_renew: Duration,
    /// Interval between attempts to acquire or renew the Lease.
    pub lease_retry: Duration,
    /// Time to wait for a Ready replacement.
    pub replacement_deadline: Duration,
    /// Initial backoff after a `PodDisruptionBudget` blocked an eviction; it doubles.
    pub eviction_initial_backoff: Duration,
    /// Maximum backoff.
    pub eviction_max_backoff: Duration,
    /// Minimum interval between re-evaluations of an Incident whose violations continue.
    pub incident_recheck_interval: Duration,
    /// Interval between updates of the status of policies and bindings, in addition to changes.
    pub status_resync_interval: Duration,
    /// Upper limit of the grace period that a response leaves a pod, in seconds. 1 or more.
    pub max_grace_period_seconds: i64,
    /// Age of the last violation from which a response that waited for a person is no longer due.
    pub response_max_age: Duration,
    /// Removed pods per minute and namespace. 1 or more.
    pub max_evictions_per_minute_per_namespace: u32,
    /// Removed pods per minute in the cluster. 1 or more.
    pub max_evictions_per_minute: u32,
    /// The controller has the permission to delete pods, which the action Delete requires.
    pub allow_pod_deletion: bool,
    /// The webhook is installed, and its certificates are kept current.
    pub webhook: bool,
    /// Age from which a closed Incident is deleted.
    pub retention_max_age: Duration,
    /// Number of Incidents per namespace from which closed ones are deleted. 1 or more.
    pub retention_max_incidents_per_namespace: u32,
    /// Number of Incidents in the cluster from which closed ones are deleted. 1 or more.
    pub retention_max_incidents: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: "bailiff-system".to_owned(),
            identity: "bailiff-controller".to_owned(),
            exempt_namespaces: Vec::new(),
            critical_namespaces: vec!["kube-system".to_owned()],
            address: SocketAddr::from(([0, 0, 0, 0], 8080)),
            lease_duration: Duration::from_secs(15),
            lease_renew: Duration::from_secs(10),
            lease_retry: Duration::from_secs(2),
            replacement_deadline: Duration::from_mins(5),
            eviction_initial_backoff: Duration::from_secs(1),
            eviction_max_backoff: Duration::from_secs(30),
            incident_recheck_interval: Duration::from_secs(30),
            status_resync_interval: Duration::from_secs(30),
            max_grace_period_seconds: 300,
            response_max_age: Duration::from_hours(1),
            max_evictions_per_minute_per_namespace: 10,
            max_evictions_per_minute: 60,
            allow_pod_deletion: false,
            webhook: false,
            retention_max_age: Duration::from_hours(168),
            retention_max_incidents_per_namespace: 1_000,
            retention_max_incidents: 20_000,
        }
    }
}
