//! A reference has the normal form that containerd gives it, or is invalid as there; every wanted
//! difference is named here (`conformance/oracle/reference.go`).
//!
//! `BAILIFF_CEL_ORACLE` names the oracle's program, as `hack/oracle.sh` prints it; `REFERENCES` says
//! how many are generated.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is the report of a test"
)]

mod generated;

use bailiff_oci::{Digest, InvalidReference, Reference, ShortNames};
use generated::{generated, kept, texts};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// What the library says of each text.
fn theirs(texts: &[String]) -> Vec<Json> {
    let Some(program) = std::env::var_os("BAILIFF_CEL_ORACLE") else {
        panic!(
            "BAILIFF_CEL_ORACLE is not set: run `make unit`, or set it to what `hack/oracle.sh` prints"
        );
    };
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for text in texts {
                writeln!(stdin, "{}", json!({ "reference": text })).unwrap();
            }
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    });
    assert!(output.status.success());
    let answers: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), texts.len());
    answers
}

/// The difference that is wanted where the library accepts a text and ours rejects it.
///
/// The condition is one on the text and on the library's answer, so that another fault of the same
/// kind is not taken for it.
fn wanted(text: &str, theirs: &Json, ours: &InvalidReference) -> Option<&'static str> {
    let domain = theirs["domain"].as_str().unwrap();
    let (host, port) = domain.rsplit_once(':').unwrap_or((domain, ""));
    let short = text.split(['@', ':']).next().unwrap();
    match ours {
        InvalidReference::ImageId { .. }
            if ["sha256", "sha384", "sha512"].contains(&short) && !text.contains(['/', '@']) =>
        {
            Some("an image ID is not a tag of a repository sha256")
        }
        InvalidReference::UppercaseHost { .. }
            if domain.contains(|c: char| c.is_ascii_uppercase()) =>
        {
            Some("a host has no uppercase letters")
        }
        InvalidReference::Port { .. } if port.len() > 5 || port.starts_with('0') => {
            Some("a port has one spelling")
        }
        InvalidReference::Host { .. } if host.len() > 253 => Some("a host has at most 253 bytes"),
        InvalidReference::TooLong { .. } if text.len() > 1024 => {
            Some("a reference has at most 1024 bytes")
        }
        _ => None,
    }
}

/// All wanted differences.
const WANTED: [&str; 6] = [
    "an image ID is not a tag of a repository sha256",
    "a host has no uppercase letters",
    "a port has one spelling",
    "a host has at most 253 bytes",
    "a reference has at most 1024 bytes",
    ALIAS,
];

const ALIAS: &str = "registry-1.docker.io is docker.io";

/// What the library is asked instead of a text, so that it knows the second name of Docker Hub.
fn as_known(text: &str) -> String {
    match text.strip_prefix("registry-1.docker.io/") {
        Some(rest) => format!("index.docker.io/{rest}"),
        None => text.to_owned(),
    }
}

/// Compares ours with theirs; counts what was accepted and the wanted differences.
fn compare(texts: &[String]) -> BTreeMap<&'static str, usize> {
    let known: Vec<_> = texts.iter().map(|text| as_known(text)).collect();
    let mut counts = BTreeMap::new();
    let mut unlike = Vec::new();
    for ((text, known), theirs) in texts.iter().zip(&known).zip(theirs(&known)) {
        let ours = Reference::parse(text, ShortNames::DockerHub);
        let count = match (&ours, theirs["normal"].as_str()) {
            (Ok(ours), Some(normal))
                if ours.to_string() == normal
                    && ours.repository() == theirs["repository"]
                    && ours.tag() == theirs["tag"].as_str()
                    && ours.digest().map(Digest::as_str) == theirs["digest"].as_str() =>
            {
                if text == known { "accepted" } else { ALIAS }
            }
            (Err(_), None) => "rejected",
            (Err(error), Some(_)) => {
                let Some(name) = wanted(text, &theirs, error) else {
                    unlike.push(format!("{text:?}: {error:?}, but {theirs}"));
                    continue;
                };
                name
            }
            (Ok(_), _) => {
                unlike.push(format!("{text:?}: {ours:?}, but {theirs}"));
                continue;
            }
        };
        *counts.entry(count).or_default() += 1;
    }
    assert!(
        unlike.is_empty(),
        "{} of {} differ:\n{}",
        unlike.len(),
        texts.len(),
        unlike
            .iter()
            .take(20)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    counts
}

#[test]
fn kept_references_have_the_normal_form_of_containerd() {
    let mut texts: Vec<_> = kept().into_iter().map(str::to_owned).collect();
    assert!(texts.len() >= 264, "{} are kept", texts.len());
    let host = "h.".repeat(126) + "h";
    let longest = format!(
        "{host}:65535/{}:{}@sha512:{}",
        "p".repeat(255),
        "t".repeat(128),
        "a".repeat(128)
    );
    assert_eq!(longest.len(), 780);
    texts.push(longest);
    for length in [253 + 2, 254 + 2, 1024, 1025, 1 << 20] {
        // The library accepts a host of any length.
        texts.push("h.".repeat(length / 2 - 3) + &"h".repeat(length % 2) + "h.io/w");
        assert_eq!(texts.last().unwrap().len(), length);
        // A path may not.
        texts.push("h.io/".to_owned() + &"p".repeat(length - 5));
    }
    texts.push(String::new());
    for control in ('\0'..' ').chain(['\u{7f}', '\u{85}', '\u{202e}', '\u{10ffff}']) {
        for position in ["nginx", "ghcr.io/acme/web", "web:", "sha256:0"] {
            texts.push(format!("{position}{control}"));
            texts.push(format!("{control}{position}"));
        }
    }
    let counts = compare(&texts);
    for name in WANTED {
        assert!(counts.contains_key(name), "not seen: {name}");
    }
}

#[test]
fn generated_references_have_the_normal_form_of_containerd() {
    let count = std::env::var("REFERENCES").map_or(20_000, |count| count.parse().unwrap());
    let counts = compare(&generated(count, &texts()));
    eprintln!("{counts:?}");
    assert!(counts["accepted"] > count / 10, "{counts:?}");
    assert!(counts["rejected"] > count / 10, "{counts:?}");
}
