//! `bailiff eval`: evaluates an expression before it becomes part of a policy.
//!
//! Here: flags, files and the output for people. Not here: the protocol for programs (`batch`).
//! Invariant: the command sends no request to a cluster.

mod batch;
mod rules;
mod schemas;
#[cfg(test)]
mod tests;

use crate::Error;
use bailiff_cel::admission::{self, Bindings, Optional};
use bailiff_cel::authorizer::Authorizer;
use bailiff_cel::cost::{Declared, Range};
use bailiff_cel::schema::{Declaration, GroupVersionKind, Schema};
use bailiff_cel::{
    CompileError, Env, Evaluation, NEWEST_RELEASE, OLDEST_RELEASE, Program, Type, Value,
};
use rules::{Rules, StaticAuthorizer};
use schemas::Schemas;
use serde::Deserialize as _;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  bailiff eval '1 + 2'
  bailiff eval 'object.spec.replicas > 3' -f deployment.yaml
  kubectl get deployment web -o yaml | bailiff eval 'object.spec.replicas' -f -
  bailiff eval 'variables.images.all(i, i.startsWith(\"registry.example/\"))' -f pod.yaml \\
    --variable 'images=object.spec.containers.map(c, c.image)'
  bailiff eval 'object.spec.replicas <= oldObject.spec.replicas' -f new.yaml --old-object old.yaml
  kubectl get --raw /openapi/v3/apis/apps/v1 > apps.json
  bailiff eval 'object.spec.replicas > 3' -f deployment.yaml --schema apps.json
  bailiff eval 'object.spec.size > 1' --type-check --schema gadgets.crd.yaml \\
    --kind example.dev/v1/Gadget
  bailiff eval --mutation 'Object{spec: Object.spec{replicas: 3}}'
  bailiff eval --batch < requests.jsonl

A file can contain several documents; the expression is evaluated for each of them.

Exit codes: 0 each evaluation has a value, 1 an evaluation has none or its mutation cannot be applied,
2 the command line is invalid.";

/// Flags of `bailiff eval`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct EvalArgs {
    /// Expression to evaluate
    #[arg(value_name = "EXPRESSION", required_unless_present = "batch")]
    pub expression: Option<String>,
    /// YAML or JSON file with the objects; `-` reads standard input. If unset, object is null
    #[arg(short, long, value_name = "FILE")]
    pub filename: Option<PathBuf>,
    /// File with the previous version of the object: oldObject
    #[arg(long, value_name = "FILE")]
    pub old_object: Option<PathBuf>,
    /// File with the parameters of the binding: params
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
    /// File with the namespace of the object: namespaceObject
    #[arg(long, value_name = "FILE")]
    pub namespace_object: Option<PathBuf>,
    /// File with the admission request: request
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// File with the rules of a static authorizer: authorizer
    #[arg(long, value_name = "FILE")]
    pub authorizer: Option<PathBuf>,
    /// Named expression, used as variables.NAME. Can be repeated
    #[arg(long, value_name = "NAME=EXPRESSION")]
    pub variable: Vec<String>,
    /// Add the types from which a mutating admission policy builds its changes
    #[arg(long)]
    pub mutation: bool,
    /// Kubernetes version that determines the available functions
    #[arg(long, value_name = "VERSION", default_value = "1.37")]
    pub kubernetes_version: String,
    /// File with schemas: a custom resource definition or an OpenAPI v3 document of the API server.
    /// object and oldObject get the type of their kind
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Kind whose schema applies; v1/Pod for the core group. Defaults to the kind of the object
    #[arg(long, value_name = "GROUP/VERSION/KIND", requires = "schema")]
    pub kind: Option<String>,
    /// Only compile; print the type and the estimated cost
    #[arg(long)]
    pub type_check: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    pub output: String,
    /// Read JSON requests from standard input, one per line, and write a result for each
    #[arg(long, conflicts_with_all = ["expression", "filename", "old_object", "params", "namespace_object", "request", "authorizer", "variable", "mutation", "schema", "kind", "type_check"])]
    pub batch: bool,
}

/// The minor release of `1.37`.
fn release(text: &str) -> Result<u32, Error> {
    let minor = text
        .trim_start_matches('v')
        .strip_prefix("1.")
        .and_then(|rest| rest.split('.').next())
        .and_then(|minor| minor.parse().ok());
    match minor {
        Some(minor) if (OLDEST_RELEASE..=NEWEST_RELEASE).contains(&minor) => Ok(minor),
        _ => Err(Error::Input(format!(
            "cannot use Kubernetes version {text}: must be 1.{OLDEST_RELEASE} to 1.{NEWEST_RELEASE}"
        ))),
    }
}

fn cannot_read(path: &Path, error: &dyn std::fmt::Display) -> Error {
    let name = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    Error::Input(format!("cannot read {name}: {error}"))
}

/// The documents of a file.
fn documents(path: &Path, input: &mut impl Read) -> Result<Vec<Json>, Error> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        input.read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(|error| cannot_read(path, &error))?;
    let mut found = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let value = Json::deserialize(document).map_err(|error| cannot_read(path, &error))?;
        if !value.is_null() {
            found.push(value);
        }
    }
    Ok(found)
}

fn first(path: Option<&PathBuf>, input: &mut impl Read) -> Result<Option<Json>, Error> {
    path.map_or(Ok(None), |path| {
        Ok(documents(path, input)?.into_iter().next())
    })
}

/// The rules of a file; empty if there is no file.
fn rules_of(path: Option<&Path>, input: &mut impl Read) -> Result<Rules, Error> {
    let Some(path) = path else {
        return Ok(Rules::default());
    };
    let read = documents(path, input)?.into_iter().next();
    Rules::deserialize(read.unwrap_or_default()).map_err(|error| cannot_read(path, &error))
}

/// Runs the command. Returns whether every document has a value.
///
/// # Errors
/// If a file cannot be read or the output cannot be written.
pub fn run(args: &EvalArgs, input: &mut impl BufRead, out: &mut impl Write) -> Result<bool, Error> {
    let minor = release(&args.kubernetes_version)?;
    if args.batch {
        batch::run(minor, input, out)?;
        return Ok(true);
    }
    let schemas = Schemas::read(args, input)?;
    let objects = if args.type_check && schemas.is_none() {
        vec![None]
    } else {
        objects(args, input)?
    };
    let mut compiled: Vec<Compiled> = Vec::new();
    let mut places = Vec::new();
    for object in &objects {
        let known = match &schemas {
            Some(schemas) => Some(schemas.of(object.as_ref())?),
            None => None,
        };
        let kind = known.as_ref().map(|(kind, _)| kind.clone());
        let place = compiled.iter().position(|one| one.kind() == kind.as_ref());
        places.push(place.unwrap_or(compiled.len()));
        if place.is_none() {
            match Compiled::new(args, minor, known)? {
                Ok(made) => compiled.push(made),
                Err(error) => return print_compile_error(args, out, kind.as_ref(), &error),
            }
        }
    }
    if args.type_check {
        for one in &compiled {
            match one.cost() {
                Ok(cost) => print_type_check(args, out, one, cost)?,
                Err(error) => {
                    let variable = None;
                    return print_compile_error(args, out, one.kind(), &Fault { variable, error });
                }
            }
        }
        return Ok(true);
    }
    let old = first(args.old_object.as_ref(), input)?;
    let params = first(args.params.as_ref(), input)?;
    let namespace = first(args.namespace_object.as_ref(), input)?;
    let request = first(args.request.as_ref(), input)?;
    let rules = rules_of(args.authorizer.as_deref(), input)?;
    let static_authorizer = StaticAuthorizer::new(&rules, request.as_ref());
    let authorizer = args
        .authorizer
        .as_ref()
        .map(|_| &static_authorizer as &dyn Authorizer);
    let mut all = true;
    for (number, (object, place)) in (1..).zip(objects.iter().zip(places)) {
        let Some(compiled) = compiled.get(place) else {
            continue;
        };
        let bindings = Bindings {
            object: object.as_ref(),
            old_object: old.as_ref(),
            namespace_object: namespace.as_ref(),
            request: request.as_ref(),
            params: params.as_ref(),
            authorizer,
            schema: compiled.known.as_ref().map(|(_, schema)| schema),
        };
        let title = object.as_ref().filter(|_| objects.len() > 1);
        let title = title.map(|object| title_of(object, number));
        all &= one(
            args,
            out,
            &compiled.env,
            &compiled.program,
            &bindings,
            title,
        )?;
    }
    Ok(all)
}

/// The objects that the expression is evaluated for.
fn objects(args: &EvalArgs, input: &mut impl Read) -> Result<Vec<Option<Json>>, Error> {
    let Some(path) = &args.filename else {
        return Ok(vec![None]);
    };
    let found = documents(path, input)?;
    if found.is_empty() {
        return Err(cannot_read(path, &"the file contains no object; add one"));
    }
    Ok(found.into_iter().map(Some).collect())
}

/// The expression, compiled for one kind, or for all objects if there is no schema.
struct Compiled {
    known: Option<(GroupVersionKind, Schema)>,
    declaration: Option<Declaration>,
    env: Env,
    program: Program,
}

/// Why an expression does not compile.
struct Fault {
    /// Name of the variable that contains the error; absent for the expression itself.
    variable: Option<String>,
    error: CompileError,
}

impl Compiled {
    fn new(
        args: &EvalArgs,
        minor: u32,
        known: Option<(GroupVersionKind, Schema)>,
    ) -> Result<Result<Self, Fault>, Error> {
        let declaration = known
            .as_ref()
            .and_then(|(kind, schema)| schema.declaration(&kind.kind));
        let ty = declaration
            .as_ref()
            .map_or(Type::Dyn, |declaration| declaration.ty().clone());
        let optional = Optional {
            params: args.params.is_some(),
            authorizer: args.authorizer.is_some(),
            mutation: args.mutation,
        };
        let mut env = admission::typed_environment(minor, &ty, optional);
        for variable in &args.variable {
            let Some((name, expression)) = variable.split_once('=') else {
                return Err(Error::Input(format!(
                    "cannot use variable {variable:?}: must have the form NAME=EXPRESSION"
                )));
            };
            if let Err(error) = env.define(name.trim(), expression) {
                let variable = Some(name.to_owned());
                return Ok(Err(Fault { variable, error }));
            }
        }
        let source = args.expression.as_deref().unwrap_or_default();
        Ok(match env.compile(source) {
            Ok(program) => Ok(Self {
                known,
                declaration,
                env,
                program,
            }),
            Err(error) => Err(Fault {
                variable: None,
                error,
            }),
        })
    }

    fn kind(&self) -> Option<&GroupVersionKind> {
        self.known.as_ref().map(|(kind, _)| kind)
    }

    /// The estimated cost. Without a size limit in the schema, the maximum is unbounded.
    fn cost(&self) -> Result<Range, CompileError> {
        let objects = self.declaration.iter();
        let declared: Vec<_> = objects
            .flat_map(|object| [("object", object), ("oldObject", object)])
            .collect();
        let sizes = Declared(&declared);
        self.env.estimate(self.program.source(), &sizes)
    }
}

/// Reports the type, the estimated cost and the kind that the expression compiles for.
fn print_type_check(
    args: &EvalArgs,
    out: &mut impl Write,
    compiled: &Compiled,
    cost: Range,
) -> Result<(), Error> {
    let ty = compiled.program.result_type();
    let kind = compiled.kind().map(GroupVersionKind::path);
    let Range { min, max } = cost;
    if args.output == "json" {
        let mut result = json!({
            "staticType": ty.to_string(),
            "estimatedCost": { "min": min, "max": max },
        });
        if let Some(kind) = kind {
            result["kind"] = kind.into();
        }
        writeln!(out, "{result}")?;
        return Ok(());
    }
    if let Some(kind) = kind {
        writeln!(out, "kind            {kind}")?;
    }
    writeln!(out, "type            {ty}")?;
    match max {
        u64::MAX => writeln!(out, "estimated cost  {min} to unbounded")?,
        _ if min == max => writeln!(out, "estimated cost  {min}")?,
        _ => writeln!(out, "estimated cost  {min} to {max}")?,
    }
    Ok(())
}

/// Kind and name of an object; without a kind or a name, the number of its document. `number`: from 1.
fn title_of(object: &Json, number: usize) -> String {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match (kind, name) {
        (Some(kind), Some(name)) => format!("{kind} {name}"),
        (Some(kind), None) => format!("{kind} (document {number})"),
        (None, _) => format!("document {number}"),
    }
}

fn print_compile_error(
    args: &EvalArgs,
    out: &mut impl Write,
    kind: Option<&GroupVersionKind>,
    fault: &Fault,
) -> Result<bool, Error> {
    let Fault { variable, error } = fault;
    let kind = kind.map(GroupVersionKind::path);
    if args.output == "json" {
        let mut result = json!({ "compileError": error.issues() });
        if let Some(kind) = kind {
            result["kind"] = kind.into();
        }
        writeln!(out, "{result}")?;
        return Ok(false);
    }
    let of = kind.map_or_else(String::new, |kind| format!(" for {kind}"));
    writeln!(out, "the expression does not compile{of}:")?;
    if let Some(name) = variable {
        writeln!(out, "variable {name}:")?;
    }
    writeln!(out, "{error}")?;
    for hint in hints(error) {
        writeln!(out, "{hint}")?;
    }
    Ok(false)
}

/// What to do about variables that exist elsewhere, or only with a flag.
fn hints(error: &CompileError) -> BTreeSet<&'static str> {
    let undeclared = error.diagnostics.iter().filter_map(|diagnostic| {
        let rest = diagnostic.message.strip_prefix("undeclared reference to '");
        rest?.split('\'').next()
    });
    let hints = undeclared.filter_map(|name| match name {
        "process" | "container" => Some(
            "process and container are variables of RuntimePolicies, which `bailiff eval` does not know. To check a policy, apply it without a binding and read its condition Ready.",
        ),
        "params" => Some("To use params, set --params FILE."),
        "authorizer" => Some("To use authorizer, set --authorizer FILE."),
        _ => None,
    });
    hints.collect()
}

fn one(
    args: &EvalArgs,
    out: &mut impl Write,
    env: &Env,
    program: &Program,
    bindings: &Bindings<'_>,
    title: Option<String>,
) -> Result<bool, Error> {
    let mut evaluation = Evaluation::new(env, bindings, admission::BUDGET);
    let outcome = evaluation.run(program);
    let cost = evaluation.spent();
    if args.output == "json" {
        let mut result = batch::result(program, outcome, cost);
        if let Some(title) = title {
            result["object"] = title.into();
        }
        writeln!(out, "{result}")?;
        return Ok(result.get("error").is_none() && result.get("mutationError").is_none());
    }
    if let Some(title) = title {
        writeln!(out, "{title}")?;
    }
    let fault = outcome.as_ref().ok().and_then(admission::mutation_fault);
    let is_fine = outcome.is_ok() && fault.is_none();
    match outcome {
        Ok(value) => {
            writeln!(out, "value  {}", shown(&value))?;
            let (dynamic, declared) = (value.type_name(), program.result_type().declared_name());
            if declared == dynamic || value == Value::Null {
                writeln!(out, "type   {dynamic}")?;
            } else {
                writeln!(out, "type   {dynamic} (declared type {declared})")?;
            }
        }
        Err(error) => writeln!(
            out,
            "error  {error}{}",
            suggestion(&error.to_string(), bindings)
        )?,
    }
    if let Some(fault) = fault {
        let fault = fault.replace('\n', "\n       ");
        writeln!(out, "error  cannot apply the mutation: {fault}")?;
    }
    writeln!(out, "cost   {cost} of {}", bailiff_cel::LIMIT)?;
    Ok(is_fine)
}

/// A value as JSON: one line if it is short, else several.
fn shown(value: &Value<'_>) -> String {
    let json = value.to_json();
    let short = json.to_string();
    if short.len() <= 100 {
        return short;
    }
    serde_json::to_string_pretty(&json).unwrap_or(short)
}

/// A suggestion for a missing key, such as a key with a similar name.
fn suggestion(error: &str, bindings: &Bindings<'_>) -> String {
    let Some(missing) = error.split("no such key: ").nth(1) else {
        return String::new();
    };
    let mut keys = Vec::new();
    for bound in [bindings.object, bindings.old_object, bindings.params]
        .into_iter()
        .flatten()
    {
        collect(bound, &mut keys);
    }
    if keys.iter().any(|key| key == missing) {
        return format!(
            "; if the key can be absent, check it with has(….{missing}) or use .?{missing}"
        );
    }
    let near = keys
        .iter()
        .find(|key| key.eq_ignore_ascii_case(missing))
        .or_else(|| keys.iter().find(|key| is_near(key, missing)));
    near.map_or_else(String::new, |key| format!("; did you mean '{key}'?"))
}

fn collect(json: &Json, keys: &mut Vec<String>) {
    match json {
        Json::Object(entries) => {
            for (key, value) in entries {
                keys.push(key.clone());
                collect(value, keys);
            }
        }
        Json::Array(elements) => {
            for element in elements {
                collect(element, keys);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// Whether the words differ in at most one inserted, deleted or replaced letter.
fn is_near(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let same_start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[same_start..], &b[same_start..]);
    let same_end = rest_a
        .iter()
        .rev()
        .zip(rest_b.iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    rest_a.len() - same_end <= 1 && rest_b.len() - same_end <= 1 && a.len() > 2
}
