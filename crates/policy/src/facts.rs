//! What is known of a process and its container, as policies see it.
//!
//! Here: plain structs, their types for the engine, and how fields are read. Not here: finding
//! it out (`sensor`).
//! Invariant: a field's place in the declared type and in `field` is the same; `names` of each
//! struct is the one list that both follow.

mod json;
mod running;

use crate::paths::{path_after_gap, path_from_root};
use bailiff_api::{ContainerType, DescriptorType, ExecutableSource, Origin};
use bailiff_cel::{List, Object, ObjectType, Sequence, Type, Value};
use jiff::Timestamp;

pub(crate) use running::{RunningProcess, is_of_unknown_fact};

/// A process that started to run a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of its own that policies read"
)]
pub struct Process {
    /// The file that is executed, links resolved, as the container sees it.
    pub executable: String,
    /// The file as it was asked for.
    pub invoked_path: String,
    /// The distinct names that it goes by.
    pub names: Vec<String>,
    /// Arguments, the program's name first; bytes that are no UTF-8 as U+FFFD. Where some are missing, `…`
    /// stands for them within one argument.
    pub args: Vec<String>,
    /// The place of that argument. Absent: there is none.
    pub args_gap: Option<usize>,
    /// Whether arguments are missing, also where all are, because they could not be read.
    pub args_truncated: bool,
    /// The directory that relative paths begin in, from the root, links resolved; begins with
    /// `…/` where its beginning is not known.
    pub working_directory: String,
    /// Where the executable comes from.
    pub executable_source: ExecutableSource,
    /// Whether the executable has no name any more in the directory that it was in.
    pub executable_deleted: bool,
    /// The script that an interpreter was started for by `#!`.
    pub script: Option<Script>,
    /// What standard input, output and error are.
    pub stdio: Stdio,
    /// Whether the process has more rights by this exec than before, by a set-user-ID or set-group-ID bit or
    /// by capabilities of the file.
    pub secure_exec: bool,
    /// Where the process comes from.
    pub origin: Origin,
    /// Whether it left the cgroups of its pod; it can outlive the pod.
    pub left_pod_cgroup: bool,
    /// Effective user, as the node sees it.
    pub uid: i64,
    /// Effective group, as the node sees it.
    pub gid: i64,
    /// Effective capabilities, without the prefix `CAP_`.
    pub capabilities: Vec<String>,
    /// When the process was started.
    pub start_time: Timestamp,
    /// Its ancestors within the pod, nearest first.
    pub ancestors: Ancestors,
}

/// The script that an interpreter runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// From the root, links resolved, as the container sees it. Where the kernel did not tell which file it is:
    /// the path that was asked for, without `.` and `..`. Begins with `…/` where its beginning is not known.
    pub path: String,
    /// Where the script comes from.
    pub source: ExecutableSource,
}

/// What standard input, output and error are, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stdio(pub [DescriptorType; 3]);

/// Ancestors, nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestors(pub Vec<Ancestor>);

/// An ancestor of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// The file that it executed.
    pub executable: String,
    /// The distinct names that it goes by.
    pub names: Vec<String>,
    /// Its arguments, cut at 256 bytes; empty for one that is older than the sensor.
    pub args: Vec<String>,
    /// Process ID, as the node sees it.
    pub pid: i64,
    /// When it was started.
    pub start_time: Timestamp,
}

/// The container that a process runs in. What is not known yet is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Name of the container in the pod.
    pub name: Option<String>,
    /// Image as the pod asks for it.
    pub image: Option<String>,
    /// Image as the kubelet reports it, with its digest.
    pub image_id: Option<String>,
    /// What role the container has in its pod.
    pub type_: Option<ContainerType>,
}

const PROCESS: [&str; 20] = [
    "executable",
    "invokedPath",
    "names",
    "args",
    "argsTruncated",
    "argPaths",
    "workingDirectory",
    "executableSource",
    "executableDeleted",
    "script",
    "stdio",
    "secureExec",
    "origin",
    "leftPodCgroup",
    "uid",
    "gid",
    "capabilities",
    "startTime",
    "parent",
    "ancestors",
];
const ANCESTOR: [&str; 4] = ["executable", "names", "args", "startTime"];
const SCRIPT: [&str; 2] = ["path", "source"];
const CONTAINER: [&str; 4] = ["name", "image", "imageID", "type"];

fn place(names: &[&str], name: &str) -> Option<usize> {
    names.iter().position(|known| *known == name)
}

/// The type of `process`.
pub(crate) fn process_type() -> Type {
    let ancestor = ObjectType::new("Ancestor", ANCESTOR.into_iter().zip(ancestor_types()));
    let script = ObjectType::new(
        "Script",
        SCRIPT.into_iter().zip([Type::String, Type::String]),
    );
    let strings = || Type::list(Type::String);
    let types = [
        Type::String,
        Type::String,
        strings(),
        strings(),
        Type::Bool,
        strings(),
        Type::String,
        Type::String,
        Type::Bool,
        script,
        strings(),
        Type::Bool,
        Type::String,
        Type::Bool,
        Type::Int,
        Type::Int,
        strings(),
        Type::Timestamp,
        ancestor.clone(),
        Type::list(ancestor),
    ];
    ObjectType::new("Process", PROCESS.into_iter().zip(types))
}

fn ancestor_types() -> [Type; 4] {
    [
        Type::String,
        Type::list(Type::String),
        Type::list(Type::String),
        Type::Timestamp,
    ]
}

/// The type of `container`.
pub(crate) fn container_type() -> Type {
    let types = [Type::String, Type::String, Type::String, Type::String];
    ObjectType::new("Container", CONTAINER.into_iter().zip(types))
}

#[expect(
    clippy::ptr_arg,
    reason = "the engine reads it by a trait object, which a slice can't be"
)]
fn strings(list: &Vec<String>) -> Value<'_> {
    Value::List(List::Host(list))
}

impl Object for Process {
    fn field(&self, index: usize) -> Option<Value<'_>> {
        Some(match *PROCESS.get(index)? {
            "executable" => Value::from(self.executable.as_str()),
            "invokedPath" => Value::from(self.invoked_path.as_str()),
            "names" => strings(&self.names),
            "args" => strings(&self.args),
            "argsTruncated" => Value::Bool(self.args_truncated),
            "argPaths" => Value::List(List::Host(self)),
            "workingDirectory" => Value::from(self.working_directory.as_str()),
            "executableSource" => Value::from(self.executable_source.as_str()),
            "executableDeleted" => Value::Bool(self.executable_deleted),
            "script" => Value::Object(self.script.as_ref()?),
            "stdio" => Value::List(List::Host(&self.stdio)),
            "secureExec" => Value::Bool(self.secure_exec),
            "origin" => Value::from(self.origin.as_str()),
            "leftPodCgroup" => Value::Bool(self.left_pod_cgroup),
            "uid" => Value::Int(self.uid),
            "gid" => Value::Int(self.gid),
            "capabilities" => strings(&self.capabilities),
            "startTime" => Value::Timestamp(self.start_time.into()),
            "parent" => Value::Object(self.ancestors.0.first()?),
            "ancestors" => Value::List(List::Host(&self.ancestors)),
            _ => return None,
        })
    }

    fn index(&self, name: &str) -> Option<usize> {
        place(&PROCESS, name)
    }
}

/// As a list, a process is its `argPaths`: each argument as a path from the root. They are made
/// when they are asked for, because all together can be a thousand times as long as what they
/// are made of.
impl Sequence for Process {
    fn len(&self) -> usize {
        self.args.len()
    }

    fn get(&self, index: usize) -> Option<Value<'_>> {
        let arg = self.args.as_slice().get(index)?;
        let path = if self.args_gap == Some(index) {
            path_after_gap(arg)
        } else {
            path_from_root(&self.working_directory, arg)
        };
        Some(Value::from(path))
    }
}

impl Sequence for Stdio {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<Value<'_>> {
        let type_ = self.0.get(index)?;
        Some(Value::from(type_.as_str()))
    }
}

impl Object for Script {
    fn field(&self, index: usize) -> Option<Value<'_>> {
        Some(match *SCRIPT.get(index)? {
            "path" => Value::from(self.path.as_str()),
            "source" => Value::from(self.source.as_str()),
            _ => return None,
        })
    }

    fn index(&self, name: &str) -> Option<usize> {
        place(&SCRIPT, name)
    }
}

impl Object for Ancestor {
    fn field(&self, index: usize) -> Option<Value<'_>> {
        Some(match *ANCESTOR.get(index)? {
            "executable" => Value::from(self.executable.as_str()),
            "names" => strings(&self.names),
            "args" => strings(&self.args),
            "startTime" => Value::Timestamp(self.start_time.into()),
            _ => return None,
        })
    }

    fn index(&self, name: &str) -> Option<usize> {
        place(&ANCESTOR, name)
    }
}

impl Sequence for Ancestors {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<Value<'_>> {
        self.0.get(index).map(|ancestor| Value::Object(ancestor))
    }
}

impl Object for Container {
    fn field(&self, index: usize) -> Option<Value<'_>> {
        match *CONTAINER.get(index)? {
            "name" => self.name.as_deref().map(Value::from),
            "image" => self.image.as_deref().map(Value::from),
            "imageID" => self.image_id.as_deref().map(Value::from),
            "type" => self.type_.map(|type_| Value::from(type_.as_str())),
            _ => None,
        }
    }

    fn index(&self, name: &str) -> Option<usize> {
        place(&CONTAINER, name)
    }
}

#[cfg(test)]
mod tests;
