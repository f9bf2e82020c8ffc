//! Container images made from files, without Docker.
//!
//! Here: the contents of an image (image-spec v1.1), and an OCI image layout as one archive, which
//! `ctr image import` and registries' tools read. Not here: what is in the images (`images`), pushing
//! them (`registry`).
//! Invariant: the same files give the same bytes: no clock and no owner of this machine.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Media type of a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image of one layer.
#[allow(missing_debug_implementations, reason = "tar::Builder has none")]
pub struct Image {
    name: String,
    layer: tar::Builder<Vec<u8>>,
    entrypoint: Vec<String>,
    path: String,
    user: String,
    labels: BTreeMap<String, String>,
}

/// The processor of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    /// That of this machine, whose programs are in the images.
    pub(crate) const HERE: Self = if cfg!(target_arch = "aarch64") {
        Self::Arm64
    } else {
        Self::Amd64
    };
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// An image for one platform, in the bytes that its digests are of.
pub(crate) struct Contents {
    pub(crate) layer: Vec<u8>,
    pub(crate) config: String,
    pub(crate) manifest: String,
}

impl Image {
    /// An empty image with this name and tag.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            layer: tar::Builder::new(Vec::new()),
            entrypoint: Vec::new(),
            path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
            user: String::new(),
            labels: BTreeMap::new(),
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

    /// Adds the files, folders and links of a folder of this machine, in the order of their names.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn host_folder(&mut self, path: &str, from: &Path) -> Result<&mut Self> {
        let cannot = || format!("cannot read {} for an image", from.display());
        let mut names = Vec::new();
        for entry in std::fs::read_dir(from).with_context(cannot)? {
            names.push(entry.with_context(cannot)?.file_name());
        }
        names.sort();
        for name in names {
            let from = from.join(&name);
            let name = name.to_string_lossy();
            let path = format!("{path}/{name}");
            let path = path.trim_start_matches('/');
            let metadata = from.symlink_metadata().with_context(cannot)?;
            if metadata.is_symlink() {
                let target = std::fs::read_link(&from).with_context(cannot)?;
                self.link(path, &target.to_string_lossy())?;
            } else if metadata.is_dir() {
                self.folder(path, 0o755)?.host_folder(path, &from)?;
            } else {
                let is_program = metadata.permissions().mode() & 0o111 != 0;
                let contents = std::fs::read(&from)
                    .with_context(|| format!("cannot read {} for an image", from.display()))?;
                self.file(path, &contents, if is_program { 0o755 } else { 0o644 })?;
            }
        }
        Ok(self)
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

    /// Where programs are looked for: folders with a colon between them.
    pub fn path(&mut self, folders: &str) -> &mut Self {
        folders.clone_into(&mut self.path);
        self
    }

    /// The user that it runs as, `UID:GID`.
    pub fn user(&mut self, user: &str) -> &mut Self {
        user.clone_into(&mut self.user);
        self
    }

    /// Adds a label. Images that differ in a label alone run the same, and have different digests.
    pub fn label(&mut self, key: &str, value: &str) -> &mut Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The contents, as those of this architecture. The files are the same for all: an image for another
    /// architecture than this machine's does not run anywhere.
    pub(crate) fn contents(&self, architecture: Architecture) -> Contents {
        let mut layer = self.layer.get_ref().clone();
        // The end of a tar archive: two empty blocks.
        layer.extend_from_slice(&[0; 1024]);
        let mut config = json!({
            "architecture": architecture.as_str(),
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": self.user,
                "Env": [format!("PATH={}", self.path)],
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        if !self.labels.is_empty() {
            config["config"]["Labels"] = json!(self.labels);
        }
        let config = config.to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config.as_bytes()),
            "layers": [descriptor(LAYER, &layer)],
        })
        .to_string();
        Contents {
            layer,
            config,
            manifest,
        }
    }

    /// Writes the image as an archive.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let Contents {
            layer,
            config,
            manifest,
        } = self.contents(Architecture::HERE);
        let mut entry = descriptor(MANIFEST, manifest.as_bytes());
        entry["annotations"] = json!({
            "io.containerd.image.name": self.name,
            "org.opencontainers.image.ref.name": self.name.rsplit(':').next(),
        });
        let index = index(&[entry]);

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

/// An index of these manifests.
pub(crate) fn index(manifests: &[Value]) -> String {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string()
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a String does not fail.
        if write!(text, "{byte:02x}").is_err() {}
    }
    text
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}
