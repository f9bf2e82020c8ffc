//! What the targets have in common: the data that expressions are run over, and their bounds.
//!
//! Here: what an input may take. Not here: the laws (`fuzz_targets`), the variables of every type,
//! which a property of `crates/cel` has as well.
//! Invariant: a bound that is broken is a panic, so the fuzzer keeps the input.

pub mod elf;
pub mod facts;

use bailiff_scan::advisory::Advisory;

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

/// The laws of an advisory, or of the error in its place.
pub fn advisory_laws(advisory: Result<Advisory, String>, version: &str) {
    match advisory {
        Ok(advisory) => {
            for name in advisory.names() {
                assert!(
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()),
                    "{name:?}"
                );
            }
            assert!(advisory.title.lines().count() <= 1, "{:?}", advisory.title);
            for entry in &advisory.affected {
                drop(entry.evaluate(version));
            }
        }
        Err(error) => assert!(!error.is_empty()),
    }
}
