//! What is kept of an object, and that it is bounded.

use super::*;
use bailiff_cel::{Env, reads};
use serde_json::json;

fn read_by(expression: &str) -> Reads {
    let parsed = Env::new([]).parse(expression).unwrap();
    reads("object", [], [&parsed])
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "web-1", "labels": {"app": "web", "tier": "front"},
            "managedFields": [{"manager": "m"}]},
        "spec": {"hostPID": true, "note": null, "containers": [
            {"name": "app", "image": "web:1", "env": [{"name": "A", "value": "x".repeat(1000)}]},
            {"name": "proxy", "image": "proxy:1"},
        ]},
    })
}

fn kept(expression: &str) -> Value {
    let json = serde_json::to_vec(&pod()).unwrap();
    project(&json, &read_by(expression), 1 << 20).unwrap().0
}

#[test]
fn what_expressions_read_is_kept_and_nothing_else() {
    for (expression, want) in [
        ("true", json!({})),
        (
            "object.metadata.labels.app == 'web'",
            json!({"metadata": {"labels": {"app": "web"}}}),
        ),
        (
            "has(object.metadata.labels)",
            json!({"metadata": {"labels": {}}}),
        ),
        (
            "has(object.metadata.name)",
            json!({"metadata": {"name": ""}}),
        ),
        ("has(object.spec.note)", json!({"spec": {"note": null}})),
        (
            "object.metadata.labels.exists(k, k == p)",
            json!({"metadata": {"labels": {"app": "", "tier": ""}}}),
        ),
        (
            "object.spec.containers.exists(c, c.name == 'app')",
            json!({"spec": {"containers": [{"name": "app"}, {"name": "proxy"}]}}),
        ),
        (
            "object.spec.containers.size() == 2",
            json!({"spec": {"containers": [{}, {}]}}),
        ),
        ("object.spec.hostPID", json!({"spec": {"hostPID": true}})),
        (
            "object.metadata.managedFields == []",
            json!({"metadata": {"managedFields": [{"manager": "m"}]}}),
        ),
        (
            "object.metadata == p",
            json!({"metadata": {"name": "web-1", "labels": {"app": "web", "tier": "front"}}}),
        ),
    ] {
        assert_eq!(kept(expression), want, "{expression}");
    }
    let mut whole = pod();
    whole["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    assert_eq!(kept("object == p"), whole);
}

#[test]
fn what_would_take_more_memory_than_the_limit_is_not_kept() {
    let all = Reads::everything();
    let size = |json: &Value| {
        project(&serde_json::to_vec(json).unwrap(), &all, 1 << 20)
            .unwrap()
            .1
    };
    for json in [
        pod(),
        json!("x".repeat(1000)),
        json!(vec![1; 1000]),
        json!(vec![json!({}); 100]),
        json!({"k".repeat(1000): 1}),
        json!([[[[[[[["deep"]]]]]]]]),
    ] {
        let bytes = serde_json::to_vec(&json).unwrap();
        let size = size(&json);
        assert!(size >= bytes.len() / 2, "{size} of {}", bytes.len());
        let (kept, exact) = project(&bytes, &all, size).unwrap();
        assert_eq!(exact, size);
        if json.get("metadata").is_none() {
            assert_eq!(kept, json);
        }
        let less = project(&bytes, &all, size - 1);
        assert!(
            matches!(less, Err(ProjectionError::TooLarge { .. })),
            "{less:?}"
        );
    }
    // What is not read takes nothing.
    let (_, small) = project(
        &serde_json::to_vec(&pod()).unwrap(),
        &read_by("object.spec.hostPID"),
        1000,
    )
    .unwrap();
    assert!(small < 500, "{small}");
}

#[test]
fn what_is_no_json_is_said() {
    for text in ["", "{", "{}x", "[1,]", &"[".repeat(10_000)] {
        let read = project(text.as_bytes(), &Reads::everything(), 1 << 20);
        assert!(matches!(read, Err(ProjectionError::Invalid(_))), "{read:?}");
    }
}

/// An expression reads the same of the whole object and of what is kept for it.
#[test]
fn no_expression_sees_a_difference() {
    use crate::tests::{policy, shell};
    let json = serde_json::to_vec(&pod()).unwrap();
    for expression in [
        "object.spec.containers.filter(c, c.image.startsWith('web')).all(c, c.name == 'app')",
        "object.spec.containers.exists(c, has(c.env) && c.env.exists(e, e.name == 'B'))",
        "(object.spec.containers + object.spec.?initContainers.orValue([])).size() == 2",
        "object.spec.containers.map(c, c.name) == ['app', 'proxy']",
        "'app' in object.metadata.labels && !('x' in object.metadata.labels)",
        "object.metadata.labels.all(k, k in ['app', 'tier'])",
        "object.metadata.labels.all(k, object.metadata.labels[k] != 'x')",
        "object.spec.containers[1].image == 'proxy:1'",
        "object.spec.?hostPID.orValue(false) == false",
        "!has(object.spec.hostNetwork)",
        "object.spec.missing == 1",
        "object.spec.containers.sortBy(c, c.name)[0].image == 'web:1'",
        "object.metadata.labels.?app.optMap(a, a == 'web').orValue(false)",
        "object.metadata.?annotations[?'x'].hasValue()",
        "variables.all.exists(c, c.name == 'app')",
        "size(object.spec.containers[0].env[0].value) == 1000",
    ] {
        let spec = json!({
            "variables": [{"name": "all", "expression": "object.spec.containers + []"}],
            "validations": [{"expression": expression, "message": "no"}],
        });
        let compiled = crate::compile(&policy(spec)).unwrap();
        let verdict = |object: &Value| {
            let input = crate::Input {
                process: &shell(),
                container: &crate::Container::default(),
                object: Some(object),
                namespace_object: Some(&json!({})),
            };
            crate::evaluate(&compiled, &input)
        };
        let reads = compiled.object_reads();
        let (kept, _) = project(&json, reads, 1 << 20).unwrap();
        assert_ne!(kept, pod(), "{expression}");
        assert_eq!(verdict(&kept), verdict(&pod()), "{expression}");
    }
}
