//! `bailiff images`: what policies say about the images of running pods.
//!
//! Here: flags and the run of the command. Not here: rows (`rows`), verdicts (`admission`).
//! Invariant: the command only reads. At most one page of pods is in memory beside the rows, and the number
//! of rows is bounded, whatever tenants run.

mod rows;
#[cfg(test)]
mod tests;

use crate::admission::{
    Answers, Asked, Outcome, Policies, Registry, RegistryArgs, RegistrySource, Settings, Wanted,
    namespace_object, verdicts, wanted,
};
use crate::manifests::Manifests;
use crate::objects::{self, Objects};
use crate::pipe::UntilClosed;
use crate::progress::reporting;
use crate::{ClusterArgs, Error, InstallationArgs};
use bailiff_api::keys::ANNOTATION_MIRROR_POD;
use bailiff_kube::client::from_kubeconfig;
use bailiff_policy::image::Mode;
use bailiff_response::messages::escaped;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::ListParams;
use kube::{Api, Client};
use rows::{Rows, workload};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  bailiff images --uncovered                     List the images that no policy selects
  bailiff images --policy policy.yaml            List what would be rejected if you bind the policy
  bailiff images --policy policy.yaml -n shop    The same, in a namespace
  bailiff images --policy policy.yaml --uncovered -o json

The references of pods that run or wait are evaluated as if the pods were created now: a pinned pod
has a digest. Pods are grouped by workload. A policy of --policy that no file of --policy binds is
evaluated as bound with Deny to all namespaces.

Exit codes: 0 success, 1 an error, 2 the command line is invalid, 3 a policy of --policy would deny
an image, 4 it would deny none and an image is NotChecked.";

/// The remedy for missing permissions.
const FORBIDDEN: &str = "this requires permission to list pods and namespaces of the cluster; set --namespace to read one namespace";
/// Problems that are reported one by one.
const PROBLEMS_LIMIT: usize = 20;
/// Characters of a text.
const TEXT_LIMIT: usize = 400;

/// Flags of `bailiff images`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("question").required(true).multiple(true))]
pub struct ImagesArgs {
    /// List the images that no policy selects
    #[arg(long, group = "question")]
    pub uncovered: bool,
    /// File or directory with image policies and their bindings. Can be repeated. Lists the images that
    /// they would not allow. If unset, the policies of the cluster apply
    #[arg(long, value_name = "FILE", group = "question")]
    pub policy: Vec<PathBuf>,
    /// Namespace of the pods. Defaults to all namespaces
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Labels of the pods
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Registries.
    #[command(flatten)]
    pub registry: RegistryArgs,
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
    /// A table.
    #[default]
    Table,
    /// JSON.
    Json,
}

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// Runs the command.
///
/// # Errors
/// If a policy cannot be read, a request fails or the output cannot be written.
pub async fn run(
    args: &ImagesArgs,
    input: &mut impl Read,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Outcome, Error> {
    let (out, err) = (&mut UntilClosed::new(out), &mut UntilClosed::new(err));
    let files = Manifests::read(&args.policy, false, input);
    let cluster = &args.cluster;
    let person = from_kubeconfig(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
    let (registry, note) = if args.policy.is_empty() {
        // Whether a policy selects an image needs no registry.
        (RegistrySource::Offline, None)
    } else {
        let cluster = Some((&person.client, &*args.installation.bailiff_namespace));
        Box::pin(RegistrySource::of(&args.registry, cluster)).await?
    };
    if let Some(note) = note {
        writeln!(err, "note: {note}")?;
    }
    Box::pin(list(args, files, &person.client, &registry, out, err)).await
}

async fn list(
    args: &ImagesArgs,
    files: Manifests,
    client: &Client,
    registry: &impl Registry,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Outcome, Error> {
    let policies = if args.policy.is_empty() {
        Policies::of_cluster(client, &args.installation.bailiff_namespace).await?
    } else {
        let (mut settings, note) =
            Settings::read(client, &args.installation.bailiff_namespace).await?;
        // The question is what the policy does when it is enforced.
        settings.mode = Mode::Enforce;
        let mut policies = Policies::of_files(files, settings);
        policies.notes.extend(note);
        policies
    };
    let mut reader = Reader {
        client,
        args,
        policies: &policies,
        namespaces: BTreeMap::new(),
        rows: Rows::new(args.uncovered, !args.policy.is_empty()),
        errors: policies.errors.clone(),
        problems: 0,
    };
    let progress = Progress::default();
    let work = Box::pin(reader.read(registry, &progress));
    reporting(work, &mut *err, || progress.line()).await?;
    reader.finish(out, err)
}

/// How much was read.
#[derive(Default)]
struct Progress {
    pods: Cell<usize>,
    asked: Asked,
}

impl Progress {
    fn line(&self) -> String {
        let (done, all) = (self.asked.done.get(), self.asked.all.get());
        format!(
            "Read {} pods, looked up {done} of {all} images",
            self.pods.get()
        )
    }
}

/// Reads pods page by page.
struct Reader<'a> {
    client: &'a Client,
    args: &'a ImagesArgs,
    policies: &'a Policies,
    namespaces: BTreeMap<String, Labels>,
    rows: Rows,
    errors: Vec<String>,
    /// Objects that cannot be decoded.
    problems: usize,
}

impl Reader<'_> {
    async fn read(&mut self, registry: &impl Registry, progress: &Progress) -> Result<(), Error> {
        self.read_namespaces().await?;
        let api = match &self.args.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut params =
            ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed");
        if let Some(selector) = &self.args.selector {
            params = params.labels(selector);
        }
        let mut answers = Answers::default();
        loop {
            let page = objects::page::<Pod>(&api, &mut params).await;
            let page = page
                .map_err(|error| Error::from_request("list pods".to_owned(), FORBIDDEN, &error))?;
            progress
                .pods
                .set(progress.pods.get() + page.objects.items.len());
            self.evaluate(page.objects, registry, &mut answers, &progress.asked)
                .await?;
            match page.next {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(()),
            }
        }
    }

    async fn read_namespaces(&mut self) -> Result<(), Error> {
        let failed = |error: &kube::Error| {
            Error::from_request("read the labels of namespaces".to_owned(), FORBIDDEN, error)
        };
        let namespaces = if let Some(name) = &self.args.namespace {
            let api = Api::<Namespace>::all(self.client.clone());
            vec![api.get(name).await.map_err(|error| failed(&error))?]
        } else {
            let all = objects::list_all::<Namespace>(self.client).await;
            let all = all.map_err(|error| failed(&error))?;
            self.report_problems("Namespace", &all);
            all.items
        };
        for namespace in namespaces {
            let name = namespace.metadata.name.unwrap_or_default();
            let labels = namespace.metadata.labels.unwrap_or_default();
            self.namespaces.insert(name, labels);
        }
        Ok(())
    }

    fn report_problems<K>(&mut self, kind: &str, objects: &Objects<K>) {
        // A status that cannot be decoded does not matter here.
        let whole = objects
            .problems
            .iter()
            .filter(|problem| !problem.is_partial);
        for problem in whole {
            self.problems += 1;
            if self.problems <= PROBLEMS_LIMIT {
                let text = format!(
                    "cannot decode {kind} {}/{}: {}; use the version of bailiff that runs in the cluster",
                    problem.namespace, problem.name, problem.cause
                );
                self.errors.push(escaped(&text, TEXT_LIMIT));
            }
        }
    }

    /// Adds the pods of a page to the rows.
    async fn evaluate(
        &mut self,
        page: Objects<Pod>,
        registry: &impl Registry,
        answers: &mut Answers,
        asked: &Asked,
    ) -> Result<(), Error> {
        self.report_problems("Pod", &page);
        let mut pods = Vec::new();
        let mut needed = Wanted::new();
        let policies = self.policies;
        for pod in &page.items {
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            if !self.know(&namespace).await? {
                continue;
            }
            let none = Labels::new();
            let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
            let of_namespace = self.namespaces.get(&namespace).unwrap_or(&none);
            let bound = policies
                .bound(&namespace, of_namespace, labels)
                .filter(|_| !is_static(pod));
            let json = serde_json::to_value(pod)?;
            if let Some(bound) = &bound {
                needed.extend(wanted(bound, &json));
            }
            pods.push((namespace, workload(pod), json, bound));
        }
        answers.ask(registry, needed, asked).await;
        for (namespace, workload, json, bound) in pods {
            let none = Labels::new();
            let labels = self.namespaces.get(&namespace).unwrap_or(&none);
            let object = namespace_object(&namespace, labels);
            for image in verdicts(bound.as_deref(), &json, &object, answers.lookups()) {
                self.rows.add(&namespace, &workload, image);
            }
        }
        Ok(())
    }

    /// Reads the labels of a namespace that was created after the others were read. Returns whether it
    /// still exists.
    async fn know(&mut self, name: &str) -> Result<bool, Error> {
        if self.namespaces.contains_key(name) {
            return Ok(true);
        }
        let api = Api::<Namespace>::all(self.client.clone());
        let found = api.get_opt(name).await.map_err(|error| {
            Error::from_request(format!("read Namespace {name}"), FORBIDDEN, &error)
        })?;
        let labels = found.map(|namespace| namespace.metadata.labels.unwrap_or_default());
        let exists = labels.is_some();
        self.namespaces
            .extend(labels.map(|labels| (name.to_owned(), labels)));
        Ok(exists)
    }

    fn finish(&self, out: &mut impl Write, err: &mut impl Write) -> Result<Outcome, Error> {
        match self.args.output {
            Output::Json => {
                let json = self.rows.json(&self.policies.notes, &self.errors);
                writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
            }
            Output::Table => {
                for line in self.rows.lines() {
                    writeln!(out, "{line}")?;
                }
            }
        }
        out.flush()?;
        for note in &self.policies.notes {
            writeln!(err, "note: {note}")?;
        }
        for error in &self.errors {
            writeln!(err, "error: {error}")?;
        }
        let failed = self.errors.len() + self.problems.saturating_sub(PROBLEMS_LIMIT);
        if failed > 0 {
            return Err(Error::Incomplete { failed });
        }
        if self.rows.left_out > 0 {
            return Err(Error::Input(format!(
                "cannot list all images: there are more than {} rows; set --namespace or --selector",
                rows::ROWS_LIMIT
            )));
        }
        Ok(if self.args.policy.is_empty() {
            Outcome::Allowed
        } else {
            Outcome::of(self.rows.verdicts(), false)
        })
    }
}

/// Whether the kubelet reports a pod of a file of its node, which Bailiff does not evaluate.
fn is_static(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key(ANNOTATION_MIRROR_POD))
}
