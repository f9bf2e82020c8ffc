//! A set of patterns, its CEL expression and a plain reading of the grammar agree on every
//! repository.
//!
//! The expression is evaluated with the project's own engine, which is compared with the API
//! server's elsewhere (`crates/cli/tests/differential.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

mod generated;

use bailiff_cel::{Activation, Env, Evaluation, Type, Value};
use bailiff_oci::{Pattern, Patterns, Reference, ShortNames};
use generated::{generated, like, texts};
use proptest::prelude::*;
use proptest::sample::select;

/// Budget of one evaluation, which no set within the limits reaches.
const BUDGET: u64 = 1_000_000;

struct Repository<'a>(&'a str);

impl Activation for Repository<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        (slot == 0).then(|| Value::from(self.0))
    }
}

/// Patterns over few components, so that many match.
fn patterns() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        4 => select(&["a.io", "*.io", "a.io", "*.a.io"][..]),
        1 => select(&["b.a.io", "*.io:80", "a.io:80", "docker.io", "localhost", "[::1]", "a_b.io"][..]),
    ];
    let component = prop_oneof![
        2 => Just("*"),
        2 => Just("**"),
        4 => select(&["a", "ab", "a*", "*b", "a*b", "*a*"][..]),
        1 => select(&["b", "a.b", "a-b", "a__b", "library", "*.b", "a-*", "*_*"][..]),
    ];
    let structured = (host, prop::collection::vec(component, 1..4))
        .prop_map(|(host, path)| format!("{host}/{}", path.join("/")));
    prop_oneof![9 => structured, 1 => like(r"[ab*.]{1,5}[:/.\[\]]{1,2}[ab*./:-]{1,9}")]
}

/// Repositories over the same components, and the valid ones of all generated texts.
fn references() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        6 => select(&["a.io", "a.io", "b.a.io"][..]),
        1 => select(&[
            "c.b.a.io", "ba.io", "a.io:80", "a.io:8080", "docker.io", "localhost", "[::1]",
            "[::1]:80", "a_b.io", "axio.io", "io.a.io",
        ][..]),
    ];
    let component = prop_oneof![
        4 => select(&["a", "ab"][..]),
        1 => select(&["b", "aab", "abb", "a.b", "a-b", "a__b", "axb", "library", "ba"][..]),
    ];
    let structured = (host, prop::collection::vec(component, 1..4))
        .prop_map(|(host, path)| format!("{host}/{}", path.join("/")));
    prop_oneof![9 => structured, 1 => texts()]
}

/// Whether a pattern matches, read from the grammar without regular expressions.
fn read(pattern: &str, repository: &str) -> bool {
    let (host, path) = pattern.split_once('/').unwrap();
    let (registry, name) = repository.split_once('/').unwrap();
    let host_matches = match host.strip_prefix("*.") {
        Some(suffix) => registry.split_once('.').is_some_and(|(label, rest)| {
            rest == suffix && !label.is_empty() && !label.contains(':')
        }),
        None => host == registry,
    };
    let path: Vec<_> = path.split('/').collect();
    let name: Vec<_> = name.split('/').collect();
    host_matches && components(&path, &name)
}

fn components(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (["**", rest @ ..], [_, ..]) => {
            (1..=name.len()).any(|taken| components(rest, &name[taken..]))
        }
        ([first, rest @ ..], [component, others @ ..]) => {
            within(first.as_bytes(), component.as_bytes()) && components(rest, others)
        }
        _ => false,
    }
}

fn within(pattern: &[u8], component: &[u8]) -> bool {
    match (pattern, component) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            (0..=component.len()).any(|taken| within(rest, &component[taken..]))
        }
        ([first, rest @ ..], [c, others @ ..]) => first == c && within(rest, others),
        _ => false,
    }
}

#[test]
fn a_set_its_expression_and_the_grammar_agree() {
    let valid: Vec<_> = generated(8_000, &patterns())
        .into_iter()
        .filter(|text| Pattern::parse(text).is_ok())
        .collect();
    assert!(valid.len() > 5_000, "{} patterns are valid", valid.len());
    let references: Vec<_> = generated(3_000, &references())
        .iter()
        .filter_map(|text| Reference::parse(text, ShortNames::DockerHub).ok())
        .collect();
    assert!(
        references.len() > 2_500,
        "{} references are valid",
        references.len()
    );

    let env = Env::new([("repository", Type::String)]);
    let (mut matched, mut unmatched) = (0, 0);
    let mut others = references.iter().cycle();
    let mut rest = valid.as_slice();
    let mut size = 1;
    while rest.len() >= size {
        let (texts, after) = rest.split_at(size);
        rest = after;
        size = size % 8 + 1;
        let set = Patterns::parse(texts).unwrap();
        let expression = set.to_cel("repository");
        let program = env.compile(&expression).unwrap();
        for reference in others.by_ref().take(40) {
            let repository = Repository(reference.repository());
            let mut evaluation = Evaluation::new(&env, &repository, BUDGET);
            let ours = set.matches(reference);
            let case = || format!("{texts:?} and {}", reference.repository());
            assert_eq!(
                evaluation.run(&program),
                Ok(Value::Bool(ours)),
                "{}: {expression}",
                case()
            );
            let first = texts.iter().find(|text| read(text, reference.repository()));
            assert_eq!(ours, first.is_some(), "{}", case());
            assert_eq!(
                set.find(reference).map(Pattern::as_str),
                first.map(String::as_str),
                "{}",
                case()
            );
            if ours {
                matched += 1;
            } else {
                unmatched += 1;
            }
        }
    }
    assert!(
        matched > 10_000 && unmatched > 10_000,
        "{matched} matched, {unmatched} did not"
    );
}

#[test]
fn the_expression_of_the_largest_set_compiles_within_the_budget_of_a_policy() {
    let texts: Vec<String> = (0..64)
        .map(|n| {
            let host = format!("registry-{n}.example.com");
            match n % 4 {
                0 => format!("*.{host}/{}*", "a*".repeat(98) + "a"),
                1 => format!("{host}/**"),
                _ => format!("{host}/{}", "a".repeat(200)),
            }
        })
        .collect();
    let set = Patterns::parse(&texts).unwrap();
    let env = Env::new([("repository", Type::String)]);
    let program = env.compile(&set.to_cel("repository")).unwrap();
    let text = format!("x.registry-8.example.com/{}", "a".repeat(200));
    let reference = Reference::parse(&text, ShortNames::DockerHub).unwrap();
    let repository = Repository(reference.repository());
    let mut evaluation = Evaluation::new(&env, &repository, BUDGET);
    assert_eq!(evaluation.run(&program), Ok(Value::Bool(true)));
}
