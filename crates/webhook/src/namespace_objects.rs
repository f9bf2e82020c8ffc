//! Whole namespaces, for expressions.
//!
//! Here: reading them. Not here: their labels, which a watch brings (`rules`).
//! Invariant: reviews of one namespace share a read, so that a flood of them holds one place and no other
//! namespace waits for it. Nothing is kept after a read.

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use kube::Client;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Most reads at the same time.
const READS_LIMIT: usize = 8;

type Read = BoxFuture<'static, Option<Arc<Json>>>;

/// Reads namespaces.
pub(crate) struct NamespaceObjects {
    client: Client,
    permits: Arc<Semaphore>,
    /// Those that run or wait for a permit.
    reads: Mutex<BTreeMap<String, WeakShared<Read>>>,
}

impl NamespaceObjects {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            permits: Arc::new(Semaphore::new(READS_LIMIT)),
            reads: Mutex::default(),
        }
    }

    /// The namespace; none: it does not exist, or cannot be read within the time.
    pub(crate) async fn read(&self, name: &str, within: Duration) -> Option<Arc<Json>> {
        // Anything else would be another path.
        if !bailiff_kube::owner::is_name(name) {
            return None;
        }
        let read = tokio::time::timeout(within, self.shared(name)).await;
        read.ok().flatten()
    }

    /// The read that runs, or a new one.
    fn shared(&self, name: &str) -> Shared<Read> {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let running = reads.get(name).and_then(WeakShared::upgrade);
        if let Some(running) = running.filter(|read| read.peek().is_none()) {
            return running;
        }
        let (client, permits) = (self.client.clone(), Arc::clone(&self.permits));
        let path = format!("/api/v1/namespaces/{name}");
        let read = async move {
            let _permit = permits.acquire().await.ok()?;
            let request = http::Request::get(path).body(Vec::new()).ok()?;
            client.request::<Json>(request).await.ok().map(Arc::new)
        };
        let read = read.boxed().shared();
        reads.retain(|_, read| read.upgrade().is_some());
        if let Some(weak) = read.downgrade() {
            reads.insert(name.to_owned(), weak);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    const SOON: Duration = Duration::from_secs(1);

    fn get(name: &str) -> Call {
        let object = json!({"metadata": {"name": name}});
        Call::get(&format!("/api/v1/namespaces/{name}")).gives(object)
    }

    #[tokio::test(start_paused = true)]
    async fn reviews_of_one_namespace_share_a_read() {
        let slow = Duration::from_millis(100);
        let (server, client) = ApiServer::playing([
            vec![get("shop").after(slow), get("bank").after(slow)],
            vec![get("shop")],
            vec![get("gone").is_missing()],
        ]);
        let objects = NamespaceObjects::new(client);
        let flood = (0..100).map(|_| objects.read("shop", SOON));
        let (flood, bank) =
            futures::join!(futures::future::join_all(flood), objects.read("bank", SOON));
        let name = |read: &Option<Arc<Json>>| Some(read.as_ref()?["metadata"]["name"].clone());
        assert!(flood.iter().all(|read| name(read) == Some(json!("shop"))));
        assert_eq!(name(&bank), Some(json!("bank")));
        // It is read again later, and nothing is kept.
        assert!(objects.read("shop", SOON).await.is_some());
        assert_eq!(objects.read("gone", SOON).await, None);
        assert_eq!(objects.read("../secrets", SOON).await, None);
        server.finish();
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_holds_one_place_and_one_that_is_given_up_none() {
        let objects = NamespaceObjects::new(ApiServer::silent());
        let flood = (0..100).map(|_| objects.read("shop", SOON));
        let (flood, places) = futures::join!(futures::future::join_all(flood), async {
            tokio::time::sleep(SOON / 2).await;
            objects.permits.available_permits()
        });
        assert_eq!(places, READS_LIMIT - 1);
        assert!(flood.iter().all(Option::is_none));
        assert_eq!(objects.permits.available_permits(), READS_LIMIT);
    }
}
