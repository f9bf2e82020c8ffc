//! Where the requests about a registry go.
//!
//! Here: origins, and the URL of a manifest. Not here: reading the configuration (`config`).
//! Invariant: an [`Origin`] is one scheme, host and port, written in one way. What was parsed is what
//! is connected to, because requests are built from origins and never from the text of a server.

use crate::digest::Digest;
use crate::reference::Reference;
use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;

/// What a parameter of a URL contains unescaped.
pub(super) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The host that serves Docker Hub.
const DOCKER_HUB: (&str, &str) = (crate::grammar::DOCKER_HUB, "registry-1.docker.io");

/// A scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    secure: bool,
    /// In lower case, IPv6 in brackets.
    host: Box<str>,
    port: u16,
}

impl Origin {
    /// The origin of a URL with scheme http or https, without a user name.
    #[must_use]
    pub fn of(url: &Uri) -> Option<Self> {
        let secure = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = url.authority()?.as_str();
        let host = url.host()?;
        // Whatever else an authority contains, such as a user name, is none.
        let port = match authority.strip_prefix(host)? {
            "" => default_port(secure),
            port => port
                .strip_prefix(':')?
                .parse()
                .ok()
                .filter(|&port| port != 0)?,
        };
        let host = host.to_ascii_lowercase().into();
        (!authority.is_empty()).then_some(Self { secure, host, port })
    }

    /// The origin of a registry as references name it.
    fn of_registry(registry: &str, secure: bool) -> Option<Self> {
        let scheme = if secure { "https" } else { "http" };
        Self::of(&format!("{scheme}://{registry}/").parse().ok()?)
    }

    /// Whether it is https.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, with its port unless it is the one of the scheme.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == default_port(self.secure) {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The URL of a path here.
    pub(super) fn url(&self, path: &str) -> Option<Uri> {
        format!("{self}{path}").parse().ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// A server beside the endpoint of a registry that the configuration names: with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) origin: Origin,
    /// Whether the port is written, so that any address is connected to.
    pub(super) has_port: bool,
}

impl Server {
    /// The server that `text` is: `host[:port]`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_host =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if !text.chars().all(is_host) {
            return None;
        }
        Some(Self {
            origin: Origin::of_registry(text, true)?,
            has_port: has_port(text),
        })
    }
}

/// Where the requests about the repositories of one registry go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) origin: Origin,
    /// Path before the name of a repository, such as `/v2` or, of a mirror, `/v2/docker-hub`.
    base: Box<str>,
    /// What a mirror puts before the name of a repository: empty, or with a slash at its end.
    prefix: Box<str>,
    /// The registry as a query, if the endpoint is another host: mirrors of several registries
    /// learn from it which one is meant, as from containerd.
    query: Box<str>,
    /// Whether the port is written, or a person typed the registry, so that any address is connected to.
    pub(super) has_port: bool,
}

/// What is wrong with the endpoint of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndpointFault {
    /// No URL with a host and a path.
    Malformed,
    /// The scheme contradicts `plainHTTP`.
    Scheme,
}

impl Endpoint {
    /// The endpoint of a registry that has no mirror.
    pub(super) fn of_registry(registry: &str, secure: bool) -> Option<Self> {
        let host = if registry == DOCKER_HUB.0 {
            DOCKER_HUB.1
        } else {
            registry
        };
        Some(Self {
            origin: Origin::of_registry(host, secure)?,
            base: "/v2".into(),
            prefix: "".into(),
            query: "".into(),
            has_port: has_port(host),
        })
    }

    /// The endpoint that `text` is, for `registry`.
    ///
    /// Its form is that of containerd's `hosts.toml`: `host[:port]`, with or without a scheme. If it
    /// has a path, `/v2` is added to that, unless the path contains it: then the path is used as it
    /// is, as with `override_path`, and what follows `/v2` precedes the name of each repository.
    pub(super) fn parse(text: &str, registry: &str, secure: bool) -> Result<Self, EndpointFault> {
        let scheme = if secure { "https" } else { "http" };
        let url: Uri = if text.contains("://") {
            text.parse()
        } else {
            format!("{scheme}://{text}").parse()
        }
        .ok()
        .ok_or(EndpointFault::Malformed)?;
        let origin = Origin::of(&url).ok_or(EndpointFault::Malformed)?;
        if origin.secure != secure {
            return Err(EndpointFault::Scheme);
        }
        let path = url.path().trim_matches('/');
        if url.query().is_some() || text.contains('#') || !is_path(path) {
            return Err(EndpointFault::Malformed);
        }
        let mut components = path.split('/').filter(|component| !component.is_empty());
        let has_version = components.any(|component| component == "v2");
        let mut prefix = components.collect::<Vec<_>>().join("/");
        if !prefix.is_empty() {
            prefix.push('/');
        }
        let base = match (path.is_empty(), has_version) {
            (true, _) => "/v2".to_owned(),
            (false, true) => format!("/{path}"),
            (false, false) => format!("/{path}/v2"),
        };
        let own = Self::of_registry(registry, secure).map(|own| own.origin);
        let query = if own.as_ref() == Some(&origin) {
            String::new()
        } else {
            format!("?ns={}", utf8_percent_encode(registry, UNRESERVED))
        };
        let authority = url.authority().map_or("", http::uri::Authority::as_str);
        Ok(Self {
            has_port: has_port(authority),
            origin,
            base: base.into(),
            prefix: prefix.into(),
            query: query.into(),
        })
    }

    /// The path of a manifest: of the digest if there is one, or else of the tag.
    pub(super) fn manifest(&self, reference: &Reference) -> String {
        let selector = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.as_str(),
            (None, tag) => tag.unwrap_or_default(),
        };
        let (base, path, query) = (&self.base, reference.path(), &self.query);
        format!("{base}/{path}/manifests/{selector}{query}")
    }

    /// The path of a blob of the repository.
    pub(super) fn blob(&self, reference: &Reference, digest: &Digest) -> String {
        let (base, path, query) = (&self.base, reference.path(), &self.query);
        format!("{base}/{path}/blobs/{digest}{query}")
    }

    /// What a token has to permit: pulling the repository, under its name at the endpoint.
    pub(super) fn scope(&self, reference: &Reference) -> String {
        format!("repository:{}{}:pull", self.prefix, reference.path())
    }
}

/// Origin and path: the same text for two registries only if they have the same repositories.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.origin, self.base, self.query)
    }
}

/// Whether a host has a port written behind it.
fn has_port(host: &str) -> bool {
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    after.contains(':')
}

/// Whether a path has only characters of repository names.
fn is_path(path: &str) -> bool {
    path.is_empty()
        || path.split('/').all(|component| {
            !matches!(component, "" | "." | "..")
                && component
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        })
}

/// Origin, path and query of the URL that a server sent, relative to the URL that was asked.
pub(super) fn follow(text: &str, from: &Origin) -> Option<(Origin, PathAndQuery)> {
    let url: Uri = if text.starts_with("//") {
        let scheme = if from.secure { "https:" } else { "http:" };
        format!("{scheme}{text}").parse().ok()?
    } else if text.starts_with('/') {
        from.url(text)?
    } else {
        text.parse().ok()?
    };
    let path = url
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    Some((Origin::of(&url)?, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::ShortNames;

    #[test]
    fn an_endpoint_has_the_form_of_containerd() {
        let reference = Reference::parse("nginx:1", ShortNames::DockerHub).unwrap();
        for (text, url, scope, has_port) in [
            (
                "https://mirror.test",
                "https://mirror.test/v2/library/nginx/manifests/1?ns=docker.io",
                "repository:library/nginx:pull",
                false,
            ),
            (
                "mirror.test:443",
                "https://mirror.test/v2/library/nginx/manifests/1?ns=docker.io",
                "repository:library/nginx:pull",
                true,
            ),
            (
                "https://mirror.test:5000/hub/",
                "https://mirror.test:5000/hub/v2/library/nginx/manifests/1?ns=docker.io",
                "repository:library/nginx:pull",
                true,
            ),
            (
                "https://mirror.test/v2/docker-hub",
                "https://mirror.test/v2/docker-hub/library/nginx/manifests/1?ns=docker.io",
                "repository:docker-hub/library/nginx:pull",
                false,
            ),
            (
                "https://[fd12::1]:5000/api/docker/v2",
                "https://[fd12::1]:5000/api/docker/v2/library/nginx/manifests/1?ns=docker.io",
                "repository:library/nginx:pull",
                true,
            ),
            (
                "https://[fd12::1]",
                "https://[fd12::1]/v2/library/nginx/manifests/1?ns=docker.io",
                "repository:library/nginx:pull",
                false,
            ),
            (
                "https://registry-1.docker.io",
                "https://registry-1.docker.io/v2/library/nginx/manifests/1",
                "repository:library/nginx:pull",
                false,
            ),
        ] {
            let endpoint = Endpoint::parse(text, "docker.io", true).unwrap();
            let path = endpoint.manifest(&reference);
            assert_eq!(format!("{}{path}", endpoint.origin), url, "{text}");
            assert_eq!(endpoint.scope(&reference), scope, "{text}");
            assert_eq!(endpoint.has_port, has_port, "{text}");
        }
    }

    #[test]
    fn an_endpoint_that_is_none_has_a_fault() {
        for (text, secure, fault) in [
            ("", true, EndpointFault::Malformed),
            ("https://", true, EndpointFault::Malformed),
            ("ftp://mirror.test", true, EndpointFault::Malformed),
            ("https://user@mirror.test", true, EndpointFault::Malformed),
            (
                "https://user:pass@mirror.test",
                true,
                EndpointFault::Malformed,
            ),
            ("https://mirror.test:0", true, EndpointFault::Malformed),
            ("https://mirror.test:", true, EndpointFault::Malformed),
            ("https://mirror.test:65536", true, EndpointFault::Malformed),
            ("https://mirror.test/a?b=c", true, EndpointFault::Malformed),
            ("https://mirror.test/a#b", true, EndpointFault::Malformed),
            ("https://mirror.test/a/../b", true, EndpointFault::Malformed),
            ("https://mirror.test/a//b", true, EndpointFault::Malformed),
            ("https://mirror.test/%2e", true, EndpointFault::Malformed),
            ("http://mirror.test", true, EndpointFault::Scheme),
            ("https://mirror.test", false, EndpointFault::Scheme),
        ] {
            let endpoint = Endpoint::parse(text, "docker.io", secure);
            assert_eq!(endpoint, Err(fault), "{text}");
        }
    }

    #[test]
    fn a_server_is_a_host_with_or_without_a_port() {
        for (text, origin) in [
            ("auth.test", Some(("https://auth.test", false))),
            ("AUTH.test", Some(("https://auth.test", false))),
            ("auth.test:443", Some(("https://auth.test", true))),
            ("10.0.0.1:5001", Some(("https://10.0.0.1:5001", true))),
            ("[fd12::1]", Some(("https://[fd12::1]", false))),
            ("[fd12::1]:5001", Some(("https://[fd12::1]:5001", true))),
            ("", None),
            ("https://auth.test", None),
            ("auth.test/token", None),
            ("auth.test?a", None),
            ("user@auth.test", None),
            ("auth.test:0", None),
            ("auth.test:65536", None),
            ("*.auth.test", None),
        ] {
            let server = Server::parse(text);
            let found = server.map(|server| (server.origin.to_string(), server.has_port));
            let expected = origin.map(|(origin, has_port)| (origin.to_owned(), has_port));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_url_of_a_server_leads_where_it_says() {
        let from = Origin::of(&"https://r.test:5000/".parse().unwrap()).unwrap();
        for (text, to) in [
            ("/v2/a?b=c", Some("https://r.test:5000/v2/a?b=c")),
            ("https://R.test:5000/a", Some("https://r.test:5000/a")),
            ("https://other.test", Some("https://other.test/")),
            ("https://other.test:443/a", Some("https://other.test/a")),
            ("//other.test/a", Some("https://other.test/a")),
            ("http://r.test:5000/a", Some("http://r.test:5000/a")),
            // The host is what follows the user name.
            ("https://r.test:5000@evil.test/a", None),
            ("https://r.test:99999/a", None),
            ("file:///etc/passwd", None),
            ("gopher://r.test/a", None),
            ("a/b", None),
            ("", None),
            ("https://r.test:5000\\@evil.test/", None),
        ] {
            let led = follow(text, &from).map(|(to, path)| format!("{to}{path}"));
            assert_eq!(led.as_deref(), to, "{text}");
        }
    }

    #[test]
    fn registries_that_are_asked_at_the_same_place_have_the_same_key() {
        let key = |registry, text| Endpoint::parse(text, registry, true).unwrap().to_string();
        assert_eq!(
            key("docker.io", "mirror.test/v2/hub"),
            "https://mirror.test/v2/hub?ns=docker.io"
        );
        assert_ne!(
            key("docker.io", "mirror.test"),
            key("ghcr.io", "mirror.test")
        );
        assert_eq!(
            Endpoint::of_registry("docker.io", true)
                .unwrap()
                .to_string(),
            "https://registry-1.docker.io/v2"
        );
    }
}
