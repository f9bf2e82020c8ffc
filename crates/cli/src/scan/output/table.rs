//! The result as tables, grouped by what to do.
//!
//! Here: the lines about findings and sources. Not here: the result (`report`), the lines about images (`coverage`), and
//! errors (`notes`).
//! Invariant: text of packages and advisories is escaped before it reaches a terminal. Each finding that counts is in the
//! text. Of those that do not count, the first ones of each cause are in it, and how many more there are.

use super::super::report::Report;
use super::{CELL_LIMIT, advice, counted, names, one_line, package, url};
use crate::table;
use bailiff_response::messages::escaped;
use bailiff_scan::action::{Action, Advice};
use bailiff_scan::advisory::Kind;
use bailiff_scan::counting::Standing;
use bailiff_scan::matching::{Exploited, Finding, NotCounted, State};
use bailiff_scan::package::Subject;
use bailiff_scan::release::Support;
use bailiff_scan::result::Places;
use bailiff_scan::severity::Severity;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Names in a list.
const NAMES_LIMIT: usize = 10;
/// Paths of a package.
const PATHS_LIMIT: usize = 3;
/// Characters of the reason of an entry that ignores a finding.
const REASON_LIMIT: usize = 200;

/// The lines of the output: what to do, the findings of each action, what does not count, and what the result rests on.
/// Several platforms have a table each; the findings, which most of them share, follow once.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let all = |_: &Subject| true;
    let mut lines = Vec::new();
    let platforms = platforms(report);
    for platform in &platforms {
        let places = &report.result.places;
        let is_of = |subject: &Subject| {
            let place = places.place(subject);
            place.is_some_and(|place| place.platforms.contains(*platform))
        };
        lines.push(format!(
            "Platform {}: {}",
            escaped(platform, CELL_LIMIT),
            summary(report, &is_of)
        ));
        lines.extend(actions(report, &is_of));
        lines.push(String::new());
    }
    if platforms.is_empty() && !report.result.actions.is_empty() {
        lines.extend(actions(report, &all));
        lines.push(String::new());
    }
    lines.extend(groups(report));
    let summary = summary(report, &all);
    lines.push(match platforms.len() {
        0 => summary,
        count => format!("All {count} platforms: {summary}"),
    });
    lines.extend(not_counted(report));
    lines.push(String::new());
    lines.extend(super::coverage::lines(report));
    lines.extend(sources(report));
    lines
}

/// The platforms of the images, in their order. Empty if there is one, or if it is a list of packages.
fn platforms(report: &Report) -> Vec<&str> {
    let mut platforms: Vec<&str> = Vec::new();
    for target in &report.result.targets {
        let platform = target.platform.as_deref();
        platforms.extend(platform.filter(|of| !platforms.contains(of)));
    }
    if platforms.len() < 2 {
        platforms.clear();
    }
    platforms
}

/// The table of the actions about some packages. Empty if there are none.
fn actions(report: &Report, is_of: &dyn Fn(&Subject) -> bool) -> Vec<String> {
    let headers = [
        "PACKAGE",
        "VERSION",
        "ACTION",
        "FIXES",
        "SEVERITY",
        "EXPLOITED",
    ];
    let actions = report.result.actions.iter();
    let rows: Vec<_> = actions
        .filter(|action| is_of(&action.subject))
        .map(row)
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    table::lines(Some(&headers), &rows)
}

/// An action.
fn row(action: &Action) -> Vec<String> {
    let (fixes, all) = (action.fixes.len(), action.findings);
    vec![
        package(&action.subject),
        escaped(&action.subject.version, CELL_LIMIT),
        advice(action),
        format!("{fixes} of {all}"),
        action.severity.to_string(),
        action
            .exploited
            .map_or_else(|| "-".to_owned(), |count| count.to_string()),
    ]
}

/// The findings of each action, in the order of the actions.
fn groups(report: &Report) -> Vec<String> {
    let mut of_subject: BTreeMap<&Subject, Vec<&Finding>> = BTreeMap::new();
    let result = &report.result;
    for finding in result.counted() {
        of_subject
            .entry(&finding.subject)
            .or_default()
            .push(finding);
    }
    let mut lines = Vec::new();
    for action in &result.actions {
        let mut findings = of_subject.remove(&*action.subject).unwrap_or_default();
        findings.sort_by_key(|finding| {
            let urgency = (
                finding.kind == Kind::Malicious,
                finding.exploited == Exploited::Yes,
                finding.rating.severity,
            );
            (Reverse(urgency), &finding.id)
        });
        lines.push(format!(
            "{} {}: {}",
            package(&action.subject),
            escaped(&action.subject.version, CELL_LIMIT),
            advice(action)
        ));
        lines.extend(place(&action.subject).map(|line| format!("  {line}")));
        lines.extend(super::found(&result.places, &action.subject).map(|line| format!("  {line}")));
        lines.extend(layers(&result.places, &action.subject).map(|line| format!("  {line}")));
        lines.extend(remaining(action).map(|line| format!("  {line}")));
        let rows: Vec<_> = findings.into_iter().map(finding).collect();
        let rows = table::lines(None, &rows).into_iter();
        lines.extend(rows.map(|line| format!("  {line}")));
        lines.push(String::new());
    }
    lines
}

/// Which packages were built from a source package, and where they are.
fn place(subject: &Subject) -> Option<String> {
    let built = (!subject.packages.iter().eq([&subject.name])).then(|| {
        format!(
            "Source package of {}",
            names(&subject.packages, NAMES_LIMIT)
        )
    });
    let paths = &subject.paths;
    let paths = (!paths.is_empty()).then(|| names(paths, PATHS_LIMIT));
    Some(match (built, paths) {
        (None, None) => return None,
        (None, Some(paths)) => format!("In {paths}."),
        (Some(built), None) => format!("{built}."),
        (Some(built), Some(paths)) => format!("{built}, in {paths}."),
    })
}

/// The layers of a package, and what follows if they are those of the base.
fn layers(places: &Places, subject: &Subject) -> Option<String> {
    let layers = places.layers(subject);
    let (last, before) = layers.split_last()?;
    let layers = if before.is_empty() {
        format!("In layer {last}")
    } else {
        let before: Vec<_> = before.iter().map(ToString::to_string).collect();
        format!("In layers {} and {last}", before.join(", "))
    };
    Some(if places.is_of_base(subject) {
        format!("{layers}, probably of the base image: rebuild on a newer base.")
    } else {
        format!("{layers}.")
    })
}

/// What an upgrade leaves.
fn remaining(action: &Action) -> Option<String> {
    match &action.advice {
        Advice::Upgrade(version) if !action.remaining.is_empty() => Some(format!(
            "{} still has {}.",
            escaped(version, CELL_LIMIT),
            names(&action.remaining, NAMES_LIMIT)
        )),
        Advice::Upgrade(_) | Advice::Remove | Advice::Subscribe | Advice::Check | Advice::NoFix => {
            None
        }
    }
}

/// A finding of an action.
fn finding(finding: &Finding) -> Vec<String> {
    let exploited = match finding.exploited {
        Exploited::Yes => ", exploited",
        Exploited::No | Exploited::Unknown => "",
    };
    let day = finding.fix_date();
    let day = day.map_or_else(String::new, |of| format!(" on {}", of.date));
    let state = match (&finding.kind, &finding.state) {
        (Kind::Malicious, _) => "Malicious".to_owned(),
        (Kind::Vulnerability | Kind::Informational(_), state) => match state {
            State::Fixed(version) => format!("Fixed in {version}{day}"),
            State::FixedWithSubscription(version) => {
                format!("Fixed in {version} (Ubuntu Pro){day}")
            }
            State::Open => "Open".to_owned(),
            State::Postponed(_) => "Open, postponed".to_owned(),
            State::WontFix(_) => "Open, will not be fixed".to_owned(),
            State::EndOfLife(_) => "Open, end of life".to_owned(),
            State::Unknown(_) => "Unknown whether affected".to_owned(),
        },
    };
    vec![
        escaped(&finding.id, CELL_LIMIT),
        format!("{}{exploited}", finding.rating.severity),
        escaped(&state, CELL_LIMIT),
        url(finding),
        escaped(&finding.title, CELL_LIMIT),
    ]
}

/// How many findings some packages have.
fn summary(report: &Report, is_of: &dyn Fn(&Subject) -> bool) -> String {
    let result = &report.result;
    let subjects = result.matches.subjects.iter();
    let packages = counted(subjects.filter(|of| is_of(of)).count(), "package");
    let mut severities: BTreeMap<Severity, usize> = BTreeMap::new();
    let mut exploited = 0;
    for finding in result.counted().filter(|of| is_of(&of.subject)) {
        *severities.entry(finding.rating.severity).or_default() += 1;
        exploited += usize::from(finding.exploited == Exploited::Yes);
    }
    let all: usize = severities.values().sum();
    if all == 0 {
        return format!("No findings in {packages}.");
    }
    let counts = severities
        .iter()
        .rev()
        .map(|(severity, count)| format!("{count} {severity}"));
    let counts: Vec<_> = counts.collect();
    let actions = result.actions.iter();
    let of = actions.filter(|action| is_of(&action.subject)).count();
    let findings = counted(all, "finding");
    let exploited = match &result.known_exploited {
        Some(_) => format!("Known to be exploited: {exploited}."),
        None => format!(
            "Whether they are exploited is unknown; {}.",
            super::catalog(report)
        ),
    };
    format!(
        "{findings} in {of} of {packages}: {}. {exploited}",
        counts.join(", ")
    )
}

/// What does not count, and why.
fn not_counted(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut not_fixed = Vec::new();
    let mut others: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (finding, standing) in report.result.not_counted() {
        let of = || {
            let version = escaped(&finding.subject.version, CELL_LIMIT);
            format!("{} {version}", package(&finding.subject))
        };
        match standing {
            Standing::Counted => {}
            Standing::Ignored(entry) => lines.push(format!(
                "Ignored until {}: {} in {} ({}), because: {}",
                entry.expires,
                finding.id,
                of(),
                finding.rating.severity,
                one_line(&entry.reason, REASON_LIMIT)
            )),
            Standing::NotCounted(why @ (NotCounted::Unimportant | NotCounted::KernelHeaders)) => {
                let of = others.entry((of(), why.to_string()));
                of.or_default().push(finding.id.clone());
            }
            Standing::NotCounted(NotCounted::Informational(word)) => lines.push(format!(
                "Not counted: {} says {} is {}. This is information and no vulnerability.",
                finding.id,
                of(),
                escaped(word, CELL_LIMIT)
            )),
            Standing::Settled(settled) => lines.push(format!(
                "Not counted: {} in {}. {}",
                finding.id,
                of(),
                super::settled(settled)
            )),
            Standing::OfOwner(owners) => lines.push(format!(
                "Not counted: {} in {}. {}",
                finding.id,
                of(),
                super::of_owner(owners)
            )),
            Standing::NotFixed => not_fixed.push(format!("{} in {}", finding.id, of())),
        }
    }
    for ((of, why), findings) in others {
        lines.push(format!(
            "Not counted of {of}, because {why}: {}.",
            names(&findings, NAMES_LIMIT)
        ));
    }
    if !not_fixed.is_empty() {
        lines.push(format!(
            "Not counted, because no fixed version is known and --only-fixed is set: {}.",
            names(&not_fixed, NAMES_LIMIT)
        ));
    }
    let withdrawn = &report.result.matches.withdrawn;
    if !withdrawn.is_empty() {
        lines.push(format!(
            "Not counted, because their publishers withdrew them: {}.",
            names(withdrawn, NAMES_LIMIT)
        ));
    }
    lines
}

/// What the result rests on.
fn sources(report: &Report) -> Vec<String> {
    let result = &report.result;
    let mut lines = Vec::new();
    let mut needed: Vec<_> = result
        .matches
        .subjects
        .iter()
        .map(|s| &s.ecosystem)
        .collect();
    needed.dedup();
    for ecosystem in needed {
        let name = ecosystem.to_string();
        lines.push(match result.advisories.read.get(ecosystem) {
            Some(read) => {
                let newest = read.newest.map_or_else(
                    || "of unknown age".to_owned(),
                    |time| format!("the newest of {}", time.strftime("%Y-%m-%d")),
                );
                format!("Advisories of {name}: {}, {newest}.", read.records)
            }
            None => format!("Advisories of {name}: none."),
        });
    }
    for (release, support) in &result.releases {
        match support {
            Support::Ended(end) => lines.push(end.message(release)),
            Support::Unknown => lines.push(format!(
                "Whether {release} still gets fixes is unknown: Bailiff does not know the release."
            )),
            Support::Supported(_) | Support::NoReleases => {}
        }
    }
    let sources = result.sources.iter().flatten();
    lines.extend(sources.map(super::super::index::age));
    if !result.is_complete() {
        lines.push("The result is incomplete.".to_owned());
    }
    lines
}
