//! Keeps rules, namespaces and the certificate current.
//!
//! Here: the watches. Not here: what they bring (`rules`, `certificate`).
//! Invariant: a watch that fails is repeated; what was known stays.

use crate::certificate::Certificate;
use crate::metrics::Metrics;
use crate::rules::{Namespaces, Rules};
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding};
use bailiff_kube::decode::Decoded;
use bailiff_kube::list_watch::{ListWatch, ObjectEvent};
use bailiff_kube::serve::Heartbeat;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Client, Resource};
use std::sync::Arc;
use std::time::Duration;

/// Name of the Secret with the certificate.
pub(crate) const SECRET: &str = "bailiff-webhook-tls";
/// How often the loop reports that it makes progress while nothing changes.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// What the watches keep current.
pub(crate) struct Watched {
    pub(crate) rules: Arc<Rules>,
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) certificate: Arc<Certificate>,
}

impl Watched {
    /// Whether everything is known that a review needs.
    pub(crate) fn is_complete(&self) -> bool {
        self.rules.are_listed() && self.namespaces.are_listed() && self.certificate.is_loaded()
    }
}

/// Watches until it is dropped; `complete` is called once everything is known.
pub(crate) async fn run(
    watched: &Watched,
    client: Client,
    namespace: &str,
    metrics: &Metrics,
    heartbeat: Heartbeat,
    complete: impl FnOnce(),
) {
    let mut policies = ListWatch::new(&path::<ImageAdmissionPolicy>(), None).stream(client.clone());
    let mut bindings =
        ListWatch::new(&path::<ImageAdmissionPolicyBinding>(), None).stream(client.clone());
    let mut namespaces = ListWatch::new(&path::<Namespace>(), None)
        .metadata_only()
        .stream(client.clone());
    let secrets = Secret::url_path(&(), Some(namespace));
    let selector = Some(format!("metadata.name={SECRET}"));
    let mut secret = ListWatch::new(&secrets, selector).stream(client);
    let mut complete = Some(complete);
    loop {
        heartbeat.beat();
        let (what, failed) = tokio::select! {
            Some(event) = policies.next() => {
                ("image policies", event.map(|event| watched.rules.policy(&event)).err())
            }
            Some(event) = bindings.next() => {
                ("bindings", event.map(|event| watched.rules.binding(&event)).err())
            }
            Some(event) = namespaces.next() => {
                if event.is_err() {
                    watched.namespaces.failed();
                }
                ("namespaces", event.map(|event| watched.namespaces.apply(&event)).err())
            }
            Some(event) = secret.next() => {
                ("the certificate", event.map(|event| take(&watched.certificate, event, metrics)).err())
            }
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => continue,
        };
        if let Some(error) = failed {
            tracing::warn!(what, %error, "A watch failed and is retried; what was known stays");
        }
        if watched.is_complete()
            && let Some(complete) = complete.take()
        {
            complete();
        }
    }
}

fn path<K: Resource<DynamicType = ()>>() -> String {
    K::url_path(&(), None)
}

/// Takes the certificate that the Secret has.
fn take(certificate: &Certificate, event: ObjectEvent, metrics: &Metrics) {
    let object = match event {
        ObjectEvent::Listed(object) | ObjectEvent::Applied(object) => object,
        ObjectEvent::Deleted(_) => {
            tracing::warn!("Secret {SECRET} was deleted; its certificate stays in use");
            return;
        }
        ObjectEvent::Listing | ObjectEvent::Complete | ObjectEvent::TooLarge => return,
    };
    let decoded = Decoded::<Secret>::from_text(&String::from_utf8_lossy(&object));
    let fault = match decoded.into_result() {
        Ok(secret) => match certificate.replace(&secret) {
            Ok(()) => {
                tracing::info!("Loaded the certificate");
                return;
            }
            Err(fault) => fault.to_string(),
        },
        // The error of the decoder quotes what it read.
        Err(undecodable) => format!("{} cannot be decoded", undecodable.error.path),
    };
    metrics.certificate_errors.inc();
    tracing::warn!(fault, "Secret {SECRET} has no certificate that can be used");
}
