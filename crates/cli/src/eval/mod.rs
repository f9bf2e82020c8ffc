//! `bailiff eval`: tries an expression before it is put into a policy.
//!
//! Here: flags, files, and what a person reads. Not here: other programs that use it (`batch`).
//! Invariant: it talks to no cluster.

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
use rules::{Fixed, Rules};
use schemas::Schemas;
use serde::Deserialize as _;
use serde_json::{Value as Json, json};
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  bailiff eval '1 + 2'
  bailiff eval 'object.spec.replicas > 3' -f deployment.yaml
  kubectl get deployment web -o yaml | bailiff eval 'object.spec.replicas' -f -
  bailiff eval 'variables.images.all(i, i.startsWith(\"registry.example/\"))' -f pod.yaml \\
    --variables 'images=object.spec.containers.map(c, c.image)'
  bailiff eval 'object.spec.replicas <= oldObject.spec.replicas' -f new.yaml --old old.yaml
  kubectl get --raw /openapi/v3/apis/apps/v1 > apps.json
  bailiff eval 'object.spec.replicas > 3' -f deployment.yaml --schema apps.json
  bailiff eval 'object.spec.size > 1' --type-check --schema gadgets.crd.yaml \
    --kind example.dev/v1/Gadget
  bailiff eval --mutation 'Object{spec: Object.spec{replicas: 3}}'
  bailiff eval --batch < requests.jsonl

A file may hold several documents; the expression is evaluated for each.

Exit codes: 0 it has a value (for each document), 1 it has none, or one that is not applied, 2 the
command is not valid.";

/// Flags of `bailiff eval`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct EvalArgs {
    /// The expression
    #[arg(value_name = "EXPRESSION", required_unless_present = "batch")]
    pub expression: Option<String>,
    /// Objects, as YAML or JSON; `-` is standard input [default: object is null]
    #[arg(short, long, value_name = "FILE")]
    pub filename: Option<PathBuf>,
    /// The object as it was before: oldObject
    #[arg(long, value_name = "FILE")]
    pub old: Option<PathBuf>,
    /// The parameters of the binding: params
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
    /// The namespace of the object: namespaceObject
    #[arg(long, value_name = "FILE")]
    pub namespace: Option<PathBuf>,
    /// The admission request: request
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// Rules that decide what an authorizer would: authorizer
    #[arg(long, value_name = "FILE")]
    pub authorizer: Option<PathBuf>,
    /// A named expression, used as variables.NAME; may be given several times
    #[arg(long, value_name = "NAME=EXPRESSION")]
    pub variables: Vec<String>,
    /// Use the types of a mutating policy as well, which it makes its changes of
    #[arg(long)]
    pub mutation: bool,
    /// The release of Kubernetes whose functions there are
    #[arg(long, value_name = "VERSION", default_value = "1.37")]
    pub kubernetes_version: String,
    /// Schemas of kinds: the manifest of a custom resource, or an OpenAPI v3 document of the API server;
    /// object and oldObject have the type of their kind
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// The kind of the schema that is meant, v1/Pod for the core group [default: the object's own]
    #[arg(long, value_name = "GROUP/VERSION/KIND", requires = "schema")]
    pub kind: Option<String>,
    /// Say only whether it compiles, its type, and what it is estimated to cost
    #[arg(long)]
    pub type_check: bool,
    /// Print JSON
    #[arg(short, long, value_name = "SHAPE", value_parser = ["text", "json"], default_value = "text")]
    pub output: String,
    /// Read requests as JSON lines from standard input, and write an answer for each
    #[arg(long, conflicts_with_all = ["expression", "filename", "old", "params", "namespace", "request", "authorizer", "variables", "mutation", "schema", "kind", "type_check"])]
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
            "cannot use Kubernetes {text}: there are 1.{OLDEST_RELEASE} to 1.{NEWEST_RELEASE}"
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

/// The rules of a file; none without one.
fn rules_of(path: Option<&Path>, input: &mut impl Read) -> Result<Rules, Error> {
    let Some(path) = path else {
        return Ok(Rules::default());
    };
    let read = documents(path, input)?.into_iter().next();
    Rules::deserialize(read.unwrap_or_default()).map_err(|error| cannot_read(path, &error))
}

/// Runs the command; whether every document has a value.
///
/// # Errors
/// When a file can't be read, or the output can't be written.
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
                Err(error) => return refused(args, out, kind.as_ref(), &error),
            }
        }
    }
    if args.type_check {
        for one in &compiled {
            match one.cost() {
                Ok(cost) => fits(args, out, one, cost)?,
                Err(error) => {
                    let variable = None;
                    return refused(args, out, one.kind(), &Fault { variable, error });
                }
            }
        }
        return Ok(true);
    }
    let old = first(args.old.as_ref(), input)?;
    let params = first(args.params.as_ref(), input)?;
    let namespace = first(args.namespace.as_ref(), input)?;
    let request = first(args.request.as_ref(), input)?;
    let rules = rules_of(args.authorizer.as_deref(), input)?;
    let authorizer = Fixed::new(&rules, request.as_ref());
    let authorizer = args
        .authorizer
        .as_ref()
        .map(|_| &authorizer as &dyn Authorizer);
    let mut all = true;
    for (object, place) in objects.iter().zip(places) {
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
        let title = object.as_ref().filter(|_| objects.len() > 1).map(name_of);
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
        return Err(cannot_read(path, &"it holds no object"));
    }
    Ok(found.into_iter().map(Some).collect())
}

/// The expression, compiled for the objects of a kind, or for all where no schema is given.
struct Compiled {
    known: Option<(GroupVersionKind, Schema)>,
    declaration: Option<Declaration>,
    env: Env,
    program: Program,
}

/// Why an expression does not compile.
struct Fault {
    /// The variable that it is in.
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
        for variable in &args.variables {
            let Some((name, expression)) = variable.split_once('=') else {
                return Err(Error::Input(format!(
                    "cannot use variable {variable:?}: write NAME=EXPRESSION"
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

    /// What it costs, as far as the schema says how large objects may be.
    fn cost(&self) -> Result<Range, CompileError> {
        let objects = self.declaration.iter();
        let declared: Vec<_> = objects
            .flat_map(|object| [("object", object), ("oldObject", object)])
            .collect();
        let sizes = Declared(&declared);
        self.env.estimate(self.program.source(), &sizes)
    }
}

/// Says that it compiles, and for which kind.
fn fits(
    args: &EvalArgs,
    out: &mut impl Write,
    compiled: &Compiled,
    cost: Range,
) -> Result<(), Error> {
    let ty = compiled.program.result_type();
    let kind = compiled.kind().map(GroupVersionKind::path);
    let Range { min, max } = cost;
    if args.output == "json" {
        let mut answer = json!({
            "staticType": ty.to_string(),
            "estimatedCost": { "min": min, "max": max },
        });
        if let Some(kind) = kind {
            answer["kind"] = kind.into();
        }
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let of = kind.map_or_else(String::new, |kind| format!(" for {kind}"));
    writeln!(out, "it compiles{of}; its type is {ty}")?;
    match max {
        u64::MAX => writeln!(out, "estimated cost  {min} to unbounded")?,
        _ if min == max => writeln!(out, "estimated cost  {min}")?,
        _ => writeln!(out, "estimated cost  {min} to {max}")?,
    }
    Ok(())
}

/// Kind and name of an object.
fn name_of(object: &Json) -> String {
    let text = |value: &Json| value.as_str().unwrap_or("?").to_owned();
    format!(
        "{} {}",
        text(&object["kind"]),
        text(&object["metadata"]["name"])
    )
}

fn refused(
    args: &EvalArgs,
    out: &mut impl Write,
    kind: Option<&GroupVersionKind>,
    fault: &Fault,
) -> Result<bool, Error> {
    let Fault { variable, error } = fault;
    let kind = kind.map(GroupVersionKind::path);
    if args.output == "json" {
        let mut answer = json!({ "compileError": error.issues() });
        if let Some(kind) = kind {
            answer["kind"] = kind.into();
        }
        writeln!(out, "{answer}")?;
        return Ok(false);
    }
    let of = kind.map_or_else(String::new, |kind| format!(" for {kind}"));
    writeln!(out, "it does not compile{of}:")?;
    if let Some(name) = variable {
        writeln!(out, "variable {name}:")?;
    }
    writeln!(out, "{error}")?;
    Ok(false)
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
        let mut answer = batch::answer(program, outcome, cost);
        if let Some(title) = title {
            answer["object"] = title.into();
        }
        writeln!(out, "{answer}")?;
        return Ok(answer.get("error").is_none() && answer.get("mutationError").is_none());
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
                writeln!(out, "type   {dynamic} ({declared} for the compiler)")?;
            }
        }
        Err(error) => writeln!(out, "error  {error}{}", meant(&error.to_string(), bindings))?,
    }
    if let Some(fault) = fault {
        let fault = fault.replace('\n', "\n       ");
        writeln!(out, "error  this mutation is not applied: {fault}")?;
    }
    writeln!(out, "cost   {cost} of {}", bailiff_cel::LIMIT)?;
    Ok(is_fine)
}

/// A value as JSON; on several lines where one would be long.
fn shown(value: &Value<'_>) -> String {
    let json = value.to_json();
    let short = json.to_string();
    if short.len() <= 100 {
        return short;
    }
    serde_json::to_string_pretty(&json).unwrap_or(short)
}

/// The key that a missing one may be a slip of.
fn meant(error: &str, bindings: &Bindings<'_>) -> String {
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
        return format!("; where it may be missing, ask first: has(….{missing}), or .?{missing}");
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

/// Whether one letter more, less or other makes one word of the other.
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
