//! The facts about a process as JSON, with the names that expressions use.
//!
//! Here: what people read who write a policy. Not here: the evidence in an Incident, which has fields of its own
//! (`bailiff_api`).
//! Invariant: a field is here under the name and with the value that an expression sees. `process.parent` and
//! `process.argPaths` are left out: they follow from `ancestors`, and from `args` and `workingDirectory`, and the latter
//! can be a thousand times as long as what it follows from.

use super::{ANCESTOR, CONTAINER, Container, PROCESS, Process, RunningProcess, SCRIPT};
use bailiff_cel::{List, Object, Value};
use serde_json::{Map, Value as Json};

const LEFT_OUT: [&str; 2] = ["parent", "argPaths"];

impl Process {
    /// Each field that is known, by its name in expressions, without `parent` and `argPaths`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        object(self, &PROCESS)
    }

    /// The same for a process that was found running: what is not known of it is left out.
    #[must_use]
    pub fn to_json_of_running(&self) -> Json {
        object(&RunningProcess(self), &PROCESS)
    }
}

impl Container {
    /// Each field that is known, by its name in expressions.
    #[must_use]
    pub fn to_json(&self) -> Json {
        object(self, &CONTAINER)
    }
}

fn object(object: &dyn Object, names: &[&str]) -> Json {
    let fields = names
        .iter()
        .enumerate()
        .filter(|(_, name)| !LEFT_OUT.contains(name))
        .filter_map(|(index, name)| {
            let value = json(&object.field(index)?, name)?;
            Some(((*name).to_owned(), value))
        });
    Json::Object(fields.collect::<Map<_, _>>())
}

/// The value of this field; absent: facts have no values of that type.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "facts consist of these types; a test shows that no field is missing"
)]
fn json(value: &Value<'_>, field: &str) -> Option<Json> {
    Some(match value {
        Value::Bool(value) => Json::from(*value),
        Value::Int(value) => Json::from(*value),
        Value::String(text) => Json::from(&**text),
        Value::Timestamp(time) => Json::from(time.to_string()),
        Value::List(List::Host(list)) => (0..list.len())
            .filter_map(|index| json(&list.get(index)?, field))
            .collect(),
        Value::Object(value) => object(*value, names_of(field)),
        _ => return None,
    })
}

/// Names of the fields of the structures that this field holds.
fn names_of(field: &str) -> &'static [&'static str] {
    match field {
        "ancestors" => &ANCESTOR,
        "script" => &SCRIPT,
        _ => &[],
    }
}
