//! The generated parts of the charts are up to date, and the charts render what their values ask for.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn what_the_charts_hold_is_made_from_this_source() {
    let made = tempfile::tempdir().unwrap();
    let output = Command::new(root().join("charts/generate.sh"))
        .arg(made.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let fresh = files(made.path());
    assert_eq!(fresh.len(), 9, "{:?}", fresh.keys());
    for (name, want) in &fresh {
        let path = root().join("charts").join(name);
        let have = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(have == *want, "charts/{name} is stale: run `make generate`");
    }
    // What is no longer made must not stay.
    for folder in ["bailiff/templates/crds", "bailiff-policies/policies"] {
        for name in files(&root().join("charts").join(folder)).keys() {
            let name = format!("{folder}/{name}");
            assert!(fresh.contains_key(&name), "charts/{name} is made by nobody");
        }
    }
}

#[test]
fn durations_of_the_lease_that_contradict_each_other_are_rejected() {
    let render = |renew: &str, duration: &str, retry: &str| {
        let path = "controller.leaderElection";
        let set = format!(
            "{path}.renewDeadline={renew},{path}.leaseDuration={duration},{path}.retryPeriod={retry}"
        );
        let output = render("bailiff", &["--set", &set]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), stderr)
    };
    for (renew, duration, retry) in [
        ("10s", "15s", "2s"),
        ("1499ms", "1500ms", "500ms"),
        ("59m", "1h 30m", "1m"),
    ] {
        let (rendered, stderr) = render(renew, duration, retry);
        assert!(rendered, "{renew} {duration} {retry}: {stderr}");
    }
    for (renew, duration, retry, want) in [
        (
            "15s",
            "15s",
            "2s",
            "controller.leaderElection.renewDeadline (15s) must be less than leaseDuration (15s), so that two replicas never lead at once",
        ),
        (
            "1501ms",
            "1500ms",
            "2ms",
            "controller.leaderElection.renewDeadline (1501ms) must be less than leaseDuration (1500ms)",
        ),
        (
            "10s",
            "1m",
            "10s",
            "controller.leaderElection.retryPeriod (10s) must be less than renewDeadline (10s), so that the leader can retry before it steps down",
        ),
    ] {
        let (rendered, stderr) = render(renew, duration, retry);
        assert!(!rendered && stderr.contains(want), "{stderr}");
    }
}

fn policies(values: &[&str]) -> Output {
    render("bailiff-policies", values)
}

fn render(chart: &str, values: &[&str]) -> Output {
    Command::new("helm")
        .args(["template", chart])
        .arg(format!("charts/{chart}"))
        .args(values)
        .current_dir(root())
        .output()
        .unwrap()
}

#[test]
fn the_library_renders_what_its_values_ask_for() {
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let all = text(&policies(&[]));
    assert_eq!(all.matches("kind: RuntimePolicy").count(), 5, "{all}");
    assert_eq!(all.matches("- kube-system").count(), 5, "{all}");
    assert!(!all.contains("RuntimePolicyBinding"), "{all}");

    let fewer = text(&policies(&["--set", "excludedPolicies={no-cryptominers}"]));
    assert_eq!(fewer.matches("kind: RuntimePolicy").count(), 4, "{fewer}");
    assert!(!fewer.contains("no-cryptominers"), "{fewer}");

    let labeled = text(&policies(&["--set", "commonLabels.team=security"]));
    assert_eq!(labeled.matches("team: security").count(), 5, "{labeled}");

    let everywhere = text(&policies(&["--set-json", "excludedNamespaces=[]"]));
    assert!(!everywhere.contains("matchConstraints"), "{everywhere}");

    let typo = policies(&["--set", "excludedPolicies={no-miners}"]);
    assert!(!typo.status.success());
    let said = String::from_utf8_lossy(&typo.stderr);
    assert!(
        said.contains(
            "excludedPolicies: policy no-miners not found in this chart; must be one of: no-cryptominers,"
        ),
        "{said}"
    );
}

/// What the chart of Bailiff renders: its documents by kind and name, or what helm says.
fn bailiff(values: &[&str]) -> Result<Objects, String> {
    let output = Command::new("helm")
        .args(["template", "bailiff", "charts/bailiff", "-n", "security"])
        .args(values)
        .current_dir(root())
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut found = BTreeMap::new();
    for document in serde_yaml_ng::Deserializer::from_slice(&output.stdout) {
        let object = <serde_json::Value as serde::Deserialize>::deserialize(document).unwrap();
        if let (Some(kind), Some(name)) =
            (object["kind"].as_str(), object["metadata"]["name"].as_str())
        {
            found.insert(format!("{kind}/{name}"), object.clone());
        }
    }
    Ok(found)
}

const CONTAINER: &str = "/spec/template/spec/containers/0";

type Objects = BTreeMap<String, serde_json::Value>;

#[test]
fn the_chart_renders_what_its_values_ask_for() {
    let default = bailiff(&[]).unwrap();
    let has = |objects: &Objects, name: &str| objects.contains_key(name);
    // On by default, each with the values that switch it off.
    let optional = [
        "CustomResourceDefinition/incidents.bailiff.dev",
        "PodDisruptionBudget/bailiff-controller",
        "NetworkPolicy/bailiff-sensor",
        "PriorityClass/bailiff-sensor",
        "FlowSchema/bailiff-sensor",
        "PriorityLevelConfiguration/bailiff-controller",
        "ValidatingAdmissionPolicy/bailiff-eviction-protection",
        "ValidatingAdmissionPolicyBinding/bailiff-eviction-protection",
        "ClusterRoleBinding/bailiff-policies-get",
    ];
    let always = [
        "ValidatingAdmissionPolicy/bailiff-incident-protection",
        "ValidatingAdmissionPolicyBinding/bailiff-incident-protection",
        "ConfigMap/bailiff-response",
    ];
    for name in optional.iter().chain(&always) {
        assert!(has(&default, name), "{name}: {:?}", default.keys());
    }
    for kind in ["PodMonitor", "PrometheusRule"] {
        assert!(!default.keys().any(|name| name.starts_with(kind)), "{kind}");
    }
    for (kind, component) in [("Deployment", "controller"), ("DaemonSet", "sensor")] {
        let class = &default[&format!("{kind}/bailiff-{component}")]["spec"]["template"]["spec"];
        assert_eq!(class["priorityClassName"], format!("bailiff-{component}"));
    }

    let digest = format!("sha256:{}", "0".repeat(64));
    let image = format!("image.digest={digest}");
    let changed = bailiff(&[
        "--set",
        "podMonitor.enabled=true,controller.replicas=1,crds.enabled=false,flowControl.enabled=false",
        "--set",
        "networkPolicy.enabled=false,priorityClasses.create=false,sensor.priorityClassName=mine",
        "--set-json",
        "exemptNamespaces=[]",
        "--set-json",
        "policyReaderGroups=[]",
        "--set",
        &image,
    ])
    .unwrap();
    for name in optional {
        assert!(!has(&changed, name), "{name}");
    }
    for name in always {
        assert!(has(&changed, name), "{name}");
    }
    assert!(has(&changed, "PodMonitor/bailiff-sensor"));
    let sensor = &changed["DaemonSet/bailiff-sensor"];
    let container = sensor.pointer(CONTAINER).unwrap();
    assert_eq!(container["image"], format!("bailiff.dev/bailiff@{digest}"));
    assert_eq!(
        sensor["spec"]["template"]["spec"]["priorityClassName"],
        "mine"
    );
    let controller = &changed["Deployment/bailiff-controller"];
    assert!(controller["spec"]["template"]["spec"]["priorityClassName"].is_null());
}

/// The environment of a component, with the paths of fields in braces.
fn environment(component: &serde_json::Value) -> BTreeMap<String, String> {
    let container = component.pointer(CONTAINER).unwrap();
    let variables = container["env"].as_array().unwrap().iter();
    variables
        .map(|variable| {
            let name = variable["name"].as_str().unwrap().to_owned();
            let field = || variable.pointer("/valueFrom/fieldRef/fieldPath")?.as_str();
            let value = variable["value"].as_str().map(str::to_owned);
            let value = value.or_else(|| Some(format!("{{{}}}", field()?)));
            (name, value.unwrap())
        })
        .collect()
}

/// Values of the controller: as they are set, the variable without its prefix, and what it becomes.
const CONTROLLER_VALUES: &[(&str, &str, &str)] = &[
    ("exemptNamespaces={a,b}", "EXEMPT_NAMESPACES", "a,b"),
    ("criticalNamespaces={c,d}", "CRITICAL_NAMESPACES", "c,d"),
    (
        "controller.leaderElection.leaseDuration=61s",
        "LEADER_ELECT_LEASE_DURATION",
        "61s",
    ),
    (
        "controller.leaderElection.renewDeadline=9s",
        "LEADER_ELECT_RENEW_DEADLINE",
        "9s",
    ),
    (
        "controller.leaderElection.retryPeriod=3s",
        "LEADER_ELECT_RETRY_PERIOD",
        "3s",
    ),
    (
        "controller.replacementDeadline=4m",
        "REPLACEMENT_DEADLINE",
        "4m",
    ),
    (
        "controller.evictionInitialBackoff=5s",
        "EVICTION_INITIAL_BACKOFF",
        "5s",
    ),
    (
        "controller.evictionMaxBackoff=6s",
        "EVICTION_MAX_BACKOFF",
        "6s",
    ),
    (
        "controller.incidentRecheckInterval=7s",
        "INCIDENT_RECHECK_INTERVAL",
        "7s",
    ),
    (
        "controller.statusResyncInterval=8s",
        "STATUS_RESYNC_INTERVAL",
        "8s",
    ),
    (
        "response.allowPodDeletion=true",
        "RESPONSE_ALLOW_POD_DELETION",
        "true",
    ),
    (
        "response.maxGracePeriodSeconds=86400",
        "RESPONSE_MAX_GRACE_PERIOD_SECONDS",
        "86400",
    ),
    ("response.maxAge=2h", "RESPONSE_MAX_AGE", "2h"),
    (
        "response.maxEvictionsPerMinutePerNamespace=11",
        "RESPONSE_MAX_EVICTIONS_PER_MINUTE_PER_NAMESPACE",
        "11",
    ),
    (
        "response.maxEvictionsPerMinute=12",
        "RESPONSE_MAX_EVICTIONS_PER_MINUTE",
        "12",
    ),
    ("retention.maxAge=13h", "RETENTION_MAX_AGE", "13h"),
    (
        "retention.maxIncidentsPerNamespace=14",
        "RETENTION_MAX_INCIDENTS_PER_NAMESPACE",
        "14",
    ),
    // A number that YAML would write as 1e+07.
    (
        "retention.maxIncidents=10000000",
        "RETENTION_MAX_INCIDENTS",
        "10000000",
    ),
    ("log.format=text", "LOG_FORMAT", "text"),
    ("log.level=debug", "LOG_LEVEL", "debug"),
];

#[test]
fn each_value_of_the_controller_reaches_it() {
    let set: Vec<_> = CONTROLLER_VALUES
        .iter()
        .flat_map(|(value, _, _)| ["--set", value])
        .collect();
    let have = environment(&bailiff(&set).unwrap()["Deployment/bailiff-controller"]);
    let fields = [
        ("NAMESPACE", "{metadata.namespace}"),
        ("POD_NAME", "{metadata.name}"),
    ];
    assert_eq!(have, variables(CONTROLLER_VALUES, &fields));
}

#[test]
fn each_value_of_the_sensor_reaches_it() {
    let values = [
        (
            "sensor.ringBufferBytes=268435456",
            "RING_BUFFER_BYTES",
            "268435456",
        ),
        ("sensor.podLookupTimeout=1m", "POD_LOOKUP_TIMEOUT", "1m"),
        (
            "sensor.incidentUpdateInterval=2s",
            "INCIDENT_UPDATE_INTERVAL",
            "2s",
        ),
        ("log.format=text", "LOG_FORMAT", "text"),
        ("log.level=debug", "LOG_LEVEL", "debug"),
    ];
    let set: Vec<_> = values
        .iter()
        .flat_map(|(value, _, _)| ["--set", value])
        .collect();
    let have = environment(&bailiff(&set).unwrap()["DaemonSet/bailiff-sensor"]);
    let fields = [
        ("NAMESPACE", "{metadata.namespace}"),
        ("NODE_NAME", "{spec.nodeName}"),
        ("POD_NAME", "{metadata.name}"),
        ("POD_UID", "{metadata.uid}"),
    ];
    assert_eq!(have, variables(&values, &fields));
}

/// The variables that these values and fields become.
fn variables(values: &[(&str, &str, &str)], fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    let values = values.iter().map(|(_, name, value)| (name, value));
    let fields = fields.iter().map(|(name, value)| (name, value));
    values
        .chain(fields)
        .map(|(name, value)| (format!("BAILIFF_{name}"), (*value).to_owned()))
        .collect()
}

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
fn a_sensor_writes_incidents_and_events_about_its_node_and_nothing_else() {
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
        ("nodes", "list"),
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
fn the_owners_of_a_pod_can_read_the_policy_by_name() {
    let objects = bailiff(&["--set", "policyReaderGroups={developers,sre}"]).unwrap();
    let role = granted(&objects["ClusterRole/bailiff-policies-get"]);
    let get = grants(&[("runtimepolicies", "get"), ("runtimepolicybindings", "get")]);
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

/// Helm and `GitOps` tools change only the fields that a chart renders, so the operator's key must not
/// be among them.
#[test]
fn the_chart_sets_only_the_default_of_the_switch() {
    let data =
        |values: &[&str]| bailiff(values).unwrap()["ConfigMap/bailiff-response"]["data"].clone();
    assert_eq!(data(&[]), serde_json::json!({"defaultMode": "Enforce"}));
    assert_eq!(
        data(&["--set", "response.mode=Audit"]),
        serde_json::json!({"defaultMode": "Audit"})
    );
}

#[test]
fn the_account_of_the_controller_is_kept_out_of_exempt_namespaces() {
    let objects = bailiff(&["--set", "exemptNamespaces={kube-system,payments}"]).unwrap();
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

#[test]
fn the_requests_of_each_component_have_a_priority_level() {
    let objects = bailiff(&[]).unwrap();
    // What Kubernetes configures by default: the schema service-accounts has 9000.
    for (name, level, account, precedence) in [
        ("bailiff-sensor", "bailiff-sensor", "bailiff-sensor", 1000),
        (
            "bailiff-controller",
            "bailiff-controller",
            "bailiff-controller",
            1000,
        ),
        (
            "bailiff-leader-election",
            "leader-election",
            "bailiff-controller",
            200,
        ),
    ] {
        let schema = &objects[&format!("FlowSchema/{name}")];
        assert_eq!(schema["apiVersion"], "flowcontrol.apiserver.k8s.io/v1");
        let spec = &schema["spec"];
        assert_eq!(spec["priorityLevelConfiguration"]["name"], level);
        assert_eq!(spec["matchingPrecedence"], precedence);
        assert_eq!(
            spec["rules"][0]["subjects"],
            serde_json::json!([{
                "kind": "ServiceAccount",
                "serviceAccount": {"name": account, "namespace": "security"},
            }])
        );
        let rule = &spec["rules"][0]["resourceRules"][0];
        let leases = rule["resources"][0] == "leases";
        assert_eq!(leases, name == "bailiff-leader-election");
    }
    // All sensors have one account, so that their user does not tell them apart.
    let sensor = &objects["FlowSchema/bailiff-sensor"]["spec"];
    assert_eq!(sensor["distinguisherMethod"]["type"], "ByNamespace");
    let limited = |name: &str| {
        objects[&format!("PriorityLevelConfiguration/{name}")]["spec"]["limited"].clone()
    };
    assert_eq!(limited("bailiff-sensor")["borrowingLimitPercent"], 100);
    for name in ["bailiff-sensor", "bailiff-controller"] {
        assert_eq!(limited(name)["nominalConcurrencyShares"], 10, "{name}");
        assert_eq!(limited(name)["limitResponse"]["type"], "Queue", "{name}");
    }
}

#[test]
fn alerts_fire_when_they_should_and_have_a_runbook() {
    let values = [
        "--set",
        "prometheusRule.enabled=true,prometheusRule.labels.release=main",
    ];
    let objects = bailiff(&values).unwrap();
    let rule = &objects["PrometheusRule/bailiff"];
    assert_eq!(rule["metadata"]["labels"]["release"], "main");

    let runbook = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let tests = std::fs::read_to_string(root().join("crates/testing/tests/alerts.yaml")).unwrap();
    let rules = rule["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 9);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(runbook.contains(&format!("\n## {name}\n")), "{name}");
        assert!(tests.contains(&format!("alertname: {name}")), "{name}");
        let annotations = &rule["annotations"];
        for annotation in ["summary", "description"] {
            assert!(annotations[annotation].is_string(), "{name}: {annotation}");
        }
        assert_eq!(
            annotations["runbook_url"],
            format!("https://bailiff.dev/docs/runbook#{}", name.to_lowercase())
        );
    }

    // Prometheus' own tool has the last word: syntax, and when each alert fires.
    let output = Command::new(root().join("hack/promtool.sh"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let promtool = String::from_utf8(output.stdout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let written = serde_yaml_ng::to_string(&rule["spec"]).unwrap();
    std::fs::write(folder.path().join("rules.yaml"), written).unwrap();
    std::fs::write(folder.path().join("alerts.yaml"), tests).unwrap();
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "alerts.yaml"],
    ] {
        let output = Command::new(promtool.trim())
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_controller_that_is_not_ready_blocks_no_drain() {
    let objects = bailiff(&[]).unwrap();
    let spec = &objects["PodDisruptionBudget/bailiff-controller"]["spec"];
    assert_eq!(spec["minAvailable"], 1);
    assert_eq!(spec["unhealthyPodEvictionPolicy"], "AlwaysAllow");
}

/// A `GitOps` tool compares what a chart renders with what the API server returns: what Kubernetes 1.30
/// drops, or what changes from one rendering to the next, would differ for ever.
#[test]
fn kubernetes_1_30_keeps_what_the_chart_renders() {
    let values = [
        "--kube-version",
        "1.30",
        "--set",
        "podMonitor.enabled=true,prometheusRule.enabled=true",
    ];
    let objects = bailiff(&values).unwrap();
    assert_eq!(objects, bailiff(&values).unwrap());
    for (name, object) in &objects {
        // On by default since 1.31.
        assert!(!object.to_string().contains("selectableFields"), "{name}");
        assert!(object["status"].is_null(), "{name}");
    }
    let refused = bailiff(&["--kube-version", "1.29"]).unwrap_err();
    assert!(refused.contains("1.30"), "{refused}");
}

/// The names of the objects are fixed, so any release name works: Helm itself rejects a second release
/// in the cluster.
#[test]
fn the_release_can_have_any_name() {
    let output = Command::new("helm")
        .args(["template", "security-bailiff", "charts/bailiff"])
        .current_dir(root())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
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

#[test]
fn a_value_that_is_unknown_or_invalid_is_rejected_with_its_name() {
    for (value, words) in [
        ("sensor.ringByte=1", "ringByte"),
        ("sensor.ringBufferBytes=5000", "ringBufferBytes"),
        ("controller.leaseDuration=15s", "leaseDuration"),
        (
            "controller.leaderElection.leaseDuration=soon",
            "leaseDuration",
        ),
        ("response.mode=Off", "mode"),
        ("response.maxGracePeriodSeconds=0", "maxGracePeriodSeconds"),
        ("response.maxEvictionsPerMinute=0", "maxEvictionsPerMinute"),
        ("retention.maxIncidents=0", "maxIncidents"),
        ("prometheusRule.runbookURL=docs", "runbookURL"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("priorityClasses.value=5", "value"),
    ] {
        let said = bailiff(&["--set", value]).unwrap_err();
        assert!(said.contains(words), "{value}: {said}");
    }
}
