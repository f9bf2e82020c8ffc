//! The expressions of a rendered policy: the images of a pod, their normal form, the rules.
//!
//! Here: CEL as text. Not here: what it is put into (`render`).
//! Invariant: each variable has the value of the Rust function that it stands for, named in its comment.
//! The variables follow each other, because CEL has no `let`, and a pattern that is matched in each step
//! would cost more.

use crate::image::compile::CompiledImagePolicy;
use crate::image::evaluate::WrittenRule;
use crate::image::images::ImageUser;
use crate::image::messages::{MORE, Sentence};
use bailiff_oci::MAX_REFERENCE_BYTES;

/// The match condition that leaves out the pods that a kubelet runs from a file and reports afterwards: to deny one
/// stops nothing. The annotation alone is no exemption, because tenants can set it. The webhook configurations of
/// the chart have the same one.
pub const NOT_A_MIRROR_POD: &str = "!(has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups && has(object.metadata.annotations) && object.metadata.annotations != null && 'kubernetes.io/config.mirror' in object.metadata.annotations)";

/// Valid references, as `bailiff_oci::Reference` parses them, but for lengths and image IDs.
const VALID: &str = r"^(?:(?:(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)(?::[1-9][0-9]{0,4})?|\[[a-f0-9:]+\]:[1-9][0-9]{0,4}|\[[a-f0-9]*:[a-f0-9:]*\]|C)/)?C(?:/C)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}))?$";

/// A component of a path: `C` in [`VALID`].
const COMPONENT: &str = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*";

/// What a container runtime takes for the ID of a local image.
const IMAGE_ID: &str = r"^(?:[a-f0-9]{64}|sha(?:256|384|512):[^/@]*)$";

/// A reference without tag and digest.
const NAME: &str = "^(?:[^/@]*/)*[^/:@]+";

/// A name whose first component is a host.
const HAS_HOST: &str = r"^(?:localhost|[^/]*[.:][^/]*)/";

/// The longest host, without its port.
const HOST_FITS: &str = r"size(i.repository.find(r'^[^/:]*')) <= 253";

/// The longest path, and its measure where the host could be a part of it.
const PATH_FITS: &str = r"size(i.repository) - (i.repository.matches(r'^[^/]*_[^/]*/') ? 0 : i.repository.indexOf('/') + 1) <= 255";

/// Names and expressions of the variables, in order. An image whose reference is not valid has the
/// empty repository from the first step in which that is seen.
pub(super) fn variables(policy: &CompiledImagePolicy) -> Vec<(&'static str, String)> {
    let mut selected = vec!["i.repository != ''".to_owned()];
    if let Some(include) = &policy.include {
        selected.push(include.to_cel("i.repository"));
    }
    if !policy.exclude.as_slice().is_empty() {
        selected.push(format!("!{}", policy.exclude.to_cel("i.repository")));
    }
    let allowed = policy.allowed.as_ref().map_or_else(
        || "true".to_owned(),
        |allowed| allowed.to_cel("i.repository"),
    );
    let excluded = match &policy.digest {
        Some(rule) if !rule.exclude.as_slice().is_empty() => {
            format!(" && !{}", rule.exclude.to_cel("i.repository"))
        }
        Some(_) | None => String::new(),
    };
    let (new, old) = (images("object"), images("oldObject"));
    let mut variables = vec![
        // `images::images`
        (
            "oldReferences",
            format!("request.operation == 'UPDATE' ? ({old}).map(i, i.user + ' ' + i.reference) : []"),
        ),
        ("newImages", new),
        // Equal lists are found in linear time: an update that adds no image never exceeds the budget.
        (
            "images",
            "variables.newImages.map(i, i.user + ' ' + i.reference) == variables.oldReferences ? [] : variables.newImages.filter(i, !((i.user + ' ' + i.reference) in variables.oldReferences))".to_owned(),
        ),
    ];
    variables.extend(normal_forms());
    variables.extend([
        // `evaluate::evaluate`
        (
            "invalid",
            "variables.parsed.filter(i, i.repository == '')".to_owned(),
        ),
        (
            "selected",
            format!("variables.parsed.filter(i, {})", selected.join(" && ")),
        ),
        (
            "notAllowed",
            format!("variables.selected.filter(i, !{allowed})"),
        ),
        (
            "withoutDigest",
            format!("variables.selected.filter(i, !i.reference.contains('@'){excluded})"),
        ),
    ]);
    variables
}

/// The steps to the normal form of each image, as `Reference::parse` has it.
fn normal_forms() -> [(&'static str, String); 5] {
    let valid = VALID.replace('C', COMPONENT);
    let step = |from: &str, repository: &str| {
        format!(
            "variables.{from}.map(i, {{'user': i.user, 'reference': i.reference, 'repository': {repository}}})"
        )
    };
    [
        (
            "named",
            step(
                "images",
                &format!(
                    "size(i.reference) <= {MAX_REFERENCE_BYTES} && i.reference.matches(r'{valid}') && !i.reference.matches(r'{IMAGE_ID}') ? i.reference.find(r'{NAME}') : ''"
                ),
            ),
        ),
        (
            "hosted",
            step(
                "named",
                &format!(
                    "i.repository == '' || i.repository.matches(r'{HAS_HOST}') ? i.repository : 'docker.io/' + i.repository"
                ),
            ),
        ),
        (
            "canonical",
            step(
                "hosted",
                "i.repository.startsWith('index.docker.io/') ? 'docker.io/' + i.repository.substring(16) : i.repository.startsWith('registry-1.docker.io/') ? 'docker.io/' + i.repository.substring(21) : i.repository",
            ),
        ),
        (
            "complete",
            step(
                "canonical",
                r"i.repository.matches(r'^docker\.io/[^/]+$') ? 'docker.io/library/' + i.repository.substring(10) : i.repository",
            ),
        ),
        (
            "parsed",
            step(
                "complete",
                &format!("{HOST_FITS} && {PATH_FITS} ? i.repository : ''"),
            ),
        ),
    ]
}

/// The variable that lists the images that violate a rule.
pub(super) const fn list_of(rule: WrittenRule) -> &'static str {
    match rule {
        WrittenRule::ValidReference => "invalid",
        WrittenRule::AllowedRepositories => "notAllowed",
        WrittenRule::DigestRequired => "withoutDigest",
    }
}

/// The message about the images in a variable, as [`Sentence::with`] makes it.
pub(super) fn message(list: &str, sentence: &Sentence) -> String {
    let first = format!("variables.{list}[0]");
    let repository = if sentence.repository {
        format!(" + {first}.repository")
    } else {
        String::new()
    };
    let Sentence {
        before, after, end, ..
    } = sentence;
    let (more, others) = MORE;
    format!(
        "{first}.user + '{before}'{repository} + '{after}' + (size(variables.{list}) > 1 ? '{more}' + string(size(variables.{list}) - 1) + '{others}' : '') + '{end}'"
    )
}

/// The message where the expression for it has no value, because it is over the API server's budget.
pub(super) fn message_without_image(sentence: &Sentence) -> String {
    let Sentence {
        before, after, end, ..
    } = sentence;
    format!("An image of the pod{before}{after}{end}")
}

/// The images of an object, each with its user.
fn images(object: &str) -> String {
    let lists: Vec<_> = ImageUser::ALL
        .into_iter()
        .map(|user| {
            let field = format!("{object}.spec.{}", user.field());
            let (entries, reference) = match user {
                ImageUser::Container | ImageUser::InitContainer | ImageUser::EphemeralContainer => {
                    (field.clone(), "c.image")
                }
                ImageUser::ImageVolume => {
                    (format!("{field}.filter(v, has(v.image))"), "c.image.reference")
                }
            };
            format!(
                "(has({field}) ? {entries}.map(c, {{'user': '{user} ' + c.name, 'reference': has({reference}) ? string({reference}) : ''}}) : [])"
            )
        })
        .collect();
    lists.join(" + ")
}
