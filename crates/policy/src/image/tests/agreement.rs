//! Generated policies and pods: both forms have the same verdict and the same messages.

use super::*;
use proptest::prelude::*;

/// References of every kind, and texts that nearly are one.
fn reference() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just(String::new()),
        "(docker\\.io|index\\.docker\\.io|registry-1\\.docker\\.io|localhost|ghcr\\.io)/",
        "[a-z][a-z0-9-]{0,3}\\.[a-z]{2}/",
        "[a-z]{1,3}(:[0-9]{1,6})?/",
        "\\[[a-f0-9:]{2,6}\\](:[0-9]{1,3})?/",
        "[a-zA-Z._-]{1,6}/",
        "([a-z]{50}\\.){4,5}[a-z]{45,55}(:80)?/",
    ];
    let path = prop_oneof![
        "[a-z0-9]{1,4}(/[a-z0-9]{1,3}){0,2}",
        "[a-z0-9._-]{1,6}(/[a-z._-]{1,4}){0,2}",
        "[a-f0-9]{64}",
        "([a-z]{60}/){3,5}[a-z]{1,20}",
    ];
    let tag = prop_oneof![
        Just(String::new()),
        ":[A-Za-z0-9._-]{1,5}",
        ":[a-z]{120,130}"
    ];
    let digest = prop_oneof![
        3 => Just(String::new()),
        1 => Just(format!("@{DIGEST}")),
        1 => "@sha(256|384|512|1):[a-f0-9]{64}",
        1 => "@sha512:[a-f0-9]{128}",
    ];
    let made = (host, path, tag, digest).prop_map(|(h, p, t, d)| format!("{h}{p}{t}{d}"));
    prop_oneof![
        8 => made,
        1 => "sha256:[a-f0-9]{0,64}",
        1 => "\\PC{0,12}",
    ]
}

/// Patterns, most of them about hosts that occur.
fn pattern() -> impl Strategy<Value = String> {
    let host = "(docker\\.io|localhost|ghcr\\.io|\\*\\.[a-z]{2}|[a-z]\\.[a-z]{2})";
    let path = prop_oneof![
        Just("**".to_owned()),
        Just("library/*".to_owned()),
        "[a-z]{1,2}\\*",
        "[a-z*]{1,3}/\\*\\*"
    ];
    (host, path).prop_map(|(host, path)| format!("{host}/{path}"))
}

fn patterns(limit: usize) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set(pattern(), 0..limit).prop_map(|all| all.into_iter().collect())
}

fn spec() -> impl Strategy<Value = Json> {
    (
        patterns(4),
        patterns(3),
        patterns(3),
        prop_oneof![
            3 => Just(None),
            2 => Just(Some((true, false))),
            1 => Just(Some((true, true))),
            1 => Just(Some((false, true))),
        ],
        patterns(3),
    )
        .prop_map(|(allowed, include, exclude, digest, excluded)| {
            let mut spec = json!({});
            if !allowed.is_empty() {
                spec["allowedRepositories"] = json!(allowed);
            }
            if digest.is_some() || allowed.is_empty() {
                let (required, pin) = digest.unwrap_or((true, false));
                spec["digest"] = json!({"required": required, "pin": pin, "pinExclude": excluded});
            }
            spec["matchImages"] = json!({"include": include, "exclude": exclude});
            spec
        })
}

fn any_pod() -> impl Strategy<Value = Json> {
    let some = || proptest::collection::vec(reference(), 0..3);
    (some(), some(), some(), some()).prop_map(|(containers, init, ephemeral, volumes)| {
        let list = |references: Vec<String>| -> Vec<Json> {
            references
                .iter()
                .enumerate()
                .map(|(at, image)| json!({"name": format!("c{at}"), "image": image}))
                .collect()
        };
        let mut pod =
            json!({"metadata": {"name": "web"}, "spec": {"containers": list(containers)}});
        for (field, references) in [("initContainers", init), ("ephemeralContainers", ephemeral)] {
            if !references.is_empty() {
                pod["spec"][field] = list(references).into();
            }
        }
        let volumes: Vec<_> = volumes
            .iter()
            .map(|image| json!({"name": "v", "image": {"reference": image}}))
            .chain([
                json!({"name": "e", "emptyDir": {}}),
                json!({"name": "n", "image": {}}),
            ])
            .collect();
        pod["spec"]["volumes"] = volumes.into();
        pod
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn both_forms_agree(spec in spec(), pod in any_pod(), old in proptest::option::of(any_pod())) {
        // A pattern that no repository can match is none. Of too many such specs the test fails.
        let Ok(policy) = compile(&source(&spec)) else {
            return Err(TestCaseError::reject("a pattern matches no repository"));
        };
        denials(&policy, &pod, old.as_ref());
    }
}

#[test]
fn a_policy_that_pins_denies_no_tag_as_it_is_written() {
    let pod = pod(&["nginx:1"]);
    let digest = |pin: bool| json!({"digest": {"required": true, "pin": pin}});
    assert_eq!(denials(&compiled(&digest(false)), &pod, None).len(), 1);
    // The webhook replaces the tag; while it is down, the API server must not deny each pod.
    assert_eq!(denials(&compiled(&digest(true)), &pod, None), [""; 0]);
}
