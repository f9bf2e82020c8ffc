//! Generated versions: real ones and what small changes make of them.
//!
//! Here: texts that are versions, nearly are, or are hostile. Not here: what must hold for them.
//! Invariant: the same seed (`PROPTEST_RNG_SEED`, `.cargo/config.toml`) generates the same texts.

use crate::vectors;
use bailiff_scan::version::Scheme;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

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

/// Two versions that are often near each other.
pub(crate) fn pairs(scheme: Scheme) -> impl Strategy<Value = (String, String)> {
    let near = (select(bases(scheme)), changes(scheme), changes(scheme))
        .prop_map(|(base, a, b)| (changed(&base, &a), changed(&base, &b)));
    let far = (version(scheme), version(scheme));
    let hostile = (hostile(scheme), version(scheme));
    prop_oneof![8 => near, 4 => far, 1 => hostile]
}

/// A version, with up to two changes.
pub(crate) fn version(scheme: Scheme) -> impl Strategy<Value = String> {
    (select(bases(scheme)), changes(scheme)).prop_map(|(base, changes)| changed(&base, &changes))
}

/// Parts in any order.
pub(crate) fn hostile(scheme: Scheme) -> impl Strategy<Value = String> {
    prop::collection::vec(select(parts(scheme)), 0..8).prop_map(|parts| parts.concat())
}

fn bases(scheme: Scheme) -> Vec<String> {
    let more: &[&str] = match scheme {
        Scheme::Go => &[
            "v0.0.0-20191109021931-daa7c04131f5",
            "v1.2.4-0.20191109021931-daa7c04131f5",
            "v1.2.3-pre.0.20191109021931-daa7c04131f5",
            "v2.0.0+incompatible",
            "v1",
            "v1.2",
            "1.22.0-rc.1",
            "1.21.0-0",
            "go1",
            "go1.4",
            "go1.20",
            "go1.20rc1",
            "go1.20.14",
            "go1.21",
            "go1.21rc2",
            "go1.21.0",
            "go1.22.1-acme",
            "go1.25beta1",
        ],
        Scheme::Npm | Scheme::Cargo => &[
            "4.17.21",
            "1.0.0-beta.11",
            "1.0.0-rc1",
            "3.0.0-next-abc123.0",
            "0.0.0-20200101",
            "1.2.3+build.5",
        ],
        Scheme::Dpkg | Scheme::Apk | Scheme::Pep440 | Scheme::Maven => &[],
    };
    let of_vectors = vectors::of(scheme).into_iter().map(|vector| vector.a);
    let mut bases: Vec<_> = of_vectors.map(str::to_owned).collect();
    // Those without vectors of their own count as much as those with many.
    let times = 1 + bases.len() / (2 * more.len().max(1));
    for base in more {
        bases.extend(std::iter::repeat_n((*base).to_owned(), times));
    }
    bases
}

fn parts(scheme: Scheme) -> Vec<&'static str> {
    let own: &[&str] = match scheme {
        Scheme::Dpkg => &[
            "~", "~~", "+", ":", "-0", "1:", "0:", "+b1", "ubuntu", "~rc1", "+deb12u1", "_", "-1~",
        ],
        Scheme::Apk => &[
            "_alpha", "_rc", "_p", "_git", "_pre1", "-r", "-r1", "~ab12", "a", "p1", "_", ".0",
        ],
        Scheme::Pep440 => &[
            "1!", "a1", "b", "rc", ".dev", ".post", "-1", "+local", "+1", "_", "!", "c2", ".a",
            "preview", "v",
        ],
        Scheme::Maven => &[
            "-alpha", "-rc", ".rc", "-rc-1", ".Final", "-ga", "-sp", "sp", "SNAPSHOT", "-", "--",
            "..", ".x", "a1", "M2", "cr", "release",
        ],
        Scheme::Go => &[
            "-",
            "-0.",
            "+incompatible",
            "-rc.1",
            "rc1",
            "beta2",
            "v",
            "go",
            "go1.",
            "-pre",
            " X:a",
        ],
        Scheme::Npm | Scheme::Cargo => &[
            "-", "-a", "-0", "+b", "v", "=", "-alpha.1", "beta", ".x", "--", "-1a",
        ],
    };
    let common = [
        "0",
        "00",
        "1",
        "2",
        "9",
        "10",
        "007",
        ".",
        ".",
        ".1",
        "-",
        "A",
        "z",
        "é",
        " ",
        "\u{0}",
        "999999999",
        "0000000000",
        "9007199254740993",
        "18446744073709551616",
        "99999999999999999999999999999",
    ];
    [own, &common].concat()
}

/// A change at a place.
#[derive(Clone, Debug)]
enum Change {
    Insert(Index, &'static str),
    Replace(Index, &'static str),
    Remove(Index),
    Cut(Index),
}

fn changes(scheme: Scheme) -> impl Strategy<Value = Vec<Change>> {
    let part = || select(parts(scheme));
    let change = prop_oneof![
        4 => (any::<Index>(), part()).prop_map(|(at, part)| Change::Insert(at, part)),
        3 => (any::<Index>(), part()).prop_map(|(at, part)| Change::Replace(at, part)),
        2 => any::<Index>().prop_map(Change::Remove),
        1 => any::<Index>().prop_map(Change::Cut),
    ];
    // Half of all versions stay as they are, so that most pairs have an order.
    prop_oneof![Just(Vec::new()), prop::collection::vec(change, 1..=2)]
}

fn changed(base: &str, changes: &[Change]) -> String {
    let mut text: Vec<char> = base.chars().collect();
    for change in changes {
        match change {
            Change::Insert(at, part) => {
                let at = at.index(text.len() + 1);
                drop(text.splice(at..at, part.chars()));
            }
            _ if text.is_empty() => {}
            Change::Replace(at, part) => {
                let at = at.index(text.len());
                drop(text.splice(at..=at, part.chars()));
            }
            Change::Remove(at) => {
                text.remove(at.index(text.len()));
            }
            Change::Cut(at) => text.truncate(at.index(text.len())),
        }
    }
    text.into_iter().collect()
}
