//! URLs (k8s.io/apiserver, pkg/cel/library/urls.go, on Go's net/url).
//!
//! Here: the functions. Not here: what a URL is (`parse`), addresses (`network`).
//! Invariant: what `isURL` accepts, `url` makes, but for an invalid fragment.

mod parse;

use super::{Opaque, Outcome, Row, fail, no_overload};
use crate::value::{Map, Value};
use parse::Part;
use std::collections::HashMap;

pub(super) use parse::Url;
pub(super) use parse::parse;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "url", run: to_url, overloads: &[("string_to_url", "(string) -> url")] },
    Row { name: "isURL", run: is_url, overloads: &[("is_url_string", "(string) -> bool")] },
    Row { name: "getScheme", run: |a| part(a, Url::scheme), overloads: &[("url_get_scheme", "url.() -> string")] },
    Row { name: "getHost", run: |a| part(a, Url::host), overloads: &[("url_get_host", "url.() -> string")] },
    Row { name: "getHostname", run: |a| part(a, |u| u.split_host().0), overloads: &[("url_get_hostname", "url.() -> string")] },
    Row { name: "getPort", run: |a| part(a, |u| u.split_host().1), overloads: &[("url_get_port", "url.() -> string")] },
    Row { name: "getEscapedPath", run: |a| part(a, Url::escaped_path), overloads: &[("url_get_escaped_path", "url.() -> string")] },
    Row { name: "getQuery", run: query, overloads: &[("url_get_query", "url.() -> map(string, list(string))")] },
];

/// From so many parts on a query is taken for one without any.
const PAIRS_LIMIT: usize = 10_001;

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
    // Go reads no query of more (go1.26, src/net/url, `parseQuery`).
    let pairs = match url.query().split('&').count() {
        PAIRS_LIMIT.. => "",
        _ => url.query(),
    };
    for pair in pairs.split('&') {
        if pair.is_empty() || pair.contains(';') {
            continue;
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text| Part::Query.decoded(text);
        let (Ok(key), Ok(value)) = (decoded(key), decoded(value)) else {
            continue;
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (key, value) = (text(key), text(value));
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
