//! Programs that the sensor starts itself, which prove that programs are seen on this kernel and show which kubelet's
//! pods are meant.
//!
//! Here: starting them, and how long one may take to be seen. Not here: seeing them (`state`).
//! Invariant: until one was seen, another one is started after each [`DEADLINE`]; a busy node can take longer.

use super::Error;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long a program may take to be seen, until another one is started.
const DEADLINE: Duration = Duration::from_secs(10);
/// From how many programs on that were not seen the node is reported as not monitored.
const REPORTED: u32 = 2;

/// The program that was started last.
pub(super) struct OwnProgram {
    child: Child,
    until: Instant,
    not_seen: u32,
}

impl OwnProgram {
    /// Starts the first one.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start() -> Result<Self, Error> {
        Ok(Self {
            child: start()?,
            until: Instant::now() + DEADLINE,
            not_seen: 0,
        })
    }

    /// Ends each time the node has to be reported as not monitored; never, once a program was `seen`.
    ///
    /// # Errors
    /// When a program cannot be started or waited for.
    pub(super) async fn not_seen(&mut self, seen: bool) -> Result<(), Error> {
        loop {
            tokio::select! {
                ended = self.child.wait(), if self.child.id().is_some() => {
                    ended.map_err(Error::OwnProgram)?;
                }
                () = tokio::time::sleep_until(self.until), if !seen => {
                    self.not_seen = self.not_seen.saturating_add(1);
                    tracing::warn!(
                        number = self.not_seen,
                        "A program of the sensor's own was not seen; starting another one"
                    );
                    self.child = start()?;
                    self.until = Instant::now() + DEADLINE;
                    if self.not_seen >= REPORTED {
                        return Ok(());
                    }
                }
                else => std::future::pending().await,
            }
        }
    }
}

/// Starts this program once more, to print its version, which is not read.
fn start() -> Result<Child, Error> {
    Command::new("/proc/self/exe")
        .arg("version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::OwnProgram)
}
