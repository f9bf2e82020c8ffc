//! Images of an archive of `docker save` or `podman save`, or a directory with its content.
//!
//! Here: which image of `manifest.json` is meant, and its files. Not here: opening files (`files`).
//! Invariant: names in `manifest.json` lead to files of the archive alone.
//!
//! Until Docker 24 an archive has a directory for each layer, `ID/layer.tar`, some of them links to others. Later ones
//! are OCI layouts, whose `manifest.json` names blobs.

use super::Gathered;
use super::files::Files;
use super::layout::DOCKER_INDEX;
use super::resolve::image;
use bailiff_oci::image::{
    ArchivedImage, CONFIG_LIMIT, Config, LAYER_BYTES_LIMIT, LayerBlob, MANIFEST_LIMIT, Wanted,
    select,
};
use bailiff_oci::{Algorithm, Digest, Hasher, Reference, ShortNames};
use std::collections::BTreeSet;
use std::path::Path;

/// The media type of layers of which the archive says nothing.
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// References that an error lists.
const SHOWN: usize = 20;

/// The image of an archive. The error is a cause and a remedy.
pub(super) fn gather(path: &Path, name: Option<&str>, wanted: &Wanted) -> Result<Gathered, String> {
    let files = Files::open(path)?;
    if !files.has(DOCKER_INDEX) {
        let remedy = if files.has("index.json") {
            "it is an OCI layout; write oci:PATH"
        } else {
            "for a root file system, write dir:PATH"
        };
        return Err(format!(
            "{} is no archive of `docker save`, because it has no {DOCKER_INDEX}; {remedy}",
            path.display()
        ));
    }
    let bytes = files.read(DOCKER_INDEX, MANIFEST_LIMIT)?;
    let listed = ArchivedImage::list(&bytes);
    let listed = listed.map_err(|error| format!("cannot read {DOCKER_INDEX}: {error}"))?;
    let archived = chosen(&listed, name)?;
    let bytes = files.read(&archived.config, CONFIG_LIMIT)?;
    let digest = Hasher::digest(Algorithm::Sha256, &bytes);
    if digest_of_name(&archived.config).is_some_and(|named| named != digest) {
        return Err(format!(
            "cannot read {}: it has another digest than the one by which it is named",
            archived.config
        ));
    }
    let config = Config::read(&bytes);
    let platform = config.platform();
    if let Wanted::Named(other) = wanted
        && select(std::slice::from_ref(&platform), wanted).is_empty()
    {
        return Err(format!(
            "it is for {platform}, not for {other}; remove --platform, or write oci:PATH for an archive with images of several platforms"
        ));
    }
    let mut left = LAYER_BYTES_LIMIT;
    let layers = archived.layers.iter().map(|name| {
        let (size, content) = files.layer(name, None, left);
        left = left.saturating_sub(size);
        LayerBlob {
            digest: digest_of_name(name),
            diff_id: None,
            media_type: LAYER.to_owned(),
            size,
            content,
        }
    });
    let reference = match name.or(archived.tags.first().map(String::as_str)) {
        Some(name) => format!("docker-archive:{}:{name}", path.display()),
        None => format!("docker-archive:{}", path.display()),
    };
    let image = image(
        &reference,
        digest,
        &platform,
        config,
        layers.collect(),
        None,
    );
    Ok(Gathered {
        images: vec![image],
        ..Gathered::default()
    })
}

/// The image with a reference, or the only one.
fn chosen<'a>(
    listed: &'a [ArchivedImage],
    name: Option<&str>,
) -> Result<&'a ArchivedImage, String> {
    let tags: BTreeSet<_> = listed.iter().flat_map(|image| &image.tags).collect();
    let shown: Vec<_> = tags.iter().take(SHOWN).map(|tag| tag.as_str()).collect();
    let shown = shown.join(", ");
    let Some(name) = name else {
        return match listed {
            [] => Err("the archive has no images".to_owned()),
            [image] => Ok(image),
            [_, _, ..] if tags.is_empty() => Err(
                "the archive has several images without references; save the one to scan"
                    .to_owned(),
            ),
            [_, _, ..] => Err(format!(
                "the archive has several images; write docker-archive:PATH:REFERENCE with one of {shown}"
            )),
        };
    };
    let normal = |text: &str| Reference::parse(text, ShortNames::DockerHub).ok();
    let wanted = normal(name);
    let is_it = |tag: &String| tag == name || (wanted.is_some() && normal(tag) == wanted);
    let mut found = listed.iter().filter(|image| image.tags.iter().any(is_it));
    match (found.next(), found.next()) {
        (Some(image), None) => Ok(image),
        (Some(_), Some(_)) => Err(format!("the archive has {name} twice")),
        (None, _) if tags.is_empty() => Err(format!(
            "the archive has no image {name}, and none with another reference; remove the reference"
        )),
        (None, _) => Err(format!("the archive has no image {name}; it has {shown}")),
    }
}

/// The digest by which a file is named, if it is the blob of a layout.
fn digest_of_name(name: &str) -> Option<Digest> {
    let (algorithm, digits) = name.strip_prefix("blobs/")?.split_once('/')?;
    Digest::parse(&format!("{algorithm}:{digits}")).ok()
}
