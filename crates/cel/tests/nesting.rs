//! What is nested as deep as it may be compiles, runs, prints and goes away on the stack of a
//! thread, which is 2 MiB; what is nested deeper is refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_cel::cost::Unknown;
use bailiff_cel::{Activation, Env, Evaluation, Type, Value};

struct Object(serde_json::Value);

impl Activation for Object {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        (slot == 0).then(|| Value::from_json(&self.0))
    }
}

/// On the stack that Rust gives a thread.
fn in_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(work).unwrap().join().unwrap()
}

/// Compiles, runs, prints and parses the print; what is wrong, if anything.
fn fault(source: &str) -> Option<String> {
    let env = Env::new([("object", Type::Dyn)]);
    let printed = env.parse(source).map(|tree| tree.to_string());
    let text = match printed {
        Ok(text) => text,
        Err(error) => return Some(error.to_string()),
    };
    if let Err(error) = env.parse(&text) {
        return Some(format!("as it is printed: {error}"));
    }
    let program = match env.compile(source) {
        Ok(program) => program,
        Err(error) => return Some(error.to_string()),
    };
    match env.estimate(source, &Unknown) {
        Ok(estimate) if estimate.min <= estimate.max => {}
        other => return Some(format!("estimated as {other:?}")),
    }
    let object = Object(serde_json::json!({"a": 1}));
    let mut evaluation = Evaluation::new(&env, &object, 1_000_000);
    match evaluation.run(&program) {
        Ok(value) => drop((value.to_json(), format!("{:?}", value == value.clone()))),
        Err(error) => drop(error.to_string()),
    }
    drop(format!("{program:?}"));
    None
}

/// `open` so many times, something, and `close` so many times.
fn around(open: &str, inner: &str, close: &str, times: usize) -> String {
    [&open.repeat(times), inner, &close.repeat(times)].concat()
}

/// Every kind of nesting, and the most of it that there may be.
const KINDS: &[(&str, &str, &str, usize)] = &[
    ("(", "1", ")", 249),
    ("[", "1", "]", 249),
    ("{'a': ", "1", "}", 249),
    ("{1: 2}[", "1", "]", 249),
    ("google.protobuf.Int64Value{value: ", "1", "}", 249),
    ("google.protobuf.Value{list_value: [", "1", "]}", 124),
    ("google.protobuf.Struct{fields: {'a': ", "1", "}}", 124),
    ("[?optional.of(", "1", ")]", 124),
    ("type(", "1", ")", 249),
    ("[1].map(x, ", "1", ")", 249),
    ("[1].filter(x, ", "true", ")", 249),
    ("[1].all(x, ", "true", ")", 249),
    ("[1].exists(i, x, ", "true", ")", 249),
    ("[1].exists_one(x, ", "true", ")", 249),
    ("[1].transformList(i, x, true, ", "1", ")", 249),
    ("[1].transformMap(i, x, true, ", "1", ")", 249),
    ("[1].sortBy(x, ", "1", ").size()", 125),
    ("optional.of(1).optMap(x, ", "1", ")", 249),
    ("optional.of(1).optFlatMap(x, ", "optional.of(1)", ")", 248),
    ("has({'a': ", "1", "}.a)", 124),
    ("", "1", " + 1", 250),
    ("", "1", " * 1", 250),
    ("", "1", " < 1 == true", 125),
    ("", "object", ".a", 250),
    ("", "object", ".?a", 250),
    ("", "object", "[0]", 250),
    ("", "object", "[?0]", 250),
    ("", "'a'", ".trim()", 250),
    ("", "[1]", ".map(x, x)", 250),
    ("", "[1]", ".sortBy(x, x)", 250),
    ("true ? 1 : ", "1", "", 249),
    ("(", "true", " ? true : false)", 248),
    ("1 + (", "1", ")", 124),
    ("1 + 1 * (", "1", ")", 83),
    ("1 * (", "1", ")", 124),
    ("dyn(1) < (", "dyn(1)", ")", 124),
    ("!(", "true", ")", 249),
    ("-(", "1", ")", 249),
];

#[test]
fn the_deepest_of_every_kind_runs_in_a_thread() {
    for (open, inner, close, times) in KINDS {
        let source = around(open, inner, close, *times);
        let found = in_thread(move || fault(&source));
        // Types that do not fit are a fault that does no harm.
        let found = found.filter(|found| found.contains("limit") || found.contains("depth"));
        assert_eq!(found, None, "{open}{inner}{close}");
    }
}

#[test]
fn what_is_deeper_is_refused() {
    for (open, inner, close, times) in KINDS {
        let source = around(open, inner, close, times + 1);
        let found = in_thread(move || fault(&source)).unwrap_or_default();
        assert!(
            found == "expression recursion limit exceeded: 250"
                || found == "max recursion depth exceeded",
            "{open}{inner}{close}: {found}"
        );
    }
}

#[test]
fn signs_and_chains_of_and_are_no_nesting() {
    for source in [
        around("!", "true", "", 20_001),
        around("-", "1", "", 20_001),
        around("", "true", " && true", 5_000),
        around("", "false", " || true", 5_000),
        around("[1", "", ", 1", 1) + &", 1".repeat(20_000) + "]",
    ] {
        assert_eq!(in_thread(move || fault(&source)), None);
    }
}

#[test]
fn every_kind_at_once_runs_in_a_thread() {
    // Of each level as many nodes as can be: signs, both chains, and what macros become.
    let chains = "!(false || true || (true && true && true && [1].sortBy(x, x).all(x, ";
    let source = around(chains, "true", "))) || true", 83);
    let found = in_thread(move || fault(&source));
    assert_eq!(found, None);
}

#[test]
fn what_doubles_with_each_macro_is_refused() {
    let chain = |times| around("", "optional.of(1)", ".optMap(x, x)", times);
    let source = chain(10);
    assert_eq!(in_thread(move || fault(&source)), None);
    let source = chain(100);
    let found = in_thread(move || fault(&source)).unwrap_or_default();
    assert!(found.contains("more than 1000000 nodes"), "{found}");
}

#[test]
fn types_that_double_with_each_macro_are_refused() {
    let nested = |times| around("[", "1", "].map(x, {x: x})[0]", times);
    let source = nested(10);
    assert_eq!(in_thread(move || fault(&source)), None);
    let source = nested(60);
    let found = in_thread(move || fault(&source)).unwrap_or_default();
    assert!(found.contains("too large to be checked"), "{found}");
}

#[test]
fn whatever_is_cut_off_does_no_harm() {
    for (open, inner, _, _) in KINDS {
        for times in [200, 20_000] {
            let source: String = (open.repeat(times) + inner).chars().take(100_000).collect();
            drop(in_thread(move || fault(&source)));
        }
    }
}

/// Defines `v0`, `v1` and so on, each with the one before within so many lists, and runs an
/// expression with the last; or why one can't be defined.
fn through_variables(number: usize, lists: usize, expression: &str) -> Result<String, String> {
    let mut env = Env::new([("object", Type::Dyn)]);
    env.define("v0", "1").map_err(|error| error.to_string())?;
    for place in 1..=number {
        let before = format!("dyn(variables.v{})", place - 1);
        let source = around("[", &before, "]", lists);
        env.define(&format!("v{place}"), &source)
            .map_err(|error| error.to_string())?;
    }
    let source = expression.replace("LAST", &format!("variables.v{number}"));
    let program = env.compile(&source).map_err(|error| error.to_string())?;
    let object = Object(serde_json::json!({}));
    let mut evaluation = Evaluation::new(&env, &object, 1_000_000);
    evaluation
        .run(&program)
        .map(|value| value.to_json().to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn values_that_variables_nest_are_gone_through_in_a_thread() {
    // Ten variables of 99 lists each, and what a function may make.
    let ask = |expression: &'static str| in_thread(move || through_variables(10, 99, expression));
    assert_eq!(ask("LAST.size()"), Ok("1".to_owned()));
    assert_eq!(ask("LAST.exists(x, dyn(x) == 1)"), Ok("false".to_owned()));
    let limit = "operation cancelled: actual cost limit exceeded";
    assert_eq!(ask("LAST"), Err(limit.to_owned()));
    assert_eq!(ask("LAST == LAST"), Err(limit.to_owned()));
    assert_eq!(
        in_thread(|| through_variables(11, 99, "true")),
        Err(
            "lists, maps and optionals would be nested more than 1000 levels in variables"
                .to_owned()
        )
    );
}

#[test]
fn values_that_loops_nest_are_gone_through_in_a_thread() {
    // Each turn puts what the one before made into more lists.
    let turn = format!(".map(x, {})", around("[", "dyn(x)", "]", 200));
    for end in ["", ".size()"] {
        let source = format!("[dyn(1)]{}{end}", turn.repeat(40));
        assert_eq!(in_thread(move || fault(&source)), None, "{end}");
    }
}
