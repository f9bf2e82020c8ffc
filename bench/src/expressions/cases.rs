//! What is timed: policies, and the Pods that they are asked about.
//!
//! Here: expressions and objects. Not here: running them (`main`).
//! Invariant: every validation is true for its object, so that nothing ends early.

use serde_json::{Value, json};

/// Policies over one object.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) policies: Vec<Policy>,
    pub(crate) object: Value,
}

/// Named expressions and validations.
#[derive(serde::Serialize)]
pub(crate) struct Policy {
    pub(crate) variables: Vec<(&'static str, &'static str)>,
    pub(crate) validations: Vec<String>,
}

/// What the Pod Security Standard "restricted" asks for, for the containers that `CONTAINERS`
/// stands for (kubernetes.io/docs/concepts/security/pod-security-standards).
const RESTRICTED: [&str; 15] = [
    "!has(object.spec.hostNetwork) || !object.spec.hostNetwork",
    "!has(object.spec.hostPID) || !object.spec.hostPID",
    "!has(object.spec.hostIPC) || !object.spec.hostIPC",
    "CONTAINERS.all(c, !has(c.securityContext) || !has(c.securityContext.privileged) || !c.securityContext.privileged)",
    "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath))",
    "CONTAINERS.all(c, !has(c.ports) || c.ports.all(p, !has(p.hostPort) || p.hostPort == 0))",
    "CONTAINERS.all(c, !has(c.securityContext) || !has(c.securityContext.capabilities) || !has(c.securityContext.capabilities.add) || c.securityContext.capabilities.add.all(a, a in ['NET_BIND_SERVICE']))",
    "CONTAINERS.all(c, has(c.securityContext) && has(c.securityContext.capabilities) && has(c.securityContext.capabilities.drop) && c.securityContext.capabilities.drop.exists(d, d == 'ALL'))",
    "CONTAINERS.all(c, !has(c.securityContext) || !has(c.securityContext.procMount) || c.securityContext.procMount == 'Default')",
    "!has(object.spec.securityContext) || !has(object.spec.securityContext.sysctls) || object.spec.securityContext.sysctls.all(s, s.name in ['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range'])",
    "!has(object.spec.volumes) || object.spec.volumes.all(v, has(v.configMap) || has(v.csi) || has(v.downwardAPI) || has(v.emptyDir) || has(v.ephemeral) || has(v.persistentVolumeClaim) || has(v.projected) || has(v.secret))",
    "CONTAINERS.all(c, has(c.securityContext) && has(c.securityContext.allowPrivilegeEscalation) && !c.securityContext.allowPrivilegeEscalation)",
    "(has(object.spec.securityContext) && has(object.spec.securityContext.runAsNonRoot) && object.spec.securityContext.runAsNonRoot) || CONTAINERS.all(c, has(c.securityContext) && has(c.securityContext.runAsNonRoot) && c.securityContext.runAsNonRoot)",
    "CONTAINERS.all(c, !has(c.securityContext) || !has(c.securityContext.runAsUser) || c.securityContext.runAsUser != 0)",
    "(has(object.spec.securityContext) && has(object.spec.securityContext.seccompProfile) && object.spec.securityContext.seccompProfile.type in ['RuntimeDefault', 'Localhost']) || CONTAINERS.all(c, has(c.securityContext) && has(c.securityContext.seccompProfile) && c.securityContext.seccompProfile.type in ['RuntimeDefault', 'Localhost'])",
];

fn restricted(containers: &str) -> impl Iterator<Item = String> {
    RESTRICTED
        .iter()
        .map(move |text| text.replace("CONTAINERS", containers))
}

/// A Pod that passes, with so many containers.
fn pod(containers: usize) -> Value {
    let container = |index: usize| {
        json!({
            "name": format!("app-{index}"),
            "image": format!("registry.example/team/app-{index}:1.{index}.0"),
            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "env": [{"name": "LEVEL", "value": "info"}],
            "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
                "runAsNonRoot": true, "runAsUser": 10001,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-5d8f-x7k2p", "namespace": "shop", "labels": {"app": "web", "tier": "front"}},
        "spec": {
            "serviceAccountName": "web",
            "securityContext": {"fsGroup": 10001},
            "containers": (0..containers).map(container).collect::<Vec<_>>(),
            "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": "web"}}, {"name": "token", "projected": {"sources": []}}],
        },
    })
}

fn one(name: &'static str, expression: &str) -> Case {
    Case {
        name,
        policies: vec![Policy {
            variables: Vec::new(),
            validations: vec![expression.to_owned()],
        }],
        object: pod(100),
    }
}

/// Everything that is timed; the first is the one with a bound.
pub(crate) fn cases() -> Vec<Case> {
    let together = Policy {
        variables: Vec::new(),
        validations: restricted("object.spec.containers").collect(),
    };
    let apart = restricted("variables.containers").map(|text| Policy {
        variables: vec![(
            "containers",
            "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])",
        )],
        validations: vec![text],
    });
    vec![
        Case {
            name: "Pod Security restricted, one policy of 15 validations, 3 containers",
            policies: vec![together],
            object: pod(3),
        },
        Case {
            name: "the same as 15 policies with a variable",
            policies: apart.collect(),
            object: pod(3),
        },
        one(
            "`all()` over 100 containers",
            "object.spec.containers.all(c, c.securityContext.runAsUser > 0)",
        ),
        one(
            "`matches` on 100 strings",
            "object.spec.containers.all(c, c.image.matches('^registry[.]example/[a-z0-9/-]+:[0-9.]+$'))",
        ),
        one(
            "string building, 100 strings",
            "object.spec.containers.map(c, c.name + '=' + c.image).join(', ').size() > 1000",
        ),
        one(
            "quantity comparison, 100 times",
            "object.spec.containers.all(c, quantity(c.resources.limits.memory).isLessThan(quantity('4Gi')))",
        ),
    ]
}
