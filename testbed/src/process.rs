//! Processes that outlive the command that started them.
//!
//! Here: starting one with its log, remembering it, signalling and ending it. Not here: which
//! ones there are (`control_plane`, `node`).
//! Invariant: a process is signalled only while its start time is the one that was recorded, so
//! that a reused number never hits a stranger.

use crate::state;
use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A process of the cluster, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) name: String,
    pid: i32,
    start_ticks: u64,
}

/// When a process was started, in clock ticks since boot; absent when there is none.
/// Field 22 of `/proc/PID/stat` (man 5 `proc_pid_stat`), counted after the name's last bracket.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace();
    let zombie = fields.next()? == "Z";
    // Field 20: as long as other threads end, its sockets may be open.
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    if zombie && threads <= 1 {
        return None;
    }
    fields.nth(1)?.parse().ok()
}

impl Process {
    /// Starts a command in the background, its output in `logs/NAME.log`, and records it.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let log = state::write(format!("logs/{name}.log"), b"")?;
        let log = std::fs::OpenOptions::new().append(true).open(&log)?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Its own group: ^C at the terminal is for the command, not for the cluster.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name} ({program})"))?;
        let pid = i32::try_from(child.id()).context("a process number does not fit")?;
        let start_ticks = start_ticks(pid).with_context(|| {
            format!(
                "{name} ended at once: see {}",
                state::text(&format!("logs/{name}.log"))
            )
        })?;
        let command = format!("{command:?}");
        state::write(
            format!("processes/{name}"),
            format!("{pid} {start_ticks}\n{command}\n"),
        )?;
        Ok(Self {
            name: name.to_owned(),
            pid,
            start_ticks,
        })
    }

    /// The recorded process of that name.
    pub(crate) fn recorded(name: &str) -> Result<Self> {
        let path = state::path(format!("processes/{name}"));
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("no {name} is recorded in {}", path.display()))?;
        let mut words = text.split_whitespace();
        let mut word = || {
            words
                .next()
                .with_context(|| format!("{} is damaged", path.display()))
        };
        Ok(Self {
            name: name.to_owned(),
            pid: word()?.parse()?,
            start_ticks: word()?.parse()?,
        })
    }

    /// All recorded processes.
    pub(crate) fn all() -> Vec<Self> {
        let Ok(entries) = std::fs::read_dir(state::path("processes")) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
            .iter()
            .filter_map(|name| Self::recorded(name).ok())
            .collect()
    }

    pub(crate) fn runs(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }

    pub(crate) fn id(&self) -> i32 {
        self.pid
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        anyhow::ensure!(self.runs(), "{} does not run", self.name);
        kill(Pid::from_raw(self.pid), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Ends it: asks first, then insists.
    pub(crate) fn end(&self) {
        for (signal, patience) in [
            (Signal::SIGTERM, Duration::from_secs(5)),
            (Signal::SIGKILL, Duration::from_mins(1)),
        ] {
            if !self.runs() {
                return;
            }
            // A stopped process gets SIGTERM only when it goes on. It may also have ended meanwhile.
            if kill(Pid::from_raw(self.pid), signal).is_err()
                || kill(Pid::from_raw(self.pid), Signal::SIGCONT).is_err()
            {
                return;
            }
            if until(patience, || !self.runs()) {
                return;
            }
        }
    }
}

/// Asks until the answer is yes or the time is over; whether it was yes. It asks less and less often:
/// what asks takes time from what is waited for.
pub(crate) fn until(patience: Duration, mut asked: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(20);
    loop {
        if asked() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// Runs a command to its end; its output, or an error with all that it printed.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(
        output.status.success(),
        "{command:?} failed ({}):\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(stdout)
}

/// Runs a command line of plain words.
pub(crate) fn sh(line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    let program = words.next().context("an empty command")?;
    run(Command::new(program).args(words))
}
