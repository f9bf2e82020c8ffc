//! Law: whatever an archive has, each fact can be printed, and no more memory is used than the largest part takes.
//!
//! An input is the archive.

#![no_main]

use bailiff_fuzz::facts;
use bailiff_scan::content::Fact;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let mut archives = 0;
    for fact in facts::of(b"a.jar", file) {
        if let Fact::Java(of) = fact {
            archives += 1;
            for artifact in &of.artifacts {
                facts::name(&artifact.artifact);
                facts::version(&artifact.version);
                if let Some(group) = &artifact.group {
                    facts::name(group);
                }
            }
        }
    }
    assert!(archives >= 1, "a jar is not listed");
});
