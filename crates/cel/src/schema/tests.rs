//! Schemas as types and as readers: what no document of the differential tests has.

use super::{Declaration, Document, GroupVersionKind, Schema, SchemaError};
use crate::types::Type;
use crate::value::Value;
use serde_json::{Value as Json, json};

fn kind(path: &str) -> GroupVersionKind {
    GroupVersionKind::parse(path).unwrap()
}

/// A document with a kind `v1/Tree` that is this component.
fn tree(mut own: Json, mut others: Json) -> Document {
    let mark = json!([{"group": "", "version": "v1", "kind": "Tree"}]);
    let fields = own.as_object_mut().unwrap();
    fields.insert("x-kubernetes-group-version-kind".to_owned(), mark);
    let all = others.as_object_mut().unwrap();
    all.insert("Tree".to_owned(), own);
    Document::new(json!({"components": {"schemas": others}})).unwrap()
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn at<'d>(declaration: &'d Declaration, way: &[&str]) -> Option<&'d Declaration> {
    way.iter().try_fold(declaration, |found, name| match *name {
        "[]" => found.element(),
        name => found.field(name),
    })
}

#[test]
fn what_refers_to_itself_ends_with_an_object_without_fields() {
    let document = tree(
        json!({"type": "object", "properties": {
            "left": {"allOf": [reference("Tree")], "default": {}},
            "leaf": {"allOf": [reference("Leaf")]},
        }}),
        json!({"Leaf": {"type": "object", "properties": {
            "trees": {"type": "array", "items": reference("Tree")},
            "twin": reference("Leaf"),
            "size": {"type": "integer"},
        }}}),
    );
    let schema = document.schema(&kind("v1/Tree")).unwrap();
    let tree = schema.declaration("Tree").unwrap();
    for (way, fields) in [
        (&["left"][..], 0),
        (&["leaf"], 3),
        (&["leaf", "trees", "[]"], 0),
        (&["leaf", "twin"], 0),
    ] {
        assert_eq!(at(&tree, way).unwrap().fields().count(), fields, "{way:?}");
    }
    let items = at(&tree, &["leaf", "trees", "[]"]).unwrap();
    assert_eq!(items.ty().to_string(), "Tree.leaf.trees.@idx");
}

#[test]
fn hostile_schemas_are_refused() {
    let mut deep = json!({"type": "string"});
    for _ in 0..120 {
        deep = json!({"type": "array", "items": deep});
    }
    let too_deep = Schema::of(&deep).unwrap_err();
    assert_eq!(
        too_deep.to_string(),
        "the schema nests deeper than 100 levels"
    );

    // Each of these refers to all others: as many ways as there are orders of them.
    let names: Vec<_> = (0..12).map(|n| format!("C{n}")).collect();
    let all: Json = names.iter().map(|n| (n.clone(), reference(n))).collect();
    let component = json!({"type": "object", "properties": all});
    let others: Json = names
        .iter()
        .map(|n| (n.clone(), component.clone()))
        .collect();
    let too_large = tree(component, others)
        .schema(&kind("v1/Tree"))
        .unwrap_err();
    assert_eq!(
        too_large.to_string(),
        "the schema describes more than 200000 values"
    );

    let missing = tree(reference("Nobody"), json!({})).schema(&kind("v1/Tree"));
    assert_eq!(
        missing.unwrap_err(),
        SchemaError::Unresolved("Nobody".to_owned())
    );
}

#[test]
fn a_document_says_which_kinds_it_has() {
    let document = tree(json!({"type": "object"}), json!({}));
    let error = document.schema(&kind("apps/v1/Deployment")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no schema of apps/v1/Deployment; there are v1/Tree"
    );
    let error = document.schema(&kind("apps/v1/tree")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no schema of apps/v1/tree; did you mean v1/Tree?"
    );
    let error = Document::new(json!({"kind": "Pod"})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it is neither a CustomResourceDefinition nor an OpenAPI v3 document, as `kubectl get \
         --raw /openapi/v3/apis/apps/v1` prints it"
    );
    let crd = Document::new(json!({
        "kind": "CustomResourceDefinition",
        "spec": {"group": "example.dev", "names": {"kind": "Gadget"}, "versions": [{"name": "v1"}]},
    }));
    let error = crd
        .unwrap()
        .schema(&kind("example.dev/v1/Gadget"))
        .unwrap_err();
    assert_eq!(error.to_string(), "example.dev/v1/Gadget has no schema");
}

#[test]
fn kinds_are_read_as_they_are_written() {
    for path in ["apps/v1/Deployment", "v1/Pod"] {
        assert_eq!(kind(path).path(), path);
    }
    for wrong in ["Pod", "/Pod", "a/b/c/Pod", "v1/"] {
        assert_eq!(GroupVersionKind::parse(wrong), None, "{wrong}");
    }
    let pod = GroupVersionKind::of(&json!({"apiVersion": "v1", "kind": "Pod"})).unwrap();
    assert_eq!(pod.to_string(), "/v1, Kind=Pod");
}

#[test]
fn rules_of_a_custom_resource_see_names_that_are_not_longer_than_names_are() {
    let size = |json: &Json, name: &str| {
        let schema = Schema::structural(json).unwrap();
        let root = schema.declaration("selfType").unwrap();
        at(&root, &["metadata", name]).map(Declaration::max_elements)
    };
    let open = json!({"type": "object"});
    assert_eq!(size(&open, "name"), Some(253 * 4));
    assert_eq!(size(&open, "generateName"), Some(252 * 4));
    assert_eq!(size(&open, "labels"), None);
    let own = |length: u32| {
        let name = json!({"type": "string", "maxLength": length});
        json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties": {"name": name}},
        }})
    };
    assert_eq!(size(&own(10), "name"), Some(40));
    assert_eq!(size(&own(1000), "name"), Some(253 * 4));
    // What the API server publishes has all of the metadata, without a limit.
    let published = Document::new(json!({
        "kind": "CustomResourceDefinition",
        "spec": {"group": "example.dev", "names": {"kind": "Gadget"}, "versions": [
            {"name": "v1", "schema": {"openAPIV3Schema": own(10)}},
        ]},
    }));
    let schema = published
        .unwrap()
        .schema(&kind("example.dev/v1/Gadget"))
        .unwrap();
    let root = schema.declaration("Gadget").unwrap();
    let name = at(&root, &["metadata", "name"]).unwrap();
    assert_eq!(name.max_elements(), 3 * 1024 * 1024 - 2);
    let labels = at(&root, &["metadata", "labels"]).unwrap();
    assert_eq!(*labels.ty(), Type::map(Type::String));
}

/// The words of an error, or the value.
fn read(schema: &Json, json: &Json) -> Result<Json, String> {
    let schema = Schema::of(schema).unwrap();
    match schema.value(json) {
        Value::Fault(error) => Err(error.to_string()),
        value => Ok(value.to_json()),
    }
}

#[test]
fn texts_are_read_by_their_format() {
    let format =
        |format: &str, text: &str| read(&json!({"type": "string", "format": format}), &json!(text));
    for (name, text, value) in [
        ("date-time", "2026-05-01T10:00:00Z", "2026-05-01T10:00:00Z"),
        (
            "date-time",
            "2026-05-01T1:00:00,5+02:00",
            "2026-05-01T01:00:00.5+02:00",
        ),
        ("date-time", "2026-05-01T10:00:00", "2026-05-01T10:00:00Z"),
        ("date-time", "", "1970-01-01T00:00:00Z"),
        ("date", "2024-02-29", "2024-02-29T00:00:00Z"),
        ("duration", "1h30m", "1h30m0s"),
        ("duration", "2 days, 3 Hours", "51h0m0s"),
        ("byte", "aGVsbG8_", "aGVsbG8/"),
        ("byte", "YQ==\n", "YQ=="),
        ("uuid", "anything", "anything"),
    ] {
        assert_eq!(format(name, text), Ok(json!(value)), "{name} {text:?}");
    }
}

/// As Go 1.26 words them.
#[test]
fn texts_that_do_not_fit_their_format_are_faults() {
    let format = |format: &str, text: &str| {
        read(&json!({"type": "string", "format": format}), &json!(text)).unwrap_err()
    };
    let time = |text: &str| format("date-time", text);
    let start =
        |text: &str| format!("Invalid date-time formatted string {text}: parsing time \"{text}\"");
    let layout = " as \"2006-01-02T15:04:05\": cannot parse ";
    for (text, words) in [
        ("x", format!("{layout}\"x\" as \"2006\"")),
        ("2026", format!("{layout}\"\" as \"-\"")),
        ("2026-5-01", format!("{layout}\"5-01\" as \"01\"")),
        ("2026-13-01", ": month out of range".to_owned()),
        ("2026-02-30T00:00:00", ": day out of range".to_owned()),
        ("2026-05-01T25:00:00", ": hour out of range".to_owned()),
        ("2026-05-01T10:00:00z", ": extra text: \"z\"".to_owned()),
    ] {
        assert_eq!(time(text), start(text) + &words);
    }
    assert_eq!(
        format("date", "2026-05-01T"),
        "Invalid date formatted string 2026-05-01T: parsing time \"2026-05-01T\": extra text: \"T\""
    );
    assert_eq!(
        format("duration", "soon"),
        "Invalid duration soon: unable to parse soon as duration"
    );
    for (text, at) in [
        ("a", 0),
        ("YQ=", 3),
        ("YQ=x", 2),
        ("a+bc", 1),
        ("YQ==YQ==", 4),
        ("YWI", 0),
    ] {
        assert_eq!(
            format("byte", text),
            format!("Invalid byte formatted string {text}: illegal base64 data at input byte {at}")
        );
    }
}

#[test]
fn data_that_does_not_fit_its_schema_is_a_fault() {
    for (schema, json, words) in [
        (
            json!({"type": "string"}),
            json!(1),
            "invalid data, expected string, got int64",
        ),
        (
            json!({"type": "integer"}),
            json!(1.5),
            "invalid data, expected int, got float64",
        ),
        (
            json!({"type": "boolean"}),
            json!([]),
            "invalid data, expected bool, got []interface {}",
        ),
        (
            json!({"type": "number"}),
            json!({}),
            "invalid data, expected float, got map[string]interface {}",
        ),
        (
            json!({"type": "string"}),
            Json::Null,
            "invalid data, got null for schema with nullable=false",
        ),
        (
            json!({"type": "object"}),
            json!(true),
            "invalid data, expected a map for the provided schema with type=object",
        ),
        (
            json!({"type": "array"}),
            json!([]),
            "invalid array type, expected Items with a non-empty Schema",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "bag"}),
            json!([]),
            "invalid x-kubernetes-list-type, expected 'map', 'set' or 'atomic' but got bag",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(1.5),
            "invalid data, expected XIntOrString value to be either a string or integer",
        ),
    ] {
        assert_eq!(read(&schema, &json), Err(words.to_owned()));
    }
    assert_eq!(
        read(&json!({"type": "string", "nullable": true}), &Json::Null),
        Ok(Json::Null)
    );
}
