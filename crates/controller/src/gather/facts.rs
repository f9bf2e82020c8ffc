//! Facts, from what was read and what the cache knows.
//!
//! Here: comparing versions, and the translation of objects. Not here: reading (`super`), what
//! follows from the facts (`bailiff_response`).
//! Invariant: what comes from the cache counts only if the API server has the same version of it now.

use super::{Gathered, Live, Read, pod_namespace};
use crate::cache::{Cache, Rules};
use crate::config::Config;
use crate::policy_cache::Checked;
use crate::reevaluate::reevaluate;
use bailiff_api::protection::{Difference, compare};
use bailiff_api::{
    Incident, LABELS_LIMIT, ResponseAction, RuntimePolicy, RuntimePolicyBinding, keys,
};
use bailiff_policy::MatchResources;
use bailiff_response::{
    BindingFacts, Breaker, Facts, History, Lookup, NamespaceFacts, PodFacts, PolicyFacts,
    Protection, RateLimits, Settings, ViolationFacts, last_verdict,
};
use jiff::SignedDuration;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// Facts of which the cache had not the version that the API server has.
pub(super) struct Behind(pub(super) Box<Gathered>);

/// Compares what is known with what is there now.
struct Comparison<'a> {
    cache: &'a Cache,
    behind: bool,
}

impl Comparison<'_> {
    /// What is known of an object, if it is what the API server has.
    fn same<T>(
        &mut self,
        kind: &str,
        name: &str,
        live: Live,
        known: Option<(T, &ObjectMeta)>,
    ) -> Lookup<T> {
        let live = match live {
            Lookup::Found(live) => live,
            Lookup::NotFound => return Lookup::NotFound,
            Lookup::Failed(why) => return Lookup::Failed(why),
        };
        let version = (&live.uid, &live.resource_version);
        if let Some((known, metadata)) = known
            && (&metadata.uid, &metadata.resource_version) == version
        {
            return Lookup::Found(known);
        }
        let bad = self.cache.undecodable.of_kind(kind);
        let bad = bad.into_iter().find(|bad| {
            !bad.usable && (&bad.metadata.uid, &bad.metadata.resource_version) == version
        });
        if let Some(bad) = bad {
            return Lookup::Failed(format!("cannot decode {kind} {name}: {}", bad.error));
        }
        self.behind = true;
        Lookup::Failed(format!(
            "the watch has not brought the current {kind} {name} yet"
        ))
    }
}

/// The facts of an Incident, from what was read.
///
/// # Errors
/// The same facts, if the cache has another version of an object than the API server.
pub(super) fn facts(
    cache: &Cache,
    config: &Config,
    incident: &Incident,
    read: Read,
) -> Result<Gathered, Behind> {
    let mut comparison = Comparison {
        cache,
        behind: false,
    };
    let name = pod_namespace(config, incident).unwrap_or_default();
    let known = Known::of(cache, incident, name, &read);
    let namespace = known.namespace.as_ref().map(|n| (n, &n.metadata));
    let namespace = comparison.same("Namespace", name, read.namespace, namespace);
    let none = Labels::new();
    let namespace_labels = match &namespace {
        Lookup::Found(namespace) => namespace.metadata.labels.as_ref().unwrap_or(&none),
        Lookup::NotFound | Lookup::Failed(_) => &none,
    };
    let live_pod = match &read.pod {
        Lookup::Found(pod) => Some(pod),
        Lookup::NotFound | Lookup::Failed(_) => None,
    };
    let pod_labels = PodLabels::of(incident, live_pod);
    let matches =
        |selectors: &bailiff_api::MatchResources| pod_labels.match_by(selectors, namespace_labels);
    let policy_name = &incident.spec.policy_ref.name;
    let policy = known
        .policy
        .as_ref()
        .map(|(policy, checked)| ((policy, checked), &policy.metadata));
    let policy = comparison.same("RuntimePolicy", policy_name, read.policy, policy);
    let policy = map(policy, |(policy, checked)| {
        let objects = match (live_pod, &namespace) {
            (Some(pod), Lookup::Found(namespace)) => Some((pod, &***namespace)),
            _ => None,
        };
        let matches = matches(&policy.spec.match_constraints);
        policy_facts(policy, checked, matches, incident, objects)
    });
    let of_bindings = read.bindings.into_iter().zip(&known.bindings);
    let matches = |b: &RuntimePolicyBinding| matches(&b.spec.match_resources);
    let bindings = bindings_facts(config, &mut comparison, of_bindings, matches);
    let protection = (read.protection, read.protection_binding);
    let protection = self::protection(config, &mut comparison, &known, protection);
    let facts = Facts {
        violation: ViolationFacts::of(incident),
        waiting: incident.status.as_ref().and_then(|s| s.waiting.clone()),
        pod: map(read.pod, |pod| PodFacts::of(&pod, &config.namespace)),
        owner: read.owner,
        policy,
        bindings,
        namespace: map(namespace, |_| namespace_facts(config, name)),
        protection,
        switch: read.switch.switch.clone(),
        breaker: Breaker::Closed,
        paused: Vec::new(),
        undecided: Vec::new(),
        history: History::default(),
        settings: settings(config),
    };
    let gathered = Gathered {
        facts,
        switch: read.switch,
        direct: read.direct,
    };
    if comparison.behind {
        Err(Behind(Box::new(gathered)))
    } else {
        Ok(gathered)
    }
}

/// What the cache knows of the objects of an Incident.
struct Known {
    namespace: Option<Arc<Namespace>>,
    policy: Option<(Arc<RuntimePolicy>, Arc<Checked>)>,
    bindings: Vec<(Option<Arc<RuntimePolicyBinding>>, Option<usize>)>,
    protection: Option<Arc<ValidatingAdmissionPolicy>>,
    protection_binding: Option<Arc<ValidatingAdmissionPolicyBinding>>,
}

impl Known {
    fn of(cache: &Cache, incident: &Incident, namespace: &str, read: &Read) -> Self {
        let rules = cache.rules();
        Self {
            namespace: rules.namespaces.get(namespace).cloned(),
            policy: rules.policy(&incident.spec.policy_ref.name),
            bindings: read
                .bindings
                .iter()
                .map(|(name, _)| {
                    let workloads = rules.matched_workloads.get(name).copied();
                    (rules.bindings.get(name).cloned(), workloads)
                })
                .collect(),
            protection: rules.protection.get(keys::INCIDENT_PROTECTION).cloned(),
            protection_binding: rules
                .protection_binding
                .get(keys::INCIDENT_PROTECTION)
                .cloned(),
        }
    }
}

/// The limits that hold for all responses.
pub(crate) fn settings(config: &Config) -> Settings {
    let seconds = config.max_grace_period_seconds.max(1);
    Settings {
        max_grace_period_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        max_age: SignedDuration::try_from(config.response_max_age).unwrap_or(SignedDuration::MAX),
        rate_limits: RateLimits {
            namespace_per_minute: config.max_evictions_per_minute_per_namespace,
            cluster_per_minute: config.max_evictions_per_minute,
        },
    }
}

fn namespace_facts(config: &Config, name: &str) -> NamespaceFacts {
    NamespaceFacts::of(name, &config.exempt_namespaces, &config.critical_namespaces)
}

fn policy_facts(
    policy: &RuntimePolicy,
    checked: &Checked,
    matches: bool,
    incident: &Incident,
    objects: Option<(&Pod, &Namespace)>,
) -> PolicyFacts {
    let generation = policy.metadata.generation.unwrap_or_default();
    let (judged, _) = last_verdict(incident);
    let again = (generation != judged).then_some(objects).flatten();
    PolicyFacts {
        reevaluation: again.map(|(pod, namespace)| match &checked.compiled {
            Ok(compiled) => reevaluate(compiled, incident, pod, namespace),
            Err(errors) => bailiff_response::Reevaluation::Failed(errors.clone()),
        }),
        ..PolicyFacts::of(policy, matches)
    }
}

/// The facts of the bindings that exist. Each is a grant of its own: one that cannot be read stands in the way of no
/// other that removes the pod. Otherwise it could be the one that does, so nothing is decided without it.
fn bindings_facts<'a>(
    config: &Config,
    comparison: &mut Comparison<'_>,
    bindings: impl Iterator<
        Item = (
            (String, Live),
            &'a (Option<Arc<RuntimePolicyBinding>>, Option<usize>),
        ),
    >,
    matches: impl Fn(&RuntimePolicyBinding) -> bool,
) -> Lookup<Vec<BindingFacts>> {
    let mut found = Vec::new();
    let mut failed = None;
    for ((name, live), (known, workloads)) in bindings {
        let known = known.as_ref().map(|binding| (binding, &binding.metadata));
        match comparison.same("RuntimePolicyBinding", &name, live, known) {
            Lookup::Found(b) => {
                found.push(BindingFacts::of(
                    b,
                    matches(b),
                    *workloads,
                    config.allow_pod_deletion,
                ));
            }
            Lookup::NotFound => {}
            Lookup::Failed(why) => failed = Some(why),
        }
    }
    let removes = |binding: &BindingFacts| {
        let audits = |action: &ResponseAction| *action == ResponseAction::Audit;
        binding.matches && !binding.actions.iter().all(audits)
    };
    match failed {
        Some(why) if !found.iter().any(removes) => Lookup::Failed(why),
        Some(_) | None => Lookup::Found(found),
    }
}

fn protection(
    config: &Config,
    comparison: &mut Comparison<'_>,
    known: &Known,
    (policy, binding): (Live, Live),
) -> Protection {
    let name = keys::INCIDENT_PROTECTION;
    let known_policy = known.protection.as_deref().map(|p| (p, &p.metadata));
    let policy = comparison.same("ValidatingAdmissionPolicy", name, policy, known_policy);
    let known_binding = known
        .protection_binding
        .as_deref()
        .map(|b| (b, &b.metadata));
    let kind = "ValidatingAdmissionPolicyBinding";
    let binding = comparison.same(kind, name, binding, known_binding);
    let (policy, binding) = match (policy, binding) {
        (Lookup::Failed(why), _) | (_, Lookup::Failed(why)) => return Protection::Unknown(why),
        (policy, binding) => (found(policy), found(binding)),
    };
    match compare(&config.namespace, policy, binding) {
        Ok(()) => Protection::Unmodified,
        Err(Difference::Missing) => Protection::Missing,
        Err(Difference::Changed(what)) => Protection::Modified(what.to_owned()),
    }
}

/// Whether the protection of Incidents is in effect, by the cache.
pub(crate) fn is_protected(config: &Config, rules: &Rules) -> bool {
    let policy = rules.protection.get(keys::INCIDENT_PROTECTION);
    let binding = rules.protection_binding.get(keys::INCIDENT_PROTECTION);
    compare(
        &config.namespace,
        policy.map(|p| &**p),
        binding.map(|b| &**b),
    )
    .is_ok()
}

fn found<T>(lookup: Lookup<T>) -> Option<T> {
    match lookup {
        Lookup::Found(found) => Some(found),
        Lookup::NotFound | Lookup::Failed(_) => None,
    }
}

fn map<T, U>(lookup: Lookup<T>, facts: impl FnOnce(T) -> U) -> Lookup<U> {
    match lookup {
        Lookup::Found(found) => Lookup::Found(facts(found)),
        Lookup::NotFound => Lookup::NotFound,
        Lookup::Failed(why) => Lookup::Failed(why),
    }
}

/// Labels of the pod as seen at the violation, and those that an Incident may have had no room for, as the
/// live pod has them.
struct PodLabels<'a> {
    seen: &'a Labels,
    unseen: Labels,
}

impl<'a> PodLabels<'a> {
    fn of(incident: &'a Incident, live: Option<&Pod>) -> Self {
        let (pod, seen) = (&incident.spec.pod, &incident.spec.pod.labels);
        let whole = !seen.is_empty() && seen.len() < LABELS_LIMIT;
        let same = live.filter(|live| !whole && live.metadata.uid.as_ref() == Some(&pod.uid));
        let live = same
            .into_iter()
            .flat_map(|pod| pod.metadata.labels.iter().flatten());
        let unseen = live.filter(|(key, _)| !seen.contains_key(*key));
        Self {
            seen,
            unseen: unseen.map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }

    /// Whether selectors match the pod. It cannot be determined whether the live pod had a label that the
    /// Incident lacks when it violated the policy: the sensor found that the selectors match, and a user who may
    /// label the pod must not end its response, so a label counts unless the pod matches only without it.
    /// A selector that is not valid matches nothing: there is no response on a guess.
    fn match_by(&self, selectors: &bailiff_api::MatchResources, namespace: &Labels) -> bool {
        let Ok(compiled) = MatchResources::compile(selectors) else {
            return false;
        };
        let mut labels = self.seen.clone();
        for (key, value) in &self.unseen {
            let with = Labels::from([(key.clone(), value.clone())]);
            let of_key = object_selector_of(selectors, key);
            if MatchResources::compile(&of_key).is_ok_and(|m| m.matches(namespace, &with)) {
                labels.extend(with);
            }
        }
        compiled.matches(namespace, &labels)
    }
}

/// What selectors ask of one label of a pod.
fn object_selector_of(
    selectors: &bailiff_api::MatchResources,
    key: &str,
) -> bailiff_api::MatchResources {
    let mut selector = selectors.object_selector.clone().unwrap_or_default();
    if let Some(labels) = &mut selector.match_labels {
        labels.retain(|label, _| label == key);
    }
    if let Some(expressions) = &mut selector.match_expressions {
        expressions.retain(|expression| expression.key == key);
    }
    bailiff_api::MatchResources {
        namespace_selector: None,
        object_selector: Some(selector),
    }
}
