//! The objects that are watched.
//!
//! Here: which, in which order their events come, and when they are listed. Not here: the requests (`kube`), what an
//! event changes (`state/objects`).
//! Invariant: the thread of the loop serves no connection. Nothing comes of a watch that was replaced. One event of each
//! waits at most, whatever its size.

use super::{Config, Error};
use bailiff_api::{GROUP, VERSION};
use bailiff_kube::list_watch::{ListWatch, ListWatchError, ObjectEvent};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Longest delay of a list.
const LISTS_DELAY: Duration = Duration::from_secs(5);

/// What a watch brings.
type Event = Result<ObjectEvent, ListWatchError>;

/// What a watch brings, with what it watches.
pub(super) enum Change {
    Policy(Event),
    Binding(Event),
    Namespace(Event),
    Pod(Event),
}

/// All watches.
pub(super) struct Watches {
    runtime: Handle,
    client: kube::Client,
    policies: Watched,
    bindings: Watched,
    namespaces: Watched,
    /// Of the node.
    pods: Watched,
    pods_of_node: ListWatch,
    lists: Lists,
}

impl Watches {
    /// Watches policies and bindings in this runtime. Pods and namespaces are listed once it is known what policies need
    /// of them, and again where that grows.
    pub(super) fn start(config: &Config, client: &kube::Client, runtime: &Handle) -> Self {
        let of_bailiff = |resource: &str| {
            let path = format!("/apis/{GROUP}/{VERSION}/{resource}");
            Watched::start(runtime, ListWatch::new(&path, None).stream(client.clone()))
        };
        let mine = format!("spec.nodeName={}", config.node_name);
        Self {
            policies: of_bailiff("runtimepolicies"),
            bindings: of_bailiff("runtimepolicybindings"),
            namespaces: Watched::nothing(),
            pods: Watched::nothing(),
            pods_of_node: ListWatch::new("/api/v1/pods", Some(mine)),
            lists: Lists::new(&config.node_name, config.pod_lookup_timeout),
            runtime: runtime.clone(),
            client: client.clone(),
        }
    }

    /// The next event of any. A wait that is dropped loses none.
    ///
    /// # Errors
    /// When a watch ended for good.
    pub(super) async fn next(&mut self) -> Result<Change, Error> {
        let (change, name): (Option<Change>, _) = tokio::select! {
            biased;
            event = self.policies.next() => (event.map(Change::Policy), "policies"),
            event = self.bindings.next() => (event.map(Change::Binding), "bindings"),
            event = self.namespaces.next() => (event.map(Change::Namespace), "namespaces"),
            event = self.pods.next() => (event.map(Change::Pod), "pods"),
        };
        change.ok_or(Error::WatchEnded(name))
    }

    /// Lists pods and namespaces, where that is due; `must`: they have to be listed, from now on.
    pub(super) fn list_if_due(&mut self, must: bool, now: Instant) {
        if self.lists.are_due(must, now) {
            let namespaces = ListWatch::new("/api/v1/namespaces", None);
            self.namespaces = self.watch(&namespaces);
            self.pods = self.watch(&self.pods_of_node);
        }
    }

    fn watch(&self, objects: &ListWatch) -> Watched {
        Watched::start(&self.runtime, objects.stream(self.client.clone()))
    }
}

/// A watch. Absent: nothing is watched yet, and no event comes.
struct Watched(Option<(mpsc::Receiver<Event>, JoinSet<()>)>);

impl Watched {
    /// Nothing, for as long as this is not replaced.
    const fn nothing() -> Self {
        Self(None)
    }

    /// Watches in this runtime, until this is dropped.
    fn start(runtime: &Handle, mut watch: BoxStream<'static, Event>) -> Self {
        let (sender, events) = mpsc::channel(1);
        let mut watching = JoinSet::new();
        let forward = async move {
            while let Some(event) = watch.next().await {
                if sender.send(event).await.is_err() {
                    break;
                }
            }
        };
        watching.spawn_on(forward, runtime);
        Self(Some((events, watching)))
    }

    /// The next event. None: the watch ended for good. A wait that is dropped loses no event.
    async fn next(&mut self) -> Option<Event> {
        match &mut self.0 {
            Some((events, _)) => events.recv().await,
            None => std::future::pending().await,
        }
    }
}

/// When pods and namespaces are listed. All sensors learn of a new policy in the same moment; each lists
/// after a delay of its own, but for the first time.
struct Lists {
    delay: Duration,
    listed: bool,
    at: Option<Instant>,
}

impl Lists {
    /// Of a node, which has the same delay always: of what waits for the lists, it takes at most a quarter
    /// of the time.
    fn new(node_name: &str, pod_lookup_timeout: Duration) -> Self {
        let mut hash = DefaultHasher::new();
        node_name.hash(&mut hash);
        let longest = LISTS_DELAY.min(pod_lookup_timeout / 4);
        let share = f64::from(u16::try_from(hash.finish() % 1000).unwrap_or_default()) / 1000.0;
        Self {
            delay: longest.mul_f64(share),
            listed: false,
            at: None,
        }
    }

    /// Whether they are listed now; `must`: they have to be, from now on.
    fn are_due(&mut self, must: bool, now: Instant) -> bool {
        if must && self.at.is_none() {
            let delay = if self.listed {
                self.delay
            } else {
                Duration::ZERO
            };
            self.at = Some(now + delay);
        }
        let due = self.at.is_some_and(|at| at <= now);
        if due {
            self.at = None;
            self.listed = true;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn sensors_list_again_at_times_of_their_own() {
        let timeout = Duration::from_secs(30);
        let now = Instant::now();
        let mut delays = BTreeSet::new();
        for node in 0..1000 {
            let mut lists = Lists::new(&format!("node-{node}"), timeout);
            assert!(!lists.are_due(false, now));
            assert!(lists.are_due(true, now), "the first time at once");
            let due = |lists: &mut Lists, tenths: u32, must: bool| {
                lists.are_due(must, now + Duration::from_millis(100) * tenths)
            };
            // Another policy that comes meanwhile delays it no further.
            let after = (0..=50).find(|tenths| due(&mut lists, *tenths, *tenths < 2));
            delays.insert(after.expect("within the longest delay"));
            assert!(!due(&mut lists, 100, false), "once");
        }
        assert!(delays.len() > 45, "{delays:?}");
        assert!(Lists::new("node-1", Duration::ZERO).delay.is_zero());
    }
}
