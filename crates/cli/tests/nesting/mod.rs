//! What is nested too deep, or too long, is refused by both engines, and what is not by neither.
//!
//! Here: every kind of nesting, one less than the limit, at it, one more. Not here: that our engine
//! needs no more stack than a thread has (`crates/cel/tests/nesting.rs`).
//! Invariant: each kind is accepted at its limit and refused beyond, so a limit that moves is seen.

use super::engines::compare;
use super::generator::Case;
use super::{NEWEST, none_unlike};
use serde_json::json;
use std::sync::Arc;

/// What opens, what is within, what closes, and how often at most.
const KINDS: &[(&str, &str, &str, usize)] = &[
    ("(", "1", ")", 249),
    ("[", "1", "].size()", 249),
    ("{'a': ", "1", "}.size()", 249),
    ("{1: 2}[", "1", "]", 249),
    ("{1: 2}[?", "1", "].orValue(1)", 125),
    ("google.protobuf.Int64Value{value: ", "1", "}", 249),
    (
        "google.protobuf.Int64Value{?value: optional.of(",
        "1",
        ")}",
        124,
    ),
    (
        "google.protobuf.Struct{fields: {'a': ",
        "1",
        "}}.size()",
        124,
    ),
    ("-google.protobuf.Int64Value{value: ", "1", "}", 249),
    ("a{b: ", "1", "}", 249),
    ("[?optional.of(", "1", ")][0]", 124),
    ("dyn(", "1", ")", 249),
    ("[1].map(x, ", "1", ").size()", 125),
    ("[true].all(x, ", "true", ")", 249),
    ("[true].exists(i, x, ", "true", ")", 249),
    ("[true].exists_one(x, ", "true", ")", 249),
    ("[1].filter(x, ", "true", ").size() == 1", 83),
    ("[1].transformList(i, x, true, ", "1", ").size()", 125),
    ("[1].transformMap(i, x, ", "1", ").size()", 125),
    ("[1].sortBy(x, ", "1", ").size()", 125),
    ("optional.of(1).optMap(x, ", "1", ").value()", 124),
    ("has({'a': ", "1", "}.a)", 249),
    ("'a'.contains(", "'a'", ") ? 'a' : 'b'", 125),
    ("", "1", " + 1", 250),
    ("", "1", " * 1", 250),
    ("", "1", " + 1 * 1", 249),
    ("", "true", " == true", 250),
    ("", "object", ".a", 250),
    ("", "object", ".?a", 250),
    ("", "object", "['a']", 250),
    ("", "object", "[?'a']", 250),
    ("", "'a'", ".trim()", 250),
    ("", "[1]", ".map(x, x)", 250),
    ("", "[1]", ".sortBy(x, x)", 250),
    ("true ? 1 : ", "1", "", 249),
    ("(", "true", " ? true : false)", 248),
    ("true ? (", "1", ") : 2", 249),
    ("1 + (", "1", ")", 124),
    ("1 + 1 * (", "1", ")", 83),
    ("1 * (", "1", ")", 124),
    ("true == (", "true", ")", 124),
    ("true == (1 == 1 + (2 - ", "1", ")) ", 83),
    ("true && (", "true", ")", 249),
    ("!(", "true", ")", 249),
    ("-(", "1", ")", 249),
];

fn case(text: &str) -> Case {
    Case::of(text, Arc::new(json!({"object": {"a": 1}})))
}

#[test]
fn what_is_nested_too_deep_is_the_same() {
    let mut cases = Vec::new();
    for (open, inner, close, limit) in KINDS {
        for times in [limit - 1, *limit, limit + 1, limit * 3] {
            let text = [&open.repeat(times), *inner, &close.repeat(times)].concat();
            cases.push(case(&text));
        }
    }
    let report = compare(NEWEST, &cases);
    none_unlike(NEWEST, &report);
}

#[test]
fn signs_and_chains_of_and_are_no_nesting_in_either() {
    let chain = |text: &str, operator: &str, times| vec![text; times].join(operator);
    let mut cases = vec![
        case(&format!("{}true", "!".repeat(3_001))),
        case(&format!("{}1", "-".repeat(3_001))),
        case(&format!("[{}].size()", chain("1", ",", 10_000))),
        case(&format!("{{{}}}.size()", chain("'a': 1", ",", 2_000))),
        case(&format!("{}{{}}", chain("a", ".", 3_000))),
        case(&format!(
            "google.protobuf.Int64Value{{{}}}",
            chain("value: 1", ",", 2_000)
        )),
        // The API server's engine doubles with each; it takes gigabytes for two dozen.
        case(&format!("optional.of(1){}", ".optMap(x, x)".repeat(8))),
    ];
    for (text, operator) in [("true", " && "), ("false", " || ")] {
        for times in [2, 3, 4, 5, 6, 7, 8, 9, 1_000] {
            cases.push(case(&chain(text, operator, times)));
        }
    }
    let report = compare(NEWEST, &cases);
    none_unlike(NEWEST, &report);
}

#[test]
fn what_is_too_long_is_the_same() {
    let mut cases = Vec::new();
    for letter in ["a", "é", "\u{1f600}"] {
        for size in [99_999, 100_000, 100_001] {
            cases.push(case(&format!("'{}' == ''", letter.repeat(size - 8))));
        }
    }
    // Of many faults the first hundred are told.
    for names in [99, 100, 101, 5_000] {
        cases.push(case(&format!("[{}]", vec!["x"; names].join(","))));
    }
    let report = compare(NEWEST, &cases);
    none_unlike(NEWEST, &report);
}
