//! Which image is asked for next.
//!
//! Here: the places for requests, and the turns of registries and namespaces. Not here: answers
//! (`answers`).
//! Invariant: an image is asked for once at a time, whoever waits. A registry, and a namespace, gets a
//! further place only while it holds fewer than are free, so whoever else comes finds one: n that never
//! end hold at most n/(n+1) of the places. Registries take turns, and of each registry namespaces do: one
//! that holds no place waits for at most one turn of each other namespace. What waits is bounded in the
//! same way.

use super::key::Key;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a registry counts as throttling that is not asked again.
const THROTTLED: Duration = Duration::from_mins(5);

/// Sizes of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Requests at once.
    pub(super) places: usize,
    /// Images that wait; one counts for each namespace that waits for it.
    pub(super) waiting: usize,
    /// Of these, those of one namespace.
    pub(super) waiting_per_namespace: usize,
}

/// There is no room for another image of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What an answer says about the load of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// It answers.
    Normal,
    /// It limits requests.
    Throttled,
    /// It does not answer, which says nothing.
    Unknown,
}

/// The queue; `T` is what is needed to ask.
#[derive(Debug)]
pub(super) struct Queue<T> {
    limits: Limits,
    tasks: HashMap<Arc<Key>, Task<T>>,
    registries: BTreeMap<Arc<str>, Registry>,
    /// Registries for which something waits, by their turns.
    turns: BTreeSet<(u64, Arc<str>)>,
    namespaces: BTreeMap<Arc<str>, Held>,
    /// When each began to wait, by its number.
    waiting: BTreeMap<u64, Instant>,
    /// When a registry limited requests last.
    throttled: BTreeMap<Arc<str>, Instant>,
    running: usize,
    counter: u64,
}

#[derive(Debug)]
enum Task<T> {
    /// It waits, with a number for each namespace that waits for it.
    Waiting {
        request: T,
        of: Vec<(Arc<str>, u64)>,
    },
    Running {
        /// The namespace whose turn it was.
        namespace: Arc<str>,
        since: Instant,
    },
}

/// What a namespace has.
#[derive(Debug, Default)]
struct Held {
    waiting: usize,
    running: usize,
}

#[derive(Debug, Default)]
struct Registry {
    turn: u64,
    running: usize,
    flows: BTreeMap<Arc<str>, Flow>,
    /// Namespaces with something that waits, by their turns.
    turns: BTreeSet<(u64, Arc<str>)>,
}

/// What a namespace wants of a registry.
#[derive(Debug, Default)]
struct Flow {
    turn: u64,
    running: usize,
    /// The oldest first.
    waiting: BTreeMap<u64, Arc<Key>>,
}

impl<T> Queue<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            tasks: HashMap::new(),
            registries: BTreeMap::new(),
            turns: BTreeSet::new(),
            namespaces: BTreeMap::new(),
            waiting: BTreeMap::new(),
            throttled: BTreeMap::new(),
            running: 0,
            counter: 0,
        }
    }

    /// A namespace waits for an image: for the request about it that runs or waits, or for a new one.
    /// An image that others wait for has a place in the turns of this namespace, too.
    pub(super) fn join(
        &mut self,
        key: &Arc<Key>,
        namespace: &str,
        request: impl FnOnce() -> T,
        now: Instant,
    ) -> Result<(), Full> {
        let has_room = self.has_room(namespace);
        match self.tasks.get_mut(key) {
            Some(Task::Running { .. }) => Ok(()),
            Some(Task::Waiting { of, .. }) => {
                if has_room && of.iter().all(|(of, _)| &**of != namespace) {
                    let (namespace, number) = self.enqueue(key, namespace, now);
                    if let Some(Task::Waiting { of, .. }) = self.tasks.get_mut(key) {
                        of.push((namespace, number));
                    }
                }
                Ok(())
            }
            None if has_room => {
                let of = vec![self.enqueue(key, namespace, now)];
                let request = request();
                self.tasks
                    .insert(Arc::clone(key), Task::Waiting { request, of });
                Ok(())
            }
            None => Err(Full),
        }
    }

    fn has_room(&self, namespace: &str) -> bool {
        let free = self.limits.waiting.saturating_sub(self.waiting.len());
        let held = self
            .namespaces
            .get(namespace)
            .map_or(0, |held| held.waiting);
        held < free.min(self.limits.waiting_per_namespace)
    }

    fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn enqueue(&mut self, key: &Arc<Key>, namespace: &str, now: Instant) -> (Arc<str>, u64) {
        let number = self.number();
        let namespace = match self.namespaces.get_key_value(namespace) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(namespace),
        };
        self.waiting.insert(number, now);
        self.namespaces
            .entry(Arc::clone(&namespace))
            .or_default()
            .waiting += 1;
        let registry = self
            .registries
            .entry(Arc::clone(&key.endpoint))
            .or_default();
        if registry.turns.is_empty() {
            registry.turn = number;
            self.turns.insert((number, Arc::clone(&key.endpoint)));
        }
        let flow = registry.flows.entry(Arc::clone(&namespace)).or_default();
        if flow.waiting.is_empty() {
            flow.turn = number;
            registry.turns.insert((number, Arc::clone(&namespace)));
        }
        flow.waiting.insert(number, Arc::clone(key));
        (namespace, number)
    }

    /// Gives a place to the next one that can have one, until [`Self::finish`]; none: nothing waits that
    /// can start now.
    pub(super) fn start(&mut self, now: Instant) -> Option<(Arc<Key>, T)> {
        let (key, namespace) = self.next(now)?;
        let since = now;
        let task = Task::Running {
            namespace: Arc::clone(&namespace),
            since,
        };
        let Some(Task::Waiting { request, of }) = self.tasks.insert(Arc::clone(&key), task) else {
            return None;
        };
        for (namespace, number) in of {
            self.dequeue(&key.endpoint, &namespace, number);
        }
        self.running += 1;
        let turn = self.number();
        self.namespaces
            .entry(Arc::clone(&namespace))
            .or_default()
            .running += 1;
        let registry = self
            .registries
            .entry(Arc::clone(&key.endpoint))
            .or_default();
        registry.running += 1;
        if self
            .turns
            .remove(&(registry.turn, Arc::clone(&key.endpoint)))
        {
            self.turns.insert((turn, Arc::clone(&key.endpoint)));
        }
        registry.turn = turn;
        let flow = registry.flows.entry(Arc::clone(&namespace)).or_default();
        flow.running += 1;
        if registry.turns.remove(&(flow.turn, Arc::clone(&namespace))) {
            registry.turns.insert((turn, namespace));
        }
        flow.turn = turn;
        Some((key, request))
    }

    /// Who is next: the first registry that can have a place, and of it the first namespace.
    fn next(&self, now: Instant) -> Option<(Arc<Key>, Arc<str>)> {
        let free = self.limits.places.saturating_sub(self.running);
        for (_, endpoint) in &self.turns {
            let Some(registry) = self.registries.get(endpoint) else {
                continue;
            };
            let room = self.room(endpoint, registry.running, free, now);
            for (_, namespace) in registry.turns.iter().take_while(|_| room > 0) {
                let held = self
                    .namespaces
                    .get(namespace)
                    .map_or(0, |held| held.running);
                let Some(flow) = registry.flows.get(namespace) else {
                    continue;
                };
                if held < free
                    && flow.running < room
                    && let Some((_, key)) = flow.waiting.first_key_value()
                {
                    return Some((Arc::clone(key), Arc::clone(namespace)));
                }
            }
        }
        None
    }

    /// How many places a registry can still get if nothing else does.
    fn room(&self, endpoint: &str, running: usize, free: usize, now: Instant) -> usize {
        let is_throttled = self
            .throttled
            .get(endpoint)
            .is_some_and(|at| now.saturating_duration_since(*at) < THROTTLED);
        if is_throttled {
            return 1_usize.saturating_sub(running).min(free);
        }
        // Each one is one more that it holds and one less that is free.
        free.saturating_sub(running).div_ceil(2)
    }

    /// A place becomes free; the namespace that the request counted for.
    pub(super) fn finish(&mut self, key: &Key, load: Load, now: Instant) -> Option<Arc<str>> {
        let (endpoint, Some(Task::Running { namespace, since })) =
            (&key.endpoint, self.tasks.remove(key))
        else {
            return None;
        };
        self.running -= 1;
        if let Some(held) = self.namespaces.get_mut(&namespace) {
            held.running -= 1;
            if held.running == 0 && held.waiting == 0 {
                self.namespaces.remove(&namespace);
            }
        }
        if let Some(registry) = self.registries.get_mut(endpoint) {
            registry.running -= 1;
            if let Some(flow) = registry.flows.get_mut(&namespace) {
                flow.running -= 1;
                if flow.running == 0 && flow.waiting.is_empty() {
                    registry.flows.remove(&namespace);
                }
            }
            if registry.flows.is_empty() {
                self.registries.remove(endpoint);
            }
        }
        match load {
            Load::Throttled => {
                self.throttled
                    .retain(|_, at| now.saturating_duration_since(*at) < THROTTLED);
                self.throttled.insert(Arc::clone(endpoint), now);
            }
            Load::Normal if self.throttled.get(endpoint).is_some_and(|at| *at <= since) => {
                self.throttled.remove(endpoint);
            }
            Load::Normal | Load::Unknown => {}
        }
        Some(namespace)
    }

    fn dequeue(&mut self, endpoint: &Arc<str>, namespace: &Arc<str>, number: u64) {
        self.waiting.remove(&number);
        if let Some(held) = self.namespaces.get_mut(namespace) {
            held.waiting -= 1;
            if held.running == 0 && held.waiting == 0 {
                self.namespaces.remove(namespace);
            }
        }
        let Some(registry) = self.registries.get_mut(endpoint) else {
            return;
        };
        let Some(flow) = registry.flows.get_mut(namespace) else {
            return;
        };
        flow.waiting.remove(&number);
        if flow.waiting.is_empty() {
            registry.turns.remove(&(flow.turn, Arc::clone(namespace)));
            if flow.running == 0 {
                registry.flows.remove(namespace);
            }
        }
        if registry.turns.is_empty() {
            self.turns.remove(&(registry.turn, Arc::clone(endpoint)));
        }
        if registry.flows.is_empty() {
            self.registries.remove(endpoint);
        }
    }

    /// Requests that run.
    pub(super) const fn running(&self) -> usize {
        self.running
    }

    /// Images that wait, and since when the oldest does.
    pub(super) fn waiting(&self) -> (usize, Option<Instant>) {
        let oldest = self.waiting.first_key_value().map(|(_, since)| *since);
        (self.waiting.len(), oldest)
    }

    /// Whether the image is being asked for; false while it waits.
    pub(super) fn is_running(&self, key: &Key) -> bool {
        matches!(self.tasks.get(key), Some(Task::Running { .. }))
    }

    /// The namespace that a running request counts for.
    #[cfg(test)]
    pub(super) fn namespace_of(&self, key: &Key) -> Option<&str> {
        match self.tasks.get(key)? {
            Task::Running { namespace, .. } => Some(namespace),
            Task::Waiting { .. } => None,
        }
    }
}
