//! Law: an ELF file has the fact that it is one, first and once. Modules and crates have names and versions that can be
//! printed.
//!
//! An input is what follows the four bytes with which an ELF file begins.

#![no_main]

use bailiff_fuzz::facts;
use bailiff_scan::content::Fact;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let read = facts::of(b"usr/bin/a", &[b"\x7fELF", input].concat());
    assert!(matches!(read.first(), Some(Fact::Elf(_))));
    let is_elf = |fact: &&Fact| matches!(fact, Fact::Elf(_));
    assert_eq!(read.iter().filter(is_elf).count(), 1);
    for fact in &read {
        match fact {
            Fact::Go(info) => {
                facts::version(&info.go);
                for module in info.main.iter().chain(&info.dependencies) {
                    facts::name(&module.path);
                    facts::version(&module.version);
                }
            }
            Fact::Rust(crates) => {
                for of in crates {
                    facts::name(&of.name);
                    facts::version(&of.version);
                }
            }
            _ => {}
        }
    }
});
