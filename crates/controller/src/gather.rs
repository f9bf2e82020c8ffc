//! Reads everything that a plan depends on, live and at once.
//!
//! Here: reads and their translation to facts. Not here: what follows from them.
//! Invariant: a failed read is `Unknown`; `Gone` is only what the API server answers 404 to, or
//! what can't be there; no name out of an Incident leads to another place than its own.

use crate::config::Config;
use bailiff_api::protection::{Difference, compare};
use bailiff_api::{Incident, LABELS_LIMIT, RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_kube::decode::{Decoded, Undecodable};
use bailiff_kube::owner::{Prefetch, is_name};
use bailiff_policy::MatchResources;
use bailiff_response::{
    BindingFacts, Facts, History, Lookup, NamespaceFacts, Owner, PodFacts, PolicyFacts, Protection,
    ViolationFacts, is_mirror, last_verdict,
};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, Client};
use std::collections::BTreeMap;

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// The facts of an Incident, without history, which the ledger adds.
pub(crate) async fn gather(client: &Client, config: &Config, incident: &Incident) -> Facts {
    let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
    let spaces = Api::<Decoded<Namespace>>::all(client.clone());
    let policies = Api::<Decoded<RuntimePolicy>>::all(client.clone());
    let protection_policies = Api::<Decoded<ValidatingAdmissionPolicy>>::all(client.clone());
    let protection_bindings = Api::<Decoded<ValidatingAdmissionPolicyBinding>>::all(client.clone());
    let protection_name = keys::INCIDENT_PROTECTION;
    let (pod_and_owner, space, policy, bindings, protection, confined_by) = futures::join!(
        pod_and_owner(client, namespace, incident),
        claimed(&spaces, namespace),
        claimed(&policies, &incident.spec.policy_ref.name),
        bindings(client, incident),
        claimed(&protection_policies, protection_name),
        claimed(&protection_bindings, protection_name),
    );
    let (pod, owner) = pod_and_owner;
    let none = Labels::new();
    let space_labels = match &space {
        Ok(Some(space)) => space.metadata.labels.as_ref().unwrap_or(&none),
        Ok(None) | Err(_) => &none,
    };
    let pod_labels = labels(incident, pod.as_ref().ok().and_then(Option::as_ref));
    // A selector that is not valid matches nothing: no answer is given on a guess.
    let matches = |selectors: &bailiff_api::MatchResources| {
        MatchResources::compile(selectors).is_ok_and(|m| m.matches(space_labels, &pod_labels))
    };
    Facts {
        violation: ViolationFacts::of(incident),
        pod: live("the pod", pod, |p| PodFacts::of(p, &config.namespace)),
        owner,
        policy: live("the policy", policy, |p| PolicyFacts {
            uid: p.metadata.uid.clone().unwrap_or_default(),
            generation: p.metadata.generation.unwrap_or_default(),
            matches: matches(&p.spec.match_constraints),
        }),
        bindings: match bindings {
            Ok(found) => Lookup::Found(
                found
                    .into_iter()
                    .map(|b| BindingFacts {
                        name: b.metadata.name.unwrap_or_default(),
                        uid: b.metadata.uid.unwrap_or_default(),
                        matches: matches(&b.spec.match_resources),
                        policy_name: b.spec.policy_name,
                        actions: b.spec.response_actions,
                        guardrails: b.spec.guardrails,
                        grace_period_seconds: b.spec.grace_period_seconds,
                    })
                    .collect(),
            ),
            Err(error) => Lookup::Failed(why("the bindings", &error)),
        },
        namespace: live("the namespace", space, |_| NamespaceFacts {
            exempt: config.exempt_namespaces.iter().any(|e| e == namespace),
        }),
        protection: match (protection, confined_by) {
            (Ok(policy), Ok(binding)) => {
                match compare(&config.namespace, policy.as_ref(), binding.as_ref()) {
                    Ok(()) => Protection::Unmodified,
                    Err(Difference::Missing) => Protection::Missing,
                    Err(Difference::Changed(what)) => Protection::Modified(what.to_owned()),
                }
            }
            (Err(error), _) | (_, Err(error)) => {
                Protection::Unknown(why("the protection of Incidents", &error))
            }
        },
        history: History::default(),
    }
}

/// Labels of the pod as seen at the violation. An Incident has no room for many: where some may
/// have been left out, the live pod's stand in, or a pod could have so many that no selector
/// finds it.
fn labels(incident: &Incident, live: Option<&Pod>) -> Labels {
    let seen = &incident.spec.pod;
    let mut labels = seen.labels.clone();
    let whole = !labels.is_empty() && labels.len() < LABELS_LIMIT;
    let same = live.filter(|pod| pod.metadata.uid.as_ref() == Some(&seen.uid));
    if let (false, Some(pod)) = (whole, same) {
        for (key, value) in pod.metadata.labels.iter().flatten() {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    labels
}

async fn pod_and_owner(
    client: &Client,
    namespace: &str,
    incident: &Incident,
) -> (Result<Option<Pod>, ReadError>, Owner) {
    let seen = &incident.spec.pod;
    let pods = Api::<Decoded<Pod>>::namespaced(client.clone(), namespace);
    let (pod, ahead) = futures::join!(
        claimed(&pods, &seen.name),
        Prefetch::of(client, namespace, &seen.name, &seen.labels),
    );
    let owner = match &pod {
        // A static pod's controller is its Node, which makes no pods by the API.
        Ok(Some(pod)) if is_mirror(pod) => Owner::None,
        Ok(Some(pod)) => match bailiff_kube::owner::workload_of(client, pod, ahead).await {
            Ok(Some(owner)) => Owner::Workload(owner),
            Ok(None) => Owner::None,
            Err(error) => Owner::Unknown(error.to_string()),
        },
        Ok(None) => Owner::None,
        Err(_) => Owner::Unknown("the pod could not be read".to_owned()),
    };
    (pod, owner)
}

/// The bindings of the last verdict that are there. One that cannot be decoded stands in the way of
/// no other: each is a grant of its own.
async fn bindings(
    client: &Client,
    incident: &Incident,
) -> Result<Vec<RuntimePolicyBinding>, ReadError> {
    let api = Api::<Decoded<RuntimePolicyBinding>>::all(client.clone());
    let (_, bindings) = last_verdict(incident);
    let reads = bindings.iter().map(|b| claimed(&api, &b.name));
    let mut found = Vec::new();
    let mut undecodable = None;
    for read in futures::future::join_all(reads).await {
        match read {
            Ok(binding) => found.extend(binding),
            Err(error @ ReadError::Undecodable(_)) => undecodable = Some(error),
            Err(error) => return Err(error),
        }
    }
    match undecodable {
        Some(error) if found.is_empty() => Err(error),
        Some(_) | None => Ok(found),
    }
}

/// Why an object could not be read.
#[derive(Debug)]
enum ReadError {
    Request(Box<kube::Error>),
    Undecodable(Undecodable),
}

/// The object of a name that an Incident claims. What is no name is nobody's.
async fn claimed<K>(api: &Api<Decoded<K>>, name: &str) -> Result<Option<K>, ReadError>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    if !is_name(name) {
        return Ok(None);
    }
    let read = api.get_opt(name).await;
    match read.map_err(|error| ReadError::Request(Box::new(error)))? {
        None => Ok(None),
        Some(decoded) => decoded
            .into_result()
            .map(Some)
            .map_err(ReadError::Undecodable),
    }
}

fn live<K, T>(
    what: &str,
    read: Result<Option<K>, ReadError>,
    facts: impl Fn(&K) -> T,
) -> Lookup<T> {
    match read {
        Ok(Some(object)) => Lookup::Found(facts(&object)),
        Ok(None) => Lookup::NotFound,
        Err(error) => Lookup::Failed(why(what, &error)),
    }
}

fn why(what: &str, error: &ReadError) -> String {
    match error {
        ReadError::Undecodable(undecodable) => format!("cannot decode {what}: {undecodable}"),
        ReadError::Request(error) => match &**error {
            kube::Error::Api(status) => format!("cannot read {what}: {}", status.message),
            _ => format!("cannot read {what}: the API server does not answer"),
        },
    }
}

#[cfg(test)]
mod tests;
