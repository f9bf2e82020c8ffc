//! The verdict about each image of a pod.
//!
//! Here: the two steps of admission for a new pod, image by image. Not here: the decision
//! (`bailiff_policy::image`).
//! Invariant: an image is decided about as in its pod, which expressions see whole. What
//! depends on a registry that gave no answer is [`Verdict::NotChecked`].

use super::registry::Wanted;
use bailiff_oci::{Digest, ImageFacts, Lookup, ManifestKind, Reference, ShortNames, Source};
use bailiff_policy::image::{
    BoundPolicy, Decision, Image, ImageUser, Lookups, PodReview, RegistryRule, Rule, Stage,
    Violation, WrittenRule, decide, images, references_to_look_up,
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to a pod because of an image. In the order of their weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Bailiff evaluates no pods of the namespace, or not this pod.
    Exempt,
    /// It is allowed, because no policy selects it.
    Uncovered,
    /// It is allowed.
    Allowed,
    /// It is allowed with an audit annotation.
    Audited,
    /// It is allowed with a warning.
    Warned,
    /// Its registry gave no answer, and the verdict depends on it.
    NotChecked,
    /// The pod is rejected.
    Denied,
}

impl Verdict {
    /// The word for people and programs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Exempt => "Exempt",
            Self::Uncovered => "Uncovered",
            Self::Allowed => "Allowed",
            Self::Audited => "Audited",
            Self::Warned => "Warned",
            Self::NotChecked => "NotChecked",
            Self::Denied => "Denied",
        }
    }
}

/// A rule that an image violates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Name of the policy.
    pub(crate) policy: String,
    /// Name of the rule.
    pub(crate) rule: &'static str,
    /// Action of the bindings.
    pub(crate) action: &'static str,
    /// The sentence that the webhook says.
    pub(crate) message: String,
}

/// The verdict about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageVerdict {
    /// The part of the pod.
    pub(crate) user: ImageUser,
    /// Name of the container or volume.
    pub(crate) container: String,
    /// The reference as written.
    pub(crate) image: String,
    /// The reference that replaces it; none if it stays.
    pub(crate) pinned: Option<String>,
    pub(crate) verdict: Verdict,
    /// Names of the policies that select the image.
    pub(crate) policies: Vec<String>,
    /// Violated rules, the worst first.
    pub(crate) findings: Vec<Finding>,
    /// What the webhook says about an image that is allowed without a check.
    pub(crate) notes: Vec<String>,
}

/// The references of a pod that have to be looked up.
pub(crate) fn wanted(bound: &[BoundPolicy<'_>], pod: &Json) -> Wanted {
    let named: BTreeSet<_> = bound
        .iter()
        .flat_map(|bound| bound.policy.allowed_registries())
        .collect();
    let review = PodReview {
        pod,
        old: None,
        namespace: None,
        only: None,
        stage: Stage::Mutating,
    };
    let references = references_to_look_up(bound, &review);
    let wanted = references.into_iter().map(|(name, reference)| {
        let is_named = named.contains(reference.registry());
        (name, (reference, is_named))
    });
    wanted.collect()
}

/// What expressions see of a namespace whose labels are known, as `namespaceObject`.
pub(crate) fn namespace_object(name: &str, labels: &BTreeMap<String, String>) -> Json {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// The verdict about each image of a new pod. `bound`: the policies that apply to it; none if the pod is
/// exempt. `namespace`: the Namespace of the pod as JSON, with what is known of it.
pub(crate) fn verdicts(
    bound: Option<&[BoundPolicy<'_>]>,
    pod: &Json,
    namespace: &Json,
    lookups: &Lookups,
) -> Vec<ImageVerdict> {
    let verdict = |image: Image<'_>| match bound {
        Some(bound) => of_image(bound, pod, namespace, &image, lookups),
        None => ImageVerdict::new(&image, Verdict::Exempt),
    };
    images(pod, None).into_iter().map(verdict).collect()
}

impl ImageVerdict {
    fn new(image: &Image<'_>, verdict: Verdict) -> Self {
        Self {
            user: image.user,
            container: image.name.to_owned(),
            image: image.reference.to_owned(),
            pinned: None,
            verdict,
            policies: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
        }
    }
}

fn of_image(
    bound: &[BoundPolicy<'_>],
    pod: &Json,
    namespace: &Json,
    image: &Image<'_>,
    lookups: &Lookups,
) -> ImageVerdict {
    let mutating = PodReview {
        pod,
        old: None,
        namespace: Some(namespace),
        only: Some((image.user, image.index)),
        stage: Stage::Mutating,
    };
    let (lookups, is_unanswered) = answers(bound, &mutating, lookups);
    let select = |bound: &&BoundPolicy<'_>| {
        let decision = decide(&[**bound], &mutating, &lookups);
        decision.uncovered.is_empty()
    };
    let policies: Vec<_> = bound.iter().filter(select).collect();
    let policies = policies.iter().map(|bound| bound.policy.name.clone());
    let policies: Vec<_> = policies.collect();
    let mutated = decide(bound, &mutating, &lookups);
    let (pod, lookups) = pin(pod, &mutated, lookups);
    let validating = PodReview {
        pod: &pod,
        stage: Stage::Validating,
        ..mutating
    };
    let mut decision = decide(bound, &validating, &lookups);
    // The webhook says at the first step what the pins hide from the second one.
    let replaced = mutated.replaced;
    decision.warned.extend(replaced.warned);
    decision.audited.extend(replaced.audited);
    let pin = mutated.pins.into_iter().next();
    ImageVerdict {
        pinned: pin.map(|pin| pin.pinned).filter(|_| !is_unanswered),
        verdict: verdict(&decision, is_unanswered, policies.is_empty()),
        policies,
        findings: findings(&decision),
        notes: decision.notes,
        ..ImageVerdict::new(image, Verdict::Allowed)
    }
}

/// The answers about a pod with one image. One without an answer is taken as there, because an image that
/// is denied even so is denied whatever its registry says. Returns whether there is such a one.
fn answers(
    bound: &[BoundPolicy<'_>],
    review: &PodReview<'_>,
    lookups: &Lookups,
) -> (Lookups, bool) {
    let mut answers = Lookups::new();
    let mut is_unanswered = false;
    for (name, reference) in references_to_look_up(bound, review) {
        let answer = lookups.get(&name).cloned().or_else(|| {
            is_unanswered = true;
            assumed(&reference)
        });
        answers.extend(answer.map(|answer| (name, answer)));
    }
    (answers, is_unanswered)
}

/// The answer of a registry that has the image.
fn assumed(reference: &Reference) -> Option<Lookup> {
    let digest = match reference.digest() {
        Some(digest) => digest.clone(),
        // Some digest: it only has to be one.
        None => Digest::parse(&format!("sha256:{}", "0".repeat(64))).ok()?,
    };
    let kind = ManifestKind::Index;
    Some(Lookup::Found {
        facts: ImageFacts { digest, kind },
        source: Source::Registry,
    })
}

/// Applies pins to a pod, as the patch of the webhook does. What a registry said about a tag, it said about
/// the digest that the tag names.
fn pin(pod: &Json, decision: &Decision, mut lookups: Lookups) -> (Json, Lookups) {
    let mut pod = pod.clone();
    for pin in &decision.pins {
        pin.apply(&mut pod);
        let [original, pinned] = [&pin.original, &pin.pinned]
            .map(|text| Reference::parse(text, ShortNames::DockerHub).ok());
        let answer = original.and_then(|original| lookups.get(&original.to_string()).cloned());
        if let (Some(pinned), Some(answer)) = (pinned, answer) {
            lookups.insert(pinned.to_string(), answer);
        }
    }
    (pod, lookups)
}

fn verdict(decision: &Decision, is_unanswered: bool, is_uncovered: bool) -> Verdict {
    let Decision {
        denied,
        warned,
        audited,
        ..
    } = decision;
    let of = |violations: &[Violation], verdict| {
        if violations.is_empty() {
            None
        } else if violations
            .iter()
            .all(|violation| is_unchecked(violation.rule))
        {
            Some(Verdict::NotChecked)
        } else {
            Some(verdict)
        }
    };
    match of(denied, Verdict::Denied) {
        Some(verdict) => verdict,
        None if is_unanswered => Verdict::NotChecked,
        None => of(warned, Verdict::Warned)
            .or_else(|| of(audited, Verdict::Audited))
            .unwrap_or(if is_uncovered {
                Verdict::Uncovered
            } else {
                Verdict::Allowed
            }),
    }
}

/// Whether a rule is violated because there is no answer.
const fn is_unchecked(rule: Rule) -> bool {
    match rule {
        Rule::Written(
            WrittenRule::ValidReference
            | WrittenRule::AllowedRepositories
            | WrittenRule::DigestRequired,
        )
        | Rule::Registry(RegistryRule::InRepository | RegistryRule::Pinned)
        | Rule::Validation(_)
        | Rule::Evaluated(_) => false,
        Rule::Registry(RegistryRule::Checked | RegistryRule::Answered) => true,
    }
}

/// The violations of a decision, each once with its strongest action.
fn findings(decision: &Decision) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (action, violations) in [
        ("Deny", &decision.denied),
        ("Warn", &decision.warned),
        ("Audit", &decision.audited),
    ] {
        for violation in violations {
            let rule = name(violation.rule);
            let is_known = |finding: &Finding| {
                finding.policy == violation.policy
                    && finding.rule == rule
                    && finding.message == violation.message
            };
            if !findings.iter().any(is_known) {
                findings.push(Finding {
                    policy: violation.policy.clone(),
                    rule,
                    action,
                    message: violation.message.clone(),
                });
            }
        }
    }
    findings
}

/// The name of a rule for programs.
const fn name(rule: Rule) -> &'static str {
    match rule {
        Rule::Written(WrittenRule::ValidReference) => "ValidReference",
        Rule::Written(WrittenRule::AllowedRepositories) => "AllowedRepositories",
        Rule::Written(WrittenRule::DigestRequired) => "DigestRequired",
        Rule::Registry(RegistryRule::InRepository) => "InRepository",
        Rule::Registry(RegistryRule::Pinned) => "Pinned",
        Rule::Registry(RegistryRule::Checked) => "Checked",
        Rule::Registry(RegistryRule::Answered) => "Answered",
        Rule::Validation(_) => "Validation",
        Rule::Evaluated(_) => "Evaluated",
    }
}
