//! The configuration of the running controller.
//!
//! Here: the environment of its Deployment. Not here: what the chart sets (`charts/bailiff`), and the
//! flags (`crates/bailiff`).
//! Invariant: a value that is set and cannot be parsed is an error, never a default.

use crate::Error;
use bailiff_response::{RateLimits, Settings};
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::Deployment;
use std::str::FromStr;

/// What of the configuration a response depends on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Configuration {
    /// Limits of all responses.
    pub(super) settings: Settings,
    /// Namespaces whose pods are never removed.
    pub(super) exempt_namespaces: Vec<String>,
    /// Namespaces in which pods of critical priority classes are never removed.
    pub(super) critical_namespaces: Vec<String>,
    /// The controller has the permission to delete pods.
    pub(super) allow_pod_deletion: bool,
}

impl Configuration {
    /// The configuration of a controller Deployment. A variable that is not set has the default of
    /// the flag.
    ///
    /// # Errors
    /// If a variable has an invalid value.
    pub(super) fn of(deployment: &Deployment) -> Result<Self, Error> {
        let environment = Environment(deployment);
        let defaults = Settings::default();
        let rates = RateLimits::default();
        Ok(Self {
            settings: Settings {
                max_grace_period_seconds: environment
                    .parse("BAILIFF_RESPONSE_MAX_GRACE_PERIOD_SECONDS")?
                    .unwrap_or(defaults.max_grace_period_seconds),
                max_age: environment
                    .parse::<SignedDuration>("BAILIFF_RESPONSE_MAX_AGE")?
                    .unwrap_or(defaults.max_age),
                rate_limits: RateLimits {
                    namespace_per_minute: environment
                        .parse("BAILIFF_RESPONSE_MAX_EVICTIONS_PER_MINUTE_PER_NAMESPACE")?
                        .unwrap_or(rates.namespace_per_minute),
                    cluster_per_minute: environment
                        .parse("BAILIFF_RESPONSE_MAX_EVICTIONS_PER_MINUTE")?
                        .unwrap_or(rates.cluster_per_minute),
                },
            },
            exempt_namespaces: environment.names("BAILIFF_EXEMPT_NAMESPACES", ""),
            critical_namespaces: environment.names("BAILIFF_CRITICAL_NAMESPACES", "kube-system"),
            allow_pod_deletion: environment
                .parse("BAILIFF_RESPONSE_ALLOW_POD_DELETION")?
                .unwrap_or(false),
        })
    }
}

struct Environment<'a>(&'a Deployment);

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let spec = self.0.spec.template.spec.as_ref()?;
        let container = spec.containers.iter().find(|c| c.name == "controller")?;
        let mut variables = container.env.iter().flatten();
        variables.find(|v| v.name == name)?.value.as_deref()
    }

    fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Error::Input(format!(
                "cannot read the configuration of Deployment bailiff-controller: {name} has the invalid value {text:?}; set the value of the chart and run `helm upgrade`"
            ))),
        }
    }

    fn names(&self, name: &str, default: &str) -> Vec<String> {
        let names = self.get(name).unwrap_or(default).split(',');
        let names = names.filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn deployment(environment: &Value) -> Deployment {
        from_value(
            json!({"metadata": {}, "spec": {"selector": {}, "template": {"spec": {
                "containers": [{"name": "controller", "env": environment}],
            }}}}),
        )
        .unwrap()
    }

    #[test]
    fn a_variable_that_is_not_set_has_the_default_of_the_flag() {
        let configuration = Configuration::of(&deployment(&json!([]))).unwrap();
        assert_eq!(configuration.settings, Settings::default());
        assert_eq!(configuration.exempt_namespaces, Vec::<String>::new());
        assert_eq!(configuration.critical_namespaces, ["kube-system"]);
        assert!(!configuration.allow_pod_deletion);
    }

    #[test]
    fn the_variables_of_the_chart_count() {
        let configuration = Configuration::of(&deployment(&json!([
            {"name": "BAILIFF_EXEMPT_NAMESPACES", "value": "a,b"},
            {"name": "BAILIFF_CRITICAL_NAMESPACES", "value": ""},
            {"name": "BAILIFF_RESPONSE_MAX_GRACE_PERIOD_SECONDS", "value": "30"},
            {"name": "BAILIFF_RESPONSE_MAX_AGE", "value": "5m"},
            {"name": "BAILIFF_RESPONSE_MAX_EVICTIONS_PER_MINUTE_PER_NAMESPACE", "value": "1"},
            {"name": "BAILIFF_RESPONSE_MAX_EVICTIONS_PER_MINUTE", "value": "2"},
            {"name": "BAILIFF_RESPONSE_ALLOW_POD_DELETION", "value": "true"},
        ])))
        .unwrap();
        assert_eq!(configuration.exempt_namespaces, ["a", "b"]);
        assert_eq!(configuration.critical_namespaces, Vec::<String>::new());
        assert_eq!(configuration.settings.max_grace_period_seconds, 30);
        assert_eq!(configuration.settings.max_age, SignedDuration::from_mins(5));
        let rates = configuration.settings.rate_limits;
        assert_eq!(
            (rates.namespace_per_minute, rates.cluster_per_minute),
            (1, 2)
        );
        assert!(configuration.allow_pod_deletion);
    }

    #[test]
    fn an_invalid_value_is_an_error() {
        let variable = json!([{"name": "BAILIFF_RESPONSE_MAX_AGE", "value": "soon"}]);
        assert_eq!(
            Configuration::of(&deployment(&variable))
                .unwrap_err()
                .to_string(),
            "cannot read the configuration of Deployment bailiff-controller: BAILIFF_RESPONSE_MAX_AGE has the invalid value \"soon\"; set the value of the chart and run `helm upgrade`"
        );
    }
}
