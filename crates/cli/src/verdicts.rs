//! Verdicts about images as cells of a table and as JSON.
//!
//! Here: what the commands `check` and `images` have in common. Not here: their own columns.
//! Invariant: text of pods is escaped and cut before it reaches a terminal.

use crate::admission::{Finding, ImageVerdict, Verdict};
use bailiff_policy::image::ImageUser;
use bailiff_response::messages::escaped;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Characters of a cell.
const TEXT_LIMIT: usize = 1024;
/// Characters of a digest in a table: the algorithm and enough of the rest to compare by eye.
const DIGEST_LENGTH: usize = 19;

/// The rows about an image: one for each violated rule. `subject`: the first cells.
pub(crate) fn cells(subject: &[String], image: &ImageVerdict) -> Vec<Vec<String>> {
    let container = match image.user {
        ImageUser::Container => image.container.clone(),
        ImageUser::InitContainer => format!("{} (init)", image.container),
        ImageUser::EphemeralContainer => format!("{} (ephemeral)", image.container),
        ImageUser::ImageVolume => format!("{} (volume)", image.container),
    };
    let mut reasons = reasons(image).into_iter();
    let mut row = subject.to_vec();
    row.extend([
        escaped(&container, TEXT_LIMIT),
        escaped(&image.image, TEXT_LIMIT),
        pinned(image),
        image.verdict.as_str().to_owned(),
        reasons.next().unwrap_or_default(),
    ]);
    let mut rows = vec![row];
    for reason in reasons {
        let mut row = vec![String::new(); subject.len() + 4];
        row.push(reason);
        rows.push(row);
    }
    rows
}

/// The digest that replaces the tag, shortened.
fn pinned(image: &ImageVerdict) -> String {
    let digest = image.pinned.as_ref().and_then(|pin| pin.split_once('@'));
    digest.map_or_else(
        || "-".to_owned(),
        |(_, digest)| escaped(digest, DIGEST_LENGTH),
    )
}

fn reasons(image: &ImageVerdict) -> Vec<String> {
    let mut reasons: Vec<_> = image
        .findings
        .iter()
        .map(|finding| escaped(&finding.message, TEXT_LIMIT))
        .collect();
    reasons.extend(image.notes.iter().map(|note| escaped(note, TEXT_LIMIT)));
    if !reasons.is_empty() {
        return reasons;
    }
    let by = escaped(&image.policies.join(", "), TEXT_LIMIT);
    vec![match image.verdict {
        Verdict::Exempt => "Bailiff does not evaluate this pod.".to_owned(),
        Verdict::Uncovered => "No policy selects the image.".to_owned(),
        Verdict::NotChecked => format!("Its registry was not asked, as {by} requires."),
        Verdict::Allowed | Verdict::Audited | Verdict::Warned | Verdict::Denied => {
            format!("As {by} requires.")
        }
    }]
}

/// How many images there are of each verdict, the worst first.
pub(crate) fn summary(verdicts: impl Iterator<Item = (Verdict, usize)>) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for (verdict, count) in verdicts {
        *counts.entry(verdict).or_default() += count;
    }
    let all: usize = counts.values().sum();
    let noun = if all == 1 { "image" } else { "images" };
    let each: Vec<_> = counts
        .iter()
        .rev()
        .map(|(verdict, count)| format!("{count} {}", verdict.as_str()))
        .collect();
    if each.is_empty() {
        return "0 images.".to_owned();
    }
    format!("{all} {noun}: {}.", each.join(", "))
}

/// An image for programs.
pub(crate) fn image_json(image: &ImageVerdict) -> Json {
    let findings: Vec<_> = image.findings.iter().map(finding_json).collect();
    json!({
        "container": image.container,
        "field": image.user.field(),
        "image": image.image,
        "pinnedTo": image.pinned,
        "verdict": image.verdict.as_str(),
        "policies": image.policies,
        "findings": findings,
        "notes": image.notes,
    })
}

fn finding_json(finding: &Finding) -> Json {
    json!({
        "policyName": finding.policy,
        "rule": finding.rule,
        "action": finding.action,
        "message": finding.message,
    })
}
