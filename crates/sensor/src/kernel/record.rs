//! From the kernel's bytes to values.
//!
//! Here: the layout of `bpf/record.h`, read with every bound checked. Not here: where bytes come
//! from (`loader`) and what they mean (`process`).
//! Invariant: no bytes can make this panic; a record that is cut short or of an unknown kind is
//! an error, and is counted.
#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use crate::kernel::descriptor::descriptor_type;
use bailiff_api::{DescriptorType, ExecutableSource};

/// A process: its number in the first PID namespace and its start, in ns since boot. The start
/// tells apart processes that had the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessKey {
    /// Number in the first PID namespace.
    pub pid: u32,
    /// When it was started, in ns since boot, suspend included.
    pub start: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A process of a pod runs a new program.
    Exec(Box<Exec>),
    /// A process of a pod made another.
    Fork {
        /// The one that made it.
        parent: ProcessKey,
        /// The new one.
        child: ProcessKey,
    },
    /// A process of a pod ended, with its last thread.
    Exit(ProcessKey),
    /// A process of a pod that runs already, and of which nothing was told: it is older than the
    /// sensor, or its record was lost. Its parents come first, as far as they are of the pod.
    Found(Box<Found>),
}

/// A process of a pod that was found running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The process.
    pub process: ProcessKey,
    /// Its parent.
    pub parent: ProcessKey,
    /// Number of the mount namespace, as an exec has it.
    pub mount_namespace: u64,
    /// The path of the cgroup.
    pub cgroup: String,
    /// The executable, as its container sees it; begins with `…/` when it was cut.
    pub executable: String,
    /// The name that the kernel has for it, of at most 15 bytes: that of what was asked for, or what
    /// the process calls itself.
    pub name: String,
    /// Whether its session is that of the container's first process.
    pub init_session: bool,
}

/// A process of a pod runs a new program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, found by the kernel side"
)]
pub struct Exec {
    /// When, in ns since boot, suspend included.
    pub time: u64,
    /// The process.
    pub process: ProcessKey,
    /// Its parent.
    pub parent: ProcessKey,
    /// Effective capabilities, a bit for each.
    pub capabilities: u64,
    /// Effective user, as the node sees it.
    pub uid: u32,
    /// Effective group, as the node sees it.
    pub gid: u32,
    /// Where the executable is.
    pub source: ExecutableSource,
    /// Number of the mount namespace, which no other has or had; 0: not known.
    pub mount_namespace: u64,
    /// Numbers of the network, IPC and UTS namespaces of a process that the runtime brought into
    /// the pod, which no other has or had; 0: the node's, or not known.
    pub pod_namespaces: [u64; 3],
    /// The path of the cgroup.
    pub cgroup: String,
    /// Whether it is none of a pod, though the process descends from one that was in a pod's.
    pub left_pod_cgroup: bool,
    /// The executable, as its container sees it; begins with `…/` when it was cut.
    pub executable: String,
    /// Whether the executable has no name any more in the directory that it was in.
    pub executable_deleted: bool,
    /// The path as it was asked for, at most 511 bytes of it.
    pub filename: String,
    /// Whether `filename` lacks its end.
    pub filename_cut: bool,
    /// The interpreter, where `filename` is a script.
    pub interpreter: Option<String>,
    /// The file of the script, whatever path led to it. Absent: there is none, or it was not seen.
    pub script: Option<ScriptFile>,
    /// The working directory, as its container sees it; begins with `…/` when its beginning is
    /// not known.
    pub working_directory: String,
    /// Arguments as bytes; where the end is apart, the last one may have lost its end.
    pub args: Vec<Vec<u8>>,
    /// The end of the arguments, where some are missing between; the first one may have lost its
    /// beginning. Empty: none is missing, or the end could not be read.
    pub args_tail: Vec<Vec<u8>>,
    /// Whether arguments are missing: longer than what is read, or not readable.
    pub args_cut: bool,
    /// What standard input, output and error are.
    pub descriptors: [DescriptorType; 3],
    /// Whether the process has more rights by this exec than before (`AT_SECURE`).
    pub secure_exec: bool,
    /// Whose root directory it has.
    pub root: Root,
    /// Whether its parent is none of the pod's: the runtime brought it in.
    pub parent_outside_cgroup: bool,
    /// Whether the first process of its PID namespace is in its cgroup.
    pub own_pid_namespace: bool,
    /// Whether its session is that of the container's first process.
    pub init_session: bool,
    /// Whether the kernel mapped no dynamic loader beside the program: it is static, or a loader itself.
    pub without_loader: bool,
}

/// A script as the kernel opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFile {
    /// Its path as its container sees it; begins with `…/` when its beginning is not known.
    pub path: String,
    /// Where it is.
    pub source: ExecutableSource,
}

/// Whose root directory a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A container's.
    Container,
    /// The machine's: a runtime that sets a container up, or a process that went there.
    Machine,
    /// It lies below too many others to find the machine's first process.
    Unknown,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the header says.
    #[error("a record of the kernel is cut short")]
    Short,
    /// A kind that this version does not know.
    #[error("a record of the kernel has the unknown kind {0}")]
    Kind(u32),
}

/// Bits of `flags` in `record.h`.
mod flag {
    pub(super) const ARGS_CUT: u32 = 1 << 0;
    pub(super) const PATH_CUT: u32 = 1 << 1;
    pub(super) const OWN_ROOT: u32 = 1 << 2;
    pub(super) const INIT_SESSION: u32 = 1 << 3;
    pub(super) const PARENT_OUTSIDE_CGROUP: u32 = 1 << 4;
    pub(super) const OWN_PID_NAMESPACE: u32 = 1 << 5;
    pub(super) const LEFT_POD_CGROUP: u32 = 1 << 6;
    pub(super) const ROOT_KNOWN: u32 = 1 << 7;
    pub(super) const ARGS_UNREADABLE: u32 = 1 << 8;
    pub(super) const DIRECTORY_CUT: u32 = 1 << 9;
    pub(super) const WITHOUT_LOADER: u32 = 1 << 10;
    pub(super) const FILENAME_CUT: u32 = 1 << 11;
    pub(super) const SECURE_EXEC: u32 = 1 << 12;
    pub(super) const EXECUTABLE_DELETED: u32 = 1 << 13;
    pub(super) const SCRIPT_SEEN: u32 = 1 << 14;
    pub(super) const SCRIPT_CUT: u32 = 1 << 15;
}

/// Reads numbers one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.take(4)?
            .try_into()
            .map(u32::from_ne_bytes)
            .or(Err(DecodeError::Short))
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.take(8)?
            .try_into()
            .map(u64::from_ne_bytes)
            .or(Err(DecodeError::Short))
    }

    fn key(&mut self) -> Result<ProcessKey, DecodeError> {
        let pid = self.u32()?;
        self.u32()?;
        Ok(ProcessKey {
            pid,
            start: self.u64()?,
        })
    }

    fn text(&mut self, length: u32) -> Result<&'a [u8], DecodeError> {
        self.take(usize::try_from(length).or(Err(DecodeError::Short))?)
    }
}

/// Decodes a record.
///
/// # Errors
/// When it is cut short or of an unknown kind.
pub(crate) fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let mut reader = Reader(bytes);
    let (kind, flags) = (reader.u32()?, reader.u32()?);
    let (time, process, parent) = (reader.u64()?, reader.key()?, reader.key()?);
    match kind {
        1 => exec(reader, flags, time, process, parent).map(|exec| Event::Exec(Box::new(exec))),
        2 => Ok(Event::Fork {
            parent,
            child: process,
        }),
        3 => Ok(Event::Exit(process)),
        4 => exec(reader, flags, time, process, parent)
            .map(|exec| Event::Found(Box::new(found(exec)))),
        other => Err(DecodeError::Kind(other)),
    }
}

/// A found process has the texts of an exec, as far as there are any.
fn found(exec: Exec) -> Found {
    Found {
        process: exec.process,
        parent: exec.parent,
        mount_namespace: exec.mount_namespace,
        cgroup: exec.cgroup,
        executable: exec.executable,
        name: exec.filename,
        init_session: exec.init_session,
    }
}

fn exec(
    mut reader: Reader<'_>,
    flags: u32,
    time: u64,
    process: ProcessKey,
    parent: ProcessKey,
) -> Result<Exec, DecodeError> {
    let set = |bit: u32| flags & bit != 0;
    let capabilities = reader.u64()?;
    let mount_namespace = reader.u64()?;
    let pod_namespaces = [reader.u64()?, reader.u64()?, reader.u64()?];
    let (uid, gid, source) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let (path, cgroup, filename, interp, args, directory, script, args_tail) = (
        reader.u32()?,
        reader.u32()?,
        reader.u32()?,
        reader.u32()?,
        reader.u32()?,
        reader.u32()?,
        reader.u32()?,
        reader.u32()?,
    );
    let script_source = source_of(reader.u32()?);
    let mut descriptor =
        || -> Result<_, DecodeError> { Ok(descriptor_type(reader.u32()?, reader.u32()?)) };
    let descriptors = [descriptor()?, descriptor()?, descriptor()?];
    let cgroup = path_of(reader.text(cgroup)?, false);
    let executable = reader.text(path)?;
    let filename = text_of(reader.text(filename)?);
    let interp = text_of(reader.text(interp)?);
    let directory = reader.text(directory)?;
    let script = reader.text(script)?;
    let args = args_of(reader.text(args)?);
    let args_tail = args_of(reader.text(args_tail)?);
    let source = source_of(source);
    Ok(Exec {
        time,
        process,
        parent,
        capabilities,
        uid,
        gid,
        source,
        mount_namespace,
        pod_namespaces,
        cgroup,
        left_pod_cgroup: set(flag::LEFT_POD_CGROUP),
        executable: file_of(executable, source, set(flag::PATH_CUT)),
        executable_deleted: set(flag::EXECUTABLE_DELETED),
        script: set(flag::SCRIPT_SEEN).then(|| ScriptFile {
            path: file_of(script, script_source, set(flag::SCRIPT_CUT)),
            source: script_source,
        }),
        interpreter: (interp != filename).then_some(interp),
        working_directory: path_of(directory, set(flag::DIRECTORY_CUT)),
        filename,
        filename_cut: set(flag::FILENAME_CUT),
        args,
        args_tail,
        descriptors,
        secure_exec: set(flag::SECURE_EXEC),
        args_cut: set(flag::ARGS_CUT) || set(flag::ARGS_UNREADABLE),
        root: match (set(flag::ROOT_KNOWN), set(flag::OWN_ROOT)) {
            (true, true) => Root::Container,
            (true, false) => Root::Machine,
            (false, _) => Root::Unknown,
        },
        parent_outside_cgroup: set(flag::PARENT_OUTSIDE_CGROUP),
        own_pid_namespace: set(flag::OWN_PID_NAMESPACE),
        init_session: set(flag::INIT_SESSION),
        without_loader: set(flag::WITHOUT_LOADER),
    })
}

/// Where a file is, by its number in `record.h`.
const fn source_of(number: u32) -> ExecutableSource {
    match number {
        1 => ExecutableSource::Image,
        2 => ExecutableSource::ImageModified,
        3 => ExecutableSource::WritableLayer,
        4 => ExecutableSource::Volume,
        5 => ExecutableSource::Memory,
        _ => ExecutableSource::Unknown,
    }
}

/// A file by the parts of its path; one in memory has a name alone.
fn file_of(bytes: &[u8], source: ExecutableSource, cut: bool) -> String {
    if source == ExecutableSource::Memory {
        text_of(bytes)
    } else {
        path_of(bytes, cut)
    }
}

/// The text up to its NUL; bytes that are no UTF-8 as U+FFFD.
fn text_of(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// A path from its parts, which are there from last to first.
fn path_of(bytes: &[u8], cut: bool) -> String {
    let mut path = String::new();
    if cut {
        path.push('…');
    }
    let parts: Vec<_> = bytes
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .collect();
    for part in parts.iter().rev() {
        path.push('/');
        path.push_str(&String::from_utf8_lossy(part));
    }
    if parts.is_empty() {
        path.push('/');
    }
    path
}

/// Arguments, each ended by a NUL but for one that was cut.
fn args_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut args: Vec<_> = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    if args.last().is_some_and(Vec::is_empty) {
        args.pop();
    }
    args
}

#[cfg(test)]
pub(crate) mod tests;
