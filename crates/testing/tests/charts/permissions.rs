//! What the accounts and the processes of Bailiff can do, and who can read what it wrote.
//!
//! Here: roles, the protection of exempt namespaces, and security contexts. Not here: Incident protection
//! (`bailiff_api::protection`).
//! Invariant: each permission is listed; one more fails a test.

use crate::{CONTAINER, bailiff, render};
use bailiff_api::{event, keys};
use bailiff_oci::persisted::CONFIG_MAPS;
use std::collections::BTreeMap;

/// What a `ClusterRole` or `Role` grants: resources, or names of them, with verbs.
fn granted(role: &serde_json::Value) -> BTreeMap<String, String> {
    let mut granted = BTreeMap::new();
    let texts = |list: &serde_json::Value| -> Vec<String> {
        let list = list.as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    for rule in role["rules"].as_array().unwrap() {
        let names = texts(&rule["resourceNames"]);
        for resource in texts(&rule["resources"]) {
            let mut key = resource;
            if !names.is_empty() {
                key = format!("{key} {}", names.join(" "));
            }
            let verbs: &mut String = granted.entry(key).or_default();
            for verb in texts(&rule["verbs"]) {
                if !verbs.is_empty() {
                    verbs.push(' ');
                }
                verbs.push_str(&verb);
            }
        }
    }
    granted
}

fn grants(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(resource, verbs)| ((*resource).to_owned(), (*verbs).to_owned()))
        .collect()
}

#[test]
fn a_sensor_writes_incidents_and_events_about_itself_and_its_node_and_nothing_else() {
    let objects = bailiff(&[]).unwrap();
    assert_eq!(
        granted(&objects["ClusterRole/bailiff-sensor"]),
        grants(&[
            ("pods", "get list watch"),
            ("namespaces", "list watch"),
            ("runtimepolicies", "list watch"),
            ("runtimepolicybindings", "list watch"),
            ("incidents", "create"),
            ("incidents/status", "patch"),
        ])
    );
    let role = &objects["Role/bailiff-sensor"];
    assert_eq!(role["metadata"]["namespace"], "default");
    assert_eq!(granted(role), grants(&[("events", "create")]));
    let role = &objects["Role/bailiff-sensor-events"];
    assert_eq!(role["metadata"]["namespace"], "security");
    assert_eq!(granted(role), grants(&[("events", "create")]));
}

#[test]
fn the_controller_deletes_pods_only_where_a_value_says_so() {
    let objects = bailiff(&[]).unwrap();
    let default = granted(&objects["ClusterRole/bailiff-controller"]);
    let read = "get list watch";
    let mut want = grants(&[
        ("incidents", "get list watch delete"),
        ("incidents/status", "patch"),
        ("runtimepolicies", read),
        ("runtimepolicybindings", read),
        ("runtimepolicies/status", "patch"),
        ("runtimepolicybindings/status", "patch"),
        ("pods", read),
        ("pods/eviction", "create"),
        ("namespaces", read),
        ("nodes", "list watch"),
        ("replicasets", read),
        ("deployments", read),
        ("statefulsets", read),
        ("daemonsets", read),
        ("jobs", read),
        ("cronjobs", read),
        ("replicationcontrollers", read),
        ("events", "create"),
        (
            "validatingadmissionpolicies bailiff-incident-protection",
            read,
        ),
        (
            "validatingadmissionpolicybindings bailiff-incident-protection",
            read,
        ),
    ]);
    assert_eq!(default, want);
    assert_eq!(
        granted(&objects["Role/bailiff-controller"]),
        grants(&[
            ("leases bailiff-controller", "get update"),
            ("leases", "create"),
            ("configmaps bailiff-response", read),
        ])
    );
    let allowed = bailiff(&["--set", "response.allowPodDeletion=true"]).unwrap();
    let _before = want.insert("pods".to_owned(), "get list watch delete".to_owned());
    assert_eq!(granted(&allowed["ClusterRole/bailiff-controller"]), want);
}

#[test]
fn only_the_renderer_writes_admission_policies_and_a_value_removes_it() {
    let objects = bailiff(&[]).unwrap();
    let read = "get list watch";
    let write = "list watch create update delete";
    let always = [
        ("imageadmissionpolicies", "list watch"),
        ("imageadmissionpolicybindings", "list watch"),
        ("imageadmissionpolicies/status", "patch"),
        ("imageadmissionpolicybindings/status", "patch"),
        ("validatingadmissionpolicies", write),
        ("validatingadmissionpolicybindings", write),
        ("validatingwebhookconfigurations bailiff-renderer", read),
        ("namespaces security", "get"),
    ];
    // What an outage of the webhook would lock out.
    let with_webhook = [
        ("daemonsets", "list"),
        ("deployments", "list"),
        ("statefulsets", "list"),
        ("mutatingwebhookconfigurations", "list"),
        ("validatingwebhookconfigurations", "list"),
        ("apiservices", "list"),
    ];
    assert_eq!(
        granted(&objects["ClusterRole/bailiff-renderer"]),
        grants(&[&always[..], &with_webhook].concat())
    );
    let without = bailiff(&["--set", "webhook.enabled=false"]).unwrap();
    assert_eq!(
        granted(&without["ClusterRole/bailiff-renderer"]),
        grants(&always)
    );
    let writes = |verbs: &str| verbs.split(' ').any(|verb| !read.contains(verb));
    for (name, object) in objects
        .iter()
        .filter(|(_, object)| object["rules"].is_array())
    {
        if name == "ClusterRole/bailiff-renderer" || !name.contains("Role/") {
            continue;
        }
        for (resource, verbs) in granted(object) {
            assert!(
                !resource.starts_with("validatingadmission") || !writes(&verbs),
                "{name}: {resource}: {verbs}"
            );
        }
    }
    let without = bailiff(&["--set", "renderer.enabled=false"]).unwrap();
    let left: Vec<_> = without
        .keys()
        .filter(|name| name.contains("renderer"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_webhook_reads_policies_and_owners_and_writes_events() {
    let objects = bailiff(&[]).unwrap();
    let read = "get list watch";
    assert_eq!(
        granted(&objects["ClusterRole/bailiff-webhook"]),
        grants(&[
            ("imageadmissionpolicies", "list watch"),
            ("imageadmissionpolicybindings", "list watch"),
            ("namespaces", read),
            ("replicasets", "get"),
            ("deployments", "get"),
            ("statefulsets", "get"),
            ("daemonsets", "get"),
            ("jobs", "get"),
            ("cronjobs", "get"),
            ("replicationcontrollers", "get"),
            ("events", "create patch"),
        ])
    );
    let role = |name: &str| granted(&objects[name]);
    assert_eq!(
        role("Role/bailiff-webhook"),
        grants(&[("secrets bailiff-webhook-tls", "list watch")])
    );
    let facts = format!("configmaps {}", CONFIG_MAPS.join(" "));
    assert_eq!(
        role("Role/bailiff-webhook-facts"),
        grants(&[(facts.as_str(), "get list watch update")])
    );
    let verbs = "get list watch patch delete";
    assert_eq!(
        role("ClusterRole/bailiff-controller-webhook-configurations"),
        grants(&[
            ("mutatingwebhookconfigurations bailiff", verbs),
            ("validatingwebhookconfigurations bailiff", verbs),
            ("validatingwebhookconfigurations bailiff-renderer", "delete"),
        ])
    );
    // The key of the authority is the controller's alone.
    let certificates = "Role/bailiff-controller-webhook-certificates";
    let both = "secrets bailiff-webhook-ca bailiff-webhook-tls";
    let write = "get list watch patch";
    assert_eq!(role(certificates), grants(&[(both, write)]));
    for (name, object) in &objects {
        let of_secrets = object["rules"].to_string().contains("secrets");
        let is_known = ["Role/bailiff-webhook", certificates].contains(&name.as_str());
        assert!(!of_secrets || is_known, "{name}");
    }
}

/// What an upgrade renders replaces what is there, so that data would be lost with each.
#[test]
fn the_config_maps_with_answers_of_registries_have_no_data_and_are_protected_by_name() {
    let objects = bailiff(&[]).unwrap();
    for name in CONFIG_MAPS {
        let map = &objects[&format!("ConfigMap/{name}")];
        let fields: Vec<_> = map.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["apiVersion", "kind", "metadata"], "{name}");
        assert_eq!(map["metadata"]["namespace"], "security");
    }
    let protection = &objects["ValidatingAdmissionPolicy/bailiff-facts-protection"]["spec"];
    assert_eq!(protection["failurePolicy"], "Fail");
    let rule = &protection["matchConstraints"]["resourceRules"][0];
    assert_eq!(rule["resourceNames"], serde_json::json!(CONFIG_MAPS));
    assert_eq!(rule["operations"], serde_json::json!(["CREATE", "UPDATE"]));
    let selector = &protection["matchConstraints"]["namespaceSelector"]["matchLabels"];
    assert_eq!(selector["kubernetes.io/metadata.name"], "security");
    let account = "request.userInfo.username == 'system:serviceaccount:security:bailiff-webhook'";
    assert_eq!(protection["variables"][0]["expression"], account);

    let of_account = &objects["ValidatingAdmissionPolicy/bailiff-webhook-protection"]["spec"];
    assert_eq!(of_account["failurePolicy"], "Fail");
    assert_eq!(of_account["matchConditions"][0]["expression"], account);
    let own = of_account["variables"][0]["expression"].as_str().unwrap();
    for value in [event::IMAGE_DENIED, keys::REPORTING_WEBHOOK] {
        assert!(own.contains(&format!("'{value}'")), "{own}");
    }
    for name in keys::WEBHOOK_PROTECTIONS {
        let binding = &objects[&format!("ValidatingAdmissionPolicyBinding/{name}")]["spec"];
        let want = serde_json::json!({"policyName": name, "validationActions": ["Deny"]});
        assert_eq!(*binding, want);
    }
    let without = bailiff(&["--set", "webhook.enabled=false"]).unwrap();
    let left: Vec<_> = without
        .keys()
        .filter(|name| name.contains("facts"))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn helm_test_only_reads() {
    let rendered = render(
        "bailiff",
        &[
            "--show-only",
            "templates/tests/status.yaml",
            "-n",
            "security",
        ],
    );
    let mut roles = 0;
    for document in serde_yaml_ng::Deserializer::from_slice(&rendered.stdout) {
        let object = <serde_json::Value as serde::Deserialize>::deserialize(document).unwrap();
        if object["rules"].is_array() {
            roles += 1;
            for (resource, verbs) in granted(&object) {
                assert!(
                    ["get", "list"].contains(&verbs.as_str()),
                    "{resource}: {verbs}"
                );
            }
        }
    }
    assert_eq!(roles, 3);
}

#[test]
fn helm_test_reads_each_admission_policy_that_status_checks() {
    let shown = ["--show-only", "templates/tests/status.yaml"];
    let rendered = render("bailiff", &shown);
    let mut readable = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_slice(&rendered.stdout) {
        let object = <serde_json::Value as serde::Deserialize>::deserialize(document).unwrap();
        for rule in object["rules"].as_array().into_iter().flatten() {
            let both = [
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
            ];
            if rule["resources"] == serde_json::json!(both) {
                readable.extend(rule["resourceNames"].as_array().unwrap().clone());
            }
        }
    }
    let mut checked = vec![keys::INCIDENT_PROTECTION, keys::EVENT_PROTECTION];
    checked.extend(keys::WEBHOOK_PROTECTIONS);
    assert_eq!(readable, checked);
}

#[test]
fn the_owners_of_a_pod_can_read_the_policy_by_name() {
    let objects = bailiff(&["--set", "policyReaderGroups={developers,sre}"]).unwrap();
    let role = granted(&objects["ClusterRole/bailiff-policies-get"]);
    let get = grants(&[
        ("runtimepolicies", "get"),
        ("runtimepolicybindings", "get"),
        ("imageadmissionpolicies", "get"),
        ("imageadmissionpolicybindings", "get"),
    ]);
    assert_eq!(role, get);
    let subjects = &objects["ClusterRoleBinding/bailiff-policies-get"]["subjects"];
    let names: Vec<_> = subjects.as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2);
    for (subject, name) in names.iter().zip(["developers", "sre"]) {
        assert_eq!(
            **subject,
            serde_json::json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name})
        );
    }
    // These work in a RoleBinding: they name no cluster-scoped kind.
    for name in ["bailiff-incidents-read", "bailiff-incidents-delete"] {
        let role = granted(&objects[&format!("ClusterRole/{name}")]);
        assert_eq!(role.keys().collect::<Vec<_>>(), ["incidents"], "{name}");
    }
}

#[test]
fn the_account_of_the_controller_is_kept_out_of_exempt_namespaces() {
    let objects = bailiff(&["--set", "exemptNamespaces={payments,kube-system}"]).unwrap();
    let policy = &objects["ValidatingAdmissionPolicy/bailiff-eviction-protection"]["spec"];
    assert_eq!(policy["failurePolicy"], "Fail");
    assert_eq!(
        policy["matchConditions"][0]["expression"],
        "request.userInfo.username == 'system:serviceaccount:security:bailiff-controller'"
    );
    assert_eq!(
        policy["validations"][0]["expression"],
        "!(request.namespace in ['kube-system', 'payments'])"
    );
    assert_eq!(
        policy["validations"][0]["message"],
        "Bailiff must not remove pods in the namespaces kube-system, payments, which are exempt"
    );
    let none = bailiff(&["--set-json", "exemptNamespaces=[]"]).unwrap();
    assert_eq!(
        none["ValidatingAdmissionPolicy/bailiff-eviction-protection"]["spec"]["validations"][0]["expression"],
        "!(request.namespace in ['kube-system'])"
    );
    let rules = policy["matchConstraints"]["resourceRules"]
        .as_array()
        .unwrap();
    let matched: Vec<_> = rules
        .iter()
        .map(|rule| format!("{} {}", rule["operations"][0], rule["resources"][0]))
        .collect();
    assert_eq!(
        matched,
        [r#""CREATE" "pods/eviction""#, r#""DELETE" "pods""#]
    );
}

/// The permissions of the sensor on its node are those that docs/operating.md names, and no more.
#[test]
fn the_sensor_runs_with_two_capabilities_and_sees_nothing_of_the_node() {
    let objects = bailiff(&[]).unwrap();
    let sensor = &objects["DaemonSet/bailiff-sensor"];
    let context = &sensor.pointer(CONTAINER).unwrap()["securityContext"];
    assert_eq!(
        *context,
        serde_json::json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
            "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        })
    );
    let pod = &sensor["spec"]["template"]["spec"];
    for absent in ["hostPID", "hostNetwork", "hostIPC", "volumes"] {
        assert!(pod[absent].is_null(), "{absent}");
    }
}

/// What the API server of `OpenShift` serves.
const OPENSHIFT: [&str; 2] = ["--api-versions", "security.openshift.io/v1"];

#[test]
fn openshift_admits_what_the_sensor_is_and_no_more() {
    let scc = "SecurityContextConstraints/bailiff-sensor";
    let objects = bailiff(&OPENSHIFT).unwrap();
    let mut constraints = objects[scc].clone();
    let fields = constraints.as_object_mut().unwrap();
    let _metadata = fields.remove("metadata");
    assert_eq!(
        constraints,
        serde_json::json!({
            "apiVersion": "security.openshift.io/v1",
            "kind": "SecurityContextConstraints",
            "allowHostDirVolumePlugin": false,
            "allowHostIPC": false,
            "allowHostNetwork": false,
            "allowHostPID": false,
            "allowHostPorts": false,
            "allowPrivilegedContainer": false,
            "allowPrivilegeEscalation": false,
            "defaultAllowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "allowedCapabilities": ["BPF", "PERFMON"],
            "requiredDropCapabilities": ["ALL"],
            "defaultAddCapabilities": [],
            "runAsUser": {"type": "MustRunAs", "uid": 0},
            "fsGroup": {"type": "MustRunAs"},
            "supplementalGroups": {"type": "MustRunAs"},
            "seLinuxContext": {"type": "MustRunAs", "seLinuxOptions": {"type": "spc_t"}},
            "seccompProfiles": ["runtime/default"],
            "volumes": ["projected"],
            "users": [],
            "groups": [],
        })
    );
    let role = &objects["Role/bailiff-sensor-scc"];
    let use_ = grants(&[("securitycontextconstraints bailiff-sensor", "use")]);
    assert_eq!(granted(role), use_);
    let binding = &objects["RoleBinding/bailiff-sensor-scc"];
    assert_eq!(binding["roleRef"]["name"], "bailiff-sensor-scc");
    assert_eq!(
        binding["subjects"],
        serde_json::json!([{
            "kind": "ServiceAccount", "name": "bailiff-sensor", "namespace": "security",
        }])
    );
    // The sensor itself is the same everywhere.
    let elsewhere = bailiff(&[]).unwrap();
    let sensor = "DaemonSet/bailiff-sensor";
    assert_eq!(objects[sensor], elsewhere[sensor]);
    assert!(!elsewhere.contains_key(scc));
    // The value counts before what the cluster serves.
    let forced = bailiff(&["--set", "openshift.enabled=true"]).unwrap();
    assert_eq!(forced, objects);
    let off = ["--set", "openshift.enabled=false"];
    let off = bailiff(&[&OPENSHIFT[..], &off].concat()).unwrap();
    assert_eq!(off, elsewhere);
}

/// `restricted-v2` rejects a user that is not of the namespace's range, and assigns one where none is set.
#[test]
fn openshift_assigns_the_user_of_the_pods_that_are_restricted() {
    let contexts = |values: &[&str]| {
        let controller = bailiff(values).unwrap()["Deployment/bailiff-controller"].clone();
        let controller = controller.pointer(CONTAINER).unwrap()["securityContext"].clone();
        let test = bailiff(values).unwrap()["Pod/bailiff-status"].clone();
        [
            controller,
            test["spec"]["containers"][0]["securityContext"].clone(),
        ]
    };
    let restricted = serde_json::json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    for context in contexts(&OPENSHIFT) {
        assert_eq!(context, restricted);
    }
    for context in contexts(&[]) {
        let mut pinned = restricted.clone();
        pinned["runAsUser"] = 65532.into();
        pinned["runAsGroup"] = 65532.into();
        assert_eq!(context, pinned);
    }
}
