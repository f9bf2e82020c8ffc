//! `bailiff check`: what the webhook would say about the images of manifests.
//!
//! Here: flags, the labels of namespaces, the run of the command. Not here: reading manifests
//! (`manifests`), verdicts (`admission`), the output (`output`).
//! Invariant: nothing is written to the cluster; a document that cannot be read hides no other and fails
//! the command.

mod namespaces;
mod output;
#[cfg(test)]
mod tests;

use crate::admission::{
    Answers, Asked, ImageVerdict, Outcome, Policies, Registry, RegistryArgs, RegistrySource,
    Settings, Wanted, namespace_object, verdicts, wanted,
};
use crate::manifests::{Labels, Manifest, Manifests, Object, manifest};
use crate::pipe::UntilClosed;
use crate::progress::reporting;
use crate::{ClusterArgs, Error, InstallationArgs};
use bailiff_kube::client::{ClientError, KubeconfigClient, from_kubeconfig};
use bailiff_response::messages::escaped;
use namespaces::{LabelSource, Namespaces};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  bailiff check -f deploy/                                Check with the policies of the cluster
  bailiff check -f deploy/ --policy policies/ --offline   Check without cluster and registries
  helm template web ./chart | bailiff check -f - --policy policies/
  bailiff check -f pod.yaml -o json | jq '.objects[].images[] | select(.verdict == \"Denied\")'

A policy of --policy that no file of --policy binds is evaluated as bound with Deny to all
namespaces. Verdicts: Allowed, Uncovered (no policy selects the image), Exempt (Bailiff does not
evaluate the namespace), Audited, Warned, NotChecked (the registry gave no answer), Denied.

Exit codes: 0 no image is denied, 1 an error, 2 the command line is invalid, 3 an image is denied,
4 none is denied and an image is NotChecked.";

/// Flags of `bailiff check`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// File or directory with manifests; - for standard input. Can be repeated
    #[arg(short, long, value_name = "FILE", required = true)]
    pub filename: Vec<PathBuf>,
    /// Include the subdirectories of directories
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// File or directory with image policies and their bindings. Can be repeated. If unset, those of
    /// the cluster apply
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Namespace of objects without one. Defaults to the namespace of the context
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Registries.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Verdicts that fail the command
    #[arg(long, value_name = "VERDICT", default_value = "deny")]
    pub fail_on: FailOn,
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

/// Verdicts that fail the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// Denied images.
    #[default]
    Deny,
    /// Denied images, and those with a warning.
    Warn,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A table.
    #[default]
    Table,
    /// JSON.
    Json,
}

/// Images of a run.
const IMAGES_LIMIT: usize = 100_000;
/// Characters of a cause in a message.
const TEXT_LIMIT: usize = 400;

/// An object that is a pod or creates pods.
struct Subject {
    object: Object,
    namespace: String,
    /// Labels of the pod.
    labels: Labels,
    /// The pod, in the namespace.
    pod: Json,
}

/// The verdicts about the images of an object.
struct Checked {
    object: Object,
    namespace: String,
    labels: LabelSource,
    images: Vec<ImageVerdict>,
}

/// The result of the command.
#[derive(Default)]
struct Report {
    objects: Vec<Checked>,
    /// Kinds without pods, and how many objects of each there are.
    skipped: BTreeMap<String, usize>,
    notes: Vec<String>,
    errors: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// If a document or a policy cannot be read, a request fails or the output cannot be written.
pub async fn run(
    args: &CheckArgs,
    input: &mut impl Read,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Outcome, Error> {
    let (out, err) = (&mut UntilClosed::new(out), &mut UntilClosed::new(err));
    let manifests = Manifests::read(&args.filename, args.recursive, input);
    let policies = if args.policy.is_empty() {
        None
    } else {
        let files = Manifests::read(&args.policy, args.recursive, input);
        let settings = Settings::default_of(&args.installation.bailiff_namespace);
        Some(Policies::of_files(files, settings))
    };
    let ClusterArgs {
        kubeconfig,
        context,
    } = &args.cluster;
    let cluster = match from_kubeconfig(kubeconfig.as_deref(), context.as_deref()).await {
        Ok(cluster) => Some(cluster),
        // With policies in files, a cluster is needed only if one is named.
        Err(_) if policies.is_some() && kubeconfig.is_none() && context.is_none() => None,
        Err(error @ ClientError::Kubeconfig { .. }) if policies.is_none() => {
            let remedy = "or set --policy to check with policies of files";
            return Err(Error::Input(format!("{error}, {remedy}")));
        }
        Err(error) => return Err(error.into()),
    };
    let of_cluster = cluster.as_ref().filter(|_| policies.is_none());
    let of_cluster =
        of_cluster.map(|cluster| (&cluster.client, &*args.installation.bailiff_namespace));
    let (registry, note) = Box::pin(RegistrySource::of(&args.registry, of_cluster)).await?;
    if let Some(note) = note {
        writeln!(err, "note: {note}")?;
    }
    Box::pin(check(
        args, manifests, policies, cluster, &registry, out, err,
    ))
    .await
}

async fn check(
    args: &CheckArgs,
    manifests: Manifests,
    policies: Option<Policies>,
    cluster: Option<KubeconfigClient>,
    registry: &impl Registry,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Outcome, Error> {
    let are_of_cluster = policies.is_none();
    let policies = match (policies, &cluster) {
        (Some(policies), _) => policies,
        (None, Some(cluster)) => {
            Box::pin(Policies::of_cluster(
                &cluster.client,
                &args.installation.bailiff_namespace,
            ))
            .await?
        }
        (None, None) => {
            return Err(Error::Input(
                "cannot read policies: there is no cluster; set --policy or --kubeconfig"
                    .to_owned(),
            ));
        }
    };
    let mut report = Report {
        notes: policies.notes.clone(),
        errors: policies.errors.clone(),
        ..Report::default()
    };
    report.errors.extend(manifests.errors);
    let default = args.namespace.clone().unwrap_or_else(|| {
        let of_context = cluster.as_ref().map(|cluster| cluster.namespace.clone());
        of_context.unwrap_or_else(|| "default".to_owned())
    });
    let mut namespaces = Namespaces::new(cluster.map(|cluster| cluster.client), are_of_cluster);
    let subjects = subjects(manifests.objects, &default, &mut namespaces, &mut report);
    for subject in &subjects {
        namespaces.read(&subject.namespace).await?;
    }
    report.notes.extend(namespaces.note());
    let bound = |subject: &Subject| {
        let labels = namespaces.labels(&subject.namespace);
        policies.bound(&subject.namespace, labels, &subject.labels)
    };
    let needed = subjects.iter().flat_map(|subject| {
        let bound = bound(subject).unwrap_or_default();
        wanted(&bound, &subject.pod)
    });
    let needed: Wanted = needed.collect();
    let (mut answers, asked) = (Answers::default(), Asked::default());
    reporting(answers.ask(registry, needed, &asked), &mut *err, || {
        let (done, all) = (asked.done.get(), asked.all.get());
        format!("Looked up {done} of {all} images")
    })
    .await;
    let mut checked = Vec::new();
    for subject in subjects {
        let bound = bound(&subject);
        let labels = namespaces.labels(&subject.namespace);
        let namespace = namespace_object(&subject.namespace, labels);
        let pod = &subject.pod;
        let images = verdicts(bound.as_deref(), pod, &namespace, answers.lookups());
        let labels = namespaces.source(&subject.namespace);
        checked.push(Checked {
            object: subject.object,
            namespace: subject.namespace,
            labels,
            images,
        });
    }
    report.objects = checked;
    finish(args, &report, out, err)
}

/// The objects with pods. What has none is counted, and Namespaces are learned.
fn subjects(
    objects: Vec<Object>,
    default: &str,
    namespaces: &mut Namespaces,
    report: &mut Report,
) -> Vec<Subject> {
    let mut subjects = Vec::new();
    let mut count = 0;
    for object in objects {
        match manifest(&object) {
            Ok(Manifest::Pod(template)) => {
                count += template.count_images();
                if count > IMAGES_LIMIT {
                    let (name, place) = (object.name(), &object.place);
                    report.errors.push(format!(
                        "cannot check {name} of {place} and what follows: there are more than {IMAGES_LIMIT} images; check fewer files at once"
                    ));
                    break;
                }
                let namespace = template.namespace.clone();
                let namespace = namespace.unwrap_or_else(|| default.to_owned());
                subjects.push(Subject {
                    pod: template.pod(&namespace),
                    labels: template.labels,
                    namespace,
                    object,
                });
            }
            Ok(Manifest::Namespace { name, labels }) => namespaces.learn(name, labels),
            Ok(Manifest::Other(kind)) => *report.skipped.entry(kind).or_default() += 1,
            Err(cause) => {
                let (name, place) = (object.name(), &object.place);
                let cause = escaped(&cause, TEXT_LIMIT);
                report.errors.push(format!(
                    "cannot check {name} of {place}: {cause}; fix the manifest"
                ));
            }
        }
    }
    subjects
}

fn finish(
    args: &CheckArgs,
    report: &Report,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Outcome, Error> {
    match args.output {
        Output::Json => {
            let json = output::json(report);
            writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        }
        Output::Table => {
            for line in output::lines(report) {
                writeln!(out, "{line}")?;
            }
        }
    }
    out.flush()?;
    for note in report.notes.iter().chain(&output::skipped(report)) {
        writeln!(err, "note: {note}")?;
    }
    for error in &report.errors {
        writeln!(err, "error: {error}")?;
    }
    let failed = report.errors.len();
    if failed > 0 {
        return Err(Error::Incomplete { failed });
    }
    let verdicts = report.objects.iter().flat_map(|object| &object.images);
    Ok(Outcome::of(
        verdicts.map(|image| image.verdict),
        args.fail_on == FailOn::Warn,
    ))
}
