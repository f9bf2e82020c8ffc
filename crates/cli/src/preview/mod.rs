//! `bailiff preview`: what would happen to the pods of a workload at a violation now.
//!
//! Here: flags and the run of the command. Not here: what is read (`gather`), the decision
//! (`bailiff_response::preview`), the output (`output`).
//! Invariant: the command changes nothing; the decision is that of enforcement; what could not be
//! checked is reported as such.

mod configuration;
mod eviction;
mod gather;
mod output;
#[cfg(test)]
mod tests;
mod workload;

use crate::{ClusterArgs, Error, InstallationArgs};
use bailiff_api::Origin;
use bailiff_kube::client::from_kubeconfig;
use bailiff_response::preview::Preview;
use bailiff_response::{DryRun, Lookup, Owner};
use gather::{Cluster, PodInput};
use jiff::Timestamp;
use kube::Client;
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  bailiff preview deployment/web -n shop           Preview each pod of a Deployment
  bailiff preview pod/web-0 -n shop                Preview a pod
  bailiff preview statefulset/db -n shop -o json   Print JSON
  bailiff preview deployment/web --executable /bin/nc --origin Entrypoint

The result is for the policies, bindings and limits of now. Whether a process violates a policy is
not evaluated: each policy that applies to a pod is taken as violated. PodDisruptionBudgets and
admission webhooks are checked with a dry run of the eviction, if you have the permission. The
responses that wait before it, and the bad-policy guard, are those of now.

Exit codes: 0 success, 1 the preview failed, 2 the command line is invalid.";

/// Flags of `bailiff preview`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PreviewArgs {
    /// Workload or pod, such as deployment/web
    #[arg(value_name = "KIND/NAME", value_parser = workload::parse)]
    pub workload: workload::Target,
    /// Namespace of the workload. Defaults to the namespace of the context
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Executable of the violating process, for the text of the Events
    #[arg(long, value_name = "PATH", default_value = "/bin/sh")]
    pub executable: String,
    /// Origin of the violating process. Must be Entrypoint, Exec, Probe, Lifecycle or Unknown
    #[arg(long, value_name = "ORIGIN", default_value = "Exec", value_parser = origin)]
    pub origin: Origin,
    /// Installation.
    #[command(flatten)]
    pub installation: InstallationArgs,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
    /// Cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A table, and the details of each distinct result.
    #[default]
    Table,
    /// JSON.
    Json,
}

fn origin(text: &str) -> Result<Origin, String> {
    let known = Origin::ALL.iter().find(|origin| origin.as_str() == text);
    known
        .copied()
        .ok_or_else(|| "must be Entrypoint, Exec, Probe, Lifecycle or Unknown".to_owned())
}

/// What would happen to a pod.
struct PodPreview {
    name: String,
    namespace: String,
    /// Kind and name of the workload; `None` if the pod has none.
    workload: Option<(String, String)>,
    /// One for each policy that applies.
    results: Vec<PolicyPreview>,
}

/// What would happen at a violation of a policy.
struct PolicyPreview {
    preview: Preview,
    /// Why the API server's decision about the eviction was not checked; `None` if it was, or if Bailiff
    /// would not evict the pod.
    unchecked: Option<String>,
    /// Why it is not known whether the bad-policy guard would pause a binding; `None` if it is known.
    unchecked_guard: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// If a request fails, the client cannot be built or the output cannot be written.
pub async fn run(
    args: &PreviewArgs,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<(), Error> {
    let cluster = &args.cluster;
    let person = from_kubeconfig(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
    let namespace = args.namespace.clone().unwrap_or(person.namespace);
    Box::pin(show(args, &person.client, &namespace, out, err)).await
}

async fn show(
    args: &PreviewArgs,
    client: &Client,
    namespace: &str,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<(), Error> {
    // The futures are large, so each gets an allocation of its own.
    let mut pods = Box::pin(workload::pods(client, namespace, &args.workload)).await?;
    pods.sort_by(|a, b| a.0.metadata.name.cmp(&b.0.metadata.name));
    let now = Timestamp::now();
    let mut cluster = Box::pin(Cluster::read(
        client,
        namespace,
        &args.installation.bailiff_namespace,
        now,
    ))
    .await?;
    for warning in cluster.warnings() {
        writeln!(err, "warning: {warning}")?;
    }
    let mut previews = Vec::new();
    for (pod, owner) in pods {
        let input = cluster.input(&pod, owner, &args.executable, args.origin);
        previews.push(Box::pin(of_pod(client, &mut cluster, input, now)).await);
    }
    match args.output {
        Output::Json => writeln!(
            out,
            "{}",
            serde_json::to_string_pretty(&output::json(namespace, &previews))?
        )?,
        Output::Table => {
            for line in output::lines(&previews, now) {
                writeln!(out, "{line}")?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// Previews each policy that applies to a pod.
async fn of_pod(
    client: &Client,
    cluster: &mut Cluster,
    mut pod: PodInput,
    now: Timestamp,
) -> PodPreview {
    let mut results = Vec::new();
    for policy in &mut pod.policies {
        let mut result = cluster.preview(&pod.input, policy, now);
        let mut unchecked_guard = None;
        if !result.uncounted.is_empty() {
            let counted = Box::pin(cluster.count(client, policy, &result.uncounted));
            unchecked_guard = counted.await.err();
            result = cluster.preview(&pod.input, policy, now);
        }
        let evicted = result.eviction_grace_period_seconds;
        if let (Some(grace_period_seconds), Lookup::Found(facts)) = (evicted, &pod.input.pod) {
            let request = eviction::Request {
                namespace: &pod.input.namespace,
                pod: &pod.input.pod_name,
                uid: &facts.uid,
                grace_period_seconds,
            };
            policy.dry_run = Some(request.send(client).await);
            result = cluster.preview(&pod.input, policy, now);
        }
        if unchecked_guard.is_some() {
            result.guards.clear();
        }
        let unchecked = match &policy.dry_run {
            Some(DryRun::NotChecked(why)) => Some(why.clone()),
            Some(DryRun::Accepted | DryRun::Rejected(_)) | None => None,
        };
        results.push(PolicyPreview {
            preview: result,
            unchecked,
            unchecked_guard,
        });
    }
    PodPreview {
        name: pod.input.pod_name,
        namespace: pod.input.namespace,
        workload: match pod.input.owner {
            Owner::Workload(workload) | Owner::Released(workload) => {
                Some((workload.kind, workload.name))
            }
            Owner::None | Owner::Unknown(_) => None,
        },
        results,
    }
}
