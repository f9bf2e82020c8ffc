//! Decisions about pods, with the answers of registries: word for word what people read, and what is pinned.

use super::*;
use bailiff_oci::{Digest, Failure, ImageFacts, Lookup, ManifestKind, Missing, Source};
use std::time::Duration;

const OTHER: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const WEB: &str = "ghcr.io/acme/web";

fn found(digest: &str) -> Lookup {
    Lookup::Found {
        facts: ImageFacts {
            digest: Digest::parse(digest).unwrap(),
            kind: ManifestKind::Index,
        },
        source: Source::Registry,
    }
}

fn last_known(digest: &str, minutes: u64) -> Lookup {
    let Lookup::Found { facts, .. } = found(digest) else {
        unreachable!()
    };
    Lookup::Found {
        facts,
        source: Source::LastKnown {
            age: Duration::from_mins(minutes),
            last_admitted: None,
            cause: Failure::Timeout,
        },
    }
}

const DENY: Actions = Actions {
    deny: true,
    warn: false,
    audit: false,
};
const WARN: Actions = Actions {
    deny: false,
    warn: true,
    audit: false,
};

/// What follows for a pod under one policy with these actions and answers.
fn decision(
    spec: &Json,
    actions: Actions,
    stage: Stage,
    (pod, old): (&Json, Option<&Json>),
    answers: &[(&str, Lookup)],
) -> Decision {
    let policy = compiled(spec);
    let bound = [BoundPolicy {
        policy: &policy,
        actions,
    }];
    let review = PodReview {
        pod,
        old,
        namespace: None,
        only: None,
        stage,
    };
    let lookups: Lookups = answers
        .iter()
        .map(|(reference, lookup)| ((*reference).to_owned(), lookup.clone()))
        .collect();
    let asked = references_to_look_up(&bound, &review);
    for reference in asked.keys() {
        assert!(
            answers.is_empty() || lookups.contains_key(reference),
            "{reference}"
        );
    }
    decide(&bound, &review, &lookups)
}

fn messages(violations: &[Violation]) -> Vec<&str> {
    violations.iter().map(|v| v.message.as_str()).collect()
}

#[test]
fn a_tag_is_pinned_to_what_it_names_and_the_original_is_kept_beside_it() {
    let spec = json!({"digest": {"pin": true}});
    let mut pod = pod(&[WEB, "ghcr.io/acme/web:1.0", &format!("{WEB}:1.0@{OTHER}")]);
    pod["spec"]["volumes"] =
        json!([{"name": "e", "emptyDir": {}}, {"name": "v", "image": {"reference": WEB}}]);
    pod["spec"]["ephemeralContainers"] = json!([{"name": "d", "image": WEB}]);
    let answers = [
        ("ghcr.io/acme/web:latest", found(DIGEST)),
        ("ghcr.io/acme/web:1.0", found(OTHER)),
        (&format!("{WEB}@{OTHER}"), found(OTHER)),
    ];
    let decided = decision(&spec, DENY, Stage::Mutating, (&pod, None), &answers);
    let pins: Vec<_> = decided
        .pins
        .iter()
        .map(|pin| {
            (
                pin.pointer.as_str(),
                pin.pinned.clone(),
                pin.annotation.as_deref(),
            )
        })
        .collect();
    let (latest, one) = (format!("{WEB}@{DIGEST}"), format!("{WEB}@{OTHER}"));
    assert_eq!(
        pins,
        [
            (
                "/spec/containers/0/image",
                latest.clone(),
                Some("image.bailiff.dev/c0")
            ),
            (
                "/spec/containers/1/image",
                one,
                Some("image.bailiff.dev/c1")
            ),
            ("/spec/ephemeralContainers/0/image", latest.clone(), None),
            (
                "/spec/volumes/1/image/reference",
                latest,
                Some("image-volume.bailiff.dev/v")
            ),
        ]
    );
    assert_eq!(decided.pins[0].original, WEB);
    assert_eq!(decided.denied, []);

    // Only a policy that denies changes pods.
    let decided = decision(&spec, WARN, Stage::Mutating, (&pod, None), &answers);
    assert_eq!((decided.pins.len(), decided.warned.len()), (0, 0));
}

#[test]
fn a_policy_that_requires_digests_is_satisfied_by_a_pin_of_another() {
    let (pins, requires) = (
        compiled(&json!({"digest": {"pin": true}})),
        compiled(&json!({"digest": {"required": true, "verifyRepository": false}})),
    );
    let bound = [&pins, &requires].map(|policy| BoundPolicy {
        policy,
        actions: DENY,
    });
    let pod = pod(&[WEB]);
    let lookups = Lookups::from([("ghcr.io/acme/web:latest".to_owned(), found(DIGEST))]);
    let of = |stage| {
        let review = PodReview {
            pod: &pod,
            old: None,
            namespace: None,
            only: None,
            stage,
        };
        decide(&bound, &review, &lookups)
    };
    assert_eq!(of(Stage::Mutating).denied, []);
    assert_eq!(of(Stage::Mutating).pins.len(), 1);
    let rules: Vec<_> = of(Stage::Validating)
        .denied
        .iter()
        .map(|v| v.rule)
        .collect();
    assert_eq!(
        rules,
        [
            Rule::Written(WrittenRule::DigestRequired),
            Rule::Registry(RegistryRule::Pinned)
        ]
    );
}

#[test]
fn a_tag_that_stayed_is_denied_where_it_should_have_been_pinned_only() {
    let spec = json!({"digest": {"pin": true}});
    let pod = pod(&["ghcr.io/acme/web:1.0"]);
    let answers = [("ghcr.io/acme/web:1.0", found(DIGEST))];
    let decided = decision(&spec, DENY, Stage::Validating, (&pod, None), &answers);
    assert_eq!(
        messages(&decided.denied),
        [
            "Container c0 uses ghcr.io/acme/web:1.0, whose tag was not replaced by a digest. ImageAdmissionPolicy our-registry requires that Bailiff replaces tags by digests. Create the pod again. If it is rejected again, an administrator must check the webhook of Bailiff."
        ]
    );
    let decided = decision(&spec, WARN, Stage::Validating, (&pod, None), &answers);
    assert_eq!(decided, Decision::default());
}

#[test]
fn what_a_registry_does_not_have_or_does_not_say_is_denied_with_the_cause() {
    let spec = json!({"digest": {"pin": true}});
    let policy = "ImageAdmissionPolicy our-registry";
    let later = "Retry later; controllers retry automatically.";
    for (answer, want) in [
        (
            Lookup::NotFound(Missing::Manifest),
            format!(
                " uses ghcr.io/acme/web:1.0, which registry ghcr.io does not have. {policy} requires images that exist in their repository. Check repository, tag and digest, or push the image."
            ),
        ),
        (
            Lookup::NotFound(Missing::Repository),
            format!(
                " uses ghcr.io/acme/web:1.0, a repository that registry ghcr.io does not have. {policy} requires images that exist in their repository. Check repository, tag and digest, or push the image."
            ),
        ),
        (
            Lookup::Pending,
            format!(
                ": ghcr.io/acme/web:1.0 could not be checked, because registry ghcr.io has not answered yet. {policy} requires images that were checked. {later}"
            ),
        ),
        (
            Lookup::Failed(Failure::RateLimited { retry_after: None }),
            format!(
                ": ghcr.io/acme/web:1.0 could not be checked, because registry ghcr.io limits requests (429). {policy} requires images that were checked. {later}"
            ),
        ),
        (
            Lookup::Failed(Failure::RegistryNotAllowed),
            format!(
                ": ghcr.io/acme/web:1.0 could not be checked, because Bailiff is not configured to ask registry ghcr.io. {policy} requires images that were checked. An administrator can add ghcr.io to the value registries of Bailiff."
            ),
        ),
        (
            Lookup::Failed(Failure::Unauthorized),
            format!(
                ": ghcr.io/acme/web:1.0 could not be checked, because registry ghcr.io requires other credentials (401). {policy} requires images that were checked. Check the reference. An administrator can add credentials for it to the value registries of Bailiff."
            ),
        ),
        (
            Lookup::Failed(Failure::CredentialUnusable),
            format!(
                ": ghcr.io/acme/web:1.0 could not be checked, because the credential of Bailiff for registry ghcr.io cannot be used. {policy} requires images that were checked. An administrator must check the Secret of the credential."
            ),
        ),
        (
            Lookup::Failed(Failure::CredentialNotRead),
            format!(
                ": ghcr.io/acme/web:1.0 could not be checked, because the credential of Bailiff for registry ghcr.io was not read yet. {policy} requires images that were checked. {later} If it continues, an administrator must check whether the webhook can read the Secret of the credential."
            ),
        ),
        (
            Lookup::Failed(Failure::Timeout),
            format!(
                ": ghcr.io/acme/web:1.0 could not be checked, because registry ghcr.io does not answer in time. {policy} requires images that were checked. {later} If it continues, an administrator must check registry ghcr.io."
            ),
        ),
        (
            Lookup::Failed(Failure::AddressNotAllowed),
            format!(
                ": ghcr.io/acme/web:1.0 could not be checked, because registry ghcr.io has an address that Bailiff does not connect to. {policy} requires images that were checked. An administrator can list ghcr.io with its port in the value registries of Bailiff."
            ),
        ),
        (
            Lookup::Failed(Failure::DigestMismatch),
            format!(
                ": ghcr.io/acme/web:1.0 could not be checked, because registry ghcr.io sends content that has another digest. {policy} requires images that were checked. An administrator must check registry ghcr.io."
            ),
        ),
    ] {
        let pod = pod(&["ghcr.io/acme/web:1.0"]);
        let answers = [("ghcr.io/acme/web:1.0", answer)];
        for stage in [Stage::Mutating, Stage::Validating] {
            let decided = decision(&spec, DENY, stage, (&pod, None), &answers);
            assert_eq!(messages(&decided.denied), [format!("Container c0{want}")]);
            assert_eq!(decided.pins, []);
        }
    }
}

#[test]
fn an_answer_about_another_digest_is_no_answer() {
    let spec = json!({"digest": {"required": true}});
    let reference = format!("{WEB}@{DIGEST}");
    let pod = pod(&[&reference, &reference]);
    let of = |answer| {
        decision(
            &spec,
            DENY,
            Stage::Validating,
            (&pod, None),
            &[(&reference, answer)],
        )
    };
    assert_eq!(of(found(DIGEST)).denied, []);
    assert_eq!(
        messages(&of(found(OTHER)).denied),
        [format!(
            "Container c0: {WEB}@sha256:{} could not be checked, because registry ghcr.io sends content that has another digest (and 1 more). ImageAdmissionPolicy our-registry requires images that were checked. An administrator must check registry ghcr.io.",
            &DIGEST[7..19]
        )]
    );
    // What was not looked up is unanswered.
    let decided = decision(&spec, DENY, Stage::Validating, (&pod, None), &[]);
    assert_eq!(
        decided.denied[0].rule,
        Rule::Registry(RegistryRule::Answered)
    );
}

#[test]
fn a_policy_can_allow_what_is_not_checked_with_a_note_and_never_what_does_not_exist() {
    let spec = json!({"digest": {"pin": true}, "onError": "Allow", "onPending": "Allow"});
    let pod = pod(&["ghcr.io/acme/web:1.0"]);
    let of = |answer| {
        let answers = [("ghcr.io/acme/web:1.0", answer)];
        decision(&spec, DENY, Stage::Validating, (&pod, None), &answers)
    };
    let decided = of(Lookup::Failed(Failure::Connect));
    assert_eq!(decided.denied, []);
    assert_eq!(
        decided.notes,
        [
            "Container c0: ghcr.io/acme/web:1.0 could not be checked, because registry ghcr.io cannot be reached. ImageAdmissionPolicy our-registry allows it, because its onError is Allow."
        ]
    );
    let decided = of(Lookup::Pending);
    assert_eq!(
        decided.notes,
        [
            "Container c0: ghcr.io/acme/web:1.0 could not be checked, because registry ghcr.io has not answered yet. ImageAdmissionPolicy our-registry allows it, because its onPending is Allow."
        ]
    );
    assert_eq!(of(Lookup::NotFound(Missing::Manifest)).denied.len(), 1);
    // The answer came between the two steps of admission.
    let decided = of(found(DIGEST));
    assert_eq!(decided.denied, []);
    assert_eq!(
        decided.notes,
        [
            "Container c0 uses ghcr.io/acme/web:1.0, whose tag was not replaced by a digest. ImageAdmissionPolicy our-registry allows it, because its onPending is Allow."
        ]
    );
}

#[test]
fn policies_that_note_the_same_of_the_same_images_note_it_once() {
    let policy = compiled(&json!({"digest": {"pin": true}}));
    let bound = [DENY, WARN].map(|actions| BoundPolicy {
        policy: &policy,
        actions,
    });
    let references = ["ghcr.io/acme/web:1.0", "ghcr.io/acme/api:1.0"];
    let review = PodReview {
        pod: &pod(&references),
        old: None,
        namespace: None,
        only: None,
        stage: Stage::Mutating,
    };
    let answer = |reference: &str| (reference.to_owned(), last_known(DIGEST, 7));
    let lookups: Lookups = references.into_iter().map(answer).collect();
    let note = |container: &str, image: &str| {
        format!(
            "Container {container} uses ghcr.io/acme/{image}@sha256:{}, the digest of 7 minutes ago, because registry ghcr.io does not answer in time.",
            &DIGEST[7..19]
        )
    };
    assert_eq!(
        decide(&bound, &review, &lookups).notes,
        [note("c0", "web"), note("c1", "api")]
    );
}

#[test]
fn a_tag_is_pinned_to_its_last_known_digest_while_the_registry_is_down_and_the_note_says_so() {
    let spec = json!({"digest": {"pin": true}});
    let pod = pod(&["ghcr.io/acme/web:1.0"]);
    let answers = [("ghcr.io/acme/web:1.0", last_known(DIGEST, 7))];
    let decided = decision(&spec, DENY, Stage::Mutating, (&pod, None), &answers);
    assert_eq!(decided.pins[0].pinned, format!("{WEB}@{DIGEST}"));
    assert_eq!(
        decided.notes,
        [format!(
            "Container c0 uses {WEB}@sha256:{}, the digest of 7 minutes ago, because registry ghcr.io does not answer in time.",
            &DIGEST[7..19]
        )]
    );
}

#[test]
fn a_note_says_when_the_image_was_admitted_last_whose_persisted_digest_is_used() {
    let spec = json!({"digest": {"pin": true}});
    let pod = pod(&["ghcr.io/acme/web:1.0"]);
    for (admitted, date) in [
        (1_796_000_000, ", last admitted on 2026-11-30"),
        // No time that a date has.
        (i64::MAX, ""),
    ] {
        let mut answer = last_known(DIGEST, 20 * 60);
        let Lookup::Found {
            source: Source::LastKnown { last_admitted, .. },
            ..
        } = &mut answer
        else {
            unreachable!()
        };
        *last_admitted = Some(admitted);
        let answers = [("ghcr.io/acme/web:1.0", answer)];
        let decided = decision(&spec, DENY, Stage::Mutating, (&pod, None), &answers);
        assert_eq!(decided.pins[0].pinned, format!("{WEB}@{DIGEST}"));
        assert_eq!(
            decided.notes,
            [format!(
                "Container c0 uses {WEB}@sha256:{}, the digest of 20 hours ago{date}, because registry ghcr.io does not answer in time.",
                &DIGEST[7..19]
            )]
        );
    }
}

#[test]
fn a_pod_that_is_applied_again_keeps_its_digest_and_asks_no_registry() {
    let spec = json!({"digest": {"pin": true}});
    let new = pod(&["ghcr.io/acme/web:1.0"]);
    let mut old = pod(&[&format!("{WEB}@{OTHER}")]);
    old["metadata"]["annotations"] = json!({"image.bailiff.dev/c0": "ghcr.io/acme/web:1.0"});
    let decided = decision(&spec, DENY, Stage::Mutating, (&new, Some(&old)), &[]);
    assert_eq!(decided.pins[0].pinned, format!("{WEB}@{OTHER}"));
    assert_eq!(decided.denied, []);

    // Another tag is resolved.
    let newer = pod(&["ghcr.io/acme/web:2.0"]);
    let answers = [("ghcr.io/acme/web:2.0", found(DIGEST))];
    let decided = decision(&spec, DENY, Stage::Mutating, (&newer, Some(&old)), &answers);
    assert_eq!(decided.pins[0].pinned, format!("{WEB}@{DIGEST}"));

    // An annotation that a tenant wrote leads to no digest of another repository.
    let other = pod(&["ghcr.io/acme/db:1.0"]);
    old["metadata"]["annotations"] = json!({"image.bailiff.dev/c0": "ghcr.io/acme/db:1.0"});
    let decided = decision(&spec, DENY, Stage::Mutating, (&other, Some(&old)), &[]);
    assert_eq!(decided.pins, []);
    assert_eq!(decided.denied.len(), 1);
}

#[test]
fn excluded_repositories_are_neither_pinned_nor_checked() {
    let spec = json!({"digest": {"pin": true, "required": true, "pinExclude": ["bailiff.dev/**"]}});
    let pod = pod(&[
        "bailiff.dev/testbed/busybox:1",
        &format!("bailiff.dev/a/b@{DIGEST}"),
    ]);
    for stage in [Stage::Mutating, Stage::Validating] {
        let decided = decision(&spec, DENY, stage, (&pod, None), &[]);
        assert_eq!(decided, Decision::default());
    }
}

#[test]
fn images_that_no_policy_selects_are_listed() {
    let spec = json!({"digest": {"pin": true}, "matchImages": {"include": ["ghcr.io/**"]}});
    let pod = pod(&["nginx"]);
    let decided = decision(&spec, DENY, Stage::Validating, (&pod, None), &[]);
    assert_eq!(
        (decided.uncovered.as_slice(), decided.denied.len()),
        (&["nginx".to_owned()][..], 0)
    );
}

#[test]
fn a_new_container_with_the_tag_of_another_one_is_pinned_too() {
    let spec = json!({"digest": {"pin": true}});
    let old = pod(&["ghcr.io/acme/web:1.0"]);
    let mut new = old.clone();
    new["spec"]["ephemeralContainers"] = json!([{"name": "d", "image": "ghcr.io/acme/web:1.0"}]);
    let answers = [("ghcr.io/acme/web:1.0", found(DIGEST))];
    let decided = decision(&spec, DENY, Stage::Mutating, (&new, Some(&old)), &answers);
    let pointers: Vec<_> = decided
        .pins
        .iter()
        .map(|pin| pin.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/spec/ephemeralContainers/0/image"]);
    // The rendered policy sees it, too.
    let policy = compiled(&json!({"allowedRepositories": ["ghcr.io/other/**"]}));
    assert_eq!(denials(&policy, &new, Some(&old)).len(), 1);
}

#[test]
fn an_image_that_is_not_allowed_is_denied_for_that_alone_and_not_looked_up() {
    let spec = json!({"allowedRepositories": ["ghcr.io/acme/**"], "digest": {"pin": true}});
    let policy = compiled(&spec);
    let bound = [BoundPolicy {
        policy: &policy,
        actions: DENY,
    }];
    let pod = pod(&["evil.example/miner:1", "ghcr.io/acme/web:1.0"]);
    let review = PodReview {
        pod: &pod,
        old: None,
        namespace: None,
        only: None,
        stage: Stage::Mutating,
    };
    let asked: Vec<_> = references_to_look_up(&bound, &review).into_keys().collect();
    assert_eq!(asked, ["ghcr.io/acme/web:1.0"]);
    let answers = Lookups::from([("ghcr.io/acme/web:1.0".to_owned(), found(DIGEST))]);
    let rules: Vec<_> = decide(&bound, &review, &answers)
        .denied
        .iter()
        .map(|violation| violation.rule)
        .collect();
    assert_eq!(rules, [Rule::Written(WrittenRule::AllowedRepositories)]);
}
