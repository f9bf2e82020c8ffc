//! What holds for any text: it compiles or says why not, and what compiled ends within its
//! budget with a value or an error.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_cel::{Activation, Env, Evaluation, Type, Value};
use proptest::prelude::*;

/// The words of the language, and values whose ends are worth a try.
const WORDS: &[&str] = &[
    "object",
    "x",
    "y",
    ".",
    ".",
    ".?",
    "[",
    "]",
    "[?",
    "(",
    ")",
    "{",
    "}",
    ",",
    ",",
    ":",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "&&",
    "||",
    "!",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "1u",
    "1.5",
    "1e308",
    "'a'",
    "'\u{1f600}'",
    "b'a'",
    "r'\\d'",
    "true",
    "null",
    "a",
    "b",
    "size",
    "has",
    "all",
    "exists",
    "map",
    "filter",
    "sortBy",
    "matches",
    "optional",
    "of",
    "duration",
    "timestamp",
    "'1h'",
    "'2026-01-02T03:04:05Z'",
    "quantity",
    "'1Gi'",
    "ip",
    "cidr",
    "'10.0.0.0/8'",
    "format",
    "flatten",
    "lists",
    "range",
    "string",
    "int",
    "type",
    "dyn",
    "split",
    "replace",
    "substring",
    "charAt",
];

struct Object(serde_json::Value);

impl Activation for Object {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        (slot == 0).then(|| Value::from_json(&self.0))
    }
}

/// Compiles and evaluates; the cost is within the budget, but for the last step.
fn run(source: &str) {
    let env = Env::new([("object", Type::Dyn)]);
    let Ok(program) = env.compile(source) else {
        return;
    };
    let object = Object(serde_json::json!({"a": [1, "b", {"c": null}], "b": -2.5}));
    let mut evaluation = Evaluation::new(&env, &object, 10_000);
    // A value or an error: both are an end.
    drop(evaluation.run(&program));
    assert!(
        evaluation.spent() < 2_000_000,
        "{source}: {}",
        evaluation.spent()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn words_in_any_order_do_no_harm(
        words in prop::collection::vec(prop::sample::select(WORDS), 1..24)
    ) {
        run(&words.concat());
        run(&words.join(" "));
    }

    #[test]
    fn any_text_does_no_harm(text in "\\PC{0,60}") {
        run(&text);
    }

    #[test]
    fn calls_of_functions_do_no_harm(
        name in prop::sample::select(&[
            "lists.range", "duration", "timestamp", "quantity", "ip", "cidr", "url", "semver",
            "int", "uint", "double", "string", "bytes", "size", "isQuantity", "isIP", "type",
        ][..]),
        text in "[-+0-9.eEinumKMGThs:/TZ]{0,24}",
        number in any::<i64>(),
    ) {
        run(&format!("{name}('{text}')"));
        run(&format!("string({name}(dyn('{text}')))"));
        run(&format!("{name}({number})"));
        run(&format!("'a\u{e9}b'.substring({number}) + 'abc'.charAt({number})"));
    }
}
