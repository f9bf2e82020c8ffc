//! What reaches whoever answers questions about rights, and how often; the differential test
//! (`crates/cli/tests/authorizer`) compares the rest with the API server's own engine.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_cel::admission::{BUDGET, Bindings, Optional, environment};
use bailiff_cel::authorizer::{Attributes, Authorizer, Decision, Subject, Target};
use bailiff_cel::{EvalError, Evaluation, NEWEST_RELEASE, Value};
use std::sync::Mutex;

/// Writes down what it is asked.
struct Recorder {
    asked: Mutex<Vec<String>>,
    decision: Decision,
}

impl Authorizer for Recorder {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let subject = match attributes.subject {
            Subject::Requester => "requester".to_owned(),
            Subject::ServiceAccount { namespace, name } => format!("{namespace}/{name}"),
        };
        let target = match attributes.target {
            Target::Path(path) => path.clone(),
            Target::Resource(r) => format!(
                "{}|{}|{}|{}|{}|{}|{}",
                r.group,
                r.resource,
                r.subresource,
                r.namespace,
                r.name,
                r.field_selector,
                r.label_selector
            ),
        };
        let verb = attributes.verb;
        self.asked
            .lock()
            .unwrap()
            .push(format!("{subject} {verb} {target}"));
        self.decision.clone()
    }
}

/// What was asked, and what came of it.
fn ask(source: &str, decision: Decision) -> (Vec<String>, Result<String, EvalError>) {
    let optional = Optional {
        authorizer: true,
        ..Optional::default()
    };
    let env = environment(NEWEST_RELEASE, optional);
    let program = env.compile(source).unwrap();
    let recorder = Recorder {
        asked: Mutex::new(Vec::new()),
        decision,
    };
    let request = serde_json::json!({
        "resource": {"group": "apps", "resource": "deployments"}, "subResource": "scale",
        "namespace": "shop", "name": "web",
    });
    let bindings = Bindings {
        request: Some(&request),
        authorizer: Some(&recorder),
        ..Bindings::default()
    };
    let mut evaluation = Evaluation::new(&env, &bindings, BUDGET);
    let outcome = evaluation.run(&program).map(|value| match value {
        Value::String(text) => text.to_string(),
        other => other.to_json().to_string(),
    });
    let asked = recorder.asked.lock().unwrap().clone();
    (asked, outcome)
}

fn allowed() -> Decision {
    Decision::Allowed("yes".to_owned())
}

#[test]
fn every_part_of_a_question_arrives() {
    let resource = "authorizer.serviceAccount('a', 'b').group('g').resource('r').subresource('s')\
        .namespace('n').name('m').fieldSelector('f=1').labelSelector('l in (x)').check('get').allowed()";
    for (source, asked) in [
        (resource, "a/b get g|r|s|n|m|f=1|l in (x)"),
        (
            "authorizer.path('/p').check('get').allowed()",
            "requester get /p",
        ),
        (
            "authorizer.requestResource.check('get').allowed()",
            "requester get apps|deployments|scale|shop|web||",
        ),
        (
            "authorizer.requestResource.name('x').name('').check('get').allowed()",
            "requester get apps|deployments|scale|shop|||",
        ),
    ] {
        let found = ask(source, allowed());
        assert_eq!(
            found,
            (vec![asked.to_owned()], Ok("true".to_owned())),
            "{source}"
        );
    }
}

#[test]
fn nothing_is_asked_that_is_not_checked() {
    for source in [
        "authorizer.group('g').resource('r') == null",
        "true || authorizer.path('/p').check('get').allowed()",
        "[authorizer.path('/p')].size()",
    ] {
        assert_eq!(ask(source, allowed()).0, Vec::<String>::new(), "{source}");
    }
}

#[test]
fn a_decision_says_what_it_is() {
    let failed = || Decision::Failed {
        error: "away".to_owned(),
        reason: "why".to_owned(),
    };
    let check = "authorizer.path('/p').check('get')";
    for (decision, wanted) in [
        (allowed(), "true false  yes"),
        (Decision::Denied("no".to_owned()), "false false  no"),
        (Decision::NoOpinion("none".to_owned()), "false false  none"),
        (failed(), "false true away why"),
    ] {
        let parts = ["allowed", "errored", "error", "reason"].map(|part| {
            let source = format!("string({check}.{part}())");
            ask(&source, decision.clone()).1.unwrap()
        });
        assert_eq!(parts.join(" "), wanted, "{decision:?}");
    }
}

#[test]
fn the_limit_of_an_expression_ends_asking() {
    let source = "[1, 2, 3, 4, 5].map(x, authorizer.path('/p').check('get').allowed())";
    let (asked, outcome) = ask(source, allowed());
    // A question is paid for before it is asked: the third would be more than may be spent.
    assert_eq!(asked.len(), 2);
    assert!(outcome.unwrap_err().is_budget());
}
