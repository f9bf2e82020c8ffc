//! One Incident as a page.
//!
//! Here: its lines. Not here: reading it.
//! Invariant: every text that a process or a tenant chose is escaped.

use crate::table;
use bailiff_api::Incident;
use bailiff_api::condition::types;
use bailiff_response::messages::escaped;
use jiff::Timestamp;

/// Most characters of one argument, and of a whole command, that are shown.
const ARGUMENT_LIMIT: usize = 512;
const COMMAND_LIMIT: usize = 4096;
/// Names stand in a column this wide.
const LABEL: usize = 13;

/// The lines of the page.
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
    let detected = spec.exec_time.0;
    field("Detected", format!("{detected} ({} ago)", since(detected)));
    if let Some(series) = status.series.as_ref().filter(|s| s.count > 1) {
        let last = series.last_observed_time.0;
        field(
            "Seen",
            format!("{} times, last {last} ({} ago)", series.count, since(last)),
        );
    }
    let bindings: Vec<_> = spec.binding_refs.iter().map(|b| text(&b.name)).collect();
    field(
        "Policy",
        format!(
            "{} ({}), bound by {}",
            text(&spec.policy_ref.name),
            spec.severity,
            bindings.join(", ")
        ),
    );
    for (index, violation) in spec.violations.iter().enumerate() {
        let label = if index == 0 { "Says" } else { "" };
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
    let container = match (&spec.container.name, &spec.container.image) {
        (Some(name), Some(image)) => format!("{}, image {}", text(name), text(image)),
        (Some(name), None) => text(name),
        (None, _) => "not known in time".to_owned(),
    };
    field("Container", container);
    let process = &spec.process;
    field(
        "Started by",
        match process.origin {
            bailiff_api::Origin::Entrypoint => "the application itself",
            bailiff_api::Origin::Exec => "somebody from outside, as kubectl exec does",
            bailiff_api::Origin::Probe => "the kubelet, as a probe",
            bailiff_api::Origin::Lifecycle => "the kubelet, as a lifecycle hook",
            bailiff_api::Origin::Unknown => "not known: it was not seen to start",
        }
        .to_owned(),
    );
    field(
        "User",
        format!(
            "{}, group {} (as the node sees them)",
            process.uid, process.gid
        ),
    );
    if !process.capabilities.is_empty() {
        field("Capabilities", process.capabilities.join(" "));
    }
    lines.push("Processes".to_owned());
    lines.extend(processes(incident, color));
    lines.extend(outcome(incident));
    lines
}

/// The ancestors, the outermost first, and the process itself, each indented below its parent.
fn processes(incident: &Incident, color: bool) -> Vec<String> {
    let process = &incident.spec.process;
    let ancestors = process.ancestors.iter().rev();
    let mut all: Vec<_> = ancestors
        .map(|a| (a.pid, command(&a.executable, &a.args, false)))
        .collect();
    all.push((
        process.pid,
        command(&process.executable, &process.args, process.args_truncated),
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

/// A command as a shell would take it, the file in front where the first argument hides it.
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
    for (type_, unanswered) in [
        (
            types::RESPONDED,
            Some("not yet; is a controller of Bailiff running?"),
        ),
        (types::RECOVERED, None),
    ] {
        let found = status.conditions.iter().find(|c| c.type_ == type_);
        let value = found
            .map(|c| format!("{}: {}", text(&c.reason), text(&c.message)))
            .or(unanswered.map(str::to_owned));
        if let Some(value) = value {
            lines.push(format!("{type_:LABEL$}{value}"));
        }
    }
    if let Some(would) = &status.dry_run_response {
        lines.push(format!("{:LABEL$}{}", "Enforced", text(&would.message)));
    }
    lines
}
