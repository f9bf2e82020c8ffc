//! Messages that expressions make: of protobuf, and of a mutating policy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_cel::admission::{Bindings, Optional, environment};
use bailiff_cel::{Evaluation, MessageKind, NEWEST_RELEASE, Value};
use serde_json::json;

/// The value of an expression as JSON with the name of its type, or its error.
fn line(expression: &str, mutation: bool) -> String {
    let optional = Optional {
        mutation,
        ..Optional::default()
    };
    let env = environment(NEWEST_RELEASE, optional);
    let program = match env.compile(expression) {
        Ok(program) => program,
        Err(error) => return format!("refused: {}", error.diagnostics[0].message),
    };
    let object = json!({"labels": {"app": "web"}, "list": [1, "a"]});
    let bindings = Bindings {
        object: Some(&object),
        ..Bindings::default()
    };
    let mut evaluation = Evaluation::new(&env, &bindings, 1_000_000);
    let outcome = evaluation.run(&program);
    let said = match &outcome {
        Ok(value) => format!("{} {}", value.type_name(), value.to_json()),
        Err(error) => error.to_string(),
    };
    format!("{said} for {}", evaluation.spent())
}

#[test]
fn a_well_known_type_is_the_value_that_it_stands_for() {
    for (expression, want) in [
        ("google.protobuf.Int32Value{value: 5}", "int 5 for 40"),
        ("google.protobuf.Int32Value{}", "int 0 for 40"),
        (
            "google.protobuf.Struct{fields: object.labels}",
            r#"map {"app":"web"} for 42"#,
        ),
        (
            "google.protobuf.ListValue{values: object.list}",
            r#"list [1.0,"a"] for 42"#,
        ),
        ("google.protobuf.Value{}", "null_type null for 40"),
        (
            "google.protobuf.Duration{seconds: 90}",
            r#"google.protobuf.Duration "1m30s" for 40"#,
        ),
        (
            "google.protobuf.Any{type_url: 'a/google.protobuf.BoolValue', value: b'\x08\x01'}",
            "bool true for 40",
        ),
        ("google.protobuf.Empty{}", "google.protobuf.Empty {} for 40"),
        (
            "google.protobuf.Int32Value{value: 3000000000}",
            "field type conversion error for google.protobuf.Int32Value.value value type: integer overflow for 40",
        ),
        (
            "kubernetes.Namespace{}",
            "unknown type 'kubernetes.Namespace' for 40",
        ),
        (
            "a.b{c: 1}",
            "refused: undeclared reference to 'a.b' (in container '')",
        ),
        ("int{}", "refused: 'int' is not a message type"),
        (
            "google.protobuf.Int32Value{valu: 1}",
            "refused: undefined field 'valu'",
        ),
    ] {
        assert_eq!(line(expression, false), want, "{expression}");
    }
}

#[test]
fn a_mutating_policy_has_types_of_its_own() {
    for (expression, want) in [
        (
            "Object{spec: Object.spec{replicas: 3, labels: object.labels}}",
            r#"Object {"spec":{"labels":{"app":"web"},"replicas":3}} for 82"#,
        ),
        ("Object{?a: optional.none()}", "Object {} for 41"),
        ("Object{a: 1}.a", "int 1 for 42"),
        ("has(Object{a: 1}.b)", "bool false for 41"),
        ("type(Object{})", r#"type "type" for 41"#),
        ("Object{a: 1} == Object{a: 1}", "bool true for 81"),
        // Lists are told apart by where they are.
        ("Object{a: [1]} == Object{a: [1]}", "bool false for 81"),
        (
            "[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c'), value: 1}]",
            r#"list [{"op":"add","path":"/a/b~1c","value":1}] for 52"#,
        ),
        (
            "JSONPatch{op: object.list}",
            "unexpected type []interface {} for JSONPatchType 'op' field for 42",
        ),
    ] {
        assert_eq!(line(expression, true), want, "{expression}");
        let without = line(expression, false);
        assert!(without.starts_with("refused: "), "{expression}: {without}");
    }
}

#[test]
fn a_named_expression_does_without_them() {
    let optional = Optional {
        mutation: true,
        ..Optional::default()
    };
    let mut env = environment(NEWEST_RELEASE, optional);
    assert!(env.define("a", "Object{}").is_err());
    assert!(env.define("b", "jsonpatch.escapeKey('a')").is_err());
    assert!(env.compile("Object{a: jsonpatch.escapeKey('a')}").is_ok());
}

#[test]
fn fields_are_kept_as_they_were_set() {
    let optional = Optional {
        mutation: true,
        ..Optional::default()
    };
    let env = environment(NEWEST_RELEASE, optional);
    let program = env.compile("Object.spec{a: 1, b: 'x', a: 2}").unwrap();
    let bindings = Bindings::default();
    let mut evaluation = Evaluation::new(&env, &bindings, 1_000);
    let Ok(Value::Message(message)) = evaluation.run(&program) else {
        panic!("it is no message");
    };
    assert_eq!(*message.kind(), MessageKind::Object("Object.spec".into()));
    let fields: Vec<_> = message.fields().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(fields, ["a", "b"]);
    assert_eq!(message.field("a"), Some(&Value::Int(2)));
    assert_eq!(message.field("c"), None);
}
