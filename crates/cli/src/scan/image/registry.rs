//! Images of a registry.
//!
//! Here: which registry is asked and how, the files of layers, progress, and what an error means for people. Not here:
//! requests (`bailiff_oci::registry`), credentials (`credentials`).
//! Invariant: pulling the layers of an image ends in the time that it has, with those that were pulled until then. The
//! registry that the command line names is asked, and where it leads within the rules of
//! `bailiff_oci::registry`; no URL of a manifest is. A layer is used only if its bytes have the digest of the manifest.
//! Layers are in files without names, which go when the process ends, however it ends.

use super::credentials::{Environment, Found, find};
use super::resolve::{Store, images};
use super::{Gathered, ImageArgs, reopened};
use crate::progress::reporting;
use bailiff_oci::image::{Descriptor, Document, LayerContent, LayerFile, Wanted};
use bailiff_oci::registry::{
    Credential, Limits, PullError, PullLimits, PulledManifest, Registries, RegistryClient,
};
use bailiff_oci::{Digest, Failure, Missing, Reference, ShortNames};
use futures::StreamExt as _;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::net::IpAddr;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// Layers that are pulled at the same time.
const CONCURRENCY: usize = 3;
/// Pauses before a layer is asked for again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How long the layers of an image may take.
const TIMEOUT: Duration = Duration::from_hours(1);
/// How long the requests for one document take: people wait longer than webhooks.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    lookup: Duration::from_mins(1),
};

/// The images of a reference. The error is a cause and a remedy.
pub(super) fn gather(
    reference: &Reference,
    wanted: &Wanted,
    args: &ImageArgs,
    environment: &Environment,
    err: &mut impl Write,
) -> Result<Gathered, String> {
    let registry = reference.registry();
    let plain_http = args.plain_http || is_loopback(registry);
    let listed = match &args.registries {
        Some(path) => crate::admission::of_file(path).map_err(|error| error.to_string())?,
        None => Registries::default(),
    };
    let registries = listed.with_typed(registry, plain_http);
    let client = RegistryClient::new(registries, LIMITS).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot ask registries: {error}"))?;
    let found = runtime.block_on(find(environment, registry));
    let pull = Pull {
        client,
        reference: reference.clone(),
        plain_http,
        found,
        pauses: &PAUSES,
        limits: PullLimits::default(),
        timeout: args.pull_timeout.unwrap_or(TIMEOUT),
    };
    gather_with(&pull, &runtime, wanted, err)
}

fn gather_with(
    pull: &Pull<'_>,
    runtime: &Runtime,
    wanted: &Wanted,
    err: &mut impl Write,
) -> Result<Gathered, String> {
    let mut store = Registry { pull, runtime, err };
    let reference = &pull.reference;
    let pulled = store.pulled(reference);
    let pulled = pulled.map_err(|error| pull.cause(&error))?;
    let document = Document::read(&pulled.bytes, pulled.media_type.as_deref());
    let document = document.map_err(|error| format!("cannot read its manifest: {error}"))?;
    let document = (document, pulled.digest);
    images(&mut store, &reference.to_string(), document, wanted)
}

/// Whether a registry is of this machine, so that nobody can read what is sent to it.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => registry,
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match address.unwrap_or(host).parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        // Names below it can be those of other machines.
        Err(_) => host == "localhost",
    }
}

/// How one reference is asked for.
struct Pull<'a> {
    client: RegistryClient,
    reference: Reference,
    plain_http: bool,
    found: Found,
    pauses: &'a [Duration],
    limits: PullLimits,
    /// For the layers of an image together.
    timeout: Duration,
}

/// The documents and layers of a repository.
struct Registry<'a, W> {
    pull: &'a Pull<'a>,
    runtime: &'a Runtime,
    err: &'a mut W,
}

impl<W: Write> Registry<'_, W> {
    fn pulled(&self, reference: &Reference) -> Result<PulledManifest, PullError> {
        let credential = self.pull.credential();
        let pulled = self.pull.client.pull_manifest(reference, credential);
        self.runtime.block_on(pulled)
    }
}

impl<W: Write> Store for Registry<'_, W> {
    fn manifest(&mut self, named: &Descriptor) -> Result<Vec<u8>, String> {
        let (repository, digest) = (self.pull.reference.repository(), &named.digest);
        let reference = Reference::parse(&format!("{repository}@{digest}"), ShortNames::Rejected);
        let reference = reference.map_err(|error| error.to_string())?;
        match self.pulled(&reference) {
            Ok(pulled) => Ok(pulled.bytes),
            Err(error) => {
                let error = match error {
                    // Its index names it, so nobody can have mistyped it.
                    PullError::Missing(_) => PullError::NoBlob,
                    error => error,
                };
                let cause = self.pull.cause(&error);
                Err(format!("cannot pull manifest {digest}: {cause}"))
            }
        }
    }

    fn config(&mut self, named: &Descriptor) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let keep = |more: &[u8]| {
            bytes.extend_from_slice(more);
            Ok(())
        };
        let pulled = self.runtime.block_on(self.pull.blob(named, keep));
        match pulled {
            Ok(()) => Ok(bytes),
            Err(error) => Err(format!(
                "cannot pull the configuration of the image: {}",
                self.pull.cause(&error)
            )),
        }
    }

    fn layers(&mut self, layers: &[Descriptor]) -> Vec<LayerContent> {
        // One layer can be there several times.
        let mut first: Vec<&Descriptor> = Vec::new();
        for layer in layers {
            if !first.iter().any(|known| known.digest == layer.digest) {
                first.push(layer);
            }
        }
        let sizes = first.iter().map(|layer| layer.size);
        let progress = Progress::of(first.len(), sizes.fold(0, u64::saturating_add));
        let (pull, progress) = (self.pull, &progress);
        let now = Instant::now();
        let deadline = now.checked_add(pull.timeout).unwrap_or(now);
        let pulled = first.into_iter().map(|layer| async move {
            let content = timeout_at(deadline, pull.layer(layer, progress)).await;
            let content = content.unwrap_or_else(|_: Elapsed| Err(pull.too_late(progress)));
            progress.end();
            (&layer.digest, content)
        });
        let pulled = futures::stream::iter(pulled).buffer_unordered(CONCURRENCY);
        let work = reporting(pulled.collect(), self.err, || progress.line());
        let pulled: BTreeMap<&Digest, Result<File, String>> = self.runtime.block_on(work);
        let content = |layer: &Descriptor| match pulled.get(&layer.digest) {
            Some(Ok(file)) => match reopened(file) {
                Ok(file) => LayerContent::File(LayerFile {
                    file,
                    is_verified: true,
                }),
                Err(error) => {
                    LayerContent::Unavailable(format!("cannot open what was stored: {error}"))
                }
            },
            Some(Err(cause)) => LayerContent::Unavailable(cause.clone()),
            None => LayerContent::Unavailable("it was not pulled".to_owned()),
        };
        layers.iter().map(content).collect()
    }
}

/// How far layers are pulled.
#[derive(Debug, Default)]
pub(super) struct Progress {
    layers: usize,
    done: Cell<usize>,
    bytes: u64,
    pulled: Cell<u64>,
}

impl Progress {
    /// Layers with this many bytes together.
    pub(super) fn of(layers: usize, bytes: u64) -> Self {
        Self {
            layers,
            bytes,
            ..Self::default()
        }
    }

    /// More bytes are pulled.
    pub(super) fn add(&self, bytes: u64) {
        self.pulled.set(self.pulled.get().saturating_add(bytes));
    }

    /// As many bytes have to be pulled again.
    fn take_back(&self, bytes: u64) {
        self.pulled.set(self.pulled.get().saturating_sub(bytes));
    }

    /// A layer is pulled.
    pub(super) fn end(&self) {
        self.done.set(self.done.get() + 1);
    }

    /// What people see.
    pub(super) fn line(&self) -> String {
        let layer = self.layers.min(self.done.get() + 1);
        let layers = self.layers;
        format!("pulling layer {layer} of {layers}, {}", self.amount())
    }

    /// How much of all layers is pulled.
    fn amount(&self) -> String {
        let megabytes = |bytes: u64| bytes / 1_000_000;
        let (pulled, bytes) = (self.pulled.get(), self.bytes);
        format!("{} of {} MB", megabytes(pulled), megabytes(bytes))
    }
}

impl Pull<'_> {
    fn credential(&self) -> Option<&Credential> {
        self.found.credential.as_ref()
    }

    async fn blob(
        &self,
        named: &Descriptor,
        keep: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), PullError> {
        let (reference, credential) = (&self.reference, self.credential());
        let blob = (&named.digest, named.size);
        let pulled = self
            .client
            .pull_blob(reference, blob, credential, self.limits, keep);
        pulled.await
    }

    /// A layer in a file without a name.
    async fn layer(&self, named: &Descriptor, progress: &Progress) -> Result<File, String> {
        let mut file = tempfile::tempfile().map_err(|error| not_stored(&error))?;
        let mut pauses = self.pauses.iter();
        loop {
            let mut count = 0;
            let keep = |bytes: &[u8]| {
                file.write_all(bytes)?;
                let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                count += more;
                progress.add(more);
                Ok(())
            };
            let error = match self.blob(named, keep).await {
                Ok(()) => return Ok(file),
                Err(error) => error,
            };
            let pause = pauses.next().filter(|_| is_worth_retrying(&error));
            let Some(pause) = pause else {
                return Err(match error {
                    PullError::NoBlob if named.has_urls => {
                        "its content is only at URLs that the manifest names, which Bailiff does not ask"
                            .to_owned()
                    }
                    error => format!("cannot pull it: {}", self.cause(&error)),
                });
            };
            progress.take_back(count);
            file.rewind()
                .and_then(|()| file.set_len(0))
                .map_err(|error| not_stored(&error))?;
            tokio::time::sleep(*pause).await;
        }
    }

    /// Why a layer was not pulled in the time of its image, and what to do.
    fn too_late(&self, progress: &Progress) -> String {
        format!(
            "cannot pull it: the layers of the image have {} s together (--pull-timeout), in which registry {} sent {}; set --pull-timeout to a longer time, or check the network",
            self.timeout.as_secs(),
            self.reference.registry(),
            progress.amount()
        )
    }

    /// Why a request has no result, and what to do.
    fn cause(&self, error: &PullError) -> String {
        let registry = self.reference.registry();
        match error {
            PullError::Missing(Missing::Repository) => format!(
                "registry {registry} has no repository {}; check the name",
                self.reference.path()
            ),
            PullError::Missing(Missing::Manifest) => match self.reference.tag() {
                Some(tag) => format!(
                    "registry {registry} has no tag {tag} in repository {}; check the tag, or log in if it is private",
                    self.reference.path()
                ),
                None => format!(
                    "registry {registry} has no such digest in repository {}; check the digest",
                    self.reference.path()
                ),
            },
            PullError::NoBlob => {
                format!("registry {registry} does not have it; push the image again")
            }
            PullError::Size { announced } => format!(
                "registry {registry} sends another number of bytes than the {announced} of the manifest; do not use the registry or its mirror, until you know why"
            ),
            PullError::TooSlow {
                least,
                within,
                got,
                announced,
            } => format!(
                "registry {registry} sends too slowly: {got} of {announced} bytes came, and fewer than {least} of them in the last {} s; check the network, or name a mirror in a file for --registries",
                within.as_secs()
            ),
            PullError::Keep(error) => not_stored(error),
            PullError::Failed(failure) => self.failure(failure),
        }
    }

    fn failure(&self, failure: &Failure) -> String {
        let registry = self.reference.registry();
        let remedy = match failure {
            Failure::Unauthorized | Failure::Forbidden => {
                match (&self.found.cause, self.credential()) {
                    (Some(cause), _) => {
                        return format!(
                            "{}, and {cause}; fix that, or log in with `docker login {registry}`",
                            failure.of_registry(registry)
                        );
                    }
                    (None, None) => format!(
                        "log in with `docker login {registry}`, or check the name: many registries answer this for a repository that does not exist"
                    ),
                    (None, Some(_)) => format!(
                        "log in with `docker login {registry}` as a user who can pull {}, or check the name",
                        self.reference.path()
                    ),
                }
            }
            Failure::RateLimited { retry_after } => {
                let when = retry_after.map_or_else(
                    || "later".to_owned(),
                    |after| format!("after {} s", after.as_secs()),
                );
                match self.credential() {
                    None => format!("retry {when}, or log in with `docker login {registry}`"),
                    Some(_) => format!("retry {when}"),
                }
            }
            Failure::Unavailable { .. } | Failure::Overloaded => "retry later".to_owned(),
            Failure::Connect if self.plain_http => {
                "check the host, the port and the network".to_owned()
            }
            Failure::Connect => not_connected(registry).to_owned(),
            Failure::Timeout => "check the host and the network, or retry".to_owned(),
            Failure::Certificate => {
                "set --registries to a file with the caBundle of the registry".to_owned()
            }
            Failure::RegistryNotAllowed | Failure::AddressNotAllowed => {
                "write the registry with its port".to_owned()
            }
            Failure::RedirectNotAllowed => {
                "name that host in redirectHosts of the registry, in a file for --registries"
                    .to_owned()
            }
            Failure::TokenServerNotAllowed => {
                "name that host in tokenServers of the registry, in a file for --registries"
                    .to_owned()
            }
            Failure::CredentialUnusable | Failure::CredentialNotRead => {
                format!("log in with `docker login {registry}`")
            }
            Failure::UnexpectedAnswer(_) if self.plain_http => {
                "check that the host is a registry, and that it has no TLS".to_owned()
            }
            Failure::UnexpectedAnswer(_) | Failure::LimitExceeded(_) => {
                "check that the host is a registry".to_owned()
            }
            Failure::DigestMismatch => {
                "do not use the registry or its mirror, until you know why".to_owned()
            }
        };
        format!("{}; {remedy}", failure.of_registry(registry))
    }
}

/// What to do if no connection with TLS is made.
fn not_connected(registry: &str) -> &'static str {
    match registry {
        // It has TLS.
        "docker.io" => "check the network",
        _ => "check the host and the network; for a registry without TLS, set --plain-http",
    }
}

/// Whether the same request can succeed a moment later.
fn is_worth_retrying(error: &PullError) -> bool {
    match error {
        PullError::Failed(failure) => match failure {
            Failure::Connect | Failure::Timeout | Failure::Unavailable { .. } => true,
            Failure::RegistryNotAllowed
            | Failure::AddressNotAllowed
            | Failure::RedirectNotAllowed
            | Failure::TokenServerNotAllowed
            | Failure::Unauthorized
            | Failure::Forbidden
            | Failure::CredentialUnusable
            | Failure::CredentialNotRead
            | Failure::RateLimited { .. }
            | Failure::Certificate
            | Failure::UnexpectedAnswer(_)
            | Failure::LimitExceeded(_)
            | Failure::DigestMismatch
            | Failure::Overloaded => false,
        },
        PullError::TooSlow { .. } => true,
        PullError::Missing(_) | PullError::NoBlob | PullError::Size { .. } | PullError::Keep(_) => {
            false
        }
    }
}

fn not_stored(error: &io::Error) -> String {
    super::not_stored("it", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_connected_to_has_a_remedy() {
        assert_eq!(not_connected("docker.io"), "check the network");
        assert_eq!(
            not_connected("a.test:5000"),
            "check the host and the network; for a registry without TLS, set --plain-http"
        );
        let reference = Reference::parse("nginx", ShortNames::DockerHub).unwrap();
        assert_eq!(reference.registry(), "docker.io");
    }

    #[test]
    fn a_registry_that_is_too_slow_has_a_remedy() {
        let pull = Pull {
            client: RegistryClient::new(Registries::default(), LIMITS).unwrap(),
            reference: Reference::parse("r.test/a", ShortNames::Rejected).unwrap(),
            plain_http: false,
            found: Found::default(),
            pauses: &PAUSES,
            limits: PullLimits::default(),
            timeout: TIMEOUT,
        };
        let error = PullError::TooSlow {
            least: pull.limits.least,
            within: pull.limits.window,
            got: 9_000_000,
            announced: 120_000_000,
        };
        assert!(is_worth_retrying(&error));
        assert_eq!(
            pull.cause(&error),
            "registry r.test sends too slowly: 9000000 of 120000000 bytes came, and fewer than 2097152 of them in the last 120 s; check the network, or name a mirror in a file for --registries"
        );
    }

    #[test]
    fn what_cannot_be_stored_has_a_remedy() {
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(
            not_stored(&missing),
            "cannot store it: No such file or directory (os error 2); set TMPDIR to a directory that exists and has space"
        );
        let full = io::Error::from_raw_os_error(28);
        assert_eq!(
            not_stored(&full),
            "cannot store it: No space left on device (os error 28); set TMPDIR to a directory with more space"
        );
    }
}
