//! Every case of the specification's conformance suite.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    clippy::too_many_lines,
    reason = "a panic is the report of a test; the same double is wanted; one case is run from end to end"
)]

use bailiff_cel::{Activation, Bytes, Env, Evaluation, List, Map, Type, Value};
use base64::Engine as _;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Cases whose own expected value is wrong: it has a backslash that the expression has not. The
/// same text as a string has it right.
const WRONG: [&str; 2] = [
    "parse/bytes_literals/triple_single_quoted_unescaped_punctuation",
    "parse/bytes_literals/triple_double_quoted_unescaped_punctuation",
];

/// How many cases there are.
const CASES: usize = 1712;

struct Bindings(Vec<Option<Value<'static>>>);

impl Activation for Bindings {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        self.0.get(slot).cloned().flatten()
    }
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn double(json: &Json) -> f64 {
    match json {
        Json::String(text) if text == "Infinity" => f64::INFINITY,
        Json::String(text) if text == "-Infinity" => f64::NEG_INFINITY,
        Json::String(text) if text == "NaN" => f64::NAN,
        Json::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

fn value(json: &Json) -> Value<'static> {
    let (kind, inner) = json.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "null_value" => Value::Null,
        "bool_value" => Value::Bool(inner.as_bool().unwrap()),
        "int64_value" => Value::Int(text(inner).parse().unwrap()),
        "uint64_value" => Value::Uint(text(inner).parse().unwrap()),
        "double_value" => Value::Double(double(inner)),
        "string_value" => Value::from(text(inner).to_owned()),
        "bytes_value" => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(text(inner))
                .unwrap();
            Value::Bytes(Bytes::Shared(bytes.into()))
        }
        "list_value" => {
            let values = inner["values"].as_array().cloned().unwrap_or_default();
            Value::List(List::of(values.iter().map(value).collect()))
        }
        "map_value" => {
            let entries = inner["entries"].as_array().cloned().unwrap_or_default();
            Value::Map(Map::of(
                entries
                    .iter()
                    .map(|entry| (value(&entry["key"]), value(&entry["value"]))),
            ))
        }
        "type_value" => Value::Type(type_name(text(inner))),
        other => panic!("value {other} is not known"),
    }
}

fn type_name(name: &str) -> &'static str {
    [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "optional_type",
        "net.IP",
        "net.CIDR",
    ]
    .into_iter()
    .find(|known| *known == name)
    .unwrap_or_else(|| panic!("type {name} is not known"))
}

fn ty(json: &Json) -> Type {
    let Some((kind, inner)) = json.as_object().and_then(|object| object.iter().next()) else {
        return Type::Dyn;
    };
    match (kind.as_str(), text(inner)) {
        ("primitive", "BOOL") => Type::Bool,
        ("primitive", "INT64") => Type::Int,
        ("primitive", "UINT64") => Type::Uint,
        ("primitive", "DOUBLE") => Type::Double,
        ("primitive", "STRING") => Type::String,
        ("primitive", "BYTES") => Type::Bytes,
        ("well_known", "TIMESTAMP") => Type::Timestamp,
        ("well_known", "DURATION") => Type::Duration,
        ("null", _) => Type::Null,
        ("dyn", _) => Type::Dyn,
        ("list_type", _) => Type::list(ty(&inner["elem_type"])),
        ("map_type", _) => Type::Map(
            Arc::new(ty(&inner["key_type"])),
            Arc::new(ty(&inner["value_type"])),
        ),
        ("type", _) => Type::Type(Some(Arc::new(ty(inner)))),
        ("abstract_type", _) if inner["name"] == "optional_type" => {
            Type::optional(ty(&inner["parameter_types"][0]))
        }
        ("abstract_type", _) => {
            let parts = inner["parameter_types"].as_array().unwrap();
            Type::Opaque("tuple", parts.iter().map(ty).collect())
        }
        ("type_param", "T") => Type::Param(0),
        ("type_param", "U") => Type::Param(1),
        ("type_param", "V") => Type::Param(2),
        _ => panic!("type {json} is not known"),
    }
}

/// Whether two values are the same, a NaN with a NaN and each number with its own kind.
fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a == b || a.is_nan() && b.is_nan(),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(&a, &b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.entries()
                    .all(|(key, value)| b.get(&key).is_some_and(|b| same(&value, &b)))
        }
        _ => a.type_name() == b.type_name() && a == b,
    }
}

fn run(case: &Json) -> Result<(), String> {
    let mut variables: Vec<(String, Type)> = Vec::new();
    let mut functions: Vec<(String, Json)> = Vec::new();
    for declared in case["type_env"].as_array().into_iter().flatten() {
        for overload in declared["function"]["overloads"]
            .as_array()
            .into_iter()
            .flatten()
        {
            functions.push((text(&declared["name"]).to_owned(), overload.clone()));
        }
        if declared["ident"].is_object() {
            variables.push((
                text(&declared["name"]).to_owned(),
                ty(&declared["ident"]["type"]),
            ));
        }
    }
    let empty = serde_json::Map::new();
    let bindings = case["bindings"].as_object().unwrap_or(&empty);
    for name in bindings.keys() {
        if !variables.iter().any(|(known, _)| known == name) {
            variables.push((name.clone(), Type::Dyn));
        }
    }
    let bound = variables
        .iter()
        .map(|(name, _)| bindings.get(name).map(|binding| value(&binding["value"])))
        .collect();
    let mut env = Env::specification(
        text(&case["container"]),
        variables
            .iter()
            .map(|(name, ty)| (name.as_str(), ty.clone())),
    );
    for (name, overload) in functions {
        let parameters: Vec<_> = overload["params"]
            .as_array()
            .unwrap()
            .iter()
            .map(ty)
            .collect();
        let id = text(&overload["overload_id"]).to_owned();
        let result = ty(&overload["result_type"]);
        env.declare(name.leak(), id.leak(), &parameters, &result);
    }
    let source = text(&case["expr"]);
    let compiled = if case["disable_check"] == true {
        env.compile_unchecked(source)
    } else {
        env.compile(source)
    };
    let fails = case["eval_error"].is_object();
    let program = match compiled {
        Ok(program) => program,
        Err(_) if fails => return Ok(()),
        Err(error) => return Err(format!("does not compile: {error}")),
    };
    if let Some(wanted) = case["typed_result"].get("deduced_type") {
        let (have, want) = (program.result_type().to_string(), ty(wanted).to_string());
        if have != want {
            return Err(format!("has type {have}, not {want}"));
        }
    }
    if case["check_only"] == true {
        return Ok(());
    }
    let activation = Bindings(bound);
    let mut evaluation = Evaluation::new(&env, &activation, u64::MAX);
    let outcome = evaluation.run(&program);
    let wanted = case
        .get("value")
        .or_else(|| case["typed_result"].get("result"));
    match (outcome, fails) {
        (Err(_), true) => Ok(()),
        (Ok(found), true) => Err(format!("gives {found:?}, not an error")),
        (Err(error), false) => Err(format!("fails: {error}")),
        (Ok(found), false) => {
            let wanted = wanted.map_or(Value::Bool(true), value);
            if same(&found, &wanted) {
                Ok(())
            } else {
                Err(format!("gives {found:?}, not {wanted:?}"))
            }
        }
    }
}

#[test]
fn every_case_of_the_specification_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cel-spec");
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let read: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            files.insert(text(&read["name"]).to_owned(), read);
        }
    }
    let (mut cases, mut wrong, mut faults) = (0, 0, Vec::new());
    for (file, read) in &files {
        for section in read["section"].as_array().unwrap() {
            for case in section["test"].as_array().unwrap() {
                cases += 1;
                let name = format!("{file}/{}/{}", text(&section["name"]), text(&case["name"]));
                let outcome = std::panic::catch_unwind(|| run(case))
                    .unwrap_or_else(|_| Err("panics".to_owned()));
                if WRONG.contains(&name.as_str()) {
                    assert!(
                        outcome.is_err(),
                        "{name} is right now: take it off the list"
                    );
                    wrong += 1;
                } else if let Err(fault) = outcome {
                    faults.push(format!("{name}: {} {fault}", text(&case["expr"])));
                }
            }
        }
    }
    assert_eq!((cases, wrong), (CASES, WRONG.len()));
    assert!(
        faults.is_empty(),
        "{} of {cases} fail:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
