//! What is found in a cluster, as checks that pass or do not.
//!
//! Here: the judgement and its words. Not here: reading (`super`).
//! Invariant: a function of its arguments; an object that could not be read is `NotChecked`.

use bailiff_api::condition::types;
use bailiff_api::protection::{self, Difference, policy_status};
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding};
use bailiff_response::messages::escaped;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Longest detail of a check, in characters.
const DETAIL_LIMIT: usize = 400;

/// An object, that there is none, or why that is not known.
pub(super) type Looked<T> = Result<Option<T>, String>;

/// What was read.
pub(super) struct Found {
    pub(super) controller: Looked<Deployment>,
    pub(super) lease: Looked<Lease>,
    pub(super) sensor: Looked<DaemonSet>,
    pub(super) protection: Looked<ValidatingAdmissionPolicy>,
    pub(super) protection_binding: Looked<ValidatingAdmissionPolicyBinding>,
    pub(super) status_protection: Looked<ValidatingAdmissionPolicy>,
    pub(super) status_protection_binding: Looked<ValidatingAdmissionPolicyBinding>,
    pub(super) policies: Result<Vec<RuntimePolicy>, String>,
    pub(super) bindings: Result<Vec<RuntimePolicyBinding>, String>,
}

/// How a check ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Works,
    Fails,
    NotChecked,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Fails => "fails",
            Self::NotChecked => "not checked",
        }
    }
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) what: String,
    pub(super) state: State,
    pub(super) detail: String,
}

fn check(what: impl Into<String>, state: State, detail: &str) -> Check {
    Check {
        what: what.into(),
        state,
        detail: escaped(detail, DETAIL_LIMIT),
    }
}

/// Every check, in the order in which an operator would look.
pub(super) fn checks(found: &Found, namespace: &str, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![
        controller(found, namespace),
        leader(found, now),
        sensor(found, namespace),
        confined(found, namespace),
        status_confined(found, namespace),
    ];
    let policies = found.policies.as_ref().map(|policies| {
        policies
            .iter()
            .map(|p| {
                let status = p.status.as_ref();
                (
                    p.metadata.name.as_deref().unwrap_or_default(),
                    status.map(|s| &s.conditions[..]).unwrap_or_default(),
                )
            })
            .collect::<Vec<_>>()
    });
    let bindings = found.bindings.as_ref().map(|bindings| {
        bindings
            .iter()
            .map(|b| {
                let status = b.status.as_ref();
                (
                    b.metadata.name.as_deref().unwrap_or_default(),
                    status.map(|s| &s.conditions[..]).unwrap_or_default(),
                )
            })
            .collect::<Vec<_>>()
    });
    checks.extend(ready("policies", "runtimepolicy", policies));
    checks.extend(ready("bindings", "runtimepolicybinding", bindings));
    checks.extend(failing(found));
    checks
}

/// A line for each policy whose expressions fail, as its spec is now: a condition that is about one
/// before says nothing of it.
fn failing(found: &Found) -> Vec<Check> {
    let policies = found.policies.iter().flatten();
    let failed = policies.filter_map(|policy| {
        let conditions = &policy.status.as_ref()?.conditions;
        let condition = conditions.iter().find(|c| {
            c.type_ == types::EVALUATION_FAILED
                && c.observed_generation == policy.metadata.generation
        })?;
        let name = policy.metadata.name.as_deref().unwrap_or_default();
        Some(check(
            format!("runtimepolicy/{name}"),
            State::Fails,
            &condition.message,
        ))
    });
    failed.collect()
}

fn controller(found: &Found, namespace: &str) -> Check {
    let what = "controller";
    let deployment = match &found.controller {
        Ok(Some(deployment)) => deployment,
        Ok(None) => return not_installed(what, "Deployment bailiff-controller", namespace),
        Err(error) => return check(what, State::NotChecked, error),
    };
    let want = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.as_ref();
    let ready = status.and_then(|s| s.ready_replicas).unwrap_or(0);
    let counted = format!("{ready} of {want} replicas ready");
    if ready >= want && want > 0 {
        check(what, State::Works, &counted)
    } else {
        let look = format!(
            "kubectl -n {namespace} describe pods -l app.kubernetes.io/component=controller"
        );
        check(what, State::Fails, &format!("{counted}; see: {look}"))
    }
}

fn leader(found: &Found, now: Timestamp) -> Check {
    let what = "leader";
    let spec = match &found.lease {
        Ok(Some(lease)) => lease.spec.clone().unwrap_or_default(),
        Ok(None) => {
            return check(
                what,
                State::Fails,
                "there is no Lease: no incident is answered",
            );
        }
        Err(error) => return check(what, State::NotChecked, error),
    };
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    let lasts = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or(0).into());
    let (Some(holder), Some(renewed)) = (holder, spec.renew_time) else {
        return check(
            what,
            State::Fails,
            "nobody holds the Lease: no incident is answered",
        );
    };
    if now.duration_since(renewed.0) > lasts {
        let detail = format!(
            "{holder} last renewed the Lease at {}: no incident is answered",
            renewed.0
        );
        return check(what, State::Fails, &detail);
    }
    check(what, State::Works, &format!("{holder} holds the Lease"))
}

fn sensor(found: &Found, namespace: &str) -> Check {
    let what = "sensor";
    let set = match &found.sensor {
        Ok(Some(set)) => set,
        Ok(None) => return not_installed(what, "DaemonSet bailiff-sensor", namespace),
        Err(error) => return check(what, State::NotChecked, error),
    };
    let status = set.status.clone().unwrap_or_default();
    let (ready, want) = (status.number_ready, status.desired_number_scheduled);
    let counted = format!("ready on {ready} of {want} nodes");
    if ready >= want && want > 0 {
        check(what, State::Works, &counted)
    } else {
        let look =
            format!("kubectl -n {namespace} describe pods -l app.kubernetes.io/component=sensor");
        check(what, State::Fails, &format!("{counted}; see: {look}"))
    }
}

fn confined(found: &Found, namespace: &str) -> Check {
    let what = "protection";
    let (policy, binding) = match (&found.protection, &found.protection_binding) {
        (Ok(policy), Ok(binding)) => (policy, binding),
        (Err(error), _) | (_, Err(error)) => return check(what, State::NotChecked, error),
    };
    match protection::compare(namespace, policy.as_ref(), binding.as_ref()) {
        Ok(()) => check(
            what,
            State::Works,
            "incidents are written by sensors and the controller alone",
        ),
        Err(Difference::Missing) => check(
            what,
            State::Fails,
            "the admission policy that guards incidents is missing, so none is answered; bring it back with helm upgrade",
        ),
        Err(Difference::Changed(which)) => check(
            what,
            State::Fails,
            &format!(
                "{which} is not as shipped, so no incident is answered; bring it back with helm upgrade"
            ),
        ),
    }
}

fn status_confined(found: &Found, namespace: &str) -> Check {
    let what = "status protection";
    let (policy, binding) = match (&found.status_protection, &found.status_protection_binding) {
        (Ok(policy), Ok(binding)) => (policy, binding),
        (Err(error), _) | (_, Err(error)) => return check(what, State::NotChecked, error),
    };
    match policy_status::compare(namespace, policy.as_ref(), binding.as_ref()) {
        Ok(()) => check(
            what,
            State::Works,
            "of a policy's status sensors write one condition alone",
        ),
        Err(Difference::Missing) => check(
            what,
            State::Fails,
            "the admission policy that guards statuses of policies from sensors is missing; bring it back with helm upgrade",
        ),
        Err(Difference::Changed(which)) => check(
            what,
            State::Fails,
            &format!("{which}; bring it back with helm upgrade"),
        ),
    }
}

fn not_installed(what: &str, object: &str, namespace: &str) -> Check {
    let detail = format!(
        "there is no {object} in namespace {namespace}; is Bailiff installed in another one (--namespace)?"
    );
    check(what, State::Fails, &detail)
}

/// One line where all are ready, else one for each that is not.
fn ready(
    kind: &str,
    resource: &str,
    objects: Result<Vec<(&str, &[Condition])>, &String>,
) -> Vec<Check> {
    let objects = match objects {
        Ok(objects) => objects,
        Err(error) => return vec![check(kind, State::NotChecked, error)],
    };
    let wrong: Vec<_> = objects
        .iter()
        .filter_map(|(name, conditions)| {
            let what = format!("{resource}/{name}");
            match conditions.iter().find(|c| c.type_ == "Ready") {
                Some(condition) if condition.status == "True" => None,
                Some(condition) if condition.status == "False" => {
                    Some(check(what, State::Fails, &condition.message))
                }
                Some(condition) => Some(check(what, State::NotChecked, &condition.message)),
                None => Some(check(
                    what,
                    State::NotChecked,
                    "the controller has not looked at it yet",
                )),
            }
        })
        .collect();
    if wrong.is_empty() {
        let detail = match objects.len() {
            0 => "there are none".to_owned(),
            1 => "1, ready".to_owned(),
            n => format!("{n}, all ready"),
        };
        return vec![check(kind, State::Works, &detail)];
    }
    wrong
}
