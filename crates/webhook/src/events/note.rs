//! What the Event of a denied pod says.
//!
//! Here: wording. Not here: why the pod is denied; that message is part of the note.
//! Invariant: a note is printable ASCII and has at most 1,024 bytes. It names no pod and no time, so that
//! an equal denial has an equal note.

use bailiff_api::keys::WORKLOAD_KINDS;

/// Most bytes of a note, by the API.
const NOTE_LIMIT: usize = 1024;
const CUT: &str = "...";

/// The note for a denial, whose message says what was denied, why and what to do. `kind` is that of the
/// pod's controller.
pub(super) fn note(message: &str, kind: &str) -> String {
    let is_known = WORKLOAD_KINDS.iter().any(|(_, _, known)| *known == kind);
    let end = if is_known {
        format!(" The {kind} retries automatically, at the latest after 16 min 40 s.")
    } else {
        format!(" The {kind} decides whether to retry.")
    };
    let mut note = "Cannot create a pod: ".to_owned();
    let limit = NOTE_LIMIT - end.len();
    for c in message.chars() {
        let before = note.len();
        if matches!(c, ' '..='~') {
            note.push(c);
        } else {
            note.extend(c.escape_default());
        }
        if note.len() > limit - CUT.len() {
            note.truncate(before);
            note.push_str(CUT);
            break;
        }
    }
    note + &end
}
