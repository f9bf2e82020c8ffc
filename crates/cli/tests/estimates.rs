//! Every expression is estimated to cost what the API server's own engine estimates
//! (`conformance/oracle`, a line with `estimate`), with and without types and sizes.
//!
//! `BAILIFF_CEL_ORACLE` names its program, as `hack/oracle.sh` prints it; `SEED` makes others,
//! `EXPRESSIONS` says how many are made.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is the report of a test"
)]

#[path = "engines/answers.rs"]
#[allow(dead_code, reason = "estimates have a form of their own")]
mod answers;
#[allow(dead_code, reason = "nothing that differs is reduced here")]
mod generator;

use bailiff_cel::admission::{self, Optional};
use bailiff_cel::cost::{Range, SizesByPath};
use bailiff_cel::{Env, ObjectType, Type};
use generator::Generator;
use serde_json::{Value as Json, json};

/// The Pod that expressions are made for, as a schema would have it.
fn pod() -> Json {
    let container = json!({"object": "Container", "fields": {
        "name": "string",
        "image": "string",
        "args": {"list": "string"},
        "env": {"list": {"object": "Variable", "fields": {"name": "string", "value": "string"}}},
        "resources": {"object": "Resources", "fields": {
            "requests": {"map": "string"},
            "limits": {"map": "string"},
        }},
        "ports": {"list": {"object": "Port", "fields": {"containerPort": "int"}}},
        "securityContext": {"object": "SecurityContext", "fields": {
            "runAsNonRoot": "bool",
            "capabilities": {"object": "Capabilities", "fields": {"drop": {"list": "string"}}},
        }},
    }});
    json!({"object": "Pod", "fields": {
        "apiVersion": "string",
        "kind": "string",
        "metadata": {"object": "Metadata", "fields": {
            "name": "string",
            "namespace": "string",
            "labels": {"map": "string"},
            "annotations": {"map": {"list": "string"}},
            "creationTimestamp": "timestamp",
        }},
        "spec": {"object": "Spec", "fields": {
            "replicas": "int",
            "priority": "int",
            "terminationGracePeriodSeconds": "int",
            "serviceAccountName": "string",
            "ratio": "double",
            "foo": "string",
            "containers": {"list": container},
            "nodeSelector": {"map": "dyn"},
            "hostNetwork": "bool",
            "data": {"map": "bytes"},
            "grace": "duration",
        }},
        "status": {"object": "Status", "fields": {
            "phase": "string",
            "podIP": "string",
            "startTime": "timestamp",
        }},
    }})
}

/// A type as the oracle reads it (`conformance/oracle/estimate.go`).
fn declared(ty: &Json) -> Type {
    match ty {
        Json::String(name) => match name.as_str() {
            "bool" => Type::Bool,
            "bytes" => Type::Bytes,
            "double" => Type::Double,
            "duration" => Type::Duration,
            "dyn" => Type::Dyn,
            "int" => Type::Int,
            "string" => Type::String,
            "timestamp" => Type::Timestamp,
            "uint" => Type::Uint,
            "authorizer" => ObjectType::new("kubernetes.authorization.Authorizer", []),
            other => panic!("no type is called {other}"),
        },
        parts if parts["list"] != Json::Null => Type::list(declared(&parts["list"])),
        parts if parts["map"] != Json::Null => Type::map(declared(&parts["map"])),
        parts => {
            let fields = parts["fields"].as_object().unwrap();
            let fields = fields
                .iter()
                .map(|(name, ty)| (name.as_str(), declared(ty)));
            ObjectType::new(parts["object"].as_str().unwrap(), fields)
        }
    }
}

/// What is known before: the `estimate` of a request.
fn env(known: &Json) -> Env {
    match known["variables"].as_object() {
        None => admission::environment(bailiff_cel::NEWEST_RELEASE, Optional::default()),
        Some(variables) => Env::new(
            variables
                .iter()
                .map(|(name, ty)| (name.as_str(), declared(ty))),
        ),
    }
}

fn sizes(known: &Json) -> SizesByPath {
    let sizes = known["sizes"].as_object();
    let given = sizes.into_iter().flatten();
    given.fold(SizesByPath::default(), |sizes, (path, size)| {
        let (min, max) = (size[0].as_u64().unwrap(), size[1].as_u64().unwrap());
        sizes.within(path, Range { min, max })
    })
}

fn ours(env: &Env, sizes: &SizesByPath, expression: &str) -> Json {
    if env.compile(expression).is_err() {
        return json!("does not compile");
    }
    let Range { min, max } = env.estimate(expression, sizes).unwrap();
    json!({"min": min, "max": max})
}

fn theirs(known: &Json, expressions: &[String]) -> Vec<Json> {
    let lines: Vec<_> = expressions
        .iter()
        .map(|expr| json!({"expr": expr, "estimate": known}).to_string() + "\n")
        .collect();
    let estimated = |answer: Json| match answer.get("estimatedCost") {
        Some(estimate) => estimate.clone(),
        None if answer.get("compileError").is_some() => json!("does not compile"),
        None => answer,
    };
    let answers = answers::theirs(bailiff_cel::NEWEST_RELEASE, &lines.concat());
    let answers: Vec<_> = answers.into_iter().map(estimated).collect();
    assert_eq!(answers.len(), expressions.len());
    answers
}

/// Compares both engines; at least so many expressions must have an estimate.
fn compare(known: &Json, expressions: &[String], least: usize) {
    let (env, sizes) = (env(known), sizes(known));
    let mut faults = Vec::new();
    let mut estimated = 0;
    for (expression, theirs) in expressions.iter().zip(theirs(known, expressions)) {
        estimated += usize::from(theirs["max"].is_u64());
        let ours = ours(&env, &sizes, expression);
        if ours != theirs && !answers::not_compared(&theirs) {
            let text = format!("{expression}\n  ours   {ours}\n  theirs {theirs}");
            faults.push((expression.len(), text));
        }
    }
    eprintln!("{} expressions, {estimated} estimated", expressions.len());
    assert!(estimated >= least, "{estimated} are estimated");
    faults.sort();
    let number = faults.len();
    let shown: Vec<_> = faults.into_iter().take(20).map(|(_, text)| text).collect();
    assert!(
        shown.is_empty(),
        "{number} differ, the shortest:\n{}",
        shown.join("\n")
    );
}

/// Sizes of some of what lies in a Pod.
fn some_sizes() -> Json {
    json!({
        "object": [4, 4],
        "object.metadata.name": [1, 253],
        "object.metadata.labels": [0, 64],
        "object.metadata.labels.@keys": [1, 317],
        "object.spec.containers": [1, 20],
        "object.spec.containers.@items.image": [0, 255],
        "object.spec.containers.@items.ports": [0, 7],
        "oldObject": [0, 3],
    })
}

/// Sizes of everything in it.
fn all_sizes() -> Json {
    let mut sizes = some_sizes();
    for (path, min, max) in [
        ("object.metadata.namespace", 1, 63),
        ("object.metadata.labels.@values", 0, 63),
        ("object.metadata.annotations", 0, 5),
        ("object.metadata.annotations.@keys", 0, 30),
        ("object.metadata.annotations.@values", 2, 9),
        ("object.metadata.annotations.@values.@items", 3, 11),
        ("object.spec", 0, 9),
        ("object.spec.foo", 2, 17),
        ("object.spec.nodeSelector", 0, 6),
        ("object.spec.containers.@items", 1, 5),
        ("object.spec.containers.@items.name", 1, 63),
        ("object.spec.containers.@items.args", 0, 100),
        ("object.spec.containers.@items.args.@items", 0, 1000),
        ("object.spec.data", 0, 4),
        ("object.spec.data.@keys", 1, 8),
        ("object.spec.data.@values", 100, 2000),
    ] {
        sizes[path] = json!([min, max]);
    }
    sizes
}

/// What is known in each run, from nothing to everything.
fn knowledge() -> [(&'static str, Json); 5] {
    let variables = json!({"object": pod(), "oldObject": pod()});
    [
        ("nothing", json!({})),
        ("sizes", json!({"sizes": some_sizes()})),
        ("types", json!({"variables": variables})),
        (
            "types and some sizes",
            json!({"variables": variables, "sizes": some_sizes()}),
        ),
        (
            "types and sizes",
            json!({"variables": variables, "sizes": all_sizes()}),
        ),
    ]
}

#[test]
fn kept_expressions_are_estimated_the_same() {
    let kept = include_str!("expressions.txt");
    let own = include_str!("estimates.txt");
    let lines = kept.lines().chain(own.lines());
    let kept: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .map(str::to_owned)
        .collect();
    assert!(kept.len() > 300, "{} are kept", kept.len());
    for (what, known) in knowledge() {
        eprintln!("{what} known:");
        compare(&known, &kept, 100);
    }
}

#[test]
fn made_expressions_are_estimated_the_same() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let seed = number("SEED").unwrap_or(1);
    eprintln!("SEED={seed}");
    let mut generator = Generator::new(seed);
    let count = usize::try_from(number("EXPRESSIONS").unwrap_or(3_000)).unwrap();
    // What named expressions cost is no part of an estimate.
    let cases = std::iter::repeat_with(|| generator.case());
    let cases = cases.filter(|case| case.variables.is_empty());
    let mut expressions: Vec<_> = cases
        .take(count)
        .map(|case| case.expression.to_string())
        .collect();
    expressions.sort();
    expressions.dedup();
    for (what, known) in knowledge() {
        eprintln!("{what} known:");
        compare(&known, &expressions, expressions.len() / 4);
    }
}

#[test]
fn checks_of_rights_are_estimated_the_same() {
    let known = json!({
        "variables": {"authorizer": "authorizer", "self": "string", "n": "uint"},
        "sizes": {"self": [2, 30]},
    });
    let expressions = [
        "authorizer.group('apps').resource('deployments').check('get').allowed()",
        "authorizer.path('/healthz').check('get').reason() == self",
        "authorizer.serviceAccount(self, self).group('').resource('pods').namespace(self).name('x').check(self).errored()",
        "authorizer.group('').resource('pods').labelSelector(self).fieldSelector('a=b,c').check('list').error()",
        "authorizer == authorizer",
        "authorizer.path(self) == authorizer.path(self) || authorizer.path(self) != authorizer.path(self)",
    ];
    let expressions: Vec<_> = expressions.into_iter().map(str::to_owned).collect();
    compare(&known, &expressions, expressions.len());
}
