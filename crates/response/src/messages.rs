//! Every sentence that people read about a response.
//!
//! Here: condition messages and Event notes, for a developer without security training. Not
//! here: condition and Event reasons (`bailiff_api`), and when each is used.
//! Invariant: no sentence carries arguments of a process, or the message of a policy, which may
//! quote them; no text that an Incident or a webhook chose can break a line or color a terminal; a
//! note stays within 1,024 bytes.

use crate::dry_run::Would;
use crate::guard::Paused;
use crate::incident_state::{Outcome, Recovery};
use crate::reason::{Blocker, NoActionReason, RateLimit, WaitReason};
use bailiff_api::{Incident, IncidentType, Origin, PauseReason, ResponseAction, event, keys};

mod preview;

pub use preview::{ahead, outlook, replacement};

/// Most bytes of an Event's note, by the API.
pub const NOTE_LIMIT_BYTES: usize = 1024;
/// Most characters of a path, or of a quoted text, that are shown.
const TEXT_LIMIT: usize = 200;

/// The message of `Recovered` when no pod was removed.
pub const NOTHING_TO_REPLACE: &str = "Bailiff removed no pod, so no replacement is needed.";

/// The object that an Event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regarding<'a> {
    /// The pod itself.
    Pod,
    /// The workload of the pod; its kind.
    Workload(&'a str),
}

/// An Event's reason, type and note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// One of `bailiff_api::event`.
    pub reason: &'static str,
    /// Whether its type is Warning; else Normal.
    pub warning: bool,
    /// The sentences.
    pub text: String,
}

/// A path with its control and formatting characters escaped, cut at 200 characters.
#[must_use]
pub fn printable(path: &str) -> String {
    escaped(path, TEXT_LIMIT)
}

/// A text with its control and formatting characters escaped, cut at `limit` characters. What CI runners read as a
/// command in what a program prints is escaped too.
#[must_use]
pub fn escaped(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == limit {
            shown.push('…');
            break;
        }
        if c.is_control() || hides(c) || is_command(&shown, c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character reorders or hides text in a terminal, besides those that control it.
#[must_use]
pub const fn hides(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether a character after a text makes it what CI runners read as a command: `##[` and `##vso[` anywhere in a line,
/// and `::` at its begin.
#[must_use]
pub fn is_command(before: &str, c: char) -> bool {
    match c {
        '[' => {
            let bytes = before.as_bytes();
            let last = bytes.get(bytes.len().saturating_sub(5)..);
            let is_vso = last.is_some_and(|last| last.eq_ignore_ascii_case(b"##vso"));
            bytes.ends_with(b"##") || is_vso
        }
        ':' => before.trim_start() == ":",
        _ => false,
    }
}

/// The message of the condition `Responded`.
#[must_use]
pub fn responded(incident: &Incident, outcome: &Outcome) -> String {
    let pod = printable(&incident.spec.pod.name);
    match outcome {
        Outcome::Removed {
            action, binding, ..
        } => {
            let verb = verb(*action);
            format!("Bailiff {verb} pod {pod}, as RuntimePolicyBinding {binding} requires.")
        }
        Outcome::Shortened {
            binding,
            grace_period_seconds: seconds,
            ..
        } => format!(
            "Pod {pod} was already terminating. Bailiff shortened its grace period to {seconds} seconds, as RuntimePolicyBinding {binding} requires."
        ),
        Outcome::Waiting { reason, .. } => waits(reason),
        Outcome::NoAction { reason, .. } => no_action(reason),
    }
}

/// The message of the condition `Recovered`.
#[must_use]
pub fn recovered(recovery: &Recovery) -> String {
    match recovery {
        Recovery::Waiting => "Waiting for a replacement to become Ready.".to_owned(),
        Recovery::Ready(pod) => format!(
            "Pod {} on node {} replaced the removed pod and is Ready.",
            pod.name, pod.node_name
        ),
        Recovery::TimedOut(seconds) => format!(
            "No replacement became Ready within {seconds} seconds. Check the workload and its newest pod with `kubectl describe`."
        ),
        Recovery::NoReplacementExpected(Some(kind)) => format!(
            "The {} creates no replacement. Recreate it if you still need its work.",
            printable(kind)
        ),
        Recovery::NoReplacementExpected(None) => {
            "The pod had no controller, so nothing creates a replacement. Recreate the pod if you still need it.".to_owned()
        }
        Recovery::Released => {
            "The pod was released from its workload before Bailiff removed it, so nothing creates a replacement.".to_owned()
        }
    }
}

/// What enforcement would have done, under `Audit`.
#[must_use]
pub fn dry_run(incident: &Incident, would: &Would) -> String {
    let pod = printable(&incident.spec.pod.name);
    match would {
        Would::Evict { binding } => {
            format!("With Evict in RuntimePolicyBinding {binding}, Bailiff would evict pod {pod}.")
        }
        Would::NotChecked { binding, why } => format!(
            "With Evict in RuntimePolicyBinding {binding}, Bailiff would request the eviction of pod {pod}. Whether PodDisruptionBudgets and admission webhooks allow it was not checked ({}).",
            printable(why)
        ),
        Would::Wait(_) | Would::NoAction(_) => would_have(would),
    }
}

/// The same without the names, for an Event.
fn would_have(would: &Would) -> String {
    match would {
        Would::Evict { .. } => "With Evict, Bailiff would evict the pod.".to_owned(),
        Would::NotChecked { .. } => "With Evict, Bailiff would request the eviction of the pod. Whether PodDisruptionBudgets and admission webhooks allow it was not checked.".to_owned(),
        Would::Wait(reason) => {
            format!(
                "With Evict, Bailiff would take no action yet. {}",
                waits(reason)
            )
        }
        Would::NoAction(reason) => {
            format!(
                "With Evict, Bailiff would take no action. {}",
                no_action(reason)
            )
        }
    }
}

/// The Event of an outcome; none where people have nothing to learn from one.
#[must_use]
pub fn note(incident: &Incident, outcome: &Outcome, regarding: Regarding<'_>) -> Option<Note> {
    let (reason, done) = match outcome {
        Outcome::Removed {
            action, released, ..
        } => {
            let reason = match action {
                ResponseAction::Delete => event::DELETED,
                ResponseAction::Evict | ResponseAction::Audit => event::EVICTED,
            };
            (reason, removed(*action, *released, regarding))
        }
        Outcome::Shortened {
            grace_period_seconds: seconds,
            ..
        } => (
            event::EVICTED,
            format!(
                "{} was already terminating. Bailiff shortened its grace period to {seconds} seconds.",
                this_pod(regarding)
            ),
        ),
        Outcome::Waiting { reason, .. } => (
            event::RESPONSE_DELAYED,
            format!("The pod keeps running for now. {}", waits(reason)),
        ),
        Outcome::NoAction { reason, would } => match reason {
            NoActionReason::PodNotFound | NoActionReason::AlreadyTerminating(_) => return None,
            NoActionReason::AuditOnly => (event::VIOLATION, audit(would.as_ref())),
            NoActionReason::EvaluationFailed => (event::EVALUATION_FAILED, took_no_action(reason)),
            NoActionReason::Unmanaged
            | NoActionReason::MirrorPod
            | NoActionReason::BailiffPod
            | NoActionReason::ExemptNamespace
            | NoActionReason::CriticalPod
            | NoActionReason::PolicyChanged
            | NoActionReason::PodMismatch(_)
            | NoActionReason::EvictionDeadlineExceeded(_)
            | NoActionReason::MultipleDisruptionBudgets
            | NoActionReason::RequestRejected(_)
            | NoActionReason::ViolationTooOld(_)
            | NoActionReason::FoundRunning => (event::VIOLATION, took_no_action(reason)),
        },
    };
    let advice = match incident.spec.type_ {
        IncidentType::Violation => {
            " If you started this process, use another approach or ask the policy owner for an exemption."
        }
        IncidentType::FoundRunning | IncidentType::EvaluationFailed => "",
    };
    Some(Note {
        reason,
        warning: true,
        text: cut(format!(
            "{} {done}{advice} Details: {}",
            what_ran(incident, regarding),
            details(incident),
        )),
    })
}

/// The Event on a workload when its replacement is Ready.
#[must_use]
pub fn recovered_note(incident: &Incident, recovery: &Recovery) -> Option<Note> {
    match recovery {
        Recovery::Ready(pod) => Some(Note {
            reason: event::REPLACEMENT_READY,
            warning: false,
            text: cut(format!(
                "Pod {} on node {} is Ready and replaced pod {}, which violated policy {}. Details: {}",
                pod.name,
                pod.node_name,
                printable(&incident.spec.pod.name),
                printable(&incident.spec.policy_ref.name),
                details(incident),
            )),
        }),
        Recovery::Waiting
        | Recovery::TimedOut(_)
        | Recovery::NoReplacementExpected(_)
        | Recovery::Released => None,
    }
}

/// The message of a binding's condition `Paused` while it is True.
#[must_use]
pub fn paused(paused: &Paused) -> String {
    format!(
        "This binding would remove pods of {} workloads instead of at most {} within 10 minutes, so its responses wait. Check the policy and the Incidents. To resume, run: {}",
        paused.workloads,
        paused.max_workloads,
        resume_command(paused)
    )
}

/// The message of a binding's condition `Paused` after a user resumed it.
#[must_use]
pub fn resumed(policy_generation: i64, binding_generation: i64) -> String {
    let annotation = keys::ANNOTATION_RESUME;
    format!(
        "Annotation {annotation}={policy_generation}/{binding_generation} resumed the responses of this binding."
    )
}

/// The Event on a binding that the guard pauses.
#[must_use]
pub fn paused_note(paused: &Paused) -> Note {
    Note {
        reason: event::BINDING_PAUSED,
        warning: true,
        text: cut(self::paused(paused)),
    }
}

/// The command that resumes a binding.
fn resume_command(paused: &Paused) -> String {
    format!(
        "kubectl annotate runtimepolicybinding {} {}={} --overwrite",
        paused.binding,
        keys::ANNOTATION_RESUME,
        paused.resume()
    )
}

fn details(incident: &Incident) -> String {
    let name = incident.metadata.name.as_deref().unwrap_or_default();
    let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
    format!("kubectl describe incident {name} -n {namespace}")
}

const fn verb(action: ResponseAction) -> &'static str {
    match action {
        ResponseAction::Delete => "deleted",
        ResponseAction::Evict | ResponseAction::Audit => "evicted",
    }
}

fn removed(action: ResponseAction, released: bool, regarding: Regarding<'_>) -> String {
    let verb = verb(action);
    match regarding {
        Regarding::Pod if released => format!(
            "Bailiff {verb} this pod. It was released from its workload after the violation, so nothing creates a replacement."
        ),
        Regarding::Pod => format!(
            "Bailiff {verb} this pod. If a controller owns it, the controller creates a replacement."
        ),
        Regarding::Workload(kind) if released => {
            let kind = printable(kind);
            format!(
                "Bailiff {verb} the pod. It was released from this {kind} after the violation, so the {kind} creates no replacement."
            )
        }
        Regarding::Workload(kind) => {
            let kind = printable(kind);
            format!("Bailiff {verb} the pod. This {kind} creates a replacement if it needs one.")
        }
    }
}

const fn this_pod(regarding: Regarding<'_>) -> &'static str {
    match regarding {
        Regarding::Pod => "This pod",
        Regarding::Workload(_) => "The pod",
    }
}

fn what_ran(incident: &Incident, regarding: Regarding<'_>) -> String {
    let spec = &incident.spec;
    let pod = match regarding {
        Regarding::Pod => "this pod".to_owned(),
        Regarding::Workload(_) => format!("pod {}", printable(&spec.pod.name)),
    };
    let place = match (&spec.container.name, regarding) {
        (Some(container), Regarding::Pod) => format!("container {}", printable(container)),
        (Some(container), Regarding::Workload(_)) => {
            format!("container {} of {pod}", printable(container))
        }
        (None, _) => pod,
    };
    let executable = printable(&spec.process.executable);
    let (process, comma) = match spec.process.origin {
        Origin::Exec => (
            format!("{executable}, started through exec in {place}"),
            ",",
        ),
        Origin::Probe => (format!("{executable}, started by a probe in {place}"), ","),
        Origin::Lifecycle => (
            format!("{executable}, started by a lifecycle hook in {place}"),
            ",",
        ),
        Origin::Entrypoint | Origin::Unknown => (format!("{executable} in {place}"), ""),
    };
    let policy = printable(&spec.policy_ref.name);
    let mut text = match spec.type_ {
        IncidentType::Violation => format!("Process {process}{comma} violates policy {policy}."),
        IncidentType::FoundRunning => {
            format!("Process {process}{comma} was found running and violates policy {policy}.")
        }
        IncidentType::EvaluationFailed => {
            format!("Policy {policy} could not be evaluated for process {process}.")
        }
    };
    if spec.process.left_pod_cgroup {
        text.push_str(" The process left the cgroups of its pod and can outlive the pod on node ");
        text.push_str(&printable(&spec.node_name));
        text.push('.');
    }
    text
}

fn audit(would: Option<&Would>) -> String {
    let audits = "Bailiff took no action because the binding only audits.";
    would.map_or_else(
        || audits.to_owned(),
        |would| format!("{audits} {}", would_have(would)),
    )
}

fn took_no_action(reason: &NoActionReason) -> String {
    format!("Bailiff took no action. {}", no_action(reason))
}

fn budget(name: Option<&String>) -> String {
    name.map_or_else(
        || "A PodDisruptionBudget".to_owned(),
        |name| format!("PodDisruptionBudget {}", printable(name)),
    )
}

fn waits(reason: &WaitReason) -> String {
    match reason {
        WaitReason::Cooldown => {
            "Another pod of this workload was removed recently. Bailiff retries when the cooldown period ends.".to_owned()
        }
        WaitReason::RateLimited(limit) => {
            let reached = match limit {
                RateLimit::Binding(name) => {
                    format!("RuntimePolicyBinding {name} reached maxEvictionsPerMinute.")
                }
                RateLimit::Namespace => {
                    "Bailiff reached the limit of removals a minute in this namespace.".to_owned()
                }
                RateLimit::Cluster => {
                    "Bailiff reached the limit of removals a minute in this cluster.".to_owned()
                }
            };
            format!("{reached} Bailiff retries automatically.")
        }
        WaitReason::DisruptionBudget(name) => format!(
            "{} blocks the eviction. Bailiff retries until the eviction deadline.",
            budget(name.as_ref())
        ),
        WaitReason::BlockedByWebhook(message) => format!(
            "An admission webhook rejected the request with \"{}\". Bailiff retries until the eviction deadline.",
            printable(message)
        ),
        WaitReason::PermissionMissing(what) => format!(
            "The Bailiff controller lacks the permission to {}. Restore its ClusterRole with `helm upgrade`. Bailiff retries automatically.",
            printable(what)
        ),
        WaitReason::IncidentsNotProtected(how) => format!(
            "The author of this Incident cannot be verified: ValidatingAdmissionPolicy {} is missing or modified ({}). Restore it with `helm upgrade`. Bailiff retries automatically.",
            keys::INCIDENT_PROTECTION,
            printable(how)
        ),
        WaitReason::ResponsesSwitchedOff(None) => format!(
            "Responses are switched off in ConfigMap {}. Bailiff responds when its mode is Enforce again.",
            keys::RESPONSE_SWITCH
        ),
        WaitReason::ResponsesSwitchedOff(Some(why)) => format!(
            "ConfigMap {} does not say whether responses are switched on ({}). Bailiff responds when its mode is Enforce.",
            keys::RESPONSE_SWITCH,
            printable(why)
        ),
        WaitReason::CircuitBreakerOpen { until } => format!(
            "Replacements of this workload violate the policy as soon as they start. Bailiff pauses its responses to this workload until {until}. Fix the workload or the policy."
        ),
        WaitReason::PolicyPaused(paused) => format!(
            "RuntimePolicyBinding {} is paused because it would remove pods of too many workloads. Its condition Paused contains the command to resume it.",
            paused.binding
        ),
        WaitReason::WaitingForNextExec(None) => {
            "The policy changed, and this Incident lacks what its expressions read. Bailiff evaluates the next exec in the pod.".to_owned()
        }
        WaitReason::WaitingForNextExec(Some(why)) => format!(
            "The policy changed and could not be evaluated for this process ({}). Bailiff evaluates the next exec in the pod.",
            printable(why)
        ),
        WaitReason::ApiRequestFailed(why) => format!(
            "A request to the API server failed ({}). Bailiff retries automatically.",
            printable(why)
        ),
    }
}

fn no_action(reason: &NoActionReason) -> String {
    match reason {
        NoActionReason::AuditOnly => "The bindings only audit.".to_owned(),
        NoActionReason::EvaluationFailed => {
            "An expression of the policy could not be evaluated, which never causes an eviction. Fix the expression.".to_owned()
        }
        NoActionReason::FoundRunning => {
            "The process already ran when the policy was evaluated, which never causes an eviction. If it should not run, evict the pod manually.".to_owned()
        }
        NoActionReason::PodNotFound => "The pod no longer exists.".to_owned(),
        NoActionReason::AlreadyTerminating(None) => {
            "The pod was already terminating or finished.".to_owned()
        }
        NoActionReason::AlreadyTerminating(Some(at)) => format!(
            "The pod was already terminating: it was evicted at {at}. The API server does not record which client evicted it."
        ),
        NoActionReason::Unmanaged => {
            "The pod has no controller that would create a replacement, and the binding sets guardrails.unmanagedPodPolicy to Skip.".to_owned()
        }
        NoActionReason::MirrorPod => {
            "The pod is a static pod, which the kubelet would start again from its file on the node.".to_owned()
        }
        NoActionReason::BailiffPod => "The pod belongs to Bailiff.".to_owned(),
        NoActionReason::ExemptNamespace => {
            "The namespace is exempt, so Bailiff never removes its pods.".to_owned()
        }
        NoActionReason::CriticalPod => {
            "The pod has a critical priority class, which protects it in this namespace.".to_owned()
        }
        NoActionReason::PolicyChanged => {
            "The policy or its binding was changed or deleted, and no longer asks for this response. If the pod violates the current policy again, Bailiff responds again.".to_owned()
        }
        NoActionReason::PodMismatch(how) => {
            format!("The Incident does not match the pod: {}.", printable(how))
        }
        NoActionReason::EvictionDeadlineExceeded(Blocker::DisruptionBudget(name)) => format!(
            "{} blocked the eviction until the deadline. Check the budget, then evict the pod manually.",
            budget(name.as_ref())
        ),
        NoActionReason::EvictionDeadlineExceeded(Blocker::Webhook(message)) => format!(
            "An admission webhook rejected the request until the deadline with \"{}\". Check the webhook, then evict the pod manually.",
            printable(message)
        ),
        NoActionReason::EvictionDeadlineExceeded(Blocker::NoAnswer) => {
            "The API server did not respond to the eviction until the deadline. Check the admission webhooks for evictions, then evict the pod manually.".to_owned()
        }
        NoActionReason::MultipleDisruptionBudgets => {
            "More than one PodDisruptionBudget selects the pod, which the Eviction API does not support. Delete all but one. Bailiff retries at the next violation.".to_owned()
        }
        NoActionReason::RequestRejected(message) => format!(
            "The API server rejected the request with \"{}\".",
            printable(message)
        ),
        NoActionReason::ViolationTooOld(reason) => {
            let cause = match reason {
                PauseReason::ResponsesSwitchedOff => "responses were switched off",
                PauseReason::PolicyPaused => "its RuntimePolicyBinding was paused",
            };
            format!(
                "The violation became too old while {cause}. If the pod violates the policy again, Bailiff responds again."
            )
        }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > NOTE_LIMIT_BYTES {
        let end = (0..=NOTE_LIMIT_BYTES - '…'.len_utf8())
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
