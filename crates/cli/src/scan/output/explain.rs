//! What a verdict about a vulnerability rests on.
//!
//! Here: each advisory about it, and what it says about each package. Not here: the verdicts (`bailiff_scan`).
//! Invariant: each package that an advisory about it names is explained, also if it is not affected.

use super::super::TEXT_LIMIT;
use super::super::report::Report;
use super::{one_line, package};
use bailiff_response::messages::escaped;
use bailiff_scan::counting::Standing;
use bailiff_scan::matching::{Claim, Exploited, Finding, Named, NotCounted, State, is_name};
use bailiff_scan::severity::Statement;

/// The lines about a vulnerability.
pub(super) fn lines(id: &str, report: &Report) -> Vec<String> {
    let result = &report.result;
    let of = |ecosystem: &_, name: &_| result.advisories.get(ecosystem, name);
    let mut lines = Vec::new();
    let mut last = None;
    for subject in &result.matches.subjects {
        let named = Named::after(last.take(), subject, of);
        let named = &*last.insert(named);
        let claims = named.claims_about(id, &subject.version);
        if claims.is_empty() {
            continue;
        }
        lines.push(format!(
            "{} {}",
            package(subject),
            escaped(&subject.version, TEXT_LIMIT)
        ));
        if !subject.packages.iter().eq([&subject.name]) {
            let built = escaped(&subject.packages.join(", "), TEXT_LIMIT);
            lines.push(format!("  Source package of {built}."));
        }
        if !subject.paths.is_empty() {
            lines.push(format!(
                "  In {}.",
                escaped(&subject.paths.join(", "), TEXT_LIMIT)
            ));
        }
        let layers = result.places.layers(subject);
        if !layers.is_empty() {
            let layers: Vec<_> = layers.iter().map(ToString::to_string).collect();
            lines.push(format!("  Layer {}.", layers.join(", ")));
        }
        lines.extend(super::found(&result.places, subject).map(|line| format!("  {line}")));
        for (advisory, claim) in claims {
            let withdrawn = if advisory.withdrawn {
                " The advisory was withdrawn, so it does not count."
            } else {
                ""
            };
            lines.push(format!("  {}: {}{withdrawn}", advisory.id, said(&claim)));
        }
        let is_about = |finding: &&Finding| {
            finding.subject == *subject
                && (is_name(&finding.id, id)
                    || finding.aliases.iter().any(|alias| is_name(alias, id)))
        };
        let findings: Vec<_> = result.matches.findings.iter().filter(is_about).collect();
        if findings.is_empty() {
            lines.push("  Result: not affected.".to_owned());
        }
        for finding in findings {
            lines.extend(
                verdict(finding, report)
                    .into_iter()
                    .map(|line| format!("  {line}")),
            );
            let standing = standing(result.counting.standing(finding));
            lines.extend(standing.map(|line| format!("  {line}")));
        }
    }
    if lines.is_empty() {
        lines.push(format!(
            "No advisory about {} names a package of {}.",
            escaped(id, TEXT_LIMIT),
            if report.images.is_some() {
                "the image"
            } else {
                "the list"
            }
        ));
    }
    lines
}

/// Why a finding does not count. None if it counts.
fn standing(standing: Standing<'_>) -> Option<String> {
    match standing {
        Standing::Counted => None,
        Standing::Ignored(entry) => Some(format!(
            "Ignored until {}, because: {}",
            entry.expires,
            one_line(&entry.reason, TEXT_LIMIT)
        )),
        Standing::NotCounted(NotCounted::Informational(word)) => Some(format!(
            "Not counted: its publisher calls it {}, and it has neither a CVE nor a CVSS vector.",
            escaped(word, TEXT_LIMIT)
        )),
        Standing::NotCounted(why @ (NotCounted::Unimportant | NotCounted::KernelHeaders)) => {
            Some(format!("Not counted, because {why}."))
        }
        Standing::Settled(of) => Some(format!("Not counted. {}", super::settled(of))),
        Standing::OfOwner(owners) => Some(format!("Not counted. {}", super::of_owner(owners))),
        Standing::NotFixed => Some(
            "Not counted, because no fixed version is known and --only-fixed is set.".to_owned(),
        ),
    }
}

/// What an advisory says, as a sentence.
fn said(claim: &Claim) -> String {
    let text = match claim {
        Claim::Affected { cause, .. } => cause.to_string(),
        Claim::NotAffected => "this version is not affected".to_owned(),
        Claim::Unknown(cause) => format!("unknown, because {cause}"),
    };
    format!("{}.", escaped(&text, TEXT_LIMIT))
}

fn verdict(finding: &Finding, report: &Report) -> Vec<String> {
    let state = match &finding.state {
        State::Fixed(version) => format!("affected, fixed in {version}"),
        State::FixedWithSubscription(version) => {
            format!("affected, fixed in {version}, which requires a subscription")
        }
        State::Open => "affected, and no fixed version is known".to_owned(),
        State::Postponed(_) => "affected, and the fix is postponed to a later update".to_owned(),
        State::WontFix(_) => {
            "affected, and its publisher will not fix it in this release".to_owned()
        }
        State::EndOfLife(_) => {
            "affected, and its publisher no longer supports the package in this release".to_owned()
        }
        State::Unknown(_) => "unknown whether it is affected".to_owned(),
    };
    // Why it is unknown is part of what the advisory says.
    let reason = match &finding.state {
        State::Unknown(_) => None,
        State::Fixed(_)
        | State::FixedWithSubscription(_)
        | State::Open
        | State::Postponed(_)
        | State::WontFix(_)
        | State::EndOfLife(_) => finding.state.reason(),
    };
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let severity = finding.rating.severity;
    let source = match &finding.rating.source {
        None => "no advisory has a severity that Bailiff can read".to_owned(),
        Some((statement, advisory)) => {
            let statement = match statement {
                Statement::UbuntuPriority(word) => format!("Ubuntu's priority {word}"),
                Statement::Word(word) => format!("the word {word}"),
                Statement::Cvss(version, vector) => {
                    let score = statement.score().unwrap_or_default();
                    format!("the CVSS {} score {score:.1} of {vector}", version.as_str())
                }
                Statement::Cve(source, version, vector) => {
                    let score = statement.score().unwrap_or_default();
                    let (source, version) = (source.as_str(), version.as_str());
                    format!("the CVSS {version} score {score:.1} of {vector} by {source}")
                }
            };
            format!("from {statement} in {advisory}")
        }
    };
    let exploited = match finding.exploited {
        Exploited::Yes => "yes",
        Exploited::No => "no",
        Exploited::Unknown => &*format!("unknown; {}", super::catalog(report)),
    };
    let fix = finding.fix_date().map(|of| {
        let version = escaped(&of.version, TEXT_LIMIT);
        if of.is_announced() {
            format!(
                "{version} was published on {}, as {} says.",
                of.date,
                escaped(&of.source, TEXT_LIMIT)
            )
        } else {
            format!(
                "{version} was first in an index that was built on {}; it can be older.",
                of.date
            )
        }
    });
    let lines = [
        format!(
            "Result for {}: {}.",
            finding.id,
            escaped(&format!("{state}{reason}"), TEXT_LIMIT)
        ),
        format!("Severity: {severity}, {}.", escaped(&source, TEXT_LIMIT)),
        format!("Known to be exploited: {exploited}."),
    ];
    lines.into_iter().chain(fix).collect()
}
