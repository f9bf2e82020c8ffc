//! The decision about a pod under review: from the policies that apply to it and the answers of registries
//! to pins, denials and warnings.
//!
//! Here: the two steps of a review, what has to be looked up and what follows. Not here: the rules
//! (`evaluate`, `registry`, `validations`), looking up (`oci`), the response to the API server (`webhook`).
//! Invariant: a decision is a function of its arguments. What it pins is what it checked. A tag that an
//! expression denies is not pinned, so that the validating step denies it, too.

use super::bind::{Actions, BoundPolicy};
use super::evaluate::{ParsedImage, Violation, parse};
use super::images::{ImageUser, images};
use super::pins::{Pin, kept, pin};
use super::registry::{Lookups, Tags, check, question};
use super::validations::{Subject, Validated, View, budget, validate};
use bailiff_oci::Reference;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The step of admission that a pod is reviewed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The pod can be changed: tags are pinned, and the decision is about the pod with its pins.
    Mutating,
    /// The pod is as it will be stored: tags that should have been pinned are denied.
    Validating,
}

/// A pod under review.
#[derive(Clone, Copy, Debug)]
pub struct PodReview<'a> {
    /// The Pod as JSON.
    pub pod: &'a Json,
    /// The Pod before an update.
    pub old: Option<&'a Json>,
    /// The Namespace of the pod as JSON, for `namespaceObject`. Without it, an expression that reads it
    /// cannot be evaluated, which is a violation.
    pub namespace: Option<&'a Json>,
    /// The one image that the decision is about, by its list and its position there; none: each image that
    /// is new.
    pub only: Option<(ImageUser, usize)>,
    /// The step of admission.
    pub stage: Stage,
}

impl<'a> PodReview<'a> {
    /// The images that the decision is about.
    fn images(&self) -> Vec<ParsedImage<'a>> {
        let mut images = images(self.pod, self.old);
        if let Some((user, index)) = self.only {
            images.retain(|image| image.user == user && image.index == index);
        }
        parse(&images)
    }
}

/// What follows for a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// References that are replaced. Empty in [`Stage::Validating`].
    pub pins: Vec<Pin>,
    /// Violations of policies that are bound with Deny, the worst first.
    pub denied: Vec<Violation>,
    /// Violations of policies that are bound with Warn, the worst first.
    pub warned: Vec<Violation>,
    /// Violations of policies that are bound with Audit, the worst first.
    pub audited: Vec<Violation>,
    /// Those of the violations that no later step sees. Empty in [`Stage::Validating`].
    pub replaced: Replaced,
    /// What people have to know about images that were allowed without a check, or by an old one, each once.
    pub notes: Vec<String>,
    /// References that no policy selects, as written.
    pub uncovered: Vec<String>,
}

/// Violations by a tag that a pin replaces. There are none of policies that are bound with Deny: what these
/// deny is not pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Of policies that are bound with Warn.
    pub warned: Vec<Violation>,
    /// Of policies that are bound with Audit.
    pub audited: Vec<Violation>,
}

/// The references that have to be looked up before [`decide`], each once.
#[must_use]
pub fn references_to_look_up(
    bound: &[BoundPolicy<'_>],
    review: &PodReview<'_>,
) -> BTreeMap<String, Reference> {
    let (_, rest) = keep(bound, review.images(), review);
    let written = rest
        .into_iter()
        .filter_map(|parsed| Some((parsed.normal, parsed.written?)));
    written
        .filter(|(_, reference)| {
            let asks = |bound: &BoundPolicy<'_>| question(bound.policy, reference).is_some();
            bound.iter().any(asks)
        })
        .collect()
}

/// Decides about a pod. `lookups` has the answers about what [`references_to_look_up`] names.
#[must_use]
pub fn decide(bound: &[BoundPolicy<'_>], review: &PodReview<'_>, lookups: &Lookups) -> Decision {
    let (mut decided, mut images) = keep(bound, review.images(), review);
    let budget = budget(
        bound
            .iter()
            .filter(|b| !b.policy.validations.is_empty())
            .count(),
    );
    let subject = Subject {
        pod: review.pod,
        namespace: review.namespace,
    };
    let written = as_written(bound, &images, subject, budget);
    let denied = denied(bound, &written);
    if review.stage == Stage::Mutating {
        let wanted = images.iter_mut().enumerate();
        // With its tag, the validating step denies it for the reason that is true.
        let wanted = wanted.filter(|(at, _)| !denied.contains(at));
        decided.extend(wanted.filter_map(|(_, parsed)| pin(bound, parsed, lookups)));
    }
    let pinned = budget.and_then(|_| with_references(review.pod, &decided));
    let subject = Subject {
        pod: pinned.as_ref().unwrap_or(review.pod),
        ..subject
    };
    let mut decision = Decision {
        pins: decided,
        uncovered: uncovered(bound, &images),
        ..Decision::default()
    };
    for (bound, by_tag) in bound.iter().zip(written) {
        let tags = |at| match review.stage {
            Stage::Validating if bound.actions.deny && !denied.contains(&at) => Tags::ArePinned,
            Stage::Validating | Stage::Mutating => Tags::AreResolved,
        };
        let mut violations = super::evaluate::written(bound.policy, &images);
        let checked = check(bound.policy, tags, &images, lookups);
        violations.extend(checked.violations);
        if let Some(budget) = budget {
            let left = budget.saturating_sub(by_tag.spent);
            let stored = validate(bound.policy, View::Stored, &images, subject, left);
            violations.extend(
                stored
                    .violations
                    .into_iter()
                    .map(|(violation, _)| violation),
            );
        }
        for (violation, of) in by_tag.violations {
            let is_pinned = |at: &usize| images.get(*at).is_some_and(|i| i.pinned.is_some());
            if of.iter().any(is_pinned) {
                decision.replaced.add(bound.actions, &violation);
            }
            violations.push(violation);
        }
        if bound.actions.deny || bound.actions.warn {
            decision.notes.extend(checked.notes);
        }
        if bound.actions.audit {
            decision.audited.extend(violations.iter().cloned());
        }
        if bound.actions.deny {
            decision.denied.extend(violations);
        } else if bound.actions.warn {
            decision.warned.extend(violations);
        }
    }
    for all in [
        &mut decision.denied,
        &mut decision.warned,
        &mut decision.audited,
    ] {
        // Stable: policies stay in the order of their names.
        all.sort_by_key(|violation| violation.rule);
    }
    let mut noted = BTreeSet::new();
    decision.notes.retain(|note| noted.insert(note.clone()));
    decision
}

impl Replaced {
    fn add(&mut self, actions: Actions, violation: &Violation) {
        if actions.warn {
            self.warned.push(violation.clone());
        }
        if actions.audit {
            self.audited.push(violation.clone());
        }
    }
}

/// What the expressions about references as they are written say, for each policy. They come before the pins,
/// which replace what they are about.
fn as_written(
    bound: &[BoundPolicy<'_>],
    images: &[ParsedImage<'_>],
    subject: Subject<'_>,
    budget: Option<u64>,
) -> Vec<Validated> {
    let of = |bound: &BoundPolicy<'_>| match budget {
        Some(budget) => validate(bound.policy, View::Written, images, subject, budget),
        None => Validated::default(),
    };
    bound.iter().map(of).collect()
}

/// The positions of the images that these expressions deny.
fn denied(bound: &[BoundPolicy<'_>], written: &[Validated]) -> BTreeSet<usize> {
    let denying = bound.iter().zip(written).filter(|(b, _)| b.actions.deny);
    denying
        .flat_map(|(_, of)| of.violations.iter().flat_map(|(_, images)| images))
        .copied()
        .collect()
}

/// Takes out the images whose digest the old pod has already.
fn keep<'a>(
    bound: &[BoundPolicy<'_>],
    images: Vec<ParsedImage<'a>>,
    review: &PodReview<'_>,
) -> (Vec<Pin>, Vec<ParsedImage<'a>>) {
    let (Stage::Mutating, Some(old)) = (review.stage, review.old) else {
        return (Vec::new(), images);
    };
    let mut pins = Vec::new();
    let rest = images
        .into_iter()
        .filter(|parsed| match kept(bound, parsed, old) {
            Some(pin) => {
                pins.push(pin);
                false
            }
            None => true,
        })
        .collect();
    (pins, rest)
}

/// The pod as it will be; none if it stays as it is.
fn with_references(pod: &Json, pins: &[Pin]) -> Option<Json> {
    if pins.is_empty() {
        return None;
    }
    let mut pod = pod.clone();
    for pin in pins {
        pin.apply(&mut pod);
    }
    Some(pod)
}

/// The references that no policy selects. One that is not valid is selected by each.
fn uncovered(bound: &[BoundPolicy<'_>], images: &[ParsedImage<'_>]) -> Vec<String> {
    let selects = |parsed: &ParsedImage<'_>| {
        bound.iter().any(|bound| match parsed.reference() {
            Some(reference) => bound.policy.selects(reference),
            None => true,
        })
    };
    let uncovered = images.iter().filter(|parsed| !selects(parsed));
    uncovered
        .map(|parsed| parsed.image.reference.to_owned())
        .collect()
}
