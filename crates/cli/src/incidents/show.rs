//! An Incident as a page.
//!
//! Here: its lines. Not here: requests.
//! Invariant: text from processes and tenants is escaped.

use crate::table;
use bailiff_api::condition::types;
use bailiff_api::{Incident, IncidentProcess, IncidentType, Origin};
use bailiff_response::messages::escaped;
use jiff::Timestamp;

/// Characters of an argument and of a whole command line.
const ARGUMENT_LIMIT: usize = 512;
const COMMAND_LIMIT: usize = 4096;
/// Width of the column of labels.
const LABEL: usize = 13;

/// Returns the lines of the page.
pub(super) fn page(incident: &Incident, color: bool, now: Timestamp) -> Vec<String> {
    let spec = &incident.spec;
    let status = incident.status.clone().unwrap_or_default();
    let text = |t: &str| escaped(t, 1024);
    let since = |t: Timestamp| table::age(now.duration_since(t).as_secs());
    let mut lines = Vec::new();
    let mut field = |name: &str, value: String| lines.push(format!("{name:LABEL$}{value}"));

    let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
    let name = incident.metadata.name.as_deref().unwrap_or_default();
    field("Incident", format!("{name} in namespace {namespace}"));
    let exec_time = spec.exec_time.0;
    // The exec of what was found running is not known.
    let label = match spec.type_ {
        IncidentType::Violation | IncidentType::EvaluationFailed => "Exec time",
        IncidentType::FoundRunning => "Found",
    };
    field(label, format!("{exec_time} ({} ago)", since(exec_time)));
    if let Some(series) = status.series.as_ref().filter(|s| s.count > 1) {
        let last = series.last_observed_time.0;
        field(
            "Count",
            format!("{}, last at {last} ({} ago)", series.count, since(last)),
        );
    }
    let bindings: Vec<_> = spec.binding_refs.iter().map(|b| text(&b.name)).collect();
    field(
        "Policy",
        format!(
            "{} (severity {}), applied by {}",
            text(&spec.policy_ref.name),
            spec.severity,
            bindings.join(", ")
        ),
    );
    for (index, violation) in spec.violations.iter().enumerate() {
        let label = if index == 0 { "Message" } else { "" };
        field(label, text(&violation.message));
    }
    field(
        "Pod",
        format!("{} on node {}", text(&spec.pod.name), text(&spec.node_name)),
    );
    if let Some(workload) = &status.workload_ref {
        field(
            "Workload",
            format!("{} {}", text(&workload.kind), text(&workload.name)),
        );
    }
    field("Container", container(incident));
    let process = &spec.process;
    field("Origin", origin(process.origin).to_owned());
    field(
        "User",
        format!(
            "{}, group {} (in the host user namespace)",
            process.uid, process.gid
        ),
    );
    if !process.capabilities.is_empty() {
        field("Capabilities", process.capabilities.join(" "));
    }
    if process.left_pod_cgroup {
        field(
            "Cgroup",
            "The process left the cgroups of the pod and can outlive it on the node.".to_owned(),
        );
    }
    for (name, value) in exec_facts(process) {
        field(name, value);
    }
    lines.push("Processes".to_owned());
    lines.extend(processes(incident, color));
    lines.extend(later_processes(incident));
    lines.extend(outcome(incident));
    lines
}

/// What came with the exec, as far as there is something to say.
fn exec_facts(process: &IncidentProcess) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(path) = &process.script_path {
        let path = escaped(path, 1024);
        let source = process
            .script_source
            .map(|source| format!(" (source {source})"));
        facts.push(("Script", path + &source.unwrap_or_default()));
    }
    if !process.stdio.is_empty() {
        let types = process.stdio.iter().enumerate();
        let types: Vec<_> = types
            .map(|(number, type_)| format!("{number} {type_}"))
            .collect();
        facts.push(("Descriptors", types.join(", ")));
    }
    if process.secure_exec {
        let text = "The process gained privileges with the exec.";
        facts.push(("Privileges", text.to_owned()));
    }
    if process.executable_deleted {
        let text = "The executable was deleted or replaced before the exec.";
        facts.push(("Executable", text.to_owned()));
    }
    facts
}

fn container(incident: &Incident) -> String {
    let text = |t: &str| escaped(t, 1024);
    let container = &incident.spec.container;
    match (&container.name, &container.image) {
        (Some(name), Some(image)) => format!("{}, image {}", text(name), text(image)),
        (Some(name), None) => text(name),
        (None, _) => "unknown".to_owned(),
    }
}

const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Entrypoint => "Entrypoint (started by the container's first process)",
        Origin::Exec => "Exec (started through exec, such as kubectl exec)",
        Origin::Probe => "Probe (started by the kubelet for a probe)",
        Origin::Lifecycle => "Lifecycle (started by the kubelet for a lifecycle hook)",
        Origin::Unknown => "Unknown (cannot be determined)",
    }
}

/// Other processes that violated the policy in the same pod, oldest first.
fn later_processes(incident: &Incident) -> Vec<String> {
    let series = incident.status.as_ref().and_then(|s| s.series.as_ref());
    let processes = series
        .into_iter()
        .flat_map(|s| s.first_processes.iter().chain(&s.last_processes));
    let lines: Vec<_> = processes
        .map(|p| {
            format!(
                "  {}  (origin {}, count {}, last at {})",
                command(&p.executable, &p.args, p.args_truncated),
                p.origin,
                p.count,
                p.last_observed_time.0
            )
        })
        .collect();
    if lines.is_empty() {
        return lines;
    }
    std::iter::once("Later processes".to_owned())
        .chain(lines)
        .collect()
}

/// The ancestors, outermost first, and the process, each indented below its parent.
fn processes(incident: &Incident, color: bool) -> Vec<String> {
    let process = &incident.spec.process;
    let ancestors = process.ancestors.iter().rev();
    let mut all: Vec<_> = ancestors
        .map(|a| (a.pid, command(&a.executable, &a.args, false)))
        .collect();
    // A gap shows where it is. Otherwise, the end is missing.
    let has_gap = process.args.iter().any(|arg| arg.contains('…'));
    let lacks_end = process.args_truncated && !has_gap;
    all.push((
        process.pid,
        command(&process.executable, &process.args, lacks_end),
    ));
    let last = all.len() - 1;
    all.into_iter()
        .enumerate()
        .map(|(depth, (pid, command))| {
            let indent = "   ".repeat(depth.saturating_sub(1));
            let branch = if depth == 0 { "" } else { "└─ " };
            let line = format!("  {indent}{branch}{command}  (pid {pid})");
            match (depth == last, color) {
                (true, true) => format!("\u{1b}[31m{line}\u{1b}[0m"),
                (true, false) | (false, _) => line,
            }
        })
        .collect()
}

/// A command line quoted for a shell, after the executable if its first argument differs.
fn command(executable: &str, args: &[String], cut: bool) -> String {
    let mut words: Vec<String> = args.iter().map(|a| word(a)).collect();
    if args.first().is_none_or(|first| first != executable) {
        let file = escaped(executable, ARGUMENT_LIMIT);
        words.insert(
            0,
            if args.is_empty() {
                file
            } else {
                format!("{file}:")
            },
        );
    }
    let mut all = words.join(" ");
    if cut {
        all.push_str(" …");
    }
    if all.chars().count() > COMMAND_LIMIT {
        all = all.chars().take(COMMAND_LIMIT).chain(['…']).collect();
    }
    all
}

fn word(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    let shown = escaped(argument, ARGUMENT_LIMIT);
    if !shown.is_empty() && argument.chars().all(plain) {
        shown
    } else {
        format!("'{}'", shown.replace('\'', r"'\''"))
    }
}

fn outcome(incident: &Incident) -> Vec<String> {
    let text = |t: &str| escaped(t, 1024);
    let status = incident.status.clone().unwrap_or_default();
    let mut lines = Vec::new();
    for (type_, absent) in [
        (
            types::RESPONDED,
            Some("Pending. If this persists, check the controller with `bailiff status`."),
        ),
        (types::RECOVERED, None),
    ] {
        let found = status.conditions.iter().find(|c| c.type_ == type_);
        let value = found
            .map(|c| format!("{}: {}", text(&c.reason), text(&c.message)))
            .or(absent.map(str::to_owned));
        if let Some(value) = value {
            lines.push(format!("{type_:LABEL$}{value}"));
        }
    }
    if let Some(dry_run) = &status.dry_run_response {
        lines.push(format!("{:LABEL$}{}", "Dry run", text(&dry_run.message)));
    }
    lines
}
