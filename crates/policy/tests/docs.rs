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

/// The last cells of the rows of a table, as code: `| a | b | ``code`` |`.
fn examples(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|row| row.strip_prefix("| `")?.strip_suffix("` |"))
        .filter_map(|row| Some(row.rsplit_once("| `")?.1.replace("\\|", "|")))
        .collect()
}

#[test]
fn every_example_of_a_variable_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/runtime-policies.md")).unwrap();
    let (_, table) = text.split_once("## Variables").unwrap();
    let (table, _) = table.split_once("\n```").unwrap();
    let examples = examples(table);
    assert!(examples.len() > 12, "{examples:?}");
    for example in examples {
        let policy: RuntimePolicy = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "example"},
            "spec": {
                "variables": [{"name": "shells", "expression": "['sh']"}],
                "validations": [{"expression": example}],
            },
        }))
        .unwrap();
        let compiled = compile(&policy);
        assert!(compiled.is_ok(), "{example}: {:?}", compiled.err());
    }
}
