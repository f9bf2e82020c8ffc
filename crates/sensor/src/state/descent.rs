//! Whose process executes something, as far as descent tells.
//!
//! Here: what the process table and the kernel side remember, together. Not here: cgroups and namespaces (`state`).
//! Invariant: a process that one of the two knows as a pod's is never taken for the container runtime's, and neither is
//! one that there may have been no room to remember.

use crate::cluster::pods::PodFacts;
use crate::judge::StartedProcess;
use crate::kernel::record::{Descent, Exec, Root};
use crate::metrics::NotEvaluated;
use crate::process::identity::{Identity, identity};
use crate::process::tree::Place;
use std::borrow::Cow;

/// Whether the pod's status names the container of a program. One that moved itself to a cgroup that
/// is none of a container is of the container that its line began in.
pub(super) fn is_listed(started: &mut StartedProcess, pod: &PodFacts) -> bool {
    let listed = |id: &Option<String>| {
        id.as_ref()
            .is_some_and(|id| pod.containers.contains_key(id))
    };
    if listed(&started.container_id) {
        return true;
    }
    let began = &started.place.identity.container_id;
    let moved = listed(began);
    if moved {
        started.container_id.clone_from(began);
    }
    moved
}

/// Whose process executes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A pod's.
    Pod,
    /// The container runtime's, which sets a container up in its cgroup before it gives it a root directory.
    Runtime,
    /// The runtime's, or one of a pod that could not be remembered.
    Unknown,
}

/// Whose process executes something. A process that a pod's own process started is never the runtime's, wherever it
/// went: the process table knows it, or the kernel side does. In a pod, nothing can lie so deep that its root is not
/// known but what descends from the pod's processes.
pub(super) fn whose(exec: &Exec, in_table: bool) -> Whose {
    // The kernel side tells no other process outside of the pods' cgroups than a pod's.
    if in_table || exec.left_pod_cgroup {
        return Whose::Pod;
    }
    match exec.root {
        Root::Container => return Whose::Pod,
        Root::Unknown if !exec.parent_outside_cgroup => return Whose::Pod,
        Root::Machine | Root::Unknown => {}
    }
    match exec.descent {
        Descent::Pod { .. } => Whose::Pod,
        Descent::NoPod => Whose::Runtime,
        Descent::Unknown => Whose::Unknown,
    }
}

/// The pod and container that the line of a process began in: as the process table has it, else as the kernel side
/// remembers. None: that does not remember it either.
///
/// # Errors
/// Where it is remembered as a process of a pod, and it is not known any more of which.
pub(super) fn line<'a>(
    known: Option<&'a Place>,
    exec: &Exec,
) -> Result<Option<Cow<'a, Identity>>, NotEvaluated> {
    if let Some(place) = known {
        return Ok(Some(Cow::Borrowed(&place.identity)));
    }
    match &exec.descent {
        Descent::Pod { home: Some(home) } => {
            let identity = identity(home).ok_or(NotEvaluated::UnrecognizedCgroup)?;
            Ok(Some(Cow::Owned(identity)))
        }
        Descent::Pod { home: None } => Err(NotEvaluated::AmbiguousPod),
        Descent::NoPod | Descent::Unknown => Ok(None),
    }
}
