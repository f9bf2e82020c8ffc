//! What counts as needed, and what is said about it.

use super::PlatformKind::{
    ApiService, DaemonSet, Deployment, MutatingWebhookConfiguration, StatefulSet,
    ValidatingWebhookConfiguration,
};
use super::*;
use serde_json::{Value as Json, json};

fn platform(objects: &[(PlatformKind, Json)]) -> Platform {
    let mut platform = Platform::default();
    for (kind, object) in objects {
        platform.add(*kind, object.to_string().as_bytes()).unwrap();
    }
    platform
}

fn workload(namespace: &str, name: &str, class: &str) -> Json {
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"serviceName": "",
        "template": {"spec": {"containers": [], "priorityClassName": class}}}})
}

fn configuration(name: &str, namespace: &str, service: &str, failure_policy: Option<&str>) -> Json {
    let exempt = json!(["bailiff-system", "kube-system", "cni"]);
    json!({"metadata": {"name": name}, "webhooks": [{"name": "w", "failurePolicy": failure_policy,
        "namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": exempt},
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["in"]},
            {"key": "team", "operator": "NotIn", "values": ["label"]},
        ]},
        "clientConfig": {"service": {"namespace": namespace, "name": service}}}]})
}

/// The webhook of Bailiff.
fn own(failure_policy: Option<&str>) -> (PlatformKind, Json) {
    let own = configuration(
        "bailiff",
        "bailiff-system",
        "bailiff-webhook",
        failure_policy,
    );
    (ValidatingWebhookConfiguration, own)
}

#[test]
fn what_the_cluster_needs_is_found_where_it_is_named() {
    let service = json!({"namespace": "metrics", "name": "metrics-server"});
    let found = platform(&[
        (
            DaemonSet,
            workload("calico", "node", "system-node-critical"),
        ),
        (DaemonSet, workload("shop", "agent", "high")),
        (
            DaemonSet,
            json!({"metadata": {"namespace": "shop", "name": "logs"}, "spec": {"template": {}}}),
        ),
        (
            Deployment,
            workload("dns", "coredns", "system-cluster-critical"),
        ),
        (
            StatefulSet,
            workload("csi", "storage", "system-node-critical"),
        ),
        (
            MutatingWebhookConfiguration,
            configuration("a", "mesh", "injector", Some("Fail")),
        ),
        (
            MutatingWebhookConfiguration,
            configuration("b", "optional", "defaults", Some("Ignore")),
        ),
        (
            MutatingWebhookConfiguration,
            json!({"metadata": {"name": "c"}}),
        ),
        // Only what the API server calls by a Service is in the cluster.
        (
            MutatingWebhookConfiguration,
            json!({"metadata": {"name": "d"},
            "webhooks": [{"clientConfig": {"url": "https://a.example"}}]}),
        ),
        (
            ValidatingWebhookConfiguration,
            configuration("e", "certs", "issuer", None),
        ),
        own(None),
        (
            ApiService,
            json!({"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": {"service": service}}),
        ),
        (
            ApiService,
            json!({"metadata": {"name": "v1."}, "spec": {"service": null}}),
        ),
        (ApiService, json!({"metadata": {"name": "v1.apps"}})),
    ]);
    let of: Vec<_> = found
        .needed
        .iter()
        .map(|(name, of)| {
            format!(
                "{name}: {}",
                of.iter().cloned().collect::<Vec<_>>().join(", ")
            )
        })
        .collect();
    assert_eq!(
        of,
        [
            "calico: DaemonSet node",
            "certs: webhook issuer",
            "csi: StatefulSet storage",
            "dns: Deployment coredns",
            "mesh: webhook injector",
            "metrics: APIService v1beta1.metrics.k8s.io",
        ]
    );
    for kind in PlatformKind::ALL {
        let error = Platform::default().add(kind, b"[1]").unwrap_err();
        let name = kind.name();
        let message = format!("an object of kind {name} cannot be decoded");
        assert_eq!(error.to_string(), message);
        assert!(kind.path().ends_with(&format!("/{}s", name.to_lowercase())));
    }
}

#[test]
fn the_configuration_of_the_webhook_says_what_is_exempt_and_what_fails() {
    let node = |namespace: &str| {
        let workload = workload(namespace, "node", "system-node-critical");
        (DaemonSet, workload)
    };
    let of = |objects: &[(PlatformKind, Json)]| platform(objects).lockout();
    let locked_out = |fails| Lockout::Namespaces {
        fails,
        listed: "calico (DaemonSet node)".to_owned(),
    };
    assert_eq!(of(&[node("calico")]), Lockout::NoWebhook);
    assert_eq!(of(&[own(Some("Fail"))]), Lockout::Nothing);
    let exempt = ["cni", "kube-system", "bailiff-system"].map(node);
    let [cni, system, bailiff] = exempt;
    assert_eq!(
        of(&[cni, own(Some("Fail")), system, bailiff]),
        Lockout::Nothing
    );
    assert_eq!(of(&[node("calico"), own(Some("Fail"))]), locked_out(true));
    assert_eq!(of(&[node("calico"), own(None)]), locked_out(true));
    assert_eq!(
        of(&[node("calico"), own(Some("Ignore"))]),
        locked_out(false)
    );
    // Neither a label nor a namespace that is named in another way is exempt.
    for namespace in ["in", "label"] {
        let found = of(&[node(namespace), own(Some("Fail"))]);
        assert!(matches!(found, Lockout::Namespaces { .. }), "{namespace}");
    }
    // That of another name, or the mutating one, says nothing about it.
    let other = configuration("theirs", "bailiff-system", "bailiff-webhook", Some("Fail"));
    let (_, mutating) = own(Some("Fail"));
    for object in [
        (ValidatingWebhookConfiguration, other),
        (MutatingWebhookConfiguration, mutating),
    ] {
        assert_eq!(of(&[node("calico"), object]), Lockout::NoWebhook);
    }
    // One entry that fails counts, whichever comes first.
    for order in [["Ignore", "Fail"], ["Fail", "Ignore"]] {
        let (kind, mut both) = own(Some(order[0]));
        let (_, other) = own(Some(order[1]));
        let entry = other["webhooks"][0].clone();
        both["webhooks"].as_array_mut().unwrap().push(entry);
        assert_eq!(of(&[node("calico"), (kind, both)]), locked_out(true));
    }
}

#[test]
fn what_a_tenant_creates_is_bounded_and_hides_nothing() {
    let mut objects = Vec::new();
    for n in 0..1000 {
        let name = format!("{n:03}{}", "d".repeat(250));
        objects.push((
            DaemonSet,
            workload("hostile", &name, "system-node-critical"),
        ));
    }
    objects.push((
        DaemonSet,
        workload("zz-cni", "node", "system-node-critical"),
    ));
    let found = platform(&objects);
    let kept: usize = found.needed.values().flatten().map(String::len).sum();
    assert!(kept < 4096, "{kept}");
    let cut = format!("DaemonSet 000{}...", "d".repeat(47));
    assert_eq!(
        found.not_exempt(|_| false).unwrap(),
        format!("hostile ({cut}, at least 31 more), zz-cni (DaemonSet node)")
    );
    assert_eq!(
        found.not_exempt(|name| name == "hostile").unwrap(),
        "zz-cni (DaemonSet node)"
    );
    assert_eq!(found.not_exempt(|_| true), None);
}
