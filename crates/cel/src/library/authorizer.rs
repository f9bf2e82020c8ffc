//! Rights (k8s.io/apiserver v0.37.2, pkg/cel/library/authz.go).
//!
//! Here: who asks what, put together step by step, and the decision. Not here: who answers
//! ([`crate::authorizer`]), what asking costs (`cost`).
//! Invariant: nothing is asked but by `check`, and each `check` asks once.

use super::{Outcome, Row, fail, formats, no_overload};
use crate::authorizer::{Attributes, Authorizer, Decision, Resource, Subject, Target};
use crate::types;
use crate::value::Value;
use std::sync::Arc;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "path", run: path, overloads: &[("authorizer_path", "authorizer.(string) -> pathcheck")] },
    Row { name: "group", run: group, overloads: &[("authorizer_group", "authorizer.(string) -> groupcheck")] },
    Row { name: "serviceAccount", run: service_account, overloads: &[("authorizer_serviceaccount", "authorizer.(string, string) -> authorizer")] },
    Row { name: "resource", run: resource, overloads: &[("groupcheck_resource", "groupcheck.(string) -> resourcecheck")] },
    Row { name: "subresource", run: |a| narrowed(a, |r, text| r.subresource = text), overloads: &[("resourcecheck_subresource", "resourcecheck.(string) -> resourcecheck")] },
    Row { name: "namespace", run: |a| narrowed(a, |r, text| r.namespace = text), overloads: &[("resourcecheck_namespace", "resourcecheck.(string) -> resourcecheck")] },
    Row { name: "name", run: |a| narrowed(a, |r, text| r.name = text), overloads: &[("resourcecheck_name", "resourcecheck.(string) -> resourcecheck")] },
    Row { name: "check", run: check, overloads: &[("pathcheck_check", "pathcheck.(string) -> decision"), ("resourcecheck_check", "resourcecheck.(string) -> decision")] },
    Row { name: "errored", run: errored, overloads: &[("decision_errored", "decision.() -> bool")] },
    Row { name: "error", run: error, overloads: &[("decision_error", "decision.() -> string")] },
    Row { name: "allowed", run: allowed, overloads: &[("decision_allowed", "decision.() -> bool")] },
    Row { name: "reason", run: reason, overloads: &[("decision_reason", "decision.() -> string")] },
];

/// Since Kubernetes 1.31.
#[rustfmt::skip]
pub(super) const SELECTORS: &[Row] = &[
    Row { name: "fieldSelector", run: |a| narrowed(a, |r, text| r.field_selector = text), overloads: &[("authorizer_fieldselector", "resourcecheck.(string) -> resourcecheck")] },
    Row { name: "labelSelector", run: |a| narrowed(a, |r, text| r.label_selector = text), overloads: &[("authorizer_labelselector", "resourcecheck.(string) -> resourcecheck")] },
];

/// A question about rights that is put together, or its answer.
#[derive(Clone, Debug)]
pub enum Authorization<'a> {
    /// Somebody who would do something.
    Authorizer(Asking<'a>),
    /// A path that something would be done to.
    Path(Asking<'a>, Target),
    /// An API group.
    Group(Asking<'a>, String),
    /// A resource that something would be done to.
    Resource(Asking<'a>, Resource),
    /// The answer.
    Decision(Decision),
}

/// Who is asked about whom.
#[derive(Clone, Debug)]
pub struct Asking<'a> {
    pub(crate) authorizer: &'a dyn Authorizer,
    pub(crate) subject: Subject,
}

impl Authorization<'_> {
    /// The name of its type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Authorizer(_) => types::AUTHORIZER,
            Self::Path(..) => types::PATH_CHECK,
            Self::Group(..) => types::GROUP_CHECK,
            Self::Resource(..) => types::RESOURCE_CHECK,
            Self::Decision(_) => types::DECISION,
        }
    }
}

fn made(authorization: Authorization<'_>) -> Value<'_> {
    Value::Authorization(Arc::new(authorization))
}

/// The question and the text of a call with one of each.
fn parts<'v, 'a>(arguments: &'v [Value<'a>]) -> Option<(&'v Authorization<'a>, &'v str)> {
    match arguments {
        [Value::Authorization(authorization), Value::String(text)] => Some((authorization, text)),
        _ => None,
    }
}

fn path<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match parts(arguments) {
        Some((Authorization::Authorizer(_), path)) if path.trim().is_empty() => {
            fail("path must not be empty")
        }
        Some((Authorization::Authorizer(asking), path)) => {
            let target = Target::Path(path.to_owned());
            Ok(made(Authorization::Path(asking.clone(), target)))
        }
        _ => no_overload(),
    }
}

fn group<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match parts(arguments) {
        Some((Authorization::Authorizer(asking), group)) => {
            Ok(made(Authorization::Group(asking.clone(), group.to_owned())))
        }
        _ => no_overload(),
    }
}

fn service_account<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [
        Value::Authorization(authorization),
        Value::String(namespace),
        Value::String(name),
    ] = arguments
    else {
        return no_overload();
    };
    let Authorization::Authorizer(asking) = &**authorization else {
        return no_overload();
    };
    if !formats::is_dns_subdomain(name) {
        return fail("Invalid service account name");
    }
    if !formats::is_dns_label(namespace) {
        return fail("Invalid service account namespace");
    }
    Ok(made(Authorization::Authorizer(Asking {
        authorizer: asking.authorizer,
        subject: Subject::ServiceAccount {
            namespace: (**namespace).to_owned(),
            name: (**name).to_owned(),
        },
    })))
}

fn resource<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match parts(arguments) {
        Some((Authorization::Group(..), resource)) if resource.trim().is_empty() => {
            fail("resource must not be empty")
        }
        Some((Authorization::Group(asking, group), resource)) => {
            let resource = Resource {
                group: group.clone(),
                resource: resource.to_owned(),
                ..Resource::default()
            };
            Ok(made(Authorization::Resource(asking.clone(), resource)))
        }
        _ => no_overload(),
    }
}

/// A resource with one more of its parts set.
fn narrowed<'a>(arguments: &[Value<'a>], set: fn(&mut Resource, String)) -> Outcome<'a> {
    match parts(arguments) {
        Some((Authorization::Resource(asking, resource), text)) => {
            let mut resource = resource.clone();
            set(&mut resource, text.to_owned());
            Ok(made(Authorization::Resource(asking.clone(), resource)))
        }
        _ => no_overload(),
    }
}

fn check<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let resource_target;
    let (asking, target, verb) = match parts(arguments) {
        Some((Authorization::Path(asking, target), verb)) => (asking, target, verb),
        Some((Authorization::Resource(asking, resource), verb)) => {
            resource_target = Target::Resource(resource.clone());
            (asking, &resource_target, verb)
        }
        _ => return no_overload(),
    };
    let decision = asking.authorizer.authorize(&Attributes {
        subject: &asking.subject,
        verb,
        target,
    });
    Ok(made(Authorization::Decision(decision)))
}

fn decision<'v>(arguments: &'v [Value<'_>]) -> Option<&'v Decision> {
    match arguments {
        [Value::Authorization(authorization)] => match &**authorization {
            Authorization::Decision(decision) => Some(decision),
            _ => None,
        },
        _ => None,
    }
}

fn allowed<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    decision(arguments).map_or_else(no_overload, |decision| {
        Ok(Value::Bool(matches!(decision, Decision::Allowed(_))))
    })
}

fn errored<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    decision(arguments).map_or_else(no_overload, |decision| {
        Ok(Value::Bool(matches!(decision, Decision::Failed { .. })))
    })
}

fn error<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    decision(arguments).map_or_else(no_overload, |decision| {
        Ok(Value::from(match decision {
            Decision::Failed { error, .. } => error.clone(),
            Decision::Allowed(_) | Decision::Denied(_) | Decision::NoOpinion(_) => String::new(),
        }))
    })
}

fn reason<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    decision(arguments).map_or_else(no_overload, |decision| {
        let (Decision::Allowed(reason)
        | Decision::Denied(reason)
        | Decision::NoOpinion(reason)
        | Decision::Failed { reason, .. }) = decision;
        Ok(Value::from(reason.clone()))
    })
}
