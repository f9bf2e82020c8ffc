//! A process as a line of `bailiff observe`.
//!
//! Here: what is kept of it until it is written, a bound on its text, and the text. Not here: who observes (`observe`).
//! Invariant: the text is made where it is written, once for all observers, and is never longer than [`Observation::bytes`].

use crate::cluster::pods::PodFacts;
use crate::judge::{StartedProcess, process_of};
use crate::kernel::args::Args;
use bailiff_api::Origin;
use bailiff_policy::{CompiledPolicy, Container, EvaluationError, ProcessParts, Verdict};
use serde_json::{Value as Json, json};
use std::sync::{Arc, OnceLock};

/// Most bytes of what every line has beside texts of others.
const FIXED_BYTES: usize = 1024;
/// The same for one ancestor, one verdict, one capability, and one text of a list.
const ANCESTOR_BYTES: usize = 128;
const VERDICT_BYTES: usize = 64;
const CAPABILITY_BYTES: usize = 24;
const ELEMENT_BYTES: usize = 8;

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

/// What one policy said.
#[derive(Debug)]
struct PolicyVerdict {
    name: String,
    word: &'static str,
    messages: Vec<String>,
}

/// What policies said about a process, for whoever observes it.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Vec<PolicyVerdict>);

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
        self.0.push(PolicyVerdict {
            name: policy.name.clone(),
            word,
            messages,
        });
    }

    fn to_json(&self) -> Json {
        let each = |verdict: &PolicyVerdict| {
            let mut said = json!({"name": verdict.name, "verdict": verdict.word});
            if !verdict.messages.is_empty() {
                said["messages"] = json!(verdict.messages);
            }
            said
        };
        self.0.iter().map(each).collect()
    }
}

/// What became of a process.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Policies were evaluated; those named are evaluated later, when what they read is known.
    Evaluated(Verdicts, Vec<String>),
    NotEvaluated(NoVerdict),
}

/// A process that somebody may observe.
#[derive(Clone, Copy)]
pub(crate) struct ObservedProcess<'a> {
    pub(crate) started: &'a StartedProcess,
    pub(crate) origin: Origin,
    pub(crate) pod: &'a PodFacts,
}

impl ObservedProcess<'_> {
    fn container(&self) -> Option<&Container> {
        let id = self.started.container_id.as_ref()?;
        self.pod.containers.get(id)
    }

    /// Most bytes that its line has.
    pub(super) fn bytes(&self, node: &str, outcome: &Outcome) -> usize {
        let exec = &self.started.exec;
        let container = self.container();
        let of_container = container.map(|c| [&c.name, &c.image, &c.image_id]);
        let of_container = of_container.into_iter().flatten().flatten();
        let script = exec.script.iter().map(|script| &script.path);
        let texts = of_container.chain(script).map(String::as_str).chain([
            node,
            &self.pod.namespace,
            &self.pod.name,
            &exec.executable,
            // A script whose file was not seen has a path of both.
            &exec.filename,
            &exec.filename,
            &exec.working_directory,
            &exec.working_directory,
        ]);
        let args = [&exec.args, &exec.args_tail].map(args_bytes);
        let ancestors = self.started.lineage.ancestors.iter().map(|ancestor| {
            let lists = [&ancestor.names, &ancestor.args].map(|list| list_bytes(list));
            lists
                .into_iter()
                .chain([escaped_bytes(&ancestor.executable)])
                .fold(ANCESTOR_BYTES, usize::saturating_add)
        });
        let capabilities = usize::try_from(exec.capabilities.count_ones()).unwrap_or(usize::MAX);
        texts
            .map(escaped_bytes)
            .chain(args)
            .chain(ancestors)
            .chain([
                list_bytes(&self.started.summary.names),
                capabilities.saturating_mul(CAPABILITY_BYTES),
                outcome.bytes(),
            ])
            .fold(FIXED_BYTES, usize::saturating_add)
    }
}

impl Outcome {
    fn bytes(&self) -> usize {
        match self {
            Self::NotEvaluated(_) => 0,
            Self::Evaluated(verdicts, later) => {
                let each = verdicts.0.iter().map(|verdict| {
                    list_bytes(&verdict.messages)
                        .saturating_add(escaped_bytes(&verdict.name))
                        .saturating_add(VERDICT_BYTES)
                });
                each.fold(list_bytes(later), usize::saturating_add)
            }
        }
    }
}

/// Most bytes of a list of texts as JSON.
fn list_bytes(texts: &[String]) -> usize {
    let each = texts
        .iter()
        .map(|text| escaped_bytes(text).saturating_add(ELEMENT_BYTES));
    each.fold(0, usize::saturating_add)
}

/// Most bytes of a text within JSON.
fn escaped_bytes(text: &str) -> usize {
    bytes_within_json(text.as_bytes(), 1)
}

/// The same of arguments, where each part that is no UTF-8 is U+FFFD. What divides them takes as much as a control
/// character, which is more than JSON has there.
fn args_bytes(args: &Args) -> usize {
    bytes_within_json(args.joined(), '\u{fffd}'.len_utf8())
}

/// `not_ascii`: what a byte takes that is not ASCII.
fn bytes_within_json(text: &[u8], not_ascii: usize) -> usize {
    let escaped = |byte: &u8| match byte {
        0..=0x1f => 6,
        b'"' | b'\\' => 2,
        0x20..=0x7f => 1,
        0x80..=0xff => not_ascii,
    };
    text.iter().map(escaped).fold(0, usize::saturating_add)
}

/// What is kept of a process until its line is written. Nothing of its pod is but names, which a tenant can change as
/// often as it likes.
#[derive(Debug)]
pub(crate) struct Observation {
    started: StartedProcess,
    origin: Origin,
    namespace: String,
    pod: String,
    container: Container,
    outcome: Outcome,
    /// Most bytes of the text.
    pub(super) bytes: usize,
    text: OnceLock<Arc<str>>,
}

impl Observation {
    /// `bytes`: as [`ObservedProcess::bytes`] has them.
    pub(super) fn new(process: &ObservedProcess<'_>, outcome: Outcome, bytes: usize) -> Self {
        Self {
            started: process.started.clone(),
            origin: process.origin,
            namespace: process.pod.namespace.clone(),
            pod: process.pod.name.clone(),
            container: process.container().cloned().unwrap_or_default(),
            outcome,
            bytes,
            text: OnceLock::new(),
        }
    }

    /// The line, with its end.
    pub(super) fn text(&self, node: &str) -> Arc<str> {
        let text = self.text.get_or_init(|| {
            let process = process_of(&self.started, self.origin, ProcessParts::ALL);
            let process = if self.started.found_running {
                process.to_json_of_running()
            } else {
                process.to_json()
            };
            let mut line = json!({
                "kind": "Process",
                "time": self.started.time,
                "node": node,
                "namespace": self.namespace,
                "pod": self.pod,
                "pid": self.started.exec.process.pid,
                "process": process,
                "container": self.container.to_json(),
            });
            if self.started.found_running {
                line["foundRunning"] = true.into();
            }
            match &self.outcome {
                Outcome::NotEvaluated(reason) => line["notEvaluated"] = reason.as_str().into(),
                Outcome::Evaluated(verdicts, later) => {
                    line["policies"] = verdicts.to_json();
                    if !later.is_empty() {
                        line["evaluatedLater"] = json!(later);
                    }
                }
            }
            text_of(&line)
        });
        Arc::clone(text)
    }
}

/// A value as a line.
pub(super) fn text_of(value: &Json) -> Arc<str> {
    format!("{value}\n").into()
}
