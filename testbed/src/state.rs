//! Where everything of a cluster lives, and who it was started for.
//!
//! Here: the layout of the state folder and the cache of programs. Not here: what is in the
//! files.
//! Invariant: one cluster at a time on a machine; its folder has a fixed, short path, because
//! the path of a unix socket has at most 107 bytes.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// The folder that holds a running cluster.
pub const STATE: &str = "/var/lib/bailiff-testbed";

/// A path below the state folder.
pub(crate) fn path(name: impl AsRef<Path>) -> PathBuf {
    Path::new(STATE).join(name)
}

/// A path below the state folder, as text.
pub(crate) fn text(name: &str) -> String {
    format!("{STATE}/{name}")
}

/// Writes a file below the state folder, and the folders above it.
pub(crate) fn write(name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
    let path = path(name);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The folder with the programs of the cluster, as `testbed/tools/build.sh` fills it.
///
/// # Errors
/// When a program is missing: the caller is told how to build it.
pub(crate) fn programs() -> Result<PathBuf> {
    let cache = std::env::var_os("BAILIFF_CACHE")
        .map(PathBuf::from)
        .or_else(|| {
            let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            base.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
                .map(|base| base.join("bailiff"))
        });
    let folder = cache
        .context("neither BAILIFF_CACHE nor HOME is set, so there is no place for programs")?
        .join("bin");
    for program in [
        "kube-apiserver",
        "kubelet",
        "kubectl",
        "etcd",
        "containerd",
        "containerd-shim-runc-v2",
        "ctr",
        "registry",
    ] {
        if !folder.join(program).exists() {
            anyhow::bail!(
                "{} is missing in {}: `make tools` builds it",
                program,
                folder.display()
            );
        }
    }
    Ok(folder)
}
