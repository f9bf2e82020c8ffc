//! Findings for programs.
//!
//! Here: what of the result each field has. Not here: the fields and their names (`fields`, `images`), their words
//! (`words`), and the findings.
//! Invariant: a field that changes its meaning changes [`SCHEMA_VERSION`]. A list is never null, and no field is left out.

mod fields;
mod images;
mod words;

use super::super::report::Report;
use super::url;
use bailiff_scan::action;
use bailiff_scan::advisory::Kind;
use bailiff_scan::counting::Standing;
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::ignore::Entry;
use bailiff_scan::index;
use bailiff_scan::matching::{self, Exploited};
use bailiff_scan::package::Subject;
use bailiff_scan::release::Support;
use bailiff_scan::severity::Rating;
use fields::{
    Action, Advisories, Coverage, Distribution, Document, End, Finding, FixDate, IgnoreEntry,
    IgnoreList, Index, LookedUp, Package, PackageName, Settled, SeveritySource, Source,
};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;
use words::{ActionWord, SupportWord};

/// The version of the fields.
const SCHEMA_VERSION: u32 = 1;

/// The schema of the result, in version 2020-12 of JSON Schema.
pub(super) fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let generator = settings.into_generator();
    generator.into_root_schema_for::<Document<'_>>()
}

/// The result.
///
/// # Errors
/// None that is known: each field is a text, a number, or a list of them.
pub(super) fn json(report: &Report) -> Result<Json, serde_json::Error> {
    let result = &report.result;
    let matches = &result.matches;
    let catalog = result.known_exploited.as_ref();
    let advisories = result.advisories.read.iter();
    let advisories = advisories.map(|(ecosystem, read)| Advisories {
        ecosystem: ecosystem.to_string(),
        records: read.records,
        newest_modified: read.newest.map(|time| time.to_string()),
    });
    let without = result.without_advisories.iter();
    let images = report.images.as_ref();
    serde_json::to_value(Document {
        schema_version: SCHEMA_VERSION,
        advisories: advisories.collect(),
        coverage: Coverage {
            complete: result.is_complete(),
            ecosystems_without_advisories: without.map(ToString::to_string).collect(),
            errors: result.unread.kept(),
            error_count: result.unread.count(),
            known_exploited_released: catalog.and_then(|catalog| catalog.released.as_deref()),
            withdrawn: &matches.withdrawn,
        },
        distributions: result.releases.iter().map(release).collect(),
        index: result.sources.as_ref().map(|sources| Index {
            sources: sources.iter().map(source).collect(),
        }),
        images: images.map(|images| images::of(images, report.scanned())),
        ignore_list: IgnoreList {
            expired: result.expired().map(entry).collect(),
            unmatched: result.unmatched().map(entry).collect(),
        },
        packages: matches
            .subjects
            .iter()
            .map(|of| package(of, report))
            .collect(),
        findings: matches
            .findings
            .iter()
            .map(|of| finding(of, report))
            .collect(),
        actions: result.actions.iter().map(action).collect(),
    })
}

fn looked_up(subject: &Subject) -> LookedUp<'_> {
    LookedUp {
        ecosystem: subject.ecosystem.to_string(),
        name: &subject.name,
        version: &subject.version,
    }
}

fn package<'a>(subject: &'a Subject, report: &Report) -> Package<'a> {
    let places = &report.result.places;
    let place = places.place(subject).cloned().unwrap_or_default();
    Package {
        ecosystem: subject.ecosystem.to_string(),
        name: &subject.name,
        version: &subject.version,
        packages: &subject.packages,
        paths: &subject.paths,
        layers: places.layers(subject),
        platforms: place.platforms.into_iter().collect(),
        owners: place.owners.into_iter().collect(),
        marks: place.marks.into_iter().map(Into::into).collect(),
        of_base: places.is_of_base(subject),
    }
}

/// A release of a distribution, and whether it gets fixes.
fn release((release, support): &(Ecosystem, Support)) -> Distribution {
    let (support, end) = match support {
        Support::Supported(_) => (SupportWord::Supported, None),
        Support::Ended(end) => (SupportWord::Ended, Some(end)),
        Support::Unknown | Support::NoReleases => (SupportWord::Unknown, None),
    };
    Distribution {
        ecosystem: release.to_string(),
        support,
        end: end.map(|end| End {
            last_day: end.day.to_string(),
            last_day_with_subscription: end.with_subscription.map(|day| day.to_string()),
            source: end.source,
        }),
    }
}

/// A source of the index.
fn source(source: &index::Source) -> Source<'_> {
    Source {
        kind: source.kind.into(),
        origin: &source.origin,
        records: source.records,
        unreadable: source.unreadable,
        newest: source.newest.map(|time| time.to_string()),
        retrieved: source.retrieved.to_string(),
    }
}

/// An entry of the list of findings to ignore.
fn entry(entry: &Entry) -> IgnoreEntry<'_> {
    IgnoreEntry {
        entry: entry.number,
        id: &entry.id,
        package: PackageName {
            ecosystem: entry.ecosystem.to_string(),
            name: &entry.name,
        },
        reason: &entry.reason,
        expires: entry.expires.to_string(),
    }
}

fn finding<'a>(finding: &'a matching::Finding, report: &'a Report) -> Finding<'a> {
    let standing = report.result.counting.standing(finding);
    let ignored = match standing {
        Standing::Ignored(of) => Some(entry(of)),
        Standing::Counted
        | Standing::NotCounted(_)
        | Standing::Settled(_)
        | Standing::OfOwner(_)
        | Standing::NotFixed => None,
    };
    let informational = match &finding.kind {
        Kind::Informational(word) => Some(word.as_str()),
        Kind::Vulnerability | Kind::Malicious => None,
    };
    let known_exploited = match finding.exploited {
        Exploited::Yes => Some(true),
        Exploited::No => Some(false),
        Exploited::Unknown => None,
    };
    let evidence = finding.evidence.iter();
    let settled = finding.settled.as_ref();
    Finding {
        id: &finding.id,
        aliases: &finding.aliases,
        kind: (&finding.kind).into(),
        informational,
        not_counted: words::not_counted(standing),
        ignored,
        settled: settled.map(|of| Settled {
            owners: &of.owners,
            advisories: &of.advisories,
        }),
        of_owner: &finding.of_owner,
        package: looked_up(&finding.subject),
        state: (&finding.state).into(),
        state_reason: finding.state.reason(),
        fixed_version: finding.state.fixed_version(),
        fix_date: finding.fix_date().map(|of| FixDate {
            date: of.date.to_string(),
            source: &of.source,
        }),
        severity: finding.rating.severity.into(),
        severity_source: severity_source(&finding.rating),
        known_exploited,
        title: &finding.title,
        url: url(finding),
        advisories: evidence.map(|of| of.advisory.id.as_str()).collect(),
    }
}

fn severity_source(rating: &Rating) -> Option<SeveritySource<'_>> {
    let (statement, advisory) = rating.source.as_ref()?;
    let (kind, value) = words::statement(statement);
    Some(SeveritySource {
        advisory,
        kind,
        value,
        // As text, because the number of a float is not the number of the score.
        score: statement.score().map(|score| format!("{score:.1}")),
    })
}

fn action(action: &action::Action) -> Action<'_> {
    Action {
        package: looked_up(&action.subject),
        kind: ActionWord::from(&action.advice),
        to_version: match &action.advice {
            action::Advice::Upgrade(version) => Some(version),
            action::Advice::Remove
            | action::Advice::Subscribe
            | action::Advice::Check
            | action::Advice::NoFix => None,
        },
        findings: action.findings,
        fixes: &action.fixes,
        remaining: &action.remaining,
        severity: action.severity.into(),
        known_exploited: action.exploited,
    }
}
