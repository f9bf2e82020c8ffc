//! The rules of a policy that need the answer of a registry.
//!
//! Here: what has to be asked, and what follows from the answers. Not here: asking (`oci`), wording
//! (`messages`).
//! Invariant: an image counts as checked only if its registry answered about just its reference. One
//! without an answer, or whose check failed, violates a rule or is reported; it is never silently allowed.

use super::compile::CompiledImagePolicy;
use super::evaluate::{ParsedImage, RegistryRule, Rule, Violation};
use super::messages;
use bailiff_api::Unchecked;
use bailiff_oci::{Failure, Lookup, Missing, Reference, Source};
use std::collections::BTreeMap;
use std::time::Duration;

/// The answers of registries, by the normal form of the reference that was asked about. A reference
/// that is not here has not been answered.
pub type Lookups = BTreeMap<String, Lookup>;

/// What follows for a tag that a policy pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// It must have been replaced by a digest.
    ArePinned,
    /// It must name an image.
    AreResolved,
}

/// What a policy asks a registry about a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// What the tag names, to pin it.
    Tag,
    /// Whether the repository has the digest.
    Digest,
}

/// What a policy asks the registry of an image; none if nothing.
pub(super) fn question(policy: &CompiledImagePolicy, reference: &Reference) -> Option<Question> {
    // Most policies have no rule on digests, so this comes before the patterns.
    let rule = policy.digest_rule(reference)?;
    let question = match reference.digest() {
        Some(_) => rule.verify.then_some(Question::Digest),
        None => rule.pin.then_some(Question::Tag),
    }?;
    // One that is not allowed is denied whatever its registry says, and no request leads to a registry that is
    // not allowed.
    let allowed = policy.allowed.as_ref();
    let is_asked =
        policy.selects(reference) && allowed.is_none_or(|allowed| allowed.matches(reference));
    is_asked.then_some(question)
}

/// What the answer of a registry says about a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The repository has the image.
    Has,
    /// It had it before; the registry does not answer now.
    Had {
        /// Age of the answer.
        age: Duration,
        /// When the image was admitted last, in seconds since 1970, if that is why the answer is known.
        last_admitted: Option<i64>,
        /// Why there is no new one.
        cause: Failure,
    },
    /// It does not have it.
    Lacks(Missing),
    /// There is no answer yet.
    Unanswered,
    /// The image could not be checked.
    Unchecked(Failure),
}

impl Finding {
    /// What the answer about a normal form says about `reference`, which has it or is its pin.
    fn of(normal: &str, reference: &Reference, lookups: &Lookups) -> Self {
        match lookups.get(normal) {
            None | Some(Lookup::Pending) => Self::Unanswered,
            // A container runtime pulls the digest of the reference, whatever the answer is about.
            Some(Lookup::Found { facts, .. })
                if reference
                    .digest()
                    .is_some_and(|digest| *digest != facts.digest) =>
            {
                Self::Unchecked(Failure::DigestMismatch)
            }
            Some(Lookup::Found { source, .. }) => match source {
                Source::Registry => Self::Has,
                Source::LastKnown {
                    age,
                    last_admitted,
                    cause,
                } => Self::Had {
                    age: *age,
                    last_admitted: *last_admitted,
                    cause: cause.clone(),
                },
            },
            Some(Lookup::NotFound(missing)) => Self::Lacks(*missing),
            Some(Lookup::Failed(failure)) => Self::Unchecked(failure.clone()),
        }
    }
}

/// What the rules on the registry say about the images of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    /// Each violated rule once, the worst first.
    pub(super) violations: Vec<Violation>,
    /// What people have to know about images that are allowed.
    pub(super) notes: Vec<String>,
}

/// Evaluates the rules on the registry. `tags` says what must have happened to the tag of the image at a
/// position.
pub(super) fn check(
    policy: &CompiledImagePolicy,
    tags: impl Fn(usize) -> Tags,
    images: &[ParsedImage<'_>],
    lookups: &Lookups,
) -> Checked {
    // For each rule, the first image that violates it, and how many others do.
    let mut violated: BTreeMap<RegistryRule, (messages::Subject<'_>, Finding, usize)> =
        BTreeMap::new();
    let mut notes = Vec::new();
    for (at, parsed) in images.iter().enumerate() {
        let Some(reference) = parsed.reference() else {
            continue;
        };
        let Some(question) = question(policy, reference) else {
            continue;
        };
        let finding = Finding::of(&parsed.normal, reference, lookups);
        let subject = messages::Subject {
            image: parsed.image,
            reference,
        };
        match rule_of(question, tags(at), &finding) {
            Some(RegistryRule::Answered) if policy.on_pending == Unchecked::Allow => {
                notes.push(subject.allowed(policy, &finding));
            }
            Some(RegistryRule::Checked) if policy.on_error == Unchecked::Allow => {
                notes.push(subject.allowed(policy, &finding));
            }
            // The answer came after the tag should have been pinned, and until then the image was allowed.
            Some(RegistryRule::Pinned)
                if [policy.on_pending, policy.on_error].contains(&Unchecked::Allow) =>
            {
                notes.push(subject.allowed_with_tag(policy));
            }
            Some(rule) => {
                violated
                    .entry(rule)
                    .and_modify(|(_, _, others)| *others += 1)
                    .or_insert((subject, finding, 0));
            }
            None => notes.extend(subject.last_known(&finding)),
        }
    }
    let violations = violated
        .into_iter()
        .map(|(rule, (subject, finding, others))| Violation {
            policy: policy.name.clone(),
            rule: Rule::Registry(rule),
            message: subject.violation(policy, rule, &finding, others),
        });
    Checked {
        violations: violations.collect(),
        notes,
    }
}

/// The rule that an image violates; none if it is as the policy requires.
fn rule_of(question: Question, tags: Tags, finding: &Finding) -> Option<RegistryRule> {
    match finding {
        Finding::Has | Finding::Had { .. } => match (question, tags) {
            (Question::Tag, Tags::ArePinned) => Some(RegistryRule::Pinned),
            (Question::Tag, Tags::AreResolved) | (Question::Digest, _) => None,
        },
        Finding::Lacks(_) => Some(RegistryRule::InRepository),
        Finding::Unanswered => Some(RegistryRule::Answered),
        Finding::Unchecked(_) => Some(RegistryRule::Checked),
    }
}
