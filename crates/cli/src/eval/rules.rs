//! Rules that stand in for a cluster's authorizer, so that expressions which ask for rights can be
//! tried without one.
//!
//! Here: the rules, and the decision that they lead to. Not here: the functions that ask
//! (`bailiff_cel`).
//! Invariant: the first rule that is for a question decides; where there is none, there is no opinion.

use bailiff_cel::authorizer::{Attributes, Authorizer, Decision, Resource, Subject, Target};
use serde::Deserialize;
use serde_json::Value as Json;

/// The rules.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    #[serde(default)]
    rules: Vec<Rule>,
}

/// What a rule is for, and what it decides. A list that is not there is for all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    users: Option<Vec<String>>,
    verbs: Option<Vec<String>>,
    api_groups: Option<Vec<String>>,
    /// With a subresource as `deployments/scale`.
    resources: Option<Vec<String>>,
    namespaces: Option<Vec<String>>,
    resource_names: Option<Vec<String>>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Option<Vec<String>>,
    decision: Word,
    #[serde(default)]
    reason: String,
    /// Why it could not be checked, when the decision is `Failed`.
    #[serde(default)]
    error: String,
}

/// The decisions by their names.
#[derive(Clone, Copy, Debug, Deserialize)]
enum Word {
    Allow,
    Deny,
    NoOpinion,
    Failed,
}

impl Rule {
    fn is_for(&self, user: &str, attributes: &Attributes<'_>) -> bool {
        let among = |list: &Option<Vec<String>>, text: &str| {
            list.as_ref()
                .is_none_or(|list| list.iter().any(|known| known == "*" || known == text))
        };
        let of_target = match attributes.target {
            Target::Path(path) => {
                self.resources.is_none()
                    && self.api_groups.is_none()
                    && among(&self.non_resource_urls, path)
            }
            Target::Resource(resource) => {
                self.non_resource_urls.is_none()
                    && among(&self.api_groups, &resource.group)
                    && among(&self.resources, &full(resource))
                    && among(&self.namespaces, &resource.namespace)
                    && among(&self.resource_names, &resource.name)
            }
        };
        of_target && among(&self.users, user) && among(&self.verbs, attributes.verb)
    }

    fn decision(&self) -> Decision {
        let reason = self.reason.clone();
        match self.decision {
            Word::Allow => Decision::Allowed(reason),
            Word::Deny => Decision::Denied(reason),
            Word::NoOpinion => Decision::NoOpinion(reason),
            Word::Failed => Decision::Failed {
                error: self.error.clone(),
                reason,
            },
        }
    }
}

/// A resource with its subresource.
fn full(resource: &Resource) -> String {
    if resource.subresource.is_empty() {
        return resource.resource.clone();
    }
    format!("{}/{}", resource.resource, resource.subresource)
}

/// The rules for the user of a request.
#[derive(Debug)]
pub(super) struct Fixed<'a> {
    rules: &'a Rules,
    user: String,
}

impl<'a> Fixed<'a> {
    /// The user is that of the request; without one it has no name.
    pub(super) fn new(rules: &'a Rules, request: Option<&Json>) -> Self {
        let user = request.and_then(|request| request["userInfo"]["username"].as_str());
        let user = user.unwrap_or_default().to_owned();
        Self { rules, user }
    }
}

impl Authorizer for Fixed<'_> {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let user = match attributes.subject {
            Subject::Requester => self.user.clone(),
            Subject::ServiceAccount { namespace, name } => {
                format!("system:serviceaccount:{namespace}:{name}")
            }
        };
        let rule = self
            .rules
            .rules
            .iter()
            .find(|r| r.is_for(&user, attributes));
        rule.map_or_else(
            || Decision::NoOpinion(asked(&user, attributes)),
            Rule::decision,
        )
    }
}

/// What no rule is for.
fn asked(user: &str, attributes: &Attributes<'_>) -> String {
    let verb = attributes.verb;
    match attributes.target {
        Target::Path(path) => format!("no rule is for user={user} verb={verb} path={path}"),
        Target::Resource(resource) => format!(
            "no rule is for user={user} verb={verb} group={} resource={} namespace={} name={}",
            resource.group,
            full(resource),
            resource.namespace,
            resource.name
        ),
    }
}
