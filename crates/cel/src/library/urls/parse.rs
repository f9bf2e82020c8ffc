//! URLs as Go's net/url reads and writes them (go1.26).
//!
//! Here: parsing, escaping, printing. Not here: the functions of the language (`urls`).
//! Invariant: parts are kept decoded, as bytes, with the text of path and fragment beside them
//! where that is not how they would be escaped.

use crate::library::network::address;
use crate::library::quoted;
use std::fmt;

/// A URL in its parts.
#[derive(Clone, Debug, Default)]
pub struct Url {
    scheme: String,
    opaque: String,
    /// Name, and password where there is one.
    user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    host: Vec<u8>,
    /// There is no `//` after the scheme.
    no_authority: bool,
    path: Escaped,
    query: String,
    /// It ends with a `?`.
    empty_query: bool,
    fragment: Escaped,
}

/// A part that is decoded, with its text where that is another than escaping gives.
#[derive(Clone, Debug, Default)]
struct Escaped {
    bytes: Vec<u8>,
    text: Option<String>,
}

/// Which part of a URL is escaped, by other rules each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Host,
    Zone,
    User,
    Path,
    Query,
    Fragment,
}

impl Part {
    /// Whether a byte can't stand there as it is.
    fn escapes(self, byte: u8) -> bool {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            return false;
        }
        let kept: &[u8] = match self {
            Self::Host | Self::Zone => b"!$&'()*+,;=:[]<>\"",
            Self::User => b"$&+,;=",
            Self::Path => b"$&+,/:;=@",
            Self::Query => b"",
            Self::Fragment => b"$&+,/:;=?@!()*",
        };
        !kept.contains(&byte)
    }

    fn escaped(self, bytes: &[u8]) -> String {
        let mut made = String::with_capacity(bytes.len());
        for byte in bytes {
            if self.escapes(*byte) {
                made.push('%');
                for half in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(half.into(), 16).unwrap_or('0');
                    made.push(digit.to_ascii_uppercase());
                }
            } else {
                made.push(char::from(*byte));
            }
        }
        made
    }

    /// Puts in what `%41` stands for; in a query `+` is a space.
    pub(super) fn decoded(self, text: &str) -> Result<Vec<u8>, String> {
        let mut made = Vec::with_capacity(text.len());
        let bytes = text.as_bytes();
        let mut place = 0_usize;
        while let Some(byte) = bytes.get(place) {
            place = place.saturating_add(1);
            if *byte == b'%' {
                let code = bytes.get(place..place.saturating_add(2));
                place = place.saturating_add(2);
                made.push(self.decoded_byte(code, bytes.get(place.saturating_sub(3)..))?);
                continue;
            }
            let in_host = matches!(self, Self::Host | Self::Zone);
            if in_host && byte.is_ascii() && self.escapes(*byte) {
                let shown = quoted(&char::from(*byte).to_string());
                return Err(format!("invalid character {shown} in host name"));
            }
            made.push(if *byte == b'+' && self == Self::Query {
                b' '
            } else {
                *byte
            });
        }
        Ok(made)
    }

    fn decoded_byte(self, code: Option<&[u8]>, here: Option<&[u8]>) -> Result<u8, String> {
        let wrong = || {
            let here = here.unwrap_or_default();
            let shown = String::from_utf8_lossy(here.get(..3).unwrap_or(here)).into_owned();
            format!("invalid URL escape {}", quoted(&shown))
        };
        let value = code
            .filter(|code| code.iter().all(u8::is_ascii_hexdigit))
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok())
            .ok_or_else(wrong)?;
        let allowed = match self {
            Self::Host => value >= 0x80 || value == b'%',
            Self::Zone => value == b'%' || value == b' ' || !Self::Host.escapes(value),
            _ => true,
        };
        if allowed { Ok(value) } else { Err(wrong()) }
    }

    /// Whether a text may stand there as it is.
    fn is_valid(self, text: &str) -> bool {
        let more = b"!$&'()*+,;=:@[]%";
        text.bytes()
            .all(|byte| more.contains(&byte) || !self.escapes(byte))
    }

    fn kept(self, text: &str) -> Result<Escaped, String> {
        let bytes = self.decoded(text)?;
        let other = (self.escaped(&bytes) != text).then(|| text.to_owned());
        Ok(Escaped { bytes, text: other })
    }
}

impl Escaped {
    fn write(&self, part: Part) -> String {
        match &self.text {
            Some(text) if part.is_valid(text) => text.clone(),
            _ if self.bytes == b"*" && part == Part::Path => "*".to_owned(),
            _ => part.escaped(&self.bytes),
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads a URL as Go's `url.Parse`, or as `url.ParseRequestURI` for a request.
pub(in crate::library) fn parse(text: &str, request: bool) -> Result<Url, String> {
    let failed = |text: &str, why: String| format!("parse {}: {why}", quoted(text));
    if request {
        return parts(text, true).map_err(|why| failed(text, why));
    }
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let mut url = parts(rest, false).map_err(|why| failed(rest, why))?;
    url.fragment = Part::Fragment
        .kept(fragment)
        .map_err(|why| failed(text, why))?;
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
        url.path.bytes = b"*".to_vec();
        return Ok(url);
    }
    let (scheme, mut rest) = scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    match rest.split_once('?') {
        Some((before, "")) => {
            url.empty_query = true;
            rest = before;
        }
        Some((before, query)) => {
            query.clone_into(&mut url.query);
            rest = before;
        }
        None => {}
    }
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            rest.clone_into(&mut url.opaque);
            return Ok(url);
        }
        if request {
            return Err("invalid URI for request".to_owned());
        }
        if rest.split('/').next().unwrap_or("").contains(':') {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let may = !url.scheme.is_empty() || (!request && !rest.starts_with("///"));
    if let Some(after) = rest.strip_prefix("//").filter(|_| may) {
        let end = after.find('/').unwrap_or(after.len());
        let (found, path) = after.split_at_checked(end).unwrap_or((after, ""));
        rest = path;
        authority(&mut url, found)?;
    } else {
        url.no_authority = !url.scheme.is_empty() && rest.starts_with('/');
    }
    url.path = Part::Path.kept(rest)?;
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

fn authority(url: &mut Url, text: &str) -> Result<(), String> {
    let (user, host_text) = match text.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, text),
    };
    url.host = host(&url.scheme, host_text)?;
    let Some(user) = user else {
        return Ok(());
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    if !user.bytes().all(allowed) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    url.user = Some(match user.split_once(':') {
        Some((name, password)) => {
            let name = Part::User.decoded(name)?;
            (name, Some(Part::User.decoded(password)?))
        }
        None => (Part::User.decoded(user)?, None),
    });
    Ok(())
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()),
        None => text.is_empty(),
    }
}

fn invalid_port(text: &str) -> String {
    format!("invalid port {} after host", quoted(text))
}

fn host(scheme: &str, host: &str) -> Result<Vec<u8>, String> {
    let literal = || "invalid IP-literal".to_owned();
    match host.rfind('[') {
        Some(0) => {}
        Some(_) => return Err(literal()),
        None => {
            let strict = matches!(scheme, "http" | "https");
            let colon = if strict {
                host.find(':')
            } else {
                host.rfind(':')
            };
            let port = colon.and_then(|at| host.get(at..)).unwrap_or("");
            if !is_port(port) {
                return Err(invalid_port(port));
            }
            return Part::Host.decoded(host);
        }
    }
    let Some((inside, port)) = host.get(1..).and_then(|rest| rest.rsplit_once(']')) else {
        return Err("missing ']' in host".to_owned());
    };
    if !is_port(port) {
        return Err(invalid_port(port));
    }
    let name = match inside
        .find("%25")
        .and_then(|at| inside.split_at_checked(at))
    {
        Some((name, zone)) => {
            let mut made = Part::Host.decoded(name)?;
            made.extend(Part::Zone.decoded(zone)?);
            made
        }
        None => Part::Host.decoded(inside)?,
    };
    let found = address(&lossy(&name)).map_err(|why| format!("invalid host: {why}"))?;
    if found.is_ipv4() {
        return Err(literal());
    }
    Ok([b"[", name.as_slice(), b"]", port.as_bytes()].concat())
}

impl Url {
    /// About how many bytes it is made of.
    pub(crate) fn bytes(&self) -> usize {
        let user = self.user.as_ref().map_or(0, |(name, password)| {
            let password = password.as_ref().map_or(0, Vec::len);
            name.len().saturating_add(password)
        });
        [
            self.scheme.len(),
            self.opaque.len(),
            self.host.len(),
            self.path.bytes.len(),
            self.query.len(),
            self.fragment.bytes.len(),
        ]
        .into_iter()
        .fold(user, usize::saturating_add)
    }

    pub(super) fn scheme(&self) -> String {
        self.scheme.clone()
    }

    pub(super) fn host(&self) -> String {
        lossy(&self.host)
    }

    /// Host name without brackets, and port.
    pub(super) fn split_host(&self) -> (String, String) {
        let host = self.host();
        let port_at = host
            .rfind(':')
            .filter(|at| host.get(*at..).is_some_and(is_port));
        let (name, port) = port_at
            .and_then(|at| host.split_at_checked(at))
            .unwrap_or((&host, ""));
        let name = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        let port = port.strip_prefix(':').unwrap_or(port);
        (name.to_owned(), port.to_owned())
    }

    pub(super) fn escaped_path(&self) -> String {
        self.path.write(Part::Path)
    }

    pub(super) fn query(&self) -> &str {
        &self.query
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut made = String::new();
        if !self.scheme.is_empty() {
            made.push_str(&self.scheme);
            made.push(':');
        }
        if self.opaque.is_empty() {
            let (host, user) = (!self.host.is_empty(), self.user.is_some());
            let named = !self.scheme.is_empty() || host || user;
            if named && (!self.no_authority || host || user) {
                if host || !self.path.bytes.is_empty() || user {
                    made.push_str("//");
                }
                if let Some((name, password)) = &self.user {
                    made.push_str(&Part::User.escaped(name));
                    if let Some(password) = password {
                        made.push(':');
                        made.push_str(&Part::User.escaped(password));
                    }
                    made.push('@');
                }
                made.push_str(&Part::Host.escaped(&self.host));
            }
            let path = self.escaped_path();
            if host && !path.is_empty() && !path.starts_with('/') {
                made.push('/');
            }
            if made.is_empty() && path.split('/').next().unwrap_or("").contains(':') {
                made.push_str("./");
            }
            made.push_str(&path);
        } else {
            made.push_str(&self.opaque);
        }
        if self.empty_query || !self.query.is_empty() {
            made.push('?');
            made.push_str(&self.query);
        }
        if !self.fragment.bytes.is_empty() {
            made.push('#');
            made.push_str(&self.fragment.write(Part::Fragment));
        }
        f.write_str(&made)
    }
}
