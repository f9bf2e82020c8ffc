//! The environment of admission policies: which variables an expression has there, and their
//! types.
//!
//! Here: `object`, `oldObject`, `request`, `params`, `namespaceObject`, `authorizer`
//! (k8s.io/apiserver v0.37.2, pkg/admission/plugin/cel/compile.go), over JSON. Not here: what a
//! policy is, who answers questions about rights, what expressions are warned of (`typecheck`).
//! Invariant: `params` and `authorizer` are declared only where there may be some.

mod typecheck;

pub use crate::message::mutation_fault;
pub use typecheck::{ExpressionWarning, KindToCheck, TypeCheck, expression_warnings};

use crate::authorizer::{Authorizer, Resource, Subject};
use crate::env::Env;
use crate::library::Authorization;
use crate::library::authorizer::Asking;
use crate::schema::Schema;
use crate::types::{AUTHORIZER, ObjectType, RESOURCE_CHECK, Type};
use crate::value::{Activation, GoType, Value};
use serde_json::Value as Json;
use std::sync::Arc;

/// What all expressions of a policy together may cost for one request (k8s.io/apiserver v0.37.2,
/// pkg/apis/cel/config.go, `RuntimeCELCostBudget`).
pub const BUDGET: u64 = 10_000_000;

/// What an expression of an admission policy sees. What is not there is `null`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bindings<'a> {
    /// The object of the request.
    pub object: Option<&'a Json>,
    /// The object as it was before.
    pub old_object: Option<&'a Json>,
    /// The namespace of the object.
    pub namespace_object: Option<&'a Json>,
    /// The request itself.
    pub request: Option<&'a Json>,
    /// The parameters of the binding.
    pub params: Option<&'a Json>,
    /// Who knows what the user of the request may do.
    pub authorizer: Option<&'a dyn Authorizer>,
    /// What `object` and `oldObject` are read through, where they are declared with its type.
    pub schema: Option<&'a Schema>,
}

impl<'a> Bindings<'a> {
    fn read(&self, bound: Option<&'a Json>) -> Value<'a> {
        match (bound, self.schema) {
            (None, _) => Value::Null,
            (Some(json), None) => Value::from_json(json),
            (Some(json), Some(schema)) => schema.value(json),
        }
    }

    fn asking(&self) -> Option<Asking<'a>> {
        self.authorizer.map(|authorizer| Asking {
            authorizer,
            subject: Subject::Requester,
        })
    }

    /// What the request would do something to, as the API server was asked for it: before a
    /// conversion to another version (pkg/cel/library/authz.go, `NewResourceAuthorizerVal`).
    fn requested(&self) -> Resource {
        let text = |json: Option<&Json>| json.and_then(Json::as_str).unwrap_or_default().to_owned();
        let request = |field: &str| self.request.and_then(|request| request.get(field));
        let of_resource = |field: &str| {
            let resource = request("requestResource").or_else(|| request("resource"));
            text(resource.and_then(|resource| resource.get(field)))
        };
        Resource {
            group: of_resource("group"),
            resource: of_resource("resource"),
            subresource: text(request(if request("requestResource").is_some() {
                "requestSubResource"
            } else {
                "subResource"
            })),
            namespace: text(request("namespace")),
            name: text(request("name")),
            ..Resource::default()
        }
    }
}

impl Activation for Bindings<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        match slot {
            0 => Some(self.read(self.object)),
            1 => Some(self.read(self.old_object)),
            2 => Some(self.namespace_object.map_or(Value::Null, namespace_object)),
            3 => {
                let request = |json| GoType::Request.value(json);
                Some(self.request.map_or(Value::Null, request))
            }
            4 => Some(self.params.map_or(Value::Null, Value::from_json)),
            5 => {
                let authorization = Authorization::Authorizer(self.asking()?);
                Some(Value::Authorization(Arc::new(authorization)))
            }
            6 => {
                let authorization = Authorization::Resource(self.asking()?, self.requested());
                Some(Value::Authorization(Arc::new(authorization)))
            }
            _ => None,
        }
    }
}

/// A Namespace as `namespaceObject`: the API server has it as Go's own type, whose lists and objects
/// can't be compared with values of another type.
#[must_use]
pub fn namespace_object(json: &Json) -> Value<'_> {
    GoType::Namespace.value(json)
}

/// Which variables there are beside those that always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Optional {
    /// `params`.
    pub params: bool,
    /// `authorizer` and `authorizer.requestResource`.
    pub authorizer: bool,
    /// The types of a `MutatingAdmissionPolicy`, which an expression of one makes its changes of:
    /// `Object`, `Object.spec` and so on, `JSONPatch`; and `jsonpatch.escapeKey`. Named expressions do
    /// without them (k8s.io/apiserver v0.37.2, pkg/admission/plugin/policy/mutating/compilation.go).
    pub mutation: bool,
}

/// The environment of admission policies in a minor release of Kubernetes 1.
#[must_use]
pub fn environment(minor: u32, optional: Optional) -> Env {
    typed_environment(minor, &Type::Dyn, optional)
}

/// The same, with a type for `object` and `oldObject`: of a [`crate::schema::Declaration`], whose
/// schema stands in the [`Bindings`].
#[must_use]
pub fn typed_environment(minor: u32, object: &Type, optional: Optional) -> Env {
    let mut variables = variables(object, optional.params.then_some(Type::Dyn));
    if optional.authorizer {
        if !optional.params {
            // No name in an expression can be this; it keeps the place.
            variables.push(("@params", Type::Dyn));
        }
        variables.push(("authorizer", ObjectType::abstract_type(AUTHORIZER)));
        let resource = ObjectType::abstract_type(RESOURCE_CHECK);
        variables.push(("authorizer.requestResource", resource));
    }
    let mut env = Env::for_release(minor, variables);
    env.mutation = optional.mutation;
    env
}

/// The variables that always are, and `params`, in the order of the slots of [`Bindings`].
fn variables(object: &Type, params: Option<Type>) -> Vec<(&'static str, Type)> {
    let mut variables = vec![
        ("object", object.clone()),
        ("oldObject", object.clone()),
        ("namespaceObject", namespace()),
        ("request", request()),
    ];
    variables.extend(params.map(|ty| ("params", ty)));
    variables
}

fn strings<'a>(names: &[&'a str]) -> Vec<(&'a str, Type)> {
    names.iter().map(|name| (*name, Type::String)).collect()
}

fn request() -> Type {
    let kind = ObjectType::new(
        "kubernetes.GroupVersionKind",
        strings(&["group", "version", "kind"]),
    );
    let resource = ObjectType::new(
        "kubernetes.GroupVersionResource",
        strings(&["group", "version", "resource"]),
    );
    let list = || Type::list(Type::String);
    let user = ObjectType::new(
        "kubernetes.UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", list()),
            ("extra", Type::map(list())),
        ],
    );
    ObjectType::new(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Type::String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

fn namespace() -> Type {
    let list = || Type::list(Type::String);
    let labels = || Type::map(Type::String);
    let spec = ObjectType::new("kubernetes.NamespaceSpec", [("finalizers", list())]);
    let condition = ObjectType::new(
        "kubernetes.NamespaceCondition",
        [
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let status = ObjectType::new(
        "kubernetes.NamespaceStatus",
        [
            ("conditions", Type::list(condition)),
            ("phase", Type::String),
        ],
    );
    let metadata = ObjectType::new(
        "kubernetes.NamespaceMetadata",
        [
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", labels()),
            ("annotations", labels()),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", list()),
        ],
    );
    ObjectType::new(
        "kubernetes.Namespace",
        [("metadata", metadata), ("spec", spec), ("status", status)],
    )
}
