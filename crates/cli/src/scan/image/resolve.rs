//! From a document to the images that are wanted.
//!
//! Here: the walk over indexes, the selection of platforms, and the parts of an image. Not here: where documents are
//! (`registry`, `layout`), and what they mean (`bailiff_oci::image`).
//! Invariant: what cannot be read is a fault beside what can. If runtimes could start several images, all are selected.

use super::{Gathered, NothingSelected, TEXT_LIMIT};
use bailiff_oci::image::{
    CONFIG_LIMIT, Config, Descriptor, Document, ENTRIES_LIMIT, INDEX_DEPTH_LIMIT, Image, Index,
    LAYER_BYTES_LIMIT, LayerBlob, LayerContent, MANIFEST_LIMIT, Manifest, NothingToScan, Platform,
    Wanted, select,
};
use bailiff_oci::{Digest, ManifestKind};
use bailiff_response::messages::escaped;
use std::collections::BTreeSet;

/// Most images that are scanned at once.
const IMAGES_LIMIT: usize = 64;
/// Most indexes that are read.
const INDEXES_LIMIT: usize = 32;
/// Most images whose configuration has to say their platform.
const UNSPECIFIED_LIMIT: usize = 64;

/// Where documents and layers are. Errors are causes, with a remedy if there is one.
pub(super) trait Store {
    /// The bytes of a manifest or index, which are what the descriptor names.
    fn manifest(&mut self, named: &Descriptor) -> Result<Vec<u8>, String>;
    /// The bytes of a configuration, which are what the descriptor names.
    fn config(&mut self, named: &Descriptor) -> Result<Vec<u8>, String>;
    /// The layers, in their order.
    fn layers(&mut self, layers: &[Descriptor]) -> Vec<LayerContent>;
}

/// An image of an index.
#[derive(Clone, Debug)]
struct Leaf {
    named: Descriptor,
    /// What the index says, or one that it is nested in.
    platform: Option<Platform>,
}

/// The walk over a document.
struct Walk<'a, S> {
    store: &'a mut S,
    reference: &'a str,
    leaves: Vec<Leaf>,
    entries: usize,
    indexes: usize,
    gathered: Gathered,
}

/// The images that are wanted of a document with this digest. The error is a cause and a remedy.
pub(super) fn images(
    store: &mut impl Store,
    reference: &str,
    (document, digest): (Document, Digest),
    wanted: &Wanted,
) -> Result<Gathered, String> {
    let mut walk = Walk {
        store,
        reference,
        leaves: Vec::new(),
        entries: 0,
        indexes: 1,
        gathered: Gathered::default(),
    };
    match document {
        Document::Nothing(nothing) => walk.add_nothing(digest, nothing),
        Document::Manifest(manifest) => {
            let image = walk.image(digest, None, manifest);
            if let Wanted::Named(platform) = wanted
                && select(&[image.config.platform()], wanted).is_empty()
            {
                let is = &image.platform;
                return Err(format!(
                    "it is for {is}, not for {platform}; remove --platform"
                ));
            }
            walk.gathered.images.push(image);
        }
        Document::Index(index) => {
            walk.index(index, None, 1);
            walk.select(wanted)?;
        }
    }
    let Gathered { faults, .. } = &mut walk.gathered;
    for fault in faults {
        *fault = escaped(fault, TEXT_LIMIT);
    }
    Ok(walk.gathered)
}

impl<S: Store> Walk<'_, S> {
    fn fault(&mut self, text: impl Into<String>) {
        self.gathered.faults.push(text.into());
    }

    fn add_nothing(&mut self, digest: Digest, NothingToScan(what): NothingToScan) {
        self.gathered.nothing.push(NothingSelected {
            reference: self.reference.to_owned(),
            digest,
            what,
        });
    }

    /// Collects the images of an index, and of those that are nested in it.
    fn index(&mut self, index: Index, platform: Option<&Platform>, depth: usize) {
        for (place, error) in index.invalid {
            let place = place + 1;
            self.fault(format!("entry {place} of an index cannot be read: {error}"));
        }
        for named in index.entries {
            self.entries += 1;
            if self.entries > ENTRIES_LIMIT {
                let text = format!("the indexes have more than {ENTRIES_LIMIT} entries");
                return self.fault(text);
            }
            if named.is_attestation() {
                self.gathered.attestations += 1;
                continue;
            }
            let platform = named.platform.clone().or_else(|| platform.cloned());
            match named.kind() {
                Some(ManifestKind::Manifest) => self.leaves.push(Leaf { named, platform }),
                Some(ManifestKind::Index) => self.nested(&named, platform.as_ref(), depth),
                None => {
                    let what = escaped(&named.media_type, TEXT_LIMIT);
                    self.fault(format!(
                        "{} is no image that can be read: its media type is \"{what}\"",
                        named.digest
                    ));
                }
            }
        }
    }

    fn nested(&mut self, named: &Descriptor, platform: Option<&Platform>, depth: usize) {
        if depth >= INDEX_DEPTH_LIMIT {
            let text = format!("indexes are nested deeper than {INDEX_DEPTH_LIMIT} levels");
            return self.fault(text);
        }
        self.indexes += 1;
        if self.indexes > INDEXES_LIMIT {
            return self.fault(format!("there are more than {INDEXES_LIMIT} indexes"));
        }
        match self.document(named) {
            Ok(Document::Index(index)) => self.index(index, platform, depth + 1),
            // Its media type is that of an index.
            Ok(Document::Manifest(_) | Document::Nothing(_)) => {
                self.fault(format!("index {} is none", named.digest));
            }
            Err(cause) => self.fault(cause),
        }
    }

    fn document(&mut self, named: &Descriptor) -> Result<Document, String> {
        let limit = u64::try_from(MANIFEST_LIMIT).unwrap_or(u64::MAX);
        if named.size > limit {
            return Err(format!(
                "manifest {} has {} bytes, more than the {MANIFEST_LIMIT} that are read",
                named.digest, named.size
            ));
        }
        let bytes = self.store.manifest(named)?;
        let read = named.verify(&bytes);
        read.and_then(|()| Document::read(&bytes, Some(&named.media_type)))
            .map_err(|error| format!("cannot read manifest {}: {error}", named.digest))
    }

    /// Adds the images that are wanted.
    fn select(&mut self, wanted: &Wanted) -> Result<(), String> {
        let leaves = std::mem::take(&mut self.leaves);
        let mut unspecified = 0;
        let mut platforms = Vec::new();
        for leaf in &leaves {
            let platform = if let Some(platform) = &leaf.platform {
                platform.clone()
            } else {
                unspecified += 1;
                self.platform_of(&leaf.named, unspecified)
            };
            platforms.push(platform);
        }
        let selected: BTreeSet<_> = select(&platforms, wanted).into_iter().collect();
        let names = |is_selected: bool| {
            let platforms = platforms.iter().enumerate();
            let platforms = platforms.filter(|(place, _)| selected.contains(place) == is_selected);
            let names = platforms.map(|(_, platform)| platform.to_string());
            names.collect::<BTreeSet<_>>()
        };
        if selected.is_empty() {
            return Err(self.none_of(wanted, &names(false)));
        }
        self.gathered.other_platforms = names(false).difference(&names(true)).cloned().collect();
        let mut known = BTreeSet::new();
        let mut failed = Vec::new();
        for (place, leaf) in leaves.into_iter().enumerate() {
            if !selected.contains(&place) || !known.insert(leaf.named.digest.clone()) {
                continue;
            }
            if known.len() > IMAGES_LIMIT {
                self.fault(format!(
                    "more than {IMAGES_LIMIT} images are selected; set --platform"
                ));
                break;
            }
            match self.document(&leaf.named) {
                Ok(Document::Manifest(manifest)) => {
                    let image = self.image(leaf.named.digest, leaf.platform, manifest);
                    self.gathered.images.push(image);
                }
                Ok(Document::Nothing(nothing)) => self.add_nothing(leaf.named.digest, nothing),
                Ok(Document::Index(_)) => {
                    failed.push(format!("manifest {} is an index", leaf.named.digest));
                }
                Err(cause) => failed.push(cause),
            }
        }
        let is_empty = self.gathered.images.is_empty() && self.gathered.nothing.is_empty();
        match failed.first() {
            Some(cause) if is_empty => Err(cause.clone()),
            Some(_) | None => {
                self.gathered.faults.extend(failed);
                Ok(())
            }
        }
    }

    /// Why an index has no image that is wanted.
    fn none_of(&self, wanted: &Wanted, others: &BTreeSet<String>) -> String {
        let others: Vec<_> = others.iter().take(20).cloned().collect();
        let fault = self.gathered.faults.first();
        match (wanted, fault) {
            (_, Some(fault)) if others.is_empty() => {
                format!("no image of its index can be read: {fault}")
            }
            (Wanted::All, _) => "its index has no images".to_owned(),
            (Wanted::Machine(_) | Wanted::Named(_), _) if others.is_empty() => {
                "its index has no images".to_owned()
            }
            (Wanted::Machine(platform) | Wanted::Named(platform), fault) => {
                let others = others.join(", ");
                let fault = fault.map_or_else(String::new, |fault| format!(" ({fault})"));
                format!("it has no image for {platform}{fault}; set --platform to one of {others}")
            }
        }
    }

    /// What the configuration of an image says that its platform is.
    fn platform_of(&mut self, named: &Descriptor, count: usize) -> Platform {
        let unspecified = Config::default().platform();
        if count > UNSPECIFIED_LIMIT {
            if count == UNSPECIFIED_LIMIT + 1 {
                self.fault(format!(
                    "more than {UNSPECIFIED_LIMIT} images of the index have no platform"
                ));
            }
            return unspecified;
        }
        match self.document(named) {
            Ok(Document::Manifest(manifest)) => self.config(&manifest.config).0.platform(),
            Ok(Document::Nothing(_) | Document::Index(_)) => unspecified,
            Err(cause) => {
                self.fault(cause);
                unspecified
            }
        }
    }

    /// The configuration, and why it could not be read.
    fn config(&mut self, named: &Descriptor) -> (Config, Option<String>) {
        let limit = u64::try_from(CONFIG_LIMIT).unwrap_or(u64::MAX);
        if named.size > limit {
            let cause = format!(
                "the configuration of the image has {} bytes, more than the {CONFIG_LIMIT} that are read",
                named.size
            );
            return (Config::default(), Some(cause));
        }
        let bytes = self.store.config(named);
        match bytes.and_then(|bytes| match named.verify(&bytes) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(format!(
                "the configuration of the image cannot be read: {error}"
            )),
        }) {
            Ok(bytes) => (Config::read(&bytes), None),
            Err(cause) => (Config::default(), Some(cause)),
        }
    }

    fn image(&mut self, digest: Digest, platform: Option<Platform>, manifest: Manifest) -> Image {
        let (mut config, fault) = self.config(&manifest.config);
        config.annotations = manifest.annotations;
        let mut left = Some(LAYER_BYTES_LIMIT);
        let within = manifest.layers.iter().take_while(|layer| {
            left = left.and_then(|left| left.checked_sub(layer.size));
            left.is_some()
        });
        let within = within.count();
        let (within, beyond) = manifest.layers.split_at(within);
        let mut contents = self.store.layers(within);
        contents.extend(beyond.iter().map(|_| {
            LayerContent::Unavailable(format!(
                "it and the layers below it have more than {LAYER_BYTES_LIMIT} bytes"
            ))
        }));
        let blobs = manifest.layers.into_iter().zip(contents);
        let layers = blobs.map(|(named, content)| LayerBlob {
            digest: Some(named.digest),
            diff_id: None,
            media_type: named.media_type,
            size: named.size,
            content,
        });
        let platform = platform.unwrap_or_else(|| config.platform());
        let layers = layers.collect();
        image(self.reference, digest, &platform, config, layers, fault)
    }
}

/// An image of its parts: its layers with what the configuration says about each, and what is wrong with them.
pub(super) fn image(
    reference: &str,
    digest: Digest,
    platform: &Platform,
    config: Config,
    mut layers: Vec<LayerBlob>,
    fault: Option<String>,
) -> Image {
    let mut faults: Vec<_> = fault.into_iter().collect();
    faults.extend(config.faults.iter().map(ToString::to_string));
    let (of_config, of_manifest) = (config.diff_ids.len(), layers.len());
    if faults.is_empty() && of_config != of_manifest {
        faults.push(format!(
            "the manifest has {of_manifest} layers and the configuration {of_config}, which a container runtime rejects"
        ));
    }
    for (layer, diff_id) in layers.iter_mut().zip(&config.diff_ids) {
        layer.diff_id = Some(diff_id.clone());
    }
    for fault in &mut faults {
        *fault = escaped(fault, TEXT_LIMIT);
    }
    Image {
        reference: reference.to_owned(),
        digest,
        platform: platform.to_string(),
        config,
        layers,
        faults,
    }
}
