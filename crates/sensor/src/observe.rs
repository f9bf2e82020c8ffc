//! What `bailiff observe` shows: each process of a pod, with the verdicts of the policies.
//!
//! Here: who observes, and what has room for them. Not here: a line (`observe/line`), the socket (`observe/socket`), and
//! printing (the command line).
//! Invariant: an observer delays no evaluation: nothing is made without an observer that has room for it, and no text is
//! made in the loop. What waits for one is bounded to [`ROOM_BYTES`] of text and about as much of what it is made from;
//! what it does not take in time is dropped and counted for it.

mod line;
pub(crate) mod socket;
#[cfg(test)]
mod tests;

use crate::cluster::pods::{PodFacts, Pods};
pub(crate) use line::{NoVerdict, ObservedProcess, Verdicts};
use line::{Observation, Outcome, text_of};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Most bytes of text that wait for an observer. It is also the most of one line: the command line takes as many.
const ROOM_BYTES: usize = 1 << 20;
/// Most lines that wait for an observer.
const ROOM_LINES: usize = 4096;

/// A line for an observer, with the room that it takes until it is written.
pub(crate) struct Line {
    said: Said,
    _room: OwnedSemaphorePermit,
}

enum Said {
    Text(Arc<str>),
    Process(Arc<Observation>, Arc<str>),
}

impl Line {
    /// The text with its end, which is made here.
    pub(crate) fn text(&self) -> Arc<str> {
        match &self.said {
            Said::Text(text) => Arc::clone(text),
            Said::Process(process, node) => process.text(node),
        }
    }
}

/// Somebody who observes.
pub(crate) struct Observer {
    pod: Option<PodName>,
    lines: mpsc::Sender<Line>,
    room: Arc<Semaphore>,
    /// Processes that were dropped since the last line.
    dropped: u64,
}

/// Namespace and name of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl PodName {
    /// From `NAMESPACE/NAME`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        let valid = |part: &str| !part.is_empty() && part.len() <= 253 && !part.contains('/');
        (valid(namespace) && valid(name)).then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl Observer {
    /// Of one pod; absent: of each pod of the node. The lines come out of the receiver.
    pub(crate) fn new(pod: Option<PodName>) -> (Self, mpsc::Receiver<Line>) {
        let (lines, incoming) = mpsc::channel(ROOM_LINES);
        let observer = Self {
            pod,
            lines,
            room: Arc::new(Semaphore::new(ROOM_BYTES)),
            dropped: 0,
        };
        (observer, incoming)
    }

    fn is_about(&self, pod: &PodFacts) -> bool {
        let named = self.pod.as_ref();
        named.is_none_or(|named| named.namespace == pod.namespace && named.name == pod.name)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.room.available_permits() >= bytes && self.lines.capacity() > 0
    }

    /// Room for so many bytes; absent: there is none.
    fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.room).try_acquire_many_owned(bytes).ok()
    }

    /// Whether there was room.
    fn send(&self, value: &Json) -> bool {
        let text = text_of(value);
        let Some(room) = self.room(text.len()) else {
            return false;
        };
        let line = Line {
            said: Said::Text(text),
            _room: room,
        };
        self.lines.try_send(line).is_ok()
    }

    /// How many were dropped is said only when there is room for a process again: else nothing but that is said.
    fn tell(&mut self, process: &Arc<Observation>, node: &Arc<str>) {
        let room = self.room(process.bytes);
        if room.is_some() && self.dropped > 0 {
            let dropped = json!({"kind": "Dropped", "processes": self.dropped});
            if self.send(&dropped) {
                self.dropped = 0;
            }
        }
        let line = room.map(|room| Line {
            said: Said::Process(Arc::clone(process), Arc::clone(node)),
            _room: room,
        });
        let told = self.dropped == 0 && line.is_some_and(|line| self.lines.try_send(line).is_ok());
        if !told {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

/// Everybody who observes, and who is about to.
#[derive(Default)]
pub(crate) struct Observers {
    node: Arc<str>,
    joining: Option<mpsc::Receiver<Observer>>,
    all: Vec<Observer>,
}

impl Observers {
    /// Of this node; those who join come out of the receiver.
    pub(crate) fn new(node: &str, joining: mpsc::Receiver<Observer>) -> Self {
        Self {
            node: node.into(),
            joining: Some(joining),
            all: Vec::new(),
        }
    }

    /// Lets in who joined, and forgets who left. Each is told first where it is, and whether its pod is there.
    pub(crate) fn refresh(&mut self, pods: &Pods) {
        self.all.retain(|observer| !observer.lines.is_closed());
        let Some(joining) = &mut self.joining else {
            return;
        };
        while let Ok(observer) = joining.try_recv() {
            let mut said = json!({"kind": "Started", "node": *self.node});
            if let Some(named) = &observer.pod {
                said["podFound"] = pods.contains(&named.namespace, &named.name).into();
            }
            if observer.send(&said) {
                self.all.push(observer);
            }
        }
    }

    /// Whether somebody observes this pod.
    pub(crate) fn observe(&self, pod: &PodFacts) -> bool {
        self.all.iter().any(|observer| observer.is_about(pod))
    }

    /// No policy was evaluated for a process.
    pub(crate) fn without_verdict(&mut self, process: &ObservedProcess<'_>, reason: NoVerdict) {
        self.tell(process, Outcome::NotEvaluated(reason));
    }

    /// Policies were evaluated for a process; these are evaluated later, when what they read is known.
    pub(crate) fn evaluated(
        &mut self,
        process: &ObservedProcess<'_>,
        verdicts: Verdicts,
        later: Vec<String>,
    ) {
        self.tell(process, Outcome::Evaluated(verdicts, later));
    }

    fn tell(&mut self, process: &ObservedProcess<'_>, outcome: Outcome) {
        let bytes = process.bytes(&self.node, &outcome);
        if !self.have_room(process.pod, bytes) {
            return;
        }
        let observation = Arc::new(Observation::new(process, outcome, bytes));
        for observer in &mut self.all {
            if observer.is_about(process.pod) {
                observer.tell(&observation, &self.node);
            }
        }
    }

    /// Whether somebody who observes this pod has room for so many bytes. If nobody has, the process is dropped for each.
    fn have_room(&mut self, pod: &PodFacts, bytes: usize) -> bool {
        let has_room = |observer: &Observer| observer.is_about(pod) && observer.has_room(bytes);
        let have_room = self.all.iter().any(has_room);
        if !have_room {
            for observer in self.all.iter_mut().filter(|o| o.is_about(pod)) {
                observer.dropped = observer.dropped.saturating_add(1);
            }
        }
        have_room
    }
}
