//! Law: what Debian publishes has advisories and errors, or one error. Each advisory has names that can be printed and says
//! of each version whether it is affected or that this is unknown.
//!
//! An input is a list of security updates if it begins with a bracket, and otherwise the file of the security tracker.

#![no_main]

use bailiff_scan::advisory::{debian, debian_list};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    bailiff_fuzz::bounded(|| {
        let each = |advisory| bailiff_fuzz::advisory_laws(advisory, "1:1.2.3-1+deb12u1");
        let error = if text.starts_with(b"[") {
            debian_list::read(text, each)
                .err()
                .map(|error| error.to_string())
        } else {
            debian::read(text, each)
                .err()
                .map(|error| error.to_string())
        };
        assert!(error.is_none_or(|error| !error.is_empty()));
    });
});
