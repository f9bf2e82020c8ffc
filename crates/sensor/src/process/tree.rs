//! Who descends from whom, and where each process comes from.
//!
//! Here: execs and exits of the processes of pods, and those that ran already. What is forked is remembered by the
//! kernel side, which names the process of this tree that it descends from. Not here: who they belong to.
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
/// Most programs of a process that are remembered besides the one that it runs: its first and its last ones.
const EARLIER_LIMIT: usize = 4;

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
        // With a shared PID namespace its first process proves nothing, but the container's does.
        let joined_namespace =
            exec.parent_outside_cgroup && exec.own_pid_namespace && !exec.init_session && !older;
        if joined_namespace || exec.joined_container {
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

    /// The origin, by the commands of the pod; `container` is the name of the one that it joined. None: the pod's
    /// status does not have it yet, and the commands of all containers count until it has.
    pub(crate) fn origin(&self, commands: &KubeletCommands, container: Option<&str>) -> Origin {
        let mut start = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = match &*start {
            Start::Origin(origin) => *origin,
            Start::Joined(exec) => commands.origin_of(exec, container),
        };
        if container.is_some() || origin == Origin::Exec {
            // The program is not needed any more, and may be large.
            *start = Start::Origin(origin);
        }
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
    program: Program,
    /// What it ran before, oldest first: what was forked then descends from that.
    earlier: Vec<Program>,
    /// Its place in `ProcessTree::order`.
    touched: u64,
}

/// A program of a process.
#[derive(Clone, Debug)]
struct Program {
    /// Since when it runs, in ns since boot.
    since: u64,
    summary: Arc<ExecSummary>,
    rights: Rights,
}

/// As whom a program was executed, or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// A bit for each.
    pub(crate) capabilities: u64,
    pub(crate) left_pod_cgroup: bool,
}

/// What is remembered of a process that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) place: Arc<Place>,
    pub(crate) lineage: Lineage,
    /// Since when it runs its program, in ns since boot; 0: that was not seen.
    pub(crate) since: u64,
    pub(crate) summary: Arc<ExecSummary>,
    pub(crate) rights: Rights,
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
        let earlier = self.earlier.iter().map(|program| &program.summary);
        ancestors
            .chain(earlier)
            .chain([&self.program.summary])
            .map(|summary| summary.bytes())
            .fold(320, usize::saturating_add)
    }

    /// What it ran when a child was forked; absent: a child whose fork was not seen, which is taken for one of now.
    fn program_at(&self, forked: Option<u64>) -> &Program {
        let Some(forked) = forked.filter(|forked| *forked < self.program.since) else {
            return &self.program;
        };
        let mut earlier = self.earlier.iter().rev();
        let then = earlier.find(|program| program.since <= forked);
        then.or(self.earlier.first()).unwrap_or(&self.program)
    }

    /// What a child begins with.
    fn for_child(&self, forked: Option<u64>) -> Lineage {
        let mut ancestors = Vec::with_capacity(
            self.lineage
                .ancestors
                .len()
                .saturating_add(1)
                .min(ANCESTORS_LIMIT),
        );
        ancestors.push(Arc::clone(&self.program_at(forked).summary));
        let further = self.lineage.ancestors.iter();
        ancestors.extend(further.take(ANCESTORS_LIMIT - 1).cloned());
        Lineage {
            start: Arc::clone(&self.lineage.start),
            ancestors,
        }
    }
}

/// Every process of a pod that was seen to run a program, or found running.
#[derive(Debug, Default)]
pub(crate) struct ProcessTree {
    known: HashMap<ProcessKey, Known>,
    /// The same processes by when something was last heard of them.
    order: Order,
    touched: u64,
    dropped: u64,
}

impl ProcessTree {
    /// Something that descends from a process is executed: that process lives, or others descend from it, and its place
    /// among the oldest is not deserved.
    fn heard_of(&mut self, process: ProcessKey) {
        let touched = self.touch();
        if let Some(known) = self.known.get_mut(&process) {
            let bytes = self.order.remove(known.pod(), known.touched);
            self.order.insert(known.pod(), touched, process, bytes);
            known.touched = touched;
        }
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
                // One that descends from a process of the pod may have been adopted by one outside.
                Some(parent)
                    if !outside || exec.forked.is_some() && !parent.lineage.start.is_unknown() =>
                {
                    parent.for_child(exec.forked)
                }
                _ => Lineage {
                    start: OriginCell::of(exec, older),
                    ancestors: Vec::new(),
                },
            },
        };
        self.heard_of(exec.parent);
        let program = Program {
            since: exec.time,
            summary,
            rights: Rights {
                uid: exec.uid,
                gid: exec.gid,
                capabilities: exec.capabilities,
                left_pod_cgroup: exec.left_pod_cgroup,
            },
        };
        self.runs(exec.process, place, lineage.clone(), program);
        lineage
    }

    /// A process runs a program from now on.
    fn runs(&mut self, process: ProcessKey, place: Arc<Place>, lineage: Lineage, program: Program) {
        let mut earlier = Vec::new();
        if let Some(before) = self.known.get_mut(&process) {
            earlier = std::mem::take(&mut before.earlier);
            earlier.push(before.program.clone());
            if earlier.len() > EARLIER_LIMIT {
                earlier.remove(1);
            }
        }
        let known = Known {
            place,
            lineage,
            program,
            earlier,
            touched: 0,
        };
        self.insert(process, known);
    }

    /// A process runs already. What it came by was not seen; its parents were told of before. Absent: it is known to
    /// run this, so that nothing is new.
    pub(crate) fn found(
        &mut self,
        place: Arc<Place>,
        found: &Found,
        summary: Arc<ExecSummary>,
    ) -> Option<Lineage> {
        let mut since = 0;
        let lineage = match self.known.get(&found.process) {
            // The kernel side forgot it. What is known says more, but for a newer program.
            Some(known) if known.program.summary.executable == summary.executable => return None,
            Some(known) => {
                since = known.program.since.saturating_add(1);
                known.lineage.clone()
            }
            None => match self.known.get(&found.parent) {
                Some(parent) => parent.for_child(found.forked),
                None => Lineage {
                    start: OriginCell::of_session(found.init_session),
                    ancestors: Vec::new(),
                },
            },
        };
        let rights = Rights {
            uid: found.uid,
            gid: found.gid,
            capabilities: found.capabilities,
            left_pod_cgroup: false,
        };
        let program = Program {
            since,
            summary,
            rights,
        };
        self.runs(found.process, place, lineage.clone(), program);
        Some(lineage)
    }

    /// A process ended. Its descendants keep what they know of it.
    pub(crate) fn exit(&mut self, process: ProcessKey) {
        if let Some(known) = self.known.remove(&process) {
            self.order.remove(known.pod(), known.touched);
        }
    }

    /// The processes that are known to run.
    pub(crate) fn processes(&self) -> Vec<ProcessKey> {
        self.known.keys().copied().collect()
    }

    /// What is remembered of a process; absent: it ended, or made room for others.
    pub(crate) fn running(&self, process: ProcessKey) -> Option<Running> {
        let known = self.known.get(&process)?;
        Some(Running {
            place: Arc::clone(&known.place),
            lineage: known.lineage.clone(),
            since: known.program.since,
            summary: Arc::clone(&known.program.summary),
            rights: known.program.rights,
        })
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
