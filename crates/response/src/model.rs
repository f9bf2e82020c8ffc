//! A model of everything that removes pods: queue, limits, plan and a simulated API server.
//!
//! Here: sequences of steps that are generated, with faults, passing time and changes of leader,
//! and the laws that hold in all of them. Not here: the world that takes the steps (`world`), what an
//! attacker reports or creates (`attack`), and single rules, which have tables beside them.
//! Invariant: the same sequences are tried every time.

mod attack;
mod cost;
mod world;

use crate::tests::minutes;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use world::{Fault, SLOTS, Step, World};

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::LostResponse),
        1 => Just(Fault::LostRequest),
        1 => Just(Fault::Budget),
        1 => Just(Fault::Webhook),
        1 => Just(Fault::TooMany),
        1 => Just(Fault::Permission),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, 0..3_u8, 0..4_u8, 0..2_u8).prop_map(|(namespace, workload, pod, policy)| {
            Step::Violation { namespace, workload, pod, policy }
        }),
        4 => (0..30_u8).prop_map(Step::Wait),
        6 => Just(Step::Start),
        6 => (any::<u8>(), faults()).prop_map(|(which, fault)| Step::Request(which, fault)),
        6 => any::<u8>().prop_map(Step::End),
        1 => (any::<u8>(), 0..40_u8).prop_map(|(which, after)| Step::Delete(which, after)),
        1 => any::<u8>().prop_map(Step::Series),
        1 => any::<bool>().prop_map(Step::Switch),
        1 => any::<bool>().prop_map(|killed| Step::Leader { killed }),
    ]
}

/// The same worlds every time, and no file for those that fail.
fn config(cases: u32) -> Config {
    Config {
        cases,
        rng_seed: RngSeed::Fixed(13),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config(96))]

    /// No sequence of events exceeds a limit, removes two pods for one violation, or forgets a
    /// response that was due.
    #[test]
    fn no_sequence_of_events_breaks_a_law(steps in proptest::collection::vec(steps(), 1..160)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.check_indexes();
        }
        world.settle();
    }

    /// The same with another leader after every step.
    #[test]
    fn no_change_of_leader_breaks_a_law(
        steps in proptest::collection::vec((steps(), 0..4_u8), 1..80),
    ) {
        let mut world = World::new();
        for (step, leader) in &steps {
            world.step(step);
            if *leader > 0 {
                world.step(&Step::Leader { killed: *leader == 1 });
            }
            world.check_indexes();
        }
        world.settle();
    }

    /// However much one namespace asks for, another one's violation is responded to within the
    /// turns that the others before it take.
    #[test]
    fn no_namespace_is_starved(
        flood in 1..40_u8, waits in 0..90_u8, faults in proptest::collection::vec(faults(), 0..20),
    ) {
        let mut world = World::new();
        let mut more = 0;
        let mut storm = |world: &mut World, count: u8| {
            for _ in 0..count {
                // Every pod has a workload of its own, so that no cooldown period slows the flood.
                more += 1;
                let (workload, pod) = (more % 200, 0);
                world.step(&Step::Violation { namespace: 0, workload, pod, policy: 0 });
                world.step(&Step::Violation { namespace: 1, workload, pod, policy: 0 });
            }
        };
        storm(&mut world, flood);
        for fault in &faults {
            world.step(&Step::Start);
            world.step(&Step::Request(0, *fault));
            world.step(&Step::End(0));
        }
        world.step(&Step::Wait(waits));
        world.step(&Step::Violation { namespace: 2, workload: 0, pod: 0, policy: 0 });
        let quiet = world.time;
        while world.removals.iter().all(|r| r.namespace != "ns-2") {
            storm(&mut world, 2);
            world.step(&Step::Start);
            for _ in 0..SLOTS {
                world.step(&Step::Request(0, Fault::None));
                world.step(&Step::End(0));
            }
            world.step(&Step::Wait(1));
            let waited = world.time.duration_since(quiet);
            prop_assert!(waited <= minutes(2), "ns-2 waits for {waited:?}");
        }
    }
}
