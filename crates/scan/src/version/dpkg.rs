//! Versions of Debian packages: `[epoch:]upstream[-revision]`.
//!
//! Here: their syntax in Debian Policy and the order of dpkg. Not here: which package of a distribution they belong to.
//! Invariant: what dpkg warns of is no version. dpkg compares such texts, but no archive accepts them.
//!
//! The crate `debversion` orders `1.0+` before `1.0+0`, which dpkg calls equal, and needs a second engine for
//! expressions.

use super::Reason;
use super::number::{Number, split, split_digits};
use std::cmp::Ordering;

/// The most that an epoch can be.
const MAX_EPOCH: u32 = i32::MAX.unsigned_abs();

/// A version; its parts are compared in this order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version<'a> {
    epoch: u32,
    upstream: Part<'a>,
    /// Empty if there is none, which is equal to `0`.
    revision: Part<'a>,
}

pub(super) fn parse(text: &str) -> Result<Version<'_>, Reason> {
    let (epoch, rest) = match text.split_once(':') {
        Some((epoch, rest)) => (parse_epoch(epoch)?, rest),
        None => (0, text),
    };
    let (upstream, revision) = match rest.rsplit_once('-') {
        Some((_, "")) => return Err("it has no revision after the last -".into()),
        Some((upstream, revision)) => (upstream, revision),
        None => (rest, ""),
    };
    if !upstream.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("the upstream version must start with a digit".into());
    }
    if !upstream
        .chars()
        .all(|c| is_allowed(c) || c == '-' || c == ':')
    {
        return Err("the upstream version must consist of letters, digits and . + - : ~".into());
    }
    if !revision.chars().all(is_allowed) {
        return Err("the revision must consist of letters, digits and . + ~".into());
    }
    Ok(Version {
        epoch,
        upstream: Part(upstream),
        revision: Part(revision),
    })
}

fn parse_epoch(text: &str) -> Result<u32, Reason> {
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|epoch| digits && *epoch <= MAX_EPOCH)
        .ok_or_else(|| {
            format!("the epoch before the first : must be a number of at most {MAX_EPOCH}").into()
        })
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '~')
}

/// An upstream version or a revision: runs without digits and numbers in turn.
#[derive(Debug)]
struct Part<'a>(&'a str);

/// What a character counts in a run without digits.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Tilde,
    End,
    Letter(u8),
    Other(u8),
}

fn weights(run: &str) -> impl Iterator<Item = Weight> {
    let weight = |byte: u8| match byte {
        b'~' => Weight::Tilde,
        _ if byte.is_ascii_alphabetic() => Weight::Letter(byte),
        _ => Weight::Other(byte),
    };
    run.bytes().map(weight).chain([Weight::End])
}

impl Ord for Part<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (self.0, other.0);
        while !(a.is_empty() && b.is_empty()) {
            let (run_a, rest_a) = split(a, |c| !c.is_ascii_digit());
            let (run_b, rest_b) = split(b, |c| !c.is_ascii_digit());
            let (digits_a, rest_a) = split_digits(rest_a);
            let (digits_b, rest_b) = split_digits(rest_b);
            let order = weights(run_a)
                .cmp(weights(run_b))
                .then_with(|| Number::new(digits_a).cmp(&Number::new(digits_b)));
            if order.is_ne() {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        }
        Ordering::Equal
    }
}

impl PartialOrd for Part<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Part<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Part<'_> {}
