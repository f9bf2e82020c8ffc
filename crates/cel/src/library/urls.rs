//! URLs (k8s.io/apiserver, pkg/cel/library/urls.go, on Go's net/url).
//!
//! Here: parsing as Go does it for requests, parts. Not here: addresses (`network`).
//! Invariant: what `isURL` accepts, `url` makes.

use super::{Opaque, Outcome, Row, fail, no_overload};
use crate::value::{Map, Value};
use std::collections::HashMap;
use std::fmt;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "url", run: to_url, overloads: &[("string_to_url", "(string) -> url")] },
    Row { name: "isURL", run: is_url, overloads: &[("is_url_string", "(string) -> bool")] },
    Row { name: "getScheme", run: |a| part(a, |u| u.scheme.clone()), overloads: &[("url_get_scheme", "url.() -> string")] },
    Row { name: "getHost", run: |a| part(a, |u| u.host.clone()), overloads: &[("url_get_host", "url.() -> string")] },
    Row { name: "getHostname", run: |a| part(a, |u| u.split_host().0), overloads: &[("url_get_hostname", "url.() -> string")] },
    Row { name: "getPort", run: |a| part(a, |u| u.split_host().1), overloads: &[("url_get_port", "url.() -> string")] },
    Row { name: "getEscapedPath", run: |a| part(a, |u| u.path.clone()), overloads: &[("url_get_escaped_path", "url.() -> string")] },
    Row { name: "getQuery", run: query, overloads: &[("url_get_query", "url.() -> map(string, list(string))")] },
];

/// A URL in its parts.
#[derive(Clone, Debug, Default)]
pub struct Url {
    scheme: String,
    opaque: String,
    user: Option<String>,
    host: String,
    /// Escaped.
    path: String,
    query: Option<String>,
    fragment: Option<String>,
}

impl Url {
    pub(super) fn bytes(&self) -> usize {
        let own = [&self.scheme, &self.opaque, &self.host, &self.path];
        let more = [&self.user, &self.query, &self.fragment];
        let lengths = own.into_iter().chain(more.into_iter().flatten());
        lengths.fold(0, |sum, part| sum.saturating_add(part.len()))
    }

    /// Host name without brackets, and port.
    fn split_host(&self) -> (String, String) {
        let (host, port) = match self.host.rfind(':') {
            Some(at) if !self.host.get(at..).unwrap_or("").contains(']') => {
                self.host.split_at_checked(at).unwrap_or((&self.host, ""))
            }
            _ => (self.host.as_str(), ""),
        };
        let name = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host);
        (name.to_owned(), port.trim_start_matches(':').to_owned())
    }
}

/// Reads a URL as Go's `url.Parse`, or as `url.ParseRequestURI` for a request.
pub(super) fn parse(text: &str, request: bool) -> Result<Url, String> {
    let (rest, fragment) = match text.split_once('#') {
        Some((rest, fragment)) if !request => (rest, Some(fragment.to_owned())),
        _ => (text, None),
    };
    let mut url = parts(rest, request).map_err(|why| format!("parse {rest:?}: {why}"))?;
    url.fragment = fragment;
    Ok(url)
}

fn parts(text: &str, request: bool) -> Result<Url, String> {
    if text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() && request {
        return Err("empty url".to_owned());
    }
    let mut url = Url::default();
    if text == "*" {
        "*".clone_into(&mut url.path);
        return Ok(url);
    }
    let (scheme, rest) = scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query.to_owned())),
        None => (rest, None),
    };
    url.query = query;
    let mut rest = rest;
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            rest.clone_into(&mut url.opaque);
            return Ok(url);
        }
        if request {
            return Err("invalid URI for request".to_owned());
        }
        let first = rest.split('/').next().unwrap_or("");
        if first.contains(':') {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let authority = !url.scheme.is_empty() || (!request && !rest.starts_with("///"));
    if let Some(after) = rest.strip_prefix("//").filter(|_| authority) {
        let end = after.find('/').unwrap_or(after.len());
        let (found, path) = after.split_at_checked(end).unwrap_or((after, ""));
        rest = path;
        let host = match found.rsplit_once('@') {
            Some((user, host)) => {
                url.user = Some(user.to_owned());
                host
            }
            None => found,
        };
        url.host = checked_host(host)?;
    }
    unescape(rest, false)?;
    url.path = escaped_path(rest);
    Ok(url)
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => {
                let (scheme, rest) = text.split_at_checked(at).unwrap_or(("", text));
                return Ok((scheme, rest.get(1..).unwrap_or("")));
            }
            _ => break,
        }
    }
    Ok(("", text))
}

fn checked_host(host: &str) -> Result<String, String> {
    let after = match host.strip_prefix('[') {
        Some(_) => {
            let end = host.rfind(']').ok_or("missing ']' in host")?;
            host.get(end.saturating_add(1)..).unwrap_or("")
        }
        None => match host.rfind(':') {
            Some(at) => host.get(at..).unwrap_or(""),
            None => "",
        },
    };
    let port = after.strip_prefix(':').unwrap_or(after);
    let valid = after.is_empty() || after.starts_with(':');
    if !valid || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("invalid port {after:?} after host"));
    }
    if let Some(c) = host.chars().find(|c| " <>\"\\^`{|}".contains(*c)) {
        return Err(format!(
            "invalid character {:?} in host name",
            c.to_string()
        ));
    }
    unescape(host, false)
}

/// Puts in what `%41` stands for; in a query `+` is a space.
fn unescape(text: &str, query: bool) -> Result<String, String> {
    let mut made = Vec::with_capacity(text.len());
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'%' => {
                let code = text.get(at.saturating_add(1)..at.saturating_add(3));
                let value = code
                    .filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()))
                    .and_then(|code| u8::from_str_radix(code, 16).ok());
                let Some(value) = value else {
                    let shown: String = text.get(at..).unwrap_or("").chars().take(3).collect();
                    return Err(format!("invalid URL escape {shown:?}"));
                };
                made.push(value);
                bytes.nth(1);
            }
            b'+' if query => made.push(b' '),
            other => made.push(other),
        }
    }
    Ok(String::from_utf8_lossy(&made).into_owned())
}

/// A path whose characters may all stand there stays; else the others are escaped.
fn escaped_path(path: &str) -> String {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@[]%/".contains(&b);
    if path.bytes().all(allowed) {
        return path.to_owned();
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b);
    let path = unescape(path, false).unwrap_or_default();
    let mut made = String::new();
    for byte in path.bytes() {
        if plain(byte) {
            made.push(char::from(byte));
        } else {
            made.push('%');
            for half in [byte >> 4, byte & 15] {
                let digit = char::from_digit(half.into(), 16).unwrap_or('0');
                made.push(digit.to_ascii_uppercase());
            }
        }
    }
    made
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if self.opaque.is_empty() {
            if !self.scheme.is_empty() || !self.host.is_empty() || self.user.is_some() {
                if !self.host.is_empty() || !self.path.is_empty() || self.user.is_some() {
                    f.write_str("//")?;
                }
                if let Some(user) = &self.user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&self.host)?;
            }
            f.write_str(&self.path)?;
        } else {
            f.write_str(&self.opaque)?;
        }
        if let Some(query) = &self.query {
            write!(f, "?{query}")?;
        }
        if let Some(fragment) = self.fragment.as_ref().filter(|f| !f.is_empty()) {
            write!(f, "#{fragment}")?;
        }
        Ok(())
    }
}

fn to_url<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else {
        return no_overload();
    };
    match parse(text, true).and_then(|_| parse(text, false)) {
        Ok(url) => Ok(Value::opaque(Opaque::Url(url))),
        Err(error) => fail(format!(
            "URL parse error during conversion from string: {error}"
        )),
    }
}

fn is_url<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => Ok(Value::Bool(parse(text, true).is_ok())),
        _ => no_overload(),
    }
}

fn url<'v>(arguments: &'v [Value<'_>]) -> Option<&'v Url> {
    match arguments {
        [Value::Opaque(value)] => match &**value {
            Opaque::Url(url) => Some(url),
            _ => None,
        },
        _ => None,
    }
}

fn part<'a>(arguments: &[Value<'a>], read: fn(&Url) -> String) -> Outcome<'a> {
    url(arguments).map_or_else(no_overload, |url| Ok(Value::from(read(url))))
}

fn query<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let Some(url) = url(arguments) else {
        return no_overload();
    };
    let mut found: Vec<(String, Vec<Value<'a>>)> = Vec::new();
    // A query may have as many keys as it has letters.
    let mut places: HashMap<String, usize> = HashMap::new();
    for pair in url.query.iter().flat_map(|query| query.split('&')) {
        if pair.is_empty() || pair.contains(';') {
            continue;
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Ok(key), Ok(value)) = (unescape(key, true), unescape(value, true)) else {
            continue;
        };
        let next = found.len();
        let place = *places.entry(key.clone()).or_insert(next);
        match found.get_mut(place) {
            Some((_, values)) => values.push(Value::from(value)),
            None => found.push((key, vec![Value::from(value)])),
        }
    }
    let entries = found
        .into_iter()
        .map(|(key, values)| (Value::from(key), Value::list(values)));
    Ok(Value::Map(Map::of(entries)))
}
