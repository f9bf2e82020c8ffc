//! Layers and images, in one OCI layout.
//!
//! Here: archives that are written, compressed and hashed as they pass, and what a layout has besides. Not here: what
//! is in them (`content`), and what is measured.
//! Invariant: a blob has the digest that its image names; a scan of it finds nothing wrong.

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The archive of a layer that is being written.
pub(crate) type Archive = tar::Builder<Hashed<GzEncoder<Hashed<BufWriter<NamedTempFile>>>>>;

/// A layer in a layout.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    digest: String,
    diff_id: String,
    /// Its blob.
    pub(crate) path: PathBuf,
    /// Bytes as they are stored.
    pub(crate) stored: u64,
    /// Bytes once they are unpacked.
    pub(crate) unpacked: u64,
}

impl Layer {
    /// Its digests as `floor` prints them.
    pub(crate) fn digests(&self) -> String {
        format!("{} {}", self.digest, self.diff_id)
    }
}

/// An OCI layout.
pub(crate) struct Layout {
    directory: PathBuf,
    manifests: Vec<Json>,
}

/// Hashes what is written.
pub(crate) struct Hashed<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashed<W> {
    fn new(to: W) -> Self {
        let hash = Sha256::new();
        Self { to, hash, bytes: 0 }
    }

    /// Where it was written to, its digest and its bytes.
    fn finish(self) -> (W, String, u64) {
        let digest = digest(self.hash);
        (self.to, digest, self.bytes)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The text of a digest.
pub(crate) fn digest(hash: Sha256) -> String {
    let mut text = "sha256:".to_owned();
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

impl Layout {
    pub(crate) fn new(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(directory.join("blobs/sha256"))?;
        Ok(Self {
            directory,
            manifests: Vec::new(),
        })
    }

    /// Writes a layer with what `add_content` adds.
    pub(crate) fn layer(
        &self,
        compression: Compression,
        add_content: impl FnOnce(&mut Archive) -> Result<()>,
    ) -> Result<Layer> {
        let file = NamedTempFile::new_in(&self.directory)?;
        let stored = Hashed::new(BufWriter::with_capacity(1 << 20, file));
        let content = Hashed::new(GzEncoder::new(stored, compression));
        let mut archive = tar::Builder::new(content);
        archive.mode(tar::HeaderMode::Deterministic);
        archive.follow_symlinks(false);
        add_content(&mut archive)?;
        let (stored, diff_id, unpacked) = archive.into_inner()?.finish();
        let (file, digest, stored) = stored.finish()?.finish();
        let path = self.blob(&digest);
        file.into_inner()?.persist(&path)?;
        Ok(Layer {
            digest,
            diff_id,
            path,
            stored,
            unpacked,
        })
    }

    /// Adds an image of layers, the lowest first, and has what a scan of it is asked for.
    pub(crate) fn image(&mut self, tag: &str, layers: &[&Layer]) -> Result<String> {
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        let history: Vec<_> = layers
            .iter()
            .map(|_| json!({"created_by": "COPY . /"}))
            .collect();
        let config = self.document(&json!({
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        }))?;
        let of_layers: Vec<_> = layers
            .iter()
            .map(|layer| {
                json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": layer.digest,
                    "size": layer.stored,
                })
            })
            .collect();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let mut manifest = self.document(&json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": with(config, "mediaType", "application/vnd.oci.image.config.v1+json"),
            "layers": of_layers,
        }))?;
        manifest = with(manifest, "mediaType", media_type);
        manifest["platform"] = json!({"os": "linux", "architecture": "amd64"});
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        self.manifests.push(manifest);
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        fs::write(self.directory.join("index.json"), index.to_string())?;
        let layout = json!({"imageLayoutVersion": "1.0.0"});
        fs::write(self.directory.join("oci-layout"), layout.to_string())?;
        Ok(format!("oci:{}:{tag}", self.directory.display()))
    }

    /// Adds a document, and has its descriptor without a media type.
    fn document(&self, document: &Json) -> Result<Json> {
        let bytes = document.to_string();
        let digest = digest(Sha256::new().chain_update(&bytes));
        fs::write(self.blob(&digest), &bytes)?;
        Ok(json!({"digest": digest, "size": bytes.len()}))
    }

    fn blob(&self, digest: &str) -> PathBuf {
        let name = digest.replace(':', "/");
        self.directory.join("blobs").join(name)
    }
}

fn with(mut object: Json, field: &str, value: &str) -> Json {
    object[field] = value.into();
    object
}

/// Adds a file with this content.
pub(crate) fn add(archive: &mut Archive, path: &str, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let added = archive.append_data(&mut header, path, content);
    added.with_context(|| format!("cannot add {path}"))
}

/// Adds what is at a path of this machine, with what is below it, as `name`.
pub(crate) fn add_tree(archive: &mut Archive, from: &Path, name: &Path) -> Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        archive.append_dir(name, from)?;
        let entries: io::Result<Vec<_>> = fs::read_dir(from)?.collect();
        let mut entries = entries?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            add_tree(archive, &entry.path(), &name.join(entry.file_name()))?;
        }
    } else if kind.is_file() || kind.is_symlink() {
        let added = archive.append_path_with_name(from, name);
        added.with_context(|| format!("cannot add {}", from.display()))?;
    }
    Ok(())
}
