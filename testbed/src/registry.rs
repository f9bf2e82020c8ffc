//! Two real registries beside the cluster, which nodes, pods and tests reach: one that everybody can pull
//! from, and one with an account.
//!
//! Here: their configuration and start, the nodes' trust in them, pushing images. Not here: the contents
//! of images (`image`), HTTP (`client`), a mirror that lies (`mirror`), other faults (`fault`).
//! Invariant: a registry has only what was pushed to it, and all of it goes with the cluster.

mod client;
mod mirror;

use crate::cluster::Cluster;
use crate::image::{Architecture, INDEX, Image, MANIFEST, descriptor, digest, index};
use crate::process::{Process, until};
use crate::{network, state};
use anyhow::{Context as _, Result};
use client::{Client, Method};
pub use mirror::LyingMirror;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One of the registries.
#[derive(Debug)]
pub(crate) struct Server {
    /// The name of its process.
    pub(crate) name: &'static str,
    address: &'static str,
    account: Option<Account>,
}

/// The account that a registry requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub username: &'static str,
    /// Its password, which protects nothing: the registry lives as long as a test cluster.
    pub password: &'static str,
    /// The password as the registry knows it (bcrypt).
    hash: &'static str,
}

/// The registry that everybody can pull from and push to.
pub(crate) const OPEN: Server = Server {
    name: "registry",
    address: network::REGISTRY,
    account: None,
};

/// The registry with an account.
const PRIVATE: Server = Server {
    name: "private-registry",
    address: network::PRIVATE_REGISTRY,
    account: Some(Account {
        username: "testbed",
        password: "testbed-password",
        hash: "$2a$04$hso5zzOZmoZ61dD2aL.YYuQXV3kfZY80J.ROajErCQbSXmK.rnNRW",
    }),
};

/// All of them.
const SERVERS: [&Server; 2] = [&OPEN, &PRIVATE];

/// Starts all registries; [`wait`] returns when they answer.
pub(crate) fn start(programs: &Path) -> Result<()> {
    SERVERS.iter().try_for_each(|server| server.start(programs))
}

/// Waits until all registries answer.
pub(crate) fn wait() -> Result<()> {
    SERVERS.iter().try_for_each(|server| server.wait())
}

impl Server {
    pub(crate) fn start(&self, programs: &Path) -> Result<()> {
        let name = self.name;
        anyhow::ensure!(
            !Process::recorded(name).is_ok_and(|process| process.runs()),
            "the {name} runs already"
        );
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "info"},
            "storage": {
                "filesystem": {"rootdirectory": state::text(&format!("{name}/storage"))},
                "delete": {"enabled": true},
                "maintenance": {"uploadpurging": {"enabled": false}},
            },
            "http": {
                "addr": self.address,
                // Signs the state of uploads. If unset, each start has another one and logs a warning.
                "secret": "bailiff-testbed",
                "tls": {
                    "certificate": state::text("pki/registry.crt"),
                    "key": state::text("pki/registry.key"),
                },
            },
        });
        if let Some(account) = &self.account {
            let line = format!("{}:{}\n", account.username, account.hash);
            let file = state::write(format!("{name}/htpasswd"), line)?;
            config["auth"] = json!({"htpasswd": {"realm": name, "path": file}});
        }
        // Its configuration is YAML, which JSON is a part of.
        let config = state::write(format!("{name}/config.yml"), config.to_string())?;
        Process::start(
            name,
            Command::new(programs.join("registry"))
                .arg("serve")
                .arg(config)
                // If unset, it sends traces to a port of this machine.
                .env("OTEL_TRACES_EXPORTER", "none"),
        )?;
        Ok(())
    }

    /// Writes what a node's containerd must know to pull from it: first from `mirror` (`http://HOST:PORT`), if
    /// there is one. containerd reads the file for each image.
    fn trusted_by(&self, node: &str, mirror: Option<&str>) -> Result<()> {
        let (address, ca) = (self.address, state::text("pki/ca.crt"));
        let can = "capabilities = [\"pull\", \"resolve\"]";
        let mirror = mirror.map(|mirror| format!("[host.\"{mirror}\"]\n  {can}\n"));
        let mirror = mirror.unwrap_or_default();
        let hosts = format!(
            "server = \"https://{address}\"\n{mirror}[host.\"https://{address}\"]\n  {can}\n  ca = \"{ca}\"\n"
        );
        state::write(format!("{node}/certs.d/{address}/hosts.toml"), hosts).map(drop)
    }

    pub(crate) fn wait(&self) -> Result<()> {
        let process = Process::recorded(self.name)?;
        let registry = Registry::connect(self)?;
        let ready = until(Duration::from_mins(2), || {
            !process.runs() || registry.answers().is_ok()
        });
        anyhow::ensure!(
            ready && process.runs(),
            "the {} does not answer: see {}",
            self.name,
            state::text(&format!("logs/{}.log", self.name))
        );
        Ok(())
    }
}

/// Writes what a node's containerd must know to pull from the registries; the directory with it.
pub(crate) fn trusted_by(node: &str) -> Result<PathBuf> {
    for server in SERVERS {
        server.trusted_by(node, None)?;
    }
    Ok(state::path(format!("{node}/certs.d")))
}

impl Cluster {
    /// The registry that everybody can pull from and push to.
    ///
    /// # Errors
    /// When the cluster's certificate authority cannot be read.
    pub fn registry(&self) -> Result<Registry> {
        Registry::connect(&OPEN)
    }

    /// The registry that requires an account.
    ///
    /// # Errors
    /// When the cluster's certificate authority cannot be read.
    pub fn private_registry(&self) -> Result<Registry> {
        Registry::connect(&PRIVATE)
    }
}

/// A registry of the running cluster.
#[derive(Debug)]
pub struct Registry {
    client: Client,
    address: &'static str,
    account: Option<Account>,
    ca_bundle: String,
}

impl Registry {
    fn connect(server: &Server) -> Result<Self> {
        let path = state::path("pki/ca.crt");
        let ca_bundle = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            client: Client::new(server.address, server.account, &ca_bundle)?,
            address: server.address,
            account: server.account,
            ca_bundle,
        })
    }

    /// Its host and port, as image references begin.
    #[must_use]
    pub const fn host(&self) -> &'static str {
        self.address
    }

    /// The account that it requires; absent if everybody can pull and push.
    #[must_use]
    pub const fn account(&self) -> Option<Account> {
        self.account
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
