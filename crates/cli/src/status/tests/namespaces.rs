//! The rows of exempt namespaces, word for word.

use super::{lines, working};
use crate::status::namespaces::{missing, needed};
use bailiff_policy::image::platform::{Platform, PlatformKind};
use bailiff_testing::{ApiServer, Call};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value as Json, from_value, json};

fn row(lines: &[String], name: &str) -> Option<String> {
    let start = format!("{name} | ");
    lines.iter().find(|line| line.starts_with(&start)).cloned()
}

#[test]
fn an_exempt_namespace_that_does_not_exist_is_a_warning() {
    let of = |missing: Result<Vec<String>, String>| {
        let mut state = working();
        state.missing_namespaces = missing;
        row(&lines(&state), "exempt-namespaces")
    };
    assert_eq!(of(Ok(Vec::new())), None);
    let missing = ["calico-system", "old-cni"].map(str::to_owned);
    assert_eq!(
        of(Ok(missing.to_vec())).unwrap(),
        "exempt-namespaces | Warning | Exempt namespaces that do not exist: calico-system, old-cni. Image policies and responses will not apply to pods there, so create the namespaces before a tenant does, or remove them from the value exemptNamespaces."
    );
    assert_eq!(
        of(Err("forbidden".to_owned())).unwrap(),
        "exempt-namespaces | Unknown | The check cannot run. forbidden"
    );
    // The remedy is never cut off.
    let many = (0..100).map(|n| format!("{n:063}")).collect();
    let message = of(Ok(many)).unwrap();
    assert!(message.contains(", 98 more. Image policies"), "{message}");
    assert!(message.ends_with(" exemptNamespaces."), "{message}");
}

/// A cluster that needs these objects of namespaces, each as its kind and its name.
fn needs(entries: &[(&str, &[&str])]) -> Platform {
    let mut platform = Platform::default();
    for (namespace, objects) in entries {
        for (kind, name) in objects.iter().map(|object| object.split_once(' ').unwrap()) {
            let critical = json!("system-node-critical");
            let (kind, object) = match kind {
                "DaemonSet" => (
                    PlatformKind::DaemonSet,
                    workload(namespace, name, &critical),
                ),
                "Deployment" => (
                    PlatformKind::Deployment,
                    workload(namespace, name, &critical),
                ),
                "StatefulSet" => (
                    PlatformKind::StatefulSet,
                    workload(namespace, name, &critical),
                ),
                "APIService" => (PlatformKind::ApiService, api_service(namespace, name)),
                _ => {
                    let webhook = webhook_of(namespace, name, &Json::Null);
                    (PlatformKind::MutatingWebhookConfiguration, webhook)
                }
            };
            let object = object.to_string();
            platform.add(kind, object.as_bytes()).unwrap();
        }
    }
    platform
}

#[test]
fn what_fail_would_lock_out_is_listed_beforehand() {
    let of = |needed: Result<Platform, String>, failure_policy: &str| {
        let mut state = working();
        super::webhook::set_failure_policy(&mut state.webhook, failure_policy);
        state.webhook.needed = needed;
        row(&lines(&state), "webhook/failure-policy")
    };
    let platform = || {
        needs(&[
            ("bailiff-system", &["DaemonSet bailiff-sensor"]),
            (
                "calico-system",
                &["DaemonSet calico-node", "Deployment calico-typha"],
            ),
            ("cert-manager", &["webhook cert-manager-webhook"]),
            ("kube-system", &["Deployment coredns"]),
        ])
    };
    assert_eq!(
        of(Ok(platform()), "Ignore").unwrap(),
        "webhook/failure-policy | OK | failurePolicy is Ignore. With Fail, no pod would start in these namespaces while the webhook is down, and the cluster can need them: calico-system (DaemonSet calico-node, 1 more), cert-manager (webhook cert-manager-webhook). Before you set it, add those that are part of the platform to the value exemptNamespaces."
    );
    assert_eq!(
        of(Ok(platform()), "Fail").unwrap(),
        "webhook/failure-policy | Warning | failurePolicy is Fail. While the webhook is down, no pod starts in these namespaces, which the cluster can need: calico-system (DaemonSet calico-node, 1 more), cert-manager (webhook cert-manager-webhook). Add those that are part of the platform to the value exemptNamespaces."
    );
    let exempt = needs(&[("kube-system", &["Deployment coredns"])]);
    assert_eq!(of(Ok(exempt), "Fail"), None);
    assert_eq!(
        of(Err("forbidden".to_owned()), "Ignore").unwrap(),
        "webhook/failure-policy | Unknown | The check cannot run. forbidden"
    );
    // However long the names are that tenants chose.
    let long = format!("DaemonSet {}", "d".repeat(253));
    let names: Vec<_> = (0..50).map(|n| format!("{n:063}")).collect();
    let many: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), [long.as_str()]))
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, of)| (*name, of.as_slice()))
        .collect();
    for failure_policy in ["Ignore", "Fail"] {
        let line = of(Ok(needs(&many)), failure_policy).unwrap();
        assert!(line.contains("), 49 more. "), "{line}");
        assert!(line.ends_with(" exemptNamespaces."), "{line}");
    }
}

fn controller(exempt: &str) -> Deployment {
    let env = json!([{"name": "BAILIFF_EXEMPT_NAMESPACES", "value": exempt}]);
    let containers = json!([{"name": "controller", "env": env}]);
    from_value(json!({"metadata": {}, "spec": {"selector": {}, "template": {"spec": {"containers": containers}}}}))
        .unwrap()
}

#[tokio::test]
async fn the_namespaces_of_the_value_are_asked_about() {
    let path = |name: &str| format!("/api/v1/namespaces/{name}");
    let there = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "there"}});
    let found = || Call::get(&path("there")).gives(there.clone());
    let (server, client) = ApiServer::playing([
        vec![found(), Call::get(&path("gone")).is_missing()],
        vec![
            found(),
            Call::get(&path("secret")).fails(403, "Forbidden", "forbidden"),
        ],
    ]);
    let of = async |names: &str| missing(&client, &Ok(Some(controller(names)))).await;
    assert_eq!(of("").await, Ok(Vec::new()));
    assert_eq!(of("there,gone").await, Ok(vec!["gone".to_owned()]));
    assert!(of("there,secret").await.is_err());
    // What is exempt is then not known.
    assert!(missing(&client, &Ok(None)).await.is_err());
    let unread = Err("forbidden".to_owned());
    assert_eq!(missing(&client, &unread).await, Err("forbidden".to_owned()));
    server.finish();
}

fn list(kind: &str, items: &[Json]) -> Json {
    json!({"apiVersion": "v1", "kind": format!("{kind}List"), "metadata": {"resourceVersion": "7"},
        "items": items})
}

fn api_service(namespace: &str, name: &str) -> Json {
    json!({"metadata": {"name": name}, "spec": {"groupPriorityMinimum": 1, "versionPriority": 1,
        "service": {"namespace": namespace, "name": "s"}}})
}

fn workload(namespace: &str, name: &str, class: &Json) -> Json {
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"selector": {}, "serviceName": "",
        "template": {"spec": {"containers": [], "priorityClassName": class}}}})
}

fn webhook_of(namespace: &str, service: &str, failure_policy: &Json) -> Json {
    json!({"metadata": {"name": "w"}, "webhooks": [{
        "name": "w", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": failure_policy,
        "clientConfig": {"service": {"namespace": namespace, "name": service}}}]})
}

#[tokio::test]
async fn what_the_cluster_needs_is_found_where_it_is_named() {
    let admission = "/apis/admissionregistration.k8s.io/v1";
    let node = || json!("system-node-critical");
    let lists = [
        (
            "/apis/apps/v1/daemonsets".to_owned(),
            vec![
                workload("calico-system", "calico-node", &node()),
                workload("shop", "agent", &json!("high")),
                workload("shop", "logs", &Json::Null),
            ],
        ),
        (
            "/apis/apps/v1/deployments".to_owned(),
            vec![workload(
                "dns",
                "coredns",
                &json!("system-cluster-critical"),
            )],
        ),
        (
            "/apis/apps/v1/statefulsets".to_owned(),
            vec![workload("csi", "storage", &node())],
        ),
        (
            format!("{admission}/mutatingwebhookconfigurations"),
            vec![
                webhook_of("mesh", "injector", &json!("Fail")),
                webhook_of("optional", "defaults", &json!("Ignore")),
            ],
        ),
        (
            format!("{admission}/validatingwebhookconfigurations"),
            vec![
                webhook_of("cert-manager", "cert-manager-webhook", &Json::Null),
                webhook_of("bailiff-system", "bailiff-webhook", &json!("Fail")),
            ],
        ),
        (
            "/apis/apiregistration.k8s.io/v1/apiservices".to_owned(),
            vec![
                api_service("metrics", "v1beta1.metrics.k8s.io"),
                json!({"metadata": {"name": "v1."}, "spec": {"groupPriorityMinimum": 1, "versionPriority": 1}}),
            ],
        ),
    ];
    let round =
        |(path, items): &(String, Vec<Json>)| vec![Call::get(path).gives(list("Any", items))];
    let (server, client) = ApiServer::playing(lists.iter().map(round));
    let expected = needs(&[
        ("calico-system", &["DaemonSet calico-node"]),
        ("cert-manager", &["webhook cert-manager-webhook"]),
        ("csi", &["StatefulSet storage"]),
        ("dns", &["Deployment coredns"]),
        ("mesh", &["webhook injector"]),
        ("metrics", &["APIService v1beta1.metrics.k8s.io"]),
    ]);
    assert_eq!(needed(&client).await, Ok(expected));
    server.finish();
    let forbidden = Call::get("/apis/apps/v1/daemonsets").fails(403, "Forbidden", "forbidden");
    let (_server, client) = ApiServer::playing([vec![forbidden]]);
    assert!(needed(&client).await.is_err());
    let bad = list("Any", &[json!({"metadata": {}})]);
    let undecodable = Call::get("/apis/apps/v1/daemonsets").gives(bad);
    let (_server, client) = ApiServer::playing([vec![undecodable]]);
    let cause = "an object of kind DaemonSet cannot be decoded".to_owned();
    assert_eq!(needed(&client).await, Err(cause));
}
