//! Findings as SARIF 2.1.0, for GitHub code scanning and other viewers.
//!
//! Here: a rule for each vulnerability, and a result for each finding. Not here: the findings (`report`).
//! Invariant: each result has what GitHub requires of it, a physical location above all: GitHub rejects the whole file
//! otherwise. What does not count is no result, because GitHub would show it as an alert. Text of strangers makes no
//! link and no placeholder of a message.

use super::super::report::Report;
use super::{advice, names, one_line, package, url};
use bailiff_response::messages::escaped;
use bailiff_scan::action::Action;
use bailiff_scan::advisory::Kind;
use bailiff_scan::counting::Standing;
use bailiff_scan::matching::{Exploited, Finding, NotCounted, State};
use bailiff_scan::package::Subject;
use bailiff_scan::severity::{Rating, Severity};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Results of a run. GitHub rejects a file with more.
const RESULTS_LIMIT: usize = 25_000;
/// Locations of a result. GitHub shows the first one.
const LOCATIONS_LIMIT: usize = 10;
/// Characters of a text. GitHub reads 1,024.
const TEXT_LIMIT: usize = 400;
/// Notifications of one kind.
const NOTIFICATIONS_LIMIT: usize = 100;

/// The log.
pub(super) fn log(report: &Report) -> Json {
    let mut findings: Vec<_> = report.result.counted().collect();
    findings.sort_by_key(|finding| {
        let urgency = (
            finding.kind == Kind::Malicious,
            finding.exploited == Exploited::Yes,
            finding.rating.severity,
        );
        (Reverse(urgency), &finding.id, &finding.subject)
    });
    let left_out = findings.len().saturating_sub(RESULTS_LIMIT);
    findings.truncate(RESULTS_LIMIT);
    let mut of_rule: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &findings {
        of_rule.entry(&finding.id).or_default().push(finding);
    }
    let index: BTreeMap<&str, usize> = of_rule.keys().copied().zip(0..).collect();
    let rules = of_rule.values().filter_map(|findings| rule(findings));
    let actions: BTreeMap<&Subject, &Action> = report
        .result
        .actions
        .iter()
        .map(|action| (&*action.subject, action))
        .collect();
    let results = findings.iter().map(|finding| {
        let action = actions.get(&*finding.subject).copied();
        let mut result = result(finding, action, report);
        result["ruleIndex"] = json!(index.get(&*finding.id));
        result
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Bailiff",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": report.result.is_complete() && left_out == 0,
                "toolExecutionNotifications": notifications(report, left_out),
            }],
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

/// The rule of a vulnerability, from its findings. None without one.
fn rule(findings: &[&Finding]) -> Option<Json> {
    let worst = findings.iter().copied().max_by_key(|finding| {
        let is_malicious = finding.kind == Kind::Malicious;
        (
            is_malicious,
            finding.rating.severity,
            score_of(finding).map(f32::to_bits),
        )
    })?;
    let title = if worst.title.is_empty() {
        worst.id.clone()
    } else {
        format!("{}: {}", worst.id, worst.title)
    };
    let exploited = match worst.exploited {
        Exploited::Yes => "yes",
        Exploited::No => "no",
        Exploited::Unknown => "unknown",
    };
    let help = format!(
        "{title}\nSeverity: {}. Known to be exploited: {exploited}.\n{}",
        worst.rating.severity,
        url(worst)
    );
    let mut tags = vec!["security", "vulnerability"];
    if worst.kind == Kind::Malicious {
        tags.push("malicious");
    }
    if worst.exploited == Exploited::Yes {
        tags.push("known-exploited");
    }
    let mut properties = json!({"tags": tags, "precision": "very-high"});
    if let Some(score) = score_of(worst) {
        properties["security-severity"] = json!(format!("{score:.1}"));
    }
    Some(json!({
        "id": worst.id,
        "name": worst.id,
        "shortDescription": {"text": text(&title)},
        "fullDescription": {"text": text(&title)},
        "help": {"text": help.lines().map(text).collect::<Vec<_>>().join("\n")},
        "helpUri": url(worst),
        "defaultConfiguration": {"level": level(worst)},
        "properties": properties,
    }))
}

/// The number that GitHub makes a severity of. A word has the middle of its range. None if the severity is unknown.
fn score_of(finding: &Finding) -> Option<f32> {
    if finding.kind == Kind::Malicious {
        return Some(10.0);
    }
    let Rating { severity, source } = &finding.rating;
    let score = source.as_ref().and_then(|(statement, _)| statement.score());
    // GitHub gives 0.0 no severity.
    let score = score.map(|score| score.max(0.1));
    score.or(match severity {
        Severity::Unknown => None,
        Severity::Low => Some(2.0),
        Severity::Medium => Some(5.5),
        Severity::High => Some(8.0),
        Severity::Critical => Some(9.5),
    })
}

fn level(finding: &Finding) -> &'static str {
    match (&finding.kind, finding.rating.severity) {
        (Kind::Malicious, _) => "error",
        (Kind::Vulnerability | Kind::Informational(_), severity) => match severity {
            Severity::Critical | Severity::High => "error",
            // What is unknown is not low.
            Severity::Medium | Severity::Unknown => "warning",
            Severity::Low => "note",
        },
    }
}

/// Whether a finding can be fixed, as a sentence.
fn state(of: &State) -> String {
    match of {
        State::Fixed(version) => format!("Fixed in {version}."),
        State::FixedWithSubscription(version) => {
            format!("Fixed in {version}, which requires Ubuntu Pro.")
        }
        State::Open => "No fixed version is known.".to_owned(),
        State::Postponed(_) => "The fix is postponed to a later update.".to_owned(),
        State::WontFix(_) => "Its publisher will not fix it in this release.".to_owned(),
        State::EndOfLife(_) => {
            "Its publisher no longer supports the package in this release.".to_owned()
        }
        State::Unknown(cause) => {
            format!("It cannot be determined whether it is affected: {cause}.")
        }
    }
}

fn result(finding: &Finding, action: Option<&Action>, report: &Report) -> Json {
    let subject = &finding.subject;
    let version = escaped(&subject.version, TEXT_LIMIT);
    let state = state(&finding.state);
    let (what, state) = match finding.kind {
        Kind::Malicious => ("is called malicious by", String::new()),
        Kind::Vulnerability | Kind::Informational(_) => match finding.state {
            State::Unknown(_) => ("might be affected by", state),
            State::Fixed(_)
            | State::FixedWithSubscription(_)
            | State::Open
            | State::Postponed(_)
            | State::WontFix(_)
            | State::EndOfLife(_) => ("is affected by", state),
        },
    };
    let advice = action
        .map(|action| format!("{}.", advice(action)))
        .unwrap_or_default();
    let built = (!subject.packages.iter().eq([&subject.name])).then(|| {
        format!(
            "Installed as {}.",
            names(&subject.packages, LOCATIONS_LIMIT)
        )
    });
    let mut first = format!("{} {version} {what} {}", package(subject), finding.id);
    if !finding.title.is_empty() {
        first.push_str(": ");
        first.push_str(&escaped(&finding.title, TEXT_LIMIT));
    }
    if !first.ends_with('.') {
        first.push('.');
    }
    let sentences = [
        first,
        escaped(&state, TEXT_LIMIT),
        advice,
        built.unwrap_or_default(),
    ];
    let sentences: Vec<_> = sentences.iter().filter(|text| !text.is_empty()).collect();
    let message: Vec<_> = sentences
        .into_iter()
        .map(|sentence| text(sentence))
        .collect();
    let paths: Vec<String> = if subject.paths.is_empty() {
        // GitHub rejects a result without a place. The list is where the package is named.
        vec![uri(&report.from)]
    } else {
        subject
            .paths
            .iter()
            .take(LOCATIONS_LIMIT)
            .map(|path| uri(path))
            .collect()
    };
    let locations = paths.iter().map(|path| {
        json!({"physicalLocation": {
            "artifactLocation": {"uri": path},
            "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1},
        }})
    });
    let place = paths.first().map(String::as_str).unwrap_or_default();
    json!({
        "ruleId": finding.id,
        "level": level(finding),
        "message": {"text": message.join(" ")},
        "locations": locations.collect::<Vec<_>>(),
        "partialFingerprints": {"primaryLocationLineHash": fingerprint(finding, place)},
    })
}

/// What makes two results the same: the vulnerability, the package without its version, and the place. An alert stays
/// the same after an upgrade that does not fix it.
fn fingerprint(finding: &Finding, path: &str) -> String {
    let subject = &finding.subject;
    let ecosystem = subject.ecosystem.to_string();
    let mut hash = Sha256::new();
    for part in [&*finding.id, &*ecosystem, &*subject.name, path] {
        hash.update(part);
        // No text has this byte, so that parts cannot be taken for others.
        hash.update([0xff]);
    }
    let hash = hash.finalize();
    let hash = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
    format!("{}:1", hash.collect::<String>())
}

/// A path as a relative URI: of another form, it would be the address of something else.
fn uri(path: &str) -> String {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let components = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "." | ".."));
    let encoded = components.map(|part| {
        let bytes = part.bytes().map(|byte| match byte {
            byte if is_plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        });
        bytes.collect::<String>()
    });
    let encoded: Vec<_> = encoded.collect();
    if encoded.is_empty() {
        "packages".to_owned()
    } else {
        encoded.join("/")
    }
}

/// A text as the text of a message of SARIF, in which brackets make links and braces placeholders.
fn text(text: &str) -> String {
    let mut message = String::new();
    for c in escaped(text, 2 * TEXT_LIMIT).chars() {
        match c {
            '\\' | '[' | ']' => message.extend(['\\', c]),
            '{' | '}' => message.extend([c, c]),
            _ => message.push(c),
        }
    }
    message
}

/// What does not count and why, and what could not be read.
fn notifications(report: &Report, left_out: usize) -> Vec<Json> {
    let of =
        |level: &str, message: &str| json!({"level": level, "message": {"text": text(message)}});
    let errors = report.result.unread.kept().iter();
    let errors = errors.map(|error| of("error", &format!("Cannot read {error}.")));
    let without = report.result.without_advisories.iter();
    let without = without.map(|ecosystem| {
        of(
            "error",
            &format!("Cannot match packages of {ecosystem}: no advisory names one."),
        )
    });
    let gaps = report.gaps().into_iter();
    let gaps = gaps.map(|gap| of("error", &format!("The result is incomplete: {gap}.")));
    let ended = report.ended().map(|message| of("warning", &message));
    let not_counted = report
        .result
        .not_counted()
        .filter_map(|(finding, standing)| {
            let reason = match standing {
                Standing::Counted => return None,
                Standing::Ignored(entry) => {
                    let reason = one_line(&entry.reason, TEXT_LIMIT);
                    format!("Ignored until {}, because: {reason}", entry.expires)
                }
                Standing::NotCounted(NotCounted::Informational(word)) => {
                    format!("Not counted, because it is information ({word}).")
                }
                Standing::NotCounted(
                    why @ (NotCounted::Unimportant | NotCounted::KernelHeaders),
                ) => {
                    format!("Not counted, because {why}.")
                }
                Standing::Settled(of) => format!("Not counted. {}", super::settled(of)),
                Standing::OfOwner(owners) => format!("Not counted. {}", super::of_owner(owners)),
                Standing::NotFixed => "Not counted, because no fixed version is known.".to_owned(),
            };
            let subject = &finding.subject;
            let version = escaped(&subject.version, TEXT_LIMIT);
            let message = format!("{} in {} {version}: {reason}", finding.id, package(subject));
            Some(of("note", &message))
        });
    let all = errors.chain(without).take(NOTIFICATIONS_LIMIT);
    let all = all.chain(gaps.take(NOTIFICATIONS_LIMIT)).chain(ended);
    let all: Vec<_> = all.collect();
    let all = all.into_iter().chain(not_counted.take(NOTIFICATIONS_LIMIT));
    let cut = (left_out > 0).then(|| {
        of("error", &format!("{left_out} results of lower urgency are left out: code scanning reads {RESULTS_LIMIT}."))
    });
    cut.into_iter().chain(all).collect()
}
