//! The rules of a policy, and those about references as they are written.
//!
//! Here: which images violate which written rule. Not here: the rules that need a registry
//! (`registry`), their wording (`messages`), what follows for the request (`decide`).
//! Invariant: violations are a function of the policy and the references; no registry is asked.

use super::compile::CompiledImagePolicy;
use super::images::Image;
use super::messages;
use bailiff_oci::{Patterns, Reference, ShortNames};

/// A rule about a reference as it is written, which the API server enforces by itself. The order is
/// that of the reports: the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WrittenRule {
    /// The reference is valid. Every policy has this rule.
    ValidReference,
    /// The repository matches one of `allowedRepositories`.
    AllowedRepositories,
    /// The reference has a digest.
    DigestRequired,
}

impl WrittenRule {
    /// Every rule, the worst first.
    pub const ALL: [Self; 3] = [
        Self::ValidReference,
        Self::AllowedRepositories,
        Self::DigestRequired,
    ];
}

/// A rule that depends on the answer of a registry. The order is that of the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegistryRule {
    /// The repository has the image.
    InRepository,
    /// The tag was replaced by its digest.
    Pinned,
    /// The image could be checked.
    Checked,
    /// The registry has answered.
    Answered,
}

/// A rule of a policy. The order is that of the reports: the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// About the reference as it is written.
    Written(WrittenRule),
    /// About the answer of a registry.
    Registry(RegistryRule),
    /// The expression at this place of `spec.validations` is true.
    Validation(usize),
    /// The expression at this place of `spec.validations` can be evaluated.
    Evaluated(usize),
}

/// A rule that at least one image violates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the policy.
    pub policy: String,
    /// The rule.
    pub rule: Rule,
    /// What people read: the first image that violates it, the number of the others, the remedy.
    pub message: String,
}

/// An image with what its reference means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParsedImage<'a> {
    /// The image.
    pub(super) image: Image<'a>,
    /// What the reference names as it is written; none if it is not valid.
    pub(super) written: Option<Reference>,
    /// Its normal form, by which answers of registries are found; empty if it is not valid.
    pub(super) normal: String,
    /// What a pin replaces it by; none if it stays.
    pub(super) pinned: Option<Reference>,
}

impl ParsedImage<'_> {
    /// What the pod will have: the pin if there is one. None if the reference is not valid.
    pub(super) fn reference(&self) -> Option<&Reference> {
        self.pinned.as_ref().or(self.written.as_ref())
    }
}

/// Parses the references of images.
#[must_use]
pub(super) fn parse<'a>(images: &[Image<'a>]) -> Vec<ParsedImage<'a>> {
    let parsed = images.iter().map(|&image| {
        let written = Reference::parse(image.reference, ShortNames::DockerHub).ok();
        ParsedImage {
            image,
            normal: written
                .as_ref()
                .map(Reference::to_string)
                .unwrap_or_default(),
            written,
            pinned: None,
        }
    });
    parsed.collect()
}

/// The violations of the rules about references as they are written, which are those of the rendered policy: each
/// violated rule once, the worst first.
pub(super) fn written(policy: &CompiledImagePolicy, images: &[ParsedImage<'_>]) -> Vec<Violation> {
    // What the policy says comes before the patterns, which take longer.
    let violates = |rule: WrittenRule, reference: Option<&Reference>| match (rule, reference) {
        (WrittenRule::ValidReference, reference) => reference.is_none(),
        // It is reported as an invalid one.
        (WrittenRule::AllowedRepositories | WrittenRule::DigestRequired, None) => false,
        (WrittenRule::AllowedRepositories, Some(reference)) => {
            let is_denied = |allowed: &Patterns| !allowed.matches(reference);
            policy.allowed.as_ref().is_some_and(is_denied) && policy.selects(reference)
        }
        (WrittenRule::DigestRequired, Some(reference)) => {
            policy.requires_written_digest()
                && reference.digest().is_none()
                && policy.digest_rule(reference).is_some()
                && policy.selects(reference)
        }
    };
    let violation = |rule: WrittenRule| {
        let mut violating = images
            .iter()
            .filter(|parsed| violates(rule, parsed.reference()));
        let first = violating.next()?;
        let repository = first.reference().map_or("", Reference::repository);
        let sentence = messages::written(policy, rule);
        Some(Violation {
            policy: policy.name.clone(),
            rule: Rule::Written(rule),
            message: sentence.with(&first.image, repository, violating.count()),
        })
    };
    WrittenRule::ALL.into_iter().filter_map(violation).collect()
}
