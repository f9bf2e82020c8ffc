//! Evaluates a changed policy again, on the evidence of an Incident and the live pod.
//!
//! Here: which evidence suffices, and the verdict. Not here: the engine (`bailiff_policy`), what
//! follows (`bailiff_response`).
//! Invariant: an expression is never evaluated on evidence that is truncated or absent: then the next
//! exec decides.

use bailiff_api::{ANCESTORS_LIMIT, DescriptorType, ExecutableSource, Incident, IncidentProcess};
use bailiff_policy::{
    Ancestors, CompiledPolicy, Container, Input, Process, Script, Stdio, Verdict, evaluate,
};
use bailiff_response::Reevaluation;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use serde_json::Value;

/// What a policy gives for the process of an Incident now.
pub(crate) fn reevaluate(
    policy: &CompiledPolicy,
    incident: &Incident,
    pod: &Pod,
    namespace: &Namespace,
) -> Reevaluation {
    if lacks(policy, incident) {
        return Reevaluation::NeedsNextExec;
    }
    let (Ok(object), Ok(namespace_object)) = (object(pod), object(namespace)) else {
        return Reevaluation::Failed("cannot encode the pod or its namespace".to_owned());
    };
    let process = process(&incident.spec.process);
    let container = &incident.spec.container;
    let container = Container {
        name: container.name.clone(),
        image: container.image.clone(),
        image_id: container.image_id.clone(),
        type_: container.type_,
    };
    let input = Input {
        process: &process,
        container: &container,
        object: Some(&object),
        namespace_object: Some(&namespace_object),
    };
    let series = incident.status.as_ref().and_then(|s| s.series.as_ref());
    let others = series.is_some_and(|s| s.count > 1);
    match evaluate(policy, &input) {
        Verdict::Violated(..) => Reevaluation::StillViolates,
        // Of the processes that followed the evidence has less than the expressions read.
        Verdict::NotMatched | Verdict::Allowed if others => Reevaluation::NeedsNextExec,
        Verdict::NotMatched | Verdict::Allowed => Reevaluation::NoLongerViolates,
        Verdict::Unknown(_) => Reevaluation::NeedsNextExec,
        Verdict::EvaluationFailed(errors) => {
            let first = errors.into_iter().next();
            Reevaluation::Failed(first.map_or_else(String::new, |error| error.message))
        }
    }
}

/// Whether expressions read what the evidence does not have as a whole.
fn lacks(policy: &CompiledPolicy, incident: &Incident) -> bool {
    let mentioned = policy.mentioned();
    let reads = |names: &[&str]| names.iter().any(|name| mentioned.contains(name));
    let process = &incident.spec.process;
    let container = &incident.spec.container;
    // The evidence has no names of ancestors.
    reads(&["process.ancestors", "process.parent"])
        || process.ancestors.len() > ANCESTORS_LIMIT
        // Also of whether they are: the evidence may have lost what the expressions got.
        || (process.args_truncated
            && reads(&["process.args", "process.argPaths", "process.argsTruncated"]))
        // A sensor that did not write all three descriptors did not know what came with them.
        || (stdio_of(process).is_none()
            && reads(&["process.stdio", "process.secureExec", "process.executableDeleted"]))
        || (process.script_path.is_some()
            && process.script_source.is_none()
            && reads(&["process.script"]))
        || (process.working_directory.is_none()
            && reads(&["process.workingDirectory", "process.argPaths"]))
        || (container.name.is_none() && reads(&["container"]))
        // The engine got these as a whole: it cannot be said which of their fields are read.
        || (mentioned.contains("process") && !mentioned.iter().any(|m| m.starts_with("process.")))
}

/// What standard input, output and error were; none: the evidence lacks one.
fn stdio_of(evidence: &IncidentProcess) -> Option<[DescriptorType; 3]> {
    evidence.stdio.as_slice().try_into().ok()
}

fn process(evidence: &IncidentProcess) -> Process {
    Process {
        executable: evidence.executable.clone(),
        invoked_path: evidence.invoked_path.clone(),
        names: evidence.names.clone(),
        args: evidence.args.clone(),
        args_gap: None,
        args_truncated: evidence.args_truncated,
        working_directory: evidence.working_directory.clone().unwrap_or_default(),
        executable_source: evidence.executable_source,
        executable_deleted: evidence.executable_deleted,
        script: evidence.script_path.clone().map(|path| Script {
            path,
            source: evidence.script_source.unwrap_or(ExecutableSource::Unknown),
        }),
        stdio: Stdio(stdio_of(evidence).unwrap_or([DescriptorType::Unknown; 3])),
        secure_exec: evidence.secure_exec,
        origin: evidence.origin,
        left_pod_cgroup: evidence.left_pod_cgroup,
        uid: evidence.uid,
        gid: evidence.gid,
        capabilities: evidence.capabilities.clone(),
        start_time: evidence.start_time.0,
        ancestors: Ancestors::default(),
    }
}

/// An object as expressions see it: as the API server gives it, without managed fields.
fn object<K: serde::Serialize>(object: &K) -> Result<Value, serde_json::Error> {
    let mut object = serde_json::to_value(object)?;
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::incident;
    use bailiff_policy::compile;
    use serde_json::json;

    fn verdict(expression: &str, change: impl FnOnce(&mut Incident)) -> Reevaluation {
        let policy = serde_json::from_value(json!({
            "metadata": {"name": "p", "generation": 2},
            "spec": {"validations": [{"expression": expression}]},
        }));
        let policy = compile(&policy.unwrap()).unwrap();
        let mut incident = incident(&json!({}));
        change(&mut incident);
        let pod =
            serde_json::from_value(json!({"metadata": {"name": "web", "labels": {"app": "web"}}}));
        let namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}}));
        reevaluate(&policy, &incident, &pod.unwrap(), &namespace.unwrap())
    }

    #[test]
    fn a_changed_policy_is_evaluated_on_the_evidence_and_the_live_pod() {
        let as_is = |_: &mut Incident| {};
        for (expression, want) in [
            (
                "process.executable != '/bin/sh'",
                Reevaluation::StillViolates,
            ),
            (
                "process.executable == '/bin/sh'",
                Reevaluation::NoLongerViolates,
            ),
            (
                "object.metadata.labels.app != 'web'",
                Reevaluation::StillViolates,
            ),
            (
                "namespaceObject.metadata.name == 'shop'",
                Reevaluation::NoLongerViolates,
            ),
            ("process.ancestors.size() == 0", Reevaluation::NeedsNextExec),
            ("!has(process.parent)", Reevaluation::NeedsNextExec),
            ("process.args.size() == 3", Reevaluation::NoLongerViolates),
        ] {
            assert_eq!(verdict(expression, as_is), want, "{expression}");
        }
        let failed = verdict("object.metadata.labels.none == ''", as_is);
        assert!(
            matches!(&failed, Reevaluation::Failed(why) if why.contains("no such key")),
            "{failed:?}"
        );
    }

    #[test]
    fn what_is_truncated_or_absent_waits_for_the_next_exec() {
        let cut = |incident: &mut Incident| incident.spec.process.args_truncated = true;
        assert_eq!(
            verdict("process.args.size() == 3", cut),
            Reevaluation::NeedsNextExec
        );
        assert_eq!(
            verdict("process.uid != 0", cut),
            Reevaluation::StillViolates
        );
        assert_eq!(
            verdict("!process.argsTruncated", cut),
            Reevaluation::NeedsNextExec
        );
        let unknown = |incident: &mut Incident| incident.spec.container.name = None;
        assert_eq!(
            verdict("container.name == 'app'", unknown),
            Reevaluation::NeedsNextExec
        );
        let more = |incident: &mut Incident| {
            incident.status =
                serde_json::from_value(json!({"series": {"count": 2, "policyGeneration": 1,
                "lastObservedTime": "2026-01-01T00:00:00.000000Z", "bindingRefs": []}}))
                .unwrap();
        };
        assert_eq!(
            verdict("process.uid == 0", more),
            Reevaluation::NeedsNextExec
        );
        assert_eq!(
            verdict("process.uid != 0", more),
            Reevaluation::StillViolates
        );
    }

    #[test]
    fn evidence_of_an_older_sensor_is_not_taken_for_complete() {
        let complete = |incident: &mut Incident| {
            let process = &mut incident.spec.process;
            process.stdio = vec![DescriptorType::Socket; 3];
            process.script_path = Some("/app/x.sh".to_owned());
            process.script_source = Some(ExecutableSource::Volume);
        };
        let older = |incident: &mut Incident| {
            incident.spec.process.script_path = Some("/app/x.sh".to_owned());
        };
        for (expression, want) in [
            ("!process.stdio.exists(s, s == 'Socket')", true),
            ("process.stdio.size() == 4", true),
            ("process.secureExec", true),
            ("process.executableDeleted", true),
            ("process.script.source == 'Image'", true),
            ("process.script.source == 'Volume'", false),
        ] {
            let violates = verdict(expression, complete) == Reevaluation::StillViolates;
            assert_eq!(violates, want, "{expression}");
            let of_older = verdict(expression, older);
            assert_eq!(of_older, Reevaluation::NeedsNextExec, "{expression}");
        }
    }
}
