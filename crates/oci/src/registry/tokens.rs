//! Tokens and challenges that are still good.
//!
//! Here: keeping them. Not here: getting them (`client`).
//! Invariant: a token is found only with everything that it was asked for with, so the token of a
//! credential is used with that credential alone. What is kept is bounded, whatever a registry sends, and no
//! registry takes the room of others that have fewer tokens.

use super::auth::Challenge;
use super::credential::Credential;
use super::endpoint::Origin;
use http::HeaderValue;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The most tokens that are kept.
const MAX_TOKENS: usize = 1024;

/// The most registries whose challenge is kept.
const MAX_CHALLENGES: usize = 256;

/// What a token was asked for with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TokenKey {
    /// The registry that the token is for.
    pub(super) registry: Origin,
    pub(super) realm: String,
    pub(super) service: String,
    pub(super) scope: String,
    pub(super) credential: Option<Credential>,
}

/// The tokens of token servers, and the last challenge of each registry.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    tokens: Mutex<BTreeMap<TokenKey, (HeaderValue, Instant)>>,
    challenges: Mutex<BTreeMap<Origin, Challenge>>,
}

impl Tokens {
    /// The token for `key`, if it has not expired.
    pub(super) fn get(&self, key: &TokenKey, now: Instant) -> Option<HeaderValue> {
        lock(&self.tokens)
            .get(key)
            .filter(|(_, expires)| *expires > now)
            .map(|(token, _)| token.clone())
    }

    /// Keeps a token for as long as it can be used. If there is no room, the one that expires first goes, of
    /// the registry that has the most.
    pub(super) fn keep(&self, key: TokenKey, token: HeaderValue, life: Duration, now: Instant) {
        let mut tokens = lock(&self.tokens);
        if tokens.len() >= MAX_TOKENS {
            tokens.retain(|_, (_, expires)| *expires > now);
        }
        if tokens.len() >= MAX_TOKENS
            && let Some(first) = first_to_go(&tokens)
        {
            tokens.remove(&first);
        }
        let expires = now.checked_add(life).unwrap_or(now);
        tokens.insert(key, (token, expires));
    }

    /// What a registry asked for the last time, so that it need not ask again.
    pub(super) fn challenge(&self, registry: &Origin) -> Option<Challenge> {
        lock(&self.challenges).get(registry).cloned()
    }

    /// Remembers what a registry asks for.
    pub(super) fn remember(&self, registry: &Origin, challenge: &Challenge) {
        let mut challenges = lock(&self.challenges);
        if challenges.len() >= MAX_CHALLENGES {
            // Only registries that an operator named are asked, so this many are rare.
            challenges.pop_first();
        }
        challenges.insert(registry.clone(), challenge.clone());
    }
}

/// The token that expires first, of the registry that has the most.
fn first_to_go(tokens: &BTreeMap<TokenKey, (HeaderValue, Instant)>) -> Option<TokenKey> {
    let mut counts: BTreeMap<&Origin, usize> = BTreeMap::new();
    for key in tokens.keys() {
        let count = counts.entry(&key.registry).or_default();
        *count = count.saturating_add(1);
    }
    let (most, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let of_it = tokens.iter().filter(|(key, _)| key.registry == *most);
    let first = of_it.min_by_key(|(_, (_, expires))| *expires);
    first.map(|(key, _)| key.clone())
}

/// The content, also if a thread panicked that had it: each change is one step.
pub(super) fn lock<T>(content: &Mutex<T>) -> MutexGuard<'_, T> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scope: usize, credential: Option<&Credential>) -> TokenKey {
        TokenKey {
            registry: Origin::of(&"https://r.test".parse().unwrap()).unwrap(),
            realm: "https://r.test/token".to_owned(),
            service: String::new(),
            scope: scope.to_string(),
            credential: credential.cloned(),
        }
    }

    #[test]
    fn a_token_is_found_until_it_expires_and_only_with_its_credential() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let octo = Credential::new("octo", "a").unwrap();
        let other = Credential::new("octo", "b").unwrap();
        let token = HeaderValue::from_static("Bearer a");
        tokens.keep(
            key(0, Some(&octo)),
            token.clone(),
            Duration::from_secs(9),
            now,
        );
        let later = |seconds| now.checked_add(Duration::from_secs(seconds)).unwrap();
        assert_eq!(tokens.get(&key(0, Some(&octo)), later(8)), Some(token));
        assert_eq!(tokens.get(&key(0, Some(&octo)), later(9)), None);
        assert_eq!(tokens.get(&key(0, Some(&other)), now), None);
        assert_eq!(tokens.get(&key(0, None), now), None);
        assert_eq!(tokens.get(&key(1, Some(&octo)), now), None);
    }

    #[test]
    fn a_registry_pushes_out_no_token_of_another() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let other = |scope| TokenKey {
            registry: Origin::of(&"https://other.test".parse().unwrap()).unwrap(),
            ..key(scope, None)
        };
        let token = || HeaderValue::from_static("a");
        for scope in 0..3 {
            tokens.keep(other(scope), token(), Duration::from_secs(1), now);
        }
        for scope in 0..MAX_TOKENS * 2 {
            tokens.keep(key(scope, None), token(), Duration::from_hours(1), now);
        }
        assert_eq!(lock(&tokens.tokens).len(), MAX_TOKENS);
        for scope in 0..3 {
            assert!(tokens.get(&other(scope), now).is_some(), "{scope}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        for (scope, life) in (0..MAX_TOKENS + 10).zip((1..10_000).rev()) {
            let life = Duration::from_secs(life);
            tokens.keep(key(scope, None), HeaderValue::from_static("a"), life, now);
        }
        assert_eq!(lock(&tokens.tokens).len(), MAX_TOKENS);
        assert!(tokens.get(&key(0, None), now).is_some());
        for port in 1..=MAX_CHALLENGES + 10 {
            let url = format!("https://r.test:{port}").parse().unwrap();
            tokens.remember(&Origin::of(&url).unwrap(), &Challenge::Basic);
        }
        assert_eq!(lock(&tokens.challenges).len(), MAX_CHALLENGES);
    }
}
