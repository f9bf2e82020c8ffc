//! Evaluating on a pod that was fetched, because it is too large to be kept.
//!
//! Here: what each policy reads of it. Not here: when it is fetched, and the request
//! (`cluster/fetches`).
//! Invariant: nothing of it is kept but the verdicts; each policy has what it reads, or waits on.

use super::State;
use super::waiting::PendingExec;
use crate::cluster::fetches::Fetch;
use crate::cluster::pods::PodFacts;
use crate::cluster::policy_index::MatchedPolicy;
use bailiff_policy::{CompiledPolicy, ProcessParts, project};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// Most bytes of memory of what one policy reads of it, and of all that was read at a time.
const READ_LIMIT_BYTES: usize = 8 << 20;

/// A pod as the API server has it.
pub(super) struct Fetched {
    json: Vec<u8>,
    facts: Arc<PodFacts>,
    /// With what each policy reads, by its UID; none: it is too large.
    read: HashMap<String, Option<Arc<PodFacts>>>,
    read_bytes: usize,
}

impl Fetched {
    /// The pod as it was fetched, without its object; else as it is kept.
    pub(super) fn pod_or(fetched: Option<&Self>, kept: &Arc<PodFacts>) -> Arc<PodFacts> {
        Arc::clone(fetched.map_or(kept, |fetched| &fetched.facts))
    }

    /// The pod with what a policy reads; none: it is too large.
    pub(super) fn with_object_for(&mut self, policy: &CompiledPolicy) -> Option<Arc<PodFacts>> {
        if let Some(read) = self.read.get(&policy.uid) {
            return read.clone();
        }
        let left = READ_LIMIT_BYTES.saturating_sub(self.read_bytes);
        let mut read = project(&self.json, policy.object_reads(), left).ok();
        if read.is_none() && self.read_bytes > 0 {
            self.read.retain(|_, read| read.is_none());
            self.read_bytes = 0;
            read = project(&self.json, policy.object_reads(), READ_LIMIT_BYTES).ok();
        }
        let read = read.map(|(object, bytes)| {
            self.read_bytes = self.read_bytes.saturating_add(bytes);
            Arc::new(self.facts.with_object(object))
        });
        self.read.insert(policy.uid.clone(), read.clone());
        read
    }
}

/// What is known for the evaluation of a process.
pub(super) struct Ready<'a> {
    kept: &'a PodFacts,
    known: bool,
    in_time: bool,
}

/// Policies, by what they are evaluated on.
pub(super) struct Sorted<'a> {
    pub(super) now_ones: Vec<&'a MatchedPolicy>,
    pub(super) on_fetched: Vec<(&'a MatchedPolicy, Arc<PodFacts>)>,
    pub(super) later: Vec<&'a MatchedPolicy>,
}

impl Sorted<'_> {
    /// Which parts of the process are read by those that are evaluated now; none: none is.
    pub(super) fn parts(&self) -> Option<ProcessParts> {
        let on_fetched = self.on_fetched.iter().map(|(rule, _)| rule);
        let rules = self.now_ones.iter().chain(on_fetched);
        let parts = rules.map(|rule| rule.policy.process_parts());
        parts.reduce(ProcessParts::union)
    }
}

impl<'k> Ready<'k> {
    /// `known`: the container is; `in_time`: the process can wait on.
    pub(super) const fn of(kept: &'k PodFacts, known: bool, in_time: bool) -> Self {
        Self {
            kept,
            known,
            in_time,
        }
    }

    /// What a policy reads of a pod that is too large is fetched; each policy has it for itself.
    pub(super) fn sort<'a>(
        &self,
        matching: &[&'a MatchedPolicy],
        mut fetched: Option<&mut Fetched>,
        is_complete: impl Fn(&MatchedPolicy) -> bool,
    ) -> Sorted<'a> {
        let mut sorted = Sorted {
            now_ones: Vec::new(),
            on_fetched: Vec::new(),
            later: Vec::new(),
        };
        for &rule in matching {
            let waits = !self.known && self.in_time && rule.policy.needs_container();
            if waits || !is_complete(rule) {
                sorted.later.push(rule);
            } else if !self.reads_left_out(rule) {
                sorted.now_ones.push(rule);
            } else if let Some(fetched) = fetched.as_deref_mut()
                && let Some(pod) = fetched.with_object_for(&rule.policy)
            {
                sorted.on_fetched.push((rule, pod));
            } else if self.in_time {
                sorted.later.push(rule);
            } else {
                sorted.now_ones.push(rule);
            }
        }
        sorted
    }

    /// Whether a policy waits for a pod that has to be fetched.
    pub(super) fn is_lacking(&self, rule: &MatchedPolicy) -> bool {
        let container = rule.policy.needs_container() && !self.known;
        self.in_time && (self.reads_left_out(rule) || container && self.kept.containers_left_out())
    }

    fn reads_left_out(&self, rule: &MatchedPolicy) -> bool {
        rule.policy.needs_object() && self.kept.object_left_out()
    }
}

impl State {
    /// A pod of which too little is kept has to be fetched for a process.
    pub(super) fn ask_for(&mut self, waiting: &PendingExec, kept: &PodFacts) {
        self.fetches.ask(Fetch {
            pod_uid: waiting.started.pod_uid.clone(),
            namespace: kept.namespace.clone(),
            name: kept.name.clone(),
        });
    }

    /// The pod that is fetched now; none where none waits, or not yet.
    pub(crate) fn next_fetch(&mut self, now: Instant) -> Option<Fetch> {
        self.fetches.next(now)
    }

    /// A pod was fetched, or could not be: what waits for it is evaluated on it.
    pub(crate) async fn fetched(&mut self, fetch: Fetch, json: Option<Vec<u8>>) {
        let Some(json) = json else {
            return;
        };
        let facts = match PodFacts::fetched(&json, &self.needs) {
            Ok(facts) => facts,
            Err(error) => {
                let error = crate::coverage::with_sources(&error);
                tracing::warn!(pod = fetch.name, error, "Fetched pod cannot be decoded");
                return;
            }
        };
        // Another one may have its name by now.
        let kept = self.pods.get(&fetch.pod_uid);
        if kept.is_none_or(|kept| kept.uid != facts.uid) {
            return;
        }
        let mut fetched = Fetched {
            json,
            facts: Arc::new(facts),
            read: HashMap::new(),
            read_bytes: 0,
        };
        let now = Timestamp::now();
        for waiting in self.pending.take(|uid, _| uid == fetch.pod_uid) {
            self.try_evaluate(waiting, now, Some(&mut fetched)).await;
        }
    }
}
