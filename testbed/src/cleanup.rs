//! Taking a cluster down, whatever state it is in.
//!
//! Here: the order of it. Not here: how each thing is removed (`cgroup`, `network`, `process`).
//! Invariant: it can be called at any time and as often as one likes; what it leaves is an error.

use crate::process::{Process, sh, until};
use crate::{cgroup, network, state};
use anyhow::{Context as _, Result};
use std::path::Path;
use std::time::Duration;

/// Ends every process, unmounts and removes everything.
///
/// # Errors
/// When something is left behind; the error lists it.
pub(crate) fn clean() -> Result<()> {
    // Kubelets and containerds first, else they start again what is ended below them.
    for process in Process::all()
        .iter()
        .filter(|process| process.name.contains("node"))
    {
        process.end();
    }
    let mut left = Vec::new();
    for node in network::NODES {
        let ended = until(Duration::from_mins(1), || {
            cgroup::end_processes(node);
            cgroup::processes(node).is_empty()
        });
        if !ended {
            left.push(format!(
                "processes of {node}: {:?}",
                cgroup::processes(node)
            ));
        }
    }
    for process in Process::all() {
        process.end();
        if process.runs() {
            left.push(format!("process {} ({})", process.name, process.id()));
        }
    }
    for place in mounts()? {
        if sh(&format!("umount {place}")).is_err()
            && let Err(error) = sh(&format!("umount --lazy {place}"))
        {
            left.push(format!("{error:#}"));
        }
    }
    for node in network::NODES {
        let mut remaining = Vec::new();
        // The kernel lets go of a cgroup a moment after its last process.
        let removed = until(Duration::from_mins(1), || {
            remaining = cgroup::remove(node);
            remaining.is_empty()
        });
        if !removed {
            left.extend(remaining.iter().map(|folder| folder.display().to_string()));
        }
    }
    left.extend(network::remove());
    if Path::new(state::STATE).exists() {
        std::fs::remove_dir_all(state::STATE)
            .with_context(|| format!("cannot remove {}", state::STATE))?;
    }
    anyhow::ensure!(
        left.is_empty(),
        "these are left of the test cluster:\n  {}",
        left.join("\n  ")
    );
    Ok(())
}

/// What is mounted below the state folder, the latest first.
pub(crate) fn mounts() -> Result<Vec<String>> {
    let mounts =
        std::fs::read_to_string("/proc/self/mounts").context("cannot read the mount table")?;
    let below = format!("{}/", state::STATE);
    let mut found: Vec<_> = mounts
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|place| place.starts_with(&below))
        .map(ToOwned::to_owned)
        .collect();
    found.reverse();
    Ok(found)
}
