//! Indexes and manifests.
//!
//! Here: what a document is, and what it lists. Not here: the configuration (`config`), and the media types of an
//! answer of a registry (`manifest` of the crate).
//! Invariant: a document is an index, a manifest or neither, and never two of them. An entry of an index that cannot
//! be read hides no other.

use super::{ENTRIES_LIMIT, LAYERS_LIMIT, MANIFEST_LIMIT, Platform};
use crate::digest::{Digest, InvalidDigest};
use crate::excerpt::Excerpt;
use crate::hash::Hasher;
use crate::json::{InvalidJson, Object};
use crate::lookup::ManifestKind;
use crate::manifest::kind;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The annotation of an entry that says what it is, and its value for attestations.
const ATTESTATION: (&str, &str) = ("vnd.docker.reference.type", "attestation-manifest");
/// The annotation of an entry of a layout with its tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same, as containerd writes it: the whole reference.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Media types of configurations of images: those that containerd unpacks.
const IMAGE_CONFIGS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// What other media types are. An entry that ends in a dot is the start of one.
const ARTIFACTS: &[(&str, &str)] = &[
    ("application/vnd.cncf.helm.config.v1+json", "a Helm chart"),
    (
        "application/vnd.cncf.flux.config.v1+json",
        "an artifact of Flux",
    ),
    (
        "application/vnd.docker.plugin.v1+json",
        "a plugin of Docker",
    ),
    (
        "application/vnd.docker.distribution.manifest.v1+json",
        SCHEMA_1,
    ),
    (
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        SCHEMA_1,
    ),
    ("application/vnd.in-toto+json", "an attestation"),
    ("application/vnd.dsse.envelope.v1+json", "an attestation"),
    (
        "application/vnd.dev.cosign.simplesigning.v1+json",
        "a signature of Cosign",
    ),
    ("application/vnd.dev.cosign.", "an artifact of Cosign"),
    ("application/vnd.dev.sigstore.", "an artifact of Sigstore"),
    ("application/vnd.cncf.notary.", "a signature of Notary"),
    ("application/vnd.wasm.", "a WebAssembly module"),
];

/// What an image of Docker before 2016 is.
const SCHEMA_1: &str =
    "an image in Docker's manifest format 1, which registries no longer accept; push it again";

/// Media types that say nothing about a document.
const GENERIC: [&str; 4] = [
    "",
    "application/json",
    "application/octet-stream",
    "text/plain",
];

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// It is not the JSON that it has to be.
    #[error(transparent)]
    Json(#[from] InvalidJson),
    /// It is an index and a manifest at once, or is another one than its media type says.
    #[error("it is an index for some readers and a manifest for others")]
    Both,
    /// A field that it must have is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A digest is malformed.
    #[error("{0}")]
    Digest(#[from] InvalidDigest),
    /// It does not have the digest or the size by which it is named.
    #[error("it has another {0} than the one by which it is named")]
    Other(&'static str),
}

/// What a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A list of images.
    Index(Index),
    /// An image for one platform.
    Manifest(Manifest),
    /// Neither.
    Nothing(NothingToScan),
}

/// What is no image: for people, such as `a Helm chart`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NothingToScan(pub String);

/// A list of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The entries that can be read, in their order.
    pub entries: Vec<Descriptor>,
    /// The others: their places from 0, and why.
    pub invalid: Vec<(usize, InvalidDocument)>,
}

/// An image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What names a document or a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its media type as written; empty if it is missing.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Its platform, if it says one.
    pub platform: Option<Platform>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether it names URLs to get it from. They are never asked.
    pub has_urls: bool,
}

impl Descriptor {
    /// What names these bytes.
    #[must_use]
    pub fn of(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            has_urls: false,
        }
    }

    fn read(object: &Object<'_>) -> Result<Self, InvalidDocument> {
        let digest = object.text("digest")?;
        let digest = digest.ok_or(InvalidDocument::Missing("digest"))?;
        Ok(Self {
            media_type: object.text("mediaType")?.unwrap_or_default(),
            digest: Digest::parse(&digest)?,
            size: object
                .number("size")?
                .ok_or(InvalidDocument::Missing("size"))?,
            platform: Platform::read(object)?,
            annotations: object.texts("annotations")?,
            has_urls: object.has("urls")?,
        })
    }

    fn of_entry(entry: &RawValue, field: &'static str) -> Result<Self, InvalidDocument> {
        Self::read(&Object::of(entry, field)?)
    }

    /// Whether it is what a build says about an image, and no image. One of both marks is not enough: who has only one
    /// of them would hide an image.
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        let (name, value) = ATTESTATION;
        let is_marked = self.annotations.get(name).is_some_and(|kind| kind == value);
        is_marked && self.platform.as_ref().is_some_and(Platform::is_unknown)
    }

    /// What its media type says that it is; none: something else.
    #[must_use]
    pub fn kind(&self) -> Option<ManifestKind> {
        kind(&self.media_type)
    }

    /// The names that it has in a layout: its tag, and the whole reference that containerd writes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let of = |name| self.annotations.get(name).map(String::as_str);
        of(REF_NAME).into_iter().chain(of(IMAGE_NAME))
    }

    /// Whether these bytes are what it names.
    ///
    /// # Errors
    /// They have another size or digest.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), InvalidDocument> {
        if u64::try_from(bytes.len()).ok() != Some(self.size) {
            return Err(InvalidDocument::Other("size"));
        }
        if Hasher::digest(self.digest.algorithm(), bytes) != self.digest {
            return Err(InvalidDocument::Other("digest"));
        }
        Ok(())
    }
}

impl Document {
    /// The document that bytes are. `media_type` is what named it, such as `Content-Type` or a descriptor.
    ///
    /// # Errors
    /// It exceeds a limit or is malformed, or readers disagree about what it is.
    pub fn read(bytes: &[u8], media_type: Option<&str>) -> Result<Self, InvalidDocument> {
        let object = Object::read(bytes, MANIFEST_LIMIT)?;
        if object.number("schemaVersion")? == Some(1) || object.has("fsLayers")? {
            return Ok(Self::Nothing(NothingToScan(SCHEMA_1.to_owned())));
        }
        let own = object.text("mediaType")?.unwrap_or_default();
        let given = media_type.unwrap_or_default();
        let given = given.split(';').next().unwrap_or_default().trim();
        let is_index = object.has("manifests")?;
        let is_manifest = object.has("config")? || object.has("layers")?;
        let kind = match (kind(given), kind(&own)) {
            (Some(given), Some(own)) if given != own => return Err(InvalidDocument::Both),
            (Some(kind), _) | (None, Some(kind)) => Some(kind),
            (None, None) => None,
        };
        if is_index && is_manifest {
            return Err(InvalidDocument::Both);
        }
        let is_generic = |text: &str| GENERIC.iter().any(|known| text.eq_ignore_ascii_case(known));
        match kind {
            Some(ManifestKind::Index) if is_manifest => Err(InvalidDocument::Both),
            Some(ManifestKind::Manifest) if is_index => Err(InvalidDocument::Both),
            Some(ManifestKind::Index) => Self::index(&object),
            Some(ManifestKind::Manifest) => Self::manifest(&object),
            None if !is_generic(given) => Ok(Self::Nothing(artifact(given))),
            None if !is_generic(&own) => Ok(Self::Nothing(artifact(&own))),
            // An index need not say what it is.
            None if is_index => Self::index(&object),
            None if is_manifest => Self::manifest(&object),
            None => Err(InvalidDocument::Missing("manifests")),
        }
    }

    fn index(object: &Object<'_>) -> Result<Self, InvalidDocument> {
        let mut index = Index {
            entries: Vec::new(),
            invalid: Vec::new(),
        };
        let entries = object.list::<ENTRIES_LIMIT>("manifests")?;
        for (place, entry) in entries.into_iter().enumerate() {
            match Descriptor::of_entry(entry, "manifests") {
                Ok(descriptor) => index.entries.push(descriptor),
                Err(error) => index.invalid.push((place, error)),
            }
        }
        Ok(Self::Index(index))
    }

    fn manifest(object: &Object<'_>) -> Result<Self, InvalidDocument> {
        let config = object.object("config")?;
        let config = Descriptor::read(&config.ok_or(InvalidDocument::Missing("config"))?)?;
        if !IMAGE_CONFIGS.contains(&config.media_type.as_str()) {
            return Ok(Self::Nothing(of_config(object, &config)?));
        }
        let layers = object.list::<LAYERS_LIMIT>("layers")?.into_iter();
        let layers: Vec<_> = layers
            .map(|layer| Descriptor::of_entry(layer, "layers"))
            .collect::<Result<_, _>>()?;
        // Signatures and attestations have the configuration of an image, and no layers that could be unpacked.
        let known: Option<Vec<_>> = layers
            .iter()
            .map(|layer| known_artifact(&layer.media_type))
            .collect();
        if let Some(what) = known.and_then(|known| known.first().copied()) {
            return Ok(Self::Nothing(NothingToScan(what.to_owned())));
        }
        let annotations = object.texts("annotations")?;
        Ok(Self::Manifest(Manifest {
            config,
            layers,
            annotations,
        }))
    }
}

/// What a manifest with another configuration than an image's is: its artifact type says, or its configuration.
fn of_config(object: &Object<'_>, config: &Descriptor) -> Result<NothingToScan, InvalidDocument> {
    let own = object.text("artifactType")?.unwrap_or_default();
    Ok(artifact(if own.is_empty() {
        &config.media_type
    } else {
        &own
    }))
}

fn artifact(media_type: &str) -> NothingToScan {
    NothingToScan(match known_artifact(media_type) {
        Some(what) => what.to_owned(),
        None => format!("an artifact of type {}", Excerpt::of(media_type)),
    })
}

fn known_artifact(media_type: &str) -> Option<&'static str> {
    let is_it = |known: &str| {
        media_type == known || (known.ends_with('.') && media_type.starts_with(known))
    };
    let known = ARTIFACTS.iter().find(|(known, _)| is_it(known));
    known.map(|(_, what)| *what)
}

#[cfg(test)]
mod tests;
