//! The shipped library: every policy compiles, and says of each process or image in its tests what
//! they want.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_api::{
    DescriptorType, ExecutableSource, ImageAdmissionPolicy, Origin, RuntimePolicy, TypeChecking,
};
use bailiff_policy::image::{self, Actions, BoundPolicy, Lookups, PodReview, Rule, Stage};
use bailiff_policy::{
    Ancestors, Container, Input, Process, Script, Stdio, Verdict, compile, evaluate, type_check,
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
    /// The place of the argument with the gap. None: all of them are there.
    args_gap: Option<usize>,
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
            args_gap: self.args_gap,
            args_truncated: self.args_gap.is_some(),
            working_directory: self.working_directory.unwrap_or_else(|| "/".to_owned()),
            executable_source: ExecutableSource::Unknown,
            executable_deleted: false,
            script: self.script.map(|path| Script {
                path,
                source: ExecutableSource::Unknown,
            }),
            stdio: Stdio([DescriptorType::Unknown; 3]),
            secure_exec: false,
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

/// The images of a pod, and the messages that a policy must have for it; none: they are allowed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageCase {
    name: String,
    images: Vec<String>,
    #[serde(default)]
    violations: Vec<String>,
}

impl ImageCase {
    fn pod(&self) -> serde_json::Value {
        let entry =
            |(at, image): (usize, &String)| json!({"name": format!("c{at}"), "image": image});
        let containers: Vec<_> = self.images.iter().enumerate().map(entry).collect();
        json!({"metadata": {"name": "web"}, "spec": {"containers": containers}})
    }
}

/// The directories of the policies of a kind.
fn of_kind(kind: &str) -> Vec<PathBuf> {
    let is_of_kind = |folder: &PathBuf| {
        let policy: serde_json::Value = read(&folder.join("policy.yaml"));
        policy["kind"] == kind
    };
    folders().into_iter().filter(is_of_kind).collect()
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
            "allowed-registries",
            "digest-required",
            "no-cryptominers",
            "no-executables-in-temporary-directories",
            "no-latest-tag",
            "no-network-clients-through-exec",
            "no-package-managers",
            "no-programs-through-loaders",
            "no-shells-through-exec",
        ]
    );
}

#[test]
fn every_policy_is_of_a_kind_that_is_tested() {
    assert_eq!(of_kind("RuntimePolicy").len(), 6);
    assert_eq!(of_kind("ImageAdmissionPolicy").len(), 3);
}

#[test]
fn every_runtime_policy_says_what_its_tests_want() {
    for folder in of_kind("RuntimePolicy") {
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
                    object: Some(&json!({})),
                    namespace_object: Some(&json!({})),
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

#[test]
fn a_process_with_the_parts_that_a_policy_reads_has_its_verdict() {
    for folder in of_kind("RuntimePolicy") {
        let policy: RuntimePolicy = read(&folder.join("policy.yaml"));
        let compiled = compile(&policy).unwrap();
        let parts = compiled.process_parts();
        assert!(!parts.ancestors && !parts.capabilities, "{}", compiled.name);
        for case in read::<Vec<Case>>(&folder.join("tests.yaml")) {
            let whole = Process {
                capabilities: vec!["NET_RAW".to_owned()],
                ..case.process.process()
            };
            let mut part = whole.clone();
            part.capabilities.clear();
            if !parts.args {
                part.args.clear();
            }
            let verdicts = [&part, &whole].map(|process| {
                let input = Input {
                    process,
                    container: &Container::default(),
                    object: Some(&json!({})),
                    namespace_object: Some(&json!({})),
                };
                evaluate(&compiled, &input)
            });
            assert_eq!(verdicts[0], verdicts[1], "{}: {}", compiled.name, case.name);
        }
    }
}

#[test]
fn arguments_that_are_missing_alone_violate_no_policy() {
    let policies: Vec<_> = of_kind("RuntimePolicy")
        .iter()
        .map(|folder| compile(&read(&folder.join("policy.yaml"))).unwrap())
        .collect();
    assert!(!policies.is_empty());
    let class_path = "/app/lib/a.jar:".repeat(200);
    for (executable, args, gap) in [
        (
            "/usr/lib/jvm/bin/java",
            vec!["java", "-cp", class_path.as_str(), "org.example.Main"],
            Some(2),
        ),
        (
            "/usr/bin/python3.13",
            vec!["python3", "/app/main.py", class_path.as_str()],
            Some(2),
        ),
        // They could not be read.
        ("/usr/bin/python3.13", Vec::new(), None),
    ] {
        let mut args: Vec<_> = args.into_iter().map(str::to_owned).collect();
        if let Some(gap) = gap {
            args[gap].push('…');
        }
        let given = Given {
            executable: executable.to_owned(),
            invoked_path: executable.to_owned(),
            args,
            args_gap: gap,
            names: None,
            script: None,
            working_directory: None,
            origin: Origin::Entrypoint,
        };
        let process = Process {
            args_truncated: true,
            ..given.process()
        };
        for policy in &policies {
            let input = Input {
                process: &process,
                container: &Container::default(),
                object: Some(&json!({})),
                namespace_object: Some(&json!({})),
            };
            let verdict = evaluate(policy, &input);
            assert_eq!(verdict, Verdict::Allowed, "{}: {executable}", policy.name);
        }
    }
}

#[test]
fn every_image_policy_says_what_its_tests_want() {
    for folder in of_kind("ImageAdmissionPolicy") {
        let policy: ImageAdmissionPolicy = read(&folder.join("policy.yaml"));
        let name = policy.metadata.name.clone().unwrap();
        assert!(
            folder.ends_with(&name),
            "{name} lies in {}",
            folder.display()
        );
        let compiled =
            image::compile(&policy).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        let checked = image::type_check(&policy);
        assert_eq!(checked, Ok(TypeChecking::default()), "{name}");
        let cases: Vec<ImageCase> = read(&folder.join("tests.yaml"));
        let bound = [BoundPolicy {
            policy: &compiled,
            actions: Actions {
                deny: true,
                ..Actions::default()
            },
        }];
        let mut violated = BTreeSet::new();
        let mut allowed = 0;
        for case in cases {
            let pod = case.pod();
            let review = PodReview {
                only: None,
                pod: &pod,
                old: None,
                namespace: None,
                stage: Stage::Validating,
            };
            // A policy of the library asks no registry: it applies wherever it is installed.
            let asked = image::references_to_look_up(&bound, &review);
            assert!(asked.is_empty(), "{name}: {}: {asked:?}", case.name);
            let denied = image::decide(&bound, &review, &Lookups::new()).denied;
            let messages: Vec<_> = denied.iter().map(|v| v.message.clone()).collect();
            assert_eq!(messages, case.violations, "{name}: {}", case.name);
            allowed += usize::from(denied.is_empty());
            violated.extend(denied.iter().map(|v| v.rule));
        }
        for index in 0..policy.spec.validations.len() {
            let rule = Rule::Validation(index);
            assert!(
                violated.contains(&rule),
                "{name}: no test violates {rule:?}"
            );
        }
        assert!(!violated.is_empty(), "{name}: no test of a violation");
        assert!(allowed > 0, "{name}: no test of an image that is allowed");
    }
}
