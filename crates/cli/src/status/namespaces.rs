//! Exempt namespaces: those that do not exist, and those that are not exempt although the cluster needs their
//! pods to start.
//!
//! Here: the requests, the results and their messages. Not here: the entries of the webhook (`webhook`).
//! Invariant: what could not be read is `Unknown`. A tenant can add a row here and hide none; no message tells
//! an administrator to exempt a namespace only because a tenant wrote something in it.

use super::checks::{Check, CheckStatus, Lookup, check, unknown};
use crate::cause;
use crate::objects;
use bailiff_api::keys::{ALWAYS_EXEMPT_NAMESPACE, WEBHOOK_SERVICE};
use bailiff_response::messages::escaped;
use futures::future::try_join_all;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::ListParams;
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};

/// The variable of the controller with the value `exemptNamespaces`.
const EXEMPT: &str = "BAILIFF_EXEMPT_NAMESPACES";
/// Classes of the pods that Kubernetes itself considers critical.
const CRITICAL: [&str; 2] = ["system-cluster-critical", "system-node-critical"];
/// Names that are asked about at most.
const NAMES_LIMIT: usize = 100;
/// Bytes of a list in a message, so that the remedy is never cut off.
const LIST_LIMIT: usize = 150;
/// Characters of a name in such a list.
const NAME_LIMIT: usize = 60;

/// What the cluster needs to start, by namespace.
pub(super) type Needed = BTreeMap<String, BTreeSet<String>>;

/// The exempt namespaces that do not exist, by the configuration of the controller.
pub(super) async fn missing(
    client: &Client,
    controller: &Lookup<Deployment>,
) -> Result<Vec<String>, String> {
    let names = match controller {
        Ok(Some(controller)) => exempt(controller),
        Ok(None) => return Err("Deployment bailiff-controller not found.".to_owned()),
        Err(cause) => return Err(cause.clone()),
    };
    let asked = names.iter().take(NAMES_LIMIT).map(|name| async move {
        let found = bailiff_kube::metadata::get::<Namespace>(client, name).await;
        let found = found.map_err(|error| cause(&error))?;
        Ok::<_, String>(found.is_none().then(|| name.clone()))
    });
    let found = try_join_all(asked).await?;
    Ok(found.into_iter().flatten().collect())
}

/// The value `exemptNamespaces`.
fn exempt(controller: &Deployment) -> BTreeSet<String> {
    let pod = controller.spec.template.spec.as_ref();
    let variables = pod.into_iter().flat_map(|pod| &pod.containers);
    let variables = variables.flat_map(|container| container.env.iter().flatten());
    let values = variables.filter(|variable| variable.name == EXEMPT);
    let names = values.flat_map(|variable| variable.value.iter().flat_map(|v| v.split(',')));
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A row if exempt namespaces do not exist.
pub(super) fn not_existing(missing: &Result<Vec<String>, String>) -> Option<Check> {
    let name = "exempt-namespaces";
    let missing = match missing {
        Ok(missing) => missing,
        Err(cause) => return Some(unknown(name, cause)),
    };
    if missing.is_empty() {
        return None;
    }
    let message = format!(
        "Exempt namespaces that do not exist: {}. Image policies and responses will not apply to pods there, so create the namespaces before a tenant does, or remove them from the value exemptNamespaces.",
        listed(missing.iter().cloned())
    );
    Some(check(name, CheckStatus::Warning, &message))
}

/// What the cluster needs to start: pods of critical priority classes, admission webhooks that reject requests
/// while they are down, and aggregated APIs.
pub(super) async fn needed(client: &Client) -> Result<Needed, String> {
    let mut needed = Needed::new();
    let of = |error: kube::Error| cause(&error);
    // The API server validates these kinds, so there is none that cannot be decoded.
    let (all, params) = (client.clone(), ListParams::default());
    let api = Api::all(all.clone());
    let found = objects::list(&api, params.clone(), |set: DaemonSet| {
        add_critical(&mut needed, "DaemonSet", &set.metadata, &set.spec.template);
    });
    found.await.map_err(of)?;
    let api = Api::all(all.clone());
    let found = objects::list(&api, params.clone(), |deployment: Deployment| {
        let Deployment { metadata, spec, .. } = &deployment;
        add_critical(&mut needed, "Deployment", metadata, &spec.template);
    });
    found.await.map_err(of)?;
    let api = Api::all(all.clone());
    let found = objects::list(&api, params.clone(), |set: StatefulSet| {
        add_critical(
            &mut needed,
            "StatefulSet",
            &set.metadata,
            &set.spec.template,
        );
    });
    found.await.map_err(of)?;
    let api = Api::all(all.clone());
    let found = objects::list(&api, params.clone(), |it: MutatingWebhookConfiguration| {
        for webhook in it.webhooks.iter().flatten() {
            add_webhook(
                &mut needed,
                webhook.failure_policy.as_deref(),
                &webhook.client_config,
            );
        }
    });
    found.await.map_err(of)?;
    let api = Api::all(all.clone());
    let found = objects::list(
        &api,
        params.clone(),
        |it: ValidatingWebhookConfiguration| {
            for webhook in it.webhooks.iter().flatten() {
                add_webhook(
                    &mut needed,
                    webhook.failure_policy.as_deref(),
                    &webhook.client_config,
                );
            }
        },
    );
    found.await.map_err(of)?;
    let api = Api::all(all);
    let found = objects::list(&api, params, |service: APIService| {
        let spec = service.spec.as_ref();
        let namespace = spec.and_then(|spec| spec.service.as_ref()?.namespace.as_deref());
        if let (Some(namespace), Some(name)) = (namespace, &service.metadata.name) {
            add(&mut needed, namespace, format!("APIService {name}"));
        }
    });
    found.await.map_err(of)?;
    Ok(needed)
}

fn add(needed: &mut Needed, namespace: &str, what: String) {
    needed.entry(namespace.to_owned()).or_default().insert(what);
}

fn add_critical(
    needed: &mut Needed,
    kind: &str,
    metadata: &ObjectMeta,
    template: &PodTemplateSpec,
) {
    let pod = template.spec.as_ref();
    let class = pod.and_then(|pod| pod.priority_class_name.as_deref());
    if class.is_some_and(|class| CRITICAL.contains(&class)) {
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let name = metadata.name.as_deref().unwrap_or_default();
        add(needed, namespace, format!("{kind} {name}"));
    }
}

fn add_webhook(needed: &mut Needed, failure_policy: Option<&str>, client: &WebhookClientConfig) {
    // Without a value, the API server sets Fail.
    if failure_policy == Some("Ignore") {
        return;
    }
    let service = client.service.as_ref();
    if let Some(service) = service.filter(|service| service.name != WEBHOOK_SERVICE) {
        add(
            needed,
            &service.namespace,
            format!("webhook {}", service.name),
        );
    }
}

/// A row for what is not in an exempt namespace and could not start while the webhook is down, with
/// failurePolicy Fail: now, or if it is set.
pub(super) fn locked_out(
    needed: &Result<Needed, String>,
    fails: bool,
    exempt: &[&str],
) -> Option<Check> {
    let name = "webhook/failure-policy";
    let needed = match needed {
        Ok(needed) => needed,
        Err(cause) => return Some(unknown(name, cause)),
    };
    let is_exempt = |name: &str| name == ALWAYS_EXEMPT_NAMESPACE || exempt.contains(&name);
    let needed = needed.iter().filter(|(name, _)| !is_exempt(name));
    let needed: Vec<_> = needed
        .map(|(name, of)| {
            let first = of.iter().next().map_or("", String::as_str);
            let first = escaped(first, NAME_LIMIT);
            match of.len() {
                0 | 1 => format!("{name} ({first})"),
                all => format!("{name} ({first}, {} more)", all.saturating_sub(1)),
            }
        })
        .collect();
    if needed.is_empty() {
        return None;
    }
    let listed = listed(needed);
    let (status, message) = if fails {
        let message = format!(
            "failurePolicy is Fail. While the webhook is down, no pod starts in these namespaces, which the cluster can need: {listed}. Add those that are part of the platform to the value exemptNamespaces."
        );
        (CheckStatus::Warning, message)
    } else {
        let message = format!(
            "failurePolicy is Ignore. With Fail, no pod would start in these namespaces while the webhook is down, and the cluster can need them: {listed}. Before you set it, add those that are part of the platform to the value exemptNamespaces."
        );
        (CheckStatus::Ok, message)
    };
    Some(check(name, status, &message))
}

/// The first of a list, and how many more there are.
fn listed(items: impl IntoIterator<Item = String>) -> String {
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
