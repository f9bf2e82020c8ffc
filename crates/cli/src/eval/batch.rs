//! `bailiff eval --batch`: JSON lines in, one out for each, in their order.
//!
//! Here: the protocol. Not here: what a person reads (`eval`).
//! Invariant: every line that is not empty has an answer, also one that is no JSON.

use super::rules::{Fixed, Rules};
use crate::Error;
use bailiff_cel::admission::{self, Bindings, Optional};
use bailiff_cel::authorizer::Authorizer;
use bailiff_cel::{EvalError, Evaluation, Program, Value};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::io::{BufRead, Write};

/// A line: as in a `ValidatingAdmissionPolicy`, or as a mutation of a `MutatingAdmissionPolicy`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    id: Json,
    expr: String,
    #[serde(default)]
    variables: Vec<Variable>,
    #[serde(default)]
    bindings: serde_json::Map<String, Json>,
    budget: Option<u64>,
    /// Whether there are the types of a `MutatingAdmissionPolicy`.
    #[serde(default)]
    mutation: bool,
}

/// A named expression.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    expression: String,
}

/// The names that may be bound.
const NAMES: [&str; 6] = [
    "object",
    "oldObject",
    "request",
    "params",
    "namespaceObject",
    "authorizer",
];

/// Answers every line.
///
/// # Errors
/// When the input can't be read or the output can't be written.
pub(super) fn run(minor: u32, input: &mut impl BufRead, out: &mut impl Write) -> Result<(), Error> {
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => evaluate(minor, &decoded(request)),
            Err(error) => {
                let id = serde_json::from_str::<Json>(&line)
                    .map_or(Json::Null, |json| json["id"].clone());
                json!({ "id": id, "inputError": error.to_string() })
            }
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
}

/// A line as the API server has its objects: each has a kind there, which an expression can see. One
/// without gets one.
fn decoded(mut request: Request) -> Request {
    for name in ["object", "oldObject", "params"] {
        if let Some(Json::Object(fields)) = request.bindings.get_mut(name)
            && !fields.contains_key("kind")
        {
            fields.insert("apiVersion".to_owned(), "v1".into());
            fields.insert("kind".to_owned(), "Thing".into());
        }
    }
    request
}

fn evaluate(minor: u32, request: &Request) -> Json {
    if let Some(name) = request
        .bindings
        .keys()
        .find(|name| !NAMES.contains(&name.as_str()))
    {
        let names = NAMES.join(", ");
        return json!({
            "id": request.id,
            "inputError": format!("cannot bind {name}: there are {names}"),
        });
    }
    let bound = |name: &str| request.bindings.get(name).filter(|json| !json.is_null());
    let rules = match request.bindings.get("authorizer").map(Rules::deserialize) {
        None => None,
        Some(Ok(rules)) => Some(rules),
        Some(Err(error)) => {
            let error = format!("cannot read the rules of the authorizer: {error}");
            return json!({ "id": request.id, "inputError": error });
        }
    };
    let optional = Optional {
        params: request.bindings.contains_key("params"),
        authorizer: rules.is_some(),
        mutation: request.mutation,
    };
    let mut env = admission::environment(minor, optional);
    for variable in &request.variables {
        // A fault of a variable is said where it is used.
        drop(env.define(&variable.name, &variable.expression));
    }
    let program = match env.compile(&request.expr) {
        Ok(program) => program,
        Err(error) => return json!({ "id": request.id, "compileError": error.issues() }),
    };
    let authorizer = rules
        .as_ref()
        .map(|rules| Fixed::new(rules, bound("request")));
    let bindings = Bindings {
        object: bound("object"),
        old_object: bound("oldObject"),
        namespace_object: bound("namespaceObject"),
        request: bound("request"),
        params: bound("params"),
        authorizer: authorizer.as_ref().map(|fixed| fixed as &dyn Authorizer),
        schema: None,
    };
    let budget = request.budget.unwrap_or(admission::BUDGET);
    let mut evaluation = Evaluation::new(&env, &bindings, budget);
    let outcome = evaluation.run(&program);
    let cost = evaluation.spent();
    let mut answer = answer(&program, outcome, cost);
    answer["id"] = request.id.clone();
    answer
}

/// What became of a program.
pub(super) fn answer(program: &Program, outcome: Result<Value<'_>, EvalError>, cost: u64) -> Json {
    let declared = program.result_type().declared_name();
    match outcome {
        Ok(value) => {
            let mut answer = json!({
                "value": value.to_json(),
                "type": value.type_name(),
                "staticType": declared,
                "cost": cost,
            });
            if let Some(fault) = admission::mutation_fault(&value) {
                answer["mutationError"] = fault.into();
            }
            answer
        }
        Err(error) => json!({ "error": error.to_string(), "staticType": declared, "cost": cost }),
    }
}
