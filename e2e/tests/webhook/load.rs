//! Pods that are created one after the other, as fast as several clients can.
//!
//! Here: the clients, and counting what they are answered. Not here: what happens meanwhile.
//! Invariant: each pod that was asked for is counted once, as admitted or as failed; one that did not reach the
//! API server is not counted.

use bailiff_e2e::images::try_kubectl;
use bailiff_e2e::{Output, Story};
use serde_json::json;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::Duration;
use tempfile::NamedTempFile;

/// Clients, each of which has one pod in flight.
pub(super) const CLIENTS: usize = 3;
/// Pods of one run of kubectl.
const BATCH: usize = 25;

/// What the clients were answered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Pods that were admitted.
    pub(super) admitted: usize,
    /// Why the others were not.
    pub(super) failed: Vec<String>,
}

/// Clients that run until [`Load::end`].
pub(super) struct Load<'scope> {
    over: &'scope AtomicBool,
    admitted: &'scope AtomicUsize,
    clients: Vec<std::thread::ScopedJoinHandle<'scope, Answers>>,
}

/// Creates pods with this image in dry runs while `meanwhile` runs, and at least until so many were admitted.
pub(super) fn during(
    story: &Story,
    image: &str,
    at_least: usize,
    meanwhile: impl FnOnce(),
) -> Answers {
    let (over, admitted) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let load = Load::begin(scope, story, image, &over, &admitted);
        // Clients go on for ever otherwise, and the panic would not be reported.
        let ends = Ends(&over);
        // All clients have begun.
        load.reaches(CLIENTS);
        let before = admitted.load(Ordering::Relaxed);
        meanwhile();
        load.reaches(before + at_least);
        drop(ends);
        load.end()
    })
}

/// Ends the clients when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'scope> Load<'scope> {
    fn begin<'env>(
        scope: &'scope Scope<'scope, 'env>,
        story: &'scope Story,
        image: &str,
        over: &'scope AtomicBool,
        admitted: &'scope AtomicUsize,
    ) -> Self {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "load"},
            "spec": {"containers": [{"name": "app", "image": image}]},
        });
        let list = json!({"apiVersion": "v1", "kind": "List", "items": vec![pod; BATCH]});
        let list = list.to_string();
        let start = || {
            let list = list.clone();
            scope.spawn(move || client(story, &list, over, admitted))
        };
        Self {
            over,
            admitted,
            clients: std::iter::repeat_with(start).take(CLIENTS).collect(),
        }
    }

    /// Waits until so many pods were admitted, for as long as all clients run.
    fn reaches(&self, count: usize) {
        // A client that panicked is reported when all have ended.
        let runs = || self.clients.iter().all(|client| !client.is_finished());
        while self.admitted.load(Ordering::Relaxed) < count && runs() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn end(self) -> Answers {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Answers::default();
        for client in self.clients {
            let answers = client.join().unwrap();
            all.admitted += answers.admitted;
            all.failed.extend(answers.failed);
        }
        all
    }
}

fn client(story: &Story, list: &str, over: &AtomicBool, admitted: &AtomicUsize) -> Answers {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(list.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let mut all = Answers::default();
    while !over.load(Ordering::Relaxed) {
        let create = ["create", "--dry-run=server", "--validate=false", "-f", path];
        let output = try_kubectl(story, &create);
        let answers = read(&output);
        admitted.fetch_add(answers.admitted, Ordering::Relaxed);
        all.admitted += answers.admitted;
        all.failed.extend(answers.failed);
    }
    all
}

/// What kubectl printed about a batch.
fn read(output: &Output) -> Answers {
    let is_admitted = |line: &&str| *line == "pod/load created (server dry run)";
    let admitted = output.stdout.lines().filter(is_admitted).count();
    let is_failed = |line: &&str| line.starts_with("Error from server");
    let failed: Vec<_> = output.stderr.lines().filter(is_failed).collect();
    // A busy machine refuses a connection, before anything is asked for.
    let unasked = admitted + failed.len() == 0 && output.stderr.contains("Unable to connect");
    assert!(
        unasked || admitted + failed.len() == BATCH,
        "{}{}",
        output.stdout,
        output.stderr
    );
    Answers {
        admitted,
        failed: failed.into_iter().map(str::to_owned).collect(),
    }
}
