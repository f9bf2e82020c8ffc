//! Which containers of a pod are its application, before the pod's status names them.
//!
//! Here: the namespaces that the containers of a pod share, and who had them first. Not here: the
//! status, which decides where it is known.
//! Invariant: nothing is taken for the application that could be the pod's sandbox. The runtime
//! starts the sandbox first and gives each container after it the sandbox's namespaces, so who has a
//! namespace that an earlier container of the pod had is not the sandbox. No name tells it. Numbers
//! that any sandbox could have, as the node's namespaces and those that are not known, do not count. A second process
//! that executes something in a container tells, too: a sandbox has one, and nobody can execute anything in it.

use crate::kernel::record::ProcessKey;
use std::collections::{HashMap, VecDeque};

/// Most namespaces of a pod that are remembered: those of its last sandboxes.
const NAMESPACES_PER_POD: usize = 24;
/// Most containers of a pod whose first process is remembered.
const CONTAINERS_PER_POD: usize = 24;

/// Namespaces of the pods, and the first container that was seen in each.
#[derive(Debug, Default)]
pub(crate) struct Sandboxes {
    by_pod: HashMap<String, Vec<FirstSeen>>,
    /// The first process of each pod's last containers, oldest first.
    first_processes: HashMap<String, VecDeque<(String, ProcessKey)>>,
}

#[derive(Debug)]
struct FirstSeen {
    namespace: u64,
    /// None: a process beside the containers, as a sandbox may be.
    container_id: Option<String>,
}

impl Sandboxes {
    /// The runtime brought a process into a container; these are its network, IPC and UTS
    /// namespaces, 0 where they do not count. Whether an earlier container of the pod had one of
    /// them.
    pub(crate) fn shares_with_earlier(
        &mut self,
        pod_uid: &str,
        container_id: Option<&str>,
        namespaces: [u64; 3],
    ) -> bool {
        let mut shares = false;
        for namespace in namespaces.into_iter().filter(|number| *number != 0) {
            let seen = match self.by_pod.get_mut(pod_uid) {
                Some(seen) => seen,
                None => self.by_pod.entry(pod_uid.to_owned()).or_default(),
            };
            if let Some(first) = seen.iter().find(|first| first.namespace == namespace) {
                shares |= first.container_id.as_deref() != container_id;
                continue;
            }
            if seen.len() >= NAMESPACES_PER_POD {
                seen.remove(0);
            }
            seen.push(FirstSeen {
                namespace,
                container_id: container_id.map(str::to_owned),
            });
        }
        shares
    }

    /// A process executes something in a container. Whether another one did before.
    pub(crate) fn is_not_the_first(
        &mut self,
        pod_uid: &str,
        container_id: &str,
        process: ProcessKey,
    ) -> bool {
        let seen = match self.first_processes.get_mut(pod_uid) {
            Some(seen) => seen,
            None => self.first_processes.entry(pod_uid.to_owned()).or_default(),
        };
        if let Some((_, first)) = seen.iter().find(|(seen, _)| seen == container_id) {
            return *first != process;
        }
        if seen.len() >= CONTAINERS_PER_POD {
            seen.pop_front();
        }
        seen.push_back((container_id.to_owned(), process));
        false
    }

    /// How many pods are remembered.
    pub(crate) fn len(&self) -> usize {
        self.by_pod.len().max(self.first_processes.len())
    }

    /// Keeps the pods that are known.
    pub(crate) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.by_pod.retain(|uid, _| is_known(uid));
        self.first_processes.retain(|uid, _| is_known(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_first_is_taken_for_the_sandbox_and_who_shares_with_it_is_not() {
        let mut sandboxes = Sandboxes::default();
        let mut shares = |container, namespaces| {
            sandboxes.shares_with_earlier("pod", Some(container), namespaces)
        };
        assert!(!shares("pause", [1, 2, 3]));
        assert!(!shares("pause", [1, 2, 3]), "its second program");
        assert!(shares("web", [1, 2, 3]));
        assert!(shares("proxy", [1, 0, 0]));
        assert!(shares("utsless", [0, 2, 9]));
        assert!(!shares("host", [0, 0, 0]), "the node's namespaces");
        // The sandbox was restarted: it has namespaces of its own, and so have its containers.
        assert!(!shares("pause-2", [4, 5, 6]));
        assert!(shares("web-2", [4, 5, 6]));
    }

    #[test]
    fn pods_do_not_speak_for_each_other() {
        let mut sandboxes = Sandboxes::default();
        assert!(!sandboxes.shares_with_earlier("a", Some("pause"), [1, 2, 3]));
        assert!(!sandboxes.shares_with_earlier("b", Some("pause-b"), [1, 2, 3]));
        assert!(!sandboxes.shares_with_earlier("c", None, [7, 0, 0]));
        assert!(sandboxes.shares_with_earlier("c", Some("web"), [7, 0, 0]));
        sandboxes.retain(|uid| uid == "c");
        assert_eq!(sandboxes.len(), 1);
    }

    #[test]
    fn a_pod_that_is_restarted_forever_stays_small() {
        let mut sandboxes = Sandboxes::default();
        for round in 1..1000_u64 {
            let namespaces = [round, 1_000_000 + round, 2_000_000 + round];
            let mut shares = |container: String| {
                sandboxes.shares_with_earlier("pod", Some(&container), namespaces)
            };
            assert!(!shares(format!("pause-{round}")));
            assert!(shares(format!("web-{round}")));
        }
        assert_eq!(sandboxes.by_pod["pod"].len(), NAMESPACES_PER_POD);
    }
}
