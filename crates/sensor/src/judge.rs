//! Evaluates policies for a process that started.
//!
//! Here: the facts that policies see, and what a verdict leads to. Not here: waiting for what is
//! not known yet (`state`).
//! Invariant: a pure function of the exec, the pod and the policies of this moment.

use crate::cluster::namespaces::NamespaceFacts;
use crate::cluster::pods::PodFacts;
use crate::cluster::policy_index::MatchedPolicy;
use crate::incident::evidence::args_within;
use crate::kernel::args::Args;
use crate::kernel::record::{Descent, Exec, Found, Membership, ProcessKey, Root};
use crate::process::args::shown;
use crate::process::names::{names, names_of_found};
use crate::process::tree::{ExecSummary, Lineage, Place, Rights, Running};
use bailiff_api::{
    BindingReference, DescriptorType, ExecutableSource, IncidentType, Origin, PolicyReference,
    Severity, Violation,
};
use bailiff_policy::{
    Ancestor, Ancestors, CompiledPolicy, Container, EvaluationError, Input, Process, ProcessParts,
    Script, Stdio, Verdict, evaluate, evaluate_running, script_path,
};
use jiff::{SignedDuration, Timestamp};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most bindings and violations that an Incident names.
const NAMED_LIMIT: usize = 16;

/// A violation with its evidence.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) type_: IncidentType,
    pub(crate) severity: Severity,
    pub(crate) policy: PolicyReference,
    pub(crate) bindings: Vec<BindingReference>,
    /// Whether any binding that matches, named or not, does more than audit.
    pub(crate) enforced: bool,
    /// Labels of pods that the selectors of policy and bindings name.
    pub(crate) selected: Arc<BTreeSet<String>>,
    pub(crate) pod: Arc<PodFacts>,
    pub(crate) container_id: Option<String>,
    pub(crate) container: Container,
    /// With all of its parts, whichever the policy reads.
    pub(crate) process: Arc<Process>,
    /// As bytes; where some are missing, one has the gap.
    pub(crate) args: Arc<Vec<Vec<u8>>>,
    pub(crate) args_cut: bool,
    pub(crate) pid: u32,
    pub(crate) violations: Vec<Violation>,
    /// When the kernel started the program.
    pub(crate) time: Timestamp,
}

impl Finding {
    /// Whether nothing follows from it but an Incident. An evaluation error is not: it is rare, and the
    /// condition of the policy follows from it.
    pub(crate) const fn is_audited(&self) -> bool {
        match self.type_ {
            IncidentType::Violation => !self.enforced,
            IncidentType::FoundRunning => true,
            IncidentType::EvaluationFailed => false,
        }
    }
}

/// A process that starts in a pod, with everything that is known without the pod.
#[derive(Clone, Debug)]
pub(crate) struct StartedProcess {
    pub(crate) kubelet: String,
    pub(crate) pod_uid: String,
    pub(crate) container_id: Option<String>,
    /// Where its line began: the container's ID counts where that of the cgroup is none of the pod's.
    pub(crate) place: Arc<Place>,
    pub(crate) exec: Arc<Exec>,
    /// Whether it was found running: of `exec` only what the kernel keeps is known then (`exec_of_found`).
    pub(crate) found_running: bool,
    pub(crate) summary: Arc<ExecSummary>,
    pub(crate) lineage: Lineage,
    /// When it was executed or found, by the node's clock.
    pub(crate) time: Timestamp,
    /// When the node was booted, by its clock.
    pub(crate) booted: Timestamp,
}

/// What a program is to the processes that descend from it.
pub(crate) fn summary_of(exec: &Exec) -> ExecSummary {
    // Of the usual ones nothing is copied but what is kept.
    let args: Vec<Cow<'_, str>> = exec
        .args
        .iter()
        .map(|arg| String::from_utf8_lossy(arg))
        .collect();
    ExecSummary {
        executable: exec.executable.clone(),
        names: names(&exec.executable, &exec.filename, &args, exec.without_loader),
        args: args_within(&args, bailiff_api::ANCESTOR_ARGS_LIMIT_BYTES),
        process: exec.process,
    }
}

/// The same for a process that was found running. Its arguments cannot be determined any more.
pub(crate) fn summary_of_found(found: &Found) -> ExecSummary {
    ExecSummary {
        executable: found.executable.clone(),
        names: names_of_found(&found.executable, &found.name),
        args: Vec::new(),
        process: found.process,
    }
}

/// What is known of the exec of a process that was found running; the rest says that it is unknown, as far as it can.
pub(crate) fn exec_of_found(found: Found) -> Exec {
    Exec {
        time: found.time,
        process: found.process,
        parent: found.parent,
        forked: found.forked,
        capabilities: found.capabilities,
        uid: found.uid,
        gid: found.gid,
        source: ExecutableSource::Unknown,
        mount_namespace: found.mount_namespace,
        pod_namespaces: [0; 3],
        cgroup: found.cgroup,
        cgroup_number: found.cgroup_number,
        share: 0,
        left_pod_cgroup: false,
        executable: found.executable,
        executable_deleted: false,
        filename: String::new(),
        filename_cut: true,
        interpreter: None,
        script: None,
        working_directory: "…/".to_owned(),
        args: Args::default(),
        args_tail: Args::default(),
        args_cut: true,
        descriptors: [DescriptorType::Unknown; 3],
        secure_exec: false,
        descent: Descent::Unknown,
        root: Root::Unknown,
        parent_outside_cgroup: false,
        own_pid_namespace: false,
        init_session: found.init_session,
        without_loader: false,
        membership: found.membership,
        joined_container: false,
    }
}

/// The same of one that is remembered.
pub(crate) fn exec_of_running(process: ProcessKey, running: &Running) -> Exec {
    let Rights {
        uid,
        gid,
        capabilities,
        left_pod_cgroup,
    } = running.rights;
    let found = Found {
        process,
        parent: process,
        forked: None,
        time: running.since,
        mount_namespace: 0,
        cgroup: String::new(),
        cgroup_number: 0,
        capabilities,
        uid,
        gid,
        executable: running.summary.executable.clone(),
        name: String::new(),
        init_session: false,
        membership: Membership::Unknown,
    };
    Exec {
        left_pod_cgroup,
        ..exec_of_found(found)
    }
}

impl StartedProcess {
    /// Where its line came from, by what is known of its pod.
    pub(crate) fn origin(&self, pod: &PodFacts) -> Origin {
        // Where the line began: the process itself may be in another cgroup by now.
        let began = self.place.identity.container_id.as_ref();
        let container = began.and_then(|id| pod.containers.get(id)?.name.as_deref());
        self.lineage.start.origin(&pod.commands, container)
    }
}

/// A process whose pod is known: with the parts that policies read, and whole once something is found.
pub(crate) struct EvaluatedProcess<'a> {
    pub(crate) started: &'a StartedProcess,
    pub(crate) origin: Origin,
    read: Arc<Process>,
    whole: OnceCell<Arc<Process>>,
}

impl<'a> EvaluatedProcess<'a> {
    pub(crate) fn new(started: &'a StartedProcess, origin: Origin, parts: ProcessParts) -> Self {
        let read = Arc::new(process_of(started, origin, parts));
        let whole = parts.covers(ProcessParts::ALL).then(|| Arc::clone(&read));
        Self {
            started,
            origin,
            read,
            whole: whole.map_or_else(OnceCell::new, OnceCell::from),
        }
    }

    /// With all of its parts, which are built once.
    fn whole(&self) -> &Arc<Process> {
        let built = || Arc::new(process_of(self.started, self.origin, ProcessParts::ALL));
        self.whole.get_or_init(built)
    }
}

/// Facts about a process as policies see them, without the parts that are not asked for.
pub(crate) fn process_of(started: &StartedProcess, origin: Origin, parts: ProcessParts) -> Process {
    let (exec, booted) = (&started.exec, started.booted);
    let (args, args_gap) = if parts.args {
        let (args, gap) = shown(exec);
        let text = |arg| String::from_utf8_lossy(arg).into_owned();
        (args.iter().map(text).collect(), gap)
    } else {
        (Vec::new(), None)
    };
    let ancestors = if parts.ancestors {
        started.lineage.ancestors.as_slice()
    } else {
        &[]
    };
    let ancestor = |image: &Arc<ExecSummary>| Ancestor {
        executable: image.executable.clone(),
        names: image.names.clone(),
        args: image.args.clone(),
        pid: i64::from(image.process.pid),
        start_time: since_boot(booted, image.process.start),
    };
    Process {
        executable: exec.executable.clone(),
        invoked_path: exec.filename.clone(),
        names: started.summary.names.clone(),
        args,
        args_gap,
        args_truncated: exec.args_cut,
        working_directory: exec.working_directory.clone(),
        executable_source: exec.source,
        executable_deleted: exec.executable_deleted,
        script: exec.interpreter.is_some().then(|| script_of(exec)),
        stdio: Stdio(exec.descriptors),
        secure_exec: exec.secure_exec,
        origin,
        left_pod_cgroup: exec.left_pod_cgroup,
        uid: i64::from(exec.uid),
        gid: i64::from(exec.gid),
        capabilities: if parts.capabilities {
            capabilities(exec.capabilities)
        } else {
            Vec::new()
        },
        start_time: since_boot(booted, exec.process.start),
        ancestors: Ancestors(ancestors.iter().map(ancestor).collect()),
    }
}

/// The script that an interpreter runs: the file that the kernel opened, else what the path says that
/// was passed to exec.
fn script_of(exec: &Exec) -> Script {
    match &exec.script {
        Some(file) => Script {
            path: file.path.clone(),
            source: file.source,
        },
        None => Script {
            path: script_path(&exec.working_directory, &exec.filename, exec.filename_cut),
            source: ExecutableSource::Unknown,
        },
    }
}

/// A time of the kernel's boot clock as a time of day.
pub(crate) fn since_boot(booted: Timestamp, nanoseconds: u64) -> Timestamp {
    let span = SignedDuration::from_nanos(i64::try_from(nanoseconds).unwrap_or(i64::MAX));
    booted.checked_add(span).unwrap_or(booted)
}

/// What the policies that apply to its pod find for a process, which has the parts that they read; a finding
/// has all. `judged` is told each verdict.
pub(crate) fn evaluate_policies(
    evaluated: &EvaluatedProcess<'_>,
    pod: &Arc<PodFacts>,
    namespace: &NamespaceFacts,
    matching: &[&MatchedPolicy],
    judged: &mut dyn FnMut(&CompiledPolicy, &Verdict),
) -> Vec<Finding> {
    let started = evaluated.started;
    let container = started
        .container_id
        .as_ref()
        .and_then(|id| pod.containers.get(id))
        .cloned()
        .unwrap_or_default();
    let mut found = Vec::new();
    let mut args = None;
    for rule in matching {
        let policy = &rule.policy;
        let input = Input {
            process: &evaluated.read,
            container: &container,
            object: pod.object.as_ref(),
            namespace_object: namespace.object.as_ref(),
        };
        let of_errors = |errors: Vec<EvaluationError>| {
            errors
                .into_iter()
                .map(|error| violation(error.validation, error.message))
        };
        let (verdict, violated) = if started.found_running {
            (evaluate_running(policy, &input), IncidentType::FoundRunning)
        } else {
            (evaluate(policy, &input), IncidentType::Violation)
        };
        judged(policy, &verdict);
        let (type_, violations): (_, Vec<_>) = match verdict {
            Verdict::NotMatched | Verdict::Allowed | Verdict::Unknown(_) => continue,
            Verdict::Violated(violations, errors) => {
                let found = violations
                    .into_iter()
                    .map(|found| violation(Some(found.validation), found.message));
                (violated, found.chain(of_errors(errors)).collect())
            }
            Verdict::EvaluationFailed(errors) => {
                (IncidentType::EvaluationFailed, of_errors(errors).collect())
            }
        };
        found.push(Finding {
            type_,
            severity: policy.severity,
            policy: PolicyReference {
                name: policy.name.clone(),
                uid: policy.uid.clone(),
                generation: policy.generation,
            },
            bindings: rule.bindings.iter().take(NAMED_LIMIT).cloned().collect(),
            enforced: rule.enforced,
            selected: Arc::clone(&rule.selected),
            pod: Arc::clone(pod),
            container_id: started.container_id.clone(),
            container: container.clone(),
            process: Arc::clone(evaluated.whole()),
            args: Arc::clone(args.get_or_insert_with(|| {
                let args = shown(&started.exec).0;
                Arc::new(args.iter().map(<[u8]>::to_vec).collect())
            })),
            args_cut: started.exec.args_cut,
            pid: started.exec.process.pid,
            violations: violations.into_iter().take(NAMED_LIMIT).collect(),
            time: started.time,
        });
    }
    found
}

fn violation(validation: Option<usize>, message: String) -> Violation {
    Violation {
        expression_index: validation.and_then(|index| i32::try_from(index).ok()),
        message,
    }
}

/// The names of capabilities by their number, without `CAP_` (include/uapi/linux/capability.h,
/// Linux 6.18).
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Capabilities from their bits.
fn capabilities(bits: u64) -> Vec<String> {
    let set = |number: usize| {
        u32::try_from(number).is_ok_and(|number| bits.checked_shr(number).unwrap_or(0) & 1 == 1)
    };
    CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(number, _)| set(*number))
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_their_names() {
        assert_eq!(capabilities(0), Vec::<String>::new());
        assert_eq!(
            capabilities(1 << 13 | 1 << 21 | 1 << 39),
            ["NET_RAW", "SYS_ADMIN", "BPF"]
        );
        assert_eq!(capabilities(u64::MAX).len(), CAPABILITIES.len());
    }
}
