//! Where databases of packages are, and lists of the files of packages.
//!
//! Here: their paths in the tree of some layers. Not here: what they say (`content`).
//! Invariant: what is found elsewhere in the final tree, such as through a link, is followed down through the layers.

use super::Key;
use crate::content::Fact;
use crate::content::paths::Paths;
use crate::inventory::files::{FileId, Files, Found};
use std::collections::BTreeMap;

/// The files that are databases, wherever they lead.
const PLACES: [&[u8]; 3] = [
    b"var/lib/dpkg/status",
    b"lib/apk/db/installed",
    b"usr/lib/apk/db/installed",
];
/// The directory with a file for each package.
const STATUS_D: &[u8] = b"var/lib/dpkg/status.d";

/// The files that are databases in the tree of the layers up to one, each with the path at which it is found. Those
/// `elsewhere` are followed down: a path is looked up again only below the layer that has its file.
pub(in crate::inventory) fn database_files(
    files: &dyn Files,
    elsewhere: &mut Vec<(&[u8], FileId)>,
    layer: u32,
) -> BTreeMap<FileId, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in PLACES {
        if let Some(Found::File(id)) = files.resolve_at(layer, path) {
            found.entry(id).or_insert_with(|| path.to_vec());
        }
    }
    elsewhere.retain_mut(|(path, id)| {
        if id.layer > layer {
            let Some(Found::File(lower)) = files.resolve_at(layer, path) else {
                return false;
            };
            *id = lower;
        }
        found.entry(*id).or_insert_with(|| path.to_vec());
        true
    });
    files.list_at(layer, STATUS_D, &mut |name, id| {
        found
            .entry(id)
            .or_insert_with(|| [STATUS_D, b"/", name].concat());
    });
    found
}

/// The lists of the files of a package in the tree of the layers up to one.
pub(in crate::inventory) fn lists_at<'a>(
    files: &'a dyn Files,
    layer: u32,
    key: Key<'a>,
) -> Vec<&'a Paths> {
    let name = key.name;
    let mut paths = vec![
        format!("var/lib/dpkg/info/{name}.list"),
        format!("var/lib/dpkg/info/{name}.md5sums"),
        format!("var/lib/dpkg/status.d/{name}.md5sums"),
    ];
    if let Some(architecture) = key.architecture {
        paths.push(format!("var/lib/dpkg/info/{name}:{architecture}.list"));
        paths.push(format!("var/lib/dpkg/info/{name}:{architecture}.md5sums"));
    }
    let ids = paths
        .iter()
        .filter_map(|path| files.resolve_at(layer, path.as_bytes())?.file());
    let facts = ids.flat_map(|id| files.facts(id));
    facts
        .filter_map(|fact| {
            let Fact::DpkgFiles(list) = fact else {
                return None;
            };
            (list.package == name).then_some(&list.paths)
        })
        .collect()
}
