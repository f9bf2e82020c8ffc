//! Databases of RPM.
//!
//! Here: where they are. Not here: their packages, which are not read.
//! Invariant: an image that has or had one is incomplete, also if a layer deletes it.

use super::coverage::NotRead;
use super::files::{Files, Found};

/// Directories with a database: of Fedora and Red Hat, of SUSE and of Fedora from 36 on, and of images of ostree.
const DIRECTORIES: [&str; 3] = ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"];
/// Its file: of `SQLite`, of Berkeley DB, and of ndb.
const FILES: [&str; 3] = ["rpmdb.sqlite", "Packages", "Packages.db"];

/// The databases of an image. They are files that cannot be read.
pub(super) fn databases(files: &dyn Files) -> Vec<NotRead> {
    let mut found = Vec::new();
    for directory in DIRECTORIES {
        // Most layers have none of the directories, so that their files are not looked up.
        let layers = (0..files.layers())
            .rev()
            .filter(|layer| files.resolve_at(*layer, directory.as_bytes()).is_some());
        let layers: Vec<u32> = layers.collect();
        if layers.is_empty() {
            continue;
        }
        for file in FILES {
            let path = format!("{directory}/{file}");
            let is_file = |found: Option<Found>| matches!(found, Some(Found::File(_)));
            let mut last = layers.iter().filter(|layer| {
                let found = files.resolve_at(**layer, path.as_bytes());
                is_file(found)
            });
            let deleted = if is_file(files.resolve(path.as_bytes())) {
                String::new()
            } else if let Some(layer) = last.next() {
                let layer = layer.saturating_add(1);
                format!(", and a layer above layer {layer} deletes it")
            } else {
                continue;
            };
            found.push(NotRead {
                path,
                what: "rpm database".to_owned(),
                cause: format!(
                    "Bailiff does not read packages of RPM{deleted}; use the scanner of the distribution"
                ),
            });
        }
    }
    found
}
