//! What the webhook is configured with, as far as verdicts depend on it.
//!
//! Here: the environment of its Deployment. Not here: what the chart sets (`charts/bailiff`).
//! Invariant: a value that is set and cannot be parsed is an error, never a default.

use crate::Error;
use bailiff_api::exempt_namespaces;
use bailiff_policy::image::Mode;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};
use std::collections::BTreeSet;

/// Name of the Deployment, and of its container without the prefix.
const DEPLOYMENT: &str = "bailiff-webhook";

/// Settings of the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether bindings have their own actions.
    pub(crate) mode: Mode,
    /// Namespaces whose pods are not evaluated.
    pub(crate) exempt: BTreeSet<String>,
}

impl Settings {
    /// The defaults of a Bailiff in this namespace.
    pub(crate) fn default_of(namespace: &str) -> Self {
        Self {
            mode: Mode::Enforce,
            exempt: exempt_namespaces(namespace, []),
        }
    }

    /// The settings of the webhook in this namespace, or the defaults and why it is them.
    ///
    /// # Errors
    /// A variable of the Deployment has a value that is not valid.
    pub(crate) async fn read(
        client: &Client,
        namespace: &str,
    ) -> Result<(Self, Option<String>), Error> {
        let api = Api::<Deployment>::namespaced(client.clone(), namespace);
        let cause = match api.get_opt(DEPLOYMENT).await {
            Ok(Some(deployment)) => return Ok((Self::of(&deployment, namespace)?, None)),
            Ok(None) => format!("Deployment {DEPLOYMENT} not found in namespace {namespace}"),
            Err(error) => format!(
                "cannot read Deployment {namespace}/{DEPLOYMENT}: {}",
                crate::cause(&error)
            ),
        };
        let note = format!(
            "{cause}; the defaults are used: mode Enforce, and exempt namespaces kube-system and {namespace}. If Bailiff is installed in another namespace, set --bailiff-namespace"
        );
        Ok((Self::default_of(namespace), Some(note)))
    }

    pub(super) fn of(deployment: &Deployment, namespace: &str) -> Result<Self, Error> {
        let spec = deployment.spec.template.spec.as_ref();
        let mut containers = spec.iter().flat_map(|spec| &spec.containers);
        let container = containers.find(|container| container.name == "webhook");
        let variables = container.and_then(|container| container.env.as_ref());
        let variable = |name: &str| {
            let mut all = variables.into_iter().flatten();
            all.find(|variable| variable.name == name)?.value.as_deref()
        };
        let mut settings = Self::default_of(namespace);
        settings.mode = match variable("BAILIFF_IMAGE_POLICIES_MODE") {
            None | Some("Enforce") => Mode::Enforce,
            Some("Audit") => Mode::Audit,
            Some(other) => {
                return Err(Error::Input(format!(
                    "cannot read the configuration of Deployment {DEPLOYMENT}: BAILIFF_IMAGE_POLICIES_MODE has the invalid value {other:?}; set the value imagePolicies.mode of the chart and run `helm upgrade`"
                )));
            }
        };
        let names = variable("BAILIFF_EXEMPT_NAMESPACES").unwrap_or_default();
        settings.exempt = exempt_namespaces(namespace, names.split(','));
        Ok(settings)
    }
}
