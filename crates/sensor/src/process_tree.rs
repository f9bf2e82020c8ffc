//! Who descends from whom, and where each process comes from.
//!
//! Here: forks, execs and exits of the processes of pods. Not here: who they belong to.
//! Invariant: memory is bounded by [`LIMIT`] processes with [`ANCESTORS_LIMIT`] ancestors each;
//! a process whose start was not seen has the origin that its place in the kernel's tree proves,
//! else `Unknown`.

use crate::record::{Exec, ProcessKey};
use bailiff_api::{ANCESTORS_LIMIT, Origin};
use std::collections::HashMap;
use std::sync::Arc;

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

#[derive(Clone, Debug)]
struct Known {
    origin: Origin,
    image: Arc<Image>,
    ancestors: Vec<Arc<Image>>,
}

/// Every process of a pod that was seen to start or to run a program.
#[derive(Debug, Default)]
pub(crate) struct ProcessTree {
    known: HashMap<ProcessKey, Known>,
    forgotten: u64,
}

/// Commands by which the kubelet enters containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KubeletCommands {
    pub(crate) probes: Vec<Vec<String>>,
    pub(crate) lifecycle: Vec<Vec<String>>,
}

impl ProcessTree {
    /// A process made another: it inherits what is known.
    pub(crate) fn fork(&mut self, parent: ProcessKey, child: ProcessKey) {
        let Some(known) = self.known.get(&parent) else {
            return;
        };
        let mut ancestors =
            Vec::with_capacity(known.ancestors.len().saturating_add(1).min(ANCESTORS_LIMIT));
        ancestors.push(Arc::clone(&known.image));
        ancestors.extend(known.ancestors.iter().take(ANCESTORS_LIMIT - 1).cloned());
        let inherited = Known {
            origin: known.origin,
            image: Arc::clone(&known.image),
            ancestors,
        };
        self.remember(child, inherited);
    }

    /// A process runs a program: its origin and its ancestors, nearest first.
    ///
    /// `args` are the program's, for comparison with what the kubelet runs.
    pub(crate) fn exec(
        &mut self,
        exec: &Exec,
        args: &[String],
        commands: &KubeletCommands,
        image: Image,
    ) -> (Origin, Vec<Arc<Image>>) {
        let image = Arc::new(image);
        let (origin, ancestors) = match self.known.get(&exec.process) {
            // One that joined a container from outside has ancestors elsewhere, if any.
            Some(known) if !exec.joined || known.origin != Origin::Unknown => {
                (known.origin, known.ancestors.clone())
            }
            _ => match self.known.get(&exec.parent) {
                // Its fork was lost, or happened before the parent was remembered.
                Some(parent) if !exec.joined => {
                    let mut ancestors = vec![Arc::clone(&parent.image)];
                    ancestors.extend(parent.ancestors.iter().take(ANCESTORS_LIMIT - 1).cloned());
                    (parent.origin, ancestors)
                }
                _ => (origin(exec, args, commands), Vec::new()),
            },
        };
        self.remember(
            exec.process,
            Known {
                origin,
                image,
                ancestors: ancestors.clone(),
            },
        );
        (origin, ancestors)
    }

    /// A process ended. Its descendants keep what they know of it.
    pub(crate) fn exit(&mut self, process: ProcessKey) {
        self.known.remove(&process);
    }

    /// How many processes were not remembered for lack of room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn remember(&mut self, process: ProcessKey, known: Known) {
        if self.known.len() >= LIMIT && !self.known.contains_key(&process) {
            self.forgotten = self.forgotten.saturating_add(1);
            return;
        }
        self.known.insert(process, known);
    }
}

/// Where a process comes from of which nothing is remembered.
fn origin(exec: &Exec, args: &[String], commands: &KubeletCommands) -> Origin {
    if exec.namespace_init || exec.below_init {
        return Origin::Entrypoint;
    }
    if !exec.own_pid_namespace {
        // With a shared PID namespace the first process proves nothing.
        return Origin::Unknown;
    }
    if exec.joined {
        let same = |command: &Vec<String>| command == args;
        if commands.probes.iter().any(same) {
            return Origin::Probe;
        }
        if commands.lifecycle.iter().any(same) {
            return Origin::Lifecycle;
        }
    }
    Origin::Exec
}

#[cfg(test)]
mod tests;
