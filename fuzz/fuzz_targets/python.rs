//! Law: whatever a file of a Python distribution states, each fact can be printed, and there are few of them.
//!
//! An input is a path, a newline, and the file.

#![no_main]

use bailiff_fuzz::facts;
use bailiff_scan::content::{Fact, METADATA_LIMIT};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((path, file)) = facts::path_and_file(input) else {
        return;
    };
    for fact in facts::of(path, file) {
        if let Fact::Python(of) = fact {
            facts::name(&of.name);
            facts::version(&of.version);
            assert!(of.files.size() <= 3 * METADATA_LIMIT);
        }
    }
});
