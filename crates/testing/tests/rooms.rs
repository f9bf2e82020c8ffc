//! Holds the workspace's shape: who may depend on whom, and that every source file is part of a
//! crate.
//!
//! Here: the list of allowed edges, which ARCHITECTURE.md explains. Not here: what rooms do.
//! Invariant: a new edge between rooms is a decision, so it fails here until it is listed.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each room with the rooms that it may depend on, outside of tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("cel", &[]),
    ("policy", &["api", "cel"]),
    ("response", &["api", "policy"]),
    ("kube", &["api"]),
    ("sensor", &["api", "policy", "kube"]),
    ("controller", &["api", "policy", "response", "kube"]),
    ("cli", &["api", "cel", "policy", "response", "kube"]),
    ("bailiff", &["api", "kube", "sensor", "controller", "cli"]),
    ("testing", &["api"]),
    ("testbed", &[]),
    ("e2e", &["api", "testbed"]),
    ("bench", &["api", "cel", "kube", "testbed"]),
];

/// Rooms that decide and touch nothing: no runtime, no client.
const PURE: &[&str] = &["api", "cel", "policy", "response"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Room → names of the packages that it depends on; without dev-dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let room = |package: &str| {
        package
            .strip_prefix("bailiff-")
            .unwrap_or(package)
            .to_owned()
    };
    metadata()["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let names = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (room(package["name"].as_str().unwrap()), names)
        })
        .collect()
}

#[test]
fn rooms_depend_only_on_the_rooms_that_are_listed() {
    let allowed: BTreeMap<_, BTreeSet<_>> = ALLOWED
        .iter()
        .map(|(room, on)| {
            (
                (*room).to_owned(),
                on.iter().map(|on| format!("bailiff-{on}")).collect(),
            )
        })
        .collect();
    for (room, names) in dependencies() {
        let allowed = allowed
            .get(&room)
            .unwrap_or_else(|| panic!("the room {room:?} is not listed in ALLOWED"));
        let found: BTreeSet<_> = names
            .into_iter()
            .filter(|name| name.starts_with("bailiff-"))
            .collect();
        let new: Vec<_> = found.difference(allowed).collect();
        assert!(
            new.is_empty(),
            "{room} depends on {new:?}, which ALLOWED does not list"
        );
    }
}

#[test]
fn pure_rooms_have_no_runtime_and_no_client() {
    for (room, names) in dependencies() {
        if PURE.contains(&room.as_str()) {
            for name in [
                "tokio",
                "hyper",
                "kube-client",
                "kube-runtime",
                "nix",
                "aya",
                "rand",
            ] {
                assert!(
                    !names.contains(name),
                    "{room} is a pure room and depends on {name}"
                );
            }
        }
    }
    for package in metadata()["packages"].as_array().unwrap() {
        let room = package["name"]
            .as_str()
            .unwrap()
            .trim_start_matches("bailiff-");
        for dependency in package["dependencies"].as_array().unwrap() {
            if PURE.contains(&room) && dependency["name"] == "kube" && dependency["kind"].is_null()
            {
                let features = dependency["features"].to_string();
                assert!(
                    !features.contains("client") && !features.contains("runtime"),
                    "{room}: kube with {features}"
                );
                assert_eq!(
                    dependency["uses_default_features"], false,
                    "{room}: kube's defaults bring a client"
                );
            }
        }
    }
}

#[test]
fn every_source_file_is_declared_by_a_module() {
    for package in metadata()["packages"].as_array().unwrap() {
        let folder = Path::new(package["manifest_path"].as_str().unwrap())
            .parent()
            .unwrap()
            .to_owned();
        let mut known = BTreeSet::new();
        for target in package["targets"].as_array().unwrap() {
            let file = PathBuf::from(target["src_path"].as_str().unwrap());
            let parent = file.parent().unwrap().to_owned();
            declared(&file, &parent, &mut known);
        }
        for source in ["src", "tests", "examples", "benches"] {
            for file in rust_files(&folder.join(source)) {
                assert!(
                    known.contains(&file),
                    "{} is declared by no module",
                    file.display()
                );
            }
        }
    }
}

/// Adds `file` and the files of the modules that it declares. `folder` is where they are.
fn declared(file: &Path, folder: &Path, known: &mut BTreeSet<PathBuf>) {
    if !known.insert(file.to_owned()) {
        return;
    }
    let text = std::fs::read_to_string(file).unwrap();
    for line in text.lines() {
        let mut words = line
            .split_whitespace()
            .filter(|word| !word.starts_with("pub"));
        if words.next() != Some("mod") {
            continue;
        }
        let Some(name) = words.next().and_then(|word| word.strip_suffix(';')) else {
            continue;
        };
        let (flat, nested) = (
            folder.join(format!("{name}.rs")),
            folder.join(name).join("mod.rs"),
        );
        for candidate in [flat, nested] {
            if candidate.exists() {
                declared(&candidate, &folder.join(name), known);
            }
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
