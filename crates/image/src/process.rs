//! Starting the process that reads a layer, and its end.
//!
//! Here: what the process gets, and what its exit status means. Not here: what it does (`child`) and what it answers
//! (`read`).
//! Invariant: the process gets the blob, a pipe and a spool, and nothing else: no environment, no working directory,
//! no standard error. It never outlives the value here.

use crate::child::SUBCOMMAND;
use crate::report::Request;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// The program that reads layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Default for Program {
    /// This program itself, also if its file was replaced or removed since it was started.
    fn default() -> Self {
        Self {
            path: PathBuf::from("/proc/self/exe"),
            arguments: vec![SUBCOMMAND.into()],
        }
    }
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned.
    Normally,
    /// It ran into a fault of its own: the exit code.
    Exit(i32),
    /// It used all CPU time that it had.
    Cpu,
    /// It made a system call that it is not allowed to make.
    Forbidden,
    /// It ended itself, as it does when its memory or its stack is exhausted.
    Aborted,
    /// The kernel or somebody else ended it with this signal.
    Signal(i32),
    /// Its end could not be observed.
    Unknown,
}

/// A process that reads a layer.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a process. Its request is written to the begin of the spool.
    ///
    /// # Errors
    /// The spool cannot be written, or the program cannot be started.
    pub(crate) fn start(
        program: &Program,
        request: &Request,
        blob: &File,
        mut spool: &File,
    ) -> io::Result<(Self, ChildStdout)> {
        let request = postcard::to_stdvec(request).map_err(io::Error::other)?;
        spool.set_len(0)?;
        spool.rewind()?;
        spool.write_all(&request)?;
        let mut child = Command::new(&program.path)
            .arg0("bailiff")
            .args(&program.arguments)
            .env_clear()
            // Otherwise exhausted memory makes the allocator count processors, which is a forbidden system call.
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir("/")
            .stdin(Stdio::from(blob.try_clone()?))
            .stdout(Stdio::piped())
            .stderr(Stdio::from(spool.try_clone()?))
            .spawn()?;
        let Some(answer) = child.stdout.take() else {
            drop(Self { child });
            return Err(io::Error::other("the process has no standard output"));
        };
        Ok((Self { child }, answer))
    }

    /// Ends the process, if it still runs.
    pub(crate) fn kill(&mut self) {
        // It fails if the process has ended, which is what was wanted.
        drop(self.child.kill());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Ended {
        match self.child.wait() {
            Ok(status) => ended(status),
            Err(_) => Ended::Unknown,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        drop(self.child.wait());
    }
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ended::Normally,
        (Some(code), _) => Ended::Exit(code),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(Signal::SIGXCPU) => Ended::Cpu,
            Ok(Signal::SIGSYS) => Ended::Forbidden,
            Ok(Signal::SIGABRT) => Ended::Aborted,
            Ok(_) | Err(_) => Ended::Signal(signal),
        },
        (None, None) => Ended::Unknown,
    }
}
