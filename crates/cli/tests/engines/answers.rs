//! Answers: of the API server's own engine, and when two are the same.
//!
//! Here: its program, the forms of an answer that both engines can have. Not here: which lines are
//! asked.
//! Invariant: what is left out of a comparison is named, with the reason.

use serde_json::{Value as Json, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// What the API server's own engine of a minor release answers to these lines.
pub(crate) fn theirs(minor: u32, input: &str) -> Vec<Json> {
    let Some(program) = std::env::var_os("BAILIFF_CEL_ORACLE") else {
        panic!(
            "BAILIFF_CEL_ORACLE is not set: run `make unit`, or set it to what `hack/oracle.sh` prints"
        );
    };
    let mut child = Command::new(program)
        .arg(format!("--kubernetes-version=1.{minor}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        output
    });
    assert!(output.status.success());
    answers(std::str::from_utf8(&output.stdout).unwrap())
}

pub(crate) fn answers(text: &str) -> Vec<Json> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How a syntax error begins in either engine; each has words of its own for it.
const SYNTAX: [&str; 8] = [
    "Syntax error",
    "expression recursion limit",
    "invalid double literal",
    "invalid int literal",
    "invalid uint literal",
    "invalid unicode code point",
    "reserved identifier",
    "unable to unescape string",
];

/// An answer in the form that both can have: syntax errors are worded by each in its own way, and
/// large doubles are written with or without an exponent.
pub(crate) fn comparable(answer: &Json) -> Json {
    let mut answer = answer.clone();
    let fields = answer.as_object_mut().unwrap();
    fields.remove("id");
    let is_syntax = |text: &str| SYNTAX.iter().any(|words| text.contains(words));
    if let Some(error) = fields.get("compileError").and_then(Json::as_str)
        && is_syntax(error)
    {
        return json!({"compileError": "syntax"});
    }
    if let Some(error) = fields.get("error").and_then(Json::as_str)
        && let Some((before, words)) = error.split_once(" fails to compile: ")
        && is_syntax(words)
    {
        let told = format!("{before} fails to compile: syntax");
        fields.insert("error".to_owned(), told.into());
    }
    // The API server does not say how far it came within a budget.
    let budget = "validation failed due to running out of cost budget";
    if let Some(error) = fields.get("error").and_then(Json::as_str)
        && error.starts_with(budget)
    {
        fields.remove("cost");
    }
    // Which of its kinds of null Go has depends on where it comes from.
    if let Some(error) = fields.get("error").and_then(Json::as_str)
        && let Some(null) = ["types.Null", "structpb.NullValue"]
            .into_iter()
            .find(|null| error.ends_with(&format!("invalid qualifier type: {null}")))
    {
        let told = error.replace(null, "<nil>");
        fields.insert("error".to_owned(), told.into());
    }
    if let Some(error) = fields.get("error").and_then(Json::as_str) {
        let told = of_messages(error);
        fields.insert("error".to_owned(), told.into());
    }
    // Go goes through the fields of an object in another order each time.
    if let Some(faults) = fields.get("mutationError").and_then(Json::as_str) {
        let mut lines: Vec<_> = faults
            .trim_start_matches("type mismatch: ")
            .lines()
            .collect();
        lines.sort_unstable();
        let told = lines.join("\n");
        fields.insert("mutationError".to_owned(), told.into());
    }
    for words in ["error", "compileError"] {
        if let Some(error) = fields.get(words).and_then(Json::as_str) {
            let told = unnumbered(error);
            fields.insert(words.to_owned(), told.into());
        }
    }
    let whole = fields.get("type").is_some_and(|ty| ty == "int");
    if let Some(value) = fields.get_mut("value").filter(|_| !whole) {
        plain_numbers(value);
    }
    if let Some(value) = fields.get_mut("value") {
        unquoted(value);
    }
    answer
}

/// Type variables without their numbers, which Go gives in the order of a map of its own.
fn unnumbered(error: &str) -> String {
    let mut parts = error.split("_var");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |told, part| {
        told + "_var" + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

/// What a compiler's message says of a type that has no name.
const MISSING: [&str; 7] = [
    "missing type conversion to proto",
    "is '' but",
    "found ''",
    "list()",
    "(, ",
    ", )",
    "optional_type()",
];

/// Whether a message shows an expression that asks a patch for what is none of its fields.
fn asks_for_a_missing_field(error: &str) -> bool {
    error.split("JSONPatch{").skip(1).any(|rest| {
        rest.split_once("}.").is_some_and(|(_, field)| {
            let field = field.trim_start_matches('?');
            let end = field.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = field.get(..end.unwrap_or(field.len())).unwrap_or_default();
            !["op", "path", "from", "value"].contains(&name)
        })
    })
}

/// Whether two answers are the same, but for what is only known of theirs.
pub(crate) fn alike(ours: &Json, theirs: &Json) -> bool {
    let (mut ours, theirs) = (comparable(ours), comparable(theirs));
    // Their text of a message is left out, so ours is.
    let kept = "from non-optional value ";
    if let Some(error) = ours["error"].as_str()
        && let Some((before, _)) = error.split_once(kept)
        && theirs["error"].as_str().is_some_and(|e| e.ends_with(kept))
    {
        ours["error"] = format!("{before}{kept}").into();
    }
    // What is wrong with a field that a patch does not have is found there at the very end, or before.
    if let (Some(a), Some(b)) = (
        ours["compileError"].as_str(),
        theirs["compileError"].as_str(),
    ) {
        let is_of_such = |error: &str| {
            MISSING.iter().any(|words| error.contains(words)) || asks_for_a_missing_field(error)
        };
        if is_of_such(a) || is_of_such(b) {
            return true;
        }
    }
    ours == theirs
}

/// How an error of protobuf begins; which of two spaces it has depends on the build.
const PROTO: (&str, &str) = ("proto:\u{a0}", "proto: ");

/// What stands before and after the name of a type of Go, and which types of theirs are which here.
type GoTypes = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// Which type of Go a list or a map is depends there on how it came to be within something else.
const GO_TYPES: [GoTypes; 3] = [
    (
        "unexpected type ",
        " for JSONPatchType",
        &[
            ("*structpb.Struct", "map[ref.Val]ref.Val"),
            ("map[string]interface {}", "map[ref.Val]ref.Val"),
            ("*structpb.ListValue", "[]ref.Val"),
            ("[]interface {}", "[]ref.Val"),
            ("[]string", "[]ref.Val"),
        ],
    ),
    (
        "invalid qualifier type: ",
        "",
        &[
            ("*structpb.Struct", "*types.baseMap"),
            ("map[string]interface {}", "*types.baseMap"),
            ("*structpb.ListValue", "*types.baseList"),
            ("[]interface {}", "*types.baseList"),
            ("*dynamicpb.Message", "*types.protoObj"),
            ("*emptypb.Empty", "*types.protoObj"),
        ],
    ),
    (
        "proto: invalid type: ",
        "",
        &[
            ("*structpb.Struct", "map[ref.Val]ref.Val"),
            ("*structpb.ListValue", "[]ref.Val"),
        ],
    ),
];

/// An error without what Go prints of messages: where they lie, what is in one that can't be read, and of
/// which type of Go a list or a map is that was in one.
fn of_messages(error: &str) -> String {
    let kept = "from non-optional value ";
    if let Some((before, value)) = error.split_once(kept)
        && [
            "&{",
            "google.protobuf.",
            "_value:",
            "map[",
            "Object",
            "JSONPatch",
        ]
        .iter()
        .any(|words| value.contains(words))
    {
        return format!("{before}{kept}");
    }
    if let Some((before, key)) = error.split_once("map key ")
        && let Some((_, ty)) = key.split_once(" is of type ")
    {
        return format!("{before}map key of type {ty}");
    }
    if let Some(value) = error.strip_prefix("value ")
        && let Some(value) = value.strip_suffix(" is not optional")
        && ["&{", "google.protobuf.", "Object", "JSONPatch"]
            .iter()
            .any(|words| value.contains(words))
    {
        return "a message is not optional".to_owned();
    }
    let kept = "unsupported conversion to ref.Val: (*dynamicpb.Message)";
    if let Some((before, _)) = error.split_once(kept) {
        return format!("{before}{kept}");
    }
    let mut told = error.replace(PROTO.0, PROTO.1);
    for (before, after, types) in GO_TYPES {
        for (theirs, ours) in types {
            let of = |ty: &str| [before, ty, after].concat();
            told = told.replace(&of(theirs), &of(ours));
        }
    }
    told
}

/// A value without what Go prints of the keys of an object, and with one of the spaces of protobuf.
fn unquoted(value: &mut Json) {
    match value {
        Json::String(text) => {
            if text.contains("map key ") {
                "a key of a map is no text".clone_into(text);
            }
            *text = text.replace(PROTO.0, PROTO.1);
        }
        Json::Array(values) => values.iter_mut().for_each(unquoted),
        Json::Object(values) => values.values_mut().for_each(unquoted),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Writes numbers in one way.
fn plain_numbers(value: &mut Json) {
    match value {
        Json::Number(number) => *value = json!(format!("{:e}", number.as_f64().unwrap())),
        Json::Array(values) => values.iter_mut().for_each(plain_numbers),
        Json::Object(values) => values.values_mut().for_each(plain_numbers),
        Json::Null | Json::Bool(_) | Json::String(_) => {}
    }
}

/// Whether the API server's own engine ended with a panic, which ends nothing here, with an error of the
/// machine's files, or not within the oracle's patience.
pub(crate) fn not_compared(answer: &Json) -> bool {
    answer["error"].as_str().is_some_and(|error| {
        error.starts_with("panic: ")
            || error.starts_with("too slow: ")
            || error.contains("internal error: runtime error: hash of unhashable")
            || error.contains("internal error: invalid type: ")
            || OF_FILES.iter().any(|words| error.ends_with(words))
    })
}

/// What Go says of a name that is no time zone, and something in the directory of zones of the
/// machine that it runs on.
const OF_FILES: [&str; 4] = [
    "file name too long",
    "is a directory",
    "not a directory",
    "malformed time zone information",
];

pub(crate) fn kind(answer: &Json) -> &'static str {
    let kinds = ["value", "error", "compileError", "inputError"];
    let found = kinds.into_iter().find(|kind| answer.get(*kind).is_some());
    if not_compared(answer) {
        return "panic";
    }
    found.unwrap()
}
