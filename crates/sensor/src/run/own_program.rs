//! Programs that the sensor starts itself, which prove that programs are seen on this kernel and show which kubelet's
//! pods are meant.
//!
//! Here: when one is started, and how long it may take to be seen. Not here: seeing them, and the report (`state`).
//! Invariant: nothing that fails here ends the sensor. Until a program was seen, another one is started after a growing
//! time; a busy node can take longer. Once one was seen, the next one is started after [`INTERVAL`].

use crate::state::SelfCheckFailure;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long a program may take to be seen, until another one is started: the first one, and at most.
const DEADLINE: Duration = Duration::from_secs(10);
const LONGEST_DEADLINE: Duration = Duration::from_mins(2);
/// Time from a program that was seen to the next one. It costs about as much as any other process that starts.
const INTERVAL: Duration = Duration::from_mins(10);
/// From how many programs on that were not seen this is reported.
const REPORTED: u32 = 2;
/// How long it takes until another try to start a program: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// The program that was started last, and when the next one is.
pub(super) struct OwnProgram {
    path: PathBuf,
    /// By which the process is recognized.
    name: String,
    child: Option<Child>,
    /// How many were seen when the one was started that is not seen yet; none: none has to be seen.
    seen_before: Option<u64>,
    next: Instant,
    not_seen: u32,
    deadline: Duration,
    retry: Duration,
}

impl OwnProgram {
    /// The sensor's own executable, with this name as its first argument. The first one is started at once.
    pub(super) fn new(name: &str) -> Self {
        Self::of("/proc/self/exe".into(), name)
    }

    fn of(path: PathBuf, name: &str) -> Self {
        Self {
            path,
            name: name.to_owned(),
            child: None,
            seen_before: None,
            next: Instant::now(),
            not_seen: 0,
            deadline: DEADLINE,
            retry: FIRST_RETRY,
        }
    }

    /// Starts programs, and ends each time a failure has to be reported. `seen`: how many of them were seen so far.
    pub(super) async fn failed(&mut self, seen: u64) -> SelfCheckFailure {
        if self.seen_before.is_some_and(|before| before < seen) {
            self.seen_before = None;
            self.not_seen = 0;
            self.deadline = DEADLINE;
            self.next = Instant::now() + INTERVAL;
        }
        loop {
            tokio::select! {
                ended = end_of(&mut self.child) => {
                    if let Err(error) = ended {
                        tracing::warn!(%error, "Cannot wait for a program of the sensor's own");
                    }
                    self.child = None;
                }
                () = tokio::time::sleep_until(self.next) => {
                    if let Some(failure) = self.start(seen) {
                        return failure;
                    }
                }
            }
        }
    }

    /// Starts the next one. The failure, where it has to be reported.
    fn start(&mut self, seen: u64) -> Option<SelfCheckFailure> {
        if self.seen_before.take().is_some() {
            self.not_seen = self.not_seen.saturating_add(1);
            self.deadline = self.deadline.saturating_mul(2).min(LONGEST_DEADLINE);
            tracing::warn!(
                number = self.not_seen,
                "A program of the sensor's own was not seen; starting another one"
            );
        }
        // It prints its version, which is not read.
        let started = Command::new(&self.path)
            .arg0(&self.name)
            .arg("version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        match started {
            Ok(child) => {
                self.child = Some(child);
                self.seen_before = Some(seen);
                self.next = Instant::now() + self.deadline;
                self.retry = FIRST_RETRY;
                (self.not_seen >= REPORTED).then_some(SelfCheckFailure::NotSeen)
            }
            Err(error) => {
                self.child = None;
                self.next = Instant::now() + self.retry;
                self.retry = self.retry.saturating_mul(2).min(LONGEST_RETRY);
                tracing::warn!(%error, "Cannot start a program of the sensor's own; retrying");
                Some(SelfCheckFailure::CannotStart(error.to_string()))
            }
        }
    }
}

async fn end_of(child: &mut Option<Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    /// A folder that is gone when this is dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("bailiff-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_cannot_be_started_is_tried_again_after_growing_times() {
        let folder = Folder::new("own-program");
        let path = folder.0.join("program");
        let mut own = OwnProgram::of(path.clone(), "name");
        let begin = Instant::now();
        for second in [0, 1, 3, 7, 15, 31, 63, 123, 183] {
            let failure = own.failed(0).await;
            let cause = "No such file or directory (os error 2)".to_owned();
            assert_eq!(failure, SelfCheckFailure::CannotStart(cause));
            assert_eq!(begin.elapsed().as_secs(), second);
        }
        // It is there now, and seen.
        std::os::unix::fs::symlink("/bin/true", &path).unwrap();
        timeout(LONGEST_RETRY + DEADLINE / 2, own.failed(0))
            .await
            .unwrap_err();
        assert_eq!(own.seen_before, Some(0));
        timeout(INTERVAL / 2, own.failed(1)).await.unwrap_err();
        assert_eq!(own.seen_before, None);
    }

    #[tokio::test(start_paused = true)]
    async fn programs_are_started_again_and_again_and_have_to_be_seen() {
        let mut own = OwnProgram::of("/bin/true".into(), "name");
        let begin = Instant::now();
        let mut reported = Vec::new();
        for _ in 0..6 {
            assert_eq!(own.failed(0).await, SelfCheckFailure::NotSeen);
            reported.push(begin.elapsed().as_secs());
        }
        assert_eq!(reported, [30, 70, 150, 270, 390, 510]);
        // One is seen, and the next two are not.
        let seen = Instant::now();
        assert_eq!(own.failed(1).await, SelfCheckFailure::NotSeen);
        assert_eq!(seen.elapsed(), INTERVAL + DEADLINE + 2 * DEADLINE);
        // Each is seen.
        for seen in 2..5 {
            timeout(INTERVAL + DEADLINE / 2, own.failed(seen))
                .await
                .unwrap_err();
            assert_eq!(own.seen_before, Some(seen));
        }
    }
}
