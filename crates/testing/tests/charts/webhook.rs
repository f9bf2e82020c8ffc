//! The webhook: its entries, Secrets, registries and network.
//!
//! Here: what is rendered. Not here: match conditions (`match_conditions`), permissions (`permissions`), what the
//! controller writes (`bailiff-controller`).
//! Invariant: the chart renders no certificate, so that no upgrade replaces one; no value lets an entry apply to
//! kube-system or to Bailiff's own namespace.

use crate::{CONTAINER, Objects, bailiff};
use serde_json::{Value as Json, json};

/// The entries of both configurations, each with the first word of its kind.
fn entries(objects: &Objects) -> Vec<(String, Json)> {
    let mut entries = Vec::new();
    for kind in ["Mutating", "Validating"] {
        let configuration = &objects[&format!("{kind}WebhookConfiguration/bailiff")];
        for entry in configuration["webhooks"].as_array().unwrap() {
            let name = entry["name"].as_str().unwrap();
            entries.push((format!("{kind} {name}"), entry.clone()));
        }
    }
    entries
}

#[test]
fn each_entry_fails_as_it_should() {
    let failure_policies = |values: &[&str]| -> Vec<(String, Json)> {
        let entries = entries(&bailiff(values).unwrap()).into_iter();
        let of = |entry: &Json| json!([entry["failurePolicy"], entry["sideEffects"]]);
        entries.map(|(name, entry)| (name, of(&entry))).collect()
    };
    let want = |pods: &str| {
        [
            ("Mutating pods.bailiff.dev", ["Ignore", "NoneOnDryRun"]),
            ("Validating pods.bailiff.dev", [pods, "NoneOnDryRun"]),
            ("Validating workloads.bailiff.dev", ["Ignore", "None"]),
            ("Validating policies.bailiff.dev", ["Ignore", "None"]),
        ]
        .map(|(name, of)| (name.to_owned(), json!(of)))
    };
    assert_eq!(failure_policies(&[]), want("Ignore"));
    let fail = ["--set", "webhook.failurePolicy=Fail"];
    assert_eq!(failure_policies(&fail), want("Fail"));
}

#[test]
fn each_entry_calls_the_service_and_the_chart_trusts_no_certificate() {
    let objects = bailiff(&["--set", "webhook.timeoutSeconds=7"]).unwrap();
    let paths = [
        "/mutate/pods",
        "/validate/pods",
        "/validate/workloads",
        "/validate/policies",
    ];
    for ((name, entry), path) in entries(&objects).into_iter().zip(paths) {
        let service =
            json!({"name": "bailiff-webhook", "namespace": "security", "port": 443, "path": path});
        assert_eq!(entry["clientConfig"], json!({"service": service}), "{name}");
        assert_eq!(entry["timeoutSeconds"], 7, "{name}");
        assert_eq!(entry["matchPolicy"], "Equivalent", "{name}");
        assert_eq!(entry["admissionReviewVersions"], json!(["v1"]), "{name}");
    }
    let service = &objects["Service/bailiff-webhook"]["spec"];
    assert_eq!(service["ports"][0]["port"], 443);
    let pod = &objects["Deployment/bailiff-webhook"]["spec"]["template"];
    let ports = &pod["spec"]["containers"][0]["ports"];
    assert_eq!(
        ports[0],
        json!({"name": service["ports"][0]["targetPort"], "containerPort": 9443})
    );
    for (label, value) in service["selector"].as_object().unwrap() {
        assert_eq!(pod["metadata"]["labels"][label], *value, "{label}");
    }
    // Helm and GitOps tools change what the chart renders, and nothing else.
    for name in ["bailiff-webhook-ca", "bailiff-webhook-tls"] {
        let secret = &objects[&format!("Secret/{name}")];
        assert_eq!(secret["type"], "Opaque", "{name}");
        assert!(
            secret["data"].is_null() && secret["stringData"].is_null(),
            "{secret}"
        );
    }
}

#[test]
fn entries_match_images_and_policies() {
    let objects = bailiff(&[]).unwrap();
    let matched: Vec<_> = entries(&objects)
        .into_iter()
        .flat_map(|(name, entry)| {
            let rules = entry["rules"].as_array().unwrap().clone();
            rules.into_iter().map(move |rule| (name.clone(), rule))
        })
        .map(|(name, rule)| {
            format!(
                "{name}: {} {} {}",
                rule["operations"], rule["apiGroups"], rule["resources"]
            )
        })
        .collect();
    let pods = |kind: &str| {
        [
            format!(r#"{kind} pods.bailiff.dev: ["CREATE","UPDATE"] [""] ["pods"]"#),
            format!(r#"{kind} pods.bailiff.dev: ["UPDATE"] [""] ["pods/ephemeralcontainers"]"#),
        ]
    };
    let workloads = [
        r#"["apps"] ["deployments","statefulsets","daemonsets","replicasets"]"#,
        r#"["batch"] ["jobs","cronjobs"]"#,
        r#"[""] ["replicationcontrollers"]"#,
    ]
    .map(|of| format!(r#"Validating workloads.bailiff.dev: ["CREATE","UPDATE"] {of}"#));
    let policies = r#"Validating policies.bailiff.dev: ["CREATE","UPDATE"] ["bailiff.dev"] ["imageadmissionpolicies","runtimepolicies"]"#;
    let want: Vec<_> = pods("Mutating")
        .into_iter()
        .chain(pods("Validating"))
        .chain(workloads)
        .chain([policies.to_owned()])
        .collect();
    assert_eq!(matched, want);
    assert_eq!(entries(&objects)[0].1["reinvocationPolicy"], "IfNeeded");
}

#[test]
fn the_own_namespace_and_kube_system_are_exempt_whatever_the_value_says() {
    for (value, want) in [
        ("exemptNamespaces=[]", json!(["kube-system", "security"])),
        (
            r#"exemptNamespaces=["cni","security"]"#,
            json!(["cni", "kube-system", "security"]),
        ),
        // Names that YAML would read as a number and as nothing.
        (
            r#"exemptNamespaces=["123","null"]"#,
            json!(["123", "kube-system", "null", "security"]),
        ),
    ] {
        let objects = bailiff(&["--set-json", value]).unwrap();
        for (name, entry) in entries(&objects) {
            // Policies have no namespace.
            if name != "Validating policies.bailiff.dev" {
                let by_name = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": want});
                assert_eq!(
                    entry["namespaceSelector"],
                    json!({"matchExpressions": [by_name]}),
                    "{name}"
                );
            }
        }
    }
}

const REGISTRIES: &str = r#"registries={"registry.example.com:5000": {"endpoint": "https://mirror.example.com/a", "credentials": [{"secret": "team", "repositories": ["registry.example.com:5000/team/**"], "namespaceSelector": {"matchLabels": {"team": "shop"}}}]}, "docker.io": {}}"#;

#[test]
fn the_webhook_reads_the_registries_and_restarts_when_they_change() {
    let values = [
        "--set-json",
        REGISTRIES,
        "--set",
        "registryAccess.denyCIDRs={10.96.0.0/12}",
    ];
    let objects = bailiff(&values).unwrap();
    let file = &objects["ConfigMap/bailiff-registries"]["data"]["registries.yaml"];
    let file: Json = serde_yaml_ng::from_str(file.as_str().unwrap()).unwrap();
    assert_eq!(file["denyCIDRs"], json!(["10.96.0.0/12"]));
    let registry = &file["registries"]["registry.example.com:5000"];
    assert_eq!(registry["endpoint"], "https://mirror.example.com/a");
    assert_eq!(
        registry["credentials"][0]["namespaceSelector"],
        json!({"matchLabels": {"team": "shop"}})
    );
    let default = bailiff(&[]).unwrap();
    let checksum = |objects: &Objects| {
        let template = &objects["Deployment/bailiff-webhook"]["spec"]["template"];
        template["metadata"]["annotations"]["checksum/registries"].clone()
    };
    assert_ne!(checksum(&objects), checksum(&default));
    let container = objects["Deployment/bailiff-webhook"]
        .pointer(CONTAINER)
        .unwrap();
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/etc/bailiff");
    // It reads the Secrets that are named, and its certificate.
    let rules = &objects["Role/bailiff-webhook"]["rules"];
    assert_eq!(
        rules[0]["resourceNames"],
        json!(["bailiff-webhook-tls", "team"])
    );
    for (bad, words) in [
        (r#"registries={"example.com/path": {}}"#, "example.com/path"),
        (
            r#"registries={"example.com": {"endpoint": "ftp://mirror"}}"#,
            "endpoint",
        ),
        (
            r#"registries={"example.com": {"credentials": [{}]}}"#,
            "secret",
        ),
        (
            r#"registries={"example.com": {"password": "x"}}"#,
            "password",
        ),
        (
            r#"registries={"example.com": {"credentials": [{"secret": "bailiff-webhook-ca"}]}}"#,
            r#"registries."example.com".credentials must not name Secret bailiff-webhook-ca, which has a key of the webhook; name a Secret of type kubernetes.io/dockerconfigjson"#,
        ),
        (
            r#"registries={"example.com": {"credentials": [{"secret": "bailiff-webhook-tls"}]}}"#,
            "must not name Secret bailiff-webhook-tls",
        ),
    ] {
        let said = bailiff(&["--set-json", bad]).unwrap_err();
        assert!(said.contains(words), "{bad}: {said}");
    }
}

#[test]
fn the_values_say_which_callers_the_webhook_verifies() {
    let pod = |objects: &Objects| objects["Deployment/bailiff-webhook"]["spec"]["template"].clone();
    let variables = |objects: &Objects| -> Vec<String> {
        let pod = pod(objects);
        let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        let of_callers = env.iter().filter(|variable| {
            let name = variable["name"].as_str().unwrap();
            name == "BAILIFF_API_SERVER_CIDRS" || name == "BAILIFF_CLIENT_CA"
        });
        of_callers
            .map(|v| v["value"].as_str().unwrap().to_owned())
            .collect()
    };
    let file = |objects: &Objects| {
        objects["ConfigMap/bailiff-registries"]["data"]["client-ca.crt"].clone()
    };
    let default = bailiff(&[]).unwrap();
    assert!(variables(&default).is_empty() && file(&default).is_null());
    let ranges = r#"webhook.apiServerCIDRs=["192.0.2.10/32","2001:db8::1/128"]"#;
    let by_address = bailiff(&["--set-json", ranges]).unwrap();
    assert_eq!(variables(&by_address), ["192.0.2.10/32,2001:db8::1/128"]);
    let pem = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";
    let client_ca = |pem: &str| format!("webhook.clientCA={}", json!(pem));
    let by_certificate = bailiff(&["--set-json", &client_ca(pem)]).unwrap();
    assert_eq!(variables(&by_certificate), ["/etc/bailiff/client-ca.crt"]);
    assert_eq!(
        file(&by_certificate).as_str().unwrap().trim_end(),
        pem.trim_end()
    );
    // The webhook reads the file when it starts.
    let another = bailiff(&["--set-json", &client_ca(&pem.replace("YQ", "Yg"))]).unwrap();
    assert_ne!(pod(&another), pod(&by_certificate));
    for (bad, words) in [
        (
            r#"webhook.apiServerCIDRs=["192.0.2.10"]"#.to_owned(),
            "apiServerCIDRs",
        ),
        (
            r#"webhook.apiServerCIDRs=["0.0.0.0/0"]"#.to_owned(),
            "apiServerCIDRs",
        ),
        (client_ca("/etc/ca.crt"), "clientCA"),
        (client_ca(" "), "clientCA"),
    ] {
        let said = bailiff(&["--set-json", &bad]).unwrap_err();
        assert!(said.contains(words), "{bad}: {said}");
    }
}

#[test]
fn a_registry_can_have_the_defaults_or_an_endpoint_without_a_scheme() {
    let values =
        r#"registries={"quay.io": null, "docker.io": {"endpoint": "mirror.example.com:5000/hub"}}"#;
    let objects = bailiff(&["--set-json", values]).unwrap();
    let file = &objects["ConfigMap/bailiff-registries"]["data"]["registries.yaml"];
    let file: Json = serde_yaml_ng::from_str(file.as_str().unwrap()).unwrap();
    assert_eq!(
        file["registries"],
        json!({"quay.io": {}, "docker.io": {"endpoint": "mirror.example.com:5000/hub"}})
    );
}

#[test]
fn the_requests_of_the_webhook_and_the_renderer_do_not_wait_for_those_of_tenants() {
    let objects = bailiff(&[]).unwrap();
    for (component, level) in [("webhook", "webhook"), ("renderer", "controller")] {
        let schema = &objects[&format!("FlowSchema/bailiff-{component}")]["spec"];
        let level = format!("bailiff-{level}");
        assert_eq!(schema["priorityLevelConfiguration"]["name"], level);
        assert!(objects.contains_key(&format!("PriorityLevelConfiguration/{level}")));
        let account = json!({"name": format!("bailiff-{component}"), "namespace": "security"});
        assert_eq!(schema["rules"][0]["subjects"][0]["serviceAccount"], account);
        // Before the schema service-accounts of Kubernetes.
        assert!(schema["matchingPrecedence"].as_i64().unwrap() < 9000);
    }
}

#[test]
fn the_webhook_runs_in_the_network_of_the_node_where_a_value_says_so() {
    let set = "webhook.hostNetwork=true,webhook.port=10250";
    let objects = bailiff(&["--set", set]).unwrap();
    let deployment = &objects["Deployment/bailiff-webhook"]["spec"];
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["hostNetwork"], true);
    assert_eq!(pod["dnsPolicy"], "ClusterFirstWithHostNet");
    let container = &pod["containers"][0];
    assert_eq!(
        container["ports"][0],
        json!({"name": "https", "containerPort": 10250})
    );
    let address = json!({"name": "BAILIFF_WEBHOOK_BIND_ADDRESS", "value": "[::]:10250"});
    assert!(container["env"].as_array().unwrap().contains(&address));
    // A new replica has no free port beside an old one.
    assert_eq!(
        deployment["strategy"]["rollingUpdate"],
        json!({"maxSurge": 0, "maxUnavailable": 1})
    );
    let default = &bailiff(&[]).unwrap()["Deployment/bailiff-webhook"]["spec"]["template"]["spec"];
    assert!(default["hostNetwork"].is_null() && default["dnsPolicy"].is_null());
}

#[test]
fn both_configurations_have_the_annotations_of_the_value() {
    let value = r#"webhook.annotations={"admissions.enforcer/disabled": "true"}"#;
    let objects = bailiff(&["--set-json", value]).unwrap();
    let default = bailiff(&[]).unwrap();
    for kind in ["Mutating", "Validating"] {
        let name = format!("{kind}WebhookConfiguration/bailiff");
        assert_eq!(
            objects[&name]["metadata"]["annotations"],
            json!({"admissions.enforcer/disabled": "true"})
        );
        assert!(default[&name]["metadata"]["annotations"].is_null());
    }
}

#[test]
fn reviews_come_from_anywhere_and_registries_are_reached() {
    let registries = r#"registries={"docker.io": null, "[fd00::1]": {}, "a.example.com": {"plainHTTP": true},
        "b.example.com:5001": {}, "c.example.com:5002": {"endpoint": "https://mirror:5003/v2/c:1"},
        "d.example.com:5004": {"endpoint": "http://[fd00::2]/v2:5005", "plainHTTP": true},
        "e.example.com": {"plainHTTP": true, "endpoint": "http://[fd00::3]:5006"},
        "f.example.com": {"tokenServers": ["auth.example.com:5007", "auth.example.com"],
            "redirectHosts": ["[fd00::4]:5008"]}}"#;
    let others = "networkPolicy.registryPorts={443,5000}";
    let objects = bailiff(&["--set", others, "--set-json", registries]).unwrap();
    let spec = &objects["NetworkPolicy/bailiff-webhook"]["spec"];
    let reviews = &spec["ingress"][1];
    assert_eq!(
        *reviews,
        json!({"ports": [{"port": "https", "protocol": "TCP"}]})
    );
    let ports = spec["egress"][1]["ports"].as_array().unwrap().iter();
    let ports: Vec<_> = ports
        .map(|port| format!("{} {}", port["port"], port["protocol"]))
        .collect();
    assert_eq!(
        ports,
        [
            r#"443 "TCP""#,
            r#"5000 "TCP""#,
            r#"80 "TCP""#,
            r#"5001 "TCP""#,
            r#"5003 "TCP""#,
            r#"5006 "TCP""#,
            r#"5007 "TCP""#,
            r#"5008 "TCP""#,
            r#"53 "UDP""#,
            r#"53 "TCP""#,
            r#"5353 "UDP""#,
            r#"5353 "TCP""#
        ]
    );
    assert!(spec["egress"][1]["to"].is_null());
    // With the defaults, and without further ports.
    let ports = |arguments: &[&str]| {
        let spec = bailiff(arguments).unwrap()["NetworkPolicy/bailiff-webhook"]["spec"].clone();
        spec["egress"][1]["ports"].as_array().unwrap().len()
    };
    assert_eq!(ports(&[]), 5);
    assert_eq!(ports(&["--set-json", "networkPolicy.registryPorts=[]"]), 4);
    // The others keep what they had.
    for component in ["controller", "sensor", "renderer"] {
        let spec = &objects[&format!("NetworkPolicy/bailiff-{component}")]["spec"];
        let count = |field: &str| spec[field].as_array().unwrap().len();
        assert_eq!((count("ingress"), count("egress")), (1, 1), "{component}");
    }
}

#[test]
fn replicas_are_spread_and_stop_one_after_the_other() {
    let objects = bailiff(&[]).unwrap();
    let deployment = &objects["Deployment/bailiff-webhook"]["spec"];
    assert_eq!(deployment["replicas"], 2);
    assert_eq!(
        deployment["strategy"]["rollingUpdate"],
        json!({"maxSurge": 1, "maxUnavailable": 0})
    );
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 45);
    assert_eq!(pod["priorityClassName"], "bailiff-webhook");
    assert!(objects.contains_key("PriorityClass/bailiff-webhook"));
    assert!(
        pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
            .is_array()
    );
    let budget = &objects["PodDisruptionBudget/bailiff-webhook"]["spec"];
    assert_eq!(budget["minAvailable"], 1);
    assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    let controller = objects["Deployment/bailiff-controller"]
        .pointer(CONTAINER)
        .unwrap();
    let container = objects["Deployment/bailiff-webhook"]
        .pointer(CONTAINER)
        .unwrap();
    assert_eq!(container["securityContext"], controller["securityContext"]);
}

#[test]
fn without_the_webhook_nothing_of_it_is_left() {
    let values = [
        "--set",
        "webhook.enabled=false,podMonitor.enabled=true,prometheusRule.enabled=true",
    ];
    let objects = bailiff(&values).unwrap();
    let left: Vec<_> = objects
        .keys()
        .filter(|name| name.contains("webhook") || name.contains("Webhook"))
        .collect();
    // The owner of rendered bindings, which calls nothing.
    let owner = "ValidatingWebhookConfiguration/bailiff-renderer";
    assert_eq!(left, [owner]);
    let entries = &objects[owner]["webhooks"];
    assert!(entries.as_array().is_none_or(Vec::is_empty), "{entries}");
    assert!(!objects.contains_key("ConfigMap/bailiff-registries"));
    for object in objects.values() {
        assert!(!object["rules"].to_string().contains("secrets"), "{object}");
    }
    for component in ["controller", "renderer"] {
        let container = objects[&format!("Deployment/bailiff-{component}")]
            .pointer(CONTAINER)
            .unwrap();
        let variable = json!({"name": "BAILIFF_WEBHOOK", "value": "false"});
        assert!(
            container["env"].as_array().unwrap().contains(&variable),
            "{component}"
        );
    }
}
