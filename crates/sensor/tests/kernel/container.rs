//! What is told of the container of a process: where files come from, and what its first process proves.
//!
//! Here: containers as runc and crun make them, some before the sensor, some on a node with a root of its own. Not here:
//! overlays without a runtime (`source`), verdicts.
//! Invariant: each test has containers and cgroups of its own.

use crate::node::Node;
use crate::runtime::Told;
use bailiff_sensor::{Exec, Membership, Records, Root};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A program of a container in these digits; the last one, if there are several.
fn of<'a>(told: &'a Told, digits: &str, path: &str) -> Option<&'a Exec> {
    let id = Node::id(digits);
    let mut execs = told.execs.iter().rev();
    execs.find(|exec| {
        exec.filename == path && exec.cgroup.contains(&id) && exec.root == Root::Container
    })
}

/// The first program of what joined a container, by its argument.
fn joined<'a>(told: &'a Told, digits: &str, line: &str) -> &'a Exec {
    let id = Node::id(digits);
    let mut execs = told.execs.iter();
    let found = execs.find(|exec| {
        exec.cgroup.contains(&id)
            && exec
                .args
                .iter()
                .last()
                .is_some_and(|arg| arg == line.as_bytes())
    });
    found.unwrap_or_else(|| panic!("{line}: {told:#?}"))
}

const RUNTIMES: [&str; 2] = ["runc", "crun"];

const FOREVER: &str = "while :; do /bin/sleep 0.1; done";

/// The same by an executable that is in no mount of the process's namespace.
fn foreign() -> String {
    format!("exec 9< /bin && exec /bin/unshare -m /proc/self/fd/9/busybox sh -c '{FOREVER}'")
}

/// What a container does to its own files, and to what it mounts.
const CHANGES: &str = "/bin/cat /hostname; /bin/cp /bin/busybox /busybox-new; /busybox-new true;
    /bin/touch /bin/busybox-own; /bin/busybox-own true;
    /bin/mkdir -p /v/lower /v/image /v/made; /bin/cp /bin/busybox /v/lower/busybox-evil;
    /bin/mount -o bind /bin /v/image; /v/image/cat /hostname;
    /bin/mount -t overlay o -o lowerdir=/v/lower:/v/image /v/made; /bin/chroot /v/made /busybox-evil true;
    while :; do /bin/sleep 0.1; done";

/// Where files come from is told by what the runtime mounted; origins are told by the container's first process, also
/// where it is in a cgroup of its own.
#[test]
fn a_container_is_what_the_runtime_made() {
    for runtime in RUNTIMES {
        let mut node = Node::new(runtime, "made");
        node.overlay = true;
        let old = node.start("b", &foreign(), &json!([]));
        // All tests that run at the same time are told of.
        let mut records = Records::load(1 << 23).unwrap();
        is_what_the_runtime_made(node, &old, &mut records);
    }
}

fn is_what_the_runtime_made(mut node: Node, old: &str, records: &mut Records) {
    let mut told = Told::default();
    let container = node.start("a", CHANGES, &json!([]));
    told.until(records, &node, |told| {
        ["a", "b"].map(|digits| of(told, digits, "/bin/sleep").is_some()) == [true; 2]
    });
    let sources = [
        ("/bin/cat", "Image"),
        ("/busybox-new", "WritableLayer"),
        ("/bin/busybox-own", "ImageModified"),
        ("/v/image/cat", "Image"),
        // In an overlay that the container mounted and made its root.
        ("/busybox-evil", "Volume"),
    ];
    for (path, want) in sources {
        let exec = of(&told, "a", path).unwrap_or_else(|| panic!("{path}: {told:#?}"));
        assert_eq!(exec.source.as_str(), want, "{path}");
        assert_eq!(exec.membership, Membership::Proven, "{path}");
    }
    let first = told.exec("sh").unwrap();
    assert!(first.parent_outside_cgroup && first.init_session && !first.joined_container);
    // The start of this one was not seen.
    let older = of(&told, "b", "/bin/sleep").unwrap();
    assert_eq!(
        (older.source.as_str(), older.membership),
        ("Unknown", Membership::Unknown)
    );
    let parent = told
        .found
        .iter()
        .find(|found| found.process == older.parent && found.cgroup.contains(&Node::id("b")));
    let executable = parent.map(|found| found.executable.as_str());
    assert_eq!(
        (older.executable.as_str(), executable),
        ("/bin/busybox", Some("…/bin/busybox"))
    );
    // The first processes go to cgroups of their own, as those do that run containers themselves.
    let number = |told: &Told, digits: &str| {
        let sleep = of(told, digits, "/bin/sleep");
        sleep.map(|exec| exec.cgroup_number)
    };
    let before = ["a", "b"].map(|digits| number(&told, digits));
    for digits in ["a", "b"] {
        let below = node.cgroup(digits).join("init");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(below.join("cgroup.procs"), node.first_process(digits)).unwrap();
    }
    told.until(records, &node, |told| {
        let now = ["a", "b"].map(|digits| number(told, digits));
        now.iter().zip(&before).all(|(now, before)| now != before)
    });
    let below = of(&told, "a", "/bin/sleep").unwrap();
    assert_eq!(
        (below.source.as_str(), below.membership),
        ("Image", Membership::Proven)
    );
    for (name, digits, seen) in [(container.as_str(), "a", true), (old, "b", false)] {
        let line = format!("/bin/wc /hostname; : {digits}");
        node.exec(name, &line);
        told.until(records, &node, |told| of(told, digits, "/bin/wc").is_some());
        let exec = joined(&told, digits, &line);
        assert!(
            exec.parent_outside_cgroup && exec.own_pid_namespace,
            "{exec:#?}"
        );
        assert!(
            !exec.init_session && exec.joined_container == seen,
            "{exec:#?}"
        );
    }
    let exec = of(&told, "a", "/bin/wc").unwrap();
    assert_eq!(exec.source.as_str(), "Image");
}

/// With the PID namespace of another container, and with the machine's, sessions tell what joined a container.
#[test]
fn sessions_tell_what_joined_a_container() {
    let mut records = Records::load(1 << 23).unwrap();
    for runtime in RUNTIMES {
        sessions_tell_what_joined(runtime, &mut records);
    }
}

fn sessions_tell_what_joined(runtime: &'static str, records: &mut Records) {
    let mut node = Node::new(runtime, "session");
    let mut told = Told::default();
    node.start("a", FOREVER, &json!([]));
    let shared = format!("/proc/{}/ns/pid", node.first_process("a"));
    for (digits, namespace) in [
        ("b", Some(json!({"type": "pid", "path": shared}))),
        ("c", None::<Value>),
    ] {
        node.pid_namespace = namespace;
        let container = node.start(digits, FOREVER, &json!([]));
        told.until(records, &node, |told| {
            of(told, digits, "/bin/sleep").is_some()
        });
        let first = of(&told, digits, "/bin/sh").unwrap();
        assert!(first.init_session && !first.joined_container, "{first:#?}");
        assert!(!first.own_pid_namespace, "{first:#?}");
        let line = format!("/bin/cat /hostname; : {digits}");
        node.exec(&container, &line);
        told.until(records, &node, |told| {
            of(told, digits, "/bin/cat").is_some()
        });
        let exec = joined(&told, digits, &line);
        assert!(!exec.init_session && exec.joined_container, "{exec:#?}");
    }
}

/// Where the node is a container itself, what the runtime executes on the node's root is none of a container's.
#[test]
fn on_a_node_in_a_container_the_runtime_is_told_apart() {
    let mut records = Records::load(1 << 23).unwrap();
    for runtime in RUNTIMES {
        the_runtime_is_told_apart(runtime, &mut records);
    }
}

fn the_runtime_is_told_apart(runtime: &'static str, records: &mut Records) {
    let mut node = Node::new(runtime, "node").with_root_of_its_own();
    // As crun asks of a hook, it reads its input.
    let args = ["busybox", "sh", "-c", "cat > /dev/null", "a hook"];
    let hook = json!([{"path": "/bin/busybox", "args": args}]);
    node.hooks = json!({ "createContainer": hook });
    let mut told = Told::default();
    let container = node.start("a", FOREVER, &json!([]));
    told.until(records, &node, |told| of(told, "a", "/bin/sleep").is_some());
    let hooks: Vec<_> = told
        .execs
        .iter()
        .filter(|exec| exec.args.iter().last().is_some_and(|arg| arg == b"a hook"))
        .map(|exec| exec.root)
        .collect();
    assert_eq!(hooks, [Root::Machine]);
    let first = of(&told, "a", "/bin/sh").unwrap();
    assert!(
        first.parent_outside_cgroup && first.init_session,
        "{first:#?}"
    );
    assert_eq!(first.membership, Membership::Proven);
    let line = "/bin/cat /hostname; : joined";
    node.exec(&container, line);
    told.until(records, &node, |told| of(told, "a", "/bin/cat").is_some());
    assert!(joined(&told, "a", line).joined_container);
}

/// A cgroup of a container, which nothing but this test uses.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(node: &Node, digits: &str) -> Self {
        let path = node.cgroup(digits);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn enter(&self, process: &str) {
        std::fs::write(self.0.join("cgroup.procs"), process).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.0));
    }
}

/// A process goes to the cgroup of a container that is being made, and to that of one that runs.
#[test]
fn a_process_in_the_cgroup_of_another_container_is_not_proven_to_be_of_it() {
    let mut node = Node::new("runc", "claims");
    node.start("a", FOREVER, &json!([]));
    let mut records = Records::load(1 << 23).unwrap();
    let mut told = Told::default();
    node.start("b", FOREVER, &json!([]));
    let made = Cgroup::new(&node, "c");
    let running = node.cgroup("b");
    // The one is older than the sensor; the other is not, and is known as a process of its own container.
    let (old, known) = (node.first_process("a"), node.first_process("b"));
    for (process, from, to, want) in [
        (&old, "a", "c", Membership::NotStarted),
        (&known, "b", "c", Membership::NotStarted),
        (&old, "a", "b", Membership::Unproven),
    ] {
        told.execs.clear();
        if to == "c" {
            made.enter(process);
        } else {
            std::fs::write(running.join("cgroup.procs"), process).unwrap();
        }
        let is_there =
            |exec: &&Exec| exec.cgroup.contains(&Node::id(to)) && exec.membership == want;
        // What it starts, and what that was not forked before it was known itself.
        told.until(&mut records, &node, |told| {
            told.execs.iter().filter(is_there).count() >= 3
        });
        std::fs::write(node.cgroup(from).join("cgroup.procs"), process).unwrap();
        let proven = |exec: &&Exec| {
            exec.cgroup.contains(&Node::id("c")) && exec.membership == Membership::Proven
        };
        assert_eq!(told.execs.iter().find(proven), None);
    }
    let of_b = |told: &Told| of(told, "b", "/bin/sleep").map(|exec| exec.membership);
    told.until(&mut records, &node, |told| {
        of_b(told) == Some(Membership::Proven)
    });
}

/// More containers than are remembered at a time, one after the other.
#[test]
fn what_is_known_of_a_container_ends_with_its_cgroup() {
    let mut node = Node::new("runc", "many");
    let mut records = Records::load(1 << 23).unwrap();
    for number in 0..4200 {
        drop(Cgroup::new(&node, &format!("{number:04x}")));
    }
    node.start("a", FOREVER, &json!([]));
    let mut told = Told::default();
    told.until(&mut records, &node, |told| {
        of(told, "a", "/bin/sleep").is_some()
    });
    let sleep = of(&told, "a", "/bin/sleep").unwrap();
    assert_eq!(sleep.membership, Membership::Proven);
}
