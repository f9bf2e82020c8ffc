//! The log as code scanning reads it.

use super::*;

/// What GitHub requires of a log, and what SARIF 2.1.0 requires of the properties that are in it. A log without it is
/// rejected as a whole.
fn check(log: &Json) {
    let text = |value: &Json, limit: usize| {
        let text = value
            .as_str()
            .unwrap_or_else(|| panic!("{value} is no text"));
        assert!((1..=limit).contains(&text.chars().count()), "{text}");
        text.to_owned()
    };
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(
        log["$schema"],
        "https://json.schemastore.org/sarif-2.1.0.json"
    );
    let [run] = &log["runs"].as_array().unwrap()[..] else {
        panic!("there is one run");
    };
    let driver = &run["tool"]["driver"];
    text(&driver["name"], 100);
    let rules = driver["rules"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for rule in rules {
        assert!(
            ids.insert(text(&rule["id"], 255)),
            "each rule has a name of its own"
        );
        text(&rule["name"], 255);
        for field in ["shortDescription", "fullDescription"] {
            text(&rule[field]["text"], 1024);
        }
        text(&rule["help"]["text"], 4096);
        assert!(rule["helpUri"].as_str().unwrap().starts_with("https://"));
        is_level(&rule["defaultConfiguration"]["level"]);
        let tags = rule["properties"]["tags"].as_array().unwrap();
        assert!(tags.contains(&json!("security")) && tags.len() <= 20);
        let precision = &rule["properties"]["precision"];
        assert!(["very-high", "high", "medium", "low"].contains(&precision.as_str().unwrap()));
        if let Some(severity) = rule["properties"].get("security-severity") {
            // A number in a text. GitHub gives 0.0 no severity.
            let severity: f32 = severity.as_str().unwrap().parse().unwrap();
            assert!((0.1..=10.0).contains(&severity));
        }
    }
    let results = run["results"].as_array().unwrap();
    assert!(rules.len() <= 25_000 && results.len() <= 25_000);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        text(&result["message"]["text"], 4096);
        is_level(&result["level"]);
        let locations = result["locations"].as_array().unwrap();
        assert!(!locations.is_empty() && locations.len() <= 10);
        for location in locations {
            let place = &location["physicalLocation"];
            let uri = text(&place["artifactLocation"]["uri"], 65_536);
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/%".contains(&byte);
            assert!(
                uri.bytes().all(is_allowed) && !uri.starts_with('/'),
                "{uri}"
            );
            for field in ["startLine", "startColumn", "endLine", "endColumn"] {
                assert!(place["region"][field].as_u64().unwrap() >= 1);
            }
        }
        text(
            &result["partialFingerprints"]["primaryLocationLineHash"],
            100,
        );
    }
    for invocation in run["invocations"].as_array().unwrap() {
        assert!(invocation["executionSuccessful"].is_boolean());
        for notification in invocation["toolExecutionNotifications"].as_array().unwrap() {
            is_level(&notification["level"]);
            text(&notification["message"]["text"], 4096);
        }
    }
}

fn is_level(level: &Json) {
    let level = level.as_str().unwrap();
    assert!(
        ["none", "note", "warning", "error"].contains(&level),
        "{level}"
    );
}

fn log(files: &Files, list: &str, flags: &str) -> Json {
    let flags = format!("--packages - --advisories {{}}/osv -o sarif {flags}");
    let (result, out, _) = files.run(&flags, list);
    result.unwrap();
    let log = serde_json::from_str(&out).unwrap();
    check(&log);
    log
}

#[test]
fn code_scanning_accepts_the_log() {
    let files = Files::new();
    let flags = "--packages - --advisories {}/osv -o sarif --only-fixed";
    let (result, out, err) = files.run(flags, PACKAGES);
    assert_eq!((result, err.as_str()), (Ok(ScanOutcome::Done), ""));
    check(&serde_json::from_str(&out).unwrap());
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        out.replace(&version, "\"version\": \"VERSION\""),
        include_str!("scan.sarif")
    );
}

#[test]
fn a_result_is_the_same_one_after_an_upgrade_that_does_not_fix_it() {
    let files = Files::new();
    let fingerprints = |list: &str| {
        let log = log(&files, list, "");
        let results = log["runs"][0]["results"].as_array().unwrap();
        let all = results.iter().map(|result| {
            let id = result["ruleId"].as_str().unwrap().to_owned();
            (
                id,
                result["partialFingerprints"]["primaryLocationLineHash"].clone(),
            )
        });
        all.collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (
        fingerprints("pkg:pypi/django@3.2.1"),
        fingerprints("pkg:pypi/django@3.2.2"),
    );
    assert_eq!((old.len(), &old), (2, &new));
    let in_one: BTreeSet<_> = old.values().map(ToString::to_string).collect();
    assert_eq!(in_one.len(), 2);
    let stdlib = fingerprints("pkg:golang/stdlib@1.20.1");
    assert!(
        old.values()
            .all(|of| !stdlib.values().any(|other| of == other))
    );
}

#[test]
fn names_of_strangers_are_no_link_and_no_address() {
    let files = Files::new();
    let hostile = record(
        "X-1",
        &[],
        ("npm", "a[b](http://c)"),
        &below("2.0.0"),
        &json!({"summary": "[Click]({0}) \\ \u{1b}[2J"}),
    );
    files.add("osv/hostile.json", hostile.to_string().as_bytes());
    let list = json!([{"ecosystem": "npm", "name": "a[b](http://c)", "version": "1.0.0", "path": "//evil.example/..//./a b\u{202e}"}]);
    let log = log(&files, &list.to_string(), "");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(
        result["message"]["text"],
        r"npm/a\[b\](http://c) 1.0.0 is affected by X-1: \[Click\]({{0}}) \\ \\u{{1b}}\[2J. Fixed in 2.0.0. Upgrade to 2.0.0."
    );
    assert_eq!(
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "evil.example/a%20b%E2%80%AE"
    );
}

#[test]
fn what_is_no_result_is_a_notification() {
    let files = Files::new();
    files.add("osv/broken.json", b"{}");
    files.add("ignore.json", br#"[{"id": "CVE-2022-1", "package": "PyPI/django", "reason": "Not [reachable]", "expires": "2026-02-01"}]"#);
    let list = "pkg:pypi/django@3.2.1\npkg:cargo/time@0.1.43";
    let log = log(&files, list, "--ignore {}/ignore.json --only-fixed");
    let run = &log["runs"][0];
    assert_eq!(run["results"], json!([]));
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let notifications = invocation["toolExecutionNotifications"].as_array().unwrap();
    let shown = notifications.iter().map(|of| {
        let (level, text) = (
            of["level"].as_str().unwrap(),
            of["message"]["text"].as_str().unwrap(),
        );
        files.shown(&format!("{level}: {text}"))
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "error: Cannot read {}/osv/broken.json: missing field `id` at line 1 column 2.",
            "error: Cannot match packages of crates.io: no advisory names one.",
            r"note: CVE-2022-1 in PyPI/django 3.2.1: Ignored until 2026-02-01, because: Not \[reachable\]",
            "note: CVE-2023-2 in PyPI/django 3.2.1: Not counted, because no fixed version is known.",
        ]
    );
}
