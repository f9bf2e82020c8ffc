//! When a pass is made: at the start, after each change, and now and then.
//!
//! Here: watches, pauses, probes. Not here: a pass (`apply`).
//! Invariant: a pass reads everything again, so that a missed event delays at most by [`RESYNC`].

use crate::apply::{Pass, Reported, pass};
use crate::metrics::Metrics;
use crate::plan::Settings;
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding, keys};
use bailiff_kube::decode::Decoded;
use bailiff_kube::serve::{self, Health};
use bailiff_kube::watch;
use bailiff_policy::image::{Exemptions, Mode};
use futures::stream::{self, BoxStream, StreamExt as _};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What a change waits for others that come with it, as from `kubectl apply` of a directory.
const SETTLE: Duration = Duration::from_millis(200);
/// How soon a pass that failed is repeated, at least and at most. Changes do not make it sooner: the
/// status that a pass writes is one.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_LIMIT: Duration = Duration::from_mins(5);
/// How often a pass is made without a change.
const RESYNC: Duration = Duration::from_mins(10);
/// How long a pass can last.
const PASS_LIMIT: Duration = Duration::from_mins(2);

/// Configuration of the renderer.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of metrics and health.
    pub address: SocketAddr,
    /// What is rendered, and how.
    pub settings: Settings,
}

impl Config {
    /// The configuration for a namespace that Bailiff runs in, with namespaces that are exempt besides
    /// that one and kube-system: a policy that denies their pods could not be repaired from within.
    #[must_use]
    pub fn new(
        address: SocketAddr,
        namespace: &str,
        exempt: Vec<String>,
        webhook: bool,
        mode: Mode,
    ) -> Self {
        let always = [keys::ALWAYS_EXEMPT_NAMESPACE, namespace].map(str::to_owned);
        let namespaces: BTreeSet<_> = exempt
            .into_iter()
            .filter(|name| !name.is_empty())
            .chain(always)
            .collect();
        Self {
            address,
            settings: Settings {
                exempt: Exemptions {
                    namespaces: namespaces.into_iter().collect(),
                },
                webhook,
                mode,
            },
        }
    }
}

/// Why the renderer cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Metrics and health.
    #[error("cannot serve metrics and health")]
    Serve(#[from] serve::ServeError),
}

/// Runs until `shutdown`.
///
/// # Errors
/// When metrics and health cannot be served.
pub async fn run(config: Config, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let health = Health::default();
    let serving = serve::serve(config.address, Arc::new(registry), health.clone(), shutdown);
    tokio::select! {
        // It ends with `shutdown`.
        served = serving => Ok(served?),
        () = render(&config.settings, client, &metrics, &health) => Ok(()),
    }
}

async fn render(settings: &Settings, client: Client, metrics: &Metrics, health: &Health) {
    let heartbeat = health.register_loop("passes", PASS_LIMIT + RESYNC);
    let mut changes = stream::select_all([
        changes::<ImageAdmissionPolicy>(&client, metrics),
        changes::<ImageAdmissionPolicyBinding>(&client, metrics),
        changes::<ValidatingAdmissionPolicy>(&client, metrics),
        changes::<ValidatingAdmissionPolicyBinding>(&client, metrics),
    ]);
    let mut reported = Reported::default();
    let mut next = Instant::now();
    let mut earliest = next;
    let mut pause = RETRY;
    loop {
        heartbeat.beat();
        tokio::select! {
            change = changes.next() => {
                if change.is_some() {
                    next = next.min(earliest.max(Instant::now() + SETTLE));
                }
                continue;
            }
            () = sleep_until(next) => {}
        }
        let passing = pass(&client, settings, metrics, &mut reported);
        let complete = match tokio::time::timeout(PASS_LIMIT, passing).await {
            Ok(Ok(pass)) => {
                // A policy that the API server rejects must not stop a rollout.
                health.set_ready(true);
                match pass {
                    Pass::Complete => true,
                    Pass::Incomplete | Pass::Uninstalling => false,
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "Cannot read policies and rendered objects");
                false
            }
            Err(_) => {
                tracing::warn!("Did not complete a pass within {} s", PASS_LIMIT.as_secs());
                false
            }
        };
        let now = Instant::now();
        if complete {
            (next, earliest, pause) = (now + RESYNC, now, RETRY);
        } else {
            (next, earliest) = (now + pause, now + RETRY);
            pause = RETRY_LIMIT.min(pause * 2);
        }
    }
}

/// One item for each change of an object of a kind.
fn changes<K>(client: &Client, metrics: &Metrics) -> BoxStream<'static, ()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<Decoded<K>>::all(client.clone());
    let config = watcher::Config::default();
    watch::objects(api, config, &metrics.undecodable)
        .map(drop)
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_and_kube_system_are_always_exempt() {
        let address = "[::]:8080".parse().unwrap();
        let names = |given: &[&str]| {
            let given = given.iter().map(|&name| name.to_owned()).collect();
            let config = Config::new(address, "security", given, true, Mode::Enforce);
            config.settings.exempt.namespaces
        };
        assert_eq!(names(&[""]), ["kube-system", "security"]);
        assert_eq!(
            names(&["cni", "kube-system"]),
            ["cni", "kube-system", "security"]
        );
    }
}
