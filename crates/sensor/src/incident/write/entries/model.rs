//! What is kept, for any sequence of violations and answers.

use super::*;
use crate::incident::evidence::process_room;
use crate::incident::evidence::tests::finding;
use crate::incident::write::entry::LEAST_BYTES;
use crate::judge::Finding;
use bailiff_api::Series;
use proptest::prelude::*;
use std::time::Duration;
use tokio::time::Instant;

/// Room for about ten small Incidents of a pod, and for four pods that are full.
const BOUNDS: Bounds = Bounds {
    all: 4 * POD_BYTES,
    pod: POD_BYTES,
};
const POD_BYTES: usize = 32 << 10;
const HOUR: Duration = Duration::from_hours(1);

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    /// A process of a pod violates a policy, with so many bytes of arguments.
    Violation {
        pod: u8,
        policy: u8,
        enforced: bool,
        process: u8,
        bytes: u16,
    },
    /// The next entry that is due is sent.
    Send,
    /// The request that was sent first is answered.
    Answer(Answer),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Accepted,
    Failed,
    /// The Incident was deleted by somebody.
    Deleted,
    /// It is not accepted.
    Rejected,
}

fn step() -> impl Strategy<Value = Step> {
    let violation = (0..10_u8, 0..24_u8, any::<bool>(), 0..30_u8, 0..1500_u16);
    let violation = violation.prop_map(|(pod, policy, enforced, process, bytes)| Step::Violation {
        // Some pods violate far more than others.
        pod: pod.min(policy % 10),
        policy,
        enforced,
        process,
        bytes,
    });
    let answer = prop_oneof![
        4 => Just(Answer::Accepted),
        4 => Just(Answer::Failed),
        1 => Just(Answer::Deleted),
        1 => Just(Answer::Rejected),
    ];
    prop_oneof![
        8 => violation,
        1 => Just(Step::Send),
        1 => answer.prop_map(Step::Answer),
    ]
}

/// Pods 0 to 4 are of one namespace, each of the others is of one of its own.
fn violation(pod: u8, policy: u8, enforced: bool, process: u8, bytes: u16, at: i64) -> Finding {
    let mut found = finding(&BTreeMap::new(), &[]);
    let mut facts = (*found.pod).clone();
    facts.uid = format!("pod-{pod}");
    facts.namespace = format!("namespace-{}", pod.max(4));
    found.pod = Arc::new(facts);
    found.policy.uid = format!("policy-{policy}");
    found.enforced = enforced;
    found.args = Arc::new(vec![vec![b'x'; usize::from(bytes)]]);
    let mut seen = (*found.process).clone();
    seen.executable = format!("/bin/{process}");
    seen.args = vec!["x".repeat(usize::from(bytes))];
    found.process = Arc::new(seen);
    found.time = jiff::Timestamp::from_second(1_800_000_000 + at).unwrap();
    found
}

/// The API server's side, and what was sent.
#[derive(Default)]
struct Model {
    entries: Entries,
    /// Violations that each Incident has.
    stored: BTreeMap<String, i64>,
    /// Those of Incidents that were deleted, and all that happened.
    deleted: i64,
    happened: i64,
    in_flight: Vec<(Name, Option<Series>)>,
}

impl Model {
    fn new() -> Self {
        Self {
            entries: Entries::within(BOUNDS),
            ..Self::default()
        }
    }

    fn violation(&mut self, found: &Finding, now: Instant) -> Vec<Dropped> {
        self.happened += 1;
        let name = crate::incident::evidence::name(found, "node");
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.add(found, "node", now, HOUR);
        } else {
            let holder = Holder::of(found);
            if self.entries.drop_again(&holder, &name, 4 << 10) {
                return Vec::new();
            }
            let dropped = self.entries.take_dropped(&holder, &name);
            let entry = Entry::new(found, "node", dropped, now, HOUR);
            self.entries.insert(&name, entry);
        }
        self.entries.enforce()
    }

    fn send(&mut self) {
        let due = self.entries.idle(4);
        let Some(name) = due.map(|(name, _)| Arc::clone(name)).min() else {
            return;
        };
        let entry = self.entries.get_mut(&name).unwrap();
        entry.in_flight = true;
        let series = entry.exists().then(|| entry.series());
        self.in_flight.push((name, series));
    }

    fn answer(&mut self, answer: Answer, now: Instant) -> Vec<Dropped> {
        if self.in_flight.is_empty() {
            return Vec::new();
        }
        let (name, series) = self.in_flight.remove(0);
        let stored = self.stored.get(&*name).copied();
        let entry = self
            .entries
            .get_mut(&name)
            .expect("what is on its way stays");
        entry.in_flight = false;
        match (answer, series) {
            (Answer::Failed, _) => entry.failures += 1,
            (Answer::Rejected, None) => entry.give_up(now),
            (Answer::Rejected, Some(_)) => entry.hold_back(now),
            // The Incident is there: it was forgotten here.
            (Answer::Accepted | Answer::Deleted, None) if stored.is_some() => {
                let spec = entry.evidence.as_ref().unwrap().decode().unwrap().spec;
                entry.found(&spec, stored.unwrap(), None);
                entry.succeeded(now);
            }
            (Answer::Accepted | Answer::Deleted, None) => {
                let spec = entry.evidence.as_ref().unwrap().decode().unwrap().spec;
                entry.created(&spec, process_room(&spec));
                entry.succeeded(now);
                self.stored.insert(name.to_string(), 1);
            }
            (Answer::Accepted, Some(series)) => {
                entry.updated(&series);
                entry.succeeded(now);
                self.stored.insert(name.to_string(), series.count);
            }
            (Answer::Deleted, Some(_)) => {
                entry.deleted(now, HOUR);
                self.deleted += self.stored.remove(&*name).unwrap();
            }
        }
        self.entries.enforce()
    }

    /// The bytes of each holder, and of each namespace.
    fn taken(&self) -> BTreeMap<Holder, usize> {
        let mut taken = BTreeMap::new();
        for (namespace, shares) in &self.entries.by_namespace {
            for (uid, share) in &shares.by_uid {
                let holder = Holder {
                    namespace: namespace.clone(),
                    uid: uid.clone(),
                };
                taken.insert(holder, share.bytes);
            }
        }
        taken
    }

    /// The same without what is found again, which anybody can do without.
    fn needed(&self) -> BTreeMap<Holder, usize> {
        let mut needed = self.taken();
        for (_, entry) in self
            .entries
            .all()
            .filter(|(_, e)| e.way() == Some(Way::Settled))
        {
            *needed.get_mut(&entry.holder).unwrap() -= entry.bytes();
        }
        needed
    }

    /// First violations that are not recorded, by holder.
    fn firsts(&self) -> BTreeMap<Holder, usize> {
        let mut firsts = BTreeMap::new();
        for (_, entry) in self.entries.all() {
            if !entry.exists() && entry.is_due() {
                *firsts.entry(entry.holder.clone()).or_default() += 1;
            }
        }
        firsts
    }

    fn holds(&self) {
        let entries = &self.entries;
        // What is counted is what is there.
        let mut counted: BTreeMap<Holder, usize> = BTreeMap::new();
        for (name, entry) in entries.all() {
            assert!(entries.by_name[name].bytes == entry.bytes(), "{name}");
            *counted.entry(entry.holder.clone()).or_default() += entry.bytes();
        }
        for (namespace, shares) in &entries.by_namespace {
            for (uid, share) in &shares.by_uid {
                let holder = Holder {
                    namespace: namespace.clone(),
                    uid: uid.clone(),
                };
                let dropped = share.dropped.keys().map(|name| dropped_bytes(name));
                *counted.entry(holder).or_default() += dropped.sum::<usize>();
            }
        }
        assert_eq!(counted, self.taken());
        assert_eq!(entries.bytes, counted.values().sum::<usize>());
        // The bounds.
        assert!(entries.bytes <= BOUNDS.all, "{} bytes", entries.bytes);
        for (holder, bytes) in &counted {
            assert!(*bytes <= BOUNDS.pod, "{holder:?} has {bytes} bytes");
        }
        // Each violation is in an Incident, waits, or is counted as dropped.
        let unwritten = entries.all().map(|(name, entry)| {
            let stored = self.stored.get(&**name).copied().unwrap_or_default();
            if entry.exists() {
                assert!(stored <= entry.count, "{name}");
                entry.count - stored
            } else {
                entry.count
            }
        });
        let unwritten: i64 = unwritten.sum();
        let shares = entries
            .by_namespace
            .values()
            .flat_map(|s| s.by_uid.values());
        let dropped: i64 = shares.flat_map(|share| share.dropped.values()).sum();
        let stored: i64 = self.stored.values().sum();
        assert_eq!(
            stored + unwritten + dropped + entries.uncounted + self.deleted,
            self.happened
        );
    }

    /// What gave way for a violation of this holder was the right thing.
    fn was_fair(
        &self,
        dropped: &[Dropped],
        by: &Holder,
        (taken, firsts): &(BTreeMap<Holder, usize>, BTreeMap<Holder, usize>),
    ) {
        let mut of_namespace: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (holder, bytes) in taken {
            let (pods, all) = of_namespace.entry(&holder.namespace).or_default();
            (*pods, *all) = (*pods + 1, *all + bytes);
        }
        let namespaces = of_namespace.len() + 1;
        let now = self.needed();
        for (holder, before) in taken.iter().filter(|(holder, _)| *holder != by) {
            if now.get(holder).copied().unwrap_or_default() == *before {
                continue;
            }
            // Another one gave way: it had at least its share of everything.
            let (pods, _) = of_namespace[holder.namespace.as_str()];
            let share = BOUNDS.all / namespaces / (pods + 1);
            assert!(
                *before >= share.min(BOUNDS.pod),
                "{holder:?} had {before} of {share} bytes"
            );
            assert!(taken.len() >= BOUNDS.all / BOUNDS.pod, "nothing was full");
        }
        // Where a first violation goes, nothing was left that goes before.
        let firsts_now = self.firsts();
        for (holder, before) in firsts {
            let lost = firsts_now.get(holder).copied().unwrap_or_default() < *before;
            if !lost
                || !dropped
                    .iter()
                    .any(|d| !d.exists && d.pod_namespace == holder.namespace)
            {
                continue;
            }
            for (name, entry) in self.entries.all().filter(|(_, e)| e.holder == *holder) {
                let way = entry.way();
                assert!(
                    matches!(way, None | Some(Way::Audited | Way::Enforced)),
                    "{name} had {way:?} to give"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn no_sequence_exceeds_the_bounds_or_takes_another_pods_share(
        steps in proptest::collection::vec(step(), 1..250)
    ) {
        let now = Instant::now();
        let mut model = Model::new();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Violation { pod, policy, enforced, process, bytes } => {
                    let at = i64::try_from(at).unwrap();
                    let found = violation(pod, policy, enforced, process, bytes, at);
                    let before = (model.needed(), model.firsts());
                    let dropped = model.violation(&found, now);
                    model.was_fair(&dropped, &Holder::of(&found), &before);
                }
                Step::Send => model.send(),
                Step::Answer(answer) => drop(model.answer(answer, now)),
            }
            model.holds();
        }
    }
}

/// One violation of each policy, in this order, by this pod.
fn fill(model: &mut Model, pod: u8, policies: std::ops::Range<u8>, enforced: bool) -> Vec<Dropped> {
    let now = Instant::now();
    let violations = policies.flat_map(|policy| {
        let found = violation(pod, policy, enforced, 0, 1000, i64::from(policy));
        model.violation(&found, now)
    });
    violations.collect()
}

#[test]
fn a_pod_that_is_full_keeps_its_first_violations_and_those_that_are_enforced() {
    let mut model = Model::new();
    let dropped = fill(&mut model, 0, 0..24, false);
    let kept = 24 - dropped.len();
    assert!((5..20).contains(&kept), "{kept}");
    // The newest went.
    let is_kept = |model: &Model, policy: u8, enforced: bool| {
        let found = violation(0, policy, enforced, 0, 0, 0);
        let name = crate::incident::evidence::name(&found, "node");
        model.entries.get(&name).is_some()
    };
    for policy in 0..24 {
        assert_eq!(
            is_kept(&model, policy, false),
            usize::from(policy) < kept,
            "{policy}"
        );
    }
    // What is enforced takes the place of what is only audited.
    let dropped = fill(&mut model, 0, 30..33, true);
    assert!(dropped.len() >= 3, "{dropped:?}");
    for policy in 30..33 {
        assert!(is_kept(&model, policy, true), "{policy}");
    }
    // Others were not asked.
    assert_eq!(fill(&mut model, 1, 0..2, false).len(), 0);
}

#[test]
fn the_next_violation_counts_what_was_dropped() {
    let now = Instant::now();
    let mut model = Model::new();
    let dropped = fill(&mut model, 0, 0..24, false);
    let last = violation(0, 23, false, 0, 0, 100);
    let name = crate::incident::evidence::name(&last, "node");
    assert_eq!(dropped.iter().filter(|d| *d.name == *name).count(), 1);
    for _ in 0..6 {
        assert_eq!(
            model.violation(&last, now).len(),
            0,
            "there is still no room"
        );
    }
    assert!(model.entries.get(&name).is_none());
    // The others are written.
    while !model.entries.unrecorded().is_empty() {
        model.send();
        drop(model.answer(Answer::Accepted, now));
    }
    assert_eq!(model.violation(&last, now).len(), 0);
    assert_eq!(model.entries.get(&name).unwrap().count, 8);
    model.send();
    drop(model.answer(Answer::Accepted, now));
    model.send();
    drop(model.answer(Answer::Accepted, now));
    assert_eq!(model.stored.get(&*name), Some(&8));
}

#[test]
fn further_processes_go_before_the_first_violation_of_any_policy() {
    let now = Instant::now();
    let mut model = Model::new();
    for process in 0..20 {
        let found = violation(0, 0, false, process, 250, 0);
        assert_eq!(model.violation(&found, now).len(), 0);
    }
    let with_processes = model.entries.bytes;
    let mut dropped = 0;
    for policy in 1..24 {
        dropped += fill(&mut model, 0, policy..policy + 1, false).len();
        let (_, first) = model
            .entries
            .all()
            .find(|(_, entry)| entry.count == 20)
            .unwrap();
        assert!(
            dropped == 0 || first.way() == Some(Way::Audited),
            "{dropped}"
        );
    }
    assert!(dropped > 0);
    assert!(with_processes > 5000, "{with_processes}");
}

#[test]
fn four_requests_of_a_pod_leave_room_whatever_is_in_them() {
    let mut found = finding(&BTreeMap::new(), &[]);
    let long = |length: usize| "\u{1}".repeat(length);
    let binding = found.bindings.remove(0);
    found.bindings = (0..16)
        .map(|number| bailiff_api::BindingReference {
            name: "b".repeat(253),
            uid: format!("{number}{}", binding.uid),
        })
        .collect();
    let labels = (0..32).map(|n| (format!("{n}{}", "l".repeat(300)), "v".repeat(63)));
    let mut facts = (*found.pod).clone();
    facts.labels = labels.collect();
    facts.name = "p".repeat(253);
    found.selected = Arc::new(facts.labels.keys().cloned().collect());
    found.pod = Arc::new(facts);
    let mut process = (*found.process).clone();
    process.executable = long(4096);
    process.invoked_path = long(4096);
    process.working_directory = long(4096);
    process.names = vec![long(255); 8];
    found.process = Arc::new(process);
    found.args = Arc::new(vec![vec![1]; 5000]);
    let node = "n".repeat(253);
    let now = Instant::now();
    let mut entry = Entry::new(&found, &node, 0, now, HOUR);
    for number in 0..200 {
        for (index, binding) in found.bindings.iter_mut().enumerate() {
            binding.uid = format!("{number}-{index}");
        }
        entry.add(&found, &node, now, HOUR);
    }
    while entry.way() == Some(Way::Processes) {
        entry.shed_processes();
    }
    assert!(entry.bytes() <= LEAST_BYTES, "{} bytes", entry.bytes());
    assert!(4 * LEAST_BYTES <= Bounds::default().pod);
}

#[test]
fn as_many_pods_as_fill_everything_take_nothing_from_each_other() {
    let bounds = Bounds::default();
    assert_eq!((bounds.all, bounds.pod), (8 << 20, 64 << 10));
    let mut model = Model::new();
    for pod in 5..9 {
        let dropped = fill(&mut model, pod, 0..24, true);
        let namespace = format!("namespace-{pod}");
        assert!(
            dropped.iter().all(|d| d.pod_namespace == namespace),
            "{dropped:?}"
        );
        model.holds();
    }
    // Where there are more, the one that has most gives way for one that has nothing.
    let dropped = fill(&mut model, 9, 0..2, false);
    assert!(
        dropped.iter().all(|d| d.pod_namespace != "namespace-9"),
        "{dropped:?}"
    );
    model.holds();
}
