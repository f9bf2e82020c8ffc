//! What an Incident costs among many that wait.
//!
//! Here: the memory that is allocated for the steps of one more Incident, of which each pass over all others
//! allocates as much as there are others. Not here: laws (`world`).
//! Invariant: nothing is timed, and nothing is random.

use crate::tests::{binding, evictable, incident_of, key, minutes, now, seconds, workload};
use crate::{
    Claim, Controls, Facts, Finished, Lookup, Outcome, Owner, Plan, Queue, QueueSettings,
    RateLimits, Summary, Verified, WorkloadClaim, apply_outcome,
};
use allocation_counter::{AllocationInfo, measure};
use bailiff_api::{Incident, ResponseAction};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

/// What all wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The cooldown period of one workload with 20 pods.
    Cooldown,
    /// The circuit breaker of one workload, whose replacements violate the policy as they start.
    Breaker,
    /// The limit of the namespace; each has a workload of its own.
    Namespace,
}

struct Crowd {
    wait: Wait,
    template: Incident,
    controls: Controls,
    queue: Queue,
    count: usize,
}

impl Crowd {
    fn of(wait: Wait, count: usize) -> Self {
        let mut crowd = Self {
            wait,
            template: incident_of(&json!({"spec": {"process": {"origin": "Entrypoint"}}})),
            controls: Controls::new(RateLimits::default()),
            queue: Queue::new(QueueSettings::default()),
            count: 0,
        };
        for number in 0..10 {
            let claim = Claim {
                workload: (number == 0).then(|| WorkloadClaim {
                    key: key("web"),
                    cooldown: minutes(5),
                }),
                binding: "other".to_owned(),
                binding_per_minute: 100,
                namespace: match wait {
                    Wait::Namespace => "shop".to_owned(),
                    Wait::Cooldown | Wait::Breaker => format!("other-{number}"),
                },
            };
            let pod = format!("first-{number}");
            crowd.controls.ledger.reserve(&pod, &claim, now());
            crowd.controls.ledger.confirm(&pod, now());
        }
        if wait == Wait::Breaker {
            let removed = json!({"metadata": {"uid": "first"}, "spec": {"pod": {"uid": "first-0"}},
            "status": {
                "response": {"action": "Evict", "bindingName": "other", "time": now().to_string()},
                "workloadRef": workload("web"),
            }});
            crowd.controls.observe(&incident_of(&removed));
        }
        for _ in 0..count {
            crowd.take_in();
        }
        crowd
    }

    fn time(&self) -> Timestamp {
        // All within the cooldown period and the window of the limits, and after the first removal.
        let milliseconds = i64::try_from(self.count).unwrap() + 5000;
        now() + jiff::SignedDuration::from_millis(milliseconds)
    }

    /// One more Incident is created, planned and reported.
    fn take_in(&mut self) {
        let (time, number) = (self.time(), self.count);
        self.count += 1;
        let pod = match self.wait {
            Wait::Cooldown => number % 20,
            Wait::Breaker | Wait::Namespace => number,
        };
        let name = format!("inc-{number:06}");
        let pod = format!("pod-{pod}");
        let mut incident = self.template.clone();
        incident.metadata.name = Some(name.clone());
        incident.metadata.uid = Some(name.clone());
        incident.metadata.creation_timestamp = Some(Time(time));
        incident.spec.pod.name.clone_from(&pod);
        incident.spec.pod.uid = pod;
        self.learn(&incident, time);
        let job = self.queue.next(&self.controls.ledger, time).unwrap();
        assert_eq!(job.key.uid, name);
        let mut facts = self.facts(&incident, number);
        let plan = self
            .controls
            .decide(&self.queue, &incident, &mut facts, time);
        let Plan::Requeue {
            reason,
            until,
            claim,
        } = plan
        else {
            panic!("{plan:?}")
        };
        // The third replacement that fails opens the breaker.
        let has_claim = self.wait != Wait::Breaker || number < 2;
        assert_eq!(claim.is_some(), has_claim, "{reason:?}");
        let verified = Verified {
            workload: facts.owner.workload().cloned(),
            started: None,
        };
        let outcome = Outcome::waiting(reason.clone());
        incident.status = Some(apply_outcome(&incident, &verified, &outcome, time));
        self.learn(&incident, time);
        let finished = Finished::requeued(&reason, until, claim);
        self.queue.finished(&name, finished, time);
        assert_eq!(self.queue.next(&self.controls.ledger, time), None);
    }

    fn learn(&mut self, incident: &Incident, time: Timestamp) {
        self.controls.observe(incident);
        self.queue.observe(Summary::of(incident).unwrap(), time);
    }

    fn facts(&self, incident: &Incident, number: usize) -> Facts {
        let mut facts = evictable();
        facts.violation = crate::ViolationFacts::of(incident);
        if let Lookup::Found(pod) = &mut facts.pod {
            pod.uid.clone_from(&incident.spec.pod.uid);
            // Three replacements open a breaker of one node.
            let failed = self.wait == Wait::Breaker;
            pod.started = failed.then(|| now() + seconds(3));
        }
        facts.owner = Owner::Workload(match self.wait {
            Wait::Cooldown | Wait::Breaker => workload("web"),
            Wait::Namespace => workload(&format!("web-{number}")),
        });
        // The guard counts, and pauses nothing.
        if let Lookup::Found(policy) = &mut facts.policy {
            policy.changed = now() - minutes(60);
        }
        let mut a = binding("a", ResponseAction::Evict);
        a.guardrails.max_evictions_per_minute = 100;
        a.matched_workloads = Some(1_000_000);
        facts.bindings = Lookup::Found(vec![a]);
        facts
    }

    /// A place becomes free, and the one that waits longest does not need it.
    fn free(&mut self) {
        let time = self.time();
        let pod = "first-0".to_owned();
        self.controls.ledger.release(&pod);
        let job = self.queue.next(&self.controls.ledger, time).unwrap();
        assert_eq!(self.queue.next(&self.controls.ledger, time), None);
        self.queue.finished(&job.key.uid, Finished::Final, time);
        let next = self.queue.next(&self.controls.ledger, time).unwrap();
        assert!(next.key.uid > job.key.uid);
        let claim = Claim {
            workload: Some(WorkloadClaim {
                key: key("web"),
                cooldown: minutes(5),
            }),
            binding: "a".to_owned(),
            binding_per_minute: 100,
            namespace: "shop".to_owned(),
        };
        self.controls.ledger.reserve(&pod, &claim, time);
        self.controls.ledger.confirm(&pod, time);
        self.queue.finished(&next.key.uid, Finished::Final, time);
        assert_eq!(self.queue.next(&self.controls.ledger, time), None);
    }
}

/// What is allocated for 100 times the same among so many.
fn cost(wait: Wait, waiting: usize, mut step: impl FnMut(&mut Crowd)) -> AllocationInfo {
    let mut crowd = Crowd::of(wait, waiting);
    measure(|| {
        for _ in 0..100 {
            step(&mut crowd);
        }
    })
}

fn assert_equal_cost(wait: Wait, step: fn(&mut Crowd)) {
    let few = cost(wait, 500, step);
    let many = cost(wait, 4000, step);
    // Trees are deeper, and some buffers longer.
    let at_most = |few: u64| few * 2;
    assert!(
        many.bytes_total <= at_most(few.bytes_total)
            && many.count_total <= at_most(few.count_total),
        "{wait:?}: {few:?} among 500, {many:?} among 4,000"
    );
}

#[test]
fn one_more_incident_costs_as_much_among_many_as_among_few() {
    for wait in [Wait::Cooldown, Wait::Breaker, Wait::Namespace] {
        assert_equal_cost(wait, Crowd::take_in);
    }
}

#[test]
fn a_free_place_costs_as_much_among_many_as_among_few() {
    assert_equal_cost(Wait::Cooldown, Crowd::free);
}
