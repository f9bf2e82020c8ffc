//! Image policies and their bindings, from files or from the cluster.
//!
//! Here: reading and compiling them. Not here: what they mean (`bailiff_policy::image`).
//! Invariant: a policy with an error is an error of its file; one of the cluster has no effect there, which
//! is a warning. Neither hides others.

use super::Settings;
use crate::Error;
use crate::manifests::{Manifests, Object};
use crate::objects::{self, Problem};
use bailiff_api::{
    ImageAdmissionPolicy, ImageAdmissionPolicyBinding, ImageAdmissionPolicyBindingSpec,
    MatchResources, ValidationAction,
};
use bailiff_policy::FieldError;
use bailiff_policy::image::{
    BoundPolicy, CompiledImageBinding, CompiledImagePolicy, PodLabels, bound, compile,
    compile_binding,
};
use bailiff_response::messages::escaped;
use kube::{Client, CustomResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// Characters of a message.
const TEXT_LIMIT: usize = 1024;
/// The remedy for missing permissions.
const FORBIDDEN: &str = "this requires permission to list imageadmissionpolicies and imageadmissionpolicybindings of the cluster, or policies in files: set --policy";

/// The remedy for a binding with an error.
const FIX_BINDING: &str = "fix the binding";

/// Policies with their bindings.
#[derive(Debug)]
pub(crate) struct Policies {
    compiled: BTreeMap<String, Arc<CompiledImagePolicy>>,
    bindings: Vec<CompiledImageBinding>,
    /// Mode of all bindings, and exempt namespaces.
    pub(crate) settings: Settings,
    /// Why policies or bindings are not evaluated. Not empty: the result is incomplete.
    pub(crate) errors: Vec<String>,
    /// What people have to know about the policies.
    pub(crate) notes: Vec<String>,
}

impl Policies {
    fn new(settings: Settings) -> Self {
        Self {
            compiled: BTreeMap::new(),
            bindings: Vec::new(),
            settings,
            errors: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The policies and bindings of files. A policy without a binding there is taken as bound with Deny to
    /// all namespaces.
    pub(crate) fn of_files(files: Manifests, settings: Settings) -> Self {
        let mut policies = Self::new(settings);
        policies.errors = files.errors;
        let mut bindings = Vec::new();
        let mut others = 0;
        for object in &files.objects {
            let group = object.text("/apiVersion").split('/').next();
            match (group, object.text("/kind")) {
                (Some("bailiff.dev"), "ImageAdmissionPolicy") => policies.add_policy(object),
                (Some("bailiff.dev"), "ImageAdmissionPolicyBinding") => bindings.push(object),
                (_, _) => others += 1,
            }
        }
        if others > 0 {
            policies.notes.push(format!(
                "{others} objects of --policy are no ImageAdmissionPolicies or ImageAdmissionPolicyBindings and have no effect"
            ));
        }
        let known: BTreeSet<_> = policies.compiled.keys().cloned().collect();
        if known.is_empty() && policies.errors.is_empty() {
            policies.errors.push(
                "cannot read policies: the files of --policy contain no ImageAdmissionPolicy; add one".to_owned(),
            );
        }
        for binding in bindings {
            policies.add_binding(binding, &known);
        }
        let bound: BTreeSet<_> = policies
            .bindings
            .iter()
            .map(|binding| binding.policy_name.clone())
            .collect();
        let unbound: Vec<_> = known.difference(&bound).cloned().collect();
        if !unbound.is_empty() {
            policies.notes.push(format!(
                "no file of --policy binds {}; evaluated as bound with Deny to all namespaces",
                escaped(&unbound.join(", "), TEXT_LIMIT)
            ));
        }
        for name in unbound {
            policies.bind_everywhere(&name);
        }
        policies
    }

    fn bind_everywhere(&mut self, policy_name: &str) {
        let spec = ImageAdmissionPolicyBindingSpec {
            policy_name: policy_name.to_owned(),
            match_resources: MatchResources::default(),
            validation_actions: vec![ValidationAction::Deny],
        };
        let binding = ImageAdmissionPolicyBinding::new(policy_name, spec);
        match compile_binding(&binding) {
            Ok(binding) => self.bindings.push(binding),
            Err(error) => self.errors.push(error.to_string()),
        }
    }

    fn add_policy(&mut self, object: &Object) {
        let place = &object.place;
        let name = object.name();
        let mut fail = |what: String| {
            let what = escaped(&what, TEXT_LIMIT);
            self.errors.push(format!(
                "cannot use {name} of {place}: {what}; fix the policy"
            ));
        };
        let schema = serde_json::to_value(ImageAdmissionPolicy::crd());
        let policy: ImageAdmissionPolicy = match decode(object, schema.ok().as_ref()) {
            Ok(policy) => policy,
            Err(faults) => return faults.into_iter().for_each(fail),
        };
        match compile(&policy) {
            Ok(compiled) if self.compiled.contains_key(&compiled.name) => {
                fail("another file has a policy of the same name".to_owned());
            }
            Ok(compiled) => {
                let name = compiled.name.clone();
                self.compiled.insert(name, Arc::new(compiled));
            }
            Err(faults) => faults.iter().map(FieldError::to_string).for_each(fail),
        }
    }

    fn add_binding(&mut self, object: &Object, known: &BTreeSet<String>) {
        let place = &object.place;
        let name = object.name();
        let mut fail = |what: String, remedy: &str| {
            let what = escaped(&what, TEXT_LIMIT);
            self.errors
                .push(format!("cannot use {name} of {place}: {what}; {remedy}"));
        };
        let schema = serde_json::to_value(ImageAdmissionPolicyBinding::crd());
        let binding: ImageAdmissionPolicyBinding = match decode(object, schema.ok().as_ref()) {
            Ok(binding) => binding,
            Err(faults) => {
                return faults
                    .into_iter()
                    .for_each(|fault| fail(fault, FIX_BINDING));
            }
        };
        match compile_binding(&binding) {
            Ok(binding) if !known.contains(&binding.policy_name) => fail(
                format!(
                    "ImageAdmissionPolicy {} is not in the files of --policy, or has an error",
                    binding.policy_name
                ),
                "add its file",
            ),
            Ok(binding) => self.bindings.push(binding),
            Err(fault) => fail(fault.to_string(), FIX_BINDING),
        }
    }

    /// The policies and bindings of the cluster, with the settings of its webhook.
    ///
    /// # Errors
    /// If a request fails, or a setting is not valid.
    pub(crate) async fn of_cluster(client: &Client, namespace: &str) -> Result<Self, Error> {
        let (settings, policies, bindings) = futures::join!(
            Settings::read(client, namespace),
            objects::list_all::<ImageAdmissionPolicy>(client),
            objects::list_all::<ImageAdmissionPolicyBinding>(client),
        );
        let failed = |kind: &str, error: &kube::Error| {
            Error::from_request(format!("list {kind}"), FORBIDDEN, error)
        };
        let policies = policies.map_err(|error| failed("ImageAdmissionPolicies", &error))?;
        let bindings = bindings.map_err(|error| failed("ImageAdmissionPolicyBindings", &error))?;
        let (settings, note) = settings?;
        let mut read = Self::new(settings);
        read.notes.extend(note);
        read.note_problems("ImageAdmissionPolicy", &policies.problems);
        read.note_problems("ImageAdmissionPolicyBinding", &bindings.problems);
        for policy in policies.items {
            match compile(&policy) {
                Ok(policy) => {
                    read.compiled.insert(policy.name.clone(), Arc::new(policy));
                }
                Err(faults) => {
                    let faults: Vec<_> = faults.iter().map(FieldError::to_string).collect();
                    let name = policy.metadata.name.unwrap_or_default();
                    read.note_ignored("ImageAdmissionPolicy", &name, &faults.join("; "));
                }
            }
        }
        for binding in bindings.items {
            match compile_binding(&binding) {
                Ok(binding) => read.bindings.push(binding),
                Err(fault) => {
                    let name = binding.metadata.name.unwrap_or_default();
                    read.note_ignored("ImageAdmissionPolicyBinding", &name, &fault.to_string());
                }
            }
        }
        if read.bindings.is_empty() {
            read.notes.push(
                "the cluster has no ImageAdmissionPolicyBinding, so every image is allowed"
                    .to_owned(),
            );
        }
        Ok(read)
    }

    fn note_problems(&mut self, kind: &str, problems: &[Problem]) {
        for problem in problems {
            // A status that cannot be decoded does not matter here.
            if !problem.is_partial {
                self.note_ignored(kind, &problem.name, &problem.cause);
            }
        }
    }

    fn note_ignored(&mut self, kind: &str, name: &str, cause: &str) {
        let text = format!("{kind} {name} has no effect until it is fixed: {cause}");
        self.notes.push(escaped(&text, TEXT_LIMIT));
    }

    /// The policies that apply to a pod; none if its namespace is exempt.
    pub(crate) fn bound(
        &self,
        namespace: &str,
        namespace_labels: &Labels,
        labels: &Labels,
    ) -> Option<Vec<BoundPolicy<'_>>> {
        if self.settings.exempt.contains(namespace) {
            return None;
        }
        let labels = PodLabels {
            namespace: namespace_labels,
            pod: labels,
            old: None,
        };
        let mode = self.settings.mode;
        Some(bound(&self.compiled, &self.bindings, &labels, mode))
    }
}

/// Decodes an object strictly: a field that its schema does not have is an error, because a misspelled
/// rule would have no effect. Returns every fault.
fn decode<K: DeserializeOwned>(object: &Object, crd: Option<&Json>) -> Result<K, Vec<String>> {
    let schema = crd.and_then(|crd| crd.pointer("/spec/versions/0/schema/openAPIV3Schema"));
    let mut unknown = Vec::new();
    if let Some(schema) = schema {
        // Metadata is known to the API server, and not in the schema.
        unknown_fields(
            &object.json["spec"],
            &schema["properties"]["spec"],
            "spec",
            &mut unknown,
        );
    }
    if object.text("/metadata/name").is_empty() {
        unknown.push("metadata.name: must be set".to_owned());
    }
    if !unknown.is_empty() {
        return Err(unknown);
    }
    K::deserialize(&object.json).map_err(|error| vec![error.to_string()])
}

/// Fields that a schema does not have. One without properties allows every field.
fn unknown_fields(value: &Json, schema: &Json, path: &str, unknown: &mut Vec<String>) {
    match value {
        Json::Object(fields) => {
            let Some(known) = schema["properties"].as_object() else {
                return;
            };
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match known.get(name) {
                    Some(schema) => unknown_fields(value, schema, &path, unknown),
                    None => unknown.push(format!("{path}: unknown field")),
                }
            }
        }
        Json::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                unknown_fields(
                    element,
                    &schema["items"],
                    &format!("{path}[{index}]"),
                    unknown,
                );
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
