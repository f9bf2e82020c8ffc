//! The cases that the tests of cel-go and of the API server state for their libraries.
//!
//! Here: the runner; the cases are facts in `library/*.txt`, each an expression, its value as JSON
//! or its error, and its cost, in the environment of admission policies. Not here: the
//! specification's own suite (`conformance`).
//! Invariant: a file that is not read, or a case that is lost, fails the test.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_cel::admission::{self, Bindings};
use bailiff_cel::{Evaluation, NEWEST_RELEASE};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;

/// How many cases each file has.
const CASES: &[(&str, usize)] = &[
    ("cidr", 59),
    ("comprehensions", 58),
    ("cost", 135),
    ("format", 29),
    ("formatting", 80),
    ("ip", 54),
    ("language", 67),
    ("lists", 100),
    ("optionals", 30),
    ("quantity", 31),
    ("regex", 3),
    ("semver", 33),
    ("sets", 23),
    ("strings", 138),
    ("times", 7),
    ("urls", 9),
];

/// What an expression gives, as a table has it, and what it costs.
fn outcome(expression: &str) -> (String, Option<u64>) {
    let env = admission::environment(NEWEST_RELEASE, admission::Optional::default());
    let program = match env.compile(expression) {
        Ok(program) => program,
        Err(error) => {
            let issues = error.issues();
            let told: Vec<_> = issues
                .lines()
                .filter_map(|line| line.strip_prefix("ERROR: <input>:"))
                .collect();
            let told = if told.is_empty() {
                issues.replace('\n', " ")
            } else {
                told.join(" | ")
            };
            return (format!("refused: {told}"), None);
        }
    };
    let bindings = Bindings::default();
    let mut evaluation = Evaluation::new(&env, &bindings, admission::BUDGET);
    let outcome = evaluation.run(&program);
    let told = match outcome {
        Ok(value) => plain(&value.to_json()).to_string(),
        Err(error) => format!("error: {error}"),
    };
    (told, Some(evaluation.spent()))
}

/// JSON whose numbers are all written as doubles, because the tables do not tell kinds apart.
fn plain(json: &Json) -> Json {
    match json {
        Json::Number(number) => Json::String(format!("{:e}", number.as_f64().unwrap())),
        Json::Array(elements) => elements.iter().map(plain).collect(),
        Json::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, field)| (name.clone(), plain(field)));
            Json::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// What is unlike in a line of a table.
fn fault(line: &str) -> Option<String> {
    let mut fields = line.split('\t');
    let (expression, wanted) = (fields.next().unwrap(), fields.next().unwrap());
    let cost: Option<u64> = fields.next().map(|cost| cost.parse().unwrap());
    let is_value = !wanted.starts_with("error: ") && !wanted.starts_with("refused: ");
    let wanted = if is_value {
        plain(&serde_json::from_str(wanted).unwrap()).to_string()
    } else {
        wanted.to_owned()
    };
    let found = outcome(expression);
    let found = (found.0, found.1.filter(|_| cost.is_some()));
    (found != (wanted.clone(), cost)).then(|| {
        format!(
            "{expression}\n  wanted {wanted} {cost:?}\n  found  {} {:?}",
            found.0, found.1
        )
    })
}

#[test]
fn every_case_of_the_libraries_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/library");
    let (mut counts, mut faults) = (BTreeMap::new(), Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = || text.lines().filter(|line| !line.starts_with('#'));
        counts.insert(name.clone(), lines().count());
        faults.extend(
            lines()
                .filter_map(fault)
                .map(|fault| format!("{name}: {fault}")),
        );
    }
    let wanted = CASES
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count));
    assert_eq!(counts, wanted.collect());
    assert!(
        faults.is_empty(),
        "{} fail:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
