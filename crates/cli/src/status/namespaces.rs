//! Exempt namespaces: those that do not exist, and those that are not exempt although the cluster needs their
//! pods to start.
//!
//! Here: the requests, the results and their messages. Not here: the entries of the webhook (`webhook`), and what the
//! cluster needs (`bailiff_policy::image::platform`).
//! Invariant: what could not be read is `Unknown`. A tenant can add a row here and hide none; no message tells
//! an administrator to exempt a namespace only because a tenant wrote something in it.

use super::checks::{Check, CheckStatus, Lookup, check, unknown};
use crate::cause;
use bailiff_kube::list_watch::{ListWatch, ListWatchError};
use bailiff_policy::image::platform::{self, Platform, PlatformKind};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use std::collections::BTreeSet;

/// The variable of the controller with the value `exemptNamespaces`.
const EXEMPT: &str = "BAILIFF_EXEMPT_NAMESPACES";
/// Names that are asked about at most.
const NAMES_LIMIT: usize = 100;

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
        platform::listed(missing.iter().cloned())
    );
    Some(check(name, CheckStatus::Warning, &message))
}

/// What the cluster needs to start.
pub(super) async fn needed(client: &Client) -> Result<Platform, String> {
    let mut needed = Platform::default();
    for kind in PlatformKind::ALL {
        let mut added = Ok(());
        let add = |object: Option<&[u8]>| {
            let result = match object {
                Some(object) => needed.add(kind, object).map_err(|error| error.to_string()),
                None => Err(format!("an object of kind {} is too large", kind.name())),
            };
            if added.is_ok() {
                added = result;
            }
        };
        let objects = ListWatch::new(kind.path(), None);
        match objects.list_once(client.clone(), add).await {
            Ok(()) => added?,
            Err(ListWatchError::Request { source, .. }) => return Err(cause(&source)),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(needed)
}

/// A row for what is not in an exempt namespace and could not start while the webhook is down, with
/// failurePolicy Fail: now, or if it is set.
pub(super) fn locked_out(
    needed: &Result<Platform, String>,
    fails: bool,
    exempt: &BTreeSet<&str>,
) -> Option<Check> {
    let name = "webhook/failure-policy";
    let needed = match needed {
        Ok(needed) => needed,
        Err(cause) => return Some(unknown(name, cause)),
    };
    let listed = needed.not_exempt(|name| exempt.contains(name))?;
    let status = if fails {
        CheckStatus::Warning
    } else {
        CheckStatus::Ok
    };
    Some(check(name, status, &platform::locked_out(fails, &listed)))
}
