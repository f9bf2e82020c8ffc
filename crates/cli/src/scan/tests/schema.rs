//! The schema of the output for programs.

use super::*;

const SCHEMA: &str = include_str!("../../../../../docs/scan.schema.json");

/// Checks a value against a schema, as far as schemas here go. A keyword that is not known is an error, and so is a field
/// that the schema does not have: it would not be described.
fn check(value: &Json, schema: &Json, root: &Json, at: &str) -> Result<(), String> {
    let mut allowed = true;
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" => {}
            "$ref" => {
                let path = rule.as_str().unwrap().strip_prefix('#').unwrap();
                check(value, root.pointer(path).unwrap(), root, at)?;
            }
            "anyOf" | "oneOf" => {
                let rules = rule.as_array().unwrap().iter();
                let fitting = rules.filter(|rule| check(value, rule, root, at).is_ok());
                allowed &= fitting.count() == 1;
            }
            "const" => allowed &= value == rule,
            "enum" => allowed &= rule.as_array().unwrap().contains(value),
            "type" => {
                let is = |name: &Json| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{other}"),
                };
                allowed &= rule
                    .as_array()
                    .map_or_else(|| is(rule), |all| all.iter().any(is));
            }
            "minimum" => {
                let least = rule.as_u64().unwrap();
                allowed &= value.as_u64().is_none_or(|value| value >= least);
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(item, rule, root, &format!("{at}[{number}]"))?;
                }
            }
            "properties" => {
                for (field, value) in value.as_object().into_iter().flatten() {
                    let rule = rule
                        .get(field)
                        .ok_or(format!("{at}.{field}: not in the schema"))?;
                    check(value, rule, root, &format!("{at}.{field}"))?;
                }
            }
            "required" => {
                for field in rule.as_array().unwrap() {
                    if value.is_object() && value.get(field.as_str().unwrap()).is_none() {
                        return Err(format!("{at}: has no {field}"));
                    }
                }
            }
            other => panic!("{at}: the keyword {other} is not known"),
        }
    }
    if allowed {
        Ok(())
    } else {
        Err(format!("{at}: is {value}"))
    }
}

fn checked(text: &str) -> Result<(), String> {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    check(&serde_json::from_str(text).unwrap(), &schema, &schema, "$")
}

#[test]
fn the_schema_is_the_one_of_the_documentation() {
    let files = Files::new();
    let (result, out, err) = files.run("--schema", "");
    assert_eq!((result, &*err), (Ok(ScanOutcome::Done), ""));
    assert!(
        out == SCHEMA,
        "docs/scan.schema.json differs; run `cargo run -p bailiff -- scan --schema > docs/scan.schema.json`"
    );
}

#[test]
fn results_have_the_schema() {
    assert_eq!(checked(include_str!("result.json")), Ok(()));
    // An image, with its coverage and a finding that is settled.
    let of_image = include_str!("../../../../bailiff/tests/scan_image/result.json");
    assert_eq!(checked(of_image), Ok(()));
    // What most results do not have.
    let files = Files::new();
    files.add("osv/broken.json", b"{}");
    files.add("ignore.json", br#"[{"id": "CVE-2022-1", "package": "PyPI/django", "reason": "r", "expires": "2026-02-01"}]"#);
    let (_, out, _) = files.scan("--ignore {}/ignore.json --only-fixed -o json");
    assert_eq!(checked(&out), Ok(()));
}

#[test]
fn a_result_that_differs_has_another_schema() {
    let result: Json = serde_json::from_str(include_str!("result.json")).unwrap();
    for (pointer, value, want) in [
        (
            "/findings/0/state",
            json!("fixed"),
            "$.findings[0].state: is \"fixed\"",
        ),
        (
            "/findings/0/severity",
            json!(null),
            "$.findings[0].severity: is null",
        ),
        (
            "/actions/0/findings",
            json!("1"),
            "$.actions[0].findings: is \"1\"",
        ),
        ("/packages/0/paths", json!({}), "$.packages[0].paths: is {}"),
        (
            "/findings/0/more",
            json!(1),
            "$.findings[0].more: not in the schema",
        ),
        ("/images", json!({}), "$.images: is {}"),
    ] {
        let mut changed = result.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[field] = value;
        assert_eq!(checked(&changed.to_string()), Err(want.to_owned()));
    }
    let mut changed = result;
    changed["findings"][0]
        .as_object_mut()
        .unwrap()
        .remove("title");
    assert_eq!(
        checked(&changed.to_string()),
        Err("$.findings[0]: has no \"title\"".to_owned())
    );
}
