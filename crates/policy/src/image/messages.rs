//! What people read about an image that a policy does not allow.
//!
//! Here: wording, for the verdict and for the rendered policy alike. Not here: when it is said.
//! Invariant: a message is printable ASCII without line breaks: it contains names that the API server
//! checked, references in normal form, and what expressions make of a pod only after `printable`.

use super::compile::CompiledImagePolicy;
use super::evaluate::{RegistryRule, WrittenRule};
use super::images::Image;
use super::registry::Finding;
use crate::text::ascii_line;
use bailiff_api::Unchecked;
use bailiff_oci::{Failure, InvalidPattern, Missing, Pattern, Reference};
use jiff::Timestamp;

/// A policy without a rule.
pub(super) const NO_RULE: &str = "must have allowedRepositories, digest or validations";

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
pub(super) fn written(policy: &CompiledImagePolicy, rule: WrittenRule) -> Sentence {
    let name = &policy.name;
    match rule {
        WrittenRule::ValidReference => Sentence {
            before: " has an image reference that is not valid",
            repository: false,
            after: String::new(),
            end: format!(
                ". ImageAdmissionPolicy {name} allows only valid references. Use HOST/PATH:TAG or HOST/PATH@sha256:DIGEST, with host and path in lower case."
            ),
        },
        WrittenRule::AllowedRepositories => Sentence {
            before: " uses repository ",
            repository: true,
            after: ", which is not allowed".to_owned(),
            end: format!(
                ". ImageAdmissionPolicy {name} allows {}. Use an image from an allowed repository.",
                allowed(policy)
            ),
        },
        WrittenRule::DigestRequired => Sentence {
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

/// An image that a sentence about its registry is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) image: Image<'a>,
    pub(super) reference: &'a Reference,
}

impl Subject<'_> {
    /// The sentences about a violated rule, by this image and a number of others.
    pub(super) fn violation(
        &self,
        policy: &CompiledImagePolicy,
        rule: RegistryRule,
        finding: &Finding,
        others: usize,
    ) -> String {
        let name = &policy.name;
        let what = match rule {
            RegistryRule::Pinned => self.what(&Finding::Has),
            RegistryRule::InRepository | RegistryRule::Checked | RegistryRule::Answered => {
                self.what(finding)
            }
        };
        let more = match others {
            0 => String::new(),
            n => format!("{}{n}{}", MORE.0, MORE.1),
        };
        let (required, remedy) = match rule {
            RegistryRule::InRepository => (
                "requires images that exist in their repository",
                "Check repository, tag and digest, or push the image.".to_owned(),
            ),
            RegistryRule::Pinned => (
                "requires that Bailiff replaces tags by digests",
                "Create the pod again. If it is rejected again, an administrator must check the webhook of Bailiff.".to_owned(),
            ),
            RegistryRule::Checked => ("requires images that were checked", self.remedy(finding)),
            RegistryRule::Answered => ("requires images that were checked", RETRY.to_owned()),
        };
        format!("{what}{more}. ImageAdmissionPolicy {name} {required}. {remedy}")
    }

    /// That an image is allowed although it was not checked.
    pub(super) fn allowed(&self, policy: &CompiledImagePolicy, finding: &Finding) -> String {
        let field = match finding {
            Finding::Unanswered => "onPending",
            Finding::Has | Finding::Had { .. } | Finding::Lacks(_) | Finding::Unchecked(_) => {
                "onError"
            }
        };
        let (what, name) = (self.what(finding), &policy.name);
        format!("{what}. ImageAdmissionPolicy {name} allows it, because its {field} is Allow.")
    }

    /// That a tag is allowed that was not pinned.
    pub(super) fn allowed_with_tag(&self, policy: &CompiledImagePolicy) -> String {
        let (what, name) = (self.what(&Finding::Has), &policy.name);
        let field = match policy.on_pending {
            Unchecked::Allow => "onPending",
            Unchecked::Deny => "onError",
        };
        format!("{what}. ImageAdmissionPolicy {name} allows it, because its {field} is Allow.")
    }

    /// That an image is checked by an answer from before; none for another finding.
    pub(super) fn last_known(&self, finding: &Finding) -> Option<String> {
        match finding {
            Finding::Had { .. } => Some(format!("{}.", self.what(finding))),
            Finding::Has | Finding::Lacks(_) | Finding::Unanswered | Finding::Unchecked(_) => None,
        }
    }

    /// The image, and what was found, without a period.
    fn what(&self, finding: &Finding) -> String {
        let Image { user, name, .. } = self.image;
        let (reference, registry) = (short(self.reference), self.reference.registry());
        let found = match finding {
            Finding::Has => "whose tag was not replaced by a digest".to_owned(),
            Finding::Had {
                age,
                last_admitted,
                cause,
            } => format!(
                "the digest of {} ago{}, because {}",
                minutes(age.as_secs()),
                last_admitted.map_or_else(String::new, admitted),
                cause.of_registry(registry)
            ),
            Finding::Lacks(Missing::Manifest) => {
                format!("which registry {registry} does not have")
            }
            Finding::Lacks(Missing::Repository) => {
                format!("a repository that registry {registry} does not have")
            }
            Finding::Unanswered => {
                let because = format!("registry {registry} has not answered yet");
                return format!("{user} {name}: {reference} {UNCHECKED} {because}");
            }
            Finding::Unchecked(cause) => {
                let because = cause.of_registry(registry);
                return format!("{user} {name}: {reference} {UNCHECKED} {because}");
            }
        };
        format!("{user} {name} uses {reference}, {found}")
    }

    /// What to do about an image that could not be checked.
    fn remedy(&self, finding: &Finding) -> String {
        let registry = self.reference.registry();
        let Finding::Unchecked(cause) = finding else {
            return RETRY.to_owned();
        };
        match cause {
            Failure::RegistryNotAllowed => format!(
                "An administrator can add {registry} to the value registries of Bailiff."
            ),
            Failure::Unauthorized | Failure::Forbidden => {
                "Check the reference. An administrator can add credentials for it to the value registries of Bailiff.".to_owned()
            }
            Failure::CredentialUnusable => {
                "An administrator must check the Secret of the credential.".to_owned()
            }
            Failure::CredentialNotRead => format!(
                "{RETRY} If it continues, an administrator must check whether the webhook can read the Secret of the credential."
            ),
            Failure::RateLimited { .. } | Failure::Overloaded => RETRY.to_owned(),
            Failure::Unavailable { .. } | Failure::Connect | Failure::Timeout => format!(
                "{RETRY} If it continues, an administrator must check registry {registry}."
            ),
            Failure::AddressNotAllowed => format!(
                "An administrator can list {registry} with its port in the value registries of Bailiff."
            ),
            Failure::RedirectNotAllowed => format!(
                "An administrator can name that host in redirectHosts of {registry} in the value registries of Bailiff."
            ),
            Failure::TokenServerNotAllowed => format!(
                "An administrator can name that host in tokenServers of {registry} in the value registries of Bailiff."
            ),
            Failure::Certificate
            | Failure::UnexpectedAnswer(_)
            | Failure::LimitExceeded(_)
            | Failure::DigestMismatch => {
                format!("An administrator must check registry {registry}.")
            }
        }
    }
}

/// What an expression found about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// It is false; what the policy says about it.
    False(String),
    /// It could not be evaluated; why.
    Failed(String),
    /// It could not be evaluated, because it or all of them cost too much.
    TooExpensive(String),
}

/// The expressions of a policy cost more than they can for a pod.
pub(super) const OVER_BUDGET: &str =
    "the expressions of the policy cost more than is allowed for one pod";

/// `image.tag` in a policy that pins: why, before the position.
pub(super) const NO_TAG: &str = "must not use image.tag with digest.pin, because a pinned image has a digest and no tag; use it in a policy without digest.pin, which sees a tag before it is replaced";

impl Subject<'_> {
    /// The sentences about a complaint of `spec.validations[index]` about this image and a number of others.
    pub(super) fn complaint(
        &self,
        policy: &CompiledImagePolicy,
        index: usize,
        complaint: &Complaint,
        others: usize,
    ) -> String {
        let Image { user, name, .. } = self.image;
        let (reference, policy) = (self.reference, &policy.name);
        let more = match others {
            0 => String::new(),
            n => format!("{}{n}{}", MORE.0, MORE.1),
        };
        let (cause, remedy) = match complaint {
            Complaint::False(message) => {
                let message = ascii_line(message);
                let message = message.trim_end_matches('.');
                return format!(
                    "{user} {name} violates ImageAdmissionPolicy {policy}{more}: {message}. The image is {reference}."
                );
            }
            Complaint::Failed(cause) => (cause, "An administrator must correct the expression."),
            Complaint::TooExpensive(cause) => (
                cause,
                "Use fewer containers, or ask an administrator for a cheaper expression.",
            ),
        };
        let cause = ascii_line(cause);
        format!(
            "{user} {name} could not be evaluated with ImageAdmissionPolicy {policy}{more}: spec.validations[{index}]: {cause}. The image is {reference}. {remedy}"
        )
    }
}

/// That an image could not be checked, before the cause.
const UNCHECKED: &str = "could not be checked, because";

/// What to do about a registry that does not answer now.
const RETRY: &str = "Retry later; controllers retry automatically.";

/// Most digits of a digest in a sentence, which has to fit into a warning.
const DIGITS: usize = 12;

/// A reference with the beginning of its digest.
fn short(reference: &Reference) -> String {
    let text = reference.to_string();
    match text.split_once("@sha") {
        Some((repository, digest)) => {
            let (algorithm, digits) = digest.split_once(':').unwrap_or((digest, ""));
            let digits = digits.get(..DIGITS).unwrap_or(digits);
            format!("{repository}@sha{algorithm}:{digits}")
        }
        None => text,
    }
}

/// When an image was admitted last, by seconds since 1970; nothing for a time that no date has.
fn admitted(seconds: i64) -> String {
    let date = Timestamp::from_second(seconds).map(|time| time.strftime("%Y-%m-%d").to_string());
    date.map_or_else(
        |_| String::new(),
        |date| format!(", last admitted on {date}"),
    )
}

/// A number of minutes or hours, rounded down.
fn minutes(seconds: u64) -> String {
    match seconds / 60 {
        0 => "less than a minute".to_owned(),
        1 => "1 minute".to_owned(),
        n @ 2..120 => format!("{n} minutes"),
        n => format!("{} hours", n / 60),
    }
}
