//! When a pass is made: at the start, after each change, and now and then.
//!
//! Here: watches, pauses, probes. Not here: a pass (`apply`).
//! Invariant: a pass reads everything again, so that a missed event delays at most by [`RESYNC`].

use crate::apply::{Pass, Reported, pass};
use crate::metrics::Metrics;
use crate::plan::Settings;
use crate::platform::{self, Reading};
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding, exempt_namespaces, keys};
use bailiff_kube::decode::Decoded;
use bailiff_kube::list_watch::{ListWatch, ListWatchError, ObjectEvent};
use bailiff_kube::serve::{self, Health};
use bailiff_kube::watch::{self, Event};
use bailiff_policy::image::{Exemptions, Mode, RENDERED_PREFIX};
use futures::stream::{self, BoxStream, StreamExt as _};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt as _};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What a change waits for others that come with it, as from `kubectl apply` of a directory.
const SETTLE: Duration = Duration::from_millis(200);
/// How soon a pass that failed is repeated, at least and at most. Changes do not make it sooner: the
/// status that a pass writes is one. A pass that wrote is followed by another as soon as [`SETTLE`], and by later ones
/// with pauses that double to the same limit: another tool overwrites what is written.
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
    /// that one and kube-system.
    #[must_use]
    pub fn new(
        address: SocketAddr,
        namespace: &str,
        exempt: &[String],
        webhook: bool,
        mode: Mode,
    ) -> Self {
        let namespaces = exempt_namespaces(namespace, exempt.iter().map(String::as_str));
        Self {
            address,
            settings: Settings {
                namespace: namespace.to_owned(),
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
        changes::<ImageAdmissionPolicy>(&client, metrics, ""),
        changes::<ImageAdmissionPolicyBinding>(&client, metrics, ""),
        changes::<ValidatingAdmissionPolicy>(&client, metrics, RENDERED_PREFIX),
        changes::<ValidatingAdmissionPolicyBinding>(&client, metrics, RENDERED_PREFIX),
        owner_changes(&client),
    ]);
    let (sender, mut readings) = tokio::sync::watch::channel(Reading::default());
    // A task of its own, so that no pass waits for it; it ends with this future.
    let mut reading = JoinSet::new();
    if settings.webhook {
        reading.spawn(platform::follow(client.clone(), sender));
    }
    let mut reported = Reported::default();
    let mut schedule = Schedule::new(Instant::now());
    loop {
        heartbeat.beat();
        tokio::select! {
            change = changes.next() => {
                if change.is_some() {
                    schedule.changed(Instant::now());
                }
                continue;
            }
            Ok(()) = readings.changed() => {
                schedule.changed(Instant::now());
                continue;
            }
            () = sleep_until(schedule.next) => {}
        }
        let platform = readings.borrow_and_update().clone();
        let passing = pass(&client, settings, &platform, metrics, &mut reported);
        let passed = match tokio::time::timeout(PASS_LIMIT, passing).await {
            Ok(Ok(pass)) => {
                // A policy that the API server rejects must not stop a rollout.
                health.set_ready(true);
                pass
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "Cannot read policies and rendered objects");
                Pass::Incomplete
            }
            Err(_) => {
                tracing::warn!("Did not complete a pass within {} s", PASS_LIMIT.as_secs());
                Pass::Incomplete
            }
        };
        schedule.passed(passed, Instant::now());
    }
}

/// When the next pass is made.
#[derive(Debug)]
struct Schedule {
    /// The next pass.
    next: Instant,
    /// Changes make no pass before.
    earliest: Instant,
    /// The pause after the next pass that fails.
    retry: Duration,
    /// The pause after the next pass that writes.
    rewrite: Duration,
}

impl Schedule {
    /// The first pass is at once.
    fn new(now: Instant) -> Self {
        Self {
            next: now,
            earliest: now,
            retry: RETRY,
            rewrite: SETTLE,
        }
    }

    /// Something changed.
    fn changed(&mut self, now: Instant) {
        self.next = self.next.min(self.earliest.max(now + SETTLE));
    }

    /// A pass was made.
    fn passed(&mut self, pass: Pass, now: Instant) {
        match pass {
            Pass::Settled => {
                *self = Self::new(now);
                self.next = now + RESYNC;
            }
            Pass::Wrote => {
                (self.next, self.earliest) = (now + RESYNC, now + self.rewrite);
                (self.retry, self.rewrite) = (RETRY, RETRY_LIMIT.min(self.rewrite * 2));
            }
            // A pass follows as soon as the owner is back.
            Pass::OwnerNotFound => {
                (self.next, self.earliest) = (now + self.retry, now);
                self.retry = RETRY_LIMIT.min(self.retry * 2);
            }
            Pass::Incomplete | Pass::Uninstalling => {
                (self.next, self.earliest) = (now + self.retry, now + RETRY);
                self.retry = RETRY_LIMIT.min(self.retry * 2);
            }
        }
    }
}

/// One item for each change of an object of a kind whose name has the prefix.
fn changes<K>(client: &Client, metrics: &Metrics, prefix: &'static str) -> BoxStream<'static, ()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<Decoded<K>>::all(client.clone());
    let config = watcher::Config::default();
    watch::objects(api, config, &metrics.undecodable)
        .filter_map(move |event| {
            let concerns = event.map_or(true, |event| concerns(&event, prefix));
            std::future::ready(concerns.then_some(()))
        })
        .boxed()
}

/// One item for each change of the owner of rendered bindings. Only its metadata are watched, so that an owner that
/// cannot be decoded counts as there.
fn owner_changes(client: &Client) -> BoxStream<'static, ()> {
    let path = ValidatingWebhookConfiguration::url_path(&(), None);
    let named = format!("metadata.name={}", keys::RENDERED_OWNER);
    ListWatch::new(&path, Some(named))
        .metadata_only()
        .stream(client.clone())
        .filter_map(|event| std::future::ready(owner_changed(event)))
        .boxed()
}

/// What an event about the owner means; none: nothing.
fn owner_changed(event: Result<ObjectEvent, ListWatchError>) -> Option<()> {
    match event {
        // The end of the list says whether there is one.
        Ok(ObjectEvent::Listing | ObjectEvent::Listed(_)) => None,
        Ok(
            ObjectEvent::Complete
            | ObjectEvent::Applied(_)
            | ObjectEvent::Deleted(_)
            | ObjectEvent::TooLarge,
        ) => Some(()),
        Err(error) => {
            tracing::warn!(%error, name = keys::RENDERED_OWNER, "The watch of the owner of rendered bindings failed and is retried");
            None
        }
    }
}

/// Whether an event can be about an object whose name has the prefix.
fn concerns<K: Resource>(event: &Event<K>, prefix: &str) -> bool {
    match event {
        // An object can be missing in the list.
        Event::Init | Event::InitDone => true,
        Event::InitApply(object) | Event::Apply(object) => object.name_any().starts_with(prefix),
        Event::Delete(metadata) => {
            let name = metadata.name.as_deref();
            name.is_some_and(|name| name.starts_with(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_testing::{ApiServer, Call};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;

    #[test]
    fn the_own_namespace_and_kube_system_are_always_exempt() {
        let address = "[::]:8080".parse().unwrap();
        let names = |given: &[&str]| {
            let given: Vec<_> = given.iter().map(|&name| name.to_owned()).collect();
            let config = Config::new(address, "security", &given, true, Mode::Enforce);
            config.settings.exempt.namespaces
        };
        assert_eq!(names(&[""]), ["kube-system", "security"]);
        assert_eq!(
            names(&["cni", "kube-system"]),
            ["cni", "kube-system", "security"]
        );
    }

    /// The pauses between passes with a change right after each, in milliseconds.
    fn pauses(passes: &[Pass]) -> Vec<u128> {
        let start = Instant::now();
        let (mut now, mut schedule) = (start, Schedule::new(start));
        let mut found = Vec::new();
        for pass in passes {
            schedule.passed(*pass, now);
            schedule.changed(now);
            found.push((schedule.next - now).as_millis());
            now = schedule.next;
        }
        found
    }

    #[test]
    fn passes_that_write_again_and_again_are_made_less_and_less_often() {
        use Pass::{Incomplete, OwnerNotFound, Settled, Wrote};
        assert_eq!(
            pauses(&[Wrote, Wrote, Wrote, Wrote, Settled, Wrote, Wrote]),
            [200, 400, 800, 1600, 200, 200, 400]
        );
        assert_eq!(pauses(&[Wrote; 20]).last(), Some(&300_000));
        // Changes do not make a pass that failed sooner.
        assert_eq!(
            pauses(&[Incomplete, Incomplete, Wrote, Settled]),
            [5000, 5000, 200, 200]
        );
        // The owner that comes back is a change.
        assert_eq!(pauses(&[OwnerNotFound, OwnerNotFound]), [200, 200]);
    }

    #[tokio::test]
    async fn the_owner_of_rendered_bindings_is_watched_by_its_name_alone() {
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        let named = "fieldSelector=metadata.name%3Dbailiff-renderer";
        let list = Call::get(&format!("{path}?&{named}&resourceVersion=0"))
            .gives(json!({"metadata": {"resourceVersion": "5"}, "items": []}));
        let back = json!({"type": "ADDED",
            "object": {"metadata": {"name": "bailiff-renderer", "resourceVersion": "6"}}});
        let watch = Call::get(&format!(
            "{path}?&watch=true&timeoutSeconds=290&{named}&allowWatchBookmarks=true&resourceVersion=5"
        ))
        .gives(back);
        let (server, client) = ApiServer::playing([vec![list], vec![watch]]);
        let mut changes = owner_changes(&client);
        // There is none, and then there is one.
        assert_eq!(changes.next().await, Some(()));
        assert_eq!(changes.next().await, Some(()));
        server.finish();
    }

    #[test]
    fn a_change_of_others_admission_policies_makes_no_pass() {
        let object = |name: &str| ValidatingAdmissionPolicy {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ValidatingAdmissionPolicy::default()
        };
        let concerned = |name: &str, prefix: &str| {
            let delete = Event::Delete(Box::new(object(name).metadata));
            let events = [
                Event::InitApply(object(name)),
                Event::Apply(object(name)),
                delete,
            ];
            events.map(|event| concerns(&event, prefix))
        };
        assert_eq!(concerned("bailiff-image.ours", RENDERED_PREFIX), [true; 3]);
        assert_eq!(concerned("theirs", RENDERED_PREFIX), [false; 3]);
        assert_eq!(concerned("any", ""), [true; 3]);
        assert!(concerns(
            &Event::<ValidatingAdmissionPolicy>::InitDone,
            RENDERED_PREFIX
        ));
    }
}
