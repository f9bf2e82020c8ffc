//! What has to change now, and when to look again.
//!
//! Here: a function of the time and of what there is. Not here: requests (`apply`).
//! Invariant: it reads no clock and draws no key; without an entry that calls the webhook it changes nothing.

use super::authority::{Authority, Change, SecretData};
use super::certificate::Certificate;
use jiff::Timestamp;

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Namespace of the webhook.
    pub(super) namespace: String,
    /// Data of the Secret of the authority.
    pub(super) authority: SecretData,
    /// Data of the Secret of the served certificate.
    pub(super) served: SecretData,
    /// The configurations that exist.
    pub(super) configurations: Vec<Configuration>,
}

/// A kind of webhook configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `MutatingWebhookConfiguration`
    Mutating,
    /// `ValidatingWebhookConfiguration`
    Validating,
}

/// A webhook configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) kind: Kind,
    /// Names of the entries that call the Service of the webhook, each with its `caBundle`. Others are not ours.
    pub(super) entries: Vec<(String, String)>,
    /// The annotation with the end of the served certificate.
    pub(super) expires: Option<String>,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Writes the Secret of the authority.
    ChangeAuthority(Change),
    /// Writes the bundle into every entry of a configuration, and when the served certificate ends.
    Publish {
        kind: Kind,
        entries: Vec<String>,
        bundle: String,
        expires: Option<String>,
    },
    /// Writes a new certificate into the Secret that the webhook serves.
    Issue,
}

/// What has to change now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// In this order: an action assumes that those before it are done.
    pub(super) actions: Vec<Action>,
    /// When something has to change although nobody changes anything; none: never.
    pub(super) due: Option<Timestamp>,
    /// Until when the authority that issues is valid.
    pub(super) authority_ends: Option<Timestamp>,
    /// Until when the served certificate is valid; none: the one that is served is not usable.
    pub(super) served_ends: Option<Timestamp>,
}

/// What has to change.
pub(super) fn plan(now: Timestamp, state: &State) -> Plan {
    let configurations = &state.configurations;
    if configurations.iter().all(|found| found.entries.is_empty()) {
        return Plan::default();
    }
    let authority = Authority::read(&state.authority, now);
    let bundle = authority.bundle();
    let has_bundle = |found: &Configuration| found.entries.iter().all(|(_, has)| *has == bundle);
    let is_published = configurations.iter().all(has_bundle);
    let current = match (&authority.current, change(&authority, is_published, now)) {
        (Some(current), None) => current,
        (_, change) => {
            let change = change.unwrap_or(Change::Replace);
            return Plan {
                actions: vec![Action::ChangeAuthority(change)],
                due: Some(now),
                ..Plan::default()
            };
        }
    };
    let mut actions = Vec::new();
    if !is_published && authority.published.is_some() {
        actions.push(Action::ChangeAuthority(Change::Published(None)));
    }
    let served = state.served.served();
    let is_of = |issuer: &Certificate| {
        let mut served = served.iter();
        served.any(|served| served.is_usable(now, issuer, &state.namespace))
    };
    let is_of_current = is_of(&current.certificate);
    let is_usable = is_of_current || authority.previous.as_ref().is_some_and(is_of);
    let served = served.as_ref().filter(|_| is_usable);
    let served = served.map(|served| &served.certificate);
    let expires = served.map(|served| served.not_after.to_string());
    let outdated = configurations
        .iter()
        .filter(|found| !has_bundle(found) || found.expires != expires);
    actions.extend(outdated.map(|found| Action::Publish {
        kind: found.kind,
        entries: found.entries.iter().map(|(name, _)| name.clone()).collect(),
        bundle: bundle.clone(),
        expires: expires.clone(),
    }));
    // What an earlier authority issued is replaced at once.
    let of_current = served.filter(|_| is_of_current);
    let renewed = of_current.map(|served| renewal(served, &current.certificate));
    if renewed.is_none_or(|renewed| renewed <= now) {
        actions.push(Action::Issue);
    }
    let next = authority.next.as_ref();
    let due = [
        next.is_none().then(|| current.certificate.half_life()),
        next.map(|next| next.certificate.not_after),
        authority.promoted_at(now),
        authority.keep_previous_until(now),
        renewed,
        Some(current.certificate.not_after),
    ];
    Plan {
        due: due.into_iter().flatten().min(),
        actions,
        authority_ends: Some(current.certificate.not_after),
        served_ends: served.map(|served| served.not_after),
    }
}

/// The change of the authorities that comes before everything else; none: there is none.
fn change(authority: &Authority, is_published: bool, now: Timestamp) -> Option<Change> {
    let Some(current) = &authority.current else {
        return Some(Change::Replace);
    };
    let previous_ends = authority.keep_previous_until(now);
    if previous_ends.is_some_and(|until| until <= now) {
        return Some(Change::ForgetPrevious);
    }
    if authority.next.is_none() {
        return (current.certificate.half_life() <= now).then_some(Change::AddNext);
    }
    match authority.promoted_at(now) {
        _ if !is_published => None,
        None => Some(Change::Published(Some(now))),
        Some(at) => (at <= now).then_some(Change::Promote),
    }
}

/// When a served certificate of the current authority is replaced.
fn renewal(served: &Certificate, current: &Certificate) -> Timestamp {
    if served.not_after >= current.not_after {
        // A new one would end with the authority, too.
        served.not_after
    } else {
        served.half_life()
    }
}
