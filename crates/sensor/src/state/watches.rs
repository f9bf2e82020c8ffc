//! Whether the watches work that the sensor depends on.
//!
//! Here: which lists were complete, and reports of failures. Not here: the requests (`run`), the objects (`objects`).
//! Invariant: a failure takes nothing away that is known. One that lasts is logged at growing intervals.

use crate::coverage::with_sources;
use crate::pace::Pace;
use bailiff_kube::list_watch::ListWatchError;
use tokio::time::Instant;

pub(super) const PODS: usize = 0;
pub(super) const NAMESPACES: usize = 1;
pub(super) const POLICIES: usize = 2;
pub(super) const BINDINGS: usize = 3;

/// What is watched, as people call it.
const NAMES: [&str; 4] = [
    "pods of this node",
    "namespaces",
    "RuntimePolicies",
    "RuntimePolicyBindings",
];

/// Their kinds, as gaps name them.
pub(super) const KINDS: [&str; 4] = ["pod", "namespace", "RuntimePolicy", "RuntimePolicyBinding"];

/// The watches.
#[derive(Debug, Default)]
pub(super) struct Watches {
    by_kind: [Watched; NAMES.len()],
}

#[derive(Debug, Default)]
struct Watched {
    /// A list was complete.
    complete: bool,
    /// The last failure, since which none was.
    error: Option<String>,
    reports: Pace,
}

impl Watches {
    /// A list is complete.
    pub(super) fn complete(&mut self, what: usize) {
        if let Some(watched) = self.by_kind.get_mut(what) {
            *watched = Watched {
                complete: true,
                ..Watched::default()
            };
        }
    }

    /// A list or a watch failed, and is retried.
    pub(super) fn failed(&mut self, what: usize, error: &ListWatchError) {
        let (Some(watched), Some(name)) = (self.by_kind.get_mut(what), NAMES.get(what)) else {
            return;
        };
        let error = with_sources(error);
        if watched.reports.is_due(Instant::now()) {
            tracing::warn!(
                what = name,
                error,
                "A watch failed and is retried; what was known stays"
            );
        }
        watched.error = Some(error);
    }

    pub(super) fn are_complete(&self, what: &[usize]) -> bool {
        what.iter()
            .all(|what| self.by_kind.get(*what).is_some_and(|w| w.complete))
    }

    pub(super) fn are_all_complete(&self) -> bool {
        self.by_kind.iter().all(|watched| watched.complete)
    }

    /// The lists that are missing, each with its last error. Pods and namespaces are listed after policies and
    /// bindings, so before that only these are missing.
    pub(super) fn missing(&self) -> impl Iterator<Item = String> {
        let first = !self.are_complete(&[POLICIES, BINDINGS]);
        let missing = NAMES.iter().zip(&self.by_kind).enumerate();
        missing.filter_map(move |(what, (name, watched))| {
            let is_next = !first || matches!(what, POLICIES | BINDINGS);
            if watched.complete || !is_next {
                return None;
            }
            Some(match &watched.error {
                Some(error) => format!("the list of {name} ({error})"),
                None => format!("the list of {name}"),
            })
        })
    }
}
