//! Values of the chart: each one reaches what it is about, and others are rejected by name.
//!
//! Here: objects that a value switches, and the environment of both components. Not here: permissions
//! (`permissions`), alerts (`alerts`).
//! Invariant: a component has the variables of the values, and no others.

use crate::{CONTAINER, Objects, bailiff, render};
use std::collections::BTreeMap;

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
        "FlowSchema/bailiff-renderer",
        "FlowSchema/bailiff-webhook",
        "PriorityLevelConfiguration/bailiff-webhook",
        "ClusterRoleBinding/bailiff-policies-get",
    ];
    let always = [
        "ValidatingAdmissionPolicy/bailiff-incident-protection",
        "ValidatingAdmissionPolicyBinding/bailiff-incident-protection",
        "ConfigMap/bailiff-response",
        "ValidatingAdmissionPolicy/bailiff-eviction-protection",
        "ValidatingAdmissionPolicyBinding/bailiff-eviction-protection",
        "ValidatingAdmissionPolicy/bailiff-switch-protection",
        "ValidatingAdmissionPolicyBinding/bailiff-switch-protection",
        "ValidatingAdmissionPolicy/bailiff-facts-protection",
        "ValidatingAdmissionPolicyBinding/bailiff-facts-protection",
        "ValidatingAdmissionPolicy/bailiff-webhook-protection",
        "ValidatingAdmissionPolicyBinding/bailiff-webhook-protection",
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
    ("webhook.enabled=false", "WEBHOOK", "false"),
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
        (
            "sensor.sandboxRuntimeClasses={a,b.c}",
            "SANDBOX_RUNTIME_CLASSES",
            "a,b.c",
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

#[test]
fn each_value_of_the_image_policies_reaches_the_webhook_and_the_renderer() {
    let shared = [
        ("exemptNamespaces={a,b}", "EXEMPT_NAMESPACES", "a,b"),
        ("imagePolicies.mode=Audit", "IMAGE_POLICIES_MODE", "Audit"),
        ("log.format=text", "LOG_FORMAT", "text"),
        ("log.level=debug", "LOG_LEVEL", "debug"),
    ];
    let set: Vec<_> = shared
        .iter()
        .flat_map(|(value, _, _)| ["--set", value])
        .collect();
    let set = [&set[..], &["--set", "webhook.tagStaleIfError=2h"]].concat();
    let objects = bailiff(&set).unwrap();
    let own = ("NAMESPACE", "{metadata.namespace}");
    let webhook = [
        own,
        ("WEBHOOK_BIND_ADDRESS", "[::]:9443"),
        ("POD_NAME", "{metadata.name}"),
        ("REGISTRIES", "/etc/bailiff/registries.yaml"),
        ("TAG_STALE_IF_ERROR", "2h"),
    ];
    let renderer = [own, ("WEBHOOK", "true")];
    for (component, others) in [("webhook", &webhook[..]), ("renderer", &renderer[..])] {
        let have = environment(&objects[&format!("Deployment/bailiff-{component}")]);
        assert_eq!(have, variables(&shared, others), "{component}");
    }
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

#[test]
fn durations_and_numbers_of_each_form_are_accepted() {
    for value in [
        "retention.maxAge=168h",
        "retention.maxAge=1h 30m",
        "retention.maxAge=1h30m 5s 500ms",
        "sensor.maxUnavailable=1",
        "sensor.maxUnavailable=100%",
        "podMonitor.interval=1m30s",
    ] {
        bailiff(&["--set", value]).unwrap();
    }
}

#[test]
fn a_sensor_runs_where_daemon_sets_do() {
    let affinity = |values: &[&str]| {
        let sensor = &bailiff(values).unwrap()["DaemonSet/bailiff-sensor"];
        sensor["spec"]["template"]["spec"]["affinity"].clone()
    };
    let terms = &affinity(&[])["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    assert_eq!(
        *terms,
        serde_json::json!([{"matchExpressions": [
            {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]},
            {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]},
        ]}])
    );
    let none = affinity(&["--set-json", "sensor.affinity=null"]);
    assert!(none.is_null(), "{none}");
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
        ("webhook.failurePolicy=Never", "failurePolicy"),
        ("webhook.timeoutSeconds=31", "timeoutSeconds"),
        ("webhook.port=8080", "port"),
        ("webhook.port=443", "port"),
        ("networkPolicy.dnsPorts={}", "dnsPorts"),
        ("imagePolicies.mode=Off", "mode"),
        ("registryAccess.denyCIDRs={10.0.0.0}", "denyCIDRs"),
        ("sensor.maxUnavailable=0", "maxUnavailable"),
        ("sensor.maxUnavailable=0%", "maxUnavailable"),
        ("sensor.maxUnavailable=101%", "maxUnavailable"),
        ("sensor.maxUnavailable=some", "maxUnavailable"),
        // Durations that the binary rejects, and zero.
        ("controller.statusResyncInterval=0s", "statusResyncInterval"),
        ("retention.maxAge=7d", "maxAge"),
        ("retention.maxAge=30m 1h", "maxAge"),
        ("response.maxAge=99999999999h", "maxAge"),
        ("sensor.podLookupTimeout=", "podLookupTimeout"),
        ("podMonitor.interval=1m 30s", "interval"),
    ] {
        let said = bailiff(&["--set", value]).unwrap_err();
        assert!(said.contains(words), "{value}: {said}");
    }
}
