//! The decision about a pod under review: from the policies that apply to it and the answers of registries
//! to pins, denials and warnings.
//!
//! Here: the two steps of a review, what has to be looked up and what follows. Not here: the rules
//! (`evaluate`, `registry`, `validations`), looking up (`oci`), the response to the API server (`webhook`).
//! Invariant: a decision is a function of its arguments. What it pins is what it checked.

use super::bind::BoundPolicy;
use super::evaluate::{ParsedImage, Violation, parse, written};
use super::images::{ImageUser, images};
use super::pins::{Pin, kept, pins, pointer};
use super::registry::{Lookups, Tags, check, question};
use super::validations::{Subject, budget, validate};
use bailiff_oci::{Reference, ShortNames};
use serde_json::Value as Json;
use std::collections::BTreeMap;

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
    /// What people have to know about images that were allowed without a check, or by an old one.
    pub notes: Vec<String>,
    /// References that no policy selects, as written.
    pub uncovered: Vec<String>,
}

/// The references that have to be looked up before [`decide`], each once.
#[must_use]
pub fn references_to_look_up(
    bound: &[BoundPolicy<'_>],
    review: &PodReview<'_>,
) -> BTreeMap<String, Reference> {
    let (_, rest) = keep(bound, review.images(), review);
    let asked = rest.into_iter().filter_map(|parsed| parsed.reference);
    asked
        .filter(|reference| {
            let asks = |bound: &BoundPolicy<'_>| question(bound.policy, reference).is_some();
            bound.iter().any(asks)
        })
        .map(|reference| (reference.to_string(), reference))
        .collect()
}

/// Decides about a pod. `lookups` has the answers about what [`references_to_look_up`] names.
#[must_use]
pub fn decide(bound: &[BoundPolicy<'_>], review: &PodReview<'_>, lookups: &Lookups) -> Decision {
    let (mut decided, rest) = keep(bound, review.images(), review);
    let (images, lookups) = match review.stage {
        Stage::Validating => (rest, lookups.clone()),
        Stage::Mutating => {
            decided.extend(pins(bound, &rest, lookups));
            with_pins(rest, &decided, lookups)
        }
    };
    let validating = bound.iter().filter(|b| !b.policy.validations.is_empty());
    let budget = budget(validating.count());
    let pinned = budget.and_then(|_| with_references(review.pod, &decided));
    let subject = Subject {
        pod: pinned.as_ref().unwrap_or(review.pod),
        namespace: review.namespace,
    };
    let mut decision = Decision {
        pins: decided,
        uncovered: uncovered(bound, &images),
        ..Decision::default()
    };
    for bound in bound {
        let tags = match review.stage {
            Stage::Validating if bound.actions.deny => Tags::ArePinned,
            Stage::Validating | Stage::Mutating => Tags::AreResolved,
        };
        let mut violations = written(bound.policy, &images);
        let checked = check(bound.policy, tags, &images, &lookups);
        violations.extend(checked.violations);
        if let Some(budget) = budget {
            violations.extend(validate(bound.policy, &images, subject, budget));
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
    decision.notes.dedup();
    decision
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

/// The images as they will be, and the answers about them.
fn with_pins<'a>(
    images: Vec<ParsedImage<'a>>,
    pins: &[Pin],
    lookups: &Lookups,
) -> (Vec<ParsedImage<'a>>, Lookups) {
    let mut lookups = lookups.clone();
    let pins: BTreeMap<&str, &Pin> = pins.iter().map(|pin| (pin.pointer.as_str(), pin)).collect();
    let pinned = images.into_iter().map(|parsed| {
        let pin = pins.get(pointer(&parsed.image).as_str());
        let answer = parsed
            .reference
            .as_ref()
            .and_then(|reference| lookups.get(&reference.to_string()).cloned());
        let reference =
            pin.and_then(|pin| Reference::parse(&pin.pinned, ShortNames::DockerHub).ok());
        match (reference, answer) {
            (Some(reference), Some(answer)) => {
                lookups.insert(reference.to_string(), answer);
                ParsedImage {
                    reference: Some(reference),
                    ..parsed
                }
            }
            (Some(_) | None, _) => parsed,
        }
    });
    let pinned = pinned.collect();
    (pinned, lookups)
}

/// The references that no policy selects. One that is not valid is selected by each.
fn uncovered(bound: &[BoundPolicy<'_>], images: &[ParsedImage<'_>]) -> Vec<String> {
    let selects = |parsed: &ParsedImage<'_>| {
        bound.iter().any(|bound| match &parsed.reference {
            Some(reference) => bound.policy.selects(reference),
            None => true,
        })
    };
    let uncovered = images.iter().filter(|parsed| !selects(parsed));
    uncovered
        .map(|parsed| parsed.image.reference.to_owned())
        .collect()
}
