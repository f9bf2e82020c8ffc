//! Kernels that do not let the sensor load its programs, and what it says.
//!
//! Here: what can be taken from a process on the kernel that runs the tests, and `SELinux`'s answers, which a filter of
//! system calls gives in its place. Not here: lockdown and old kernels, which have machines of their own
//! (`hack/kernels.sh`).
//! Invariant: each test ends with the text of the error that an operator reads.

use bailiff_sensor::Records;
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::io::Write as _;
use std::process::Command;

/// The command of the system call `bpf` that loads a program (Linux 6.18, `include/uapi/linux/bpf.h`).
const BPF_PROG_LOAD: u64 = 5;

/// What a process of this program says when it loads the programs, started through these words.
fn said(through: &[&str], test: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let test = format!("refused::{test}");
    let output = Command::new(through[0])
        .args(&through[1..])
        .arg(program)
        .args([test.as_str(), "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().find_map(|line| line.split_once("said: "));
    line.unwrap_or_else(|| panic!("{output:?}")).1.to_owned()
}

fn say() {
    let error = Records::load(1 << 16).unwrap_err();
    let mut out = std::io::stdout().lock();
    // The test that started this process reads it.
    writeln!(out, "said: {error}").unwrap();
}

#[test]
#[ignore = "other tests start it with fewer permissions"]
fn as_it_is() {
    say();
}

/// The same where the kernel answers this error to the system call `bpf`, to any command or to one alone.
fn say_with(error: i32, command: Option<u64>) {
    let only = |command| {
        let condition =
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, command);
        SeccompRule::new(vec![condition.unwrap()]).unwrap()
    };
    let bpf = [(nix::libc::SYS_bpf, command.map(only).into_iter().collect())].into();
    let (allow, refuse) = (
        SeccompAction::Allow,
        SeccompAction::Errno(error.unsigned_abs()),
    );
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(bpf, allow, refuse, architecture).unwrap();
    let filter: seccompiler::BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&filter).unwrap();
    say();
}

#[test]
#[ignore = "another test starts it"]
fn with_a_filter() {
    say_with(nix::libc::EPERM, None);
}

#[test]
#[ignore = "another test starts it"]
fn with_selinux_that_denies_everything() {
    say_with(nix::libc::EACCES, None);
}

#[test]
#[ignore = "another test starts it"]
fn with_selinux_that_denies_programs() {
    say_with(nix::libc::EACCES, Some(BPF_PROG_LOAD));
}

#[test]
fn the_capability_that_is_missing_is_named() {
    let without = |lost| {
        let kept = format!("-sys_admin,{lost}");
        said(&["setpriv", "--bounding-set", &kept, "--"], "as_it_is")
    };
    let text = "the container lacks the capability PERFMON, which the chart requests.";
    let said = without("-perfmon");
    assert!(said.contains(text), "{said}");
    let text = "the container lacks the capabilities BPF and PERFMON, which the chart requests.";
    let said = without("-bpf,-perfmon");
    assert!(said.contains(text), "{said}");
}

#[test]
fn a_user_namespace_of_its_own_is_named() {
    let said = said(&["unshare", "--user", "--map-root-user"], "as_it_is");
    let text =
        "the container has a user namespace of its own, in which no BPF program can be loaded.";
    assert!(said.contains(text), "{said}");
}

#[test]
fn a_seccomp_profile_is_named() {
    let said = said(&["env"], "with_a_filter");
    let text = "the seccomp profile of the container blocks the system call bpf.";
    assert!(said.contains(text), "{said}");
}

/// `SELinux` answers EACCES, to each command that the type of the process is not allowed (Linux 6.18,
/// `security/selinux/hooks.c`, `selinux_bpf` and `selinux_bpf_prog`).
#[test]
fn the_type_of_selinux_is_named() {
    let text = "a security module of the kernel, such as SELinux, denies the system call bpf to the container. Set sensor.seLinuxOptions.type";
    for test in [
        "with_selinux_that_denies_everything",
        "with_selinux_that_denies_programs",
    ] {
        let said = said(&["env"], test);
        assert!(said.contains(text), "{test}: {said}");
    }
}
