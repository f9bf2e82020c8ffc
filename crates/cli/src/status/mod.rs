//! `bailiff status`: whether Bailiff works in a cluster.
//!
//! Here: flags, what is read, what is printed. Not here: what it means (`checks`).
//! Invariant: it only reads; what could not be read is never fine.

mod checks;
#[cfg(test)]
mod tests;

use crate::{ClusterArgs, Error, table};
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_kube::client::as_kubectl;
use checks::{Found, State};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client};
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  bailiff status                      whether everything works, a line for each check
  bailiff status -n security          where Bailiff is not in bailiff-system
  helm test bailiff -n bailiff-system the same, run in the cluster

Exit codes: 0 everything works, 1 something does not or could not be checked, 2 the command is not
valid.";

/// Flags of `bailiff status`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// Namespace that Bailiff is installed in
    #[arg(short, long, value_name = "NAME", default_value = "bailiff-system")]
    pub namespace: String,
    /// Which cluster
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs the command.
///
/// # Errors
/// When a check does not pass, there is no client, or the output can't be written.
pub async fn run(args: &StatusArgs, out: &mut impl Write) -> Result<(), Error> {
    let cluster = &args.cluster;
    let person = as_kubectl(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
    // A large future, which need not lie in this one.
    let found = Box::pin(look(person.client, &args.namespace)).await;
    let checks = checks::checks(&found, &args.namespace, Timestamp::now());
    let rows: Vec<_> = checks
        .iter()
        .map(|check| {
            vec![
                check.what.clone(),
                check.state.word().to_owned(),
                check.detail.clone(),
            ]
        })
        .collect();
    for line in table::lines(Some(&["CHECK", "STATE", "DETAIL"]), &rows) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    let failed = checks.iter().filter(|c| c.state != State::Works).count();
    if failed > 0 {
        return Err(Error::NotWell {
            failed,
            all: checks.len(),
        });
    }
    Ok(())
}

async fn look(client: Client, namespace: &str) -> Found {
    let (deployments, daemon_sets, leases) = (
        Api::<Deployment>::namespaced(client.clone(), namespace),
        Api::<DaemonSet>::namespaced(client.clone(), namespace),
        Api::<Lease>::namespaced(client.clone(), namespace),
    );
    let (protections, confined_by) = (
        Api::<ValidatingAdmissionPolicy>::all(client.clone()),
        Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()),
    );
    let (policies, bindings) = (
        Api::<RuntimePolicy>::all(client.clone()),
        Api::<RuntimePolicyBinding>::all(client),
    );
    let all = ListParams::default();
    let (
        controller,
        lease,
        sensor,
        protection,
        protection_binding,
        status_protection,
        status_protection_binding,
        policies,
        bindings,
    ) = futures::join!(
        deployments.get_opt("bailiff-controller"),
        leases.get_opt(keys::CONTROLLER_LEASE),
        daemon_sets.get_opt("bailiff-sensor"),
        protections.get_opt(keys::INCIDENT_PROTECTION),
        confined_by.get_opt(keys::INCIDENT_PROTECTION),
        protections.get_opt(keys::POLICY_STATUS_PROTECTION),
        confined_by.get_opt(keys::POLICY_STATUS_PROTECTION),
        policies.list(&all),
        bindings.list(&all),
    );
    let said = |error: kube::Error| match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    Found {
        controller: controller.map_err(said),
        lease: lease.map_err(said),
        sensor: sensor.map_err(said),
        protection: protection.map_err(said),
        protection_binding: protection_binding.map_err(said),
        status_protection: status_protection.map_err(said),
        status_protection_binding: status_protection_binding.map_err(said),
        policies: policies.map(|list| list.items).map_err(said),
        bindings: bindings.map(|list| list.items).map_err(said),
    }
}
