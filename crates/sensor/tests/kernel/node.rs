//! Containers as runc and crun start them, without a kubelet.
//!
//! Here: a pod of containers, with a cgroup hierarchy of version 2 alone. Not here: any test, and what is told of
//! them.
//! Invariant: no container and no cgroup is left.

#![allow(
    dead_code,
    reason = "the tests of the crate include it, too, and each uses a part"
)]

use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What prints its name, when it is a program of its own and not a part of the shell.
const APPLETS: [&str; 13] = [
    "sh", "cat", "wc", "echo", "head", "sleep", "true", "unshare", "chroot", "cp", "mkdir",
    "mount", "touch",
];

/// Mounts the hierarchy of version 2 where runtimes look for it, unless it is there.
const UNIFIED_CGROUPS: &str =
    "{ [ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 none /sys/fs/cgroup; }";

/// Writes a program by another process: while this one had the file open, a child that another test
/// starts would inherit that for a moment, and the kernel executes no file that is open for writing.
pub(crate) fn write_program(path: &Path, contents: &[u8]) {
    let mut shell = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(contents).unwrap();
    assert!(shell.wait().unwrap().success());
}

/// A pod of containers that share nothing but what they are asked to.
pub(crate) struct Node {
    /// The program of the runtime.
    runtime: String,
    pub(crate) top: String,
    pub(crate) folder: PathBuf,
    containers: Vec<String>,
    /// Whether its processes leave the cgroups of their pod, which those of one test alone do.
    pub(crate) leaves: bool,
    /// Whether the root of each container is an overlay, with the folder below it.
    pub(crate) overlay: bool,
    /// The PID namespace of containers. None: the machine's.
    pub(crate) pid_namespace: Option<Value>,
    /// Programs that the runtime executes while it makes a container.
    pub(crate) hooks: Value,
    /// Where the monitors are that watch over the containers.
    pub(crate) monitors: Monitors,
    /// Those that run.
    watching: RefCell<Vec<Child>>,
    /// The first process of a node that is a container itself.
    first: Option<Child>,
}

/// Where the processes are that start the runtime and stay the parents of what it starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Monitors {
    /// There are none: the runtime leaves what it starts to others.
    None,
    /// In cgroups beside the containers', in their pod: CRI-O's with `monitor_cgroup = "pod"`.
    InPod,
    /// The same, and for an exec in the container's cgroup: CRI-O's with `monitor_exec_cgroup = "container"`, too.
    InContainer,
}

impl Node {
    pub(crate) fn new(runtime: &'static str, test: &str) -> Self {
        let top = format!("bailiff-test-{runtime}-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(&top);
        let programs = folder.join("rootfs/bin");
        std::fs::create_dir_all(&programs).unwrap();
        for directory in ["proc", "dev"] {
            std::fs::create_dir_all(folder.join("rootfs").join(directory)).unwrap();
        }
        std::fs::write(folder.join("rootfs/hostname"), "web\n").unwrap();
        let busybox = std::fs::read("/bin/busybox").unwrap();
        for name in ["busybox", "busybox-own"] {
            write_program(&programs.join(name), &busybox);
        }
        for applet in APPLETS {
            symlink("busybox", programs.join(applet)).unwrap();
        }
        Self {
            runtime: runtime.to_owned(),
            top,
            folder,
            containers: Vec::new(),
            leaves: false,
            overlay: false,
            pid_namespace: Some(json!({"type": "pid"})),
            hooks: json!({}),
            monitors: Monitors::None,
            watching: RefCell::default(),
            first: None,
        }
    }

    /// The same with the runc that `BAILIFF_NEWEST_RUNC` names, which `hack/tools.sh runc` builds.
    pub(crate) fn with_newest_runc(test: &str) -> Self {
        let program = std::env::var("BAILIFF_NEWEST_RUNC").expect(
            "BAILIFF_NEWEST_RUNC is not set: run `make unit`, or set it to runc in the folder that `hack/tools.sh runc` prints",
        );
        let mut node = Self::new("newest-runc", test);
        node.runtime = program;
        node
    }

    /// Gives the runtime a root directory and a PID namespace of its own, as nodes of kind and k3d have.
    pub(crate) fn with_root_of_its_own(mut self) -> Self {
        // The machine's root, with changes of its own on top.
        // It waits, so that processes that it adopts end.
        let line = r#"mount -t tmpfs t "$1/node" && cd "$1/node" && mkdir up work root &&
            mount -t overlay o -o lowerdir=/,upperdir=up,workdir=work root &&
            mkdir -p "root$1" root/.old && mount --bind "$1" "root$1" &&
            mount -t sysfs s root/sys && mount --rbind /dev root/dev &&
            cd root && pivot_root . .old && mount -t proc p /proc && umount -l /.old &&
            touch "$1/ready" || exit 1; sleep 1000 & wait"#;
        std::fs::create_dir_all(self.folder.join("node")).unwrap();
        let first = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                line,
                "sh",
            ])
            .arg(&self.folder)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.first = Some(first);
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self.folder.join("ready").exists() {
            assert!(Instant::now() < deadline, "the node does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }

    /// What enters the node, if it has a root of its own.
    fn entering(&self) -> Vec<String> {
        let Some(first) = &self.first else {
            return Vec::new();
        };
        let unshare = first.id();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let children = std::fs::read_to_string(children).unwrap();
        let target = children.trim();
        let words = ["nsenter", "--target", target, "--mount", "--pid", "--root"];
        words.map(str::to_owned).to_vec()
    }

    /// The runtime itself, which sees one hierarchy of version 2: crun takes no hybrid.
    pub(crate) fn call(&self, arguments: &[&str]) -> String {
        self.call_after("true", arguments)
    }

    /// The same after a shell line; it is in the folder.
    fn call_after(&self, before: &str, arguments: &[&str]) -> String {
        let folder = self.folder.display();
        let line = format!("{UNIFIED_CGROUPS} && cd {folder} && {before} && exec \"$@\"");
        // A file: the reader of a pipe waits for the container, too, which inherits it.
        let log = self.folder.join("log");
        let output = || Stdio::from(std::fs::File::create(&log).unwrap());
        let words = self.entering();
        let mut words = words.iter().map(String::as_str).chain(["unshare"]);
        let status = Command::new(words.next().unwrap())
            .args(words)
            .args(["--mount", "sh", "-c", &line, "sh", &self.runtime])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output())
            .status()
            .unwrap();
        if status.success() {
            return String::new();
        }
        format!("{status}: {}", std::fs::read_to_string(&log).unwrap())
    }

    /// Starts a monitor, which calls the runtime from a cgroup, and stays.
    fn monitor(&self, cgroup: &Path, before: &str, arguments: &[&str]) {
        std::fs::create_dir_all(cgroup).unwrap();
        let line = format!(
            "echo 0 > {}/cgroup.procs && {UNIFIED_CGROUPS} && cd {} && {before} && \"$@\"; exec sleep 1000",
            cgroup.display(),
            self.folder.display(),
        );
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let monitor = Command::new("unshare")
            .args(["--mount", "sh", "-c", &line, "sh", &self.runtime])
            // The runtime stays the parent, as the monitor does that is one for what its runtime leaves.
            .args(arguments.iter().filter(|word| **word != "--detach"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.watching.borrow_mut().push(monitor);
    }

    /// The ID of a container, by the digits that it is called after.
    pub(crate) fn id(digits: &str) -> String {
        digits.chars().cycle().take(64).collect()
    }

    /// Starts a container that runs a shell line, with these namespaces besides those of its own.
    pub(crate) fn start(&mut self, digits: &str, line: &str, namespaces: &Value) -> String {
        self.launch(&["run", "--detach"], digits, line, namespaces)
    }

    /// The same with other words for the runtime than those that start it.
    pub(crate) fn launch(
        &mut self,
        words: &[&str],
        digits: &str,
        line: &str,
        namespaces: &Value,
    ) -> String {
        let mut all = vec![json!({"type": "mount"})];
        all.extend(self.pid_namespace.clone());
        all.extend(namespaces.as_array().unwrap().iter().cloned());
        // As a privileged container: it can make namespaces.
        let privileges = ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"];
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
                "args": ["/bin/sh", "-c", line],
                "capabilities": {
                    "bounding": privileges, "permitted": privileges, "effective": privileges,
                },
            },
            "root": {"path": "rootfs"},
            "hooks": self.hooks,
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            ],
            "linux": {
                "cgroupsPath": format!("/{}/{}", self.top, self.path(digits)),
                "namespaces": all,
            },
        });
        std::fs::write(self.folder.join("config.json"), config.to_string()).unwrap();
        let name = format!("{}-{digits}", self.top);
        self.containers.push(name.clone());
        let mount = format!(
            "mkdir up-{digits} work-{digits} && mount -t overlay o -o lowerdir=rootfs,upperdir=up-{digits},workdir=work-{digits} rootfs"
        );
        let before = if self.overlay { mount.as_str() } else { "true" };
        let arguments = [words, &["--pid-file", digits, &name]].concat();
        if self.monitors == Monitors::None {
            let failed = self.call_after(before, &arguments);
            assert!(failed.is_empty(), "{failed}");
        } else {
            self.monitor(&self.beside(digits), before, &arguments);
            let deadline = Instant::now() + Duration::from_mins(1);
            while !std::fs::read(self.folder.join(digits)).is_ok_and(|number| !number.is_empty()) {
                let log = self.folder.join("log");
                assert!(
                    Instant::now() < deadline,
                    "{:?}",
                    std::fs::read_to_string(log)
                );
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        name
    }

    /// Runs a shell line in a container, as `kubectl exec` does.
    pub(crate) fn exec(&self, container: &str, line: &str) {
        let arguments = ["exec", "--detach", container, "/bin/sh", "-c", line];
        let digits = container.rsplit('-').next().unwrap();
        match self.monitors {
            Monitors::None => {
                let failed = self.call(&arguments);
                assert!(failed.is_empty(), "{line}: {failed}");
            }
            Monitors::InPod => self.monitor(&self.beside(digits), "true", &arguments),
            Monitors::InContainer => self.monitor(&self.cgroup(digits), "true", &arguments),
        }
    }

    /// Ends a container, and what is left of one that ended.
    pub(crate) fn delete(&mut self, container: &str) {
        let failed = self.call(&["delete", "--force", container]);
        assert!(failed.is_empty(), "{container}: {failed}");
        self.containers.retain(|known| known != container);
    }

    /// The number of a container's first process, outside of all PID namespaces.
    pub(crate) fn first_process(&self, digits: &str) -> String {
        let number = std::fs::read_to_string(self.folder.join(digits)).unwrap();
        number.trim().to_owned()
    }

    /// The cgroup of a container below those of this node. CRI-O names it after itself.
    fn path(&self, digits: &str) -> String {
        let named = if self.monitors == Monitors::None {
            ""
        } else {
            "crio-"
        };
        format!("kubepods/podtest/{named}{}", Self::id(digits))
    }

    /// The cgroup of a container, as a folder.
    pub(crate) fn cgroup(&self, digits: &str) -> PathBuf {
        cgroup2().join(&self.top).join(self.path(digits))
    }

    /// The cgroup of its monitor.
    fn beside(&self, digits: &str) -> PathBuf {
        let name = format!("crio-conmon-{}", Self::id(digits));
        self.cgroup(digits).with_file_name(name)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for container in &self.containers {
            self.call(&["delete", "--force", container]);
        }
        for mut monitor in self.watching.take() {
            drop(monitor.kill());
            drop(monitor.wait());
        }
        if let Some(first) = &mut self.first {
            // The kernel ends all processes of the PID namespace with its first one.
            drop(first.kill());
            drop(first.wait());
        }
        remove_cgroups(&cgroup2().join(&self.top));
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Removes a cgroup and those below it. Processes that were killed may be there for a moment.
fn remove_cgroups(folder: &Path) {
    for below in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if below.path().is_dir() {
            remove_cgroups(&below.path());
        }
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while folder.exists() && std::fs::remove_dir(folder).is_err() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn cgroup2() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let place = mounts.lines().find_map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        (words[2] == "cgroup2").then(|| words[1].to_owned())
    });
    Path::new(&place.expect("cgroup v2 is mounted")).to_owned()
}
