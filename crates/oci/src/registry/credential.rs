//! User name and password of a registry.
//!
//! Here: reading them from a Secret. Not here: for whom they are (`config`).
//! Invariant: a password is in no message, not even in part.

use super::MAX_CONFIG_BYTES;
use crate::grammar::{ALIASES, DOCKER_HUB};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// A user name and a password.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credential {
    username: Box<str>,
    password: Box<str>,
}

/// Why the content of a Secret has no credential for a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredential {
    /// It does not have the structure of a `.dockerconfigjson`.
    #[error(
        "cannot decode .dockerconfigjson; create the Secret with `kubectl create secret docker-registry`"
    )]
    Structure,
    /// It has no entry for the registry.
    #[error(".dockerconfigjson has no credential for the registry; add one to its auths")]
    Missing,
    /// The entry has a token for an identity, which is not supported.
    #[error(
        ".dockerconfigjson has an identity token for the registry, which is not supported; use a user name and a password"
    )]
    Token,
    /// The user name is empty or contains a colon or a control character, or the password contains
    /// one.
    #[error(
        "the user name of the registry must not be empty or contain a colon, and neither it nor the password can contain control characters"
    )]
    Text,
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, Auth>,
}

/// Unknown fields are what other clients keep.
#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    /// Both, in base64.
    #[serde(default, rename = "auth")]
    pair: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

impl Credential {
    /// A user name and a password.
    ///
    /// # Errors
    /// They cannot be sent.
    pub fn new(username: &str, password: &str) -> Result<Self, InvalidCredential> {
        if username.is_empty()
            || username.contains(':')
            || username.contains(char::is_control)
            || password.contains(char::is_control)
        {
            return Err(InvalidCredential::Text);
        }
        Ok(Self {
            username: username.into(),
            password: password.into(),
        })
    }

    /// The credential for `registry`, as references name it, from the value `.dockerconfigjson` of a
    /// Secret of type `kubernetes.io/dockerconfigjson`.
    ///
    /// Entries with a path, other than the version of the API, are of other clients and are not read.
    ///
    /// # Errors
    /// There is none that can be used.
    pub fn from_docker_config(json: &[u8], registry: &str) -> Result<Self, InvalidCredential> {
        if json.len() > MAX_CONFIG_BYTES {
            return Err(InvalidCredential::Structure);
        }
        let config: DockerConfig = serde_json::from_slice(json)
            .ok()
            .ok_or(InvalidCredential::Structure)?;
        let auth = config
            .auths
            .into_iter()
            .find(|(name, _)| is_for(name, registry))
            .ok_or(InvalidCredential::Missing)?
            .1;
        if !auth.identitytoken.is_empty() || !auth.registrytoken.is_empty() {
            return Err(InvalidCredential::Token);
        }
        if auth.pair.is_empty() {
            return Self::new(&auth.username, &auth.password);
        }
        let decoded = STANDARD
            .decode(auth.pair.trim_end())
            .ok()
            .ok_or(InvalidCredential::Structure)?;
        let text = String::from_utf8(decoded)
            .ok()
            .ok_or(InvalidCredential::Structure)?;
        let (username, password) = text.split_once(':').ok_or(InvalidCredential::Structure)?;
        Self::new(username, password)
    }

    /// The value of `Authorization` with the scheme Basic.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let pair = STANDARD.encode(format!("{}:{}", self.username, self.password));
        let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Whether the name of an entry is that of a registry, in one of the forms that clients write.
fn is_for(name: &str, registry: &str) -> bool {
    let name = name
        .strip_prefix("https://")
        .or_else(|| name.strip_prefix("http://"))
        .unwrap_or(name);
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    let host = if ALIASES.contains(&host) {
        DOCKER_HUB
    } else {
        host
    };
    host == registry && matches!(path, "" | "v1" | "v1/" | "v2" | "v2/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_docker_config_has_the_credential_of_each_registry() {
        let config = br#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnM6M2NyZXQ=", "email": "a@b.test"},
            "ghcr.io": {"username": "octo", "password": "cat"},
            "http://plain.test:5000": {"username": "p", "password": ""},
            "gcr.io/project": {"username": "of", "password": "other clients"},
            "token.test": {"identitytoken": "abc"},
            "colon.test": {"username": "a:b", "password": "c"},
            "control.test": {"username": "a", "password": "b\r\nX-Header: c"},
            "none.test": {},
            "base64.test": {"auth": "!"},
            "pair.test": {"auth": "aHVi"}
        }, "credHelpers": {}}"#;
        let of = |username, password| Ok(Credential::new(username, password).unwrap());
        for (registry, expected) in [
            ("docker.io", of("hub", "s:3cret")),
            ("ghcr.io", of("octo", "cat")),
            ("plain.test:5000", of("p", "")),
            ("plain.test", Err(InvalidCredential::Missing)),
            ("gcr.io", Err(InvalidCredential::Missing)),
            ("token.test", Err(InvalidCredential::Token)),
            ("colon.test", Err(InvalidCredential::Text)),
            ("control.test", Err(InvalidCredential::Text)),
            ("none.test", Err(InvalidCredential::Text)),
            ("base64.test", Err(InvalidCredential::Structure)),
            ("pair.test", Err(InvalidCredential::Structure)),
        ] {
            let found = Credential::from_docker_config(config, registry);
            assert_eq!(found, expected, "{registry}");
        }
        for text in ["", "{}", "[]", "{\"auths\": []}", "{\"auths\": {\"a\": 1}}"] {
            let found = Credential::from_docker_config(text.as_bytes(), "ghcr.io");
            assert_eq!(found, Err(InvalidCredential::Structure), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let credential = Credential::new("octo", "s3cret").unwrap();
        assert_eq!(
            format!("{credential:?}"),
            "Credential { username: \"octo\", .. }"
        );
        let header = credential.basic().unwrap();
        assert_eq!(header, "Basic b2N0bzpzM2NyZXQ=");
        assert_eq!(format!("{header:?}"), "Sensitive");
    }
}
