//! The process that reads layers, as the real program starts itself.
//!
//! Here: that the program is that process before it is anything else. Not here: what the process does
//! (`crates/image/tests`).

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use bailiff_image::{OpenLayer, Sandbox, SandboxMode, Sandboxed, child, read_image};
use std::io::Write as _;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bailiff");

#[test]
fn the_program_reads_a_layer_in_a_process_of_its_own_in_a_sandbox() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "etc/hello", b"world".as_slice())
        .unwrap();
    let bytes = archive.into_inner().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let layer = OpenLayer {
        digest: None,
        diff_id: None,
        size: u64::try_from(bytes.len()).unwrap(),
        file,
    };
    let mut sandbox = Sandbox::new(SandboxMode::Required);
    assert_eq!(sandbox.program.path.to_str(), Some("/proc/self/exe"));
    sandbox.program.path = PROGRAM.into();
    let content = read_image(&[layer], &sandbox, &mut |_progress| {});
    assert_eq!(content.incomplete, []);
    assert!(matches!(content.sandboxed, Sandboxed::Yes(_)));
    let paths: Vec<_> = content.tree.view().walk().map(|(path, _)| path).collect();
    assert_eq!(paths, [b"etc".to_vec(), b"etc/hello".to_vec()]);
}

#[test]
fn the_process_without_a_request_says_nothing() {
    let output = Command::new(PROGRAM)
        .arg(child::SUBCOMMAND)
        .stdin(Stdio::null())
        .stderr(tempfile::tempfile().unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(!help.contains(child::SUBCOMMAND), "{help}");
}
