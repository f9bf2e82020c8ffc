//! A cgroup that stands for a pod, and what happened in it.
//!
//! Here: making it, running programs in it, folders for them. Not here: any test.
//! Invariant: a test sees nothing of what others do at the same time, and leaves no cgroup.

pub(crate) use crate::node::write_program;
use bailiff_sensor::{Event, Exec, Records};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const ID: &str = "8a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f08a4e0c6e2b1f4f5fa7a0a1d5c3b2e1f0";

/// A cgroup named like a pod's container, for as long as this lives.
pub(crate) struct Pod {
    top: PathBuf,
    pub(crate) leaf: PathBuf,
}

impl Pod {
    pub(crate) fn new(test: &str) -> Self {
        Self::below(test, "kubepods/podtest")
    }

    /// The same, with these cgroups above the container's.
    pub(crate) fn below(test: &str, path: &str) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        // The hierarchy that the programs look at: pids on v1, else the one of v2.
        let place = |wanted: &dyn Fn(&[&str]) -> bool| {
            mounts
                .lines()
                .map(|line| line.split(' ').collect::<Vec<_>>())
                .find(|words| wanted(words))
                .map(|words| words[1].to_owned())
        };
        let root = place(&|words| {
            words[2] == "cgroup" && words[3].split(',').any(|option| option == "pids")
        })
        .or_else(|| place(&|words| words[2] == "cgroup2"))
        .expect("no cgroup hierarchy is mounted");
        let top = Path::new(&root).join(format!("bailiff-test-{test}-{}", std::process::id()));
        let leaf = top.join(path).join(ID);
        std::fs::create_dir_all(&leaf).unwrap();
        Self { top, leaf }
    }

    /// Whether a program was executed in it, and not in the pod of another test.
    pub(crate) fn has(&self, exec: &Exec) -> bool {
        self.has_cgroup(&exec.cgroup)
    }

    /// Whether a cgroup is one of it.
    pub(crate) fn has_cgroup(&self, cgroup: &str) -> bool {
        let top = self.top.file_name().unwrap().to_str().unwrap();
        cgroup.contains(top)
    }

    /// Runs a shell line in the pod; `"$@"` are the arguments.
    pub(crate) fn run(&self, line: &str, arguments: &[&OsStr]) -> std::process::Output {
        let line = format!("echo $$ > {}/cgroup.procs; {line}", self.leaf.display());
        Command::new("sh")
            .args(["-c", &line, "sh"])
            .args(arguments)
            .output()
            .unwrap()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let mut folder = self.leaf.as_path();
        while folder.starts_with(&self.top) {
            let deadline = Instant::now() + Duration::from_secs(5);
            while std::fs::remove_dir(folder).is_err() && Instant::now() < deadline {
                std::thread::yield_now();
            }
            folder = folder.parent().unwrap();
        }
    }
}

/// A folder without links in its path, for as long as this lives.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("bailiff-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(std::fs::canonicalize(folder).unwrap())
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// A folder below it.
    pub(crate) fn below(&self, path: &str) -> PathBuf {
        let folder = self.0.join(path);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Everything that happened in the pod up to now.
pub(crate) fn events(records: &mut Records) -> Vec<Event> {
    std::iter::from_fn(|| records.try_next())
        .map(|event| event.unwrap())
        .collect()
}

/// The execs in the pod of this test; others may run at the same time.
pub(crate) fn execs(records: &mut Records, pod: &Pod) -> Vec<Exec> {
    let mine = |event| match event {
        Event::Exec(exec) if pod.has(&exec) => Some(*exec),
        Event::Exec(_) | Event::Exit(_) | Event::Found(_) => None,
    };
    events(records).into_iter().filter_map(mine).collect()
}

pub(crate) fn load() -> Records {
    Records::load(1 << 20)
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
}
