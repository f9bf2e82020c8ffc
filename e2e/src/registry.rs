//! The cluster's registries, with repositories of a story's own.
//!
//! Here: pushing images for a story, and a registry's faults. Not here: the registries (`testbed`), what
//! Bailiff is told about them (`installation`).
//! Invariant: a repository begins with the story's namespace, so stories do not see each other's images.

use crate::story::Story;
use bailiff_testbed::{Cluster, busybox};
use serde_json::json;

/// A registry, as a story uses it.
#[derive(Debug)]
pub struct Registry {
    server: bailiff_testbed::Registry,
    namespace: String,
}

impl Story {
    /// The registry that everybody can pull from.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.with(Cluster::running().unwrap().registry())
    }

    /// The registry that requires an account.
    #[must_use]
    pub fn private_registry(&self) -> Registry {
        self.with(Cluster::running().unwrap().private_registry())
    }

    fn with(&self, server: anyhow::Result<bailiff_testbed::Registry>) -> Registry {
        Registry {
            server: server.unwrap(),
            namespace: self.namespace.clone(),
        }
    }

    /// Ends the open registry until what is returned is dropped: connections are refused.
    pub fn stop_registry(&self) -> Outage {
        let cluster = Cluster::running().unwrap();
        cluster.stop_registry().unwrap();
        Outage {
            cluster,
            end: Cluster::start_registry,
        }
    }

    /// Freezes the open registry until what is returned is dropped: it accepts connections and does not
    /// answer.
    pub fn freeze_registry(&self) -> Outage {
        let cluster = Cluster::running().unwrap();
        cluster.freeze_registry().unwrap();
        Outage {
            cluster,
            end: Cluster::thaw_registry,
        }
    }
}

impl Registry {
    /// Its host and port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.server.host()
    }

    /// A repository of the story, with the registry's host, as an image reference has it.
    #[must_use]
    pub fn repository(&self, name: &str) -> String {
        format!("{}/{}", self.host(), self.path(name))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    /// A version of the story's own: a node that has an image of the same digest reports the repository that
    /// it came from first.
    fn version(&self, version: &str) -> String {
        format!("{}-{version}", self.namespace)
    }

    /// Pushes busybox under a tag. Each version has a digest of its own, which is returned.
    #[must_use]
    pub fn push(&self, name: &str, tag: &str, version: &str) -> String {
        let mut image = busybox().unwrap();
        image.label("version", &self.version(version));
        self.server.push(&image, &self.path(name), tag).unwrap()
    }

    /// The same as an index of two platforms; the digest of the index.
    #[must_use]
    pub fn push_index(&self, name: &str, tag: &str, version: &str) -> String {
        let mut image = busybox().unwrap();
        image.label("version", &self.version(version));
        let path = self.path(name);
        self.server.push_index(&image, &path, tag).unwrap()
    }

    /// Lets a tag name what a digest or another tag of the repository names.
    pub fn retag(&self, name: &str, reference: &str, tag: &str) {
        let path = self.path(name);
        let _digest = self.server.retag(&path, reference, tag).unwrap();
    }
}

/// A Secret, as a manifest, with the account of the private registry, for a kubelet or for Bailiff.
#[must_use]
pub fn pull_secret(name: &str, namespace: &str) -> String {
    let registry = Cluster::running().unwrap().private_registry().unwrap();
    let account = registry.account().unwrap();
    let auth = json!({"username": account.username, "password": account.password});
    let config = json!({"auths": {registry.host(): auth}});
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {".dockerconfigjson": config.to_string()},
    })
    .to_string()
}

/// A fault of the registry, which ends when this is dropped, also in a story that fails.
#[derive(Debug)]
#[must_use]
pub struct Outage {
    cluster: Cluster,
    end: fn(&Cluster) -> anyhow::Result<()>,
}

impl Drop for Outage {
    fn drop(&mut self) {
        if let Err(error) = (self.end)(&self.cluster) {
            eprintln!("cannot end the registry's fault: {error:#}");
        }
    }
}
