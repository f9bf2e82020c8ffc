//! Pins: tags of a pod that are replaced by the digests that they name.
//!
//! Here: which reference is pinned to what, and where it stands in the pod. Not here: resolving a tag
//! (`oci`), writing the patch (`webhook`).
//! Invariant: a pin has the repository of the reference that it replaces, and the digest is the one that
//! was checked.

use super::bind::BoundPolicy;
use super::evaluate::ParsedImage;
use super::images::{Image, ImageUser};
use super::registry::{Lookups, Question, question};
use bailiff_oci::{Digest, Lookup, Reference, ShortNames};
use serde_json::Value as Json;

/// The start of the annotation that has the original reference of a container, which follows as its name.
pub const ORIGINAL_IMAGE: &str = "image.bailiff.dev/";

/// The start of the annotation that has the original reference of an image volume.
pub const ORIGINAL_VOLUME: &str = "image-volume.bailiff.dev/";

/// A reference of a pod that is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// JSON pointer of the reference in the pod.
    pub pointer: String,
    /// The annotation that records the original; none for an ephemeral container, because an update of
    /// these cannot change annotations.
    pub annotation: Option<String>,
    /// The reference as written.
    pub original: String,
    /// The reference that replaces it: repository and digest.
    pub pinned: String,
}

impl Pin {
    /// Changes a Pod as the pin says. One that has no such reference stays as it is.
    pub fn apply(&self, pod: &mut Json) {
        let Some(reference) = pod.pointer_mut(&self.pointer) else {
            return;
        };
        *reference = self.pinned.as_str().into();
        let Some(annotation) = &self.annotation else {
            return;
        };
        let metadata = pod.get_mut("metadata").and_then(Json::as_object_mut);
        let annotations = metadata.and_then(|metadata| {
            metadata
                .entry("annotations")
                .or_insert_with(|| serde_json::json!({}))
                .as_object_mut()
        });
        if let Some(annotations) = annotations {
            annotations.insert(annotation.clone(), self.original.as_str().into());
        }
    }

    fn new(image: &Image<'_>, reference: &Reference, digest: &Digest) -> Self {
        Self {
            pointer: pointer(image),
            annotation: annotation(image),
            original: image.reference.to_owned(),
            pinned: format!("{}@{digest}", reference.repository()),
        }
    }
}

/// JSON pointer of the reference of an image.
fn pointer(image: &Image<'_>) -> String {
    let (field, index) = (image.user.field(), image.index);
    let rest = match image.user {
        ImageUser::Container | ImageUser::InitContainer | ImageUser::EphemeralContainer => "image",
        ImageUser::ImageVolume => "image/reference",
    };
    format!("/spec/{field}/{index}/{rest}")
}

/// The annotation that records the original reference of an image.
fn annotation(image: &Image<'_>) -> Option<String> {
    match image.user {
        ImageUser::Container | ImageUser::InitContainer => {
            Some(format!("{ORIGINAL_IMAGE}{}", image.name))
        }
        ImageUser::ImageVolume => Some(format!("{ORIGINAL_VOLUME}{}", image.name)),
        ImageUser::EphemeralContainer => None,
    }
}

/// Whether a bound policy that denies pins the tag of a reference.
fn is_pinned(bound: &[BoundPolicy<'_>], reference: &Reference) -> bool {
    bound
        .iter()
        .any(|bound| bound.actions.deny && question(bound.policy, reference) == Some(Question::Tag))
}

/// Pins an image, if the answer of its registry allows it. A tag without an answer is not pinned.
pub(super) fn pin(
    bound: &[BoundPolicy<'_>],
    parsed: &mut ParsedImage<'_>,
    lookups: &Lookups,
) -> Option<Pin> {
    let reference = parsed.written.as_ref()?;
    if !is_pinned(bound, reference) {
        return None;
    }
    let pin = match lookups.get(&parsed.normal)? {
        Lookup::Found { facts, .. } => Pin::new(&parsed.image, reference, &facts.digest),
        Lookup::NotFound(_) | Lookup::Pending | Lookup::Failed(_) => return None,
    };
    parsed.pinned = Some(Reference::parse(&pin.pinned, ShortNames::DockerHub).ok()?);
    Some(pin)
}

/// The pin of a tag that a pod was updated back to, as by applying its manifest again: the digest that
/// the old pod has for it. A pod is not restarted with another image, and no registry is asked.
///
/// None if the image had another name before, is not of the same repository, or no policy pins it.
pub(super) fn kept(bound: &[BoundPolicy<'_>], parsed: &ParsedImage<'_>, old: &Json) -> Option<Pin> {
    let reference = parsed.written.as_ref()?;
    if !is_pinned(bound, reference) {
        return None;
    }
    // The annotation is the tenant's: it selects only between the digest that runs and a new one.
    let original = &old["metadata"]["annotations"][annotation(&parsed.image)?];
    if original.as_str() != Some(parsed.image.reference) {
        return None;
    }
    let before = super::images::all(old)
        .find(|image| image.user == parsed.image.user && image.name == parsed.image.name)?;
    let before = Reference::parse(before.reference, ShortNames::DockerHub).ok()?;
    let digest = before.digest()?;
    (before.repository() == reference.repository())
        .then(|| Pin::new(&parsed.image, reference, digest))
}
