//! Manifests from files and standard input, and what is wrong with them, word for word.

use super::{Manifest, Manifests, manifest};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Reads a text from standard input.
fn read(text: &str) -> Manifests {
    Manifests::read(&[PathBuf::from("-")], false, &mut text.as_bytes())
}

fn names(manifests: &Manifests) -> Vec<String> {
    let objects = manifests.objects.iter();
    objects
        .map(|object| format!("{} {}", object.place, object.name()))
        .collect()
}

fn errors(text: &str) -> Vec<String> {
    read(text).errors
}

/// A directory that is deleted at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let name = format!("bailiff-manifests-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        for (file, text) in files {
            let file = path.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        Self(path)
    }

    /// A message without the path of the directory.
    fn without_path(&self, text: &str) -> String {
        text.replace(&self.0.display().to_string(), "DIR")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: []}\n";

#[test]
fn each_document_is_an_object_and_a_broken_one_hides_no_other() {
    let text = format!(
        "# Nothing here.\n---\n{POD}---\nkind: [\n---\n{POD}---\njust a text\n--- # again\n{POD}...\n---\n"
    );
    let manifests = read(&text);
    assert_eq!(
        names(&manifests),
        [
            "standard input, document 2 (line 2) pod/web",
            "standard input, document 4 (line 9) pod/web",
            "standard input, document 6 (line 16) pod/web",
        ]
    );
    assert_eq!(
        manifests.errors,
        [
            "cannot read standard input, document 3 (line 7): did not find expected node content at line 9 column 1, while parsing a flow node; fix the document",
            "cannot read standard input, document 5 (line 14): it has no apiVersion or no kind; add both, or remove the document",
        ]
    );
}

#[test]
fn what_helm_install_prints_is_named_with_the_command_that_renders() {
    let text = format!(
        "NAME: web\nLAST DEPLOYED: Mon Nov 30 10:00:00 2026\nNAMESPACE: default\nSTATUS: pending-install\nREVISION: 1\nHOOKS:\nMANIFEST:\n---\n# Source: web/templates/pod.yaml\n{POD}---\n{POD}\nNOTES:\n1. Get the URL:\n  kubectl get pods\n"
    );
    let manifests = read(&text);
    assert_eq!(
        names(&manifests),
        [
            "standard input, document 2 (line 8) pod/web",
            "standard input, document 3 (line 14) pod/web",
        ]
    );
    assert_eq!(
        manifests.errors,
        [
            "cannot read standard input, document 1 (line 1): it is a report of `helm install` or `helm upgrade`, which is no manifest; use `helm template`"
        ]
    );
}

#[test]
fn json_can_have_several_objects_and_lists_their_items() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}});
    let list = json!({"apiVersion": "apps/v1", "kind": "DeploymentList",
        "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]});
    let manifests = read(&format!("{pod}\n{list}"));
    assert_eq!(
        names(&manifests),
        [
            "standard input, document 1 pod/web-*",
            "standard input, document 2, item 1 deployment/a",
            "standard input, document 2, item 2 deployment/b",
        ]
    );
    assert_eq!(manifests.objects[1].text("/apiVersion"), "apps/v1");
    assert_eq!(manifests.errors, [""; 0]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"metadata": {}}, {"apiVersion": "v1", "kind": "List", "items": []}, 7]});
    assert_eq!(
        errors(&list.to_string()),
        [
            "cannot read standard input, document 1, item 1: it has no apiVersion or no kind; add both, or remove the document",
            "cannot read standard input, document 1, item 2: a list contains another list; put the objects into one list",
            "cannot read standard input, document 1, item 3: it has no apiVersion or no kind; add both, or remove the document",
        ]
    );
}

#[test]
fn keys_mean_what_they_mean_for_kubectl_or_are_errors() {
    let manifests = read(
        "base: &base {image: a, name: b}\napiVersion: v1\nkind: X\n1: {<<: *base, name: c}\ntrue: [*base]\n",
    );
    assert_eq!(manifests.errors, [""; 0]);
    let json = &manifests.objects[0].json;
    assert_eq!(json["1"], json!({"image": "a", "name": "c"}));
    assert_eq!(json["true"][0], json!({"image": "a", "name": "b"}));
    let mut all = Vec::new();
    for (text, want) in [
        (
            "kind: A\nkind: B",
            "cannot read standard input, document 1 (line 1): the key \"kind\" is there twice; fix the document",
        ),
        (
            "a: {<<: 7}",
            "cannot read standard input, document 1 (line 1): a: the value of the key << is no map at line 1 column 4; fix the document",
        ),
        (
            "{\"a\": 1, \"a\": 2}",
            "cannot read standard input, document 1 (line 1): the key \"a\" is there twice; fix the document",
        ),
        (
            "a: !secret b",
            "cannot read standard input, document 1 (line 1): a: invalid type: enum, expected a value without a tag at line 1 column 4; fix the document",
        ),
    ] {
        all.push((errors(text), vec![want.to_owned()]));
    }
    let (found, want): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    assert_eq!(found, want);
}

#[test]
fn what_is_read_is_bounded() {
    // Ten anchors, each with ten of the one before.
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        let list = vec![before; 10].join(", ");
        writeln!(laughs, "a{level}: &a{level} [{list}]").unwrap();
    }
    // One long text that many aliases repeat.
    let mut long = format!("a: &a {}\nb:\n", "x".repeat(1 << 20));
    long.push_str(&"- *a\n".repeat(200));
    let deep = "[".repeat(2000);
    let nested = "{\"a\":".repeat(500);
    let cases = [
        (laughs, "repetition limit exceeded"),
        (long, "the documents expand to more than 128 MiB at line"),
        (deep, "more than 1000 brackets are open; fix the document"),
        (nested, "recursion limit exceeded"),
    ];
    for (text, want) in cases {
        let text = format!("{text}\n---\n{POD}");
        let manifests = read(&text);
        assert_eq!(manifests.errors.len(), 1, "{want}: {:?}", manifests.errors);
        assert!(manifests.errors[0].contains(want), "{:?}", manifests.errors);
        assert_eq!(manifests.objects.len(), 1, "{want}");
    }
    let large = " ".repeat((16 << 20) + 1);
    assert_eq!(
        errors(&large),
        ["cannot read standard input: it has more than 16 MiB; split it into several files"]
    );
    let many = "---\napiVersion: v1\nkind: X\n".repeat(20_003);
    let manifests = read(&many);
    assert_eq!(manifests.objects.len(), 20_000);
    assert_eq!(
        manifests.errors,
        [
            "cannot read standard input, document 20001 (line 60001): there are more than 20000 objects; check fewer files at once"
        ]
    );
}

#[test]
fn directories_have_their_manifests_in_order() {
    let directory = Directory::new(
        "order",
        &[
            ("b.yml", POD),
            ("a.json", "{\"apiVersion\": \"v1\", \"kind\": \"Pod\""),
            ("c.txt", "kind: ["),
            ("sub/d.yaml", POD),
            ("empty/e.txt", ""),
        ],
    );
    std::os::unix::fs::symlink(&directory.0, directory.0.join("sub/loop")).unwrap();
    let read = |path: &Path, recursive| {
        let manifests = Manifests::read(&[path.to_owned()], recursive, &mut "".as_bytes());
        let all = names(&manifests).into_iter().chain(manifests.errors);
        all.map(|text| directory.without_path(&text))
            .collect::<Vec<_>>()
    };
    let (first, broken, second) = (
        "DIR/b.yml, document 1 (line 1) pod/web",
        "cannot read DIR/a.json, document 1: EOF while parsing an object at line 1 column 34; fix the document",
        "DIR/sub/d.yaml, document 1 (line 1) pod/web",
    );
    assert_eq!(read(&directory.0, false), [first, broken]);
    assert_eq!(read(&directory.0, true), [first, second, broken]);
    assert_eq!(
        read(&directory.0.join("empty"), false),
        [
            "cannot read directory DIR/empty: it has no files that end in .json, .yaml or .yml; set -R to include subdirectories"
        ]
    );
    assert_eq!(
        read(&directory.0.join("none.yaml"), false),
        [
            "cannot read DIR/none.yaml: No such file or directory (os error 2); check the path and its permissions"
        ]
    );
    std::fs::write(directory.0.join("latin.yaml"), b"a: \xe9").unwrap();
    assert_eq!(
        read(&directory.0.join("latin.yaml"), false),
        ["cannot read DIR/latin.yaml: byte 3 is not UTF-8; save the file as UTF-8"]
    );
}

/// What an object is.
fn of(object: &Json) -> Result<Manifest, String> {
    let manifests = read(&object.to_string());
    manifest(&manifests.objects[0])
}

#[test]
fn the_pods_of_each_kind_are_those_of_its_template() {
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}});
    let mut pod = template.clone();
    pod["metadata"]["namespace"] = "shop".into();
    let workload = json!({"template": template});
    for (api_version, kind, spec) in [
        ("v1", "ReplicationController", workload.clone()),
        ("apps/v1", "Deployment", workload.clone()),
        ("apps/v1", "StatefulSet", workload.clone()),
        ("apps/v1", "DaemonSet", workload.clone()),
        ("apps/v1", "ReplicaSet", workload.clone()),
        ("batch/v1", "Job", workload.clone()),
        (
            "batch/v1",
            "CronJob",
            json!({"jobTemplate": {"spec": workload}}),
        ),
        ("v1", "Pod", json!({"containers": []})),
    ] {
        let object = json!({"apiVersion": api_version, "kind": kind, "spec": spec,
            "metadata": {"namespace": "shop", "labels": {"app": "web"}}});
        let Ok(Manifest::Pod(found)) = of(&object) else {
            panic!("{kind}");
        };
        assert_eq!(found.namespace.as_deref(), Some("shop"), "{kind}");
        assert_eq!(found.labels["app"], "web", "{kind}");
        // As the webhook sees it: expressions can read labels and namespace.
        let metadata = json!({"namespace": "shop", "labels": {"app": "web"}});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"containers": []}});
        assert_eq!(found.pod("shop"), pod, "{kind}");
    }
    for (api_version, kind, want) in [
        ("v1", "Service", "Service"),
        ("argoproj.io/v1alpha1", "Rollout", "Rollout.argoproj.io"),
        // Not the kind of Kubernetes.
        ("example.dev/v1", "Pod", "Pod.example.dev"),
    ] {
        let object = json!({"apiVersion": api_version, "kind": kind, "spec": {"template": {}}});
        assert_eq!(of(&object), Ok(Manifest::Other(want.to_owned())));
    }
}

#[test]
fn a_workload_without_a_valid_template_is_an_error() {
    let of = |kind: &str, api_version: &str, spec: Json| {
        let object = json!({"apiVersion": api_version, "kind": kind, "spec": spec});
        of(&object).unwrap_err()
    };
    assert_eq!(of("Pod", "v1", json!([])), "spec must be an object");
    assert_eq!(
        of("Deployment", "apps/v1", json!({})),
        "spec.template.spec must be an object"
    );
    assert_eq!(
        of("CronJob", "batch/v1", json!({"jobTemplate": 7})),
        "spec.jobTemplate.spec.template.spec must be an object"
    );
    let template = json!({"template": {"spec": {"initContainers": {}}}});
    assert_eq!(
        of("Job", "batch/v1", template),
        "spec.template.spec.initContainers must be a list"
    );
    let template = json!({"template": {"metadata": {"labels": {"on": true}}, "spec": {}}});
    assert_eq!(
        of("Job", "batch/v1", template),
        "spec.template.metadata.labels.on must be a string; add quotes"
    );
    let template = json!({"template": {"metadata": {"labels": "a"}, "spec": {}}});
    assert_eq!(
        of("Job", "batch/v1", template),
        "spec.template.metadata.labels must be an object"
    );
}
