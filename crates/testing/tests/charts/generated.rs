//! What is made from the source: the kinds, Incident protection, and the library of policies.
//!
//! Here: that the files are up to date, and what the library renders. Not here: the other templates.
//! Invariant: nothing stays in the charts that the source no longer makes.

use crate::{render, root};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn what_the_charts_hold_is_made_from_this_source() {
    let made = tempfile::tempdir().unwrap();
    let output = Command::new(root().join("charts/generate.sh"))
        .arg(made.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let fresh = files(made.path());
    assert_eq!(fresh.len(), 15, "{:?}", fresh.keys());
    for (name, want) in &fresh {
        let path = root().join("charts").join(name);
        let have = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(have == *want, "charts/{name} is stale: run `make generate`");
    }
    // What is no longer made must not stay.
    for folder in ["bailiff/templates/crds", "bailiff-policies/policies"] {
        for name in files(&root().join("charts").join(folder)).keys() {
            let name = format!("{folder}/{name}");
            assert!(fresh.contains_key(&name), "charts/{name} is made by nobody");
        }
    }
}

fn policies(values: &[&str]) -> Output {
    render("bailiff-policies", values)
}

#[test]
fn the_library_renders_what_its_values_ask_for() {
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let all = text(&policies(&[]));
    assert_eq!(all.matches("kind: RuntimePolicy").count(), 6, "{all}");
    assert_eq!(
        all.matches("kind: ImageAdmissionPolicy").count(),
        3,
        "{all}"
    );
    assert_eq!(all.matches("- kube-system").count(), 9, "{all}");
    assert!(!all.contains("PolicyBinding"), "{all}");
    assert!(
        all.contains("allowedRepositories:\n  - registry.k8s.io/**\n"),
        "{all}"
    );

    let ours = text(&policies(&[
        "--set",
        "allowedRepositories={ghcr.io/acme/**}",
    ]));
    assert!(
        ours.contains("allowedRepositories:\n  - ghcr.io/acme/**\n"),
        "{ours}"
    );
    assert!(!ours.contains("registry.k8s.io"), "{ours}");

    let fewer = text(&policies(&["--set", "excludedPolicies={no-cryptominers}"]));
    assert_eq!(fewer.matches("kind: RuntimePolicy").count(), 5, "{fewer}");
    assert!(!fewer.contains("no-cryptominers"), "{fewer}");

    let labeled = text(&policies(&["--set", "commonLabels.team=security"]));
    assert_eq!(labeled.matches("team: security").count(), 9, "{labeled}");

    let none = policies(&["--set-json", "allowedRepositories=[]"]);
    assert!(!none.status.success());

    let everywhere = text(&policies(&["--set-json", "excludedNamespaces=[]"]));
    assert!(!everywhere.contains("matchConstraints"), "{everywhere}");

    let typo = policies(&["--set", "excludedPolicies={no-miners}"]);
    assert!(!typo.status.success());
    let said = String::from_utf8_lossy(&typo.stderr);
    assert!(
        said.contains(
            "excludedPolicies: policy no-miners not found in this chart; must be one of: allowed-registries, digest-required, no-cryptominers,"
        ),
        "{said}"
    );
}
