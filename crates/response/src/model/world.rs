//! The simulated cluster, and the controller in it.
//!
//! Here: pods, Incidents, an API server with faults, and one replica after the other that leads. Not
//! here: which sequences of steps are tried (`model`).
//! Invariant: the world alone knows what was removed; the controller knows only what it was told
//! and what the statuses record.

use crate::tests::{binding, evictable, incident_of, now, seconds, workload};
use crate::{
    Controls, Facts, Finished, Job, Lookup, Outcome, Owner, Queue, QueueSettings, RateLimits,
    Rejection, RemovalRequest, Settings, Step as Next, Summary, Switch, Termination, Verified,
    Wake, apply_outcome, is_final,
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
    /// A user deletes a pod; it ends after so many seconds.
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
    /// A leader was killed before it knew of it: until the pod is read, no leader can know.
    unseen: bool,
}

/// A reconciliation that has a slot.
struct Running {
    key: String,
    facts: Facts,
    /// What it is about to request.
    request: Option<RemovalRequest>,
    /// What the API server responded, or what needs no request.
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
        let mut facts = self.facts(&incident);
        let running = |facts, request, outcome| Running {
            key: job.key.uid.clone(),
            facts,
            request,
            outcome,
        };
        if let Some((_, outcome)) = self.controls.settle(&facts) {
            let finished = Finished::requested(&outcome, None);
            return running(facts, None, Some((outcome, finished)));
        }
        if is_final(&incident, types::RESPONDED) && !crate::needs_reevaluation(&incident) {
            // The watch was behind.
            let outcome = crate::tests::no_action(crate::NoActionReason::PodNotFound);
            return running(facts, None, Some((outcome, Finished::Final)));
        }
        // As if its owner was remembered, whenever it could be.
        if job.fresh {
            let mut facts = facts.clone();
            let wait = self
                .controls
                .decide_wait(&self.queue, &incident, &mut facts, self.time);
            if let Some(wait) = wait {
                return running(facts, None, Some(wait.into_report()));
            }
        }
        let plan = self
            .controls
            .decide(&self.queue, &incident, &mut facts, self.time);
        match Next::from(plan) {
            Next::Remove(action, removal) => {
                let request = RemovalRequest {
                    key: job.key.clone(),
                    action,
                    removal,
                    verified: verified(&facts),
                    at: self.time,
                };
                running(facts, Some(request), None)
            }
            Next::Report(outcome, finished) => running(facts, None, Some((outcome, finished))),
            Next::Shorten(_) | Next::DryRun(_) => panic!("the world has neither"),
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
        let Some(request) = running.request.take() else {
            return;
        };
        let binding = request.removal.binding.clone();
        let facts = &running.facts;
        let pod_uid = facts.violation.pod_uid.clone();
        let text = || "fault".to_owned();
        let exists = self.pods.contains_key(&pod_uid);
        let response = match fault {
            _ if !exists => Err(Rejection::PodNotFound),
            Fault::None => Ok(()),
            Fault::LostResponse | Fault::LostRequest => Err(Rejection::Unknown(text())),
            Fault::Budget => Err(Rejection::DisruptionBudget(None)),
            Fault::Webhook => Err(Rejection::Webhook(text())),
            Fault::TooMany => Err(Rejection::Retry(text())),
            Fault::Permission => Err(Rejection::Permission(text())),
        };
        let outcome = self.controls.responded(facts, request, response, self.time);
        let finished = Finished::requested(&outcome, None);
        running.outcome = Some((outcome, finished));
        let done = matches!(fault, Fault::None | Fault::LostResponse);
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
                    binding,
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
        let verified = verified(&running.facts);
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
        for unsettled in self.controls.unsettled() {
            let request = &unsettled.request;
            let mut incident = self.incidents.get(&request.key.uid).unwrap().clone();
            let outcome = unsettled.last_outcome(&self.facts(&incident));
            match outcome.filter(|_| !killed) {
                Some(outcome) if !is_final(&incident, types::RESPONDED) => {
                    let verified = &request.verified;
                    incident.status = Some(apply_outcome(&incident, verified, &outcome, self.time));
                    self.write(incident);
                }
                Some(_) => {}
                None => {
                    let pod = &incident.spec.pod.uid;
                    let of_pod = self.removals.iter_mut().filter(|r| r.pod == *pod);
                    of_pod.for_each(|r| r.unseen = true);
                }
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

fn verified(facts: &Facts) -> Verified {
    Verified {
        workload: facts.owner.workload().cloned(),
        started: None,
    }
}
