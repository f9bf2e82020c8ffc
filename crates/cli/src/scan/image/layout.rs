//! Images of an OCI layout: a directory, or an archive of one.
//!
//! Here: which image of `index.json` is meant. Not here: opening files (`files`), the walk over indexes (`resolve`).
//! Invariant: only digests become names of files.

use super::Gathered;
use super::files::{Files, blob_name};
use super::place::Name;
use super::resolve::{Store, images};
use bailiff_oci::image::{
    CONFIG_LIMIT, Descriptor, Document, Index, LAYER_BYTES_LIMIT, LayerContent, MANIFEST_LIMIT,
    Wanted,
};
use bailiff_oci::{Algorithm, Digest, Hasher};
use std::collections::BTreeSet;
use std::path::Path;

/// The file of a layout that lists its images.
const INDEX: &str = "index.json";
/// Its media type, which it need not say.
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The file of an archive of `docker save` that lists its images.
pub(super) const DOCKER_INDEX: &str = "manifest.json";
/// Tags that an error lists.
const SHOWN: usize = 20;

/// The blobs of a layout.
struct Layout<'a>(&'a Files);

impl Store for Layout<'_> {
    fn manifest(&mut self, named: &Descriptor) -> Result<Vec<u8>, String> {
        self.0.document(named, MANIFEST_LIMIT)
    }

    fn config(&mut self, named: &Descriptor) -> Result<Vec<u8>, String> {
        self.0.document(named, CONFIG_LIMIT)
    }

    fn layers(&mut self, layers: &[Descriptor]) -> Vec<LayerContent> {
        let layers = layers.iter();
        layers.map(|layer| self.layer(layer)).collect()
    }
}

impl Layout<'_> {
    fn layer(&self, layer: &Descriptor) -> LayerContent {
        let name = blob_name(&layer.digest);
        if layer.has_urls && !self.0.has(&name) {
            return LayerContent::Unavailable(
                "its content is only at URLs that the manifest names, which Bailiff does not ask"
                    .to_owned(),
            );
        }
        self.0.layer(&name, Some(layer.size), LAYER_BYTES_LIMIT).1
    }
}

/// The images of a layout. The error is a cause and a remedy.
pub(super) fn gather(path: &Path, name: &Name, wanted: &Wanted) -> Result<Gathered, String> {
    let files = Files::open(path)?;
    if !files.has(INDEX) {
        let remedy = if files.has(DOCKER_INDEX) {
            "for what `docker save` writes, write docker-archive:PATH"
        } else {
            "for a root file system, write dir:PATH"
        };
        return Err(format!(
            "{} is no OCI layout, because it has no {INDEX}; {remedy}",
            path.display()
        ));
    }
    let bytes = files.read(INDEX, MANIFEST_LIMIT)?;
    let index = match Document::read(&bytes, Some(INDEX_TYPE)) {
        Ok(Document::Index(index)) => index,
        Ok(Document::Manifest(_) | Document::Nothing(_)) => {
            return Err(format!("{INDEX} is no index"));
        }
        Err(error) => return Err(format!("cannot read {INDEX}: {error}")),
    };
    let reference = |name: &str| format!("oci:{}{name}", path.display());
    let (root, reference) = match name {
        Name::Only => (only(index)?, reference("")),
        Name::Tag(tag) => (tagged(index, tag)?, reference(&format!(":{tag}"))),
        Name::Digest(digest) => {
            let entry = of_digest(&files, &index, digest)?;
            let reference = reference(&format!("@{digest}"));
            return gather_entry(&files, &entry, &reference, wanted);
        }
    };
    // The list of a layout names images as tags do; only several entries can be platforms of one.
    if let ([entry], []) = (root.entries.as_slice(), root.invalid.as_slice()) {
        return gather_entry(&files, entry, &reference, wanted);
    }
    let digest = Hasher::digest(Algorithm::Sha256, &bytes);
    let document = (Document::Index(root), digest);
    images(&mut Layout(&files), &reference, document, wanted)
}

/// The images of what an entry names.
fn gather_entry(
    files: &Files,
    entry: &Descriptor,
    reference: &str,
    wanted: &Wanted,
) -> Result<Gathered, String> {
    let bytes = files.document(entry, MANIFEST_LIMIT)?;
    let document = Document::read(&bytes, Some(&entry.media_type));
    let document =
        document.map_err(|error| format!("cannot read {}: {error}", blob_name(&entry.digest)))?;
    let document = (document, entry.digest.clone());
    images(&mut Layout(files), reference, document, wanted)
}

/// The names of the images of a layout.
fn names(index: &Index) -> BTreeSet<&str> {
    let names = index.entries.iter().flat_map(Descriptor::names);
    names.collect()
}

/// All entries, if they are one image.
fn only(index: Index) -> Result<Index, String> {
    // containerd writes a second name for the same image, so entries are counted by their first.
    let first = |entry: &Descriptor| entry.names().next().map(str::to_owned);
    let firsts: BTreeSet<_> = index.entries.iter().filter_map(first).collect();
    if firsts.len() > 1 {
        let names = listed(&names(&index));
        return Err(format!(
            "the layout has several images; write oci:PATH:TAG with one of {names}"
        ));
    }
    Ok(index)
}

/// The entries with a tag.
fn tagged(index: Index, tag: &str) -> Result<Index, String> {
    let is_it = |entry: &Descriptor| entry.names().any(|name| name == tag);
    if !index.entries.iter().any(is_it) {
        let names = names(&index);
        return Err(if names.is_empty() {
            format!(
                "the layout has no image with the tag {tag}, and none with another; remove the tag"
            )
        } else {
            let names = listed(&names);
            format!("the layout has no image with the tag {tag}; it has {names}")
        });
    }
    let Index { entries, invalid } = index;
    let entries = entries.into_iter().filter(is_it).collect();
    Ok(Index { entries, invalid })
}

fn listed(names: &BTreeSet<&str>) -> String {
    let mut shown: Vec<_> = names.iter().take(SHOWN).copied().collect();
    let more = format!("{} more", names.len().saturating_sub(SHOWN));
    if names.len() > SHOWN {
        shown.push(&more);
    }
    shown.join(", ")
}

/// What a digest names: an entry, or a document that an entry leads to.
fn of_digest(files: &Files, index: &Index, digest: &Digest) -> Result<Descriptor, String> {
    let mut entries = index.entries.iter();
    if let Some(entry) = entries.find(|entry| entry.digest == *digest) {
        return Ok(entry.clone());
    }
    match files.read(&blob_name(digest), MANIFEST_LIMIT) {
        Ok(bytes) => {
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            Ok(Descriptor::of("", digest.clone(), size))
        }
        Err(cause) => {
            let digests = index.entries.iter().map(|entry| entry.digest.as_str());
            let digests = listed(&digests.collect());
            Err(format!("{cause}; the layout lists {digests}"))
        }
    }
}
