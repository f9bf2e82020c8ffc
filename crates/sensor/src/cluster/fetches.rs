//! Pods that are fetched for one evaluation, because what is kept of them is too little.
//!
//! Here: which pod is fetched when, and the request. Not here: what is evaluated on it (`state`).
//! Invariant: one pod at a time; at most [`OF_NODE`] requests a second of a node and [`OF_NAMESPACE`]
//! of a namespace, and namespaces take turns, so that a tenant who makes pods large delays its own
//! alone. A pod takes no more memory than the largest object that is listed, and is then forgotten.

use bailiff_kube::list_watch::{ListWatch, ObjectEvent};
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Least time between two requests of a node, and of a namespace.
const OF_NODE: Duration = Duration::from_millis(250);
const OF_NAMESPACE: Duration = Duration::from_secs(1);
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Most pods that wait to be fetched; there are hardly more on a node.
const WAITING_LIMIT: usize = 1024;

/// A pod to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetch {
    /// By its cgroup.
    pub(crate) pod_uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The pods that wait to be fetched.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    /// Those of a namespace, with the number of the request.
    waiting: BTreeMap<String, BTreeMap<String, (u64, String)>>,
    asked: u64,
    /// When a pod was last fetched, of any namespace and of each.
    last: Option<Instant>,
    of_namespace: BTreeMap<String, Instant>,
}

impl Fetches {
    /// A pod has to be fetched, once however often it is asked for.
    pub(crate) fn ask(&mut self, fetch: Fetch) {
        let waiting: usize = self.waiting.values().map(BTreeMap::len).sum();
        let pods = self.waiting.entry(fetch.namespace).or_default();
        if waiting < WAITING_LIMIT && !pods.contains_key(&fetch.pod_uid) {
            self.asked = self.asked.saturating_add(1);
            pods.insert(fetch.pod_uid, (self.asked, fetch.name));
        }
    }

    /// The pod that is fetched now: of the namespace whose last one is longest ago, the one that was
    /// asked for first.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Fetch> {
        self.of_namespace
            .retain(|_, last| now.duration_since(*last) < OF_NAMESPACE || self.waiting.len() > 1);
        self.waiting.retain(|_, pods| !pods.is_empty());
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < OF_NODE)
        {
            return None;
        }
        let last = |namespace: &String| self.of_namespace.get(namespace).copied();
        let namespace = self
            .waiting
            .keys()
            .filter(|namespace| {
                last(namespace).is_none_or(|last| now.duration_since(last) >= OF_NAMESPACE)
            })
            .min_by_key(|namespace| last(namespace))?
            .clone();
        let pods = self.waiting.get_mut(&namespace)?;
        let first = pods.iter().min_by_key(|(_, (number, _))| *number);
        let pod_uid = first.map(|(uid, _)| uid.clone())?;
        let (_, name) = pods.remove(&pod_uid)?;
        self.last = Some(now);
        self.of_namespace.insert(namespace.clone(), now);
        Some(Fetch {
            pod_uid,
            namespace,
            name,
        })
    }
}

/// The JSON of a pod as the API server has it; none where it cannot be fetched in time.
pub(crate) async fn fetch(client: kube::Client, fetch: Fetch) -> (Fetch, Option<Vec<u8>>) {
    let path = format!("/api/v1/namespaces/{}/pods", fetch.namespace);
    // As a list of one, which is read as all others are: no more of it is in memory than one object.
    let selector = format!("metadata.name={}", fetch.name);
    let mut events = ListWatch::new(&path, Some(selector)).stream(client);
    let first = async {
        loop {
            match events.next().await {
                Some(Ok(ObjectEvent::Listing)) => {}
                Some(Ok(ObjectEvent::Listed(json))) => return Some(json),
                Some(Err(error)) => {
                    tracing::warn!(
                        namespace = fetch.namespace,
                        pod = fetch.name,
                        error = crate::coverage::with_sources(&error),
                        "Cannot fetch a pod that is too large to keep"
                    );
                    return None;
                }
                Some(Ok(
                    ObjectEvent::Complete
                    | ObjectEvent::Applied(_)
                    | ObjectEvent::Deleted(_)
                    | ObjectEvent::TooLarge,
                ))
                | None => return None,
            }
        }
    };
    let json = tokio::time::timeout(LIMIT, first).await.ok().flatten();
    (fetch, json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespace: &str, uid: &str) -> Fetch {
        Fetch {
            pod_uid: uid.to_owned(),
            namespace: namespace.to_owned(),
            name: format!("{uid}-name"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn namespaces_take_turns_and_each_has_its_own_rate() {
        let mut fetches = Fetches::default();
        for number in 0..100 {
            fetches.ask(of("greedy", &format!("{number:03}")));
            fetches.ask(of("greedy", "000"));
        }
        fetches.ask(of("shop", "web"));
        let mut served = Vec::new();
        for _ in 0..20 {
            served.extend(fetches.next(Instant::now()).map(|fetch| fetch.pod_uid));
            assert_eq!(fetches.next(Instant::now()), None, "one at a time");
            tokio::time::advance(OF_NODE).await;
        }
        assert_eq!(served, ["000", "web", "001", "002", "003", "004"]);
    }

    #[tokio::test]
    async fn a_pod_is_fetched_as_a_list_of_one() {
        use bailiff_testing::{ApiServer, Call};
        let path = "/api/v1/namespaces/shop/pods?&fieldSelector=metadata.name%3Dweb-name&resourceVersion=0";
        let pod = serde_json::json!({"metadata": {"name": "web-name"}});
        let list = serde_json::json!({"metadata": {"resourceVersion": "5"}, "items": [pod]});
        let none = serde_json::json!({"metadata": {"resourceVersion": "5"}, "items": []});
        let (server, client) = ApiServer::playing([
            vec![Call::get(path).gives(list)],
            vec![Call::get(path).gives(none)],
        ]);
        let (_, json) = fetch(client.clone(), of("shop", "web")).await;
        let json: serde_json::Value = serde_json::from_slice(&json.unwrap()).unwrap();
        assert_eq!(json, pod);
        assert_eq!(fetch(client, of("shop", "web")).await.1, None);
        server.finish();
    }
}
