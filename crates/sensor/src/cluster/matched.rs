//! Which policies apply to pods with certain labels, as it was found before.
//!
//! Here: remembering answers. Not here: finding them (`policy_index`).
//! Invariant: an answer is that for the same labels, and no older than the last change of policies and bindings. Memory is
//! bounded: tenants write labels.

use crate::cluster::policy_index::MatchedPolicy;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

type Labels = BTreeMap<String, String>;

/// Most answers that are remembered; a node has 110 pods, or some more.
const KEPT: usize = 512;
/// Most bytes of the labels of an answer. Those of usual pods have some hundred.
const LABELS_LIMIT_BYTES: usize = 4096;

/// The answers, by a hash of the labels.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    hash: RandomState,
    answers: HashMap<u64, Answer>,
}

#[derive(Debug)]
struct Answer {
    namespace: Labels,
    pod: Labels,
    policies: Arc<[MatchedPolicy]>,
}

impl Matched {
    /// The answer for these labels, if it is remembered.
    pub(crate) fn get(&self, namespace: &Labels, pod: &Labels) -> Option<Arc<[MatchedPolicy]>> {
        let answer = self.answers.get(&self.hash.hash_one((namespace, pod)))?;
        let is_same = answer.namespace == *namespace && answer.pod == *pod;
        is_same.then(|| Arc::clone(&answer.policies))
    }

    /// Remembers an answer.
    pub(crate) fn keep(
        &mut self,
        namespace: &Labels,
        pod: &Labels,
        policies: &Arc<[MatchedPolicy]>,
    ) {
        let bytes = |labels: &Labels| labels.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
        if bytes(namespace).saturating_add(bytes(pod)) > LABELS_LIMIT_BYTES {
            return;
        }
        if self.answers.len() >= KEPT {
            self.answers.clear();
        }
        let answer = Answer {
            namespace: namespace.clone(),
            pod: pod.clone(),
            policies: Arc::clone(policies),
        };
        self.answers
            .insert(self.hash.hash_one((namespace, pod)), answer);
    }

    /// Forgets all: policies or bindings changed.
    pub(crate) fn forget(&mut self) {
        self.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(value: &str) -> Labels {
        BTreeMap::from([("app".to_owned(), value.to_owned())])
    }

    #[test]
    fn answers_are_remembered_by_their_labels_within_bounds() {
        let mut matched = Matched::default();
        let none: Arc<[MatchedPolicy]> = Arc::from([]);
        let known = |matched: &Matched, namespace: &str, pod: &str| {
            matched.get(&labels(namespace), &labels(pod)).is_some()
        };
        matched.keep(&labels("shop"), &labels("web"), &none);
        assert!(known(&matched, "shop", "web"));
        assert!(!known(&matched, "web", "shop"));
        assert!(!known(&matched, "shop", "db"));
        matched.forget();
        assert!(!known(&matched, "shop", "web"));
        let long = "x".repeat(LABELS_LIMIT_BYTES);
        matched.keep(&labels("shop"), &labels(&long), &none);
        assert!(matched.answers.is_empty());
        for number in 0..2 * KEPT {
            matched.keep(&labels("shop"), &labels(&number.to_string()), &none);
        }
        assert!(matched.answers.len() <= KEPT);
    }
}
