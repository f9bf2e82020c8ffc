//! Verdicts about images, and policies of files, word for word.

use super::{Outcome, Policies, Settings, Verdict, verdicts, wanted};
use crate::manifests::Manifests;
use bailiff_oci::{Digest, Failure, ImageFacts, Lookup, ManifestKind, Missing, Source};
use bailiff_policy::image::{Lookups, Mode};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value as Json, from_value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// The policies of a file.
fn policies(documents: &[Json]) -> Policies {
    let text: Vec<_> = documents.iter().map(Json::to_string).collect();
    let input = text.join("\n---\n");
    let files = Manifests::read(&[PathBuf::from("-")], false, &mut input.as_bytes());
    Policies::of_files(files, Settings::default_of("bailiff-system"))
}

fn policy(name: &str, spec: &Json) -> Json {
    json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": "ImageAdmissionPolicy",
        "metadata": {"name": name}, "spec": spec})
}

fn binding(policy: &str, actions: &[&str], resources: &Json) -> Json {
    json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": "ImageAdmissionPolicyBinding",
        "metadata": {"name": policy},
        "spec": {"policyName": policy, "validationActions": actions, "matchResources": resources}})
}

fn found() -> Lookup {
    Lookup::Found {
        facts: ImageFacts {
            digest: Digest::parse(DIGEST).unwrap(),
            kind: ManifestKind::Index,
        },
        source: Source::Registry,
    }
}

/// What is said about a container with this image in namespace shop: the verdict, the pin, and for each
/// finding its rule and action.
fn said(
    policies: &Policies,
    image: &str,
    answer: Option<&Lookup>,
) -> (Verdict, Option<String>, Vec<String>) {
    let bound = policies.bound("shop", &BTreeMap::new(), &BTreeMap::new());
    let pod = json!({"spec": {"containers": [{"name": "web", "image": image}]}});
    let asked = wanted(bound.as_deref().unwrap_or_default(), &pod);
    let lookups: Lookups = asked
        .into_keys()
        .filter_map(|name| Some((name, answer?.clone())))
        .collect();
    let mut all = verdicts(bound.as_deref(), &pod, &json!({}), &lookups);
    assert_eq!(all.len(), 1);
    let verdict = all.remove(0);
    let findings = verdict.findings.iter();
    let findings = findings.map(|finding| format!("{} {}", finding.action, finding.rule));
    (verdict.verdict, verdict.pinned, findings.collect())
}

#[test]
fn a_tag_is_pinned_and_then_judged_as_the_digest_that_it_names() {
    let all = policies(&[
        policy("pins", &json!({"digest": {"pin": true}})),
        policy(
            "requires",
            &json!({"digest": {"required": true, "verifyRepository": false}}),
        ),
    ]);
    assert_eq!(all.errors, [""; 0]);
    let pinned = format!("docker.io/library/nginx@{DIGEST}");
    assert_eq!(
        said(&all, "nginx", Some(&found())),
        (Verdict::Allowed, Some(pinned), vec![])
    );
    assert_eq!(
        said(&all, "nginx", Some(&Lookup::NotFound(Missing::Manifest))),
        (
            Verdict::Denied,
            None,
            vec!["Deny DigestRequired".into(), "Deny InRepository".into()]
        )
    );
}

#[test]
fn an_image_without_an_answer_is_not_checked_unless_it_is_denied_anyway() {
    let all = policies(&[policy(
        "p",
        &json!({"allowedRepositories": ["docker.io/library/**"], "digest": {"pin": true}}),
    )]);
    // No registry is asked: the pin is unknown.
    assert_eq!(
        said(&all, "nginx", None),
        (Verdict::NotChecked, None, vec![])
    );
    let with_digest = format!("nginx@{DIGEST}");
    assert_eq!(
        said(&all, &with_digest, None),
        (Verdict::NotChecked, None, vec![])
    );
    assert_eq!(
        said(&all, "quay.io/a/b", None),
        (
            Verdict::Denied,
            None,
            vec!["Deny AllowedRepositories".into()]
        )
    );
    assert_eq!(
        said(&all, "Nginx:latest", None),
        (Verdict::Denied, None, vec!["Deny ValidReference".into()])
    );
    // The registry was asked, and gave no answer.
    assert_eq!(
        said(&all, "nginx", Some(&Lookup::Failed(Failure::Timeout))),
        (Verdict::NotChecked, None, vec!["Deny Checked".into()])
    );
    assert_eq!(
        said(&all, "nginx", Some(&Lookup::Pending)),
        (Verdict::NotChecked, None, vec!["Deny Answered".into()])
    );
    // It allows what it cannot check.
    let all = policies(&[policy(
        "p",
        &json!({"digest": {"pin": true}, "onError": "Allow", "onPending": "Allow"}),
    )]);
    assert_eq!(
        said(&all, "nginx", Some(&Lookup::Failed(Failure::Timeout))),
        (Verdict::Allowed, None, vec![])
    );
    assert_eq!(
        said(&all, "nginx", None),
        (Verdict::NotChecked, None, vec![])
    );
}

#[test]
fn the_actions_of_bindings_are_those_of_the_webhook() {
    let spec = json!({"matchImages": {"include": ["docker.io/library/**"]},
        "allowedRepositories": ["docker.io/library/redis"]});
    let everywhere = json!({});
    for (actions, want) in [
        (
            &["Deny", "Audit"][..],
            (Verdict::Denied, vec!["Deny AllowedRepositories"]),
        ),
        (
            &["Warn"],
            (Verdict::Warned, vec!["Warn AllowedRepositories"]),
        ),
        (
            &["Audit"],
            (Verdict::Audited, vec!["Audit AllowedRepositories"]),
        ),
    ] {
        let all = policies(&[policy("p", &spec), binding("p", actions, &everywhere)]);
        let (verdict, _, findings) = said(&all, "nginx", None);
        assert_eq!(
            (verdict, findings),
            (want.0, want.1.iter().map(|s| (*s).to_owned()).collect())
        );
        assert_eq!(said(&all, "redis", None).0, Verdict::Allowed);
        assert_eq!(said(&all, "quay.io/a/b", None).0, Verdict::Uncovered);
    }
    let elsewhere = json!({"namespaceSelector": {"matchLabels": {"a": "b"}}});
    let all = policies(&[policy("p", &spec), binding("p", &["Deny"], &elsewhere)]);
    assert_eq!(said(&all, "nginx", None).0, Verdict::Uncovered);
    let mut all = policies(&[policy("p", &spec)]);
    all.settings.mode = Mode::Audit;
    assert_eq!(said(&all, "nginx", None).0, Verdict::Audited);
    all.settings.exempt.insert("shop".to_owned());
    assert_eq!(said(&all, "nginx", None).0, Verdict::Exempt);
}

#[test]
fn every_image_of_a_pod_has_the_verdict_of_its_pod() {
    let all = policies(&[policy(
        "p",
        &json!({"allowedRepositories": ["docker.io/library/redis"]}),
    )]);
    let bound = all.bound("shop", &BTreeMap::new(), &BTreeMap::new());
    let pod = json!({"spec": {
        "containers": [{"name": "a", "image": "redis"}, {"name": "b", "image": "nginx"}],
        "initContainers": [{"name": "c", "image": "busybox"}],
        "volumes": [{"name": "d", "emptyDir": {}}, {"name": "e", "image": {"reference": "alpine"}}],
    }});
    let said = verdicts(bound.as_deref(), &pod, &json!({}), &Lookups::new());
    let said: Vec<_> = said
        .iter()
        .map(|image| {
            (
                image.container.as_str(),
                image.verdict,
                image.findings.first().map(|f| f.message.as_str()),
            )
        })
        .collect();
    let end = "which is not allowed. ImageAdmissionPolicy p allows docker.io/library/redis. Use an image from an allowed repository.";
    let of =
        |user: &str, name: &str| format!("{user} uses repository docker.io/library/{name}, {end}");
    assert_eq!(
        said,
        [
            ("a", Verdict::Allowed, None),
            ("b", Verdict::Denied, Some(&*of("Container b", "nginx"))),
            (
                "c",
                Verdict::Denied,
                Some(&*of("Init container c", "busybox"))
            ),
            ("e", Verdict::Denied, Some(&*of("Image volume e", "alpine"))),
        ]
    );
}

#[test]
fn what_is_wrong_with_policies_of_files_is_said_with_its_place() {
    let allowed = json!({"allowedRepositories": ["a.example/**"]});
    for (documents, want) in [
        (
            vec![policy(
                "p",
                &json!({"allowedRepository": ["a.example/**"], "digest": {"pins": true}}),
            )],
            vec![
                "cannot use imageadmissionpolicy/p of standard input, document 1: spec.allowedRepository: unknown field; fix the policy",
                "cannot use imageadmissionpolicy/p of standard input, document 1: spec.digest.pins: unknown field; fix the policy",
            ],
        ),
        (
            vec![policy("p", &json!({"allowedRepositories": ["nginx"]}))],
            vec![
                "cannot use imageadmissionpolicy/p of standard input, document 1: spec.allowedRepositories[0]: \"nginx\" is not a pattern: \"nginx\" is not a registry host; start with the host, such as docker.io/library/nginx (byte 0); fix the policy",
            ],
        ),
        (
            vec![policy("p", &json!({"allowedRepositories": "nginx"}))],
            vec![
                "cannot use imageadmissionpolicy/p of standard input, document 1: invalid type: string \"nginx\", expected a sequence; fix the policy",
            ],
        ),
        (
            vec![policy("p", &allowed), policy("p", &allowed)],
            vec![
                "cannot use imageadmissionpolicy/p of standard input, document 2 (line 2): another file has a policy of the same name; fix the policy",
            ],
        ),
        (
            vec![policy("p", &allowed), binding("q", &["Deny"], &json!({}))],
            vec![
                "cannot use imageadmissionpolicybinding/q of standard input, document 2 (line 2): ImageAdmissionPolicy q is not in the files of --policy, or has an error; add its file",
            ],
        ),
        (
            vec![policy("p", &allowed), binding("p", &["Block"], &json!({}))],
            vec![
                "cannot use imageadmissionpolicybinding/p of standard input, document 2 (line 2): unknown variant `Block`, expected one of `Audit`, `Warn`, `Deny`; fix the binding",
            ],
        ),
        (
            vec![json!({"apiVersion": "v1", "kind": "Secret"})],
            vec![
                "cannot read policies: the files of --policy contain no ImageAdmissionPolicy; add one",
            ],
        ),
    ] {
        assert_eq!(policies(&documents).errors, want);
    }
    let all = policies(&[
        policy("p", &allowed),
        json!({"apiVersion": "v1", "kind": "Secret"}),
    ]);
    assert_eq!(
        all.notes,
        [
            "1 objects of --policy are no ImageAdmissionPolicies or ImageAdmissionPolicyBindings and have no effect",
            "no file of --policy binds p; evaluated as bound with Deny to all namespaces",
        ]
    );
}

#[test]
fn the_settings_are_those_of_the_webhook() {
    let of = |environment: Json| {
        let deployment: Deployment = from_value(json!({"metadata": {}, "spec": {"selector": {},
            "template": {"spec": {"containers": [{"name": "webhook", "env": environment}]}}}}))
        .unwrap();
        Settings::of(&deployment, "security").map_err(|error| error.to_string())
    };
    let settings = of(json!([])).unwrap();
    assert_eq!(settings, Settings::default_of("security"));
    assert_eq!(
        settings.exempt.into_iter().collect::<Vec<_>>(),
        ["kube-system", "security"]
    );
    let settings = of(json!([
        {"name": "BAILIFF_IMAGE_POLICIES_MODE", "value": "Audit"},
        {"name": "BAILIFF_EXEMPT_NAMESPACES", "value": "kube-system,calico-system"},
    ]))
    .unwrap();
    assert_eq!(settings.mode, Mode::Audit);
    assert_eq!(
        settings.exempt.into_iter().collect::<Vec<_>>(),
        ["calico-system", "kube-system", "security"]
    );
    assert_eq!(
        of(json!([{"name": "BAILIFF_IMAGE_POLICIES_MODE", "value": "Off"}])),
        Err("cannot read the configuration of Deployment bailiff-webhook: BAILIFF_IMAGE_POLICIES_MODE has the invalid value \"Off\"; set the value imagePolicies.mode of the chart and run `helm upgrade`".to_owned())
    );
}

#[test]
fn the_outcome_is_that_of_the_worst_image() {
    use Verdict::{Allowed, Audited, Denied, Exempt, NotChecked, Uncovered, Warned};
    for (verdicts, fail_on_warnings, want) in [
        (&[][..], false, Outcome::Allowed),
        (
            &[Allowed, Audited, Exempt, Uncovered, Warned],
            false,
            Outcome::Allowed,
        ),
        (&[Allowed, Warned], true, Outcome::Denied),
        (&[NotChecked, Allowed], false, Outcome::NotChecked),
        (&[NotChecked, Denied], false, Outcome::Denied),
    ] {
        assert_eq!(
            Outcome::of(verdicts.iter().copied(), fail_on_warnings),
            want
        );
    }
    let codes = [Outcome::Allowed, Outcome::Denied, Outcome::NotChecked].map(Outcome::exit_code);
    assert_eq!(codes, [0, 3, 4]);
}
