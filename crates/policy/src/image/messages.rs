//! What people read about an image that a policy does not allow.
//!
//! Here: wording, for the verdict and for the rendered policy alike. Not here: when it is said.
//! Invariant: a message is printable ASCII without line breaks: it contains names that the API server
//! checked, repositories in normal form, and no other part of a reference.

use super::compile::CompiledImagePolicy;
use super::evaluate::Rule;
use super::images::Image;
use bailiff_oci::{InvalidPattern, Pattern};

/// A policy without a rule.
pub(super) const NO_RULE: &str = "must have allowedRepositories, digest or both";

/// Most patterns that a message lists.
const PATTERNS_LISTED: usize = 3;

/// The sentences about a violation, with room for what depends on the pod: `USER NAME`, then
/// `before`, then the repository if `repository` is true, then `after`; if further images violate
/// the same rule, ` and N more`, then `end`.
#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) before: &'static str,
    pub(super) repository: bool,
    pub(super) after: String,
    pub(super) end: String,
}

/// What stands between the first image and the number of the others.
pub(super) const MORE: (&str, &str) = (" (and ", " more)");

impl Sentence {
    /// The sentences about an image and a number of others.
    pub(super) fn with(&self, image: &Image<'_>, repository: &str, others: usize) -> String {
        let Image { user, name, .. } = image;
        let repository = if self.repository { repository } else { "" };
        let more = match others {
            0 => String::new(),
            n => format!("{}{n}{}", MORE.0, MORE.1),
        };
        let Self {
            before, after, end, ..
        } = self;
        format!("{user} {name}{before}{repository}{after}{more}{end}")
    }
}

/// The sentences about a violated rule.
pub(super) fn violation(policy: &CompiledImagePolicy, rule: Rule) -> Sentence {
    let name = &policy.name;
    match rule {
        Rule::ValidReference => Sentence {
            before: " has an image reference that is not valid",
            repository: false,
            after: String::new(),
            end: format!(
                ". ImageAdmissionPolicy {name} allows only valid references. Use HOST/PATH:TAG or HOST/PATH@sha256:DIGEST, with host and path in lower case."
            ),
        },
        Rule::AllowedRepositories => Sentence {
            before: " uses repository ",
            repository: true,
            after: ", which is not allowed".to_owned(),
            end: format!(
                ". ImageAdmissionPolicy {name} allows {}. Use an image from an allowed repository.",
                allowed(policy)
            ),
        },
        Rule::DigestRequired => Sentence {
            before: " uses an image of ",
            repository: true,
            after: " without a digest".to_owned(),
            end: format!(
                ". ImageAdmissionPolicy {name} requires digests. Append @sha256:DIGEST to the image."
            ),
        },
    }
}

/// The first allowed patterns, and how many there are beside them.
fn allowed(policy: &CompiledImagePolicy) -> String {
    let patterns = policy.allowed.as_ref().map_or(&[][..], |p| p.as_slice());
    let listed: Vec<_> = patterns
        .iter()
        .take(PATTERNS_LISTED)
        .map(Pattern::as_str)
        .collect();
    let listed = listed.join(", ");
    match patterns.len().saturating_sub(PATTERNS_LISTED) {
        0 => listed,
        n => format!("{listed} and {n} more patterns"),
    }
}

/// A pattern that is not valid.
pub(super) fn pattern(text: &str, fault: &InvalidPattern) -> String {
    format!("{text:?} is not a pattern: {fault}")
}

/// Patterns with wildcards that are too long together.
pub(super) fn wildcards_too_long(bytes: usize, limit: usize) -> String {
    format!(
        "the patterns with wildcards are regular expressions of {bytes} bytes, which the API server would not evaluate for large pods; use at most {limit} bytes: shorter patterns, fewer of them, or \"/**\" at the end as the only wildcard"
    )
}
