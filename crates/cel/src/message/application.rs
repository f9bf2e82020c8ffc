//! Whether a mutation can be applied: objects have the types of the fields that hold them.
//!
//! Here: the check that the API server makes of what an expression of a `MutatingAdmissionPolicy` gives,
//! before it changes anything (k8s.io/apiserver v0.37.2, pkg/cel/mutation/dynamic/objects.go,
//! `CheckTypeNamesMatchFieldPathNames`, and its callers in
//! pkg/admission/plugin/policy/mutating/patch). Not here: changing an object.
//! Invariant: an expression has been evaluated by then; what is found is told, and costs nothing.

use super::native::too_deep;
use crate::stack;
use crate::value::{DEPTH, List, Map, Message, MessageKind, Value};

/// Why a mutation that is this value is not applied, in the words of the API server: a line for each
/// object that is of another type than its field. Nothing where it is neither an `Object` nor a list
/// of `JSONPatch`, which a policy's mutation always is.
///
/// ```
/// use bailiff_cel::admission::{self, Bindings, Optional};
/// use bailiff_cel::{Evaluation, NEWEST_RELEASE};
///
/// let env = admission::environment(NEWEST_RELEASE, Optional { mutation: true, ..Optional::default() });
/// let program = env.compile("Object{spec: Object.status{ready: true}}")?;
/// let nothing = Bindings::default();
/// let mut evaluation = Evaluation::new(&env, &nothing, admission::BUDGET);
/// let value = evaluation.run(&program).unwrap();
/// assert_eq!(
///     admission::mutation_fault(&value).as_deref(),
///     Some("type mismatch: unexpected type name \"Object.status\", expected \"Object.spec\", which matches field name path from root Object type"),
/// );
/// # Ok::<(), bailiff_cel::CompileError>(())
/// ```
#[must_use]
pub fn mutation_fault(value: &Value<'_>) -> Option<String> {
    let faults = match value {
        Value::Message(message) => of_root(message),
        Value::List(list) => list.iter().find_map(|operation| match operation {
            Value::Message(patch) if matches!(patch.kind(), MessageKind::Patch) => {
                match patch.field("value")? {
                    Value::Message(message) => of_root(message),
                    _ => None,
                }
            }
            _ => None,
        }),
        _ => None,
    };
    Some(format!("type mismatch: {}", faults?))
}

/// What is wrong within an `Object`, which begins with its own type.
fn of_root(message: &Message<'_>) -> Option<String> {
    let MessageKind::Object(name) = message.kind() else {
        return None;
    };
    let mut faults = Vec::new();
    let mut path = vec![name.to_string()];
    stack::with(DEPTH, || fields(message, &mut path, &mut faults, DEPTH));
    (!faults.is_empty()).then(|| faults.join("\n"))
}

fn fields(message: &Message<'_>, path: &mut Vec<String>, faults: &mut Vec<String>, depth: usize) {
    for (name, value) in message.fields() {
        path.push(name.to_owned());
        within(value, path, faults, depth);
        path.pop();
    }
}

/// Looks at objects, at lists and at maps that the expression made; each is of the field that holds it.
fn within(value: &Value<'_>, path: &mut Vec<String>, faults: &mut Vec<String>, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else {
        faults.push(too_deep());
        return;
    };
    match value {
        Value::Message(message) => {
            if let MessageKind::Object(name) = message.kind() {
                let expected = path.join(".");
                if **name != *expected {
                    faults.push(format!(
                        "unexpected type name {name:?}, expected {expected:?}, which matches field name path from root Object type"
                    ));
                }
                fields(message, path, faults, depth);
            }
        }
        Value::Optional(Some(inner)) if matches!(**inner, Value::List(_) | Value::Map(_)) => {
            within(inner, path, faults, depth);
        }
        Value::List(List::Made(elements)) => {
            for element in elements.iter() {
                within(element, path, faults, depth);
            }
        }
        Value::Map(map @ Map::Made(_)) if !map.is_struct() => {
            for (_, value) in map.entries() {
                within(&value, path, faults, depth);
            }
        }
        _ => {}
    }
}
