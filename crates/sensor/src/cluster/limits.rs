//! The limits on the number of Incidents that the controller publishes.
//!
//! Here: watching their `ConfigMap`. Not here: what a limit leads to (`incident/write`).
//! Invariant: what is missing, unreadable or never was listed limits nothing, so that Incidents are created as
//! always. A watch that fails changes nothing: it goes on from where it was, without telling the object again.

use bailiff_api::IncidentLimits;
use bailiff_api::keys::INCIDENT_LIMITS;
use bailiff_kube::list_watch::{ListWatch, ListWatchError, Named, NamedObject, ObjectEvent};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use tokio::sync::watch;

/// The limits of now.
#[derive(Clone, Debug)]
pub(crate) struct Limits(watch::Receiver<IncidentLimits>);

impl Limits {
    /// Whether audited Incidents of pods of a namespace are not created by the sensor of this node.
    pub(crate) fn is_full(&self, namespace: &str, node: &str) -> bool {
        self.is_watched() && self.0.borrow().is_full(namespace, node)
    }

    /// Whether no more Incidents of pods of a namespace are created in Bailiff's by the sensor of this node.
    pub(crate) fn is_fallback_full(&self, namespace: &str, node: &str) -> bool {
        self.is_watched() && self.0.borrow().is_fallback_full(namespace, node)
    }

    /// They are no longer updated when the sender is gone.
    fn is_watched(&self) -> bool {
        self.0.has_changed().is_ok()
    }
}

/// Limits, and what sets them.
pub(crate) fn limits() -> (watch::Sender<IncidentLimits>, Limits) {
    let (sender, receiver) = watch::channel(IncidentLimits::default());
    (sender, Limits(receiver))
}

/// Keeps the limits current for as long as they are read.
pub(crate) async fn follow(
    client: kube::Client,
    namespace: &str,
    sender: watch::Sender<IncidentLimits>,
) {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let named = Some(format!("metadata.name={INCIDENT_LIMITS}"));
    let events = ListWatch::new(&path, named).stream(client);
    tokio::select! {
        () = keep(events, &sender) => {}
        () = sender.closed() => {}
    }
}

async fn keep(
    mut events: impl Stream<Item = Result<ObjectEvent, ListWatchError>> + Unpin,
    sender: &watch::Sender<IncidentLimits>,
) {
    let mut object = NamedObject::default();
    while let Some(event) = events.next().await {
        let found = match &event {
            Ok(event) => match object.apply(event) {
                Some(Named::Found(json)) => read(json),
                Some(Named::TooLarge) => Err("it has more than 10 MiB".to_owned()),
                Some(Named::Missing) => Err("it does not exist".to_owned()),
                None => continue,
            },
            Err(error) => {
                tracing::warn!(
                    config_map = INCIDENT_LIMITS,
                    error = crate::coverage::with_sources(error),
                    "Cannot watch the limits on Incidents; those that were known last stay in effect"
                );
                continue;
            }
        };
        let limits = found.unwrap_or_else(|cause| {
            tracing::warn!(
                config_map = INCIDENT_LIMITS,
                cause,
                "Cannot read the limits on Incidents, so Incidents are created without a limit"
            );
            IncidentLimits::default()
        });
        sender.send_if_modified(|before| {
            let changed = *before != limits;
            *before = limits;
            changed
        });
    }
}

fn read(json: &[u8]) -> Result<IncidentLimits, String> {
    let config_map: ConfigMap = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    IncidentLimits::of(&config_map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::sync::mpsc;

    fn config_map(limits: &str) -> Vec<u8> {
        let map = json!({"metadata": {"name": INCIDENT_LIMITS}, "data": {"limits": limits}});
        serde_json::to_vec(&map).unwrap()
    }

    #[tokio::test]
    async fn what_is_missing_or_cannot_be_read_limits_nothing() {
        let full = || {
            config_map(r#"{"namespaces":[{"name":"shop"}],"fallbackNamespaces":[{"name":"a"}]}"#)
        };
        let (sender, limits) = limits();
        let (events, mut received) = mpsc::unbounded_channel();
        let stream = futures::stream::poll_fn(move |context| received.poll_recv(context));
        let keeping = tokio::spawn(async move { keep(stream, &sender).await });
        let ended = || ListWatchError::Ended("no".to_owned());
        for (event, is_full) in [
            (Ok(ObjectEvent::Listing), false),
            (Ok(ObjectEvent::Listed(full())), true),
            (Ok(ObjectEvent::Complete), true),
            (Ok(ObjectEvent::Applied(config_map("{}"))), false),
            (Ok(ObjectEvent::Applied(full())), true),
            (Ok(ObjectEvent::Applied(config_map("nonsense"))), false),
            (Ok(ObjectEvent::Applied(full())), true),
            (Ok(ObjectEvent::TooLarge), false),
            (Ok(ObjectEvent::Applied(full())), true),
            // It goes on where it was, or lists again.
            (Err(ended()), true),
            (Ok(ObjectEvent::Listing), true),
            (Ok(ObjectEvent::Listed(full())), true),
            (Ok(ObjectEvent::Complete), true),
            (Ok(ObjectEvent::Deleted(full())), false),
            (Ok(ObjectEvent::Applied(full())), true),
            // A new list keeps what is known until it is complete.
            (Ok(ObjectEvent::Listing), true),
            (Ok(ObjectEvent::Complete), false),
            (Ok(ObjectEvent::Applied(full())), true),
        ] {
            let what = format!("{event:?}");
            events.send(event).unwrap();
            tokio::task::yield_now().await;
            assert_eq!(limits.is_full("shop", "node"), is_full, "{what}");
            assert_eq!(limits.is_fallback_full("a", "node"), is_full, "{what}");
        }
        drop(events);
        keeping.await.unwrap();
        assert!(!limits.is_full("shop", "node"), "the watch has ended");
    }
}
