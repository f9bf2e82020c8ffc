//! What documents are, and what makes them none.

#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a panic is the report of a test"
)]

use super::*;
use serde_json::{Value, json};

const A: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn descriptor(media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": A, "size": 2})
}

fn read(document: &Value, media_type: Option<&str>) -> Result<Document, InvalidDocument> {
    Document::read(document.to_string().as_bytes(), media_type)
}

fn index(entries: &[Value]) -> Index {
    match read(&json!({"manifests": entries}), Some(INDEX)) {
        Ok(Document::Index(index)) => index,
        other => panic!("{other:?}"),
    }
}

fn nothing(document: &Value, media_type: Option<&str>) -> String {
    match read(document, media_type) {
        Ok(Document::Nothing(NothingToScan(what))) => what,
        other => panic!("{other:?}"),
    }
}

fn manifest(config: &str, layers: &[&str]) -> Value {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(layer)).collect();
    json!({"schemaVersion": 2, "config": descriptor(config), "layers": layers})
}

#[test]
fn a_document_is_what_its_media_type_says() {
    let list = json!({"schemaVersion": 2, "manifests": []});
    let image = manifest(CONFIG, &[LAYER]);
    for (document, given, is_index) in [
        (&list, Some(INDEX), true),
        (&list, Some(LIST), true),
        (&image, Some(MANIFEST), false),
        (
            &image,
            Some("Application/vnd.oci.image.manifest.v1+JSON; charset=utf-8"),
            false,
        ),
        (&image, Some("application/json"), false),
        (&image, None, false),
    ] {
        match read(document, given).unwrap() {
            Document::Index(_) => assert!(is_index),
            Document::Manifest(_) => assert!(!is_index),
            Document::Nothing(what) => panic!("{what:?}"),
        }
    }
    let list = json!({"manifests": [descriptor(MANIFEST)]});
    assert!(matches!(read(&list, None), Ok(Document::Index(_))));
}

#[test]
fn a_document_that_is_two_is_an_error() {
    let list = json!({"manifests": [descriptor(MANIFEST)]});
    let with = |document: &Value, field: &str, value: Value| {
        let mut document = document.clone();
        document[field] = value;
        document
    };
    let image = manifest(CONFIG, &[LAYER]);
    for (document, given) in [
        (
            with(&image, "manifests", json!([descriptor(MANIFEST)])),
            Some(MANIFEST),
        ),
        (
            with(&image, "manifests", json!([descriptor(MANIFEST)])),
            None,
        ),
        (
            with(&list, "layers", json!([descriptor(LAYER)])),
            Some(INDEX),
        ),
        (list.clone(), Some(MANIFEST)),
        (image.clone(), Some(INDEX)),
        (with(&list, "mediaType", json!(MANIFEST)), Some(INDEX)),
        (with(&image, "mediaType", json!(LIST)), Some(MANIFEST)),
        (with(&image, "mediaType", json!(INDEX)), None),
    ] {
        let error = read(&document, given).unwrap_err();
        assert_eq!(error, InvalidDocument::Both, "{given:?} {document}");
    }
    let twice = r#"{"config": {}, "layers": [], "Layers": [1]}"#;
    let error = Document::read(twice.as_bytes(), Some(MANIFEST)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layers is written twice or in other letters, which readers understand differently"
    );
}

#[test]
fn an_entry_that_cannot_be_read_hides_no_other() {
    let mut digest = descriptor(MANIFEST);
    digest["digest"] = json!("sha256:../../etc/passwd");
    let mut size = descriptor(MANIFEST);
    size["size"] = json!(-1);
    let mut platform = descriptor(MANIFEST);
    platform["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
    let index = index(&[digest, json!(7), size, json!({"digest": A}), platform]);
    let platforms: Vec<_> = index.entries.iter().map(|entry| &entry.platform).collect();
    assert_eq!(platforms, [&Some(Platform::parse("linux/arm64").unwrap())]);
    let invalid: Vec<_> = index
        .invalid
        .iter()
        .map(|(place, error)| format!("{place}: {error}"))
        .collect();
    assert_eq!(
        invalid,
        [
            "0: sha256 digest \"../../etc/passwd\" is malformed; write exactly 64 lowercase hexadecimal digits",
            "1: manifests must be a list of objects",
            "2: size must be a number that is not negative",
            "3: size is missing",
        ]
    );
}

#[test]
fn an_attestation_has_both_marks() {
    let entry = |platform: Option<Value>, kind: Option<&str>| {
        let mut entry = descriptor(MANIFEST);
        if let Some(platform) = platform {
            entry["platform"] = platform;
        }
        if let Some(kind) = kind {
            entry["annotations"] = json!({"vnd.docker.reference.type": kind});
        }
        entry
    };
    let unknown = || Some(json!({"os": "unknown", "architecture": "unknown"}));
    let linux = || Some(json!({"os": "linux", "architecture": "amd64"}));
    let of = index(&[
        entry(unknown(), Some("attestation-manifest")),
        entry(unknown(), None),
        entry(unknown(), Some("other")),
        entry(linux(), Some("attestation-manifest")),
        entry(None, Some("attestation-manifest")),
    ]);
    let marked: Vec<_> = of.entries.iter().map(Descriptor::is_attestation).collect();
    assert_eq!(marked, [true, false, false, false, false]);
}

#[test]
fn what_is_no_image_is_named() {
    let schema_1 =
        "an image in Docker's manifest format 1, which registries no longer accept; push it again";
    let prettyjws = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let helm = "application/vnd.cncf.helm.config.v1+json";
    let signature = "application/vnd.dev.cosign.simplesigning.v1+json";
    let mut typed = manifest("application/vnd.oci.empty.v1+json", &[LAYER]);
    typed["artifactType"] = json!("application/x.\u{1b}[31m");
    for (document, given, want) in [
        (
            json!({"schemaVersion": 1, "fsLayers": [{"blobSum": A}]}),
            Some(prettyjws),
            schema_1,
        ),
        (
            json!({"fsLayers": [{"blobSum": A}]}),
            Some(MANIFEST),
            schema_1,
        ),
        (json!({"name": "a"}), Some(prettyjws), schema_1),
        (manifest(helm, &[LAYER]), Some(MANIFEST), "a Helm chart"),
        (
            manifest(CONFIG, &[signature]),
            Some(MANIFEST),
            "a signature of Cosign",
        ),
        (
            manifest(
                CONFIG,
                &[
                    "application/vnd.in-toto+json",
                    "application/vnd.in-toto+json",
                ],
            ),
            Some(MANIFEST),
            "an attestation",
        ),
        (
            manifest("application/vnd.dev.cosign.artifact.sbom.v1+json", &[LAYER]),
            Some(MANIFEST),
            "an artifact of Cosign",
        ),
        (
            manifest("", &[LAYER]),
            Some(MANIFEST),
            "an artifact of type \"\"",
        ),
        (
            typed,
            Some(MANIFEST),
            "an artifact of type \"application/x.\\u{1b}[31m\"",
        ),
        (
            json!({}),
            Some("application/vnd.test"),
            "an artifact of type \"application/vnd.test\"",
        ),
        (
            json!({"mediaType": "application/vnd.test"}),
            None,
            "an artifact of type \"application/vnd.test\"",
        ),
    ] {
        assert_eq!(nothing(&document, given), want, "{document}");
    }
}

#[test]
fn an_image_with_one_layer_that_is_none_is_an_image() {
    let mixed = manifest(CONFIG, &["application/vnd.in-toto+json", LAYER]);
    let odd = manifest(CONFIG, &["application/x"]);
    let empty = manifest(CONFIG, &[]);
    for document in [mixed, odd, empty] {
        assert!(
            matches!(read(&document, Some(MANIFEST)), Ok(Document::Manifest(_))),
            "{document}"
        );
    }
}

#[test]
fn a_foreign_layer_is_marked() {
    let mut document = manifest(CONFIG, &[LAYER, LAYER]);
    document["layers"][1]["urls"] = json!(["https://169.254.169.254/"]);
    match read(&document, Some(MANIFEST)).unwrap() {
        Document::Manifest(manifest) => {
            let marked: Vec<_> = manifest.layers.iter().map(|layer| layer.has_urls).collect();
            assert_eq!(marked, [false, true]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_limit_is_an_error_with_its_name() {
    let layers = vec![LAYER; 513];
    let error = read(&manifest(CONFIG, &layers), Some(MANIFEST)).unwrap_err();
    assert_eq!(error.to_string(), "layers has more than 512 entries");
    assert!(read(&manifest(CONFIG, &layers[1..]), Some(MANIFEST)).is_ok());
    let entries = vec![json!(1); 1_001];
    let error = read(&json!({"manifests": entries}), Some(INDEX)).unwrap_err();
    assert_eq!(error.to_string(), "manifests has more than 1000 entries");
    let long = json!({"a": "a".repeat(MANIFEST_LIMIT)});
    let error = read(&long, Some(INDEX)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it has 4194312 bytes, more than the 4194304 that are read"
    );
}

#[test]
fn bytes_are_what_names_them_or_an_error() {
    let named = |size| Descriptor::of(MANIFEST, Digest::parse(A).unwrap(), size);
    assert_eq!(named(2).verify(b"{}"), Ok(()));
    assert_eq!(
        named(2).verify(b"[]"),
        Err(InvalidDocument::Other("digest"))
    );
    assert_eq!(named(3).verify(b"{}"), Err(InvalidDocument::Other("size")));
}

#[test]
fn what_lacks_its_content_is_an_error() {
    for (document, given, want) in [
        (json!({}), None, "manifests is missing"),
        (
            json!({"layers": [descriptor(LAYER)]}),
            Some(MANIFEST),
            "config is missing",
        ),
        (
            json!({"config": {"mediaType": CONFIG}}),
            Some(MANIFEST),
            "digest is missing",
        ),
    ] {
        assert_eq!(read(&document, given).unwrap_err().to_string(), want);
    }
}
