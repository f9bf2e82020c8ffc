//! Every policy that the documents show compiles, and is warned of nothing.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use bailiff_api::{ImageAdmissionPolicy, RuntimePolicy, TypeChecking};
use bailiff_policy::{compile, image, type_check};
use serde::Deserialize as _;
use std::path::Path;

#[test]
fn every_policy_in_the_documents_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut policies = 0;
    let mut image_policies = 0;
    for page in [
        "README.md",
        "docs/runtime-policies.md",
        "docs/image-policies.md",
        "docs/operating.md",
    ] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            for document in serde_yaml_ng::Deserializer::from_str(block) {
                let value = serde_yaml_ng::Value::deserialize(document).unwrap();
                if value["kind"] == "ImageAdmissionPolicy" {
                    let policy: ImageAdmissionPolicy = serde_yaml_ng::from_value(value).unwrap();
                    let compiled = image::compile(&policy);
                    assert!(compiled.is_ok(), "{page}: {:?}", compiled.err());
                    let checked = image::type_check(&policy);
                    assert_eq!(checked, Ok(TypeChecking::default()), "{page}");
                    image_policies += 1;
                    continue;
                }
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
    assert!(image_policies > 0, "no page shows a policy of images");
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

#[test]
fn every_example_about_an_image_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/image-policies.md")).unwrap();
    let (_, table) = text.split_once("## Write an expression").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let examples = examples(table);
    assert_eq!(examples.len(), 7, "{examples:?}");
    for example in examples {
        let policy: ImageAdmissionPolicy = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "example"},
            "spec": {"validations": [{"expression": example}]},
        }))
        .unwrap();
        let compiled = image::compile(&policy);
        assert!(compiled.is_ok(), "{example}: {:?}", compiled.err());
        let checked = image::type_check(&policy);
        assert_eq!(checked, Ok(TypeChecking::default()), "{example}");
    }
}

#[test]
fn a_violation_of_an_expression_reads_as_the_document_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/image-policies.md")).unwrap();
    let (_, section) = text.split_once("## Write an expression").unwrap();
    let (_, block) = section.split_once("```yaml\n").unwrap();
    let (block, after) = block.split_once("```").unwrap();
    let policy: ImageAdmissionPolicy = serde_yaml_ng::from_str(block).unwrap();
    let compiled = image::compile(&policy).unwrap();
    let bound = [image::BoundPolicy {
        policy: &compiled,
        actions: image::Actions {
            deny: true,
            ..image::Actions::default()
        },
    }];
    let pod = serde_json::json!({"spec": {"containers": [{"name": "web", "image": "registry.example.com/web"}]}});
    let review = image::PodReview {
        only: None,
        pod: &pod,
        old: None,
        namespace: None,
        stage: image::Stage::Validating,
    };
    let denied = image::decide(&bound, &review, &image::Lookups::new()).denied;
    assert_eq!(denied.len(), 1);
    let said = after.lines().filter_map(|line| line.strip_prefix("    "));
    assert_eq!(said.take(1).collect::<String>(), denied[0].message);
}
