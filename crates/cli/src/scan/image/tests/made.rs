//! Layouts and archives for tests.

use bailiff_oci::{Algorithm, Hasher};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The platform of an index.
pub(super) fn platform(text: &str) -> Value {
    let mut parts = text.split('/');
    let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
    match parts.next() {
        Some(variant) => json!({"os": os, "architecture": architecture, "variant": variant}),
        None => json!({"os": os, "architecture": architecture}),
    }
}

/// What names bytes.
pub(super) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    let digest = Hasher::digest(Algorithm::Sha256, bytes).to_string();
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// An OCI layout.
pub(super) struct Layout {
    directory: TempDir,
    last: RefCell<String>,
}

impl Layout {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("layout/blobs/sha256")).unwrap();
        Self {
            directory,
            last: RefCell::default(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("layout")
    }

    /// The digest of the last blob.
    pub(super) fn last(&self) -> String {
        self.last.borrow().clone()
    }

    fn blob(&self, named: &Value) -> PathBuf {
        let digest = named["digest"].as_str().unwrap().replace(':', "/");
        self.path().join("blobs").join(digest)
    }

    pub(super) fn write(&self, name: &str, value: &Value) {
        std::fs::write(self.path().join(name), value.to_string()).unwrap();
    }

    fn put_bytes(&self, media_type: &str, bytes: &[u8]) -> Value {
        let named = descriptor(media_type, bytes);
        std::fs::write(self.blob(&named), bytes).unwrap();
        named["digest"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.last.borrow_mut());
        named
    }

    /// Adds a document; what names it.
    pub(super) fn put(&self, media_type: &str, document: &Value) -> Value {
        self.put_bytes(media_type, document.to_string().as_bytes())
    }

    /// Adds a layer, which is no archive: its content is not read here.
    pub(super) fn layer(&self, text: &str) -> Value {
        self.put_bytes(LAYER, text.as_bytes())
    }

    /// Adds an image; its entry of an index.
    pub(super) fn image(&self, of: &str, layers: &[&str]) -> Value {
        let layers: Vec<_> = layers.iter().map(|text| self.layer(text)).collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
        self.image_of(of, &layers, &json!(diff_ids))
    }

    pub(super) fn image_of(&self, of: &str, layers: &[Value], diff_ids: &Value) -> Value {
        let mut config = platform(of);
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = self.put(CONFIG, &config);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        let mut entry = self.put(MANIFEST, &manifest);
        entry["platform"] = platform(of);
        entry
    }

    /// Removes a blob; where it was.
    pub(super) fn remove(&self, named: &Value) -> PathBuf {
        let path = self.blob(named);
        std::fs::remove_file(&path).unwrap();
        path
    }

    /// Writes the list of images.
    pub(super) fn index(&self, entries: &[Value]) {
        self.write("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}));
        self.write(
            "index.json",
            &json!({"schemaVersion": 2, "manifests": entries}),
        );
    }

    /// An archive of the layout.
    pub(super) fn archive(&self) -> PathBuf {
        let path = self.directory.path().join("layout.tar");
        let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
        archive.append_dir_all(".", self.path()).unwrap();
        archive.finish().unwrap();
        path
    }
}

/// An archive of files: a name with a slash at its end is a directory, a content with an arrow a link.
pub(super) fn archive(directory: &Path, entries: &[(&str, &str)]) -> PathBuf {
    let path = directory.join("made.tar");
    let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        if let Some(target) = content.strip_prefix("-> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            archive.append_link(&mut header, name, target).unwrap();
            continue;
        }
        if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        header.set_size(u64::try_from(content.len()).unwrap());
        archive
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    archive.finish().unwrap();
    path
}
