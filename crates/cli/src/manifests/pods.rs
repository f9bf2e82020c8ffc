//! The pods that objects of manifests create.
//!
//! Here: where each kind has its pod template. Not here: policies (`admission`).
//! Invariant: an object whose pods are unknown is an error or a kind that is reported, never skipped
//! silently.

use super::Object;
use bailiff_policy::image::{images, pod_of_template};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// A pod as a workload creates it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PodTemplate {
    /// Namespace of the object; none if the manifest has none.
    pub(crate) namespace: Option<String>,
    /// Labels of the pod.
    pub(crate) labels: Labels,
    /// The pod, or the template.
    source: Json,
    is_pod: bool,
}

impl PodTemplate {
    /// The pod in a namespace.
    pub(crate) fn pod(&self, namespace: &str) -> Json {
        if !self.is_pod {
            return pod_of_template(namespace, &self.source);
        }
        let mut pod = self.source.clone();
        if !pod["metadata"].is_object() {
            pod["metadata"] = json!({});
        }
        pod["metadata"]["namespace"] = namespace.into();
        pod
    }

    /// How many images it has.
    pub(crate) fn count_images(&self) -> usize {
        images(&self.source, None).len()
    }
}

/// What an object is for the check of images.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Manifest {
    /// It is a pod or creates pods.
    Pod(PodTemplate),
    /// It is a Namespace.
    Namespace {
        /// Its name.
        name: String,
        /// Its labels.
        labels: Labels,
    },
    /// Its kind has no pods that are known here, as `Service` or `Rollout.argoproj.io`.
    Other(String),
}

/// What an object is.
///
/// # Errors
/// The object has not the structure of its kind: the field, and what it must be.
pub(crate) fn manifest(object: &Object) -> Result<Manifest, String> {
    let api_version = object.text("/apiVersion");
    let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
    let template = match (group, object.text("/kind")) {
        ("", "Pod") => "",
        ("", "Namespace") => {
            return Ok(Manifest::Namespace {
                name: object.text("/metadata/name").to_owned(),
                labels: labels(&object.json, "metadata.labels")?,
            });
        }
        ("", "ReplicationController")
        | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job") => "spec.template",
        ("batch", "CronJob") => "spec.jobTemplate.spec.template",
        ("", kind) => return Ok(Manifest::Other(kind.to_owned())),
        (group, kind) => return Ok(Manifest::Other(format!("{kind}.{group}"))),
    };
    let field = |name: &str| match template {
        "" => name.to_owned(),
        template => format!("{template}.{name}"),
    };
    let of = at(&object.json, template);
    if !of["spec"].is_object() {
        return Err(format!("{} must be an object", field("spec")));
    }
    for list in [
        "containers",
        "initContainers",
        "ephemeralContainers",
        "volumes",
    ] {
        if !(of["spec"][list].is_array() || of["spec"][list].is_null()) {
            return Err(format!("{} must be a list", field(&format!("spec.{list}"))));
        }
    }
    Ok(Manifest::Pod(PodTemplate {
        namespace: match object.text("/metadata/namespace") {
            "" => None,
            namespace => Some(namespace.to_owned()),
        },
        labels: labels(of, &field("metadata.labels"))?,
        source: of.clone(),
        is_pod: template.is_empty(),
    }))
}

/// The value at a path of fields; null if it is absent.
fn at<'a>(object: &'a Json, path: &str) -> &'a Json {
    let fields = path.split('.').filter(|field| !field.is_empty());
    fields.fold(object, |object, field| &object[field])
}

/// The labels of an object or a template. `field`: their path, for the error.
fn labels(object: &Json, field: &str) -> Result<Labels, String> {
    let labels = match &object["metadata"]["labels"] {
        Json::Null => return Ok(Labels::new()),
        Json::Object(labels) => labels,
        _ => return Err(format!("{field} must be an object")),
    };
    let label = |(key, value): (&String, &Json)| match value.as_str() {
        Some(value) => Ok((key.clone(), value.to_owned())),
        None => Err(format!("{field}.{key} must be a string; add quotes")),
    };
    labels.iter().map(label).collect()
}
