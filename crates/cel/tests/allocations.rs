//! Expressions that only read allocate nothing, from the second run on.
//!
//! Here: expressions as policies have them, over JSON. Not here: how fast they are (`make bench`).

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use allocation_counter::measure;
use bailiff_cel::admission::{BUDGET, Bindings, Optional, environment, typed_environment};
use bailiff_cel::schema::Schema;
use bailiff_cel::{Evaluation, NEWEST_RELEASE, Value};
use serde_json::json;

/// How many allocations a run takes that gives true.
fn allocations(variable: Option<&str>, text: &str) -> u64 {
    let mut env = environment(NEWEST_RELEASE, Optional::default());
    if let Some(variable) = variable {
        env.define("v", variable).unwrap();
    }
    let program = env.compile(text).unwrap();
    let object = json!({
        "metadata": {"labels": {"app": "web", "tier": "front"}},
        "spec": {"replicas": 3, "containers": [
            {"name": "app", "image": "registry.example/app:1", "ports": [{"containerPort": 80}]},
            {"name": "log", "image": "registry.example/log:2", "ports": []},
        ]},
    });
    let bindings = Bindings {
        object: Some(&object),
        ..Bindings::default()
    };
    let run = || {
        let mut evaluation = Evaluation::new(&env, &bindings, BUDGET);
        assert_eq!(evaluation.run(&program), Ok(Value::Bool(true)), "{text}");
    };
    run();
    measure(run).count_total
}

#[test]
fn expressions_that_only_read_allocate_nothing() {
    for text in [
        "object.spec.replicas > 2 && object.metadata.labels.app == 'web'",
        "has(object.metadata.labels.tier) && !has(object.spec.paused)",
        "object.spec.containers.all(c, c.image.startsWith('registry.example/'))",
        "object.spec.containers.exists(c, c.ports.exists(p, p.containerPort == 80))",
        "object.spec.containers.exists_one(c, c.name == 'log')",
        "object.spec.containers.all(c, c.name in ['app', 'log'])",
        "object.spec.containers.all(c, c.image.matches('^registry[.]example/[a-z]+:[0-9]$'))",
        "object.spec.containers[1].name.size() == 3 && object['spec']['replicas'] != 4",
        "object.spec.containers.size() == 2 ? 'app' in object.metadata.labels : false",
    ] {
        assert_eq!(allocations(None, text), 0, "{text}");
    }
    let text = "variables.v.all(c, c.name != '') && variables.v.size() == 2";
    assert_eq!(allocations(Some("object.spec.containers"), text), 0);
}

/// Data that is read through its schema is borrowed as well.
#[test]
fn reading_through_a_schema_allocates_nothing() {
    let port = json!({"type": "object", "properties": {"containerPort": {"type": "integer"}}});
    let schema = Schema::of(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "replicas": {"type": "integer"},
            "since": {"type": "string", "format": "date-time"},
            "ports": {"type": "array", "items": port},
            "limits": {"type": "object", "additionalProperties": {"type": "string"}},
        }},
    }}));
    let schema = schema.unwrap();
    let declaration = schema.declaration("Web").unwrap();
    let env = typed_environment(NEWEST_RELEASE, declaration.ty(), Optional::default());
    let object = json!({"spec": {
        "replicas": 3,
        "since": "2026-05-01T10:00:00Z",
        "ports": [{"containerPort": 80}],
        "limits": {"cpu": "1"},
    }});
    let bindings = Bindings {
        object: Some(&object),
        schema: Some(&schema),
        ..Bindings::default()
    };
    for text in [
        "object.spec.replicas > 2 && has(object.spec.ports) && !has(object.metadata)",
        "object.spec.ports.all(p, p.containerPort == 80) && object.spec.ports[0].containerPort > 0",
        "object.spec.limits['cpu'] == '1' && object.spec.limits.cpu.startsWith('1')",
        "object.spec.since.getFullYear() == 2026 && object.spec.ports.size() == 1",
    ] {
        let program = env.compile(text).unwrap();
        let run = || {
            let mut evaluation = Evaluation::new(&env, &bindings, BUDGET);
            assert_eq!(evaluation.run(&program), Ok(Value::Bool(true)), "{text}");
        };
        run();
        assert_eq!(measure(run).count_total, 0, "{text}");
    }
}

/// What makes text or a list does allocate: the counter counts.
#[test]
fn what_is_made_is_counted() {
    let text = "object.spec.containers.map(c, c.name + '!').size() == 2";
    assert!(allocations(None, text) >= 2);
}
