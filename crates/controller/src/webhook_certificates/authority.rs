//! The content of the Secret of the authority.
//!
//! Here: reading it, its changes, and the bundle that follows from it. Not here: when which change is made
//! (`plan`).
//! Invariant: what is malformed, foreign or not valid now counts as absent; a change writes every key, so that
//! nothing of it stays.

use super::certificate::{CLOCK_SKEW, Certificate, KeyedCertificate, LIFETIME};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use std::collections::BTreeMap;
use std::fmt;

/// The data of a Secret. Its `Debug` shows the keys of the data alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct SecretData(pub(super) BTreeMap<String, ByteString>);

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A change of the data of a Secret: each key with its new text; one without is removed. Its `Debug` shows the keys
/// alone.
pub(super) struct SecretChange(BTreeMap<&'static str, Option<ByteString>>);

impl fmt::Debug for SecretChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl SecretChange {
    fn of<const N: usize>(entries: [(&'static str, Option<String>); N]) -> Self {
        let bytes = |text: String| ByteString(text.into_bytes());
        let entries = entries.map(|(key, text)| (key, text.map(bytes)));
        Self(entries.into())
    }

    /// A Secret that serves this certificate.
    pub(super) fn serving(served: &KeyedCertificate) -> Self {
        Self::of([
            ("tls.crt", Some(served.certificate.text.clone())),
            ("tls.key", Some(served.key_text())),
        ])
    }

    /// The data of a merge patch.
    pub(super) const fn data(&self) -> &BTreeMap<&'static str, Option<ByteString>> {
        &self.0
    }
}

impl SecretData {
    fn get(&self, key: &str) -> &[u8] {
        self.0.get(key).map_or(&[], |bytes| &bytes.0)
    }

    fn time(&self, key: &str) -> Option<Timestamp> {
        std::str::from_utf8(self.get(key)).ok()?.parse().ok()
    }

    /// The certificate and key that are served.
    pub(super) fn served(&self) -> Option<KeyedCertificate> {
        KeyedCertificate::read(self.get("tls.crt"), self.get("tls.key"))
    }
}

/// The authorities.
#[derive(Debug, Default)]
pub(super) struct Authority {
    /// The one that issues.
    pub(super) current: Option<KeyedCertificate>,
    /// The one that issues next, once it has been in the bundle for long enough.
    pub(super) next: Option<KeyedCertificate>,
    /// Since when `next` has been in the bundle of every entry.
    pub(super) published: Option<Timestamp>,
    /// The one that issued before.
    pub(super) previous: Option<Certificate>,
    /// When the last certificate of `previous` ends.
    pub(super) previous_until: Option<Timestamp>,
    /// The certificate of `current`, if all but its key is usable.
    without_key: Option<Certificate>,
}

/// A change of the authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Begins anew, because the current authority is not usable.
    Replace,
    /// Adds the authority that issues next.
    AddNext,
    /// Records since when the next authority has been in the bundle of every entry; none: it is not.
    Published(Option<Timestamp>),
    /// The next authority issues from now on.
    Promote,
    /// No certificate of the previous authority can be served any more.
    ForgetPrevious,
}

impl Authority {
    /// What of a Secret is usable now.
    pub(super) fn read(data: &SecretData, now: Timestamp) -> Self {
        let keyed = |name: &str| {
            let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
            KeyedCertificate::read(data.get(&certificate), data.get(&key))
                .filter(|keyed| keyed.is_usable_authority(now))
        };
        let certificate = |name: &str| {
            Certificate::read(data.get(&format!("{name}.crt")))
                .filter(|found| found.is_valid_at(now) && found.is_authority())
        };
        let next = keyed("next");
        Self {
            current: keyed("ca"),
            published: data.time("next.published").filter(|_| next.is_some()),
            next,
            previous: certificate("previous"),
            previous_until: data.time("previous.until"),
            without_key: certificate("ca"),
        }
    }

    /// What makes a Secret one of these authorities.
    pub(super) fn write(&self) -> SecretChange {
        let text = |keyed: &Option<KeyedCertificate>| {
            keyed.as_ref().map(|keyed| keyed.certificate.text.clone())
        };
        let key = |keyed: &Option<KeyedCertificate>| keyed.as_ref().map(KeyedCertificate::key_text);
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let previous = self.previous.as_ref();
        SecretChange::of([
            ("ca.crt", text(&self.current)),
            ("ca.key", key(&self.current)),
            ("next.crt", text(&self.next)),
            ("next.key", key(&self.next)),
            ("next.published", time(self.published)),
            ("previous.crt", previous.map(|c| c.text.clone())),
            ("previous.until", time(self.previous_until)),
        ])
    }

    /// What the API server trusts: every authority whose certificates can be served now or soon.
    pub(super) fn bundle(&self) -> String {
        let keyed = [&self.current, &self.next].into_iter().flatten();
        let certificates = keyed.map(|keyed| &keyed.certificate);
        certificates
            .chain(&self.previous)
            .map(|certificate| certificate.text.as_str())
            .collect()
    }

    /// When the next authority has been in every bundle for long enough; none: it is not in every bundle, or the
    /// record is of a future that nobody waits for.
    pub(super) fn promoted_at(&self, now: Timestamp) -> Option<Timestamp> {
        let published = self.published.filter(|since| *since <= now + PUBLISHED_FOR);
        published.map(|since| since + PUBLISHED_FOR)
    }

    /// Until when the previous authority is kept; none: there is none. A time that is missing, or later than that
    /// of a promotion by a clock that is ahead, is not ours: the authority is not kept then.
    pub(super) fn keep_previous_until(&self, now: Timestamp) -> Option<Timestamp> {
        let previous = self.previous.as_ref()?;
        let latest = now + LIFETIME + CLOCK_SKEW;
        let until = self.previous_until.filter(|until| *until <= latest);
        Some(until.unwrap_or(now).min(previous.not_after))
    }

    /// The authorities after a change.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(super) fn changed(mut self, change: Change, now: Timestamp) -> Result<Self, rcgen::Error> {
        match change {
            Change::Replace => {
                let next = match self.next.take() {
                    Some(next) => next,
                    None => KeyedCertificate::authority(now)?,
                };
                self.issue_with(next, now);
            }
            Change::AddNext => {
                self.next = Some(KeyedCertificate::authority(now)?);
                self.published = None;
            }
            Change::Published(since) => self.published = since,
            Change::Promote => {
                if let Some(next) = self.next.take() {
                    self.issue_with(next, now);
                }
            }
            Change::ForgetPrevious => {
                self.previous = None;
                self.previous_until = None;
            }
        }
        Ok(self)
    }

    fn issue_with(&mut self, next: KeyedCertificate, now: Timestamp) {
        if let Some(before) = self.without_key.take() {
            self.previous = Some(before);
            self.previous_until = Some(now + LIFETIME);
        }
        self.current = Some(next);
        self.published = None;
    }
}

/// How long a new authority is in every bundle before a certificate of it is served.
pub(super) const PUBLISHED_FOR: SignedDuration = SignedDuration::from_mins(10);
