//! Verdicts, faults and selectors, as tables.

use crate::*;
use bailiff_api::{DescriptorType, ExecutableSource, FailurePolicy, Origin, RuntimePolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::json;
use std::collections::BTreeMap;

/// A shell in a web server's container, started by exec.
pub(crate) fn shell() -> Process {
    Process {
        executable: "/bin/busybox".to_owned(),
        invoked_path: "/bin/sh".to_owned(),
        names: vec!["busybox".to_owned(), "sh".to_owned()],
        args: vec!["sh".to_owned(), "-c".to_owned(), "id".to_owned()],
        args_gap: None,
        args_truncated: false,
        working_directory: "/srv/www".to_owned(),
        executable_source: ExecutableSource::Image,
        executable_deleted: false,
        script: None,
        stdio: Stdio([
            DescriptorType::Null,
            DescriptorType::Pipe,
            DescriptorType::Closed,
        ]),
        secure_exec: false,
        origin: Origin::Exec,
        left_pod_cgroup: false,
        uid: 0,
        gid: 0,
        capabilities: vec!["NET_RAW".to_owned()],
        start_time: "2026-01-01T00:00:00Z".parse().unwrap(),
        ancestors: Ancestors::default(),
    }
}

pub(crate) fn policy(spec: serde_json::Value) -> RuntimePolicy {
    let mut spec = spec;
    if spec.get("validations").is_none() {
        spec["validations"] = json!([{"expression": "true"}]);
    }
    serde_json::from_value(json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
        "metadata": {"name": "p", "uid": "u", "generation": 3}, "spec": spec,
    }))
    .unwrap()
}

fn verdict(spec: serde_json::Value, process: &Process) -> Verdict {
    let compiled = compile(&policy(spec)).unwrap();
    let pod = json!({"metadata": {"name": "web-1", "labels": {"app": "web"}}});
    let namespace = json!({"metadata": {"name": "shop"}});
    let container = Container {
        name: Some("app".to_owned()),
        ..Container::default()
    };
    evaluate(
        &compiled,
        &Input {
            process,
            container: &container,
            object: Some(&pod),
            namespace_object: Some(&namespace),
        },
    )
}

fn violated(validation: usize, message: &str) -> FailedValidation {
    FailedValidation {
        validation,
        message: message.to_owned(),
    }
}

#[test]
fn a_policy_has_its_verdict() {
    let rule =
        |expression: &str| json!({"validations": [{"expression": expression, "message": "no"}]});
    let no = Verdict::Violated(vec![violated(0, "no")], Vec::new());
    for (expression, want) in [
        ("process.origin != 'Exec'", no.clone()),
        ("process.origin == 'Exec'", Verdict::Allowed),
        ("!process.names.exists(n, n in ['sh'])", no.clone()),
        (
            "process.args.size() == 3 && process.args[2] == 'id'",
            Verdict::Allowed,
        ),
        (
            "process.executableSource == 'Image' && process.uid == 0",
            Verdict::Allowed,
        ),
        (
            "process.workingDirectory == '/srv/www' && process.argPaths[2] == '/srv/www/id'",
            Verdict::Allowed,
        ),
        (
            "process.argPaths.size() == 3 && process.argPaths.exists(p, p.startsWith('/srv/'))",
            Verdict::Allowed,
        ),
        ("'NET_RAW' in process.capabilities", Verdict::Allowed),
        ("has(process.parent)", no),
        (
            "!has(process.script) && process.ancestors.all(a, a.executable == '/x')",
            Verdict::Allowed,
        ),
        (
            "process.startTime > timestamp('2025-01-01T00:00:00Z')",
            Verdict::Allowed,
        ),
        (
            "container.name == 'app' && !has(container.image)",
            Verdict::Allowed,
        ),
        (
            "object.metadata.labels.app == 'web' && namespaceObject.metadata.name == 'shop'",
            Verdict::Allowed,
        ),
        // As in a ValidatingAdmissionPolicy.
        (
            "namespaceObject.metadata == dyn(1)",
            Verdict::EvaluationFailed(vec![EvaluationError {
                validation: Some(0),
                message: "validations[0]: no such overload".to_owned(),
            }]),
        ),
        (
            "object.metadata.labels.nothing == 'web'",
            Verdict::EvaluationFailed(vec![EvaluationError {
                validation: Some(0),
                message: "validations[0]: no such key: nothing".to_owned(),
            }]),
        ),
    ] {
        assert_eq!(verdict(rule(expression), &shell()), want, "{expression}");
    }
}

#[test]
fn every_violation_and_every_failure_is_named() {
    let spec = json!({"validations": [
        {"expression": "false", "message": "first"},
        {"expression": "true"},
        {"expression": "object.nothing == 1"},
        {"expression": "1 == 2"},
        {"expression": "false", "messageExpression": "'shell ' + process.executable", "message": "unused"},
        {"expression": "false", "messageExpression": "object.nothing", "message": "stands in"},
        {"expression": "false", "messageExpression": "'two\\nlines'", "message": "one line"},
    ]});
    let want = Verdict::Violated(
        vec![
            violated(0, "first"),
            violated(3, "failed expression: 1 == 2"),
            violated(4, "shell /bin/busybox"),
            violated(5, "stands in"),
            violated(6, "one line"),
        ],
        vec![EvaluationError {
            validation: Some(2),
            message: "validations[2]: no such key: nothing".to_owned(),
        }],
    );
    assert_eq!(verdict(spec, &shell()), want);
}

#[test]
fn conditions_come_first_and_one_that_is_false_wins_over_one_that_fails() {
    let with = |conditions: &[&str]| {
        let conditions: Vec<_> = conditions
            .iter()
            .enumerate()
            .map(|(i, e)| json!({"name": format!("c{i}"), "expression": e}))
            .collect();
        json!({"matchConditions": conditions, "validations": [{"expression": "false", "message": "no"}]})
    };
    let no = Verdict::Violated(vec![violated(0, "no")], Vec::new());
    let failed = Verdict::EvaluationFailed(vec![EvaluationError {
        validation: None,
        message: "matchConditions[c0]: no such key: x".to_owned(),
    }]);
    for (conditions, want) in [
        (&["true"][..], no),
        (&["true", "false"], Verdict::NotMatched),
        (&["object.x == 1", "false"], Verdict::NotMatched),
        (&["object.x == 1", "true"], failed),
    ] {
        assert_eq!(verdict(with(conditions), &shell()), want, "{conditions:?}");
    }
}

#[test]
fn variables_are_lazy_and_see_earlier_ones() {
    let spec = json!({
        "variables": [
            {"name": "shells", "expression": "['sh', 'bash']"},
            {"name": "isShell", "expression": "process.names.exists(n, n in variables.shells)"},
            {"name": "never", "expression": "1 / 0 == 1"},
        ],
        "validations": [{"expression": "!variables.isShell", "message": "shell"}, {"expression": "true || variables.never"}],
    });
    assert_eq!(
        verdict(spec, &shell()),
        Verdict::Violated(vec![violated(0, "shell")], Vec::new())
    );
}

#[test]
fn every_fault_of_a_policy_is_reported_with_its_field() {
    let faults = compile(&policy(json!({
        "matchConstraints": {"objectSelector": {"matchExpressions": [{"key": "app", "operator": "Is"}]}},
        "matchConditions": [{"name": "c", "expression": "process.uid"}],
        "variables": [{"name": "v", "expression": "proces.uid"}],
        "validations": [
            {"expression": "process.nmaes == 1"},
            {"expression": "variables.v == 1", "messageExpression": "1"},
            {"expression": "variables.w"},
        ],
    })))
    .unwrap_err();
    let lines: Vec<_> = faults
        .iter()
        .map(|fault| fault.to_string().lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(
        lines,
        [
            "spec.matchConstraints: objectSelector: the operator \"Is\" for the label \"app\" is not known: use In, NotIn, Exists or DoesNotExist",
            "spec.matchConditions[0].expression: must evaluate to bool, and evaluates to int",
            "spec.variables[0].expression: 1:1: undeclared reference to 'proces' (in container ''); did you mean 'process'?",
            "spec.validations[0].expression: 1:8: undefined field 'nmaes'; did you mean 'names'?",
            "spec.validations[1].messageExpression: must evaluate to string, and evaluates to int",
            "spec.validations[2].expression: 1:10: undefined field 'w'; did you mean 'v'?",
        ]
    );
}

#[test]
fn only_policies_that_ask_for_the_container_wait_for_it() {
    let needs = |expression: &str| {
        compile(&policy(
            json!({"validations": [{"expression": expression}]}),
        ))
        .unwrap()
        .needs_container()
    };
    assert!(!needs("process.uid == 0"));
    assert!(needs("container.name == 'app'"));
    let by_variable = compile(&policy(
        json!({"variables": [{"name": "v", "expression": "container.image"}]}),
    ))
    .unwrap();
    assert!(by_variable.needs_container());
}

#[test]
fn a_policy_brings_its_identity_and_its_failure_policy() {
    let compiled = compile(&policy(
        json!({"failurePolicy": "Ignore", "severity": "High"}),
    ))
    .unwrap();
    assert_eq!(
        (
            compiled.name.as_str(),
            compiled.uid.as_str(),
            compiled.generation
        ),
        ("p", "u", 3)
    );
    assert_eq!(compiled.failure_policy, FailurePolicy::Ignore);
}

#[test]
fn a_message_has_a_bound_and_is_cut_between_characters() {
    let long = "é".repeat(2000);
    let spec =
        json!({"validations": [{"expression": "false", "messageExpression": format!("'{long}'")}]});
    let Verdict::Violated(violations, _) = verdict(spec, &shell()) else {
        panic!("not violated")
    };
    assert_eq!(violations[0].message, "é".repeat(512));
}

#[test]
fn selectors_follow_kubernetes() {
    let requirement = |operator: &str, values: &[&str]| LabelSelector {
        match_labels: None,
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: "app".to_owned(),
            operator: operator.to_owned(),
            values: (!values.is_empty()).then(|| values.iter().map(ToString::to_string).collect()),
        }]),
    };
    let labels = |app: Option<&str>| {
        app.map(|app| ("app".to_owned(), app.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>()
    };
    for (operator, values, web, api, none) in [
        ("In", &["web"][..], true, false, false),
        ("NotIn", &["web"], false, true, true),
        ("Exists", &[], true, true, false),
        ("DoesNotExist", &[], false, false, true),
    ] {
        let selector = Selector::compile(Some(&requirement(operator, values))).unwrap();
        assert_eq!(
            selector.matches(&labels(Some("web"))),
            web,
            "{operator} web"
        );
        assert_eq!(
            selector.matches(&labels(Some("api"))),
            api,
            "{operator} api"
        );
        assert_eq!(selector.matches(&labels(None)), none, "{operator} none");
    }
    assert!(Selector::compile(None).unwrap().matches(&labels(None)));
    for (operator, values, want) in [
        (
            "In",
            &[][..],
            "the operator In for the label \"app\" needs at least one value",
        ),
        (
            "Exists",
            &["x"],
            "the operator Exists for the label \"app\" takes no values",
        ),
        (
            "in",
            &["x"],
            "the operator \"in\" for the label \"app\" is not known: use In, NotIn, Exists or DoesNotExist",
        ),
    ] {
        assert_eq!(
            Selector::compile(Some(&requirement(operator, values)))
                .unwrap_err()
                .to_string(),
            want
        );
    }
}

#[test]
fn both_selectors_have_to_match() {
    let label = |key: &str| LabelSelector {
        match_labels: Some(BTreeMap::from([(key.to_owned(), "yes".to_owned())])),
        ..LabelSelector::default()
    };
    let spec = bailiff_api::MatchResources {
        namespace_selector: Some(label("space")),
        object_selector: Some(label("pod")),
    };
    let selectors = MatchResources::compile(&spec).unwrap();
    let labels = |key: &str| BTreeMap::from([(key.to_owned(), "yes".to_owned())]);
    let (space, pod, other) = (labels("space"), labels("pod"), labels("other"));
    assert!(selectors.matches(&space, &pod));
    assert!(!selectors.matches(&space, &other));
    assert!(!selectors.matches(&other, &pod));
    assert!(!selectors.matches(&pod, &space), "each has its own");
    let looked_at: Vec<_> = selectors.object_labels().collect();
    assert_eq!(looked_at, ["pod"]);
}

#[test]
fn expressions_that_do_not_fit_a_pod_are_warned_of_and_run() {
    let spec = json!({
        "variables": [
            {"name": "spec", "expression": "object.spec"},
            {"name": "containers", "expression": "object.spec.containers.map(c, c.image)"},
            {"name": "slip", "expression": "object.spec.container"},
        ],
        "validations": [
            {"expression": "object.spec.hostNetwork != true && object.metadata.labels.app == 'web'"},
            {"expression": "object.spec.hostNetwrk == true", "messageExpression": "object.metadata.nam"},
            {"expression": "variables.containers.exists(i, i == 1) || process.uid == 0"},
            {"expression": "variables.slip.anything == variables.spec.anything"},
            {"expression": "object.spec.containers.all(c, !has(c.resources.limits) || c.resources.limits.cpu == '1')"},
            {"expression": "object.metadata.namespace == object.spec.nodeName && object.status.podIP != ''"},
        ],
    });
    let checked = type_check(&policy(spec.clone())).unwrap();
    let warnings: Vec<_> = checked
        .expression_warnings
        .iter()
        .map(|w| (w.field_ref.as_str(), w.warning.as_str()))
        .collect();
    assert_eq!(
        warnings,
        [
            (
                "spec.validations[1].expression",
                "/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'hostNetwrk'\n | object.spec.hostNetwrk == true\n | ...........^\n"
            ),
            (
                "spec.validations[1].messageExpression",
                "/v1, Kind=Pod: ERROR: <input>:1:16: undefined field 'nam'\n | object.metadata.nam\n | ...............^\n"
            ),
            (
                "spec.validations[2].expression",
                "/v1, Kind=Pod: ERROR: <input>:1:34: found no matching overload for '_==_' applied to '(string, int)'\n | variables.containers.exists(i, i == 1) || process.uid == 0\n | .................................^\n"
            ),
        ]
    );
    // Warnings never stop a policy from running: what is misspelled fails, as before.
    assert!(matches!(
        verdict(spec, &shell()),
        Verdict::EvaluationFailed(_) | Verdict::Violated(..)
    ));
}

#[test]
fn a_long_warning_is_cut_and_a_fitting_policy_has_none() {
    let long = format!("object.spec.no == '{}'", "é".repeat(5000));
    let checked = type_check(&policy(json!({"validations": [{"expression": long}]}))).unwrap();
    let [warning] = checked.expression_warnings.as_slice() else {
        panic!("one warning: {checked:?}")
    };
    assert!((4095..=4096).contains(&warning.warning.len()));
    assert_eq!(
        type_check(&policy(json!({}))).unwrap(),
        bailiff_api::TypeChecking::default()
    );
}
