//! The content of an image: its tree, and what its files say about packages.
//!
//! Here: the sandboxed process that reads layers, what it answers, and the tree that is made of the answers. Not here:
//! where layers come from (`oci`), what files mean (`bailiff_scan::content`), and which packages are vulnerable
//! (`bailiff_scan`).
//! Invariant: the content of layers is parsed in the sandboxed process alone; its answer is not trusted. Whatever happens
//! to it, what it said before counts, and what it did not say is reported as not read. Manifests, configurations and the
//! archives around layers are parsed where the image comes from, before: by `oci::image` and by `cli`.

mod again;
pub mod child;
mod digests;
mod files;
mod incomplete;
mod limits;
mod process;
mod read;
pub mod reading;
pub mod report;
pub mod sandbox;
mod spool;
mod validate;
mod wanted;

pub use incomplete::{Cause, Incomplete};
pub use limits::{Limit, Limits};
pub use process::{Ended, Program};
pub use read::{ImageContent, OpenLayer, Progress, Sandbox, SandboxMode, Sandboxed, read_image};
pub use validate::Invalid;
