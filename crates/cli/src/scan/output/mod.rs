//! How the result is printed.
//!
//! Here: what the formats have in common. Not here: the formats (`table`, `json`, `sarif`, `explain`), what they have of
//! images (`coverage`), what is printed besides (`notes`), files (`destination`), and the result (`report`).
//! Invariant: text of images, packages and advisories is escaped before it reaches a terminal.

mod coverage;
mod destination;
mod explain;
mod json;
mod notes;
mod sarif;
mod table;

pub(super) use coverage::gaps;
pub(super) use destination::Destinations;

use super::args::{Format, ScanArgs};
use super::report::Report;
use crate::Error;
use bailiff_response::messages::{escaped, hides, is_command};
use bailiff_scan::action::{Action, Advice};
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::inventory::Mark;
use bailiff_scan::matching::{Finding, Settled};
use bailiff_scan::package::Subject;
use bailiff_scan::result::Places;
use serde_json::Value as Json;
use std::io::Write;

/// Characters of a cell.
const CELL_LIMIT: usize = 120;
/// Packages of a distribution, and advisories of it, that settle a finding.
const OWNERS_LIMIT: usize = 10;

/// Writes the schema of the result for programs.
pub(super) fn write_schema(out: &mut impl Write) -> Result<(), Error> {
    writeln!(out, "{}", serde_json::to_string_pretty(&json::schema())?)?;
    out.flush()?;
    Ok(())
}

/// Writes the result in the formats of the flags, and besides it what people have to know.
pub(super) fn write(
    args: &ScanArgs,
    report: &Report,
    destinations: Destinations,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<(), Error> {
    let Destinations { printed, files } = destinations;
    let text = match &args.explain {
        Some(id) => joined(&explain::lines(id, report)),
        None => formatted(printed, report)?,
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    for line in notes::lines(args, report) {
        writeln!(err, "{line}")?;
    }
    for file in files {
        let text = formatted(file.format, report)?;
        file.write(&text)?;
    }
    Ok(())
}

/// The result in a format.
fn formatted(format: Format, report: &Report) -> Result<String, serde_json::Error> {
    Ok(match format {
        Format::Table => joined(&table::lines(report)),
        Format::Json => printable(&json::json(report)?)? + "\n",
        Format::Sarif => printable(&sarif::log(report))? + "\n",
    })
}

/// Lines as a text.
fn joined(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// JSON as text. Characters that control a terminal or hide text are escaped, as JSON allows for each character.
fn printable(json: &Json) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string_pretty(json)?;
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // No line of JSON begins with `::`.
        if (c.is_control() && c != '\n') || hides(c) || (c == '[' && is_command(&text, c)) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.extend(format!("\\u{unit:04x}").chars());
            }
        } else {
            text.push(c);
        }
    }
    Ok(text)
}

/// The package, for people: where it is from, and its name.
fn package(subject: &Subject) -> String {
    escaped(
        &format!("{}/{}", subject.ecosystem, subject.name),
        CELL_LIMIT,
    )
}

/// The page about a finding.
fn url(finding: &Finding) -> String {
    // Names of advisories are printable ASCII. In an address some of its characters have a meaning.
    let id = finding
        .evidence
        .first()
        .map_or(&finding.id, |e| &e.advisory.id);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let encoded = id.chars().map(|c| match c {
        c if is_plain(c) => c.to_string(),
        c => format!("%{:02X}", u32::from(c)),
    });
    format!(
        "https://osv.dev/vulnerability/{}",
        encoded.collect::<String>()
    )
}

/// How to get to know what is exploited.
fn catalog(report: &Report) -> &'static str {
    if report.result.sources.is_some() {
        "build the index again with a source of kind kev, or set --known-exploited"
    } else {
        "set --known-exploited"
    }
}

/// What is special about a package: who installed it, of which platforms it is, and its marks. None if nothing is.
fn found(places: &Places, subject: &Subject) -> Option<String> {
    let place = places.place(subject)?;
    let mut parts = Vec::new();
    if !place.owners.is_empty() {
        let owners: Vec<_> = place.owners.iter().cloned().collect();
        parts.push(format!("Installed by {}.", names(&owners, OWNERS_LIMIT)));
    }
    if places.are_of_several() && !place.platforms.is_empty() {
        let platforms: Vec<_> = place.platforms.iter().cloned().collect();
        parts.push(format!("Of {}.", names(&platforms, OWNERS_LIMIT)));
    }
    parts.extend(place.marks.iter().map(|mark| {
        match mark {
            Mark::Vendored => "A copy is in another package.",
            Mark::AnyGroup => "Its group is not known, so that advisories of any group are possible.",
            Mark::OtherSource => {
                "It might not be of the registry, which can have another package of its name."
            }
            Mark::NotInDatabase => {
                "A layer removed it from the database or gave it another version there, and its files stay."
            }
            Mark::ReleaseConflict => {
                "Files disagree about the release, so that it counts for each."
            }
        }
        .to_owned()
    }));
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Why a finding is settled, as a sentence.
fn settled(of: &Settled) -> String {
    format!(
        "{} installed it, and {} says that this is fixed or not affected.",
        names(&of.owners, OWNERS_LIMIT),
        names(&of.advisories, OWNERS_LIMIT)
    )
}

/// Why a finding is that of an owner, as a sentence.
fn of_owner(owners: &[String]) -> String {
    format!(
        "The same finding of {}, which installed it, counts.",
        names(owners, OWNERS_LIMIT)
    )
}

/// What to do about a package, for people.
fn advice(action: &Action) -> String {
    let subject = &action.subject;
    match &action.advice {
        Advice::Remove => "Remove it: it is malicious".to_owned(),
        Advice::Subscribe => "Upgrade with Ubuntu Pro".to_owned(),
        Advice::Check => "Check whether it is affected".to_owned(),
        Advice::NoFix => "No fixed version is known".to_owned(),
        Advice::Upgrade(version) => {
            let version = escaped(version, CELL_LIMIT);
            match (&subject.ecosystem, subject.name.as_str()) {
                (Ecosystem::Go, "stdlib" | "toolchain") => {
                    let version = version.trim_start_matches("go").trim_start_matches('v');
                    format!("Rebuild with Go {version}")
                }
                _ => format!("Upgrade to {version}"),
            }
        }
    }
}

/// A text that people wrote, on one line.
fn one_line(text: &str, limit: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    escaped(&words.join(" "), limit)
}

/// The first names of a list, and how many more there are.
fn names(all: &[String], limit: usize) -> String {
    names_of(all.get(..limit).unwrap_or(all), all.len())
}

/// The first names of a list of which there are `count`.
fn names_of(first: &[String], count: usize) -> String {
    let shown: Vec<_> = first.iter().map(|name| escaped(name, CELL_LIMIT)).collect();
    let more = count.saturating_sub(first.len());
    let shown = shown.join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

/// A number of things.
fn counted(count: usize, what: &str) -> String {
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (count, Some(stem)) => format!("{count} {stem}ies"),
        (count, None) => format!("{count} {what}s"),
    }
}
