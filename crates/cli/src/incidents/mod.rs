//! `bailiff incidents`: list, watch, show.
//!
//! Here: flags, requests, and which shape is printed. Not here: the shapes (`list`, `show`).
//! Invariant: it only reads.

mod list;
mod show;
#[cfg(test)]
mod tests;

use crate::{ClusterArgs, Color, Error};
use bailiff_api::Incident;
use bailiff_kube::client::as_kubectl;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  bailiff incidents                        incidents of the current namespace, newest first
  bailiff incidents -A -o wide             of all namespaces, with node and replacement
  bailiff incidents -n shop --watch        and what happens from now on
  bailiff incidents inc-5f1c09aa12b4c3d7   one, with its process and its ancestors
  bailiff incidents -A -o json | jq '.items[].spec.process.args'

As `kubectl-bailiff` on the PATH, the same is called `kubectl bailiff incidents`.

Exit codes: 0 done, 1 the cluster refused or could not be reached, 2 the command is not valid.";

/// Shape of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Columns; for one incident a page.
    #[default]
    Table,
    /// More columns.
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
    /// Names of incidents to show; none: all are listed
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Namespace [default: that of the context]
    #[arg(short, long, value_name = "NAME", conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "names")]
    pub all_namespaces: bool,
    /// Label selector, such as bailiff.dev/policy=no-shells-through-exec
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "names")]
    pub selector: Option<String>,
    /// Print what there is, then every change, until Ctrl-C
    #[arg(short, long, conflicts_with = "names")]
    pub watch: bool,
    /// Shape of the output
    #[arg(short, long, value_name = "SHAPE", default_value = "table")]
    pub output: Output,
    /// Without the line of column names
    #[arg(long)]
    pub no_headers: bool,
    /// When output has colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Which cluster
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Where the output goes.
#[derive(Debug)]
pub struct Terminal<'a, O, E> {
    /// What was asked for.
    pub out: &'a mut O,
    /// What is said beside it.
    pub err: &'a mut E,
    /// Whether it has colours.
    pub color: bool,
}

/// Runs the command.
///
/// # Errors
/// When the cluster can't be reached or refuses, or the output can't be written.
pub async fn run(
    args: &IncidentsArgs,
    mut to: Terminal<'_, impl Write, impl Write>,
) -> Result<(), Error> {
    let cluster = &args.cluster;
    let person = as_kubectl(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
    let namespace = args.namespace.clone().unwrap_or(person.namespace);
    let (api, place): (Api<Incident>, _) = if args.all_namespaces {
        (Api::all(person.client), "any namespace".to_owned())
    } else {
        (
            Api::namespaced(person.client, &namespace),
            format!("namespace {namespace}"),
        )
    };
    if !args.names.is_empty() {
        return show_all(args, &api, &place, &mut to).await;
    }
    if args.watch {
        return follow(args, api, &mut to).await;
    }
    let params = ListParams {
        label_selector: args.selector.clone(),
        ..ListParams::default()
    };
    let listed = api
        .list(&params)
        .await
        .map_err(|error| Error::of(format!("list incidents in {place}"), error))?;
    let incidents = list::newest_first(listed.items);
    if incidents.is_empty() && matches!(args.output, Output::Table | Output::Wide) {
        writeln!(to.err, "No incidents in {place}.")?;
        return Ok(());
    }
    print(args, &incidents, args.no_headers, false, &mut to)
}

async fn show_all(
    args: &IncidentsArgs,
    api: &Api<Incident>,
    place: &str,
    to: &mut Terminal<'_, impl Write, impl Write>,
) -> Result<(), Error> {
    let mut incidents = Vec::new();
    for name in &args.names {
        let name = name.rsplit('/').next().unwrap_or(name);
        let read = api.get(name).await;
        incidents.push(
            read.map_err(|error| Error::of(format!("read incident {name} in {place}"), error))?,
        );
    }
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
            let shape = list::Shape {
                namespaces: args.all_namespaces,
                wide: args.output == Output::Wide,
                headers: !no_headers,
                color: to.color,
            };
            for line in list::lines(incidents, shape, now) {
                writeln!(to.out, "{line}")?;
            }
        }
    }
    to.out.flush()?;
    Ok(())
}

/// Prints what there is, then every change.
async fn follow(
    args: &IncidentsArgs,
    api: Api<Incident>,
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
            Ok(Event::InitApply(incident)) => first.push(incident),
            Ok(Event::InitDone) => {
                let mut all = list::newest_first(std::mem::take(&mut first));
                // What comes next is printed below: the newest is last here.
                all.reverse();
                if !listed || !all.is_empty() {
                    print(args, &all, args.no_headers || listed, false, to)?;
                }
                listed = true;
            }
            Ok(Event::Apply(incident)) => {
                if matches!(args.output, Output::Yaml) {
                    writeln!(to.out, "---")?;
                }
                let pages = matches!(args.output, Output::Json | Output::Yaml);
                print(args, &[incident], true, pages, to)?;
            }
            Ok(Event::Delete(_)) => {}
            // Before anything was listed nobody would know why nothing comes.
            Err(error) if !listed => return Err(Error::Watch(Box::new(error))),
            Err(error) => writeln!(to.err, "the watch failed and is tried again: {error}")?,
        }
    }
    Ok(())
}
