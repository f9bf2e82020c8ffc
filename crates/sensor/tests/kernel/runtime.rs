//! Containers as the runtimes start them, and what runs in them before the sensor does.
//!
//! Here: what is told of them, their namespaces, and what leaves its pod. Not here: starting them (`node`), what their
//! first process proves (`container`).
//! Invariant: a test sees nothing of what others do at the same time.

use crate::node::{Node, cgroup2};
use bailiff_sensor::{Event, Exec, Found, ProcessKey, Records, Root};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

impl Node {
    /// Whether it is none of another test. What left has no cgroup that says so.
    fn is_mine(&self, exec: &Exec) -> bool {
        self.leaves && exec.left_pod_cgroup || exec.cgroup.contains(&self.top)
    }
}

/// What was told of the processes of a node.
#[derive(Default, Debug)]
pub(crate) struct Told {
    pub(crate) execs: Vec<Exec>,
    pub(crate) found: Vec<Found>,
}

impl Told {
    /// Reads until it is so.
    pub(crate) fn until(
        &mut self,
        records: &mut Records,
        node: &Node,
        is_so: impl Fn(&Self) -> bool,
    ) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !is_so(self) {
            assert!(
                Instant::now() < deadline,
                "nothing more is told; {:?}: {self:#?}",
                records.counters().unwrap()
            );
            records.sleep(Duration::from_millis(5)).unwrap();
            while let Some(event) = records.try_next() {
                self.take(event.unwrap(), node);
            }
        }
    }

    fn take(&mut self, event: Event, node: &Node) {
        match event {
            Event::Exec(exec) if node.is_mine(&exec) => self.execs.push(*exec),
            Event::Found(found) if found.cgroup.contains(&node.top) => self.found.push(*found),
            Event::Exec(_) | Event::Found(_) | Event::Exit(_) => {}
        }
    }

    pub(crate) fn exec(&self, program: &str) -> Option<&Exec> {
        let path = format!("/bin/{program}");
        let mut execs = self.execs.iter();
        execs.find(|exec| exec.filename == path && exec.root == Root::Container)
    }

    fn found(&self, process: ProcessKey) -> Vec<&Found> {
        let found = self.found.iter();
        found.filter(|found| found.process == process).collect()
    }
}

/// Processes of a container that are older than the sensor: its first process, what was brought in
/// from outside, and what of that the first process adopted.
fn old_processes_are_found(runtime: &'static str) {
    let mut node = Node::new(runtime, "old");
    let forever =
        |program: &str| format!("while :; do /bin/{program} /hostname; /bin/sleep 0.1; done");
    let container = node.start("a", &forever("cat"), &json!([]));
    node.exec(&container, &forever("echo"));
    node.exec(&container, &format!("({}) & :", forever("wc")));
    // The first process of a PID namespace, which is not the container's.
    let nested = format!("exec /bin/unshare -p -f /bin/sh -c '{}'", forever("head"));
    node.exec(&container, &nested);
    // All tests that run at the same time are told of.
    let mut records = Records::load(1 << 23).unwrap();
    let mut told = Told::default();
    let all = |told: &Told| {
        let programs = ["cat", "echo", "wc", "head"];
        programs.iter().all(|program| told.exec(program).is_some())
    };
    told.until(&mut records, &node, all);
    for (program, init_session) in [
        ("cat", true),
        ("echo", false),
        ("wc", false),
        ("head", false),
    ] {
        let exec = told.exec(program).unwrap();
        let found = told.found(exec.parent);
        let [parent] = found.as_slice() else {
            panic!("{program}: the parent is told once, and not {found:#?}")
        };
        assert_eq!(parent.executable.rsplit('/').next(), Some("busybox"));
        assert_eq!(parent.name, "sh", "{program}");
        assert_eq!(parent.init_session, init_session, "{program}");
        assert_eq!(parent.cgroup, exec.cgroup);
        assert_eq!(parent.mount_namespace, exec.mount_namespace);
        assert!(parent.process.start < records.attached_since(), "{program}");
        assert!(!exec.parent_outside_cgroup, "{program}");
    }
    // Adopted: its parent is the container's first process, and yet it has another session.
    let parent = |program| told.found(told.exec(program).unwrap().parent)[0];
    assert_eq!(parent("wc").parent, parent("cat").process);
    // One that comes later is known by itself, and none of the old ones is told again.
    let before = told.found.len();
    node.exec(&container, "exec /bin/true");
    let ran = |told: &Told| told.exec("true").is_some();
    told.until(&mut records, &node, ran);
    let shell = told.execs.iter().find(|exec| exec.args.len() == 3).unwrap();
    assert!(shell.parent_outside_cgroup && shell.own_pid_namespace && !shell.init_session);
    assert!(shell.process.start >= records.attached_since());
    assert_eq!(told.found.len(), before);
}

#[test]
fn processes_of_runc_that_are_older_than_the_sensor_are_found() {
    old_processes_are_found("runc");
}

#[test]
fn processes_of_crun_that_are_older_than_the_sensor_are_found() {
    old_processes_are_found("crun");
}

/// A record that found no room does not cut the line of descent: who lives between is found by what it starts.
#[test]
fn descent_survives_the_loss_of_a_record() {
    let mut node = Node::new("runc", "lost");
    let mut records = Records::load(1 << 16).unwrap();
    let line = "while ! [ -e /go ]; do :; done; i=0; while [ $i -lt 250 ]; do /bin/cat /hostname; i=$((i+1)); done;
        /bin/sh -c ': > /waits; while ! [ -e /on ]; do :; done; /bin/wc /hostname; :'; :";
    // The ring is read meanwhile: other tests would fill it.
    let mut events = Vec::new();
    std::thread::scope(|scope| {
        let started = scope.spawn(|| node.start("a", line, &json!([])));
        while !started.is_finished() {
            records.sleep(Duration::from_millis(5)).unwrap();
            events.extend(std::iter::from_fn(|| records.try_next()));
        }
    });
    let rootfs = node.folder.join("rootfs");
    let mut told = Told::default();
    for event in events {
        told.take(event.unwrap(), &node);
    }
    told.until(&mut records, &node, |told| told.exec("sh").is_some());
    std::fs::write(rootfs.join("go"), "").unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !rootfs.join("waits").exists() {
        assert!(Instant::now() < deadline, "the second shell does not run");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(records.counters().unwrap().execs_lost > 0);
    while records.try_next().is_some() {}
    std::fs::write(rootfs.join("on"), "").unwrap();
    told.until(&mut records, &node, |told| told.exec("wc").is_some());
    let wc = told.exec("wc").unwrap();
    let found = told.found(wc.parent);
    let [second] = found.as_slice() else {
        panic!("the second shell is told once, and not {found:#?}")
    };
    assert_eq!(second.parent, told.exec("sh").unwrap().process);
    assert!(
        second
            .forked
            .is_some_and(|forked| forked <= second.process.start)
    );
}

/// The first container of a pod makes the namespaces, the others get them.
fn namespaces_of_a_pod_are_told(runtime: &'static str) {
    let mut node = Node::new(runtime, "pod");
    // All tests that run at the same time are told of.
    let mut records = Records::load(1 << 23).unwrap();
    let own = json!([{"type": "network"}, {"type": "ipc"}, {"type": "uts"}]);
    let line = "/bin/true; /bin/sleep 1000";
    node.start("a", line, &own);
    let pid = std::fs::read_to_string(node.folder.join("a")).unwrap();
    let of = |kind: &str, file: &str| json!({"type": kind, "path": format!("/proc/{}/ns/{file}", pid.trim())});
    node.start(
        "b",
        line,
        &json!([of("network", "net"), of("ipc", "ipc"), of("uts", "uts")]),
    );
    // As with `hostNetwork`: the node's network and name.
    node.start("c", line, &json!([of("ipc", "ipc")]));
    let mut told = Told::default();
    let ended = |told: &Told, digit: &str| {
        let mut execs = told.execs.iter();
        execs.any(|exec| exec.filename == "/bin/true" && exec.cgroup.ends_with(&digit.repeat(64)))
    };
    let all = |told: &Told| ["a", "b", "c"].iter().all(|digit| ended(told, digit));
    told.until(&mut records, &node, all);
    let first = |digit: &str| {
        let mut execs = told.execs.iter();
        let id = digit.repeat(64);
        execs
            .find(|exec| exec.cgroup.ends_with(&id) && exec.filename == "/bin/sh")
            .unwrap_or_else(|| panic!("{digit}: {told:#?}"))
    };
    let (a, b, c) = (first("a"), first("b"), first("c"));
    for exec in [a, b, c] {
        assert!(exec.parent_outside_cgroup && exec.init_session, "{exec:#?}");
    }
    // Before Linux 6.18 only namespaces of the network have a number of their own.
    let [network, ipc, uts] = a.pod_namespaces;
    assert!(network != 0 && (ipc == 0) == (uts == 0), "{a:#?}");
    assert_eq!(a.pod_namespaces, b.pod_namespaces);
    assert_eq!(c.pod_namespaces, [0, ipc, 0], "the node's do not count");
    // What a container starts itself needs no number: its parent is known.
    let mut execs = told.execs.iter();
    let child = execs.find(|exec| exec.filename == "/bin/true").unwrap();
    assert_eq!(child.pod_namespaces, [0; 3]);
    assert!(!child.parent_outside_cgroup);
}

#[test]
fn containers_of_runc_are_told_with_the_namespaces_of_their_pod() {
    namespaces_of_a_pod_are_told("runc");
}

#[test]
fn containers_of_crun_are_told_with_the_namespaces_of_their_pod() {
    namespaces_of_a_pod_are_told("crun");
}

/// A cgroup of a pod of another kubelet, for as long as this lives.
struct Other(PathBuf);

impl Other {
    fn new(node: &Node) -> Self {
        let top = cgroup2().join(format!("{}-other", node.top));
        let leaf = top.join("kubepods/podother").join("f".repeat(64));
        std::fs::create_dir_all(&leaf).unwrap();
        Self(leaf)
    }

    /// Executes one program there.
    fn run(&self, program: &str) {
        let line = format!(
            "echo 0 > {}/cgroup.procs && exec {program} /dev/null",
            self.0.display()
        );
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let mut folder = self.0.as_path();
        for _ in 0..4 {
            let deadline = Instant::now() + Duration::from_secs(5);
            while std::fs::remove_dir(folder).is_err() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            folder = folder.parent().unwrap();
        }
    }
}

/// What pods of another kubelet execute is told no more, but what goes there from a pod is.
#[test]
fn a_process_that_goes_to_a_pod_of_another_kubelet_is_still_told() {
    let mut node = Node::new("runc", "went");
    let other = Other::new(&node);
    // All tests that run at the same time are told of.
    let mut records = Records::load(1 << 23).unwrap();
    let mut told = Told::default();
    let in_other = |told: &Told, program: &str| {
        let mut execs = told.execs.iter();
        let exec =
            execs.find(|exec| exec.cgroup.contains("-other/") && exec.filename.ends_with(program));
        exec.map(|exec| exec.cgroup_number)
    };
    other.run("cat");
    told.until(&mut records, &node, |told| in_other(told, "cat").is_some());
    records.ignore(in_other(&told, "cat").unwrap()).unwrap();
    other.run("head");
    let line = "while ! [ -e /go ]; do /bin/sleep 0.1; done; (/bin/wc /hostname); exec /bin/echo";
    node.start("a", line, &json!([]));
    told.until(&mut records, &node, |told| told.exec("sleep").is_some());
    let pid = std::fs::read_to_string(node.folder.join("a")).unwrap();
    std::fs::write(other.0.join("cgroup.procs"), pid.trim()).unwrap();
    std::fs::write(node.folder.join("rootfs/go"), "").unwrap();
    told.until(&mut records, &node, |told| told.exec("echo").is_some());
    for program in ["wc", "echo"] {
        let exec = told.exec(program).unwrap();
        assert!(
            exec.cgroup.contains("-other/") && !exec.left_pod_cgroup,
            "{exec:#?}"
        );
    }
    assert_eq!(in_other(&told, "head"), None);
    assert_eq!(records.counters().unwrap().execs_of_others, 1);
}

/// A process that has its pod's cgroup no more is told with what it executes, as are its children.
#[test]
fn a_process_that_leaves_the_cgroups_of_its_pod_is_still_told() {
    let mut node = Node::new("runc", "left");
    node.leaves = true;
    // All tests that run at the same time are told of.
    let mut records = Records::load(1 << 23).unwrap();
    let line = "while ! [ -e /go ]; do /bin/sleep 0.1; done; /bin/cat /hostname; (/bin/wc /hostname); exec /bin/echo";
    node.start("a", line, &json!([]));
    let mut told = Told::default();
    let waits = |told: &Told| told.exec("sleep").is_some();
    told.until(&mut records, &node, waits);
    let pid = std::fs::read_to_string(node.folder.join("a")).unwrap();
    // A user who can write there moves it; a process of a pod that can does the same.
    std::fs::write(cgroup2().join("cgroup.procs"), pid.trim()).unwrap();
    std::fs::write(node.folder.join("rootfs/go"), "").unwrap();
    let first = told.exec("sh").unwrap().process;
    let ended = |told: &Told| told.exec("echo").is_some();
    told.until(&mut records, &node, ended);
    let mut left = told.execs;
    left.retain(|exec| exec.left_pod_cgroup && exec.filename != "/bin/sleep");
    let names: Vec<_> = left.iter().map(|exec| exec.filename.as_str()).collect();
    assert_eq!(names, ["/bin/cat", "/bin/wc", "/bin/echo"]);
    for exec in &left {
        assert!(!exec.cgroup.contains("kubepods"), "{}", exec.cgroup);
        assert_eq!(exec.root, Root::Container);
    }
    assert_eq!(left[2].process, first);
    let deadline = Instant::now() + Duration::from_secs(20);
    while Path::new("/proc").join(pid.trim()).exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}
