//! From the kernel's bytes to values.
//!
//! Here: records by the layout of `bpf/record.h`, read with every bound checked. Not here: that layout (`definition`),
//! where bytes come from (`loader`) and what they mean (`process`).
//! Invariant: no bytes can make this panic; a record that is cut short or of an unknown kind is
//! an error, and is counted.
#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use crate::kernel::args::Args;
use crate::kernel::cgroups::Cgroups;
use crate::kernel::definition::{descriptor, exec_header, flag, header, kind, process_key, source};
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
    /// A process of a pod that was told of ended, with its last thread, and no process is left that was forked from it
    /// and executed nothing since.
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
    /// Its parent, as that of an exec.
    pub parent: ProcessKey,
    /// When it was forked from `parent`, as that of an exec.
    pub forked: Option<u64>,
    /// When it was found, in ns since boot, suspend included.
    pub time: u64,
    /// Number of the mount namespace, as an exec has it.
    pub mount_namespace: u64,
    /// The path of the cgroup, as an exec has it.
    pub cgroup: String,
    /// Its number, as an exec has it.
    pub cgroup_number: u64,
    /// Effective capabilities of now, a bit for each.
    pub capabilities: u64,
    /// Effective user of now, as the node sees it.
    pub uid: u32,
    /// Effective group of now, as the node sees it.
    pub gid: u32,
    /// The executable, as its container sees it; begins with `…/` when it was cut.
    pub executable: String,
    /// The name that the kernel has for it, of at most 15 bytes: that of what was asked for, or what
    /// the process calls itself.
    pub name: String,
    /// Whether its session is that of the container's first process.
    pub init_session: bool,
    /// Whether it is of the container that its cgroup names.
    pub membership: Membership,
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
    /// The process of the pod that it descends from, and that executed something last; where that was not seen, the
    /// parent that it has now.
    pub parent: ProcessKey,
    /// When it, or the process that it was forked from, was forked from `parent`, in ns since boot. Absent: `parent` is
    /// the one that it has now, which may have adopted it.
    pub forked: Option<u64>,
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
    /// The path of the cgroup, up to that of its container, or of its pod if it is in none.
    pub cgroup: String,
    /// Its number, which no other has or had; that of the kernel, and the highest bit for a hierarchy of version 1.
    pub cgroup_number: u64,
    /// The number of the cgroup whose share of the ring the record takes: its pod's or its container's. 0: of no pod.
    pub share: u64,
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
    pub args: Args,
    /// The end of the arguments, where some are missing between; the first one may have lost its
    /// beginning. Empty: none is missing, or the end could not be read.
    pub args_tail: Args,
    /// Whether arguments are missing: longer than what is read, or not readable.
    pub args_cut: bool,
    /// What standard input, output and error are.
    pub descriptors: [DescriptorType; 3],
    /// Whether the process has more rights by this exec than before (`AT_SECURE`).
    pub secure_exec: bool,
    /// Whether the kernel side remembers from before this exec that the process is a pod's.
    pub descent: Descent,
    /// Whose root directory it has.
    pub root: Root,
    /// Whether its parent is none of the pod's: the runtime brought it in.
    pub parent_outside_cgroup: bool,
    /// Whether the first process of its PID namespace is in its container.
    pub own_pid_namespace: bool,
    /// Whether its session is that of the container's first process.
    pub init_session: bool,
    /// Whether the kernel mapped no dynamic loader beside the program: it is static, or a loader itself.
    pub without_loader: bool,
    /// Whether it is of the container that its cgroup names.
    pub membership: Membership,
    /// Whether the runtime brought it into its container after the first process, which was seen to start.
    pub joined_container: bool,
}

/// Whether a process is of the container that its cgroup names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The runtime brought it in, it has the mount namespace that the runtime gave the container, or it descends from a
    /// process of the container.
    Proven,
    /// The container was seen from its start, and nothing but the cgroup says that the process is of it.
    Unproven,
    /// The container was seen to be made, and nothing yet that the runtime starts there.
    NotStarted,
    /// The start of the container was not seen.
    Unknown,
}

/// A script as the kernel opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFile {
    /// Its path as its container sees it; begins with `…/` when its beginning is not known.
    pub path: String,
    /// Where it is.
    pub source: ExecutableSource,
}

/// What the kernel side remembers of a process, from before it executes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Descent {
    /// It is a process of a pod, or a parent is one, whatever root and cgroup it has.
    Pod {
        /// The path of the cgroup in which that line of processes was when it was told of first, which tells the pod.
        /// Absent: the path is not known any more.
        home: Option<String>,
    },
    /// Nothing, or a process of the container runtime; all processes of pods are remembered.
    NoPod,
    /// The same, but some process of a pod could not be remembered, and this may be that one or descend from it.
    Unknown,
}

/// Whose root directory a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A container's.
    Container,
    /// The node's, which the runtime has: a runtime that sets a container up, or a process that went there. A node
    /// can be a container of the machine, as kind's are.
    Machine,
    /// It lies below too many others to find a process of the node.
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
    /// The path of its cgroup is in no record.
    #[error("a record of the kernel is about cgroup {0:#x}, whose path is in no record")]
    Cgroup(u64),
}

/// The structure that a record begins with.
struct Fixed<'a>(&'a [u8]);

impl Fixed<'_> {
    fn u32(&self, at: usize) -> Result<u32, DecodeError> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        bytes
            .map(|bytes| u32::from_ne_bytes(*bytes))
            .ok_or(DecodeError::Short)
    }

    fn u64(&self, at: usize) -> Result<u64, DecodeError> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        bytes
            .map(|bytes| u64::from_ne_bytes(*bytes))
            .ok_or(DecodeError::Short)
    }

    fn key(&self, at: usize) -> Result<ProcessKey, DecodeError> {
        Ok(ProcessKey {
            pid: self.u32(at.saturating_add(process_key::PID))?,
            start: self.u64(at.saturating_add(process_key::START))?,
        })
    }
}

/// The texts after it, one after the other.
struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    fn next(&mut self, length: u32) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(length).or(Err(DecodeError::Short))?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// What all records begin with.
struct Header {
    flags: u32,
    time: u64,
    process: ProcessKey,
    parent: ProcessKey,
    forked: Option<u64>,
    cgroup: u64,
}

/// Decodes a record; the path of its cgroup is in it, or was in an earlier one.
///
/// # Errors
/// When it is cut short or of an unknown kind, and when no record had the path of its cgroup.
pub(crate) fn decode(bytes: &[u8], cgroups: &mut Cgroups) -> Result<Event, DecodeError> {
    let fixed = Fixed(bytes);
    let header = Header {
        flags: fixed.u32(header::FLAGS)?,
        time: fixed.u64(header::TIME)?,
        process: fixed.key(header::PROCESS)?,
        parent: fixed.key(header::PARENT)?,
        forked: Some(fixed.u64(header::FORKED)?).filter(|time| *time != 0),
        cgroup: fixed.u64(header::CGROUP)?,
    };
    match fixed.u32(header::KIND)? {
        kind::EXEC => exec(bytes, &header, cgroups).map(|exec| Event::Exec(Box::new(exec))),
        kind::EXIT => Ok(Event::Exit(header.process)),
        kind::FOUND => {
            exec(bytes, &header, cgroups).map(|exec| Event::Found(Box::new(found(exec))))
        }
        other => Err(DecodeError::Kind(other)),
    }
}

/// A found process has the texts of an exec, as far as there are any.
fn found(exec: Exec) -> Found {
    Found {
        process: exec.process,
        parent: exec.parent,
        forked: exec.forked,
        time: exec.time,
        mount_namespace: exec.mount_namespace,
        cgroup: exec.cgroup,
        cgroup_number: exec.cgroup_number,
        capabilities: exec.capabilities,
        uid: exec.uid,
        gid: exec.gid,
        executable: exec.executable,
        name: exec.filename,
        init_session: exec.init_session,
        membership: exec.membership,
    }
}

fn exec(bytes: &[u8], header: &Header, cgroups: &mut Cgroups) -> Result<Exec, DecodeError> {
    let set = |bit: u32| header.flags & bit != 0;
    let halves = bytes.split_at_checked(exec_header::SIZE);
    let (fixed, texts) = halves.ok_or(DecodeError::Short)?;
    let (fixed, mut texts) = (Fixed(fixed), Texts(texts));
    let namespace = |index: usize| {
        let at = index.saturating_mul(size_of::<u64>());
        fixed.u64(exec_header::POD_NAMESPACES.saturating_add(at))
    };
    let mut text = |length_at| texts.next(fixed.u32(length_at)?);
    let cgroup = text(exec_header::CGROUP_LEN)?;
    let executable = text(exec_header::PATH_LEN)?;
    let filename = text_of(text(exec_header::FILENAME_LEN)?);
    let interp = text_of(text(exec_header::INTERP_LEN)?);
    let directory = text(exec_header::DIRECTORY_LEN)?;
    let script = text(exec_header::SCRIPT_LEN)?;
    let args = Args::of_terminated(text(exec_header::ARGS_LEN)?);
    let args_tail = Args::of_terminated(text(exec_header::ARGS_TAIL_LEN)?);
    if set(flag::CGROUP_PATH) {
        cgroups.is_told(header.cgroup, &path_of(cgroup, false));
    }
    let cgroup = cgroups.path(header.cgroup);
    let cgroup = cgroup.ok_or(DecodeError::Cgroup(header.cgroup))?.to_owned();
    let home = fixed.u64(exec_header::HOME)?;
    let descent = descent_of(header.flags, home, cgroups);
    let source = source_of(fixed.u32(exec_header::SOURCE)?);
    let script_source = source_of(fixed.u32(exec_header::SCRIPT_SOURCE)?);
    let descriptor = |index: usize| -> Result<_, DecodeError> {
        let at = index.saturating_mul(descriptor::SIZE);
        let at = exec_header::DESCRIPTORS.saturating_add(at);
        Ok(descriptor_type(
            fixed.u32(at.saturating_add(descriptor::MODE))?,
            fixed.u32(at.saturating_add(descriptor::DEVICE))?,
        ))
    };
    let descriptors = [descriptor(0)?, descriptor(1)?, descriptor(2)?];
    Ok(Exec {
        time: header.time,
        process: header.process,
        parent: header.parent,
        forked: header.forked,
        capabilities: fixed.u64(exec_header::CAPABILITIES)?,
        uid: fixed.u32(exec_header::UID)?,
        gid: fixed.u32(exec_header::GID)?,
        source,
        mount_namespace: fixed.u64(exec_header::MOUNT_NAMESPACE)?,
        pod_namespaces: [namespace(0)?, namespace(1)?, namespace(2)?],
        cgroup,
        cgroup_number: header.cgroup,
        share: fixed.u64(exec_header::SHARE)?,
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
        descent,
        root: match (set(flag::ROOT_KNOWN), set(flag::OWN_ROOT)) {
            (true, true) => Root::Container,
            (true, false) => Root::Machine,
            (false, _) => Root::Unknown,
        },
        parent_outside_cgroup: set(flag::PARENT_OUTSIDE_CGROUP),
        own_pid_namespace: set(flag::OWN_PID_NAMESPACE),
        init_session: set(flag::INIT_SESSION),
        without_loader: set(flag::WITHOUT_LOADER),
        membership: membership_of(header.flags),
        joined_container: set(flag::JOINED_CONTAINER),
    })
}

/// What the kernel side remembers, by the flags of a record and the number of the home.
fn descent_of(flags: u32, home: u64, cgroups: &mut Cgroups) -> Descent {
    let set = |bit: u32| flags & bit != 0;
    match (set(flag::OF_POD), set(flag::NOT_ALL_TRACKED)) {
        (true, _) => Descent::Pod {
            home: cgroups.path(home).map(ToString::to_string),
        },
        (false, true) => Descent::Unknown,
        (false, false) => Descent::NoPod,
    }
}

/// Whether a process is of its container, by the flags of its record.
const fn membership_of(flags: u32) -> Membership {
    let seen = flags & flag::CONTAINER_SEEN != 0;
    let started = flags & flag::CONTAINER_STARTED != 0;
    let proven = flags & flag::CONTAINER_PROVEN != 0;
    match (seen, started, proven) {
        (true, true, true) => Membership::Proven,
        (true, true, false) => Membership::Unproven,
        (true, false, _) => Membership::NotStarted,
        (false, _, _) => Membership::Unknown,
    }
}

/// Where a file is, by its number in `record.h`.
const fn source_of(number: u32) -> ExecutableSource {
    match number {
        source::IMAGE => ExecutableSource::Image,
        source::IMAGE_MODIFIED => ExecutableSource::ImageModified,
        source::WRITABLE_LAYER => ExecutableSource::WritableLayer,
        source::VOLUME => ExecutableSource::Volume,
        source::MEMORY => ExecutableSource::Memory,
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
    let mut path = String::with_capacity(bytes.len().saturating_add(4));
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

#[cfg(test)]
pub(crate) mod tests;
