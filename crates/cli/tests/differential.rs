//! Every expression has the same value, type, cost, error or compiler's message as with the API
//! server's own engine (`conformance/oracle`).
//!
//! `BAILIFF_CEL_ORACLE` names its program, as `hack/oracle.sh` prints it; `SEED` makes others than
//! those of each run, as `make conformance` does, `EXPRESSIONS` says how many are made.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is the report of a test"
)]

mod authorizer;
mod engines;
mod generator;
mod nesting;

use engines::{Release, Report, compare, reduced, told};
use generator::{Case, Generator};
use serde_json::json;
use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

const NEWEST: Release = Release(bailiff_cel::NEWEST_RELEASE);

/// How many differences are reduced and shown.
const SHOWN: usize = 15;

/// How many differences of a turn are made smaller, which takes long: an engine that is broken
/// altogether is told of in minutes.
const REDUCED: usize = 3;

/// Fails with the differences, each reduced to a small case.
fn none_unlike(release: Release, report: &Report) {
    let mut shown = Vec::new();
    for case in report.unlike.iter().take(SHOWN) {
        let told = told(release, &reduced(release, case));
        if !shown.contains(&told) {
            shown.push(told);
        }
    }
    assert!(
        shown.is_empty(),
        "{} differ; reduced:\n{}",
        report.unlike.len(),
        shown.join("\n")
    );
}

/// The object that the kept expressions are about.
fn kept_bindings() -> Arc<serde_json::Value> {
    Arc::new(json!({"object": {
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
    }}))
}

/// What the expressions about a request and its namespace are about.
fn request_bindings() -> Arc<serde_json::Value> {
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    Arc::new(json!({
        "object": null,
        "namespaceObject": {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": "shop", "uid": "0b1c", "labels": {"env": "prod"},
                "creationTimestamp": "2024-01-01T00:00:00Z",
            },
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        },
        "request": {
            "uid": "705ab4f5",
            "kind": kind, "requestKind": kind, "resource": resource, "requestResource": resource,
            "name": "web", "namespace": "shop", "operation": "CREATE", "dryRun": false,
            "userInfo": {
                "username": "system:serviceaccount:shop:deployer", "uid": "42",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "extra": {"scopes": ["a", "b"]},
            },
            "object": null, "oldObject": null,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions", "fieldManager": "kubectl"},
        },
    }))
}

/// The kept expressions, and the kept cases that need more than an expression.
fn kept() -> Vec<Case> {
    let text = include_str!("expressions.txt");
    let bindings = kept_bindings();
    let kept: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| Case::of(line, Arc::clone(&bindings)))
        .chain(include_str!("kept.jsonl").lines().map(Case::read))
        .chain(include_str!("findings.jsonl").lines().map(Case::read))
        .chain(with_types(include_str!("mutations.txt"), &bindings))
        .chain(with_types(
            include_str!("requests.txt"),
            &request_bindings(),
        ))
        .collect();
    assert!(kept.len() > 380, "{} are kept", kept.len());
    kept
}

/// Expressions with the types of a `MutatingAdmissionPolicy`, and without.
fn with_types(
    lines: &'static str,
    bindings: &Arc<serde_json::Value>,
) -> impl Iterator<Item = Case> {
    lines.lines().flat_map(|line| {
        [
            Case::of_mutation(line, Arc::clone(bindings)),
            Case::of(line, Arc::clone(bindings)),
        ]
    })
}

/// The expressions of the tables of `crates/cel`.
fn tabled() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cel/tests/library");
    let mut cases = Vec::new();
    let nothing = Arc::new(json!({}));
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let expression = line.split('\t').next().unwrap();
            cases.push(Case::of(expression, Arc::clone(&nothing)));
        }
    }
    assert!(cases.len() > 800, "{} are in the tables", cases.len());
    cases
}

/// In each release there is what the API server's environment of that compatibility version has.
#[test]
fn every_release_is_the_same() {
    let mut cases = tabled();
    cases.extend(kept());
    for minor in bailiff_cel::OLDEST_RELEASE..=bailiff_cel::NEWEST_RELEASE {
        let release = Release(minor);
        let report = compare(release, &cases);
        eprintln!("1.{minor}: {} expressions: {:?}", cases.len(), report.kinds);
        none_unlike(release, &report);
    }
}

#[test]
fn made_expressions_are_the_same() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let seed = number("SEED").unwrap_or(1);
    let wanted = usize::try_from(number("EXPRESSIONS").unwrap_or(20_000)).unwrap();
    // Past what the test harness captures, so that it is always seen.
    let mut out = std::io::stderr();
    writeln!(
        out,
        "SEED={seed} EXPRESSIONS={wanted} make conformance   # makes the same again"
    )
    .unwrap();
    let mut generator = Generator::new(seed);
    let mut known = HashSet::new();
    let mut report = Report::default();
    while known.len() < wanted {
        let mut cases = Vec::new();
        while cases.len() < 5_000 && known.len() < wanted {
            let case = generator.case();
            if known.insert(case.expression.to_string()) {
                cases.push(case);
            }
        }
        let found = compare(NEWEST, &cases);
        // A long run tells at once what it finds.
        for case in found.unlike.iter().take(REDUCED) {
            writeln!(out, "{}", told(NEWEST, &reduced(NEWEST, case))).unwrap();
        }
        report.add(found);
        if known.len().is_multiple_of(100_000) {
            let (compared, unlike) = (known.len(), report.unlike.len());
            writeln!(out, "{compared} compared, {unlike} differ").unwrap();
        }
    }
    writeln!(
        out,
        "{wanted} different expressions: {:?}, {} in one of the ways that the order of a map allows",
        report.kinds, report.by_order
    )
    .unwrap();
    let unlike = report.unlike.len();
    assert_eq!(
        unlike, 0,
        "{unlike} differ: shown above, of each 5,000 the first {REDUCED}"
    );
}
