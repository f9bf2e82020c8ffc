//! What `bailiff observe` shows: each process of a pod, with the verdicts of the policies.
//!
//! Here: who observes, and what they are told. Not here: the socket (`observe/socket`), and printing (the command line).
//! Invariant: an observer delays no evaluation and takes a bounded amount of memory: what it does not take in time is
//! dropped and counted for it. Nothing is made without an observer.

pub(crate) mod socket;

use crate::cluster::pods::{PodFacts, Pods};
use crate::judge::StartedProcess;
use bailiff_policy::{CompiledPolicy, Container, EvaluationError, Process, Verdict};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Most bytes that wait for an observer.
const ROOM_BYTES: usize = 1 << 20;
/// Most lines that wait for an observer.
const ROOM_LINES: usize = 4096;

/// A line for an observer, with the room that it takes until it is written.
pub(crate) struct Line {
    pub(crate) text: Arc<str>,
    _room: OwnedSemaphorePermit,
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

    /// The line with room for it; absent: there is none.
    fn line(&self, text: Arc<str>) -> Option<Line> {
        let bytes = u32::try_from(text.len()).ok()?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).ok()?;
        Some(Line { text, _room: room })
    }

    /// Whether there was room.
    fn send(&self, value: &Json) -> bool {
        let line = self.line(text_of(value));
        line.is_some_and(|line| self.lines.try_send(line).is_ok())
    }

    /// How many were dropped is said only when there is room for a process again: else nothing but that is said.
    fn tell(&mut self, process: Arc<str>) {
        let line = self.line(process);
        if line.is_some() && self.dropped > 0 {
            let dropped = json!({"kind": "Dropped", "processes": self.dropped});
            if self.send(&dropped) {
                self.dropped = 0;
            }
        }
        let told = self.dropped == 0 && line.is_some_and(|line| self.lines.try_send(line).is_ok());
        if !told {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

/// A value as a line.
fn text_of(value: &Json) -> Arc<str> {
    format!("{value}\n").into()
}

/// Why no policy was evaluated for a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoVerdict {
    /// No policy with a binding matches the pod.
    NoPolicy,
    /// The process belongs to the pod sandbox.
    Sandbox,
}

impl NoVerdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NoPolicy => "NoPolicy",
            Self::Sandbox => "Sandbox",
        }
    }
}

/// What policies said about a process, for whoever observes it.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Vec<Json>);

impl Verdicts {
    pub(crate) fn add(&mut self, policy: &CompiledPolicy, verdict: &Verdict) {
        let of_errors = |errors: &[EvaluationError]| -> Vec<String> {
            errors.iter().map(|error| error.message.clone()).collect()
        };
        let (word, messages) = match verdict {
            Verdict::NotMatched => ("NotMatched", Vec::new()),
            Verdict::Allowed => ("Allowed", Vec::new()),
            Verdict::Violated(violations, errors) => {
                let mut said: Vec<_> = violations.iter().map(|v| v.message.clone()).collect();
                said.extend(of_errors(errors));
                ("Violated", said)
            }
            Verdict::EvaluationFailed(errors) => ("EvaluationFailed", of_errors(errors)),
            Verdict::Unknown(errors) => ("Unknown", of_errors(errors)),
        };
        let mut said = json!({"name": policy.name, "verdict": word});
        if !messages.is_empty() {
            said["messages"] = json!(messages);
        }
        self.0.push(said);
    }
}

/// Everybody who observes, and who is about to.
#[derive(Default)]
pub(crate) struct Observers {
    node: String,
    joining: Option<mpsc::Receiver<Observer>>,
    all: Vec<Observer>,
}

impl Observers {
    /// Of this node; those who join come out of the receiver.
    pub(crate) fn new(node: &str, joining: mpsc::Receiver<Observer>) -> Self {
        Self {
            node: node.to_owned(),
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
            let mut said = json!({"kind": "Started", "node": self.node});
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
    pub(crate) fn without_verdict(
        &mut self,
        started: &StartedProcess,
        process: &Process,
        pod: &PodFacts,
        reason: NoVerdict,
    ) {
        let mut line = self.line(started, process, pod);
        line["notEvaluated"] = reason.as_str().into();
        self.tell(pod, &line);
    }

    /// Policies were evaluated for a process; these are evaluated later, when what they read is known.
    pub(crate) fn evaluated(
        &mut self,
        started: &StartedProcess,
        process: &Process,
        pod: &PodFacts,
        verdicts: Verdicts,
        later: &[&str],
    ) {
        let mut line = self.line(started, process, pod);
        line["policies"] = Json::Array(verdicts.0);
        if !later.is_empty() {
            line["evaluatedLater"] = json!(later);
        }
        self.tell(pod, &line);
    }

    fn line(&self, started: &StartedProcess, process: &Process, pod: &PodFacts) -> Json {
        let id = started.container_id.as_ref();
        let container = id.and_then(|id| pod.containers.get(id));
        let process = if started.found_running {
            process.to_json_of_running()
        } else {
            process.to_json()
        };
        let mut line = json!({
            "kind": "Process",
            "time": started.time,
            "node": self.node,
            "namespace": pod.namespace,
            "pod": pod.name,
            "pid": started.exec.process.pid,
            "process": process,
            "container": container.map_or_else(|| json!({}), Container::to_json),
        });
        if started.found_running {
            line["foundRunning"] = true.into();
        }
        line
    }

    fn tell(&mut self, pod: &PodFacts, line: &Json) {
        let text = text_of(line);
        for observer in &mut self.all {
            if observer.is_about(pod) {
                observer.tell(Arc::clone(&text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(incoming: &mut mpsc::Receiver<Line>) -> Vec<Json> {
        let lines = std::iter::from_fn(|| incoming.try_recv().ok());
        lines
            .map(|line| serde_json::from_str(&line.text).unwrap())
            .collect()
    }

    #[test]
    fn who_does_not_read_loses_lines_and_learns_how_many() {
        let (mut observer, mut incoming) = Observer::new(None);
        let line = json!({"kind": "Process", "text": "x".repeat(ROOM_BYTES / 4)});
        for _ in 0..10 {
            observer.tell(text_of(&line));
        }
        let kinds = |lines: &[Json]| -> Vec<String> {
            lines.iter().map(|line| line["kind"].to_string()).collect()
        };
        let process = r#""Process""#;
        assert_eq!(kinds(&received(&mut incoming)), [process; 3]);
        observer.tell(text_of(&line));
        let after = received(&mut incoming);
        assert_eq!(kinds(&after), [r#""Dropped""#, process]);
        assert_eq!(after[0]["processes"], 7);
    }

    #[test]
    fn lines_are_bounded_in_number_too() {
        let (mut observer, mut incoming) = Observer::new(None);
        for _ in 0..ROOM_LINES + 5 {
            observer.tell(text_of(&json!({})));
        }
        assert_eq!(received(&mut incoming).len(), ROOM_LINES);
        assert_eq!(observer.dropped, 5);
    }

    #[test]
    fn the_room_is_free_again_when_a_line_was_written() {
        let (mut observer, mut incoming) = Observer::new(None);
        for _ in 0..100 {
            observer.tell(text_of(&json!({"text": "x".repeat(ROOM_BYTES / 4)})));
            assert_eq!(received(&mut incoming).len(), 1);
        }
        assert_eq!(observer.dropped, 0);
    }

    #[test]
    fn a_pod_is_named_by_its_namespace_and_name() {
        let named = PodName::parse("shop/web-1").unwrap();
        assert_eq!(
            (named.namespace.as_str(), named.name.as_str()),
            ("shop", "web-1")
        );
        for text in ["", "web-1", "/web-1", "shop/", "a/b/c", &"x/".repeat(600)] {
            assert_eq!(PodName::parse(text), None, "{text}");
        }
    }
}
