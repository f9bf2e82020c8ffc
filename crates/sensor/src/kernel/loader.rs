//! Loads the BPF programs, attaches them, and reads what they tell.
//!
//! Here: aya. Not here: what bytes mean (`record`), the kernel's types (`loader/btf`).
//! Invariant: when [`Records::load`] returns, every program is attached; what can't be loaded is
//! the caller's error and never a silent nothing. Without the one for scripts, records say that none was seen.

mod btf;
mod permissions;
mod running;

use crate::coverage::with_sources;
use crate::kernel::cgroups::Cgroups;
use crate::kernel::definition::{TRACKED_MOST, counter, share};
use crate::kernel::record::{DecodeError, Event, decode};
use crate::kernel::refusal::Refusal;
use crate::kernel::running::{Search, SearchError};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, FEntry, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A share in 64-bit words, as all of it is.
const SHARE_WORDS: usize = share::SIZE / size_of::<u64>();

/// The programs with their tracepoints, in the order in which they are attached: what is remembered of a process is
/// forgotten when it ends, so that no end may be missed.
const PROGRAMS: [(&str, &str); 5] = [
    ("cgroup_removed", "cgroup_rmdir"),
    ("process_exit", "sched_process_exit"),
    ("process_fork", "sched_process_fork"),
    ("process_exec", "sched_process_exec"),
    // The last one: of each container that it sees made, the first exec is seen, too.
    ("cgroup_made", "cgroup_mkdir"),
];

/// The program that sees scripts, and the function of the kernel at whose entry it runs. Kernels without
/// functions that can be traced do without it.
const SCRIPT_PROGRAM: (&str, &str) = ("script_opened", "security_bprm_check");

/// An object file has to be aligned for its headers to be read in place.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/exec.bpf.o")));

/// Why the programs do not run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel does not describe its types.
    #[error(
        "cannot read the kernel's type information (/sys/kernel/btf/vmlinux); the sensor needs a kernel 5.14 or later built with CONFIG_DEBUG_INFO_BTF"
    )]
    Btf(#[source] aya::BtfError),
    /// The object or its maps could not be loaded.
    #[error("cannot load the BPF programs: {refusal}")]
    Load {
        /// Why.
        refusal: Refusal,
        /// The cause.
        #[source]
        source: Box<aya::EbpfError>,
    },
    /// A program was refused.
    #[error("cannot load the BPF program {program}: {refusal}")]
    Program {
        /// Its name.
        program: &'static str,
        /// Why.
        refusal: Refusal,
        /// The cause.
        #[source]
        source: Box<ProgramError>,
    },
    /// A map is not what it should be.
    #[error("cannot open the BPF map {0}")]
    Map(&'static str),
    /// The ring can't be waited for.
    #[error("cannot wait for the BPF ring buffer")]
    Wait(#[source] std::io::Error),
}

/// What the kernel counted, over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Execs in pods that found no room in the ring.
    pub execs_lost: u64,
    /// Execs in pods.
    pub execs: u64,
    /// Processes of pods that could not be remembered.
    pub not_tracked: u64,
    /// Exits of pods' processes, and found ones, that found no room in the ring.
    pub process_events_lost: u64,
    /// Execs in cgroups so deep that it can't be told whether they are of a pod.
    pub cgroup_too_deep: u64,
    /// Execs in pods of other kubelets, of which there is no record.
    pub execs_of_others: u64,
}

/// How much room the kernel side has.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes of the ring: a power of two, at least a page.
    pub ring_buffer_bytes: u32,
    /// Most processes of pods that are remembered at a time. They take memory only when they are there.
    pub processes: u32,
}

impl Room {
    /// A ring of this many bytes, and what the programs remember by default.
    const fn with_ring(ring_buffer_bytes: u32) -> Self {
        Self {
            ring_buffer_bytes,
            processes: TRACKED_MOST,
        }
    }
}

/// The programs, attached for as long as this lives, and their records.
pub struct Records {
    ring: Ring,
    attached: Attached,
    sees_scripts: bool,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records")
    }
}

impl Records {
    /// Loads and attaches the programs, with a ring of this many bytes (a power of two, at least
    /// a page).
    ///
    /// # Errors
    /// When the kernel lacks what they need, or refuses them.
    pub fn load(ring_buffer_bytes: u32) -> Result<Self, LoadError> {
        Self::load_with(Room::with_ring(ring_buffer_bytes))
    }

    /// The same, with this room.
    ///
    /// # Errors
    /// When the kernel lacks what they need, or refuses them.
    pub fn load_with(room: Room) -> Result<Self, LoadError> {
        Self::load_with_types(room, Path::new(btf::FOLDER))
    }

    /// The same, by the kernel's types as a folder shows them, which is like `/sys/kernel/btf`.
    ///
    /// # Errors
    /// When the kernel lacks what they need, or refuses them.
    pub fn load_by_types(ring_buffer_bytes: u32, folder: &Path) -> Result<Self, LoadError> {
        Self::load_with_types(Room::with_ring(ring_buffer_bytes), folder)
    }

    fn load_with_types(room: Room, folder: &Path) -> Result<Self, LoadError> {
        let alone = || {
            let btf = btf::of_kernel(folder).map_err(LoadError::Btf)?;
            attached(room, &btf)
        };
        let (mut programs, sees_scripts) = match btf::with_module(folder) {
            None => alone()?,
            Some(btf) => match attached(room, &btf) {
                Ok(programs) => programs,
                // A module can have a type of the same name as one of the kernel's, and then
                // neither is taken. What the module is needed for is less than everything.
                Err(error) => {
                    tracing::warn!(
                        error = with_sources(&error),
                        "The BPF programs did not fit the types of a kernel module, and do without it"
                    );
                    // Both at a time would double the memory that a start takes.
                    drop(btf);
                    alone()?
                }
            },
        };
        let mut map = |name| programs.take_map(name).ok_or(LoadError::Map(name));
        let (records, asleep, path_round) = (map("records")?, map("asleep")?, map("path_round")?);
        let (counters, others): (Map, Map) = (map("counters")?, map("cgroups_of_others")?);
        let shares: Map = map("shares")?;
        Ok(Self {
            ring: Ring {
                records: RingBuf::try_from(records).or(Err(LoadError::Map("records")))?,
                asleep: Array::try_from(asleep).or(Err(LoadError::Map("asleep")))?,
                path_round: Array::try_from(path_round).or(Err(LoadError::Map("path_round")))?,
                round: 0,
                cgroups: Cgroups::default(),
            },
            attached: Attached {
                counters: PerCpuArray::try_from(counters).or(Err(LoadError::Map("counters")))?,
                others: HashMap::try_from(others).or(Err(LoadError::Map("cgroups_of_others")))?,
                shares: HashMap::try_from(shares).or(Err(LoadError::Map("shares")))?,
                since: since_boot(),
                search: None,
                programs,
            },
            sees_scripts,
        })
    }

    /// When all programs were attached, in ns since boot, suspend included: a process that was
    /// started before may have been missed.
    #[must_use]
    pub fn attached_since(&self) -> u64 {
        self.attached.since
    }

    /// Whether the kernel lets its function be traced by which the files of scripts are seen.
    #[must_use]
    pub const fn sees_scripts(&self) -> bool {
        self.sees_scripts
    }

    /// Loads the program that looks for running processes, which takes the kernel about as long as the others. Without
    /// this, the first search does.
    pub fn prepare_search(&mut self) {
        // A search has the same error.
        drop(self.attached.prepare_search());
    }

    /// Looks for processes of pods that run already, and of which no record told; there is a record of each afterwards.
    /// One run tells of a bounded number.
    ///
    /// # Errors
    /// When the kernel cannot load or run the program.
    pub fn find_running(&mut self) -> Result<Search, SearchError> {
        self.attached.find_running()
    }

    /// The next record that is there now; absent when there is none.
    pub fn try_next(&mut self) -> Option<Result<Event, DecodeError>> {
        self.ring.next().map(|record| record.event)
    }

    /// Sleeps until there may be a record, at most this long.
    ///
    /// # Errors
    /// When the ring can't be waited for.
    pub fn sleep(&mut self, longest: Duration) -> Result<(), LoadError> {
        self.ring.sleep(longest)
    }

    /// What the kernel counted since the programs were loaded.
    ///
    /// # Errors
    /// When the map can't be read.
    pub fn counters(&self) -> Result<Counters, LoadError> {
        self.attached.counters()
    }

    /// How many execs were lost of each share of the ring, by its number, since the programs were loaded.
    ///
    /// # Errors
    /// When the map can't be read.
    pub fn lost(&self) -> Result<Vec<(u64, u64)>, LoadError> {
        self.attached.lost()
    }

    /// What is executed in a cgroup, by its number, is told no more, unless it descends from another pod: the cgroup is
    /// one of a pod of another kubelet.
    ///
    /// # Errors
    /// When the map can't be written.
    pub fn ignore(&mut self, cgroup: u64) -> Result<(), LoadError> {
        self.attached.ignore(cgroup)
    }

    /// The paths of all cgroups are told again, as before some are forgotten.
    pub fn tell_paths_again(&mut self) {
        self.ring.begin_round();
    }

    /// The ring for who reads it, and the rest.
    pub(crate) fn into_parts(self) -> (Ring, Attached) {
        (self.ring, self.attached)
    }
}

/// A record with its size.
pub(crate) struct Record {
    pub(crate) event: Result<Event, DecodeError>,
    /// Bytes in the ring.
    pub(crate) bytes: usize,
}

/// The ring between kernel and user space. Programs write to it as long as [`Attached`] lives.
pub(crate) struct Ring {
    records: RingBuf<MapData>,
    /// Tells the programs whether to wake who reads.
    asleep: Array<MapData, u32>,
    /// Tells the programs to tell all paths again.
    path_round: Array<MapData, u32>,
    round: u32,
    cgroups: Cgroups,
}

impl Ring {
    /// The next record that is there now.
    pub(crate) fn next(&mut self) -> Option<Record> {
        let record = self.records.next().map(|bytes| Record {
            event: decode(&bytes, &mut self.cgroups),
            bytes: bytes.len(),
        });
        if record.is_none() {
            self.cgroups.ring_is_empty();
        }
        if self.cgroups.must_begin_round() {
            self.begin_round();
        }
        record
    }

    /// Makes room for paths of cgroups. Where the programs cannot be told, records without a path are errors, which are
    /// counted, until they can.
    fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        if let Err(error) = self.path_round.set(0, self.round, 0) {
            tracing::warn!(%error, "Could not ask the BPF programs for paths of cgroups");
        }
        self.cgroups.begin_round();
    }

    /// Sleeps until there may be a record, at most this long. A program that looked whether somebody sleeps just before
    /// that was told wakes nobody: its record waits until the sleep ends by itself.
    pub(crate) fn sleep(&mut self, longest: Duration) -> Result<(), LoadError> {
        self.set_asleep(true)?;
        // It looks itself whether there is a record before it sleeps.
        let mut descriptors = [PollFd::new(self.records.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
        let slept = poll(&mut descriptors, timeout);
        self.set_asleep(false)?;
        match slept {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(LoadError::Wait(error.into())),
        }
    }

    /// With the wait of an asynchronous runtime, which is the one that calls this.
    ///
    /// # Errors
    /// When the runtime cannot wait for it.
    #[expect(unsafe_code, reason = "the runtime offers this in no other way")]
    pub(crate) fn in_runtime(self) -> Result<AsyncFd<Self>, LoadError> {
        // SAFETY: the descriptor is that of the map, which `records` owns: nothing closes or replaces it before `self` is
        // dropped, and `as_raw_fd` has no other.
        let registered = unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) };
        registered.map_err(|error| LoadError::Wait(error.into()))
    }

    /// Tells the programs whether to wake who reads. One that looked just before that wakes nobody.
    pub(crate) fn set_asleep(&mut self, asleep: bool) -> Result<(), LoadError> {
        let told = self.asleep.set(0, u32::from(asleep), 0);
        told.or(Err(LoadError::Map("asleep")))
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.records.as_raw_fd()
    }
}

/// The programs, attached for as long as this lives.
pub(crate) struct Attached {
    counters: PerCpuArray<MapData, u64>,
    others: HashMap<MapData, u64, u32>,
    /// What each pod or container takes, word by word (`share`).
    shares: HashMap<MapData, u64, [u64; SHARE_WORDS]>,
    since: u64,
    /// Whether the program that looks for running processes is loaded. Absent: that was not tried.
    search: Option<Result<(), SearchError>>,
    programs: Ebpf,
}

impl Attached {
    fn prepare_search(&mut self) -> Result<(), SearchError> {
        let programs = &mut self.programs;
        let loaded = self.search.get_or_insert_with(|| running::load(programs));
        loaded.clone()
    }

    /// Looks for processes of pods that run already, as [`Records::find_running`] does.
    pub(crate) fn find_running(&mut self) -> Result<Search, SearchError> {
        self.prepare_search()?;
        running::run(&self.programs)
    }

    /// What is executed in a cgroup is told no more, unless it descends from another pod.
    pub(crate) fn ignore(&mut self, cgroup: u64) -> Result<(), LoadError> {
        let told = self.others.insert(cgroup, 1, 0);
        told.or(Err(LoadError::Map("cgroups_of_others")))
    }

    /// How many execs were lost of each share of the ring that lost some.
    pub(crate) fn lost(&self) -> Result<Vec<(u64, u64)>, LoadError> {
        let lost = |words: [u64; SHARE_WORDS]| words[share::EXECS_LOST / size_of::<u64>()];
        let shares = self.shares.iter();
        let all: Result<Vec<_>, _> = shares
            .map(|share| share.map(|(number, words)| (number, lost(words))))
            .filter(|share| !matches!(share, Ok((_, 0))))
            .collect();
        all.or(Err(LoadError::Map("shares")))
    }

    /// What the kernel counted since the programs were loaded.
    pub(crate) fn counters(&self) -> Result<Counters, LoadError> {
        let sum = |index| {
            let values = self
                .counters
                .get(&index, 0)
                .or(Err(LoadError::Map("counters")))?;
            Ok(values.iter().sum())
        };
        Ok(Counters {
            execs_lost: sum(counter::EXECS_LOST)?,
            execs: sum(counter::EXECS)?,
            not_tracked: sum(counter::TRACK_FAILED)?,
            process_events_lost: sum(counter::PROCESS_EVENTS_LOST)?,
            cgroup_too_deep: sum(counter::CGROUP_TOO_DEEP)?,
            execs_of_others: sum(counter::EXECS_OF_OTHERS)?,
        })
    }
}

/// Nanoseconds since boot, suspend included. A clock that can't be read is as if everything were
/// older.
fn since_boot() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .ok()
        .and_then(|time| u64::try_from(Duration::from(time).as_nanos()).ok())
        .unwrap_or(u64::MAX)
}

/// The programs, attached, and whether that for scripts is.
fn attached(room: Room, btf: &Btf) -> Result<(Ebpf, bool), LoadError> {
    let mut programs = EbpfLoader::new()
        .btf(Some(btf))
        // Only the programs use the memory of tasks.
        .allow_unsupported_maps()
        .map_max_entries("records", room.ring_buffer_bytes)
        .map_max_entries("tracked", room.processes)
        .map_max_entries("executors", room.processes)
        .load(&OBJECT.0)
        .map_err(|error| LoadError::Load {
            refusal: permissions::of_load(&error),
            source: Box::new(error),
        })?;
    for (program, tracepoint) in PROGRAMS {
        let refused = |source: ProgramError| LoadError::Program {
            program,
            refusal: permissions::of_program(&source),
            source: Box::new(source),
        };
        let loaded: &mut BtfTracePoint = programs
            .program_mut(program)
            .ok_or(LoadError::Map(program))?
            .try_into()
            .map_err(refused)?;
        loaded.load(tracepoint, btf).map_err(refused)?;
        loaded.attach().map_err(refused)?;
    }
    let scripts = attach_script_program(&mut programs, btf);
    if let Err(error) = &scripts {
        tracing::warn!(
            function = SCRIPT_PROGRAM.1,
            error = with_sources(error),
            "Could not trace the function; process.script.source is Unknown and symbolic links in process.script.path are not resolved"
        );
    }
    Ok((programs, scripts.is_ok()))
}

fn attach_script_program(programs: &mut Ebpf, btf: &Btf) -> Result<(), ProgramError> {
    let (program, function) = SCRIPT_PROGRAM;
    let program: &mut FEntry = match programs.program_mut(program) {
        Some(program) => program.try_into()?,
        None => return Err(ProgramError::NotLoaded),
    };
    program.load(function, btf)?;
    program.attach()?;
    Ok(())
}
