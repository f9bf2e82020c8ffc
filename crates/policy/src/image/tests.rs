//! One verdict in two forms: that of [`evaluate::written`], and that of the rendered policy in the engine of
//! `bailiff-cel`, in the oldest and the newest release of Kubernetes.

mod agreement;
mod bindings;
mod cost;
mod decisions;
mod sentences;
mod validations;

use super::*;
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding};
use bailiff_cel::admission::{BUDGET, Bindings, Optional, environment};
use bailiff_cel::{Evaluation, NEWEST_RELEASE, OLDEST_RELEASE, Value};
use serde_json::{Value as Json, json};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A policy with this spec.
fn source(spec: &Json) -> ImageAdmissionPolicy {
    serde_json::from_value(json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "ImageAdmissionPolicy",
        "metadata": {"name": "our-registry"}, "spec": spec,
    }))
    .unwrap()
}

fn compiled(spec: &Json) -> CompiledImagePolicy {
    compile(&source(spec)).unwrap()
}

/// A pod whose containers have these images.
fn pod(references: &[&str]) -> Json {
    let containers: Vec<_> = references
        .iter()
        .enumerate()
        .map(|(at, image)| json!({"name": format!("c{at}"), "image": image}))
        .collect();
    json!({"metadata": {"name": "web"}, "spec": {"containers": containers}})
}

/// The messages of [`evaluate::written`].
fn evaluated(policy: &CompiledImagePolicy, pod: &Json, old: Option<&Json>) -> Vec<String> {
    let violations = evaluate::written(policy, &evaluate::parse(&images(pod, old)));
    violations.into_iter().map(|v| v.message).collect()
}

/// The messages of the rendered policy, in a release.
fn rendered(
    compiled: &CompiledImagePolicy,
    pod: &Json,
    old: Option<&Json>,
    release: u32,
) -> Vec<String> {
    let rendered = policy(compiled, &Exemptions::default());
    let spec = rendered.spec.unwrap();
    let mut env = environment(release, Optional::default());
    for variable in spec.variables.unwrap() {
        env.define(&variable.name, &variable.expression)
            .unwrap_or_else(|error| panic!("{}: {error}", variable.expression));
    }
    let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
    let request = json!({"operation": operation, "userInfo": {"username": "jane", "groups": ["system:authenticated"]}});
    let bindings = Bindings {
        object: Some(pod),
        old_object: old,
        request: Some(&request),
        ..Bindings::default()
    };
    let compile = |text: String| {
        let program = env.compile(&text);
        program.unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let condition = compile(spec.match_conditions.unwrap().remove(0).expression);
    let validations: Vec<_> = spec
        .validations
        .unwrap()
        .into_iter()
        .map(|v| {
            (
                compile(v.expression),
                compile(v.message_expression.unwrap()),
            )
        })
        .collect();
    let mut evaluation = Evaluation::new(&env, &bindings, BUDGET);
    assert_eq!(evaluation.run(&condition), Ok(Value::Bool(true)));
    let mut messages = Vec::new();
    for (validation, message) in &validations {
        messages.push(match evaluation.run(validation) {
            Ok(Value::Bool(true)) => continue,
            Ok(Value::Bool(false)) => match evaluation.run(message) {
                Ok(Value::String(text)) => text.to_string(),
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        });
    }
    messages
}

/// The messages of both forms, which must be the same.
fn denials(compiled: &CompiledImagePolicy, pod: &Json, old: Option<&Json>) -> Vec<String> {
    let evaluated = evaluated(compiled, pod, old);
    for release in [OLDEST_RELEASE, NEWEST_RELEASE] {
        assert_eq!(
            rendered(compiled, pod, old, release),
            evaluated,
            "1.{release}: {pod}"
        );
    }
    evaluated
}
