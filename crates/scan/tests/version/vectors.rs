//! The vectors in `vectors/` hold, or are listed in `vectors/known-differences.txt`.

use bailiff_scan::version::Scheme;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The files with the schemes that they are about.
const FILES: [(Scheme, &str); 11] = [
    (Scheme::Dpkg, include_str!("vectors/debian.txt")),
    (Scheme::Dpkg, include_str!("vectors/debian-generated.txt")),
    (Scheme::Apk, include_str!("vectors/alpine.txt")),
    (Scheme::Apk, include_str!("vectors/alpine-generated.txt")),
    (Scheme::Pep440, include_str!("vectors/pypi.txt")),
    (Scheme::Pep440, include_str!("vectors/pypi-generated.txt")),
    (Scheme::Maven, include_str!("vectors/maven.txt")),
    (Scheme::Maven, include_str!("vectors/maven-generated.txt")),
    (Scheme::Go, SEMVER),
    (Scheme::Npm, SEMVER),
    (Scheme::Cargo, SEMVER),
];

const SEMVER: &str = include_str!("vectors/semver.txt");

/// Sections `# reason` with lines `scheme: a < b: result`.
const KNOWN: &str = include_str!("vectors/known-differences.txt");

/// A comparison and what must come out.
pub(crate) struct Vector {
    pub(crate) line: &'static str,
    pub(crate) a: &'static str,
    pub(crate) b: &'static str,
    order: Ordering,
}

/// The vectors about a scheme.
pub(crate) fn of(scheme: Scheme) -> Vec<Vector> {
    FILES
        .iter()
        .filter(|(of, _)| *of == scheme)
        .flat_map(|(_, text)| text.lines().filter_map(vector))
        // crates.io has no versions with v, which is in these vectors for Go.
        .filter(|vector| scheme != Scheme::Cargo || !vector.line.contains('v'))
        .collect()
}

fn vector(line: &'static str) -> Option<Vector> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') || line.starts_with("//") {
        return None;
    }
    let [a, sign, b] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("no comparison: {line}");
    };
    let order = match sign {
        "<" => Ordering::Less,
        "=" => Ordering::Equal,
        ">" => Ordering::Greater,
        _ => panic!("no sign: {line}"),
    };
    Some(Vector { line, a, b, order })
}

fn name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Dpkg => "dpkg",
        Scheme::Apk => "apk",
        Scheme::Pep440 => "pep440",
        Scheme::Npm => "npm",
        Scheme::Maven => "maven",
        Scheme::Go => "go",
        Scheme::Cargo => "cargo",
    }
}

/// The listed lines with their results.
fn known() -> BTreeMap<&'static str, &'static str> {
    let mut known = BTreeMap::new();
    let mut has_reason = false;
    for line in KNOWN.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("# ") {
            has_reason = true;
            continue;
        }
        assert!(has_reason, "no reason: {line}");
        let (vector, result) = line.rsplit_once(" : ").unwrap();
        assert!(
            known.insert(vector, result).is_none(),
            "listed twice: {line}"
        );
    }
    known
}

#[test]
fn every_vector_holds_or_is_a_known_difference() {
    let known = known();
    let mut differences = BTreeMap::new();
    let mut count = 0;
    for scheme in Scheme::ALL {
        for vector in of(scheme) {
            count += 1;
            // Both directions, so that an order that ignores a side is seen.
            let there = scheme.compare(vector.a, vector.b);
            let back = scheme.compare(vector.b, vector.a).map(Ordering::reverse);
            let result = match (&there, &back) {
                (Ok(there), Ok(back)) if there == back => match there {
                    Ordering::Less => "<",
                    Ordering::Equal => "=",
                    Ordering::Greater => ">",
                },
                (Err(_), Err(_)) => "incomparable",
                _ => "asymmetric",
            };
            if there != Ok(vector.order) || result == "asymmetric" {
                differences.insert(format!("{} {}", name(scheme), vector.line), result);
            }
        }
    }
    assert!(count > 56_000, "{count} vectors");
    let report = |lines: Vec<String>| lines.join("\n");
    let unlisted = differences
        .iter()
        .filter(|(line, result)| known.get(line.as_str()) != Some(result))
        .map(|(line, result)| format!("{line} : {result}"));
    let unlisted = report(unlisted.collect());
    let holding = known
        .keys()
        .filter(|line| !differences.contains_key(**line));
    let holding = report(holding.map(ToString::to_string).collect());
    assert!(
        unlisted.is_empty(),
        "not listed, or with another result:\n{unlisted}"
    );
    assert!(holding.is_empty(), "listed, but they hold:\n{holding}");
}
