//! The switch of all responses.
//!
//! Here: reading it. Not here: what follows (`bailiff_response`).
//! Invariant: it is read from the API server, never from a cache; what is not `Enforce` removes no
//! pod.

use bailiff_api::keys::RESPONSE_SWITCH;
use bailiff_kube::decode::Decoded;
use bailiff_response::Switch;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use std::time::Duration;
use tokio::time::Instant;

/// How old a read can be when a removal is requested: none leaves a second after a change.
pub(crate) const FRESH_FOR: Duration = Duration::from_millis(500);

/// The switch, and when it was requested.
#[derive(Clone, Debug)]
pub(crate) struct SwitchRead {
    pub(crate) switch: Switch,
    pub(crate) at: Instant,
}

/// Reads the switch in the namespace that Bailiff runs in.
pub(crate) async fn read(client: &Client, namespace: &str) -> SwitchRead {
    let at = Instant::now();
    let api = Api::<Decoded<ConfigMap>>::namespaced(client.clone(), namespace);
    let unavailable = |why: String| Switch::Unavailable(why);
    let switch = match api.get_opt(RESPONSE_SWITCH).await {
        Ok(Some(decoded)) => match decoded.into_result() {
            Ok(map) => Switch::of(namespace, Some(&map)),
            Err(error) => unavailable(format!(
                "cannot decode ConfigMap {namespace}/{RESPONSE_SWITCH}: {error}"
            )),
        },
        Ok(None) => Switch::of(namespace, None),
        Err(kube::Error::Api(status)) => unavailable(format!(
            "cannot read ConfigMap {namespace}/{RESPONSE_SWITCH}: {}",
            status.message
        )),
        Err(_) => unavailable(format!(
            "cannot read ConfigMap {namespace}/{RESPONSE_SWITCH}: the API server is unavailable"
        )),
    };
    SwitchRead { switch, at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    #[tokio::test]
    async fn what_is_missing_or_unreadable_is_not_on() {
        const PATH: &str = "/api/v1/namespaces/bailiff-system/configmaps/bailiff-response";
        let get = || Call::get(PATH);
        let map =
            |data| get().gives(json!({"metadata": {"name": "bailiff-response"}, "data": data}));
        let name = "ConfigMap bailiff-system/bailiff-response";
        let off = |why: String| Switch::Unavailable(why);
        for (call, want) in [
            (map(json!({"mode": "Enforce"})), Switch::Enforce),
            (map(json!({"mode": "Audit"})), Switch::Audit),
            (map(json!({"defaultMode": "Enforce"})), Switch::Enforce),
            (
                map(json!({"defaultMode": "Enforce", "mode": "Audit"})),
                Switch::Audit,
            ),
            (
                map(json!({"mode": "enforce"})),
                off(format!(
                    "{name} has a mode that is neither Enforce nor Audit"
                )),
            ),
            (map(json!({})), off(format!("{name} has no key mode"))),
            (
                map(json!({"mode": 7})),
                off(format!(
                    "cannot decode {name}: data.mode: invalid type: integer `7`, expected a string"
                )),
            ),
            (get().is_missing(), off(format!("{name} does not exist"))),
            (
                get().fails(403, "Forbidden", "no"),
                off(format!("cannot read {name}: no")),
            ),
            (
                get().is_cut(),
                off(format!("cannot read {name}: the API server is unavailable")),
            ),
        ] {
            let (server, client) = ApiServer::playing([vec![call]]);
            assert_eq!(read(&client, "bailiff-system").await.switch, want);
            server.finish();
        }
    }
}
