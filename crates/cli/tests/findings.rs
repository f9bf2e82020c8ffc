//! Expressions that had another answer here than with the API server's own engine, each with the
//! answer of that.
//!
//! Here: the kept answers (`findings.jsonl`), which need no Go. Not here: asking the engine itself
//! (`differential`, which asks it these expressions as well).
//! Invariant: a find is never taken away, so it can't come back unseen.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

#[path = "engines/answers.rs"]
#[allow(dead_code, reason = "the API server's own engine is not asked here")]
mod answers;

use answers::{answers, comparable};
use bailiff_cli::eval::{EvalArgs, run};
use clap::Parser as _;
use serde_json::{Value as Json, json};
use std::io::Cursor;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    eval: EvalArgs,
}

/// What is asked, and what the API server's engine (k8s.io/apiserver v0.37.2) answers to it.
fn findings() -> (Vec<Json>, Vec<Json>) {
    let lines = include_str!("findings.jsonl").lines();
    lines
        .map(|line| {
            let mut request: Json = serde_json::from_str(line).unwrap();
            let wanted = request.as_object_mut().unwrap().remove("want").unwrap();
            (request, wanted)
        })
        .unzip()
}

#[test]
fn what_was_found_has_the_answer_of_the_api_servers_engine() {
    let (requests, wanted) = findings();
    assert!(wanted.len() >= 28, "{} are kept", wanted.len());
    let lines: Vec<_> = requests.iter().map(Json::to_string).collect();
    let newest = format!("1.{}", bailiff_cel::NEWEST_RELEASE);
    let line = Line::parse_from(["eval", "--batch", "--kubernetes-version", &newest]);
    let mut out = Vec::new();
    assert!(run(&line.eval, &mut Cursor::new(lines.join("\n")), &mut out).unwrap());
    let ours = answers(std::str::from_utf8(&out).unwrap());
    assert_eq!(ours.len(), wanted.len());
    let mut unlike = Vec::new();
    for ((request, ours), wanted) in requests.iter().zip(ours).zip(&wanted) {
        let mut ours = comparable(&ours);
        // Known before it is evaluated, and not kept.
        ours.as_object_mut().unwrap().remove("staticType");
        let wanted = comparable(wanted);
        if ours != wanted {
            let id = json!({"id": request["id"], "expr": request["expr"]});
            unlike.push(format!("{id}\n  ours   {ours}\n  wanted {wanted}"));
        }
    }
    assert!(
        unlike.is_empty(),
        "{} differ:\n{}",
        unlike.len(),
        unlike.join("\n")
    );
}
