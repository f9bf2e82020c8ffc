//! What ran before the sensor did, and what of that a search tells.
//!
//! Here: processes in a root directory of their own, as a container's are. Not here: parents that an exec tells (`runtime`).
//! Invariant: what a test starts ends with it.

use crate::node::Node;
use crate::pod::{Folder, Pod, events, load, write_program};
use crate::threads::Threads;
use bailiff_sensor::{Event, Found, Records, Room, SearchEnd};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::json;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A root directory with `BusyBox`, where every user can write.
fn root(test: &str) -> Folder {
    let root = Folder::new(test);
    let programs = root.below("bin");
    let busybox = std::fs::read("/bin/busybox").unwrap();
    write_program(&programs.join("busybox"), &busybox);
    for applet in ["sh", "ash", "true"] {
        symlink("busybox", programs.join(applet)).unwrap();
    }
    // A shell reads it for what it starts in the background.
    std::fs::write(root.below("dev").join("null"), "").unwrap();
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&root.0, all).unwrap();
    let made = Command::new("mkfifo").arg(root.0.join("end")).status();
    assert!(made.unwrap().success());
    // Others than root can open it, too.
    let all = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(root.0.join("end"), all).unwrap();
    root
}

/// A process and what it started, killed at the end: they have a process group of their own.
struct Started(Child);

impl Started {
    /// Starts a command in the pod.
    fn new(pod: &Pod, command: &[&str]) -> Self {
        let line = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", pod.leaf.display());
        let child = Command::new("setsid")
            .args(["sh", "-c", &line, "sh"])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.0.id().cast_signed());
        // They may have ended.
        killpg(group, Signal::SIGKILL).ok();
        kill(group, Signal::SIGKILL).ok();
        drop(self.0.wait());
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ran(root: &Folder, mark: &str) {
    let path = root.0.join(mark);
    wait_until(mark, || path.exists());
}

/// Searches until nothing is left; what was found in the pod, and where runs ended.
fn search(records: &mut Records, pod: &Pod) -> (Vec<Found>, Vec<SearchEnd>) {
    search_in(records, |cgroup| pod.has_cgroup(cgroup))
}

fn search_in(
    records: &mut Records,
    is_mine: impl Fn(&str) -> bool,
) -> (Vec<Found>, Vec<SearchEnd>) {
    let (mut found, mut ends) = (Vec::new(), Vec::new());
    loop {
        let search = records.find_running().unwrap();
        ends.push(search.end);
        found.extend(events(records).into_iter().filter_map(|event| match event {
            Event::Found(found) if is_mine(&found.cgroup) => Some(*found),
            Event::Found(_) | Event::Exec(_) | Event::Exit(_) => None,
        }));
        match search.end {
            SearchEnd::Complete => return (found, ends),
            SearchEnd::More | SearchEnd::RingFull => {}
            SearchEnd::NoRoom | SearchEnd::Cut | SearchEnd::NoFirstProcess => panic!("{search:?}"),
        }
        assert!(ends.len() < 1000, "no end: {found:#?}");
    }
}

const CHROOT: [&str; 2] = ["chroot", "--userspec=12345:23456"];

#[tokio::test]
async fn what_runs_already_is_found_with_user_and_parent() {
    let (pod, root) = (Pod::new("running"), root("running"));
    let line = "/bin/sh -c ': > /child; read x < /end; :' & : > /parent; wait";
    let [chroot, user] = CHROOT;
    let started = Started::new(&pod, &[chroot, user, root.path(), "/bin/ash", "-c", line]);
    ran(&root, "child");
    ran(&root, "parent");
    let mut records = load();
    let (found, _) = search(&mut records, &pod);
    let [parent, child] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(parent.process.pid, started.id());
    assert_eq!(child.parent, parent.process);
    assert_eq!((&*parent.name, &*child.name), ("ash", "sh"));
    let busybox = format!("{}/bin/busybox", root.path());
    for process in [parent, child] {
        assert_eq!(process.executable, busybox);
        assert_eq!((process.uid, process.gid), (12345, 23456));
        assert_eq!(process.capabilities, 0);
        assert!(process.process.start < records.attached_since());
        assert!(process.time >= records.attached_since());
    }
    let (again, ends) = search(&mut records, &pod);
    assert_eq!((again, ends), (vec![], vec![SearchEnd::Complete]));
}

#[tokio::test]
async fn what_was_told_before_is_not_found_and_neither_is_a_runtime() {
    let (pod, root) = (Pod::new("told"), root("told"));
    // In the cgroup of the pod with the root directory of the machine, as a runtime beside it.
    let line = format!(": > {}/runtime; read x < {}/end", root.path(), root.path());
    let _runtime = Started::new(&pod, &["sh", "-c", &line]);
    ran(&root, "runtime");
    let mut records = load();
    let line = ": > /told; read x < /end; :";
    let told = Started::new(&pod, &["chroot", root.path(), "/bin/sh", "-c", line]);
    ran(&root, "told");
    let (found, _) = search(&mut records, &pod);
    assert_eq!(found, []);
    // Told of was one that a sensor which starts now finds.
    let mut records = load();
    let (found, _) = search(&mut records, &pod);
    let [found] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(found.process.pid, told.id());
    assert_ne!(found.capabilities, 0, "root's");
}

#[tokio::test]
async fn a_process_whose_first_thread_ended_is_found() {
    let (pod, root) = (Pod::new("late-thread"), root("late-thread"));
    let threads = Threads::compiled("late-thread");
    let program = root.0.join("bin/threads");
    write_program(&program, &std::fs::read(&threads.0).unwrap());
    // It looks there for its first thread.
    root.below("proc");
    let command = ["unshare", "--mount", "sh", "-c"];
    let line = format!(
        "mount -t proc proc {0}/proc && exec chroot {0} /bin/threads stay /bin/true",
        root.path()
    );
    let [unshare, mount, sh, option] = command;
    let started = Started::new(&pod, &[unshare, mount, sh, option, &line]);
    let state = format!("/proc/{0}/task/{0}/stat", started.id());
    let ended = || {
        let stat = std::fs::read_to_string(&state).unwrap_or_default();
        stat.contains("(threads) Z")
    };
    wait_until("the first thread ends", ended);
    let mut records = load();
    let (found, _) = search(&mut records, &pod);
    let [found] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(found.process.pid, started.id());
    assert_eq!(Path::new(&found.executable).file_name().unwrap(), "threads");
}

#[tokio::test]
async fn a_search_goes_on_where_a_run_ended() {
    let (pod, root) = (Pod::new("room"), root("room"));
    // More than one run tells of.
    let line =
        "i=0; while [ $i -lt 300 ]; do (read x < /end; :) & i=$((i+1)); done; : > /all; wait";
    let _started = Started::new(&pod, &["chroot", root.path(), "/bin/sh", "-c", line]);
    ran(&root, "all");
    // Enough for all of them, and two pages, which some records fill.
    for (ring, end) in [(1 << 20, SearchEnd::More), (8192, SearchEnd::RingFull)] {
        let mut records = Records::load(ring).unwrap();
        let (found, ends) = search(&mut records, &pod);
        let mut processes: Vec<_> = found.iter().map(|found| found.process).collect();
        processes.sort_unstable();
        processes.dedup();
        assert_eq!((found.len(), processes.len()), (301, 301), "{ends:?}");
        assert!(ends.contains(&end), "{ends:?}");
    }
}

#[tokio::test]
async fn a_search_that_cannot_remember_what_it_finds_says_so() {
    let (pod, root) = (Pod::new("full"), root("full"));
    let line = "i=0; while [ $i -lt 40 ]; do (read x < /end; :) & i=$((i+1)); done; : > /all; wait";
    let _started = Started::new(&pod, &["chroot", root.path(), "/bin/sh", "-c", line]);
    ran(&root, "all");
    let mut records = Records::load_with(Room {
        ring_buffer_bytes: 1 << 20,
        processes: 20,
    })
    .unwrap();
    // What other tests run meanwhile can take more runs.
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let end = records.find_running().unwrap().end;
        drop(events(&mut records));
        if end == SearchEnd::NoRoom {
            break;
        }
        assert!([SearchEnd::More, SearchEnd::RingFull].contains(&end));
        assert!(Instant::now() < deadline, "no end");
    }
}

/// A runtime's own process that waits in the container to execute what the container runs.
fn a_container_that_waits_is_not_found(runtime: &'static str) {
    let mut node = Node::new(runtime, "created");
    let line = ": > /runs; read x < /end; :";
    let end = node.folder.join("rootfs/end");
    let made = Command::new("mkfifo").arg(&end).status();
    assert!(made.unwrap().success());
    let container = node.launch(&["create"], "a", line, &json!([]));
    let mut records = load();
    let top = node.top.clone();
    let found = |records: &mut Records| search_in(records, |cgroup| cgroup.contains(&top)).0;
    assert_eq!(found(&mut records), []);
    let failed = node.call(&["start", &container]);
    assert!(failed.is_empty(), "{failed}");
    let runs = node.folder.join("rootfs/runs");
    wait_until("the container runs", || runs.exists());
    assert_eq!(found(&mut records), [], "its exec was told");
}

#[test]
fn a_container_of_runc_that_waits_is_not_found() {
    a_container_that_waits_is_not_found("runc");
}

#[test]
fn a_container_of_crun_that_waits_is_not_found() {
    a_container_that_waits_is_not_found("crun");
}
