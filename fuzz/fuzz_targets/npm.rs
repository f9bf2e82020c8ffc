//! Law: whatever a `package.json` states, each fact can be printed, and a file in the place of a package is one.
//!
//! An input is the file.

#![no_main]

use bailiff_fuzz::facts;
use bailiff_scan::content::Fact;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let mut packages = 0;
    for fact in facts::of(b"node_modules/a/package.json", file) {
        if let Fact::Npm(of) = fact {
            facts::name(&of.name);
            facts::version(&of.version);
            packages += 1;
        }
    }
    assert!((1..=16).contains(&packages), "{packages} packages");
});
