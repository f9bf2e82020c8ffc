//! Law: a text is an expression or has a fault with its place; an expression, printed and parsed
//! again, is the same tree, and is printed the same.

#![no_main]

use bailiff_cel::Env;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static KUBERNETES: OnceLock<Env> = OnceLock::new();
static SPECIFICATION: OnceLock<Env> = OnceLock::new();

fuzz_target!(|source: &str| {
    let ours = KUBERNETES.get_or_init(|| Env::new([]));
    let specified = SPECIFICATION.get_or_init(|| Env::specification("", []));
    for env in [ours, specified] {
        let tree = match env.parse(source) {
            Ok(tree) => tree,
            Err(error) => {
                assert!(error.diagnostics.iter().all(|fault| fault.line > 0));
                assert!(!error.to_string().is_empty() && !error.issues().is_empty());
                continue;
            }
        };
        let text = tree.to_string();
        match env.parse(&text) {
            Ok(again) => {
                assert!(again == tree, "{text:?} is another tree");
                assert_eq!(again.to_string(), text);
            }
            // What is printed may be longer than a text may be, or have one bracket more.
            Err(error) => assert!(error.to_string().contains("limit"), "{text:?}: {error}"),
        }
    }
});
