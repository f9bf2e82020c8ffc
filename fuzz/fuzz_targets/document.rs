//! Law: what a registry or a layout sends as an index, a manifest or a configuration has entries up to the limits, or an
//! error that can be printed. No document is an index for one reader and a manifest for another.
//!
//! An input is a media type and, after `|`, the document. It is read as each of the kinds.

#![no_main]

use bailiff_oci::image::{
    ArchivedImage, Base, Config, Descriptor, Document, ENTRIES_LIMIT, LAYERS_LIMIT, base_layers,
    history_of_layers,
};
use libfuzzer_sys::fuzz_target;
use std::fmt::Display;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The most memory that an input takes, in bytes.
const MEMORY: u64 = 4 << 20;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'|');
    let (media_type, document) = input.split_at(end.unwrap_or_default());
    let document = document.strip_prefix(b"|").unwrap_or(document);
    let Ok(media_type) = str::from_utf8(media_type) else {
        return;
    };
    let taken = allocation_counter::measure(|| read(media_type, document));
    assert!(taken.bytes_max < MEMORY, "{} bytes", taken.bytes_max);
});

fn read(media_type: &str, bytes: &[u8]) {
    laws(bytes, Some(media_type));
    laws(bytes, None);
    let is_index = matches!(laws(bytes, Some(INDEX)), Some(Document::Index(_)));
    let is_manifest = matches!(laws(bytes, Some(MANIFEST)), Some(Document::Manifest(_)));
    assert!(!is_index || !is_manifest, "it is both");

    let config = Config::read(bytes);
    assert!(config.diff_ids.len() <= LAYERS_LIMIT);
    config.faults.iter().for_each(printable);
    for layers in 0..=config.history.len().min(4) {
        let is_of_layers = history_of_layers(&config.history, layers).is_some();
        match base_layers(&config.history, layers) {
            Base::Guessed { layers: base } => assert!(is_of_layers && (1..layers).contains(&base)),
            Base::Unknown => {}
        }
    }
    match ArchivedImage::list(bytes) {
        Ok(images) => assert!(
            images
                .iter()
                .all(|image| image.layers.len() <= LAYERS_LIMIT)
        ),
        Err(error) => printable(&error),
    }
}

/// The document, within its limits.
fn laws(bytes: &[u8], media_type: Option<&str>) -> Option<Document> {
    let document = match Document::read(bytes, media_type) {
        Ok(document) => document,
        Err(error) => {
            printable(&error);
            return None;
        }
    };
    match &document {
        Document::Index(index) => {
            let count = index.entries.len() + index.invalid.len();
            assert!(count <= ENTRIES_LIMIT);
            let places = index.invalid.iter().map(|(place, _)| *place);
            let mut last = None;
            for place in places {
                assert!(last < Some(place) && place < count);
                last = Some(place);
            }
            index.invalid.iter().for_each(|(_, error)| printable(error));
            index.entries.iter().for_each(descriptor);
        }
        Document::Manifest(manifest) => {
            assert!(manifest.layers.len() <= LAYERS_LIMIT);
            descriptor(&manifest.config);
            manifest.layers.iter().for_each(descriptor);
        }
        Document::Nothing(nothing) => printable(&nothing.0),
    }
    Some(document)
}

fn descriptor(of: &Descriptor) {
    // An image with a platform is never taken for an attestation.
    let is_unknown = of.platform.as_ref().is_some_and(|of| of.is_unknown());
    assert!(!of.is_attestation() || is_unknown);
    assert!(of.names().count() <= 2);
}

fn printable(text: &impl Display) {
    let text = text.to_string();
    assert!(!text.is_empty() && text.len() < 500, "{text}");
    assert!(text.chars().all(|c| !c.is_control()), "{text:?}");
}
