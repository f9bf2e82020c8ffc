//! Reads everything that a plan depends on, live and at once.
//!
//! Here: reads and their translation to facts. Not here: what follows from them.
//! Invariant: a failed read is `Unknown`; only the API server's 404 is `Gone`.

use crate::config::Config;
use bailiff_api::confinement::{Difference, compare};
use bailiff_api::{Incident, RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_kube::owner::ReadAhead;
use bailiff_policy::MatchResources;
use bailiff_response::{
    BindingFacts, Confinement, Facts, History, Live, NamespaceFacts, Owner, PodFacts, PolicyFacts,
    ViolationFacts,
};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, Client};
use std::collections::BTreeMap;

/// The facts of an Incident, without history, which the ledger adds.
pub(crate) async fn gather(client: &Client, config: &Config, incident: &Incident) -> Facts {
    let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
    let (spaces, policies, confinement_policies, confinement_bindings) = (
        Api::<Namespace>::all(client.clone()),
        Api::<RuntimePolicy>::all(client.clone()),
        Api::<ValidatingAdmissionPolicy>::all(client.clone()),
        Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()),
    );
    let (pod_and_owner, space, policy, bindings, confinement, confined_by) = futures::join!(
        pod_and_owner(client, config, namespace, incident),
        spaces.get_opt(namespace),
        policies.get_opt(&incident.spec.policy.name),
        bindings(client, incident),
        confinement_policies.get_opt(keys::CONFINEMENT_POLICY),
        confinement_bindings.get_opt(keys::CONFINEMENT_BINDING),
    );
    let (pod, owner) = pod_and_owner;
    let labels = match &space {
        Ok(Some(space)) => space.metadata.labels.clone().unwrap_or_default(),
        Ok(None) | Err(_) => BTreeMap::new(),
    };
    Facts {
        violation: ViolationFacts::of(incident),
        pod,
        owner,
        policy: live("the policy", policy, |p| PolicyFacts {
            uid: p.metadata.uid.clone().unwrap_or_default(),
            generation: p.metadata.generation.unwrap_or_default(),
        }),
        bindings: match bindings {
            Ok(found) => Live::Found(
                found
                    .iter()
                    .map(|b| binding(b, incident, &labels))
                    .collect(),
            ),
            Err(error) => Live::Unknown(why("the bindings", &error)),
        },
        namespace: live("the namespace", space, |_| NamespaceFacts {
            exempt: config.exempt_namespaces.iter().any(|e| e == namespace),
        }),
        confinement: match (confinement, confined_by) {
            (Ok(policy), Ok(binding)) => {
                match compare(&config.namespace, policy.as_ref(), binding.as_ref()) {
                    Ok(()) => Confinement::InPlace,
                    Err(Difference::Missing) => Confinement::Missing,
                    Err(Difference::Changed(what)) => Confinement::Changed(what.to_owned()),
                }
            }
            (Err(error), _) | (_, Err(error)) => {
                Confinement::Unknown(why("the confinement of Incidents", &error))
            }
        },
        history: History::default(),
    }
}

async fn pod_and_owner(
    client: &Client,
    config: &Config,
    namespace: &str,
    incident: &Incident,
) -> (Live<PodFacts>, Owner) {
    let seen = &incident.spec.pod;
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let (pod, ahead) = futures::join!(
        pods.get_opt(&seen.name),
        ReadAhead::of(client, namespace, &seen.name, &seen.labels),
    );
    let owner = match &pod {
        Ok(Some(pod)) => match bailiff_kube::owner::top(client, pod, ahead).await {
            Ok(Some(owner)) => Owner::Workload(owner),
            Ok(None) => Owner::None,
            Err(error) => Owner::Unknown(error.to_string()),
        },
        Ok(None) => Owner::None,
        Err(_) => Owner::Unknown("the pod could not be read".to_owned()),
    };
    (
        live("the pod", pod, |p| PodFacts::of(p, &config.namespace)),
        owner,
    )
}

async fn bindings(
    client: &Client,
    incident: &Incident,
) -> Result<Vec<RuntimePolicyBinding>, kube::Error> {
    let api = Api::<RuntimePolicyBinding>::all(client.clone());
    let reads = incident.spec.bindings.iter().map(|b| api.get_opt(&b.name));
    let found = futures::future::try_join_all(reads).await?;
    Ok(found.into_iter().flatten().collect())
}

fn binding(
    binding: &RuntimePolicyBinding,
    incident: &Incident,
    namespace_labels: &BTreeMap<String, String>,
) -> BindingFacts {
    let spec = &binding.spec;
    BindingFacts {
        name: binding.metadata.name.clone().unwrap_or_default(),
        uid: binding.metadata.uid.clone().unwrap_or_default(),
        policy_name: spec.policy_name.clone(),
        // A selector that is not valid matches nothing: no answer is given on a guess.
        matches: MatchResources::compile(&spec.match_resources)
            .is_ok_and(|m| m.matches(namespace_labels, &incident.spec.pod.labels)),
        actions: spec.response_actions.clone(),
        guardrails: spec.guardrails.clone(),
        grace_period_seconds: spec.grace_period_seconds,
    }
}

fn live<K, T>(
    what: &str,
    read: Result<Option<K>, kube::Error>,
    facts: impl Fn(&K) -> T,
) -> Live<T> {
    match read {
        Ok(Some(object)) => Live::Found(facts(&object)),
        Ok(None) => Live::Gone,
        Err(error) => Live::Unknown(why(what, &error)),
    }
}

fn why(what: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("cannot read {what}: {}", status.message),
        _ => format!("cannot read {what}: the API server does not answer"),
    }
}
