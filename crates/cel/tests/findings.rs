//! What the fuzz targets found (`fuzz/`), each made small, with the laws that it broke.
//!
//! Here: the inputs, run as the targets run theirs. Not here: how they are looked for
//! (`hack/fuzz.sh`).
//! Invariant: a find is never taken away, so it can't come back unseen.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_cel::admission::{self, Bindings, Optional};
use bailiff_cel::{Env, Evaluation, LIMIT, NEWEST_RELEASE};

/// What was wrong, and the input.
const FINDINGS: &[(&str, &str)] = &[(
    "a name in backquotes was a method when a bracket followed, and printed as another tree",
    "a.`in`('b')",
)];

#[test]
fn what_was_found_is_found_no_more() {
    let ours = Env::new([]);
    let specified = Env::specification("", []);
    let policies = admission::environment(NEWEST_RELEASE, Optional::default());
    let object = serde_json::json!({"a": {"in": 1}, "b": [1, "c"]});
    for (name, source) in FINDINGS {
        for env in [&ours, &specified] {
            let Ok(tree) = env.parse(source) else {
                continue;
            };
            let text = tree.to_string();
            let again = env
                .parse(&text)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(again == tree, "{name}: {text}");
        }
        let Ok(program) = policies.compile(source) else {
            continue;
        };
        let bindings = Bindings {
            object: Some(&object),
            ..Bindings::default()
        };
        let mut evaluation = Evaluation::new(&policies, &bindings, 100_000);
        if let Ok(value) = evaluation.run(&program) {
            assert!(evaluation.spent() <= LIMIT, "{name}");
            drop(value.to_json());
        }
    }
}
