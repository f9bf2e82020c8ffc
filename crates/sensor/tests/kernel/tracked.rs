//! What is remembered of processes, however many there are.
//!
//! Here: a pod that takes all the room, and what another one does then. Not here: what the parents of a process tell
//! (`runtime`), descent without loss (`descent`).
//! Invariant: a process that is remembered stays remembered; what there is no room for is counted and never the runtime's.

use crate::compiled::compile;
use crate::pod::{Folder, Pod, events, execs, load};
use bailiff_sensor::{Descent, Event, Exec, ProcessKey, Records, Room, Root};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The tests here fill what all pods have together, one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Most processes that these tests have remembered, where it is no pod's share that they fill.
const ROOM: u32 = 256;
/// What the programs give a pod.
const SHARE: u64 = 4096;

fn load_small() -> Records {
    Records::load_with(Room {
        ring_buffer_bytes: 1 << 20,
        processes: ROOM,
    })
    .unwrap()
}

/// A process that does one thing after the other, and ends with this.
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Runs a shell line in a pod; what that answers tells when it is done with what it was told.
    fn new(pod: &Pod, line: &str) -> Self {
        let line = format!("echo $$ > {}/cgroup.procs; {line}", pod.leaf.display());
        let mut child = Command::new("sh")
            .args(["-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    /// A shell.
    fn shell(pod: &Pod) -> Self {
        let mut shell = Self::new(pod, "exec bash");
        shell.run(":");
        shell
    }

    /// One that went from a root of its own, as a container has, to the machine's, and has forked so many children, which
    /// execute nothing.
    fn forks(pod: &Pod, forks: &Forks, number: u32) -> Self {
        let line = format!("exec chroot {} /forks {number} 3</", forks.0.path());
        let mut worker = Self::new(pod, &line);
        worker.wait();
        worker
    }

    fn wait(&mut self) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }

    /// Gives it a line, and waits until that is done.
    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.wait();
    }

    /// Has a shell do something.
    fn run(&mut self, line: &str) {
        self.say(&format!("{line}\necho done"));
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.child.wait());
    }
}

/// A folder with `forks.c` as a static program.
struct Forks(Folder);

impl Forks {
    fn compiled(test: &str) -> Self {
        let folder = Folder::new(&format!("forks-{test}"));
        compile("forks", &folder.0.join("forks"));
        Self(folder)
    }
}

/// Whether an exec is told as one of a process that is remembered as this pod's.
fn is_of(exec: &Exec, pod: &Pod) -> bool {
    let top = pod.leaf.ancestors().nth(4).unwrap();
    let path = pod.leaf.strip_prefix(top).unwrap().to_str().unwrap();
    match &exec.descent {
        Descent::Pod { home: Some(home) } => home.ends_with(path),
        Descent::Pod { home: None } | Descent::NoPod | Descent::Unknown => false,
    }
}

/// The programs that a process or a child of it executed since the last time, with what is remembered of each.
fn told(records: &mut Records, pid: u32) -> Vec<Exec> {
    let mine = |event| match event {
        Event::Exec(exec) if exec.process.pid == pid || exec.parent.pid == pid => Some(*exec),
        Event::Exec(_) | Event::Exit(_) | Event::Found(_) => None,
    };
    events(records).into_iter().filter_map(mine).collect()
}

fn only(execs: &[Exec]) -> &Exec {
    match execs {
        [exec] => exec,
        other => panic!("one exec: {other:#?}"),
    }
}

#[test]
fn no_other_pod_pushes_out_what_is_remembered_of_a_process() {
    let _alone = alone();
    let (pod, greedy) = (Pod::new("remembered"), Pod::new("greedy"));
    let other = Pod::new("other-kubelet");
    let forks = Forks::compiled("remembered");
    let mut records = load_small();
    other.run("exec cat /dev/null", &[]);
    let number = only(&execs(&mut records, &other)).cgroup_number;
    records.ignore(number).unwrap();
    let mut worker = Worker::forks(&pod, &forks, 0);
    let _greedy = Worker::forks(&greedy, &forks, 2 * ROOM);
    let counters = records.counters().unwrap();
    assert!(counters.not_tracked >= u64::from(ROOM), "{counters:?}");
    told(&mut records, worker.pid());
    // It goes to a cgroup that names a pod of which nothing is told, then to one that names none, and back.
    let root = pod.leaf.ancestors().nth(4).unwrap();
    for (place, left) in [(&*other.leaf, false), (root, true), (&*pod.leaf, false)] {
        worker.say(&format!("enter {}", place.display()));
        // There is no room for the child: its parent tells.
        worker.say("child /bin/cat");
        let execs = told(&mut records, worker.pid());
        let exec = only(&execs);
        assert_eq!((exec.left_pod_cgroup, exec.root), (left, Root::Machine));
        assert!(is_of(exec, &pod), "{exec:#?}");
    }
    worker.say("exec /bin/echo");
    let execs = told(&mut records, worker.pid());
    assert!(is_of(only(&execs), &pod), "{execs:#?}");
}

#[test]
fn who_may_be_a_process_that_there_was_no_room_for_is_told_as_that() {
    let _alone = alone();
    let (pod, forks) = (Pod::new("no-room"), Forks::compiled("no-room"));
    let mut records = load_small();
    let runtime = |records: &mut Records, pod: &Pod| {
        pod.run("exec cat /dev/null", &[]);
        only(&execs(records, pod)).descent.clone()
    };
    let before = Pod::new("before");
    assert_eq!(runtime(&mut records, &before), Descent::NoPod);
    let mut worker = Worker::forks(&pod, &forks, 2 * ROOM);
    execs(&mut records, &pod);
    worker.say("child /bin/cat");
    let child = execs(&mut records, &pod);
    assert!(is_of(only(&child), &pod), "a parent tells: {child:#?}");
    worker.say("orphan /bin/cat");
    let orphan = execs(&mut records, &pod);
    assert_eq!(only(&orphan).descent, Descent::Unknown);
    // From now on nobody is certain.
    let after = Pod::new("after");
    assert_eq!(runtime(&mut records, &after), Descent::Unknown);
}

#[test]
fn a_pod_has_a_share_of_the_room_and_no_more() {
    let _alone = alone();
    let (pod, greedy) = (Pod::new("share"), Pod::new("greedy-share"));
    let forks = Forks::compiled("share");
    let mut records = load();
    let first = Worker::forks(&greedy, &forks, 4200);
    // Its parent is one of them.
    let not_tracked = records.counters().unwrap().not_tracked;
    assert_eq!(not_tracked, 4200 + 1 - SHARE);
    // Another pod has room: also who lost its parent is remembered.
    let mut worker = Worker::forks(&pod, &forks, 0);
    execs(&mut records, &pod);
    worker.say("orphan /bin/cat");
    let orphan = execs(&mut records, &pod);
    assert!(is_of(only(&orphan), &pod), "{orphan:#?}");
    assert_eq!(records.counters().unwrap().not_tracked, not_tracked);
    // What ends makes room.
    drop(first);
    let mut again = Worker::forks(&greedy, &forks, 100);
    execs(&mut records, &greedy);
    again.say("orphan /bin/cat");
    let orphan = execs(&mut records, &greedy);
    assert!(is_of(only(&orphan), &greedy), "{orphan:#?}");
    assert_eq!(records.counters().unwrap().not_tracked, not_tracked);
}

/// The place of an event in what was told, which it is once.
fn place(events: &[Event], is: impl Fn(&Event) -> bool) -> usize {
    let places: Vec<_> = (0..events.len()).filter(|at| is(&events[*at])).collect();
    match places.as_slice() {
        [place] => *place,
        other => panic!("{other:?} of {events:#?}"),
    }
}

#[test]
fn an_end_is_told_only_when_it_is_known_that_nothing_descends_from_it() {
    let _alone = alone();
    let (pod, greedy) = (Pod::new("counted"), Pod::new("many-executors"));
    let mut records = load_small();
    let mut shell = Worker::shell(&pod);
    // It executes nothing until it reads a line, and outlives the shell.
    let pipe = std::env::temp_dir().join(format!("bailiff-counted-{}", std::process::id()));
    let path = pipe.display();
    shell.run(&format!(
        "mkfifo {path}; (read line < {path}; exec cat /dev/null) & disown"
    ));
    let key: ProcessKey = {
        let told = told(&mut records, shell.pid());
        told.iter()
            .find(|exec| exec.process.pid == shell.pid())
            .unwrap()
            .process
    };
    // More programs than there is room for.
    let mut executors = Worker::shell(&greedy);
    executors.run(&format!(
        "for i in $(seq {}); do sleep 1000 & done",
        ROOM + ROOM / 4
    ));
    executors.run("kill $(jobs -p); wait");
    drop(shell);
    std::fs::write(&pipe, "\n").unwrap();
    let mut all = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    let ended = |all: &[Event]| all.contains(&Event::Exit(key));
    while !ended(&all) && Instant::now() < deadline {
        all.extend(events(&mut records));
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_file(&pipe).unwrap();
    let end = place(&all, |event| *event == Event::Exit(key));
    let exec = place(
        &all,
        |event| matches!(event, Event::Exec(exec) if exec.parent == key && exec.process != key && pod.has(exec) && exec.filename.ends_with("/cat")),
    );
    assert!(exec < end, "{all:#?}");
}
