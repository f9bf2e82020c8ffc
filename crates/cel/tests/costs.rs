//! Every expression of `costs.txt` is estimated, and costs, what is stated there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is the report of a test"
)]

use bailiff_cel::cost::{Range, Sizes, SizesByPath};
use bailiff_cel::{Activation, Env, Evaluation, ObjectType, Type, Value};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A row: what is stated, and what is known.
struct Row<'a> {
    estimate: Option<Range>,
    cost: Option<u64>,
    expression: &'a str,
    known: Json,
}

fn rows() -> Vec<Row<'static>> {
    let number = |text: &str| text.parse::<u64>().unwrap();
    let lines = include_str!("costs.txt").lines();
    lines
        .filter(|line| !line.starts_with("//"))
        .map(|line| {
            let columns: Vec<_> = line.split('\t').collect();
            let [estimate, cost, expression, known @ ..] = columns.as_slice() else {
                panic!("{line}");
            };
            let (min, max) = estimate.split_once("..").unwrap_or((estimate, estimate));
            Row {
                estimate: (*estimate != "-").then(|| Range {
                    min: number(min),
                    max: number(max),
                }),
                cost: (*cost != "-").then(|| number(cost)),
                expression,
                known: known
                    .first()
                    .map_or_else(|| json!({}), |json| serde_json::from_str(json).unwrap()),
            }
        })
        .collect()
}

/// A type as it is written: `map(string, list(int))`.
fn declared(text: &str) -> Type {
    if let Some((outer, inner)) = text.split_once('(') {
        let inner = inner.strip_suffix(')').unwrap();
        return match (outer, inner.split_once(", ")) {
            ("list", _) => Type::list(declared(inner)),
            ("map", Some((key, value))) => {
                Type::Map(Arc::new(declared(key)), Arc::new(declared(value)))
            }
            _ => panic!("{text}"),
        };
    }
    match text {
        "authorizer" => ObjectType::new("kubernetes.authorization.Authorizer", []),
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "duration" => Type::Duration,
        "dyn" => Type::Dyn,
        "int" => Type::Int,
        "string" => Type::String,
        "Thing" => ObjectType::new("Thing", [("single_int32", Type::Int)]),
        "timestamp" => Type::Timestamp,
        other => panic!("no type is called {other}"),
    }
}

/// Values of variables, in the order of their names.
struct Values(Vec<Json>);

impl Activation for Values {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        self.0.get(slot).map(Value::from_json)
    }
}

/// Sizes by path, and one for all text and bytes.
struct Largest(SizesByPath, Option<u64>);

impl Sizes for Largest {
    fn size(&self, path: &[&str], ty: &Type) -> Option<Range> {
        let text = matches!(ty, Type::String | Type::Bytes);
        let largest = self.1.filter(|_| text);
        let size = largest.map(|max| Range { min: 0, max });
        size.or_else(|| self.0.size(path, ty))
    }
}

/// A value; of long text only its length is stated.
fn value(json: &Json) -> Json {
    match json.get("letters").and_then(Json::as_u64) {
        Some(length) => "a".repeat(usize::try_from(length).unwrap()).into(),
        None => json.clone(),
    }
}

fn fault(row: &Row<'_>) -> Option<String> {
    let none = serde_json::Map::new();
    let map = |name: &str| row.known[name].as_object().unwrap_or(&none);
    let types = map("types").iter();
    let env = Env::new(types.map(|(name, ty)| (name.as_str(), declared(ty.as_str().unwrap()))));
    let program = match env.compile(row.expression) {
        Ok(program) => program,
        Err(error) => return Some(error.to_string()),
    };
    let sizes = map("sizes").iter();
    let sizes = sizes.fold(SizesByPath::default(), |sizes, (path, max)| {
        sizes.at_most(path, max.as_u64().unwrap())
    });
    let sizes = Largest(sizes, row.known["text"].as_u64());
    let estimate = match env.estimate(row.expression, &sizes) {
        Ok(estimate) => estimate,
        Err(error) => return Some(error.to_string()),
    };
    if row.estimate.is_some_and(|stated| stated != estimate) {
        return Some(format!("it is estimated to cost {estimate:?}"));
    }
    let stated = row.cost?;
    let values = Values(map("values").values().map(value).collect());
    let mut evaluation = Evaluation::new(&env, &values, u64::MAX);
    if let Err(error) = evaluation.run(&program) {
        return Some(error.to_string());
    }
    let cost = evaluation.spent();
    (stated != cost).then(|| format!("it costs {cost}"))
}

#[test]
fn expressions_cost_what_is_stated() {
    let rows = rows();
    assert_eq!(rows.len(), 318, "none is lost");
    let faults: Vec<_> = rows
        .iter()
        .filter_map(|row| Some(format!("{}\n  {}", row.expression, fault(row)?)))
        .collect();
    assert!(
        faults.is_empty(),
        "{} are not as stated:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
