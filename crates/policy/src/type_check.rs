//! What a policy is warned of: expressions that do not fit the schema of a Pod.
//!
//! Here: the Pod's type, and the warnings in the words of a `ValidatingAdmissionPolicy`
//! (`bailiff_cel::admission`). Not here: what keeps a policy from running (`compile`), where
//! warnings are shown.
//! Invariant: a warning changes no verdict: policies are evaluated without the schema.

use crate::compile::environment;
use bailiff_api::{ExpressionWarning, RuntimePolicy, TypeChecking};
use bailiff_cel::admission::expression_warnings;
use bailiff_cel::schema::{Document, GroupVersionKind, SchemaError};
use bailiff_cel::{Env, Type};
use k8s_openapi::api::core::v1::Pod;
use schemars::generate::SchemaSettings;
use serde_json::json;
use std::sync::OnceLock;

/// Longest warning, in bytes: a status with the most of them has to fit into an object.
const WARNING_LIMIT: usize = 4096;

fn pod_kind() -> GroupVersionKind {
    GroupVersionKind {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Pod".to_owned(),
    }
}

/// The type of a Pod, of the newest release that is known here.
pub(crate) fn pod_type() -> Result<Type, SchemaError> {
    pod().clone()
}

fn pod() -> &'static Result<Type, SchemaError> {
    static POD: OnceLock<Result<Type, SchemaError>> = OnceLock::new();
    POD.get_or_init(|| {
        let mut generator = SchemaSettings::openapi3().into_generator();
        generator.subschema_for::<Pod>();
        let mut schemas = generator.take_definitions(true);
        if let Some(pod) = schemas.get_mut("io.k8s.api.core.v1.Pod") {
            pod["x-kubernetes-group-version-kind"] =
                json!([{"group": "", "version": "v1", "kind": "Pod"}]);
        }
        let document = Document::new(json!({"components": {"schemas": schemas}}))?;
        let declaration = document.schema(&pod_kind())?.declaration("Pod");
        Ok(declaration.map_or(Type::Dyn, |declaration| declaration.ty().clone()))
    })
}

/// Checks the expressions of a policy that compiles against the schema of a Pod.
///
/// # Errors
/// Where the Pod's schema can't be read.
pub fn type_check(policy: &RuntimePolicy) -> Result<TypeChecking, SchemaError> {
    let mut env = environment(pod_type()?);
    let spec = &policy.spec;
    for variable in &spec.variables {
        // As in admission: a fault of a variable is not said, and what uses it is not known.
        drop(env.define(&variable.name, &variable.expression));
    }
    let validations: Vec<_> = spec
        .validations
        .iter()
        .map(|v| (v.expression.as_str(), v.message_expression.as_deref()))
        .collect();
    Ok(warnings(env, &validations))
}

/// The warnings of validations in an environment, each of an expression and perhaps a message expression.
pub(crate) fn warnings(env: Env, validations: &[(&str, Option<&str>)]) -> TypeChecking {
    let found = expression_warnings(&[(&pod_kind(), env)], validations);
    let expression_warnings = found.into_iter().map(|mut found| {
        if found.warning.len() > WARNING_LIMIT {
            let end = found.warning.floor_char_boundary(WARNING_LIMIT);
            found.warning.truncate(end);
        }
        ExpressionWarning {
            field_ref: found.field_ref,
            warning: found.warning,
        }
    });
    TypeChecking {
        expression_warnings: expression_warnings.collect(),
    }
}
