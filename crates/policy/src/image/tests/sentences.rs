//! What people read, word for word, and which images are meant.

use super::*;

const ALLOWED: &str = "ImageAdmissionPolicy our-registry allows registry.example.com/**. Use an image from an allowed repository.";

#[test]
fn a_repository_is_allowed_or_the_message_names_it_and_the_remedy() {
    let policy = compiled(&json!({"allowedRepositories": ["registry.example.com/**"]}));
    let denied = |user: &str, repository: &str| {
        vec![format!(
            "{user} uses repository {repository}, which is not allowed. {ALLOWED}"
        )]
    };
    for (reference, want) in [
        ("registry.example.com/web", vec![]),
        ("registry.example.com/team/web:1.0", vec![]),
        ("nginx", denied("Container c0", "docker.io/library/nginx")),
        (
            "index.docker.io/acme/web:1",
            denied("Container c0", "docker.io/acme/web"),
        ),
        (
            "registry.example.com:443/web",
            denied("Container c0", "registry.example.com:443/web"),
        ),
        (
            "registry.example.com.evil.com/web",
            denied("Container c0", "registry.example.com.evil.com/web"),
        ),
    ] {
        assert_eq!(
            denials(&policy, &pod(&[reference]), None),
            want,
            "{reference}"
        );
    }
    let three = pod(&["nginx", "registry.example.com/web", "redis", "ghcr.io/a/b"]);
    assert_eq!(
        denials(&policy, &three, None),
        [format!(
            "Container c0 uses repository docker.io/library/nginx, which is not allowed (and 2 more). {ALLOWED}"
        )]
    );
}

#[test]
fn every_place_of_a_pod_that_names_an_image_is_looked_at() {
    let policy = compiled(&json!({"allowedRepositories": ["registry.example.com/**"]}));
    for (field, entry, user) in [
        (
            "initContainers",
            json!({"name": "x", "image": "nginx"}),
            "Init container x",
        ),
        (
            "ephemeralContainers",
            json!({"name": "x", "image": "nginx"}),
            "Ephemeral container x",
        ),
        (
            "volumes",
            json!({"name": "x", "image": {"reference": "nginx"}}),
            "Image volume x",
        ),
    ] {
        let mut pod = pod(&["registry.example.com/web"]);
        pod["spec"][field] = json!([{"name": "other", "image": "registry.example.com/web"}, entry]);
        if field == "volumes" {
            pod["spec"][field][0] = json!({"name": "other", "emptyDir": {}});
        }
        assert_eq!(
            denials(&policy, &pod, None),
            [format!(
                "{user} uses repository docker.io/library/nginx, which is not allowed. {ALLOWED}"
            )]
        );
    }
}

#[test]
fn a_reference_that_is_not_valid_is_denied_by_every_policy_and_never_repeated() {
    let policy = compiled(&json!({
        "matchImages": {"include": ["ghcr.io/**"]}, "digest": {"required": true},
    }));
    let image_id = DIGEST;
    let hex = DIGEST.strip_prefix("sha256:").unwrap();
    let long = "a/".repeat(600);
    let hostile = "nginx\u{1b}[31m'+\"\n";
    for reference in [
        "",
        "Nginx",
        "GHCR.io/a/b",
        image_id,
        hex,
        &long,
        hostile,
        "a//b",
        "http://a/b",
        "nginx@sha256:12",
    ] {
        assert_eq!(
            denials(&policy, &pod(&[reference]), None),
            [
                "Container c0 has an image reference that is not valid. ImageAdmissionPolicy our-registry allows only valid references. Use HOST/PATH:TAG or HOST/PATH@sha256:DIGEST, with host and path in lower case."
            ],
            "{reference:?}"
        );
    }
}

#[test]
fn a_digest_is_required_of_selected_images_alone() {
    let policy = compiled(&json!({
        "matchImages": {"include": ["*.example.com/**"], "exclude": ["cache.example.com/**"]},
        "digest": {"required": true},
    }));
    let with_digest = format!("a.example.com/web:1@{DIGEST}");
    for reference in [with_digest.as_str(), "nginx", "cache.example.com/web:1"] {
        assert_eq!(
            denials(&policy, &pod(&[reference]), None),
            [""; 0],
            "{reference}"
        );
    }
    assert_eq!(
        denials(&policy, &pod(&["a.example.com/web:1"]), None),
        [
            "Container c0 uses an image of a.example.com/web without a digest. ImageAdmissionPolicy our-registry requires digests. Append @sha256:DIGEST to the image."
        ]
    );
}

#[test]
fn the_worst_comes_first_and_a_long_list_of_patterns_is_cut() {
    let policy = compiled(&json!({
        "allowedRepositories": ["a.io/**", "b.io/**", "c.io/**", "d.io/**", "e.io/x"],
        "digest": {"required": true},
    }));
    assert_eq!(
        denials(&policy, &pod(&["nginx", "!"]), None),
        [
            "Container c1 has an image reference that is not valid. ImageAdmissionPolicy our-registry allows only valid references. Use HOST/PATH:TAG or HOST/PATH@sha256:DIGEST, with host and path in lower case.",
            "Container c0 uses repository docker.io/library/nginx, which is not allowed. ImageAdmissionPolicy our-registry allows a.io/**, b.io/**, c.io/** and 2 more patterns. Use an image from an allowed repository.",
            "Container c0 uses an image of docker.io/library/nginx without a digest. ImageAdmissionPolicy our-registry requires digests. Append @sha256:DIGEST to the image.",
        ]
    );
}

#[test]
fn an_update_is_denied_for_new_images_alone() {
    let policy = compiled(&json!({"allowedRepositories": ["registry.example.com/**"]}));
    let old = pod(&["nginx", "redis"]);
    let mut labeled = old.clone();
    labeled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(denials(&policy, &labeled, Some(&old)), [""; 0]);
    let mut debugged = labeled.clone();
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "busybox"}]);
    assert_eq!(
        denials(&policy, &debugged, Some(&old)),
        [format!(
            "Ephemeral container debug uses repository docker.io/library/busybox, which is not allowed. {ALLOWED}"
        )]
    );
    // The same image by another name is another image.
    assert_eq!(
        denials(&policy, &pod(&["nginx:latest"]), Some(&old)).len(),
        1
    );
}

#[test]
fn a_fault_of_a_policy_names_field_pattern_position_and_remedy() {
    let faults = |spec: Json| -> Vec<String> {
        compile(&source(&spec))
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        faults(json!({"allowedRepositories": ["ghcr.io/acme/**", "nginx"]})),
        [
            "spec.allowedRepositories[1]: \"nginx\" is not a pattern: \"nginx\" is not a registry host; start with the host, such as docker.io/library/nginx (byte 0)"
        ]
    );
    assert_eq!(
        faults(json!({})),
        ["spec: must have allowedRepositories, digest or validations"]
    );
    assert_eq!(
        faults(
            json!({"matchConstraints": {"objectSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}, "digest": {"required": true}})
        ),
        [
            "spec.matchConstraints: objectSelector: the operator \"Is\" for the label \"a\" is not known: use In, NotIn, Exists or DoesNotExist"
        ]
    );
}

#[test]
fn rendered_objects_have_every_default_of_the_api_and_exempt_namespaces_by_name() {
    let policy_spec = json!({
        "matchConstraints": {"namespaceSelector": {"matchLabels": {"team": "a"}}},
        "digest": {"required": true},
    });
    let exempt = Exemptions {
        namespaces: vec!["kube-system".to_owned()],
    };
    let rendered = serde_json::to_value(policy(&compiled(&policy_spec), &exempt)).unwrap();
    assert_eq!(
        rendered["metadata"],
        json!({"name": "bailiff-image.our-registry"})
    );
    assert_eq!(rendered["spec"]["failurePolicy"], "Fail");
    assert_eq!(
        rendered["spec"]["matchConstraints"],
        json!({
            "matchPolicy": "Equivalent",
            "namespaceSelector": {
                "matchLabels": {"team": "a"},
                "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}],
            },
            "objectSelector": {},
            "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["pods", "pods/ephemeralcontainers"], "scope": "*",
            }],
        })
    );
    let source: ImageAdmissionPolicyBinding = serde_json::from_value(json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "ImageAdmissionPolicyBinding",
        "metadata": {"name": "everywhere"},
        "spec": {"policyName": "our-registry", "validationActions": ["Deny", "Audit"]},
    }))
    .unwrap();
    assert_eq!(
        serde_json::to_value(binding(&source, Mode::Enforce)).unwrap(),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "bailiff-image.everywhere"},
            "spec": {
                "policyName": "bailiff-image.our-registry",
                "matchResources": {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}},
                "validationActions": ["Audit", "Deny"],
            },
        })
    );
}

#[test]
fn the_schema_accepts_as_many_patterns_of_the_length_that_a_set_has() {
    let crds = bailiff_api::crds();
    let named = |name: &str| {
        let crd = crds.iter().find(|crd| crd.spec.names.kind == name);
        serde_json::to_value(crd.unwrap()).unwrap()
    };
    let crd = named("ImageAdmissionPolicy");
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    for field in [
        "allowedRepositories",
        "matchImages/properties/include",
        "matchImages/properties/exclude",
        "digest/properties/pinExclude",
    ] {
        let field = crd.pointer(&format!("{spec}/{field}")).unwrap();
        assert_eq!(field["maxItems"], bailiff_oci::MAX_PATTERNS, "{field}");
        // The schema counts characters. A pattern is ASCII, or it is not valid.
        assert_eq!(
            field["items"]["maxLength"],
            bailiff_oci::MAX_PATTERN_BYTES,
            "{field}"
        );
    }
    let described = &crd.pointer(&format!("{spec}/allowedRepositories")).unwrap()["description"];
    let sentence = format!("At most {} patterns can have a", bailiff_oci::MAX_REGEXES);
    assert!(
        described.as_str().unwrap().contains(&sentence),
        "{described}"
    );
}
