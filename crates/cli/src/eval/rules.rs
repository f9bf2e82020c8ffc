//! A static authorizer, so that expressions that check permissions can be evaluated without a cluster.
//!
//! Here: the rules and the decision of the first matching one. Not here: the CEL functions that call
//! the authorizer (`bailiff_cel`).
//! Invariant: the first matching rule decides; if none matches, the decision is `NoOpinion`.

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

/// What a rule matches and its decision. A missing list matches everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    users: Option<Vec<String>>,
    verbs: Option<Vec<String>>,
    api_groups: Option<Vec<String>>,
    /// A subresource is written as `deployments/scale`.
    resources: Option<Vec<String>>,
    namespaces: Option<Vec<String>>,
    resource_names: Option<Vec<String>>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Option<Vec<String>>,
    decision: RuleDecision,
    #[serde(default)]
    reason: String,
    /// Error of the check. Used only if the decision is `Failed`.
    #[serde(default)]
    error: String,
}

/// Names of the decisions.
#[derive(Clone, Copy, Debug, Deserialize)]
enum RuleDecision {
    Allow,
    Deny,
    NoOpinion,
    Failed,
}

impl Rule {
    fn matches(&self, user: &str, attributes: &Attributes<'_>) -> bool {
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
            RuleDecision::Allow => Decision::Allowed(reason),
            RuleDecision::Deny => Decision::Denied(reason),
            RuleDecision::NoOpinion => Decision::NoOpinion(reason),
            RuleDecision::Failed => Decision::Failed {
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

/// The rules, applied to the user of a request.
#[derive(Debug)]
pub(super) struct StaticAuthorizer<'a> {
    rules: &'a Rules,
    user: String,
}

impl<'a> StaticAuthorizer<'a> {
    /// Takes the user from the request; without a request, the name is empty.
    pub(super) fn new(rules: &'a Rules, request: Option<&Json>) -> Self {
        let user = request.and_then(|request| request["userInfo"]["username"].as_str());
        let user = user.unwrap_or_default().to_owned();
        Self { rules, user }
    }
}

impl Authorizer for StaticAuthorizer<'_> {
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
            .find(|r| r.matches(&user, attributes));
        rule.map_or_else(
            || Decision::NoOpinion(no_match(&user, attributes)),
            Rule::decision,
        )
    }
}

/// The reason if no rule matches.
fn no_match(user: &str, attributes: &Attributes<'_>) -> String {
    let verb = attributes.verb;
    match attributes.target {
        Target::Path(path) => format!("no rule matches user={user} verb={verb} path={path}"),
        Target::Resource(resource) => format!(
            "no rule matches user={user} verb={verb} group={} resource={} namespace={} name={}",
            resource.group,
            full(resource),
            resource.namespace,
            resource.name
        ),
    }
}
