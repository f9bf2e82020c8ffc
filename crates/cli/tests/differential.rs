//! Every expression has the same value, type, cost, error or compiler's message as with the API
//! server's own engine (`conformance/oracle`).
//!
//! `BAILIFF_CEL_ORACLE` names its program, as `hack/oracle.sh` prints it; `SEED` makes others,
//! `EXPRESSIONS` says how many are made.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is the report of a test"
)]

mod generator;

use bailiff_cli::eval::{EvalArgs, run};
use clap::Parser as _;
use generator::Generator;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::process::{Command, Stdio};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    eval: EvalArgs,
}

fn object() -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "tier": "front"}, "annotations": {}},
        "spec": {
            "replicas": 3,
            "ratio": 0.5,
            "containers": [
                {
                    "name": "a", "image": "registry.example/a:1", "ports": [{"containerPort": 80}],
                    "args": ["-x", "--y=1"],
                    "securityContext": {"runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}},
                },
                {"name": "b", "image": "b:2"},
            ],
            "nodeSelector": null,
            "hostNetwork": false,
        },
    })
}

fn requests(expressions: &[String]) -> String {
    let lines: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(id, expr)| {
            json!({"id": id, "expr": expr, "bindings": {"object": object()}}).to_string()
        })
        .collect();
    lines.join("\n") + "\n"
}

fn answers(text: &str) -> Vec<Json> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ours(input: &str) -> Vec<Json> {
    let line = Line::parse_from(["eval", "--batch"]);
    let mut out = Vec::new();
    assert!(run(&line.eval, &mut Cursor::new(input), &mut out).unwrap());
    answers(std::str::from_utf8(&out).unwrap())
}

fn theirs(input: String) -> Vec<Json> {
    let Some(program) = std::env::var_os("BAILIFF_CEL_ORACLE") else {
        panic!(
            "BAILIFF_CEL_ORACLE is not set: run `make unit`, or set it to what `hack/oracle.sh` prints"
        );
    };
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    answers(std::str::from_utf8(&output.stdout).unwrap())
}

/// An answer in the form that both can have: syntax errors are worded by each in its own way, and
/// large doubles are written with or without an exponent.
fn comparable(answer: &Json) -> Json {
    let mut answer = answer.clone();
    let fields = answer.as_object_mut().unwrap();
    fields.remove("id");
    if let Some(error) = fields.get("compileError").and_then(Json::as_str) {
        let syntax = [
            "Syntax error",
            "reserved identifier",
            "token recognition",
            "invalid int literal",
            "invalid double literal",
            "expression recursion limit",
            "a string has no end",
            "unknown escape",
        ];
        if syntax.iter().any(|words| error.contains(words)) {
            return json!({"compileError": "syntax"});
        }
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

fn compare(expressions: &[String]) {
    let input = requests(expressions);
    let (ours, theirs) = (ours(&input), theirs(input));
    assert_eq!(
        (ours.len(), theirs.len()),
        (expressions.len(), expressions.len())
    );
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for ((expression, ours), theirs) in expressions.iter().zip(&ours).zip(&theirs) {
        let (a, b) = (comparable(ours), comparable(theirs));
        let kind = ["value", "error", "compileError"]
            .into_iter()
            .find(|kind| b.get(*kind).is_some());
        *kinds.entry(kind.unwrap_or("other")).or_default() += 1;
        // What ends the API server's own engine with a panic ends nothing here.
        let panics = b["error"].as_str().is_some_and(|error| {
            error.starts_with("panic: ")
                || error.starts_with("internal error: runtime error: hash of unhashable")
        });
        if a != b && !panics {
            faults.push((
                expression.len(),
                format!("{expression}\n  ours   {a}\n  theirs {b}"),
            ));
        }
    }
    eprintln!("{} expressions: {kinds:?}", expressions.len());
    faults.sort();
    faults.dedup();
    let number = faults.len();
    let shown: Vec<_> = faults.into_iter().take(30).map(|(_, text)| text).collect();
    assert!(
        shown.is_empty(),
        "{number} differ, the shortest:\n{}",
        shown.join("\n")
    );
}

#[test]
fn kept_expressions_are_the_same() {
    let text = include_str!("expressions.txt");
    let kept: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    assert!(kept.len() > 250, "{} are kept", kept.len());
    compare(&kept);
}

#[test]
fn made_expressions_are_the_same() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    // The same expressions at each run, so that a change is what makes it fail.
    let seed = number("SEED").unwrap_or(1);
    eprintln!("SEED={seed}");
    let mut generator = Generator::new(seed);
    let count = usize::try_from(number("EXPRESSIONS").unwrap_or(20_000)).unwrap();
    let mut expressions: Vec<_> = (0..count).map(|_| generator.expression()).collect();
    expressions.sort();
    expressions.dedup();
    compare(&expressions);
}
