//! The limits on the number of Incidents, as checks.
//!
//! Here: what the ConfigMap of the controller says, and the next step. Not here: requests (`super`).
//! Invariant: a limit that keeps a violation from being recorded anywhere is Failed; one that moves
//! audited violations into the log is a Warning.

use super::checks::{Check, CheckStatus, Lookup, check, unknown};
use bailiff_api::{FullNamespace, IncidentLimits, keys};
use k8s_openapi::api::core::v1::ConfigMap;

/// Namespaces that a message names.
const NAMED_LIMIT: usize = 3;

/// A row for namespaces that are at their limit, and one for those whose violations are not recorded.
pub(super) fn incident_limits(config_map: &Lookup<ConfigMap>, namespace: &str) -> Vec<Check> {
    let name = "incident-limits";
    let ineffective = |cause: &str, remedy: &str| {
        let message = format!("{cause}, so sensors create Incidents without a limit. {remedy}.");
        vec![check(name, CheckStatus::Failed, &message)]
    };
    let map = match config_map {
        Ok(Some(map)) => map,
        Ok(None) => {
            let cause = format!("ConfigMap {namespace}/{} not found", keys::INCIDENT_LIMITS);
            return ineffective(&cause, "Restore it with `helm upgrade`");
        }
        Err(cause) => return vec![unknown(name, cause)],
    };
    let limits = match IncidentLimits::of(map) {
        Ok(limits) => limits,
        Err(cause) => {
            let remedy = format!(
                "Delete the key with `kubectl -n {namespace} patch configmap {} --type merge -p '{{\"data\":{{\"{}\":null}}}}'`; the controller writes it within 5 minutes",
                keys::INCIDENT_LIMITS,
                keys::INCIDENT_LIMITS_KEY,
            );
            return ineffective(&cause, &remedy);
        }
    };
    let names = |full: &[FullNamespace]| full.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
    let full = names(&limits.namespaces);
    let mut checks = Vec::new();
    if !full.is_empty() {
        let value = if limits.cluster_full {
            "retention.maxIncidents"
        } else {
            "retention.maxIncidentsPerNamespace"
        };
        let message = format!(
            "{}, so sensors log new audited violations there instead of creating Incidents. Fix what violates the policies, or increase {value}.",
            at_limit(&full, "the maximum number of Incidents")
        );
        checks.push(check(name, CheckStatus::Warning, &message));
    }
    let fallback = names(&limits.fallback_namespaces);
    if !fallback.is_empty() {
        let have = format!(
            "{} open Incidents in namespace {namespace}",
            keys::FALLBACK_LIMIT
        );
        let message = format!(
            "{}, so Bailiff does not record or respond to new violations there. Remove the quota or webhook that rejects Incidents there.",
            at_limit(&fallback, &have)
        );
        checks.push(check("incident-fallback", CheckStatus::Failed, &message));
    }
    checks
}

/// Which namespaces have reached what.
fn at_limit(namespaces: &[String], what: &str) -> String {
    let named: Vec<_> = namespaces.iter().take(NAMED_LIMIT).cloned().collect();
    let more = namespaces.len().saturating_sub(NAMED_LIMIT);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let (noun, verb) = if namespaces.len() == 1 {
        ("Namespace", "has")
    } else {
        ("Namespaces", "have")
    };
    format!("{noun} {}{more} {verb} {what}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn lines(config_map: &Lookup<ConfigMap>) -> Vec<String> {
        let checks = incident_limits(config_map, "bailiff-system");
        let line = |c: Check| format!("{} | {} | {}", c.name, c.status.as_str(), c.message);
        checks.into_iter().map(line).collect()
    }

    fn says(limits: &Value) -> Vec<String> {
        let data = json!({"limits": limits.to_string()});
        lines(&Ok(Some(
            from_value(json!({"metadata": {}, "data": data})).unwrap(),
        )))
    }

    #[test]
    fn each_state_of_the_limits_has_a_message_with_the_remedy() {
        assert_eq!(says(&json!({})), Vec::<String>::new());
        let empty: ConfigMap = from_value(json!({"metadata": {}})).unwrap();
        assert_eq!(lines(&Ok(Some(empty))), Vec::<String>::new());
        assert_eq!(
            says(&json!({"namespaces": [{"name": "shop", "nodes": ["node-1"]}]})),
            [
                "incident-limits | Warning | Namespace shop has the maximum number of Incidents, so sensors log new audited violations there instead of creating Incidents. Fix what violates the policies, or increase retention.maxIncidentsPerNamespace."
            ]
        );
        let many: Vec<_> = ["a", "b", "c", "d", "e"]
            .map(|name| json!({"name": name}))
            .into();
        assert_eq!(
            says(&json!({"clusterFull": true, "namespaces": many})),
            [
                "incident-limits | Warning | Namespaces a, b, c and 2 more have the maximum number of Incidents, so sensors log new audited violations there instead of creating Incidents. Fix what violates the policies, or increase retention.maxIncidents."
            ]
        );
        assert_eq!(
            says(&json!({"fallbackNamespaces": [{"name": "shop"}]})),
            [
                "incident-fallback | Failed | Namespace shop has 100 open Incidents in namespace bailiff-system, so Bailiff does not record or respond to new violations there. Remove the quota or webhook that rejects Incidents there."
            ]
        );
    }

    #[test]
    fn limits_that_cannot_be_read_do_not_pass() {
        assert_eq!(
            lines(&Ok(None)),
            [
                "incident-limits | Failed | ConfigMap bailiff-system/bailiff-incident-limits not found, so sensors create Incidents without a limit. Restore it with `helm upgrade`."
            ]
        );
        assert_eq!(
            lines(&Err("forbidden".to_owned())),
            ["incident-limits | Unknown | The check cannot run. forbidden"]
        );
        assert_eq!(
            says(&json!(7)),
            [
                "incident-limits | Failed | ConfigMap bailiff-incident-limits has an invalid key limits: invalid type: integer `7`, expected struct IncidentLimits at line 1 column 1, so sensors create Incidents without a limit. Delete the key with `kubectl -n bailiff-system patch configmap bailiff-incident-limits --type merge -p '{\"data\":{\"limits\":null}}'`; the controller writes it within 5 minutes."
            ]
        );
    }
}
