//! What is written for each state of a policy, a binding and a live object.

use super::*;
use serde_json::{Value as Json, json};

const ALLOWED: &str = "registry.example.com/**";

fn policy(name: &str, generation: i64, pattern: &str) -> ImageAdmissionPolicy {
    serde_json::from_value(json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "ImageAdmissionPolicy",
        "metadata": {"name": name, "uid": format!("{name}-uid"), "generation": generation},
        "spec": {"allowedRepositories": [pattern]},
    }))
    .unwrap()
}

fn binding(name: &str, policy: &str) -> ImageAdmissionPolicyBinding {
    serde_json::from_value(json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "ImageAdmissionPolicyBinding",
        "metadata": {"name": name, "uid": format!("{name}-uid"), "generation": 1},
        "spec": {"policyName": policy, "validationActions": ["Deny"]},
    }))
    .unwrap()
}

fn undecodable<K>(object: &Json) -> Result<K, Undecodable>
where
    K: Resource + serde::de::DeserializeOwned,
{
    bailiff_kube::decode::Decoded::<K>::from_text(&object.to_string()).into_result()
}

/// A cluster with a policy and its binding, both rendered.
fn settled() -> Cluster {
    let mut cluster = Cluster {
        policies: vec![Ok(policy("ours", 1, ALLOWED))],
        bindings: vec![Ok(binding("everywhere", "ours"))],
        rendered_policies: BTreeMap::new(),
        rendered_bindings: BTreeMap::new(),
        owner: Some(OwnerReference {
            api_version: "admissionregistration.k8s.io/v1".to_owned(),
            kind: "ValidatingWebhookConfiguration".to_owned(),
            name: "bailiff-renderer".to_owned(),
            uid: "owner-uid".to_owned(),
            ..OwnerReference::default()
        }),
    };
    for write in planned(&cluster).writes {
        match write {
            Write::Policy(mut object) => {
                object.metadata.uid = Some("live-policy".to_owned());
                cluster.rendered_policies.insert(object.name_any(), *object);
            }
            Write::Binding(mut object) => {
                object.metadata.uid = Some("live-binding".to_owned());
                cluster.rendered_bindings.insert(object.name_any(), *object);
            }
            Write::DeleteBinding(..) | Write::DeletePolicy(..) => panic!("nothing to delete"),
        }
    }
    cluster
}

fn planned(cluster: &Cluster) -> Plan {
    plan(cluster, &settings())
}

fn settings() -> Settings {
    Settings {
        exempt: Exemptions {
            namespaces: vec!["kube-system".to_owned()],
        },
        ..Settings::default()
    }
}

/// Each write in a word.
fn writes(cluster: &Cluster) -> Vec<String> {
    planned(cluster)
        .writes
        .iter()
        .map(|write| match write {
            Write::Policy(object) => format!("write policy {}", object.name_any()),
            Write::Binding(object) => format!("write binding {}", object.name_any()),
            Write::DeleteBinding(name, uid) => {
                format!("delete binding {name} {}", uid.as_deref().unwrap_or("?"))
            }
            Write::DeletePolicy(name, uid) => {
                format!("delete policy {name} {}", uid.as_deref().unwrap_or("?"))
            }
        })
        .collect()
}

const POLICY: &str = "bailiff-image.ours";
const BINDING: &str = "bailiff-image.everywhere";

#[test]
fn a_settled_cluster_needs_no_write_and_owners_delete_what_is_rendered() {
    let cluster = settled();
    assert_eq!(writes(&cluster), [""; 0]);
    let owner = |metadata: &ObjectMeta| {
        let owners = metadata.owner_references.clone().unwrap();
        assert_eq!(owners.len(), 1);
        format!("{} {}", owners[0].kind, owners[0].uid)
    };
    let policy = &cluster.rendered_policies[POLICY].metadata;
    assert_eq!(owner(policy), "ImageAdmissionPolicy ours-uid");
    let binding = &cluster.rendered_bindings[BINDING].metadata;
    assert_eq!(owner(binding), "ValidatingWebhookConfiguration owner-uid");
}

#[test]
fn nothing_is_rendered_without_its_owner_and_the_namespace() {
    let object = |uid: &str| ObjectMeta {
        name: Some(format!("{uid}-name")),
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    };
    let going = |uid: &str| -> ObjectMeta {
        let metadata = json!({"uid": uid, "deletionTimestamp": "2026-01-01T00:00:00Z"});
        serde_json::from_value(metadata).unwrap()
    };
    let (configuration, namespace) = (object("other"), object("namespace"));
    let (configuration, namespace) = (Some(&configuration), Some(&namespace));
    let Owner::Found(other) = owner(configuration, namespace) else {
        panic!("the owner is not found");
    };
    assert_eq!(
        (other.api_version.as_str(), other.kind.as_str()),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration"
        )
    );
    assert_eq!(
        (other.name.as_str(), other.uid.as_str()),
        ("other-name", "other")
    );
    // Bailiff is being uninstalled: a binding that is written now would stay.
    let going_namespace = going("namespace");
    for namespace in [None, Some(&going_namespace)] {
        assert_eq!(owner(configuration, namespace), Owner::Uninstalling);
        assert_eq!(owner(None, namespace), Owner::Uninstalling);
    }
    // A tool deleted the owner, or helm uninstalls.
    assert_eq!(owner(None, namespace), Owner::NotFound);
    assert_eq!(owner(Some(&going("other")), namespace), Owner::NotFound);

    // A binding of another owner is written again.
    let mut cluster = settled();
    cluster.owner = Some(other);
    assert_eq!(writes(&cluster), [format!("write binding {BINDING}")]);
    let Some(Write::Binding(written)) = planned(&cluster).writes.pop() else {
        panic!("the binding is not written");
    };
    let owners = written.metadata.owner_references;
    assert_eq!(owners, cluster.owner.map(|owner| vec![owner]));
}

#[test]
fn without_the_owner_nothing_is_written_and_what_is_not_enforced_says_so() {
    let mut cluster = settled();
    cluster.owner = None;
    cluster.rendered_policies.clear();
    cluster.rendered_bindings.clear();
    let plan = planned(&cluster);
    assert!(plan.writes.is_empty(), "{:?}", plan.writes);
    assert_eq!(plan.bindings["everywhere"], BindingState::OwnerNotFound);
}

#[test]
fn what_somebody_modified_or_deleted_is_restored() {
    let both = [
        format!("write policy {POLICY}"),
        format!("write binding {BINDING}"),
    ];
    let mut cluster = settled();
    cluster.rendered_policies.clear();
    cluster.rendered_bindings.clear();
    assert_eq!(writes(&cluster), both);

    let mut cluster = settled();
    let live = cluster.rendered_policies.get_mut(POLICY).unwrap();
    live.spec.as_mut().unwrap().failure_policy = Some("Ignore".to_owned());
    let live = cluster.rendered_bindings.get_mut(BINDING).unwrap();
    live.spec.validation_actions = vec!["Audit".to_owned()];
    assert_eq!(writes(&cluster), both);

    let mut cluster = settled();
    for metadata in [
        &mut cluster.rendered_policies.get_mut(POLICY).unwrap().metadata,
        &mut cluster.rendered_bindings.get_mut(BINDING).unwrap().metadata,
    ] {
        metadata.owner_references = None;
    }
    assert_eq!(writes(&cluster), both);

    // Labels and annotations of others are theirs.
    let mut cluster = settled();
    let live = cluster.rendered_policies.get_mut(POLICY).unwrap();
    live.labels_mut().insert("team".to_owned(), "a".to_owned());
    live.metadata.resource_version = Some("7".to_owned());
    assert_eq!(writes(&cluster), [""; 0]);
    cluster.policies = vec![Ok(policy("ours", 2, ALLOWED))];
    let [Write::Policy(written)] = &planned(&cluster).writes[..] else {
        panic!("the generation is written")
    };
    assert_eq!(written.metadata.resource_version.as_deref(), Some("7"));
    assert_eq!(written.labels()["team"], "a");
    assert_eq!(written.annotations()[GENERATION], "2");
}

#[test]
fn a_new_generation_is_written_and_one_that_is_faulty_changes_nothing() {
    let mut cluster = settled();
    cluster.policies = vec![Ok(policy("ours", 2, "ghcr.io/acme/**"))];
    assert_eq!(writes(&cluster), [format!("write policy {POLICY}")]);

    cluster.policies = vec![Ok(policy("ours", 2, "nginx"))];
    let planned = planned(&cluster);
    assert_eq!(planned.writes, []);
    assert!(matches!(planned.policies["ours"], PolicyState::Faulty(_)));
    assert_eq!(planned.bindings["everywhere"], BindingState::Rendered);

    // As a newer version might write it.
    cluster.policies = vec![undecodable(&json!({
        "metadata": {"name": "ours"}, "spec": {"allowedRepositories": {"any": []}},
    }))];
    let planned = self::planned(&cluster);
    assert_eq!(planned.writes, []);
    assert!(matches!(
        planned.policies["ours"],
        PolicyState::Undecodable(_)
    ));

    cluster.policies = vec![Ok(policy("ours", 1, ALLOWED))];
    cluster.bindings = vec![undecodable(&json!({
        "metadata": {"name": "everywhere"}, "spec": {"policyName": "ours", "validationActions": ["Quarantine"]},
    }))];
    let planned = self::planned(&cluster);
    assert_eq!(planned.writes, []);
    assert!(matches!(
        planned.bindings["everywhere"],
        BindingState::Undecodable(_)
    ));
}

#[test]
fn a_binding_without_a_usable_policy_is_reported_and_not_rendered() {
    let mut cluster = settled();
    cluster.bindings = vec![Ok(binding("everywhere", "other"))];
    let planned = planned(&cluster);
    assert_eq!(planned.bindings["everywhere"], BindingState::PolicyNotFound);
    assert_eq!(
        writes(&cluster),
        [format!("delete binding {BINDING} live-binding")]
    );

    let mut cluster = settled();
    cluster.policies = vec![Ok(policy("ours", 1, "nginx"))];
    cluster.rendered_policies.clear();
    cluster.rendered_bindings.clear();
    let planned = self::planned(&cluster);
    assert_eq!(planned.bindings["everywhere"], BindingState::PolicyNotReady);
    assert_eq!(planned.writes, []);

    let mut cluster = settled();
    let mut bad = binding("everywhere", "ours");
    bad.spec.match_resources = serde_json::from_value(json!({
        "objectSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]},
    }))
    .unwrap();
    cluster.bindings = vec![Ok(bad)];
    let planned = self::planned(&cluster);
    assert_eq!(planned.writes, [], "the earlier generation stays");
    assert!(matches!(
        planned.bindings["everywhere"],
        BindingState::InvalidSelector(_)
    ));
}

#[test]
fn what_belongs_to_nothing_is_deleted_bindings_first_and_foreign_objects_stay() {
    let mut cluster = settled();
    cluster.policies.clear();
    cluster.bindings.clear();
    let foreign = cluster.rendered_policies[POLICY].clone();
    cluster
        .rendered_policies
        .insert("of-others".to_owned(), foreign);
    assert_eq!(
        writes(&cluster),
        [
            format!("delete binding {BINDING} live-binding"),
            format!("delete policy {POLICY} live-policy"),
        ]
    );
}

#[test]
fn beside_a_webhook_bindings_with_deny_alone_are_rendered() {
    let mut cluster = settled();
    let settings = Settings {
        webhook: true,
        ..settings()
    };
    assert_eq!(plan(&cluster, &settings).writes, []);
    let Ok(binding) = &mut cluster.bindings[0] else {
        unreachable!()
    };
    binding.spec.validation_actions = vec![bailiff_api::ValidationAction::Warn];
    let planned = plan(&cluster, &settings);
    assert_eq!(planned.bindings["everywhere"], BindingState::Applied);
    let name = "bailiff-image.everywhere".to_owned();
    assert_eq!(
        planned.writes,
        [Write::DeleteBinding(name, Some("live-binding".to_owned()))]
    );
}

#[test]
fn one_setting_turns_each_binding_into_audit() {
    let cluster = settled();
    let audit = |webhook| Settings {
        webhook,
        mode: Mode::Audit,
        ..settings()
    };
    let planned = plan(&cluster, &audit(false));
    let [Write::Binding(binding)] = planned.writes.as_slice() else {
        panic!("{:?}", planned.writes)
    };
    assert_eq!(binding.spec.validation_actions, ["Audit"]);
    // The webhook audits.
    let planned = plan(&cluster, &audit(true));
    assert_eq!(planned.bindings["everywhere"], BindingState::Applied);
}

#[test]
fn a_rule_that_needs_the_webhook_is_not_fine_without_it() {
    for spec in [
        json!({"allowedRepositories": [ALLOWED], "digest": {"pin": true}}),
        json!({"allowedRepositories": [ALLOWED], "validations": [{"expression": "has(image.digest)"}]}),
    ] {
        let mut cluster = settled();
        let Ok(policy) = &mut cluster.policies[0] else {
            unreachable!()
        };
        policy.spec = serde_json::from_value(spec).unwrap();
        let planned = |webhook| {
            let settings = Settings {
                webhook,
                ..settings()
            };
            plan(&cluster, &settings)
        };
        let without = planned(false);
        assert_eq!(format!("{:?}", without.policies["ours"]), "WithoutWebhook");
        assert_eq!(without.bindings["everywhere"], BindingState::WithoutWebhook);
        // What the API server can enforce stays.
        let deletes = |write: &Write| matches!(write, Write::DeleteBinding(..));
        assert!(!without.writes.iter().any(deletes));
        let with = planned(true);
        assert_eq!(format!("{:?}", with.policies["ours"]), "Compiled");
        assert_eq!(with.bindings["everywhere"], BindingState::Rendered);
    }
}
