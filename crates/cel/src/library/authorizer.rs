//! The authorizer's functions, as far as they are declared (k8s.io/apiserver,
//! pkg/cel/library/authz.go).
//!
//! Here: their types, so that an expression that has no authorizer is refused in the API server's
//! words. Not here: asking; no variable of these types is declared yet.
//! Invariant: none of them is ever called.

use super::{Outcome, Row, no_overload};
use crate::value::Value;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "path", run: never, overloads: &[("authorizer_path", "authorizer.(string) -> pathcheck")] },
    Row { name: "group", run: never, overloads: &[("authorizer_group", "authorizer.(string) -> groupcheck")] },
    Row { name: "serviceAccount", run: never, overloads: &[("authorizer_serviceaccount", "authorizer.(string, string) -> authorizer")] },
    Row { name: "resource", run: never, overloads: &[("groupcheck_resource", "groupcheck.(string) -> resourcecheck")] },
    Row { name: "subresource", run: never, overloads: &[("resourcecheck_subresource", "resourcecheck.(string) -> resourcecheck")] },
    Row { name: "namespace", run: never, overloads: &[("resourcecheck_namespace", "resourcecheck.(string) -> resourcecheck")] },
    Row { name: "name", run: never, overloads: &[("resourcecheck_name", "resourcecheck.(string) -> resourcecheck")] },
    Row { name: "check", run: never, overloads: &[("pathcheck_check", "pathcheck.(string) -> decision"), ("resourcecheck_check", "resourcecheck.(string) -> decision")] },
    Row { name: "errored", run: never, overloads: &[("decision_errored", "decision.() -> bool")] },
    Row { name: "error", run: never, overloads: &[("decision_error", "decision.() -> string")] },
    Row { name: "allowed", run: never, overloads: &[("decision_allowed", "decision.() -> bool")] },
    Row { name: "reason", run: never, overloads: &[("decision_reason", "decision.() -> string")] },
];

/// Since Kubernetes 1.31.
#[rustfmt::skip]
pub(super) const SELECTORS: &[Row] = &[
    Row { name: "fieldSelector", run: never, overloads: &[("authorizer_fieldselector", "resourcecheck.(string) -> resourcecheck")] },
    Row { name: "labelSelector", run: never, overloads: &[("authorizer_labelselector", "resourcecheck.(string) -> resourcecheck")] },
];

fn never<'a>(_: &[Value<'a>]) -> Outcome<'a> {
    no_overload()
}
