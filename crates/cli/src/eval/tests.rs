//! The output for people and programs, word for word.

use super::{EvalArgs, run};
use clap::Parser as _;
use serde_json::{Value as Json, json};
use std::io::Cursor;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    eval: EvalArgs,
}

fn eval(arguments: &[&str], input: &str) -> (bool, String) {
    let line = Line::try_parse_from([&["eval"], arguments].concat()).unwrap();
    let mut out = Vec::new();
    let all = run(&line.eval, &mut Cursor::new(input), &mut out).unwrap();
    (all, String::from_utf8(out).unwrap())
}

const DEPLOYMENT: &str = "
kind: Deployment
metadata: {name: web}
spec: {replicas: 5, paused: false}
";

#[test]
fn a_value_has_its_type_and_its_cost() {
    assert_eq!(
        eval(&["object.spec.replicas > 3", "-f", "-"], DEPLOYMENT),
        (
            true,
            "value  true\ntype   bool\ncost   4 of 1000000\n".to_owned()
        )
    );
    assert_eq!(
        eval(&["object.spec.replicas", "-f", "-"], DEPLOYMENT).1,
        "value  5\ntype   int (declared type dyn)\ncost   3 of 1000000\n"
    );
}

#[test]
fn a_mutation_that_cannot_be_applied_is_an_error() {
    let mutation = "Object{spec: Object.spec{selector: Object.spec.wrong{}}}";
    let fault = "type mismatch: unexpected type name \"Object.spec.wrong\", expected \"Object.spec.selector\", which matches field name path from root Object type";
    let text = format!(
        "value  {{\"spec\":{{\"selector\":{{}}}}}}\ntype   Object\nerror  cannot apply the mutation: {fault}\ncost   120 of 1000000\n"
    );
    assert_eq!(eval(&["--mutation", mutation], ""), (false, text));
    let (applied, out) = eval(&["--mutation", "-o", "json", mutation], "");
    let out: Json = serde_json::from_str(&out).unwrap();
    assert_eq!((applied, &out["mutationError"]), (false, &json!(fault)));
}

#[test]
fn a_type_check_reports_type_and_estimated_cost() {
    for (expression, words) in [
        ("1 + 2", "int\nestimated cost  1"),
        ("[1, 2].all(x, x > 1)", "bool\nestimated cost  17 to 21"),
        (
            "object.spec.replicas.all(x, x > 1)",
            "bool\nestimated cost  2 to unbounded",
        ),
    ] {
        let text = format!("type            {words}\n");
        assert_eq!(eval(&["--type-check", expression], ""), (true, text));
    }
    let (_, out) = eval(&["--type-check", "-o", "json", "size(object)"], "");
    let out: Json = serde_json::from_str(&out).unwrap();
    let wanted = json!({"staticType": "int", "estimatedCost": {"min": 2, "max": 2}});
    assert_eq!(out, wanted);
    let all = ["--type-check", "-o", "json", "object.all(x, x)"];
    let out: Json = serde_json::from_str(&eval(&all, "").1).unwrap();
    assert_eq!(out["estimatedCost"]["max"], u64::MAX);
}

#[test]
fn several_documents_are_evaluated_one_by_one() {
    let two = format!("{DEPLOYMENT}---\nkind: Pod\nmetadata: {{name: db}}\nspec: {{}}\n");
    assert_eq!(
        eval(&["has(object.spec.replicas)", "-f", "-"], &two),
        (
            true,
            "Deployment web\nvalue  true\ntype   bool\ncost   2 of 1000000\nPod db\nvalue  false\ntype   bool\ncost   2 of 1000000\n".to_owned()
        )
    );
}

#[test]
fn a_document_without_a_kind_or_a_name_has_its_number() {
    let three = "a: 1\n---\nkind: Pod\n---\nmetadata: {name: db}\n";
    assert_eq!(
        eval(&["1", "-f", "-"], three).1,
        "document 1\nvalue  1\ntype   int\ncost   0 of 1000000\nPod (document 2)\nvalue  1\ntype   int\ncost   0 of 1000000\ndocument 3\nvalue  1\ntype   int\ncost   0 of 1000000\n"
    );
}

#[test]
fn a_variable_that_exists_elsewhere_or_with_a_flag_has_a_hint() {
    let of_policies = "process and container are variables of RuntimePolicies, which `bailiff eval` does not know. To check a policy, apply it without a binding and read its condition Ready.\n";
    for (expression, name, column, hint) in [
        ("process.uid == 0", "process", 1, of_policies),
        ("!(container.name == 'a')", "container", 3, of_policies),
        (
            "params.limit",
            "params",
            1,
            "To use params, set --params FILE.\n",
        ),
        (
            "authorizer.path('/').check('get').allowed()",
            "authorizer",
            1,
            "To use authorizer, set --authorizer FILE.\n",
        ),
    ] {
        let caret = format!("{:.>column$}", "^");
        assert_eq!(
            eval(&[expression], ""),
            (
                false,
                format!(
                    "the expression does not compile:\n1:{column}: undeclared reference to '{name}' (in container '')\n | {expression}\n | {caret}\n{hint}"
                )
            )
        );
    }
    // Once, however often the variables are used.
    let (_, out) = eval(&["process.uid == 0 && container.name == process.x"], "");
    assert_eq!(out.matches(of_policies).count(), 1, "{out}");
}

#[test]
fn variables_without_a_name_are_an_error() {
    assert_eq!(
        eval(&["variables == variables", "--variable", "n=1"], "").1,
        "error  variables cannot be used without a name\ncost   3 of 1000000\n"
    );
}

#[test]
fn a_missing_key_has_a_suggestion() {
    assert_eq!(
        eval(&["object.spec.replica > 3", "-f", "-"], DEPLOYMENT),
        (
            false,
            "error  no such key: replica; did you mean 'replicas'?\ncost   4 of 1000000\n"
                .to_owned()
        )
    );
}

#[test]
fn a_compile_error_has_its_position_and_a_suggestion() {
    assert_eq!(
        eval(&["objekt.spec"], ""),
        (
            false,
            "the expression does not compile:\n1:1: undeclared reference to 'objekt' (in container ''); did you mean 'object'?\n | objekt.spec\n | ^\n".to_owned()
        )
    );
    let (_, out) = eval(&["request.kind.grup == ''", "-o", "json"], "");
    let out: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(
        out["compileError"],
        "ERROR: <input>:1:13: undefined field 'grup'\n | request.kind.grup == ''\n | ............^"
    );
}

#[test]
fn the_cost_of_variables_counts() {
    let arguments = [
        "variables.n + 1",
        "--variable",
        "n=object.spec.replicas",
        "-f",
        "-",
    ];
    assert_eq!(
        eval(&arguments, DEPLOYMENT).1,
        "value  6\ntype   int\ncost   6 of 1000000\n"
    );
}

#[test]
fn functions_are_those_of_the_release() {
    let expression = "[1, 2].includes(1)";
    assert!(eval(&[expression], "").0);
    let (compiles, out) = eval(&[expression, "--kubernetes-version", "1.36"], "");
    assert!(
        !compiles && out.contains("undeclared reference to 'includes'"),
        "{out}"
    );
    let line = Line::try_parse_from(["eval", "1", "--kubernetes-version", "1.20"]).unwrap();
    let error = run(&line.eval, &mut Cursor::new(""), &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot use Kubernetes version 1.20: must be 1.30 to 1.37"
    );
}

#[test]
fn a_batch_has_a_result_for_each_line_in_order() {
    let input = [
        json!({"id": 1, "expr": "object.n + 1", "bindings": {"object": {"n": 1}}}),
        json!({"id": "b", "expr": "1 +"}),
        json!({"id": 3, "expr": "1 / 0"}),
        json!({"id": 4, "expr": "params.x", "bindings": {"params": {"x": [1.5]}}}),
        json!({"id": 5, "expr": "params.x"}),
        json!({"id": 6, "expr": "variables.a + variables.a", "variables": [{"name": "a", "expression": "duration('1h')"}]}),
        json!({"id": 7, "expr": "[1, 2, 3].all(x, x > 0)", "budget": 3}),
        json!({"id": 8, "expr": "true", "bindings": {"pod": {}}}),
        json!({"id": 9}),
    ];
    let lines: Vec<_> = input.iter().map(ToString::to_string).collect();
    let (_, out) = eval(&["--batch"], &format!("{}\nnot json\n", lines.join("\n")));
    let results: Vec<Json> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        results[0],
        json!({"id": 1, "value": 2, "type": "int", "staticType": "int", "cost": 3})
    );
    assert_eq!(results[1]["id"], "b");
    assert!(results[1]["compileError"].is_string());
    assert_eq!(
        results[2],
        json!({"id": 3, "error": "division by zero", "staticType": "int", "cost": 1})
    );
    assert_eq!(results[3]["value"], json!([1.5]));
    assert!(
        results[4]["compileError"]
            .as_str()
            .unwrap()
            .contains("undeclared reference to 'params'")
    );
    assert_eq!(results[5]["value"], "2h0m0s");
    assert_eq!(
        results[6]["error"],
        "validation failed due to running out of cost budget, no further validation rules will be run"
    );
    assert_eq!(
        results[7]["inputError"],
        "cannot bind pod: must be one of object, oldObject, request, params, namespaceObject, authorizer"
    );
    assert_eq!(
        results[8]["inputError"],
        "missing field `expr` at line 1 column 8"
    );
    assert!(results[9]["inputError"].is_string());
    assert_eq!(results.len(), 10);
}

fn schema(name: &str) -> String {
    format!("{}/tests/schemas/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn fails(arguments: &[&str], input: &str) -> String {
    let line = Line::try_parse_from([&["eval"], arguments].concat()).unwrap();
    let error = run(&line.eval, &mut Cursor::new(input), &mut Vec::new()).unwrap_err();
    let here = format!("{}/tests/schemas/", env!("CARGO_MANIFEST_DIR"));
    error.to_string().replace(&here, "")
}

const TYPED_DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, creationTimestamp: '2026-05-01T10:00:00Z'}
spec: {replicas: 5, strategy: {rollingUpdate: {maxSurge: 25%}}}
";

#[test]
fn a_schema_finds_an_unknown_field_before_the_evaluation() {
    let apps = schema("deployment.openapi.json");
    let with = |expression| {
        eval(
            &[expression, "-f", "-", "--schema", &apps],
            TYPED_DEPLOYMENT,
        )
    };
    assert_eq!(
        with("object.spec.replica > 3"),
        (
            false,
            "the expression does not compile for apps/v1/Deployment:\n1:12: undefined field 'replica'; did you mean 'replicas'?\n | object.spec.replica > 3\n | ...........^\n".to_owned()
        )
    );
    assert_eq!(
        with("object.spec.replicas > 3"),
        (
            true,
            "value  true\ntype   bool\ncost   4 of 1000000\n".to_owned()
        )
    );
    // A point in time, not text; text or number, and so known only at run time.
    assert_eq!(
        with("object.metadata.creationTimestamp").1,
        "value  \"2026-05-01T10:00:00Z\"\ntype   google.protobuf.Timestamp\ncost   3 of 1000000\n"
    );
    assert_eq!(
        with("object.spec.strategy.rollingUpdate.maxSurge").1,
        "value  \"25%\"\ntype   string (declared type dyn)\ncost   5 of 1000000\n"
    );
}

#[test]
fn a_custom_resource_is_checked_against_its_definition() {
    let crd = schema("gadget.crd.yaml");
    let arguments = |expression, kind| {
        let check = ["--type-check", "--schema", &crd, "--kind", kind];
        eval(&[&[expression], &check[..]].concat(), "")
    };
    assert_eq!(
        arguments("object.spec.tags + ['x']", "example.dev/v1/Gadget"),
        (
            true,
            "kind            example.dev/v1/Gadget\n\
             type            list(string)\n\
             estimated cost  14\n"
                .to_owned()
        )
    );
    // The schema allows ten tags.
    let (_, out) = arguments("object.spec.tags.all(t, t != 'x')", "example.dev/v1/Gadget");
    assert!(out.ends_with("estimated cost  4 to 54\n"), "{out}");
    // The second version describes nothing but what every object has.
    let (fits, out) = arguments(
        "object.metadata.labels.app == object.spec",
        "example.dev/v2/Gadget",
    );
    assert!(!fits && out.contains("undefined field 'spec'"), "{out}");
}

#[test]
fn objects_of_several_kinds_have_a_schema_each() {
    let apps = schema("deployment.openapi.json");
    let check = ["-f", "-", "--type-check", "-o", "json", "--schema", &apps];
    let (_, out) = eval(
        &[&["object.metadata.generation"], &check[..]].concat(),
        TYPED_DEPLOYMENT,
    );
    assert_eq!(
        serde_json::from_str::<Json>(&out).unwrap(),
        json!({
            "kind": "apps/v1/Deployment",
            "staticType": "int",
            "estimatedCost": {"min": 3, "max": 3},
        })
    );
    let two = format!("{TYPED_DEPLOYMENT}---\napiVersion: v1\nkind: Pod\n");
    assert_eq!(
        fails(&["true", "-f", "-", "--schema", &apps], &two),
        "cannot use deployment.openapi.json: there is no schema of v1/Pod; there are apps/v1/Deployment"
    );
}

#[test]
fn the_schema_is_never_guessed() {
    let (apps, crd) = (schema("deployment.openapi.json"), schema("gadget.crd.yaml"));
    let check = |file: &str, more: &[&str], input: &str| {
        fails(&[&["true", "--schema", file], more].concat(), input)
    };
    for (file, more, input, words) in [
        (
            &crd,
            &[][..],
            "",
            "cannot choose a schema from gadget.crd.yaml: the file contains several kinds; set --kind, or provide an object with -f",
        ),
        (
            &apps,
            &["-f", "-"],
            "spec: {}",
            "cannot choose a schema from deployment.openapi.json: the object has no apiVersion and kind; set --kind",
        ),
        (
            &apps,
            &["--kind", "Deployment"],
            "",
            "cannot use kind \"Deployment\": must have the form GROUP/VERSION/KIND, such as apps/v1/Deployment or v1/Pod",
        ),
        (
            &apps,
            &["--kind", "apps/v1beta1/Deployment"],
            "",
            "cannot use deployment.openapi.json: there is no schema of apps/v1beta1/Deployment; did you mean apps/v1/Deployment?",
        ),
    ] {
        assert_eq!(check(file, more, input), words);
    }
    assert_eq!(
        check(&schema("deployment.json"), &[], ""),
        "cannot read deployment.json: it is neither a CustomResourceDefinition nor an OpenAPI v3 document, as `kubectl get --raw /openapi/v3/apis/apps/v1` prints it"
    );
}

#[test]
fn the_static_authorizer_decides() {
    let rules = "
rules:
- {users: [jane], verbs: [create], apiGroups: [''], resources: [pods], decision: Allow, reason: she may}
- {nonResourceURLs: [/healthz], decision: Failed, error: it is away}
";
    let check = "authorizer.group('').resource('pods').check('create')";
    let reason = |check: &str| {
        let source = format!("{check}.reason() + ' ' + {check}.error()");
        let (_, told) = eval(&[&source, "--authorizer", "-"], rules);
        told.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        reason(check),
        "value  \"no rule matches user= verb=create group= resource=pods namespace= name= \""
    );
    assert_eq!(
        reason("authorizer.path('/healthz').check('get')"),
        "value  \" it is away\""
    );
    let line = json!({
        "expr": format!("{check}.allowed()"),
        "bindings": {
            "request": {"userInfo": {"username": "jane"}},
            "authorizer": {"rules": [{"users": ["jane"], "decision": "Allow"}]},
        },
    });
    let result: Json = serde_json::from_str(&eval(&["--batch"], &line.to_string()).1).unwrap();
    assert_eq!(
        (&result["value"], &result["cost"]),
        (&json!(true), &json!(350_004))
    );
    let line = json!({"expr": "1", "bindings": {"authorizer": {"rules": [{"decision": "Maybe"}]}}});
    let result: Json = serde_json::from_str(&eval(&["--batch"], &line.to_string()).1).unwrap();
    let error = result["inputError"].as_str().unwrap();
    assert!(error.contains("unknown variant `Maybe`"), "{error}");
}
