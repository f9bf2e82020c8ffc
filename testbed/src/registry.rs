//! A real registry beside the cluster, which nodes, pods and tests reach.
//!
//! Here: its configuration and start, the nodes' trust in it, pushing images. Not here: the contents of
//! images (`image`), HTTP (`client`), faults (`fault`).
//! Invariant: it has only what was pushed to it, and all of it goes with the cluster.

mod client;

use crate::cluster::Cluster;
use crate::image::{Architecture, INDEX, Image, MANIFEST, descriptor, digest, index};
use crate::process::{Process, until};
use crate::{network, state};
use anyhow::{Context as _, Result};
use client::{Client, Method};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The name of its process.
pub(crate) const NAME: &str = "registry";

/// Starts the registry; [`wait`] returns when it answers.
pub(crate) fn start(programs: &Path) -> Result<()> {
    anyhow::ensure!(
        !Process::recorded(NAME).is_ok_and(|process| process.runs()),
        "the registry runs already"
    );
    let config = json!({
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {
            "filesystem": {"rootdirectory": state::text("registry/storage")},
            "delete": {"enabled": true},
            "maintenance": {"uploadpurging": {"enabled": false}},
        },
        "http": {
            "addr": network::REGISTRY,
            // Signs the state of uploads. If unset, each start has another one and logs a warning.
            "secret": "bailiff-testbed",
            "tls": {
                "certificate": state::text("pki/registry.crt"),
                "key": state::text("pki/registry.key"),
            },
        },
    });
    // Its configuration is YAML, which JSON is a part of.
    let config = state::write("registry/config.yml", config.to_string())?;
    Process::start(
        NAME,
        Command::new(programs.join("registry"))
            .arg("serve")
            .arg(config)
            // If unset, it sends traces to a port of this machine.
            .env("OTEL_TRACES_EXPORTER", "none"),
    )?;
    Ok(())
}

/// Waits until the registry answers.
pub(crate) fn wait() -> Result<()> {
    let process = Process::recorded(NAME)?;
    let registry = Registry::connect()?;
    let ready = until(Duration::from_mins(2), || {
        !process.runs() || registry.answers().is_ok()
    });
    anyhow::ensure!(
        ready && process.runs(),
        "the registry does not answer: see {}",
        state::text("logs/registry.log")
    );
    Ok(())
}

/// Writes what a node's containerd must know to pull from the registry; the directory with it.
pub(crate) fn trusted_by(node: &str) -> Result<PathBuf> {
    let server = format!("https://{}", network::REGISTRY);
    state::write(
        format!("{node}/certs.d/{}/hosts.toml", network::REGISTRY),
        format!(
            "server = \"{server}\"\n[host.\"{server}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"{}\"\n",
            state::text("pki/ca.crt")
        ),
    )?;
    Ok(state::path(format!("{node}/certs.d")))
}

impl Cluster {
    /// The cluster's registry.
    ///
    /// # Errors
    /// When its certificate authority cannot be read.
    pub fn registry(&self) -> Result<Registry> {
        Registry::connect()
    }
}

/// The registry of the running cluster.
#[derive(Debug)]
pub struct Registry {
    client: Client,
    ca_bundle: String,
}

impl Registry {
    fn connect() -> Result<Self> {
        let path = state::path("pki/ca.crt");
        let ca_bundle = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            client: Client::new(network::REGISTRY, &ca_bundle)?,
            ca_bundle,
        })
    }

    /// Its host and port, as image references begin.
    #[must_use]
    pub const fn host(&self) -> &'static str {
        network::REGISTRY
    }

    /// The certificates, in PEM, that its own is signed with.
    #[must_use]
    pub fn ca_bundle(&self) -> &str {
        &self.ca_bundle
    }

    fn answers(&self) -> Result<()> {
        self.client
            .send(Method::GET, "/v2/", None)?
            .expect(&[200])?;
        Ok(())
    }

    /// Pushes an image for this machine's platform under a tag; the digest of its manifest.
    ///
    /// # Errors
    /// When the registry rejects it or does not answer.
    pub fn push(&self, image: &Image, repository: &str, tag: &str) -> Result<String> {
        let manifest = self.push_contents(image, repository, Architecture::HERE)?;
        self.put(repository, tag, MANIFEST, &manifest)
    }

    /// Pushes an image under a tag as an index of two platforms, of which this machine's is one; the digest
    /// of the index.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub fn push_index(&self, image: &Image, repository: &str, tag: &str) -> Result<String> {
        let mut entries = Vec::new();
        for architecture in Architecture::ALL {
            let manifest = self.push_contents(image, repository, architecture)?;
            let reference = digest(manifest.as_bytes());
            self.put(repository, &reference, MANIFEST, &manifest)?;
            let mut entry = descriptor(MANIFEST, manifest.as_bytes());
            entry["platform"] = json!({"os": "linux", "architecture": architecture.as_str()});
            entries.push(entry);
        }
        self.put(repository, tag, INDEX, &index(&entries))
    }

    /// Lets a tag name what `reference` (a tag or digest of the same repository) names; the digest.
    ///
    /// # Errors
    /// When the repository does not have it, or the registry does not answer.
    pub fn retag(&self, repository: &str, reference: &str, tag: &str) -> Result<String> {
        let answer = self
            .client
            .send(Method::GET, &manifest_path(repository, reference), None)?
            .expect(&[200])?;
        let media_type = answer.header("content-type")?.to_owned();
        let manifest = String::from_utf8(answer.body).context("a manifest is not text")?;
        self.put(repository, tag, &media_type, &manifest)
    }

    /// Deletes a tag, or a manifest if `reference` is a digest.
    ///
    /// # Errors
    /// When the repository does not have it, or the registry does not answer.
    pub fn delete(&self, repository: &str, reference: &str) -> Result<()> {
        self.client
            .send(Method::DELETE, &manifest_path(repository, reference), None)?
            .expect(&[202])?;
        Ok(())
    }

    /// The digest that a tag or digest of a repository names; absent if the repository does not have it.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub fn digest(&self, repository: &str, reference: &str) -> Result<Option<String>> {
        let answer = self
            .client
            .send(Method::HEAD, &manifest_path(repository, reference), None)?
            .expect(&[200, 404])?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer
            .header("docker-content-digest")
            .map(|digest| Some(digest.to_owned()))
    }

    /// Pushes layer and configuration; the manifest, which is not pushed.
    fn push_contents(
        &self,
        image: &Image,
        repository: &str,
        architecture: Architecture,
    ) -> Result<String> {
        let contents = image.contents(architecture);
        self.push_blob(repository, contents.layer)?;
        self.push_blob(repository, contents.config.into_bytes())?;
        Ok(contents.manifest)
    }

    fn push_blob(&self, repository: &str, blob: Vec<u8>) -> Result<()> {
        let digest = digest(&blob);
        let path = format!("/v2/{repository}/blobs/{digest}");
        let there = self
            .client
            .send(Method::HEAD, &path, None)?
            .expect(&[200, 404])?;
        if there.status == 200 {
            return Ok(());
        }
        let path = format!("/v2/{repository}/blobs/uploads/");
        let started = self
            .client
            .send(Method::POST, &path, None)?
            .expect(&[202])?;
        let place = started.header("location")?;
        let separator = if place.contains('?') { '&' } else { '?' };
        let place = format!("{place}{separator}digest={digest}");
        self.client
            .send(
                Method::PUT,
                &place,
                Some(("application/octet-stream", blob)),
            )?
            .expect(&[201])?;
        Ok(())
    }

    fn put(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        manifest: &str,
    ) -> Result<String> {
        let body = (media_type, manifest.as_bytes().to_vec());
        self.client
            .send(
                Method::PUT,
                &manifest_path(repository, reference),
                Some(body),
            )?
            .expect(&[201])?;
        Ok(digest(manifest.as_bytes()))
    }
}

fn manifest_path(repository: &str, reference: &str) -> String {
    format!("/v2/{repository}/manifests/{reference}")
}
