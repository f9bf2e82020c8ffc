//! The dependencies between the crates of the workspace, and the modules that declare its source files.
//!
//! Here: the list of allowed dependencies, which ARCHITECTURE.md explains. Not here: what crates do.
//! Invariant: a new dependency between crates is a decision, so the test fails until it is listed.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each crate with the crates that it can depend on outside of tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("cel", &[]),
    ("policy", &["api", "cel", "oci"]),
    ("response", &["api", "policy"]),
    ("oci", &[]),
    ("scan", &[]),
    ("image", &["oci", "scan"]),
    ("kube", &["api"]),
    ("sensor", &["api", "policy", "kube"]),
    ("controller", &["api", "policy", "response", "kube"]),
    ("renderer", &["api", "kube", "policy"]),
    ("webhook", &["api", "kube", "policy", "oci"]),
    (
        "cli",
        &[
            "api", "cel", "image", "oci", "policy", "response", "kube", "scan",
        ],
    ),
    (
        "bailiff",
        &[
            "api",
            "image",
            "kube",
            "sensor",
            "controller",
            "renderer",
            "webhook",
            "cli",
        ],
    ),
    ("testing", &["api"]),
    ("testbed", &[]),
    ("e2e", &["api", "testbed"]),
    (
        "bench",
        &["api", "cel", "kube", "scan", "sensor", "testbed", "webhook"],
    ),
];

/// Pure crates: no runtime, no client. `oci` is one without its feature [`CLIENT`].
const PURE: &[&str] = &["api", "cel", "oci", "policy", "response", "scan"];

/// The feature of `oci` with the registry client, whose dependencies are all optional.
const CLIENT: &str = "registry";

/// What the sources of pure crates do not name: files, sockets, processes, the environment, threads and clocks.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os",
    "std::process",
    "std::env::var",
    "std::env::args",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
];

/// Lines of pure crates that name one of [`IMPURE`], with their file. A layer is handed over as a file that somebody else
/// opened and somebody else reads.
const EXCEPTIONS: &[(&str, &str)] = &[("crates/oci/src/image.rs", "use std::fs::File;")];

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

/// Crate → names of the packages that it always depends on, without dev-dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let crate_name = |package: &str| {
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
                .filter(|dependency| dependency["optional"] != true)
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (crate_name(package["name"].as_str().unwrap()), names)
        })
        .collect()
}

#[test]
fn crates_depend_only_on_the_crates_that_are_listed() {
    let allowed: BTreeMap<_, BTreeSet<_>> = ALLOWED
        .iter()
        .map(|(crate_name, on)| {
            (
                (*crate_name).to_owned(),
                on.iter().map(|on| format!("bailiff-{on}")).collect(),
            )
        })
        .collect();
    for (crate_name, names) in dependencies() {
        let allowed = allowed
            .get(&crate_name)
            .unwrap_or_else(|| panic!("ALLOWED does not list the crate {crate_name:?}"));
        let found: BTreeSet<_> = names
            .into_iter()
            .filter(|name| name.starts_with("bailiff-"))
            .collect();
        let new: Vec<_> = found.difference(allowed).collect();
        assert!(
            new.is_empty(),
            "{crate_name} depends on {new:?}, which ALLOWED does not list"
        );
    }
}

#[test]
fn pure_crates_have_no_runtime_and_no_client() {
    for (crate_name, names) in dependencies() {
        if PURE.contains(&crate_name.as_str()) {
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
                    "{crate_name} is a pure crate and depends on {name}"
                );
            }
        }
    }
    for package in metadata()["packages"].as_array().unwrap() {
        let crate_name = package["name"]
            .as_str()
            .unwrap()
            .trim_start_matches("bailiff-");
        for dependency in package["dependencies"].as_array().unwrap() {
            if PURE.contains(&crate_name)
                && dependency["name"] == "kube"
                && dependency["kind"].is_null()
            {
                let features = dependency["features"].to_string();
                assert!(
                    !features.contains("client") && !features.contains("runtime"),
                    "{crate_name}: kube with {features}"
                );
                assert_eq!(
                    dependency["uses_default_features"], false,
                    "{crate_name}: the default features of kube include a client"
                );
            }
        }
    }
}

#[test]
fn the_sources_of_pure_crates_name_no_file_process_or_clock() {
    let root = root();
    let client = root.join("crates/oci/src").join(CLIENT);
    let mut found = Vec::new();
    for crate_name in PURE {
        let files = rust_files(&root.join("crates").join(crate_name).join("src"));
        assert!(!files.is_empty(), "{crate_name} has no sources");
        for file in files {
            // Tests read files; the registry client is not pure.
            let is_test = file
                .components()
                .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
            if is_test || file.starts_with(&client) || file == client.with_extension("rs") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let file = file.strip_prefix(&root).unwrap().display().to_string();
            for line in text.lines() {
                if IMPURE.iter().any(|name| line.contains(name)) {
                    found.push((file.clone(), line.trim().to_owned()));
                }
            }
        }
    }
    let found: Vec<_> = found
        .iter()
        .map(|(file, line)| (file.as_str(), line.as_str()))
        .collect();
    assert_eq!(found, EXCEPTIONS);
}

#[test]
fn pure_crates_do_not_have_the_registry_client() {
    let mut users = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let crate_name = package["name"]
            .as_str()
            .unwrap()
            .trim_start_matches("bailiff-");
        if crate_name == "oci" {
            let features = package["features"].as_object().unwrap();
            assert_eq!(
                features.keys().filter(|name| *name == CLIENT).count(),
                1,
                "oci has no feature {CLIENT}"
            );
            assert!(
                !features.contains_key("default"),
                "oci has default features, which its users would have to turn off"
            );
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency["name"] == "bailiff-oci" && dependency["kind"].is_null() {
                users.push(crate_name.to_owned());
                let features = dependency["features"].as_array().unwrap();
                assert!(
                    !PURE.contains(&crate_name) || features.is_empty(),
                    "{crate_name} is a pure crate and depends on oci with {features:?}"
                );
            }
        }
    }
    assert!(users.iter().any(|user| user == "policy"), "{users:?}");
    // A pure crate has optional dependencies only if a feature of it is checked here.
    for package in metadata()["packages"].as_array().unwrap() {
        let crate_name = package["name"]
            .as_str()
            .unwrap()
            .trim_start_matches("bailiff-");
        if PURE.contains(&crate_name) && crate_name != "oci" {
            for dependency in package["dependencies"].as_array().unwrap() {
                assert_eq!(dependency["optional"], false, "{crate_name}: {dependency}");
            }
        }
    }
}

#[test]
fn every_source_file_is_declared_by_a_module() {
    for package in metadata()["packages"].as_array().unwrap() {
        let directory = Path::new(package["manifest_path"].as_str().unwrap())
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
            for file in rust_files(&directory.join(source)) {
                assert!(
                    known.contains(&file),
                    "{} is declared by no module",
                    file.display()
                );
            }
        }
    }
}

/// Adds `file` and the files of the modules that it declares in `directory`.
fn declared(file: &Path, directory: &Path, known: &mut BTreeSet<PathBuf>) {
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
            directory.join(format!("{name}.rs")),
            directory.join(name).join("mod.rs"),
        );
        for candidate in [flat, nested] {
            if candidate.exists() {
                declared(&candidate, &directory.join(name), known);
            }
        }
    }
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
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
