//! Which answers were given, as far as they limit the next.
//!
//! Here: remembering, forgetting and taking back. Not here: the limits themselves (`plan`).
//! Invariant: what limits an answer is noted before the answer is asked for, so that two
//! answers that are planned at once can't both use the last place; it can be rebuilt from the
//! statuses of Incidents.

use crate::facts::History;
use crate::plan::RATE_WINDOW;
use bailiff_api::Incident;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// The longest cooldown that a binding can ask for.
const LONGEST_COOLDOWN: SignedDuration = SignedDuration::from_hours(24);

/// Past answers by workload and by binding.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    by_workload: BTreeMap<String, Vec<Timestamp>>,
    by_binding: BTreeMap<String, Vec<Timestamp>>,
}

impl Ledger {
    /// What limits an answer to a workload (by UID) by one of these bindings (by name).
    #[must_use]
    pub fn history(&self, workload_uid: Option<&str>, bindings: &[&str]) -> History {
        let last = workload_uid.and_then(|uid| self.by_workload.get(uid)?.iter().max());
        History {
            last_of_workload: last.copied(),
            by_binding: bindings
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), self.by_binding.get(*name)?.clone())))
                .collect(),
        }
    }

    /// Notes an answer that is about to be asked for.
    pub fn reserve(&mut self, workload_uid: Option<&str>, binding: &str, at: Timestamp) {
        if let Some(uid) = workload_uid {
            insert(self.by_workload.entry(uid.to_owned()).or_default(), at);
        }
        insert(self.by_binding.entry(binding.to_owned()).or_default(), at);
    }

    /// Takes a noted answer back that was not accepted.
    pub fn release(&mut self, workload_uid: Option<&str>, binding: &str, at: Timestamp) {
        if let Some(times) = workload_uid.and_then(|uid| self.by_workload.get_mut(uid)) {
            remove(times, at);
        }
        if let Some(times) = self.by_binding.get_mut(binding) {
            remove(times, at);
        }
    }

    /// Notes what an Incident's status says was done, as after a restart.
    pub fn restore(&mut self, incident: &Incident) {
        let Some(status) = &incident.status else {
            return;
        };
        if let Some(response) = &status.response {
            let workload = status.workload_ref.as_ref().map(|w| w.uid.as_str());
            self.reserve(workload, &response.binding_name, response.time.0);
        }
    }

    /// Forgets what no longer limits anything.
    pub fn prune(&mut self, now: Timestamp) {
        let drop_old = |times: &mut BTreeMap<String, Vec<Timestamp>>, keep: SignedDuration| {
            times.retain(|_, times| {
                times.retain(|t| now.duration_since(*t) < keep);
                !times.is_empty()
            });
        };
        drop_old(&mut self.by_workload, LONGEST_COOLDOWN);
        drop_old(&mut self.by_binding, RATE_WINDOW);
    }
}

fn insert(times: &mut Vec<Timestamp>, at: Timestamp) {
    let place = times.partition_point(|t| *t <= at);
    times.insert(place, at);
}

fn remove(times: &mut Vec<Timestamp>, at: Timestamp) {
    if let Some(place) = times.iter().position(|t| *t == at) {
        times.remove(place);
    }
}

#[cfg(test)]
mod tests;
