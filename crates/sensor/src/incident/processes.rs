//! The processes of a series: those that violated the policy after the first one.
//!
//! Here: which are kept, and that they stay small. Not here: when they are written (`write`).
//! Invariant: the first ones never change but for their count and last time; each takes at most as many
//! bytes as it is given, as the API server stores them.

use crate::incident::evidence::args_within;
use crate::incident::evidence::size::{cut, stored_size};
use crate::judge::Finding;
use bailiff_api::{
    ANCESTOR_ARGS_LIMIT_BYTES, FIRST_PROCESSES_LIMIT, IncidentProcess, IncidentSpec,
    LAST_PROCESSES_LIMIT, ObservedProcess, Origin, Series,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// Bytes of a process without its texts, at most: names of fields, numbers and times.
const FIELDS_BYTES: usize = 230;
/// Bytes without which a process says too little.
const LEAST_BYTES: usize = FIELDS_BYTES + 80;
/// Most bytes of an executable's path.
const EXECUTABLE_LIMIT_BYTES: usize = 256;
/// Most arguments, as the schema has it.
const ARGS_LIMIT: usize = 256;

/// How many processes an Incident has room for, and how many bytes each may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    first: usize,
    last: usize,
    limit: usize,
}

impl Room {
    /// Until the Incident is known.
    pub(crate) const UNKNOWN: Self = Self {
        first: FIRST_PROCESSES_LIMIT,
        last: LAST_PROCESSES_LIMIT,
        limit: 800,
    };

    /// Within so many bytes in all.
    pub(crate) fn within(bytes: usize) -> Self {
        let most = FIRST_PROCESSES_LIMIT.saturating_add(LAST_PROCESSES_LIMIT);
        let number = most.min(bytes / LEAST_BYTES);
        let first = FIRST_PROCESSES_LIMIT.min(number);
        Self {
            first,
            last: number.saturating_sub(first),
            limit: bytes.checked_div(number).unwrap_or_default(),
        }
    }
}

/// The processes of one series.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    /// The process of the Incident itself, which is none of these.
    own: Option<Same>,
    room: Room,
    first: Vec<ObservedProcess>,
    last: Vec<ObservedProcess>,
}

/// What makes two processes one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Same {
    executable: String,
    args: Vec<String>,
    origin: Origin,
}

impl Processes {
    /// Of an Incident about this process, which has this room.
    pub(crate) fn of(own: Option<&IncidentProcess>, room: Room) -> Self {
        let own = own.map(|own| {
            let (executable, args, _) = texts(&own.executable, &own.args, room.limit);
            Same {
                executable,
                args,
                origin: own.origin,
            }
        });
        Self {
            own,
            room,
            first: Vec::new(),
            last: Vec::new(),
        }
    }

    /// The process of an Incident that is not created, because there is one already.
    pub(crate) fn add_first(&mut self, spec: &IncidentSpec) {
        let process = &spec.process;
        let (executable, args, truncated) =
            texts(&process.executable, &process.args, self.room.limit);
        self.put(ObservedProcess {
            executable,
            args,
            args_truncated: truncated || process.args_truncated,
            origin: process.origin,
            count: 1,
            first_observed_time: spec.exec_time.clone(),
            last_observed_time: spec.exec_time.clone(),
        });
    }

    /// A process violated the policy.
    pub(crate) fn add(&mut self, finding: &Finding) {
        let process = &finding.process;
        let (executable, args, truncated) =
            texts(&process.executable, &process.args, self.room.limit);
        self.put(ObservedProcess {
            executable,
            args,
            args_truncated: truncated || finding.args_cut,
            origin: process.origin,
            count: 1,
            first_observed_time: MicroTime(finding.time),
            last_observed_time: MicroTime(finding.time),
        });
    }

    /// The Incident that exists has these; what was added here came later.
    pub(crate) fn continue_from(
        &mut self,
        own: &IncidentProcess,
        room: Room,
        series: Option<&Series>,
    ) {
        let mut found = Self::of(Some(own), room);
        if let Some(series) = series {
            found.first.clone_from(&series.first_processes);
            found.last.clone_from(&series.last_processes);
            found.first.truncate(room.first);
            found.last.truncate(room.last);
        }
        for later in std::mem::take(&mut self.first)
            .into_iter()
            .chain(std::mem::take(&mut self.last))
        {
            let (executable, args, truncated) = texts(&later.executable, &later.args, room.limit);
            found.put(ObservedProcess {
                executable,
                args,
                args_truncated: truncated || later.args_truncated,
                ..later
            });
        }
        *self = found;
    }

    /// Processes that were added elsewhere came later.
    pub(crate) fn extend(&mut self, later: impl IntoIterator<Item = ObservedProcess>) {
        for process in later {
            self.put(process);
        }
    }

    /// The first and the last ones.
    pub(crate) fn lists(&self) -> (Vec<ObservedProcess>, Vec<ObservedProcess>) {
        (self.first.clone(), self.last.clone())
    }

    /// Whether it has none but the Incident's own.
    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_empty() && self.last.is_empty()
    }

    /// Forgets the last ones; where there are none, the first ones, which no later ones replace: what the API server
    /// has of them stays there.
    pub(crate) fn shed(&mut self) {
        if self.last.is_empty() {
            self.first = Vec::new();
            self.room.first = 0;
        } else {
            self.last = Vec::new();
        }
    }

    /// Bytes of memory that they take.
    pub(crate) fn bytes(&self) -> usize {
        let processes = self.first.iter().chain(&self.last);
        let of_process = |process: &ObservedProcess| {
            texts_bytes(&process.executable, &process.args)
                .saturating_add(size_of::<ObservedProcess>())
        };
        let own = self.own.iter();
        let own = own.map(|own| texts_bytes(&own.executable, &own.args));
        processes
            .map(of_process)
            .chain(own)
            .fold(0, usize::saturating_add)
    }

    fn put(&mut self, process: ObservedProcess) {
        let same = |known: &ObservedProcess| {
            known.executable == process.executable
                && known.args == process.args
                && known.origin == process.origin
        };
        if self.own.as_ref().is_some_and(|own| {
            own.executable == process.executable
                && own.args == process.args
                && own.origin == process.origin
        }) {
            return;
        }
        let again = |known: &mut ObservedProcess| {
            known.count = known.count.saturating_add(process.count);
            let last = known.last_observed_time.0.max(process.last_observed_time.0);
            known.last_observed_time = MicroTime(last);
        };
        if let Some(known) = self.first.iter_mut().find(|known| same(known)) {
            return again(known);
        }
        if let Some(place) = self.last.iter().position(same) {
            let mut known = self.last.remove(place);
            again(&mut known);
            return self.last.push(known);
        }
        if self.first.len() < self.room.first {
            return self.first.push(process);
        }
        if self.room.last == 0 {
            return;
        }
        if self.last.len() >= self.room.last {
            self.last.remove(0);
        }
        self.last.push(process);
    }
}

/// Bytes of texts in memory; what an allocator adds to each is about as much as the text's own place.
fn texts_bytes(executable: &str, args: &[String]) -> usize {
    let arg = |arg: &String| arg.len().saturating_add(2 * size_of::<String>());
    args.iter()
        .map(arg)
        .fold(executable.len(), usize::saturating_add)
}

/// Executable and arguments within so many bytes, and whether arguments were cut.
fn texts(executable: &str, args: &[String], limit: usize) -> (String, Vec<String>, bool) {
    let room = limit.saturating_sub(FIELDS_BYTES);
    let executable = cut(executable, EXECUTABLE_LIMIT_BYTES.min(room / 2)).to_owned();
    let mut left = room.saturating_sub(executable.len());
    left = left.saturating_sub(stored_size(executable.as_str()).saturating_sub(executable.len()));
    let mut kept = args_within(
        args.get(..ARGS_LIMIT.min(args.len())).unwrap_or_default(),
        ANCESTOR_ARGS_LIMIT_BYTES.min(left),
    );
    // Quotes and commas are part of what is stored.
    while stored_size(&kept) > left && kept.pop().is_some() {}
    let truncated = kept.len() < args.len() || kept.iter().zip(args).any(|(kept, arg)| kept != arg);
    (executable, kept, truncated)
}

#[cfg(test)]
mod tests;
