//! Law: packages of a dpkg database have names and versions that can be printed, and what precedes a stanza does not
//! hide it. Files of the other kinds have facts that take bounded memory.
//!
//! An input is the path of a file below `var/lib/dpkg`, a newline, and its content.

#![no_main]

use bailiff_fuzz::facts;
use bailiff_scan::content::Fact;
use libfuzzer_sys::fuzz_target;

/// A stanza that is added.
const LAST: &[u8] = b"\n\nPackage: zz\nVersion: 1\n";

fuzz_target!(|input: &[u8]| {
    let Some((path, content)) = facts::path_and_file(input) else {
        return;
    };
    let path = [b"var/lib/dpkg/", path].concat();
    for fact in &facts::of(&path, content) {
        if let Fact::Dpkg(package) = fact {
            facts::name(&package.name);
            facts::version(&package.version);
            assert!(!package.version.is_empty());
            if let Some(source) = &package.source {
                facts::name(&source.name);
                facts::version(source.version.as_deref().unwrap_or("-"));
            }
        }
    }
    let longer = facts::of(b"var/lib/dpkg/status", &[content, LAST].concat());
    let is_last = |fact: &Fact| matches!(fact, Fact::Dpkg(package) if package.name == "zz");
    assert!(longer.iter().any(is_last));
});
