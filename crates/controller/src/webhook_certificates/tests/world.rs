//! A cluster in memory: what the plan reads and changes, and a client that verifies what is served.
//!
//! Here: carrying out a plan, and verifying with `webpki`, as a TLS client does. Not here: requests (`pass`).
//! Invariant: authorities that have ended do not verify, as in Go's client, though `webpki` does not look at that.

use crate::webhook_certificates::authority::{Authority, Change, SecretChange, SecretData};
use crate::webhook_certificates::certificate::{Certificate, KeyedCertificate, names};
use crate::webhook_certificates::plan::{Action, Configuration, Kind, State, plan};
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::time::Duration;

pub(super) const NAMESPACE: &str = "bailiff-system";
/// How late a replica or an API server can learn of a change.
const LATE: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub(super) struct World {
    pub(super) state: State,
    /// How far the leader's clock is ahead.
    pub(super) skew: SignedDuration,
    /// What was served, with the time at which it was replaced.
    served: Vec<(Timestamp, SecretData)>,
    /// What the API server trusted, in the same way.
    trusted: Vec<(Timestamp, String)>,
    pub(super) promoted: usize,
    pub(super) issued: usize,
}

impl World {
    pub(super) fn new() -> Self {
        let configuration = |kind, entries: &[&str]| Configuration {
            kind,
            entries: entries
                .iter()
                .map(|name| ((*name).to_owned(), String::new()))
                .collect(),
            expires: None,
        };
        let state = State {
            namespace: NAMESPACE.to_owned(),
            configurations: vec![
                configuration(Kind::Mutating, &["pods.bailiff.dev"]),
                configuration(
                    Kind::Validating,
                    &["pods.bailiff.dev", "policies.bailiff.dev"],
                ),
            ],
            ..State::default()
        };
        Self {
            state,
            skew: SignedDuration::ZERO,
            served: Vec::new(),
            trusted: Vec::new(),
            promoted: 0,
            issued: 0,
        }
    }

    /// Carries out plans until nothing is left, and returns what was done.
    pub(super) fn pass(&mut self, now: Timestamp) -> Vec<Action> {
        let mut done = Vec::new();
        for _ in 0..12 {
            let actions = plan(now + self.skew, &self.state).actions;
            if actions.is_empty() {
                return done;
            }
            for action in actions {
                self.carry_out(&action, now);
                done.push(action);
            }
        }
        panic!("without end: {done:?}");
    }

    fn carry_out(&mut self, action: &Action, now: Timestamp) {
        let clock = now + self.skew;
        let authority = || Authority::read(&self.state.authority, clock);
        match action {
            Action::ChangeAuthority(change) => {
                self.promoted += usize::from(*change == Change::Promote);
                let change = authority().changed(*change, clock).unwrap().write();
                merge(&mut self.state.authority, &change);
            }
            Action::Issue => {
                let issued = authority()
                    .current
                    .unwrap()
                    .issue(clock, NAMESPACE)
                    .unwrap();
                let before = self.state.served.clone();
                merge(&mut self.state.served, &SecretChange::serving(&issued));
                if self.issued > 0 {
                    self.served.push((now, before));
                }
                self.issued += 1;
            }
            Action::Publish {
                kind,
                entries,
                bundle,
                expires,
            } => {
                let mut configurations = self.state.configurations.iter_mut();
                let found = configurations.find(|found| found.kind == *kind).unwrap();
                for (name, found) in &mut found.entries {
                    assert!(entries.contains(name));
                    if self.issued > 0 && found != bundle {
                        self.trusted.push((now, found.clone()));
                    }
                    found.clone_from(bundle);
                }
                found.expires.clone_from(expires);
            }
        }
    }

    /// Every entry verifies what is served.
    pub(super) fn verify(&self, now: Timestamp) {
        self.verify_served(&self.state.served, now);
    }

    pub(super) fn verify_served(&self, served: &SecretData, now: Timestamp) {
        let mut bundles: Vec<_> = self.bundles().collect();
        bundles.dedup();
        for bundle in bundles {
            verify(bundle, served, now);
        }
    }

    fn bundles(&self) -> impl Iterator<Item = &str> {
        let entries = self.state.configurations.iter().flat_map(|c| &c.entries);
        entries.map(|(_, bundle)| bundle.as_str())
    }

    /// What is or was served a short time ago verifies with what is or was trusted a short time ago.
    pub(super) fn verify_late(&mut self, now: Timestamp) {
        let since = now - LATE;
        self.served.retain(|(until, _)| *until > since);
        self.trusted.retain(|(until, _)| *until > since);
        let served = self.served.iter().map(|(_, served)| served);
        let mut trusted: Vec<_> = self
            .trusted
            .iter()
            .map(|(_, bundle)| bundle.as_str())
            .collect();
        trusted.extend(self.bundles());
        trusted.sort_unstable();
        trusted.dedup();
        for served in served.chain([&self.state.served]) {
            for bundle in &trusted {
                verify(bundle, served, now);
            }
        }
    }
}

/// A Secret that serves this certificate.
pub(super) fn serving(served: &KeyedCertificate) -> SecretData {
    let mut secret = SecretData::default();
    merge(&mut secret, &SecretChange::serving(served));
    secret
}

/// As the API server merges the patch.
fn merge(secret: &mut SecretData, change: &SecretChange) {
    for (key, text) in change.data() {
        match text {
            Some(text) => secret.0.insert((*key).to_owned(), text.clone()),
            None => secret.0.remove(*key),
        };
    }
}

/// As the API server does when it calls the webhook.
fn verify(bundle: &str, served: &SecretData, now: Timestamp) {
    let texts = bundle.split_inclusive("-----END CERTIFICATE-----\n");
    let valid = texts.filter(|text| {
        let authority = Certificate::read(text.as_bytes()).unwrap();
        authority.is_valid_at(now)
    });
    let authorities: Vec<_> = valid
        .map(|text| CertificateDer::from_pem_slice(text.as_bytes()).unwrap())
        .collect();
    let anchors: Vec<_> = authorities
        .iter()
        .map(|authority| webpki::anchor_from_trusted_cert(authority).unwrap())
        .collect();
    let served = CertificateDer::from_pem_slice(&served.0["tls.crt"].0).unwrap();
    let served = webpki::EndEntityCert::try_from(&served).unwrap();
    let seconds = u64::try_from(now.as_second()).unwrap();
    let verified = served.verify_for_usage(
        &[webpki::ring::ECDSA_P256_SHA256],
        &anchors,
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        webpki::KeyUsage::server_auth(),
        None,
        None,
    );
    assert!(verified.is_ok(), "{now}: {:?}", verified.err());
    for name in names(NAMESPACE) {
        let name = ServerName::try_from(name).unwrap();
        served.verify_is_valid_for_subject_name(&name).unwrap();
    }
}

/// What an action is called here.
pub(super) fn name(action: &Action) -> &'static str {
    match action {
        Action::Issue => "issue",
        Action::Publish { .. } => "publish",
        Action::ChangeAuthority(change) => match change {
            Change::Replace => "Replace",
            Change::AddNext => "AddNext",
            Change::Published(Some(_)) => "published",
            Change::Published(None) => "forget published",
            Change::Promote => "Promote",
            Change::ForgetPrevious => "ForgetPrevious",
        },
    }
}
