//! The limits that the controller publishes for the sensors, in a ConfigMap.
//!
//! Here: their form, and what one says about a namespace. Not here: which namespaces are at a limit
//! (`bailiff_response`), and what a sensor then does.
//! Invariant: what cannot be read limits nothing; the text has less than 1 MiB, the most that a
//! ConfigMap holds, whatever namespaces and nodes are called.

use crate::keys::{INCIDENT_LIMITS, INCIDENT_LIMITS_KEY};
use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, Serialize};

/// Most namespaces that are published as being at a limit, for each limit. The rest is not limited.
pub const LIMITED_NAMESPACES_LIMIT: usize = 200;
/// Most nodes that are named for a namespace.
pub const LIMITED_NODES_LIMIT: usize = 8;

/// The limits that are reached now.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct IncidentLimits {
    /// The cluster has as many closed Incidents as it keeps. `namespaces` then has those that have
    /// more than their share.
    pub cluster_full: bool,
    /// Namespaces of pods for which sensors create no audited Incidents. Sorted by name.
    pub namespaces: Vec<FullNamespace>,
    /// Namespaces of pods for which sensors create no Incidents in Bailiff's namespace, because it
    /// has as many open ones as it takes. Sorted by name.
    pub fallback_namespaces: Vec<FullNamespace>,
}

/// A namespace that has as many Incidents as it, or Bailiff's for it, keeps.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct FullNamespace {
    /// Its name.
    pub name: String,
    /// The nodes with more Incidents than their share of it, sorted by name: only their sensors are
    /// limited. Empty: the sensors of all nodes are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

impl IncidentLimits {
    /// What the ConfigMap says. None of its keys: nothing is limited, as after the installation.
    ///
    /// # Errors
    /// The text is not what this version writes; why, for people.
    pub fn of(config_map: &ConfigMap) -> Result<Self, String> {
        let data = config_map.data.as_ref();
        let Some(text) = data.and_then(|data| data.get(INCIDENT_LIMITS_KEY)) else {
            return Ok(Self::default());
        };
        serde_json::from_str(text).map_err(|error| {
            format!("ConfigMap {INCIDENT_LIMITS} has an invalid key {INCIDENT_LIMITS_KEY}: {error}")
        })
    }

    /// The text of the key of the ConfigMap.
    ///
    /// # Errors
    /// Never with today's fields; an error of the encoder.
    pub fn text(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| error.to_string())
    }

    /// Whether the sensor of this node creates no audited Incidents of pods of this namespace.
    #[must_use]
    pub fn is_full(&self, namespace: &str, node: &str) -> bool {
        concerns(&self.namespaces, namespace, node)
    }

    /// Whether the sensor of this node creates no more Incidents of pods of this namespace in Bailiff's.
    #[must_use]
    pub fn is_fallback_full(&self, namespace: &str, node: &str) -> bool {
        concerns(&self.fallback_namespaces, namespace, node)
    }
}

fn concerns(full: &[FullNamespace], namespace: &str, node: &str) -> bool {
    let full = full.iter().find(|full| full.name == namespace);
    full.is_some_and(|full| full.nodes.is_empty() || full.nodes.iter().any(|n| n == node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config_map(data: &serde_json::Value) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {}, "data": data})).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_says_who_is_limited() {
        let limits = IncidentLimits {
            cluster_full: true,
            namespaces: vec![
                FullNamespace {
                    name: "all".to_owned(),
                    nodes: Vec::new(),
                },
                FullNamespace {
                    name: "some".to_owned(),
                    nodes: vec!["a".to_owned(), "b".to_owned()],
                },
            ],
            fallback_namespaces: vec![FullNamespace {
                name: "elsewhere".to_owned(),
                nodes: vec!["a".to_owned()],
            }],
        };
        let text = limits.text().unwrap();
        assert_eq!(
            text,
            r#"{"clusterFull":true,"namespaces":[{"name":"all"},{"name":"some","nodes":["a","b"]}],"fallbackNamespaces":[{"name":"elsewhere","nodes":["a"]}]}"#
        );
        let read = IncidentLimits::of(&config_map(&json!({INCIDENT_LIMITS_KEY: text})));
        assert_eq!(read.as_ref(), Ok(&limits));
        for (namespace, node, full) in [
            ("all", "c", true),
            ("some", "b", true),
            ("some", "c", false),
            ("other", "a", false),
            ("elsewhere", "a", false),
        ] {
            assert_eq!(limits.is_full(namespace, node), full, "{namespace} {node}");
        }
        assert!(limits.is_fallback_full("elsewhere", "a"));
        assert!(!limits.is_fallback_full("elsewhere", "b") && !limits.is_fallback_full("all", "a"));
    }

    #[test]
    fn what_a_newer_version_adds_is_ignored_and_what_cannot_be_read_is_an_error() {
        let of = |data| IncidentLimits::of(&config_map(&data));
        assert_eq!(of(json!({})), Ok(IncidentLimits::default()));
        let newer =
            json!({INCIDENT_LIMITS_KEY: r#"{"more":1,"namespaces":[{"name":"a","x":[]}]}"#});
        assert!(of(newer).unwrap().is_full("a", "node"));
        let error = of(json!({INCIDENT_LIMITS_KEY: r#"{"namespaces":7}"#})).unwrap_err();
        assert!(
            error.starts_with(
                "ConfigMap bailiff-incident-limits has an invalid key limits: invalid type"
            ),
            "{error}"
        );
    }

    #[test]
    fn the_longest_names_fit_into_a_config_map() {
        let longest = FullNamespace {
            name: "n".repeat(63),
            nodes: vec!["n".repeat(253); LIMITED_NODES_LIMIT],
        };
        let limits = IncidentLimits {
            cluster_full: true,
            namespaces: vec![longest.clone(); LIMITED_NAMESPACES_LIMIT],
            fallback_namespaces: vec![longest; LIMITED_NAMESPACES_LIMIT],
        };
        assert!(limits.text().unwrap().len() < 1 << 20);
    }
}
