//! Every sentence that people read about an answer.
//!
//! Here: condition messages and Event notes, for a developer without security training. Not
//! here: condition and Event reasons (`bailiff_api`), and when each is said.
//! Invariant: no sentence carries arguments of a process, or the message of a policy, which may
//! quote them; no text that an Incident claims can break a line or colour a terminal; a note stays
//! within 1,024 bytes.

use crate::incident_state::{Outcome, Recovery};
use crate::plan::{NoActionReason, Plan, WaitReason};
use bailiff_api::{Incident, Origin, ResponseAction, event};

/// Most bytes of an Event's note, by the API.
pub const NOTE_LIMIT_BYTES: usize = 1024;
/// Most characters of a path that are shown.
const PATH_LIMIT: usize = 200;

/// The message of `Recovered` when nothing was taken away.
pub const NOTHING_TO_REPLACE: &str = "nothing was taken away, so nothing has to come back";

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
    /// The sentence.
    pub text: String,
}

/// A path with its control and formatting characters escaped, cut at 200 characters.
#[must_use]
pub fn printable(path: &str) -> String {
    escaped(path, PATH_LIMIT)
}

/// A text with its control and formatting characters escaped, cut at `limit` characters.
#[must_use]
pub fn escaped(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == limit {
            shown.push('…');
            break;
        }
        // Besides the control characters those that reorder or hide text in a terminal.
        let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || hides {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The message of the condition `Responded`.
#[must_use]
pub fn responded(incident: &Incident, outcome: &Outcome) -> String {
    let pod = printable(&incident.spec.pod.name);
    match outcome {
        Outcome::Removed {
            action: ResponseAction::Delete,
            binding,
            ..
        } => format!("pod {pod} was deleted, as RuntimePolicyBinding {binding} asks"),
        Outcome::Removed {
            action: ResponseAction::Evict | ResponseAction::Audit,
            binding,
            ..
        } => format!("pod {pod} was evicted, as RuntimePolicyBinding {binding} asks"),
        Outcome::Waiting(reason) => held(reason),
        Outcome::NoAction { reason, .. } => nothing(reason),
    }
}

/// The message of the condition `Recovered`.
#[must_use]
pub fn recovered(recovery: &Recovery) -> String {
    match recovery {
        Recovery::Waiting => "waiting for the replacement to be Ready".to_owned(),
        Recovery::Ready(pod) => {
            format!(
                "pod {} on node {} took its place and is Ready",
                pod.name, pod.node_name
            )
        }
        Recovery::TimedOut(seconds) => format!(
            "no replacement was Ready within {seconds} seconds; see `kubectl describe` of the workload and of its newest pod"
        ),
        Recovery::NoReplacementExpected(Some(kind)) => {
            format!(
                "the pod was not replaced: its {kind} makes no new pod; start it again if its work is still needed"
            )
        }
        Recovery::NoReplacementExpected(None) => {
            "the pod was not replaced: it had no controller; create it again if it is still needed"
                .to_owned()
        }
    }
}

/// What enforcement would have done, under `Audit`.
#[must_use]
pub fn would_evict(incident: &Incident, binding: &str) -> String {
    format!(
        "with `responseActions: [Evict]` in RuntimePolicyBinding {binding}, pod {} would have been evicted",
        printable(&incident.spec.pod.name)
    )
}

/// Which guardrail would have held enforcement, under `Audit`.
#[must_use]
pub fn would_hold(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Waiting(reason) => {
            format!("an eviction would have been held back: {}", held(reason))
        }
        Outcome::NoAction { reason, .. } => {
            format!("an eviction would not have been done: {}", nothing(reason))
        }
        Outcome::Removed { .. } => String::new(),
    }
}

/// The Event of an outcome; none where people have nothing to learn from one.
#[must_use]
pub fn note(incident: &Incident, outcome: &Outcome, regarding: Regarding<'_>) -> Option<Note> {
    let done = match outcome {
        Outcome::Removed { action, .. } => {
            let verb = if *action == ResponseAction::Delete {
                "deleted"
            } else {
                "evicted"
            };
            match regarding {
                Regarding::Pod => {
                    format!("This pod was {verb}; if a controller owns it, it makes a new one.")
                }
                Regarding::Workload(kind) => {
                    format!("The pod was {verb}; this {kind} makes a new one if it still needs it.")
                }
            }
        }
        Outcome::Waiting(reason) => {
            format!("The pod runs on for now: {}.", held(reason))
        }
        Outcome::NoAction { reason, would } => match reason {
            NoActionReason::PodNotFound | NoActionReason::AlreadyTerminating(_) => return None,
            NoActionReason::AuditOnly => audit(would.as_deref()),
            NoActionReason::EvaluationFailed
            | NoActionReason::Unmanaged
            | NoActionReason::MirrorPod
            | NoActionReason::BailiffPod
            | NoActionReason::ExemptNamespace
            | NoActionReason::PolicyChanged
            | NoActionReason::PodMismatch(_)
            | NoActionReason::IncidentsNotProtected(_)
            | NoActionReason::EvictionDeadlineExceeded(_)
            | NoActionReason::MultipleDisruptionBudgets
            | NoActionReason::RequestRejected(_) => {
                format!("Nothing was done: {}.", nothing(reason))
            }
        },
    };
    let reason = match outcome {
        Outcome::Removed {
            action: ResponseAction::Delete,
            ..
        } => event::DELETED,
        Outcome::Removed { .. } => event::EVICTED,
        Outcome::Waiting(_) => event::RESPONSE_DELAYED,
        Outcome::NoAction { .. } => event::VIOLATION,
    };
    Some(Note {
        reason,
        warning: true,
        text: cut(format!(
            "{} {done} If this was you: do it without that program, or ask who looks after the policy for an exception. More: {}",
            what_ran(incident, outcome, regarding),
            see(incident),
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
                "Pod {} on node {} is Ready and took the place of {}, which violated policy {}. More: {}",
                pod.name,
                pod.node_name,
                printable(&incident.spec.pod.name),
                printable(&incident.spec.policy_ref.name),
                see(incident),
            )),
        }),
        Recovery::Waiting | Recovery::TimedOut(_) | Recovery::NoReplacementExpected(_) => None,
    }
}

fn see(incident: &Incident) -> String {
    let name = incident.metadata.name.as_deref().unwrap_or_default();
    let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
    format!("kubectl describe incident {name} -n {namespace}")
}

fn what_ran(incident: &Incident, outcome: &Outcome, regarding: Regarding<'_>) -> String {
    let process = &incident.spec.process;
    let mut text = format!("Program {}", printable(&process.executable));
    match process.origin {
        Origin::Exec => text.push_str(" was started from outside, as kubectl exec does, in"),
        Origin::Entrypoint | Origin::Probe | Origin::Lifecycle | Origin::Unknown => {
            text.push_str(" was started in");
        }
    }
    if let Some(container) = &incident.spec.container.name {
        text.push_str(" container ");
        text.push_str(&printable(container));
        if regarding != Regarding::Pod {
            text.push_str(" of");
        }
    }
    match (regarding, &incident.spec.container.name) {
        (Regarding::Pod, Some(_)) => {}
        (Regarding::Pod, None) => text.push_str(" this pod"),
        (Regarding::Workload(_), _) => {
            text.push_str(" pod ");
            text.push_str(&printable(&incident.spec.pod.name));
        }
    }
    let verdict = match outcome {
        Outcome::NoAction {
            reason: NoActionReason::EvaluationFailed,
            ..
        } => "could not judge",
        Outcome::Removed { .. } | Outcome::Waiting(_) | Outcome::NoAction { .. } => {
            "does not allow"
        }
    };
    text.push_str(", which policy ");
    text.push_str(&printable(&incident.spec.policy_ref.name));
    text.push(' ');
    text.push_str(verdict);
    text.push('.');
    text
}

fn audit(would: Option<&Plan>) -> String {
    let held_by = match would {
        Some(Plan::Evict(_) | Plan::Delete(_)) => {
            return "Nothing was done, because the policy only audits here; enforced, it would have evicted the pod.".to_owned();
        }
        Some(Plan::Requeue { reason, .. }) => held(reason),
        Some(Plan::NoAction { reason, .. }) => nothing(reason),
        None => return "Nothing was done, because the policy only audits here.".to_owned(),
    };
    format!(
        "Nothing was done, because the policy only audits here; enforced, it would have been held back: {held_by}."
    )
}

fn budget(name: Option<&String>) -> String {
    name.map_or_else(
        || "a PodDisruptionBudget".to_owned(),
        |name| format!("PodDisruptionBudget {}", printable(name)),
    )
}

fn held(reason: &WaitReason) -> String {
    match reason {
        WaitReason::Cooldown => {
            "another pod of the workload was taken away a short time ago; it is done when the cooldown of the binding is over".to_owned()
        }
        WaitReason::RateLimited => {
            "the binding has used up its evictions of this minute; it is done when there is room again".to_owned()
        }
        WaitReason::DisruptionBudget(name) => {
            format!("{} allows no disruption now; it is tried again", budget(name.as_ref()))
        }
        WaitReason::IncidentsNotProtected(how) => format!("{}; it is looked at again", unconfined(how)),
        WaitReason::ApiRequestFailed(why) => format!("{}; it is tried again", printable(why)),
    }
}

fn nothing(reason: &NoActionReason) -> String {
    match reason {
        NoActionReason::AuditOnly => "the bindings ask for Audit alone".to_owned(),
        NoActionReason::EvaluationFailed => {
            "an expression of the policy failed, which never leads to an eviction; mend the policy".to_owned()
        }
        NoActionReason::PodNotFound => "the pod is no longer there".to_owned(),
        NoActionReason::AlreadyTerminating(None) => {
            "the pod was already ending or had ended".to_owned()
        }
        // Also of a leader that was killed before it could say so; nobody can tell.
        NoActionReason::AlreadyTerminating(Some(at)) => format!(
            "the pod was already ending: the Eviction API was asked to take it away at {at}, and does not keep by whom"
        ),
        NoActionReason::Unmanaged => {
            "the pod has no controller that would bring it back, and the binding does not set guardrails.evictUnmanaged".to_owned()
        }
        NoActionReason::MirrorPod => {
            "it is a static pod, which the kubelet would start again from its file on the node".to_owned()
        }
        NoActionReason::BailiffPod => "it is a pod of Bailiff's own".to_owned(),
        NoActionReason::ExemptNamespace => {
            "the namespace is exempt by Bailiff's configuration".to_owned()
        }
        NoActionReason::PolicyChanged => {
            "the policy or its binding was changed or deleted since".to_owned()
        }
        NoActionReason::PodMismatch(how) => {
            format!("the live pod does not agree with the Incident: {}", printable(how))
        }
        NoActionReason::IncidentsNotProtected(how) => {
            format!("{}; restore it with `helm upgrade`", unconfined(how))
        }
        NoActionReason::EvictionDeadlineExceeded(name) => format!(
            "{} allowed no disruption in time; evict the pod yourself when it does",
            budget(name.as_ref())
        ),
        NoActionReason::MultipleDisruptionBudgets => {
            "several PodDisruptionBudgets select the pod, and the Eviction API refuses such pods; leave one of them".to_owned()
        }
        NoActionReason::RequestRejected(words) => format!("the API server refused: {}", printable(words)),
    }
}

fn unconfined(how: &str) -> String {
    format!(
        "the shipped ValidatingAdmissionPolicy that confines Incidents is not in place ({}), so nobody knows who wrote this one",
        printable(how)
    )
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
