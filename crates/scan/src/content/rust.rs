//! The crates that a Rust binary is built from, as cargo-auditable stores them.
//!
//! Here: the section `.dep-v0`. Not here: where it is in a file (`elf`).
//! Invariant: pure, bounded.

use serde::{Deserialize, Serialize};

/// A crate in a binary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is of crates.io. Others are of a registry, a repository or a directory that the binary does not name.
    pub is_of_crates_io: bool,
}
