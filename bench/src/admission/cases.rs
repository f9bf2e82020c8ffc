//! What is reviewed, and by which policies.
//!
//! Here: the policies with their bindings, the pods, and their reviews as the API server writes them. Not
//! here: who sends them (`load`), what the registry says (`stand_ins`).
//! Invariant: a function of numbers alone; pods of every kind are admitted.

use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};

/// The registry of every image.
pub(crate) const REGISTRY: &str = "registry.example.com";
/// The namespace of every pod.
pub(crate) const NAMESPACE: &str = "shop";
/// Name of every policy starts with it.
const POLICY: &str = "bench";
/// Digests that are known before anything is timed.
pub(crate) const KNOWN: u64 = 2000;
/// Where digests begin that are new, and that the registry has.
pub(crate) const NEW: u64 = 1 << 20;
/// Where digests begin that the registry does not have.
pub(crate) const ABSENT: u64 = 1 << 30;
/// Where tags begin that are new.
pub(crate) const NEW_TAGS: u64 = 1 << 40;
/// Bytes of the pods.
pub(crate) const SIZES: [usize; 2] = [4096, 20_480];

/// The digest with a number.
pub(crate) fn digest(number: u64) -> String {
    format!("sha256:{number:064x}")
}

fn tagged(number: u64) -> String {
    format!("{REGISTRY}/shop/app-{number}:1.0")
}

fn with_digest(number: u64) -> String {
    format!("{REGISTRY}/shop/app-{number}@{}", digest(number))
}

/// Fifty policies that apply to every pod, as the API has them: 20 with allowed repositories, 10 that
/// require digests, 5 that pin, 15 with expressions.
pub(crate) fn policies() -> Vec<Json> {
    let allowed = (0..20).map(|n| {
        json!({"allowedRepositories": [
            format!("ghcr.io/team-{n}/**"), format!("quay.io/team-{n}/base-*"),
            format!("{REGISTRY}/shop/**"), "docker.io/library/*"]})
    });
    let digests = (0..10).map(|n| {
        json!({"digest": {"required": true}, "matchImages": {"exclude": [format!("ghcr.io/exempt-{n}/**")]}})
    });
    let pins = (0..5).map(
        |n| json!({"digest": {"pin": true, "pinExclude": [format!("ghcr.io/exempt-{n}/**")]}}),
    );
    let expressions = [
        "!has(image.tag) || image.tag != 'latest'",
        "image.registry == 'registry.example.com' || image.repository.startsWith('docker.io/library/')",
        "!has(container.securityContext) || !has(container.securityContext.privileged) || !container.securityContext.privileged",
        "has(object.metadata.labels) && 'app' in object.metadata.labels",
        "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath))",
    ];
    let validations = (0..15).map(|n| {
        let expression = expressions.get(n % expressions.len());
        json!({"validations": [{"expression": expression, "message": format!("rule {n} of the bench")}]})
    });
    allowed
        .chain(digests)
        .chain(pins)
        .chain(validations)
        .collect()
}

/// Those policies, and their bindings, as lists.
pub(crate) fn objects() -> (Vec<Json>, Vec<Json>) {
    let name = |n: usize| format!("{POLICY}-{n:02}");
    let policies = policies();
    let bindings = (0..policies.len()).map(|n| {
        json!({"metadata": {"name": name(n), "uid": format!("b-{n}")}, "spec": {
            "policyName": name(n), "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"team": NAMESPACE}}}}})
    });
    let bindings = bindings.collect();
    let policies = policies.into_iter().enumerate().map(
        |(n, spec)| json!({"metadata": {"name": name(n), "uid": format!("p-{n}")}, "spec": spec}),
    );
    (policies.collect(), bindings)
}

/// What a pod's images are for the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Digests that are known.
    Known,
    /// The first image is a tag, which is asked for again after 30 seconds.
    Tag,
    /// The first image is a digest that nobody asked for yet.
    New,
}

/// A pod.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) size: usize,
    pub(crate) pod: Json,
}

/// A pod of a size with images.
pub(crate) fn pod(number: u64, size: usize, images: &[String]) -> Result<Json> {
    let name = format!("web-{number}");
    let mut containers: Vec<Json> = images
        .iter()
        .enumerate()
        .map(|(n, image)| {
            json!({"name": format!("c{n}"), "image": image, "imagePullPolicy": "IfNotPresent",
            "ports": [{"containerPort": 8080, "protocol": "TCP", "name": "http"}],
            "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                "privileged": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true},
            "volumeMounts": [{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                "name": "kube-api-access", "readOnly": true}],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "env": []})
        })
        .collect();
    let managed = json!({"f:metadata": {"f:labels": {"f:app": {}}, "f:ownerReferences": {".": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"c0\"}": {".": {}, "f:image": {}, "f:name": {}, "f:env": {}}},
            "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:schedulerName": {}}});
    let assemble = |containers: &[Json]| {
        json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "web", "pod-template-hash": "7d9f"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d9f",
                "uid": "00000000-0000-4000-8000-000000000001", "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": managed}]},
        "spec": {"containers": containers, "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
            "serviceAccountName": "default", "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
            "tolerations": [{"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists",
                "tolerationSeconds": 300}],
            "volumes": [{"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}]},
        "status": {}})
    };
    let mut bytes = assemble(&containers).to_string().len();
    for n in 0_usize.. {
        let variable = json!({"name": format!("SETTING_{n:04}"), "value": format!("value-{n:04}-of-the-application")});
        bytes = bytes
            .saturating_add(variable.to_string().len())
            .saturating_add(1);
        if bytes > size {
            break;
        }
        let at = n.checked_rem(images.len()).context("no image")?;
        let list = containers.get_mut(at).and_then(|c| c.pointer_mut("/env"));
        let list = list.and_then(Json::as_array_mut);
        list.context("no environment")?.push(variable);
    }
    Ok(assemble(&containers))
}

/// The pods whose images are known: of each size 500, those of 4 KiB with one image and those of 20 KiB
/// with three, so that there are 2,000 digests. One of twenty has a tag.
pub(crate) fn known() -> Result<Vec<Case>> {
    let mut digests = 0..KNOWN;
    let mut cases = Vec::new();
    for n in 0_u64..500 {
        for (size, images) in SIZES.into_iter().zip([1, 3]) {
            let numbers: Vec<_> = digests.by_ref().take(images).collect();
            let mut images: Vec<_> = numbers.iter().copied().map(with_digest).collect();
            let kind = if n % 20 == 7 { Kind::Tag } else { Kind::Known };
            if kind == Kind::Tag {
                *images.first_mut().context("no image")? =
                    tagged(*numbers.first().context("no number")?);
            }
            let pod = pod(n, size, &images)?;
            cases.push(Case { kind, size, pod });
        }
    }
    Ok(cases)
}

/// A pod with one image: of a digest, or a tag.
pub(crate) fn single(number: u64, is_tag: bool) -> Result<Json> {
    let image = if is_tag {
        tagged(number)
    } else {
        with_digest(number)
    };
    pod(number, SIZES[0], &[image])
}

/// UID of every review.
pub(crate) const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// The review of a new pod, with the fields in the order of the API server.
pub(crate) fn review(pod: &Json) -> String {
    let kind = r#"{"group":"","version":"v1","kind":"Pod"}"#;
    let resource = r#"{"group":"","version":"v1","resource":"pods"}"#;
    let name = &pod["metadata"]["name"];
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{UID}","kind":{kind},"resource":{resource},"requestKind":{kind},"requestResource":{resource},"name":{name},"namespace":"{NAMESPACE}","operation":"CREATE","userInfo":{{"username":"system:serviceaccount:kube-system:replicaset-controller","uid":"a","groups":["system:serviceaccounts","system:authenticated"]}},"object":{pod},"oldObject":null,"dryRun":false,"options":{{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}}}}}}"#
    )
}

/// Applies the operations of a JSON patch that the webhook uses.
pub(crate) fn patched(pod: &Json, operations: &[Json]) -> Result<Json> {
    let mut pod = pod.clone();
    for operation in operations {
        let path = operation["path"].as_str().context("no path")?;
        let (parent, last) = path.rsplit_once('/').context("no parent")?;
        let last = last.replace("~1", "/").replace("~0", "~");
        let parent = pod.pointer_mut(parent).with_context(|| path.to_owned())?;
        let parent = parent.as_object_mut().with_context(|| path.to_owned())?;
        parent.insert(last, operation["value"].clone());
    }
    Ok(pod)
}
