//! Expressions over the images of a pod: what they see, and word for word what people read.

use super::*;
use bailiff_oci::{Digest, ImageFacts, Lookup, ManifestKind, Source};
use std::iter::zip;

const DENY: Actions = Actions {
    deny: true,
    warn: false,
    audit: false,
};

/// A policy of one expression that is true for no other pods than it says.
fn rule(expression: &str) -> Json {
    json!({"validations": [{"expression": expression}]})
}

/// What follows for a pod in a namespace under policies that deny, which is the same for the parts of it that
/// the webhook keeps.
fn decided(specs: &[Json], stage: Stage, pod: &Json, answers: &Lookups) -> Decision {
    let policies: Vec<_> = specs.iter().map(compiled).collect();
    let bound: Vec<_> = policies
        .iter()
        .map(|policy| BoundPolicy {
            policy,
            actions: DENY,
        })
        .collect();
    let namespace = json!({"metadata": {"name": "shop", "labels": {"tier": "gold"}}});
    let decide = |pod| {
        let review = PodReview {
            pod,
            old: None,
            namespace: Some(&namespace),
            only: None,
            stage,
        };
        decide(&bound, &review, answers)
    };
    let decided = decide(pod);
    let reads = pod_reads(&policies);
    let (parts, _) = crate::project(pod.to_string().as_bytes(), &reads, 1 << 20).unwrap();
    assert_eq!(decide(&parts), decided, "{specs:?}: {pod}");
    decided
}

/// The messages of the denials by one policy, which are the same in both stages.
fn denied(spec: &Json, pod: &Json) -> Vec<String> {
    let specs = std::slice::from_ref(spec);
    let [first, second] = [Stage::Mutating, Stage::Validating].map(|stage| {
        let decided = decided(specs, stage, pod, &Lookups::new());
        let messages = decided.denied.into_iter().map(|v| v.message);
        messages.collect::<Vec<_>>()
    });
    assert_eq!(first, second);
    first
}

/// Asserts that an expression is true for a pod, and that its negation is not.
fn holds(expression: &str, pod: &Json) {
    assert_eq!(denied(&rule(expression), pod), [""; 0], "{expression}");
    let negation = denied(&rule(&format!("!({expression})")), pod);
    assert_eq!(negation.len(), 1, "{expression}");
    assert!(negation[0].contains(" violates "), "{negation:?}");
}

#[test]
fn an_expression_sees_the_parts_of_a_reference_in_normal_form() {
    for (reference, expression) in [
        (
            "nginx",
            "image.registry == 'docker.io' && image.repository == 'docker.io/library/nginx' && image.tag == 'latest' && !has(image.digest)",
        ),
        (
            "registry.example.com:5000/team/web:1.0",
            "image.registry == 'registry.example.com:5000' && image.repository == 'registry.example.com:5000/team/web' && image.tag == '1.0'",
        ),
        (
            &format!("ghcr.io/acme/web:1.0@{DIGEST}"),
            &format!(
                "image.digest == '{DIGEST}' && !has(image.tag) && image.?tag.orValue('none') == 'none'"
            ),
        ),
    ] {
        holds(expression, &pod(&[reference]));
    }
}

#[test]
fn an_expression_sees_the_user_of_the_image_the_pod_and_its_namespace() {
    let mut web = pod(&["nginx"]);
    web["spec"]["hostNetwork"] = true.into();
    holds("container.name == 'c0' && container.image == 'nginx'", &web);
    holds(
        "object.spec.hostNetwork && object.metadata.name == 'web'",
        &web,
    );
    holds(
        "namespaceObject.metadata.name == 'shop' && namespaceObject.metadata.labels['tier'] == 'gold'",
        &web,
    );
    for (field, entry, expression) in [
        (
            "initContainers",
            json!({"name": "x", "image": "redis", "restartPolicy": "Always"}),
            "container.name == 'c0' || container.restartPolicy == 'Always'",
        ),
        (
            "ephemeralContainers",
            json!({"name": "x", "image": "redis", "targetContainerName": "c0"}),
            "container.name == 'c0' || container.targetContainerName == 'c0'",
        ),
        (
            "volumes",
            json!({"name": "x", "image": {"reference": "redis"}}),
            "container.name == 'c0' || container.image.reference == 'redis'",
        ),
    ] {
        let mut pod = pod(&["nginx"]);
        // The place of the entry in the list counts, also where others are no images.
        pod["spec"][field] = json!([{"name": "first", "emptyDir": {}}, entry]);
        if field != "volumes" {
            pod["spec"][field][0] = json!({"name": "c0", "image": "nginx"});
        }
        assert_eq!(denied(&rule(expression), &pod), [""; 0], "{field}");
        let denied = denied(&rule("container.name != 'x'"), &pod);
        assert!(denied[0].contains(" x violates "), "{denied:?}");
    }
}

#[test]
fn a_false_expression_is_a_violation_in_the_words_of_the_policy() {
    let start = "Container c0 violates ImageAdmissionPolicy our-registry";
    let image = "The image is docker.io/library/nginx:latest.";
    let expression = "image.repository == 'docker.io/library/redis'";
    let web = pod(&["nginx"]);
    for (validation, want) in [
        (
            json!({"expression": expression}),
            format!("failed expression: {expression}"),
        ),
        (
            json!({"expression": "false\n|| false", "message": "only Redis can run here."}),
            "only Redis can run here".to_owned(),
        ),
        (
            json!({"expression": "false\n|| false"}),
            "failed expression: false || false".to_owned(),
        ),
        (
            json!({"expression": expression, "message": "unused", "messageExpression": "container.name + ' is not Redis'"}),
            "c0 is not Redis".to_owned(),
        ),
        (
            json!({"expression": expression, "message": "only Redis", "messageExpression": "object.metadata.labels['missing']"}),
            "only Redis".to_owned(),
        ),
        (
            json!({"expression": expression, "messageExpression": "'caf\\u00e9 \\u001b[31m' + object.metadata.name"}),
            "caf? ?[31mweb".to_owned(),
        ),
    ] {
        let spec = json!({"validations": [validation]});
        assert_eq!(denied(&spec, &web), [format!("{start}: {want}. {image}")]);
    }
    let three = pod(&["nginx", "redis", "ghcr.io/a/b", "ghcr.io/a/c"]);
    assert_eq!(
        denied(&rule(expression), &three),
        [format!(
            "{start} (and 2 more): failed expression: {expression}. {image}"
        )]
    );
}

#[test]
fn every_false_expression_is_named_in_the_order_of_the_policy_after_the_other_rules() {
    let spec = json!({
        "allowedRepositories": ["ghcr.io/**"],
        "validations": [
            {"expression": "object.metadata.labels['a'] == 'b'"},
            {"expression": "true"},
            {"expression": "false", "message": "third"},
            {"expression": "false", "message": "fourth"},
        ],
    });
    let decided = decided(
        &[spec],
        Stage::Validating,
        &pod(&["nginx"]),
        &Lookups::new(),
    );
    let rules: Vec<_> = decided.denied.iter().map(|v| v.rule).collect();
    assert_eq!(
        rules,
        [
            Rule::Written(WrittenRule::AllowedRepositories),
            Rule::Validation(2),
            Rule::Validation(3),
            Rule::Evaluated(0),
        ]
    );
}

#[test]
fn an_expression_that_cannot_be_evaluated_is_a_violation_with_the_cause_whatever_on_error_is() {
    let with = |expression: &str| json!({"validations": [{"expression": "true"}, {"expression": expression}], "onError": "Allow", "onPending": "Allow"});
    let start = "Container c0 could not be evaluated with ImageAdmissionPolicy our-registry";
    let image = "The image is docker.io/library/nginx:latest.";
    let correct = "An administrator must correct the expression.";
    for (expression, cause) in [
        ("object.metadata.labels['a'] == 'b'", "no such key: labels"),
        ("image.digest != ''", "no such key: digest"),
        ("object.metadata.name", "did not evaluate to a bool"),
    ] {
        assert_eq!(
            denied(&with(expression), &pod(&["nginx", "redis"])),
            [format!(
                "{start} (and 1 more): spec.validations[1]: {cause}. {image} {correct}"
            )]
        );
    }
    let mut large = pod(&["nginx"]);
    large["metadata"]["annotations"] = json!({"a": "x".repeat(11_000)});
    assert_eq!(
        denied(
            &with("!object.metadata.annotations.a.contains(object.metadata.annotations.a + 'y')"),
            &large
        ),
        [format!(
            "{start}: spec.validations[1]: operation cancelled: actual cost limit exceeded. {image} Use fewer containers, or ask an administrator for a cheaper expression."
        )]
    );

    let policy = compiled(&with("namespaceObject.metadata.name == 'shop'"));
    let bound = [BoundPolicy {
        policy: &policy,
        actions: DENY,
    }];
    let web = pod(&["nginx"]);
    let review = PodReview {
        pod: &web,
        old: None,
        namespace: None,
        only: None,
        stage: Stage::Validating,
    };
    let decision = decide(&bound, &review, &Lookups::new());
    let messages: Vec<_> = decision.denied.iter().map(|v| v.message.as_str()).collect();
    assert_eq!(
        messages,
        [format!(
            "{start}: spec.validations[1]: no such attribute(s): namespaceObject. {image} {correct}"
        )]
    );
}

#[test]
fn only_selected_images_that_an_update_adds_are_evaluated() {
    let mut spec = rule("false");
    spec["matchImages"] = json!({"exclude": ["docker.io/library/redis"]});
    assert_eq!(denied(&spec, &pod(&["redis"])), [""; 0]);
    let invalid = denied(&spec, &pod(&["Nginx"]));
    assert_eq!(invalid.len(), 1, "{invalid:?}");
    assert!(invalid[0].contains("not valid"), "{invalid:?}");

    let policy = compiled(&rule("false"));
    let bound = [BoundPolicy {
        policy: &policy,
        actions: DENY,
    }];
    let (old, new) = (pod(&["nginx"]), pod(&["nginx", "redis"]));
    let review = PodReview {
        pod: &new,
        old: Some(&old),
        namespace: None,
        only: None,
        stage: Stage::Mutating,
    };
    let decision = decide(&bound, &review, &Lookups::new());
    assert_eq!(decision.denied.len(), 1);
    assert!(
        decision.denied[0]
            .message
            .starts_with("Container c1 violates")
    );
}

#[test]
fn an_image_that_is_pinned_is_evaluated_as_it_will_be() {
    let pinned = format!("ghcr.io/acme/web@{DIGEST}");
    let answers = answers(&["ghcr.io/acme/web:1.0"]);
    let expression = format!(
        "image.digest == '{DIGEST}' && container.image == '{pinned}' && object.metadata.annotations['image.bailiff.dev/c0'] == 'ghcr.io/acme/web:1.0'"
    );
    let specs = [json!({"digest": {"pin": true}}), rule(&expression)];
    let mut web = pod(&["ghcr.io/acme/web:1.0"]);
    let mutated = decided(&specs, Stage::Mutating, &web, &answers);
    assert_eq!(mutated.denied, []);
    assert_eq!(mutated.pins.len(), 1);

    // The pod that is then stored has the same verdict; one whose tag stayed has not.
    let stayed = decided(&specs, Stage::Validating, &web, &answers);
    let rules: Vec<_> = stayed.denied.iter().map(|v| v.rule).collect();
    assert_eq!(
        rules,
        [Rule::Registry(RegistryRule::Pinned), Rule::Validation(0)]
    );
    web["spec"]["containers"][0]["image"] = pinned.into();
    web["metadata"]["annotations"] = json!({"image.bailiff.dev/c0": "ghcr.io/acme/web:1.0"});
    let stored = decided(&specs[1..], Stage::Validating, &web, &Lookups::new());
    assert_eq!(stored.denied, []);
}

/// Registries that have these references.
fn answers(references: &[&str]) -> Lookups {
    let found = Lookup::Found {
        facts: ImageFacts {
            digest: Digest::parse(DIGEST).unwrap(),
            kind: ManifestKind::Index,
        },
        source: Source::Registry,
    };
    let found = references.iter().map(|r| ((*r).to_owned(), found.clone()));
    found.collect()
}

/// A policy that pins, and one that disallows the tag latest.
fn pin_and_tags() -> [Json; 2] {
    [
        json!({"digest": {"pin": true}}),
        rule("!has(image.tag) || image.tag != 'latest'"),
    ]
}

#[test]
fn a_tag_that_an_expression_denies_is_not_pinned_and_is_denied_for_that_alone() {
    let answers = answers(&["ghcr.io/acme/web:latest", "ghcr.io/acme/db:1.0"]);
    let mut pod = pod(&["ghcr.io/acme/web", "ghcr.io/acme/db:1.0"]);
    let message = "Container c0 violates ImageAdmissionPolicy our-registry: failed expression: !has(image.tag) || image.tag != 'latest'. The image is ghcr.io/acme/web:latest.";
    let mutated = decided(&pin_and_tags(), Stage::Mutating, &pod, &answers);
    let pointers: Vec<_> = mutated.pins.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(pointers, ["/spec/containers/1/image"]);
    assert_eq!(mutated.denied.len(), 1);
    assert_eq!(mutated.denied[0].message, message);
    assert_eq!(mutated.replaced, Replaced::default());
    for pin in &mutated.pins {
        pin.apply(&mut pod);
    }
    let answers = answers_after(answers, "ghcr.io/acme/db");
    let validated = decided(&pin_and_tags(), Stage::Validating, &pod, &answers);
    assert_eq!(validated.denied, mutated.denied);
    // Without the expression, the tag that stayed is denied as such.
    let validated = decided(&pin_and_tags()[..1], Stage::Validating, &pod, &answers);
    let rules: Vec<_> = validated.denied.iter().map(|v| v.rule).collect();
    assert_eq!(rules, [Rule::Registry(RegistryRule::Pinned)]);
}

/// The answers with that about the digest of a repository.
fn answers_after(mut answers: Lookups, repository: &str) -> Lookups {
    let found = answers.values().next().unwrap().clone();
    answers.insert(format!("{repository}@{DIGEST}"), found);
    answers
}

#[test]
fn a_tag_that_an_expression_warns_about_is_pinned_and_reported_before() {
    let policies = pin_and_tags().map(|spec| compiled(&spec));
    let pod = pod(&["ghcr.io/acme/web"]);
    let answers = answers(&["ghcr.io/acme/web:latest"]);
    for (warn, audit) in [(true, false), (false, true), (true, true)] {
        let actions = Actions {
            deny: false,
            warn,
            audit,
        };
        let bound: Vec<_> = zip(&policies, [DENY, actions])
            .map(|(policy, actions)| BoundPolicy { policy, actions })
            .collect();
        let review = PodReview {
            pod: &pod,
            old: None,
            namespace: None,
            only: None,
            stage: Stage::Mutating,
        };
        let decision = decide(&bound, &review, &answers);
        assert_eq!((decision.pins.len(), decision.denied.len()), (1, 0));
        let Replaced { warned, audited } = &decision.replaced;
        assert_eq!((warned, audited), (&decision.warned, &decision.audited));
        assert_eq!((warned.len(), audited.len()), (warn.into(), audit.into()));
    }
}

#[test]
fn an_expression_that_does_not_use_the_tag_sees_the_pin() {
    let specs = [json!({"digest": {"pin": true}}), rule("has(image.digest)")];
    let pod = pod(&["ghcr.io/acme/web:1.0"]);
    let answers = answers(&["ghcr.io/acme/web:1.0"]);
    let mutated = decided(&specs, Stage::Mutating, &pod, &answers);
    assert_eq!((mutated.pins.len(), mutated.denied.len()), (1, 0));
}

/// The faults of a policy.
fn faults(spec: &Json) -> Vec<String> {
    let faults = compile(&source(spec)).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_fault_of_an_expression_is_named_with_its_field_and_position() {
    let spec = json!({
        "allowedRepositories": ["nginx"],
        "validations": [
            {"expression": "image.name == 'a'"},
            {"expression": "true"},
            {"expression": "image.tag ==", "messageExpression": "size(image.tag)"},
            {"expression": "process.uid == 0"},
        ],
    });
    let faults = faults(&spec);
    assert!(
        faults[0].starts_with("spec.allowedRepositories[0]: "),
        "{faults:?}"
    );
    assert_eq!(
        faults[1..],
        [
            "spec.validations[0].expression: 1:6: undefined field 'name'\n | image.name == 'a'\n | .....^",
            "spec.validations[2].expression: 1:13: Syntax error: a value is expected here, not the end\n | image.tag ==\n | ............^",
            "spec.validations[2].messageExpression: must evaluate to string, and evaluates to int",
            "spec.validations[3].expression: 1:1: undeclared reference to 'process' (in container '')\n | process.uid == 0\n | ^",
        ]
    );
}

#[test]
fn the_tag_cannot_be_used_where_tags_are_pinned() {
    let reason = "must not use image.tag with digest.pin, because a pinned image has a digest and no tag; use it in a policy without digest.pin, which sees a tag before it is replaced";
    let mut spec = json!({
        "digest": {"pin": true, "pinExclude": ["docker.io/**"]},
        "validations": [
            {"expression": "image.tag != 'latest'"},
            {"expression": "image.registry == 'ghcr.io'", "messageExpression": "'not ' + image.tag"},
            {"expression": "!has(image.tag)"},
        ],
    });
    assert_eq!(
        faults(&spec),
        [
            format!(
                "spec.validations[0].expression: {reason}: 1:6: undefined field 'tag'\n | image.tag != 'latest'\n | .....^"
            ),
            format!(
                "spec.validations[1].messageExpression: {reason}: 1:15: undefined field 'tag'\n | 'not ' + image.tag\n | ..............^"
            ),
            format!(
                "spec.validations[2].expression: {reason}: 1:5: undefined field 'tag'\n | !has(image.tag)\n | ....^"
            ),
        ]
    );
    // Without its type, the image has none either, also where it is not pinned.
    spec["validations"] = json!([{"expression": "!has(dyn(image).tag)"}]);
    assert_eq!(denied(&spec, &pod(&["nginx"])), [""; 0]);
    spec["digest"] = json!({"required": true, "pinExclude": ["docker.io/**"]});
    assert_eq!(denied(&spec, &pod(&["nginx"])).len(), 1);
}

#[test]
fn an_expression_that_does_not_fit_a_pod_has_a_warning() {
    let policy = |pin| {
        source(&json!({
            "digest": {"pin": pin, "required": true},
            "validations": [
                {"expression": "object.spec.hostNetwrk == true"},
                {"expression": "image.repository == object.spec.nodeName", "messageExpression": "object.spec.nodName"},
            ],
        }))
    };
    for pin in [true, false] {
        let checked = type_check(&policy(pin)).unwrap();
        let warnings: Vec<_> = checked
            .expression_warnings
            .iter()
            .map(|warning| (warning.field_ref.as_str(), warning.warning.as_str()))
            .collect();
        assert_eq!(
            warnings,
            [
                (
                    "spec.validations[0].expression",
                    "/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'hostNetwrk'\n | object.spec.hostNetwrk == true\n | ...........^\n"
                ),
                (
                    "spec.validations[1].messageExpression",
                    "/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'nodName'\n | object.spec.nodName\n | ...........^\n"
                ),
            ]
        );
    }
}

#[test]
fn a_policy_with_expressions_needs_the_webhook() {
    let needs = |spec: Json| compiled(&spec).needs_webhook();
    assert!(needs(rule("true")));
    assert!(needs(json!({"digest": {"required": true}})));
    let written = json!({"allowedRepositories": ["ghcr.io/**"], "digest": {"required": true, "verifyRepository": false}});
    assert!(!needs(written));
}

#[test]
fn a_pod_of_many_images_costs_a_bounded_amount_and_each_policy_has_its_own_part() {
    // Each image costs some 810,000 of the 1,000,000 that an expression can.
    let spec = rule("!object.metadata.annotations.a.contains(object.metadata.annotations.b)");
    let references: Vec<_> = (0..20).map(|n| format!("ghcr.io/acme/web:{n}")).collect();
    let mut pod = pod(&references.iter().map(String::as_str).collect::<Vec<_>>());
    pod["metadata"]["annotations"] = json!({"a": "x".repeat(9000), "b": "y".repeat(9000)});
    for (policies, first, others) in [(1, 12, 7), (5, 12, 7), (10, 6, 13), (50, 1, 18)] {
        // A policy that costs nothing leaves the others no more.
        let mut specs = vec![spec.clone(); policies];
        if let Some(last) = specs.last_mut().filter(|_| policies > 1) {
            *last = rule("true");
        }
        let decided = decided(&specs, Stage::Validating, &pod, &Lookups::new());
        let want = format!(
            "Container c{first} could not be evaluated with ImageAdmissionPolicy our-registry (and {others} more): spec.validations[0]: the expressions of the policy cost more than is allowed for one pod. The image is ghcr.io/acme/web:{first}. Use fewer containers, or ask an administrator for a cheaper expression."
        );
        assert_eq!(
            decided.denied.len(),
            if policies > 1 { policies - 1 } else { 1 }
        );
        for (at, violation) in zip(0.., &decided.denied) {
            assert_eq!(violation.message, want, "{at} of {policies}");
        }
    }
}

#[test]
fn every_expression_after_the_budget_is_spent_counts_each_image() {
    let heavy = "!object.metadata.annotations.a.contains(object.metadata.annotations.b)";
    let spec = json!({"validations": [{"expression": "true"}, {"expression": heavy}, {"expression": "true"}]});
    let references: Vec<_> = (0..20).map(|n| format!("ghcr.io/acme/web:{n}")).collect();
    let mut pod = pod(&references.iter().map(String::as_str).collect::<Vec<_>>());
    pod["metadata"]["annotations"] = json!({"a": "x".repeat(9000), "b": "y".repeat(9000)});
    // The budget ends with the second expression of the 13th image.
    let want = [(13, 6, 0), (12, 7, 1), (12, 7, 2)].map(|(first, others, index)| {
        format!("Container c{first} could not be evaluated with ImageAdmissionPolicy our-registry (and {others} more): spec.validations[{index}]: the expressions of the policy cost more than is allowed for one pod. The image is ghcr.io/acme/web:{first}. Use fewer containers, or ask an administrator for a cheaper expression.")
    });
    assert_eq!(denied(&spec, &pod), want);
}

#[test]
fn expressions_about_tags_have_no_budget_of_their_own() {
    let heavy = "!object.metadata.annotations.a.contains(object.metadata.annotations.b)";
    let spec = json!({"validations": [
        {"expression": heavy}, {"expression": format!("image.tag != 'latest' && {heavy}")}]});
    let references: Vec<_> = (0..10).map(|n| format!("ghcr.io/acme/web:{n}")).collect();
    let mut pod = pod(&references.iter().map(String::as_str).collect::<Vec<_>>());
    pod["metadata"]["annotations"] = json!({"a": "x".repeat(9000), "b": "y".repeat(9000)});
    // The one about tags comes first, and leaves a fifth of the budget.
    assert_eq!(
        denied(&spec, &pod),
        [
            "Container c2 could not be evaluated with ImageAdmissionPolicy our-registry (and 7 more): spec.validations[0]: the expressions of the policy cost more than is allowed for one pod. The image is ghcr.io/acme/web:2. Use fewer containers, or ask an administrator for a cheaper expression."
        ]
    );
    for index in [0, 1] {
        let alone = json!({"validations": [spec["validations"][index]]});
        assert_eq!(denied(&alone, &pod), [""; 0], "{index}");
    }
}
