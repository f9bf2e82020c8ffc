//! The configuration of registries: what `registries.yaml` contains.
//!
//! Here: reading and checking it. Not here: which credential applies to a pod (`webhook`).
//! Invariant: every entry can be used as it is. An entry that cannot, or a field that is not known,
//! makes the whole file invalid, so that a typing error never widens who is asked or who asks.

use super::MAX_CONFIG_BYTES;
use super::endpoint::{Endpoint, EndpointFault, Server};
use crate::excerpt::Excerpt;
use crate::grammar::{ALIASES, DOCKER_HUB, check_host, is_host};
use crate::pattern::{Pattern, Patterns};
use crate::reference::Reference;
use ipnet::IpNet;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// The registries that Bailiff asks, and how.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    entries: BTreeMap<String, Entry>,
    denied: Vec<IpNet>,
}

/// How one registry is asked.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) endpoint: Endpoint,
    /// The only authorities whose certificates are accepted; none: those that are compiled in.
    pub(super) authorities: Option<Vec<CertificateDer<'static>>>,
    /// The other servers that the registry can send for a token.
    pub(super) token_servers: Vec<Server>,
    /// The other servers that the registry can redirect a request for a manifest to.
    pub(super) redirect_hosts: Vec<Server>,
    credentials: Vec<CredentialSource>,
}

impl Entry {
    /// Whether it names a server with its port.
    pub(super) fn has_port(&self) -> bool {
        let mut named = self.token_servers.iter().chain(&self.redirect_hosts);
        self.endpoint.has_port || named.any(|server| server.has_port)
    }
}

/// A Secret with a credential, and for whom it is.
#[derive(Clone, Debug)]
pub struct CredentialSource {
    /// The name of the Secret, in Bailiff's namespace.
    pub secret: String,
    repositories: Option<Patterns>,
    /// The namespaces whose pods can use the credential. If unset, all namespaces.
    pub namespace_selector: Option<NamespaceSelector>,
}

impl CredentialSource {
    /// Whether the credential is for the repository of `reference`. Without patterns, it is for all
    /// repositories of its registry.
    #[must_use]
    pub fn covers(&self, reference: &Reference) -> bool {
        self.repositories
            .as_ref()
            .is_none_or(|patterns| patterns.matches(reference))
    }
}

/// A label selector of namespaces, with the meaning that it has in Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct NamespaceSelector {
    /// Labels that must have these values.
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements, which must all hold.
    pub match_expressions: Vec<LabelRequirement>,
}

impl NamespaceSelector {
    /// Whether it selects a namespace with these labels.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let has_all = self
            .match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value));
        has_all
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(&requirement.key);
                let is_listed = value.is_some_and(|value| requirement.values.contains(value));
                match requirement.operator {
                    Operator::In => is_listed,
                    Operator::NotIn => !is_listed,
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// A requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// What is required.
    pub operator: Operator,
    /// The values of `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// The operator of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is missing.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

/// Why a text is not a configuration of registries: the field, what it must be, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRegistries {
    field: String,
    fault: String,
}

impl fmt::Display for InvalidRegistries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.fault)
    }
}

impl std::error::Error for InvalidRegistries {}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    registries: Option<BTreeMap<String, Option<RawEntry>>>,
    #[serde(rename = "denyCIDRs")]
    deny_cidrs: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawEntry {
    endpoint: Option<String>,
    #[serde(rename = "caBundle")]
    ca_bundle: Option<String>,
    #[serde(rename = "plainHTTP")]
    plain_http: Option<bool>,
    #[serde(rename = "tokenServers")]
    token_servers: Option<Vec<String>>,
    #[serde(rename = "redirectHosts")]
    redirect_hosts: Option<Vec<String>>,
    credentials: Option<Vec<RawCredential>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawCredential {
    secret: String,
    repositories: Option<Vec<String>>,
    namespace_selector: Option<NamespaceSelector>,
}

impl Registries {
    /// The configuration that `text` is, in YAML or JSON. An empty text lists no registries.
    ///
    /// # Errors
    /// The text has another structure, or a value that cannot be used.
    pub fn parse(text: &str) -> Result<Self, InvalidRegistries> {
        if text.len() > MAX_CONFIG_BYTES {
            let fault = format!("must have at most {MAX_CONFIG_BYTES} bytes; remove entries");
            return Err(invalid("registries.yaml", fault));
        }
        // The library names the field.
        let file: Option<File> = serde_yaml_ng::from_str(text)
            .map_err(|error| invalid("registries.yaml", error.to_string()))?;
        let file = file.unwrap_or_default();
        let mut entries = BTreeMap::new();
        for (host, raw) in file.registries.unwrap_or_default() {
            let field = format!("registries[{}]", Excerpt::of(&host));
            check_registry(&host, &field)?;
            let entry = raw.unwrap_or_default().check(&host, &field)?;
            entries.insert(host, entry);
        }
        let mut denied = Vec::new();
        for (index, text) in file.deny_cidrs.unwrap_or_default().iter().enumerate() {
            let range = text.parse().ok().ok_or_else(|| {
                let fault = format!(
                    "must be a range of addresses such as 10.96.0.0/12, not {}",
                    Excerpt::of(text)
                );
                invalid(format!("denyCIDRs[{index}]"), fault)
            })?;
            denied.push(range);
        }
        Ok(Self { entries, denied })
    }

    /// With the registry that a person typed, for commands: it is asked, and at any address if it is not Docker Hub,
    /// because the person means that very server. Without effect if it is listed already.
    #[must_use]
    pub fn with_typed(mut self, registry: &str, plain_http: bool) -> Self {
        if !self.entries.contains_key(registry)
            && let Some(mut endpoint) = Endpoint::of_registry(registry, !plain_http)
        {
            endpoint.has_port |= registry != DOCKER_HUB;
            let entry = Entry {
                endpoint,
                authorities: None,
                token_servers: Vec::new(),
                redirect_hosts: Vec::new(),
                credentials: Vec::new(),
            };
            self.entries.insert(registry.to_owned(), entry);
        }
        self
    }

    /// Whether a registry is listed, so that it is asked whatever policies say.
    #[must_use]
    pub fn is_listed(&self, registry: &str) -> bool {
        self.entries.contains_key(registry)
    }

    /// The credentials of a registry, in the order in which they are written.
    #[must_use]
    pub fn credentials(&self, registry: &str) -> &[CredentialSource] {
        self.entries
            .get(registry)
            .map_or(&[], |entry| &entry.credentials)
    }

    /// All credentials, each with its registry.
    pub fn all_credentials(&self) -> impl Iterator<Item = (&str, &CredentialSource)> {
        self.entries()
            .flat_map(|(registry, entry)| entry.credentials.iter().map(move |c| (registry, c)))
    }

    /// Each registry with how it is asked.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(registry, entry)| (registry.as_str(), entry))
    }

    /// How a registry is asked, if it is listed.
    pub(super) fn entry(&self, registry: &str) -> Option<&Entry> {
        self.entries.get(registry)
    }

    /// The ranges that are never connected to.
    pub(super) fn denied(&self) -> &[IpNet] {
        &self.denied
    }
}

impl RawEntry {
    fn check(self, host: &str, field: &str) -> Result<Entry, InvalidRegistries> {
        let secure = !self.plain_http.unwrap_or_default();
        let endpoint = match &self.endpoint {
            Some(text) => Endpoint::parse(text, host, secure).map_err(|fault| {
                let fault = match fault {
                    EndpointFault::Malformed => {
                        "must be host[:port][/path], such as https://mirror.example.com/v2/docker-hub"
                    }
                    EndpointFault::Scheme if secure => {
                        "must start with https://; for a registry without TLS, set plainHTTP: true"
                    }
                    EndpointFault::Scheme => "must start with http://, or remove plainHTTP",
                };
                invalid(format!("{field}.endpoint"), fault)
            })?,
            None => Endpoint::of_registry(host, secure)
                .ok_or_else(|| invalid(field, "must be a host that can be connected to"))?,
        };
        let authorities = self
            .ca_bundle
            .map(|text| {
                let field = format!("{field}.caBundle");
                if secure {
                    authorities(&text, &field)
                } else {
                    let fault = "must be unset with plainHTTP, which has no certificate";
                    Err(invalid(field, fault))
                }
            })
            .transpose()?;
        let named = |texts: Option<Vec<String>>, name: &str| {
            servers(
                texts.unwrap_or_default(),
                secure,
                &format!("{field}.{name}"),
            )
        };
        let token_servers = named(self.token_servers, "tokenServers")?;
        let redirect_hosts = named(self.redirect_hosts, "redirectHosts")?;
        let credentials = self
            .credentials
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(index, raw)| raw.check(host, &format!("{field}.credentials[{index}]")))
            .collect::<Result<_, _>>()?;
        Ok(Entry {
            endpoint,
            authorities,
            token_servers,
            redirect_hosts,
            credentials,
        })
    }
}

impl RawCredential {
    fn check(self, host: &str, field: &str) -> Result<CredentialSource, InvalidRegistries> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if self.secret.is_empty() || self.secret.len() > 253 || !self.secret.chars().all(is_name) {
            let fault = "must be the name of a Secret in the namespace of Bailiff";
            return Err(invalid(format!("{field}.secret"), fault));
        }
        let repositories = self
            .repositories
            .map(|texts| patterns(&texts, host, &format!("{field}.repositories")))
            .transpose()?;
        for (index, requirement) in self
            .namespace_selector
            .iter()
            .flat_map(|selector| &selector.match_expressions)
            .enumerate()
        {
            let fault = match (requirement.operator, requirement.values.is_empty()) {
                (Operator::In | Operator::NotIn, true) => "must have values",
                (Operator::Exists | Operator::DoesNotExist, false) => "must have no values",
                (Operator::In | Operator::NotIn, false)
                | (Operator::Exists | Operator::DoesNotExist, true) => continue,
            };
            let field = format!("{field}.namespaceSelector.matchExpressions[{index}]");
            let fault = format!("{fault} with operator {:?}", requirement.operator);
            return Err(invalid(field, fault));
        }
        Ok(CredentialSource {
            secret: self.secret,
            repositories,
            namespace_selector: self.namespace_selector,
        })
    }
}

/// The servers that a registry can lead to. One without TLS leads nowhere: on the way, anybody can write where.
fn servers(
    texts: Vec<String>,
    secure: bool,
    field: &str,
) -> Result<Vec<Server>, InvalidRegistries> {
    if !secure && !texts.is_empty() {
        let fault =
            "must be unset with plainHTTP: what leads to another host can be changed on the way";
        return Err(invalid(field, fault));
    }
    let server = |(index, text): (usize, String)| {
        Server::parse(&text).ok_or_else(|| {
            let fault = "must be host[:port] without scheme and path, such as auth.example.com";
            invalid(format!("{field}[{index}]"), fault)
        })
    };
    texts.into_iter().enumerate().map(server).collect()
}

/// The patterns of a credential, which all match repositories of its registry alone.
fn patterns(texts: &[String], host: &str, field: &str) -> Result<Patterns, InvalidRegistries> {
    let patterns = Patterns::parse(texts).map_err(|error| {
        let cause = std::error::Error::source(&error)
            .map_or_else(String::new, |source| format!(": {source}"));
        invalid(field, format!("{error}{cause}"))
    })?;
    let prefix = format!("{host}/");
    let is_other = |pattern: &Pattern| !pattern.as_str().starts_with(&prefix);
    if let Some(index) = patterns.as_slice().iter().position(is_other) {
        let fault = format!("must start with {prefix}, because the credential is of that registry");
        return Err(invalid(format!("{field}[{index}]"), fault));
    }
    Ok(patterns)
}

fn check_registry(host: &str, field: &str) -> Result<(), InvalidRegistries> {
    if ALIASES.contains(&host) {
        let fault = format!("must be {DOCKER_HUB}, as image references name Docker Hub");
        return Err(invalid(field, fault));
    }
    if !is_host(host) || check_host(host).is_err() {
        let fault = "must be a registry host as image references name it, such as ghcr.io or \
                     registry.example.com:5000";
        return Err(invalid(field, fault));
    }
    Ok(())
}

fn authorities(text: &str, field: &str) -> Result<Vec<CertificateDer<'static>>, InvalidRegistries> {
    let fault = "must be one or more PEM certificates of authorities; write the text that starts \
                 with -----BEGIN CERTIFICATE-----";
    let mut store = RootCertStore::empty();
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.ok().ok_or_else(|| invalid(field, fault))?;
        if store.add(certificate.clone()).is_err() {
            return Err(invalid(field, fault));
        }
        found.push(certificate);
    }
    if found.is_empty() {
        return Err(invalid(field, fault));
    }
    Ok(found)
}

fn invalid(field: impl Into<String>, fault: impl Into<String>) -> InvalidRegistries {
    InvalidRegistries {
        field: field.into(),
        fault: fault.into(),
    }
}

#[cfg(test)]
mod tests;
