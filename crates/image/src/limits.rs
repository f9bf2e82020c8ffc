//! The bounds of reading an image, each with a name.
//!
//! Here: bounds of what a layer, its process and its answer can have. Not here: bounds of single files and of what is
//! in them (`bailiff_scan::content`).
//! Invariant: every bound that is exceeded is reported by its name, and what was read before it counts.

use crate::sandbox::Ceilings;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A bound that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Limit {
    /// Layers of an image.
    Layers,
    /// Facts that the files of an image state.
    Facts,
    /// Bytes of all facts of an image.
    FactBytes,
    /// Links to files that are read under the name of the link: the bytes of paths, or what following them costs.
    Links,
    /// CPU time of the processes of all layers.
    Cpu,
}

/// The bounds of reading one image. The defaults are the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Layers.
    pub layers: usize,
    /// Bytes of a layer, entries of a layer and of the tree.
    pub layer: bailiff_oci::layer::Limits,
    /// CPU seconds for a layer. Another second is added for each 20 MB of its blob.
    pub cpu_seconds: u64,
    /// CPU seconds for all layers of an image. Another second is added for each 20 MB of the blobs, each of which counts
    /// once, however often the image has it as a layer.
    pub cpu_image: u64,
    /// Address space of the process in bytes.
    pub address_space: u64,
    /// Bytes of the largest file that is read with seeking.
    pub spool: u64,
    /// Facts.
    pub facts: u32,
    /// Bytes of all facts.
    pub fact_bytes: u64,
    /// Bytes of the paths of links to files that are read under the name of the link, and of the paths of files in
    /// directories that links lead to.
    pub link_bytes: usize,
    /// Names that are looked up to follow links, each in each layer that has its directory.
    pub link_lookups: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layers: 512,
            layer: bailiff_oci::layer::Limits::default(),
            cpu_seconds: 60,
            cpu_image: 600,
            address_space: 1 << 30,
            spool: 2 << 30,
            facts: 1_000_000,
            fact_bytes: 256 << 20,
            link_bytes: 16 << 20,
            link_lookups: 50_000_000,
        }
    }
}

/// Bytes of a blob for which its process has another second of CPU time.
const BLOB_BYTES_A_SECOND: u64 = 20_000_000;

impl Limits {
    /// CPU time for an image with blobs of this many bytes.
    #[must_use]
    pub(crate) fn cpu_of_image(&self, blobs: u64) -> Duration {
        let more = blobs.div_ceil(BLOB_BYTES_A_SECOND);
        Duration::from_secs(self.cpu_image.saturating_add(more))
    }

    /// What the process for a blob of this many bytes has.
    #[must_use]
    pub fn ceilings(&self, blob: u64) -> Ceilings {
        Ceilings {
            cpu_seconds: self
                .cpu_seconds
                .saturating_add(blob.div_ceil(BLOB_BYTES_A_SECOND)),
            address_space: self.address_space,
            file_bytes: self.spool,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Layers => "the number of layers",
            Self::Facts => "the number of facts that its files state",
            Self::FactBytes => "the size of what its files state",
            Self::Links => "the number of links to files that have to be read",
            Self::Cpu => "the CPU time of all layers",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_minute_and_a_second_for_each_twenty_megabytes() {
        let limits = Limits::default();
        for (blob, seconds) in [(0, 60), (1, 61), (20_000_000, 61), (20_000_001, 62)] {
            assert_eq!(limits.ceilings(blob).cpu_seconds, seconds, "{blob}");
        }
        assert_eq!(limits.ceilings(u64::MAX).file_bytes, 2 << 30);
    }
}
