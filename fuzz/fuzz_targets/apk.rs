//! Law: packages of an apk database have names and versions that can be printed, and what precedes a record does not
//! hide it.
//!
//! An input is the database.

#![no_main]

use bailiff_fuzz::facts;
use bailiff_scan::content::Fact;
use libfuzzer_sys::fuzz_target;

/// A record that is added.
const LAST: &[u8] = b"\n\nP:zz\nV:1\n";

fuzz_target!(|input: &[u8]| {
    let read = facts::of(b"lib/apk/db/installed", &[input, LAST].concat());
    let mut has_last = false;
    for fact in &read {
        if let Fact::Apk(package) = fact {
            facts::name(&package.name);
            facts::version(&package.version);
            facts::name(package.origin.as_deref().unwrap_or("-"));
            has_last |= package.name == "zz";
        }
    }
    assert!(has_last);
});
