//! A cgroup for each node, in every hierarchy that the machine has.
//!
//! Here: making, listing, emptying and removing them, on v1, v2 and hybrid. Not here: what the
//! kubelet makes below.
//! Invariant: every process of a node, its shims and containers too, is in one of them.

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The mount points of cgroup hierarchies, each with whether it is v2.
fn hierarchies() -> Result<Vec<(PathBuf, bool)>> {
    let mounts =
        std::fs::read_to_string("/proc/self/mounts").context("cannot read the mount table")?;
    Ok(mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (place, kind) = (words.nth(1)?, words.next()?);
            matches!(kind, "cgroup" | "cgroup2").then(|| (PathBuf::from(place), kind == "cgroup2"))
        })
        .collect())
}

/// A node's cgroup, from the root of a hierarchy.
pub(crate) fn name(node: &str) -> String {
    format!("bt-{node}")
}

/// Makes a node's cgroup, with one for the node's own programs below it.
pub(crate) fn make(node: &str) -> Result<()> {
    for (root, v2) in hierarchies()? {
        let folder = root.join(name(node));
        if v2 && root.join("cgroup.controllers").exists() {
            delegate(&root)?;
        }
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the cgroup {}", folder.display()))?;
        if v2 {
            delegate(&folder)?;
        }
        fill_cpuset(&root, &folder)?;
        let system = folder.join("system");
        std::fs::create_dir_all(&system)?;
        fill_cpuset(&folder, &system)?;
    }
    Ok(())
}

/// Gives every controller that a v2 cgroup has on to those below it.
fn delegate(folder: &Path) -> Result<()> {
    let controllers = std::fs::read_to_string(folder.join("cgroup.controllers"))?;
    for controller in controllers.split_whitespace() {
        std::fs::write(
            folder.join("cgroup.subtree_control"),
            format!("+{controller}"),
        )
        .with_context(|| format!("cannot delegate {controller} in {}", folder.display()))?;
    }
    Ok(())
}

/// A new cpuset on v1 has no processors and no memory, and then takes no process.
fn fill_cpuset(above: &Path, folder: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if folder.join(file).exists()
            && above.join(file).exists()
            && !above.join("cgroup.controllers").exists()
        {
            std::fs::write(folder.join(file), std::fs::read(above.join(file))?)?;
        }
    }
    Ok(())
}

/// A shell line that puts the shell into a node's cgroup for its own programs.
pub(crate) fn enter(node: &str) -> Result<String> {
    let lines: Vec<_> = hierarchies()?
        .iter()
        .map(|(root, _)| {
            format!(
                "echo $$ > {}/{}/system/cgroup.procs",
                root.display(),
                name(node)
            )
        })
        .collect();
    Ok(lines.join(" && "))
}

/// A node's cgroups, the deepest first.
fn folders(node: &str) -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                below(&entry.path(), found);
            }
        }
        found.push(folder.to_owned());
    }
    let mut found = Vec::new();
    for (root, _) in hierarchies().unwrap_or_default() {
        let folder = root.join(name(node));
        if folder.exists() {
            below(&folder, &mut found);
        }
    }
    found
}

/// The processes in a node's cgroups.
pub(crate) fn processes(node: &str) -> BTreeSet<i32> {
    processes_in(folders(node).iter())
}

fn processes_in<'a>(folders: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<i32> {
    folders
        .filter_map(|folder| std::fs::read_to_string(folder.join("cgroup.procs")).ok())
        .flat_map(|text| {
            text.lines()
                .filter_map(|line| line.parse().ok())
                .collect::<Vec<i32>>()
        })
        .filter(|pid| *pid > 1)
        .collect()
}

/// The processes of a container, by its ID.
pub(crate) fn processes_of_container(node: &str, id: &str) -> BTreeSet<i32> {
    let is_its = |folder: &&PathBuf| {
        let name = folder.file_name().unwrap_or_default();
        name.to_string_lossy().contains(id)
    };
    processes_in(folders(node).iter().filter(is_its))
}

/// Ends every process in a node's cgroups. They are ours: nothing else is ever put there.
pub(crate) fn end_processes(node: &str) {
    for pid in processes(node) {
        // It may have ended meanwhile; whoever is left is counted afterwards.
        if kill(Pid::from_raw(pid), Signal::SIGKILL).is_err() {}
    }
}

/// Removes a node's cgroups; those that could not be removed.
pub(crate) fn remove(node: &str) -> Vec<PathBuf> {
    folders(node)
        .into_iter()
        .filter(|folder| std::fs::remove_dir(folder).is_err() && folder.exists())
        .collect()
}
