//! The cluster's registry, with repositories of a story's own.
//!
//! Here: pushing images for a story, and the registry's faults. Not here: the registry (`testbed`), what
//! Bailiff is told about it (`installation`).
//! Invariant: a repository begins with the story's namespace, so stories do not see each other's images.

use crate::story::Story;
use bailiff_testbed::{Cluster, busybox};

/// The registry, as a story uses it.
#[derive(Debug)]
pub struct Registry {
    cluster: Cluster,
    server: bailiff_testbed::Registry,
    namespace: String,
}

impl Story {
    /// The cluster's registry.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let cluster = Cluster::running().unwrap();
        Registry {
            server: cluster.registry().unwrap(),
            cluster,
            namespace: self.namespace.clone(),
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

    /// Pushes busybox under a tag. Each version has a digest of its own, which is returned.
    #[must_use]
    pub fn push(&self, name: &str, tag: &str, version: &str) -> String {
        let mut image = busybox().unwrap();
        image.label("version", version);
        self.server.push(&image, &self.path(name), tag).unwrap()
    }

    /// The same as an index of two platforms; the digest of the index.
    #[must_use]
    pub fn push_index(&self, name: &str, tag: &str, version: &str) -> String {
        let mut image = busybox().unwrap();
        image.label("version", version);
        let path = self.path(name);
        self.server.push_index(&image, &path, tag).unwrap()
    }

    /// Lets a tag name what a digest or another tag of the repository names.
    pub fn retag(&self, name: &str, reference: &str, tag: &str) {
        let path = self.path(name);
        let _digest = self.server.retag(&path, reference, tag).unwrap();
    }

    /// Ends the registry until what is returned is dropped: connections are refused.
    pub fn stop(&self) -> Outage {
        self.cluster.stop_registry().unwrap();
        Outage {
            cluster: self.cluster.clone(),
            end: Cluster::start_registry,
        }
    }

    /// Freezes the registry until what is returned is dropped: it accepts connections and does not answer.
    pub fn freeze(&self) -> Outage {
        self.cluster.freeze_registry().unwrap();
        Outage {
            cluster: self.cluster.clone(),
            end: Cluster::thaw_registry,
        }
    }
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
