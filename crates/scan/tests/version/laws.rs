//! Laws of every order: it is reflexive, antisymmetric and transitive, and no text is a panic.

use crate::generated::{generated, hostile, pairs, version};
use crate::vectors;
use bailiff_scan::advisory::{Affected, Kind, Verdict, VersionList};
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::version::{MAX_VERSION_BYTES, Scheme};
use proptest::prelude::*;
use std::cmp::Ordering;

/// How many versions are compared with each other at a time.
const AT_A_TIME: usize = 60;

/// Checks the laws for a set of versions that can be compared; all three at a time for transitivity.
fn check(scheme: Scheme, versions: &[String], is_transitive: bool) -> Result<(), String> {
    let order = |a: &String, b: &String| scheme.compare(a, b).unwrap();
    let orders: Vec<Vec<_>> = versions
        .iter()
        .map(|a| versions.iter().map(|b| order(a, b)).collect())
        .collect();
    for (a, of_a) in orders.iter().enumerate() {
        if of_a[a] != Ordering::Equal {
            return Err(format!("{:?} is not equal to itself", versions[a]));
        }
        for (b, of_b) in orders.iter().enumerate() {
            if of_a[b] != of_b[a].reverse() {
                return Err(format!("asymmetric: {:?}, {:?}", versions[a], versions[b]));
            }
            for c in (0..versions.len()).filter(|_| is_transitive && of_a[b].is_le()) {
                // a <= b <= c: the order of a and c is that of the unequal pair.
                if of_b[c].is_le() && of_a[c] != of_a[b].then(of_b[c]) {
                    return Err(format!(
                        "intransitive: {:?}, {:?}, {:?}",
                        versions[a], versions[b], versions[c]
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Generated versions that can be compared, each at most [`MAX_VERSION_BYTES`] long.
fn comparable(scheme: Scheme, strategy: &impl Strategy<Value = String>) -> Vec<String> {
    let mut versions = generated(2000, strategy);
    versions.retain(|text| scheme.compare(text, text).is_ok());
    versions
}

#[test]
fn orders_are_total() {
    for scheme in Scheme::ALL {
        let is_transitive = scheme != Scheme::Maven;
        let versions = comparable(scheme, &prop_oneof![version(scheme), hostile(scheme)]);
        assert!(versions.len() > 300, "{scheme:?}: {}", versions.len());
        for versions in versions.chunks(AT_A_TIME) {
            check(scheme, versions, is_transitive)
                .unwrap_or_else(|law| panic!("{scheme:?}: {law}"));
        }
    }
}

/// Maven's own comparator has this cycle (`differential` compares with it), so its order cannot be total.
#[test]
fn the_order_of_maven_has_a_cycle() {
    let order = |a, b| Scheme::Maven.compare(a, b).unwrap();
    assert_eq!(order("1-alpha", "1"), Ordering::Less);
    assert_eq!(order("1", "1.sp.1"), Ordering::Less);
    assert_eq!(order("1.sp.1", "1-alpha"), Ordering::Less);
}

/// Versions as most artifacts have them are in a total order of Maven.
#[test]
fn common_maven_versions_have_a_total_order() {
    let common = "[0-2](\\.[0-2]){0,3}(-(alpha|beta|rc|M|SNAPSHOT|jre|android)(-?[0-2])?)?";
    let versions = comparable(Scheme::Maven, &prop::string::string_regex(common).unwrap());
    for versions in versions.chunks(AT_A_TIME) {
        check(Scheme::Maven, versions, true).unwrap();
    }
}

/// An advisory about versions of a package with this order.
fn listing(scheme: Scheme, versions: VersionList) -> Affected {
    let ecosystem = match scheme {
        Scheme::Dpkg => "Debian:12",
        Scheme::Apk => "Alpine:v3.18",
        Scheme::Pep440 => "PyPI",
        Scheme::Npm => "npm",
        Scheme::Maven => "Maven",
        Scheme::Go => "Go",
        Scheme::Cargo => "crates.io",
    };
    Affected {
        ecosystem: Ecosystem::parse(ecosystem).unwrap(),
        name: "a".to_owned(),
        kind: Kind::Vulnerability,
        statements: Vec::new(),
        ranges: Vec::new(),
        custom_ranges: Vec::new(),
        versions,
        last_known: None,
        notes: Vec::new(),
        fix_dates: Vec::new(),
    }
}

/// Texts that are the same version in some of the orders.
fn rewritten(version: &str) -> [String; 6] {
    // Zeros in front of each number.
    let mut zeros = String::new();
    let mut last = ' ';
    for c in version.chars() {
        if c.is_ascii_digit() && !last.is_ascii_digit() {
            zeros.push('0');
        }
        zeros.push(c);
        last = c;
    }
    [
        zeros,
        format!("0{version}"),
        format!("{version}.0"),
        format!("{version}-0"),
        format!("{version}+b5"),
        version.to_uppercase(),
    ]
}

/// Versions that cannot be equal are told apart without parsing them; none of those may be equal.
#[test]
fn a_listed_version_is_affected_however_it_is_written() {
    for scheme in Scheme::ALL {
        let mut equal = 0;
        let vectors = vectors::of(scheme).into_iter();
        let mut all: Vec<_> = vectors
            .map(|of| (of.a.to_owned(), of.b.to_owned()))
            .collect();
        all.extend(generated(500, &pairs(scheme)));
        for version in generated(200, &version(scheme)) {
            all.extend(rewritten(&version).map(|other| (version.clone(), other)));
        }
        for (a, b) in all {
            let is_equal = scheme.compare(&a, &b) == Ok(Ordering::Equal);
            equal += usize::from(is_equal && a != b);
            let verdict = listing(scheme, [&b].into_iter().collect()).evaluate(&a);
            let is_affected = matches!(verdict, Verdict::Affected { .. });
            assert_eq!(is_affected, is_equal || a == b, "{scheme:?}: {a:?}, {b:?}");
        }
        assert!(equal > 4, "{scheme:?}: {equal}");
    }
}

proptest! {
    /// Any text has an order or an error; nothing else happens.
    #[test]
    fn no_text_is_a_panic(a in ".{0,300}", b in "[ -~]{0,40}", c in any::<String>()) {
        for scheme in Scheme::ALL {
            for (a, b) in [(&a, &b), (&b, &c), (&c, &a), (&c, &c)] {
                let order = scheme.compare(a, b);
                prop_assert_eq!(order.is_ok(), scheme.compare(b, a).is_ok());
                let is_long = |text: &str| text.len() > MAX_VERSION_BYTES;
                prop_assert!(order.is_err() || !is_long(a) && !is_long(b));
            }
        }
    }
}
