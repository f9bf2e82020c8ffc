//! From the text of a pattern to its shape.
//!
//! Here: the grammar, and the regular expression of a pattern that needs one. Not here: the match.
//! Invariant: a text that the grammar of normal forms rules out gets no shape, and a regular
//! expression consists of the classes below and of quoted literals.

use super::fault::{InvalidPattern, PatternFault};
use super::{MAX_PATTERN_BYTES, Shape};
use crate::excerpt::Excerpt;
use crate::grammar::{ALIASES, DOCKER_HUB, HostFault, check_host, is_component, is_host};

/// A whole first label of a host.
const LABEL: &str = "[^./:]+";

/// Any characters of one component.
const WITHIN: &str = "[^/]*";

/// One or more components: a normal form has no empty one.
const COMPONENTS: &str = ".+";

/// The shape of the pattern that `text` is.
pub(super) fn shape(text: &str) -> Result<Shape, InvalidPattern> {
    let at = |position, fault| Err(InvalidPattern { position, fault });
    if text.is_empty() {
        return at(0, PatternFault::Empty);
    }
    if text.len() > MAX_PATTERN_BYTES {
        let bytes = text.len();
        return at(MAX_PATTERN_BYTES, PatternFault::TooLong { bytes });
    }
    let is_known = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '[' | ']' | '*')
    };
    if let Some((position, c)) = text.char_indices().find(|(_, c)| !is_known(*c)) {
        let part = Excerpt::of(c.encode_utf8(&mut [0; 4]));
        return at(position, PatternFault::Character { part });
    }
    if let Some((scheme, _)) = text.split_once("://")
        && !scheme.contains('/')
    {
        let part = Excerpt::of(scheme);
        return at(0, PatternFault::Scheme { part });
    }
    let (host, path) = match text.split_once('/') {
        Some((host, path)) => (host, Some(path)),
        None => (text, None),
    };
    check_pattern_host(host)?;
    let Some(path) = path else {
        let part = Excerpt::of(host);
        return at(host.len(), PatternFault::NoPath { part });
    };
    let start = host.len().saturating_add(1);
    check_pattern_path(path, start)?;
    if host == DOCKER_HUB && !path.contains('/') && path != "**" {
        let part = Excerpt::of(path);
        return at(start, PatternFault::Official { part });
    }
    if !text.contains('*') {
        return Ok(Shape::Literal(text.to_owned()));
    }
    if let Some(prefix) = text.strip_suffix("**")
        && !prefix.contains('*')
    {
        return Ok(Shape::Prefix(prefix.to_owned()));
    }
    Ok(Shape::Regex(regex(host, path)))
}

fn check_pattern_host(host: &str) -> Result<(), InvalidPattern> {
    let at = |position, fault| Err(InvalidPattern { position, fault });
    let part = || Excerpt::of(host);
    let (literal, offset) = match host.strip_prefix("*.") {
        Some(suffix) => (suffix, 2),
        None => (host, 0),
    };
    if let Some(position) = literal.find('*') {
        let position = position.saturating_add(offset);
        return at(position, PatternFault::HostWildcard { part: part() });
    }
    if host.contains('@') {
        return at(0, PatternFault::TagOrDigest { part: part() });
    }
    if !is_host(host) {
        return at(0, PatternFault::NoHost { part: part() });
    }
    match check_host(literal) {
        // An address has no labels.
        Ok(()) if offset > 0 && literal.starts_with('[') => {
            return at(0, PatternFault::HostWildcard { part: part() });
        }
        Ok(()) => {}
        Err(HostFault::Uppercase) => {
            return at(0, PatternFault::UppercaseHost { part: part() });
        }
        Err(HostFault::Malformed) => return at(0, PatternFault::Host { part: part() }),
        Err(HostFault::Port(digits)) => {
            let position = host.len().saturating_sub(digits.len());
            let part = Excerpt::of(digits);
            return at(position, PatternFault::Port { part });
        }
    }
    if ALIASES.contains(&host) {
        return at(0, PatternFault::Alias { part: part() });
    }
    Ok(())
}

/// Checks a path that starts at the byte `start` of the pattern.
fn check_pattern_path(path: &str, start: usize) -> Result<(), InvalidPattern> {
    let mut position = start;
    for component in path.split('/') {
        let part = || Excerpt::of(component);
        let at = |offset: usize, fault| {
            let position = position.saturating_add(offset);
            Err(InvalidPattern { position, fault })
        };
        if component.is_empty() {
            return at(0, PatternFault::EmptyComponent);
        }
        if let Some(offset) = component.find([':', '@']) {
            let (_, rest) = component.split_at_checked(offset).unwrap_or_default();
            let part = Excerpt::of(rest);
            return at(offset, PatternFault::TagOrDigest { part });
        }
        if let Some(offset) = component.find(|c: char| c.is_ascii_uppercase()) {
            return at(offset, PatternFault::UppercasePath { part: part() });
        }
        if component != "**" {
            if let Some(offset) = component.find("**") {
                return at(offset, PatternFault::DoubleWildcard { part: part() });
            }
            // A wildcard is a letter where it can be anything.
            if !is_component(&component.replace('*', "a")) {
                return at(0, PatternFault::Component { part: part() });
            }
        }
        position = position.saturating_add(component.len()).saturating_add(1);
    }
    Ok(())
}

/// The regular expression of a checked pattern.
fn regex(host: &str, path: &str) -> String {
    let mut regex = String::from("^");
    match host.strip_prefix("*.") {
        Some(suffix) => {
            regex.push_str(LABEL);
            regex.push_str("\\.");
            quote(suffix, &mut regex);
        }
        None => quote(host, &mut regex),
    }
    for component in path.split('/') {
        regex.push('/');
        if component == "**" {
            regex.push_str(COMPONENTS);
            continue;
        }
        for (index, literal) in component.split('*').enumerate() {
            if index > 0 {
                regex.push_str(WITHIN);
            }
            quote(literal, &mut regex);
        }
    }
    regex.push('$');
    regex
}

/// Appends a literal. Quotes only what has a meaning, because the API server's estimate of the cost
/// grows with the length of the expression.
fn quote(literal: &str, regex: &mut String) {
    for c in literal.chars() {
        if matches!(c, '.' | '[' | ']') {
            regex.push('\\');
        }
        regex.push(c);
    }
}
