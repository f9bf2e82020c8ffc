use super::*;
use crate::review::Identity;
use bailiff_policy::image::{Replaced, WrittenRule};

fn violation(message: &str) -> Violation {
    Violation {
        policy: "p".to_owned(),
        rule: Rule::Written(WrittenRule::AllowedRepositories),
        message: message.to_owned(),
    }
}

fn pin(pointer: &str, annotation: Option<&str>) -> Pin {
    Pin {
        pointer: pointer.to_owned(),
        annotation: annotation.map(str::to_owned),
        original: "web:1".to_owned(),
        pinned: "docker.io/library/web@sha256:1".to_owned(),
    }
}

#[test]
fn pins_are_a_patch_that_keeps_the_original_reference() {
    let pins = [
        pin("/spec/containers/0/image", Some("image.bailiff.dev/web")),
        pin("/spec/ephemeralContainers/1/image", None),
    ];
    let decision = Decision {
        pins: pins.to_vec(),
        denied: vec![violation("A.")],
        ..Decision::default()
    };
    let replaced = [
        json!({"op": "replace", "path": "/spec/containers/0/image", "value": "docker.io/library/web@sha256:1"}),
        json!({"op": "replace", "path": "/spec/ephemeralContainers/1/image", "value": "docker.io/library/web@sha256:1"}),
    ];
    let annotated = json!({"op": "add", "path": "/metadata/annotations/image.bailiff.dev~1web", "value": "web:1"});
    let response = mutated(&json!({"metadata": {"annotations": {"a": "b"}}}), &decision);
    assert_eq!(
        response.patch,
        [replaced[0].clone(), replaced[1].clone(), annotated.clone()]
    );
    assert_eq!(response.denied, None, "the validating entry rejects");
    let add = json!({"op": "add", "path": "/metadata/annotations", "value": {}});
    for metadata in [json!({}), json!({"annotations": null})] {
        let response = mutated(&json!({"metadata": metadata}), &decision);
        assert_eq!(
            response.patch,
            [
                replaced[0].clone(),
                replaced[1].clone(),
                add.clone(),
                annotated.clone()
            ]
        );
    }
    assert_eq!(patch(&json!({"metadata": {}}), &pins[1..]), replaced[1..]);
    assert_eq!(
        mutated(&json!({}), &Decision::default()),
        AdmissionResponse::allowed()
    );
}

#[test]
fn a_violation_rejects_or_warns_or_is_audited() {
    let response = validated(&Decision {
        denied: vec![violation("A."), violation("B.")],
        warned: vec![violation("C.")],
        audited: vec![violation("D."), violation("E.")],
        notes: vec!["N.".to_owned()],
        ..Decision::default()
    });
    assert_eq!(response.denied.as_deref(), Some("A. B."));
    assert_eq!(
        response.warnings,
        Vec::<String>::new(),
        "the rejection comes first"
    );
    assert_eq!(
        response.audit,
        [("violations".to_owned(), "D. E.".to_owned())].into()
    );
    let response = validated(&Decision {
        warned: vec![violation("C.")],
        notes: vec!["N.".to_owned()],
        uncovered: vec!["nginx".to_owned()],
        ..Decision::default()
    });
    assert_eq!((response.denied, response.audit), (None, BTreeMap::new()));
    assert_eq!(response.warnings, ["C.", "N."]);
    assert_eq!(
        validated(&Decision::default()),
        AdmissionResponse::allowed()
    );
}

#[test]
fn what_a_pin_replaces_is_said_by_the_entry_that_sees_it() {
    let decision = Decision {
        pins: vec![pin("/spec/containers/0/image", None)],
        warned: vec![violation("C."), violation("Later.")],
        audited: vec![violation("D."), violation("Later.")],
        replaced: Replaced {
            warned: vec![violation("C.")],
            audited: vec![violation("D.")],
        },
        notes: vec!["N.".to_owned()],
        ..Decision::default()
    };
    let response = mutated(&json!({"metadata": {}}), &decision);
    assert_eq!(response.warnings, ["C.", "N."]);
    let audit = [("violations".to_owned(), "D.".to_owned())].into();
    assert_eq!(response.audit, audit);
    assert_eq!(response.patch.len(), 1);
}

#[test]
fn only_pods_that_no_kubelet_reports_are_reviewed() {
    let review = |operation, groups: &[&str], annotation: Option<&str>| Review {
        identity: Identity::default(),
        group: String::new(),
        resource: "pods".to_owned(),
        subresource: String::new(),
        operation,
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        dry_run: false,
        kept: crate::review::Keep::Everything,
        kept_bytes: 0,
        object: json!({"metadata": {"annotations": annotation.map(|key| json!({key: "x"}))}}),
        old_object: Json::Null,
    };
    let (nodes, mirror) = (["system:nodes"], Some("kubernetes.io/config.mirror"));
    for (operation, groups, annotation, want) in [
        (Operation::Create, &[][..], None, true),
        (Operation::Create, &nodes, None, true),
        // The annotation is anybody's.
        (Operation::Create, &["system:serviceaccounts"], mirror, true),
        (
            Operation::Create,
            &nodes,
            Some("kubernetes.io/config.mirrors"),
            true,
        ),
        (Operation::Create, &nodes, mirror, false),
        (Operation::Update, &nodes, mirror, false),
        (Operation::Update, &[], None, true),
        (Operation::Delete, &[], None, false),
        (Operation::Other, &[], None, false),
    ] {
        let review = review(operation, groups, annotation);
        assert_eq!(is_reviewed(&review), want, "{review:?}");
    }
}

#[test]
fn a_denial_is_reported_at_the_last_step_that_its_pod_reaches() {
    let of = |rules: &[Rule]| {
        let denied = rules.iter().map(|&rule| Violation {
            rule,
            ..violation("A.")
        });
        let decision = Decision {
            denied: denied.collect(),
            ..Decision::default()
        };
        [Stage::Mutating, Stage::Validating].map(|stage| is_reported(stage, &decision))
    };
    let written = Rule::Written(WrittenRule::AllowedRepositories);
    assert_eq!(of(&[written]), [true, false]);
    assert_eq!(of(&[written, Rule::Validation(0)]), [true, false]);
    assert_eq!(of(&[Rule::Validation(0)]), [false, true]);
}
