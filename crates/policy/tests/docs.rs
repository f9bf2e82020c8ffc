//! Every policy that the documents show compiles, and is warned of nothing.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use bailiff_api::{RuntimePolicy, TypeChecking};
use bailiff_policy::{compile, type_check};
use serde::Deserialize as _;
use std::path::Path;

#[test]
fn every_policy_in_the_documents_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut policies = 0;
    for page in ["README.md", "docs/runtime-policies.md", "docs/operating.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            for document in serde_yaml_ng::Deserializer::from_str(block) {
                let value = serde_yaml_ng::Value::deserialize(document).unwrap();
                if value["kind"] != "RuntimePolicy" {
                    continue;
                }
                let policy: RuntimePolicy = serde_yaml_ng::from_value(value).unwrap();
                let compiled = compile(&policy);
                assert!(compiled.is_ok(), "{page}: {:?}", compiled.err());
                assert_eq!(type_check(&policy), Ok(TypeChecking::default()), "{page}");
                policies += 1;
            }
        }
    }
    assert!(policies > 0, "no page shows a policy");
}
