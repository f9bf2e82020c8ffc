//! `bailiff incidents`: lists, watches and shows Incidents.
//!
//! Here: flags, requests and the choice of the output format. Not here: tables (`list`) and pages
//! (`show`).
//! Invariant: the command only reads; an Incident that cannot be decoded does not hide others.

mod list;
mod show;
#[cfg(test)]
mod tests;

use crate::objects::{self, Problem};
use crate::{ClusterArgs, Color, Error};
use bailiff_api::Incident;
use bailiff_kube::client::from_kubeconfig;
use bailiff_kube::decode::Decoded;
use bailiff_response::messages::escaped;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::json;
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  bailiff incidents                  List the Incidents of the current namespace, newest first
  bailiff incidents -A -o wide       List all Incidents, with count, node and replacement
  bailiff incidents -n shop --watch  List the Incidents of a namespace, then watch for changes
  bailiff incidents NAME             Show an Incident with its process and the ancestors
  bailiff incidents -A -o json | jq '.items[].spec.process.args'

If the binary is called kubectl-bailiff and in the PATH, `kubectl bailiff incidents` works as well.

Exit codes: 0 success, 1 the request failed, 2 the command line is invalid.";

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A table; with NAME, a page for each Incident.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// The objects as JSON.
    Json,
    /// The objects as YAML.
    Yaml,
    /// `incident.bailiff.dev/NAME`, for scripts.
    Name,
}

/// Flags of `bailiff incidents`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct IncidentsArgs {
    /// Names of the Incidents to show. If unset, all are listed
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Namespace. Defaults to the namespace of the context
    #[arg(short, long, value_name = "NAME", conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// List the Incidents of all namespaces
    #[arg(short = 'A', long, conflicts_with = "names")]
    pub all_namespaces: bool,
    /// Selects Incidents by label, for example bailiff.dev/policy=no-shells-through-exec
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "names")]
    pub selector: Option<String>,
    /// List, then watch for changes
    #[arg(short, long, conflicts_with = "names")]
    pub watch: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
    /// Omit the column names
    #[arg(long)]
    pub no_headers: bool,
    /// When to color the output
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Where the output goes.
#[derive(Debug)]
pub struct Terminal<'a, O, E> {
    /// The output.
    pub out: &'a mut O,
    /// Warnings.
    pub err: &'a mut E,
    /// The output is colored.
    pub color: bool,
}

/// Runs the command.
///
/// # Errors
/// If a request fails or the output cannot be written.
pub async fn run(
    args: &IncidentsArgs,
    mut to: Terminal<'_, impl Write, impl Write>,
) -> Result<(), Error> {
    let cluster = &args.cluster;
    let person = from_kubeconfig(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
    let namespace = args.namespace.clone().unwrap_or(person.namespace);
    let (scope, place) = if args.all_namespaces {
        (None, "any namespace".to_owned())
    } else {
        (Some(namespace.as_str()), format!("namespace {namespace}"))
    };
    if !args.names.is_empty() {
        return show_all(args, person.client, &namespace, &mut to).await;
    }
    if args.watch {
        return follow(args, decoding(person.client, scope), &mut to).await;
    }
    let mut incidents = Vec::new();
    let params = ListParams {
        label_selector: args.selector.clone(),
        ..ListParams::default()
    };
    let api = decoding(person.client, scope);
    let problems = objects::list(&api, params, |incident: Incident| incidents.push(incident))
        .await
        .map_err(|error| {
            Error::from_request(format!("list incidents in {place}"), FORBIDDEN, &error)
        })?;
    let found_none = incidents.is_empty() && problems.is_empty();
    let incidents = list::newest_first(incidents);
    warn(&problems, &mut to)?;
    if found_none && matches!(args.output, Output::Table | Output::Wide) {
        writeln!(to.err, "No incidents in {place}.")?;
        return Ok(());
    }
    print(args, &incidents, args.no_headers, false, &mut to)
}

/// The remedy for missing permissions.
const FORBIDDEN: &str = "reading Incidents requires the ClusterRole edit or admin in the namespace, because they can contain passwords";

/// Incidents, each decoded by itself.
fn decoding(client: Client, namespace: Option<&str>) -> Api<Decoded<Incident>> {
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// Warns about what cannot be decoded.
fn warn(problems: &[Problem], to: &mut Terminal<'_, impl Write, impl Write>) -> Result<(), Error> {
    for problem in problems {
        writeln!(to.err, "{}", warning(problem))?;
    }
    Ok(())
}

fn warning(problem: &Problem) -> String {
    let part = if problem.is_partial {
        "the status of "
    } else {
        ""
    };
    format!(
        "warning: cannot decode {part}incident {} in namespace {}: {}; use the version of bailiff that runs in the cluster",
        escaped(&problem.name, 253),
        escaped(&problem.namespace, 63),
        escaped(&problem.cause, 400),
    )
}

async fn show_all(
    args: &IncidentsArgs,
    client: Client,
    namespace: &str,
    to: &mut Terminal<'_, impl Write, impl Write>,
) -> Result<(), Error> {
    let api = decoding(client, Some(namespace));
    let (mut incidents, mut problems) = (Vec::new(), Vec::new());
    for name in &args.names {
        let name = name.rsplit('/').next().unwrap_or(name);
        let object = api.get(name).await.map_err(|error| {
            let action = format!("read incident {name} in namespace {namespace}");
            Error::from_request(action, FORBIDDEN, &error)
        })?;
        incidents.extend(objects::decoded(object, &mut problems));
    }
    if let Some(problem) = problems.iter().find(|p| !p.is_partial) {
        let message = warning(problem);
        let message = message.trim_start_matches("warning: ");
        return Err(Error::Input(message.to_owned()));
    }
    warn(&problems, to)?;
    print(args, &incidents, args.no_headers, true, to)
}

fn print(
    args: &IncidentsArgs,
    incidents: &[Incident],
    no_headers: bool,
    pages: bool,
    to: &mut Terminal<'_, impl Write, impl Write>,
) -> Result<(), Error> {
    let now = Timestamp::now();
    let object = || match (pages, incidents) {
        (true, [one]) => serde_json::to_value(one),
        _ => Ok(json!({"apiVersion": "v1", "kind": "List", "items": incidents})),
    };
    match args.output {
        Output::Json => writeln!(to.out, "{}", serde_json::to_string_pretty(&object()?)?)?,
        Output::Yaml => write!(to.out, "{}", serde_yaml_ng::to_string(&object()?)?)?,
        Output::Name => {
            for incident in incidents {
                let name = incident.metadata.name.as_deref().unwrap_or_default();
                writeln!(to.out, "incident.bailiff.dev/{name}")?;
            }
        }
        Output::Table if pages => {
            for (index, incident) in incidents.iter().enumerate() {
                if index > 0 {
                    writeln!(to.out)?;
                }
                for line in show::page(incident, to.color, now) {
                    writeln!(to.out, "{line}")?;
                }
            }
        }
        Output::Table | Output::Wide => {
            let columns = list::Columns {
                namespaces: args.all_namespaces,
                wide: args.output == Output::Wide,
                headers: !no_headers,
                color: to.color,
            };
            for line in list::lines(incidents, columns, now) {
                writeln!(to.out, "{line}")?;
            }
        }
    }
    to.out.flush()?;
    Ok(())
}

/// The failed request, or why the watch failed without one.
fn watch_error(error: watcher::Error) -> Result<kube::Error, String> {
    match error {
        watcher::Error::InitialListFailed(failed)
        | watcher::Error::WatchStartFailed(failed)
        | watcher::Error::WatchFailed(failed) => Ok(failed),
        watcher::Error::WatchError(status) => Ok(kube::Error::Api(status)),
        watcher::Error::NoResourceVersion => Err(error.to_string()),
    }
}

/// Prints the Incidents that exist, then every change.
async fn follow(
    args: &IncidentsArgs,
    api: Api<Decoded<Incident>>,
    to: &mut Terminal<'_, impl Write, impl Write>,
) -> Result<(), Error> {
    let config = watcher::Config {
        label_selector: args.selector.clone(),
        ..watcher::Config::default()
    };
    let mut events = watcher(api, config).default_backoff().boxed();
    let mut first = Vec::new();
    let mut listed = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => first.clear(),
            Ok(Event::InitApply(object)) => {
                let mut problems = Vec::new();
                first.extend(objects::decoded(object, &mut problems));
                warn(&problems, to)?;
            }
            Ok(Event::InitDone) => {
                let mut all = list::newest_first(std::mem::take(&mut first));
                // Changes are printed below the list, so the newest Incident comes last.
                all.reverse();
                if !listed || !all.is_empty() {
                    print(args, &all, args.no_headers || listed, false, to)?;
                }
                listed = true;
            }
            Ok(Event::Apply(object)) => {
                let mut problems = Vec::new();
                let incident = objects::decoded(object, &mut problems);
                warn(&problems, to)?;
                let Some(incident) = incident else {
                    continue;
                };
                if matches!(args.output, Output::Yaml) {
                    writeln!(to.out, "---")?;
                }
                let pages = matches!(args.output, Output::Json | Output::Yaml);
                print(args, &[incident], true, pages, to)?;
            }
            Ok(Event::Delete(_)) => {}
            // Without a list, the error is the only output.
            Err(error) if !listed => {
                return Err(match watch_error(error) {
                    Ok(failed) => {
                        Error::from_request("watch incidents".to_owned(), FORBIDDEN, &failed)
                    }
                    Err(cause) => Error::Request {
                        action: "watch incidents".to_owned(),
                        cause,
                        remedy: "retry",
                    },
                });
            }
            Err(error) => {
                let cause =
                    watch_error(error).map_or_else(|cause| cause, |failed| crate::cause(&failed));
                writeln!(to.err, "warning: the watch failed: {cause}; retrying")?;
            }
        }
    }
    Ok(())
}
