//! The configuration of an image.
//!
//! Here: what is read of it. Not here: what the history says about the base (`base`).
//! Invariant: a configuration that cannot be read, or a part of it, is a fault and hides no layer.

use super::{CONFIG_LIMIT, InvalidJson, LAYERS_LIMIT, Platform};
use crate::digest::Digest;
use crate::json::Object;
use std::collections::BTreeMap;

/// Most entries of a history. Docker itself allows 127 layers.
const HISTORY_LIMIT: usize = 4_096;

/// What a configuration says about an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// How the image was built, first step first. Empty: it does not say.
    pub history: Vec<History>,
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
    /// Operating system, as written; empty if it is missing.
    pub os: String,
    /// Architecture, as written; empty if it is missing.
    pub architecture: String,
    /// Variant of the architecture, as written; empty if it is missing.
    pub variant: String,
    /// Labels. Whoever built the image chose them.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// What could not be read of the configuration.
    pub faults: Vec<InvalidConfig>,
}

/// A step of the build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The command, as the builder writes it.
    pub created_by: String,
    /// What the builder says about itself.
    pub comment: String,
    /// Whether it made no layer.
    pub empty_layer: bool,
}

/// What of a configuration cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// It, or a field of it, is not the JSON that it has to be.
    #[error("the configuration of the image cannot be read: {0}")]
    Json(#[from] InvalidJson),
    /// A digest of a layer is malformed.
    #[error("the configuration of the image has a malformed digest of layer {layer}")]
    DiffId {
        /// The layer, from 1.
        layer: usize,
    },
    /// The layers are of another kind.
    #[error("the configuration of the image does not describe layers")]
    Type,
}

impl Config {
    /// Reads a configuration. What cannot be read is a fault.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut config = Self::default();
        let result = Object::read(bytes, CONFIG_LIMIT).and_then(|object| config.fill(&object));
        if let Err(error) = result {
            config.faults.push(error.into());
        }
        config
    }

    /// The platform that it says.
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform::of(&self.os, &self.architecture, &self.variant)
    }

    fn fill(&mut self, object: &Object<'_>) -> Result<(), InvalidJson> {
        // Each field by itself, so that none hides another.
        let text = |field| object.text(field).map(Option::unwrap_or_default);
        let (os, architecture, variant) = (text("os"), text("architecture"), text("variant"));
        let history = history(object);
        let labels = labels(object);
        self.rootfs(object)?;
        self.history = history?;
        self.labels = labels?;
        self.os = os?;
        self.architecture = architecture?;
        self.variant = variant?;
        Ok(())
    }

    fn rootfs(&mut self, object: &Object<'_>) -> Result<(), InvalidJson> {
        let Some(rootfs) = object.object("rootfs")? else {
            self.faults.push(InvalidConfig::Type);
            return Ok(());
        };
        if rootfs.text("type")?.as_deref() != Some("layers") {
            self.faults.push(InvalidConfig::Type);
        }
        let diff_ids = rootfs.list::<LAYERS_LIMIT>("diff_ids")?;
        for (place, value) in diff_ids.into_iter().enumerate() {
            let text = serde_json::from_str::<String>(value.get()).ok();
            let Some(digest) = text.and_then(|text| Digest::parse(&text).ok()) else {
                let layer = place.saturating_add(1);
                self.faults.push(InvalidConfig::DiffId { layer });
                // The layers after it would have the digest of another one.
                return Ok(());
            };
            self.diff_ids.push(digest);
        }
        Ok(())
    }
}

fn labels(object: &Object<'_>) -> Result<BTreeMap<String, String>, InvalidJson> {
    match object.object("config")? {
        Some(config) => config.texts("Labels"),
        None => Ok(BTreeMap::new()),
    }
}

fn history(object: &Object<'_>) -> Result<Vec<History>, InvalidJson> {
    let entries = object.list::<HISTORY_LIMIT>("history")?.into_iter();
    entries
        .map(|entry| {
            let entry = Object::of(entry, "history")?;
            Ok(History {
                created_by: entry.text("created_by")?.unwrap_or_default(),
                comment: entry.text("comment")?.unwrap_or_default(),
                empty_layer: entry.flag("empty_layer")?.unwrap_or_default(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn faults(config: &Config) -> Vec<String> {
        config.faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_configuration_says_what_an_image_is() {
        let text = format!(
            r#"{{"created": "2026-01-02T03:04:05Z", "os": "linux", "architecture": "arm64", "variant": "v8",
            "config": {{"Labels": {{"a": "b", "A": "c"}}, "Env": ["X=1"]}},
            "rootfs": {{"type": "layers", "diff_ids": ["{A}"]}},
            "history": [{{"created_by": "ADD", "comment": "x"}}, {{"empty_layer": true}}, {{}}]}}"#
        );
        let config = Config::read(text.as_bytes());
        assert_eq!(config.platform().to_string(), "linux/arm64");
        assert_eq!(config.diff_ids, [Digest::parse(A).unwrap()]);
        assert_eq!(config.labels.len(), 2);
        let added = History {
            created_by: "ADD".to_owned(),
            comment: "x".to_owned(),
            empty_layer: false,
        };
        let empty = History {
            empty_layer: true,
            ..History::default()
        };
        assert_eq!(config.history, [added, empty, History::default()]);
        assert!(config.faults.is_empty(), "{:?}", config.faults);
    }

    #[test]
    fn what_cannot_be_read_of_it_hides_nothing_else() {
        let rootfs = format!(r#""rootfs": {{"type": "layers", "diff_ids": ["{A}"]}}"#);
        for (text, want, diff_ids) in [
            (
                format!(r#"{{"os": 1, {rootfs}}}"#),
                "the configuration of the image cannot be read: os must be a string",
                1,
            ),
            (
                format!(r#"{{"history": [1], {rootfs}}}"#),
                "the configuration of the image cannot be read: history must be a list of objects",
                1,
            ),
            (
                format!(r#"{{"history": [{}{{}}], {rootfs}}}"#, "{},".repeat(4_096)),
                "the configuration of the image cannot be read: history has more than 4096 entries",
                1,
            ),
            (
                format!("{{{rootfs}, {rootfs}}}"),
                "the configuration of the image cannot be read: rootfs is written twice or in other letters, which readers understand differently",
                0,
            ),
            (
                format!(
                    r#"{{"rootfs": {{"type": "layers", "diff_ids": ["{A}", "sha256:0", "{A}"]}}}}"#
                ),
                "the configuration of the image has a malformed digest of layer 2",
                1,
            ),
            (
                format!(r#"{{"rootfs": {{"type": "other", "diff_ids": ["{A}"]}}}}"#),
                "the configuration of the image does not describe layers",
                1,
            ),
            (
                "{}".to_owned(),
                "the configuration of the image does not describe layers",
                0,
            ),
            (
                "[]".to_owned(),
                "the configuration of the image cannot be read: it is not a JSON object",
                0,
            ),
        ] {
            let config = Config::read(text.as_bytes());
            assert_eq!(faults(&config), [want]);
            assert_eq!(config.diff_ids.len(), diff_ids, "{want}");
        }
    }
}
