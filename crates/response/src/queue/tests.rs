//! Who goes next, and when. Times are seconds.

use super::*;
use crate::ledger::{RateLimits, WorkloadClaim};
use crate::tests::{key, now};

impl Queue {
    /// Every index has what the entries and lines say, and nothing else.
    pub(crate) fn assert_consistent(&self) {
        let mut timed = BTreeSet::new();
        let mut waiting: BTreeMap<Limit, BTreeSet<Rank>> = BTreeMap::new();
        for (uid, entry) in &self.entries {
            let namespace = &self.namespaces[&entry.summary.pod_namespace];
            let is_in = |waiters: &Waiters| waiters.contains(&entry.summary.pod_uid, &entry.rank());
            match entry.place {
                Place::Later(at) | Place::Idle(at) => {
                    timed.insert((at, Timed::Entry(uid.clone())));
                }
                Place::Ready => {
                    assert!(is_in(&namespace.ready), "{uid}");
                    if let Some(workload) = entry.cooling.clone() {
                        let of_limit = waiting.entry(Limit::Workload(workload));
                        of_limit.or_default().insert(entry.rank());
                    }
                }
                Place::InLine(number) => {
                    let line = &self.lines[&number];
                    assert!(is_in(&line.waiters), "{uid}");
                    assert_eq!(namespace.lines[&line.claim], number);
                }
                Place::Running => {
                    if let Some((_, limit)) = &self.running[uid].claim {
                        waiting
                            .entry(limit.clone())
                            .or_default()
                            .insert(entry.rank());
                    }
                }
            }
        }
        for (number, line) in &self.lines {
            let first = line.waiters.first().unwrap().clone();
            waiting.entry(line.limit.clone()).or_default().insert(first);
            timed.extend(line.due.map(|at| (at, Timed::Line(*number))));
        }
        let placed =
            |place: fn(&Place) -> bool| self.entries.values().filter(|e| place(&e.place)).count();
        let ready = self
            .namespaces
            .values()
            .map(|n| n.ready.len())
            .sum::<usize>();
        assert_eq!(ready, placed(|place| *place == Place::Ready));
        let in_lines = self
            .lines
            .values()
            .map(|line| line.waiters.len())
            .sum::<usize>();
        assert_eq!(in_lines, placed(|place| matches!(place, Place::InLine(_))));
        let lines = self
            .namespaces
            .values()
            .map(|n| n.lines.len())
            .sum::<usize>();
        assert_eq!(lines, self.lines.len());
        assert_eq!((timed, waiting), (self.timed.clone(), self.waiting.clone()));
        let turns = self.namespaces.iter().filter(|(name, namespace)| {
            let of_it = |line: &&Line| line.due.is_none() && line.namespace() == *name;
            let ready_lines = self.lines.values().filter(of_it).count();
            assert_eq!(namespace.ready_lines.len(), ready_lines);
            ready_lines > 0 || !namespace.ready.is_empty()
        });
        let turns: BTreeSet<_> = turns.map(|(name, n)| (n.turn, name.clone())).collect();
        assert_eq!(turns, self.turns);
    }
}

impl Waiters {
    fn contains(&self, pod_uid: &str, rank: &Rank) -> bool {
        self.of_pod(pod_uid).is_some_and(|of_pod| {
            // The first of each pod is among the first ones, and no other.
            let is_first = of_pod.first() == Some(rank);
            of_pod.contains(rank) && is_first == self.is_first(rank)
        })
    }
}

fn at(second: i64) -> Timestamp {
    now() + SignedDuration::from_secs(second)
}

fn summary(namespace: &str, uid: &str, created: i64) -> Summary {
    Summary {
        key: Key {
            namespace: namespace.to_owned(),
            name: format!("inc-{uid}"),
            uid: uid.to_owned(),
        },
        pod_namespace: namespace.to_owned(),
        pod_uid: format!("pod-of-{uid}"),
        policy_uid: "policy".to_owned(),
        workload: None,
        created: at(created),
        count: 1,
        demand: Demand::Respond,
        waiting: None,
    }
}

/// A queue with so many slots, and a ledger.
struct Bench {
    queue: Queue,
    ledger: Ledger,
}

impl Bench {
    fn new(slots: usize) -> Self {
        let settings = QueueSettings {
            slots,
            ..QueueSettings::default()
        };
        let rates = RateLimits {
            namespace_per_minute: 5,
            cluster_per_minute: 10,
        };
        Self {
            queue: Queue::new(settings),
            ledger: Ledger::new(rates),
        }
    }

    fn add(&mut self, summaries: &[(&str, &str, i64)]) {
        for (namespace, uid, created) in summaries {
            self.queue.observe(summary(namespace, uid, *created), at(0));
        }
    }

    fn next(&mut self, second: i64) -> Option<String> {
        let job = self.queue.next(&self.ledger, at(second))?;
        Some(job.key.uid)
    }

    /// Everything that is given out at a time, one after the other.
    fn drain(&mut self, second: i64, finished: &dyn Fn(&str) -> Finished) -> Vec<String> {
        let mut order = Vec::new();
        while let Some(uid) = self.next(second) {
            self.queue.finished(&uid, finished(&uid), at(second));
            order.push(uid);
        }
        order
    }

    fn limited(workload: &str, limit: Limit, until: i64) -> Finished {
        Finished::Limited {
            claim: Box::new(claim(workload)),
            limit,
            until: at(until),
        }
    }

    fn reserve(&mut self, pod: &str, workload: &str, second: i64) {
        self.ledger.reserve(pod, &claim(workload), at(second));
        self.ledger.confirm(pod, at(second));
    }
}

fn claim(workload: &str) -> Claim {
    Claim {
        workload: Some(WorkloadClaim {
            key: key(workload),
            cooldown: SignedDuration::from_secs(60),
        }),
        binding: "a".to_owned(),
        binding_per_minute: 100,
        namespace: "shop".to_owned(),
    }
}

fn cooldown(workload: &str) -> Limit {
    Limit::Workload(key(workload))
}

#[test]
fn namespaces_take_turns_and_within_one_the_oldest_goes_first() {
    let mut bench = Bench::new(1);
    bench.add(&[
        ("a", "a3", 3),
        ("a", "a1", 1),
        ("a", "a2", 2),
        ("b", "b9", 9),
        ("c", "c8", 8),
        ("c", "c7", 7),
    ]);
    let order = bench.drain(10, &|_| Finished::Final);
    assert_eq!(order, ["a1", "b9", "c7", "a2", "c8", "a3"]);
}

#[test]
fn no_more_than_the_slots_and_never_two_of_one_pod() {
    let mut bench = Bench::new(2);
    let mut second_of_pod = summary("b", "b2", 2);
    second_of_pod.pod_uid = "pod-of-a1".to_owned();
    bench.add(&[("a", "a1", 1)]);
    bench.queue.observe(second_of_pod, at(0));
    bench.add(&[("b", "b3", 3), ("a", "a4", 4), ("c", "c5", 5)]);
    assert_eq!(bench.next(5).as_deref(), Some("a1"));
    assert_eq!(
        bench.next(5).as_deref(),
        Some("b3"),
        "not the pod of the first"
    );
    assert_eq!(bench.next(5), None, "no slot is free");
    bench.queue.finished("b3", Finished::Final, at(5));
    assert_eq!(bench.next(5).as_deref(), Some("c5"));
    bench.queue.finished("a1", Finished::Final, at(5));
    assert_eq!(bench.next(5).as_deref(), Some("a4"));
    bench.queue.finished("a4", Finished::Final, at(5));
    assert_eq!(bench.next(5).as_deref(), Some("b2"));
    // A slot that ends twice, or that no Incident has, frees nothing.
    bench.queue.finished("a1", Finished::Final, at(5));
    assert_eq!(bench.next(5), None);
}

#[test]
fn one_namespace_has_a_quarter_of_the_slots_and_at_least_one() {
    for (slots, of_one) in [(1, 1), (4, 1), (7, 1), (8, 2), (16, 4)] {
        let mut bench = Bench::new(slots);
        for number in 0..20 {
            let uid = format!("a{number}");
            bench.add(&[("a", &uid, number)]);
        }
        let began: Vec<_> = std::iter::from_fn(|| bench.next(20)).collect();
        assert_eq!(began.len(), of_one, "{slots} slots");
        // Others have the rest, and a slot that ends is one again.
        bench.add(&[("b", "b1", 21)]);
        assert_eq!(bench.next(21).as_deref(), (slots > 1).then_some("b1"));
        bench.queue.finished("a0", Finished::Final, at(22));
        let next = format!("a{of_one}");
        assert_eq!(bench.next(22), Some(next), "{slots} slots");
    }
}

#[test]
fn a_cooldown_that_ends_is_for_the_oldest_that_waits() {
    let mut bench = Bench::new(16);
    bench.reserve("first", "web", 0);
    bench.add(&[("shop", "young", 3), ("shop", "old", 1), ("shop", "mid", 2)]);
    let waits = |_: &str| Bench::limited("web", cooldown("web"), 60);
    assert_eq!(bench.drain(5, &waits), ["old", "mid", "young"]);
    assert_eq!(bench.queue.next_wake(), Some(at(60)));
    assert_eq!(bench.next(59), None);
    // A newcomer comes after them, even if the place is free when it is planned.
    bench.add(&[("shop", "new", 4)]);
    assert_eq!(bench.next(59).as_deref(), Some("new"));
    assert_eq!(
        bench.queue.contended("new", Some(&key("web")), "shop"),
        [cooldown("web")]
    );
    assert_eq!(bench.queue.contended("new", Some(&key("api")), "shop"), []);
    bench
        .queue
        .finished("new", Bench::limited("web", cooldown("web"), 59), at(59));
    assert_eq!(bench.next(60).as_deref(), Some("old"));
    assert_eq!(
        bench.queue.contended("old", Some(&key("web")), "shop"),
        [],
        "it has its place"
    );
    assert_eq!(bench.next(60), None, "one place, one Incident");
    // It does not take the place: the next one gets it at once.
    bench.queue.finished("old", Finished::Final, at(60));
    assert_eq!(bench.next(60).as_deref(), Some("mid"));
    // It does: the others wait for another cooldown period.
    bench.reserve("pod-of-mid", "web", 60);
    assert_eq!(bench.next(60), None);
    bench.queue.finished("mid", Finished::Removed, at(61));
    assert_eq!(bench.next(61), None);
    assert_eq!(bench.next(120).as_deref(), Some("young"));
}

#[test]
fn a_place_that_is_taken_back_is_for_who_waits() {
    let mut bench = Bench::new(16);
    bench.reserve("blocked", "web", 0);
    bench.add(&[("shop", "w", 1)]);
    assert_eq!(
        bench.drain(1, &|_| Bench::limited("web", cooldown("web"), 60)),
        ["w"]
    );
    assert_eq!(bench.next(2), None);
    bench.ledger.release("blocked");
    assert_eq!(bench.next(2).as_deref(), Some("w"));
}

#[test]
fn a_flood_does_not_take_the_clusters_places_from_who_waits() {
    let mut bench = Bench::new(1);
    // All ten places of the cluster are taken, one a second.
    for second in 0..10 {
        let mut other = claim(&format!("w{second}"));
        other.namespace = format!("n{second}");
        bench
            .ledger
            .reserve(&format!("p{second}"), &other, at(second));
        bench.ledger.confirm(&format!("p{second}"), at(second));
    }
    let waits = |uid: &str| {
        let mut claim = claim(uid);
        claim.namespace = uid.get(..1).unwrap().to_owned();
        Finished::Limited {
            claim: Box::new(claim),
            limit: Limit::Cluster,
            until: at(60),
        }
    };
    for i in 0..30 {
        bench.add(&[("f", &format!("f{i:02}"), i)]);
    }
    bench.add(&[("q", "q1", 99)]);
    assert_eq!(bench.drain(20, &waits).len(), 31);
    let mut served = Vec::new();
    for second in 60..64 {
        let uid = bench.next(second).unwrap();
        let Finished::Limited { claim, .. } = waits(&uid) else {
            panic!("it waits for the cluster")
        };
        bench
            .ledger
            .reserve(&format!("pod-of-{uid}"), &claim, at(second));
        bench.ledger.confirm(&format!("pod-of-{uid}"), at(second));
        bench.queue.finished(&uid, Finished::Removed, at(second));
        assert_eq!(bench.next(second), None, "one place a second");
        served.push(uid);
    }
    assert_eq!(served, ["q1", "f00", "f01", "f02"]);
}

#[test]
fn a_pause_doubles_to_a_limit_and_a_retry_after_is_bounded() {
    let mut bench = Bench::new(1);
    bench.add(&[("a", "x", 0)]);
    let mut pauses = Vec::new();
    let mut second = 0;
    for _ in 0..7 {
        assert_eq!(bench.next(second).as_deref(), Some("x"));
        bench.queue.finished("x", Finished::failed(), at(second));
        let wake = bench.queue.next_wake().unwrap();
        let pause = wake.duration_since(at(second)).as_secs();
        assert_eq!(bench.next(second + pause - 1), None);
        pauses.push(pause);
        second += pause;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    let mut pause = |at_least, not_after: Option<i64>| {
        bench.next(second).unwrap();
        let backoff = Finished::Backoff {
            reason: responded::BLOCKED_BY_WEBHOOK,
            at_least: Some(SignedDuration::from_secs(at_least)),
            not_after: not_after.map(|n| at(second + n)),
        };
        bench.queue.finished("x", backoff, at(second));
        let wake = bench.queue.next_wake().unwrap();
        let pause = wake.duration_since(at(second)).as_secs();
        second += pause;
        pause
    };
    assert_eq!(pause(40, None), 40);
    assert_eq!(pause(99_999, None), 300, "no webhook stops a response");
    assert_eq!(pause(40, Some(7)), 7, "at its deadline");
    assert_eq!(pause(40, Some(-7)), 1);
}

#[test]
fn what_is_final_is_not_planned_again_by_a_watch_that_is_behind() {
    let mut bench = Bench::new(1);
    bench.add(&[("a", "x", 0)]);
    assert_eq!(bench.drain(0, &|_| Finished::Final), ["x"]);
    bench.queue.observe(summary("a", "x", 0), at(1));
    assert_eq!(bench.next(1), None);
    let mut written = summary("a", "x", 0);
    written.demand = Demand::None;
    bench.queue.observe(written, at(2));
    assert_eq!(bench.next(99), None);
    assert!(bench.queue.entries.is_empty(), "it is forgotten");
    // If the write never shows, it is read again.
    bench.add(&[("a", "x", 0)]);
    bench.drain(100, &|_| Finished::Final);
    bench.queue.observe(summary("a", "x", 0), at(101));
    assert_eq!(bench.next(129), None);
    let job = bench.queue.next(&bench.ledger, at(130)).unwrap();
    assert!(!job.fresh);
}

#[test]
fn violations_that_continue_are_reevaluated_at_most_every_interval() {
    let mut bench = Bench::new(1);
    let mut again = summary("a", "x", 0);
    again.demand = Demand::Reevaluate;
    again.count = 2;
    bench.queue.observe(again.clone(), at(0));
    let job = bench.queue.next(&bench.ledger, at(0)).unwrap();
    assert!(job.fresh, "a new leader does not wait");
    bench.queue.finished("x", Finished::Final, at(0));
    again.count = 3;
    bench.queue.observe(again, at(1));
    assert_eq!(bench.queue.next_wake(), Some(at(30)));
    assert_eq!(bench.next(29), None);
    assert_eq!(bench.next(30).as_deref(), Some("x"));
}

#[test]
fn what_waits_for_the_next_exec_is_due_when_the_series_moves() {
    let mut bench = Bench::new(1);
    bench.add(&[("a", "x", 0), ("a", "y", 1)]);
    let wait = |uid: &str| Finished::Wait {
        reason: if uid == "x" {
            responded::WAITING_FOR_NEXT_EXEC
        } else {
            responded::POLICY_PAUSED
        },
        until: at(600),
    };
    bench.drain(0, &wait);
    for uid in ["x", "y"] {
        bench.queue.observe(summary("a", uid, 0), at(5));
    }
    assert_eq!(bench.next(10), None, "our own write is no news");
    for uid in ["x", "y"] {
        let mut moved = summary("a", uid, 0);
        moved.count = 2;
        bench.queue.observe(moved, at(11));
    }
    assert_eq!(bench.drain(11, &wait), ["x"]);
    assert_eq!(bench.drain(600, &wait), ["x", "y"], "an event can be lost");
}

#[test]
fn a_change_makes_due_what_waits_for_it() {
    let off = responded::RESPONSES_SWITCHED_OFF;
    let wait = |uid: &str| Finished::Wait {
        reason: if uid == "x" {
            off
        } else {
            responded::CIRCUIT_BREAKER_OPEN
        },
        until: at(600),
    };
    let with = |wake: &dyn Fn(&mut Queue)| {
        let mut bench = Bench::new(1);
        bench.add(&[("a", "x", 0), ("a", "y", 1)]);
        let mut other = summary("a", "z", 2);
        other.policy_uid = "other".to_owned();
        bench.queue.observe(other, at(0));
        bench.drain(0, &wait);
        wake(&mut bench.queue);
        bench.drain(1, &wait)
    };
    assert_eq!(with(&|_| {}), [""; 0]);
    assert_eq!(with(&|q| q.wake(Wake::Reason(off))), ["x"]);
    assert_eq!(with(&|q| q.wake(Wake::Policy("other"))), ["z"]);
    assert_eq!(with(&|q| q.wake(Wake::All)), ["x", "y", "z"]);
    assert_eq!(with(&|q| q.pod_gone("pod-of-y")), ["y"]);
    assert_eq!(with(&|q| q.deleted("x")), [""; 0]);
    // A change while it has a slot is not lost.
    let mut bench = Bench::new(1);
    bench.add(&[("a", "x", 0)]);
    bench.next(0);
    bench.queue.wake(Wake::All);
    bench.queue.finished("x", wait("x"), at(0));
    assert_eq!(bench.queue.next_wake(), Some(at(1)));
}

#[test]
fn the_other_incidents_of_a_removed_pod_are_due_at_once() {
    let mut bench = Bench::new(1);
    bench.reserve("first", "web", 0);
    let mut sibling = summary("shop", "b", 2);
    sibling.pod_uid = "pod-of-a".to_owned();
    bench.queue.observe(sibling, at(0));
    bench.drain(0, &|_| Bench::limited("web", cooldown("web"), 60));
    bench.add(&[("shop", "a", 1)]);
    assert_eq!(bench.next(1).as_deref(), Some("a"));
    bench.queue.finished("a", Finished::Removed, at(1));
    assert_eq!(bench.next(1).as_deref(), Some("b"));
}

#[test]
fn what_was_deleted_meanwhile_is_forgotten_and_its_slot_is_free_when_it_ends() {
    let mut bench = Bench::new(1);
    bench.add(&[("a", "x", 0), ("a", "y", 1), ("b", "z", 2)]);
    assert_eq!(bench.next(0).as_deref(), Some("x"));
    bench.queue.relisted(&BTreeSet::from(["z".to_owned()]));
    assert_eq!(bench.next(0), None);
    bench.queue.finished("x", Finished::failed(), at(0));
    assert_eq!(bench.drain(0, &|_| Finished::Final), ["z"]);
    assert_eq!(bench.next(99), None);
    assert!(bench.queue.entries.is_empty() && bench.queue.namespaces.is_empty());
    assert!(bench.queue.by_pod.is_empty() && bench.queue.timed.is_empty());
    assert!(bench.queue.turns.is_empty() && bench.queue.running.is_empty());
}

#[test]
fn what_waits_is_counted_by_reason_also_after_a_change_of_leader() {
    let mut bench = Bench::new(1);
    bench.add(&[("a", "x", 0), ("a", "y", 1)]);
    let mut old = summary("a", "z", 2);
    old.waiting = Some((responded::COOLDOWN.to_owned(), at(-50)));
    bench.queue.observe(old, at(0));
    bench.next(0);
    let budget = Finished::Backoff {
        reason: responded::WAITING_FOR_DISRUPTION_BUDGET,
        at_least: None,
        not_after: None,
    };
    bench.queue.finished("x", budget, at(0));
    bench.next(0);
    let waiting = [
        (responded::COOLDOWN, at(-50)),
        (responded::WAITING_FOR_DISRUPTION_BUDGET, at(0)),
    ];
    let one = |oldest| Waiting {
        incidents: 1,
        oldest: Some(oldest),
    };
    assert_eq!(
        bench.queue.stats(),
        Stats {
            running: 1,
            due: 1,
            waiting: waiting.map(|(r, at)| (r.to_owned(), one(at))).into(),
            open_breakers: 0,
        }
    );
}

#[test]
fn a_breaker_is_counted_once_for_all_incidents_that_wait_for_it() {
    let mut bench = Bench::new(1);
    for (uid, workload, policy, since) in [
        ("a", "web", "shells", -5),
        ("b", "web", "shells", -9),
        ("c", "web", "miners", -5),
        ("d", "api", "shells", -5),
    ] {
        let mut waits = summary("shop", uid, 0);
        waits.workload = Some(key(workload));
        policy.clone_into(&mut waits.policy_uid);
        waits.waiting = Some((responded::CIRCUIT_BREAKER_OPEN.to_owned(), at(since)));
        bench.queue.observe(waits, at(0));
    }
    let mut other = summary("shop", "e", 0);
    other.waiting = Some((responded::COOLDOWN.to_owned(), at(-90)));
    bench.queue.observe(other, at(0));
    let stats = bench.queue.stats();
    assert_eq!(stats.open_breakers, 3);
    let waiting = stats.waiting[responded::CIRCUIT_BREAKER_OPEN];
    assert_eq!((waiting.incidents, waiting.oldest), (4, Some(at(-9))));
}

#[test]
fn a_requeue_keeps_the_limit_that_it_waits_for() {
    use crate::reason::{RateLimit, WaitReason};
    let limited = |reason| {
        let finished = Finished::requeued(&reason, at(1), Some(Box::new(claim("web"))));
        let Finished::Limited { limit, .. } = finished else {
            panic!("{finished:?}")
        };
        limit
    };
    assert_eq!(limited(WaitReason::Cooldown), cooldown("web"));
    for (limit, want) in [
        (
            RateLimit::Binding("a".to_owned()),
            Limit::Binding("a".to_owned()),
        ),
        (RateLimit::Namespace, Limit::Namespace("shop".to_owned())),
        (RateLimit::Cluster, Limit::Cluster),
    ] {
        assert_eq!(limited(WaitReason::RateLimited(limit)), want);
    }
    let failed = Finished::requeued(&WaitReason::ApiRequestFailed(String::new()), at(1), None);
    assert_eq!(failed, Finished::failed());
}
