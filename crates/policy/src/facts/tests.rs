//! Each field of each variable has its own value, and none that it has not.

use super::*;
use crate::tests::{policy, shell};
use crate::{Input, Verdict, compile, evaluate};
use serde_json::json;

/// A process of which no two fields are alike.
fn process() -> Process {
    let at = |second: &str| format!("2026-01-01T00:00:{second}Z").parse().unwrap();
    let ancestor = |name: &str, second: &str| Ancestor {
        executable: format!("/sbin/{name}"),
        names: vec![name.to_owned()],
        args: vec![name.to_owned(), "--serve".to_owned()],
        pid: 3,
        start_time: at(second),
    };
    Process {
        left_pod_cgroup: true,
        uid: 1000,
        gid: 2000,
        script: Some(Script {
            path: "/tmp/run.sh".to_owned(),
            source: ExecutableSource::Volume,
        }),
        args_truncated: true,
        executable_deleted: true,
        secure_exec: true,
        start_time: at("03"),
        ancestors: Ancestors(vec![ancestor("worker", "02"), ancestor("server", "01")]),
        ..shell()
    }
}

fn container() -> Container {
    Container {
        name: Some("app".to_owned()),
        image: Some("example.com/web:1".to_owned()),
        image_id: Some("example.com/web@sha256:1".to_owned()),
        type_: Some(ContainerType::Sidecar),
    }
}

fn verdict(expression: &str, process: &Process, container: &Container) -> Verdict {
    let spec = json!({"validations": [{"expression": expression, "message": "no"}]});
    let compiled = compile(&policy(spec)).unwrap_or_else(|f| panic!("{expression}: {f:?}"));
    let (object, namespace_object) = (json!({}), json!({}));
    let input = Input {
        process,
        container,
        object: Some(&object),
        namespace_object: Some(&namespace_object),
    };
    evaluate(&compiled, &input)
}

/// A field of each variable, its value, and whether it may be absent.
const FIELDS: &[(&str, &str, bool)] = &[
    ("process.executable", "'/bin/busybox'", false),
    ("process.invokedPath", "'/bin/sh'", false),
    ("process.names", "['busybox', 'sh']", false),
    ("process.args", "['sh', '-c', 'id']", false),
    (
        "process.argPaths",
        "['/srv/www/sh', '/srv/www/-c', '/srv/www/id']",
        false,
    ),
    ("process.workingDirectory", "'/srv/www'", false),
    ("process.argsTruncated", "true", false),
    ("process.executableSource", "'Image'", false),
    ("process.executableDeleted", "true", false),
    ("process.script.path", "'/tmp/run.sh'", true),
    ("process.script.source", "'Volume'", true),
    ("process.stdio", "['Null', 'Pipe', 'Closed']", false),
    ("process.secureExec", "true", false),
    ("process.origin", "'Exec'", false),
    ("process.leftPodCgroup", "true", false),
    ("process.uid", "1000", false),
    ("process.gid", "2000", false),
    ("process.capabilities", "['NET_RAW']", false),
    (
        "process.startTime",
        "timestamp('2026-01-01T00:00:03Z')",
        false,
    ),
    ("process.parent.executable", "'/sbin/worker'", true),
    ("process.parent.names", "['worker']", true),
    ("process.parent.args", "['worker', '--serve']", true),
    (
        "process.parent.startTime",
        "timestamp('2026-01-01T00:00:02Z')",
        true,
    ),
    (
        "process.ancestors.map(a, a.executable)",
        "['/sbin/worker', '/sbin/server']",
        false,
    ),
    ("process.ancestors.size()", "2", false),
    ("container.name", "'app'", true),
    ("container.image", "'example.com/web:1'", true),
    ("container.imageID", "'example.com/web@sha256:1'", true),
    ("container.type", "'Sidecar'", true),
];

#[test]
fn every_field_has_its_own_value() {
    for (field, value, _) in FIELDS {
        let verdict = verdict(&format!("{field} == {value}"), &process(), &container());
        assert_eq!(verdict, Verdict::Allowed, "{field}");
    }
    let listed = |variable: &str| {
        let of = |(field, _, _): &&(&str, &str, bool)| field.starts_with(&format!("{variable}."));
        FIELDS.iter().filter(of).count()
    };
    // `ancestors` is asked for twice, `parent` and `script` for each of their fields.
    let fields = PROCESS.len() + 1 + ANCESTOR.len() - 1 + SCRIPT.len() - 1;
    assert_eq!(listed("process"), fields);
    assert_eq!(listed("container"), CONTAINER.len());
}

#[test]
fn what_is_not_known_is_absent_and_nothing_else_is() {
    let (process, container) = (shell(), Container::default());
    for (field, _, absent) in FIELDS.iter().filter(|(field, _, _)| !field.contains('(')) {
        let field = field.replace("script.path", "script");
        let field = field.replace("script.source", "script");
        let field = if field.starts_with("process.parent.") {
            "process.parent"
        } else {
            &field
        };
        let have = verdict(&format!("has({field})"), &process, &container);
        assert_eq!(have != Verdict::Allowed, *absent, "{field}: {have:?}");
    }
    let none = verdict("process.ancestors.size() == 0", &process, &container);
    assert_eq!(none, Verdict::Allowed);
}

#[test]
fn as_json_each_field_has_its_name_and_value() {
    let json = process().to_json();
    for name in PROCESS {
        let left_out = ["parent", "argPaths"].contains(&name);
        assert_eq!(json.get(name).is_none(), left_out, "{name}");
    }
    assert_eq!(json["args"], json!(["sh", "-c", "id"]));
    assert_eq!(json["uid"], 1000);
    assert_eq!(json["leftPodCgroup"], true);
    assert_eq!(json["startTime"], "2026-01-01T00:00:03Z");
    assert_eq!(json["script"]["path"], "/tmp/run.sh");
    assert_eq!(json["stdio"].as_array().map(Vec::len), Some(3));
    let server = json!({
        "executable": "/sbin/server", "names": ["server"], "args": ["server", "--serve"],
        "startTime": "2026-01-01T00:00:01Z",
    });
    assert_eq!(json["ancestors"][1], server);
    let known = json!({
        "name": "app", "image": "example.com/web:1", "imageID": "example.com/web@sha256:1", "type": "Sidecar",
    });
    assert_eq!(container().to_json(), known);
    assert_eq!(Container::default().to_json(), json!({}));
}

/// Every flag is in a field of its own: none of the others is true where one is.
#[test]
fn flags_are_told_apart() {
    type Change = fn(&mut Process);
    let set: [(&str, Change); 4] = [
        ("argsTruncated", |process| process.args_truncated = true),
        ("executableDeleted", |process| {
            process.executable_deleted = true;
        }),
        ("secureExec", |process| process.secure_exec = true),
        ("leftPodCgroup", |process| process.left_pod_cgroup = true),
    ];
    for (name, change) in set {
        let mut process = shell();
        change(&mut process);
        for (other, _) in set {
            let verdict = verdict(&format!("process.{other}"), &process, &container());
            assert_eq!(verdict == Verdict::Allowed, name == other, "{name} {other}");
        }
    }
}

#[test]
fn the_argument_with_a_gap_has_an_unknown_path_and_the_others_have_theirs() {
    let args = ["sh", "/tmp/a…b/../x.sh", "y.sh"];
    let process = Process {
        args: args.map(str::to_owned).to_vec(),
        args_gap: Some(1),
        ..shell()
    };
    for (process, want) in [
        (&process, "['/srv/www/sh', '…/x.sh', '/srv/www/y.sh']"),
        (
            &Process {
                args_gap: None,
                ..process.clone()
            },
            "['/srv/www/sh', '/tmp/x.sh', '/srv/www/y.sh']",
        ),
    ] {
        let expression = format!("process.argPaths == {want}");
        assert_eq!(
            verdict(&expression, process, &container()),
            Verdict::Allowed,
            "{want}"
        );
    }
}
