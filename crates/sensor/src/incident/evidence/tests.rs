//! Incidents of ordinary and of hostile processes.

use super::*;
use crate::cluster::pods::Pods;
use crate::incident::processes::Processes;
use bailiff_api::{DescriptorType, ExecutableSource, IncidentType, Origin, Severity, Violation};
use bailiff_policy::{Ancestors, Container, Process, Script, Stdio};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

fn now() -> Timestamp {
    "2026-01-01T00:00:00.123456Z".parse().unwrap()
}

/// A violation by `sh -c id` in a pod with these labels.
pub(crate) fn finding(labels: &BTreeMap<String, String>, selected: &[&str]) -> Finding {
    let pod = json!({
        "metadata": {"name": "p".repeat(63), "namespace": "n".repeat(63),
            "uid": "0f5b6d3e-7c1a-4e53-9d0c-3a1f5f6f7a8b", "labels": labels},
        "spec": {"containers": [], "serviceAccountName": "s".repeat(63)},
    });
    let mut pods = Pods::default();
    let json = serde_json::to_vec(&pod).unwrap();
    let uid = pods.apply(&json, &Arc::default(), now()).unwrap();
    Finding {
        type_: IncidentType::Violation,
        severity: Severity::High,
        policy: PolicyReference {
            name: "policy".to_owned(),
            uid: "u".repeat(36),
            generation: 1,
        },
        bindings: bindings(1, 10),
        enforced: true,
        selected: Arc::new(selected.iter().map(ToString::to_string).collect()),
        pod: Arc::clone(pods.get(&uid).unwrap()),
        container_id: Some("8".repeat(64)),
        container: Container::default(),
        process: Arc::new(Process {
            executable: "/bin/sh".to_owned(),
            invoked_path: "/bin/sh".to_owned(),
            names: vec!["sh".to_owned()],
            args: Vec::new(),
            args_gap: None,
            args_truncated: false,
            working_directory: "/srv".to_owned(),
            executable_source: ExecutableSource::Image,
            executable_deleted: false,
            script: None,
            stdio: Stdio([DescriptorType::Pipe; 3]),
            secure_exec: false,
            origin: Origin::Exec,
            left_pod_cgroup: false,
            uid: 0,
            gid: 0,
            capabilities: vec!["CHOWN".to_owned()],
            start_time: now(),
            ancestors: Ancestors::default(),
        }),
        args: Arc::new(
            ["sh", "-c", "id"]
                .map(|arg| arg.as_bytes().to_vec())
                .to_vec(),
        ),
        args_cut: false,
        pid: 7,
        violations: vec![Violation {
            expression_index: Some(0),
            message: "no".to_owned(),
        }],
        time: now(),
    }
}

fn bindings(number: usize, length: usize) -> Vec<BindingReference> {
    let binding = |index| BindingReference {
        name: format!("{index:0length$}"),
        uid: "u".repeat(36),
    };
    (0..number).map(binding).collect()
}

fn numbered(number: usize, length: usize) -> BTreeMap<String, String> {
    let label = |index| (format!("a{index:0length$}"), "v".repeat(63));
    (0..number).map(label).collect()
}

fn spec_of(finding: &Finding) -> IncidentSpec {
    incident(finding, "node", now()).spec
}

/// Arguments of a violation, as they come from the kernel.
fn with_args(args: Vec<Vec<u8>>) -> Finding {
    Finding {
        args: Arc::new(args),
        ..finding(&BTreeMap::new(), &[])
    }
}

/// What `managedFields` says of an object whose lists are atomic.
fn fields(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (format!("f:{key}"), fields(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        _ => json!({}),
    }
}

/// The object as the API server keeps it once the controller has responded, with as many processes in
/// its series as there are at most.
fn stored(incident: &Incident) -> usize {
    let series = series(incident);
    let mut incident = serde_json::to_value(incident).unwrap();
    let manager = |operation: &Value| {
        json!({
            "manager": "bailiff", "operation": "Update", "apiVersion": "bailiff.dev/v1alpha1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": operation,
        })
    };
    let condition = |type_| {
        json!({"type": type_, "status": "Unknown", "reason": "WaitingForDisruptionBudget",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "m".repeat(300)})
    };
    let status = json!({
        "phase": "Unresolved",
        "conditions": [condition("Responded"), condition("Recovered")],
        "series": series,
        "response": {"action": "Evict", "bindingName": "b".repeat(63), "time": "2026-01-01T00:00:00.123456Z"},
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w".repeat(63), "uid": "u".repeat(36)},
        "replacement": {"name": "r".repeat(63), "uid": "u".repeat(36), "nodeName": "n".repeat(63),
            "readyTime": "2026-01-01T00:00:00Z"},
    });
    let written =
        json!({"metadata": {"labels": incident["metadata"]["labels"]}, "spec": incident["spec"]});
    incident["metadata"]["managedFields"] = json!([
        manager(&fields(&written)),
        manager(&fields(&json!({"status": {"series": status["series"]}}))),
        manager(&fields(&json!({"status": status}))),
    ]);
    incident["metadata"]["uid"] = "u".repeat(36).into();
    incident["metadata"]["resourceVersion"] = "1000000000".into();
    incident["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    incident["status"] = status;
    stored_size(&incident)
}

/// A series of processes as long as they may be.
fn series(incident: &Incident) -> bailiff_api::Series {
    let mut processes = Processes::of(Some(&incident.spec.process), process_room(&incident.spec));
    for index in 0..20 {
        let mut long = finding(&BTreeMap::new(), &[]);
        long.process = Arc::new(Process {
            executable: format!("/{index}/{}", "<".repeat(1000)),
            args: vec!["\u{1}".repeat(1000), "<".repeat(1000)],
            ..(*long.process).clone()
        });
        processes.add(&long);
    }
    let (first_processes, last_processes) = processes.lists();
    bailiff_api::Series {
        count: 1 << 53,
        last_observed_time: MicroTime(now()),
        policy_generation: 1000,
        binding_refs: incident.spec.binding_refs.clone(),
        first_processes,
        last_processes,
    }
}

#[test]
fn an_ordinary_process_is_told_whole() {
    let mut finding = finding(&numbered(3, 10), &[]);
    finding.bindings = bindings(3, 20);
    let spec = spec_of(&finding);
    assert_eq!(spec.process.args, ["sh", "-c", "id"]);
    assert!(spec.process.args_base64.is_empty() && !spec.process.args_truncated);
    assert_eq!((spec.pod.labels.len(), spec.binding_refs.len()), (3, 3));
    assert_eq!(spec.process.executable, "/bin/sh");
    assert_eq!(spec.process.working_directory.as_deref(), Some("/srv"));
    assert_eq!(spec.exec_time, MicroTime(now()));
    assert_eq!(spec.process.stdio, [DescriptorType::Pipe; 3]);
    assert_eq!(spec.process.script_source, None);
    assert!(!spec.process.secure_exec && !spec.process.executable_deleted);
    let long = with_args(vec![b"sh".to_vec(), vec![b'x'; 4000]]);
    let long = spec_of(&long);
    assert_eq!(long.process.args[1].len(), 4000);
    assert!(!long.process.args_truncated);
}

#[test]
fn what_came_with_the_exec_is_told() {
    let mut finding = finding(&BTreeMap::new(), &[]);
    let kinds = [
        DescriptorType::Socket,
        DescriptorType::Terminal,
        DescriptorType::Closed,
    ];
    finding.process = Arc::new(Process {
        stdio: Stdio(kinds),
        secure_exec: true,
        executable_deleted: true,
        script: Some(Script {
            path: "/tmp/x.sh".to_owned(),
            source: ExecutableSource::Volume,
        }),
        ..(*finding.process).clone()
    });
    let process = serde_json::to_value(spec_of(&finding).process).unwrap();
    for (field, want) in [
        ("stdio", json!(["Socket", "Terminal", "Closed"])),
        ("secureExec", json!(true)),
        ("executableDeleted", json!(true)),
        ("scriptPath", json!("/tmp/x.sh")),
        ("scriptSource", json!("Volume")),
    ] {
        assert_eq!(process[field], want, "{field}");
    }
}

#[test]
fn the_argument_behind_much_padding_is_evidence() {
    let padding = "x".repeat(4000);
    let args = ["sh", "-c", &padding, "--telling"];
    let finding = with_args(args.map(|arg| arg.as_bytes().to_vec()).to_vec());
    assert!(!spec_of(&finding).process.args_truncated, "it fits");
    let padding = "x".repeat(5000);
    let args = ["sh", "-c", &padding, "--telling"];
    let finding = with_args(args.map(|arg| arg.as_bytes().to_vec()).to_vec());
    let process = spec_of(&finding).process;
    assert!(process.args_truncated);
    assert_eq!(process.args[..2], ["sh", "-c"]);
    assert!(process.args[2].contains("x…x"), "{:?}", process.args);
    assert_eq!(process.args[3..], ["--telling"]);
    let bytes: usize = process.args.iter().map(|arg| arg.len() + 1).sum();
    assert_eq!(bytes, ARGS_LIMIT_BYTES + 1);
}

#[test]
fn labels_that_selectors_name_are_kept_before_all_others() {
    let mut labels = numbered(40, 200);
    for key in ["team", "pod-template-hash", "zone"] {
        labels.insert(key.to_owned(), "v".to_owned());
    }
    let violation = Finding {
        args: Arc::new(vec![vec![b'x'; 4096]]),
        ..finding(&labels, &["team", "absent", "zone"])
    };
    let spec = spec_of(&violation);
    let kept = |key: &str| spec.pod.labels.contains_key(key);
    assert!(
        kept("team") && kept("zone") && kept("pod-template-hash"),
        "{spec:#?}"
    );
    assert_eq!(
        spec.process.args[0].len(),
        4096,
        "other labels go before arguments"
    );
    assert_eq!(spec.pod.labels.len(), 3);

    let few: Vec<_> = labels.iter().filter(|(key, _)| key.len() < 20).collect();
    let mut small = numbered(40, 10);
    small.extend(
        few.into_iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let spec = spec_of(&finding(&small, &["team"]));
    assert_eq!(spec.pod.labels.len(), LABELS_LIMIT);
    assert!(spec.pod.labels.contains_key("team"));
}

#[test]
fn bytes_that_are_no_text_are_kept_in_both_forms() {
    let args = vec![b"sh".to_vec(), b"-c".to_vec(), vec![0xff; 3500]];
    let spec = spec_of(&with_args(args.clone()));
    let process = &spec.process;
    let decode = |text: &String| {
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap()
    };
    let decoded: Vec<_> = process.args_base64.iter().map(decode).collect();
    assert_eq!(decoded[..2], args[..2]);
    assert!(decoded[2].len() > 1000, "{} bytes", decoded[2].len());
    let gap = "…".as_bytes();
    let pieces = decoded[2].split(|byte| *byte != 0xff);
    let pieces: Vec<_> = pieces.filter(|piece| !piece.is_empty()).collect();
    assert_eq!(pieces.len(), 2, "beginning and end");
    assert_eq!(decoded[2], [pieces[0], gap, pieces[1]].concat());
    let text: Vec<_> = decoded
        .iter()
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect();
    assert_eq!(process.args, text, "the same arguments");
    assert!(process.args_truncated);

    let few = vec![b"\xff\xfe".to_vec(), b"a".to_vec()];
    let process = spec_of(&with_args(few)).process;
    assert_eq!(process.args, ["\u{fffd}\u{fffd}", "a"]);
    assert_eq!(process.args_base64, ["//4=", "YQ=="]);
    assert!(!process.args_truncated, "nothing is missing");
}

#[test]
fn text_is_cut_between_characters_and_says_so() {
    let process = spec_of(&with_args(vec!["\u{1}ä".repeat(1365).into_bytes()])).process;
    assert!(process.args_truncated);
    assert!(process.args_base64.is_empty(), "it is text");
    assert!(!process.args[0].contains('\u{fffd}'));
    assert!(process.args[0].len() > 500, "{}", process.args[0].len());
}

#[test]
fn ancestors_are_kept_at_the_cost_of_labels_that_no_selector_reads() {
    let mut finding = finding(&numbered(32, 200), &[]);
    finding.process = Arc::new(Process {
        ancestors: Ancestors(vec![ancestor("/bin/bash", "bash"); 16]),
        ..(*finding.process).clone()
    });
    let spec = spec_of(&finding);
    assert_eq!(spec.process.ancestors.len(), 16);
    assert!(spec.pod.labels.is_empty());
}

fn ancestor(executable: &str, arg: &str) -> bailiff_policy::Ancestor {
    bailiff_policy::Ancestor {
        executable: executable.to_owned(),
        names: Vec::new(),
        args: vec![arg.to_owned()],
        pid: 1,
        start_time: now(),
    }
}

/// Characters that take one byte, and six, and three.
fn text(most: usize) -> impl Strategy<Value = String> {
    let alphabet = prop_oneof![
        Just("a"),
        Just("\u{1}"),
        Just("<"),
        Just("\u{fffd}"),
        Just("\"")
    ];
    (alphabet, 0..=most).prop_map(|(character, number)| character.repeat(number))
}

/// Bytes that text shows, that JSON escapes, that are no UTF-8.
fn argument() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'a'), Just(1), Just(b'<'), Just(0xff)];
    let same = (byte, 0..4096_usize).prop_map(|(byte, number)| vec![byte; number]);
    prop_oneof![same, proptest::collection::vec(any::<u8>(), 0..64)]
}

/// A process and its pod, as long as they may be.
#[derive(Clone, Debug)]
struct Hostile {
    /// Executable, invoked path, names, script, ancestors' executable, image, its ID, messages, working
    /// directory.
    texts: [String; 9],
    args: Vec<Vec<u8>>,
    /// How many, and how long their keys are.
    labels: (usize, usize),
    /// How many labels a selector names.
    selected: usize,
    ancestors: usize,
    /// How many, and how long their names are.
    bindings: (usize, usize),
    messages: usize,
}

fn hostile() -> impl Strategy<Value = Hostile> {
    (
        proptest::collection::vec(text(4096), 9),
        proptest::collection::vec(argument(), 0..8),
        (0..48_usize, 10..300_usize),
        0..40_usize,
        0..=16_usize,
        (1..=16_usize, 1..=253_usize),
        1..=16_usize,
    )
        .prop_map(
            |(texts, args, labels, selected, ancestors, bindings, messages)| Hostile {
                texts: texts.try_into().unwrap(),
                args,
                labels,
                selected,
                ancestors,
                bindings,
                messages,
            },
        )
}

fn stays_small(hostile: Hostile) {
    let texts = &hostile.texts;
    let labels = numbered(hostile.labels.0, hostile.labels.1);
    let selected = labels.keys().take(hostile.selected).map(String::as_str);
    let selected: Vec<_> = selected.collect();
    let mut finding = finding(&labels, &selected);
    finding.bindings = bindings(hostile.bindings.0, hostile.bindings.1);
    let mut room = 4096_usize;
    let args = hostile.args.into_iter().map(|mut arg| {
        arg.truncate(room);
        room = room.saturating_sub(arg.len() + 1);
        arg
    });
    finding.args = Arc::new(args.collect());
    finding.container_id = Some(texts[3].clone());
    let mut facts = (*finding.pod).clone();
    facts.service_account = Some(texts[4].clone());
    let within = |text: &str, limit: usize| cut(text, limit).to_owned();
    facts.controller = Some(bailiff_api::WorkloadReference {
        api_version: within(&texts[0], 317),
        kind: within(&texts[1], 63),
        name: within(&texts[2], 253),
        uid: "u".repeat(36),
    });
    finding.pod = Arc::new(facts);
    finding.container = Container {
        name: Some(texts[2].clone()),
        image: Some(texts[5].clone()),
        image_id: Some(texts[6].clone()),
        type_: None,
    };
    let violation = Violation {
        expression_index: Some(0),
        message: texts[7].clone(),
    };
    finding.violations = vec![violation; hostile.messages];
    finding.process = Arc::new(Process {
        executable: texts[0].clone(),
        invoked_path: texts[1].clone(),
        names: vec![texts[2].clone(); 5],
        script: Some(Script {
            path: texts[3].clone(),
            source: ExecutableSource::WritableLayer,
        }),
        stdio: Stdio([DescriptorType::Terminal; 3]),
        secure_exec: true,
        executable_deleted: true,
        left_pod_cgroup: true,
        working_directory: texts[8].clone(),
        capabilities: vec!["CHECKPOINT_RESTORE".to_owned(); 41],
        ancestors: Ancestors(vec![ancestor(&texts[4], &texts[2]); hostile.ancestors]),
        ..(*finding.process).clone()
    });
    let incident = incident(&finding, &"n".repeat(63), now());
    let size = stored(&incident);
    assert!(size < 16 * 1024, "{size} bytes");
    let mut whole = serde_json::to_value(&incident).unwrap();
    whole["status"] = json!({"series": series(&incident)});
    assert_eq!(faults(schema(), &whole, ""), Vec::<String>::new());
    assert!(!incident.spec.binding_refs.is_empty() && !incident.spec.violations.is_empty());
    for key in selected.into_iter().take(8).filter(|key| key.len() < 100) {
        assert!(incident.spec.pod.labels.contains_key(key), "{key} is lost");
    }
    let args = &incident.spec.process.args;
    let cut = finding.args.len() > args.len()
        || finding
            .args
            .iter()
            .zip(args)
            .any(|(given, kept)| String::from_utf8_lossy(given) != *kept);
    assert_eq!(incident.spec.process.args_truncated, cut);
}

/// The schema of an Incident, as the API server has it.
fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let crds = bailiff_api::crds();
        let of_incidents = crds.iter().find(|crd| crd.spec.names.kind == "Incident");
        let schema = of_incidents.unwrap().spec.versions[0].schema.as_ref();
        serde_json::to_value(schema.unwrap().open_api_v3_schema.as_ref().unwrap()).unwrap()
    })
}

/// Why the API server would reject a value.
fn faults(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let number = |key: &str| schema[key].as_f64();
    let within = |size: usize, least: &str, most: &str| {
        let size = f64::from(u32::try_from(size).unwrap());
        number(least).is_none_or(|least| size >= least)
            && number(most).is_none_or(|most| size <= most)
    };
    let mut found = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{path}: {what}"));
        }
    };
    if let Some(words) = schema["enum"].as_array() {
        expect(words.contains(value), "is no such word");
    }
    match value {
        Value::String(text) => {
            expect(schema["type"] == "string", "is a text");
            expect(
                within(text.chars().count(), "minLength", "maxLength"),
                "length",
            );
        }
        Value::Array(list) => {
            expect(schema["type"] == "array", "is a list");
            expect(
                within(list.len(), "minItems", "maxItems"),
                "number of items",
            );
            for (index, item) in list.iter().enumerate() {
                found.extend(faults(&schema["items"], item, &format!("{path}[{index}]")));
            }
        }
        Value::Object(map) => {
            expect(schema["type"] == "object", "is an object");
            expect(
                within(map.len(), "minProperties", "maxProperties"),
                "number of keys",
            );
            for required in schema["required"].as_array().into_iter().flatten() {
                expect(
                    map.contains_key(required.as_str().unwrap()),
                    "lacks a field",
                );
            }
            if path.is_empty()
                || schema["properties"].is_object()
                || schema["additionalProperties"].is_object()
            {
                for (key, value) in map.iter().filter(|(key, _)| {
                    !path.is_empty() || matches!(key.as_str(), "spec" | "status")
                }) {
                    let of_key = schema["properties"]
                        .get(key)
                        .unwrap_or(&schema["additionalProperties"]);
                    found.extend(faults(of_key, value, &format!("{path}.{key}")));
                }
            }
        }
        Value::Number(n) => {
            expect(
                matches!(schema["type"].as_str(), Some("integer" | "number")),
                "is a number",
            );
            expect(
                number("minimum").is_none_or(|least| n.as_f64().unwrap() >= least),
                "is too small",
            );
        }
        Value::Bool(_) => expect(schema["type"] == "boolean", "is a bool"),
        Value::Null => expect(schema["nullable"] == true, "is null"),
    }
    found
}

#[test]
fn what_the_schema_does_not_allow_is_a_fault() {
    let incident = incident(&finding(&BTreeMap::new(), &[]), "node", now());
    let valid = serde_json::to_value(&incident).unwrap();
    assert_eq!(faults(schema(), &valid, ""), Vec::<String>::new());
    for (pointer, value, want) in [
        (
            "/spec/container/id",
            json!("x".repeat(129)),
            ".spec.container.id: length",
        ),
        ("/spec/nodeName", json!(""), ".spec.nodeName: length"),
        (
            "/spec/bindingRefs",
            json!([]),
            ".spec.bindingRefs: number of items",
        ),
        (
            "/spec/process/origin",
            json!("Moon"),
            ".spec.process.origin: is no such word",
        ),
        (
            "/spec/process/uid",
            json!("0"),
            ".spec.process.uid: is a text",
        ),
        (
            "/spec/violations/0/expressionIndex",
            json!(-1),
            ".spec.violations[0].expressionIndex: is too small",
        ),
        (
            "/spec/pod",
            json!({"name": "a", "uid": "u"}),
            ".spec.pod: lacks a field",
        ),
    ] {
        let mut invalid = valid.clone();
        *invalid
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("{pointer}")) = value;
        assert!(
            faults(schema(), &invalid, "").contains(&want.to_owned()),
            "{pointer}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn the_incident_of_a_process_with_any_name_stays_small(hostile in hostile()) {
        stays_small(hostile);
    }
}

#[test]
fn selected_labels_stay_beside_all_that_can_be_long() {
    for (letter, byte) in [("\u{1}", 1), ("\"", 0xff), ("<", b'<'), ("a", b'a')] {
        for length in [91, 98] {
            stays_small(Hostile {
                texts: [const { String::new() }; 9].map(|_| letter.repeat(4096)),
                args: vec![vec![0x80], vec![byte; 4096]],
                labels: (8, length),
                selected: 8,
                ancestors: 16,
                bindings: (14, 171),
                messages: 16,
            });
        }
    }
}
