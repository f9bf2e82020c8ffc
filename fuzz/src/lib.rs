//! What the targets have in common: the data that expressions are run over, and their bounds.
//!
//! Here: what an input may take. Not here: the laws (`fuzz_targets`), the variables of every type,
//! which a property of `crates/cel` has as well.
//! Invariant: a bound that is broken is a panic, so the fuzzer keeps the input.

pub mod facts;
#[path = "../../crates/cel/tests/typed/mod.rs"]
pub mod typed;

/// The most memory that one input may hold while it is compiled and evaluated, in bytes: what the
/// largest string that a budget of one expression allows takes, several times.
pub const MEMORY: u64 = 512 << 20;

/// Runs a piece of work, and panics when it held more memory than [`MEMORY`].
pub fn bounded(work: impl FnOnce()) {
    let taken = allocation_counter::measure(work);
    assert!(
        taken.bytes_max < MEMORY,
        "{} bytes were held at once",
        taken.bytes_max
    );
}
