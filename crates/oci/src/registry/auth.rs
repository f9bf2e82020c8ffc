//! How a registry asks for authentication.
//!
//! Here: challenges, token servers, and the answers of those. Not here: sending (`client`).
//! Invariant: a credential goes to the registry that it is for, or to a token server that may have
//! it, and a token permits pulling one repository. What a registry writes selects neither.

use super::Failure;
use super::endpoint::{Origin, UNRESERVED};
use http::HeaderValue;
use http::uri::PathAndQuery;
use http_auth::{ChallengeRef, ParamValue};
use percent_encoding::{percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use std::time::Duration;

/// How long a token is used at most, whatever its server says.
const LONGEST: Duration = Duration::from_hours(1);

/// How long a token is used if its server does not say. The specification of the token protocol has
/// this default.
const DEFAULT: Duration = Duration::from_mins(1);

/// How much earlier than it expires a token is no longer used.
const MARGIN: Duration = Duration::from_secs(10);

/// The most bytes of a realm and of a service.
const MAX_PARAMETER: usize = 1024;

/// Public registries with a token server on another host.
const BUILT_IN: &[(&str, &str)] = &[
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
    ("docker.elastic.co", "docker-auth.elastic.co"),
];

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password.
    Basic,
    /// A token.
    Bearer {
        /// The URL of the token server, as written.
        realm: String,
        /// What the token server calls the registry; empty if it does not say.
        service: String,
    },
}

impl Challenge {
    /// The challenge in values of `WWW-Authenticate`: the first for a token, or else for a password.
    pub(super) fn parse<'a>(
        values: impl Iterator<Item = &'a HeaderValue>,
    ) -> Result<Option<Self>, Failure> {
        let mut basic = None;
        for value in values.filter_map(|value| value.to_str().ok()) {
            // What is malformed ends the value, and is no challenge.
            let challenges = http_auth::parser::ChallengeParser::new(value);
            for challenge in challenges.map_while(Result::ok) {
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    return Self::bearer(&challenge).map(Some);
                }
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        Ok(basic)
    }

    fn bearer(challenge: &ChallengeRef<'_>) -> Result<Self, Failure> {
        let parameter = |name: &str| {
            let (_, value) = challenge
                .params
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(value)
        };
        let text = |value: &ParamValue<'_>| {
            (value.unescaped_len() <= MAX_PARAMETER).then(|| value.to_unescaped())
        };
        let unexpected = || Failure::unexpected("challenge without a realm");
        Ok(Self::Bearer {
            realm: parameter("realm").and_then(text).ok_or_else(unexpected)?,
            service: parameter("service").and_then(text).unwrap_or_default(),
        })
    }
}

/// How a token server belongs to `registry`, the origin of a registry's endpoint; none: it may not be asked.
///
/// `is_named` says whether the configuration names the token server for this registry.
pub(super) fn token_server(
    registry: &Origin,
    server: &Origin,
    is_named: bool,
) -> Option<TokenServer> {
    if registry == server {
        return Some(TokenServer::Own);
    }
    let is_built_in = || {
        BUILT_IN.iter().any(|(host, token_server)| {
            registry.authority() == *host && server.authority() == *token_server
        })
    };
    // A token that is read on the way can be used by others.
    if !registry.is_secure() || !server.is_secure() {
        return None;
    }
    if is_built_in() {
        return Some(TokenServer::Own);
    }
    is_named.then_some(TokenServer::Named)
}

/// How a token server belongs to a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenServer {
    /// It is the registry, or is built in for it.
    Own,
    /// The configuration names it for the registry. It can serve registries of others, too.
    Named,
}

/// The realm without the parameters that a request for a token adds; none: it has one, and the token server is
/// not the registry's own, whose credential would then be for what a registry chooses.
pub(super) fn realm(realm: PathAndQuery, server: TokenServer) -> Option<PathAndQuery> {
    let Some(query) = realm.query() else {
        return Some(realm);
    };
    let parameters = query.split(['&', ';']);
    if !parameters.clone().any(is_of_request) {
        return Some(realm);
    }
    match server {
        TokenServer::Named => None,
        TokenServer::Own => {
            let kept: Vec<_> = parameters.filter(|text| !is_of_request(text)).collect();
            let (path, kept) = (realm.path(), kept.join("&"));
            let separator = if kept.is_empty() { "" } else { "?" };
            format!("{path}{separator}{kept}").parse().ok()
        }
    }
}

/// Whether a parameter of a query is one that a request for a token adds, however a server reads its name.
fn is_of_request(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or_default();
    let name = name.replace('+', " ");
    let name = percent_decode_str(&name).decode_utf8_lossy();
    let name = name.trim().to_ascii_lowercase();
    // Some servers read a parameter with brackets as one of several values.
    let name = name.split('[').next().unwrap_or_default();
    matches!(name, "scope" | "service")
}

/// Path and query that ask a token server for a token.
pub(super) fn token_path(realm: &PathAndQuery, service: &str, scope: &str) -> String {
    let separator = if realm.query().is_some() { '&' } else { '?' };
    let escaped = |text| utf8_percent_encode(text, UNRESERVED);
    let service = if service.is_empty() {
        String::new()
    } else {
        format!("service={}&", escaped(service))
    };
    format!("{realm}{separator}{service}scope={}", escaped(scope))
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// The value of `Authorization` with the token in the answer of a token server, and how long it can be
/// used.
pub(super) fn token(body: &[u8]) -> Result<(HeaderValue, Duration), Failure> {
    let unexpected = || Failure::unexpected("token server without a token");
    let answer: TokenAnswer = serde_json::from_slice(body).ok().ok_or_else(unexpected)?;
    let token = answer
        .token
        .filter(|token| !token.is_empty())
        .or(answer.access_token)
        .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(unexpected)?;
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .ok()
        .ok_or_else(unexpected)?;
    value.set_sensitive(true);
    let life = answer
        .expires_in
        .map_or(DEFAULT, Duration::from_secs)
        .min(LONGEST);
    Ok((value, life.saturating_sub(MARGIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&str]) -> Result<Option<Challenge>, Failure> {
        let values: Vec<_> = values
            .iter()
            .map(|value| HeaderValue::from_str(value).unwrap())
            .collect();
        Challenge::parse(values.iter())
    }

    #[test]
    fn a_challenge_for_a_token_goes_first() {
        let bearer = |realm: &str, service: &str| {
            Ok(Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.to_owned(),
            }))
        };
        let unexpected = Err(Failure::unexpected("challenge without a realm"));
        let long = format!("Bearer realm=\"https://r.test/{}\"", "a".repeat(1024));
        for (values, expected) in [
            (
                vec!["Bearer realm=\"https://r.test/token\",service=\"r.test\",scope=\"x\""],
                bearer("https://r.test/token", "r.test"),
            ),
            (
                vec!["BEARER Realm=\"https://r.test/t\""],
                bearer("https://r.test/t", ""),
            ),
            (
                vec!["Basic realm=\"r\"", "Bearer realm=\"https://r.test/t\""],
                bearer("https://r.test/t", ""),
            ),
            (
                vec!["Basic realm=\"r\", Bearer realm=\"https://r.test/t\""],
                bearer("https://r.test/t", ""),
            ),
            (vec!["Basic realm=\"r\""], Ok(Some(Challenge::Basic))),
            (vec!["basic"], Ok(Some(Challenge::Basic))),
            (vec!["Negotiate"], Ok(None)),
            (vec![], Ok(None)),
            (vec![""], Ok(None)),
            (vec!["\"\", ,,="], Ok(None)),
            (vec!["Bearer"], unexpected.clone()),
            (vec!["Bearer service=\"r\""], unexpected.clone()),
            (vec![&long], unexpected),
        ] {
            assert_eq!(challenge(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_token_server_is_the_registry_or_named_for_it() {
        for (registry, server, is_named, allowed) in [
            ("https://r.test", "https://r.test", false, true),
            ("https://r.test:5000", "https://r.test:5000", false, true),
            ("https://r.test", "https://r.test:5001", false, false),
            ("https://r.test", "https://auth.test", false, false),
            ("https://r.test", "https://auth.test", true, true),
            ("https://r.test", "http://r.test", false, false),
            ("https://r.test", "http://auth.test", true, false),
            ("http://r.test", "http://r.test", false, true),
            ("http://r.test", "https://auth.test", true, false),
            (
                "https://registry-1.docker.io",
                "https://auth.docker.io",
                false,
                true,
            ),
            (
                "https://registry-1.docker.io",
                "http://auth.docker.io",
                false,
                false,
            ),
            (
                "https://registry-1.docker.io",
                "https://auth.docker.io:444",
                false,
                false,
            ),
            (
                "https://registry-1.docker.io",
                "https://gitlab.com",
                false,
                false,
            ),
            ("https://r.test", "https://auth.docker.io", false, false),
            (
                "https://registry.gitlab.com",
                "https://gitlab.com",
                false,
                true,
            ),
            (
                "https://docker.elastic.co",
                "https://docker-auth.elastic.co",
                false,
                true,
            ),
        ] {
            let origin = |text: &str| Origin::of(&text.parse().unwrap()).unwrap();
            assert_eq!(
                token_server(&origin(registry), &origin(server), is_named).is_some(),
                allowed,
                "{registry} to {server}"
            );
        }
    }

    #[test]
    fn what_a_registry_calls_itself_adds_no_parameters() {
        let path = |realm, service| {
            token_path(
                &PathAndQuery::from_static(realm),
                service,
                "repository:a/b:pull",
            )
        };
        assert_eq!(
            path("/token", "r.test&scope=repository:c:push#"),
            "/token?service=r.test%26scope%3Drepository%3Ac%3Apush%23&scope=repository%3Aa%2Fb%3Apull"
        );
        assert_eq!(
            path("/token?account=x", ""),
            "/token?account=x&scope=repository%3Aa%2Fb%3Apull"
        );
    }

    #[test]
    fn a_realm_has_no_parameter_of_the_request() {
        for (text, expected) in [
            ("/token", "/token"),
            ("/token?a=b;c&d", "/token?a=b;c&d"),
            ("/token?scopes=x&x=scope", "/token?scopes=x&x=scope"),
            ("/token?scope=x", "/token"),
            ("/token?a=b&service=x&c=d", "/token?a=b&c=d"),
            ("/token?a=b;scope=x;c", "/token?a=b&c"),
            (
                "/token?SCOPE=x&+%73cope=y&scope[]=z&service%5B0%5D",
                "/token",
            ),
        ] {
            let of = |server| {
                let realm = realm(PathAndQuery::from_static(text), server);
                realm.map(|realm| realm.to_string())
            };
            assert_eq!(of(TokenServer::Own).as_deref(), Some(expected));
            let named = (text == expected).then_some(expected);
            assert_eq!(of(TokenServer::Named).as_deref(), named, "{text}");
        }
    }

    #[test]
    fn a_token_is_used_for_a_bounded_time() {
        let seconds = |body: &str| {
            token(body.as_bytes())
                .map(|(value, life)| (value.to_str().unwrap().to_owned(), life.as_secs()))
        };
        let of = |token: &str, life| Ok((format!("Bearer {token}"), life));
        let unexpected = Err(Failure::unexpected("token server without a token"));
        for (body, expected) in [
            (r#"{"token": "a.b", "expires_in": 300}"#, of("a.b", 290)),
            (r#"{"access_token": "a", "token": ""}"#, of("a", 50)),
            (r#"{"token": "a", "access_token": "b"}"#, of("a", 50)),
            (
                r#"{"token": "a", "expires_in": 18446744073709551615}"#,
                of("a", 3590),
            ),
            (r#"{"token": "a", "expires_in": 0}"#, of("a", 0)),
            (r#"{"token": "a\r\nX: b"}"#, unexpected.clone()),
            (r#"{"token": "a b"}"#, unexpected.clone()),
            (r#"{"token": "é"}"#, unexpected.clone()),
            (r#"{"token": ""}"#, unexpected.clone()),
            ("{}", unexpected.clone()),
            ("<html>", unexpected.clone()),
            ("", unexpected),
        ] {
            assert_eq!(seconds(body), expected, "{body}");
        }
    }
}
