//! What a response depends on, as it is now.
//!
//! Here: requests and their translation to the input of `bailiff_response::preview`. Not here: the
//! decision, and the pods (`workload`).
//! Invariant: an Incident, policy or binding that cannot be decoded is a warning and hides no other;
//! anything else that cannot be read ends the preview or is a value of its own.

use super::configuration::Configuration;
use crate::Error;
use crate::objects::{self, Objects, Problem};
use bailiff_api::protection::{self, Difference};
use bailiff_api::{Incident, Origin, RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_kube::owner;
use bailiff_policy::MatchResources;
use bailiff_response::guard::matched_workloads;
use bailiff_response::messages::escaped;
use bailiff_response::preview::{Preview, PreviewInput, PreviewPolicy, preview};
use bailiff_response::{
    BindingFacts, Controls, Lookup, NamespaceFacts, Owner, PodFacts, PolicyFacts, Protection,
    Queue, QueueSettings, Summary, Switch,
};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};

/// The remedy for missing permissions.
const FORBIDDEN: &str = "a preview requires permission to get the namespace, the Deployment and the ConfigMap of Bailiff, and the ValidatingAdmissionPolicy and ValidatingAdmissionPolicyBinding bailiff-incident-protection, and to list policies, bindings and Incidents of the cluster";

/// The remedy for missing permissions to count workloads.
const COUNT_FORBIDDEN: &str = "counting the workloads that a binding matches requires permission to list pods and namespaces of the cluster";

/// The remedy if the Deployment of Bailiff does not exist.
const NOT_INSTALLED: &str = "if Bailiff is installed in another namespace, set --bailiff-namespace";

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// A pod with the policies that apply to it.
pub(super) struct PodInput {
    pub(super) input: PreviewInput,
    pub(super) policies: Vec<PreviewPolicy>,
}

/// A policy that sensors evaluate.
struct Policy {
    object: RuntimePolicy,
    matches: MatchResources,
}

/// A binding with valid selectors.
struct Binding {
    object: RuntimePolicyBinding,
    matches: MatchResources,
}

/// The state of the cluster, as far as it is the same for each pod of a namespace.
pub(super) struct Cluster {
    namespace: Namespace,
    own_namespace: String,
    configuration: Configuration,
    protection: Protection,
    switch: Switch,
    policies: Vec<Policy>,
    bindings: Vec<Binding>,
    /// Limits, breakers and guards, derived from all Incidents as the controller does.
    controls: Controls,
    /// The Incidents that wait, by what their statuses tell.
    queue: Queue,
    /// How many workloads bindings match, by name, as far as they were counted.
    counted: BTreeMap<String, Result<usize, String>>,
    warnings: Vec<String>,
}

impl Cluster {
    /// Reads the state.
    ///
    /// # Errors
    /// If a request fails, or an object that exists cannot be used.
    pub(super) async fn read(
        client: &Client,
        namespace: &str,
        own_namespace: &str,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let namespaces = Api::<Namespace>::all(client.clone());
        let deployments = Api::<Deployment>::namespaced(client.clone(), own_namespace);
        let config_maps = Api::<ConfigMap>::namespaced(client.clone(), own_namespace);
        let protections = Api::<ValidatingAdmissionPolicy>::all(client.clone());
        let protection_bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
        let incidents = Api::all(client.clone());
        let (mut observed, mut queue) = (Vec::new(), Queue::new(QueueSettings::default()));
        let (object, deployment, switch, protection, protection_binding, policies, bindings, bad) = futures::join!(
            namespaces.get(namespace),
            deployments.get("bailiff-controller"),
            config_maps.get_opt(keys::RESPONSE_SWITCH),
            protections.get_opt(keys::INCIDENT_PROTECTION),
            protection_bindings.get_opt(keys::INCIDENT_PROTECTION),
            objects::list_all::<RuntimePolicy>(client),
            objects::list_all::<RuntimePolicyBinding>(client),
            objects::list(&incidents, ListParams::default(), |incident: Incident| {
                if let Some(summary) = Summary::of(&incident) {
                    queue.observe(summary, now);
                }
                observed.push(without_evidence(incident));
            }),
        );
        let failed = |what: &str| {
            let action = what.to_owned();
            move |error| Error::from_request(action, FORBIDDEN, &error)
        };
        let configuration = Configuration::of(&deployment.map_err(|error| {
            let action = format!("read Deployment bailiff-controller in namespace {own_namespace}");
            let is_missing = matches!(&error, kube::Error::Api(status) if status.code == 404);
            match Error::from_request(action, FORBIDDEN, &error) {
                Error::Request { action, cause, .. } if is_missing => Error::Request {
                    action,
                    cause,
                    remedy: NOT_INSTALLED,
                },
                other => other,
            }
        })?)?;
        let mut controls = Controls::new(configuration.settings.rate_limits);
        for incident in &observed {
            controls.observe(incident);
        }
        let mut warnings = Vec::new();
        let bad = bad.map_err(failed("list incidents in any namespace"))?;
        warnings.extend(bad.iter().map(|problem| undecodable("incident", problem)));
        let policies = policies.map_err(failed("list runtimepolicies"))?;
        let bindings = bindings.map_err(failed("list runtimepolicybindings"))?;
        Ok(Self {
            namespace: object.map_err(failed(&format!("read namespace {namespace}")))?,
            own_namespace: own_namespace.to_owned(),
            protection: protection_of(
                own_namespace,
                protection
                    .map_err(failed("read the protection of Incidents"))?
                    .as_ref(),
                protection_binding
                    .map_err(failed("read the protection of Incidents"))?
                    .as_ref(),
            ),
            switch: Switch::of(
                own_namespace,
                switch
                    .map_err(failed("read ConfigMap bailiff-response"))?
                    .as_ref(),
            ),
            policies: usable_policies(policies, &mut warnings),
            bindings: usable_bindings(bindings, &mut warnings),
            configuration,
            controls,
            queue,
            counted: BTreeMap::new(),
            warnings,
        })
    }

    /// What the preview cannot include.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What would happen to a pod for a policy that applies to it.
    pub(super) fn preview(
        &self,
        input: &PreviewInput,
        policy: &PreviewPolicy,
        now: Timestamp,
    ) -> Preview {
        preview(input, policy, &self.controls, &self.queue, now)
    }

    /// The input for a pod.
    pub(super) fn input(
        &self,
        pod: &Pod,
        owner: Owner,
        executable: &str,
        origin: Origin,
    ) -> PodInput {
        let name = self.namespace.metadata.name.clone().unwrap_or_default();
        let namespace_facts = NamespaceFacts::of(
            &name,
            &self.configuration.exempt_namespaces,
            &self.configuration.critical_namespaces,
        );
        PodInput {
            policies: self.policies_of(pod),
            input: PreviewInput {
                pod_name: pod.metadata.name.clone().unwrap_or_default(),
                namespace: name,
                pod: Lookup::Found(PodFacts::of(pod, &self.own_namespace)),
                owner,
                namespace_facts: Lookup::Found(namespace_facts),
                protection: self.protection.clone(),
                switch: self.switch.clone(),
                settings: self.configuration.settings,
                executable: executable.to_owned(),
                origin,
            },
        }
    }

    /// Counts the workloads that these bindings of a policy match, as the controller does; each once.
    ///
    /// # Errors
    /// If the pods or namespaces cannot be listed; why, for people. The bindings then have so many that
    /// the guard does not pause them.
    pub(super) async fn count(
        &mut self,
        client: &Client,
        policy: &mut PreviewPolicy,
        bindings: &[String],
    ) -> Result<(), String> {
        let uncounted = bindings.iter();
        let uncounted = uncounted.filter(|name| !self.counted.contains_key(*name));
        let uncounted: Vec<_> = uncounted.cloned().collect();
        if !uncounted.is_empty() {
            let named = |object: &ObjectMeta, name: &str| object.name.as_deref() == Some(name);
            let of_policy = self.policies.iter();
            let of_policy = of_policy.filter(|p| named(&p.object.metadata, &policy.name));
            let of_policy: Vec<_> = of_policy.map(|p| &p.matches).collect();
            let selectors = uncounted.iter().map(|name| {
                let of_binding = self.bindings.iter();
                let of_binding = of_binding.filter(|b| named(&b.object.metadata, name));
                let all = of_policy.iter().copied();
                all.chain(of_binding.map(|b| &b.matches)).collect()
            });
            let selectors: Vec<Vec<_>> = selectors.collect();
            let counted = count_workloads(client, &selectors).await;
            for (index, name) in uncounted.into_iter().enumerate() {
                let workloads = match &counted {
                    Ok(counted) => Ok(counted.get(index).copied().unwrap_or_default()),
                    Err(why) => Err(why.clone()),
                };
                self.counted.insert(name, workloads);
            }
        }
        let mut failed = Ok(());
        for facts in &mut policy.bindings {
            match self.counted.get(&facts.name) {
                Some(Ok(workloads)) => facts.matched_workloads = Some(*workloads),
                Some(Err(why)) => {
                    facts.matched_workloads = Some(usize::MAX);
                    failed = Err(why.clone());
                }
                None => {}
            }
        }
        failed
    }

    /// The policies that apply to a pod: their own selectors and those of a binding match.
    fn policies_of(&self, pod: &Pod) -> Vec<PreviewPolicy> {
        let none = Labels::new();
        let of_namespace = self.namespace.metadata.labels.as_ref().unwrap_or(&none);
        let of_pod = pod.metadata.labels.as_ref().unwrap_or(&none);
        let mut applying = Vec::new();
        for policy in &self.policies {
            if !policy.matches.matches(of_namespace, of_pod) {
                continue;
            }
            let name = policy.object.metadata.name.clone().unwrap_or_default();
            let facts = PolicyFacts::of(&policy.object, true);
            let bindings: Vec<_> = self
                .bindings
                .iter()
                .filter(|b| b.object.spec.policy_name == name)
                .filter(|b| b.matches.matches(of_namespace, of_pod))
                .map(|b| {
                    // The pods of the cluster are counted only if the result depends on their number.
                    let allow_deletion = self.configuration.allow_pod_deletion;
                    BindingFacts::of(&b.object, true, None, allow_deletion)
                })
                .collect();
            if !bindings.is_empty() {
                applying.push(PreviewPolicy {
                    name,
                    policy: facts,
                    bindings,
                    dry_run: None,
                });
            }
        }
        applying
    }
}

/// How many workloads have pods that all of these selectors match, for each list of them.
async fn count_workloads(
    client: &Client,
    matches: &[Vec<&MatchResources>],
) -> Result<Vec<usize>, String> {
    let failed = |what: &str, error: &kube::Error| {
        Error::from_request(format!("list {what}"), COUNT_FORBIDDEN, error).to_string()
    };
    let namespaces = objects::list_all::<Namespace>(client).await;
    let namespaces = namespaces.map_err(|error| failed("namespaces", &error))?;
    let labels: BTreeMap<_, _> = namespaces
        .items
        .into_iter()
        .filter_map(|n| Some((n.metadata.name?, n.metadata.labels.unwrap_or_default())))
        .collect();
    let no_labels = Labels::new();
    let mut found = vec![BTreeSet::new(); matches.len()];
    let pods = Api::all(client.clone());
    let listed = objects::list(&pods, ListParams::default(), |pod: Pod| {
        let namespace = pod.metadata.namespace.unwrap_or_default();
        let of_namespace = labels.get(&namespace).unwrap_or(&no_labels);
        let of_pod = pod.metadata.labels.unwrap_or_default();
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let owner = owner::counted(node, pod.metadata.owner_references.as_deref());
        let workload = (namespace.clone(), owner.map(|owner| owner.uid));
        for (all, found) in matches.iter().zip(&mut found) {
            if all.iter().all(|m| m.matches(of_namespace, &of_pod)) {
                found.insert(workload.clone());
            }
        }
    });
    listed.await.map_err(|error| failed("pods", &error))?;
    let count = |workloads: &BTreeSet<(String, Option<String>)>| {
        let all = workloads.iter();
        matched_workloads(all.map(|(namespace, uid)| (namespace.as_str(), uid.as_deref())))
    };
    Ok(found.iter().map(count).collect())
}

/// An Incident without what no limit depends on, which can have 16 KiB.
fn without_evidence(mut incident: Incident) -> Incident {
    incident.spec.violations.clear();
    incident.spec.process.args.clear();
    incident.spec.process.args_base64.clear();
    incident.spec.process.ancestors.clear();
    incident
}

fn undecodable(resource: &str, problem: &Problem) -> String {
    let part = if problem.is_partial {
        "the status of "
    } else {
        ""
    };
    let namespace = if problem.namespace.is_empty() {
        String::new()
    } else {
        format!(" in namespace {}", escaped(&problem.namespace, 63))
    };
    format!(
        "cannot decode {part}{resource} {}{namespace}: {}; the preview ignores it",
        escaped(&problem.name, 253),
        escaped(&problem.cause, 400)
    )
}

fn protection_of(
    namespace: &str,
    policy: Option<&ValidatingAdmissionPolicy>,
    binding: Option<&ValidatingAdmissionPolicyBinding>,
) -> Protection {
    match protection::compare(namespace, policy, binding) {
        Ok(()) => Protection::Unmodified,
        Err(Difference::Missing) => Protection::Missing,
        Err(Difference::Changed(what)) => Protection::Modified(what.to_owned()),
    }
}

/// Policies that compile. Sensors evaluate no others.
fn usable_policies(policies: Objects<RuntimePolicy>, warnings: &mut Vec<String>) -> Vec<Policy> {
    warnings.extend(
        policies
            .problems
            .iter()
            .map(|p| undecodable("runtimepolicy", p)),
    );
    let mut usable = Vec::new();
    for object in policies.items {
        let matches = MatchResources::compile(&object.spec.match_constraints);
        match (bailiff_policy::compile(&object), matches) {
            (Ok(_), Ok(matches)) => usable.push(Policy { object, matches }),
            (Err(_), _) | (_, Err(_)) => warnings.push(format!(
                "runtimepolicy {} does not compile, so it is not evaluated",
                escaped(object.metadata.name.as_deref().unwrap_or_default(), 253)
            )),
        }
    }
    usable
}

fn usable_bindings(
    bindings: Objects<RuntimePolicyBinding>,
    warnings: &mut Vec<String>,
) -> Vec<Binding> {
    let problems = bindings.problems.iter();
    warnings.extend(problems.map(|p| undecodable("runtimepolicybinding", p)));
    let mut usable = Vec::new();
    for object in bindings.items {
        match MatchResources::compile(&object.spec.match_resources) {
            Ok(matches) => usable.push(Binding { object, matches }),
            Err(_) => warnings.push(format!(
                "runtimepolicybinding {} has an invalid selector, so it has no effect",
                escaped(object.metadata.name.as_deref().unwrap_or_default(), 253)
            )),
        }
    }
    usable
}
