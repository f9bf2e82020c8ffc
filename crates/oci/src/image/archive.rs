//! The list of images in an archive of `docker save`.
//!
//! Here: `manifest.json`. Not here: the files of the archive (`cli`).
//! Invariant: the names of files are what the list says, and are looked up in the archive alone.

use super::{ENTRIES_LIMIT, InvalidJson, LAYERS_LIMIT, MANIFEST_LIMIT};
use crate::json::objects;

/// An image of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedImage {
    /// File with the configuration; empty if it is missing.
    pub config: String,
    /// Its references, such as `nginx:1`.
    pub tags: Vec<String>,
    /// Files of its layers, lowest first.
    pub layers: Vec<String>,
}

impl ArchivedImage {
    /// The images that a `manifest.json` lists.
    ///
    /// # Errors
    /// It exceeds a limit or is malformed.
    pub fn list(bytes: &[u8]) -> Result<Vec<Self>, InvalidJson> {
        let images = objects::<ENTRIES_LIMIT>(bytes, MANIFEST_LIMIT, "manifest.json")?;
        let images = images.iter().map(|image| {
            Ok(Self {
                config: image.text("Config")?.unwrap_or_default(),
                tags: image.text_list::<ENTRIES_LIMIT>("RepoTags")?,
                layers: image.text_list::<LAYERS_LIMIT>("Layers")?,
            })
        });
        images.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_files_of_each_image() {
        let text = r#"[{"Config": "a.json", "RepoTags": null, "Layers": ["b/layer.tar"]},
            {"Config": "c", "RepoTags": ["nginx:1"], "Layers": [], "LayerSources": {}}]"#;
        let images = ArchivedImage::list(text.as_bytes()).unwrap();
        let [first, second] = images.as_slice() else {
            panic!("{images:?}");
        };
        assert_eq!(first.config, "a.json");
        assert_eq!(first.layers, ["b/layer.tar"]);
        assert_eq!(second.tags, ["nginx:1"]);
        for (text, want) in [
            ("{}", "manifest.json must be a list"),
            ("[1]", "manifest.json must be a list of objects"),
            (r#"[{"Layers": [1]}]"#, "Layers must be a list of strings"),
            (
                r#"[{"layers": [], "Layers": []}]"#,
                "Layers is written twice or in other letters, which readers understand differently",
            ),
        ] {
            let error = ArchivedImage::list(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), want, "{text}");
        }
    }
}
