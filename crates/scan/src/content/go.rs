//! The build information of Go binaries.
//!
//! Here: the modules that a binary is built from. Not here: where the information is in a file (`elf`).
//! Invariant: pure, bounded.

use serde::{Deserialize, Serialize};

/// The build information of a Go binary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInfo {
    /// The version of Go, such as `go1.22.1`.
    pub go: String,
    /// The main module. None if the binary was built without modules.
    pub main: Option<Module>,
    /// The modules that it depends on, those that replace others instead of these.
    pub dependencies: Vec<Module>,
}

/// A module of Go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its path, such as `golang.org/x/net`.
    pub path: String,
    /// Its version, such as `v0.1.0`. `(devel)` or empty if it was built from a directory.
    pub version: String,
    /// The path of the module that it replaces. None if it replaces none.
    pub replaces: Option<String>,
}
