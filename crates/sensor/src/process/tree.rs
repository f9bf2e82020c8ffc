//! Who descends from whom, and where each process comes from.
//!
//! Here: forks, execs and exits of the processes of pods. Not here: who they belong to.
//! Invariant: memory is bounded by [`LIMIT`] processes with [`ANCESTORS_LIMIT`] ancestors each,
//! and who was not heard of for the longest time makes room; a process whose start was not seen
//! has the origin that its place in the kernel's tree proves, else `Unknown`.

use crate::kernel::record::{Exec, ProcessKey};
use crate::process::commands::KubeletCommands;
use bailiff_api::{ANCESTORS_LIMIT, Origin};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Most processes that are remembered.
const LIMIT: usize = 32_768;

/// A program as a process runs it, as far as it matters to its descendants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) executable: String,
    pub(crate) names: Vec<String>,
    /// Cut at 256 bytes.
    pub(crate) args: Vec<String>,
    pub(crate) process: ProcessKey,
}

/// How a line of processes came into its pod; its descendants share it. Of one that joined from
/// outside, the pod's commands tell who sent it, and the pod may become known later.
#[derive(Debug)]
pub(crate) struct Start(Mutex<Found>);

#[derive(Debug)]
enum Found {
    Origin(Origin),
    /// It joined by this program.
    Joined(Arc<Exec>),
}

impl Start {
    /// Of a process of which nothing is remembered.
    fn of(exec: &Arc<Exec>) -> Arc<Self> {
        let found = if exec.namespace_init || exec.below_init {
            Found::Origin(Origin::Entrypoint)
        } else if !exec.own_pid_namespace {
            // With a shared PID namespace the first process proves nothing.
            Found::Origin(Origin::Unknown)
        } else if exec.joined {
            Found::Joined(Arc::clone(exec))
        } else {
            Found::Origin(Origin::Exec)
        };
        Arc::new(Self(Mutex::new(found)))
    }

    /// The origin, by the commands of the pod.
    pub(crate) fn origin(&self, commands: &KubeletCommands) -> Origin {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = match &*found {
            Found::Origin(origin) => *origin,
            Found::Joined(exec) => commands.origin_of(exec),
        };
        // The program is not needed any more, and may be large.
        *found = Found::Origin(origin);
        origin
    }

    fn is_unknown(&self) -> bool {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*found, Found::Origin(Origin::Unknown))
    }
}

/// Where a process comes from, and its ancestors, nearest first.
#[derive(Clone, Debug)]
pub(crate) struct Lineage {
    pub(crate) start: Arc<Start>,
    pub(crate) ancestors: Vec<Arc<Image>>,
}

#[derive(Debug)]
struct Known {
    pod: Arc<str>,
    lineage: Lineage,
    image: Arc<Image>,
    /// Its place in `ProcessTree::order`.
    heard: u64,
}

impl Known {
    /// What its children begin with.
    fn for_child(&self) -> Lineage {
        let mut ancestors = Vec::with_capacity(
            self.lineage
                .ancestors
                .len()
                .saturating_add(1)
                .min(ANCESTORS_LIMIT),
        );
        ancestors.push(Arc::clone(&self.image));
        let further = self.lineage.ancestors.iter();
        ancestors.extend(further.take(ANCESTORS_LIMIT - 1).cloned());
        Lineage {
            start: Arc::clone(&self.lineage.start),
            ancestors,
        }
    }
}

/// Every process of a pod that was seen to start or to run a program.
#[derive(Debug, Default)]
pub(crate) struct ProcessTree {
    known: HashMap<ProcessKey, Known>,
    /// The same processes by when something was last heard of them.
    order: BTreeMap<u64, ProcessKey>,
    heard: u64,
    forgotten: u64,
}

impl ProcessTree {
    /// A process made another: it inherits what is known.
    pub(crate) fn fork(&mut self, parent: ProcessKey, child: ProcessKey) {
        let heard = self.hear();
        let Some(known) = self.known.get_mut(&parent) else {
            return;
        };
        let inherited = Known {
            pod: Arc::clone(&known.pod),
            lineage: known.for_child(),
            image: Arc::clone(&known.image),
            heard: 0,
        };
        // A process that forks lives; its place among the oldest is not deserved.
        self.order.remove(&known.heard);
        self.order.insert(heard, parent);
        known.heard = heard;
        self.remember(child, inherited);
    }

    /// The pod that a process is known to be of, from itself or else from its parent. None: it was
    /// not started by a process of a pod, as far as was seen.
    pub(crate) fn pod_of(&self, exec: &Exec) -> Option<Arc<str>> {
        self.known
            .get(&exec.process)
            .or_else(|| self.known.get(&exec.parent))
            .map(|known| Arc::clone(&known.pod))
    }

    /// A process of this pod runs a program.
    pub(crate) fn exec(&mut self, pod: &str, exec: &Arc<Exec>, image: Arc<Image>) -> Lineage {
        let lineage = match self.known.get(&exec.process) {
            // One that joined a container from outside has ancestors elsewhere, if any.
            Some(known) if !exec.joined || !known.lineage.start.is_unknown() => {
                known.lineage.clone()
            }
            _ => match self.known.get(&exec.parent) {
                // Its fork was lost, or happened before the parent was remembered.
                Some(parent) if !exec.joined => parent.for_child(),
                _ => Lineage {
                    start: Start::of(exec),
                    ancestors: Vec::new(),
                },
            },
        };
        self.remember(
            exec.process,
            Known {
                pod: pod.into(),
                lineage: lineage.clone(),
                image,
                heard: 0,
            },
        );
        lineage
    }

    /// A process ended. Its descendants keep what they know of it.
    pub(crate) fn exit(&mut self, process: ProcessKey) {
        if let Some(known) = self.known.remove(&process) {
            self.order.remove(&known.heard);
        }
    }

    /// How many processes made room for others. Most of them ended without being heard of: the
    /// kernel forgot them, or their end was lost.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The next number in the order of what is heard.
    fn hear(&mut self) -> u64 {
        self.heard = self.heard.saturating_add(1);
        self.heard
    }

    fn remember(&mut self, process: ProcessKey, known: Known) {
        let heard = self.hear();
        let before = self.known.insert(process, Known { heard, ..known });
        if let Some(before) = before {
            self.order.remove(&before.heard);
        }
        self.order.insert(heard, process);
        if self.known.len() > LIMIT
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
            self.forgotten = self.forgotten.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests;
