//! Which Incident a replacement is counted for.
//!
//! Here: the pods that were counted, and who waits for one. Not here: which pods may be counted
//! (`super`).
//! Invariant: a pod is counted for one Incident; of those that wait for the same, the one that was
//! answered first has its pod first. Creation times have whole seconds, so that the replacement of
//! one may look like that of the next.

use super::{JOB_NAME, stable_identity};
use bailiff_api::Incident;
use bailiff_response::WorkloadKey;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long it is remembered what a pod was counted for.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Pods that were counted as replacements, and Incidents that wait for one.
#[derive(Debug, Default)]
pub(crate) struct ReplacementClaims {
    /// The UID of the Incident, by the pod's.
    pods: BTreeMap<String, String>,
    /// Pods in the order in which they were counted.
    by_time: VecDeque<(Timestamp, String)>,
    waiting: BTreeMap<ClaimScope, BTreeSet<(Timestamp, String)>>,
}

/// What Incidents wait for together: pods of one workload, in one place where it has places.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClaimScope {
    workload: WorkloadKey,
    place: String,
}

/// What becomes of a pod that an Incident asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is counted for this Incident, now or before.
    Granted,
    /// It was counted for another.
    Taken,
    /// It is left to an Incident that was answered earlier, which finds it when it looks next.
    Reserved,
}

impl ClaimScope {
    /// What an Incident waits for; none: its pod had no workload.
    pub(crate) fn of(incident: &Incident) -> Option<Self> {
        let workload = incident.status.as_ref()?.workload_ref.as_ref()?;
        let (kind, pod) = (workload.kind.as_str(), &incident.spec.pod);
        // A CronJob's pods are made by one of its Jobs.
        let job = || pod.labels.get(JOB_NAME).filter(|_| kind == "CronJob");
        let place = stable_identity(kind, &pod.name, &incident.spec.node_name)
            .or_else(|| job().map(String::as_str))
            .unwrap_or_default();
        Some(Self {
            workload: WorkloadKey::of(&pod.namespace, workload),
            place: place.to_owned(),
        })
    }
}

impl ClaimScope {
    /// The place within the workload; empty: it has none.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }
}

impl ReplacementClaims {
    /// Records the replacement that an Incident reports. A known one stays.
    pub(crate) fn learn(&mut self, pod_uid: &str, incident_uid: &str, now: Timestamp) {
        let _known_or_new = self.claim(pod_uid, incident_uid, &mut 0, now);
    }

    /// An Incident that was answered at a time waits from now on.
    pub(crate) fn wait(&mut self, queue: &ClaimScope, answered: Timestamp, incident_uid: &str) {
        let waiting = self.waiting.entry(queue.clone()).or_default();
        waiting.insert((answered, incident_uid.to_owned()));
    }

    /// It waits no more.
    pub(crate) fn leave(&mut self, queue: &ClaimScope, answered: Timestamp, incident_uid: &str) {
        if let Some(waiting) = self.waiting.get_mut(queue) {
            waiting.remove(&(answered, incident_uid.to_owned()));
            if waiting.is_empty() {
                self.waiting.remove(queue);
            }
        }
    }

    /// An Incident was deleted: it waits no more. What was counted for it stays counted.
    pub(crate) fn deleted(&mut self, incident_uid: &str) {
        self.retain(|uid| uid != incident_uid);
    }

    /// All Incidents that exist, by UID: the others wait no more.
    pub(crate) fn relisted(&mut self, present: &BTreeSet<String>) {
        self.retain(|uid| present.contains(uid));
    }

    fn retain(&mut self, waits: impl Fn(&str) -> bool) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|(_, uid)| waits(uid));
            !waiting.is_empty()
        });
    }

    /// How many Incidents that were answered earlier wait for the same.
    pub(crate) fn earlier(
        &self,
        queue: &ClaimScope,
        answered: Timestamp,
        incident_uid: &str,
    ) -> usize {
        let own = (answered, incident_uid.to_owned());
        self.waiting
            .get(queue)
            .map_or(0, |waiting| waiting.range(..own).count())
    }

    /// Asks for a pod. `earlier`: how many pods are left to those that wait longer; one fewer after
    /// each that is.
    pub(crate) fn claim(
        &mut self,
        pod_uid: &str,
        incident_uid: &str,
        earlier: &mut usize,
        now: Timestamp,
    ) -> Claim {
        self.forget(now);
        match self.pods.get(pod_uid) {
            Some(owner) if owner == incident_uid => Claim::Granted,
            Some(_) => Claim::Taken,
            None if *earlier > 0 => {
                *earlier -= 1;
                Claim::Reserved
            }
            None => {
                let pod = pod_uid.to_owned();
                self.pods.insert(pod.clone(), incident_uid.to_owned());
                self.by_time.push_back((now, pod));
                Claim::Granted
            }
        }
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.by_time.front()
            && now.duration_since(*at) >= REMEMBERED
            && let Some((_, pod)) = self.by_time.pop_front()
        {
            self.pods.remove(&pod);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::incident;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn web(kind: &str) -> WorkloadKey {
        let reference = json!({"apiVersion": "v1", "kind": kind, "name": "web", "uid": "web"});
        WorkloadKey::of("shop", &serde_json::from_value(reference).unwrap())
    }

    fn queue(place: &str) -> ClaimScope {
        ClaimScope {
            workload: web("Deployment"),
            place: place.to_owned(),
        }
    }

    #[test]
    fn a_pod_is_the_replacement_of_one_incident_alone() {
        let mut counted = ReplacementClaims::default();
        let mut claim = |pod, incident, second| counted.claim(pod, incident, &mut 0, at(second));
        assert_eq!(claim("pod", "first", 0), Claim::Granted);
        assert_eq!(claim("pod", "first", 0), Claim::Granted, "asked again");
        assert_eq!(claim("pod", "second", 0), Claim::Taken);
        let day = REMEMBERED.as_secs();
        assert_eq!(claim("pod", "second", day - 1), Claim::Taken);
        assert_eq!(claim("pod", "second", day), Claim::Granted, "forgotten");
    }

    #[test]
    fn what_incidents_say_is_learned_once() {
        let mut counted = ReplacementClaims::default();
        counted.learn("pod", "first", at(0));
        counted.learn("pod", "second", at(0));
        let mut claim = |incident| counted.claim("pod", incident, &mut 0, at(0));
        assert_eq!(claim("second"), Claim::Taken);
        assert_eq!(claim("first"), Claim::Granted);
    }

    #[test]
    fn who_was_answered_first_has_its_pod_first() {
        let mut counted = ReplacementClaims::default();
        counted.wait(&queue(""), at(1), "first");
        counted.wait(&queue(""), at(2), "second");
        counted.wait(&queue("elsewhere"), at(0), "of no concern");
        // The second looks first, and finds the pod of the first.
        let mut earlier = counted.earlier(&queue(""), at(2), "second");
        assert_eq!(earlier, 1);
        let mut claim =
            |pod, incident: &str, earlier: &mut usize| counted.claim(pod, incident, earlier, at(3));
        assert_eq!(claim("a", "second", &mut earlier), Claim::Reserved);
        assert_eq!(claim("b", "second", &mut earlier), Claim::Granted);
        assert_eq!(claim("b", "first", &mut 0), Claim::Taken);
        assert_eq!(claim("a", "first", &mut 0), Claim::Granted);
        counted.leave(&queue(""), at(1), "first");
        assert_eq!(counted.earlier(&queue(""), at(2), "second"), 0);
        counted.leave(&queue(""), at(2), "second");
        counted.leave(&queue("elsewhere"), at(0), "of no concern");
        assert!(counted.waiting.is_empty(), "{counted:?}");
    }

    #[test]
    fn incidents_wait_together_for_what_can_replace_either_pod() {
        let place = |kind: &str| {
            let workload = json!({"apiVersion": "v1", "kind": kind, "name": "web", "uid": "web"});
            let mut incident = incident(&json!({ "workloadRef": workload }));
            let labels = &mut incident.spec.pod.labels;
            labels.insert(JOB_NAME.to_owned(), "nightly-1".to_owned());
            let (node, pod) = (incident.spec.node_name.clone(), &incident.spec.pod.name);
            let named = [("its node", node), ("its name", pod.clone())];
            let queue = ClaimScope::of(&incident).unwrap();
            assert_eq!(queue.workload, web(kind));
            let named = named.into_iter().find(|(_, name)| *name == queue.place);
            named.map_or(queue.place, |(what, _)| what.to_owned())
        };
        assert_eq!(place("Deployment"), "");
        assert_eq!(place("DaemonSet"), "its node");
        assert_eq!(place("StatefulSet"), "its name");
        assert_eq!(place("CronJob"), "nightly-1");
        assert_eq!(ClaimScope::of(&incident(&json!({}))), None);
    }
}
