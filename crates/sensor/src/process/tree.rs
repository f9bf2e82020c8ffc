//! Who descends from whom, and where each process comes from.
//!
//! Here: forks, execs and exits of the processes of pods, and those that ran already. Not here: who
//! they belong to.
//! Invariant: memory is bounded by [`CAPACITY`] processes with [`ANCESTORS_LIMIT`] ancestors each, and
//! by [`LIMIT_BYTES`]; of the pod that takes most, who was not heard of for the longest time makes
//! room (`tree/order`); a process whose start was not seen
//! is of the entrypoint only where its session proves it, else its origin is `Unknown`.

mod order;

use crate::kernel::record::{Exec, Found, ProcessKey};
use crate::process::commands::KubeletCommands;
use crate::process::identity::Identity;
use bailiff_api::{ANCESTORS_LIMIT, Origin};
use order::Order;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most processes that are remembered.
const CAPACITY: usize = 32_768;
/// Most bytes of them, as if each had ancestors of its own.
const LIMIT_BYTES: usize = 24 << 20;

/// A program as a process runs it, as far as it matters to its descendants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExecSummary {
    pub(crate) executable: String,
    pub(crate) names: Vec<String>,
    /// Cut at 256 bytes; empty for a process that ran already.
    pub(crate) args: Vec<String>,
    pub(crate) process: ProcessKey,
}

/// Where a line of processes began; its descendants share it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) identity: Identity,
    /// Whether its container is not the pod's sandbox, also if the pod's status lacks it.
    pub(crate) application: bool,
}

/// How a line of processes came into its pod; its descendants share it. Of one that joined from
/// outside, the pod's commands tell who sent it, and the pod may become known later.
#[derive(Debug)]
pub(crate) struct OriginCell(Mutex<Start>);

#[derive(Debug)]
enum Start {
    Origin(Origin),
    /// It joined by this program.
    Joined(Arc<Exec>),
}

impl OriginCell {
    /// Of a process of which nothing is remembered. `older` is whether it was started before all
    /// was seen that happens: then the program by which it joined is not known.
    fn of(exec: &Arc<Exec>, older: bool) -> Arc<Self> {
        // With a shared PID namespace the first process proves nothing.
        if exec.parent_outside_cgroup && exec.own_pid_namespace && !exec.init_session && !older {
            return Arc::new(Self(Mutex::new(Start::Joined(Arc::clone(exec)))));
        }
        Self::of_session(exec.init_session)
    }

    /// Sessions can't be joined, and the runtime begins one for the container's first process and
    /// one for each that it brings in later. So an old process in the first one is none of those.
    fn of_session(init_session: bool) -> Arc<Self> {
        let origin = if init_session {
            Origin::Entrypoint
        } else {
            Origin::Unknown
        };
        Arc::new(Self(Mutex::new(Start::Origin(origin))))
    }

    /// The origin, by the commands of the pod.
    pub(crate) fn origin(&self, commands: &KubeletCommands) -> Origin {
        let mut start = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = match &*start {
            Start::Origin(origin) => *origin,
            Start::Joined(exec) => commands.origin_of(exec),
        };
        // The program is not needed any more, and may be large.
        *start = Start::Origin(origin);
        origin
    }

    fn is_unknown(&self) -> bool {
        let start = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*start, Start::Origin(Origin::Unknown))
    }
}

/// Where a process comes from, and its ancestors, nearest first.
#[derive(Clone, Debug)]
pub(crate) struct Lineage {
    pub(crate) start: Arc<OriginCell>,
    pub(crate) ancestors: Vec<Arc<ExecSummary>>,
}

#[derive(Debug)]
struct Known {
    place: Arc<Place>,
    lineage: Lineage,
    summary: Arc<ExecSummary>,
    /// Its place in `ProcessTree::order`.
    touched: u64,
}

impl ExecSummary {
    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        let texts = self.names.iter().chain(&self.args);
        let texts = texts.map(|text| text.len().saturating_add(24));
        texts
            .fold(self.executable.len(), usize::saturating_add)
            .saturating_add(96)
    }
}

impl Known {
    fn pod(&self) -> &str {
        &self.place.identity.pod_uid
    }

    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        let ancestors = self.lineage.ancestors.iter();
        ancestors
            .chain([&self.summary])
            .map(|summary| summary.bytes())
            .fold(320, usize::saturating_add)
    }

    /// What its children begin with.
    fn for_child(&self) -> Lineage {
        let mut ancestors = Vec::with_capacity(
            self.lineage
                .ancestors
                .len()
                .saturating_add(1)
                .min(ANCESTORS_LIMIT),
        );
        ancestors.push(Arc::clone(&self.summary));
        let further = self.lineage.ancestors.iter();
        ancestors.extend(further.take(ANCESTORS_LIMIT - 1).cloned());
        Lineage {
            start: Arc::clone(&self.lineage.start),
            ancestors,
        }
    }
}

/// Every process of a pod that was seen to start or to run a program, or found running.
#[derive(Debug, Default)]
pub(crate) struct ProcessTree {
    known: HashMap<ProcessKey, Known>,
    /// The same processes by when something was last heard of them.
    order: Order,
    touched: u64,
    dropped: u64,
}

impl ProcessTree {
    /// A process made another: it inherits what is known.
    pub(crate) fn fork(&mut self, parent: ProcessKey, child: ProcessKey) {
        let touched = self.touch();
        let Some(known) = self.known.get_mut(&parent) else {
            return;
        };
        let inherited = Known {
            place: Arc::clone(&known.place),
            lineage: known.for_child(),
            summary: Arc::clone(&known.summary),
            touched: 0,
        };
        // A process that forks lives; its place among the oldest is not deserved.
        let bytes = self.order.remove(known.pod(), known.touched);
        self.order.insert(known.pod(), touched, parent, bytes);
        known.touched = touched;
        self.insert(child, inherited);
    }

    /// Where the line of a process began, from itself or else from its parent. None: it was not
    /// started by a process of a pod, as far as was seen.
    pub(crate) fn place_of(&self, process: ProcessKey, parent: ProcessKey) -> Option<Arc<Place>> {
        self.known
            .get(&process)
            .or_else(|| self.known.get(&parent))
            .map(|known| Arc::clone(&known.place))
    }

    /// A process runs a program. `older` is whether it was started before all was seen that
    /// happens.
    pub(crate) fn exec(
        &mut self,
        place: Arc<Place>,
        exec: &Arc<Exec>,
        summary: Arc<ExecSummary>,
        older: bool,
    ) -> Lineage {
        let outside = exec.parent_outside_cgroup;
        let lineage = match self.known.get(&exec.process) {
            // One that joined a container from outside has ancestors elsewhere, if any.
            Some(known) if !outside || !known.lineage.start.is_unknown() => known.lineage.clone(),
            _ => match self.known.get(&exec.parent) {
                // Its fork was lost, or happened before the parent was remembered.
                Some(parent) if !outside => parent.for_child(),
                _ => Lineage {
                    start: OriginCell::of(exec, older),
                    ancestors: Vec::new(),
                },
            },
        };
        let known = Known {
            place,
            lineage: lineage.clone(),
            summary,
            touched: 0,
        };
        self.insert(exec.process, known);
        lineage
    }

    /// A process runs already. What it came by was not seen; its parents were told of before.
    pub(crate) fn found(&mut self, place: Arc<Place>, found: &Found, summary: Arc<ExecSummary>) {
        let lineage = match self.known.get(&found.process) {
            // The kernel side forgot it. What is known says more, but for a newer program.
            Some(known) if known.summary.executable == summary.executable => return,
            Some(known) => known.lineage.clone(),
            None => match self.known.get(&found.parent) {
                Some(parent) => parent.for_child(),
                None => Lineage {
                    start: OriginCell::of_session(found.init_session),
                    ancestors: Vec::new(),
                },
            },
        };
        let known = Known {
            place,
            lineage,
            summary,
            touched: 0,
        };
        self.insert(found.process, known);
    }

    /// A process ended. Its descendants keep what they know of it.
    pub(crate) fn exit(&mut self, process: ProcessKey) {
        if let Some(known) = self.known.remove(&process) {
            self.order.remove(known.pod(), known.touched);
        }
    }

    /// How many processes made room for others. Most of them ended without being heard of: the
    /// kernel forgot them, or their end was lost.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The next number in the order of what is heard.
    fn touch(&mut self) -> u64 {
        self.touched = self.touched.saturating_add(1);
        self.touched
    }

    fn insert(&mut self, process: ProcessKey, known: Known) {
        let touched = self.touch();
        let known = Known { touched, ..known };
        self.order
            .insert(known.pod(), touched, process, known.bytes());
        if let Some(before) = self.known.insert(process, known) {
            self.order.remove(before.pod(), before.touched);
        }
        while self.order.len() > CAPACITY || self.order.bytes() > LIMIT_BYTES {
            let Some(oldest) = self.order.pop() else {
                return;
            };
            self.known.remove(&oldest);
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests;
