//! What an answer of a registry depends on.
//!
//! Here: the question and its key. Not here: answers (`answers`) and who asks next (`queue`).
//! Invariant: two questions have the same key only if the registry gives them the same answer: an image
//! that one credential can see is never known to be there for another one.

use bailiff_oci::Reference;
use bailiff_oci::persisted::FactKey;
use std::sync::Arc;

/// An image that a review has to know about; `C` is the registry's kind of credential.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<C> {
    /// The image.
    pub(crate) reference: Reference,
    /// The namespace of the pod under review, which the request counts for.
    pub(crate) namespace: String,
    /// A policy in force names the registry literally.
    pub(crate) named_by_policy: bool,
    /// What the registry is asked with; none: anonymously.
    pub(crate) credential: Option<Arc<C>>,
    /// Name, UID and version of the credential, as `name@uid.version`; empty without one. Another version is another
    /// credential.
    pub(crate) credential_key: String,
}

/// What an answer depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Where the registry's requests go.
    pub(super) endpoint: Arc<str>,
    /// The normal form: repository, and digest or else tag.
    reference: Box<str>,
    pub(super) is_tag: bool,
    named_by_policy: bool,
    credential: Box<str>,
}

impl Key {
    pub(super) fn new<C>(endpoint: impl Into<Arc<str>>, wanted: &Wanted<C>) -> Self {
        Self {
            endpoint: endpoint.into(),
            reference: wanted.reference.to_string().into(),
            is_tag: wanted.reference.digest().is_none(),
            named_by_policy: wanted.named_by_policy,
            credential: wanted.credential_key.as_str().into(),
        }
    }

    /// The key of a digest that the tag of this key names; none if this is one of a digest.
    pub(super) fn with_digest(&self, digest: &bailiff_oci::Digest) -> Option<Self> {
        // The normal form of a reference without a digest ends in its tag.
        let (repository, _) = self.reference.rsplit_once(':').filter(|_| self.is_tag)?;
        Some(Self {
            endpoint: Arc::clone(&self.endpoint),
            reference: format!("{repository}@{digest}").into(),
            is_tag: false,
            named_by_policy: self.named_by_policy,
            credential: self.credential.clone(),
        })
    }

    /// The same as a key of what is persisted, which each version of a credential has.
    pub(super) fn of_fact(&self) -> FactKey {
        FactKey {
            endpoint: (*self.endpoint).into(),
            image: self.reference.clone(),
            named_by_policy: self.named_by_policy,
            credential: self.credential().0.into(),
        }
    }

    /// The version of the credential; empty without one.
    pub(super) fn credential_version(&self) -> &str {
        self.credential().1
    }

    /// The Secret, and its version, which has no dot.
    fn credential(&self) -> (&str, &str) {
        let parts = self.credential.rsplit_once('.');
        parts.unwrap_or((&self.credential, ""))
    }

    /// The normal form of the reference.
    pub(super) const fn reference(&self) -> &str {
        &self.reference
    }

    /// Bytes of its texts.
    pub(super) fn text_bytes(&self) -> usize {
        self.endpoint.len() + self.reference.len() + self.credential.len()
    }
}
