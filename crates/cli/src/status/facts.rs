//! The answers of registries that outlive the webhook, as checks.
//!
//! Here: whether the webhook can use its `ConfigMaps`. Not here: requests (`super`), and what is in them
//! (`bailiff_oci::persisted`).
//! Invariant: a `ConfigMap` that the webhook does not use is Failed; answers in it that it does not use are a
//! Warning.

use super::checks::{Check, CheckStatus, Lookup, check, unknown};
use bailiff_oci::persisted::{CONFIG_MAPS, read};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;

const NAME: &str = "webhook/facts";

/// Rows for what cannot be used.
pub(super) fn facts(
    config_maps: &[Lookup<ConfigMap>],
    namespace: &str,
    now: Timestamp,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut missing = Vec::new();
    for ((number, name), map) in CONFIG_MAPS.iter().enumerate().zip(config_maps) {
        let map = match map {
            Ok(Some(map)) => map,
            Ok(None) => {
                missing.push(*name);
                continue;
            }
            // The others have the same cause.
            Err(cause) => return vec![unknown(NAME, cause)],
        };
        match read(number, map.data.as_ref(), now.as_second()) {
            Ok(read) => {
                if let Some(first) = read.faults.first() {
                    let message = format!(
                        "ConfigMap {name} has {} that the webhook cannot use; {first}. The webhook removes them when it writes the ConfigMap. Find out who changed it.",
                        counted(read.faults.len())
                    );
                    checks.push(check(NAME, CheckStatus::Warning, &message));
                }
            }
            Err(cause) => {
                let message = format!(
                    "ConfigMap {name} is corrupt: {cause}. The webhook does not use it, and replaces its data when it admits one of its images. Find out who changed it."
                );
                checks.push(check(NAME, CheckStatus::Failed, &message));
            }
        }
    }
    if !missing.is_empty() {
        let (noun, pronoun) = if missing.len() == 1 {
            ("ConfigMap", "its")
        } else {
            ("ConfigMaps", "their")
        };
        let message = format!(
            "{noun} {} not found in namespace {namespace}, so a restart of the webhook loses {pronoun} answers of registries. Restore with `helm upgrade`.",
            missing.join(", ")
        );
        checks.push(check(NAME, CheckStatus::Failed, &message));
    }
    checks
}

fn counted(answers: usize) -> String {
    match answers {
        1 => "1 answer".to_owned(),
        n => format!("{n} answers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[expect(clippy::unnecessary_wraps, reason = "as it was read")]
    fn map(data: &serde_json::Value) -> Lookup<ConfigMap> {
        Ok(Some(
            from_value(json!({"metadata": {}, "data": data})).unwrap(),
        ))
    }

    fn lines(change: impl Fn(&mut Vec<Lookup<ConfigMap>>)) -> Vec<String> {
        let mut maps: Vec<_> = CONFIG_MAPS.iter().map(|_| map(&json!({}))).collect();
        change(&mut maps);
        let checks = facts(&maps, "bailiff-system", Timestamp::UNIX_EPOCH);
        let line = |c: Check| format!("{} | {} | {}", c.name, c.status.as_str(), c.message);
        checks.into_iter().map(line).collect()
    }

    #[test]
    fn each_config_map_that_cannot_be_used_is_reported_with_the_remedy() {
        assert_eq!(lines(|_| {}), [""; 0]);
        assert_eq!(
            lines(|maps| maps[3] = map(&json!({"facts": "x\n", "sha256": "0"}))),
            [
                "webhook/facts | Failed | ConfigMap bailiff-facts-3 is corrupt: the hash of the facts is not that of the key sha256. The webhook does not use it, and replaces its data when it admits one of its images. Find out who changed it."
            ]
        );
        assert_eq!(
            lines(|maps| maps[2] = Ok(None)),
            [
                "webhook/facts | Failed | ConfigMap bailiff-facts-2 not found in namespace bailiff-system, so a restart of the webhook loses its answers of registries. Restore with `helm upgrade`."
            ]
        );
        assert_eq!(
            lines(|maps| {
                maps[0] = Ok(None);
                maps[7] = Ok(None);
            }),
            [
                "webhook/facts | Failed | ConfigMaps bailiff-facts-0, bailiff-facts-7 not found in namespace bailiff-system, so a restart of the webhook loses their answers of registries. Restore with `helm upgrade`."
            ]
        );
        assert_eq!(
            lines(|maps| maps[5] = Err("forbidden".to_owned())),
            ["webhook/facts | Unknown | The check cannot run. forbidden"]
        );
        // The SHA-256 of "x\n".
        let hash = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac";
        assert_eq!(
            lines(|maps| maps[1] = map(&json!({"facts": "x\n", "sha256": hash}))),
            [
                "webhook/facts | Warning | ConfigMap bailiff-facts-1 has 1 answer that the webhook cannot use; line 1: it is not a fact. The webhook removes them when it writes the ConfigMap. Find out who changed it."
            ]
        );
    }
}
