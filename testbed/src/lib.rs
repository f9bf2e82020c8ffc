//! A real Kubernetes of two nodes on one machine, without Docker: for tests and the demo.
//!
//! Here: starting and stopping it, faults to inject, images made from files, registries. Not here: what
//! runs on it. Never shipped.
//! Invariant: all that is made is found again by its name (cgroups, links and namespaces begin
//! with `bt-`) or by the state folder, so that `stop` leaves nothing, also after an aborted run.

mod certificates;
mod cgroup;
mod cleanup;
mod cluster;
mod control_plane;
mod fault;
mod image;
mod images;
mod network;
mod node;
mod process;
mod registry;
mod state;

pub use cluster::{Cluster, Owner};
pub use image::Image;
pub use images::{busybox, debian, pause, program};
pub use network::NODES;
pub use registry::{Account, LyingMirror, Registry};
pub use state::STATE;
