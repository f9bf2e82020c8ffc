//! The documents describe each reason, Event and metric, and their links have targets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The values of the string constants of a source file.
fn constants(path: &str) -> Vec<String> {
    let source = read(path);
    let found: Vec<_> = source
        .lines()
        .filter(|line| line.trim_start().starts_with("pub const "))
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect();
    assert!(!found.is_empty(), "{path} has no constants");
    found
}

/// The names of the metrics that a source file registers.
fn metrics(path: &str, prefix: &str) -> Vec<String> {
    let source = read(path);
    let mut found = Vec::new();
    for (at, word) in source.match_indices(".register") {
        let call = source.get(at + word.len()..).unwrap();
        let unit = call.starts_with("_with_unit(");
        // The call begins with the name, on its line or on the next.
        let Some((before, rest)) = call.split_once('"') else {
            continue;
        };
        if before.contains(';') || !before.trim_end().ends_with('(') {
            continue;
        }
        let name = rest.split('"').next().unwrap();
        let unit = if unit { "_seconds" } else { "" };
        // A counter is served with a suffix (OpenMetrics 1.0); its field's type says what it is.
        let field = rest.split("self.").nth(1).unwrap();
        let field = field.split('.').next().unwrap();
        let declared = format!("{field}: ");
        let type_ = source
            .split_once(&declared)
            .and_then(|(_, rest)| rest.split_once(",\n"))
            .unwrap_or_else(|| panic!("{path}: no field {field}"))
            .0;
        let total = if type_.contains("Counter") {
            "_total"
        } else {
            ""
        };
        found.push(format!("{prefix}_{name}{unit}{total}"));
    }
    // Gauges in a table: `("name", "help", &self.field)`.
    let table = source.split_once("fn gauges(").map_or("", |(_, rest)| rest);
    let table = table.split_once("\n    }\n").map_or("", |(table, _)| table);
    for entry in table.split("(\"").flat_map(|entry| entry.split("(\n")) {
        let name = entry.trim_start().trim_start_matches('"');
        if let Some((name, help)) = name.split_once("\",")
            && help.contains("&self.")
        {
            found.push(format!("{prefix}_{name}"));
        }
    }
    assert!(found.len() > 2, "{path}: {found:?}");
    found
}

/// The variants of an enum without data in a source file.
fn variants(path: &str, name: &str) -> Vec<String> {
    let source = read(path);
    let (_, body) = source.split_once(&format!("enum {name} {{")).unwrap();
    let body = body.split_once('}').unwrap().0;
    let found: Vec<_> = body
        .lines()
        .map(|line| line.trim().trim_end_matches(','))
        .filter(|line| !line.is_empty() && !line.starts_with("///"))
        .map(str::to_owned)
        .collect();
    assert!(found.len() > 1, "{path}: {name} has {found:?}");
    found
}

#[test]
fn every_reason_event_and_metric_is_documented() {
    let pages = read("docs/operating.md") + &read("docs/responses.md");
    let mut names = constants("crates/api/src/condition.rs");
    names.extend(constants("crates/api/src/event.rs"));
    names.extend(metrics("crates/sensor/src/metrics.rs", "bailiff_sensor"));
    names.extend(metrics(
        "crates/controller/src/metrics.rs",
        "bailiff_controller",
    ));
    names.extend(metrics(
        "crates/renderer/src/metrics.rs",
        "bailiff_renderer",
    ));
    names.extend(metrics("crates/webhook/src/metrics.rs", "bailiff_webhook"));
    names.extend(metrics(
        "crates/webhook/src/facts/metrics.rs",
        "bailiff_webhook",
    ));
    for name in ["NotEvaluated", "Skipped", "NotRecorded"] {
        names.extend(variants("crates/sensor/src/metrics.rs", name));
    }
    // Values of the label `result` are lower case.
    let results = variants("crates/sensor/src/metrics.rs", "WriteResult");
    names.extend(results.iter().map(|result| result.to_lowercase()));
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !pages.contains(&format!("`{name}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/operating.md and docs/responses.md lack {missing:?}"
    );
}

/// The anchors of the headings of a page.
fn anchors(page: &str) -> impl Iterator<Item = String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let kept = line
            .trim_start_matches('#')
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    })
}

#[test]
fn every_link_between_documents_has_a_target() {
    let mut pages: Vec<String> = ["README.md", "ARCHITECTURE.md", "testbed/README.md"]
        .iter()
        .map(ToString::to_string)
        .collect();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        pages.push(format!("docs/{name}"));
    }
    let mut links = 0;
    for page in &pages {
        let text = read(page);
        for (_, rest) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let link = rest.split(')').next().unwrap();
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = match file {
                "" => root().join(page),
                file => root().join(page).parent().unwrap().join(file),
            };
            assert!(path.exists(), "{page}: the target of {link} does not exist");
            if !heading.is_empty() {
                let target = std::fs::read_to_string(path).unwrap();
                assert!(
                    anchors(&target).any(|anchor| anchor == heading),
                    "{page}: the target of {link} has no such heading"
                );
            }
            links += 1;
        }
    }
    assert!(links > 5, "{links} links");
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let page = read("ARCHITECTURE.md");
    let (_, table) = page.split_once("| invariant | test |\n").unwrap();
    let table = table.split("\n\n").next().unwrap();
    let paths: Vec<_> = table
        .lines()
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|code| code.contains('/'))
        .collect();
    assert!(paths.len() > 20, "{paths:?}");
    let missing: Vec<_> = paths
        .iter()
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names {missing:?}");
}
