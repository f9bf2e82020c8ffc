//! Container images made from files, without Docker.
//!
//! Here: an OCI image layout as one archive (image-spec v1.1), which `ctr image import` and
//! registries' tools read. Not here: what is in the images (`images`).
//! Invariant: the same files give the same bytes: no clock and no owner of this machine.

use anyhow::{Context as _, Result};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::Path;

/// An image of one layer.
#[allow(missing_debug_implementations, reason = "tar::Builder has none")]
pub struct Image {
    name: String,
    layer: tar::Builder<Vec<u8>>,
    entrypoint: Vec<String>,
    user: String,
}

impl Image {
    /// An empty image with this name and tag.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            layer: tar::Builder::new(Vec::new()),
            entrypoint: Vec::new(),
            user: String::new(),
        }
    }

    fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header
    }

    /// Adds a file, `path` without the first slash.
    ///
    /// # Errors
    /// When the path can't stand in an archive.
    pub fn file(&mut self, path: &str, contents: &[u8], mode: u32) -> Result<&mut Self> {
        let mut header = Self::header(tar::EntryType::Regular, contents.len() as u64, mode);
        self.layer
            .append_data(&mut header, path, contents)
            .with_context(|| format!("cannot add {path} to an image"))?;
        Ok(self)
    }

    /// Adds a file of this machine.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn host_file(&mut self, path: &str, from: &Path) -> Result<&mut Self> {
        let contents = std::fs::read(from)
            .with_context(|| format!("cannot read {} for an image", from.display()))?;
        self.file(path, &contents, 0o755)
    }

    /// Adds a folder.
    ///
    /// # Errors
    /// When the path can't stand in an archive.
    pub fn folder(&mut self, path: &str, mode: u32) -> Result<&mut Self> {
        let mut header = Self::header(tar::EntryType::Directory, 0, mode);
        self.layer
            .append_data(&mut header, path, std::io::empty())
            .with_context(|| format!("cannot add {path} to an image"))?;
        Ok(self)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// When the path can't stand in an archive.
    pub fn link(&mut self, path: &str, target: &str) -> Result<&mut Self> {
        let mut header = Self::header(tar::EntryType::Symlink, 0, 0o777);
        self.layer
            .append_link(&mut header, path, target)
            .with_context(|| format!("cannot add {path} to an image"))?;
        Ok(self)
    }

    /// What a container runs.
    pub fn entrypoint(&mut self, command: &[&str]) -> &mut Self {
        self.entrypoint = command.iter().map(ToString::to_string).collect();
        self
    }

    /// The user that it runs as, `UID:GID`.
    pub fn user(&mut self, user: &str) -> &mut Self {
        user.clone_into(&mut self.user);
        self
    }

    /// Writes the image as an archive.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let mut layer = self.layer.get_ref().clone();
        // The end of a tar archive: two empty blocks.
        layer.extend_from_slice(&[0; 1024]);
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": self.user,
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        })
        .to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        })
        .to_string();
        let mut entry = descriptor(
            "application/vnd.oci.image.manifest.v1+json",
            manifest.as_bytes(),
        );
        entry["annotations"] = json!({
            "io.containerd.image.name": self.name,
            "org.opencontainers.image.ref.name": self.name.rsplit(':').next(),
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        })
        .to_string();

        let out = std::fs::File::create(file)
            .with_context(|| format!("cannot write the image archive {}", file.display()))?;
        let mut archive = tar::Builder::new(std::io::BufWriter::new(out));
        let mut add = |path: String, bytes: &[u8]| {
            let mut header = Self::header(tar::EntryType::Regular, bytes.len() as u64, 0o644);
            archive.append_data(&mut header, path, bytes)
        };
        add(
            "oci-layout".to_owned(),
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        add("index.json".to_owned(), index.as_bytes())?;
        for blob in [manifest.as_bytes(), config.as_bytes(), &layer] {
            add(format!("blobs/{}", digest(blob).replace(':', "/")), blob)?;
        }
        archive
            .into_inner()?
            .into_inner()?
            .sync_all()
            .context("cannot write the image archive to the disk")
    }
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a String does not fail.
        if write!(text, "{byte:02x}").is_err() {}
    }
    text
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}
