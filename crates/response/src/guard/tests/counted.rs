//! What is counted one by one is the same as if it were counted anew.
//!
//! Here: any order of removals, changes and questions. Not here: what the guard pauses (`super`).
//! Invariant: the same sequences are tried every time.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

#[derive(Clone, Debug)]
enum Step {
    /// A removal is planned so many minutes later for an Incident of a workload.
    Planned(usize, usize, i64),
    /// So many minutes later its status records that it waits since then, or was removed.
    Written(usize, usize, i64, bool),
    Deleted(usize),
    /// The binding was changed at a minute.
    Asked(i64),
}

fn steps() -> impl Strategy<Value = Step> {
    // An Incident is mostly of one workload.
    let workload = |number: usize, other| if other == 0 { 0 } else { number % 8 };
    let of = move || {
        let any = (0..16_usize, 0..8_usize, 0..4_i64);
        any.prop_map(move |(number, other, minute)| (number, workload(number, other), minute))
    };
    prop_oneof![
        6 => of().prop_map(|(number, workload, minute)| Step::Planned(number, workload, minute)),
        3 => (of(), any::<bool>()).prop_map(|((number, workload, minute), removed)| {
            Step::Written(number, workload, minute, removed)
        }),
        1 => (0..16_usize).prop_map(Step::Deleted),
        4 => prop_oneof![Just(-5), Just(20)].prop_map(Step::Asked),
    ]
}

/// Of how many workloads at most pods are removed within a window, by its definition.
fn most_at_once(guards: &Guards, since: Timestamp) -> usize {
    let removals: Vec<_> = guards
        .records
        .values()
        .map(|record| (record.time(since), &record.workload))
        .filter(|(at, _)| *at >= since && at.duration_since(since) <= YOUNG)
        .collect();
    let within = |end: Timestamp| {
        let window = removals
            .iter()
            .filter(|(at, _)| *at <= end && end.duration_since(*at) <= WINDOW);
        window
            .map(|(_, workload)| workload)
            .collect::<BTreeSet<_>>()
            .len()
    };
    removals
        .iter()
        .map(|(end, _)| within(*end))
        .max()
        .unwrap_or_default()
}

proptest! {
    #![proptest_config(Config {
        cases: 256,
        rng_seed: RngSeed::Fixed(13),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn workloads_are_counted_as_if_all_removals_were_counted_anew(
        steps in proptest::collection::vec(steps(), 1..80),
    ) {
        let (policy, mut binding) = young();
        let mut guards = Guards::default();
        let mut clock = 0;
        for step in steps {
            match step {
                Step::Planned(number, workload, later) => {
                    clock += later;
                    let workload = key(&format!("w{workload}"));
                    let open = incident(number, "", &json!({}));
                    guards.planned(&open, Some(&workload), now() + minutes(clock));
                }
                Step::Written(number, workload, later, removed) => {
                    clock += later;
                    let status = if removed {
                        json!({"response": {"action": "Evict", "bindingName": "a", "time": at(60 * clock)}})
                    } else {
                        waits(true, 60 * clock)
                    };
                    guards.observe(&incident(number, &format!("w{workload}"), &status));
                }
                Step::Deleted(number) => guards.deleted(&format!("inc-{number}")),
                Step::Asked(minute) => {
                    binding.changed = now() + minutes(minute);
                    let most = guards.most_at_once(&policy, &binding);
                    prop_assert_eq!(most, most_at_once(&guards, binding.changed));
                }
            }
        }
    }
}
