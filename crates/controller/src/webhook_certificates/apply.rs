//! Reads what there is, and writes what the plan says.
//!
//! Here: the requests. Not here: which ones (`plan`) and when (`run`).
//! Invariant: a write is about the version that was read; a key is in the request that writes its Secret, and in
//! no error.

use super::authority::{Authority, SecretChange, SecretData};
use super::plan::{Action, Configuration, Kind, State};
use bailiff_api::keys::{
    ANNOTATION_CERTIFICATE_EXPIRES, RENDERED_OWNER, WEBHOOK_CA_SECRET, WEBHOOK_CONFIGURATION,
    WEBHOOK_SERVICE, WEBHOOK_TLS_SECRET,
};
use bailiff_kube::decode::Decoded;
use bailiff_kube::metadata;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use std::fmt::{self, Debug};

/// Why a pass did not complete.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    #[error("cannot read {0}")]
    Read(String, #[source] kube::Error),
    // What it says is no part of the error: it can be a key.
    #[error("cannot decode {0}")]
    Decode(String),
    #[error("{0} not found; restore it with `helm upgrade`")]
    Missing(String),
    #[error("cannot issue a certificate")]
    Issue(#[source] rcgen::Error),
    #[error("cannot write {0}")]
    Write(String, #[source] kube::Error),
    #[error("others change the certificates of the webhook at the same time")]
    Contended,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        })
    }
}

/// What was read.
#[derive(Debug)]
pub(super) enum Seen {
    /// The namespace of the webhook is being deleted. The configurations that exist, with their UIDs, or why one
    /// cannot be read.
    Terminating(Vec<Result<(Kind, Option<String>), PassError>>),
    /// What there is, with the versions of the objects.
    State(State, Versions),
}

/// The resource versions of what was read.
#[derive(Debug, Default)]
pub(super) struct Versions {
    authority: Option<String>,
    served: Option<String>,
    mutating: Option<String>,
    validating: Option<String>,
}

/// Reads everything at once.
///
/// # Errors
/// When an object cannot be read, or a Secret does not exist.
pub(super) async fn read(client: &Client, namespace: &str) -> Result<Seen, PassError> {
    let secrets = Api::<Decoded<Secret>>::namespaced(client.clone(), namespace);
    let mutating = Api::<Decoded<MutatingWebhookConfiguration>>::all(client.clone());
    let validating = Api::<Decoded<ValidatingWebhookConfiguration>>::all(client.clone());
    let (own, authority, served, mutating, validating) = futures::join!(
        metadata::get::<Namespace>(client, namespace),
        secrets.get_opt(WEBHOOK_CA_SECRET),
        secrets.get_opt(WEBHOOK_TLS_SECRET),
        mutating.get_opt(WEBHOOK_CONFIGURATION),
        validating.get_opt(WEBHOOK_CONFIGURATION),
    );
    let named = |kind: Kind| format!("{kind} {WEBHOOK_CONFIGURATION}");
    let own = own.map_err(|error| PassError::Read(format!("Namespace {namespace}"), error))?;
    if own.is_some_and(|own| own.meta().deletion_timestamp.is_some()) {
        let uids = [
            (Kind::Mutating, metadata_of(mutating)),
            (Kind::Validating, metadata_of(validating)),
        ];
        let there = uids.into_iter().filter_map(|(kind, found)| match found {
            Ok(found) => found.map(|found| Ok((kind, found.uid))),
            Err(error) => Some(Err(PassError::Read(named(kind), error))),
        });
        return Ok(Seen::Terminating(there.collect()));
    }
    let mutating = found(named(Kind::Mutating), mutating)?;
    let validating = found(named(Kind::Validating), validating)?;
    let mut versions = Versions::default();
    let mut configurations = Vec::new();
    let mut add = |kind, metadata: &ObjectMeta, clients: Vec<(&String, &WebhookClientConfig)>| {
        let annotations = metadata.annotations.as_ref();
        let expires = annotations.and_then(|all| all.get(ANNOTATION_CERTIFICATE_EXPIRES));
        configurations.push(Configuration {
            kind,
            entries: clients
                .into_iter()
                .filter(|(_, client)| is_ours(client, namespace))
                .map(|(name, client)| (name.clone(), bundle_of(client)))
                .collect(),
            expires: expires.cloned(),
        });
    };
    if let Some(found) = &mutating {
        let entries = found.webhooks.iter().flatten();
        let clients = entries.map(|entry| (&entry.name, &entry.client_config));
        add(Kind::Mutating, &found.metadata, clients.collect());
        let version = &found.metadata.resource_version;
        versions.mutating.clone_from(version);
    }
    if let Some(found) = &validating {
        let entries = found.webhooks.iter().flatten();
        let clients = entries.map(|entry| (&entry.name, &entry.client_config));
        add(Kind::Validating, &found.metadata, clients.collect());
        let version = &found.metadata.resource_version;
        versions.validating.clone_from(version);
    }
    let secret = |name: &str, read| {
        let name = format!("Secret {namespace}/{name}");
        found::<Secret>(name.clone(), read)?.ok_or(PassError::Missing(name))
    };
    let (authority, served) = if configurations.is_empty() {
        // Nothing calls the webhook, so that nothing is written either.
        (Secret::default(), Secret::default())
    } else {
        (
            secret(WEBHOOK_CA_SECRET, authority)?,
            secret(WEBHOOK_TLS_SECRET, served)?,
        )
    };
    versions.authority = authority.metadata.resource_version;
    versions.served = served.metadata.resource_version;
    let state = State {
        namespace: namespace.to_owned(),
        authority: SecretData(authority.data.unwrap_or_default()),
        served: SecretData(served.data.unwrap_or_default()),
        configurations,
    };
    Ok(Seen::State(state, versions))
}

/// The metadata of an object that exists, whether or not the rest can be decoded.
fn metadata_of<K: Resource>(
    read: Result<Option<Decoded<K>>, kube::Error>,
) -> Result<Option<ObjectMeta>, kube::Error> {
    Ok(read?.map(|decoded| decoded.meta().clone()))
}

fn found<K>(
    name: String,
    read: Result<Option<Decoded<K>>, kube::Error>,
) -> Result<Option<K>, PassError>
where
    K: Resource + DeserializeOwned,
{
    match read {
        Ok(None) => Ok(None),
        Ok(Some(decoded)) => match decoded.into_result() {
            Ok(object) => Ok(Some(object)),
            Err(_undecodable) => Err(PassError::Decode(name)),
        },
        Err(error) => Err(PassError::Read(name, error)),
    }
}

/// Whether an entry calls the Service of the webhook.
fn is_ours(client: &WebhookClientConfig, namespace: &str) -> bool {
    let service = client.service.as_ref();
    service.is_some_and(|of| of.name == WEBHOOK_SERVICE && of.namespace == namespace)
}

fn bundle_of(client: &WebhookClientConfig) -> String {
    let bundle = client.ca_bundle.as_ref();
    bundle.map_or_else(String::new, |bytes| {
        String::from_utf8_lossy(&bytes.0).into_owned()
    })
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// The object is no longer what was read.
    Stale,
}

/// Makes one change.
///
/// # Errors
/// When the API server rejects it or gives no response.
pub(super) async fn write(
    client: &Client,
    state: &State,
    versions: &Versions,
    action: &Action,
    now: Timestamp,
) -> Result<Written, PassError> {
    let namespace = &state.namespace;
    match action {
        Action::ChangeAuthority(change) => {
            let authority = Authority::read(&state.authority, now);
            let changed = authority.changed(*change, now).map_err(PassError::Issue)?;
            let change_of_secret = changed.write();
            let version = versions.authority.as_deref();
            tracing::info!(?change, "Changing the authority of the webhook");
            put(
                client,
                namespace,
                WEBHOOK_CA_SECRET,
                version,
                &change_of_secret,
            )
            .await
        }
        Action::Issue => {
            let authority = Authority::read(&state.authority, now);
            let Some(current) = &authority.current else {
                return Ok(Written::Stale);
            };
            let issued = current.issue(now, namespace).map_err(PassError::Issue)?;
            let change = SecretChange::serving(&issued);
            let version = versions.served.as_deref();
            tracing::info!(
                not_after = %issued.certificate.not_after,
                "Issuing a certificate of the webhook"
            );
            put(client, namespace, WEBHOOK_TLS_SECRET, version, &change).await
        }
        Action::Publish {
            kind,
            entries,
            bundle,
            expires,
        } => {
            let version = match kind {
                Kind::Mutating => &versions.mutating,
                Kind::Validating => &versions.validating,
            };
            // Entries are told by their name, and of each only this field is changed.
            let bundle = k8s_openapi::ByteString(bundle.clone().into_bytes());
            let entries: Vec<_> = entries
                .iter()
                .map(|name| json!({"name": name, "clientConfig": {"caBundle": bundle}}))
                .collect();
            let patch = Patch::Strategic(json!({
                "metadata": {
                    "resourceVersion": version,
                    "annotations": {ANNOTATION_CERTIFICATE_EXPIRES: expires},
                },
                "webhooks": entries,
            }));
            tracing::info!(%kind, "Writing the authorities that the API server trusts");
            let name = WEBHOOK_CONFIGURATION;
            let written = match kind {
                Kind::Mutating => {
                    let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
                    api.patch(name, &params(), &patch).await.map(drop)
                }
                Kind::Validating => {
                    let api = Api::<ValidatingWebhookConfiguration>::all(client.clone());
                    api.patch(name, &params(), &patch).await.map(drop)
                }
            };
            outcome(format!("{kind} {name}"), written)
        }
    }
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some("bailiff-controller".to_owned()),
        ..PatchParams::default()
    }
}

/// Changes the data of a Secret.
async fn put(
    client: &Client,
    namespace: &str,
    name: &str,
    version: Option<&str>,
    change: &SecretChange,
) -> Result<Written, PassError> {
    let data = change.data();
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "data": data}));
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let written = api.patch(name, &params(), &patch).await.map(drop);
    outcome(format!("Secret {namespace}/{name}"), written)
}

fn outcome(name: String, written: Result<(), kube::Error>) -> Result<Written, PassError> {
    match written {
        Ok(()) => Ok(Written::Done),
        // A missing entry or object is seen as such when it is read again.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => {
            Ok(Written::Stale)
        }
        Err(error) => Err(PassError::Write(name, error)),
    }
}

/// Deletes a configuration, unless it is another one by now.
///
/// # Errors
/// When the API server rejects it or gives no response.
pub(super) async fn delete(
    client: &Client,
    kind: Kind,
    uid: Option<String>,
) -> Result<(), PassError> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let name = WEBHOOK_CONFIGURATION;
    let deleted = match kind {
        Kind::Mutating => delete_of::<MutatingWebhookConfiguration>(client, name, &params).await,
        Kind::Validating => {
            delete_of::<ValidatingWebhookConfiguration>(client, name, &params).await
        }
    };
    is_deleted(format!("{kind} {name}"), deleted).map(drop)
}

/// Deletes the owner of the rendered bindings, which Kubernetes then deletes. Whether it was there.
///
/// # Errors
/// When the API server rejects it or gives no response.
pub(super) async fn delete_rendered_owner(client: &Client) -> Result<bool, PassError> {
    let params = DeleteParams::default();
    let name = RENDERED_OWNER;
    let deleted = delete_of::<ValidatingWebhookConfiguration>(client, name, &params).await;
    is_deleted(format!("{} {name}", Kind::Validating), deleted)
}

/// Whether there was something to delete.
fn is_deleted(name: String, deleted: Result<(), kube::Error>) -> Result<bool, PassError> {
    match deleted {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(PassError::Write(name, error)),
    }
}

async fn delete_of<K>(client: &Client, name: &str, params: &DeleteParams) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    api.delete(name, params).await.map(drop)
}

/// The whole of an error and its causes, for the log.
pub(super) fn causes(error: &PassError) -> Json {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Json::String(text)
}
