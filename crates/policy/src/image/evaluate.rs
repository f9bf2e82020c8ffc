//! The verdict of a policy about a pod's images.
//!
//! Here: the rules, in the order in which they are reported. Not here: their wording (`messages`).
//! Invariant: the verdict is a function of the policy and the images; no registry is asked.

use super::compile::CompiledImagePolicy;
use super::images::Image;
use super::messages;
use bailiff_oci::{Reference, ShortNames};

/// A rule of a policy. The order is that of the reports: the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The reference is valid. Every policy has this rule.
    ValidReference,
    /// The repository matches one of `allowedRepositories`.
    AllowedRepositories,
    /// The reference has a digest.
    DigestRequired,
}

impl Rule {
    /// Every rule, the worst first.
    pub const ALL: [Self; 3] = [
        Self::ValidReference,
        Self::AllowedRepositories,
        Self::DigestRequired,
    ];
}

/// A rule that at least one image violates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What people read: the first image that violates it, the number of the others, the remedy.
    pub message: String,
}

/// The verdict of a policy about the images of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Each image that the policy selects can be used.
    Allowed,
    /// Some cannot; each violated rule once, the worst first.
    Denied(Vec<Violation>),
}

/// Evaluates a policy for the images of a pod.
#[must_use]
pub fn evaluate(policy: &CompiledImagePolicy, images: &[Image<'_>]) -> Verdict {
    let parsed: Vec<_> = images
        .iter()
        .map(|image| {
            (
                image,
                Reference::parse(image.reference, ShortNames::DockerHub).ok(),
            )
        })
        .collect();
    let violates = |rule: Rule, reference: Option<&Reference>| match (rule, reference) {
        (Rule::ValidReference, reference) => reference.is_none(),
        // It is reported as an invalid one.
        (_, None) => false,
        (_, Some(reference)) if !is_selected(policy, reference) => false,
        (Rule::AllowedRepositories, Some(reference)) => policy
            .allowed
            .as_ref()
            .is_some_and(|allowed| !allowed.matches(reference)),
        (Rule::DigestRequired, Some(reference)) => {
            policy.digest_required && reference.digest().is_none()
        }
    };
    let violations: Vec<_> = Rule::ALL
        .into_iter()
        .filter_map(|rule| {
            let mut violating = parsed
                .iter()
                .filter(|(_, reference)| violates(rule, reference.as_ref()));
            let (image, reference) = violating.next()?;
            let repository = reference.as_ref().map_or("", Reference::repository);
            let message =
                messages::violation(policy, rule).with(image, repository, violating.count());
            Some(Violation { rule, message })
        })
        .collect();
    if violations.is_empty() {
        Verdict::Allowed
    } else {
        Verdict::Denied(violations)
    }
}

/// Whether the policy applies to an image.
fn is_selected(policy: &CompiledImagePolicy, reference: &Reference) -> bool {
    let included = policy
        .include
        .as_ref()
        .is_none_or(|include| include.matches(reference));
    included && !policy.exclude.matches(reference)
}
