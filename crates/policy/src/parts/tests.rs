//! A process without the parts that no expression reads has the verdicts of one that has all.

use super::*;
use crate::tests::{policy, shell};
use crate::{
    Ancestor, Ancestors, CompiledPolicy, Container, Input, Process, Verdict, compile, evaluate,
};
use serde_json::json;

/// A process of which all parts have something.
fn whole() -> Process {
    let ancestor = |name: &str| Ancestor {
        executable: format!("/bin/{name}"),
        names: vec![name.to_owned()],
        args: vec![name.to_owned(), "--serve".to_owned()],
        pid: 3,
        start_time: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    Process {
        ancestors: Ancestors(vec![ancestor("nginx"), ancestor("init")]),
        ..shell()
    }
}

/// The same with these parts alone, as the sensor builds it.
fn with(parts: ProcessParts, whole: &Process) -> Process {
    let mut process = whole.clone();
    if !parts.args {
        process.args.clear();
        process.args_gap = None;
    }
    if !parts.ancestors {
        process.ancestors.0.clear();
    }
    if !parts.capabilities {
        process.capabilities.clear();
    }
    process
}

fn verdict(policy: &CompiledPolicy, process: &Process) -> Verdict {
    let (object, namespace_object) = (json!({}), json!({}));
    let input = Input {
        process,
        container: &Container::default(),
        object: Some(&object),
        namespace_object: Some(&namespace_object),
    };
    evaluate(policy, &input)
}

fn parts(args: bool, ancestors: bool, capabilities: bool) -> ProcessParts {
    ProcessParts {
        args,
        ancestors,
        capabilities,
    }
}

#[test]
fn an_expression_has_the_verdict_that_it_has_for_a_whole_process() {
    let none = ProcessParts::default();
    let (args, ancestors) = (parts(true, false, false), parts(false, true, false));
    for (expression, want) in [
        ("process.executable == '/bin/sh'", none),
        (
            "process.argsTruncated || process.stdio[0] == 'Socket'",
            none,
        ),
        ("'process.args' == 'process.ancestors'", none),
        ("process.args.size() == 0", args),
        ("process.argPaths[0].startsWith('/srv')", args),
        ("process.argPaths.exists(p, p == '/srv/www/id')", args),
        ("process.args == []", args),
        ("has(process.parent)", ancestors),
        ("!has(process.parent)", ancestors),
        ("process.parent.names[0] == 'nginx'", ancestors),
        (
            "process.?parent.?executable.orValue('') == '/bin/nginx'",
            ancestors,
        ),
        ("process.ancestors.exists(a, 'init' in a.names)", ancestors),
        (
            "process.ancestors.all(process, process.args.size() == 2)",
            ancestors,
        ),
        (
            "!('NET_RAW' in process.capabilities)",
            parts(false, false, true),
        ),
        // The process as a whole goes where it cannot be followed by name.
        ("[process].exists(p, p.args.size() == 0)", args),
        ("{'p': process}.p.ancestors.size() == 0", ancestors),
        (
            "(process.uid == 0 ? process : process).args.size() == 3",
            args,
        ),
        ("dyn(process).args.size() == 0", ProcessParts::ALL),
        ("process == process", ProcessParts::ALL),
    ] {
        let compiled = compile(&policy(
            json!({"validations": [{"expression": expression}]}),
        ));
        let compiled = compiled.unwrap_or_else(|errors| panic!("{expression}: {errors:?}"));
        let found = compiled.process_parts();
        assert!(found.covers(want), "{expression}: {found:?}");
        if want != ProcessParts::ALL {
            assert!(want.covers(found), "{expression} reads no more: {found:?}");
        }
        same_verdict(&compiled, expression);
    }
}

/// Asserts that the parts that a policy reads are enough, whichever the others are.
fn same_verdict(compiled: &CompiledPolicy, name: &str) {
    let whole = whole();
    let part = with(compiled.process_parts(), &whole);
    assert_eq!(
        verdict(compiled, &part),
        verdict(compiled, &whole),
        "{name}"
    );
}

#[test]
fn every_expression_of_a_policy_counts() {
    let reads_args = json!("process.args.size() == 0");
    for spec in [
        json!({"matchConditions": [{"name": "c", "expression": reads_args}]}),
        json!({"validations": [{"expression": reads_args}]}),
        json!({"validations": [
            {"expression": "false", "messageExpression": "'it ran ' + process.args[2]"},
        ]}),
        json!({
            "variables": [{"name": "p", "expression": "process"}, {"name": "a", "expression": "variables.p.args"}],
            "validations": [{"expression": "variables.a.size() == 0"}],
        }),
    ] {
        let compiled = compile(&policy(spec.clone())).unwrap();
        assert!(compiled.process_parts().args, "{spec}");
        assert!(!compiled.process_parts().ancestors, "{spec}");
        same_verdict(&compiled, &spec.to_string());
    }
}

#[test]
fn parts_cover_those_that_they_have() {
    let all = [false, true];
    for number in 0..64_usize {
        let bit = |at: usize| all[(number >> at) & 1];
        let one = parts(bit(0), bit(1), bit(2));
        let two = parts(bit(3), bit(4), bit(5));
        let covers = (one.args || !two.args)
            && (one.ancestors || !two.ancestors)
            && (one.capabilities || !two.capabilities);
        assert_eq!(one.covers(two), covers, "{one:?} {two:?}");
        let union = one.union(two);
        assert!(union.covers(one) && union.covers(two) && ProcessParts::ALL.covers(union));
    }
}
