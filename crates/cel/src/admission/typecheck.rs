//! What a `ValidatingAdmissionPolicy` is warned of: expressions that do not fit the schemas of
//! the kinds that it is about.
//!
//! Here: the check and its words (k8s.io/apiserver v0.37.2,
//! pkg/admission/plugin/policy/validating/typechecking.go). Not here: which kinds a policy is
//! about, where their schemas come from.
//! Invariant: a kind without a schema is not warned of; a fault of a variable is said by nobody,
//! and what uses the variable is checked as if its type were not known.

use super::variables;
use crate::env::{Env, NEWEST_RELEASE};
use crate::schema::{GroupVersionKind, Schema};
use crate::types::{AUTHORIZER, ObjectType, Type};

/// A kind that a policy is about.
#[derive(Clone, Copy, Debug)]
pub struct KindToCheck<'a> {
    /// Which kind.
    pub kind: &'a GroupVersionKind,
    /// Its schema.
    pub schema: &'a Schema,
}

/// A policy to check.
#[derive(Clone, Debug, Default)]
pub struct TypeCheck<'a> {
    /// Name and expression of each variable (`spec.variables`).
    pub variables: Vec<(&'a str, &'a str)>,
    /// Expression, and message expression where there is one, of each of `spec.validations`.
    pub validations: Vec<(&'a str, Option<&'a str>)>,
    /// The kinds that it is about, whose schemas are known, in the order of group, version and
    /// kind.
    pub kinds: Vec<KindToCheck<'a>>,
    /// Whether it has a `paramKind`, and the schema of it where that is known.
    pub params: Option<Option<KindToCheck<'a>>>,
}

/// A warning, as `status.typeChecking.expressionWarnings` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionWarning {
    /// The field of the expression: `spec.validations[0].expression`.
    pub field_ref: String,
    /// What is wrong, for each kind that it is wrong for.
    pub warning: String,
}

/// The warnings of validations, each of an expression and perhaps a message expression, in an
/// environment for each kind.
#[must_use]
pub fn expression_warnings(
    environments: &[(&GroupVersionKind, Env)],
    validations: &[(&str, Option<&str>)],
) -> Vec<ExpressionWarning> {
    let mut warnings = Vec::new();
    for (index, (expression, message)) in validations.iter().enumerate() {
        let message = message.filter(|text| !text.is_empty());
        let fields = [
            ("expression", Some(*expression)),
            ("messageExpression", message),
        ];
        for (field, text) in fields {
            let Some(text) = text else { continue };
            let faults: Vec<_> = environments
                .iter()
                .filter_map(|(kind, env)| {
                    let error = env.check(text).err()?;
                    Some(format!("{kind}: {}\n", error.issues()))
                })
                .collect();
            if !faults.is_empty() {
                warnings.push(ExpressionWarning {
                    field_ref: format!("spec.validations[{index}].{field}"),
                    warning: faults.join("\n"),
                });
            }
        }
    }
    warnings
}

impl TypeCheck<'_> {
    /// The warnings, in the order of the expressions.
    #[must_use]
    pub fn warnings(&self) -> Vec<ExpressionWarning> {
        let environments: Vec<_> = self
            .kinds
            .iter()
            .map(|kind| (kind.kind, self.environment(kind)))
            .collect();
        expression_warnings(&environments, &self.validations)
    }

    /// What the expressions see where the object is of this kind.
    fn environment(&self, kind: &KindToCheck<'_>) -> Env {
        let params = self.params.map(|params| params.map_or(Type::Dyn, type_of));
        let mut variables = variables(&type_of(*kind), params);
        let authorizer = ObjectType::abstract_type(AUTHORIZER);
        variables.push(("authorizer", authorizer));
        // Policies are checked with the functions that stored ones have.
        let mut env = Env::for_release(NEWEST_RELEASE, variables);
        for (name, expression) in &self.variables {
            env.define_type(name, expression);
        }
        env
    }
}

/// The type of a kind; one whose schema has none is not known before it is evaluated.
fn type_of(kind: KindToCheck<'_>) -> Type {
    kind.schema
        .declaration(&kind.kind.kind)
        .map_or(Type::Dyn, |declaration| declaration.ty().clone())
}
