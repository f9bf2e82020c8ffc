//! Law: a file of Alpine's security database has advisories and errors, or one error. Each advisory has names that can be
//! printed and says of each version whether it is affected or that this is unknown.

#![no_main]

use bailiff_scan::advisory::secdb;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    bailiff_fuzz::bounded(|| {
        let each = |advisory| bailiff_fuzz::advisory_laws(advisory, "1.2.3-r0");
        if let Err(error) = secdb::read(text, each) {
            assert!(!error.to_string().is_empty());
        }
    });
});
