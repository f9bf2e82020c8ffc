//! The orders are those of the ecosystems' own comparators; every wanted difference is named here.
//!
//! `BAILIFF_VERSION_ORACLES` names the folder of their programs, as `hack/version-oracles.sh` prints it; `VERSIONS` says
//! how many pairs of each ecosystem are generated. dpkg is the one of the machine. Of apk there is none: its vectors
//! alone say what is right.

use crate::generated::{generated, pairs};
use crate::vectors;
use bailiff_scan::version::{Incomparable, Operand, Scheme};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

type Pair = (String, String);

/// Generated pairs, after those of the vectors.
fn all_pairs(scheme: Scheme) -> Vec<Pair> {
    let of_vectors = vectors::of(scheme).into_iter();
    of_vectors
        .map(|vector| (vector.a.to_owned(), vector.b.to_owned()))
        .chain(generated(count(20_000), &pairs(scheme)))
        .collect()
}

fn count(default: usize) -> usize {
    std::env::var("VERSIONS").map_or(default, |count| count.parse().unwrap())
}

/// What a program says of each pair; `None` if it does not accept both.
fn ask(program: &str, pairs: &[Pair]) -> Vec<Option<Ordering>> {
    let Some(folder) = std::env::var_os("BAILIFF_VERSION_ORACLES") else {
        panic!(
            "BAILIFF_VERSION_ORACLES is not set: run `make unit`, or set it to what `hack/version-oracles.sh` prints"
        );
    };
    let mut child = Command::new(PathBuf::from(folder).join(program))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input: String = pairs.iter().fold(String::new(), |mut input, (a, b)| {
        writeln!(input, "{} {}", hexadecimal(a), hexadecimal(b)).unwrap();
        input
    });
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(input.as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    });
    assert!(output.status.success(), "{program}: {}", output.status);
    let answers: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| match line {
            "<" => Some(Ordering::Less),
            "=" => Some(Ordering::Equal),
            ">" => Some(Ordering::Greater),
            "!" => None,
            _ => panic!("{program} answered {line:?}"),
        })
        .collect();
    assert_eq!(answers.len(), pairs.len(), "{program}");
    answers
}

fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hexadecimal, byte| {
        write!(hexadecimal, "{byte:02x}").unwrap();
        hexadecimal
    })
}

/// What dpkg says of a pair; `None` if it warns of one of them.
fn ask_dpkg((a, b): &Pair) -> Option<Ordering> {
    let is = |relation: &str| {
        let output = Command::new("dpkg")
            .env("LC_ALL", "C")
            .args(["--compare-versions", a, relation, b])
            .output()
            .unwrap();
        match output.status.code() {
            _ if !output.stderr.is_empty() => None,
            Some(0) => Some(true),
            Some(1) => Some(false),
            code => panic!("dpkg ended with {code:?} for {a:?} and {b:?}"),
        }
    };
    Some(match (is("lt")?, is("eq")?) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Equal,
        (false, false) => Ordering::Greater,
        (true, true) => panic!("dpkg: {a:?} and {b:?} are less and equal"),
    })
}

/// How a pair differs where that is wanted.
///
/// The condition is one on the texts and on both results, so that another fault of the same kind is not taken for it.
fn wanted(
    scheme: Scheme,
    (a, b): &Pair,
    ours: &Result<Ordering, Incomparable>,
    theirs: Option<Ordering>,
) -> Option<&'static str> {
    let digits = |text: &str| {
        text.split(|c: char| !c.is_ascii_digit())
            .map(str::len)
            .max()
            .unwrap_or_default()
    };
    let Err(error) = ours else {
        let long = digits(a) >= 16 && digits(b) >= 16;
        let has_space = [a, b]
            .iter()
            .any(|text| text.starts_with("go") && text.contains(' '));
        return match (scheme, theirs) {
            (Scheme::Npm | Scheme::Cargo, Some(_)) if long => Some(DOUBLES),
            (Scheme::Cargo, None) if digits(a).max(digits(b)) >= 16 => Some(SAFE_INTEGERS),
            (Scheme::Go, None) if has_space => Some(EXPERIMENTS),
            _ => None,
        };
    };
    theirs?;
    let text = match error.operand() {
        Operand::First => a,
        Operand::Second => b,
    };
    match scheme {
        Scheme::Dpkg if text.is_empty() => Some(EMPTY),
        Scheme::Dpkg if text.trim() != text => Some(SPACES),
        Scheme::Dpkg if text.starts_with(['+', '-']) && text.contains(':') => Some(SIGNS),
        Scheme::Pep440 | Scheme::Go if digits(text) >= 20 => Some(SIXTY_FOUR_BITS),
        Scheme::Npm if has_four_numbers(text) => Some(FOUR_NUMBERS),
        Scheme::Cargo if text.trim() != text || text.starts_with('v') => Some(PREFIXES),
        Scheme::Maven if text.is_empty() || text.contains(|c: char| !c.is_ascii_graphic()) => {
            Some(ANY_TEXT)
        }
        _ => None,
    }
}

/// Whether a dot follows three numbers, the last of which has several digits.
fn has_four_numbers(text: &str) -> bool {
    let mut parts = text.split('.').skip(2);
    let is_number = |part: &str| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.next().is_some_and(is_number) && parts.next().is_some()
}

const DOUBLES: &str = "npm rounds numbers beyond 2^53 in pre-releases";
const SAFE_INTEGERS: &str = "npm has no numbers beyond 2^53 before the pre-release";
const PREFIXES: &str = "npm takes v and spaces around a version away";
const EXPERIMENTS: &str = "a toolchain names its experiments after a space";
const EMPTY: &str = "dpkg compares what is empty as no version at all";
const SPACES: &str = "dpkg takes spaces around a version away";
const SIGNS: &str = "dpkg reads a sign before the epoch";
const SIXTY_FOUR_BITS: &str = "a number has at most 64 bits";
const FOUR_NUMBERS: &str = "npm reads 1.2.34.5 as 1.2.3-4.5";
const ANY_TEXT: &str = "Maven takes any text";

/// Compares ours with theirs; the counts are of what has an order, of what has none, and of the wanted differences.
fn compare(
    scheme: Scheme,
    pairs: &[Pair],
    theirs: Vec<Option<Ordering>>,
) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    let mut unlike = Vec::new();
    for (pair, theirs) in pairs.iter().zip(theirs) {
        let ours = scheme.compare(&pair.0, &pair.1);
        let count = match (&ours, theirs) {
            (Ok(ours), Some(theirs)) if *ours == theirs => match theirs {
                Ordering::Less => "less",
                Ordering::Equal => "equal",
                Ordering::Greater => "greater",
            },
            (Err(_), None) => "no order",
            _ => {
                let Some(name) = wanted(scheme, pair, &ours, theirs) else {
                    unlike.push(format!("{pair:?}: {ours:?}, but {theirs:?}"));
                    continue;
                };
                name
            }
        };
        *counts.entry(count).or_default() += 1;
    }
    assert!(
        unlike.is_empty(),
        "{scheme:?}: {} of {} differ:\n{}",
        unlike.len(),
        pairs.len(),
        unlike
            .iter()
            .take(40)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    eprintln!("{scheme:?}: {counts:?}");
    counts
}

/// Fails if a kind of result did not occur, so that a generator that makes nothing of use is seen.
#[track_caller]
fn assert_all(counts: &BTreeMap<&'static str, usize>, differences: &[&'static str]) {
    let tenth = counts.values().sum::<usize>() / 10;
    for (kind, least) in [
        ("less", tenth / 2),
        ("greater", tenth / 2),
        ("equal", tenth / 10),
        ("no order", tenth / 20),
    ] {
        assert!(
            counts.get(kind).is_some_and(|count| *count >= least),
            "{kind}: {counts:?}"
        );
    }
    for difference in differences {
        assert!(counts.contains_key(difference), "{difference}: {counts:?}");
    }
}

#[test]
fn dpkg() {
    let pairs = generated(count(1000), &pairs(Scheme::Dpkg));
    // An argument holds no NUL.
    let pairs: Vec<_> = pairs
        .into_iter()
        .filter(|(a, b)| !a.contains('\0') && !b.contains('\0'))
        .collect();
    let theirs = pairs.iter().map(ask_dpkg).collect();
    assert_all(&compare(Scheme::Dpkg, &pairs, theirs), &[SPACES]);
}

#[test]
fn python() {
    let pairs = all_pairs(Scheme::Pep440);
    let theirs = ask("pep440", &pairs);
    assert_all(&compare(Scheme::Pep440, &pairs, theirs), &[SIXTY_FOUR_BITS]);
}

#[test]
fn npm() {
    let pairs = all_pairs(Scheme::Npm);
    let theirs = ask("npm", &pairs);
    assert_all(&compare(Scheme::Npm, &pairs, theirs), &[FOUR_NUMBERS]);
}

#[test]
fn maven() {
    let pairs = all_pairs(Scheme::Maven);
    let theirs = ask("maven", &pairs);
    // Maven accepts every text, so nothing has no order in both.
    let mut counts = compare(Scheme::Maven, &pairs, theirs);
    counts.insert("no order", counts[ANY_TEXT]);
    assert_all(&counts, &[ANY_TEXT]);
}

#[test]
fn go() {
    let mut pairs = all_pairs(Scheme::Go);
    // No comparator of Go's has a toolchain and the version of a module at once.
    pairs.retain(|(a, b)| a.starts_with("go") == b.starts_with("go"));
    let theirs = ask("go", &pairs);
    assert_all(
        &compare(Scheme::Go, &pairs, theirs),
        &[SIXTY_FOUR_BITS, EXPERIMENTS],
    );
}

#[test]
fn cargo() {
    // The comparator of Cargo is the crate itself; npm's strict mode orders the same versions.
    let pairs = all_pairs(Scheme::Cargo);
    let theirs = ask("npm-strict", &pairs);
    assert_all(
        &compare(Scheme::Cargo, &pairs, theirs),
        &[PREFIXES, SAFE_INTEGERS],
    );
}
