//! Every expression over an object with a schema has the same value, type, cost, error or
//! compiler's message as with the API server's own engine (`conformance/oracle`).
//!
//! `BAILIFF_CEL_ORACLE` names its program, as `hack/oracle.sh` prints it; `SEED` makes others,
//! `TYPED_EXPRESSIONS` says how many are made for each object.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a panic is the report of a test"
)]

#[path = "engines/answers.rs"]
mod answers;
mod schemas;

use answers::{alike, comparable, kind, not_compared, theirs};
use bailiff_cel::admission::{
    BUDGET, Bindings, KindToCheck, Optional, TypeCheck, typed_environment,
};
use bailiff_cel::schema::{Declaration, Document, GroupVersionKind, Schema};
use bailiff_cel::{Env, Evaluation, NEWEST_RELEASE};
use schemas::Walker;
use serde::Deserialize as _;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// An object and its schema, for both engines.
struct Subject {
    kind: GroupVersionKind,
    schema: Schema,
    /// What the API server publishes of the same schema.
    published: Json,
    object: Json,
}

impl Subject {
    fn deployment() -> Self {
        let published: Json =
            serde_json::from_str(include_str!("schemas/deployment.openapi.json")).unwrap();
        let kind = GroupVersionKind::parse("apps/v1/Deployment").unwrap();
        let document = Document::new(published.clone()).unwrap();
        Self {
            schema: document.schema(&kind).unwrap(),
            kind,
            published,
            object: serde_json::from_str(include_str!("schemas/deployment.json")).unwrap(),
        }
    }

    fn gadget() -> Self {
        let text = include_str!("schemas/gadget.crd.yaml");
        let crd = Json::deserialize(serde_yaml_ng::Deserializer::from_str(text)).unwrap();
        let kind = GroupVersionKind::parse("example.dev/v1/Gadget").unwrap();
        let schema = Document::new(crd.clone()).unwrap().schema(&kind).unwrap();
        let deployment = Self::deployment();
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        let mut components = deployment.published["components"]["schemas"].clone();
        let mut own = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        // What the API server adds when it publishes it.
        let metadata = json!({"allOf": [{"$ref": format!("#/components/schemas/{meta}")}]});
        own["properties"]["metadata"] = metadata.clone();
        let template = &mut own["properties"]["spec"]["properties"]["template"];
        template["properties"]["metadata"] = metadata;
        template["properties"]["apiVersion"] = json!({"type": "string"});
        template["properties"]["kind"] = json!({"type": "string"});
        template["required"] = json!(["kind", "apiVersion"]);
        own["x-kubernetes-group-version-kind"] =
            json!([{"group": "example.dev", "version": "v1", "kind": "Gadget"}]);
        components["dev.example.v1.Gadget"] = own;
        Self {
            kind,
            schema,
            published: json!({"components": {"schemas": components}}),
            object: serde_json::from_str(include_str!("schemas/gadget.json")).unwrap(),
        }
    }

    fn declaration(&self) -> Declaration {
        self.schema.declaration(&self.kind.kind).unwrap()
    }

    fn defined(&self) -> Json {
        let GroupVersionKind {
            group,
            version,
            kind,
        } = &self.kind;
        json!({
            "name": kind,
            "document": self.published,
            "kind": {"group": group, "version": version, "kind": kind},
        })
    }

    /// The object as it was before: lists the other way around, an entry gone here and there.
    fn old_object(&self) -> Json {
        let mut old = self.object.clone();
        turn(&mut old);
        old
    }

    fn ours(&self, expressions: &[String]) -> Vec<Json> {
        let declaration = self.declaration();
        let env = typed_environment(NEWEST_RELEASE, declaration.ty(), Optional::default());
        let old = self.old_object();
        let bindings = self.bindings(&old);
        expressions
            .iter()
            .map(|text| answer(&env, &bindings, text))
            .collect()
    }

    fn walker(&self, seed: u64) -> Walker {
        let declaration = self.declaration();
        let env = typed_environment(NEWEST_RELEASE, declaration.ty(), Optional::default());
        let old = self.old_object();
        let bindings = self.bindings(&old);
        let leads = |way: &str| answer(&env, &bindings, way).get("value").is_some();
        Walker::new(&declaration, leads, seed)
    }

    fn bindings<'a>(&'a self, old: &'a Json) -> Bindings<'a> {
        Bindings {
            object: Some(&self.object),
            old_object: Some(old),
            schema: Some(&self.schema),
            ..Bindings::default()
        }
    }

    fn theirs(&self, expressions: &[String]) -> Vec<Json> {
        let bindings = json!({"object": self.object, "oldObject": self.old_object()});
        let mut lines = vec![json!({"expr": "1", "schema": self.defined()})];
        lines.extend(
            expressions
                .iter()
                .map(|expr| json!({"expr": expr, "schema": self.kind.kind, "bindings": bindings})),
        );
        let mut answers = oracle(&lines);
        assert_eq!(answers.remove(0)["value"], 1);
        answers
    }
}

/// Turns lists around, and takes the seventh entry of each object away.
fn turn(json: &mut Json) {
    match json {
        Json::Array(elements) => {
            elements.reverse();
            elements.iter_mut().for_each(turn);
        }
        Json::Object(entries) => {
            if let Some(gone) = entries.keys().nth(6).cloned() {
                entries.remove(&gone);
            }
            entries.values_mut().for_each(turn);
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn answer(env: &Env, bindings: &Bindings<'_>, text: &str) -> Json {
    let program = match env.compile(text) {
        Ok(program) => program,
        Err(error) => return json!({"compileError": error.issues()}),
    };
    let mut evaluation = Evaluation::new(env, bindings, BUDGET);
    let outcome = evaluation.run(&program);
    let cost = evaluation.spent();
    let declared = program.result_type().declared_name();
    match outcome {
        Ok(value) => json!({
            "value": value.to_json(), "type": value.type_name(), "staticType": declared, "cost": cost,
        }),
        Err(error) => json!({"error": error.to_string(), "staticType": declared, "cost": cost}),
    }
}

/// What the API server's own engine answers to these lines.
fn oracle(lines: &[Json]) -> Vec<Json> {
    let lines: Vec<_> = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut answers = theirs(NEWEST_RELEASE, &lines.concat());
    for answer in &mut answers {
        answer.as_object_mut().unwrap().remove("id");
    }
    answers
}

fn compare(subject: &Subject, expressions: &[String]) {
    let (ours, theirs) = (subject.ours(expressions), subject.theirs(expressions));
    assert_eq!(
        (ours.len(), theirs.len()),
        (expressions.len(), expressions.len())
    );
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for ((expression, ours), theirs) in expressions.iter().zip(&ours).zip(&theirs) {
        let (a, b) = (comparable(ours), comparable(theirs));
        *kinds.entry(kind(theirs)).or_default() += 1;
        if !alike(ours, theirs) && !not_compared(theirs) {
            let text = format!("{expression}\n  ours   {a}\n  theirs {b}");
            faults.push((expression.len(), text));
        }
    }
    eprintln!(
        "{} over {}: {kinds:?}",
        expressions.len(),
        subject.kind.path()
    );
    faults.sort();
    let shown: Vec<_> = faults
        .iter()
        .take(30)
        .map(|(_, text)| text.as_str())
        .collect();
    assert!(
        shown.is_empty(),
        "{} differ, the shortest:\n{}",
        faults.len(),
        shown.join("\n")
    );
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn made(subject: &Subject) {
    let seed = number("SEED", 1);
    eprintln!("SEED={seed}");
    let mut walker = subject.walker(seed);
    assert!(walker.ways() > 200, "{} ways", walker.ways());
    let count = number("TYPED_EXPRESSIONS", 3_000);
    let mut expressions: Vec<_> = (0..count).map(|_| walker.expression()).collect();
    expressions.sort();
    expressions.dedup();
    compare(subject, &expressions);
}

#[test]
fn made_expressions_over_a_deployment_are_the_same() {
    made(&Subject::deployment());
}

#[test]
fn made_expressions_over_a_custom_resource_are_the_same() {
    made(&Subject::gadget());
}

#[test]
fn kept_expressions_over_a_custom_resource_are_the_same() {
    let kept: Vec<_> = include_str!("schemas/kept.txt")
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    assert!(kept.len() > 100, "{} are kept", kept.len());
    compare(&Subject::gadget(), &kept);
}

/// Every type, the most elements of its values, and the fewest bytes.
#[test]
fn types_have_the_bounds_that_the_api_server_gives_them() {
    for subject in [Subject::deployment(), Subject::gadget()] {
        let mut ours = serde_json::Map::new();
        bounds(&subject.kind.kind, &subject.declaration(), &mut ours);
        let mut theirs = oracle(&[json!({"bounds": subject.defined()})]);
        let theirs = theirs.remove(0)["bounds"].as_object().unwrap().clone();
        assert!(ours.len() > 60, "{} types", ours.len());
        for (way, theirs) in &theirs {
            assert_eq!(ours.get(way), Some(theirs), "{way}");
        }
        assert_eq!(ours.len(), theirs.len());
    }
}

fn bounds(way: &str, declaration: &Declaration, found: &mut serde_json::Map<String, Json>) {
    let ty = declaration.ty().declared_name();
    let (most, least) = (
        declaration.max_elements(),
        declaration.min_serialized_size(),
    );
    found.insert(way.to_owned(), json!([ty, most, least]));
    if let Some(key) = declaration.key() {
        bounds(&format!("{way}.@keys"), key, found);
    }
    if let Some(element) = declaration.element() {
        bounds(&format!("{way}.@elements"), element, found);
    }
    for (name, field) in declaration.fields() {
        bounds(&format!("{way}.{name}"), field, found);
    }
}

/// The warnings of a policy about two kinds, with variables and parameters.
#[test]
fn policies_are_warned_of_in_the_same_words() {
    let (deployment, gadget) = (Subject::deployment(), Subject::gadget());
    let variables = [
        ("replicas", "object.spec.replicas"),
        ("broken", "object.spec.replica"),
        ("many", "variables.replicas > 3"),
        ("constant", "int('a')"),
    ];
    let validations = [
        ("object.spec.replicas > 3", None),
        (
            "object.spec.replica > 3",
            Some("'has ' + object.metadata.nam"),
        ),
        (
            "variables.many && variables.replicas == 'x'",
            Some("variables.broken + 1"),
        ),
        ("variables.broken.anything == 1", None),
        ("params.spec.size > 1 && params.spec.siz > 1", Some("")),
        (
            "authorizer.group('').resource('pods').check('get').allowed()",
            None,
        ),
        ("authorizer.foo('')", None),
        (
            "object.spec == oldObject.spec && object.metadata == 1",
            None,
        ),
        ("request.kind.group == '' && request.foo == 1", None),
        (
            "namespaceObject.metadata.namespace == object.metadata.namespace",
            None,
        ),
        ("1 +", None),
        ("int('a') > variables.constant", None),
    ];
    let policy = |params: bool| {
        let mut policy = json!({
            "spec": {
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": ["apps", "example.dev"], "apiVersions": ["v1"], "resources": ["deployments", "gadgets"]},
                ]},
                "variables": variables.map(|(name, expression)| json!({"name": name, "expression": expression})),
                "validations": validations.map(|(expression, message)| json!({"expression": expression, "messageExpression": message})),
            },
        });
        if params {
            policy["spec"]["paramKind"] = json!({"apiVersion": "example.dev/v1", "kind": "Gadget"});
        }
        policy
    };
    let (one, two) = (to_check(&deployment), to_check(&gadget));
    for params in [false, true] {
        let check = TypeCheck {
            variables: variables.to_vec(),
            validations: validations.to_vec(),
            kinds: vec![one, two],
            params: params.then_some(Some(two)),
        };
        let ours: Vec<_> = check
            .warnings()
            .into_iter()
            .map(|warning| json!({"fieldRef": warning.field_ref, "warning": warning.warning}))
            .collect();
        let asked = json!({"document": gadget.published, "policy": policy(params)});
        let theirs = oracle(&[json!({"typeCheck": asked})]).remove(0);
        let theirs = theirs["warnings"].as_array().unwrap().clone();
        let plain = |warnings: &[Json]| -> Vec<Json> {
            let syntax = |w: &&Json| !w["warning"].as_str().unwrap().contains("Syntax error");
            warnings.iter().filter(syntax).cloned().collect()
        };
        assert!(theirs.len() >= 8, "{theirs:#?}");
        assert_eq!(plain(&ours), plain(&theirs));
        let fields = |warnings: &[Json]| -> Vec<Json> {
            warnings.iter().map(|w| w["fieldRef"].clone()).collect()
        };
        assert_eq!(fields(&ours), fields(&theirs));
    }
}

fn to_check(subject: &Subject) -> KindToCheck<'_> {
    KindToCheck {
        kind: &subject.kind,
        schema: &subject.schema,
    }
}
