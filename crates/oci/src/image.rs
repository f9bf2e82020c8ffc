//! Images as their manifests describe them.
//!
//! Here: what an index, a manifest and a configuration say, which image of an index is meant, and which layers are
//! those of the base. Not here: where documents and layers come from (`registry`, `cli`), and the content of layers.
//! Invariant: pure functions over bytes that strangers wrote. A document means what it means for a container runtime,
//! or is an error: what containerd rejects, and what readers understand differently, is never read in one of several
//! ways.
//!
//! The types of the crate `oci-spec` are not used: they take the first of several fields of a name or ignore the case
//! of none, have no limits, and one malformed entry of an index would hide the others.

mod archive;
mod base;
mod config;
mod document;
mod platform;

pub use crate::json::InvalidJson;
pub use archive::ArchivedImage;
pub use base::{Base, base_layers, history_of_layers};
pub use config::{Config, History};
pub use document::{Descriptor, Document, Index, InvalidDocument, Manifest, NothingToScan};
pub use platform::{InvalidPlatform, Platform, Wanted, select};

use crate::digest::Digest;
use std::fs::File;

/// Most bytes of a manifest or index. Registries accept no larger ones by convention.
pub const MANIFEST_LIMIT: usize = 4 << 20;
/// Most bytes of a configuration.
pub const CONFIG_LIMIT: usize = 4 << 20;
/// Most layers of an image.
pub const LAYERS_LIMIT: usize = 512;
/// Most entries of an index, and of an index with those that are nested in it.
pub const ENTRIES_LIMIT: usize = 1_000;
/// How deep indexes can be nested.
pub const INDEX_DEPTH_LIMIT: usize = 4;
/// Most bytes of a layer as it is stored, and of all layers of an image.
pub const LAYER_BYTES_LIMIT: u64 = 32 << 30;

/// The annotation with the name of the base image. It names what [`base_layers`] finds, and is no proof of it.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// An image: one platform, with the files of its layers.
#[derive(Debug)]
pub struct Image {
    /// What it was asked for as, in normal form if it is of a registry.
    pub reference: String,
    /// Digest of its manifest. An archive of Docker has none: there it is that of the configuration, the image ID. Of
    /// a directory it is that of the one layer.
    pub digest: Digest,
    /// Its platform, such as `linux/arm64`: what the index says, or else the configuration.
    pub platform: String,
    /// What the configuration says.
    pub config: Config,
    /// The layers, lowest first.
    pub layers: Vec<LayerBlob>,
    /// What is wrong with the image, for people: what could not be read of it, and why a container runtime rejects it.
    /// Each makes the result incomplete.
    pub faults: Vec<String>,
}

/// A layer as it is stored.
#[derive(Debug)]
pub struct LayerBlob {
    /// Digest of the bytes as they are stored. None: a directory of an old `docker save` does not say.
    pub digest: Option<Digest>,
    /// Digest of the uncompressed bytes, as the configuration says. None: it says nothing about the layer.
    pub diff_id: Option<Digest>,
    /// The media type as written. It does not say how the layer is compressed: its first bytes do.
    pub media_type: String,
    /// Bytes as they are stored.
    pub size: u64,
    /// The bytes.
    pub content: LayerContent,
}

/// The bytes of a layer.
#[derive(Debug)]
pub enum LayerContent {
    /// They are here.
    File(LayerFile),
    /// They could not be read. Why, for people. The other layers count.
    Unavailable(String),
}

/// The file with the bytes of a layer, from its begin.
#[derive(Debug)]
pub struct LayerFile {
    /// A regular file of [`LayerBlob::size`] bytes that is open for reading alone, with a position that no other layer
    /// shares.
    pub file: File,
    /// Whether the bytes have [`LayerBlob::digest`]. If not, who reads them has to find out.
    pub is_verified: bool,
}
