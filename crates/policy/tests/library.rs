//! The shipped library: every policy compiles, and says of each process in its tests what they
//! want.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_api::{ExecutableSource, Origin, RuntimePolicy, TypeChecking};
use bailiff_policy::{
    Ancestors, Container, Input, Process, Script, Verdict, compile, evaluate, type_check,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A process, and the messages that a policy must have for it; none: it is allowed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    process: Given,
    #[serde(default)]
    violations: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Given {
    executable: String,
    invoked_path: String,
    args: Vec<String>,
    names: Option<Vec<String>>,
    script: Option<String>,
    /// None: in the root, where no policy looks.
    working_directory: Option<String>,
    origin: Origin,
}

impl Given {
    fn process(self) -> Process {
        let made = || {
            let mut names: Vec<String> = Vec::new();
            let paths = [&self.executable, &self.invoked_path];
            for path in paths.into_iter().chain(self.args.first()) {
                let name = path.rsplit('/').next().unwrap().to_owned();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names
        };
        Process {
            names: self.names.clone().unwrap_or_else(made),
            executable: self.executable,
            invoked_path: self.invoked_path,
            args: self.args,
            working_directory: self.working_directory.unwrap_or_else(|| "/".to_owned()),
            executable_source: ExecutableSource::Unknown,
            script: self.script.map(|path| Script { path }),
            origin: self.origin,
            left_pod_cgroup: false,
            uid: 1000,
            gid: 1000,
            capabilities: Vec::new(),
            start_time: "2026-01-01T00:00:00Z".parse().unwrap(),
            ancestors: Ancestors::default(),
        }
    }
}

fn folders() -> Vec<PathBuf> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let mut folders: Vec<_> = std::fs::read_dir(library)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_library_has_its_policies() {
    let names: Vec<_> = folders()
        .iter()
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "no-cryptominers",
            "no-executables-in-temporary-directories",
            "no-network-clients-through-exec",
            "no-package-managers",
            "no-shells-through-exec",
        ]
    );
}

#[test]
fn every_policy_says_what_its_tests_want() {
    for folder in folders() {
        let policy: RuntimePolicy = read(&folder.join("policy.yaml"));
        let name = policy.metadata.name.clone().unwrap();
        assert!(
            folder.ends_with(&name),
            "{name} lies in {}",
            folder.display()
        );
        let compiled = compile(&policy).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        assert_eq!(type_check(&policy), Ok(TypeChecking::default()), "{name}");
        let cases: Vec<Case> = read(&folder.join("tests.yaml"));
        let mut violated = BTreeSet::new();
        let mut allowed = 0;
        for case in cases {
            let process = case.process.process();
            let verdict = evaluate(
                &compiled,
                &Input {
                    process: &process,
                    container: &Container::default(),
                    object: &json!({}),
                    namespace_object: &json!({}),
                },
            );
            let found = match verdict {
                Verdict::Allowed => Vec::new(),
                Verdict::Violated(violations, failures) if failures.is_empty() => violations,
                other => panic!("{name}: {}: {other:?}", case.name),
            };
            let messages: Vec<_> = found.iter().map(|v| v.message.clone()).collect();
            assert_eq!(messages, case.violations, "{name}: {}", case.name);
            allowed += usize::from(found.is_empty());
            violated.extend(found.iter().map(|v| v.validation));
        }
        let all: BTreeSet<_> = (0..policy.spec.validations.len()).collect();
        assert_eq!(violated, all, "{name}: a validation that no test violates");
        assert!(allowed > 0, "{name}: no test of a process that is allowed");
    }
}
