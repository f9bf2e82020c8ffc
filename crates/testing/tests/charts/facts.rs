//! The protection of the answers of registries, and of what the webhook's account writes, as the API server
//! evaluates it.
//!
//! Here: who can write what. Not here: names and roles (`permissions`), a real API server (`e2e`).
//! Invariant: no expression is an error, because under failurePolicy Fail that rejects every request.

use crate::BY_DEFAULT;
use bailiff_cel::admission::{Bindings, Optional, environment};
use bailiff_cel::{Evaluation, NEWEST_RELEASE, OLDEST_RELEASE, Value};
use serde_json::{Value as Json, json};

/// The limit of the API server for an expression.
const COST_LIMIT: u64 = 1_000_000;
const WEBHOOK: &str = "system:serviceaccount:security:bailiff-webhook";

/// The messages of the validations of a policy that a request violates, the same in each release.
pub(crate) fn violated(
    policy: &str,
    request: &Json,
    object: &Json,
    old: Option<&Json>,
) -> Vec<String> {
    let spec = &BY_DEFAULT[&format!("ValidatingAdmissionPolicy/{policy}")]["spec"];
    let texts = |list: &str, field: &str| -> Vec<String> {
        let list = spec[list].as_array().unwrap().iter();
        list.map(|item| item[field].as_str().unwrap().to_owned())
            .collect()
    };
    let variables = texts("variables", "name");
    let with_variables = |expression: &str| {
        // Each can name those before it.
        let named = variables.iter().zip(texts("variables", "expression"));
        let named = named.rev();
        named.fold(expression.to_owned(), |text, (name, variable)| {
            text.replace(&format!("variables.{name}"), &format!("({variable})"))
        })
    };
    let bindings = Bindings {
        object: (!object.is_null()).then_some(object),
        old_object: old,
        request: Some(request),
        ..Bindings::default()
    };
    let found = [OLDEST_RELEASE, NEWEST_RELEASE].map(|release| {
        let env = environment(release, Optional::default());
        let validations = texts("validations", "expression").into_iter();
        let validations = validations.zip(texts("validations", "message"));
        let unmet = validations.filter(|(expression, message)| {
            let program = env.compile(&with_variables(expression)).unwrap();
            let mut evaluation = Evaluation::new(&env, &bindings, COST_LIMIT);
            let met = evaluation.run(&program);
            assert!(matches!(met, Ok(Value::Bool(_))), "{message}: {met:?}");
            met == Ok(Value::Bool(false))
        });
        unmet.map(|(_, message)| message).collect::<Vec<_>>()
    });
    let [oldest, newest] = found;
    assert_eq!(oldest, newest);
    newest
}

fn request(operation: &str, resource: &str, namespace: &str, name: &str, user: &str) -> Json {
    json!({
        "operation": operation, "namespace": namespace, "name": name,
        "resource": {"resource": resource}, "userInfo": {"username": user},
    })
}

fn map(metadata: &Json, data: &Json) -> Json {
    let mut map = json!({"metadata": metadata});
    if !data.is_null() {
        map["data"] = data.clone();
    }
    map
}

const OTHERS: &str = "only the webhook of Bailiff can write the data of this ConfigMap, which it evaluates images by while their registry is down; others can only remove the data";
const IMMUTABLE: &str = "this ConfigMap cannot be immutable, because the webhook of Bailiff keeps answers of registries in it";
const KEYS: &str = "the webhook of Bailiff can write only the keys facts and sha256";

#[test]
fn only_the_webhook_writes_data_and_only_data() {
    let (labels, more) = (json!({"labels": {"a": "b"}}), json!({"labels": {"a": "c"}}));
    let (facts, other) = (json!({"facts": "a", "sha256": "b"}), json!({"facts": "c"}));
    let (full, changed) = (map(&labels, &facts), map(&labels, &other));
    let empty = map(&labels, &Json::Null);
    let mut binary = empty.clone();
    binary["binaryData"] = json!({"facts": "YQ=="});
    let mut immutable = full.clone();
    immutable["immutable"] = json!(true);
    let mut sealed = empty.clone();
    sealed["immutable"] = json!(true);
    let [annotated, kept, owned] = [
        json!({"annotations": {"policies.kyverno.io/last-applied": "x"}}),
        json!({"labels": {"a": "b"}, "finalizers": ["a.example/b"]}),
        json!({"labels": {"a": "b"}, "ownerReferences": [{"kind": "Pod", "name": "a"}]}),
    ]
    .map(|metadata| map(&metadata, &facts));
    for (what, user, object, old, want) in [
        ("the chart creates it", "helm", &empty, None, &[][..]),
        ("with data", "helm", &full, None, &[OTHERS]),
        ("with binary data", "helm", &binary, None, &[OTHERS]),
        ("no data stays", "helm", &empty, Some(&empty), &[]),
        ("data come", "helm", &full, Some(&empty), &[OTHERS]),
        ("data change", "helm", &changed, Some(&full), &[OTHERS]),
        ("binary data come", "helm", &binary, Some(&empty), &[OTHERS]),
        ("data go", "helm", &empty, Some(&full), &[]),
        (
            "labels change",
            "helm",
            &map(&more, &facts),
            Some(&full),
            &[],
        ),
        ("the webhook", WEBHOOK, &full, Some(&empty), &[]),
        ("the webhook again", WEBHOOK, &changed, Some(&full), &[]),
        ("creates", WEBHOOK, &full, None, &[KEYS]),
        ("labels", WEBHOOK, &map(&more, &facts), Some(&full), &[]),
        ("annotations", WEBHOOK, &annotated, Some(&full), &[]),
        ("a finalizer", WEBHOOK, &kept, Some(&full), &[KEYS]),
        ("a finalizer stays", WEBHOOK, &kept, Some(&kept), &[]),
        ("an owner", WEBHOOK, &owned, Some(&full), &[KEYS]),
        (
            "a key",
            WEBHOOK,
            &map(&labels, &json!({"x": ""})),
            Some(&full),
            &[KEYS],
        ),
        ("binary", WEBHOOK, &binary, Some(&empty), &[KEYS]),
        ("immutable", WEBHOOK, &immutable, Some(&full), &[IMMUTABLE]),
        ("immutable", "helm", &immutable, Some(&full), &[IMMUTABLE]),
        ("immutable", "helm", &sealed, None, &[IMMUTABLE]),
        ("a finalizer goes", "helm", &sealed, Some(&sealed), &[]),
    ] {
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        let request = request(operation, "configmaps", "security", "bailiff-facts-3", user);
        let found = violated("bailiff-facts-protection", &request, object, old);
        assert_eq!(found, want, "{what}");
    }
}

/// A `ConfigMap` with the most data that the API server takes.
#[test]
fn the_largest_config_map_is_within_the_limit_of_cost() {
    let metadata = json!({"labels": {"a": "b"}});
    let map = |letter: &str| {
        let facts = letter.repeat(1 << 20);
        map(&metadata, &json!({"facts": facts, "sha256": "b"}))
    };
    let (before, after) = (map("a"), map("b"));
    for (user, object, want) in [
        ("helm", &before, &[][..]),
        ("helm", &after, &[OTHERS]),
        (WEBHOOK, &after, &[]),
    ] {
        let request = request("UPDATE", "configmaps", "security", "bailiff-facts-3", user);
        let found = violated("bailiff-facts-protection", &request, object, Some(&before));
        assert_eq!(found, want);
    }
}

#[test]
fn the_account_of_the_webhook_writes_its_events_and_config_maps_and_no_others() {
    let event = |reason: &str, controller: &str| {
        json!({
            "metadata": {}, "reason": reason, "reportingController": controller,
            "regarding": {"kind": "ReplicaSet", "namespace": "shop"},
        })
    };
    let own = event("ImageDenied", "bailiff.dev/webhook");
    let other = event("Evicted", "bailiff.dev/webhook");
    let scheduler = event("ImageDenied", "default-scheduler");
    let bare = json!({"metadata": {}, "regarding": {"namespace": "shop"}});
    let events = "the webhook of Bailiff can create and update only Events with the reason ImageDenied and the reportingController bailiff.dev/webhook";
    for (operation, object, old, denied) in [
        ("CREATE", &own, None, false),
        ("CREATE", &other, None, true),
        ("CREATE", &scheduler, None, true),
        ("CREATE", &bare, None, true),
        ("UPDATE", &own, Some(&own), false),
        ("UPDATE", &own, Some(&other), true),
        ("UPDATE", &other, Some(&own), true),
        ("DELETE", &Json::Null, Some(&own), true),
    ] {
        let request = request(operation, "events", "shop", "e", WEBHOOK);
        let found = violated("bailiff-webhook-protection", &request, object, old);
        let want = if denied { vec![events] } else { Vec::new() };
        assert_eq!(found, want, "{operation} {object} {old:?}");
    }
    let maps = "the webhook of Bailiff can update only the ConfigMaps bailiff-facts-0 to bailiff-facts-7 of its namespace";
    for (operation, namespace, name, denied) in [
        ("UPDATE", "security", "bailiff-facts-0", false),
        ("UPDATE", "security", "bailiff-facts-7", false),
        ("UPDATE", "security", "bailiff-facts-8", true),
        ("UPDATE", "security", "bailiff-response", true),
        ("UPDATE", "shop", "bailiff-facts-0", true),
        ("CREATE", "security", "bailiff-facts-0", true),
        ("DELETE", "security", "bailiff-facts-0", true),
    ] {
        let request = request(operation, "configmaps", namespace, name, WEBHOOK);
        let is_gone = operation == "DELETE";
        let object = if is_gone { &Json::Null } else { &bare };
        let old = (operation != "CREATE").then_some(&bare);
        let found = violated("bailiff-webhook-protection", &request, object, old);
        let want = if denied { vec![maps] } else { Vec::new() };
        assert_eq!(found, want, "{operation} {namespace} {name}");
    }
}

#[test]
fn the_account_of_the_webhook_writes_small_events_about_objects_of_their_namespace() {
    let event = |metadata: &Json, namespace: &str| {
        json!({
            "metadata": metadata, "reason": "ImageDenied",
            "reportingController": "bailiff.dev/webhook", "regarding": {"namespace": namespace},
        })
    };
    let of = |metadata: Json| event(&metadata, "shop");
    let own = of(json!({}));
    let kept = of(json!({"finalizers": ["a.example/b"]}));
    let owned = of(json!({"ownerReferences": [{"kind": "Pod", "name": "a"}]}));
    let texts = |bytes: usize| {
        of(json!({"labels": {"a": "b"}, "annotations": {"c": "d".repeat(bytes - 3)}}))
    };
    let many: serde_json::Map<_, _> = (0..65).map(|n| (n.to_string(), json!(""))).collect();
    let mut nowhere = own.clone();
    nowhere.as_object_mut().unwrap().remove("regarding");
    let message = "the webhook of Bailiff can write only Events about objects of their namespace, without finalizers and ownerReferences, and with at most 2 KiB of labels and annotations";
    for (what, object, old, denied) in [
        ("as the webhook writes it", &own, None, false),
        ("again", &own, Some(&own), false),
        (
            "of another namespace",
            &event(&json!({}), "bank"),
            None,
            true,
        ),
        ("of no namespace", &nowhere, None, true),
        ("with a finalizer", &kept, None, true),
        ("a finalizer comes", &kept, Some(&own), true),
        ("a finalizer of others stays", &kept, Some(&kept), false),
        ("a finalizer of others goes", &own, Some(&kept), true),
        ("with an owner", &owned, None, true),
        ("an owner comes", &owned, Some(&own), true),
        ("2 KiB", &texts(2048), None, false),
        ("more", &texts(2049), None, true),
        ("more later", &texts(2049), Some(&own), true),
        ("much more", &texts(256 << 10), None, true),
        ("many", &of(json!({"annotations": many})), None, true),
    ] {
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        let request = request(operation, "events", "shop", "e", WEBHOOK);
        let found = violated("bailiff-webhook-protection", &request, object, old);
        let want = if denied { vec![message] } else { Vec::new() };
        assert_eq!(found, want, "{what}");
    }
}
