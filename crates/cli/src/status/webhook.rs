//! The webhook, as checks.
//!
//! Here: whether the API server can call it, what an outage of it would stop, and which credentials it does not
//! use. Not here: requests (`super`).
//! Invariant: a function of its arguments; it needs no permission on a Secret.

use super::admission_protections::{Protection, protections};
use super::checks::{Check, CheckStatus, Lookup, check, unknown};
use super::facts::facts;
use super::namespaces::locked_out;
use crate::admission::{REGISTRIES, registries_of};
use bailiff_api::keys::{
    ALWAYS_EXEMPT_NAMESPACE, ANNOTATION_CERTIFICATE_EXPIRES, WEBHOOK_CONFIGURATION, WEBHOOK_SERVICE,
};
use bailiff_policy::image::platform::{Platform, exempt};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// Namespaces or registries that a message names.
const NAMED_LIMIT: usize = 10;
/// The variables of the webhook that say how it verifies its callers.
const CALLERS: [&str; 2] = ["BAILIFF_API_SERVER_CIDRS", "BAILIFF_CLIENT_CA"];

/// What was read.
pub(super) struct WebhookState {
    pub(super) deployment: Lookup<Deployment>,
    pub(super) mutating: Lookup<MutatingWebhookConfiguration>,
    pub(super) validating: Lookup<ValidatingWebhookConfiguration>,
    /// The configuration of registries.
    pub(super) registries: Lookup<ConfigMap>,
    /// What the cluster needs to start.
    pub(super) needed: Result<Platform, String>,
    /// The `ConfigMaps` with answers of registries, in their order.
    pub(super) facts: Vec<Lookup<ConfigMap>>,
    /// The admission policies that restrict its account, in their order.
    pub(super) protections: Vec<Protection>,
}

/// An entry that calls the webhook.
struct Entry<'a> {
    name: &'a str,
    client: &'a WebhookClientConfig,
    fails: bool,
    namespaces: Option<&'a LabelSelector>,
}

/// A row for the webhook, and others for what its outage would stop and for credentials that it does not use.
pub(super) fn webhook(state: &WebhookState, namespace: &str, now: Timestamp) -> Vec<Check> {
    let name = "webhook";
    let failed = |message: String| vec![check(name, CheckStatus::Failed, &message)];
    let (deployment, mutating, validating) =
        match (&state.deployment, &state.mutating, &state.validating) {
            (Ok(deployment), Ok(mutating), Ok(validating)) => (deployment, mutating, validating),
            (Err(cause), _, _) | (_, Err(cause), _) | (_, _, Err(cause)) => {
                return vec![unknown(name, cause)];
            }
        };
    let (deployment, mutating, validating) = match (deployment, mutating, validating) {
        (None, None, None) => {
            let message = "Not installed (webhook.enabled=false). The API server enforces what is rendered of image policies.";
            return vec![check(name, CheckStatus::Ok, message)];
        }
        (None, _, _) => {
            return failed(format!(
                "Deployment bailiff-webhook not found in namespace {namespace}, and the API server calls it. Restore it with `helm upgrade`, or delete its entries with `kubectl delete mutatingwebhookconfiguration,validatingwebhookconfiguration {WEBHOOK_CONFIGURATION}`."
            ));
        }
        (Some(_), None, _) => return failed(no_configuration("MutatingWebhookConfiguration")),
        (Some(_), _, None) => return failed(no_configuration("ValidatingWebhookConfiguration")),
        (Some(deployment), Some(mutating), Some(validating)) => (deployment, mutating, validating),
    };
    let entries = entries(mutating, validating);
    let mut checks = vec![reachable(
        deployment,
        &entries,
        &validating.metadata,
        namespace,
        now,
    )];
    checks.extend(entries.iter().filter_map(|entry| outage(entry, namespace)));
    let failing = entries.iter().find(|entry| entry.fails);
    if let Some(entry) = failing.or_else(|| entries.first()) {
        let exempt = exempt(entry.namespaces).collect();
        checks.extend(locked_out(&state.needed, entry.fails, &exempt));
    }
    checks.extend(unused_credentials(deployment, &state.registries, namespace));
    checks.extend(facts(&state.facts, namespace, now));
    checks.extend(protections(&state.protections));
    checks
}

fn no_configuration(kind: &str) -> String {
    format!(
        "{kind} {WEBHOOK_CONFIGURATION} not found, so the API server does not call the webhook. Restore it with `helm upgrade`."
    )
}

fn entries<'a>(
    mutating: &'a MutatingWebhookConfiguration,
    validating: &'a ValidatingWebhookConfiguration,
) -> Vec<Entry<'a>> {
    // Without a value, the API server sets Fail.
    let fails = |policy: &Option<String>| policy.as_deref() != Some("Ignore");
    let mutating = mutating.webhooks.iter().flatten().map(|entry| Entry {
        name: &entry.name,
        client: &entry.client_config,
        fails: fails(&entry.failure_policy),
        namespaces: entry.namespace_selector.as_ref(),
    });
    let validating = validating.webhooks.iter().flatten().map(|entry| Entry {
        name: &entry.name,
        client: &entry.client_config,
        fails: fails(&entry.failure_policy),
        namespaces: entry.namespace_selector.as_ref(),
    });
    let all = mutating.chain(validating);
    all.filter(|entry| {
        let service = entry.client.service.as_ref();
        service.is_some_and(|service| service.name == WEBHOOK_SERVICE)
    })
    .collect()
}

/// Whether the API server can call it.
fn reachable(
    deployment: &Deployment,
    entries: &[Entry<'_>],
    metadata: &ObjectMeta,
    namespace: &str,
    now: Timestamp,
) -> Check {
    let failed = |message: &str| check("webhook", CheckStatus::Failed, message);
    let desired = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.as_ref();
    let ready = status
        .and_then(|status| status.ready_replicas)
        .unwrap_or_default();
    let counted = format!("{ready} of {desired} replicas are ready.");
    if ready < desired || desired < 1 {
        return failed(&format!(
            "{counted} Check the pods with `kubectl -n {namespace} describe pods -l app.kubernetes.io/component=webhook`."
        ));
    }
    let remedy = format!(
        "so the API server cannot call the webhook. Check the log of the controller: `kubectl -n {namespace} logs deployment/bailiff-controller`."
    );
    let has_bundle = |entry: &Entry<'_>| {
        let bundle = entry.client.ca_bundle.as_ref();
        bundle.is_some_and(|bundle| !bundle.0.is_empty())
    };
    if let Some(entry) = entries.iter().find(|entry| !has_bundle(entry)) {
        return failed(&format!("Entry {} has no caBundle, {remedy}", entry.name));
    }
    let annotations = metadata.annotations.as_ref();
    let expires = annotations.and_then(|all| all.get(ANNOTATION_CERTIFICATE_EXPIRES));
    let expires: Option<Timestamp> = expires.and_then(|time| time.parse().ok());
    match expires {
        None => failed(&format!(
            "The controller has issued no certificate, {remedy}"
        )),
        Some(expires) if expires <= now => {
            failed(&format!("The certificate expired at {expires}, {remedy}"))
        }
        Some(expires) => {
            let message = format!("{counted} The certificate is valid until {expires}.");
            check("webhook", CheckStatus::Ok, &message)
        }
    }
}

/// What the API server rejects while the webhook is down; none: nothing.
fn outage(entry: &Entry<'_>, namespace: &str) -> Option<Check> {
    if !entry.fails {
        return None;
    }
    let exempt: Vec<_> = exempt(entry.namespaces).collect();
    let name = format!("webhook/{}", entry.name);
    let lacks = |namespace: &str| !exempt.contains(&namespace);
    if let Some(missing) = [ALWAYS_EXEMPT_NAMESPACE, namespace]
        .into_iter()
        .find(|name| lacks(name))
    {
        let message = format!(
            "failurePolicy is Fail, and namespace {missing} is not exempt: after an outage of the webhook, the cluster cannot recover by itself. Restore the entry with `helm upgrade`."
        );
        return Some(check(name, CheckStatus::Failed, &message));
    }
    let message = format!(
        "failurePolicy is Fail: while the webhook is down, no pod starts, except in the namespaces {}. Add those that the cluster needs to start to the value exemptNamespaces.",
        listed(exempt)
    );
    Some(check(name, CheckStatus::Warning, &message))
}

/// The first names, and how many more there are.
fn listed(names: Vec<&str>) -> String {
    let more = names.len().saturating_sub(NAMED_LIMIT);
    let mut shown: Vec<_> = names
        .into_iter()
        .take(NAMED_LIMIT)
        .map(str::to_owned)
        .collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

/// The credentials that the webhook does not use, because it does not verify its callers; none: there are none.
fn unused_credentials(
    deployment: &Deployment,
    registries: &Lookup<ConfigMap>,
    namespace: &str,
) -> Option<Check> {
    let name = "webhook/callers";
    if verifies_callers(deployment) {
        return None;
    }
    let map = match registries {
        Ok(Some(map)) => map,
        Ok(None) => {
            let message = format!(
                "ConfigMap {REGISTRIES} not found in namespace {namespace}, and the webhook requires it to start. Restore it with `helm upgrade`."
            );
            return Some(check(name, CheckStatus::Failed, &message));
        }
        Err(cause) => return Some(unknown(name, cause)),
    };
    let registries = match registries_of(map) {
        Ok(registries) => registries,
        Err(cause) => {
            return Some(unknown(name, &format!("ConfigMap {REGISTRIES}: {cause}.")));
        }
    };
    let mut unused: Vec<_> = registries
        .all_credentials()
        .filter(|(_, source)| source.namespace_selector.is_some())
        .map(|(registry, _)| registry)
        .collect();
    unused.dedup();
    if unused.is_empty() {
        return None;
    }
    let message = format!(
        "The webhook does not verify its callers, so it does not use the credentials with a namespaceSelector of {}, and asks without them. Set the value webhook.clientCA or webhook.apiServerCIDRs.",
        listed(unused)
    );
    Some(check(name, CheckStatus::Warning, &message))
}

fn verifies_callers(deployment: &Deployment) -> bool {
    let pod = deployment.spec.template.spec.as_ref();
    let containers = pod.map(|pod| pod.containers.as_slice()).unwrap_or_default();
    let mut variables = containers.iter().flat_map(|c| c.env.iter().flatten());
    variables.any(|variable| {
        let is_set = variable
            .value
            .as_ref()
            .is_some_and(|value| !value.is_empty());
        is_set && CALLERS.contains(&variable.name.as_str())
    })
}
