//! The programs of the tests that are written in C.
//!
//! Here: static programs, so that they run with any root directory. Not here: what they do (`threads.c`, `forks.c`).
//! Invariant: a machine without a compiler has them from one that has it: `BAILIFF_TEST_PROGRAMS` names the folder
//! (`hack/kernels.sh`).

use crate::pod::write_program;
use std::path::Path;
use std::process::Command;

/// Makes a program of a source file beside this one.
pub(crate) fn compile(name: &str, program: &Path) {
    if let Some(folder) = std::env::var_os("BAILIFF_TEST_PROGRAMS") {
        let bytes = std::fs::read(Path::new(&folder).join(name)).unwrap();
        return write_program(program, &bytes);
    }
    let source = format!("{}/tests/kernel/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("cc")
        .args(["-O2", "-Wall", "-Werror", "-static", "-pthread"])
        .args([source.as_str(), "-o"])
        .arg(program)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
