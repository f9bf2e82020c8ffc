//! What registries say about images.
//!
//! Here: which configuration applies, and asking for each reference once, several at a time. Not here: the
//! requests (`oci`), what follows from an answer (`bailiff_policy::image`).
//! Invariant: a reference without an answer has none here either.

use crate::Error;
use bailiff_oci::registry::{Limits, Registries, RegistryClient};
use bailiff_oci::{Lookup, Reference};
use bailiff_policy::image::Lookups;
use bailiff_response::messages::escaped;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// References that are looked up at the same time.
const CONCURRENCY: usize = 8;
/// Answers that are kept. With more, all are forgotten and asked for again.
const ANSWERS_LIMIT: usize = 20_000;
/// Bytes of a configuration: what a `ConfigMap` holds.
const CONFIGURATION_LIMIT: u64 = 1 << 20;
/// `ConfigMap` of the webhook's configuration.
pub(crate) const CONFIG_MAP: &str = "bailiff-registries";
/// Its key.
const KEY: &str = "registries.yaml";
/// Characters of a text.
const TEXT_LIMIT: usize = 400;

/// Whether and how registries are asked.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RegistryArgs {
    /// File with the configuration of registries, as the webhook reads it. Defaults to that of the
    /// cluster, together with its policies
    #[arg(long, value_name = "FILE")]
    pub registries: Option<PathBuf>,
    /// Ask no registry. Images that require an answer are not checked
    #[arg(long, conflicts_with = "registries")]
    pub offline: bool,
}

/// Says whether a registry has an image.
pub(crate) trait Registry {
    /// The answer; none if no registry is asked. `named_by_policy`: a policy that applies names the
    /// registry.
    fn lookup(
        &self,
        reference: &Reference,
        named_by_policy: bool,
    ) -> impl Future<Output = Option<Lookup>>;
}

/// Asks registries, or none.
pub(crate) enum RegistrySource {
    /// No registry is asked.
    Offline,
    /// Registries are asked without credentials.
    Client(RegistryClient),
}

impl Registry for RegistrySource {
    async fn lookup(&self, reference: &Reference, named_by_policy: bool) -> Option<Lookup> {
        match self {
            Self::Offline => None,
            Self::Client(client) => Some(client.lookup(reference, named_by_policy, None).await),
        }
    }
}

impl RegistrySource {
    /// What the flags select, and what people have to know about it. `cluster`: client and namespace of
    /// the installation whose configuration applies without a file.
    ///
    /// # Errors
    /// A configuration is not valid, or the file cannot be read.
    pub(crate) async fn of(
        args: &RegistryArgs,
        cluster: Option<(&Client, &str)>,
    ) -> Result<(Self, Option<String>), Error> {
        if args.offline {
            return Ok((Self::Offline, None));
        }
        let (registries, note) = match (&args.registries, cluster) {
            (Some(path), _) => (of_file(path)?, None),
            (None, Some((client, namespace))) => of_cluster(client, namespace).await?,
            (None, None) => (Registries::default(), None),
        };
        let client = RegistryClient::new(registries, Limits::default()).map_err(|error| {
            Error::Input(format!("cannot ask registries: {error}; set --offline"))
        })?;
        Ok((Self::Client(client), note))
    }
}

/// The registries that a file lists.
///
/// # Errors
/// It cannot be read, or is not valid.
pub(crate) fn of_file(path: &Path) -> Result<Registries, Error> {
    let name = escaped(&path.display().to_string(), TEXT_LIMIT);
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(CONFIGURATION_LIMIT + 1).read_to_string(&mut text));
    read.map_err(|error| {
        Error::Input(format!(
            "cannot read {name}: {error}; set --registries to a file of UTF-8"
        ))
    })?;
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> Result<Registries, Error> {
    Registries::parse(text).map_err(|error| {
        let error = escaped(&error.to_string(), TEXT_LIMIT);
        Error::Input(format!("cannot use {name}: {error}"))
    })
}

/// The configuration of the webhook of a cluster. If it cannot be read, no registry is configured.
async fn of_cluster(
    client: &Client,
    namespace: &str,
) -> Result<(Registries, Option<String>), Error> {
    let name = format!("ConfigMap {namespace}/{CONFIG_MAP}");
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let cause = match api.get_opt(CONFIG_MAP).await {
        Ok(Some(map)) => match map.data.unwrap_or_default().get(KEY) {
            Some(text) => return Ok((parse(&name, text)?, None)),
            None => format!("{name} has no key {KEY}"),
        },
        Ok(None) => format!("{name} not found"),
        Err(error) => format!("cannot read {name}: {}", crate::cause(&error)),
    };
    let cause = escaped(&cause, TEXT_LIMIT);
    let note = format!(
        "{cause}; only registries that a policy names are asked. Set --registries to configure others"
    );
    Ok((Registries::default(), Some(note)))
}

/// The registries that the webhook's `ConfigMap` lists.
///
/// # Errors
/// It has no such key, or its value cannot be used; the text is not escaped.
pub(crate) fn registries_of(map: &ConfigMap) -> Result<Registries, String> {
    let text = map.data.as_ref().and_then(|data| data.get(KEY));
    let text = text.ok_or_else(|| format!("it has no key {KEY}"))?;
    Registries::parse(text).map_err(|error| error.to_string())
}

/// References to look up by their normal form, and whether a policy names their registry.
pub(crate) type Wanted = BTreeMap<String, (Reference, bool)>;

/// How many lookups there are.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Lookups that have ended.
    pub(crate) done: Cell<usize>,
    /// All lookups.
    pub(crate) all: Cell<usize>,
}

/// The answers of a run.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    known: Lookups,
}

impl Answers {
    /// What is known.
    pub(crate) fn lookups(&self) -> &Lookups {
        &self.known
    }

    /// Asks for what is not known yet.
    pub(crate) async fn ask(&mut self, registry: &impl Registry, wanted: Wanted, asked: &Asked) {
        if self.known.len() > ANSWERS_LIMIT {
            self.known.clear();
        }
        let known = &self.known;
        let new: Vec<_> = wanted
            .into_iter()
            .filter(|(name, _)| !known.contains_key(name))
            .collect();
        asked.all.set(asked.all.get() + new.len());
        let done = &asked.done;
        let answers = new
            .into_iter()
            .map(|(name, (reference, named))| async move {
                let answer = registry.lookup(&reference, named).await;
                done.set(done.get() + 1);
                answer.map(|answer| (name, answer))
            });
        let answers: Vec<_> = futures::stream::iter(answers)
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        self.known.extend(answers.into_iter().flatten());
    }
}
