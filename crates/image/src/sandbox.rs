//! What the process that reads layers can still do once it has begun.
//!
//! Here: its descriptors, its resource limits, Landlock, and the allow-list of system calls. Not here: what it reads
//! and answers (`child`), and who starts it (`process`).
//! Invariant: nothing is read before [`enter`] has succeeded. From then on, the process can use memory, read
//! descriptors 0 and 2, write descriptors 1 and 2, and end. It can open nothing, start nothing, send nothing and wait
//! for nothing but its parent. Any other system call kills it.

use landlock::{ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, Scope};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Resources that the process has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceilings {
    /// CPU time in seconds. The kernel ends the process with SIGXCPU after it, and with SIGKILL two seconds later.
    pub cpu_seconds: u64,
    /// Address space in bytes, the program and its stack included.
    pub address_space: u64,
    /// The largest file that it can write, in bytes. It can write its spool alone.
    pub file_bytes: u64,
}

/// What Landlock adds to the allow-list of system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Landlock {
    /// No access to files, to the network, and to processes outside.
    Full,
    /// The kernel knows some of these restrictions only.
    Partial,
    /// The kernel does not have Landlock, or it is off. The allow-list of system calls applies alone.
    Unavailable,
}

/// Why the process could not enter its sandbox. It has read nothing then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SandboxError {
    /// Other descriptors than its three are open and could not be closed.
    #[error("it inherited open descriptors that it could not close")]
    Descriptors,
    /// A resource limit could not be set.
    #[error("cannot set its resource limits: {}", errno(*.0))]
    Resources(i32),
    /// It could not give up privileges that come with executing a file.
    #[error("cannot set no_new_privs: {}", errno(*.0))]
    Privileges(i32),
    /// The kernel has Landlock and rejected the rules.
    #[error("the kernel rejected its Landlock rules")]
    Landlock,
    /// There is no allow-list of system calls for this processor architecture.
    #[error("there is no seccomp filter for this processor architecture")]
    Architecture,
    /// The kernel rejected the allow-list of system calls, or has no seccomp.
    #[error("the kernel did not accept its seccomp filter: {}", errno(*.0))]
    Seccomp(i32),
}

/// The kernel's word for an error number.
fn errno(number: i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(number)
}

/// The system calls that need no look at their arguments.
const ALLOWED: &[libc::c_long] = &[
    // Memory. `mmap` and `mprotect` are below.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // The end, also that of a panic, of an overflowing stack and of exhausted memory, so that each has its own signal.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Seeds of hash tables, and time where the kernel does not answer in the process itself.
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
];

/// The descriptor of the blob, which is read.
pub(crate) const BLOB: u64 = 0;
/// The descriptor of the answer, which is written.
pub(crate) const ANSWER: u64 = 1;
/// The descriptor of the spool, which is read and written.
pub(crate) const SPOOL: u64 = 2;

/// Closes every inherited descriptor but the first three.
///
/// Whoever started the parent can have left descriptors open that an executed program inherits: files, sockets, the
/// terminal.
///
/// # Errors
/// One is still open, or the list of them (`/proc/self/fd`) cannot be read.
pub fn close_inherited() -> Result<(), SandboxError> {
    for descriptor in descriptors()? {
        // The one of the list itself is closed already; so an error says nothing.
        nix::unistd::close(descriptor).unwrap_or_default();
    }
    // The second list has its own descriptor in it, and nothing else.
    match descriptors()?.len() {
        0 | 1 => Ok(()),
        _ => Err(SandboxError::Descriptors),
    }
}

/// The open descriptors above the first three, with the one that reads the list.
fn descriptors() -> Result<Vec<i32>, SandboxError> {
    let entries = std::fs::read_dir("/proc/self/fd").map_err(|_error| SandboxError::Descriptors)?;
    let mut found = Vec::new();
    for entry in entries {
        let name = entry
            .map_err(|_error| SandboxError::Descriptors)?
            .file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        match number {
            Some(0..=2) => {}
            Some(number) => found.push(number),
            None => return Err(SandboxError::Descriptors),
        }
    }
    Ok(found)
}

/// Sets the resource limits of this process. They apply without a sandbox too.
///
/// # Errors
/// The kernel rejected one.
pub fn limit(ceilings: Ceilings) -> Result<(), SandboxError> {
    let hard_cpu = ceilings.cpu_seconds.saturating_add(2);
    for (resource, soft, hard) in [
        (Resource::RLIMIT_CPU, ceilings.cpu_seconds, hard_cpu),
        (
            Resource::RLIMIT_AS,
            ceilings.address_space,
            ceilings.address_space,
        ),
        // A dump of the memory would have the content of the image in a file.
        (Resource::RLIMIT_CORE, 0, 0),
        (
            Resource::RLIMIT_FSIZE,
            ceilings.file_bytes,
            ceilings.file_bytes,
        ),
    ] {
        setrlimit(resource, soft, hard).map_err(|error| SandboxError::Resources(error as i32))?;
    }
    // No signal is lost by it: if the parent has ended already, writing the answer fails.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|error| SandboxError::Privileges(error as i32))
}

/// Puts this process, which must have one thread, into its sandbox for the rest of its life.
///
/// # Errors
/// A part of the sandbox is not possible. Landlock alone can be missing.
pub fn enter() -> Result<Landlock, SandboxError> {
    nix::sys::prctl::set_no_new_privs().map_err(|error| SandboxError::Privileges(error as i32))?;
    let landlock = restrict()?;
    // After Landlock, which needs a descriptor for its rules.
    setrlimit(Resource::RLIMIT_NOFILE, 0, 0)
        .map_err(|error| SandboxError::Resources(error as i32))?;
    seccompiler::apply_filter(&filter()?).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
            SandboxError::Seccomp(error.raw_os_error().unwrap_or(0))
        }
        seccompiler::Error::Backend(_)
        | seccompiler::Error::EmptyFilter
        | seccompiler::Error::ThreadSync(_) => SandboxError::Architecture,
    })?;
    Ok(landlock)
}

/// Denies with Landlock whatever the kernel knows to deny: a second wall behind the allow-list of system calls, which
/// the process has alone where the kernel has no Landlock.
///
/// # Errors
/// The kernel has Landlock and rejects the rules.
pub fn restrict() -> Result<Landlock, SandboxError> {
    let version = ABI::V6;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(version))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(version)))
        .and_then(|rules| rules.scope(Scope::from_all(version)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|_error| SandboxError::Landlock)?;
    Ok(match status.ruleset {
        landlock::RulesetStatus::FullyEnforced => Landlock::Full,
        landlock::RulesetStatus::PartiallyEnforced => Landlock::Partial,
        landlock::RulesetStatus::NotEnforced => Landlock::Unavailable,
    })
}

/// The allow-list of system calls of this process.
fn filter() -> Result<BpfProgram, SandboxError> {
    let unsupported = |_error: seccompiler::BackendError| SandboxError::Architecture;
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(unsupported)?;
    let rules = rules(std::process::id()).map_err(unsupported)?;
    SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        architecture,
    )
    .and_then(BpfProgram::try_from)
    .map_err(unsupported)
}

/// Each system call with the conditions of which one must hold. Without conditions it is always allowed.
fn rules(process: u32) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    // An argument of an int or of flags has 32 bits; the kernel ignores the others.
    let is = |argument, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    let one_of = |argument, values: &[u64]| {
        values
            .iter()
            .map(|value| SeccompRule::new(vec![is(argument, *value)?]))
            .collect::<Result<Vec<_>, _>>()
    };
    let masked = |argument, mask, value| {
        SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(mask),
            value,
        )
    };
    let bits = |value: i32| u64::from(value.unsigned_abs());
    let not_executable = || masked(2, bits(libc::PROT_EXEC), 0);
    let anonymous = bits(libc::MAP_ANONYMOUS);

    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_read, one_of(0, &[BLOB, SPOOL])?);
    rules.insert(libc::SYS_lseek, one_of(0, &[BLOB, SPOOL])?);
    rules.insert(libc::SYS_write, one_of(0, &[ANSWER, SPOOL])?);
    // An initialization that is done wakes who waits for it, also if nobody can: unwinding does. Waiting is not allowed.
    let wake = bits(libc::FUTEX_WAKE);
    rules.insert(
        libc::SYS_futex,
        one_of(1, &[wake, wake | bits(libc::FUTEX_PRIVATE_FLAG)])?,
    );
    // Memory that is never code, and never that of a file.
    rules.insert(
        libc::SYS_mmap,
        vec![SeccompRule::new(vec![
            not_executable()?,
            masked(3, anonymous, anonymous)?,
        ])?],
    );
    rules.insert(
        libc::SYS_mprotect,
        vec![SeccompRule::new(vec![not_executable()?])?],
    );
    // What the runtime does when memory or the stack is exhausted. The signal of the CPU limit cannot be handled.
    rules.insert(
        libc::SYS_rt_sigaction,
        one_of(
            0,
            &[bits(libc::SIGABRT), bits(libc::SIGBUS), bits(libc::SIGSEGV)],
        )?,
    );
    rules.insert(
        libc::SYS_tgkill,
        vec![SeccompRule::new(vec![
            is(0, u64::from(process))?,
            is(2, bits(libc::SIGABRT))?,
        ])?],
    );
    Ok(rules)
}
