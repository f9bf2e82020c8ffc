//! Who may do what, as an expression asks for it.
//!
//! Here: the question, the answer, and the trait of whoever answers. Not here: the functions of the
//! language (`library::authorizer`), any way to an API server.
//! Invariant: what could not be checked is not allowed.

use std::fmt;

/// Answers questions about rights, by a `SubjectAccessReview` or otherwise. An expression asks at
/// most three times before its limit of cost ends it.
pub trait Authorizer: Sync {
    /// Whether the subject may do this.
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision;
}

impl fmt::Debug for dyn Authorizer + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authorizer")
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Who would do it.
    pub subject: &'a Subject,
    /// `get`, `create` and the like; of a path the HTTP method.
    pub verb: &'a str,
    /// What it would be done to.
    pub target: &'a Target,
}

/// Who would do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The user of the request that is judged.
    Requester,
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What something would be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A path that is no resource, such as `/healthz`.
    Path(String),
    /// A resource, in any version.
    Resource(Resource),
}

/// A resource that something would be done to. What is empty is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// The API group; empty is the core group.
    pub group: String,
    /// The plural name, such as `deployments`.
    pub resource: String,
    /// Such as `scale`.
    pub subresource: String,
    /// The namespace; empty is the whole cluster.
    pub namespace: String,
    /// The name of one object.
    pub name: String,
    /// Of the fields of the objects, as it was written. One that can't be read does not narrow the
    /// question, as if there were none.
    pub field_selector: String,
    /// Of the labels of the objects; the same holds.
    pub label_selector: String,
}

/// What the answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is allowed, and why.
    Allowed(String),
    /// It is denied, and why.
    Denied(String),
    /// Nobody said that it is allowed, and why not; it is not.
    NoOpinion(String),
    /// It could not be checked, so it is not allowed.
    Failed {
        /// Why it could not be checked.
        error: String,
        /// What else is known.
        reason: String,
    },
}
