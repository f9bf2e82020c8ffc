//! The simulated cluster, and the controller in it.
//!
//! Here: pods, Incidents, an API server with faults, and one replica after the other that leads. Not
//! here: which sequences of steps are tried (`model`).
//! Invariant: the world alone knows what was removed; the controller knows only what it was told
//! and what the statuses record.

use crate::tests::{binding, evictable, incident_of, now, seconds, workload};
use crate::{
    Controls, Facts, Finished, Job, Lookup, Outcome, Owner, Plan, PodRemoval, Queue, QueueSettings,
    RateLimits, Rejection, Settings, Summary, Switch, Termination, Verified, Wake, apply_outcome,
    is_final, rejected,
};
use bailiff_api::condition::types;
use bailiff_api::{Incident, ResponseAction};
use jiff::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const SLOTS: usize = 3;
const RATES: RateLimits = RateLimits {
    namespace_per_minute: 3,
    cluster_per_minute: 5,
};
const PER_BINDING: usize = 4;
const COOLDOWN: i64 = 20;

/// What happens next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A process violates one of two policies in a pod of a workload of a namespace.
    Violation {
        namespace: u8,
        workload: u8,
        pod: u8,
        policy: u8,
    },
    /// Time passes, in seconds.
    Wait(u8),
    /// Slots are filled.
    Start,
    /// One of the running reconciliations reaches the API server, which does this.
    Request(u8, Fault),
    /// One of the running reconciliations ends.
    End(u8),
    /// Somebody deletes a pod; it ends after so many seconds.
    Delete(u8, u8),
    /// The sensor counts another violation.
    Series(u8),
    /// The switch of all responses.
    Switch(bool),
    /// Another replica leads; this one ends in order or is killed.
    Leader { killed: bool },
}

/// What the API server does with a removal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    None,
    /// Done, and the response is lost.
    LostResponse,
    /// Not done, and the response is lost.
    LostRequest,
    Budget,
    Webhook,
    TooMany,
    Permission,
}

struct Pod {
    name: String,
    namespace: String,
    workload: String,
    /// When it ends.
    ends: Option<Timestamp>,
    evicted: Option<Timestamp>,
}

pub(super) struct Removal {
    at: Timestamp,
    pod: String,
    pub(super) namespace: String,
    workload: String,
    binding: String,
    /// A leader was killed before it knew of it: until the pod is read, nobody can know.
    unseen: bool,
}

/// A reconciliation that has a slot.
struct Running {
    key: String,
    facts: Facts,
    plan: Plan,
    asked: bool,
    /// What the API server said.
    outcome: Option<(Outcome, Finished)>,
}

pub(super) struct World {
    pub(super) time: Timestamp,
    pods: BTreeMap<String, Pod>,
    /// Pods that exist or existed: no UID comes back.
    ever: BTreeSet<String>,
    incidents: BTreeMap<String, Incident>,
    pub(super) removals: Vec<Removal>,
    enforces: bool,
    controls: Controls,
    queue: Queue,
    running: Vec<Running>,
    /// Removals whose result this leader does not know, by pod.
    unknown: BTreeMap<String, (PodRemoval, Timestamp)>,
    /// Pods whose removal was accepted, or perhaps.
    asked: BTreeSet<String>,
}

impl World {
    pub(super) fn new() -> Self {
        let (controls, queue) = leader();
        Self {
            time: now(),
            pods: BTreeMap::new(),
            ever: BTreeSet::new(),
            incidents: BTreeMap::new(),
            removals: Vec::new(),
            enforces: true,
            controls,
            queue,
            running: Vec::new(),
            unknown: BTreeMap::new(),
            asked: BTreeSet::new(),
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Violation {
                namespace,
                workload,
                pod,
                policy,
            } => self.violation(*namespace, *workload, *pod, *policy),
            Step::Wait(by) => self.pass(i64::from(*by)),
            Step::Start => self.start(),
            Step::Request(which, fault) => self.request(*which, *fault),
            Step::End(which) => self.end(*which),
            Step::Delete(which, after) => {
                let ends = self.time + seconds(i64::from(*after));
                let count = self.pods.len().max(1);
                if let Some(pod) = self.pods.values_mut().nth(usize::from(*which) % count) {
                    pod.ends.get_or_insert(ends);
                }
            }
            Step::Series(which) => self.series(*which),
            Step::Switch(enforces) => {
                self.enforces = *enforces;
                self.queue.wake(Wake::All);
            }
            Step::Leader { killed } => self.change_leader(*killed),
        }
        self.controls.prune(self.time);
        self.check();
    }

    fn violation(&mut self, namespace: u8, workload: u8, pod: u8, policy: u8) {
        let namespace = format!("ns-{namespace}");
        let workload = format!("{namespace}-w{workload}");
        let uid = format!("{workload}-p{pod}");
        if !self.ever.insert(uid.clone()) && !self.pods.contains_key(&uid) {
            return;
        }
        self.pods.entry(uid.clone()).or_insert_with(|| Pod {
            name: uid.clone(),
            namespace: namespace.clone(),
            workload,
            ends: None,
            evicted: None,
        });
        let name = format!("inc-{uid}-{policy}");
        if self.incidents.contains_key(&name) {
            return;
        }
        let incident = incident_of(&json!({
            "metadata": {"name": name, "namespace": namespace, "uid": name,
                "creationTimestamp": self.time.to_string()},
            "spec": {"pod": {"name": uid, "namespace": namespace, "uid": uid},
                "policyRef": {"uid": format!("policy-{policy}")}},
        }));
        self.write(incident);
    }

    fn series(&mut self, which: u8) {
        let count = self.incidents.len().max(1);
        let chosen = self.incidents.values().nth(usize::from(which) % count);
        let Some(mut incident) = chosen.cloned() else {
            return;
        };
        let status = incident.status.get_or_insert_default();
        let before = status.series.as_ref().map_or(1, |s| s.count);
        status.series = Some(
            // Times of sensors are worthless.
            serde_json::from_value(json!({"count": before + 1, "policyGeneration": 1,
                "lastObservedTime": "1999-01-01T00:00:00.000000Z",
                "bindingRefs": [{"name": "a", "uid": "a-uid"}]}))
            .unwrap(),
        );
        self.write(incident);
    }

    /// An Incident is written, and the watch brings it.
    fn write(&mut self, incident: Incident) {
        self.controls.observe(&incident);
        self.queue
            .observe(Summary::of(&incident).unwrap(), self.time);
        let name = incident.metadata.name.clone().unwrap();
        self.incidents.insert(name, incident);
    }

    fn pass(&mut self, by: i64) {
        self.time += seconds(by);
        let time = self.time;
        self.pods
            .retain(|_, pod| pod.ends.is_none_or(|ends| ends > time));
    }

    fn start(&mut self) {
        while let Some(job) = self.queue.next(&self.controls.ledger, self.time) {
            let running = self.plan(&job);
            self.running.push(running);
        }
    }

    fn plan(&mut self, job: &Job) -> Running {
        let incident = self.incidents.get(&job.key.uid).unwrap().clone();
        let pod_uid = incident.spec.pod.uid.clone();
        let mut facts = self.facts(&incident);
        if let Some((removal, at)) = self.unknown.remove(&pod_uid) {
            let done = crate::request_done(&facts, ResponseAction::Evict);
            if matches!(done, Lookup::Found(true) | Lookup::NotFound) {
                let plan = Plan::Evict(removal.clone());
                let outcome = removed(&removal, at);
                return Running {
                    key: job.key.uid.clone(),
                    facts,
                    plan,
                    asked: true,
                    outcome: Some((outcome, Finished::Removed)),
                };
            }
            self.controls.ledger.release(&pod_uid);
        }
        let needed = !is_final(&incident, types::RESPONDED) || crate::needs_reevaluation(&incident);
        let plan = if needed {
            self.controls
                .decide(&self.queue, &incident, &mut facts, self.time)
        } else {
            // The watch was behind.
            Plan::NoAction {
                reason: crate::NoActionReason::PodNotFound,
                would: None,
            }
        };
        let outcome = match &plan {
            Plan::Evict(_) | Plan::Delete(_) | Plan::Shorten(_) => None,
            Plan::Requeue {
                reason,
                until,
                claim,
            } => Some((
                Outcome::waiting(reason.clone()),
                Finished::requeued(reason, *until, claim.clone()),
            )),
            Plan::NoAction { reason, would } => Some((
                Outcome::NoAction {
                    reason: reason.clone(),
                    would: would.clone(),
                },
                Finished::Final,
            )),
        };
        Running {
            key: job.key.uid.clone(),
            facts,
            plan,
            asked: false,
            outcome: outcome.filter(|_| needed).or(Some((
                Outcome::NoAction {
                    reason: crate::NoActionReason::PodNotFound,
                    would: None,
                },
                Finished::Final,
            ))
            .filter(|_| !needed)),
        }
    }

    fn facts(&self, incident: &Incident) -> Facts {
        let mut facts = evictable();
        let uid = &incident.spec.pod.uid;
        facts.violation = crate::ViolationFacts::of(incident);
        facts.waiting = incident.status.as_ref().and_then(|s| s.waiting.clone());
        facts.settings = Settings {
            rate_limits: RATES,
            ..Settings::default()
        };
        if let Lookup::Found(policy) = &mut facts.policy {
            policy.uid.clone_from(&incident.spec.policy_ref.uid);
        }
        let mut a = binding("a", ResponseAction::Evict);
        a.guardrails.cooldown_period_seconds = i32::try_from(COOLDOWN).unwrap();
        a.guardrails.max_evictions_per_minute = i32::try_from(PER_BINDING).unwrap();
        facts.bindings = Lookup::Found(vec![a]);
        facts.switch = if self.enforces {
            Switch::Enforce
        } else {
            Switch::Audit
        };
        match (self.pods.get(uid), &mut facts.pod) {
            (Some(pod), Lookup::Found(live)) => {
                live.uid.clone_from(uid);
                live.evicted = pod.evicted;
                live.terminating = pod.ends.map(|ends| Termination {
                    ends,
                    grace_period_seconds: 30,
                });
                facts.owner = Owner::Workload(workload(&pod.workload));
            }
            (_, live) => {
                *live = Lookup::NotFound;
                facts.owner = Owner::None;
            }
        }
        facts
    }

    fn request(&mut self, which: u8, fault: Fault) {
        let count = self.running.len().max(1);
        let which = usize::from(which) % count;
        let Some(running) = self.running.get_mut(which) else {
            return;
        };
        let (Plan::Evict(removal), false) = (running.plan.clone(), running.asked) else {
            return;
        };
        running.asked = true;
        let incident = self.incidents.get(&running.key).unwrap();
        let pod_uid = incident.spec.pod.uid.clone();
        let waiting = incident.status.as_ref().and_then(|s| s.waiting.clone());
        let reject = |rejection| {
            let deadline = removal.eviction_deadline_seconds;
            let outcome = rejected(rejection, deadline, waiting.as_ref(), self.time);
            let finished = Finished::requested(&outcome, None);
            (outcome, finished)
        };
        let done = matches!(fault, Fault::None | Fault::LostResponse);
        let text = || "fault".to_owned();
        let exists = self.pods.contains_key(&pod_uid);
        let result = match fault {
            _ if !exists => reject(Rejection::PodNotFound),
            Fault::None => (removed(&removal, self.time), Finished::Removed),
            Fault::LostResponse | Fault::LostRequest => reject(Rejection::Unknown(text())),
            Fault::Budget => reject(Rejection::DisruptionBudget(None)),
            Fault::Webhook => reject(Rejection::Webhook(text())),
            Fault::TooMany => reject(Rejection::Retry(text())),
            Fault::Permission => reject(Rejection::Permission(text())),
        };
        match fault {
            Fault::LostResponse | Fault::LostRequest if exists => {
                self.unknown
                    .insert(pod_uid.clone(), (removal.clone(), self.time));
                self.controls.ledger.unanswered(&pod_uid, self.time);
            }
            Fault::None if exists => {}
            Fault::None
            | Fault::LostResponse
            | Fault::LostRequest
            | Fault::Budget
            | Fault::Webhook
            | Fault::TooMany
            | Fault::Permission => self.controls.ledger.release(&pod_uid),
        }
        running.outcome = Some(result);
        if exists && (done || matches!(fault, Fault::LostRequest)) {
            self.asked.insert(pod_uid.clone());
        }
        if let (true, Some(pod)) = (done, self.pods.get_mut(&pod_uid)) {
            // The API server accepts an Eviction of a terminating pod, too, which removes no more.
            if pod.ends.is_none() {
                pod.ends = Some(self.time + seconds(30));
                pod.evicted = Some(self.time);
                self.removals.push(Removal {
                    at: self.time,
                    pod: pod.name.clone(),
                    namespace: pod.namespace.clone(),
                    workload: pod.workload.clone(),
                    binding: removal.binding.clone(),
                    unseen: false,
                });
            }
        }
    }

    fn end(&mut self, which: u8) {
        let count = self.running.len().max(1);
        let which = usize::from(which) % count;
        if self.running.get(which).is_some_and(|r| r.outcome.is_some()) {
            let running = self.running.remove(which);
            self.finish(running);
        }
    }

    fn finish(&mut self, running: Running) {
        let Some((outcome, finished)) = running.outcome else {
            return;
        };
        let mut incident = self.incidents.get(&running.key).unwrap().clone();
        let verified = Verified {
            workload: running.facts.owner.workload().cloned(),
            started: None,
        };
        incident.status = Some(apply_outcome(&incident, &verified, &outcome, self.time));
        self.write(incident);
        self.queue.finished(&running.key, finished, self.time);
    }

    /// A replica that is killed writes nothing more; one that ends in order finishes what it asked
    /// for.
    fn change_leader(&mut self, killed: bool) {
        let running = std::mem::take(&mut self.running);
        for running in running {
            let pod = &self.incidents.get(&running.key).unwrap().spec.pod.uid;
            if killed {
                self.removals
                    .iter_mut()
                    .filter(|r| r.pod == *pod)
                    .for_each(|r| r.unseen = true);
            } else if running.outcome.is_some() {
                self.finish(running);
            }
        }
        let unknown = std::mem::take(&mut self.unknown);
        for (pod, (removal, at)) in unknown {
            let is_removed = self.pods.get(&pod).is_none_or(|p| p.evicted.is_some());
            if killed || !is_removed {
                self.removals
                    .iter_mut()
                    .filter(|r| r.pod == pod)
                    .for_each(|r| r.unseen = true);
                continue;
            }
            let of_pod = self
                .incidents
                .values()
                .find(|i| i.spec.pod.uid == pod && !is_final(i, types::RESPONDED));
            if let Some(mut incident) = of_pod.cloned() {
                let outcome = removed(&removal, at);
                incident.status = Some(apply_outcome(
                    &incident,
                    &Verified::default(),
                    &outcome,
                    self.time,
                ));
                incident.status.as_mut().unwrap().workload_ref =
                    removal.claim.workload.map(|w| workload(&w.key.uid));
                self.write(incident);
            }
        }
        (self.controls, self.queue) = leader();
        for incident in self.incidents.values() {
            self.controls.observe(incident);
            self.queue
                .observe(Summary::of(incident).unwrap(), self.time);
        }
    }

    /// What the queue has in its indexes is what its entries say.
    pub(super) fn check_indexes(&self) {
        self.queue.assert_consistent();
    }

    /// The laws that hold after every step.
    fn check(&self) {
        let busy: Vec<_> = self
            .running
            .iter()
            .map(|r| &self.incidents[&r.key].spec.pod.uid)
            .collect();
        let distinct: BTreeSet<_> = busy.iter().collect();
        assert!(busy.len() <= SLOTS, "more than the slots at once");
        assert_eq!(busy.len(), distinct.len(), "two of one pod at once");
        let pods: BTreeSet<_> = self.removals.iter().map(|r| &r.pod).collect();
        assert_eq!(pods.len(), self.removals.len(), "a pod was removed twice");
        // What a killed leader asked for cannot be known before the pod is read; the laws hold for
        // all that can.
        let seen: Vec<_> = self.removals.iter().filter(|r| !r.unseen).collect();
        for last in &seen {
            let within = |window: i64, same: &dyn Fn(&Removal) -> bool| {
                let recent = seen.iter().filter(|r| {
                    r.at <= last.at && last.at.duration_since(r.at) < seconds(window) && same(r)
                });
                recent.count()
            };
            let namespace = within(60, &|r| r.namespace == last.namespace);
            assert!(namespace <= 3, "limit of the namespace: {namespace}");
            assert!(within(60, &|_| true) <= 5, "limit of the cluster");
            let of_binding = within(60, &|r| r.binding == last.binding);
            assert!(of_binding <= PER_BINDING, "limit of the binding");
            let of_workload = within(COOLDOWN, &|r| r.workload == last.workload);
            assert!(of_workload <= 1, "cooldown period");
        }
    }

    /// Everything goes well from now on: every response that is due is given.
    pub(super) fn settle(&mut self) {
        self.step(&Step::Switch(true));
        for _ in 0..3000 {
            self.start();
            for running in std::mem::take(&mut self.running) {
                self.running.insert(0, running);
                self.request(0, Fault::None);
                self.check();
                self.end(0);
            }
            self.start();
            if self.running.is_empty() {
                let Some(wake) = self.queue.next_wake() else {
                    break;
                };
                let by = wake.duration_since(self.time).as_secs() + 1;
                self.pass(by.max(1));
            }
        }
        for incident in self.incidents.values() {
            let name = incident.metadata.name.as_ref().unwrap();
            assert!(is_final(incident, types::RESPONDED), "{name} was forgotten");
            let reason = &incident.status.as_ref().unwrap().conditions[0].reason;
            let ended = [
                "Evicted",
                "AlreadyTerminating",
                "PodNotFound",
                "EvictionDeadlineExceeded",
            ];
            assert!(ended.contains(&reason.as_str()), "{name}: {reason}");
            let asked = self.asked.contains(&incident.spec.pod.uid);
            assert!(
                *reason != "Evicted" || asked,
                "{name} claims what was not done"
            );
        }
        self.check();
    }
}

fn leader() -> (Controls, Queue) {
    let settings = QueueSettings {
        slots: SLOTS,
        ..QueueSettings::default()
    };
    (Controls::new(RATES), Queue::new(settings))
}

fn removed(removal: &PodRemoval, at: Timestamp) -> Outcome {
    Outcome::Removed {
        action: ResponseAction::Evict,
        binding: removal.binding.clone(),
        at,
        grace_period_seconds: removal.grace_period_seconds,
        released: removal.released,
    }
}
