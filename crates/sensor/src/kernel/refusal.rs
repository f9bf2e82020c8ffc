//! Why the kernel does not run the sensor's programs, and what an operator does about it.
//!
//! Here: the decision over what the kernel answered and what the process may do, and the sentences. Not here: loading,
//! and asking the kernel (`loader`).
//! Invariant: a cause is named only if what is known shows it. What could not be read shows nothing.

use std::fmt;

/// Bits of a process's capabilities (Linux 6.18, `include/uapi/linux/capability.h`).
const SYS_ADMIN: u64 = 1 << 21;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;
/// Error numbers (Linux 6.18, `include/uapi/asm-generic/errno-base.h`).
const EPERM: i32 = 1;
const EACCES: i32 = 13;
/// The oldest kernel that has all that the programs call.
const OLDEST: (u32, u32) = (5, 14);
/// How the verifier says that a program may not call a function of the kernel (Linux 6.18,
/// `kernel/bpf/verifier.c`, `check_helper_call`; kernels before 6.12 have the second one).
const NO_HELPER: [&str; 2] = ["cannot use helper", "unknown func"];

/// What the kernel answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer<'a> {
    /// The error number; absent: no system call failed.
    pub(crate) errno: Option<i32>,
    /// What the verifier wrote; empty: it was not asked, or wrote nothing.
    pub(crate) verifier: &'a str,
}

/// What the sensor's process may do. A value that is absent could not be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    /// Its effective capabilities.
    pub(crate) capabilities: Option<u64>,
    /// Whether it has a seccomp filter.
    pub(crate) seccomp: Option<bool>,
    /// Whether it is in another user namespace than the node's first process.
    pub(crate) own_user_namespace: Option<bool>,
    /// Major and minor version of the kernel.
    pub(crate) kernel: Option<(u32, u32)>,
}

/// Why the kernel does not run the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The container lacks these capabilities.
    MissingCapabilities {
        /// Whether BPF is missing.
        bpf: bool,
        /// Whether PERFMON is missing.
        perfmon: bool,
    },
    /// The kernel is older than the sensor needs.
    OldKernel {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
    },
    /// The container has a user namespace of its own, so its capabilities do not count on the node.
    UserNamespace,
    /// The seccomp profile blocks the system call.
    Seccomp,
    /// A security module, such as `SELinux`, denies the system call.
    SecurityModule,
    /// The kernel is locked down, so that no program reads its memory.
    Lockdown,
    /// The kernel's verifier rejects the program.
    Verifier,
    /// None of these is certain.
    Unknown,
}

/// Why the kernel gave this answer to this process.
pub(crate) fn refusal(answer: Answer<'_>, process: Process) -> Refusal {
    if let Some(held) = process.capabilities.filter(|held| held & SYS_ADMIN == 0) {
        let (bpf, perfmon) = (held & BPF == 0, held & PERFMON == 0);
        if bpf || perfmon {
            return Refusal::MissingCapabilities { bpf, perfmon };
        }
    }
    if let Some((major, minor)) = process.kernel.filter(|kernel| *kernel < OLDEST) {
        return Refusal::OldKernel { major, minor };
    }
    if NO_HELPER.iter().any(|text| answer.verifier.contains(text)) {
        return Refusal::Lockdown;
    }
    if !answer.verifier.is_empty() {
        return Refusal::Verifier;
    }
    match (answer.errno, process.own_user_namespace, process.seccomp) {
        (Some(EPERM), Some(true), _) => Refusal::UserNamespace,
        (Some(EPERM), Some(false), Some(true)) if process.capabilities.is_some() => {
            Refusal::Seccomp
        }
        (Some(EACCES), _, _) if process.capabilities.is_some() => Refusal::SecurityModule,
        _ => Refusal::Unknown,
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingCapabilities {
                bpf: true,
                perfmon: true,
            } => {
                "the container lacks the capabilities BPF and PERFMON, which the chart requests. Look for an admission webhook that removes them, or a container runtime that does not know them"
            }
            Self::MissingCapabilities { bpf: true, .. } => {
                "the container lacks the capability BPF, which the chart requests. Look for an admission webhook that removes it, or a container runtime that does not know it"
            }
            Self::MissingCapabilities { .. } => {
                "the container lacks the capability PERFMON, which the chart requests. Look for an admission webhook that removes it, or a container runtime that does not know it"
            }
            Self::OldKernel { major, minor } => {
                return write!(
                    f,
                    "the kernel is version {major}.{minor}, and the sensor needs {}.{} or later. Update the node, or exclude it by sensor.nodeSelector or sensor.affinity",
                    OLDEST.0, OLDEST.1
                );
            }
            Self::UserNamespace => {
                "the container has a user namespace of its own, in which no BPF program can be loaded. Look for what sets hostUsers: false in the sensor's pods"
            }
            Self::Seccomp => {
                "the seccomp profile of the container blocks the system call bpf. Update the container runtime, whose default profile allows it to containers with the capability BPF, or set sensor.seccompProfile"
            }
            Self::SecurityModule => {
                "a security module of the kernel, such as SELinux, denies the system call bpf to the container. Set sensor.seLinuxOptions.type to a type that is allowed to use it, such as spc_t"
            }
            Self::Lockdown => {
                "the kernel does not let BPF programs read its memory. It is in the lockdown mode confidentiality (/sys/kernel/security/lockdown): start the node with lockdown=integrity"
            }
            Self::Verifier => {
                "the kernel's verifier rejects it. Report this as a bug, with the version of the kernel and the log of the sensor"
            }
            Self::Unknown => {
                "the sensor needs a kernel 5.14 or later that is built with BTF, and the capabilities BPF and PERFMON"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that may load programs.
    fn allowed() -> Process {
        Process {
            capabilities: Some(BPF | PERFMON),
            seccomp: Some(false),
            own_user_namespace: Some(false),
            kernel: Some((6, 1)),
        }
    }

    fn failed(errno: i32) -> Answer<'static> {
        Answer {
            errno: Some(errno),
            verifier: "",
        }
    }

    fn rejected(verifier: &str) -> Answer<'_> {
        Answer {
            errno: Some(EACCES),
            verifier,
        }
    }

    #[test]
    fn the_capabilities_that_are_missing_are_named_whatever_the_kernel_answered() {
        for (held, bpf, perfmon) in [(0, true, true), (BPF, false, true), (PERFMON, true, false)] {
            let process = Process {
                capabilities: Some(held),
                seccomp: Some(true),
                ..allowed()
            };
            for answer in [failed(EPERM), failed(EACCES), rejected("cannot use helper")] {
                let want = Refusal::MissingCapabilities { bpf, perfmon };
                assert_eq!(refusal(answer, process), want);
            }
        }
        let administrator = Process {
            capabilities: Some(SYS_ADMIN),
            ..allowed()
        };
        assert_eq!(refusal(failed(EPERM), administrator), Refusal::Unknown);
    }

    #[test]
    fn with_the_capabilities_the_answer_shows_who_refused() {
        let filtered = Process {
            seccomp: Some(true),
            ..allowed()
        };
        let nested = Process {
            own_user_namespace: Some(true),
            ..filtered
        };
        let old = Process {
            kernel: Some((5, 10)),
            ..filtered
        };
        // Linux 6.1 and 6.18 in the lockdown mode confidentiality.
        let older = "unknown func bpf_probe_read_kernel#113\n";
        let newer = "program of this type cannot use helper bpf_probe_read_kernel#113\n";
        for (answer, process, want) in [
            (failed(EPERM), filtered, Refusal::Seccomp),
            (failed(EPERM), nested, Refusal::UserNamespace),
            (failed(EPERM), allowed(), Refusal::Unknown),
            (failed(EACCES), filtered, Refusal::SecurityModule),
            (rejected(older), filtered, Refusal::Lockdown),
            (rejected(newer), filtered, Refusal::Lockdown),
            (
                rejected("R1 invalid mem access"),
                filtered,
                Refusal::Verifier,
            ),
            (
                failed(EPERM),
                old,
                Refusal::OldKernel {
                    major: 5,
                    minor: 10,
                },
            ),
            (failed(22), filtered, Refusal::Unknown),
            (Answer::default(), filtered, Refusal::Unknown),
        ] {
            assert_eq!(refusal(answer, process), want, "{answer:?} {process:?}");
        }
    }

    #[test]
    fn what_could_not_be_read_shows_nothing() {
        for errno in [EPERM, EACCES] {
            assert_eq!(refusal(failed(errno), Process::default()), Refusal::Unknown);
        }
        let unknown = Process {
            own_user_namespace: None,
            seccomp: Some(true),
            ..allowed()
        };
        assert_eq!(refusal(failed(EPERM), unknown), Refusal::Unknown);
    }

    #[test]
    fn each_says_what_to_do() {
        let said = Refusal::OldKernel {
            major: 5,
            minor: 10,
        };
        assert_eq!(
            said.to_string(),
            "the kernel is version 5.10, and the sensor needs 5.14 or later. Update the node, or exclude it by sensor.nodeSelector or sensor.affinity"
        );
        let missing = Refusal::MissingCapabilities {
            bpf: false,
            perfmon: true,
        };
        assert!(
            missing
                .to_string()
                .starts_with("the container lacks the capability PERFMON, ")
        );
        assert!(
            Refusal::SecurityModule
                .to_string()
                .contains("sensor.seLinuxOptions.type")
        );
        assert!(
            Refusal::Seccomp
                .to_string()
                .contains("sensor.seccompProfile")
        );
    }
}
