//! What the cluster needs to start, as it was read last.
//!
//! Here: when it is read. Not here: what it means (`bailiff_policy::image::platform`), and the condition (`status`).
//! Invariant: no pass waits for it. However many objects there are, one is in memory, and what could not be read is
//! [`Reading::Failed`].

use bailiff_kube::list_watch::{ListWatch, ListWatchError};
use bailiff_policy::image::platform::{Platform, PlatformKind, UndecodablePlatform};
use kube::Client;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Pause between two readings: the lists come from the memory of the API server, and their objects change seldom.
const INTERVAL: Duration = Duration::from_mins(10);
/// Pause after one that failed.
const RETRY: Duration = Duration::from_mins(1);
/// How long a reading can take.
const LIMIT: Duration = Duration::from_mins(2);

/// What is known about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It was not read yet.
    #[default]
    NotRead,
    /// All of it was read.
    Read(Platform),
    /// It could not be read; the cause.
    Failed(String),
}

/// Why it could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("cannot list objects of kind {0}")]
    List(&'static str, #[source] ListWatchError),
    #[error(transparent)]
    Undecodable(#[from] UndecodablePlatform),
    #[error("an object of kind {0} is too large")]
    TooLarge(&'static str),
    #[error("the API server did not send all of it within {} s", LIMIT.as_secs())]
    TimedOut,
}

/// Reads it now and then, until it is dropped.
pub(crate) async fn follow(client: Client, readings: watch::Sender<Reading>) {
    loop {
        let read = timeout(LIMIT, read(&client)).await;
        let read = read.unwrap_or(Err(ReadError::TimedOut));
        let (reading, pause) = match read {
            Ok(platform) => (Reading::Read(platform), INTERVAL),
            Err(error) => {
                let cause = cause(&error);
                tracing::warn!(error = cause, "Cannot determine what the cluster needs");
                (Reading::Failed(cause), RETRY)
            }
        };
        readings.send_if_modified(|before| {
            let is_new = *before != reading;
            *before = reading;
            is_new
        });
        sleep(pause).await;
    }
}

async fn read(client: &Client) -> Result<Platform, ReadError> {
    let mut platform = Platform::default();
    for kind in PlatformKind::ALL {
        let mut added = Ok(());
        let add = |object: Option<&[u8]>| {
            let result = match object {
                Some(object) => platform.add(kind, object).map_err(ReadError::from),
                None => Err(ReadError::TooLarge(kind.name())),
            };
            if added.is_ok() {
                added = result;
            }
        };
        let objects = ListWatch::new(kind.path(), None);
        let listed = objects.list_once(client.clone(), add).await;
        listed.map_err(|error| ReadError::List(kind.name(), error))?;
        added?;
    }
    Ok(platform)
}

/// What the API server says to a request; none of the connection's details.
fn cause(error: &ReadError) -> String {
    match error {
        ReadError::List(_, ListWatchError::Request { source, .. }) => match &**source {
            kube::Error::Api(status) => format!("{error}: {}", status.message),
            _ => format!("{error}: the API server is unavailable"),
        },
        ReadError::List(_, listed) => format!("{error}: {listed}"),
        ReadError::Undecodable(_) | ReadError::TooLarge(_) | ReadError::TimedOut => {
            error.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_policy::image::platform::Lockout;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::{Value as Json, json};

    fn list(kind: PlatformKind, items: &[Json]) -> Vec<Call> {
        let list = json!({"metadata": {"resourceVersion": "7"}, "items": items});
        vec![Call::get(&format!("{}?&resourceVersion=0", kind.path())).gives(list)]
    }

    fn node_agent() -> Json {
        json!({"metadata": {"namespace": "calico-system", "name": "calico-node"},
            "spec": {"template": {"spec": {"priorityClassName": "system-node-critical"}}}})
    }

    fn own() -> Json {
        json!({"metadata": {"name": "bailiff"}, "webhooks": [{"name": "pods.bailiff.dev",
            "failurePolicy": "Ignore", "clientConfig": {"service": {"name": "bailiff-webhook",
            "namespace": "bailiff-system"}}}]})
    }

    /// Each kind once, with these objects.
    fn lists(items: impl Fn(PlatformKind) -> Vec<Json>) -> Vec<Vec<Call>> {
        let all = PlatformKind::ALL.into_iter();
        all.map(|kind| list(kind, &items(kind))).collect()
    }

    fn cluster() -> Vec<Vec<Call>> {
        lists(|kind| match kind {
            PlatformKind::DaemonSet => vec![node_agent()],
            PlatformKind::ValidatingWebhookConfiguration => vec![own()],
            PlatformKind::Deployment
            | PlatformKind::StatefulSet
            | PlatformKind::MutatingWebhookConfiguration
            | PlatformKind::ApiService => Vec::new(),
        })
    }

    async fn read_of(rounds: Vec<Vec<Call>>) -> Result<Lockout, String> {
        let (server, client) = ApiServer::playing(rounds);
        let read = read(&client).await.map(|platform| platform.lockout());
        server.finish();
        read.map_err(|error| cause(&error))
    }

    #[tokio::test]
    async fn each_kind_is_listed_once_and_what_cannot_be_read_is_an_error() {
        let found = Lockout::Namespaces {
            fails: false,
            listed: "calico-system (DaemonSet calico-node)".to_owned(),
        };
        assert_eq!(read_of(cluster()).await, Ok(found));
        let of = |call: Call| vec![vec![call]];
        let path = PlatformKind::DaemonSet.path();
        let forbidden = Call::get(path).fails(403, "Forbidden", "daemonsets.apps is forbidden");
        let cut = Call::get(path).is_cut();
        let mut undecodable = cluster();
        undecodable.truncate(1);
        undecodable[0] = list(
            PlatformKind::DaemonSet,
            &[json!({"metadata": {}}), node_agent()],
        );
        for (rounds, cause) in [
            (
                of(forbidden),
                "cannot list objects of kind DaemonSet: daemonsets.apps is forbidden",
            ),
            (
                of(cut),
                "cannot list objects of kind DaemonSet: the API server is unavailable",
            ),
            (undecodable, "an object of kind DaemonSet cannot be decoded"),
        ] {
            assert_eq!(read_of(rounds).await, Err(cause.to_owned()));
        }
        assert_eq!(
            ReadError::TimedOut.to_string(),
            "the API server did not send all of it within 120 s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_read_seldom_and_reported_when_it_changes() {
        let forbidden = Call::get(PlatformKind::DaemonSet.path()).fails(403, "Forbidden", "no");
        let mut rounds = vec![vec![forbidden]];
        for _ in 0..2 {
            rounds.extend(cluster());
        }
        let (server, client) = ApiServer::playing(rounds);
        let (sender, mut readings) = watch::channel(Reading::NotRead);
        let begun = tokio::time::Instant::now();
        let following = tokio::spawn(follow(client, sender));
        readings.changed().await.unwrap();
        let failed = "cannot list objects of kind DaemonSet: no";
        assert_eq!(
            *readings.borrow_and_update(),
            Reading::Failed(failed.to_owned())
        );
        readings.changed().await.unwrap();
        assert!(matches!(*readings.borrow_and_update(), Reading::Read(_)));
        assert!(begun.elapsed() >= RETRY && begun.elapsed() < 2 * RETRY);
        // The same again is no change.
        sleep(INTERVAL + RETRY).await;
        assert!(!readings.has_changed().unwrap());
        following.abort();
        server.finish();
    }
}
