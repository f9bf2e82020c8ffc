//! What the cluster needs to start, and what of it starts no pod while the webhook is down.
//!
//! Here: which objects the cluster needs, which of their namespaces are exempt, and the sentences. Not here: reading
//! the objects, the row of `bailiff status` (`cli`), the condition (`renderer`).
//! Invariant: a function of the objects. What a tenant creates adds at most its own namespace, takes bounded memory, and
//! hides no other one.

use crate::text::ascii;
use bailiff_api::keys::{ALWAYS_EXEMPT_NAMESPACE, WEBHOOK_CONFIGURATION, WEBHOOK_SERVICE};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// Classes of the pods that Kubernetes itself considers critical.
const CRITICAL: [&str; 2] = ["system-cluster-critical", "system-node-critical"];
/// The label that the API server sets to the name of a namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Bytes of a list in a message, so that the remedy is never cut off.
const LIST_LIMIT: usize = 150;
/// Characters of a name in such a list. That of a namespace has no more.
const NAME_LIMIT: usize = 63;
/// Most objects of a namespace that are told apart.
const OBJECTS_LIMIT: usize = 32;

/// A kind of objects that say what the cluster needs: pods of critical priority classes, admission webhooks that reject
/// requests while they are down, and aggregated APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformKind {
    /// Its pods can be critical.
    DaemonSet,
    /// Its pods can be critical.
    Deployment,
    /// Its pods can be critical.
    StatefulSet,
    /// Its webhooks can reject requests.
    MutatingWebhookConfiguration,
    /// Its webhooks can reject requests. One of them is that of Bailiff.
    ValidatingWebhookConfiguration,
    /// A Service can serve it.
    ApiService,
}

impl PlatformKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::DaemonSet,
        Self::Deployment,
        Self::StatefulSet,
        Self::MutatingWebhookConfiguration,
        Self::ValidatingWebhookConfiguration,
        Self::ApiService,
    ];

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DaemonSet => "DaemonSet",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::MutatingWebhookConfiguration => "MutatingWebhookConfiguration",
            Self::ValidatingWebhookConfiguration => "ValidatingWebhookConfiguration",
            Self::ApiService => "APIService",
        }
    }

    /// The path of its objects of all namespaces.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::DaemonSet => "/apis/apps/v1/daemonsets",
            Self::Deployment => "/apis/apps/v1/deployments",
            Self::StatefulSet => "/apis/apps/v1/statefulsets",
            Self::MutatingWebhookConfiguration => {
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
            }
            Self::ValidatingWebhookConfiguration => {
                "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
            }
            Self::ApiService => "/apis/apiregistration.k8s.io/v1/apiservices",
        }
    }
}

/// An object that cannot be decoded. The API server validates these kinds, so there is none in practice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object of kind {} cannot be decoded", .0.name())]
pub struct UndecodablePlatform(PlatformKind);

/// What the cluster needs to start, by namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    needed: BTreeMap<String, BTreeSet<String>>,
    webhook: Option<WebhookEntry>,
}

/// The entry of the webhook that rejects pods.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WebhookEntry {
    fails: bool,
    exempt: BTreeSet<String>,
}

/// What would not start while the webhook is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lockout {
    /// The API server does not call the webhook.
    NoWebhook,
    /// No namespace that the cluster needs, as far as that is known.
    Nothing,
    /// Pods of these namespaces.
    Namespaces {
        /// failurePolicy is Fail; otherwise it would be so with it.
        fails: bool,
        /// The first namespaces with what they have, and how many more there are.
        listed: String,
    },
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct Workload {
    metadata: Metadata,
    spec: WorkloadSpec,
}

#[derive(Deserialize)]
struct WorkloadSpec {
    template: Template,
}

#[derive(Deserialize)]
struct Template {
    spec: Option<PodSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    priority_class_name: Option<String>,
}

#[derive(Deserialize)]
struct Configuration {
    metadata: Metadata,
    webhooks: Option<Vec<Webhook>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    client_config: ClientConfig,
    failure_policy: Option<String>,
    namespace_selector: Option<LabelSelector>,
}

impl Webhook {
    /// Without a value, the API server sets Fail.
    fn fails(&self) -> bool {
        self.failure_policy.as_deref() != Some("Ignore")
    }
}

#[derive(Deserialize)]
struct ClientConfig {
    service: Option<ServiceReference>,
}

#[derive(Deserialize)]
struct ServiceReference {
    name: Option<String>,
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct ApiService {
    metadata: Metadata,
    spec: Option<ClientConfig>,
}

impl Platform {
    /// Adds an object, as JSON.
    ///
    /// # Errors
    /// It cannot be decoded, so it is not known what the cluster needs.
    pub fn add(&mut self, kind: PlatformKind, object: &[u8]) -> Result<(), UndecodablePlatform> {
        match kind {
            PlatformKind::DaemonSet | PlatformKind::Deployment | PlatformKind::StatefulSet => {
                let Workload { metadata, spec } = decoded(kind, object)?;
                let class = spec.template.spec.and_then(|pod| pod.priority_class_name);
                if class.is_some_and(|class| CRITICAL.contains(&class.as_str())) {
                    let what = format!("{} {}", kind.name(), metadata.name);
                    self.need(metadata.namespace, &what);
                }
            }
            PlatformKind::MutatingWebhookConfiguration
            | PlatformKind::ValidatingWebhookConfiguration => {
                let found: Configuration = decoded(kind, object)?;
                let is_own = kind == PlatformKind::ValidatingWebhookConfiguration
                    && found.metadata.name == WEBHOOK_CONFIGURATION;
                for webhook in found.webhooks.into_iter().flatten() {
                    self.add_webhook(webhook, is_own);
                }
            }
            PlatformKind::ApiService => {
                let ApiService { metadata, spec } = decoded(kind, object)?;
                let service = spec.and_then(|spec| spec.service);
                if let Some(namespace) = service.and_then(|service| service.namespace) {
                    self.need(namespace, &format!("APIService {}", metadata.name));
                }
            }
        }
        Ok(())
    }

    fn add_webhook(&mut self, webhook: Webhook, is_own: bool) {
        let fails = webhook.fails();
        let Some(service) = webhook.client_config.service else {
            return;
        };
        let name = service.name.unwrap_or_default();
        if name != WEBHOOK_SERVICE {
            if let Some(namespace) = service.namespace.filter(|_| fails) {
                self.need(namespace, &format!("webhook {name}"));
            }
        } else if is_own && !self.webhook.as_ref().is_some_and(|entry| entry.fails) {
            // One that fails counts, or else the first.
            if fails || self.webhook.is_none() {
                let exempt = exempt(webhook.namespace_selector.as_ref());
                let exempt = exempt.map(str::to_owned).collect();
                self.webhook = Some(WebhookEntry { fails, exempt });
            }
        }
    }

    fn need(&mut self, namespace: String, what: &str) {
        let of = self.needed.entry(namespace).or_default();
        of.insert(ascii(what, NAME_LIMIT));
        if of.len() > OBJECTS_LIMIT {
            of.pop_last();
        }
    }

    /// What would not start while the webhook is down, as its configuration is.
    #[must_use]
    pub fn lockout(&self) -> Lockout {
        let Some(WebhookEntry { fails, exempt }) = &self.webhook else {
            return Lockout::NoWebhook;
        };
        match self.not_exempt(|name| exempt.contains(name)) {
            Some(listed) => Lockout::Namespaces {
                fails: *fails,
                listed,
            },
            None => Lockout::Nothing,
        }
    }

    /// The namespaces that the cluster needs and that are not exempt, with what they have; none: there are none.
    /// kube-system always is.
    #[must_use]
    pub fn not_exempt(&self, is_exempt: impl Fn(&str) -> bool) -> Option<String> {
        let is_exempt = |name: &str| name == ALWAYS_EXEMPT_NAMESPACE || is_exempt(name);
        let needed = self.needed.iter().filter(|(name, _)| !is_exempt(name));
        let needed = needed.map(|(name, of)| {
            let first = of.first().map_or("", String::as_str);
            let name = ascii(name, NAME_LIMIT);
            match of.len() {
                0 | 1 => format!("{name} ({first})"),
                OBJECTS_LIMIT => format!("{name} ({first}, at least {} more)", OBJECTS_LIMIT - 1),
                all => format!("{name} ({first}, {} more)", all.saturating_sub(1)),
            }
        });
        let listed = listed(needed);
        (!listed.is_empty()).then_some(listed)
    }
}

/// The namespaces that a selector of a webhook excludes by name.
pub fn exempt(selector: Option<&LabelSelector>) -> impl Iterator<Item = &str> {
    let requirements = selector.and_then(|selector| selector.match_expressions.as_ref());
    let by_name = requirements
        .into_iter()
        .flatten()
        .filter(|requirement| requirement.key == NAMESPACE_NAME && requirement.operator == "NotIn");
    by_name
        .flat_map(|requirement| requirement.values.iter().flatten())
        .map(String::as_str)
}

/// That namespaces which the cluster can need are locked out, or would be with failurePolicy Fail, and what to do.
#[must_use]
pub fn locked_out(fails: bool, listed: &str) -> String {
    if fails {
        format!(
            "failurePolicy is Fail. While the webhook is down, no pod starts in these namespaces, which the cluster can need: {listed}. Add those that are part of the platform to the value exemptNamespaces."
        )
    } else {
        format!(
            "failurePolicy is Ignore. With Fail, no pod would start in these namespaces while the webhook is down, and the cluster can need them: {listed}. Before you set it, add those that are part of the platform to the value exemptNamespaces."
        )
    }
}

fn decoded<T: DeserializeOwned>(
    kind: PlatformKind,
    object: &[u8],
) -> Result<T, UndecodablePlatform> {
    // The error of the decoder quotes what it read.
    serde_json::from_slice(object)
        .ok()
        .ok_or(UndecodablePlatform(kind))
}

/// The first of a list, as many as fit into a message, and how many more there are.
#[must_use]
pub fn listed(items: impl IntoIterator<Item = String>) -> String {
    let (mut shown, mut more) = (String::new(), 0_usize);
    for item in items {
        let separator = if shown.is_empty() { "" } else { ", " };
        let length = shown.len().saturating_add(item.len());
        if more > 0 || length > LIST_LIMIT && !shown.is_empty() {
            more = more.saturating_add(1);
            continue;
        }
        shown.push_str(separator);
        shown.push_str(&item);
    }
    match more {
        0 => shown,
        more => format!("{shown}, {more} more"),
    }
}

#[cfg(test)]
mod tests;
