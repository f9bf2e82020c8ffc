//! Generated references, and the kept ones.
//!
//! Here: texts that are references, nearly are, or are hostile. Not here: what must hold for them.
//! Invariant: the same seed (`PROPTEST_RNG_SEED`, `.cargo/config.toml`) generates the same texts.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::string::{RegexGeneratorStrategy, string_regex};
use proptest::test_runner::TestRunner;

/// References that are worth a try, one a line. Also the seeds of the fuzz target.
pub(crate) fn kept() -> Vec<&'static str> {
    include_str!("../references.txt").lines().collect()
}

/// `count` values of a strategy.
pub(crate) fn generated<T: std::fmt::Debug>(
    count: usize,
    strategy: &impl Strategy<Value = T>,
) -> Vec<T> {
    let mut runner = TestRunner::new(ProptestConfig::default());
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// Texts that match a regular expression, which is parsed once.
pub(crate) fn like(regex: &str) -> RegexGeneratorStrategy<String> {
    string_regex(regex).unwrap()
}

/// Parts whose order decides what a reference means.
const PARTS: &[&str] = &[
    "/",
    "/",
    "/",
    ":",
    "@",
    ".",
    "..",
    "_",
    "-",
    "[",
    "]",
    "::1",
    "+",
    " ",
    "\u{0}",
    "\n",
    "é",
    "\u{212a}",
    "a",
    "b1",
    "A",
    "0",
    "80",
    "443",
    "0443",
    "100000",
    "nginx",
    "library",
    "latest",
    "localhost",
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "GHCR.io",
    "ghcr.io",
    "a_b.c",
    "sha256",
    "sha512",
    "md5",
    "https://",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "0123456789abcdef0123456789abcdef",
    "0123456789ABCDEF0123456789ABCDEF",
    "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long",
];

/// References as people write them; most are valid.
pub(crate) fn written() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        4 => select(&["", "", "docker.io/", "index.docker.io/", "registry-1.docker.io/", "localhost/", "ghcr.io/"][..])
            .prop_map(str::to_owned),
        2 => like("[a-z0-9]{1,3}([.-][a-z0-9]{1,3}){1,3}(:[1-9][0-9]{0,4})?/"),
        1 => like("[a-z0-9_-]{1,4}[.][a-z0-9_]{1,3}(:[0-9]{0,6})?/"),
        1 => like("[a-zA-Z0-9]{1,3}[.:]?[a-zA-Z0-9]{1,3}/"),
        1 => like(r"\[[a-f0-9:]{1,9}\](:[0-9]{1,5})?/"),
    ];
    let path = prop_oneof![
        4 => like("[a-z0-9]{1,3}(([.]|_|__|-{1,3})[a-z0-9]{1,2}){0,2}(/[a-z0-9]{1,3}([._-][a-z0-9]){0,1}){0,3}"),
        1 => like("[a-z0-9._/-]{1,12}"),
        1 => like("[a-z]{1,5}(/[a-z]{60,64}){0,5}"),
    ];
    let tag = prop_oneof![
        3 => Just(String::new()),
        2 => like(":[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}"),
        1 => like(":[A-Za-z0-9_.-]{0,3}"),
        1 => like(":[a-z]{126,130}"),
    ];
    let digest = prop_oneof![
        3 => Just(String::new()),
        2 => like("@sha256:[a-f0-9]{64}"),
        1 => like("@sha512:[a-f0-9]{128}"),
        1 => like("@sha384:[a-f0-9]{96}"),
        1 => like("@(sha256|sha384|sha512|SHA256|md5|sha256[+]b64):([a-f0-9]{63,65}|[A-F]{64}|[a-f0-9]{96}|[a-f0-9]{128})?"),
    ];
    (host, path, tag, digest).prop_map(|(host, path, tag, digest)| host + &path + &tag + &digest)
}

/// Any text: references as written, kept ones with one part replaced, and parts in any order.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    let changed = (
        select(kept()),
        any::<prop::sample::Index>(),
        0..3_usize,
        select(PARTS),
    )
        .prop_map(|(text, at, removed, part)| {
            let mut characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len() + 1);
            let end = (at + removed).min(characters.len());
            characters.splice(at..end, part.chars());
            characters.into_iter().collect()
        });
    let parts = prop::collection::vec(select(PARTS), 1..9).prop_map(|parts| parts.concat());
    prop_oneof![3 => written(), 3 => changed, 2 => parts]
}
