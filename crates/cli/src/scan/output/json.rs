//! Findings for programs.
//!
//! Here: the fields and their names. Not here: the findings.
//! Invariant: a field that changes its meaning changes [`SCHEMA_VERSION`]. A list is never null.

use super::super::report::Report;
use super::url;
use bailiff_scan::action::{Action, Advice};
use bailiff_scan::advisory::Kind;
use bailiff_scan::counting::Standing;
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::ignore::Entry;
use bailiff_scan::index::Source;
use bailiff_scan::matching::{Exploited, Finding};
use bailiff_scan::package::Subject;
use bailiff_scan::release::Support;
use bailiff_scan::severity::{CveSource, Rating, Statement};
use serde_json::{Value as Json, json};

/// The version of the fields.
const SCHEMA_VERSION: u32 = 1;

/// The result.
pub(super) fn json(report: &Report) -> Json {
    let advisories = report.advisories.read.iter().map(|(ecosystem, read)| {
        json!({
            "ecosystem": ecosystem.to_string(),
            "records": read.records,
            "newestModified": read.newest.map(|time| time.to_string()),
        })
    });
    let packages = report.matches.subjects.iter().map(|subject| {
        let mut package = of(subject);
        package["packages"] = json!(subject.packages);
        package["paths"] = json!(subject.paths);
        package["layers"] = json!(report.places.layers(subject));
        let place = report.places.place(subject).cloned().unwrap_or_default();
        package["platforms"] = json!(place.platforms);
        package["owners"] = json!(place.owners);
        package["marks"] = json!(
            place
                .marks
                .iter()
                .map(|mark| mark.as_str())
                .collect::<Vec<_>>()
        );
        package["ofBase"] = json!(report.places.is_of_base(subject));
        package
    });
    let findings = report
        .matches
        .findings
        .iter()
        .map(|found| finding(found, report));
    let actions = report.actions.iter().map(action);
    json!({
        "schemaVersion": SCHEMA_VERSION,
        "advisories": advisories.collect::<Vec<_>>(),
        "coverage": {
            "complete": report.is_complete(),
            "ecosystemsWithoutAdvisories": report.without_advisories,
            "errors": report.errors.kept(),
            "errorCount": report.errors.count(),
            "knownExploitedReleased": report.known_exploited.as_ref().and_then(|k| k.released.clone()),
            "withdrawn": report.matches.withdrawn,
        },
        "distributions": report.releases.iter().map(release).collect::<Vec<_>>(),
        "index": report.sources.as_ref().map(|sources| json!({
            "sources": sources.iter().map(source).collect::<Vec<_>>(),
        })),
        "images": report.images.as_ref().map(super::coverage::json),
        "ignoreList": {
            "expired": report.expired().map(entry).collect::<Vec<_>>(),
            "unmatched": report.unmatched().map(entry).collect::<Vec<_>>(),
        },
        "packages": packages.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
        "actions": actions.collect::<Vec<_>>(),
    })
}

fn of(subject: &Subject) -> Json {
    json!({
        "ecosystem": subject.ecosystem.to_string(),
        "name": subject.name,
        "version": subject.version,
    })
}

/// A release of a distribution, and whether it gets fixes.
fn release((release, support): &(Ecosystem, Support)) -> Json {
    let (word, end) = match support {
        Support::Supported(_) => ("Supported", None),
        Support::Ended(end) => ("Ended", Some(end)),
        Support::Unknown | Support::NoReleases => ("Unknown", None),
    };
    json!({
        "ecosystem": release.to_string(),
        "support": word,
        "end": end.map(|end| json!({
            "lastDay": end.day.to_string(),
            "lastDayWithSubscription": end.with_subscription.map(|day| day.to_string()),
            "source": end.source,
        })),
    })
}

/// A source of the index.
fn source(source: &Source) -> Json {
    json!({
        "kind": source.kind.as_str(),
        "origin": source.origin,
        "records": source.records,
        "unreadable": source.unreadable,
        "newest": source.newest.map(|time| time.to_string()),
        "retrieved": source.retrieved.to_string(),
    })
}

/// An entry of the list of findings to ignore.
fn entry(entry: &Entry) -> Json {
    json!({
        "entry": entry.number,
        "id": entry.id,
        "package": {"ecosystem": entry.ecosystem.to_string(), "name": entry.name},
        "reason": entry.reason,
        "expires": entry.expires.to_string(),
    })
}

fn finding(finding: &Finding, report: &Report) -> Json {
    let (not_counted, ignored) = match report.counting.standing(finding) {
        Standing::Counted => (None, None),
        Standing::Ignored(of) => (Some("Ignored"), Some(entry(of))),
        Standing::NotCounted(why) => (Some(why.as_str()), None),
        Standing::Settled(_) => (Some("Settled"), None),
        Standing::NotFixed => (Some("NotFixed"), None),
    };
    let (kind, informational) = match &finding.kind {
        Kind::Vulnerability => ("Vulnerability", None),
        Kind::Malicious => ("Malicious", None),
        Kind::Informational(word) => ("Informational", Some(word)),
    };
    let exploited = match finding.exploited {
        Exploited::Yes => Some(true),
        Exploited::No => Some(false),
        Exploited::Unknown => None,
    };
    let evidence = finding
        .evidence
        .iter()
        .map(|evidence| &evidence.advisory.id);
    json!({
        "id": finding.id,
        "aliases": finding.aliases,
        "kind": kind,
        "informational": informational,
        "notCounted": not_counted,
        "ignored": ignored,
        "settled": finding.settled.as_ref().map(|of| json!({"owners": of.owners, "advisories": of.advisories})),
        "package": of(&finding.subject),
        "state": finding.state.as_str(),
        "stateReason": finding.state.reason(),
        "fixedVersion": finding.state.fixed_version(),
        "fixDate": finding.fix_date().map(|of| json!({"date": of.date.to_string(), "source": of.source})),
        "severity": finding.rating.severity.as_str(),
        "severitySource": severity_source(&finding.rating),
        "knownExploited": exploited,
        "title": finding.title,
        "url": url(finding),
        "advisories": evidence.collect::<Vec<_>>(),
    })
}

fn severity_source(rating: &Rating) -> Json {
    let Some((statement, advisory)) = &rating.source else {
        return Json::Null;
    };
    let (kind, value) = match statement {
        Statement::UbuntuPriority(word) => ("UbuntuPriority", word),
        Statement::Cvss(_, vector) => ("CVSS", vector),
        Statement::Word(word) => ("Word", word),
        Statement::Cve(CveSource::Cna, _, vector) => ("CVSS-CNA", vector),
        Statement::Cve(CveSource::CisaAdp, _, vector) => ("CVSS-CISA-ADP", vector),
        Statement::Cve(CveSource::Nvd, _, vector) => ("CVSS-NVD", vector),
    };
    // As text, because the number of a float is not the number of the score.
    let score = statement.score().map(|score| format!("{score:.1}"));
    json!({"advisory": advisory, "type": kind, "value": value, "score": score})
}

fn action(action: &Action) -> Json {
    let (kind, to) = match &action.advice {
        Advice::Upgrade(version) => ("Upgrade", Some(version)),
        Advice::Remove => ("Remove", None),
        Advice::NoFix => ("NoFix", None),
    };
    json!({
        "package": of(&action.subject),
        "action": kind,
        "toVersion": to,
        "findings": action.findings,
        "fixes": action.fixes,
        "remaining": action.remaining,
        "severity": action.severity.as_str(),
        "knownExploited": action.exploited,
    })
}
