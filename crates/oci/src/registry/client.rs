//! Asking a registry about an image reference.
//!
//! Here: the requests of one lookup. Not here: getting the image (`pull`), where requests may go (`hops`, `auth`,
//! `addresses`) and what the answers mean (`answer`).
//! Invariant: a lookup sends a bounded number of requests, and ends in the time that it has.

mod pull;

pub use pull::{PullError, PullLimits, PulledManifest};

use super::answer::{self, ACCEPT, Status, unexpected_status};
use super::auth::{self, Challenge};
use super::config::{Entry, Registries};
use super::connect::{Http, InvalidClient, Resolve, SystemResolver, failure, http};
use super::credential::Credential;
use super::endpoint::{Endpoint, Origin, Server, follow};
use super::hops::{Content, Hop, hop};
use super::limits::{Bytes, ERROR_BYTES, Limits, MANIFEST_BYTES, REDIRECTS, TOKEN_BYTES};
use super::tokens::{TokenKey, Tokens};
use super::turns::Turns;
use crate::lookup::{Failure, ImageFacts, Lookup, Missing, Source};
use crate::manifest::ManifestAnswer;
use crate::reference::Reference;
use http::header::{
    ACCEPT as ACCEPT_HEADER, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    LOCATION, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::time::Instant;

/// What the requests say that they come from.
const AGENT: &str = concat!("bailiff/", env!("CARGO_PKG_VERSION"));

/// The header with the digest of a manifest.
static CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Asks registries about image references. Clones share their connections and tokens.
#[derive(Clone)]
pub struct RegistryClient {
    shared: Arc<Shared>,
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClient").finish_non_exhaustive()
    }
}

struct Shared {
    registries: Registries,
    /// The endpoint of each of them as a text, which every review needs.
    keys: BTreeMap<String, Arc<str>>,
    limits: Limits,
    /// For registries without an entry, and for entries with nothing of their own.
    http: Http,
    /// For the others, by registry.
    own: BTreeMap<String, Clients>,
    tokens: Tokens,
    turns: Turns,
}

/// The clients for the servers that an entry names. What it does not name is never connected to because of it,
/// so an exception for one registry is none for another that leads there.
struct Clients {
    /// For servers that are written without a port.
    checked: Http,
    /// For servers that are written with a port: an operator who writes one means that very server.
    any_address: Http,
}

impl Clients {
    fn of(&self, has_port: bool) -> &Http {
        if has_port {
            &self.any_address
        } else {
            &self.checked
        }
    }
}

/// One lookup.
struct Ask<'a> {
    shared: &'a Shared,
    endpoint: Endpoint,
    /// The entry of the registry.
    entry: Option<&'a Entry>,
    /// The clients of the entry, if it has some of its own.
    own: Option<&'a Clients>,
    reference: &'a Reference,
    credential: Option<&'a Credential>,
}

/// The value of `Authorization`, and whether it was kept from an earlier lookup.
struct Authorization {
    value: HeaderValue,
    is_kept: bool,
}

/// A lookup without facts.
enum Stop {
    Missing(Missing),
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl RegistryClient {
    /// A client for the registries of a configuration.
    ///
    /// # Errors
    /// TLS is not available.
    pub fn new(registries: Registries, limits: Limits) -> Result<Self, InvalidClient> {
        let resolve: Arc<dyn Resolve> = Arc::new(SystemResolver);
        Self::with_resolver(registries, limits, &resolve)
    }

    /// A client with another resolver than that of the system.
    ///
    /// # Errors
    /// TLS is not available.
    pub fn with_resolver(
        registries: Registries,
        limits: Limits,
        resolve: &Arc<dyn Resolve>,
    ) -> Result<Self, InvalidClient> {
        let denied: Arc<[_]> = registries.denied().into();
        let shared_http = http(None, Some(&denied), resolve, limits)?;
        let mut own = BTreeMap::new();
        for (registry, entry) in registries.entries() {
            let authorities = entry.authorities.as_deref();
            if authorities.is_none() && !entry.has_port() {
                continue;
            }
            let checked = match authorities {
                Some(_) => http(authorities, Some(&denied), resolve, limits)?,
                None => shared_http.clone(),
            };
            let any_address = http(authorities, None, resolve, limits)?;
            let clients = Clients {
                checked,
                any_address,
            };
            own.insert(registry.to_owned(), clients);
        }
        let keys = registries.entries().map(|(registry, entry)| {
            let key = Arc::from(entry.endpoint.to_string());
            (registry.to_owned(), key)
        });
        let shared = Shared {
            http: shared_http,
            keys: keys.collect(),
            registries,
            limits,
            own,
            tokens: Tokens::default(),
            turns: Turns::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The registries that the client was created with.
    #[must_use]
    pub fn registries(&self) -> &Registries {
        &self.shared.registries
    }

    /// Where a registry is asked: two registries have the same key only if they have the same
    /// repositories. For keys of what is remembered about answers.
    #[must_use]
    pub fn endpoint_key(&self, registry: &str) -> Arc<str> {
        match self.shared.keys.get(registry) {
            Some(key) => Arc::clone(key),
            None => Endpoint::of_registry(registry, true)
                .map_or_else(|| registry.into(), |endpoint| endpoint.to_string().into()),
        }
    }

    /// Asks the registry of `reference` once: for its digest, or else for its tag.
    ///
    /// `named_by_policy` says whether a policy in force names the registry literally. Without that and
    /// without an entry in the configuration, the registry is not asked. With `credential`, the answer
    /// is about what that credential can read.
    ///
    /// The result is never [`Lookup::Pending`].
    pub async fn lookup(
        &self,
        reference: &Reference,
        named_by_policy: bool,
        credential: Option<&Credential>,
    ) -> Lookup {
        let shared = &*self.shared;
        let Some(ask) = self.ask(reference, named_by_policy, credential) else {
            return Lookup::Failed(Failure::RegistryNotAllowed);
        };
        let now = Instant::now();
        let deadline = now.checked_add(shared.limits.lookup).unwrap_or(now);
        let origin = ask.endpoint.origin.clone();
        let Ok(_turn) = shared.turns.wait(&origin, deadline).await else {
            return Lookup::Failed(Failure::RateLimited { retry_after: None });
        };
        let facts = tokio::time::timeout_at(deadline, Box::pin(ask.facts()))
            .await
            .unwrap_or_else(|_: tokio::time::error::Elapsed| Err(Failure::Timeout.into()));
        match facts {
            Ok(facts) => Lookup::Found {
                facts,
                source: Source::Registry,
            },
            Err(Stop::Missing(missing)) => Lookup::NotFound(missing),
            Err(Stop::Failed(failure)) => {
                if let Failure::RateLimited { retry_after } = failure {
                    shared.turns.limit(&origin, retry_after);
                }
                Lookup::Failed(failure)
            }
        }
    }

    /// What the requests about a reference need; none: its registry is not asked.
    fn ask<'a>(
        &'a self,
        reference: &'a Reference,
        named_by_policy: bool,
        credential: Option<&'a Credential>,
    ) -> Option<Ask<'a>> {
        let shared = &*self.shared;
        let registry = reference.registry();
        let entry = shared.registries.entry(registry);
        let endpoint = match entry {
            Some(Entry { endpoint, .. }) => endpoint.clone(),
            None if named_by_policy => Endpoint::of_registry(registry, true)?,
            None => return None,
        };
        Some(Ask {
            shared,
            endpoint,
            entry,
            own: shared.own.get(registry),
            reference,
            credential,
        })
    }
}

/// What a request asks for.
struct Target<'a> {
    method: &'a Method,
    path: String,
    content: Content,
    accept: &'static str,
}

impl Ask<'_> {
    /// The client for a server that the entry of the registry names with a port or without.
    fn http(&self, has_port: bool) -> &Http {
        self.own
            .map_or(&self.shared.http, |clients| clients.of(has_port))
    }

    /// HEAD tells most registries' answers without a body; GET is what counts if it does not.
    async fn facts(&self) -> Result<ImageFacts, Stop> {
        let head = self.exchange(&self.manifest(&Method::HEAD)).await?;
        if status(&head)? == Status::Found
            && let Some(facts) = manifest(head.headers())?.facts(self.reference.digest())?
        {
            return Ok(facts);
        }
        let get = self.exchange(&self.manifest(&Method::GET)).await?;
        match status(&get)? {
            Status::Found => {
                let (parts, body) = get.into_parts();
                let answer = manifest(&parts.headers)?;
                let mut content = answer.content(self.reference.digest())?;
                let keep = |bytes: &[u8]| content.update(bytes);
                each(&parts.headers, body, MANIFEST_BYTES, keep).await?;
                Ok(content.finish()?)
            }
            Status::NotFound => {
                let (parts, body) = get.into_parts();
                let body = read(&parts.headers, body, ERROR_BYTES).await?;
                Err(Stop::Missing(answer::missing(&body)?))
            }
            Status::OtherMethod => Err(unexpected_status(get.status().as_u16()).into()),
        }
    }

    /// The request for the manifest.
    fn manifest<'a>(&self, method: &'a Method) -> Target<'a> {
        Target {
            method,
            path: self.endpoint.manifest(self.reference),
            content: Content::Manifest,
            accept: ACCEPT,
        }
    }

    /// Sends a request; follows redirects, and answers one challenge.
    async fn exchange(&self, target: &Target<'_>) -> Result<Response<Incoming>, Failure> {
        let Target {
            method,
            path: start,
            content,
            accept,
        } = target;
        let mut authorization = match self.shared.tokens.challenge(&self.endpoint.origin) {
            Some(challenge) => self.authorize(&challenge, true).await?,
            None => None,
        };
        let mut was_challenged = false;
        let mut redirects = 0_usize;
        let mut path = start.clone();
        // Where the request is after it left the origin of the endpoint.
        let mut other: Option<(Origin, &Http)> = None;
        loop {
            let value = authorization.as_ref().map(|held| &held.value);
            let (origin, response) = match &other {
                None => {
                    let origin = &self.endpoint.origin;
                    let http = self.http(self.endpoint.has_port);
                    let response = send(http, method, origin, &path, accept, value).await?;
                    (origin, response)
                }
                Some((origin, http)) => {
                    let response = send(http, method, origin, &path, accept, None).await?;
                    (origin, response)
                }
            };
            let status = response.status().as_u16();
            if matches!(status, 301 | 302 | 303 | 307 | 308) {
                redirects = redirects.saturating_add(1);
                if redirects > REDIRECTS {
                    return Err(Failure::RedirectNotAllowed);
                }
                let (to, next) = response
                    .headers()
                    .get(LOCATION)
                    .and_then(|text| text.to_str().ok())
                    .and_then(|text| follow(text, origin))
                    .ok_or_else(|| Failure::unexpected("redirect without a location"))?;
                let named = self.entry.map(|entry| entry.redirect_hosts.as_slice());
                let named = server_at(named, &to);
                match hop(*content, origin, &to, named.is_some()) {
                    Hop::Same => {}
                    Hop::Other => {
                        let has_port = named.is_some_and(|server| server.has_port);
                        other = Some((to, self.http(has_port)));
                    }
                    Hop::Refused => return Err(Failure::RedirectNotAllowed),
                }
                path = next.to_string();
                continue;
            }
            if status != 401 || other.is_some() || was_challenged {
                return Ok(response);
            }
            was_challenged = true;
            let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
            let challenge = Challenge::parse(values)?.ok_or(Failure::Unauthorized)?;
            self.shared
                .tokens
                .remember(&self.endpoint.origin, &challenge);
            // What was rejected just now is not tried again, unless it was kept from before.
            let was_kept = authorization.as_ref().is_some_and(|held| held.is_kept);
            let before = authorization.take();
            authorization = self.authorize(&challenge, !was_kept).await?;
            let is_same = match (&before, &authorization) {
                (Some(before), Some(now)) => before.value == now.value,
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if is_same {
                return Err(Failure::Unauthorized);
            }
            path.clone_from(start);
        }
    }

    /// What a challenge is answered with: nothing if there is no credential for it.
    ///
    /// With `use_kept`, a token of an earlier lookup is used if it has not expired.
    async fn authorize(
        &self,
        challenge: &Challenge,
        use_kept: bool,
    ) -> Result<Option<Authorization>, Failure> {
        let (realm, service) = match challenge {
            Challenge::Basic => {
                let value = self.credential.and_then(Credential::basic);
                let is_kept = false;
                return Ok(value.map(|value| Authorization { value, is_kept }));
            }
            Challenge::Bearer { realm, service } => (realm, service),
        };
        let registry = &self.endpoint.origin;
        let (server, path) = follow(realm, registry).ok_or(Failure::TokenServerNotAllowed)?;
        let named = self.entry.map(|entry| entry.token_servers.as_slice());
        let named = server_at(named, &server);
        let path = auth::token_server(registry, &server, named.is_some())
            .and_then(|belongs| auth::realm(path, belongs))
            .ok_or(Failure::TokenServerNotAllowed)?;
        let scope = self.endpoint.scope(self.reference);
        let key = TokenKey {
            registry: registry.clone(),
            realm: format!("{server}{path}"),
            service: service.clone(),
            scope,
            credential: self.credential.cloned(),
        };
        if use_kept && let Some(value) = self.shared.tokens.get(&key, Instant::now()) {
            let is_kept = true;
            return Ok(Some(Authorization { value, is_kept }));
        }
        let http = self.http(if server == *registry {
            self.endpoint.has_port
        } else {
            named.is_some_and(|server| server.has_port)
        });
        let basic = self.credential.and_then(Credential::basic);
        let path = auth::token_path(&path, service, &key.scope);
        let response = send(http, &Method::GET, &server, &path, ACCEPT, basic.as_ref()).await?;
        if response.status().is_redirection() {
            return Err(Failure::RedirectNotAllowed);
        }
        if status(&response)? != Status::Found {
            let status = response.status().as_u16();
            return Err(Failure::unexpected(&format!(
                "token server with status {status}"
            )));
        }
        let (parts, body) = response.into_parts();
        let body = read(&parts.headers, body, TOKEN_BYTES).await?;
        let (value, life) = auth::token(&body)?;
        let tokens = &self.shared.tokens;
        tokens.keep(key, value.clone(), life, Instant::now());
        let is_kept = false;
        Ok(Some(Authorization { value, is_kept }))
    }
}

/// The server at an origin, if an entry names it.
fn server_at<'a>(named: Option<&'a [Server]>, origin: &Origin) -> Option<&'a Server> {
    let mut named = named.into_iter().flatten();
    named.find(|server| server.origin == *origin)
}

async fn send(
    http: &Http,
    method: &Method,
    origin: &Origin,
    path: &str,
    accept: &'static str,
    authorization: Option<&HeaderValue>,
) -> Result<Response<Incoming>, Failure> {
    let url = origin
        .url(path)
        .ok_or_else(|| Failure::unexpected("malformed URL"))?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = method.clone();
    *request.uri_mut() = url;
    let headers = request.headers_mut();
    headers.insert(ACCEPT_HEADER, HeaderValue::from_static(accept));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(value) = authorization {
        headers.insert(AUTHORIZATION, value.clone());
    }
    http.request(request).await.map_err(|error| failure(&error))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the edge: dates of Retry-After are relative to now"
)]
fn status<T>(response: &Response<T>) -> Result<Status, Failure> {
    let retry_after = response.headers().get(RETRY_AFTER);
    let text = retry_after.and_then(|value| value.to_str().ok());
    answer::status(response.status(), text, SystemTime::now())
}

/// What an answer about a manifest says.
fn manifest(headers: &HeaderMap) -> Result<ManifestAnswer<'_>, Failure> {
    let digests: Option<_> = headers
        .get_all(&CONTENT_DIGEST)
        .iter()
        .map(|value| value.to_str().ok())
        .collect();
    let content_type = headers.get(CONTENT_TYPE);
    Ok(ManifestAnswer {
        content_type: content_type.and_then(|value| value.to_str().ok()),
        digests: digests.ok_or_else(|| Failure::unexpected("malformed digest"))?,
    })
}

/// The bytes of a body, up to a limit.
async fn read(headers: &HeaderMap, body: Incoming, limit: Bytes) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    each(headers, body, limit, |bytes| all.extend_from_slice(bytes)).await?;
    Ok(all)
}

/// Calls `keep` with the bytes of a body as they come, up to a limit. They are taken as they are:
/// nothing is decompressed.
async fn each(
    headers: &HeaderMap,
    mut body: Incoming,
    limit: Bytes,
    mut keep: impl FnMut(&[u8]),
) -> Result<(), Failure> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(encoding) = header(CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Failure::unexpected(&format!("content encoding {encoding}")));
    }
    let stated = header(CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    if stated.is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > limit.most)) {
        return Err(limit.exceeded());
    }
    let mut count = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure(&error))?;
        let Some(bytes) = frame.data_ref() else {
            continue;
        };
        count = count.saturating_add(bytes.len());
        if count > limit.most {
            return Err(limit.exceeded());
        }
        keep(bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::ShortNames;
    use std::time::Duration;

    #[tokio::test]
    async fn a_turn_that_does_not_come_is_the_registry_limiting() {
        let registries = Registries::parse("registries: {r.test: {}}").unwrap();
        let limits = Limits {
            lookup: Duration::from_millis(100),
            ..Limits::default()
        };
        let client = RegistryClient::new(registries, limits).unwrap();
        let origin = Origin::of(&"https://r.test".parse().unwrap()).unwrap();
        let turns = &client.shared.turns;
        turns.limit(&origin, None);
        let turn = turns.wait(&origin, Instant::now()).await;
        assert!(matches!(turn, Ok(Some(_))), "{turn:?}");
        let reference = Reference::parse("r.test/acme/web", ShortNames::Rejected).unwrap();
        let found = client.lookup(&reference, false, None).await;
        let limited = Failure::RateLimited { retry_after: None };
        assert_eq!(found, Lookup::Failed(limited));
    }
}
