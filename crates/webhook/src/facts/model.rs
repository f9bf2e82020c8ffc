//! A model of memory and queue under generated questions, answers and times.
//!
//! Here: the laws that hold in every sequence. Not here: what they are checked against (`world`), and
//! single rules, which have tests beside them.
//! Invariant: the same sequences are tried every time.

mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use world::{Outcome, Step, World};

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => (0..3_u8).prop_map(Outcome::Found),
        3 => Just(Outcome::NotFound),
        1 => Just(Outcome::Unauthorized),
        1 => Just(Outcome::Certificate),
        2 => Just(Outcome::Connect),
        1 => Just(Outcome::Timeout),
        2 => prop_oneof![Just(None), (0..900_u16).prop_map(Some)].prop_map(Outcome::RateLimited),
        1 => (0..900_u16).prop_map(Outcome::Unavailable),
    ]
}

/// Steps about so many registries, and images of each.
fn steps(registries: u8, images: u8) -> impl Strategy<Value = Step> {
    let ask = (0..4_u8, 0..registries, 0..images, any::<bool>());
    prop_oneof![
        8 => ask.prop_map(|(namespace, registry, image, is_tag)| Step::Ask {
            namespace, registry, image, is_tag
        }),
        1 => (0..4_u8, 0..registries).prop_map(|(namespace, registry)| Step::Flood { namespace, registry }),
        8 => (any::<u8>(), outcomes()).prop_map(|(which, outcome)| Step::Finish(which, outcome)),
        3 => prop_oneof![0..40_u32, 200..400_u32, 80_000..90_000_u32].prop_map(Step::Wait),
        3 => (0..registries, 0..images, any::<bool>()).prop_map(|(registry, image, is_tag)| Step::Admit {
            registry, image, is_tag
        }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(Config {
        cases: 192,
        rng_seed: RngSeed::Fixed(14),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    })]

    /// Every answer is the one that the registry's answers so far and their times give; after a restart, those
    /// to the questions whose pods were admitted.
    #[test]
    fn every_answer_follows_from_those_of_the_registry(
        steps in proptest::collection::vec(steps(3, 5), 1..120),
    ) {
        let mut world = World::new(100_000);
        for step in &steps {
            world.step(step);
        }
        world.settle();
    }

    /// The same with few images, so that many are admitted and asked for again after a restart.
    #[test]
    fn after_a_restart_what_was_admitted_is_known_until_the_registry_contradicts_it(
        steps in proptest::collection::vec(steps(1, 1), 1..200),
    ) {
        let mut world = World::new(100_000);
        for step in &steps {
            world.step(step);
        }
        world.settle();
    }

    /// With little room answers are forgotten, and never wrong.
    #[test]
    fn little_room_makes_no_answer_wrong(
        steps in proptest::collection::vec(steps(3, 5), 1..120),
    ) {
        let mut world = World::new(16);
        for step in &steps {
            world.step(step);
        }
        world.settle();
    }
}
