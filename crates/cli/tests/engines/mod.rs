//! Both engines: ours, and the API server's own.
//!
//! Here: asking them, comparing what they answer, reducing a difference to a small case. Not
//! here: what they are asked (`generator`, the kept files).
//! Invariant: a difference that is reported was answered twice, alone the second time.

use super::generator::Case;
use bailiff_cli::eval::{EvalArgs, run};
use clap::Parser as _;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    eval: EvalArgs,
}

/// The release whose environment is asked for, as 1.37.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release(pub(crate) u32);

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many had a value, an error, a compiler's message.
    pub(crate) kinds: BTreeMap<&'static str, usize>,
    /// How many differ in another way each time that the API server's engine is asked, because a
    /// map has no order there, and in one of these ways from ours.
    pub(crate) by_order: usize,
    pub(crate) unlike: Vec<Case>,
}

impl Report {
    pub(crate) fn add(&mut self, other: Self) {
        for (kind, number) in other.kinds {
            *self.kinds.entry(kind).or_default() += number;
        }
        self.by_order += other.by_order;
        self.unlike.extend(other.unlike);
    }
}

fn answers(text: &str) -> Vec<Json> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ours(release: Release, input: &str) -> Vec<Json> {
    let version = format!("1.{}", release.0);
    let line = Line::parse_from(["eval", "--batch", "--kubernetes-version", &version]);
    let mut out = Vec::new();
    assert!(run(&line.eval, &mut Cursor::new(input), &mut out).unwrap());
    answers(std::str::from_utf8(&out).unwrap())
}

/// What both answer, at the same time.
fn both(release: Release, input: &str) -> (Vec<Json>, Vec<Json>) {
    let Some(program) = std::env::var_os("BAILIFF_CEL_ORACLE") else {
        panic!(
            "BAILIFF_CEL_ORACLE is not set: run `make unit`, or set it to what `hack/oracle.sh` prints"
        );
    };
    let mut child = Command::new(program)
        .arg(format!("--kubernetes-version=1.{}", release.0))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (ours, output) = std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(input.as_bytes()));
        let reader = scope.spawn(move || child.wait_with_output().unwrap());
        let ours = ours(release, input);
        writer.join().unwrap().unwrap();
        (ours, reader.join().unwrap())
    });
    assert!(output.status.success());
    let theirs = answers(std::str::from_utf8(&output.stdout).unwrap());
    (ours, theirs)
}

fn input(cases: &[Case]) -> String {
    let lines: Vec<_> = cases.iter().map(|c| c.request().to_string()).collect();
    lines.join("\n") + "\n"
}

/// How a syntax error begins in either engine; each has words of its own for it.
const SYNTAX: [&str; 10] = [
    "Syntax error",
    "reserved identifier",
    "token recognition",
    "invalid int literal",
    "invalid uint literal",
    "invalid double literal",
    "expression recursion limit",
    "a string has no end",
    "unknown escape",
    "invalid escape",
];

/// An answer in the form that both can have: syntax errors are worded by each in its own way, and
/// large doubles are written with or without an exponent.
fn comparable(answer: &Json) -> Json {
    let mut answer = answer.clone();
    let fields = answer.as_object_mut().unwrap();
    fields.remove("id");
    let is_syntax = |text: &str| SYNTAX.iter().any(|words| text.contains(words));
    if let Some(error) = fields.get("compileError").and_then(Json::as_str)
        && is_syntax(error)
    {
        return json!({"compileError": "syntax"});
    }
    if let Some(error) = fields.get("error").and_then(Json::as_str)
        && let Some((before, words)) = error.split_once(" fails to compile: ")
        && is_syntax(words)
    {
        let told = format!("{before} fails to compile: syntax");
        fields.insert("error".to_owned(), told.into());
    }
    // The API server does not say how far it came within a budget.
    let budget = "validation failed due to running out of cost budget";
    if let Some(error) = fields.get("error").and_then(Json::as_str)
        && error.starts_with(budget)
    {
        fields.remove("cost");
    }
    // Which of the two kinds of null Go has depends on where it comes from.
    if let Some(error) = fields.get("error").and_then(Json::as_str)
        && error.ends_with("invalid qualifier type: types.Null")
    {
        let told = error.replace("types.Null", "<nil>");
        fields.insert("error".to_owned(), told.into());
    }
    let whole = fields.get("type").is_some_and(|ty| ty == "int");
    if let Some(value) = fields.get_mut("value").filter(|_| !whole) {
        plain_numbers(value);
    }
    answer
}

/// Writes numbers in one way.
fn plain_numbers(value: &mut Json) {
    match value {
        Json::Number(number) => *value = json!(format!("{:e}", number.as_f64().unwrap())),
        Json::Array(values) => values.iter_mut().for_each(plain_numbers),
        Json::Object(values) => values.values_mut().for_each(plain_numbers),
        Json::Null | Json::Bool(_) | Json::String(_) => {}
    }
}

/// Whether the API server's own engine ended with a panic, which ends nothing here.
fn panics(answer: &Json) -> bool {
    answer["error"].as_str().is_some_and(|error| {
        error.starts_with("panic: ")
            || error.contains("internal error: runtime error: hash of unhashable")
    })
}

/// Whether the expression makes a message, which ours does not know.
fn is_message(ours: &Json) -> bool {
    let error = ours["compileError"].as_str();
    error.is_some_and(|error| error.contains("messages can't be made"))
}

fn kind(answer: &Json) -> &'static str {
    let kinds = ["value", "error", "compileError", "inputError"];
    let found = kinds.into_iter().find(|kind| answer.get(*kind).is_some());
    if panics(answer) {
        return "panic";
    }
    found.unwrap()
}

/// Which of the cases both answer in another way.
pub(crate) fn compare(release: Release, cases: &[Case]) -> Report {
    let mut report = Report::default();
    let (ours, theirs) = both(release, &input(cases));
    assert_eq!((ours.len(), theirs.len()), (cases.len(), cases.len()));
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&theirs) {
        *report.kinds.entry(kind(theirs)).or_default() += 1;
        if panics(theirs) || is_message(ours) || comparable(ours) == comparable(theirs) {
            continue;
        }
        if is_order(release, case) {
            report.by_order += 1;
        } else {
            report.unlike.push(case.clone());
        }
    }
    report
}

/// Whether the API server's engine, asked often, answers in several ways, ours among them; of a
/// list in the order of a large map all ways are taken for one.
fn is_order(release: Release, case: &Case) -> bool {
    let many = vec![case.clone(); 40];
    let (ours, theirs) = both(release, &input(&many));
    let ours = comparable(&ours[0]);
    let theirs: Vec<_> = theirs.iter().map(comparable).collect();
    let varies = theirs.iter().any(|answer| *answer != theirs[0]);
    theirs.contains(&ours) || varies && theirs.iter().any(|answer| sorted(answer) == sorted(&ours))
}

/// The same JSON with the elements of its lists in one order.
fn sorted(json: &Json) -> Json {
    match json {
        Json::Array(elements) => {
            let mut elements: Vec<_> = elements.iter().map(sorted).collect();
            elements.sort_by_key(ToString::to_string);
            Json::Array(elements)
        }
        Json::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, field)| (name.clone(), sorted(field)));
            Json::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// The first of the cases that differs, whatever the order of maps is.
fn unlike(release: Release, cases: &[Case]) -> Option<Case> {
    let (ours, theirs) = both(release, &input(cases));
    let differs = |(_, (ours, theirs)): &(&Case, (&Json, &Json))| {
        !panics(theirs) && !is_message(ours) && comparable(ours) != comparable(theirs)
    };
    let mut found = cases.iter().zip(ours.iter().zip(&theirs)).filter(differs);
    found
        .find(|(case, _)| !is_order(release, case))
        .map(|(case, _)| case.clone())
}

/// How many reductions are tried at once: what takes long is tried again in each of them.
const TRIED: usize = 25;

/// How long is looked for a smaller case.
const PATIENCE: Duration = Duration::from_secs(20);

/// The smallest case that was found to differ still.
pub(crate) fn reduced(release: Release, case: &Case) -> Case {
    let started = Instant::now();
    let mut case = case.clone();
    while let Some(smaller) = case
        .reductions()
        .chunks(TRIED)
        .take_while(|_| started.elapsed() < PATIENCE)
        .find_map(|some| unlike(release, some))
    {
        case = smaller;
    }
    case
}

/// A case and what both say of it.
pub(crate) fn told(release: Release, case: &Case) -> String {
    let (ours, theirs) = both(release, &input(std::slice::from_ref(case)));
    format!(
        "{}\n  ours   {}\n  theirs {}",
        case.request(),
        comparable(&ours[0]),
        comparable(&theirs[0])
    )
}
