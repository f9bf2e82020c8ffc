//! The images of a pod.
//!
//! Here: every place of a Pod that names an image. Not here: parsing a reference (`oci`).
//! Invariant: what the kubelet pulls for a pod is in the list; the rendered policy lists the same
//! (`render`).

use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fmt;

/// The part of a pod that uses an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageUser {
    /// One of `spec.containers`.
    Container,
    /// One of `spec.initContainers`.
    InitContainer,
    /// One of `spec.ephemeralContainers`.
    EphemeralContainer,
    /// One of `spec.volumes` with `image`.
    ImageVolume,
}

impl ImageUser {
    /// Every one, in the order of the list.
    pub const ALL: [Self; 4] = [
        Self::Container,
        Self::InitContainer,
        Self::EphemeralContainer,
        Self::ImageVolume,
    ];

    /// The field of a pod's spec that lists them.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Container => "containers",
            Self::InitContainer => "initContainers",
            Self::EphemeralContainer => "ephemeralContainers",
            Self::ImageVolume => "volumes",
        }
    }
}

impl fmt::Display for ImageUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "Container",
            Self::InitContainer => "Init container",
            Self::EphemeralContainer => "Ephemeral container",
            Self::ImageVolume => "Image volume",
        })
    }
}

/// An image that a pod names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The part of the pod that uses it.
    pub user: ImageUser,
    /// Its position in the list of the pod's spec, from 0.
    pub index: usize,
    /// Name of the container or volume. The API server allows DNS labels alone.
    pub name: &'a str,
    /// The reference as written; empty if there is none.
    pub reference: &'a str,
}

/// The images of a pod that its previous version does not have; without one, all of them. A container that
/// uses the reference of another one is new: a tag can name another image by then, and an expression can
/// read the rest of the container.
///
/// `pod` and `old` are Pods as JSON. What is not a list, an object or a string counts as absent.
#[must_use]
pub fn images<'a>(pod: &'a Json, old: Option<&Json>) -> Vec<Image<'a>> {
    let known: BTreeSet<_> = old
        .into_iter()
        .flat_map(all)
        .map(|image| (image.user, image.name, image.reference))
        .collect();
    all(pod)
        .filter(|image| !known.contains(&(image.user, image.name, image.reference)))
        .collect()
}

/// The pod that the controller of a workload creates from a pod template, in a namespace.
#[must_use]
pub fn pod_of_template(namespace: &str, template: &Json) -> Json {
    let mut metadata = serde_json::json!({"namespace": namespace});
    for field in ["labels", "annotations"] {
        let value = &template["metadata"][field];
        if value.is_object() {
            metadata[field] = value.clone();
        }
    }
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"],
    })
}

pub(super) fn all(pod: &Json) -> impl Iterator<Item = Image<'_>> {
    ImageUser::ALL.into_iter().flat_map(move |user| {
        let list = pod["spec"][user.field()].as_array();
        list.into_iter()
            .flatten()
            .enumerate()
            .filter_map(move |(index, entry)| image(user, index, entry))
    })
}

fn image(user: ImageUser, index: usize, entry: &Json) -> Option<Image<'_>> {
    let reference = match user {
        ImageUser::Container | ImageUser::InitContainer | ImageUser::EphemeralContainer => {
            &entry["image"]
        }
        ImageUser::ImageVolume => &entry.get("image")?["reference"],
    };
    Some(Image {
        user,
        index,
        name: entry["name"].as_str().unwrap_or_default(),
        reference: reference.as_str().unwrap_or_default(),
    })
}
