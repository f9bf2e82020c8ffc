//! The webhook as a careful operator runs it: pods are rejected while it is down, and it verifies its callers.
//!
//! Here: the installation that these stories share. Not here: the stories, by topic; image policies with the
//! chart's defaults (`images`).
//! Invariant: what a story restarts or replaces is Ready again when it ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is the report of a test"
)]

mod callers;
mod certificates;
mod load;
mod network;
mod restarts;
mod tenants;

use bailiff_e2e::{Story, install_with, registries};
use bailiff_testbed::Cluster;
use serde_json::json;

/// The label of namespaces that use the account of the private registry.
const ACCOUNT: (&str, &str) = ("example.com/registry", "private");

/// The replicas of the webhook.
const REPLICAS: usize = 2;

fn values() -> Vec<String> {
    let cluster = Cluster::running().unwrap();
    let (key, value) = ACCOUNT;
    let selector = json!({"matchLabels": {key: value}});
    let json = [
        ("webhook.failurePolicy", json!("Fail")),
        // A busy machine takes its time, which is not what these stories are about.
        ("webhook.timeoutSeconds", json!(30)),
        (
            "webhook.apiServerCIDRs",
            json!([cluster.api_server_range()]),
        ),
        (
            "webhook.clientCA",
            json!(cluster.webhook_client_ca().unwrap()),
        ),
        ("registries", registries(Some(&selector))),
    ];
    let set = |(key, value)| ["--set-json".to_owned(), format!("{key}={value}")];
    json.into_iter().flat_map(set).collect()
}

/// A story without another at the same time: all of these change the webhook, or count what it is asked.
fn begin_alone(name: &str) -> Story {
    install_with(values);
    let story = Story::begin_alone(name);
    // Replicas of the installation before go on answering for a while.
    story.webhook_settles(REPLICAS);
    story
}
