//! From an `ImageAdmissionPolicy` to something that is evaluated and rendered.
//!
//! Here: patterns and selectors, every fault with its field. Not here: expressions (`validations`), the verdict.
//! Invariant: a policy with a fault is neither evaluated nor rendered, not even in part.

use super::validations::{self, ImageRule};
use crate::Reads;
use crate::compile::FieldError;
use crate::selector::MatchResources;
use bailiff_api::{ImageAdmissionPolicy, Unchecked};
use bailiff_oci::{InvalidPatterns, Pattern, Patterns, Reference, Shape};
use std::collections::BTreeSet;
use std::error::Error as _;

/// Most bytes of regular expressions that one expression of the rendered policy matches. With them, 50
/// references of 245 bytes cost less than the API server's limit of a call (1,000,000), which counts a
/// regular expression by its length times that of the text.
const REGEX_BYTES_LIMIT: usize = 2400;

/// A policy that can be evaluated and rendered.
#[derive(Debug)]
pub struct CompiledImagePolicy {
    /// Name of the policy.
    pub name: String,
    /// Selects the pods that the policy applies to.
    pub constraints: MatchResources,
    pub(super) include: Option<Patterns>,
    pub(super) exclude: Patterns,
    pub(super) allowed: Option<Patterns>,
    pub(super) digest: Option<CompiledDigestRule>,
    pub(super) on_pending: Unchecked,
    pub(super) on_error: Unchecked,
    pub(super) validations: Vec<ImageRule>,
    pub(super) pod_reads: Reads,
    reads_namespace: bool,
    /// The registries that the policy allows by their literal hosts, sorted.
    registries: Vec<String>,
    pub(super) spec_constraints: bailiff_api::MatchResources,
}

/// The requirements of a policy on digests.
#[derive(Debug)]
pub(super) struct CompiledDigestRule {
    pub(super) required: bool,
    pub(super) pin: bool,
    /// Repositories that none of the requirements applies to.
    pub(super) exclude: Patterns,
    pub(super) verify: bool,
}

impl CompiledImagePolicy {
    /// The registries that the policy allows by their literal hosts. Bailiff can ask them, because who
    /// writes policies trusts them with images already.
    pub fn allowed_registries(&self) -> impl Iterator<Item = &str> {
        self.registries.iter().map(String::as_str)
    }

    /// Whether a registry is one of [`Self::allowed_registries`].
    #[must_use]
    pub fn names_registry(&self, registry: &str) -> bool {
        let named = self
            .registries
            .binary_search_by(|named| named.as_str().cmp(registry));
        named.is_ok()
    }

    /// Whether the policy has rules that only the webhook enforces: those that ask a registry, and
    /// expressions.
    #[must_use]
    pub fn needs_webhook(&self) -> bool {
        let asks_registry = |rule: &CompiledDigestRule| rule.pin || rule.verify;
        self.digest.as_ref().is_some_and(asks_registry) || !self.validations.is_empty()
    }

    /// Whether an expression of the policy mentions `namespaceObject`.
    #[must_use]
    pub const fn reads_namespace(&self) -> bool {
        self.reads_namespace
    }

    /// Whether the policy pins tags to digests.
    pub(super) fn pins(&self) -> bool {
        self.digest.as_ref().is_some_and(|rule| rule.pin)
    }

    /// What happens to images that cannot be checked.
    #[must_use]
    pub const fn on_error(&self) -> Unchecked {
        self.on_error
    }

    /// Whether references without a digest are denied as they are written, without asking a registry.
    pub(super) fn requires_written_digest(&self) -> bool {
        self.digest
            .as_ref()
            .is_some_and(|rule| rule.required && !rule.pin)
    }

    /// The rule on digests that applies to an image of a reference.
    pub(super) fn digest_rule(&self, reference: &Reference) -> Option<&CompiledDigestRule> {
        self.digest
            .as_ref()
            .filter(|rule| !rule.exclude.matches(reference))
    }

    /// Whether the policy applies to an image of a reference.
    pub(super) fn selects(&self, reference: &Reference) -> bool {
        let included = self
            .include
            .as_ref()
            .is_none_or(|include| include.matches(reference));
        included && !self.exclude.matches(reference)
    }
}

/// Compiles a policy.
///
/// # Errors
/// Every fault, each with its field.
pub fn compile(policy: &ImageAdmissionPolicy) -> Result<CompiledImagePolicy, Vec<FieldError>> {
    let spec = &policy.spec;
    let mut faults = Vec::new();
    let constraints = MatchResources::compile(&spec.match_constraints).unwrap_or_else(|fault| {
        faults.push(FieldError {
            field: "spec.matchConstraints".to_owned(),
            message: fault.to_string(),
        });
        MatchResources::default()
    });
    let mut patterns = |field: &str, texts: &[String]| {
        Patterns::parse(texts)
            .map_err(|fault| faults.push(field_error(field, texts, &fault)))
            .ok()
    };
    let include = patterns("spec.matchImages.include", &spec.match_images.include);
    let exclude = patterns("spec.matchImages.exclude", &spec.match_images.exclude);
    let allowed = patterns("spec.allowedRepositories", &spec.allowed_repositories);
    let pin_exclude = spec
        .digest
        .as_ref()
        .map_or(&[][..], |rule| &rule.pin_exclude);
    let pin_exclude = patterns("spec.digest.pinExclude", pin_exclude);
    for (field, lists) in [
        ("spec.matchImages", &[&include, &exclude][..]),
        ("spec.allowedRepositories", &[&allowed]),
        ("spec.digest.pinExclude", &[&pin_exclude]),
    ] {
        faults.extend(too_many_wildcards(field, lists));
    }
    let digest_rule = spec
        .digest
        .as_ref()
        .filter(|rule| rule.pin || rule.required || rule.verifies_repository());
    let validations = validations::compile(spec).unwrap_or_else(|found| {
        faults.extend(found);
        Vec::new()
    });
    if spec.allowed_repositories.is_empty() && digest_rule.is_none() && spec.validations.is_empty()
    {
        // The schema says the same; a policy that was stored before it did is read, too.
        faults.push(FieldError {
            field: "spec".to_owned(),
            message: super::messages::NO_RULE.to_owned(),
        });
    }
    let (Some(include), Some(exclude), Some(allowed), Some(pin_exclude), true) =
        (include, exclude, allowed, pin_exclude, faults.is_empty())
    else {
        return Err(faults);
    };
    let given = |patterns: Patterns| (!patterns.as_slice().is_empty()).then_some(patterns);
    Ok(CompiledImagePolicy {
        name: policy.metadata.name.clone().unwrap_or_default(),
        constraints,
        include: given(include),
        exclude,
        registries: literal_hosts(&allowed),
        allowed: given(allowed),
        digest: digest_rule.map(|rule| CompiledDigestRule {
            required: rule.required,
            pin: rule.pin,
            exclude: pin_exclude,
            verify: rule.verifies_repository(),
        }),
        on_pending: spec.on_pending,
        on_error: spec.on_error,
        pod_reads: super::reads::of_expressions(spec),
        reads_namespace: validations.iter().any(mentions_namespace),
        validations,
        spec_constraints: spec.match_constraints.clone(),
    })
}

/// The literal hosts of patterns, sorted, each once.
fn literal_hosts(patterns: &Patterns) -> Vec<String> {
    let hosts = patterns.as_slice().iter().filter_map(Pattern::literal_host);
    let hosts: BTreeSet<_> = hosts.collect();
    hosts.into_iter().map(str::to_owned).collect()
}

fn mentions_namespace(rule: &ImageRule) -> bool {
    let validation = &rule.validation;
    std::iter::once(&validation.program)
        .chain(validation.message_program.as_ref())
        .flat_map(bailiff_cel::Program::mentions)
        .any(|mention| mention == "namespaceObject")
}

/// The fault of lists of patterns whose wildcards cost too much together.
fn too_many_wildcards(field: &str, lists: &[&Option<Patterns>]) -> Option<FieldError> {
    let all = lists.iter().filter_map(|patterns| patterns.as_ref());
    let bytes = all
        .flat_map(Patterns::as_slice)
        .map(|pattern| match pattern.shape() {
            Shape::Regex(text) => text.len(),
            Shape::Literal(_) | Shape::Prefix(_) => 0,
        })
        .sum();
    (bytes > REGEX_BYTES_LIMIT).then(|| FieldError {
        field: field.to_owned(),
        message: super::messages::wildcards_too_long(bytes, REGEX_BYTES_LIMIT),
    })
}

/// The field of the pattern at fault, and what is wrong with it.
fn field_error(field: &str, texts: &[String], fault: &InvalidPatterns) -> FieldError {
    match fault {
        InvalidPatterns::Pattern { index, source } => FieldError {
            field: format!("{field}[{index}]"),
            message: super::messages::pattern(texts.get(*index).map_or("", String::as_str), source),
        },
        InvalidPatterns::TooMany { .. }
        | InvalidPatterns::TooManyRegexes { .. }
        | InvalidPatterns::TooLarge { .. } => FieldError {
            field: field.to_owned(),
            message: match fault.source() {
                Some(source) => format!("{fault}: {source}"),
                None => fault.to_string(),
            },
        },
    }
}
